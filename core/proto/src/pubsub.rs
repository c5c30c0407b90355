//! Nodes and their items (XEP-0060; a person's own: XEP-0163): what is asked of them, what they answer, what they tell.
//!
//! It reads what is there and believes none of it: whether whoever tells something of a node owns it is decided by the engine.

use std::collections::BTreeMap;

use minidom::Element;

use crate::{form, ns, write::Tag};

/// What happened to a node (XEP-0060 §7, §8), as somebody tells.
#[derive(Debug)]
pub struct Told<'a> {
    /// Its name.
    pub node: &'a str,
    /// What happened.
    pub change: Change<'a>,
}

/// What happened to a node.
#[derive(Debug)]
pub enum Change<'a> {
    /// Items were published, or taken back.
    Items {
        /// New, or in place of those of the same id.
        published: Vec<Item<'a>>,
        /// By their ids.
        retracted: Vec<&'a str>,
    },
    /// It has no items any more: it was purged or deleted.
    Emptied,
}

/// An item of a node.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Unique within the node.
    pub id: &'a str,
    /// What it says, where that is told.
    pub payload: Option<&'a Element>,
}

impl<'a> Told<'a> {
    /// Reads an `<event/>`. Of its items no more than `most`.
    pub fn read(event: &'a Element, most: usize) -> Option<Self> {
        let what = event.children().find(|child| child.has_ns(ns::PUBSUB_EVENT))?;
        let node = what.attr("node")?;
        let change = match what.name() {
            "items" => Change::Items {
                published: items(what).take(most).collect(),
                retracted: what
                    .children()
                    .filter(|child| child.name() == "retract")
                    .filter_map(|child| child.attr("id"))
                    .take(most)
                    .collect(),
            },
            "purge" | "delete" => Change::Emptied,
            _ => return None,
        };
        Some(Self { node, change })
    }
}

/// The items inside of an `<items/>`, in its order.
pub fn items(items: &Element) -> impl Iterator<Item = Item<'_>> {
    items
        .children()
        .filter(|child| child.name() == "item")
        .filter_map(|item| Some(Item { id: item.attr("id")?, payload: item.children().next() }))
}

/// A question about the node's items.
pub fn pubsub(child: Tag) -> Tag {
    Tag::with_ns("pubsub", ns::PUBSUB).child(child)
}

/// A question that is its owner's only.
pub fn owner(child: Tag) -> Tag {
    Tag::with_ns("pubsub", ns::PUBSUB_OWNER).child(child)
}

/// An element about a node.
pub fn about(name: &'static str, node: &str) -> Tag {
    Tag::new(name).attr("node", node)
}

/// `<publish/>` (XEP-0060 §7.1), and what the node must be like for it (§7.1.5), by names without `pubsub#`.
pub fn publish(node: &str, id: Option<&str>, payload: &str, options: &BTreeMap<String, String>) -> Tag {
    let item = Tag::new("item").attr_opt("id", id).xml(payload);
    let conditions = (!options.is_empty())
        .then(|| Tag::new("publish-options").child(form::submit(ns::PUBLISH_OPTIONS, prefixed(options))));
    pubsub(about("publish", node).child(item)).child_opt(conditions)
}

/// `<configure/>` (XEP-0060 §8.2.4).
pub fn configure(node: &str, options: &BTreeMap<String, String>) -> Tag {
    owner(about("configure", node).child(form::submit(ns::NODE_CONFIG, prefixed(options))))
}

/// `<create/>`, with a configuration (XEP-0060 §8.1.3).
pub fn create(node: &str, options: &BTreeMap<String, String>) -> Tag {
    let configuration = (!options.is_empty())
        .then(|| Tag::new("configure").child(form::submit(ns::NODE_CONFIG, prefixed(options))));
    pubsub(about("create", node)).child_opt(configuration)
}

/// `<retract/>` (XEP-0060 §7.2), which whoever follows the node is to be told of.
pub fn retract(node: &str, id: &str) -> Tag {
    pubsub(about("retract", node).attr("notify", "true").child(Tag::new("item").attr("id", id)))
}

/// One item by its id (XEP-0060 §6.5.8).
pub fn item(node: &str, id: &str) -> Tag {
    pubsub(about("items", node).child(Tag::new("item").attr("id", id)))
}

/// The newest items (XEP-0060 §6.5.7).
pub fn newest(node: &str, limit: u32) -> Tag {
    pubsub(about("items", node).attr("max_items", limit.to_string()))
}

/// A page of items (XEP-0060 §6.5.4): the newest, or those behind an item that the last page ended with.
pub fn page(node: &str, limit: u32, after: Option<&str>) -> Tag {
    let set = Tag::with_ns("set", ns::RSM).child(Tag::new("max").text(limit.to_string()));
    let set = set.child_opt(after.map(|after| Tag::new("after").text(after)));
    pubsub(about("items", node)).child(set)
}

/// A node's configuration, by names without `pubsub#`.
pub fn configuration(answer: &Element) -> BTreeMap<String, String> {
    let configure = answer
        .get_child("pubsub", ns::PUBSUB_OWNER)
        .and_then(|pubsub| pubsub.get_child("configure", ns::PUBSUB_OWNER));
    let fields = configure.into_iter().flat_map(form::fields);
    fields.filter_map(|(name, value)| Some((name.strip_prefix("pubsub#")?.to_owned(), value))).collect()
}

fn prefixed(options: &BTreeMap<String, String>) -> impl Iterator<Item = (String, &str)> {
    options.iter().map(|(name, value)| (format!("pubsub#{name}"), value.as_str()))
}
