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

/// A client without a `sync` has all it will get when it was told nothing for so long while both were online.
const QUIET: Duration = Duration::from_secs(40);
/// Nothing more is on its way when nothing came for so long.
const PAUSE: Duration = Duration::from_secs(5);

/// What is to be said, and what happens meanwhile.
pub struct Script<'a> {
    /// By each of the two.
    pub messages: usize,
    /// In this time.
    pub over: Duration,
    /// From the first message on, until no more is handed over or waited for.
    pub limit: Duration,
    /// For bursts and pauses, and in every message's id.
    pub seed: u32,
    /// What happens to each of the two.
    pub plans: [Plan; 2],
    /// What happens to the server, in the middle.
    pub halfway: Option<Box<dyn FnOnce() -> Result<()> + 'a>>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// Each of the two has everything and has sent everything.
    Settled,
    /// Both were online, and nothing came any more: what is not there will not come.
    Quiet,
    /// The time was up: what is not there may still have been on its way.
    #[default]
    TimeUp,
}

/// What became of it, both directions together.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the receivers show at the end.
    pub shown: Tally,
    /// Who and which, of what is not there.
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
    /// How it ended.
    pub end: End,
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

/// Starts both phones and lets them talk until all is said and has arrived, or will not arrive any more, or the time is up.
pub fn converse(pair: [&Talker; 2], script: Script<'_>) -> Result<Outcome> {
    let mut dice = StdRng::seed_from_u64(u64::from(script.seed));
    let mut due = || pace(script.messages, script.over, &mut StdRng::seed_from_u64(dice.random()));
    let due = [due(), due()];
    let [over, enough, calm] = &[const { AtomicBool::new(false) }; 3];
    let mut halfway = script.halfway;
    let mut restarted: Option<Instant> = None;
    thread::scope(|scope| -> Result<Outcome> {
        // Whatever happens below, the threads must end, or this scope does not.
        let _ends = SetWhenDropped([over, enough, calm]);
        let mut listeners = Vec::new();
        for talker in pair {
            talker.start()?;
            listeners.push(scope.spawn(|| talker.listen(over)));
        }
        for talker in pair {
            talker.wait_first_online(Duration::from_secs(90))?;
        }
        let began = Instant::now();
        let deadline = began + script.limit;
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
            .map(|(talker, due)| scope.spawn(move || talker.talk(seed, due, enough)))
            .collect();
        while !authors.iter().all(thread::ScopedJoinHandle::is_finished) {
            if Instant::now() > deadline {
                enough.store(true, Ordering::Release);
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
        let end = if enough.load(Ordering::Acquire) { End::TimeUp } else { settle(pair, deadline) };
        let outcome = count(pair, took, end, restarted);
        over.store(true, Ordering::Release);
        for listener in listeners {
            joined(listener.join())?;
        }
        outcome
    })
}

fn settle(pair: [&Talker; 2], deadline: Instant) -> End {
    if pair.iter().all(|talker| talker.repeats) {
        // Twice: what one has sent last is what the other has to get.
        let synced = [0, 1, 0, 1]
            .into_iter()
            .all(|at| pair[at].settle(deadline.saturating_duration_since(Instant::now())).is_ok());
        // What the server has taken over last may still be on its way. A kill makes what was told less than what is shown.
        all_told(pair, PAUSE, deadline);
        return if synced { End::Settled } else { End::TimeUp };
    }
    all_told(pair, QUIET, deadline)
}

/// Waits until as much was told as was accepted, and nothing more for a while; gives up after `quiet` without anything, while
/// both were online.
fn all_told(pair: [&Talker; 2], quiet: Duration, deadline: Instant) -> End {
    let calm_since = Instant::now();
    loop {
        let (told, last) = pair.iter().fold((0, calm_since), |(told, last), talker| {
            let seen = talker.seen();
            let mut numbers = seen.told.clone();
            numbers.sort_unstable();
            numbers.dedup();
            let came = seen.sessions.last().map(|session| session.at).max(seen.told_at);
            (told + numbers.len(), came.map_or(last, |at| at.max(last)))
        });
        let accepted: usize = pair.iter().map(|talker| talker.seen().accepted.len()).sum();
        if told >= accepted && last.elapsed() > PAUSE {
            return End::Settled;
        }
        if last.elapsed() > quiet && pair.iter().all(|talker| talker.seen().online) {
            return End::Quiet;
        }
        if Instant::now() > deadline {
            return End::TimeUp;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn count(pair: [&Talker; 2], took: Duration, end: End, restarted: Option<Instant>) -> Result<Outcome> {
    let mut outcome = Outcome { took, end, ..Outcome::default() };
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

struct SetWhenDropped<'a>([&'a AtomicBool; 3]);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        for flag in self.0 {
            flag.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::{Link, Phone, Scratch};

    /// What two clients make of three messages each in little time; `for_each_line` is what they do when they are asked something.
    fn in_little_time(for_each_line: &str) -> Outcome {
        let scratch = Scratch::new("clients").unwrap();
        let client = scratch.path().join("client");
        let online = r#"{"event":"online","resumed":false,"after_start":true}"#;
        fs::write(
            &client,
            format!("#!/bin/sh\necho '{online}'\nwhile read -r line; do {for_each_line}; done\n"),
        )
        .unwrap();
        fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).unwrap();
        let talker = |names: [&'static str; 2]| {
            let phone = Phone::new(scratch.path().join(names[0]), "nobody@a.test", "secret");
            // Nobody connects to anything.
            Talker::new(names, "nobody@b.test", false, Link::to(9).unwrap(), phone.running(&client))
        };
        let (romeo, juliet) = (talker(["Romeo", "Juliet"]), talker(["Juliet", "Romeo"]));
        let script = Script {
            messages: 3,
            over: Duration::ZERO,
            limit: Duration::from_secs(2),
            seed: 1597,
            plans: [Plan::calm(), Plan::calm()],
            halfway: None,
        };
        converse([&romeo, &juliet], script).unwrap()
    }

    #[test]
    fn whoever_takes_nothing_or_tells_nothing_is_given_up_when_the_time_is_up() {
        let outcome = in_little_time(":");
        assert_eq!((outcome.end, outcome.shown.sent, outcome.missing.len()), (End::TimeUp, 0, 0));
        let outcome = in_little_time(r#"n=$((n + 1)); echo "{\"reply\":$n,\"ok\":true}""#);
        assert_eq!((outcome.end, outcome.missing.len()), (End::TimeUp, outcome.shown.sent));
        assert!(outcome.shown.sent > 0);
    }
}
