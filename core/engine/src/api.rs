//! What an app asks for and what it gets: commands, replies, events, views, errors.
//!
//! The client crate exports these as its own; ffi mirrors them. Each error is one decision of a user interface.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, ops::Range};

use jid::{BareJid, Jid};
use minidom::Element;
use serde::{Deserialize, Serialize};
pub use whimbrel_proto::{
    adhoc::{CommandAction, CommandNote, CommandNoteKind, CommandStage, CommandStatus},
    atom::{Entry, EntryLink},
    content::{Link, Preview, Thread},
    disco::{Entities, Entity, Identity, Info},
    form::{Choice, Field, FieldKind, Form, FormError, FormKind},
    pubsub::{NodeSubscription, SubscriptionState},
};
use whimbrel_proto::{
    content::Content,
    text::{self, Span},
};
pub use whimbrel_proto::{
    settings::{Mute, Notify},
    vcard::Card,
};

/// Names a command until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The id of an item in a timeline. Made by the caller for what the app sends, stable for ever.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemId(pub String);

impl ItemId {
    /// A new one, for something to be sent.
    #[allow(clippy::new_without_default, reason = "two of them are never equal")]
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

/// What an app wants of an account.
#[derive(Clone, Debug)]
pub enum Command {
    /// Connect with this password and stay connected. Replied to when online, or with the reason why not.
    SignIn {
        /// Kept in the encrypted database; `None`: the one kept there.
        password: Option<String>,
    },
    /// Stay connected, as signed in before. Replied to at once.
    Connect,
    /// Close the session on the server and stay offline. Replied to when the stream is closed.
    Disconnect,
    /// Likewise, for good: a token that the server has given is to be of no more use to anybody (XEP-0484 §3.5). Replied to when the
    /// server knows, or cannot be told.
    Leave,
    /// Stop: acknowledge what was handled, hang up so that the session can be resumed. Nothing else is taken after it.
    Suspend {
        /// The app has shown what there is, and is not told of that when a push wakes it. Not so where a push had woken it: what has
        /// come behind [`Command::News`] nobody was told of.
        seen: bool,
    },
    /// Another password (XEP-0077 §3.3). Replied to when the server has taken it; [`Error::Offline`] or [`Error::TimedOut`] where
    /// that is not known yet, and then told by [`Event::Password`].
    ChangePassword {
        /// It.
        password: String,
    },
    /// What our server says of itself. Replied to with [`Reply::Server`]: without a connection what it said last.
    ServerInfo,
    /// Who has access to the account (XEP-0494). Replied to with [`Reply::Clients`].
    Clients,
    /// Take somebody's access away (XEP-0494 §4.2).
    Revoke {
        /// A [`ClientAccess::id`].
        client: String,
    },
    /// Delete the account on its server (XEP-0077 §3.2). Replied to when that is done; it then stays offline.
    Unregister,
    /// A text to a contact. Replied to when it is durable; doing it twice with one id sends it once.
    Send {
        /// A UUID made by the caller; also the stanza's id and origin-id (XEP-0359).
        id: ItemId,
        /// The contact.
        to: BareJid,
        /// What to say.
        what: Outgoing,
    },
    /// Another text for a message of ours (XEP-0308). What was not sent yet is sent with it; else a correction is. What has
    /// failed becomes another message, under this id, which has failed as well. Replied to when it is durable, as all that follows
    /// here.
    Edit {
        /// A UUID made by the caller, for the correction: doing it twice with one id does it once.
        id: ItemId,
        /// The message.
        message: ItemId,
        /// The whole text.
        text: String,
    },
    /// Take a message of ours back (XEP-0424). What was not sent yet is not sent; others are asked to forget it.
    Retract {
        /// A UUID made by the caller, for the retraction.
        id: ItemId,
        /// The message.
        message: ItemId,
    },
    /// All that we feel about a message (XEP-0444), in the place of what we said before.
    React {
        /// A UUID made by the caller, for the reactions.
        id: ItemId,
        /// The message.
        message: ItemId,
        /// Emoji; none: nothing any more.
        reactions: Vec<String>,
    },
    /// Send what failed once more: a message, or a [`Change`] of one that nothing later has replaced.
    Retry {
        /// Which.
        message: ItemId,
    },
    /// Do not send what has not left yet, and forget what failed: a message, or a [`Change`] of one.
    Cancel {
        /// Which.
        message: ItemId,
    },
    /// Delete messages on this device, and on no other.
    Delete(Delete),
    /// Everything in this conversation was seen.
    MarkRead {
        /// The contact.
        with: BareJid,
    },
    /// What the user decides about a conversation, on all devices but for drafts. Replied to when it is durable.
    Set {
        /// The contact.
        with: BareJid,
        /// What.
        setting: Setting,
    },
    /// Tell a contact that we are typing or not (XEP-0085). Not kept, not repeated.
    SetChatState {
        /// The contact.
        with: BareJid,
        /// What we do.
        state: ChatState,
    },
    /// Fetch a page of older messages from the archive, which is one for all conversations. Replied to with [`Reply::Older`] when it
    /// has come.
    Older,
    /// Add or rename a contact and ask to see their presence (RFC 6121 §2.3, §3.1).
    AddContact {
        /// Whom.
        jid: BareJid,
        /// How to call them.
        name: Option<String>,
    },
    /// Change how a contact is called and grouped, and nothing else (RFC 6121 §2.4).
    EditContact {
        /// Whom.
        jid: BareJid,
        /// How to call them.
        name: Option<String>,
        /// In which groups to show them.
        groups: Vec<String>,
    },
    /// Add who has invited us by a link (XEP-0379), and accept them when they ask in turn. Replied to when it is durable.
    AddInviter {
        /// Whom.
        jid: BareJid,
        /// How to call them.
        name: Option<String>,
        /// The link's token.
        token: String,
    },
    /// A link by which somebody becomes a contact without being asked about (XEP-0379), our server's (XEP-0401) or our own. Replied
    /// to with [`Reply::Invitation`].
    Invite {
        /// What to call us, for those who open a link of our own.
        name: Option<String>,
        /// How long a link of our own counts, in ms.
        valid_for: u64,
    },
    /// A link by which somebody may register on our server (XEP-0401 §5.4). Replied to with [`Reply::Invitation`].
    InviteToServer {
        /// Under which name; `None`: which they like.
        username: Option<String>,
    },
    /// Remove a contact (RFC 6121 §2.5).
    RemoveContact {
        /// Whom.
        jid: BareJid,
    },
    /// Do not let them see our presence (RFC 6121 §3.2), whether they ask, were accepted before they did, or see it now.
    Decline {
        /// Whom.
        jid: BareJid,
    },
    /// What contacts are told of what we do. Replied to when it is durable.
    SetSignals {
        /// One contact; `None`: in general.
        with: Option<BareJid>,
        /// What; `None`: as in general, or everything.
        signals: Option<Signals>,
    },
    /// Whether to notify of what strangers write. Replied to when it is durable.
    NotifyOfStrangers {
        /// Whether.
        on: bool,
    },
    /// Let a contact see our presence (RFC 6121 §3.1.4), also one that has not asked yet (§3.4): by the server, or where that does not
    /// remember it by us, once they ask.
    Accept {
        /// Whom.
        jid: BareJid,
    },
    /// Show this picture of ourselves (XEP-0084), or none. Replied to when it is durable.
    SetAvatar {
        /// The picture.
        picture: Option<Picture>,
    },
    /// How we are there, as others see it (RFC 6121 §4.7.2), on this device. Replied to when it is durable.
    SetPresence {
        /// How much.
        show: Show,
        /// What we say of it; `None` or empty: nothing.
        text: Option<String>,
    },
    /// Tell contacts what we are called (XEP-0172). Replied to when it is durable.
    SetNickname {
        /// Empty: nothing.
        name: String,
    },
    /// What somebody says of themselves at length (XEP-0292, XEP-0054). Replied to with [`Reply::Card`], which is empty where they say
    /// nothing, or nothing to us; [`Error::Offline`] where they cannot be asked.
    Card {
        /// Who; perhaps we ourselves.
        of: BareJid,
    },
    /// Say this of ourselves at length. What the server has and a [`Card`] has no place for stays. Replied to when it is durable.
    SetCard {
        /// What.
        card: Box<Card>,
        /// To whom.
        audience: Audience,
    },
    /// Hear of them no more (XEP-0191). Replied to when it is durable.
    Block {
        /// An account, one of its devices, or a whole server.
        jid: Jid,
        /// What the server is to know besides.
        report: Option<Report>,
    },
    /// Hear of them again.
    Unblock {
        /// As it was blocked.
        jid: Jid,
    },
    /// Have this app server told when something comes while we are away (XEP-0357), and no other; `None`: nobody. Replied to
    /// when it is durable; how far it is, is told by [`Event::Push`]. A copy of the file, such as a backup that was put back, has no
    /// registration until it is told of one: to say it at each start is no harm.
    SetPush {
        /// The registration.
        push: Option<Push>,
    },
    /// Ask something of a node, in the order in which it is wanted: what is published under conditions may take several questions, and
    /// whatever is wanted of that node behind it waits. Replied to when it has answered; [`Error::Offline`] where it cannot be asked.
    Node {
        /// Whose: another account, or a publish-subscribe service (XEP-0060); `None`: our own account (XEP-0163).
        owner: Option<Jid>,
        /// Its name.
        node: String,
        /// What.
        action: NodeAction,
    },
    /// Do something with a feed (XEP-0277). Replied to when it is done; [`Error::Offline`] where it cannot be asked.
    Feed {
        /// Whose.
        of: BareJid,
        /// What.
        action: FeedAction,
    },
    /// Be told what contacts and our other devices publish under this name (XEP-0163 §4.3), or no longer. Replied to when it is
    /// durable.
    Follow {
        /// The name.
        node: String,
        /// Whether to be told.
        on: bool,
    },
    /// The app speaks this namespace, or no longer. Replied to when it is durable.
    Claim {
        /// The namespace.
        namespace: String,
        /// Where.
        what: ClaimKind,
        /// Whether it does.
        on: bool,
    },
    /// Answer what [`Event::Asked`] told.
    Answer {
        /// Which.
        id: AskedId,
        /// One well-formed element, or nothing; or a condition of RFC 6120 §8.3.3.
        answer: std::result::Result<Option<String>, String>,
    },
    /// Something that only the app understands, to a contact. Replied to when it is durable; doing it twice with one id sends
    /// it once.
    SendPayload {
        /// A UUID made by the caller.
        id: ItemId,
        /// The contact.
        to: BareJid,
        /// One well-formed element, in a namespace that is claimed.
        xml: String,
    },
    /// Ask something of a service, or of whoever it is. Replied to when it has answered; [`Error::Offline`] where it cannot be
    /// asked.
    Ask {
        /// Whom.
        of: Jid,
        /// What.
        what: Ask,
    },
    /// A part of a file that was exported, or of another archive in the form of XEP-0227. Replied to with [`Reply::Imported`] when it is
    /// durable; what is there already is not taken twice.
    Import {
        /// Names the file, so that its parts are known to be of one.
        file: String,
        /// Children of its user's elements, in their order.
        elements: Vec<Element>,
    },
    /// A stanza as it is. Counted, kept and resent like any other of ours.
    Raw {
        /// One well-formed `message`, `presence` or `iq`.
        xml: String,
    },
    /// What to notify of, and which notifications to take back. Replied to with [`Reply::News`]; what was told is not told again.
    News,
    /// Reply when caught up: no gap open since the first sign-in, unless the archive is no longer there, and the outbox empty.
    Sync {
        /// In milliseconds; [`Error::TimedOut`] or [`Error::Offline`] after that.
        timeout: u64,
    },
}

/// What is to be sent. A text alone is one, too: `"But soft".into()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The text, without what it answers.
    pub text: String,
    /// The message in the same conversation that it answers (XEP-0461).
    pub reply_to: Option<ItemId>,
    /// To be shown only when asked for, with this hint, which may be empty (XEP-0382).
    pub spoiler: Option<String>,
    /// The thread that it belongs to (RFC 6121 §5.2.5).
    pub thread: Option<Thread>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// By which part, in bytes. No two overlap.
    pub range: Range<usize>,
    /// Who.
    pub whom: Jid,
}

