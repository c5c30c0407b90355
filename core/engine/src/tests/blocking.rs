//! Blocking and reporting (XEP-0191, 0377), groups and names of contacts.

use super::*;
use crate::{
    api::{Contact, Report, ReportReason},
    blocking, roster,
};

const NURSE: &str = "nurse@capulet.lit";

impl World {
    fn blocks(&mut self, jid: &str, report: Option<Report>) {
        let reply = self.does(Command::Block { jid: jid.parse().unwrap(), report });
        assert_eq!(reply, Some(Ok(Reply::Done)));
    }

    fn blocked(&self) -> Vec<String> {
        blocking::blocked(&self.file()).unwrap().iter().map(ToString::to_string).collect()
    }

    /// The id of what says so.
    pub(super) fn says_block(&mut self, name: &str) -> Option<String> {
        let is_it = |iq: &Element| iq.children().any(|child| child.is(name, ns::BLOCKING));
        let at = self.wrote.iter().position(is_it)?;
        Some(self.wrote.remove(at)?.attr("id")?.to_owned())
    }

    /// Time passes, and the server goes on talking without an answer.
    pub(super) fn pass_online(&mut self, millis: u64) {
        for _ in 0..millis / 10_000 {
            self.acknowledge();
            self.pass(10_000);
        }
    }

    /// The list is asked for, and is this.
    fn lists(&mut self, jids: &[&str]) {
        let id = self.says_block("blocklist").expect("the list is asked for");
        self.gets(&format!("<iq type='result' id='{id}'>{}</iq>", block("blocklist", jids)));
    }

    fn pushes(&mut self, from: &str, content: &str) -> Element {
        self.gets(&format!("<iq type='set' id='p' {from}>{content}</iq>"));
        self.next("iq")
    }

    fn contact(&self, jid: &str) -> Contact {
        roster::contacts(&self.file())
            .unwrap()
            .into_iter()
            .find(|contact| contact.jid.as_str() == jid)
            .unwrap()
    }
}

fn block(name: &str, jids: &[&str]) -> String {
    let items: String = jids.iter().map(|jid| format!("<item jid='{jid}'/>")).collect();
    format!("<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>")
}

#[test]
fn list_is_asked_for_and_follows_what_changes() {
    let mut world = World::new();
    world.connect();
    let asked = world.wrote.iter().find(|iq| iq.children().any(|child| child.name() == "blocklist")).unwrap();
    let id = asked.attr("id").unwrap().to_owned();
    world.gets(&format!(
        "<iq type='result' id='{id}'>{}</iq>",
        block("blocklist", &[NURSE, "tybalt.lit", "@"])
    ));
    assert_eq!(world.blocked(), [NURSE, "tybalt.lit"]);
    world.all("iq");
    assert_eq!(world.pushes("", &block("block", &["paris@verona.lit"])).attr("type"), Some("result"));
    world.pushes(&format!("from='{OWN}'"), &block("unblock", &[NURSE]));
    assert_eq!(world.blocked(), ["paris@verona.lit", "tybalt.lit"]);
    world.pushes("", &block("unblock", &[]));
    assert!(world.blocked().is_empty());
}

#[test]
fn who_is_blocked_offline_is_blocked_once_there_is_a_session() {
    let mut world = World::online();
    world.gets(&live(1));
    world.cut();
    world.blocks(JULIET, None);
    assert_eq!(world.blocked(), [JULIET]);
    assert!(world.contact(JULIET).blocked);
    assert!(timeline::conversations(&world.file()).unwrap()[0].blocked);
    // Nobody is woken for what she wrote before.
    let Some(Ok(Reply::News(news))) = world.does(Command::News) else { panic!("no news") };
    assert!(news.notify.is_empty());
    world.kill();
    world.reconnect(Resume::Refuse);
    let said = |iq: &&Element| iq.children().any(|child| child.is("block", "urn:xmpp:blocking"));
    let id = world.wrote.iter().find(said).unwrap().attr("id").unwrap().to_owned();
    // It goes before the question for the list, which would not have her otherwise.
    let place =
        |name: &str| world.wrote.iter().position(|iq| iq.children().any(|child| child.name() == name));
    assert!(place("block") < place("blocklist"));
    world.gets(&format!("<iq type='error' id='{id}'><error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"));
    assert!(world.blocked().is_empty());
    assert!(!world.contact(JULIET).blocked);
}

