//! One phone in a long conversation: a process that speaks the console's lines, its link, and the app on it, which is us.
//!
//! We do what an app has to: give each message an id, hand it over, and wait for the answer. A client that promises to know
//! a message again ([`Talker::repeats`]) is asked again under the same id if the answer never came, since it was killed
//! meanwhile; to another one the next message is handed, and the one without an answer counts as never sent.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::{Break, Console, Error, Event, InFlight, Link, Phone, Rate, Result, Then, trouble::Trouble};

/// Longer than any answer takes that is still to come: a phone may be frozen meanwhile.
const ANSWER: Duration = Duration::from_secs(180);
/// Each way, on a good day: a good mobile network's.
const DELAY: Duration = Duration::from_millis(40);
/// 2G: 30 kbit/s down, half of it up, and round trips of 600 ms.
const SLOW: Rate = Rate { up: 1_900, down: 3_750 };
const SLOW_DELAY: Duration = Duration::from_millis(300);
/// A break at a byte comes now if so few bytes pass that it does not come by itself.
const BREAKS_WITHIN: Duration = Duration::from_secs(8);

/// A session that came online.
#[derive(Debug, Clone)]
pub struct Session {
    /// When.
    pub at: Instant,
    /// Whether it is the one from before.
    pub resumed: bool,
    /// The first of a process.
    pub after_start: bool,
    /// Why the server did not resume, in its own words, if it was asked.
    pub refused: Option<String>,
}

/// What is known about a phone from outside.
#[derive(Debug, Default)]
pub struct Seen {
    /// In their order.
    pub sessions: Vec<Session>,
    /// Whether it is in one, by its own word.
    pub online: bool,
    /// Numbers of own messages that the client has accepted, in their order.
    pub accepted: Vec<u32>,
    /// Numbers of the other's messages, as the client told them.
    pub told: Vec<u32>,
    /// When that was last.
    pub told_at: Option<Instant>,
    /// What was done to it and what it said, and when; its raw stream, if it shows that.
    pub raw: Vec<(Instant, Value)>,
    /// What happened to it, by name.
    pub troubles: BTreeMap<&'static str, usize>,
    /// Lives that ended although nobody ended them.
    pub died: usize,
    killed: bool,
}

/// A phone, its link, and who it talks to.
pub struct Talker {
    /// For people, and in front of each message.
    pub name: &'static str,
    /// The other one's.
    pub other: &'static str,
    /// The other one's address.
    pub peer: String,
    /// Whether a message may be handed over twice under one id.
    pub repeats: bool,
    /// Its only way to the server.
    pub link: Link,
    phone: Phone,
    /// `None` while it is dead.
    console: Mutex<Option<Arc<Console>>>,
    seen: Mutex<Seen>,
}

