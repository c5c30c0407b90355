//! The world: time, links, processes, and everything that a script does to them.
//!
//! Time is moved from one happening to the next; nothing sleeps. A link carries elements with latency and in order; when it
//! is cut, what was under way arrives or not, as the script says, and each end hears of it when it does. A process is the
//! real engine on a disk that can fail: it is driven as the client drives it, batch by batch, and its effects are performed
//! after its commit, or not all of them.

mod deeds;
mod lines;
mod processes;
mod shown;

use std::{
    any::Any,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    panic::{AssertUnwindSafe, catch_unwind},
};

use rand::{SeedableRng, rngs::StdRng};
use whimbrel_engine::{Input, LinkId, api::RequestId};

use crate::{
    device::Device,
    files::Files,
    judge::{self, Failure},
    script::{Deed, Script},
    server::{Conn, Server},
};

use lines::Line;

/// Longer than anything a script does: then everything is healed, and the world comes to rest.
const REST: u64 = 3 * 3_600_000;
const DAY: u64 = 25 * 3_600_000;
/// Turns of one world after which it is a live-lock.
const MAX_TURNS: u64 = 60_000;

/// What a world came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Texts that the core said are durable.
    pub sent: u64,
    /// Steps of all engines.
    pub turns: u64,
    /// Sessions that came online after the first.
    pub online: u64,
    /// Of them, resumed.
    pub resumed: u64,
    /// Processes that died.
    pub deaths: u64,
    /// Of them, by a power cut.
    pub power_cuts: u64,
    /// Writes, syncs and the like that a full or broken disk has refused.
    pub refused: u64,
    /// Links that were cut.
    pub cuts: u64,
    /// Texts that an archive has twice, because they had to be sent again.
    pub resends: u64,
    /// The most rows that one turn of an engine has written.
    pub largest_step: u64,
}

#[derive(Debug)]
enum Happening {
    /// A deed of the script, by its number.
    Act(usize),
    /// Something arrives at the server.
    Up(Conn),
    /// Something arrives at a device.
    Down(Conn),
    /// The process that was started then hears that its link is gone.
    Lost { device: usize, started: u64, link: LinkId },
    /// The server hears that.
    LostAbove(Conn),
    /// Its attempt to connect succeeds.
    Connected { device: usize, started: u64, link: LinkId },
    /// The engine wanted to be called.
    Wake { device: usize, token: u64 },
    /// There is a network again, and the platform says so.
    Network(usize),
    /// What an old link still had in its buffers, for the process that was started then.
    Leftover { device: usize, started: u64, input: Box<Input> },
    /// A process is started.
    Start(usize),
    /// The disk is well again.
    Heal(usize),
    /// The user tries again what was refused.
    Retry(usize),
    /// The server is up again.
    ServerUp,
}

/// A world.
pub struct World {
    script: Script,
    now: u64,
    rng: StdRng,
    server: Server,
    server_down_until: u64,
    devices: Vec<Device>,
    lines: BTreeMap<Conn, Line>,
    next_conn: u64,
    happenings: BinaryHeap<Reverse<(u64, u64)>>,
    what: BTreeMap<u64, Happening>,
    next_happening: u64,
    report: Report,
    /// The request that was answered in this step, and whether well.
    answered: Option<(RequestId, bool)>,
    failure: Option<Failure>,
    /// Somebody wants to connect in this step.
    is_wanted_now: bool,
    /// Everything is healed; only what the engines still want to do happens.
    settling: bool,
    /// What happened, in words, for those who look for a cause.
    diary: Option<Vec<String>>,
}

