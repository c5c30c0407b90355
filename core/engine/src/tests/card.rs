//! Cards (XEP-0292, XEP-0054).

use whimbrel_proto::vcard::{Card, Line};

use super::{pubsub::path, *};
use crate::{api::Audience, card};

impl World {
    fn asks_for_card(&mut self, of: &str) -> RequestId {
        self.acknowledge();
        self.does(Command::Card { of: of.parse().unwrap() });
        RequestId(self.request)
    }

    fn sets_card(&mut self, card: Card, audience: Audience) -> Result<Reply, Error> {
        self.acknowledge();
        self.does(Command::SetCard { card: Box::new(card), audience }).unwrap()
    }

    fn kept(&self, of: &str) -> Option<Card> {
        card::known(&self.file(), &of.parse().unwrap()).unwrap().map(|known| known.card)
    }

    fn is_silent(&mut self) -> bool {
        self.acknowledge();
        self.all("iq").is_empty()
    }
}

fn named(name: &str) -> Card {
    Card { full_name: Some(name.to_owned()), ..Card::default() }
}

fn in_node(vcard: &str) -> String {
    format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'><item id='current'>{vcard}</item></items></pubsub>"
    )
}

fn answer(card: Card) -> Option<Result<Reply, Error>> {
    Some(Ok(Reply::Card(Box::new(card))))
}

/// What is published, and for whom.
fn published(iq: &Element) -> (Element, String) {
    let pubsub = iq.get_child("pubsub", ns::PUBSUB).unwrap();
    let item = pubsub.get_child("publish", ns::PUBSUB).unwrap().children().next().unwrap();
    let options = pubsub.get_child("publish-options", ns::PUBSUB).unwrap();
    let access = whimbrel_proto::form::fields(options).find(|(name, _)| *name == "pubsub#access_model");
    (item.children().next().unwrap().clone(), access.unwrap().1)
}

#[test]
fn card_is_read_where_it_is_and_kept_for_later() {
    let mut world = World::with_nodes();
    let request = world.asks_for_card(JULIET);
    let vcard = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Juliet</text></fn></vcard>";
    let iq = world.answers(&in_node(vcard));
    assert_eq!((path(&iq).as_str(), iq.attr("to")), ("get pubsub items", Some(JULIET)));
    assert_eq!(world.answer_to(request), answer(named("Juliet")));
    world.cut();
    world.kill();
    assert_eq!(world.kept(JULIET), Some(named("Juliet")));
    assert_eq!(world.does(Command::Card { of: juliet() }), Some(Err(Error::Offline)));

    // Of whoever shows none there, it is the old one; and that may be none, too.
    world.reconnect(Resume::Refuse);
    world.serve();
    let request = world.asks_for_card(JULIET);
    world.refuses("forbidden");
    let iq = world.answers("<vCard xmlns='vcard-temp'><FN>J. Capulet</FN></vCard>");
    assert_eq!((path(&iq).as_str(), iq.attr("to")), ("get vCard", Some(JULIET)));
    assert_eq!(world.answer_to(request), answer(named("J. Capulet")));
    let request = world.asks_for_card(JULIET);
    world.answers(&in_node(""));
    world.refuses("item-not-found");
    assert_eq!(world.answer_to(request), answer(Card::default()));
    assert_eq!(world.kept(JULIET), Some(Card::default()));
    // Whose server cannot be reached says nothing about it.
    let request = world.asks_for_card("nurse@verona.lit");
    world.refuses("remote-server-not-found");
    world.refuses("remote-server-not-found");
    assert!(matches!(world.answer_to(request), Some(Err(Error::ServerRefused { .. }))));
    assert_eq!(world.kept("nurse@verona.lit"), None);
}

#[test]
fn own_card_is_changed_for_contacts_and_what_is_not_known_stays() {
    let mut world = World::with_nodes();
    assert_eq!(world.sets_card(named("Romeo"), Audience::Contacts), Ok(Reply::Done));
    let before = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>R</text></fn><gender><sex>M</sex></gender></vcard>";
    world.answers(&in_node(before));
    let iq = world.answers("");
    let (vcard, access) = published(&iq);
    assert_eq!((Card::read(&vcard), access.as_str()), (Some(named("Romeo")), "presence"));
    assert!(vcard.has_child("gender", ns::VCARD4));
    assert!(world.is_silent(), "the other place is for everybody to see");
    assert_eq!(world.kept(OWN), Some(named("Romeo")));
}

