//! What the vault knows of an account's file, so that a copy of it is told from the original (DESIGN, "A copy is not the
//! original"; the rule is `whimbrel_engine::store::count_opening`).
//!
//! It never leaves the device: put back from a backup, or on another phone, the file is older than the entry or there is none.
//! Sixteen bytes of id and eight of a counter, which is raised in the file first and then here.

use uuid::Uuid;
use whimbrel_engine::store::Installation;

use crate::{
    Error,
    vault::{KeyVault, Scope},
};

/// `None`: nothing that could be understood.
pub(crate) fn load(vault: &dyn KeyVault, entry: &str) -> Result<Option<Installation>, Error> {
    Ok(vault.load(entry)?.as_deref().and_then(|bytes| {
        let (id, openings) = bytes.split_first_chunk::<16>()?;
        Some(Installation {
            id: Uuid::from_bytes(*id),
            openings: u64::from_be_bytes(openings.try_into().ok()?),
        })
    }))
}

pub(crate) fn store(vault: &dyn KeyVault, entry: &str, known: Option<Installation>) -> Result<(), Error> {
    let Some(Installation { id, openings }) = known else { return Ok(()) };
    let bytes = [id.as_bytes().as_slice(), &openings.to_be_bytes()].concat();
    vault.store(entry, &bytes, Scope::ThisDeviceOnly)
}
