//! How far each conversation was read, the same on all of our devices (XEP-0490).
//!
//! A node of our own (`own_nodes.rs`) has an item for each contact: the archive's id of the newest message that was read and that it has
//! named. What another device read moves ours forward and never back; an id that is not here yet waits for the archive.
//!
//! The node itself can go back: a device that was in a tunnel says late how far it had read before. Whoever knows better says it
//! again.

use jid::BareJid;
use rusqlite::{OptionalExtension, params};
use whimbrel_proto::{ns, pubsub, write::Tag};

use crate::{
    account::{Account, Archive, Cx, Nodes},
    error::Result,
    iq::{NO_ANSWER, bare},
    messages,
    mutants::{self, Mutant},
    own_nodes::OwnNode,
};

/// Longest id of an archive, in bytes.
const MAX_ID: usize = 1_024;

impl Account {
    /// We have read on here.
    pub(crate) fn read_on(&mut self, cx: &Cx<'_>, with: &str) -> Result<()> {
        if matches!(self.login.nodes, Some(Nodes::None | Nodes::There))
            || mutants::on(Mutant::ReadNotTold) && self.online().is_none()
        {
            return Ok(());
        }
        cx.tx
            .prepare_cached(
                "INSERT INTO displayed (jid, due) VALUES (?1, 1) ON CONFLICT (jid) DO UPDATE SET due = due | 1",
            )?
            .execute(params![with])?;
        self.tell_soon(cx);
        Ok(())
    }

