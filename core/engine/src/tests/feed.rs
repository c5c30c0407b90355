//! Feeds (XEP-0277): read, kept, published, taken back.

use super::{
    pubsub::{event, path},
    *,
};
use crate::{
    api::{FeedAction, Post},
    feed,
};

fn entry(title: &str, published: &str) -> String {
    format!(
        "<entry xmlns='http://www.w3.org/2005/Atom'><title>{title}</title><id>tag:{title}</id><published>{published}</published><updated>{published}</updated></entry>"
    )
}

fn item(id: &str, title: &str, published: &str) -> String {
    format!("<item id='{id}'>{}</item>", entry(title, published))
}

fn items(items: &str) -> String {
    format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{}'>{items}</items></pubsub>",
        ns::MICROBLOG
    )
}

fn following() -> World {
    let mut world = World::with_nodes();
    assert_eq!(world.does(Command::Follow { node: ns::MICROBLOG.into(), on: true }), Some(Ok(Reply::Done)));
    world.acknowledge();
    world.wrote.clear();
    world
}

impl World {
    fn titles(&self, of: &str) -> Vec<String> {
        let entries = feed::entries(&self.file(), &of.parse().unwrap(), None, 1_000).unwrap().unwrap();
        entries.into_iter().map(|entry| entry.entry.title).collect()
    }

    fn with_feed(&mut self, of: &str, action: FeedAction) -> RequestId {
        self.does(Command::Feed { of: of.parse().unwrap(), action });
        RequestId(self.request)
    }

    fn feeds_told(&mut self) -> usize {
        let events = std::mem::take(&mut self.events);
        events.iter().filter(|event| matches!(event, Event::Feed { .. })).count()
    }
}

#[test]
fn what_is_told_is_kept_once_and_read_offline_the_newest_first() {
    let mut world = following();
    world.gets(&event(JULIET, ns::MICROBLOG, &item("1", "one", "2026-11-01T00:00:00Z")));
    world.gets(&event(JULIET, ns::MICROBLOG, &item("3", "three", "2026-11-03T00:00:00Z")));
    world.gets(&event(JULIET, ns::MICROBLOG, &item("2", "two", "2026-11-02T00:00:00Z")));
    assert_eq!(world.feeds_told(), 3);
    // Again it is nothing new; otherwise it takes its place.
    world.gets(&event(JULIET, ns::MICROBLOG, &item("2", "two", "2026-11-02T00:00:00Z")));
    assert_eq!(world.feeds_told(), 0);
    world.gets(&event(JULIET, ns::MICROBLOG, &item("1", "once", "2026-11-01T00:00:00Z")));
    assert_eq!(world.feeds_told(), 1);
    world.kill();
    assert_eq!(world.titles(JULIET), ["three", "two", "once"]);
    let page = |before| {
        let page = feed::entries(&world.file(), &juliet(), before, 1).unwrap();
        page.map(|page| page.into_iter().map(|entry| entry.id).collect::<Vec<_>>())
    };
    assert_eq!((page(Some("3")), page(Some("1"))), (Some(vec!["2".into()]), Some(vec![])));
    assert_eq!(page(Some("nothing")), None);

    world.connect();
    world.gets(&event(JULIET, ns::MICROBLOG, "<retract id='2'/>"));
    assert_eq!(world.titles(JULIET), ["three", "once"]);
    world.gets(&format!(
        "<message from='{JULIET}' to='{OWN}/phone.1'><event xmlns='http://jabber.org/protocol/pubsub#event'><purge node='{}'/></event></message>",
        ns::MICROBLOG
    ));
    assert!(world.titles(JULIET).is_empty());
}

