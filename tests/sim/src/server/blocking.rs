//! Whom an account does not want to hear of (XEP-0191): held back, and told to all devices that have asked.

use minidom::Element;
use whimbrel_proto::ns;

use super::{Server, SessionId, account_of, address, amends, element, play, set, text};

impl Server {
    /// Whether one of two accounts does not want to hear of the other.
    pub(super) fn blocks(&self, account: usize, other: usize) -> bool {
        self.accounts[account].blocked.contains(&other)
    }

    /// The list, asked for in this session.
    pub(super) fn blocklist(&mut self, id: SessionId) -> String {
        let Some(session) = self.sessions.get_mut(&id) else { return String::new() };
        session.hears_of_blocks = true;
        let blocked = &self.accounts[session.account].blocked;
        let items: String =
            blocked.iter().map(|other| format!("<item jid='{}'/>", address(*other))).collect();
        format!("<blocklist xmlns='urn:xmpp:blocking'>{items}</blocklist>")
    }

    /// Somebody is put on the list, or taken off it. Who is, believes that nobody is there (XEP-0191 §3.3).
    pub(super) fn change_blocklist(&mut self, account: usize, change: &Element) {
        let named = change.children().filter_map(|item| account_of(item.attr("jid")?));
        let others: Vec<usize> = named.filter(|other| *other < self.accounts.len()).collect();
        for other in others {
            let (blocks, blocked) = (change.name() == "block", &mut self.accounts[account].blocked);
            let changed = if blocks { blocked.insert(other) } else { blocked.remove(&other) };
            if changed && !self.blocks(other, account) && self.accounts[account].shows_to(other) {
                self.shows(account, other, !blocks);
            }
        }
        self.pushes_to(account, change, |session| session.hears_of_blocks);
    }

    /// The devices of an account seem to come or go.
    pub(super) fn shows(&mut self, account: usize, to: usize, there: bool) {
        let of = |account: usize| -> Vec<(SessionId, String, Element)> {
            let sessions = self.sessions.iter().filter(|(_, session)| session.account == account);
            sessions
                .filter_map(|(id, session)| Some((*id, session.jid.clone(), session.presence.clone()?)))
                .collect()
        };
        let (these, those) = (of(account), of(to));
        for (_, from, said) in &these {
            for (id, to, _) in &those {
                let mut presence = match there {
                    true => said.clone(),
                    false => element(&format!("<presence from='{from}' type='unavailable'/>")),
                };
                set(&mut presence, "to", to);
                self.deliver(*id, presence);
            }
        }
        if there {
            self.is_seen_by(account, to);
        }
    }

    /// Sends a message back to who has sent it.
    pub(super) fn bounce(&mut self, id: SessionId, message: &Element, condition: &str) {
        self.bounced.extend(text(message).into_iter().chain(play(message)));
        if amends(message) {
            let of = ["replace", "retract", "reactions"];
            let what = message.children().find(|child| of.contains(&child.name()));
            let own = self.sessions.get(&id).map(|session| session.account);
            self.contested.extend(own.zip(what.and_then(|what| what.attr("id")).map(str::to_owned)));
        }
        if matches!(message.attr("type"), Some("error" | "headline")) {
            return;
        }
        let mut error = element(&format!(
            "<message type='error'><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
        for (name, from) in [("id", "id"), ("from", "to")] {
            set(&mut error, name, message.attr(from).unwrap_or_default());
        }
        self.deliver(id, error);
    }
}

/// Whether it is a change of a list.
pub(super) fn is_change(payload: &Element) -> bool {
    payload.has_ns(ns::BLOCKING) && matches!(payload.name(), "block" | "unblock")
}
