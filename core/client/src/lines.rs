//! The conversation list in memory: read once, and then line by line.
//!
//! A line's last message lies anywhere in the file, and a page of it that is not in memory has to be decrypted: to read a thousand
//! lines for each message that comes would cost more than the message. What has changed is told by the engine; who follows the
//! list compares what it has with what is here.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use whimbrel_engine::{
    Result, Touched,
    timeline::{self, Rank},
};

use crate::{Address, Conversation};

/// With so many changed lines all are read.
const MANY: usize = 100;

#[derive(Debug)]
pub(crate) struct Lines {
    stale: Mutex<Stale>,
    list: Mutex<Vec<(Rank, Arc<Conversation>)>>,
}

#[derive(Debug)]
enum Stale {
    All,
    Some(BTreeSet<Address>),
}

impl Default for Lines {
    fn default() -> Self {
        Self { stale: Mutex::new(Stale::All), list: Mutex::default() }
    }
}

impl Lines {
    pub(crate) fn all_changed(&self) {
        *lock(&self.stale) = Stale::All;
    }

    pub(crate) fn touched(&self, touched: &Touched) {
        if touched.conversations {
            return self.all_changed();
        }
        if let Stale::Some(lines) = &mut *lock(&self.stale) {
            lines.extend(touched.timelines.keys().cloned());
        }
    }

    /// The list as the file has it. Nothing else was read in this transaction: what changes from here on is stale again.
    pub(crate) fn read(&self, connection: &rusqlite::Connection) -> Result<Vec<Arc<Conversation>>> {
        let mut list = lock(&self.list);
        let stale = std::mem::replace(&mut *lock(&self.stale), Stale::Some(BTreeSet::new()));
        if let Err(error) = bring_up(&mut list, &stale, connection) {
            self.all_changed();
            return Err(error);
        }
        Ok(list.iter().map(|(_, line)| Arc::clone(line)).collect())
    }
}

fn bring_up(
    list: &mut Vec<(Rank, Arc<Conversation>)>,
    stale: &Stale,
    connection: &rusqlite::Connection,
) -> Result<()> {
    let lines = match stale {
        Stale::Some(lines) if lines.len() < MANY => lines,
        _ => {
            let lines = timeline::lines(connection, None)?;
            *list = lines.into_iter().map(|(rank, line)| (rank, Arc::new(line))).collect();
            return Ok(());
        }
    };
    for with in lines {
        list.retain(|(_, line)| line.with != *with);
        for (rank, line) in timeline::lines(connection, Some(with))? {
            let at = list.partition_point(|(other, _)| *other < rank);
            list.insert(at, (rank, Arc::new(line)));
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
