//! Duplicates, order, receipts, markers, carbons, chat states (STREAM 19 and 20).

use super::*;
use crate::api::Subscription;

#[test]
fn send_repeated_with_the_same_id_is_one_message() {
    let mut world = World::online();
    let id = world.says("one");
    let again = Command::Send { id: id.clone(), to: juliet(), what: "one".into() };
    assert_eq!(world.does(again.clone()), Some(Ok(Reply::Sent { id: id.clone() })));
    world.kill();
    assert_eq!(world.does(again), Some(Ok(Reply::Sent { id: id.clone() })));
    let capitals = Command::Send { id: ItemId(id.0.to_uppercase()), to: juliet(), what: "one".into() };
    assert_eq!(world.does(capitals), Some(Ok(Reply::Sent { id })));
    world.reconnect(Resume::Accept);
    assert_eq!(world.sees(), ["> one"]);
}

#[test]
fn one_id_of_the_archive_is_one_message() {
    let mut world = World::online();
    world.gets(&live(1));
    world.gets(&live(1).replace("id='j1'", "id='other'"));
    assert_eq!(world.sees(), ["1"]);
}

#[test]
fn own_message_is_known_by_its_origin_id_from_any_device_of_ours() {
    let mut world = World::online();
    let id = world.says("one");
    let copy = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/phone.0' to='{JULIET}' id='{0}'><body>one</body><origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
        id.0
    );
    world.gets(&carbon(OWN, "sent", &copy));
    assert_eq!(world.sees(), ["> one"]);
}

#[test]
fn resend_archived_under_a_new_id_is_one_message() {
    let mut world = World::online();
    let origin = "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>";
    let stanza_id = |id: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='{id}'/>");
    world.gets(&from_juliet("id='o1'", &format!("<body>one</body>{origin}{}", stanza_id("a1"))));
    // After a fresh bind she sends from another resource.
    let again = from_juliet("id='o1'", &format!("<body>one</body>{origin}{}", stanza_id("a2")));
    world.gets(&again.replace("balcony", "orchard"));
    assert_eq!(world.sees(), ["one"]);
    assert_eq!(world.count("SELECT count(*) FROM archived"), 2, "known by both names");
}

#[test]
fn origin_id_used_for_another_text_is_another_message() {
    let mut world = World::online();
    let origin = "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>";
    world.gets(&from_juliet("id='o1'", &format!("<body>one</body>{origin}")));
    world.gets(&from_juliet("id='o1'", &format!("<body>two</body>{origin}")));
    assert_eq!(world.sees(), ["one", "two"]);
}

#[test]
fn bare_id_joins_only_a_row_that_no_archive_knows() {
    let mut world = World::online();
    // Came live without an id of the archive; the archive has it.
    world.gets(&from_juliet("id='b1'", "<body>one</body>"));
    world.gets(&from_juliet(
        "id='b1'",
        &format!("<body>one</body><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='a1'/>"),
    ));
    assert_eq!(world.sees(), ["one"]);
    // A bot that repeats its ids.
    world.gets(&from_juliet(
        "id='b1'",
        &format!("<body>one</body><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='a2'/>"),
    ));
    assert_eq!(world.sees(), ["one", "one"]);
}

#[test]
fn bot_that_repeats_itself_without_an_archive_is_heard_and_offline_copies_are_not_doubled() {
    let mut world = World::new();
    world.server.mam = false;
    world.connect();
    world.serve();
    world.gets(&from_juliet("id='1'", "<body>ping</body>"));
    world.gets(&from_juliet("id='1'", "<body>ping</body>"));
    assert_eq!(world.sees(), ["ping", "ping"]);
    world.gets(&from_juliet("id='2'", "<body>once</body>"));
    world.gets(&from_juliet(
        "id='2'",
        "<body>once</body><delay xmlns='urn:xmpp:delay' from='montague.lit' stamp='2026-11-20T00:00:00Z'/>",
    ));
    assert_eq!(world.sees(), ["ping", "ping", "once"]);
}