impl World {
    /// Runs a script to its end and judges what came of it.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn run(script: &Script) -> Result<Report, Failure> {
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let mut world = Self::new(script.clone(), false);
            world.live();
            world.failure.map_or(Ok(world.report), Err)
        }));
        lived.unwrap_or_else(|panic| Err(Failure::Panicked(panic_text(&*panic))))
    }

    /// The same, with a diary.
    pub fn run_with_diary(script: &Script) -> (Result<Report, Failure>, Vec<String>) {
        let mut world = Self::new(script.clone(), true);
        world.live();
        let diary = world.diary.take().unwrap_or_default();
        (world.failure.map_or(Ok(world.report), Err), diary)
    }

    fn new(script: Script, diary: bool) -> Self {
        let mut devices = Vec::new();
        for (account, count) in script.devices.iter().enumerate() {
            for index in 0..*count {
                let files = Files::new(account, script.encrypted, script.cache);
                let seed = script.seed ^ (devices.len() as u64 + 1) << 32;
                devices.push(Device::new(account, index, files, seed));
            }
        }
        let server = Server::new(script.manners.clone(), script.devices.len(), script.seed ^ 1 << 48);
        let rng = StdRng::seed_from_u64(script.seed ^ 1 << 49);
        let mut world = Self {
            script,
            now: 0,
            rng,
            server,
            server_down_until: 0,
            devices,
            lines: BTreeMap::new(),
            next_conn: 0,
            happenings: BinaryHeap::new(),
            what: BTreeMap::new(),
            next_happening: 0,
            report: Report::default(),
            answered: None,
            failure: None,
            is_wanted_now: false,
            settling: false,
            diary: diary.then(Vec::new),
        };
        for device in 0..world.devices.len() {
            let late = world.script.late.filter(|(late, _)| *late == device);
            world.at(late.map_or(0, |(_, at)| at), Happening::Start(device));
        }
        for act in 0..world.script.acts.len() {
            world.at(world.script.acts[act].at, Happening::Act(act));
        }
        world
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.next_happening += 1;
        self.happenings.push(Reverse((time.max(self.now), self.next_happening)));
        self.what.insert(self.next_happening, happening);
    }

    pub(crate) fn note(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.diary.is_some() {
            let line = format!("{:>10.3} {}", self.now as f64 / 1_000.0, what(self));
            self.diary.get_or_insert_default().push(line);
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.note(|_| format!("FAILED: {failure}"));
        self.failure.get_or_insert(failure);
    }

    fn live(&mut self) {
        let end = self.script.acts.iter().map(|act| act.at).max().unwrap_or(0) + 1;
        self.until(end);
        self.settle();
        self.report.refused = self.devices.iter().map(|device| device.disk().refused()).sum();
        if self.failure.is_none() {
            judge::judge(self);
        }
    }

    fn until(&mut self, end: u64) {
        while self.failure.is_none()
            && let Some(Reverse((time, number))) = self.happenings.peek().copied()
            && time <= end
        {
            self.happenings.pop();
            let Some(happening) = self.what.remove(&number) else { continue };
            self.now = time;
            self.happens(happening);
            if self.report.turns > MAX_TURNS {
                self.fail(Failure::LiveLock);
            }
        }
        self.now = self.now.max(end);
    }

    fn happens(&mut self, happening: Happening) {
        let whose = match &happening {
            Happening::Lost { device, .. }
            | Happening::Connected { device, .. }
            | Happening::Wake { device, .. }
            | Happening::Leftover { device, .. }
            | Happening::Network(device)
            | Happening::Retry(device) => Some(*device),
            Happening::Down(conn) => self.lines.get(conn).map(|line| line.device),
            _ => None,
        };
        if let Some(device) = whose
            && self.devices[device].asleep_until > self.now
        {
            // It hears nothing while it sleeps.
            return self.at(self.devices[device].asleep_until, happening);
        }
        match happening {
            Happening::Act(act) => self.act(act),
            Happening::Up(conn) => self.arrives_above(conn),
            Happening::Down(conn) => self.arrives_below(conn),
            Happening::Lost { device, started, link } if self.devices[device].started == started => {
                self.hears_of_the_cut(device, link);
            }
            Happening::LostAbove(conn) => {
                self.lines.remove(&conn);
                self.server.disconnected(self.now, conn);
                self.carry();
            }
            Happening::Connected { device, started, link } if self.devices[device].started == started => {
                self.is_connected(device, link);
            }
            // The next process counts its links from one, too.
            Happening::Lost { .. } | Happening::Connected { .. } => {}
            Happening::Wake { device, token } => {
                if self.devices[device].wake_token == token {
                    self.turn(device, vec![Input::Tick]);
                }
            }
            Happening::Network(device) => self.network(device, true),
            Happening::Leftover { device, started, input } => {
                // Of a link that it still believes in it would be a hole in the stream, which TCP has not.
                let of_another =
                    !matches!(&*input, Input::Element { link, .. } if self.is_current(device, *link));
                if self.devices[device].started == started && of_another {
                    self.turn(device, vec![*input]);
                }
            }
            Happening::Start(device) => self.start(device),
            Happening::Heal(device) => self.heal(device),
            Happening::Retry(device) => {
                self.devices[device].user.will_retry = false;
                self.try_again(device);
            }
            Happening::ServerUp => {}
        }
    }

    /// The disk is well again, and whoever was to die of it lives on.
    fn heal(&mut self, device: usize) {
        self.devices[device].disk().heal();
        self.devices[device].doomed = None;
    }

    /// A device that sleeps is woken early.
    fn wake_up(&mut self, device: usize) {
        let device = &mut self.devices[device];
        let early = device.asleep_until.saturating_sub(self.now);
        device.slept = device.slept.saturating_sub(early);
        device.asleep_until -= early;
    }

    /// Everything is healed, everybody is online, and time passes until nothing is left to do.
    fn settle(&mut self) {
        self.settling = true;
        self.server.behave();
        self.server_down_until = self.now;
        self.note(|_| "everything is healed".to_owned());
        for device in 0..self.devices.len() {
            self.heal(device);
            self.devices[device].no_network_until = self.now;
            self.wake_up(device);
            if self.devices[device].engine.is_none() {
                self.start(device);
            }
            self.network(device, true);
        }
        // A clock that was set back by some hours hides that a day has passed, until another one has.
        let set = self.script.acts.iter().any(|act| matches!(act.deed, Deed::Clock { .. }));
        let most = if set { 4 } else { 2 };
        let (mut end, mut checked, mut days) = (self.now + REST, self.now, 0);
        while self.failure.is_none() {
            checked = checked.max(self.now) + 60_000;
            self.until(checked);
            for device in 0..self.devices.len() {
                self.try_again(device);
            }
            if self.failure.is_none() && self.is_at_rest() {
                // A session that nobody comes back to may lose something every day.
                if (self.server.dropped == 0 && (days == 0 || !set)) || days == most {
                    // What nobody has answered is tried again in a while.
                    match self.agree() {
                        Ok(()) => return,
                        Err(failure) if self.now > end => return self.fail(failure),
                        Err(Failure::FeedOtherwise { device, of, .. }) => {
                            // What was told may not have come.
                            self.reads_feed(device, of);
                            continue;
                        }
                        Err(_) => continue,
                    }
                }
                days += 1;
                // What a server has dropped without a word is found at most a day later (STREAM 11). Asleep it is over soon.
                self.server.dropped = 0;
                for device in 0..self.devices.len() {
                    self.sleep(device, DAY);
                }
                (end, checked) = (self.now + DAY + REST, self.now + DAY);
            }
            if self.now > end {
                let what = self.unrest();
                return self.fail(Failure::Restless(what));
            }
        }
    }
}

impl World {
    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn devices(&self) -> &[Device] {
        &self.devices
    }

    pub(crate) fn device_mut(&mut self, device: usize) -> &mut Device {
        &mut self.devices[device]
    }

    pub(crate) fn judged(&mut self, failure: Failure) {
        self.fail(failure);
    }

    pub(crate) fn report_mut(&mut self) -> &mut Report {
        &mut self.report
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
