//! Opening the file of an account.
//!
//! One SQLite file holds everything, encrypted as a whole by SQLCipher. Its first 32 bytes stay plain, so that iOS sees
//! what it is; SQLCipher then cannot find its salt there, and the secret holds both (32 bytes of key, 16 of salt).
//! Migrations are numbered, go forward only, and are never edited once released.

use std::{path::Path, time::Duration};

use jid::BareJid;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, config::DbConfig, params};
use uuid::Uuid;

use crate::{
    api::{self, Unusable},
    error::{Error, Result},
};

/// `WHIM`, in the file's header.
const APPLICATION_ID: i32 = 0x5748_494d;

/// How long to wait for a lock that another process holds. It writes for milliseconds, or it was stopped and holds it for a
/// day: whoever opens the file waits once, and an extension of an app has little time.
const LOCKED: Duration = Duration::from_secs(2);
/// SQLCipher's, in bytes.
const PAGE: u64 = 4_096;

const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_initial.sql")];

/// 32 bytes of key and 16 of salt.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 48]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Opens the file for writing, makes it if it is not there, and brings it to this version's schema.
///
/// # Errors
/// `DatabaseUnusable` where the file is of a newer version, damaged, or not readable with this key. It is left as it is.
pub fn open(path: &Path, secret: &Secret) -> Result<Connection> {
    if is_stump(path) {
        return Err(unusable(Unusable::Corrupt));
    }
    let mut connection =
        connect(path, secret, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    if cfg!(target_vendor = "apple") {
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    }
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the file for reading only. It must have been opened by [`open`] before.
///
/// # Errors
/// As [`open`].
pub fn open_reader(path: &Path, secret: &Secret) -> Result<Connection> {
    let connection = connect(path, secret, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Lets go of the memory that can be had again: pages of the file, and compiled statements.
///
/// # Errors
/// Where the world failed.
pub fn shrink(connection: &Connection) -> Result<()> {
    connection.flush_prepared_statement_cache();
    Ok(connection.execute_batch("PRAGMA shrink_memory")?)
}

/// Which account the file holds; `None` where [`create_account`] was not called yet.
///
/// # Errors
/// Where the world failed.
pub fn account(connection: &Connection) -> Result<Option<BareJid>> {
    let jid: Option<String> =
        connection.query_row("SELECT jid FROM account", [], |row| row.get(0)).optional()?;
    jid.map(|jid| BareJid::new(&jid).map_err(|_| Error::damaged())).transpose()
}

/// Makes the account of a new file. `agent` is this installation's own id (XEP-0388); `now` in ms UTC.
///
/// # Errors
/// Where the world failed, or the file holds an account already.
pub fn create_account(connection: &Connection, jid: &BareJid, agent: Uuid, now: i64) -> Result<()> {
    connection.execute(
        "INSERT INTO account (id, jid, user_agent_id, created_at) VALUES (1, ?1, ?2, ?3)",
        params![jid.as_str(), agent.to_string(), now],
    )?;
    Ok(())
}

/// What stays on the device when the file is copied away from it, or an old one is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The user-agent id of the account (XEP-0388).
    pub id: Uuid,
    /// How often the file was opened.
    pub openings: u64,
}

/// Counts an opening of the file, and gives back what the device is to know from now on. `known` is what it knew; `fresh` an
/// id for a new installation.
///
/// A file with another id, or one that was opened less often than the device knows, is a copy: a backup that was put back, a
/// phone that was cloned. What it says of the session on the server is old, or another device's by now, so nothing of it is
/// used: the next session is bound anew, which opens a gap from the last message that it knows (STREAM 17). What waits in it the
/// original may have sent since: it is in doubt. What is registered for push notifications is a device's own, and the original's to
/// withdraw.
///
/// # Errors
/// Where the world failed, or there is no account.
pub fn count_opening(
    connection: &Connection,
    known: Option<Installation>,
    fresh: Uuid,
) -> Result<Installation> {
    let (id, openings): (String, u64) =
        connection.query_row("SELECT user_agent_id, openings FROM account", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let id = Uuid::parse_str(&id).map_err(|_| Error::bug("the user agent's id"))?;
    let is_original = known.is_some_and(|known| known.id == id && known.openings <= openings);
    let openings = openings.max(known.map_or(0, |known| known.openings)) + 1;
    let id = if is_original { id } else { fresh };
    if !is_original {
        tracing::info!("the file is a copy: its session on the server is not used");
        connection.execute("UPDATE session SET sm = NULL, choked_at = NULL", [])?;
        connection.execute("UPDATE login SET token = NULL, offer = NULL", [])?;
        connection.execute(
            "UPDATE outbox SET first_sent = coalesce(first_sent, queued_at), doubt = 1, covered =
             CASE WHEN first_sent IS NULL THEN (SELECT last_id FROM coverage JOIN account ON jid = archive) ELSE covered END
             WHERE kind = 0",
            [],
        )?;
        connection.execute("DELETE FROM push", [])?;
    }
    connection.execute(
        "UPDATE account SET user_agent_id = ?1, openings = ?2",
        params![id.to_string(), openings as i64],
    )?;
    Ok(Installation { id, openings })
}

/// What the app decides about an account and may change later.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// What the user calls this device.
    pub resource: Option<&'a str>,
    /// Whether PLAIN is allowed, over verified TLS.
    pub allow_plain: bool,
    /// How to connect, in the client's own words.
    pub connection: &'a str,
}

/// Changes the settings of an account that is not loaded.
///
/// # Errors
/// Where the world failed.
pub fn configure(connection: &Connection, settings: &Settings<'_>) -> Result<()> {
    connection.execute(
        "UPDATE account SET resource = ?1, allow_plain = ?2, connection = ?3",
        params![settings.resource, settings.allow_plain, settings.connection],
    )?;
    Ok(())
}

/// How to connect, as it was given to [`configure`].
///
/// # Errors
/// Where the world failed, or there is no account.
pub fn connection(connection: &Connection) -> Result<String> {
    Ok(connection.query_row("SELECT connection FROM account", [], |row| row.get(0))?)
}

/// What the index of words and the pictures take, in bytes.
///
/// # Errors
/// Where the world failed.
pub fn parts(connection: &Connection) -> Result<(u64, u64)> {
    let sum = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|sum| sum as u64);
    let index = sum("SELECT coalesce(sum(length(block)), 0) FROM word_data")?;
    let pictures = sum("SELECT coalesce(sum(length(bytes)), 0) FROM avatar")?;
    Ok((index, pictures))
}

/// Less than a page was left of the file: SQLite would take it for a new one and write over it. While a file is made, its
/// journal lies beside it.
fn is_stump(path: &Path) -> bool {
    let size = path.metadata().map_or(0, |file| file.len());
    (1..PAGE).contains(&size) && !path.with_extension("db-journal").exists()
}

fn connect(path: &Path, secret: &Secret, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let hex: String = secret.0.iter().map(|byte| format!("{byte:02x}")).collect();
    // The order matters: the key comes first, and SQLCipher writes its mind to stderr unless told not to.
    connection.pragma_update(None, "key", format!("x'{hex}'"))?;
    connection.pragma_update(None, "cipher_log_level", "NONE")?;
    connection.pragma_update(None, "cipher_plaintext_header_size", 32)?;
    // Each page that is written or read is hashed. Every 64-bit phone does SHA-256 in hardware, few do SHA-512, the default.
    connection.pragma_update(None, "cipher_hmac_algorithm", "HMAC_SHA256")?;
    connection.busy_timeout(LOCKED)?;
    connection.set_prepared_statement_cache_capacity(256);
    // The first read is what tells whether the key fits.
    match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)) {
        Ok(_) => {}
        Err(error) => {
            return Err(match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::Unknown) => {
                    unusable(Unusable::WrongKey)
                }
                _ => error.into(),
            });
        }
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    settle_plans(&connection)?;
    Ok(connection)
}

