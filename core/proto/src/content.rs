//! What a message is about and what it carries beside its text: corrections (XEP-0308), retractions (XEP-0424), reactions
//! (XEP-0444), replies (XEP-0461) and the text that stands for them elsewhere (XEP-0428), spoilers (XEP-0382), threads
//! (RFC 6121 §5.2.5), data that lies elsewhere (XEP-0066), references (XEP-0372), what links lead to (XEP-0511).
//!
//! Only grammar, and bounds: whoever wants to be annoying puts ten thousand of anything into a message. Whether an id names
//! a message, and whether its sender may say so, is decided by the engine.

use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::{message::sane, ns, write::Tag};

/// Reactions of one sender to one message.
const MAX_REACTIONS: usize = 32;
/// Of one reaction, in bytes. The longest emoji have some forty.
const MAX_REACTION: usize = 64;
/// Links, references, descriptions of links: of each.
pub const MAX_PARTS: usize = 32;
/// Of a short text, in bytes.
const MAX_TEXT: usize = 2_048;
/// Of a URI, in bytes.
const MAX_URI: usize = 4_096;

/// What a message does to one that was there before. In the order of what is left of that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About<'a> {
    /// XEP-0308: its text is to stand in that one's place.
    Corrects(&'a str),
    /// XEP-0444: all that its sender feels about it by now.
    ReactsTo(&'a str, Vec<String>),
    /// XEP-0424: it was not meant to be.
    Retracts(&'a str),
}

impl<'a> About<'a> {
    /// Reads a child of a message, if it is one of these.
    pub fn read(child: &'a Element) -> Option<Self> {
        match child.name() {
            "replace" if child.has_ns(ns::CORRECT) => sane(child.attr("id")).map(Self::Corrects),
            "retract" if child.has_ns(ns::RETRACT) => sane(child.attr("id")).map(Self::Retracts),
            "reactions" if child.has_ns(ns::REACTIONS) => {
                let texts = child.children().filter(|child| child.is("reaction", ns::REACTIONS));
                let reactions = reactions(texts.take(MAX_REACTIONS * 4).map(Element::text));
                sane(child.attr("id")).map(|id| Self::ReactsTo(id, reactions))
            }
            _ => None,
        }
    }
}

/// A set of reactions, in the order in which they were first named. What is empty or too long for one is left out.
pub fn reactions(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut reactions: Vec<String> = Vec::new();
    for text in texts {
        let text = text.trim();
        if (1..=MAX_REACTION).contains(&text.len())
            && reactions.len() < MAX_REACTIONS
            && !reactions.iter().any(|known| known == text)
        {
            reactions.push(text.to_owned());
        }
    }
    reactions
}

/// What a message carries beside its text. Kept as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// XEP-0461: which message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// XEP-0428: which parts of the text repeat what it answers, in code points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted: Option<(u32, u32)>,
    /// XEP-0382: to be shown only when asked for; the hint may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoiler: Option<String>,
    /// RFC 6121 §5.2.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<Thread>,
    /// XEP-0066.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// XEP-0372, of the type `mention`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// XEP-0511.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub previews: Vec<Preview>,
    /// XEP-0393 §6: asterisks are asterisks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unstyled: bool,
}

/// XEP-0461.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Who wrote what is answered, not normalised.
    pub to: Option<String>,
    /// Its id: the origin-id, or else the id attribute.
    pub id: String,
}

/// RFC 6121 §5.2.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its name.
    pub id: String,
    /// Of which it is a branch (XEP-0201).
    pub parent: Option<String>,
}

/// XEP-0066.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it lies.
    pub url: String,
    /// What it is.
    pub description: Option<String>,
}

/// XEP-0372: somebody is named in the text, from `begin` to before `end`, in code points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// The first code point.
    pub begin: u32,
    /// The first behind it.
    pub end: u32,
    /// Who, as an `xmpp:` URI.
    pub uri: String,
}

/// XEP-0511: what its sender says of a link in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Which link.
    pub url: String,
    /// Its title.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Which site it is of.
    pub site: Option<String>,
    /// Pictures of it.
    pub images: Vec<String>,
}

