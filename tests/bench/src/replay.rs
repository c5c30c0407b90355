//! The work of a catch-up told apart: the pages that the bare parser recorded, fed to one layer more each time.
//!
//! Nothing waits here: it is one thread's processor time a message, the kernel's part included. Each layer is the
//! difference between two replays:
//!
//! | figure | what is replayed |
//! |---|---|
//! | `layer_parsing` | the bytes through rxml, every event thrown away |
//! | `layer_building` | through our framing, into elements |
//! | `layer_deciding` | through the engine on a database in memory, less the next |
//! | `layer_sqlite` | the statements of that replay again, by themselves |
//! | `layer_file` | the engine on a file that is not encrypted |
//! | `layer_cipher` | the engine on a file as it is |
//! | `layer_index` | the words of what came into the index, as is done once there is nothing else to do |
//! | `layer_rest` | what the whole took beyond all of these and the bare parser's network and TLS |

use std::{collections::VecDeque, fs, path::Path, sync::Mutex};

use minidom::Element;
use rand::{SeedableRng as _, rngs::StdRng};
use rusqlite::{
    Connection,
    trace::{TraceEvent, TraceEventCodes},
    types::Value,
};
use rxml::{Parse as _, Parser};
use uuid::Uuid;
use whimbrel_engine::{
    Config, Effect, Engine, Input, LinkFailure, LinkId, Now, StreamHeader, Tls,
    api::{Command, RequestId},
    store::{self, Secret},
};

use crate::{
    Result,
    archive::{ACCOUNT, ArchiveServer},
    bare::QUERY,
    clocks,
    figures::{Report, median},
    open_conversation,
};
use whimbrel::internals::Framing;

const ROUNDS: usize = 5;
/// Elements in one batch, as the driver gathers them while it fetches an archive.
const BATCH: usize = 250;
/// Bytes of one read.
const READ: usize = 64 * 1024;
const SECRET: Secret = Secret([7; 48]);

/// Replays what was recorded. `whole` is the processor time in µs of the phone and of the bare parser, for all messages.
pub(crate) fn layers(report: &mut Report, record: &Path, dir: &Path, whole: (f64, f64)) -> Result<()> {
    let pages: Vec<String> = serde_json::from_str(&fs::read_to_string(record)?)?;
    let messages = pages.iter().map(|page| page.matches("<result ").count()).sum::<usize>() as f64;
    let (cipher, plain) = (dir.join("replay.db"), dir.join("replay-plain.db"));
    let mut times: [Vec<f64>; 7] = Default::default();
    for _ in 0..ROUNDS {
        make(&cipher, &plain)?;
        let statements = recorded_statements(&plain, &pages)?;
        let taken = [
            timed(|| parse(&pages))?,
            timed(|| build(&pages))?,
            engine(in_memory(&plain)?, &pages)?,
            replay_statements(&in_memory(&plain)?, &statements)?,
            engine(in_file(&plain)?, &pages)?,
            engine(store::open(&cipher, &SECRET)?, &pages)?,
            // In the file that this has left.
            timed(|| open_conversation::index(store::open(&cipher, &SECRET)?))?,
        ];
        for (times, taken) in times.iter_mut().zip(taken) {
            times.push(taken / messages);
        }
    }
    let [parsing, building, memory, sqlite, file, encrypted, index] = times.map(median);
    report.figure("layer_parsing", parsing, "us");
    report.figure("layer_building", building - parsing, "us");
    report.figure("layer_deciding", memory - sqlite, "us");
    report.figure("layer_sqlite", sqlite, "us");
    report.figure("layer_file", file - memory, "us");
    report.figure("layer_cipher", encrypted - file, "us");
    report.figure("layer_index", index, "us");
    report.figure("with_index", (building + encrypted + index) / (building + encrypted), "x");
    let (phone, bare) = (whole.0 / messages, whole.1 / messages);
    report.figure("layer_rest", phone - building - encrypted - (bare - parsing), "us");
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = clocks::thread();
    work()?;
    Ok(clocks::thread() - began)
}

fn parse(pages: &[String]) -> Result<()> {
    let mut parser = Parser::default();
    let mut header = HEADER.as_bytes();
    while parser.parse(&mut header, false).is_ok_and(|event| event.is_some()) {}
    for page in pages {
        for mut chunk in page.as_bytes().chunks(READ) {
            while parser.parse(&mut chunk, false).is_ok_and(|event| event.is_some()) {}
        }
    }
    Ok(())
}

