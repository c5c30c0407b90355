//! The boundary between the core and Kotlin or Swift, by UniFFI.
//!
//! Objects, records, errors and subscriptions of `whimbrel`, spelled so that both languages can have them: addresses and
//! ids are strings and read here, generics are written out, errors are one exhaustive enum. Nothing is decided here, and
//! apps do not see it either: the hand-written faces are their API.
//!
//! What holds for every function:
//! - It returns a `Result`, and a panic in it arrives as [`WhimbrelError::Bug`] (see `guard`), never as UniFFI's own
//!   unchecked exception, which in Swift is fatal where a call cannot throw.
//! - An async one works on a thread of our runtime, never on the one that awaits it, which may be the app's main thread.
//!   Dropping it, as Kotlin does on cancellation, is safe: a command that was taken is carried out.
//!
//! This is the thinnest slice: open, sign in, send, one timeline. The rest comes with the faces.

mod account;
mod client;
mod error;
mod guard;
mod records;
#[cfg(feature = "test-support")]
mod test_support;
mod timeline;
mod vault;

pub use crate::{
    account::Account,
    client::Client,
    error::{Unusable, WhimbrelError},
    records::{Connection, Gap, GapKind, Item, Message, Options, SendState, Server, Splice, Status, Update},
    timeline::{Subscription, Timeline},
    vault::{KeyVault, Scope, file_vault},
};
#[cfg(feature = "test-support")]
pub use test_support::{panic_async, panic_sync};

uniffi::setup_scaffolding!();
