//! The app's key vault, as the core wants it.
//!
//! Synchronous on purpose: the core calls it on an account's own thread, with no lock or transaction held, and async
//! methods of foreign traits crash the Swift compilers that we support.

use std::sync::Arc;

use crate::{WhimbrelError, guard};

/// How far an entry may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Scope {
    /// Stays on this device.
    ThisDeviceOnly,
    /// May travel with a backup, if the app chooses.
    WithBackups,
}

/// Keeps small secrets, for example in the platform's keychain or keystore. Called on threads that may block.
#[uniffi::export(rust, foreign)]
pub trait KeyVault: Send + Sync {
    /// What is kept under a name, or nothing. `Locked` while the device has not been unlocked, `DatabaseUnusable` where it cannot be
    /// read.
    fn load(&self, name: String) -> Result<Option<Vec<u8>>, WhimbrelError>;
    /// Keeps bytes under a name. `Locked`, or `StorageFull`.
    fn store(&self, name: String, bytes: Vec<u8>, scope: Scope) -> Result<(), WhimbrelError>;
    /// Forgets a name; one that is not there is fine.
    fn delete(&self, name: String) -> Result<(), WhimbrelError>;
}

/// A vault of files with mode 0600 in a directory, made if it is not there. For desktops and tests: as safe as the disk.
#[uniffi::export]
pub fn file_vault(directory: String) -> Result<Arc<dyn KeyVault>, WhimbrelError> {
    guard::sync(|| {
        std::fs::create_dir_all(&directory)
            .map_err(|error| WhimbrelError::InvalidInput { what: format!("{directory}: {error}") })?;
        Ok(Arc::new(Files(whimbrel::FileVault::new(directory))) as Arc<dyn KeyVault>)
    })
}

struct Files(whimbrel::FileVault);

impl KeyVault for Files {
    fn load(&self, name: String) -> Result<Option<Vec<u8>>, WhimbrelError> {
        guard::sync(|| Ok(whimbrel::KeyVault::load(&self.0, &name)?))
    }

    fn store(&self, name: String, bytes: Vec<u8>, scope: Scope) -> Result<(), WhimbrelError> {
        guard::sync(|| Ok(whimbrel::KeyVault::store(&self.0, &name, &bytes, scope.into())?))
    }

    fn delete(&self, name: String) -> Result<(), WhimbrelError> {
        guard::sync(|| Ok(whimbrel::KeyVault::delete(&self.0, &name)?))
    }
}

/// What the core is given: the app's vault behind the core's trait.
pub(crate) struct Bridge(pub(crate) Arc<dyn KeyVault>);

impl whimbrel::KeyVault for Bridge {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, whimbrel::Error> {
        Ok(self.0.load(name.to_owned())?)
    }

    fn store(&self, name: &str, bytes: &[u8], scope: whimbrel::Scope) -> Result<(), whimbrel::Error> {
        Ok(self.0.store(name.to_owned(), bytes.to_vec(), scope.into())?)
    }

    fn delete(&self, name: &str) -> Result<(), whimbrel::Error> {
        Ok(self.0.delete(name.to_owned())?)
    }
}

impl From<Scope> for whimbrel::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::ThisDeviceOnly => Self::ThisDeviceOnly,
            Scope::WithBackups => Self::WithBackups,
        }
    }
}

impl From<whimbrel::Scope> for Scope {
    fn from(scope: whimbrel::Scope) -> Self {
        match scope {
            whimbrel::Scope::ThisDeviceOnly => Self::ThisDeviceOnly,
            whimbrel::Scope::WithBackups => Self::WithBackups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_vault_makes_its_directory_and_keeps_what_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let vault = file_vault(dir.path().join("deep/keys").display().to_string()).unwrap();
        assert_eq!(vault.load("a".into()), Ok(None));
        vault.store("a".into(), vec![1, 2], Scope::WithBackups).unwrap();
        assert_eq!(Bridge(vault.clone()).0.load("a".into()), Ok(Some(vec![1, 2])));
        vault.delete("a".into()).unwrap();
        vault.delete("a".into()).unwrap();
        assert_eq!(vault.load("a".into()), Ok(None));
    }
}
