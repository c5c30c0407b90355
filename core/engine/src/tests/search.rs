//! What is found, whatever the index has by then.

use std::collections::BTreeSet;

use rand::{Rng, seq::IndexedRandom};

use super::*;
use crate::{
    account::Cx,
    search::{Cursor, Search, changed, search},
};

const NURSE: &str = "nurse@capulet.lit";

fn looks_for(text: &str) -> Search {
    Search { text: text.into(), ..Search::default() }
}

/// All that is found, page by page; the texts.
fn finds(world: &World, wanted: &Search) -> Vec<String> {
    pages(world, wanted, 3).into_iter().map(|(_, text)| text).collect()
}

fn pages(world: &World, wanted: &Search, limit: u32) -> Vec<(Cursor, String)> {
    let (file, mut found, mut before) = (world.file(), Vec::new(), None);
    loop {
        let page = search(&file, wanted, before, limit).unwrap();
        assert!(page.hits.len() <= limit as usize);
        found.extend(page.hits.into_iter().map(|hit| (hit.cursor, hit.message.text)));
        match page.next {
            Some(next) => before = Some(next),
            None => return found,
        }
    }
}

fn says_to_us(who: &str, text: &str, attributes: &str) -> String {
    format!("<message type='chat' from='{who}/balcony' to='{OWN}' {attributes}><body>{text}</body></message>")
}

impl World {
    /// Everything that is worth it is in the index.
    pub(super) fn index(&mut self) {
        self.turn(vec![Input::Tick]);
        while self.engine.as_ref().unwrap().next_wake() == Some(self.now.mono) {
            self.pass(1);
        }
    }

    /// As a correction does.
    fn edits(&mut self, message: i64, text: &str) {
        let connection = self.engine.as_ref().unwrap().connection();
        let tx = connection.unchecked_transaction().unwrap();
        tx.execute("UPDATE message SET body = ?2 WHERE id = ?1", rusqlite::params![message, text]).unwrap();
        let cx = Cx::new(&tx, self.now, &mut self.rng);
        changed(&cx, message).unwrap();
        tx.commit().unwrap();
    }
}

#[test]
fn words_prefixes_and_phrases_are_found_and_highlighted_with_and_without_an_index() {
    let mut world = World::online();
    for text in [
        "But soft, what light",
        "It is the EAST",
        "What light is it?",
        "明日東京駅で会う",
        "see https://verona.it/map",
    ] {
        world.gets(&from_juliet("", &format!("<body>{text}</body>")));
        world.pass(2_000);
    }
    world.says("Light, what?");
    for indexed in [false, true] {
        if indexed {
            let stanzas: Vec<String> =
                (0..120).map(|n| from_juliet("", &format!("<body>{n}</body>"))).collect();
            world.gets_all(&stanzas.iter().map(String::as_str).collect::<Vec<_>>());
            world.index();
            assert_eq!(world.count("SELECT count(*) FROM indexed"), 126);
        }
        assert_eq!(
            finds(&world, &looks_for("light")),
            ["Light, what?", "What light is it?", "But soft, what light"]
        );
        assert_eq!(finds(&world, &looks_for("LIG wh")), finds(&world, &looks_for("light")));
        assert_eq!(
            finds(&world, &looks_for("\"what light\"")),
            ["What light is it?", "But soft, what light"]
        );
        assert_eq!(finds(&world, &looks_for("\"what lig\"")), [""; 0]);
        assert_eq!(finds(&world, &looks_for("eäst")), ["It is the EAST"]);
        assert_eq!(finds(&world, &looks_for("i")), [""; 0], "one letter is a word");
        for part in ["東京", "東京駅", "駅", "明日東京駅で会う", "\"京駅\""] {
            assert_eq!(finds(&world, &looks_for(part)), ["明日東京駅で会う"], "{part}");
        }
        assert_eq!(finds(&world, &looks_for("東駅")), [""; 0]);
        // Nothing that is typed is syntax, and nothing typed finds everything.
        for typed in [
            "",
            "  ",
            "\"",
            "*",
            "NOT",
            "light OR east",
            "text:light",
            "#ours",
            "NEAR(light what)",
            "^light -soft",
            "\u{0}",
        ] {
            let found = finds(&world, &looks_for(typed));
            assert!(found.len() <= 3, "{typed}: {found:?}");
        }
        let search_with = |search: Search| finds(&world, &search);
        let (light, own) = (looks_for("light"), OWN.parse().ok());
        assert_eq!(search_with(Search { from: own, ..light.clone() }), ["Light, what?"]);
        assert_eq!(search_with(Search { from: Some(juliet()), ..light.clone() }).len(), 2);
        assert_eq!(search_with(Search { with: Some(juliet()), ..light.clone() }).len(), 3);
        assert_eq!(search_with(Search { with: NURSE.parse().ok(), ..light.clone() }).len(), 0);
        assert_eq!(
            search_with(Search { has_link: true, ..Search::default() }),
            ["see https://verona.it/map"]
        );
        let (since, until) = (Some(START + 1), Some(START + 9_000));
        assert_eq!(search_with(Search { since, until, ..light }), ["What light is it?"]);
        let found = search(&world.file(), &looks_for("\"what light\" sof"), None, 20).unwrap();
        let hit = &found.hits[0];
        let marked: Vec<&str> = hit.matches.iter().map(|range| &hit.message.text[range.clone()]).collect();
        assert_eq!(marked, ["soft", "what light"]);
        let found = search(&world.file(), &looks_for("駅"), None, 20).unwrap();
        assert_eq!(&found.hits[0].message.text[found.hits[0].matches[0].clone()], "駅");
    }
}

