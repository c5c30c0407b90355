//! Whether the link lives (STREAM 14; XEP-0198 §4).
//!
//! A phone's link dies without a word. Each burst of ours ends with `<r/>` (a ping where the server does not count), and its
//! answer is the only proof that the server reads; what is not answered in time ends the link. Where it matters, which is
//! behind a login, after waking, on another network and while something is being sent, that is [`URGENT`] and two
//! round trips. A probe of an idle link has more time, since nobody waits for it.
//!
//! A slow honest link is not a dead one: whatever moves in either direction starts the time again, and what the kernel may
//! hold of ours is granted the time that the slowest link needs for it. Knows no clock: times are mono ms.

use std::collections::VecDeque;

/// Patience where it matters, beside two round trips, in ms. With what is granted to a small burst it stays below ten seconds.
const URGENT: u64 = 8_000;
/// Patience where nobody waits, in ms.
const PATIENT: u64 = 30_000;
/// The most that is granted to one unanswered question, beside what each sign of life and each byte of ours is worth, in ms: a
/// server that writes now and then and never reads is none. An answer stands behind what the server had written before.
const DEAF: u64 = 60_000;
const SIGN: u64 = 2_000;
/// A server that still speaks so long after an answer was due does not read, in ms beside two round trips.
const BESIDE: u64 = 1_000;
/// What the kernel may hold of ours without telling, in bytes. Beyond it, writing goes on only as the peer takes something.
const HELD: u64 = 24 * 1024;
/// The slowest link that is taken for one, in bytes a ms: GPRS on a bad day.
const SLOWEST: u64 = 2;

/// What a link has said about itself.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    /// Questions under way, oldest first.
    asked: VecDeque<Asked>,
    /// When anything was last seen to move in either direction.
    moved: u64,
    /// When the server last said something.
    spoke: u64,
    /// Signs of life since the oldest question.
    signs: u64,
    /// When anything was last written or came: what a middlebox sees.
    traffic: u64,
    /// Since when somebody waits for the answers.
    urgent: Option<u64>,
    /// Bytes of stanzas written since the last question.
    written: u64,
    round_trip: u64,
}

/// One `<r/>` that was not answered.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The number of the last stanza before it.
    number: u64,
    at: u64,
    /// How long nothing had moved before it.
    idle: u64,
    /// Bytes that leave with it.
    size: u64,
}

impl Pulse {
    pub(crate) fn new(now: u64, round_trip: u64) -> Self {
        Self {
            asked: VecDeque::new(),
            moved: now,
            spoke: now,
            signs: 0,
            traffic: now,
            urgent: None,
            written: 0,
            round_trip,
        }
    }

    /// Something came, and how long nothing had before it.
    pub(crate) fn heard(&mut self, now: u64) -> u64 {
        let idle = self.idle(now);
        self.moved(now);
        self.spoke = now;
        idle
    }

    /// The link is slow, and not dead.
    pub(crate) fn moved(&mut self, now: u64) {
        (self.moved, self.traffic) = (now, now);
        self.signs += 1;
    }

    /// Something of ours was written.
    pub(crate) fn wrote(&mut self, now: u64) {
        self.traffic = now;
    }

    /// So many bytes of stanzas leave before the next question.
    pub(crate) fn burst(&mut self, size: usize) {
        self.written += size as u64;
    }

    /// From here on somebody waits for the answers.
    pub(crate) fn matters(&mut self, now: u64) {
        self.urgent.get_or_insert(now);
    }

    /// `<r/>` is written behind stanza `number`.
    pub(crate) fn asks(&mut self, number: u64, now: u64) {
        let size = std::mem::take(&mut self.written);
        match self.asked.back_mut() {
            Some(last) if last.number == number => last.size += size,
            _ => {
                if self.asked.is_empty() {
                    self.signs = 0;
                }
                self.asked.push_back(Asked { number, at: now, idle: self.idle(now), size });
            }
        }
    }

    /// The server has read everything up to `number`. The longest idle time that was survived by it.
    ///
    /// Each answer is one to the oldest question at least: a server that miscounts is not silent.
    pub(crate) fn answered(&mut self, number: u64, now: u64) -> u64 {
        let count = self.asked.iter().take_while(|asked| asked.number <= number).count().max(1);
        let mut idle = 0;
        let mut latest = None;
        for asked in self.asked.drain(..count.min(self.asked.len())) {
            idle = idle.max(asked.idle);
            latest = Some(asked.at);
        }
        if let Some(at) = latest {
            self.signs = 0;
            // Up at once, down slowly.
            let took = now.saturating_sub(at);
            self.round_trip = took.max((7 * self.round_trip + took) / 8);
        }
        self.urgent = (!self.asked.is_empty()).then_some(self.moved).filter(|_| self.urgent.is_some());
        idle
    }

