//! What an account's devices tell each other by a node (XEP-0163): how far they have read (XEP-0490).

use minidom::Element;
use whimbrel_proto::ns;

use super::{Server, SessionId, account_of, address, element};

/// What an account says of itself that has nodes.
pub(super) const OFFERED: &str = "<identity category='pubsub' type='pep'/><feature var='http://jabber.org/protocol/pubsub#publish-options'/>";

/// How far a conversation was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Displayed {
    /// With whom it is.
    pub with: usize,
    /// The archive's id.
    pub id: String,
}

/// Whether it is about the one node that there is.
pub(super) fn is_known(pubsub: &Element) -> bool {
    pubsub.children().next().is_some_and(|child| child.attr("node") == Some(ns::DISPLAYED))
}

impl Server {
    /// Something is asked of the node, or put there. The answer's content.
    pub(super) fn node(&mut self, account: usize, pubsub: &Element) -> String {
        if let Some(items) = pubsub.get_child("items", ns::PUBSUB) {
            return self.items(account, items, pubsub.get_child("set", ns::RSM));
        }
        let item = pubsub.get_child("publish", ns::PUBSUB).and_then(|publish| publish.children().next());
        let with = item.and_then(|item| item.attr("id")).and_then(account_of);
        let stanza_id = item
            .and_then(|item| item.get_child("displayed", ns::DISPLAYED))
            .and_then(|displayed| displayed.get_child("stanza-id", ns::SID));
        if let (Some(with), Some(id)) = (with, stanza_id.and_then(|stanza_id| stanza_id.attr("id"))) {
            let displayed = Displayed { with, id: id.to_owned() };
            let event = format!(
                "<message type='headline' from='{}'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{}'>{}</items></event></message>",
                address(account),
                ns::DISPLAYED,
                displayed.item(account)
            );
            let items = &mut self.accounts[account].displayed;
            items.retain(|item| item.with != with);
            items.push(displayed);
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
        let kept = &self.accounts[account].displayed;
        let behind = after.and_then(|after| kept.iter().position(|item| address(item.with) == after));
        let index = behind.map_or(0, |at| at + 1);
        let item = kept.get(index).map(|item| item.item(account)).unwrap_or_default();
        let last =
            kept.get(index).map(|item| format!("<last>{}</last>", address(item.with))).unwrap_or_default();
        let node = items.attr("node").unwrap_or_default();
        format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'>{item}</items><set xmlns='http://jabber.org/protocol/rsm'><first index='{index}'/>{last}<count>{}</count></set></pubsub>",
            kept.len()
        )
    }
}

impl Displayed {
    fn item(&self, account: usize) -> String {
        format!(
            "<item id='{}'><displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='{}' id='{}'/></displayed></item>",
            address(self.with),
            address(account),
            self.id
        )
    }
}
