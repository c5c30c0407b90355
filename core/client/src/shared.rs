//! What an account's thread and the public objects share: the newest status, what changed, events, one reader.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{mpsc, watch};
use whimbrel_engine::{
    Touched,
    api::{Error, Event, News, Status},
    store::{self, Secret},
};

use crate::{Address, account::Events, lines::Lines};

/// Events that a slow listener may fall behind.
const EVENTS: usize = 16_384;

/// Of what pushes have brought and nobody was told, so many of the newest are kept: as many as one of them tells.
const UNTOLD: usize = 200;

/// What a subscription shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Timeline(Address),
    Conversations,
    Contacts,
}

/// From which position on a list is to be read again, if anything of it changed since it was last read.
#[derive(Debug)]
pub(crate) struct Stale {
    topic: Topic,
    from: Mutex<Option<i64>>,
}

impl Stale {
    /// To be called before reading: what changes while it is read is read again.
    pub(crate) fn take(&self) -> Option<i64> {
        self.lock().take()
    }

    pub(crate) fn add(&self, position: i64) {
        let mut from = self.lock();
        *from = Some(from.map_or(position, |from| from.min(position)));
    }

    fn lock(&self) -> MutexGuard<'_, Option<i64>> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Shared {
    account: Address,
    path: PathBuf,
    reader: Mutex<Reader>,
    /// For good. Whoever reads has `reader` for as long as that takes.
    is_closed: AtomicBool,
    /// Held while somebody reads the file beside that.
    pub(crate) snapshot: Arc<tokio::sync::Mutex<()>>,
    /// One export at a time, to its end.
    pub(crate) exporting: Mutex<()>,
    listeners: Mutex<Vec<Listener>>,
    pub(crate) status: watch::Sender<Status>,
    /// The server does not take the password, and nothing was decided since.
    pub(crate) is_refused: AtomicBool,
    /// Who follows a list.
    stales: Mutex<Vec<Weak<Stale>>>,
    pub(crate) lines: Lines,
    /// Wakes them.
    pub(crate) changes: watch::Sender<()>,
    untold: Mutex<News>,
}

enum Reader {
    Open(rusqlite::Connection),
    Idle(Secret),
    /// The file is not open, for this reason.
    Shut(Error),
}

struct Listener {
    sender: mpsc::Sender<Event>,
    missed: Arc<AtomicU64>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(account: Address, path: PathBuf) -> Self {
        Self {
            account,
            path,
            reader: Mutex::new(Reader::Shut(Error::Suspended)),
            is_closed: AtomicBool::new(false),
            snapshot: Arc::default(),
            exporting: Mutex::default(),
            listeners: Mutex::default(),
            status: watch::Sender::new(offline()),
            is_refused: AtomicBool::new(false),
            stales: Mutex::default(),
            lines: Lines::default(),
            changes: watch::Sender::new(()),
            untold: Mutex::default(),
        }
    }

