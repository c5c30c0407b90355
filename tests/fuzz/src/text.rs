//! Everything of ours that reads a text: addresses, stamps, what SCRAM carries, `xmpp:` links, what a message looks like.

use rand::{SeedableRng, rngs::StdRng};
use whimbrel_proto::{
    address,
    content::{Content, Mention},
    place::Place,
    scram::{Binding, Hash, Offered, Scram},
    stamp,
    text::{self, Span, Style},
    uri::Uri,
};

/// The last millisecond of 9999.
const LAST: i64 = 253_402_300_799_999;

pub(crate) fn run(data: &[u8]) {
    // A challenge and the server's last word, with our nonce for `#`.
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let challenge = parts.next().unwrap_or_default();
    scram(challenge, parts.next().unwrap_or_default());
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(place) = Place::parse(text) {
        assert!(!place.host.is_empty() && place.port != Some(0));
        assert!(!place.host.contains(['/', '@', ' ', '[', ']', '%', '\0']), "{place:?}");
    }
    if let Some(time) = stamp::parse(text) {
        assert!((0..=LAST).contains(&time), "nothing later has to think about it");
        assert_eq!(stamp::parse(&stamp::format(time)), Some(time));
    }
    if let Some(jid) = address::parse(text) {
        assert_eq!(address::parse(jid.as_str()), Some(jid.clone()), "what is normal stays as it is");
        assert!(jid.as_str().len() <= 3_071, "RFC 7622 §3.1");
        assert_eq!(Uri::to(jid.clone()).to_string().parse::<Uri>().map(|uri| uri.address), Ok(Some(jid)));
    }
}

fn scram(challenge: &[u8], last: &[u8]) {
    let mut rng = StdRng::seed_from_u64(1597);
    let hash = [Hash::Sha1, Hash::Sha256, Hash::Sha512][last.len() % 3];
    let started = Scram::start(hash, Binding::ClientCannot, "romeo", "pencil", &mut rng);
    let (scram, first) = started.expect("a password without forbidden characters");
    let first = String::from_utf8(first).expect("base64");
    let nonce = first.rsplit_once("r=").expect("it has a nonce").1;
    let challenge: Vec<u8> = challenge
        .iter()
        .flat_map(|byte| if *byte == b'#' { nonce.as_bytes().to_vec() } else { vec![*byte] })
        .collect();
    let offered = Offered { mechanisms: vec!["SCRAM-SHA-1"], bindings: Vec::new() };
    if let Ok((finished, _)) = scram.answer(&challenge, &offered) {
        assert!(challenge.windows(nonce.len()).any(|window| window == nonce.as_bytes()), "our nonce");
        assert!(finished.verify(last).is_err(), "nobody guesses a signature");
    }
}

/// A link is read, or refused for a reason; what was read is written in ASCII and reads as the same.
pub(crate) fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(uri) = text.parse::<Uri>() else { return };
    let written = uri.to_string();
    assert!(written.is_ascii() && !written.contains([' ', '"', '<', '>', '\n']), "{written}");
    if text.len() < 20_000 {
        assert_eq!(written.parse::<Uri>().as_ref(), Ok(&uri), "{written}");
    }
    let _ = uri.action();
    let kept = uri
        .query
        .iter()
        .flat_map(|query| query.parameters.iter())
        .map(|(_, value)| value.len())
        .sum::<usize>();
    assert!(kept <= text.len(), "nothing grows");
}

/// What is shown of a body has only spans that can be drawn, and a link by itself is the same link.
pub(crate) fn looks(data: &[u8]) {
    let Some((&[a, b, c], rest)) = data.split_first_chunk() else { return };
    let Ok(body) = std::str::from_utf8(rest) else { return };
    let mention = |begin: u8, end: u8| Mention {
        begin: begin.into(),
        end: end.into(),
        uri: "xmpp:juliet@capulet.lit".into(),
    };
    let content = Content {
        quoted: Some((u32::from(c), u32::from(a))),
        mentions: vec![mention(a, b), mention(b, c), mention(a, c)],
        unstyled: a.is_multiple_of(8),
        ..Content::default()
    };
    shows(body, &content);
}

pub(crate) fn shows(body: &str, content: &Content) {
    let (shown, looks) = text::shown(body, content);
    let same =
        |one: &Span, other: &Span| std::mem::discriminant(&one.style) == std::mem::discriminant(&other.style);
    let units: Vec<u16> = shown.encode_utf16().collect();
    for (index, (span, range)) in looks.spans.iter().zip(text::utf16(&shown, &looks.spans)).enumerate() {
        let part = &shown[span.range.clone()];
        assert!(!part.is_empty(), "{span:?}");
        assert_eq!(String::from_utf16(&units[range]).ok().as_deref(), Some(part));
        let behind = looks.spans.get(index + 1).map_or(usize::MAX, |next| next.range.start);
        assert!(span.range.start <= behind, "in order");
        let earlier = looks.spans[..index].iter().filter(|earlier| same(earlier, span));
        for earlier in earlier {
            let nested = span.style == Style::Quote && earlier.range.end >= span.range.end;
            assert!(nested || earlier.range.end <= span.range.start, "{earlier:?} and {span:?} overlap");
        }
        if let Style::Link { .. } | Style::Location(_) = &span.style {
            let alone = text::read(part, true, &[]).spans;
            assert!(matches!(&alone[..], [link] if link.style == span.style), "{part:?}: {alone:?}");
        }
        if let Style::Location(place) = &span.style {
            assert!(place.latitude.abs() <= 90.0 && place.longitude.abs() <= 180.0, "{place:?}");
        }
    }
}
