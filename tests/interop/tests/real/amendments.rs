//! Corrections, reactions, answers and retractions over real servers: both sides, another device that listens, one that reads
//! it all from the archive years later, and one that was away.

use interop::{Console, Kind, Phone};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, befriend, id};

/// A conversation as its reader sees it, without what differs from device to device.
fn reads(console: &Console, with: &str) -> Vec<Value> {
    console.request("sync", json!({ "timeout_ms": 30_000 }), PATIENCE).unwrap();
    let items = console.timeline(with, 100, PATIENCE).unwrap();
    let text_of = |id: &Value| items.iter().find(|item| item["id"] == *id).map(|item| item["text"].clone());
    let messages = items.iter().filter(|item| item["text"].is_string());
    let read = |item: &Value| {
        let felt = item["reactions"].as_array().cloned().unwrap_or_default();
        let felt: Vec<Value> = felt.iter().map(|felt| json!([felt["text"], felt["count"]])).collect();
        json!({
            "text": item["text"],
            "edited": item["edited"],
            "retracted": item["retracted"],
            "reactions": felt,
            "answers": text_of(&item["reply"]["id"]),
        })
    };
    messages.map(read).collect()
}

fn of_text(console: &Console, with: &str, text: &str) -> Value {
    let items = console.timeline(with, 100, PATIENCE).unwrap();
    items.iter().find(|item| item["text"] == text).unwrap_or_else(|| panic!("no {text}"))["id"].clone()
}

fn changed(console: &Console, text: &str) {
    let is_it = |event: &interop::Event| event.name() == "changed" && event.str("text") == text;
    console.wait_event(&format!("a change to {text:?}"), PATIENCE, is_it).unwrap();
}

fn what_was_done_to_messages_is_the_same_everywhere_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    let device = |name: &str| {
        Phone::new(stage.dir.path().join(name), ROMEO.0, ROMEO.1)
            .at(stage.server.port())
            .trusting(stage.server.ca())
    };
    let tablet = Console::start(&device("tablet")).unwrap();
    for console in [&romeo, &juliet, &tablet] {
        console.wait_online(PATIENCE).unwrap();
    }
    befriend(&romeo, &juliet);

    let [first, second, third] = ["first", "second", "third"].map(id);
    romeo.send_message(JULIET.0, &first, "But soft, what lihgt?", PATIENCE).unwrap();
    romeo.send_message(JULIET.0, &second, "It is the est", PATIENCE).unwrap();
    romeo.send_message(JULIET.0, &third, "Nonsense", PATIENCE).unwrap();
    juliet.wait_message("Nonsense", PATIENCE).unwrap();
    let edit = |text: &str| json!({ "message": second, "text": text });
    romeo.request("edit", edit("It is the west"), PATIENCE).unwrap();
    romeo.request("edit", edit("It is the east"), PATIENCE).unwrap();
    romeo.request("retract", json!({ "message": third }), PATIENCE).unwrap();
    changed(&juliet, "It is the east");
    changed(&juliet, "");

    let hers = of_text(&juliet, ROMEO.0, "It is the east");
    juliet.request("react", json!({ "message": hers, "reactions": ["☀", "❤"] }), PATIENCE).unwrap();
    changed(&romeo, "It is the east");
    juliet.request("react", json!({ "message": hers, "reactions": ["☀"] }), PATIENCE).unwrap();
    let answer = json!({ "to": ROMEO.0, "text": "Ay me!", "reply_to": hers });
    juliet.request("send", answer, PATIENCE).unwrap();
    romeo.wait_message("Ay me!", PATIENCE).unwrap();
    tablet.wait_message("Ay me!", PATIENCE).unwrap();

    // What waits while there is no connection goes out as it is by then.
    tablet.request("disconnect", json!({}), PATIENCE).unwrap();
    romeo.request("disconnect", json!({}), PATIENCE).unwrap();
    let fourth = id("fourth");
    romeo.send_message(JULIET.0, &fourth, "She speks", PATIENCE).unwrap();
    romeo.request("edit", json!({ "message": fourth, "text": "She speaks" }), PATIENCE).unwrap();
    romeo.request("react", json!({ "message": fourth, "reactions": ["🎉"] }), PATIENCE).unwrap();
    let fifth = id("fifth");
    romeo.send_message(JULIET.0, &fifth, "Never sent", PATIENCE).unwrap();
    romeo.request("retract", json!({ "message": fifth }), PATIENCE).unwrap();
    let hers = of_text(&romeo, JULIET.0, "Ay me!");
    romeo.request("react", json!({ "message": hers, "reactions": ["❤"] }), PATIENCE).unwrap();
    romeo.request("connect", json!({}), PATIENCE).unwrap();
    changed(&juliet, "Ay me!");

    let line = |text: &str, edited: bool, reactions: Value, answers: Option<&str>| {
        let edited = if edited { json!(true) } else { Value::Null };
        json!({ "text": text, "edited": edited, "retracted": null, "reactions": reactions, "answers": answers })
    };
    let expected = vec![
        line("But soft, what lihgt?", false, json!([]), None),
        line("It is the east", true, json!([["☀", 1]]), None),
        json!({ "text": "", "edited": null, "retracted": true, "reactions": [], "answers": null }),
        line("Ay me!", false, json!([["❤", 1]]), Some("It is the east")),
        line("She speaks", false, json!([["🎉", 1]]), None),
    ];
    tablet.request("connect", json!({}), PATIENCE).unwrap();
    tablet.wait_message("She speaks", PATIENCE).unwrap();
    let new = Console::start(&device("new")).unwrap();
    new.wait_online(PATIENCE).unwrap();
    for (who, console, with) in [
        ("romeo", &romeo, JULIET.0),
        ("juliet", &juliet, ROMEO.0),
        ("tablet", &tablet, JULIET.0),
        ("new", &new, JULIET.0),
    ] {
        let mut expected = expected.clone();
        if who == "new" && kind == Kind::Ejabberd {
            // It takes what is retracted out of its archive.
            expected.retain(|line| line["retracted"] != true);
        }
        assert_eq!(reads(console, with), expected, "{who}");
    }
}

#[test]
fn what_was_done_to_messages_is_the_same_everywhere_over_prosody_13() {
    what_was_done_to_messages_is_the_same_everywhere_over(Kind::Prosody13);
}

#[test]
fn what_was_done_to_messages_is_the_same_everywhere_over_prosody_0_12() {
    what_was_done_to_messages_is_the_same_everywhere_over(Kind::Prosody012);
}

#[test]
fn what_was_done_to_messages_is_the_same_everywhere_over_ejabberd() {
    what_was_done_to_messages_is_the_same_everywhere_over(Kind::Ejabberd);
}