fn build(pages: &[String]) -> Result<()> {
    let mut framing = Framing::default();
    let mut inputs = Vec::new();
    framing.feed(LINK, HEADER.as_bytes(), &mut inputs).map_err(failed)?;
    for page in pages {
        for chunk in page.as_bytes().chunks(READ) {
            inputs.clear();
            framing.feed(LINK, chunk, &mut inputs).map_err(failed)?;
        }
    }
    Ok(())
}

fn failed(failure: LinkFailure) -> String {
    format!("{failure:?}")
}

/// An account that signed in before, and the same without cipher.
fn make(cipher: &Path, plain: &Path) -> Result<()> {
    for path in [cipher, plain] {
        for end in ["", "-wal", "-shm"] {
            match fs::remove_file(format!("{}{end}", path.display())) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    let file = store::open(cipher, &SECRET)?;
    store::create_account(&file, &ACCOUNT.parse()?, Uuid::nil(), 0)?;
    file.execute_batch(
        "UPDATE account SET password = 'secret', allow_plain = 1; UPDATE login SET archive = 2",
    )?;
    file.execute(
        "INSERT INTO coverage (archive, last_id, position, last_at) VALUES (?1, ?2, 0, 0)",
        [ACCOUNT, &ArchiveServer::last_before()],
    )?;
    file.execute("ATTACH ?1 AS plain KEY ''", [plain.display().to_string()])?;
    file.query_row("SELECT sqlcipher_export('plain')", [], |_| Ok(()))?;
    file.execute("DETACH plain", [])?;
    Ok(())
}

fn in_file(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    set_up(&connection)?;
    Ok(connection)
}

fn in_memory(path: &Path) -> Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    connection.restore(rusqlite::MAIN_DB, path, None::<fn(rusqlite::backup::Progress)>)?;
    set_up(&connection)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(store::settle_plans(connection)?)
}

const LINK: LinkId = LinkId(1);
const NOW: Now = Now { mono: 1, wall: 1_795_000_000_000 };
const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='a.test' id='1'>";

/// Plays the server to an engine, and gives back the thread's time in the pages.
fn engine(connection: Connection, pages: &[String]) -> Result<f64> {
    let mut theatre = Theatre::open(connection)?;
    let mut taken = 0.0;
    for page in pages {
        let mut page = page.replace(QUERY, &theatre.asked()?);
        page.push_str(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", theatre.counted - 1));
        let mut inputs = Vec::new();
        for chunk in page.as_bytes().chunks(READ) {
            theatre.framing.feed(LINK, chunk, &mut inputs).map_err(failed)?;
        }
        let mut inputs = inputs.into_iter();
        let batches = std::iter::from_fn(|| Some(inputs.by_ref().take(BATCH).collect::<Vec<_>>()));
        let batches: Vec<Vec<Input>> = batches.take_while(|batch| !batch.is_empty()).collect();
        let began = clocks::thread();
        for batch in batches {
            theatre.turn(batch);
        }
        taken += clocks::thread() - began;
    }
    if theatre.asked().is_ok() {
        return Err("the engine was not caught up after the last page".into());
    }
    Ok(taken)
}

struct Theatre {
    engine: Engine,
    framing: Framing,
    rng: StdRng,
    queries: VecDeque<String>,
    /// Stanzas that the server has to acknowledge.
    counted: u32,
}

impl Theatre {
    /// Logs in by RFC 6120 with PLAIN and binds.
    fn open(connection: Connection) -> Result<Self> {
        let engine = Engine::load(connection, Config { page: 500, ..Config::default() })?;
        let mut framing = Framing::default();
        framing.feed(LINK, HEADER.as_bytes(), &mut Vec::new()).map_err(failed)?;
        let mut this =
            Self { engine, framing, rng: StdRng::seed_from_u64(1), queries: VecDeque::new(), counted: 0 };
        this.turn(vec![Input::Command { request: RequestId(1), command: Command::Connect }]);
        this.turn(vec![Input::LinkUp { link: LINK, tls: Some(Tls::default()) }]);
        this.turn(vec![Input::Header { link: LINK, header: StreamHeader { from: None, id: None } }]);
        let stream = "xmlns:stream='http://etherx.jabber.org/streams'";
        let bind = "urn:ietf:params:xml:ns:xmpp-bind";
        let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
        for said in [
            format!(
                "<stream:features {stream}><mechanisms xmlns='{sasl}'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
            ),
            format!("<success xmlns='{sasl}'/>"),
            format!(
                "<stream:features {stream}><bind xmlns='{bind}'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>"
            ),
            format!(
                "<iq xmlns='jabber:client' type='result' id='bind'><bind xmlns='{bind}'><jid>{ACCOUNT}/phone</jid></bind></iq>"
            ),
            "<enabled xmlns='urn:xmpp:sm:3' id='session' resume='true'/>".to_owned(),
        ] {
            let element: Element = said.parse()?;
            this.turn(vec![Input::Element { link: LINK, element }]);
        }
        // Resource binding comes before the counting.
        this.counted -= 1;
        if this.queries.is_empty() { Err("the engine did not come online".into()) } else { Ok(this) }
    }

    fn turn(&mut self, inputs: Vec<Input>) {
        for effect in self.engine.turn(inputs, NOW, &mut self.rng) {
            let Effect::Send { bytes, .. } = effect else { continue };
            let text = String::from_utf8_lossy(&bytes);
            self.counted += u32::from(text.starts_with("<iq ") || text.starts_with("<presence"));
            if let Some((_, rest)) = text.split_once("queryid='")
                && let Some((id, _)) = rest.split_once('\'')
            {
                self.queries.push_back(id.to_owned());
            }
        }
    }

    /// The id of the query that waits for its page.
    fn asked(&mut self) -> Result<String> {
        Ok(self.queries.pop_front().ok_or("the engine asks for nothing")?)
    }
}

/// A statement with what was bound to it.
struct Statement {
    sql: String,
    values: Vec<Value>,
}

/// What the trace has seen: the callback takes no state.
static SEEN: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

fn recorded_statements(plain: &Path, pages: &[String]) -> Result<Vec<Statement>> {
    let connection = in_memory(plain)?;
    connection.trace_v2(
        TraceEventCodes::SQLITE_TRACE_STMT,
        Some(|event| {
            if let TraceEvent::Stmt(statement, sql) = event
                && !sql.starts_with("--")
                && let (Ok(mut seen), Some(expanded)) = (SEEN.lock(), statement.expanded_sql())
            {
                seen.push((sql.to_owned(), expanded));
            }
        }),
    );
    engine(connection, pages)?;
    let seen = std::mem::take(&mut *SEEN.lock().map_err(|_| "a panic while tracing")?);
    // What came before the pages is a handful of a hundred thousand.
    Ok(seen.into_iter().filter_map(|(sql, expanded)| bound(sql, &expanded)).collect())
}

fn replay_statements(connection: &Connection, statements: &[Statement]) -> Result<f64> {
    let began = clocks::thread();
    for Statement { sql, values } in statements {
        let mut statement = connection.prepare_cached(sql)?;
        for (index, value) in values.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, value)?;
        }
        let mut rows = statement.raw_query();
        // The engine meets the same: an id that is there already, an account that is loaded.
        while rows.next().is_ok_and(|row| row.is_some()) {}
    }
    Ok(clocks::thread() - began)
}

