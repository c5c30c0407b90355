//! A device: its disk, its process with the real engine, its clocks, its user, and what the user has seen.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use fault_vfs::Disk;
use jid::BareJid;
use rand::{SeedableRng, rngs::StdRng};
use rusqlite::Connection;
use whimbrel_engine::{
    Config, Engine, LinkId, Now,
    api::{Audience, Item, ItemId, RequestId, SendState, Setting},
};

use crate::{
    files::Files,
    judge::Lists,
    script::When,
    server::{Conn, Said, address},
};

/// A device of an account.
#[derive(Debug)]
pub(crate) struct Device {
    /// Whose.
    pub account: usize,
    /// How it is called in texts: `romeo0`.
    pub name: String,
    /// Its file.
    pub files: Files,
    /// The process. `None`: it does not run.
    pub engine: Option<Engine>,
    reader: RefCell<Option<Rc<Connection>>>,
    pub(crate) rng: StdRng,
    /// When the process was started, and how long it slept since.
    pub(crate) started: u64,
    pub(crate) slept: u64,
    pub(crate) asleep_until: u64,
    pub(crate) wall_offset: i64,
    pub(crate) no_network_until: u64,
    pub(crate) line: Option<(LinkId, Option<Conn>)>,
    /// A death that waits for its instant: when, by power loss or not, and for how long.
    pub(crate) doomed: Option<(When, bool, u64)>,
    pub(crate) wake_token: u64,
    /// Stopped, not dead: it comes back by itself.
    pub(crate) suspended: bool,
    pub(crate) online: bool,
    pub(crate) online_before: bool,
    pub(crate) user: User,
    /// What the server was told is on the disk.
    pub(crate) acknowledged: BTreeSet<(usize, String)>,
    /// Times of attempts to connect that came to nothing since somebody or something helped.
    pub(crate) attempts: VecDeque<u64>,
}

/// Who holds it.
#[derive(Debug, Default)]
pub(crate) struct User {
    next_request: u64,
    next_text: u64,
    next_change: u64,
    /// Written, and not known to be durable: given to the core again, in this order.
    pub(crate) unsent: VecDeque<Draft>,
    pub(crate) asked: BTreeMap<RequestId, Asked>,
    /// Something was refused, and is tried again in a while.
    pub(crate) will_retry: bool,
    /// The core could not take the password, and is to be told once more.
    pub(crate) is_signed_out: bool,
    /// Durable, as the core said.
    pub(crate) sent: Vec<Draft>,
    /// The same of what apps say to each other.
    pub(crate) played: Vec<Draft>,
    /// Texts that the user took back, and those of them that had not left then, as the core has said.
    pub(crate) taken_back: BTreeSet<String>,
    pub(crate) cancelled: BTreeSet<String>,
    /// Texts that the user deleted here, and those that it may have: nobody said that it was done.
    pub(crate) deleted: BTreeSet<String>,
    pub(crate) perhaps_deleted: BTreeSet<String>,
    /// Texts that its archive has lost since it was first read here.
    pub(crate) holes: BTreeSet<String>,
    /// Conversations of which something was deleted here that was said about a message which was not here.
    pub(crate) orphaned: BTreeSet<usize>,
    /// What the user decided about conversations.
    pub(crate) decided: Vec<Decided>,
    /// What the user has begun and not sent.
    pub(crate) drafts: Vec<Wish<(usize, Option<String>)>>,
    /// Whom the user wanted to hear no more of, or again; how to call whom, or who is to be no contact; what was put on the card, and who may see it; and what was
    /// published under which id, or taken back.
    pub(crate) blocks: Vec<Wish<(usize, bool)>>,
    pub(crate) names: Vec<Wish<(usize, Option<String>)>>,
    pub(crate) cards: Vec<Wish<(String, Audience)>>,
    pub(crate) posts: Vec<Wish<(ItemId, Option<String>)>>,
    /// How the user wanted to be there.
    pub(crate) presences: Vec<Wish<Said>>,
    /// Which picture the user wanted to show, by its first line, and what to be called; empty: none.
    pub(crate) pictures: Vec<Wish<String>>,
    pub(crate) nicknames: Vec<Wish<String>>,
    /// What the app has published under which id, or taken back.
    pub(crate) scenes: Vec<Wish<(ItemId, Option<String>)>>,
    /// Whether it wanted to hear of the nodes of its kind; and since when it is as it was wanted last.
    pub(crate) follows: Vec<Wish<bool>>,
    pub(crate) followed_since: u64,
    /// What it was told of them last, by account and id; `None`: that it was taken back.
    pub(crate) heard: BTreeMap<(usize, String), Option<String>>,
    /// Of what a process has died over what it was to be told.
    pub(crate) unheard: BTreeSet<(usize, String)>,
    /// The lists, and what was shown, by conversation.
    pub(crate) lists: Lists,
    pub(crate) screens: BTreeMap<usize, Screen>,
}

/// A text of the user.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    pub(crate) id: ItemId,
    pub(crate) to: usize,
    pub(crate) text: String,
    /// What it answers: which message, and its text.
    pub(crate) answers: Option<(ItemId, String)>,
    /// Not to leave later than this.
    pub(crate) not_after: Option<i64>,
    /// It is another text for what has failed, and has failed as well.
    pub(crate) replaces: bool,
}

/// What the user decided about a conversation, and whether the core has said that it is done.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) with: usize,
    pub(crate) setting: Setting,
    pub(crate) done: bool,
}

