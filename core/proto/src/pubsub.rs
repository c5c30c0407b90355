//! Nodes, their items and who has subscribed to them (XEP-0060; a person's own: XEP-0163): what is asked of them, what they answer,
//! what they tell.
//!
//! It reads what is there and believes none of it: whether whoever tells something of a node owns it is decided by the engine.

use std::collections::BTreeMap;

use jid::Jid;
use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::{
    address,
    form::{self, Form},
    ns,
    write::Tag,
};

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
    /// Somebody's subscription to it is another (XEP-0060 §12.11).
    Subscription(NodeSubscription),
}

/// Somebody's subscription to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeSubscription {
    /// The node's name.
    pub node: String,
    /// Whose: an account, or one of its devices.
    pub jid: Jid,
    /// How far it is.
    pub state: SubscriptionState,
}

/// How far a subscription to a node is (XEP-0060 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// There is none.
    None,
    /// The node's owner has to approve it first.
    Pending,
    /// Its options have to be set first (XEP-0060 §6.3).
    Unconfigured,
    /// What happens to the node is told.
    Subscribed,
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
            "subscription" => Change::Subscription(subscription(what, None)?),
            _ => return None,
        };
        Some(Self { node, change })
    }
}

impl SubscriptionState {
    /// Its name in XML.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Unconfigured => "unconfigured",
            Self::Subscribed => "subscribed",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::None, Self::Pending, Self::Unconfigured, Self::Subscribed]
            .into_iter()
            .find(|state| state.name() == name)
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

/// What is asked about all nodes of a service, or one: our subscriptions (XEP-0060 §5.6) or affiliations (§5.7).
pub fn ours(name: &'static str, node: Option<&str>) -> Tag {
    pubsub(Tag::new(name).attr_opt("node", node))
}

/// `<options/>` of the subscription that this address has (XEP-0060 §6.3): asked for, or filled in.
pub fn subscription_options(node: &str, jid: &str, form: Option<Tag>) -> Tag {
    pubsub(about("options", node).attr("jid", jid).child_opt(form))
}

/// `<subscriptions/>` in which one is as its owner wants it (XEP-0060 §8.8.2).
pub fn subscriber(node: &str, jid: &Jid, state: SubscriptionState) -> Tag {
    let one = Tag::new("subscription").attr("jid", jid.as_str()).attr("subscription", state.name());
    owner(about("subscriptions", node).child(one))
}

/// What has become of a wish to subscribe (XEP-0060 §6.1.2).
pub fn subscribed(answer: &Element) -> Option<SubscriptionState> {
    let one = answer.get_child("pubsub", ns::PUBSUB)?.get_child("subscription", ns::PUBSUB)?;
    // The schema lets the state be left out.
    one.attr("subscription").map_or(Some(SubscriptionState::Subscribed), SubscriptionState::of)
}

/// Subscriptions: ours (XEP-0060 §5.6), or in the owner's namespace all of a node (§8.8.1). One that cannot be read is left out, and one
/// that does not say of which node it is, is of the one that was asked about: ejabberd says that nowhere.
pub fn subscriptions(answer: &Element, namespace: &str, node: Option<&str>) -> Option<Vec<NodeSubscription>> {
    let all = answer.get_child("pubsub", namespace)?.get_child("subscriptions", namespace)?;
    let node = node.or(all.attr("node"));
    let each = all.children().filter(|child| child.name() == "subscription");
    Some(each.filter_map(|one| subscription(one, node)).collect())
}

/// The form of a subscription's options (XEP-0060 §6.3.3).
pub fn subscription_form(answer: &Element) -> Option<Form> {
    let options = answer.get_child("pubsub", ns::PUBSUB)?.get_child("options", ns::PUBSUB)?;
    options.children().find_map(Form::read)
}

fn subscription(one: &Element, node: Option<&str>) -> Option<NodeSubscription> {
    let node = one.attr("node").filter(|node| !node.is_empty()).or(node)?.to_owned();
    let state = SubscriptionState::of(one.attr("subscription")?)?;
    Some(NodeSubscription { node, jid: address::parse(one.attr("jid")?)?, state })
}

fn prefixed(options: &BTreeMap<String, String>) -> impl Iterator<Item = (String, &str)> {
    options.iter().map(|(name, value)| (format!("pubsub#{name}"), value.as_str()))
}
