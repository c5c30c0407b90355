//! Questions under way and when each is given up (RFC 6120 §8.2.3 leaves that to us: a server may never answer).
//!
//! Only the time is kept here; what a question is about is the engine's row. Time that passes without a connection does
//! not count, so that after a resumption [`Deadlines::restart`] gives every question its whole time again.

use std::collections::BTreeMap;

/// Ids of questions, each with the time at which it was sent.
#[derive(Clone, Debug)]
pub struct Deadlines {
    patience: u64,
    asked: BTreeMap<String, u64>,
}

impl Deadlines {
    /// Every question gets this many milliseconds.
    pub const fn new(patience: u64) -> Self {
        Self { patience, asked: BTreeMap::new() }
    }

    /// A question was sent.
    pub fn ask(&mut self, id: &str, now: u64) {
        self.asked.insert(id.to_owned(), now);
    }

    /// It was answered, or nobody wants to know any more.
    pub fn answered(&mut self, id: &str) {
        self.asked.remove(id);
    }

    /// The connection is back: time starts again.
    pub fn restart(&mut self, now: u64) {
        self.asked.values_mut().for_each(|asked| *asked = now);
    }

    /// Takes out what was not answered in time.
    pub fn take_overdue(&mut self, now: u64) -> Vec<String> {
        let patience = self.patience;
        let overdue = |asked: u64| now.saturating_sub(asked) >= patience;
        let ids = self.asked.iter().filter(|(_, asked)| overdue(**asked)).map(|(id, _)| id.clone()).collect();
        self.asked.retain(|_, asked| !overdue(*asked));
        ids
    }

    /// When the next one is overdue.
    pub fn next(&self) -> Option<u64> {
        self.asked.values().min().map(|asked| asked + self.patience)
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
    fn time_starts_again_with_the_connection() {
        let mut deadlines = Deadlines::new(60);
        deadlines.ask("a", 0);
        deadlines.restart(1_000);
        assert!(deadlines.take_overdue(1_059).is_empty());
        assert_eq!(deadlines.take_overdue(1_060), ["a"]);
    }
}