#[test]
fn index_follows_when_nothing_is_fetched_and_is_not_worth_a_commit_for_a_few() {
    let mut world = World::online();
    world.gets(&live(1));
    world.pass(60_000);
    assert_eq!(world.count("SELECT indexed FROM account"), 0);
    world.server.archive = archived(1..700);
    world.away_and_back();
    while world.count("SELECT count(*) FROM message") < 300 {
        let question = world.next("iq");
        let link = world.link.unwrap();
        let answers = world.server.answers(&question);
        world.turn(answers.iter().map(|xml| Input::Element { link, element: element(xml) }).collect());
    }
    world.pass(1);
    assert_eq!(world.count("SELECT indexed FROM account"), 0, "pages are still to come");
    while world.gaps() > 0 {
        world.acknowledge();
        world.serve();
    }
    world.index();
    assert_eq!(world.count("SELECT indexed FROM account"), world.count("SELECT max(id) FROM message"));
    assert_eq!(finds(&world, &looks_for("699")), ["699"]);
}

#[test]
fn each_search_equals_a_plain_scan_whatever_is_indexed_edited_and_killed() {
    const WORDS: [&str; 12] = [
        "rose",
        "rosemary",
        "name",
        "night",
        "nightingale",
        "o",
        "as",
        "sweet",
        "東京",
        "東京都",
        "都",
        "京",
    ];
    for seed in 0..8 {
        let mut world = World::online();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut compared = 0;
        for _ in 0..60 {
            match rng.random_range(0..10) {
                0..4 => {
                    let stanzas: Vec<String> = (0..rng.random_range(1..90))
                        .map(|_| {
                            let text: Vec<&str> = (0..rng.random_range(1..5))
                                .map(|_| *WORDS.choose(&mut rng).unwrap())
                                .collect();
                            let who = if rng.random_bool(0.7) { JULIET } else { NURSE };
                            // Some had been kept by the server: they come later than what came before them.
                            let at = world.now.wall - rng.random_range(0..20_000);
                            let delay = format!(
                                "<delay xmlns='urn:xmpp:delay' from='montague.lit' stamp='{}'/>",
                                stamp::format(at)
                            );
                            says_to_us(who, &text.join(" "), "")
                                .replace("</message>", &format!("{delay}</message>"))
                        })
                        .collect();
                    world.gets_all(&stanzas.iter().map(String::as_str).collect::<Vec<_>>());
                }
                4 => drop(world.says(WORDS.choose(&mut rng).unwrap())),
                5 => world.pass(rng.random_range(0..3_000)),
                6 => {
                    world.kill();
                    world.connect();
                    world.serve();
                    world.acknowledge();
                }
                7 => {
                    let count = world.count("SELECT count(*) FROM message");
                    if count > 0 {
                        world.edits(rng.random_range(0..count) + 1, WORDS.choose(&mut rng).unwrap());
                    }
                }
                _ => {
                    let one = *WORDS.choose(&mut rng).unwrap();
                    let other = *WORDS.choose(&mut rng).unwrap();
                    let text = match rng.random_range(0..4) {
                        0 => one.to_owned(),
                        1 => one.chars().take(2).collect(),
                        2 => format!("{one} {other}"),
                        _ => format!("\"{one} {other}\""),
                    };
                    let wanted = Search {
                        with: rng.random_bool(0.3).then(juliet),
                        from: rng.random_bool(0.2).then(juliet),
                        since: rng.random_bool(0.2).then(|| world.now.wall - 10_000),
                        until: rng.random_bool(0.2).then(|| world.now.wall - 5_000),
                        ..looks_for(&text)
                    };
                    let found = pages(&world, &wanted, rng.random_range(1..40));
                    assert_eq!(found, scan(&world, &wanted), "seed {seed}: {wanted:?}");
                    compared += found.len();
                }
            }
        }
        assert!(compared > 0, "seed {seed} has found nothing");
        assert!(world.count("SELECT count(*) FROM indexed") > 0, "seed {seed} has indexed nothing");
    }
}

