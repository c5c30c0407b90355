//! Corrections, retractions, reactions and answers: the same is shown whatever came first, and only who may changes anything.

use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};

use super::*;
use crate::api::{ChangeKind, Error, Message, News, Outgoing};

const CORRECT: &str = "urn:xmpp:message-correct:0";
const RETRACT: &str = "urn:xmpp:message-retract:1";

pub(super) fn replace(id: &str, text: &str) -> String {
    format!("<body>{text}</body><replace xmlns='{CORRECT}' id='{id}'/>")
}

pub(super) fn retract(id: &str) -> String {
    format!("<body>gone</body><retract xmlns='{RETRACT}' id='{id}'/>")
}

pub(super) fn reactions(id: &str, texts: &[&str]) -> String {
    let texts: String = texts.iter().map(|text| format!("<reaction>{text}</reaction>")).collect();
    format!("<reactions xmlns='urn:xmpp:reactions:0' id='{id}'>{texts}</reactions>")
}

fn answer(to: &str, id: &str, text: &str) -> String {
    format!("<body>{text}</body><reply xmlns='urn:xmpp:reply:0' to='{to}' id='{id}'/>")
}

pub(super) fn new_id(n: u32) -> ItemId {
    ItemId(format!("00000000-0000-4000-9000-{n:012}"))
}

impl World {
    fn messages(&self) -> Vec<Message> {
        let (file, with) = (self.file(), juliet());
        let start = timeline::start(&file, &with, 1_000_000).unwrap();
        let items = timeline::window(&file, &with, start, 0).unwrap();
        items
            .into_iter()
            .filter_map(|item| match item {
                Item::Message(message) => Some(message),
                Item::Gap(_) => None,
            })
            .collect()
    }

    fn newest(&self) -> Message {
        self.messages().pop().expect("a message")
    }

    /// Answers and acknowledges until nothing is left to ask.
    fn serves_on(&mut self) {
        for _ in 0..100 {
            self.serve();
            self.acknowledge();
            if !self.wrote.iter().any(|element| element.name() == "iq") {
                return;
            }
        }
        panic!("questions without end");
    }

    /// What a user sees, with all that was said about it.
    pub(super) fn reads(&self) -> Vec<String> {
        let messages = self.messages();
        let text_of = |id: &ItemId| messages.iter().find(|message| message.id == *id).map(|m| m.text.clone());
        messages
            .iter()
            .map(|message| {
                let mut line = if message.mine { "> ".to_owned() } else { String::new() };
                line.push_str(if message.retracted { "(retracted)" } else { &message.text });
                if message.edited {
                    line.push_str(" (edited)");
                }
                for reaction in &message.reactions {
                    line += &format!(
                        " {}{}{}",
                        reaction.text,
                        reaction.count,
                        if reaction.mine { "!" } else { "" }
                    );
                }
                if let Some(reply) = &message.reply {
                    let original = reply.id.as_ref().map(|id| text_of(id).expect("it is shown"));
                    line += &format!(" <- {}", original.as_deref().unwrap_or("?"));
                }
                line
            })
            .collect()
    }
}

#[test]
fn last_correction_is_the_text() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>Romoe</body>"));
    world.gets(&from_juliet("id='j2'", &replace("j1", "Rome")));
    world.gets(&from_juliet("id='j3'", &replace("j1", "Romeo")));
    assert_eq!(world.reads(), ["Romeo (edited)"]);
    assert!(matches!(world.events.last(), Some(Event::Changed(message)) if message.text == "Romeo"));
    world.kill();
    assert_eq!(world.reads(), ["Romeo (edited)"]);
}

#[test]
fn correction_of_a_correction_is_about_the_first() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j3'", &replace("j2", "three")));
    world.gets(&from_juliet("id='j1'", "<body>one</body>"));
    assert_eq!(world.reads(), ["three (edited)", "one"], "what it is about is not here yet");
    assert_eq!(world.count("SELECT unread FROM conversation"), 2);
    world.gets(&from_juliet("id='j2'", &replace("j1", "two")));
    assert_eq!(world.reads(), ["two (edited)"]);
    assert_eq!(world.count("SELECT unread FROM conversation"), 1);
}

#[test]
fn retracted_message_has_no_text_and_stays_so() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j2'", &retract("j1")));
    assert_eq!(world.reads(), [""; 0], "it says nothing by itself");
    world.gets(&from_juliet("id='j1'", "<body>one</body>"));
    world.gets(&from_juliet("id='j3'", &replace("j1", "two")));
    world.gets(&from_juliet("id='j4'", &reactions("j1", &["👍"])));
    assert_eq!(world.reads(), ["(retracted)"]);
    assert_eq!(world.newest().text, "");
}

