//! Where the secret of a database is kept: the platform's keychain or keystore, behind a synchronous trait.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use crate::Error;

/// How far an entry may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Stays on this device.
    ThisDeviceOnly,
    /// May travel with a backup, if the app chooses.
    WithBackups,
}

/// Keeps small secrets. Called on a thread that may block, never within a transaction.
pub trait KeyVault: Send + Sync {
    /// What is kept under a name, or nothing.
    ///
    /// # Errors
    /// [`Error::Locked`] while the device has not been unlocked.
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Keeps bytes under a name.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::StorageFull`].
    fn store(&self, name: &str, bytes: &[u8], scope: Scope) -> Result<(), Error>;
    /// Forgets a name.
    ///
    /// # Errors
    /// [`Error::Locked`].
    fn delete(&self, name: &str) -> Result<(), Error>;
}

/// A vault of files with mode 0600, for consoles and tests. As safe as the disk.
#[derive(Clone, Debug)]
pub struct FileVault {
    dir: PathBuf,
}

impl FileVault {
    /// Keeps its files in this directory, which must exist.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }
}

impl KeyVault for FileVault {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(_) => Err(Error::Locked),
        }
    }

    fn store(&self, name: &str, bytes: &[u8], _: Scope) -> Result<(), Error> {
        use io::Write as _;
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(self.dir.join(name))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|_: io::Error| Error::StorageFull)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Locked),
            _ => Ok(()),
        }
    }
}
