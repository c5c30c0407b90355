//! Directories that hold a server's or a phone's data, in memory where the system has a tmpfs.
//!
//! On a disk that really syncs Prosody stores 35 to 100 archived messages a second, and it would be the disk that a test
//! waits for. A directory goes when its owner is dropped; what a killed process left behind is swept by the next one, which
//! can tell by the process id in the name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{Error, Result};

const PREFIX: &str = "whimbrel-";

/// A directory of our own that is deleted when dropped.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// Makes an empty directory; `name` shows up in its name, for whoever looks around while a test runs.
    pub fn new(name: &str) -> Result<Scratch> {
        let parent = parent();
        sweep(&parent);
        tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-{name}-", std::process::id()))
            .tempdir_in(&parent)
            .map(Scratch)
            .map_err(Error::io(format!("making a directory in {}", parent.display())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

fn parent() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// Deletes what processes that are no more have left.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if let Some(owner) = owner
            && Path::new("/proc/self").exists()
            && !Path::new(&format!("/proc/{owner}")).exists()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
