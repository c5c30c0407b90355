//! From TLS to online in one round trip, with a token. Counted on the wire, by the link.
//!
//! The link makes each way long, so that a round trip is longer than anything else, and what had to be waited for is told
//! from what was merely sent (`Connection::round_trips`).

use std::time::Duration;

use interop::{Console, Event, InFlight, Kind, Link, Options};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, synced};

/// Each way.
const DELAY: Duration = Duration::from_millis(500);

fn round_trips(link: &Link, event: &Event) -> usize {
    let connection =
        link.connection_at(event.at).expect("something came over the link, so there is a connection");
    connection.round_trips(event.at, 2 * DELAY)
}

fn second_login_takes_one_round_trip(kind: Kind, mut reach: impl FnMut(&Stage) -> Link, direct_tls: bool) {
    let Some(stage) = Stage::on(kind) else { return };
    let link = reach(&stage);
    link.delay(DELAY);
    let mut phone = stage.phone_behind(&link, ROMEO.0, ROMEO.1);
    phone.direct_tls = direct_tls;
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    juliet.wait_online(PATIENCE).unwrap();

    let romeo = Console::start(&phone).unwrap();
    let first = romeo.wait_online(PATIENCE).unwrap();
    assert!(first.str("mechanism").starts_with("SCRAM-"), "{}", first.body);
    assert!(round_trips(&link, &first) > 1, "a first login that takes one round trip is counted wrongly");
    synced(&romeo);

    // After a cut, and after a kill.
    for killed in [false, true] {
        // No attempt of its own comes to nothing meanwhile: after some of them it would look what is offered first.
        link.stall(true);
        if killed {
            romeo.kill();
        }
        for number in 0..3 {
            let text = format!("missed-{killed}-{number}");
            juliet.send_message(ROMEO.0, &id(&text), &text, PATIENCE).unwrap();
            juliet.wait_state(&id(&text), "sent", PATIENCE).unwrap();
        }
        link.cut(InFlight::Dropped);
        link.stall(false);
        let restarted = killed.then(|| Console::start(&phone).unwrap());
        let romeo = restarted.as_ref().unwrap_or(&romeo);
        let online = romeo.wait_online(PATIENCE).unwrap();
        assert!(online.flag("resumed"), "{}", online.body);
        assert!(online.str("mechanism").starts_with("HT-"), "{}", online.body);
        assert_eq!(round_trips(&link, &online), 1, "to online, {}", online.body);
        for number in 0..3 {
            let missed = romeo.wait_message(&format!("missed-{killed}-{number}"), PATIENCE).unwrap();
            assert_eq!(round_trips(&link, &missed), 1, "to a missed message");
        }
    }
}

fn bound_anew_takes_one_round_trip_and_the_archive_one_more(kind: Kind) {
    let options = Options { hibernation: Some(Duration::from_secs(1)), ..Options::default() };
    let Some(stage) = Stage::with(kind, options) else { return };
    let link = stage.link();
    link.delay(DELAY);
    let phone = stage.phone_behind(&link, ROMEO.0, ROMEO.1);
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    juliet.wait_online(PATIENCE).unwrap();
    // Twice: the first login cannot know yet whether the archive keeps everything (STREAM 5).
    for _ in 0..2 {
        let romeo = Console::start(&phone).unwrap();
        romeo.wait_online(PATIENCE).unwrap();
        synced(&romeo);
        romeo.kill();
    }
    for number in 0..3 {
        let text = format!("missed {number}");
        juliet.send_message(ROMEO.0, &id(&text), &text, PATIENCE).unwrap();
        juliet.wait_state(&id(&text), "sent", PATIENCE).unwrap();
    }
    // The server must have given the session up; nothing outside of it shows when it has.
    std::thread::sleep(Duration::from_secs(5));
    let romeo = Console::start(&phone).unwrap();
    let online = romeo.wait_online(PATIENCE).unwrap();
    assert!(!online.flag("resumed"), "{}", online.body);
    assert!(online.str("mechanism").starts_with("HT-"), "{}", online.body);
    assert_eq!(round_trips(&link, &online), 1, "to online, {}", online.body);
    for number in 0..3 {
        let missed = romeo.wait_message(&format!("missed {number}"), PATIENCE).unwrap();
        let taken = round_trips(&link, &missed);
        assert!(taken <= 2, "{taken} round trips to a missed message, when bound anew");
    }
}

fn directly(stage: &Stage) -> Link {
    stage.link()
}

#[test]
fn second_login_on_prosody_13_takes_one_round_trip() {
    second_login_takes_one_round_trip(Kind::Prosody13, directly, true);
}

#[test]
fn second_login_on_ejabberd_takes_one_round_trip() {
    second_login_takes_one_round_trip(Kind::Ejabberd, directly, true);
}

#[test]
fn second_login_on_prosody_13_takes_one_round_trip_after_starttls() {
    second_login_takes_one_round_trip(Kind::Prosody13, |stage| Link::to(stage.server.port()).unwrap(), false);
}

#[test]
fn bound_anew_on_prosody_13_takes_one_round_trip_and_the_archive_one_more() {
    bound_anew_takes_one_round_trip_and_the_archive_one_more(Kind::Prosody13);
}

#[test]
fn bound_anew_on_ejabberd_takes_one_round_trip_and_the_archive_one_more() {
    bound_anew_takes_one_round_trip_and_the_archive_one_more(Kind::Ejabberd);
}
