//! Whom we do not want to hear of (XEP-0191), and what for (XEP-0377).
//!
//! The server keeps the list, and holds back what those on it write; here is a copy, for what is shown and notified of. Each new
//! session asks for it, and with that for being told what changes, which only our own account may tell. Like all that is told it can get
//! lost in the server; so whenever the archive is compared the list is, too.
//!
//! What the user decides is shown at once, stands over what the list says, and is said until the server has answered.

use jid::Jid;
use minidom::Element;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
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

/// What the user has decided: said so, and said again if nobody answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Decision {
    jid: String,
    on: bool,
    payload: String,
}

/// Whether an account, or all of its server, is on the list, as a condition on its bare address.
pub(crate) fn is_blocked(jid: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM blocked AS b WHERE b.jid IN ({jid}, substr({jid}, instr({jid}, '@') + 1)) AND coalesce(b.wanted, b.listed))"
    )
}

impl Account {
    pub(crate) fn block(&mut self, cx: &mut Cx<'_>, jid: &Jid, report: Option<&Report>) -> Result<()> {
        let item = Tag::new("item").attr("jid", jid.as_str());
        let item = match report {
            Some(report) => item.child(self.report_tag(cx, report)?),
            None => item,
        };
        self.decide(cx, jid, true, Tag::with_ns("block", ns::BLOCKING).child(item))
    }

    pub(crate) fn unblock(&mut self, cx: &mut Cx<'_>, jid: &Jid) -> Result<()> {
        let item = Tag::new("item").attr("jid", jid.as_str());
        self.decide(cx, jid, false, Tag::with_ns("unblock", ns::BLOCKING).child(item))
    }

    fn decide(&mut self, cx: &mut Cx<'_>, jid: &Jid, on: bool, payload: Tag) -> Result<()> {
        cx.tx.execute(
            "INSERT INTO blocked (jid, wanted) VALUES (?1, ?2) ON CONFLICT (jid) DO UPDATE SET wanted = ?2",
            params![jid.as_str(), on],
        )?;
        self.list_changed(cx);
        self.say_block(cx, Decision { jid: jid.to_string(), on, payload: payload.finish() })
    }

    fn say_block(&mut self, cx: &mut Cx<'_>, decision: Decision) -> Result<()> {
        let payload = decision.payload.clone();
        self.ask_xml(cx, Kind::Note, &Pending::Block(decision), "set", None, &payload).map(drop)
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

    /// The server has taken it, or not: then it is as the list says.
    pub(crate) fn block_answered(
        &mut self,
        cx: &mut Cx<'_>,
        decision: Decision,
        condition: Option<&str>,
    ) -> Result<()> {
        let later = "SELECT EXISTS (SELECT 1 FROM blocked WHERE jid = ?1 AND wanted <> ?2)
                     OR EXISTS (SELECT 1 FROM pending WHERE json_extract(what, '$.Block.jid') = ?1)";
        if cx.tx.prepare_cached(later)?.query_row(params![decision.jid, decision.on], |row| row.get(0))? {
            // It was decided anew since.
            return Ok(());
        }
        if condition == Some("remote-server-timeout") {
            return self.say_block(cx, decision);
        }
        let listed = condition.is_none().then_some(decision.on);
        cx.tx.execute(
            "UPDATE blocked SET wanted = NULL, listed = coalesce(?2, listed) WHERE jid = ?1",
            params![decision.jid, listed],
        )?;
        self.list_changed(cx);
        forget_unlisted(cx)
    }

    /// The whole list.
    pub(crate) fn blocklist(&mut self, cx: &mut Cx<'_>, answer: &Element) -> Result<()> {
        let Some(list) = answer.get_child("blocklist", ns::BLOCKING) else { return Ok(()) };
        cx.tx.execute("UPDATE blocked SET listed = 0", [])?;
        self.listed_as_blocked(cx, list)?;
        forget_unlisted(cx)
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
            let sql = "UPDATE blocked SET listed = 0 WHERE jid = ?1";
            cx.tx.prepare_cached(sql)?.execute(params![jid.as_str()])?;
        }
        // XEP-0191 §3.5: nobody named is everybody; somebody of whom nothing can be made is not.
        if all && payload.children().next().is_none() {
            cx.tx.execute("UPDATE blocked SET listed = 0", [])?;
        }
        forget_unlisted(cx)
    }

    fn listed_as_blocked(&mut self, cx: &mut Cx<'_>, list: &Element) -> Result<()> {
        self.list_changed(cx);
        for jid in addresses(list) {
            cx.tx
                .prepare_cached(
                    "INSERT INTO blocked (jid, listed) SELECT ?1, 1 WHERE (SELECT count(*) FROM blocked) < ?2
                     ON CONFLICT (jid) DO UPDATE SET listed = 1",
                )?
                .execute(params![jid.as_str(), MAX as i64])?;
        }
        Ok(())
    }

    fn list_changed(&self, cx: &mut Cx<'_>) {
        (cx.touched.contacts, cx.touched.conversations) = (true, true);
    }
}

fn forget_unlisted(cx: &Cx<'_>) -> Result<()> {
    cx.tx.execute("DELETE FROM blocked WHERE listed = 0 AND wanted IS NULL", [])?;
    Ok(())
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
    let mut statement =
        connection.prepare_cached("SELECT jid FROM blocked WHERE coalesce(wanted, listed) ORDER BY jid")?;
    let jids = statement.query_map([], |row| row.get::<_, String>(0))?;
    jids.map(|jid| Jid::new(&jid?).map_err(|_| Error::bug("a blocked address"))).collect()
}
