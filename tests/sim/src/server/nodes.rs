//! Nodes of accounts (XEP-0163): what devices tell each other, how far they have read (XEP-0490) and how conversations are set; and what
//! people show of themselves, a card (XEP-0292), a feed (XEP-0277), a picture (XEP-0084) and a name (XEP-0172); and what their apps do.

use minidom::Element;
use whimbrel_proto::{form, ns};

use crate::script::Manners;

use super::{
    Server, SessionId, address,
    interests::{self, STAGE},
};

/// What an account says of itself that has nodes.
pub(super) const OFFERED: &str = "<identity category='pubsub' type='pep'/><feature var='http://jabber.org/protocol/pubsub#publish-options'/>";

/// What stands in a node, by its id: of a conversation whom it is with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(super) node: String,
    pub id: String,
    pub payload: Element,
}

impl super::Account {
    /// How far a conversation was read: the archive's id.
    pub(crate) fn displayed(&self, with: usize) -> Option<&str> {
        let id = address(with);
        let item = self.items(ns::DISPLAYED).find(|item| item.id == id)?;
        item.payload.get_child("stanza-id", ns::SID)?.attr("id")
    }

    /// What stands in one of its nodes, the last that was published last.
    pub(crate) fn items(&self, node: &str) -> impl Iterator<Item = &Item> {
        self.nodes.iter().filter(move |item| item.node == node)
    }
}

/// Nodes that are as they are where nobody says otherwise: contacts may read them, and only the newest item is kept.
const AS_USUAL: [&str; 3] = [ns::AVATAR_DATA, ns::AVATAR_METADATA, ns::NICK];

/// Whether it is about a node that there is.
pub(super) fn is_known(pubsub: &Element, manners: &Manners) -> bool {
    let node = pubsub.children().next().and_then(|child| child.attr("node"));
    manners.nodes
        && match node {
            Some(ns::DISPLAYED) => true,
            Some(ns::SETTINGS) => manners.settings,
            Some(ns::VCARD4_NODE) => manners.cards,
            Some(ns::MICROBLOG) => manners.feeds,
            Some(ns::AVATAR_DATA | ns::AVATAR_METADATA | ns::NICK) => manners.pictures,
            Some(STAGE) => manners.apps,
            _ => false,
        }
}

