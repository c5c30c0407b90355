//! Rows of `tests/hostile.txt` that bite where bytes become stanzas.

use super::*;

#[test]
fn entity_bomb() {
    let forbidden = [
        "<!DOCTYPE lolz [<!ENTITY lol 'lol'>]>",
        "<!ENTITY a 'b'>",
        "<message><!DOCTYPE a></message>",
        "<message>&lol;</message>",
        "<message a='&lol;'/>",
        "<?php echo ?>",
        "<message><?xml-stylesheet href='x'?></message>",
        "<!-- a comment -->",
        "<message><!-- a comment --></message>",
    ];
    for xml in forbidden {
        let (frames, error) = fails(format!("<presence/>{xml}<message/>"));
        assert!(matches!(error, FramingError::Forbidden(_)), "{xml}: {error:?}");
        assert!(matches!(error, FramingError::Forbidden(_)), "{error}");
        assert_eq!(frames.len(), 1, "nothing of it is handed out: {xml}");
    }
    let before_the_root = "<!DOCTYPE a><stream:stream xmlns:stream='http://etherx.jabber.org/streams'>";
    let error = Framer::new().feed(before_the_root.as_bytes(), &mut Vec::new()).expect_err("a DTD");
    assert!(matches!(error, FramingError::Forbidden(_)));
}

#[test]
fn deep_nesting() {
    let mut framer = open();
    let depth = 30_000;
    for (tag, end) in [("<a>", "</a>"), ("<a:b xmlns:a='urn:distinct'>", "</a:b>")] {
        let message =
            format!("<message from='romeo@montague.lit/x' id='m1' type='chat'>{}", tag.repeat(depth));
        assert_eq!(feed(&mut framer, &message), []);
        is_small(&framer);
        let frames = feed(&mut framer, format!("{}</message>", end.repeat(depth)));
        let size = (message.len() + depth * end.len() + 10) as u64;
        let message = drained(&frames[0]);
        assert_eq!((message.why, message.size), (Excess::Depth, size));
        assert_eq!((message.name.as_str(), message.namespace.as_str()), ("message", "jabber:client"));
        assert_eq!(message.from.as_deref(), Some("romeo@montague.lit/x"));
        assert_eq!(
            (message.id.as_deref(), message.kind.as_deref(), message.to.as_deref()),
            (Some("m1"), Some("chat"), None)
        );
        assert_eq!(message.head.len(), HEAD);
        still_alive(&mut framer);
    }
}

#[test]
fn huge_attribute() {
    let mut framer = open();
    let value = "v".repeat(200_000);
    let built = only_element(feed(&mut framer, format!("<message a='{value}'/>")));
    assert_eq!(built.attr("a"), Some(value.as_str()));

    let value = "v".repeat(1_000_000);
    let frames = feed(&mut framer, format!("<message id='i' a='{value}' b='{value}'/>"));
    assert_eq!((drained(&frames[0]).why, drained(&frames[0]).id.as_deref()), (Excess::Size, Some("i")));
    still_alive(&mut framer);

    let (frames, error) = fails(format!("<presence/><message a='{}'/>", "v".repeat(10_000_000)));
    assert_eq!((frames.len(), error), (1, FramingError::TokenTooLong));
    let (_, error) = fails(format!("<{}/>", "n".repeat(10_000_000)));
    assert_eq!(error, FramingError::TokenTooLong);
}

