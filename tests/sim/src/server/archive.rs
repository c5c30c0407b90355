//! The archive of an account (XEP-0313) and its pages (XEP-0059).

use minidom::Element;
use whimbrel_proto::{ns, stamp};

use super::{Account, Server, SessionId, Up, account_of, address, amends, element, play, tag, text};

/// Pages about what was perhaps sent after which a client may give up.
const ENOUGH: usize = 40;

/// A message in an archive.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its name there.
    pub id: String,
    /// When it came, by the server's clock.
    pub at: i64,
    /// With whom.
    pub with: usize,
    /// As it was.
    pub message: Element,
}

impl Server {
    /// Keeps a message. Returns its name.
    pub(super) fn archive(&mut self, account: usize, message: &Element) -> String {
        let id = self.fresh("archived");
        let parties = [message.attr("from"), message.attr("to")];
        let with = parties
            .into_iter()
            .filter_map(|party| account_of(party?))
            .find(|party| *party != account)
            .unwrap_or(account);
        let at = self.clock();
        self.accounts[account].archive.push(Entry { id: id.clone(), at, with, message: message.clone() });
        id
    }

    /// The archive does not know any more what every device has read: it is as if it had been compacted.
    pub(crate) fn forget_ids(&mut self, account: usize, everybody_has: impl Fn(&Element) -> bool) {
        let Account { archive, forgotten, gone, .. } = &mut self.accounts[account];
        let known = archive.iter().take_while(|entry| everybody_has(&entry.message)).count();
        forgotten.extend(archive.iter().take(known).filter_map(|entry| text(&entry.message)));
        gone.extend(archive.drain(..known));
    }

    /// The archive does not keep its oldest messages, up to the first that only another one explains.
    pub(crate) fn keep_less(&mut self, account: usize, count: usize) -> Vec<String> {
        let Account { archive, forgotten, expired, gone, .. } = &mut self.accounts[account];
        let explains = |entry: &&Entry| amends(&entry.message) || play(&entry.message).is_some();
        let oldest = archive.iter().take(count).take_while(|entry| !explains(entry)).count();
        let texts: Vec<String> =
            archive.iter().take(oldest).filter_map(|entry| text(&entry.message)).collect();
        forgotten.extend(texts.iter().cloned());
        expired.extend(texts.iter().cloned());
        gone.extend(archive.drain(..oldest));
        texts
    }

    /// How long the server is busy with this, in ms: until then it reads nothing more of the same session.
    pub(crate) fn takes(&self, up: &Up) -> u64 {
        match up {
            Up::Element(element) if element.has_child("query", ns::MAM) => self.manners.page_takes,
            _ => 0,
        }
    }

    /// Answers a query with its results and the `<fin/>`.
    pub(super) fn page(&mut self, id: SessionId, iq: &str, query: &Element) {
        let field = |var: &str| {
            let form = query.get_child("x", ns::DATA_FORMS)?;
            let field = form.children().find(|field| field.attr("var") == Some(var))?;
            Some(field.children().next()?.text())
        };
        let name = query.attr("queryid").unwrap_or_default();
        let with = field("with").as_deref().and_then(account_of);
        if with.is_some() {
            self.not_kept.insert(name.to_owned());
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.asked_archive = true;
        self.knows_archive.entry(session.device).or_insert(id);
        let (account, jid) = (session.account, session.jid.clone());
        let now = self.now;
        let own = address(account);
        let kept = &self.accounts[account];
        let refused = |condition: &str| {
            element(&format!(
                "<iq type='error' id='{iq}'><error type='wait'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            ))
        };
        if now < kept.refuses_until {
            session.unsure = true;
            return self.deliver(id, refused("resource-constraint"));
        }
        let text = |name: &str| query.get_child("set", ns::RSM)?.get_child(name, ns::RSM).map(Element::text);
        let [start, end] = ["start", "end"].map(|time| stamp::parse(&field(time)?));
        // A phone's clock may ask for anything.
        session.unsure |= start.is_some() || now < kept.short_until;
        let mut from = 0;
        if let Some(after) = text("after") {
            match kept.archive.iter().position(|entry| entry.id == after) {
                // Prosody 13 looks for it among those of the peer only, and finds nothing behind what it has not found.
                Some(at) if self.manners.vague && with.is_some_and(|with| kept.archive[at].with != with) => {
                    from = kept.archive.len();
                }
                Some(at) => from = at + 1,
                None if self.manners.vague => {
                    session.unsure = true;
                    from = kept.archive.len();
                }
                None => {
                    session.unsure = true;
                    return self.deliver(id, refused("item-not-found"));
                }
            }
        }
        let mut to = kept.archive.len();
        let before = text("before");
        if let Some(before) = before.as_deref().filter(|before| !before.is_empty()) {
            match kept.archive.iter().position(|entry| entry.id == before) {
                Some(at) => to = at,
                None if self.manners.vague => {
                    session.unsure = true;
                    to = 0;
                }
                None => {
                    session.unsure = true;
                    return self.deliver(id, refused("item-not-found"));
                }
            }
        }
        let mut found: Vec<&super::Entry> = kept
            .archive
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .filter(|entry| with.is_none_or(|with| entry.with == with))
            .filter(|entry| start.is_none_or(|start| entry.at >= start))
            .filter(|entry| end.is_none_or(|end| entry.at <= end))
            .collect();
        let mut max = text("max").and_then(|max| max.parse().ok()).unwrap_or(50).min(self.manners.page);
        if now < kept.short_until {
            max = max.div_ceil(3);
        }
        let (complete, count) = (found.len() <= max, found.len());
        // Who wants to send does not read on for ever.
        session.unsure |= with.is_some() && count > ENOUGH * max;
        if before.is_some() {
            found.drain(..count.saturating_sub(max));
        } else {
            found.truncate(max);
        }
        let results: Vec<Element> = found
            .iter()
            .map(|entry| {
                let delay = tag("delay", ns::DELAY, &[("stamp", &stamp::format(entry.at))], []);
                let forwarded = tag("forwarded", ns::FORWARD, &[], [delay, entry.message.clone()]);
                let result = tag("result", ns::MAM, &[("queryid", name), ("id", &entry.id)], [forwarded]);
                tag("message", ns::JABBER_CLIENT, &[("from", &own), ("to", &jid)], [result])
            })
            .collect();
        let count = if now < kept.short_until { found.len() } else { count };
        let edges = match (found.first(), found.last()) {
            (Some(first), Some(last)) => format!("<first>{}</first><last>{}</last>", first.id, last.id),
            _ => String::new(),
        };
        let fin = element(&format!(
            "<iq type='result' id='{iq}'><fin xmlns='urn:xmpp:mam:2' complete='{complete}'><set xmlns='http://jabber.org/protocol/rsm'>{edges}<count>{count}</count></set></fin></iq>"
        ));
        for result in results {
            self.deliver(id, result);
        }
        self.deliver(id, fin);
    }
}
