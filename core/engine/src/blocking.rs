//! Whom we do not want to hear of (XEP-0191), and what for (XEP-0377).
//!
//! The server keeps the list, and holds back what those on it write; here is a copy, for what is shown and notified of. Each new
//! session asks for it, and with that for being told what changes, which only our own account may tell. What the user decides
//! is shown at once and said as soon as there is a session that takes it.

use jid::Jid;
use minidom::Element;
use rusqlite::{Connection, params};
use whimbrel_proto::{address, ns, write::Tag};

use crate::{
    account::{Account, Cx},
    api::{Report, ReportReason},
    error::{Error, Result},
    iq::Pending,
    outbox::Kind,
};

/// Addresses of a list that are kept, and messages that one report names.
const MAX: usize = 10_000;
const MAX_NAMED: usize = 50;

/// Whether an account, or all of its server, is on the list, as a condition on its bare address.
pub(crate) fn is_blocked(jid: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM blocked AS b WHERE b.jid IN ({jid}, substr({jid}, instr({jid}, '@') + 1)))"
    )
}

impl Account {
    pub(crate) fn block(&mut self, cx: &mut Cx<'_>, jid: &Jid, report: Option<&Report>) -> Result<()> {
        let item = Tag::new("item").attr("jid", jid.as_str());
        let item = match report {
            Some(report) => item.child(self.report_tag(cx, report)?),
            None => item,
        };
        cx.tx.execute("INSERT OR IGNORE INTO blocked (jid) VALUES (?1)", params![jid.as_str()])?;
        self.say_block(cx, jid, true, Tag::with_ns("block", ns::BLOCKING).child(item))
    }

    pub(crate) fn unblock(&mut self, cx: &mut Cx<'_>, jid: &Jid) -> Result<()> {
        let item = Tag::new("item").attr("jid", jid.as_str());
        cx.tx.execute("DELETE FROM blocked WHERE jid = ?1", params![jid.as_str()])?;
        self.say_block(cx, jid, false, Tag::with_ns("unblock", ns::BLOCKING).child(item))
    }

    fn say_block(&mut self, cx: &mut Cx<'_>, jid: &Jid, on: bool, payload: Tag) -> Result<()> {
        self.list_changed(cx);
        let pending = Pending::Block { jid: jid.to_string(), on };
        self.ask_as(cx, Kind::Note, &pending, "set", None, payload).map(drop)
    }

    fn report_tag(&self, cx: &Cx<'_>, report: &Report) -> Result<Tag> {
        let reason = match report.reason {
            ReportReason::Spam => "urn:xmpp:reporting:spam",
            ReportReason::Abuse => "urn:xmpp:reporting:abuse",
        };
        let mut tag = Tag::with_ns("report", ns::REPORTING).attr("reason", reason);
        for id in report.messages.iter().take(MAX_NAMED) {
            let mut statement = cx.tx.prepare_cached(
                "SELECT a.id FROM archived AS a JOIN message AS m ON m.id = a.message
                 WHERE a.archive = ?1 AND (m.local_id = ?2 OR CAST(m.id AS TEXT) = ?2) AND m.id = coalesce(
                   (SELECT id FROM message WHERE local_id = ?2), CAST(?2 AS INTEGER)) LIMIT 1",
            )?;
            let mut rows = statement.query(params![self.jid.as_str(), id.0])?;
            if let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                let stanza_id = Tag::with_ns("stanza-id", ns::SID).attr("by", self.jid.as_str());
                tag = tag.child(stanza_id.attr("id", id));
            }
        }
        Ok(tag.child_opt(report.text.as_ref().map(|text| Tag::new("text").text(text))))
    }

    /// The server has taken it, or not: then it is as it was.
    pub(crate) fn block_answered(
        &mut self,
        cx: &mut Cx<'_>,
        jid: &str,
        on: bool,
        condition: Option<&str>,
    ) -> Result<()> {
        match condition {
            // Nobody knows: the next session asks for the list.
            None | Some("remote-server-timeout") => return Ok(()),
            Some(_) if on => cx.tx.execute("DELETE FROM blocked WHERE jid = ?1", params![jid])?,
            Some(_) => cx.tx.execute("INSERT OR IGNORE INTO blocked (jid) VALUES (?1)", params![jid])?,
        };
        self.list_changed(cx);
        Ok(())
    }

    /// The whole list.
    pub(crate) fn blocklist(&mut self, cx: &mut Cx<'_>, answer: &Element) -> Result<()> {
        let Some(list) = answer.get_child("blocklist", ns::BLOCKING) else { return Ok(()) };
        cx.tx.execute("DELETE FROM blocked", [])?;
        self.listed_as_blocked(cx, list)
    }

    /// Our own account tells what has changed.
    pub(crate) fn blocklist_push(&mut self, cx: &mut Cx<'_>, payload: &Element) -> Result<()> {
        if payload.name() == "block" {
            return self.listed_as_blocked(cx, payload);
        }
        self.list_changed(cx);
        let mut all = true;
        for jid in addresses(payload) {
            all = false;
            cx.tx.prepare_cached("DELETE FROM blocked WHERE jid = ?1")?.execute(params![jid.as_str()])?;
        }
        // XEP-0191 §3.5: nobody named is everybody; somebody of whom nothing can be made is not.
        if all && payload.children().next().is_none() {
            cx.tx.execute("DELETE FROM blocked", [])?;
        }
        Ok(())
    }

    fn listed_as_blocked(&mut self, cx: &mut Cx<'_>, list: &Element) -> Result<()> {
        self.list_changed(cx);
        for jid in addresses(list) {
            cx.tx
                .prepare_cached(
                    "INSERT OR IGNORE INTO blocked (jid) SELECT ?1 WHERE (SELECT count(*) FROM blocked) < ?2",
                )?
                .execute(params![jid.as_str(), MAX as i64])?;
        }
        Ok(())
    }

    fn list_changed(&self, cx: &mut Cx<'_>) {
        (cx.touched.contacts, cx.touched.conversations) = (true, true);
    }
}

fn addresses(list: &Element) -> impl Iterator<Item = Jid> {
    let items = list.children().filter(|child| child.name() == "item").take(MAX);
    items.filter_map(|item| item.attr("jid").and_then(address::parse))
}

/// Everybody on the list.
///
/// # Errors
/// Where the world failed.
pub fn blocked(connection: &Connection) -> Result<Vec<Jid>> {
    let mut statement = connection.prepare_cached("SELECT jid FROM blocked ORDER BY jid")?;
    let jids = statement.query_map([], |row| row.get::<_, String>(0))?;
    jids.map(|jid| Jid::new(&jid?).map_err(|_| Error::bug("a blocked address"))).collect()
}
