//! An hour in which the user does nothing: what a phone pays for staying reachable.
//!
//! The engine is the real one, on an encrypted file; the clock is moved, and the server is a small model that holds back what
//! CSI allows it to, as mod_csi_simple does, and asks for acknowledgements as mod_smacks does. Beside it the same engine is
//! made to ask its link every minute, with `<r/>`, the cheapest ping there is: same traffic, same counting.
//!
//! | figure | what is counted |
//! |---|---|
//! | `writes` | commits that changed the file |
//! | `bytes_up`, `bytes_down` | XML both ways, without TLS and TCP |
//! | `wakeups` | times that the device has something to do after a second of nothing |
//! | `own_wakeups` | those of them that a timer of ours is the reason for |
//!
//! Then some real minutes ([`crate::namespace`]): what the interface of a console in the background counts, beside one that
//! asks its link every minute.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use clap::Args;
use minidom::Element;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rusqlite::Connection;
use uuid::Uuid;
use whimbrel_engine::{
    Config, Effect, Engine, Input, LinkId, Now, StreamHeader, Tls,
    api::{Command, RequestId},
    store::{self, Secret},
};

use crate::{Result, figures::Report, namespace};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Real minutes on a real wire; 0 for the simulated hour alone
    #[arg(long, default_value_t = 3)]
    minutes: u64,
}

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
/// From the server to us or back, in ms.
const WAY: u64 = 50;
/// A device that had nothing to do for so many ms sleeps.
const ASLEEP: u64 = 1_000;
const CONTACTS: u32 = 20;
const ACCOUNT: &str = "romeo@montague.lit";
const START: i64 = 1_795_000_000_000;
const SECRET: Secret = Secret([7; 48]);

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("idle_hour");
    let dir = crate::data_dir("idle_hour")?;
    for (mode, foreground) in [("background", false), ("foreground", true)] {
        for (traffic, name) in
            [(Traffic::None, "nothing"), (Traffic::Contacts, "contacts"), (Traffic::Messages, "messages")]
        {
            for (who, ping) in [("", None), ("pinger_", Some(MINUTE))] {
                let counted = Hour::new(&dir, foreground, ping)?.pass(traffic)?;
                let mut figure = |metric: &str, value: u64, unit| {
                    report.figure(format!("{who}{mode}_{name}_{metric}"), value as f64, unit);
                };
                figure("writes", counted.writes, "");
                figure("bytes_up", counted.up, "B");
                figure("bytes_down", counted.down, "B");
                figure("wakeups", counted.wakeups, "");
                figure("own_wakeups", counted.own_wakeups, "");
            }
        }
    }
    if arguments.minutes > 0 {
        namespace::run(arguments.minutes, report)?;
    }
    Ok(())
}

/// What comes in while the user does nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Traffic {
    None,
    /// Twenty contacts come and go every ten minutes, and one of them types.
    Contacts,
    /// A message every five minutes, that wants a receipt.
    Messages,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    writes: u64,
    up: u64,
    down: u64,
    wakeups: u64,
    own_wakeups: u64,
}

struct Hour {
    engine: Engine,
    /// Sees whether the last step changed the file.
    reader: Connection,
    version: i64,
    now: u64,
    rng: StdRng,
    link: LinkId,
    server: Server,
    /// What is on its way to us, by the time when it is there.
    coming: BTreeMap<(u64, u64), String>,
    ping: Option<u64>,
    last: u64,
    counted: Counted,
}

impl Hour {
    /// Online, caught up, and nothing on its way.
    fn new(dir: &Path, foreground: bool, ping: Option<u64>) -> Result<Self> {
        let path = dir.join("account.db");
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
        let file = store::open(&path, &SECRET)?;
        store::create_account(&file, &ACCOUNT.parse()?, Uuid::nil(), 0)?;
        file.execute_batch("UPDATE account SET password = 'secret', allow_plain = 1")?;
        let engine = Engine::load(file, Config::default())?;
        let mut hour = Self {
            engine,
            reader: store::open_reader(&path, &SECRET)?,
            version: 0,
            now: 0,
            rng: StdRng::seed_from_u64(1),
            link: LinkId(0),
            server: Server::default(),
            coming: BTreeMap::new(),
            ping: None,
            last: 0,
            counted: Counted::default(),
        };
        hour.turn(vec![Input::Foreground(foreground)])?;
        hour.turn(vec![Input::Command { request: RequestId(1), command: Command::Connect }])?;
        hour.turn(vec![Input::LinkUp { link: hour.link, tls: Some(Tls::default()) }])?;
        hour.turn(vec![Input::Header { link: hour.link, header: StreamHeader { from: None, id: None } }])?;
        hour.says(&format!("<features xmlns='{STREAM}'><mechanisms xmlns='{SASL}'><mechanism>PLAIN</mechanism></mechanisms></features>"));
        hour.settle()?;
        if hour.engine.next_wake().is_none() || !hour.server.counts {
            return Err("the engine did not come online".into());
        }
        hour.ping = ping.map(|_| hour.now + MINUTE);
        hour.last = hour.now;
        hour.counted = Counted::default();
        Ok(hour)
    }

