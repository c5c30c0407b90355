//! How long a link may idle, and when it is asked whether it still lives (XEP-0198 §4; XEP-0286).
//!
//! Whatever stands between a phone and its server forgets an idle link after a while, each network after another while.
//! Each probe wakes the radio for seconds, so there are as few as the network allows: the idle time that was proven to
//! survive and the one after which the link was found dead are a row for each network, and the next probe is tried
//! a little later than what is proven. Any other traffic takes a probe's place, and any other wake-up takes one along.
//!
//! After waking, and on another network, the link is asked at once. A monotonic clock stands still while a phone sleeps, so
//! sleep shows as wall time that passed without it, or as a wake-up that came much too late.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    account::{Account, Cx, Link},
    api::{Network, Status},
    error::Result,
    input::Now,
};

/// What is tried on a network that nothing is known about, in ms.
const FIRST: u64 = 240_000;
/// No idle time below this is believed to be a middlebox's, in ms.
const SHORTEST: u64 = 60_000;
/// RFC 5382 wants more than two hours of every NAT; those who do less often stop at half an hour. In ms.
const LONGEST: u64 = 1_680_000;
/// While somebody looks at the screen, in ms.
const FOREGROUND: u64 = 120_000;
/// What died may have died by accident: after so many survivals below it, longer is tried again.
const FORGIVE: u32 = 16;
/// Networks that are remembered.
const NETWORKS: i64 = 100;
/// Wall time beyond monotonic time, or lateness of a wake-up, that means sleep, in ms.
const SLEEP: u64 = 10_000;

/// What is known of idle links on one network, in ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeepAlive {
    network: String,
    survived: u64,
    died: Option<u64>,
    /// Survivals since the last death.
    held: u32,
}

impl KeepAlive {
    pub(crate) fn load(connection: &Connection, network: &str) -> Result<Self> {
        let row = connection
            .prepare_cached("SELECT survived, died, held FROM network WHERE id = ?1")?
            .query_row(params![network], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?))
            })
            .optional()?;
        let (survived, died, held) = row.unwrap_or_default();
        let died = died.map(|died| died as u64);
        Ok(Self { network: network.to_owned(), survived: survived as u64, died, held })
    }

    /// How long the link is left alone.
    pub(crate) fn interval(&self) -> u64 {
        let next = match self.died {
            None => (self.survived + self.survived / 2).max(FIRST),
            Some(died) if self.survived + SHORTEST < died => u64::midpoint(self.survived, died),
            Some(_) => self.survived,
        };
        next.clamp(SHORTEST, LONGEST)
    }

    /// The link lived after so much silence. Whether anything was learned.
    fn survives(&mut self, idle: u64) -> bool {
        if idle < SHORTEST {
            return false;
        }
        if idle > self.survived {
            self.survived = idle;
            if self.died.is_some_and(|died| died <= idle) {
                (self.died, self.held) = (None, 0);
            }
            return true;
        }
        let Some(died) = self.died else { return false };
        self.held += 1;
        if self.held >= FORGIVE || died <= idle {
            (self.died, self.held) = (None, 0);
        }
        true
    }

    /// It was dead after so much silence.
    fn dies(&mut self, idle: u64) -> bool {
        if idle < SHORTEST {
            return false;
        }
        (self.died, self.held) = (Some(idle), 0);
        self.survived = self.survived.min(idle / 4 * 3);
        true
    }

    fn save(&self, cx: &Cx<'_>) -> Result<()> {
        cx.tx
            .prepare_cached(
                "INSERT INTO network (id, survived, died, held, used_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET survived = ?2, died = ?3, held = ?4, used_at = ?5",
            )?
            .execute(params![
                self.network,
                self.survived as i64,
                self.died.map(|died| died as i64),
                self.held,
                cx.now.wall
            ])?;
        cx.tx
            .prepare_cached(
                "DELETE FROM network WHERE id NOT IN (SELECT id FROM network ORDER BY used_at DESC LIMIT ?1)",
            )?
            .execute(params![NETWORKS])?;
        Ok(())
    }
}

/// What one row is about: the network, or else its kind.
pub(crate) fn key(network: &Network) -> &str {
    match &network.id {
        Some(id) => &id.0,
        None => network.kind.name(),
    }
}

impl Account {
    /// The link lived after so much silence.
    pub(crate) fn link_survived(&mut self, cx: &Cx<'_>, idle: u64) -> Result<()> {
        if self.keep_alive.survives(idle) { self.keep_alive.save(cx) } else { Ok(()) }
    }

    /// The link is found dead. If it was asked after a long silence, that was too long.
    pub(crate) fn link_died(&mut self, cx: &Cx<'_>) -> Result<()> {
        let idle = self.online().map_or(0, |online| online.pulse.died_after());
        if self.keep_alive.dies(idle) { self.keep_alive.save(cx) } else { Ok(()) }
    }

    /// When an idle link is asked by a wake-up of its own, mono ms.
    pub(crate) fn probe_at(&self) -> Option<u64> {
        self.online().map(|online| online.pulse.last_traffic() + self.patience_with_silence())
    }

