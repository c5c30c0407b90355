//! Gaps, catching up, and what the server has dropped (STREAM 11, 16 to 18).

use super::*;

#[test]
fn first_sign_in_fetches_the_newest_page_and_leaves_the_rest_unfetched() {
    let mut world = World::new();
    world.server.archive = archived(0..120);
    world.connect();
    world.serve();
    assert_eq!(world.sees().len(), 51);
    assert_eq!(world.sees()[0], "--");
    assert_eq!(world.sees()[1..], numbers(70..120));
    assert_eq!(world.gaps(), 0, "what was before is no gap");
    for _ in 0..2 {
        world.does(Command::Older);
        world.serve();
    }
    assert_eq!(world.sees(), numbers(0..120));
}

#[test]
fn fresh_bind_opens_a_gap_that_live_messages_never_move() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..8);
    world.away_and_back();
    assert_eq!(world.gaps(), 1);
    let edge = |world: &World| {
        world.file().query_row("SELECT after_id FROM gap", [], |r| r.get::<_, String>(0)).unwrap()
    };
    assert_eq!(edge(&world), "a0");
    for n in 8..11 {
        world.gets(&live(n));
    }
    assert_eq!(edge(&world), "a0");
    assert_eq!(world.sees(), ["0", "--", "8", "9", "10"]);
    world.server.archive = archived(0..11);
    world.serve();
    assert_eq!(world.sees(), numbers(0..11));
    assert_eq!(world.gaps(), 0);
    assert!(world.events.contains(&Event::CaughtUp));
}

#[test]
fn resumption_opens_no_gap() {
    let mut world = World::online();
    world.gets(&live(0));
    world.cut();
    world.reconnect(Resume::Accept);
    assert_eq!(world.gaps(), 0);
}

#[test]
fn only_complete_closes_a_gap_and_a_kill_between_pages_costs_a_page() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..130);
    world.away_and_back();
    let query = world.next_query();
    let page = world.server.answers(&query);
    let page: Vec<&str> = page.iter().map(String::as_str).collect();
    world.gets_all(&page[..30]);
    assert_eq!(world.sees().len(), 32, "stored as they arrive");
    world.kill();
    world.reconnect(Resume::Refuse);
    assert_eq!(world.gaps(), 1);
    world.serve();
    assert_eq!(world.gaps(), 0);
    assert_eq!(world.sees(), numbers(0..130));
}

#[test]
fn two_gaps_are_filled_in_order() {
    let mut world = World::online();
    world.gets(&live(0));
    world.away_and_back();
    world.gets(&live(5));
    world.away_and_back();
    world.gets(&live(9));
    assert_eq!(world.gaps(), 2);
    assert_eq!(world.sees(), ["0", "--", "5", "--", "9"]);
    world.server.archive = archived(0..10);
    world.serve();
    assert_eq!(world.gaps(), 0);
    assert_eq!(world.sees(), numbers(0..10));
}

#[test]
fn forgotten_id_falls_back_to_time_and_what_is_gone_is_said_to_be() {
    let mut world = World::online();
    world.gets(&live(0));
    world.now.wall = START + 1_000_000_000;
    // Everything of that time has expired.
    world.server.archive = archived(900_000..900_003);
    world.away_and_back();
    world.serve();
    assert_eq!(world.gaps(), 0);
    assert_eq!(world.count("SELECT count(*) FROM gap WHERE kind = 2"), 1);
    assert_eq!(world.sees(), ["0", "--", "900000", "900001", "900002"]);
    // The id is forgotten, and the overlap is there: nothing is missing.
    let mut world = World::online();
    world.gets(&live(0));
    world.gets(&live(1).replace("a1'", "old'").replace("j1'", "retracted'"));
    world.server.archive = archived(0..4);
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), ["0", "1", "1", "2", "3"]);
    assert_eq!(world.count("SELECT count(*) FROM gap"), 0);
}

#[test]
fn what_came_behind_a_forgotten_id_is_found_where_the_server_does_not_say_so() {
    let mut world = World::online();
    world.server.is_vague = true;
    world.gets(&live(0));
    world.now.wall = START + 1_000_000_000;
    world.server.archive = archived(900_000..900_003);
    world.away_and_back();
    // A link that is cut in between takes nothing away.
    world.serve_one();
    world.away_and_back();
    world.serve();
    assert_eq!(world.gaps(), 0);
    assert_eq!(world.sees(), ["0", "--", "900000", "900001", "900002"]);
    assert!(world.events.contains(&Event::CaughtUp));
}

#[test]
fn quiet_archive_is_asked_what_it_ends_with_and_nothing_is_missing() {
    let mut world = World::online();
    world.server.is_vague = true;
    world.gets(&live(0));
    world.acknowledge();
    world.server.archive = archived(0..1);
    for days in 1..4 {
        world.now.wall = START + days * 86_400_000;
        world.away_and_back();
        world.serve();
        assert_eq!(world.sees(), ["0"]);
        assert_eq!(world.count("SELECT count(*) FROM gap"), 0);
    }
}

#[test]
fn quiet_account_whose_last_message_has_expired_misses_nothing() {
    for is_vague in [false, true] {
        let mut world = World::online();
        world.server.is_vague = is_vague;
        world.gets(&live(0));
        for days in [14, 15, 30, 45] {
            let was_away = days > 15;
            world.now.wall = START + days * 86_400_000;
            if !was_away {
                world.gets("<r xmlns='urn:xmpp:sm:3'/>");
            }
            world.away_and_back();
            world.serve();
            let holes = world.count("SELECT count(*) FROM gap");
            assert_eq!(holes, 0, "{days}");
        }
        world.server.archive = archived(900_000..900_003);
        world.away_and_back();
        world.serve();
        assert_eq!(world.sees(), ["0", "900000", "900001", "900002"]);
    }
}

