//! Deleting here, and nowhere else: a message, a conversation, everything before some time.
//!
//! A row stays where a message was, with its names, its archive's ids and its place, and nothing of what was written: what an
//! archive, a carbon or a resend brings again is known by it, and the order that other messages have by it stays as it was.
//! Edges of gaps and what is covered are ids, which stay, too. Of the text a digest is left: a contact that gives two messages
//! one id has written two, and only the deleted one stays away.
//!
//! What was before the first sign-in and is fetched later is not shown either in a conversation that was deleted.

use std::collections::{BTreeMap, BTreeSet};

use jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::{
    account::{Account, Cx},
    amendments::{self, Kind},
    api::{Delete, Error, Reply},
    error::{Error as Bug, Result},
    messages,
    mutants::{self, Mutant},
    read_position, search,
};

/// The `kind` of a row that is left of a message. It is hidden.
pub(crate) const DELETED: i64 = 5;

/// When `message AS m` came: what was said about a message goes with it, whenever it was said.
const CAME: &str = "CASE WHEN m.kind >= 2 AND m.root IS NOT NULL THEN (SELECT at FROM message AS r WHERE r.id = m.root) ELSE m.at END";

/// Rows that a step deletes, and that it looks at.
const BATCH: usize = 500;
const WINDOW: i64 = 5_000;

impl Account {
    pub(crate) fn delete(
        &mut self,
        cx: &mut Cx<'_>,
        what: &Delete,
    ) -> Result<std::result::Result<Reply, Error>> {
        match what {
            Delete::Message { id } => {
                let shown = "SELECT EXISTS (SELECT 1 FROM message WHERE id = ?1 AND hidden = 0)";
                match amendments::row(cx.tx, id)? {
                    Some(message) if cx.tx.query_row(shown, params![message], |row| row.get(0))? => {
                        self.delete_with_all_about_it(cx, message)?;
                    }
                    _ => return Ok(Err(Error::NotFound)),
                }
            }
            Delete::Conversation { with } => {
                let conversation = messages::conversation(cx, with)?;
                let pinned: bool = cx.tx.query_row(
                    "SELECT pinned FROM conversation WHERE id = ?1",
                    params![conversation],
                    |row| row.get(0),
                )?;
                if pinned {
                    // Else it would come back with what our own node says.
                    self.decided(cx, conversation)?;
                }
                cx.touched.conversations = true;
                cx.tx.execute(
                    "UPDATE conversation SET chat_state = NULL, draft = NULL, pinned = 0,
                     cleared = coalesce((SELECT max(coalesce(covered_position, high_position)) FROM gap WHERE kind = 1), cleared) WHERE id = ?1",
                    params![conversation],
                )?;
                cx.conversation = None;
                self.delete_all(cx, Some(conversation), None)?;
            }
            Delete::Before { at } => self.delete_all(cx, None, Some(*at))?,
        }
        Ok(Ok(Reply::Done))
    }

    /// All that is here by now, of a conversation or from before some time.
    fn delete_all(&mut self, cx: &mut Cx<'_>, conversation: Option<i64>, before: Option<i64>) -> Result<()> {
        cx.tx.execute(
            "INSERT INTO deletion (conversation, before, last) SELECT ?1, ?2, coalesce(max(id), 0) FROM message",
            params![conversation, before],
        )?;
        self.go_on_deleting(cx)
    }

    /// Deletes a batch of what is to be deleted, in the order in which it came: what a list shows of a conversation goes last.
    pub(crate) fn go_on_deleting(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let first = "SELECT id, conversation, before, next, last, root FROM deletion ORDER BY id LIMIT 1";
        type Wish = (i64, Option<i64>, Option<i64>, i64, i64, Option<i64>);
        let wish: Option<Wish> = cx
            .tx
            .prepare_cached(first)?
            .query_row([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })
            .optional()?;
        self.deleting = None;
        let Some((wish, conversation, before, next, last, root)) = wish else { return Ok(()) };
        if let Some(root) = root {
            let rows = about(cx, root)?;
            self.delete_rows(cx, &rows)?;
            if rows.len() < BATCH {
                cx.tx.execute("DELETE FROM deletion WHERE id = ?1", params![wish])?;
            }
            self.deleting = is_any(cx.tx)?.then_some(cx.now.mono);
            return Ok(());
        }
        let few = match conversation {
            Some(conversation) if next == 0 => if_few(cx, conversation, last)?,
            _ => None,
        };
        let (rows, done_to) = match few {
            Some(rows) => (rows, last),
            None => {
                let end = last.min(next + WINDOW);
                let rows = rows_between(cx, (next, end), conversation, before)?;
                let done_to = rows.last().filter(|_| rows.len() == BATCH).copied();
                (rows, done_to.unwrap_or(end))
            }
        };
        self.delete_rows(cx, &rows)?;
        if done_to >= last {
            cx.tx.execute("DELETE FROM deletion WHERE id = ?1", params![wish])?;
        } else {
            cx.tx.execute("UPDATE deletion SET next = ?2 WHERE id = ?1", params![wish, done_to])?;
        }
        self.deleting = is_any(cx.tx)?.then_some(cx.now.mono);
        Ok(())
    }

