//! The world fails, we are wrong (DESIGN, "The rule everything follows").

use super::*;

impl World {
    /// The disk is full: not one page more.
    fn fill_disk(&mut self) {
        let engine = self.engine.as_ref().unwrap();
        let pages: i64 =
            engine.connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        engine.connection().pragma_update(None, "max_page_count", pages).unwrap();
    }

    fn make_room(&mut self) {
        let engine = self.engine.as_ref().unwrap();
        engine.connection().pragma_update(None, "max_page_count", i64::from(u32::MAX) - 1).unwrap();
    }
}

#[test]
fn disk_full() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..200);
    for entry in &mut world.server.archive[1..] {
        entry.message = entry.message.replace("</body>", &format!(" {}</body>", "x".repeat(2_000)));
    }
    world.cut();
    world.reconnect(Resume::Refuse);
    world.fill_disk();
    let handled = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    let query = world.wrote.iter().find(|e| e.children().any(|c| c.is("query", ns::MAM))).unwrap().clone();
    let page = world.server.answers(&query);
    world.gets_all(&page.iter().map(String::as_str).collect::<Vec<_>>());
    // A clear error, nothing half done, nothing acknowledged, nothing in quarantine.
    assert!(matches!(world.status, Some(Status::Offline { reason: Some(Error::StorageFull), .. })));
    assert!(world.hung_up);
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), handled);
    assert_eq!(world.count("SELECT count(*) FROM message"), 1);
    assert_eq!(world.count("SELECT count(*) FROM quarantine"), 0);
    let reply = world.does(Command::Send {
        id: ItemId("00000000-0000-4000-8000-000000000001".into()),
        to: juliet(),
        what: "x".into(),
    });
    assert_eq!(reply, Some(Err(Error::StorageFull)));
    // It goes on by itself once there is room.
    world.make_room();
    world.reconnect(Resume::Accept);
    world.gets_all(&page.iter().map(String::as_str).collect::<Vec<_>>());
    world.serve();
    assert_eq!(world.sees().len(), 200);
    assert_eq!(world.count("SELECT count(*) FROM gap"), 0);
}

#[test]
fn connection_that_was_wanted_while_the_disk_was_full_is_made_when_there_is_room() {
    let mut world = World::online();
    world.kill();
    world.fill_disk();
    let what = "x".repeat(100_000).into();
    let reply = world.does(Command::Send {
        id: ItemId("00000000-0000-4000-8000-000000000001".into()),
        to: juliet(),
        what,
    });
    assert_eq!(reply, Some(Err(Error::StorageFull)));
    assert_eq!(world.does(Command::Connect), Some(Err(Error::StorageFull)));
    world.make_room();
    world.pass(60_000);
    assert!(world.link.is_some());
    // Who does not want it any more is not online then.
    world.kill();
    world.fill_disk();
    let what = "x".repeat(100_000).into();
    world.does(Command::Send {
        id: ItemId("00000000-0000-4000-8000-000000000001".into()),
        to: juliet(),
        what,
    });
    world.does(Command::Connect);
    assert_eq!(world.does(Command::Disconnect), Some(Err(Error::StorageFull)));
    world.make_room();
    world.pass(60_000);
    assert!(world.link.is_none());
}

#[test]
fn database_corrupt_in_its_rows_is_told_as_such_and_left_alone() {
    for nonsense in [
        "UPDATE session SET sm = '{'",
        "UPDATE session SET sm = json_set(sm, '$.acknowledged', 99)",
        "UPDATE session SET next_position = 9223372036854775807",
        "UPDATE account SET jid = '@'",
        "UPDATE login SET pins = 'nonsense'",
        "INSERT INTO pending (iq, what) VALUES ('x', 'nonsense')",
    ] {
        let mut world = World::online();
        world.engine = None;
        let connection = store::open(&world.path(), &secret()).unwrap();
        connection.execute(nonsense, []).unwrap();
        let error = Engine::load(connection, config()).unwrap_err().to_api();
        assert_eq!(error, Error::DatabaseUnusable { why: crate::api::Unusable::Corrupt }, "{nonsense}");
        assert!(world.path().is_file());
    }
}
