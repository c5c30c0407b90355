//! Archives that lie.

use super::*;

/// A page of an archive that is asked for the n-th time: its results, and the attributes and the content of its `<fin/>`.
type Page = fn(u32) -> (Vec<Archived>, &'static str, &'static str);

/// Plays the archive until nothing is asked any more. How often it was asked.
fn play(world: &mut World, page: Page, most: u32) -> u32 {
    let mut asked = 0;
    while world.has_query() {
        let query = world.next_query();
        let id = query.attr("id").unwrap();
        let (entries, attributes, set) = page(asked);
        let mut answer: Vec<String> = entries.iter().map(|entry| result(id, entry)).collect();
        answer.push(match set {
            "" => fin(id, &entries.iter().collect::<Vec<_>>(), false)
                .replace("complete='false'", &format!("complete='false' {attributes}")),
            set => format!(
                "<iq type='result' id='{id}'><fin xmlns='urn:xmpp:mam:2' {attributes}>{set}</fin></iq>"
            ),
        });
        world.gets_all(&answer.iter().map(String::as_str).collect::<Vec<_>>());
        world.acknowledge();
        asked += 1;
        assert!(asked <= most, "it asks for ever");
    }
    asked
}

/// Archive entries that nobody has seen before, each page a minute above the last.
fn invented(page: u32) -> Vec<Archived> {
    archived(page * 60 + 1..page * 60 + 3)
}

#[test]
fn archive_that_never_ends() {
    const NO_SET: &str = "<set xmlns='http://jabber.org/protocol/rsm'/>";
    const LIES: &str = "<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a0</first><last>a0</last><count>0</count></set>";
    // Pages that repeat, that are empty, that go back, that say nothing about themselves or something else than they hold.
    let cruel: [(&str, Page, u32, u32); 8] = [
        ("repeats", |_| (archived(1..4), "", ""), 4, 8),
        ("empty", |_| (Vec::new(), "", ""), 1, 2),
        ("goes back", |n| (if n % 2 == 0 { archived(1..4) } else { archived(2..3) }, "", ""), 4, 8),
        ("backwards", |_| (archived(1..4).into_iter().rev().collect(), "", ""), 4, 8),
        ("says nothing", |_| (archived(1..4), "", NO_SET), 4, 8),
        ("is perhaps complete", |_| (archived(1..4), "complete='perhaps'", LIES), 4, 8),
        (
            "counts nonsense",
            |_| {
                (
                    archived(1..4),
                    "",
                    "<set xmlns='http://jabber.org/protocol/rsm'><count>-9223372036854775808</count></set>",
                )
            },
            4,
            8,
        ),
        ("no fin", |_| (archived(1..4), "", " "), 4, 8),
    ];
    for (name, page, seen, most) in cruel {
        let mut world = World::online();
        world.gets(&live(0));
        world.away_and_back();
        play(&mut world, page, most);
        assert_eq!(world.gaps(), 1, "{name}");
        let mut now = world.sees();
        assert_eq!(now.pop().unwrap(), "--", "{name}");
        now.sort();
        assert_eq!(now, numbers(0..seen), "{name}: once each");
        // The next session asks again, and an honest archive is caught up with.
        world.server.archive = archived(0..8);
        world.away_and_back();
        world.serve();
        assert_eq!(world.gaps(), 0, "{name}");
        assert_eq!(world.sees().len(), 8, "{name}");
    }
}

#[test]
fn archive_that_never_ends_is_asked_less_and_less() {
    let mut world = World::online();
    world.gets(&live(0));
    world.away_and_back();
    let pages = crate::catch_up::PAGES;
    assert_eq!(play(&mut world, |n| (invented(n), "", ""), pages), pages);
    assert_eq!(world.gaps(), 1, "it stays visible");
    assert_eq!(world.sees().last().unwrap(), "--");
    // Commands have their turn, and what is said meanwhile is shown.
    world.says("enough");
    world.gets(&live(1_000_000));
    assert_eq!(world.sees().last().unwrap(), "1000000");
    world.acknowledge();
    // A while later it goes on.
    world.pass(10_000);
    assert!(!world.has_query());
    world.pass_until_asked();
}

#[test]
fn archive_that_never_ends_while_something_is_checked_or_in_doubt() {
    // A check, after a long absence.
    let mut world = World::online();
    world.gets(&live(0));
    world.cut();
    world.now.wall += 120_000;
    world.reconnect(Resume::Accept);
    world.acknowledge();
    assert!(world.has_query());
    // Two pages in turn that are known by then.
    for n in 1..5 {
        world.gets(&live(n));
    }
    let page: Page = |n| (if n % 2 == 0 { archived(1..3) } else { archived(3..5) }, "", "");
    play(&mut world, page, crate::catch_up::PAGES);
    assert_eq!(world.sees(), numbers(0..5));
    // What is in doubt is sent in the end.
    let mut world = World::online();
    world.gets(&live(0));
    world.says("in doubt");
    world.server.h = 0;
    world.cut();
    world.reconnect(Resume::Refuse);
    let page: Page = |n| (archived(n * 2 + 1..n * 2 + 3), "", "");
    play(&mut world, page, 2 * crate::catch_up::PAGES);
    assert_eq!(world.sent_texts(), ["in doubt"]);
}

