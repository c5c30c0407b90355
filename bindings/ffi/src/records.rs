//! Values that cross the boundary, and how they become the core's and back.

use crate::{
    WhimbrelError,
    error::{address, full_address},
};

/// What the app decides about all of its accounts.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Options {
    /// The name of the software, told to the server and to contacts (XEP-0092, XEP-0388).
    #[uniffi(default = "Whimbrel")]
    pub software: String,
    /// This process is an extension of the app, such as iOS' for notifications: it takes an account only if the app has suspended
    /// it, is gone, or says nothing for a second because the system has stopped it. Otherwise the account answers `InUse`. It opens
    /// none before it is wanted: `wake_up`, `resume` and whatever else is awaited open one, and then it is read.
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
    /// Certificates to trust besides the platform's, as PEM. Not looked at on Android.
    #[uniffi(default = None)]
    pub certificates: Option<String>,
    /// The only keys that the server may have, as SHA-256 of the public key in its certificate in hexadecimal. Where there are
    /// any, nothing else is trusted, and nothing else in a certificate is looked at.
    #[uniffi(default = [])]
    pub keys: Vec<String>,
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
#[allow(clippy::large_enum_variant, reason = "nearly all of them are messages")]
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
    /// Which parts of the text are more than plain, by where they begin.
    pub spans: Vec<Span>,
    /// It begins with `/me `: to be shown as what its sender does, with the name in place of `/me`.
    pub is_action: bool,
    /// A few emoji and nothing else.
    pub emoji_only: bool,
    /// What could not be built or handled stands as a placeholder.
    pub placeholder: bool,
    /// When it reached the server or us, ms UTC.
    pub at: i64,
    /// When its sender says it was written, ms UTC, where that is earlier.
    pub written_at: Option<i64>,
    /// How far it has come, if it is ours.
    pub state: Option<SendState>,
    /// Its text is not the one that was sent first (XEP-0308).
    pub edited: bool,
    /// Its sender has taken it back (XEP-0424): there is no text any more.
    pub retracted: bool,
    /// What people feel about it (XEP-0444).
    pub reactions: Vec<Reaction>,
    /// What it answers (XEP-0461).
    pub reply: Option<ReplyTo>,
    /// To be shown only when asked for; the hint may be empty (XEP-0382).
    pub spoiler: Option<String>,
    /// The thread that it belongs to (RFC 6121 §5.2.5).
    pub thread: Option<MessageThread>,
    /// Data that lies elsewhere (XEP-0066).
    pub links: Vec<Link>,
    /// What its sender says of links in the text (XEP-0511). Nobody has looked whether it is so.
    pub previews: Vec<Preview>,
    /// What we did to it and has not left yet, or failed.
    pub change: Option<Change>,
    /// The first of its day.
    pub starts_day: bool,
    /// The first of a run by one sender within five minutes.
    pub starts_group: bool,
}

/// One reaction to a message (XEP-0444).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Reaction {
    /// An emoji, most often.
    pub text: String,
    /// How many feel so.
    pub count: u32,
    /// Whether we do.
    pub mine: bool,
}

/// What a message answers (XEP-0461).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ReplyTo {
    /// The message, if it is here.
    pub id: Option<String>,
    /// What the answer repeats of it, as its sender says.
    pub quote: Option<String>,
}

/// A thread of a conversation (RFC 6121 §5.2.5).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct MessageThread {
    /// Its name.
    pub id: String,
    /// The thread of which it is a branch (XEP-0201).
    pub parent: Option<String>,
}

/// Data that lies elsewhere (XEP-0066).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Link {
    /// Where it lies.
    pub url: String,
    /// What it is.
    pub description: Option<String>,
}

/// What its sender says of a link in the text (XEP-0511).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Preview {
    /// Which link.
    pub url: String,
    /// Its title.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Which site it is of.
    pub site: Option<String>,
    /// Pictures of it.
    pub images: Vec<String>,
}

/// Something that we did to a message and that has not left yet, or failed.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Change {
    /// Its own id: for `retry` and `cancel`.
    pub id: String,
    /// What.
    pub kind: ChangeKind,
    /// `Queued` or `Failed`.
    pub state: SendState,
}

/// What one may do to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ChangeKind {
    /// Another text (XEP-0308).
    Correction,
    /// It was taken back (XEP-0424).
    Retraction,
    /// Other reactions (XEP-0444).
    Reactions,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Outgoing {
    /// The text, without what it answers.
    pub text: String,
    /// The message in the same conversation that it answers (XEP-0461).
    pub reply_to: Option<String>,
    /// To be shown only when asked for, with this hint, which may be empty (XEP-0382).
    pub spoiler: Option<String>,
    /// The thread that it belongs to (RFC 6121 §5.2.5).
    pub thread: Option<MessageThread>,
    /// Data that lies elsewhere (XEP-0066).
    pub links: Vec<Link>,
    /// What links in the text lead to (XEP-0511).
    pub previews: Vec<Preview>,
    /// Who is named in the text (XEP-0372), 32 at most.
    pub mentions: Vec<Mention>,
    /// Not to leave later than this, ms UTC: then it has failed.
    pub not_after: Option<i64>,
}

