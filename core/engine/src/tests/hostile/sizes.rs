//! Sizes and shapes.

use super::*;
use crate::search::{Search, search};

impl World {
    /// The server writes this, and each attribute that is `LONG` is.
    fn gets_long(&mut self, xml: &str) {
        fn enlarge(element: &mut Element) {
            for ((_, _), value) in element.attrs_mut().iter_mut().filter(|(_, value)| *value == "LONG") {
                *value = "l".repeat(200_000);
            }
            element.children_mut().for_each(enlarge);
        }
        let link = self.link.unwrap();
        let mut element = element(xml);
        enlarge(&mut element);
        self.turn(vec![Input::Element { link, element }]);
    }
}

#[test]
fn deep_nesting() {
    let mut world = World::online();
    let handled = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    let link = world.link.unwrap();
    let drained = crate::Drained {
        name: "message".into(),
        from: Some(format!("{JULIET}/balcony")),
        to: Some(OWN.into()),
        id: Some("deep".into()),
        kind: Some("chat".into()),
        archived: None,
        stanza_ids: Vec::new(),
        size: 90_000,
        why: "deep".into(),
        head: vec![b'<'; 16_384],
    };
    for _ in 0..600 {
        world.turn(vec![Input::TooMuch { link, drained: drained.clone() }]);
    }
    world.gets(&live(1));
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), handled + 601);
    assert_eq!(world.sees().len(), 601);
    assert!(world.count("SELECT count(*) FROM quarantine") <= 500, "bounded");
}

#[test]
fn deep_nesting_is_shown_once_and_where_it_belongs() {
    let drained = |kind: Option<&str>,
                   from: Option<&str>,
                   ids: &[(&str, &str)],
                   archived: Option<(&str, &str)>| crate::Drained {
        name: "message".into(),
        from: from.map(str::to_owned),
        to: None,
        id: None,
        kind: kind.map(str::to_owned),
        archived: archived.map(|(query, id)| (query.to_owned(), id.to_owned())),
        stanza_ids: ids.iter().map(|(by, id)| ((*by).to_owned(), (*id).to_owned())).collect(),
        size: 90_000,
        why: "depth".into(),
        head: Vec::new(),
    };
    let mut world = World::online();
    world.gets(&live(0));
    let juliet = Some("juliet@capulet.lit/balcony");
    let placeholders = |world: &World| world.count("SELECT count(*) FROM message WHERE kind = 1");
    let too_much = |world: &mut World, drained| {
        let link = world.link.unwrap();
        world.turn(vec![Input::TooMuch { link, drained }]);
        assert!(!world.hung_up);
    };
    // From nobody, from a room, a bounce, and forged results: nothing to see.
    for (kind, from) in
        [(None, None), (None, Some("@")), (Some("groupchat"), juliet), (Some("error"), juliet)]
    {
        too_much(&mut world, drained(kind, from, &[], None));
    }
    too_much(&mut world, drained(None, juliet, &[], Some(("guessed", "a9"))));
    too_much(&mut world, drained(None, Some(OWN), &[], Some(("guessed", "a9"))));
    assert_eq!(placeholders(&world), 0);
    // Live, and then from the archive, whose id it had; somebody else's id is none.
    world.server.archive = archived(0..4);
    world.away_and_back();
    too_much(&mut world, drained(Some("chat"), juliet, &[("capulet.lit", "a1"), (OWN, "a2")], None));
    too_much(&mut world, drained(Some("chat"), juliet, &[(OWN, "a2")], None));
    assert_eq!(placeholders(&world), 1);
    assert_eq!(world.sees().len(), 3);
    let query = world.next_query();
    let id = query.attr("id").unwrap();
    let page = world.server.answers(&query);
    for xml in &page {
        if xml.contains("id='a2'") {
            too_much(&mut world, drained(None, Some(OWN), &[], Some((id, "a2"))));
        } else {
            world.gets(xml);
        }
    }
    world.serve();
    assert_eq!((placeholders(&world), world.gaps()), (1, 0));
    assert_eq!(world.sees().len(), 4);
}

