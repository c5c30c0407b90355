//! What the user decided about a conversation.

use super::{pubsub::event, *};
use crate::api::{Conversation, Draft, Mute, Notify, Setting};

const NURSE: &str = "nurse@capulet.lit";

impl World {
    fn sets(&mut self, with: &str, setting: Setting) {
        let command = Command::Set { with: with.parse().unwrap(), setting };
        assert_eq!(self.does(command), Some(Ok(Reply::Done)));
    }

    /// The list, in its order.
    fn conversations(&self) -> Vec<Conversation> {
        timeline::conversations(&self.file()).unwrap()
    }

    fn listed(&self) -> Vec<String> {
        self.conversations().into_iter().map(|conversation| conversation.with.to_string()).collect()
    }

    fn conversation(&self, with: &str) -> Conversation {
        let found = self.conversations().into_iter().find(|conversation| conversation.with.as_str() == with);
        found.expect("a conversation with them")
    }

    /// What there is to notify of.
    fn notifies(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.events).into_iter().filter_map(|event| match event {
            Event::Message { message, notify: true } => Some(message.text),
            _ => None,
        });
        let told: Vec<String> = told.collect();
        let news = match self.does(Command::News) {
            Some(Ok(Reply::News(news))) => news.notify.into_iter().map(|message| message.text).collect(),
            other => panic!("{other:?}"),
        };
        assert_eq!(told, news, "as each message was told of");
        news
    }
}

fn from(who: &str, id: u32, content: &str) -> String {
    format!("<message type='chat' from='{who}/x' to='{OWN}' id='m{id}'>{content}</message>")
}

fn says(who: &str, id: u32, text: &str) -> String {
    from(who, id, &format!("<body>{text}</body>"))
}

fn draft(text: &str) -> Option<Draft> {
    Some(Draft { text: text.into(), reply_to: None })
}

#[test]
fn draft_is_kept_over_a_kill_and_ends_when_it_is_sent() {
    let mut world = World::online();
    let begun = Draft { text: "But soft, ".into(), reply_to: Some(ItemId("7".into())) };
    world.sets(JULIET, Setting::Draft(Some(begun.clone())));
    world.kill();
    let conversation = world.conversation(JULIET);
    assert_eq!((conversation.draft, conversation.last), (Some(begun.clone()), None));
    world.reconnect(Resume::Accept);
    world.says("something else");
    assert_eq!(world.conversation(JULIET).draft, Some(begun));
    world.sets(JULIET, Setting::Draft(draft("what light? ")));
    world.says("what light?");
    world.kill();
    assert_eq!(world.conversation(JULIET).draft, None);
    world.sets(NURSE, Setting::Draft(draft("Nurse")));
    assert_eq!(world.listed(), [JULIET, NURSE]);
    world.sets(NURSE, Setting::Draft(draft("")));
    assert_eq!(world.listed(), [JULIET], "nothing was begun, and nothing said");
    let long = Setting::Draft(draft(&"x".repeat(300_000)));
    let refused = world.does(Command::Set { with: juliet(), setting: long });
    assert!(matches!(refused, Some(Err(Error::InvalidInput { .. }))), "{refused:?}");
}

#[test]
fn pinned_conversations_stand_first_and_archived_ones_last() {
    let all = [JULIET, NURSE, "tybalt@capulet.lit", "paris@verona.lit"];
    let mut world = World::new();
    world.server.roster = all.map(|who| (who.to_owned(), "both")).into();
    world.connect();
    world.serve();
    for (id, who) in all.into_iter().enumerate() {
        world.gets(&says(who, id as u32, "hello"));
    }
    world.sets(JULIET, Setting::Pinned(true));
    world.sets("paris@verona.lit", Setting::Archived(true));
    world.kill();
    assert_eq!(world.listed(), [JULIET, "tybalt@capulet.lit", NURSE, "paris@verona.lit"]);
    world.sets("paris@verona.lit", Setting::Pinned(true));
    world.sets(JULIET, Setting::Pinned(false));
    assert_eq!(world.listed(), ["tybalt@capulet.lit", NURSE, JULIET, "paris@verona.lit"]);
}

#[test]
fn message_brings_an_archived_conversation_back_unless_it_is_muted() {
    let mut world = World::online();
    world.gets(&says(JULIET, 1, "one"));
    world.gets(&says(NURSE, 2, "two"));
    for who in [JULIET, NURSE] {
        world.sets(who, Setting::Archived(true));
    }
    world.sets(NURSE, Setting::Muted(Some(Mute::ForEver)));
    world.gets(&says(JULIET, 3, "three"));
    world.gets(&says(NURSE, 4, "four"));
    assert!(!world.conversation(JULIET).archived);
    assert!(world.conversation(NURSE).archived);
    assert_eq!(world.conversation(NURSE).unread, 2, "it is counted all the same");
    // So does what we write ourselves; what is fetched from long ago does not.
    world.sets(JULIET, Setting::Archived(true));
    world.says("five");
    assert!(!world.conversation(JULIET).archived);
}

#[test]
fn muted_conversation_is_not_notified_of_until_its_time_is_over() {
    let mut world = World::online();
    let until = world.now.wall + 3_600_000;
    world.sets(JULIET, Setting::Muted(Some(Mute::Until(until))));
    world.gets(&says(JULIET, 1, "one"));
    world.gets(&says(NURSE, 2, "two"));
    assert_eq!(world.notifies(), ["two"]);
    assert_eq!(world.conversation(JULIET).muted, Some(Mute::Until(until)));
    world.kill();
    world.reconnect(Resume::Accept);
    world.pass(3_600_000);
    assert_eq!(world.conversation(JULIET).muted, None, "the list changes by itself");
    world.reconnect(Resume::Accept);
    world.gets(&says(JULIET, 3, "three"));
    assert_eq!(world.notifies(), ["three"]);
    world.sets(JULIET, Setting::Muted(Some(Mute::ForEver)));
    world.gets(&says(JULIET, 4, "four"));
    assert_eq!(world.notifies(), Vec::<String>::new());
    world.sets(JULIET, Setting::Muted(None));
    world.gets(&says(JULIET, 5, "five"));
    assert_eq!(world.notifies(), ["five"]);
    // A time that is over mutes nothing.
    let past = world.now.wall;
    world.sets(JULIET, Setting::Muted(Some(Mute::Until(past))));
    assert_eq!(world.conversation(JULIET).muted, None);
}

