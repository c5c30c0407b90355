//! The settings of conversations, on all devices.

use whimbrel_proto::settings::Settings;

use super::{pubsub::event, *};
use crate::api::{Conversation, Draft, Mute, Notify, Setting};

const NURSE: &str = "nurse@capulet.lit";
/// As often as our devices are told, in ms.
const PACE: u64 = 5_000;

impl World {
    fn decides(&mut self, with: &str, setting: Setting) {
        let command = Command::Set { with: with.parse().unwrap(), setting };
        assert_eq!(self.does(command), Some(Ok(Reply::Done)));
    }

    /// A conversation's line in the list.
    fn line(&self, with: &str) -> Conversation {
        let lines = timeline::lines(&self.file(), Some(&with.parse().unwrap())).unwrap();
        lines.into_iter().next().expect("a line").1
    }

    /// What our devices were told since somebody looked: about whom, and what. The server takes it.
    fn published(&mut self) -> Vec<(String, Settings)> {
        let mut all = Vec::new();
        while let Some(iq) = self.serve_one() {
            all.extend(told(&iq));
        }
        all
    }

    /// Nothing is told, though it could be.
    fn stays_silent(&mut self) {
        self.acknowledge();
        self.pass(2 * PACE);
        assert!(self.link.is_some());
        assert_eq!(self.published(), []);
    }
}

/// Whom this tells our devices about, and what.
fn told(iq: &Element) -> Option<(String, Settings)> {
    let publish = iq.get_child("pubsub", ns::PUBSUB)?.get_child("publish", ns::PUBSUB)?;
    let item = publish.children().next()?;
    Some((item.attr("id")?.to_owned(), Settings::read(item.children().next()?)?))
}

fn item(with: &str, settings: &Settings) -> String {
    format!("<item id='{with}'>{}</item>", settings.write().finish())
}

fn elsewhere(with: &str, settings: &Settings) -> String {
    event(OWN, ns::SETTINGS, &item(with, settings))
}

fn says(who: &str, id: &str) -> String {
    format!("<message type='chat' from='{who}/x' to='{OWN}' id='{id}'><body>{id}</body></message>")
}

fn pinned(at: i64) -> Settings {
    Settings { pinned: true, at: Some(at), ..Settings::default() }
}

fn archived(at: i64) -> Settings {
    Settings { archived: true, at: Some(at), ..Settings::default() }
}

#[test]
fn what_is_decided_is_told_at_once_then_every_few_seconds_and_not_twice() {
    let mut world = World::with_nodes();
    world.gets(&says(JULIET, "one"));
    world.decides(JULIET, Setting::Pinned(true));
    let at = world.now.wall + 1;
    assert_eq!(world.published(), [(JULIET.to_owned(), pinned(at))], "later than the message");
    for of in [Notify::Never, Notify::OnMention, Notify::Always, Notify::Never] {
        world.decides(JULIET, Setting::Notify(of));
    }
    world.decides(JULIET, Setting::Draft(Some(Draft { text: "But soft".into(), reply_to: None })));
    assert_eq!(world.published(), []);
    world.pass(PACE);
    let told = world.published();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].1.notify, told[0].1.pinned), (Notify::Never, true));
    // The server tells us what we said, too; and the same again is nothing new.
    world.gets(&elsewhere(JULIET, &told[0].1));
    world.decides(JULIET, Setting::Pinned(true));
    world.stays_silent();
}

#[test]
fn what_is_decided_offline_is_told_after_a_kill_once_the_node_was_asked() {
    let mut world = World::with_nodes();
    world.cut();
    world.decides(JULIET, Setting::Pinned(true));
    let at = world.now.wall;
    world.kill();
    world.reconnect(Resume::Refuse);
    // Before that, and after it.
    world.server.settings = item(JULIET, &archived(at - 60_000)) + &item(NURSE, &pinned(at + 1));
    assert!(world.wrote.iter().all(|iq| told(iq).is_none()), "the node was not asked yet");
    assert_eq!(world.published(), [(JULIET.to_owned(), pinned(at))]);
    assert_eq!((world.line(JULIET).archived, world.line(NURSE).pinned), (false, true));
    world.away_and_back();
    world.server.settings = item(JULIET, &pinned(at));
    world.serve();
    world.stays_silent();
    // It was decided here offline, and after that elsewhere.
    world.cut();
    world.decides(JULIET, Setting::Pinned(false));
    world.reconnect(Resume::Refuse);
    let later = archived(world.now.wall + 60_000);
    world.server.settings = item(JULIET, &later);
    world.serve();
    world.stays_silent();
    assert_eq!(world.count("SELECT archived FROM conversation WHERE jid = 'juliet@capulet.lit'"), 1);
    // And here again, by a clock that is behind.
    world.decides(JULIET, Setting::Pinned(true));
    world.pass(PACE);
    let told = world.published();
    assert_eq!(told[0].1.at, later.at.map(|at| at + 1));
}