/// Somebody is named in a text that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Mention {
    /// Where the name begins, in UTF-16 code units.
    pub start: u32,
    /// Where it has ended, in UTF-16 code units.
    pub end: u32,
    /// Who.
    pub whom: String,
}

/// What to look for. All that is given has to be so.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Search {
    /// Words, in any order, each of which may go on from two letters on; what stands in double quotes has to stand so. May be empty
    /// where `from` or `has_link` is given; else nothing is found.
    pub text: String,
    /// In the conversation with this address.
    pub with: Option<String>,
    /// Written by this account's own user, if it is the account's address, or by a contact.
    pub from: Option<String>,
    /// Not before this, ms UTC.
    pub since: Option<i64>,
    /// Before this, ms UTC.
    pub until: Option<i64>,
    /// There is a link in it.
    pub has_link: bool,
}

/// A page of hits.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Found {
    /// The newest first.
    pub hits: Vec<Hit>,
    /// Where to go on; nothing: that was all.
    pub next: Option<Cursor>,
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Hit {
    /// It.
    pub message: Message,
    /// What in its text to highlight, in order.
    pub matches: Vec<TextRange>,
}

/// A message that was found in one of all accounts.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FoundIn {
    /// It.
    pub hit: Hit,
    /// Where it stands among those of all accounts.
    pub place: FoundPlace,
}

/// Where a hit stands among those of all accounts.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FoundPlace {
    /// The address of whose it is.
    pub account: String,
    /// Where it stands among theirs. Nobody looks into it.
    pub cursor: Cursor,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct TextRange {
    /// Where it begins, in UTF-16 code units.
    pub start: u32,
    /// Where it has ended, in UTF-16 code units.
    pub end: u32,
}

/// Where a page of hits has ended. Nobody looks into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Cursor {
    /// When the last hit reached the server or us, ms UTC.
    pub at: i64,
    /// Its row.
    pub row: i64,
}

/// What to delete.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Delete {
    /// A message.
    Message {
        /// Which.
        id: String,
    },
    /// All that was said with a contact so far.
    Conversation {
        /// The contact's address.
        with: String,
    },
    /// Everything, in all conversations, that reached the server or us before some time.
    Before {
        /// ms UTC.
        at: i64,
    },
}

/// A part of a text that is more than plain.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Span {
    /// Where it begins, in UTF-16 code units.
    pub start: u32,
    /// Where it has ended, in UTF-16 code units.
    pub end: u32,
    /// What it is.
    pub style: Style,
}

/// What a part of a text is.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Style {
    /// What only makes a style: to be dimmed, or left out.
    Directive,
    /// Strong.
    Strong,
    /// Emphasis.
    Emphasis,
    /// Struck through.
    Strike,
    /// Monospaced, within a line.
    Mono,
    /// A block as it was written, in a font of one width.
    Preformatted,
    /// What somebody said before. One within another is nested.
    Quote,
    /// To somewhere else.
    Link {
        /// Where to.
        url: String,
    },
    /// A place on the earth.
    Location(Location),
    /// Somebody is meant by it.
    Mention {
        /// The address of who.
        whom: String,
    },
}

/// A place on the earth (RFC 5870), in WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// Metres above the ellipsoid.
    pub altitude: Option<f64>,
    /// How far off it may be, in metres.
    pub uncertainty: Option<f64>,
}

/// None of the numbers is NaN.
impl Eq for Location {}

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

/// One line of the conversation list.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Conversation {
    /// The address of whom it is with.
    pub with: String,
    /// The contact's name, or else what they call themselves, or else the local part of the address.
    pub name: String,
    /// Their picture's hash, once the picture is here: see `avatar`.
    pub avatar: Option<String>,
    /// We do not hear of them (XEP-0191).
    pub blocked: bool,
    /// The newest message; none where it was only begun.
    pub last: Option<Message>,
    /// How many were not read.
    pub unread: u64,
    /// What the contact is doing.
    pub chat_state: Option<ChatState>,
    /// What was begun and not sent.
    pub draft: Option<Draft>,
    /// Somebody who is not in our roster and whom we have never written to: they learn nothing of us until we do, or add or
    /// accept them. They stand behind those whom we know.
    pub is_stranger: bool,
    /// What they are told of what we do, where that is otherwise than in general.
    pub signals: Option<Signals>,
    /// It stands above those that are not.
    pub pinned: bool,
    /// Until when nothing in it is notified of.
    pub muted: Option<Mute>,
    /// It stands apart, behind all others.
    pub archived: bool,
    /// Of what in it to be notified, while it is not muted.
    pub notify: Notify,
}

