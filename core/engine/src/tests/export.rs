//! An account as a file and back: what is shown is the same, whatever was there before and whenever it was cut.

use rand::{Rng, seq::IndexedRandom};

use super::*;
use crate::{
    api::{self, Conversation, Delete, Draft, Imported, Message, Mute, Setting, Show, Signals},
    export, presence,
};

const NURSE: &str = "nurse@capulet.lit";

impl World {
    fn exported(&self) -> String {
        let mut text = String::new();
        export::write(&self.file(), "file-1", START, &mut |piece| {
            text.push_str(piece);
            Ok(())
        })
        .unwrap();
        text
    }

    fn imports(&mut self, elements: &[Element]) -> Imported {
        let mut all = Imported::default();
        for batch in elements.chunks(7) {
            let command = Command::Import { file: "file-1".into(), elements: batch.to_vec() };
            let Some(Ok(Reply::Imported(done))) = self.does(command) else { panic!("not imported") };
            all = Imported {
                added: all.added + done.added,
                known: all.known + done.known,
                skipped: all.skipped + done.skipped,
            };
        }
        all
    }

    /// Everything that is shown, but for the numbers by which this device calls what others wrote.
    fn shown(&self) -> Vec<String> {
        let file = self.file();
        let mut shown = Vec::new();
        for conversation in timeline::conversations(&file).unwrap() {
            let last = conversation.last.clone().map(nameless);
            shown.push(format!("{:?}", Conversation { last, chat_state: None, ..conversation.clone() }));
            for item in self.items_with(conversation.with.as_str()) {
                shown.push(match item {
                    Item::Message(message) => format!("{:?}", nameless(message)),
                    Item::Gap(gap) => format!("{:?}", gap.kind),
                });
            }
        }
        shown
    }
}

fn nameless(message: Message) -> Message {
    // What was not sent is not sent by the device that it is brought to.
    let kept = |state: SendState| match state {
        SendState::Queued | SendState::Failed { .. } => SendState::Failed { reason: String::new() },
        state => state,
    };
    let id = if message.id.0.contains('-') { message.id } else { ItemId(String::new()) };
    let reply =
        message.reply.map(|reply| api::ReplyTo { id: reply.id.map(|_| ItemId(String::new())), ..reply });
    let change = message.change.map(|change| api::Change { state: kept(change.state), ..change });
    Message { id, reply, change, state: message.state.map(kept), ..message }
}

/// As a reader of the file hands them on: what is in the user's element, and in its lists.
fn elements(text: &str) -> Vec<Element> {
    let root: Element =
        text.trim_start_matches("<?xml version='1.0' encoding='UTF-8'?>").trim().parse().unwrap();
    let user = root.children().next().unwrap().children().next().unwrap();
    let mut all = Vec::new();
    for child in user.children() {
        match child.name() {
            "query" | "archive" | "conversations" => all.extend(child.children().cloned()),
            _ => all.push(child.clone()),
        }
    }
    all
}

