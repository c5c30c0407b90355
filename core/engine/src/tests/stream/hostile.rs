//! Servers that count wrong, forget, never answer, or are somebody else (STREAM 3 to 14): no message lost, nothing believed
//! that was not proven.

use crate::tests::{
    login::{FEATURES, success},
    *,
};

impl World {
    /// Resumed, but nothing that is written behind it arrives.
    fn reconnect_deaf(&mut self) {
        self.server.hears = true;
        let h = self.server.h;
        self.reconnect(Resume::Accept);
        self.server.h = h;
        self.wrote.clear();
    }

    fn sm(&self, field: &str) -> i64 {
        self.count(&format!("SELECT json_extract(sm, '$.{field}') FROM session"))
    }

    /// Every counter of the session stands here, on both sides.
    fn counters_at(&mut self, number: u64) {
        assert_eq!(self.count("SELECT count(*) FROM outbox WHERE number IS NOT NULL"), 0);
        let engine = self.engine.as_ref().unwrap();
        let sql = "UPDATE session SET sm = json_set(sm, '$.handled', ?1, '$.sent', ?1, '$.acknowledged', ?1)";
        engine.connection().execute(sql, [number as i64]).unwrap();
        self.server.h = number as u32;
        self.kill();
    }

    /// How often it connects and is told something, while `ends` ends each attempt, in an hour.
    fn hour_of(&mut self, mut ends: impl FnMut(&mut World)) -> (usize, Vec<Event>) {
        let mut attempts = 0;
        let end = self.now.mono + 3_600_000;
        self.events.clear();
        while self.now.mono < end {
            if self.link.is_some() {
                attempts += 1;
                assert!(attempts < 1_000, "a tight loop");
                ends(self);
                self.link = None;
            }
            self.pass(1_000);
        }
        (attempts, std::mem::take(&mut self.events))
    }
}

fn offline(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Offline { .. })).count()
}

