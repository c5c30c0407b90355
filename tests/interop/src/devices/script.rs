//! What the devices of an account do, drawn from a seed: the same seed draws the same.
//!
//! Nothing here depends on what became of a deed. So a run that is slower than another, or in which something was refused, does
//! the same things in the same order.

use std::{fmt, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{InFlight, Way};

/// A device. All but the last are of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Phone,
    Tablet,
    Slixmpp,
    Bob,
}

impl Who {
    pub(crate) const ALL: [Who; 4] = [Who::Phone, Who::Tablet, Who::Slixmpp, Who::Bob];
    /// Those whose processes and links break.
    const OURS: [Who; 3] = [Who::Phone, Who::Tablet, Who::Bob];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::Phone => "phone",
            Who::Tablet => "tablet",
            Who::Slixmpp => "slixmpp",
            Who::Bob => "bob",
        }
    }

    pub(crate) fn side(self) -> Side {
        if self == Who::Bob { Side::Bob } else { Side::Alice }
    }
}

/// Whose account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Alice,
    Bob,
}

/// The number of a message, and of what is done to one.
pub(crate) type Number = u32;

/// What is asked of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    Send { message: Number, answers: Option<Number>, text: String },
    Edit { message: Number, change: Number, text: String },
    Retract { message: Number, change: Number },
    React { message: Number, change: Number, reactions: Vec<&'static str> },
    MarkRead,
}

/// What happens to a device. What lasts, lasts for so many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Cut(InFlight),
    /// At a byte of what comes next.
    Break {
        way: Way,
        after: u64,
    },
    DeadZone {
        lasts: usize,
    },
    Disconnect {
        lasts: usize,
    },
    /// SIGKILL.
    Kill {
        lasts: usize,
    },
}

/// Deeds at the same moment, and what happens before they are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) deeds: Vec<(Who, Deed)>,
    pub(crate) trouble: Option<(Who, Trouble)>,
    pub(crate) pause: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (who, deed)) in self.deeds.iter().enumerate() {
            let together = if at == 0 { "" } else { " | " };
            write!(f, "{together}{}: {deed:?}", who.name())?;
        }
        if let Some((who, trouble)) = &self.trouble {
            write!(f, " ! {}: {trouble:?}", who.name())?;
        }
        write!(f, ", {} ms", self.pause.as_millis())
    }
}

const WORDS: [&str; 8] = [
    "But soft, what light?",
    "☀ is the sun",
    "O Romeo, Romeo 🌹",
    "It is my lady,\nO, it is my love!",
    "What's in a name?",
    "Wär' ich der Handschuh",
    "Good night, good night!",
    "Ay me! 👩‍👧",
];
const REACTIONS: [&str; 5] = ["❤", "😂", "👍🏽", "🌹", "☀"];

struct Said {
    by: Side,
    retracted: bool,
}

/// Draws one step after the other.
pub(crate) struct Author {
    dice: StdRng,
    said: Vec<Said>,
    changes: Number,
}

impl Author {
    pub(crate) fn new(seed: u64) -> Author {
        Author { dice: StdRng::seed_from_u64(seed), said: Vec::new(), changes: 0 }
    }

    pub(crate) fn step(&mut self) -> Step {
        let mut deeds = if self.dice.random_bool(0.2) { self.rivals() } else { self.everyday() };
        // Nobody does two things at once.
        deeds.sort_by_key(|(who, _)| *who);
        deeds.dedup_by_key(|(who, _)| *who);
        for (_, deed) in &deeds {
            if let Deed::Retract { message, .. } = deed {
                self.said[*message as usize].retracted = true;
            }
        }
        let trouble = self.dice.random_bool(0.2).then(|| self.trouble());
        let most = if self.dice.random_bool(0.2) { 900 } else { 150 };
        let pause = Duration::from_millis(self.dice.random_range(0..most));
        Step { deeds, trouble, pause }
    }

    fn everyday(&mut self) -> Vec<(Who, Deed)> {
        let deeds = self.dice.random_range(1..=3);
        (0..deeds).filter_map(|_| self.deed()).collect()
    }