impl From<&str> for Outgoing {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Outgoing {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<String> for Outgoing {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

/// What is deleted on this device. Whatever brings it again, it does not come back; what was not sent yet is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delete {
    /// A message.
    Message {
        /// Which.
        id: ItemId,
    },
    /// All that was said with a contact so far. Of more than some hundred messages the rest goes in steps that follow.
    Conversation {
        /// The contact.
        with: BareJid,
    },
    /// Everything, in all conversations, that reached the server or us before some time.
    Before {
        /// ms UTC.
        at: i64,
    },
}

/// What a user decides about a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// What was begun and not sent; `None`, or an empty one: nothing. Sending its text ends it.
    Draft(Option<Draft>),
    /// It stands above those that are not.
    Pinned(bool),
    /// Nothing in it is to be notified of; `None`: no longer so.
    Muted(Option<Mute>),
    /// It stands apart, until a message comes and it is not muted.
    Archived(bool),
    /// Of what in it to be notified.
    Notify(Notify),
}

/// What was begun and not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The text so far.
    pub text: String,
    /// Which message it answers.
    pub reply_to: Option<ItemId>,
}

/// What is asked of a node (XEP-0060).
#[derive(Clone, Debug)]
pub enum NodeAction {
    /// Publish an item. Replied to with [`Reply::Published`].
    Publish {
        /// Its id, in place of what has it; `None`: the service makes one.
        id: Option<String>,
        /// One well-formed element.
        payload: String,
        /// What the node must be like. A node that is otherwise is configured first, if it is ours to do.
        options: NodeOptions,
    },
    /// Some of its items. Replied to with [`Reply::Items`].
    Items {
        /// How many at most.
        limit: u32,
        /// Those behind this, which a page before has named as `next`.
        after: Option<String>,
    },
    /// One of its items. Replied to with [`Reply::Items`]; without any where there is none of this id.
    Item {
        /// Which.
        id: String,
    },
    /// Take an item back.
    Retract {
        /// Which.
        id: String,
    },
    /// Take all items back.
    Purge,
    /// Make it.
    Create {
        /// How.
        options: NodeOptions,
    },
    /// Delete it, with its items.
    Delete,
    /// Change how it is.
    Configure {
        /// How; what is not named stays.
        options: NodeOptions,
    },
    /// How it is. Replied to with [`Reply::Configuration`].
    Configuration,
    /// Be told what happens to it, for as long as it is there. Replied to with [`Reply::Subscription`]: its owner may have to approve
    /// that first.
    Subscribe,
    /// Be told no longer.
    Unsubscribe,
    /// How our subscription to it is set (XEP-0060 §6.3.2). Replied to with [`Reply::SubscriptionOptions`].
    SubscriptionOptions,
    /// Set our subscription to it like this.
    ConfigureSubscription {
        /// What [`NodeAction::SubscriptionOptions`] was replied to with, filled in.
        form: Form,
    },
    /// Who has subscribed to it (XEP-0060 §8.8.1); asked by its owner. Replied to with [`Reply::Subscriptions`].
    Subscribers,
    /// Let somebody be subscribed to it like this, or not: who waits to be approved, or anybody (XEP-0060 §8.8.2).
    SetSubscriber {
        /// Whom.
        jid: Jid,
        /// How.
        state: SubscriptionState,
    },
    /// Who may do what with it; asked by its owner. Replied to with [`Reply::Affiliations`].
    Affiliations,
    /// Let somebody do this with it.
    Affiliate {
        /// Whom.
        jid: BareJid,
        /// What.
        affiliation: Affiliation,
    },
}

