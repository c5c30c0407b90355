//! What only the app understands, in messages: kept as messages are, and shown to nobody.

use super::*;
use crate::{
    api::{ClaimKind, Delete, Payload},
    payloads,
};

const CHESS: &str = "urn:x:chess";

fn claiming() -> World {
    let mut world = World::online();
    assert_eq!(world.claims(CHESS, ClaimKind::Messages), Some(Ok(Reply::Done)));
    world.acknowledge();
    world.wrote.clear();
    world
}

fn step(n: u32) -> String {
    format!("<move xmlns='urn:x:chess' n='{n}'/>")
}

/// A move of Juliet's, as the archive has it; `aN` is its id there.
fn kept(n: u32) -> Archived {
    Archived {
        id: format!("a{n}"),
        at: START + i64::from(n) * 1_000,
        message: format!(
            "<message xmlns='jabber:client' type='chat' from='{JULIET}/balcony' to='{OWN}' id='j{n}'>{}</message>",
            step(n)
        ),
    }
}

fn live_step(n: u32) -> String {
    from_juliet(
        &format!("id='j{n}'"),
        &format!("{}<stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='a{n}'/>", step(n)),
    )
}

impl World {
    fn plays(&mut self, n: u32) -> ItemId {
        self.request += 1;
        let id = ItemId(format!("00000000-0000-4000-8000-{:012}", self.request));
        let reply = self.does(Command::SendPayload { id: id.clone(), to: juliet(), xml: step(n) });
        assert_eq!(reply, Some(Ok(Reply::Sent { id: id.clone() })));
        id
    }

    fn log(&self) -> Vec<Payload> {
        payloads::payloads(&self.file(), &juliet(), CHESS, None, 500).unwrap().unwrap()
    }

    /// The numbers of the moves, `>` before ours.
    fn moves(&self) -> Vec<String> {
        self.log().iter().map(number).collect()
    }

    fn told_of_moves(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.events).into_iter();
        let payload = |event| match event {
            Event::Payload(payload) => Some(number(&payload)),
            _ => None,
        };
        events.filter_map(payload).collect()
    }
}

fn number(payload: &Payload) -> String {
    let element: Element = payload.xml.parse().unwrap();
    format!("{}{}", if payload.mine { ">" } else { "" }, element.attr("n").unwrap())
}

#[test]
fn each_is_there_once_wherever_it_comes_from_and_shown_to_nobody() {
    let mut world = claiming();
    world.gets(&live_step(1));
    world.gets(&live_step(1));
    world.gets(&carbon(
        OWN,
        "received",
        &live_step(2).replace("<message ", "<message xmlns='jabber:client' "),
    ));
    world.server.archive = (1..=4).map(kept).collect();
    assert_eq!(world.told_of_moves(), ["1", "2"]);
    world.away_and_back();
    world.serve();
    assert_eq!(world.moves(), ["1", "2", "3", "4"]);
    assert_eq!(world.told_of_moves(), ["3", "4"]);
    assert!(world.sees().is_empty());
    assert_eq!(world.count("SELECT coalesce(sum(unread), 0) FROM conversation"), 0);
    assert_eq!(timeline::conversations(&world.file()).unwrap().len(), 0);
    // It is read page by page.
    let log = world.log();
    let page = payloads::payloads(&world.file(), &juliet(), CHESS, Some(&log[1].id), 1).unwrap().unwrap();
    assert_eq!(page, log[2..3]);
    let nobody = ItemId("77777".into());
    assert_eq!(
        payloads::payloads(&world.file(), &juliet(), CHESS, Some(&nobody), 1).unwrap(),
        Err(Error::NotFound)
    );
}

#[test]
fn what_is_nobody_s_or_a_stranger_s_is_not_kept() {
    let mut world = claiming();
    let from = |from: &str, content: &str| {
        format!("<message type='chat' from='{from}' to='{OWN}' id='x'>{content}</message>")
    };
    world.gets(&from("stranger@verona.lit/x", &step(1)));
    world.gets(&from("juliet@capulet.lit/x", "<move xmlns='urn:x:go'/>"));
    world.gets(&format!("<message type='headline' from='{JULIET}' to='{OWN}' id='x'>{}</message>", step(2)));
    world.gets(&format!("<message type='groupchat' from='{JULIET}' to='{OWN}' id='x'>{}</message>", step(2)));
    assert_eq!(world.count("SELECT count(*) FROM message"), 0);
    // With a text it is a message, and read as one.
    world.gets(&from("juliet@capulet.lit/x", &format!("<body>e4!</body>{}", step(3))));
    assert_eq!((world.sees(), world.moves().len()), (texts(&["e4!"]), 0));
}

