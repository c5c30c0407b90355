//! What XMPP says: pure values and state machines. No tokio, no SQLite, no clock, no randomness of its own.

pub mod address;
pub mod adhoc;
pub mod atom;
pub mod back_off;
pub mod content;
pub mod deadlines;
pub mod disco;
pub mod features;
pub mod form;
pub mod message;
pub mod negotiation;
pub mod ns;
pub mod place;
pub mod pubsub;
pub mod scram;
pub mod settings;
pub mod sm;
pub mod stamp;
pub mod text;
pub mod uri;
pub mod vcard;
pub mod write;
