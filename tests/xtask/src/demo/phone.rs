//! One phone of the demo: the process, its link, and the app on it, which is us.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use interop::{Console, Error, Event, Link, Phone, Server, line};
use rand::{Rng as _, rngs::StdRng};
use serde_json::Value;

use super::DELAY;
use crate::Result;

/// Longer than any answer takes that is still to come: a reply that a kill swallowed shows as [`Error::Gone`].
const ANSWER: Duration = Duration::from_secs(60);

/// A session that came online.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) resumed: bool,
    /// The first of a process.
    pub(crate) after_start: bool,
    pub(crate) mechanism: String,
    /// Why the server did not resume, in its own words.
    pub(crate) refused: Option<String>,
    /// Flights after TLS up to here, as the link saw them.
    pub(crate) round_trips: usize,
}

/// What is known about a phone from outside.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) sessions: Vec<Session>,
    pub(crate) online: bool,
    pub(crate) kills: usize,
    /// Texts of own messages that the phone has accepted, in the order in which they were sent.
    pub(crate) accepted: Vec<String>,
    /// What shows on the screen: a mark and a text.
    pub(crate) lines: Vec<(String, String)>,
}

impl Seen {
    /// Every text is said once, so what shows twice is not drawn twice: what was really doubled is counted in the timeline.
    fn show(&mut self, mark: &str, text: &str) {
        if !self.lines.iter().any(|(_, shown)| shown == text) {
            self.lines.push((mark.to_owned(), text.to_owned()));
        }
    }
}

pub(crate) struct Handset {
    pub(crate) name: &'static str,
    pub(crate) link: Link,
    peer: &'static str,
    phone: Phone,
    /// `None` while it is dead. Writers are who kill and start it.
    console: RwLock<Option<Arc<Console>>>,
    seen: Mutex<Seen>,
}

impl Handset {
    pub(crate) fn new(
        name: &'static str,
        dir: &Path,
        account: &'static str,
        password: &str,
        peer: &'static str,
        server: &Server,
        console: &Path,
    ) -> Result<Arc<Handset>> {
        let link = Link::to(server.direct_tls_port())?;
        link.delay(DELAY);
        let phone = Phone::new(dir.join(name.to_lowercase()), account, password)
            .at(link.port())
            .with_direct_tls()
            .trusting(server.ca())
            .running(console);
        Ok(Arc::new(Handset { name, link, peer, phone, console: RwLock::default(), seen: Mutex::default() }))
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.seen().accepted.len()
    }