/// What contacts are told of what we do, without our writing it; only those who may see our presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Signals {
    /// That their messages have arrived (XEP-0184).
    #[uniffi(default = true)]
    pub delivered: bool,
    /// That we have seen them (XEP-0333).
    #[uniffi(default = true)]
    pub displayed: bool,
    /// That we are typing, or look (XEP-0085); those, too, whom we have written to.
    #[uniffi(default = true)]
    pub typing: bool,
}

/// What was begun and not sent.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Draft {
    /// The text so far.
    pub text: String,
    /// Which message it answers.
    pub reply_to: Option<String>,
}

/// Until when a conversation is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Mute {
    /// Until this time.
    Until {
        /// ms UTC.
        at: i64,
    },
    /// Until it is said otherwise.
    ForEver,
}

/// Of what in a conversation to be notified (XEP-0492).
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Notify {
    /// Of every message.
    Always,
    /// Of those that mention us, by address (XEP-0372) or by name, or answer us (XEP-0461).
    OnMention,
    /// Of none.
    Never,
}

/// What a contact or we are doing in a conversation (XEP-0085).
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ChatState {
    /// Attention is on the conversation.
    Active,
    /// Typing.
    Composing,
    /// Stopped typing.
    Paused,
    /// Not looking.
    Inactive,
    /// Closed the conversation.
    Gone,
}

/// One line of the roster (RFC 6121 §2).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Contact {
    /// Address.
    pub jid: String,
    /// The name that the user gave.
    pub name: Option<String>,
    /// Who sees whose presence.
    pub subscription: PresenceSubscription,
    /// Our request to see their presence was not answered yet.
    pub asked: bool,
    /// They ask to see our presence.
    pub asks: bool,
    /// We let them see our presence once they ask (RFC 6121 §3.4).
    pub approved: bool,
    /// In which groups they are shown.
    pub groups: Vec<String>,
    /// We do not hear of them (XEP-0191).
    pub blocked: bool,
    /// Any of their devices is online.
    pub available: bool,
    /// How they are there, if they are.
    pub presence: Option<Presence>,
    /// What they call themselves (XEP-0172).
    pub nickname: Option<String>,
    /// Their picture's hash (XEP-0084), once the picture is here: see `avatar`.
    pub avatar: Option<String>,
}

/// How somebody is there, all of their devices taken together; or how we are, on this one (RFC 6121 §4.7.2).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Presence {
    /// How much they are there: as the device says that is to get messages.
    pub show: Show,
    /// What they say of it.
    pub text: Option<String>,
    /// Since when nobody has looked at any of their devices (XEP-0319), ms UTC; nothing: somebody looks, or nobody says, as we never do.
    pub idle_since: Option<i64>,
}

/// How much somebody is there (RFC 6121 §4.7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Show {
    /// Wants to talk.
    Chat,
    /// There.
    Available,
    /// Away for a moment.
    Away,
    /// Away for longer.
    ExtendedAway,
    /// Not to be disturbed.
    DoNotDisturb,
}

/// A picture, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Picture {
    /// Its media type, as whoever shows it says. What can be decoded is for the decoder to say.
    pub kind: String,
    /// Its file.
    pub bytes: Vec<u8>,
}

/// What the server is to know of somebody who is blocked (XEP-0377).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Report {
    /// What it is about.
    pub reason: ReportReason,
    /// For a person.
    pub text: Option<String>,
    /// Messages that show it; the server finds them in our archive.
    pub messages: Vec<String>,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ReportReason {
    /// What nobody wants to read.
    Spam,
    /// What hurts.
    Abuse,
}

/// Who sees whose presence (RFC 6121 §2.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum PresenceSubscription {
    /// Nobody.
    None,
    /// We see theirs.
    To,
    /// They see ours.
    From,
    /// Both.
    Both,
}

/// What the platform says of the network.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Network {
    /// Whether there is any.
    #[uniffi(default = true)]
    pub available: bool,
    /// Which one, by a name that is the same whenever the device is in it; compared, and never looked into. What was learned of
    /// a network is remembered by this; without it, by the kind.
    #[uniffi(default = None)]
    pub id: Option<String>,
    /// What kind.
    pub kind: NetworkKind,
    /// Whether its bytes cost money.
    #[uniffi(default = false)]
    pub metered: bool,
    /// The addresses of its servers for names, where the platform tells; else the system's own are asked. One with a zone, as in
    /// `fe80::1%wlan0`, is left out.
    #[uniffi(default = [])]
    pub dns: Vec<String>,
}

/// What kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum NetworkKind {
    /// The platform does not say.
    Unknown,
    /// Wireless LAN.
    Wifi,
    /// Mobile.
    Cellular,
    /// By wire.
    Wired,
}