#[test]
fn huge_text() {
    let mut framer = open();
    let text = "é".repeat(262_144);
    let built = only_element(feed(&mut framer, format!("<message><body>{text}</body></message>")));
    assert_eq!(built.children().next().map(Element::text), Some(text));

    feed(
        &mut framer,
        "<message from='a@b' xmlns='jabber:client'><result xmlns='urn:xmpp:mam:2' queryid='q' id='r'><body>",
    );
    let piece = "x".repeat(1 << 20);
    for _ in 0..100 {
        assert_eq!(feed(&mut framer, &piece), []);
    }
    is_small(&framer);
    let frames =
        feed(&mut framer, "</body></result><stanza-id xmlns='urn:xmpp:sid:0' by='b' id='s'/></message>");
    let message = drained(&frames[0]);
    assert_eq!(message.why, Excess::Size);
    assert!(message.size > 100 << 20);
    assert_eq!(message.archive, Some(ArchivedAs { query: Some("q".into()), id: "r".into() }));
    assert_eq!(message.stanza_ids, [("b".into(), "s".into())]);
    assert!(message.head.starts_with(b"<message from='a@b'") && message.head.len() == HEAD);
    still_alive(&mut framer);
}

#[test]
fn many_attributes() {
    let mut framer = open();
    let some: String = (0..1_000).map(|n| format!(" a{n}='{n}'")).collect();
    assert_eq!(only_element(feed(&mut framer, format!("<message{some}/>"))).attrs().len(), 1_000);

    let many: String = (0..80_000).map(|n| format!(" a{n}='{n}'")).collect();
    let frames = feed(&mut framer, format!("<message id='i' to='t'{many} from='f' type='chat'/>"));
    let message = drained(&frames[0]);
    assert_eq!(message.why, Excess::Attributes);
    assert_eq!((message.id.as_deref(), message.to.as_deref()), (Some("i"), Some("t")));
    assert_eq!(
        (message.from.as_deref(), message.kind.as_deref()),
        (Some("f"), Some("chat")),
        "behind the limit too"
    );
    is_small(&framer);
    still_alive(&mut framer);
}

#[test]
fn many_namespaces() {
    let mut framer = open();
    let many: String = (0..10_000).map(|n| format!(" xmlns:p{n}='urn:{n}'")).collect();
    for message in [
        format!("<message id='i'{many}><p1:x/></message>"),
        format!("<message id='i'><c{many}/></message>"),
        format!("<message id='i'><c><d{many}><p7:x/></d></c></message>"),
        // Said once, and built with each name.
        format!("<message id='i'><c xmlns='{0}'>{1}</c></message>", "u".repeat(100_000), "<y/>".repeat(200)),
        format!(
            "<message id='i' xmlns:p='{0}'>{1}</message>",
            "u".repeat(100_000),
            "<y p:a='' p:b=''/>".repeat(100)
        ),
    ] {
        let frames = feed(&mut framer, message);
        assert_eq!(
            (drained(&frames[0]).why, drained(&frames[0]).id.as_deref()),
            (Excess::Namespaces, Some("i"))
        );
        is_small(&framer);
        still_alive(&mut framer);
    }
}

#[test]
fn unknown_payload_storm() {
    let mut framer = open();
    let frames =
        feed(&mut framer, format!("<message id='i'>{}</message>", "<x xmlns='urn:unknown'/>".repeat(10_000)));
    assert_eq!(only_element(frames).children().count(), 10_000);
    let frames = feed(&mut framer, format!("<message id='i'>{}</message>", "<x/>".repeat(100_000)));
    assert_eq!(drained(&frames[0]).why, Excess::Elements);
    still_alive(&mut framer);
}

