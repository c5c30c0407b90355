//! A disk in memory that fails where it is told to.
//!
//! [`install`] makes it the process's default VFS (<https://www.sqlite.org/vfs.html>), so that whoever opens a database
//! under a [`Disk`]'s path stands on it without knowing: several connections, write-ahead log, cipher and all. A disk holds
//! two pictures of each file: what the operating system has, which a killed process leaves behind, and what was synced,
//! which is all that a power cut leaves for sure.
//!
//! Everything is deterministic: no time passes, sleeping returns at once, and what SQLite takes for randomness is a counter.
//! A disk has one lock, held for the length of a copy in memory; disks share nothing but the list of their names.

mod ffi;
mod file;
mod handle;
mod shared_memory;
mod state;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, Weak},
};

use crate::state::State;

/// What goes wrong with an operation: a write, truncation, sync or deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full: every write fails, until [`Disk::heal`].
    Full,
    /// Every operation fails, and every read and opening too, until [`Disk::heal`].
    IoError,
    /// This one operation fails.
    IoErrorOnce,
    /// The process is killed before this operation: it and everything after it fails, and what the disk holds stays as it
    /// was, until [`Disk::crash`] or [`Disk::power_loss`].
    Die,
    /// The process is killed right after this operation, before it hears that it went well.
    DieAfter,
    /// Somebody else writes: nobody gets an exclusive lock, until [`Disk::heal`].
    Busy,
}

/// What a power cut does to a change that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It had reached the disk.
    Keep,
    /// It had not.
    Drop,
    /// The first half of it had. Other changes than writes are whole or not at all, and so are dropped.
    Tear,
}

/// Makes disks the place where this process's SQLite databases are. Any other path cannot be opened from then on.
pub fn install() {
    ffi::install();
}

/// One device's disk. Clones are the same disk; with the last of them and the last open file it is gone.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Platters>);

#[derive(Debug)]
struct Platters {
    number: u64,
    state: Mutex<State>,
}

/// Every disk by its number.
#[derive(Default)]
struct Disks {
    last: u64,
    by_number: HashMap<u64, Weak<Platters>>,
}

static DISKS: LazyLock<RwLock<Disks>> = LazyLock::new(RwLock::default);

impl Drop for Platters {
    fn drop(&mut self) {
        DISKS.write().unwrap_or_else(PoisonError::into_inner).by_number.remove(&self.number);
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    /// An empty disk under a name of its own.
    pub fn new() -> Self {
        Self::with(State::default())
    }

    /// Where a file of this disk is: `/disk-17/account.db`.
    pub fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/disk-{}/{file}", self.0.number))
    }

    /// Another disk with the same files in them, all of them synced. Of this disk's faults, locks and counts it has none.
    #[must_use]
    pub fn copy_of(&self) -> Self {
        Self::with(self.state().copy())
    }

    /// Writes, truncations, syncs and deletions so far, those that failed too.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Of these, how many a full or broken disk has refused; those of a dead process do not count.
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// Writes that went well, bytes in them, and syncs.
    pub fn written(&self) -> (u64, u64, u64) {
        self.state().written
    }

    /// Lets the `at`-th operation from now on fail, 1 being the next; 0 puts the fault in force at once. One fault is
    /// armed at a time, and one is in force: the later takes the place of the earlier.
    pub fn fail(&self, at: u64, fault: Fault) {
        self.state().fail(at, fault);
    }

    /// Nothing is armed and nothing in force.
    pub fn heal(&self) {
        self.state().heal();
    }

    /// What is in force: a test that armed a fault learns here whether it came to it. [`Fault::Die`] and
    /// [`Fault::DieAfter`] stand here until [`Disk::crash`].
    pub fn in_force(&self) -> Option<Fault> {
        self.state().in_force
    }

    /// The process died. The files are as the operating system has them; its locks and its shared memory are gone, and
    /// connections that are still open fail for ever and touch nothing.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// The power failed: as [`Disk::crash`], and only what was synced is sure. Of each later change, file by file and in
    /// the order in which they were made, `keep` decides.
    pub fn power_loss(&self, keep: &mut dyn FnMut() -> Fate) {
        self.state().power_loss(keep);
    }

    /// The names of the files.
    pub fn files(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    /// What a file holds.
    pub fn read(&self, file: &str) -> Option<Vec<u8>> {
        self.state().files.get(file).map(|file| file.bytes().to_vec())
    }

    /// Puts a file in place of whatever is there, synced. Connections that have it open will be surprised.
    pub fn replace(&self, file: &str, bytes: Vec<u8>) {
        self.state().files.insert(file.to_owned(), file::File::synced(bytes));
    }

    /// Overwrites a part of a file, synced, as decay does. What lies behind its end is ignored.
    pub fn corrupt(&self, file: &str, at: usize, bytes: &[u8]) {
        let mut state = self.state();
        if let Some(file) = state.files.get_mut(file) {
            file.corrupt(at, bytes);
        }
    }

    fn with(state: State) -> Self {
        let mut disks = DISKS.write().unwrap_or_else(PoisonError::into_inner);
        disks.last += 1;
        let disk = Arc::new(Platters { number: disks.last, state: Mutex::new(state) });
        disks.by_number.insert(disk.number, Arc::downgrade(&disk));
        Self(disk)
    }

    /// The disk and the file that a path names.
    fn find(path: &str) -> Option<(Self, &str)> {
        let (number, file) = path.strip_prefix("/disk-")?.split_once('/')?;
        let number: u64 = number.parse().ok()?;
        let disks = DISKS.read().unwrap_or_else(PoisonError::into_inner);
        Some((Self(disks.by_number.get(&number)?.upgrade()?), file))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panicking test leaves behind is whole: each change is one call.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