impl Content {
    /// Whether there is nothing but text.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads a child of a message, if it is one of these.
    pub fn read(&mut self, child: &Element) {
        match child.name() {
            "reply" if child.has_ns(ns::REPLY) => {
                self.reply = sane(child.attr("id"))
                    .map(|id| Reply { to: sane(child.attr("to")).map(str::to_owned), id: id.to_owned() });
            }
            // Of others we do not know what they stand for.
            "fallback" if child.has_ns(ns::FALLBACK) && child.attr("for") == Some(ns::REPLY) => {
                if let Some(body) = child.get_child("body", ns::FALLBACK) {
                    let at = |name| body.attr(name).and_then(|number| number.parse().ok());
                    self.quoted = at("start").zip(at("end")).filter(|(start, end)| start < end);
                }
            }
            "spoiler" if child.has_ns(ns::SPOILER) => self.spoiler = Some(cut(child.text(), MAX_TEXT)),
            "thread" if child.has_ns(ns::JABBER_CLIENT) => {
                let id = child.text();
                let parent = sane(child.attr("parent")).map(str::to_owned);
                self.thread = sane(Some(&id)).map(|id| Thread { id: id.to_owned(), parent });
            }
            "x" if child.has_ns(ns::OOB) && self.links.len() < MAX_PARTS => {
                let url = child.get_child("url", ns::OOB).and_then(uri);
                let description = child.get_child("desc", ns::OOB).map(|desc| cut(desc.text(), MAX_TEXT));
                self.links.extend(url.map(|url| Link { url, description }));
            }
            "reference"
                if child.has_ns(ns::REFERENCE)
                    && child.attr("type") == Some("mention")
                    && self.mentions.len() < MAX_PARTS =>
            {
                let at = |name| child.attr(name).and_then(|number| number.parse().ok());
                let uri = child.attr("uri").filter(|uri| uri.len() <= MAX_URI);
                if let (Some(begin), Some(end), Some(uri)) = (at("begin"), at("end"), uri)
                    && begin < end
                {
                    self.mentions.push(Mention { begin, end, uri: uri.to_owned() });
                }
            }
            "Description" if child.has_ns(ns::RDF) && self.previews.len() < MAX_PARTS => {
                self.previews.extend(preview(child));
            }
            "unstyled" if child.has_ns(ns::STYLING) => self.unstyled = true,
            _ => {}
        }
    }

    /// The text without what only repeats what it answers.
    pub fn without_quote(&self, text: &str) -> String {
        match self.split(text) {
            Some((before, _, behind)) => format!("{before}{behind}"),
            None => text.to_owned(),
        }
    }

    /// What the text repeats of what it answers, without the marks of a quote.
    pub fn quote(&self, text: &str) -> Option<String> {
        let (_, quoted, _) = self.split(text)?;
        let line = |line: &str| {
            let line = line.strip_prefix('>').unwrap_or(line);
            line.strip_prefix(' ').unwrap_or(line).to_owned()
        };
        Some(quoted.trim_end().lines().map(line).collect::<Vec<_>>().join("\n"))
    }

    pub(crate) fn split<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str, &'t str)> {
        // A damaged file may say anything.
        let (start, end) = self.quoted.filter(|(start, end)| start < end)?;
        let byte = |point: u32| {
            let mut points = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            points.nth(point as usize)
        };
        let (start, end) = (byte(start)?, byte(end)?);
        Some((&text[..start], &text[start..end], &text[end..]))
    }

    /// Writes it into a message.
    #[must_use]
    pub fn write(&self, mut message: Tag) -> Tag {
        if let Some(reply) = &self.reply {
            let reply =
                Tag::with_ns("reply", ns::REPLY).attr_opt("to", reply.to.as_ref()).attr("id", &reply.id);
            message = message.child(reply);
        }
        if let Some((start, end)) = self.quoted {
            let body = Tag::new("body").attr("start", start.to_string()).attr("end", end.to_string());
            message =
                message.child(Tag::with_ns("fallback", ns::FALLBACK).attr("for", ns::REPLY).child(body));
        }
        if let Some(hint) = &self.spoiler {
            message = message.child(Tag::with_ns("spoiler", ns::SPOILER).text(hint));
        }
        if let Some(thread) = &self.thread {
            message =
                message.child(Tag::new("thread").attr_opt("parent", thread.parent.as_ref()).text(&thread.id));
        }
        for link in &self.links {
            let description = link.description.as_ref().map(|text| Tag::new("desc").text(text));
            let url = Tag::new("url").text(&link.url);
            message = message.child(Tag::with_ns("x", ns::OOB).child(url).child_opt(description));
        }
        for mention in &self.mentions {
            message = message.child(
                Tag::with_ns("reference", ns::REFERENCE)
                    .attr("type", "mention")
                    .attr("begin", mention.begin.to_string())
                    .attr("end", mention.end.to_string())
                    .attr("uri", &mention.uri),
            );
        }
        for preview in &self.previews {
            let property = |name, value: &str| Tag::with_ns(name, ns::OPEN_GRAPH).text(value);
            // The attribute has a prefix of its own, which a tag of ours can say, too.
            let mut about = Tag::with_ns("Description", ns::RDF)
                .attr("xmlns:rdf", ns::RDF)
                .attr("rdf:about", &preview.url);
            for (name, value) in [
                ("title", &preview.title),
                ("description", &preview.description),
                ("site_name", &preview.site),
            ] {
                about = about.child_opt(value.as_ref().map(|value| property(name, value)));
            }
            for image in &preview.images {
                about = about.child(property("image", image));
            }
            message = message.child(about);
        }
        if self.unstyled { message.child(Tag::with_ns("unstyled", ns::STYLING)) } else { message }
    }
}

