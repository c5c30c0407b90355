//! What the user decided about a conversation: a draft, pinned, muted, archived, and of what to be notified.
//!
//! Kept in the file of this device. Nothing of it changes what is received, counted or read: it is where a conversation stands in
//! the list, and whether [`crate::api::News`] tells of it. A message brings an archived conversation back, unless it is muted
//! (`messages::listed`). A mute ends by itself, at a time of the wall clock.

use std::collections::BTreeSet;

use jid::BareJid;
use rusqlite::{OptionalExtension, Row, ToSql, params};
use whimbrel_proto::text::Style;

use crate::{
    account::{Account, Cx},
    api::{Draft, Error, Message, Mute, Notify, Reply, Setting},
    error::Result,
    messages,
    send::MAX_TEXT,
};

/// Muted until somebody says otherwise.
const FOR_EVER: i64 = i64::MAX;

impl Account {
    pub(crate) fn set(
        &mut self,
        cx: &mut Cx<'_>,
        with: &BareJid,
        setting: &Setting,
    ) -> Result<std::result::Result<Reply, Error>> {
        let conversation = messages::conversation(cx, with)?;
        match setting {
            Setting::Draft(draft) => {
                let draft = draft.as_ref().filter(|draft| **draft != Draft::default());
                if draft.is_some_and(|draft| draft.text.len() > MAX_TEXT) {
                    return Ok(Err(Error::InvalidInput { what: "the draft is too long".into() }));
                }
                let draft = draft.map(serde_json::to_string).transpose()?;
                change(cx, conversation, "draft", &draft)?;
            }
            Setting::Pinned(pinned) => change(cx, conversation, "pinned", pinned)?,
            Setting::Muted(mute) => {
                let until = match mute {
                    Some(Mute::Until(at)) => Some(*at).filter(|at| *at > cx.now.wall),
                    Some(Mute::ForEver) => Some(FOR_EVER),
                    None => None,
                };
                change(cx, conversation, "muted_until", &until)?;
                self.unmute_at = next_end(cx.tx)?;
            }
            Setting::Archived(archived) => change(cx, conversation, "archived", archived)?,
            Setting::Notify(notify) => {
                let notify = match notify {
                    Notify::Always => 0,
                    Notify::OnMention => 1,
                    Notify::Never => 2,
                };
                change(cx, conversation, "notify", &notify)?;
            }
        }
        Ok(Ok(Reply::Done))
    }

    /// Ends the mutes whose time is over.
    pub(crate) fn unmute(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.unmute_at.is_some_and(|at| at <= cx.now.wall) {
            let ended = cx.tx.execute(
                "UPDATE conversation SET muted_until = NULL WHERE muted_until <= ?1",
                params![cx.now.wall],
            )?;
            cx.touched.conversations |= ended > 0;
            self.unmute_at = next_end(cx.tx)?;
        }
        Ok(())
    }

    /// When the first of them is over, mono ms.
    pub(crate) fn unmute_wake(&self) -> Option<u64> {
        let now = self.clock?;
        let left = u64::try_from(self.unmute_at?.saturating_sub(now.wall)).unwrap_or_default();
        Some(now.mono.saturating_add(left))
    }

    /// Leaves out of new messages what the user wants no word of. What is muted, or never to be told, is not among them.
    pub(crate) fn only_mentions(&self, cx: &Cx<'_>, messages: &mut Vec<Message>) -> Result<()> {
        let mut statement = cx.tx.prepare_cached("SELECT jid FROM conversation WHERE notify = 1")?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        let on_mention: BTreeSet<String> = rows.collect::<rusqlite::Result<_>>()?;
        let is_mention =
            |style: &Style| matches!(style, Style::Mention { whom } if whom.to_bare() == self.jid);
        messages.retain(|message| {
            !on_mention.contains(message.with.as_str())
                || message.spans.iter().any(|span| is_mention(&span.style))
        });
        Ok(())
    }
}

/// When the first mute is over, ms UTC.
pub(crate) fn next_end(connection: &rusqlite::Connection) -> Result<Option<i64>> {
    let sql = "SELECT min(muted_until) FROM conversation WHERE muted_until < ?1";
    Ok(connection.query_row(sql, params![FOR_EVER], |row| row.get(0))?)
}

/// A text was sent: if it was the draft, that is no more, whenever the process ends.
pub(crate) fn sent(cx: &mut Cx<'_>, with: &BareJid, text: &str) -> Result<()> {
    let conversation = messages::conversation(cx, with)?;
    let draft: Option<String> = cx
        .tx
        .prepare_cached("SELECT draft FROM conversation WHERE id = ?1 AND draft IS NOT NULL")?
        .query_row(params![conversation], |row| row.get(0))
        .optional()?;
    match read_draft(draft.as_deref()) {
        Some(draft) if draft.text.trim() == text.trim() => change(cx, conversation, "draft", &None::<String>),
        _ => Ok(()),
    }
}

/// What the columns `draft`, `pinned`, `muted_until`, `archived`, `notify` say, from a column on.
pub(crate) fn read(
    row: &Row<'_>,
    at: usize,
) -> rusqlite::Result<(Option<Draft>, bool, Option<Mute>, bool, Notify)> {
    let draft = read_draft(row.get::<_, Option<String>>(at)?.as_deref());
    let mute = row.get::<_, Option<i64>>(at + 2)?;
    let mute = mute.map(|until| if until == FOR_EVER { Mute::ForEver } else { Mute::Until(until) });
    let notify = match row.get::<_, i64>(at + 4)? {
        1 => Notify::OnMention,
        2 => Notify::Never,
        _ => Notify::Always,
    };
    Ok((draft, row.get(at + 1)?, mute, row.get(at + 3)?, notify))
}

fn read_draft(kept: Option<&str>) -> Option<Draft> {
    // A damaged file may say anything.
    serde_json::from_str(kept?).ok()
}

fn change(cx: &mut Cx<'_>, conversation: i64, column: &'static str, value: &dyn ToSql) -> Result<()> {
    let sql = format!("UPDATE conversation SET {column} = ?2 WHERE id = ?1 AND {column} IS NOT ?2");
    let changed = cx.tx.prepare_cached(&sql)?.execute(params![conversation, value])?;
    cx.touched.conversations |= changed > 0;
    Ok(())
}
