//! Who is a contact and who is not: approval before anybody asks, strangers, and what they are told.

use super::*;
use crate::{
    api::{ChatState, Contact, Conversation, Signals},
    roster, signals,
};

const NURSE: &str = "nurse@capulet.lit";

impl World {
    fn commands(&mut self, command: Command) {
        assert_eq!(self.does(command), Some(Ok(Reply::Done)));
    }

    fn contact_of(&self, jid: &str) -> Option<Contact> {
        roster::contacts(&self.file()).unwrap().into_iter().find(|contact| contact.jid.as_str() == jid)
    }

    fn conversation_with(&self, jid: &str) -> Conversation {
        timeline::conversations(&self.file())
            .unwrap()
            .into_iter()
            .find(|line| line.with.as_str() == jid)
            .unwrap()
    }

    /// Decides without a link, and has one again.
    fn decides_offline(&mut self, decisions: [Command; 2]) {
        self.cut();
        decisions.into_iter().for_each(|decision| self.commands(decision));
        self.reconnect(Resume::Accept);
    }

    /// What went to somebody and is no text: receipts, markers, chat states, answers to their requests.
    fn tells(&mut self, whom: &str) -> Vec<String> {
        self.acknowledge();
        let all = std::mem::take(&mut self.wrote);
        let is_theirs = |stanza: &&Element| stanza.attr("to").is_some_and(|to| to.starts_with(whom));
        let told = all.iter().filter(is_theirs).filter(|stanza| body(stanza).is_none()).map(|stanza| {
            let kind = stanza.attr("type").filter(|_| stanza.name() == "presence");
            kind.unwrap_or_else(|| stanza.children().next().unwrap().name()).to_owned()
        });
        told.collect()
    }
}

fn asks(who: &str) -> String {
    format!("<presence type='subscribe' from='{who}'/>")
}