/// An app server that can wake this device (XEP-0357 §5).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Push {
    /// Its address.
    pub service: String,
    /// Which device, in its own words.
    pub node: String,
    /// What it wants to hear from our server besides.
    #[uniffi(default = None)]
    pub secret: Option<String>,
}

/// How far the registration for push notifications is.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum PushState {
    /// None is wanted, and none is there.
    Off,
    /// The server was not told yet, or has not answered.
    Waiting,
    /// The server will tell the app server.
    On,
    /// The server does not offer it: a suspended account hears of nothing.
    Unsupported,
    /// The server said no. It is asked again in the next session.
    Refused {
        /// The condition of RFC 6120 §8.3.3.
        condition: String,
    },
    /// Signed out without a connection: our server goes on telling that app server, which has to ignore it.
    LeftBehind {
        /// Which.
        push: Push,
    },
}

/// What a push has brought.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct WakeUp {
    /// Messages to notify of, oldest first, the newest 200 at most. Of a text or a quotation of more than 4 KiB the beginning, with
    /// "…" behind it; of links the first; no previews.
    pub notify: Vec<Message>,
    /// The ids of messages whose notifications are to be taken back: they were read, perhaps on another device, or their sender took
    /// them back.
    pub withdraw: Vec<String>,
    /// Messages of the account that were not read: its part of the badge.
    pub unread: u64,
    /// Whether that was everything that the server had.
    pub complete: bool,
}

impl From<Options> for whimbrel::Options {
    fn from(options: Options) -> Self {
        let role = if options.extension { whimbrel::Role::Extension } else { whimbrel::Role::App };
        Self { role, software: options.software, ..Self::default() }
    }
}

impl From<Connection> for whimbrel::Connection {
    fn from(Connection { server, proxy, certificates, keys, resource, allow_plain }: Connection) -> Self {
        Self { server: server.map(Into::into), proxy, certificates, keys, resource, allow_plain }
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
        // Kotlin and Swift's `NSRange` count in UTF-16; here the bytes become that, and nowhere else.
        let ranges = whimbrel::text::utf16(&message.text, &message.spans);
        let span = |(span, range): (whimbrel::text::Span, std::ops::Range<usize>)| Span {
            start: range.start as u32,
            end: range.end as u32,
            style: span.style.into(),
        };
        Self {
            spans: message.spans.into_iter().zip(ranges).map(span).collect(),
            is_action: message.is_action,
            emoji_only: message.emoji_only,
            id: message.id.0,
            with: message.with.to_string(),
            from: message.from.to_string(),
            mine: message.mine,
            text: message.text,
            placeholder: message.placeholder,
            at: message.at,
            written_at: message.written_at,
            state: message.state.map(Into::into),
            edited: message.edited,
            retracted: message.retracted,
            reactions: message.reactions.into_iter().map(Into::into).collect(),
            reply: message.reply.map(Into::into),
            spoiler: message.spoiler,
            thread: message.thread.map(Into::into),
            links: message.links.into_iter().map(Into::into).collect(),
            previews: message.previews.into_iter().map(Into::into).collect(),
            change: message.change.map(Into::into),
            starts_day: message.starts_day,
            starts_group: message.starts_group,
        }
    }
}

impl From<whimbrel::Reaction> for Reaction {
    fn from(reaction: whimbrel::Reaction) -> Self {
        Self { text: reaction.text, count: reaction.count, mine: reaction.mine }
    }
}

impl From<whimbrel::ReplyTo> for ReplyTo {
    fn from(reply: whimbrel::ReplyTo) -> Self {
        Self { id: reply.id.map(|id| id.0), quote: reply.quote }
    }
}

impl From<whimbrel::Thread> for MessageThread {
    fn from(whimbrel::Thread { id, parent }: whimbrel::Thread) -> Self {
        Self { id, parent }
    }
}

impl From<MessageThread> for whimbrel::Thread {
    fn from(MessageThread { id, parent }: MessageThread) -> Self {
        Self { id, parent }
    }
}

impl From<whimbrel::Link> for Link {
    fn from(link: whimbrel::Link) -> Self {
        Self { url: link.url, description: link.description }
    }
}

impl From<Link> for whimbrel::Link {
    fn from(link: Link) -> Self {
        Self { url: link.url, description: link.description }
    }
}

impl From<whimbrel::Preview> for Preview {
    fn from(preview: whimbrel::Preview) -> Self {
        let whimbrel::Preview { url, title, description, site, images } = preview;
        Self { url, title, description, site, images }
    }
}

impl From<Preview> for whimbrel::Preview {
    fn from(preview: Preview) -> Self {
        let Preview { url, title, description, site, images } = preview;
        Self { url, title, description, site, images }
    }
}

