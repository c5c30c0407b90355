//! The roster with its versions, subscriptions, and who is there (RFC 6121 §2 to §4; XEP-0115).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jid::{BareJid, Jid};
use minidom::Element;
use rusqlite::{Connection, OptionalExtension, params};
use sha1::{Digest, Sha1};
use whimbrel_proto::{address, ns, stamp, write::Tag};

use crate::{
    account::{Account, Cx},
    api::{Contact, Presence, Subscription},
    blocking::is_blocked,
    error::{Error, Result},
    iq::{self, Pending, bare},
    mutants::{self, Mutant},
    outbox::Kind,
    person, presence,
};

const NODE: &str = "https://whimbrel.im";
const IDENTITY: (&str, &str, &str) = ("client", "phone", "Whimbrel");
/// Entries of a roster that are kept. A server that sends more is not believed to mean it.
const MAX: usize = 100_000;
/// Devices of one contact, and unanswered requests, that are kept.
const MAX_DEVICES: i64 = 64;
const MAX_REQUESTS: i64 = 1_000;
/// Devices that are kept in all while it is not known whose they are.
const MAX_UNKNOWN: i64 = 1_000;
/// Longest text that is kept of a presence, in bytes.
const MAX_STATUS: usize = 4_096;
/// Longest address (RFC 7622 §3.1), in bytes.
const MAX_ADDRESS: usize = 3_071;

impl Account {
    /// The whole roster, or nothing if the version that we have is current (RFC 6121 §2.6.2).
    pub(crate) fn roster_result(&mut self, cx: &mut Cx<'_>, iq: &Element) -> Result<()> {
        iq::take_later(cx, |what| matches!(what, Pending::Roster))?;
        let Some(query) = iq.get_child("query", ns::ROSTER) else { return forget_strangers(cx) };
        let accepted = cx
            .tx
            .prepare_cached("SELECT jid FROM contact WHERE jid IN (SELECT jid FROM accepted UNION SELECT jid FROM expected)")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        cx.tx.execute("DELETE FROM contact", [])?;
        cx.receipts_to = None;
        for item in query.children().filter(|child| child.name() == "item").take(MAX) {
            store(cx, item)?;
        }
        for jid in accepted {
            let is_known = "SELECT EXISTS (SELECT 1 FROM contact WHERE jid = ?1)";
            if !cx.tx.prepare_cached(is_known)?.query_row(params![jid], |row| row.get(0))? {
                removed(cx, &jid)?;
            }
        }
        forget_strangers(cx)?;
        self.roster_version(cx, query.attr("ver"))
    }

    /// Whether the server has not told this session yet who our contacts are: then nobody is a stranger.
    pub(crate) fn awaits_roster(&self, cx: &Cx<'_>) -> Result<bool> {
        Ok(self.is_asked(cx, &Pending::Roster)?
            || self.is_asked(cx, &Pending::Later(Box::new(Pending::Roster)))?)
    }

    /// One item changed. The version moves in the same transaction.
    pub(crate) fn roster_push(&mut self, cx: &mut Cx<'_>, query: &Element) -> Result<()> {
        let (mut takes, mut answered) = (false, false);
        for item in query.children().filter(|child| child.name() == "item") {
            let before = subscription(cx, item)?;
            let now = store(cx, item)?;
            takes |= now & before != before;
            answered |= (before, now) == (2, 3);
        }
        // ejabberd 24.12 learns what a device wants to hear of (XEP-0163 §4) from a presence that comes to somebody who lets it see
        // theirs. They let us since just now, and what they had of us came before.
        if answered {
            self.announce_again(cx)?;
        }
        // Two who accept each other at the same time change an item twice, and ejabberd pushes the two in any order, both with the
        // last version. What takes something away may be the older one: the whole roster says what is true.
        // Nor does a version mean anything to who has not read what it is a version of.
        let is_read = self.login.roster_ver.is_some() && !self.awaits_roster(cx)?;
        self.roster_version(cx, query.attr("ver").filter(|_| is_read && !takes))?;
        if takes { self.ask_unless_asked(cx, &Pending::RosterAgain) } else { Ok(()) }
    }

