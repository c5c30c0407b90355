//! Where a message stands that comes from the archive (STREAM 19).
//!
//! Each of the archive's ids has a place, and places follow the archive's order: a page has a cursor, what is new is placed
//! behind it, and what is known keeps its place unless that stands before the cursor. A message stands where the first of its
//! ids has its place, so a resend, which is in the archive twice, stands where it was first. What the archive does not name
//! may be missing there, and says nothing about order.

use rusqlite::{OptionalExtension, params};

use super::{Aim, HIGHEST, OVERLAP, PAGE, Query};
use crate::{
    account::{Account, Cx},
    error::Result,
    messages::{self, Known, STEP},
    mutants::{self, Mutant},
    read_position,
};

impl Query {
    /// Whether nobody knows yet where it begins.
    pub(super) fn is_floating(&self) -> bool {
        self.floating && self.first_position.is_none()
    }

    fn is_backwards(&self) -> bool {
        matches!(self.aim, Aim::Newest | Aim::Before { .. })
    }

    /// Whether what has this stamp is newer than where the region ended, which the archive has forgotten.
    pub(super) fn is_from_above(&self, at: Option<i64>) -> bool {
        self.from_above.is_some_and(|end| at.is_some_and(|at| at > end))
    }

    /// Where the last message stands that was known before what is asked. With an overlap it begins somewhere before that.
    fn begins_behind(&self) -> Option<i64> {
        self.edge.filter(|_| !self.is_backwards() && !self.floating)
    }

    /// Whether this cannot be of the overlap that comes first where a gap is read by time: it is newer than where the gap
    /// began, and no page of the gap has named it.
    fn has_not_reached(&self, known: &Known) -> bool {
        matches!(self.aim, Aim::Fill { .. })
            && known.place.is_none()
            && !known.is_named
            && self.edge.is_some_and(|edge| known.position > edge)
    }

    /// Of what is read from its end, which is known to be newer: how high a result may stand, so that the rest of the page has room
    /// behind it.
    fn ceiling(&self) -> Option<i64> {
        let rest = (PAGE - i64::from(self.seen)).max(1);
        self.edge.filter(|_| self.is_backwards()).map(|end| end.saturating_sub(rest))
    }

    /// Whether this is above the ceiling; where more is read than the region, that is known and stands close together, above its end.
    fn is_too_high(&self, place: i64) -> bool {
        match (self.from_above, self.edge, self.ceiling()) {
            (Some(_), Some(edge), Some(_)) => place >= edge,
            (_, _, ceiling) => ceiling.is_some_and(|ceiling| place > ceiling),
        }
    }
}

impl Account {
    /// The archive has named a message that was known here. Its id's place is where it was, or `position`, the next in the
    /// archive's order; it becomes the cursor.
    pub(super) fn place_known(
        &self,
        cx: &mut Cx<'_>,
        query: &mut Query,
        id: &str,
        known: &Known,
        position: i64,
    ) -> Result<i64> {
        let anywhere = query.is_floating() && !query.has_not_reached(known);
        let cursor = if anywhere { i64::MIN } else { query.cursor };
        let ceiling = query.ceiling();
        let kept = known.place.filter(|place| *place > cursor && !query.is_too_high(*place));
        // What has to move below the end moves no further than it must: what stands there and is not named may have been before it.
        let position = match ceiling {
            Some(ceiling) if query.is_too_high(known.position) => position.max(ceiling),
            _ => position,
        };
        if mutants::on(Mutant::ResultsUnordered) {
            return Ok(query.cursor.max(known.position));
        }
        // What came live without an id, before what is asked begins, was an older copy: this one is a resend.
        let is_older = known.place != Some(known.position)
            && query.begins_behind().is_some_and(|edge| known.position <= edge);
        if !known.is_named && (is_older || is_resent(cx, known.message)?) {
            // Or it has overtaken what was kept offline, or is ours and its ack came early; and what was sent more than once may be
            // in the archive before what is asked. That shows there.
            query.is_unsure_of(known.message);
        }
        let place = match kept {
            Some(place) => place,
            None if known.place.is_none()
                && !known.is_named
                && (!is_older || is_local(cx, known.message)?) =>
            {
                return self.stand_in_order(cx, query, id, known, cursor, position);
            }
            _ => position,
        };
        if known.place != Some(place) {
            set_place(cx, self.jid.as_str(), id, place)?;
        }
        let first = first_place(cx, known.message)?;
        let stands = if is_older { known.position.min(first) } else { first };
        if stands != known.position {
            let conversation = conversation_of(cx, known.message)?;
            messages::move_to(cx, known.message, conversation, stands)?;
            if stands > known.position && is_local(cx, known.message)? {
                stay_behind(cx, conversation, known.position, stands)?;
            }
        }
        Ok(place)
    }