impl From<whimbrel::Change> for Change {
    fn from(change: whimbrel::Change) -> Self {
        let kind = match change.kind {
            whimbrel::ChangeKind::Correction => ChangeKind::Correction,
            whimbrel::ChangeKind::Retraction => ChangeKind::Retraction,
            whimbrel::ChangeKind::Reactions => ChangeKind::Reactions,
        };
        Self { id: change.id.0, kind, state: change.state.into() }
    }
}

impl TryFrom<Outgoing> for whimbrel::Outgoing {
    type Error = WhimbrelError;

    fn try_from(what: Outgoing) -> Result<Self, WhimbrelError> {
        let units: Vec<_> =
            what.mentions.iter().map(|mention| mention.start as usize..mention.end as usize).collect();
        let bytes = whimbrel::text::bytes(&what.text, &units);
        let mention = |(mention, range): (&Mention, Option<std::ops::Range<usize>>)| {
            let nowhere =
                || WhimbrelError::InvalidInput { what: "a mention is not a part of the text".to_owned() };
            Ok(whimbrel::Mention { range: range.ok_or_else(nowhere)?, whom: full_address(&mention.whom)? })
        };
        let mentions = what.mentions.iter().zip(bytes).map(mention).collect::<Result<_, WhimbrelError>>()?;
        Ok(Self {
            mentions,
            text: what.text,
            reply_to: what.reply_to.map(whimbrel::ItemId),
            spoiler: what.spoiler,
            thread: what.thread.map(Into::into),
            links: what.links.into_iter().map(Into::into).collect(),
            previews: what.previews.into_iter().map(Into::into).collect(),
            not_after: what.not_after,
        })
    }
}

impl TryFrom<Search> for whimbrel::Search {
    type Error = WhimbrelError;

    fn try_from(search: Search) -> Result<Self, WhimbrelError> {
        let Search { text, with, from, since, until, has_link } = search;
        let [with, from] = [with, from].map(|whom| whom.as_deref().map(address).transpose());
        Ok(Self { text, with: with?, from: from?, since, until, has_link })
    }
}

impl From<whimbrel::Found> for Found {
    fn from(whimbrel::Found { hits, next }: whimbrel::Found) -> Self {
        Self { hits: hits.into_iter().map(Into::into).collect(), next: next.map(Into::into) }
    }
}

impl From<whimbrel::Hit> for Hit {
    fn from(whimbrel::Hit { message, matches, .. }: whimbrel::Hit) -> Self {
        let span = |range| whimbrel::text::Span { range, style: whimbrel::text::Style::Strong };
        let matches: Vec<_> = matches.into_iter().map(span).collect();
        let range =
            |range: std::ops::Range<usize>| TextRange { start: range.start as u32, end: range.end as u32 };
        Self {
            matches: whimbrel::text::utf16(&message.text, &matches).into_iter().map(range).collect(),
            message: message.into(),
        }
    }
}

impl From<whimbrel::FoundIn> for FoundIn {
    fn from(whimbrel::FoundIn { account, hit }: whimbrel::FoundIn) -> Self {
        let place = FoundPlace { account: account.to_string(), cursor: hit.cursor.into() };
        Self { place, hit: hit.into() }
    }
}

impl From<whimbrel::Cursor> for Cursor {
    fn from(whimbrel::Cursor { at, row }: whimbrel::Cursor) -> Self {
        Self { at, row }
    }
}

impl From<Cursor> for whimbrel::Cursor {
    fn from(Cursor { at, row }: Cursor) -> Self {
        Self { at, row }
    }
}

impl TryFrom<Delete> for whimbrel::Delete {
    type Error = WhimbrelError;

    fn try_from(what: Delete) -> Result<Self, WhimbrelError> {
        Ok(match what {
            Delete::Message { id } => Self::Message { id: whimbrel::ItemId(id) },
            Delete::Conversation { with } => Self::Conversation { with: address(&with)? },
            Delete::Before { at } => Self::Before { at },
        })
    }
}

impl From<whimbrel::text::Style> for Style {
    fn from(style: whimbrel::text::Style) -> Self {
        use whimbrel::text::Style;
        match style {
            Style::Directive => Self::Directive,
            Style::Strong => Self::Strong,
            Style::Emphasis => Self::Emphasis,
            Style::Strike => Self::Strike,
            Style::Mono => Self::Mono,
            Style::Preformatted => Self::Preformatted,
            Style::Quote => Self::Quote,
            Style::Link { url } => Self::Link { url },
            Style::Location(location) => Self::Location(location.into()),
            Style::Mention { whom } => Self::Mention { whom: whom.to_string() },
        }
    }
}