    fn deed(&mut self) -> Option<(Who, Deed)> {
        let who = *Who::ALL.choose(&mut self.dice)?;
        let deed = match self.dice.random_range(0..100) {
            0..35 => self.send(who, None),
            35..45 => {
                let answered = self.target(None)?;
                self.send(who, Some(answered))
            }
            45..65 => {
                let message = self.target(Some(who.side()))?;
                self.edit(message)
            }
            65..85 => {
                let message = self.target(None)?;
                self.react(message)
            }
            85..92 => {
                let message = self.target(Some(who.side()))?;
                Deed::Retract { message, change: self.change() }
            }
            _ => Deed::MarkRead,
        };
        Some((who, deed))
    }

    /// Two or three devices do something to one message within one round trip.
    fn rivals(&mut self) -> Vec<(Who, Deed)> {
        let Some(message) = self.target(Some(Side::Alice)) else { return Vec::new() };
        let mut deeds = Vec::new();
        for who in [Who::Phone, Who::Tablet, Who::Slixmpp] {
            let deed = match self.dice.random_range(0..10) {
                0..5 => self.edit(message),
                5..7 => self.react(message),
                7 => Deed::Retract { message, change: self.change() },
                _ => continue,
            };
            deeds.push((who, deed));
        }
        deeds
    }

    /// A message that somebody may do something to: most often one of the last.
    fn target(&mut self, by: Option<Side>) -> Option<Number> {
        let mut there: Vec<usize> = (0..self.said.len())
            .filter(|at| !self.said[*at].retracted && by.is_none_or(|by| by == self.said[*at].by))
            .collect();
        if self.dice.random_bool(0.8) {
            there.drain(..there.len().saturating_sub(8));
        }
        there.choose(&mut self.dice).map(|at| *at as Number)
    }

    fn send(&mut self, who: Who, answers: Option<Number>) -> Deed {
        let message = self.said.len() as Number;
        self.said.push(Said { by: who.side(), retracted: false });
        Deed::Send { message, answers, text: format!("m{message} {}", self.words()) }
    }

    fn edit(&mut self, message: Number) -> Deed {
        let change = self.change();
        Deed::Edit { message, change, text: format!("m{message} e{change} {}", self.words()) }
    }

    fn react(&mut self, message: Number) -> Deed {
        let reactions = REACTIONS.into_iter().filter(|_| self.dice.random_bool(0.3)).collect();
        Deed::React { message, change: self.change(), reactions }
    }

    fn words(&mut self) -> &'static str {
        WORDS.choose(&mut self.dice).copied().unwrap_or_default()
    }

    fn change(&mut self) -> Number {
        self.changes += 1;
        self.changes
    }

    fn trouble(&mut self) -> (Who, Trouble) {
        let who = Who::OURS[self.dice.random_range(0..Who::OURS.len())];
        let lasts = self.dice.random_range(1..12);
        let trouble = match self.dice.random_range(0..12) {
            0..3 => Trouble::Cut(InFlight::Dropped),
            3 => Trouble::Cut(InFlight::Kept),
            4..7 => Trouble::Break {
                way: if self.dice.random() { Way::Up } else { Way::Down },
                after: self.dice.random_range(1..4_000),
            },
            7..9 => Trouble::DeadZone { lasts },
            9 => Trouble::Disconnect { lasts },
            _ => Trouble::Kill { lasts },
        };
        (who, trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_draws_the_same_and_everything_happens() {
        let draw = |seed| {
            let mut author = Author::new(seed);
            (0..400).map(|_| author.step()).collect::<Vec<_>>()
        };
        let steps = draw(1597);
        assert_eq!(steps, draw(1597));
        assert_ne!(steps, draw(1598));
        let shown: String = steps.iter().map(|step| format!("{step}\n")).collect();
        for what in [
            "Send",
            "answers: Some",
            "Edit",
            "Retract",
            "React",
            "MarkRead",
            "Cut",
            "Break",
            "DeadZone",
            "Disconnect",
            "Kill",
        ] {
            assert!(shown.contains(what), "{what}");
        }
        let edits =
            |step: &Step| step.deeds.iter().filter(|(_, deed)| matches!(deed, Deed::Edit { .. })).count();
        assert!(steps.iter().any(|step| edits(step) > 1), "nobody edits at the same time");
    }
}
