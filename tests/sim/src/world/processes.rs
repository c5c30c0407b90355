//! Processes: started, driven, killed. Users: who ask, are answered, and look at what is shown.

use fault_vfs::{Fate, Fault};
use rand::{Rng, RngCore};
use whimbrel_engine::{
    Effect, Engine, Input, LinkId, Touched,
    api::{Command, Error, Event, Outgoing, Reply, RequestId},
    roster,
};
use whimbrel_proto::ns;

use super::{Happening, World, shown};
use crate::{
    device::{Asked, Device, jid},
    judge::{self, Failure},
    script::When,
    server::account_of,
};

/// Attempts to connect that come to nothing within a minute, at most.
const MAX_ATTEMPTS: usize = 12;
/// Rows that one turn may write, whatever has come.
const MAX_STEP: u64 = 3_000;

impl World {
    pub(super) fn start(&mut self, device: usize) {
        if self.devices[device].engine.is_some() {
            return;
        }
        let phone = &mut self.devices[device];
        phone.started = self.now;
        phone.slept = 0;
        phone.line = None;
        phone.online = false;
        phone.suspended = false;
        phone.attempts.clear();
        phone.user.lists.opened();
        for screen in phone.user.screens.values_mut() {
            // A list that is opened begins with what is there.
            screen.stale = Some(i64::MIN);
        }
        let loaded = phone.files.open().and_then(|connection| {
            Engine::load(connection, Device::config()).map_err(|error| error.to_string())
        });
        match loaded {
            Ok(engine) => phone.engine = Some(engine),
            Err(error) => {
                // The disk fails while the file is opened: the app tries again.
                self.note(|_| format!("device {device}: not started: {error}"));
                if self.died(device) {
                    return;
                }
                let later = self.now + 5_000;
                if self.settling && self.devices[device].disk().in_force().is_none() {
                    return self.fail(Failure::Unusable { device, error });
                }
                return self.at(later, Happening::Start(device));
            }
        }
        self.note(|_| format!("device {device}: started"));
        judge::acknowledged_is_there(self, device);
        self.signs_in(device);
        if self.script.manners.feeds {
            self.asks(device, Asked::Other, Command::Follow { node: ns::MICROBLOG.into(), on: true });
        }
        self.try_again(device);
    }

    /// The user tries again what was refused, all of it at once.
    fn retries_in(&mut self, device: usize, wait: u64) {
        if !std::mem::replace(&mut self.devices[device].user.will_retry, true) {
            let later = self.now + wait;
            self.at(later, Happening::Retry(device));
        }
    }

    fn signs_in(&mut self, device: usize) {
        self.devices[device].user.is_signed_out = false;
        self.asks(device, Asked::SignIn, Command::SignIn { password: Some("pencil".into()) });
    }

    /// What was not known to be durable is given to the core again.
    pub(super) fn try_again(&mut self, device: usize) {
        if self.devices[device].user.is_signed_out && self.devices[device].asleep_until <= self.now {
            self.signs_in(device);
        }
        while self.devices[device].engine.is_some()
            && self.devices[device].asleep_until <= self.now
            && let Some(draft) = self.devices[device].user.unsent.pop_front()
        {
            let what = Outgoing {
                text: draft.text.clone(),
                reply_to: draft.answers.as_ref().map(|(id, _)| id.clone()),
                not_after: draft.not_after,
                ..Outgoing::default()
            };
            let command = Command::Send { id: draft.id.clone(), to: jid(draft.to), what };
            let before = self.devices[device].user.unsent.len();
            self.asks(device, Asked::Send(draft), command);
            if self.devices[device].user.unsent.len() > before {
                // Refused: later, and in this order.
                return;
            }
        }
    }

    pub(super) fn mark_read(&mut self, device: usize, with: usize) {
        if self.devices[device].engine.is_none() {
            return;
        }
        self.look(device);
        let screen = self.devices[device].user.screens.entry(with).or_default();
        let there = screen.lines.iter().map(|(_, item)| item.id()).collect();
        screen.perhaps_read.extend(screen.texts.values().cloned());
        if self.asks(device, Asked::Other, Command::MarkRead { with: jid(with) }) == Some(true)
            && let Some(screen) = self.devices[device].user.screens.get_mut(&with)
        {
            screen.read = there;
        }
    }

