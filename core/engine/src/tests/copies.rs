//! A file that was put back or carried away (DESIGN, "A copy is not the original"): its session is not gone on with.

use uuid::Uuid;

use super::*;
use crate::{lease::Claim, store::Installation};

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
