//! The world fails, we are wrong, somebody else took over (DESIGN, "The rule everything follows").

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

    fn gives(&mut self, inputs: &[&str]) {
        POISONED.set(true);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        self.gets_all(inputs);
        std::panic::set_hook(hook);
        POISONED.set(false);
    }
}

fn poisoned() -> String {
    live(2).replace("id='j2'", "id='poison'")
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
        text: "x".into(),
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
fn poison_stanza() {
    let mut world = World::online();
    let handled = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    world.gives(&[&live(1), &poisoned(), &live(3)]);
    // Its neighbours are kept, and it leaves a placeholder; the stream goes on.
    assert_eq!(world.sees().len(), 3);
    assert_eq!((world.sees()[0].as_str(), world.sees()[2].as_str()), ("1", "3"));
    assert_eq!(world.count("SELECT kind FROM message ORDER BY position LIMIT 1 OFFSET 1"), 1);
    assert_eq!(world.count("SELECT count(*) FROM quarantine"), 1);
    assert_eq!(world.count("SELECT count(*) FROM strike"), 0);
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), handled + 3);
    assert!(!world.hung_up);
    world.gets(&live(4));
    assert_eq!(world.sees().len(), 4);
}

#[test]
fn poison_stanza_with_a_kill_in_between() {
    let mut world = World::online();
    // One strike is in the file already, and the process died before the second.
    let stanza = poisoned();
    let digest = crate::turn::digest(&Input::Element { link: LinkId(1), element: element(&stanza) });
    world
        .engine
        .as_ref()
        .unwrap()
        .connection()
        .execute("INSERT INTO strike VALUES (?1, 1)", [digest])
        .unwrap();
    world.kill();
    world.reconnect(Resume::Accept);
    world.gives(&[&live(1), &stanza]);
    assert_eq!(world.count("SELECT count(*) FROM quarantine"), 1);
    assert_eq!(world.sees().len(), 2);
}

#[test]
fn poison_in_the_archive_leaves_a_placeholder_and_the_page_goes_on() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..3);
    world.cut();
    world.reconnect(Resume::Refuse);
    let query = world.wrote.iter().find(|e| e.children().any(|c| c.is("query", ns::MAM))).unwrap().clone();
    let mut page = world.server.answers(&query);
    page[0] = page[0].replacen("<message ", "<message id='poison' ", 1);
    world.gives(&page.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(world.sees(), ["0", "2"]);
    assert_eq!(world.count("SELECT count(*) FROM message WHERE kind = 1"), 1);
    assert_eq!(world.count("SELECT count(*) FROM gap"), 0);
}

#[test]
fn deep_nesting() {
    let mut world = World::online();
    let handled = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    let link = world.link.unwrap();
    let drained = crate::Drained {
        name: "message".into(),
        from: Some(format!("{JULIET}/balcony")),
        to: Some(OWN.into()),
        id: Some("deep".into()),
        kind: Some("chat".into()),
        archived: None,
        size: 90_000,
        why: "deep".into(),
        head: vec![b'<'; 16_384],
    };
    for _ in 0..600 {
        world.turn(vec![Input::TooMuch { link, drained: drained.clone() }]);
    }
    world.gets(&live(1));
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), handled + 601);
    assert_eq!(world.sees().len(), 601);
    assert!(world.count("SELECT count(*) FROM quarantine") <= 500, "bounded");
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

#[test]
fn two_processes() {
    let mut world = World::online();
    let other = Engine::load(store::open(&world.path(), &secret()).unwrap(), config()).unwrap();
    world.gets(&live(1));
    // The old holder notices before it writes, drops its socket, and says so.
    assert!(world.hung_up);
    assert_eq!(world.sees(), texts(&[]));
    let reply = world.does(Command::Connect);
    assert_eq!(reply, Some(Err(Error::Suspended)));
    assert_eq!(world.engine.as_ref().unwrap().next_wake(), None);
    // The newcomer goes on in the same session.
    world.engine = Some(other);
    world.wanted = false;
    world.link = None;
    world.reconnect(Resume::Accept);
    world.gets(&live(1));
    assert_eq!(world.sees(), ["1"]);
}

#[test]
fn iq_flood() {
    let mut world = World::online();
    world.server.hears = false;
    for n in 0..1_000 {
        world.gets(&format!("<iq type='get' id='p{n}' from='{JULIET}/x'><ping xmlns='urn:xmpp:ping'/></iq>"));
    }
    assert!(world.count("SELECT count(*) FROM outbox") <= 600);
    assert!(!world.hung_up);
}