#[test]
fn who_was_here_an_hour_ago_misses_nothing_that_has_expired() {
    let mut world = World::online();
    world.gets(&live(0));
    world.now.wall = START + 14 * 86_400_000;
    world.gets("<r xmlns='urn:xmpp:sm:3'/>");
    world.server.archive = archived(1_300_000..1_300_001);
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), ["0", "1300000"]);
}

#[test]
fn two_gaps_whose_ids_have_expired_are_two_holes_in_order() {
    for is_vague in [false, true] {
        let mut world = World::online();
        world.server.is_vague = is_vague;
        world.gets(&live(0));
        world.acknowledge();
        world.away_and_back();
        world.gets(&live(100));
        world.acknowledge();
        world.now.wall = START + 14 * 86_400_000;
        world.server.archive = archived(1_200_000..1_200_001);
        world.away_and_back();
        while world.gaps() > 0 {
            world.serve();
            world.acknowledge();
        }
        assert_eq!(world.sees(), ["0", "--", "100", "--", "1200000"], "{is_vague}");
    }
}

#[test]
fn who_was_away_is_told_of_what_has_expired_and_who_was_here_is_not_though_links_are_cut_over_it() {
    for (was_here, again) in [true, false]
        .into_iter()
        .flat_map(|was_here| [Resume::Accept, Resume::Refuse].map(|again| (was_here, again)))
    {
        let mut world = World::online();
        world.gets(&live(0));
        world.now.wall = START + 14 * 86_400_000;
        if was_here {
            world.gets("<r xmlns='urn:xmpp:sm:3'/>");
        }
        world.server.archive = archived(1_300_000..1_300_001);
        world.away_and_back();
        // The first question is answered, and the link is cut before the next.
        let query = world.next_query();
        for answer in world.server.answers(&query) {
            world.gets(&answer);
        }
        world.acknowledge();
        world.cut();
        world.reconnect(again);
        world.acknowledge();
        while world.gaps() > 0 {
            world.serve();
            world.pass(5_000);
            world.acknowledge();
        }
        let seen: &[&str] = if was_here { &["0", "1300000"] } else { &["0", "--", "1300000"] };
        assert_eq!(world.sees(), seen);
    }
}

#[test]
fn id_that_has_expired_is_not_taken_for_young_because_of_what_no_archive_has() {
    let mut world = World::online();
    world.server.is_vague = true;
    world.gets(&live(0));
    world.now.wall = START + 14 * 86_400_000;
    world.gets(&from_juliet("id='nowhere'", "<body>nowhere</body>"));
    world.server.archive = archived(1_300_000..1_300_001);
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees().last().unwrap(), "1300000");
}

#[test]
fn what_was_dropped_behind_an_id_that_has_expired_is_found_where_the_server_does_not_say_so() {
    let mut world = World::online();
    world.server.is_vague = true;
    world.gets(&live(0));
    world.server.archive = archived(0..1);
    world.serve();
    world.acknowledge();
    world.now.wall = START + 14 * 86_400_000;
    // Nobody hands this on.
    world.server.archive = archived(1_200_000..1_200_001);
    world.pass(1_000);
    world.cut();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    for _ in 0..4 {
        world.serve();
        world.acknowledge();
        world.pass(20_000);
    }
    assert_eq!(world.sees(), ["0", "1200000"]);
}

#[test]
fn who_scrolls_twice_is_told_twice_of_one_page() {
    let mut world = World::new();
    world.server.archive = archived(0..200);
    world.connect();
    world.serve();
    world.acknowledge();
    let asked = |world: &mut World| {
        world.does(Command::Older);
        RequestId(world.request)
    };
    let requests = [asked(&mut world), asked(&mut world)];
    let query = world.next_query();
    assert!(!world.has_query());
    let answers = world.server.answers(&query);
    world.gets_all(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    for request in requests {
        let told = Some(Ok(Reply::Older { added: 50, complete: false }));
        assert_eq!(world.answer_to(request), told);
    }
    assert_eq!(world.sees().len(), 101);
}

#[test]
fn id_that_was_taken_out_is_no_archive_that_has_forgotten() {
    let mut world = World::online();
    world.server.is_vague = true;
    world.gets_all(&[&live(0), &live(100_000)]);
    world.now.wall = START + 14 * 86_400_000;
    world.server.archive = archived(0..1);
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), ["0", "100000"]);
    assert_eq!(world.count("SELECT count(*) FROM gap"), 0);
    assert_eq!(world.count("SELECT count(*) FROM coverage WHERE last_id = 'a100000'"), 1);
}

#[test]
fn who_was_away_until_everything_had_expired_is_told_so_once() {
    let mut world = World::online();
    world.gets(&live(0));
    for days in [14, 15, 30] {
        world.now.wall = START + days * 86_400_000;
        world.away_and_back();
        world.serve();
        assert_eq!(world.sees(), ["0", "--"]);
    }
}

#[test]
fn what_is_no_longer_on_the_server_stands_before_what_is_though_that_begins_with_a_receipt() {
    let mut world = World::online();
    world.gets(&live(0));
    world.now.wall = START + 1_000_000_000;
    let mut archive = archived(899_999..900_003);
    archive[0].message = super::receipt(JULIET, "nothing");
    world.server.archive = archive;
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), ["0", "--", "900000", "900001", "900002"]);
}

