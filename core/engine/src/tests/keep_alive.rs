//! Links that die without a word, and how little is said on those that live (STREAM 14, XEP-0286).

use super::*;
use crate::api::{NetworkId, NetworkKind};

/// How long a silent link may be taken for a living one where it matters: ten seconds and two round trips.
const NOTICED: u64 = 10_000;
const ROUND_TRIP: u64 = 700;

impl World {
    /// Online on a link with this round trip, as the acks have shown, in the background.
    fn measured() -> Self {
        let mut world = Self::online();
        world.turn(vec![Input::Foreground(false)]);
        for text in ["one", "two", "three"] {
            world.says(text);
            world.pass(ROUND_TRIP);
            world.acknowledge();
        }
        world.wrote.clear();
        world
    }

    /// The device sleeps: the wall clock goes on, the other one does not.
    fn sleep(&mut self, millis: u64) {
        self.now.wall += millis as i64;
    }

    fn asked(&self) -> usize {
        self.wrote.iter().filter(|element| element.is("r", ns::SM)).count()
    }

    /// The link is silent from now on. When it is given up.
    fn given_up_after(&mut self) -> u64 {
        self.server.hears = false;
        self.hung_up = false;
        let began = self.now.mono;
        while !self.hung_up {
            self.pass(100);
            assert!(self.now.mono < began + 4_000_000, "never");
        }
        self.now.mono - began
    }

    /// A living link, on which every question is answered, for so long. How often it was asked.
    fn lives(&mut self, millis: u64) -> usize {
        let mut asked = 0;
        let end = self.now.mono + millis;
        while self.now.mono < end {
            self.pass(1_000);
            if self.asked() > 0 {
                asked += self.asked();
                self.wrote.clear();
                self.acknowledge();
            }
        }
        asked
    }
}

fn network(id: &str) -> Input {
    Input::Network(Network { id: Some(NetworkId(id.into())), kind: NetworkKind::Wifi, ..Network::default() })
}

#[test]
fn silent_link_after_waking_is_noticed_within_ten_seconds_and_two_round_trips() {
    let wake: [&dyn Fn(&mut World); 3] = [
        &|world| {
            world.sleep(3_600_000);
            world.turn(vec![Input::Tick]);
        },
        &|world| world.turn(vec![Input::Woke]),
        // A clock that does not stop while the device sleeps, and a wake-up that comes much too late.
        &|world| {
            let late = 3_600_000;
            world.now = Now { mono: world.now.mono + late, wall: world.now.wall + late as i64 };
            world.turn(vec![Input::Tick]);
        },
    ];
    for wake in wake {
        let mut world = World::measured();
        world.server.hears = false;
        wake(&mut world);
        assert!(!world.hung_up, "what came meanwhile was not read yet");
        assert!(world.given_up_after() <= NOTICED + 2 * ROUND_TRIP);
        world.turn(vec![Input::Tick]);
        assert!(world.link.is_some(), "and the next one is tried at once");
    }
}

#[test]
fn silent_link_after_a_network_change_is_noticed_within_ten_seconds_and_two_round_trips() {
    let mut world = World::measured();
    world.server.hears = false;
    world.turn(vec![network("cafe")]);
    assert!(world.given_up_after() <= NOTICED + 2 * ROUND_TRIP);
    world.turn(vec![Input::Tick]);
    assert!(world.link.is_some(), "it goes over to the new network");
}

#[test]
fn silent_link_while_sending_is_noticed_within_ten_seconds_and_two_round_trips() {
    let mut world = World::measured();
    world.server.hears = false;
    world.says("four");
    assert!(world.given_up_after() <= NOTICED + 2 * ROUND_TRIP);
}

#[test]
fn silent_link_is_noticed_although_an_idle_probe_was_under_way_with_more_patience() {
    let mut world = World::measured();
    world.server.hears = false;
    let link = world.link;
    while world.engine.as_ref().unwrap().next_wake().unwrap() > world.now.mono + 30_000 {
        world.pass(1_000);
    }
    assert_eq!(world.link, link);
    world.says("four");
    assert!(world.given_up_after() <= NOTICED + 2 * ROUND_TRIP);
}

