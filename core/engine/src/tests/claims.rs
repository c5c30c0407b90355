//! Namespaces that an app speaks: what it is asked, and what is answered for it.

use super::*;
use crate::api::{AskedId, ClaimKind, RequestKind};

const CHESS: &str = "urn:x:chess";

impl World {
    pub(super) fn claims(&mut self, namespace: &str, what: ClaimKind) -> Option<Result<Reply, Error>> {
        self.does(Command::Claim { namespace: namespace.into(), what, on: true })
    }

    fn is_asked(&mut self, from: &str, id: &str) {
        self.gets(&format!("<iq type='set' id='{id}' from='{from}'><move xmlns='{CHESS}'>e4</move></iq>"));
    }

    /// What the app was asked since it looked.
    fn app_was_asked(&mut self) -> Vec<AskedId> {
        let events = std::mem::take(&mut self.events).into_iter();
        events
            .filter_map(|event| match event {
                Event::Asked { id, .. } => Some(id),
                _ => None,
            })
            .collect()
    }

    fn app_answers(&mut self, id: AskedId, answer: Result<Option<&str>, &str>) -> Result<Reply, Error> {
        let answer = answer.map(|xml| xml.map(str::to_owned)).map_err(str::to_owned);
        self.does(Command::Answer { id, answer }).unwrap()
    }

    /// The type of the answer and its condition, if it is an error.
    fn condition(&mut self) -> (String, String) {
        // Whatever we ask ourselves meanwhile.
        self.wrote.retain(|iq| !matches!(iq.attr("type"), Some("get" | "set")));
        let iq = self.next("iq");
        let error = iq.get_child("error", ns::JABBER_CLIENT);
        let condition = error.and_then(|error| error.children().next()).map(Element::name);
        (iq.attr("id").unwrap().to_owned(), condition.unwrap_or("none").to_owned())
    }
}

fn claiming() -> World {
    let mut world = World::online();
    assert_eq!(world.claims(CHESS, ClaimKind::Requests), Some(Ok(Reply::Done)));
    world.acknowledge();
    world.wrote.clear();
    world
}

#[test]
fn what_the_app_is_asked_it_answers_once() {
    let mut world = claiming();
    world.is_asked("juliet@capulet.lit/balcony", "q1");
    let Some(Event::Asked { id, from, kind, payload }) = world.events.pop() else { panic!() };
    assert_eq!((from.unwrap().as_str(), kind), ("juliet@capulet.lit/balcony", RequestKind::Set));
    assert!(payload.contains("e4") && payload.contains(CHESS), "{payload}");
    assert!(world.all("iq").is_empty(), "nobody answers for it");
    for bad in [Ok(Some("<a/><b/>")), Err("no-idea"), Err("text")] {
        assert!(matches!(world.app_answers(id, bad), Err(Error::InvalidInput { .. })), "{bad:?}");
    }
    assert_eq!(world.app_answers(id, Ok(Some("<ok xmlns='urn:x:chess'/>"))), Ok(Reply::Done));
    let iq = world.next("iq");
    assert_eq!((iq.attr("type"), iq.attr("id")), (Some("result"), Some("q1")));
    assert_eq!(iq.attr("to"), Some("juliet@capulet.lit/balcony"));
    assert!(iq.children().next().unwrap().is("ok", CHESS));
    assert_eq!(world.app_answers(id, Ok(None)), Err(Error::NotFound));

    world.is_asked("juliet@capulet.lit/balcony", "q2");
    let id = world.app_was_asked()[0];
    assert_eq!(world.app_answers(id, Err("not-allowed")), Ok(Reply::Done));
    assert_eq!(world.condition(), ("q2".into(), "not-allowed".into()));
    world.pass(120_000);
    assert!(world.all("iq").iter().all(|iq| iq.attr("type") == Some("get")), "answered for good");
}

#[test]
fn only_who_may_see_us_is_heard() {
    let mut world = claiming();
    for from in ["stranger@verona.lit/x", "capulet.lit", ""] {
        world.is_asked(from, "q");
        assert_eq!(world.condition(), ("q".into(), "service-unavailable".into()), "{from}");
        assert_eq!(world.app_was_asked(), []);
        world.acknowledge();
    }
    // What nobody has claimed is nobody's.
    world.gets(&format!("<iq type='get' id='q' from='{JULIET}/x'><move xmlns='urn:x:go'/></iq>"));
    assert_eq!(world.condition(), ("q".into(), "service-unavailable".into()));
    world.acknowledge();
    world.does(Command::Claim { namespace: CHESS.into(), what: ClaimKind::Requests, on: false });
    world.is_asked(&format!("{JULIET}/x"), "q");
    assert_eq!(world.condition(), ("q".into(), "service-unavailable".into()));
}

