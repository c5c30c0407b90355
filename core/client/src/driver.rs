//! One account's thread: wait for socket, command or timer; step over everything that is ready; commit; perform.
//!
//! The loop owns the write connection to the file (inside of the engine) and the socket. Performing puts bytes into a
//! buffer and returns; it never waits for the peer.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time,
};
use whimbrel_engine::{
    Drained, Effect, Engine, Input, LinkFailure, LinkId, Now, Tls,
    api::{Command, Error, Event, Reply, RequestId},
};

use crate::{
    net::{
        connect::Route,
        framing::{Frame, Framer, FramingError},
        io::Wire,
    },
    shared::{Shared, wall_clock},
};

/// One batch is at most this much (DESIGN: everything ready, but no more).
const BATCH: usize = 50;
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_TIME: Duration = Duration::from_millis(20);
/// While a page of the archive is under way: a commit of five batches writes a third of what five commits write, since most
/// pages of the file's indexes are touched by each. The server has sent the whole page by then; it waits for no ack of ours.
const PAGE_BATCH: usize = 250;
const PAGE_BATCH_BYTES: usize = 512 * 1024;
/// While a page of the archive is under way, its rest is worth this wait: a commit costs more.
const LINGER: Duration = Duration::from_millis(3);

/// What the public objects ask of the thread.
#[derive(Debug)]
pub(crate) enum Request {
    Command(Command, oneshot::Sender<Result<Reply, Error>>),
    Network(bool),
    Foreground(bool),
    /// Acknowledge, hang up, checkpoint, close the file, end the thread.
    Stop(oneshot::Sender<()>),
}

enum Done {
    Connected(LinkId, Result<(Wire, Option<Tls>), LinkFailure>),
    Secured(LinkId, Result<(Wire, Tls), LinkFailure>),
}

struct Link {
    id: LinkId,
    /// Absent while TLS is being set up.
    wire: Option<Wire>,
    framer: Framer,
    /// Read, but not looked at: a new stream may begin there.
    rest: Vec<u8>,
    hurry: bool,
    /// Not online yet: what the server says comes in small pieces that wait for each other's TCP acknowledgement.
    logging_in: bool,
}

impl Link {
    fn set_pace(&mut self) {
        let hurry = self.hurry || self.logging_in;
        if let Some(wire) = &mut self.wire {
            wire.hurry(hurry);
        }
    }
}

pub(crate) struct Driver {
    pub(crate) engine: Engine,
    pub(crate) route: Route,
    pub(crate) domain: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) requests: mpsc::UnboundedReceiver<Request>,
}

