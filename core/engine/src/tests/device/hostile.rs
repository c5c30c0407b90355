//! What happens to the device: its clock jumps, its disk takes nothing more, its file is damaged (DESIGN, "Storage").

use std::{
    fs::OpenOptions,
    io::{Seek as _, SeekFrom, Write as _},
};

use crate::{api::Unusable, tests::*};

impl World {
    /// The disk takes nothing from now on, or does again.
    fn read_only(&self, on: bool) {
        self.engine.as_ref().unwrap().connection().pragma_update(None, "query_only", on).unwrap();
    }

    /// The user or the network sets the clock.
    fn clock_jumps_to(&mut self, wall: i64) {
        self.now.wall = wall;
    }

    fn reason(&self) -> Option<Error> {
        match &self.status {
            Some(Status::Offline { reason, .. }) => reason.clone(),
            other => panic!("{other:?}"),
        }
    }
}

const MIDNIGHT_1970: i64 = 0;
const YEAR_2106: i64 = 4_294_967_295_000;
const YEAR_9999: i64 = 253_402_300_799_000;

#[test]
fn read_only() {
    let mut world = World::online();
    let id = world.says("one");
    world.gets(&live(1));
    let handled = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    world.read_only(true);
    world.wrote.clear();
    world.gets_all(&[&live(2), "<r xmlns='urn:xmpp:sm:3'/>"]);
    assert_eq!(world.reason(), Some(Error::DatabaseUnusable { why: Unusable::ReadOnly }));
    assert!(world.hung_up && world.wrote.is_empty(), "nothing is acknowledged that is not in the file");
    let send = Command::Send { id: ItemId::new(), to: juliet(), what: "two".into() };
    let refused = Error::DatabaseUnusable { why: Unusable::ReadOnly };
    assert_eq!(world.does(send), Some(Err(refused)), "nothing is taken that cannot be kept");
    world.pass(600_000);
    assert_eq!(world.link, None);
    assert_eq!(world.count("SELECT count(*) FROM quarantine"), 0);
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), handled);
    // What is there can be read.
    assert_eq!(world.sees(), ["> one", "1"]);
    // It goes on by itself, in the same session.
    world.read_only(false);
    world.reconnect(Resume::Accept);
    world.gets(&live(2));
    world.acknowledge();
    assert_eq!(world.sees(), ["1", "> one", "2"], "ours stands where its ack came");
    assert_eq!(world.state(&id), SendState::Sent);
    assert_eq!(world.server.sessions, 1);
}

/// Noise over a part of the file.
fn damage(path: &std::path::Path, at: u64, length: usize) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&vec![0xa5; length]).unwrap();
}

/// A file with three hundred messages and no journal beside it: its path, and how many bytes it has.
fn closed() -> (World, PathBuf, u64) {
    let mut world = World::online();
    for n in 0..300 {
        world.gets(&live(n));
    }
    world.engine.take().unwrap().close().unwrap();
    let path = world.path();
    let size = path.metadata().unwrap().len();
    (world, path, size)
}

#[test]
fn database_corrupt() {
    let (mut world, path, size) = closed();
    let whole = std::fs::read(&path).unwrap();
    let mut found_out_later = 0;
    for at in (0..size).step_by(4_096) {
        for (offset, length) in [(0, 16), (1_000, 1), (4_000, 96)] {
            std::fs::write(&path, &whole).unwrap();
            damage(&path, at + offset, length);
            let damaged = std::fs::read(&path).unwrap();
            let opened = store::open(&path, &secret()).and_then(|file| Engine::load(file, config()));
            let why = match opened {
                Err(error) => error.to_api(),
                Ok(engine) => {
                    // What is not read by opening is found by using it: an error, and nothing that looks like a message.
                    found_out_later += 1;
                    world.engine = Some(engine);
                    world.link = None;
                    world.wanted = false;
                    let with = juliet();
                    let file = world.file();
                    let start = timeline::start(&file, &with, 1_000_000);
                    let read = start.and_then(|start| timeline::window(&file, &with, start, 0));
                    let reply = world.does(Command::Connect).unwrap();
                    if reply.is_ok() {
                        world.wanted = true;
                        let link = world.link.unwrap();
                        world.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
                    }
                    let sent = world.does(Command::Send {
                        id: ItemId::new(),
                        to: juliet(),
                        what: "Art thou there?".into(),
                    });
                    drop(file);
                    let quarantined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        world.count("SELECT count(*) FROM quarantine")
                    }));
                    assert!(quarantined.is_err() || quarantined.unwrap() == 0, "at {at}+{offset}");
                    world.engine.take();
                    let mut failures = read.err().map(|error| error.to_api()).into_iter().collect::<Vec<_>>();
                    failures.extend(sent.unwrap().err());
                    match failures.pop() {
                        Some(error) => error,
                        None => continue,
                    }
                }
            };
            assert!(
                matches!(&why, Error::DatabaseUnusable { why: Unusable::Corrupt | Unusable::WrongKey }),
                "{why:?} at {at}+{offset}"
            );
            assert_eq!(std::fs::metadata(&path).unwrap().len(), damaged.len() as u64, "it is left alone");
        }
    }
    assert!(found_out_later > 0);
    // The file is whole again, and everything is there.
    std::fs::write(&path, &whole).unwrap();
    world.kill();
    assert_eq!(world.sees().len(), 300);
}