#[test]
fn what_the_app_does_not_answer_is_answered_for_it() {
    let mut world = claiming();
    world.is_asked("juliet@capulet.lit/x", "q1");
    let id = world.app_was_asked()[0];
    world.pass(59_000);
    assert!(world.all("iq").is_empty());
    world.pass(1_500);
    assert_eq!(world.condition(), ("q1".into(), "remote-server-timeout".into()));
    assert_eq!(world.app_answers(id, Ok(None)), Err(Error::NotFound));
    world.acknowledge();

    // Its process dies over one.
    world.is_asked("juliet@capulet.lit/x", "q2");
    world.kill();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    world.serve();
    world.acknowledge();
    world.pass(61_000);
    assert_eq!(world.condition(), ("q2".into(), "remote-server-timeout".into()));

    // The clock is set back: it does not wait until it is as late again.
    world.acknowledge();
    world.is_asked("juliet@capulet.lit/x", "q3");
    world.now.wall -= 86_400_000;
    world.turn(vec![Input::Tick]);
    assert_eq!(world.condition(), ("q3".into(), "remote-server-timeout".into()));
}

#[test]
fn a_new_session_has_no_old_questions() {
    let mut world = claiming();
    world.is_asked("juliet@capulet.lit/x", "q1");
    let id = world.app_was_asked()[0];
    world.away_and_back();
    world.serve();
    world.acknowledge();
    assert_eq!(world.app_answers(id, Ok(None)), Err(Error::NotFound));
    world.wrote.clear();
    world.pass(61_000);
    assert!(world.all("iq").iter().all(|iq| iq.attr("id") != Some("q1")));
}

#[test]
fn what_is_claimed_is_told_and_survives_a_kill() {
    let mut world = World::online();
    let before = world.count("SELECT count(*) FROM outbox");
    world.claims(CHESS, ClaimKind::Requests);
    world.claims("urn:x:go", ClaimKind::Messages);
    let features = |world: &mut World| -> (Vec<String>, String) {
        let presence = world.all("presence").pop().unwrap();
        let ver = presence.get_child("c", ns::CAPS).unwrap().attr("ver").unwrap().to_owned();
        world.acknowledge();
        world.gets(&format!("<iq type='get' id='d' from='{JULIET}/x'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"));
        let iq = world.all("iq").into_iter().find(|iq| iq.attr("id") == Some("d")).unwrap();
        assert_eq!(super::pubsub::hash_of(&iq), ver);
        let query = iq.get_child("query", ns::DISCO_INFO).unwrap();
        let features = query.children().filter_map(|child| child.attr("var")).map(str::to_owned).collect();
        (features, ver)
    };
    assert!(world.count("SELECT count(*) FROM outbox") > before, "a session that is there hears of it");
    let (first, ver) = features(&mut world);
    assert!(first.contains(&CHESS.to_owned()) && first.contains(&"urn:x:go".to_owned()), "{first:?}");
    world.kill();
    world.connect();
    assert_eq!(features(&mut world), (first, ver));
}

#[test]
fn what_the_core_speaks_cannot_be_claimed() {
    let mut world = World::online();
    let long = "u".repeat(1_025);
    for namespace in [ns::ROSTER, ns::PING, ns::COMMANDS, ns::JABBER_CLIENT, ns::PUBSUB, "", "a\u{1}", &long]
    {
        let claimed = world.claims(namespace, ClaimKind::Requests);
        assert!(matches!(claimed, Some(Err(Error::InvalidInput { .. }))), "{namespace}: {claimed:?}");
    }
    for n in 0..100 {
        assert_eq!(world.claims(&format!("urn:x:{n}"), ClaimKind::Messages), Some(Ok(Reply::Done)));
    }
    assert!(matches!(world.claims("urn:x:100", ClaimKind::Messages), Some(Err(Error::InvalidInput { .. }))));
}

mod hostile {
    use super::*;

    #[test]
    fn iq_flood_for_the_app_fills_nothing() {
        let mut world = claiming();
        for n in 0..1_000 {
            world.is_asked("juliet@capulet.lit/x", &format!("q{n}"));
            if n % 50 == 0 {
                world.acknowledge();
            }
        }
        assert_eq!(world.app_was_asked().len(), 100);
        assert_eq!(world.count("SELECT count(*) FROM asked"), 100);
        assert_eq!(world.condition(), ("q100".into(), "resource-constraint".into()));
    }
}
