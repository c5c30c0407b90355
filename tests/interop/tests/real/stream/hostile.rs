//! Somebody between a phone and a real server, and certificates that nobody should trust.

mod redirect;

use std::fs;

use interop::{Console, Kind, Scratch};
use serde_json::json;

use crate::{
    bad_input::{offline_reason, phone_at, stays_offline},
    support::{
        PATIENCE, ROMEO, Stage,
        middle::Middle,
        scripted::{Scripted, TestCertificate},
    },
};

fn certificate_is_refused(certificate: &TestCertificate, trusted: bool) {
    let dir = Scratch::new("phones").unwrap();
    let server = Scripted::with_certificate(certificate);
    let mut phone = phone_at(&dir, server.port);
    if trusted {
        let authority = dir.path().join("authority.pem");
        fs::write(&authority, &certificate.authority).unwrap();
        phone = phone.trusting(authority);
    }
    let console = Console::start(&phone).unwrap();
    stays_offline(&console, "untrusted", || server.connections());
    assert_eq!(server.connections(), 1);
}

#[test]
fn certificate_unknown() {
    certificate_is_refused(&TestCertificate::new("montague.test", (2020, 2100)), false);
}

#[test]
fn certificate_expired() {
    certificate_is_refused(&TestCertificate::new("montague.test", (2020, 2021)), true);
}

#[test]
fn certificate_wrong_name() {
    let Some(stage) = Stage::on(Kind::Prosody13) else { return };
    let link = stage.link();
    let phone = stage.phone_behind(&link, "romeo@montague.test", "secret");
    let console = Console::start(&phone).unwrap();
    stays_offline(&console, "untrusted", || link.connection_count());
    assert_eq!(link.connection_count(), 1);
}

#[test]
fn starttls_stripped() {
    const MECHANISMS: &str =
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>";
    fn strip(text: String) -> String {
        match (text.find("<starttls"), text.find("</stream:features>")) {
            (Some(from), Some(to)) => format!("{}{MECHANISMS}{}", &text[..from], &text[to..]),
            _ => text,
        }
    }
    for kind in [Kind::Prosody13, Kind::Ejabberd] {
        in_the_middle_of_starttls(kind, strip);
    }
}

#[test]
fn pipelined_plaintext_after_starttls() {
    fn inject(text: String) -> String {
        match text.contains("<proceed") {
            true => format!(
                "{text}<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'><stream:features/>"
            ),
            false => text,
        }
    }
    for kind in [Kind::Prosody13, Kind::Prosody012, Kind::Ejabberd] {
        in_the_middle_of_starttls(kind, inject);
    }
}

/// The phone says that it trusts nobody, stays away, and has told nothing in plaintext.
fn in_the_middle_of_starttls(kind: Kind, change: fn(String) -> String) {
    let Some(stage) = Stage::on(kind) else { return };
    let middle = Middle::in_plaintext(&stage.server, change);
    let console = Console::start(&stage.phone(ROMEO.0, ROMEO.1).at(middle.port)).unwrap();
    stays_offline(&console, "untrusted", || middle.connections());
    let heard = middle.heard();
    assert!(!heard.contains("auth") && !heard.contains("alice"), "{heard}");
    // The user is elsewhere, and nobody is in the middle.
    drop(console);
    let console = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    console.wait_online(PATIENCE).unwrap();
}

#[test]
fn compression_offered() {
    fn offer(text: String) -> String {
        let offer =
            "<compression xmlns='http://jabber.org/features/compress'><method>zlib</method></compression>";
        text.replace("</stream:features>", &format!("{offer}</stream:features>"))
    }
    for kind in [Kind::Prosody13, Kind::Ejabberd] {
        let Some(stage) = Stage::on(kind) else { return };
        let middle = Middle::in_plaintext(&stage.server, offer);
        let console = Console::start(&stage.phone(ROMEO.0, ROMEO.1).at(middle.port)).unwrap();
        console.wait_online(PATIENCE).unwrap();
        assert!(!middle.heard().contains("compress"));
    }
}

/// A phone that was online with the server itself, then comes through the man in the middle: it stays away, he hears no
/// more than the beginning of a stream, and the account can still be used elsewhere.
fn once_pinned(kind: Kind, change: fn(String) -> String) {
    let Some(stage) = Stage::on(kind) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1).at(stage.server.direct_tls_port()).with_direct_tls();
    let console = Console::start(&phone).unwrap();
    let online = console.wait_online(PATIENCE).unwrap();
    assert!(online.str("mechanism").ends_with("-PLUS"), "{}", online.body);
    console.request("sync", json!({ "timeout_ms": 50_000 }), PATIENCE).unwrap();
    console.quit(PATIENCE).unwrap();
    let middle = Middle::with_stolen_certificate(&stage.server, change);
    let console = Console::start(&phone.clone().at(middle.port)).unwrap();
    stays_offline(&console, "untrusted", || middle.connections());
    let heard = middle.heard();
    assert!(!heard.contains("SCRAM") && !heard.contains("PLAIN") && !heard.contains("p="), "{heard}");
    drop(console);
    let console = Console::start(&phone).unwrap();
    console.wait_online(PATIENCE).unwrap();
}

