//! What is there, and what it can do (XEP-0030), as somebody answers: identities, features, forms (XEP-0128), items and pages of
//! them (XEP-0059).

use jid::Jid;
use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::{address, form::Form, ns, write::Tag};

/// What an address is and can do (XEP-0030 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// What it is.
    pub identities: Vec<Identity>,
    /// What it can do: namespaces, most often.
    pub features: Vec<String>,
    /// What else it says of itself (XEP-0128).
    pub forms: Vec<Form>,
}

/// What something is (XEP-0030 §3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `server`, `conference`, `client`, …
    pub category: String,
    /// Which of these: `im`, `text`, `phone`, …
    pub kind: String,
    /// What it is called, for a person.
    pub name: Option<String>,
}

/// Something that belongs to an address (XEP-0030 §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Its own address.
    pub jid: Jid,
    /// Which part of that it is.
    pub node: Option<String>,
    /// What it is called, for a person.
    pub name: Option<String>,
}

/// Some of what belongs to an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entities {
    /// They, in the order of whoever answers.
    pub entities: Vec<Entity>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

impl Info {
    /// Reads a `<query/>`.
    pub fn read(query: &Element) -> Self {
        let mut info = Self::default();
        for child in query.children() {
            match child.name() {
                "identity" => {
                    let text = |name| child.attr(name).unwrap_or_default().to_owned();
                    let name = child.attr("name").map(str::to_owned);
                    info.identities.push(Identity { category: text("category"), kind: text("type"), name });
                }
                "feature" => info.features.extend(child.attr("var").map(str::to_owned)),
                "x" => info.forms.extend(Form::read(child)),
                _ => {}
            }
        }
        info
    }

    /// Whether it says that it can do this.
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|known| known == feature)
    }

    /// Whether it is one of these.
    pub fn is(&self, category: &str, kind: &str) -> bool {
        self.identities.iter().any(|identity| identity.category == category && identity.kind == kind)
    }
}

impl Entities {
    /// Reads a `<query/>`. What has no address is nothing.
    pub fn read(query: &Element) -> Self {
        let entity = |item: &Element| {
            let text = |name| item.attr(name).map(str::to_owned);
            Some(Entity { jid: address::parse(item.attr("jid")?)?, node: text("node"), name: text("name") })
        };
        let items: Vec<_> = query.children().filter(|child| child.name() == "item").collect();
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let next = query.get_child("set", ns::RSM).filter(|_| !items.is_empty()).and_then(|set| {
            let first = set.get_child("first", ns::RSM);
            let index = first.and_then(|first| first.attr("index").and_then(number)).unwrap_or(0);
            let count = set.get_child("count", ns::RSM).and_then(|count| number(&count.text()));
            let more = count.is_none_or(|count| index.saturating_add(items.len()) < count);
            set.get_child("last", ns::RSM).filter(|_| more).map(Element::text)
        });
        Self { entities: items.into_iter().filter_map(entity).collect(), next }
    }
}

/// A question what an address, or a node of it, is and can do.
pub fn info(node: Option<&str>) -> Tag {
    Tag::with_ns("query", ns::DISCO_INFO).attr_opt("node", node)
}

/// A question for a page of what belongs to an address, or to a node of it. Who has no pages gives everything.
pub fn items(node: Option<&str>, limit: u32, after: Option<&str>) -> Tag {
    let set = Tag::with_ns("set", ns::RSM).child(Tag::new("max").text(limit.to_string()));
    let set = set.child_opt(after.map(|after| Tag::new("after").text(after)));
    Tag::with_ns("query", ns::DISCO_ITEMS).attr_opt("node", node).child(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_is_and_can_do_is_read() {
        let query: Element = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text' name='Play'/>
            <feature var='http://jabber.org/protocol/muc'/><feature/><x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>f</value></field></x></query>"
            .parse()
            .unwrap();
        let info = Info::read(&query);
        assert!(info.is("conference", "text") && info.has("http://jabber.org/protocol/muc"));
        assert_eq!((info.features.len(), info.identities[0].name.as_deref()), (1, Some("Play")));
        assert_eq!(info.forms[0].form_type(), Some("f"));
    }

    #[test]
    fn a_page_says_where_the_next_one_begins() {
        let read = |set: &str| {
            let query: Element = format!(
                "<query xmlns='http://jabber.org/protocol/disco#items'><item jid='a.test' name='A'/><item jid='b.test' node='n'/><item jid='@'/><item/>{set}</query>"
            )
            .parse()
            .unwrap();
            Entities::read(&query)
        };
        assert_eq!(read("").entities.len(), 2);
        assert_eq!(read("").next, None);
        let set = |index: u32, count: &str| {
            format!(
                "<set xmlns='http://jabber.org/protocol/rsm'><first index='{index}'>a</first><last>z</last>{count}</set>"
            )
        };
        assert_eq!(read(&set(0, "<count>9</count>")).next.as_deref(), Some("z"));
        assert_eq!(read(&set(5, "<count>9</count>")).next, None);
        assert_eq!(read(&set(5, "")).next.as_deref(), Some("z"));
    }
}
