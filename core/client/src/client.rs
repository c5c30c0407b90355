//! Many accounts in one data directory.
//!
//! Every account has a directory of its own with one encrypted database, named by a hash: an address is never a path.
//! The address stands beside it in plain text, so that an account whose key is lost can still be named. The secret is
//! made here and given to the vault *before* the file is created.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};
use whimbrel_engine::store::Secret;

use crate::{
    Address, Cursor, Error, Hit, Network, Search,
    account::{Account, Home, WakeUp},
    net::connect::{Connection, Resolver, Route},
    registration::Registration,
    vault::{KeyVault, Scope, write_whole},
};

/// Which of the processes that share a data directory this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The app: it takes its accounts at once, whoever has them.
    #[default]
    App,
    /// An extension of it, such as iOS' for notifications: it takes an account only if the app has suspended it, is gone, or
    /// says nothing for a second because the system has stopped it. It opens none before it is wanted, for what all of them take
    /// is more than it has: [`Client::wake_up`], [`Client::resume`] and whatever else is awaited open one, and then it is read.
    Extension,
}

/// A message that was found in one of all accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundIn {
    /// Whose it is.
    pub account: Address,
    /// It.
    pub hit: Hit,
}

/// What the app decides about all of its accounts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which process this is.
    pub role: Role,
    /// The name of the software, told to the server and to contacts (XEP-0092, XEP-0388).
    pub software: String,
    /// Tell every stanza as [`crate::Event::Raw`]. For consoles and tests: it shows content.
    pub raw: bool,
    /// Messages to ask an archive for at once, 1 to 500; a server may give fewer (XEP-0313).
    pub page: u32,
    /// Looks up servers by the platform's own means; `None`: the servers for names are asked that [`Client::network_changed`] told,
    /// or the system's own.
    pub resolver: Option<Arc<dyn Resolver>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { role: Role::App, software: "Whimbrel".into(), raw: false, page: 500, resolver: None }
    }
}

impl Options {
    /// How to get to a server, and whom to ask for names on the way.
    pub(crate) fn route(&self, connection: &Connection, network: Option<&Network>) -> Result<Route, Error> {
        let mut route = Route::new(connection)?;
        if let Some(resolver) = &self.resolver {
            route.ask_the_platform(Arc::clone(resolver));
        }
        if let Some(network) = network {
            route.ask_names_of(&network.dns);
        }
        Ok(route)
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
    life: Mutex<Life>,
    starting_over: tokio::sync::Mutex<()>,
}

/// What holds for accounts to come as well.
struct Life {
    /// Suspended or closed.
    over: Option<Error>,
    foreground: bool,
    /// What the platform said last, and when.
    network: Option<(Network, Instant)>,
}

/// How long the same word about a network is no news.
const SAME_NETWORK: Duration = Duration::from_secs(30);

/// Time for telling the server that this device is gone.
const TO_LEAVE: Duration = Duration::from_secs(10);

/// What the directory of an account is called that is being removed.
const REMOVED: &str = "removed-";

/// What SQLite keeps of one database. The journal without its file must never be found by another.
const FILES: [&str; 3] = ["", "-wal", "-shm"];

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Client {
    /// Opens a data directory, made if it is not there, and the accounts in it. None of them connects by itself.
    ///
    /// An account that cannot be opened is there all the same, and answers with the reason: [`Error::KeyLost`],
    /// [`Error::Locked`], [`Error::DatabaseUnusable`], [`Error::InUse`].
    ///
    /// Several processes may open one directory, with the same vault: an app and its extensions (see [`Role`]). One at a time has an account and
    /// writes. An app that opens or resumes it takes it from an extension; an extension waits for at most a second for an app
    /// that has it, and leaves it alone with [`Error::InUse`] where that one answers. Whoever had it notices before it writes
    /// again, hangs up, shows the status offline with [`Error::InUse`], and may go on reading until it is suspended; the other
    /// has resumed its session by then. Where a process was stopped in the middle of writing, the other gets
    /// [`Error::InUse`] after two seconds and nothing is lost: either can try again.
    ///
    /// # Errors
    /// [`Error::Locked`] where the system does not let its files be read yet; [`Error::StorageFull`] or [`Error::DatabaseUnusable`]
    /// where the directory itself cannot be used.
    pub async fn open(
        dir: impl Into<PathBuf>,
        vault: Arc<dyn KeyVault>,
        options: Options,
    ) -> Result<Self, Error> {
        let dir = dir.into();
        fs::create_dir_all(dir.join("accounts")).map_err(unusable)?;
        let life = Mutex::new(Life { over: None, foreground: true, network: None });
        let client = Self {
            inner: Arc::new(Inner {
                dir,
                vault,
                options,
                accounts: Mutex::default(),
                life,
                starting_over: tokio::sync::Mutex::default(),
            }),
        };
        client.look(true)?;
        if client.inner.options.role == Role::App {
            // What is wrong with one account is told by that account.
            all(client.accounts().iter().map(Account::start)).await;
        }
        Ok(client)
    }

    /// Finds the accounts of the directory that are not known yet.
    fn look(&self, first: bool) -> Result<(), Error> {
        for entry in fs::read_dir(self.inner.dir.join("accounts")).map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            let home = entry.path();
            if entry.file_name().to_string_lossy().starts_with(REMOVED) {
                if first {
                    // The process that removed it has ended before it was done.
                    let _ = fs::remove_dir_all(home);
                }
                continue;
            }
            let address = match fs::read_to_string(home.join("address")) {
                Ok(address) => address,
                // A device that was not unlocked since its start: its user would seem to be signed out.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(Error::Locked),
                Err(error) => {
                    // What lies here beside the accounts, or one that is damaged: the others do without it.
                    tracing::warn!(%error, "not an account");
                    continue;
                }
            };
            let Ok(jid) = address.trim().parse::<Address>() else { continue };
            let is_known = self.accounts_mut().contains_key(&jid);
            if !is_known && home.join("account.db").exists() {
                let account = self.account_at(&jid, None, None);
                self.accounts_mut().entry(jid).or_insert(account);
            }
        }
        Ok(())
    }