#[test]
fn notified_of_as_the_user_wants_of_each_conversation() {
    let mut world = World::online();
    world.sets(JULIET, Setting::Notify(Notify::OnMention));
    world.sets(NURSE, Setting::Notify(Notify::Never));
    let mention = |whom: &str| {
        format!(
            "<body>Look!</body><reference xmlns='urn:xmpp:reference:0' type='mention' begin='0' end='5' uri='xmpp:{whom}'/>"
        )
    };
    world.gets(&says(JULIET, 1, "one"));
    world.gets(&from(JULIET, 2, &mention(NURSE)));
    world.gets(&from(NURSE, 3, &mention(OWN)));
    assert_eq!(world.notifies(), Vec::<String>::new());
    world.gets(&from(JULIET, 4, &mention(OWN)));
    assert_eq!(world.notifies(), ["Look!"]);
    world.kill();
    let settings = [JULIET, NURSE].map(|who| world.conversation(who).notify);
    assert_eq!(settings, [Notify::OnMention, Notify::Never]);
}

#[test]
fn one_is_mentioned_by_name_and_by_an_answer() {
    let mut world = World::with_nodes();
    let mine = world.says("But soft");
    world.sets(JULIET, Setting::Notify(Notify::OnMention));
    world.sets(NURSE, Setting::Notify(Notify::OnMention));
    let reply = |id: &str| format!("<body>a</body><reply xmlns='urn:xmpp:reply:0' id='{id}' to='{OWN}'/>");
    world.gets(&from(JULIET, 1, &reply(&mine.0)));
    assert_eq!(world.notifies(), ["a"]);
    // To what she has said herself, to what is not there, and to what was said to somebody else.
    world.gets(&from(JULIET, 2, &reply("m1")));
    world.gets(&from(JULIET, 3, &reply("m99")));
    world.gets(&from(NURSE, 4, &reply(&mine.0)));
    assert_eq!(world.notifies(), Vec::<String>::new());
    for (id, text) in
        ["ROMEO!", "romeos", "where is Romeo", "aromeo", "\u{2014}romeo\u{2014}"].into_iter().enumerate()
    {
        world.gets(&says(JULIET, 10 + id as u32, text));
    }
    assert_eq!(world.notifies(), ["ROMEO!", "where is Romeo", "\u{2014}romeo\u{2014}"]);
    let nick = "<item id='current'><nick xmlns='http://jabber.org/protocol/nick'>M. Montague</nick></item>";
    world.gets(&event(OWN, ns::NICK, nick));
    world.gets(&says(JULIET, 20, "romeo"));
    world.gets(&says(JULIET, 21, "o m. montague, wherefore"));
    assert_eq!(world.notifies(), ["o m. montague, wherefore"]);
}

#[test]
fn what_is_ours_blocked_archived_or_read_elsewhere_is_not_notified_of() {
    let mut world = World::with_nodes();
    world.says("ours");
    world.gets(&says(JULIET, 1, "one"));
    assert_eq!(world.notifies(), ["one"]);
    world.does(Command::Block { jid: "capulet.lit".parse().unwrap(), report: None });
    world.gets(&says(JULIET, 2, "two"));
    assert_eq!(world.notifies(), Vec::<String>::new());
    world.does(Command::Unblock { jid: "capulet.lit".parse().unwrap() });
    // Of one step, and read by then.
    let marker = format!(
        "<message xmlns='jabber:client' from='{OWN}/tablet' to='{JULIET}'><displayed xmlns='urn:xmpp:chat-markers:0' id='m3'/></message>"
    );
    world.gets_all(&[&says(JULIET, 3, "three"), &carbon(OWN, "sent", &marker), &says(JULIET, 4, "four")]);
    assert_eq!(world.notifies(), ["four"]);
    // What was written before it was archived does not bring it back.
    world.sets(JULIET, Setting::Archived(true));
    world.server.archive = archived(1..3);
    world.server.archive.iter_mut().for_each(|entry| entry.at -= 60_000);
    world.away_and_back();
    world.serve();
    assert!(world.sees().contains(&"2".to_owned()));
    assert!(world.conversation(JULIET).archived);
    assert_eq!(world.notifies(), Vec::<String>::new());
}

/// A push wakes a phone when the time is over: nobody has said so before the message comes, and a step may be repeated.
#[test]
fn first_message_after_a_mute_is_notified_of() {
    for is_repeated in [false, true] {
        let mut world = World::online();
        let until = world.now.wall + 3_600_000;
        world.sets(JULIET, Setting::Muted(Some(Mute::Until(until))));
        world.gets(&says(JULIET, 1, "one"));
        assert_eq!(world.notifies(), Vec::<String>::new());
        world.now.wall = until;
        let poison = "<message type='chat' from='paris@verona.lit/x' id='poison'/>";
        let stanzas = [says(JULIET, 2, "two"), poison.to_owned()];
        let stanzas: Vec<_> = stanzas.iter().map(String::as_str).take(1 + usize::from(is_repeated)).collect();
        world.gives(&stanzas);
        assert_eq!(world.notifies(), ["two"]);
    }
}
