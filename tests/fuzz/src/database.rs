//! A file that says anything: what a broken disk, another program or somebody with the key may have put into it.
//!
//! A changed ciphertext is a wrong HMAC and no more, so the changes are made below the cipher: to the bytes of decrypted pages
//! ([`Pages`]), or to values in rows with the schema's own guards taken away. Whatever the file says, opening it, loading the
//! account, a session with it and reading what is shown end with an error or a working account; no panic, no loop, and the
//! file is still there.

use std::{fs, path::Path, sync::OnceLock};

use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::NoPadding};
use hmac::{Hmac, Mac};
use jid::BareJid;
use minidom::Element;
use rand::{SeedableRng, rngs::StdRng};
use rusqlite::{Connection, types::Value};
use sha2::{Sha256, Sha512};
use whimbrel_engine::{
    Effect, Engine, Input, LinkFailure, LinkId, Now, Tls,
    api::{Command, Error, ItemId, RequestId, Status},
    roster, store, timeline,
};

use crate::world::{self, JULIET};

const PAGE: usize = 4_096;
/// Behind the content: the IV and the HMAC.
const RESERVED: usize = 48;
const IV: usize = 16;
/// What stays plain of the first page.
const HEADER: usize = 32;

/// The first byte says which kind of change, the others say which.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, changes)) = data.split_first() else { return };
    let dir = world::directory();
    let path = dir.path().join("account.db");
    if kind % 2 == 0 {
        let mut pages = Pages::of(world::file_of_one_who_was_online());
        for change in changes.chunks_exact(4) {
            pages.set(change[0].into(), usize::from(u16::from_be_bytes([change[1], change[2]])), change[3]);
        }
        fs::write(&path, pages.encrypted()).expect("a file in memory");
    } else {
        fs::write(&path, loose().file.as_slice()).expect("a file in memory");
        change_rows(&path, changes);
    }
    lives(&path);
    let size = fs::metadata(&path).expect("the file is never deleted").len();
    assert!(size > 0, "nor emptied");
}

/// The decrypted pages of a file as SQLCipher writes it.
struct Pages {
    pages: Vec<Vec<u8>>,
}

impl Pages {
    fn of(file: &[u8]) -> Self {
        let pages = file.chunks_exact(PAGE).enumerate().map(|(index, page)| {
            let start = if index == 0 { HEADER } else { 0 };
            let (content, tail) = page.split_at(PAGE - RESERVED);
            let iv: [u8; IV] = tail[..IV].try_into().expect("its length");
            let mut plain = content.to_vec();
            cbc::Decryptor::<aes::Aes256>::new(&key().into(), &iv.into())
                .decrypt_padded_mut::<NoPadding>(&mut plain[start..])
                .expect("whole blocks");
            plain
        });
        Self { pages: pages.collect() }
    }

    fn set(&mut self, page: usize, offset: usize, value: u8) {
        let page = page % self.pages.len();
        let content = &mut self.pages[page];
        let offset = offset % content.len();
        content[offset] = value;
    }

    fn encrypted(self) -> Vec<u8> {
        let mac_salt = salt().map(|byte| byte ^ 0x3a);
        let mac_key = pbkdf2::pbkdf2_hmac_array::<Sha512, 32>(&key(), &mac_salt, 2);
        let pages = self.pages.into_iter().enumerate().map(|(index, mut page)| {
            let start = if index == 0 { HEADER } else { 0 };
            let iv = [index as u8; IV];
            let length = page.len() - start;
            cbc::Encryptor::<aes::Aes256>::new(&key().into(), &iv.into())
                .encrypt_padded_mut::<NoPadding>(&mut page[start..], length)
                .expect("whole blocks");
            page.extend_from_slice(&iv);
            let mut mac =
                <Hmac<Sha256> as Mac>::new_from_slice(&mac_key).expect("HMAC takes keys of any length");
            mac.update(&page[start..]);
            mac.update(&(index as u32 + 1).to_le_bytes());
            page.extend_from_slice(&mac.finalize().into_bytes());
            page
        });
        pages.flatten().collect()
    }
}

fn key() -> [u8; 32] {
    world::secret().0[..32].try_into().expect("its length")
}

fn salt() -> [u8; 16] {
    world::secret().0[32..].try_into().expect("its length")
}

