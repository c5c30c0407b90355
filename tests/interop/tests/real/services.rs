//! Services over real servers: what they are and have, and what they do on command (XEP-0030, 0050, 0004).

use interop::{Console, Kind};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, befriend, id};

fn ask(console: &Console, what: &str, fields: Value) -> Value {
    console.request(what, fields, PATIENCE).unwrap()
}

fn fields<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|one| one[name].as_str()).collect()
}

fn online(stage: &Stage) -> Console {
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    romeo
}

/// Browses from the server to its rooms and its commands.
fn services_are_browsed(romeo: &Console) {
    let server = ask(romeo, "info", json!({ "of": "a.test" }));
    assert!(fields(&server["identities"], "category").contains(&"server"), "{server}");
    assert!(server["features"].as_array().unwrap().contains(&json!("urn:xmpp:ping")), "{server}");
    let parts = ask(romeo, "items_of", json!({ "of": "a.test" }));
    assert!(fields(&parts["items"], "jid").contains(&"muc.a.test"), "{parts}");
    let rooms = ask(romeo, "info", json!({ "of": "muc.a.test" }));
    assert!(fields(&rooms["identities"], "category").contains(&"conference"), "{rooms}");
    let nowhere = romeo.request("info", json!({ "of": "a.test", "node": "urn:nowhere" }), PATIENCE);
    assert!(nowhere.is_err(), "{nowhere:?}");
}

#[test]
fn services_are_browsed_and_do_what_they_are_told_over_prosody_13() {
    let Some(stage) = Stage::on(Kind::Prosody13) else { return };
    let romeo = online(&stage);
    services_are_browsed(&romeo);

    let commands = ask(&romeo, "commands_of", json!({ "of": "a.test" }));
    let nodes = fields(&commands["commands"], "node");
    assert!(nodes.contains(&"uptime") && nodes.contains(&"urn:xmpp:invite#invite"), "{commands}");
    // One step, and a note.
    let uptime = ask(&romeo, "execute", json!({ "of": "a.test", "node": "uptime" }));
    assert_eq!(uptime["status"], "completed", "{uptime}");
    assert!(uptime["notes"][0]["text"].as_str().unwrap().contains("running"), "{uptime}");
    let over = romeo.request("complete", json!({ "command": uptime["command"] }), PATIENCE);
    assert!(over.is_err(), "{over:?}");
    // One step, and a form: an invitation.
    let invited = ask(&romeo, "execute", json!({ "of": "a.test", "node": "urn:xmpp:invite#invite" }));
    assert_eq!((&invited["status"], &invited["form"]["kind"]), (&json!("completed"), &json!("result")));
    let uri =
        invited["form"]["fields"].as_array().unwrap().iter().find(|field| field["name"] == "uri").unwrap();
    assert!(uri["values"][0].as_str().unwrap().starts_with("xmpp:"), "{invited}");
    // Not for everybody.
    let refused = romeo.request(
        "execute",
        json!({ "of": "a.test", "node": "http://jabber.org/protocol/admin#add-user" }),
        PATIENCE,
    );
    assert!(refused.is_err(), "{refused:?}");
}

/// Who may make accounts makes one: a form, which is not sent before it is filled in.
#[test]
fn command_of_two_steps_is_gone_through_over_prosody_13() {
    let Some(stage) = Stage::on(Kind::Prosody13) else { return };
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    juliet.wait_online(PATIENCE).unwrap();
    let add = "http://jabber.org/protocol/admin#add-user";
    let asked = ask(&juliet, "execute", json!({ "of": "b.test", "node": add }));
    assert_eq!((&asked["status"], &asked["form"]["kind"]), (&json!("executing"), &json!("form")), "{asked}");
    let completes = |values: Value| {
        juliet.request("complete", json!({ "command": asked["command"], "values": values }), PATIENCE)
    };
    let kinds = [
        (json!({ "accountjid": ["nurse@b.test"], "no such field": ["x"] }), "invalid_input"),
        (json!({ "accountjid": ["@"] }), "invalid_input"),
        (json!({ "password": ["wet"] }), "invalid_input"),
    ];
    for (values, kind) in kinds {
        assert_eq!(completes(values.clone()).unwrap_err().kind(), Some(kind), "{values}");
    }
    let filled_in =
        json!({ "accountjid": ["nurse@b.test"], "password": ["wet"], "password-verify": ["wet"] });
    let done = completes(filled_in).unwrap();
    assert_eq!(done["status"], "completed", "{done}");
    let nurse = Console::start(&stage.phone("nurse@b.test", "wet")).unwrap();
    nurse.wait_online(PATIENCE).unwrap();
}

#[test]
fn services_are_browsed_and_do_what_they_are_told_over_ejabberd() {
    let Some(stage) = Stage::on(Kind::Ejabberd) else { return };
    let romeo = online(&stage);
    services_are_browsed(&romeo);
    let pong = ask(&romeo, "execute", json!({ "of": "a.test", "node": "ping" }));
    assert_eq!((&pong["status"], &pong["notes"][0]["text"]), (&json!("completed"), &json!("Pong")), "{pong}");
}

const CHESS: &str = "urn:whimbrel:test:chess";

/// Juliet asks, Romeo's app answers, and only whom it may.
fn an_app_is_asked_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let (romeo, juliet) = (online(&stage), Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap());
    juliet.wait_online(PATIENCE).unwrap();
    ask(&romeo, "claim", json!({ "namespace": CHESS, "what": "requests" }));
    // What he writes says from which device.
    romeo.send_message(JULIET.0, &id("hello"), "Hello", PATIENCE).unwrap();
    let device = juliet.wait_message("Hello", PATIENCE).unwrap().str("from").to_owned();
    let xml = format!("<move xmlns='{CHESS}'>e4 &lt; e5</move>");
    let question = json!({ "of": device, "kind": "set", "xml": xml });

    // A stranger is answered as if nobody were there.
    let refused = juliet.request("request", question.clone(), PATIENCE);
    assert!(refused.is_err(), "{refused:?}");
    befriend(&romeo, &juliet);
    ask(&juliet, "sync", json!({ "timeout_ms": 50_000 }));

    let asked = juliet.ask("request", question).unwrap();
    let event = romeo.wait_event("asked", PATIENCE, |event| event.name() == "asked").unwrap();
    assert!(
        event.str("from").starts_with(JULIET.0) && event.str("xml").contains("e4 &lt; e5"),
        "{}",
        event.body
    );
    let answer = json!({ "asked": event.body["asked"], "xml": format!("<ok xmlns='{CHESS}'/>") });
    ask(&romeo, "answer", answer.clone());
    let reply = juliet.reply(asked, PATIENCE).unwrap();
    assert!(reply["answer"].as_str().unwrap().contains("<ok"), "{reply}");
    let again = romeo.request("answer", answer, PATIENCE);
    assert!(again.is_err(), "{again:?}");
}

#[test]
fn an_app_is_asked_in_its_own_namespace_over_prosody_13() {
    an_app_is_asked_over(Kind::Prosody13);
}

#[test]
fn an_app_is_asked_in_its_own_namespace_over_ejabberd() {
    an_app_is_asked_over(Kind::Ejabberd);
}
