//! Who wants to hear of which nodes (XEP-0163 §4.3): what a device says by its presence (XEP-0115), and is asked about once for each
//! `ver`. Whoever begins to hear of a node is told what was published there last, and then everything.
//!
//! A contact's server knows of a device what comes to that contact: where only one of two sees the other's presence, nobody is told. As
//! with ejabberd, a device is looked at when its presence comes, and not when somebody lets it see theirs since.

use std::collections::BTreeSet;

use minidom::Element;
use whimbrel_proto::ns;

use super::{Account, DOMAIN, Server, SessionId, address, element, nodes::Item, played};

/// The node of an app.
pub(crate) const STAGE: &str = "urn:whimbrel:sim:stage";
/// Nodes that are told of only to who wants to hear of them.
const TOLD: [&str; 3] = [ns::AVATAR_METADATA, ns::NICK, STAGE];
/// What a question about a `ver` is called: this, and the `ver`.
const QUESTION: &str = "caps-";

/// Whether who may hear of a node is said by their interests.
pub(super) fn decide(node: &str) -> bool {
    TOLD.contains(&node)
}

impl Account {
    /// The picture that it shows: its hash, and its bytes, if they are there.
    pub(crate) fn picture(&self) -> Option<(&str, Option<String>)> {
        let metadata = &self.items(ns::AVATAR_METADATA).last()?.payload;
        let hash = metadata.get_child("info", ns::AVATAR_METADATA)?.attr("id")?;
        let data = self.items(ns::AVATAR_DATA).find(|item| item.id == hash);
        Some((hash, data.map(|item| item.payload.text())))
    }

    /// What it calls itself; empty: nothing.
    pub(crate) fn nickname(&self) -> String {
        self.items(ns::NICK).last().map(|item| item.payload.text()).unwrap_or_default()
    }

    /// What stands in the node of an app under an id.
    pub(crate) fn scene(&self, id: &str) -> Option<String> {
        self.items(STAGE).find(|item| item.id == id).and_then(Item::scene)
    }
}

impl Item {
    pub(super) fn scene(&self) -> Option<String> {
        played(&String::from(&self.payload))
    }
}

impl Server {
    /// Whether an account has ever published this in its app's node.
    pub(crate) fn has_published(&self, account: usize, id: &str, text: &str) -> bool {
        self.accounts[account].scenes.contains(&(id.to_owned(), text.to_owned()))
    }

    /// What was under way when a link was cut may come behind what its device has said in a session anew.
    pub(super) fn may_come_late(&mut self, id: SessionId, pubsub: &Element) {
        let Some(session) = self.sessions.get(&id) else { return };
        let change = pubsub.children().next().filter(|change| change.attr("node") == Some(STAGE));
        let item = change.and_then(|change| change.children().next()?.attr("id"));
        let mut newer = self.sessions.range(id..).skip(1);
        if let Some(item) = item.filter(|_| newer.any(|(_, other)| other.device == session.device)) {
            self.accounts[session.account].overtaken.insert(item.to_owned());
        }
    }

    /// What a device was told of the nodes of apps in its session, by account and id, and when.
    pub(crate) fn has_told_of(
        &self,
        device: usize,
    ) -> impl Iterator<Item = (&(usize, String), &(Option<String>, u64))> {
        let mut sessions = self.sessions.values().filter(move |session| session.device == device);
        sessions.find(|session| session.is_connected()).into_iter().flat_map(|session| &session.told)
    }

    /// Whether a device wants to hear of the nodes of apps, as the server knows it. `None`: it does not.
    pub(crate) fn knows_that_it_follows(&self, device: usize) -> Option<bool> {
        let mut sessions = self.sessions.values().filter(|session| session.device == device);
        let ver = sessions.find(|session| session.is_connected())?.ver.as_ref()?;
        Some(self.interests.get(ver)?.contains(STAGE))
    }

    /// A session has said that it is there: what it wants to hear of it is told, or asked about.
    pub(super) fn looks_at_interests(&mut self, id: SessionId) {
        if !self.manners.pictures && !self.manners.apps {
            return;
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let caps = session.presence.as_ref().and_then(|presence| presence.get_child("c", ns::CAPS));
        let Some(caps) = caps else { return };
        let (node, ver) = (caps.attr("node").unwrap_or_default(), caps.attr("ver").unwrap_or_default());
        let question = format!(
            "<iq type='get' id='{QUESTION}{ver}' from='{DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#info' node='{node}#{ver}'/></iq>"
        );
        session.ver = Some(ver.to_owned());
        if self.interests.contains_key(ver) {
            self.tells_what_is_new(id, None);
        } else {
            self.deliver(id, element(&question));
        }
    }

    /// A device has said what a `ver` means. If it says another one by now, it may have said that of the other one.
    pub(super) fn interests_come(&mut self, id: SessionId, iq: &Element) {
        let Some(ver) = iq.attr("id").and_then(|name| name.strip_prefix(QUESTION)) else { return };
        let Some(query) = iq.get_child("query", ns::DISCO_INFO) else { return };
        if self.sessions.get(&id).is_none_or(|session| session.ver.as_deref() != Some(ver)) {
            return;
        }
        let features = query.children().filter_map(|child| child.attr("var")?.strip_suffix("+notify"));
        self.interests.insert(ver.to_owned(), features.map(str::to_owned).collect());
        let all: Vec<SessionId> = self.sessions.keys().copied().collect();
        let says = |id: &SessionId| self.sessions[id].ver.as_deref() == Some(ver);
        for id in all.into_iter().filter(says).collect::<Vec<_>>() {
            self.tells_what_is_new(id, None);
        }
    }

    /// The presence of an account's devices comes to somebody who has not seen it before.
    pub(super) fn is_seen_by(&mut self, account: usize, by: usize) {
        let sessions = self.sessions.iter().filter(|(_, session)| session.account == account);
        for id in sessions.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tells_what_is_new(id, Some(by));
        }
    }