    /// Reads from the file. The connection is opened by the first reader and closed when the account is suspended.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> whimbrel_engine::Result<T>,
    ) -> Result<T, Error> {
        self.read_if_open(query)?.map_err(|error| error.to_api())
    }

    /// Likewise; the outer error says why the file is not open.
    pub(crate) fn read_if_open<T>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> whimbrel_engine::Result<T>,
    ) -> Result<whimbrel_engine::Result<T>, Error> {
        let mut reader = self.reader();
        let opened = match &*reader {
            Reader::Open(_) => None,
            Reader::Idle(secret) => Some(store::open_reader(&self.path, secret)),
            Reader::Shut(why) => return Err(why.clone()),
        };
        match opened {
            Some(Ok(connection)) => *reader = Reader::Open(connection),
            Some(Err(error)) => return Ok(Err(error)),
            None => {}
        }
        let Reader::Open(connection) = &*reader else { return Err(Error::Suspended) };
        // One transaction: what is read in several statements stems from one state of the world.
        let transaction = connection.unchecked_transaction();
        Ok(transaction.map_err(Into::into).and_then(|transaction| query(&transaction)))
    }

    pub(crate) fn open_reader(&self, secret: Secret) {
        *self.reader() = Reader::Idle(secret);
        self.everything_changed();
    }

    /// Lets go of the memory that can be had again, unless somebody reads: Android tells on the main thread, which does not wait.
    pub(crate) fn shrink_reader(&self) {
        if let Ok(reader) = self.reader.try_lock()
            && let Reader::Open(connection) = &*reader
            && let Err(error) = store::shrink(connection)
        {
            tracing::warn!(%error, "a reader's memory was not let go of");
        }
    }

    /// Whether the file may be open.
    pub(crate) fn is_readable(&self) -> Result<(), Error> {
        match &*self.reader() {
            Reader::Shut(why) => Err(why.clone()),
            Reader::Open(_) | Reader::Idle(_) => Ok(()),
        }
    }

    /// Closes the file; whoever reads beside that sees it, and closes it as well, before `snapshot` is to be had. Whoever waits for
    /// a change goes on waiting, unless it is for good.
    pub(crate) fn close_reader(&self, why: Error) {
        let for_good = matches!(why, Error::Closed);
        *self.reader() = Reader::Shut(why);
        if for_good {
            self.is_closed.store(true, Ordering::SeqCst);
            self.listeners().clear();
            self.status.send_modify(|_| {});
        }
        self.everything_changed();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a new subscription has not read yet: everything.
    pub(crate) fn follow(&self, topic: Topic) -> Arc<Stale> {
        let stale = Arc::new(Stale { topic, from: Mutex::new(Some(i64::MIN)) });
        self.stales().push(Arc::downgrade(&stale));
        stale
    }

    /// Tells each subscription from which position on its list changed, if it did.
    fn changed(&self, from: impl Fn(&Topic) -> Option<i64>) {
        self.stales().retain(|stale| {
            let Some(stale) = stale.upgrade() else { return false };
            if let Some(position) = from(&stale.topic) {
                stale.add(position);
            }
            true
        });
        self.changes.send_replace(());
    }

    fn everything_changed(&self) {
        self.lines.all_changed();
        self.changed(|_| Some(i64::MIN));
    }

    pub(crate) fn touched(&self, touched: &Touched) {
        self.lines.touched(touched);
        let lines = touched.conversations || !touched.timelines.is_empty();
        self.changed(|topic| match topic {
            Topic::Timeline(_) if touched.all_timelines => Some(i64::MIN),
            Topic::Timeline(with) => touched.timelines.get(with).copied(),
            Topic::Conversations => lines.then_some(i64::MIN),
            Topic::Contacts => touched.contacts.then_some(i64::MIN),
        });
    }

    /// A timeline shows more than before, or the same in another way.
    pub(crate) fn window_moved(&self, with: &Address) {
        self.changed(|topic| matches!(topic, Topic::Timeline(other) if other == with).then_some(i64::MIN));
    }

    /// What a push has brought, from the moment at which the file takes it for told until somebody has it.
    /// What is left of it is how much was not read.
    pub(crate) fn not_told(&self, news: News) -> News {
        let unread = news.unread;
        let mut untold = self.untold();
        untold.notify.retain(|message| !news.withdraw.contains(&message.id));
        untold.notify.extend(news.notify);
        let too_many = untold.notify.len().saturating_sub(UNTOLD);
        untold.notify.drain(..too_many);
        untold.withdraw.extend(news.withdraw);
        News { unread, ..News::default() }
    }

    /// All of it; nobody else has it then.
    pub(crate) fn tell(&self) -> News {
        std::mem::take(&mut *self.untold())
    }

    fn untold(&self) -> MutexGuard<'_, News> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stales(&self) -> MutexGuard<'_, Vec<Weak<Stale>>> {
        self.stales.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file could be opened, so that nothing that kept it closed is the reason any more.
    pub(crate) fn opened(&self) {
        let was_kept_closed = matches!(
            &*self.status.borrow(),
            Status::Offline {
                reason: Some(
                    Error::KeyLost
                        | Error::Locked
                        | Error::InUse
                        | Error::StorageFull
                        | Error::DatabaseUnusable { .. }
                        | Error::Bug { .. }
                ),
                ..
            }
        );
        if was_kept_closed {
            self.set_status(offline());
        }
    }

    pub(crate) fn set_status(&self, status: Status) {
        match &status {
            Status::Offline { reason: Some(Error::WrongPassword), next_attempt: None, .. } => {
                self.is_refused.store(true, Ordering::Relaxed);
            }
            Status::Online | Status::CatchingUp { .. } => self.is_refused.store(false, Ordering::Relaxed),
            _ => {}
        }
        let before = self.status.send_replace(status.clone());
        if before != status {
            self.log(&status);
        }
    }

    /// What is said of an account's life. Errors and details name hosts.
    fn log(&self, status: &Status) {
        let account = &self.account;
        match status {
            Status::Offline { reason, detail, next_attempt } => {
                let name = match (reason, next_attempt) {
                    (Some(reason), _) => name(reason),
                    (None, Some(_)) => "no connection",
                    (None, None) => "not wanted, or no network",
                };
                tracing::info!(reason = name, "offline");
                tracing::debug!(%account, %detail, "offline");
            }
            Status::Connecting => tracing::debug!(%account, "connecting"),
            Status::CatchingUp { .. } => tracing::debug!(%account, "catching up"),
            Status::Online => {
                tracing::info!("online");
                tracing::debug!(%account, "online");
            }
        }
    }

    pub(crate) fn listen(&self) -> Events {
        let (sender, receiver) = mpsc::channel(EVENTS);
        let missed = Arc::new(AtomicU64::new(0));
        self.listeners().push(Listener { sender, missed: Arc::clone(&missed) });
        // Whoever closes it after this finds the listener there.
        if self.is_closed() {
            self.listeners().clear();
        }
        Events { receiver, missed }
    }

    /// A slow listener never holds the account back.
    pub(crate) fn event(&self, event: &Event) {
        self.listeners().retain(|listener| match listener.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                listener.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn offline() -> Status {
    Status::Offline { reason: None, detail: String::new(), next_attempt: None }
}

/// Which error it is, and nothing of what it says.
fn name(error: &Error) -> &'static str {
    match error {
        Error::Offline => "no connection",
        Error::TimedOut => "no answer in time",
        Error::WrongPassword => "wrong password",
        Error::ServerRefused { .. } => "refused by the server",
        Error::Untrusted { .. } => "not trusted",
        Error::NotFound => "not found",
        Error::StorageFull => "storage full",
        Error::DatabaseUnusable { .. } => "database unusable",
        Error::KeyLost => "key lost",
        Error::Locked => "device locked",
        Error::Closed => "closed",
        Error::Suspended => "suspended",
        Error::InUse => "in use by another process",
        Error::InvalidInput { .. } | Error::Bug { .. } => "a bug",
    }
}

/// Milliseconds since 1970, as the device believes.
pub(crate) fn wall_clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
