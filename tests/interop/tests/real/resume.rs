//! A link that is cut and a process that is killed are nothing that the server or the other side should notice.

use std::{
    thread,
    time::{Duration, Instant},
};

use interop::{Console, InFlight, Kind};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, peer::Peer, synced, texts};

fn sync(console: &Console) {
    synced(console);
}

fn cut_link_is_resumed_and_loses_nothing(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let link = stage.link();
    let romeo = Console::start(&stage.phone_behind(&link, ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    juliet.wait_online(PATIENCE).unwrap();
    sync(&romeo);
    let mut said = Vec::new();
    for (number, in_flight) in [InFlight::Kept, InFlight::Dropped, InFlight::Dropped].into_iter().enumerate()
    {
        // Out into a tunnel: the phone believes that it has sent it, and Juliet's answer goes nowhere either.
        link.stall(in_flight == InFlight::Dropped);
        for (from, to, who) in [(&romeo, JULIET.0, "Romeo"), (&juliet, ROMEO.0, "Juliet")] {
            let text = format!("{who} in the tunnel {number}");
            from.send_message(to, &id(&text), &text, PATIENCE).unwrap();
            said.push(text);
        }
        link.cut(in_flight);
        link.stall(false);
        let online = romeo.wait_online(PATIENCE).unwrap();
        assert!(online.flag("resumed"), "{}", online.body);
        assert!(!online.flag("after_start"), "{}", online.body);
    }
    sync(&romeo);
    sync(&juliet);
    // What the server has taken over may still be on its way to the other one.
    for text in &said {
        let receiver = if text.starts_with("Romeo") { &juliet } else { &romeo };
        receiver.wait_message(text, PATIENCE).unwrap();
    }
    for (console, with) in [(&romeo, JULIET.0), (&juliet, ROMEO.0)] {
        let mut there = texts(&console.timeline(with, 100, PATIENCE).unwrap());
        there.sort();
        said.sort();
        assert_eq!(there, said);
    }
    // Still the same session, and it is not deaf.
    juliet.send_message(ROMEO.0, &id("last"), "Good night, good night!", PATIENCE).unwrap();
    romeo.wait_message("Good night, good night!", PATIENCE).unwrap();
}

fn killed_phone_resumes_its_session(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    juliet.wait_online(PATIENCE).unwrap();
    let mut romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    sync(&romeo);
    for number in 0..3 {
        // Killed the moment it has answered: it need not have sent it yet.
        romeo
            .send_message(JULIET.0, &id(&format!("Romeo {number}")), &format!("Romeo {number}"), PATIENCE)
            .unwrap();
        romeo.kill();
        juliet
            .send_message(ROMEO.0, &id(&format!("Juliet {number}")), &format!("Juliet {number}"), PATIENCE)
            .unwrap();
        juliet.wait_state(&id(&format!("Juliet {number}")), "sent", PATIENCE).unwrap();
        romeo = Console::start(&phone).unwrap();
        let online = romeo.wait_online(PATIENCE).unwrap();
        assert!(online.flag("resumed") && online.flag("after_start"), "{}", online.body);
        romeo.wait_message(&format!("Juliet {number}"), PATIENCE).unwrap();
        juliet.wait_message(&format!("Romeo {number}"), PATIENCE).unwrap();
        // An app that did not see the answer asks again, under the same id.
        romeo
            .send_message(JULIET.0, &id(&format!("Romeo {number}")), &format!("Romeo {number}"), PATIENCE)
            .unwrap();
    }
    sync(&romeo);
    sync(&juliet);
    for (console, with) in [(&romeo, JULIET.0), (&juliet, ROMEO.0)] {
        for who in ["Romeo", "Juliet"] {
            let there = texts(&console.timeline(with, 100, PATIENCE).unwrap());
            let theirs: Vec<&String> = there.iter().filter(|text| text.starts_with(who)).collect();
            assert_eq!(
                theirs,
                [&format!("{who} 0"), &format!("{who} 1"), &format!("{who} 2")],
                "with {with}: {there:?}"
            );
        }
    }
}

/// ejabberd opens a resumed session before it knows that it wants carbons: now and then one message of these is copied to nobody,
/// and the archive has it, which is compared a minute after it was the last time.
#[test]
fn what_another_device_says_during_resumptions_is_there_in_the_end_over_ejabberd() {
    let Some(stage) = Stage::on(Kind::Ejabberd) else { return };
    let link = stage.link();
    link.delay(Duration::from_millis(40));
    let romeo = Console::start(&stage.phone_behind(&link, ROMEO.0, ROMEO.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut tablet = Peer::sign_in(&stage.server, ROMEO, "tablet");
    synced(&romeo);
    let mut said = Vec::new();
    for _ in 0..6 {
        // A session that lasted tries to come back at once.
        thread::sleep(Duration::from_millis(1_200));
        link.cut(InFlight::Dropped);
        // Over the whole of the resumption, and some round trips longer.
        for _ in 0..70 {
            let text = format!("message {}", said.len());
            let to = JULIET.0;
            tablet.say(&format!(
                "<message type='chat' to='{to}' id='{text}'><body>{text}</body><origin-id xmlns='urn:xmpp:sid:0' id='{text}'/></message>"
            ));
            said.push(text);
            thread::sleep(Duration::from_millis(5));
        }
        let online = romeo.wait_online(PATIENCE).unwrap();
        assert!(online.flag("resumed"), "{}", online.body);
    }
    tablet.settle();
    synced(&romeo);
    let deadline = Instant::now() + Duration::from_secs(120) + PATIENCE;
    loop {
        let there = texts(&romeo.timeline(JULIET.0, 1000, PATIENCE).unwrap());
        if there == said {
            break;
        }
        assert!(Instant::now() < deadline, "{there:?}");
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn cut_link_is_resumed_over_prosody_13() {
    cut_link_is_resumed_and_loses_nothing(Kind::Prosody13);
}

#[test]
fn cut_link_is_resumed_over_prosody_0_12() {
    cut_link_is_resumed_and_loses_nothing(Kind::Prosody012);
}

#[test]
fn cut_link_is_resumed_over_ejabberd() {
    cut_link_is_resumed_and_loses_nothing(Kind::Ejabberd);
}

#[test]
fn killed_phone_resumes_its_session_on_prosody_13() {
    killed_phone_resumes_its_session(Kind::Prosody13);
}

#[test]
fn killed_phone_resumes_its_session_on_prosody_0_12() {
    killed_phone_resumes_its_session(Kind::Prosody012);
}

#[test]
fn killed_phone_resumes_its_session_on_ejabberd() {
    killed_phone_resumes_its_session(Kind::Ejabberd);
}
