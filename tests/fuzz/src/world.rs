//! An account with its file, a server that says what the input says, and what must hold whatever it says.
//!
//! The input is what the server writes, as XML. Two things make it find more than bytes would: `#n` as an `id`, `queryid` or
//! text is the id of the n-th question that the account has asked, so that an answer is a few bytes; and an element of the
//! namespace `f` is no stanza but something that happens: `<cut/>`, `<kill/>`, `<pass ms=''/>` ([`World::happens`]).
//!
//! After every step: no status of ours says that we are wrong or that the file is; nothing is in quarantine but what was too
//! large to be built; `h` counts what came; what is written is XML; the timelines that a listener folds from the updates
//! equal a fresh query.

use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock};

use jid::BareJid;
use minidom::Element;
use rand::{SeedableRng, rngs::StdRng};
use rusqlite::Connection;
use tempfile::TempDir;
use whimbrel::internals::Framing;
use whimbrel_engine::{
    Config, Effect, Engine, Input, LinkFailure, LinkId, Now, Tls, Touched,
    api::{
        Ask, ChatState, Command, CommandAction, Error, Event, FeedAction, Item, ItemId, Network, NodeAction,
        Outgoing, Push, Reply, RequestId, Setting, Status,
    },
    export, roster,
    store::{self, Secret},
    timeline,
};
use whimbrel_proto::{ns, sm};

/// Our account.
pub(crate) const OWN: &str = "romeo@montague.lit";
/// Who is in the roster.
pub(crate) const JULIET: &str = "juliet@capulet.lit";
/// The namespace of what happens.
pub(crate) const ACTIONS: &str = "f";

const START: i64 = 1_795_000_000_000;
const MOST_WAKES: u32 = 2_000;

/// The account under test.
#[derive(Debug)]
pub(crate) struct World {
    dir: TempDir,
    engine: Option<Engine>,
    reader: Connection,
    now: Now,
    rng: StdRng,
    requests: u64,
    link: Option<LinkId>,
    wanted: bool,
    online: bool,
    /// The ids of the questions that were asked, in order.
    asked: Vec<String>,
    /// What was written in answer to the last thing that happened while logging in.
    wrote: Vec<Element>,
    /// Counted stanzas of ours since stream management was enabled; `None` before.
    sent: Option<u32>,
    /// Counted stanzas of the server's that were handled in this session.
    handled: u64,
    /// How many were too large to be built.
    too_much: i64,
    status: Option<Status>,
    shown: BTreeMap<BareJid, Vec<(i64, Item)>>,
    sessions: u32,
    /// Messages that the last import has added.
    imported: u64,
}

impl World {
    /// Signed in, caught up, with Juliet in the roster, and back online by a resumption.
    pub(crate) fn online() -> Self {
        let mut world = Self::from_file(file_of_one_who_was_online());
        // The server has read all that was written.
        world.sent = world.read("SELECT json_extract(sm, '$.sent') FROM session").map(|sent| sent as u32);
        world.sessions = 1;
        world.login("accept");
        assert!(world.online, "the session in the file is resumed");
        world
    }

    /// An account that was never online.
    pub(crate) fn new() -> Self {
        Self::from_file(file_of_a_new_account())
    }

    fn from_file(bytes: &[u8]) -> Self {
        let dir = directory();
        std::fs::write(dir.path().join(FILE), bytes).expect("a file in memory");
        Self::in_directory(dir)
    }

    fn in_directory(dir: TempDir) -> Self {
        let path = dir.path().join(FILE);
        let engine =
            Engine::load(store::open(&path, &secret()).expect("a good file"), config()).expect("a good file");
        let reader = store::open_reader(&path, &secret()).expect("a good file");
        Self {
            dir,
            engine: Some(engine),
            reader,
            now: Now { mono: 0, wall: START },
            rng: StdRng::seed_from_u64(1597),
            requests: 0,
            link: None,
            wanted: false,
            online: false,
            asked: Vec::new(),
            wrote: Vec::new(),
            sent: None,
            handled: 0,
            too_much: 0,
            status: None,
            shown: BTreeMap::new(),
            sessions: 0,
            imported: 0,
        }
    }

