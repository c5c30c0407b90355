//! Values that cross the boundary, and how they become the core's and back.

use crate::WhimbrelError;

/// What the app decides about all of its accounts.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Options {
    /// The name of the software, told to the server and to contacts (XEP-0092, XEP-0388).
    #[uniffi(default = "Whimbrel")]
    pub software: String,
    /// This process is an extension of the app, such as iOS' for notifications: it takes an account only if the app has suspended
    /// it, is gone, or says nothing for a second because the system has stopped it. Otherwise the account answers `InUse`.
    #[uniffi(default = false)]
    pub extension: bool,
}

/// How an account connects. The default finds everything by the account's domain.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Connection {
    /// A server given by hand, for intranets and tests: nothing is looked up.
    #[uniffi(default = None)]
    pub server: Option<Server>,
    /// `host:port` of a SOCKS5 proxy. Names are resolved by the proxy.
    #[uniffi(default = None)]
    pub proxy: Option<String>,
    /// Certificates to trust besides the platform's, as PEM.
    #[uniffi(default = None)]
    pub certificates: Option<String>,
    /// What the user calls this device; part of the full address.
    #[uniffi(default = None)]
    pub resource: Option<String>,
    /// Allows a server that knows nothing better to see the password itself, over verified TLS (RFC 4616).
    #[uniffi(default = false)]
    pub allow_plain: bool,
}

/// A server given by hand.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS from the first byte (XEP-0368), and not by STARTTLS.
    #[uniffi(default = false)]
    pub direct_tls: bool,
}

/// How an account is doing. Honest enough to draw, quiet enough to ignore.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Status {
    /// Not connected.
    Offline {
        /// Why; nothing where nobody asked for a connection.
        reason: Option<WhimbrelError>,
        /// What happened, for a person; empty where there is nothing to say.
        detail: String,
        /// When the next attempt begins, ms UTC; nothing: not by itself.
        next_attempt: Option<i64>,
    },
    /// Resolving, connecting, logging in.
    Connecting,
    /// Online; what was missed is being fetched.
    CatchingUp {
        /// Messages fetched so far.
        done: u64,
        /// The server's guess of all.
        total: Option<u64>,
    },
    /// Online and complete.
    Online,
}

/// How far a message of ours has come.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SendState {
    /// On disk here.
    Queued,
    /// Taken over by our server.
    Sent,
    /// Received by a device of the contact (XEP-0184).
    Delivered,
    /// Seen by the contact (XEP-0333).
    Displayed,
    /// It will not arrive.
    Failed {
        /// The condition.
        reason: String,
    },
}

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Item {
    /// A message.
    Message(Message),
    /// A hole in what we have.
    Gap(Gap),
}

/// One message, shaped for the view.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Message {
    /// Stable for ever.
    pub id: String,
    /// The address of whom the conversation is with.
    pub with: String,
    /// The full address of who wrote it.
    pub from: String,
    /// Whether we wrote it, here or on another device.
    pub mine: bool,
    /// The text; for a placeholder, a description of what could not be shown.
    pub text: String,
    /// What could not be built or handled stands as a placeholder.
    pub placeholder: bool,
    /// When it reached the server or us, ms UTC.
    pub at: i64,
    /// When its sender says it was written, ms UTC, where that is earlier.
    pub written_at: Option<i64>,
    /// How far it has come, if it is ours.
    pub state: Option<SendState>,
    /// The first of its day.
    pub starts_day: bool,
    /// The first of a run by one sender within five minutes.
    pub starts_group: bool,
}

/// A hole in what we have of the archive.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Gap {
    /// Stable for ever, and different from every message's.
    pub id: String,
    /// What kind of hole.
    pub kind: GapKind,
}

/// What kind of hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum GapKind {
    /// Messages were missed and are being fetched.
    Missing,
    /// From before the first sign-in on this device; fetched when somebody scrolls there.
    Unfetched,
    /// The server no longer has it.
    NoLongerOnServer,
}

