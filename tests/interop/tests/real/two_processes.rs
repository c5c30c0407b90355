//! An app and its notification extension over one account (DESIGN, "The lease"): killed, frozen and thawed in turn, while the
//! nurse goes on talking. Whoever has the account is in the same session on the server. At every statement, without a server:
//! `tests/two-processes`.

use interop::{Console, Kind, Phone};
use serde_json::json;

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, synced, texts};

/// Who said what so far, in numbers.
struct Talk {
    nurse: Console,
    hers: Vec<String>,
    his: Vec<String>,
}

impl Talk {
    /// The nurse goes on; her server has it.
    fn nurse_says(&mut self, count: usize) {
        for _ in 0..count {
            let text = format!("nurse {}", self.hers.len());
            self.nurse.send_message(ROMEO.0, &id(&text), &text, PATIENCE).unwrap();
            self.hers.push(text);
        }
        self.nurse.wait_state(&id(self.hers.last().unwrap()), "sent", PATIENCE).unwrap();
    }

    /// Romeo answers, by whichever process has the account.
    fn romeo_says(&mut self, romeo: &Console) {
        let text = format!("romeo {}", self.his.len());
        romeo.send_message(JULIET.0, &id(&text), &text, PATIENCE).unwrap();
        self.his.push(text);
    }

    /// Whoever has the account has heard all of it.
    fn all_heard_by(&self, romeo: &Console) {
        romeo.wait_message(self.hers.last().unwrap(), PATIENCE).unwrap();
    }
}

/// The session goes on.
fn resumes(console: &Console) {
    let online = console.wait_online(PATIENCE).unwrap();
    assert!(online.flag("resumed"), "{}", online.body);
}

/// It has found out that the account is another's, and left the server.
fn is_told(console: &Console) {
    let told = |event: &interop::Event| event.name() == "offline" && event.str("reason") == "in_use";
    console.wait_event("to be told", PATIENCE, told).unwrap();
    let refused = console.request("send", json!({ "to": JULIET.0, "text": "ghost" }), PATIENCE).unwrap_err();
    assert!(refused.to_string().contains("in_use"), "{refused}");
}

/// Whether a process that was just started did not get the account.
fn is_refused(console: &Console) -> bool {
    let status = console.request("status", json!({}), PATIENCE).unwrap();
    status["reason"] == "in_use"
}

/// The app is frozen, wherever it is, and the extension comes.
fn frozen(talk: &mut Talk, app: &Console, extension: &Phone) {
    talk.nurse_says(5);
    app.freeze();
    talk.nurse_says(3);
    let beside = Console::start(extension).unwrap();
    if is_refused(&beside) {
        // In the middle of a transaction. Nothing is lost: it goes on by itself.
        app.thaw();
        beside.kill();
    } else {
        resumes(&beside);
        talk.nurse_says(3);
        talk.romeo_says(&beside);
        talk.all_heard_by(&beside);
        app.thaw();
        is_told(app);
        talk.nurse_says(3);
        talk.all_heard_by(&beside);
        // It does not ask.
        app.request("resume", json!({}), PATIENCE).unwrap();
        resumes(app);
        is_told(&beside);
        beside.quit(PATIENCE).unwrap();
    }
    talk.nurse_says(1);
    talk.all_heard_by(app);
}

/// The app lets go, and comes back while the extension is frozen.
fn suspended(talk: &mut Talk, app: &Console, extension: &Phone) {
    app.request("suspend", json!({}), PATIENCE).unwrap();
    let beside = Console::start(extension).unwrap();
    resumes(&beside);
    talk.romeo_says(&beside);
    talk.nurse_says(5);
    beside.freeze();
    if app.request("resume", json!({}), PATIENCE).is_err() {
        beside.thaw();
        app.request("resume", json!({}), PATIENCE).unwrap();
    }
    resumes(app);
    talk.nurse_says(2);
    talk.all_heard_by(app);
    beside.thaw();
    is_told(&beside);
    beside.quit(PATIENCE).unwrap();
}

mod hostile {
    use super::*;

    #[test]
    fn two_processes() {
        let Some(stage) = Stage::on(Kind::Prosody13) else { return };
        let phone = stage.phone(ROMEO.0, ROMEO.1);
        let extension = phone.clone().extension();
        let nurse = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
        nurse.wait_online(PATIENCE).unwrap();
        let mut talk = Talk { nurse, hers: Vec::new(), his: Vec::new() };
        let mut app = Console::start(&phone).unwrap();
        app.wait_online(PATIENCE).unwrap();
        synced(&app);
        for _ in 0..5 {
            // The app is there: it is left alone.
            let beside = Console::start(&extension).unwrap();
            assert!(is_refused(&beside));
            beside.kill();
            talk.romeo_says(&app);
            talk.nurse_says(5);
            app.kill();
            talk.nurse_says(3);
            let beside = Console::start(&extension).unwrap();
            resumes(&beside);
            talk.romeo_says(&beside);
            talk.nurse_says(3);
            talk.all_heard_by(&beside);
            talk.nurse_says(3);
            beside.kill();
            app = Console::start(&phone).unwrap();
            resumes(&app);
            talk.nurse_says(2);
            talk.all_heard_by(&app);
            frozen(&mut talk, &app, &extension);
            talk.romeo_says(&app);
            suspended(&mut talk, &app, &extension);
        }
        for console in [&app, &talk.nurse] {
            synced(console);
        }
        talk.nurse.wait_message(talk.his.last().unwrap(), PATIENCE).unwrap();
        for (console, with) in [(&app, JULIET.0), (&talk.nurse, ROMEO.0)] {
            let there = texts(&console.timeline(with, 1_000, PATIENCE).unwrap());
            for (who, said) in [("nurse", &talk.hers), ("romeo", &talk.his)] {
                let theirs: Vec<_> = there.iter().filter(|text| text.starts_with(who)).cloned().collect();
                assert_eq!(&theirs, said, "none lost, none doubled, in order, with {with}");
            }
            assert_eq!(there.len(), talk.hers.len() + talk.his.len(), "and nothing else");
        }
    }
}
