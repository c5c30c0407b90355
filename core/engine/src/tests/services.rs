//! What is asked of services: discovery (XEP-0030), commands (XEP-0050), anything else.

use super::*;
use crate::api::{Ask, CommandAction, CommandStatus, Form, RequestKind};

const SERVICE: &str = "rooms.capulet.lit";

impl World {
    fn asks_service(&mut self, what: Ask) -> RequestId {
        self.does(Command::Ask { of: SERVICE.parse().unwrap(), what });
        RequestId(self.request)
    }
}

#[test]
fn what_somebody_is_and_has_is_told_in_pages() {
    let mut world = World::online();
    let request = world.asks_service(Ask::Info { node: Some("n".into()) });
    let asked = world.answers(
        "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/><feature var='f'/></query>",
    );
    assert_eq!((asked.attr("to"), asked.attr("type")), (Some(SERVICE), Some("get")));
    assert_eq!(asked.get_child("query", ns::DISCO_INFO).unwrap().attr("node"), Some("n"));
    let Some(Ok(Reply::Info(info))) = world.answer_to(request) else { panic!("{:?}", world.replies) };
    assert!(info.is("conference", "text") && info.has("f"));

    let request = world.asks_service(Ask::Items { node: None, after: Some("x".into()) });
    let asked = world.answers(
        "<query xmlns='http://jabber.org/protocol/disco#items'><item jid='a@rooms.capulet.lit' name='A'/>
         <set xmlns='http://jabber.org/protocol/rsm'><first index='1'>a</first><last>b</last><count>9</count></set></query>",
    );
    let set = asked.get_child("query", ns::DISCO_ITEMS).unwrap().get_child("set", ns::RSM).unwrap().clone();
    assert_eq!(set.get_child("after", ns::RSM).unwrap().text(), "x");
    let Some(Ok(Reply::Entities(page))) = world.answer_to(request) else { panic!("{:?}", world.replies) };
    assert_eq!((page.entities[0].jid.as_str(), page.next.as_deref()), ("a@rooms.capulet.lit", Some("b")));

    // What answers something else is an error, and so is a refusal.
    let request = world.asks_service(Ask::Info { node: None });
    world.answers("");
    assert!(matches!(world.answer_to(request), Some(Err(Error::ServerRefused { .. }))));
    let request = world.asks_service(Ask::Info { node: None });
    world.refuses("item-not-found");
    let refused = Error::ServerRefused { condition: "item-not-found".into(), text: None };
    assert_eq!(world.answer_to(request), Some(Err(refused)));
}

#[test]
fn a_command_goes_from_stage_to_stage_with_what_was_filled_in() {
    let mut world = World::online();
    let step = |session: Option<&str>, action, form: Option<Form>| Ask::Command {
        node: "config".into(),
        action,
        session: session.map(str::to_owned),
        form,
    };
    let request = world.asks_service(step(None, CommandAction::Execute, None));
    let asked = world.answers(
        "<command xmlns='http://jabber.org/protocol/commands' sessionid='s1' node='config' status='executing'><actions execute='complete'><complete/></actions>
         <x xmlns='jabber:x:data' type='form'><field var='service' type='text-single'><required/></field></x></command>",
    );
    let command = asked.get_child("command", ns::COMMANDS).unwrap();
    assert_eq!((asked.attr("type"), command.attr("action")), (Some("set"), Some("execute")));
    assert_eq!((command.attr("node"), command.attr("sessionid")), (Some("config"), None));
    let Some(Ok(Reply::Stage(stage))) = world.answer_to(request) else { panic!("{:?}", world.replies) };
    assert_eq!(stage.status, CommandStatus::Executing);
    let mut form = stage.form.unwrap();

    // What is not complete does not leave.
    let request = world.asks_service(step(Some("s1"), CommandAction::Complete, Some(form.clone())));
    assert!(matches!(world.answer_to(request), Some(Err(Error::InvalidInput { .. }))));
    assert!(world.all("iq").is_empty());

    form.set("service", ["httpd"]).unwrap();
    let request = world.asks_service(step(Some("s1"), CommandAction::Complete, Some(form)));
    let asked = world.answers(
        "<command xmlns='http://jabber.org/protocol/commands' sessionid='s1' node='config' status='completed'><note type='info'>Done</note></command>",
    );
    let command = asked.get_child("command", ns::COMMANDS).unwrap();
    assert_eq!((command.attr("action"), command.attr("sessionid")), (Some("complete"), Some("s1")));
    let values: Vec<_> = whimbrel_proto::form::fields(command).collect();
    assert_eq!(values, [("service", "httpd".to_owned())]);
    let Some(Ok(Reply::Stage(stage))) = world.answer_to(request) else { panic!("{:?}", world.replies) };
    assert_eq!((stage.status, stage.notes[0].text.as_str()), (CommandStatus::Completed, "Done"));
}

#[test]
fn what_is_asked_is_answered_once_and_by_whom_it_went_to() {
    let mut world = World::online();
    let anything = |payload: &str| Ask::Anything { kind: RequestKind::Set, payload: payload.into() };
    let request = world.asks_service(anything("<move xmlns='urn:x:chess'>e4</move>"));
    let iq = world.next("iq");
    assert_eq!(iq.children().next().unwrap().ns(), "urn:x:chess");
    let id = iq.attr("id").unwrap().to_owned();
    world.acknowledge();
    for stranger in [JULIET, OWN, "capulet.lit"] {
        world.gets(&format!("<iq type='result' id='{id}' from='{stranger}'><lie xmlns='urn:x:chess'/></iq>"));
    }
    assert_eq!(world.answer_to(request), None);
    world.gets(&format!("<iq type='result' id='{id}' from='{SERVICE}'><ok xmlns='urn:x:chess'/></iq>"));
    let Some(Ok(Reply::Answer(Some(xml)))) = world.answer_to(request) else { panic!("{:?}", world.replies) };
    assert!(xml.contains("<ok") && xml.contains("urn:x:chess"), "{xml}");

    // Nobody answers.
    let request = world.asks_service(anything("<move xmlns='urn:x:chess'/>"));
    world.acknowledge();
    world.pass(59_000);
    assert_eq!(world.answer_to(request), None);
    world.pass(2_000);
    assert_eq!(world.answer_to(request), Some(Err(Error::TimedOut)));

    // What cannot be asked is said at once.
    let large = format!("<a xmlns='urn:x:chess'>{}</a>", "x".repeat(262_144));
    for bad in ["", "text", "<a/><b/>", "<a", "</iq><message/>", &large] {
        let request = world.asks_service(anything(bad));
        assert!(matches!(world.answer_to(request), Some(Err(Error::InvalidInput { .. }))), "{bad:.20}");
    }
    world.cut();
    let request = world.asks_service(Ask::Info { node: None });
    assert_eq!(world.answer_to(request), Some(Err(Error::Offline)));
}

#[test]
fn who_waits_for_a_service_hears_when_the_session_is_gone() {
    let mut world = World::online();
    let request = world.asks_service(Ask::Info { node: None });
    world.acknowledge();
    world.away_and_back();
    assert_eq!(world.answer_to(request), Some(Err(Error::Offline)));
}
