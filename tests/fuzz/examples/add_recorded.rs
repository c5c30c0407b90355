//! Makes corpus of what `interop`'s example `record` wrote: `cargo run -p fuzz --example add_recorded -- DIR`.
//!
//! Each connection becomes a login for `negotiation`, a session for `elements`, both for `framing`. Names become those of the
//! play, secrets and ids what the targets know: `#proof`, `#n`. Stanzas that only repeat a shape are left out.

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use minidom::Element;
use whimbrel::internals::Framing;
use whimbrel_engine::{Input, LinkId};

const NAMES: [(&str, &str); 4] = [
    ("alice@a.test", "romeo@montague.lit"),
    ("bob@b.test", "juliet@capulet.lit"),
    ("a.test", "montague.lit"),
    ("b.test", "capulet.lit"),
];
/// The address of the session that the target's account can go back to.
const RESUMED: &str = "romeo@montague.lit/phone.1";
/// As often as this a shape is kept.
const ALIKE: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let recorded = std::env::args().nth(1).ok_or("which directory?")?;
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(recorded)? {
        let path = entry?.path();
        let (Some(name), Some("in")) = (
            path.file_stem().and_then(|name| name.to_str()),
            path.extension().and_then(|kind| kind.to_str()),
        ) else {
            continue;
        };
        let named = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            NAMES.iter().fold(text, |text, (from, to)| text.replace(from, to))
        };
        let (came, went) = (named(&fs::read(&path)?), named(&fs::read(path.with_extension("out"))?));
        let (login, session) = split(elements(&came)?);
        let name = format!("{name}.xml");
        fs::write(corpus.join("negotiation").join(&name), negotiation(&login, &went))?;
        let session = distinct(session);
        fs::write(corpus.join("elements").join(&name), aliased(&session, &went))?;
        let header = came.get(..came.find("<stream:features").unwrap_or_default()).unwrap_or_default();
        let header = &header[header.find("<stream:stream").unwrap_or_default()..];
        fs::write(corpus.join("framing").join(&name), [header, &text(&login), &text(&session)].concat())?;
    }
    Ok(())
}

/// The elements of all streams of a connection.
fn elements(came: &str) -> Result<Vec<Element>, Box<dyn Error>> {
    let mut inputs = Vec::new();
    for stream in came.split_inclusive("?>").skip(1) {
        let stream = stream.split("<?xml").next().unwrap_or_default();
        Framing::default()
            .feed(LinkId(1), stream.as_bytes(), &mut inputs)
            .map_err(|why| format!("{why:?} in {stream}"))?;
    }
    let element = |input| match input {
        Input::Element { element, .. } => Some(element),
        _ => None,
    };
    Ok(inputs.into_iter().filter_map(element).collect())
}

/// What the negotiation reads, and what comes behind it.
fn split(elements: Vec<Element>) -> (Vec<Element>, Vec<Element>) {
    let last = |element: &Element| {
        matches!(element.name(), "enabled" | "resumed")
            || (element.name() == "success"
                && element.children().any(|child| matches!(child.name(), "resumed" | "bound")))
    };
    let end = elements.iter().position(last).map_or(0, |last| last + 1);
    let mut login = elements;
    let session = login.split_off(end);
    (login, session)
}

/// A login of somebody who knows what this one knew.
fn negotiation(login: &[Element], went: &str) -> String {
    let mut knows = String::new();
    if let Some((_, mechanism)) = went.split_once("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-") {
        knows += &format!(" token='HT-{}'", mechanism.split('\'').next().unwrap_or_default());
    }
    for (sign, attribute) in [("<resume ", " resume=''"), ("xmlns='urn:xmpp:bind:0'", " bind2=''")] {
        if went.contains(sign) {
            knows += attribute;
        }
    }
    let mut login = login.to_vec();
    login.iter_mut().for_each(prove);
    format!("<account xmlns='f'{knows}/>\n{}", text(&login))
}

fn prove(element: &mut Element) {
    let is_proof = matches!(element.name(), "challenge" | "additional-data")
        || (element.name() == "success" && element.children().next().is_none());
    let known = match element.text() {
        text if is_proof && !text.is_empty() => Some("#proof"),
        text if element.name() == "authorization-identifier" && text.contains('/') => Some(RESUMED),
        _ => None,
    };
    if let Some(known) = known {
        *element = Element::bare(element.name(), element.ns());
        element.append_text(known);
    }
    for (name, known) in [("previd", "session-1"), ("token", "secret-token")] {
        for ((_, _), value) in
            element.attrs_mut().iter_mut().filter(|((_, attribute), _)| attribute.as_str() == name)
        {
            known.clone_into(value);
        }
    }
    element.children_mut().for_each(prove);
}

/// A session bound anew, with the questions' numbers for their ids.
fn aliased(session: &[Element], went: &str) -> String {
    let mut out = format!("<login xmlns='f' resume='refuse'/>\n{}", text(session));
    // What Bind 2 has done already this session asks for itself.
    let mut number = 0;
    for iq in went.split("<iq ").skip(1).filter(|iq| iq.contains("type='get'") | iq.contains("type='set'")) {
        let Some(id) =
            iq.split_once("id='").and_then(|(_, id)| id.split('\'').next()).filter(|id| *id != "bind")
        else {
            continue;
        };
        if number == 1 && !iq.contains("urn:xmpp:carbons:2") {
            number += 1;
        }
        out = out.replace(id, &format!("#{number}"));
        number += 1;
    }
    out
}

fn distinct(session: Vec<Element>) -> Vec<Element> {
    let mut shapes: Vec<String> = Vec::new();
    session
        .into_iter()
        .filter(|element| {
            let shape = shape(element);
            shapes.push(shape.clone());
            shapes.iter().filter(|known| **known == shape).count() <= ALIKE
        })
        .collect()
}

fn shape(element: &Element) -> String {
    let attributes: BTreeSet<_> = element.attrs().iter().map(|((_, name), _)| name.as_str()).collect();
    let children: Vec<_> = element.children().map(shape).collect();
    format!("{} {:?}{attributes:?}{children:?}", element.name(), element.ns())
}

fn text(elements: &[Element]) -> String {
    elements.iter().map(|element| String::from(element) + "\n").collect()
}