    /// Says how far we have read.
    pub(crate) fn tell_read(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.login.archive == Archive::Unknown {
            return Ok(());
        }
        // Where a message stands its first id has its place: of a resend, others may have come before it that are not read.
        // What was deleted here was read all the same.
        // What was read elsewhere and is not here yet is newer than what was read here, until nothing is missing.
        let rows: Vec<(String, Option<String>, i64, Option<String>)> = cx
            .tx
            .prepare_cached(
                "SELECT d.jid, d.said, c.read_position, (SELECT (SELECT a.id FROM archived AS a WHERE a.message = m.id AND a.archive = ?1 ORDER BY a.place LIMIT 1)
                   FROM message AS m WHERE m.conversation = c.id AND m.position <= c.read_position AND m.mine = 0 AND (m.hidden = 0 OR m.kind = 5)
                   ORDER BY m.position DESC, m.id DESC LIMIT 1)
                 FROM displayed AS d JOIN conversation AS c ON c.jid = d.jid
                 WHERE d.due <> 0 AND d.due & 1 AND (d.awaited IS NULL OR NOT EXISTS (SELECT 1 FROM gap WHERE kind = 0))",
            )?
            .query_map(params![self.jid.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (with, said, mark, read) in rows {
            let told =
                said.as_deref().map(|said| conversation_of(cx, self.jid.as_str(), said)).transpose()?;
            let told = told.flatten().filter(|(jid, _)| *jid == with).map(|(_, position)| position);
            if let Some(position) = told
                && let Some(peer) = bare(Some(&with)).filter(|_| position >= mark)
            {
                // What was said stood below what was read here when it was heard, and has moved; or the mark is no message of theirs.
                read_up_to(cx, &peer, position)?;
                nothing_more(cx, &with)?;
                continue;
            }
            let is_last = read.is_some();
            let read = match read {
                Some(read) => read,
                // The archive has not said yet how it calls this one, and may never: until then what stands below it is told, where that
                // is more than was said.
                None => match named_below(cx, self.jid.as_str(), &with, mark)? {
                    Some((id, position)) if told.map_or(said.is_none(), |told| told < position) => id,
                    _ => continue,
                },
            };
            if said.as_deref() == Some(&read) {
                nothing_more(cx, &with)?;
                continue;
            }
            cx.tx.execute(
                "UPDATE displayed SET due = ?3, said = ?2, awaited = NULL WHERE jid = ?1",
                params![with, read, if is_last { 2 } else { 3 }],
            )?;
            let stanza_id =
                Tag::with_ns("stanza-id", ns::SID).attr("id", &read).attr("by", self.jid.as_str());
            self.tell(
                cx,
                OwnNode::Displayed,
                &with,
                Tag::with_ns("displayed", ns::DISPLAYED).child(stanza_id),
            )?;
        }
        Ok(())
    }

    /// The server has it, or does not want it.
    pub(crate) fn read_was_told(
        &mut self,
        cx: &mut Cx<'_>,
        with: &str,
        condition: Option<&str>,
    ) -> Result<()> {
        let again = condition == Some(NO_ANSWER);
        cx.tx
            .prepare_cached(
                // While there is more to be told, what was refused is still known by what it said.
                "UPDATE displayed SET due = due & 1 | ?2, said = CASE WHEN ?3 OR (due & 1 AND NOT ?2) THEN said END WHERE jid = ?1 AND due & 2",
            )?
            .execute(params![with, again, condition.is_none()])?;
        Ok(())
    }

    /// Another device of ours has read so far, or this one.
    pub(crate) fn displayed_elsewhere(&mut self, cx: &mut Cx<'_>, item: &pubsub::Item<'_>) -> Result<()> {
        let own = self.jid.as_str();
        let stanza_id = item
            .payload
            .filter(|payload| payload.is("displayed", ns::DISPLAYED))
            .and_then(|displayed| displayed.get_child("stanza-id", ns::SID))
            // slixmpp does not say which archive, and means ours.
            .filter(|stanza_id| stanza_id.attr("by").is_none_or(|by| by == own));
        let (Some(id), Some(with)) = (stanza_id.and_then(|id| id.attr("id")), bare(Some(item.id))) else {
            return Ok(());
        };
        if id.len() > MAX_ID {
            return Ok(());
        }
        let here = match conversation_of(cx, own, id)? {
            Some((jid, _)) if jid != with.as_str() => return Ok(()),
            Some((_, position)) => {
                let far = if mutants::on(Mutant::ReadTooFar) { i64::MAX } else { position };
                read_up_to(cx, &with, far)?;
                Some(position)
            }
            None => {
                cx.awaits = Some(true);
                None
            }
        };
        cx.tx
            .prepare_cached(
                // If this is an echo of ours, another device may have been quicker and further.
                "INSERT INTO displayed (jid, said, awaited) VALUES (?1, ?2, ?3)
                 ON CONFLICT (jid) DO UPDATE SET said = ?2, awaited = coalesce(?3, CASE WHEN due & 2 THEN awaited END)",
            )?
            .execute(params![with.as_str(), id, here.is_none().then_some(id)])?;
        match here {
            Some(position) => self.say_again(cx, &with, id, position),
            None => Ok(()),
        }
    }

    /// The node says less than what was read here.
    fn say_again(&mut self, cx: &Cx<'_>, with: &BareJid, id: &str, told: i64) -> Result<()> {
        let repair = (with.to_string(), id.to_owned());
        if !self.may_repair(&repair) || mutants::on(Mutant::ReadNotSaidAgain) {
            return Ok(());
        }
        let less = cx
            .tx
            .prepare_cached(
                "UPDATE displayed SET due = due | 1 WHERE jid = ?1 AND EXISTS (SELECT 1 FROM conversation AS c JOIN message AS m ON m.conversation = c.id
                 WHERE c.jid = ?1 AND m.position > ?2 AND m.position <= c.read_position AND m.mine = 0
                 AND (m.hidden = 0 OR m.kind = 5) AND EXISTS (SELECT 1 FROM archived WHERE message = m.id))",
            )?
            .execute(params![with.as_str(), told])?;
        if less > 0 {
            self.telling.repaired.insert(repair);
            self.tell_soon(cx);
        }
        Ok(())
    }

    /// What has come in this step and was read elsewhere before, now that it stands where it belongs.
    pub(crate) fn read_what_came(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        for id in std::mem::take(&mut cx.read) {
            let Some((jid, position)) = conversation_of(cx, self.jid.as_str(), &id)? else { continue };
            let awaited = cx.tx.execute(
                "UPDATE displayed SET awaited = NULL, due = due | (said IS NOT awaited) WHERE awaited = ?1 AND jid = ?2",
                params![id, jid],
            )?;
            if let Some(with) = bare(Some(&jid)).filter(|_| awaited > 0) {
                read_up_to(cx, &with, position)?;
                // Or it is less than what was read here, or the node was left behind meanwhile.
                self.say_again(cx, &with, &id, position)?;
                self.tell_what_is_due(cx)?;
            }
        }
        Ok(())
    }
}

