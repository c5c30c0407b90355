//! Coming online, counting, resuming, binding anew (STREAM 1 to 15).

use rand::Rng;

use super::*;
use crate::api::{ChatState, Outgoing};

impl World {
    /// Serves until nothing is asked any more. How often it was asked for the contacts.
    fn serves_rosters(&mut self) -> u32 {
        let mut asked = 0;
        while let Some(iq) = self.serve_one() {
            asked += u32::from(iq.attr("type") == Some("get") && iq.has_child("query", ns::ROSTER));
            self.acknowledge();
        }
        asked
    }
}

#[test]
fn first_session_asks_before_its_presence_whom_to_believe() {
    let mut world = World::new();
    world.connect();
    let names: Vec<String> =
        world.wrote.iter().map(|e| e.children().next().map_or("", Element::name).into()).collect();
    let presence = world.wrote.iter().position(|e| e.name() == "presence").unwrap();
    assert!(names[..presence].iter().filter(|name| *name == "query").count() == 2, "{names:?}");
    world.serve();
    world.acknowledge();
    assert_eq!(world.status, Some(Status::Online));
    assert_eq!(world.count("SELECT count(*) FROM pending"), 0);
    assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn resumed_stream_resends_only_what_was_not_acked() {
    let mut world = World::online();
    world.says("one");
    world.server.hears = false;
    world.says("two");
    world.says("three");
    world.server.hears = true;
    world.cut();
    world.reconnect(Resume::Accept);
    assert_eq!(world.sent_texts(), ["two", "three"]);
    world.acknowledge();
    assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn resend_is_the_same_bytes_after_a_kill_too() {
    let mut world = World::online();
    let id = world.says("But soft, what light");
    let first = world.next("message");
    world.server.h -= 1;
    world.kill();
    world.reconnect(Resume::Accept);
    assert_eq!(world.next("message"), first);
    world.acknowledge();
    assert_eq!(world.state(&id), SendState::Sent);
}

#[test]
fn session_whose_resumption_is_never_acknowledged_is_bound_anew() {
    let mut world = World::online();
    world.server.hears = false;
    world.says("one");
    world.server.hears = true;
    world.cut();
    world.reconnect(Resume::Accept);
    let resumed = world.server.sessions;
    // The server goes on writing, and does not understand a word.
    world.pass(3_000);
    world.gets(&live(1));
    world.pass(40_000);
    world.reconnect(Resume::Accept);
    world.serve();
    world.acknowledge();
    assert_eq!(world.server.sessions, resumed + 1, "resumed again");
    assert_eq!(world.sent_texts(), ["one"]);
}

#[test]
fn message_survives_a_crash_between_receiving_and_acknowledging() {
    let mut world = World::online();
    world.gets(&live(1));
    world.kill();
    world.reconnect(Resume::Accept);
    assert_eq!(world.sees(), ["1"]);
    world.gets("<r xmlns='urn:xmpp:sm:3'/>");
    let handled = world.all("a").last().unwrap().attr("h").unwrap().to_owned();
    // What was committed is counted, once.
    let received = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    assert_eq!(handled, received.to_string());
    assert_eq!(world.sees(), ["1"]);
}

#[test]
fn whatever_happens_both_sides_count_the_same() {
    for seed in 0..8 {
        let mut world = World::online();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sent_to_us = world.count("SELECT json_extract(sm, '$.handled') FROM session") as u32;
        let mut said = 0;
        for n in 0..60 {
            match rng.random_range(0..7) {
                0 => {
                    world.says(&said.to_string());
                    said += 1;
                }
                1 => {
                    world.gets(&live(1_000 + n));
                    sent_to_us += 1;
                }
                2 => {
                    world.gets(&format!(
                        "<iq type='get' id='p{n}' from='{JULIET}/x'><ping xmlns='urn:xmpp:ping'/></iq>"
                    ));
                    sent_to_us += 1;
                }
                3 => world.acknowledge(),
                4 => {
                    world.cut();
                    world.pass(2_000);
                    world.reconnect(Resume::Accept);
                }
                5 => {
                    world.kill();
                    world.reconnect(Resume::Accept);
                }
                _ => {
                    world.gets("<presence from='mercutio@verona.lit/x'/>");
                    sent_to_us += 1;
                }
            }
            world.wrote.clear();
            world.gets("<r xmlns='urn:xmpp:sm:3'/>");
            assert_eq!(world.next("a").attr("h"), Some(sent_to_us.to_string().as_str()), "seed {seed}");
        }
        world.acknowledge();
        world.serve();
        world.acknowledge();
        assert_eq!(world.count("SELECT count(*) FROM outbox"), 0, "seed {seed}");
        assert_eq!(world.server.h, world.count("SELECT json_extract(sm, '$.sent') FROM session") as u32);
    }
}

#[test]
fn fresh_bind_forgets_what_belonged_to_the_session_and_repeats_the_rest() {
    let mut world = World::online();
    world.server.hears = false;
    world.gets(&format!("<message type='chat' from='{JULIET}/balcony' id='j1'><body>1</body><request xmlns='urn:xmpp:receipts'/><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"));
    world.does(Command::AddContact { jid: "nurse@capulet.lit".parse().unwrap(), name: None });
    world.does(Command::SetChatState { with: juliet(), state: crate::api::ChatState::Composing });
    world.does(Command::Raw {
        xml: "<message to='nurse@capulet.lit' id='raw'><x xmlns='urn:example'/></message>".into(),
    });
    world.gets(&format!("<iq type='get' id='p' from='{JULIET}/x'><ping xmlns='urn:xmpp:ping'/></iq>"));
    world.server.hears = true;
    world.cut();
    // Never sent in the old session at all.
    world.does(Command::RemoveContact { jid: "tybalt@capulet.lit".parse().unwrap() });
    world.reconnect(Resume::Refuse);
    let wrote: Vec<String> = world.wrote.iter().map(String::from).collect();
    let has = |text: &str| wrote.iter().filter(|xml| xml.contains(text)).count();
    assert_eq!(has("urn:xmpp:receipts"), 1);
    assert_eq!(has("nurse@capulet.lit"), 3, "roster, subscription, raw");
    assert_eq!(has("tybalt@capulet.lit"), 1);
    assert_eq!(has("composing"), 0);
    assert_eq!(has("id=\"p\""), 0);
    assert_eq!(has("disco#info"), 1);
    assert_eq!(world.all("presence").len(), 2);
    world.serve();
    world.acknowledge();
    assert_eq!(world.count("SELECT count(*) FROM pending"), 0);
}

impl World {
    fn both_sides_count_the_same(&mut self) {
        self.acknowledge();
        self.serve();
        self.acknowledge();
        assert_eq!(self.count("SELECT count(*) FROM outbox"), 0);
        assert_eq!(self.server.h, self.count("SELECT json_extract(sm, '$.sent') FROM session") as u32);
    }
}

#[test]
fn what_never_arrived_does_not_go_out_again_when_it_would_be_too_late() {
    for resume in [Resume::Accept, Resume::Refuse] {
        let mut world = World::online();
        world.server.hears = false;
        let id = ItemId("00000000-0000-4000-8000-000000000099".into());
        let what = Outgoing { not_after: Some(world.now.wall + 1_000), ..Outgoing::from("now or never") };
        world.does(Command::Send { id: id.clone(), to: juliet(), what });
        let about = ItemId("00000000-0000-4000-8000-000000000098".into());
        world.server.hears = true;
        world.cut();
        world.does(Command::React { id: about, message: id.clone(), reactions: texts(&["👍"]) });
        world.now.wall += 3_600_000;
        world.turn(vec![Input::Tick]);
        assert_eq!(world.state(&id), SendState::Queued, "nobody knows yet");
        world.reconnect(resume);
        let behind = world.says("whenever");
        world.serve();
        assert!(matches!(world.state(&id), SendState::Failed { .. }), "{resume:?}");
        let sent = world.all("message");
        assert_eq!(sent.iter().map(|sent| sent.attr("id")).collect::<Vec<_>>(), [Some(behind.0.as_str())]);
        world.both_sides_count_the_same();
    }
}

#[test]
fn nobody_is_typing_any_more_behind_a_resumption() {
    let mut world = World::online();
    world.gets(&from_juliet(
        "id='j1'",
        "<body>1</body><active xmlns='http://jabber.org/protocol/chatstates'/>",
    ));
    world.server.hears = false;
    let composing = || Command::SetChatState { with: juliet(), state: ChatState::Composing };
    world.does(composing());
    // The first of them are under way, and the rest waits.
    for n in 0..20 {
        world.says(&format!("{n}{}", "x".repeat(200)));
    }
    world.does(composing());
    assert_eq!(world.count("SELECT count(*) FROM outbox WHERE kind = 4 AND number IS NULL"), 1);
    world.server.hears = true;
    world.cut();
    world.reconnect(Resume::Accept);
    let mut sent = Vec::new();
    while sent.len() < 20 {
        let messages = world.all("message");
        assert!(!messages.is_empty());
        sent.extend(messages);
        world.acknowledge();
    }
    assert!(!sent.iter().any(|message| message.has_child("composing", ns::CHAT_STATES)));
    world.both_sides_count_the_same();
    assert_eq!(sent.len(), 20);
}

#[test]
fn what_was_given_up_behind_a_wrong_h_is_found_in_the_archive() {
    let mut world = World::online();
    let id = ItemId("00000000-0000-4000-8000-000000000099".into());
    let what = Outgoing { not_after: Some(world.now.wall + 1_000), ..Outgoing::from("now or never") };
    world.does(Command::Send { id: id.clone(), to: juliet(), what });
    world.server.archive.push(own_entry(&id, "now or never", "a1", START + 1_000));
    world.server.archive.extend(archived(2..3));
    world.gets(&live(2));
    world.server.h -= 1;
    world.cut();
    world.now.wall += 3_600_000;
    world.reconnect(Resume::Accept);
    assert!(matches!(world.state(&id), SendState::Failed { .. }));
    world.both_sides_count_the_same();
    assert_eq!(world.sent_texts(), texts(&[]));
    assert_eq!(world.state(&id), SendState::Sent);
}

#[test]
fn h_of_a_refused_resumption_is_an_ack_first() {
    let mut world = World::online();
    let one = world.says("one");
    world.server.hears = false;
    let two = world.says("two");
    world.server.hears = true;
    world.cut();
    world.reconnect(Resume::RefuseWithH);
    assert_eq!(world.state(&one), SendState::Sent);
    assert_eq!(world.state(&two), SendState::Queued);
    world.serve();
    assert_eq!(world.sent_texts(), ["two"]);
}

#[test]
fn doubt_is_settled_by_the_archive() {
    let mut world = World::online();
    let one = world.says("one");
    let two = world.says("two");
    // The first arrived and was archived, and nobody said so; the second did not.
    world.server.archive.push(own_entry(&one, "one", "a1", START));
    world.cut();
    world.reconnect(Resume::Refuse);
    assert_eq!(world.sent_texts(), texts(&[]), "nothing is sent before the archive was asked");
    world.serve();
    assert_eq!(world.state(&one), SendState::Sent);
    let again = world.all("message");
    assert_eq!(again.iter().filter_map(body).collect::<Vec<_>>(), ["two"], "sent once");
    assert!(again[0].get_child("delay", ns::DELAY).is_some());
    assert_eq!(again[0].attr("id"), Some(two.0.as_str()));
    assert_eq!(again[0].get_child("origin-id", ns::SID).unwrap().attr("id"), Some(two.0.as_str()));
    world.acknowledge();
    assert_eq!(world.state(&two), SendState::Sent);
    assert_eq!(world.sees(), ["> one", "> two"]);
}

#[test]
fn doubt_asks_behind_what_was_covered_before_its_first_row() {
    let mut world = World::online();
    world.gets(&live(1));
    world.says("one");
    world.gets(&live(2));
    world.says("two");
    world.server.archive = archived(1..3);
    world.cut();
    world.reconnect(Resume::Refuse);
    let doubt = world
        .wrote
        .iter()
        .find(|e| String::from(*e).contains("'with'") || String::from(*e).contains("\"with\""))
        .unwrap();
    assert!(String::from(doubt).contains(">a1<"), "{}", String::from(doubt));
}

/// The archive says by time whether it has it where the id that it began behind is no longer kept.
#[test]
fn doubt_whose_id_the_archive_has_forgotten_is_settled_by_time() {
    let mut world = World::online();
    world.gets(&live(1));
    world.acknowledge();
    let one = world.says("one");
    world.server.archive.push(own_entry(&one, "one", "a2", world.now.wall));
    world.cut();
    world.reconnect(Resume::Refuse);
    world.serve();
    assert_eq!(world.state(&one), SendState::Sent);
    assert_eq!(world.sent_texts(), texts(&[]));
}

#[test]
fn doubt_of_a_phone_whose_clock_is_ahead_is_settled_by_the_archive() {
    for behind in [0, 120] {
        let mut world = World::new();
        world.now.wall += 3 * 3_600_000;
        world.connect();
        world.serve();
        world.acknowledge();
        world.server.hears = false;
        let one = world.says("one");
        world.server.hears = true;
        // The catch-up's first pages do not reach it.
        world.server.archive = archived(1..161);
        world.server.archive.push(own_entry(&one, "one", "a161", START + 161_000));
        world.server.archive.extend(archived(162..162 + behind));
        world.cut();
        world.reconnect(Resume::Refuse);
        world.serve();
        assert_eq!(world.sent_texts(), texts(&[]));
        assert_eq!(world.state(&one), SendState::Sent);
    }
}

#[test]
fn doubt_is_not_given_up_sooner_because_sessions_are_resumed() {
    let mut world = World::online();
    world.gets(&live(1));
    world.acknowledge();
    world.server.hears = false;
    let one = world.says("one");
    world.server.hears = true;
    world.server.archive = archived(1..2);
    world.server.archive.push(own_entry(&one, "one", "a2", START + 2_000));
    world.wrote.clear();
    world.away_and_back();
    for _ in 0..5 {
        // The archive takes its time, and what it says is lost.
        world.wrote.retain(|element| element.name() != "iq");
        world.acknowledge();
        world.cut();
        world.reconnect(Resume::Accept);
        for _ in 0..4 {
            world.pass(5_000);
            world.acknowledge();
        }
    }
    assert_eq!(world.sent_texts(), texts(&[]));
    while !world.has_query() {
        world.pass(5_000);
        world.acknowledge();
    }
    world.serve();
    assert_eq!(world.state(&one), SendState::Sent);
    assert_eq!(world.sent_texts(), texts(&[]));
}

#[test]
fn doubt_is_asked_from_when_it_was_covered_though_the_catch_up_is_first() {
    let mut world = World::online();
    world.server.is_vague = true;
    // The phone's clock is five hours ahead.
    world.now.wall += 5 * 3_600_000;
    let nurse = "nurse@capulet.lit";
    world.server.archive = archived(0..1);
    world.server.archive[0].message = world.server.archive[0].message.replace(JULIET, nurse);
    world.away_and_back();
    world.serve();
    world.acknowledge();
    world.server.hears = false;
    let one = world.says("one");
    world.server.hears = true;
    world.server.archive.push(own_entry(&one, "one", "a1", START + 1_000));
    world.server.archive.extend(archived(2..3));
    world.gets(&live(2));
    world.server.archive.extend(archived(14_400..14_402));
    world.wrote.clear();
    world.away_and_back();
    world.serve();
    assert_eq!(world.sent_texts(), texts(&[]));
    assert_eq!(world.state(&one), SendState::Sent);
}

#[test]
fn contact_who_was_asked_before_a_resumption_has_a_whole_minute() {
    let mut world = World::online();
    let of = "rooms.capulet.lit".parse().unwrap();
    world.does(Command::Ask { of, what: crate::api::Ask::Info { node: None } });
    world.acknowledge();
    world.wrote.clear();
    world.cut();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    world.pass(50_000);
    assert_eq!(world.count("SELECT count(*) FROM pending WHERE json_type(what, '$.Service') IS NOT NULL"), 1);
}

#[test]
fn what_came_back_before_it_was_acknowledged_is_not_sent_by_another_session() {
    let mut world = World::online();
    let one = world.says("one");
    world.gets(&bounce(&one, "not-acceptable"));
    assert_eq!(
        world.count("SELECT count(*) FROM outbox WHERE number IS NOT NULL AND name IS NOT NULL AND kind = 4"),
        1
    );
    world.cut();
    world.reconnect(Resume::Refuse);
    world.serve();
    assert_eq!(world.sent_texts(), texts(&[]));
    assert!(matches!(world.state(&one), SendState::Failed { .. }));
    // It is sent when its user wants that, once.
    world.does(Command::Retry { message: one.clone() });
    assert_eq!(world.sent_texts(), ["one"]);
    world.acknowledge();
    assert_eq!(world.state(&one), SendState::Sent);
}

#[test]
fn what_comes_back_while_it_is_in_doubt_is_not_sent_again() {
    let mut world = World::online();
    let one = world.says("one");
    world.cut();
    world.reconnect(Resume::Refuse);
    world.gets(&bounce(&one, "not-acceptable"));
    world.serve();
    assert_eq!(world.sent_texts(), texts(&[]));
    assert!(matches!(world.state(&one), SendState::Failed { .. }));
    world.both_sides_count_the_same();
}

/// The extension that a push has woken is suspended as soon as it has what it came for.
#[test]
fn what_came_of_a_batch_leaves_before_the_suspension_that_ends_it() {
    let mut world = World::online();
    let link = world.link.unwrap();
    let message = from_juliet("id='j1'", "<body>1</body><request xmlns='urn:xmpp:receipts'/>");
    let id = ItemId("00000000-0000-4000-8000-000000000099".into());
    let commands = [Command::Send { id, to: juliet(), what: "one".into() }, Command::Suspend { seen: false }];
    let commands = commands.into_iter().enumerate().map(|(n, command)| (RequestId(100 + n as u64), command));
    let commands = commands.map(|(request, command)| Input::Command { request, command });
    world
        .turn(std::iter::once(Input::Element { link, element: element(&message) }).chain(commands).collect());
    let sent = world.all("message");
    assert!(sent[0].has_child("received", ns::RECEIPTS), "{sent:?}");
    assert_eq!(body(&sent[1]).as_deref(), Some("one"));
    assert!(world.hung_up);
}

/// As every phone does that is looked at now and then.
#[test]
fn lists_are_compared_daily_however_often_the_session_is_resumed() {
    let mut world = World::online();
    world.server.archive = archived(1..3);
    world.gets(&live(1));
    world.gets(&live(2));
    world.acknowledge();
    let mut asked = 0;
    for _ in 0..30 {
        world.cut();
        world.pass(3_600_000);
        world.reconnect(Resume::Accept);
        world.acknowledge();
        asked += world.serves_rosters();
    }
    assert_eq!(asked, 1);
}

/// What the archive had more was found on a page whose end did not come. On the second reading it is known.
#[test]
fn check_that_was_cut_behind_what_was_missing_is_no_check_that_found_nothing() {
    let mut world = World::online();
    world.gets(&live(1));
    world.acknowledge();
    world.server.archive = archived(1..3);
    world.cut();
    world.pass(120_000);
    world.reconnect(Resume::Accept);
    world.acknowledge();
    let query = world.next_query();
    let answers = world.server.answers(&query);
    world.gets(&answers[0]);
    assert_eq!(world.sees(), ["1", "2"]);
    world.cut();
    world.reconnect(Resume::Accept);
    world.gets(&answers[1]);
    world.acknowledge();
    assert_eq!(world.serves_rosters(), 1);
}

#[test]
fn doubt_pages_that_repeat_end() {
    let mut world = World::online();
    world.gets(&live(1));
    world.server.archive = archived(1..2);
    world.says("one");
    world.cut();
    world.reconnect(Resume::Refuse);
    let mut pages = 0;
    while let Some(at) = world.wrote.iter().position(|e| String::from(e).contains(JULIET) && e.name() == "iq")
    {
        let iq = world.wrote.remove(at).unwrap();
        let id = iq.attr("id").unwrap();
        let entry = &archived(2..3)[0];
        let (result, fin) = (result(id, entry), fin(id, &[entry], false));
        world.gets_all(&[&result, &fin]);
        pages += 1;
        assert!(pages < 5);
    }
    assert_eq!(world.sent_texts(), ["one"]);
}

#[test]
fn server_that_shuts_down_blames_nobody() {
    let mut world = World::online();
    let id = world.says("one");
    for _ in 0..3 {
        world.server.h -= 1;
        world.stream_error("system-shutdown");
        world.reconnect(Resume::Accept);
    }
    world.acknowledge();
    assert_eq!(world.state(&id), SendState::Sent);
}

#[test]
fn text_larger_than_the_server_takes_fails_before_it_is_sent() {
    let mut world = World::online();
    world.server.max_bytes = 10_000;
    world.cut();
    world.reconnect(Resume::Refuse);
    let to = juliet();
    let id = ItemId("00000000-0000-4000-8000-000000000099".into());
    let reply = world.does(Command::Send { id, to, what: "x".repeat(11_000).into() });
    assert!(matches!(reply, Some(Err(Error::InvalidInput { .. }))));
    // Queued when the limit was not known yet.
    let mut world = World::new();
    let id = world.says(&"x".repeat(11_000));
    world.server.max_bytes = 10_000;
    world.connect();
    assert!(matches!(world.state(&id), SendState::Failed { reason } if reason.contains("10000")));
    assert!(world.sent_texts().is_empty());
}

#[test]
fn backlog_begins_with_what_a_server_reads_at_once_and_each_answer_lets_more_go() {
    let bytes_of =
        |messages: &[Element]| -> usize { messages.iter().map(|message| String::from(message).len()).sum() };
    let mut world = World::online();
    world.acknowledge();
    world.server.hears = false;
    for n in 0..90 {
        world.says(&n.to_string());
    }
    world.server.hears = true;
    world.cut();
    // The same for what goes out again, and for those behind them.
    world.reconnect(Resume::Accept);
    let (mut sent, mut most) = (0, 4_000);
    while sent < 90 {
        let messages = world.all("message");
        assert!(!messages.is_empty(), "{sent}");
        assert!(bytes_of(&messages) < most, "{} of {most}", bytes_of(&messages));
        sent += messages.len();
        assert!(sent == 90 || bytes_of(&messages) > most / 3, "it is used");
        most *= 2;
        world.acknowledge();
    }
    assert!(most > 16_000, "it grew");
    // All is taken over. The next backlog begins anew; one that is larger goes alone.
    world.says(&"x".repeat(9_000));
    world.says("behind it");
    assert_eq!(world.sent_texts().len(), 1);
    world.acknowledge();
    assert_eq!(world.sent_texts(), ["behind it"]);
}

#[test]
fn window_begins_anew_with_each_connection() {
    let mut world = World::online();
    world.acknowledge();
    for n in 0..60 {
        world.says(&n.to_string());
    }
    let first = world.sent_texts().len();
    world.acknowledge();
    let second = world.sent_texts().len();
    assert!(second > first, "{first}, {second}");
    world.cut();
    // The server says when it is resumed that it has them all.
    world.reconnect(Resume::Accept);
    assert_eq!(world.sent_texts().len(), first);
}

#[test]
fn what_was_sent_without_stream_management_is_sent_when_a_ping_is_answered() {
    let mut world = World::new();
    world.server.sm = false;
    world.connect();
    world.serve();
    world.wrote.clear();
    let id = world.says("one");
    assert_eq!(world.state(&id), SendState::Queued);
    assert!(world.wrote.iter().all(|e| e.name() != "r"));
    let ping = world.next("iq");
    world.gets(&format!("<iq type='error' id='{}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", ping.attr("id").unwrap()));
    assert_eq!(world.state(&id), SendState::Sent);
    let two = world.says("two");
    world.cut();
    world.connect();
    world.serve();
    assert_eq!(world.sent_texts(), ["two"]);
    assert_eq!(world.state(&two), SendState::Sent);
}

#[test]
fn question_that_a_session_must_know_the_answer_of_is_asked_again() {
    let mut world = World::new();
    world.connect();
    world.acknowledge();
    let sync = world.does(Command::Sync { timeout: 300_000 });
    assert_eq!(sync, None);
    // The server goes on talking, but answers nothing.
    for _ in 0..14 {
        world.pass(5_000);
        world.acknowledge();
    }
    let asked_again = "SELECT count(*) FROM pending WHERE json_type(what, '$.Later') IS NULL";
    assert_eq!(world.count(asked_again), 3, "account, carbons, roster");
    let asked = world.wrote.iter().filter(|e| e.name() == "iq").count();
    assert!(asked >= 6, "each of them twice: {asked}");
    assert_eq!(world.answer_to(RequestId(world.request)), None, "nobody knows whether anything is missing");
    world.serve();
    world.acknowledge();
    assert_eq!(world.answer_to(RequestId(world.request)), Some(Ok(Reply::Done)));
}

#[test]
fn archive_that_does_not_answer_is_asked_again() {
    let mut world = World::online();
    world.gets(&live(1));
    world.cut();
    world.server.archive = archived(1..4);
    world.reconnect(Resume::Refuse);
    let asked =
        |world: &World| world.wrote.iter().filter(|e| e.children().any(|c| c.is("query", ns::MAM))).count();
    assert_eq!(asked(&world), 1);
    for _ in 0..60 {
        world.pass(5_000);
        world.acknowledge();
    }
    assert!(asked(&world) >= 2);
    assert_eq!(world.sees(), ["1", "--"], "the gap stays visible");
    while world.count("SELECT count(*) FROM pending WHERE what LIKE '%Fill%'") == 0 {
        // Between two questions.
        world.pass(5_000);
        world.acknowledge();
    }
    world.serve();
    assert_eq!(world.sees(), ["1", "2", "3"]);
}

#[test]
fn page_that_takes_longer_than_a_minute_on_a_slow_link_is_waited_for() {
    let mut world = World::online();
    world.gets(&live(1));
    world.cut();
    world.server.archive = archived(1..25);
    world.reconnect(Resume::Refuse);
    let query = world.next_query();
    for part in world.server.answers(&query) {
        world.pass(5_000);
        world.gets(&part);
        world.acknowledge();
    }
    assert!(!world.has_query(), "asked once");
    assert_eq!(world.sees().len(), 24);
    assert_eq!(world.gaps(), 0);
}

#[test]
fn page_that_took_too_long_all_the_same_is_asked_for_in_smaller_ones() {
    let mut world = World::online();
    world.gets(&live(1));
    world.cut();
    world.server.archive = archived(1..25);
    world.reconnect(Resume::Refuse);
    let max = |query: &Element| -> u32 {
        let set = query.children().find_map(|query| query.get_child("set", ns::RSM)).unwrap();
        set.get_child("max", ns::RSM).unwrap().text().parse().unwrap()
    };
    let query = world.next_query();
    for part in world.server.answers(&query).into_iter().take(3) {
        world.gets(&part);
    }
    while !world.has_query() {
        world.pass(5_000);
        world.acknowledge();
    }
    assert_eq!(max(&world.next_query()), max(&query) / 2);
}

#[test]
fn what_the_server_had_read_before_a_resumption_is_answered_soon_or_asked_again() {
    let mut world = World::online();
    world.gets(&live(1));
    world.cut();
    world.server.archive = archived(1..4);
    world.reconnect(Resume::Refuse);
    world.next_query();
    // Each time somebody looks for half a minute.
    for _ in 0..2 {
        world.acknowledge();
        world.cut();
        world.reconnect(Resume::Accept);
        for _ in 0..6 {
            world.pass(5_000);
            world.acknowledge();
        }
    }
    assert!(world.has_query());
    world.serve();
    assert_eq!(world.sees(), ["1", "2", "3"]);
}

#[test]
fn stream_that_ends_with_an_error_each_time_is_opened_later_each_time() {
    for condition in ["conflict", "host-unknown", "policy-violation", "resource-constraint"] {
        let mut world = World::online();
        let mut waited = Vec::new();
        for _ in 0..8 {
            world.stream_error(condition);
            waited.push(world.waits());
            world.reconnect(Resume::Accept);
            world.serve();
            world.acknowledge();
        }
        assert!(waited[0] >= 60_000, "{condition}: {waited:?}");
        assert!(waited[7] >= 1_800_000, "{condition}: {waited:?}");
        // On every connect, before it is ever online, it is told once.
        world.stream_error(condition);
        world.events.clear();
        for _ in 0..5 {
            world.waits();
            let link = world.link.unwrap();
            world.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
            world.stream_error(condition);
        }
        let told = world.events.iter().filter(|event| matches!(event, Event::Offline { .. })).count();
        assert_eq!(told, 0, "{condition}: it was told before");
        // The user may know better.
        world.does(Command::Connect);
        assert!(world.link.is_some());
    }
}

impl World {
    /// Until it connects again, in ms.
    fn waits(&mut self) -> u64 {
        assert!(self.hung_up);
        self.hung_up = false;
        let began = self.now.mono;
        while self.link.is_none() {
            self.pass(100);
            assert!(self.now.mono < began + 4_000_000, "never");
        }
        self.now.mono - began
    }

    /// The server sends us elsewhere, before or after the login. Where the next connection leads to.
    pub(super) fn sent_to(&mut self, place: &str) -> Option<String> {
        self.gets(&format!(
            "<error xmlns='http://etherx.jabber.org/streams'><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{place}</see-other-host></error>"
        ));
        self.wrote.clear();
        self.destination.take()
    }
}

#[test]
fn failure_to_connect_is_told_once() {
    let mut world = World::online();
    world.cut();
    world.events.clear();
    for _ in 0..5 {
        while world.link.is_none() {
            world.pass(10_000);
        }
        let link = world.link.take().unwrap();
        world.turn(vec![Input::LinkLost { link, why: LinkFailure::Network("no route".into()) }]);
    }
    let told = world.events.iter().filter(|event| matches!(event, Event::Offline { .. })).count();
    assert_eq!(told, 1);
}

#[test]
fn server_that_goes_down_is_not_asked_at_once_by_everybody() {
    let mut waits = Vec::new();
    for seed in 0..20 {
        for condition in ["system-shutdown", "reset"] {
            let mut world = World::online();
            world.rng = StdRng::seed_from_u64(seed);
            world.pass(60_000);
            world.stream_error(condition);
            waits.push(world.waits());
        }
    }
    assert!(waits.iter().all(|wait| (5_000..=30_100).contains(wait)), "{waits:?}");
    assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 15_000, "{waits:?}");
}

#[test]
fn session_that_another_device_took_is_left_to_it() {
    let mut world = World::online();
    let id = world.says("one");
    world.server.h -= 1;
    world.stream_error("conflict");
    let sessions = world.server.sessions;
    world.waits();
    world.reconnect(Resume::Accept);
    assert_eq!(world.server.sessions, sessions + 1, "resumed, and so taken back");
    world.serve();
    assert_eq!(world.sent_texts(), ["one"]);
    world.acknowledge();
    assert_eq!(world.state(&id), SendState::Sent);
}

#[test]
fn redirect() {
    let mut world = World::online();
    // After the login, and before.
    assert_eq!(world.sent_to("east.montague.lit:5333").as_deref(), Some("east.montague.lit:5333"));
    let link = world.link.unwrap();
    world.turn(vec![Input::LinkUp { link, tls: None }]);
    assert_eq!(world.sent_to("[2001:db8::1]").as_deref(), Some("2001:db8::1"));
    // Never to plaintext.
    let link = world.link.unwrap();
    world.turn(vec![Input::LinkUp { link, tls: None }]);
    world.gets("<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></features>");
    assert!(world.hung_up && world.all("auth").is_empty());
    // What was wrong elsewhere is no word against our own server: it is asked again, by the domain, though not soon.
    assert!(world.waits() >= 60_000);
    assert_eq!(world.destination.take(), None);
    // Somebody else's certificate there: the same.
    let link = world.link.unwrap();
    world.turn(vec![Input::LinkUp { link, tls: None }]);
    assert_eq!(world.sent_to("attacker.lit").as_deref(), Some("attacker.lit"));
    let link = world.link.unwrap();
    world.hung_up = true;
    world.link = None;
    world.turn(vec![Input::LinkLost { link, why: LinkFailure::Untrusted("another's".into()) }]);
    assert!(world.waits() >= 60_000);
    assert_eq!(world.destination.take(), None);
    world.reconnect(Resume::Accept);
    world.acknowledge();
    // Once it has worked, it is forgotten.
    world.pass(2_000);
    world.cut();
    world.turn(vec![Input::Tick]);
    assert_eq!(world.destination.take(), None);
    assert!(world.link.is_some());
}

#[test]
fn redirect_in_a_loop_ends() {
    let mut world = World::new();
    world.does(Command::Connect);
    let began = world.now.mono;
    let mut hops = 0;
    while world.now.mono - began < 600_000 {
        let link = world.link.unwrap();
        world.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
        world.sent_to("round.montague.lit");
        world.waits();
        hops += 1;
    }
    assert!(hops <= 5 * 6, "{hops} in ten minutes");
}

#[test]
fn session_is_resumed_where_the_server_wants_it_and_else_as_ever() {
    let mut world = World::new();
    world.server.location = "west.montague.lit:5444";
    world.connect();
    world.serve();
    world.acknowledge();
    world.pass(2_000);
    world.cut();
    world.turn(vec![Input::Tick]);
    assert_eq!(world.destination.take().as_deref(), Some("west.montague.lit:5444"));
    // After a kill as well.
    world.kill();
    world.does(Command::Connect);
    assert_eq!(world.destination.take().as_deref(), Some("west.montague.lit:5444"));
    let link = world.link.take().unwrap();
    world.turn(vec![Input::LinkLost { link, why: LinkFailure::Network("refused".into()) }]);
    world.pass(1_000);
    assert!(world.link.is_some());
    assert_eq!(world.destination.take(), None);
    world.wanted = true;
    world.reconnect(Resume::Accept);
    assert_eq!(world.server.sessions, 1);
}

#[test]
fn resumption_on_a_link_that_dies_at_once_is_tried_once_more() {
    let mut world = World::online();
    world.gets(&live(0));
    world.says("one");
    for sessions in [1, 1, 2] {
        world.cut();
        world.reconnect(Resume::Accept);
        assert_eq!(world.server.sessions, sessions);
        // What the server had kept may come, and then nothing.
        world.gets(&live(1));
        world.pass(40_000);
        assert!(world.hung_up);
    }
}

#[test]
fn cut_after_a_while_is_followed_by_an_attempt_at_once() {
    let mut world = World::online();
    world.pass(5_000);
    world.cut();
    world.turn(vec![Input::Tick]);
    assert!(world.link.is_some());
}

#[test]
fn client_state_is_said_where_it_is_offered_and_always_after_a_resumption() {
    let csi = |world: &World| {
        world.wrote.iter().filter(|e| e.has_ns(ns::CSI)).map(|e| e.name().to_owned()).collect::<Vec<_>>()
    };
    let mut world = World::online();
    world.turn(vec![Input::Foreground(false)]);
    assert_eq!(csi(&world), ["inactive"]);
    world.cut();
    world.reconnect(Resume::Accept);
    assert_eq!(csi(&world), ["inactive"]);
    world.turn(vec![Input::Foreground(true)]);
    world.kill();
    world.reconnect(Resume::Accept);
    assert_eq!(csi(&world), ["active"]);
    let mut world = World::new();
    world.server.csi = false;
    world.connect();
    world.turn(vec![Input::Foreground(false)]);
    assert!(csi(&world).is_empty());
}

#[test]
fn acknowledged_unasked_once_fifty_are_not() {
    let mut world = World::online();
    world.gets("<r xmlns='urn:xmpp:sm:3'/>");
    world.wrote.clear();
    for n in 0..49 {
        world.gets(&live(n));
    }
    assert!(world.all("a").is_empty());
    world.gets(&live(49));
    assert_eq!(world.all("a").len(), 1);
}

#[test]
fn link_on_which_something_moves_is_slow_and_not_lost() {
    let mut world = World::online();
    let link = world.link.unwrap();
    world.does(Command::Send {
        id: ItemId::new(),
        to: JULIET.parse().unwrap(),
        what: "Thou knowest the mask of night is on my face".repeat(1_000).into(),
    });
    for _ in 0..12 {
        world.pass(10_000);
        world.turn(vec![Input::Progress { link }]);
    }
    assert!(!world.hung_up, "two minutes of slow writing");
    world.pass(31_000);
    assert!(world.hung_up, "then half a minute of nothing");
}

#[test]
fn another_network_gives_up_the_attempt_on_the_old_one() {
    let mut world = World::new();
    world.does(Command::Connect);
    let old = world.link.expect("a link");
    world.turn(vec![Input::Network(Network::default())]);
    assert!(world.link.is_some_and(|new| new != old), "it tries at once, on a link of its own");
}

#[test]
fn certificate_that_is_not_trusted_is_tried_again_on_another_network_only() {
    let mut world = World::online();
    world.cut();
    world.pass(1_000);
    let refuse = |world: &mut World| {
        let link = world.link.take().expect("a link");
        world.turn(vec![Input::LinkLost { link, why: LinkFailure::Untrusted("a portal's".into()) }]);
    };
    refuse(&mut world);
    world.pass(3_600_000);
    assert_eq!(world.link, None, "it was tried again by itself");
    world.turn(vec![Input::Network(Network::default())]);
    refuse(&mut world);
    world.does(Command::Disconnect);
    world.turn(vec![Input::Network(Network::default())]);
    assert_eq!(world.link, None, "nobody wants it any more");
}

/// What other devices send has no copy here, and what comes live meanwhile must not cover it.
#[test]
fn server_that_refuses_carbons_is_asked_for_what_other_devices_sent_and_for_carbons_again() {
    let mut world = World::new();
    world.server.archive = archived(1..2);
    world.connect();
    let at = world.wrote.iter().position(|iq| iq.has_child("enable", ns::CARBONS)).unwrap();
    let id = world.wrote.remove(at).unwrap().attr("id").unwrap().to_owned();
    world.gets(&format!("<iq type='error' id='{id}'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"));
    world.serve();
    world.acknowledge();
    assert_eq!(world.sees(), ["1"]);
    // Another device has sent 2, and 3 comes live.
    world.server.archive = archived(1..4);
    world.gets(&live(3));
    world.acknowledge();
    let mut enabled = 0;
    for _ in 0..25 * 60 {
        world.pass(60_000);
        world.acknowledge();
        while let Some(iq) = world.serve_one() {
            enabled += u32::from(iq.has_child("enable", ns::CARBONS));
            world.acknowledge();
        }
    }
    assert_eq!(world.sees(), ["1", "2", "3"]);
    assert_eq!(enabled, 1);
}

#[test]
fn who_disconnects_between_two_attempts_is_not_told_of_another_one() {
    for command in [Command::Disconnect, Command::Suspend { seen: true }] {
        let mut world = World::online();
        world.cut();
        assert!(
            matches!(world.status, Some(Status::Offline { next_attempt: Some(_), .. })),
            "{:?}",
            world.status
        );
        world.does(command);
        assert!(
            matches!(world.status, Some(Status::Offline { next_attempt: None, .. })),
            "{:?}",
            world.status
        );
    }
}
