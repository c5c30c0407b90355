//! The read position on all devices (XEP-0490).

use super::{
    archive::{counted_archive, counted_live},
    pubsub::event,
    *,
};

impl World {
    /// Online with nodes of our own, three messages from Juliet, and the node asked.
    fn reader() -> Self {
        let mut world = Self::with_nodes();
        for n in 1..=3 {
            world.gets(&live(n));
        }
        world
    }

    fn marks_read(&mut self) {
        assert_eq!(self.does(Command::MarkRead { with: juliet() }), Some(Ok(Reply::Done)));
    }

    /// What our devices were told since somebody looked: with whom, up to which id.
    fn told_devices(&mut self) -> Vec<(Element, String)> {
        let told = |iq: &Element| {
            let item =
                iq.get_child("pubsub", ns::PUBSUB)?.get_child("publish", ns::PUBSUB)?.children().next()?;
            let id = item.children().next()?.children().next()?;
            assert_eq!((id.name(), id.attr("by")), ("stanza-id", Some(OWN)));
            Some(format!("{} {}", item.attr("id")?, id.attr("id")?))
        };
        let (publishing, rest): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.wrote).into_iter().partition(|iq| told(iq).is_some());
        self.wrote = rest;
        publishing.into_iter().map(|iq| (iq.clone(), told(&iq).unwrap())).collect()
    }

    fn told_texts(&mut self) -> Vec<String> {
        self.told_devices().into_iter().map(|(_, text)| text).collect()
    }

    /// The archive is compared behind a resumption. What our devices are told then.
    fn compares(&mut self) -> Vec<String> {
        self.cut();
        self.reconnect(Resume::Accept);
        self.acknowledge();
        self.pass_online(70_000);
        assert!(self.has_query());
        let mut told = self.told_texts();
        while self.serve_one().is_some() {
            told.extend(self.told_texts());
        }
        self.acknowledge();
        self.pass(5_000);
        told.extend(self.told_texts());
        told
    }

    fn unread(&self) -> i64 {
        self.count("SELECT coalesce(sum(unread), 0) FROM conversation")
    }
}

fn item(with: &str, id: &str) -> String {
    format!(
        "<item id='{with}'><displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='{id}'/></displayed></item>"
    )
}

fn elsewhere(with: &str, id: &str) -> String {
    event(OWN, ns::DISPLAYED, &item(with, id))
}

fn with_origin(message: &str, n: u32) -> String {
    message.replace("</body>", &format!("</body><origin-id xmlns='urn:xmpp:sid:0' id='j{n}'/>"))
}

/// The message of this number, live under another of the archive's ids.
fn resent(n: u32, id: u32) -> String {
    with_origin(&live(n).replace(&format!("id='a{n}'"), &format!("id='a{id}'")), n)
}

#[test]
fn marker_that_names_a_correction_is_about_what_it_corrects() {
    let mut world = World::reader();
    let replaces = "<replace xmlns='urn:xmpp:message-correct:0' id='j1'/>";
    world.gets(&live(4).replace("</body>", &format!("</body>{replaces}")));
    let marks = |world: &mut World, id: &str| {
        let read = format!("<displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/>");
        let inner =
            format!("<message xmlns='jabber:client' from='{OWN}/tablet' to='{JULIET}'>{read}</message>");
        world.gets(&carbon(OWN, "sent", &inner));
    };
    // It stood alone there: of what came between the tablet had nothing.
    marks(&mut world, "j4");
    assert_eq!(world.unread(), 2);
    marks(&mut world, "j3");
    assert_eq!(world.unread(), 0);
}