#[test]
fn archive_that_never_ends_being_unstable_closes_nothing_and_is_asked_later() {
    let mut world = World::online();
    world.gets(&live(0));
    world.away_and_back();
    let unstable: Page = |n| {
        (
            if n == 0 { archived(1..4) } else { Vec::new() },
            "complete='true' stable='false'",
            "<set xmlns='http://jabber.org/protocol/rsm'/>",
        )
    };
    assert_eq!(play(&mut world, unstable, 3), 1);
    assert_eq!(world.gaps(), 1);
    world.server.archive = archived(0..6);
    world.pass_until_asked();
    world.serve();
    assert_eq!(world.gaps(), 0);
    assert_eq!(world.sees(), numbers(0..6));
}

#[test]
fn bad_xml_in_archive() {
    // What is no message, has no message, or has nothing of one: passed over, and the page goes on.
    let odd = [
        "",
        "<iq xmlns='jabber:client' type='get' id='x'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<message xmlns='urn:other' from='juliet@capulet.lit'><body>no</body></message>",
        "<message xmlns='jabber:client'/>",
        "<message xmlns='jabber:client' from='@@' to='/' id=''><body>nobody</body></message>",
        "<message xmlns='jabber:client' from='juliet@capulet.lit' type='groupchat'><body>room</body></message>",
        "<message xmlns='jabber:client' from='juliet@capulet.lit' type='error'><body>bounced</body></message>",
        "<message xmlns='jabber:client' from='juliet@capulet.lit'><result xmlns='urn:xmpp:mam:2' id='z'><forwarded xmlns='urn:xmpp:forward:0'/></result></message>",
        "text",
    ];
    for message in odd {
        let mut world = World::online();
        world.gets(&live(0));
        world.server.archive = archived(0..4);
        world.server.archive[2].message = message.to_owned();
        world.away_and_back();
        world.serve();
        assert_eq!(world.sees(), ["0", "1", "3"], "{message}");
        assert_eq!(world.gaps(), 0, "{message}");
        // No login loop: the next session asks from behind it.
        world.away_and_back();
        world.serve();
        assert_eq!(world.sees(), ["0", "1", "3"], "{message}");
        assert_eq!(world.count("SELECT count(*) FROM quarantine"), 0);
        assert!(!world.hung_up);
    }
}

#[test]
fn archive_that_never_ends_moves_nothing_by_what_names_no_page() {
    let mut world = World::online();
    world.gets(&live(0));
    world.away_and_back();
    let query = world.next_query();
    let id = query.attr("id").unwrap();
    let entries = archived(1..3);
    let first = result(id, &entries[0]);
    // Without an id, without a query's name, and one that comes behind the end of its page.
    world.gets(&first.replace("id='a1'", "id=''"));
    world.gets(&first.replace(&format!("queryid='{id}'"), ""));
    world.gets(&fin(id, &[], false));
    world.gets(&result(id, &entries[1]));
    assert_eq!(world.sees(), ["0", "--"]);
    let edge: String = world.file().query_row("SELECT after_id FROM gap", [], |r| r.get(0)).unwrap();
    assert_eq!(edge, "a0");
}

/// What a link says that failed in the middle of a result.
fn choked(query: &str, id: &str) -> LinkFailure {
    LinkFailure::Choked {
        detail: "a name or an attribute value is too long".into(),
        stanza: Box::new(crate::Drained {
            name: "message".into(),
            from: Some(OWN.into()),
            to: None,
            id: None,
            kind: None,
            archived: Some((query.into(), id.into())),
            stanza_ids: Vec::new(),
            size: 2_000_000,
            why: "too long".into(),
            head: Vec::new(),
        }),
    }
}

impl World {
    fn pass_until_asked(&mut self) {
        for _ in 0..300 {
            if self.has_query() {
                return;
            }
            self.pass(1_000);
        }
        panic!("the archive is not asked again");
    }