/// A statement is planned once. SQLite would plan one anew with every use whose bound values could make a partial index fit
/// (`message_undisplayed`, where `mine = ?3`), and so the two that look for each message that comes.
///
/// # Errors
/// Where the world failed.
pub fn settle_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn migrate(connection: &mut Connection) -> Result<()> {
    // Looked at first without a lock, which a process that was stopped within a transaction may hold.
    if check_version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = check_version(&tx)?;
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", number + 1)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    tx.commit()?;
    Ok(())
}

fn check_version(connection: &Connection) -> Result<usize> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > MIGRATIONS.len() {
        return Err(unusable(Unusable::Newer));
    }
    if version > 0 {
        let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if application != APPLICATION_ID {
            return Err(Error::damaged());
        }
    }
    Ok(version)
}

fn unusable(why: Unusable) -> Error {
    Error::World { what: api::Error::DatabaseUnusable { why }, source: None }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    fn why(error: Error) -> Unusable {
        match error.to_api() {
            api::Error::DatabaseUnusable { why } => why,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn file_is_encrypted_and_opens_again_with_its_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("account.db");
        let secret = Secret([7; 48]);
        let connection = open(&path, &secret).unwrap();
        connection.execute("INSERT INTO subscription_request VALUES ('wherefore', 1597)", []).unwrap();
        connection.close().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(b"SQLite format 3"));
        assert!(!bytes.windows(9).any(|window| window == b"wherefore"));
        assert_eq!(why(open(&path, &Secret([8; 48])).unwrap_err()), Unusable::WrongKey);
        let connection = open(&path, &secret).unwrap();
        let at: i64 =
            connection.query_row("SELECT at FROM subscription_request", [], |row| row.get(0)).unwrap();
        assert_eq!(at, 1597);
        assert!(
            open_reader(&path, &secret).unwrap().execute("DELETE FROM subscription_request", []).is_err()
        );
    }

    #[test]
    fn what_was_read_once_is_not_read_again_until_its_memory_was_let_go_of() {
        // What this thread has read from files, in bytes.
        let so_far = || -> u64 {
            let counted = std::fs::read_to_string("/proc/thread-self/io").unwrap();
            counted.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("account.db");
        let secret = Secret([7; 48]);
        let writer = open(&path, &secret).unwrap();
        for connection in [&writer, &open_reader(&path, &secret).unwrap()] {
            let read = || {
                let before = so_far();
                let tables: u32 = connection
                    .query_row("SELECT count(name) FROM sqlite_schema", [], |row| row.get(0))
                    .unwrap();
                assert!(tables > 0);
                so_far() - before
            };
            read();
            // Looking is counted as well, but is less than a page.
            assert!(read() < 4096);
            shrink(connection).unwrap();
            assert!(read() >= 4096);
        }
    }

    #[test]
    fn statement_is_planned_once_whatever_is_bound() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&dir.path().join("account.db"), &Secret([7; 48])).unwrap();
        let mut looks = connection
            .prepare("SELECT id FROM message WHERE name = ?1 AND conversation = ?2 AND mine = ?3")
            .unwrap();
        for mine in [false, true, true] {
            assert!(!looks.exists(params!["name", 1, mine]).unwrap());
        }
        assert_eq!(looks.get_status(StatementStatus::RePrepare), 0);
    }

    #[test]
    fn database_from_the_future_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("account.db");
        let secret = Secret([7; 48]);
        let connection = open(&path, &secret).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        connection.close().unwrap();
        let before = std::fs::read(&path).unwrap();
        assert_eq!(why(open(&path, &secret).unwrap_err()), Unusable::Newer);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
