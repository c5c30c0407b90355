//! The play: a conversation in steps, the server that remembers what it was told, and the clock.
//!
//! The server is one of stream management (XEP-0198) and nothing else: what is not acknowledged it keeps and says again to
//! whoever resumes. It is strict where a phone could lie: nobody may acknowledge what was not sent, take back what was
//! acknowledged, or, over a link that another process has replaced, claim more than that one did.

use std::{collections::VecDeque, path::Path};

use minidom::Element;
use serde_json::{Value, json};
use tempfile::TempDir;
use whimbrel_engine::store;
use whimbrel_proto::{ns, sm};

use crate::{
    JULIET, ROMEO,
    actor::{Actor, Caught, Fate},
    elements, secret,
};

/// Which process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes the lease.
    App,
    /// Asks for it.
    Extension,
}

/// What happens, in order. Each step can be played again by another process that goes on.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Opens the file and takes the lease.
    Open,
    /// Logs in: a new session, or the old one resumed.
    GoOnline,
    /// Juliet says these.
    Receive(&'static [&'static str]),
    /// Romeo says this.
    Send(&'static str),
    /// The link is cut, and resumed.
    Cut,
    /// Suspended: the session stays on the server, the lease is released, the file closed.
    Leave,
}

/// One account: its file, its server, its clock.
#[derive(Debug)]
pub struct Stage {
    dir: TempDir,
    program: String,
    now: u64,
    lives: u64,
    requests: u64,
    replies: Vec<(u64, Option<String>)>,
    said: Vec<&'static str>,
    server: Server,
}

impl Stage {
    /// A new account on a server that has never heard of it. `program` is the actor.
    pub fn new(program: &str) -> Self {
        Self {
            dir: directory(),
            program: program.to_owned(),
            now: 0,
            lives: 0,
            requests: 0,
            replies: Vec::new(),
            said: Vec::new(),
            server: Server::default(),
        }
    }

    /// Starts a process.
    pub fn start(&mut self, trap: Option<(Fate, u64)>) -> Actor {
        self.lives += 1;
        Actor::start(&self.program, self.dir.path(), self.lives, trap)
    }

    /// Opens the file; what it says if that is refused.
    pub fn open(&mut self, actor: &mut Actor, role: Role) -> Result<Result<(), String>, Caught> {
        if role == Role::Extension {
            let answer = actor.ask(&json!({ "ask": true }))?;
            if let Some(error) = answer["error"].as_str() {
                return Ok(Err(error.to_owned()));
            }
        }
        self.take(actor, role)
    }

    /// Takes the lease; what it says if that is refused. An extension has asked for it, and the second is over.
    pub fn take(&mut self, actor: &mut Actor, role: Role) -> Result<Result<(), String>, Caught> {
        let role = if role == Role::App { "app" } else { "extension" };
        let answer = actor.ask(&json!({ "open": role }))?;
        Ok(answer["error"].as_str().map_or(Ok(()), |error| Err(error.to_owned())))
    }

    /// Plays one step with a process that has taken the steps before, or others for it.
    pub fn play(&mut self, actor: &mut Actor, role: Role, step: Step) -> Result<(), Caught> {
        match step {
            Step::Open => {
                let opened = self.open(actor, role)?;
                assert_eq!(opened, Ok(()));
            }
            Step::GoOnline => self.go_online(actor)?,
            Step::Receive(texts) => {
                let new: Vec<_> = texts.iter().copied().filter(|text| !self.said.contains(text)).collect();
                self.said.extend(&new);
                let link = actor.link.expect("it is online");
                let said = new.iter().map(|text| self.server.says(message(text)));
                let said: Vec<_> = said.chain(["<r xmlns='urn:xmpp:sm:3'/>".into()]).collect();
                self.turn(actor, said.iter().map(|xml| arrives(link, xml)).collect())?;
            }
            Step::Send(text) => {
                let error = self.request(actor, json!({ "in": "send", "id": id(text), "text": text }))?;
                assert_eq!(error, Some(None), "it is durable");
            }
            Step::Cut => {
                let link = actor.link.take().expect("it is online");
                actor.online = false;
                self.turn(actor, vec![json!({ "in": "lost", "link": link })])?;
                self.go_online(actor)?;
            }
            Step::Leave => {
                self.leave(actor)?;
            }
        }
        Ok(())
    }

