//! Sessions: counting, queues, hibernation, resumption (XEP-0198), and where a message goes (RFC 6121 §8.5, XEP-0280).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use minidom::Element;
use rand::seq::SliceRandom;
use whimbrel_proto::{ns, sm, stamp};

use super::{
    Acknowledged, Conn, Entry, Lies, Server, account_of, address, body, element, login::Resumed, set, tag,
    text,
};
use crate::script::Overflow;

/// Stanzas that even the meanest server keeps for a client that is there (STREAM 10).
const CONNECTED: usize = 100;

/// Whoever sends a text that ends like this is thrown out.
pub(crate) const HATED: char = '!';

/// Names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(u64);

/// A session of a device, connected or hibernating.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) device: usize,
    pub(super) account: usize,
    pub(super) jid: String,
    pub(super) conn: Option<Conn>,
    /// What it has said last of how it is there; `None`: nothing yet.
    pub(super) presence: Option<Element>,
    /// By which name it has said what it wants to hear of; of whose nodes it is told, and what it was told of those of apps, and when.
    pub(super) ver: Option<String>,
    pub(super) hears: BTreeSet<(usize, &'static str)>,
    pub(super) told: BTreeMap<(usize, String), (Option<String>, u64)>,
    pub(super) carbons: bool,
    pub(super) hears_of_blocks: bool,
    pub(super) hears_of_contacts: bool,
    pub(super) asked_archive: bool,
    /// When it was bound, by the server's clock.
    bound_at: i64,
    /// It was not told all that it asked, or something else than was true.
    pub(super) unsure: bool,
    /// What it was told came in another order.
    mixed_up: bool,
    /// `None`: no stream management.
    pub(super) sm: Option<Sm>,
    /// Hibernating, it is destroyed then.
    expires: Option<u64>,
}

/// XEP-0198, the server's side.
#[derive(Debug)]
pub(super) struct Sm {
    id: String,
    /// Of the client's stanzas.
    handled: u32,
    /// Stanzas to the client.
    sent: u32,
    /// Not acknowledged, with their numbers.
    queue: VecDeque<(u32, Element)>,
    /// It has lost some of its queue: what it counts may never have come.
    lossy: bool,
    unasked: u32,
}

impl Session {
    pub(super) fn is_available(&self) -> bool {
        self.presence.is_some()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.conn.is_some()
    }

    /// Whether it was told everything, and in its order.
    pub(super) fn was_told_all(&self) -> bool {
        !self.mixed_up && self.sm.as_ref().is_none_or(|sm| !sm.lossy)
    }
}

impl Server {
    pub(super) fn bind(&mut self, conn: Conn) -> String {
        self.next += 1;
        let Some(connected) = self.conns.get_mut(&conn) else { return String::new() };
        let id = SessionId(self.next);
        let bound_at = crate::START + self.now as i64 + self.manners.clock;
        let jid = format!("{}/phone.{}", address(connected.account), self.next);
        connected.session = Some(id);
        let session = Session {
            device: connected.device,
            account: connected.account,
            jid: jid.clone(),
            conn: Some(conn),
            presence: None,
            ver: None,
            hears: BTreeSet::new(),
            told: BTreeMap::new(),
            carbons: false,
            hears_of_blocks: false,
            hears_of_contacts: false,
            asked_archive: false,
            bound_at,
            unsure: false,
            mixed_up: false,
            sm: None,
            expires: None,
        };
        self.sessions.insert(id, session);
        jid
    }

    pub(super) fn enable(&mut self, id: SessionId) -> Element {
        let name = self.fresh("stream");
        if let Some(session) = self.sessions.get_mut(&id) {
            session.sm = Some(Sm {
                id: name.clone(),
                handled: 0,
                sent: 0,
                queue: VecDeque::new(),
                lossy: false,
                unasked: 0,
            });
        }
        element(&format!("<enabled xmlns='urn:xmpp:sm:3' id='{name}' resume='true'/>"))
    }