impl From<whimbrel::text::Location> for Location {
    fn from(location: whimbrel::text::Location) -> Self {
        let whimbrel::text::Location { latitude, longitude, altitude, uncertainty } = location;
        Self { latitude, longitude, altitude, uncertainty }
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

impl From<whimbrel::Conversation> for Conversation {
    fn from(conversation: whimbrel::Conversation) -> Self {
        Self {
            with: conversation.with.to_string(),
            name: conversation.name,
            avatar: conversation.avatar,
            blocked: conversation.blocked,
            last: conversation.last.map(Into::into),
            unread: conversation.unread,
            chat_state: conversation.chat_state.map(Into::into),
            draft: conversation.draft.map(Into::into),
            is_stranger: conversation.is_stranger,
            signals: conversation.signals.map(Into::into),
            pinned: conversation.pinned,
            muted: conversation.muted.map(Into::into),
            archived: conversation.archived,
            notify: conversation.notify.into(),
        }
    }
}

impl From<whimbrel::Signals> for Signals {
    fn from(whimbrel::Signals { delivered, displayed, typing }: whimbrel::Signals) -> Self {
        Self { delivered, displayed, typing }
    }
}

impl From<Signals> for whimbrel::Signals {
    fn from(Signals { delivered, displayed, typing }: Signals) -> Self {
        Self { delivered, displayed, typing }
    }
}

impl From<whimbrel::Draft> for Draft {
    fn from(draft: whimbrel::Draft) -> Self {
        Self { text: draft.text, reply_to: draft.reply_to.map(|id| id.0) }
    }
}

impl From<Draft> for whimbrel::Draft {
    fn from(draft: Draft) -> Self {
        Self { text: draft.text, reply_to: draft.reply_to.map(whimbrel::ItemId) }
    }
}

impl From<whimbrel::Mute> for Mute {
    fn from(mute: whimbrel::Mute) -> Self {
        match mute {
            whimbrel::Mute::Until(at) => Self::Until { at },
            whimbrel::Mute::ForEver => Self::ForEver,
        }
    }
}

impl From<Mute> for whimbrel::Mute {
    fn from(mute: Mute) -> Self {
        match mute {
            Mute::Until { at } => Self::Until(at),
            Mute::ForEver => Self::ForEver,
        }
    }
}

impl From<whimbrel::Notify> for Notify {
    fn from(notify: whimbrel::Notify) -> Self {
        match notify {
            whimbrel::Notify::Always => Self::Always,
            whimbrel::Notify::OnMention => Self::OnMention,
            whimbrel::Notify::Never => Self::Never,
        }
    }
}

impl From<Notify> for whimbrel::Notify {
    fn from(notify: Notify) -> Self {
        match notify {
            Notify::Always => Self::Always,
            Notify::OnMention => Self::OnMention,
            Notify::Never => Self::Never,
        }
    }
}

impl From<whimbrel::ChatState> for ChatState {
    fn from(state: whimbrel::ChatState) -> Self {
        match state {
            whimbrel::ChatState::Active => Self::Active,
            whimbrel::ChatState::Composing => Self::Composing,
            whimbrel::ChatState::Paused => Self::Paused,
            whimbrel::ChatState::Inactive => Self::Inactive,
            whimbrel::ChatState::Gone => Self::Gone,
        }
    }
}

impl From<ChatState> for whimbrel::ChatState {
    fn from(state: ChatState) -> Self {
        match state {
            ChatState::Active => Self::Active,
            ChatState::Composing => Self::Composing,
            ChatState::Paused => Self::Paused,
            ChatState::Inactive => Self::Inactive,
            ChatState::Gone => Self::Gone,
        }
    }
}

impl From<whimbrel::Contact> for Contact {
    fn from(contact: whimbrel::Contact) -> Self {
        Self {
            jid: contact.jid.to_string(),
            name: contact.name,
            subscription: contact.subscription.into(),
            asked: contact.asked,
            asks: contact.asks,
            approved: contact.approved,
            groups: contact.groups,
            blocked: contact.blocked,
            available: contact.available,
            presence: contact.presence.map(Into::into),
            nickname: contact.nickname,
            avatar: contact.avatar,
        }
    }
}

impl From<whimbrel::Presence> for Presence {
    fn from(whimbrel::Presence { show, text, idle_since }: whimbrel::Presence) -> Self {
        let show = match show {
            whimbrel::Show::Chat => Show::Chat,
            whimbrel::Show::Available => Show::Available,
            whimbrel::Show::Away => Show::Away,
            whimbrel::Show::ExtendedAway => Show::ExtendedAway,
            whimbrel::Show::DoNotDisturb => Show::DoNotDisturb,
        };
        Self { show, text, idle_since }
    }
}

impl From<Show> for whimbrel::Show {
    fn from(show: Show) -> Self {
        match show {
            Show::Chat => Self::Chat,
            Show::Available => Self::Available,
            Show::Away => Self::Away,
            Show::ExtendedAway => Self::ExtendedAway,
            Show::DoNotDisturb => Self::DoNotDisturb,
        }
    }
}

impl From<whimbrel::Picture> for Picture {
    fn from(whimbrel::Picture { kind, bytes }: whimbrel::Picture) -> Self {
        Self { kind, bytes }
    }
}

impl From<Picture> for whimbrel::Picture {
    fn from(Picture { kind, bytes }: Picture) -> Self {
        Self { kind, bytes }
    }
}

impl From<Report> for whimbrel::Report {
    fn from(Report { reason, text, messages }: Report) -> Self {
        let reason = match reason {
            ReportReason::Spam => whimbrel::ReportReason::Spam,
            ReportReason::Abuse => whimbrel::ReportReason::Abuse,
        };
        Self { reason, text, messages: messages.into_iter().map(whimbrel::ItemId).collect() }
    }
}

impl From<whimbrel::PresenceSubscription> for PresenceSubscription {
    fn from(subscription: whimbrel::PresenceSubscription) -> Self {
        match subscription {
            whimbrel::PresenceSubscription::None => Self::None,
            whimbrel::PresenceSubscription::To => Self::To,
            whimbrel::PresenceSubscription::From => Self::From,
            whimbrel::PresenceSubscription::Both => Self::Both,
        }
    }
}

impl TryFrom<Network> for whimbrel::Network {
    type Error = WhimbrelError;

    fn try_from(Network { available, id, kind, metered, dns }: Network) -> Result<Self, WhimbrelError> {
        let mut servers = Vec::new();
        for text in dns {
            let (address, zone) =
                text.split_once('%').map_or((&*text, None), |(address, zone)| (address, Some(zone)));
            let address = address.parse().map_err(|error| WhimbrelError::InvalidInput {
                what: format!("{text} is not an address: {error}"),
            })?;
            // Android tells the router of a link so (RFC 4007 §11). Our look-ups know no zones, and it is no reason not to hear
            // of the network.
            if zone.is_none() {
                servers.push(address);
            }
        }
        Ok(Self { available, id: id.map(whimbrel::NetworkId), kind: kind.into(), metered, dns: servers })
    }
}

impl From<NetworkKind> for whimbrel::NetworkKind {
    fn from(kind: NetworkKind) -> Self {
        match kind {
            NetworkKind::Unknown => Self::Unknown,
            NetworkKind::Wifi => Self::Wifi,
            NetworkKind::Cellular => Self::Cellular,
            NetworkKind::Wired => Self::Wired,
        }
    }
}

impl TryFrom<Push> for whimbrel::Push {
    type Error = WhimbrelError;

    fn try_from(Push { service, node, secret }: Push) -> Result<Self, WhimbrelError> {
        let invalid =
            |error| WhimbrelError::InvalidInput { what: format!("{service} is not an app server: {error}") };
        Ok(Self { service: service.parse().map_err(invalid)?, node, secret })
    }
}

impl From<whimbrel::Push> for Push {
    fn from(whimbrel::Push { service, node, secret }: whimbrel::Push) -> Self {
        Self { service: service.to_string(), node, secret }
    }
}

impl From<whimbrel::PushState> for PushState {
    fn from(state: whimbrel::PushState) -> Self {
        match state {
            whimbrel::PushState::Off => Self::Off,
            whimbrel::PushState::Waiting => Self::Waiting,
            whimbrel::PushState::On => Self::On,
            whimbrel::PushState::Unsupported => Self::Unsupported,
            whimbrel::PushState::Refused { condition } => Self::Refused { condition },
            whimbrel::PushState::LeftBehind(push) => Self::LeftBehind { push: push.into() },
        }
    }
}

impl From<whimbrel::WakeUp> for WakeUp {
    fn from(whimbrel::WakeUp { notify, withdraw, unread, complete }: whimbrel::WakeUp) -> Self {
        Self {
            notify: notify.into_iter().map(Into::into).collect(),
            withdraw: withdraw.into_iter().map(|id| id.0).collect(),
            unread,
            complete,
        }
    }
}

/// What our server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ServerInfo {
    /// When it said so, ms UTC.
    pub at: i64,
    /// What it calls itself.
    pub name: Option<String>,
    /// By which software it runs (XEP-0092).
    pub software: Option<String>,
    /// Of which version.
    pub version: Option<String>,
    /// Whom to turn to (XEP-0157).
    pub contacts: Vec<ContactAddress>,
    /// Where it is told, by https, whether the service is out (XEP-0455): files in JSON that are of use while the server cannot be
    /// reached. Fetching one tells who keeps it that its user asks, so that is for the app to do.
    pub outages: Vec<String>,
}

/// Whom to turn to.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ContactAddress {
    /// For what: `abuse`, `admin`, `feedback`, `sales`, `security`, `status`, `support`.
    pub kind: String,
    /// `mailto:`, `xmpp:` or `https:`; nobody has looked at it.
    pub uri: String,
}