    /// A message is deleted with all that was said about it: of very much the rest by the next steps.
    pub(crate) fn delete_with_all_about_it(&mut self, cx: &mut Cx<'_>, message: i64) -> Result<()> {
        let mut rows = about(cx, message)?;
        if rows.len() == BATCH {
            cx.tx.execute("INSERT INTO deletion (last, root) VALUES (0, ?1)", params![message])?;
            self.deleting = Some(cx.now.mono);
        }
        rows.push(message);
        self.delete_rows(cx, &rows)
    }

    pub(crate) fn delete_rows(&self, cx: &mut Cx<'_>, messages: &[i64]) -> Result<()> {
        cx.any_stood_in = None;
        let goes_out = changes_of_what_has_left(cx)?;
        let mut conversations = BTreeMap::new();
        for message in messages {
            let (conversation, position, kind, body): (i64, i64, i64, String) = cx
                .tx
                .prepare_cached("SELECT conversation, position, kind, body FROM message WHERE id = ?1")?
                .query_row(params![message], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?;
            let position = amendments::lowest_answer(cx, *message)?.unwrap_or(position).min(position);
            let lowest = conversations.entry(conversation).or_insert(position);
            *lowest = position.min(*lowest);
            cx.tx
                .prepare_cached(&format!(
                    "UPDATE message SET target = CASE WHEN kind = 2 AND root IS NULL THEN target END,
                     kind = {DELETED}, hidden = 1, body = ?2, extra = NULL, root = NULL, namespace = NULL, amended = 0,
                     written_at = NULL, reason = NULL, asks = 0,
                     sender = CASE mine WHEN 1 THEN ?3 ELSE (SELECT jid FROM conversation AS c WHERE c.id = conversation) END WHERE id = ?1"
                ))?
                .execute(params![message, digest(kind, &body), self.jid.as_str()])?;
            // What was never sent is not sent; what may have been is gone already.
            if !goes_out.contains(message) {
                cx.tx
                    .prepare_cached("DELETE FROM outbox WHERE message = ?1 AND first_sent IS NULL")?
                    .execute(params![message])?;
            }
            if mutants::on(Mutant::DeletedForgotten) {
                cx.tx.execute("DELETE FROM archived WHERE message = ?1", [message])?;
                cx.tx.execute("UPDATE message SET name = NULL, stanza_id = NULL WHERE id = ?1", [message])?;
            }
            search::changed(cx, *message)?;
        }
        for (conversation, lowest) in conversations {
            messages::relist(cx, conversation)?;
            let peer: String = cx
                .tx
                .prepare_cached("SELECT jid FROM conversation WHERE id = ?1")?
                .query_row(params![conversation], |row| row.get(0))?;
            let peer = BareJid::new(&peer).map_err(|_| Bug::bug("a conversation's address"))?;
            read_position::count_unread(cx, &peer)?;
            messages::touch(cx, &peer, lowest);
        }
        Ok(())
    }
}

/// Some of what was said about a message.
fn about(cx: &Cx<'_>, message: i64) -> Result<Vec<i64>> {
    let sql =
        format!("SELECT id FROM message WHERE root = ?1 AND kind >= 2 AND kind <> {DELETED} LIMIT {BATCH}");
    let mut statement = cx.tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![message], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether `message AS m` is still to be deleted, as a condition.
pub(crate) fn is_going() -> String {
    format!(
        "EXISTS (SELECT 1 FROM deletion AS d WHERE m.kind <> {DELETED} AND CASE
           WHEN d.root IS NOT NULL THEN m.root = d.root AND m.kind >= 2
           WHEN m.id <= d.next OR m.id > d.last THEN 0
           WHEN d.conversation IS NOT NULL THEN m.conversation = d.conversation
           ELSE {CAME} < d.before END)"
    )
}

/// Whether anything is still to be deleted.
pub(crate) fn is_any(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM deletion)", [], |row| row.get(0))?)
}