    /// The archive names a message for the first time that was known here without it, most often one of our own whose ack
    /// came early or late. It stands behind what the archive has before it, and before what the archive has behind it.
    fn stand_in_order(
        &self,
        cx: &mut Cx<'_>,
        query: &Query,
        id: &str,
        known: &Known,
        cursor: i64,
        mut position: i64,
    ) -> Result<i64> {
        let (message, standing) = (known.message, known.position);
        let too_high = query.is_too_high(standing);
        let conversation = conversation_of(cx, message)?;
        let beyond = match query.aim {
            // Far above it stands beyond the gap that is being filled. Above the first page is no gap.
            Aim::Fill { .. } => standing > query.start && standing.saturating_sub(cursor) > STEP,
            // One of ours whose ack came late moves, and not all that others have written meanwhile.
            Aim::Check { .. } if !query.is_floating() => {
                is_local(cx, message)? && is_overtaken(cx, conversation, cursor, standing)?
            }
            _ => false,
        };
        if standing > cursor && !beyond && !too_high {
            set_place(cx, self.jid.as_str(), id, standing)?;
            return Ok(standing);
        }
        if standing > cursor && !too_high {
            // Those of ours that were sent before it, and that the archive has not named yet, stay before it. What stands below
            // is before it already. What came live came in the server's order, but for our own, which stands where its ack arrived.
            let only_local = is_local(cx, message)?;
            for before in unnamed(cx, conversation, (position - 1, standing), only_local)? {
                messages::move_to(cx, before, conversation, position)?;
                position += 1;
            }
        }
        messages::move_to(cx, message, conversation, position)?;
        set_place(cx, self.jid.as_str(), id, position)?;
        if standing <= cursor {
            stay_behind(cx, conversation, standing, position)?;
        }
        Ok(position)
    }

    /// A message of ours has left in an earlier session and is archived in this one: what is read backwards ends before it, and does not
    /// have it. It stands above that, and before what was sent since.
    pub(crate) fn place_named_live(
        &mut self,
        cx: &mut Cx<'_>,
        conversation: i64,
        message: i64,
    ) -> Result<i64> {
        let begin = self.queries.values().find(|query| query.aim == Aim::Newest).map(|query| query.start);
        let region: Option<i64> =
            cx.tx.query_row("SELECT max(high_position) FROM gap WHERE kind = 1", [], |row| row.get(0))?;
        let standing = messages::position_of(cx, message)?;
        let Some(end) = region.max(begin).filter(|end| standing < *end) else {
            return Ok(self.next_position());
        };
        let place = match unnamed(cx, conversation, (end, i64::MAX), true)?.first() {
            Some(sent_since) => messages::position_of(cx, *sent_since)? - 1,
            None => self.next_position(),
        };
        messages::move_to(cx, message, conversation, place)?;
        Ok(place)
    }

    /// A page that may be read from above has named this message.
    pub(super) fn is_named_from_above(
        &self,
        cx: &mut Cx<'_>,
        query: &mut Query,
        id: &str,
        message: i64,
    ) -> Result<()> {
        if query.from_above.is_none() {
            return Ok(());
        }
        if self.ends_at(cx, query)?.is_none_or(|end| query.cursor >= end) {
            return self.raise(cx, query, query.cursor);
        }
        if query.is_from_above(query.last_at) && query.low.len() < PAGE as usize {
            query.low.push((id.to_owned(), message, query.cursor));
        }
        Ok(())
    }

    /// What is newer than where the region ended, and stands in it so far, stands just below the next that was known.
    fn raise(&self, cx: &mut Cx<'_>, query: &mut Query, below: i64) -> Result<()> {
        let low = std::mem::take(&mut query.low);
        let first = below.saturating_sub(low.len() as i64);
        if low.first().is_some_and(|(.., place)| query.first_position == Some(*place)) {
            query.first_position = Some(first);
        }
        for ((id, message, _), place) in low.into_iter().zip(first..) {
            set_place(cx, self.jid.as_str(), &id, place)?;
            let stands = first_place(cx, message)?;
            let conversation = conversation_of(cx, message)?;
            messages::move_to(cx, message, conversation, stands)?;
        }
        Ok(())
    }

    /// The page is over, and has named nothing behind that was known: it stands below what the page before has named, or below what
    /// came later than is read.
    pub(super) fn raise_to_end(&mut self, cx: &mut Cx<'_>, query: &mut Query) -> Result<()> {
        let (Some(end), false) = (query.from_above, query.low.is_empty()) else { return Ok(()) };
        let below = match query.edge {
            Some(edge) => edge,
            None => {
                let high = self.ends_at(cx, query)?;
                let later: Option<i64> = cx
                    .tx
                    .prepare_cached("SELECT min(position) FROM message WHERE at > ?1 AND position >= ?2")?
                    .query_row(params![end.saturating_add(OVERLAP), high], |row| row.get(0))?;
                match later {
                    Some(later) => later,
                    None => self.next_position(),
                }
            }
        };
        self.raise(cx, query, below)
    }

    /// Where the region ends that is read backwards.
    fn ends_at(&self, cx: &Cx<'_>, query: &Query) -> Result<Option<i64>> {
        let Aim::Before { gap } = query.aim else { return Ok(None) };
        Ok(cx
            .tx
            .prepare_cached("SELECT high_position FROM gap WHERE id = ?1")?
            .query_row(params![gap], |row| row.get(0))
            .optional()?)
    }

