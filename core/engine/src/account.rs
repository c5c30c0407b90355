//! What an account remembers between two steps, and where each input goes.
//!
//! Memory is a cache of the database: [`Account::load`] after a kill gives the same account. What is only here (timers,
//! who waits for a reply, the state of the current connection) is allowed to be forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jid::{BareJid, FullJid};
use minidom::Element;
use rand::RngCore;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;
use whimbrel_proto::{
    back_off::BackOff,
    deadlines::Deadlines,
    features::Features,
    negotiation::{FastToken, Negotiation, Pins},
    sm::{self, Acks, StreamManagement},
};

use crate::{
    api::{self, Command, Event, Network, Reply, RequestId, Status},
    catch_up::{HIGHEST, Query},
    conversation, deletions,
    effect::{Effect, Touched},
    error::{Error, Result},
    import::Cursor,
    input::{Input, LinkId, Now},
    iq::Again,
    keep_alive::{self, KeepAlive},
    mutants::{self, Mutant},
    pulse::Pulse,
    search::Indexing,
    session::Way,
};

/// What the app decides about an account, beside what the database holds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the software, told to the server and to contacts.
    pub software: String,
    /// Tell every stanza as an event.
    pub raw: bool,
    /// Messages to ask the archive for at once, 1 to 500; the server may give fewer.
    pub page: u32,
    /// How long every archive keeps what it has, at least, in ms: what is younger is never taken for expired.
    pub kept_for: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { software: "Whimbrel".into(), raw: false, page: 250, kept_for: 86_400_000 }
    }
}

/// An account, as it stands after the last commit.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) config: Config,
    pub(crate) jid: BareJid,
    pub(crate) resource: Option<String>,
    pub(crate) password: Option<String>,
    /// What the server was asked to take in its place, and may have.
    pub(crate) new_password: Option<String>,
    /// The next login is to try what that would replace.
    pub(crate) try_old_password: bool,
    pub(crate) allow_plain: bool,
    pub(crate) user_agent: Uuid,
    pub(crate) login: LoginMemory,
    pub(crate) session: Session,
    pub(crate) link: Link,
    pub(crate) queries: BTreeMap<String, Query>,
    /// Whether somebody wants to be online.
    pub(crate) wanted: bool,
    /// It was, until the way there proved not to be trusted.
    pub(crate) barred: bool,
    pub(crate) foreground: bool,
    /// What the platform said last.
    pub(crate) network: Option<Network>,
    pub(crate) keep_alive: KeepAlive,
    /// When the last step was.
    pub(crate) clock: Option<Now>,
    pub(crate) back_off: BackOff,
    /// Between attempts that the server does not want.
    pub(crate) refusals: BackOff,
    /// Where the next attempt leads.
    pub(crate) way: Way,
    /// When to try again, mono ms.
    pub(crate) retry: Option<u64>,
    /// When the next of our messages is not to leave any more, mono ms. Made anew by each step.
    pub(crate) late: Option<u64>,
    /// When the app has taken too long to answer, mono ms. Made anew by each step.
    pub(crate) asked: Option<u64>,
    /// When each question is given up. `None`: to be made anew from the rows, once online.
    pub(crate) deadlines: Option<Deadlines>,
    pub(crate) catching_up: CatchingUp,
    /// When the first mute of a conversation is over, ms UTC.
    pub(crate) unmute_at: Option<i64>,
    pub(crate) telling: Telling,
    pub(crate) again: Again,
    /// Who was asked in this session which picture their node names, and who for one of this hash that they do not have. A kill may ask
    /// once more.
    pub(crate) asked_avatars: BTreeSet<(String, Option<String>)>,
    pub(crate) importing: Cursor,
    pub(crate) indexing: Indexing,
    /// Something is still to be deleted, since when, mono ms.
    pub(crate) deleting: Option<u64>,
    /// Reason and detail of the last failure that the app was told of.
    pub(crate) told: Option<(String, String)>,
    pub(crate) after_start: bool,
    pub(crate) waiting: Waiting,
    pub(crate) status: Status,
    next_link: u64,
}

