//! What cannot be built or handled: it is set aside, its neighbours are kept, and the stream goes on.

use super::*;

impl World {
    pub(in crate::tests) fn gives(&mut self, inputs: &[&str]) {
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
fn poison_stanza_in_the_archive_leaves_a_placeholder_and_the_page_goes_on() {
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
fn own_stanza_kills_stream() {
    let mut world = World::online();
    let ids: Vec<ItemId> = ["one", "poison", "three"].into_iter().map(|text| world.says(text)).collect();
    // The server goes away at the poison, each time; what it read before is handled.
    let mut ends = 0;
    world.server.h -= 3;
    world.stream_error("policy-violation");
    loop {
        world.reconnect(Resume::Accept);
        loop {
            let texts = world.sent_texts();
            if texts.contains(&"poison".to_owned()) {
                assert_eq!(texts.len(), 1, "one at a time");
                world.server.h -= 1;
                world.stream_error("policy-violation");
                ends += 1;
                break;
            }
            assert!(texts.len() <= 1, "one at a time: {texts:?}");
            assert!(world.wrote.iter().any(|e| e.name() == "r"), "each with <r/>");
            world.wrote.clear();
            // Whatever else happens, the next one waits for the ack.
            world.gets("<presence from='mercutio@verona.lit/x'/>");
            assert!(texts.is_empty() || world.sent_texts().is_empty());
            world.acknowledge();
            if world.count("SELECT count(*) FROM outbox") == 0 {
                assert_eq!(ends, 2);
                assert!(matches!(world.state(&ids[1]), SendState::Failed { .. }));
                assert_eq!(world.state(&ids[0]), SendState::Sent);
                assert_eq!(world.state(&ids[2]), SendState::Sent);
                assert_eq!(world.count("SELECT own_failure FROM message WHERE body = 'poison'"), 1);
                assert_eq!(world.count("SELECT careful FROM session"), 0);
                return;
            }
        }
        world.kill();
    }
}

#[test]
fn own_stanza_kills_stream_and_the_session_too() {
    let mut world = World::online();
    world.server.mam = false;
    world.connect_again_without_archive();
    let ids: Vec<ItemId> = ["one", "poison", "three"].into_iter().map(|text| world.says(text)).collect();
    world.server.h -= 3;
    world.stream_error("policy-violation");
    let mut guard = 0;
    'streams: loop {
        world.reconnect(Resume::Refuse);
        loop {
            guard += 1;
            assert!(guard < 200);
            let texts = world.sent_texts();
            if texts.contains(&"poison".to_owned()) {
                world.stream_error("policy-violation");
                continue 'streams;
            }
            world.serve();
            world.acknowledge();
            if world.count("SELECT count(*) FROM outbox") == 0 {
                break 'streams;
            }
        }
    }
    assert!(matches!(world.state(&ids[1]), SendState::Failed { .. }));
    assert_eq!(world.state(&ids[0]), SendState::Sent);
    assert_eq!(world.state(&ids[2]), SendState::Sent);
}

impl World {
    fn connect_again_without_archive(&mut self) {
        self.cut();
        self.reconnect(Resume::Refuse);
        self.serve();
        self.acknowledge();
        self.wrote.clear();
    }
}

#[test]
fn poison_in_the_flight_of_a_resumption_leaves_the_session_resumed() {
    let mut world = World::online();
    let handled = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    world.cut();
    world.reconnect_with(Resume::Accept, |world, resumed| {
        world.gives(&[resumed, &live(1), &poisoned(), &live(3)])
    });
    // The answer that was rolled back with its batch was handled all the same: the app hears of it, and both sides count on.
    assert!(world.events.iter().any(|event| matches!(event, Event::Online { resumed: true, .. })));
    assert_eq!(world.sees().len(), 3);
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), handled + 3);
    world.says("thou art as glorious");
    assert_eq!(world.sent_texts(), ["thou art as glorious"]);
    world.acknowledge();
    assert!(!world.hung_up);
}

#[test]
fn poison_in_the_flight_of_a_bind_does_not_bring_the_old_session_back() {
    let mut world = World::online();
    world.cut();
    world.reconnect_with(Resume::Refuse, |world, enabled| world.gives(&[enabled, &live(1), &poisoned()]));
    assert_eq!(world.count("SELECT json_extract(sm, '$.id') = 'session-2' FROM session"), 1);
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), 2);
    world.serve();
    world.acknowledge();
    assert!(!world.hung_up);
    assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn page_that_was_refused_is_asked_for_again_whatever_we_failed_on_meanwhile() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..2);
    world.away_and_back();
    let query = world.next_query();
    let id = query.attr("id").unwrap();
    world.gets(&format!(
        "<iq type='error' id='{id}'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    ));
    world.serve();
    world.acknowledge();
    world.gives(&[&poisoned()]);
    assert_eq!(world.gaps(), 1);
    for _ in 0..12 {
        world.pass(5_000);
        world.serve();
        world.acknowledge();
    }
    assert_eq!(world.gaps(), 0);
    assert_eq!(world.sees()[..2], ["0", "1"]);
}
