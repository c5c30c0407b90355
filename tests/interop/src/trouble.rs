//! What can happen to a phone, and a plan of it that can be drawn again from the same seed.
//!
//! A plan has strands that run beside each other: breaks of the link, one after the other; stretches of 2G; and what the
//! system does to the process. So a link also breaks while it is slow, and a phone is killed while it logs in again. What is
//! drawn is the same for everybody who draws with the same dice: two programs that are compared get the same breaks, at the
//! same moments and after as many bytes.

use std::{net::Ipv4Addr, time::Duration};

use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::Way;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Broken off after so many bytes of one direction, wherever that is; what is on its way is lost, both sides get a reset.
    Cut { way: Way, after: u64 },
    /// Closed in good order; what is on its way arrives.
    TidyEnd,
    /// One direction dies after so many bytes and the other one lives on; the whole link follows later.
    HalfOpen { way: Way, after: u64, lasts: Duration },
    /// Up, and swallows everything, until the phone has noticed; at the latest then somebody tells both sides.
    Silence { at_most: Duration },
    /// The phone has another address, and the server is not told.
    Move { to: Ipv4Addr },
    /// No link for a while.
    DeadZone { lasts: Duration },
    /// 2G for a while.
    Slow { lasts: Duration },
    /// SIGKILL; started again later.
    Kill { lasts: Duration },
    /// SIGSTOP, SIGCONT.
    Freeze { lasts: Duration },
}

impl Trouble {
    /// What it is called in tables.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Trouble::Cut { .. } => "cut at a byte",
            Trouble::TidyEnd => "tidy end",
            Trouble::HalfOpen { .. } => "half open",
            Trouble::Silence { .. } => "silence",
            Trouble::Move { .. } => "other address",
            Trouble::DeadZone { .. } => "dead zone",
            Trouble::Slow { .. } => "2G",
            Trouble::Kill { .. } => "kill",
            Trouble::Freeze { .. } => "freeze",
        }
    }

    /// Whether the link broke.
    pub(crate) fn is_cut(name: &str) -> bool {
        !["2G", "kill", "freeze"].contains(&name)
    }

    /// How long it will take about.
    fn lasts(&self) -> Duration {
        match self {
            Trouble::Cut { .. } => Duration::from_millis(500),
            Trouble::HalfOpen { lasts, .. } => Duration::from_millis(500) + *lasts,
            Trouble::Silence { at_most } => *at_most,
            Trouble::TidyEnd | Trouble::Move { .. } => Duration::ZERO,
            Trouble::DeadZone { lasts }
            | Trouble::Slow { lasts }
            | Trouble::Kill { lasts }
            | Trouble::Freeze { lasts } => *lasts,
        }
    }
}

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// In this time.
    pub over: Duration,
    /// Times that the link breaks, in one way or another.
    pub cuts: usize,
    /// Times that the process is killed; it is frozen a quarter as often, at least once, unless this is 0.
    pub kills: usize,
    /// A break at a byte comes within so many. A login is some kilobytes, a message half of one.
    pub bytes: u64,
    /// The longest that it is frozen: longer than a server waits for an answer, if that is to happen.
    pub longest_freeze: Duration,
    /// After how long a link that has gone silent breaks in earnest, if the phone has not noticed.
    pub silence: Duration,
}

/// What happens to one phone: strands of what happens when, counted from the beginning. Who notices a silent link sooner has a
/// longer pause before the next trouble.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) strands: Vec<Vec<(Duration, Trouble)>>,
}

/// Of twenty breaks, so many of each kind; the first six are one of each.
const KINDS: [u8; 20] = [0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 1, 2, 3, 4];

impl Plan {
    /// Nothing happens.
    pub fn calm() -> Plan {
        Plan { strands: Vec::new() }
    }

