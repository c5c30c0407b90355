//! What people say of themselves on a card: vCard 4 (XEP-0292, RFC 6350 and 6351), and what came before it (XEP-0054).
//!
//! Both are read into one [`Card`]; of what is too long or too many, what fits. Whoever writes one gives what was there, too: what is
//! not known here is kept.

use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::{address, ns, write::Tag};

/// Longest value, longest note and longest word for a kind, in bytes.
const MAX: usize = 512;
const MAX_NOTE: usize = 4_096;
const MAX_KIND: usize = 32;
/// Values of one sort, and kinds of one value.
const MOST: usize = 16;
const MOST_KINDS: usize = 8;
/// What is written here of a card, and what of one of XEP-0054. All else is kept.
const KNOWN: [&str; 12] =
    ["fn", "n", "nickname", "bday", "org", "title", "role", "email", "tel", "adr", "url", "note"];
const KNOWN_BEFORE: [&str; 13] =
    ["FN", "N", "NICKNAME", "BDAY", "ORG", "TITLE", "ROLE", "EMAIL", "TEL", "ADR", "URL", "NOTE", "DESC"];

/// A card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// The whole name, as it is shown.
    pub full_name: Option<String>,
    /// Its parts.
    pub name: Name,
    /// What they are called besides.
    pub nicknames: Vec<String>,
    /// As it is written: of a date of RFC 6350 §4.3.1, parts may be missing (`--08-06`).
    pub birthday: Option<String>,
    /// Where they belong to.
    pub organisations: Vec<Organisation>,
    /// What they are there.
    pub titles: Vec<String>,
    /// What they do there.
    pub roles: Vec<String>,
    /// E-mail addresses.
    pub emails: Vec<Line>,
    /// Telephone numbers, without `tel:`.
    pub telephones: Vec<Line>,
    /// Postal addresses.
    pub addresses: Vec<PostalAddress>,
    /// Web sites. Nobody has looked what they are.
    pub urls: Vec<Line>,
    /// Whatever else they say.
    pub note: Option<String>,
}

/// The parts of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Name {
    /// Family name.
    pub family: Option<String>,
    /// Given name.
    pub given: Option<String>,
    /// Others between these.
    pub additional: Option<String>,
    /// Before all: `Dr.`
    pub prefix: Option<String>,
    /// Behind all: `Jr.`
    pub suffix: Option<String>,
}

/// An organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Organisation {
    /// Its name.
    pub name: String,
    /// Which part of it, the larger ones first.
    pub units: Vec<String>,
}

/// One of several ways to reach somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// The address, number or URL.
    pub value: String,
    /// What it is: `home`, `work`, `cell`, `fax` and the like (RFC 6350 §5.6), in small letters.
    pub kinds: Vec<String>,
    /// Better than the others.
    pub preferred: bool,
}

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PostalAddress {
    /// As in a [`Line`].
    pub kinds: Vec<String>,
    /// As in a [`Line`].
    pub preferred: bool,
    /// Post office box.
    pub post_box: Option<String>,
    /// Flat, floor, suite.
    pub extended: Option<String>,
    /// Street and number.
    pub street: Option<String>,
    /// Town.
    pub locality: Option<String>,
    /// State, province.
    pub region: Option<String>,
    /// Postal code.
    pub postcode: Option<String>,
    /// Country.
    pub country: Option<String>,
}

impl Card {
    /// Reads a `<vcard/>` of XEP-0292, or a `<vCard/>` of XEP-0054.
    pub fn read(element: &Element) -> Option<Self> {
        if element.is("vcard", ns::VCARD4) {
            Some(read(element, &NOW))
        } else if element.is("vCard", ns::VCARD) {
            Some(read(element, &BEFORE))
        } else {
            None
        }
    }

    /// Writes a `<vcard/>` (XEP-0292). What `before` has and is not known here stays.
    pub fn write(&self, before: Option<&Element>) -> Tag {
        write(self, &NOW, before)
    }

    /// Writes a `<vCard/>` (XEP-0054) likewise.
    pub fn write_before(&self, before: Option<&Element>) -> Tag {
        write(self, &BEFORE, before)
    }