#[test]
fn bad_xml_in_archive_is_known_by_its_id() {
    use whimbrel_engine::LinkFailure;
    let head = "<message xmlns='jabber:client' from='juliet@capulet.lit'><result xmlns='urn:xmpp:mam:2' queryid='q' id='r7'>\
        <forwarded xmlns='urn:xmpp:forward:0'><message><body>";
    let attribute = format!("<x a='{}'/>", "v".repeat(2 << 20));
    let name = format!("<{}/>", "n".repeat(2 << 20));
    let endless = "x".repeat(10 << 20);
    let offences =
        [&attribute, &name, &endless, "</x>", "&lol;", "<!-- a -->", "<a:b/>", "<x a='1' a='2'/>", "\u{1}"];
    for offence in offences {
        for step in [usize::MAX, 1 << 16, 100] {
            let mut framer = open_with(Limits { drained: 8 << 20, ..Limits::default() });
            let all = format!("<presence/>{head}{offence}");
            let (mut rest, mut inputs) = (Vec::new(), Vec::new());
            let why = all.as_bytes().chunks(step.min(all.len())).find_map(|piece| {
                crate::driver::feed(whimbrel_engine::LinkId(1), &mut framer, piece, &mut rest, &mut inputs)
            });
            let shown: String = offence.chars().take(20).collect();
            let Some(LinkFailure::Choked { stanza, .. }) = why else { panic!("{shown}: {why:?}") };
            assert_eq!(stanza.archived, Some(("q".into(), "r7".into())), "{shown}");
            assert_eq!(
                (stanza.name.as_str(), stanza.from.as_deref()),
                ("message", Some("juliet@capulet.lit"))
            );
            assert!(stanza.head.starts_with(b"<message xmlns=") && stanza.head.len() <= HEAD, "{shown}");
            assert_eq!(inputs.len(), 1, "{shown}");
        }
    }
    // Between stanzas, and before anything is known of one, there is nothing to step past.
    for offence in ["</x>", "<message", "<message from='&lol;'", "text"] {
        let mut framer = open();
        let mut inputs = Vec::new();
        let mut feed = |bytes: &[u8]| {
            crate::driver::feed(whimbrel_engine::LinkId(1), &mut framer, bytes, &mut Vec::new(), &mut inputs)
        };
        let why = feed(offence.as_bytes()).or_else(|| feed(b"<&"));
        assert!(matches!(why, Some(LinkFailure::Nonsense(_))), "{offence}: {why:?}");
    }
}

#[test]
fn deep_nesting_of_a_hundred_levels_is_built_and_one_more_is_not() {
    for (levels, built) in [(100, true), (101, false)] {
        let mut framer = open();
        let frames = feed(&mut framer, format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels)));
        assert_eq!(matches!(frames[..], [Frame::Element { .. }]), built, "{levels}");
        still_alive(&mut framer);
    }
}

#[test]
fn deep_nesting_of_a_million_levels_is_drained() {
    let mut framer = open();
    feed(&mut framer, "<message>");
    for (tag, times) in [("<a>", 1_000), ("</a>", 1_000)] {
        let thousand = tag.repeat(1_000);
        for _ in 0..times {
            assert_eq!(feed(&mut framer, &thousand), []);
        }
        is_small(&framer);
    }
    assert_eq!(feed(&mut framer, "</message>").len(), 1);
    still_alive(&mut framer);
}

#[test]
fn deep_nesting_without_end_ends_the_stream() {
    let mut framer = open();
    let thousand = "<a>".repeat(1_000);
    let error = (0..2_000).find_map(|_| framer.feed(thousand.as_bytes(), &mut Vec::new()).err());
    assert_eq!(error, Some(FramingError::TooDeep));

    let mut framer = open();
    let long_name = format!("<{}>", "n".repeat(1 << 16));
    let error = (0..100).find_map(|_| framer.feed(long_name.as_bytes(), &mut Vec::new()).err());
    assert_eq!(error, Some(FramingError::TooDeep), "names on the stack take memory too");
}

#[test]
fn huge_text_of_carriage_returns_cannot_fill_the_memory() {
    for (before, flood) in [("<message><body>", "\r"), ("<message a='", "\r"), ("<message ", " ")] {
        let mut framer = open();
        feed(&mut framer, before);
        let flood = flood.repeat(1 << 16);
        let error = (0..1_600).find_map(|_| framer.feed(flood.as_bytes(), &mut Vec::new()).err());
        assert_eq!(error, Some(FramingError::TokenTooLong), "{before}");
    }
}

