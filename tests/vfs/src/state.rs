//! What one disk holds, and which fault strikes when.

use std::{collections::BTreeMap, os::raw::c_int};

use rusqlite::ffi;

use crate::{Fate, Fault, file::File};

/// One opening of a file.
pub(crate) type HandleId = u64;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<String, File>,
    /// Deleted while the directory was not synced since: a power cut may bring them back.
    deleted: Vec<(String, File)>,
    /// How many processes have died on it: a handle of an earlier life is dead.
    pub(crate) life: u64,
    pub(crate) last_handle: HandleId,
    /// How many operations from now on, and what then.
    armed: Option<(u64, Fault)>,
    pub(crate) in_force: Option<Fault>,
    pub(crate) operations: u64,
    /// Of them, refused by a disk that lives on.
    pub(crate) refused: u64,
    /// Writes, bytes in them, syncs.
    pub(crate) written: (u64, u64, u64),
}

/// What faults can strike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Write,
    Truncate,
    Sync,
    Delete,
}

impl Operation {
    fn io_error(self) -> c_int {
        match self {
            Self::Write => ffi::SQLITE_IOERR_WRITE,
            Self::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
            Self::Sync => ffi::SQLITE_IOERR_FSYNC,
            Self::Delete => ffi::SQLITE_IOERR_DELETE,
        }
    }
}

impl State {
    pub(crate) fn copy(&self) -> Self {
        let files = self.files.iter().map(|(name, file)| (name.clone(), file.copy())).collect();
        Self { files, ..Self::default() }
    }

    pub(crate) fn fail(&mut self, at: u64, fault: Fault) {
        if at == 0 && fault != Fault::IoErrorOnce {
            self.in_force = Some(fault);
        } else {
            self.armed = Some((at.max(1), fault));
        }
    }

    pub(crate) fn heal(&mut self) {
        self.armed = None;
        self.in_force = None;
    }

    /// Whether anything works that is not an operation: reading, locking, opening.
    pub(crate) fn usable(&self, failed: c_int) -> Result<(), c_int> {
        match self.in_force {
            Some(Fault::IoError | Fault::Die | Fault::DieAfter) => Err(failed),
            _ => Ok(()),
        }
    }

    /// Does it, if no fault strikes.
    pub(crate) fn operate(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&mut Self) -> Result<(), c_int>,
    ) -> Result<(), c_int> {
        self.operations += 1;
        match self.armed.take() {
            Some((1, Fault::IoErrorOnce)) => {
                self.refused += 1;
                return Err(operation.io_error());
            }
            Some((1, Fault::DieAfter)) => {
                work(self)?;
                self.in_force = Some(Fault::DieAfter);
                return Err(operation.io_error());
            }
            Some((1, fault)) => self.in_force = Some(fault),
            Some((left, fault)) => self.armed = Some((left - 1, fault)),
            None => {}
        }
        match self.in_force {
            Some(Fault::Full) if operation == Operation::Write => {
                self.refused += 1;
                return Err(ffi::SQLITE_FULL);
            }
            Some(Fault::IoError) => self.refused += 1,
            _ => {}
        }
        self.usable(operation.io_error())?;
        work(self)
    }

    /// The file of this name, made if need be.
    pub(crate) fn open(&mut self, name: &str, create: bool, exclusive: bool) -> Result<HandleId, c_int> {
        self.usable(ffi::SQLITE_CANTOPEN)?;
        match self.files.contains_key(name) {
            true if create && exclusive => return Err(ffi::SQLITE_CANTOPEN),
            false if !create => return Err(ffi::SQLITE_CANTOPEN),
            true => {}
            false => drop(self.files.insert(name.to_owned(), File::made())),
        }
        self.last_handle += 1;
        Ok(self.last_handle)
    }

    pub(crate) fn delete(&mut self, name: &str, sync_directory: bool) -> Result<(), c_int> {
        self.operate(Operation::Delete, |state| {
            let Some(file) = state.files.remove(name) else { return Err(ffi::SQLITE_IOERR_DELETE_NOENT) };
            if sync_directory {
                state.sync_directory();
            } else if !file.unborn {
                state.deleted.push((name.to_owned(), file));
            }
            Ok(())
        })
    }

    /// A file system that makes a new file sure makes sure what was deleted before it: there is one directory.
    pub(crate) fn sync_directory(&mut self) {
        self.deleted.clear();
        self.files.values_mut().for_each(|file| file.unborn = false);
    }

    pub(crate) fn crash(&mut self) {
        self.life += 1;
        self.files.values_mut().for_each(File::forget_handles);
        let kills = |fault| matches!(fault, Fault::Die | Fault::DieAfter);
        self.in_force = self.in_force.filter(|fault| !kills(*fault));
        self.armed = self.armed.filter(|(_, fault)| !kills(*fault));
    }

    pub(crate) fn power_loss(&mut self, keep: &mut dyn FnMut() -> Fate) {
        self.crash();
        self.files.retain(|_, file| !file.unborn || keep() == Fate::Keep);
        for (name, mut file) in std::mem::take(&mut self.deleted).into_iter().rev() {
            if keep() != Fate::Keep && !self.files.contains_key(&name) {
                file.forget_handles();
                self.files.insert(name, file);
            }
        }
        self.files.values_mut().for_each(|file| file.lose_power(keep));
    }
}
