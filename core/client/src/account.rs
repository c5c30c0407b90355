//! A handle to one account, and the life of its thread.
//!
//! The thread holds the write connection and the socket; it is started when the file is opened and ends with it. A handle
//! only sends it requests, so that dropping a future of ours never leaves anything half done. It outlives the thread: a
//! suspended account answers `Suspended`, one whose file could not be opened tries again and says why not.
//!
//! One thread at a time has the file open, whatever is called or dropped meanwhile: it holds a lock from before it opens the
//! file to after it has closed it. What the handle is to be is decided first, under `life`; threads follow.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc::RecvTimeoutError,
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;
use whimbrel_engine::{
    Config, Engine,
    api::{Ask, Command, Network, News, Reply, Setting},
    blocking, card, feed,
    lease::Claim,
    payloads, person, presence, push,
    search::{self, Cursor, Found, Search},
    signals,
    store::{self, Installation, Secret},
};

use whimbrel_proto::ns;

use crate::{
    AdHoc, Address, Affiliation, AskedId, Audience, Card, ChatState, ClaimKind, ClientAccess, Delete, Draft,
    Entities, Entity, Error, Event, Feed, FeedEntry, FullAddress, Info, Invitation, ItemId, KnownCard,
    Message, Mute, NodeSubscription, Notify, Options, Outgoing, Payload, Picture, Presence, Push, PushState,
    Report, RequestKind, Role, ServerInfo, Show, Signals, Status,
    bell::{self, Bell},
    client,
    driver::{Driver, Request, Stopped},
    installation,
    lists::{ContactList, ConversationList, Timeline},
    net::connect::{Connection, Route},
    node::Node,
    shared::{Shared, wall_clock},
    vault::KeyVault,
};

/// Where an account lives and what it was opened with.
pub(crate) struct Home {
    pub(crate) jid: Address,
    pub(crate) dir: PathBuf,
    pub(crate) vault: Arc<dyn KeyVault>,
    pub(crate) options: Options,
}

impl Home {
    /// The name of its secret in the vault.
    pub(crate) fn entry(&self) -> String {
        format!("database-{}", self.dir.file_name().unwrap_or_default().to_string_lossy())
    }

    /// The name of what the vault knows of the file, in the vault.
    pub(crate) fn installation(&self) -> String {
        format!("installation-{}", self.dir.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Whether its user has disconnected it, for processes to come: a push does not connect it again.
    fn keep_offline(&self, keep: bool) {
        let marker = self.dir.join("disconnected");
        let done = if keep { fs::write(marker, "") } else { fs::remove_file(marker) };
        if let Err(error) = done
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the next process does not know whether the account is to be online");
        }
    }

    fn is_kept_offline(&self) -> bool {
        self.dir.join("disconnected").exists()
    }
}

/// One account. Cheap to clone; all clones are the same account.
#[derive(Clone)]
pub struct Account {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    shared: Arc<Shared>,
    life: Mutex<Life>,
    /// One start at a time.
    starting: tokio::sync::Mutex<()>,
    /// Told after each.
    started: watch::Sender<()>,
    file: FileLock,
    /// How often the file had been opened when we did last.
    openings: AtomicU64,
    /// How it connects, and in which way.
    route: Mutex<Option<(Connection, Route)>>,
}

impl Drop for Inner {
    /// Nobody can open it again, so nobody need wait for that.
    fn drop(&mut self) {
        self.shared.close_reader(Error::Closed);
    }
}

/// Held by the thread that has the file open. Handles of the same address that follow each other share it.
pub(crate) type FileLock = Arc<tokio::sync::Mutex<()>>;

struct Life {
    /// `None`: as the file has it.
    connection: Option<Connection>,
    state: State,
    wish: Wish,
    /// Whether its user looks at it.
    foreground: bool,
    /// What the platform said last.
    network: Option<Network>,
    /// When the same network was taken for another one, as a portal had barred the account, and how long it is not again.
    asked_again: Option<(Instant, Duration)>,
    /// How many pushes are being looked after.
    waking: u32,
    /// Whether the last of them is to leave it suspended, since nobody but pushes wants it to run.
    woken: bool,
    /// The app has resumed it, whether or not it is to be online.
    resumed: bool,
    /// Its file could not be opened, for a reason that passes by itself.
    again: Option<Again>,
}

/// Opening a file is tried again.
struct Again {
    /// Wall-clock milliseconds.
    due: i64,
    /// Ends the wait; dropped, nobody is to try any more.
    hurry: std::sync::mpsc::Sender<()>,
}

impl Life {
    fn hurry(&self) {
        if let Some(again) = &self.again {
            let _ = again.hurry.send(());
        }
    }
}

/// What the app wants of an account, as far as it has said so in this process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Unsaid,
    Online,
    Offline,
}

enum State {
    Running(mpsc::UnboundedSender<Request>),
    /// Not started yet, or not possible.
    Stopped,
    Suspended,
    Closed,
}

/// What a push has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WakeUp {
    /// Messages to notify of, oldest first, the newest 200 at most. Of a text or a quotation of more than 4 KiB the beginning, with
    /// "…" behind it; of links the first; no previews.
    pub notify: Vec<Message>,
    /// Messages whose notifications are to be taken back: they were read, perhaps on another device, or their sender took them back.
    pub withdraw: Vec<ItemId>,
    /// Messages of the account that were not read: its part of the badge.
    pub unread: u64,
    /// Whether that was everything that the server had.
    pub complete: bool,
}

/// Between two questions whether a portal lets through, by a platform that says the same network again and again: doubled from the
/// first to the last.
const BARRED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(120));

/// Of the time that a push has, what is kept for hanging up and closing the file.
const TO_HANG_UP: Duration = Duration::from_millis(500);

/// More time than any push has. One without end cannot be added to the clock.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What a page of older messages brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Older {
    /// How many messages are new on this device.
    pub added: u32,
    /// Nothing older is on the server.
    pub complete: bool,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Account").field(&self.inner.home.jid).finish()
    }
}

impl Account {
    pub(crate) fn new(
        home: Home,
        connection: Option<Connection>,
        (foreground, network): (bool, Option<Network>),
        file: FileLock,
    ) -> Self {
        let shared = Arc::new(Shared::new(home.jid.clone(), home.dir.join("account.db")));
        let life = Life {
            connection,
            state: State::Stopped,
            wish: Wish::Unsaid,
            foreground,
            network,
            waking: 0,
            woken: false,
            resumed: false,
            asked_again: None,
            again: None,
        };
        Self {
            inner: Arc::new(Inner {
                home,
                shared,
                life: Mutex::new(life),
                starting: tokio::sync::Mutex::default(),
                started: watch::Sender::new(()),
                file,
                openings: AtomicU64::new(0),
                route: Mutex::default(),
            }),
        }
    }

    /// Whose account it is.
    pub fn jid(&self) -> &Address {
        &self.inner.home.jid
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        self.inner.shared.status.borrow().clone()
    }