    /// Whether it is written and read again as it is, or what is wrong with it.
    ///
    /// # Errors
    /// Which value is empty, too long, or has what nobody sees; or of what there is too much.
    pub fn check(&self) -> Result<(), &'static str> {
        let element: Element =
            self.write(None).finish().parse().map_err(|_| "a value has what XML cannot say")?;
        match Self::read(&element) {
            Some(card) if card == *self => Ok(()),
            _ => Err("a value is empty, too long, or has invisible characters, or there are too many"),
        }
    }

    /// Whether the two say the same in what every format has.
    pub fn says_the_same(&self, other: &Self) -> bool {
        fn values(lines: &[Line]) -> Vec<&str> {
            lines.iter().map(|line| line.value.as_str()).collect()
        }
        let names = |card: &Self| -> Vec<String> {
            card.organisations.iter().map(|organisation| organisation.name.clone()).collect()
        };
        (&self.full_name, &self.nicknames, &self.birthday, &self.titles, &self.note)
            == (&other.full_name, &other.nicknames, &other.birthday, &other.titles, &other.note)
            && names(self) == names(other)
            && values(&self.emails) == values(&other.emails)
            && values(&self.telephones) == values(&other.telephones)
            && values(&self.urls) == values(&other.urls)
    }
}

/// How a format calls things.
struct Format {
    ns: &'static str,
    root: &'static str,
    known: &'static [&'static str],
    /// Of [`Name`], in its order, and of [`PostalAddress`].
    name: [&'static str; 5],
    address: [&'static str; 7],
    /// Values stand in elements of their own, and kinds in `<parameters/>`.
    is_now: bool,
}

const NOW: Format = Format {
    ns: ns::VCARD4,
    root: "vcard",
    known: &KNOWN,
    name: ["surname", "given", "additional", "prefix", "suffix"],
    address: ["pobox", "ext", "street", "locality", "region", "code", "country"],
    is_now: true,
};

const BEFORE: Format = Format {
    ns: ns::VCARD,
    root: "vCard",
    known: &KNOWN_BEFORE,
    name: ["FAMILY", "GIVEN", "MIDDLE", "PREFIX", "SUFFIX"],
    address: ["POBOX", "EXTADD", "STREET", "LOCALITY", "REGION", "PCODE", "CTRY"],
    is_now: false,
};

impl Format {
    /// What a property is called.
    fn called(&self, name: &'static str) -> &'static str {
        let at = KNOWN.iter().position(|known| *known == name).unwrap_or_default();
        self.known[at]
    }

    /// Properties of this name.
    fn all<'a>(&self, card: &'a Element, name: &'static str) -> impl Iterator<Item = &'a Element> {
        let (name, ns) = (self.called(name), self.ns);
        card.children().filter(move |child| child.is(name, ns))
    }

    /// The value of a property: in an element of this kind, or as it stands; before, in one of its own name.
    fn value(&self, property: &Element, holders: &[&str]) -> String {
        let holder = holders.iter().find_map(|holder| property.get_child(*holder, self.ns));
        match holder {
            Some(holder) => holder.text(),
            None if self.is_now && property.children().next().is_some() => String::new(),
            None => property.text(),
        }
    }

    fn part(&self, property: &Element, name: &str) -> Option<String> {
        let mut parts = property.children().filter(|child| child.is(name, self.ns));
        parts.find_map(|part| clean(&part.text(), MAX))
    }

    /// What kinds a property is of, and whether it is preferred.
    fn kinds(&self, property: &Element) -> (Vec<String>, bool) {
        let words: Vec<String> = if self.is_now {
            let parameters = property.get_child("parameters", self.ns);
            let kinds = parameters.and_then(|parameters| parameters.get_child("type", self.ns));
            let mut words: Vec<String> =
                kinds.into_iter().flat_map(Element::children).map(Element::text).collect();
            words.extend(parameters.filter(|all| all.has_child("pref", self.ns)).map(|_| "pref".to_owned()));
            words
        } else {
            let kinds = property.children().filter(|child| child.text().is_empty());
            kinds.map(|kind| kind.name().to_owned()).collect()
        };
        let mut kinds: Vec<String> = Vec::new();
        let mut preferred = false;
        for word in words {
            let word = word.trim().to_ascii_lowercase();
            let is_word = !word.is_empty() && word.len() <= MAX_KIND && word.bytes().all(is_of_a_word);
            match word.as_str() {
                "pref" => preferred = true,
                // Every address of XEP-0054 is said to be one.
                "internet" => {}
                // The empty parts of an address look like kinds.
                _ if self.address.iter().any(|part| part.eq_ignore_ascii_case(&word)) => {}
                _ if is_word && kinds.len() < MOST_KINDS && !kinds.contains(&word) => kinds.push(word),
                _ => {}
            }
        }
        (kinds, preferred)
    }
}

fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn read(element: &Element, format: &Format) -> Card {
    let names = |name: &'static str| -> Vec<String> {
        let values = format.all(element, name).map(|property| format.value(property, &["text"]));
        values.filter_map(|value| visible(&value)).take(MOST).collect()
    };
    let lines = |name: &'static str, holders: &[&str]| -> Vec<Line> {
        let lines = format.all(element, name).filter_map(|property| {
            let value = clean(&format.value(property, holders), MAX)?;
            let (kinds, preferred) = format.kinds(property);
            Some(Line { value, kinds, preferred })
        });
        lines.take(MOST).collect()
    };
    let name = format.all(element, "n").next();
    let part =
        |at: usize| name.and_then(|name| format.part(name, format.name[at])).and_then(|part| visible(&part));
    let note = format.all(element, "note").next().or_else(|| element.get_child("DESC", ns::VCARD));
    let telephone = |line: Line| Line {
        value: line.value.strip_prefix("tel:").map_or(line.value.clone(), str::to_owned),
        ..line
    };
    Card {
        full_name: names("fn").into_iter().next(),
        name: Name { family: part(0), given: part(1), additional: part(2), prefix: part(3), suffix: part(4) },
        nicknames: names("nickname"),
        birthday: format
            .all(element, "bday")
            .find_map(|property| clean(&format.value(property, &["date", "date-time", "text"]), MAX)),
        organisations: format
            .all(element, "org")
            .filter_map(|property| organisation(property, format))
            .take(MOST)
            .collect(),
        titles: names("title"),
        roles: names("role"),
        emails: lines("email", &["text", "USERID"]),
        telephones: lines("tel", &["uri", "text", "NUMBER"]).into_iter().map(telephone).collect(),
        addresses: format
            .all(element, "adr")
            .filter_map(|property| postal_address(property, format))
            .take(MOST)
            .collect(),
        urls: lines("url", &["uri", "text"]),
        note: note.and_then(|note| clean(&format.value(note, &["text"]), MAX_NOTE)),
    }
}