#[test]
fn huge_roster() {
    // As much as is built of one stanza.
    for items in [8_000, 16_000] {
        let mut world = World::new();
        world.server.roster = (0..items).map(|n| (format!("c{n}@capulet.lit"), "both")).collect();
        let started = std::time::Instant::now();
        world.connect();
        world.serve();
        eprintln!("{items} entries: {:?}", started.elapsed());
        assert_eq!(world.count("SELECT count(*) FROM contact"), items);
        assert_eq!(crate::roster::contacts(&world.file()).unwrap().len() as i64, items);
        assert!(!world.hung_up);
    }
}

#[test]
fn huge_roster_that_is_too_large_to_be_built_is_said_and_keeps_what_was_known() {
    let mut world = World::online();
    world.away_and_back();
    let roster = world.wrote.iter().find(|e| e.children().any(|c| c.is("query", ns::ROSTER))).unwrap();
    let id = roster.attr("id").unwrap().to_owned();
    let link = world.link.unwrap();
    let drained = |from: &str, id: &str, kind: &str| crate::Drained {
        name: "iq".into(),
        from: Some(from.into()),
        to: None,
        id: Some(id.into()),
        kind: Some(kind.into()),
        archived: None,
        stanza_ids: Vec::new(),
        size: 6_000_000,
        why: "size".into(),
        head: Vec::new(),
    };
    for forged in
        [drained(JULIET, &id, "result"), drained(OWN, "guessed", "result"), drained(OWN, &id, "nonsense")]
    {
        world.turn(vec![Input::TooMuch { link, drained: forged }]);
        assert_eq!(
            world.count(&format!("SELECT count(*) FROM pending WHERE iq = '{id}'")),
            1,
            "it still waits"
        );
    }
    world.turn(vec![Input::TooMuch { link, drained: drained(OWN, &id, "result") }]);
    assert_eq!(world.count(&format!("SELECT count(*) FROM pending WHERE iq = '{id}'")), 0);
    assert!(world.events.contains(&Event::TooLarge { what: "roster".into(), size: 6_000_000 }));
    assert_eq!(world.count("SELECT count(*) FROM contact"), 1);
    // A question that large is answered.
    world.wrote.clear();
    world.turn(vec![Input::TooMuch { link, drained: drained(JULIET, "q", "set") }]);
    assert_eq!(world.next("iq").attr("type"), Some("error"));
    assert!(!world.hung_up);
}

#[test]
fn huge_disco() {
    let mut world = World::new();
    world.connect();
    let info = world.wrote.iter().find(|e| e.children().any(|c| c.is("query", ns::DISCO_INFO))).unwrap();
    let id = info.attr("id").unwrap().to_owned();
    let features: String = (0..16_000).map(|n| format!("<feature var='urn:{n}'/>")).collect();
    let form = "<x xmlns='jabber:x:data'><field var='a'><value>b</value></field></x>".repeat(10);
    world.gets(&format!(
        "<iq type='result' id='{id}' from='{OWN}'><query xmlns='http://jabber.org/protocol/disco#info'>{features}{form}<feature var='urn:xmpp:mam:2'/></query></iq>"
    ));
    // It is read to its end: what stands last counts.
    world.serve();
    assert_eq!(world.count("SELECT archive FROM login"), 2);
    // What is asked of us with a node without end is answered in bounds.
    world.acknowledge();
    world.wrote.clear();
    world.gets_long(&format!(
        "<iq type='get' id='q' from='{JULIET}/x'><query xmlns='http://jabber.org/protocol/disco#info' node='LONG'/></iq>"
    ));
    assert!(String::from(&world.next("iq")).len() < 10_000, "no echo of what is large");
    world
        .gets_long(&format!("<iq type='get' id='LONG' from='{JULIET}/x'><ping xmlns='urn:xmpp:ping'/></iq>"));
    assert!(world.all("iq").is_empty());
}