/// The file without the schema's guards, and what they were.
struct Loose {
    file: Vec<u8>,
    schema: Vec<(String, String)>,
    columns: Vec<(String, String)>,
}

fn loose() -> &'static Loose {
    static LOOSE: OnceLock<Loose> = OnceLock::new();
    LOOSE.get_or_init(|| {
        let dir = world::directory();
        let path = dir.path().join("account.db");
        fs::write(&path, world::file_of_one_who_was_online()).expect("a file in memory");
        let connection = store::open(&path, &world::secret()).expect("a good file");
        let rows = |sql: &str| -> Vec<(String, String)> {
            let mut statement = connection.prepare(sql).expect("good SQL");
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("a good file");
            rows.collect::<Result<_, _>>().expect("a good file")
        };
        let schema = rows("SELECT name, sql FROM sqlite_schema WHERE type = 'table'");
        let columns =
            rows("SELECT s.name, c.name FROM sqlite_schema AS s JOIN pragma_table_info(s.name) AS c WHERE s.type = 'table'");
        rewrite_schema(&connection, &schema, |sql| {
            sql.replace("STRICT, WITHOUT ROWID", "WITHOUT ROWID").replace(" STRICT", "").replace("NOT NULL", "")
        });
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a good file");
        drop(connection);
        Loose { file: fs::read(&path).expect("it was written"), schema, columns }
    })
}

fn rewrite_schema(connection: &Connection, schema: &[(String, String)], rewrite: impl Fn(&str) -> String) {
    connection.pragma_update(None, "writable_schema", true).expect("allowed");
    for (name, sql) in schema {
        let sql = rewrite(sql);
        // A value that was put in may have made the schema's own table unreadable; then it is a broken file like others.
        let _ = connection.execute("UPDATE sqlite_schema SET sql = ?2 WHERE name = ?1", [name, &sql]);
    }
    let _ = connection.pragma_update(None, "writable_schema", false);
}

/// Puts values where they do not belong: for each five bytes a column, a value, and which rows. The column is the one whose name's
/// hash is nearest, so that a new column does not change what the corpus says of the others.
fn change_rows(path: &Path, changes: &[u8]) {
    let loose = loose();
    let Ok(connection) = store::open(path, &world::secret()) else { return };
    let _ =
        connection.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; BEGIN");
    for change in changes.chunks_exact(5).take(64) {
        let wanted = u16::from_be_bytes([change[0], change[1]]);
        let near = |(table, column): &&(String, String)| {
            crate::hash(format!("{table}.{column}").as_bytes()) as u16 ^ wanted
        };
        let (table, column) = loose.columns.iter().min_by_key(near).expect("a schema has columns");
        let value = value(change[2], change[3]);
        // Which of the columns a statement is about is no parameter. They are our own.
        let sql = match change[4] % 4 {
            0 => format!("UPDATE \"{table}\" SET \"{column}\" = ?1"),
            1 => format!(
                "UPDATE \"{table}\" SET \"{column}\" = ?1 WHERE rowid = (SELECT max(rowid) FROM \"{table}\")"
            ),
            2 => format!("INSERT OR IGNORE INTO \"{table}\" (\"{column}\") VALUES (?1)"),
            _ => format!("DELETE FROM \"{table}\" WHERE \"{column}\" IS NOT ?1"),
        };
        let _ = connection.execute(&sql, [value]);
    }
    let _ = connection.execute_batch("COMMIT");
    rewrite_schema(&connection, &loose.schema, str::to_owned);
}