fn preview(child: &Element) -> Option<Preview> {
    let about = child.attrs().iter().find(|((_, name), _)| name.as_str() == "about");
    let url = about.map(|(_, url)| url.clone()).filter(|url| url.len() <= MAX_URI)?;
    let mut preview = Preview { url, ..Preview::default() };
    for property in child.children().filter(|property| property.has_ns(ns::OPEN_GRAPH)).take(MAX_PARTS) {
        let text = || Some(cut(property.text(), MAX_TEXT));
        match property.name() {
            "title" => preview.title = text(),
            "description" => preview.description = text(),
            "site_name" => preview.site = text(),
            "image" => preview.images.extend(uri(property)),
            _ => {}
        }
    }
    Some(preview)
}

fn uri(element: &Element) -> Option<String> {
    let text = element.text();
    Some(text.trim()).filter(|uri| (1..=MAX_URI).contains(&uri.len())).map(str::to_owned)
}

fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageView;

    fn parse(children: &str) -> Element {
        format!("<message xmlns='jabber:client'>{children}</message>").parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let content = Content {
            reply: Some(Reply { to: Some("juliet@capulet.lit".into()), id: "j1".into() }),
            quoted: Some((0, 7)),
            spoiler: Some("act <5>".into()),
            thread: Some(Thread { id: "t".into(), parent: Some("p".into()) }),
            links: vec![Link { url: "https://capulet.lit/a?b&c".into(), description: Some("tomb".into()) }],
            mentions: vec![Mention { begin: 1, end: 4, uri: "xmpp:nurse@capulet.lit".into() }],
            previews: vec![Preview {
                url: "https://capulet.lit/".into(),
                title: Some("The Capulets".into()),
                description: None,
                site: Some("Verona".into()),
                images: vec!["https://capulet.lit/a.png".into()],
            }],
            unstyled: true,
        };
        let written = content.write(Tag::new("message").attr("xmlns", ns::JABBER_CLIENT)).finish();
        assert_eq!(MessageView::read(&written.parse().unwrap()).content, content);
        let kept = serde_json::to_string(&content).unwrap();
        assert_eq!(serde_json::from_str::<Content>(&kept).unwrap(), content);
        assert_eq!(serde_json::to_string(&Content::default()).unwrap(), "{}");
    }

    #[test]
    fn quoted_text_is_taken_out_by_code_points() {
        let content = Content { quoted: Some((0, 6)), ..Content::default() };
        let text = "> ä🐦x\nyes";
        assert_eq!(content.without_quote(text), "yes");
        assert_eq!(content.quote(text).as_deref(), Some("ä🐦x"));
        let beyond = Content { quoted: Some((0, 60)), ..Content::default() };
        assert_eq!(beyond.without_quote(text), text, "a range that is nowhere takes nothing away");
        assert_eq!(beyond.quote(text), None);
        let inverted = Content { quoted: Some((6, 0)), ..Content::default() };
        assert_eq!(inverted.without_quote(text), text);
    }

    #[test]
    fn of_two_things_said_the_one_counts_that_leaves_less() {
        let both = parse(
            "<replace xmlns='urn:xmpp:message-correct:0' id='a'/><retract xmlns='urn:xmpp:message-retract:1' id='b'/>
             <reactions xmlns='urn:xmpp:reactions:0' id='c'><reaction>👍</reaction></reactions>",
        );
        assert_eq!(MessageView::read(&both).about, Some(About::Retracts("b")));
    }

    #[test]
    fn reactions_are_a_set_without_what_is_none() {
        let long = "x".repeat(65);
        let texts =
            ["👍", " 👍 ", "", "🎉", &long].map(|text| format!("<reaction>{text}</reaction>")).concat();
        let message = parse(&format!("<reactions xmlns='urn:xmpp:reactions:0' id='c'>{texts}</reactions>"));
        let expected = vec!["👍".to_owned(), "🎉".to_owned()];
        assert_eq!(MessageView::read(&message).about, Some(About::ReactsTo("c", expected)));
    }

    #[test]
    fn nobody_carries_ten_thousand_of_anything() {
        let many = "<x xmlns='jabber:x:oob'><url>u</url></x>
            <reference xmlns='urn:xmpp:reference:0' type='mention' begin='0' end='1' uri='xmpp:a@b'/>
            <Description xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#' about='u'/>"
            .repeat(10_000);
        let message =
            parse(&format!("{many}<spoiler xmlns='urn:xmpp:spoiler:0'>{}</spoiler>", "ä".repeat(9_999)));
        let content = MessageView::read(&message).content;
        assert_eq!((content.links.len(), content.mentions.len(), content.previews.len()), (32, 32, 32));
        assert_eq!(content.spoiler.map(|hint| hint.len()), Some(2_048));
    }

    #[test]
    fn nonsense_is_absent() {
        let message = parse(
            "<reply xmlns='urn:xmpp:reply:0'/><thread/><replace xmlns='urn:xmpp:message-correct:0' id=''/>
             <reference xmlns='urn:xmpp:reference:0' type='mention' begin='9' end='1' uri='xmpp:a@b'/>
             <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='5' end='-1'/></fallback>
             <x xmlns='jabber:x:oob'><desc>nowhere</desc></x>",
        );
        let view = MessageView::read(&message);
        assert_eq!(view.about, None);
        assert!(view.content.is_empty(), "{:?}", view.content);
    }
}