#[test]
fn names_in_the_old_text_say_nothing_of_the_new_one() {
    let mut world = World::online();
    let reference = format!(
        "<reference xmlns='urn:xmpp:reference:0' type='mention' begin='0' end='6' uri='xmpp:{JULIET}'/>"
    );
    let sent = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/tablet' to='{JULIET}' id='m1'><body>Juliet!</body>{reference}</message>"
    );
    world.gets(&carbon(OWN, "sent", &sent));
    let message = world.newest();
    assert_eq!(message.spans.len(), 1);
    world.does(Command::Edit { id: new_id(1), message: message.id, text: "But soft".into() });
    assert!(!world.next("message").has_child("reference", "urn:xmpp:reference:0"));
    assert_eq!(world.newest().spans, []);
}

#[test]
fn last_reactions_of_each_side_count() {
    let mut world = World::online();
    let id = world.says("mine");
    world.gets(&from_juliet("id='j1'", &reactions(&id.0, &["👍", "🎉"])));
    world.gets(&from_juliet("id='j2'", &reactions(&id.0, &["🎉", "❤"])));
    world.does(Command::React { id: new_id(1), message: id.clone(), reactions: texts(&["❤"]) });
    assert_eq!(world.reads(), ["> mine 🎉1 ❤2!"]);
    assert_eq!(world.count("SELECT unread FROM conversation"), 0);
    world.gets(&from_juliet("id='j3'", &reactions(&id.0, &[])));
    assert_eq!(world.reads(), ["> mine ❤1!"]);
}

#[test]
fn answer_knows_what_it_answers_whichever_comes_first() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j2'", &answer(JULIET, "j1", "yes")));
    assert_eq!(world.reads(), ["yes <- ?"]);
    world.gets(&from_juliet("id='j1'", "<body>light?</body>"));
    assert_eq!(world.reads(), ["yes <- light?", "light?"]);
}

#[test]
fn correction_that_stands_alone_knows_what_it_answers() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>light?</body>"));
    let answer = answer(JULIET, "j1", "yes") + "<replace xmlns='urn:xmpp:message-correct:0' id='j0'/>";
    world.gets(&from_juliet("id='j2'", &answer));
    let shown = world.newest();
    assert_eq!((shown.text.as_str(), shown.edited), ("yes", true));
    assert_eq!(shown.reply.unwrap().id, Some(world.messages()[0].id.clone()));
}

#[test]
fn answer_of_ours_repeats_what_it_answers_for_those_who_do_not_know_better() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>light\nwindow?</body>"));
    let asked = world.newest().id;
    let what = Outgoing { reply_to: Some(asked.clone()), ..Outgoing::from("the east") };
    world.does(Command::Send { id: new_id(1), to: juliet(), what });
    let sent = world.next("message");
    assert_eq!(body(&sent).as_deref(), Some("> light\n> window?\nthe east"));
    assert_eq!(sent.get_child("reply", ns::REPLY).and_then(|reply| reply.attr("id")), Some("j1"));
    let shown = world.newest();
    assert_eq!(shown.text, "the east");
    let reply = shown.reply.expect("an answer");
    assert_eq!((reply.id, reply.quote.as_deref()), (Some(asked), Some("light\nwindow?")));
}

#[test]
fn what_was_not_sent_is_edited_where_it_waits() {
    let mut world = World::online();
    world.cut();
    let id = world.says("Romoe");
    let edit = Command::Edit { id: new_id(1), message: id.clone(), text: "Romeo".into() };
    assert_eq!(world.does(edit.clone()), Some(Ok(Reply::Sent { id: new_id(1) })));
    assert_eq!(world.reads(), ["> Romeo"], "nobody has seen the first one");
    world.kill();
    assert_eq!(world.does(edit), Some(Ok(Reply::Sent { id: new_id(1) })));
    world.reconnect(Resume::Accept);
    assert_eq!(world.sent_texts(), ["Romeo"]);
}

#[test]
fn what_was_sent_is_corrected_behind_it() {
    let mut world = World::online();
    let id = world.says("Romoe");
    world.acknowledge();
    world.wrote.clear();
    world.cut();
    for (n, text) in [(1, "Rome"), (2, "Romeo")] {
        world.does(Command::Edit { id: new_id(n), message: id.clone(), text: text.into() });
    }
    let change = world.newest().change.expect("it waits");
    assert_eq!((change.kind, change.state), (ChangeKind::Correction, SendState::Queued));
    world.reconnect(Resume::Accept);
    let sent = world.next("message");
    assert_eq!(body(&sent).as_deref(), Some("Romeo"), "and of two that waited the last");
    assert_eq!(sent.get_child("replace", CORRECT).and_then(|replace| replace.attr("id")), Some(&*id.0));
    assert!(world.all("message").is_empty());
    world.acknowledge();
    let shown = world.newest();
    assert_eq!((shown.text.as_str(), shown.edited, shown.change), ("Romeo", true, None));
}

