//! Two phones of one account agree on how conversations are set, over real servers.

use std::{
    thread,
    time::{Duration, Instant},
};

use interop::{Console, Kind, Phone};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, synced};

const NURSE: &str = "nurse@b.test";

/// How a conversation is set: pinned, muted, archived, of what to be notified.
fn set(phone: &Console, with: &str) -> Value {
    let all = phone.request("conversations", json!({}), PATIENCE).unwrap();
    let lines = all["conversations"].as_array().cloned().unwrap_or_default();
    let line = lines.into_iter().find(|line| line["with"] == with).unwrap_or_default();
    json!([line["pinned"], line["muted"], line["archived"], line["notify"]])
}

fn until_set(phone: &Console, with: &str, settings: &Value) {
    let deadline = Instant::now() + PATIENCE;
    while set(phone, with) != *settings {
        assert!(Instant::now() < deadline, "{} is {}, and not {settings}", with, set(phone, with));
        thread::sleep(Duration::from_millis(50));
    }
}

fn phones_agree_on_settings_over(kind: Kind) {
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
    let says = |text: &str| {
        juliet.send_message(ROMEO.0, &id(text), text, PATIENCE).unwrap();
        phone.wait_message(text, PATIENCE).unwrap();
    };
    let decide = |console: &Console, what: &str, with: &str, mut fields: Value| {
        fields["with"] = with.into();
        console.request(what, fields, PATIENCE).unwrap();
    };
    says("one");

    // Both are there; of somebody, too, with whom nothing was said yet.
    decide(&phone, "pin", JULIET.0, json!({}));
    decide(&phone, "notify", JULIET.0, json!({ "of": "on_mention" }));
    decide(&phone, "pin", NURSE, json!({}));
    let on_mention = json!([true, null, false, "on_mention"]);
    until_set(&tablet, JULIET.0, &on_mention);
    until_set(&tablet, NURSE, &json!([true, null, false, "always"]));

    // It is offline, and is killed. Of what both decide meanwhile the later counts, which is told earlier.
    tablet.request("disconnect", json!({}), PATIENCE).unwrap();
    decide(&tablet, "mute", JULIET.0, json!({}));
    decide(&tablet, "archive", JULIET.0, json!({}));
    decide(&tablet, "notify", NURSE, json!({ "of": "never" }));
    drop(tablet);
    decide(&phone, "pin", NURSE, json!({ "on": false }));
    decide(&phone, "mute", NURSE, json!({ "on": true }));
    thread::sleep(Duration::from_secs(6));
    synced(&phone);
    assert_eq!(set(&phone, JULIET.0), on_mention);
    tablet = Console::start(&desk).unwrap();
    tablet.wait_online(PATIENCE).unwrap();
    let muted = json!([true, true, true, "on_mention"]);
    for console in [&phone, &tablet] {
        until_set(console, JULIET.0, &muted);
        // It is muted only, and so not in the list.
        until_set(console, NURSE, &json!([null, null, null, null]));
    }
    decide(&phone, "pin", NURSE, json!({}));
    until_set(&tablet, NURSE, &json!([true, true, false, "always"]));

    // A message brings it back on both, and nobody has to say so.
    decide(&tablet, "mute", JULIET.0, json!({ "on": false }));
    until_set(&phone, JULIET.0, &json!([true, null, true, "on_mention"]));
    says("two");
    for console in [&phone, &tablet] {
        until_set(console, JULIET.0, &on_mention);
    }

    // One that is new learns it all from the server.
    let third = Phone { data: stage.dir.path().join("watch"), ..pocket.clone() };
    let watch = Console::start(&third).unwrap();
    watch.wait_online(PATIENCE).unwrap();
    until_set(&watch, JULIET.0, &on_mention);
    until_set(&watch, NURSE, &json!([true, true, false, "always"]));

    // Nobody but its own devices sees that node.
    let asked = json!({ "of": ROMEO.0, "node": "urn:whimbrel:settings:0" });
    let refused = juliet.request("items", asked, PATIENCE);
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn phones_agree_on_settings_over_prosody_13() {
    phones_agree_on_settings_over(Kind::Prosody13);
}

#[test]
fn phones_agree_on_settings_over_ejabberd() {
    phones_agree_on_settings_over(Kind::Ejabberd);
}