#[test]
fn what_is_decided_stands_over_the_list_until_the_server_has_answered() {
    let mut world = World::online();
    // The server has read it, and its answer goes with the session: then the list tells.
    world.blocks(JULIET, None);
    assert!(world.says_block("block").is_some());
    world.acknowledge();
    world.away_and_back();
    world.lists(&[NURSE]);
    assert_eq!(world.blocked(), [JULIET, NURSE]);
    assert!(world.says_block("block").is_some(), "it is not listed, so it is said again");
    world.kill();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    world.wrote.clear();
    // Nobody answers, but it was done.
    world.pass_online(680_000);
    world.lists(&[JULIET, NURSE]);
    world.acknowledge();
    assert_eq!(world.says_block("block"), None);
    assert_eq!(world.blocked(), [JULIET, NURSE]);
    assert_eq!(world.count("SELECT count(*) FROM blocked WHERE wanted IS NOT NULL"), 0);
}

#[test]
fn of_two_decisions_the_last_one_counts_whichever_is_answered() {
    let mut world = World::online();
    world.does(Command::Unblock { jid: JULIET.parse().unwrap() });
    world.blocks(JULIET, None);
    let first = world.says_block("unblock").unwrap();
    world.gets(&format!("<iq type='result' id='{first}'/>"));
    assert_eq!(world.blocked(), [JULIET]);
    // The last one is answered before the one that nobody answers.
    world.does(Command::Unblock { jid: NURSE.parse().unwrap() });
    world.wrote.clear();
    world.acknowledge();
    world.blocks(NURSE, None);
    let last = world.says_block("block").unwrap();
    world.gets(&format!("<iq type='result' id='{last}'/>"));
    assert_eq!(
        world.count("SELECT wanted IS NULL AND listed FROM blocked WHERE jid = 'nurse@capulet.lit'"),
        1
    );
    // What waits for a session is not said once something else is decided.
    world.acknowledge();
    world.cut();
    world.blocks("tybalt.lit", Some(Report { reason: ReportReason::Spam, text: None, messages: Vec::new() }));
    world.does(Command::Unblock { jid: "tybalt.lit".parse().unwrap() });
    world.reconnect(Resume::Refuse);
    assert!(world.says_block("unblock").is_some());
    assert_eq!(world.says_block("block"), None);
    assert_eq!(world.blocked(), [JULIET, NURSE]);
}

#[test]
fn push_of_what_was_decided_is_an_answer_and_the_next_one_counts() {
    let mut world = World::online();
    world.blocks(JULIET, None);
    world.pushes("", &block("block", &[JULIET]));
    // The answer is lost, and another device takes it back.
    world.pushes("", &block("unblock", &[JULIET]));
    world.wrote.clear();
    world.pass_online(680_000);
    world.lists(&[]);
    assert_eq!((world.says_block("block"), world.blocked().len()), (None, 0));
}

#[test]
fn list_that_nobody_has_said_is_asked_for_by_the_next_process() {
    let mut world = World::online();
    world.away_and_back();
    assert!(world.says_block("blocklist").is_some());
    world.pass_online(70_000);
    assert_eq!(world.says_block("blocklist"), None, "not before ten minutes are over");
    world.kill();
    world.reconnect(Resume::Accept);
    assert_eq!(world.says_block("blocklist"), None, "a push may have woken it");
    world.pass_online(70_000);
    world.lists(&[JULIET]);
    world.pass_online(680_000);
    assert_eq!((world.says_block("blocklist"), world.blocked()), (None, vec![JULIET.to_owned()]));
}