#[test]
fn own_card_that_cannot_be_read_is_not_overwritten() {
    let mut world = World::with_nodes();
    world.sets_card(named("Romeo"), Audience::Everybody).unwrap();
    world.refuses("internal-server-error");
    assert!(world.is_silent());
    world.sets_card(named("Romeo"), Audience::Everybody).unwrap();
    world.refuses("item-not-found");
    world.answers("");
    world.refuses("not-authorized");
    assert!(world.is_silent());
    assert_eq!(world.kept(OWN), Some(named("Romeo")));
}

#[test]
fn own_card_that_was_asked_for_before_it_was_set_does_not_come_back() {
    let mut world = World::with_nodes();
    let request = world.asks_for_card(OWN);
    world.sets_card(named("Romeo"), Audience::Contacts).unwrap();
    let before = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>R</text></fn></vcard>";
    world.answers(&in_node(before));
    assert_eq!(world.answer_to(request), answer(named("R")));
    assert_eq!(world.kept(OWN), Some(named("Romeo")));
    world.answers(&in_node(before));
    assert_eq!(Card::read(&published(&world.answers("")).0), Some(named("Romeo")));
}

#[test]
fn own_card_for_everybody_is_where_old_software_looks_unless_the_server_shows_it_there() {
    let mut world = World::with_nodes();
    world.sets_card(named("Romeo"), Audience::Everybody).unwrap();
    world.refuses("item-not-found");
    let iq = world.answers("");
    assert_eq!(published(&iq).1, "open");
    world.answers("<vCard xmlns='vcard-temp'><FN>R</FN><PHOTO><BINVAL>AAAA</BINVAL></PHOTO></vCard>");
    let iq = world.answers("");
    let vcard = iq.get_child("vCard", ns::VCARD).unwrap();
    assert_eq!((iq.attr("type"), Card::read(vcard)), (Some("set"), Some(named("Romeo"))));
    assert!(vcard.has_child("PHOTO", ns::VCARD));
    assert!(world.is_silent());

    world.sets_card(named("Romeo M."), Audience::Everybody).unwrap();
    world.answers(&in_node(""));
    world.answers("");
    world.answers("<vCard xmlns='vcard-temp'><FN>Romeo M.</FN></vCard>");
    assert!(world.is_silent(), "the server has done it");
}

#[test]
fn card_that_was_set_offline_is_published_after_a_kill_and_however_often_the_session_ends() {
    let mut world = World::with_nodes();
    world.cut();
    let reply = world.does(Command::SetCard { card: Box::new(named("Romeo")), audience: Audience::Contacts });
    assert_eq!(reply, Some(Ok(Reply::Done)));
    world.kill();
    world.reconnect(Resume::Refuse);
    let is_about_card =
        |iq: &Element| iq.children().any(|child| String::from(child).contains(ns::VCARD4_NODE));
    let next = |world: &mut World| loop {
        let iq = world.serve_one().expect("a question about the card");
        if is_about_card(&iq) {
            break iq;
        }
    };
    assert_eq!(path(&next(&mut world)), "get pubsub items");
    // It has answered, and what is published is lost with the session.
    world.away_and_back();
    let iq = loop {
        let iq = next(&mut world);
        if iq.attr("type") == Some("set") {
            break iq;
        }
    };
    assert_eq!(Card::read(&published(&iq).0), Some(named("Romeo")));
}

#[test]
fn card_is_published_though_an_answer_went_with_its_session() {
    let mut world = World::with_nodes();
    world.sets_card(named("Romeo"), Audience::Contacts).unwrap();
    assert_eq!(path(&world.next("iq")), "get pubsub items");
    // The server has read the question.
    world.acknowledge();
    world.away_and_back();
    let question = loop {
        let iq = world.serve_one().expect("it is asked again");
        if iq.children().any(|child| String::from(child).contains(ns::VCARD4_NODE)) {
            break iq;
        }
    };
    assert_eq!(path(&question), "get pubsub items");
}

