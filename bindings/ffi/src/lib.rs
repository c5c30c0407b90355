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
//!   Dropping it, as Kotlin does on cancellation, is safe: a command that was taken is carried out, and what takes several
//!   steps goes on to its end.

mod account;
mod card;
mod client;
mod counted;
mod error;
mod events;
mod feed;
mod guard;
mod lists;
mod node;
mod platform;
mod records;
mod registration;
mod services;
#[cfg(feature = "test-support")]
mod test_support;
mod uri;
mod vault;

pub use crate::{
    account::{Account, Statuses},
    card::{Audience, Card, CardLine, KnownCard, Organisation, PersonName, PostalAddress},
    client::{Client, Ending},
    error::{Unusable, WhimbrelError},
    events::{Event, Events},
    feed::{EntryLink, Feed, FeedEntry, Post},
    lists::{
        ContactList, ContactSplice, ContactSubscription, ContactUpdate, ConversationList, ConversationSplice,
        ConversationSubscription, ConversationUpdate, Timeline, TimelineSplice, TimelineSubscription,
        TimelineUpdate,
    },
    node::{
        Affiliation, Node, NodeAffiliation, NodeItem, NodePage, NodeSubscription, SubscriptionState,
        private_node, public_node,
    },
    platform::{LogLevel, LogSink, Resolver, Srv, keep_log, log_to},
    records::{
        Change, ChangeKind, ChatState, ClientAccess, Connection, Contact, ContactAddress, Conversation,
        Cursor, Delete, DiskUse, Draft, Found, FoundIn, FoundPlace, Gap, GapKind, Hit, Imported, Invitation,
        Item, Link, Mention, Message, MessageThread, Mute, Network, NetworkKind, Notify, Options, Outgoing,
        Permission, Picture, Presence, PresenceSubscription, Preview, Push, PushState, Reaction, ReplyTo,
        Report, ReportReason, Search, SendState, Server, ServerInfo, Show, Signals, Status, TextRange,
        WakeUp,
    },
    registration::{
        Registration, RegistrationChoice, RegistrationField, RegistrationForm, RegistrationMedia,
    },
    services::{
        AdHoc, Answer, Choice, ClaimKind, CommandAction, CommandNote, CommandNoteKind, CommandStage,
        CommandStatus, Entities, Entity, FieldKind, Form, FormField, FormKind, Identity, Info, Payload,
        RequestKind, fill_form, read_form, submit_form,
    },
    uri::{XmppLink, XmppLinkAction, XmppLinkParameter, read_xmpp_link, write_xmpp_link},
    vault::{KeyVault, Scope, file_vault},
};
#[cfg(feature = "test-support")]
pub use test_support::{
    Commit, held_objects, keep_update, last_commit, panic_async, panic_sync, repeat_updates,
    whimbrel_kept_update,
};

uniffi::setup_scaffolding!();
