//! Lists that an app follows: a timeline, the conversations, the contacts.
//!
//! The listener pulls. An update is the difference between what the listener has and a fresh query, made when it is asked
//! for: between two pulls any number of changes cost nothing, a slow listener holds nothing back, and cancelling is not
//! asking again. A subscription keeps its last two lists, so that an update whose delivery was cancelled can be had again.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use whimbrel_engine::{
    roster,
    splice::{Splice, diff},
    timeline::{self, Start},
};

use crate::{
    Account, Address, Contact, Conversation, Error, Item,
    shared::{Changes, Shared},
};

/// A change of a list. Apply its splices in order, as one (see [`crate::apply`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update<T> {
    /// To be given to the next [`Subscription::next`].
    pub seq: u64,
    /// What to do.
    pub splices: Vec<Splice<T>>,
}

/// One listener's view of a list.
pub struct Subscription<T> {
    shared: Arc<Shared>,
    query: Query<T>,
    watched: fn(&Changes) -> u64,
    state: Mutex<Folded<T>>,
}

type Query<T> = Box<dyn Fn(&rusqlite::Connection) -> whimbrel_engine::Result<Vec<T>> + Send + Sync>;

struct Folded<T> {
    seq: u64,
    list: Vec<T>,
    /// What the listener has if the last update did not reach it.
    before: Vec<T>,
    /// The state of the world when `list` was read.
    version: Option<u64>,
}

impl<T> std::fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl<T: Clone + PartialEq> Subscription<T> {
    fn new(shared: Arc<Shared>, watched: fn(&Changes) -> u64, query: Query<T>) -> Self {
        let state = Mutex::new(Folded { seq: 0, list: Vec::new(), before: Vec::new(), version: None });
        Self { shared, query, watched, state }
    }

    /// Waits until the list is another than the one that the update `after` led to, and says how. 0 is the empty list
    /// before the first update, which comes at once. Safe to cancel, and to call again with the same `after`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an `after` that is neither the last update's nor the one's before; [`Error::Closed`]
    /// when the account is; or where the file cannot be read. While the account is suspended it waits.
    pub async fn next(&self, after: u64) -> Result<Update<T>, Error> {
        let mut changes = self.shared.changes.subscribe();
        loop {
            let version = (self.watched)(&changes.borrow_and_update());
            match self.update(after, version) {
                // Nothing changes while an account is suspended, and the listener is still there afterwards.
                Ok(None) | Err(Error::Suspended | Error::Locked) => {}
                Ok(Some(update)) => return Ok(update),
                Err(error) => return Err(error),
            }
            changes.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    fn update(&self, after: u64, version: u64) -> Result<Option<Update<T>>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = after + 1 == state.seq;
        if after != state.seq && !lost && after != 0 {
            return Err(Error::InvalidInput {
                what: format!("{after} is not an update of this subscription"),
            });
        }
        if lost || (after == 0 && state.seq != 0) {
            // The listener still has what was before. From 0 it starts over.
            state.list = if lost { std::mem::take(&mut state.before) } else { Vec::new() };
            state.version = None;
        }
        if state.version == Some(version) {
            return Ok(None);
        }
        let list = self.shared.read(&self.query)?;
        let first = state.seq == 0 || after == 0;
        let splices = diff(&state.list, &list);
        state.version = Some(version);
        if splices.is_empty() && !first && !lost {
            return Ok(None);
        }
        state.before = std::mem::replace(&mut state.list, list);
        state.seq += u64::from(!lost);
        Ok(Some(Update { seq: state.seq, splices }))
    }
}

/// A window of a conversation that reaches from some message to the newest.
#[derive(Clone, Debug)]
pub struct Timeline {
    account: Account,
    shared: Arc<Shared>,
    with: Address,
    window: Arc<Window>,
}

/// What all clones and subscriptions of a timeline share.
#[derive(Debug)]
struct Window {
    start: Mutex<Start>,
    /// Offset of the local time from UTC, in ms.
    offset: AtomicI64,
}

impl Window {
    fn start(&self) -> std::sync::MutexGuard<'_, Start> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timeline {
    pub(crate) fn open(
        account: Account,
        shared: Arc<Shared>,
        with: Address,
        limit: u32,
    ) -> Result<Self, Error> {
        let start = shared.read(|connection| timeline::start(connection, &with, limit))?;
        let window = Arc::new(Window { start: Mutex::new(start), offset: AtomicI64::new(0) });
        Ok(Self { account, shared, with, window })
    }