/// What the server taught us about logging in.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginMemory {
    pub(crate) pins: Pins,
    pub(crate) offer: Option<Features>,
    pub(crate) token: Option<FastToken>,
    pub(crate) max_stanza: Option<u64>,
    pub(crate) archive: Archive,
    pub(crate) csi: bool,
    /// Whether the server keeps an approval until somebody asks (RFC 6121 §3.4).
    pub(crate) pre_approval: bool,
    /// Whether push notifications are offered, where that is known.
    pub(crate) push: Option<bool>,
    /// Nodes of our own, where that is known.
    pub(crate) nodes: Option<Nodes>,
    pub(crate) roster_ver: Option<String>,
}

/// The account's own archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Archive {
    #[default]
    Unknown,
    There,
    Always,
}

/// The account's own nodes (XEP-0163).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    None,
    There,
    /// What is published under conditions is published under them or not at all.
    WithConditions,
}

/// The session on the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) jid: Option<FullJid>,
    pub(crate) sm: Option<StreamManagement>,
    pub(crate) next_position: i64,
    /// When the server was last heard, wall ms.
    pub(crate) seen_at: i64,
    /// One row of ours in flight at a time (STREAM 13).
    pub(crate) careful: bool,
    /// What a resumption may have lost (STREAM 11).
    pub(crate) unchecked: Option<Unchecked>,
    pub(crate) checked_at: i64,
    /// When contacts, who is blocked and what our own nodes say were last compared with what is here, wall ms.
    pub(crate) compared_at: i64,
    /// How much was handled when something unreadable ended the stream (STREAM 21).
    pub(crate) choked_at: Option<u64>,
    /// Resumptions in a row that were never acknowledged.
    pub(crate) deaf: u32,
    /// The archive's id of what ended the last stream that something unreadable ended.
    pub(crate) choked_on: Option<String>,
    pub(crate) dirty: bool,
}

/// From where the archive is to be compared with what arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unchecked {
    /// The last id that is covered for certain; `None`: the archive was empty.
    pub(crate) after: Option<String>,
    /// Where it has its place.
    pub(crate) position: i64,
    /// Where that was when the comparison began: what stands there or below came before.
    pub(crate) edge: Option<i64>,
    /// A time before what follows it, by the archive's clock, in case that it forgets the id.
    pub(crate) at: i64,
}

impl Unchecked {
    /// Below what nothing of it stands: what a comparison has moved up so far says nothing of what it has not reached.
    pub(crate) fn begins(&self) -> i64 {
        self.edge.unwrap_or(self.position)
    }
}

/// How catching up goes in this session. Forgotten by a kill: the next session asks again.
#[derive(Clone, Debug)]
pub(crate) struct CatchingUp {
    /// When a page that failed is asked for again, mono ms.
    pub(crate) again: Option<u64>,
    /// How often the next page is halved, since links or sessions are lost in the middle of pages. Kept from link to link.
    pub(crate) smaller: u32,
    /// Whether what failed was a page of a check.
    pub(crate) check_again: bool,
    pub(crate) back_off: BackOff,
    /// Pages of each gap that led nowhere.
    pub(crate) idle: BTreeMap<i64, u32>,
    /// Pages since the last pause, or since a gap was closed.
    pub(crate) pages: u32,
    /// Where pages of each gap ended: one that ends there again has led nowhere.
    pub(crate) ends: BTreeSet<(i64, String)>,
    /// What was covered when the session began, in case that carbons are long in coming: what other devices sent until then has
    /// to be looked for.
    pub(crate) before_carbons: Option<Unchecked>,
    /// The newest gap, and when the server was last heard before it, wall ms. Kept from link to link.
    pub(crate) opened: Option<(i64, i64)>,
    /// There was a resumption since the archive was last asked what the server had dropped.
    pub(crate) resumed: bool,
    /// When the archive was last asked what the server had dropped, or this process first came online, mono ms.
    pub(crate) checked: Option<u64>,
    /// When everything else was last compared, mono ms.
    pub(crate) compared: Option<u64>,
}

impl Default for CatchingUp {
    fn default() -> Self {
        Self {
            again: None,
            smaller: 0,
            check_again: false,
            back_off: BackOff::new(60_000, 3_600_000),
            idle: BTreeMap::new(),
            pages: 0,
            ends: BTreeSet::new(),
            before_carbons: None,
            opened: None,
            resumed: false,
            checked: None,
            compared: None,
        }
    }
}