    fn console(&self) -> Option<Arc<Console>> {
        self.console.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn start(&self) -> Result<()> {
        let console = Arc::new(Console::start(&self.phone)?);
        *self.console.write().unwrap_or_else(PoisonError::into_inner) = Some(console);
        Ok(())
    }

    /// SIGKILL. What the process had said until then is still heard.
    pub(crate) fn kill(&self) {
        if let Some(console) = self.console() {
            console.kill();
            self.seen().kills += 1;
        }
    }

    /// Writes down what the phone says, through all its lives.
    pub(crate) fn listen(&self, over: &AtomicBool) {
        let mut finished: Option<Arc<Console>> = None;
        while !over.load(Ordering::Acquire) {
            let current =
                self.console().filter(|now| finished.as_ref().is_none_or(|then| !Arc::ptr_eq(now, then)));
            let Some(console) = current else {
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            match console.wait_event("anything", Duration::from_millis(200), |_| true) {
                Ok(event) => self.heard(&event),
                Err(Error::Gone) => {
                    self.seen().online = false;
                    finished = Some(console);
                }
                Err(_) => {}
            }
        }
    }

    fn heard(&self, event: &Event) {
        match event.name() {
            "online" => {
                let connection = self.link.connection_at(event.at);
                let session = Session {
                    resumed: event.flag("resumed"),
                    after_start: event.flag("after_start"),
                    mechanism: event.str("mechanism").to_owned(),
                    refused: event.body["refused"].as_str().map(str::to_owned),
                    round_trips: connection
                        .map_or(0, |connection| connection.round_trips(event.at, 2 * DELAY)),
                };
                let mut seen = self.seen();
                seen.online = true;
                seen.sessions.push(session);
            }
            "offline" => self.seen().online = false,
            "message" => {
                let mark = if event.flag("mine") { "→" } else { " " };
                self.seen().show(mark, event.str("text"));
            }
            "state" => {
                // The texts carry their number, so the screen needs no ids: the last mark wins.
                let mark = match event.str("state") {
                    "sent" => "✓",
                    "delivered" | "displayed" => "✓✓",
                    "failed" => "✗",
                    _ => return,
                };
                let id = event.str("id").to_owned();
                self.mark(&id, mark);
            }
            _ => {}
        }
    }

    fn mark(&self, id: &str, mark: &str) {
        let mut seen = self.seen();
        let text = number_in_id(id).map(|number| line(self.name, number));
        if let Some((shown, _)) =
            seen.lines.iter_mut().rev().find(|(_, text_shown)| Some(text_shown) == text.as_ref())
        {
            mark.clone_into(shown);
        }
    }

    pub(crate) fn wait_first_online(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.seen().sessions.is_empty() {
            if Instant::now() > deadline {
                return Err(
                    format!("{}'s phone did not come online; its log is {}", self.name, self.log()).into()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.phone.log()).unwrap_or_default()
    }

    /// Says everything, with pauses and in bursts; ends when the phone has accepted it all.
    pub(crate) fn talk(&self, messages: usize, mut dice: StdRng, over: &AtomicBool) -> Result<()> {
        for number in 1..=messages {
            let (id, text) = (message_id(number, &mut dice), line(self.name, number));
            while !self.say(&id, &text)? {
                if over.load(Ordering::Acquire) {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(50));
            }
            let mut seen = self.seen();
            // A phone that was killed on having answered did not get round to showing it.
            seen.show("→", &text);
            seen.accepted.push(text);
            drop(seen);
            if dice.random_bool(0.7) {
                thread::sleep(Duration::from_millis(dice.random_range(50..600)));
            }
        }
        Ok(())
    }

    /// Whether the phone has accepted it. One that was killed meanwhile has not answered: once it is back it is asked again,
    /// with the same id.
    fn say(&self, id: &str, text: &str) -> Result<bool> {
        let Some(console) = self.console() else { return Ok(false) };
        match console.send_message(self.peer, id, text, ANSWER) {
            Ok(()) => Ok(true),
            Err(Error::Gone) => Ok(false),
            Err(error) => Err(format!("{}'s phone did not take a message: {error}", self.name).into()),
        }
    }

    fn ask(&self, what: &str, fields: &Value) -> Result<Value> {
        let console = self.console().ok_or("the phone is dead, and nobody starts it")?;
        Ok(console.request(what, fields.clone(), ANSWER)?)
    }

    /// Waits until it has everything and has sent everything.
    pub(crate) fn settle(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let console = self.console().ok_or("the phone is dead, and nobody starts it")?;
            let left = deadline.saturating_duration_since(Instant::now());
            let milliseconds = u64::try_from(left.as_millis())?;
            let asked =
                console.request("sync", serde_json::json!({ "timeout_ms": milliseconds }), left + ANSWER);
            match asked {
                Ok(_) => return Ok(()),
                Err(_) if !left.is_zero() => thread::sleep(Duration::from_millis(200)),
                Err(error) => return Err(format!("{}'s phone does not catch up: {error}", self.name).into()),
            }
        }
    }

    /// Its timeline: whether a message is its own, and the text.
    pub(crate) fn timeline(&self) -> Result<Vec<(bool, String)>> {
        let reply = self.ask("timeline", &serde_json::json!({ "with": self.peer, "limit": 100_000 }))?;
        let text = |item: &Value| {
            Some((item["mine"].as_bool().unwrap_or_default(), item["text"].as_str()?.to_owned()))
        };
        Ok(reply["items"].as_array().into_iter().flatten().filter_map(text).collect())
    }
}

/// Each has the other in the roster: receipts, and with them the second tick, are for friends only.
pub(crate) fn befriend(phones: &[&Arc<Handset>; 2], limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    for phone in phones {
        phone.ask("add", &serde_json::json!({ "jid": phone.peer }))?;
    }
    let mut friends = 0;
    while friends < phones.len() {
        if Instant::now() > deadline {
            return Err("the two do not become friends".into());
        }
        friends = 0;
        for phone in phones {
            let roster = phone.ask("roster", &Value::Null)?;
            let contacts = roster["contacts"].as_array().cloned().unwrap_or_default();
            let contact =
                contacts.into_iter().find(|contact| contact["jid"] == phone.peer).unwrap_or_default();
            if contact["asks"] == true {
                phone.ask("accept", &serde_json::json!({ "jid": phone.peer }))?;
            }
            friends += usize::from(contact["subscription"] == "both");
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A UUID whose last digits are the message's number, so that a look at a log tells which it is.
fn message_id(number: usize, dice: &mut StdRng) -> String {
    let mut bytes: [u8; 16] = dice.random();
    let digits = u32::try_from(number).unwrap_or_default().to_be_bytes();
    bytes[12..].copy_from_slice(&digits);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn number_in_id(id: &str) -> Option<usize> {
    usize::from_str_radix(id.get(id.len().checked_sub(8)?..)?, 16).ok()
}
