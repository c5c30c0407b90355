//! What a database on such a disk costs: `cargo run --release -p fault-vfs --example cost`.

#![allow(clippy::unwrap_used)] // a tool that says what went wrong

use std::time::{Duration, Instant};

use fault_vfs::Disk;
use rusqlite::{Connection, TransactionBehavior, params};
use whimbrel_engine::store::{self, Secret};

const ROUNDS: u32 = 2_000;

fn open(disk: &Disk) -> Connection {
    store::open(&disk.path("account.db"), &Secret([7; 48])).unwrap()
}

fn report(what: &str, rounds: u32, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let each: Duration = start.elapsed() / rounds;
    println!("{what}: {:.0} µs", each.as_secs_f64() * 1e6);
}

fn main() {
    fault_vfs::install();
    let template = Disk::new();
    open(&template).close().unwrap();
    println!("template: {} KiB", template.read("account.db").unwrap().len() / 1024);

    report("open a new file, with its schema", 200, || {
        for _ in 0..200 {
            open(&Disk::new());
        }
    });
    report("open a copy of a template", ROUNDS, || {
        for _ in 0..ROUNDS {
            open(&template.copy_of());
        }
    });
    let disk = template.copy_of();
    let mut connection = open(&disk);
    let before = disk.written();
    report("a small commit", ROUNDS, || {
        for at in 0..ROUNDS {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
            tx.prepare_cached("UPDATE session SET seen_at = ?1").unwrap().execute(params![at]).unwrap();
            tx.commit().unwrap();
        }
    });
    let after = disk.written();
    println!(
        "a small commit writes {:.1} times, {:.0} bytes, and syncs {:.2} times",
        f64::from((after.0 - before.0) as u32) / f64::from(ROUNDS),
        f64::from((after.1 - before.1) as u32) / f64::from(ROUNDS),
        f64::from((after.2 - before.2) as u32) / f64::from(ROUNDS),
    );
    report("a commit, a kill, and opening again", ROUNDS, || {
        let template = template.copy_of();
        for at in 0..ROUNDS {
            let disk = template.copy_of();
            let connection = open(&disk);
            connection.execute("UPDATE session SET seen_at = ?1", params![at]).unwrap();
            disk.crash();
            drop(connection);
            open(&disk);
        }
    });
}
