//! Contacts over real servers: accepted before they ask, strangers, and what contacts are told.

use interop::{Console, Kind};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, peer::Peer, synced};

fn line(console: &Console, with: &str) -> Value {
    let all = console.request("conversations", json!({}), PATIENCE).unwrap();
    let lines = all["conversations"].as_array().cloned().unwrap_or_default();
    lines.into_iter().find(|line| line["with"] == with).unwrap_or_default()
}

fn strangers_learn_nothing_and_are_accepted_before_they_ask_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "nest");
    let to = ROMEO.0;
    let sees_all = |juliet: &mut Peer, text: &str| {
        juliet.say(&format!(
            "<message type='chat' to='{to}' id='{text}'><body>{text}</body><request xmlns='urn:xmpp:receipts'/>\
             <markable xmlns='urn:xmpp:chat-markers:0'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
        ));
        romeo.wait_message(text, PATIENCE).unwrap();
        romeo.request("mark_read", json!({ "with": JULIET.0 }), PATIENCE).unwrap();
        romeo.request("chat_state", json!({ "with": JULIET.0, "state": "composing" }), PATIENCE).unwrap();
        synced(&romeo);
    };
    sees_all(&mut juliet, "one");
    assert_eq!(line(&romeo, JULIET.0)["is_stranger"], true);
    // He answers: all that she has heard until then stands before that.
    romeo.send_message(JULIET.0, &id("Who are you?"), "Who are you?", PATIENCE).unwrap();
    let heard = juliet.hear("Who are you?</body>");
    for told in ["<received", "<displayed", "<composing"] {
        assert!(!heard.contains(told), "{heard}");
    }
    assert_eq!(line(&romeo, JULIET.0)["is_stranger"], false);

    // He accepts her before she asks, and she sees his presence when she does.
    romeo.request("accept", json!({ "jid": JULIET.0 }), PATIENCE).unwrap();
    synced(&romeo);
    juliet.say(&format!("<presence type='subscribe' to='{to}'/>"));
    juliet.hear("https://whimbrel.im");
    synced(&romeo);

    // As a contact she is told what he wants her to be.
    let typing = json!({ "delivered": false, "displayed": false, "typing": true });
    romeo.request("signals", json!({ "with": JULIET.0, "signals": typing }), PATIENCE).unwrap();
    sees_all(&mut juliet, "two");
    let heard = juliet.hear("<composing");
    assert!(!heard.contains("<received") && !heard.contains("<displayed"), "{heard}");
    romeo.request("signals", json!({ "with": JULIET.0, "signals": null }), PATIENCE).unwrap();
    sees_all(&mut juliet, "three");
    let heard = juliet.hear("<composing");
    assert!(heard.contains("<received") && heard.contains("<displayed"), "{heard}");
}

#[test]
fn strangers_learn_nothing_and_are_accepted_before_they_ask_over_prosody_13() {
    strangers_learn_nothing_and_are_accepted_before_they_ask_over(Kind::Prosody13);
}

#[test]
fn strangers_learn_nothing_and_are_accepted_before_they_ask_over_ejabberd() {
    strangers_learn_nothing_and_are_accepted_before_they_ask_over(Kind::Ejabberd);
}
