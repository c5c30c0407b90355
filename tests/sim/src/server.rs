//! The model server: what RFC 6120, 6121 and the XEPs make of Prosody and ejabberd, small enough to be believed.
//!
//! Sessions with stream management that hibernate and expire, bounded queues, carbons, archives with pages, an offline
//! store, rosters, several devices an account. It works element by element and at once: what a step of it writes is in
//! [`Server::out`], and the world carries it. Where it lies ([`Lies`]), a script has told it to.

mod archive;
mod blocking;
mod interests;
mod login;
mod nodes;
mod questions;
mod roster;
mod session;

use std::collections::{BTreeMap, BTreeSet};

use minidom::{Element, rxml::Namespace};
use rand::{SeedableRng, rngs::StdRng};
use whimbrel_proto::ns;

pub(crate) use archive::Entry;
pub(crate) use interests::STAGE;
use roster::Contact;
pub(crate) use roster::{SHOWS, Said};
pub(crate) use session::HATED;
pub(crate) use session::{Session, SessionId};

use crate::script::Manners;

/// The server's name.
pub(crate) const DOMAIN: &str = "verona.lit";
const NAMES: [&str; 3] = ["romeo", "juliet", "nurse"];

/// A connection, as the server knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Conn(pub u64);

/// From a client.
#[derive(Clone, Debug)]
pub(crate) enum Up {
    /// A stream header.
    Header,
    /// An element of the stream.
    Element(Element),
    /// The footer.
    Footer,
}

/// To a client.
#[derive(Clone, Debug)]
pub(crate) enum Down {
    /// A stream header.
    Header,
    /// An element of the stream.
    Element(Element),
    /// The server closes the connection behind this.
    Closed,
}

/// An account and all that is kept for it.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Its archive, oldest first.
    pub archive: Vec<Entry>,
    /// Texts that it has forgotten: a second copy of one says nothing about order.
    pub forgotten: BTreeSet<String>,
    /// Those of them that not everybody may have.
    pub expired: BTreeSet<String>,
    /// What it does not keep any more, oldest first.
    pub gone: Vec<Entry>,
    /// What came while nobody was there.
    pub offline: Vec<(u64, Element)>,
    /// What stands in its nodes, the last that was published last.
    nodes: Vec<nodes::Item>,
    /// What was ever published in its app's node, by id.
    scenes: BTreeSet<(String, String)>,
    /// Items of it that something came about when its device had a newer session.
    pub overtaken: BTreeSet<String>,
    /// The hashes of the pictures that it was ever asked to keep.
    offered: BTreeSet<String>,
    /// Who may read the card in its node.
    pub card_access: Option<String>,
    /// Its card, where old software looks for it (XEP-0054).
    pub card_before: Option<Element>,
    /// Its contacts; of which version that is; and who asks to see its presence.
    pub contacts: BTreeMap<usize, Contact>,
    roster_version: u32,
    asking: BTreeSet<usize>,
    /// Whom it does not want to hear of.
    pub blocked: BTreeSet<usize>,
    /// Questions are not answered until then.
    pub mute_until: u64,
    /// Answers are lost until then.
    pub silent_until: u64,
    /// Pages are refused until then.
    pub refuses_until: u64,
    /// Pages are short until then.
    pub short_until: u64,
}

/// What a script has told it to do with the next resumption of a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lies {
    /// Has handled so much less.
    pub stale: Option<u32>,
    /// Has handled so much more than anybody sent.
    pub wild: Option<u32>,
    /// The `h` of another session.
    pub foreign: Option<u32>,
    /// Replays everything twice.
    pub twice: bool,
    /// Replays in another order.
    pub reorder: bool,
}

