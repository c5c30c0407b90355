//! Entries of a feed (RFC 4287, as XEP-0277 and XEP-0472 publish them): read as text, and written.
//!
//! Anybody writes them, so all of it is bounded, and nothing of it is markup any more: of HTML and XHTML the text is left.

use minidom::{Element, Node};
use serde::{Deserialize, Serialize};

use crate::{ns, stamp, write::Tag};

/// Longest identifier and address, longest title, and longest text, in bytes. What is longer is cut, or no identifier.
const MAX_ID: usize = 1_024;
const MAX_TITLE: usize = 1_024;
const MAX_TEXT: usize = 64 * 1_024;
/// Links of an entry that are read.
const MAX_LINKS: usize = 16;
/// Elements inside of each other whose text is read.
const MAX_DEPTH: usize = 64;

/// An entry of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How its author calls it wherever it appears; the feed's own id of it is another one.
    pub atom_id: Option<String>,
    /// Its title, or all that there is of it.
    pub title: String,
    /// Its content, or else its summary, as text.
    pub text: Option<String>,
    /// What its author is called.
    pub author: Option<String>,
    /// Where its author is found: `xmpp:`, most often. Whoever publishes writes what they want.
    pub author_uri: Option<String>,
    /// When it was published, as it says itself, ms UTC.
    pub published: Option<i64>,
    /// When it was last changed, as it says itself, ms UTC.
    pub updated: Option<i64>,
    /// What it leads to.
    pub links: Vec<EntryLink>,
}

/// A link of an entry (RFC 4287 §4.2.7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryLink {
    /// What it is to the entry: `alternate`, `enclosure`, `replies`, …
    pub rel: String,
    /// Where it leads.
    pub href: String,
    /// The media type of what is there.
    pub kind: Option<String>,
    /// What it is called, for a person.
    pub title: Option<String>,
}

impl Entry {
    /// Reads an `<entry/>`; one that says nothing is none.
    pub fn read(element: &Element) -> Option<Self> {
        if !element.is("entry", ns::ATOM) {
            return None;
        }
        let mut entry = Self::default();
        let (mut content, mut summary) = (None, None);
        for child in element.children().filter(|child| child.has_ns(ns::ATOM)) {
            match child.name() {
                "id" => entry.atom_id = short(&child.text()),
                "title" => prefer_plain(&mut entry.title, child, MAX_TITLE),
                "content" => prefer_plain(content.get_or_insert_default(), child, MAX_TEXT),
                "summary" => prefer_plain(summary.get_or_insert_default(), child, MAX_TEXT),
                "author" if entry.author.is_none() && entry.author_uri.is_none() => {
                    let text = |name| child.get_child(name, ns::ATOM).map(Element::text);
                    entry.author =
                        text("name").map(|name| cut(name.trim(), MAX_TITLE)).filter(|n| !n.is_empty());
                    entry.author_uri = text("uri").and_then(|uri| short(&uri));
                }
                "published" => entry.published = stamp::parse(&child.text()),
                "updated" => entry.updated = stamp::parse(&child.text()),
                "link" if entry.links.len() < MAX_LINKS => entry.links.extend(link(child)),
                _ => {}
            }
        }
        entry.text =
            content.filter(|text: &String| !text.is_empty()).or(summary).filter(|text| !text.is_empty());
        (!entry.title.is_empty() || entry.text.is_some()).then_some(entry)
    }

    /// The `<entry/>`, with what RFC 4287 §4.1.2 demands: an id, a title, and when it was changed.
    pub fn write(&self, atom_id: &str, now: i64) -> Tag {
        let text = |name, value: &str| Tag::new(name).text(value);
        let person = |name: &str| Tag::new("author").child(text("name", name));
        let author = self.author.as_deref().map(person);
        let author =
            author.map(|author| author.child_opt(self.author_uri.as_deref().map(|uri| text("uri", uri))));
        let published = self.published.unwrap_or(now);
        let entry = Tag::with_ns("entry", ns::ATOM)
            .child(text("id", self.atom_id.as_deref().unwrap_or(atom_id)))
            .child(text("title", &self.title).attr("type", "text"))
            .child_opt(self.text.as_deref().map(|content| text("content", content).attr("type", "text")))
            .child_opt(author)
            .child(text("published", &stamp::format(published)))
            .child(text("updated", &stamp::format(self.updated.unwrap_or(now.max(published)))));
        self.links.iter().fold(entry, |entry, link| {
            let tag = Tag::new("link").attr("rel", &link.rel).attr("href", &link.href);
            entry.child(tag.attr_opt("type", link.kind.as_ref()).attr_opt("title", link.title.as_ref()))
        })
    }
}

/// Of several texts the plain one counts (XEP-0472: XHTML stands beside it).
fn prefer_plain(text: &mut String, element: &Element, limit: usize) {
    let is_plain = matches!(element.attr("type"), None | Some("text"));
    if text.is_empty() || is_plain {
        *text = cut(self::text(element).trim(), limit);
    }
}

/// A text construct as text (RFC 4287 §3.1).
fn text(element: &Element) -> String {
    match element.attr("type") {
        Some("html") => without_tags(&element.text()),
        Some("xhtml") => {
            let mut all = String::new();
            gather(element, &mut all, MAX_DEPTH);
            all
        }
        _ => element.text(),
    }
}

