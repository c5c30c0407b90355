//! Two phones of one account agree on what was read (XEP-0490), over real servers.

use std::{
    thread,
    time::{Duration, Instant},
};

use interop::{Console, Kind, Phone};
use serde_json::json;

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, synced};

/// How many messages are unread, in all.
fn unread(phone: &Console) -> u64 {
    let all = phone.request("conversations", json!({}), PATIENCE).unwrap();
    let all = all["conversations"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|conversation| conversation["unread"].as_u64()).sum()
}

/// Waits until so many are.
fn until_unread(phone: &Console, count: u64) {
    let deadline = Instant::now() + PATIENCE;
    while unread(phone) != count {
        assert!(Instant::now() < deadline, "{} unread, and not {count}", unread(phone));
        thread::sleep(Duration::from_millis(50));
    }
}

fn phones_agree_on_what_was_read_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let pocket = stage.phone(ROMEO.0, ROMEO.1);
    let desk = Phone { data: stage.dir.path().join("tablet"), ..pocket.clone() };
    let phone = Console::start(&pocket).unwrap();
    let mut tablet = Console::start(&desk).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&phone, &tablet, &juliet] {
        console.wait_online(PATIENCE).unwrap();
        synced(console);
    }
    let says = |number: u32| {
        let text = format!("line {number}");
        juliet.send_message(ROMEO.0, &id(&text), &text, PATIENCE).unwrap();
        phone.wait_message(&text, PATIENCE).unwrap();
    };
    let reads = || {
        phone.request("mark_read", json!({ "with": JULIET.0 }), PATIENCE).unwrap();
        assert_eq!(unread(&phone), 0);
    };

    // Both are there.
    (1..=3).for_each(says);
    until_unread(&tablet, 3);
    reads();
    until_unread(&tablet, 0);

    // It sleeps meanwhile, and the session is resumed.
    tablet.request("suspend", json!({}), PATIENCE).unwrap();
    (4..=6).for_each(says);
    reads();
    says(7);
    synced(&phone);
    thread::sleep(Duration::from_secs(6));
    synced(&phone);
    tablet.request("resume", json!({}), PATIENCE).unwrap();
    tablet.wait_message("line 7", PATIENCE).unwrap();
    synced(&tablet);
    until_unread(&tablet, 1);

    // It was signed out, so that a new session has to ask: for what it missed, and how far that was read.
    tablet.request("disconnect", json!({}), PATIENCE).unwrap();
    (8..=9).for_each(says);
    reads();
    thread::sleep(Duration::from_secs(6));
    says(10);
    synced(&phone);
    tablet.request("connect", json!({}), PATIENCE).unwrap();
    tablet.wait_message("line 10", PATIENCE).unwrap();
    synced(&tablet);
    until_unread(&tablet, 1);

    // What it reads while it is offline, and is killed then, the other hears when it is back.
    tablet.request("disconnect", json!({}), PATIENCE).unwrap();
    tablet.request("mark_read", json!({ "with": JULIET.0 }), PATIENCE).unwrap();
    drop(tablet);
    tablet = Console::start(&desk).unwrap();
    tablet.wait_online(PATIENCE).unwrap();
    until_unread(&phone, 0);
    assert_eq!(unread(&tablet), 0);
}

#[test]
fn phones_agree_on_what_was_read_over_prosody_13() {
    phones_agree_on_what_was_read_over(Kind::Prosody13);
}

#[test]
fn phones_agree_on_what_was_read_over_ejabberd() {
    phones_agree_on_what_was_read_over(Kind::Ejabberd);
}