#[test]
fn doubt_behind_an_id_of_another_conversation_is_no_second_copy() {
    let mut world = World::online();
    world.server.is_vague = true;
    let nurse = "nurse@capulet.lit";
    world.gets(&live(0).replace(JULIET, nurse));
    world.acknowledge();
    world.server.hears = false;
    let one = world.says("one");
    world.server.hears = true;
    world.server.archive = archived(0..1);
    world.server.archive[0].message = world.server.archive[0].message.replace(JULIET, nurse);
    world.server.archive.push(own_entry(&one, "one", "a1", START + 1_000));
    world.wrote.clear();
    world.away_and_back();
    // Before the catch-up names it.
    while world.has_query() {
        let query = world.next_query();
        if String::from(&query).contains(JULIET) {
            let answers = world.server.answers(&query);
            world.gets_all(&answers.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    world.acknowledge();
    assert_eq!(world.sent_texts(), [""; 0]);
    assert_eq!(world.state(&one), SendState::Sent);
}

#[test]
fn region_of_which_nothing_is_left_is_gone_where_the_server_does_not_say_so() {
    let mut world = World::new();
    world.server.is_vague = true;
    world.server.archive = archived(0..120);
    world.connect();
    world.serve();
    world.server.archive.drain(..71);
    world.does(Command::Older);
    world.serve();
    assert_eq!(world.sees().len(), 51);
    assert_eq!(world.count("SELECT count(*) FROM gap WHERE kind = 2"), 1);
    // The archive begins with its edge now.
    for is_vague in [false, true] {
        let mut world = World::new();
        world.server.is_vague = is_vague;
        world.server.archive = archived(0..60);
        world.connect();
        world.serve();
        world.server.archive.drain(..10);
        world.does(Command::Older);
        world.serve();
        assert_eq!(world.count("SELECT count(*) FROM gap WHERE kind = 2"), 1);
    }
}

#[test]
fn region_of_which_only_what_is_newer_is_left_is_gone_however_many_pages_that_has() {
    // With its edge, and without.
    for left in [150, 165] {
        let mut world = World::new();
        world.server.is_vague = true;
        world.server.archive = archived(0..200);
        world.connect();
        world.serve();
        world.acknowledge();
        for n in 200..240 {
            world.gets(&live(n));
        }
        world.server.archive = archived(left..240);
        for _ in 0..2 {
            world.does(Command::Older);
            world.serve();
            world.acknowledge();
        }
        assert_eq!(world.sees().len(), 91);
        assert_eq!(world.count("SELECT count(*) FROM gap WHERE kind = 2"), 1);
    }
}

#[test]
fn clock_wrong() {
    // The phone's clock says 2106, then 1970: what is covered is decided by our own order.
    let mut world = World::online();
    world.now.wall = 4_300_000_000_000;
    world.gets(&live(0));
    world.now.wall = 0;
    world.gets(&live(1));
    world.gets(&live(2));
    let covered =
        world.file().query_row("SELECT last_id FROM coverage", [], |r| r.get::<_, String>(0)).unwrap();
    assert_eq!(covered, "a2");
    world.server.archive = archived(0..6);
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), numbers(0..6));
}

#[test]
fn filling_a_gap_does_not_take_coverage_back() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..60);
    world.away_and_back();
    world.gets(&live(60));
    world.server.page = 10;
    let query = world.next_query();
    let page = world.server.answers(&query);
    world.gets_all(&page.iter().map(String::as_str).collect::<Vec<_>>());
    let covered =
        world.file().query_row("SELECT last_id FROM coverage", [], |r| r.get::<_, String>(0)).unwrap();
    assert_eq!(covered, "a60");
}

#[test]
fn what_the_server_dropped_is_found_after_a_long_absence() {
    let mut world = World::online();
    world.gets(&live(0));
    world.cut();
    world.now.wall += 120_000;
    world.reconnect(Resume::Accept);
    // It replays 1 and 4 and has dropped 2 and 3.
    world.gets(&live(1));
    world.gets(&live(4));
    assert!(!world.has_query());
    world.acknowledge();
    world.server.archive = archived(0..5);
    assert!(String::from(world.wrote.iter().find(|e| e.name() == "iq").unwrap()).contains(">a0<"));
    world.serve();
    assert_eq!(world.sees(), numbers(0..5));
    assert_eq!(world.gaps(), 0);
    assert_eq!(world.count("SELECT check_position IS NULL FROM session"), 1);
}

/// A resumption that ends before anybody has answered is not the end of an absence.
#[test]
fn absence_lasts_until_somebody_has_answered() {
    let mut world = World::online();
    world.gets(&live(0));
    world.acknowledge();
    world.cut();
    world.now.wall += 7_200_000;
    world.reconnect(Resume::Accept);
    world.cut();
    world.kill();
    world.reconnect(Resume::Accept);
    // What was kept on the server says when it came.
    let at = stamp::format(world.now.wall - 3_600_000 - 60_000);
    let kept = live(1).replace(
        "</message>",
        &format!("<delay xmlns='urn:xmpp:delay' from='{OWN}' stamp='{at}'/></message>"),
    );
    world.gets(&kept);
    assert_eq!(world.count("SELECT max(at) FROM message"), stamp::parse(&at).unwrap());
    assert!(!world.has_query());
    world.acknowledge();
    assert!(world.has_query());
}

#[test]
fn what_the_server_dropped_is_found_after_a_long_replay_and_a_kill() {
    let mut world = World::online();
    world.gets(&live(0));
    world.cut();
    world.reconnect(Resume::Accept);
    for n in 11..70 {
        world.gets(&live(n));
    }
    world.acknowledge();
    assert!(world.has_query());
    world.server.h -= 1;
    world.kill();
    world.server.archive = archived(0..70);
    world.server.page = 7;
    world.reconnect(Resume::Accept);
    // The question was in flight: it is sent again, and answered.
    world.serve();
    world.acknowledge();
    world.serve();
    assert_eq!(world.sees(), numbers(0..70));
    assert_eq!(world.gaps(), 0);
}

#[test]
fn short_absence_asks_nothing_but_once_a_day() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..1);
    world.cut();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    assert!(!world.has_query());
    world.now.wall += 86_400_000;
    world.turn(vec![Input::Tick]);
    assert!(world.has_query());
    world.serve();
    world.turn(vec![Input::Tick]);
    assert!(!world.has_query());
}