    /// The server answers all questions, and one archived message ends the stream each time it comes. Says how often it did.
    fn serve_with_poison(&mut self, poison: &str, resume: bool) -> u32 {
        let mut chokes = 0;
        // What a server replays to whoever resumes: the page that was not acknowledged.
        let mut replay: Vec<String> = Vec::new();
        loop {
            while let Some(at) = self
                .wrote
                .iter()
                .position(|e| e.name() == "iq" && matches!(e.attr("type"), Some("get" | "set")))
            {
                let iq = self.wrote.remove(at).unwrap();
                replay.extend(self.server.answers(&iq));
                let mut page = std::mem::take(&mut replay).into_iter();
                let query = iq.attr("id").unwrap().to_owned();
                for xml in page.by_ref() {
                    if xml.contains(&format!("id='{poison}'")) {
                        chokes += 1;
                        replay.push(xml);
                        break;
                    }
                    self.gets(&xml);
                }
                if replay.is_empty() {
                    continue;
                }
                replay.extend(page);
                assert!(chokes < 10, "it does not step past");
                let link = self.link.take().unwrap();
                self.turn(vec![Input::LinkLost { link, why: choked(&query, poison) }]);
                // A second time, over a resumption if there is one.
                let sessions = self.server.sessions;
                self.reconnect(if resume { Resume::Accept } else { Resume::Refuse });
                if self.server.sessions == sessions {
                    chokes += 1;
                    let link = self.link.take().unwrap();
                    self.turn(vec![Input::LinkLost { link, why: choked(&query, poison) }]);
                    self.reconnect(Resume::Accept);
                }
                replay.clear();
                self.wanted = true;
            }
            if !self.wrote.iter().any(|e| e.name() == "iq") {
                return chokes;
            }
            self.wrote.retain(|e| e.name() != "iq");
        }
    }
}

#[test]
fn bad_xml_in_archive_that_ends_the_stream_each_time_is_stepped_past() {
    // In the middle of a page, as its first, as its last, as the only one that is missing.
    for (archive, poison) in [(0..120, 60), (0..120, 1), (0..120, 119), (0..51, 50), (0..2, 1)] {
        for resume in [true, false] {
            let mut world = World::online();
            world.gets(&live(0));
            world.server.archive = archived(archive.clone());
            world.away_and_back();
            let chokes = world.serve_with_poison(&format!("a{poison}"), resume);
            // Twice; a resumption makes the archive be compared as well, which knows it by then.
            assert!(chokes == 2 || (chokes == 3 && resume), "{chokes}: {archive:?} {poison} {resume}");
            let (seen, all) = (world.sees(), numbers(archive.clone()));
            assert_eq!(seen, all.iter().filter(|n| **n != poison.to_string()).cloned().collect::<Vec<_>>());
            assert_eq!(world.gaps(), 0);
            // What it was is to be seen, once.
            assert_eq!(world.count("SELECT count(*) FROM message WHERE kind = 1"), 1);
            assert_eq!(world.count(&format!("SELECT count(*) FROM archived WHERE id = 'a{poison}'")), 1);
        }
    }
}

#[test]
fn bad_xml_in_archive_in_the_newest_page_or_an_older_one_is_stepped_past() {
    for (poison, chokes) in [(100, [2, 0]), (50, [0, 2]), (20, [0, 2])] {
        let mut world = World::new();
        world.server.archive = archived(0..120);
        world.connect();
        assert_eq!(world.serve_with_poison(&format!("a{poison}"), true), chokes[0], "{poison}");
        let mut choked = 0;
        for _ in 0..4 {
            world.does(Command::Older);
            choked += world.serve_with_poison(&format!("a{poison}"), true);
        }
        assert_eq!(choked, chokes[1], "{poison}");
        let rest: Vec<String> = numbers(0..120).into_iter().filter(|n| *n != poison.to_string()).collect();
        assert_eq!(world.sees(), rest, "{poison}");
        assert_eq!(world.count("SELECT count(*) FROM gap"), 0);
        assert_eq!(world.count("SELECT count(*) FROM message WHERE kind = 1"), 1);
    }
}

#[test]
fn bad_xml_in_archive_keeps_nothing_in_doubt() {
    let mut world = World::online();
    world.server.is_vague = true;
    world.gets(&live(0));
    world.acknowledge();
    world.server.hears = false;
    world.says("one");
    world.server.hears = true;
    world.server.archive = archived(0..2);
    world.wrote.clear();
    world.away_and_back();
    world.serve_with_poison("a1", false);
    world.acknowledge();
    assert_eq!(world.sent_texts(), ["one"]);
}

#[test]
fn bad_xml_in_archive_is_nobody_elses_to_claim() {
    let mut world = World::online();
    world.gets(&live(0));
    world.server.archive = archived(0..60);
    world.away_and_back();
    let query = world.next_query().attr("id").unwrap().to_owned();
    let forgeries = [("guessed", OWN), (query.as_str(), JULIET), (query.as_str(), "montague.lit")];
    for (query, from) in forgeries {
        for _ in 0..3 {
            let LinkFailure::Choked { detail, mut stanza } = choked(query, "a1") else { unreachable!() };
            stanza.from = Some(from.into());
            let link = world.link.take().unwrap();
            world.turn(vec![Input::LinkLost { link, why: LinkFailure::Choked { detail, stanza } }]);
            world.reconnect(Resume::Accept);
        }
    }
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), numbers(0..60));
    assert_eq!(world.count("SELECT count(*) FROM message WHERE kind = 1"), 0);
}