fn value(which: u8, what: u8) -> Value {
    const TEXTS: [&str; 22] = [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "\"Roster\"",
        "\u{0}",
        "a@b",
        "not an address@@",
        "romeo@montague.lit",
        "juliet@capulet.lit",
        "{\"Probe\":{\"number\":18446744073709551615}}",
        "{\"id\":\"x\",\"acks\":\"Counted\",\"handled\":18446744073709551615,\"sent\":18446744073709551615,\"acknowledged\":0}",
        "{\"id\":\"x\",\"acks\":\"Counted\",\"handled\":0,\"sent\":0,\"acknowledged\":18446744073709551615}",
        "{\"id\":\"x\",\"acks\":\"Pinged\",\"handled\":0,\"sent\":9,\"acknowledged\":4}",
        "{\"Page\":{\"aim\":{\"Fill\":{\"gap\":1}},\"cursor\":9223372036854775807,\"first\":null,\"last\":null,\"last_at\":null,\"added\":4294967295,\"seen\":4294967295,\"known\":4294967295,\"page\":4294967295}}",
        "{\"Page\":{\"aim\":{\"Before\":{\"gap\":1}},\"cursor\":-9223372036854775808,\"first\":\"x\",\"last\":\"y\",\"last_at\":-9223372036854775808,\"added\":0,\"seen\":0}}",
        "{\"Page\":{\"aim\":\"Newest\",\"cursor\":9223372036854775807,\"first\":null,\"last\":null,\"last_at\":null,\"added\":0,\"seen\":0}}",
        "{\"Page\":{\"aim\":{\"Check\":{\"after\":null}},\"cursor\":9223372036854775807,\"first\":null,\"last\":null,\"last_at\":null,\"added\":0,\"seen\":0}}",
        "{\"bound\":true,\"scram\":255}",
        "{\"mechanism\":\"HT-SHA-256-NONE\",\"token\":\"\"}",
        "composing",
    ];
    const NUMBERS: [i64; 14] = [
        0,
        1,
        -1,
        2,
        3,
        5,
        99,
        i64::MAX,
        i64::MIN,
        i64::MAX - 1,
        1 << 32,
        -(1 << 32),
        1 << 62,
        253_402_300_800_000,
    ];
    match which % 6 {
        0 => Value::Null,
        1 | 2 => Value::Integer(NUMBERS[usize::from(what) % NUMBERS.len()]),
        3 => Value::Text("x".repeat(1 << (what % 20))),
        4 => Value::Blob(vec![0xff; what.into()]),
        _ => Value::Text(TEXTS[usize::from(what) % TEXTS.len()].to_owned()),
    }
}

/// A life with this file: an error somewhere, or an account that works.
fn lives(path: &Path) {
    for _ in 0..2 {
        let Ok(connection) = store::open(path, &world::secret()) else { return };
        let _ = (store::account(&connection), store::connection(&connection));
        let Ok(engine) = Engine::load(connection, world::config()) else { return };
        session(engine);
        look(path);
    }
}

/// What is shown, and by what way it comes onto the screen.
fn look(path: &Path) {
    let Ok(reader) = store::open_reader(path, &world::secret()) else { return };
    // What the engine caught went there; it may not even be that.
    let panicked: rusqlite::Result<Vec<String>> = reader
        .prepare("SELECT why FROM quarantine WHERE why LIKE '%panic%'")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect());
    assert_eq!(panicked.unwrap_or_default(), [""; 0]);
    let _ = (timeline::conversations(&reader), roster::contacts(&reader));
    let juliet = BareJid::new(JULIET).expect("an address");
    let Ok(start) = timeline::start(&reader, &juliet, 3) else { return };
    let _ = timeline::window(&reader, &juliet, start, 3_600_000);
    let _ = timeline::count_before(&reader, &juliet, start, 10);
    if let Ok(earlier) = timeline::earlier(&reader, &juliet, start, 10) {
        let _ = timeline::window(&reader, &juliet, earlier, -3_600_000);
    }
}

