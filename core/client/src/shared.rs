//! What an account's thread and the public objects share: the newest status, what changed, events, one reader.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{mpsc, watch};
use whimbrel_engine::{
    Touched,
    api::{Error, Event, Status},
    store::{self, Secret},
};

use crate::account::Events;

/// Events that a slow listener may fall behind.
const EVENTS: usize = 16_384;

/// Counts changes; what is shown is read again when its number moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) timelines: u64,
    pub(crate) conversations: u64,
    pub(crate) contacts: u64,
}

pub(crate) struct Shared {
    path: PathBuf,
    reader: Mutex<Reader>,
    listeners: Mutex<Vec<Listener>>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) changes: watch::Sender<Changes>,
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
    pub(crate) fn new(path: PathBuf) -> Self {
        let offline = Status::Offline { reason: None, detail: String::new(), next_attempt: None };
        Self {
            path,
            reader: Mutex::new(Reader::Shut(Error::Suspended)),
            listeners: Mutex::default(),
            status: watch::Sender::new(offline),
            changes: watch::Sender::new(Changes::default()),
        }
    }

    /// Reads from the file. The connection is opened by the first reader and closed when the account is suspended.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> whimbrel_engine::Result<T>,
    ) -> Result<T, Error> {
        let mut reader = self.reader();
        if let Reader::Idle(secret) = &*reader {
            *reader = Reader::Open(store::open_reader(&self.path, secret).map_err(|error| error.to_api())?);
        }
        match &*reader {
            // One transaction: what is read in several statements stems from one state of the world.
            Reader::Open(connection) => connection
                .unchecked_transaction()
                .map_err(Into::into)
                .and_then(|transaction| query(&transaction))
                .map_err(|error| error.to_api()),
            Reader::Shut(why) => Err(why.clone()),
            Reader::Idle(_) => Err(Error::Suspended),
        }
    }

    pub(crate) fn open_reader(&self, secret: Secret) {
        *self.reader() = Reader::Idle(secret);
        self.everything_changed();
    }

    /// Closes the file. Whoever waits for a change goes on waiting, unless it is for good.
    pub(crate) fn close_reader(&self, why: Error) {
        let for_good = matches!(why, Error::Closed);
        *self.reader() = Reader::Shut(why);
        if for_good {
            self.listeners().clear();
            self.status.send_modify(|_| {});
        }
        self.everything_changed();
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.reader(), Reader::Shut(Error::Closed))
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn everything_changed(&self) {
        self.changes.send_modify(|changes| {
            changes.timelines += 1;
            changes.conversations += 1;
            changes.contacts += 1;
        });
    }

    pub(crate) fn touched(&self, touched: &Touched) {
        self.changes.send_modify(|changes| {
            changes.timelines += u64::from(touched.all_timelines || !touched.timelines.is_empty());
            changes.conversations += u64::from(touched.conversations);
            changes.contacts += u64::from(touched.contacts);
        });
    }

    /// A timeline shows more than before.
    pub(crate) fn window_moved(&self) {
        self.changes.send_modify(|changes| changes.timelines += 1);
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.send_replace(status);
    }

    pub(crate) fn listen(&self) -> Events {
        let (sender, receiver) = mpsc::channel(EVENTS);
        let missed = Arc::new(AtomicU64::new(0));
        if !self.is_closed() {
            self.listeners().push(Listener { sender, missed: Arc::clone(&missed) });
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

/// Milliseconds since 1970, as the device believes.
pub(crate) fn wall_clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
