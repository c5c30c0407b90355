//! What cannot work is said clearly, and not tried for ever.
//!
//! "Not again" is watched for as long as a back-off would take to try a few times.

use std::{fs, thread, time::Duration};

use interop::{Console, Error, Kind, Phone, Scratch};
use serde_json::json;

use crate::support::{
    JULIET, PATIENCE, ROMEO, Stage, id,
    scripted::{Scripted, answer},
    texts,
};

/// Long enough for several attempts, if there were to be any.
const A_WHILE: Duration = Duration::from_secs(8);

pub(crate) fn offline_reason(console: &Console) -> (String, String) {
    let event = console.wait_event("offline", PATIENCE, |event| event.name() == "offline").unwrap();
    (event.str("reason").to_owned(), event.body.to_string())
}

/// The account waits for its user, and says why; nobody has connected since.
pub(crate) fn stays_offline(console: &Console, reason: &str, connections: impl Fn() -> usize) {
    let (said, event) = offline_reason(console);
    assert_eq!(said, reason, "{event}");
    let before = connections();
    thread::sleep(A_WHILE);
    assert_eq!(connections(), before, "it was tried again after {event}");
    let status = console.request("status", json!({}), PATIENCE).unwrap();
    assert_eq!(
        (status["status"].as_str(), status["reason"].as_str()),
        (Some("offline"), Some(reason)),
        "{status}"
    );
}

fn wrong_password_stops_and_asks(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let link = stage.link();
    let phone = stage.phone_behind(&link, ROMEO.0, "not her password");
    let console = Console::start(&phone).unwrap();
    stays_offline(&console, "wrong_password", || link.connection_count());
    // The right one is all it takes.
    console.ask("sign_in", json!({ "password": ROMEO.1 })).unwrap();
    console.wait_online(PATIENCE).unwrap();
}

#[test]
fn wrong_password_stops_and_asks_on_prosody_13() {
    wrong_password_stops_and_asks(Kind::Prosody13);
}

#[test]
fn wrong_password_stops_and_asks_on_prosody_0_12() {
    wrong_password_stops_and_asks(Kind::Prosody012);
}

#[test]
fn wrong_password_stops_and_asks_on_ejabberd() {
    wrong_password_stops_and_asks(Kind::Ejabberd);
}

/// A phone in front of a scripted server, with direct TLS.
pub(crate) fn phone_at(dir: &Scratch, port: u16) -> Phone {
    Phone::new(dir.path().join("phone"), "romeo@montague.test", "secret").at(port).with_direct_tls()
}

#[test]
fn host_that_does_not_exist_is_said_to_be_not_found() {
    let dir = Scratch::new("phones").unwrap();
    let phone = Phone::new(dir.path().join("phone"), "romeo@montague.invalid", "secret");
    let console = Console::start(&phone).unwrap();
    let (reason, event) = offline_reason(&console);
    assert!(["not_found", "offline", "network"].contains(&reason.as_str()), "{event}");
    assert!(event.contains("montague.invalid"), "the user is not told which name: {event}");
    // Asking for something that needs a server says so, and does not hang.
    let refused = console.request("sync", json!({ "timeout_ms": 1000 }), PATIENCE).unwrap_err();
    assert!(matches!(refused.kind(), Some("offline" | "timed_out")), "{refused}");
}

#[test]
fn message_to_nobody_reachable_is_kept() {
    let dir = Scratch::new("phones").unwrap();
    let phone = phone_at(&dir, 1);
    let console = Console::start(&phone).unwrap();
    offline_reason(&console);
    console.send_message("juliet@capulet.test", &id("m1"), "Art thou there?", PATIENCE).unwrap();
    console.kill();
    let console = Console::start(&phone).unwrap();
    let items = console.timeline("juliet@capulet.test", 10, PATIENCE).unwrap();
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(
        (items[0]["text"].as_str(), items[0]["state"].as_str()),
        (Some("Art thou there?"), Some("queued"))
    );
}

/// What is said to a client that connects with STARTTLS.
fn nonsense(words: &'static [u8]) {
    let dir = Scratch::new("phones").unwrap();
    let server = Scripted::new(move |stream| answer(stream, words));
    let mut phone = phone_at(&dir, server.port);
    phone.direct_tls = false;
    let console = Console::start(&phone).unwrap();
    let (reason, event) = offline_reason(&console);
    assert!(!reason.is_empty() && reason != "bug", "{event}");
    // It lives, and answers.
    let status = console.request("status", json!({}), PATIENCE).unwrap();
    assert_ne!(status["status"], "online", "{status}");
    // A server that is broken now may be repaired: tried again, but with pauses.
    thread::sleep(Duration::from_secs(3));
    assert!(server.connections() <= 8, "{} attempts in three seconds", server.connections());
    console.quit(PATIENCE).unwrap();
}

