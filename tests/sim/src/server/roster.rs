//! Contacts of an account with their versions (RFC 6121 §2), and who sees whose presence (§3): all who live here are each other's
//! contacts, or nobody is until a user says so.

use minidom::Element;
use whimbrel_engine::api::Show;
use whimbrel_proto::ns;

use super::{Account, Server, Session, SessionId, account_of, address, element};

/// How much somebody is there, by its place in [`SHOWS`], and what they say of it.
pub(crate) type Said = (usize, Option<String>);

/// As it is said (RFC 6121 §4.7.2.1), those first who are the first to be talked to.
pub(crate) const SHOWS: [(Show, &str); 5] = [
    (Show::Chat, "chat"),
    (Show::Available, ""),
    (Show::Away, "away"),
    (Show::ExtendedAway, "xa"),
    (Show::DoNotDisturb, "dnd"),
];

/// A contact, as its account has it (RFC 6121 §2.1.2).
#[derive(Clone, Debug, Default)]
pub(crate) struct Contact {
    pub name: String,
    /// We see their presence, or have asked to; they see ours.
    pub to: bool,
    pub asked: bool,
    pub from: bool,
}

impl Contact {
    pub(crate) fn subscription(&self) -> &'static str {
        match (self.to, self.from) {
            (true, true) => "both",
            (true, false) => "to",
            (false, true) => "from",
            (false, false) => "none",
        }
    }
}

impl Account {
    /// One of so many.
    pub(super) fn new(own: usize, accounts: usize, strangers: bool) -> Self {
        let others = (0..accounts).filter(|other| *other != own && !strangers);
        let friend = Contact { to: true, from: true, ..Contact::default() };
        Self { contacts: others.map(|other| (other, friend.clone())).collect(), ..Self::default() }
    }

    fn sees(&self, other: usize) -> bool {
        self.contacts.get(&other).is_some_and(|contact| contact.to)
    }

    /// Whether it lets another one see whether it is there.
    pub(super) fn shows_to(&self, other: usize) -> bool {
        self.contacts.get(&other).is_some_and(|contact| contact.from)
    }
}

impl Server {
    /// Whether an account is shown what another one does.
    pub(super) fn may_see(&self, account: usize, by: usize) -> bool {
        self.accounts[account].shows_to(by) && !self.blocks(account, by) && !self.blocks(by, account)
    }

    /// How a device is there, as its session has said.
    pub(crate) fn said_by(&self, device: usize) -> Option<Said> {
        let mut sessions = self.sessions.values().filter(|session| session.device == device);
        sessions.find(|session| session.is_connected())?.presence.as_ref().map(said)
    }

    /// How an account is there for another one: as that of its devices says which is the first to be talked to.
    pub(crate) fn seen(&self, account: usize, by: usize) -> Option<Said> {
        let sessions = self.sessions.values().filter(|session| session.account == account);
        let said = sessions.filter_map(|session| {
            let (show, text) = said(session.presence.as_ref()?);
            Some((show, &session.jid, text))
        });
        said.min().filter(|_| self.may_see(account, by)).map(|(show, _, text)| (show, text))
    }

    /// Likewise, and whatever it asked was answered, so that it may know everything.
    pub(crate) fn has_told_and_answered_all(&self, device: usize) -> bool {
        let mut sessions = self.sessions.values().filter(|session| session.device == device);
        let session = sessions.find(|session| session.is_connected());
        session.is_some_and(|session| session.was_told_all() && !session.unsure)
    }

    /// Whether a device was told everything in its session, and in its order.
    pub(crate) fn has_told_all(&self, device: usize) -> bool {
        let mut sessions = self.sessions.values().filter(|session| session.device == device);
        sessions.find(|session| session.is_connected()).is_some_and(Session::was_told_all)
    }

    /// The roster, unless that is known.
    pub(super) fn roster(&self, account: usize, known: Option<&str>) -> String {
        let Account { contacts, roster_version, .. } = &self.accounts[account];
        if known == Some(&roster_version.to_string()) {
            return String::new();
        }
        let items: String = contacts.iter().map(|(other, contact)| item(*other, contact)).collect();
        format!("<query xmlns='jabber:iq:roster' ver='{roster_version}'>{items}</query>")
    }

