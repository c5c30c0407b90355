//! SQLite on a disk that fails at every single operation: what was committed is there, and nothing in between is.
//!
//! The same under `whimbrel_engine::store::open` (cipher, write-ahead log, `synchronous=FULL`), under plain SQLite with its log,
//! and with a rollback journal.

use std::path::Path;

use fault_vfs::{Disk, Fate, Fault};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rusqlite::{Connection, TransactionBehavior, params};
use whimbrel_engine::store::{self, Secret};

const FILE: &str = "account.db";
const ROWS: i64 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Cipher,
    /// With a rollback journal instead of a log, which is deleted with each commit.
    Journal,
}

const LOGS: [Kind; 2] = [Kind::Plain, Kind::Cipher];
const ALL: [Kind; 3] = [Kind::Plain, Kind::Cipher, Kind::Journal];

/// A device with a database in which every row says the same number: how often it was changed.
struct Phone {
    kind: Kind,
    disk: Disk,
}

impl Phone {
    fn new(kind: Kind) -> Self {
        fault_vfs::install();
        let phone = Self { kind, disk: Disk::new() };
        let connection = phone.open().expect("a whole disk");
        connection
            .execute_batch(
                "CREATE TABLE ledger (id INTEGER PRIMARY KEY, turn INTEGER NOT NULL, ballast BLOB NOT NULL)",
            )
            .expect("a whole disk");
        for id in 0..ROWS {
            connection
                .execute("INSERT INTO ledger VALUES (?1, 0, zeroblob(900))", params![id])
                .expect("a whole disk");
        }
        drop(connection);
        phone
    }

    fn copy(&self) -> Self {
        Self { kind: self.kind, disk: self.disk.copy_of() }
    }

    fn open(&self) -> Result<Connection, String> {
        let path = self.disk.path(FILE);
        match self.kind {
            Kind::Cipher => store::open(&path, &Secret([7; 48])).map_err(|error| format!("{error:?}")),
            Kind::Plain => plain(&path, "WAL", "FULL").map_err(|error| error.to_string()),
            Kind::Journal => plain(&path, "DELETE", "EXTRA").map_err(|error| error.to_string()),
        }
    }

    /// What a new process sees: a whole file, in which every row says the same.
    fn turn(&self) -> i64 {
        turn(&self.open().expect("the file can be opened again"))
    }
}

fn plain(path: &Path, journal: &str, synchronous: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", journal)?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(connection)
}