/// What is done with a feed (XEP-0277).
#[derive(Clone, Debug)]
pub enum FeedAction {
    /// Fetch its newest entries, up to a hundred. What else is here of it goes: it was taken back, or has made room.
    Refresh,
    /// Publish an entry, in place of what has its id. Replied to with [`Reply::Published`].
    Publish {
        /// A UUID made by the caller.
        id: ItemId,
        /// What.
        post: Post,
    },
    /// Take an entry back. One that is not there any more is taken back already.
    Retract {
        /// Which.
        id: String,
    },
}

/// What is to be published in a feed. A title alone is one, too: `"But soft".into()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Post {
    /// Its title, or all that there is of it.
    pub title: String,
    /// Its content.
    pub text: Option<String>,
    /// What we are called in it; `None`: the local part of our address.
    pub author: Option<String>,
    /// When it was first published, ms UTC, where it is published again; `None`: now.
    pub published: Option<i64>,
    /// What it leads to.
    pub links: Vec<EntryLink>,
}

impl From<&str> for Post {
    fn from(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }
}

/// An entry of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeedEntry {
    /// Its id in the feed.
    pub id: String,
    /// When it was published, as it says itself, or when it came here; never in the future. ms UTC.
    pub at: i64,
    /// What it says.
    pub entry: Entry,
}