#[test]
fn what_was_under_way_when_the_session_ended_is_told_again() {
    let mut world = World::with_nodes();
    world.decides(JULIET, Setting::Pinned(true));
    let at = world.now.wall;
    world.away_and_back();
    let told = world.published();
    world.pass(PACE);
    assert_eq!([told, world.published()].concat(), [(JULIET.to_owned(), pinned(at))]);
}

#[test]
fn what_is_decided_elsewhere_is_decided_here() {
    let mut world = World::with_nodes();
    world.gets(&says(JULIET, "one"));
    let until = world.now.wall + 3_600_000;
    let settings = Settings {
        pinned: true,
        notify: Notify::Never,
        muted: Some(Mute::Until(until)),
        archived: true,
        at: Some(world.now.wall + 1),
    };
    world.gets(&elsewhere(JULIET, &settings));
    let here = world.line(JULIET);
    assert_eq!((here.pinned, here.notify, here.archived), (true, Notify::Never, true));
    assert_eq!(here.muted, Some(Mute::Until(until)));
    // Nobody is told what they said.
    world.stays_silent();
    world.pass(3_600_000);
    assert_eq!(world.line(JULIET).muted, None);
}

#[test]
fn of_two_decisions_that_cross_the_later_one_stays_and_then_nothing_is_said() {
    let mut world = World::with_nodes();
    world.decides(JULIET, Setting::Pinned(true));
    let here = world.published()[0].1.clone();
    let at = here.at.unwrap();
    // Another device said it before, and the server had it after ours: it is told again what is newer.
    world.gets(&elsewhere(JULIET, &archived(at - 1_000)));
    assert!(world.line(JULIET).pinned);
    world.pass(PACE);
    assert_eq!(world.published(), [(JULIET.to_owned(), here.clone())]);
    world.gets(&elsewhere(JULIET, &here));
    // Whoever says the older one over and over is not answered each time.
    for _ in 0..100 {
        world.gets(&elsewhere(JULIET, &archived(at - 1_000)));
        world.pass(100);
    }
    world.stays_silent();
    // Of the same time is what the server has.
    world.gets(&elsewhere(JULIET, &Settings { notify: Notify::Never, ..pinned(at) }));
    assert_eq!(world.line(JULIET).notify, Notify::Never);
    // And who says no time has spoken last.
    world.gets(&elsewhere(JULIET, &Settings { pinned: true, ..Settings::default() }));
    assert_eq!(world.line(JULIET).notify, Notify::Always);
    world.stays_silent();
}

#[test]
fn archived_conversation_comes_back_by_what_was_written_later_on_every_device() {
    let mut world = World::with_nodes();
    world.server.archive = super::archived(1..4);
    let written = |n: u32| START + i64::from(n) * 1_000;
    world.away_and_back();
    // Elsewhere it was archived after the second message, which was not here yet, and before the third.
    world.server.settings = item(JULIET, &archived(written(2) + 1));
    world.server.archive.truncate(2);
    world.serve();
    assert_eq!(world.sees(), ["1", "2"]);
    assert!(world.line(JULIET).archived);
    world.away_and_back();
    world.server.archive = super::archived(1..4);
    world.serve();
    assert!(!world.line(JULIET).archived);
    // A device that has all of them hears of it again.
    world.gets(&elsewhere(JULIET, &archived(written(2) + 2)));
    assert!(!world.line(JULIET).archived);
    world.gets(&elsewhere(JULIET, &archived(written(3) + 1)));
    assert!(world.line(JULIET).archived);
    // What comes now comes after it, by whatever clock it was archived.
    world.gets(&elsewhere(JULIET, &archived(world.now.wall + 3_600_000)));
    let ahead = elsewhere(JULIET, &archived(world.now.wall + 3_600_000));
    world.gets(&says(JULIET, "four"));
    assert!(!world.line(JULIET).archived);
    // Nor is it archived again by the same word.
    world.gets(&ahead);
    assert!(!world.line(JULIET).archived);
    // Who sees the message knows it.
    world.stays_silent();
}