fn gather(element: &Element, all: &mut String, depth: usize) {
    for node in element.nodes() {
        match node {
            Node::Text(text) => all.push_str(text),
            Node::Element(child) if depth > 0 && all.len() <= MAX_TEXT => {
                if matches!(child.name(), "p" | "br" | "li" | "blockquote" | "h1" | "h2" | "h3")
                    && !all.is_empty()
                {
                    all.push('\n');
                }
                gather(child, all, depth - 1);
            }
            Node::Element(_) => {}
        }
    }
}

/// What is left of HTML without its tags. It is shown as text, so nothing has to be right about it.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = rest[at..].split_once('>').map_or("", |(_, behind)| behind);
    }
    text.push_str(rest);
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    entities.into_iter().fold(text, |text, (entity, sign)| text.replace(entity, sign))
}

fn link(element: &Element) -> Option<EntryLink> {
    let text = |name| element.attr(name).filter(|text| text.len() <= MAX_ID).map(str::to_owned);
    Some(EntryLink {
        rel: text("rel").unwrap_or_else(|| "alternate".to_owned()),
        href: short(element.attr("href")?)?,
        kind: text("type"),
        title: text("title"),
    })
}

fn short(text: &str) -> Option<String> {
    let text = text.trim();
    (1..=MAX_ID).contains(&text.len()).then(|| text.to_owned())
}

fn cut(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Option<Entry> {
        Entry::read(&format!("<entry xmlns='http://www.w3.org/2005/Atom'>{content}</entry>").parse().unwrap())
    }

    #[test]
    fn an_entry_is_read_as_text() {
        let entry = read(
            "<title type='text'>Café</title><summary>short</summary>
             <content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><p>One <b>two</b></p><p>three</p></div></content>
             <id>tag:montague.lit,2008:1</id><published>2008-05-08T18:30:02Z</published><updated>yesterday</updated>
             <author><name>Romeo</name><uri>xmpp:romeo@montague.lit</uri></author>
             <link href='http://montague.lit/1'/><link rel='replies' title='comments' href='xmpp:pubsub.montague.lit?;node=c'/>",
        )
        .unwrap();
        assert_eq!((entry.title.as_str(), entry.text.as_deref()), ("Café", Some("One two\nthree")));
        assert_eq!((entry.published, entry.updated), (Some(1_210_271_402_000), None));
        assert_eq!(
            (entry.author.as_deref(), entry.author_uri.as_deref()),
            (Some("Romeo"), Some("xmpp:romeo@montague.lit"))
        );
        let rels: Vec<_> = entry.links.iter().map(|link| link.rel.as_str()).collect();
        assert_eq!(rels, ["alternate", "replies"]);
        // The plain one counts, whichever comes first; a summary where there is no content; tags are gone.
        let html = "<content type='html'>&lt;p&gt;a &amp;amp; b&lt;/p&gt;</content>";
        let plain = "<content>plain</content>";
        for content in [format!("{html}{plain}"), format!("{plain}{html}")] {
            assert_eq!(read(&content).unwrap().text.as_deref(), Some("plain"));
        }
        assert_eq!(read(html).unwrap().text.as_deref(), Some("a & b"));
        assert_eq!(read("<title/><summary>s</summary>").unwrap().text.as_deref(), Some("s"));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let entry = Entry {
            atom_id: Some("urn:uuid:1".into()),
            title: "a < b".into(),
            text: Some("two\nlines".into()),
            author: Some("Romeo".into()),
            author_uri: Some("xmpp:romeo@montague.lit".into()),
            published: Some(1_210_271_402_000),
            updated: Some(1_210_271_403_000),
            links: vec![EntryLink {
                rel: "enclosure".into(),
                href: "https://a.test/'".into(),
                kind: Some("image/png".into()),
                title: None,
            }],
        };
        let element: Element = entry.write("other", 0).finish().parse().unwrap();
        assert_eq!(Entry::read(&element), Some(entry));
    }

    mod hostile {
        use super::*;

        #[test]
        fn text_bomb_in_an_entry() {
            let deep = format!("{}x{}", "<div xmlns='urn:x'>".repeat(120), "</div>".repeat(120));
            let links = "<link href='http://a.test/'/>".repeat(5_000);
            let entry = read(&format!(
                "<title>{0}</title><content type='xhtml'>{deep}</content><content type='html'>{1}</content>{links}<id>{0}</id>
                 <published>99999-01-01T00:00:00Z</published><updated>9999-12-31T23:59:59-23:59</updated>",
                "€".repeat(200_000),
                "&lt;".repeat(100_000),
            ))
            .unwrap();
            assert!(format!("{entry:?}").len() < 200_000);
            assert_eq!((entry.title.len(), entry.links.len(), entry.atom_id), (1_023, MAX_LINKS, None));
            assert_eq!((entry.published, entry.text), (None, None));
            for nothing in ["", "<title/>", "<title> </title><content/>", "<x xmlns='urn:x'/>", "text"] {
                assert_eq!(read(nothing), None, "{nothing}");
            }
            let links = read("<title>t</title><link/><link href=''/><link href='x' rel=''/>").unwrap().links;
            assert_eq!(links.len(), 1);
        }
    }
}