    /// The device slept, or changed networks: what was measured before says nothing about the link as it is now, and what came
    /// meanwhile has not been read yet.
    pub(crate) fn begins_anew(&mut self, now: u64) {
        (self.moved, self.traffic) = (now, now);
        for asked in &mut self.asked {
            (asked.at, asked.idle) = (now, 0);
        }
        self.urgent = Some(now);
    }

    /// When the link is given up, if nothing moves until then.
    pub(crate) fn silent_at(&self) -> Option<u64> {
        let first = self.asked.front()?;
        let sizes = self.asked.iter().map(|asked| asked.size).sum::<u64>();
        let patient = first.at.max(self.moved) + PATIENT;
        let urgent = self.urgent.map(|since| {
            let held = sizes.min(HELD) / SLOWEST;
            since.max(first.at).max(self.moved) + URGENT + 2 * self.round_trip + held
        });
        Some(urgent.unwrap_or(patient).min(first.at + DEAF + sizes + SIGN * self.signs))
    }

    /// Whether the server spoke on long after it should have answered.
    pub(crate) fn is_deaf(&self) -> bool {
        self.asked.front().is_some_and(|first| self.spoke >= first.at + 2 * self.round_trip + BESIDE)
    }

    /// How long nothing had moved before the question that was never answered.
    pub(crate) fn died_after(&self) -> u64 {
        self.asked.front().map_or(0, |asked| asked.idle)
    }

    /// Whether an answer is due.
    pub(crate) fn expects(&self) -> bool {
        !self.asked.is_empty()
    }

    /// When anything was last written or came.
    pub(crate) fn last_traffic(&self) -> u64 {
        self.traffic
    }

    fn idle(&self, now: u64) -> u64 {
        now.saturating_sub(self.traffic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_that_matters_has_less_time_than_one_that_does_not() {
        let mut pulse = Pulse::new(0, 500);
        assert_eq!(pulse.silent_at(), None);
        pulse.asks(0, 1_000);
        assert_eq!(pulse.silent_at(), Some(31_000));
        pulse.burst(1_000);
        pulse.matters(2_000);
        pulse.asks(1, 2_000);
        assert_eq!(pulse.silent_at(), Some(2_000 + 8_000 + 1_000 + 500));
        pulse.moved(5_000);
        assert_eq!(pulse.silent_at(), Some(5_000 + 8_000 + 1_000 + 500));
    }

    #[test]
    fn answer_covers_what_was_asked_before_it_and_nothing_behind_it() {
        let mut pulse = Pulse::new(0, 100);
        pulse.matters(0);
        pulse.asks(1, 0);
        pulse.asks(2, 1_000);
        pulse.asks(3, 2_000);
        pulse.answered(2, 2_100);
        assert_eq!(pulse.silent_at(), Some(2_000 + 8_000 + 2 * 1_100));
        pulse.answered(3, 2_200);
        assert_eq!(pulse.silent_at(), None);
        // A server that counts one too few answers all the same.
        pulse.asks(4, 3_000);
        pulse.answered(3, 3_100);
        assert_eq!(pulse.silent_at(), None);
    }

    #[test]
    fn server_that_writes_and_never_reads_is_given_up_after_all() {
        let mut pulse = Pulse::new(0, 100);
        pulse.matters(0);
        pulse.asks(1, 0);
        let given_up = (1..).map(|n| n * 5_000).find(|now| {
            let given_up = pulse.silent_at().is_some_and(|at| at <= *now);
            pulse.heard(*now);
            given_up
        });
        assert!(given_up.is_some_and(|at| (60_000..120_000).contains(&at)), "{given_up:?}");
        assert!(pulse.is_deaf());
    }

    #[test]
    fn idle_time_is_what_passed_before_the_question() {
        let mut pulse = Pulse::new(0, 100);
        pulse.asks(0, 240_000);
        pulse.wrote(240_000);
        assert_eq!(pulse.died_after(), 240_000);
        assert_eq!(pulse.answered(0, 240_100), 240_000);
        assert_eq!(pulse.heard(240_100), 100);
    }
}