#[test]
fn what_was_lost_in_a_resumption_is_found_soon_while_the_user_looks() {
    for foreground in [true, false] {
        let mut world = World::online();
        world.gets(&live(0));
        world.cut();
        world.reconnect(Resume::Accept);
        world.turn(vec![Input::Foreground(foreground)]);
        // Another device has said something, and this one was copied nothing (ejabberd).
        world.server.archive = archived(0..2);
        world.acknowledge();
        assert!(!world.has_query());
        // Nothing else happens.
        world.pass(60_000);
        assert_eq!(world.has_query(), foreground);
        world.serve();
        world.acknowledge();
        assert_eq!(world.sees(), numbers(0..if foreground { 2 } else { 1 }));
        world.pass_online(70_000);
        assert!(!world.has_query(), "there was no resumption since");
    }
}

#[test]
fn server_without_an_archive_is_asked_once_a_day_what_it_keeps() {
    let mut world = World::new();
    world.server.mam = false;
    world.connect();
    world.serve();
    world.acknowledge();
    world.now.wall += 86_400_000;
    world.turn(vec![Input::Tick]);
    assert!(world.says_block("blocklist").is_some());
    for _ in 0..3 {
        world.serve();
        world.acknowledge();
    }
    assert!(world.all("iq").is_empty());
}

#[test]
fn day_passes_although_the_clock_was_set_back() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..1);
    world.now.wall -= 40_000_000;
    world.turn(vec![Input::Tick]);
    assert!(!world.has_query());
    world.now = Now { mono: world.now.mono + 86_400_000, wall: world.now.wall + 86_400_000 };
    world.turn(vec![Input::Tick]);
    assert!(world.has_query());
}

#[test]
fn receipts_are_sent_for_what_was_caught_up_but_not_for_what_is_old() {
    let wants = |n: u32, at: i64| {
        let mut entry = archived(n..n + 1).remove(0);
        entry.at = at;
        entry.message = entry.message.replace("</body>", "</body><request xmlns='urn:xmpp:receipts'/>");
        entry
    };
    let mut world = World::new();
    // The newest page and older ones: never.
    world.server.archive = vec![wants(0, START)];
    world.connect();
    world.serve();
    world.gets(&live(0));
    world.now.wall = START + 20 * 86_400_000;
    let now = world.now.wall;
    let answered = Archived {
        id: "own".into(),
        at: now,
        message: format!(
            "<message xmlns='jabber:client' from='{OWN}/tablet' to='{JULIET}' id='r'><received xmlns='urn:xmpp:receipts' id='j4'/></message>"
        ),
    };
    let mut stranger = wants(5, now);
    stranger.message = stranger.message.replace(JULIET, "tybalt@capulet.lit");
    world.server.archive.extend([
        wants(2, now - 8 * 86_400_000),
        wants(3, now - 6 * 86_400_000),
        wants(4, now),
        answered,
        stranger,
    ]);
    world.away_and_back();
    world.serve();
    let receipts: Vec<String> = world
        .all("message")
        .iter()
        .filter_map(|m| Some(m.get_child("received", ns::RECEIPTS)?.attr("id")?.to_owned()))
        .collect();
    assert_eq!(receipts, ["j3"]);
}

#[test]
fn receipts_of_a_page_are_sent_though_its_session_ends() {
    for may_know in [true, false] {
        let receipts = receipts_of_a_page_that_was_cut_off(may_know);
        assert_eq!(receipts, if may_know { vec!["j1".to_owned()] } else { Vec::new() });
    }
}

/// `may_know`: it is not decided otherwise before they can be sent.
fn receipts_of_a_page_that_was_cut_off(may_know: bool) -> Vec<String> {
    let mut world = World::online();
    world.gets(&live(0));
    let mut archive = archived(0..2);
    archive[1].message = archive[1].message.replace("</body>", "</body><request xmlns='urn:xmpp:receipts'/>");
    archive[1].at = world.now.wall;
    world.server.archive = archive;
    world.away_and_back();
    let query = world.next_query();
    let mut page = world.server.answers(&query);
    page.pop();
    world.gets_all(&page.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(world.sees(), ["0", "1", "--"]);
    world.cut();
    world.kill();
    if !may_know {
        let signals = crate::api::Signals { delivered: false, displayed: true, typing: true };
        world.does(Command::SetSignals { with: None, signals: Some(signals) });
    }
    world.reconnect(Resume::Refuse);
    world.serve();
    let messages = world.all("message");
    let receipt = |m: &Element| Some(m.get_child("received", ns::RECEIPTS)?.attr("id")?.to_owned());
    messages.iter().filter_map(receipt).collect()
}

/// A page says that a message of ours may have been in the archive before; then its link is lost, and it is read again.
#[test]
fn what_a_page_has_left_open_is_looked_for_though_it_was_read_twice() {
    let mut world = World::online();
    world.gets(&live(0));
    let id = world.says("one");
    world.server.h -= 1;
    world.cut();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    let own = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/phone.1' to='{JULIET}' id='{0}'><body>one</body><origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
        id.0
    );
    world.server.archive = archived(0..1);
    world.server.archive.push(Archived { id: "own".into(), at: START + 1_500, message: own });
    world.now.wall += 86_400_000;
    world.turn(vec![Input::Tick]);
    let query = world.next_query();
    let mut page = world.server.answers(&query);
    let end = page.pop().unwrap();
    world.gets_all(&page.iter().map(String::as_str).collect::<Vec<_>>());
    world.cut();
    world.reconnect(Resume::Accept);
    world.gets(&end);
    let query = world.next_query();
    let page = world.server.answers(&query);
    world.gets_all(&page.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(world.has_query());
}

#[test]
fn own_message_moves_to_where_the_archive_has_it() {
    let mut world = World::online();
    world.gets(&live(0));
    let id = world.says("between");
    world.server.h -= 1;
    world.cut();
    let own = Archived {
        id: "own".into(),
        at: START + 1_500,
        message: format!(
            "<message xmlns='jabber:client' type='chat' from='{OWN}/phone.1' to='{JULIET}' id='{0}'><body>between</body><origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
            id.0
        ),
    };
    world.server.archive = archived(0..4);
    world.server.archive.insert(2, own);
    world.reconnect(Resume::Refuse);
    world.serve();
    assert_eq!(world.sees(), ["0", "1", "> between", "2", "3"]);
    assert!(world.sent_texts().is_empty(), "it is there already");
}

#[test]
fn own_message_that_the_archive_has_named_stays_there_when_its_ack_comes() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..1);
    world.cut();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    let id = world.says("between");
    let own = Archived {
        id: "own".into(),
        at: START + 500,
        message: format!(
            "<message xmlns='jabber:client' type='chat' from='{OWN}/phone.1' to='{JULIET}' id='{0}'><body>between</body><origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
            id.0
        ),
    };
    world.server.archive = vec![archived(0..1).remove(0), own, archived(1..2).remove(0)];
    world.gets(&live(1));
    // The archive is asked before the ack comes, and names it.
    world.now.wall += 86_400_000;
    world.turn(vec![Input::Tick]);
    world.serve();
    assert_eq!(world.sees(), ["0", "> between", "1"]);
    world.acknowledge();
    assert_eq!(world.state(&id), SendState::Sent);
    assert_eq!(world.sees(), ["0", "> between", "1"]);
}

