//! Nodes over real servers (XEP-0060, 0163): published under conditions, read, followed, taken away.

use interop::{Console, Kind};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, befriend, id, synced, until_heard};

const NODE: &str = "urn:whimbrel:test:play";

fn ask(console: &Console, what: &str, mut fields: Value) -> Value {
    fields["node"] = NODE.into();
    console.request(what, fields, PATIENCE).unwrap()
}

fn ids(items: &Value) -> Vec<&str> {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ids: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
    ids.sort_unstable();
    ids
}

fn nodes_are_published_followed_and_taken_away_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    befriend(&romeo, &juliet);
    ask(&juliet, "follow", json!({}));
    synced(&juliet);

    // For everybody; a contact who follows hears of it.
    let act = |n: u32| format!("<act xmlns='urn:whimbrel:test' n='{n}'>a &lt; b</act>");
    let publish = |item: &str, n: u32, options: &str| {
        ask(&romeo, "publish", json!({ "item": item, "xml": act(n), "options": options }))
    };
    let published = |n: u32| {
        assert_eq!(publish(&format!("i{n}"), n, "public")["item"], format!("i{n}"));
    };
    (1..5).for_each(published);
    let heard =
        until_heard(&juliet, "published", |event| ids(&event.body["items"]) == ["i5"], || published(5));
    assert_eq!((heard.str("from"), heard.str("node")), (ROMEO.0, NODE));
    assert!(heard.body["items"][0]["payload"].as_str().unwrap().contains("a &lt; b"), "{}", heard.body);

    // She reads them all, or one.
    let of = |fields: Value| {
        let mut fields = fields;
        fields["of"] = ROMEO.0.into();
        fields
    };
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = ask(&juliet, "items", of(json!({ "limit": 2, "after": after })));
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ["i1", "i2", "i3", "i4", "i5"]);
    assert_eq!(ask(&juliet, "item", of(json!({ "item": "i3" })))["item"]["id"], "i3");
    assert_eq!(ask(&juliet, "item", of(json!({ "item": "i9" })))["item"], Value::Null);

    // Taken back, and she hears of that.
    ask(&romeo, "retract_item", json!({ "item": "i3" }));
    juliet.wait_event("retracted", PATIENCE, |event| event.body["items"] == json!(["i3"])).unwrap();
    assert_eq!(ids(&ask(&romeo, "items", json!({}))["items"]), ["i1", "i2", "i4", "i5"]);

    // From now on for his own devices only: the node is changed on the way.
    publish("secret", 6, "private");
    let options = ask(&romeo, "configuration", json!({}));
    assert_eq!(options["options"]["access_model"], "whitelist", "{options}");
    let refused = juliet.request("items", of(json!({ "node": NODE })), PATIENCE);
    assert!(refused.is_err(), "{refused:?}");

    ask(&romeo, "delete_node", json!({}));
    assert!(romeo.request("items", json!({ "node": NODE }), PATIENCE).is_err());
}

#[test]
fn nodes_are_published_followed_and_taken_away_over_prosody_13() {
    nodes_are_published_followed_and_taken_away_over(Kind::Prosody13);
}

#[test]
fn nodes_are_published_followed_and_taken_away_over_ejabberd() {
    nodes_are_published_followed_and_taken_away_over(Kind::Ejabberd);
}

/// A node of his, which she subscribes to (XEP-0060 §6.1) and does not follow.
fn nodes_are_made_subscribed_to_and_emptied_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    ask(&romeo, "create_node", json!({ "options": { "access_model": "open" } }));
    let again = romeo.request("create_node", json!({ "node": NODE }), PATIENCE);
    assert!(again.as_ref().is_err_and(|error| error.to_string().contains("conflict")), "{again:?}");
    ask(&romeo, "configure", json!({ "options": { "max_items": "2" } }));
    let options = &ask(&romeo, "configuration", json!({}))["options"];
    assert_eq!((&options["access_model"], &options["max_items"]), (&json!("open"), &json!("2")), "{options}");

    let of_his = json!({ "of": ROMEO.0 });
    ask(&juliet, "subscribe", of_his.clone());
    let publishes = |item: &str| {
        ask(&romeo, "publish", json!({ "item": item, "xml": "<act xmlns='urn:whimbrel:test'/>" }));
    };
    for item in ["i1", "i2", "i3"] {
        publishes(item);
        let heard = juliet.wait_event(item, PATIENCE, |event| ids(&event.body["items"]) == [item]).unwrap();
        assert_eq!((heard.name(), heard.str("from"), heard.str("node")), ("published", ROMEO.0, NODE));
    }
    assert_eq!(ids(&ask(&juliet, "items", of_his.clone())["items"]), ["i2", "i3"]);
    ask(&romeo, "purge", json!({}));
    for (console, of) in [(&romeo, json!({})), (&juliet, of_his.clone())] {
        assert_eq!(ask(console, "items", of)["items"], json!([]));
    }
    ask(&juliet, "unsubscribe", of_his);
    publishes("i4");
    romeo.send_message(JULIET.0, &id("published"), "published", PATIENCE).unwrap();
    juliet.wait_message("published", PATIENCE).unwrap();
    assert!(juliet.take_events().iter().all(|event| ids(&event.body["items"]) != ["i4"]));
}

#[test]
fn nodes_are_made_subscribed_to_and_emptied_over_prosody_13() {
    nodes_are_made_subscribed_to_and_emptied_over(Kind::Prosody13);
}

#[test]
fn nodes_are_made_subscribed_to_and_emptied_over_ejabberd() {
    nodes_are_made_subscribed_to_and_emptied_over(Kind::Ejabberd);
}
