//! Questions under way and when each is given up (RFC 6120 §8.2.3 leaves that to us: a server may never answer).
//!
//! Only the time is kept here; what a question is about is the engine's row. Time that passes without a connection does
//! not count, so that after waking [`Deadlines::restart`] gives every question its whole time again. Nor is a question given up
//! while its answer may be on its way: a server answers in order, and on a slow link what it says takes its time.

use std::collections::BTreeMap;

/// How long after something has come a link is busy, in ms.
const BUSY: u64 = 10_000;
/// How long a question has at most on a busy link, in ms. A server that speaks on and never answers is none that is slow.
const MOST: u64 = 600_000;

/// Ids of questions, each with the time at which it was sent and how long it has.
#[derive(Clone, Debug)]
pub struct Deadlines {
    patience: u64,
    asked: BTreeMap<String, Asked>,
    heard: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: u64,
    patience: u64,
}

impl Deadlines {
    /// Every question gets this many milliseconds, and more while the link is busy.
    pub const fn new(patience: u64) -> Self {
        Self { patience, asked: BTreeMap::new(), heard: None }
    }

    /// Something came, whatever it is.
    pub const fn heard(&mut self, now: u64) {
        self.heard = Some(now);
    }

    /// A question was sent.
    pub fn ask(&mut self, id: &str, now: u64) {
        self.ask_within(id, now, self.patience);
    }

    /// A question was sent that has another time than most.
    pub fn ask_within(&mut self, id: &str, now: u64, patience: u64) {
        self.asked.insert(id.to_owned(), Asked { at: now, patience });
    }

    /// It was answered, or nobody wants to know any more.
    pub fn answered(&mut self, id: &str) {
        self.asked.remove(id);
    }

    /// The connection is back: time starts again.
    pub fn restart(&mut self, now: u64) {
        self.asked.values_mut().for_each(|asked| asked.at = now);
    }

    /// Takes out what was not answered in time.
    pub fn take_overdue(&mut self, now: u64) -> Vec<String> {
        let heard = self.heard;
        let overdue = self.asked.extract_if(.., |_, asked| asked.given_up(heard) <= now);
        overdue.map(|(id, _)| id).collect()
    }

    /// When the next one is overdue.
    pub fn next(&self) -> Option<u64> {
        self.asked.values().map(|asked| asked.given_up(self.heard)).min()
    }
}

impl Asked {
    fn given_up(self, heard: Option<u64>) -> u64 {
        let busy = heard.map_or(0, |heard| (heard + BUSY).min(self.at + MOST));
        busy.max(self.at + self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_in_time_is_overdue_once() {
        let mut deadlines = Deadlines::new(60);
        deadlines.ask("a", 0);
        deadlines.ask("b", 10);
        deadlines.ask("c", 20);
        deadlines.answered("b");
        assert_eq!(deadlines.next(), Some(60));
        assert!(deadlines.take_overdue(59).is_empty());
        assert_eq!(deadlines.take_overdue(60), ["a"]);
        assert!(deadlines.take_overdue(60).is_empty());
        assert_eq!(deadlines.next(), Some(80));
    }

    #[test]
    fn answer_may_stand_behind_what_comes_slowly_and_not_for_ever() {
        let mut deadlines = Deadlines::new(60_000);
        deadlines.ask("a", 0);
        deadlines.heard(49_000);
        assert_eq!(deadlines.next(), Some(60_000));
        deadlines.heard(55_000);
        assert_eq!(deadlines.next(), Some(65_000));
        assert!(deadlines.take_overdue(64_999).is_empty());
        deadlines.heard(64_999);
        assert_eq!(deadlines.next(), Some(74_999));
        deadlines.heard(599_000);
        assert_eq!(deadlines.next(), Some(600_000));
        assert_eq!(deadlines.take_overdue(600_000), ["a"]);
    }

    #[test]
    fn question_with_less_time_is_given_up_first() {
        let mut deadlines = Deadlines::new(60);
        deadlines.ask("a", 0);
        deadlines.ask_within("b", 5, 15);
        assert_eq!(deadlines.next(), Some(20));
        assert_eq!(deadlines.take_overdue(20), ["b"]);
        assert_eq!(deadlines.next(), Some(60));
    }

    #[test]
    fn time_starts_again_with_the_connection() {
        let mut deadlines = Deadlines::new(60);
        deadlines.ask("a", 0);
        deadlines.restart(1_000);
        assert!(deadlines.take_overdue(1_059).is_empty());
        assert_eq!(deadlines.take_overdue(1_060), ["a"]);
    }
}