/// Some of everything that an account does.
fn session(engine: Engine) {
    let mut life = Life {
        engine,
        now: Now { mono: 0, wall: 1_795_000_000_000 },
        rng: StdRng::seed_from_u64(1597),
        link: None,
        asked: None,
    };
    let juliet = BareJid::new(JULIET).expect("an address");
    life.turn(Input::Command { request: RequestId(1), command: Command::Connect });
    life.up();
    let id = ItemId("00000000-0000-4000-8000-000000009999".into());
    life.turn(Input::Command {
        request: RequestId(2),
        command: Command::Send { id, to: juliet.clone(), what: "x".into() },
    });
    life.turn(Input::Command { request: RequestId(3), command: Command::MarkRead { with: juliet.clone() } });
    life.turn(Input::Command { request: RequestId(4), command: Command::Older });
    for xml in [
        "<message type='chat' from='juliet@capulet.lit/balcony' id='j9'><body>9</body><request xmlns='urn:xmpp:receipts'/><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@montague.lit' id='a9'/></message>",
        "<message type='chat' from='juliet@capulet.lit/balcony'><displayed xmlns='urn:xmpp:chat-markers:0' id='00000000-0000-4000-8000-000000000003'/></message>",
        "<presence from='juliet@capulet.lit/balcony'/>",
        "<presence from='mercutio@verona.lit' type='subscribe'/>",
        "<message from='romeo@montague.lit'><result xmlns='urn:xmpp:mam:2' queryid='#' id='a5'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-18T10:00:00Z'/><message xmlns='jabber:client' type='chat' from='juliet@capulet.lit/x' to='romeo@montague.lit' id='m5'><body>5</body></message></forwarded></result></message>",
        "<iq type='result' id='#'><fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><first>a5</first><last>a5</last><count>9</count></set></fin></iq>",
        "<a xmlns='urn:xmpp:sm:3' h='4'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
    ] {
        life.says(&xml.replace('#', life.asked.clone().unwrap_or_default().as_str()));
    }
    for _ in 0..12 {
        if let Some(wake) = life.engine.next_wake() {
            life.now.mono = life.now.mono.max(wake.min(1 << 40));
        }
        life.turn(Input::Tick);
    }
    if let Some(link) = life.link {
        life.turn(Input::LinkLost { link, why: LinkFailure::Network("cut".into()) });
    }
    life.up();
    let _ = life.engine.close();
}

struct Life {
    engine: Engine,
    now: Now,
    rng: StdRng,
    link: Option<LinkId>,
    /// The last question to an archive.
    asked: Option<String>,
}

impl Life {
    fn up(&mut self) {
        let Some(link) = self.link else { return };
        self.turn(Input::LinkUp { link, tls: Some(Tls::default()) });
        for xml in [
            "<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></features>",
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            "<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></features>",
            "<failed xmlns='urn:xmpp:sm:3' h='1'/>",
            "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@montague.lit/phone.2</jid></bind></iq>",
            "<enabled xmlns='urn:xmpp:sm:3' id='session-2' resume='true'/>",
        ] {
            self.says(xml);
        }
    }

    fn says(&mut self, xml: &str) {
        let Some(link) = self.link else { return };
        let wrapped: Element = format!("<x xmlns='jabber:client'>{xml}</x>").parse().expect("our own XML");
        let element = wrapped.children().next().expect("one element").clone();
        self.turn(Input::Element { link, element });
    }

    fn turn(&mut self, input: Input) {
        self.now = Now { mono: self.now.mono + 10, wall: self.now.wall + 10 };
        for effect in self.engine.turn(vec![input], self.now, &mut self.rng) {
            match effect {
                Effect::Connect { link, .. } => self.link = Some(link),
                Effect::Hangup { .. } | Effect::Close { .. } => self.link = None,
                Effect::Status(Status::Offline { reason: Some(Error::Bug { report }), .. })
                | Effect::Reply { result: Err(Error::Bug { report }), .. } => {
                    assert!(!report.contains("panic"), "{report}");
                }
                Effect::Send { bytes, .. } => {
                    let text = String::from_utf8_lossy(&bytes);
                    if let Some((_, id)) = text.split_once("queryid='") {
                        self.asked = id.split_once('\'').map(|(id, _)| id.to_owned());
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decrypted_pages_are_encrypted_as_sqlcipher_does() {
        let file = world::file_of_one_who_was_online();
        let dir = world::directory();
        let path = dir.path().join("account.db");
        let pages = Pages::of(file);
        assert!(pages.pages[1..].iter().any(|page| page.windows(9).any(|window| window == b"By a name")));
        fs::write(&path, pages.encrypted()).unwrap();
        let connection = store::open(&path, &world::secret()).unwrap();
        let messages: i64 =
            connection.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap();
        assert_eq!(messages, 5);
    }

    #[test]
    fn each_column_may_say_the_least_and_the_most_and_nothing() {
        for (table, column) in &loose().columns {
            let [.., high, low] = crate::hash(format!("{table}.{column}").as_bytes()).to_be_bytes();
            for (which, what) in [(0, 0), (1, 7), (1, 8)] {
                run(&[1, high, low, which, what, 0]);
            }
        }
    }
}
