//! The roster with its versions, subscriptions, and who is there (RFC 6121 §2 to §4; XEP-0115).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jid::{BareJid, Jid};
use minidom::Element;
use rusqlite::{Connection, params};
use sha1::{Digest, Sha1};
use whimbrel_proto::{ns, write::Tag};

use crate::{
    account::{Account, Cx},
    api::{Contact, Subscription},
    error::{Error, Result},
    iq::{FEATURES, Pending, bare},
    outbox::Kind,
};

const NODE: &str = "https://whimbrel.im";
const IDENTITY: (&str, &str, &str) = ("client", "phone", "Whimbrel");
/// Entries of a roster that are kept. A server that sends more is not believed to mean it.
const MAX: usize = 100_000;

impl Account {
    /// The whole roster, or nothing if the version that we have is current (RFC 6121 §2.6.2).
    pub(crate) fn roster_result(&mut self, cx: &mut Cx<'_>, iq: &Element) -> Result<()> {
        let Some(query) = iq.get_child("query", ns::ROSTER) else { return Ok(()) };
        cx.tx.execute("DELETE FROM contact", [])?;
        for item in query.children().filter(|child| child.name() == "item").take(MAX) {
            store(cx, item)?;
        }
        self.roster_version(cx, query)
    }

    /// One item changed. The version moves in the same transaction.
    pub(crate) fn roster_push(&mut self, cx: &mut Cx<'_>, query: &Element) -> Result<()> {
        for item in query.children().filter(|child| child.name() == "item") {
            store(cx, item)?;
        }
        self.roster_version(cx, query)
    }

    fn roster_version(&mut self, cx: &mut Cx<'_>, query: &Element) -> Result<()> {
        self.login.roster_ver = query.attr("ver").map(str::to_owned);
        self.save_login(cx)?;
        cx.touched.contacts = true;
        cx.touched.conversations = true;
        Ok(())
    }

