//! The list of conversations and that of contacts: what was read once and brought up by what the engine says has changed is what a
//! fresh query shows. As the client brings them up (`lines.rs`).

use std::collections::BTreeSet;

use jid::BareJid;
use rusqlite::Connection;
use whimbrel_engine::{
    Result, Touched,
    api::{Contact, Conversation},
    roster,
    timeline::{self, Rank},
};

use super::Failure;

/// What a user has on the screen besides a conversation.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    lines: Vec<(Rank, Conversation)>,
    contacts: Vec<Contact>,
    /// Nothing of it was read yet, or since it was said that anything may be otherwise.
    is_read: bool,
    stale_lines: BTreeSet<BareJid>,
    stale_contacts: bool,
}

impl Lists {
    /// A list that is opened begins with what is there.
    pub(crate) fn opened(&mut self) {
        self.is_read = false;
    }

    pub(crate) fn touched(&mut self, touched: &Touched) {
        self.stale_contacts |= touched.contacts;
        if touched.conversations {
            self.is_read = false;
        }
        self.stale_lines.extend(touched.timelines.keys().cloned());
    }

    /// Brings both up, and compares.
    pub(super) fn look(
        &mut self,
        device: usize,
        reader: &Connection,
    ) -> Result<std::result::Result<(), Failure>> {
        let lines = timeline::lines(reader, None)?;
        let contacts = roster::contacts(reader)?;
        for with in std::mem::take(&mut self.stale_lines) {
            self.lines.retain(|(_, line)| line.with != with);
            for (rank, line) in timeline::lines(reader, Some(&with))? {
                let at = self.lines.partition_point(|(other, _)| *other < rank);
                self.lines.insert(at, (rank, line));
            }
        }
        if !std::mem::replace(&mut self.is_read, true) {
            self.lines.clone_from(&lines);
            self.stale_contacts = true;
        }
        if std::mem::take(&mut self.stale_contacts) {
            self.contacts.clone_from(&contacts);
        }
        let otherwise =
            |shown: String, fresh: String| Ok(Err(Failure::ListedOtherwise { device, shown, fresh }));
        if self.lines != lines {
            return otherwise(format!("{:?}", self.lines), format!("{lines:?}"));
        }
        if self.contacts != contacts {
            return otherwise(format!("{:?}", self.contacts), format!("{contacts:?}"));
        }
        Ok(Ok(()))
    }
}