#[test]
fn link_that_lives_is_asked_once_after_waking_and_kept() {
    let mut world = World::measured();
    world.sleep(3_600_000);
    world.turn(vec![Input::Tick]);
    assert_eq!(world.asked(), 1);
    world.acknowledge();
    world.wrote.clear();
    world.pass(60_000);
    assert!(!world.hung_up);
    assert_eq!(world.asked(), 0);
}

#[test]
fn suspended_mid_transaction() {
    // The process was frozen for a day while an answer was due: the answer may lie in the buffers.
    let mut world = World::measured();
    world.says("four");
    let day = 86_400_000;
    world.now = Now { mono: world.now.mono + day, wall: world.now.wall + day as i64 };
    world.acknowledge();
    assert!(!world.hung_up);
    assert_eq!(world.count("SELECT count(*) FROM outbox WHERE kind = 0"), 0);
}

#[test]
fn slow_honest_link_is_not_given_up() {
    let mut world = World::measured();
    let link = world.link.unwrap();
    // Up: 200 KB at 2.5 KB a second. The kernel tells each time that it could hand on half of what it may hold.
    for n in 0..20 {
        world.says(&format!("{n}{}", "Good night, good night! ".repeat(420)));
    }
    let size = 200 * 1024;
    for _ in 0..size / 8_192 {
        world.pass(8_192 * 10 / 25);
        world.turn(vec![Input::Progress { link }]);
        assert!(!world.hung_up);
    }
    // What it holds in the end leaves without a word.
    world.pass(24 * 1024 * 10 / 25);
    assert!(!world.hung_up);
    world.acknowledge();
    // Down: an element of 100 KB, half a kilobyte at a time, after a network change that asked for an ack.
    world.turn(vec![network("train")]);
    for _ in 0..200 {
        world.pass(2_000);
        world.turn(vec![Input::Progress { link }]);
        assert!(!world.hung_up);
    }
    world.acknowledge();
    world.pass(60_000);
    assert!(!world.hung_up);
}

#[test]
fn link_whose_round_trip_is_long_is_given_two_of_them() {
    let mut world = World::online();
    world.says("one");
    world.pass(7_000);
    world.acknowledge();
    world.says("two");
    world.pass(21_000);
    assert!(!world.hung_up);
    world.pass(2_000);
    assert!(world.hung_up);
}

#[test]
fn probes_become_rare_while_they_are_answered_and_other_traffic_takes_their_place() {
    let mut world = World::measured();
    let hour = 3_600_000;
    let first = world.lives(hour);
    assert!(first <= 8, "{first}");
    let later = world.lives(4 * hour);
    assert!((8..=9).contains(&later), "every 28 minutes: {later}");
    let mut asked = 0;
    for n in 0..12 {
        world.gets(&live(n));
        asked += world.lives(300_000);
    }
    assert_eq!(asked, 0, "a message each five minutes is proof enough");
}

#[test]
fn network_that_forgets_idle_links_is_remembered_by_its_name() {
    let mut world = World::measured();
    world.turn(vec![network("cafe")]);
    world.lives(20_000);
    let interval = |world: &World| world.engine.as_ref().unwrap().next_wake().unwrap() - world.now.mono;
    world.lives(3_600_000);
    assert!(interval(&world) > 600_000);
    // Here, four minutes are too much.
    world.turn(vec![network("train")]);
    world.lives(20_000);
    assert!(world.given_up_after() > 240_000);
    world.server.hears = true;
    world.reconnect(Resume::Accept);
    world.acknowledge();
    // Who heard nothing for so long compares with the archive.
    world.serve();
    world.acknowledge();
    world.wrote.clear();
    assert!(interval(&world) < 240_000, "shorter by then");
    let short = interval(&world);
    // The process dies; what the networks are like does not.
    world.kill();
    world.turn(vec![Input::Foreground(false), network("train")]);
    world.reconnect(Resume::Accept);
    world.acknowledge();
    world.serve();
    world.acknowledge();
    assert!(interval(&world) <= short);
    world.turn(vec![network("cafe")]);
    world.acknowledge();
    assert!(interval(&world) > 600_000);
}

