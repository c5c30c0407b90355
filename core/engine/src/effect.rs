//! What the driver is to do after the commit.
//!
//! Performing never waits for the peer, and an effect that was not performed is derived again when the account is
//! loaded: nothing here may be the only place where something is remembered.

use std::collections::BTreeMap;

use jid::BareJid;

use crate::{
    api::{Error, Event, Reply, RequestId, Status},
    input::{Destination, LinkId},
};

/// Something to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Open a connection; answer with `LinkUp` or `LinkLost`. A connection that was there is dropped.
    Connect {
        /// What to call it.
        link: LinkId,
        /// Where to.
        destination: Destination,
    },
    /// Begin TLS on it and answer with `Secured` or `LinkLost`. Bytes behind `<proceed/>` make it lost.
    StartTls {
        /// Which connection.
        link: LinkId,
    },
    /// A new stream begins on the same connection: the next bytes in either direction are a stream header.
    RestartStream {
        /// Which connection.
        link: LinkId,
    },
    /// Put these bytes into the write buffer.
    Send {
        /// Which connection.
        link: LinkId,
        /// Whole stanzas or a stream header.
        bytes: Vec<u8>,
    },
    /// Write what is buffered, then close TCP only: the session stays on the server.
    Hangup {
        /// Which connection.
        link: LinkId,
    },
    /// Write what is buffered and the stream's footer, wait for the server's at most a second, then close TCP.
    Close {
        /// Which connection.
        link: LinkId,
    },
    /// The archive is being fetched, or no longer: acknowledge TCP segments at once (Linux, Android).
    Hurry {
        /// Which connection.
        link: LinkId,
        /// Whether to.
        on: bool,
    },
    /// A command is answered.
    Reply {
        /// Which.
        request: RequestId,
        /// How.
        result: Result<Reply, Error>,
    },
    /// What is shown has changed.
    Update(Touched),
    /// How the account is doing has changed.
    Status(Status),
    /// For the listeners of events.
    Event(Box<Event>),
}

/// Which views a batch has changed. Whoever shows one of them asks the database again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Conversations whose timeline or line in the list changed, and from which position on: what stands below it is as it was.
    pub timelines: BTreeMap<BareJid, i64>,
    /// All timelines changed: a gap was opened or closed.
    pub all_timelines: bool,
    /// More of the conversation list changed than the lines of those.
    pub conversations: bool,
    /// The roster or somebody's presence changed.
    pub contacts: bool,
}

impl Touched {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
