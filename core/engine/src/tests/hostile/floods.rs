//! More of everything than anybody needs, in batches as the driver makes them. What is kept is bounded, what is said is
//! acknowledged, and what the app wants happens in between.

use super::*;
use crate::tests::amendments;

const MANY: u32 = 10_000;

impl World {
    /// Ten thousand stanzas in batches; `say` makes the n-th. The app says something now and then, and it goes out.
    fn floods(&mut self, say: impl Fn(u32) -> String) {
        let link = self.link.unwrap();
        let before = self.handled();
        for batch in 0..MANY / 50 {
            let inputs = (batch * 50..(batch + 1) * 50)
                .map(|n| Input::Element { link, element: element(&say(n)) })
                .collect();
            self.turn(inputs);
            // Never more than a server keeps (STREAM 10).
            assert!(self.wrote.iter().any(|e| e.is("a", ns::SM)), "acknowledged with each batch");
            if batch % 20 == 0 {
                let text = format!("still here {batch}");
                self.says(&text);
                assert_eq!(self.sent_texts().last(), Some(&text));
            }
            self.wrote.clear();
            self.acknowledge();
            self.wrote.clear();
        }
        assert!(!self.hung_up);
        assert_eq!(self.handled(), before + i64::from(MANY));
        assert_eq!(self.count("SELECT count(*) FROM outbox"), 0);
    }

    fn handled(&self) -> i64 {
        self.count("SELECT json_extract(sm, '$.handled') FROM session")
    }
}

#[test]
fn message_flood() {
    let mut world = World::online();
    world.floods(live);
    assert_eq!(world.sees().iter().filter(|text| !text.starts_with('>')).count(), MANY as usize);
    // And the same again, each under another name and none new.
    let before = world.count("SELECT count(*) FROM message");
    world.floods(live);
    assert_eq!(world.count("SELECT count(*) FROM message WHERE mine = 0"), before - 10);
}

#[test]
fn presence_flood() {
    let mut world = World::online();
    // Devices without number of a contact, of strangers, and of nobody; in and out; and requests.
    world.floods(|n| match n % 5 {
        0 => format!("<presence from='{JULIET}/{n}'/>"),
        1 => format!("<presence from='s{n}@verona.lit/x'/>"),
        2 => format!("<presence type='unavailable' from='{JULIET}/{}'/>", n / 2),
        3 => format!("<presence type='subscribe' from='s{n}@verona.lit'/>"),
        _ => format!("<presence type='probe' from='\u{200b}{n}'/>"),
    });
    assert!(world.count("SELECT count(*) FROM presence") <= 64);
    assert_eq!(world.count("SELECT count(*) FROM subscription_request"), 1_000);
    assert_eq!(world.count("SELECT count(*) FROM contact"), 1);
}

#[test]
fn typing_flood() {
    let mut world = World::online();
    world.gets(&live(0));
    world.acknowledge();
    world.floods(|n| {
        let from = if n % 3 == 0 { format!("s{n}@verona.lit") } else { JULIET.to_owned() };
        let state = ["composing", "paused", "active", "gone", "dancing"][n as usize % 5];
        format!("<message type='chat' from='{from}/x'><{state} xmlns='http://jabber.org/protocol/chatstates'/></message>")
    });
    assert_eq!(world.count("SELECT count(*) FROM conversation"), 1);
    assert_eq!(world.count("SELECT count(*) FROM message WHERE mine = 0"), 1);
}

#[test]
fn iq_flood() {
    let mut world = World::online();
    world.floods(|n| match n % 4 {
        0 => format!("<iq type='get' id='p{n}' from='s{n}@verona.lit/x'><ping xmlns='urn:xmpp:ping'/></iq>"),
        1 => format!("<iq type='result' id='p{n}' from='{JULIET}/x'/>"),
        2 => format!("<iq type='error' id='p{n}' from='{OWN}'/>"),
        _ => format!("<iq type='nonsense' from='{JULIET}'/>"),
    });
    assert_eq!(world.count("SELECT count(*) FROM pending"), 0);
}

#[test]
fn iq_flood_from_whom_nothing_is_taken() {
    let mut world = World::online();
    world.server.hears = false;
    for n in 0..1_000 {
        world.gets(&format!("<iq type='get' id='p{n}' from='{JULIET}/x'><ping xmlns='urn:xmpp:ping'/></iq>"));
    }
    assert!(world.count("SELECT count(*) FROM outbox") <= 600);
    assert!(!world.hung_up);
    // What the app wants is behind them, and not lost.
    world.says("and I");
    assert_eq!(world.count("SELECT count(*) FROM outbox WHERE kind = 0"), 1);
}

#[test]
fn text_bomb_of_reactions_to_one_message() {
    let mut world = World::online();
    let id = world.says("mine").0;
    let what = |n: u32| match n % 3 {
        0 => amendments::reactions(&id, &[&format!("{n}")]),
        1 => amendments::reactions("later", &[&format!("{n}")]),
        _ => amendments::replace("later", &format!("corrected {n}")),
    };
    world.floods(|n| from_juliet(&format!("id='f{n}'"), &what(n)));
    let last =
        |reads: Vec<String>, what: &str| reads.into_iter().find(|line| line.starts_with(what)).unwrap();
    assert!(last(world.reads(), "> mine").starts_with("> mine 9999"));
    // What they are about comes at last: what was said about it last counts.
    world.gets(&from_juliet("id='later'", "<body>first</body>"));
    assert!(last(world.reads(), "corrected 9998").ends_with("(edited) 99971"));
}