#[test]
fn wake_up_for_something_else_takes_the_probe_along() {
    let mut world = World::measured();
    world.pass(200_000);
    assert_eq!(world.asked(), 0);
    world.does(Command::MarkRead { with: juliet() });
    assert_eq!(world.asked(), 1);
}

#[test]
fn sync_does_not_wait_for_a_ping_that_keeps_the_link_alive() {
    let mut world = World::new();
    world.server.sm = false;
    world.connect();
    world.serve();
    world.pass(119_000);
    world.wrote.clear();
    assert_eq!(world.does(Command::Sync { timeout: 0 }), Some(Ok(Reply::Done)));
    assert!(world.all("iq").iter().any(|iq| iq.children().any(|ping| ping.is("ping", ns::PING))));
}

#[test]
fn sleep_teaches_nothing_about_the_network() {
    let mut world = World::measured();
    world.sleep(7_200_000);
    world.turn(vec![Input::Tick]);
    world.acknowledge();
    assert_eq!(world.count("SELECT count(*) FROM network"), 0);
    world.sleep(7_200_000);
    world.turn(vec![Input::Tick]);
    world.given_up_after();
    assert_eq!(world.count("SELECT count(*) FROM network"), 0);
}

#[test]
fn change_of_price_or_names_alone_is_no_other_network() {
    let mut world = World::measured();
    world.turn(vec![network("cafe")]);
    world.acknowledge();
    world.wrote.clear();
    let metered = Network { metered: true, id: Some(NetworkId("cafe".into())), ..Network::default() };
    world.turn(vec![Input::Network(metered)]);
    assert_eq!(world.asked(), 0);
}

#[test]
fn without_a_network_nothing_is_tried_until_there_is_one() {
    let mut world = World::measured();
    world.turn(vec![Input::Network(Network { available: false, ..Network::default() })]);
    assert!(world.hung_up);
    assert!(matches!(world.status, Some(Status::Offline { next_attempt: None, .. })));
    world.pass(3_600_000);
    assert_eq!(world.link, None);
    world.turn(vec![network("cafe")]);
    assert!(world.link.is_some());
    // The user may know better than the platform.
    world.cut();
    world.turn(vec![Input::Network(Network { available: false, ..Network::default() })]);
    world.link = None;
    world.does(Command::Connect);
    assert!(world.link.is_some());
}

#[test]
fn attempt_that_was_put_off_before_a_sleep_is_made_after_it() {
    let mut world = World::measured();
    world.cut();
    for _ in 0..8 {
        while world.link.is_none() {
            world.pass(1_000);
        }
        let link = world.link.take().unwrap();
        world.turn(vec![Input::LinkLost { link, why: LinkFailure::Network("no route".into()) }]);
    }
    world.turn(vec![Input::Tick]);
    assert_eq!(world.link, None);
    world.sleep(3_600_000);
    world.turn(vec![Input::Tick]);
    assert!(world.link.is_some());
}

#[test]
fn link_that_lets_a_login_through_and_nothing_behind_it_is_tried_less_and_less() {
    let mut world = World::measured();
    world.cut();
    let mut waits = Vec::new();
    for _ in 0..9 {
        world.reconnect(Resume::Accept);
        world.given_up_after();
        let silent = world.now.mono;
        while world.link.is_none() {
            world.pass(100);
        }
        waits.push(world.now.mono - silent);
        world.server.hears = true;
    }
    assert!(waits[0] <= 600 && waits[8] >= 60_000, "{waits:?}");
}

#[test]
fn screen_that_is_looked_at_shows_what_is_true() {
    let mut world = World::measured();
    world.pass(60_000);
    world.server.hears = false;
    world.turn(vec![Input::Foreground(true)]);
    assert!(world.given_up_after() <= NOTICED + 2 * ROUND_TRIP);
}