fn turn(connection: &Connection) -> i64 {
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it can be checked");
    assert_eq!(check, "ok");
    let (least, most, rows): (i64, i64, i64) = connection
        .query_row("SELECT min(turn), max(turn), count(*) FROM ledger", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .expect("the ledger can be read");
    assert_eq!((least, rows), (most, ROWS), "half a transaction is there");
    least
}

fn take_turn(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for id in 0..ROWS {
        tx.execute("UPDATE ledger SET turn = turn + 1 WHERE id = ?1", params![id])?;
    }
    tx.commit()
}

/// Opens, commits, writes the log back, commits again, closes. Returns how many commits were reported to have gone well.
fn live(phone: &Phone) -> i64 {
    let mut committed = 0;
    let Ok(mut connection) = phone.open() else { return committed };
    for round in 0..4 {
        match take_turn(&mut connection) {
            Ok(()) => committed += 1,
            Err(_) => return committed,
        }
        if round == 1 {
            let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
    let _ = connection.close();
    committed
}

#[test]
fn killed_at_any_operation_of_a_life_the_file_is_as_before_or_as_after() {
    for kind in ALL {
        let template = Phone::new(kind);
        for fault in [Fault::Die, Fault::DieAfter] {
            let mut at = 0;
            loop {
                at += 1;
                let phone = template.copy();
                phone.disk.fail(at, fault);
                let committed = live(&phone);
                let died = phone.disk.in_force().is_some();
                phone.disk.crash();
                let turn = phone.turn();
                assert!((committed..=committed + 1).contains(&turn), "{kind:?} {fault:?} at {at}: {turn}");
                if !died {
                    assert_eq!((committed, turn), (4, 4));
                    break;
                }
            }
            assert!(at > 30, "{kind:?} {fault:?}: {at} operations");
        }
    }
}

#[test]
fn killed_while_it_recovers_the_file_recovers_the_next_time() {
    for kind in ALL {
        let template = Phone::new(kind);
        // Leaves a log that was not written back, or a journal that was not deleted.
        let rehearsal = template.copy();
        let mut connection = rehearsal.open().expect("a whole disk");
        let before = rehearsal.disk.operations();
        take_turn(&mut connection).expect("a whole disk");
        let operations = rehearsal.disk.operations() - before;
        let mut connection = template.open().expect("a whole disk");
        template.disk.fail(operations, if kind == Kind::Journal { Fault::Die } else { Fault::DieAfter });
        assert!(take_turn(&mut connection).is_err());
        template.disk.crash();
        let expected = i64::from(kind != Kind::Journal);
        let mut at = 0;
        loop {
            at += 1;
            let phone = template.copy();
            phone.disk.fail(at, Fault::Die);
            drop(phone.open());
            let died = phone.disk.in_force().is_some();
            phone.disk.crash();
            assert_eq!(phone.turn(), expected);
            if !died {
                break;
            }
        }
        assert!(at > 1);
    }
}

#[test]
fn power_lost_at_any_operation_whatever_fate_says_a_commit_is_there() {
    for kind in ALL {
        let template = Phone::new(kind);
        let mut unsure = 0;
        for seed in 0..150 {
            let mut rng = StdRng::seed_from_u64(seed);
            let phone = template.copy();
            phone.disk.fail(rng.random_range(1..90), if rng.random() { Fault::Die } else { Fault::DieAfter });
            let committed = live(&phone);
            let bias = rng.random_range(0..4);
            phone.disk.power_loss(&mut || {
                unsure += 1;
                match (bias, rng.random_range(0..3)) {
                    (0, _) => Fate::Drop,
                    (1, _) => Fate::Tear,
                    (_, 0) => Fate::Keep,
                    (_, 1) => Fate::Drop,
                    _ => Fate::Tear,
                }
            });
            let turn = phone.turn();
            assert!(
                (committed..=committed + 1).contains(&turn),
                "{kind:?} seed {seed}: {turn} of {committed}"
            );
        }
        assert!(unsure > 500, "{unsure} changes were in doubt");
    }
}

#[test]
fn power_loss_takes_what_synchronous_off_never_synced() {
    let phone = Phone::new(Kind::Plain);
    let mut connection = phone.open().expect("a whole disk");
    connection.pragma_update(None, "synchronous", "OFF").expect("a pragma");
    take_turn(&mut connection).expect("a whole disk");
    phone.disk.power_loss(&mut || Fate::Drop);
    assert_eq!(phone.turn(), 0);
}

#[test]
fn a_file_that_was_never_synced_may_be_gone_after_power_loss() {
    let disk = Disk::new();
    fault_vfs::install();
    let connection = Connection::open(disk.path("new.db")).expect("a whole disk");
    connection
        .execute_batch("PRAGMA synchronous=OFF; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .expect("SQL");
    let copy = disk.copy_of();
    disk.power_loss(&mut || Fate::Drop);
    assert_eq!(disk.files(), Vec::<String>::new());
    drop(connection);
    copy.power_loss(&mut || Fate::Drop);
    let connection = Connection::open(copy.path("new.db")).expect("a whole disk");
    let row: i64 = connection.query_row("SELECT a FROM t", [], |row| row.get(0)).expect("a copy is synced");
    assert_eq!(row, 1);
}

#[test]
fn full_or_failing_at_any_operation_the_same_connection_goes_on_when_the_cause_is_gone() {
    for kind in ALL {
        let template = Phone::new(kind);
        for fault in [Fault::Full, Fault::IoError, Fault::IoErrorOnce] {
            let mut at = 0;
            let mut struck = 0;
            loop {
                at += 1;
                let phone = template.copy();
                let mut connection = phone.open().expect("a whole disk");
                phone.disk.fail(at, fault);
                let before = phone.disk.operations();
                let mut committed = 0;
                for _ in 0..3 {
                    committed += i64::from(take_turn(&mut connection).is_ok());
                }
                let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                let reached = phone.disk.operations() - before >= at;
                struck += i64::from(committed < 3);
                phone.disk.heal();
                assert_eq!(turn(&connection), committed, "{kind:?} {fault:?} at {at}");
                take_turn(&mut connection).expect("the disk is whole again");
                drop(connection);
                assert_eq!(phone.turn(), committed + 1, "{kind:?} {fault:?} at {at}");
                if !reached {
                    break;
                }
            }
            assert!(struck > 10, "{kind:?} {fault:?} struck {struck} times");
        }
    }
}

#[test]
fn a_disk_in_ruins_cannot_be_opened_and_heals() {
    for kind in ALL {
        let phone = Phone::new(kind);
        phone.disk.fail(0, Fault::IoError);
        assert!(phone.open().is_err());
        phone.disk.heal();
        assert_eq!(phone.turn(), 0);
    }
}

#[test]
fn connections_of_a_dead_process_fail_for_ever_and_touch_nothing() {
    for kind in ALL {
        let phone = Phone::new(kind);
        let old = phone.open().expect("a whole disk");
        old.execute_batch("BEGIN IMMEDIATE; UPDATE ledger SET turn = 77 WHERE id = 3").expect("a whole disk");
        phone.disk.crash();
        let mut new = phone.open().expect("the dead hold no lock");
        take_turn(&mut new).expect("the dead hold no lock");
        assert!(old.execute_batch("UPDATE ledger SET turn = 78; COMMIT").is_err());
        assert!(old.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).is_err());
        drop(old);
        take_turn(&mut new).expect("the dead hold no lock");
        assert_eq!(turn(&new), 2);
        drop(new);
        assert_eq!(phone.turn(), 2);
    }
}

#[test]
fn readers_keep_what_they_saw_and_writers_wait_for_each_other() {
    for kind in LOGS {
        let phone = Phone::new(kind);
        let mut writer = phone.open().expect("a whole disk");
        let mut second = phone.open().expect("a whole disk");
        let reader = match kind {
            Kind::Plain | Kind::Journal => phone.open().expect("a whole disk"),
            Kind::Cipher => {
                store::open_reader(&phone.disk.path(FILE), &Secret([7; 48])).expect("a whole disk")
            }
        };
        reader.execute_batch("BEGIN; SELECT count(*) FROM ledger").expect("a whole disk");
        take_turn(&mut writer).expect("a reader is in nobody's way");
        assert_eq!(turn(&reader), 0, "the reader's snapshot");
        let tx =
            writer.transaction_with_behavior(TransactionBehavior::Immediate).expect("nobody else writes");
        let refused = take_turn(&mut second).expect_err("somebody else writes");
        assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
        tx.rollback().expect("a rollback");
        take_turn(&mut second).expect("nobody else writes");
        reader.execute_batch("COMMIT").expect("the end of a snapshot");
        assert_eq!(turn(&reader), 2);

        phone.disk.fail(0, Fault::Busy);
        let refused = take_turn(&mut writer).expect_err("told so");
        assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
        assert_eq!(turn(&reader), 2);
        phone.disk.heal();
        take_turn(&mut writer).expect("nobody else writes");
    }
}

#[test]
fn threads_with_a_connection_each_lose_no_turn() {
    for kind in ALL {
        let phone = Phone::new(kind);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // No time passes, so that nobody waits long enough for the others: each tries until it gets through.
                    let mut connection =
                        (0..10_000).find_map(|_| phone.open().ok()).expect("a turn of its own");
                    let mut taken = 0;
                    while taken < 25 {
                        match take_turn(&mut connection) {
                            Ok(()) => taken += 1,
                            Err(error) => assert_eq!(
                                error.sqlite_error_code(),
                                Some(rusqlite::ErrorCode::DatabaseBusy),
                                "{error}"
                            ),
                        }
                    }
                });
            }
        });
        assert_eq!(phone.turn(), 100);
    }
}

#[test]
fn hostile_bytes_are_refused_and_a_disk_is_gone_with_its_last_handle() {
    let phone = Phone::new(Kind::Cipher);
    let bytes = phone.disk.read(FILE).expect("it is there");
    phone.disk.corrupt(FILE, 4096 + 100, b"decay");
    let connection = phone.open();
    let whole = connection.and_then(|connection| {
        let check = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        check.map_err(|error| error.to_string())
    });
    assert_ne!(whole, Ok("ok".to_owned()));
    phone.disk.replace(FILE, bytes);
    assert_eq!(phone.turn(), 0);

    let path = phone.disk.path(FILE);
    assert_eq!(phone.disk.files(), [FILE]);
    drop(phone);
    assert!(Connection::open(path).is_err());
}
