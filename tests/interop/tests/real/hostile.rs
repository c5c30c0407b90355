//! What a contact can have relayed: it must not end the stream, nor keep the next message from arriving. Live, after a
//! resumption, and from the archive.

use std::time::Duration;

use interop::{Console, InFlight, Kind, Options};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, peer::Peer, synced, texts};

/// Under what every server relays (ejabberd here: 256 KiB).
fn huge_attribute() -> String {
    let value = "a".repeat(200_000);
    format!(
        "<message type='chat' to='{}'><body>huge</body><x xmlns='urn:test:huge' y='{value}'/></message>",
        ROMEO.0
    )
}

fn deep_nesting() -> String {
    let levels = 30_000;
    let (open, close) = ("<a>".repeat(levels), "</a>".repeat(levels));
    format!(
        "<message type='chat' to='{}'><body>deep</body><x xmlns='urn:test:deep'>{open}{close}</x></message>",
        ROMEO.0
    )
}

fn huge_text() -> String {
    format!("<message type='chat' to='{}'><body>{}</body></message>", ROMEO.0, "€".repeat(60_000))
}

fn many_attributes() -> String {
    let many: String = (0..10_000).map(|n| format!(" a{n}='{n}'")).collect();
    format!(
        "<message type='chat' to='{}'><body>many</body><x xmlns='urn:test:many'{many}/></message>",
        ROMEO.0
    )
}

fn many_namespaces() -> String {
    let many: String = (0..2_000).map(|n| format!("<p{n}:x xmlns:p{n}='urn:test:{n}'>")).collect();
    let close: String = (0..2_000).rev().map(|n| format!("</p{n}:x>")).collect();
    format!("<message type='chat' to='{}'><body>many</body>{many}{close}</message>", ROMEO.0)
}

fn unknown_payload_storm() -> String {
    let storm: String = (0..4_000).map(|n| format!("<x{n} xmlns='urn:test:{n}'/>")).collect();
    format!("<message type='chat' to='{}'><body>storm</body>{storm}</message>", ROMEO.0)
}

/// All that XML can carry and nobody wants to see.
fn control_characters() -> String {
    let text = "\u{7f}\u{80}\u{85}\u{9f}\u{ad}\u{200b}\u{202e}\u{2066}\u{feff}\u{fdd0}\u{e000}\u{10fffd}";
    format!("<message type='chat' to='{}' id='{text}'><body>{text}&#9;&#10;&#13;</body></message>", ROMEO.0)
}

fn message(text: &str) -> String {
    format!("<message type='chat' to='{}' id='{text}'><body>{text}</body></message>", ROMEO.0)
}

fn next_message_arrives_live(kind: Kind, poison: &str) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    // Or a question of its beginning waits for a server that has its hands full, which looks like a silent link.
    synced(&romeo);
    let mut tybalt = Peer::sign_in(&stage.server, JULIET, "sword");
    tybalt.say_huge(&stage.server, poison);
    tybalt.say(&message("next"));
    romeo.wait_message("next", PATIENCE).unwrap();
    let went = romeo.take_events().into_iter().find(|event| event.name() == "offline");
    assert!(went.is_none(), "the stream ended: {went:?}");
}

