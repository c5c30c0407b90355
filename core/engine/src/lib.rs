//! What an account remembers and decides. SQLite, and no clock, randomness or socket of its own.
//!
//! One step is a batch of inputs, one transaction, and effects released after the commit. [`Engine::turn`] is that step;
//! [`timeline`] and [`roster`] read what it left in the file.

mod account;
mod amendments;
pub mod api;
pub mod blocking;
pub mod card;
mod catch_up;
pub mod census;
mod claims;
mod commands;
mod conversation;
mod deletions;
mod effect;
mod error;
pub mod export;
pub mod feed;
mod import;
mod input;
mod invitation;
mod iq;
mod keep_alive;
pub mod lease;
mod messages;
#[cfg(not(feature = "mutants"))]
mod mutants;
#[cfg(feature = "mutants")]
pub mod mutants;
mod news;
mod outbox;
mod own_nodes;
mod own_server;
mod password;
pub mod payloads;
pub mod person;
pub mod presence;
mod pubsub;
mod pulse;
pub mod push;
mod read_position;
pub mod roster;
pub mod search;
mod send;
mod services;
mod session;
mod settings;
pub mod signals;
pub mod splice;
pub mod store;
#[cfg(test)]
mod tests;
pub mod timeline;
mod turn;

pub use account::Config;
pub use effect::{Effect, Touched};
pub use error::{Error, Result, panic_report};
pub use input::{Destination, Drained, Input, LinkFailure, LinkId, Now};
pub use turn::Engine;
pub use whimbrel_proto::{
    negotiation::{StreamHeader, Tls},
    place::Place,
};
