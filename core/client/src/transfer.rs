//! An account as a file (`core/EXPORT.md`): written from one state of its database, and read back part by part.
//!
//! Neither takes memory by the size of the archive. A file is there whole or not at all. What is read goes to the account as
//! commands, each of which is a transaction: where it ends, by a cut, a kill or a damaged file, what was taken is there, and
//! the same file can be read again. Files and parsing have threads of their own, so that nobody who awaits is held up.

use std::{
    fs,
    io::{self, BufWriter, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::PoisonError,
    thread,
};

use minidom::{Element, tree_builder::TreeBuilder};
use rxml::{Options, Parse as _, RawEvent, RawParser, WithOptions as _, error::EndOrError};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;
use whimbrel_engine::{
    api::{Command, Reply},
    export::{self, NS, PIE, PIE_MAM},
    store,
};
use whimbrel_proto::ns;

use crate::{
    Account, Address, Error, Imported,
    account::unexpected,
    client::{self, unusable},
    shared::wall_clock,
};

/// One command takes at most so much of a file: elements, and bytes.
const BATCH: usize = 100;
const BATCH_BYTES: u64 = 256 * 1024;
/// Largest element, in bytes, and how deep it may be: deeper than what a stanza may hold stands in a file. A message has at most a MiB, and all of it may be escaped.
const LARGEST: u64 = 8 << 20;
const DEEPEST: usize = 128;
/// Of one text or name, in bytes.
const MAX_TOKEN: usize = 2 << 20;

impl Account {
    /// Writes all that the account has to a file that this device, another one, or other software can take back: messages with what was
    /// done to them, contacts, drafts, what was decided about conversations and what was read. Never passwords, tokens or
    /// keys; but it is not encrypted. Returns how many messages it holds. A file that is there is replaced.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`] where it cannot be written; [`Error::Suspended`] and [`Error::Closed`], also
    /// where the account is suspended meanwhile. No file is left then, nor where the future is dropped before its end. A process that is
    /// killed meanwhile leaves its beginning, under this name with `.new` behind it.
    pub async fn export(&self, path: &Path) -> Result<u64, Error> {
        let (account, path) = (self.clone(), path.to_owned());
        on_a_thread("whimbrel-export", move |is_wanted| account.write_export(&path, is_wanted)).await
    }

    fn write_export(&self, path: &Path, is_wanted: &dyn Fn() -> bool) -> Result<u64, Error> {
        let shared = self.shared();
        let _one_at_a_time = shared.exporting.lock().unwrap_or_else(PoisonError::into_inner);
        let may_go_on = || if is_wanted() { shared.is_readable() } else { Err(Error::Suspended) };
        may_go_on()?;
        let home = self.home();
        let file = home.dir.join("account.db");
        let secret = client::kept_secret(&*home.vault, &home.entry())?.ok_or(Error::KeyLost)?;
        let new = path.with_added_extension("new");
        let written = write_whole(&new, |out| {
            // Whoever suspends it waits for this, but not for the vault, nor until the disk has it all.
            let _open = shared.snapshot.blocking_lock();
            may_go_on()?;
            let database = store::open_reader(&file, &secret).map_err(|error| error.to_api())?;
            export::write(&database, &Uuid::new_v4().to_string(), wall_clock(), &mut |piece| {
                may_go_on()?;
                out.write_all(piece.as_bytes()).map_err(unusable)
            })
            .map_err(|error| error.to_api())
        });
        let done = written.and_then(|count| {
            // It is not encrypted: where nobody waits for it nobody would know of it.
            may_go_on()?;
            fs::rename(&new, path).map(|()| count).map_err(unusable)
        });
        if done.is_err() {
            let _ = fs::remove_file(&new);
        }
        done
    }

    /// Takes what [`Account::export`] has written on this or another device, or another server or app in the form of XEP-0227. What
    /// is here already is not taken twice, so it can be repeated. Before the first sign-in everything is put where it was,
    /// and the first session asks for what has come since; later, messages are put between those that are here.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such file; [`Error::InvalidInput`] where it is of other accounts, or damaged: then it says
    /// where, and how many messages were taken before; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn import(&self, path: &Path) -> Result<Imported, Error> {
        let (parts, incoming) = mpsc::channel(2);
        let (own, path) = (self.jid().clone(), path.to_owned());
        let reading = on_a_thread("whimbrel-import", move |_| read(&path, &own, &parts));
        let taking = async {
            // Where it is not taken any more the reader ends.
            let mut incoming: mpsc::Receiver<Part> = incoming;
            let mut done = Imported::default();
            while let Some((file, elements)) = incoming.recv().await {
                match self.ask(Command::Import { file, elements }).await {
                    Ok(Reply::Imported(part)) => {
                        done.added += part.added;
                        done.known += part.known;
                        done.skipped += part.skipped;
                    }
                    Ok(other) => return (done, Err(unexpected(&other))),
                    Err(error) => return (done, Err(error)),
                }
            }
            (done, Ok(()))
        };
        let (read, (done, taken)) = tokio::join!(reading, taking);
        taken?;
        match read {
            Ok(()) => Ok(done),
            Err(Error::InvalidInput { what }) => {
                let taken = done.added + done.known;
                Err(Error::InvalidInput { what: format!("{what}; {taken} of its messages were taken") })
            }
            Err(error) => Err(error),
        }
    }
}