/// A device that has lived for a while.
fn lived(seed: u64) -> World {
    let mut world = World::online();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut number = 0;
    let mut theirs: Vec<String> = Vec::new();
    let peers = [JULIET, NURSE];
    for step in 0..rng.random_range(20..80) {
        let peer = *peers.choose(&mut rng).unwrap();
        let of = |content: &str, id: &str| {
            format!(
                "<message type='chat' from='{peer}/x' to='{OWN}' id='{id}'>{content}<stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='s{step}'/></message>"
            )
        };
        let items = world.items_with(peer);
        let messages: Vec<Message> = items
            .into_iter()
            .filter_map(|item| match item {
                Item::Message(message) => Some(message),
                Item::Gap(_) => None,
            })
            .collect();
        let one = messages.choose(&mut rng).map(|message| message.id.clone());
        let target = theirs.choose(&mut rng).cloned().unwrap_or_else(|| "nothing".into());
        let change = ItemId(format!("00000000-0000-4000-8000-1{step:011}"));
        match rng.random_range(0..15) {
            0..=4 => {
                number += 1;
                theirs.push(format!("m{number}"));
                let body = ["*But* soft <&> \u{1f339}", "see https://capulet.lit/?a=b&c", "/me waits", "line\none"];
                let body = body.choose(&mut rng).unwrap().replace('&', "&amp;").replace('<', "&lt;");
                world.gets(&of(&format!("<body>{number} {body}</body><markable xmlns='urn:xmpp:chat-markers:0'/>"), &format!("m{number}")));
            }
            5 => world.gets(&of(&format!("<body>corrected {step}</body><replace xmlns='urn:xmpp:message-correct:0' id='{target}'/>"), &format!("c{step}"))),
            6 => world.gets(&of(&format!("<reactions xmlns='urn:xmpp:reactions:0' id='{target}'><reaction>\u{1f44d}</reaction></reactions>"), &format!("r{step}"))),
            7 => world.gets(&of(&format!("<retract xmlns='urn:xmpp:message-retract:1' id='{target}'/>"), &format!("t{step}"))),
            8 | 9 => {
                let to = peer.parse().unwrap();
                let reply_to = one.filter(|_| rng.random());
                let what = api::Outgoing { reply_to, ..format!("mine {step}").into() };
                world.does(Command::Send { id: change, to, what });
                world.acknowledge();
            }
            10 => drop(one.map(|message| world.does(Command::React { id: change, message, reactions: vec!["\u{1f389}".into()] }))),
            11 => drop(one.map(|message| world.does(Command::Edit { id: change, message, text: format!("edited {step}") }))),
            12 => drop(one.map(|id| world.does(Command::Delete(Delete::Message { id })))),
            13 => {
                let settings = [
                    Setting::Draft(Some(Draft { text: "a < b".into(), reply_to: None })),
                    Setting::Pinned(true),
                    Setting::Muted(Some(Mute::ForEver)),
                    Setting::Archived(true),
                ];
                let setting = settings.choose(&mut rng).unwrap().clone();
                world.does(Command::Set { with: peer.parse().unwrap(), setting });
            }
            _ => drop(world.does(Command::MarkRead { with: peer.parse().unwrap() })),
        }
        // What was not sent is another matter.
        world.acknowledge();
    }
    world
}

fn same(one: &World, other: &World, seed: u64) {
    let (one, other) = (one.shown(), other.shown());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other, "seed {seed}");
    }
    assert_eq!(one.len(), other.len(), "seed {seed}");
}

#[test]
fn what_is_shown_is_the_same_after_a_round_trip() {
    for seed in 0..10 {
        let world = lived(seed);
        let elements = elements(&world.exported());
        let mut fresh = World::new();
        let done = fresh.imports(&elements);
        assert_eq!((done.known, done.skipped), (0, 1), "all but who wrote it, seed {seed}");
        same(&fresh, &world, seed);
        // And again, and with a kill in between: nothing twice.
        fresh.kill();
        assert_eq!(fresh.imports(&elements).added, 0, "seed {seed}");
        same(&fresh, &world, seed);
        let mut cut = World::new();
        cut.imports(&elements[..elements.len() / 2]);
        cut.kill();
        let again = cut.imports(&elements);
        assert_eq!(again.added + again.known, done.added, "seed {seed}");
        same(&cut, &world, seed);
        // What is exported there is the same file, but for when.
        assert_eq!(elements_of(&fresh), elements_of(&world), "seed {seed}");
    }
}

/// The elements of an export, but for numbers of rows.
fn elements_of(world: &World) -> Vec<String> {
    let numberless = |element: &Element| {
        let mut text = String::from(element);
        while let Some(at) = text.find("row-") {
            let behind =
                text[at + 4..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |end| at + 4 + end);
            text.replace_range(at..behind, "row");
        }
        text
    };
    elements(&world.exported()).iter().map(numberless).collect()
}

#[test]
fn what_was_not_sent_is_there_to_be_sent_again() {
    let mut world = World::online();
    world.cut();
    let unsent = world.says("not yet");
    let elements = elements(&world.exported());
    let mut fresh = World::new();
    fresh.imports(&elements);
    assert!(matches!(fresh.state(&unsent), SendState::Failed { .. }));
    assert_eq!(fresh.does(Command::Retry { message: unsent.clone() }), Some(Ok(Reply::Done)));
    fresh.connect();
    fresh.serve();
    fresh.acknowledge();
    assert_eq!(fresh.state(&unsent), SendState::Sent);
}