    fn into_file(self) -> Vec<u8> {
        drop(self.reader);
        self.engine.expect("alive").close().expect("a good file");
        std::fs::read(self.dir.path().join(FILE)).expect("it was written")
    }

    /// A part of a file of this name. Returns how many messages it has added.
    pub(crate) fn imports(&mut self, file: &str, elements: Vec<Element>) -> u64 {
        self.imported = 0;
        let of = elements.len() as u64;
        self.command(Command::Import { file: file.to_owned(), elements });
        assert!(self.imported <= of, "{} of {of}", self.imported);
        self.imported
    }

    /// All of the account, as a file.
    pub(crate) fn exported(&self) -> String {
        let mut text = String::new();
        let mut out = |piece: &str| {
            text.push_str(piece);
            Ok(())
        };
        export::write(&self.reader, "file-2", START, &mut out).expect("a good file");
        text
    }

    /// What a server says (`<server/>`), or something that happens.
    pub(crate) fn hears_or_does(&mut self, what: &Element) {
        if what.name() != "server" {
            return self.happens(what);
        }
        let link = self.link.unwrap_or(LinkId(0));
        let said = what.children().map(|element| Input::Element { link, element: element.clone() });
        self.stream(said.collect());
    }

    /// The server writes this, in pieces of these lengths. Returns whether all of it was XML.
    pub(crate) fn gets(
        &mut self,
        bytes: &[u8],
        batch: usize,
        lengths: &mut dyn Iterator<Item = usize>,
    ) -> bool {
        let mut framing = Framing::default();
        let mut inputs = Vec::new();
        let header = format!("<stream:stream xmlns='{}' xmlns:stream='{}'>", ns::JABBER_CLIENT, ns::STREAM);
        framing.feed(LinkId(0), header.as_bytes(), &mut inputs).expect("a good header");
        inputs.clear();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(lengths.next().unwrap_or(rest.len()).clamp(1, rest.len()));
            rest = behind;
            let fed = framing.feed(LinkId(0), piece, &mut inputs);
            self.take(&mut inputs, batch);
            if let Err(why) = fed {
                if let Some(link) = self.link.filter(|_| self.online) {
                    self.turn(vec![Input::LinkLost { link, why }]);
                    self.lost();
                }
                return false;
            }
        }
        true
    }

    fn take(&mut self, inputs: &mut Vec<Input>, batch: usize) {
        let mut ready = Vec::new();
        for input in inputs.drain(..) {
            match input {
                Input::Element { element, .. } if element.has_ns(ACTIONS) => {
                    self.stream(std::mem::take(&mut ready));
                    self.happens(&element);
                }
                input => ready.push(input),
            }
            if ready.len() >= batch {
                self.stream(std::mem::take(&mut ready));
            }
        }
        self.stream(ready);
    }

    /// One batch of what the server wrote.
    fn stream(&mut self, inputs: Vec<Input>) {
        if inputs.is_empty() {
            return;
        }
        // What an old link still had in its buffers has its number, and must do nothing.
        let link = self.link.unwrap_or(LinkId(0));
        let (was_online, before) = (self.online, self.handled);
        let mut batch = Vec::new();
        for input in inputs {
            match input {
                Input::Element { mut element, .. } => {
                    self.answer_in(&mut element);
                    if was_online && sm::is_counted(&element) {
                        self.handled += 1;
                    }
                    batch.push(Input::Element { link, element });
                }
                Input::TooMuch { drained, .. } => {
                    if was_online {
                        self.too_much += 1;
                        if matches!(drained.name.as_str(), "message" | "presence" | "iq") {
                            self.handled += 1;
                        }
                    }
                    batch.push(Input::TooMuch { link, drained });
                }
                Input::Header { header, .. } => batch.push(Input::Header { link, header }),
                Input::Closed { .. } => batch.push(Input::Closed { link }),
                other => unreachable!("framing gives no {other:?}"),
            }
        }
        self.turn(batch);
        let handled: Option<i64> = self.read("SELECT json_extract(sm, '$.handled') FROM session");
        match handled {
            Some(handled) if was_online && self.online => {
                assert_eq!(handled as u64, self.handled, "what came was counted, once");
            }
            Some(handled) if was_online => {
                // The link was given up somewhere in the batch, and what came behind that was not looked at.
                assert!(
                    (before..=self.handled).contains(&(handled as u64)),
                    "{before} {handled} {}",
                    self.handled
                );
                self.handled = handled as u64;
            }
            Some(handled) => self.handled = handled as u64,
            None => {}
        }
    }

    /// `#n` becomes the id of the n-th question.
    fn answer_in(&self, element: &mut Element) {
        for ((_, name), value) in element.attrs_mut().iter_mut() {
            if matches!(name.as_str(), "id" | "queryid" | "previd")
                && let Some(number) = value.strip_prefix('#').and_then(|number| number.parse::<usize>().ok())
                && let Some(id) = self.asked.get(number % self.asked.len().max(1))
            {
                id.clone_into(value);
            }
        }
        for child in element.children_mut() {
            self.answer_in(child);
        }
    }

    /// Something that is not the server's to say.
    fn happens(&mut self, what: &Element) {
        let number =
            |name: &str| what.attr(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default();
        let of = || what.attr("of").map(|of| ItemId(of.to_owned()));
        let peer = what.attr("jid").and_then(|jid| BareJid::new(jid).ok());
        let with = peer.unwrap_or_else(|| BareJid::new(JULIET).expect("an address"));
        match what.name() {
            "cut" => self.cut(),
            "up" => {
                self.link_up();
            }
            "login" => self.login(what.attr("resume").unwrap_or("accept")),
            "kill" => self.kill(),
            "pass" => self.pass(number("ms").min(1 << 36)),
            "clock" => self.now.wall = what.attr("to").and_then(|to| to.parse().ok()).unwrap_or(START),
            "ack" => {
                let h = self.sent.unwrap_or_default();
                self.stream(vec![input(&format!("<a xmlns='{}' h='{h}'/>", ns::SM))]);
            }
            "says" => {
                self.requests += 1;
                let id = self.said(self.requests);
                let not_after = what.attr("until").and_then(|until| until.parse().ok());
                let said = Outgoing { reply_to: of(), not_after, ..what.text().into() };
                self.command(Command::Send { id, to: with, what: said });
            }
            "edits" | "retracts" | "reacts" => {
                self.requests += 1;
                let id = self.said(self.requests);
                let message = of().unwrap_or_else(|| self.said(number("n")));
                self.command(match what.name() {
                    "edits" => Command::Edit { id, message, text: what.text() },
                    "retracts" => Command::Retract { id, message },
                    _ => {
                        let reactions = what.text().split(' ').map(str::to_owned).collect();
                        Command::React { id, message, reactions }
                    }
                });
            }
            "retries" => self.command(Command::Retry { message: self.said(number("n")) }),
            "cancels" => self.command(Command::Cancel { message: self.said(number("n")) }),
            "read" => self.command(Command::MarkRead { with }),
            "typing" => self.command(Command::SetChatState { with, state: ChatState::Composing }),
            "older" => self.command(Command::Older),
            "add" => {
                self.command(Command::AddContact { jid: with, name: what.attr("name").map(str::to_owned) })
            }
            "remove" => self.command(Command::RemoveContact { jid: with }),
            "accept" => self.command(Command::Accept { jid: with }),
            "sync" => self.command(Command::Sync { timeout: number("ms") }),
            "raw" => self.command(Command::Raw { xml: what.text() }),
            "suspend" => self.command(Command::Suspend { seen: true }),
            "connect" => self.command(Command::Connect),
            "disconnect" => self.command(Command::Disconnect),
            "network" => {
                let network = Network { available: what.attr("gone").is_none(), ..Network::default() };
                self.turn(vec![Input::Network(network)]);
            }
            "woke" => self.turn(vec![Input::Woke]),
            "push" => {
                let push = what.attr("node").map(|node| Push {
                    service: with.into(),
                    node: node.to_owned(),
                    secret: what.attr("secret").map(str::to_owned),
                });
                self.command(Command::SetPush { push });
            }
            "card" => self.command(Command::Card { of: with }),
            "info" => self.asks(with, Ask::Info { node: None }),
            "items" => self.asks(with, Ask::Items { node: None, after: None }),
            "executes" => {
                let (session, form) = (what.attr("session").map(str::to_owned), None);
                let (node, action) = ("config".to_owned(), CommandAction::Execute);
                self.asks(with, Ask::Command { node, action, session, form });
            }
            "node" => {
                let (limit, id) = (number("limit") as u32, what.attr("id").map(str::to_owned));
                let action = match id {
                    Some(id) => NodeAction::Item { id },
                    None if what.attr("limit").is_some() => NodeAction::Items { limit, after: None },
                    None => NodeAction::Configuration,
                };
                self.command(Command::Node { owner: Some(with.into()), node: "play".into(), action });
            }
            "feed" => self.command(Command::Feed { of: with, action: FeedAction::Refresh }),
            "follows" => self.command(Command::Follow { node: what.text(), on: true }),
            "blocks" => self.command(Command::Block { jid: with.into(), report: None }),
            "unblocks" => self.command(Command::Unblock { jid: with.into() }),
            "pins" => self.command(Command::Set { with, setting: Setting::Pinned(true) }),
            "import" => {
                let elements = what.children().cloned().collect();
                self.imports(what.attr("file").unwrap_or("file-1"), elements);
            }
            "foreground" => self.turn(vec![Input::Foreground(what.attr("left").is_none())]),
            "tick" => self.turn(vec![Input::Tick]),
            _ => {}
        }
    }

    /// What the app calls something that it has said, by number.
    fn said(&self, number: u64) -> ItemId {
        ItemId(format!("00000000-0000-4000-8000-{number:012}"))
    }

    fn command(&mut self, command: Command) {
        self.requests += 1;
        self.turn(vec![Input::Command { request: RequestId(self.requests), command }]);
    }

    fn asks(&mut self, of: BareJid, what: Ask) {
        self.command(Command::Ask { of: of.into(), what });
    }

    fn cut(&mut self) {
        if let Some(link) = self.link {
            self.turn(vec![Input::LinkLost { link, why: LinkFailure::Network("cut".into()) }]);
            self.lost();
        }
    }

    fn lost(&mut self) {
        self.link = None;
        self.online = false;
    }

    /// The process dies and is started again.
    fn kill(&mut self) {
        drop(self.engine.take());
        let connection =
            store::open(&self.dir.path().join(FILE), &secret()).expect("what was a good file is one");
        self.engine = Some(Engine::load(connection, config()).expect("what was a good file is one"));
        self.lost();
        self.wanted = false;
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now.mono + millis;
        let mut wakes = 0;
        while let Some(wake) = self.engine.as_ref().and_then(Engine::next_wake).filter(|wake| *wake <= end) {
            self.advance(wake.saturating_sub(self.now.mono).max(1));
            self.turn(vec![Input::Tick]);
            wakes += 1;
            // A day of an unanswering server is back-off and pings; anything faster is a loop.
            assert!(u64::from(wakes) < 50 + millis / 200, "{wakes} wakes in {millis} ms");
            if wakes >= MOST_WAKES || (self.link.is_some() && !self.online) {
                return;
            }
        }
        self.advance(end.saturating_sub(self.now.mono));
    }

    fn advance(&mut self, millis: u64) {
        self.now = Now { mono: self.now.mono + millis, wall: self.now.wall.saturating_add(millis as i64) };
    }

    /// Connects, with TLS. `false`: it does not want to.
    fn link_up(&mut self) -> bool {
        self.cut();
        if !self.wanted {
            self.command(Command::Connect);
            self.wanted = true;
        }
        for _ in 0..200 {
            if self.link.is_some() {
                break;
            }
            match self.engine.as_ref().and_then(Engine::next_wake) {
                Some(wake) => {
                    self.advance(wake.saturating_sub(self.now.mono));
                    self.turn(vec![Input::Tick]);
                }
                None => {
                    self.command(Command::Connect);
                }
            }
        }
        let Some(link) = self.link else { return false };
        self.wrote.clear();
        self.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
        true
    }

    /// Connects and logs in: a server of RFC 6120 that resumes or not.
    fn login(&mut self, how: &str) {
        if !self.link_up() {
            return;
        }
        self.sent = if how == "accept" { self.sent } else { None };
        let sm = if how == "none" { "" } else { "<sm xmlns='urn:xmpp:sm:3'/>" };
        self.says("<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></features>");
        self.says("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        self.says(&format!("<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>{sm}<csi xmlns='urn:xmpp:csi:0'/></features>"));
        if let Some(previd) = self.asks_to_resume() {
            let h = self.sent.unwrap_or_default();
            match how {
                "accept" => {
                    self.says(&format!("<resumed xmlns='urn:xmpp:sm:3' previd='{previd}' h='{h}'/>"));
                    self.now_online();
                    return;
                }
                "h" => self.says(&format!("<failed xmlns='urn:xmpp:sm:3' h='{h}'/>")),
                _ => self.says("<failed xmlns='urn:xmpp:sm:3'/>"),
            }
        }
        self.sessions += 1;
        self.sent = None;
        let session = self.sessions;
        self.says(&format!("<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{OWN}/phone.{session}</jid></bind></iq>"));
        if how != "none" {
            self.sent = Some(0);
            self.says(&format!("<enabled xmlns='urn:xmpp:sm:3' id='session-{session}' resume='true'/>"));
        }
        self.now_online();
    }

    fn now_online(&mut self) {
        self.online = self.link.is_some();
        let handled: Option<i64> = self.read("SELECT json_extract(sm, '$.handled') FROM session");
        self.handled = handled.unwrap_or_default() as u64;
    }

    fn asks_to_resume(&self) -> Option<String> {
        let resume = self.wrote.iter().rev().find(|element| element.is("resume", ns::SM))?;
        resume.attr("previd").map(str::to_owned)
    }

    fn says(&mut self, xml: &str) {
        let Some(link) = self.link else { return };
        let Input::Element { element, .. } = input(xml) else { return };
        self.turn(vec![Input::Element { link, element }]);
    }

    /// One step, and what must hold after it.
    fn turn(&mut self, inputs: Vec<Input>) {
        let Some(engine) = &mut self.engine else { return };
        let effects = engine.turn(inputs, self.now, &mut self.rng);
        let mut touched = Touched::default();
        for effect in effects {
            match effect {
                Effect::Connect { link, .. } => {
                    self.link = Some(link);
                    self.online = false;
                }
                Effect::Send { link, bytes } => {
                    assert_eq!(Some(link), self.link, "written to a link that is gone");
                    self.server_reads(&bytes);
                }
                Effect::Hangup { .. } | Effect::Close { .. } => self.lost(),
                Effect::Status(status) => {
                    healthy(&status);
                    self.status = Some(status);
                }
                Effect::Event(event) => {
                    if let Event::Online { .. } = *event {
                        self.online = true;
                    }
                }
                Effect::Update(update) => touched = update,
                Effect::Reply { result: Ok(Reply::Imported(done)), .. } => self.imported = done.added,
                Effect::Reply { result: Err(Error::Bug { report }), .. } => panic!("{report}"),
                Effect::StartTls { .. }
                | Effect::RestartStream { .. }
                | Effect::Hurry { .. }
                | Effect::Reply { .. } => {}
            }
        }
        let quarantined: Option<i64> =
            self.read("SELECT count(*) FROM quarantine WHERE why NOT LIKE '% of % bytes, id %'");
        assert_eq!(quarantined, Some(0), "{:?}", self.why());
        let kept: Option<i64> = self.read("SELECT count(*) FROM quarantine");
        assert!(kept <= Some(self.too_much.min(501)), "{kept:?} of {}", self.too_much);
        assert_eq!(self.read("SELECT count(*) FROM strike"), Some(0), "nothing struck");
        self.follow(&touched);
    }

    fn why(&self) -> Option<String> {
        self.reader.query_row("SELECT why FROM quarantine ORDER BY id DESC", [], |row| row.get(0)).ok()
    }

    fn read(&self, sql: &str) -> Option<i64> {
        self.reader
            .prepare_cached(sql)
            .and_then(|mut sql| sql.query_row([], |row| row.get(0)))
            .expect("a good file")
    }

    fn server_reads(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("we write UTF-8");
        let text = match text.find("<stream:stream") {
            Some(at) => &text[at + text[at..].find('>').map_or(0, |end| end + 1)..],
            None => text,
        };
        let wrapped: Element = match format!("<x xmlns='jabber:client'>{text}</x>").parse() {
            Ok(element) => element,
            Err(error) => panic!("we wrote what is not XML: {error}: {text}"),
        };
        for element in wrapped.children() {
            if let Some(sent) = self.sent.as_mut().filter(|_| sm::is_counted(element)) {
                *sent += 1;
            }
            if element.name() == "iq"
                && matches!(element.attr("type"), Some("get" | "set"))
                && let Some(id) = element.attr("id").filter(|id| *id != "bind")
            {
                self.asked.push(id.to_owned());
            }
            self.wrote.push(element.clone());
        }
    }

    /// A listener of every timeline: what it folds equals what a fresh query gives.
    fn follow(&mut self, touched: &Touched) {
        let peers: Vec<String> = self
            .reader
            .prepare_cached("SELECT jid FROM conversation ORDER BY id LIMIT 8")
            .and_then(|mut sql| sql.query_map([], |row| row.get(0))?.collect())
            .expect("a good file");
        for peer in peers {
            let peer = BareJid::new(&peer).expect("our own address");
            let start = timeline::start(&self.reader, &peer, u32::MAX).expect("a good file");
            let from =
                if touched.all_timelines { Some(i64::MIN) } else { touched.timelines.get(&peer).copied() };
            let mut known = self.shown.remove(&peer);
            let from = if known.is_none() { Some(i64::MIN) } else { from };
            let shown = known.get_or_insert_default();
            if let Some(from) = from {
                shown.truncate(shown.partition_point(|(position, _)| *position < from));
                let below = shown.last().map(|(_, item)| item.clone());
                let above = timeline::window_from(&self.reader, &peer, start, 0, from, below.as_ref());
                shown.extend(above.expect("a good file"));
            }
            let fresh = timeline::window(&self.reader, &peer, start, 0).expect("a good file");
            assert!(
                shown.iter().map(|(_, item)| item).eq(fresh.iter()),
                "{peer} from {from:?}: folded {shown:#?}\nfresh {fresh:#?}"
            );
            let folded = std::mem::take(shown);
            self.shown.insert(peer, folded);
        }
        if touched.conversations {
            timeline::conversations(&self.reader).expect("a good file");
        }
        if touched.contacts {
            roster::contacts(&self.reader).expect("a good file");
        }
    }
}

/// Whether a status says that the peer, the network or the user did something, and not we.
fn healthy(status: &Status) {
    if let Status::Offline { reason: Some(reason), .. } = status {
        let ours = matches!(
            reason,
            Error::Bug { .. }
                | Error::StorageFull
                | Error::DatabaseUnusable { .. }
                | Error::KeyLost
                | Error::InvalidInput { .. }
        );
        assert!(!ours, "nonsense of the peer's became an error of ours: {reason}");
    }
}

const FILE: &str = "account.db";

/// In memory where there is such a place: a step syncs.
pub(crate) fn directory() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("whimbrel-fuzz").tempdir_in(place).expect("a directory in memory")
}

