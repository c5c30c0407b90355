//! Whimbrel: XMPP conversations that survive bad links, for phones.
//!
//! A [`Client`] keeps accounts in one data directory. Each [`Account`] has a thread that holds its connection and its
//! encrypted database; what an app asks for is a command that is answered once it is durable, what an app shows is a list
//! that it follows by differences: [`Timeline`], [`ConversationList`], [`ContactList`].
//!
//! ```no_run
//! use std::sync::Arc;
//! use whimbrel::{Client, Connection, FileVault, Item, ItemId, Options};
//!
//! # async fn first_message() -> Result<(), whimbrel::Error> {
//! let vault = Arc::new(FileVault::new("data/keys"));
//! let client = Client::open("data", vault, Options::default()).await?;
//! let romeo = client.add_account("romeo@montague.lit".parse()?, Connection::default()).await?;
//! romeo.sign_in("secret").await?;
//!
//! let juliet: whimbrel::Address = "juliet@capulet.lit".parse()?;
//! romeo.send(ItemId::new(), &juliet, "But soft, what light?").await?;
//!
//! let timeline = romeo.timeline(&juliet, 50)?;
//! let updates = timeline.subscribe();
//! let (mut items, mut seq) = (Vec::new(), 0);
//! loop {
//!     let update = updates.next(seq).await?;
//!     seq = update.seq;
//!     whimbrel::apply(&mut items, &update.splices);
//!     if let Some(Item::Message(newest)) = items.last() {
//!         println!("{}: {}", newest.from, newest.text);
//!     }
//! }
//! # }
//! ```
//!
//! # Beyond chat
//! An app claims a namespace, and what it sends in it is durable, placed, deduplicated and archived as texts are, and shown to
//! nobody. The log of it is the app's state, on each device and on both sides; `examples/nim.rs` is a game on it.
//!
//! ```no_run
//! use whimbrel::{Account, Address, ClaimKind, Event, ItemId};
//!
//! # async fn beyond_chat(romeo: Account, juliet: Address) -> Result<(), whimbrel::Error> {
//! romeo.claim("urn:example:chess", ClaimKind::Messages, true).await?;
//! let mut events = romeo.events();
//! romeo.send_payload(ItemId::new(), &juliet, "<move xmlns='urn:example:chess'>e4</move>").await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Payload(_) = event {
//!         for payload in romeo.payloads(&juliet, "urn:example:chess", None, 500)? {
//!             println!("{}: {}", payload.from, payload.xml);
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What somebody is and has is asked with [`Account::info`] and [`Account::items_of`], a service does something with
//! [`Account::execute`], nodes are [`Account::node`] and feeds [`Account::feed`]; whatever else is asked with
//! [`Account::request`] and answered with [`Account::answer`].
//!
//! # What it promises
//! - [`Account::send`] returns when the message is on disk. From then on it is delivered, or visibly failed, whatever
//!   happens to the link, the process or the power. The same id sent twice is one message.
//! - What was shown does not disappear; a message arrives once. Towards contacts whose software does not know a resend by
//!   its id (XEP-0359) it is "at least once", as XMPP has nothing better to offer.
//! - A folded list of updates equals a fresh query, however slow the listener.
//!
//! # Where things are
//! Decisions are made in `whimbrel-engine`, grammar is in `whimbrel-proto`; here are sockets, threads and handles.

mod account;
mod adhoc;
mod bell;
mod bundle;
mod client;
mod disk;
mod driver;
mod feed;
mod installation;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod lines;
mod lists;
mod log;
mod net;
mod node;
mod registration;
mod shared;
#[cfg(test)]
mod tests;
mod transfer;
mod vault;

pub use jid::{BareJid as Address, Jid as FullAddress};
pub use whimbrel_engine::{
    api::{
        Affiliation, AskedId, Audience, Change, ChangeKind, ChatState, Choice, ClaimKind, ClientAccess,
        CommandAction, CommandNote, CommandNoteKind, CommandStage, CommandStatus, Contact, ContactAddress,
        Conversation, Delete, Draft, Entities, Entity, Entry, EntryLink, Error, Event, FeedEntry, Field,
        FieldKind, Form, FormError, FormKind, Gap, GapKind, Identity, Imported, Info, Invitation, Item,
        ItemId, KnownCard, Link, Mention, Message, Mute, Network, NetworkId, NetworkKind, NodeItem,
        NodeOptions, NodeSubscription, Notify, Outgoing, PasswordChange, Payload, Permission, Picture, Post,
        Presence, Preview, Push, PushState, Reaction, ReplyTo, Report, ReportReason, RequestKind, SendState,
        ServerInfo, Show, Signals, Status, Subscription as PresenceSubscription, SubscriptionState, Thread,
        Unusable,
    },
    search::{Cursor, Found, Hit, Search},
    splice::{Splice, apply},
};

pub use whimbrel_proto::{
    negotiation::registration::{Field as RegistrationField, Form as RegistrationForm, Media},
    text,
    uri::{self, Uri},
    vcard::{self as card, Card},
};

pub use crate::{
    account::{Account, Events, Older, WakeUp},
    adhoc::AdHoc,
    client::{Client, FoundIn, Options, Role},
    disk::DiskUse,
    feed::Feed,
    lists::{ContactList, ConversationList, Subscription, Timeline, Update},
    log::{LogLevel, LogSink, keep_log, log_to},
    net::connect::{Connection, Resolver, Server, Srv},
    node::{Node, NodePage},
    registration::Registration,
    vault::{FileVault, KeyVault, Scope},
};
