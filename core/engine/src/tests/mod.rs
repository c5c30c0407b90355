//! Stanza scripts: XML in, XML out, one account, a small model of a server, a clock that is moved.
//!
//! [`World`] is the account under test with its file and the server's memory. What the account writes is read as the
//! server would read it (counted, parsed), never compared as text. `kill` drops the engine and loads it from the same file;
//! `cut` drops the link. Nothing sleeps.

mod amendments;
mod archive;
mod blocking;
mod card;
mod chats;
mod claims;
mod contacts;
mod conversation;
mod copies;
mod deletions;
mod export;
mod failures;
mod feed;
mod hostile;
mod invitation;
mod keep_alive;
mod lease;
mod login;
mod messages;
mod model;
mod news;
mod own_server;
mod password;
mod payloads;
mod person;
mod presence;
mod pubsub;
mod push;
mod read_position;
mod search;
mod services;
mod session;
mod settings;
mod text;

mod device {
    mod hostile;
}
mod stream {
    mod hostile;
}

use std::{cell::Cell, collections::VecDeque, path::PathBuf};

use jid::BareJid;
use minidom::Element;
use rand::{SeedableRng, rngs::StdRng};
use rusqlite::Connection;
use tempfile::TempDir;
use whimbrel_proto::{ns, stamp};

use crate::{
    Config, Effect, Engine, Input, LinkFailure, LinkId, Now, Tls,
    api::{Command, Error, Event, Item, ItemId, Network, Reply, RequestId, SendState, Status},
    store::{self, Secret},
    timeline,
};

const OWN: &str = "romeo@montague.lit";
const JULIET: &str = "juliet@capulet.lit";
const START: i64 = 1_795_000_000_000;

thread_local! {
    static POISONED: Cell<bool> = const { Cell::new(false) };
}

/// The bug of ours that poison stanzas hit.
pub(crate) fn poison(element: &Element) {
    if POISONED.get() && element.attr("id") == Some("poison") {
        panic!("poison: {:?}", body(element));
    }
}

/// What the server does when asked to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    Accept,
    Refuse,
    /// `<failed/>` with its `h`.
    RefuseWithH,
}

#[derive(Debug)]
struct World {
    dir: TempDir,
    engine: Option<Engine>,
    now: Now,
    rng: StdRng,
    request: u64,
    link: Option<LinkId>,
    /// Whether it was told to connect, in this life of the process.
    wanted: bool,
    /// What the account wrote and no test has looked at yet.
    wrote: VecDeque<Element>,
    events: Vec<Event>,
    replies: Vec<(RequestId, Result<Reply, Error>)>,
    status: Option<Status>,
    hung_up: bool,
    /// Where the last connection leads to, if not to where the domain says.
    destination: Option<String>,
    server: Server,
}

#[derive(Debug)]
struct Server {
    /// Counted stanzas of ours that it has handled in this session.
    h: u32,
    /// Whether it counts already.
    counts: bool,
    /// Whether it has stream management at all.
    sm: bool,
    sessions: u32,
    /// Whether bytes reach it.
    hears: bool,
    csi: bool,
    max_bytes: u64,
    roster: Vec<(String, &'static str)>,
    mam: bool,
    /// Of an id that is not among what is asked for it says that nothing follows it (Prosody 13).
    is_vague: bool,
    archive: Vec<Archived>,
    /// What it grants at most.
    page: usize,
    /// The `h` that came with the last `<resume/>`.
    resumed_from: u32,
    /// Where it wants to be asked to resume.
    location: &'static str,
    push: bool,
    /// RFC 6121 §3.4.
    pre_approval: bool,
    /// What its account's service discovery says of nodes.
    nodes: &'static str,
    /// The items of its node for read positions.
    displayed: String,
    /// The items of its node for settings.
    settings: String,
}

#[derive(Clone, Debug)]
struct Archived {
    id: String,
    at: i64,
    message: String,
}

impl World {
    /// Signed up, never online.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let connection = store::open(&dir.path().join("account.db"), &secret()).unwrap();
        connection
            .execute(
                "INSERT INTO account (id, jid, resource, password, allow_plain, user_agent_id, created_at)
                 VALUES (1, ?1, 'phone', 'pencil', 1, '00000000-0000-0000-0000-000000000000', 0)",
                [OWN],
            )
            .unwrap();
        let engine = Engine::load(connection, config()).unwrap();
        Self {
            dir,
            engine: Some(engine),
            now: Now { mono: 0, wall: START },
            rng: StdRng::seed_from_u64(1597),
            request: 0,
            link: None,
            wanted: false,
            wrote: VecDeque::new(),
            events: Vec::new(),
            replies: Vec::new(),
            status: None,
            hung_up: false,
            destination: None,
            server: Server {
                h: 0,
                counts: false,
                sm: true,
                sessions: 0,
                hears: true,
                csi: true,
                max_bytes: 262_144,
                roster: vec![(JULIET.into(), "both")],
                mam: true,
                is_vague: false,
                archive: Vec::new(),
                page: 50,
                resumed_from: 0,
                location: "",
                push: false,
                pre_approval: false,
                nodes: "",
                displayed: String::new(),
                settings: String::new(),
            },
        }
    }