#[test]
fn text_bomb() {
    let mut world = World::online();
    let zalgo = format!("Z{}", "\u{301}\u{337}\u{321}".repeat(1_000));
    let texts = [
        "x".repeat(900_000),
        "€".repeat(300_000),
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(30_000),
        zalgo.clone(),
        "\u{202e}".repeat(10_000),
        "\n".repeat(500_000),
    ];
    for (n, text) in texts.iter().enumerate() {
        world.gets(&from_juliet(&format!("id='t{n}'"), &format!("<body>{text}</body>")));
        let shown = world.sees().pop().unwrap();
        assert!(shown.len() <= 512 * 1024, "bounded");
        assert!(text.starts_with(&shown) && (shown == *text || shown.len() > 500_000), "and as much as fits");
    }
    // A text for each language, and ids as long as texts.
    let bodies: String = (0..10_000).map(|n| format!("<body xml:lang='x{n}'>{n}</body>")).collect();
    world.gets(&from_juliet("id='many'", &bodies));
    assert_eq!(world.sees().pop().unwrap(), "0");
    world.wrote.clear();
    world.gets_long(&from_juliet(
        "id='LONG'",
        &format!("<body>long</body><origin-id xmlns='urn:xmpp:sid:0' id='LONG'/><request xmlns='urn:xmpp:receipts'/><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='LONG'/>"),
    ));
    assert_eq!(world.sees().pop().unwrap(), "long");
    assert_eq!(world.count("SELECT coalesce(max(length(name)), 0) FROM message WHERE body = 'long'"), 0);
    assert!(world.all("message").is_empty(), "an id that long is not echoed");
    world.gets_long(&receipt(JULIET, "LONG"));
    world.gets(&live(1));
    assert_eq!(world.sees().len(), texts.len() + 3);
}

#[test]
fn unknown_payload_storm() {
    let mut world = World::online();
    let storm: String = (0..5_000).map(|n| format!("<x{n} xmlns='urn:unknown:{n}'><y/></x{n}>")).collect();
    world.gets(&from_juliet("id='s'", &format!("{storm}<body>in the storm</body>{storm}")));
    world.gets(&format!("<presence from='{JULIET}/x'>{storm}</presence>"));
    world.gets(&format!("<iq type='set' id='i' from='{JULIET}/x'>{storm}</iq>"));
    assert_eq!(world.next("iq").attr("type"), Some("error"));
    // What is no stanza at all is passed over and not counted.
    let handled = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    for nonza in [
        "<x xmlns='urn:unknown'/>",
        "<message xmlns='urn:unknown'/>",
        "<r xmlns='urn:unknown'/>",
        "<a xmlns='urn:xmpp:sm:2' h='7'/>",
    ] {
        world.gets(nonza);
    }
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), handled);
    assert_eq!(world.sees(), ["in the storm"]);
}