#[test]
fn database_corrupt_by_its_length() {
    let (_world, path, size) = closed();
    let whole = std::fs::read(&path).unwrap();
    for length in [1, 31, 32, 100, 512, 4_095, 4_096, 4_097, size / 2, size - 4_096, size - 1] {
        std::fs::write(&path, &whole[..length as usize]).unwrap();
        let before = std::fs::read(&path).unwrap();
        let opened = store::open(&path, &secret()).and_then(|file| Engine::load(file, config()));
        match opened {
            Err(error) => assert!(
                matches!(
                    error.to_api(),
                    Error::DatabaseUnusable { why: Unusable::Corrupt | Unusable::WrongKey }
                ),
                "{error} at {length}"
            ),
            // Cut behind what opening reads.
            Ok(_) => assert!(length >= 4_096, "{length}"),
        }
        assert_eq!(std::fs::read(&path).unwrap()[..32.min(before.len())], before[..32.min(before.len())]);
    }
}

#[test]
fn clock_wrong() {
    for jump in
        [MIDNIGHT_1970, 1, START - 86_400_000, START + 40 * 86_400_000, YEAR_2106, YEAR_9999, i64::MAX / 2]
    {
        let mut world = World::online();
        world.gets(&live(1));
        let one = world.says("one");
        world.acknowledge();
        world.clock_jumps_to(jump);
        world.gets(&live(2));
        let two = world.says("two");
        world.acknowledge();
        world.gets(&live(3));
        // Nothing jumps with it: what was sent is acknowledged, the link stays.
        world.pass(5_000);
        assert!(!world.hung_up, "{jump}");
        world.serve();
        world.acknowledge();
        assert!([&one, &two].iter().all(|id| world.state(id) == SendState::Sent), "{jump}");
        // The order is the order of arrival.
        assert_eq!(world.sees(), ["1", "> one", "2", "> two", "3"], "{jump}");
        // It jumps back during the session, over a cut and over a kill.
        world.cut();
        world.clock_jumps_to(START + 60_000);
        world.reconnect(Resume::Accept);
        world.gets(&live(4));
        world.acknowledge();
        world.serve();
        world.kill();
        world.clock_jumps_to(jump);
        world.reconnect(Resume::Refuse);
        world.server.archive = archived(1..5);
        world.serve();
        world.acknowledge();
        world.serve();
        world.says("three");
        assert_eq!(world.sees(), ["1", "> one", "2", "> two", "3", "4", "> three"], "{jump}");
        assert_eq!(world.count("SELECT count(*) FROM gap"), 0, "{jump}");
    }
}

#[test]
fn clock_wrong_and_time_outs_hold() {
    for jump in [MIDNIGHT_1970, YEAR_2106] {
        // Silence is noticed by the clock that does not jump.
        let mut world = World::online();
        world.says("one");
        world.clock_jumps_to(jump);
        world.turn(vec![Input::Tick]);
        assert!(!world.hung_up, "{jump}: too early");
        world.pass(60_000);
        assert!(world.hung_up, "{jump}: never");
        // And so is the wait before the next attempt.
        let mut world = World::new();
        world.does(Command::Connect);
        let mut waited = 0;
        for _ in 0..4 {
            let link = world.link.take().unwrap();
            world.turn(vec![Input::LinkLost { link, why: LinkFailure::Network("no route".into()) }]);
            world.clock_jumps_to(if world.now.wall == jump { START } else { jump });
            let before = world.now.mono;
            while world.link.is_none() {
                world.pass(100);
                assert!(world.now.mono - before < 600_000, "it does not connect any more");
            }
            waited += world.now.mono - before;
        }
        assert!(waited >= 1_000, "a tight loop: {waited}");
    }
}

#[test]
fn clock_wrong_and_daily_checks_hold() {
    for jump in [MIDNIGHT_1970, YEAR_2106] {
        let asked = |world: &mut World| {
            let before = world.wrote.len();
            let checks =
                world.wrote.iter().filter(|e| e.children().any(|child| child.is("query", ns::MAM))).count();
            world.serve();
            world.acknowledge();
            assert!(checks <= 1, "{checks} of {before}: a jump costs one question");
            checks
        };
        let mut world = World::online();
        world.gets(&live(1));
        world.server.archive = archived(1..2);
        world.clock_jumps_to(jump);
        world.turn(vec![Input::Tick]);
        asked(&mut world);
        world.turn(vec![Input::Tick]);
        assert_eq!(asked(&mut world), 0, "{jump}: once");
        // Back again, and then a day goes by: still asked once a day, though it was checked in the future.
        world.clock_jumps_to(START);
        world.turn(vec![Input::Tick]);
        asked(&mut world);
        for day in 0..3 {
            let mut checks = 0;
            let end = world.now.mono + 86_400_000;
            while world.now.mono < end {
                let wake = world.engine.as_ref().unwrap().next_wake().unwrap_or(end).min(end);
                world.pass(wake.saturating_sub(world.now.mono).max(1));
                checks += asked(&mut world);
                world.acknowledge();
            }
            assert_eq!(checks, 1, "{jump}, day {day}");
        }
    }
}

#[test]
fn logs_leak() {
    // A mistake of ours while a message is read: what is told of it, and kept beside it, does not tell the message.
    let mut world = World::online();
    POISONED.set(true);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let poison = live(2).replace("id='j2'", "id='poison'").replace("<body>2", "<body>But soft, what light");
    world.gets_all(&[&live(1), &poison]);
    std::panic::set_hook(hook);
    POISONED.set(false);
    assert_eq!(world.count("SELECT count(*) FROM quarantine WHERE why LIKE '%poison%'"), 1);
    assert_eq!(world.count("SELECT count(*) FROM quarantine WHERE why LIKE '%soft%'"), 0);
    assert!(world.sees().iter().all(|text| !text.contains("soft")));
}