    /// Online for the first time and caught up.
    fn online() -> Self {
        let mut world = Self::new();
        world.connect();
        world.serve();
        world.acknowledge();
        world.wrote.clear();
        world.events.clear();
        world
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("account.db")
    }

    fn file(&self) -> Connection {
        store::open_reader(&self.path(), &secret()).unwrap()
    }

    fn count(&self, sql: &str) -> i64 {
        self.file().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    // What happens to the account.

    fn turn(&mut self, inputs: Vec<Input>) {
        let effects = self.engine.as_mut().unwrap().turn(inputs, self.now, &mut self.rng);
        for effect in effects {
            match effect {
                Effect::Connect { link, destination } => {
                    self.link = Some(link);
                    let place = destination.at.map(|at| match at.port {
                        Some(port) => format!("{}:{port}", at.host),
                        None => at.host,
                    });
                    self.destination = place;
                }
                Effect::Send { link, bytes } => {
                    assert_eq!(Some(link), self.link, "written to a link that is gone");
                    self.server_reads(&bytes);
                }
                Effect::Hangup { .. } | Effect::Close { .. } => {
                    self.hung_up = true;
                    self.link = None;
                }
                Effect::Reply { request, result } => self.replies.push((request, result)),
                Effect::Status(status) => self.status = Some(status),
                Effect::Event(event) => self.events.push(*event),
                Effect::StartTls { .. }
                | Effect::RestartStream { .. }
                | Effect::Hurry { .. }
                | Effect::Update(_) => {}
            }
        }
    }

    fn server_reads(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).unwrap();
        let text = match text.find("<stream:stream") {
            Some(at) => &text[at + text[at..].find('>').unwrap() + 1..],
            None => text,
        };
        let wrapped: Element = format!("<x xmlns='jabber:client'>{text}</x>").parse().unwrap();
        for element in wrapped.children() {
            if !self.server.hears {
                continue;
            }
            if element.is("enable", ns::SM) {
                self.server.counts = true;
                self.server.h = 0;
            } else if self.server.counts && whimbrel_proto::sm::is_counted(element) {
                self.server.h = self.server.h.wrapping_add(1);
            }
            self.wrote.push_back(element.clone());
        }
    }

    /// A command, and its answer if it came at once.
    fn does(&mut self, command: Command) -> Option<Result<Reply, Error>> {
        self.request += 1;
        let request = RequestId(self.request);
        self.turn(vec![Input::Command { request, command }]);
        self.answer_to(request)
    }

    fn answer_to(&self, request: RequestId) -> Option<Result<Reply, Error>> {
        self.replies.iter().find(|(id, _)| *id == request).map(|(_, result)| result.clone())
    }

    /// A text to Juliet. Returns its id, made of a number so that tests can name it.
    fn says(&mut self, text: &str) -> ItemId {
        self.request += 1;
        let id = ItemId(format!("00000000-0000-4000-8000-{:012}", self.request));
        let reply = self.does(Command::Send { id: id.clone(), to: juliet(), what: text.into() });
        assert_eq!(reply, Some(Ok(Reply::Sent { id: id.clone() })));
        id
    }