/// What is asked of a service.
#[derive(Clone, Debug)]
pub enum Ask {
    /// What it is and can do (XEP-0030 §3). Replied to with [`Reply::Info`].
    Info {
        /// Of a part of it.
        node: Option<String>,
    },
    /// What belongs to it (XEP-0030 §4), page by page (XEP-0059). Replied to with [`Reply::Entities`].
    Items {
        /// To a part of it.
        node: Option<String>,
        /// Behind this, which a page before named as its next.
        after: Option<String>,
    },
    /// Our subscriptions at it (XEP-0060 §5.6). Replied to with [`Reply::Subscriptions`].
    Subscriptions {
        /// To this node; `None`: to all.
        node: Option<String>,
    },
    /// What we may do with its nodes (XEP-0060 §5.7). Replied to with [`Reply::OwnAffiliations`].
    Affiliations {
        /// With this node; `None`: with all.
        node: Option<String>,
    },
    /// A step of a command (XEP-0050). Replied to with [`Reply::Stage`].
    Command {
        /// Which command.
        node: String,
        /// What to do.
        action: CommandAction,
        /// How the service calls this execution; `None`: it begins.
        session: Option<String>,
        /// What it wanted to know.
        form: Option<Form>,
    },
    /// Anything (RFC 6120 §8.2.3). Replied to with [`Reply::Answer`].
    Anything {
        /// How.
        kind: RequestKind,
        /// One well-formed element.
        payload: String,
    },
}

/// Where an app speaks a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// In questions to us: [`Event::Asked`].
    Requests,
    /// In messages that have no text: [`Event::Payload`].
    Messages,
}

/// What we are asked, until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AskedId(pub i64);

/// Something in a message that only the app understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Payload {
    /// Stable for ever.
    pub id: ItemId,
    /// Whom it is exchanged with.
    pub with: BareJid,
    /// Who sent it.
    pub from: Jid,
    /// Whether we did, here or on another device.
    pub mine: bool,
    /// Its namespace, which is claimed.
    pub namespace: String,
    /// The element. Nobody has looked into it.
    pub xml: String,
    /// When it reached the server or us, ms UTC.
    pub at: i64,
    /// How far it has come, if it is ours.
    pub state: Option<SendState>,
}

/// How something is asked (RFC 6120 §8.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// To know something.
    Get,
    /// To have something done.
    Set,
}

/// How a node is or is to be (XEP-0060 §16.4.4): names without `pubsub#`, and values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeOptions(pub BTreeMap<String, String>);