#[test]
fn until_the_roster_has_come_everybody_is_heard() {
    let mut world = World::new();
    world.claims(CHESS, ClaimKind::Messages);
    world.connect();
    let is_it = |iq: &Element| iq.has_child("query", ns::ROSTER);
    let asked = world.wrote.iter().position(is_it).and_then(|at| world.wrote.remove(at)).unwrap();
    world.gets(&live_step(1));
    assert_eq!(world.moves(), ["1"], "a friend's, and nobody knows yet");
    let refused =
        "<error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    world.gets(&format!("<iq type='error' id='{}'>{refused}</iq>", asked.attr("id").unwrap()));
    world.serve();
    world.acknowledge();
    world.gets(&live_step(2));
    assert_eq!(world.moves(), ["1", "2"], "nor now");
    world.pass_online(9_640_000);
    world.serve();
    world.acknowledge();
    world.gets(&format!(
        "<message type='chat' from='nurse@verona.lit/x' to='{OWN}' id='x'>{}</message>",
        step(3)
    ));
    assert_eq!(world.count("SELECT count(*) FROM message"), 2);
}

#[test]
fn what_is_sent_is_durable_and_sent_once() {
    let mut world = claiming();
    world.cut();
    let id = world.plays(1);
    let again = world.does(Command::SendPayload { id: id.clone(), to: juliet(), xml: step(1) });
    assert_eq!(again, Some(Ok(Reply::Sent { id: id.clone() })));
    world.kill();
    assert_eq!((world.moves(), world.log()[0].state.clone()), (texts(&[">1"]), Some(SendState::Queued)));
    world.reconnect(Resume::Accept);
    let sent = world.next("message");
    assert!(sent.has_child("move", CHESS) && sent.has_child("store", ns::HINTS));
    assert_eq!((sent.attr("to"), sent.attr("type")), (Some(JULIET), Some("chat")));
    assert!(sent.get_child("body", ns::JABBER_CLIENT).is_none());
    assert!(world.all("message").is_empty());
    world.acknowledge();
    assert_eq!(world.log()[0].state, Some(SendState::Sent));
    let state = Event::State { id, with: juliet(), state: SendState::Sent };
    assert!(world.events.contains(&state), "{:?}", world.events);
}

#[test]
fn what_is_in_doubt_is_looked_for_in_the_archive() {
    let mut world = claiming();
    let (first, second) = (world.plays(1), world.plays(2));
    world.wrote.clear();
    // The first has arrived, and nobody said so.
    world.server.archive.push(Archived {
        id: "a1".into(),
        at: world.now.wall,
        message: format!(
            "<message xmlns='jabber:client' type='chat' from='{OWN}/phone.1' to='{JULIET}' id='{0}'>{1}<origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
            first.0,
            step(1)
        ),
    });
    world.away_and_back();
    world.serve();
    let again: Vec<_> = world.all("message").iter().map(|m| m.attr("id").unwrap().to_owned()).collect();
    assert_eq!(again, [second.0]);
    assert_eq!(world.moves(), [">1", ">2"]);
}

#[test]
fn what_is_to_be_sent_is_one_element_in_a_namespace_that_is_claimed() {
    let mut world = claiming();
    let id = || ItemId("00000000-0000-4000-8000-000000000001".into());
    let large = format!("<a xmlns='urn:x:chess'>{}</a>", "x".repeat(300_000));
    for bad in ["", "e4", "<a xmlns='urn:x:go'/>", "<body>x</body>", "<a xmlns='urn:x:chess'/><b/>", &large] {
        let sent = world.does(Command::SendPayload { id: id(), to: juliet(), xml: bad.into() });
        assert!(matches!(sent, Some(Err(Error::InvalidInput { .. }))), "{bad:.30}: {sent:?}");
    }
    let sent = world.does(Command::SendPayload { id: ItemId("1".into()), to: juliet(), xml: step(1) });
    assert!(matches!(sent, Some(Err(Error::InvalidInput { .. }))));
    assert_eq!(world.count("SELECT count(*) FROM message"), 0);
}

#[test]
fn what_fails_is_tried_again_or_forgotten_and_what_is_deleted_stays_away() {
    let mut world = claiming();
    let (lost, kept_id) = (world.plays(1), world.plays(2));
    world.acknowledge();
    for id in [&lost, &kept_id] {
        world.gets(&bounce(id, "not-allowed"));
    }
    assert!(world.log().iter().all(|payload| matches!(payload.state, Some(SendState::Failed { .. }))));
    assert_eq!(world.does(Command::Cancel { message: lost }), Some(Ok(Reply::Done)));
    world.wrote.clear();
    assert_eq!(world.does(Command::Retry { message: kept_id }), Some(Ok(Reply::Done)));
    assert!(world.next("message").has_child("move", CHESS));
    assert_eq!(world.moves(), [">2"]);
    world.acknowledge();

    world.gets(&live_step(3));
    world.server.archive = vec![kept(3)];
    assert_eq!(world.does(Command::Delete(Delete::Conversation { with: juliet() })), Some(Ok(Reply::Done)));
    world.away_and_back();
    world.serve();
    assert!(world.moves().is_empty());
}
