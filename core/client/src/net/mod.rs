//! The transport of one account: from a domain to frames of XML, and back.
//!
//! | module | what it knows |
//! |---|---|
//! | [`framing`] | bytes of a stream into stanzas |
//! | [`tls`] | whom to trust, and what a channel can be bound to |
//! | [`connect`] | from a domain to an open connection: SRV, happy eyeballs, SOCKS5, direct TLS |
//! | [`io`] | an open connection with its buffers |
//! | [`tcp`] | what it takes that a broken connection is an error and nothing else |
//!
//! Nothing here decides anything about chat, keeps state across connections (but TLS tickets), or looks at stanzas.

pub(crate) mod connect;
pub(crate) mod framing;
pub(crate) mod io;
pub(crate) mod tcp;
pub(crate) mod tls;