    /// Whether an account is told what another one publishes: each sees the other, or it is its own.
    pub(crate) fn may_hear(&self, account: usize, of: usize) -> bool {
        account == of || (self.may_see(of, account) && self.may_see(account, of))
    }

    /// Of each node of an account, or of all, that a session begins to hear of it is told what was published last.
    fn tells_what_is_new(&mut self, id: SessionId, only: Option<usize>) {
        let Some(session) = self.sessions.get(&id).filter(|session| session.is_available()) else { return };
        let own = session.account;
        let Some(wanted) = session.ver.as_ref().and_then(|ver| self.interests.get(ver)) else { return };
        let nodes: Vec<&str> = TOLD.into_iter().filter(|node| wanted.contains(*node)).collect();
        let is_meant = |of: usize| only.is_none_or(|only| only == of);
        let heard = (0..self.accounts.len()).filter(|of| is_meant(*of) && self.may_hear(own, *of));
        let mut hears: BTreeSet<(usize, &str)> =
            heard.flat_map(|of| nodes.iter().map(move |node| (of, *node))).collect();
        hears.extend(session.hears.iter().filter(|(of, _)| !is_meant(*of)));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = std::mem::replace(&mut session.hears, hears.clone());
        for (of, node) in hears.difference(&before) {
            if let Some(item) = self.accounts[*of].items(node).last().cloned() {
                self.tells_of(id, *of, node, &item.id, Some(&item));
            }
        }
    }

    /// Who hears of what happens to such a node.
    pub(super) fn who_hears(&self, of: usize, node: &str) -> Vec<SessionId> {
        let hears = |(id, session): (&SessionId, &super::Session)| {
            let is_told = session.hears.iter().any(|(owner, name)| (*owner, *name) == (of, node));
            (is_told && self.may_hear(session.account, of) && session.is_available()).then_some(*id)
        };
        self.sessions.iter().filter_map(hears).collect()
    }

    /// Tells a session of an item; without any, that it was taken back.
    pub(super) fn tells_of(&mut self, to: SessionId, of: usize, node: &str, id: &str, item: Option<&Item>) {
        let now = self.now;
        if let Some(session) = self.sessions.get_mut(&to).filter(|_| node == STAGE) {
            session.told.insert((of, id.to_owned()), (item.and_then(Item::scene), now));
        }
        let told = item.map_or_else(|| format!("<retract id='{id}'/>"), Item::written);
        self.deliver(to, event(of, node, &told));
    }

    /// An account sees another one no more, nor hears of it: it is told anew if it does again.
    pub(super) fn hears_no_more(&mut self, account: usize, of: usize) {
        for session in self.sessions.values_mut().filter(|session| session.account == account) {
            session.hears.retain(|(owner, _)| *owner != of);
        }
    }

    /// A picture's data is offered before the picture is named (XEP-0084 §3.1), also where nobody takes it.
    pub(super) fn looks_at_picture(&mut self, device: usize, account: usize, payload: &Element) {
        let publish = payload.get_child("publish", ns::PUBSUB);
        let Some(item) = publish.and_then(|publish| publish.get_child("item", ns::PUBSUB)) else { return };
        let offered = &mut self.accounts[account].offered;
        match publish.and_then(|publish| publish.attr("node")) {
            Some(ns::AVATAR_DATA) => offered.extend(item.attr("id").map(str::to_owned)),
            Some(ns::AVATAR_METADATA) => {
                let info = item.children().next().and_then(|metadata| metadata.children().next());
                if let Some(hash) =
                    info.and_then(|info| info.attr("id")).filter(|hash| !offered.contains(*hash))
                {
                    self.named_too_early.get_or_insert((device, hash.to_owned()));
                }
            }
            _ => {}
        }
    }
}

/// What is told of a node.
pub(super) fn event(of: usize, node: &str, told: &str) -> Element {
    let from = address(of);
    element(&format!(
        "<message type='headline' from='{from}'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'>{told}</items></event></message>"
    ))
}