#[test]
fn marker_that_names_a_correction_of_ours_is_about_what_it_corrects() {
    let mut world = World::online();
    let (first, second) = (world.says("Romoe"), world.says("wherefore"));
    world.acknowledge();
    world.does(Command::Edit { id: new_id(1), message: first.clone(), text: "Romeo".into() });
    world.acknowledge();
    world.gets(&marker(JULIET, &new_id(1).0));
    assert_eq!(world.state(&first), SendState::Displayed);
    assert_eq!(world.state(&second), SendState::Sent, "what lies between they may not have seen");
}

/// A resumption acknowledges first and replays then, and a server may hold carbons back: neither says whose came first.
#[test]
fn of_what_two_devices_said_at_once_the_last_in_the_archive_counts() {
    for (ack_comes_first, ours_counts) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = World::online();
        let id = world.says("But soft");
        world.acknowledge();
        let edit = Command::Edit { id: new_id(1), message: id.clone(), text: "ours".into() };
        world.does(edit);
        let own = |device: &str, id: &str, content: &str| {
            let origin = format!("<origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>");
            format!(
                "<message xmlns='jabber:client' type='chat' from='{OWN}/{device}' to='{JULIET}' id='{id}'>{content}{origin}</message>"
            )
        };
        let ours = own("phone.1", &new_id(1).0, &replace(&id.0, "ours"));
        let theirs = own("tablet", "t1", &replace(&id.0, "theirs"));
        let mut said = vec![own("phone.1", &id.0, "<body>But soft</body>"), theirs.clone(), ours];
        if !ours_counts {
            said.swap(1, 2);
        }
        let archived = said.into_iter().enumerate();
        world.server.archive =
            archived.map(|(n, message)| Archived { id: format!("b{n}"), at: START, message }).collect();
        let theirs = carbon(OWN, "sent", &theirs);
        if ack_comes_first {
            world.acknowledge();
            world.gets(&theirs);
        } else {
            world.gets(&theirs);
            world.acknowledge();
        }
        world.serve();
        let counts = if ours_counts { "> ours (edited)" } else { "> theirs (edited)" };
        assert_eq!(world.reads(), [counts], "acknowledged first: {ack_comes_first}");
        // It has a name in the archive now, and is not asked about again.
        world.wrote.clear();
        world.gets(&carbon(OWN, "sent", &own("tablet", "t2", &replace(&id.0, "theirs, later"))));
        assert_eq!(world.reads(), ["> theirs, later (edited)"]);
        assert!(world.all("iq").is_empty(), "asked again");
    }
}

#[test]
fn what_was_not_sent_is_retracted_without_a_word() {
    let mut world = World::online();
    world.cut();
    let (first, second) = (world.says("one"), world.says("two"));
    world.does(Command::React { id: new_id(1), message: first.clone(), reactions: texts(&["👍"]) });
    world.does(Command::Retract { id: new_id(2), message: first });
    assert_eq!(world.reads(), ["> two"]);
    assert_eq!(world.does(Command::Cancel { message: second }), Some(Ok(Reply::Done)));
    assert_eq!(world.reads(), [""; 0]);
    world.reconnect(Resume::Accept);
    assert!(world.all("message").is_empty());
    assert_eq!(world.count("SELECT count(*) FROM message"), 0);
}

#[test]
fn what_was_sent_is_retracted_and_what_waited_about_it_is_not_said() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    world.wrote.clear();
    world.cut();
    world.does(Command::Edit { id: new_id(1), message: id.clone(), text: "two".into() });
    world.does(Command::Retract { id: new_id(2), message: id.clone() });
    assert_eq!(world.reads(), ["> (retracted)"]);
    world.reconnect(Resume::Accept);
    let sent = world.next("message");
    assert_eq!(sent.get_child("retract", RETRACT).and_then(|retract| retract.attr("id")), Some(&*id.0));
    assert!(world.all("message").is_empty());
    let edit = Command::Edit { id: new_id(3), message: id, text: "three".into() };
    assert!(matches!(world.does(edit), Some(Err(Error::InvalidInput { .. }))));
}