    /// All accounts, by address.
    pub fn accounts(&self) -> Vec<Account> {
        self.accounts_mut().values().cloned().collect()
    }

    /// One of the accounts.
    pub fn account(&self, jid: &Address) -> Option<Account> {
        self.accounts_mut().get(jid).cloned()
    }

    /// Looks for messages in all accounts, the newest first, up to `limit` of them, 1 to 500. `before` is whose the last hit of the
    /// page before this one was, and its cursor; fewer than `limit` are the last. An account that cannot be read has no hits.
    pub fn search(&self, search: &Search, before: Option<(&Address, Cursor)>, limit: u32) -> Vec<FoundIn> {
        let mut all = Vec::new();
        for account in self.accounts() {
            let before = before.map(|(last, cursor)| match account.jid().cmp(last) {
                Ordering::Equal => cursor,
                // Those of one moment are in the order of their accounts.
                Ordering::Less => Cursor { row: i64::MIN, ..cursor },
                Ordering::Greater => Cursor { row: i64::MAX, ..cursor },
            });
            let found = account.search(search, before, limit).unwrap_or_default();
            let account = account.jid();
            all.extend(found.hits.into_iter().map(|hit| FoundIn { account: account.clone(), hit }));
        }
        all.sort_by_key(|found| Reverse(found.hit.cursor.at));
        all.truncate(limit.clamp(1, 500) as usize);
        all
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
        connection.check()?;
        self.is_open()?;
        let account = {
            let mut accounts = self.accounts_mut();
            match accounts.get(&jid) {
                Some(account) if !account.is_closed() => account.clone(),
                closed => {
                    let account = self.account_at(&jid, Some(connection.clone()), closed);
                    accounts.insert(jid.clone(), account.clone());
                    account
                }
            }
        };
        let dir = &account.home().dir;
        let result = match self.move_in(account.home()) {
            Ok(()) => account.start_with(connection).await,
            Err(error) => Err(unusable(error)),
        };
        if let Err(error) = result {
            // An account that never was is none; one that has a file is there, whatever is wrong with it.
            if !dir.join("account.db").exists() {
                self.accounts_mut().remove(&jid);
            }
            return Err(error);
        }
        Ok(account)
    }

