//! An account's archive on Prosody, written straight into its database, and the server's data put back before each sample.
//!
//! Sending ten thousand messages would measure the sender. The archive is in SQLite and not in Prosody's internal storage,
//! which reads its list from the beginning for each page: 1.8 s a page at the end of ten thousand messages (13.0.1).

use std::{fs, path::Path, time::SystemTime};

use interop::{Kind, Options, Server};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rusqlite::params;
use uuid::Uuid;

use crate::{Result, children::Child};

/// Whose archive it is.
pub(crate) const ACCOUNT: &str = "alice@a.test";
/// And how it signs in.
pub(crate) const PASSWORD: &str = "secret-a";
/// How many contacts write.
pub(crate) const CONTACTS: u64 = 20;
/// What was there when the account signed in for the first time.
const BEFORE: u64 = 10;

/// A server whose data can be put back.
pub(crate) struct ArchiveServer {
    pub(crate) server: Server,
    /// ms UTC of the first message.
    began: i64,
}

impl ArchiveServer {
    /// A Prosody 13 with a short archive, that grants pages of this size.
    pub(crate) fn start(page: Option<u32>) -> Result<Self> {
        let mut server = Server::start(Kind::Prosody13, Options { mam_page: page, ..Options::default() })?;
        server.stop();
        let config = server.dir().join("scripts/prosody.cfg.lua");
        let text = fs::read_to_string(&config)?;
        let (internal, sql) = (
            "storage = \"internal\"",
            "storage = { archive = \"sql\" }\ndefault_storage = \"internal\"\nsql = { driver = \"SQLite3\", database = data_path..\"/prosody.sqlite\" }",
        );
        if !text.contains(internal) {
            return Err("the server's configuration has changed: say where the archive is kept".into());
        }
        fs::write(&config, text.replace(internal, sql))?;
        // It makes its tables when somebody asks for the archive.
        server.restart()?;
        let throwaway = server.dir().join("throwaway");
        sign_in(&server, &throwaway)?;
        server.stop();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
        let mut this = Self { server, began: now - 7 * 86_400_000 };
        this.write(0, BEFORE)?;
        this.server.restart()?;
        Ok(this)
    }

    /// Stops the server and writes so many messages behind the first ones. Their texts are numbered from 0.
    pub(crate) fn fill(&mut self, messages: u64) -> Result<()> {
        self.server.stop();
        self.write(BEFORE, messages)
    }

    /// Keeps the data as it is now, for [`Self::restore`]. The server must be stopped.
    pub(crate) fn keep(&self) -> Result<()> {
        let kept = self.server.dir().join("kept");
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        copy(&self.server.dir().join("data"), &kept)
    }

    /// Starts the server with the data that was kept. All sessions are gone.
    pub(crate) fn restore(&mut self) -> Result<()> {
        self.server.stop();
        let data = self.server.dir().join("data");
        fs::remove_dir_all(&data)?;
        copy(&self.server.dir().join("kept"), &data)?;
        Ok(self.server.restart()?)
    }

    /// The archive's id of the last message from before.
    pub(crate) fn last_before() -> String {
        key(BEFORE - 1)
    }

    fn write(&self, first: u64, count: u64) -> Result<()> {
        let mut database = rusqlite::Connection::open(self.server.dir().join("data/prosody.sqlite"))?;
        let tx = database.transaction()?;
        {
            let mut insert = tx.prepare(
                "INSERT INTO prosodyarchive (host, user, store, \"when\", \"with\", key, type, value)
                 VALUES ('a.test', 'alice', 'archive', ?1, ?2, ?3, 'xml', ?4)",
            )?;
            for number in first..first + count {
                let (peer, stanza) = stanza(number, number - first);
                insert.execute(params![self.at(number) as f64 / 1e3, peer, key(number), stanza])?;
            }
        }
        tx.commit()?;
        Ok(())
    }

    fn at(&self, number: u64) -> i64 {
        self.began + number as i64 * 1_000
    }
}

/// Runs of a few messages with one contact, four of ten by ourselves from another device.
fn stanza(number: u64, text_number: u64) -> (String, String) {
    let contact = (number / 3).wrapping_mul(7) % CONTACTS;
    let peer = format!("contact{contact}@b.test");
    let (from, to) = match number % 10 >= 6 {
        true => (format!("{ACCOUNT}/Laptop.3f9a1c22"), peer.clone()),
        false => (format!("{peer}/phone.{contact:08x}"), ACCOUNT.to_owned()),
    };
    // Without order, as ids of version 4 are.
    let id = Uuid::from_u128(StdRng::seed_from_u64(number).random());
    let text = text(text_number);
    let stanza = format!(
        "<message from='{from}' id='{id}' to='{to}' type='chat' xml:lang='en'><body>{text}</body>\
         <origin-id id='{id}' xmlns='urn:xmpp:sid:0'/><request xmlns='urn:xmpp:receipts'/>\
         <markable xmlns='urn:xmpp:chat-markers:0'/></message>"
    );
    (peer, stanza)
}

/// A phone signs in for the first time, catches up, and goes. Its directory is then whole.
pub(crate) fn sign_in(server: &Server, phone: &Path) -> Result<()> {
    let port = server.direct_tls_port().to_string();
    let (dir, ca) = (phone.display().to_string(), server.ca().display().to_string());
    let arguments = ["phone", "--data", &dir, "--account", ACCOUNT, "sign-in", "--password", PASSWORD];
    Child::start(&[&arguments[..], &["--port", &port, "--ca", &ca]].concat())?.end()
}

/// The archive's id of a message.
pub(crate) fn key(number: u64) -> String {
    format!("{:08x}-{:04x}-7{:03x}-a{:03x}-{:012x}", 0x06b0_5abb, number >> 16, number & 0xfff, 0x9e2, number)
}

/// A text that begins with its number, of a length as people write.
pub(crate) fn text(number: u64) -> String {
    const WORDS: [&str; 16] = [
        "see", "you", "at", "the", "station", "tomorrow", "around", "noon", "if", "trains", "run", "again",
        "and", "weather", "holds", "then",
    ];
    let mut text = number.to_string();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..3 + state % 17 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(' ');
        text.push_str(WORDS[(state >> 60) as usize]);
    }
    text
}

/// The number that a text begins with.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

/// Copies a directory with all files in it (and not the pipe that an extension rings).
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