    /// Lets go of the lease and the file, and ends; how many statements that were in its whole life.
    pub fn leave(&mut self, actor: &mut Actor) -> Result<u64, Caught> {
        self.request(actor, json!({ "in": "suspend" }))?;
        let answer = actor.ask(&json!({ "close": true }))?;
        actor.closed = true;
        Ok(answer["closed"].as_u64().expect("a number"))
    }

    /// What a process that was stopped says to what it was told before.
    pub fn goes_on(&mut self, actor: &mut Actor) -> Value {
        let answer = actor.go_on();
        if answer["did"].is_array() {
            let more = self.perform(actor, &answer);
            let mut batches = std::mem::take(&mut actor.arriving);
            batches.extend(more);
            self.turns(actor, batches).expect("a trap snaps once");
        }
        actor.closed = !answer["closed"].is_null();
        answer
    }

    /// Whether this process may write, as it finds out by trying.
    pub fn has_lease(&mut self, actor: &mut Actor) -> bool {
        self.turn(actor, vec![json!({ "in": "tick" })]).expect("a trap snaps once");
        !actor.lost
    }

    /// What a process answers to whoever wants to send over it.
    pub fn refuses_to_send(&mut self, actor: &mut Actor) -> Option<String> {
        let ghost = json!({ "in": "send", "id": id("ghost"), "text": "ghost" });
        self.request(actor, ghost).expect("a trap snaps once").expect("an answer")
    }

    fn request(&mut self, actor: &mut Actor, mut input: Value) -> Result<Option<Option<String>>, Caught> {
        self.requests += 1;
        let request = self.requests;
        input["request"] = request.into();
        self.turn(actor, vec![input])?;
        Ok(self.replies.iter().find(|(to, _)| *to == request).map(|(_, error)| error.clone()))
    }

    fn go_online(&mut self, actor: &mut Actor) -> Result<(), Caught> {
        if actor.link.is_none() && actor.wake.is_none() {
            self.request(actor, json!({ "in": "sign_in" }))?;
        }
        for _ in 0..100 {
            if actor.online {
                return Ok(());
            }
            self.now = actor.wake.unwrap_or_default().max(self.now);
            self.turn(actor, vec![json!({ "in": "tick" })])?;
        }
        panic!("it does not come online");
    }

    fn turn(&mut self, actor: &mut Actor, inputs: Vec<Value>) -> Result<(), Caught> {
        self.turns(actor, VecDeque::from([inputs]))
    }

    /// A step of the process, and those that the server's answers lead to.
    fn turns(&mut self, actor: &mut Actor, mut batches: VecDeque<Vec<Value>>) -> Result<(), Caught> {
        while let Some(inputs) = batches.pop_front() {
            self.now += 10;
            let answer = match actor.ask(&json!({ "turn": inputs, "now": self.now })) {
                Ok(answer) => answer,
                Err(caught) => {
                    // What is on its way to it stays so.
                    actor.arriving = batches;
                    return Err(caught);
                }
            };
            batches.extend(self.perform(actor, &answer));
        }
        Ok(())
    }

    /// Does what was asked for after the commit.
    fn perform(&mut self, actor: &mut Actor, answer: &Value) -> Vec<Vec<Value>> {
        actor.wake = answer["wake"].as_u64();
        actor.lost = answer["lost"] == true;
        let mut batches = Vec::new();
        for did in answer["did"].as_array().expect("effects") {
            if let Some(link) = did["connect"].as_u64() {
                (actor.link, actor.online) = (Some(link), false);
                self.server.live = Some((actor.life, link));
                batches.push(vec![json!({ "in": "up", "link": link })]);
                batches.push(vec![arrives(link, LOGIN)]);
            } else if let Some(bytes) = did["send"].as_str() {
                let link = did["link"].as_u64().expect("a link");
                if self.server.live == Some((actor.life, link)) {
                    let says = self.server.reads(bytes);
                    actor.online |=
                        says.iter().any(|xml| xml.starts_with("<resumed") || xml.starts_with("<enabled"));
                    batches.extend(says.iter().map(|xml| vec![arrives(link, xml)]));
                } else {
                    self.server.reads_stale(bytes);
                }
            } else if did["hangup"].is_u64() {
                (actor.link, actor.online) = (None, false);
            } else if let Some(request) = did["reply"].as_u64() {
                self.replies.push((request, did["error"].as_str().map(str::to_owned)));
            }
        }
        batches
    }