/// Everything up to a position was seen.
pub(crate) fn read_up_to(cx: &mut Cx<'_>, peer: &BareJid, position: i64) -> Result<()> {
    let changed = cx
        .tx
        .prepare_cached(&mutants::sql(
            Mutant::ReadGoesBack,
            "UPDATE conversation SET read_position = ?2 WHERE jid = ?1 AND read_position < ?2",
            "read_position < ?2",
            "read_position <> ?2",
        ))?
        .execute(params![peer.as_str(), position])?;
    if changed > 0 { count_unread(cx, peer) } else { Ok(()) }
}

/// Unread is what stands above the mark, and was not on the screen when this device was read.
pub(crate) fn count_unread(cx: &mut Cx<'_>, peer: &BareJid) -> Result<()> {
    cx.tx
        .prepare_cached(
            "UPDATE conversation SET unread = (SELECT count(*) FROM message AS m WHERE m.conversation = conversation.id
             AND m.position > conversation.read_position AND m.id > conversation.read_here AND m.mine = 0 AND m.hidden = 0) WHERE jid = ?1",
        )?
        .execute(params![peer.as_str()])?;
    messages::touch_line(cx, peer);
    Ok(())
}

/// A message has another place than `before`. While the archive is compared they move one at a time: what was read stays read,
/// and what was not is not read because it stands below the mark for a while.
pub(crate) fn moved(cx: &mut Cx<'_>, peer: &BareJid, message: i64, before: i64) -> Result<()> {
    let (position, theirs, counts, was_seen, conversation, read): (i64, bool, bool, bool, i64, i64) = cx
        .tx
        .prepare_cached(
            "SELECT m.position, m.mine = 0, m.hidden = 0 AND m.id > c.read_here, m.id <= c.read_here AND (m.hidden = 0 OR m.kind = 5),
             c.id, c.read_position FROM message AS m JOIN conversation AS c ON c.id = m.conversation WHERE m.id = ?1",
        )?
        .query_row(params![message], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?;
    if !theirs || position.min(before) > read {
        return Ok(());
    }
    // The mark goes with its message, and on over what this device has shown to who read it.
    let goes_along = if before == read { position.max(resent_at(cx, message)?.min(read)) } else { read };
    let mark = if before == read || was_seen { seen_from(cx, conversation, goes_along)? } else { goes_along };
    if mark != read {
        set_mark(cx, peer, conversation, mark)?;
    } else if counts && (before <= read) != (position <= read) {
        cx.tx
            .prepare_cached("UPDATE conversation SET unread = max(0, unread + ?2) WHERE id = ?1")?
            .execute(params![conversation, if position > read { 1 } else { -1 }])?;
        messages::touch_line(cx, peer);
    }
    perhaps_due(cx, peer)
}

/// What stood alone is shown in another message from now on. If it was read last, that was, and nothing that has come between them.
pub(crate) fn joined(
    cx: &mut Cx<'_>,
    peer: &BareJid,
    conversation: i64,
    before: i64,
    message: i64,
) -> Result<()> {
    let position: Option<i64> = cx
        .tx
        .prepare_cached(
            "SELECT m.position FROM message AS m JOIN conversation AS c ON c.id = m.conversation
             WHERE m.id = ?1 AND m.position < ?2 AND c.read_position = ?2",
        )?
        .query_row(params![message, before], |row| row.get(0))
        .optional()?;
    let Some(position) = position else { return Ok(()) };
    let mark = seen_from(cx, conversation, position)?;
    set_mark(cx, peer, conversation, mark)?;
    perhaps_due(cx, peer)
}

/// The mark stands here from now on, and perhaps below where it stood.
fn set_mark(cx: &mut Cx<'_>, peer: &BareJid, conversation: i64, mark: i64) -> Result<()> {
    cx.tx
        .prepare_cached(
            "UPDATE conversation SET read_position = ?2, told_read = min(told_read, ?2) WHERE id = ?1",
        )?
        .execute(params![conversation, mark])?;
    count_unread(cx, peer)
}

/// What was read last may be another one now. It is told when the page is over.
fn perhaps_due(cx: &Cx<'_>, peer: &BareJid) -> Result<()> {
    cx.tx
        .prepare_cached("UPDATE displayed SET due = due | 1 WHERE jid = ?1")?
        .execute(params![peer.as_str()])?;
    Ok(())
}

/// Where the last copy of a message was in the archive: what stands between them was read as well.
fn resent_at(cx: &Cx<'_>, message: i64) -> Result<i64> {
    Ok(cx
        .tx
        .prepare_cached("SELECT coalesce(max(place), ?2) FROM archived WHERE message = ?1")?
        .query_row(params![message, i64::MIN], |row| row.get(0))?)
}

/// How far all that stands above `mark` was on the screen when this device was read.
fn seen_from(cx: &Cx<'_>, conversation: i64, mark: i64) -> Result<i64> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT coalesce(max(m.position), ?2) FROM message AS m JOIN conversation AS c ON c.id = m.conversation
             WHERE c.id = ?1 AND m.position > ?2 AND m.mine = 0 AND m.id <= c.read_here AND (m.hidden = 0 OR m.kind = 5)
             AND m.position < (SELECT coalesce(min(position), 9223372036854775807) FROM message
               WHERE conversation = ?1 AND position > ?2 AND id > c.read_here AND mine = 0 AND hidden = 0)",
        )?
        .query_row(params![conversation, mark], |row| row.get(0))?)
}