impl NodeOptions {
    /// For one's own devices only, and kept (XEP-0223).
    pub fn private() -> Self {
        Self::default()
            .with("access_model", "whitelist")
            .with("persist_items", "true")
            .with("max_items", "max")
            .with("send_last_published_item", "never")
    }

    /// For everybody, and kept (XEP-0222).
    pub fn public() -> Self {
        Self::default().with("access_model", "open").with("persist_items", "true").with("max_items", "max")
    }

    /// Likewise, but for this.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// What somebody may do with a node (XEP-0060 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Affiliation {
    /// Everything.
    Owner,
    /// Publish and read.
    Publisher,
    /// Publish and not read.
    PublishOnly,
    /// Read where not everybody may.
    Member,
    /// Nothing special.
    None,
    /// Nothing.
    Outcast,
}

/// An item of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeItem {
    /// Unique within the node.
    pub id: String,
    /// An element with its namespace, where the node's notifications have it.
    pub payload: Option<String>,
}

/// What a contact or we are doing in a conversation (XEP-0085).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// An app server that can wake this device (XEP-0357 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Its address.
    pub service: Jid,
    /// Which device, in its own words.
    pub node: String,
    /// What it wants to hear from our server besides.
    pub secret: Option<String>,
}

/// How far the registration with our server is.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    LeftBehind(Push),
}

/// What became of a change of the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordChange {
    /// The new one counts.
    Done,
    /// The old one still counts.
    Refused {
        /// The condition of RFC 6120 §8.3.3.
        condition: String,
    },
}

/// What the platform says of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Whether there is any.
    pub available: bool,
    /// Which one, by a name that is the same whenever the device is in it. What was learned of a network is remembered by
    /// this; without it, by the kind.
    pub id: Option<NetworkId>,
    /// What kind.
    pub kind: NetworkKind,
    /// Whether its bytes cost money.
    pub metered: bool,
    /// Its servers for names, where the platform tells; else the system's own.
    pub dns: Vec<IpAddr>,
}

impl Default for Network {
    /// Some network, of which nothing is known.
    fn default() -> Self {
        Self { available: true, id: None, kind: NetworkKind::Unknown, metered: false, dns: Vec::new() }
    }
}

/// The platform's name for a network. Kept, compared, and never looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkId(pub String);

/// What kind of network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkKind {
    /// The platform does not say.
    #[default]
    Unknown,
    /// Wireless LAN.
    Wifi,
    /// Mobile.
    Cellular,
    /// By wire.
    Wired,
}

impl NetworkKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Wifi => "wifi",
            Self::Cellular => "cellular",
            Self::Wired => "wired",
        }
    }
}

/// The answer to a command that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// It is durable.
    Sent {
        /// Its id.
        id: ItemId,
    },
    /// A page of older messages is in the archive now.
    Older {
        /// How many were new.
        added: u32,
        /// Nothing older is on the server.
        complete: bool,
    },
    /// An item was published.
    Published {
        /// Its id.
        id: String,
    },
    /// Items of a node, in its own order.
    Items {
        /// They.
        items: Vec<NodeItem>,
        /// Behind what to ask for others, where the service tells that there are any. Not always an item's id.
        next: Option<String>,
    },
    /// How a node is.
    Configuration(NodeOptions),
    /// Who may do what with a node.
    Affiliations(Vec<(BareJid, Affiliation)>),
    /// What we may do with nodes, by their names.
    OwnAffiliations(Vec<(String, Affiliation)>),
    /// How far our subscription to a node is.
    Subscription(SubscriptionState),
    /// Subscriptions: ours, or all of a node.
    Subscriptions(Vec<NodeSubscription>),
    /// How our subscription to a node is set.
    SubscriptionOptions(Form),
    /// A card.
    Card(Box<Card>),
    /// What somebody is and can do.
    Info(Info),
    /// A page of what belongs to somebody.
    Entities(Entities),
    /// How far a command has come.
    Stage(CommandStage),
    /// What was answered: one element, or nothing.
    Answer(Option<String>),
    /// What came of a part of a file.
    Imported(Imported),
    /// A link to be given to somebody.
    Invitation(Invitation),
    /// What our server says of itself.
    Server(Box<ServerInfo>),
    /// Who has access to the account.
    Clients(Vec<ClientAccess>),
    /// What is new since the app was last told.
    News(News),
}

/// What came of a file, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// They are new here.
    pub added: u64,
    /// They were here, or are nobody's.
    pub known: u64,
    /// Elements that are not understood here.
    pub skipped: u64,
}

/// A link to be given to somebody: whoever has it first is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invitation {
    /// An `xmpp:` link.
    pub uri: String,
    /// The same for people without an app, by https.
    pub landing_page: Option<String>,
    /// Until when it counts, ms UTC; `None`: nobody says.
    pub expires: Option<i64>,
    /// One may register on our server with it.
    pub registers: bool,
}

