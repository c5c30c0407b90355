//! Questions to the server and to the account (RFC 6120 §8.2.3).

use minidom::Element;
use whimbrel_proto::ns;

use super::{Server, SessionId, address, element, nodes};

impl Server {
    pub(super) fn question(&mut self, id: SessionId, iq: &Element) {
        if !matches!(iq.attr("type"), Some("get" | "set")) {
            return;
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let account = session.account;
        if self.now < self.accounts[account].mute_until {
            session.unsure = true;
            return;
        }
        let name = iq.attr("id").unwrap_or_default();
        let from = iq.attr("to").map(|to| format!(" from='{to}'")).unwrap_or_default();
        let Some(payload) = iq.children().next() else { return };
        let content = match (payload.name(), payload.ns().as_str()) {
            ("query", ns::DISCO_INFO) => {
                let nodes = if self.manners.nodes { nodes::OFFERED } else { "" };
                format!(
                    "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/>{nodes}</query>"
                )
            }
            ("query", ns::ROSTER) if iq.attr("type") == Some("get") => {
                let items: String = (0..self.accounts.len())
                    .filter(|other| *other != account && !self.manners.strangers)
                    .map(|other| format!("<item jid='{}' subscription='both'/>", address(other)))
                    .collect();
                if payload.attr("ver") == Some("1") {
                    String::new()
                } else {
                    format!("<query xmlns='jabber:iq:roster' ver='1'>{items}</query>")
                }
            }
            ("pubsub", ns::PUBSUB) if nodes::is_known(payload, &self.manners) => {
                let payload = payload.clone();
                self.node(account, &payload)
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
            _ => {
                let error = format!(
                    "<iq type='error' id='{name}'{from}><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
                );
                return self.deliver(id, element(&error));
            }
        };
        self.deliver(id, element(&format!("<iq type='result' id='{name}'{from}>{content}</iq>")));
    }
}