    fn pass(mut self, traffic: Traffic) -> Result<Counted> {
        let end = self.now + HOUR;
        let mut plan = traffic.plan(self.now, &mut self.rng).into_iter().peekable();
        loop {
            let due = [
                plan.peek().map(|(at, _)| *at),
                self.coming.keys().next().map(|(at, _)| *at),
                self.ping,
                self.engine.next_wake(),
            ];
            let Some(next) = due.into_iter().flatten().min().filter(|next| *next < end) else { break };
            self.now = self.now.max(next);
            while let Some((_, stanza)) = plan.next_if(|(at, _)| *at <= self.now) {
                for xml in self.server.relay(stanza) {
                    self.says(&xml);
                }
            }
            let arrived = self.arrived()?;
            if !arrived.is_empty() {
                self.wakes(false);
                self.turn(arrived)?;
            }
            if self.ping.is_some_and(|ping| ping <= self.now) {
                self.ping = Some(self.now + MINUTE);
                self.wakes(true);
                self.turn(vec![Input::Woke])?;
            }
            if self.engine.next_wake().is_some_and(|wake| wake <= self.now) {
                self.wakes(true);
                self.turn(vec![Input::Tick])?;
            }
        }
        Ok(self.counted)
    }

    fn wakes(&mut self, own: bool) {
        if self.now >= self.last + ASLEEP {
            self.counted.wakeups += 1;
            self.counted.own_wakeups += u64::from(own);
        }
        self.last = self.now;
    }

    /// The server writes this now.
    fn says(&mut self, xml: &str) {
        let number = self.coming.len() as u64 + self.counted.down;
        self.coming.insert((self.now + WAY, number), xml.to_owned());
        self.counted.down += xml.len() as u64;
    }

    fn arrived(&mut self) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now) {
            inputs.push(Input::Element { link: self.link, element: element(&entry.remove())? });
        }
        Ok(inputs)
    }

    /// Until nothing is on its way any more.
    fn settle(&mut self) -> Result<()> {
        while let Some(&(at, _)) = self.coming.keys().next() {
            self.now = self.now.max(at);
            let arrived = self.arrived()?;
            self.turn(arrived)?;
        }
        Ok(())
    }

    fn turn(&mut self, inputs: Vec<Input>) -> Result<()> {
        let now = Now { mono: self.now, wall: START + self.now as i64 };
        for effect in self.engine.turn(inputs, now, &mut self.rng) {
            match effect {
                Effect::Connect { link, .. } => self.link = link,
                Effect::Send { bytes, .. } => {
                    self.counted.up += bytes.len() as u64;
                    let text = String::from_utf8(bytes)?;
                    let text = text.find("<stream:stream").map_or(text.as_str(), |_| "");
                    for said in element(&format!("<x>{text}</x>"))?.children() {
                        for answer in self.server.answer(said) {
                            self.says(&answer);
                        }
                    }
                }
                Effect::Hangup { .. } | Effect::Close { .. } => return Err("the engine hung up".into()),
                _ => {}
            }
        }
        let version = self.reader.pragma_query_value(None, "data_version", |row| row.get(0))?;
        self.counted.writes += u64::from(version != self.version);
        self.version = version;
        Ok(())
    }
}

impl Traffic {
    /// What comes in this hour, and when.
    fn plan(self, from: u64, rng: &mut StdRng) -> Vec<(u64, Stanza)> {
        let mut plan = Vec::new();
        match self {
            Traffic::None => {}
            Traffic::Contacts => {
                for contact in 0..CONTACTS {
                    let mut at = from + rng.random_range(0..10 * MINUTE);
                    while at < from + HOUR {
                        plan.push((at, Stanza::Presence { contact, away: rng.random() }));
                        at += rng.random_range(5 * MINUTE..15 * MINUTE);
                    }
                }
                let mut at = from + MINUTE;
                while at < from + HOUR {
                    plan.push((at, Stanza::ChatState { contact: 0, state: "composing" }));
                    plan.push((at + 8_000, Stanza::ChatState { contact: 0, state: "paused" }));
                    at += rng.random_range(MINUTE..3 * MINUTE);
                }
            }
            Traffic::Messages => {
                plan.extend((0..12).map(|n| (from + n * 5 * MINUTE + 77_000, Stanza::Message { number: n })));
            }
        }
        plan.sort_by_key(|(at, _)| *at);
        plan
    }
}