/// What our server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactAddress {
    /// For what: `abuse`, `admin`, `feedback`, `sales`, `security`, `status`, `support`.
    pub kind: String,
    /// `mailto:`, `xmpp:` or `https:`; nobody has looked at it.
    pub uri: String,
}

/// Who has access to the account (XEP-0494).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientAccess {
    /// For [`Command::Revoke`].
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

/// What somebody who has access may do (XEP-0494 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Everything.
    Unrestricted,
    /// All but what others' access depends on.
    Normal,
    /// Less.
    Restricted,
}

/// What is new since the app was last told, or suspended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Messages to notify of, oldest first; of very many the newest. The same as [`Event::Message`] says of each, but that of a text
    /// or a quotation longer than 4 KB only the beginning is there, with "…" behind it, of links the first, and no previews.
    pub notify: Vec<Message>,
    /// Messages whose notifications are to be taken back: they were read, perhaps on another device, or their sender took them back.
    pub withdraw: Vec<ItemId>,
    /// Messages that were not read, in all conversations.
    pub unread: u64,
}

/// Why something did not happen. Each is one decision of a user interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no connection; the account goes on trying.
    #[error("offline")]
    Offline,
    /// No answer within the time given.
    #[error("timed out")]
    TimedOut,
    /// The server does not accept this password: ask for it.
    #[error("wrong password")]
    WrongPassword,
    /// The server said no.
    #[error("refused by the server: {condition}{}", text.as_ref().map(|t| format!(" ({t})")).unwrap_or_default())]
    ServerRefused {
        /// The defined condition of RFC 6120 §4.9.3, §6.5 or §8.3.3.
        condition: String,
        /// The server's own words.
        text: Option<String>,
    },
    /// The connection is not safe: wrong certificate, no TLS, or weaker than it was.
    #[error("not trusted: {what}")]
    Untrusted {
        /// What is wrong, for a person.
        what: String,
    },
    /// No such host, contact or message.
    #[error("not found")]
    NotFound,
    /// The caller's own mistake.
    #[error("invalid input: {what}")]
    InvalidInput {
        /// Which.
        what: String,
    },
    /// The disk is full. Goes on by itself once there is room.
    #[error("the storage is full")]
    StorageFull,
    /// The file cannot be used. It is never deleted.
    #[error("the database cannot be used: {why}")]
    DatabaseUnusable {
        /// Why.
        why: Unusable,
    },
    /// The file is there and its key is not.
    #[error("the key of the database is lost")]
    KeyLost,
    /// The device is locked and the key cannot be had yet.
    #[error("the device is locked")]
    Locked,
    /// The account or the client was closed.
    #[error("closed")]
    Closed,
    /// Suspended: call `resume` first.
    #[error("suspended")]
    Suspended,
    /// Another process has this account: the app, or an extension of it. Leave it to that one, or take it with `resume`.
    #[error("in use by another process")]
    InUse,
    /// A mistake of ours. The account goes on; please report it.
    #[error("a bug: {report}")]
    Bug {
        /// What happened, without content.
        report: String,
    },
}

impl Error {
    /// The error's name in snake_case, as the console and logs show it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::TimedOut => "timed_out",
            Self::WrongPassword => "wrong_password",
            Self::ServerRefused { .. } => "server_refused",
            Self::Untrusted { .. } => "untrusted",
            Self::NotFound => "not_found",
            Self::InvalidInput { .. } => "invalid_input",
            Self::StorageFull => "storage_full",
            Self::DatabaseUnusable { .. } => "database_unusable",
            Self::KeyLost => "key_lost",
            Self::Locked => "locked",
            Self::Closed => "closed",
            Self::Suspended => "suspended",
            Self::InUse => "in_use",
            Self::Bug { .. } => "bug",
        }
    }
}

impl From<jid::Error> for Error {
    fn from(error: jid::Error) -> Self {
        Self::InvalidInput { what: format!("not an address: {error}") }
    }
}

impl From<FormError> for Error {
    fn from(error: FormError) -> Self {
        Self::InvalidInput { what: error.to_string() }
    }
}

/// Why a database file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Written by a newer version of this library.
    #[error("it was written by a newer version")]
    Newer,
    /// The key does not fit, or it is not a database at all: with encryption the two cannot be told apart.
    #[error("the key does not fit")]
    WrongKey,
    /// Damaged.
    #[error("it is damaged")]
    Corrupt,
    /// No permission to write.
    #[error("it cannot be written")]
    ReadOnly,
}