fn next_message_arrives_after_a_resumption(kind: Kind, poison: &str) {
    let Some(stage) = Stage::on(kind) else { return };
    let link = stage.link();
    let romeo = Console::start(&stage.phone_behind(&link, ROMEO.0, ROMEO.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    synced(&romeo);
    let mut tybalt = Peer::sign_in(&stage.server, JULIET, "sword");
    // No attempt of its own comes to nothing meanwhile: after some of them it waits a minute for the next.
    link.stall(true);
    tybalt.say_huge(&stage.server, poison);
    tybalt.say(&message("next"));
    tybalt.settle();
    link.cut(InFlight::Dropped);
    link.stall(false);
    let online = romeo.wait_online(PATIENCE).unwrap();
    assert!(online.flag("resumed"), "{}", online.body);
    romeo.wait_message("next", PATIENCE).unwrap();
    // And it is counted as handled: it does not come again, nor end the next session.
    link.cut(InFlight::Dropped);
    assert!(romeo.wait_online(PATIENCE).unwrap().flag("resumed"));
    tybalt.say(&message("last"));
    romeo.wait_message("last", PATIENCE).unwrap();
}

fn next_message_arrives_from_the_archive(kind: Kind, poison: &str) {
    let options = Options { hibernation: Some(Duration::from_secs(1)), ..Options::default() };
    let Some(stage) = Stage::with(kind, options) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    synced(&romeo);
    romeo.kill();
    // The server must have given the session up; nothing outside of it shows when it has.
    std::thread::sleep(Duration::from_secs(5));
    let mut tybalt = Peer::sign_in(&stage.server, JULIET, "sword");
    tybalt.say(&message("before"));
    tybalt.say_huge(&stage.server, poison);
    tybalt.say(&message("next"));
    tybalt.settle();
    let romeo = Console::start(&phone).unwrap();
    assert!(!romeo.wait_online(PATIENCE).unwrap().flag("resumed"));
    for text in ["before", "next"] {
        romeo.wait_message(text, PATIENCE).unwrap();
    }
    synced(&romeo);
}

/// Devices may be called what cannot be prepared by the rules of old; what they write is their account's. (ejabberd lets nobody
/// be called so.)
#[test]
fn invisible_address_of_a_device_over_prosody_13() {
    let Some(stage) = Stage::on(Kind::Prosody13) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "🐦");
    juliet.say(&message("from a bird"));
    romeo.wait_message("from a bird", PATIENCE).unwrap();
    assert_eq!(texts(&romeo.timeline(JULIET.0, 10, PATIENCE).unwrap()), ["from a bird"]);
}

macro_rules! rows {
    ($($row:ident { $($name:ident: $check:ident($kind:ident);)* })*) => {
        $(mod $row {
            use super::*;

            $(#[test]
            fn $name() {
                $check(Kind::$kind, &$row());
            })*
        })*
    };
}

rows! {
    huge_attribute {
        over_prosody_13_live: next_message_arrives_live(Prosody13);
        over_prosody_13_resumed: next_message_arrives_after_a_resumption(Prosody13);
        over_prosody_13_archived: next_message_arrives_from_the_archive(Prosody13);
        over_ejabberd_live: next_message_arrives_live(Ejabberd);
        over_ejabberd_resumed: next_message_arrives_after_a_resumption(Ejabberd);
        over_ejabberd_archived: next_message_arrives_from_the_archive(Ejabberd);
    }
    deep_nesting {
        over_prosody_13_live: next_message_arrives_live(Prosody13);
        over_prosody_13_resumed: next_message_arrives_after_a_resumption(Prosody13);
        over_prosody_13_archived: next_message_arrives_from_the_archive(Prosody13);
        over_ejabberd_live: next_message_arrives_live(Ejabberd);
        over_ejabberd_resumed: next_message_arrives_after_a_resumption(Ejabberd);
        over_ejabberd_archived: next_message_arrives_from_the_archive(Ejabberd);
    }
    huge_text {
        over_prosody_13_archived: next_message_arrives_from_the_archive(Prosody13);
        over_ejabberd_live: next_message_arrives_live(Ejabberd);
    }
    many_attributes {
        over_prosody_13_archived: next_message_arrives_from_the_archive(Prosody13);
        over_ejabberd_live: next_message_arrives_live(Ejabberd);
    }
    many_namespaces {
        over_prosody_13_archived: next_message_arrives_from_the_archive(Prosody13);
        over_ejabberd_live: next_message_arrives_live(Ejabberd);
    }
    unknown_payload_storm {
        over_prosody_13_archived: next_message_arrives_from_the_archive(Prosody13);
        over_ejabberd_live: next_message_arrives_live(Ejabberd);
    }
    control_characters {
        over_prosody_13_archived: next_message_arrives_from_the_archive(Prosody13);
        over_ejabberd_live: next_message_arrives_live(Ejabberd);
    }
}