    pub(crate) fn presence(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        let Some(from) = element.attr("from").and_then(|from| Jid::new(from).ok()) else { return Ok(()) };
        cx.touched.contacts = true;
        match element.attr("type") {
            None => {
                let text = |name| element.get_child(name, ns::JABBER_CLIENT).map(Element::text);
                let caps = element.get_child("c", ns::CAPS);
                let caps =
                    caps.and_then(|caps| Some(format!("{}#{}", caps.attr("node")?, caps.attr("ver")?)));
                let priority =
                    text("priority").and_then(|priority| priority.trim().parse::<i8>().ok()).unwrap_or(0);
                cx.tx
                    .prepare_cached("INSERT OR REPLACE INTO presence (jid, bare, show, status, priority, caps) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                    .execute(params![from.as_str(), from.to_bare().as_str(), text("show"), text("status"), priority, caps])?;
            }
            Some("unavailable") => {
                cx.tx
                    .prepare_cached("DELETE FROM presence WHERE jid = ?1")?
                    .execute(params![from.as_str()])?;
                cx.tx
                    .prepare_cached(
                        "UPDATE conversation SET chat_state = NULL WHERE jid = ?1 AND chat_state IS NOT NULL",
                    )?
                    .execute(params![from.to_bare().as_str()])?;
            }
            Some("subscribe") => {
                let from = from.into_bare();
                if self.sees_our_presence(cx, &from)? {
                    // RFC 6121 §3.1.3: they forgot; say it again.
                    self.answer_subscription(cx, &from, "subscribed")?;
                } else {
                    cx.tx.execute(
                        "INSERT OR IGNORE INTO subscription_request (jid, at) VALUES (?1, ?2)",
                        params![from.as_str(), cx.now.wall],
                    )?;
                }
            }
            Some("unsubscribe") => {
                cx.tx.execute(
                    "DELETE FROM subscription_request WHERE jid = ?1",
                    params![from.to_bare().as_str()],
                )?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn add_contact(&mut self, cx: &mut Cx<'_>, jid: &BareJid, name: Option<&str>) -> Result<()> {
        let item = Tag::new("item").attr("jid", jid.as_str()).attr_opt("name", name);
        self.ask(cx, &Pending::Nothing, "set", None, Tag::with_ns("query", ns::ROSTER).child(item))?;
        self.answer_subscription(cx, jid, "subscribe")
    }

    pub(crate) fn remove_contact(&mut self, cx: &mut Cx<'_>, jid: &BareJid) -> Result<()> {
        let item = Tag::new("item").attr("jid", jid.as_str()).attr("subscription", "remove");
        self.ask(cx, &Pending::Nothing, "set", None, Tag::with_ns("query", ns::ROSTER).child(item))?;
        Ok(())
    }

    pub(crate) fn accept(&mut self, cx: &mut Cx<'_>, jid: &BareJid) -> Result<()> {
        cx.tx.execute("DELETE FROM subscription_request WHERE jid = ?1", params![jid.as_str()])?;
        cx.touched.contacts = true;
        self.answer_subscription(cx, jid, "subscribed")
    }

    fn answer_subscription(&mut self, cx: &mut Cx<'_>, jid: &BareJid, kind: &str) -> Result<()> {
        // Unlike other presence this is a decision: it must survive a session, so it waits like a note.
        let presence = Tag::new("presence").attr("to", jid.as_str()).attr("type", kind);
        self.enqueue(cx, Kind::Note, jid.as_str(), None, &presence.into_bytes())
    }
}

fn store(cx: &Cx<'_>, item: &Element) -> Result<()> {
    let Some(jid) = bare(item.attr("jid")) else { return Ok(()) };
    let subscription = match item.attr("subscription") {
        Some("remove") => {
            cx.tx.prepare_cached("DELETE FROM contact WHERE jid = ?1")?.execute(params![jid.as_str()])?;
            return Ok(());
        }
        Some("both") => 3,
        Some("from") => 2,
        Some("to") => 1,
        _ => 0,
    };
    let groups: Vec<String> =
        item.children().filter(|child| child.name() == "group").map(Element::text).collect();
    cx.tx
        .prepare_cached("INSERT OR REPLACE INTO contact (jid, name, subscription, asked, groups) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            jid.as_str(),
            item.attr("name").filter(|name| !name.is_empty()),
            subscription,
            item.attr("ask") == Some("subscribe"),
            serde_json::to_string(&groups)?,
        ])?;
    if subscription >= 2 {
        cx.tx
            .prepare_cached("DELETE FROM subscription_request WHERE jid = ?1")?
            .execute(params![jid.as_str()])?;
    }
    Ok(())
}

/// All contacts, and those who ask to be one.
///
/// # Errors
/// Where the world failed.
pub fn contacts(connection: &Connection) -> Result<Vec<Contact>> {
    let mut statement = connection.prepare_cached(
        "SELECT c.jid, c.name, c.subscription, c.asked, EXISTS (SELECT 1 FROM subscription_request AS r WHERE r.jid = c.jid),
                EXISTS (SELECT 1 FROM presence AS p WHERE p.bare = c.jid)
         FROM contact AS c
         UNION ALL
         SELECT r.jid, NULL, 0, 0, 1, 0 FROM subscription_request AS r WHERE r.jid NOT IN (SELECT jid FROM contact)
         ORDER BY 1",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get(1)?,
            row.get::<_, i64>(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
        ))
    })?;
    rows.map(|row| {
        let (jid, name, subscription, asked, asks, available) = row?;
        Ok(Contact {
            jid: BareJid::new(&jid).map_err(|_| Error::bug("a contact's address"))?,
            name,
            subscription: match subscription {
                3 => Subscription::Both,
                2 => Subscription::From,
                1 => Subscription::To,
                _ => Subscription::None,
            },
            asked,
            asks,
            available,
        })
    })
    .collect()
}

/// `<c/>` of XEP-0115 §4.
pub(crate) fn caps_tag() -> Tag {
    Tag::with_ns("c", ns::CAPS).attr("hash", "sha-1").attr("node", NODE).attr("ver", verification_string())
}

pub(crate) fn identity_tag() -> Tag {
    let (category, kind, name) = IDENTITY;
    Tag::new("identity").attr("category", category).attr("type", kind).attr("name", name)
}

/// XEP-0115 §5.1.
fn verification_string() -> String {
    let (category, kind, name) = IDENTITY;
    let mut features = FEATURES;
    features.sort_unstable();
    let mut text = format!("{category}/{kind}//{name}<");
    for feature in features {
        text.push_str(feature);
        text.push('<');
    }
    BASE64.encode(Sha1::digest(text))
}