/// Who has access to the account (XEP-0494).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ClientAccess {
    /// For `revoke_client`.
    pub id: String,
    /// Online, or soon back.
    pub connected: bool,
    /// It has logged in; otherwise it was only allowed to.
    pub has_session: bool,
    /// ms UTC.
    pub first_seen: Option<i64>,
    /// ms UTC.
    pub last_seen: Option<i64>,
    /// Its software, as it says.
    pub software: Option<String>,
    /// The software's home page.
    pub uri: Option<String>,
    /// What its user calls the device.
    pub device: Option<String>,
    /// It knows the password: only another password keeps it out.
    pub by_password: bool,
    /// It has a token (XEP-0484).
    pub by_token: bool,
    /// It was granted access otherwise.
    pub by_grant: bool,
    /// What it may do.
    pub permission: Permission,
}

/// What somebody who has access may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Permission {
    /// Everything.
    Unrestricted,
    /// All but what others' access depends on.
    Normal,
    /// Less.
    Restricted,
}

/// What an account takes on the disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct DiskUse {
    /// All of its files: its database with the journals, and what `start_over` has set aside.
    pub total: u64,
    /// Of these, what was set aside.
    pub set_aside: u64,
    /// Of the database, the index of words.
    pub index: u64,
    /// Of the database, pictures of people. They are bounded, and can be had again.
    pub pictures: u64,
}

