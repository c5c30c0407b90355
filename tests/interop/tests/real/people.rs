//! People over real servers: who is called and grouped how, what they show of themselves, and whom one does not want to hear of.

use std::{
    thread,
    time::{Duration, Instant},
};

use interop::{Console, Kind};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, befriend, id, peer::Peer, synced};

/// The smallest PNG there is, in base64.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Waits until the contact is like this, and gives it back.
fn contact(console: &Console, jid: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let roster = console.request("roster", json!({}), PATIENCE).unwrap();
        let contacts = roster["contacts"].as_array().cloned().unwrap_or_default();
        if let Some(contact) = contacts.iter().find(|contact| contact["jid"] == jid && is_so(contact)) {
            return contact.clone();
        }
        assert!(Instant::now() < deadline, "{roster}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn people_show_themselves_and_are_blocked_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    befriend(&romeo, &juliet);

    let groups = json!(["Friends", "Verona & more"]);
    // A server may tell them in any order.
    let is_in = |contact: &Value| {
        let mut given = contact["groups"].as_array().cloned().unwrap_or_default();
        given.sort_by_key(|group| group.as_str().map(str::to_owned));
        json!(given) == groups
    };
    romeo
        .request("edit_contact", json!({ "jid": JULIET.0, "name": "Julia", "groups": groups }), PATIENCE)
        .unwrap();
    contact(&romeo, JULIET.0, |contact| contact["name"] == "Julia" && is_in(contact));
    romeo.request("add", json!({ "jid": JULIET.0, "name": "Juliet" }), PATIENCE).unwrap();
    contact(&romeo, JULIET.0, |contact| contact["name"] == "Juliet" && is_in(contact));

    juliet.request("set_avatar", json!({ "type": "image/png", "data": PICTURE }), PATIENCE).unwrap();
    juliet.request("nickname", json!({ "name": "Capulet's daughter" }), PATIENCE).unwrap();
    let shown =
        |contact: &Value| contact["nickname"] == "Capulet's daughter" && contact["avatar"].is_string();
    let hash = contact(&romeo, JULIET.0, shown)["avatar"].clone();
    let deadline = Instant::now() + PATIENCE;
    let picture = loop {
        match romeo.request("avatar", json!({ "hash": hash }), PATIENCE) {
            Ok(picture) => break picture,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(picture["data"], PICTURE);
    assert_eq!(contact(&romeo, JULIET.0, |_| true)["presence"]["show"], "available");

    // He wants to hear no more of her; then he does.
    let says = |text: &str| juliet.send_message(ROMEO.0, &id(text), text, PATIENCE).unwrap();
    let block = json!({ "jid": JULIET.0, "reason": "spam", "text": "adieu" });
    romeo.request("block", block, PATIENCE).unwrap();
    synced(&romeo);
    assert_eq!(romeo.request("blocked", json!({}), PATIENCE).unwrap()["blocked"], json!([JULIET.0]));
    assert_eq!(contact(&romeo, JULIET.0, |_| true)["blocked"], true);
    // Whether she is told is up to his server.
    says("nobody hears this");
    juliet.wait_state(&id("nobody hears this"), "sent", PATIENCE).unwrap();
    // A new session has the list from the server.
    romeo.request("disconnect", json!({}), PATIENCE).unwrap();
    romeo.request("connect", json!({}), PATIENCE).unwrap();
    synced(&romeo);
    assert_eq!(romeo.request("blocked", json!({}), PATIENCE).unwrap()["blocked"], json!([JULIET.0]));
    romeo.request("unblock", json!({ "jid": JULIET.0 }), PATIENCE).unwrap();
    synced(&romeo);
    says("this he hears");
    romeo.wait_message("this he hears", PATIENCE).unwrap();
    assert!(romeo.take_events().iter().all(|event| event.str("text") != "nobody hears this"));
}

#[test]
fn people_show_themselves_and_are_blocked_over_prosody_13() {
    people_show_themselves_and_are_blocked_over(Kind::Prosody13);
}

#[test]
fn people_show_themselves_and_are_blocked_over_ejabberd() {
    people_show_themselves_and_are_blocked_over(Kind::Ejabberd);
}

/// How she is there: as it is said, after a kill, in a new session, and as it was changed while she was away.
fn own_presence_is_seen_and_survives_a_kill_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let hers = stage.phone(JULIET.0, JULIET.1);
    let juliet = Console::start(&hers).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    befriend(&romeo, &juliet);
    let seen = |show: &str, text: Option<&str>| {
        contact(&romeo, JULIET.0, |contact| {
            contact["presence"]["show"] == show && contact["presence"]["text"].as_str() == text
        })
    };
    seen("available", None);

    juliet.request("presence", json!({ "show": "do_not_disturb", "text": "at the ball" }), PATIENCE).unwrap();
    seen("do_not_disturb", Some("at the ball"));
    let refused = juliet.request("presence", json!({ "show": "chat", "text": "two\nlines" }), PATIENCE);
    assert!(refused.unwrap_err().to_string().contains("invalid_input"));
    synced(&juliet);
    juliet.kill();
    let juliet = Console::start(&hers).unwrap();
    juliet.wait_online(PATIENCE).unwrap();
    synced(&juliet);
    seen("do_not_disturb", Some("at the ball"));
    let set = juliet.request("presence", json!({}), PATIENCE).unwrap();
    assert_eq!(
        (&set["presence"]["show"], &set["presence"]["text"]),
        (&json!("do_not_disturb"), &json!("at the ball"))
    );

    // A new session says it again, and what was decided meanwhile.
    for (show, text) in [("do_not_disturb", Some("at the ball")), ("extended_away", None)] {
        juliet.request("disconnect", json!({}), PATIENCE).unwrap();
        contact(&romeo, JULIET.0, |contact| contact["available"] == false);
        juliet.request("presence", json!({ "show": show, "text": text }), PATIENCE).unwrap();
        juliet.request("connect", json!({}), PATIENCE).unwrap();
        seen(show, text);
    }
    juliet.request("presence", json!({ "show": "available" }), PATIENCE).unwrap();
    seen("available", None);
}

#[test]
fn own_presence_is_seen_and_survives_a_kill_over_prosody_13() {
    own_presence_is_seen_and_survives_a_kill_over(Kind::Prosody13);
}

#[test]
fn own_presence_is_seen_and_survives_a_kill_over_ejabberd() {
    own_presence_is_seen_and_survives_a_kill_over(Kind::Ejabberd);
}

/// Two devices of hers, of other software than ours; and a picture that only a vCard has (XEP-0054).
fn devices_of_a_contact_are_shown_as_one_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    befriend(&romeo, &juliet);
    juliet.request("disconnect", json!({}), PATIENCE).unwrap();
    contact(&romeo, JULIET.0, |contact| contact["available"] == false);

    let [mut balcony, mut hall] = ["balcony", "hall"].map(|name| Peer::sign_in(&stage.server, JULIET, name));
    let idle = |since: &str| format!("<idle xmlns='urn:xmpp:idle:1' since='{since}'/>");
    let away = format!(
        "<presence><show>away</show><status>at the window</status><priority>5</priority>{}</presence>",
        idle("2026-01-01T10:00:00Z")
    );
    balcony.say(&away);
    hall.say(&format!(
        "<presence><show>dnd</show><status>dancing</status>{}</presence>",
        idle("2026-01-01T11:00:00Z")
    ));
    // What the device of the highest priority says; and nobody has looked at any of them since the last one was left.
    let shown = |is_so: Value| move |contact: &Value| contact["presence"] == is_so;
    let left = json!({ "show": "away", "text": "at the window", "idle_since": 1_767_265_200_000_i64 });
    contact(&romeo, JULIET.0, shown(left));
    hall.say("<presence><priority>1</priority></presence>");
    contact(&romeo, JULIET.0, shown(json!({ "show": "away", "text": "at the window", "idle_since": null })));
    hall.say("<presence><show>chat</show><priority>9</priority></presence>");
    contact(&romeo, JULIET.0, shown(json!({ "show": "chat", "text": null, "idle_since": null })));
    hall.say("<presence type='unavailable'/>");
    contact(&romeo, JULIET.0, |contact| contact["presence"]["idle_since"] == 1_767_261_600_000_i64);

    balcony.say(&format!(
        "<iq type='set' id='photo'><vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{PICTURE}</BINVAL></PHOTO></vCard></iq>"
    ));
    balcony.settle();
    balcony.say(&away);
    let hash = contact(&romeo, JULIET.0, |contact| contact["avatar"].is_string())["avatar"].clone();
    let picture = romeo.request("avatar", json!({ "hash": hash }), PATIENCE).unwrap();
    assert_eq!(picture["data"], PICTURE);
    balcony.say("<presence type='unavailable'/>");
    contact(&romeo, JULIET.0, |contact| contact["available"] == false && contact["presence"].is_null());
}

#[test]
fn devices_of_a_contact_are_shown_as_one_over_prosody_13() {
    devices_of_a_contact_are_shown_as_one_over(Kind::Prosody13);
}

#[test]
fn devices_of_a_contact_are_shown_as_one_over_ejabberd() {
    devices_of_a_contact_are_shown_as_one_over(Kind::Ejabberd);
}