#[test]
fn extreme_time() {
    let stamps = [
        "0000-01-01T00:00:00Z",
        "-4711-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999999Z",
        "99999-01-01T00:00:00Z",
        "292277026596-12-04T15:30:07Z",
        "2026-02-30T00:00:00Z",
        "2026-06-30T23:59:60Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+99:99",
        "20260101T00:00:00",
        "",
        "now",
        "-1",
    ];
    let mut world = World::online();
    world.gets(&live(0));
    for (n, stamp) in stamps.iter().enumerate() {
        for by in ["", OWN, "montague.lit"] {
            world.gets(&from_juliet(
                &format!("id='{n}{by}'"),
                &format!("<body>x</body><delay xmlns='urn:xmpp:delay' from='{by}' stamp='{stamp}'/>"),
            ));
        }
        world.gets(&format!(
            "<message from='{OWN}'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>{}</forwarded></received></message>",
            from_juliet(&format!("id='c{n}'"), "<body>x</body>").replacen("<message", "<message xmlns='jabber:client'", 1)
        ));
    }
    let live_ones = world.sees().len();
    assert_eq!(live_ones, 1 + stamps.len() * 4);
    // The archive's own stamps, each as bad.
    world.away_and_back();
    let query = world.next_query();
    let id = query.attr("id").unwrap();
    let entries = archived(1..1 + stamps.len() as u32);
    for (entry, stamp) in entries.iter().zip(stamps) {
        world.gets(&result(id, entry).replace(&stamp::format(entry.at), stamp));
    }
    let all: Vec<&Archived> = entries.iter().collect();
    world.gets(&fin(id, &all, false));
    world.serve();
    // Time orders nothing: as the archive has them.
    let seen = world.sees();
    assert_eq!(seen[live_ones..live_ones + stamps.len()], numbers(1..1 + stamps.len() as u32));
    let (least, most): (i64, i64) = world
        .file()
        .query_row("SELECT min(at), max(at) FROM message", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert!(least >= 0 && most < 253_402_300_800_000, "{least} {most}");
    // By time, where the id is forgotten, and whatever the phone's clock and its offset say.
    for wall in [i64::MIN / 2, -1, 0, i64::MAX / 2] {
        world.now.wall = wall;
        world.gets(&from_juliet(&format!("id='w{wall}'"), "<body>x</body>"));
        world.says("y");
        world.away_and_back();
        world.serve();
        let (file, with) = (world.file(), juliet());
        for offset in [i64::MIN, -86_400_000, 0, i64::MAX] {
            let start = timeline::start(&file, &with, 1_000).unwrap();
            assert!(!timeline::window(&file, &with, start, offset).unwrap().is_empty());
        }
    }
    assert!(!world.hung_up);
}

#[test]
fn control_characters() {
    let mut world = World::online();
    // What XML cannot carry is left out on its way; here it stays as the user wrote it.
    let text = "a\u{0}b\u{1}\u{b}\u{fffe}c\u{7f}\u{85}\u{2028}\u{feff}\u{fdd0}\u{10ffff}\r\n\td";
    world.says(text);
    assert_eq!(world.sent_texts(), ["abc\u{7f}\u{85}\u{2028}\u{feff}\u{fdd0}\u{10ffff}\r\n\td"]);
    assert_eq!(world.sees(), [format!("> {text}")]);
    // What it can carry is stored whole.
    let theirs = "c\u{7f}\u{80}\u{9f}\u{ad}\u{200b}\u{202e}\u{2066}\u{e000}\u{fdd0}\u{1fffe}\u{10ffff}d";
    world.gets(&from_juliet("id='c'", &format!("<body>{theirs}</body>")));
    world.gets(&from_juliet("id='&#x7f;&#x9f;'", "<body>in the id</body>"));
    for device in ["a\u{7f}b", "\u{e000}", "\u{85}", "🐦", "עברית abc", "x&#10;y"] {
        world.gets(&from_juliet("", &format!("<body>from {device}</body>")).replace("balcony", device));
        assert_eq!(world.sees().pop().unwrap(), format!("from {}", device.replace("&#10;", "\n")));
    }
    assert_eq!(world.sees()[1..3], [theirs, "in the id"]);
}

#[test]
fn null_byte() {
    let mut world = World::online();
    let text = "before\0after";
    world.says(text);
    assert_eq!(world.sees(), [format!("> {text}")]);
    assert_eq!(world.sent_texts(), ["beforeafter"]);
    world.does(Command::AddContact { jid: juliet(), name: Some("Ju\0liet".into()) });
    assert!(String::from(&world.next("iq")).contains("Juliet"));
    let reply = world.does(Command::Send { id: ItemId("\0".into()), to: juliet(), what: "x".into() });
    assert!(matches!(reply, Some(Err(Error::InvalidInput { .. }))));
    let reply = world.does(Command::Raw { xml: "<message>\0</message>".into() });
    assert!(matches!(reply, Some(Err(Error::InvalidInput { .. }))));
}

#[test]
fn sql_in_everything() {
    let mut world = World::online();
    let schema = "SELECT count(*) FROM sqlite_schema";
    let tables = world.count(schema);
    let hostile = [
        "'; DROP TABLE message; --",
        "\"; DELETE FROM contact; --",
        "%_*\"",
        "a' OR '1'='1",
        "?1 :name @name $name",
        "NEAR(a b) AND NOT c* OR \"d\" ^e {f g} : h",
        "x'00'||char(0)",
        "{{7*7}} ${7*7} %s %n",
        "\\'; --\u{2019}",
    ];
    for text in hostile {
        let mut escaped = String::new();
        whimbrel_proto::write::escape_into(&mut escaped, text);
        let before = world.sees().len();
        // In all that a message, a presence, a roster and an archive can name.
        world.gets(&from_juliet(
            &format!("id='{escaped}'"),
            &format!("<body>{escaped}</body><origin-id xmlns='urn:xmpp:sid:0' id='{escaped}'/><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='{escaped}'/><thread>{escaped}</thread>"),
        ));
        assert_eq!(world.sees().last().unwrap(), text);
        world.gets(&receipt(JULIET, &escaped));
        world.gets(&marker(JULIET, &escaped));
        world.gets(&format!("<message type='error' from='{JULIET}' id='{escaped}'/>"));
        world.gets(&format!("<presence from='{JULIET}/{escaped}'/>"));
        world.gets(&format!("<presence type='unavailable' from='{JULIET}/{escaped}'/>"));
        world.gets(&format!("<iq type='result' id='{escaped}'/>"));
        world.gets(&format!(
            "<iq type='set' id='{escaped}' from='{OWN}'><query xmlns='jabber:iq:roster' ver='{escaped}'><item jid='nurse@capulet.lit' name='{escaped}' subscription='{escaped}' ask='{escaped}'><group>{escaped}</group></item></query></iq>"
        ));
        let contacts = crate::roster::contacts(&world.file()).unwrap();
        assert!(contacts.iter().any(|contact| contact.name.as_deref() == Some(text)), "{text}");
        let mut entry = archived(1..2).remove(0);
        entry.id.clone_from(&escaped);
        world.gets(&result(&escaped, &entry));
        // And what the app says.
        let mine = world.says(text);
        assert_eq!(world.sees()[before + 1], format!("> {text}"));
        assert_eq!(world.sent_texts().last().unwrap(), text);
        let name = Some(text.to_owned());
        world.does(Command::AddContact { jid: "a'b%@verona.lit".parse().unwrap_or(juliet()), name });
        world.acknowledge();
        assert_eq!(world.state(&mine), SendState::Sent);
        // A fresh session asks by these names.
        world.away_and_back();
        world.serve();
        world.acknowledge();
        world.wrote.clear();
    }
    assert_eq!(world.sees().iter().filter(|text| *text != "--").count(), hostile.len() * 2);
    // Whatever is looked for is looked for as it stands, and finds what was written; where it has no word, nothing.
    for indexed in [false, true] {
        if indexed {
            let others: Vec<String> =
                (0..100).map(|n| from_juliet("", &format!("<body>{n}</body>"))).collect();
            world.gets_all(&others.iter().map(String::as_str).collect::<Vec<_>>());
            world.index();
            assert!(world.count("SELECT count(*) FROM indexed") > 100);
        }
        for text in hostile {
            let wanted = Search { text: text.into(), ..Search::default() };
            let found = search(&world.file(), &wanted, None, 50).unwrap().hits;
            let expected = if text.contains(char::is_alphanumeric) { 2 } else { 0 };
            assert_eq!(found.len(), expected, "{text}");
            assert!(found.iter().all(|hit| hit.message.text == text), "{text}");
        }
    }
    assert_eq!(world.count(schema), tables);
    assert_eq!(world.count("SELECT count(*) FROM contact WHERE jid = 'juliet@capulet.lit'"), 1);
}
