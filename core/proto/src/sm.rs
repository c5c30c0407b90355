//! Stream management (XEP-0198): two counters that survive the process.
//!
//! Counting is all it does. The bytes behind the numbers are the engine's rows, and the invariant that joins them (a
//! counter moves in the transaction that stores what it counts) is the engine's to keep. Numbers here never wrap; on the
//! wire they do, at 2^32.

use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::{ns, place::Place};

/// Who says that a stanza of ours was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acks {
    /// The server counts (XEP-0198).
    #[default]
    Counted,
    /// It does not: a ping that is answered says that everything written before it was read (STREAM 8).
    Pinged,
}

/// One session's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamManagement {
    id: Option<String>,
    #[serde(default)]
    location: Option<Place>,
    #[serde(default)]
    acks: Acks,
    handled: u64,
    sent: u64,
    acknowledged: u64,
}

/// An `h` that nobody could send: more than we sent, or fewer than was acknowledged before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server acknowledged {h}, of {sent} sent and {acknowledged} acknowledged before")]
pub struct ImpossibleAck {
    /// What came.
    pub h: u32,
    /// What was sent.
    pub sent: u64,
    /// What was acknowledged before.
    pub acknowledged: u64,
}

impl StreamManagement {
    /// A session that has just been enabled. Without an id it cannot be resumed.
    pub fn new(id: Option<String>) -> Self {
        Self { id, location: None, acks: Acks::Counted, handled: 0, sent: 0, acknowledged: 0 }
    }

    /// The same, where the server would like to be asked to resume (XEP-0198 §5).
    #[must_use]
    pub fn located(self, location: Option<Place>) -> Self {
        Self { location, ..self }
    }

    /// A session on a server that has no stream management. It cannot be resumed.
    pub fn pinged() -> Self {
        Self { id: None, location: None, acks: Acks::Pinged, handled: 0, sent: 0, acknowledged: 0 }
    }

    /// Whether these are counters that can have been counted. What was read from a file is asked before it is used.
    pub fn is_sound(&self) -> bool {
        self.acknowledged <= self.sent && self.sent.max(self.handled) < 1 << 62
    }

    /// Who says that a stanza of ours was taken over.
    pub fn acks(&self) -> Acks {
        self.acks
    }

    /// What to resume with (`previd`).
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Where to resume, if the server said so.
    pub fn location(&self) -> Option<&Place> {
        self.location.as_ref()
    }

    /// A stanza of the server's was handled: stored, answered or found to be nonsense.
    pub fn handle_one(&mut self) {
        self.handled += 1;
    }

    /// Our `h`, as it goes over the wire.
    pub fn handled(&self) -> u32 {
        self.handled as u32
    }

    /// How many of the server's stanzas were handled, without the wrap of the wire.
    pub fn handled_in_all(&self) -> u64 {
        self.handled
    }

    /// Gives the next stanza of ours its number.
    pub fn number_next(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// The number of the last stanza that the server took over.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The number of the last stanza that was sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How many stanzas of ours are under way.
    pub fn in_flight(&self) -> u64 {
        self.sent - self.acknowledged
    }

    /// The server's `h`. Returns the number up to which it took over; 2^32 wraps.
    ///
    /// # Errors
    /// [`ImpossibleAck`], and nothing has changed.
    pub fn handle_ack(&mut self, h: u32) -> Result<u64, ImpossibleAck> {
        let advance = u64::from(h.wrapping_sub(self.acknowledged as u32));
        if advance > self.in_flight() {
            return Err(ImpossibleAck { h, sent: self.sent, acknowledged: self.acknowledged });
        }
        self.acknowledged += advance;
        Ok(self.acknowledged)
    }
}

/// `<r/>`.
pub const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// `<a h='..'/>`.
pub fn ack(h: u32) -> String {
    format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")
}

/// Whether an element counts: message, presence and iq, and nothing else.
pub fn is_counted(element: &Element) -> bool {
    element.has_ns(ns::JABBER_CLIENT) && matches!(element.name(), "message" | "presence" | "iq")
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn acks_move_forward_and_only_as_far_as_was_sent() {
        let mut sm = StreamManagement::new(Some("id".into()));
        for number in 1..=5 {
            assert_eq!(sm.number_next(), number);
        }
        assert_eq!(sm.handle_ack(3), Ok(3));
        assert_eq!(sm.in_flight(), 2);
        assert_eq!(sm.handle_ack(3), Ok(3));
        assert!(sm.handle_ack(6).is_err(), "handled_too_high");
        assert!(sm.handle_ack(2).is_err(), "handled_backwards");
        assert_eq!(sm.acknowledged(), 3);
    }

    #[test]
    fn whatever_the_server_says_a_model_counter_agrees() {
        let mut rng = StdRng::seed_from_u64(1595);
        let near = u64::from(u32::MAX) - 2_000;
        let mut sm =
            StreamManagement { handled: near, sent: near, acknowledged: near, ..StreamManagement::new(None) };
        // The model never wraps and knows nothing of 32 bits but how to truncate.
        let (mut handled, mut sent, mut acknowledged) = (near, near, near);
        for _ in 0..20_000 {
            match rng.random_range(0..4) {
                0 => {
                    sm.handle_one();
                    handled += 1;
                }
                1 => {
                    sent += 1;
                    assert_eq!(sm.number_next(), sent);
                }
                2 => {
                    acknowledged += rng.random_range(0..=sent - acknowledged);
                    assert_eq!(sm.handle_ack(acknowledged as u32), Ok(acknowledged));
                }
                _ => {
                    let before = sm.clone();
                    assert!(sm.handle_ack((sent + rng.random_range(1..1_000)) as u32).is_err());
                    assert!(sm.handle_ack((acknowledged - rng.random_range(1..1_000)) as u32).is_err());
                    assert_eq!(sm, before);
                }
            }
            assert_eq!(sm.handled(), handled as u32);
            assert_eq!(sm.in_flight(), sent - acknowledged);
        }
    }

    #[test]
    fn counters_wrap_at_2_to_the_32() {
        let near = u64::from(u32::MAX) - 1;
        let mut sm =
            StreamManagement { handled: near, sent: near, acknowledged: near, ..StreamManagement::new(None) };
        for _ in 0..4 {
            sm.handle_one();
            sm.number_next();
        }
        assert_eq!(sm.handled(), 2);
        assert_eq!(sm.handle_ack(1), Ok(near + 3));
        assert_eq!(sm.in_flight(), 1);
    }
}