fn organisation(property: &Element, format: &Format) -> Option<Organisation> {
    let holder = if format.is_now { "text" } else { "ORGNAME" };
    let is_part = |child: &&Element| child.is(holder, format.ns) || child.is("ORGUNIT", format.ns);
    let mut parts = property.children().filter(is_part).filter_map(|part| visible(&part.text()));
    Some(Organisation { name: parts.next()?, units: parts.take(MOST).collect() })
}

fn postal_address(property: &Element, format: &Format) -> Option<PostalAddress> {
    let (kinds, preferred) = format.kinds(property);
    let part = |at: usize| format.part(property, format.address[at]);
    let address = PostalAddress {
        kinds,
        preferred,
        post_box: part(0),
        extended: part(1),
        street: part(2),
        locality: part(3),
        region: part(4),
        postcode: part(5),
        country: part(6),
    };
    let is_empty = parts_of_address(&address).into_iter().all(|part| part.is_none());
    Some(address).filter(|_| !is_empty)
}

fn parts_of_address(address: &PostalAddress) -> [&Option<String>; 7] {
    let PostalAddress { post_box, extended, street, locality, region, postcode, country, .. } = address;
    [post_box, extended, street, locality, region, postcode, country]
}

fn write(card: &Card, format: &Format, before: Option<&Element>) -> Tag {
    let mut root = Tag::with_ns(format.root, format.ns);
    let property = |name: &'static str| Tag::new(format.called(name));
    let holding = |tag: Tag, now: &'static str, before: Option<&'static str>, value: &str| match before {
        _ if format.is_now => tag.child(Tag::new(now).text(value)),
        Some(before) => tag.child(Tag::new(before).text(value)),
        None => tag.text(value),
    };
    let plain = |name, value: &String| holding(property(name), "text", None, value);
    if let Some(name) = &card.full_name {
        root = root.child(plain("fn", name));
    }
    if card.name != Name::default() {
        let Name { family, given, additional, prefix, suffix } = &card.name;
        root = root.child(parts(property("n"), format.name, [family, given, additional, prefix, suffix]));
    }
    for name in &card.nicknames {
        root = root.child(plain("nickname", name));
    }
    if let Some(birthday) = &card.birthday {
        root = root.child(holding(property("bday"), "date", None, birthday));
    }
    for Organisation { name, units } in &card.organisations {
        let tag = holding(property("org"), "text", Some("ORGNAME"), name);
        root = root.child(units.iter().fold(tag, |tag, unit| holding(tag, "text", Some("ORGUNIT"), unit)));
    }
    for (name, values) in [("title", &card.titles), ("role", &card.roles)] {
        root = values.iter().fold(root, |root, value| root.child(plain(name, value)));
    }
    for line in &card.emails {
        root = root.child(holding(
            of_kind(line, format, property("email")),
            "text",
            Some("USERID"),
            &line.value,
        ));
    }
    for line in &card.telephones {
        // A number with spaces is no URI (RFC 3966 §3).
        let is_uri =
            line.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.()*#;=".contains(&byte));
        let tag = of_kind(line, format, property("tel"));
        root = root.child(match is_uri && format.is_now {
            true => tag.child(Tag::new("uri").text(format!("tel:{}", line.value))),
            false => holding(tag, "text", Some("NUMBER"), &line.value),
        });
    }
    for address in &card.addresses {
        let line = Line { value: String::new(), kinds: address.kinds.clone(), preferred: address.preferred };
        let tag = of_kind(&line, format, property("adr"));
        root = root.child(parts(tag, format.address, parts_of_address(address)));
    }
    for line in &card.urls {
        root = root.child(match format.is_now {
            true => of_kind(line, format, property("url")).child(Tag::new("uri").text(&line.value)),
            false => property("url").text(&line.value),
        });
    }
    if let Some(note) = &card.note {
        root = root.child(plain("note", note));
    }
    let kept = before
        .into_iter()
        .flat_map(Element::children)
        .filter(|child| !(child.has_ns(format.ns) && format.known.contains(&child.name())));
    kept.fold(root, |root, child| root.xml(&String::from(child)))
}

