mod hostile;

use super::*;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' from='verona.lit' id='s1' version='1.0' xml:lang='en'>";

const ARCHIVED: &str = "<message xmlns='jabber:client' to='juliet@capulet.lit/balcony' from='juliet@capulet.lit' id='aeb213'>\
    <result xmlns='urn:xmpp:mam:2' queryid='f27' id='28482-98726-73623'>\
    <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>\
    <message xmlns='jabber:client' from='romeo@montague.lit/orchard' to='juliet@capulet.lit' type='chat' id='123-456'>\
    <body>But soft, what light through yonder window breaks? It is the east, and Juliet is the sun.</body>\
    <origin-id xmlns='urn:xmpp:sid:0' id='de305d54-75b4-431b-adb2-eb6b9e546013'/>\
    <markable xmlns='urn:xmpp:chat-markers:0'/></message></forwarded></result></message>";

fn open() -> Framer {
    open_with(Limits::default())
}

fn open_with(limits: Limits) -> Framer {
    let mut framer = Framer::with_limits(limits);
    let mut frames = Vec::new();
    assert_eq!(framer.feed(HEADER.as_bytes(), &mut frames), Ok(HEADER.len()));
    assert!(matches!(frames[..], [Frame::Header(_)]));
    framer
}

fn feed(framer: &mut Framer, bytes: impl AsRef<[u8]>) -> Vec<Frame> {
    let mut frames = Vec::new();
    let bytes = bytes.as_ref();
    assert_eq!(framer.feed(bytes, &mut frames), Ok(bytes.len()));
    frames
}

/// What comes out before the error, and the error.
fn fails(bytes: impl AsRef<[u8]>) -> (Vec<Frame>, FramingError) {
    let mut framer = open();
    let mut frames = Vec::new();
    let error = framer.feed(bytes.as_ref(), &mut frames).expect_err("the stream must end");
    assert_eq!(framer.feed(b"<message/>", &mut frames), Err(error), "the error must last");
    (frames, error)
}

fn element(xml: &str) -> Frame {
    let mut framer = open();
    let [frame] = <[Frame; 1]>::try_from(feed(&mut framer, xml)).expect("one frame");
    assert!(matches!(frame, Frame::Element { .. }));
    frame
}

fn only_element(frames: Vec<Frame>) -> Element {
    match <[Frame; 1]>::try_from(frames) {
        Ok([Frame::Element { element, .. }]) => element,
        other => panic!("expected one element, got {other:?}"),
    }
}

fn drained(frame: &Frame) -> &Drained {
    match frame {
        Frame::TooMuch(drained) => drained,
        other => panic!("expected a drained stanza, got {other:?}"),
    }
}

/// The next message still arrives.
fn still_alive(framer: &mut Framer) {
    let next = only_element(feed(framer, "<message id='next'><body>here</body></message>"));
    assert_eq!(next.attr("id"), Some("next"));
    assert_eq!(next.get_child("body", "jabber:client").map(Element::text), Some("here".into()));
}

/// Bytes of heap that stay reachable cannot be asked for portably, so what could grow is looked at.
fn is_small(framer: &Framer) {
    assert!(framer.stack.is_empty() && framer.stack.capacity() <= 128);
    assert!(framer.text.capacity() <= 1 << 20);
    assert!(framer.head.capacity() <= 2 * HEAD);
    assert!(framer.scopes.len() <= framer.limits.namespaces + 1);
    assert!(framer.attributes.len() <= MAX_KEPT_IDS);
    assert!(framer.marks.len() <= 3);
}

#[test]
fn stream_header_is_read() {
    let mut framer = Framer::new();
    let expected = StreamHeader {
        from: Some("verona.lit".into()),
        to: None,
        id: Some("s1".into()),
        version: Some("1.0".into()),
        lang: Some("en".into()),
    };
    assert_eq!(feed(&mut framer, HEADER), [Frame::Header(expected)]);
}