    /// Where a result stands that the archive has never named, if `position` is the next in its order: an earlier page from the same place
    /// may have brought what is older, and the archive may have forgotten that since.
    pub(super) fn place_unnamed(&self, cx: &mut Cx<'_>, query: &mut Query, position: i64) -> Result<i64> {
        let Some(brought) = query.brought.filter(|_| query.first_position.is_none()) else {
            return Ok(position);
        };
        let cursor = query.cursor;
        query.cursor = cursor.max(brought);
        let behind = self.place(cx, query);
        query.cursor = cursor;
        behind
    }

    /// Where the next new result stands: a step behind the cursor, but below what stands above the gap.
    pub(super) fn place(&self, cx: &mut Cx<'_>, query: &Query) -> Result<i64> {
        let (high, dense): (Option<i64>, bool) = match query.aim {
            Aim::Fill { gap } | Aim::Before { gap } => match cx.room {
                Some((known, room)) if known == gap => room,
                _ => {
                    let room = cx
                        .tx
                        .prepare_cached("SELECT high_position, dense FROM gap WHERE id = ?1")?
                        .query_row(params![gap], |row| Ok((row.get(0)?, row.get(1)?)))
                        .optional()?
                        .unwrap_or((None, false));
                    cx.room = Some((gap, room));
                    room
                }
            },
            // Below what comes live meanwhile.
            Aim::Newest | Aim::Doubt { .. } | Aim::End { .. } => {
                let read = query.start.saturating_add((i64::from(self.config.page) + 1) * STEP);
                (Some(self.session.next_position), query.cursor > read)
            }
            Aim::Check { .. } => (None, true),
        };
        let cursor = match query.aim {
            // What is missing stands above all that was there before.
            Aim::Fill { .. } => query.cursor.max(query.start),
            _ => query.cursor,
        };
        // A damaged file may have put a message anywhere.
        let cursor = cursor.min(HIGHEST);
        Ok(match high {
            // Live messages stand a whole step apart: there is room between any two of them.
            _ if dense => cursor + 1,
            Some(high) if cursor < high => (cursor + STEP).min(high - 1).max(cursor + 1),
            Some(_) => cursor + 1,
            None => cursor + STEP,
        })
    }
}

fn set_place(cx: &Cx<'_>, archive: &str, id: &str, place: i64) -> Result<()> {
    let moved = cx
        .tx
        .prepare_cached("UPDATE archived SET place = ?3 WHERE id = ?1 AND archive = ?2 AND place <> ?3")?
        .execute(params![id, archive, place])?;
    if moved > 0 { read_position::id_moved(cx, id) } else { Ok(()) }
}

/// Where the first of a message's ids has its place.
fn first_place(cx: &Cx<'_>, message: i64) -> Result<i64> {
    Ok(cx
        .tx
        .prepare_cached("SELECT min(place) FROM archived WHERE message = ?1")?
        .query_row(params![message], |row| row.get(0))?)
}

fn conversation_of(cx: &Cx<'_>, message: i64) -> Result<i64> {
    Ok(cx
        .tx
        .prepare_cached("SELECT conversation FROM message WHERE id = ?1")?
        .query_row(params![message], |row| row.get(0))?)
}

/// Whether this device has made it.
fn is_local(cx: &Cx<'_>, message: i64) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT local_id IS NOT NULL FROM message WHERE id = ?1")?
        .query_row(params![message], |row| row.get(0))?)
}

/// Whether this device has sent it more than once.
fn is_resent(cx: &Cx<'_>, message: i64) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT resent FROM message WHERE id = ?1")?
        .query_row(params![message], |row| row.get(0))?)
}

/// A message has moved up. Those of ours that were sent behind it, and that the archive has not named yet, stay behind it.
fn stay_behind(cx: &mut Cx<'_>, conversation: i64, from: i64, to: i64) -> Result<()> {
    let behind = unnamed(cx, conversation, (from, to), true)?;
    for (message, position) in behind.into_iter().zip(to + 1..) {
        messages::move_to(cx, message, conversation, position)?;
    }
    Ok(())
}

/// Whether between two positions stands anything that another device wrote. Ours keep the order in which this one sent them,
/// and one that has a name already may have it from far below: a region that is read backwards.
fn is_overtaken(cx: &Cx<'_>, conversation: i64, above: i64, below: i64) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ?1 AND position > ?2 AND position < ?3
             AND local_id IS NULL)",
        )?
        .query_row(params![conversation, above, below], |row| row.get(0))?)
}

/// Messages between two positions, or only those that this device has made, that the archive has not named, in their order.
fn unnamed(cx: &Cx<'_>, conversation: i64, (above, below): (i64, i64), only_local: bool) -> Result<Vec<i64>> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT id FROM message AS m WHERE conversation = ?1 AND position > ?2 AND position < ?3 AND (local_id IS NOT NULL OR NOT ?4)
             AND NOT EXISTS (SELECT 1 FROM archived WHERE message = m.id) ORDER BY position, id",
        )?
        .query_map(params![conversation, above, below, only_local], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?)
}