/// How an account is doing. Honest enough to draw, quiet enough to ignore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not connected.
    Offline {
        /// Why; `None` where nobody asked for a connection, or there is none: then there is a next attempt, or no network.
        reason: Option<Error>,
        /// What happened, for a person; empty where there is nothing to say.
        detail: String,
        /// When the next attempt begins, ms UTC; `None`: not by itself, or when there is a network again.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// One message, shaped for the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Stable for ever.
    pub id: ItemId,
    /// Whom the conversation is with.
    pub with: BareJid,
    /// Who wrote it.
    pub from: Jid,
    /// Whether we wrote it, here or on another device.
    pub mine: bool,
    /// The text; for a placeholder, a description of what could not be shown.
    pub text: String,
    /// Which parts of the text are more than plain, in its bytes (see [`whimbrel_proto::text`]).
    pub spans: Vec<Span>,
    /// It begins with `/me `: to be shown as what its sender does, with the name in place of `/me` (XEP-0245).
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
    pub thread: Option<Thread>,
    /// Data that lies elsewhere (XEP-0066).
    pub links: Vec<Link>,
    /// What its sender says of links in the text (XEP-0511). Nobody has looked whether it is so.
    pub previews: Vec<Preview>,
    /// What we did to it and has not left yet, or failed.
    pub change: Option<Change>,
    /// The first of its day, by the offset from UTC that the timeline was told; by UTC until then.
    pub starts_day: bool,
    /// The first of a run by one sender within five minutes.
    pub starts_group: bool,
}

impl Message {
    /// A text of which nothing else is known.
    pub(crate) fn text(id: ItemId, with: BareJid, from: Jid, text: String) -> Self {
        Self {
            id,
            with,
            from,
            text,
            spans: Vec::new(),
            is_action: false,
            emoji_only: false,
            mine: false,
            placeholder: false,
            at: 0,
            written_at: None,
            state: None,
            edited: false,
            retracted: false,
            reactions: Vec::new(),
            reply: None,
            spoiler: None,
            thread: None,
            links: Vec::new(),
            previews: Vec::new(),
            change: None,
            starts_day: false,
            starts_group: false,
        }
    }

    /// Its text is a body with these contents: how much of that is shown, and what it looks like.
    pub(crate) fn show(&mut self, content: &Content) {
        if self.placeholder {
            return;
        }
        let (text, looks) = text::shown(&self.text, content);
        if let Cow::Owned(text) = text {
            self.text = text;
        }
        (self.spans, self.is_action, self.emoji_only) = (looks.spans, looks.is_action, looks.emoji_only);
    }
}

/// One reaction to a message (XEP-0444).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// An emoji, most often.
    pub text: String,
    /// How many feel so.
    pub count: u32,
    /// Whether we do.
    pub mine: bool,
}

/// What a message answers (XEP-0461).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The message, if it is here.
    pub id: Option<ItemId>,
    /// What the answer repeats of it, as its sender says.
    pub quote: Option<String>,
}

/// Something that we did to a message and that has not left yet, or failed and was not replaced since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its own id: for [`Command::Retry`] and [`Command::Cancel`].
    pub id: ItemId,
    /// What.
    pub kind: ChangeKind,
    /// `Queued` or `Failed`.
    pub state: SendState,
}

/// What one may do to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Another text (XEP-0308).
    Correction,
    /// It was taken back (XEP-0424).
    Retraction,
    /// Other reactions (XEP-0444).
    Reactions,
}

/// One line of a timeline.
#[allow(clippy::large_enum_variant, reason = "nearly all of them are messages")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A message.
    Message(Message),
    /// A hole in what we have.
    Gap(Gap),
}

impl Item {
    /// Stable for ever.
    pub fn id(&self) -> ItemId {
        match self {
            Self::Message(message) => message.id.clone(),
            Self::Gap(gap) => ItemId(format!("gap-{}", gap.id)),
        }
    }
}

/// A hole in what we have of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its number.
    pub id: i64,
    /// What kind of hole.
    pub kind: GapKind,
}

/// What kind of hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// Messages were missed and are being fetched.
    Missing,
    /// From before the first sign-in on this device; fetched when somebody scrolls there.
    Unfetched,
    /// The server no longer has it.
    NoLongerOnServer,
}

/// One line of the conversation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Whom it is with.
    pub with: BareJid,
    /// The contact's name, or else what they call themselves, or else the local part of the address.
    pub name: String,
    /// Their picture's hash (XEP-0084), once the picture is here.
    pub avatar: Option<String>,
    /// The newest message; none where it was only begun.
    pub last: Option<Message>,
    /// How many were not read.
    pub unread: u64,
    /// What the contact is doing.
    pub chat_state: Option<ChatState>,
    /// We do not hear of them (XEP-0191).
    pub blocked: bool,
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

/// One line of the roster (RFC 6121 §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Address.
    pub jid: BareJid,
    /// The name that the user gave.
    pub name: Option<String>,
    /// `none`, `to`, `from` or `both`.
    pub subscription: Subscription,
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
    /// Their picture's hash (XEP-0084), once the picture is here.
    pub avatar: Option<String>,
}

/// A picture, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its media type, as whoever shows it says. What can be decoded is for the decoder to say.
    pub kind: String,
    /// Its file.
    pub bytes: Vec<u8>,
}

