//! One step, one transaction, effects after the commit. No exception, ever.
//!
//! [`Engine::turn`] is the only place that begins and commits. It keeps the three kinds of failure apart: when the world
//! failed, the batch rolls back, the link is hung up so that the server keeps its queue, and the account is loaded again
//! after a while; when we are wrong, the batch rolls back and its inputs run again one at a time, each under a savepoint.
//! An input that fails twice (counted in a transaction of its own, so that a kill cannot reset the count) goes raw into
//! `quarantine`, is counted as handled, and the stream moves on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::RngCore;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use sha2::{Digest, Sha256};

use crate::{
    account::{Account, Config},
    api::{self, Command},
    effect::Effect,
    error::{Error, Result, panic_report},
    input::{Input, Now},
    lease::{self, Claim},
    mutants::{self, Mutant},
    store,
};

/// How long to wait before a failed world is tried again, in ms: doubled from the first to the last while it stays failed.
const HALT: (u64, u64) = (3_000, 120_000);
/// After this long without a failure the world is taken for whole, in ms.
const WHOLE: u64 = 300_000;

/// An account and the connection that may write to its file.
#[derive(Debug)]
pub struct Engine {
    connection: Connection,
    account: Account,
    generation: i64,
    /// Somebody else has raised it.
    lost: bool,
    halted: Option<Halted>,
    /// Halts in a row, and when the last one ended, mono ms.
    halts: (u32, u64),
}

#[derive(Debug)]
struct Halted {
    until: Option<u64>,
    why: api::Error,
}

impl Engine {
    /// Takes the lease of a file opened by [`crate::store::open`], whoever has it, and loads the account in it.
    ///
    /// # Errors
    /// Where the world failed.
    pub fn load(connection: Connection, config: Config) -> Result<Self> {
        Self::take(connection, config, Claim::App, |_| Ok(()))
    }

    /// Takes the lease on these grounds, lets `prepare` write what is to be there before the account is loaded (the account
    /// itself, its settings) in the same transaction, and loads it.
    ///
    /// # Errors
    /// [`Error::LeaseHeld`] where the grounds do not hold; nothing was written then. Otherwise where the world failed.
    pub fn take(
        mut connection: Connection,
        config: Config,
        claim: Claim,
        prepare: impl FnOnce(&Transaction<'_>) -> Result<()>,
    ) -> Result<Self> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let generation = lease::take(&tx, claim)?;
        prepare(&tx)?;
        tx.commit()?;
        // What cannot be understood was not written by us, or not read back as it was: the app is to offer another beginning.
        let account = Account::load(&connection, config, 0).map_err(|error| match error {
            Error::Bug { report } => {
                tracing::error!(%report, "the file cannot be understood");
                Error::damaged()
            }
            error => error,
        })?;
        Ok(Self { connection, account, generation, lost: false, halted: None, halts: (0, 0) })
    }

