//! Lists that an app follows: a timeline, the conversations, the contacts.
//!
//! The listener pulls. An update is the difference between what the listener has and a fresh query, made when it is asked
//! for: between two pulls any number of changes cost nothing, a slow listener holds nothing back, and cancelling is not
//! asking again. A subscription keeps what its last update took away, so that one whose delivery was cancelled can be had
//! again.
//!
//! Items stand in the order of their positions, and a change says from which position on. What stands below is not read
//! again: in a window of ten thousand messages, a new one costs as much as in a window of ten.
//!
//! Items are shared, not copied, until an update takes them along: of a thousand conversations, the one that changed is.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use whimbrel_engine::{
    roster,
    splice::{Splice, diff},
    timeline::{self, Span, Start},
};

use crate::{
    Account, Address, Contact, Conversation, Error, Item, ItemId,
    shared::{Shared, Stale, Topic},
};

/// Pages of the archive, which is one for all conversations, that are fetched at a time for want of anything of this one.
const PAGES: u32 = 20;

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
    stale: Arc<Stale>,
    state: Mutex<Folded<T>>,
    /// The number of the newest call of `next`.
    newest: AtomicU64,
}

/// Reads what stands at a position and above, given the item below it.
type Query<T> = Box<
    dyn Fn(&rusqlite::Connection, i64, Option<&T>) -> whimbrel_engine::Result<Vec<(i64, Arc<T>)>>
        + Send
        + Sync,
>;

struct Folded<T> {
    seq: u64,
    list: Vec<Arc<T>>,
    /// Where each item stands; never decreasing.
    positions: Vec<i64>,
    /// What the last update replaced: from which item on, standing from which position on, and what was there.
    replaced: Option<Tail<T>>,
}

struct Tail<T> {
    from: i64,
    at: usize,
    list: Vec<Arc<T>>,
    positions: Vec<i64>,
}

impl<T> std::fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl<T: Clone + Eq> Subscription<T> {
    fn new(shared: Arc<Shared>, topic: Topic, query: Query<T>) -> Self {
        let stale = shared.follow(topic);
        let state = Mutex::new(Folded { seq: 0, list: Vec::new(), positions: Vec::new(), replaced: None });
        Self { shared, query, stale, state, newest: AtomicU64::new(0) }
    }

    /// Waits until the list is another than the one that the update `after` led to, and says how. 0 is the empty list
    /// before the first update, which comes at once. Safe to cancel, and to call again with the same `after`. Only the newest
    /// call is answered.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an `after` that is neither the last update's nor the one's before; [`Error::Closed`]
    /// when the account is, or where the listener has called again meanwhile; or where the file is open and cannot be read. While
    /// it is not open, since the account is suspended or for whatever reason its status tells, it waits.
    pub async fn next(&self, after: u64) -> Result<Update<T>, Error> {
        let call = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.borrow_and_update();
            match self.update(call, after) {
                Ok(None) | Err(Error::InUse) => {}
                Ok(Some(update)) => return Ok(update),
                Err(error) => return Err(error),
            }
            changes.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    fn update(&self, call: u64, after: u64) -> Result<Option<Update<T>>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if call != self.newest.load(Ordering::Relaxed) {
            // Left behind by a listener that was cancelled (Swift cannot drop it): what it took would reach nobody.
            return Err(Error::Closed);
        }
        // The listener may not have had the last update, or start over from nothing.
        let lost = after + 1 == state.seq;
        let anew = after == 0 && !lost;
        if after != state.seq && !lost && !anew {
            return Err(Error::InvalidInput {
                what: format!("{after} is not an update of this subscription"),
            });
        }
        if lost && let Some(position) = state.take_back() {
            self.stale.add(position);
        }
        if anew {
            state.list.clear();
            state.positions.clear();
            self.stale.add(i64::MIN);
        }
        let Some(from) = self.stale.take() else { return Ok(None) };
        let at = state.positions.partition_point(|position| *position < from);
        let below = at.checked_sub(1).map(|below| &*state.list[below]);
        let read = self.shared.read_if_open(|connection| (self.query)(connection, from, below));
        let (positions, list): (Vec<i64>, Vec<Arc<T>>) = match read {
            Ok(Ok(read)) => read.into_iter().unzip(),
            Ok(Err(error)) => {
                self.stale.add(from);
                return Err(error.to_api());
            }
            Err(why) => {
                self.stale.add(from);
                // Nothing changes while the file is not open, and the listener is still there afterwards.
                return if why == Error::Closed { Err(why) } else { Ok(None) };
            }
        };
        let splices: Vec<Splice<T>> = diff(&state.list[at..], &list)
            .into_iter()
            .map(|splice| Splice {
                at: splice.at + at as u32,
                removed: splice.removed,
                items: splice.items.into_iter().map(Arc::unwrap_or_clone).collect(),
            })
            .collect();
        if splices.is_empty() && !lost && !anew {
            state.positions.truncate(at);
            state.positions.extend(positions);
            return Ok(None);
        }
        let replaced = Tail {
            from,
            at,
            list: state.list.splice(at.., list).collect(),
            positions: state.positions.splice(at.., positions).collect(),
        };
        state.replaced = Some(replaced);
        // An update that starts over is followed by nothing that came before it.
        state.seq += if lost {
            0
        } else if anew && state.seq > 0 {
            2
        } else {
            1
        };
        Ok(Some(Update { seq: state.seq, splices }))
    }
}