    /// Whom it is with.
    pub fn with(&self) -> &Address {
        &self.with
    }

    /// The local time's offset from UTC in minutes, for day separators. 0 until told.
    pub fn set_utc_offset(&self, minutes: i32) {
        self.window.offset.store(i64::from(minutes) * 60_000, Ordering::Relaxed);
        self.shared.window_moved();
    }

    /// What is shown now, oldest first.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn items(&self) -> Result<Vec<Item>, Error> {
        let (start, offset) = (*self.window.start(), self.window.offset.load(Ordering::Relaxed));
        self.shared.read(|connection| timeline::window(connection, &self.with, start, offset))
    }

    /// Follows what is shown.
    pub fn subscribe(&self) -> Subscription<Item> {
        let (with, window) = (self.with.clone(), Arc::clone(&self.window));
        let query = move |connection: &rusqlite::Connection| {
            let (start, offset) = (*window.start(), window.offset.load(Ordering::Relaxed));
            timeline::window(connection, &with, start, offset)
        };
        Subscription::new(Arc::clone(&self.shared), |changes| changes.timelines, Box::new(query))
    }

    /// Shows up to `limit` older messages: from the file, and where it has fewer, from the server's archive. Returns
    /// whether there may be more.
    ///
    /// # Errors
    /// [`Error::Offline`] where the file has no more and the archive cannot be asked, [`Error::ServerRefused`].
    pub async fn older(&self, limit: u32) -> Result<bool, Error> {
        let before = *self.window.start();
        let here =
            self.shared.read(|connection| timeline::count_before(connection, &self.with, before, limit))?;
        let mut more = true;
        if here < limit {
            match self.account.fetch_older(&self.with, limit).await {
                Ok(older) => more = !older.complete,
                // What is here can be shown all the same.
                Err(Error::Offline) if here > 0 => {}
                Err(error) => return Err(error),
            }
        }
        let start =
            self.shared.read(|connection| timeline::earlier(connection, &self.with, before, limit))?;
        *self.window.start() = start;
        self.shared.window_moved();
        let left = self.shared.read(|connection| timeline::count_before(connection, &self.with, start, 1))?;
        Ok(more || left > 0)
    }
}

/// All conversations of an account.
#[derive(Clone, Debug)]
pub struct ConversationList {
    shared: Arc<Shared>,
}

impl ConversationList {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What is shown now, the newest first.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn items(&self) -> Result<Vec<Conversation>, Error> {
        self.shared.read(timeline::conversations)
    }

    /// Follows what is shown.
    pub fn subscribe(&self) -> Subscription<Conversation> {
        Subscription::new(
            Arc::clone(&self.shared),
            |changes| changes.conversations,
            Box::new(timeline::conversations),
        )
    }
}

/// The roster of an account (RFC 6121 §2), by address.
#[derive(Clone, Debug)]
pub struct ContactList {
    shared: Arc<Shared>,
}

impl ContactList {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What is shown now.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn items(&self) -> Result<Vec<Contact>, Error> {
        self.shared.read(roster::contacts)
    }

    /// Follows what is shown.
    pub fn subscribe(&self) -> Subscription<Contact> {
        Subscription::new(Arc::clone(&self.shared), |changes| changes.contacts, Box::new(roster::contacts))
    }
}