#[test]
fn what_is_read_is_said_once_and_while_reading_on_every_few_seconds() {
    let mut world = World::reader();
    world.marks_read();
    let told = world.told_devices();
    assert_eq!(told[0].1, format!("{JULIET} a3"));
    let form =
        told[0].0.get_child("pubsub", ns::PUBSUB).unwrap().get_child("publish-options", ns::PUBSUB).unwrap();
    let fields: Vec<_> = whimbrel_proto::form::fields(form).collect();
    assert!(fields.contains(&("pubsub#access_model", "whitelist".into())));
    assert!(fields.contains(&("pubsub#send_last_published_item", "never".into())));
    world.acknowledge();
    let id = told[0].0.attr("id").unwrap();
    world.gets(&format!("<iq type='result' id='{id}'/>"));
    // The same again is nothing new; what follows is said as one.
    world.marks_read();
    for n in 4..=6 {
        world.pass(500);
        world.gets(&live(n));
        world.marks_read();
    }
    assert!(world.told_texts().is_empty());
    world.pass(5_000);
    assert_eq!(world.told_texts(), [format!("{JULIET} a6")]);
    world.pass(60_000);
    assert!(world.told_texts().is_empty());
}

#[test]
fn what_was_read_offline_is_said_after_a_kill_once_the_node_was_asked() {
    let mut world = World::reader();
    world.cut();
    world.marks_read();
    world.kill();
    world.reconnect(Resume::Accept);
    assert_eq!(world.told_texts(), [format!("{JULIET} a3")]);
    // Nobody knows whether it arrived, and another device has read on: the node is asked, and is newer.
    world.away_and_back();
    assert!(world.told_texts().is_empty());
    world.server.archive = archived(1..6);
    world.server.displayed = item(JULIET, "a5");
    world.serve();
    assert!(world.told_texts().is_empty());
    assert_eq!((world.unread(), world.sees().len()), (0, 5));
    world.gets(&live(6));
    world.pass(5_000);
    assert!(world.told_texts().is_empty());
    world.marks_read();
    assert_eq!(world.told_texts(), [format!("{JULIET} a6")]);
    // Nothing newer is there: what was under way is said again.
    world.away_and_back();
    world.serve();
    world.pass(5_000);
    assert_eq!(world.told_texts(), [format!("{JULIET} a6")]);
}

#[test]
fn what_is_read_elsewhere_is_read_here_and_never_unread() {
    let mut world = World::reader();
    assert_eq!(world.unread(), 3);
    world.gets(&elsewhere(JULIET, "a2"));
    assert_eq!(world.unread(), 1);
    world.gets(&elsewhere(JULIET, "a3"));
    assert_eq!(world.unread(), 0);
    world.pass(10_000);
    assert!(world.told_texts().is_empty());
}

/// 2 came before 1, and another device has read 1; here both were on the screen, or nothing was.
#[test]
fn what_was_read_elsewhere_does_not_cover_what_stood_below_it_by_mistake() {
    for is_read_here in [false, true] {
        let mut world = World::with_nodes();
        let archive = counted_archive(0..3);
        world.gets(&counted_live(0));
        world.gets(&elsewhere(JULIET, &archive[0].id));
        world.cut();
        world.reconnect(Resume::Accept);
        world.acknowledge();
        world.server.archive = archive.clone();
        world.gets(&counted_live(2));
        world.gets(&elsewhere(JULIET, &archive[1].id));
        world.gets(&counted_live(1));
        if is_read_here {
            world.does(Command::MarkRead { with: juliet() });
        }
        world.serve();
        world.pass(10_000);
        assert_eq!(world.sees(), numbers(0..3));
        assert_eq!(world.unread(), i64::from(!is_read_here));
        let above = "SELECT count(*) FROM message AS m JOIN conversation AS c ON c.id = m.conversation WHERE m.position > c.read_position";
        assert_eq!(world.count(above), i64::from(!is_read_here));
    }
}

#[test]
fn read_position_that_does_not_say_of_which_archive_is_of_ours() {
    let mut world = World::reader();
    world.gets(&elsewhere(JULIET, "a2").replace(&format!(" by='{OWN}'"), ""));
    assert_eq!(world.unread(), 1);
}