    /// Waits until the status is another than this one, and returns it. Nothing in between is promised to be seen.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn status_after(&self, seen: &Status) -> Result<Status, Error> {
        let mut status = self.inner.shared.status.subscribe();
        loop {
            let now = status.borrow_and_update().clone();
            if now != *seen {
                return Ok(now);
            }
            if self.inner.shared.is_closed() {
                return Err(Error::Closed);
            }
            status.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// What happens from now on, in order.
    pub fn events(&self) -> Events {
        self.inner.shared.listen()
    }

    /// Connects with this password, keeps it in the encrypted database, and stays connected from then on. Returns when
    /// online. Whatever the answer, the account stays: who gives up, or mistyped the address, calls
    /// [`crate::Client::remove_account`].
    ///
    /// # Errors
    /// [`Error::WrongPassword`]; [`Error::Untrusted`], and then it tries once more on another network, or when it is resumed;
    /// [`Error::NotFound`], [`Error::ServerRefused`], or [`Error::Offline`] where there is no connection: in these three cases it
    /// goes on trying.
    pub async fn sign_in(&self, password: &str) -> Result<(), Error> {
        self.wants_online();
        self.done(Command::SignIn { password: Some(password.to_owned()) }).await
    }

    /// Connects as signed in before and stays connected. Returns at once: the status tells how it goes. Without a password of an earlier
    /// [`Account::sign_in`] it is offline with [`Error::WrongPassword`].
    ///
    /// # Errors
    /// Where the account could not be opened.
    pub async fn connect(&self) -> Result<(), Error> {
        self.wants_online();
        self.done(Command::Connect).await
    }

    fn wants_online(&self) {
        self.inner.shared.is_refused.store(false, Ordering::Relaxed);
        let mut life = self.life();
        life.wish = Wish::Online;
        self.keep_offline(&life, false);
        // It is no longer there for a push alone, in the background.
        let (woken, foreground) = (std::mem::take(&mut life.woken), life.foreground);
        drop(life);
        if woken {
            self.tell(Request::Foreground(foreground));
        }
    }

    /// For processes to come. Another handle may have the directory by now.
    fn keep_offline(&self, life: &Life, keep: bool) {
        if !matches!(life.state, State::Closed) {
            self.home().keep_offline(keep);
        }
    }

    /// Closes the session on the server and stays offline. The server is told first to wake this device no more; without a
    /// connection it cannot be, and [`PushState::LeftBehind`] says so.
    ///
    /// # Errors
    /// Where the account could not be opened.
    pub async fn disconnect(&self) -> Result<(), Error> {
        {
            let mut life = self.life();
            life.wish = Wish::Offline;
            self.keep_offline(&life, true);
        }
        self.done(Command::Disconnect).await
    }

    /// Gives the account another password on its server (XEP-0077 §3.3). Whatever happens meanwhile, a kill as well, the next login
    /// is by the one that counts.
    ///
    /// # Errors
    /// [`Error::Offline`] where there is no connection; where it was lost meanwhile, or with [`Error::TimedOut`], nobody knows yet:
    /// the server is asked again, and [`Event::Password`] tells. [`Error::ServerRefused`] where it takes no such password, or
    /// lets nobody change one; [`Error::InvalidInput`] where it is empty, longer than a kilobyte or cannot be sent, or
    /// another change is under way; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn change_password(&self, password: &str) -> Result<(), Error> {
        self.done(Command::ChangePassword { password: password.to_owned() }).await
    }