    /// All rows of the file, as another process reads them.
    pub fn rows(&self) -> Vec<String> {
        let file = store::open_reader(&self.path(), &secret()).expect("it can be read");
        let mut tables = file
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .expect("a schema");
        let tables = tables.query_map([], |row| row.get::<_, String>(0)).expect("a schema");
        let mut rows = Vec::new();
        for table in tables.map(|table| table.expect("a name")) {
            let mut all = file.prepare(&format!("SELECT * FROM {table}")).expect("a table");
            let width = all.column_count();
            let mut found = all.query([]).expect("a table");
            while let Some(row) = found.next().expect("a row") {
                let values: Vec<_> =
                    (0..width).map(|at| format!("{:?}", row.get_ref(at).expect("a column"))).collect();
                rows.push(format!("{table}: {}", values.join(", ")));
            }
        }
        rows
    }

    /// What must hold in the end, whatever happened: all of it is there once, in order, on both sides.
    pub fn check(&self, play: &[Step]) {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for step in play {
            match step {
                Step::Receive(texts) => theirs.extend(texts.iter().map(|text| (*text).to_owned())),
                Step::Send(text) => ours.push((*text).to_owned()),
                _ => {}
            }
        }
        assert_eq!(self.server.heard, ours, "what reached Juliet");
        let file = store::open_reader(&self.path(), &secret()).expect("it can be read");
        let whole: String =
            file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
        assert_eq!(whole, "ok");
        for (mine, expected) in [(false, theirs), (true, ours)] {
            let mut there = file
                .prepare("SELECT body FROM message WHERE mine = ?1 ORDER BY position, id")
                .expect("an archive");
            let there = there.query_map([mine], |row| row.get::<_, String>(0)).expect("an archive");
            let there: Vec<_> = there.map(|text| text.expect("a text")).collect();
            assert_eq!(there, expected, "what is in the file; mine: {mine}");
        }
        let waiting: i64 = file
            .query_row("SELECT count(*) FROM outbox WHERE kind = 0", [], |row| row.get(0))
            .expect("an outbox");
        assert_eq!(waiting, 0, "all of it was acknowledged");
        let held: bool = file.query_row("SELECT held FROM lease", [], |row| row.get(0)).expect("a lease");
        assert!(!held, "who left has let go");
        let session = self.server.session.as_ref().expect("a session");
        assert_eq!(session.acknowledged, session.sent.len(), "and all of it is in the file");
    }

    fn path(&self) -> std::path::PathBuf {
        Path::new(self.dir.path()).join("account.db")
    }
}

/// A killed process loses nothing that it has written, synced or not: a disk in memory shows the same, sooner.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

fn arrives(link: u64, xml: &str) -> Value {
    json!({ "in": "element", "link": link, "xml": xml })
}

fn message(text: &str) -> String {
    format!(
        "<message type='chat' from='{JULIET}/balcony' to='{ROMEO}' id='{text}'><body>{text}</body></message>"
    )
}

/// A UUID of this text.
fn id(text: &str) -> String {
    let hash = text.bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    format!("00000000-0000-4000-8000-{:012x}", hash & 0xFFFF_FFFF_FFFF)
}

const LOGIN: &str = "<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></features>";
const FEATURES: &str = "<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></features>";

#[derive(Debug, Default)]
struct Server {
    /// The process and its connection that came last: it has replaced the others.
    live: Option<(u64, u64)>,
    session: Option<Session>,
    sessions: u32,
    /// Whether the live connection's stanzas count already.
    counts: bool,
    heard: Vec<String>,
}

#[derive(Debug, Default)]
struct Session {
    name: String,
    /// Every stanza that counts, said in it.
    sent: Vec<String>,
    acknowledged: usize,
    /// Handled of the phone's.
    h: u32,
}