#[test]
fn message_that_is_under_way_cannot_be_cancelled() {
    let mut world = World::online();
    let id = world.says("one");
    assert!(matches!(world.does(Command::Cancel { message: id }), Some(Err(Error::InvalidInput { .. }))));
    assert_eq!(world.reads(), ["> one"]);
}

#[test]
fn what_is_about_a_message_that_failed_fails_with_it_and_both_can_be_retried() {
    let mut world = World::online();
    world.cut();
    let what = Outgoing { not_after: Some(world.now.wall + 1_000), ..Outgoing::from("now or never") };
    let id = new_id(1);
    world.does(Command::Send { id: id.clone(), to: juliet(), what });
    world.does(Command::React { id: new_id(2), message: id.clone(), reactions: texts(&["👍"]) });
    world.pass(2_000);
    assert!(matches!(world.state(&id), SendState::Failed { .. }), "nobody was online in time");
    let shown = world.newest();
    assert!(shown.reactions.is_empty());
    assert!(matches!(shown.change.expect("it failed").state, SendState::Failed { .. }));
    assert_eq!(world.does(Command::Retry { message: id.clone() }), Some(Ok(Reply::Done)));
    assert_eq!(world.state(&id), SendState::Queued);
    world.does(Command::Retry { message: new_id(2) });
    assert_eq!(world.reads(), ["> now or never 👍1!"]);
    world.reconnect(Resume::Accept);
    assert_eq!(world.sent_texts(), ["now or never"]);
}

#[test]
fn what_failed_is_dropped_for_good() {
    let mut world = World::online();
    let id = world.says("one");
    world.gets(&bounce(&id, "service-unavailable"));
    assert!(matches!(world.state(&id), SendState::Failed { .. }));
    assert_eq!(world.does(Command::Cancel { message: id.clone() }), Some(Ok(Reply::Done)));
    assert_eq!(world.reads(), [""; 0]);
    // The archive has it: it stays known.
    let copy = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/phone' to='{JULIET}' id='{0}'><body>one</body><origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
        id.0
    );
    world.gets(&carbon(OWN, "sent", &copy));
    assert_eq!(world.reads(), [""; 0]);
}

#[test]
fn another_text_for_what_has_failed_is_another_message() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    world.does(Command::React { id: new_id(2), message: id.clone(), reactions: texts(&["👍"]) });
    world.gets(&bounce(&id, "service-unavailable"));
    let edit = Command::Edit { id: new_id(1), message: id.clone(), text: "two".into() };
    let answer = Some(Ok(Reply::Sent { id: new_id(1) }));
    assert_eq!(world.does(edit.clone()), answer);
    assert_eq!(world.reads(), ["> two"]);
    assert!(matches!(world.state(&new_id(1)), SendState::Failed { .. }), "it waits for its user");
    world.kill();
    assert_eq!(world.does(edit), answer);
    assert_eq!(world.does(Command::Retry { message: id.clone() }), Some(Err(Error::NotFound)));

    // What the archive has under the first id is the first text, and does not come back here.
    world.reconnect(Resume::Accept);
    let copy = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/phone' to='{JULIET}' id='{0}'><body>one</body><origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
        id.0
    );
    world.gets(&carbon(OWN, "sent", &copy));
    assert_eq!(world.reads(), ["> two"]);
    world.wrote.clear();
    assert_eq!(world.does(Command::Retry { message: new_id(1) }), Some(Ok(Reply::Done)));
    let sent = world.next("message");
    assert_eq!((sent.attr("id"), body(&sent).as_deref()), (Some(&*new_id(1).0), Some("two")));
    assert_eq!(world.reads(), ["> two"]);
}

/// What failed before it had left is still nobody's: not what it says, nor that it is gone.
#[test]
fn what_has_never_left_is_changed_where_it_waits_though_it_failed() {
    for replaced in [false, true] {
        let mut world = World::online();
        let mut id = new_id(1);
        if replaced {
            let first = world.says("first");
            world.acknowledge();
            world.gets(&bounce(&first, "service-unavailable"));
            world.cut();
            world.does(Command::Edit { id: id.clone(), message: first, text: "nonsense".into() });
        } else {
            world.cut();
            let what = Outgoing { not_after: Some(world.now.wall + 1_000), ..Outgoing::from("nonsense") };
            world.does(Command::Send { id: id.clone(), to: juliet(), what });
            world.pass(2_000);
        }
        assert!(matches!(world.state(&id), SendState::Failed { .. }));
        world.wrote.clear();
        assert_eq!(world.does(Command::Retry { message: id.clone() }), Some(Ok(Reply::Done)));
        world.does(Command::Edit { id: new_id(2), message: id.clone(), text: "sense".into() });
        assert_eq!(world.reads(), ["> sense"]);
        if replaced {
            world.does(Command::Retract { id: new_id(3), message: id });
            id = world.says("and no more");
        }
        world.reconnect(Resume::Accept);
        assert_eq!(world.sent_texts(), [if replaced { "and no more" } else { "sense" }]);
        assert_eq!(world.state(&id), SendState::Queued);
    }
}