#[test]
fn handled_too_high() {
    for excess in [1, 7, 100, u32::MAX / 2] {
        let mut world = World::online();
        let id = world.says("one");
        let h = world.server.h.wrapping_add(excess);
        world.gets(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
        assert!(world.hung_up, "{excess}");
        assert_eq!(world.state(&id), SendState::Queued);
        world.reconnect(Resume::Accept);
        assert_eq!(world.server.sessions, 2, "bound anew");
        world.serve();
        assert_eq!(world.sent_texts(), ["one"], "and not lost");
        world.acknowledge();
        assert_eq!(world.state(&id), SendState::Sent);
    }
}

#[test]
fn handled_too_high_when_it_resumes() {
    for resume in [Resume::Accept, Resume::RefuseWithH] {
        let mut world = World::online();
        world.server.hears = false;
        let ids = [world.says("one"), world.says("two")];
        world.server.hears = true;
        world.server.h += 9;
        world.cut();
        world.reconnect(resume);
        assert!(ids.iter().all(|id| world.state(id) == SendState::Queued), "it is not believed");
        if world.link.is_none() {
            world.reconnect(Resume::Accept);
        }
        assert_eq!(world.server.sessions, 2, "bound anew");
        world.serve();
        world.acknowledge();
        assert_eq!(world.sent_texts(), ["one", "two"]);
        assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
    }
}

#[test]
fn handled_is_no_number() {
    let mut world = World::online();
    let id = world.says("one");
    for h in ["", " ", "-1", "4294967296", "1e3", "0x2", "NaN", "99999999999999999999999999"] {
        world.gets(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
    }
    world.gets("<a xmlns='urn:xmpp:sm:3'/>");
    world.gets("<a xmlns='urn:xmpp:sm:2' h='1000'/>");
    assert!(!world.hung_up);
    assert_eq!(world.state(&id), SendState::Queued);
    world.acknowledge();
    assert_eq!(world.state(&id), SendState::Sent);
}

#[test]
fn handled_backwards() {
    let mut world = World::online();
    let h = world.server.h - 1;
    world.gets(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
    assert!(world.hung_up);
    // With a resumption: restored from a backup, or another session. What is under way is not lost.
    let mut world = World::online();
    world.server.hears = false;
    let id = world.says("one");
    world.server.hears = true;
    world.server.h -= 1;
    world.cut();
    world.reconnect(Resume::Accept);
    world.reconnect(Resume::Accept);
    assert_eq!(world.server.sessions, 2, "bound anew");
    world.serve();
    assert_eq!(world.sent_texts(), ["one"]);
    world.acknowledge();
    assert_eq!(world.state(&id), SendState::Sent);
    // The same again is no step back.
    let mut world = World::online();
    world.acknowledge();
    world.acknowledge();
    assert!(!world.hung_up);
}

#[test]
fn handled_wraps() {
    let wrap = 1u64 << 32;
    for before in 0..6 {
        let mut world = World::online();
        world.counters_at(wrap - before);
        world.reconnect(Resume::Accept);
        assert_eq!(world.server.resumed_from, (wrap - before) as u32);
        // Three arrive, three do not; the same number comes to us.
        let mut ids: Vec<ItemId> = (0..3).map(|n| world.says(&n.to_string())).collect();
        world.server.hears = false;
        ids.extend((3..6).map(|n| world.says(&n.to_string())));
        for n in 0..3 {
            world.gets(&live(n));
        }
        world.server.hears = true;
        world.kill();
        world.reconnect(Resume::Accept);
        assert_eq!(world.server.resumed_from, (wrap - before + 3) as u32, "{before}");
        assert_eq!(world.server.sessions, 1, "{before}");
        assert_eq!(world.sent_texts(), ["3", "4", "5"], "{before}");
        world.acknowledge();
        assert!(ids.iter().all(|id| world.state(id) == SendState::Sent), "{before}");
        world.gets("<r xmlns='urn:xmpp:sm:3'/>");
        assert_eq!(world.next("a").attr("h"), Some(((wrap - before + 3) as u32).to_string().as_str()));
        assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
        // Beyond the wrap too high is still too high, and below it backwards is still backwards.
        for wrong in [1, -1] {
            let mut world = World::online();
            world.counters_at(wrap - before);
            world.reconnect(Resume::Accept);
            let h = world.server.h.wrapping_add_signed(wrong);
            world.gets(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
            assert!(world.hung_up, "{before} {wrong}");
        }
    }
}

#[test]
fn resend_misnumbered() {
    let mut world = World::online();
    world.server.hears = false;
    world.says("one");
    world.says("two");
    world.server.hears = true;
    // Twice in a row: the second resumption counts from the same stanza as the first.
    for _ in 0..2 {
        world.cut();
        world.server.hears = false;
        world.reconnect_deaf();
        world.server.hears = true;
    }
    world.cut();
    world.reconnect(Resume::Accept);
    assert_eq!(world.sent_texts(), ["one", "two"]);
    world.acknowledge();
    assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn session_that_nothing_is_read_in_any_more_is_given_up_however_soon_its_links_are_cut() {
    let mut world = World::online();
    world.server.hears = false;
    world.says("one");
    for n in 0..2 {
        world.cut();
        world.reconnect_deaf();
        world.server.hears = false;
        assert_eq!(world.server.sessions, 1);
        world.pass(3_000);
        world.gets(&live(n));
        assert!(!world.hung_up, "it may be slow");
    }
    world.cut();
    world.server.hears = true;
    world.reconnect(Resume::Accept);
    assert_eq!(world.server.sessions, 2);
}

#[test]
fn session_that_is_read_is_kept_although_each_link_is_cut_before_an_answer() {
    let mut world = World::online();
    for n in 0..5 {
        world.says(&n.to_string());
        world.pass(3_000);
        world.gets(&live(n));
        world.cut();
        world.reconnect(Resume::Accept);
    }
    assert_eq!(world.server.sessions, 1);
}

#[test]
fn resend_misnumbered_whatever_is_taken_between_the_cuts() {
    // Of five under way the server takes any number with each connection; what is said meanwhile goes behind.
    for taken in 0..4 {
        let mut world = World::online();
        let mut ids = Vec::new();
        world.server.hears = false;
        for n in 0..5 {
            ids.push(world.says(&n.to_string()));
        }
        let mut arrived: Vec<String> = Vec::new();
        for round in 0..4 {
            let h = world.server.h;
            world.server.hears = true;
            world.cut();
            world.reconnect(Resume::Accept);
            let texts = world.sent_texts();
            let expected: Vec<String> = (arrived.len()..ids.len()).map(|n| n.to_string()).collect();
            assert_eq!(texts, expected, "{taken} taken, round {round}");
            // The rest was lost on the way.
            world.server.h = h + taken as u32;
            arrived.extend(texts.into_iter().take(taken));
            world.server.hears = false;
            ids.push(world.says(&ids.len().to_string()));
            if arrived.len() + taken > ids.len() {
                break;
            }
        }
        world.server.hears = true;
        world.cut();
        world.reconnect(Resume::Accept);
        arrived.extend(world.sent_texts());
        let expected: Vec<String> = (0..ids.len()).map(|n| n.to_string()).collect();
        assert_eq!(arrived, expected);
        world.acknowledge();
        assert!(ids.iter().all(|id| world.state(id) == SendState::Sent));
    }
}

#[test]
fn never_acknowledges() {
    let mut world = World::online();
    let ids: Vec<ItemId> = (0..300).map(|n| world.says(&n.to_string())).collect();
    let first = world.sent_texts().len();
    assert!((2..20).contains(&first), "bounded: {first}");
    world.pass(5_000);
    assert!(!world.hung_up, "they need their time");
    world.pass(25_000);
    assert!(world.hung_up, "the link was probed and said nothing");
    assert!(ids.iter().all(|id| world.state(id) == SendState::Queued), "and it is to be seen");
    world.reconnect(Resume::Accept);
    let mut next = first;
    while next < 300 {
        let sent = world.sent_texts();
        assert_eq!(sent.first(), Some(&next.to_string()), "what follows");
        next += sent.len();
        world.acknowledge();
    }
    assert!(ids.iter().all(|id| world.state(id) == SendState::Sent));
    assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn never_acknowledges_but_always_answers() {
    // It lives, and takes nothing over: no stanza more leaves, none is said to be sent, and the link stays.
    let mut world = World::online();
    let h = world.server.h;
    let ids: Vec<ItemId> = (0..300).map(|n| world.says(&n.to_string())).collect();
    assert!((2..20).contains(&world.sent_texts().len()));
    for n in 0..60 {
        for _ in world.all("r") {
            world.gets(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
        }
        world.pass(5_000);
        world.gets(&live(n));
    }
    assert!(!world.hung_up);
    assert!(world.sent_texts().is_empty());
    assert!(ids.iter().all(|id| world.state(id) == SendState::Queued));
    // A large one goes alone.
    let mut world = World::online();
    for _ in 0..20 {
        world.says(&"Thou knowest the mask of night is on my face".repeat(1_000));
    }
    assert_eq!(world.sent_texts().len(), 1);
}

impl World {
    /// Questions wait for acknowledgements as messages do.
    fn reads_the_archive(&mut self) {
        self.serve();
        self.acknowledge();
        while self.has_query() {
            self.serve();
            self.acknowledge();
        }
    }
}

#[test]
fn queue_overflow() {
    // Ten thousand come as fast as they can; a hundred unacknowledged and the session would be gone.
    let mut world = World::online();
    let (mut unacknowledged, mut most) = (0i64, 0);
    let handled = world.sm("handled");
    for batch in 0..200 {
        let stanzas: Vec<String> = (batch * 50..batch * 50 + 50).map(live).collect();
        world.gets_all(&stanzas.iter().map(String::as_str).collect::<Vec<_>>());
        unacknowledged += 50;
        most = most.max(unacknowledged);
        for ack in world.all("a") {
            let h: i64 = ack.attr("h").unwrap().parse().unwrap();
            unacknowledged = (i64::from(batch) + 1) * 50 + handled - h;
        }
    }
    assert!(most <= 100, "{most} unacknowledged");
    assert_eq!(world.sees().len(), 10_000);
}

#[test]
fn queue_overflow_is_found_by_asking_the_archive() {
    let mut world = World::online();
    world.gets(&live(0));
    world.gets("<r xmlns='urn:xmpp:sm:3'/>");
    world.cut();
    // Nobody is there while ten thousand come. The server keeps a hundred, forgets the others, and says nothing.
    world.server.archive = archived(0..10_001);
    world.server.page = 500;
    world.reconnect(Resume::Accept);
    let kept: Vec<String> = (9_901..10_001).map(live).collect();
    for batch in kept.chunks(50) {
        world.gets_all(&batch.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_eq!(world.sees().len(), 101);
    world.reads_the_archive();
    let expected: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    assert!(world.sees() == expected, "{} of them", world.sees().len());
    assert_eq!(world.count("SELECT count(*) FROM gap"), 0);
}

#[test]
fn queue_overflow_that_ends_the_session() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..2_000);
    world.server.page = 500;
    for n in 1..100 {
        world.gets(&live(n));
    }
    world.stream_error("resource-constraint");
    world.reconnect(Resume::Refuse);
    world.reads_the_archive();
    let expected: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    assert!(world.sees() == expected, "{} of them", world.sees().len());
}

#[test]
fn fast_token_refused() {
    let refused = |condition: &str| {
        format!(
            "<failure xmlns='urn:xmpp:sasl:2'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>"
        )
    };
    let mut world = World::new();
    world.first_login("secret");
    let id = world.says("one");
    world.server.h -= 1;
    world.kill();
    world.dial();
    world.next("authenticate");
    world.gets_all(&[FEATURES, &refused("not-authorized")]);
    // The password, on the same stream; it is not wrong.
    let again = world.next("authenticate");
    assert_eq!(again.attr("mechanism"), Some("PLAIN"));
    assert!(again.get_child("resume", ns::SM).is_some(), "and it resumes as it would have");
    assert!(!world.hung_up);
    let h = world.server.h;
    world.server.counts = true;
    world.gets(&format!(
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>{OWN}/phone</authorization-identifier>
         <token xmlns='urn:xmpp:fast:0' token='newer'/><resumed xmlns='urn:xmpp:sm:3' previd='one' h='{h}'/></success>"
    ));
    assert_eq!(world.sent_texts(), ["one"]);
    world.acknowledge();
    assert_eq!(world.state(&id), SendState::Sent);
    // The refused one is forgotten, in the file as well.
    world.kill();
    world.dial();
    world.next("authenticate");
    world.gets_all(&[
        FEATURES,
        &success("newer", &format!("<resumed xmlns='urn:xmpp:sm:3' previd='one' h='{}'/>", world.server.h)),
    ]);
    assert!(!world.hung_up && world.link.is_some());
    assert!(
        matches!(world.events.last(), Some(Event::Online { resumed: true, .. }))
            || world.status == Some(Status::Online)
    );
}

#[test]
fn fast_token_replay() {
    // The old token's proof is worth nothing once there is a new one.
    let mut world = World::new();
    world.first_login("secret");
    world.kill();
    world.dial();
    world.next("authenticate");
    let resumed = format!("<resumed xmlns='urn:xmpp:sm:3' previd='one' h='{}'/>", world.server.h);
    let token = "<token xmlns='urn:xmpp:fast:0' token='newer'/>";
    world.gets_all(&[FEATURES, &success("secret", &format!("{token}{resumed}"))]);
    let recorded = success("secret", &resumed);
    world.kill();
    world.dial();
    world.next("authenticate");
    world.events.clear();
    world.gets_all(&[FEATURES, &recorded, &live(1)]);
    assert!(world.hung_up);
    assert_eq!(world.sees(), texts(&[]), "nothing of it is believed");
    assert!(matches!(world.status, Some(Status::Offline { reason: Some(Error::Untrusted { .. }), .. })));
}

#[test]
fn resume_of_a_stranger() {
    for claimed in [
        "<resumed xmlns='urn:xmpp:sm:3' previd='another' h='3'/>",
        "<resumed xmlns='urn:xmpp:sm:3' previd='one'/>",
        "<resumed xmlns='urn:xmpp:sm:3' h='3'/>",
    ] {
        let mut world = World::new();
        world.first_login("secret");
        let id = world.says("one");
        world.kill();
        world.dial();
        world.next("authenticate");
        world.gets_all(&[FEATURES, &success("secret", claimed), &live(1)]);
        assert!(world.hung_up);
        assert_eq!(world.state(&id), SendState::Queued, "its ack is not believed");
        assert_eq!(world.sees(), ["> one"], "nor what comes behind it");
        // Bound anew the next time, and nothing is lost.
        world.dial();
        world.gets(FEATURES);
        assert!(world.next("authenticate").get_child("resume", ns::SM).is_none());
    }
}

#[test]
fn foreign_bind() {
    let mut world = World::new();
    world.first_login("secret");
    let id = world.says("one");
    world.kill();
    world.dial();
    world.next("authenticate");
    let session = "SELECT count(*) FROM session WHERE json_extract(sm, '$.id') = 'one'";
    let token = "<token xmlns='urn:xmpp:fast:0' token='stolen'/>";
    let bound =
        "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='theirs' resume='true'/></bound>";
    let theirs = success("secret", &format!("{token}{bound}")).replace(OWN, "mallory@montague.lit");
    world.gets_all(&[FEATURES, &theirs, &live(1)]);
    assert!(world.hung_up);
    assert_eq!(world.sees(), ["> one"]);
    assert_eq!(world.state(&id), SendState::Queued);
    assert_eq!(world.count(session), 1, "what was there stays");
    assert_eq!(world.count("SELECT count(*) FROM login WHERE token LIKE '%stolen%'"), 0);
    // Not tried again by itself.
    world.pass(3_600_000);
    assert_eq!(world.link, None);
}

#[test]
fn bind_before_resume() {
    // Bound although it was asked to resume, and no word about the old session: what was under way is in doubt, not lost.
    let mut world = World::new();
    world.first_login("secret");
    let id = world.says("one");
    world.server.h -= 1;
    world.kill();
    world.dial();
    world.next("authenticate");
    let bound =
        "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='two' resume='true'/></bound>";
    world.gets_all(&[FEATURES, &success("secret", bound)]);
    world.serve();
    assert_eq!(world.sent_texts(), ["one"]);
    world.server.h = 0;
    world.server.counts = true;
    assert_eq!(world.state(&id), SendState::Queued);
    // What comes before success is nobody's.
    let mut world = World::new();
    world.first_login("secret");
    world.kill();
    world.dial();
    world.next("authenticate");
    world.gets_all(&["<resumed xmlns='urn:xmpp:sm:3' previd='one' h='0'/>", &live(1), FEATURES]);
    assert!(world.wrote.is_empty());
    assert_eq!(world.sees(), texts(&[]));
}

#[test]
fn features_forever() {
    let mut world = World::new();
    let (attempts, events) = {
        world.does(Command::Connect);
        world.wanted = true;
        world.hour_of(|world| {
            let link = world.link.unwrap();
            world.hung_up = false;
            world.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
            let offer = "<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></features>";
            world.gets_all(&[offer; 30]);
            assert!(world.hung_up);
        })
    };
    assert!((2..100).contains(&attempts), "{attempts}");
    assert_eq!(offline(&events), 1, "told once");
    // Of those that come slowly each has its time, and there are not many.
    let mut world = World::new();
    world.dial();
    let start = world.now.mono;
    while !world.hung_up {
        world.gets(FEATURES);
        world.pass(29_000);
    }
    assert!(world.now.mono - start < 15 * 60_000, "{}", world.now.mono - start);
}

#[test]
fn slow_drip() {
    // Of a login that never goes on nothing is awaited for ever; a slow honest one has the time that it needs.
    let mut world = World::new();
    world.dial();
    world.pass(29_000);
    assert!(!world.hung_up);
    world.gets(FEATURES);
    world.pass(29_000);
    assert!(!world.hung_up, "each answer has its own time");
    world.pass(2_000);
    assert!(world.hung_up);
    // Whoever drips what cannot be built does not go on either.
    let mut world = World::new();
    world.dial();
    let link = world.link.unwrap();
    let drained = crate::Drained {
        name: "message".into(),
        from: None,
        to: None,
        id: None,
        kind: None,
        archived: None,
        stanza_ids: Vec::new(),
        size: 1 << 20,
        why: "size".into(),
        head: Vec::new(),
    };
    for _ in 0..4 {
        world.pass(10_000);
        world.turn(vec![Input::TooMuch { link, drained: drained.clone() }]);
        world.turn(vec![Input::Progress { link }]);
    }
    assert!(world.hung_up);
    assert_eq!(world.count("SELECT count(*) FROM message"), 0, "and nothing of it is shown");
}

#[test]
fn sasl_loops() {
    let mut world = World::new();
    world.dial();
    world.gets(FEATURES);
    let mut challenges = 0;
    while world.link.is_some() {
        world.gets("<challenge xmlns='urn:xmpp:sasl:2'>cj1h</challenge>");
        challenges += 1;
        assert!(challenges < 30);
    }
    assert!(world.hung_up);
    assert_eq!(world.wrote.iter().filter(|element| element.name() == "authenticate").count(), 1);
}

#[test]
fn stream_error_loop() {
    for condition in ["conflict", "policy-violation", "host-unknown", "not-authorized", "undefined-condition"]
    {
        let error = format!(
            "<error xmlns='http://etherx.jabber.org/streams'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>"
        );
        // Before the login.
        let mut world = World::new();
        world.does(Command::Connect);
        world.wanted = true;
        let (attempts, events) = world.hour_of(|world| {
            let link = world.link.unwrap();
            world.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
            world.gets(&error);
        });
        assert!(attempts < 100, "{condition}: {attempts} attempts in an hour");
        assert_eq!(offline(&events), 1, "{condition}: told once");
        // Behind it: with each session that is thrown out at once.
        let mut world = World::online();
        world.says("one");
        world.server.h -= 1;
        world.gets(&error);
        let (attempts, events) = world.hour_of(|world| {
            world.reconnect(Resume::Accept);
            world.gets(&error);
        });
        assert!(attempts < 100, "{condition}: {attempts} sessions in an hour");
        assert!(offline(&events) <= attempts, "{condition}");
        assert!(world.sees().contains(&"> one".to_owned()), "{condition}");
    }
}

#[test]
fn compression_offered() {
    let offer =
        "<compression xmlns='http://jabber.org/features/compress'><method>zlib</method></compression>";
    let mut world = World::online();
    world.gets(&format!("<features xmlns='http://etherx.jabber.org/streams'>{offer}</features>"));
    world.gets("<compressed xmlns='http://jabber.org/protocol/compress'/>");
    world.gets(&live(1));
    assert!(!world.hung_up && world.wrote.iter().all(|element| !element.name().contains("compress")));
    assert_eq!(world.sees(), ["1"]);
}

#[test]
fn fast_token_refused_by_hanging_up() {
    // The server has changed, and hangs up on what it did not offer, or says nothing: sooner or later it is asked first.
    for silent in [false, true] {
        let mut world = World::new();
        world.first_login("secret");
        world.kill();
        let mut attempts = 0;
        loop {
            world.dial();
            attempts += 1;
            assert!(attempts < 6, "locked out for ever");
            if world.wrote.iter().all(|element| element.name() != "authenticate") {
                break;
            }
            if silent {
                while world.link.is_some() && !world.hung_up {
                    world.pass(1_000);
                }
                world.hung_up = false;
            } else {
                world.cut();
            }
        }
        assert!(attempts > 2, "one cut is no reason");
        // Then it works as the first time, and the session is resumed.
        world.gets(FEATURES);
        assert!(world.next("authenticate").get_child("resume", ns::SM).is_some());
    }
}

#[test]
fn redirect() {
    // Before the login, and behind it: two that send us to each other for an hour. Never many at once, and never for ever.
    for logs_in in [false, true] {
        let mut world = World::new();
        world.does(Command::Connect);
        world.wanted = true;
        let (mut attempts, mut at_once, mut last) = (0, 0, 0);
        let end = world.now.mono + 3_600_000;
        while world.now.mono < end {
            let Some(link) = world.link else {
                world.pass(1_000);
                continue;
            };
            at_once = if last == world.now.mono { at_once + 1 } else { 1 };
            last = world.now.mono;
            attempts += 1;
            assert!(at_once <= 5 && attempts < 200, "{at_once} at once, {attempts} in all");
            if logs_in {
                world.reconnect(Resume::Accept);
            } else {
                world.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
            }
            world.sent_to(["east.montague.lit", "west.montague.lit:5223"][attempts % 2]);
        }
        assert!(attempts > 5, "and the own way is tried again");
    }
}

#[test]
fn redirect_to_what_is_no_place_leads_nowhere() {
    let long = "x".repeat(100_000);
    for place in [
        "",
        " ",
        "host:0",
        "host:99999",
        "http://evil.lit/",
        "evil.lit/x",
        "a b",
        "[::1",
        "[evil.lit]:5222",
        "..%2f",
        &long,
    ] {
        let mut world = World::new();
        world.does(Command::Connect);
        world.wanted = true;
        let link = world.link.unwrap();
        world.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
        assert_eq!(world.sent_to(place), None, "{place:.50}");
        while world.link.is_none() {
            world.pass(1_000);
        }
        assert_eq!(world.destination.take(), None, "{place:.50}");
    }
}

#[test]
fn redirect_in_plaintext_is_no_way_around_encryption() {
    // Nobody has shown who he is yet. He may say where to go; what is expected there stays the same.
    let mut world = World::new();
    world.does(Command::Connect);
    world.wanted = true;
    let link = world.link.unwrap();
    world.turn(vec![Input::LinkUp { link, tls: None }]);
    assert_eq!(world.sent_to("192.0.2.1:5222").as_deref(), Some("192.0.2.1:5222"));
    let link = world.link.unwrap();
    world.hung_up = false;
    world.turn(vec![Input::LinkUp { link, tls: None }]);
    world.gets(FEATURES);
    assert!(world.hung_up && world.wrote.iter().all(|element| element.name() != "authenticate"));
    assert!(matches!(world.status, Some(Status::Offline { reason: Some(Error::Untrusted { .. }), .. })));
}
