//! Archives that lie.

use super::*;

#[test]
fn archive_that_never_ends() {
    // Pages that repeat, pages that are empty, pages that go back: the gap stays visible, and nobody asks for ever.
    type Pages = fn(u32) -> Vec<Archived>;
    let cruel: [Pages; 3] =
        [|_| archived(1..4), |_| Vec::new(), |n| if n % 2 == 0 { archived(1..4) } else { archived(2..3) }];
    for (index, pages) in cruel.into_iter().enumerate() {
        let mut world = World::online();
        world.gets(&live(0));
        world.away_and_back();
        let mut asked = 0;
        while world.has_query() {
            let query = world.next_query();
            let id = query.attr("id").unwrap();
            let entries = pages(asked);
            let entries: Vec<&Archived> = entries.iter().collect();
            let mut answer: Vec<String> = entries.iter().map(|entry| result(id, entry)).collect();
            answer.push(fin(id, &entries, false));
            world.gets_all(&answer.iter().map(String::as_str).collect::<Vec<_>>());
            asked += 1;
            assert!(asked < 12, "{index}");
        }
        assert_eq!(world.gaps(), 1);
        let mut seen = world.sees();
        assert_eq!(seen.pop().unwrap(), "--", "{index}");
        assert_eq!(seen, numbers(0..if index == 1 { 1 } else { 4 }), "{index}: in order, once");
    }
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
fn what_ends_the_stream_each_time_is_stepped_past() {
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
fn what_ends_the_stream_in_the_newest_page_or_an_older_one_is_stepped_past() {
    for (poison, chokes) in [(100, [2, 0]), (50, [0, 2]), (20, [0, 2])] {
        let mut world = World::new();
        world.server.archive = archived(0..120);
        world.connect();
        assert_eq!(world.serve_with_poison(&format!("a{poison}"), true), chokes[0], "{poison}");
        let mut choked = 0;
        for _ in 0..4 {
            world.does(Command::Older { with: juliet(), limit: 50 });
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
fn nobody_but_our_archive_has_anything_stepped_past() {
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
