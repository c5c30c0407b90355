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
    /// Which lines are to be read again; all of them; and the contacts.
    stale_lines: BTreeSet<BareJid>,
    all_stale: bool,
    contacts_stale: bool,
}

impl Lists {
    /// A list that is opened begins with what is there.
    pub(crate) fn opened(&mut self) {
        (self.all_stale, self.contacts_stale) = (true, true);
    }

    pub(crate) fn touched(&mut self, touched: &Touched) {
        self.contacts_stale |= touched.contacts;
        self.all_stale |= touched.conversations;
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
        if std::mem::take(&mut self.all_stale) {
            self.lines.clone_from(&lines);
        }
        if std::mem::take(&mut self.contacts_stale) {
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
