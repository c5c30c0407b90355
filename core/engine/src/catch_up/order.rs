//! Where a message stands that comes from the archive (STREAM 19).
//!
//! A page's positions follow a cursor: what is new stands behind what came before it in the archive's order, what is known
//! stays where it is unless that would break this order. Only what the archive names is moved, and only behind what it named
//! before: what it does not name may be missing there, and says nothing about order.

use rusqlite::{OptionalExtension, params};

use super::{Aim, HIGHEST, Query};
use crate::{
    account::{Account, Cx},
    error::Result,
    messages::{self, Named, STEP},
    mutants::{self, Mutant},
};

impl Query {
    /// Where the last message stands that was known before what is asked.
    fn begins_behind(&self) -> Option<i64> {
        match self.aim {
            Aim::Check { .. } => Some(self.start),
            _ => self.edge,
        }
    }

    /// Whether it is read from its end.
    fn is_backwards(&self) -> bool {
        matches!(self.aim, Aim::Newest | Aim::Before { .. })
    }
}

impl Account {
    /// Where a message stands that was known here, once the archive has named it: where it stood, or `position`, the next
    /// place in the archive's order. An archive that goes back, or repeats itself, moves nothing.
    pub(super) fn place_known(
        &self,
        cx: &mut Cx<'_>,
        query: &Query,
        message: i64,
        standing: i64,
        named: Named,
        position: i64,
    ) -> Result<i64> {
        let cursor = query.cursor;
        // What is read backwards stands before what is known behind it.
        let too_high = query.is_backwards() && query.edge.is_some_and(|edge| standing >= edge);
        let moves = match (&query.aim, named) {
            _ if too_high => true,
            (_, Named::Otherwise) => return Ok(cursor.max(standing)),
            // The first page begins in the midst: what stands below was not behind it.
            (Aim::Newest | Aim::Before { .. }, _) if standing > cursor => return Ok(standing),
            (Aim::Newest | Aim::Before { .. }, Named::Again) => standing < cursor,
            // A replay can be mixed up.
            (Aim::Check { since, .. }, Named::Again) if standing < cursor => {
                since.is_none() || standing > query.start
            }
            (Aim::Check { .. }, Named::Again) => return Ok(standing),
            // What came live behind the gap can be mixed up as well: what was kept offline comes late.
            (Aim::Fill { gap }, Named::Again) if standing < cursor => standing >= self.top_of(cx, *gap)?,
            (_, Named::Again) => return Ok(cursor.max(standing)),
            // It came live before what is asked begins: its first copy is older, and this is a resend.
            (Aim::Fill { .. } | Aim::Check { .. }, Named::First)
                if query.begins_behind().is_some_and(|edge| standing <= edge) && !is_local(cx, message)? =>
            {
                false
            }
            _ => return self.stand_in_order(cx, query, message, standing, position),
        };
        if !moves {
            return Ok(cursor);
        }
        let conversation = conversation_of(cx, message)?;
        messages::move_to(cx, message, conversation, position)?;
        Ok(position)
    }

    /// Where what came live behind a gap begins.
    fn top_of(&self, cx: &Cx<'_>, gap: i64) -> Result<i64> {
        Ok(cx
            .tx
            .prepare_cached("SELECT coalesce(top_position, high_position) FROM gap WHERE id = ?1")?
            .query_row(params![gap], |row| row.get(0))
            .optional()?
            .unwrap_or(i64::MAX))
    }

    /// The archive names a message for the first time that was known here without it, most often one of our own whose ack
    /// came early or late. It stands behind what the archive has before it, and before what the archive has behind it.
    fn stand_in_order(
        &self,
        cx: &mut Cx<'_>,
        query: &Query,
        message: i64,
        standing: i64,
        position: i64,
    ) -> Result<i64> {
        let cursor = query.cursor;
        if mutants::on(Mutant::ResultsUnordered) {
            return Ok(cursor.max(standing));
        }
        let conversation = conversation_of(cx, message)?;
        if standing > cursor {
            // Far above it stands beyond a gap that is being filled. Above the first page is no gap.
            let beyond = matches!(query.aim, Aim::Fill { .. }) && standing.saturating_sub(cursor) > STEP;
            if !beyond {
                return Ok(standing);
            }
            // Those of ours that were sent before it, and that the archive has not named yet, stay before it.
            let mut position = position;
            for before in unnamed(cx, conversation, cursor, standing)? {
                messages::move_to(cx, before, conversation, position)?;
                position += 1;
            }
            messages::move_to(cx, message, conversation, position)?;
            return Ok(position);
        }
        messages::move_to(cx, message, conversation, position)?;
        // Those of ours that were sent behind it, and that the archive has not named yet, stay behind it.
        let behind = unnamed(cx, conversation, standing, position)?;
        for (message, behind) in behind.into_iter().zip(position + 1..) {
            messages::move_to(cx, message, conversation, behind)?;
        }
        Ok(position)
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
            Aim::Newest | Aim::Doubt { .. } => {
                let read = query.start.saturating_add((i64::from(self.config.page) + 1) * STEP);
                (Some(self.session.next_position), query.cursor > read)
            }
            Aim::Check { .. } => (None, true),
        };
        // A damaged file may have put a message anywhere.
        let cursor = query.cursor.min(HIGHEST);
        Ok(match high {
            // Live messages stand a whole step apart: there is room between any two of them.
            _ if dense => cursor + 1,
            Some(high) if cursor < high => (cursor + STEP).min(high - 1).max(cursor + 1),
            Some(_) => cursor + 1,
            None => cursor + STEP,
        })
    }
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

/// Messages of this device between two positions that the archive has not named, in their order.
fn unnamed(cx: &Cx<'_>, conversation: i64, above: i64, below: i64) -> Result<Vec<i64>> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT id FROM message AS m WHERE conversation = ?1 AND position > ?2 AND position < ?3 AND local_id IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM archived WHERE message = m.id) ORDER BY position, id",
        )?
        .query_map(params![conversation, above, below], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?)
}