impl Driver {
    /// Runs on this thread until it is told to stop, or nobody is left to tell it.
    pub(crate) fn run_to_end(self) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                runtime.block_on(self.run());
                // A name that is still being looked up must not keep a suspended app waiting.
                runtime.shutdown_background();
            }
            Err(error) => tracing::error!(%error, "no runtime for an account's thread"),
        }
    }

    async fn run(mut self) {
        let started = Instant::now();
        let now = || Now { mono: started.elapsed().as_millis() as u64, wall: wall_clock() };
        let mut rng = StdRng::from_os_rng();
        let (done, mut finished) = mpsc::unbounded_channel();
        let mut closing = JoinSet::new();
        let mut replies: BTreeMap<RequestId, oneshot::Sender<Result<Reply, Error>>> = BTreeMap::new();
        let mut next_request = 0;
        let mut link: Option<Link> = None;
        let mut stopping: Option<oneshot::Sender<()>> = None;
        while stopping.is_none() {
            let mut inputs = Vec::new();
            let wake = self.engine.next_wake().map(|at| started + Duration::from_millis(at));
            let sleep = async {
                match wake {
                    Some(at) => time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let mut take = |request, inputs: &mut Vec<Input>| match request {
                Some(Request::Command(command, reply)) => {
                    next_request += 1;
                    replies.insert(RequestId(next_request), reply);
                    inputs.push(Input::Command { request: RequestId(next_request), command });
                }
                Some(Request::Network(available)) => inputs.push(Input::Network { available }),
                Some(Request::Foreground(foreground)) => inputs.push(Input::Foreground(foreground)),
                Some(Request::Stop(stopped)) => {
                    inputs.push(Input::Command { request: RequestId(0), command: Command::Suspend });
                    stopping = Some(stopped);
                }
                // Every handle is gone: end like a suspended app.
                None => {
                    inputs.push(Input::Command { request: RequestId(0), command: Command::Suspend });
                    stopping = Some(oneshot::channel().0);
                }
            };
            tokio::select! {
                biased;
                request = self.requests.recv() => take(request, &mut inputs),
                Some(done) = finished.recv() => arrived(&mut link, done, &mut inputs),
                () = read(&mut link, &mut inputs) => {}
                () = sleep => inputs.push(Input::Tick),
            }
            while inputs.len() < BATCH
                && let Ok(request) = self.requests.try_recv()
            {
                take(Some(request), &mut inputs);
            }
            let effects = self.engine.turn(inputs, now(), &mut rng);
            for effect in effects {
                match effect {
                    Effect::Connect { link: id, destination: _ } => {
                        drop(link.replace(Link {
                            id,
                            wire: None,
                            framer: Framer::new(),
                            rest: Vec::new(),
                            hurry: false,
                            logging_in: true,
                        }));
                        let (route, domain, done) = (self.route.clone(), self.domain.clone(), done.clone());
                        tokio::spawn(async move {
                            let _ = done.send(Done::Connected(id, route.connect(domain).await));
                        });
                    }
                    Effect::StartTls { link: id } => {
                        if let Some(current) = link.as_mut().filter(|link| link.id == id)
                            && let Some(wire) = current.wire.take()
                        {
                            if current.rest.is_empty() {
                                let (route, domain, done) =
                                    (self.route.clone(), self.domain.clone(), done.clone());
                                tokio::spawn(async move {
                                    let _ = done.send(Done::Secured(id, route.upgrade(wire, domain).await));
                                });
                            } else {
                                let why = LinkFailure::Untrusted(
                                    "plaintext behind the beginning of encryption".into(),
                                );
                                let _ = done.send(Done::Connected(id, Err(why)));
                            }
                        }
                    }
                    Effect::RestartStream { link: id } => {
                        if let Some(link) = link.as_mut().filter(|link| link.id == id) {
                            link.framer.restart();
                        }
                    }
                    Effect::Send { link: id, bytes } => {
                        if let Some(wire) =
                            link.as_mut().filter(|link| link.id == id).and_then(|link| link.wire.as_mut())
                        {
                            wire.queue(&bytes);
                        }
                    }
                    Effect::Hangup { link: id } | Effect::Close { link: id }
                        if link.as_ref().is_some_and(|link| link.id == id) =>
                    {
                        if let Some(mut wire) = link.take().and_then(|link| link.wire) {
                            if matches!(effect, Effect::Close { .. }) {
                                wire.queue(b"</stream:stream>");
                            }
                            closing.spawn(wire.hang_up());
                        }
                    }
                    Effect::Hangup { .. } | Effect::Close { .. } => {}
                    Effect::Hurry { link: id, on } => {
                        if let Some(link) = link.as_mut().filter(|link| link.id == id) {
                            link.hurry = on;
                            link.set_pace();
                        }
                    }
                    Effect::Reply { request, result } => {
                        if let Some(reply) = replies.remove(&request) {
                            let _ = reply.send(result);
                        }
                    }
                    Effect::Update(touched) => self.shared.touched(&touched),
                    Effect::Status(status) => self.shared.set_status(status),
                    Effect::Event(event) => {
                        if let (Event::Online { .. }, Some(link)) = (&*event, &mut link) {
                            link.logging_in = false;
                            link.set_pace();
                        }
                        self.shared.event(&event);
                    }
                }
            }
            while closing.try_join_next().is_some() {}
        }
        drop(link);
        for reply in std::mem::take(&mut replies).into_values() {
            let _ = reply.send(Err(Error::Suspended));
        }
        while closing.join_next().await.is_some() {}
        self.shared.close_reader(false);
        if let Err(error) = self.engine.close() {
            tracing::warn!(%error, "the file was closed without writing its journal back");
        }
        if let Some(stopped) = stopping {
            let _ = stopped.send(());
        }
    }
}

fn arrived(link: &mut Option<Link>, done: Done, inputs: &mut Vec<Input>) {
    let (id, result) = match done {
        Done::Connected(id, result) => (id, result.map(|(wire, tls)| (wire, tls, false))),
        Done::Secured(id, result) => (id, result.map(|(wire, tls)| (wire, Some(tls), true))),
    };
    let Some(current) = link.as_mut().filter(|link| link.id == id) else { return };
    match result {
        Ok((wire, tls, secured)) => {
            current.wire = Some(wire);
            current.set_pace();
            inputs.push(match (tls, secured) {
                (Some(tls), true) => Input::Secured { link: id, tls },
                (tls, _) => Input::LinkUp { link: id, tls },
            });
        }
        Err(why) => {
            *link = None;
            inputs.push(Input::LinkLost { link: id, why });
        }
    }
}

/// Waits for something to read and takes all that is ready, up to a batch. Dropping it loses nothing.
async fn read(link: &mut Option<Link>, inputs: &mut Vec<Input>) {
    let Some(current) = link.as_mut().filter(|link| link.wire.is_some()) else {
        return std::future::pending().await;
    };
    let mut size = 0;
    let mut began: Option<Instant> = None;
    loop {
        let rest = std::mem::take(&mut current.rest);
        let lost = if rest.is_empty() {
            let Some(wire) = &mut current.wire else { return };
            let result = match began {
                None => wire.read().await,
                Some(began) => match wire.read_now().await {
                    Some(result) => result,
                    None if current.hurry && began.elapsed() < BATCH_TIME && !ends_page(inputs) => {
                        match time::timeout(LINGER, wire.read()).await {
                            Ok(result) => result,
                            Err(_) => return,
                        }
                    }
                    None => return,
                },
            };
            match result {
                Ok([]) => Some(LinkFailure::Network("the server hung up".into())),
                Ok(bytes) => {
                    size += bytes.len();
                    feed(current.id, &mut current.framer, bytes, &mut current.rest, inputs)
                }
                Err(error) => Some(LinkFailure::Network(error.to_string())),
            }
        } else {
            feed(current.id, &mut current.framer, &rest, &mut current.rest, inputs)
        };
        if let Some(why) = lost {
            inputs.push(Input::LinkLost { link: current.id, why });
            *link = None;
            return;
        }
        let began = *began.get_or_insert_with(Instant::now);
        let (most, most_bytes) =
            if current.hurry { (PAGE_BATCH, PAGE_BATCH_BYTES) } else { (BATCH, BATCH_BYTES) };
        // What follows a point where the stream may change waits for the decision.
        if !current.rest.is_empty()
            || inputs.len() >= most
            || size >= most_bytes
            || began.elapsed() >= BATCH_TIME
        {
            if inputs.is_empty() && current.rest.is_empty() {
                continue;
            }
            return;
        }
    }
}

/// A page's end, or a request for an acknowledgement, is worth a commit at once.
fn ends_page(inputs: &[Input]) -> bool {
    match inputs.last() {
        Some(Input::Element { element, .. }) => element.name() != "message",
        Some(_) => true,
        None => false,
    }
}

/// Bytes of a stream into inputs. What is left in `rest` waits for a decision about the stream.
pub(crate) fn feed(
    id: LinkId,
    framer: &mut Framer,
    bytes: &[u8],
    rest: &mut Vec<u8>,
    inputs: &mut Vec<Input>,
) -> Option<LinkFailure> {
    let mut frames = Vec::new();
    let result = framer.feed(bytes, &mut frames);
    inputs.extend(frames.into_iter().map(|frame| match frame {
        Frame::Header(header) => Input::Header {
            link: id,
            header: whimbrel_engine::StreamHeader { from: header.from, id: header.id },
        },
        Frame::Element { element, .. } => Input::Element { link: id, element },
        Frame::TooMuch(drained) => Input::TooMuch {
            link: id,
            drained: Drained {
                name: drained.name,
                from: drained.from,
                to: drained.to,
                id: drained.id,
                kind: drained.kind,
                archived: drained.archive.and_then(|archive| Some((archive.query?, archive.id))),
                size: drained.size,
                why: format!("{:?}", drained.why).to_lowercase(),
                head: drained.head,
            },
        },
        Frame::Footer => Input::Closed { link: id },
    }));
    match result {
        Ok(used) => {
            rest.extend_from_slice(&bytes[used..]);
            None
        }
        Err(error) => Some(nonsense(error)),
    }
}

fn nonsense(error: FramingError) -> LinkFailure {
    LinkFailure::Nonsense(error.to_string())
}