/// Remove `removed` items at `at`, then insert `items` there.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Splice {
    /// Where, after the splices before this one.
    pub at: u32,
    /// How many items go.
    pub removed: u32,
    /// What comes in their place.
    pub items: Vec<Item>,
}

/// A change of a timeline. Its splices are applied in order, as one.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Update {
    /// To be given to the next call of `next`.
    pub seq: u64,
    /// What to do.
    pub splices: Vec<Splice>,
}

impl From<Options> for whimbrel::Options {
    fn from(options: Options) -> Self {
        let role = if options.extension { whimbrel::Role::Extension } else { whimbrel::Role::App };
        Self { role, software: options.software, ..Self::default() }
    }
}

impl From<Connection> for whimbrel::Connection {
    fn from(Connection { server, proxy, certificates, resource, allow_plain }: Connection) -> Self {
        Self { server: server.map(Into::into), proxy, certificates, resource, allow_plain }
    }
}

impl From<Server> for whimbrel::Server {
    fn from(Server { host, port, direct_tls }: Server) -> Self {
        Self { host, port, direct_tls }
    }
}

impl From<whimbrel::Status> for Status {
    fn from(status: whimbrel::Status) -> Self {
        match status {
            whimbrel::Status::Offline { reason, detail, next_attempt } => {
                Self::Offline { reason: reason.map(Into::into), detail, next_attempt }
            }
            whimbrel::Status::Connecting => Self::Connecting,
            whimbrel::Status::CatchingUp { done, total } => Self::CatchingUp { done, total },
            whimbrel::Status::Online => Self::Online,
        }
    }
}

impl From<Status> for whimbrel::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Offline { reason, detail, next_attempt } => {
                Self::Offline { reason: reason.map(Into::into), detail, next_attempt }
            }
            Status::Connecting => Self::Connecting,
            Status::CatchingUp { done, total } => Self::CatchingUp { done, total },
            Status::Online => Self::Online,
        }
    }
}

impl From<whimbrel::SendState> for SendState {
    fn from(state: whimbrel::SendState) -> Self {
        match state {
            whimbrel::SendState::Queued => Self::Queued,
            whimbrel::SendState::Sent => Self::Sent,
            whimbrel::SendState::Delivered => Self::Delivered,
            whimbrel::SendState::Displayed => Self::Displayed,
            whimbrel::SendState::Failed { reason } => Self::Failed { reason },
        }
    }
}

impl From<whimbrel::Item> for Item {
    fn from(item: whimbrel::Item) -> Self {
        let id = item.id().0;
        match item {
            whimbrel::Item::Message(message) => Self::Message(message.into()),
            whimbrel::Item::Gap(gap) => Self::Gap(Gap { id, kind: gap.kind.into() }),
        }
    }
}

impl From<whimbrel::Message> for Message {
    fn from(message: whimbrel::Message) -> Self {
        Self {
            id: message.id.0,
            with: message.with.to_string(),
            from: message.from.to_string(),
            mine: message.mine,
            text: message.text,
            placeholder: message.placeholder,
            at: message.at,
            written_at: message.written_at,
            state: message.state.map(Into::into),
            starts_day: message.starts_day,
            starts_group: message.starts_group,
        }
    }
}

impl From<whimbrel::GapKind> for GapKind {
    fn from(kind: whimbrel::GapKind) -> Self {
        match kind {
            whimbrel::GapKind::Missing => Self::Missing,
            whimbrel::GapKind::Unfetched => Self::Unfetched,
            whimbrel::GapKind::NoLongerOnServer => Self::NoLongerOnServer,
        }
    }
}

impl From<whimbrel::Update<whimbrel::Item>> for Update {
    fn from(update: whimbrel::Update<whimbrel::Item>) -> Self {
        let splices = update.splices.into_iter().map(|whimbrel::Splice { at, removed, items }| Splice {
            at,
            removed,
            items: items.into_iter().map(Into::into).collect(),
        });
        Self { seq: update.seq, splices: splices.collect() }
    }
}