fn wants_all(who: &str, id: u32) -> String {
    format!(
        "<message type='chat' from='{who}/x' to='{OWN}' id='m{id}'><body>{id}</body><request xmlns='urn:xmpp:receipts'/>
         <markable xmlns='urn:xmpp:chat-markers:0'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
}

fn jid(text: &str) -> BareJid {
    text.parse().unwrap()
}

fn sees_all(world: &mut World, who: &str, id: u32) {
    world.gets(&wants_all(who, id));
    world.commands(Command::MarkRead { with: jid(who) });
    world.commands(Command::SetChatState { with: jid(who), state: ChatState::Composing });
}

/// A server asks nobody of whom we let see: another device has removed them, and nobody told us.
#[test]
fn contact_who_asks_although_they_see_us_is_looked_up_and_not_let_in_again() {
    for item in ["", "subscription='none'", "subscription='from'"] {
        let mut world = World::online();
        world.wrote.clear();
        world.gets(&asks(JULIET));
        let asked = world.next("iq");
        assert_eq!(asked.get_child("query", ns::ROSTER).and_then(|query| query.attr("ver")), Some(""));
        let items = if item.is_empty() { String::new() } else { format!("<item jid='{JULIET}' {item}/>") };
        world.gets(&format!(
            "<iq type='result' id='{}'><query xmlns='jabber:iq:roster' ver='9'>{items}</query></iq>",
            asked.attr("id").unwrap()
        ));
        assert_eq!(world.tells(JULIET), Vec::<String>::new());
        let asking = world.count("SELECT count(*) FROM subscription_request");
        assert_eq!(asking, i64::from(!item.contains("from")), "{item}");
    }
}

#[test]
fn who_was_accepted_before_is_answered_when_they_ask() {
    // The server does not remember it: we do.
    let mut world = World::online();
    world.commands(Command::Accept { jid: jid(NURSE) });
    assert_eq!(world.tells(NURSE), Vec::<String>::new());
    world.kill();
    world.reconnect(Resume::Accept);
    world.gets(&asks(NURSE));
    assert_eq!(world.tells(NURSE), ["subscribed"]);
    assert!(world.contact_of(NURSE).is_none_or(|contact| !contact.asks));
    // Once.
    world.gets(&asks(NURSE));
    assert_eq!(world.tells(NURSE), Vec::<String>::new());
    assert!(world.contact_of(NURSE).unwrap().asks);
    // And no longer, where the user thinks otherwise.
    world.commands(Command::Accept { jid: jid("paris@verona.lit") });
    world.commands(Command::Decline { jid: jid("paris@verona.lit") });
    world.gets(&asks("paris@verona.lit"));
    assert!(world.contact_of("paris@verona.lit").unwrap().asks);
}

#[test]
fn server_that_remembers_is_told_at_once() {
    let mut world = World::new();
    world.server.pre_approval = true;
    world.connect();
    world.serve();
    world.cut();
    world.reconnect(Resume::Accept);
    world.commands(Command::Accept { jid: jid(NURSE) });
    assert_eq!(world.tells(NURSE), ["subscribed"], "known, though a resumed stream does not say it");
}

#[test]
fn who_asks_is_accepted_or_declined() {
    let mut world = World::online();
    for (who, command, told) in [
        (NURSE, Command::Accept { jid: jid(NURSE) }, "subscribed"),
        ("paris@verona.lit", Command::Decline { jid: jid("paris@verona.lit") }, "unsubscribed"),
    ] {
        world.gets(&asks(who));
        assert!(world.contact_of(who).unwrap().asks);
        world.commands(command);
        assert_eq!(world.tells(who), [told]);
        assert!(world.contact_of(who).is_none());
    }
}

#[test]
fn stranger_learns_nothing_of_us_until_they_are_answered() {
    let mut world = World::online();
    sees_all(&mut world, NURSE, 1);
    assert_eq!(world.tells(NURSE), Vec::<String>::new());
    sees_all(&mut world, JULIET, 2);
    assert_eq!(world.tells(JULIET), ["received", "displayed", "composing"]);
    assert!(world.conversation_with(NURSE).is_stranger && !world.conversation_with(JULIET).is_stranger);
    // They stand behind those whom we know, and before what is archived.
    world.gets(&wants_all(NURSE, 3));
    let listed = |world: &World| -> Vec<String> {
        timeline::conversations(&world.file())
            .unwrap()
            .into_iter()
            .map(|line| line.with.to_string())
            .collect()
    };
    assert_eq!(listed(&world), [JULIET, NURSE]);
    let id = ItemId("00000000-0000-4000-8000-000000000099".into());
    world.does(Command::Send { id, to: jid(NURSE), what: "Who are you?".into() });
    assert!(!world.conversation_with(NURSE).is_stranger);
    assert_eq!(listed(&world), [NURSE, JULIET]);
    sees_all(&mut world, NURSE, 4);
    assert_eq!(world.tells(NURSE), ["composing"], "their messages are confirmed once they see our presence");
    // Or added.
    world.gets(&wants_all("paris@verona.lit", 5));
    assert!(world.conversation_with("paris@verona.lit").is_stranger);
    world.gets("<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='paris@verona.lit' subscription='none' ask='subscribe'/></query></iq>");
    assert!(!world.conversation_with("paris@verona.lit").is_stranger);
}

#[test]
fn strangers_are_notified_of_if_the_user_wants() {
    let mut world = World::online();
    let notified = |world: &mut World| match world.does(Command::News) {
        Some(Ok(Reply::News(news))) => news.notify.len(),
        other => panic!("{other:?}"),
    };
    world.gets(&wants_all(NURSE, 1));
    assert_eq!(notified(&mut world), 1);
    world.commands(Command::NotifyOfStrangers { on: false });
    world.gets(&wants_all(NURSE, 2));
    world.gets(&wants_all(JULIET, 3));
    assert_eq!(notified(&mut world), 1);
}

#[test]
fn what_contacts_are_told_is_the_user_s_choice() {
    let mut world = World::online();
    let none = Signals { delivered: false, displayed: false, typing: false };
    world.commands(Command::SetSignals { with: None, signals: Some(none) });
    world.kill();
    world.reconnect(Resume::Accept);
    sees_all(&mut world, JULIET, 1);
    assert_eq!(world.tells(JULIET), Vec::<String>::new());
    assert_eq!(signals::in_general(&world.file()).unwrap(), none);
    // With her otherwise than in general.
    let typing = Signals { typing: true, ..none };
    world.commands(Command::SetSignals { with: Some(juliet()), signals: Some(typing) });
    assert_eq!(world.conversation_with(JULIET).signals, Some(typing));
    sees_all(&mut world, JULIET, 2);
    assert_eq!(world.tells(JULIET), ["composing"]);
    world.commands(Command::SetSignals { with: Some(juliet()), signals: None });
    sees_all(&mut world, JULIET, 3);
    assert_eq!(world.tells(JULIET), Vec::<String>::new());
    world.says("typed");
    let has_state = |message: &Element| message.has_child("active", ns::CHAT_STATES);
    assert!(!world.all("message").iter().any(has_state));
    // Nor of what an archive brings.
    world.gets(&live(7));
    world.server.archive = archived(7..9);
    for entry in &mut world.server.archive {
        entry.message = entry.message.replace("</body>", "</body><request xmlns='urn:xmpp:receipts'/>");
    }
    world.away_and_back();
    world.serve();
    let is_receipt = |message: &Element| message.has_child("received", ns::RECEIPTS);
    assert!(!world.all("message").iter().any(is_receipt));
    assert!(world.sees().contains(&"8".to_owned()));
    world.commands(Command::SetSignals { with: None, signals: None });
    sees_all(&mut world, JULIET, 4);
    assert_eq!(world.tells(JULIET), ["received", "displayed", "composing"]);
}

/// Another device may have answered, or they have taken it back.
#[test]
fn who_asks_is_said_by_each_session_anew() {
    let mut world = World::online();
    world.gets(&asks(NURSE));
    world.cut();
    world.reconnect(Resume::Accept);
    assert!(world.contact_of(NURSE).is_some_and(|contact| contact.asks));
    world.away_and_back();
    assert_eq!(world.contact_of(NURSE), None);
    // Before the server says it again the user may have answered what was shown.
    world.gets(&asks(NURSE));
    assert!(world.contact_of(NURSE).is_some_and(|contact| contact.asks));
}

#[test]
fn of_two_answers_that_have_not_left_the_last_one_is_given() {
    let (accept, decline) = (|| Command::Accept { jid: jid(NURSE) }, || Command::Decline { jid: jid(NURSE) });
    let mut world = World::online();
    world.gets(&asks(NURSE));
    world.decides_offline([decline(), accept()]);
    assert_eq!(world.tells(NURSE), ["subscribed"]);
    world.gets(&asks(NURSE));
    world.decides_offline([accept(), decline()]);
    assert_eq!(world.tells(NURSE), ["unsubscribed"]);
    // Who sees us by now goes on to.
    world.server.roster = vec![(NURSE.into(), "both")];
    world.away_and_back();
    world.serve();
    world.decides_offline([decline(), accept()]);
    assert_eq!(world.tells(NURSE), [""; 0]);
    // They had not asked: they are accepted when they do.
    world.server.roster.clear();
    world.away_and_back();
    world.serve();
    world.decides_offline([decline(), accept()]);
    world.tells(NURSE);
    world.gets(&asks(NURSE));
    assert_eq!(world.tells(NURSE), ["subscribed"]);
}

#[test]
fn contacts_that_go_by_the_hundred_are_asked_for_once() {
    let mut world = World::online();
    for number in 0..100 {
        world.gets(&format!("<iq type='set' id='a{number}'><query xmlns='jabber:iq:roster' ver='{number}'><item jid='n{number}@capulet.lit' subscription='both'/></query></iq>"));
    }
    world.wrote.clear();
    for number in 0..100 {
        world.gets(&format!("<iq type='set' id='r{number}'><query xmlns='jabber:iq:roster' ver='9{number}'><item jid='n{number}@capulet.lit' subscription='remove'/></query></iq>"));
    }
    for _ in 0..10 {
        world.acknowledge();
    }
    let asked = world.all("iq").into_iter().filter(|iq| iq.attr("type") == Some("get"));
    assert_eq!(asked.filter(|iq| iq.has_child("query", ns::ROSTER)).count(), 1);
    world.serve();
    assert_eq!(roster::contacts(&world.file()).unwrap().len(), 1);
}

#[test]
fn version_of_a_push_says_nothing_to_who_has_not_read_the_roster() {
    let mut world = World::new();
    world.connect();
    let roster = format!("<query xmlns='jabber:iq:roster' ver='3'><item jid='{NURSE}'/></query>");
    world.gets(&format!("<iq type='set' id='p'>{roster}</iq>"));
    world.wrote.clear();
    // The server goes on talking, and its answer was lost.
    for _ in 0..13 {
        world.acknowledge();
        world.pass(5_000);
    }
    let asked = world.all("iq").into_iter().find_map(|iq| iq.get_child("query", ns::ROSTER).cloned());
    assert_eq!(asked.expect("it is asked for again").attr("ver"), Some(""));
}

#[test]
fn roster_that_was_refused_is_asked_for_again_in_a_while() {
    let mut world = World::new();
    world.connect();
    let asks = |world: &mut World| {
        let is_it = |iq: &Element| iq.attr("type") == Some("get") && iq.has_child("query", ns::ROSTER);
        let at = world.wrote.iter().position(is_it)?;
        Some(world.wrote.remove(at)?.attr("id")?.to_owned())
    };
    let refuse = |world: &mut World, id: &str| {
        world.gets(&format!(
            "<iq type='error' id='{id}'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        ));
    };
    let first = asks(&mut world).expect("it is asked");
    refuse(&mut world, &first);
    world.serve();
    // Nobody knows yet who they are, and they do not say it again.
    let photo = format!("<x xmlns='vcard-temp:x:update'><photo>{}</photo></x>", "a".repeat(40));
    for from in [JULIET, "stranger@verona.lit"] {
        world.gets(&format!("<presence from='{from}/x'>{photo}</presence>"));
    }
    for n in 0..1_100 {
        world.gets(&format!("<presence from='s{n}@verona.lit/x'/>"));
    }
    assert_eq!(world.count("SELECT count(*) FROM presence"), 1_000);
    assert!(!world.wrote.iter().any(|iq| iq.has_child("vCard", ns::VCARD)), "strangers are not asked");
    // For as long as it is refused it has its pauses.
    world.pass_online(9_000_000);
    assert_eq!(asks(&mut world), None);
    world.pass_online(640_000);
    let again = asks(&mut world).expect("it is asked again");
    refuse(&mut world, &again);
    world.pass_online(9_000_000);
    assert_eq!(asks(&mut world), None);
    // The next process does not know when it was to be asked.
    world.kill();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    world.serve();
    world.pass_online(70_000);
    world.serve();
    assert!(world.contact_of(JULIET).is_some_and(|contact| contact.available));
    assert_eq!(world.count("SELECT count(*) FROM presence"), 1);
    world.gets("<presence from='stranger@verona.lit/x'/>");
    assert_eq!(world.count("SELECT count(*) FROM presence"), 1);
    world.wrote.clear();
    world.pass_online(10_000_000);
    assert_eq!(asks(&mut world), None);
}
