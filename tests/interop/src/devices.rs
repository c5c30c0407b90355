//! Three devices of one account and a friend, through seeded random use: at rest all of them show the same.
//!
//! Two of the devices are ours, the third is slixmpp, which makes what it shows of the archive alone, in its order: that is what
//! everybody has to come to. They send, edit, retract, react, answer and read, often several of them at one moment, while the
//! links of ours break and their processes are killed. What a device has accepted counts: its message is there in the end, what
//! it retracted is not, and what was in doubt is asked again under the same id, as an app would.

mod script;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Break, Console, Error, InFlight, Kind, Link, Options, Phone, Result, Scratch, Server, Then, program,
    python_with_slixmpp,
};
use script::{Author, Deed, Number, Side, Step, Trouble, Who};
use view::{View, differences, number};

const ALICE: (&str, &str) = ("alice@a.test", "secret-a");
const BOB: (&str, &str) = ("bob@b.test", "secret-b");
const SLIXMPP: &str = include_str!("../peers/slixmpp_device.py");

/// Steps from one rest to the next.
const STEPS: usize = 40;
/// Longer than any answer takes that is still to come, on a machine that is busy with something else.
const ANSWER: Duration = Duration::from_secs(120);
/// Until everybody is back, has everything and has sent everything.
const SETTLING: Duration = Duration::from_secs(240);
/// Whoever has everything agrees: a machine's slowness is allowed for, and nothing else.
const AGREEING: Duration = Duration::from_secs(30);
/// ejabberd copies nothing to a session while that is resumed. What was lost so is found when the archive is compared, a minute after
/// it was the last time; as much again for a machine that is busy.
const COMPARING: Duration = Duration::from_secs(120);
/// Each way: what is done within a round trip is done at the same moment.
const DELAYS: [Duration; 3] =
    [Duration::from_millis(40), Duration::from_millis(15), Duration::from_millis(25)];

/// What happened, for people.
#[derive(Debug, Clone, Copy, Default)]
pub struct Agreed {
    /// Times that all of them were compared.
    pub rests: usize,
    /// The longest of these times, from when each had settled until all agreed.
    pub slowest: Duration,
    /// What was asked of a device and not refused.
    pub deeds: usize,
    /// Messages in the end.
    pub messages: usize,
    /// Cuts, dead zones, kills.
    pub troubles: usize,
}

/// Lets them do what the seed says for so long, and compares them now and then. The error of a disagreement has the script so far.
pub fn devices_agree(kind: Kind, seed: u64, over: Duration, venv: &Path) -> Result<Agreed> {
    let python = python_with_slixmpp(venv)?;
    let server = Server::start(kind, Options::default())?;
    let scratch = Scratch::new("devices")?;
    let mut play = Play::new(&server, scratch.path(), &python, seed)?;
    let began = Instant::now();
    let ended = play.befriend().and_then(|()| {
        let mut author = Author::new(seed);
        while began.elapsed() < over {
            for _ in 0..STEPS {
                play.step(author.step())?;
            }
            play.rest()?;
        }
        play.new_device()
    });
    match ended {
        Ok(()) => Ok(play.agreed),
        Err(error) => {
            let logs: Vec<String> = play.keep_logs(seed);
            Err(Error::Failed {
                what: format!("the agreement of devices over {} with seed {seed}", kind.name()),
                said: format!("{}\n\n{error}\n{}", play.told.join("\n"), logs.join("\n")),
            })
        }
    }
}

/// A request that may have to be made again.
struct Asked {
    what: &'static str,
    fields: Value,
    deed: Deed,
    /// `None` while nobody is there to answer.
    id: Option<u64>,
}

struct Device {
    who: Who,
    phone: Phone,
    /// What breaks, of ours.
    link: Option<Link>,
    /// `None` while it is dead.
    console: Option<Console>,
    /// What it is away for, and until which step.
    away: Option<(Trouble, usize)>,
    asked: Vec<Asked>,
}

