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

/// His account, or the service of his server, whichever knows of owners.
const fn owned_at(kind: Kind) -> &'static str {
    match kind {
        // Its nodes of accounts do not tell their owner who has subscribed, and know of nobody who waits.
        Kind::Ejabberd => "pubsub.a.test",
        _ => ROMEO.0,
    }
}

fn asks_at(service: &str) -> impl Fn(&Console, &str, Value) -> Value {
    move |console, what, mut fields| {
        fields["of"] = service.into();
        ask(console, what, fields)
    }
}

/// Who has subscribed, and how far that is.
fn subscribers(all: &Value) -> Vec<(&str, &str)> {
    let all = all["subscriptions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|one| Some((one["jid"].as_str()?, one["state"].as_str()?))).collect()
}

/// What she has subscribed to at a service (XEP-0060 §5.6), and whom the owner sees there and takes away (§8.8).
fn subscriptions_are_seen_by_both_sides_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    let service = owned_at(kind);
    let ask = asks_at(service);
    ask(&romeo, "create_node", json!({ "options": { "access_model": "open" } }));
    // Once more changes nothing.
    for _ in 0..2 {
        assert_eq!(ask(&juliet, "subscribe", json!({}))["subscription"], "subscribed");
    }
    let hers = |fields: Value| {
        let hers = juliet.request("subscriptions_at", fields, PATIENCE).unwrap();
        let hers = hers["subscriptions"].as_array().unwrap().iter();
        hers.filter(|one| one["node"] == NODE).cloned().collect::<Vec<_>>()
    };
    for which in [json!({ "of": service }), json!({ "of": service, "node": NODE })] {
        assert_eq!(hers(which), [json!({ "node": NODE, "jid": JULIET.0, "state": "subscribed" })]);
    }
    assert_eq!(subscribers(&ask(&romeo, "subscribers", json!({}))), [(JULIET.0, "subscribed")]);
    let hidden = juliet.request("subscribers", json!({ "of": service, "node": NODE }), PATIENCE);
    assert!(hidden.is_err(), "{hidden:?}");

    let affiliations = romeo.request("affiliations_at", json!({ "of": service }), PATIENCE);
    match kind {
        Kind::Ejabberd => assert_eq!(affiliations.unwrap()["affiliations"][NODE], "owner"),
        // Prosody knows nothing of §5.7.
        _ => assert!(affiliations.is_err(), "{affiliations:?}"),
    }

    // How she wants to be told (§6.3).
    let options = juliet.request("subscription_options", json!({ "of": service, "node": NODE }), PATIENCE);
    match kind {
        // ejabberd has no options.
        Kind::Ejabberd => assert!(options.is_err(), "{options:?}"),
        _ => {
            const BODY: &str = "pubsub#include_body";
            assert_eq!(says(&options.unwrap()["form"], BODY), None);
            ask(&juliet, "configure_subscription", json!({ "values": { BODY: ["true"] } }));
            let options = ask(&juliet, "subscription_options", json!({}));
            assert_eq!(says(&options["form"], BODY).as_deref(), Some("1"), "{options}");
        }
    }

    ask(&romeo, "set_subscriber", json!({ "jid": JULIET.0, "subscription": "none" }));
    if kind == Kind::Ejabberd {
        // Prosody ends it without a word.
        let told = juliet.wait_event("the end", PATIENCE, |event| event.name() == "subscription").unwrap();
        assert_eq!((told.str("from"), told.str("node"), told.str("subscription")), (service, NODE, "none"));
    }
    assert!(subscribers(&ask(&romeo, "subscribers", json!({}))).is_empty());
    assert!(hers(json!({ "of": service })).is_empty());
}

/// What a field of a form says.
fn says(form: &Value, name: &str) -> Option<String> {
    let fields = form["fields"].as_array().unwrap();
    let field = fields.iter().find(|field| field["name"] == name).unwrap();
    field["values"][0].as_str().map(str::to_owned)
}

#[test]
fn subscriptions_are_seen_by_both_sides_over_prosody_13() {
    subscriptions_are_seen_by_both_sides_over(Kind::Prosody13);
}

#[test]
fn subscriptions_are_seen_by_both_sides_over_ejabberd() {
    subscriptions_are_seen_by_both_sides_over(Kind::Ejabberd);
}

/// The owner decides who may subscribe (XEP-0060 §6.1.4). Prosody has no such nodes.
#[test]
fn subscription_waits_until_its_owner_approves_it_over_ejabberd() {
    let Some(stage) = Stage::on(Kind::Ejabberd) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    let service = owned_at(Kind::Ejabberd);
    let ask = asks_at(service);
    ask(&romeo, "create_node", json!({ "options": { "access_model": "authorize" } }));
    // Who asks again is refused, and still waits.
    for _ in 0..2 {
        assert_eq!(ask(&juliet, "subscribe", json!({}))["subscription"], "pending");
    }
    let hers = ask(&juliet, "subscriptions_at", json!({}));
    assert_eq!(subscribers(&hers), [(JULIET.0, "pending")], "{hers}");
    for state in ["subscribed", "none"] {
        ask(&romeo, "set_subscriber", json!({ "jid": JULIET.0, "subscription": state }));
        let told = juliet.wait_event(state, PATIENCE, |event| event.name() == "subscription").unwrap();
        assert_eq!((told.str("from"), told.str("node"), told.str("subscription")), (service, NODE, state));
        if state == "subscribed" {
            ask(&romeo, "publish", json!({ "item": "i1", "xml": "<act xmlns='urn:whimbrel:test'/>" }));
            let heard =
                juliet.wait_event("i1", PATIENCE, |event| ids(&event.body["items"]) == ["i1"]).unwrap();
            assert_eq!((heard.name(), heard.str("from"), heard.str("node")), ("published", service, NODE));
        }
    }
}