impl<T> Folded<T> {
    /// Undoes the last update, once. From which position on the list is to be read again.
    fn take_back(&mut self) -> Option<i64> {
        let tail = self.replaced.take()?;
        self.list.truncate(tail.at);
        self.list.extend(tail.list);
        self.positions.truncate(tail.at);
        self.positions.extend(tail.positions);
        Some(tail.from)
    }
}

/// A window of a conversation. It reaches from some message to the newest, or, where it was opened at a message, to another.
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
    span: Mutex<Span>,
    /// Offset of the local time from UTC, in ms.
    offset: AtomicI64,
}

impl Window {
    fn span(&self) -> std::sync::MutexGuard<'_, Span> {
        self.span.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(Self::of(account, shared, with, start.into()))
    }

    pub(crate) fn open_at(
        account: Account,
        shared: Arc<Shared>,
        with: Address,
        item: &ItemId,
        limit: u32,
    ) -> Result<Self, Error> {
        let span = shared.read(|connection| timeline::around(connection, &with, item, limit))?;
        Ok(Self::of(account, shared, with, span.ok_or(Error::NotFound)?))
    }

    fn of(account: Account, shared: Arc<Shared>, with: Address, span: Span) -> Self {
        let window = Arc::new(Window { span: Mutex::new(span), offset: AtomicI64::new(0) });
        Self { account, shared, with, window }
    }

    /// Whom it is with.
    pub fn with(&self) -> &Address {
        &self.with
    }

    /// The local time's offset from UTC in minutes, for day separators. 0 until told.
    pub fn set_utc_offset(&self, minutes: i32) {
        self.window.offset.store(i64::from(minutes) * 60_000, Ordering::Relaxed);
        self.shared.window_moved(&self.with);
    }

    /// What is shown now, oldest first.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn items(&self) -> Result<Vec<Item>, Error> {
        let (span, offset) = (*self.window.span(), self.window.offset.load(Ordering::Relaxed));
        self.shared.read(|connection| timeline::window(connection, &self.with, span, offset))
    }

    /// Follows what is shown.
    pub fn subscribe(&self) -> Subscription<Item> {
        let (with, window) = (self.with.clone(), Arc::clone(&self.window));
        let topic = Topic::Timeline(with.clone());
        let query = move |connection: &rusqlite::Connection, from: i64, below: Option<&Item>| {
            let (span, offset) = (*window.span(), window.offset.load(Ordering::Relaxed));
            let items = timeline::window_from(connection, &with, span, offset, from, below)?;
            Ok(items.into_iter().map(|(position, item)| (position, Arc::new(item))).collect())
        };
        Subscription::new(Arc::clone(&self.shared), topic, Box::new(query))
    }

    /// Shows up to `limit` older messages: from the file, and where it has fewer, from the server's archive. Returns
    /// whether there may be more. Where twenty pages of the archive have nothing of this conversation, nothing is shown and it is to be
    /// asked again.
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`], [`Error::ServerRefused`] where the file has no more and the archive cannot be asked.
    pub async fn older(&self, limit: u32) -> Result<bool, Error> {
        let limit = limit.max(1);
        let before = self.window.span().start;
        let here =
            self.shared.read(|connection| timeline::count_before(connection, &self.with, before, limit))?;
        let mut more = true;
        if here < limit {
            if here > 0 {
                // It is shown at once, however long the archive takes.
                self.reach_back(before, here)?;
            }
            let oldest = || self.shared.read(|connection| timeline::oldest(connection, &self.with));
            let first = oldest()?;
            for page in 0..PAGES {
                match self.account.fetch_older().await {
                    Ok(older) => more = !older.complete,
                    // What is here can be shown all the same; asking again tells why there is no more.
                    Err(_) if here > 0 || page > 0 => break,
                    Err(error) => return Err(error),
                }
                if !more || here > 0 || oldest()? != first {
                    break;
                }
            }
        }
        let start = self.reach_back(before, limit)?;
        let left = self.shared.read(|connection| timeline::count_before(connection, &self.with, start, 1))?;
        Ok(more || left > 0)
    }

    /// Shows this many more that are here; from where.
    fn reach_back(&self, before: Start, limit: u32) -> Result<Start, Error> {
        let start =
            self.shared.read(|connection| timeline::earlier(connection, &self.with, before, limit))?;
        {
            // Somebody else may have reached further meanwhile.
            let mut reached = self.window.span();
            reached.start = start.min(reached.start);
        }
        self.shared.window_moved(&self.with);
        Ok(start)
    }

    /// Shows up to `limit` newer messages, where it does not reach to the newest, as it was opened at a message. Returns whether
    /// there are more; once there are none it shows whatever comes.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn newer(&self, limit: u32) -> Result<bool, Error> {
        let Some(before) = self.window.span().end else { return Ok(false) };
        let later =
            |connection: &rusqlite::Connection| timeline::later(connection, &self.with, before, limit.max(1));
        let end = self.shared.read(later)?;
        let end = {
            // Somebody else may have reached further meanwhile.
            let mut reached = self.window.span();
            reached.end = reached.end.zip(end).map(|(one, other)| one.max(other));
            reached.end
        };
        self.shared.window_moved(&self.with);
        Ok(end.is_some())
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

    /// What is shown now: the pinned ones first, the archived ones last, among each the newest first.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn items(&self) -> Result<Vec<Conversation>, Error> {
        let lines = self.shared.read(|connection| self.shared.lines.read(connection))?;
        Ok(lines.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// Follows what is shown.
    pub fn subscribe(&self) -> Subscription<Conversation> {
        let shared = Arc::clone(&self.shared);
        let query = move |connection: &rusqlite::Connection, _, _: Option<&_>| {
            Ok(whole(shared.lines.read(connection)?))
        };
        Subscription::new(Arc::clone(&self.shared), Topic::Conversations, Box::new(query))
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
        let query = |connection: &rusqlite::Connection, _, _: Option<&_>| {
            Ok(whole(roster::contacts(connection)?.into_iter().map(Arc::new)))
        };
        Subscription::new(Arc::clone(&self.shared), Topic::Contacts, Box::new(query))
    }
}

/// A list without positions is read as a whole.
fn whole<T>(list: impl IntoIterator<Item = Arc<T>>) -> Vec<(i64, Arc<T>)> {
    list.into_iter().map(|item| (i64::MIN, item)).collect()
}