/// As ejabberd numbers them.
pub(super) fn counted_live(n: u32) -> String {
    live(n).replace(&format!("'a{n}'"), &format!("'179554548209475{n}'"))
}

pub(super) fn counted_archive(numbers: std::ops::Range<u32>) -> Vec<Archived> {
    let mut entries = archived(numbers);
    for entry in &mut entries {
        entry.id = format!("179554548209475{}", &entry.id[1..]);
    }
    entries
}

#[test]
fn message_that_comes_behind_later_ones_stands_where_the_archive_has_it() {
    // What ejabberd does to messages that were on their way when the session was resumed.
    let live = counted_live;
    let mut world = World::online();
    world.gets(&live(0));
    world.cut();
    world.reconnect(Resume::Accept);
    world.acknowledge();
    world.server.archive = counted_archive(0..6);
    for n in [3, 4] {
        world.gets(&live(n));
    }
    assert!(!world.has_query());
    for n in [1, 2, 5] {
        world.gets(&live(n));
    }
    world.serve();
    assert_eq!(world.sees(), numbers(0..6));
    assert!(!world.has_query());
}

#[test]
fn answer_that_is_replayed_says_nothing_about_what_is_replayed_behind_it() {
    let mut world = World::online();
    world.gets(&counted_live(0));
    world.cut();
    world.now.wall += 120_000;
    world.reconnect(Resume::Accept);
    world.acknowledge();
    let question = world.next("iq");
    world.server.archive = counted_archive(0..3);
    let answers = world.server.answers(&question);
    // The link dies before they arrive, and the session is resumed.
    world.cut();
    world.reconnect(Resume::Accept);
    world.gets_all(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    world.server.archive = counted_archive(0..5);
    for n in [4, 3] {
        world.gets(&counted_live(n));
    }
    world.acknowledge();
    world.serve();
    assert_eq!(world.sees(), numbers(0..5));
    assert!(!world.has_query());
}

#[test]
fn sync_answers_when_caught_up_and_nothing_waits() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..80);
    world.away_and_back();
    world.says("one");
    let before = world.replies.len();
    world.does(Command::Sync { timeout: 60_000 });
    assert_eq!(world.replies.len(), before);
    world.serve();
    assert_eq!(world.replies.len(), before, "the outbox is not empty");
    world.acknowledge();
    assert_eq!(world.replies.len(), before + 1);
    assert_eq!(world.replies[before].1, Ok(Reply::Done));
}

#[test]
fn archive_that_does_not_go_on_is_asked_again_after_a_while() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..3);
    // Nothing, and not the end of it.
    world.server.page = 0;
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), ["0", "--"]);
    world.acknowledge();
    world.pass(10_000);
    assert!(!world.has_query(), "it has a pause");
    world.server.page = 50;
    // A minute at the most; and who has asked waits for an answer.
    for _ in 0..60 {
        if !world.has_query() {
            world.pass(1_000);
        }
    }
    world.serve();
    assert_eq!(world.sees(), ["0", "1", "2"]);
    assert_eq!(world.gaps(), 0);
}

#[test]
fn pages_without_anything_to_show_are_no_reason_to_give_up() {
    let mut world = World::online();
    world.gets(&live(0));
    world.cut();
    world.server.page = 10;
    world.server.archive = archived(0..1);
    // Nothing but receipts for a while: they leave no row.
    world.server.archive.extend((0..40).map(|n| Archived {
        id: format!("receipt-{n}"),
        at: START + 2_000,
        message: format!(
            "<message xmlns='jabber:client' type='chat' from='{JULIET}/balcony' to='{OWN}' id='r{n}'><received xmlns='urn:xmpp:receipts' id='x'/></message>"
        ),
    }));
    world.server.archive.extend(archived(1..3));
    world.reconnect(Resume::Refuse);
    world.serve();
    assert_eq!(world.sees(), ["0", "1", "2"]);
    assert_eq!(world.count("SELECT count(*) FROM gap"), 0);
}

