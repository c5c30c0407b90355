//! How we are there, as others see it (RFC 6121 §4.7.2): decided once, said once in each session.

use super::*;
use crate::{
    api::{Presence, Show},
    presence,
};

impl World {
    fn is_there(&mut self, show: Show, text: &str) {
        let command = Command::SetPresence { show, text: Some(text.to_owned()) };
        assert_eq!(self.does(command), Some(Ok(Reply::Done)));
    }

    /// Show and status of each presence that was said and not looked at yet.
    fn presences(&mut self) -> Vec<(String, String)> {
        let said = self.all("presence");
        assert!(said.iter().all(|presence| presence.has_child("c", ns::CAPS)), "{said:?}");
        let part = |presence: &Element, name: &str| {
            presence.get_child(name, ns::JABBER_CLIENT).map(Element::text).unwrap_or_default()
        };
        said.iter().map(|presence| (part(presence, "show"), part(presence, "status"))).collect()
    }

    fn own(&self) -> Presence {
        presence::own(&self.file()).unwrap()
    }
}

fn said(show: &str, status: &str) -> Vec<(String, String)> {
    vec![(show.to_owned(), status.to_owned())]
}

#[test]
fn how_we_are_there_is_said_at_once_and_by_every_new_session() {
    let mut world = World::online();
    assert_eq!(world.own(), Presence { show: Show::Available, text: None, idle_since: None });
    world.is_there(Show::DoNotDisturb, "in a <tomb>");
    assert_eq!(world.presences(), said("dnd", "in a <tomb>"));
    world.is_there(Show::DoNotDisturb, "in a <tomb>");
    assert!(world.presences().is_empty(), "nothing has changed");
    world.acknowledge();
    world.kill();
    assert_eq!(world.own().text.as_deref(), Some("in a <tomb>"));
    world.reconnect(Resume::Accept);
    assert!(world.presences().is_empty(), "the session knows it");
    world.kill();
    world.reconnect(Resume::Refuse);
    assert_eq!(world.presences(), said("dnd", "in a <tomb>"));
    for (show, name) in
        [(Show::Chat, "chat"), (Show::Away, "away"), (Show::ExtendedAway, "xa"), (Show::Available, "")]
    {
        world.is_there(show, "");
        world.acknowledge();
        assert_eq!(world.presences(), said(name, ""));
        assert_eq!(world.own(), Presence { show, text: None, idle_since: None });
    }
}

#[test]
fn what_is_decided_offline_is_said_once_with_the_next_connection() {
    let mut world = World::new();
    world.is_there(Show::Away, "before the first");
    world.connect();
    assert_eq!(world.presences(), said("away", "before the first"));
    world.serve();
    world.acknowledge();
    for resume in [Resume::Accept, Resume::Refuse] {
        world.cut();
        world.is_there(Show::Chat, "on second thoughts");
        world.is_there(Show::ExtendedAway, &format!("{resume:?}"));
        world.reconnect(resume);
        assert_eq!(world.presences(), said("xa", &format!("{resume:?}")));
        world.serve();
        world.acknowledge();
        assert!(world.presences().is_empty());
    }
}

#[test]
fn how_we_are_there_is_sent_again_if_it_was_lost_and_not_said_twice() {
    let mut world = World::online();
    world.server.hears = false;
    world.is_there(Show::DoNotDisturb, "");
    world.kill();
    // Whoever was not told that it is done asks again.
    world.is_there(Show::DoNotDisturb, "");
    world.server.hears = true;
    world.reconnect(Resume::Accept);
    assert_eq!(world.presences(), said("dnd", ""));
    world.acknowledge();
    assert!(world.presences().is_empty());
    assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn presence_that_waits_says_what_is_decided_meanwhile_in_its_place() {
    let mut world = World::online();
    world.is_there(Show::Available, &"'".repeat(1_000));
    world.acknowledge();
    world.cut();
    world.reconnect(Resume::Refuse);
    assert!(world.presences().is_empty(), "it waits for room");
    world.is_there(Show::Away, "");
    world.acknowledge();
    let place =
        |world: &World, is: fn(&Element) -> bool| world.wrote.iter().position(is).expect("it was said");
    let presence = place(&world, |element| element.name() == "presence");
    // STREAM 17: the archive is asked behind it.
    assert!(presence < place(&world, |element| element.children().any(|child| child.is("query", ns::MAM))));
    assert_eq!(world.presences(), said("away", ""));
}

#[test]
fn text_that_is_too_long_or_has_control_characters_is_refused() {
    let mut world = World::online();
    world.is_there(Show::Away, &"é".repeat(512));
    world.presences();
    for text in [&"é".repeat(513), "two\nlines", "a bell\u{7}", "\u{85}", "\u{ffff}"] {
        let command = Command::SetPresence { show: Show::Chat, text: Some(text.to_owned()) };
        assert!(matches!(world.does(command), Some(Err(Error::InvalidInput { .. }))), "{text:?}");
    }
    assert!(world.presences().is_empty());
    assert_eq!(world.own(), Presence { show: Show::Away, text: Some("é".repeat(512)), idle_since: None });
}
