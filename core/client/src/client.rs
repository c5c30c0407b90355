//! Many accounts in one data directory.
//!
//! Every account has a directory of its own with one encrypted database, named by a hash: an address is never a path.
//! The address stands beside it in plain text, so that an account whose key is lost can still be named. The secret is
//! made here and given to the vault *before* the file is created.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};
use whimbrel_engine::store::Secret;

use crate::{
    Address, Error,
    account::{Account, Home},
    net::connect::Connection,
    vault::{KeyVault, Scope},
};

/// What the app decides about all of its accounts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the software, told to the server and to contacts (XEP-0092, XEP-0388).
    pub software: String,
    /// Tell every stanza as [`crate::Event::Raw`]. For consoles and tests: it shows content.
    pub raw: bool,
    /// Messages to ask an archive for at once, 1 to 500; a server may give fewer (XEP-0313).
    pub page: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { software: "Whimbrel".into(), raw: false, page: 500 }
    }
}

/// All accounts of one data directory. Cheap to clone; all clones are the same client.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    vault: Arc<dyn KeyVault>,
    options: Options,
    accounts: Mutex<BTreeMap<Address, Account>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Client {
    /// Opens a data directory, made if it is not there, and the accounts in it. None of them connects by itself.
    ///
    /// An account that cannot be opened is there all the same, and answers with the reason: [`Error::KeyLost`],
    /// [`Error::Locked`], [`Error::DatabaseUnusable`].
    ///
    /// # Errors
    /// [`Error::StorageFull`] or [`Error::DatabaseUnusable`] where the directory itself cannot be used.
    #[allow(clippy::unused_async, reason = "it opens files, and more of it will wait")]
    pub async fn open(
        dir: impl Into<PathBuf>,
        vault: Arc<dyn KeyVault>,
        options: Options,
    ) -> Result<Self, Error> {
        let dir = dir.into();
        fs::create_dir_all(dir.join("accounts")).map_err(unusable)?;
        let client = Self { inner: Arc::new(Inner { dir, vault, options, accounts: Mutex::default() }) };
        for entry in fs::read_dir(client.inner.dir.join("accounts")).map_err(unusable)? {
            let home = entry.map_err(unusable)?.path();
            let Ok(address) = fs::read_to_string(home.join("address")) else { continue };
            let Ok(jid) = address.trim().parse::<Address>() else { continue };
            if home.join("account.db").exists() {
                let account = client.account_at(&jid, None);
                // What is wrong with one account is told by that account.
                let _ = account.start().await;
                client.accounts_mut().insert(jid, account);
            }
        }
        Ok(client)
    }

    /// All accounts, by address.
    pub fn accounts(&self) -> Vec<Account> {
        self.accounts_mut().values().cloned().collect()
    }

    /// One of the accounts.
    pub fn account(&self, jid: &Address) -> Option<Account> {
        self.accounts_mut().get(jid).cloned()
    }

    /// Adds an account, or changes how an existing one connects. It does not connect yet: see [`Account::sign_in`].
    ///
    /// # Errors
    /// [`Error::KeyLost`] where there is a file and no secret for it (see [`Client::start_over`]), [`Error::Locked`],
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`], [`Error::InvalidInput`] for an address without local part.
    pub async fn add_account(&self, jid: Address, connection: Connection) -> Result<Account, Error> {
        if jid.node().is_none() {
            return Err(Error::InvalidInput {
                what: format!("{jid} is a server's address, not an account's"),
            });
        }
        let known = self.account(&jid);
        let account = match known {
            Some(account) => account,
            None => {
                let account = self.account_at(&jid, Some(connection.clone()));
                let dir = account.home().dir.clone();
                fs::create_dir_all(&dir).map_err(unusable)?;
                fs::write(dir.join("address"), format!("{jid}\n")).map_err(unusable)?;
                account
            }
        };
        account.start_with(connection).await?;
        self.accounts_mut().insert(jid, account.clone());
        Ok(account)
    }

    /// Signs out and deletes everything of this account from the device. Unsent messages are lost.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::DatabaseUnusable`] where files cannot be deleted.
    pub async fn remove_account(&self, jid: &Address) -> Result<(), Error> {
        let account = self.accounts_mut().remove(jid).ok_or(Error::NotFound)?;
        let _ = account.disconnect().await;
        account.close().await;
        fs::remove_dir_all(&account.home().dir).map_err(unusable)?;
        self.inner.vault.delete(&account.home().entry())
    }

    /// After [`Error::KeyLost`] or a damaged file: sets the file aside (it is never deleted) and begins anew with an empty
    /// one. Then [`Account::sign_in`].
    ///
    /// # Errors
    /// [`Error::NotFound`], and as [`Client::add_account`].
    pub async fn start_over(&self, jid: &Address) -> Result<Account, Error> {
        let old = self.account(jid).ok_or(Error::NotFound)?;
        let connection = old.connection();
        old.close().await;
        let dir = &old.home().dir;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        for file in ["account.db", "account.db-wal", "account.db-shm"] {
            match fs::rename(dir.join(file), dir.join(format!("set-aside-{since}-{file}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
                _ => {}
            }
        }
        self.accounts_mut().remove(jid);
        self.add_account(jid.clone(), connection).await
    }

    /// Stops all accounts and closes every file, within this time as far as the peers allow. Sessions stay on their
    /// servers. Calls answer [`Error::Suspended`] until [`Client::resume`]. Doing it twice is harmless.
    pub async fn suspend(&self, within: Duration) {
        let stopping: Vec<_> = self.accounts().into_iter().map(|account| account.stop(false)).collect();
        let all = async {
            for stopped in stopping {
                stopped.await;
            }
        };
        let _ = tokio::time::timeout(within, all).await;
    }

    /// Opens the files again and connects the accounts that were connected.
    ///
    /// # Errors
    /// The first account's that could not be opened; the others go on.
    pub async fn resume(&self) -> Result<(), Error> {
        let mut result = Ok(());
        for account in self.accounts() {
            let resumed = account.resume().await;
            result = result.and(resumed);
        }
        result
    }

    /// The platform says that the network changed, came back, or is gone.
    pub fn network_changed(&self, available: bool) {
        for account in self.accounts() {
            account.network_changed(available);
        }
    }

    /// The app is in front of its user, or no longer (XEP-0352).
    pub fn set_foreground(&self, foreground: bool) {
        for account in self.accounts() {
            account.set_foreground(foreground);
        }
    }

    /// Like [`Client::suspend`], for good: calls answer [`Error::Closed`].
    pub async fn close(&self) {
        for account in self.accounts() {
            account.close().await;
        }
    }

    fn account_at(&self, jid: &Address, connection: Option<Connection>) -> Account {
        let digest = Sha256::digest(jid.as_str());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let dir = self.inner.dir.join("accounts").join(name);
        let home = Home {
            jid: jid.clone(),
            dir,
            vault: Arc::clone(&self.inner.vault),
            options: self.inner.options.clone(),
        };
        Account::new(home, connection.unwrap_or_default())
    }

    fn accounts_mut(&self) -> MutexGuard<'_, BTreeMap<Address, Account>> {
        self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret of a file: from the vault, or made and put there before the file is.
pub(crate) fn secret(vault: &dyn KeyVault, entry: &str, file: &Path) -> Result<Secret, Error> {
    match vault.load(entry)? {
        Some(bytes) => {
            let bytes = <[u8; 48]>::try_from(bytes).map_err(|_| Error::KeyLost)?;
            Ok(Secret(bytes))
        }
        None if file.exists() => Err(Error::KeyLost),
        None => {
            let mut bytes = [0; 48];
            getrandom::fill(&mut bytes).map_err(|error| Error::Bug { report: error.to_string() })?;
            vault.store(entry, &bytes, Scope::WithBackups)?;
            Ok(Secret(bytes))
        }
    }
}

fn unusable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::StorageFull,
        _ => Error::DatabaseUnusable { why: crate::Unusable::ReadOnly },
    }
}
