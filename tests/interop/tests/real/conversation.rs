//! A conversation, to and fro, over each of the servers.

use interop::{Console, Kind};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, befriend, id, texts};

/// Who speaks, what.
const BALCONY: [(&str, &str); 6] = [
    ("romeo", "But soft, what light through yonder window breaks?"),
    ("juliet", "O Romeo, Romeo, wherefore art thou Romeo?"),
    ("romeo", "Shall I hear more, or shall I speak at this?"),
    ("juliet", "What's in a name? <that> & \"that\" 'that' 🌹"),
    ("romeo", "I take thee at thy word:\ncall me but love."),
    ("juliet", "  How cam'st thou hither?  "),
];

fn romeo_and_juliet_talk_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        assert!(!console.wait_online(PATIENCE).unwrap().flag("resumed"));
    }
    befriend(&romeo, &juliet);
    for (number, (who, text)) in BALCONY.into_iter().enumerate() {
        let (speaker, listener, to) =
            if who == "romeo" { (&romeo, &juliet, JULIET.0) } else { (&juliet, &romeo, ROMEO.0) };
        let id = id(&format!("balcony {number}"));
        speaker.send_message(to, &id, text, PATIENCE).unwrap();
        let heard = listener.wait_message(text, PATIENCE).unwrap();
        assert!(!heard.flag("mine"));
        speaker.wait_state(&id, "delivered", PATIENCE).unwrap();
    }
    let said: Vec<&str> = BALCONY.iter().map(|(_, text)| *text).collect();
    for (console, with) in [(&romeo, JULIET.0), (&juliet, ROMEO.0)] {
        console.request("sync", serde_json::json!({ "timeout_ms": 30_000 }), PATIENCE).unwrap();
        assert_eq!(texts(&console.timeline(with, 100, PATIENCE).unwrap()), said);
    }
    romeo.quit(PATIENCE).unwrap();
    juliet.quit(PATIENCE).unwrap();
}

#[test]
fn romeo_and_juliet_talk_over_prosody_13() {
    romeo_and_juliet_talk_over(Kind::Prosody13);
}

#[test]
fn romeo_and_juliet_talk_over_prosody_0_12() {
    romeo_and_juliet_talk_over(Kind::Prosody012);
}

#[test]
fn romeo_and_juliet_talk_over_ejabberd() {
    romeo_and_juliet_talk_over(Kind::Ejabberd);
}