#[test]
fn text_that_is_too_large_leaves_what_has_failed_as_it_is() {
    let mut world = World::new();
    world.server.max_bytes = 10_000;
    world.connect();
    world.serve();
    let id = world.says("one");
    world.acknowledge();
    world.gets(&bounce(&id, "service-unavailable"));
    let edit = Command::Edit { id: new_id(1), message: id.clone(), text: "x".repeat(20_000) };
    assert!(matches!(world.does(edit), Some(Err(Error::InvalidInput { .. }))));
    assert_eq!(world.reads(), ["> one"]);
    assert!(matches!(world.state(&id), SendState::Failed { .. }));
}

#[test]
fn what_is_tried_again_has_left_before_and_is_corrected_behind_it() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    world.gets(&bounce(&id, "service-unavailable"));
    world.cut();
    world.wrote.clear();
    assert_eq!(world.does(Command::Retry { message: id.clone() }), Some(Ok(Reply::Done)));
    world.does(Command::Edit { id: new_id(1), message: id.clone(), text: "two".into() });
    assert_eq!(world.reads(), ["> two (edited)"]);
    world.reconnect(Resume::Accept);
    assert_eq!(world.sent_texts(), ["one", "two"]);

    // Not said once more, it stays known all the same.
    let id = world.says("three");
    world.acknowledge();
    world.gets(&format!("<message type='error' from='{JULIET}' to='{OWN}' id='{}'/>", id.0));
    world.cut();
    world.wrote.clear();
    world.does(Command::Retry { message: id.clone() });
    assert_eq!(world.does(Command::Cancel { message: id }), Some(Ok(Reply::Done)));
    world.reconnect(Resume::Accept);
    assert_eq!(world.sent_texts(), [""; 0]);
    assert_eq!(
        world.count("SELECT count(*) FROM message WHERE body = 'three'"),
        0,
        "nothing is left of its text"
    );
    assert_eq!(world.count("SELECT count(*) FROM message WHERE kind = 5 AND hidden = 1"), 1);
}

#[test]
fn change_that_is_tried_again_keeps_its_text_and_another_one_follows() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    let edit = |n, text: &str| Command::Edit { id: new_id(n), message: id.clone(), text: text.into() };
    let react = |n, text| Command::React { id: new_id(n), message: id.clone(), reactions: texts(&[text]) };
    world.does(edit(1, "two"));
    world.does(react(2, "👍"));
    world.acknowledge();
    for n in [1, 2] {
        world.gets(&bounce(&new_id(n), "service-unavailable"));
    }
    world.cut();
    for n in [1, 2] {
        assert_eq!(world.does(Command::Retry { message: new_id(n) }), Some(Ok(Reply::Done)));
    }
    world.does(edit(3, "three"));
    world.does(react(4, "🎉"));
    assert_eq!(world.reads(), ["> three (edited) 🎉1!"]);
    // What has never left is still changed where it waits.
    world.does(edit(5, "four"));
    world.reconnect(Resume::Accept);
    let sent = world.all("message");
    let ids: Vec<_> = sent.iter().filter_map(|message| message.attr("id")).collect();
    assert_eq!(ids, [1, 2, 3, 4].map(|n| new_id(n).0));
    assert_eq!(sent.iter().filter_map(body).collect::<Vec<_>>(), ["two", "four"]);
}

#[test]
fn change_that_failed_is_over_once_another_one_stands_in_its_place() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    let react = |n| Command::React { id: new_id(n), message: id.clone(), reactions: texts(&["👍"]) };
    for (n, text) in [(1, "two"), (2, "three")] {
        world.does(Command::Edit { id: new_id(n), message: id.clone(), text: text.into() });
        world.acknowledge();
        if n == 1 {
            world.gets(&bounce(&new_id(n), "service-unavailable"));
            assert_eq!(world.newest().change.map(|change| change.id), Some(new_id(1)));
        }
    }
    assert_eq!(world.newest().change, None);
    let retry = |n| Command::Retry { message: new_id(n) };
    assert!(matches!(world.does(retry(1)), Some(Err(Error::InvalidInput { .. }))));
    assert_eq!(world.reads(), ["> three (edited)"]);
    // What we feel about it is another matter, until it is taken back.
    world.does(react(3));
    world.acknowledge();
    world.gets(&bounce(&new_id(3), "service-unavailable"));
    world.does(Command::Edit { id: new_id(4), message: id.clone(), text: "four".into() });
    world.acknowledge();
    let change = world.newest().change.expect("it failed");
    assert_eq!((change.id, change.kind), (new_id(3), ChangeKind::Reactions));
    world.does(Command::Retract { id: new_id(5), message: id.clone() });
    world.acknowledge();
    assert_eq!(world.newest().change, None);
    assert!(matches!(world.does(retry(3)), Some(Err(Error::InvalidInput { .. }))));
}