/// What a contact sends.
#[derive(Clone, Copy)]
enum Stanza {
    Presence { contact: u32, away: bool },
    ChatState { contact: u32, state: &'static str },
    Message { number: u64 },
}

impl Stanza {
    fn xml(self) -> String {
        match self {
            Stanza::Presence { contact, away } => {
                let show = if away { "<show>away</show>" } else { "" };
                format!(
                    "<presence from='contact{contact}@capulet.lit/phone' to='{ACCOUNT}/phone'>{show}\
                     <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' \
                     ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>"
                )
            }
            Stanza::ChatState { contact, state } => format!(
                "<message type='chat' from='contact{contact}@capulet.lit/phone' to='{ACCOUNT}/phone'>\
                 <{state} xmlns='http://jabber.org/protocol/chatstates'/></message>"
            ),
            Stanza::Message { number } => {
                let id = Uuid::from_u128(u128::from(number) + 1);
                format!(
                    "<message type='chat' from='contact0@capulet.lit/phone' to='{ACCOUNT}' id='{id}'>\
                     <body>Parting is such sweet sorrow</body><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>\
                     <request xmlns='urn:xmpp:receipts'/>\
                     <stanza-id xmlns='urn:xmpp:sid:0' by='{ACCOUNT}' id='archived-{number}'/></message>"
                )
            }
        }
    }
}

const STREAM: &str = "http://etherx.jabber.org/streams";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SM: &str = "urn:xmpp:sm:3";

/// A server of the kind that people run.
#[derive(Default)]
struct Server {
    /// Counted stanzas of ours, from `<enable/>` on.
    h: u32,
    counts: bool,
    inactive: bool,
    /// What waits until something important comes: the last presence of each contact.
    held: BTreeMap<u32, Stanza>,
    known: BTreeSet<u32>,
}

impl Server {
    /// What it writes when a contact sends this.
    fn relay(&mut self, stanza: Stanza) -> Vec<String> {
        match stanza {
            Stanza::Presence { contact, .. } if self.inactive => {
                self.held.insert(contact, stanza);
                Vec::new()
            }
            Stanza::ChatState { .. } if self.inactive => Vec::new(),
            _ => {
                if let Stanza::Presence { contact, .. } = stanza {
                    self.known.insert(contact);
                }
                let mut all: Vec<String> =
                    std::mem::take(&mut self.held).into_values().map(Stanza::xml).collect();
                all.push(stanza.xml());
                if !self.inactive {
                    all.push(format!("<r xmlns='{SM}'/>"));
                }
                all
            }
        }
    }

    fn answer(&mut self, said: &Element) -> Vec<String> {
        let id = said.attr("id").unwrap_or_default();
        let result = |content: &str| vec![format!("<iq type='result' id='{id}'>{content}</iq>")];
        if self.counts && matches!(said.name(), "iq" | "message" | "presence") {
            self.h += 1;
        }
        match (said.name(), said.children().next().map(|payload| (payload.name(), payload.ns()))) {
            ("auth", _) => vec![
                format!("<success xmlns='{SASL}'/>"),
                format!(
                    "<features xmlns='{STREAM}'><bind xmlns='{BIND}'/><sm xmlns='{SM}'/><csi xmlns='urn:xmpp:csi:0'/></features>"
                ),
            ],
            ("enable", _) => {
                self.counts = true;
                vec![format!("<enabled xmlns='{SM}' id='session' resume='true'/>")]
            }
            ("r", _) => vec![format!("<a xmlns='{SM}' h='{}'/>", self.h)],
            ("inactive", _) => {
                self.inactive = true;
                Vec::new()
            }
            ("iq", Some(("bind", _))) => {
                result(&format!("<bind xmlns='{BIND}'><jid>{ACCOUNT}/phone</jid></bind>"))
            }
            ("iq", Some(("query", ns))) if ns == "jabber:iq:roster" => {
                let items: String = (0..CONTACTS)
                    .map(|n| format!("<item jid='contact{n}@capulet.lit' subscription='both'/>"))
                    .collect();
                result(&format!("<query xmlns='{ns}'>{items}</query>"))
            }
            ("iq", Some(("query", ns))) if ns.contains("disco#info") => {
                result(&format!("<query xmlns='{ns}'><feature var='urn:xmpp:mam:2'/></query>"))
            }
            ("iq", Some(("query", ns))) if ns == "urn:xmpp:mam:2" => result(&format!(
                "<fin xmlns='{ns}' complete='true'><set xmlns='http://jabber.org/protocol/rsm'/></fin>"
            )),
            ("iq", Some(("prefs", ns))) => result(&format!("<prefs xmlns='{ns}' default='always'/>")),
            ("iq", _) if said.attr("type") == Some("set") => result(""),
            _ => Vec::new(),
        }
    }
}

fn element(xml: &str) -> Result<Element> {
    let wrapped: Element = format!("<x xmlns='jabber:client'>{xml}</x>").parse()?;
    Ok(wrapped.children().next().ok_or("nothing was said")?.clone())
}