/// What a file is called, and some of its elements.
type Part = (String, Vec<Element>);

/// Waits for a thread of its own. Dropping what waits does not end it, but it can ask whether anybody still does.
async fn on_a_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (done, result) = oneshot::channel::<Result<T, Error>>();
    let bug = |report: String| Error::Bug { report };
    let thread = thread::Builder::new().name(name.into());
    thread
        .spawn(move || {
            let result = work(&|| !done.is_closed());
            drop(done.send(result));
        })
        .map_err(|error| bug(error.to_string()))?;
    result.await.unwrap_or_else(|_| Err(bug("a thread for a file is gone".into())))
}

fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<fs::File>) -> Result<T, Error>,
) -> Result<T, Error> {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut out = BufWriter::new(file.map_err(unusable)?);
    let done = write(&mut out)?;
    let file = out.into_inner().map_err(|error| unusable(error.into_error()))?;
    file.sync_all().map_err(unusable)?;
    Ok(done)
}

/// Reads a file and hands on what it has of this account.
fn read(path: &PathBuf, own: &Address, parts: &mpsc::Sender<Part>) -> Result<(), Error> {
    let mut file = fs::File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound,
        _ => invalid(format!("the file cannot be read: {error}")),
    })?;
    let mut reader = Reader::new(own);
    let mut buffer = vec![0; 64 * 1024];
    let mut name = None;
    loop {
        let count =
            file.read(&mut buffer).map_err(|error| invalid(format!("the file cannot be read: {error}")))?;
        let name = name.get_or_insert_with(|| {
            // It begins with an id, or else with messages that no other file begins with.
            let digest = Sha256::digest(&buffer[..count]);
            digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        let read = reader.feed(&buffer[..count], count == 0);
        // What stands before the damage is whole.
        let ends = count == 0 || read.is_err();
        while reader.size >= BATCH_BYTES || reader.found.len() >= BATCH || (ends && !reader.found.is_empty())
        {
            let found = reader.found.len().min(BATCH);
            let elements = reader.found.drain(..found).collect();
            reader.size = 0;
            if parts.blocking_send((name.clone(), elements)).is_err() {
                return Ok(());
            }
        }
        read.map_err(|why| invalid(format!("the file is damaged at byte {}: {why}", reader.position)))?;
        if count == 0 {
            return match (reader.is_export, reader.any) {
                (false, _) => Err(invalid("the file is no account's (XEP-0227)".into())),
                (true, false) => Err(invalid(format!("the file has nothing of {own}"))),
                (true, true) => Ok(()),
            };
        }
    }
}

fn invalid(what: String) -> Error {
    Error::InvalidInput { what }
}

/// Finds the elements of one account.
struct Reader<'a> {
    own: &'a Address,
    parser: RawParser,
    builder: TreeBuilder,
    /// In bytes: how far it is, where the last element ended, and how much was found.
    position: u64,
    ended: u64,
    size: u64,
    is_export: bool,
    /// Whether the host, and the user in it, are ours.
    is_host: bool,
    is_user: bool,
    any: bool,
    found: Vec<Element>,
}

impl<'a> Reader<'a> {
    fn new(own: &'a Address) -> Self {
        let options = Options { max_token_length: MAX_TOKEN, ..Options::default() };
        Self {
            own,
            parser: RawParser::with_options(options),
            builder: TreeBuilder::new(),
            position: 0,
            ended: 0,
            size: 0,
            is_export: false,
            is_host: false,
            is_user: false,
            any: false,
            found: Vec::new(),
        }
    }