    /// The server writes this.
    fn gets(&mut self, xml: &str) {
        self.gets_all(&[xml]);
    }

    /// The server writes these, and they are read in one batch.
    fn gets_all(&mut self, stanzas: &[&str]) {
        let link = self.link.expect("a link");
        let inputs = stanzas.iter().map(|xml| Input::Element { link, element: element(xml) }).collect();
        self.turn(inputs);
    }

    fn cut(&mut self) {
        if let Some(link) = self.link.take() {
            self.turn(vec![Input::LinkLost { link, why: LinkFailure::Network("cut".into()) }]);
        }
        self.wrote.clear();
    }

    /// The process dies, and is started again.
    fn kill(&mut self) {
        drop(self.engine.take());
        let connection = store::open(&self.path(), &secret()).unwrap();
        self.engine = Some(Engine::load(connection, config()).unwrap());
        self.link = None;
        self.wanted = false;
        self.wrote.clear();
    }

    /// Time passes, with every wake-up that was asked for.
    fn pass(&mut self, millis: u64) {
        let end = self.now.mono + millis;
        let mut guard = 0;
        while let Some(wake) = self.engine.as_ref().unwrap().next_wake().filter(|wake| *wake <= end) {
            let step = wake.saturating_sub(self.now.mono).max(1);
            self.now = Now { mono: self.now.mono + step, wall: self.now.wall + step as i64 };
            self.turn(vec![Input::Tick]);
            guard += 1;
            assert!(guard < 10_000, "a tight loop");
        }
        let step = end.saturating_sub(self.now.mono);
        self.now = Now { mono: self.now.mono + step, wall: self.now.wall + step as i64 };
    }

    // What the server does.

    /// Connects and logs in, the way of RFC 6120; a new session where there is none to resume.
    fn connect(&mut self) {
        self.reconnect(Resume::Refuse);
    }

    fn reconnect(&mut self, resume: Resume) {
        self.reconnect_with(resume, |world, last| world.gets(last));
    }

    /// The same; `last` is given the element that makes the session usable.
    fn reconnect_with(&mut self, resume: Resume, last: impl FnOnce(&mut Self, &str)) {
        if self.link.is_none() {
            if !self.wanted {
                self.does(Command::Connect);
                self.wanted = true;
            }
            let mut guard = 0;
            while self.link.is_none() {
                self.pass(100);
                guard += 1;
                assert!(guard < 3_000, "it does not connect");
            }
        }
        self.server.counts = false;
        self.wrote.clear();
        let link = self.link.unwrap();
        self.turn(vec![Input::LinkUp { link, tls: Some(Tls::default()) }]);
        self.gets("<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></features>");
        assert_eq!(self.next("auth").attr("mechanism"), Some("PLAIN"));
        self.gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        let sm = if self.server.sm { "<sm xmlns='urn:xmpp:sm:3'/>" } else { "" };
        let csi = if self.server.csi { "<csi xmlns='urn:xmpp:csi:0'/>" } else { "" };
        let sub = if self.server.pre_approval { "<sub xmlns='urn:xmpp:features:pre-approval'/>" } else { "" };
        self.gets(&format!(
            "<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>{sm}{csi}{sub}
             <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{}</max-bytes></limits></features>",
            self.server.max_bytes
        ));
        if self.wrote.front().is_some_and(|element| element.is("resume", ns::SM)) {
            let asked = self.next("resume");
            let (previd, h) = (asked.attr("previd").unwrap(), self.server.h);
            self.server.resumed_from = asked.attr("h").unwrap().parse().unwrap();
            match resume {
                Resume::Accept => {
                    self.server.counts = true;
                    return last(self, &format!("<resumed xmlns='urn:xmpp:sm:3' previd='{previd}' h='{h}'/>"));
                }
                Resume::Refuse => self.gets("<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"),
                Resume::RefuseWithH => self.gets(&format!("<failed xmlns='urn:xmpp:sm:3' h='{h}'/>")),
            }
        }
        let bind = self.next("iq");
        self.server.sessions += 1;
        let session = self.server.sessions;
        let bound = format!(
            "<iq type='result' id='{}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{OWN}/phone.{session}</jid></bind></iq>",
            bind.attr("id").unwrap()
        );
        if !self.server.sm {
            return last(self, &bound);
        }
        self.gets(&bound);
        self.next("enable");
        let location = match self.server.location {
            "" => String::new(),
            place => format!("location='{place}'"),
        };
        last(
            self,
            &format!("<enabled xmlns='urn:xmpp:sm:3' id='session-{session}' resume='true' {location}/>"),
        );
    }

