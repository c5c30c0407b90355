//! For the tests in each language: functions that panic, which has to arrive as `Bug`, and how many objects are held. For
//! their benchmarks: when a transaction was committed, updates without one, and the payload of an update by a plain call.

use std::sync::{
    Once, OnceLock,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use rustix::time::{ClockId, clock_gettime};
use tracing::{Metadata, Subscriber, span};

use crate::{TimelineUpdate, WhimbrelError, counted, guard};

/// Panics.
#[uniffi::export]
pub fn panic_sync() -> Result<(), WhimbrelError> {
    guard::sync(|| panic!("on purpose"))
}

/// Panics, after it has waited.
#[uniffi::export(async_runtime = "tokio")]
pub async fn panic_async() -> Result<(), WhimbrelError> {
    guard::task(async {
        tokio::task::yield_now().await;
        panic!("on purpose, later")
    })
    .await
}

/// How many objects of this library the other language holds.
#[uniffi::export]
pub fn held_objects() -> Result<i64, WhimbrelError> {
    guard::sync(|| Ok(counted::held()))
}

/// A transaction that is on the disk.
#[derive(Clone, Copy, Debug, uniffi::Record)]
pub struct Commit {
    /// How many there were, of all accounts.
    pub count: u64,
    /// When it was committed: CLOCK_MONOTONIC, in nanoseconds.
    pub at: i64,
}

static COMMITS: AtomicU64 = AtomicU64::new(0);
static COMMITTED: AtomicI64 = AtomicI64::new(0);

/// The last one. The first call begins to look.
#[uniffi::export]
pub fn last_commit() -> Result<Commit, WhimbrelError> {
    static ONCE: Once = Once::new();
    guard::sync(|| {
        ONCE.call_once(|| {
            let _ = tracing::subscriber::set_global_default(CommitTimes);
        });
        Ok(Commit { count: COMMITS.load(Ordering::Acquire), at: COMMITTED.load(Ordering::Acquire) })
    })
}

/// Wants to hear of commits and of nothing else.
struct CommitTimes;

impl Subscriber for CommitTimes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "commit"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn exit(&self, _: &span::Id) {
        let now = clock_gettime(ClockId::Monotonic);
        COMMITTED.store(now.tv_sec * 1_000_000_000 + now.tv_nsec, Ordering::Release);
        COMMITS.fetch_add(1, Ordering::AcqRel);
    }

    fn enter(&self, _: &span::Id) {}
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
}

static REPEATED: AtomicBool = AtomicBool::new(false);

/// From now on whoever has had an update and asks for the next is given the same again, as if it had been lost: read, compared
/// and handed over, without a change or a wait.
#[uniffi::export]
pub fn repeat_updates(on: bool) -> Result<(), WhimbrelError> {
    guard::sync(|| {
        REPEATED.store(on, Ordering::Relaxed);
        Ok(())
    })
}

/// What a subscription is asked for where updates are repeated.
pub(crate) fn again(after: u64) -> u64 {
    if REPEATED.load(Ordering::Relaxed) { after.saturating_sub(1) } else { after }
}

static KEPT: OnceLock<Vec<u8>> = OnceLock::new();

/// Keeps an update as the bytes that cross the boundary, for [`whimbrel_kept_update`]; the first counts.
#[uniffi::export]
pub fn keep_update(update: TimelineUpdate) -> Result<(), WhimbrelError> {
    guard::sync(|| {
        KEPT.get_or_init(|| {
            let mut bytes = Vec::new();
            <TimelineUpdate as uniffi::Lower<crate::UniFfiTag>>::write(update, &mut bytes);
            bytes
        });
        Ok(())
    })
}

/// The bytes of the kept update by a call with nothing around it, which the boundary is compared with. Returns how many there
/// are; where they are more than `capacity`, none is written.
///
/// # Safety
/// `out` is a buffer of `capacity` bytes.
#[expect(unsafe_code, reason = "what is compared with is plain C")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn whimbrel_kept_update(out: *mut u8, capacity: usize) -> usize {
    let kept = KEPT.get().map_or(&[][..], Vec::as_slice);
    if kept.len() <= capacity {
        // SAFETY: as the caller promises, and nobody else has our bytes to write to.
        unsafe { out.copy_from_nonoverlapping(kept.as_ptr(), kept.len()) };
    }
    kept.len()
}