/// What was acknowledged: the proof that it must be in the client's file.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    /// By which device.
    pub device: usize,
    /// The text of the message.
    pub text: String,
    /// The account it is a conversation with.
    pub with: usize,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    /// How it behaves.
    pub manners: Manners,
    /// Its accounts, as the script counts them.
    pub accounts: Vec<Account>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    conns: BTreeMap<Conn, Connected>,
    /// What it writes.
    pub out: Vec<(Conn, Down)>,
    /// What was acknowledged since the world looked last.
    pub acknowledged: Vec<Acknowledged>,
    /// Queries whose results need not be kept: about one contact only, they are looked at; behind the end of their page, they
    /// were mixed up, and the page is asked again.
    pub(crate) not_kept: BTreeSet<String>,
    /// By device.
    pub lies: BTreeMap<usize, Lies>,
    /// Since which session a device knows that there is an archive.
    pub(crate) knows_archive: BTreeMap<usize, SessionId>,
    /// What was sent once more although its sender could have known that the archive has it: by which device.
    pub sent_again: Option<(usize, String)>,
    /// A picture that was named before it was offered: by which device.
    pub named_too_early: Option<(usize, String)>,
    /// Which nodes a device wants to hear of that says so, by the `ver` of its presence.
    interests: BTreeMap<String, BTreeSet<String>>,
    /// Texts that it has sent back, at least once.
    pub bounced: BTreeSet<String>,
    /// Names of messages about which it has sent something back: to which account.
    pub contested: BTreeSet<(usize, String)>,
    /// How often it lost something, or mixed it up, that only a look into the archive can show.
    pub dropped: u32,
    pub(crate) now: u64,
    rng: StdRng,
    next: u64,
}

/// A connection and how far its login is.
#[derive(Debug)]
struct Connected {
    device: usize,
    account: usize,
    authenticated: bool,
    session: Option<SessionId>,
}

/// The address of an account.
pub(crate) fn address(account: usize) -> String {
    format!("{}@{DOMAIN}", NAMES[account])
}

/// Which account an address means.
pub(crate) fn account_of(address: &str) -> Option<usize> {
    let bare = address.split('/').next().unwrap_or(address);
    let name = bare.strip_suffix(DOMAIN)?.strip_suffix('@')?;
    NAMES.iter().position(|known| *known == name)
}

impl Server {
    /// A server with so many accounts, all of them each other's contacts.
    pub(crate) fn new(manners: Manners, accounts: usize, seed: u64) -> Self {
        Self {
            accounts: (0..accounts).map(|own| Account::new(own, accounts, manners.strangers)).collect(),
            manners,
            sessions: BTreeMap::new(),
            conns: BTreeMap::new(),
            out: Vec::new(),
            acknowledged: Vec::new(),
            not_kept: BTreeSet::new(),
            knows_archive: BTreeMap::new(),
            sent_again: None,
            named_too_early: None,
            interests: BTreeMap::new(),
            lies: BTreeMap::new(),
            bounced: BTreeSet::new(),
            contested: BTreeSet::new(),
            dropped: 0,
            now: 0,
            rng: StdRng::seed_from_u64(seed),
            next: 0,
        }
    }

    /// A device has connected.
    pub(crate) fn connected(&mut self, now: u64, conn: Conn, device: usize, account: usize) {
        self.now = now;
        self.conns.insert(conn, Connected { device, account, authenticated: false, session: None });
    }

    /// Something has arrived.
    pub(crate) fn receives(&mut self, now: u64, conn: Conn, up: &Up) {
        self.now = now;
        self.expire();
        let Some(connected) = self.conns.get(&conn) else { return };
        match up {
            Up::Header => self.header(conn),
            Up::Footer => {
                if let Some(session) = connected.session {
                    self.end_session(session);
                }
                self.hang_up(conn);
            }
            Up::Element(element) => match connected.session {
                Some(session) => self.element(session, element),
                None => self.login(conn, element),
            },
        }
    }

    /// The connection is gone, and the server has noticed.
    pub(crate) fn disconnected(&mut self, now: u64, conn: Conn) {
        self.now = now;
        let Some(Connected { session: Some(session), .. }) = self.conns.remove(&conn) else { return };
        self.detach(session, conn);
    }

