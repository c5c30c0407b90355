//! Questions to the server and to the account (RFC 6120 §8.2.3).

use minidom::Element;
use whimbrel_proto::ns;

use super::{Server, SessionId, account_of, blocking, element, nodes};

impl Server {
    pub(super) fn question(&mut self, id: SessionId, iq: &Element) {
        if !matches!(iq.attr("type"), Some("get" | "set")) {
            return self.interests_come(id, iq);
        }
        let Some(session) = self.sessions.get(&id) else { return };
        let (device, account) = (session.device, session.account);
        if let Some(payload) = iq.get_child("pubsub", ns::PUBSUB) {
            self.looks_at_picture(device, account, payload);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if self.now < self.accounts[account].mute_until {
            session.unsure = true;
            return;
        }
        let name = iq.attr("id").unwrap_or_default();
        let from = iq.attr("to").map(|to| format!(" from='{to}'")).unwrap_or_default();
        let Some(payload) = iq.children().next() else { return };
        let refuse = |server: &mut Self, condition: &str| {
            let error = format!(
                "<iq type='error' id='{name}'{from}><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            );
            server.deliver(id, element(&error));
        };
        let content = match (payload.name(), payload.ns().as_str()) {
            ("query", ns::DISCO_INFO) => {
                let nodes = if self.manners.nodes { nodes::OFFERED } else { "" };
                format!(
                    "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/>{nodes}</query>"
                )
            }
            ("query", ns::ROSTER) if iq.attr("type") == Some("get") => {
                session.hears_of_contacts = true;
                self.roster(account, payload.attr("ver"))
            }
            ("query", ns::ROSTER) => {
                self.deliver(id, element(&format!("<iq type='result' id='{name}'{from}/>")));
                return self.change_contact(account, payload);
            }
            ("pubsub", ns::PUBSUB) if nodes::is_known(payload, &self.manners) => {
                let owner = iq.attr("to").and_then(account_of).unwrap_or(account);
                self.may_come_late(id, payload);
                match self.node(account, owner, payload) {
                    Ok(content) => content,
                    Err(condition) => return refuse(self, condition),
                }
            }
            ("pubsub", ns::PUBSUB_OWNER) if nodes::is_known(payload, &self.manners) => {
                self.configure(account, payload);
                String::new()
            }
            ("blocklist", ns::BLOCKING) if self.manners.blocking => self.blocklist(id),
            ("vCard", ns::VCARD) if self.manners.cards => {
                let owner = iq.attr("to").and_then(account_of).unwrap_or(account);
                let card = &mut self.accounts[owner].card_before;
                if iq.attr("type") == Some("set") && owner == account {
                    *card = Some(payload.clone());
                    String::new()
                } else {
                    match card {
                        Some(card) => String::from(&*card),
                        None => return refuse(self, "item-not-found"),
                    }
                }
            }
            _ if blocking::is_change(payload) && self.manners.blocking => {
                self.deliver(id, element(&format!("<iq type='result' id='{name}'{from}/>")));
                return self.change_blocklist(account, payload);
            }
            ("prefs", ns::MAM) => "<prefs xmlns='urn:xmpp:mam:2' default='always'/>".to_owned(),
            ("query", ns::MAM) => {
                let payload = payload.clone();
                return self.page(id, name, &payload);
            }
            ("enable", ns::CARBONS) => {
                session.carbons = true;
                String::new()
            }
            ("ping", ns::PING) => String::new(),
            _ => return refuse(self, "service-unavailable"),
        };
        self.deliver(id, element(&format!("<iq type='result' id='{name}'{from}>{content}</iq>")));
    }
}