#[test]
fn own_message_stands_where_its_ack_arrived_and_those_behind_it_stay_behind() {
    let mut world = World::online();
    world.server.hears = false;
    world.says("one");
    world.says("two");
    world.gets(&live(1));
    assert_eq!(world.sees(), ["> one", "> two", "1"]);
    let h = world.server.h + 1;
    world.gets(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
    assert_eq!(world.sees(), ["1", "> one", "> two"]);
}

#[test]
fn what_was_kept_while_the_device_slept_came_when_the_server_says() {
    let mut world = World::online();
    world.gets(&live(1));
    world.acknowledge();
    let slept_at = world.now.wall;
    // Three hours without a step, and the first thing that it hears of is that the link is gone.
    world.now.wall += 3 * 3_600_000;
    world.cut();
    world.reconnect(Resume::Accept);
    let stamp = stamp::format(slept_at + 3_600_000);
    world.gets(&from_juliet(
        "id='kept'",
        &format!("<body>kept</body><delay xmlns='urn:xmpp:delay' from='montague.lit' stamp='{stamp}'/>"),
    ));
    assert_eq!(world.count("SELECT max(at) FROM message WHERE body = 'kept'"), slept_at + 3_600_000);
}

#[test]
fn stamp_of_a_contact_orders_nothing() {
    let mut world = World::online();
    world.cut();
    world.reconnect(Resume::Accept);
    world.gets(&live(1));
    for (n, stamp) in
        ["1999-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z", "yesterday"]
            .iter()
            .enumerate()
    {
        for by in ["montague.lit", JULIET] {
            world.gets(&from_juliet(
                &format!("id='d{n}{by}'"),
                &format!("<body>{n}</body><delay xmlns='urn:xmpp:delay' from='{by}' stamp='{stamp}'/>"),
            ));
        }
    }
    // forged_delay, extreme_time: each stands where it came, at the time it came.
    assert_eq!(world.sees(), ["1", "0", "0", "1", "1", "2", "2", "3", "3"]);
    assert_eq!(world.count(&format!("SELECT count(*) FROM message WHERE at <> {}", world.now.wall)), 0);
    assert_eq!(world.count("SELECT count(*) FROM message WHERE written_at IS NOT NULL"), 4);
}

#[test]
fn receipt_and_marker_move_a_message_forward_and_never_back() {
    let mut world = World::online();
    let ids = [world.says("one"), world.says("two")];
    world.acknowledge();
    world.gets(&receipt(&format!("{JULIET}/balcony"), &ids[1].0));
    assert_eq!(world.state(&ids[1]), SendState::Delivered);
    world.gets(&marker(&format!("{JULIET}/balcony"), &ids[1].0));
    world.gets(&receipt(&format!("{JULIET}/balcony"), &ids[1].0));
    assert_eq!(world.state(&ids[0]), SendState::Displayed, "a marker is about what is before it, too");
    assert_eq!(world.state(&ids[1]), SendState::Displayed);
}

#[test]
fn bounce_fails_a_message_and_a_late_receipt_corrects_it() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    world.gets(&bounce(&id, "remote-server-not-found"));
    assert_eq!(world.state(&id), SendState::Failed { reason: "remote-server-not-found".into() });
    world.gets(&receipt(&format!("{JULIET}/balcony"), &id.0));
    assert_eq!(world.state(&id), SendState::Delivered);
}

#[test]
fn message_that_wants_a_receipt_gets_one_from_a_friend_only() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>1</body><request xmlns='urn:xmpp:receipts'/>"));
    let receipts = world.all("message");
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].attr("to"), Some("juliet@capulet.lit/balcony"));
    // receipt_presence_leak
    let stranger = from_juliet("id='j2'", "<body>2</body><request xmlns='urn:xmpp:receipts'/>");
    world.gets(&stranger.replace(JULIET, "tybalt@capulet.lit"));
    // A copy, and one of our own.
    world.gets(&carbon(
        OWN,
        "received",
        &from_juliet("xmlns='jabber:client' id='j3'", "<body>3</body><request xmlns='urn:xmpp:receipts'/>"),
    ));
    assert!(world.all("message").is_empty());
}

