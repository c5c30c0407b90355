//! Feeds over real servers (XEP-0277): published, followed, fetched, taken back, read offline.

use interop::{Console, Event, Kind};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, befriend, id, synced, until_heard};

fn ask(console: &Console, what: &str, fields: Value) -> Value {
    console.request(what, fields, PATIENCE).unwrap()
}

fn titles(console: &Console, of: &str) -> Vec<String> {
    let feed = ask(console, "feed", json!({ "of": of }));
    let entries = feed["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["title"].as_str().unwrap().to_owned()).collect()
}

fn feed_is_followed_and_kept_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let phone = stage.phone(JULIET.0, JULIET.1);
    let juliet = Console::start(&phone).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    befriend(&romeo, &juliet);
    let publish = |name: &str, text: &str, published: i64| {
        let fields = json!({ "entry": id(name), "title": name, "text": text, "published": published });
        assert_eq!(ask(&romeo, "publish_entry", fields)["entry"], id(name));
    };
    let is_changed = |event: &Event| event.name() == "feed" && event.str("of") == ROMEO.0;
    // However often she is told.
    let shows = |console: &Console, wanted: &[&str]| {
        while titles(console, ROMEO.0) != wanted {
            console.wait_event("feed", PATIENCE, is_changed).unwrap();
        }
    };
    // What was there before she follows him she fetches.
    publish("first", "a < b", 1_700_000_000_000);
    assert_eq!(titles(&romeo, ROMEO.0), ["first"]);
    ask(&juliet, "refresh_feed", json!({ "of": ROMEO.0 }));
    shows(&juliet, &["first"]);
    juliet.take_events();
    // What comes then she is told, in the order that he gives it.
    ask(&juliet, "follow_feeds", json!({}));
    synced(&juliet);
    until_heard(&juliet, "feed", is_changed, || publish("third", "", 1_700_000_003_000));
    publish("second", "", 1_700_000_002_000);
    shows(&juliet, &["third", "second", "first"]);
    ask(&romeo, "retract_entry", json!({ "entry": id("second") }));
    shows(&juliet, &["third", "first"]);
    // She reads it without a connection, in another process; and what was taken back meanwhile is gone once she asks.
    juliet.quit(PATIENCE).unwrap();
    ask(&romeo, "retract_entry", json!({ "entry": id("first") }));
    let juliet = Console::start(&phone).unwrap();
    let feed = ask(&juliet, "feed", json!({ "of": ROMEO.0 }));
    assert_eq!(feed["entries"].as_array().unwrap().len(), 2, "{feed}");
    assert_eq!(feed["entries"][1]["text"], "a < b");
    juliet.wait_online(PATIENCE).unwrap();
    ask(&juliet, "refresh_feed", json!({ "of": ROMEO.0 }));
    assert_eq!(titles(&juliet, ROMEO.0), ["third"]);
}

#[test]
fn feed_is_followed_and_kept_over_prosody_13() {
    feed_is_followed_and_kept_over(Kind::Prosody13);
}

#[test]
fn feed_is_followed_and_kept_over_ejabberd() {
    feed_is_followed_and_kept_over(Kind::Ejabberd);
}
