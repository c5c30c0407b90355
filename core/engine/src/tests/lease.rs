//! Two processes over one file, step by step (DESIGN, "The lease"). With real processes, stopped and killed at any statement:
//! `tests/two-processes`.

use super::*;
use crate::lease::{Answer, Claim, answer};

impl World {
    /// Another process opens the file.
    fn other(&self) -> Connection {
        store::open(&self.path(), &secret()).unwrap()
    }

    /// The other process goes on from here.
    fn hands_over_to(&mut self, other: Engine) {
        self.engine = Some(other);
        self.wanted = false;
        self.link = None;
        self.hung_up = false;
    }
}

fn claim(world: &World, claim: Claim) -> crate::Result<Engine> {
    Engine::take(world.other(), config(), claim, |_| Ok(()))
}

#[test]
fn extension_takes_at_once_what_was_released_and_resumes_the_session() {
    let mut world = World::online();
    world.gets(&live(1));
    world.does(Command::Suspend { seen: true });
    let request = Engine::ask(&mut world.other()).unwrap();
    assert!(!request.is_held());
    let extension = claim(&world, Claim::Extension(request)).unwrap();
    world.hands_over_to(extension);
    world.reconnect(Resume::Accept);
    world.gets(&live(2));
    assert_eq!(world.sees(), ["1", "2"]);
}

#[test]
fn holder_that_lives_answers_with_its_next_step_and_keeps_the_lease() {
    let mut world = World::online();
    let other = &mut world.other();
    let request = Engine::ask(other).unwrap();
    assert!(request.is_held());
    assert_eq!(answer(other, &request).unwrap(), Answer::None);
    world.turn(vec![Input::Tick]);
    assert_eq!(answer(other, &request).unwrap(), Answer::Refused);
    assert!(matches!(claim(&world, Claim::Extension(request)), Err(crate::Error::LeaseHeld)));
    // It was left alone.
    world.gets(&live(1));
    assert_eq!(world.sees(), ["1"]);
    assert!(!world.hung_up);
}

#[test]
fn app_that_was_started_while_an_extension_waited_is_left_alone() {
    let mut world = World::online();
    let request = Engine::ask(&mut world.other()).unwrap();
    let app = Engine::load(world.other(), config()).unwrap();
    assert_eq!(answer(&world.other(), &request).unwrap(), Answer::Refused);
    assert!(matches!(claim(&world, Claim::Extension(request)), Err(crate::Error::LeaseHeld)));
    world.hands_over_to(app);
    world.reconnect(Resume::Accept);
    world.gets(&live(1));
    assert_eq!(world.sees(), ["1"]);
}

#[test]
fn of_two_extensions_that_wait_for_one_stopped_app_one_gets_it() {
    let world = World::online();
    let requests = [Engine::ask(&mut world.other()).unwrap(), Engine::ask(&mut world.other()).unwrap()];
    let mut first = claim(&world, Claim::Extension(requests[1])).unwrap();
    assert!(matches!(claim(&world, Claim::Extension(requests[0])), Err(crate::Error::LeaseHeld)));
    first.turn(vec![Input::Tick], world.now, &mut StdRng::seed_from_u64(0));
    assert!(!first.lost_lease());
}

#[test]
fn request_that_was_not_granted_leaves_no_trace_of_what_it_would_have_prepared() {
    let mut world = World::online();
    let request = Engine::ask(&mut world.other()).unwrap();
    world.turn(vec![Input::Tick]);
    let taken = Engine::take(world.other(), config(), Claim::Extension(request), |tx| {
        tx.execute("UPDATE account SET resource = 'extension'", [])?;
        Ok(())
    });
    assert!(taken.is_err());
    assert_eq!(world.count("SELECT count(*) FROM account WHERE resource = 'phone'"), 1);
}

mod hostile {
    use super::*;

    #[test]
    fn two_processes() {
        let mut world = World::online();
        let request = Engine::ask(&mut world.other()).unwrap();
        // It is stopped, and does not answer.
        let extension = claim(&world, Claim::Extension(request)).unwrap();
        let file = world.file();
        let changes = || -> i64 { file.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap() };
        let before = changes();
        world.gets(&live(1));
        // The old holder notices before it writes, drops its socket, and says so.
        assert!(world.hung_up);
        assert!(world.engine.as_ref().unwrap().lost_lease());
        assert!(matches!(world.status, Some(Status::Offline { reason: Some(Error::InUse), .. })));
        assert_eq!(world.sees(), texts(&[]));
        assert_eq!(changes(), before);
        let reply = world.does(Command::Connect);
        assert_eq!(reply, Some(Err(Error::InUse)));
        assert_eq!(world.engine.as_ref().unwrap().next_wake(), None);
        // The newcomer goes on in the same session.
        world.hands_over_to(extension);
        world.reconnect(Resume::Accept);
        world.gets(&live(1));
        assert_eq!(world.sees(), ["1"]);
    }
}
