//! A seeded world that tries to break the engine.
//!
//! Several accounts with several devices talk over a model server, and a script cuts their links, kills their processes,
//! breaks their disks, moves their clocks and makes their server lie. Whatever happens, what [`Failure`] lists must not.
//! A seed makes a script; a script that fails is cut down to the shortest one that still does ([`shrink()`]), and becomes a
//! named test in `tests/found.rs`.

mod device;
mod files;
mod judge;
mod script;
mod server;
mod shrink;
mod world;

pub use judge::Failure;
pub use script::{Act, Deed, DiskFailure, Manners, Overflow, Script, Size, When};
pub use shrink::shrink;
pub use world::{Report, World};

/// Worlds allocate all the time, and share nothing. SQLite asks `malloc`, which is this one too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// When worlds begin, in ms UTC.
pub(crate) const START: i64 = 1_795_000_000_000;
