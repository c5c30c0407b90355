//! One opening of a file: what SQLite may do with it, in safe Rust. A handle of a process that died fails and touches nothing.

use std::{
    os::raw::c_int,
    ptr::NonNull,
    sync::{Arc, MutexGuard},
};

use rusqlite::ffi;

use crate::{
    Disk, Fault,
    file::File,
    shared_memory::SharedMemory,
    state::{HandleId, Operation, State},
};

pub(crate) type Done<T = ()> = Result<T, c_int>;

#[derive(Debug)]
pub(crate) struct Handle {
    disk: Disk,
    name: String,
    id: HandleId,
    life: u64,
    shared_memory: Option<Arc<SharedMemory>>,
    delete_on_close: bool,
}

impl Handle {
    /// `path` may be `None`, for a file that only SQLite knows.
    pub(crate) fn open(path: Option<&str>, flags: c_int) -> Done<Self> {
        let (disk, name) = match path {
            Some(path) => Disk::find(path).ok_or(ffi::SQLITE_CANTOPEN)?,
            None => (Disk::new(), "temporary"),
        };
        let create = path.is_none() || flags & ffi::SQLITE_OPEN_CREATE != 0;
        let mut state = disk.state();
        let id = state.open(name, create, flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0)?;
        let life = state.life;
        drop(state);
        let name = name.to_owned();
        let delete_on_close = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
        Ok(Self { disk, name, id, life, shared_memory: None, delete_on_close })
    }

    pub(crate) fn close(self) {
        self.unmap();
        let mut state = self.disk.state();
        if state.life != self.life {
            return;
        }
        if let Some(file) = state.files.get_mut(&self.name) {
            file.locks.remove(&self.id);
        }
        if self.delete_on_close {
            state.files.remove(&self.name);
        }
    }

    /// Returns how many bytes there were.
    pub(crate) fn read(&self, at: usize, into: &mut [u8]) -> Done<usize> {
        let mut state = self.alive(ffi::SQLITE_IOERR_READ)?;
        let bytes = self.file(&mut state, ffi::SQLITE_IOERR_READ)?.bytes();
        let bytes = bytes.get(at..).unwrap_or_default();
        let len = bytes.len().min(into.len());
        into[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> Done {
        self.operate(Operation::Write, ffi::SQLITE_IOERR_WRITE, |state| {
            self.file(state, ffi::SQLITE_IOERR_WRITE)?.write(at, bytes);
            state.written.0 += 1;
            state.written.1 += bytes.len() as u64;
            Ok(())
        })
    }

    pub(crate) fn truncate(&self, to: usize) -> Done {
        self.operate(Operation::Truncate, ffi::SQLITE_IOERR_TRUNCATE, |state| {
            self.file(state, ffi::SQLITE_IOERR_TRUNCATE)?.truncate(to);
            Ok(())
        })
    }

    pub(crate) fn sync(&self) -> Done {
        self.operate(Operation::Sync, ffi::SQLITE_IOERR_FSYNC, |state| {
            let file = self.file(state, ffi::SQLITE_IOERR_FSYNC)?;
            let first = file.unborn;
            file.sync();
            if first {
                state.sync_directory();
            }
            state.written.2 += 1;
            Ok(())
        })
    }

    pub(crate) fn size(&self) -> Done<usize> {
        let mut state = self.alive(ffi::SQLITE_IOERR_FSTAT)?;
        Ok(self.file(&mut state, ffi::SQLITE_IOERR_FSTAT)?.bytes().len())
    }

    /// The five levels of <https://www.sqlite.org/lockingv3.html>, between handles.
    pub(crate) fn lock(&self, wanted: c_int) -> Done {
        let mut state = self.alive(ffi::SQLITE_IOERR_LOCK)?;
        let busy = state.in_force == Some(Fault::Busy);
        let locks = &mut self.file(&mut state, ffi::SQLITE_IOERR_LOCK)?.locks;
        let mine = locks.get(&self.id).copied().unwrap_or(ffi::SQLITE_LOCK_NONE);
        if mine >= wanted {
            return Ok(());
        }
        let others =
            locks.iter().filter(|(id, _)| **id != self.id).map(|(_, level)| *level).max().unwrap_or_default();
        if wanted == ffi::SQLITE_LOCK_SHARED {
            if others >= ffi::SQLITE_LOCK_PENDING {
                return Err(ffi::SQLITE_BUSY);
            }
        } else if busy || others >= ffi::SQLITE_LOCK_RESERVED {
            return Err(ffi::SQLITE_BUSY);
        }
        if wanted == ffi::SQLITE_LOCK_EXCLUSIVE && others >= ffi::SQLITE_LOCK_SHARED {
            // Readers that are there may finish, and no new ones come.
            locks.insert(self.id, ffi::SQLITE_LOCK_PENDING);
            return Err(ffi::SQLITE_BUSY);
        }
        locks.insert(self.id, wanted);
        Ok(())
    }

    pub(crate) fn unlock(&self, to: c_int) -> Done {
        let mut state = self.alive(ffi::SQLITE_IOERR_UNLOCK)?;
        let locks = &mut self.file(&mut state, ffi::SQLITE_IOERR_UNLOCK)?.locks;
        if let Some(mine) = locks.get_mut(&self.id) {
            *mine = to.min(*mine);
        }
        Ok(())
    }

    pub(crate) fn is_reserved(&self) -> Done<bool> {
        let mut state = self.alive(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?;
        let locks = &self.file(&mut state, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?.locks;
        Ok(locks.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED))
    }

    pub(crate) fn map(&mut self, index: usize, size: usize, make: bool) -> Done<Option<NonNull<u8>>> {
        let mut state = self.alive(ffi::SQLITE_IOERR_SHMMAP)?;
        let file = self.file(&mut state, ffi::SQLITE_IOERR_SHMMAP)?;
        let shared = match &self.shared_memory {
            Some(shared) => shared.clone(),
            None => file.shared_memory.upgrade().unwrap_or_default(),
        };
        file.shared_memory = Arc::downgrade(&shared);
        drop(state);
        let region = shared.region(index, size, make);
        self.shared_memory = Some(shared);
        Ok(region)
    }

    pub(crate) fn take_slots(&self, slots: u8, alone: bool) -> Done {
        let state = self.alive(ffi::SQLITE_IOERR_SHMLOCK)?;
        let shared = self.shared_memory.as_ref().ok_or(ffi::SQLITE_IOERR_SHMLOCK)?;
        let busy = alone && state.in_force == Some(Fault::Busy);
        if !busy && shared.take(self.id, slots, alone) { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    pub(crate) fn release_slots(&self, slots: u8) -> Done {
        let shared = self.shared_memory.as_ref().ok_or(ffi::SQLITE_IOERR_SHMLOCK)?;
        shared.release(self.id, slots);
        Ok(())
    }

    pub(crate) fn unmap_shared_memory(&mut self) {
        self.unmap();
        self.shared_memory = None;
    }

    fn unmap(&self) {
        if let Some(shared) = &self.shared_memory {
            shared.leave(self.id);
        }
    }

    fn operate(&self, operation: Operation, failed: c_int, work: impl FnOnce(&mut State) -> Done) -> Done {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(failed);
        }
        state.operate(operation, work)
    }

    fn alive(&self, failed: c_int) -> Done<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.life != self.life {
            return Err(failed);
        }
        state.usable(failed)?;
        Ok(state)
    }

    fn file<'a>(&self, state: &'a mut State, failed: c_int) -> Done<&'a mut File> {
        state.files.get_mut(&self.name).ok_or(failed)
    }
}
