//! What waits to be sent over real servers: taken back, not sent so late, and sent after all.

use std::time::{SystemTime, UNIX_EPOCH};

use interop::{Console, Kind};
use serde_json::json;

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, synced, texts};

fn queue_is_changed_before_it_leaves_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    romeo.request("disconnect", json!({}), PATIENCE).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    for (text, not_after) in
        [("never mind", None), ("in time", Some(600_000)), ("too late", Some(50)), ("given up", Some(50))]
    {
        let not_after = not_after.map(|ms| now + ms);
        let what = json!({ "to": JULIET.0, "message": id(text), "text": text, "not_after": not_after });
        romeo.request("send", what, PATIENCE).unwrap();
    }
    for late in ["too late", "given up"] {
        romeo.wait_state(&id(late), "failed", PATIENCE).unwrap();
    }
    let asks = |what: &str, text: &str| romeo.request(what, json!({ "message": id(text) }), PATIENCE);
    asks("cancel", "never mind").unwrap();
    asks("cancel", "given up").unwrap();
    romeo.request("connect", json!({}), PATIENCE).unwrap();
    juliet.wait_message("in time", PATIENCE).unwrap();
    synced(&romeo);
    // What has left is others' by now, and has not failed.
    for what in ["cancel", "retry"] {
        assert_eq!(asks(what, "in time").unwrap_err().kind(), Some("invalid_input"), "{what}");
    }
    asks("retry", "too late").unwrap();
    juliet.wait_message("too late", PATIENCE).unwrap();
    synced(&romeo);
    for (console, with) in [(&romeo, JULIET.0), (&juliet, ROMEO.0)] {
        synced(console);
        assert_eq!(texts(&console.timeline(with, 10, PATIENCE).unwrap()), ["in time", "too late"]);
    }
}

#[test]
fn queue_is_changed_before_it_leaves_over_prosody_13() {
    queue_is_changed_before_it_leaves_over(Kind::Prosody13);
}

#[test]
fn queue_is_changed_before_it_leaves_over_prosody_0_12() {
    queue_is_changed_before_it_leaves_over(Kind::Prosody012);
}

#[test]
fn queue_is_changed_before_it_leaves_over_ejabberd() {
    queue_is_changed_before_it_leaves_over(Kind::Ejabberd);
}
