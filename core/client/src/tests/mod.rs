//! The public API as an app uses and misuses it, against a server that does what it is told.
//!
//! A time limit here is for what would hang for ever; nothing is asserted about how long anything takes.

mod copies;
mod hostile;
mod lists;
mod lives;
mod network;
mod platform;
mod roles;
pub(crate) mod server;
mod wake_up;

mod device {
    mod hostile;
}
mod stream {
    mod hostile;
}

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use server::{PATIENCE, Server, message};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    Account, Address, Client, Connection, Error, Item, ItemId, KeyVault, Options, Role, Scope, Status,
    Unusable, WakeUp,
};

/// A keychain, and whether the device is locked.
#[derive(Debug, Default)]
struct Keychain {
    entries: Mutex<BTreeMap<String, Vec<u8>>>,
    fails: Mutex<Option<Error>>,
}

impl Keychain {
    fn fail_with(&self, error: Option<Error>) {
        *self.fails.lock().unwrap() = error;
    }

    fn check(&self) -> Result<(), Error> {
        self.fails.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl KeyVault for Keychain {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.check()?;
        Ok(self.entries.lock().unwrap().get(name).cloned())
    }

    fn store(&self, name: &str, bytes: &[u8], _: Scope) -> Result<(), Error> {
        self.check()?;
        self.entries.lock().unwrap().insert(name.into(), bytes.into());
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        self.check()?;
        self.entries.lock().unwrap().remove(name);
        Ok(())
    }
}

/// A device with its disk and its keychain, and the server that its account is on.
struct Stage {
    dir: TempDir,
    keychain: Arc<Keychain>,
    server: Server,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, keychain: Arc::default(), server: Server::new() }
    }

    async fn client(&self) -> Client {
        Client::open(self.dir.path(), self.keychain.clone(), Options::default()).await.unwrap()
    }

    /// The notification extension over the same directory, as another process would open it.
    async fn extension(&self) -> Client {
        let options = Options { role: Role::Extension, ..Options::default() };
        Client::open(self.dir.path(), self.keychain.clone(), options).await.unwrap()
    }

    async fn account(&self) -> (Client, Account) {
        let client = self.client().await;
        let account = client.add_account(romeo(), self.server.connection()).await.unwrap();
        (client, account)
    }

    /// An account that is online, and the other end of its connection.
    async fn online(&self) -> (Client, Account, server::Peer) {
        let (client, account) = self.account().await;
        let signing_in = signing_in(&account).await;
        let peer = self.server.accept_login();
        soon(signing_in).await.unwrap().unwrap();
        (client, account, peer)
    }

    /// What of this device's disk is open in this process.
    fn open_files(&self) -> Vec<String> {
        open_descriptors(|target| Path::new(target).starts_with(self.dir.path()))
    }

    /// Waits until nothing is open any more: what had only so much time does not wait for it.
    async fn has_closed(&self) {
        let closed = async {
            while !self.open_files().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        soon(closed).await;
    }

    fn database(&self) -> std::path::PathBuf {
        let home = fs::read_dir(self.dir.path().join("accounts")).unwrap().next().unwrap().unwrap();
        home.path().join("account.db")
    }
}

fn open_descriptors(wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let all = fs::read_dir("/proc/self/fd").unwrap();
    let targets = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.map(|target| target.to_string_lossy().into_owned()).filter(|target| wanted(target)).collect()
}

/// It has begun to sign in, and waits for the server.
async fn signing_in(account: &Account) -> JoinHandle<Result<(), Error>> {
    let account = account.clone();
    let signing_in = tokio::spawn(async move { account.sign_in("secret").await });
    tokio::task::yield_now().await;
    signing_in
}

/// A push has come, and is being looked after.
async fn pushed(client: &Client, within: Duration) -> JoinHandle<Result<WakeUp, Error>> {
    let client = client.clone();
    let waking = tokio::spawn(async move { client.wake_up(&romeo(), within).await });
    tokio::task::yield_now().await;
    waking
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// Waits until the status is like this.
async fn status_becomes(account: &Account, wanted: impl Fn(&Status) -> bool) -> Status {
    let mut status = account.status();
    while !wanted(&status) {
        status = soon(account.status_after(&status)).await.unwrap();
    }
    status
}

fn romeo() -> Address {
    "romeo@montague.lit".parse().unwrap()
}

fn juliet() -> Address {
    "juliet@capulet.lit".parse().unwrap()
}

fn texts(items: &[Item]) -> Vec<&str> {
    let mut texts = Vec::new();
    for item in items {
        if let Item::Message(message) = item {
            texts.push(message.text.as_str());
        }
    }
    texts
}