#[test]
fn what_was_decided_in_general_is_restored_and_counts_less_than_what_the_account_has() {
    let mut world = World::online();
    let signals = Signals { delivered: false, displayed: false, typing: true };
    world.does(Command::SetSignals { with: None, signals: Some(signals) });
    world.does(Command::NotifyOfStrangers { on: true });
    let text = Some("by a 'brook'".to_owned());
    world.does(Command::SetPresence { show: Show::ExtendedAway, text });
    let elements = elements(&world.exported());
    let decided = |world: &World| {
        let in_numbers = world.count("SELECT signals * 10 + strangers FROM account");
        (in_numbers, presence::own(&world.file()).unwrap())
    };
    let as_decided = decided(&world);
    let (mut fresh, mut lived) = (World::new(), World::online());
    let as_before = decided(&lived);
    assert_ne!(as_decided, as_before);
    fresh.imports(&elements);
    lived.imports(&elements);
    assert_eq!((decided(&fresh), decided(&lived)), (as_decided, as_before));
}

#[test]
fn what_failed_and_was_cancelled_is_in_no_export() {
    let mut world = World::online();
    let id = world.says("secret");
    world.acknowledge();
    world.gets(&format!("<message type='error' from='{JULIET}' to='{OWN}' id='{}'/>", id.0));
    assert!(world.exported().contains("secret"));
    assert_eq!(world.does(Command::Cancel { message: id }), Some(Ok(Reply::Done)));
    assert!(!world.exported().contains("secret"));
    let mut fresh = World::new();
    fresh.imports(&elements(&world.exported()));
    assert_eq!(fresh.shown(), world.shown());
}

