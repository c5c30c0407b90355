//! Where the secret of a database is kept: the platform's keychain or keystore, behind a synchronous trait.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::Error;

/// How far an entry may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Stays on this device.
    ThisDeviceOnly,
    /// May travel with a backup, if the app chooses.
    WithBackups,
}

/// Keeps small secrets. Called on a thread that may block, never within a transaction. There are two entries for each account: the
/// secret of its database, which may travel with a backup, and what tells a copy of the database from the original, which
/// must not.
pub trait KeyVault: Send + Sync {
    /// What is kept under a name, or nothing.
    ///
    /// # Errors
    /// [`Error::Locked`] while the device has not been unlocked; [`Error::DatabaseUnusable`] where it cannot be read.
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Keeps bytes under a name.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::StorageFull`], [`Error::DatabaseUnusable`] where nothing can be written.
    fn store(&self, name: &str, bytes: &[u8], scope: Scope) -> Result<(), Error>;
    /// Forgets a name.
    ///
    /// # Errors
    /// As [`KeyVault::store`].
    fn delete(&self, name: &str) -> Result<(), Error>;
}

/// A vault of files with mode 0600, for consoles and tests. As safe as the disk.
#[derive(Clone, Debug)]
pub struct FileVault {
    dir: PathBuf,
}

impl FileVault {
    /// Keeps its files in this directory, made when it is needed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }
}

impl KeyVault for FileVault {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(crate::client::unusable(error)),
        }
    }

    fn store(&self, name: &str, bytes: &[u8], _: Scope) -> Result<(), Error> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .and_then(|()| write_whole(&self.dir.join(name), bytes))
            .map_err(crate::client::unusable)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(crate::client::unusable(error)),
            _ => Ok(()),
        }
    }
}

/// Writes a file that is there whole or not at all, whatever happens to the process or the power. Mode 0600.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
