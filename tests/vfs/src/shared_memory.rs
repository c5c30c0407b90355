//! What the connections to one file share: the index of its write-ahead log, and who has locked which of its eight slots.
//!
//! SQLite reads and writes the regions by itself, through pointers, and orders that with the locks and with barriers. So a
//! region never moves and lives as long as any handle has mapped it: one that died with its process may still be written
//! to by the connection that does not know yet, and is seen by nobody else.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    collections::BTreeMap,
    ptr::NonNull,
};

use crate::state::HandleId;

#[derive(Debug, Default)]
pub(crate) struct SharedMemory(std::sync::Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    regions: Vec<Region>,
    /// For each handle the slots that it holds shared, and those that it holds alone: a bit for each.
    holders: BTreeMap<HandleId, Held>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    shared: u8,
    exclusive: u8,
}

impl SharedMemory {
    /// Where a region is; `None`: it was not made yet, and should not be.
    pub(crate) fn region(&self, index: usize, size: usize, make: bool) -> Option<NonNull<u8>> {
        let mut inner = self.lock();
        while make && inner.regions.len() <= index {
            inner.regions.push(Region::new(size));
        }
        inner.regions.get(index).map(|region| region.start)
    }

    /// Takes these slots, `alone` or with others; false: somebody else has one of them.
    pub(crate) fn take(&self, handle: HandleId, slots: u8, alone: bool) -> bool {
        let mut inner = self.lock();
        let in_the_way = |held: &Held| if alone { held.shared | held.exclusive } else { held.exclusive };
        if inner.holders.iter().any(|(other, held)| *other != handle && in_the_way(held) & slots != 0) {
            return false;
        }
        let held = inner.holders.entry(handle).or_default();
        *if alone { &mut held.exclusive } else { &mut held.shared } |= slots;
        true
    }

    pub(crate) fn release(&self, handle: HandleId, slots: u8) {
        if let Some(held) = self.lock().holders.get_mut(&handle) {
            held.shared &= !slots;
            held.exclusive &= !slots;
        }
    }

    pub(crate) fn leave(&self, handle: HandleId) {
        self.lock().holders.remove(&handle);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a region is owned memory, freed once, by `Drop`. Its bytes are touched by SQLite alone, which keeps threads apart
// by the locks above.
unsafe impl Send for Region {}

impl Region {
    fn new(size: usize) -> Self {
        // SQLite wants what an mmap would give it: at least eight bytes' alignment, and zeros.
        let layout = Layout::from_size_align(size.max(1), 4096).expect("a region is 32 KiB");
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, layout }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it came from `alloc_zeroed` with this layout and is freed here only.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