fn parts<const N: usize>(tag: Tag, names: [&'static str; N], values: [&Option<String>; N]) -> Tag {
    let parts = names.into_iter().zip(values);
    parts
        .fold(tag, |tag, (name, value)| tag.child_opt(value.as_ref().map(|value| Tag::new(name).text(value))))
}

/// A property, with what it is.
fn of_kind(line: &Line, format: &Format, tag: Tag) -> Tag {
    if line.kinds.is_empty() && !line.preferred {
        return tag;
    }
    if !format.is_now {
        let flags = line.kinds.iter().filter_map(|kind| flag(kind));
        let tag = flags.fold(tag, |tag, kind| tag.child(Tag::new(kind)));
        return tag.child_opt(line.preferred.then(|| Tag::new("PREF")));
    }
    let kinds = line.kinds.iter().fold(Tag::new("type"), |tag, kind| tag.child(Tag::new("text").text(kind)));
    let parameters = Tag::new("parameters").child_opt((!line.kinds.is_empty()).then_some(kinds));
    let first = line.preferred.then(|| Tag::new("pref").child(Tag::new("integer").text("1")));
    tag.child(parameters.child_opt(first))
}

/// A kind that XEP-0054 knows.
fn flag(kind: &str) -> Option<&'static str> {
    let flags = ["HOME", "WORK", "VOICE", "FAX", "PAGER", "MSG", "CELL", "VIDEO", "POSTAL", "PARCEL"];
    flags.into_iter().find(|flag| flag.eq_ignore_ascii_case(kind))
}

/// A value that is worth something, cut where it is too long.
fn clean(text: &str, most: usize) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    let text = text.trim();
    let end = text.floor_char_boundary(most);
    Some(text[..end].trim_end().to_owned()).filter(|text| !text.is_empty())
}