/// Each ends the stream where it stands; what was before it is handed out, and nothing of it.
fn ends_the_stream(wrong: &[&[u8]]) {
    for xml in wrong {
        for (before, after) in
            [("<presence/><message><body>", "</body></message>"), ("<presence/><message id='", "'/>")]
        {
            let bytes = [before.as_bytes(), xml, after.as_bytes()].concat();
            let (frames, error) = fails(&bytes);
            let shown = String::from_utf8_lossy(xml);
            assert!(
                matches!(
                    error,
                    FramingError::NotWellFormed(_) | FramingError::Forbidden(XmlError::UndeclaredEntity)
                ),
                "{shown}: {error:?}"
            );
            assert_eq!(frames.len(), 1, "{shown}");
            // In whatever pieces it comes.
            let mut framer = open();
            let mut frames = Vec::new();
            let error = bytes.chunks(1).find_map(|piece| framer.feed(piece, &mut frames).err());
            assert!(error.is_some() && frames.len() == 1, "{shown}");
        }
    }
}

#[test]
fn invalid_utf8() {
    ends_the_stream(&[
        b"\xff\xfe",
        b"\xc3",
        b"\xc3\x28",
        // Overlong: NUL, a slash, `<`.
        b"\xc0\x80",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xbc",
        b"\xc0\xbcbody>",
        // Above what Unicode has, and bytes that no encoding has.
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        // Half of a pair of surrogates, and both.
        b"\xed\xa0\x80",
        b"\xed\xa0\xbd\xed\xb0\xa6",
        // Not a character, though well encoded.
        b"\xef\xbf\xbf",
    ]);
    // In names as well.
    for wrong in [&b"<m\xc3/>"[..], b"<m a\xff='b'/>", b"<\xed\xa0\x80/>"] {
        fails(wrong);
    }
}

#[test]
fn control_characters() {
    let raw: Vec<Vec<u8>> =
        (1..0x20).filter(|byte| ![9, 10, 13].contains(byte)).map(|byte| vec![byte]).collect();
    let references: Vec<Vec<u8>> = (1..0x20_u8)
        .filter(|byte| ![9, 10, 13].contains(byte))
        .flat_map(|byte| [format!("&#{byte};").into_bytes(), format!("&#x{byte:x};").into_bytes()])
        .collect();
    let all: Vec<&[u8]> = raw.iter().chain(&references).map(Vec::as_slice).collect();
    ends_the_stream(&all);
    // What XML can carry comes whole.
    let text = "\t\n\u{7f}\u{80}\u{85}\u{9f}\u{ad}\u{200b}\u{2028}\u{202e}\u{feff}\u{fdd0}\u{e000}\u{10ffff}";
    let built = only_element(feed(&mut open(), format!("<message><body>{text}</body></message>")));
    assert_eq!(built.children().next().map(Element::text).as_deref(), Some(text));
}

#[test]
fn unpaired_surrogate_refs() {
    ends_the_stream(&[
        b"&#xD800;",
        b"&#xDFFF;",
        b"&#55357;",
        b"&#xD83D;&#xDC26;",
        b"&#xFFFE;",
        b"&#xFFFF;",
        b"&#x110000;",
        b"&#99999999999999999999;",
        b"&#x;",
        b"&#;",
        b"&#-1;",
        b"&#x 41;",
        b"&#X41;",
        b"&;",
        b"& ",
    ]);
    let built = only_element(feed(&mut open(), "<message><body>&#x1F426;&#128038;</body></message>"));
    assert_eq!(built.children().next().map(Element::text).as_deref(), Some("🐦🐦"));
}

#[test]
fn null_byte() {
    ends_the_stream(&[b"\0", b"&#0;", b"&#x0;", b"&#00000;", b"a\0b"]);
    for wrong in [&b"\0"[..], b"<\0/>", b"<message\0/>", b"<message a\0='b'/>", b"<message/>\0"] {
        fails(wrong);
    }
}