#[test]
fn a_feed_is_fetched_and_what_it_has_no_more_is_gone() {
    let mut world = following();
    world.gets(&event(JULIET, ns::MICROBLOG, &item("old", "old", "2026-10-01T00:00:00Z")));
    let request = world.with_feed(JULIET, FeedAction::Refresh);
    let asked = world.answers(&items(
        &(item("1", "one", "2026-11-01T00:00:00Z")
            + &item("2", "two", "2026-11-02T00:00:00Z")
            + "<item id='x'/><item/>"),
    ));
    assert_eq!((path(&asked).as_str(), asked.attr("to")), ("get pubsub items", Some(JULIET)));
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Done)));
    assert_eq!(world.titles(JULIET), ["two", "one"]);
    // Who tells without content is asked for it, and once.
    for n in 0..20 {
        world.gets(&event(JULIET, ns::MICROBLOG, &format!("<item id='n{n}'/><item id='m{n}'/>")));
    }
    world.answers(&items(&item("n1", "new", "2026-11-03T00:00:00Z")));
    assert!(world.all("iq").is_empty());
    assert_eq!(world.titles(JULIET), ["new"]);

    let request = world.with_feed("nobody@verona.lit", FeedAction::Refresh);
    world.refuses("item-not-found");
    assert!(matches!(world.answer_to(request), Some(Err(Error::ServerRefused { .. }))));
    world.cut();
    let request = world.with_feed(JULIET, FeedAction::Refresh);
    assert_eq!(world.answer_to(request), Some(Err(Error::Offline)));
}

#[test]
fn feed_that_was_deleted_is_gone_and_one_that_we_may_not_read_is_not() {
    for (condition, left) in [("forbidden", 1), ("item-not-found", 0)] {
        let mut world = following();
        for of in [JULIET, OWN] {
            world.gets(&event(of, ns::MICROBLOG, &item("1", "one", "2026-11-01T00:00:00Z")));
        }
        assert_eq!(world.feeds_told(), 2);
        let request = world.with_feed(JULIET, FeedAction::Refresh);
        world.refuses(condition);
        assert!(matches!(world.answer_to(request), Some(Err(Error::ServerRefused { .. }))));
        assert_eq!((world.titles(JULIET).len(), world.titles(OWN).len()), (left, 1), "{condition}");
        assert_eq!(world.feeds_told(), 1 - left);
        // So is an entry of ours that another device has taken back.
        let request = world.with_feed(OWN, FeedAction::Retract { id: "1".into() });
        world.refuses(condition);
        assert_eq!((world.titles(OWN).len(), world.feeds_told()), (left, 1 - left), "{condition}");
        assert_eq!(world.answer_to(request) == Some(Ok(Reply::Done)), left == 0, "{condition}");
    }
}

#[test]
fn entry_that_was_taken_back_of_a_long_feed_is_gone() {
    let mut world = following();
    let page = |numbers: std::ops::Range<u32>| -> String {
        numbers.map(|n| item(&n.to_string(), &n.to_string(), "2026-10-01T00:00:00Z")).collect()
    };
    world.gets(&event(JULIET, ns::MICROBLOG, &item("gone", "gone", "2026-11-01T00:00:00Z")));
    // Of more than the server says at once nobody knows what was taken back.
    let set = "<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>0</first><last>29</last><count>200</count></set>";
    world.with_feed(JULIET, FeedAction::Refresh);
    world.answers(&items(&page(0..30)).replace("</pubsub>", &format!("{set}</pubsub>")));
    assert_eq!(world.titles(JULIET).len(), 31);
    world.with_feed(JULIET, FeedAction::Refresh);
    let asked = world.answers(&items(&page(0..100)).replace("</pubsub>", &format!("{set}</pubsub>")));
    let asked = asked.get_child("pubsub", ns::PUBSUB).unwrap().children().next().unwrap();
    assert_eq!(asked.attr("max_items"), Some("100"));
    let titles = world.titles(JULIET);
    assert!(titles.len() == 100 && !titles.contains(&"gone".to_owned()));
}