    /// Somebody is called otherwise, or is a contact no more (RFC 6121 §2.5.2).
    pub(super) fn change_contact(&mut self, account: usize, query: &Element) {
        let Some(item) = query.children().next() else { return };
        let Some(other) = item.attr("jid").and_then(account_of) else { return };
        if item.attr("subscription") != Some("remove") {
            let name = item.attr("name").unwrap_or_default().to_owned();
            return self.changes(account, other, |contact| contact.name = name);
        }
        self.sees_no_more(account, other);
        self.sees_no_more(other, account);
        if self.accounts[account].contacts.remove(&other).is_some() {
            self.pushes_item(account, &format!("<item jid='{}' subscription='remove'/>", address(other)));
        }
    }

    /// A presence that is a question, or an answer (RFC 6121 §3).
    pub(super) fn subscribes(&mut self, account: usize, other: usize, kind: &str) {
        if self.blocks(account, other) || self.blocks(other, account) {
            return;
        }
        match kind {
            "subscribe" if self.accounts[account].sees(other) => {}
            "subscribe" if self.accounts[other].shows_to(account) => self.sees_now(account, other),
            "subscribe" => {
                self.changes(account, other, |contact| contact.asked = true);
                if self.accounts[other].asking.insert(account) {
                    self.tells(other, account, kind);
                }
            }
            "subscribed" if self.accounts[account].asking.remove(&other) => {
                self.changes(account, other, |contact| contact.from = true);
                self.sees_now(other, account);
            }
            "unsubscribe" => self.sees_no_more(account, other),
            "unsubscribed" => self.sees_no_more(other, account),
            _ => {}
        }
    }

    /// Who asks is said to every session anew (RFC 6121 §3.1.3).
    pub(super) fn tells_who_asks(&mut self, id: SessionId, account: usize) {
        for other in self.accounts[account].asking.clone() {
            self.deliver(id, subscription(other, "subscribe"));
        }
    }

    fn sees_now(&mut self, account: usize, other: usize) {
        self.changes(account, other, |contact| (contact.to, contact.asked) = (true, false));
        self.tells(account, other, "subscribed");
        self.shows(other, account, true);
    }

    fn sees_no_more(&mut self, account: usize, other: usize) {
        self.accounts[other].asking.remove(&account);
        if self.accounts[account].contacts.get(&other).is_some_and(|contact| contact.to || contact.asked) {
            self.changes(account, other, |contact| (contact.to, contact.asked) = (false, false));
            self.shows(other, account, false);
            self.hears_no_more(account, other);
            self.hears_no_more(other, account);
        }
        if self.accounts[other].shows_to(account) {
            self.changes(other, account, |contact| contact.from = false);
        }
    }

    fn tells(&mut self, account: usize, of: usize, kind: &str) {
        let sessions = self.sessions.iter();
        let there = sessions.filter(|(_, session)| session.account == account && session.is_available());
        let there: Vec<SessionId> = there.map(|(id, _)| *id).collect();
        for id in there {
            self.deliver(id, subscription(of, kind));
        }
    }

    fn changes(&mut self, account: usize, other: usize, change: impl FnOnce(&mut Contact)) {
        let contact = self.accounts[account].contacts.entry(other).or_default();
        change(contact);
        let item = item(other, contact);
        self.pushes_item(account, &item);
    }

    fn pushes_item(&mut self, account: usize, item: &str) {
        let version = &mut self.accounts[account].roster_version;
        *version += 1;
        let push = element(&format!("<query xmlns='jabber:iq:roster' ver='{version}'>{item}</query>"));
        self.pushes_to(account, &push, |session| session.hears_of_contacts);
    }
}

fn item(other: usize, contact: &Contact) -> String {
    let (jid, name, subscription) = (address(other), &contact.name, contact.subscription());
    let ask = if contact.asked { " ask='subscribe'" } else { "" };
    format!("<item jid='{jid}' name='{name}' subscription='{subscription}'{ask}/>")
}

fn said(presence: &Element) -> Said {
    let part = |name| presence.get_child(name, ns::JABBER_CLIENT).map(Element::text);
    let show = part("show").unwrap_or_default();
    (SHOWS.iter().position(|(_, said)| *said == show).unwrap_or(1), part("status"))
}

fn subscription(from: usize, kind: &str) -> Element {
    element(&format!("<presence from='{}' type='{kind}'/>", address(from)))
}