    /// Restarts: every connection is gone, and the sessions, unless they are kept.
    pub(crate) fn restart(&mut self, now: u64, keeps: bool) {
        self.now = now;
        for (conn, connected) in std::mem::take(&mut self.conns) {
            self.out.push((conn, Down::Closed));
            if let Some(session) = connected.session {
                if keeps {
                    self.detach(session, conn);
                } else {
                    self.end_session(session);
                }
            }
        }
        if !keeps {
            let all: Vec<SessionId> = self.sessions.keys().copied().collect();
            for session in all {
                self.end_session(session);
            }
        }
    }

    /// Forgets the sessions of a device.
    pub(crate) fn forget(&mut self, now: u64, device: usize) {
        self.now = now;
        let of_device: Vec<SessionId> =
            self.sessions.iter().filter(|(_, session)| session.device == device).map(|(id, _)| *id).collect();
        for id in of_device {
            let conn = self.sessions.get(&id).and_then(|session| session.conn);
            self.end_session(id);
            if let Some(conn) = conn {
                self.hang_up(conn);
            }
        }
    }

    fn write(&mut self, conn: Conn, element: Element) {
        self.out.push((conn, Down::Element(element)));
    }

    fn hang_up(&mut self, conn: Conn) {
        if self.conns.remove(&conn).is_some() {
            self.out.push((conn, Down::Closed));
        }
    }

    fn fresh(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{what}-{}", self.next)
    }

    fn clock(&self) -> i64 {
        crate::START + self.now as i64 + self.manners.clock
    }
}

/// An element of a client's stream.
pub(crate) fn element(xml: &str) -> Element {
    let mut wrapped: Element =
        format!("<x xmlns='{}'>{xml}</x>", ns::JABBER_CLIENT).parse().expect("our own XML is well-formed");
    wrapped.unshift_child().expect("there is one")
}

/// The same where there are many: built, not parsed.
fn tag<const N: usize>(name: &str, ns: &str, attributes: &[(&str, &str)], children: [Element; N]) -> Element {
    let mut element = Element::builder(name, ns).append_all(children).build();
    for (name, value) in attributes {
        set(&mut element, name, value);
    }
    element
}

/// Sets an attribute that has no namespace.
fn set(element: &mut Element, name: &str, value: &str) {
    element.set_attr(Namespace::NONE, name.try_into().expect("a name"), value);
}

/// What a text was before its user edited it: behind this is which edit it is.
pub(crate) const EDITED: char = '~';

/// The text that a message is known by, if it is one that stands by itself.
pub(crate) fn text(message: &Element) -> Option<String> {
    if amends(message) { None } else { body(message).map(|text| first(&text).to_owned()) }
}

/// A text as it was first written.
pub(crate) fn first(text: &str) -> &str {
    let text = unquoted(text);
    text.split_once(EDITED).map_or(text, |(first, _)| first)
}

/// Without what it repeats of another one (XEP-0461). Nobody here writes two lines.
fn unquoted(text: &str) -> &str {
    text.rsplit_once('\n').map_or(text, |(_, text)| text)
}

/// Whether it changes another message (XEP-0308, XEP-0424, XEP-0444).
pub(crate) fn amends(message: &Element) -> bool {
    [("replace", ns::CORRECT), ("retract", ns::RETRACT), ("reactions", ns::REACTIONS)]
        .into_iter()
        .any(|(name, ns)| message.has_child(name, ns))
}

/// The namespace that apps speak.
pub(crate) const PLAY: &str = "urn:whimbrel:sim:play";

/// What one app says to the other, if the message is that.
pub(crate) fn play(message: &Element) -> Option<String> {
    message.get_child("play", PLAY)?.attr("text").map(str::to_owned)
}

/// The same of what was said, by itself.
pub(crate) fn played(xml: &str) -> Option<String> {
    let element: Element = xml.parse().ok()?;
    element.attr("text").map(str::to_owned)
}

/// Its text, if it is a message with one.
pub(crate) fn body(message: &Element) -> Option<String> {
    message.get_child("body", ns::JABBER_CLIENT).map(|body| unquoted(&body.text()).to_owned())
}