    /// Asks the holder of the lease for it, if there is one. It hears of that in its next step.
    ///
    /// # Errors
    /// Where the world failed: [`api::Error::InUse`] where the holder, or whoever else, keeps a transaction open.
    pub fn ask(connection: &mut Connection) -> Result<lease::Request> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let request = lease::ask(&tx)?;
        tx.commit()?;
        Ok(request)
    }

    /// Whether another process has taken the lease: nothing is written here any more.
    pub fn lost_lease(&self) -> bool {
        self.lost
    }

    /// Steps over a batch of inputs in one transaction and returns what to do after it.
    ///
    /// Never fails: what goes wrong is told to the app by a status, and to the server by silence.
    pub fn turn(&mut self, inputs: Vec<Input>, now: Now, rng: &mut dyn RngCore) -> Vec<Effect> {
        if let Some(halted) = &self.halted {
            if halted.until.is_none_or(|until| now.mono < until) {
                let why = halted.why.clone();
                return self.refuse(&inputs, &why);
            }
            // Whoever wanted to be online still does: it goes on by itself.
            match self.account.reload(&self.connection, now) {
                Ok(()) => self.halted = None,
                Err(error) => return self.halt(&error, &inputs, now),
            }
        }
        match self.attempt(&inputs, now, rng) {
            Ok(effects) => effects,
            Err(Error::Bug { report }) => {
                tracing::error!(%report, "a batch was rolled back");
                self.one_at_a_time(inputs, now, rng)
            }
            Err(error) => self.halt(&error, &inputs, now),
        }
    }

    /// When to call [`Engine::turn`] with a `Tick` at the latest, in monotonic ms.
    pub fn next_wake(&self) -> Option<u64> {
        match &self.halted {
            Some(halted) => halted.until,
            None => self.account.next_wake(),
        }
    }

    /// Lets go of the memory that can be had again. Not while there is a step.
    ///
    /// # Errors
    /// Where the world failed.
    pub fn shrink(&mut self) -> Result<()> {
        store::shrink(&self.connection)
    }

    /// Writes the journal back into the file, unless it is another's by now, and closes it.
    ///
    /// # Errors
    /// Where the world failed. The file is whole in any case.
    pub fn close(self) -> Result<()> {
        if !self.lost {
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        self.connection.close().map_err(|(_, error)| error.into())
    }

    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    fn attempt(&mut self, inputs: &[Input], now: Now, rng: &mut dyn RngCore) -> Result<Vec<Effect>> {
        let before = self.account.before();
        let done = self.step(inputs, now, rng);
        if done.is_err() {
            self.account.undo(before);
        }
        done
    }

    fn step(&mut self, inputs: &[Input], now: Now, rng: &mut dyn RngCore) -> Result<Vec<Effect>> {
        let tx = begin(&mut self.connection, self.generation)?;
        let account = &mut self.account;
        let effects = guarded(|| account.step(&tx, inputs, now, rng))?;
        if inputs.iter().any(|input| matches!(input, Input::Command { command: Command::Suspend { .. }, .. }))
        {
            // The last transaction: whoever takes it from here has everything.
            lease::release(&tx)?;
        }
        // Whoever wants to know how much time goes into waiting for the disk listens to this span.
        let committed = tracing::trace_span!("commit").in_scope(|| tx.commit());
        if !mutants::on(Mutant::EffectsBeforeCommit) {
            committed?;
        }
        Ok(effects)
    }

    fn one_at_a_time(&mut self, inputs: Vec<Input>, now: Now, rng: &mut dyn RngCore) -> Vec<Effect> {
        let mut all = Vec::new();
        let again = if mutants::on(Mutant::BatchDroppedAfterBug) { 1 } else { inputs.len() };
        let mut inputs = inputs.into_iter().take(again);
        while let Some(input) = inputs.next() {
            let single = [input];
            match self.single(&single, now, rng) {
                Ok(effects) => all.extend(effects),
                Err(error) => {
                    let [failed] = single;
                    let rest: Vec<Input> = std::iter::once(failed).chain(inputs).collect();
                    all.extend(self.halt(&error, &rest, now));
                    break;
                }
            }
        }
        all
    }

    /// One input, from a freshly loaded account where needed; quarantined when it fails a second time.
    fn single(&mut self, input: &[Input; 1], now: Now, rng: &mut dyn RngCore) -> Result<Vec<Effect>> {
        for _ in 0..2 {
            // Crash-only: what the failed attempt left in memory is not looked at again, but the connection lives on.
            self.account.reload(&self.connection, now)?;
            match self.attempt(input, now, rng) {
                Err(Error::Bug { report }) => {
                    if self.strike(&input[0])? >= 2 {
                        return self.quarantine(&input[0], &report, now, rng);
                    }
                }
                other => return other,
            }
        }
        self.quarantine(&input[0], "failed twice", now, rng)
    }

    fn strike(&mut self, input: &Input) -> Result<u32> {
        let tx = begin(&mut self.connection, self.generation)?;
        let digest = digest(input);
        tx.execute(
            "INSERT INTO strike (digest, count) VALUES (?1, 1) ON CONFLICT (digest) DO UPDATE SET count = count + 1",
            params![digest],
        )?;
        let count =
            tx.query_row("SELECT count FROM strike WHERE digest = ?1", params![digest], |row| row.get(0))?;
        tx.commit()?;
        Ok(count)
    }

    fn quarantine(
        &mut self,
        input: &Input,
        report: &str,
        now: Now,
        rng: &mut dyn RngCore,
    ) -> Result<Vec<Effect>> {
        self.account.reload(&self.connection, now)?;
        let tx = begin(&mut self.connection, self.generation)?;
        tx.execute(
            "INSERT INTO quarantine (at, why, input) VALUES (?1, ?2, ?3)",
            params![now.wall, report, raw(input)],
        )?;
        crate::messages::bound_quarantine(&tx)?;
        tx.execute("DELETE FROM strike WHERE digest = ?1", params![digest(input)])?;
        let account = &mut self.account;
        let effects = guarded(|| account.step_over(&tx, input, report, now, rng))?;
        tx.commit()?;
        Ok(effects)
    }

    /// The world failed: let go of the server without a word, answer what was asked, and wait.
    fn halt(&mut self, error: &Error, inputs: &[Input], now: Now) -> Vec<Effect> {
        let why = error.to_api();
        tracing::warn!(%error, "the account stops");
        let until = match error {
            Error::LeaseLost => {
                self.lost = true;
                None
            }
            _ if mutants::on(Mutant::HaltForEver) => None,
            Error::World { what: api::Error::DatabaseUnusable { why: api::Unusable::Corrupt }, .. } => None,
            _ => {
                let (halts, last) = self.halts;
                let halts = if now.mono > last + WHOLE { 0 } else { halts };
                let until = now.mono + HALT.0.saturating_mul(1 << halts.min(16)).min(HALT.1);
                self.halts = (halts + 1, until);
                Some(until)
            }
        };
        let mut effects = self.account.abandon(&why, until.map(|until| now.wall + (until - now.mono) as i64));
        effects.extend(self.refuse(inputs, &why));
        self.halted = Some(Halted { until, why });
        effects
    }

    /// Commands get the reason. What the platform says it says once: it counts when the account goes on; and whoever wants to be
    /// online is so then.
    fn refuse(&mut self, inputs: &[Input], why: &api::Error) -> Vec<Effect> {
        let mut effects = Vec::new();
        for input in inputs {
            match input {
                Input::Command { request, command } => {
                    match command {
                        Command::Connect => self.account.wanted = true,
                        Command::Disconnect | Command::Leave => {
                            (self.account.wanted, self.account.barred) = (false, false);
                        }
                        _ => {}
                    }
                    effects.push(Effect::Reply { request: *request, result: Err(why.clone()) });
                }
                Input::Network(network) => self.account.network = Some(network.clone()),
                Input::Foreground(foreground) => self.account.foreground = *foreground,
                _ => {}
            }
        }
        effects
    }
}

/// Begins to write, if nobody else has raised the lease.
fn begin(connection: &mut Connection, generation: i64) -> Result<Transaction<'_>> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    lease::check(&tx, generation)?;
    Ok(tx)
}

/// A panic is a bug of ours, and no more.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(Error::bug(panic_report(&*payload))))
}

fn raw(input: &Input) -> Vec<u8> {
    match input {
        Input::Element { element, .. } => String::from(element).into_bytes(),
        Input::TooMuch { drained, .. } => drained.head.clone(),
        other => format!("{other:?}").into_bytes(),
    }
}

pub(crate) fn digest(input: &Input) -> Vec<u8> {
    Sha256::digest(raw(input)).to_vec()
}