#[test]
fn what_came_during_a_mute_does_not_bring_it_back_once_that_is_over() {
    let mut world = World::with_nodes();
    world.gets(&says(JULIET, "one"));
    let until = world.now.wall + 3_600_000;
    world.decides(JULIET, Setting::Muted(Some(Mute::Until(until))));
    world.decides(JULIET, Setting::Archived(true));
    world.pass(PACE);
    let (_, set) = world.published().pop().expect("it is told");
    world.now.wall += 1_800_000;
    world.gets(&says(JULIET, "two"));
    assert!(world.line(JULIET).archived);
    world.now.wall = until;
    world.server.settings = item(JULIET, &set);
    world.away_and_back();
    world.serve();
    assert_eq!((world.line(JULIET).muted, world.line(JULIET).archived), (None, true));
    world.gets(&says(JULIET, "three"));
    assert!(!world.line(JULIET).archived);
    world.gets(&elsewhere(JULIET, &set));
    assert!(!world.line(JULIET).archived);
}

/// On the device that has archived it, it comes after that.
#[test]
fn what_waits_to_be_sent_brings_back_what_was_archived_elsewhere_meanwhile() {
    let mut world = World::with_nodes();
    world.cut();
    world.says("one");
    world.now.wall += 60_000;
    let set = archived(world.now.wall);
    world.server.settings = item(JULIET, &set);
    world.reconnect(Resume::Refuse);
    world.serve();
    assert!(!world.line(JULIET).archived);
    world.acknowledge();
    world.gets(&elsewhere(JULIET, &set));
    assert!(!world.line(JULIET).archived);
}

#[test]
fn that_it_is_archived_no_more_is_told_where_it_was_so_here_only() {
    let mut world = World::with_nodes();
    world.gets(&says(JULIET, "one"));
    let set = archived(world.now.wall + 1);
    world.gets(&elsewhere(JULIET, &set));
    world.cut();
    let message = world.says("two");
    assert_eq!(world.does(Command::Cancel { message }), Some(Ok(Reply::Done)));
    assert!(!world.line(JULIET).archived);
    world.decides(JULIET, Setting::Archived(false));
    world.server.settings = item(JULIET, &set);
    world.reconnect(Resume::Refuse);
    let told = world.published();
    assert_eq!(told, [(JULIET.to_owned(), Settings { at: set.at.map(|at| at + 1), ..Settings::default() })]);
}

#[test]
fn server_without_conditions_is_not_told_what_we_decide() {
    let mut world = World::online();
    world.decides(JULIET, Setting::Pinned(true));
    world.stays_silent();
}

mod hostile {
    use super::*;

    #[test]
    fn forged_settings() {
        let mut world = World::with_nodes();
        world.gets(&says(JULIET, "one"));
        let item = item(JULIET, &pinned(START * 2));
        for from in [JULIET, "romeo@montague.lit/tablet", "montague.lit", "romeo@capulet.lit", ""] {
            world.gets(&event(from, ns::SETTINGS, &item));
        }
        for item in [
            "<item id='@'/>".to_owned(),
            item.replace("urn:whimbrel", "urn:x"),
            format!("<item id='{JULIET}'/>"),
        ] {
            world.gets(&event(OWN, ns::SETTINGS, &item));
        }
        assert!(!world.line(JULIET).pinned);
        // Ten thousand at once.
        let many: String =
            (0..10_000).map(|n| super::item(&format!("n{n}@capulet.lit"), &pinned(1))).collect();
        world.gets(&event(OWN, ns::SETTINGS, &many));
        assert!(world.count("SELECT count(*) FROM conversation") <= 501);
    }
}