impl Server {
    /// Something is asked of a node, or put there. The answer's content, or why there is none.
    pub(super) fn node(
        &mut self,
        asker: usize,
        owner: usize,
        pubsub: &Element,
    ) -> Result<String, &'static str> {
        if let Some(items) = pubsub.get_child("items", ns::PUBSUB) {
            let is_for_contacts = items.attr("node").is_some_and(|node| AS_USUAL.contains(&node));
            if is_for_contacts && asker != owner && !self.may_see(owner, asker) {
                return Err("not-authorized");
            }
            return self.items(owner, items, pubsub.get_child("set", ns::RSM));
        }
        if asker != owner {
            return Err("forbidden");
        }
        let change = pubsub.children().next().ok_or("bad-request")?;
        let node = change.attr("node").ok_or("bad-request")?;
        let item = change.children().next().ok_or("bad-request")?;
        // XEP-0060 §7.1.2: who does not name it leaves that to the service.
        let id = item.attr("id").map_or_else(|| self.fresh("item"), str::to_owned);
        let access = pubsub.get_child("publish-options", ns::PUBSUB).and_then(access);
        let account = &mut self.accounts[owner];
        if node == ns::VCARD4_NODE && access.is_some() {
            // XEP-0060 §7.1.5.
            if account.card_access.as_ref().is_some_and(|is| access.as_ref() != Some(is)) {
                return Err("conflict");
            }
            account.card_access = access;
        }
        let items = &mut account.nodes;
        let known = items.len();
        let is_alone = AS_USUAL.contains(&node);
        items.retain(|old| old.node != node || (old.id != id && !is_alone));
        let published = if change.name() == "retract" {
            if items.len() == known {
                return Err("item-not-found");
            }
            None
        } else {
            let payload = item.children().next().ok_or("bad-request")?.clone();
            let item = Item { node: node.to_owned(), id: id.clone(), payload };
            items.push(item.clone());
            account.scenes.extend(item.scene().map(|text| (id.clone(), text)).filter(|_| node == STAGE));
            Some(item)
        };
        if interests::decide(node) {
            for to in self.who_hears(owner, node) {
                self.tells_of(to, owner, node, &id, published.as_ref());
            }
            return Ok("<pubsub xmlns='http://jabber.org/protocol/pubsub'/>".to_owned());
        }
        let told = published.as_ref().map_or_else(|| format!("<retract id='{id}'/>"), Item::written);
        let event = interests::event(owner, node, &told);
        let hears =
            |account: usize| account == owner || (node == ns::MICROBLOG && self.may_see(owner, account));
        let there = |(id, session): (&SessionId, &super::Session)| {
            (session.is_available() && hears(session.account)).then_some(*id)
        };
        let there: Vec<SessionId> = self.sessions.iter().filter_map(there).collect();
        for id in there {
            self.deliver(id, event.clone());
        }
        Ok("<pubsub xmlns='http://jabber.org/protocol/pubsub'/>".to_owned())
    }

    /// A node is to be otherwise. Of cards it matters who may see them.
    pub(super) fn configure(&mut self, account: usize, pubsub: &Element) {
        let configure = pubsub.children().find(|child| child.name() == "configure");
        let Some(configure) = configure.filter(|child| child.attr("node") == Some(ns::VCARD4_NODE)) else {
            return;
        };
        if let Some(access) = access(configure) {
            self.accounts[account].card_access = Some(access);
        }
    }

    /// The newest items; or a page of them: one, so that there is more than one page.
    fn items(&self, account: usize, items: &Element, set: Option<&Element>) -> Result<String, &'static str> {
        let node = items.attr("node").unwrap_or_default();
        let kept: Vec<&Item> = self.accounts[account].items(node).collect();
        let answer = |items: &str, set: &str| {
            format!(
                "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'>{items}</items>{set}</pubsub>"
            )
        };
        if let Some(id) = items.get_child("item", ns::PUBSUB).and_then(|item| item.attr("id")) {
            let item = kept.iter().find(|item| item.id == id).ok_or("item-not-found")?;
            return Ok(answer(&item.written(), ""));
        }
        if let Some(most) = items.attr("max_items").and_then(|most| most.parse::<usize>().ok()) {
            if kept.is_empty() && node == ns::VCARD4_NODE {
                return Err("item-not-found");
            }
            let newest = &kept[kept.len().saturating_sub(most)..];
            return Ok(answer(&newest.iter().map(|item| item.written()).collect::<String>(), ""));
        }
        let after = set.and_then(|set| set.get_child("after", ns::RSM)).map(Element::text);
        let behind = after.and_then(|after| kept.iter().position(|item| item.id == after));
        let index = behind.map_or(0, |at| at + 1);
        let item = kept.get(index).map(|item| item.written()).unwrap_or_default();
        let last = kept.get(index).map(|item| format!("<last>{}</last>", item.id)).unwrap_or_default();
        let set = format!(
            "<set xmlns='http://jabber.org/protocol/rsm'><first index='{index}'/>{last}<count>{}</count></set>",
            kept.len()
        );
        Ok(answer(&item, &set))
    }
}

/// Who may see what is in a node, by a form.
fn access(around: &Element) -> Option<String> {
    form::fields(around).find(|(name, _)| *name == "pubsub#access_model").map(|(_, value)| value)
}

impl Item {
    pub(super) fn written(&self) -> String {
        format!("<item id='{}'>{}</item>", self.id, String::from(&self.payload))
    }
}
