//! Everything of ours that reads a text: addresses, stamps, what SCRAM carries, `xmpp:` links.

use rand::{SeedableRng, rngs::StdRng};
use whimbrel_proto::{
    address,
    place::Place,
    scram::{Binding, Hash, Offered, Scram},
    stamp,
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
