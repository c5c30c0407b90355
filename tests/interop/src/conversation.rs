//! A long conversation between two phones that much happens to, and what became of it.
//!
//! *Lost* is what the sender's client had accepted and the receiver does not show at the end, *doubled* what it shows twice,
//! *out of order* a pair that stands the other way than it was sent (API.md, "Figures"). What the receiver shows is its
//! timeline; a client that keeps none is taken by its word: what it told, in the order in which it did.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    Error, Plan, Result, Tally,
    talker::{Session, Talker, pace},
    trouble::Trouble,
};

/// How long the two have after the last message was handed over and their links stay up.
const SETTLING: Duration = Duration::from_secs(150);
/// A client without a `sync` has all it will get when it was told nothing for so long.
const QUIET: Duration = Duration::from_secs(40);
/// Nothing more is on its way when nothing came for so long.
const PAUSE: Duration = Duration::from_secs(5);
/// What it may take longer than planned, before it is given up.
const OVERTIME: Duration = Duration::from_secs(240);

/// What is to be said, and what happens meanwhile.
pub struct Script<'a> {
    /// By each of the two.
    pub messages: usize,
    /// In this time.
    pub over: Duration,
    /// For bursts and pauses, and in every message's id.
    pub seed: u32,
    /// What happens to each of the two.
    pub plans: [Plan; 2],
    /// What happens to the server, in the middle.
    pub halfway: Option<Box<dyn FnOnce() -> Result<()> + 'a>>,
}

/// What became of it, both directions together.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the receivers show at the end.
    pub shown: Tally,
    /// Who and which, of what is lost.
    pub missing: Vec<String>,
    /// What the receivers' clients told meanwhile. A kill between storing and telling makes it less than what is shown.
    pub told: Tally,
    /// Own messages that do not stand exactly once on the own screen, or in the wrong order.
    pub own_wrong: usize,
    /// What each of the two shows at the end, oldest first: its own messages, and the other's. Of clients that keep a timeline.
    pub screens: Vec<[Vec<u32>; 2]>,
    /// Sessions that came online after each phone's first, but for those apart.
    pub sessions: usize,
    /// Of those, the ones from before.
    pub resumed: usize,
    /// Why the others were not, by the server's word, and how often.
    pub refused: BTreeMap<String, usize>,
    /// The first of each phone behind a restart of the server, which knows no session then.
    pub apart: usize,
    /// What happened, by name.
    pub troubles: BTreeMap<&'static str, usize>,
    /// Processes that ended although nobody ended them.
    pub died: usize,
    /// Bytes that the links carried: up, down.
    pub bytes: (u64, u64),
    /// From the first message to the last.
    pub took: Duration,
    /// Whether each of the two said that it has everything and has sent everything.
    pub settled: bool,
}

impl Outcome {
    /// How many times a link broke.
    pub fn cuts(&self) -> usize {
        self.troubles.iter().filter(|(name, _)| Trouble::is_cut(name)).map(|(_, count)| count).sum()
    }

    /// How many times one of this name happened.
    pub fn times(&self, name: &str) -> usize {
        self.troubles.get(name).copied().unwrap_or_default()
    }
}