    /// Asks an idle link. A wake-up that came for something else takes the question along, if it is nearly due.
    pub(crate) fn probe_if_idle(&mut self, now: u64) {
        let nearly = self.patience_with_silence() / 4 * 3;
        if let Link::Online(online) = &mut self.link
            && !online.pulse.expects()
            && now >= online.pulse.last_traffic() + nearly
        {
            online.ask = true;
        }
    }

    fn patience_with_silence(&self) -> u64 {
        let interval = self.keep_alive.interval();
        if self.foreground { interval.min(FOREGROUND) } else { interval }
    }

    /// Whether the device slept since the last step: then whatever was due meanwhile is not overdue.
    pub(crate) fn notice_sleep(&mut self, now: Now) {
        let slept = self.clock.is_some_and(|last| {
            let wall = now.wall.saturating_sub(last.wall).max(0) as u64;
            wall.saturating_sub(now.mono.saturating_sub(last.mono)) >= SLEEP
        });
        let late = self.next_wake().is_some_and(|wake| now.mono >= wake.saturating_add(SLEEP));
        self.clock = Some(now);
        if slept || late {
            self.woke(now);
        }
    }

    /// The device woke: the link may have died meanwhile, and is asked at once.
    pub(crate) fn woke(&mut self, now: Now) {
        match &mut self.link {
            Link::Online(online) => {
                online.pulse.begins_anew(now.mono);
                online.ask = true;
            }
            Link::Negotiating { deadline, .. } => {
                *deadline = (*deadline).max(now.mono + crate::session::LOGIN);
            }
            // Whatever kept it from connecting may be long gone. What the server said is not.
            Link::Down if matches!(self.status, Status::Offline { reason: None, .. }) => {
                self.retry = self.retry.map(|_| now.mono);
            }
            Link::Down | Link::Opening { .. } => {}
        }
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.restart(now.mono);
        }
    }

    pub(crate) fn network(&mut self, cx: &mut Cx<'_>, network: &Network) -> Result<()> {
        let before = self.network.replace(network.clone());
        if key(network) != self.keep_alive.network {
            self.keep_alive = KeepAlive::load(cx.tx, key(network))?;
        }
        // Only its price or its names changed.
        let same = before.is_some_and(|before| {
            network.id.is_some() && before.id == network.id && before.available == network.available
        });
        match &mut self.link {
            Link::Down if !network.available => {}
            _ if !network.available => self.give_up_link(cx, "no network"),
            // What was not to be trusted may have been the network's own portal: another network is worth one attempt.
            Link::Down if self.barred || (self.wanted && !same) => self.go_online(cx),
            Link::Down => {}
            _ if same => {}
            // An attempt on the old network would only find out later.
            Link::Opening { .. } | Link::Negotiating { .. } => {
                self.give_up_link(cx, "another network");
                self.go_online(cx);
            }
            // The old connection may be dead without knowing. It is asked; silence ends it.
            Link::Online(online) => {
                online.pulse.begins_anew(cx.now.mono);
                online.ask = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown() -> KeepAlive {
        KeepAlive { network: String::new(), survived: 0, died: None, held: 0 }
    }

    /// A network that forgets links after this long; how often it was found out, and where it ends.
    fn learn(keep_alive: &mut KeepAlive, limit: u64, probes: u32) -> u32 {
        let mut deaths = 0;
        for _ in 0..probes {
            let idle = keep_alive.interval();
            if idle < limit {
                keep_alive.survives(idle);
            } else {
                keep_alive.dies(idle);
                deaths += 1;
            }
        }
        deaths
    }

    #[test]
    fn interval_grows_while_it_holds_up_to_the_longest() {
        let mut keep_alive = unknown();
        assert_eq!(keep_alive.interval(), FIRST);
        assert_eq!(learn(&mut keep_alive, u64::MAX, 20), 0);
        assert_eq!(keep_alive.interval(), LONGEST);
    }

    #[test]
    fn interval_comes_close_to_what_the_network_allows_and_seldom_finds_out_again() {
        for limit in [90_000, 240_000, 300_000, 600_000, 1_500_000] {
            let mut keep_alive = unknown();
            learn(&mut keep_alive, limit, 12);
            assert!(keep_alive.interval() * 2 >= limit.min(LONGEST), "{limit}: {}", keep_alive.interval());
            let deaths = learn(&mut keep_alive, limit, 200);
            assert!(deaths <= 40, "{limit}: {deaths}");
        }
    }

    #[test]
    fn one_death_by_accident_is_forgotten() {
        let mut keep_alive = unknown();
        learn(&mut keep_alive, u64::MAX, 20);
        keep_alive.dies(LONGEST);
        assert!(keep_alive.interval() < LONGEST);
        learn(&mut keep_alive, u64::MAX, 30);
        assert_eq!(keep_alive.interval(), LONGEST);
    }

    #[test]
    fn short_silence_teaches_nothing() {
        let mut keep_alive = unknown();
        assert!(!keep_alive.survives(SHORTEST - 1) && !keep_alive.dies(SHORTEST - 1));
        assert_eq!(keep_alive, unknown());
    }
}