fn receipts(numbers: std::ops::Range<u32>, at: i64) -> Vec<Archived> {
    numbers
        .map(|n| Archived {
            id: format!("receipt-{n}"),
            at,
            message: format!(
                "<message xmlns='jabber:client' type='chat' from='{JULIET}/balcony' to='{OWN}' id='r{n}'><received xmlns='urn:xmpp:receipts' id='x'/></message>"
            ),
        })
        .collect()
}

/// What another device of ours sent, as a carbon without the archive's id.
fn sent_elsewhere() -> String {
    format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/tablet' to='{JULIET}' id='s'><body>S</body><origin-id xmlns='urn:xmpp:sid:0' id='s'/></message>"
    )
}

fn unread(world: &World) -> u64 {
    timeline::conversations(&world.file()).unwrap()[0].unread
}

/// The account's own messages of this session stand where they stood, whatever a page by time begins with.
#[test]
fn page_by_time_that_begins_with_what_was_just_sent_moves_nothing_else() {
    let mut world = World::online();
    for n in 0..3 {
        world.gets(&live(n));
        world.says(&format!("answer {n}"));
        world.acknowledge();
    }
    let before = world.sees();
    // Two weeks later all of that has expired (Prosody keeps a week).
    world.now.wall += 14 * 86_400_000;
    world.away_and_back();
    let id = world.says("hello");
    world.server.archive = vec![own_entry(&id, "hello", "b0", world.now.wall)];
    world.acknowledge();
    world.serve();
    let after: Vec<String> = world.sees().into_iter().filter(|line| line != "--").collect();
    let mut wanted = before;
    wanted.push("> hello".into());
    assert_eq!(after, wanted);
}

#[test]
fn what_an_archive_has_that_was_switched_on_later_stands_above_what_was_known() {
    let mut world = World::new();
    world.server.mam = false;
    world.connect();
    world.serve();
    let plain = |n: u32| from_juliet(&format!("id='j{n}'"), &format!("<body>{n}</body>"));
    for n in 0..3 {
        world.gets(&plain(n));
    }
    world.server.mam = true;
    world.server.archive = archived(3..5);
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), numbers(0..5));
}

#[test]
fn what_moves_below_what_was_read_can_be_read() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..2);
    world.away_and_back();
    world.gets(&live(2));
    world.does(Command::MarkRead { with: juliet() });
    assert_eq!(unread(&world), 0);
    let origin = "<origin-id xmlns='urn:xmpp:sid:0' id='j1'/>";
    let first = &mut world.server.archive[1].message;
    *first = first.replace("</body>", &format!("</body>{origin}"));
    // Juliet's client sends 1 again: it has not heard that it had come.
    world.gets(&live(1).replace("'a1'", "'a3'").replace("</body>", &format!("</body>{origin}")));
    assert_eq!(unread(&world), 1);
    world.serve();
    assert_eq!(world.sees().last().unwrap(), "2");
    world.does(Command::MarkRead { with: juliet() });
    assert_eq!(unread(&world), 0, "{:?}", world.sees());
}