/// Takes elements of this name away, with what is in them, wherever `which` says so.
fn without(text: &str, name: &str, which: impl Fn(&str) -> bool) -> String {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(&open) {
        let element = &rest[at..];
        if element[open.len()..].starts_with(|next: char| next.is_ascii_alphabetic()) {
            let end = at + open.len();
            kept.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let closed = element.find(&close).map(|end| end + close.len());
        let empty = element.find("/>").filter(|end| !element[1..*end].contains('<')).map(|end| end + 2);
        let Some(end) = empty.or(closed) else { break };
        kept.push_str(&rest[..at]);
        if !which(&element[..end]) {
            kept.push_str(&element[..end]);
        }
        rest = &rest[at + end..];
    }
    kept + rest
}

fn without_tokens(text: &str) -> String {
    without(text, "fast", |_| true)
}

#[test]
fn channel_binding_stripped() {
    // He has the server's certificate, so that the weaker way to bind would not show him.
    fn types(text: String) -> String {
        without(&without_tokens(&text), "channel-binding", |element| element.contains("tls-exporter"))
    }
    fn plus(text: String) -> String {
        without(&without_tokens(&text), "mechanism", |element| element.contains("-PLUS"))
    }
    for change in [types, plus] {
        once_pinned(Kind::Prosody13, change);
        once_pinned(Kind::Ejabberd, change);
    }
}

#[test]
fn channel_binding_stripped_before_the_first_login() {
    // Nothing is pinned yet: the server is told what we could do, and refuses.
    fn plus(text: String) -> String {
        without(&without_tokens(&text), "mechanism", |element| element.contains("-PLUS"))
    }
    fn nothing(text: String) -> String {
        text
    }
    for kind in [Kind::Prosody13, Kind::Ejabberd] {
        for change in [plus, nothing] {
            let Some(stage) = Stage::on(kind) else { return };
            let middle = Middle::with_stolen_certificate(&stage.server, change);
            let phone = stage.phone(ROMEO.0, ROMEO.1).at(middle.port).with_direct_tls();
            let console = Console::start(&phone).unwrap();
            let (reason, event) = offline_reason(&console);
            assert!(["untrusted", "wrong_password"].contains(&reason.as_str()), "{}: {event}", kind.name());
            let said = console.take_events();
            assert!(said.iter().all(|event| event.name() != "online"));
            assert!(!middle.heard().contains(ROMEO.1));
        }
    }
}

#[test]
fn mechanism_downgrade() {
    fn only(text: &str, names: &[&str]) -> String {
        let offered = without(&without_tokens(text), "mechanism", |_| true);
        let list: String = names.iter().map(|name| format!("<mechanism>{name}</mechanism>")).collect();
        // Into each list of mechanisms, whichever profile it is of.
        let mut text = offered.replace("</mechanisms>", &format!("{list}</mechanisms>"));
        if let Some(at) = text.find("<authentication").and_then(|at| Some(at + text[at..].find('>')? + 1)) {
            text.insert_str(at, &list);
        }
        text
    }
    fn sha1(text: String) -> String {
        only(&text, &["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"])
    }
    fn plain(text: String) -> String {
        only(&text, &["PLAIN"])
    }
    once_pinned(Kind::Prosody13, sha1);
    once_pinned(Kind::Prosody13, plain);
    once_pinned(Kind::Ejabberd, plain);
}

#[test]
fn fast_token_replay() {
    // A token is bound to the channel: on the man's own the server refuses it, and the password's exchange too. What he
    // recorded is of no use to anybody.
    fn nothing(text: String) -> String {
        text
    }
    let Some(stage) = Stage::on(Kind::Prosody13) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1).at(stage.server.direct_tls_port()).with_direct_tls();
    for _ in 0..2 {
        let console = Console::start(&phone).unwrap();
        console.wait_online(PATIENCE).unwrap();
        console.quit(PATIENCE).unwrap();
    }
    let middle = Middle::with_stolen_certificate(&stage.server, nothing);
    let console = Console::start(&phone.clone().at(middle.port)).unwrap();
    let (reason, event) = offline_reason(&console);
    assert!(["untrusted", "wrong_password"].contains(&reason.as_str()), "{event}");
    assert!(
        middle.heard().contains("HT-SHA-256-EXPR") && middle.heard().contains("-PLUS"),
        "{}",
        middle.heard()
    );
    assert!(console.take_events().iter().all(|event| event.name() != "online"));
}
