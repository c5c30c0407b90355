//! The settings of conversations, the same on all of our devices: pinned, muted, archived, of what to be notified.
//!
//! A node of our own (`own_nodes.rs`) has an item for each contact. Of two decisions the later one counts, wherever it was made and
//! whenever it is told: each has a time, which is later than whatever its device knew, be its clock as wrong as it may. A device
//! that hears of an older one tells the newer one again, and of one that is as new or newer it tells nothing; so all of them come
//! to agree, and then nothing is said. Drafts stay on their device.
//!
//! That a message brings an archived conversation back is told to nobody: each device sees the message (`messages::listed`), and
//! one that hears of the setting later compares the two (`conversation::adopt`).

use rusqlite::{OptionalExtension, params};
use whimbrel_proto::{pubsub, settings::Settings};

use crate::{
    account::{Account, Cx},
    conversation,
    error::Result,
    iq::{NO_ANSWER, bare},
    messages,
    mutants::{self, Mutant},
    own_nodes::OwnNode,
};

impl Account {
    /// Something was decided here.
    pub(crate) fn decided(&mut self, cx: &mut Cx<'_>, conversation: i64) -> Result<()> {
        cx.tx.execute(
            "UPDATE conversation SET settings_due = 1,
               set_at = max(?2, set_at + 1, coalesce((SELECT at + 1 FROM message WHERE id = last_message), 0)) WHERE id = ?1",
            params![conversation, cx.now.wall],
        )?;
        self.tell_soon(cx);
        Ok(())
    }

    /// Tells what was decided here.
    pub(crate) fn tell_settings(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let rows: Vec<(i64, String)> = cx
            .tx
            .prepare_cached("SELECT id, jid FROM conversation WHERE settings_due = 1")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (conversation, with) in rows {
            let settings = conversation::settings(cx.tx, conversation)?;
            cx.tx.execute("UPDATE conversation SET settings_due = 2 WHERE id = ?1", params![conversation])?;
            self.tell(cx, OwnNode::Settings, &with, settings.write())?;
        }
        Ok(())
    }

    /// The server has it, or does not want it.
    pub(crate) fn settings_were_told(
        &mut self,
        cx: &mut Cx<'_>,
        with: &str,
        condition: Option<&str>,
    ) -> Result<()> {
        let due = condition == Some(NO_ANSWER);
        cx.tx.execute(
            "UPDATE conversation SET settings_due = ?2 WHERE jid = ?1 AND settings_due = 2",
            params![with, due],
        )?;
        Ok(())
    }

    /// Another device of ours has decided, or this one.
    pub(crate) fn set_elsewhere(&mut self, cx: &mut Cx<'_>, item: &pubsub::Item<'_>) -> Result<()> {
        let (Some(with), Some(settings)) = (bare(Some(item.id)), item.payload.and_then(Settings::read))
        else {
            return Ok(());
        };
        let known: Option<i64> = cx
            .tx
            .prepare_cached("SELECT set_at FROM conversation WHERE jid = ?1")?
            .query_row(params![with.as_str()], |row| row.get(0))
            .optional()?;
        let known = known.unwrap_or_default();
        let at = settings.at.unwrap_or(known);
        if at < known && !mutants::on(Mutant::OlderDecisionAdopted) {
            let repair = (with.to_string(), at.to_string());
            if !self.may_repair(&repair) {
                return Ok(());
            }
            self.telling.repaired.insert(repair);
            // What is under way by now says it anyway.
            cx.tx.execute(
                "UPDATE conversation SET settings_due = 1 WHERE jid = ?1 AND settings_due = 0",
                params![with.as_str()],
            )?;
            self.tell_soon(cx);
            return Ok(());
        }
        let conversation = messages::conversation(cx, &with)?;
        cx.tx.execute(
            "UPDATE conversation SET set_at = ?2, settings_due = 0 WHERE id = ?1",
            params![conversation, at],
        )?;
        self.adopt(cx, conversation, &settings, settings.at == Some(known))
    }
}