#[test]
fn carbons_show_what_other_devices_sent_and_received() {
    let mut world = World::online();
    world.gets(&carbon(
        OWN,
        "received",
        &from_juliet("xmlns='jabber:client' id='j1'", "<body>to the tablet</body>"),
    ));
    world.gets(&carbon(
        OWN,
        "sent",
        &format!("<message xmlns='jabber:client' type='chat' from='{OWN}/tablet' to='{JULIET}' id='t1'><body>from the tablet</body></message>"),
    ));
    assert_eq!(world.sees(), ["to the tablet", "> from the tablet"]);
    // Read there is read here.
    assert_eq!(world.count("SELECT unread FROM conversation"), 1);
    world.gets(&carbon(
        OWN,
        "sent",
        &format!("<message xmlns='jabber:client' from='{OWN}/tablet' to='{JULIET}' id='t2'><displayed xmlns='urn:xmpp:chat-markers:0' id='j1'/></message>"),
    ));
    assert_eq!(world.count("SELECT unread FROM conversation"), 0);
}

#[test]
fn chat_states_go_only_to_those_who_may_know_them() {
    let composing = || Command::SetChatState { with: juliet(), state: crate::api::ChatState::Composing };
    let mut world = World::online();
    world.does(composing());
    assert_eq!(world.all("message").len(), 1, "not known yet");
    world.gets(&from_juliet("id='j1'", "<body>plain</body>"));
    world.does(composing());
    assert!(world.all("message").is_empty());
    world.says("one");
    assert!(!String::from(&world.next("message")).contains("chatstates"));
    world.gets(&from_juliet(
        "id='j2'",
        "<body>typed</body><active xmlns='http://jabber.org/protocol/chatstates'/>",
    ));
    world.does(composing());
    assert_eq!(world.all("message").len(), 1);
}