pub(crate) fn secret() -> Secret {
    Secret([7; 48])
}

pub(crate) fn config() -> Config {
    Config { page: 5, ..Config::default() }
}

fn input(xml: &str) -> Input {
    let wrapped: Element = format!("<x xmlns='jabber:client'>{xml}</x>").parse().expect("our own XML");
    Input::Element { link: LinkId(0), element: wrapped.children().next().expect("one element").clone() }
}

/// The file of somebody who was online, caught up, and has said and heard something.
pub(crate) fn file_of_one_who_was_online() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut world = World::new();
        world.login("refuse");
        world.gets(include_bytes!("first_session.xml"), 1, &mut std::iter::empty());
        assert!(world.online);
        world.into_file()
    })
}

/// The file of somebody who was never online.
fn file_of_a_new_account() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let dir = directory();
        let connection = store::open(&dir.path().join(FILE), &secret()).expect("a new file");
        let jid = BareJid::new(OWN).expect("an address");
        let agent = "00000000-0000-4000-8000-000000001597".parse().expect("a UUID");
        store::create_account(&connection, &jid, agent, START).expect("a new file");
        connection
            .execute("UPDATE account SET password = 'pencil', allow_plain = 1, resource = 'phone'", [])
            .expect("a new file");
        drop(connection);
        World::in_directory(dir).into_file()
    })
}
