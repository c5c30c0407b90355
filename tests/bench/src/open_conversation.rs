//! The first screen of a conversation in an archive of a million messages.
//!
//! The archive is written once, in bulk, into a file of the engine's own schema, and kept beside the build. Conversations
//! are long and short, as people's are, and their messages lie among each other's as they came. Warm: one process opens
//! one conversation after the other. Cold: each time a new process, and the file is not in the system's cache.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use clap::Args;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rusqlite::{
    Connection, params,
    trace::{TraceEvent, TraceEventCodes},
};
use rustix::fs::{Advice, fadvise};
use uuid::Uuid;
use whimbrel::{Client, FileVault, Options};
use whimbrel_engine::{
    Config, Engine, Input, Now,
    store::{self, Secret},
    timeline,
};

use crate::{
    Result, archive,
    children::Child,
    figures::{Report, percentile},
};

pub(crate) const ACCOUNT: &str = "alice@a.test";
pub(crate) const CONVERSATIONS: u64 = 300;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many messages there are
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// How many conversations are opened warm
    #[arg(long, default_value_t = 2_000)]
    samples: usize,
    /// How many are opened cold
    #[arg(long, default_value_t = 40)]
    cold: usize,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("open_conversation");
    let phone = crate::data_dir("open_conversation")?.join(format!("phone-{}", arguments.messages));
    let file = ensure(&phone, arguments.messages, CONVERSATIONS, &archive::text)?;
    check_plans(&phone, &file)?;

    let mut rng = StdRng::seed_from_u64(1_000_000);
    let mut with = || contact(rng.random_range(0..CONVERSATIONS));
    let mut child = start(&phone)?;
    let mut warm = Vec::new();
    for at in 0..arguments.samples + 100 {
        let ms = open(&mut child, &with())?;
        // The first ones open the file and fill its cache.
        if at >= 100 {
            warm.push(ms);
        }
    }
    child.end()?;
    report.aimed("first_screen_p50", percentile(warm.iter().copied(), 0.5), "ms", 1.0);
    report.aimed("first_screen_p99", percentile(warm, 0.99), "ms", 1.0);

    let mut cold = Vec::new();
    for _ in 0..arguments.cold {
        let mut child = start(&phone)?;
        forget(&file)?;
        cold.push(open(&mut child, &with())?);
        child.end()?;
    }
    report.figure("first_screen_cold_p50", percentile(cold.iter().copied(), 0.5), "ms");
    report.figure("first_screen_cold_p99", percentile(cold, 0.99), "ms");
    report.figure("file_size", fs::metadata(&file)?.len() as f64 / (1 << 20) as f64, "MB");
    Ok(())
}

fn start(phone: &Path) -> Result<Child> {
    let data = phone.display().to_string();
    let mut child = Child::start(&["phone", "--data", &data, "--account", ACCOUNT, "open"])?;
    child.hear("ready")?;
    Ok(child)
}

fn open(child: &mut Child, with: &str) -> Result<f64> {
    child.say(with)?;
    let (_, opened) = child.hear("opened")?;
    match (opened["items"].as_u64(), opened["ms"].as_f64()) {
        (Some(1..), Some(ms)) => Ok(ms),
        _ => Err(format!("{with} has an empty screen").into()),
    }
}

/// Takes the file out of the system's cache.
fn forget(file: &Path) -> Result<()> {
    let file = fs::File::open(file)?;
    file.sync_all()?;
    Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
}

/// When a message came, ms UTC.
pub(crate) fn at(number: u64) -> i64 {
    1_700_000_000_000 + number as i64 * 60_000
}

pub(crate) fn contact(number: u64) -> String {
    format!("contact{number}@b.test")
}

/// A phone with an archive of this size; made anew where the schema is another. Gives back its file.
pub(crate) fn ensure(
    phone: &Path,
    messages: u64,
    conversations: u64,
    text: &dyn Fn(u64) -> String,
) -> Result<PathBuf> {
    let (made, schema) = (phone.join("made-for"), schema()?);
    if fs::read_to_string(&made).is_ok_and(|made| made == schema) {
        let file = database(phone)?;
        // The cipher's settings may have changed, too.
        if store::open_reader(&file, &secret(phone)?).is_ok() {
            return Ok(file);
        }
    }
    if phone.exists() {
        fs::remove_dir_all(phone)?;
    }
    fs::create_dir_all(phone)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = Client::open(phone, Arc::new(FileVault::new(phone)), Options::default()).await?;
        client.add_account(ACCOUNT.parse()?, whimbrel::Connection::default()).await?;
        client.close().await;
        Result::Ok(())
    })?;
    let file = database(phone)?;
    eprintln!("writing {messages} messages into {}", file.display());
    let mut connection = store::open(&file, &secret(phone)?)?;
    fill(&mut connection, messages, conversations, text)?;
    index(connection)?;
    fs::write(made, schema)?;
    Ok(file)
}

/// The one file below a directory whose name fits.
fn find(dir: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let names = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    let found = names.into_iter().find(|entry| entry.file_name().to_str().is_some_and(&fits));
    Ok(found.ok_or_else(|| format!("nothing is in {}", dir.display()))?.path())
}

