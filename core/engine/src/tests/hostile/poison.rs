//! What cannot be built or handled: it is set aside, its neighbours are kept, and the stream goes on.

use super::*;

impl World {
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
