//! What an account's thread and the public objects share: the newest status, what changed, events, one reader.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{broadcast, watch};
use whimbrel_engine::{
    Touched,
    api::{Error, Event, Status},
    store::{self, Secret},
};

/// Events that a slow listener may fall behind.
const EVENTS: usize = 65_536;

/// Counts changes; what is shown is read again when its number moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) timelines: u64,
    pub(crate) conversations: u64,
    pub(crate) contacts: u64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    path: PathBuf,
    secret: Secret,
    reader: Mutex<Reader>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) changes: watch::Sender<Changes>,
    pub(crate) events: broadcast::Sender<Event>,
}

#[derive(Debug)]
enum Reader {
    Open(rusqlite::Connection),
    Idle,
    Suspended,
}

impl Shared {
    pub(crate) fn new(path: PathBuf, secret: Secret) -> Self {
        let offline = Status::Offline { reason: None, detail: String::new(), next_attempt: None };
        Self {
            path,
            secret,
            reader: Mutex::new(Reader::Idle),
            status: watch::Sender::new(offline),
            changes: watch::Sender::new(Changes::default()),
            events: broadcast::Sender::new(EVENTS),
        }
    }

    /// Reads from the file. The connection is opened by the first reader and closed when the account is suspended.
    pub(crate) fn read<T>(&self, query: impl FnOnce(&rusqlite::Connection) -> whimbrel_engine::Result<T>) -> Result<T, Error> {
        let mut reader = self.reader();
        if matches!(*reader, Reader::Idle) {
            *reader = Reader::Open(store::open_reader(&self.path, &self.secret).map_err(|error| error.to_api())?);
        }
        match &*reader {
            Reader::Open(connection) => query(connection).map_err(|error| error.to_api()),
            Reader::Idle | Reader::Suspended => Err(Error::Suspended),
        }
    }

    pub(crate) fn close_reader(&self) {
        *self.reader() = Reader::Suspended;
        // Whoever waits for a change learns that there will be none.
        self.changes.send_modify(|changes| {
            changes.timelines += 1;
            changes.conversations += 1;
            changes.contacts += 1;
        });
    }

    pub(crate) fn open_reader(&self) {
        *self.reader() = Reader::Idle;
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn touched(&self, touched: &Touched) {
        self.changes.send_modify(|changes| {
            changes.timelines += u64::from(touched.all_timelines || !touched.timelines.is_empty());
            changes.conversations += u64::from(touched.conversations);
            changes.contacts += u64::from(touched.contacts);
        });
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.send_replace(status);
    }

    pub(crate) fn event(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }
}
