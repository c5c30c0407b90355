//! Whom we do not want to hear of (XEP-0191), and what for (XEP-0377).
//!
//! The server keeps the list, and holds back what those on it write; here is a copy, for what is shown and notified of. Each new
//! session asks for it, and with that for being told what changes, which only our own account may tell. Like all that is told it can get
//! lost in the server; so the list is asked for again when the archive was checked.
//!
//! What the user decides is shown at once, waits for a session that takes it, and stands over the list until the server has answered.
//! Where nobody answers the list tells: what is not as it was decided is said again.

use jid::Jid;
use minidom::Element;
use rusqlite::{Connection, params};
use whimbrel_proto::{address, ns, write::Tag};

use crate::{
    account::{Account, Cx},
    api::{Report, ReportReason},
    error::{Error, Result},
    iq::{self, Pending},
    outbox::Kind,
};

/// Addresses of a list that are kept, and messages that one report names.
const MAX: usize = 10_000;
const MAX_NAMED: usize = 50;

/// Decisions that the server was told and has not answered.
const NOT_ANSWERED: &str = "SELECT jid, wanted, listed FROM blocked WHERE wanted IS NOT NULL
     AND jid NOT IN (SELECT json_extract(what, '$.Block.jid') FROM pending WHERE json_extract(what, '$.Block') IS NOT NULL)";

/// Whether an account, or all of its server, is on the list, as a condition on its bare address.
pub(crate) fn is_blocked(jid: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM blocked AS b WHERE b.jid IN ({jid}, substr({jid}, instr({jid}, '@') + 1)) AND coalesce(b.wanted, b.listed))"
    )
}

impl Account {
    pub(crate) fn block(&mut self, cx: &mut Cx<'_>, jid: &Jid, report: Option<&Report>) -> Result<()> {
        let report = report.map(|report| self.report_tag(cx, report)).transpose()?;
        self.decide(cx, jid, true, change(jid.as_str(), true, report))
    }

    pub(crate) fn unblock(&mut self, cx: &mut Cx<'_>, jid: &Jid) -> Result<()> {
        self.decide(cx, jid, false, change(jid.as_str(), false, None))
    }

    fn decide(&mut self, cx: &mut Cx<'_>, jid: &Jid, on: bool, payload: Tag) -> Result<()> {
        cx.tx.execute(
            "INSERT INTO blocked (jid, wanted) VALUES (?1, ?2) ON CONFLICT (jid) DO UPDATE SET wanted = ?2",
            params![jid.as_str(), on],
        )?;
        self.list_changed(cx);
        iq::supersede(cx, "Block", jid.as_str())?;
        self.say_block(cx, jid.to_string(), on, payload)
    }

    fn say_block(&mut self, cx: &mut Cx<'_>, jid: String, on: bool, payload: Tag) -> Result<()> {
        self.ask_as(cx, Kind::Note, &Pending::Block { jid, on }, "set", None, payload).map(drop)
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
        jid: &str,
        on: bool,
        condition: Option<&str>,
    ) -> Result<()> {
        cx.tx.execute(
            "UPDATE blocked SET wanted = NULL, listed = coalesce(?2, listed) WHERE jid = ?1",
            params![jid, condition.is_none().then_some(on)],
        )?;
        self.list_changed(cx);
        forget_unlisted(cx)
    }

    pub(crate) fn ask_blocklist(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        iq::take_later(cx, is_told_by_list)?;
        self.ask_unless_asked(cx, &Pending::Blocklist)
    }

    /// The whole list, or why there is none. A server that knows of none any more holds nobody back.
    pub(crate) fn blocklist(
        &mut self,
        cx: &mut Cx<'_>,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        iq::take_later(cx, is_told_by_list)?;
        let list = answer.ok().and_then(|answer| answer.get_child("blocklist", ns::BLOCKING));
        let is_lost = matches!(answer, Err("service-unavailable" | "feature-not-implemented"));
        if is_lost || list.is_some() {
            cx.tx.execute("UPDATE blocked SET listed = 0", [])?;
            self.list_changed(cx);
        }
        list.map_or(Ok(()), |list| self.listed_as_blocked(cx, list))?;
        // Of these nobody has said what became of them.
        let decided = cx
            .tx
            .prepare_cached(NOT_ANSWERED)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<Vec<(String, bool, bool)>>>()?;
        for (jid, wanted, listed) in decided {
            if wanted == listed {
                cx.tx.execute("UPDATE blocked SET wanted = NULL WHERE jid = ?1", params![jid])?;
            } else {
                let payload = change(&jid, wanted, None);
                self.say_block(cx, jid, wanted, payload)?;
            }
        }
        forget_unlisted(cx)
    }

    /// Our own account tells what has changed.
    pub(crate) fn blocklist_push(&mut self, cx: &mut Cx<'_>, payload: &Element) -> Result<()> {
        if payload.name() == "block" {
            self.listed_as_blocked(cx, payload)?;
            return self.told_by_push(cx, payload);
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
        self.told_by_push(cx, payload)?;
        forget_unlisted(cx)
    }

    /// That it was done is an answer, too, unless it is still to be said: what another device decides from now on is later. Where something
    /// was decided otherwise before, and nobody has answered that, it may be about that.
    fn told_by_push(&self, cx: &Cx<'_>, payload: &Element) -> Result<()> {
        for jid in addresses(payload) {
            cx.tx
                .prepare_cached(
                    "UPDATE blocked SET wanted = NULL WHERE jid = ?1 AND wanted = listed AND NOT EXISTS
                     (SELECT 1 FROM outbox JOIN pending ON iq = name WHERE number IS NULL AND json_extract(what, '$.Block.jid') = ?1)
                     AND NOT EXISTS (SELECT 1 FROM pending WHERE what = ?2)",
                )?
                .execute(params![jid.as_str(), serde_json::to_string(&Pending::Nothing)?])?;
        }
        Ok(())
    }

    fn listed_as_blocked(&mut self, cx: &mut Cx<'_>, list: &Element) -> Result<()> {
        self.list_changed(cx);
        let listed: usize =
            cx.tx.query_row("SELECT count(*) FROM blocked WHERE listed = 1", [], |row| row.get(0))?;
        for jid in addresses(list).take(MAX.saturating_sub(listed)) {
            cx.tx
                .prepare_cached(
                    "INSERT INTO blocked (jid, listed) VALUES (?1, 1) ON CONFLICT (jid) DO UPDATE SET listed = 1",
                )?
                .execute(params![jid.as_str()])?;
        }
        Ok(())
    }

    fn list_changed(&self, cx: &mut Cx<'_>) {
        (cx.touched.contacts, cx.touched.conversations) = (true, true);
    }
}

const fn is_told_by_list(what: &Pending) -> bool {
    matches!(what, Pending::Blocklist | Pending::Block { .. })
}

/// `<block/>` or `<unblock/>`.
fn change(jid: &str, on: bool, report: Option<Tag>) -> Tag {
    let name = if on { "block" } else { "unblock" };
    Tag::with_ns(name, ns::BLOCKING).child(Tag::new("item").attr("jid", jid).child_opt(report))
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
