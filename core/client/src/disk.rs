//! What an account takes on the disk.

use std::fs;

use whimbrel_engine::store;

use crate::{Account, Error};

/// What an account takes on the disk, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// All of its files: its database with the journals, and what [`crate::Client::start_over`] has set aside.
    pub total: u64,
    /// Of these, what was set aside.
    pub set_aside: u64,
    /// Of the database, the index of words, as far as its own tables tell.
    pub index: u64,
    /// Of the database, pictures of people. They are bounded, and can be had again.
    pub pictures: u64,
}

impl Account {
    /// What it takes on the disk. Reads a part of the database: some tens of ms where there are a million messages.
    ///
    /// # Errors
    /// Where the file cannot be read; [`Error::DatabaseUnusable`] where the directory cannot.
    pub fn disk_use(&self) -> Result<DiskUse, Error> {
        let mut used = DiskUse::default();
        for entry in fs::read_dir(&self.home().dir).map_err(crate::client::unusable)? {
            let entry = entry.map_err(crate::client::unusable)?;
            // A journal may go while it is looked at.
            let Ok(data) = entry.metadata() else { continue };
            used.total += data.len();
            if entry.file_name().to_string_lossy().starts_with("set-aside-") {
                used.set_aside += data.len();
            }
        }
        (used.index, used.pictures) = self.read(store::parts)?;
        Ok(used)
    }
}