pub(crate) fn database(phone: &Path) -> Result<PathBuf> {
    Ok(find(&phone.join("accounts"), |_| true)?.join("account.db"))
}

pub(crate) fn secret(phone: &Path) -> Result<Secret> {
    let bytes = fs::read(find(phone, |name| name.starts_with("database-"))?)?;
    Ok(Secret(<[u8; 48]>::try_from(bytes).map_err(|_| "a secret of another length")?))
}

/// What the engine makes of an empty file.
fn schema() -> Result<String> {
    let dir = crate::data_dir("open_conversation")?;
    let file = dir.join("schema.db");
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.join(format!("schema.db{end}")));
    }
    let connection = store::open(&file, &Secret([0; 48]))?;
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.join(";\n"))
}

/// Has all of it indexed, as when the account has nothing else to do, and closes the file.
pub(crate) fn index(connection: Connection) -> Result<()> {
    let mut engine = Engine::load(connection, Config::default())?;
    let (now, mut rng) = (Now { mono: 0, wall: at(0) }, StdRng::seed_from_u64(0));
    engine.turn(vec![Input::Tick], now, &mut rng);
    while engine.next_wake() == Some(now.mono) {
        engine.turn(vec![Input::Tick], now, &mut rng);
    }
    Ok(engine.close()?)
}

fn fill(
    connection: &mut Connection,
    messages: u64,
    conversations: u64,
    text: &dyn Fn(u64) -> String,
) -> Result<()> {
    connection.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA wal_autocheckpoint = 100000",
    )?;
    let tx = connection.transaction()?;
    // Random keys are sorted once, at the end.
    let indexes: Vec<(String, String)> = tx
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'message' AND sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, _) in &indexes {
        tx.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    {
        let mut conversation = tx.prepare("INSERT INTO conversation (id, jid) VALUES (?1, ?2)")?;
        for number in 0..conversations {
            conversation.execute(params![number as i64 + 1, contact(number)])?;
        }
        let mut message = tx.prepare(
            "INSERT INTO message (conversation, position, mine, kind, sender, body, at, name, has_origin, state, asks)
             VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, 1, ?8, 3)",
        )?;
        let mut archived =
            tx.prepare("INSERT INTO archived (id, archive, message, place) VALUES (?1, ?2, ?3, ?4)")?;
        let mut rng = StdRng::seed_from_u64(300);
        let (mut with, mut left) = (0, 0);
        for number in 0..messages {
            // A few messages to and fro, then somebody else; some people far more often than others.
            if number < conversations {
                (with, left) = (number, 1);
            } else if left == 0 {
                with = (rng.random::<f64>().powi(3) * conversations as f64) as u64;
                left = rng.random_range(1..12);
            }
            left -= 1;
            let mine = rng.random_bool(0.4);
            let sender = if mine { format!("{ACCOUNT}/phone") } else { format!("{}/phone", contact(with)) };
            let name = Uuid::from_u128(rng.random()).to_string();
            message.execute(params![
                with as i64 + 1,
                number as i64 * 65_536,
                mine,
                sender,
                text(number),
                at(number),
                name,
                if mine { 2 } else { 0 },
            ])?;
            archived.execute(params![
                archive::key(number),
                ACCOUNT,
                number as i64 + 1,
                number as i64 * 65_536
            ])?;
        }
    }
    for (_, sql) in &indexes {
        tx.execute_batch(sql)?;
    }
    // What comes stands above all that is there.
    tx.execute("UPDATE session SET next_position = ?1", params![messages as i64 * 65_536])?;
    tx.execute_batch(
        "UPDATE conversation SET (last_message, last_position) =
         (SELECT id, position FROM message WHERE conversation = conversation.id ORDER BY position DESC LIMIT 1);
         DELETE FROM conversation WHERE last_message IS NULL;
         UPDATE conversation SET unread = id % 7;",
    )?;
    Ok(tx.commit()?)
}

/// What was asked while a screen was read: the callback takes no state.
static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// No statement of a first screen may go through a table or sort: a million messages would be felt.
fn check_plans(phone: &Path, file: &Path) -> Result<()> {
    let connection = store::open_reader(file, &secret(phone)?)?;
    connection.trace_v2(
        TraceEventCodes::SQLITE_TRACE_STMT,
        Some(|event| {
            if let TraceEvent::Stmt(_, sql) = event
                && let Ok(mut asked) = ASKED.lock()
            {
                asked.push(sql.to_owned());
            }
        }),
    );
    let with = contact(1).parse()?;
    let start = timeline::start(&connection, &with, 50)?;
    timeline::window(&connection, &with, start, 0)?;
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, None);
    let asked = std::mem::take(&mut *ASKED.lock().map_err(|_| "a panic while tracing")?);
    for sql in asked {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let step: String = row.get(3)?;
            // Gaps are a handful.
            if (step.starts_with("SCAN") && step != "SCAN gap")
                || (step.contains("TEMP B-TREE") && !sql.contains("FROM gap"))
            {
                return Err(format!("{step}, in: {sql}").into());
            }
        }
    }
    Ok(())
}