/// All of a conversation, if that is no more than a batch: most are short, in files that are not.
fn if_few(cx: &Cx<'_>, conversation: i64, last: i64) -> Result<Option<Vec<i64>>> {
    let sql = format!(
        "SELECT id FROM message WHERE conversation = ?1 AND +id <= ?3 AND kind <> {DELETED} LIMIT ?2"
    );
    let mut statement = cx.tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![conversation, BATCH as i64 + 1, last], |row| row.get(0))?;
    let rows: Vec<i64> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(Some(rows).filter(|rows| rows.len() <= BATCH))
}

/// What there is of it among the rows above one number and up to another.
fn rows_between(
    cx: &Cx<'_>,
    (above, to): (i64, i64),
    conversation: Option<i64>,
    before: Option<i64>,
) -> Result<Vec<i64>> {
    let (which, value) = match conversation {
        Some(conversation) => ("+conversation = ?3".to_owned(), conversation),
        None if mutants::on(Mutant::SaidDeletedByItself) => {
            ("at < ?3".to_owned(), before.unwrap_or_default())
        }
        None => (format!("{CAME} < ?3"), before.unwrap_or_default()),
    };
    let sql = format!(
        "SELECT id FROM message AS m WHERE id > ?1 AND id <= ?2 AND kind <> {DELETED} AND {which} ORDER BY id LIMIT ?4"
    );
    let mut statement = cx.tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![above, to, value, BATCH as i64], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Corrections and retractions that wait, of what others may have: these are to change, whatever is deleted here.
fn changes_of_what_has_left(cx: &Cx<'_>) -> Result<BTreeSet<i64>> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT m.id FROM outbox AS o JOIN message AS m ON m.id = o.message WHERE o.first_sent IS NULL AND m.kind IN (2, 3)
             AND NOT EXISTS (SELECT 1 FROM outbox AS r WHERE r.message = m.root AND r.first_sent IS NULL)",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?)
}

/// Whether a message that an archive brings of the conversation that was looked up last belongs to what was deleted before it was
/// ever here.
pub(crate) fn is_cleared(cx: &Cx<'_>, position: i64) -> bool {
    let cleared = cx.conversation.as_ref().and_then(|found| found.cleared);
    cleared.is_some_and(|cleared| cleared > position)
}

/// Whether one of these is the name of a message that was not here when a correction that stood for it was deleted.
pub(crate) fn is_what_was_corrected(
    cx: &mut Cx<'_>,
    conversation: i64,
    mine: bool,
    names: [Option<&str>; 3],
) -> Result<bool> {
    let any = match cx.any_stood_in {
        Some(any) => any,
        None => cx
            .tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE kind = 5 AND target IS NOT NULL)")?
            .query_row([], |row| row.get(0))?,
    };
    cx.any_stood_in = Some(any);
    if !any {
        return Ok(false);
    }
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM message WHERE kind = 5 AND target IN (?1, ?2, ?3) AND conversation = ?4 AND mine = ?5)",
        )?
        .query_row(params![names[0], names[1], names[2], conversation, mine], |row| row.get(0))?)
}

/// What is left of it, then.
#[allow(clippy::too_many_arguments, reason = "a row has many columns")]
pub(crate) fn insert(
    cx: &Cx<'_>,
    conversation: i64,
    position: i64,
    mine: bool,
    from: &BareJid,
    at: i64,
    name: Option<&str>,
    (kind, body): (Kind, &str),
) -> Result<i64> {
    cx.tx
        .prepare_cached(&format!(
            "INSERT INTO message (conversation, position, mine, kind, hidden, sender, body, at, name)
             VALUES (?1, ?2, ?3, {DELETED}, 1, ?4, ?5, ?6, ?7)"
        ))?
        .execute(params![conversation, position, mine, from.as_str(), digest(kind.code(), body), at, name])?;
    Ok(cx.tx.last_insert_rowid())
}

/// What is left of a text.
pub(crate) fn digest(kind: i64, body: &str) -> String {
    let digest = Sha256::digest(format!("{kind} {body}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a row of this kind and body says this, or said it.
pub(crate) fn is_text((is, kept): (i64, &str), (kind, body): (Kind, &str)) -> bool {
    if is == DELETED { kept == digest(kind.code(), body) } else { is == kind.code() && kept == body }
}