/// The newest message up to a mark that the archive has named: its first id, and where it stands.
fn named_below(cx: &Cx<'_>, archive: &str, with: &str, mark: i64) -> Result<Option<(String, i64)>> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT a.id, m.position FROM message AS m JOIN archived AS a ON a.message = m.id AND a.archive = ?1
             WHERE m.conversation = (SELECT id FROM conversation WHERE jid = ?2) AND m.position <= ?3 AND m.mine = 0 AND (m.hidden = 0 OR m.kind = 5)
             ORDER BY m.position DESC, m.id DESC, a.place LIMIT 1",
        )?
        .query_row(params![archive, with, mark], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// All that was to be told is told, or on its way.
fn nothing_more(cx: &Cx<'_>, with: &str) -> Result<()> {
    cx.tx.prepare_cached("UPDATE displayed SET due = due & 2 WHERE jid = ?1")?.execute(params![with])?;
    Ok(())
}

/// The archive has this id at another place: what it says was read may be more by now.
pub(crate) fn id_moved(cx: &Cx<'_>, id: &str) -> Result<()> {
    cx.tx.prepare_cached("UPDATE displayed SET due = due | 1 WHERE said = ?1")?.execute(params![id])?;
    Ok(())
}

/// The archive knows a message under this id from now on. It may have been read elsewhere.
pub(crate) fn came(cx: &mut Cx<'_>, id: &str) -> Result<()> {
    // Asked once a step: a catch-up has thousands of these.
    let awaits = match cx.awaits {
        Some(awaits) => awaits,
        None => cx
            .tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM displayed WHERE awaited IS NOT NULL)")?
            .query_row([], |row| row.get(0))?,
    };
    cx.awaits = Some(awaits);
    let is_awaited = awaits
        && cx
            .tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM displayed WHERE awaited = ?1)")?
            .query_row(params![id], |row| row.get(0))?;
    if is_awaited {
        cx.read.push(id.to_owned());
    }
    Ok(())
}

/// With whom the conversation is in which our archive has this id, and up to where that says it was read. A resend has a place of
/// its own, behind that of its message: what stands between them was read as well.
fn conversation_of(cx: &Cx<'_>, archive: &str, id: &str) -> Result<Option<(String, i64)>> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT c.jid, max(m.position, a.place) FROM archived AS a JOIN message AS m ON m.id = a.message
             JOIN conversation AS c ON c.id = m.conversation WHERE a.id = ?1 AND a.archive = ?2",
        )?
        .query_row(params![id, archive], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}