/// A long conversation goes some rows in each step, and so does what was said about a message.
#[test]
fn what_is_still_being_deleted_is_exported_as_what_will_be_left_of_it() {
    let correction = |id: &str, of: &str| {
        from_juliet(
            &format!("id='{id}'"),
            &format!("<body>other</body><replace xmlns='urn:xmpp:message-correct:0' id='{of}'/>"),
        )
    };
    for wish in 0..3 {
        let mut world = World::online();
        world.gets_batches(if wish == 0 { 1 } else { 34 });
        let corrections: Vec<String> = (0..1_700).map(|n| correction(&format!("c{n}"), "j0")).collect();
        for some in corrections[..if wish == 0 { 1_700 } else { 1 }].chunks(50) {
            world.gets_all(&some.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let asks = "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>";
        world.gets(&from_juliet("id='asks'", &format!("<body>asks</body>{asks}")));
        world.gets(&correction("stands", "nothing"));
        world.gets(&from_juliet("id='r'", "<retract xmlns='urn:xmpp:message-retract:1' id='j1'/>"));
        let failed = world.says("mine");
        world.acknowledge();
        world.gets(&bounce(&failed, "not-allowed"));
        world.pass_online(10_000);
        let before = world.now.wall - 5_000;
        match wish {
            0 => world.deletes_text("other"),
            1 => world.deletes(Delete::Conversation { with: juliet() }),
            _ => world.deletes(Delete::Before { at: before }),
        }
        let left = "SELECT count(*) FROM deletion";
        world.gets(&from_juliet("id='new'", "<body>new</body>").replace(JULIET, NURSE));
        assert_eq!(world.count(left), 1, "some of it");
        let exported = elements_of(&world);
        world.pass(5_000);
        assert_eq!(world.count(left), 0);
        for (one, other) in exported.iter().zip(elements_of(&world)) {
            assert_eq!(*one, other, "{wish}");
        }
        assert_eq!(exported.len(), elements_of(&world).len());
    }
}

#[test]
fn errors_and_rooms_are_not_imported_and_a_name_is_taken_once() {
    let mut world = World::online();
    world.says("one");
    world.gets(&live(1));
    world.acknowledge();
    let text = world.exported();
    let results = |text: &str| -> Vec<Element> {
        elements(text).into_iter().filter(|element| element.name() == "result").collect()
    };
    let mut fresh = World::new();
    for kind in ["error", "groupchat"] {
        let none = fresh.imports(&results(&text.replace("type='chat'", &format!("type='{kind}'"))));
        assert_eq!((none.added, fresh.shown().len()), (0, 0));
    }
    // The same message of ours, as if it had been said to somebody else, too.
    let elsewhere = text.replace(JULIET, NURSE).replace("id='s", "id='other-");
    let all = [results(&text), results(&elsewhere)].concat();
    assert_eq!(fresh.imports(&all).added, 3, "what she wrote has one id in the archive");
    assert_eq!((fresh.items_with(JULIET).len(), fresh.items_with(NURSE).len()), (2, 1));
}

#[test]
fn first_session_asks_for_what_has_come_since() {
    let mut world = World::online();
    for number in 0..3 {
        world.gets(&live(number));
    }
    let elements = elements(&world.exported());
    let mut fresh = World::new();
    fresh.server.archive = archived(0..6);
    fresh.imports(&elements);
    fresh.connect();
    let pages = |world: &mut World| -> Vec<String> {
        let mut asked = Vec::new();
        for iq in world.wrote.iter().filter(|iq| iq.get_child("query", ns::MAM).is_some()) {
            let set = iq.get_child("query", ns::MAM).unwrap().get_child("set", ns::RSM);
            asked.extend(set.and_then(|set| set.get_child("after", ns::RSM)).map(Element::text));
        }
        asked
    };
    let mut asked = Vec::new();
    let mut guard = 0;
    while fresh.wrote.iter().any(|e| e.name() == "iq") && guard < 50 {
        asked.extend(pages(&mut fresh));
        let at = fresh.wrote.iter().position(|e| e.name() == "iq").unwrap();
        let iq = fresh.wrote.remove(at).unwrap();
        if matches!(iq.attr("type"), Some("get" | "set")) {
            let link = fresh.link.unwrap();
            let answers = fresh.server.answers(&iq);
            fresh.turn(answers.iter().map(|xml| Input::Element { link, element: element(xml) }).collect());
        }
        guard += 1;
    }
    assert_eq!(asked.first().map(String::as_str), Some("a2"));
    assert_eq!(fresh.sees(), numbers(0..6));
}

/// Of what a resumption has lost nothing else would tell on the new device.
#[test]
fn what_was_not_compared_is_compared_by_the_first_session() {
    let mut world = World::online();
    world.gets(&live(0));
    world.away_and_back();
    let brought = "UPDATE gap SET brought_position = low_position + 1";
    assert_eq!(world.engine.as_ref().unwrap().connection().execute(brought, []).unwrap(), 1);
    let mut fresh = World::new();
    fresh.imports(&elements(&world.exported()));
    assert_eq!(elements_of(&fresh), elements_of(&world));
    assert_eq!(fresh.count("SELECT brought_position - low_position FROM gap"), 1);

    // It replays 1 and 4 and has dropped 2 and 3: behind 0, or behind an archive that was empty.
    for first in [0, 1] {
        let mut world = World::online();
        if first == 0 {
            world.gets(&live(0));
        }
        world.cut();
        world.reconnect(Resume::Accept);
        world.gets(&live(1));
        world.gets(&live(4));
        let mut fresh = World::new();
        fresh.imports(&elements(&world.exported()));
        assert_eq!(elements_of(&fresh), elements_of(&world));
        fresh.kill();
        fresh.server.archive = archived(first..6);
        fresh.connect();
        fresh.serve();
        fresh.acknowledge();
        fresh.serve();
        assert_eq!(fresh.sees(), numbers(first..6));
        assert_eq!(fresh.count("SELECT check_position IS NULL FROM session"), 1);
    }
}

#[test]
fn account_that_has_a_part_of_it_gets_the_rest_in_order() {
    let mut old = World::online();
    for number in 0..8 {
        old.gets(&live(number));
    }
    let mine = old.says("mine");
    old.acknowledge();
    let text = old.exported();
    // Another device, which has been there for a while: the archive's end, and the same message of ours by carbon.
    let mut world = World::new();
    world.server.archive = archived(5..8);
    world.connect();
    world.serve();
    world.acknowledge();
    let sent = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/phone' to='{JULIET}' id='{0}'><body>mine</body><origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
        mine.0
    );
    world.gets(&carbon(OWN, "sent", &sent));
    world.gets(&live(9));
    let before: Vec<String> = world.sees().into_iter().filter(|line| line != "--").collect();
    assert_eq!(before, ["5", "6", "7", "> mine", "9"]);
    let done = world.imports(&elements(&text));
    assert_eq!((done.added, done.known), (5, 4));
    let after: Vec<String> = world.sees().into_iter().filter(|line| line != "--").collect();
    assert_eq!(after, ["0", "1", "2", "3", "4", "5", "6", "7", "> mine", "9"]);
    assert_eq!(world.imports(&elements(&text)).added, 0);
    // What the archive names later is what is there.
    world.server.archive = archived(0..8);
    world.does(Command::Older);
    world.serve();
    let after: Vec<String> = world.sees().into_iter().filter(|line| line != "--").collect();
    assert_eq!(after, ["0", "1", "2", "3", "4", "5", "6", "7", "> mine", "9"]);
}

#[test]
fn archive_of_another_server_is_taken_and_conversations_stand_in_order() {
    let mut world = World::new();
    let results: Vec<Element> = archived(0..400)
        .iter()
        .map(|entry| {
            let text = format!("<result xmlns='urn:xmpp:mam:2' id='{}'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{}'/>{}</forwarded></result>", entry.id, stamp::format(entry.at), entry.message);
            element(&text)
        })
        .collect();
    assert_eq!(world.imports(&results).added, 400);
    assert_eq!(world.sees(), numbers(0..400));
    world.connect();
    world.serve();
    world.gets(&live(500));
    assert_eq!(world.sees().last().map(String::as_str), Some("500"));
}

#[test]
fn nothing_that_lets_in_is_exported() {
    let mut world = World::new();
    world.first_login("t0ken-secret");
    world.does(Command::ChangePassword { password: "new-quill".into() });
    let push = api::Push {
        service: "push.example".parse().unwrap(),
        node: "n0de".into(),
        secret: Some("push-s3cret".into()),
    };
    world.does(Command::SetPush { push: Some(push) });
    world.gets(&live(1));
    let text = world.exported();
    assert!(text.contains("<body>1</body>"));
    for secret in [
        "pencil",
        "new-quill",
        "t0ken-secret",
        "push-s3cret",
        "push.example",
        "n0de",
        "00000000-0000-0000-0000-000000000000",
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
}

mod hostile {
    use super::*;

    #[test]
    fn forged_export() {
        let mut world = World::online();
        world.gets(&live(1));
        let before = world.shown();
        let row = |content: &str, row: &str| {
            element(&format!(
                "<result xmlns='urn:xmpp:mam:2' id='x'><forwarded xmlns='urn:xmpp:forward:0'>{content}</forwarded><row xmlns='https://whimbrel.im/ns/export:0' {row}/></result>"
            ))
        };
        let message = format!(
            "<message xmlns='jabber:client' type='chat' from='{JULIET}' to='{OWN}' id='j1'><body>1</body></message>"
        );
        let nonsense = [
            row("", "at='1'"),
            row("<message xmlns='jabber:client'/>", "at='1'"),
            row("<message xmlns='jabber:client' from='@'><body>x</body></message>", "at='1'"),
            row(&message, "at='yesterday'"),
            element("<conversation xmlns='https://whimbrel.im/ns/export:0' with='@' read='1'/>"),
            element(
                "<gap xmlns='https://whimbrel.im/ns/export:0' low='-9223372036854775808' high='9223372036854775807'/>",
            ),
            element(
                "<covered xmlns='https://whimbrel.im/ns/export:0' id='x' position='9223372036854775807'/>",
            ),
            element("<item xmlns='jabber:iq:roster' jid='tybalt@capulet.lit' subscription='both'/>"),
            element("<presence type='subscribe' from='@'/>"),
            element("<password xmlns='urn:xmpp:pie:0'>x</password>"),
        ];
        let done = world.imports(&nonsense);
        assert_eq!((done.added, done.skipped), (0, 1));
        assert_eq!(world.shown(), before);
        // Into an empty account, and with numbers that were made up: what comes later still stands above.
        let mut world = World::new();
        let far = row(&message, "at='1' position='9223372036854775807' state='99' local='x'");
        let high =
            row(&message.replace("j1", "j2").replace(">1<", ">2<"), "at='2' position='4611686018427387904'");
        let allowed = row(
            &message.replace("j1", "j3").replace(">1<", ">3<"),
            "at='3' position='2305843009213693952' local='1'",
        );
        world.imports(&[far, high, allowed]);
        world.imports(&nonsense);
        world.connect();
        world.serve();
        world.gets(&live(7));
        assert_eq!(world.sees().last().map(String::as_str), Some("7"));
        world.kill();
        world.reconnect(Resume::Refuse);
        world.serve();
        world.gets(&live(8));
        assert_eq!(world.sees().last().map(String::as_str), Some("8"));
    }
}