    /// Draws what happens.
    pub fn draw(dice: &mut StdRng, amount: &Amount) -> Plan {
        // Each strand has dice of its own, so that the cuts are the same with kills and without.
        let mut fork = || -> StdRng { rand::SeedableRng::seed_from_u64(dice.random()) };
        let (mut for_cuts, mut for_slow, mut for_kills) = (fork(), fork(), fork());
        let mut kinds: Vec<u8> = KINDS.into_iter().cycle().take(amount.cuts).collect();
        kinds.shuffle(&mut for_cuts);
        let cuts = kinds.into_iter().map(|kind| cut(kind, &mut for_cuts, amount)).collect();
        let slow = (0..(amount.over.as_secs() / 75).max(1))
            .map(|_| Trouble::Slow { lasts: between(&mut for_slow, 5_000, 15_000) })
            .collect();
        Plan {
            strands: vec![
                spread(cuts, amount.over, &mut for_cuts),
                spread(slow, amount.over, &mut for_slow),
                spread(blows(&mut for_kills, amount), amount.over, &mut for_kills),
            ],
        }
    }
}

fn between(dice: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(dice.random_range(least..most))
}

fn cut(kind: u8, dice: &mut StdRng, amount: &Amount) -> Trouble {
    let way = if dice.random() { Way::Up } else { Way::Down };
    let after = dice.random_range(1..amount.bytes);
    match kind {
        0 => Trouble::Cut { way, after },
        1 => Trouble::TidyEnd,
        2 => Trouble::HalfOpen { way, after, lasts: between(dice, 500, 4_000) },
        3 => {
            Trouble::Move { to: Ipv4Addr::new(127, 0, dice.random_range(1..250), dice.random_range(1..250)) }
        }
        4 => Trouble::DeadZone { lasts: between(dice, 300, 3_000) },
        _ => Trouble::Silence { at_most: amount.silence },
    }
}

fn blows(dice: &mut StdRng, amount: &Amount) -> Vec<Trouble> {
    let mut blows: Vec<Trouble> =
        (0..amount.kills).map(|_| Trouble::Kill { lasts: between(dice, 50, 3_000) }).collect();
    for n in 0..amount.kills.div_ceil(4) {
        let lasts = between(dice, 2_000, 6_000);
        blows.push(Trouble::Freeze { lasts: if n % 3 == 1 { amount.longest_freeze } else { lasts } });
    }
    blows.shuffle(dice);
    blows
}

/// When each of them happens, so that all of it takes about as long as there is.
fn spread(troubles: Vec<Trouble>, over: Duration, dice: &mut StdRng) -> Vec<(Duration, Trouble)> {
    let busy: Duration = troubles.iter().map(Trouble::lasts).sum();
    // Not quite to the end, since much takes a little longer.
    let idle = over.mul_f64(0.95).saturating_sub(busy).max(over / 10).as_secs_f64();
    let weights: Vec<f64> = troubles.iter().map(|_| dice.random_range(0.2..1.8)).collect();
    let all: f64 = weights.iter().sum();
    let mut at = Duration::ZERO;
    let mut happens = |(trouble, weight): (Trouble, f64)| {
        at += Duration::from_secs_f64(idle * weight / all);
        let when = at;
        at += trouble.lasts();
        (when, trouble)
    };
    troubles.into_iter().zip(weights).map(&mut happens).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn amount(kills: usize) -> Amount {
        Amount {
            over: Duration::from_secs(600),
            cuts: 100,
            kills,
            bytes: 12_000,
            longest_freeze: Duration::from_secs(35),
            silence: Duration::from_secs(60),
        }
    }

    #[test]
    fn same_dice_draw_the_same_plan_and_kills_change_no_cut() {
        let draw = |kills| Plan::draw(&mut StdRng::seed_from_u64(1597), &amount(kills)).strands;
        assert_eq!(draw(25), draw(25));
        assert_eq!(draw(25)[..2], draw(0)[..2]);
        assert!(draw(0)[2].is_empty());
    }

    #[test]
    fn few_cuts_are_one_of_each_kind_and_all_of_it_fits_into_the_time() {
        let mut dice = StdRng::seed_from_u64(1597);
        let few = Plan::draw(&mut dice, &Amount { cuts: 6, ..amount(1) });
        let names: std::collections::BTreeSet<&str> =
            few.strands.iter().flatten().map(|(_, trouble)| trouble.name()).collect();
        assert_eq!(names.len(), 9, "{names:?}");
        for strand in Plan::draw(&mut dice, &amount(25)).strands {
            let last = strand.last().map(|(when, trouble)| *when + trouble.lasts()).unwrap_or_default();
            assert!(last < Duration::from_secs(600), "{last:?}");
        }
    }
}
