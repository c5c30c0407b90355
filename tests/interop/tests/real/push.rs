//! A phone that hung up is woken through an app server of its own (XEP-0357), on the servers' own word.
//!
//! The app server is any address that our server can send an iq to; here it is the nurse's session, that says nothing but
//! what an app server would.

use std::time::{Duration, Instant};

use interop::{Console, Event, Kind};
use serde_json::json;

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, peer::Peer, synced};

const NURSE: (&str, &str) = ("bob@a.test", "secret-b");

/// What is between the first `before` and the `after` behind it.
fn between<'a>(text: &'a str, before: &str, after: char) -> &'a str {
    let from = text.find(before).map_or("", |at| &text[at + before.len()..]);
    from.split(after).next().unwrap_or_default()
}

/// Waits for a notification, answers it, and gives it back.
fn notified(nurse: &mut Peer) -> String {
    let mut heard = String::new();
    while !(heard.contains("<publish") && heard.contains("</iq>")) {
        heard += &nurse.hear("</iq>");
    }
    let iq = heard.rfind("<iq").map(|at| heard[at..].replace('"', "'")).unwrap();
    let (id, from) = (between(&iq, " id='", '\'').to_owned(), between(&iq, " from='", '\'').to_owned());
    nurse.say(&format!("<iq type='result' id='{id}' to='{from}'/>"));
    iq
}

fn register(romeo: &Console, node: &str, secret: &str) {
    let push = json!({ "service": "bob@a.test/push", "node": node, "secret": secret });
    romeo.request("push", push, PATIENCE).unwrap();
    romeo.wait_event("push", PATIENCE, |event| event.str("push") == "on").unwrap();
}

/// It tells the server something about push.
fn about_push(event: &Event) -> bool {
    event.name() == "raw" && event.str("out").contains("urn:xmpp:push:0")
}

/// What it told the server about push since somebody looked. What it does on request may be shown after the answer.
fn said(romeo: &Console) -> Vec<String> {
    let said = romeo.take_events().into_iter().filter(about_push);
    said.map(|event| event.str("out").to_owned()).collect()
}

fn phone_that_hung_up_is_woken_through_its_app_server(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1).showing_stanzas()).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut nurse = Peer::sign_in(&stage.server, NURSE, "push");
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "balcony");
    let message = |text: &str| {
        format!("<message type='chat' to='{}' id='{text}'><body>{text}</body></message>", ROMEO.0)
    };
    register(&romeo, "phone", "s3cret");
    synced(&romeo);
    assert_eq!(said(&romeo).len(), 1);

    // Asleep: the session stays on the server, and the app server hears of what comes.
    romeo.request("suspend", json!({}), PATIENCE).unwrap();
    juliet.say(&message("first"));
    let iq = notified(&mut nurse);
    assert!(iq.contains("node='phone'") && iq.contains("s3cret"), "{iq}");
    romeo.request("resume", json!({}), PATIENCE).unwrap();
    let online = romeo.wait_online(PATIENCE).unwrap();
    assert!(online.flag("resumed"), "{}", online.body);
    romeo.wait_message("first", PATIENCE).unwrap();
    synced(&romeo);
    assert_eq!(said(&romeo), Vec::<String>::new(), "a resumption says nothing");

    // Registered in this session, kept over the resumption: still woken. Then under another name, and only under that.
    register(&romeo, "tablet", "other");
    synced(&romeo);
    romeo.request("suspend", json!({}), PATIENCE).unwrap();
    juliet.say(&message("second"));
    let iq = notified(&mut nurse);
    assert!(iq.contains("node='tablet'") && iq.contains("other"), "{iq}");
    romeo.request("resume", json!({}), PATIENCE).unwrap();
    romeo.wait_message("second", PATIENCE).unwrap();
    synced(&romeo);

    // Signed out: nobody is told any more.
    said(&romeo);
    romeo.request("disconnect", json!({}), PATIENCE).unwrap();
    let last = romeo.wait_event("its last word about push", PATIENCE, about_push).unwrap();
    assert!(last.str("out").contains("<disable"), "{}", last.body);
    romeo.wait_event("the end", PATIENCE, |event| event.name() == "offline").unwrap();
    assert_eq!(said(&romeo), Vec::<String>::new());
    nurse.settle();
    juliet.say(&message("third"));
    juliet.settle();
    let quiet = Instant::now() + Duration::from_secs(2);
    while Instant::now() < quiet {
        nurse.say("<iq type='get' id='asked'><ping xmlns='urn:xmpp:ping'/></iq>");
        let heard = nurse.hear("asked");
        assert!(!heard.contains("<publish"), "{heard}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn phone_that_hung_up_is_woken_through_prosody_13() {
    phone_that_hung_up_is_woken_through_its_app_server(Kind::Prosody13);
}

#[test]
fn phone_that_hung_up_is_woken_through_prosody_0_12() {
    phone_that_hung_up_is_woken_through_its_app_server(Kind::Prosody012);
}

#[test]
fn phone_that_hung_up_is_woken_through_ejabberd() {
    phone_that_hung_up_is_woken_through_its_app_server(Kind::Ejabberd);
}