    /// What our server says of itself: whom to turn to (XEP-0157), where outages are told (XEP-0455), its software (XEP-0092). Without
    /// a connection what it said last, at most a week before it was last there.
    ///
    /// # Errors
    /// [`Error::Offline`] where it never said anything; [`Error::TimedOut`], [`Error::ServerRefused`].
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        match self.ask(Command::ServerInfo).await? {
            Reply::Server(info) => Ok(*info),
            other => Err(unexpected(&other)),
        }
    }

    /// Who has access to the account: our own sessions and others (XEP-0494).
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`], [`Error::ServerRefused`] where the server does not tell.
    pub async fn clients(&self) -> Result<Vec<ClientAccess>, Error> {
        match self.ask(Command::Clients).await? {
            Reply::Clients(clients) => Ok(clients),
            Reply::Done => Ok(Vec::new()),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes somebody's access away, by [`ClientAccess::id`] (XEP-0494).
    ///
    /// # Errors
    /// As [`Account::clients`]; [`Error::ServerRefused`] with `password-reset-required` where only another password keeps it out:
    /// see [`Account::change_password`].
    pub async fn revoke_client(&self, id: &str) -> Result<(), Error> {
        self.done(Command::Revoke { client: id.to_owned() }).await
    }

    pub(crate) async fn leave(&self) -> Result<(), Error> {
        self.life().wish = Wish::Offline;
        self.done(Command::Leave).await
    }

    pub(crate) async fn unregister(&self) -> Result<(), Error> {
        self.done(Command::Unregister).await
    }

    /// Sends a text, or an [`Outgoing`] with more to it. Returns when it is durable: how far it comes is the
    /// [`crate::SendState`] of its item. The same id again is the same message, so a call that was cancelled or killed can be
    /// repeated.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where the id is no UUID, the text is empty or larger than 200 KiB, or what it answers cannot be
    /// answered; [`Error::NotFound`] where what it answers is not in this conversation; [`Error::StorageFull`],
    /// [`Error::DatabaseUnusable`].
    pub async fn send(&self, id: ItemId, to: &Address, what: impl Into<Outgoing>) -> Result<ItemId, Error> {
        match self.ask(Command::Send { id, to: to.clone(), what: what.into() }).await? {
            Reply::Sent { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Gives a message of ours another text (XEP-0308). What has not left yet leaves with it; else a correction follows.
    /// Returns when it is durable: until it has left, it is the [`crate::Change`] of the item. `id` is the change's, and makes
    /// it safe to repeat. What has failed becomes another message, under this id, that [`Account::retry`] sends: the first one may be
    /// known somewhere as it was. Mentions, links and previews are those of the old text, and go with it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidInput`] as for [`Account::send`], and where the message is not ours or was retracted;
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn edit(&self, id: ItemId, message: &ItemId, text: &str) -> Result<(), Error> {
        self.done(Command::Edit { id, message: message.clone(), text: text.to_owned() }).await
    }

    /// Takes a message of ours back (XEP-0424). What has not left yet is gone; others are asked to forget it, and need not.
    ///
    /// # Errors
    /// As [`Account::edit`].
    pub async fn retract(&self, id: ItemId, message: &ItemId) -> Result<(), Error> {
        self.done(Command::Retract { id, message: message.clone() }).await
    }

    /// All that we feel about a message, in the place of what we said before (XEP-0444); nothing takes it all back.
    ///
    /// # Errors
    /// As [`Account::edit`], but for anybody's message; [`Error::InvalidInput`] where one is empty or longer than 64 bytes, or
    /// there are more than 32.
    pub async fn react(&self, id: ItemId, message: &ItemId, reactions: &[&str]) -> Result<(), Error> {
        let reactions = reactions.iter().map(|reaction| (*reaction).to_owned()).collect();
        self.done(Command::React { id, message: message.clone(), reactions }).await
    }

    /// Sends once more what failed: a message, or the [`crate::Change`] of one.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidInput`] where it has not failed, or is a change and another one was made since;
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn retry(&self, message: &ItemId) -> Result<(), Error> {
        self.done(Command::Retry { message: message.clone() }).await
    }

    /// Does not send what has not left yet, and forgets what failed: a message, or the [`crate::Change`] of one.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidInput`] where it is under way or sent; [`Error::StorageFull`],
    /// [`Error::DatabaseUnusable`].
    pub async fn cancel(&self, message: &ItemId) -> Result<(), Error> {
        self.done(Command::Cancel { message: message.clone() }).await
    }

    /// Everything in this conversation was seen. Tells the contact, if they asked and may know (XEP-0333).
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn mark_read(&self, with: &Address) -> Result<(), Error> {
        self.done(Command::MarkRead { with: with.clone() }).await
    }

    /// Deletes a message, a conversation or all before some time, on this device and no other. Whatever brings it again, it does not
    /// come back. What was not sent yet is not sent.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such message; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn delete(&self, what: Delete) -> Result<(), Error> {
        self.done(Command::Delete(what)).await
    }

    /// Keeps what was begun and not sent in a conversation, over kills, too; `None`, or an empty draft: nothing. Sending its text ends
    /// it. It stays on this device. Each call writes to the disk: not for every key.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a text larger than 200 KiB; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_draft(&self, with: &Address, draft: Option<Draft>) -> Result<(), Error> {
        self.set(with, Setting::Draft(draft)).await
    }

    /// Whether a conversation stands above those that are not pinned. This, and what follows here, is decided for all of our devices: the
    /// others hear of it as soon as there is a connection, and of two decisions the later counts.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_pinned(&self, with: &Address, pinned: bool) -> Result<(), Error> {
        self.set(with, Setting::Pinned(pinned)).await
    }

    /// Until when nothing in a conversation is notified of ([`WakeUp::notify`]); `None`: from now on again.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_muted(&self, with: &Address, muted: Option<Mute>) -> Result<(), Error> {
        self.set(with, Setting::Muted(muted)).await
    }

    /// Whether a conversation stands apart, behind all others. A message brings it back, unless it is muted.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_archived(&self, with: &Address, archived: bool) -> Result<(), Error> {
        self.set(with, Setting::Archived(archived)).await
    }

    /// Of what in a conversation to be notified (XEP-0492), while it is not muted.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_notify(&self, with: &Address, notify: Notify) -> Result<(), Error> {
        self.set(with, Setting::Notify(notify)).await
    }

    async fn set(&self, with: &Address, setting: Setting) -> Result<(), Error> {
        self.done(Command::Set { with: with.clone(), setting }).await
    }

    /// Tells a contact that we are typing, or no longer (XEP-0085). Not kept, not repeated. Once when it begins and once when it pauses,
    /// not for every key; a message that is sent ends it. Who knows no chat states (§5.1), strangers, and those for whom
    /// [`Signals::typing`] is off are sent nothing, which is no error.
    ///
    /// # Errors
    /// [`Error::Offline`].
    pub async fn set_chat_state(&self, with: &Address, state: ChatState) -> Result<(), Error> {
        self.done(Command::SetChatState { with: with.clone(), state }).await
    }

    /// Fetches a page of older messages from the server's archive (XEP-0313). It is one for all conversations, so that of a single
    /// one there may be nothing in a page: see [`crate::Timeline::older`].
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`], [`Error::ServerRefused`].
    pub async fn fetch_older(&self) -> Result<Older, Error> {
        match self.ask(Command::Older).await? {
            Reply::Older { added, complete } => Ok(Older { added, complete }),
            other => Err(unexpected(&other)),
        }
    }

    /// Adds or renames a contact and asks to see their presence (RFC 6121 §2.3, §3.1).
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn add_contact(&self, jid: &Address, name: Option<&str>) -> Result<(), Error> {
        self.done(Command::AddContact { jid: jid.clone(), name: name.map(str::to_owned) }).await
    }

    /// Adds who has invited us by a link (XEP-0379, [`crate::uri::Action::Roster`]): they are asked with the link's token, so that they
    /// accept without being asked about, and are accepted when they ask in turn, within a month.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where the token is empty or longer than a kilobyte; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn add_inviter(&self, jid: &Address, name: Option<&str>, token: &str) -> Result<(), Error> {
        let (jid, name) = (jid.clone(), name.map(str::to_owned));
        self.done(Command::AddInviter { jid, name, token: token.to_owned() }).await
    }

    /// A link by which somebody becomes a contact without our being asked: whoever opens it first. Our server makes it where it
    /// knows how (XEP-0401); else it is our own (XEP-0379), suggests `name`, counts for `valid_for`, and is accepted by this device.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn invite(&self, name: Option<&str>, valid_for: Duration) -> Result<Invitation, Error> {
        let valid_for = u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX);
        self.invitation(Command::Invite { name: name.map(str::to_owned), valid_for }).await
    }

    /// A link by which somebody may register on our server, under this name or any (XEP-0401 §5.4).
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`]; [`Error::ServerRefused`] where we may not, or the server does not know how.
    pub async fn invite_to_server(&self, username: Option<&str>) -> Result<Invitation, Error> {
        self.invitation(Command::InviteToServer { username: username.map(str::to_owned) }).await
    }

    async fn invitation(&self, command: Command) -> Result<Invitation, Error> {
        match self.ask(command).await? {
            Reply::Invitation(invitation) => Ok(invitation),
            other => Err(unexpected(&other)),
        }
    }

    /// Changes how a contact is called and grouped (RFC 6121 §2.4).
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn edit_contact(
        &self,
        jid: &Address,
        name: Option<&str>,
        groups: Vec<String>,
    ) -> Result<(), Error> {
        let name = name.map(str::to_owned);
        self.done(Command::EditContact { jid: jid.clone(), name, groups }).await
    }

    /// The picture of this hash, which a contact, a conversation or our own account has, if it is here.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn avatar(&self, hash: &str) -> Result<Option<Picture>, Error> {
        self.inner.shared.read(|connection| person::avatar(connection, hash))
    }

    /// Shows this picture of ourselves, or none (XEP-0084). Returns when it is durable.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where it is none, or larger than a MiB or than the server takes;
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_avatar(&self, picture: Option<Picture>) -> Result<(), Error> {
        self.done(Command::SetAvatar { picture }).await
    }

    /// Tells contacts what we are called (XEP-0172). Returns when it is durable.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_nickname(&self, name: &str) -> Result<(), Error> {
        self.done(Command::SetNickname { name: name.to_owned() }).await
    }

    /// How we are there, as those see it who may see our presence, and what we say of it; `None` or empty: nothing (RFC 6121 §4.7.2).
    /// It stays on this device; each of our devices has its own. Returns when it is durable: it is said at once or as soon as there is
    /// a connection, and again by every new session.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a text of more than 1024 bytes or with control characters; [`Error::StorageFull`],
    /// [`Error::DatabaseUnusable`].
    pub async fn set_presence(&self, show: Show, text: Option<&str>) -> Result<(), Error> {
        self.done(Command::SetPresence { show, text: text.map(str::to_owned) }).await
    }

    /// How we are there, as it was set last; also while we are offline. At first [`Show::Available`] without a text.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn presence(&self) -> Result<Presence, Error> {
        self.inner.shared.read(presence::own)
    }

    /// What somebody says of themselves at length (XEP-0292, XEP-0054), as their server has it now; we ourselves, too. Empty where
    /// they say nothing, or nothing to us.
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`], [`Error::ServerRefused`].
    pub async fn card(&self, of: &Address) -> Result<Card, Error> {
        match self.ask(Command::Card { of: of.clone() }).await? {
            Reply::Card(card) => Ok(*card),
            other => Err(unexpected(&other)),
        }
    }

    /// The same as it was when it was last read, and our own as it was last set; for showing it at once, and offline. Of many the
    /// newest 500 are kept.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn known_card(&self, of: &Address) -> Result<Option<KnownCard>, Error> {
        self.inner.shared.read(|connection| card::known(connection, of))
    }

    /// Says this of ourselves at length. What the server has of us and a [`Card`] has no place for stays. Returns when it is durable;
    /// the server has it as soon as there is a connection. For everybody, it is also where software looks that knows only XEP-0054,
    /// which the whole world can read.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where a value is empty or too long (512 bytes; a note: 4 KiB), or there are more than 16 of one sort;
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_card(&self, card: Card, audience: Audience) -> Result<(), Error> {
        self.done(Command::SetCard { card: Box::new(card), audience }).await
    }

    /// Hears no more of an account, one of its devices, or a whole server, and tells the server why, if that is given (XEP-0191,
    /// 0377). Returns when it is durable: the server is told as soon as there is a connection. One that does not know how to
    /// block refuses; then the address is off the list again.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn block(&self, jid: &FullAddress, report: Option<Report>) -> Result<(), Error> {
        self.done(Command::Block { jid: jid.clone(), report }).await
    }

    /// Hears of them again.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn unblock(&self, jid: &FullAddress) -> Result<(), Error> {
        self.done(Command::Unblock { jid: jid.clone() }).await
    }

    /// Of whom we do not hear.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn blocked(&self) -> Result<Vec<FullAddress>, Error> {
        self.inner.shared.read(blocking::blocked)
    }

    /// Removes a contact (RFC 6121 §2.5). The messages stay.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn remove_contact(&self, jid: &Address) -> Result<(), Error> {
        self.done(Command::RemoveContact { jid: jid.clone() }).await
    }

    /// Lets a contact see our presence (RFC 6121 §3.1.4), also one that has not asked yet (§3.4): once they ask they are answered.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn accept_contact(&self, jid: &Address) -> Result<(), Error> {
        self.done(Command::Accept { jid: jid.clone() }).await
    }

    /// Does not let them see our presence (RFC 6121 §3.2), whether they ask, were accepted before they did, or see it now.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn decline_contact(&self, jid: &Address) -> Result<(), Error> {
        self.done(Command::Decline { jid: jid.clone() }).await
    }

    /// What contacts are told of what we do, unless it is decided otherwise for one of them. It stays on this device, as what follows
    /// here. Strangers ([`crate::Conversation::is_stranger`]) are told nothing, whatever is decided.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_signals(&self, signals: Signals) -> Result<(), Error> {
        self.done(Command::SetSignals { with: None, signals: Some(signals) }).await
    }

    /// What one of them is told; `None`: as in general.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_signals_with(&self, with: &Address, signals: Option<Signals>) -> Result<(), Error> {
        self.done(Command::SetSignals { with: Some(with.clone()), signals }).await
    }

    /// What contacts are told in general.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn signals(&self) -> Result<Signals, Error> {
        self.inner.shared.read(signals::in_general)
    }

    /// Whether to notify of what strangers write ([`WakeUp::notify`], [`Event::Message`]). At first it is so.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_notify_of_strangers(&self, on: bool) -> Result<(), Error> {
        self.done(Command::NotifyOfStrangers { on }).await
    }

    /// A node of our own (XEP-0163). It need not be there yet.
    pub fn node(&self, name: &str) -> Node {
        Node::new(self.clone(), None, name)
    }

    /// A node of another account, or of a publish-subscribe service (XEP-0060).
    pub fn node_of(&self, owner: &FullAddress, name: &str) -> Node {
        Node::new(self.clone(), Some(owner.clone()), name)
    }

    /// Our subscriptions to nodes of a publish-subscribe service or of an account (XEP-0060 §5.6): to all of them, or to one. A device
    /// may have one of its own.
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`], [`Error::ServerRefused`].
    pub async fn subscriptions_at(
        &self,
        service: &FullAddress,
        node: Option<&str>,
    ) -> Result<Vec<NodeSubscription>, Error> {
        let what = Ask::Subscriptions { node: node.map(str::to_owned) };
        match self.ask(Command::Ask { of: service.clone(), what }).await? {
            Reply::Subscriptions(subscriptions) => Ok(subscriptions),
            other => Err(unexpected(&other)),
        }
    }

    /// What we may do with nodes of a publish-subscribe service or of an account (XEP-0060 §5.7), by their names: with all of them, or
    /// with one. Where it is nothing special most services leave it out.
    ///
    /// # Errors
    /// As [`Account::subscriptions_at`].
    pub async fn affiliations_at(
        &self,
        service: &FullAddress,
        node: Option<&str>,
    ) -> Result<Vec<(String, Affiliation)>, Error> {
        let what = Ask::Affiliations { node: node.map(str::to_owned) };
        match self.ask(Command::Ask { of: service.clone(), what }).await? {
            Reply::OwnAffiliations(affiliations) => Ok(affiliations),
            other => Err(unexpected(&other)),
        }
    }

    /// From now on tells what contacts and our other devices publish to their nodes of this name (XEP-0163 §4.3), as
    /// [`Event::Published`] and [`Event::Retracted`]; or no longer. Returns when it is durable.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a name of no or more than 1024 bytes, or the hundred-and-first;
    /// [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn follow(&self, node: &str, on: bool) -> Result<(), Error> {
        self.done(Command::Follow { node: node.to_owned(), on }).await
    }

    /// What an address, or a node of it, is and can do (XEP-0030 §3).
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::TimedOut`], [`Error::ServerRefused`].
    pub async fn info(&self, of: &FullAddress, node: Option<&str>) -> Result<Info, Error> {
        let what = Ask::Info { node: node.map(str::to_owned) };
        match self.ask(Command::Ask { of: of.clone(), what }).await? {
            Reply::Info(info) => Ok(info),
            other => Err(unexpected(&other)),
        }
    }

    /// What belongs to an address, or to a node of it (XEP-0030 §4): a page of it; `after`: behind what a page before has as its
    /// `next` (XEP-0059). Who has no pages gives everything, as far as it fits into a stanza.
    ///
    /// # Errors
    /// As [`Account::info`].
    pub async fn items_of(
        &self,
        of: &FullAddress,
        node: Option<&str>,
        after: Option<&str>,
    ) -> Result<Entities, Error> {
        let what = Ask::Items { node: node.map(str::to_owned), after: after.map(str::to_owned) };
        match self.ask(Command::Ask { of: of.clone(), what }).await? {
            Reply::Entities(entities) => Ok(entities),
            other => Err(unexpected(&other)),
        }
    }

    /// What a service does for us on command (XEP-0050 §2.3): each has the node that [`Account::execute`] takes.
    ///
    /// # Errors
    /// As [`Account::info`].
    pub async fn commands_of(&self, of: &FullAddress) -> Result<Vec<Entity>, Error> {
        Ok(self.items_of(of, Some(ns::COMMANDS), None).await?.entities)
    }

    /// Has a service execute a command, which may ask for more before it is done.
    ///
    /// # Errors
    /// As [`Account::info`].
    pub async fn execute(&self, of: &FullAddress, node: &str) -> Result<AdHoc, Error> {
        AdHoc::begin(self.clone(), of, node).await
    }

    /// Asks anybody anything (RFC 6120 §8.2.3): `payload` is one well-formed element. Returns what was answered: one element, or
    /// nothing.
    ///
    /// # Errors
    /// As [`Account::info`]; [`Error::InvalidInput`] where the payload is not one element, or larger than the server takes.
    pub async fn request(
        &self,
        of: &FullAddress,
        kind: RequestKind,
        payload: &str,
    ) -> Result<Option<String>, Error> {
        let what = Ask::Anything { kind, payload: payload.to_owned() };
        match self.ask(Command::Ask { of: of.clone(), what }).await? {
            Reply::Answer(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    /// The feed of an account (XEP-0277), which may be our own. It need not be there yet.
    pub fn feed(&self, of: &Address) -> Feed {
        Feed::new(self.clone(), of)
    }

    /// Whether what contacts and our other devices publish in their feeds is kept as it comes. Returns when it is durable.
    ///
    /// # Errors
    /// As [`Account::follow`].
    pub async fn follow_feeds(&self, on: bool) -> Result<(), Error> {
        self.follow(ns::MICROBLOG, on).await
    }

    pub(crate) fn feed_entries(
        &self,
        of: &Address,
        limit: u32,
        before: Option<&str>,
    ) -> Result<Vec<FeedEntry>, Error> {
        self.inner
            .shared
            .read(|connection| feed::entries(connection, of, before, limit))?
            .ok_or(Error::NotFound)
    }

    /// The app speaks this namespace from now on, or no longer, and on this device (contacts are told, XEP-0030): in questions to
    /// us, told as [`Event::Asked`], or in messages that have no text, told as [`Event::Payload`]. Returns when it is durable. What came
    /// before is not looked at again: it is claimed before the first sign-in.
    ///
    /// Of strangers nothing is told: only who may see whether we are here is heard.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a namespace of no or more than 1024 bytes, one that is spoken here already, or the
    /// hundred-and-first; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn claim(&self, namespace: &str, what: ClaimKind, on: bool) -> Result<(), Error> {
        self.done(Command::Claim { namespace: namespace.to_owned(), what, on }).await
    }

    /// Answers what [`Event::Asked`] told: with one well-formed element, with nothing, or with an error, which is a condition of
    /// RFC 6120 §8.3.3. What is not answered within a minute is answered with `remote-server-timeout`. Returns when it is durable.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it was answered, or asked in an earlier session; [`Error::InvalidInput`] where the answer is
    /// not one element, larger than the server takes, or no condition; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn answer(&self, id: AskedId, answer: Result<Option<&str>, &str>) -> Result<(), Error> {
        let answer = answer.map(|xml| xml.map(str::to_owned)).map_err(str::to_owned);
        self.done(Command::Answer { id, answer }).await
    }

    /// Sends something that only the app understands, in a message that is shown to nobody: one well-formed element in a namespace
    /// that is claimed. As with [`Account::send`] it is durable when this returns, and the same id again is the same message; how
    /// far it comes is told by [`Event::State`].
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where the id is no UUID, or the payload is not one element, not in such a namespace, or larger
    /// than 200 KiB or than the server takes; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn send_payload(&self, id: ItemId, to: &Address, xml: &str) -> Result<ItemId, Error> {
        match self.ask(Command::SendPayload { id, to: to.clone(), xml: xml.to_owned() }).await? {
            Reply::Sent { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// What was exchanged with a contact in a namespace, in the archive's order, up to `limit` of it, 1 to 500; `after`: what
    /// stands behind this. What comes late may stand before what was read: after [`Account::sync`] it is complete.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of that id; where the file cannot be read.
    pub fn payloads(
        &self,
        with: &Address,
        namespace: &str,
        after: Option<&ItemId>,
        limit: u32,
    ) -> Result<Vec<Payload>, Error> {
        let read = |connection: &_| payloads::payloads(connection, with, namespace, after, limit);
        self.inner.shared.read(read)?
    }

    /// Sends a stanza as it is: one well-formed `message`, `presence` or `iq`. It is counted, kept and resent like any
    /// other of ours.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where it is not.
    pub async fn send_raw(&self, xml: &str) -> Result<(), Error> {
        self.done(Command::Raw { xml: xml.to_owned() }).await
    }

    /// Has our server tell this app server when something comes while this device is away (XEP-0357), and no other; `None`:
    /// nobody. Returns when it is durable: the server is told as soon as there is a connection, and again in each new session.
    /// How far it is, is told by [`Account::push`] and [`Event::Push`].
    /// A copy of the account's file, such as a backup that was put back, has no registration until it is told of one: to say it at
    /// each start is no harm.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where the node is empty; [`Error::StorageFull`], [`Error::DatabaseUnusable`].
    pub async fn set_push(&self, push: Option<Push>) -> Result<(), Error> {
        self.done(Command::SetPush { push }).await
    }

    /// How far the registration for push notifications is.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn push(&self) -> Result<PushState, Error> {
        self.inner.shared.read(push::current)
    }

    /// Returns when caught up: no gap open since the first sign-in, and nothing waiting to be sent.
    ///
    /// # Errors
    /// [`Error::TimedOut`], or [`Error::Offline`] where there was no connection at the end of the time.
    pub async fn sync(&self, timeout: Duration) -> Result<(), Error> {
        self.done(Command::Sync { timeout: timeout.as_millis() as u64 }).await
    }

    /// A conversation's newest `limit` messages, and all that come.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn timeline(&self, with: &Address, limit: u32) -> Result<Timeline, Error> {
        Timeline::open(self.clone(), Arc::clone(&self.inner.shared), with.clone(), limit)
    }

    /// Some `limit` messages around one of them, such as a hit of a search: half of the others are older. It pages both ways.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the conversation has no such message, or where the file cannot be read.
    pub fn timeline_at(&self, with: &Address, item: &ItemId, limit: u32) -> Result<Timeline, Error> {
        Timeline::open_at(self.clone(), Arc::clone(&self.inner.shared), with.clone(), item, limit)
    }

    /// Looks for messages, the newest first, up to `limit` of them, 1 to 500; `before`: behind these. What has just come is found,
    /// too.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn search(&self, search: &Search, before: Option<Cursor>, limit: u32) -> Result<Found, Error> {
        self.inner.shared.read(|connection| search::search(connection, search, before, limit))
    }

    /// All conversations: the pinned ones first, the archived ones last, among each the newest first.
    pub fn conversations(&self) -> ConversationList {
        ConversationList::new(Arc::clone(&self.inner.shared))
    }

    /// The roster, and who asks to be in it.
    pub fn contacts(&self) -> ContactList {
        ContactList::new(Arc::clone(&self.inner.shared))
    }

    /// As [`crate::Client::suspend`], for this account only. Gives up waiting after `within`.
    pub async fn suspend(&self, within: Duration) {
        let _ = tokio::time::timeout(within, self.stop(Error::Suspended)).await;
    }

    /// As [`crate::Client::resume`], for this account only.
    ///
    /// # Errors
    /// Where the file cannot be opened; [`Error::InUse`] where another process has it: see [`crate::Client::open`].
    pub async fn resume(&self) -> Result<(), Error> {
        let foreground = {
            let mut life = self.life();
            (life.woken, life.resumed) = (false, true);
            if matches!(life.state, State::Suspended) {
                life.state = State::Stopped;
            }
            life.foreground
        };
        self.start_anew().await?;
        self.tell(Request::Foreground(foreground));
        let is_wanted = self.inner.wants_to_connect(&self.life());
        if is_wanted { self.connect().await } else { Ok(()) }
    }

    async fn start_anew(&self) -> Result<(), Error> {
        if self.lost_lease().await {
            // Another process or client has taken over, maybe while this one was frozen.
            let stopped = self.begin_anew(&mut self.life());
            stopped.await;
        }
        self.start().await
    }

    /// As [`crate::Client::wake_up`].
    pub(crate) async fn wake_up(&self, within: Duration) -> Result<WakeUp, Error> {
        let deadline = Instant::now() + within.min(LONGEST);
        let waking = Waking::new(self)?;
        self.start_anew().await?;
        let (woken, wish) = {
            let life = self.life();
            let wish = match life.wish {
                // What the app has said in another process.
                Wish::Unsaid if self.home().is_kept_offline() => Wish::Offline,
                said => said,
            };
            (life.woken, wish)
        };
        if woken {
            self.tell(Request::Foreground(false));
        }
        let is_refused = self.inner.shared.is_refused.load(Ordering::Relaxed);
        let complete = if is_refused || wish == Wish::Offline {
            // Its user has disconnected it, and a late push does not connect it again. Or the server has.
            false
        } else {
            self.done(Command::Connect).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            tokio::select! {
                caught_up = self.sync(left.saturating_sub((within / 10).min(TO_HANG_UP))) => caught_up.is_ok(),
                () = self.gives_up() => false,
            }
        };
        let unread = match self.ask(Command::News).await? {
            // The rest is kept until it is told: this may be broken off.
            Reply::News(News { unread, .. }) => unread,
            other => return Err(unexpected(&other)),
        };
        if let Some(stopped) = waking.end() {
            let _ = tokio::time::timeout_at(deadline.into(), stopped).await;
        }
        let News { notify, withdraw, .. } = self.inner.shared.tell();
        Ok(WakeUp { notify, withdraw, unread, complete })
    }

    /// Returns when it does not try to be online any more, for a reason that only its user can change.
    async fn gives_up(&self) {
        let mut status = self.status();
        loop {
            status = match self.status_after(&status).await {
                Ok(Status::Offline { reason: Some(_), next_attempt: None, .. }) | Err(_) => return,
                Ok(status) => status,
            };
        }
    }

    pub(crate) fn network_changed(&self, network: &Network) {
        let mut life = self.life();
        if life.network.replace(network.clone()).as_ref() != Some(network) {
            life.asked_again = None;
        }
        if let State::Running(requests) = &life.state {
            let _ = requests.send(Request::Network(network.clone()));
        }
    }

    /// The same network once more. A portal may let through by now whom it has barred.
    pub(crate) fn network_again(&self, network: &Network) {
        if !matches!(
            self.status(),
            Status::Offline { reason: Some(Error::Untrusted { .. }), next_attempt: None, .. }
        ) {
            return;
        }
        let mut life = self.life();
        if life.asked_again.is_none_or(|(at, wait)| at.elapsed() >= wait) {
            let wait = life.asked_again.map_or(BARRED.0, |(_, wait)| (2 * wait).min(BARRED.1));
            life.asked_again = Some((Instant::now(), wait));
            if let State::Running(requests) = &life.state {
                let _ = requests.send(Request::Network(network.clone()));
            }
        }
    }

    pub(crate) fn woke(&self) {
        self.life().hurry();
        self.tell(Request::Woke);
    }

    pub(crate) fn set_foreground(&self, foreground: bool) {
        let mut life = self.life();
        life.foreground = foreground;
        if foreground {
            life.hurry();
        }
        if let State::Running(requests) = &life.state {
            let _ = requests.send(Request::Foreground(foreground));
        }
    }

    pub(crate) fn low_memory(&self) {
        self.tell(Request::LowMemory);
        self.inner.shared.shrink_reader();
    }

    pub(crate) async fn close(&self) {
        self.stop(Error::Closed).await;
    }

    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> whimbrel_engine::Result<T>,
    ) -> Result<T, Error> {
        self.inner.shared.read(query)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(crate) fn home(&self) -> &Home {
        &self.inner.home
    }

    pub(crate) fn connection(&self) -> Option<Connection> {
        self.life().connection.clone()
    }

    pub(crate) fn is_same(&self, other: &Account) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn file(&self) -> FileLock {
        Arc::clone(&self.inner.file)
    }

    #[cfg(test)]
    pub(crate) fn panic(&self) {
        self.tell(Request::Panic);
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.life().state, State::Closed)
    }

    /// Asks the thread to end, from now on answering `why`: suspended, or closed for good. What is returned waits until the file
    /// is closed; it need not be waited for.
    pub(crate) fn stop(&self, why: Error) -> impl Future<Output = ()> + Send + use<> {
        let next = if why == Error::Closed { State::Closed } else { State::Suspended };
        let mut life = self.life();
        // What a push has brought and did not tell the next one tells.
        let seen = !life.woken && life.waking == 0;
        self.let_go(&mut life, next, seen)
    }

    /// `seen`: as [`Command::Suspend`] has it. `life`: what this was decided by holds until it is done.
    fn let_go(&self, life: &mut Life, next: State, seen: bool) -> impl Future<Output = ()> + Send + use<> {
        let mut started = self.inner.started.subscribe();
        let next = if matches!(life.state, State::Closed) { State::Closed } else { next };
        let why = if matches!(next, State::Closed) { Error::Closed } else { Error::Suspended };
        life.resumed = false;
        let was_running = matches!(life.state, State::Running(_));
        let stopped = self.end_thread(life, next, why, seen);
        if seen && was_running {
            drop(self.inner.shared.tell());
        }
        let (file, snapshot) = (self.file(), Arc::clone(&self.inner.shared.snapshot));
        async move {
            stopped.await;
            let closed = async {
                drop(snapshot.lock().await);
                drop(file.lock().await);
            };
            // A start that was under way ends as well, unless it was resumed meanwhile.
            tokio::select! {
                () = closed => {}
                Ok(()) = started.changed() => {}
            }
        }
    }

    /// Asks the thread to end, if it runs; the next one may begin at once, behind it.
    fn begin_anew(&self, life: &mut Life) -> impl Future<Output = ()> + Send + use<> {
        let is_running = matches!(life.state, State::Running(_));
        let stopped = is_running.then(|| self.end_thread(life, State::Stopped, Error::Offline, true));
        async move {
            if let Some(stopped) = stopped {
                stopped.await;
            }
        }
    }

    /// `why` is what calls under way are told.
    fn end_thread(
        &self,
        life: &mut Life,
        next: State,
        why: Error,
        seen: bool,
    ) -> impl Future<Output = ()> + Send + use<> {
        self.inner.shared.close_reader(if why == Error::Closed { Error::Closed } else { Error::Suspended });
        let (reply, stopped) = oneshot::channel();
        if life.again.take().is_some()
            && let Status::Offline { reason, detail, .. } = self.status()
        {
            self.inner.shared.set_status(Status::Offline { reason, detail, next_attempt: None });
        }
        if let State::Running(requests) = std::mem::replace(&mut life.state, next) {
            let _ = requests.send(Request::Stop { stopped: reply, seen, why });
        }
        async move { drop(stopped.await) }
    }

    /// Opens the file and starts the thread, unless it runs.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        let _one_at_a_time = self.inner.starting.lock().await;
        // Once more where another way of connecting was given meanwhile.
        let mut started = self.inner.started.subscribe();
        while self.may_start()? {
            // Whoever had the file open before is closing it, or a start that nobody waited for any more is opening it.
            let file = tokio::select! {
                file = Arc::clone(&self.inner.file).lock_owned() => file,
                _ = started.changed() => continue,
            };
            if self.may_start()? {
                self.start_thread(file).await?;
            }
        }
        Ok(())
    }

    /// `false`: it runs.
    fn may_start(&self) -> Result<bool, Error> {
        match &self.life().state {
            State::Running(_) => Ok(false),
            State::Suspended => Err(Error::Suspended),
            State::Closed => Err(Error::Closed),
            State::Stopped => Ok(true),
        }
    }

    /// Likewise, connecting this way from now on.
    pub(crate) async fn start_with(&self, connection: Connection) -> Result<(), Error> {
        let otherwise = {
            let mut life = self.life();
            let changed = life.connection.as_ref() != Some(&connection);
            life.connection = Some(connection);
            changed.then(|| self.begin_anew(&mut life))
        };
        if let Some(stopped) = otherwise {
            stopped.await;
        }
        self.start().await
    }

    /// What comes of it does not depend on anybody who waits for it.
    async fn start_thread(&self, file: tokio::sync::OwnedMutexGuard<()>) -> Result<(), Error> {
        let (opened, opening) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        let given = self.connection();
        let connection = given.clone();
        let spawned = thread::Builder::new().name("whimbrel".into()).spawn(move || {
            let (requests, incoming) = mpsc::unbounded_channel();
            let (driver, result) = match open(&inner, connection.clone()) {
                Ok((driver, secret, kept)) => (Some(driver), Ok((requests, secret, kept))),
                Err(error) => (None, Err(error)),
            };
            let result = inner.started(&connection, result);
            let is_running = matches!(result, Ok(true));
            let weak = Arc::downgrade(&inner);
            // From here on the thread keeps nothing of the handle: when all handles are gone, it ends.
            drop(inner);
            let stopped = match driver {
                Some(driver) if is_running => {
                    let _ = opened.send(result);
                    live(driver, &weak, incoming)
                }
                // The file is closed before anybody is told.
                driver => {
                    drop(driver);
                    let _ = opened.send(result);
                    None
                }
            };
            drop(file);
            if let Some(stopped) = stopped {
                let _ = stopped.send(());
            }
        });
        let result = match spawned {
            Ok(_) => opening.await.unwrap_or_else(|_| self.inner.started(&given, Err(died()))),
            Err(error) => self.inner.started(&given, Err(Error::Bug { report: error.to_string() })),
        };
        result.map(drop)
    }

    async fn done(&self, command: Command) -> Result<(), Error> {
        self.ask(command).await.map(|_| ())
    }

    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, Error> {
        let (reply, answer) = oneshot::channel();
        loop {
            match &self.life().state {
                State::Running(requests) => {
                    requests.send(Request::Command(command, reply)).map_err(|_| died())?;
                    break;
                }
                State::Suspended => return Err(Error::Suspended),
                State::Closed => return Err(Error::Closed),
                State::Stopped => {}
            }
            // It may be stopped once more meanwhile, to connect in another way.
            self.start().await?;
        }
        answer.await.unwrap_or_else(|_| Err(died()))
    }

    /// Whether it runs and has lost the lease, known or not.
    async fn lost_lease(&self) -> bool {
        let (reply, has_lease) = oneshot::channel();
        self.tell(Request::HasLease(reply));
        has_lease.await.is_ok_and(|has_lease| !has_lease)
    }

    fn tell(&self, request: Request) {
        if let State::Running(requests) = &self.life().state {
            let _ = requests.send(request);
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.inner.life()
    }
}

impl Inner {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it connects when it is opened again. A refused password only its user can change.
    fn wants_to_connect(&self, life: &Life) -> bool {
        life.wish == Wish::Online && !self.shared.is_refused.load(Ordering::Relaxed)
    }

    /// The file was opened to connect like this, or could not be. `true`: it runs; else the thread ends.
    fn started(
        self: &Arc<Self>,
        given: &Option<Connection>,
        result: Result<(mpsc::UnboundedSender<Request>, Secret, Connection), Error>,
    ) -> Result<bool, Error> {
        let mut life = self.life();
        match (&life.state, result) {
            (State::Stopped, _) if life.connection != *given => Ok(false),
            (State::Stopped, Ok((requests, secret, connection))) => {
                // An extension that lives on looks again: the app may have changed it.
                life.connection = (self.home.options.role == Role::App).then_some(connection);
                if let Some(network) = &life.network {
                    let _ = requests.send(Request::Network(network.clone()));
                }
                if !life.foreground {
                    let _ = requests.send(Request::Foreground(false));
                }
                if self.wants_to_connect(&life) {
                    let _ = requests.send(Request::Command(Command::Connect, oneshot::channel().0));
                }
                life.state = State::Running(requests);
                life.again = None;
                self.shared.open_reader(secret);
                self.started.send_replace(());
                Ok(true)
            }
            (State::Stopped, Err(error)) => {
                let next_attempt = self.try_again(&mut life, &error);
                self.shared.close_reader(error.clone());
                let detail = error.to_string();
                let status = Status::Offline { reason: Some(error.clone()), detail, next_attempt };
                self.shared.set_status(status);
                Err(error)
            }
            // Suspended or closed meanwhile.
            (State::Closed, _) => Err(Error::Closed),
            _ => Err(Error::Suspended),
        }
    }

    /// Tries to open the file again, if what is wrong passes by itself; when. An extension opens nothing before it is asked to.
    fn try_again(self: &Arc<Self>, life: &mut Life, why: &Error) -> Option<i64> {
        let passes = matches!(why, Error::StorageFull | Error::Locked | Error::InUse);
        if !passes || self.home.options.role != Role::App {
            life.again = None;
            return None;
        }
        if life.again.is_none() {
            let (hurry, hurried) = std::sync::mpsc::channel();
            let weak = Arc::downgrade(self);
            let trying = thread::Builder::new().name("whimbrel-again".into());
            trying.spawn(move || keep_trying(&weak, &hurried)).ok()?;
            life.again = Some(Again { due: from_now(TO_OPEN.0), hurry });
        }
        life.again.as_ref().map(|again| again.due)
    }

    /// As it was when the account was open before: which server answered is known.
    fn route(&self, connection: &Connection, network: Option<&Network>) -> Result<Route, Error> {
        let mut kept = self.route.lock().unwrap_or_else(PoisonError::into_inner);
        let mut route = match &*kept {
            Some((before, route)) if before == connection => route.clone(),
            _ => self.home.options.route(connection, None)?,
        };
        route.ask_names_of(network.map_or(&[][..], |network| &network.dns));
        *kept = Some((connection.clone(), route.clone()));
        Ok(route)
    }
}

/// A push that is being looked after, to its end or until nobody waits for it any more.
struct Waking<'a> {
    account: Option<&'a Account>,
}

impl<'a> Waking<'a> {
    fn new(account: &'a Account) -> Result<Self, Error> {
        let mut life = account.life();
        match life.state {
            State::Closed => return Err(Error::Closed),
            State::Suspended => {
                life.state = State::Stopped;
                life.woken = true;
            }
            // A process that has just begun, for this push.
            State::Running(_) | State::Stopped => {
                life.woken |= life.wish == Wish::Unsaid && !life.resumed;
            }
        }
        life.waking += 1;
        Ok(Self { account: Some(account) })
    }

    /// Suspends the account if it is to be; what is returned waits for that.
    fn end(mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.account.take().and_then(Self::leave)
    }

    fn leave(account: &Account) -> Option<impl Future<Output = ()> + Send + use<>> {
        let mut life = account.life();
        life.waking -= 1;
        let last = life.waking == 0 && std::mem::take(&mut life.woken);
        last.then(|| account.let_go(&mut life, State::Suspended, false))
    }
}

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        // It stops whether or not that is waited for.
        drop(self.account.take().and_then(Self::leave));
    }
}

/// Waits between two attempts to open a file: doubled from the first to the last.
const TO_OPEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));

fn from_now(wait: Duration) -> i64 {
    wall_clock() + wait.as_millis() as i64
}

/// Until it is open, or nobody wants it to be.
fn keep_trying(inner: &Weak<Inner>, hurried: &std::sync::mpsc::Receiver<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let mut wait = TO_OPEN.0;
    loop {
        if hurried.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        wait = (wait * 2).min(TO_OPEN.1);
        let Some(inner) = inner.upgrade() else { return };
        match &mut inner.life().again {
            Some(again) => again.due = from_now(wait),
            None => return,
        }
        // What is said from now on is another reason to try.
        while hurried.try_recv().is_ok() {}
        // Why it cannot be opened is in its status.
        let _ = runtime.block_on(Account { inner }.start());
    }
}

/// Waits between two lives of a driver that panicked: doubled from the first to the last.
const AFTER_PANIC: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));
/// Behind a life of this length the next wait is the first again.
const LONG_LIFE: Duration = Duration::from_secs(600);

/// Drives until it is told to stop. Crash-only: after a panic the account is opened again as after a kill.
fn live(mut driver: Driver, inner: &Weak<Inner>, mut requests: mpsc::UnboundedReceiver<Request>) -> Stopped {
    let mut wait = AFTER_PANIC.0;
    loop {
        let shared = Arc::clone(&driver.shared);
        let began = Instant::now();
        let report = match driver.run_to_end(&mut requests) {
            Ok(stopped) => return stopped,
            Err(report) => report,
        };
        if began.elapsed() >= LONG_LIFE {
            wait = AFTER_PANIC.0;
        }
        tracing::error!(%report, "an account's thread begins anew");
        let mut why = Error::Bug { report };
        driver = loop {
            let detail = why.to_string();
            shared.set_status(Status::Offline { reason: Some(why.clone()), detail, next_attempt: None });
            if let Some(stopped) = pause(&mut requests, wait, &why) {
                return stopped;
            }
            wait = (wait * 2).min(AFTER_PANIC.1);
            let inner = inner.upgrade()?;
            let connection = inner.life().connection.clone();
            match open(&inner, connection) {
                Ok((driver, ..)) => {
                    let life = inner.life();
                    if let State::Running(requests) = &life.state {
                        if let Some(network) = &life.network {
                            let _ = requests.send(Request::Network(network.clone()));
                        }
                        let _ = requests.send(Request::Foreground(life.foreground));
                        if inner.wants_to_connect(&life) {
                            let _ = requests.send(Request::Command(Command::Connect, oneshot::channel().0));
                        }
                    }
                    break driver;
                }
                Err(error) => why = error,
            }
        };
    }
}

/// Answers everybody with `why` for a while. `Some`: told to stop meanwhile.
fn pause(requests: &mut mpsc::UnboundedReceiver<Request>, wait: Duration, why: &Error) -> Option<Stopped> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let Ok(runtime) = runtime else {
        thread::sleep(wait);
        return None;
    };
    let answering = async {
        loop {
            match requests.recv().await {
                Some(Request::Command(_, reply)) => drop(reply.send(Err(why.clone()))),
                Some(Request::Stop { stopped, .. }) => return Some(stopped),
                Some(_) => {}
                None => return None,
            }
        }
    };
    runtime.block_on(async { tokio::time::timeout(wait, answering).await.ok() })
}

/// On the account's own thread: opening may wait for the vault, the disk and the cipher.
fn open(inner: &Inner, connection: Option<Connection>) -> Result<(Driver, Secret, Connection), Error> {
    let home = &inner.home;
    let path = home.dir.join("account.db");
    let secret = client::secret(&*home.vault, &home.entry(), &path)?;
    set_stray_journal_aside(&path).map_err(client::unusable)?;
    let mut file = store::open(&path, &secret).map_err(|error| error.to_api())?;
    let claim = match home.options.role {
        Role::App => Claim::App,
        Role::Extension => bell::ask(&home.dir, &mut file)?,
    };
    // Before the lease is taken, or else an extension would find it taken and nobody there.
    let bell = Bell::hang(&home.dir);
    let kept = match store::account(&file).map_err(|error| error.to_api())? {
        // The file of another account, put in this one's place: whatever is in it is not to be shown or sent here.
        Some(jid) if jid != home.jid => {
            return Err(Error::DatabaseUnusable { why: crate::Unusable::Corrupt });
        }
        Some(_) => {
            let kept = store::connection(&file).map_err(|error| error.to_api())?;
            let damaged = |_| Error::DatabaseUnusable { why: crate::Unusable::Corrupt };
            Some(serde_json::from_str(&kept).map_err(damaged)?)
        }
        None => None,
    };
    let connection = connection.or_else(|| kept.clone()).unwrap_or_default();
    let network = inner.life().network.clone();
    let route = inner.route(&connection, network.as_ref())?;
    let text =
        serde_json::to_string(&connection).map_err(|error| Error::Bug { report: error.to_string() })?;
    let settings = store::Settings {
        resource: connection.resource.as_deref(),
        allow_plain: connection.allow_plain,
        connection: &text,
    };
    let config = Config {
        software: home.options.software.clone(),
        raw: home.options.raw,
        page: home.options.page,
        ..Config::default()
    };
    let mut known = installation::load(&*home.vault, &home.installation())?;
    let engine = Engine::take(file, config, claim, |tx| {
        let fresh = Uuid::new_v4();
        if store::account(tx)?.is_none() {
            store::create_account(tx, &home.jid, fresh, wall_clock())?;
            known = Some(Installation { id: fresh, openings: 0 });
        }
        if kept.as_ref() != Some(&connection) {
            store::configure(tx, &settings)?;
        }
        known = Some(store::count_opening(tx, known, fresh)?);
        Ok(())
    });
    let engine = engine.map_err(|error| error.to_api())?;
    // The file is ahead for a moment, which is no harm: only one that is behind is a copy.
    installation::store(&*home.vault, &home.installation(), known)?;
    let openings = known.map_or(0, |known| known.openings);
    if openings != inner.openings.swap(openings, Ordering::Relaxed) + 1 {
        // Another process had it meanwhile, and may know a password that is not refused.
        inner.shared.is_refused.store(false, Ordering::Relaxed);
    }
    let bell = bell.inspect_err(|error| tracing::info!(%error, "no pipe to be asked through")).ok();
    let domain = home.jid.domain().to_string();
    inner.shared.opened();
    let driver = Driver { engine, bell, route, domain, shared: Arc::clone(&inner.shared) };
    Ok((driver, secret, connection))
}

/// SQLite would replay the journal of a file that was set aside into a new one of the same name.
fn set_stray_journal_aside(path: &Path) -> std::io::Result<()> {
    if path.exists() { Ok(()) } else { client::set_aside(path, &["-wal", "-shm"]) }
}

pub(crate) fn unexpected(reply: &Reply) -> Error {
    Error::Bug { report: format!("an unexpected reply: {reply:?}") }
}

fn died() -> Error {
    Error::Bug { report: "the account's thread is gone".into() }
}

/// What happens to an account, in order. A listener that falls too far behind misses some, and is told how many.
#[derive(Debug)]
pub struct Events {
    pub(crate) receiver: mpsc::Receiver<Event>,
    pub(crate) missed: Arc<std::sync::atomic::AtomicU64>,
}

impl Events {
    /// The next one, or nothing when the account is gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// How many were dropped because this listener was too slow, since the last call.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, std::sync::atomic::Ordering::Relaxed)
    }
}