#[test]
fn what_stands_before_a_resend_was_read_with_it() {
    let mut world = World::reader();
    for message in [resent(7, 7), live(8), live(9), resent(7, 10), live(11)] {
        world.gets(&message);
    }
    assert_eq!((world.unread(), world.sees().len()), (7, 7));
    world.gets(&elsewhere(JULIET, "a10"));
    assert_eq!(world.unread(), 1);
}

/// The first answer is of the first publication.
#[test]
fn what_is_read_on_while_something_is_on_its_way_is_told_and_has_its_own_answer() {
    for is_answered in [false, true] {
        let mut world = World::reader();
        world.marks_read();
        let first = world.told_devices().remove(0).0;
        world.gets(&live(4));
        world.marks_read();
        world.pass(5_000);
        let second = world.told_devices().remove(0);
        assert_eq!(second.1, format!("{JULIET} a4"));
        let mut answered = vec![&first];
        answered.extend(is_answered.then_some(&second.0));
        for iq in answered {
            world.acknowledge();
            world.gets(&format!("<iq type='result' id='{}'/>", iq.attr("id").unwrap()));
        }
        world.server.archive = archived(1..5);
        world.away_and_back();
        world.serve();
        world.pass(5_000);
        let again: &[String] = if is_answered { &[] } else { &[format!("{JULIET} a4")] };
        assert_eq!(world.told_texts(), again);
    }
}

#[test]
fn what_another_device_read_further_is_waited_for_behind_an_echo_of_ours() {
    let mut world = World::reader();
    world.marks_read();
    world.told_texts();
    world.gets(&elsewhere(JULIET, "a5"));
    world.gets(&elsewhere(JULIET, "a3"));
    world.gets(&live(4));
    world.gets(&live(5));
    assert_eq!(world.unread(), 0);
    // The node was left behind.
    world.pass(5_000);
    assert_eq!(world.told_texts(), [format!("{JULIET} a5")]);
}

