//! A file that was put back or carried away (DESIGN, "A copy is not the original"): its session is not gone on with.

use uuid::Uuid;

use super::*;
use crate::{
    api::{Outgoing, Push},
    lease::Claim,
    store::Installation,
};

impl World {
    /// The process is started anew, on a device that knows this of the file.
    fn starts(&mut self, known: Option<Installation>) -> Installation {
        if let Some(engine) = self.engine.take() {
            engine.close().unwrap();
        }
        let connection = store::open(&self.path(), &secret()).unwrap();
        let fresh = Uuid::from_u128(known.map_or(0, |known| known.openings.into()));
        let mut installed = None;
        let engine = Engine::take(connection, config(), Claim::App, |tx| {
            installed = Some(store::count_opening(tx, known, fresh)?);
            Ok(())
        });
        self.engine = Some(engine.unwrap());
        (self.link, self.wanted) = (None, false);
        self.wrote.clear();
        installed.unwrap()
    }
}

/// How many times it asked to resume, and what is seen in the end.
fn goes_on(world: &mut World, known: Option<Installation>) -> i64 {
    world.starts(known);
    let has_session = world.count("SELECT count(*) FROM session WHERE sm IS NOT NULL");
    world.reconnect(Resume::Accept);
    // What was missed is a gap before anything of ours leaves.
    assert_eq!(world.count("SELECT count(*) FROM gap WHERE kind = 0"), 1 - has_session);
    has_session
}

#[test]
fn copy_of_a_file_binds_anew_and_fetches_what_it_has_missed() {
    let mut world = World::online();
    let old = world.starts(None);
    world.reconnect(Resume::Accept);
    world.serve();
    world.gets(&live(0));
    let known = world.starts(Some(old));
    world.engine.take().unwrap().close().unwrap();
    let backup = std::fs::read(world.path()).unwrap();
    let known = world.starts(Some(known));
    world.reconnect(Resume::Accept);
    world.gets_all(&[&live(1), &live(2)]);
    world.server.archive = archived(0..3);
    assert_eq!(goes_on(&mut world, Some(known)), 1, "the original");
    world.engine.take().unwrap().close().unwrap();
    std::fs::write(world.path(), backup).unwrap();
    let known = Installation { openings: known.openings + 1, ..known };
    assert_eq!(goes_on(&mut world, Some(known)), 0, "a copy");
    assert_eq!(world.count("SELECT count(*) FROM login WHERE token IS NULL"), 1);
    let agent = known.id.to_string();
    assert_eq!(world.count(&format!("SELECT count(*) FROM account WHERE user_agent_id = '{agent}'")), 0);
    world.serve();
    assert_eq!(world.sees(), ["0", "1", "2"]);
    assert_eq!(world.count("SELECT count(*) FROM gap WHERE kind = 0"), 0);
}

#[test]
fn copy_of_a_file_does_not_send_what_the_original_has_sent_since() {
    for covered in [false, true] {
        let mut world = World::online();
        if covered {
            world.gets(&live(1));
            world.server.archive = archived(1..2);
        }
        let known = world.starts(None);
        let one = world.says("one");
        let late = ItemId("00000000-0000-4000-8000-000000000099".into());
        let what = Outgoing { not_after: Some(world.now.wall + 1_000), ..Outgoing::from("two") };
        world.does(Command::Send { id: late.clone(), to: juliet(), what });
        world.engine.take().unwrap().close().unwrap();
        let backup = std::fs::read(world.path()).unwrap();
        let known = world.starts(Some(known));
        world.reconnect(Resume::Refuse);
        world.serve();
        assert_eq!(world.sent_texts(), ["one", "two"]);
        world.server.archive.push(own_entry(&one, "one", "a2", world.now.wall));
        world.server.archive.push(own_entry(&late, "two", "a3", world.now.wall));
        world.engine.take().unwrap().close().unwrap();
        std::fs::write(world.path(), backup).unwrap();
        world.starts(Some(Installation { openings: known.openings + 1, ..known }));
        let three = world.says("three");
        world.pass(60_000);
        world.reconnect(Resume::Refuse);
        world.serve();
        assert_eq!(world.sent_texts(), ["three"]);
        world.acknowledge();
        for id in [&one, &late, &three] {
            assert_eq!(world.state(id), SendState::Sent);
        }
        assert!(
            !world
                .events
                .iter()
                .any(|event| matches!(event, Event::State { state: SendState::Failed { .. }, .. }))
        );
    }
}

/// Its app server wakes another device, which may still be there.
#[test]
fn copy_of_a_file_says_nothing_of_the_registration_for_push_that_is_the_originals() {
    let mut world = World::new();
    world.server.push = true;
    let known = world.starts(None);
    world.connect();
    let push = |node: &str| {
        let push = Push { service: "push.capulet.lit".parse().unwrap(), node: node.into(), secret: None };
        Command::SetPush { push: Some(push) }
    };
    world.does(push("phone"));
    world.serve();
    world.starts(Some(Installation { openings: known.openings + 1, ..known }));
    world.reconnect(Resume::Refuse);
    let mut said = Vec::new();
    let mut serves = |world: &mut World| {
        while let Some(iq) = world.serve_one() {
            said.extend(iq.children().filter(|child| child.has_ns(ns::PUSH)).map(String::from));
        }
    };
    serves(&mut world);
    world.does(push("tablet"));
    serves(&mut world);
    assert!(said.len() == 1 && said[0].contains("tablet"), "{said:?}");
}
