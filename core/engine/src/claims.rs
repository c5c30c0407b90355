//! Namespaces that an app speaks: what it is asked in them, and answers (RFC 6120 §8.2.3).
//!
//! Only who may see us is heard; strangers are answered as if nobody were there. Each question is a row until it is answered. One
//! that the app has not answered after a minute, or that its process has died over, is answered by us: `remote-server-timeout`, so
//! that whoever asked may ask again. A new session has no old questions: who asked, asked the other one.
//!
//! What the core itself speaks belongs to nobody else.

use minidom::Element;
use rusqlite::{Connection, OptionalExtension, params};
use whimbrel_proto::{
    address, ns,
    write::{Tag, is_allowed},
};

use crate::{
    account::{Account, Cx},
    api::{AskedId, ClaimKind, Error, Event, Reply, RequestKind},
    commands::one_element,
    error::Result,
    iq::{self, MAX_ANSWERS},
    outbox::Kind,
    send::{Answered, invalid},
};

/// Namespaces that an app may claim, and how long one may be, in bytes.
const MAX_CLAIMS: i64 = 100;
const MAX_NAME: usize = 1_024;
/// Questions that wait for the app.
const MAX_ASKED: i64 = 100;
/// How long one waits, in ms.
const PATIENCE: i64 = 60_000;

/// Conditions of RFC 6120 §8.3.3, each with the type that it has most often.
const CONDITIONS: [(&str, &str); 22] = [
    ("bad-request", "modify"),
    ("conflict", "cancel"),
    ("feature-not-implemented", "cancel"),
    ("forbidden", "auth"),
    ("gone", "cancel"),
    ("internal-server-error", "cancel"),
    ("item-not-found", "cancel"),
    ("jid-malformed", "modify"),
    ("not-acceptable", "modify"),
    ("not-allowed", "cancel"),
    ("not-authorized", "auth"),
    ("policy-violation", "modify"),
    ("recipient-unavailable", "wait"),
    ("redirect", "modify"),
    ("registration-required", "auth"),
    ("remote-server-not-found", "cancel"),
    ("remote-server-timeout", "wait"),
    ("resource-constraint", "wait"),
    ("service-unavailable", "cancel"),
    ("subscription-required", "auth"),
    ("undefined-condition", "cancel"),
    ("unexpected-request", "wait"),
];

impl Account {
    pub(crate) fn claim(&mut self, cx: &mut Cx<'_>, namespace: &str, what: ClaimKind, on: bool) -> Answered {
        if namespace.is_empty() || namespace.len() > MAX_NAME || !namespace.chars().all(is_allowed) {
            return Ok(Err(invalid("this cannot be a namespace")));
        }
        if ns::ALL.contains(&namespace) {
            return Ok(Err(invalid("this namespace is spoken here already")));
        }
        let changed = if on {
            let count: i64 = cx.tx.query_row("SELECT count(*) FROM claim", [], |row| row.get(0))?;
            if count >= MAX_CLAIMS {
                return Ok(Err(invalid("too many namespaces are claimed")));
            }
            cx.tx.execute(
                "INSERT OR IGNORE INTO claim (namespace, kind) VALUES (?1, ?2)",
                params![namespace, what as i64],
            )?
        } else {
            cx.tx.execute(
                "DELETE FROM claim WHERE namespace = ?1 AND kind = ?2",
                params![namespace, what as i64],
            )?
        };
        if changed > 0 {
            self.announce_anew(cx)?;
        }
        Ok(Ok(Reply::Done))
    }

    /// Somebody who may see us asks what the app answers.
    pub(crate) fn ask_app(
        &mut self,
        cx: &mut Cx<'_>,
        from: Option<&str>,
        iq: &str,
        is_get: bool,
        payload: &Element,
    ) -> Result<()> {
        let open: i64 = cx.tx.query_row("SELECT count(*) FROM asked", [], |row| row.get(0))?;
        if open >= MAX_ASKED || iq::answers_waiting(cx)? >= MAX_ANSWERS {
            return self.refuse(cx, from, iq, "wait", "resource-constraint");
        }
        cx.tx.prepare_cached("INSERT INTO asked (peer, iq, at) VALUES (?1, ?2, ?3)")?.execute(params![
            from,
            iq,
            cx.now.wall
        ])?;
        cx.event(Event::Asked {
            id: AskedId(cx.tx.last_insert_rowid()),
            from: from.and_then(address::sender),
            kind: if is_get { RequestKind::Get } else { RequestKind::Set },
            payload: String::from(payload),
        });
        Ok(())
    }

    pub(crate) fn answer_of_app(
        &mut self,
        cx: &mut Cx<'_>,
        id: AskedId,
        answer: &std::result::Result<Option<String>, String>,
    ) -> Answered {
        let asked: Option<(Option<String>, String)> = cx
            .tx
            .query_row("SELECT peer, iq FROM asked WHERE id = ?1", params![id.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((peer, iq)) = asked else { return Ok(Err(Error::NotFound)) };
        let tag = Tag::new("iq").attr("id", iq).attr_opt("to", peer.as_ref());
        let tag = match answer {
            Ok(None) => tag.attr("type", "result"),
            Ok(Some(payload)) => match one_element(payload) {
                Ok(payload) => tag.attr("type", "result").xml(&String::from(&payload)),
                Err(what) => return Ok(Err(Error::InvalidInput { what })),
            },
            Err(condition) => {
                let Some((condition, kind)) = CONDITIONS.iter().find(|(known, _)| known == condition) else {
                    return Ok(Err(invalid("there is no such condition")));
                };
                let condition = Tag::with_ns(condition, ns::STANZA_ERRORS);
                tag.attr("type", "error").child(Tag::new("error").attr("type", kind).child(condition))
            }
        };
        let bytes = tag.into_bytes();
        if bytes.len() as u64 > self.max_stanza() {
            return Ok(Err(invalid("it is larger than the server takes")));
        }
        cx.tx.execute("DELETE FROM asked WHERE id = ?1", params![id.0])?;
        self.enqueue(cx, Kind::Iq, peer.as_deref().unwrap_or_default(), None, &bytes)?;
        Ok(Ok(Reply::Done))
    }

    /// What the app has not answered in time is answered, and so is what a process has died over.
    pub(crate) fn answer_for_app(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.asked = None;
        let now = cx.now.wall;
        let mut statement = cx.tx.prepare_cached("SELECT id, peer, iq, at FROM asked ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, peer, iq): (i64, Option<String>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let left = row.get::<_, i64>(3)?.saturating_add(PATIENCE).saturating_sub(now);
            // The clock may have been set back meanwhile.
            if (1..=PATIENCE).contains(&left) {
                self.asked.get_or_insert(cx.now.mono.saturating_add(left as u64));
                continue;
            }
            cx.tx.execute("DELETE FROM asked WHERE id = ?1", params![id])?;
            self.refuse(cx, peer.as_deref(), &iq, "wait", "remote-server-timeout")?;
        }
        Ok(())
    }
}

/// Everything that the app speaks.
pub(crate) fn namespaces(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT namespace FROM claim")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Whether the app speaks this there.
pub(crate) fn is_claimed(cx: &Cx<'_>, namespace: &str, what: ClaimKind) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM claim WHERE namespace = ?1 AND kind = ?2)")?
        .query_row(params![namespace, what as i64], |row| row.get(0))?)
}

/// Whether the app speaks anything there.
pub(crate) fn is_any_claimed(cx: &Cx<'_>, what: ClaimKind) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM claim WHERE kind = ?1)")?
        .query_row(params![what as i64], |row| row.get(0))?)
}