#[test]
fn header_without_the_stream_namespace_is_refused() {
    for root in [
        "<stream:stream xmlns:stream='http://etherx.jabber.org/stream'>",
        "<stream xmlns='jabber:client'>",
        "<stream>",
        "<html xmlns='http://etherx.jabber.org/streams'>",
    ] {
        assert_eq!(
            Framer::new().feed(root.as_bytes(), &mut Vec::new()),
            Err(FramingError::NotAStream),
            "{root}"
        );
    }
    let many: String = (0..100).map(|n| format!(" a{n}='x'")).collect();
    let root = format!("<stream:stream xmlns:stream='http://etherx.jabber.org/streams'{many}>");
    assert_eq!(Framer::new().feed(root.as_bytes(), &mut Vec::new()), Err(FramingError::NotAStream));
}

#[test]
fn http_or_tls_on_the_port_is_not_well_formed() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x15\x03\x01\x00\x02\x02\x46", b"\x00\x01"] {
        let error = Framer::new().feed(bytes, &mut Vec::new()).expect_err("no XML");
        assert!(matches!(error, FramingError::NotWellFormed(_)), "{error}");
    }
}

#[test]
fn elements_come_out_as_minidom_would_have_parsed_them() {
    let mut framer = open();
    assert_eq!(only_element(feed(&mut framer, ARCHIVED)), ARCHIVED.parse::<Element>().unwrap());
    let inherited = only_element(feed(
        &mut framer,
        "<message><x:y xmlns:x='urn:x' x:a='1' a='2' xml:lang='de'/></message>",
    ));
    let child = inherited.get_child("y", "urn:x").expect("prefix resolved");
    assert_eq!(inherited.ns(), "jabber:client");
    assert_eq!(child.attr_ns("urn:x", "a"), Some("1"));
    assert_eq!(child.attr("a"), Some("2"));
    assert_eq!(child.attr_ns(XMLNS_XML, "lang"), Some("de"));
    let features = only_element(feed(&mut framer, "<stream:features><a xmlns=''/></stream:features>"));
    assert!(features.is("features", NS_STREAM));
    assert!(features.has_child("a", ""));
}

#[test]
fn a_declaration_ends_with_its_element_and_may_follow_its_use() {
    let mut framer = open();
    let both = only_element(feed(
        &mut framer,
        "<message><p:a p:n='1' xmlns:p='urn:1'><p:b xmlns:p='urn:2'/><p:c/></p:a><d xmlns='urn:3'/><e/></message>",
    ));
    let a = both.get_child("a", "urn:1").expect("declared behind its use");
    assert_eq!(a.attr_ns("urn:1", "n"), Some("1"));
    assert!(a.has_child("b", "urn:2") && a.has_child("c", "urn:1"));
    assert!(both.has_child("d", "urn:3") && both.has_child("e", "jabber:client"));
}

#[test]
fn character_data_in_pieces_is_one_text_node() {
    let mut framer = open();
    let body = "<body>a &lt; b &amp;&#x26; <![CDATA[<c>]]> d\r\ne ]] é</body>";
    let mut frames = Vec::new();
    for byte in format!("<message>{body}</message>").bytes() {
        frames.extend(feed(&mut framer, [byte]));
    }
    let message = only_element(frames);
    let nodes: Vec<_> = message.children().next().unwrap().nodes().collect();
    assert_eq!(nodes, [&minidom::Node::Text("a < b && <c> d\ne ]] é".into())]);
}

#[test]
fn mixed_content_keeps_its_order() {
    let Frame::Element { element, .. } = element("<a>1<b>2</b>3<c/> <d/></a>") else { unreachable!() };
    let order: Vec<String> = element
        .nodes()
        .map(|node| {
            node.as_text().map_or_else(|| node.as_element().unwrap().name().to_owned(), str::to_owned)
        })
        .collect();
    assert_eq!(order, ["1", "b", "3", "c", " ", "d"]);
}

