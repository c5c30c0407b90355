//! Blocks of neighbouring loopback ports that no other test has.
//!
//! A server needs half a dozen ports, known before it starts. Asking the system for free ones one at a time leaves a window
//! in which another test gets the same; so a block is a file with a lock, held as long as the server lives and released by
//! the kernel if we are killed. Below the range that the system hands out by itself for outgoing connections.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
};

use crate::{Error, Result};

const FIRST: u16 = 21_000;
const SIZE: u16 = 8;
const BLOCKS: u16 = 1_000;

/// Eight ports, ours while this lives.
#[derive(Debug)]
pub(crate) struct PortBlock {
    first: u16,
    _lock: File,
}

impl PortBlock {
    pub(crate) fn take() -> Result<PortBlock> {
        let dir = std::env::temp_dir().join("whimbrel-ports");
        std::fs::create_dir_all(&dir).map_err(Error::io(format!("making {}", dir.display())))?;
        // Processes start looking in different places, or they would all queue for the first block.
        let start = (std::process::id() % u32::from(BLOCKS)) as u16;
        for n in 0..BLOCKS {
            let first = FIRST + (start + n) % BLOCKS * SIZE;
            let path = dir.join(first.to_string());
            let lock = File::create(&path).map_err(Error::io(format!("making {}", path.display())))?;
            if lock.try_lock().is_ok()
                && (first..first + SIZE).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
            {
                return Ok(PortBlock { first, _lock: lock });
            }
        }
        Err(Error::Unavailable(format!("no {SIZE} neighbouring ports are free between {FIRST} and 29000")))
    }

    pub(crate) fn first(&self) -> u16 {
        self.first
    }
}