#[test]
fn our_own_is_published_and_taken_back() {
    let mut world = following();
    let id = ItemId("00000000-0000-4000-8000-000000000001".into());
    let post = Post { text: Some("What light?".into()), ..Post::from("But soft") };
    let request = world.with_feed(OWN, FeedAction::Publish { id: id.clone(), post });
    let published = world.answers("");
    assert_eq!((path(&published).as_str(), published.attr("to")), ("set pubsub publish item entry id", None));
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Published { id: id.0.clone() })));
    let entries = feed::entries(&world.file(), &OWN.parse().unwrap(), None, 10).unwrap().unwrap();
    let entry = &entries[0].entry;
    assert_eq!((entry.title.as_str(), entry.text.as_deref()), ("But soft", Some("What light?")));
    assert_eq!(
        (entry.author.as_deref(), entry.author_uri.as_deref()),
        (Some("romeo"), Some("xmpp:romeo@montague.lit"))
    );
    assert_eq!((entries[0].id.as_str(), entry.published), (id.0.as_str(), Some(START)));
    assert_eq!(world.feeds_told(), 1);

    let request = world.with_feed(OWN, FeedAction::Retract { id: id.0.clone() });
    assert_eq!(path(&world.answers("")), "set pubsub retract item");
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Done)));
    assert!(world.titles(OWN).is_empty());

    // What was refused is not there.
    let request = world.with_feed(OWN, FeedAction::Publish { id: id.clone(), post: "x".into() });
    world.refuses("forbidden");
    assert!(matches!(world.answer_to(request), Some(Err(Error::ServerRefused { .. }))));
    assert!(world.titles(OWN).is_empty());
    for (id, title) in [("no-uuid", "t"), (id.0.as_str(), " ")] {
        let publish = FeedAction::Publish { id: ItemId(id.into()), post: title.into() };
        let request = world.with_feed(OWN, publish);
        assert!(matches!(world.answer_to(request), Some(Err(Error::InvalidInput { .. }))), "{id} {title}");
    }
}

mod hostile {
    use super::*;

    #[test]
    fn forged_pep_in_a_feed() {
        let mut world = following();
        for from in ["stranger@verona.lit", "juliet@capulet.lit/balcony", "capulet.lit"] {
            world.gets(&event(from, ns::MICROBLOG, &item("1", "lie", "2026-11-01T00:00:00Z")));
        }
        assert_eq!(world.count("SELECT count(*) FROM feed_entry"), 0);
        world.gets(&event(JULIET, ns::MICROBLOG, &item("1", "true", "2026-11-01T00:00:00Z")));
        world.gets(&event("stranger@verona.lit", ns::MICROBLOG, "<retract id='1'/>"));
        assert_eq!(world.titles(JULIET), ["true"]);
        // And nothing is kept of feeds that nobody follows.
        world.does(Command::Follow { node: ns::MICROBLOG.into(), on: false });
        world.gets(&event(JULIET, ns::MICROBLOG, &item("2", "more", "2026-11-02T00:00:00Z")));
        assert_eq!(world.titles(JULIET), ["true"]);
    }

    #[test]
    fn text_bomb_in_a_feed() {
        let mut world = following();
        // Many, large, from the future, with ids without end: the newest hundred are kept, and nothing stands above now.
        let text = "x".repeat(900_000);
        for n in 0..150 {
            world.gets(&event(
                JULIET,
                ns::MICROBLOG,
                &item(&format!("{n}"), &n.to_string(), "9999-12-31T00:00:00Z"),
            ));
        }
        world.gets(&event(JULIET, ns::MICROBLOG, &item(&"i".repeat(5_000), "long", "2026-11-01T00:00:00Z")));
        world.gets(&event(
            JULIET,
            ns::MICROBLOG,
            &format!("<item id='large'><entry xmlns='http://www.w3.org/2005/Atom'><title>t</title><content>{text}</content></entry></item>"),
        ));
        assert_eq!(world.titles(JULIET).len(), 100);
        assert_eq!(world.titles(JULIET)[..2], ["t", "149"]);
        let (latest, size) = (
            world.count("SELECT max(at) FROM feed_entry"),
            world.count("SELECT max(length(entry)) FROM feed_entry"),
        );
        assert!(latest <= world.now.wall && size < 70_000, "{latest} {size}");
    }
}

#[test]
fn content_that_was_asked_for_in_a_session_that_is_over_is_asked_for_again() {
    let mut world = following();
    world.gets(&event(JULIET, ns::MICROBLOG, "<item id='n'/>"));
    world.cut();
    world.kill();
    world.reconnect(Resume::Refuse);
    let asked = world.all("iq").into_iter().find(|iq| iq.attr("to") == Some(JULIET)).expect("it is asked");
    assert_eq!(path(&asked), "get pubsub items");
    // Whatever ends a session whenever it is answered does so no third time.
    world.cut();
    world.reconnect(Resume::Refuse);
    assert!(!world.all("iq").iter().any(|iq| iq.attr("to") == Some(JULIET)));
}
