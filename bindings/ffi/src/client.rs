//! The app's accounts.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    Account, Connection, FoundIn, FoundPlace, KeyVault, Network, Options, Registration, Resolver, Search,
    WakeUp, WhimbrelError, counted::Counted, error::address, guard, platform::Names, vault::Bridge,
};

/// How a call is broken off in a language that cannot drop its future, which is Swift. Kotlin needs none.
#[derive(Debug, uniffi::Object)]
pub struct Ending {
    said: Counted<watch::Sender<bool>>,
}

#[uniffi::export]
impl Ending {
    /// For one call.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { said: Counted::new(watch::Sender::new(false)) })
    }

    /// Nobody waits for the call any more.
    pub fn end(&self) -> Result<(), WhimbrelError> {
        guard::sync(|| {
            self.said.send_replace(true);
            Ok(())
        })
    }
}

impl Ending {
    async fn said(&self) {
        // It holds the sender itself, so that there is one.
        let _ = self.said.subscribe().wait_for(|said| *said).await;
    }
}

/// All accounts of one data directory.
#[derive(Debug, uniffi::Object)]
pub struct Client {
    client: Counted<whimbrel::Client>,
}

#[uniffi::export(async_runtime = "tokio")]
impl Client {
    /// Opens a data directory, made if it is not there, and the accounts in it. None of them connects by itself.
    ///
    /// An account that cannot be opened is there all the same, and answers with the reason: `KeyLost`, `Locked`,
    /// `DatabaseUnusable`, and `InUse` where this is an extension and the app is in charge. Fails with `StorageFull` or `DatabaseUnusable` where the directory itself cannot be used.
    ///
    /// `resolver` looks up servers in the place of the servers for names that `network_changed` told, or the system's own.
    // For UniFFI a named constructor is a static function; only an unnamed one could not be async.
    #[uniffi::constructor]
    pub async fn open(
        directory: String,
        vault: Arc<dyn KeyVault>,
        options: Options,
        resolver: Option<Arc<dyn Resolver>>,
    ) -> Result<Arc<Self>, WhimbrelError> {
        guard::task(async move {
            let vault = Arc::new(Bridge(vault));
            let mut options = whimbrel::Options::from(options);
            options.resolver = resolver.map(|resolver| Arc::new(Names(resolver)) as _);
            let client = whimbrel::Client::open(directory, vault, options).await?;
            Ok(Arc::new(Self { client: Counted::new(client) }))
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

    /// Looks for messages in all accounts, the newest first, up to `limit` of them, 1 to 500; with a place: behind that hit. Fewer
    /// than `limit` are the last. An account that cannot be read has no hits.
    pub async fn search(
        &self,
        search: Search,
        before: Option<FoundPlace>,
        limit: u32,
    ) -> Result<Vec<FoundIn>, WhimbrelError> {
        let client = self.client.clone();
        guard::task(async move {
            let before = match before {
                Some(FoundPlace { account, cursor }) => Some((address(&account)?, cursor.into())),
                None => None,
            };
            let before = before.as_ref().map(|(account, cursor)| (account, *cursor));
            Ok(client.search(&search.try_into()?, before, limit).into_iter().map(Into::into).collect())
        })
        .await
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

    /// Asks a server for a new account (XEP-0077). `jid` is the server's address, or the new account's where it has a name already;
    /// `token` is that of an invitation, as a link has it (XEP-0445). It connects as `connection` says, and so does the account.
    ///
    /// Fails with `Offline`, `TimedOut`, `NotFound` where there is no such host, `Untrusted`, and `ServerRefused` where it
    /// registers nobody, or the invitation counts no more (`item-not-found`).
    pub async fn register(
        &self,
        jid: String,
        token: Option<String>,
        connection: Connection,
    ) -> Result<Arc<Registration>, WhimbrelError> {
        let client = self.client.clone();
        guard::task(async move {
            let registration = client.register(&address(&jid)?, token.as_deref(), connection.into()).await?;
            Ok(Registration::new(registration))
        })
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

    /// A push has come for this account. It does not say by itself for which: each account gives its app server a node of its own
    /// (`set_push`), and that hands it on. Opens it if it is suspended or the process has just begun, resumes its session or connects,
    /// and catches up as far as the time allows: `within` is for all of it. Says what to show, and leaves the account suspended,
    /// unless it was running or the app has resumed or connected it meanwhile. One that the app has disconnected stays
    /// offline. What is told once is not told again.
    ///
    /// Works while the client is suspended. Fails with `NotFound`; with `InUse` where this is an extension and the app is in
    /// charge, which does it itself; with `KeyLost`, `Locked`, `StorageFull` or `DatabaseUnusable`; with `Suspended` where the app
    /// suspends it meanwhile: the next push tells what this one did not. No connection, or no answer in time, is not a failure,
    /// but not `complete`.
    ///
    /// A call that is cancelled, or ended by `ending`, suspends the account as it would have at its end, fails with `Suspended`, and
    /// what it has not told the next one tells.
    pub async fn wake_up(
        &self,
        jid: String,
        within: Duration,
        ending: Option<Arc<Ending>>,
    ) -> Result<WakeUp, WhimbrelError> {
        let client = self.client.clone();
        let ended = async move {
            match ending {
                Some(ending) => ending.said().await,
                None => pending().await,
            }
        };
        guard::task(async move {
            let jid = address(&jid)?;
            tokio::select! {
                woken = client.wake_up(&jid, within) => Ok(woken?.into()),
                () = ended => Err(WhimbrelError::Suspended),
            }
        })
        .await
    }

    /// Signs out and deletes everything of this account from the device. Unsent messages are lost. Fails with `NotFound`, with
    /// `Locked`, and with `DatabaseUnusable` where files cannot be deleted; then, or where the process was killed, it can be called
    /// again as long as the account is there. A call that is cancelled goes on to its end.
    pub async fn remove_account(&self, jid: String) -> Result<(), WhimbrelError> {
        let client = self.client.clone();
        guard::to_the_end(async move { Ok(client.remove_account(&address(&jid)?).await?) }).await
    }

    /// Deletes the account on its server (XEP-0077 §3.2), with all that the server has of it, and then as `remove_account`. It has
    /// to be online. Fails with `Offline`, `TimedOut` or `ServerRefused`, and then nothing was deleted here; where the link was
    /// lost before the server's answer the account may be gone there. A call that is cancelled goes on to its end.
    pub async fn delete_account(&self, jid: String) -> Result<(), WhimbrelError> {
        let client = self.client.clone();
        guard::to_the_end(async move { Ok(client.delete_account(&address(&jid)?).await?) }).await
    }

    /// After `KeyLost` or a damaged file: sets the file aside (it is never deleted) and begins anew with an empty one. Then
    /// `sign_in`; a `Connection` other than the default is to be given again, with `add_account`. The old object, and what follows it,
    /// answers `Closed`. Fails with `NotFound`, and as `add_account`.
    pub async fn start_over(&self, jid: String) -> Result<Arc<Account>, WhimbrelError> {
        let client = self.client.clone();
        guard::to_the_end(async move { Ok(Account::new(client.start_over(&address(&jid)?).await?)) }).await
    }

    /// The platform says that the network changed, came back, or is gone. To be called whenever it does, and once after the start.
    /// Fails with `InvalidInput` where a server for names is not given by its address.
    pub fn network_changed(&self, network: Network) -> Result<(), WhimbrelError> {
        guard::sync(|| {
            self.client.network_changed(&network.try_into()?);
            Ok(())
        })
    }

    /// The device was asleep, or the process frozen, and goes on: links that died meanwhile are found out soon. What shows by the
    /// clocks is noticed without this.
    pub fn woke(&self) -> Result<(), WhimbrelError> {
        guard::sync(|| {
            self.client.woke();
            Ok(())
        })
    }

    /// The app is in front of its user, or no longer (XEP-0352).
    pub fn set_foreground(&self, foreground: bool) -> Result<(), WhimbrelError> {
        guard::sync(|| {
            self.client.set_foreground(foreground);
            Ok(())
        })
    }

    /// A text for a developer: versions, states and counts of all accounts, and the last lines of the log, if `keep_log` or `log_to`
    /// was called. It has no content, no keys and no addresses.
    pub async fn log_bundle(&self) -> Result<String, WhimbrelError> {
        let client = self.client.clone();
        guard::task(async move { Ok(client.log_bundle()) }).await
    }

    /// The system wants memory back: what can be had again from the files is let go of.
    pub fn low_memory(&self) -> Result<(), WhimbrelError> {
        guard::sync(|| {
            self.client.low_memory();
            Ok(())
        })
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