#[test]
fn message_is_taken_back_while_a_change_of_it_is_tried_again_that_an_archive_knows() {
    for is_cancelled in [false, true] {
        let mut world = World::online();
        let id = world.says("one");
        world.acknowledge();
        world.does(Command::React { id: new_id(1), message: id.clone(), reactions: texts(&["👍"]) });
        world.acknowledge();
        let copy = format!(
            "<message xmlns='jabber:client' type='chat' from='{OWN}/phone' to='{JULIET}' id='{0}'>{1}<origin-id xmlns='urn:xmpp:sid:0' id='{0}'/><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='a1'/></message>",
            new_id(1).0,
            reactions(&id.0, &["👍"])
        );
        world.gets(&carbon(OWN, "sent", &copy));
        let mut failed = vec![new_id(1)];
        if is_cancelled {
            failed.insert(0, id.clone());
        }
        for message in &failed {
            world.gets(&bounce(message, "service-unavailable"));
        }
        world.cut();
        for message in failed {
            assert_eq!(world.does(Command::Retry { message }), Some(Ok(Reply::Done)));
        }
        if is_cancelled {
            assert_eq!(world.does(Command::Cancel { message: id }), Some(Ok(Reply::Done)));
            assert_eq!(world.reads(), [""; 0]);
        } else {
            let answer = world.does(Command::Retract { id: new_id(2), message: id });
            assert_eq!(answer, Some(Ok(Reply::Sent { id: new_id(2) })));
            assert_eq!(world.reads(), ["> (retracted)"]);
        }
        // It is not said, and stays known.
        world.reconnect(Resume::Accept);
        world.gets(&carbon(OWN, "sent", &copy));
        assert!(world.all("message").iter().all(|message| message.attr("id") != Some(&*new_id(1).0)));
        assert_eq!(
            world.count("SELECT count(*) FROM message AS m JOIN archived AS a ON a.message = m.id"),
            1
        );
    }
}

#[test]
fn change_that_is_asked_for_twice_is_made_once() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    world.wrote.clear();
    let reacts = Command::React { id: new_id(1), message: id.clone(), reactions: texts(&["👍"]) };
    let edits = Command::Edit { id: new_id(2), message: id.clone(), text: "two".into() };
    for command in [&reacts, &edits, &reacts, &edits] {
        assert!(matches!(world.does(command.clone()), Some(Ok(Reply::Sent { .. }))));
        world.acknowledge();
    }
    assert_eq!(world.all("message").len(), 2);
    for message in [new_id(1), ItemId("7777".into()), ItemId("x".into())] {
        let command = Command::Edit { id: new_id(9), message, text: "x".into() };
        assert_eq!(world.does(command), Some(Err(Error::NotFound)));
    }
}

#[test]
fn retracted_message_is_no_news_and_its_notification_is_taken_back() {
    let mut world = World::online();
    let news = |world: &mut World| match world.does(Command::News) {
        Some(Ok(Reply::News(news))) => news,
        other => panic!("{other:?}"),
    };
    world.gets(&from_juliet("id='j1'", "<body>one</body>"));
    world.gets(&from_juliet("id='j2'", "<body>two</body>"));
    world.gets(&from_juliet("id='j3'", &retract("j2")));
    let News { notify, withdraw, .. } = news(&mut world);
    assert_eq!(notify.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["one"]);
    assert!(withdraw.is_empty());
    world.gets(&from_juliet("id='j4'", &replace("j1", "eins")));
    world.gets(&from_juliet("id='j5'", &reactions("j1", &["👍"])));
    world.gets(&from_juliet("id='j6'", &retract("j1")));
    let News { notify, withdraw, .. } = news(&mut world);
    assert!(notify.is_empty(), "a correction is none, nor are reactions");
    assert_eq!(withdraw, [world.messages()[0].id.clone()]);
}