    /// Asks a server for a new account (XEP-0077). `address` is the server's, or the new account's where it has a name already;
    /// `token` is that of an invitation, as a link has it ([`crate::uri::Action::Register`], XEP-0445). It connects as
    /// `connection` says, and so does the account then.
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`], [`Error::NotFound`] where there is no such host, [`Error::Untrusted`];
    /// [`Error::ServerRefused`] where it registers nobody, or the invitation counts no more
    /// (`item-not-found`; Prosody 13 says `forbidden`).
    pub async fn register(
        &self,
        address: &Address,
        token: Option<&str>,
        connection: Connection,
    ) -> Result<Registration, Error> {
        self.is_open()?;
        Registration::begin(self.clone(), address.clone(), token, connection).await
    }

    /// What the platform said last of the network.
    fn network(&self) -> Option<Network> {
        self.life().network.as_ref().map(|(network, _)| network.clone())
    }

    pub(crate) fn route(&self, connection: &Connection) -> Result<Route, Error> {
        self.inner.options.route(connection, self.network().as_ref())
    }

    /// Its directory, with its name on the door.
    fn move_in(&self, home: &Home) -> io::Result<()> {
        let address = home.dir.join("address");
        let text = format!("{}\n", home.jid);
        if fs::read_to_string(&address).is_ok_and(|there| there == text) {
            return Ok(());
        }
        fs::create_dir_all(&home.dir)?;
        write_whole(&address, text.as_bytes())?;
        fs::File::open(self.inner.dir.join("accounts"))?.sync_all()
    }

    /// Signs out and deletes everything of this account from the device: files, secrets in the vault, its registration for push
    /// notifications, and on the server the token that lets this device in (XEP-0484). Unsent messages are lost. Where it
    /// fails, is cancelled or the process is killed, it can be called again as long as the account is there, and is done once it is
    /// not. Without a connection the server is not told that this device is gone:
    /// its session ends by itself, its token when it has run out, and a registration for push notifications stays
    /// ([`crate::PushState::LeftBehind`]).
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Locked`], [`Error::DatabaseUnusable`] where files cannot be deleted.
    pub async fn remove_account(&self, jid: &Address) -> Result<(), Error> {
        self.is_open()?;
        let account = self.account(jid).ok_or(Error::NotFound)?;
        let _ = tokio::time::timeout(TO_LEAVE, account.leave()).await;
        account.close().await;
        // First the secret: without it nothing can be read of what may be left behind. As long as there is anything in the vault
        // the account is there as well, and is removed by the next call; then the next process finishes what is left.
        self.inner.vault.delete(&account.home().entry())?;
        self.inner.vault.delete(&account.home().installation())?;
        let dir = &account.home().dir;
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let removed = dir.with_file_name(format!("{REMOVED}{name}"));
        gone(fs::remove_dir_all(&removed))?;
        gone(fs::rename(dir, &removed))?;
        gone(fs::remove_dir_all(&removed))?;
        self.accounts_mut().remove(jid);
        Ok(())
    }

    /// Deletes the account on its server (XEP-0077 §3.2), with all that the server has of it, and then as
    /// [`Client::remove_account`]. It has to be online.
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`] and [`Error::ServerRefused`], and then nothing was deleted here; where the link was
    /// lost before the server's answer the account may be gone there. Else as [`Client::remove_account`].
    pub async fn delete_account(&self, jid: &Address) -> Result<(), Error> {
        self.is_open()?;
        self.account(jid).ok_or(Error::NotFound)?.unregister().await?;
        self.remove_account(jid).await
    }

    /// After [`Error::KeyLost`] or a damaged file: sets the file aside (it is never deleted) and begins anew with an empty
    /// one. Then [`Account::sign_in`]; how it connects was in the file, so that a [`Connection`] other than the default is to be given
    /// again, with [`Client::add_account`]. The old handle, and what follows it, answers [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::NotFound`], and as [`Client::add_account`]. Where the client is suspended meanwhile, the new account is there and
    /// suspended as well.
    pub async fn start_over(&self, jid: &Address) -> Result<Account, Error> {
        self.is_open()?;
        let old = self.account(jid).ok_or(Error::NotFound)?;
        let _one_at_a_time = self.inner.starting_over.lock().await;
        let current = self.account(jid).ok_or(Error::NotFound)?;
        if !current.is_same(&old) {
            // Somebody else has, meanwhile.
            current.start().await?;
            return Ok(current);
        }
        old.close().await;
        let result = set_aside(&old.home().dir.join("account.db"), &FILES);
        let new = {
            let mut accounts = self.accounts_mut();
            let new = self.account_at(jid, old.connection(), Some(&old));
            accounts.insert(jid.clone(), new.clone());
            new
        };
        result.map_err(unusable)?;
        new.start().await?;
        Ok(new)
    }

    /// Stops all accounts and closes every file, within this time as far as the peers allow. Sessions stay on their
    /// servers. Calls answer [`Error::Suspended`] until [`Client::resume`]. Doing it twice is harmless.
    pub async fn suspend(&self, within: Duration) {
        self.life().over.get_or_insert(Error::Suspended);
        let accounts = self.accounts().into_iter();
        let stopping: Vec<_> = accounts.map(|account| account.stop(Error::Suspended)).collect();
        let all = async {
            for stopped in stopping {
                stopped.await;
            }
        };
        let _ = tokio::time::timeout(within, all).await;
    }

    /// Opens the files again and connects the accounts that were connected. What another process has taken meanwhile is taken
    /// back, as by [`Client::open`]; also from what was not suspended, but frozen. Also for the first time, by an app that is shown: then
    /// no push suspends what it shows.
    ///
    /// # Errors
    /// The first account's that could not be opened; the others go on.
    pub async fn resume(&self) -> Result<(), Error> {
        {
            let mut life = self.life();
            match life.over {
                Some(Error::Closed) => return Err(Error::Closed),
                _ => life.over = None,
            }
        }
        all(self.accounts().iter().map(Account::resume)).await.into_iter().collect()
    }

    /// A push has come for this account. It does not say by itself for which: each account gives its app server a node of its own
    /// ([`Account::set_push`]), and that hands it on. Opens it if it is suspended or the process has just begun, resumes its session or
    /// connects, and catches up as far as the time allows: `within` is for all of it. Says what to show, and leaves the account
    /// suspended, unless it was running or the app has resumed or connected it meanwhile. One that the app has disconnected
    /// stays offline. What is told once is not told again.
    ///
    /// Can be called while the client is suspended, for several accounts at once, and again for the same one. Dropping the future
    /// suspends the account all the same.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InUse`] where this is an extension and the app is in charge, which does it itself;
    /// [`Error::KeyLost`], [`Error::Locked`], [`Error::StorageFull`], [`Error::DatabaseUnusable`]; [`Error::Suspended`] where the app
    /// suspends it meanwhile: the next push tells what this one did not. Where there is no connection, or no answer in time, it
    /// is not an error, but not [`WakeUp::complete`].
    pub async fn wake_up(&self, jid: &Address, within: Duration) -> Result<WakeUp, Error> {
        if let Some(Error::Closed) = self.life().over {
            return Err(Error::Closed);
        }
        if self.account(jid).is_none() {
            // Another process may have added it since this one looked.
            self.look(false)?;
        }
        self.account(jid).ok_or(Error::NotFound)?.wake_up(within).await
    }

    /// The platform says that the network changed, came back, or is gone. To be called whenever it does, and once after the
    /// start: how long a link may idle is remembered by the network's id.
    ///
    /// The same again counts once in half a minute, however often the platform says it: Android does of each change of the signal.
    /// Without an id it may be another network that looks alike; with one it may be that its portal lets through by now, which is
    /// looked after at once for an account that it has barred.
    pub fn network_changed(&self, network: &Network) {
        {
            let mut life = self.life();
            let is_same = life
                .network
                .as_ref()
                .is_some_and(|(last, since)| last == network && since.elapsed() < SAME_NETWORK);
            if is_same {
                drop(life);
                self.accounts().iter().for_each(|account| account.network_again(network));
                return;
            }
            life.network = Some((network.clone(), Instant::now()));
        }
        for account in self.accounts() {
            account.network_changed(network);
        }
    }

    /// The device was asleep, or the process frozen, and goes on: links that died meanwhile are found out soon. What shows by
    /// the clocks is noticed without this.
    pub fn woke(&self) {
        for account in self.accounts() {
            account.woke();
        }
    }

    /// The app is in front of its user, or no longer (XEP-0352). It is until told otherwise: a process for a push says `false` first.
    pub fn set_foreground(&self, foreground: bool) {
        self.life().foreground = foreground;
        for account in self.accounts() {
            account.set_foreground(foreground);
        }
    }

    /// The system wants memory back: what can be had again from the files is let go of.
    pub fn low_memory(&self) {
        for account in self.accounts() {
            account.low_memory();
        }
    }

    /// Like [`Client::suspend`], for good: calls answer [`Error::Closed`].
    pub async fn close(&self) {
        self.life().over = Some(Error::Closed);
        let accounts = self.accounts().into_iter();
        let closing: Vec<_> = accounts.map(|account| account.stop(Error::Closed)).collect();
        for closed in closing {
            closed.await;
        }
    }

    fn is_open(&self) -> Result<(), Error> {
        self.life().over.clone().map_or(Ok(()), Err)
    }

    /// To be called while the accounts are held, to which it is added: whoever suspends or closes all of them comes before it is
    /// made, or finds it there.
    fn account_at(&self, jid: &Address, connection: Option<Connection>, before: Option<&Account>) -> Account {
        let digest = Sha256::digest(jid.as_str());
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let dir = self.inner.dir.join("accounts").join(name);
        let home = Home {
            jid: jid.clone(),
            dir,
            vault: Arc::clone(&self.inner.vault),
            options: self.inner.options.clone(),
        };
        let file = before.map_or_else(Default::default, Account::file);
        let network = self.network();
        let life = self.life();
        let account = Account::new(home, connection, (life.foreground, network), file);
        if let Some(over) = life.over.clone() {
            // There is no thread to wait for.
            drop(account.stop(over));
        }
        account
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.inner.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts_mut(&self) -> MutexGuard<'_, BTreeMap<Address, Account>> {
        self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Side by side: each may have to wait for another process.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// The secret of a file: from the vault, or made and put there before the file is.
pub(crate) fn secret(vault: &dyn KeyVault, entry: &str, file: &Path) -> Result<Secret, Error> {
    match kept_secret(vault, entry)? {
        Some(secret) => Ok(secret),
        None if file.exists() => Err(Error::KeyLost),
        None => {
            let mut bytes = [0; 48];
            getrandom::fill(&mut bytes).map_err(|error| Error::Bug { report: error.to_string() })?;
            vault.store(entry, &bytes, Scope::WithBackups)?;
            Ok(Secret(bytes))
        }
    }
}

/// What the vault has, if it is whole.
pub(crate) fn kept_secret(vault: &dyn KeyVault, entry: &str) -> Result<Option<Secret>, Error> {
    Ok(vault.load(entry)?.and_then(|bytes| bytes.try_into().ok()).map(Secret))
}

/// Renames what is there of a database, the file before its journal: a journal that is left alone is set aside before a new
/// file is made. Never deletes.
pub(crate) fn set_aside(file: &Path, endings: &[&str]) -> io::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    for ending in endings {
        let from = file.with_file_name(format!("{name}{ending}"));
        let to = file.with_file_name(format!("set-aside-{since}-{name}{ending}"));
        match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn gone(deleted: io::Result<()>) -> Result<(), Error> {
    match deleted {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(error)),
        _ => Ok(()),
    }
}

pub(crate) fn unusable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::StorageFull,
        _ => Error::DatabaseUnusable { why: crate::Unusable::ReadOnly },
    }
}
