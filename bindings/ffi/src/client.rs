//! The app's accounts.

use std::{sync::Arc, time::Duration};

use crate::{Account, Connection, KeyVault, Options, WhimbrelError, error::address, guard, vault::Bridge};

/// All accounts of one data directory.
#[derive(Debug, uniffi::Object)]
pub struct Client {
    client: whimbrel::Client,
}

#[uniffi::export(async_runtime = "tokio")]
impl Client {
    /// Opens a data directory, made if it is not there, and the accounts in it. None of them connects by itself.
    ///
    /// An account that cannot be opened is there all the same, and answers with the reason: `KeyLost`, `Locked`,
    /// `DatabaseUnusable`, and `InUse` where this is an extension and the app is in charge. Fails with `StorageFull` or `DatabaseUnusable` where the directory itself cannot be used.
    // For UniFFI a named constructor is a static function; only an unnamed one could not be async.
    #[uniffi::constructor]
    pub async fn open(
        directory: String,
        vault: Arc<dyn KeyVault>,
        options: Options,
    ) -> Result<Arc<Self>, WhimbrelError> {
        guard::task(async move {
            let vault = Arc::new(Bridge(vault));
            let client = whimbrel::Client::open(directory, vault, options.into()).await?;
            Ok(Arc::new(Self { client }))
        })
        .await
    }

    /// The addresses of all accounts. See `account`.
    pub fn addresses(&self) -> Result<Vec<String>, WhimbrelError> {
        guard::sync(|| Ok(self.client.accounts().iter().map(|account| account.jid().to_string()).collect()))
    }

    /// One of the accounts, or nothing.
    pub fn account(&self, jid: String) -> Result<Option<Arc<Account>>, WhimbrelError> {
        guard::sync(|| Ok(self.client.account(&address(&jid)?).map(Account::new)))
    }

    /// Adds an account, or changes how an existing one connects. It does not connect yet: see `signIn`.
    ///
    /// Fails with `KeyLost` where there is a file and no secret for it, `Locked`, `StorageFull`, `DatabaseUnusable`, and
    /// `InvalidInput` for what is not an account's address.
    pub async fn add_account(
        &self,
        jid: String,
        connection: Connection,
    ) -> Result<Arc<Account>, WhimbrelError> {
        let client = self.client.clone();
        guard::task(
            async move { Ok(Account::new(client.add_account(address(&jid)?, connection.into()).await?)) },
        )
        .await
    }

    /// Stops all accounts and closes every file, within this time as far as the peers allow. Sessions stay on their
    /// servers. Calls answer `Suspended` until `resume`. Doing it twice is harmless.
    pub async fn suspend(&self, within: Duration) -> Result<(), WhimbrelError> {
        let client = self.client.clone();
        guard::task(async move {
            client.suspend(within).await;
            Ok(())
        })
        .await
    }

    /// Opens the files again and connects the accounts that were connected. Fails with the first account's reason; the
    /// others go on.
    pub async fn resume(&self) -> Result<(), WhimbrelError> {
        let client = self.client.clone();
        guard::task(async move { Ok(client.resume().await?) }).await
    }

    /// Like `suspend`, for good: calls answer `Closed`. (The generated `close` of Kotlin only lets go of this object.)
    pub async fn shut_down(&self) -> Result<(), WhimbrelError> {
        let client = self.client.clone();
        guard::task(async move {
            client.close().await;
            Ok(())
        })
        .await
    }
}