    pub(super) fn resume(&mut self, conn: Conn, resume: &Element) -> Resumed {
        let refused = |h: Option<u32>| {
            let h = h.map(|h| format!(" h='{h}'")).unwrap_or_default();
            Resumed::No(element(&format!(
                "<failed xmlns='urn:xmpp:sm:3'{h}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
            )))
        };
        let Some(connected) = self.conns.get(&conn) else { return refused(None) };
        let (device, account) = (connected.device, connected.account);
        let previd = resume.attr("previd").unwrap_or_default();
        let found = self.sessions.iter().find(|(_, session)| {
            session.account == account && session.sm.as_ref().is_some_and(|sm| sm.id == previd)
        });
        let Some((&id, _)) = found else { return refused(None) };
        let h: u32 = resume.attr("h").and_then(|h| h.parse().ok()).unwrap_or(0);
        if !self.acknowledge(id, h) {
            // XEP-0198 §5: more than was sent. The session cannot be trusted.
            let handled = self.sessions.get(&id).and_then(|session| session.sm.as_ref()).map(|sm| sm.handled);
            self.end_session(id);
            return refused(handled.filter(|_| self.manners.failed_says_h));
        }
        let lies: Lies = self.lies.remove(&device).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(&id) else { return refused(None) };
        let old = session.conn.replace(conn);
        session.expires = None;
        session.unsure |= lies.stale.is_some() || lies.foreign.is_some() || lies.reorder;
        session.mixed_up |= lies.reorder;
        let Some(sm) = &mut session.sm else { return refused(None) };
        if let Some(less) = lies.stale {
            // Restarted from an older state: it counts on from there.
            sm.handled = sm.handled.saturating_sub(less);
        }
        if let Some(h) = lies.foreign.filter(|h| *h <= sm.handled) {
            sm.handled = h;
        }
        let more = lies.wild.or(lies.foreign.filter(|h| *h > sm.handled).map(|h| h + 10_000)).unwrap_or(0);
        let h = sm.handled.wrapping_add(more);
        if lies.reorder || lies.twice {
            let mut queue: Vec<Element> = sm.queue.drain(..).map(|(_, stanza)| stanza).collect();
            let before = queue.len() as u32;
            if lies.twice {
                queue.extend(queue.clone());
            }
            if lies.reorder {
                queue.shuffle(&mut self.rng);
            }
            let first = sm.sent - before;
            sm.sent = first + queue.len() as u32;
            sm.queue = (first + 1..).zip(queue).collect();
        }
        let name = sm.id.clone();
        if let Some(old) = old.filter(|old| *old != conn) {
            if let Some(connected) = self.conns.get_mut(&old) {
                connected.session = None;
            }
            self.hang_up(old);
        }
        if let Some(connected) = self.conns.get_mut(&conn) {
            connected.session = Some(id);
        }
        Resumed::Yes(id, element(&format!("<resumed xmlns='urn:xmpp:sm:3' previd='{name}' h='{h}'/>")))
    }

    /// What was not acknowledged, again.
    pub(super) fn replay(&mut self, id: SessionId) {
        let Some(Session { conn: Some(conn), sm: Some(sm), .. }) = self.sessions.get(&id) else { return };
        let conn = *conn;
        let again: Vec<Element> = sm.queue.iter().map(|(_, stanza)| stanza.clone()).collect();
        for stanza in again {
            self.write(conn, stanza);
        }
        self.write(conn, element("<r xmlns='urn:xmpp:sm:3'/>"));
    }