/// A name that stays on its line and hides nothing, if something is left of it.
fn visible(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control() && !address::is_invisible(*c)).collect();
    clean(&text, MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        let line = |value: &str, kinds: &[&str], preferred| Line {
            value: value.into(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            preferred,
        };
        let some = |text: &str| Some(text.to_owned());
        Card {
            full_name: some("Peter Saint-Andre"),
            name: Name { family: some("Saint-Andre"), given: some("Peter"), ..Name::default() },
            nicknames: vec!["stpeter".into(), "psa".into()],
            birthday: some("--08-06"),
            organisations: vec![Organisation { name: "XSF".into(), units: vec!["Council".into()] }],
            titles: vec!["Executive Director".into()],
            roles: vec!["Patron <Saint>".into()],
            emails: vec![line("psa@jabber.org", &["work"], true), line("stpeter@jabber.org", &[], false)],
            telephones: vec![
                line("+1-303-308-3282", &["work", "voice"], false),
                line("303 555", &["cell"], false),
            ],
            addresses: vec![PostalAddress {
                kinds: vec!["home".into()],
                street: some("1899 Wynkoop Street"),
                country: some("USA"),
                ..PostalAddress::default()
            }],
            urls: vec![line("https://stpeter.im/", &[], false)],
            note: some("More of me\nis elsewhere."),
        }
    }

    fn parse(tag: Tag) -> Element {
        tag.finish().parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again_in_both_formats() {
        let card = card();
        assert_eq!(card.check(), Ok(()));
        assert_eq!(Card::read(&parse(card.write(None))), Some(card.clone()));
        assert_eq!(Card::read(&parse(card.write_before(None))), Some(card));
        let nothing = Card::default();
        assert_eq!(Card::read(&parse(nothing.write(None))), Some(nothing.clone()));
        assert_eq!(Card::read(&parse(nothing.write_before(None))), Some(nothing));
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let before: Element = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Old</text></fn><gender><sex>M</sex></gender><x xmlns='urn:x'/></vcard>"
            .parse()
            .unwrap();
        let written = parse(card().write(Some(&before)));
        assert_eq!(Card::read(&written), Some(card()));
        assert!(written.has_child("gender", ns::VCARD4) && written.has_child("x", "urn:x"));
        assert_eq!(written.children().filter(|child| child.name() == "fn").count(), 1);
        let before: Element =
            "<vCard xmlns='vcard-temp'><FN>Old</FN><DESC>old</DESC><PHOTO><BINVAL>AAAA</BINVAL></PHOTO></vCard>"
                .parse()
                .unwrap();
        let written = parse(card().write_before(Some(&before)));
        assert_eq!(Card::read(&written), Some(card()));
        assert_eq!(written.get_child("PHOTO", ns::VCARD).unwrap().children().next().unwrap().text(), "AAAA");
        assert!(!written.has_child("DESC", ns::VCARD));
    }

    #[test]
    fn card_of_others_is_read() {
        let before = "<vCard xmlns='vcard-temp'><FN>Peter</FN><N><FAMILY/><GIVEN>Peter</GIVEN></N>
            <TEL><WORK/><VOICE/><NUMBER>303</NUMBER></TEL><TEL><HOME/><NUMBER/></TEL>
            <ADR><HOME/><EXTADD/><STREET/><CTRY>USA</CTRY></ADR><ADR><HOME/><STREET/></ADR>
            <EMAIL><INTERNET/><PREF/><USERID>p@x</USERID></EMAIL><DESC>\n  more \n</DESC><ORG><ORGNAME/><ORGUNIT>U</ORGUNIT></ORG></vCard>";
        let card = Card::read(&before.parse().unwrap()).unwrap();
        assert_eq!((card.telephones.len(), card.addresses.len()), (1, 1));
        assert_eq!(card.telephones[0].kinds, ["work", "voice"]);
        assert_eq!(card.addresses[0].kinds, ["home"]);
        assert_eq!((card.emails[0].preferred, card.emails[0].kinds.len()), (true, 0));
        assert_eq!((card.note.as_deref(), card.name.family), (Some("more"), None));
    }

    #[test]
    fn what_would_not_be_read_again_is_refused() {
        for wrong in [
            Card { full_name: Some(String::new()), ..Card::default() },
            Card { note: Some("x".repeat(5_000)), ..Card::default() },
            Card { nicknames: vec!["x".into(); 17], ..Card::default() },
            Card { titles: vec!["a\u{202e}b".into()], ..Card::default() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    mod hostile {
        use super::*;

        #[test]
        fn vcard_bomb_is_read_as_far_as_it_fits() {
            let long = "x\u{1f339}".repeat(100_000);
            let many = format!("<email><text>{long}</text></email>").repeat(50)
                + &"<org><text>o</text></org>".repeat(1_000)
                + &"<adr><parameters><type><text>home</text></type></parameters><street>s</street></adr>"
                    .repeat(1_000)
                + &format!("<note><text>{long}</text></note><n>{}</n>", "<given>g</given>".repeat(1_000))
                + &format!(
                    "<tel><parameters><type>{}</type></parameters><uri>tel:1</uri></tel>",
                    (0..1_000).map(|n| format!("<text>k{n}</text>")).collect::<String>()
                );
            let element =
                format!("<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>{many}</vcard>").parse().unwrap();
            let card = Card::read(&element).unwrap();
            assert_eq!((card.emails.len(), card.organisations.len(), card.addresses.len()), (16, 16, 16));
            assert!(card.emails[0].value.len() <= 512 && card.note.as_ref().unwrap().len() <= 4_096);
            assert_eq!(card.telephones[0].kinds.len(), 8);
            assert!(serde_json::to_string(&card).unwrap().len() < 64 << 10);
        }
    }
}