/// Finds out what was bound, by reading the statement beside the same with its values written out.
fn bound(sql: String, expanded: &str) -> Option<Statement> {
    let mut values: Vec<Value> = Vec::new();
    let mut rest = expanded;
    let mut template = sql.as_str();
    while let Some((before, behind)) = template.split_once('?') {
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let index: usize = behind[..digits].parse().ok()?;
        rest = rest.strip_prefix(before)?;
        let (value, after) = literal(rest)?;
        if values.len() < index {
            values.resize(index, Value::Null);
        }
        values[index - 1] = value;
        (template, rest) = (&behind[digits..], after);
    }
    Some(Statement { sql, values })
}

/// Reads one SQL literal as SQLite writes them.
fn literal(text: &str) -> Option<(Value, &str)> {
    if let Some(rest) = text.strip_prefix("NULL") {
        return Some((Value::Null, rest));
    }
    if let Some(rest) = text.strip_prefix("x'") {
        let (hex, rest) = rest.split_once('\'')?;
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16));
        return Some((Value::Blob(bytes.collect::<std::result::Result<_, _>>().ok()?), rest));
    }
    if let Some(mut rest) = text.strip_prefix('\'') {
        let mut string = String::new();
        loop {
            let (piece, behind) = rest.split_once('\'')?;
            string.push_str(piece);
            match behind.strip_prefix('\'') {
                Some(behind) => {
                    string.push('\'');
                    rest = behind;
                }
                None => return Some((Value::Text(string), behind)),
            }
        }
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && !"-+.e".contains(c)).unwrap_or(text.len());
    let number = &text[..end];
    let value = match number.parse() {
        Ok(integer) => Value::Integer(integer),
        Err(_) => Value::Real(number.parse().ok()?),
    };
    Some((value, &text[end..]))
}