/// Starts both phones and lets them talk until all is said and has arrived, or will not arrive any more.
pub fn converse(pair: [&Talker; 2], script: Script<'_>) -> Result<Outcome> {
    let mut dice = StdRng::seed_from_u64(u64::from(script.seed));
    let mut due = || pace(script.messages, script.over, &mut StdRng::seed_from_u64(dice.random()));
    let due = [due(), due()];
    let (over, calm) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut halfway = script.halfway;
    let mut restarted: Option<Instant> = None;
    let (over, calm) = (&over, &calm);
    thread::scope(|scope| -> Result<Outcome> {
        // Whatever happens below, the threads must end, or this scope does not.
        let _ends = SetWhenDropped([over, calm]);
        let mut listeners = Vec::new();
        for talker in pair {
            talker.start()?;
            listeners.push(scope.spawn(|| talker.listen(over)));
        }
        for talker in pair {
            talker.wait_first_online(Duration::from_secs(90))?;
        }
        let began = Instant::now();
        let mut troubles = Vec::new();
        for (talker, plan) in pair.into_iter().zip(&script.plans) {
            for strand in &plan.strands {
                troubles.push(scope.spawn(move || talker.suffer(strand, calm)));
            }
        }
        let seed = script.seed;
        let authors: Vec<_> = pair
            .into_iter()
            .zip(&due)
            .map(|(talker, due)| scope.spawn(move || talker.talk(seed, due, over)))
            .collect();
        while !authors.iter().all(thread::ScopedJoinHandle::is_finished) {
            if began.elapsed() > script.over + OVERTIME {
                return Err(Error::TimedOut("all to be said".into()));
            }
            if began.elapsed() > script.over / 2
                && let Some(happens) = halfway.take()
            {
                happens()?;
                restarted = Some(Instant::now());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let took = began.elapsed();
        calm.store(true, Ordering::Release);
        let joined = |ended: thread::Result<Result<()>>| {
            ended.unwrap_or_else(|_| {
                Err(Error::Failed { what: "a thread of ours".into(), said: "it panicked".into() })
            })
        };
        for thread in authors.into_iter().chain(troubles) {
            joined(thread.join())?;
        }
        let settled = settle(pair);
        let outcome = count(pair, took, settled, restarted);
        over.store(true, Ordering::Release);
        for listener in listeners {
            joined(listener.join())?;
        }
        outcome
    })
}

fn settle(pair: [&Talker; 2]) -> bool {
    let deadline = Instant::now() + SETTLING;
    if pair.iter().all(|talker| talker.repeats) {
        // Twice: what one has sent last is what the other has to get.
        let synced = [0, 1, 0, 1]
            .into_iter()
            .all(|at| pair[at].settle(deadline.saturating_duration_since(Instant::now())).is_ok());
        // What the server has taken over last may still be on its way. A kill makes what was told less than what is shown.
        all_told(pair, PAUSE, deadline);
        return synced;
    }
    all_told(pair, QUIET, deadline)
}

/// Waits until as much was told as was accepted, and nothing more for a while; gives up after `quiet` without anything.
fn all_told(pair: [&Talker; 2], quiet: Duration, deadline: Instant) -> bool {
    let calm_since = Instant::now();
    loop {
        let (told, last) = pair.iter().fold((0, calm_since), |(told, last), talker| {
            let seen = talker.seen();
            let mut numbers = seen.told.clone();
            numbers.sort_unstable();
            numbers.dedup();
            (told + numbers.len(), seen.told_at.map_or(last, |at| at.max(last)))
        });
        let accepted: usize = pair.iter().map(|talker| talker.seen().accepted.len()).sum();
        if told >= accepted && last.elapsed() > PAUSE {
            return true;
        }
        if last.elapsed() > quiet || Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn count(pair: [&Talker; 2], took: Duration, settled: bool, restarted: Option<Instant>) -> Result<Outcome> {
    let mut outcome = Outcome { took, settled, ..Outcome::default() };
    for talker in pair.into_iter().filter(|talker| talker.repeats) {
        outcome.screens.push(talker.timeline()?);
    }
    for (at, (sender, receiver)) in [(pair[0], pair[1]), (pair[1], pair[0])].into_iter().enumerate() {
        let sent = sender.seen().accepted.clone();
        let told = Tally::of(&sent, &receiver.seen().told);
        let shown = match &outcome.screens[..] {
            [_, _] => {
                let own = Tally::of(&sent, &outcome.screens[at][0]);
                outcome.own_wrong += own.lost.len() + own.doubled + own.out_of_order;
                Tally::of(&sent, &outcome.screens[1 - at][1])
            }
            _ => told.clone(),
        };
        outcome.missing.extend(shown.lost.iter().map(|number| format!("{} {number}", sender.name)));
        outcome.shown = std::mem::take(&mut outcome.shown).and(shown);
        outcome.told = std::mem::take(&mut outcome.told).and(told);
        outcome.look_at(sender, restarted);
    }
    Ok(outcome)
}

impl Outcome {
    fn look_at(&mut self, talker: &Talker, restarted: Option<Instant>) {
        let (up, down) = talker.link.bytes();
        self.bytes = (self.bytes.0 + up, self.bytes.1 + down);
        let seen = talker.seen();
        self.died += seen.died;
        for (name, times) in &seen.troubles {
            *self.troubles.entry(name).or_default() += times;
        }
        let mut later: Vec<&Session> = seen.sessions.iter().skip(1).collect();
        if let Some(restarted) = restarted
            && let Some(first) = later.iter().position(|session| session.at > restarted)
        {
            later.remove(first);
            self.apart += 1;
        }
        self.sessions += later.len();
        self.resumed += later.iter().filter(|session| session.resumed).count();
        for session in later.iter().filter(|session| !session.resumed) {
            let when = if session.after_start { "not asked, after a start" } else { "not asked" };
            let why = session.refused.clone().unwrap_or_else(|| when.into());
            *self.refused.entry(why).or_default() += 1;
        }
    }
}

struct SetWhenDropped<'a>([&'a AtomicBool; 2]);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        for flag in self.0 {
            flag.store(true, Ordering::Release);
        }
    }
}
