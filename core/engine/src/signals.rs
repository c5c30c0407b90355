//! What contacts are told without anybody having written it: that a message has arrived (XEP-0184), that it was seen (XEP-0333),
//! that somebody types (XEP-0085).
//!
//! The user decides, in general and for each conversation; both stay on this device. Whoever may not see our presence gets no
//! receipts and no markers (XEP-0184 §8), and a stranger no chat states either: somebody who is not in our roster and whom we have
//! never written to learns nothing of us until the user adds, accepts or answers them.

use jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    account::{Account, Cx},
    api::{Reply, Signals},
    error::Result,
    messages,
};

/// Whether a conversation is with a stranger, as a condition on `conversation AS c`.
pub(crate) const IS_STRANGER: &str = "(c.ours = 0 AND NOT EXISTS (SELECT 1 FROM contact WHERE jid = c.jid)
   AND c.jid <> (SELECT jid FROM account))";

impl Account {
    pub(crate) fn set_signals(
        &self,
        cx: &mut Cx<'_>,
        with: Option<&BareJid>,
        signals: Option<Signals>,
    ) -> Result<Reply> {
        cx.receipts_to = None;
        match with {
            None => {
                let bits = bits(signals.unwrap_or_default());
                cx.tx.execute("UPDATE account SET signals = ?1", params![bits])?;
            }
            Some(with) => {
                let conversation = messages::conversation(cx, with)?;
                cx.tx.execute(
                    "UPDATE conversation SET signals = ?2 WHERE id = ?1",
                    params![conversation, signals.map(bits)],
                )?;
                cx.touched.conversations = true;
            }
        }
        Ok(Reply::Done)
    }

    pub(crate) fn set_notify_of_strangers(&self, cx: &mut Cx<'_>, on: bool) -> Result<Reply> {
        cx.tx.execute("UPDATE account SET strangers = ?1", params![on])?;
        Ok(Reply::Done)
    }
}

/// What somebody is told, as far as the user decides.
pub(crate) fn with(cx: &Cx<'_>, peer: &BareJid) -> Result<Signals> {
    let bits = cx
        .tx
        .prepare_cached(
            "SELECT coalesce((SELECT signals FROM conversation WHERE jid = ?1), (SELECT signals FROM account))",
        )?
        .query_row(params![peer.as_str()], |row| row.get(0))?;
    Ok(read(bits))
}

/// What contacts are told in general.
///
/// # Errors
/// Where the world failed.
pub fn in_general(connection: &Connection) -> Result<Signals> {
    Ok(read(connection.query_row("SELECT signals FROM account", [], |row| row.get(0))?))
}

pub(crate) fn is_stranger(cx: &Cx<'_>, peer: &BareJid) -> Result<bool> {
    let sql = format!("SELECT {IS_STRANGER} FROM conversation AS c WHERE c.jid = ?1");
    let known: Option<bool> =
        cx.tx.prepare_cached(&sql)?.query_row(params![peer.as_str()], |row| row.get(0)).optional()?;
    Ok(match known {
        Some(is_stranger) => is_stranger,
        // Nothing was said yet, on either side.
        None => cx
            .tx
            .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM contact WHERE jid = ?1)")?
            .query_row(params![peer.as_str()], |row| row.get(0))?,
    })
}

/// As it is kept.
pub(crate) fn read(bits: i64) -> Signals {
    Signals { delivered: bits & 1 != 0, displayed: bits & 2 != 0, typing: bits & 4 != 0 }
}

fn bits(signals: Signals) -> i64 {
    i64::from(signals.delivered) | i64::from(signals.displayed) << 1 | i64::from(signals.typing) << 2
}