/// Both sides say things and change them; forgeries in between. In the archive's order.
fn everything(rng: &mut StdRng, entries: usize) -> Vec<Archived> {
    let mut names: Vec<(bool, String)> = Vec::new();
    (0..entries)
        .map(|n| {
            let (mine, id) = (rng.random_bool(0.5), format!("m{n}"));
            let mut content = match names.choose(rng).filter(|_| rng.random_bool(0.7)) {
                None => format!("<body>text {n}</body>"),
                Some((theirs, target)) => match rng.random_range(0..8) {
                    0..3 => replace(target, &format!("text {n}")),
                    3 => retract(target),
                    4 | 5 => reactions(target, &["👍", "🎉", "❤"][rng.random_range(0..3)..]),
                    _ => answer(if *theirs { OWN } else { JULIET }, target, &format!("text {n}")),
                },
            };
            if rng.random_bool(0.5) {
                content += &format!("<origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>");
            }
            names.push((mine, id.clone()));
            let (from, to) = if mine { (OWN, JULIET) } else { (JULIET, OWN) };
            Archived {
                id: format!("a{n}"),
                at: START + n as i64 * 1_000,
                message: format!(
                    "<message xmlns='jabber:client' type='chat' from='{from}/other' to='{to}' id='{id}'>{content}</message>"
                ),
            }
        })
        .collect()
}

/// One of them while we are online: as a message, or as a carbon.
fn as_it_comes(entry: &Archived) -> String {
    let stanza_id = format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='{}'/></message>", entry.id);
    let message = entry.message.replace("</message>", &stanza_id);
    if message.contains(&format!("from='{OWN}")) { carbon(OWN, "sent", &message) } else { message }
}

#[test]
fn the_same_is_shown_whatever_the_order_of_arrival() {
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        let entries = rng.random_range(2..25);
        let mut archive = everything(&mut rng, entries);
        if seed % 2 == 1 {
            // Some archives lose what was retracted.
            archive.retain(|_| rng.random_bool(0.8));
        }
        let entries = archive.len();
        let mut live = World::online();
        for entry in &archive {
            live.gets(&as_it_comes(entry));
        }
        let expected = live.reads();

        // Some live, then away, then some live before the first page comes, then the rest.
        let mut away = World::online();
        away.server.page = rng.random_range(1..6);
        let (from, to) = (rng.random_range(0..=entries), rng.random_range(0..=entries));
        let (from, to) = (from.min(to), from.max(to));
        for entry in &archive[..from] {
            away.gets(&as_it_comes(entry));
        }
        away.server.archive = archive[..to].to_vec();
        away.away_and_back();
        let mut missed: Vec<&Archived> = archive[to..].iter().collect();
        let split = rng.random_range(0..=missed.len());
        let later = missed.split_off(split);
        for entry in missed {
            away.server.archive.push(entry.clone());
            away.gets(&as_it_comes(entry));
        }
        away.serves_on();
        for entry in later {
            away.server.archive.push(entry.clone());
            away.gets(&as_it_comes(entry));
        }
        away.serves_on();
        assert_eq!(away.reads(), expected, "seed {seed}: {from} live, {to} in the archive");

        // A new device, that pages back.
        let mut new = World::new();
        new.server.page = rng.random_range(1..6);
        new.server.archive = archive.clone();
        new.connect();
        new.serves_on();
        for _ in 0..=entries {
            if rng.random_bool(0.2) {
                new.kill();
                new.reconnect(Resume::Refuse);
                new.serves_on();
            }
            new.does(Command::Older);
            new.serves_on();
        }
        assert_eq!(new.reads(), expected, "seed {seed}: a new device");
        let unread = new.count("SELECT count(*) FROM message WHERE mine = 0 AND hidden = 0");
        assert!(new.count("SELECT unread FROM conversation") <= unread, "seed {seed}");
    }
}

#[test]
fn first_correction_stands_for_a_message_that_is_not_here() {
    // ejabberd takes a message out of its archive when it is retracted, and nothing else of what was said about it.
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        let pieces = [
            ("j2", replace("j1", "two")),
            ("j3", replace("j1", "three")),
            ("j4", replace("j2", "four")),
            ("r1", reactions("j1", &["👍"])),
            ("r2", answer(JULIET, "j1", "so it is")),
            ("d", retract("j1")),
        ];
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        order.shuffle(&mut rng);
        let mut world = World::online();
        for at in &order {
            let (id, content) = &pieces[*at];
            world.gets(&from_juliet(&format!("id='{id}'"), content));
        }
        let shown = world.reads();
        let mut expected = vec!["(retracted)", "so it is <- "];
        if order.iter().position(|at| *at == 4) < order.iter().position(|at| *at < 2) {
            expected.reverse();
        }
        assert_eq!(shown, expected, "seed {seed}: {order:?}");
        // Who did not write it changes nothing of it.
        let mut forged = World::online();
        for (id, content) in &pieces[..2] {
            forged.gets(&from_juliet(&format!("id='{id}'"), content));
        }
        let ours = format!(
            "<message xmlns='jabber:client' type='chat' from='{OWN}/x' to='{JULIET}' id='f'>{}</message>",
            retract("j1")
        );
        forged.gets(&carbon(OWN, "sent", &ours));
        assert_eq!(forged.reads(), ["three (edited)"]);
        assert_eq!(forged.count("SELECT unread FROM conversation"), 1);
    }
}

