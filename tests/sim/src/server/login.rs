//! Coming in: RFC 6120, or SASL2 with Bind 2 (XEP-0388, XEP-0386). Resumption either way (XEP-0198).

use minidom::Element;
use whimbrel_proto::ns;

use super::{Conn, Down, Server, SessionId, address, element};

const STREAMS: &str = "http://etherx.jabber.org/streams";

/// How a resumption ended.
pub(super) enum Resumed {
    /// With this answer.
    Yes(SessionId, Element),
    /// With this one.
    No(Element),
}

impl Server {
    pub(super) fn header(&mut self, conn: Conn) {
        let Some(connected) = self.conns.get(&conn) else { return };
        let features = if connected.authenticated {
            self.features_inside()
        } else if self.manners.sasl2 {
            let sm = if self.manners.sm { "<sm xmlns='urn:xmpp:sm:3'/>" } else { "" };
            format!(
                "<features xmlns='{STREAMS}'><authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism><inline>{sm}
                 <bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:carbons:2'/><feature var='urn:xmpp:sm:3'/></inline></bind>
                 </inline></authentication></features>"
            )
        } else {
            format!(
                "<features xmlns='{STREAMS}'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></features>"
            )
        };
        self.out.push((conn, Down::Header));
        self.write(conn, element(&features));
    }

    fn features_inside(&self) -> String {
        let sm = if self.manners.sm { "<sm xmlns='urn:xmpp:sm:3'/>" } else { "" };
        format!(
            "<features xmlns='{STREAMS}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>{sm}<csi xmlns='urn:xmpp:csi:0'/>
             <ver xmlns='urn:xmpp:features:rosterver'/></features>"
        )
    }

    pub(super) fn login(&mut self, conn: Conn, what: &Element) {
        let Some(connected) = self.conns.get(&conn) else { return };
        if !connected.authenticated {
            if what.is("auth", ns::SASL) {
                self.authenticated(conn);
                self.write(conn, element("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"));
            } else if what.is("authenticate", ns::SASL2) {
                self.authenticated(conn);
                self.sasl2(conn, what);
            }
            return;
        }
        if what.is("resume", ns::SM) {
            let answer = match self.resume(conn, what) {
                Resumed::Yes(session, answer) => {
                    self.write(conn, answer);
                    return self.replay(session);
                }
                Resumed::No(answer) => answer,
            };
            self.write(conn, answer);
        } else if what.name() == "iq" && what.has_child("bind", ns::BIND) {
            let id = what.attr("id").unwrap_or_default().to_owned();
            let jid = self.bind(conn);
            self.write(
                conn,
                element(&format!(
                    "<iq type='result' id='{id}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{jid}</jid></bind></iq>"
                )),
            );
        }
    }

    fn authenticated(&mut self, conn: Conn) {
        if let Some(connected) = self.conns.get_mut(&conn) {
            connected.authenticated = true;
        }
    }

    /// Everything inline: a resumption, or else a bind with stream management and carbons.
    fn sasl2(&mut self, conn: Conn, what: &Element) {
        let Some(account) = self.conns.get(&conn).map(|connected| connected.account) else { return };
        let mut inside = String::new();
        let mut jid = address(account);
        let mut replays = None;
        if let Some(resume) = what.get_child("resume", ns::SM) {
            match self.resume(conn, resume) {
                Resumed::Yes(session, answer) => {
                    inside.push_str(&String::from(&answer));
                    jid = self.sessions.get(&session).map_or(jid, |session| session.jid.clone());
                    replays = Some(session);
                }
                Resumed::No(answer) => inside.push_str(&String::from(&answer)),
            }
        }
        let bind = what.get_child("bind", ns::BIND2).filter(|_| replays.is_none());
        if let Some(bind) = bind {
            jid = self.bind(conn);
            let session = self.conns.get(&conn).and_then(|connected| connected.session);
            let mut enabled = String::new();
            if let Some(session) = session {
                if bind.has_child("enable", ns::CARBONS)
                    && let Some(session) = self.sessions.get_mut(&session)
                {
                    session.carbons = true;
                }
                if bind.has_child("enable", ns::SM) && self.manners.sm {
                    enabled = String::from(&self.enable(session));
                }
                // XEP-0386 §5: what was kept offline is thrown away, since the archive has it.
                self.accounts[account].offline.clear();
            }
            inside.push_str(&format!("<bound xmlns='urn:xmpp:bind:0'>{enabled}</bound>"));
        }
        self.write(
            conn,
            element(&format!(
                "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>{jid}</authorization-identifier>{inside}</success>"
            )),
        );
        match replays {
            Some(session) => self.replay(session),
            None => {
                let features = self.features_inside();
                self.write(conn, element(&features));
            }
        }
    }
}
