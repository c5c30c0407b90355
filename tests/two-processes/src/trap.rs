//! Ends or stops this process at its n-th SQL statement, whichever connection begins it.
//!
//! SQLite calls back when a connection is opened (an automatic extension) and when a statement begins to run (tracing). The
//! n-th time we say where we are and send the signal to ourselves: it is delivered before the statement does anything, so what
//! a killed process leaves behind, and what a stopped one holds, is the same each time.

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    io::Write as _,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::ffi;
use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;

static TRAP: OnceLock<(u64, Signal)> = OnceLock::new();
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Sets the trap for every connection from now on.
pub fn set(at: u64, signal: Signal) {
    if TRAP.set((at, signal)).is_ok() {
        register();
    }
}

/// Only counts.
pub fn count() {
    set(u64::MAX, Signal::STOP);
}

/// How many statements have begun.
pub fn begun() -> u64 {
    BEGUN.load(Ordering::Relaxed)
}

fn register() {
    // SAFETY: `opened` has the signature that SQLite wants of an automatic extension, and lives as long as the program.
    let result = unsafe { ffi::sqlite3_auto_extension(Some(opened)) };
    assert_eq!(result, ffi::SQLITE_OK);
}

unsafe extern "C" fn opened(
    db: *mut ffi::sqlite3,
    _: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite gives us the connection that it is opening; the callback lives as long as the program.
    unsafe { ffi::sqlite3_trace_v2(db, ffi::SQLITE_TRACE_STMT as c_uint, Some(begins), ptr::null_mut()) }
}

unsafe extern "C" fn begins(_: c_uint, _: *mut c_void, statement: *mut c_void, _: *mut c_void) -> c_int {
    let number = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
    let Some((at, signal)) = TRAP.get() else { return 0 };
    if number == *at {
        let statement = statement.cast::<ffi::sqlite3_stmt>();
        // SAFETY: for SQLITE_TRACE_STMT the second pointer is the statement, which is alive during the call, as is the
        // connection that it belongs to and its text.
        let (state, sql) = unsafe {
            let db = ffi::sqlite3_db_handle(statement);
            let sql = ffi::sqlite3_sql(statement);
            (
                ffi::sqlite3_txn_state(db, ptr::null()),
                if sql.is_null() {
                    String::new()
                } else {
                    CStr::from_ptr(sql).to_string_lossy().into_owned()
                },
            )
        };
        let line = json!({ "trapped": sql, "writing": state == ffi::SQLITE_TXN_WRITE });
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        drop(out);
        let _ = kill_process(getpid(), *signal);
    }
    0
}