#[test]
fn longest_list_is_kept_however_often_it_comes() {
    let mut world = World::online();
    let all: Vec<String> = (0..10_050).map(|n| format!("n{n}@verona.lit")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for _ in 0..3 {
        world.away_and_back();
        world.lists(&all);
        assert_eq!(world.blocked().len(), 10_000);
        world.acknowledge();
    }
    world.pushes("", &block("block", &[all[0]]));
    assert_eq!(world.blocked().len(), 10_000);
}

#[test]
fn what_the_server_refuses_is_as_its_list_says() {
    let mut world = World::online();
    let refuse = |world: &mut World, command: Command| {
        world.does(command);
        let id = world.next("iq").attr("id").unwrap().to_owned();
        world.gets(&format!("<iq type='error' id='{id}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"));
        world.acknowledge();
    };
    refuse(&mut world, Command::Unblock { jid: JULIET.parse().unwrap() });
    assert!(world.blocked().is_empty(), "who was not blocked is not blocked now");
    world.pushes("", &block("block", &[NURSE]));
    refuse(&mut world, Command::Unblock { jid: NURSE.parse().unwrap() });
    refuse(&mut world, Command::Block { jid: JULIET.parse().unwrap(), report: None });
    assert_eq!(world.blocked(), [NURSE]);
}

/// Nobody could be unblocked there.
#[test]
fn server_that_knows_of_no_list_any_more_holds_nobody_back() {
    for (condition, left) in
        [("internal-server-error", 1), ("service-unavailable", 0), ("feature-not-implemented", 0)]
    {
        let mut world = World::online();
        world.pushes("", &block("block", &[NURSE]));
        world.acknowledge();
        world.away_and_back();
        let id = world.says_block("blocklist").expect("the list is asked for");
        world.gets(&format!("<iq type='error' id='{id}'><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"));
        assert_eq!(world.blocked().len(), left, "{condition}");
        world.does(Command::Unblock { jid: NURSE.parse().unwrap() });
        assert!(world.blocked().is_empty());
    }
}

#[test]
fn report_says_why_and_names_messages_as_the_archive_does() {
    let mut world = World::online();
    world.gets(&live(1));
    let number = world.count("SELECT id FROM message");
    let messages = vec![ItemId(number.to_string()), ItemId("7777".into()), ItemId("no".into())];
    world.blocks(JULIET, Some(Report { reason: ReportReason::Spam, text: Some("a < b".into()), messages }));
    let iq = world.next("iq");
    let item = iq.get_child("block", "urn:xmpp:blocking").unwrap().children().next().unwrap();
    let report = item.get_child("report", "urn:xmpp:reporting:1").unwrap();
    assert_eq!(report.attr("reason"), Some("urn:xmpp:reporting:spam"));
    let named: Vec<_> = report.children().filter_map(|child| child.attr("id")).collect();
    assert_eq!(named, ["a1"]);
    assert_eq!(report.get_child("text", "urn:xmpp:reporting:1").unwrap().text(), "a < b");
}

#[test]
fn contact_keeps_its_groups_when_asked_again_and_has_others_when_edited() {
    let mut world = World::online();
    world.pushes("", &format!("<query xmlns='jabber:iq:roster' ver='2'><item jid='{JULIET}' name='J' subscription='both' approved='true'><group>Friends</group></item></query>"));
    let contact = world.contact(JULIET);
    assert_eq!((contact.groups, contact.approved), (vec!["Friends".to_owned()], true));
    let groups = |iq: &Element| {
        let item = iq.get_child("query", ns::ROSTER).unwrap().children().next().unwrap();
        let groups: Vec<String> = item.children().map(Element::text).collect();
        (item.attr("name").map(str::to_owned), groups)
    };
    world.does(Command::AddContact { jid: juliet(), name: Some("Julia".into()) });
    assert_eq!(groups(&world.next("iq")), (Some("Julia".into()), vec!["Friends".to_owned()]));
    let edited = vec!["Family".to_owned(), "Verona & more".to_owned()];
    world.does(Command::EditContact { jid: juliet(), name: None, groups: edited.clone() });
    assert_eq!(groups(&world.next("iq")), (None, edited));
}

/// Whoever was asked and removed is not asked again behind that, which would bring them back.
#[test]
fn contact_that_was_removed_is_not_asked_again_by_another_session() {
    for first_cut in [true, false] {
        let mut world = World::online();
        world.does(Command::AddContact { jid: juliet(), name: Some("Julia".into()) });
        if first_cut {
            world.cut();
        }
        world.does(Command::RemoveContact { jid: juliet() });
        world.kill();
        world.reconnect(Resume::Refuse);
        let asks = |presence: &Element| presence.attr("type") == Some("subscribe");
        assert!(!world.all("presence").iter().any(asks));
        let removes = |iq: &Element| {
            let item =
                iq.get_child("query", ns::ROSTER).and_then(|query| query.get_child("item", ns::ROSTER));
            item.is_some_and(|item| item.attr("subscription") == Some("remove"))
        };
        assert!(world.all("iq").iter().any(removes));
    }
}

#[test]
fn contact_that_was_removed_and_added_again_offline_is_not_removed() {
    let mut world = World::online();
    world.cut();
    world.does(Command::RemoveContact { jid: juliet() });
    world.does(Command::AddContact { jid: juliet(), name: Some("Julia".into()) });
    world.reconnect(Resume::Refuse);
    let sets = world.all("iq").into_iter().filter(|iq| iq.attr("type") == Some("set"));
    let items: Vec<Element> =
        sets.filter_map(|iq| iq.get_child("query", ns::ROSTER)?.children().next().cloned()).collect();
    let said: Vec<_> = items.iter().map(|item| (item.attr("name"), item.attr("subscription"))).collect();
    assert_eq!(said, [(Some("Julia"), None)]);
}

/// An item is set as a whole, and what was decided last is not known to the server yet.
#[test]
fn contact_keeps_what_was_decided_offline_when_asked_again() {
    let mut world = World::online();
    world.cut();
    let groups = vec!["Family".to_owned()];
    world.does(Command::EditContact { jid: juliet(), name: Some("Julia".into()), groups });
    world.does(Command::AddInviter { jid: juliet(), name: None, token: "T".into() });
    world.reconnect(Resume::Refuse);
    let sets = world.all("iq").into_iter().filter(|iq| iq.attr("type") == Some("set"));
    let items: Vec<Element> =
        sets.filter_map(|iq| iq.get_child("query", ns::ROSTER)?.children().next().cloned()).collect();
    let said: Vec<_> =
        items.iter().map(|item| (item.attr("name"), item.children().map(Element::text).collect())).collect();
    assert_eq!(said, [(Some("Julia"), vec!["Family".to_owned()])]);
}

/// What comes behind a cut is about what was decided before.
#[test]
fn push_of_an_older_decision_is_no_answer_to_the_last_one() {
    let mut world = World::online();
    world.blocks(JULIET, None);
    world.does(Command::Unblock { jid: JULIET.parse().unwrap() });
    let ids = [world.says_block("block").unwrap(), world.says_block("unblock").unwrap()];
    world.cut();
    world.blocks(JULIET, None);
    world.reconnect(Resume::Accept);
    for (name, id) in ["block", "unblock"].into_iter().zip(ids) {
        world.gets(&format!("<iq type='set' id='{name}'>{}</iq>", block(name, &[JULIET])));
        world.gets(&format!("<iq type='result' id='{id}'/>"));
    }
    assert_eq!(world.blocked(), [JULIET]);
    // And that one is lost in the server.
    world.wrote.clear();
    world.pass_online(680_000);
    world.lists(&[]);
    assert_eq!(world.blocked(), [JULIET]);
    assert!(world.says_block("block").is_some());
}

mod hostile {
    use super::*;

    #[test]
    fn forged_blocklist_push() {
        let mut world = World::online();
        world.pushes("", &block("block", &[NURSE]));
        for from in [
            JULIET,
            "juliet@capulet.lit/balcony",
            "montague.lit",
            "romeo@montague.lit/tablet",
            "romeo@capulet.lit",
        ] {
            for name in ["block", "unblock"] {
                let answer = world.pushes(&format!("from='{from}'"), &block(name, &[JULIET, NURSE]));
                assert_eq!(answer.attr("type"), Some("error"));
                world.acknowledge();
            }
            let answer = world.pushes(&format!("from='{from}'"), &block("unblock", &[]));
            assert_eq!(answer.attr("type"), Some("error"));
        }
        assert_eq!(world.blocked(), [NURSE]);
        // Somebody of whom nothing can be made is not everybody.
        world.pushes("", &block("unblock", &["@"]));
        assert_eq!(world.blocked(), [NURSE]);
    }
}