#[test]
fn server_that_speaks_http_is_no_server() {
    nonsense(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn server_that_sends_broken_xml_is_no_server() {
    nonsense(b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'><a></b>");
}

#[test]
fn server_that_defines_entities_is_no_server() {
    nonsense(
        b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>\
          <stream:stream xmlns:stream='http://etherx.jabber.org/streams' id='&b;'>",
    );
}

#[test]
fn server_that_sends_noise_is_no_server() {
    nonsense(&[0xFF, 0x00, 0x16, 0x03, 0x01, 0xFE, 0xED, 0x0A, 0x80, 0x80]);
}

#[test]
fn server_that_sends_another_vocabulary_is_no_server() {
    nonsense(b"<html><body>It works!</body></html>");
}

#[test]
fn line_that_cannot_be_read_is_answered() {
    let dir = Scratch::new("phones").unwrap();
    let console = Console::start(&phone_at(&dir, 1)).unwrap();
    for line in ["not JSON", "[1,2,3]", "{\"id\":", "\u{0}"] {
        console.send_line(line).unwrap();
        let reply = console.reply_to_nonsense(PATIENCE).unwrap();
        assert_eq!(reply["error"], "invalid_input", "after {line:?}: {reply}");
    }
    for (what, fields) in [
        ("send", json!({ "to": "juliet@capulet.test" })),
        ("send", json!({ "to": "@@", "text": "hm" })),
        ("timeline", json!({ "with": 7 })),
        ("fly", json!({})),
    ] {
        match console.request(what, fields, PATIENCE) {
            Err(Error::Refused { kind, text, .. }) => {
                assert_eq!(kind, "invalid_input", "{what}: {text}");
                assert!(!text.is_empty());
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// A phone that has been there, and then finds its key changed by `meddle`: what it says, and whether the data is untouched.
pub(crate) fn after_meddling_with_the_key(meddle: impl FnOnce(&std::path::Path), error: &str) {
    let dir = Scratch::new("phones").unwrap();
    let phone = phone_at(&dir, 1);
    let console = Console::start(&phone).unwrap();
    console.send_message("juliet@capulet.test", &id("m1"), "Art thou there?", PATIENCE).unwrap();
    console.kill();
    let key = phone.data.join("key");
    let right = fs::read(&key).unwrap();
    meddle(&key);
    let console = Console::start(&phone).unwrap();
    let reply = console.reply_to_nonsense(PATIENCE).unwrap();
    assert_eq!(reply["error"], error, "{reply}");
    let refused = console.timeline("juliet@capulet.test", 10, PATIENCE).unwrap_err();
    assert_eq!(refused.kind(), Some(error), "{refused}");
    console.end_input();
    assert!(console.ends_within(PATIENCE));
    // Nothing was deleted: with the right key it is all there.
    fs::write(&key, right).unwrap();
    let console = Console::start(&phone).unwrap();
    assert_eq!(texts(&console.timeline("juliet@capulet.test", 10, PATIENCE).unwrap()), ["Art thou there?"]);
}

#[test]
fn lost_key_is_said_and_nothing_deleted() {
    after_meddling_with_the_key(|key| fs::remove_file(key).unwrap(), "key_lost");
}

#[test]
fn account_whose_key_was_lost_can_be_started_over() {
    let Some(stage) = Stage::on(Kind::Prosody13) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let console = Console::start(&phone).unwrap();
    console.wait_online(PATIENCE).unwrap();
    console.send_message(JULIET.0, &id("m1"), "Art thou there?", PATIENCE).unwrap();
    console.request("sync", json!({ "timeout_ms": 50_000 }), PATIENCE).unwrap();
    console.kill();
    fs::remove_file(phone.data.join("key")).unwrap();
    let console = Console::start(&phone).unwrap();
    assert_eq!(console.reply_to_nonsense(PATIENCE).unwrap()["error"], "key_lost");
    console.request("start_over", json!({}), PATIENCE).unwrap();
    assert!(!console.wait_online(PATIENCE).unwrap().flag("resumed"));
    // What the server has comes back; the old file is set aside.
    let deadline = std::time::Instant::now() + PATIENCE;
    while texts(&console.timeline(JULIET.0, 10, PATIENCE).unwrap()) != ["Art thou there?"] {
        assert!(std::time::Instant::now() < deadline, "the archive is not fetched");
        let _ = console.request("older", json!({ "with": JULIET.0, "limit": 10 }), PATIENCE);
    }
    assert_eq!(files_below(&phone.data, "-account.db"), 1);
}

fn files_below(data: &std::path::Path, ending: &str) -> usize {
    let homes = fs::read_dir(data.join("accounts")).unwrap();
    let files = homes.flat_map(|home| fs::read_dir(home.unwrap().path()).unwrap());
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(ending)).count()
}

#[test]
fn lines_are_begun_in_their_order_and_answered_before_the_end() {
    let dir = Scratch::new("phones").unwrap();
    let phone = phone_at(&dir, 1);
    let console = Console::start(&phone).unwrap();
    let to = "juliet@capulet.test";
    let first = console.ask("send", json!({ "to": to, "text": "first" })).unwrap();
    let suspended = console.ask("suspend", json!({})).unwrap();
    let late = console.ask("send", json!({ "to": to, "text": "late" })).unwrap();
    let resumed = console.ask("resume", json!({})).unwrap();
    let second = console.ask("send", json!({ "to": to, "text": "second" })).unwrap();
    let waiting = console.ask("sync", json!({ "timeout_ms": 600_000 })).unwrap();
    console.end_input();
    for done in [first, suspended, resumed, second] {
        console.reply(done, PATIENCE).unwrap();
    }
    for refused in [late, waiting] {
        assert_eq!(console.reply(refused, PATIENCE).unwrap_err().kind(), Some("suspended"));
    }
    assert!(console.ends_within(PATIENCE));
    let console = Console::start(&phone).unwrap();
    assert_eq!(texts(&console.timeline(to, 10, PATIENCE).unwrap()), ["first", "second"]);
}

#[test]
fn end_of_input_means_quit() {
    let dir = Scratch::new("phones").unwrap();
    let console = Console::start(&phone_at(&dir, 1)).unwrap();
    console.request("status", json!({}), PATIENCE).unwrap();
    console.end_input();
    assert!(console.ends_within(PATIENCE));
}
