//! Registrations with an app server (XEP-0357; STREAM 11).

use super::*;
use crate::api::{Push, PushState};

fn push(node: &str, secret: &str) -> Push {
    Push { service: "push.capulet.lit".parse().unwrap(), node: node.into(), secret: Some(secret.into()) }
}

impl World {
    fn pushed() -> Self {
        let mut world = Self::new();
        world.server.push = true;
        world.connect();
        world.serve();
        world.acknowledge();
        world.wrote.clear();
        world
    }

    fn registers(&mut self, push: Option<Push>) {
        assert_eq!(self.does(Command::SetPush { push }), Some(Ok(Reply::Done)));
    }

    /// What was said of it since somebody looked, in order: `+` and `-`, the node and the secret. Not answered yet.
    fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for iq in &self.wrote {
            let Some(payload) = iq.children().find(|child| child.has_ns(ns::PUSH)) else { continue };
            assert_eq!(iq.attr("type"), Some("set"));
            assert_eq!(payload.attr("jid"), Some("push.capulet.lit"));
            let form = payload.get_child("x", ns::DATA_FORMS);
            let values: Vec<String> = form
                .into_iter()
                .flat_map(Element::children)
                .map(|field| field.children().next().unwrap().text())
                .collect();
            let node = payload.attr("node").unwrap();
            said.push(match (payload.name(), &values[..]) {
                ("enable", [form, secret]) => {
                    assert_eq!(form, ns::PUBLISH_OPTIONS);
                    format!("+{node} {secret}")
                }
                ("disable", []) => format!("-{node}"),
                other => panic!("{other:?}"),
            });
        }
        said
    }

    fn push_state(&self) -> PushState {
        crate::push::current(&self.file()).unwrap()
    }

    fn push_events(&mut self) -> Vec<PushState> {
        let events = std::mem::take(&mut self.events).into_iter();
        events
            .filter_map(|event| match event {
                Event::Push(state) => Some(state),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn registration_is_said_once_in_a_session_and_again_in_the_next() {
    let mut world = World::pushed();
    world.registers(Some(push("phone", "s3")));
    assert_eq!(world.push_state(), PushState::Waiting);
    assert_eq!(world.said(), ["+phone s3"]);
    world.serve();
    world.acknowledge();
    assert_eq!(world.push_state(), PushState::On);
    assert_eq!(world.push_events(), [PushState::Waiting, PushState::On]);
    // The same again is nothing new.
    world.registers(Some(push("phone", "s3")));
    // A resumption says nothing, not even after a kill.
    world.cut();
    world.reconnect(Resume::Accept);
    world.kill();
    world.reconnect(Resume::Accept);
    assert!(world.said().is_empty());
    world.serve();
    world.acknowledge();
    world.cut();
    world.reconnect(Resume::Refuse);
    assert_eq!(world.push_state(), PushState::Waiting);
    world.serve_but_push();
    assert_eq!(world.said(), ["+phone s3"]);
}

impl World {
    /// As `serve`, but what was said of push stays to be looked at.
    fn serve_but_push(&mut self) {
        let mut kept = VecDeque::new();
        loop {
            let (push, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.wrote)
                .into_iter()
                .partition(|iq| iq.children().any(|child| child.has_ns(ns::PUSH)));
            kept.extend(push);
            self.wrote = rest;
            let Some(at) = self.wrote.iter().position(|iq| iq.name() == "iq") else { break };
            let iq = self.wrote.remove(at).unwrap();
            if matches!(iq.attr("type"), Some("get" | "set")) {
                for answer in self.server.answers(&iq) {
                    self.gets(&answer);
                }
            }
        }
        kept.append(&mut self.wrote);
        self.wrote = kept;
    }
}

#[test]
fn registration_made_offline_is_said_when_there_is_a_connection() {
    let mut world = World::new();
    world.server.push = true;
    world.registers(Some(push("phone", "s3")));
    world.kill();
    world.connect();
    world.serve_but_push();
    assert_eq!(world.said(), ["+phone s3"]);
    world.serve();
    assert_eq!(world.push_state(), PushState::On);
    // Also where the next connection goes on with the old session.
    world.acknowledge();
    world.cut();
    world.registers(Some(push("phone", "s4")));
    world.reconnect(Resume::Accept);
    assert_eq!(world.said(), ["+phone s4"]);
}

#[test]
fn changed_registration_replaces_the_old_one() {
    let mut world = World::pushed();
    world.registers(Some(push("phone", "s3")));
    world.serve();
    // Another secret: the same name, said again.
    world.registers(Some(push("phone", "s4")));
    assert_eq!(world.said(), ["+phone s4"]);
    world.serve();
    world.registers(Some(push("tablet", "s5")));
    assert_eq!(world.said(), ["-phone", "+tablet s5"]);
    world.serve();
    world.registers(None);
    assert_eq!(world.said(), ["-tablet"]);
    world.serve();
    assert_eq!(world.push_state(), PushState::Off);
    assert_eq!(world.count("SELECT count(*) FROM push"), 0);
}

#[test]
fn old_registration_is_withdrawn_in_a_later_session_if_this_one_ends_too_soon() {
    let mut world = World::pushed();
    world.registers(Some(push("phone", "s3")));
    world.serve();
    world.acknowledge();
    world.server.hears = false;
    world.registers(Some(push("tablet", "s5")));
    world.server.hears = true;
    world.cut();
    world.kill();
    world.reconnect(Resume::Refuse);
    world.serve_but_push();
    assert_eq!(world.said(), ["-phone", "+tablet s5"]);
    world.serve();
    assert_eq!(world.count("SELECT count(*) FROM push"), 1);
    // And what was never told to anybody need not be withdrawn.
    world.cut();
    world.registers(Some(push("watch", "s6")));
    world.registers(Some(push("tablet", "s5")));
    world.reconnect(Resume::Accept);
    world.serve_but_push();
    assert!(!world.said().iter().any(|said| said.contains("watch")), "{:?}", world.said());
}

#[test]
fn answer_to_the_old_registration_does_not_confirm_its_end() {
    let mut world = World::pushed();
    world.registers(Some(push("phone", "s3")));
    let enable = world.wrote.iter().find(|iq| iq.name() == "iq").unwrap().attr("id").unwrap().to_owned();
    world.registers(None);
    world.gets(&format!("<iq type='result' id='{enable}'/>"));
    assert_eq!(world.count("SELECT count(*) FROM push WHERE wanted = 0"), 1, "not withdrawn yet");
    world.cut();
    world.reconnect(Resume::Refuse);
    world.serve_but_push();
    assert_eq!(world.said(), ["-phone"]);
}

#[test]
fn server_that_does_not_offer_it_is_not_asked_and_the_app_is_told() {
    let mut world = World::online();
    world.registers(Some(push("phone", "s3")));
    assert!(world.said().is_empty());
    assert_eq!(world.push_events(), [PushState::Unsupported]);
    // It learns to.
    world.server.push = true;
    world.cut();
    world.reconnect(Resume::Refuse);
    world.serve();
    assert_eq!(world.push_state(), PushState::On);
}

#[test]
fn server_that_refuses_is_told_of() {
    let mut world = World::pushed();
    world.registers(Some(push("phone", "s3")));
    let id = world.next("iq").attr("id").unwrap().to_owned();
    world.gets(&format!("<iq type='error' id='{id}'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"));
    let refused = PushState::Refused { condition: "not-allowed".into() };
    assert_eq!(world.push_events().last(), Some(&refused));
    assert_eq!(world.push_state(), refused);
    // The app asks for it again, and nobody answers; and again.
    world.acknowledge();
    world.registers(Some(push("phone", "s3")));
    assert_eq!((world.said(), world.push_state()), (vec!["+phone s3".to_owned()], PushState::Waiting));
    world.wrote.clear();
    world.registers(Some(push("phone", "s3")));
    assert!(world.said().is_empty(), "it is under way");
    for _ in 0..7 {
        world.acknowledge();
        world.pass(10_000);
    }
    assert_eq!(world.push_state(), PushState::Waiting);
    world.registers(Some(push("phone", "s3")));
    assert_eq!(world.said(), ["+phone s3"]);
}

/// Sessions live for weeks, and each suspension relies on it.
#[test]
fn what_nobody_has_answered_is_said_again_in_the_same_session() {
    for kill in [false, true] {
        let mut world = World::pushed();
        world.registers(Some(push("phone", "s3")));
        world.serve();
        world.registers(Some(push("tablet", "s5")));
        assert_eq!(world.said(), ["-phone", "+tablet s5"]);
        world.wrote.clear();
        for minute in 0..12 {
            if minute == 5 && kill {
                world.kill();
                world.reconnect(Resume::Accept);
            }
            for _ in 0..6 {
                world.acknowledge();
                world.serve_but_push();
                world.acknowledge();
                world.pass(10_000);
            }
        }
        assert_eq!(world.said(), ["-phone", "+tablet s5"]);
        world.serve();
        assert_eq!(world.push_state(), PushState::On);
        assert_eq!(world.count("SELECT count(*) FROM push"), 1);
        assert_eq!(world.count("SELECT count(*) FROM pending"), 0);
    }
}

#[test]
fn signing_out_withdraws_the_registration_before_the_stream_ends() {
    let mut world = World::pushed();
    world.registers(Some(push("phone", "s3")));
    world.serve();
    world.wrote.clear();
    world.does(Command::Disconnect);
    assert_eq!(world.said(), ["-phone"]);
    assert!(world.hung_up);
    world.wanted = false;
    // Whoever comes back is registered again.
    world.connect();
    world.serve();
    assert_eq!(world.push_state(), PushState::On);
}

#[test]
fn withdrawal_that_was_lost_is_said_again_by_a_session_to_come() {
    let mut world = World::pushed();
    world.registers(Some(push("phone", "s3")));
    world.serve();
    world.acknowledge();
    world.server.hears = false;
    world.does(Command::Disconnect);
    world.server.hears = true;
    world.wanted = false;
    world.events.clear();
    world.does(Command::Disconnect);
    assert!(world.push_events().is_empty(), "the server was told, as far as anybody knows");
    world.registers(None);
    world.kill();
    world.connect();
    world.serve_but_push();
    assert_eq!(world.said(), ["-phone"]);
    world.serve();
    assert_eq!(world.count("SELECT count(*) FROM push"), 0);
}

#[test]
fn signing_out_without_a_connection_says_what_is_left_behind() {
    let mut world = World::pushed();
    world.registers(Some(push("phone", "s3")));
    world.serve();
    world.cut();
    world.events.clear();
    world.does(Command::Disconnect);
    assert_eq!(world.push_events(), [PushState::LeftBehind(push("phone", "s3"))]);
}
