//! What was deleted here does not come back, and nothing else goes.

use super::*;
use crate::{
    api::{Delete, Setting},
    search::{Search, search},
};

const NURSE: &str = "nurse@capulet.lit";

impl World {
    pub(super) fn deletes(&mut self, what: Delete) {
        assert_eq!(self.does(Command::Delete(what)), Some(Ok(Reply::Done)));
    }

    /// So many times fifty messages.
    pub(super) fn gets_batches(&mut self, batches: u32) {
        for batch in 0..batches {
            let live: Vec<String> = (batch * 50..(batch + 1) * 50).map(live).collect();
            self.gets_all(&live.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    pub(super) fn deletes_text(&mut self, text: &str) {
        let id = self.items().into_iter().find(|(_, shown)| shown == text).expect("it is shown").0;
        self.deletes(Delete::Message { id });
    }

    fn items(&self) -> Vec<(ItemId, String)> {
        let file = self.file();
        let start = timeline::start(&file, &juliet(), 1_000).unwrap();
        let items = timeline::window(&file, &juliet(), start, 0).unwrap().into_iter();
        items
            .filter_map(|item| match item {
                Item::Message(message) => Some((message.id, message.text)),
                Item::Gap(_) => None,
            })
            .collect()
    }

    fn finds(&self, text: &str) -> usize {
        let wanted = Search { text: text.into(), ..Search::default() };
        search(&self.file(), &wanted, None, 50).unwrap().hits.len()
    }

    /// Whom conversations are with, what they show, and how many were not read.
    fn list(&self) -> Vec<(String, String, u64)> {
        let all = timeline::conversations(&self.file()).unwrap().into_iter();
        all.map(|one| (one.with.to_string(), one.last.unwrap().text, one.unread)).collect()
    }
}

#[test]
fn deleted_conversation_stays_away_though_an_older_page_was_cut_off() {
    let mut world = World::new();
    world.server.archive = archived(0..120);
    world.connect();
    world.serve();
    world.acknowledge();
    world.does(Command::Older);
    let query = world.next_query();
    let page = world.server.answers(&query);
    world.gets_all(&page[..20].iter().map(String::as_str).collect::<Vec<_>>());
    world.away_and_back();
    world.does(Command::Older);
    world.serve();
    world.deletes(Delete::Conversation { with: juliet() });
    assert_eq!(world.items(), []);
    for _ in 0..3 {
        world.does(Command::Older);
        world.serve();
        assert_eq!(world.items(), []);
    }
}

#[test]
fn deleted_message_is_gone_everywhere_and_nothing_brings_it_back() {
    let mut world = World::online();
    world.server.archive = archived(1..4);
    world.gets_all(&[&live(1), &live(2), &live(3)]);
    world.deletes_text("3");
    world.deletes_text("2");
    assert_eq!(world.list(), [(JULIET.into(), "1".into(), 1)]);
    assert_eq!((world.finds("1"), world.finds("2")), (1, 0));
    match world.does(Command::News) {
        Some(Ok(Reply::News(news))) => assert_eq!((news.notify.len(), news.unread), (1, 1)),
        other => panic!("{other:?}"),
    }
    world.kill();
    // The archive has forgotten what was newest: all of it is read again, by time.
    world.server.archive.remove(2);
    world.connect();
    world.serve();
    world.gets(&live(2));
    world.gets(&carbon(OWN, "received", &live(3)));
    assert_eq!(world.items().len(), 1, "{:?}", world.sees());
    world.gets(&live(4));
    assert_eq!(world.list(), [(JULIET.into(), "4".into(), 2)]);
    let nothing_left =
        "SELECT count(*) FROM message WHERE kind = 5 AND (body IN ('2', '3') OR sender LIKE '%/%')";
    assert_eq!(world.count(nothing_left), 0);
}

#[test]
fn message_that_was_deleted_twice_or_never_was_is_not_found() {
    let mut world = World::online();
    world.gets(&live(1));
    let (id, _) = world.items().remove(0);
    let delete = Delete::Message { id };
    world.deletes(delete.clone());
    assert_eq!(world.does(Command::Delete(delete)), Some(Err(Error::NotFound)));
}

#[test]
fn contact_that_gives_two_messages_one_id_has_only_the_deleted_one_gone() {
    let mut world = World::online();
    let kept = |text: &str| {
        from_juliet(
            "id='again'",
            &format!(
                "<body>{text}</body><delay xmlns='urn:xmpp:delay' from='montague.lit' stamp='{}'/>",
                stamp::format(START)
            ),
        )
    };
    world.gets(&from_juliet("id='again'", "<body>one</body>"));
    world.deletes_text("one");
    world.gets(&kept("one"));
    assert_eq!(world.sees(), [""; 0]);
    world.gets(&kept("two"));
    assert_eq!(world.sees(), ["two"]);
}

#[test]
fn what_was_deleted_before_it_was_sent_is_not_sent_and_what_was_under_way_is() {
    let mut world = World::online();
    world.says("under way");
    world.deletes_text("under way");
    assert_eq!(world.count("SELECT count(*) FROM outbox"), 1);
    world.cut();
    world.says("never");
    world.deletes_text("never");
    world.says("later");
    world.reconnect(Resume::Refuse);
    world.serve();
    let sent: Vec<String> = world.all("message").iter().filter_map(body).collect();
    assert!(sent.contains(&"later".to_owned()) && !sent.contains(&"never".to_owned()), "{sent:?}");
    world.acknowledge();
    assert_eq!(world.sees(), ["> later"]);
}

#[test]
fn retraction_that_waits_goes_out_whatever_is_deleted_here() {
    for all in [true, false] {
        let mut world = World::online();
        let id = world.says("taken back");
        world.acknowledge();
        world.cut();
        world.does(Command::Retract { id: ItemId::new(), message: id.clone() });
        world.says("never");
        world.deletes(if all {
            Delete::Conversation { with: juliet() }
        } else {
            Delete::Message { id: id.clone() }
        });
        world.wrote.clear();
        world.reconnect(Resume::Accept);
        let sent = world.all("message");
        assert!(sent[0].children().any(|child| child.has_ns(ns::RETRACT)), "{sent:?}");
        assert_eq!((sent.len(), world.items().len()), if all { (1, 0) } else { (2, 1) });
    }
}

#[test]
fn pinned_conversation_that_was_deleted_is_pinned_nowhere() {
    let mut world = World::with_nodes();
    world.gets(&live(1));
    world.does(Command::Set { with: juliet(), setting: Setting::Pinned(true) });
    world.serve();
    world.acknowledge();
    world.pass(6_000);
    world.deletes(Delete::Conversation { with: juliet() });
    let told = world.all("iq").iter().map(String::from).find(|iq| iq.contains(ns::SETTINGS)).unwrap();
    assert!(!told.contains("pinned"), "{told}");
    assert!(world.list().is_empty());
}

#[test]
fn message_about_which_very_much_was_said_is_deleted_a_batch_in_each_step_whoever_goes_on() {
    let mut world = World::online();
    world.gets_all(&[&live(1), &live(2)]);
    for batch in 0..24 {
        let reactions = (batch * 50..(batch + 1) * 50).map(|number| {
            format!("<message type='chat' from='{JULIET}/balcony' to='{OWN}' id='r{number}'><reactions xmlns='urn:xmpp:reactions:0' id='j1'><reaction>\u{1f44d}</reaction></reactions><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='b{number}'/></message>")
        });
        let reactions: Vec<String> = reactions.collect();
        world.gets_all(&reactions.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let left = "SELECT count(*) FROM message WHERE kind = 4";
    assert_eq!(world.count(left), 1_200);
    world.deletes_text("1");
    assert_eq!(world.sees(), ["2"]);
    assert!((1..1_200).contains(&world.count(left)), "some of it");
    world.kill();
    world.reconnect(Resume::Accept);
    world.pass(1_000);
    assert_eq!((world.count(left), world.count("SELECT count(*) FROM deletion")), (0, 0));
    assert_eq!(world.sees(), ["2"]);
}

#[test]
fn long_conversation_is_deleted_a_batch_in_each_step_whoever_goes_on() {
    let mut world = World::online();
    world.gets_batches(24);
    let left = |world: &World| world.count("SELECT count(*) FROM message WHERE kind <> 5");
    let before = left(&world);
    world.does(Command::Delete(Delete::Conversation { with: juliet() }));
    assert!((1..before).contains(&left(&world)), "some of it");
    // What comes meanwhile is not of it.
    world.kill();
    world.reconnect(Resume::Accept);
    world.gets(&live(5_000));
    for _ in 0..3 {
        let some = left(&world);
        world.pass(1);
        assert!(some - left(&world) <= 500);
    }
    assert_eq!(world.items().iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["5000"]);
    // Older than that, but for one.
    world.pass(5_000);
    world.gets(&live(5_001));
    world.deletes(Delete::Before { at: world.now.wall - 1_000 });
    assert_eq!(world.items().iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["5001"]);
    assert_eq!(world.count("SELECT count(*) FROM deletion"), 0);
}

#[test]
fn what_comes_while_a_deletion_waits_for_another_one_stays() {
    let mut world = World::online();
    world.gets_batches(60);
    let hello = |id: &str| {
        format!("<message type='chat' from='{NURSE}/x' to='{OWN}' id='{id}'><body>{id}</body></message>")
    };
    world.gets(&hello("before"));
    world.deletes(Delete::Conversation { with: juliet() });
    world.does(Command::Delete(Delete::Conversation { with: NURSE.parse().unwrap() }));
    assert_eq!(world.count("SELECT count(*) FROM deletion"), 2, "the second one waits");
    world.gets(&hello("after"));
    for _ in 0..4 {
        world.pass(1);
    }
    assert_eq!(world.count("SELECT count(*) FROM deletion"), 0);
    assert_eq!(world.list(), [(NURSE.to_owned(), "after".to_owned(), 1)]);
}

#[test]
fn deleted_conversation_stays_deleted_when_the_archive_before_it_is_read_and_goes_on_with_what_comes() {
    let mut world = World::new();
    world.server.archive = archived(0..120);
    world.connect();
    world.serve();
    world.acknowledge();
    world.gets(&says_hello(NURSE));
    assert_eq!(world.items().len(), 50);
    world.deletes(Delete::Conversation { with: juliet() });
    assert_eq!(world.list(), [(NURSE.into(), "hello".into(), 1)]);
    for _ in 0..3 {
        world.does(Command::Older);
        world.serve();
    }
    assert_eq!(world.count("SELECT count(*) FROM gap"), 0, "all of it was read");
    assert_eq!(world.items(), []);
    world.gets(&live(500));
    assert_eq!(world.list()[0], (JULIET.into(), "500".into(), 1));
    world.does(Command::MarkRead { with: juliet() });
    assert_eq!(world.list()[0].2, 0);
}

/// It stood for a message that was not here, and that turns out to be of what was deleted.
#[test]
fn correction_that_stood_alone_goes_when_the_archive_brings_what_was_deleted() {
    let mut world = World::new();
    world.server.archive = archived(0..120);
    world.connect();
    world.serve();
    world.acknowledge();
    world.deletes(Delete::Conversation { with: juliet() });
    let correction = "<body>corrected</body><replace xmlns='urn:xmpp:message-correct:0' id='j10'/>";
    world.gets(&from_juliet("id='late'", correction));
    assert_eq!(world.items().len(), 1);
    for _ in 0..3 {
        world.does(Command::Older);
        world.serve();
    }
    assert_eq!(world.items(), []);
}

#[test]
fn everything_before_a_time_goes_in_all_conversations_and_the_index_follows() {
    let mut world = World::online();
    for number in 0..150 {
        world.gets(&live(number));
        world.gets(&says_hello(NURSE));
    }
    world.pass(1);
    let indexed = world.count("SELECT count(*) FROM indexed");
    assert!(indexed > 200, "{indexed}");
    world.pass(10_000);
    let now = world.now.wall;
    world.gets(&live(500));
    world.deletes(Delete::Before { at: now });
    assert_eq!(world.list(), [(JULIET.into(), "500".into(), 1)]);
    assert_eq!((world.finds("hello"), world.finds("500")), (0, 1));
    world.pass(1);
    assert_eq!(world.count("SELECT count(*) FROM indexed"), 1, "what is left, which goes along");
    assert_eq!(world.count("SELECT count(*) FROM unindexed"), 0);
    assert_eq!((world.finds("hello"), world.finds("500")), (0, 1));
}

#[test]
fn what_is_said_about_a_message_goes_with_it_whenever_it_was_said() {
    let mut world = World::online();
    let corrected = "<body>one</body><replace xmlns='urn:xmpp:message-correct:0' id='j1'/>";
    let thumbs_up = || from_juliet("id='j4'", &super::amendments::reactions("j2", &["👍"]));
    world.gets(&live(1));
    world.pass(10_000);
    let between = world.now.wall;
    world.pass(10_000);
    world.gets(&live(2));
    world.gets(&from_juliet("id='j3'", corrected));
    // The clock is set back.
    world.now.wall = between - 5_000;
    world.gets(&thumbs_up());
    world.deletes(Delete::Before { at: between });
    let shown = world.items();
    assert_eq!(shown.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["2"]);
    assert_eq!(world.count("SELECT count(*) FROM message WHERE kind = 2"), 0, "the correction");
    assert_eq!(world.count("SELECT count(*) FROM message WHERE kind = 4"), 1, "the reaction");
}

fn says_hello(who: &str) -> String {
    format!("<message type='chat' from='{who}/balcony' to='{OWN}'><body>hello</body></message>")
}
