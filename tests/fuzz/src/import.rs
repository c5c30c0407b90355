//! What a file of an account says (XEP-0227 and our own, `core/EXPORT.md`), whoever has written it.
//!
//! The input is what stands in the element of the user: lists, or what is in them. Elements of the namespace `f` are what
//! happens meanwhile, as in [`crate::world`]; `<online xmlns='f'/>` in front says that the account was online before, so that the
//! file is put between what is there, and `<server xmlns='f'>…</server>` is what a server says.
//!
//! What must hold in any world holds after each batch. In the end the file is read again, and adds nothing; what is here by
//! then is written, and that file adds nothing either, and makes the same of a new account.

use minidom::Element;
use rand::{Rng, SeedableRng, rngs::StdRng};
use whimbrel::internals::Framing;
use whimbrel_engine::{Input, LinkId};
use whimbrel_proto::ns;

use crate::{
    hash,
    world::{ACTIONS, World},
};

pub(crate) fn run(data: &[u8]) {
    adds(data);
}

/// How many messages such a file adds.
pub fn adds(data: &[u8]) -> u64 {
    let mut rng = StdRng::seed_from_u64(hash(data));
    let batch = *[1, 7, 100].get(rng.random_range(0..3)).expect("one of three");
    let mut framing = Framing::default();
    let mut inputs = Vec::new();
    let header = format!("<stream:stream xmlns='{}' xmlns:stream='{}'>", ns::JABBER_CLIENT, ns::STREAM);
    framing.feed(LinkId(0), header.as_bytes(), &mut inputs).expect("a good header");
    // What stands before the damage is whole.
    let _ = framing.feed(LinkId(0), data, &mut inputs);
    let mut elements = inputs
        .into_iter()
        .filter_map(|input| match input {
            Input::Element { element, .. } => Some(element),
            _ => None,
        })
        .peekable();
    let was_online = elements.next_if(|element| element.is("online", ACTIONS)).is_some();
    let mut world = if was_online { World::online() } else { World::new() };
    let (mut all, mut ready, mut added) = (Vec::new(), Vec::new(), 0);
    for element in elements {
        if element.has_ns(ACTIONS) {
            added += world.imports("file-1", std::mem::take(&mut ready));
            world.hears_or_does(&element);
        } else {
            let found = flat(element);
            all.extend(found.iter().cloned());
            ready.extend(found);
        }
        if ready.len() >= batch {
            added += world.imports("file-1", std::mem::take(&mut ready));
        }
    }
    added += world.imports("file-1", ready);
    let again = world.imports("file-1", all);
    assert_eq!(again, 0, "what is here is not taken twice");
    let written = world.exported();
    let again = world.imports("file-2", elements_of(&written));
    assert_eq!(again, 0, "what we wrote ourselves is known: {written}");
    let mut restored = World::new();
    restored.imports("file-2", elements_of(&written));
    assert_eq!(numberless(&restored.exported()), numberless(&written), "brought back as it was");
    added
}

/// The lists are read one by one.
fn flat(element: Element) -> Vec<Element> {
    match element.name() {
        "query" | "archive" | "conversations" => element.children().cloned().collect(),
        _ => vec![element],
    }
}

fn elements_of(file: &str) -> Vec<Element> {
    let root: Element = file
        .split_once("?>")
        .and_then(|(_, root)| root.trim().parse().ok())
        .unwrap_or_else(|| panic!("we wrote what is not XML: {file}"));
    let users = root.children().flat_map(Element::children);
    users.flat_map(Element::children).cloned().flat_map(flat).collect()
}

/// Rows are numbered anew.
fn numberless(file: &str) -> String {
    let mut parts = file.split(" id='row-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once('\'').map_or(part, |(_, behind)| behind))
}