    /// Answers every question that it can, until there are none.
    fn serve(&mut self) {
        let mut guard = 0;
        while self.serve_one().is_some() {
            guard += 1;
            assert!(guard < 1_000, "questions without end");
        }
    }

    /// Answers the first question, and gives it back.
    fn serve_one(&mut self) -> Option<Element> {
        let is_question =
            |element: &Element| element.name() == "iq" && matches!(element.attr("type"), Some("get" | "set"));
        let at = self.wrote.iter().position(is_question)?;
        let iq = self.wrote.remove(at).unwrap();
        let link = self.link.unwrap();
        let answers = self.server.answers(&iq);
        self.turn(answers.iter().map(|xml| Input::Element { link, element: element(xml) }).collect());
        Some(iq)
    }

    /// `<a/>` for all that came.
    fn acknowledge(&mut self) {
        let h = self.server.h;
        self.gets(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
    }

    fn stream_error(&mut self, condition: &str) {
        self.gets(&format!(
            "<error xmlns='http://etherx.jabber.org/streams'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>"
        ));
        self.wrote.clear();
    }

    // What is to be seen.

    /// The first element of this name that was written and not looked at yet.
    fn next(&mut self, name: &str) -> Element {
        match self.wrote.iter().position(|element| element.name() == name) {
            Some(at) => self.wrote.remove(at).unwrap(),
            None => panic!("no <{name}/> in {:?}", self.wrote),
        }
    }

    /// Everything of this name that was written and not looked at yet.
    fn all(&mut self, name: &str) -> Vec<Element> {
        let (wanted, rest) = std::mem::take(&mut self.wrote).into_iter().partition(|e| e.name() == name);
        self.wrote = rest;
        let wanted: VecDeque<Element> = wanted;
        wanted.into()
    }

    /// Texts that were written, in order.
    fn sent_texts(&mut self) -> Vec<String> {
        self.all("message").iter().filter_map(body).collect()
    }

    /// The conversation with Juliet as it is shown: `> ` before what is ours, `--` for a gap.
    fn sees(&self) -> Vec<String> {
        self.sees_with(JULIET)
    }

    fn items_with(&self, peer: &str) -> Vec<Item> {
        let (file, with) = (self.file(), peer.parse::<BareJid>().unwrap());
        let start = timeline::start(&file, &with, 1_000_000).unwrap();
        timeline::window(&file, &with, start, 0).unwrap()
    }

    fn sees_with(&self, peer: &str) -> Vec<String> {
        self.items_with(peer)
            .into_iter()
            .map(|item| match item {
                Item::Message(message) if message.mine => format!("> {}", message.text),
                Item::Message(message) => message.text,
                Item::Gap(_) => "--".to_owned(),
            })
            .collect()
    }

    fn state(&self, id: &ItemId) -> SendState {
        let (file, with) = (self.file(), juliet());
        let start = timeline::start(&file, &with, 1_000_000).unwrap();
        timeline::window(&file, &with, start, 0)
            .unwrap()
            .into_iter()
            .find_map(|item| match item {
                Item::Message(message) if message.id == *id => message.state,
                _ => None,
            })
            .expect("a message of ours")
    }

    fn gaps(&self) -> i64 {
        self.count("SELECT count(*) FROM gap WHERE kind = 0")
    }

    /// The first question to the archive that was not answered yet.
    fn next_query(&mut self) -> Element {
        let at =
            self.wrote.iter().position(|e| e.children().any(|c| c.is("query", ns::MAM))).expect("a query");
        self.wrote.remove(at).unwrap()
    }

    fn has_query(&self) -> bool {
        self.wrote.iter().any(|e| e.children().any(|c| c.is("query", ns::MAM)))
    }

    fn away_and_back(&mut self) {
        self.cut();
        self.pass(1_000);
        self.reconnect(Resume::Refuse);
    }
}

impl Server {
    fn answers(&self, iq: &Element) -> Vec<String> {
        let id = iq.attr("id").unwrap();
        let payload = iq.children().next().unwrap();
        let from = iq.attr("to").map(|to| format!("from='{to}'")).unwrap_or_default();
        let content = match (payload.name(), payload.ns().as_str()) {
            ("query", ns::DISCO_INFO) => {
                let feature = |there: bool, var: &str| match there {
                    true => format!("<feature var='{var}'/>"),
                    false => String::new(),
                };
                let features = feature(self.mam, ns::MAM) + &feature(self.push, ns::PUSH) + self.nodes;
                format!("<query xmlns='http://jabber.org/protocol/disco#info'>{features}</query>")
            }
            ("query", ns::ROSTER) if iq.attr("type") == Some("get") => {
                let items: String = self
                    .roster
                    .iter()
                    .map(|(jid, subscription)| format!("<item jid='{jid}' subscription='{subscription}'/>"))
                    .collect();
                format!("<query xmlns='jabber:iq:roster' ver='1'>{items}</query>")
            }
            ("prefs" | "query", ns::MAM) if !self.mam => {
                return vec![format!(
                    "<iq type='error' id='{id}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
                )];
            }
            ("prefs", ns::MAM) => "<prefs xmlns='urn:xmpp:mam:2' default='always'/>".to_owned(),
            ("query", ns::MAM) => return self.page(id, payload),
            ("pubsub", ns::PUBSUB) if iq.attr("type") == Some("get") => {
                let node = payload.children().next().and_then(|items| items.attr("node")).unwrap();
                let items = if node == ns::SETTINGS { &self.settings } else { &self.displayed };
                format!(
                    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'>{items}</items></pubsub>"
                )
            }
            _ => String::new(),
        };
        vec![format!("<iq type='result' id='{id}' {from}>{content}</iq>")]
    }