struct Play<'a> {
    seed: u64,
    server: &'a Server,
    dir: &'a Path,
    devices: Vec<Device>,
    steps: usize,
    /// Messages that a device has accepted, and those that one has accepted to retract.
    sent: BTreeSet<Number>,
    retracted: BTreeSet<Number>,
    /// The script so far, and what became of it.
    told: Vec<String>,
    agreed: Agreed,
}

impl<'a> Play<'a> {
    fn new(server: &'a Server, dir: &'a Path, python: &Path, seed: u64) -> Result<Play<'a>> {
        let script = dir.join("slixmpp_device.py");
        fs::write(&script, SLIXMPP).map_err(Error::io("writing slixmpp's script"))?;
        let slixmpp = program(
            &dir.join("slixmpp.sh"),
            &format!("'{}' '{}' --peer {}", python.display(), script.display(), BOB.0),
        )?;
        let mut devices = Vec::new();
        for (at, who) in Who::ALL.into_iter().enumerate() {
            let (account, password) = if who.side() == Side::Alice { ALICE } else { BOB };
            let phone =
                Phone::new(dir.join(who.name()), account, password).with_direct_tls().trusting(server.ca());
            let (phone, link) = if who == Who::Slixmpp {
                (phone.at(server.direct_tls_port()).running(&slixmpp), None)
            } else {
                let link = Link::to(server.direct_tls_port())?;
                link.delay(DELAYS[at % DELAYS.len()]);
                (phone.at(link.port()), Some(link))
            };
            let console = Some(Console::start(&phone)?);
            devices.push(Device { who, phone, link, console, away: None, asked: Vec::new() });
        }
        let play = Play {
            seed,
            server,
            dir,
            devices,
            steps: 0,
            sent: BTreeSet::new(),
            retracted: BTreeSet::new(),
            told: Vec::new(),
            agreed: Agreed::default(),
        };
        for device in &play.devices {
            device.console()?.wait_online(ANSWER)?;
        }
        Ok(play)
    }

    /// Receipts and markers are for friends only.
    fn befriend(&self) -> Result<()> {
        let [alice, bob] = [Who::Phone, Who::Bob].map(|who| &self.devices[who as usize]);
        for device in [alice, bob] {
            device.request("add", json!({ "jid": device.peer() }))?;
        }
        let deadline = Instant::now() + ANSWER;
        while !(alice.is_friend()? & bob.is_friend()?) {
            if Instant::now() > deadline {
                return Err(Error::TimedOut("friendship".into()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<()> {
        self.steps += 1;
        for at in 0..self.devices.len() {
            if self.devices[at].away.is_some_and(|(_, until)| self.steps > until) {
                self.comes_back(at)?;
            }
        }
        self.told.push(format!("{:4} {step}", self.steps));
        // Found first, so that all are asked at one moment.
        let mut requests = Vec::new();
        for (who, deed) in step.deeds {
            if self.devices[who as usize].console.is_none() {
                self.note(who, "is dead");
                continue;
            }
            match self.request(who, &deed)? {
                Some((what, fields)) => requests.push((who, Asked { what, fields, deed, id: None })),
                None => self.note(who, "does not have it"),
            }
        }
        for (who, mut asked) in requests {
            let device = &mut self.devices[who as usize];
            asked.id = device.console()?.ask(asked.what, asked.fields.clone()).ok();
            device.asked.push(asked);
        }
        if let Some((who, trouble)) = step.trouble {
            self.happens(who, trouble)?;
        }
        for at in 0..self.devices.len() {
            self.hear(at)?;
        }
        thread::sleep(step.pause);
        Ok(())
    }

    fn note(&mut self, who: Who, what: &str) {
        self.told.push(format!("       {} {what}", who.name()));
    }

    /// What a console is asked; `None` if it does not show what the deed is about.
    fn request(&self, who: Who, deed: &Deed) -> Result<Option<(&'static str, Value)>> {
        let device = &self.devices[who as usize];
        let shown = |message: &Number| -> Result<Option<Value>> {
            if who == Who::Slixmpp {
                return Ok(Some(self.id(1, *message).into()));
            }
            let items = device.items()?;
            let it = items.iter().find(|item| item["text"].as_str().and_then(number) == Some(*message));
            Ok(it.map(|item| item["id"].clone()))
        };
        let about = |message: &Number, change: &Number| -> Result<Option<Value>> {
            let fields =
                |item| json!({ "to": device.peer(), "message": item, "change": self.id(2, *change) });
            Ok(shown(message)?.map(fields))
        };
        Ok(match deed {
            Deed::Send { message, answers, text } => {
                let mut fields =
                    json!({ "to": device.peer(), "message": self.id(1, *message), "text": text });
                if let Some(answered) = answers {
                    match shown(answered)? {
                        Some(answered) => fields["reply_to"] = answered,
                        None => return Ok(None),
                    }
                }
                Some(("send", fields))
            }
            Deed::Edit { message, change, text } => about(message, change)?.map(|mut fields| {
                fields["text"] = text.as_str().into();
                fields["chain"] = (change % 3 == 0).into();
                ("edit", fields)
            }),
            Deed::Retract { message, change } => about(message, change)?.map(|fields| ("retract", fields)),
            Deed::React { message, change, reactions } => about(message, change)?.map(|mut fields| {
                fields["reactions"] = json!(reactions);
                ("react", fields)
            }),
            Deed::MarkRead => Some(("mark_read", json!({ "with": device.peer() }))),
        })
    }

    /// The same in each run of a seed.
    fn id(&self, of: u16, number: Number) -> String {
        format!("{:08x}-{of:04x}-4000-8000-{number:012x}", self.seed as u32)
    }

    /// Takes the answers; what nobody can answer any more waits until the device is back.
    fn hear(&mut self, at: usize) -> Result<()> {
        let device = &mut self.devices[at];
        let Some(console) = &device.console else { return Ok(()) };
        console.take_events();
        let mut notes = Vec::new();
        for asked in std::mem::take(&mut device.asked) {
            let answer = match asked.id {
                Some(id) => console.reply(id, ANSWER),
                None => Err(Error::Gone),
            };
            match answer {
                Ok(_) => {
                    self.agreed.deeds += 1;
                    match asked.deed {
                        Deed::Send { message, .. } => drop(self.sent.insert(message)),
                        Deed::Retract { message, .. } => drop(self.retracted.insert(message)),
                        _ => {}
                    }
                }
                Err(Error::Refused { kind, text, .. })
                    if ["not_found", "invalid_input"].contains(&&*kind) =>
                {
                    notes.push(format!("refuses {}: {kind}: {text}", asked.what));
                }
                Err(Error::Gone) => {
                    return Err(Error::Failed {
                        what: device.who.name().into(),
                        said: "it ended by itself".into(),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        let who = device.who;
        for note in notes {
            self.note(who, &note);
        }
        Ok(())
    }

    fn happens(&mut self, who: Who, trouble: Trouble) -> Result<()> {
        let until = |lasts: usize| Some((trouble, self.steps + lasts));
        let device = &mut self.devices[who as usize];
        let (None, Some(link)) = (device.away, &device.link) else { return Ok(()) };
        self.agreed.troubles += 1;
        match trouble {
            Trouble::Cut(in_flight) => link.cut(in_flight),
            Trouble::Break { way, after } => link.break_at(Break { way: Some(way), after, then: Then::Cut }),
            Trouble::DeadZone { lasts } => {
                link.refuse(true);
                link.cut(InFlight::Dropped);
                device.away = until(lasts);
            }
            Trouble::Disconnect { lasts } => {
                device.request("disconnect", json!({}))?;
                device.away = until(lasts);
            }
            Trouble::Kill { lasts } => {
                if let Some(console) = device.console.take() {
                    console.kill();
                    // What it said before it died counts.
                    for asked in &mut device.asked {
                        if asked.id.is_some_and(|id| console.reply(id, Duration::ZERO).is_ok()) {
                            match asked.deed {
                                Deed::Send { message, .. } => drop(self.sent.insert(message)),
                                Deed::Retract { message, .. } => drop(self.retracted.insert(message)),
                                _ => {}
                            }
                        }
                    }
                }
                device.away = until(lasts);
            }
        }
        Ok(())
    }

    fn comes_back(&mut self, at: usize) -> Result<()> {
        let device = &mut self.devices[at];
        match device.away.take() {
            Some((Trouble::DeadZone { .. }, _)) => {
                if let Some(link) = &device.link {
                    link.refuse(false);
                }
            }
            Some((Trouble::Disconnect { .. }, _)) => drop(device.console()?.ask("connect", json!({}))?),
            Some((Trouble::Kill { .. }, _)) => {
                let console = Console::start(&device.phone)?;
                // Once more, under the same ids: it was cut off before it had the answer.
                for asked in &mut device.asked {
                    asked.id = console.ask(asked.what, asked.fields.clone()).ok();
                }
                device.console = Some(console);
            }
            _ => {}
        }
        Ok(())
    }

    /// Everybody comes back and gets everything; then all of them are to show the same.
    fn rest(&mut self) -> Result<()> {
        self.told.push("       they rest".into());
        for at in 0..self.devices.len() {
            self.comes_back(at)?;
            if let Some(link) = &self.devices[at].link {
                link.forget_break();
            }
            self.hear(at)?;
        }
        let ours = || self.devices.iter().filter(|device| device.who != Who::Slixmpp);
        let deadline = Instant::now() + SETTLING;
        // Twice: what one has sent last is what the others have to get.
        for device in ours().chain(ours()) {
            device.settle(deadline)?;
        }
        let lost = if self.server.kind() == Kind::Ejabberd { COMPARING } else { Duration::ZERO };
        let settled = Instant::now();
        let deadline = settled + AGREEING + lost;
        loop {
            let views = self.views()?;
            let wrong = self.judge(&views);
            if wrong.is_empty() {
                self.agreed.rests += 1;
                self.agreed.slowest = self.agreed.slowest.max(settled.elapsed());
                self.agreed.messages = views.values().map(|view| view.lines.len()).max().unwrap_or_default();
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::Failed { what: "agreement".into(), said: wrong.join("\n") });
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn views(&self) -> Result<BTreeMap<&'static str, View>> {
        let view = |device: &Device| {
            let view = if device.who == Who::Slixmpp {
                View::of_archive(&device.request("view", json!({ "with": device.peer() }))?)
            } else {
                View { unread: device.unread()?, ..View::of_items(&device.items()?, device.who.side()) }
            };
            Ok((device.who.name(), self.as_archived(view)))
        };
        self.devices.iter().map(view).collect()
    }

    /// ejabberd takes what is retracted out of its archive: not everybody has seen it.
    fn as_archived(&self, view: View) -> View {
        match self.server.kind() {
            Kind::Ejabberd => View { retracted: [0, 0], unread: None, ..view },
            _ => view,
        }
    }

    fn judge(&self, views: &BTreeMap<&'static str, View>) -> Vec<String> {
        let mut wrong = Vec::new();
        let name = Who::Slixmpp.name();
        for (one, view) in views {
            wrong.extend(view.wrong.iter().map(|what| format!("{one}: {what}")));
            let shown: BTreeSet<Number> = view.lines.keys().copied().collect();
            for lost in self.sent.difference(&self.retracted).filter(|sent| !shown.contains(*sent)) {
                wrong.push(format!("{one} does not have m{lost}, which was sent"));
            }
            for kept in self.retracted.intersection(&shown) {
                wrong.push(format!("{one} shows m{kept}, which was retracted"));
            }
            if *one != name {
                wrong.extend(differences((name, &views[name]), (one, view)));
            }
        }
        wrong
    }

    /// One that knows nothing reads all of it from the archive.
    fn new_device(&mut self) -> Result<()> {
        let phone = Phone::new(self.dir.join("new"), ALICE.0, ALICE.1)
            .with_direct_tls()
            .trusting(self.server.ca())
            .at(self.server.direct_tls_port());
        let console = Console::start(&phone)?;
        console.wait_online(ANSWER)?;
        let device = Device {
            who: Who::Phone,
            phone,
            link: None,
            console: Some(console),
            away: None,
            asked: Vec::new(),
        };
        let deadline = Instant::now() + SETTLING;
        device.settle(deadline)?;
        let more = json!({ "with": device.peer(), "limit": 500 });
        while device.request("older", more.clone())?["more"] == true && Instant::now() < deadline {}
        let mut views = self.views()?;
        let new = self.as_archived(View::of_items(&device.items()?, Side::Alice));
        views.insert("new", new);
        let wrong = self.judge(&views);
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Error::Failed { what: "agreement".into(), said: wrong.join("\n") })
        }
    }

    /// What the devices logged, where whoever reads of it can find it.
    fn keep_logs(&self, seed: u64) -> Vec<String> {
        let kept = std::env::temp_dir().join(format!("whimbrel-devices-{seed}"));
        let _ = fs::create_dir_all(&kept);
        let logs = self.devices.iter().map(|device| device.phone.log()).chain([self.server.log()]);
        logs.filter_map(|log| {
            let copy = kept.join(log.file_name()?);
            fs::copy(&log, &copy).ok().map(|_| copy.display().to_string())
        })
        .collect()
    }
}

impl Device {
    fn console(&self) -> Result<&Console> {
        self.console.as_ref().ok_or(Error::Gone)
    }

    fn peer(&self) -> &'static str {
        if self.who.side() == Side::Alice { BOB.0 } else { ALICE.0 }
    }

    fn request(&self, what: &str, fields: Value) -> Result<Value> {
        self.console()?.request(what, fields, ANSWER)
    }

    fn items(&self) -> Result<Vec<Value>> {
        self.console()?.timeline(self.peer(), 100_000, ANSWER)
    }

    /// What Alice's devices are to agree about.
    fn unread(&self) -> Result<Option<u64>> {
        if self.who.side() == Side::Bob {
            return Ok(None);
        }
        let reply = self.request("conversations", json!({}))?;
        let conversations = reply["conversations"].as_array().into_iter().flatten();
        let mut with_peer = conversations.filter(|conversation| conversation["with"] == self.peer());
        Ok(Some(
            with_peer.next().and_then(|conversation| conversation["unread"].as_u64()).unwrap_or_default(),
        ))
    }

    /// Accepts the other one if asked.
    fn is_friend(&self) -> Result<bool> {
        let roster = self.request("roster", json!({}))?;
        let contacts = roster["contacts"].as_array().cloned().unwrap_or_default();
        let Some(contact) = contacts.iter().find(|contact| contact["jid"] == self.peer()) else {
            return Ok(false);
        };
        if contact["asks"] == true {
            self.request("accept", json!({ "jid": self.peer() }))?;
        }
        Ok(contact["subscription"] == "both")
    }

    /// Waits until it has everything and has sent everything.
    fn settle(&self, deadline: Instant) -> Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.request("sync", json!({ "timeout_ms": left.as_millis().min(60_000) as u64 })) {
                Ok(_) => return Ok(()),
                Err(_) if !left.is_zero() => thread::sleep(Duration::from_millis(200)),
                Err(error) => {
                    return Err(Error::Failed {
                        what: format!("settling of {}", self.who.name()),
                        said: error.to_string(),
                    });
                }
            }
        }
    }
}