    /// A request of the user. Whether it was answered at once, and well.
    pub(crate) fn asks(&mut self, device: usize, asked: Asked, command: Command) -> Option<bool> {
        self.devices[device].engine.as_ref()?;
        let request = self.devices[device].user.request(asked);
        self.answered = None;
        self.turn(device, vec![Input::Command { request, command }]);
        self.answered.take().filter(|(id, _)| *id == request).map(|(_, well)| well)
    }

    /// The same, told that it was answered well at once.
    pub(crate) fn asks_now(&mut self, device: usize, asked: Asked, command: Command) -> bool {
        self.asks(device, asked, command) == Some(true)
    }

    pub(super) fn suspend(&mut self, device: usize, back: u64) {
        if self.devices[device].engine.is_none() {
            return;
        }
        self.asks(device, Asked::Other, Command::Suspend { seen: true });
        let phone = &mut self.devices[device];
        phone.closes_readers();
        let Some(engine) = phone.engine.take() else { return };
        phone.suspended = true;
        phone.user.unanswered();
        let closed = engine.close();
        self.note(|_| format!("device {device}: suspended, {closed:?}"));
        self.leave(device);
        let end = self.now + back;
        self.at(end, Happening::Start(device));
    }

    /// Another process takes the lease. What the old one does then must not reach the file; the platform ends it.
    pub(super) fn overtaken(&mut self, device: usize, back: u64) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let other = phone.files.open().and_then(|connection| {
            Engine::load(connection, Device::config()).map_err(|error| error.to_string())
        });
        let taken = other.is_ok();
        drop(other);
        if self.died(device) || !taken {
            return;
        }
        let before = self.devices[device].disk().written();
        self.asks(device, Asked::Other, Command::SignIn { password: Some("crayon".into()) });
        if self.devices[device].disk().written() != before {
            self.fail(Failure::WroteWithoutLease { device });
        }
        self.note(|_| format!("device {device}: overtaken"));
        let phone = &mut self.devices[device];
        phone.engine = None;
        phone.wake_token += 1;
        phone.user.unanswered();
        self.abandons(device, false);
        let end = self.now + back;
        self.at(end, Happening::Start(device));
    }

    /// One step of a process, and what comes of it.
    pub(super) fn turn(&mut self, device: usize, inputs: Vec<Input>) {
        if self.failure.is_some() {
            return;
        }
        if self.devices[device].engine.is_none() {
            return;
        }
        let now = self.devices[device].now(self.now);
        if self.diary.is_some() {
            let said: Vec<String> = inputs.iter().map(in_words).collect();
            self.note(|_| format!("device {device}: <- {}", said.join(" | ")));
        }
        // What a user wants at once is no loop of the engine's.
        self.is_wanted_now = inputs.iter().any(|input| {
            matches!(input, Input::Command { command: Command::SignIn { .. } | Command::Connect, .. })
        });
        let phone = &mut self.devices[device];
        let coming = shown::coming(&inputs);
        let dies_over = if phone.doomed.is_some() { coming.clone() } else { Vec::new() };
        if !coming.is_empty() {
            // Whoever has not answered what the contacts are tells of nobody.
            let known =
                phone.reader().ok().and_then(|reader| roster::contacts(&reader).ok()).unwrap_or_default();
            let is_known =
                |of: usize| known.iter().any(|contact| account_of(contact.jid.as_str()) == Some(of));
            let unheard = coming.into_iter().filter(|(of, _)| *of != phone.account && !is_known(*of));
            phone.user.unheard.extend(unheard);
        }
        let Some(engine) = phone.engine.as_mut() else { return };
        let before = phone.files.rows();
        let effects = engine.turn(inputs, now, &mut phone.rng);
        let rows = phone.files.rows() - before;
        self.report.turns += 1;
        self.report.largest_step = self.report.largest_step.max(rows);
        if rows > MAX_STEP {
            self.fail(Failure::StepTooLarge { device, rows });
        }
        if self.died(device) {
            // Whether that was committed, and so is behind it, nobody knows.
            self.devices[device].user.unheard.extend(dies_over);
            return self.hears_nothing_of(device, &effects);
        }
        let dies_behind = match self.devices[device].doomed {
            Some((When::Effects(n), power, back)) if effects.len() > n => {
                self.devices[device].doomed = None;
                Some((n, power, back))
            }
            _ => None,
        };
        let count = dies_behind.map_or(usize::MAX, |(n, ..)| n);
        self.hears_nothing_of(device, effects.get(count..).unwrap_or_default());
        let mut updated = false;
        for effect in effects.into_iter().take(count) {
            updated |= matches!(effect, Effect::Update(_));
            self.perform(device, effect);
        }
        if let Some((_, power, back)) = dies_behind {
            return self.dies(device, power, back);
        }
        self.set_wake(device);
        // Not between effects: a batch that hit a bug has several commits behind it, and an update for each.
        if updated && self.rng.random_ratio(1, 8) {
            self.look(device);
        }
    }

    fn set_wake(&mut self, device: usize) {
        let phone = &mut self.devices[device];
        phone.wake_token += 1;
        let Some(wake) = phone.engine.as_ref().and_then(Engine::next_wake) else { return };
        let (time, token) = (phone.true_time(wake).max(self.now + 1), phone.wake_token);
        self.at(time, Happening::Wake { device, token });
    }

    fn perform(&mut self, device: usize, effect: Effect) {
        if self.diary.is_some()
            && let Some(words) = effect_in_words(&effect)
        {
            self.note(|_| format!("device {device}: -> {words}"));
        }
        match effect {
            Effect::Connect { link, .. } => {
                if !self.is_wanted_now {
                    self.counts_attempt(device);
                }
                self.connect(device, link);
            }
            Effect::Send { link, bytes } => self.sends(device, link, &bytes),
            Effect::Hangup { link } if self.is_current(device, link) => self.leave(device),
            Effect::Close { link } if self.is_current(device, link) => self.closes(device, link),
            Effect::Hangup { .. }
            | Effect::Close { .. }
            | Effect::StartTls { .. }
            | Effect::RestartStream { .. }
            | Effect::Hurry { .. }
            | Effect::Status(_) => {}
            Effect::Reply { request, result } => self.replied(device, request, result),
            Effect::Update(touched) => self.touched(device, &touched),
            Effect::Event(event) => match *event {
                Event::Online { resumed, .. } => {
                    let phone = &mut self.devices[device];
                    phone.attempts.clear();
                    if phone.online_before {
                        self.report.online += 1;
                        self.report.resumed += u64::from(resumed);
                    }
                    phone.online_before = true;
                    phone.online = true;
                }
                Event::Offline { .. } => self.devices[device].online = false,
                told => self.hears(device, &told),
            },
        }
    }

    pub(super) fn is_current(&self, device: usize, link: LinkId) -> bool {
        self.devices[device].line.is_some_and(|(current, _)| current == link)
    }

    fn counts_attempt(&mut self, device: usize) {
        let now = self.now;
        let attempts = &mut self.devices[device].attempts;
        attempts.push_back(now);
        while attempts.front().is_some_and(|at| now - at > 60_000) {
            attempts.pop_front();
        }
        if attempts.len() > MAX_ATTEMPTS {
            self.fail(Failure::ReconnectLoop { device });
        }
    }

    fn replied(&mut self, device: usize, request: RequestId, result: Result<Reply, Error>) {
        let Some(asked) = self.devices[device].user.asked.remove(&request) else { return };
        self.answered = Some((request, result.is_ok()));
        match asked {
            Asked::Post(number) => self.devices[device].user.posts[number].done = result.is_ok(),
            Asked::Scene(number) => self.devices[device].user.scenes[number].done = result.is_ok(),
            _ => {}
        }
        if asked == Asked::SignIn
            && matches!(result, Err(Error::StorageFull | Error::DatabaseUnusable { .. }))
        {
            self.devices[device].user.is_signed_out = true;
            self.retries_in(device, 5_000);
        }
        if let Asked::Send(mut draft) = asked {
            match result {
                Ok(_) => {
                    self.report.sent += 1;
                    self.devices[device].user.sent.push(draft);
                }
                Err(Error::StorageFull | Error::DatabaseUnusable { .. } | Error::Bug { .. }) => {
                    self.devices[device].user.unsent.push_front(draft);
                    self.retries_in(device, 5_000);
                }
                Err(Error::NotFound) if draft.answers.is_some() => {
                    // What it answers is gone: it was deleted, or a power cut took it.
                    draft.answers = None;
                    self.devices[device].user.unsent.push_front(draft);
                    self.retries_in(device, 1);
                }
                // The disk did not let the user look, and by now there is another in its place.
                Err(Error::NotFound) if draft.replaces && self.is_behind(device, draft.to) => {}
                Err(error) => {
                    self.fail(Failure::Refused { device, text: draft.text, error: error.to_string() })
                }
            }
        }
    }

    fn touched(&mut self, device: usize, touched: &Touched) {
        let accounts = self.script.devices.len();
        let own = self.devices[device].account;
        let user = &mut self.devices[device].user;
        user.lists.touched(touched);
        for with in (0..accounts).filter(|with| *with != own) {
            let screen = user.screens.entry(with).or_default();
            let from = if touched.all_timelines {
                Some(i64::MIN)
            } else {
                touched
                    .timelines
                    .iter()
                    .find(|(jid, _)| account_of(jid.as_str()) == Some(with))
                    .map(|(_, at)| *at)
            };
            if let Some(from) = from {
                screen.stale = Some(screen.stale.map_or(from, |stale| stale.min(from)));
            }
        }
    }

    /// The user looks at the screen.
    pub(super) fn look(&mut self, device: usize) {
        if self.can_look(device) {
            judge::look(self, device);
        }
    }

    /// Whether something has changed that the user has not seen.
    fn is_behind(&self, device: usize, with: usize) -> bool {
        self.devices[device].user.screens.get(&with).is_some_and(|screen| screen.stale.is_some())
    }

    pub(super) fn can_look(&self, device: usize) -> bool {
        self.devices[device].engine.is_some() && self.devices[device].disk().in_force().is_none()
    }

    /// Whether the disk says that the process is dead; then it is buried.
    fn died(&mut self, device: usize) -> bool {
        let dead = matches!(self.devices[device].disk().in_force(), Some(Fault::Die | Fault::DieAfter));
        if dead {
            let (_, power, back) = self.devices[device].doomed.take().unwrap_or((When::Idle, false, 1_000));
            self.dies(device, power, back);
        }
        dead
    }

    pub(super) fn dies(&mut self, device: usize, power: bool, back: u64) {
        self.note(|_| format!("device {device}: dies{}", if power { " with its power" } else { "" }));
        self.report.deaths += 1;
        self.report.power_cuts += u64::from(power);
        let phone = &mut self.devices[device];
        phone.closes_readers();
        if power {
            let rng = &mut phone.rng;
            phone.files.disk().power_loss(&mut || match rng.next_u32() % 3 {
                0 => Fate::Keep,
                1 => Fate::Drop,
                _ => Fate::Tear,
            });
        } else {
            phone.files.disk().crash();
        }
        phone.engine = None;
        phone.wake_token += 1;
        phone.user.unanswered();
        self.heal(device);
        self.abandons(device, power);
        let end = self.now + back;
        self.at(end, Happening::Start(device));
    }
}

fn in_words(input: &Input) -> String {
    match input {
        Input::Element { element, .. } => String::from(element),
        other => {
            let mut text = format!("{other:?}");
            text.truncate(200);
            text
        }
    }
}

fn effect_in_words(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Send { bytes, .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
        Effect::Update(_) | Effect::Hurry { .. } | Effect::Event(_) => None,
        other => Some(format!("{other:?}")),
    }
}