/// Nobody corrects what another wrote, so that this is a message of its own, and called so.
#[test]
fn what_a_contact_says_to_correct_a_message_of_ours_is_called_by_its_own_name() {
    let mut world = World::online();
    let ours = world.says("But soft");
    world.acknowledge();
    world.gets(&from_juliet("id='j1'", &replace(&ours.0, "forged")));
    let message = world.newest().id;
    world.wrote.clear();
    world.does(Command::React { id: new_id(1), message, reactions: vec!["👍".into()] });
    let sent = world.next("message");
    let about = sent.get_child("reactions", "urn:xmpp:reactions:0").and_then(|child| child.attr("id"));
    assert_eq!(about, Some("j1"));
    assert_eq!(world.reads(), ["> But soft", "forged (edited) 👍1!"]);
}

/// Whoever has the message may not have the correction: it went out while they had blocked us.
#[test]
fn what_stands_for_a_message_that_is_not_here_is_called_by_that() {
    let mut world = World::online();
    let said = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/x' to='{JULIET}' id='o2'>{}<origin-id xmlns='urn:xmpp:sid:0' id='o2'/></message>",
        replace("o1", "Rome")
    );
    world.gets(&carbon(OWN, "sent", &said));
    let message = world.newest().id;
    let about = |world: &mut World, command: Command, name: &str, ns: &str| {
        world.wrote.clear();
        assert!(matches!(world.does(command), Some(Ok(Reply::Sent { .. }))));
        let sent = world.next("message");
        let id = sent.get_child(name, ns).and_then(|child| child.attr("id")).map(str::to_owned);
        world.acknowledge();
        assert_eq!(id.as_deref(), Some("o1"), "{name}");
    };
    let reactions = vec!["👍".to_owned()];
    let react = Command::React { id: new_id(1), message: message.clone(), reactions };
    about(&mut world, react, "reactions", "urn:xmpp:reactions:0");
    let edit = Command::Edit { id: new_id(2), message: message.clone(), text: "Romeo".into() };
    about(&mut world, edit, "replace", CORRECT);
    let what = Outgoing { reply_to: Some(message.clone()), ..Outgoing::from("wherefore") };
    about(&mut world, Command::Send { id: new_id(3), to: juliet(), what }, "reply", "urn:xmpp:reply:0");
    assert_eq!(world.reads(), ["> Romeo (edited) 👍1!", "> wherefore <- Romeo"]);
    about(&mut world, Command::Retract { id: new_id(4), message }, "retract", RETRACT);
    assert_eq!(world.reads(), ["> (retracted)", "> wherefore <- "]);
}

#[test]
fn mixture_of_names_is_resolved_alike_in_any_order_of_a_batch() {
    // Reactions and corrections that came before everything that they are about, in every mixture.
    for seed in 0..24 {
        let mut rng = StdRng::seed_from_u64(seed);
        let pieces = [
            ("j2", replace("j1", "two")),
            ("j3", replace("j2", "three")),
            ("r1", reactions("j1", &["👍"])),
            ("r2", answer(JULIET, "j2", "so it is")),
        ];
        let mut order: Vec<usize> = (0..4).collect();
        order.shuffle(&mut rng);
        let mut world = World::online();
        for at in order {
            let (id, content) = &pieces[at];
            world.gets(&from_juliet(&format!("id='{id}'"), content));
        }
        world.gets(&from_juliet("id='j1'", "<body>one</body>"));
        let shown = world.reads();
        assert_eq!(shown.len(), 2, "seed {seed}: {shown:?}");
        assert!(shown[1].ends_with("(edited) 👍1"), "seed {seed}: {shown:?}");
        assert_eq!(shown[0], format!("so it is <- {}", shown[1].split(' ').next().unwrap()));
        assert_eq!(world.count("SELECT unread FROM conversation"), 2);
    }
}