/// What came of a file, in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Imported {
    /// They are new here.
    pub added: u64,
    /// They were here, or are nobody's.
    pub known: u64,
    /// Elements that are not understood here.
    pub skipped: u64,
}

impl From<whimbrel::Imported> for Imported {
    fn from(imported: whimbrel::Imported) -> Self {
        let whimbrel::Imported { added, known, skipped } = imported;
        Self { added, known, skipped }
    }
}

/// A link to be given to somebody: whoever has it first is let in.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Invitation {
    /// An `xmpp:` link.
    pub uri: String,
    /// The same for people without an app, by https.
    pub landing_page: Option<String>,
    /// Until when it counts, ms UTC; nothing: nobody says.
    pub expires: Option<i64>,
    /// One may register on our server with it.
    pub registers: bool,
}

impl From<whimbrel::ServerInfo> for ServerInfo {
    fn from(info: whimbrel::ServerInfo) -> Self {
        let whimbrel::ServerInfo { at, name, software, version, contacts, outages } = info;
        let contacts = contacts
            .into_iter()
            .map(|whimbrel::ContactAddress { kind, uri }| ContactAddress { kind, uri })
            .collect();
        Self { at, name, software, version, contacts, outages }
    }
}

impl From<whimbrel::ClientAccess> for ClientAccess {
    fn from(client: whimbrel::ClientAccess) -> Self {
        let whimbrel::ClientAccess {
            id,
            connected,
            has_session,
            first_seen,
            last_seen,
            software,
            uri,
            device,
            by_password,
            by_token,
            by_grant,
            permission,
        } = client;
        let permission = match permission {
            whimbrel::Permission::Unrestricted => Permission::Unrestricted,
            whimbrel::Permission::Normal => Permission::Normal,
            whimbrel::Permission::Restricted => Permission::Restricted,
        };
        Self {
            id,
            connected,
            has_session,
            first_seen,
            last_seen,
            software,
            uri,
            device,
            by_password,
            by_token,
            by_grant,
            permission,
        }
    }
}

impl From<whimbrel::DiskUse> for DiskUse {
    fn from(used: whimbrel::DiskUse) -> Self {
        let whimbrel::DiskUse { total, set_aside, index, pictures } = used;
        Self { total, set_aside, index, pictures }
    }
}

impl From<whimbrel::Invitation> for Invitation {
    fn from(invitation: whimbrel::Invitation) -> Self {
        let whimbrel::Invitation { uri, landing_page, expires, registers } = invitation;
        Self { uri, landing_page, expires, registers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_for_names_with_a_zone_is_left_out_and_what_is_no_address_refused() {
        let network = |dns: &[&str]| {
            let dns = dns.iter().map(|&text| text.into()).collect();
            whimbrel::Network::try_from(Network {
                available: true,
                id: None,
                kind: NetworkKind::Wifi,
                metered: false,
                dns,
            })
        };
        let known = network(&["fe80::1%wlan0", "2001:db8::53", "192.0.2.53"]).unwrap();
        assert_eq!(
            known.dns.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["2001:db8::53", "192.0.2.53"]
        );
        for text in ["wlan0", "%wlan0", "router%wlan0", ""] {
            assert!(matches!(network(&[text]), Err(WhimbrelError::InvalidInput { .. })), "{text}");
        }
    }
}
