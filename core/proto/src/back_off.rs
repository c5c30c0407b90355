//! How long to wait before the next attempt: doubled each time, up to a limit, with jitter.
//!
//! The jitter keeps a thousand phones apart that lost the same server in the same second; half of each wait is fixed, so
//! that no run of luck makes a tight loop. Knows no clock: it gives waits, the caller adds them to its own time.

use rand::RngCore;

/// Attempts since the last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    first: u64,
    limit: u64,
    attempts: u32,
}

impl BackOff {
    /// Begins with waits of up to `first` and never waits longer than `limit`, both in milliseconds.
    pub const fn new(first: u64, limit: u64) -> Self {
        Self { first, limit, attempts: 0 }
    }

    /// Counts one more attempt and tells how long to wait before it, in milliseconds.
    pub fn next_wait(&mut self, rng: &mut dyn RngCore) -> u64 {
        let most = self.first.saturating_mul(1 << self.attempts.min(32)).min(self.limit);
        self.attempts = self.attempts.saturating_add(1);
        most / 2 + u64::from(rng.next_u32()) % (most / 2 + 1)
    }

    /// It went well: the next wait is a short one again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How many attempts were counted since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_half_of_each_is_certain() {
        let mut rng = StdRng::seed_from_u64(1594);
        let mut back_off = BackOff::new(500, 120_000);
        for attempt in 0..200u32 {
            let most = (500u64 << attempt.min(20)).min(120_000);
            let wait = back_off.next_wait(&mut rng);
            assert!((most / 2..=most).contains(&wait), "attempt {attempt}: {wait}");
        }
    }

    #[test]
    fn success_makes_the_next_wait_short_again() {
        let mut rng = StdRng::seed_from_u64(1594);
        let mut back_off = BackOff::new(500, 120_000);
        for _ in 0..9 {
            back_off.next_wait(&mut rng);
        }
        back_off.reset();
        assert!(back_off.next_wait(&mut rng) <= 500);
    }
}
