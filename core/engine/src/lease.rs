//! Who may write: the lease on the file of an account (DESIGN, "The lease").
//!
//! An app and its notification extension share the file. One row holds a generation, and whoever raised it last may write;
//! every transaction checks it first, so that a process which was stopped for a while and goes on finds out before it writes.
//! There is no clock and no expiry: a process that is stopped holds nothing that it could lose in the middle of a step.
//!
//! The app takes the lease at once. An extension takes it if it was released, and otherwise asks: the request is a number in
//! the row, and a holder that lives answers it with its next step. How it hears of the request, and how long one waits for
//! the answer, is the client's matter (`client/src/bell.rs`). Whether the grounds still hold is decided here, in the
//! transaction that takes it.

use rusqlite::{Connection, Transaction, params};

use crate::{
    error::{Error, Result},
    mutants::{self, Mutant},
};

/// On what grounds a process takes the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the app: in front of the user, it comes first.
    App,
    /// It is an extension that has asked, and whoever was to answer is gone or was given the time to. Holds as long as the
    /// lease is still that holder's, or nobody's, and the request is not answered.
    Extension(Request),
}

/// What an extension found when it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose lease it was.
    generation: i64,
    /// The number of the request.
    number: i64,
    held: bool,
}

impl Request {
    /// Whether there is somebody to wait for.
    pub fn is_held(&self) -> bool {
        self.held
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No word yet.
    None,
    /// The lease is nobody's now.
    Released,
    /// The holder lives and keeps it, or it is another's by now.
    Refused,
}

/// What became of a request. Only reads.
///
/// # Errors
/// Where the world failed.
pub fn answer(connection: &Connection, request: &Request) -> Result<Answer> {
    let row = Row::read(connection)?;
    Ok(if !row.held {
        Answer::Released
    } else if row.generation != request.generation || row.answered >= request.number {
        Answer::Refused
    } else {
        Answer::None
    })
}

pub(crate) fn ask(tx: &Transaction<'_>) -> Result<Request> {
    let row = Row::read(tx)?;
    if row.held {
        tx.execute("UPDATE lease SET asked = asked + 1", [])?;
    }
    Ok(Request {
        generation: row.generation,
        number: row.asked.checked_add(1).ok_or_else(Error::damaged)?,
        held: row.held,
    })
}

/// Raises the generation, and gives back which it is now.
pub(crate) fn take(tx: &Transaction<'_>, claim: Claim) -> Result<i64> {
    let row = Row::read(tx)?;
    if let Claim::Extension(request) = claim
        && answer(tx, &request)? == Answer::Refused
    {
        return Err(Error::LeaseHeld);
    }
    // That many were never taken: a damaged file.
    let generation = row.generation.checked_add(1).ok_or_else(Error::damaged)?;
    // Whoever asked the last holder asked in vain.
    tx.execute("UPDATE lease SET generation = ?1, held = 1, answered = asked", params![generation])?;
    Ok(generation)
}

pub(crate) fn release(tx: &Transaction<'_>) -> Result<()> {
    tx.execute("UPDATE lease SET held = 0", [])?;
    Ok(())
}

/// Whether the lease is still ours. Whoever asked for it is told that we are here.
pub(crate) fn check(tx: &Transaction<'_>, generation: i64) -> Result<()> {
    let row = Row::read(tx)?;
    if row.generation != generation && !mutants::on(Mutant::LeaseNotChecked) {
        return Err(Error::LeaseLost);
    }
    if row.asked > row.answered {
        tx.execute("UPDATE lease SET answered = asked", [])?;
    }
    Ok(())
}

struct Row {
    generation: i64,
    held: bool,
    asked: i64,
    answered: i64,
}

impl Row {
    fn read(connection: &Connection) -> Result<Self> {
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Self { generation: row.get(0)?, held: row.get(1)?, asked: row.get(2)?, answered: row.get(3)? })
        };
        Ok(connection
            .prepare_cached("SELECT generation, held, asked, answered FROM lease")?
            .query_row([], row)?)
    }
}