    fn roster_version(&mut self, cx: &mut Cx<'_>, version: Option<&str>) -> Result<()> {
        self.login.roster_ver = version.map(str::to_owned);
        self.save_login(cx)?;
        cx.touched.contacts = !mutants::on(Mutant::ContactsNotTold);
        cx.touched.conversations = true;
        Ok(())
    }

    pub(crate) fn presence(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        // None is our own account (RFC 6120 §8.1.2.1); what cannot be read is nobody.
        let Some(device) = element.attr("from").filter(|from| from.len() <= MAX_ADDRESS) else {
            return Ok(());
        };
        let Some(from) = address::sender(device) else { return Ok(()) };
        if from.to_bare() == self.jid {
            // Our own devices, this one too: whether one of them is there is shown to nobody.
            return Ok(());
        }
        match element.attr("type") {
            None => self.is_there(cx, &from, device, element),
            // An error says that nobody can be reached there (RFC 6121 §4.6.4: treat it as gone).
            Some("unavailable" | "error") => self.is_gone(cx, &from, device),
            Some("subscribe" | "unsubscribe") => self.subscription_changed(cx, from.into_bare(), element),
            _ => Ok(()),
        }
    }

    /// Only who is in the roster is kept, and of each only so many devices: presence can be sent by anybody. Until the roster has come
    /// anybody is, up to so many: it is not said again.
    fn is_there(&mut self, cx: &mut Cx<'_>, from: &Jid, device: &str, element: &Element) -> Result<()> {
        let bare = from.to_bare();
        let said = |name| element.get_child(name, ns::JABBER_CLIENT).map(Element::text);
        let show = presence::read(said("show").unwrap_or_default().trim());
        let priority = said("priority").and_then(|text| text.trim().parse::<i8>().ok()).unwrap_or(0);
        let text = said("status").filter(|text| !text.is_empty() && text.len() <= MAX_STATUS);
        let idle = element.get_child("idle", ns::IDLE).and_then(|idle| idle.attr("since"));
        let idle = idle.and_then(stamp::parse).map(|since| since.min(cx.now.wall));
        let changed = cx
            .tx
            .prepare_cached(&mutants::sql(
                Mutant::PresenceNotRenewed,
                "INSERT INTO presence (jid, bare, show, priority, text, idle_at) SELECT ?1, ?2, ?4, ?5, ?6, ?7
                 WHERE (EXISTS (SELECT 1 FROM contact WHERE jid = ?2) OR (?8 AND (SELECT count(*) FROM presence) < ?9))
                 AND ((SELECT count(*) FROM presence WHERE bare = ?2) < ?3 OR EXISTS (SELECT 1 FROM presence WHERE jid = ?1))
                 ON CONFLICT (jid) DO UPDATE SET show = ?4, priority = ?5, text = ?6, idle_at = ?7
                 WHERE (show, priority, text, idle_at) IS NOT (?4, ?5, ?6, ?7)",
                "WHERE (show,",
                "WHERE 0 AND (show,",
            ))?
            .execute(params![
                key(from, device),
                bare.as_str(),
                MAX_DEVICES,
                show,
                priority,
                text,
                idle,
                self.awaits_roster(cx)?,
                MAX_UNKNOWN
            ])?;
        cx.touched.contacts |= changed > 0;
        // Software that has just logged in says the same again, with its picture (XEP-0153 §3.1). No stranger is asked for theirs.
        let is_kept = cx
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM presence JOIN contact ON contact.jid = bare WHERE presence.jid = ?1)",
            )?
            .query_row(params![key(from, device)], |row| row.get(0))?;
        if is_kept { self.shows_avatar(cx, &bare, element) } else { Ok(()) }
    }

    fn is_gone(&mut self, cx: &mut Cx<'_>, from: &Jid, device: &str) -> Result<()> {
        let bare = from.to_bare();
        // From a bare address it is about all of its devices.
        let removed = if device.contains('/') {
            cx.tx
                .prepare_cached("DELETE FROM presence WHERE jid = ?1")?
                .execute(params![key(from, device)])?
        } else {
            cx.tx.prepare_cached("DELETE FROM presence WHERE bare = ?1")?.execute(params![bare.as_str()])?
        };
        cx.touched.contacts |= removed > 0;
        let stopped = cx
            .tx
            .prepare_cached(
                "UPDATE conversation SET chat_state = NULL WHERE jid = ?1 AND chat_state IS NOT NULL",
            )?
            .execute(params![bare.as_str()])?;
        cx.touched.conversations |= stopped > 0;
        Ok(())
    }

    fn subscription_changed(&mut self, cx: &mut Cx<'_>, from: BareJid, element: &Element) -> Result<()> {
        if element.attr("type") == Some("unsubscribe") {
            let removed =
                cx.tx.execute("DELETE FROM subscription_request WHERE jid = ?1", params![from.as_str()])?;
            cx.touched.contacts |= removed > 0;
            return Ok(());
        }
        if self.sees_our_presence(cx, &from)? {
            // Of somebody whom we let see a server asks nobody (RFC 6121 §3.1.3). So they are not let see any more, perhaps since they
            // were removed by another device, and it is lost that we were told so; or it is an old request. The roster tells.
            self.read_roster_again(cx)?;
        }
        if self.accepts_invited(cx, &from, element)? {
            return Ok(());
        }
        if cx.tx.execute("DELETE FROM accepted WHERE jid = ?1", params![from.as_str()])? > 0 {
            cx.touched.contacts = true;
            return self.answer_subscription(cx, &from, "subscribed");
        }
        let added = cx.tx.execute(
            "INSERT OR IGNORE INTO subscription_request (jid, at) SELECT ?1, ?2
             WHERE (SELECT count(*) FROM subscription_request) < ?3",
            params![from.as_str(), cx.now.wall, MAX_REQUESTS],
        )?;
        cx.touched.contacts |= added > 0;
        Ok(())
    }

    pub(crate) fn add_contact(&mut self, cx: &mut Cx<'_>, jid: &BareJid, name: Option<&str>) -> Result<()> {
        let (_, groups) = self.name_and_groups(cx, jid)?;
        self.edit_contact(cx, jid, name, &groups)?;
        self.answer_subscription(cx, jid, "subscribe")
    }

    /// What somebody is called, and in which groups they are: as was decided last, whether or not the server has it. An item is set
    /// as a whole (RFC 6121 §2.4), and what is not said is gone.
    pub(crate) fn name_and_groups(
        &self,
        cx: &Cx<'_>,
        jid: &BareJid,
    ) -> Result<(Option<String>, Vec<String>)> {
        if let Some(Pending::Contact { to_be: Some(to_be), .. }) = decided(cx, jid.as_str())? {
            return Ok(to_be);
        }
        let known = cx
            .tx
            .prepare_cached("SELECT name, groups FROM contact WHERE jid = ?1")?
            .query_row(params![jid.as_str()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
            .optional()?;
        known.map_or(Ok((None, Vec::new())), |(name, groups)| Ok((name, serde_json::from_str(&groups)?)))
    }

    pub(crate) fn edit_contact(
        &mut self,
        cx: &mut Cx<'_>,
        jid: &BareJid,
        name: Option<&str>,
        groups: &[String],
    ) -> Result<()> {
        let item = Tag::new("item").attr("jid", jid.as_str()).attr_opt("name", name);
        let item = groups.iter().fold(item, |item, group| item.child(Tag::new("group").text(group)));
        self.set_item(cx, jid, item, Some((name.map(str::to_owned), groups.to_vec())))
    }

    pub(crate) fn remove_contact(&mut self, cx: &mut Cx<'_>, jid: &BareJid) -> Result<()> {
        let item = Tag::new("item").attr("jid", jid.as_str()).attr("subscription", "remove");
        forget_accepted(cx, jid.as_str())?;
        for kind in ["subscribe", "subscribed"] {
            withdraw_answer(cx, jid, kind)?;
            // What has left is not said again in another session: behind the removal it would bring them back.
            cx.tx
                .prepare_cached(
                    "UPDATE outbox SET kind = ?1 WHERE kind = ?2 AND peer = ?3 AND instr(bytes, ?4) > 0",
                )?
                .execute(params![
                    Kind::Fleeting.code(),
                    Kind::Note.code(),
                    jid.as_str(),
                    format!(" type='{kind}'")
                ])?;
        }
        self.set_item(cx, jid, item, None)
    }

    /// A decision of the user's, perhaps made offline: it waits for a session that takes it (RFC 6121 §2.3).
    fn set_item(
        &mut self,
        cx: &mut Cx<'_>,
        jid: &BareJid,
        item: Tag,
        to_be: Option<(Option<String>, Vec<String>)>,
    ) -> Result<()> {
        let query = Tag::with_ns("query", ns::ROSTER).child(item);
        iq::supersede(cx, "Contact", jid.as_str())?;
        self.ask_as(cx, Kind::Note, &Pending::Contact { jid: jid.to_string(), to_be }, "set", None, query)
            .map(drop)
    }

    /// What was told of it may have been lost in the server, and a later version says nothing of that.
    pub(crate) fn read_roster_again(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.forget_roster_version(cx)?;
        iq::take_later(cx, |what| matches!(what, Pending::RosterAgain))?;
        self.ask_unless_asked(cx, &Pending::RosterAgain)
    }

    /// Whatever session reads it next reads all of it.
    pub(crate) fn forget_roster_version(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.login.roster_ver.take().is_some() { self.save_login(cx) } else { Ok(()) }
    }

    pub(crate) fn accept(&mut self, cx: &mut Cx<'_>, jid: &BareJid) -> Result<()> {
        let asked =
            cx.tx.execute("DELETE FROM subscription_request WHERE jid = ?1", params![jid.as_str()])?;
        cx.touched.contacts = true;
        let declined = withdraw_answer(cx, jid, "unsubscribed")?;
        if declined == Some(NeverLeft(true)) && self.sees_our_presence(cx, jid)? {
            return Ok(());
        }
        if asked == 0 && !self.login.pre_approval {
            // RFC 6121 §3.4.1: such a server is not told before they ask, and forgets it.
            cx.tx.execute("INSERT OR IGNORE INTO accepted (jid) VALUES (?1)", params![jid.as_str()])?;
            if declined.is_none() {
                return Ok(());
            }
        }
        self.answer_subscription(cx, jid, "subscribed")
    }

    /// They are not to see our presence (RFC 6121 §3.2), whether they ask, were accepted before they did, or see it now.
    pub(crate) fn decline(&mut self, cx: &mut Cx<'_>, jid: &BareJid) -> Result<()> {
        cx.tx.execute("DELETE FROM subscription_request WHERE jid = ?1", params![jid.as_str()])?;
        forget_accepted(cx, jid.as_str())?;
        cx.touched.contacts = true;
        // Nobody is let in for a moment.
        withdraw_answer(cx, jid, "subscribed")?;
        self.answer_subscription(cx, jid, "unsubscribed")
    }

    pub(crate) fn answer_subscription(&mut self, cx: &mut Cx<'_>, jid: &BareJid, kind: &str) -> Result<()> {
        // Unlike other presence this is a decision: it must survive a session, so it waits like a note.
        let presence = Tag::new("presence").attr("to", jid.as_str()).attr("type", kind);
        self.enqueue(cx, Kind::Note, jid.as_str(), None, &presence.into_bytes())
    }
}

/// Whether an answer that waited was never said: then everything is as before. Else a session that has ended may have taken it.
#[derive(PartialEq, Eq)]
struct NeverLeft(bool);

/// What somebody was to be answered is not said, if it waits for that.
fn withdraw_answer(cx: &Cx<'_>, jid: &BareJid, kind: &str) -> Result<Option<NeverLeft>> {
    let never_left = cx
        .tx
        .prepare_cached(
            "DELETE FROM outbox WHERE kind = ?1 AND peer = ?2 AND number IS NULL AND instr(bytes, ?3) > 0 RETURNING first_sent IS NULL",
        )?
        .query_map(params![Kind::Note.code(), jid.as_str(), format!(" type='{kind}'")], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<bool>>>()?;
    Ok((!never_left.is_empty()).then(|| NeverLeft(never_left.into_iter().all(|never| never))))
}

/// What was last decided of a contact, if nobody has answered that.
fn decided(cx: &Cx<'_>, jid: &str) -> Result<Option<Pending>> {
    let what: Option<String> = cx
        .tx
        .prepare_cached("SELECT what FROM pending WHERE json_extract(what, '$.Contact.jid') = ?1 LIMIT 1")?
        .query_row(params![jid], |row| row.get(0))
        .optional()?;
    what.map(|what| Ok(serde_json::from_str(&what)?)).transpose()
}

/// It is known by now who is a contact: whoever else is there is nobody's business.
fn forget_strangers(cx: &Cx<'_>) -> Result<()> {
    cx.tx.execute("DELETE FROM presence WHERE bare NOT IN (SELECT jid FROM contact)", [])?;
    Ok(())
}

/// Somebody is no contact any more, perhaps by another device: who was to be let in is not, unless something was decided here since.
fn removed(cx: &mut Cx<'_>, jid: &str) -> Result<()> {
    if decided(cx, jid)?.is_some() { Ok(()) } else { forget_accepted(cx, jid) }
}

/// They are not accepted any more before they have asked.
fn forget_accepted(cx: &mut Cx<'_>, jid: &str) -> Result<()> {
    for table in ["accepted", "expected"] {
        let forgotten =
            cx.tx.prepare_cached(&format!("DELETE FROM {table} WHERE jid = ?1"))?.execute(params![jid])?;
        cx.touched.contacts |= forgotten > 0;
    }
    Ok(())
}

/// What a device is kept as: its address, or as it was written where that cannot be prepared.
fn key<'a>(from: &'a Jid, written: &'a str) -> &'a str {
    if from.is_full() { from.as_str() } else { written }
}

/// Who sees whom by what is kept of this item, as in `contact`; two bits.
fn subscription(cx: &Cx<'_>, item: &Element) -> Result<i64> {
    let jid = bare(item.attr("jid"));
    let kept = cx
        .tx
        .prepare_cached("SELECT subscription FROM contact WHERE jid = ?1")?
        .query_row(params![jid.as_ref().map(|jid| jid.as_str())], |row| row.get(0))
        .optional()?;
    Ok(kept.unwrap_or_default())
}

/// Keeps an item. Returns its subscription, as [`subscription`] would.
fn store(cx: &mut Cx<'_>, item: &Element) -> Result<i64> {
    cx.receipts_to = None;
    let Some(jid) = bare(item.attr("jid")) else { return Ok(0) };
    let subscription = match item.attr("subscription") {
        Some("remove") => {
            cx.tx.prepare_cached("DELETE FROM contact WHERE jid = ?1")?.execute(params![jid.as_str()])?;
            removed(cx, jid.as_str())?;
            return Ok(0);
        }
        Some("both") => 3,
        Some("from") => 2,
        Some("to") => 1,
        _ => 0,
    };
    let groups: Vec<String> =
        item.children().filter(|child| child.name() == "group").map(Element::text).collect();
    cx.tx
        .prepare_cached("INSERT OR REPLACE INTO contact (jid, name, subscription, asked, groups, approved) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            jid.as_str(),
            item.attr("name").filter(|name| !name.is_empty()),
            subscription,
            item.attr("ask") == Some("subscribe"),
            serde_json::to_string(&groups)?,
            matches!(item.attr("approved"), Some("true" | "1")),
        ])?;
    if subscription >= 2 {
        cx.tx
            .prepare_cached("DELETE FROM subscription_request WHERE jid = ?1")?
            .execute(params![jid.as_str()])?;
        forget_accepted(cx, jid.as_str())?;
    }
    Ok(subscription)
}

/// An item of a roster that was kept elsewhere, until the server is asked. Whether it is new here.
pub(crate) fn import(cx: &mut Cx<'_>, item: &Element) -> Result<bool> {
    let Some(jid) = bare(item.attr("jid")) else { return Ok(false) };
    let (is_known, count): (bool, i64) = cx.tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM contact WHERE jid = ?1), (SELECT count(*) FROM contact)",
        params![jid.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if is_known || count >= MAX as i64 {
        return Ok(false);
    }
    store(cx, item)?;
    Ok(true)
}

/// All contacts, and those who ask to be one.
///
/// # Errors
/// Where the world failed.
pub fn contacts(connection: &Connection) -> Result<Vec<Contact>> {
    let sql = format!(
        "SELECT c.jid, c.name, c.subscription, c.asked, EXISTS (SELECT 1 FROM subscription_request AS r WHERE r.jid = c.jid),
                p.show, c.approved OR EXISTS (SELECT 1 FROM accepted WHERE jid = c.jid), c.groups, {},
                p.text, (SELECT CASE WHEN count(*) = count(idle_at) THEN max(idle_at) END FROM presence WHERE bare = c.jid), s.nick, {}
         FROM contact AS c LEFT JOIN person AS s ON s.jid = c.jid
         LEFT JOIN presence AS p ON p.jid = (SELECT jid FROM presence WHERE bare = c.jid ORDER BY priority DESC, show, jid LIMIT 1)
         UNION ALL
         SELECT r.jid, NULL, 0, 0, 1, NULL, 0, '[]', {}, NULL, NULL, NULL, NULL FROM subscription_request AS r WHERE r.jid NOT IN (SELECT jid FROM contact)
         ORDER BY 1",
        is_blocked("c.jid"),
        person::AVATAR,
        is_blocked("r.jid"),
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut contacts = Vec::new();
    while let Some(row) = rows.next()? {
        let show = row.get::<_, Option<i64>>(5)?.map(presence::show);
        let (text, idle_since) = (row.get(9)?, row.get(10)?);
        contacts.push(Contact {
            jid: BareJid::new(&row.get::<_, String>(0)?).map_err(|_| Error::bug("a contact's address"))?,
            name: row.get(1)?,
            subscription: match row.get(2)? {
                3 => Subscription::Both,
                2 => Subscription::From,
                1 => Subscription::To,
                _ => Subscription::None,
            },
            asked: row.get(3)?,
            asks: row.get(4)?,
            available: show.is_some(),
            presence: show.map(|show| Presence { show, text, idle_since }),
            nickname: row.get(11)?,
            avatar: row.get(12)?,
            approved: row.get(6)?,
            groups: serde_json::from_str(&row.get::<_, String>(7)?)?,
            blocked: row.get(8)?,
        });
    }
    Ok(contacts)
}

/// `<c/>` of XEP-0115 §4.
pub(crate) fn caps_tag(features: &[String]) -> Tag {
    let ver = verification_string(features);
    Tag::with_ns("c", ns::CAPS).attr("hash", "sha-1").attr("node", NODE).attr("ver", ver)
}

pub(crate) fn identity_tag() -> Tag {
    let (category, kind, name) = IDENTITY;
    Tag::new("identity").attr("category", category).attr("type", kind).attr("name", name)
}

/// XEP-0115 §5.1, of features in their order.
fn verification_string(features: &[String]) -> String {
    let (category, kind, name) = IDENTITY;
    let mut text = format!("{category}/{kind}//{name}<");
    for feature in features {
        text.push_str(feature);
        text.push('<');
    }
    BASE64.encode(Sha1::digest(text))
}
