//! Bytes of a stream into elements: how they were cut into pieces changes nothing, what comes out can be written and read
//! again, and everything that reads an element in `proto` reads it.

use minidom::Element;
use rand::{Rng, SeedableRng, rngs::StdRng};
use whimbrel::internals::Framing;
use whimbrel_engine::{Input, LinkId};
use whimbrel_proto::{address, features::Features, message::MessageView, negotiation, ns, stamp};

use crate::{hash, payloads};

pub(crate) fn run(data: &[u8]) {
    // Behind a carriage return the parser waits for one byte more before it says anything.
    let data = &[data, b"\n<"].concat();
    let whole = read(data, &mut std::iter::repeat(usize::MAX));
    let mut rng = StdRng::seed_from_u64(hash(data));
    let longest = rng.random_range(1..=64);
    let pieces = read(data, &mut std::iter::from_fn(|| Some(rng.random_range(1..=longest))));
    assert_eq!(format!("{:?}", pieces.0), format!("{:?}", whole.0), "the same frames, however they are cut");
    // Of two offences in one text either may be told.
    assert_eq!(pieces.1.is_some(), whole.1.is_some(), "{:?} {:?}", pieces.1, whole.1);
    for input in whole.0 {
        if let Input::Element { element, .. } = input {
            look_at(&element);
            let kept = written(&element);
            if has_namespaces(&element) {
                assert_eq!(kept.parse::<Element>().ok().as_ref(), Some(&element), "it can be kept: {kept}");
            }
        }
    }
}

fn read(data: &[u8], lengths: &mut dyn Iterator<Item = usize>) -> (Vec<Input>, Option<String>) {
    let mut framing = Framing::default();
    let mut inputs = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(lengths.next().unwrap_or(rest.len()).min(rest.len()));
        rest = behind;
        if let Err(why) = framing.feed(LinkId(1), piece, &mut inputs) {
            return (inputs, Some(format!("{why:?}")));
        }
    }
    (inputs, None)
}

/// As it is kept in quarantine and shown as an event.
fn written(element: &Element) -> String {
    String::from(element)
}

/// minidom does not read an element without a namespace.
fn has_namespaces(element: &Element) -> bool {
    !element.has_ns("") && element.children().all(has_namespaces)
}

/// Everything that takes an element and gives a value.
pub(crate) fn look_at(element: &Element) {
    let view = MessageView::read(element);
    for text in [view.from, view.to].into_iter().flatten() {
        if let Some(address) = address::parse(text) {
            assert_eq!(address::parse(address.as_str()), Some(address), "what is normal stays as it is");
        }
    }
    if let Some((_, text)) = view.delay
        && let Some(time) = stamp::parse(text)
    {
        assert_eq!(stamp::parse(&stamp::format(time)), Some(time));
    }
    let features = Features::read(element);
    assert!(features.max_bytes.is_none_or(|max| max >= 10_000), "no server can silence us");
    if element.is("error", ns::STREAM) {
        let _ = negotiation::stream_error(element).to_string();
    }
    payloads::look_at(element);
    for child in element.children() {
        look_at(child);
    }
}
