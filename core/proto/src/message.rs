//! Reading a `<message/>` (RFC 6121 §5) in one pass, without copying.
//!
//! Catching up reads tens of thousands of these, so nothing is rebuilt: a [`MessageView`] borrows from the element.
//! It reads what is there and believes none of it: whether a carbon came from our own account, or a `stanza-id` from
//! the archive it names, is decided by the engine, which knows who is who.

use minidom::Element;

use crate::{
    content::{About, Content},
    ns,
};

/// Longest id that is read, in bytes.
const MAX_ID: usize = 1_024;

/// What a message says, borrowed from its element.
#[derive(Debug, Default)]
pub struct MessageView<'a> {
    /// All of it, for what is not read here.
    pub element: Option<&'a Element>,
    /// `from`, not normalised.
    pub from: Option<&'a str>,
    /// `to`, not normalised.
    pub to: Option<&'a str>,
    /// `id`.
    pub id: Option<&'a str>,
    /// `type`; absent means `normal`.
    pub kind: Kind,
    /// The text. Where there are several, the one without a language, or else the first.
    pub body: Option<String>,
    /// What it does to a message that was there before.
    pub about: Option<About<'a>>,
    /// What it carries beside its text.
    pub content: Content,
    /// XEP-0359: the sender's own id.
    pub origin_id: Option<&'a str>,
    /// XEP-0359: `(by, id)`.
    pub stanza_ids: Vec<(&'a str, &'a str)>,
    /// XEP-0184: the sender wants a receipt.
    pub wants_receipt: bool,
    /// XEP-0184: a receipt for this id.
    pub received: Option<&'a str>,
    /// XEP-0333: the sender wants a marker.
    pub markable: bool,
    /// XEP-0333: seen up to this id.
    pub displayed: Option<&'a str>,
    /// XEP-0085, by element name.
    pub chat_state: Option<&'a str>,
    /// XEP-0203: `(from, stamp)`.
    pub delay: Option<(Option<&'a str>, &'a str)>,
    /// XEP-0280: a copy of what another of our devices sent or received.
    pub carbon: Option<Carbon<'a>>,
    /// XEP-0313: a result from an archive.
    pub result: Option<Archived<'a>>,
    /// XEP-0060: what happened to a node. Such a message is none to anybody.
    pub event: Option<&'a Element>,
    /// RFC 6120 §8.3: the defined condition, if this is an error.
    pub error: Option<&'a str>,
}

/// RFC 6121 §5.2.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// One-to-one, in a conversation.
    Chat,
    /// One-to-one, outside of one; also what an unknown type means.
    #[default]
    Normal,
    /// From a room.
    Groupchat,
    /// An alert.
    Headline,
    /// Something we sent came back.
    Error,
}

/// XEP-0280.
#[derive(Clone, Copy, Debug)]
pub struct Carbon<'a> {
    /// Another of our devices sent it; otherwise it received it.
    pub sent: bool,
    /// The message inside of the first `<forwarded/>`.
    pub message: &'a Element,
    /// When the server saw it (XEP-0203).
    pub stamp: Option<&'a str>,
}

/// XEP-0313 §4.2.
#[derive(Clone, Copy, Debug)]
pub struct Archived<'a> {
    /// Names the query it answers.
    pub query: Option<&'a str>,
    /// The id in the archive.
    pub id: &'a str,
    /// When the archive got it.
    pub stamp: Option<&'a str>,
    /// The message, if there is one.
    pub message: Option<&'a Element>,
}

impl<'a> MessageView<'a> {
    /// Reads an element that is a `<message/>`. Never fails: what cannot be read is absent.
    pub fn read(element: &'a Element) -> Self {
        let mut view = Self { element: Some(element), ..Self::default() };
        // Once through them all: to look each up by its name takes a comparison of namespaces each time.
        for ((namespace, name), value) in element.attrs() {
            match name.as_str() {
                _ if !namespace.is_none() => {}
                "from" => view.from = Some(value),
                "to" => view.to = Some(value),
                "id" => view.id = sane(Some(value)),
                "type" => {
                    view.kind = match value.as_str() {
                        "chat" => Kind::Chat,
                        "groupchat" => Kind::Groupchat,
                        "headline" => Kind::Headline,
                        "error" => Kind::Error,
                        _ => Kind::Normal,
                    }
                }
                _ => {}
            }
        }
        let mut body_has_language = true;
        for child in element.children() {
            match child.name() {
                "body" if child.has_ns(ns::JABBER_CLIENT) => {
                    let has_language = child.attrs().iter().any(|((_, name), _)| name.as_str() == "lang");
                    if view.body.is_none() || (body_has_language && !has_language) {
                        view.body = Some(child.text());
                        body_has_language = has_language;
                    }
                }
                "origin-id" if child.has_ns(ns::SID) => view.origin_id = sane(child.attr("id")),
                "stanza-id" if child.has_ns(ns::SID) => {
                    if let (Some(by), Some(id)) = (child.attr("by"), sane(child.attr("id"))) {
                        view.stanza_ids.push((by, id));
                    }
                }
                "request" if child.has_ns(ns::RECEIPTS) => view.wants_receipt = true,
                "received" if child.has_ns(ns::RECEIPTS) => view.received = sane(child.attr("id")),
                "markable" if child.has_ns(ns::CHAT_MARKERS) => view.markable = true,
                "displayed" if child.has_ns(ns::CHAT_MARKERS) => view.displayed = sane(child.attr("id")),
                "received" | "sent" if child.has_ns(ns::CARBONS) => {
                    // Only the first layer is read: a carbon inside of a carbon is nobody's.
                    view.carbon = forwarded(child).and_then(|(message, stamp)| {
                        Some(Carbon { sent: child.name() == "sent", message: message?, stamp })
                    });
                }
                "result" if child.has_ns(ns::MAM) => {
                    if let Some(id) = sane(child.attr("id")) {
                        let (message, stamp) = forwarded(child).unwrap_or_default();
                        view.result = Some(Archived { query: child.attr("queryid"), id, stamp, message });
                    }
                }
                "event" if child.has_ns(ns::PUBSUB_EVENT) => view.event = Some(child),
                "delay" if child.has_ns(ns::DELAY) => {
                    if let Some(stamp) = child.attr("stamp") {
                        view.delay = Some((child.attr("from"), stamp));
                    }
                }
                "error" if child.has_ns(ns::JABBER_CLIENT) => {
                    view.error = child
                        .children()
                        .find(|c| c.has_ns(ns::STANZA_ERRORS) && c.name() != "text")
                        .map(Element::name);
                }
                name if child.has_ns(ns::CHAT_STATES) => view.chat_state = Some(name),
                _ => {
                    if let Some(about) = About::read(child) {
                        // Whoever says two things means the one that leaves less.
                        view.about = view.about.max(Some(about));
                    } else {
                        view.content.read(child);
                    }
                }
            }
        }
        view
    }
}

/// An id that is one. A longer one is nobody's who means well: it would be kept twice, and echoed in receipts.
pub(crate) fn sane(id: Option<&str>) -> Option<&str> {
    id.filter(|id| !id.is_empty() && id.len() <= MAX_ID)
}

fn forwarded(parent: &Element) -> Option<(Option<&Element>, Option<&str>)> {
    let forwarded = parent.get_child("forwarded", ns::FORWARD)?;
    let message = forwarded.get_child("message", ns::JABBER_CLIENT);
    let stamp = forwarded.get_child("delay", ns::DELAY).and_then(|delay| delay.attr("stamp"));
    Some((message, stamp))
}