impl Talker {
    /// `phone` must be set up to connect to `link`.
    pub fn new(names: [&'static str; 2], peer: &str, repeats: bool, link: Link, phone: Phone) -> Talker {
        link.delay(DELAY);
        let [name, other] = names;
        Talker {
            name,
            other,
            peer: peer.into(),
            repeats,
            link,
            phone,
            console: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// What is known so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it writes what goes wrong.
    pub fn phone(&self) -> &Phone {
        &self.phone
    }

    /// The process, while there is one.
    pub(crate) fn console(&self) -> Option<Arc<Console>> {
        self.console.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the process.
    pub(crate) fn start(&self) -> Result<()> {
        let console = Arc::new(Console::start(&self.phone)?);
        *self.console.lock().unwrap_or_else(PoisonError::into_inner) = Some(console);
        let mut seen = self.seen();
        (seen.killed, seen.online) = (false, false);
        Ok(())
    }

    /// Notes what is done to it, and what it says.
    fn note(&self, what: String) {
        self.seen().raw.push((Instant::now(), Value::String(what)));
    }

    fn kill(&self) {
        self.seen().killed = true;
        let console = self.console.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(console) = console {
            console.kill();
        }
    }

    /// Writes down what the phone says, through all its lives. A life that ended by itself is counted, and followed by another.
    pub(crate) fn listen(&self, over: &AtomicBool) -> Result<()> {
        let mut current: Option<Arc<Console>> = None;
        while !over.load(Ordering::Acquire) {
            let Some(console) = current.clone().or_else(|| self.console()) else {
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            match console.wait_event("anything", Duration::from_millis(200), |_| true) {
                Ok(event) => {
                    self.heard(&event);
                    current = Some(console);
                }
                Err(Error::Gone) => {
                    current = None;
                    let is_it = self.console().is_some_and(|now| Arc::ptr_eq(&now, &console));
                    if is_it && !self.seen().killed {
                        self.seen().died += 1;
                        thread::sleep(Duration::from_secs(1));
                        self.start()?;
                    } else {
                        thread::sleep(Duration::from_millis(10));
                    }
                }
                // Nothing yet.
                Err(_) => current = Some(console),
            }
        }
        Ok(())
    }

    fn heard(&self, event: &Event) {
        // Of what shows its raw stream the rest is in there.
        if !self.phone.raw || ["online", "offline"].contains(&event.name()) {
            self.note(event.body.to_string());
        }
        match event.name() {
            "online" => {
                let mut seen = self.seen();
                seen.online = true;
                seen.sessions.push(Session {
                    at: event.at,
                    resumed: event.flag("resumed"),
                    after_start: event.flag("after_start"),
                    refused: event.body["refused"].as_str().map(str::to_owned),
                });
            }
            "offline" => self.seen().online = false,
            "message" if !event.flag("mine") => {
                if let Some(number) = number(self.other, event.str("text")) {
                    let mut seen = self.seen();
                    seen.told.push(number);
                    seen.told_at = Some(event.at);
                }
            }
            "raw" => self.seen().raw.push((event.at, event.body.clone())),
            _ => {}
        }
    }

    /// Waits for the first session.
    pub(crate) fn wait_first_online(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.seen().sessions.is_empty() {
            if Instant::now() > deadline {
                return Err(Error::TimedOut(format!("{} to come online", self.phone.account)));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Hands over one message after the other, each when it is due, as far behind as the phone may be.
    pub(crate) fn talk(&self, run: u32, due: &[Duration], enough: &AtomicBool) -> Result<()> {
        let began = Instant::now();
        for (number, due) in (1..).zip(due) {
            if !wait(due.saturating_sub(began.elapsed()), enough) {
                return Ok(());
            }
            let (id, text) = (id(run, self.name, number), line(self.name, number as usize));
            while !enough.load(Ordering::Acquire) {
                let Some(console) = self.console() else {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                };
                match self.hand_over(&console, &id, &text, enough) {
                    Ok(()) => {
                        self.seen().accepted.push(number);
                        break;
                    }
                    Err(Error::Gone) if self.repeats => thread::sleep(Duration::from_millis(20)),
                    Err(Error::Gone) => break,
                    Err(_) if enough.load(Ordering::Acquire) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Waits for the answer until it is enough: a frozen phone, or one that has no room, may take minutes.
    fn hand_over(&self, console: &Console, id: &str, text: &str, enough: &AtomicBool) -> Result<()> {
        let request = console.ask("send", json!({ "to": self.peer, "message": id, "text": text }))?;
        loop {
            match console.reply(request, Duration::from_millis(500)) {
                Err(Error::TimedOut(_)) if !enough.load(Ordering::Acquire) => {}
                answer => return answer.map(drop),
            }
        }
    }

    /// Goes through one strand of a plan, until it is calm.
    pub(crate) fn suffer(&self, strand: &[(Duration, Trouble)], calm: &AtomicBool) -> Result<()> {
        let began = Instant::now();
        for (when, trouble) in strand {
            if !wait(when.saturating_sub(began.elapsed()), calm) {
                break;
            }
            *self.seen().troubles.entry(trouble.name()).or_default() += 1;
            self.note(format!("{trouble:?}"));
            self.happens(*trouble, calm)?;
        }
        Ok(())
    }

    fn happens(&self, trouble: Trouble, calm: &AtomicBool) -> Result<()> {
        let link = &self.link;
        let breaks = |way, after, then| {
            link.break_at(Break { way: Some(way), after, then });
            let deadline = Instant::now() + BREAKS_WITHIN;
            while link.is_to_break() && Instant::now() < deadline && wait(Duration::from_millis(10), calm) {}
            link.forget_break()
        };
        match trouble {
            Trouble::Cut { way, after } => {
                if breaks(way, after, Then::Cut) {
                    link.cut(InFlight::Dropped);
                }
            }
            Trouble::HalfOpen { way, after, lasts } => {
                breaks(way, after, Then::FallSilent);
                wait(lasts, calm);
                link.cut(InFlight::Dropped);
            }
            Trouble::TidyEnd => link.cut(InFlight::Kept),
            Trouble::Move { to } => link.move_to(to),
            Trouble::DeadZone { lasts } => {
                link.refuse(true);
                link.cut(InFlight::Dropped);
                wait(lasts, calm);
                link.refuse(false);
            }
            Trouble::Silence { at_most } => {
                let (before, deadline) = (link.connection_count(), Instant::now() + at_most);
                link.fall_silent();
                while link.connection_count() == before && wait(Duration::from_millis(50), calm) {
                    if Instant::now() > deadline {
                        break;
                    }
                }
                if link.connection_count() == before {
                    link.cut(InFlight::Dropped);
                }
            }
            Trouble::Slow { lasts } => {
                link.throttle(Some(SLOW));
                link.delay(SLOW_DELAY);
                wait(lasts, calm);
                link.delay(DELAY);
                link.throttle(None);
            }
            Trouble::Kill { lasts } => {
                self.kill();
                wait(lasts, calm);
                self.start()?;
            }
            Trouble::Freeze { lasts } => {
                if let Some(console) = self.console() {
                    console.freeze();
                    wait(lasts, calm);
                    console.thaw();
                }
            }
        }
        Ok(())
    }

    /// Asks its client; for what only Whimbrel's console knows.
    pub(crate) fn ask(&self, what: &str, fields: Value) -> Result<Value> {
        self.console().ok_or(Error::Gone)?.request(what, fields, ANSWER)
    }

    /// Waits until the console has everything and has sent everything.
    pub(crate) fn settle(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.ask("sync", json!({ "timeout_ms": left.as_millis() as u64 })) {
                Ok(_) => return Ok(()),
                Err(_) if !left.is_zero() => thread::sleep(Duration::from_millis(200)),
                Err(error) => return Err(error),
            }
        }
    }

    /// The numbers on its screen, oldest first: of its own messages, and of the other's.
    pub(crate) fn timeline(&self) -> Result<[Vec<u32>; 2]> {
        let reply = self.ask("timeline", json!({ "with": self.peer, "limit": 1_000_000 }))?;
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for item in reply["items"].as_array().into_iter().flatten() {
            let text = item["text"].as_str().unwrap_or_default();
            match item["mine"].as_bool() {
                Some(true) => own.extend(number(self.name, text)),
                _ => others.extend(number(self.other, text)),
            }
        }
        Ok([own, others])
    }
}

/// False if it became calm meanwhile.
fn wait(pause: Duration, calm: &AtomicBool) -> bool {
    let deadline = Instant::now() + pause;
    while Instant::now() < deadline {
        if calm.load(Ordering::Acquire) {
            return false;
        }
        thread::sleep(deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(20)));
    }
    !calm.load(Ordering::Acquire)
}

/// When each of so many messages is due: in bursts, with pauses between, over all of the time.
pub(crate) fn pace(messages: usize, over: Duration, dice: &mut StdRng) -> Vec<Duration> {
    let mut due = Vec::with_capacity(messages);
    while due.len() < messages {
        let at = over.mul_f64(due.len() as f64 / messages as f64);
        let burst = dice.random_range(1..=(messages / 40).clamp(1, 30));
        due.extend(std::iter::repeat_n(at, burst.min(messages - due.len())));
    }
    due
}

/// A message's id: a UUID that tells the run, who speaks, and which of his messages it is.
fn id(run: u32, name: &str, number: u32) -> String {
    let who = name.bytes().fold(0u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{run:08x}-{who:04x}-4000-8000-{number:012x}")
}

/// What is said: name, number, and a line of the play.
pub fn line(name: &str, number: usize) -> String {
    const WORDS: [&str; 8] = [
        "But soft, what light through yonder window breaks?",
        "O Romeo, Romeo, wherefore art thou Romeo?",
        "It is my lady, O, it is my love!",
        "What's in a name?",
        "Call me but love.",
        "How cam'st thou hither, tell me, and wherefore?",
        "With love's light wings did I o'erperch these walls.",
        "Good night, good night! Parting is such sweet sorrow.",
    ];
    format!("{name} {number}: {}", WORDS[number % WORDS.len()])
}

/// The number in what was said by `name`.
pub fn number(name: &str, text: &str) -> Option<u32> {
    text.strip_prefix(name)?.strip_prefix(' ')?.split(':').next()?.parse().ok()
}