    fn page(&self, iq: &str, query: &Element) -> Vec<String> {
        let name = query.attr("queryid").unwrap();
        let field = |var: &str| {
            let form = query.get_child("x", ns::DATA_FORMS)?;
            let field = form.children().find(|field| field.attr("var") == Some(var))?;
            Some(field.children().next()?.text())
        };
        let set = query.get_child("set", ns::RSM).unwrap();
        let text = |name: &str| set.get_child(name, ns::RSM).map(Element::text);
        let with = field("with");
        let time = |name| field(name).and_then(|time| stamp::parse(&time));
        let (start, end) = (time("start"), time("end"));
        let is_with =
            |entry: &&Archived| with.as_ref().is_none_or(|with| entry.message.contains(with.as_str()));
        let is_here = |id: &String| {
            self.archive.iter().any(|entry| entry.id == *id && (!self.is_vague || is_with(&entry)))
        };
        let edges = [text("after"), text("before").filter(|before| !before.is_empty())];
        let is_known = edges.iter().flatten().all(is_here);
        if !is_known && self.is_vague {
            return self.results(iq, name, &[], true);
        }
        if !is_known {
            return vec![format!(
                "<iq type='error' id='{iq}'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )];
        }
        let after = text("after").and_then(|after| self.archive.iter().position(|entry| entry.id == after));
        let first = after.map_or(0, |at| at + 1);
        let mut found: Vec<&Archived> = self.archive[first..]
            .iter()
            .filter(is_with)
            .filter(|entry| start.is_none_or(|start| entry.at >= start))
            .filter(|entry| end.is_none_or(|end| entry.at <= end))
            .collect();
        let max = text("max").and_then(|max| max.parse().ok()).unwrap_or(50).min(self.page);
        let complete = found.len() <= max;
        match text("before") {
            Some(before) => {
                if let Some(at) = found.iter().position(|entry| entry.id == before) {
                    found.truncate(at);
                }
                let complete = found.len() <= max;
                let page = found.split_off(found.len().saturating_sub(max));
                self.results(iq, name, &page, complete)
            }
            None => {
                found.truncate(max);
                self.results(iq, name, &found, complete)
            }
        }
    }

    fn results(&self, iq: &str, name: &str, page: &[&Archived], complete: bool) -> Vec<String> {
        let mut out: Vec<String> = page.iter().map(|entry| result(name, entry)).collect();
        out.push(fin(iq, page, complete));
        out
    }
}

fn result(query: &str, entry: &Archived) -> String {
    format!(
        "<message from='{OWN}' to='{OWN}/phone'><result xmlns='urn:xmpp:mam:2' queryid='{query}' id='{}'><forwarded xmlns='urn:xmpp:forward:0'>
         <delay xmlns='urn:xmpp:delay' stamp='{}'/>{}</forwarded></result></message>",
        entry.id,
        stamp::format(entry.at),
        entry.message
    )
}

fn fin(iq: &str, page: &[&Archived], complete: bool) -> String {
    let edges = match page {
        [] => String::new(),
        [first, .., last] => format!("<first>{}</first><last>{}</last>", first.id, last.id),
        [only] => format!("<first>{0}</first><last>{0}</last>", only.id),
    };
    format!(
        "<iq type='result' id='{iq}'><fin xmlns='urn:xmpp:mam:2' complete='{complete}'><set xmlns='http://jabber.org/protocol/rsm'>{edges}</set></fin></iq>"
    )
}

/// Archive entries from Juliet, numbered.
fn archived(numbers: std::ops::Range<u32>) -> Vec<Archived> {
    numbers
        .map(|n| Archived {
            id: format!("a{n}"),
            at: START + i64::from(n) * 1_000,
            message: format!(
                "<message xmlns='jabber:client' type='chat' from='{JULIET}/balcony' to='{OWN}' id='j{n}'><body>{n}</body></message>"
            ),
        })
        .collect()
}

/// What we have sent to Juliet, as the archive has it.
fn own_entry(id: &ItemId, text: &str, archive: &str, at: i64) -> Archived {
    Archived {
        id: archive.into(),
        at,
        message: format!(
            "<message xmlns='jabber:client' type='chat' from='{OWN}/phone.1' to='{JULIET}' id='{0}'><body>{text}</body><origin-id xmlns='urn:xmpp:sid:0' id='{0}'/></message>",
            id.0
        ),
    }
}

/// The same as [`archived`], live.
fn live(n: u32) -> String {
    format!(
        "<message type='chat' from='{JULIET}/balcony' to='{OWN}' id='j{n}'><body>{n}</body><stanza-id xmlns='urn:xmpp:sid:0' by='{OWN}' id='a{n}'/></message>"
    )
}

/// What we have sent to Juliet comes back.
fn bounce(id: &ItemId, condition: &str) -> String {
    format!(
        "<message type='error' from='{JULIET}' to='{OWN}' id='{}'><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        id.0
    )
}

fn element(xml: &str) -> Element {
    let wrapped: Element = format!("<x xmlns='jabber:client'>{xml}</x>").parse().unwrap();
    wrapped.children().next().unwrap().clone()
}

fn body(message: &Element) -> Option<String> {
    message.get_child("body", ns::JABBER_CLIENT).map(Element::text)
}

fn juliet() -> BareJid {
    JULIET.parse().unwrap()
}

fn secret() -> Secret {
    Secret([7; 48])
}

fn config() -> Config {
    Config { page: 50, ..Config::default() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn numbers(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

fn from_juliet(attributes: &str, content: &str) -> String {
    format!("<message type='chat' from='{JULIET}/balcony' to='{OWN}' {attributes}>{content}</message>")
}

fn receipt(from: &str, id: &str) -> String {
    format!("<message from='{from}' to='{OWN}'><received xmlns='urn:xmpp:receipts' id='{id}'/></message>")
}

fn marker(from: &str, id: &str) -> String {
    format!(
        "<message from='{from}' to='{OWN}'><displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/></message>"
    )
}

fn carbon(from: &str, direction: &str, inner: &str) -> String {
    format!(
        "<message from='{from}' to='{OWN}/phone'><{direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></{direction}></message>"
    )
}