    fn feed(&mut self, mut rest: &[u8], at_end: bool) -> Result<(), String> {
        loop {
            match self.parser.parse(&mut rest, at_end) {
                Ok(Some(event)) => self.event(event)?,
                Ok(None) => return Ok(()),
                Err(EndOrError::NeedMoreData) if at_end => return Err("it ends too early".into()),
                Err(EndOrError::NeedMoreData) => return Ok(()),
                Err(EndOrError::Error(error)) => return Err(error.to_string()),
            }
        }
    }

    fn event(&mut self, event: RawEvent) -> Result<(), String> {
        self.position += event.metrics().len() as u64;
        let (opens, closes) =
            (matches!(event, RawEvent::ElementHeadClose(_)), matches!(event, RawEvent::ElementFoot(_)));
        self.builder.process_event(event).map_err(|error| error.to_string())?;
        let depth = self.builder.depth();
        if depth > DEEPEST || self.position - self.ended > LARGEST {
            return Err("an element is too large".into());
        }
        if opens {
            self.opened(depth);
        }
        if closes && self.holds_elements(depth) {
            while let Some(element) = self.builder.unshift_child() {
                // Lists were emptied as they were read.
                if self.is_user && depth >= 3 && !(depth == 3 && is_list(&element)) {
                    self.found.push(element);
                }
            }
            self.size += self.position - self.ended;
            self.ended = self.position;
        }
        Ok(())
    }

    fn opened(&mut self, depth: usize) {
        let own = self.own;
        let Some(top) = self.builder.top() else { return };
        let pie = |name: &str| top.is(name, PIE);
        match depth {
            1 => self.is_export = pie("server-data"),
            2 => self.is_host = pie("host") && top.attr("jid") == Some(own.domain().as_str()),
            3 => {
                let name = own.node().map(|node| node.as_str());
                self.is_user = self.is_host && pie("user") && name.is_some() && top.attr("name") == name;
                self.any |= self.is_user;
            }
            _ => {}
        }
    }

    /// Whether what stands open holds elements that are taken one by one.
    fn holds_elements(&mut self, depth: usize) -> bool {
        depth <= 3 || (depth == 4 && self.builder.top().is_some_and(is_list))
    }
}

fn is_list(element: &Element) -> bool {
    element.is("archive", PIE_MAM) || element.is("query", ns::ROSTER) || element.is("conversations", NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "<?xml version='1.0'?><server-data xmlns='urn:xmpp:pie:0'><host jid='capulet.lit'><user name='romeo'><vCard xmlns='vcard-temp'/></user></host>
        <host jid='montague.lit'><user name='benvolio'><vCard xmlns='vcard-temp'/></user><user name='romeo'>
        <query xmlns='jabber:iq:roster'><item jid='a@b'/><item jid='c@d'><group>x</group></item></query>
        <vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard><archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='1'/><result xmlns='urn:xmpp:mam:2' id='2'><x/></result></archive></user></host></server-data>";

    fn found(file: &str, piece: usize) -> (Vec<String>, Result<(), String>) {
        let own: Address = "romeo@montague.lit".parse().unwrap();
        let mut reader = Reader::new(&own);
        let mut read = Ok(());
        for piece in file.as_bytes().chunks(piece) {
            read = read.and_then(|()| reader.feed(piece, false));
        }
        let read = read.and_then(|()| reader.feed(&[], true));
        (reader.found.iter().map(|element| element.name().to_owned()).collect(), read)
    }

    #[test]
    fn elements_of_one_account_are_found_however_the_file_is_cut() {
        for piece in [1, 7, 64 * 1024] {
            let (found, read) = found(FILE, piece);
            assert_eq!(read, Ok(()), "pieces of {piece}");
            assert_eq!(found, ["item", "item", "vCard", "result", "result"]);
        }
    }

    #[test]
    fn what_stands_before_the_damage_is_whole() {
        let cut = &FILE[..FILE.find("id='2'").unwrap()];
        let (before, read) = found(cut, 16);
        assert!(read.is_err());
        assert_eq!(before, ["item", "item", "vCard", "result"]);
        let (_, read) = found(&FILE.replace("<FN>", "<FN>&boom;"), 16);
        assert!(read.is_err());
        let bomb = FILE.replace("<FN>", &("<a>".repeat(200) + "<FN>"));
        assert!(found(&bomb, 4_096).1.is_err());
        let huge = FILE.replace("Romeo<", &("x".repeat(9 << 20) + "<"));
        assert!(found(&huge, 4_096).1.is_err());
    }
}
