//! Files of devices on disks that can fail. Made once as a template and copied, since worlds are many.

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use fault_vfs::Disk;
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;
use whimbrel_engine::store::{self, Secret, Settings};

use crate::{
    device::jid,
    server::{PLAY, address},
};

const FILE: &str = "account.db";
const SECRET: Secret = Secret([7; 48]);

/// The file of a device.
#[derive(Debug)]
pub(crate) struct Files {
    disk: Disk,
    encrypted: bool,
    /// Pages that the engine's connection keeps, where these are so few that it writes in the middle of a statement.
    cache: Option<i64>,
    /// Rows that engines have written.
    rows: Arc<AtomicU64>,
}

struct Templates {
    encrypted: Vec<Disk>,
    plain: Vec<Disk>,
}

static TEMPLATES: OnceLock<Templates> = OnceLock::new();

impl Files {
    /// A new device of an account: the schema, the address, no password yet.
    pub(crate) fn new(account: usize, encrypted: bool, cache: Option<i64>) -> Self {
        let templates = TEMPLATES.get_or_init(|| {
            fault_vfs::install();
            let accounts = 0..3;
            let encrypted: Vec<Disk> = accounts.clone().map(encrypted_template).collect();
            let plain = encrypted.iter().map(plain_copy).collect();
            Templates { encrypted, plain }
        });
        let disks = if encrypted { &templates.encrypted } else { &templates.plain };
        Self { disk: disks[account].copy_of(), encrypted, cache, rows: Arc::default() }
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    fn path(&self) -> PathBuf {
        self.disk.path(FILE)
    }

    /// For the engine.
    pub(crate) fn open(&self) -> Result<Connection, String> {
        let connection = if self.encrypted {
            store::open(&self.path(), &SECRET).map_err(|error| error.to_string())?
        } else {
            plain(&self.path(), true).map_err(|error| error.to_string())?
        };
        if let Some(pages) = self.cache {
            connection.pragma_update(None, "cache_size", pages).map_err(|error| error.to_string())?;
        }
        let rows = Arc::clone(&self.rows);
        connection.update_hook(Some(move |_, _: &str, _: &str, _| {
            rows.fetch_add(1, Ordering::Relaxed);
        }));
        Ok(connection)
    }

    /// Rows that engines have written here: put, changed and deleted.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(crate) fn reader(&self) -> rusqlite::Result<Connection> {
        if self.encrypted {
            return store::open_reader(&self.path(), &SECRET).map_err(|_| rusqlite::Error::InvalidQuery);
        }
        plain(&self.path(), false)
    }
}

fn encrypted_template(account: usize) -> Disk {
    let disk = Disk::new();
    let connection = store::open(&disk.path(FILE), &SECRET).expect("a healthy disk");
    let agent = Uuid::from_u128(account as u128 + 1);
    store::create_account(&connection, &jid(account), agent, 0).expect("a new file");
    // Of the app's namespaces, that of what is said in messages.
    connection.execute("INSERT INTO claim (namespace, kind) VALUES (?1, 1)", [PLAY]).expect("a new file");
    let settings = Settings { resource: Some("phone"), allow_plain: true, connection: "{}" };
    store::configure(&connection, &settings).expect("a new file");
    assert_eq!(store::account(&connection).ok().flatten().map(|jid| jid.to_string()), Some(address(account)));
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a healthy disk");
    connection.close().expect("nothing is under way");
    disk
}

/// The same without the cipher, which costs most of a commit.
fn plain_copy(encrypted: &Disk) -> Disk {
    let disk = Disk::new();
    let connection = store::open(&encrypted.path(FILE), &SECRET).expect("a healthy disk");
    let version: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a healthy disk");
    let to = disk.path(FILE);
    connection
        .execute("ATTACH DATABASE ?1 AS plain KEY ''", [to.to_str().expect("our own name")])
        .expect("a healthy disk");
    connection.query_row("SELECT sqlcipher_export('plain')", [], |_| Ok(())).expect("a healthy disk");
    connection.execute_batch("DETACH DATABASE plain").expect("a healthy disk");
    let copy = plain(&to, true).expect("a healthy disk");
    copy.pragma_update(None, "user_version", version).expect("a healthy disk");
    copy.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a healthy disk");
    copy.close().expect("nothing is under way");
    disk
}

/// As `store::open` does it, but for the cipher.
fn plain(path: &std::path::Path, writes: bool) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(128);
    if writes {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
    } else {
        connection.pragma_update(None, "query_only", true)?;
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    store::settle_plans(&connection)?;
    Ok(connection)
}