impl Server {
    fn says(&mut self, xml: String) -> String {
        self.session.as_mut().expect("a session").sent.push(xml.clone());
        xml
    }

    /// What it answers, in order.
    fn reads(&mut self, bytes: &str) -> Vec<String> {
        let mut says = Vec::new();
        for element in elements(without_header(bytes)) {
            if self.counts && sm::is_counted(&element) {
                self.session.as_mut().expect("a session").h += 1;
            }
            self.read(&element, &mut says);
        }
        says
    }

    fn read(&mut self, element: &Element, says: &mut Vec<String>) {
        let h = || element.attr("h").and_then(|h| h.parse::<usize>().ok()).expect("a number");
        match element.name() {
            "auth" => {
                self.counts = false;
                says.extend(["<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".into(), FEATURES.into()]);
            }
            "resume" => match &mut self.session {
                Some(session) if Some(session.name.as_str()) == element.attr("previd") => {
                    session.acknowledge(h());
                    self.counts = true;
                    says.push(format!(
                        "<resumed xmlns='urn:xmpp:sm:3' previd='{}' h='{}'/>",
                        session.name, session.h
                    ));
                    says.extend_from_slice(&session.sent[session.acknowledged..]);
                }
                _ => says.push("<failed xmlns='urn:xmpp:sm:3'/>".into()),
            },
            "enable" => {
                self.sessions += 1;
                let name = format!("session-{}", self.sessions);
                let before = self.session.replace(Session { name: name.clone(), ..Session::default() });
                self.counts = true;
                says.push(format!("<enabled xmlns='urn:xmpp:sm:3' id='{name}' resume='true'/>"));
                // Nobody has acknowledged them: they wait for whoever comes.
                let before =
                    before.map(|before| before.sent[before.acknowledged..].to_vec()).unwrap_or_default();
                says.extend(
                    before.into_iter().filter(|xml| xml.starts_with("<message")).map(|xml| self.says(xml)),
                );
            }
            "r" => {
                let h = self.session.as_ref().map_or(0, |session| session.h);
                says.push(format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
            }
            "a" => self.session.as_mut().expect("a session").acknowledge(h()),
            "message" => self.heard.extend(element.get_child("body", ns::JABBER_CLIENT).map(Element::text)),
            "iq" if matches!(element.attr("type"), Some("get" | "set")) => {
                let asked = element.children().next().expect("a question");
                let content = match asked.name() {
                    "bind" => format!("<bind xmlns='{}'><jid>{ROMEO}/phone</jid></bind>", asked.ns()),
                    "query" => format!("<query xmlns='{}'/>", asked.ns()),
                    _ => String::new(),
                };
                let to = element.attr("to").map(|to| format!("from='{to}'")).unwrap_or_default();
                let answer = format!(
                    "<iq type='result' id='{}' {to}>{content}</iq>",
                    element.attr("id").unwrap_or_default()
                );
                says.push(if self.counts { self.says(answer) } else { answer });
            }
            _ => {}
        }
    }

    /// Bytes over a link that another has replaced. They are lost; but what they claim must be true.
    fn reads_stale(&mut self, bytes: &str) {
        let acknowledged = self.session.as_ref().map_or(0, |session| session.acknowledged);
        for element in elements(without_header(bytes)) {
            if element.is("a", ns::SM) {
                let h: usize = element.attr("h").and_then(|h| h.parse().ok()).expect("a number");
                assert!(
                    h <= acknowledged,
                    "a link that was replaced acknowledges {h}, the new one {acknowledged}"
                );
            }
        }
    }
}

impl Session {
    fn acknowledge(&mut self, h: usize) {
        assert!(h <= self.sent.len(), "{h} were acknowledged and {} sent", self.sent.len());
        assert!(h >= self.acknowledged, "{} were acknowledged, and then {h}", self.acknowledged);
        self.acknowledged = h;
    }
}

fn without_header(bytes: &str) -> &str {
    match bytes.find("<stream:stream") {
        Some(at) => &bytes[at + bytes[at..].find('>').map_or(0, |end| end + 1)..],
        None => bytes,
    }
}