/// A check ends where a gap begins; what is behind that was mixed up as well.
#[test]
fn what_was_mixed_up_and_has_no_id_is_no_older_copy() {
    let mut world = World::online();
    world.server.archive = archived(0..1);
    world.gets(&live(0));
    world.acknowledge();
    world.cut();
    world.reconnect(Resume::Accept);
    // Replayed in another order: S was behind 2.
    world.gets(&live(1));
    world.gets(&carbon(OWN, "sent", &sent_elsewhere()));
    world.gets(&live(2));
    world.server.archive = archived(0..3);
    world.server.archive.push(Archived { id: "a3".into(), at: START, message: sent_elsewhere() });
    world.server.page = 2;
    world.away_and_back();
    // The check is answered first.
    world.turn(vec![Input::Tick]);
    let at = world.wrote.iter().position(|e| String::from(e).contains("<after>a0<")).expect("a check");
    let check = world.wrote.remove(at).unwrap();
    let answers = world.server.answers(&check);
    world.gets_all(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    world.serve();
    assert_eq!(world.sees(), ["0", "1", "2", "> S"]);
}

/// A check by time of which the first page had only receipts, and then the session was lost.
#[test]
fn check_by_time_that_was_cut_off_behind_receipts_keeps_the_order() {
    let mut world = World::online();
    world.gets(&live(0));
    world.acknowledge();
    world.cut();
    world.reconnect(Resume::Accept);
    // The archive has forgotten 0.
    world.gets(&live(1));
    world.gets(&carbon(OWN, "sent", &sent_elsewhere()));
    world.gets(&live(2));
    world.acknowledge();
    let mut archive = receipts(0..2, START);
    archive.extend(archived(1..2));
    archive.push(Archived { id: "s".into(), at: START + 1_500, message: sent_elsewhere() });
    archive.extend(archived(2..3));
    world.server.archive = archive;
    world.server.page = 2;
    world.now.wall += 86_400_000;
    world.turn(vec![Input::Tick]);
    for _ in 0..2 {
        // After a0: forgotten. By time: two receipts.
        let query = world.next_query();
        let answers = world.server.answers(&query);
        world.gets_all(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert!(world.has_query());
    world.away_and_back();
    world.turn(vec![Input::Tick]);
    world.serve();
    assert_eq!(world.sees(), ["0", "1", "> S", "2"]);
}

/// The archive was empty at the first sign-in, and has named nothing of what was sent since. A comparison of all of it is cut off.
#[test]
fn archive_that_is_read_from_its_beginning_once_more_keeps_the_order() {
    let mut world = World::online();
    let mut sent = Vec::new();
    for n in 0..5 {
        sent.push(world.says(&n.to_string()));
        world.acknowledge();
    }
    let entry = |(n, id): (usize, &ItemId)| own_entry(id, &n.to_string(), &format!("a{n}"), START);
    world.server.archive = sent.iter().enumerate().map(entry).collect();
    world.server.page = 3;
    world.now.wall += 86_400_000;
    world.turn(vec![Input::Tick]);
    answers_with(&mut world, usize::MAX);
    world.away_and_back();
    answers_with(&mut world, usize::MAX);
    // The archive has expired what it has named.
    world.server.archive.drain(..3);
    world.serve();
    world.acknowledge();
    world.serve();
    assert_eq!(world.sees_messages(), ["> 0", "> 1", "> 2", "> 3", "> 4"]);
}

/// A check has moved up the first of what was mixed up, and has not reached the rest, when the session is lost.
#[test]
fn what_a_check_has_not_reached_is_not_older_than_what_it_has_moved_up() {
    let elsewhere = |name: &str| {
        sent_elsewhere().replace("S</body>", &format!("{name}</body>")).replace("'s'", &format!("'{name}'"))
    };
    let [s, u] = ["S", "U"].map(elsewhere);
    let mut world = World::online();
    world.server.page = 2;
    world.server.archive = archived(0..1);
    world.gets(&live(0));
    world.acknowledge();
    world.cut();
    world.now.wall += 120_000;
    world.reconnect(Resume::Accept);
    let mut archive = archived(0..5);
    archive.insert(1, Archived { id: "as".into(), at: START, message: s.clone() });
    archive.push(Archived { id: "au".into(), at: START + 9_000, message: u.clone() });
    world.server.archive = archive;
    for xml in [live(1), live(2), live(3), carbon(OWN, "sent", &u), live(4), carbon(OWN, "sent", &s)] {
        world.gets(&xml);
    }
    world.acknowledge();
    answers_with(&mut world, 3);
    world.away_and_back();
    world.turn(vec![Input::Tick]);
    let at = world.wrote.iter().position(|e| String::from(e).contains("<after>a4<")).expect("a gap's page");
    let fill = world.wrote.remove(at).unwrap();
    let answers = world.server.answers(&fill);
    world.gets_all(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    for _ in 0..3 {
        world.serve();
        world.acknowledge();
    }
    assert_eq!(world.sees(), ["0", "> S", "1", "2", "3", "4", "> U"]);
}

fn receipt(at: i64) -> Archived {
    receipts(0..1, at).remove(0)
}

/// So many of a page's results come, and then the link is lost.
fn answers_with(world: &mut World, results: usize) {
    let query = world.next_query();
    let answers: Vec<String> = world.server.answers(&query).into_iter().take(results).collect();
    world.gets_all(&answers.iter().map(String::as_str).collect::<Vec<_>>());
}

/// What follows the last that is covered is most often the receipt for it, which has no row.
#[test]
fn page_that_begins_with_a_receipt_and_is_read_again_moves_nothing() {
    let mut world = World::online();
    world.gets(&live(0));
    world.acknowledge();
    world.server.archive = archived(0..5);
    world.server.archive.insert(1, receipt(START));
    world.away_and_back();
    answers_with(&mut world, 5);
    world.away_and_back();
    answers_with(&mut world, 3);
    assert_eq!(world.sees_messages(), numbers(0..5));
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), numbers(0..5));
}

/// The archive has expired what a page without an end has brought, and what that was asked behind.
#[test]
fn what_was_brought_stands_below_what_is_read_by_time() {
    let mut world = World::online();
    world.gets(&live(0));
    world.acknowledge();
    world.server.archive = archived(0..3);
    world.away_and_back();
    answers_with(&mut world, 2);
    world.away_and_back();
    world.server.archive = archived(3..5);
    world.serve();
    assert_eq!(world.sees_messages(), numbers(0..5));
}

/// The archive has expired two weeks, and some of what it has came live.
#[test]
fn what_is_no_longer_on_the_server_is_shown_though_something_newer_is_known() {
    let mut world = World::online();
    world.gets(&live(0));
    world.acknowledge();
    world.server.archive = archived(900_000..900_003);
    world.now.wall = START + 1_000_000_000;
    world.away_and_back();
    world.gets(&live(900_002));
    world.serve();
    assert_eq!(world.sees(), ["0", "--", "900000", "900001", "900002"]);
}

/// Half of an older page came, and a smaller one is asked for next.
#[test]
fn older_page_that_was_cut_off_is_asked_for_again_and_stays_in_order() {
    let mut world = World::new();
    world.server.archive = archived(0..200);
    world.connect();
    world.serve();
    world.acknowledge();
    world.does(Command::Older);
    answers_with(&mut world, 20);
    world.away_and_back();
    world.does(Command::Older);
    for _ in 0..3 {
        world.serve();
        world.acknowledge();
    }
    let shown: Vec<u32> = world.sees().into_iter().filter_map(|line| line.parse().ok()).collect();
    assert!(shown.is_sorted(), "{shown:?}");
    world.reads_all();
    assert_eq!(world.sees(), numbers(0..200));
}

/// What a check has found stands close together, and the lower part of it is forgotten.
#[test]
fn what_stands_close_together_keeps_its_place_when_it_is_read_from_above() {
    let mut world = World::new();
    world.server.archive = archived(0..120);
    world.connect();
    world.serve();
    world.gets(&live(120));
    world.acknowledge();
    world.cut();
    world.now.wall += 120_000;
    world.reconnect(Resume::Accept);
    world.gets(&live(124));
    world.server.archive = archived(0..125);
    for _ in 0..3 {
        world.acknowledge();
        world.serve();
    }
    world.server.archive = archived(122..125);
    world.server.page = 1;
    world.reads_all();
    assert_eq!(world.sees_messages(), numbers(70..125));
}

impl World {
    /// What is shown, but for holes.
    fn sees_messages(&self) -> Vec<String> {
        self.sees().into_iter().filter(|line| line != "--").collect()
    }

    /// Scrolls to where nothing is older.
    fn reads_all(&mut self) {
        for _ in 0..200 {
            if self.count("SELECT count(*) FROM gap WHERE kind = 1") == 0 {
                return;
            }
            self.does(Command::Older);
            self.serve();
            self.acknowledge();
        }
        panic!("{:?}", self.sees());
    }
}

/// The archive has forgotten the region that nobody read, and more: what it has is newer, and one message of that was dropped.
#[test]
fn what_is_read_from_above_where_the_archive_has_forgotten_the_rest_stands_above_that() {
    for (page, kills) in [(50, false), (2, false), (1, false), (1, true)] {
        let mut world = World::new();
        world.server.archive = archived(0..120);
        world.connect();
        world.serve();
        world.gets(&live(121));
        world.gets(&live(122));
        world.acknowledge();
        world.server.archive = archived(120..123);
        world.server.page = page;
        if kills {
            world.does(Command::Older);
            world.serve();
            world.kill();
            world.connect();
            world.serve();
        }
        world.reads_all();
        assert_eq!(world.sees_messages(), numbers(70..123), "{page} {kills}");
    }
}

/// Nothing of a page is known, or only one message of all.
#[test]
fn what_is_read_from_above_finds_its_place_beside_little_that_is_known() {
    for (first, last) in [(121, 122), (121, 123), (120, 122)] {
        for page in [50, 1] {
            let mut world = World::new();
            world.server.archive = archived(0..120);
            world.server.page = if first == 120 { 50 } else { 1 };
            world.connect();
            world.serve();
            world.gets(&live(first));
            world.acknowledge();
            world.server.archive = archived(120..last);
            world.server.page = page;
            world.reads_all();
            let known = if first == 120 { 70 } else { 119 };
            assert_eq!(world.sees_messages(), numbers(known..last), "{first} {last} {page}");
        }
    }
}

/// Only what the region ends at is no longer in the archive, since it was retracted there.
#[test]
fn what_is_older_than_messages_that_the_archive_has_taken_out_stays_below_them() {
    for page in [50, 7] {
        for gone in [&["a70"][..], &["a70", "a71"]] {
            let mut world = World::new();
            world.server.archive = archived(0..120);
            world.connect();
            world.serve();
            world.server.archive.retain(|entry| !gone.contains(&entry.id.as_str()));
            world.server.page = page;
            world.reads_all();
            assert_eq!(world.sees(), numbers(0..120), "{page} {gone:?}");
        }
    }
}

/// Cut twice in the same page, mixed up each time: its end came before its results.
#[test]
fn page_that_is_cut_twice_loses_nothing() {
    for killed in [false, true] {
        let mut world = World::online();
        world.gets(&live(0));
        world.server.archive = archived(0..5);
        world.away_and_back();
        world.gets(&live(5));
        world.server.archive = archived(0..6);
        world.acknowledge();
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let query = world.next_query();
            let max = query
                .children()
                .next()
                .unwrap()
                .get_child("set", ns::RSM)
                .and_then(|set| set.get_child("max", ns::RSM));
            sizes.push(max.unwrap().text().parse::<u32>().unwrap());
            let mut answers = world.server.answers(&query);
            world.cut();
            if killed {
                world.kill();
            }
            world.reconnect(Resume::Accept);
            // The end comes first.
            answers.rotate_right(1);
            world.gets_all(&answers.iter().map(String::as_str).collect::<Vec<_>>());
        }
        world.acknowledge();
        assert_eq!(world.gaps(), 1);
        // Nothing of it is believed, however often; each page that is asked for is a smaller one, until one comes whole.
        assert!(sizes.is_sorted_by(|size, next| next < size), "{sizes:?}");
        world.serve();
        assert_eq!(world.sees(), numbers(0..6));
        assert_eq!(world.gaps(), 0);
    }
}

/// A check moves up what was read last past what is unread, and that behind it.
#[test]
fn what_comes_late_leaves_unread_what_nobody_read() {
    for whose in [JULIET, "nurse@capulet.lit"] {
        let live = counted_live;
        let late = |text: &str| text.replace(JULIET, whose);
        let mut world = World::online();
        world.gets(&live(0));
        world.cut();
        world.reconnect(Resume::Accept);
        world.acknowledge();
        world.server.archive = counted_archive(0..4);
        world.server.archive[1].message = late(&world.server.archive[1].message);
        world.gets(&live(2));
        world.does(Command::MarkRead { with: juliet() });
        world.gets(&live(3));
        world.gets(&late(&live(1)));
        world.serve();
        let sees = if whose == JULIET { numbers(0..4) } else { texts(&["0", "2", "3"]) };
        assert_eq!(world.sees(), sees);
        let unread = "SELECT unread FROM conversation WHERE jid = 'juliet@capulet.lit'";
        assert_eq!(world.count(unread), 1, "3; what is late is from {whose}");
        let above = "SELECT count(*) FROM message AS m JOIN conversation AS c ON c.id = m.conversation
                     WHERE c.jid = 'juliet@capulet.lit' AND m.position > c.read_position";
        assert_eq!(world.count(above), 1);
    }
}

/// Its module was switched off, or the account has moved.
#[test]
fn archive_that_is_no_longer_there_is_waited_for_by_nobody_and_read_once_it_is_back() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..3);
    world.server.mam = false;
    for _ in 0..2 {
        world.away_and_back();
        assert_eq!(world.does(Command::Sync { timeout: 600_000 }), None);
        world.serve();
        world.acknowledge();
        assert_eq!(world.status, Some(Status::Online));
        assert_eq!(world.answer_to(RequestId(world.request)), Some(Ok(Reply::Done)));
        assert_eq!(world.gaps(), 1, "it may come back");
    }
    world.server.mam = true;
    world.away_and_back();
    world.serve();
    world.acknowledge();
    assert_eq!(world.sees(), ["0", "1", "2"]);
    assert_eq!(world.gaps(), 0);
}
