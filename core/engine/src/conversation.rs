//! What the user decided about a conversation: a draft, pinned, muted, archived, and of what to be notified.
//!
//! All of it is kept in the file of this device, and all but drafts on the others, too (`settings.rs`). Nothing of it changes what is
//! received, counted or read: it is where a conversation stands in the list, and whether its user is notified of it (`news.rs`). A message brings an archived conversation back, unless it is muted
//! (`messages::listed`). A mute ends by itself, at a time of the wall clock.

use jid::BareJid;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use whimbrel_proto::settings::Settings;

use crate::{
    account::{Account, Cx},
    api::{Draft, Error, Mute, Notify, Reply, Setting},
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
        let changed = match setting {
            Setting::Draft(draft) => {
                let draft = draft.as_ref().filter(|draft| **draft != Draft::default());
                if draft.is_some_and(|draft| draft.text.len() > MAX_TEXT) {
                    return Ok(Err(Error::InvalidInput { what: "the draft is too long".into() }));
                }
                let draft = draft.map(serde_json::to_string).transpose()?;
                change(cx, conversation, "draft", &draft)?;
                return Ok(Ok(Reply::Done));
            }
            Setting::Pinned(pinned) => change(cx, conversation, "pinned", pinned)?,
            Setting::Muted(mute) => change(cx, conversation, "muted_until", &until(cx, *mute))?,
            Setting::Archived(archived) => change(cx, conversation, "archived", archived)?,
            Setting::Notify(notify) => change(cx, conversation, "notify", &code(*notify))?,
        };
        // A message may have brought it back on one device only: what is said of that is for all of them, be it so here or not.
        if changed || matches!(setting, Setting::Archived(_)) {
            self.unmute_at = next_end(cx.tx)?;
            self.decided(cx, conversation)?;
        }
        Ok(Ok(Reply::Done))
    }

    /// It is to be as another device has set it. What was archived there before its newest message was written is back by now, but for what
    /// came while it was muted; and so it is where a message of ours waits, which comes there later, or where this is told `again` and a
    /// message has brought it back since, whatever the clocks say.
    pub(crate) fn adopt(
        &mut self,
        cx: &mut Cx<'_>,
        conversation: i64,
        settings: &Settings,
        again: bool,
    ) -> Result<()> {
        let until = until(cx, settings.muted);
        let muted_before = match settings.muted {
            Some(Mute::Until(at)) => at,
            Some(Mute::ForEver) | None => 0,
        };
        change(cx, conversation, "pinned", &settings.pinned)?;
        change(cx, conversation, "muted_until", &until)?;
        change(cx, conversation, "notify", &code(settings.notify))?;
        let is_back: bool = cx
            .tx
            .prepare_cached(
                "SELECT coalesce(m.at >= max(c.set_at, ?3) OR (m.mine = 1 AND m.state = 1 AND NOT ?2), 0) OR (?2 AND NOT c.archived)
                 FROM conversation AS c LEFT JOIN message AS m ON m.id = c.last_message WHERE c.id = ?1",
            )?
            .query_row(params![conversation, again, muted_before], |row| row.get(0))?;
        change(cx, conversation, "archived", &(settings.archived && (until.is_some() || !is_back)))?;
        self.unmute_at = next_end(cx.tx)?;
        Ok(())
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
}

/// What is set, as our other devices are to know it.
pub(crate) fn settings(connection: &Connection, conversation: i64) -> Result<Settings> {
    let sql = "SELECT draft, pinned, muted_until, archived, notify, set_at FROM conversation WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row(params![conversation], |row| {
        let (_, pinned, muted, archived, notify) = read(row, 0)?;
        Ok(Settings { pinned, notify, muted, archived, at: Some(row.get(5)?) })
    })?)
}

/// As it is kept. A time that is over mutes nothing.
fn until(cx: &Cx<'_>, mute: Option<Mute>) -> Option<i64> {
    match mute {
        Some(Mute::Until(at)) => Some(at).filter(|at| *at > cx.now.wall),
        Some(Mute::ForEver) => Some(FOR_EVER),
        None => None,
    }
}

fn code(notify: Notify) -> i64 {
    match notify {
        Notify::Always => 0,
        Notify::OnMention => 1,
        Notify::Never => 2,
    }
}

/// When the first mute is over, ms UTC.
pub(crate) fn next_end(connection: &Connection) -> Result<Option<i64>> {
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
    if read_draft(draft.as_deref()).is_some_and(|draft| draft.text.trim() == text.trim()) {
        change(cx, conversation, "draft", &None::<String>)?;
    }
    Ok(())
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

/// Whether it was otherwise.
fn change(cx: &mut Cx<'_>, conversation: i64, column: &'static str, value: &dyn ToSql) -> Result<bool> {
    let sql = format!("UPDATE conversation SET {column} = ?2 WHERE id = ?1 AND {column} IS NOT ?2");
    let changed = cx.tx.prepare_cached(&sql)?.execute(params![conversation, value])?;
    cx.touched.conversations |= changed > 0;
    Ok(changed > 0)
}