    /// An element of a bound stream.
    pub(super) fn element(&mut self, id: SessionId, what: &Element) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let conn = session.conn;
        if sm::is_counted(what) {
            if let Some(sm) = &mut session.sm {
                sm.handled = sm.handled.wrapping_add(1);
            }
            match what.name() {
                "message" => self.message(id, what),
                "presence" => self.presence(id, what),
                _ => self.question(id, what),
            }
        } else if what.is("enable", ns::SM) {
            let answer = self.enable(id);
            if let Some(conn) = conn {
                self.write(conn, answer);
            }
        } else if what.is("r", ns::SM) {
            if let (Some(sm), Some(conn)) = (&session.sm, conn) {
                let answer = tag("a", ns::SM, &[("h", &sm.handled.to_string())], []);
                self.write(conn, answer);
            }
        } else if what.is("a", ns::SM) {
            let h = what.attr("h").and_then(|h| h.parse().ok()).unwrap_or(0);
            if !self.acknowledge(id, h) {
                self.dies_of(id, "undefined-condition");
            }
        }
    }

    /// Takes an `h`. `false`: nobody could send that.
    fn acknowledge(&mut self, id: SessionId, h: u32) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let (device, own) = (session.device, session.account);
        let Some(sm) = &mut session.sm else { return true };
        let first = sm.queue.front().map_or(sm.sent, |(number, _)| number.wrapping_sub(1));
        if h.wrapping_sub(first) > sm.sent.wrapping_sub(first) && h.wrapping_sub(first) < 1 << 31 {
            return false;
        }
        while sm.queue.front().is_some_and(|(number, _)| h.wrapping_sub(*number) < 1 << 31) {
            let Some((_, stanza)) = sm.queue.pop_front() else { break };
            if let Some((text, with)) = shown(&stanza, own, &self.not_kept) {
                self.acknowledged.push(Acknowledged { device, text, with });
            }
            // Clients name a query as its question.
            if let (true, Some(name)) = (stanza.has_child("fin", ns::MAM), stanza.attr("id")) {
                self.not_kept.insert(name.to_owned());
            }
        }
        true
    }

    fn dies_of(&mut self, id: SessionId, condition: &str) {
        let conn = self.sessions.get(&id).and_then(|session| session.conn);
        self.end_session(id);
        if let Some(conn) = conn {
            self.write(
                conn,
                element(&format!(
                    "<error xmlns='http://etherx.jabber.org/streams'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>"
                )),
            );
            self.hang_up(conn);
        }
    }

    /// The connection is gone; the session waits, if it can.
    pub(super) fn detach(&mut self, id: SessionId, conn: Conn) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.conn == Some(conn)) else {
            return;
        };
        session.conn = None;
        if session.sm.is_some() {
            session.expires = Some(self.now + self.manners.hibernation);
        } else {
            self.end_session(id);
        }
    }

    pub(super) fn expire(&mut self) {
        let now = self.now;
        let over: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.expires.is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.end_session(id);
        }
    }

    /// The session is over. What it has not acknowledged may be rescued.
    pub(super) fn end_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        if let Some(conn) = session.conn
            && let Some(connected) = self.conns.get_mut(&conn)
        {
            connected.session = None;
        }
        if session.is_available() {
            let gone = element(&format!("<presence type='unavailable' from='{}'/>", session.jid));
            self.broadcast(session.account, &gone);
        }
        let nobody =
            !self.sessions.values().any(|other| other.account == session.account && other.is_available());
        if self.manners.rescues && nobody {
            let now = self.now;
            let kept = session.sm.into_iter().flat_map(|sm| sm.queue).map(|(_, stanza)| stanza);
            let kept = kept.filter(|stanza| stanza.name() == "message" && body(stanza).is_some());
            self.accounts[session.account].offline.extend(kept.map(|stanza| (now, stanza)));
        }
    }

    /// Something is pushed to all devices of an account that have asked for what it changes.
    pub(super) fn pushes_to(&mut self, account: usize, what: &Element, hears: impl Fn(&Session) -> bool) {
        let there: Vec<SessionId> = self
            .sessions
            .iter()
            .filter_map(|(id, session)| (session.account == account && hears(session)).then_some(*id))
            .collect();
        for id in there {
            let name = self.fresh("push");
            let what = [what.clone()];
            self.deliver(id, tag("iq", ns::JABBER_CLIENT, &[("type", "set"), ("id", &name)], what));
        }
    }

    /// How many of the client's stanzas the session behind a connection has handled, and how many it has sent. `None`: it cannot know.
    pub(crate) fn counts(&self, conn: Conn) -> Option<(u32, u32)> {
        let connected = |session: &&Session| session.conn == Some(conn);
        let sm = self.sessions.values().find(connected)?.sm.as_ref().filter(|sm| !sm.lossy)?;
        Some((sm.handled, sm.sent))
    }

    /// Something comes to a device, if it has a session.
    pub(crate) fn pushes(&mut self, now: u64, device: usize, stanza: &Element) {
        self.now = now;
        let of_device =
            |(_, session): &(&SessionId, &Session)| session.device == device && session.is_available();
        if let Some(id) = self.sessions.iter().find(of_device).map(|(id, _)| *id) {
            self.deliver(id, stanza.clone());
        }
    }

    /// A bot writes to an account, under the id that it uses for everything.
    pub(crate) fn bot_writes(&mut self, now: u64, from: usize, to: usize) {
        self.now = now;
        let text = self.fresh("bot");
        let (from, to) = (address(from), address(to));
        let stanza = format!(
            "<message type='chat' from='{from}/bot' to='{to}' id='bot'><body>{text}</body><origin-id xmlns='urn:xmpp:sid:0' id='bot'/></message>"
        );
        if let (Some(account), Some(from)) = (account_of(&to), account_of(&from))
            && !self.blocks(account, from)
        {
            self.comes(account, &to, element(&stanza), true);
        }
    }

    /// So many stanzas of a device's queue are lost.
    pub(crate) fn drop_queued(&mut self, device: usize, count: usize) {
        for session in self.sessions.values_mut().filter(|session| session.device == device) {
            session.unsure = true;
            if let Some(sm) = &mut session.sm {
                sm.lossy = true;
                for _ in 0..count {
                    self.dropped += u32::from(sm.queue.pop_front().is_some());
                }
            }
        }
    }

    pub(super) fn deliver(&mut self, id: SessionId, stanza: Element) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let is_answer = stanza.name() == "iq" && matches!(stanza.attr("type"), Some("result" | "error"));
        if is_answer && self.now < self.accounts[session.account].silent_until {
            session.unsure = true;
            return;
        }
        let conn = session.conn;
        let mut asks = false;
        if let Some(sm) = &mut session.sm {
            let most = if conn.is_some() { self.manners.queue.max(CONNECTED) } else { self.manners.queue };
            if sm.queue.len() >= most {
                match self.manners.overflow {
                    Overflow::Destroy => return self.dies_of(id, "policy-violation"),
                    Overflow::Forget => {
                        session.unsure = true;
                        sm.queue.pop_front();
                        sm.lossy = true;
                        self.dropped += 1;
                    }
                }
            }
            sm.sent = sm.sent.wrapping_add(1);
            sm.queue.push_back((sm.sent, stanza.clone()));
            sm.unasked += 1;
            asks = sm.unasked >= self.manners.asks_every;
            if asks {
                sm.unasked = 0;
            }
        }
        if let Some(conn) = conn {
            self.write(conn, stanza);
            if asks {
                self.write(conn, tag("r", ns::SM, &[], []));
            }
        }
    }

    /// To everybody who may see it.
    fn broadcast(&mut self, account: usize, presence: &Element) {
        let there: Vec<(SessionId, String)> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_available() && session.account != account)
            .filter(|(_, session)| self.may_see(account, session.account))
            .map(|(id, session)| (*id, session.jid.clone()))
            .collect();
        for (id, jid) in there {
            let mut presence = presence.clone();
            set(&mut presence, "to", &jid);
            self.deliver(id, presence);
        }
    }

    fn presence(&mut self, id: SessionId, presence: &Element) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let (Some(to), Some(kind)) = (presence.attr("to").and_then(account_of), presence.attr("type")) {
            let own = session.account;
            return self.subscribes(own, to, kind);
        }
        if presence.attr("to").is_some() || presence.attr("type").is_some() {
            return;
        }
        let (account, jid) = (session.account, session.jid.clone());
        let mut there = presence.clone();
        set(&mut there, "from", &jid);
        let first = session.presence.replace(there.clone()).is_none();
        let offline = if session.asked_archive && self.manners.archive_or_offline {
            Vec::new()
        } else {
            std::mem::take(&mut self.accounts[account].offline)
        };
        self.broadcast(account, &there);
        self.looks_at_interests(id);
        if !first {
            return;
        }
        let others: Vec<Element> = self
            .sessions
            .values()
            .filter(|other| other.account != account && self.may_see(other.account, account))
            .filter_map(|other| other.presence.clone())
            .collect();
        for mut there in others {
            set(&mut there, "to", &jid);
            self.deliver(id, there);
        }
        self.tells_who_asks(id, account);
        for (at, mut stanza) in offline {
            if !stanza.has_child("delay", ns::DELAY) {
                let at = crate::START + at as i64 + self.manners.clock;
                stanza.append_child(element(&format!(
                    "<delay xmlns='urn:xmpp:delay' from='{}' stamp='{}'/>",
                    super::DOMAIN,
                    stamp::format(at)
                )));
            }
            self.deliver(id, stanza);
        }
    }

    /// From a session to an address: archives, carbons, devices, or the offline store.
    fn message(&mut self, id: SessionId, message: &Element) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (own, jid) = (session.account, session.jid.clone());
        let hated = body(message).is_some_and(|text| text.ends_with(HATED));
        if hated && !self.manners.hates_late {
            return self.dies_of(id, "policy-violation");
        }
        let to = message.attr("to").unwrap_or_default().to_owned();
        let Some(other) = account_of(&to) else { return };
        if self.blocks(own, other) {
            // XEP-0191 §3.4.
            return self.bounce(id, message, "not-acceptable");
        }
        let mut stanza = message.clone();
        set(&mut stanza, "from", &jid);
        let kept = body(&stanza).is_some() || stanza.has_child("store", ns::HINTS);
        self.compares(id, message);
        let archived_as = kept.then(|| self.archive(own, &stanza));
        let copies: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(other, session)| **other != id && session.account == own && session.carbons)
            .map(|(id, _)| *id)
            .collect();
        for copy in copies {
            let mut inner = stanza.clone();
            if let Some(name) = archived_as.as_ref().filter(|_| self.manners.carbon_ids) {
                inner.append_child(stanza_id(own, name));
            }
            self.carbon(copy, "sent", inner);
        }
        if self.blocks(other, own) {
            self.bounce(id, message, "service-unavailable");
        } else {
            self.comes(other, &to, stanza, kept);
        }
        if hated {
            self.dies_of(id, "policy-violation");
        }
    }

    /// Whoever sends in a session anew what was archived before it has not asked (STREAM 12), unless nobody could tell.
    fn compares(&mut self, id: SessionId, message: &Element) {
        let Some(session) = self.sessions.get(&id).filter(|session| !session.unsure) else { return };
        let knew = self.knows_archive.get(&session.device).is_some_and(|since| *since < id);
        let earlier =
            |entry: &Entry| entry.at < session.bound_at && entry.message.attr("id") == message.attr("id");
        if knew
            && let Some(text) = text(message).filter(|text| !self.bounced.contains(text))
            && self.accounts[session.account].archive.iter().any(earlier)
        {
            self.sent_again.get_or_insert((session.device, text));
        }
    }

    fn comes(&mut self, account: usize, to: &str, mut stanza: Element, kept: bool) {
        if kept {
            let name = self.archive(account, &stanza);
            stanza.append_child(stanza_id(account, &name));
        }
        let of_account: Vec<(SessionId, String, bool, bool)> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.account == account)
            .map(|(id, session)| (*id, session.jid.clone(), session.is_available(), session.carbons))
            .collect();
        let exact: Vec<SessionId> =
            of_account.iter().filter(|(_, jid, ..)| jid == to).map(|(id, ..)| *id).collect();
        let there = || of_account.iter().filter(|(.., available, _)| *available).map(|(id, ..)| *id);
        let direct: Vec<SessionId> = if !exact.is_empty() {
            exact
        } else if self.manners.to_all {
            there().collect()
        } else {
            there().next_back().into_iter().collect()
        };
        if direct.is_empty() {
            if kept {
                self.accounts[account].offline.push((self.now, stanza));
            }
            return;
        }
        for (id, _, _, carbons) in &of_account {
            if direct.contains(id) {
                self.deliver(*id, stanza.clone());
            } else if *carbons {
                self.carbon(*id, "received", stanza.clone());
            }
        }
    }

    fn carbon(&mut self, id: SessionId, kind: &str, inner: Element) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (own, jid) = (address(session.account), &session.jid);
        let forwarded = tag("forwarded", ns::FORWARD, &[], [inner]);
        let carbon = tag(kind, ns::CARBONS, &[], [forwarded]);
        let attributes = [("from", own.as_str()), ("to", jid), ("type", "chat")];
        self.deliver(id, tag("message", ns::JABBER_CLIENT, &attributes, [carbon]));
    }

    /// Nothing that was told to lie does so any more.
    pub(crate) fn behave(&mut self) {
        self.lies.clear();
        for account in &mut self.accounts {
            (account.mute_until, account.silent_until) = (0, 0);
            (account.refuses_until, account.short_until) = (0, 0);
        }
    }
}

fn stanza_id(account: usize, id: &str) -> Element {
    tag("stanza-id", ns::SID, &[("by", &address(account)), ("id", id)], [])
}

/// The text of a stanza that is to be shown, and with whom the conversation is.
fn shown(stanza: &Element, own: usize, not_kept: &BTreeSet<String>) -> Option<(String, usize)> {
    if stanza.name() != "message" {
        return None;
    }
    let wrapper = stanza.children().find(|child| child.has_ns(ns::CARBONS) || child.is("result", ns::MAM));
    if wrapper.and_then(|result| result.attr("queryid")).is_some_and(|query| not_kept.contains(query)) {
        return None;
    }
    let inner = wrapper
        .and_then(|wrapper| wrapper.get_child("forwarded", ns::FORWARD))
        .and_then(|forwarded| forwarded.get_child("message", ns::JABBER_CLIENT))
        .unwrap_or(stanza);
    let from = account_of(inner.attr("from")?)?;
    let to = account_of(inner.attr("to")?)?;
    Some((text(inner)?, if from == own { to } else { from }))
}