/// The resend came live and was read on another device; its first copy is in a gap below what came between.
#[test]
fn what_was_read_before_a_resend_stays_read_when_that_moves_to_its_first_copy() {
    let mut world = World::reader();
    world.away_and_back();
    for message in [live(5), live(6), resent(4, 7)] {
        world.gets(&message);
    }
    let read = "<displayed xmlns='urn:xmpp:chat-markers:0' id='j4'/>";
    let marker = format!("<message xmlns='jabber:client' from='{OWN}/tablet' to='{JULIET}'>{read}</message>");
    world.gets(&carbon(OWN, "sent", &marker));
    assert_eq!(world.unread(), 0);
    world.server.archive = archived(1..8);
    let message = with_origin(&world.server.archive[3].message, 4);
    for copy in [3, 6] {
        world.server.archive[copy].message.clone_from(&message);
    }
    world.serve();
    assert_eq!(world.sees(), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(world.unread(), 0);
}

#[test]
fn who_says_less_than_what_was_read_is_corrected_and_not_for_ever() {
    let mut world = World::reader();
    world.gets(&elsewhere(JULIET, "a2"));
    // A device that was in a tunnel says late how far it had read before.
    world.gets(&elsewhere(JULIET, "a1"));
    assert_eq!(world.unread(), 1);
    let mut said = 0;
    for _ in 0..100 {
        for (iq, text) in world.told_devices() {
            assert_eq!(text, format!("{JULIET} a2"));
            world.acknowledge();
            world.gets(&format!("<iq type='result' id='{}'/>", iq.attr("id").unwrap()));
            said += 1;
        }
        world.gets(&elsewhere(JULIET, "a1"));
        world.pass(5_000);
    }
    assert_eq!(said, 1, "whoever says the same again is left alone");
    assert_eq!(world.unread(), 1);
}

#[test]
fn what_nobody_answers_is_asked_and_said_again_ever_more_seldom() {
    let mut world = World::reader();
    world.marks_read();
    assert_eq!(world.told_texts(), [format!("{JULIET} a3")]);
    let mut times = Vec::new();
    for minute in 0..240 {
        world.acknowledge();
        world.pass(60_000);
        times.extend(world.told_texts().iter().map(|_| minute));
    }
    assert!((3..6).contains(&times.len()), "{times:?}");
    let waits: Vec<_> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(waits.is_sorted() && waits[0] >= 10, "{times:?}");
}

#[test]
fn position_that_is_not_here_yet_waits_for_its_message() {
    let mut world = World::reader();
    world.gets(&elsewhere(JULIET, "a5"));
    assert_eq!(world.unread(), 3);
    world.kill();
    world.server.archive = archived(1..8);
    world.reconnect(Resume::Refuse);
    world.server.displayed = item(JULIET, "a5");
    world.serve();
    // 6 and 7 were read nowhere.
    assert_eq!((world.unread(), world.sees().len()), (2, 7));
    // Live, too.
    world.gets(&elsewhere(JULIET, "a9"));
    world.gets(&live(8));
    world.gets(&live(9));
    assert_eq!(world.unread(), 0);
    world.gets(&live(10));
    assert_eq!(world.unread(), 1);
}

#[test]
fn news_take_back_what_was_read_elsewhere() {
    let mut world = World::reader();
    let Some(Ok(Reply::News(news))) = world.does(Command::News) else { panic!("no news") };
    assert_eq!((news.notify.len(), news.unread), (3, 3));
    world.gets(&elsewhere(JULIET, "a2"));
    let Some(Ok(Reply::News(news))) = world.does(Command::News) else { panic!("no news") };
    assert_eq!((news.withdraw.len(), news.unread), (2, 1));
}

#[test]
fn what_is_to_be_said_is_said_before_hanging_up() {
    let mut world = World::reader();
    world.marks_read();
    world.told_texts();
    world.acknowledge();
    world.gets(&live(4));
    world.marks_read();
    assert!(world.told_texts().is_empty());
    world.does(Command::Suspend { seen: true });
    assert!(world.hung_up);
    assert_eq!(world.told_texts(), [format!("{JULIET} a4")]);
}

#[test]
fn server_without_conditions_is_not_told_whom_we_read() {
    let mut world = World::online();
    world.gets(&live(1));
    world.marks_read();
    world.pass(10_000);
    assert!(world.told_texts().is_empty());
    assert_eq!(world.unread(), 0);
}

/// The second one the archive names later, or never.
#[test]
fn what_the_archive_has_not_named_does_not_hold_back_how_far_was_read() {
    for is_refused in [false, true] {
        let mut world = World::with_nodes();
        world.gets(&live(1));
        world.gets(&from_juliet("id='j2'", "<body>2</body>"));
        world.marks_read();
        let (iq, text) = world.told_devices().remove(0);
        assert_eq!(text, format!("{JULIET} a1"));
        world.acknowledge();
        let id = iq.attr("id").unwrap();
        world.gets(&if is_refused {
            format!("<iq type='error' id='{id}'><error type='cancel'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
        } else {
            format!("<iq type='result' id='{id}'/>")
        });
        world.server.archive = archived(1..2);
        for _ in 0..3 {
            assert!(world.compares().is_empty(), "refused: {is_refused}");
        }
        world.server.archive = archived(1..3);
        assert_eq!(world.compares(), [format!("{JULIET} a2")], "refused: {is_refused}");
        assert!(world.compares().is_empty());
    }
}

#[test]
fn marker_names_the_newest_message_that_wants_one() {
    let mut world = World::online();
    let markable = "<markable xmlns='urn:xmpp:chat-markers:0'/>";
    world.gets(&from_juliet("id='j1'", &format!("<body>one</body>{markable}")));
    world.gets(&from_juliet("id='j2'", &format!("<body>two</body>{markable}")));
    world.gets(&from_juliet("id='j3'", "<body>by other software</body>"));
    let marked = |world: &mut World| {
        world.marks_read();
        let sent = world.all("message");
        let markers = sent.iter().filter_map(|message| message.get_child("displayed", ns::CHAT_MARKERS));
        markers.filter_map(|marker| marker.attr("id").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(marked(&mut world), ["j2"]);
    // What was read before is not marked again.
    world.gets(&from_juliet("id='j4'", "<body>four</body>"));
    assert!(marked(&mut world).is_empty());
}

mod hostile {
    use super::*;

    #[test]
    fn forged_read_position_by_a_node() {
        let mut world = World::reader();
        let mine = item(JULIET, "a3");
        for from in [JULIET, "romeo@montague.lit/tablet", "montague.lit", "romeo@capulet.lit", ""] {
            world.gets(&event(from, ns::DISPLAYED, &mine));
        }
        let inner = elsewhere(JULIET, "a3").replacen("<message", "<message xmlns='jabber:client'", 1);
        world.gets(&carbon(OWN, "received", &inner));
        // Of another archive, of another conversation, of nobody, of nothing.
        for item in [
            mine.replace(OWN, JULIET),
            item("nurse@capulet.lit", "a3"),
            item("@", "a3"),
            item(JULIET, ""),
            mine.replace(ns::DISPLAYED, "urn:x"),
            format!("<item id='{JULIET}'/>"),
            item(JULIET, &"x".repeat(2_000)),
        ] {
            world.gets(&event(OWN, ns::DISPLAYED, &item));
        }
        assert_eq!(world.unread(), 3);
        // Ten thousand contacts at once.
        let many: String = (0..10_000).map(|n| item(&format!("n{n}@capulet.lit"), "a3")).collect();
        world.gets(&event(OWN, ns::DISPLAYED, &many));
        assert!(world.count("SELECT count(*) FROM displayed") <= 500);
        world.gets(&elsewhere(JULIET, "a3"));
        assert_eq!(world.unread(), 0);
    }
}

/// What is told anew goes to the end of a node, and what stood behind it is a place further up: a page behind the first one may have
/// missed it.
#[test]
fn node_that_has_shifted_is_read_again_by_whichever_process_ends_its_pages() {
    let mut world = World::with_nodes();
    world.cut();
    world.reconnect(Resume::Refuse);
    let answers = |world: &mut World, index: usize| {
        world.acknowledge();
        let about = |iq: &Element| String::from(iq).contains(ns::DISPLAYED) && iq.attr("type") == Some("get");
        let at = world.wrote.iter().position(about)?;
        let iq = world.wrote.remove(at).unwrap();
        let id = iq.attr("id").unwrap().to_owned();
        world.gets(&format!(
            "<iq type='result' id='{id}'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{}'>{}</items>
             <set xmlns='http://jabber.org/protocol/rsm'><first index='{index}'>x</first><last>y</last><count>2</count></set></pubsub></iq>",
            ns::DISPLAYED,
            item(JULIET, "a1")
        ));
        Some(iq)
    };
    assert!(answers(&mut world, 0).is_some());
    world.gets(&elsewhere("nurse@capulet.lit", "a2"));
    world.acknowledge();
    let mut asked = std::mem::take(&mut world.wrote);
    world.kill();
    world.reconnect(Resume::Accept);
    asked.append(&mut world.wrote);
    world.wrote = asked;
    let second = answers(&mut world, 1).expect("the second page");
    assert!(String::from(&second).contains("<after>y</after>"));
    world.pass(100);
    let again = answers(&mut world, 0).expect("it is read again");
    assert!(!String::from(&again).contains("<after>"));
    assert!(answers(&mut world, 1).is_some());
    assert!(answers(&mut world, 0).is_none(), "and once");
}
