//! One account.

use std::sync::Arc;

use crate::{Status, Timeline, WhimbrelError, error::address, guard};

/// One account. Every object of the same address is the same account.
#[derive(Debug, uniffi::Object)]
pub struct Account {
    account: whimbrel::Account,
}

impl Account {
    pub(crate) fn new(account: whimbrel::Account) -> Arc<Self> {
        Arc::new(Self { account })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl Account {
    /// Whose account it is.
    pub fn address(&self) -> Result<String, WhimbrelError> {
        guard::sync(|| Ok(self.account.jid().to_string()))
    }

    /// How it is doing.
    pub fn status(&self) -> Result<Status, WhimbrelError> {
        guard::sync(|| Ok(self.account.status().into()))
    }

    /// Waits until the status is another than this one, and returns it. Nothing in between is promised to be seen. Fails
    /// with `Closed`.
    pub async fn status_after(&self, seen: Status) -> Result<Status, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.status_after(&seen.into()).await?.into()) }).await
    }

    /// Connects with this password, keeps it in the encrypted database, and stays connected from then on. Returns when
    /// online.
    ///
    /// Fails with `WrongPassword`, `Untrusted`, `NotFound`, `ServerRefused`, or `Offline` where there is no connection; in
    /// the last case, and only there, it goes on trying.
    pub async fn sign_in(&self, password: String) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.sign_in(&password).await?) }).await
    }

    /// Connects as signed in before and stays connected. Returns at once: the status tells how it goes.
    pub async fn connect(&self) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.connect().await?) }).await
    }

    /// Closes the session on the server and stays offline.
    pub async fn disconnect(&self) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.disconnect().await?) }).await
    }

    /// Sends a text and returns its id when it is durable: how far it comes is the state of its item.
    ///
    /// The id is a UUID made by the caller; the same id again is the same message, so a call that was cancelled or killed can
    /// be repeated. Fails with `InvalidInput` where the id is no UUID or the text is empty or too long, `StorageFull`,
    /// `DatabaseUnusable`.
    pub async fn send(&self, id: String, to: String, text: String) -> Result<String, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.send(whimbrel::ItemId(id), &address(&to)?, &text).await?.0) })
            .await
    }

    /// A conversation's newest `limit` messages, and all that come.
    pub async fn timeline(&self, with: String, limit: u32) -> Result<Arc<Timeline>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(Timeline::new(account.timeline(&address(&with)?, limit)?)) }).await
    }
}