/// The same without any of the code under test: the words of these texts are as they are typed.
fn scan(world: &World, wanted: &Search) -> Vec<(Cursor, String)> {
    let file = world.file();
    let mut statement = file
        .prepare("SELECT at, m.id, body, mine, jid FROM message AS m JOIN conversation AS c ON c.id = m.conversation ORDER BY at DESC, m.id DESC")
        .unwrap();
    let rows = statement
        .query_map([], |row| {
            let cursor = Cursor { at: row.get(0)?, row: row.get(1)? };
            Ok((cursor, row.get::<_, String>(2)?, row.get::<_, bool>(3)?, row.get::<_, String>(4)?))
        })
        .unwrap();
    let fits = |text: &str| {
        let there: Vec<&str> = text.split(' ').collect();
        let is_sign = |word: &str| !word.is_ascii();
        match wanted.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(phrase) => {
                let asked: Vec<&str> = phrase.split(' ').collect();
                there.windows(asked.len()).any(|there| {
                    let last = asked.len() - 1;
                    there.iter().zip(&asked).enumerate().all(|(at, (there, asked))| match is_sign(asked) {
                        false => there == asked,
                        true if at == last && at == 0 => there.contains(asked),
                        true if at == last => there.starts_with(asked),
                        true => there.ends_with(asked),
                    })
                })
            }
            None => wanted.text.split(' ').all(|asked| {
                there.iter().any(|there| match (is_sign(asked), asked.len()) {
                    (true, _) => there.contains(asked),
                    (false, 1) => *there == asked,
                    (false, _) => there.starts_with(asked),
                })
            }),
        }
    };
    rows.map(Result::unwrap)
        .filter(|(cursor, text, mine, jid)| {
            wanted.with.as_ref().is_none_or(|with| with.as_str() == jid)
                && wanted.from.as_ref().is_none_or(|from| from.as_str() == jid && !mine)
                && wanted.since.is_none_or(|since| cursor.at >= since)
                && wanted.until.is_none_or(|until| cursor.at < until)
                && fits(text)
        })
        .map(|(cursor, text, ..)| (cursor, text))
        .collect()
}

#[test]
fn an_archive_that_says_of_all_that_it_came_at_once_is_searched_all_the_same() {
    let mut world = World::online();
    world.gets(&live(1));
    let connection = world.engine.as_ref().unwrap().connection();
    connection
        .execute(
            "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < 17000)
             INSERT INTO message (conversation, position, mine, kind, sender, body, at)
             SELECT conversation, position + n, 0, 0, sender, 'number ' || n, at FROM n, message",
            [],
        )
        .unwrap();
    world.index();
    assert_eq!(world.count("SELECT indexed FROM account"), 17_000);
    assert!(world.count("SELECT count(*) FROM unindexed") > 0);
    for number in [2, 900, 16_500, 17_000] {
        let text = format!("number {number}");
        assert_eq!(finds(&world, &looks_for(&format!("\"{text}\""))), [text]);
    }
    let all: BTreeSet<String> =
        pages(&world, &looks_for("number"), 500).into_iter().map(|(_, text)| text).collect();
    assert_eq!(all.len(), 16_999);
}

#[test]
fn window_around_a_message_pages_both_ways_and_follows_once_it_reaches_the_newest() {
    let mut world = World::online();
    for number in 1..=20 {
        world.gets(&live(number));
    }
    let file = world.file();
    let items = |span: timeline::Span| -> Vec<String> {
        let shown = timeline::window(&file, &juliet(), span, 0).unwrap();
        shown
            .into_iter()
            .filter_map(|item| match item {
                Item::Message(message) => Some(message.text),
                Item::Gap(_) => None,
            })
            .collect()
    };
    let hit = search(&file, &looks_for("10"), None, 1).unwrap().hits.remove(0);
    let span = timeline::around(&file, &juliet(), &hit.message.id, 5).unwrap().unwrap();
    assert_eq!(items(span), numbers(8..13));
    let end = timeline::later(&file, &juliet(), span.end.unwrap(), 3).unwrap();
    let span = timeline::Span { end, ..span };
    assert_eq!(items(span), numbers(8..16));
    let start = timeline::earlier(&file, &juliet(), span.start, 4).unwrap();
    let end = timeline::later(&file, &juliet(), span.end.unwrap(), 5).unwrap();
    assert_eq!((items(timeline::Span { start, end }), end), (numbers(4..21), None));
    assert_eq!(timeline::around(&file, &juliet(), &ItemId("4711".into()), 5).unwrap(), None);
    assert_eq!(timeline::around(&file, &NURSE.parse().unwrap(), &hit.message.id, 5).unwrap(), None);
}

#[test]
fn index_that_cannot_be_written_stops_nothing_and_is_tried_again_later() {
    let mut world = World::online();
    let connection = world.engine.as_ref().unwrap().connection();
    connection
        .execute_batch(
            "CREATE TRIGGER refuses BEFORE INSERT ON indexed BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        .unwrap();
    let messages: Vec<String> = (1..150).map(live).collect();
    world.gets_all(&messages.iter().map(String::as_str).collect::<Vec<_>>());
    world.pass(60_000);
    assert_eq!(world.count("SELECT count(*) FROM quarantine"), 0);
    world.gets(&live(150));
    assert_eq!(world.sees().len(), 150, "it is still online");
    assert_eq!(finds(&world, &looks_for("149")), ["149"]);
    world.engine.as_ref().unwrap().connection().execute_batch("DROP TRIGGER refuses").unwrap();
    world.pass(600_000);
    world.gets(&live(151));
    world.pass(1);
    // The last one alone is not worth a commit, if the others were indexed before it came.
    assert!(world.count("SELECT count(*) FROM indexed") >= 150);
}