#[test]
fn step_of_a_card_that_nobody_answered_is_taken_again() {
    let mut world = World::with_nodes();
    let only_steps = |world: &mut World| world.wrote.retain(|stanza| String::from(stanza).contains("vcard"));
    world.sets_card(named("Romeo"), Audience::Everybody).unwrap();
    world.refuses("item-not-found");
    world.answers("");
    world.refuses("item-not-found");
    assert_eq!(path(&world.next("iq")), "set vCard FN");
    world.pass_online(70_000);
    only_steps(&mut world);
    assert!(world.wrote.is_empty(), "not before ten minutes are over");
    world.pass_online(600_000);
    only_steps(&mut world);
    // What is there is asked first: it may have arrived.
    assert_eq!(path(&world.refuses("item-not-found")), "get vCard");
    only_steps(&mut world);
    assert_eq!(path(&world.next("iq")), "set vCard FN");
    world.pass_online(70_000);
    world.kill();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    world.serve();
    world.pass_online(60_000);
    world.acknowledge();
    world.pass(1_000);
    only_steps(&mut world);
    assert_eq!(path(&world.refuses("item-not-found")), "get vCard");
    only_steps(&mut world);
    assert_eq!(path(&world.answers("")), "set vCard FN");
    world.pass_online(1_300_000);
    only_steps(&mut world);
    assert!(world.wrote.is_empty());
}

#[test]
fn card_for_contacts_is_not_shown_to_all_by_the_steps_of_the_one_before() {
    for taken_over in [true, false] {
        let mut world = World::with_nodes();
        world.sets_card(named("Romeo"), Audience::Everybody).unwrap();
        world.refuses("item-not-found");
        world.answers("");
        world.refuses("item-not-found");
        // It is written where all can see it, and nobody answers.
        assert_eq!(path(&world.next("iq")), "set vCard FN");
        if taken_over {
            world.acknowledge();
        }
        world.cut();
        let card = Box::new(named("R. Montague"));
        let reply = world.does(Command::SetCard { card, audience: Audience::Contacts });
        assert_eq!(reply, Some(Ok(Reply::Done)));
        world.reconnect(Resume::Refuse);
        let mut access = Vec::new();
        while let Some(iq) = world.serve_one() {
            assert!(!iq.children().any(|child| child.has_ns(ns::VCARD)), "{iq:?}");
            if iq.attr("type") == Some("set") && String::from(&iq).contains(ns::VCARD4_NODE) {
                access.push(published(&iq).1);
            }
        }
        assert_eq!(access, ["presence"]);
    }
}

#[test]
fn card_that_cannot_be_read_again_is_refused() {
    let mut world = World::with_nodes();
    let line = Line { value: "x".repeat(600), ..Line::default() };
    let refused = world.sets_card(Card { emails: vec![line], ..Card::default() }, Audience::Contacts);
    assert!(matches!(refused, Err(Error::InvalidInput { .. })), "{refused:?}");
    assert!(world.is_silent());
    assert_eq!(world.kept(OWN), None);
}

mod hostile {
    use super::*;

    #[test]
    fn vcard_bomb() {
        let mut world = World::with_nodes();
        // As large as a stanza may be, and of more people than are kept.
        let long = "<email><text>a</text></email>".repeat(5_000);
        let vcard = format!(
            "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>{long}<photo><uri>data:{}</uri></photo></vcard>",
            "A".repeat(90_000)
        );
        for n in 0..520 {
            let request = world.asks_for_card(&format!("n{n}@verona.lit"));
            let vcard = if n % 100 == 0 {
                in_node(&vcard)
            } else {
                in_node("<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>")
            };
            world.answers(&vcard);
            assert!(
                matches!(world.answer_to(request), Some(Ok(Reply::Card(card))) if card.emails.len() <= 16)
            );
            world.pass(1);
        }
        assert_eq!(world.count("SELECT count(*) FROM card"), 500);
        assert!(world.count("SELECT max(length(card)) FROM card") < 64 << 10);
        assert_eq!((world.kept("n0@verona.lit"), world.kept("n519@verona.lit").is_some()), (None, true));
        // Nobody asked.
        world.gets(&format!("<iq type='result' id='x' from='{JULIET}'>{}</iq>", in_node(&vcard)));
        assert_eq!(world.kept(JULIET), None);
    }
}
