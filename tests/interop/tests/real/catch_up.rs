//! Away for longer than the server keeps a session: everything is fetched from the archive, once and in order.

use std::time::Duration;

use interop::{Console, Kind, Options};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, peer::Peer, synced, texts};

/// More than two of Prosody's pages.
const MISSED: usize = 130;

fn missed_messages_come_once_and_in_order(kind: Kind) {
    let options = Options { hibernation: Some(Duration::from_secs(1)), ..Options::default() };
    let Some(stage) = Stage::with(kind, options) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "nest");
    juliet.say(&message("before", "before"));
    romeo.wait_message("before", PATIENCE).unwrap();
    synced(&romeo);
    romeo.kill();
    // The server must have given the session up; nothing outside of it shows when it has.
    std::thread::sleep(Duration::from_secs(5));
    let said: Vec<String> = (0..MISSED).map(|number| format!("missed {number}")).collect();
    for (number, text) in said.iter().enumerate() {
        juliet.say(&message(&format!("m{number}"), text));
    }
    juliet.settle();

    let romeo = Console::start(&phone).unwrap();
    let online = romeo.wait_online(PATIENCE).unwrap();
    assert!(!online.flag("resumed"), "{}", online.body);
    synced(&romeo);
    let mut expected = vec!["before".to_owned()];
    expected.extend(said);
    assert_eq!(texts(&romeo.timeline(JULIET.0, 1000, PATIENCE).unwrap()), expected);
    juliet.say(&message("after", "after"));
    romeo.wait_message("after", PATIENCE).unwrap();
}

fn message(id: &str, text: &str) -> String {
    let to = ROMEO.0;
    format!(
        "<message type='chat' to='{to}' id='{id}'><body>{text}</body><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
    )
}

#[test]
fn missed_messages_come_once_and_in_order_from_prosody_13() {
    missed_messages_come_once_and_in_order(Kind::Prosody13);
}

#[test]
fn missed_messages_come_once_and_in_order_from_prosody_0_12() {
    missed_messages_come_once_and_in_order(Kind::Prosody012);
}

#[test]
fn missed_messages_come_once_and_in_order_from_ejabberd() {
    missed_messages_come_once_and_in_order(Kind::Ejabberd);
}

#[test]
fn server_that_was_restarted_has_everything_in_its_archive() {
    let Some(mut stage) = Stage::on(Kind::Prosody13) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    juliet.wait_online(PATIENCE).unwrap();
    stage.server.stop();
    let said: Vec<String> = (0..5).map(|number| format!("while it was down {number}")).collect();
    for text in &said {
        juliet.send_message(ROMEO.0, &id(text), text, PATIENCE).unwrap();
    }
    stage.server.restart().unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    for text in &said {
        romeo.wait_message(text, PATIENCE).unwrap();
    }
    synced(&romeo);
    assert_eq!(texts(&romeo.timeline(JULIET.0, 100, PATIENCE).unwrap()), said);
}
