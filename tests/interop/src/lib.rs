//! Real servers, bad links and the console as a process: what the tests against the real world stand on.
//!
//! Nothing here depends on the crates it tests. The core is driven from outside, as an app's user would see it: through
//! the console's lines of JSON, over a TCP link that we can cut, against a server that somebody else wrote. So a figure
//! taken here (a lost message, a round trip) was not counted by the thing it is about.
//!
//! - [`Root`]: a Debian tree in the cache directory, with the servers in it.
//! - [`Server`]: Prosody 13, Prosody 0.12 or ejabberd, in a directory and on ports of its own.
//! - [`Link`]: the wire between a phone and the server, which can be cut, stalled, slowed and counted.
//! - [`Console`]: one phone: the console example, as a process that can be killed.
//! - [`devices_agree`]: three devices of one account, one of them somebody else's, and what they must agree about.
//! - [`Talker`], [`Plan`], [`converse`]: a long conversation between two phones that much happens to, and its [`Outcome`].
//!
//! Whatever is started here ends with the [`Server`] or [`Console`] that holds it, and at the latest with the process that
//! started it, even if that is killed.

mod console;
mod conversation;
mod devices;
mod error;
pub mod flights;
mod link;
mod ports;
mod process;
mod python;
mod root;
mod scratch;
mod server;
mod talker;
mod tally;
mod trouble;

pub use console::{Console, Event, Phone, console_binary};
pub use conversation::{End, Outcome, Script, converse};
pub use devices::{Agreed, devices_agree};
pub use error::Error;
pub use link::{Break, Connection, InFlight, Link, Rate, Then, Way};
pub use process::{leashed, run_to_end, spawn};
pub use python::{program, python_with_slixmpp};
pub use root::{APT_PATIENCE, Release, Root, cache_dir, found, host_prosody, remove_all};
pub use scratch::Scratch;
pub use server::{Kind, Options, Server};
pub use talker::{Seen, Session, Talker, line, number};
pub use tally::Tally;
pub use trouble::{Amount, Plan};

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