#[test]
fn whoever_typed_in_a_session_that_is_over_is_not_typing() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>one</body>"));
    world.gets(&from_juliet("id='j2'", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"));
    let typing = |world: &World| timeline::conversations(&world.file()).unwrap()[0].chat_state;
    assert_eq!(typing(&world), Some(crate::api::ChatState::Composing));
    world.cut();
    world.reconnect(Resume::Accept);
    assert_eq!(typing(&world), Some(crate::api::ChatState::Composing));
    world.cut();
    world.reconnect(Resume::Refuse);
    assert_eq!(typing(&world), None);
}

#[test]
fn roster_that_was_to_be_read_again_is_read_whole_by_a_new_session() {
    let mut world = World::online();
    let version = |world: &mut World| {
        let asked = world.all("iq");
        let roster = asked.iter().find_map(|iq| iq.get_child("query", ns::ROSTER)).expect("it is asked");
        roster.attr("ver").map(str::to_owned)
    };
    world.gets(&format!(
        "<iq type='set' id='push'><query xmlns='jabber:iq:roster' ver='2'><item jid='{JULIET}' subscription='both'/></query></iq>"
    ));
    world.cut();
    world.reconnect(Resume::Refuse);
    assert_eq!(version(&mut world).as_deref(), Some("2"));
    world.kill();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    // Once a day it is read whatever its version is; this time nobody answers.
    world.now.wall += 86_400_000;
    world.turn(vec![Input::Tick]);
    world.cut();
    world.kill();
    world.reconnect(Resume::Refuse);
    assert_eq!(version(&mut world).as_deref(), Some(""));
}

#[test]
fn roster_is_asked_for_where_a_push_takes_something_away() {
    fn push(world: &mut World, subscription: &str) -> (usize, Subscription) {
        world.wrote.clear();
        world.gets(&format!(
            "<iq type='set' id='push'><query xmlns='jabber:iq:roster' ver='2'>
             <item jid='{JULIET}' subscription='{subscription}'/></query></iq>"
        ));
        let asked = world.wrote.iter().filter(|iq| iq.attr("type") == Some("get")).count();
        world.serve();
        (asked, crate::roster::contacts(&world.file()).unwrap()[0].subscription)
    }
    let mut world = World::online();
    assert_eq!(push(&mut world, "both"), (0, Subscription::Both));
    // Overtaken by the one before: the server knows better.
    assert_eq!(push(&mut world, "to"), (1, Subscription::Both));
    world.server.roster = vec![(JULIET.into(), "from")];
    assert_eq!(push(&mut world, "from"), (1, Subscription::From));
    assert_eq!(push(&mut world, "from"), (0, Subscription::From));
}

#[test]
fn who_lets_us_see_them_since_now_is_told_again_what_we_want_to_hear_of() {
    let mut world = World::online();
    let mut said = |from: &str, to: &str| {
        for subscription in [from, to] {
            world.wrote.clear();
            world.gets(&format!(
                "<iq type='set' id='push'><query xmlns='jabber:iq:roster' ver='2'>
                 <item jid='nurse@capulet.lit' subscription='{subscription}'/></query></iq>"
            ));
        }
        let presences = world.all("presence");
        world.serve();
        presences.iter().filter(|presence| presence.has_child("c", ns::CAPS)).count()
    };
    assert_eq!(said("from", "both"), 1);
    assert_eq!(said("both", "both"), 0);
    assert_eq!(said("remove", "to"), 0);
    assert_eq!(said("to", "both"), 0, "what comes behind our own answer is heard");
}

#[test]
fn presence_is_kept_for_contacts_and_bounded() {
    let mut world = World::online();
    let there = |world: &World| {
        crate::roster::contacts(&world.file()).unwrap().iter().any(|contact| contact.available)
    };
    world.gets(&format!("<presence from='{OWN}/tablet'/>"));
    world.gets("<presence from='tybalt@capulet.lit/x'/>");
    assert_eq!(world.count("SELECT count(*) FROM presence"), 0);
    for n in 0..500 {
        world.gets(&format!("<presence from='{JULIET}/{n}'/>"));
    }
    assert_eq!(world.count("SELECT count(*) FROM presence"), 64);
    assert!(there(&world));
    world.gets(&format!("<presence type='error' from='{JULIET}'/>"));
    assert!(!there(&world));
    for n in 0..1_200 {
        world.gets(&format!("<presence type='subscribe' from='{n}@verona.lit'/>"));
    }
    assert_eq!(world.count("SELECT count(*) FROM subscription_request"), 1_000);
}

#[test]
fn message_flood_under_one_name() {
    let mut world = World::online();
    let own = world.says("mine");
    // Each of these names is also that of a message of ours, and of those before.
    let flood: Vec<String> = (0..200)
        .map(|n| {
            format!(
                "<message type='chat' from='{JULIET}/b' to='{OWN}' id='{}'><body>{n}</body></message>",
                own.0
            )
        })
        .collect();
    world.gets_all(&flood.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(world.sees().len(), 201, "all are shown");
    // Ours is still known by its name, from another side and by its receipt; theirs, replayed, is too.
    world.gets(&format!(
        "<message from='{OWN}'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>
         <message xmlns='jabber:client' type='chat' from='{OWN}/phone.1' to='{JULIET}' id='{0}'><body>mine</body>
         <origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message></forwarded></sent></message>",
        own.0
    ));
    world.gets(
        &flood[199].replace("</body>", "</body><delay xmlns='urn:xmpp:delay' stamp='2026-11-18T10:00:00Z'/>"),
    );
    world.gets(&format!(
        "<message from='{JULIET}/b' to='{OWN}'><received xmlns='urn:xmpp:receipts' id='{}'/></message>",
        own.0
    ));
    assert_eq!(world.sees().len(), 201, "none is doubled");
    assert_eq!(world.state(&own), SendState::Delivered);
}
