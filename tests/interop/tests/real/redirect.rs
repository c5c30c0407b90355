//! `see-other-host` (RFC 6120 §4.9.3.19), before anybody is known to anybody: it leads to our own server, to an attacker, to
//! plaintext and round in a circle.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use interop::{Console, Kind, Phone, Scratch};

use crate::support::{
    PATIENCE, ROMEO, Stage,
    scripted::{Scripted, TestCertificate, answer},
};

/// Long enough for many attempts, if there were to be any.
const A_WHILE: Duration = Duration::from_secs(8);

fn stream(content: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
         version='1.0' from='a.test' id='1'>{content}"
    )
}

fn sends_to(port: u16) -> String {
    stream(&format!(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>127.0.0.1:{port}</see-other-host>\
         </stream:error></stream:stream>"
    ))
}

fn untrusted(console: &Console) {
    console.wait_event("offline", PATIENCE, |event| event.str("reason") == "untrusted").unwrap();
}

fn redirect_leads_to_the_server(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let words = sends_to(stage.server.port());
    let front = Scripted::new(move |tcp| answer(tcp, words.as_bytes()));
    let phone = stage.phone(ROMEO.0, ROMEO.1).at(front.port);
    let console = Console::start(&phone).unwrap();
    console.wait_online(PATIENCE).unwrap();
    assert_eq!(front.connections(), 1);
}

#[test]
fn redirect_leads_to_prosody_13() {
    redirect_leads_to_the_server(Kind::Prosody13);
}

#[test]
fn redirect_leads_to_ejabberd() {
    redirect_leads_to_the_server(Kind::Ejabberd);
}

#[test]
fn redirect_to_an_attacker_is_not_trusted() {
    let dir = Scratch::new("phones").unwrap();
    let (ours, theirs) =
        (TestCertificate::new("a.test", (2020, 2100)), TestCertificate::new("attacker.test", (2020, 2100)));
    let attacker = Scripted::with_certificate(&theirs);
    let front = Scripted::saying(&ours, sends_to(attacker.port));
    // Even whoever signed the attacker's certificate is trusted: it is for another name.
    let authorities = dir.path().join("authorities.pem");
    fs::write(&authorities, format!("{}{}", ours.authority, theirs.authority)).unwrap();
    let phone = Phone::new(dir.path().join("phone"), ROMEO.0, ROMEO.1)
        .at(front.port)
        .with_direct_tls()
        .trusting(authorities);
    let console = Console::start(&phone).unwrap();
    untrusted(&console);
    let before = (front.connections(), attacker.connections());
    assert_eq!(before.0, 1);
    thread::sleep(A_WHILE);
    assert_eq!((front.connections(), attacker.connections()), before, "not again, or not soon");
}

#[test]
fn redirect_to_plaintext_is_not_followed_any_further() {
    let dir = Scratch::new("phones").unwrap();
    let plain = Scripted::new(|tcp| {
        let mechanisms =
            "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>";
        answer(tcp, stream(&format!("<stream:features>{mechanisms}</stream:features>")).as_bytes());
    });
    let words = sends_to(plain.port);
    let front = Scripted::new(move |tcp| answer(tcp, words.as_bytes()));
    let phone = Phone::new(dir.path().join("phone"), ROMEO.0, ROMEO.1).at(front.port);
    let console = Console::start(&phone).unwrap();
    untrusted(&console);
}

#[test]
fn redirect_in_a_circle_ends() {
    let dir = Scratch::new("phones").unwrap();
    let itself = std::sync::Arc::new(std::sync::OnceLock::new());
    let port = std::sync::Arc::clone(&itself);
    let front = Scripted::new(move |tcp| answer(tcp, sends_to(*port.get().unwrap()).as_bytes()));
    itself.set(front.port).unwrap();
    let phone = Phone::new(dir.path().join("phone"), ROMEO.0, ROMEO.1).at(front.port);
    let _console = Console::start(&phone).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while front.connections() < 5 {
        assert!(Instant::now() < deadline, "{} connections", front.connections());
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(A_WHILE);
    assert_eq!(front.connections(), 5, "the first, and four that were sent");
}