#[test]
fn whitespace_between_stanzas_is_no_frame() {
    let mut framer = open();
    assert_eq!(feed(&mut framer, " \n\t\r\n"), []);
    let frames = feed(&mut framer, "  <presence/> \n <message/> ");
    assert_eq!(frames.len(), 2);
    assert!(matches!(frames[0], Frame::Element { size: 11, .. }));
}

#[test]
fn sizes_are_the_bytes_on_the_wire() {
    let mut framer = open();
    let stanzas = [
        "<message/>",
        "<iq a='&lt;' ></iq >",
        "<message><body>&#x41;<![CDATA[B]]>é</body></message>",
        ARCHIVED,
    ];
    let frames = feed(&mut framer, stanzas.join("\n "));
    let sizes: Vec<_> = frames
        .iter()
        .map(|frame| match frame {
            Frame::Element { size, .. } => *size,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, stanzas.map(str::len));
}

#[test]
fn footer_ends_the_stream_and_what_follows_is_ignored() {
    let mut framer = open();
    let frames = feed(&mut framer, "<message/></stream:stream><message/>");
    assert!(matches!(frames[..], [Frame::Element { .. }, Frame::Footer]));
    assert_eq!(feed(&mut framer, "<message/>&&&"), []);
}

#[test]
fn not_well_formed() {
    let wrong: &[&[u8]] = &[
        b"<message></presence>",
        b"<message><body></message></body>",
        b"<message a=1/>",
        b"<message a='1' a='2'/>",
        b"<message xmlns:x='u' xmlns:y='u' x:a='1' y:a='2'/>",
        b"<message xmlns:x='u' xmlns:x='v'/>",
        b"<message xmlns='u' xmlns='v'/>",
        b"<message a='<'/>",
        b"<x:message/>",
        b"<message x:a='1'/>",
        b"<message>]]></message>",
        b"<message>&</message>",
        b"<message>& </message>",
        b"< message/>",
        b"</message>",
        b"<message xmlns:x=''/>",
        b"<message xmlns:xml='u'/>",
        b"<message xmlns:xmlns='u'/>",
        b"<a:b:c/>",
    ];
    for xml in wrong {
        let (_, error) = fails(xml);
        let shown = String::from_utf8_lossy(xml);
        assert!(
            matches!(
                error,
                FramingError::NotWellFormed(_) | FramingError::Forbidden(XmlError::UndeclaredEntity)
            ),
            "{shown}: {error:?}"
        );
    }
    assert_eq!(fails("<presence/>hello").1, FramingError::TextBetweenStanzas);
    assert_eq!(fails("hello<presence/>").1, FramingError::TextBetweenStanzas);
}

#[test]
fn cut_mid_stanza() {
    let long = format!("<message id='long'><body>{}</body></message>", "x".repeat(300));
    let deep = format!("<message from='a@b' id='deep'>{}{}</message>", "<a>".repeat(40), "</a>".repeat(40));
    let stream = format!(
        "{HEADER}<stream:features/>\n{ARCHIVED} {long}<presence><x:c xmlns:x='urn:x' x:a='&quot;é'/>&#233;€</presence>{deep}\r\n\
         <message><body>a<![CDATA[]]]]>&gt;\r</body></message></stream:stream>"
    );
    let limits = Limits { depth: 20, size: 640, ..Limits::default() };
    let whole = {
        let mut frames = Vec::new();
        assert_eq!(Framer::with_limits(limits).feed(stream.as_bytes(), &mut frames), Ok(stream.len()));
        frames
    };
    assert_eq!(whole.len(), 8);
    assert_eq!(drained(&whole[2]).head, ARCHIVED.as_bytes());
    assert_eq!(drained(&whole[5]).head, deep.as_bytes());
    for cut in 0..=stream.len() {
        let mut framer = Framer::with_limits(limits);
        let (head, tail) = stream.as_bytes().split_at(cut);
        let mut frames = feed(&mut framer, head);
        assert!(
            frames.len() <= whole.len() && frames == whole[..frames.len()],
            "whole or not at all, cut at {cut}"
        );
        frames.extend(feed(&mut framer, tail));
        assert_eq!(frames, whole, "cut at {cut}");
    }
    for step in [1, 2, 3, 7, 64, 333] {
        let mut framer = Framer::with_limits(limits);
        let frames: Vec<_> =
            stream.as_bytes().chunks(step).flat_map(|piece| feed(&mut framer, piece)).collect();
        assert_eq!(frames, whole, "in pieces of {step}");
    }
}

#[test]
fn long_names_are_forgotten_when_they_close() {
    let mut framer = open();
    let name = "n".repeat(1 << 16);
    for _ in 0..100 {
        assert_eq!(feed(&mut framer, format!("<message><{name}/></message>")).len(), 1);
    }
    assert_eq!(framer.long_names_sum, 0);
}

#[test]
fn a_stanza_without_end_ends_the_stream() {
    let mut framer = open_with(Limits { drained: 8 << 20, ..Limits::default() });
    feed(&mut framer, "<message>");
    let piece = "x".repeat(1 << 20);
    let error = (0..20).find_map(|_| framer.feed(piece.as_bytes(), &mut Vec::new()).err());
    assert_eq!(error, Some(FramingError::TooLarge));
}

#[test]
fn an_archived_stanza_that_is_too_much_says_which_one_it_is() {
    let inner = "<a>".repeat(500) + &"</a>".repeat(500);
    let mut framer = open();
    for result in ["<result xmlns='urn:xmpp:mam:2'", "<m:result xmlns:m='urn:xmpp:mam:2'"] {
        let end = if result.starts_with("<m:") { "</m:result>" } else { "</result>" };
        let frames =
            feed(&mut framer, format!("<message>{result} id='r7' queryid='q1'>{inner}{end}</message>"));
        let expected = Some(ArchivedAs { query: Some("q1".into()), id: "r7".into() });
        assert_eq!(drained(&frames[0]).archive, expected);
    }
    let frames = feed(&mut framer, format!("<message><result xmlns='urn:other' id='r7'/>{inner}</message>"));
    assert_eq!(drained(&frames[0]).archive, None);
    let frames = feed(
        &mut framer,
        format!("<message><x>{inner}<result xmlns='urn:xmpp:mam:2' id='r7'/></x></message>"),
    );
    assert_eq!(drained(&frames[0]).archive, None, "not directly in the stanza");
}

#[test]
fn pipelined_plaintext_after_starttls() {
    let mut framer = open();
    let mut frames = Vec::new();
    for proceed in [
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>",
    ] {
        let bytes = format!("<stream:features/>{proceed}<message><body>injected</body></message>");
        assert_eq!(framer.feed(bytes.as_bytes(), &mut frames), Ok(18 + proceed.len()));
        assert_eq!(frames.drain(..).count(), 2, "nothing behind it was read");
    }
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><message/>";
    assert_eq!(feed(&mut framer, failure).len(), 2);
}

#[test]
fn a_restarted_stream_begins_with_a_header_of_its_own() {
    let mut framer = open();
    let mut frames = Vec::new();
    let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    let bytes = format!("{success}{HEADER}<stream:features/>");
    let used = framer.feed(bytes.as_bytes(), &mut frames).unwrap();
    assert_eq!(used, success.len());
    framer.restart();
    let rest = feed(&mut framer, &bytes.as_bytes()[used..]);
    assert!(matches!(rest[..], [Frame::Header(_), Frame::Element { .. }]));
    let sasl2 = "<success xmlns='urn:xmpp:sasl:2'/><stream:features/>";
    assert_eq!(feed(&mut framer, sasl2).len(), 2, "SASL2 goes on in the same stream");
}