/// What contacts are told of what we do, without our writing it; only those who may see our presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// That their messages have arrived (XEP-0184).
    pub delivered: bool,
    /// That we have seen them (XEP-0333).
    pub displayed: bool,
    /// That we are typing, or look (XEP-0085); those, too, whom we have written to.
    pub typing: bool,
}

impl Default for Signals {
    /// Everything.
    fn default() -> Self {
        Self { delivered: true, displayed: true, typing: true }
    }
}

/// Who may read what we say of ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Whoever sees our presence.
    Contacts,
    /// Everybody who knows our address, with software that knows only XEP-0054, too.
    Everybody,
}

/// A card as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCard {
    /// The card.
    pub card: Card,
    /// When it was read, or set, ms UTC.
    pub read_at: i64,
}

/// How somebody is there, all of their devices taken together; or how we are, on this one (RFC 6121 §4.7.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// How much they are there: as the device says that is to get messages.
    pub show: Show,
    /// What they say of it.
    pub text: Option<String>,
    /// Since when nobody has looked at any of their devices (XEP-0319), ms UTC; `None`: somebody looks, or nobody says, as we never do.
    pub idle_since: Option<i64>,
}

/// How much somebody is there (RFC 6121 §4.7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// What the server is to know of somebody who is blocked (XEP-0377).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it is about.
    pub reason: ReportReason,
    /// For a person.
    pub text: Option<String>,
    /// Messages that show it; the server finds them in our archive.
    pub messages: Vec<ItemId>,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportReason {
    /// What nobody wants to read.
    Spam,
    /// What hurts.
    Abuse,
}

/// Who sees whose presence (RFC 6121 §2.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subscription {
    /// Nobody.
    None,
    /// We see theirs.
    To,
    /// They see ours.
    From,
    /// Both.
    Both,
}

/// What happened, in order, for logs, notifications and the console. Lists follow their own updates instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session is usable.
    Online {
        /// Whether the server took us back into the last session.
        resumed: bool,
        /// Whether it is the first since the process started or was resumed.
        after_start: bool,
        /// Flights of ours after TLS that had to be answered before.
        round_trips: u32,
        /// SASL mechanism.
        mechanism: String,
        /// Why a resumption was refused, if one was.
        refused: Option<String>,
    },
    /// The session is gone or could not be had.
    Offline {
        /// Why, as an error's kind or `network`.
        reason: String,
        /// For a person.
        detail: String,
    },
    /// A message is new here.
    Message {
        /// The message.
        message: Message,
        /// Whether to notify of it, if nobody looks at its conversation: it was not read here or on another device, and its
        /// user wants to be notified of such messages. Whether another device is in use at this moment is not known. What is shown of
        /// it is to be taken back when its conversation has nothing unread any more, or when [`Event::Changed`] says that it was
        /// retracted.
        notify: bool,
    },
    /// A message was corrected, retracted or reacted to: so it is shown now.
    Changed(Message),
    /// A message of ours came further.
    State {
        /// Which.
        id: ItemId,
        /// In which conversation.
        with: BareJid,
        /// How far.
        state: SendState,
    },
    /// Catching up goes on.
    Progress {
        /// Messages fetched so far.
        caught_up: u64,
        /// The server's guess of all.
        total: Option<u64>,
    },
    /// Nothing is missing any more.
    CaughtUp,
    /// Items were published to a node that the app follows or has subscribed to.
    Published {
        /// Whose node: an account or a service.
        from: BareJid,
        /// Its name.
        node: String,
        /// They; of very many the first.
        items: Vec<NodeItem>,
    },
    /// Items of such a node were taken back.
    Retracted {
        /// Whose node.
        from: BareJid,
        /// Its name.
        node: String,
        /// They; none: all that there were.
        ids: Vec<String>,
    },
    /// Our subscription to a node is another: its owner has approved it, declined it or ended it (XEP-0060 §12.11).
    Subscription {
        /// Whose node.
        from: BareJid,
        /// Its name.
        node: String,
        /// How far it is now.
        state: SubscriptionState,
    },
    /// We are asked something in a namespace that the app has claimed, by somebody who may see us. It is to be answered within
    /// a minute.
    Asked {
        /// To be named in the answer.
        id: AskedId,
        /// Who asks.
        from: Option<Jid>,
        /// How.
        kind: RequestKind,
        /// One element.
        payload: String,
    },
    /// Something in a message that only the app understands is new here.
    Payload(Payload),
    /// Something in a feed is new, changed or gone.
    Feed {
        /// Whose.
        of: BareJid,
    },
    /// A change of the password has come to its end.
    Password(PasswordChange),
    /// The registration for push notifications came further.
    Push(PushState),
    /// The server's answer was larger than can be read: what it was about stays as it was.
    TooLarge {
        /// `roster`, `account`, `archive` or `answer`.
        what: String,
        /// In bytes.
        size: u64,
    },
    /// A stanza as it came or went, if the account was opened for that.
    Raw {
        /// Ours.
        outgoing: bool,
        /// As text.
        xml: String,
    },
}