/// What the user wanted, and whether the core has said that it is done.
#[derive(Clone, Debug)]
pub(crate) struct Wish<What> {
    pub(crate) what: What,
    pub(crate) done: bool,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Send(Draft),
    SignIn,
    Sync,
    /// What was published, by its number: in a feed, or in an app's node.
    Post(usize),
    Scene(usize),
    Other,
}

/// A conversation on the screen: folded from updates, and what of it was ever seen.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) lines: Vec<(i64, Item)>,
    /// From which position on it is to be read again.
    pub(crate) stale: Option<i64>,
    pub(crate) seen: BTreeMap<ItemId, (String, u8)>,
    /// What each message was when it was written.
    pub(crate) texts: BTreeMap<ItemId, String>,
    /// What its user took back.
    pub(crate) retracted: BTreeSet<ItemId>,
    /// What its user sent again after it had failed.
    pub(crate) tried_anew: BTreeSet<ItemId>,
    /// Whether it was read to the end, and what stood there then.
    pub(crate) read: BTreeSet<ItemId>,
    /// The texts that stood there whenever it was read, also where nobody said that it was done.
    pub(crate) perhaps_read: BTreeSet<String>,
}

impl Default for Screen {
    fn default() -> Self {
        // A list that is opened begins with what is there.
        Self {
            lines: Vec::new(),
            stale: Some(i64::MIN),
            seen: BTreeMap::new(),
            texts: BTreeMap::new(),
            retracted: BTreeSet::new(),
            tried_anew: BTreeSet::new(),
            read: BTreeSet::new(),
            perhaps_read: BTreeSet::new(),
        }
    }
}

impl Device {
    pub(crate) fn new(account: usize, index: usize, files: Files, seed: u64) -> Self {
        let name = address(account).split('@').next().unwrap_or_default().to_owned();
        Self {
            account,
            name: format!("{name}{index}"),
            files,
            engine: None,
            reader: RefCell::default(),
            rng: StdRng::seed_from_u64(seed),
            started: 0,
            slept: 0,
            asleep_until: 0,
            wall_offset: 0,
            no_network_until: 0,
            line: None,
            doomed: None,
            wake_token: 0,
            suspended: false,
            online: false,
            online_before: false,
            user: User::default(),
            acknowledged: BTreeSet::new(),
            attempts: VecDeque::new(),
        }
    }

    /// Its disk.
    pub(crate) fn disk(&self) -> &Disk {
        self.files.disk()
    }

    /// A connection that only reads, as a list on the screen has one.
    pub(crate) fn reader(&self) -> rusqlite::Result<Rc<Connection>> {
        if let Some(reader) = &*self.reader.borrow() {
            return Ok(Rc::clone(reader));
        }
        let reader = Rc::new(self.files.reader()?);
        *self.reader.borrow_mut() = Some(Rc::clone(&reader));
        Ok(reader)
    }

    /// The process has ended, and what it had open is closed.
    pub(crate) fn closes_readers(&self) {
        *self.reader.borrow_mut() = None;
    }

    /// Its clocks, at this true time.
    pub(crate) fn now(&self, time: u64) -> Now {
        Now {
            mono: (time - self.started).saturating_sub(self.slept),
            wall: crate::START + time as i64 + self.wall_offset,
        }
    }

    /// The true time at which its monotonic clock shows this.
    pub(crate) fn true_time(&self, mono: u64) -> u64 {
        self.started + self.slept + mono
    }

    pub(crate) fn config() -> Config {
        // Whatever expires in a world does so within the hour.
        Config { page: 50, kept_for: 0, ..Config::default() }
    }
}

impl User {
    pub(crate) fn request(&mut self, asked: Asked) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.asked.insert(id, asked);
        id
    }

    /// Whether it is not to be looked for here any more.
    pub(crate) fn may_have_deleted(&self, text: &str) -> bool {
        self.deleted.contains(text) || self.perhaps_deleted.contains(text)
    }

    /// Whether this is shown as failed.
    pub(crate) fn has_failed(&self, with: usize, id: &ItemId) -> bool {
        let lines = self.screens.get(&with).into_iter().flat_map(|screen| &screen.lines);
        lines.into_iter().any(|(_, item)| {
            matches!(item, Item::Message(message)
                if message.id == *id && matches!(message.state, Some(SendState::Failed { .. })))
        })
    }

    /// A new text, with a number in it and an end.
    pub(crate) fn writes(&mut self, device: &str, to: usize, end: &str, rng: &mut StdRng) -> Draft {
        let id = Self::names(rng);
        self.next_text += 1;
        let text = format!("{device}.{}{end}", self.next_text);
        Draft { id, to, text, answers: None, not_after: None, replaces: false }
    }

    /// The number of something that is done to a message.
    pub(crate) fn changes(&mut self) -> u64 {
        self.next_change += 1;
        self.next_change
    }

    /// An id for something that is said.
    pub(crate) fn names(rng: &mut StdRng) -> ItemId {
        use rand::RngCore;
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        ItemId(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
    }

    /// The process has died: nobody will answer, and what was not answered is asked again.
    pub(crate) fn unanswered(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        let mut again: VecDeque<Draft> = asked
            .into_values()
            .filter_map(|asked| match asked {
                Asked::Send(draft) => Some(draft),
                _ => None,
            })
            .collect();
        again.append(&mut self.unsent);
        self.unsent = again;
    }
}

/// The address of an account.
pub(crate) fn jid(account: usize) -> BareJid {
    address(account).parse().expect("an address")
}
