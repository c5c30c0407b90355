//! One file: what it holds, and how to go back to what was synced.
//!
//! Changes since the last sync are kept as what stood there before, which for a log that only grows is nothing. A power
//! cut takes them all back and then makes those again that had reached the disk.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    os::raw::c_int,
    sync::{Arc, Weak},
};

use crate::{Fate, shared_memory::SharedMemory, state::HandleId};

#[derive(Debug, Default)]
pub(crate) struct File {
    /// Shared with copies of the disk until one of them writes.
    content: Arc<Content>,
    changes: Vec<Change>,
    /// It was made, and neither it nor its directory was synced since: a power cut may leave no such file.
    pub(crate) unborn: bool,
    /// How far each handle has locked it, as SQLite counts: NONE, SHARED, RESERVED, PENDING, EXCLUSIVE.
    pub(crate) locks: BTreeMap<HandleId, c_int>,
    /// The index of its log, for as long as any handle has it.
    pub(crate) shared_memory: Weak<SharedMemory>,
}

/// The bytes of a file, in memory that an earlier file of this thread left behind: a log grows to megabytes, and who grows a
/// new one in each of many worlds copies and clears that much.
#[derive(Debug)]
struct Content(Vec<u8>);

thread_local! {
    static LEFT_BEHIND: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl Default for Content {
    fn default() -> Self {
        Self(LEFT_BEHIND.with_borrow_mut(Vec::pop).unwrap_or_default())
    }
}

impl Clone for Content {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.extend_from_slice(self);
        copy
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        bytes.clear();
        // A thread that ends has no use for it.
        let _ = LEFT_BEHIND.try_with(|left| left.borrow_mut().push(bytes));
    }
}

impl Deref for Content {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Content {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// What a change replaced.
#[derive(Debug)]
enum Change {
    Write { at: usize, len: usize, before: Vec<u8>, size: usize },
    Truncate { tail: Vec<u8> },
}

/// A change that was taken back.
enum Undone {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { to: usize },
}

impl File {
    pub(crate) fn synced(bytes: Vec<u8>) -> Self {
        Self { content: Arc::new(Content(bytes)), ..Self::default() }
    }

    /// One that the next power cut may take away.
    pub(crate) fn made() -> Self {
        Self { unborn: true, ..Self::default() }
    }

    pub(crate) fn copy(&self) -> Self {
        Self { content: self.content.clone(), ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.content
    }

    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let size = self.content.len();
        let before = self.content[at.min(size)..(at + bytes.len()).min(size)].to_vec();
        self.changes.push(Change::Write { at, len: bytes.len(), before, size });
        let content = Arc::make_mut(&mut self.content);
        put(content, at, bytes);
    }

    pub(crate) fn truncate(&mut self, to: usize) {
        let size = self.content.len();
        if to >= size {
            return self.write(size, &vec![0; to - size]);
        }
        let tail = Arc::make_mut(&mut self.content).split_off(to);
        self.changes.push(Change::Truncate { tail });
    }

    pub(crate) fn sync(&mut self) {
        self.changes.clear();
        self.unborn = false;
    }

    pub(crate) fn corrupt(&mut self, at: usize, bytes: &[u8]) {
        let content = Arc::make_mut(&mut self.content);
        let at = at.min(content.len());
        let len = bytes.len().min(content.len() - at);
        content[at..at + len].copy_from_slice(&bytes[..len]);
    }

    /// Nobody has it open any more.
    pub(crate) fn forget_handles(&mut self) {
        self.locks.clear();
        self.shared_memory = Weak::new();
    }

    /// What is left of it is on the disk for good.
    pub(crate) fn lose_power(&mut self, keep: &mut dyn FnMut() -> Fate) {
        let content = Arc::make_mut(&mut self.content);
        let undone: Vec<Undone> = self.changes.drain(..).rev().map(|change| change.undo(content)).collect();
        for change in undone.into_iter().rev() {
            match (keep(), change) {
                (Fate::Keep, Undone::Write { at, bytes }) => put(content, at, &bytes),
                (Fate::Tear, Undone::Write { at, bytes }) => put(content, at, &bytes[..bytes.len() / 2]),
                (Fate::Keep, Undone::Truncate { to }) => content.truncate(to),
                (Fate::Drop, _) | (Fate::Tear, Undone::Truncate { .. }) => {}
            }
        }
        self.unborn = false;
    }
}

impl Change {
    fn undo(self, content: &mut Vec<u8>) -> Undone {
        match self {
            Self::Write { at, len, before, size } => {
                let bytes = content[at..at + len].to_vec();
                content.truncate(size);
                let at_most = at.min(size);
                content[at_most..at_most + before.len()].copy_from_slice(&before);
                Undone::Write { at, bytes }
            }
            Self::Truncate { tail } => {
                let to = content.len();
                content.extend(tail);
                Undone::Truncate { to }
            }
        }
    }
}

/// Writes, filling what lies between the end and `at` with zeros, as file systems do.
fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at {
        content.resize(at, 0);
    }
    let (over, behind) = bytes.split_at(bytes.len().min(content.len() - at));
    content[at..at + over.len()].copy_from_slice(over);
    content.extend_from_slice(behind);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(fates: &[Fate]) -> Vec<u8> {
        let mut file = File::synced(b"but soft".to_vec());
        file.write(4, b"hard");
        file.write(10, b"light");
        file.truncate(2);
        file.write(1, b"ye");
        let mut fates = fates.iter();
        file.lose_power(&mut || *fates.next().expect("one for each of four changes"));
        assert!(fates.next().is_none());
        file.bytes().to_vec()
    }

    #[test]
    fn power_loss_leaves_what_was_synced_and_of_the_rest_what_fate_says() {
        use Fate::{Drop, Keep, Tear};
        assert_eq!(after(&[Drop; 4]), b"but soft");
        assert_eq!(after(&[Keep; 4]), b"bye");
        assert_eq!(after(&[Keep, Drop, Drop, Drop]), b"but hard");
        assert_eq!(after(&[Tear, Drop, Drop, Drop]), b"but haft");
        assert_eq!(after(&[Drop, Keep, Drop, Drop]), b"but soft\0\0light");
        assert_eq!(after(&[Drop, Tear, Tear, Drop]), b"but soft\0\0li");
        assert_eq!(after(&[Drop, Keep, Keep, Drop]), b"bu");
        assert_eq!(after(&[Drop, Drop, Drop, Tear]), b"byt soft");
    }

    #[test]
    fn synced_changes_are_no_business_of_fate() {
        let mut file = File::made();
        file.write(0, b"light");
        file.sync();
        file.lose_power(&mut || panic!("nothing to decide"));
        assert_eq!(file.bytes(), b"light");
    }
}
