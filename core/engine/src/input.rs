//! What an account is told.
//!
//! The driver gathers everything that is ready, hands it to [`crate::Engine::turn`] as one batch, and performs the
//! effects after the commit. Inputs are values: a simulation feeds the same ones.

use jid::BareJid;
use minidom::Element;
use whimbrel_proto::{
    negotiation::{StreamHeader, Tls},
    place::Place,
};

use crate::api::{Command, Network, RequestId};

/// The number of a connection. What an old link still had in its buffers is discarded by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The two clocks, read once per batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never jumps. It may stand still while the device sleeps.
    pub mono: u64,
    /// Milliseconds since 1970, UTC, as the device believes. Shown, and never used for order.
    pub wall: i64,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The connection that [`crate::Effect::Connect`] asked for is there. With direct TLS, `tls` is what it gave.
    LinkUp {
        /// Which connection.
        link: LinkId,
        /// Channel-binding data, once the connection is encrypted.
        tls: Option<Tls>,
    },
    /// TLS is up after [`crate::Effect::StartTls`].
    Secured {
        /// Which connection.
        link: LinkId,
        /// Channel-binding data.
        tls: Tls,
    },
    /// No connection, or it is gone.
    LinkLost {
        /// Which connection.
        link: LinkId,
        /// Why.
        why: LinkFailure,
    },
    /// The server's stream header.
    Header {
        /// Over which connection it came.
        link: LinkId,
        /// Its attributes.
        header: StreamHeader,
    },
    /// A whole element at the top level of the stream.
    Element {
        /// Over which connection it came.
        link: LinkId,
        /// The element.
        element: Element,
    },
    /// An element that was too deep or too large to be built; it was read to its end and dropped.
    TooMuch {
        /// Over which connection it came.
        link: LinkId,
        /// What is known of it.
        drained: Drained,
    },
    /// Bytes of ours were taken by the peer after they had to wait, or a part of an element came: the link is slow and not
    /// dead (STREAM 14). Told beside other inputs, it is no reason for a step of its own.
    Progress {
        /// Over which connection.
        link: LinkId,
    },
    /// The server closed the stream.
    Closed {
        /// Over which connection it came.
        link: LinkId,
    },
    /// The app wants something.
    Command {
        /// To be named in [`crate::Effect::Reply`].
        request: RequestId,
        /// What.
        command: Command,
    },
    /// The network changed, came back or is gone.
    Network(Network),
    /// The device was asleep, or the process frozen: links may have died without a word.
    Woke,
    /// The app is in front of the user, or no longer (XEP-0352).
    Foreground(bool),
    /// A wake-up that was asked for by [`crate::Engine::next_wake`]; spurious ones are harmless.
    Tick,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkFailure {
    /// Cut, refused, timed out: try again after a while.
    Network(String),
    /// The name does not exist. Tried again, but said so.
    NotFound(String),
    /// The certificate is not to be trusted, or TLS is not possible safely. Not tried again by itself.
    Untrusted(String),
    /// What the server sent is not XML, or forbidden in XMPP (RFC 6120 §11.1), or larger than can be skipped.
    Nonsense(String),
    /// The same, in the middle of a stanza: whatever brings it again ends the stream again (STREAM 21).
    Choked {
        /// What is wrong with it, for a person.
        detail: String,
        /// What is known of it.
        stanza: Box<Drained>,
    },
}

/// What is known of an element that was not built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Local name of the stanza: `message`, `iq`, `presence` or anything.
    pub name: String,
    /// Its `from` attribute.
    pub from: Option<String>,
    /// Its `to` attribute.
    pub to: Option<String>,
    /// Its `id` attribute.
    pub id: Option<String>,
    /// Its `type` attribute.
    pub kind: Option<String>,
    /// Query and archive id, if it was a result from an archive (XEP-0313).
    pub archived: Option<(String, String)>,
    /// Its `stanza-id`s (XEP-0359), as `(by, id)`, not yet believed.
    pub stanza_ids: Vec<(String, String)>,
    /// In bytes, as it came over the wire.
    pub size: u64,
    /// Why it was not built.
    pub why: String,
    /// Its first 16 KiB.
    pub head: Vec<u8>,
}

impl Drained {
    /// Whether it counts for stream management (XEP-0198 §4).
    pub(crate) fn is_counted(&self) -> bool {
        matches!(self.name.as_str(), "message" | "presence" | "iq")
    }
}

/// Where a connection should lead. The driver knows the rest: host and port given by hand, proxy, certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The account, whose domain is looked up and whose certificate is expected.
    pub account: BareJid,
    /// Where the server itself wants us to go instead. The same certificate is expected there, and encryption.
    pub at: Option<Place>,
}