/// Telling our other devices what they do not know yet. What that is, is in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    /// When to tell them, mono ms.
    pub(crate) due: Option<u64>,
    /// When they were last told, mono ms.
    pub(crate) told: Option<u64>,
    /// What was said less than we know, and said again over it: with whom, which id. Two devices that do not agree about what is
    /// less would go on for ever.
    pub(crate) repaired: BTreeSet<(String, String)>,
    /// How often in a row nobody has answered.
    pub(crate) unanswered: u32,
}

/// The current connection.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    Down,
    Opening { link: LinkId },
    Negotiating { link: LinkId, negotiation: Box<Negotiation>, began: u64, deadline: u64 },
    Online(Online),
}

/// A usable connection.
#[derive(Clone, Debug)]
pub(crate) struct Online {
    pub(crate) link: LinkId,
    /// Since when it is usable, mono ms.
    pub(crate) since: u64,
    /// When the server was heard before this connection, wall ms; 0: never.
    pub(crate) heard_before: i64,
    /// When it was heard on it, wall ms.
    pub(crate) heard: i64,
    /// Whether it lives.
    pub(crate) pulse: Pulse,
    /// Stanzas handled since the last `<a/>`.
    pub(crate) unacknowledged: u32,
    /// Something of ours was written since the last `<r/>`.
    pub(crate) ask: bool,
    /// The server asked, or a page ended: acknowledge after this commit.
    pub(crate) answer: bool,
    /// The number of the last stanza of ours that was written on this connection.
    pub(crate) written: u64,
    /// So many bytes of ours may be in flight.
    pub(crate) window: u64,
    /// After a resumption: what the server replayed, counted until its first ack.
    pub(crate) replayed: Option<u32>,
}

/// Who waits for a reply. Forgotten by a kill, as is the caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) sign_in: Vec<RequestId>,
    /// For another password.
    pub(crate) password: Vec<RequestId>,
    /// For the server to forget this device: what is connected is connected for that.
    pub(crate) leaving: Option<RequestId>,
    pub(crate) sync: Vec<(RequestId, u64)>,
    /// By the id of the question whose answer is theirs.
    pub(crate) asked: BTreeMap<String, RequestId>,
    /// For the page of older messages that is under way.
    pub(crate) older: Vec<RequestId>,
    /// For what is being published in a node: what else the app wants of it, in its order.
    pub(crate) behind: Vec<(RequestId, Arc<Command>)>,
}

impl Waiting {
    /// Whoever waits for an answer of the session.
    pub(crate) fn take_asked(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        let behind = std::mem::take(&mut self.behind).into_iter().map(|(request, _)| request);
        let asked = std::mem::take(&mut self.asked).into_values();
        asked.chain(behind).chain(std::mem::take(&mut self.older))
    }
}

/// What is nowhere but in memory, as it was before a step: a step that rolls back has not happened here either.
pub(crate) struct Before {
    link: Link,
    waiting: Waiting,
    wanted: bool,
    barred: bool,
    foreground: bool,
    after_start: bool,
    network: Option<Network>,
    clock: Option<Now>,
    back_off: BackOff,
    refusals: BackOff,
    way: Way,
    retry: Option<u64>,
    told: Option<(String, String)>,
    status: Status,
    catching_up: CatchingUp,
    telling: Telling,
    again: Again,
}

/// What a step works with.
pub(crate) struct Cx<'a> {
    pub(crate) tx: &'a Transaction<'a>,
    pub(crate) now: Now,
    pub(crate) rng: &'a mut dyn RngCore,
    pub(crate) out: Vec<Effect>,
    pub(crate) touched: Touched,
    /// The error that is being answered.
    pub(crate) refusal: Option<Element>,
    /// The conversation that was looked up last. No step deletes one.
    pub(crate) conversation: Option<Found>,
    /// Who was last asked about whether receipts are sent to them, and whether they are.
    pub(crate) receipts_to: Option<(BareJid, bool)>,
    /// The gap that was looked at last: its upper edge, and whether it is dense.
    pub(crate) room: Option<(i64, (Option<i64>, bool))>,
    /// Whether anything was read elsewhere that is not here, if that was asked.
    pub(crate) awaits: Option<bool>,
    /// Whether a correction was deleted that stood for a message that was not here, once somebody has asked.
    pub(crate) any_stood_in: Option<bool>,
    /// What of it has come, by the archive's ids.
    pub(crate) read: Vec<String>,
}

