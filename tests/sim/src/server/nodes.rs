//! What an account's devices tell each other by nodes (XEP-0163): how far they have read (XEP-0490), and how conversations are set.

use minidom::Element;
use whimbrel_proto::ns;

use crate::script::Manners;

use super::{Server, SessionId, account_of, address, element};

/// What an account says of itself that has nodes.
pub(super) const OFFERED: &str = "<identity category='pubsub' type='pep'/><feature var='http://jabber.org/protocol/pubsub#publish-options'/>";

/// What a node says of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    node: String,
    /// With whom it is.
    pub with: usize,
    payload: Element,
}

impl super::Account {
    /// How far a conversation was read: the archive's id.
    pub(crate) fn displayed(&self, with: usize) -> Option<&str> {
        let item = self.nodes.iter().find(|item| item.node == ns::DISPLAYED && item.with == with)?;
        item.payload.get_child("stanza-id", ns::SID)?.attr("id")
    }
}

/// Whether it is about a node that there is.
pub(super) fn is_known(pubsub: &Element, manners: &Manners) -> bool {
    let node = pubsub.children().next().and_then(|child| child.attr("node"));
    manners.nodes && (node == Some(ns::DISPLAYED) || (node == Some(ns::SETTINGS) && manners.settings))
}

impl Server {
    /// Something is asked of a node, or put there. The answer's content.
    pub(super) fn node(&mut self, account: usize, pubsub: &Element) -> String {
        if let Some(items) = pubsub.get_child("items", ns::PUBSUB) {
            return self.items(account, items, pubsub.get_child("set", ns::RSM));
        }
        let publish = pubsub.get_child("publish", ns::PUBSUB);
        let item = publish.and_then(|publish| publish.children().next());
        let with = item.and_then(|item| item.attr("id")).and_then(account_of);
        let node = publish.and_then(|publish| publish.attr("node"));
        let payload = item.and_then(|item| item.children().next());
        if let (Some(with), Some(node), Some(payload)) = (with, node, payload) {
            let item = Item { node: node.to_owned(), with, payload: payload.clone() };
            let event = format!(
                "<message type='headline' from='{}'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'>{}</items></event></message>",
                address(account),
                item.written()
            );
            let items = &mut self.accounts[account].nodes;
            items.retain(|old| old.with != with || old.node != node);
            items.push(item);
            let there = |(id, session): (&SessionId, &super::Session)| {
                (session.account == account && session.available).then_some(*id)
            };
            let there: Vec<SessionId> = self.sessions.iter().filter_map(there).collect();
            for id in there {
                self.deliver(id, element(&event));
            }
        }
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>".to_owned()
    }

    /// A page of the items: one, so that there is more than one page.
    fn items(&self, account: usize, items: &Element, set: Option<&Element>) -> String {
        let after = set.and_then(|set| set.get_child("after", ns::RSM)).map(Element::text);
        let node = items.attr("node").unwrap_or_default();
        let kept: Vec<&Item> = self.accounts[account].nodes.iter().filter(|item| item.node == node).collect();
        let behind = after.and_then(|after| kept.iter().position(|item| address(item.with) == after));
        let index = behind.map_or(0, |at| at + 1);
        let item = kept.get(index).map(|item| item.written()).unwrap_or_default();
        let last =
            kept.get(index).map(|item| format!("<last>{}</last>", address(item.with))).unwrap_or_default();
        format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'>{item}</items><set xmlns='http://jabber.org/protocol/rsm'><first index='{index}'/>{last}<count>{}</count></set></pubsub>",
            kept.len()
        )
    }
}

impl Item {
    fn written(&self) -> String {
        format!("<item id='{}'>{}</item>", address(self.with), String::from(&self.payload))
    }
}