/// What is known of a conversation by its address.
pub(crate) struct Found {
    pub(crate) with: BareJid,
    pub(crate) id: i64,
    /// Up to where it was deleted before it was ever here.
    pub(crate) cleared: Option<i64>,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(tx: &'a Transaction<'a>, now: Now, rng: &'a mut dyn RngCore) -> Self {
        let (out, touched) = (Vec::new(), Touched::default());
        Self {
            tx,
            now,
            rng,
            out,
            touched,
            refusal: None,
            conversation: None,
            receipts_to: None,
            room: None,
            awaits: None,
            any_stood_in: None,
            read: Vec::new(),
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.out.push(Effect::Event(Box::new(event)));
    }

    pub(crate) fn reply(&mut self, request: RequestId, result: std::result::Result<Reply, api::Error>) {
        self.out.push(Effect::Reply { request, result });
    }

    /// A fresh id for a stanza.
    pub(crate) fn id(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

/// Unasked, acknowledge every so many stanzas (STREAM 10).
const ACKNOWLEDGE: u32 = 50;
/// Waits between attempts to connect, in ms: doubled from the first to the last, with jitter.
const BACK_OFF: (u64, u64) = (500, 120_000);
/// The same where a server said that it does not want us.
const REFUSALS: (u64, u64) = (120_000, 3_600_000);

impl Account {
    pub(crate) fn load(connection: &Connection, config: Config, next_link: u64) -> Result<Self> {
        let account = connection
            .query_row(
                "SELECT jid, resource, password, allow_plain, user_agent_id, new_password FROM account",
                [],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        row.get(3)?,
                        row.get::<_, String>(4)?,
                        row.get(5)?,
                    ))
                },
            )
            .optional()?;
        let Some((jid, resource, password, allow_plain, agent, new_password)) = account else {
            return Err(Error::bug("the file holds no account"));
        };
        let login = connection.query_row(
            "SELECT pins, offer, token, max_stanza, archive, roster_ver, csi, push, nodes, pre_approval FROM login",
            [],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, Option<String>>(1)?,
                    row.get::<_, Option<String>>(2)?,
                    row.get::<_, Option<i64>>(3)?,
                    row.get::<_, i64>(4)?,
                    row.get::<_, Option<String>>(5)?,
                    row.get::<_, bool>(6)?,
                    row.get::<_, Option<bool>>(7)?,
                    row.get::<_, Option<i64>>(8)?,
                    row.get::<_, bool>(9)?,
                ))
            },
        )?;
        let (jid_full, sm, mut session) = connection.query_row(
            "SELECT jid, sm, next_position, seen_at, careful, check_after, check_position, checked_at, choked_at, deaf, choked_on, check_edge, check_at, compared_at FROM session",
            [],
            |row| {
                let check: Option<i64> = row.get(6)?;
                let (after, edge, at) = (row.get(5)?, row.get(11)?, row.get(12)?);
                let session = Session {
                    next_position: row.get(2)?,
                    seen_at: row.get(3)?,
                    careful: row.get(4)?,
                    unchecked: check.map(|position| Unchecked { after, position, edge, at }),
                    checked_at: row.get(7)?,
                    choked_at: row.get::<_, Option<i64>>(8)?.map(|handled| handled as u64),
                    deaf: row.get(9)?,
                    choked_on: row.get(10)?,
                    compared_at: row.get(13)?,
                    ..Session::default()
                };
                Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?, session))
            },
        )?;
        session.jid = jid_full.as_deref().and_then(|jid| FullJid::new(jid).ok());
        session.sm = sm.as_deref().map(serde_json::from_str).transpose()?;
        if session.sm.as_ref().is_some_and(|sm| !sm.is_sound())
            || !(-HIGHEST..=HIGHEST).contains(&session.next_position)
        {
            return Err(Error::bug("the session's counters"));
        }
        let queries = crate::catch_up::load(connection)?;
        Ok(Self {
            config,
            jid: BareJid::new(&jid).map_err(|_| Error::bug("the account's address"))?,
            resource,
            password,
            new_password,
            try_old_password: false,
            allow_plain,
            user_agent: Uuid::parse_str(&agent).map_err(|_| Error::bug("the user agent's id"))?,
            login: LoginMemory {
                pins: serde_json::from_str(&login.0)?,
                offer: login.1.as_deref().map(serde_json::from_str).transpose()?,
                token: login.2.as_deref().map(serde_json::from_str).transpose()?,
                max_stanza: login.3.map(|max| max as u64),
                archive: match login.4 {
                    2 => Archive::Always,
                    1 => Archive::There,
                    _ => Archive::Unknown,
                },
                csi: login.6,
                pre_approval: login.9,
                push: login.7,
                nodes: login.8.map(|nodes| match nodes {
                    2 => Nodes::WithConditions,
                    1 => Nodes::There,
                    _ => Nodes::None,
                }),
                roster_ver: login.5,
            },
            session,
            link: Link::Down,
            wanted: false,
            barred: false,
            foreground: true,
            network: None,
            keep_alive: KeepAlive::load(connection, keep_alive::key(&Network::default()))?,
            clock: None,
            back_off: BackOff::new(BACK_OFF.0, BACK_OFF.1),
            refusals: BackOff::new(REFUSALS.0, REFUSALS.1),
            way: Way::default(),
            retry: None,
            late: None,
            asked: None,
            deadlines: None,
            catching_up: CatchingUp::with(&queries),
            queries,
            unmute_at: conversation::next_end(connection)?,
            telling: Telling::default(),
            again: Again::default(),
            asked_avatars: BTreeSet::new(),
            importing: Cursor::default(),
            indexing: Indexing::default(),
            deleting: deletions::is_any(connection)?.then_some(0),
            told: None,
            after_start: true,
            waiting: Waiting::default(),
            status: Status::Offline { reason: None, detail: String::new(), next_attempt: None },
            next_link,
        })
    }

    /// What a rollback of the next step is to bring back.
    pub(crate) fn before(&self) -> Before {
        Before {
            link: self.link.clone(),
            waiting: self.waiting.clone(),
            wanted: self.wanted,
            barred: self.barred,
            foreground: self.foreground,
            after_start: self.after_start,
            network: self.network.clone(),
            clock: self.clock,
            back_off: self.back_off,
            refusals: self.refusals,
            way: self.way.clone(),
            retry: self.retry,
            told: self.told.clone(),
            status: self.status.clone(),
            catching_up: self.catching_up.clone(),
            telling: self.telling.clone(),
            again: self.again,
        }
    }

    /// A step rolled back. What it took from the file is still to be reloaded.
    pub(crate) fn undo(&mut self, before: Before) {
        self.link = before.link;
        self.waiting = before.waiting;
        (self.wanted, self.barred) = (before.wanted, before.barred);
        (self.foreground, self.after_start) = (before.foreground, before.after_start);
        (self.network, self.clock) = (before.network, before.clock);
        (self.back_off, self.refusals) = (before.back_off, before.refusals);
        (self.way, self.retry) = (before.way, before.retry);
        (self.told, self.status) = (before.told, before.status);
        (self.catching_up, self.telling) = (before.catching_up, before.telling);
        self.again = before.again;
    }

    /// Back to what the database says, after a rollback. The connection stays, a login under way too: the same elements will
    /// be handled again, one at a time.
    pub(crate) fn reload(&mut self, connection: &Connection, now: Now) -> Result<()> {
        let fresh = Self::load(connection, self.config.clone(), self.next_link)?;
        (self.resource, self.allow_plain) = (fresh.resource, fresh.allow_plain);
        (self.password, self.new_password) = (fresh.password, fresh.new_password);
        (self.login, self.unmute_at, self.deleting) = (fresh.login, fresh.unmute_at, fresh.deleting);
        if mutants::on(Mutant::HandledMovesOnFullDisk) {
            self.session = Session { sm: self.session.sm.take(), ..fresh.session };
        } else if !mutants::on(Mutant::MemoryKeptAfterRollback) {
            (self.session, self.queries) = (fresh.session, fresh.queries);
        }
        self.keep_alive = match &self.network {
            Some(network) => KeepAlive::load(connection, keep_alive::key(network))?,
            None => fresh.keep_alive,
        };
        self.deadlines = None;
        if self.wanted && matches!(self.link, Link::Down) {
            self.retry = Some(self.retry.unwrap_or_default().max(now.mono));
        }
        Ok(())
    }

    /// The number of a new connection.
    pub(crate) fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId(self.next_link)
    }

    /// The world failed: hang up without a word. What was in memory is not believed any more.
    pub(crate) fn abandon(&mut self, why: &api::Error, next_attempt: Option<i64>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(link) = self.current_link() {
            if let (true, Some(sm)) = (mutants::on(Mutant::AckBeforeCommit), &self.session.sm) {
                effects.push(Effect::Send { link, bytes: sm::ack(sm.handled()).into_bytes() });
            }
            effects.push(Effect::Hangup { link });
        }
        self.link = Link::Down;
        let mut waiting = std::mem::take(&mut self.waiting);
        let asked = waiting.take_asked();
        let requests = waiting
            .sign_in
            .into_iter()
            .chain(waiting.password)
            .chain(waiting.leaving)
            .chain(waiting.sync.into_iter().map(|(request, _)| request));
        for request in requests.chain(asked) {
            effects.push(Effect::Reply { request, result: Err(why.clone()) });
        }
        let detail = why.to_string();
        effects.push(Effect::Event(Box::new(Event::Offline {
            reason: why.kind().into(),
            detail: detail.clone(),
        })));
        effects.push(Effect::Status(Status::Offline { reason: Some(why.clone()), detail, next_attempt }));
        effects
    }

    pub(crate) fn step(
        &mut self,
        tx: &Transaction<'_>,
        inputs: &[Input],
        now: Now,
        rng: &mut dyn RngCore,
    ) -> Result<Vec<Effect>> {
        let mut cx = Cx::new(tx, now, rng);
        self.notice_sleep(now);
        if inputs.iter().all(|input| matches!(input, Input::Tick | Input::Progress { .. })) {
            self.follow_with_index(&cx)?;
        }
        for input in inputs {
            self.handle(&mut cx, input)?;
        }
        self.finish(cx)
    }

    /// A step that counts an input as handled without looking at it: it was put into quarantine.
    pub(crate) fn step_over(
        &mut self,
        tx: &Transaction<'_>,
        input: &Input,
        why: &str,
        now: Now,
        rng: &mut dyn RngCore,
    ) -> Result<Vec<Effect>> {
        let mut cx = Cx::new(tx, now, rng);
        match input {
            Input::Element { link, element } if self.is_online(*link) && sm::is_counted(element) => {
                if !mutants::on(Mutant::QuarantineNotCounted) {
                    self.count_handled();
                }
                self.placeholder_for(&mut cx, element, why)?;
            }
            Input::TooMuch { link, drained } if self.is_online(*link) && drained.is_counted() => {
                self.count_handled();
            }
            Input::Command { request, .. } => {
                cx.reply(*request, Err(api::Error::Bug { report: why.to_owned() }))
            }
            _ => {}
        }
        self.finish(cx)
    }

    fn finish(&mut self, mut cx: Cx<'_>) -> Result<Vec<Effect>> {
        if self.deleting.is_some() {
            self.go_on_deleting(&mut cx)?;
        }
        self.read_what_came(&mut cx)?;
        self.unmute(&mut cx)?;
        self.decide_what_to_notify_of(&mut cx)?;
        self.tick(&mut cx)?;
        self.flush(&mut cx)?;
        self.answer(&mut cx);
        self.note_traffic(&cx);
        self.check_sync(&mut cx)?;
        self.save(&mut cx)?;
        self.plan_indexing(&cx)?;
        if !cx.touched.is_empty() {
            // Before any reply: whoever is answered finds what they asked for.
            let touched = std::mem::take(&mut cx.touched);
            cx.out.insert(0, Effect::Update(touched));
        }
        let status = self.compute_status(&cx)?;
        if status != self.status {
            self.status = status.clone();
            cx.out.push(Effect::Status(status));
        }
        Ok(cx.out)
    }

    fn handle(&mut self, cx: &mut Cx<'_>, input: &Input) -> Result<()> {
        match input {
            Input::LinkUp { link, tls } => self.link_up(cx, *link, tls.clone()),
            Input::Secured { link, tls } => {
                self.negotiate(cx, *link, whimbrel_proto::negotiation::Event::Secured(tls.clone()))
            }
            Input::Header { link, header } => {
                self.negotiate(cx, *link, whimbrel_proto::negotiation::Event::Header(header))
            }
            Input::LinkLost { link, why } => self.link_lost(cx, *link, why),
            Input::Progress { link } => {
                if let Link::Online(online) = &mut self.link
                    && online.link == *link
                {
                    online.pulse.moved(cx.now.mono);
                    self.answers_may_come(cx.now);
                }
                Ok(())
            }
            Input::Closed { link } => self.stream_closed(cx, *link),
            Input::Element { link, element } => {
                if self.is_online(*link) {
                    self.online_element(cx, element)
                } else {
                    self.negotiate(cx, *link, whimbrel_proto::negotiation::Event::Element(element))
                }
            }
            Input::TooMuch { link, drained } => {
                if self.is_online(*link) {
                    self.heard(cx)?;
                    if drained.is_counted() && !mutants::on(Mutant::TooMuchNotCounted) {
                        self.count_handled();
                    }
                    self.drained(cx, drained)?;
                }
                Ok(())
            }
            Input::Command { request, command } => self.command(cx, *request, command),
            Input::Network(network) => self.network(cx, network),
            Input::Foreground(foreground) => self.set_foreground(cx, *foreground),
            Input::Woke => {
                self.woke(cx.now);
                Ok(())
            }
            Input::Tick => Ok(()),
        }
    }

    fn online_element(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        self.heard(cx)?;
        #[cfg(test)]
        crate::tests::poison(element);
        mutants::poisoned(element)?;
        if self.config.raw {
            cx.event(Event::Raw { outgoing: false, xml: String::from(element) });
        }
        if sm::is_counted(element) {
            self.answers_may_come(cx.now);
            for _ in 0..mutants::counts(element) {
                self.count_handled();
            }
            return match element.name() {
                "message" => self.message(cx, element),
                "presence" => self.presence(cx, element),
                _ => self.iq(cx, element),
            };
        }
        self.nonza(cx, element)
    }

    pub(crate) fn count_handled(&mut self) {
        let forgotten = mutants::on(Mutant::ReplayNotCounted)
            && self.online().is_some_and(|online| online.replayed.is_some());
        if let (Some(sm), false) = (&mut self.session.sm, forgotten) {
            sm.handle_one();
            self.session.dirty |= !mutants::on(Mutant::HandledNotSaved);
        }
        if let Link::Online(online) = &mut self.link {
            online.unacknowledged += 1;
            online.replayed = online.replayed.map(|count| count + 1);
        }
    }

    fn heard(&mut self, cx: &Cx<'_>) -> Result<()> {
        let Link::Online(online) = &mut self.link else { return Ok(()) };
        online.heard = cx.now.wall;
        let idle = online.pulse.heard(cx.now.mono);
        self.link_survived(cx, idle)
    }

    /// Whatever leaves keeps the link from being forgotten on its way.
    fn note_traffic(&mut self, cx: &Cx<'_>) {
        if let Link::Online(online) = &mut self.link
            && cx.out.iter().any(|effect| matches!(effect, Effect::Send { .. }))
        {
            online.pulse.wrote(cx.now.mono);
        }
    }

    /// Acknowledges what this step handled. The bytes leave after the commit.
    fn answer(&mut self, cx: &mut Cx<'_>) {
        let Some(sm) = self.session.sm.as_ref().filter(|sm| sm.acks() == Acks::Counted) else { return };
        let h = sm.handled();
        if let Link::Online(online) = &mut self.link
            && (online.answer || online.unacknowledged >= ACKNOWLEDGE)
        {
            online.answer = false;
            online.unacknowledged = 0;
            cx.out.push(Effect::Send { link: online.link, bytes: sm::ack(h).into_bytes() });
        }
    }

    fn save(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        for query in self.queries.values_mut().filter(|query| query.dirty) {
            query.save(cx.tx)?;
        }
        if self.session.dirty {
            // A link on which nobody has answered yet has shown nothing, and what was kept may still be to come.
            let seen = self.online().filter(|online| online.pulse.is_proven()).map(|online| online.heard);
            let session = &mut self.session;
            session.dirty = false;
            session.seen_at = seen.unwrap_or(session.seen_at);
            cx.tx
                .prepare_cached(
                    "UPDATE session SET jid = ?1, sm = ?2, next_position = ?3, seen_at = ?4, careful = ?5,
                     check_after = ?6, check_position = ?7, checked_at = ?8, choked_at = ?9, deaf = ?10, choked_on = ?11, check_edge = ?12, check_at = ?13, compared_at = ?14",
                )?
                .execute(params![
                    session.jid.as_ref().map(|jid| jid.as_str()),
                    session.sm.as_ref().map(serde_json::to_string).transpose()?,
                    session.next_position,
                    session.seen_at,
                    session.careful,
                    session.unchecked.as_ref().and_then(|unchecked| unchecked.after.as_deref()),
                    session.unchecked.as_ref().map(|unchecked| unchecked.position),
                    session.checked_at,
                    session.choked_at.map(|handled| handled as i64),
                    session.deaf,
                    session.choked_on,
                    session.unchecked.as_ref().and_then(|unchecked| unchecked.edge),
                    session.unchecked.as_ref().map_or(0, |unchecked| unchecked.at),
                    session.compared_at,
                ])?;
        }
        Ok(())
    }

    pub(crate) fn save_login(&self, cx: &Cx<'_>) -> Result<()> {
        let login = &self.login;
        cx.tx.execute(
            "UPDATE login SET pins = ?1, offer = ?2, token = ?3, max_stanza = ?4, archive = ?5, roster_ver = ?6, csi = ?7, push = ?8, nodes = ?9, pre_approval = ?10",
            params![
                serde_json::to_string(&login.pins)?,
                login.offer.as_ref().map(serde_json::to_string).transpose()?,
                login.token.as_ref().map(serde_json::to_string).transpose()?,
                login.max_stanza.map(|max| max as i64),
                login.archive as i64,
                login.roster_ver,
                login.csi,
                login.push,
                login.nodes.map(|nodes| nodes as i64),
                login.pre_approval,
            ],
        )?;
        Ok(())
    }

    pub(crate) fn current_link(&self) -> Option<LinkId> {
        match &self.link {
            Link::Down => None,
            Link::Opening { link } | Link::Negotiating { link, .. } => Some(*link),
            Link::Online(online) => Some(online.link),
        }
    }

    pub(crate) fn is_online(&self, link: LinkId) -> bool {
        matches!(&self.link, Link::Online(online) if online.link == link || mutants::on(Mutant::OldLinkAccepted))
    }

    pub(crate) fn online(&self) -> Option<&Online> {
        match &self.link {
            Link::Online(online) => Some(online),
            _ => None,
        }
    }

    /// When something is to be done at the latest, mono ms.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        let link = match &self.link {
            Link::Down => self.retry.filter(|_| self.wanted),
            Link::Opening { .. } => None,
            Link::Negotiating { deadline, .. } => Some(*deadline),
            Link::Online(online) => online.pulse.silent_at().or(self.probe_at()),
        };
        let sync = self.waiting.sync.iter().map(|(_, deadline)| *deadline).min();
        let online = self.online().is_some();
        let answers = self.deadlines.as_ref().filter(|_| online).and_then(Deadlines::next);
        let again = self.catching_up.again.filter(|_| online);
        let telling = self.telling.due.into_iter().chain(self.again.due).min().filter(|_| online);
        let asked = self.asked.filter(|_| online);
        [
            link,
            sync,
            answers,
            again,
            telling,
            asked,
            self.late,
            self.unmute_wake(),
            self.compares_at(),
            self.indexing.at,
            self.deleting,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn tick(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let now = cx.now.mono;
        match &mut self.link {
            Link::Down if self.wanted && self.retry.is_some_and(|retry| now >= retry) => self.connect(cx),
            Link::Negotiating { deadline, .. } if now >= *deadline => {
                self.give_up_link(cx, "the server took too long to log in");
            }
            Link::Online(online) => match online.pulse.silent_at() {
                Some(silent) if now >= silent => self.fell_silent(cx)?,
                _ => self.probe_if_idle(now),
            },
            _ => {}
        }
        if self.online().is_some() {
            self.give_up_unanswered(cx)?;
            self.answer_for_app(cx)?;
            self.pause_is_over(cx)?;
            self.check_now_and_then(cx)?;
            self.tell_devices(cx)?;
            self.ask_what_was_not_answered(cx)?;
        }
        Ok(())
    }
}
