//! One account's thread: wait for socket, command or timer; step over everything that is ready; commit; perform.
//!
//! The loop owns the write connection to the file (inside of the engine) and the socket. Performing puts bytes into a
//! buffer and returns; it never waits for the peer.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time,
};
use whimbrel_engine::{
    Drained, Effect, Engine, Input, LinkFailure, LinkId, Now, Tls,
    api::{Command, Error, Event, Network, Reply, RequestId},
    panic_report,
};

use crate::{
    bell::{Bell, Listening},
    net::{
        connect::{Route, caught},
        framing::{self, Frame, Framer, NS_CLIENT},
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
#[allow(clippy::large_enum_variant, reason = "nearly all of them are commands")]
#[derive(Debug)]
pub(crate) enum Request {
    Command(Command, oneshot::Sender<Result<Reply, Error>>),
    Network(Network),
    Woke,
    Foreground(bool),
    LowMemory,
    /// Whether the file is still ours to write.
    HasLease(oneshot::Sender<bool>),
    /// Acknowledge, hang up, checkpoint, close the file, end the thread.
    Stop {
        stopped: oneshot::Sender<()>,
        /// As [`Command::Suspend`] has it.
        seen: bool,
        /// What those are told who wait for an answer.
        why: Error,
    },
    #[cfg(test)]
    Panic,
}

enum Done {
    Connected(LinkId, Result<(Wire, Option<Tls>), LinkFailure>),
    Secured(LinkId, Result<(Wire, Tls), LinkFailure>),
}

/// The current connection, from the attempt to open it.
struct Link {
    id: LinkId,
    /// The attempt, while there is no wire. Given up with the link.
    opening: Option<AbortHandle>,
    wire: Option<Wire>,
    incoming: Incoming,
    hurry: bool,
    /// Not online yet: what the server says comes in small pieces that wait for each other's TCP acknowledgement.
    logging_in: bool,
}

/// What came over a link and is in no batch yet.
struct Incoming {
    id: LinkId,
    framer: Framer,
    /// Read, but not looked at: a new stream may begin there.
    rest: Vec<u8>,
    ready: VecDeque<Input>,
    /// Bytes read for what is ready.
    size: usize,
    /// A new stream may begin behind the last of these: nothing is read before that is decided.
    undecided: bool,
}

impl Link {
    fn opening(id: LinkId, opening: AbortHandle) -> Self {
        let incoming = Incoming {
            id,
            framer: Framer::new(),
            rest: Vec::new(),
            ready: VecDeque::new(),
            size: 0,
            undecided: false,
        };
        Self { id, opening: Some(opening), wire: None, incoming, hurry: false, logging_in: true }
    }

    /// What is in front, as much as fits into a batch; `any`: there is a batch already.
    fn take(&mut self, any: bool, inputs: &mut Vec<Input>) {
        if (any || !self.incoming.ready.is_empty()) && self.wire.as_mut().is_some_and(Wire::progress) {
            inputs.push(Input::Progress { link: self.id });
        }
        self.incoming.take(self.hurry, inputs);
    }

    fn set_pace(&mut self) {
        let hurry = self.hurry || self.logging_in;
        if let Some(wire) = &mut self.wire {
            wire.hurry(hurry);
        }
    }

    fn lost(&mut self, why: LinkFailure) {
        self.wire = None;
        self.incoming.rest.clear();
        self.incoming.ready.push_back(Input::LinkLost { link: self.id, why });
    }

    /// Waits until something is ready and takes all that is, up to a batch. Dropping it loses nothing.
    async fn fill(&mut self) {
        let incoming = &mut self.incoming;
        let mut began: Option<Instant> = None;
        while !incoming.is_full(self.hurry) {
            // What is ready is worth no more waiting than this.
            let late = began.is_some_and(|began| began.elapsed() >= BATCH_TIME);
            if late && !incoming.ready.is_empty() {
                return;
            }
            let fed = if !incoming.rest.is_empty() {
                let rest = std::mem::take(&mut incoming.rest);
                incoming.feed(&rest)
            } else {
                let Some(wire) = &mut self.wire else {
                    if incoming.ready.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    return;
                };
                let result = if incoming.ready.is_empty() {
                    wire.read().await
                } else {
                    match wire.read_now().await {
                        Some(result) => result,
                        None if self.hurry && !ends_page(&incoming.ready) => {
                            match time::timeout(LINGER, wire.read()).await {
                                Ok(result) => result,
                                Err(_) => return,
                            }
                        }
                        None => return,
                    }
                };
                match result {
                    Ok([]) => Err(LinkFailure::Network("the server hung up".into())),
                    Ok(bytes) => incoming.feed(bytes),
                    Err(error) => Err(LinkFailure::Network(error.to_string())),
                }
            };
            if let Err(why) = fed {
                return self.lost(why);
            }
            began.get_or_insert_with(Instant::now);
        }
    }

    /// Takes what can be read without waiting for it.
    async fn fill_now(&mut self) {
        let mut fill = std::pin::pin!(self.fill());
        std::future::poll_fn(|cx| {
            let _ = fill.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
    }
}

impl Incoming {
    fn is_full(&self, hurry: bool) -> bool {
        self.undecided || self.ready.len() >= most(hurry) || self.size >= most_bytes(hurry)
    }

    fn take(&mut self, hurry: bool, inputs: &mut Vec<Input>) {
        let count = self.ready.len().min(most(hurry));
        inputs.extend(self.ready.drain(..count));
        if self.ready.is_empty() {
            self.size = 0;
            self.undecided = false;
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), LinkFailure> {
        self.size += bytes.len();
        #[cfg(feature = "internals")]
        crate::internals::record(self.id, "in", bytes);
        if let Some(why) = feed(self.id, &mut self.framer, bytes, &mut self.rest, &mut self.ready) {
            return Err(why);
        }
        self.undecided = !self.rest.is_empty() || self.ready.back().is_some_and(may_restart);
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(opening) = &self.opening {
            opening.abort();
        }
    }
}

pub(crate) struct Driver {
    pub(crate) engine: Engine,
    /// How another process says that it wants the file.
    pub(crate) bell: Option<Bell>,
    pub(crate) route: Route,
    pub(crate) domain: String,
    pub(crate) shared: Arc<Shared>,
}

/// The thread was told to end, and by whom; nobody if no handle is left.
pub(crate) type Stopped = Option<oneshot::Sender<()>>;

impl Driver {
    /// Runs on this thread until it is told to stop, or nobody is left to tell it. When it returns, the file and every socket
    /// are closed.
    ///
    /// # Errors
    /// It panicked: a mistake of ours, and what it says.
    pub(crate) fn run_to_end(
        self,
        requests: &mut mpsc::UnboundedReceiver<Request>,
    ) -> Result<Stopped, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.run(requests))));
        // A name that is still being looked up must not keep a suspended app waiting.
        runtime.shutdown_background();
        ended.map_err(|payload| panic_report(&*payload))
    }

    async fn run(mut self, requests: &mut mpsc::UnboundedReceiver<Request>) -> Stopped {
        let started = Instant::now();
        let now = || Now { mono: started.elapsed().as_millis() as u64, wall: wall_clock() };
        let mut rng = StdRng::from_os_rng();
        let (done, mut finished) = mpsc::unbounded_channel();
        let mut closing = JoinSet::new();
        let mut replies: BTreeMap<RequestId, oneshot::Sender<Result<Reply, Error>>> = BTreeMap::new();
        let mut next_request = 0;
        let mut link: Option<Link> = None;
        let mut bell = self.bell.take().and_then(|bell| bell.listen().ok());
        let mut stopping: Option<(Stopped, Error)> = None;
        while stopping.is_none() {
            let mut asked = Vec::new();
            let mut asked_for_lease = Vec::new();
            let mut low_memory = false;
            let mut inputs = Vec::new();
            let mut take = |request| match request {
                Some(Request::Command(command, reply)) => {
                    next_request += 1;
                    replies.insert(RequestId(next_request), reply);
                    asked.push(Input::Command { request: RequestId(next_request), command });
                }
                Some(Request::Network(network)) => {
                    self.route.ask_names_of(&network.dns);
                    asked.push(Input::Network(network));
                }
                Some(Request::Woke) => asked.push(Input::Woke),
                Some(Request::Foreground(foreground)) => asked.push(Input::Foreground(foreground)),
                Some(Request::LowMemory) => low_memory = true,
                Some(Request::HasLease(reply)) => {
                    asked.push(Input::Tick);
                    asked_for_lease.push(reply);
                }
                Some(Request::Stop { stopped, seen, why }) => {
                    asked.push(Input::Command { request: RequestId(0), command: Command::Suspend { seen } });
                    stopping = Some((Some(stopped), why));
                }
                // Every handle is gone, without a word of what was seen: end like a suspended app that was killed.
                None => {
                    asked.push(Input::Command {
                        request: RequestId(0),
                        command: Command::Suspend { seen: false },
                    });
                    stopping = Some((None, Error::Closed));
                }
                #[cfg(test)]
                Some(Request::Panic) => panic!("asked for"),
            };
            let wake = self.engine.next_wake().map(|at| started + Duration::from_millis(at));
            let stuck = link.as_ref().and_then(|link| link.wire.as_ref()?.stuck_at());
            tokio::select! {
                biased;
                request = requests.recv() => take(request),
                Some(done) = finished.recv() => arrived(&mut link, done),
                // Any step reads what was asked, and answers.
                () = rung(bell.as_ref()) => inputs.push(Input::Tick),
                () = fill(&mut link) => {}
                () = until(wake) => inputs.push(Input::Tick),
                () = until(stuck) => {}
            }
            // Whoever woke us, the others have their turn as well: neither a flood of commands nor one of stanzas may keep the
            // other waiting for longer than a batch.
            for _ in 1..BATCH {
                match requests.try_recv() {
                    Ok(request) => take(Some(request)),
                    Err(_) => break,
                }
            }
            while let Ok(done) = finished.try_recv() {
                arrived(&mut link, done);
            }
            if low_memory && let Err(error) = self.engine.shrink() {
                tracing::warn!(%error, "memory was not let go of");
            }
            if let Some(link) = &mut link {
                if let Some(wire) = &link.wire
                    && wire.stuck_at().is_some_and(|stuck| stuck <= Instant::now())
                {
                    link.lost(LinkFailure::Network("the server takes nothing any more".into()));
                }
                if link.incoming.ready.is_empty() && !asked.is_empty() {
                    link.fill_now().await;
                }
                link.take(!inputs.is_empty() || !asked.is_empty(), &mut inputs);
            }
            inputs.extend(asked);
            if inputs.is_empty() {
                continue;
            }
            let is_ours = stopping.is_some() || inputs.iter().any(|input| matches!(input, Input::Network(_)));
            for effect in self.engine.turn(inputs, now(), &mut rng) {
                match effect {
                    Effect::Connect { link: id, destination } => {
                        let (route, domain, done) = (self.route.clone(), self.domain.clone(), done.clone());
                        let opening = tokio::spawn(async move {
                            let connected = caught(route.connect(domain, destination.at)).await;
                            let _ = done.send(Done::Connected(id, connected));
                        });
                        link = Some(Link::opening(id, opening.abort_handle()));
                    }
                    Effect::StartTls { link: id } => {
                        if let Some(link) = link.as_mut().filter(|link| link.id == id)
                            && let Some(wire) = link.wire.take()
                        {
                            if link.incoming.rest.is_empty() && link.incoming.ready.is_empty() {
                                let (route, domain, done) =
                                    (self.route.clone(), self.domain.clone(), done.clone());
                                let opening = tokio::spawn(async move {
                                    let secured = caught(route.upgrade(wire, domain)).await;
                                    let _ = done.send(Done::Secured(id, secured));
                                });
                                link.opening = Some(opening.abort_handle());
                            } else {
                                link.incoming.ready.clear();
                                link.lost(LinkFailure::Untrusted(
                                    "plaintext behind the beginning of encryption".into(),
                                ));
                            }
                        }
                    }
                    Effect::RestartStream { link: id } => {
                        if let Some(link) = link.as_mut().filter(|link| link.id == id) {
                            link.incoming.framer.restart();
                        }
                    }
                    Effect::Send { link: id, bytes } => {
                        if let Some(wire) =
                            link.as_mut().filter(|link| link.id == id).and_then(|link| link.wire.as_mut())
                        {
                            #[cfg(feature = "internals")]
                            crate::internals::record(id, "out", &bytes);
                            wire.queue(&bytes);
                        }
                    }
                    Effect::Hangup { link: id } | Effect::Close { link: id }
                        if link.as_ref().is_some_and(|link| link.id == id) =>
                    {
                        if is_ours {
                            self.route.is_given_up();
                        }
                        if let Some(mut wire) = link.take().and_then(|mut link| link.wire.take()) {
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
                        // The file takes it for told from now on, and whoever has asked may not wait any more.
                        let result = result.map(|reply| match reply {
                            Reply::News(news) => Reply::News(self.shared.not_told(news)),
                            other => other,
                        });
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
                            self.route.is_let_in();
                        }
                        self.shared.event(&event);
                    }
                }
            }
            for reply in asked_for_lease {
                let _ = reply.send(!self.engine.lost_lease());
            }
            if self.engine.lost_lease() {
                // Whoever rings now means another.
                bell = None;
            }
            if let Some(wire) = link.as_mut().and_then(|link| link.wire.as_mut()) {
                wire.write_now().await;
            }
            while closing.try_join_next().is_some() {}
        }
        drop((link, bell));
        let (stopped, why) = stopping.unwrap_or((None, Error::Closed));
        for reply in std::mem::take(&mut replies).into_values() {
            let _ = reply.send(Err(why.clone()));
        }
        // The last bytes are with the system, and then the file: a peer that is gone may take a second to say so, and the system does
        // not wait.
        tokio::task::yield_now().await;
        if let Err(error) = self.engine.close() {
            tracing::warn!(%error, "the file was closed without writing its journal back");
        }
        while closing.join_next().await.is_some() {}
        stopped
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn rung(bell: Option<&Listening>) {
    match bell {
        Some(bell) => bell.rung().await,
        None => std::future::pending().await,
    }
}

fn arrived(link: &mut Option<Link>, done: Done) {
    let (id, result) = match done {
        Done::Connected(id, result) => (id, result.map(|(wire, tls)| (wire, tls, false))),
        Done::Secured(id, result) => (id, result.map(|(wire, tls)| (wire, Some(tls), true))),
    };
    let Some(link) = link.as_mut().filter(|link| link.id == id) else { return };
    link.opening = None;
    match result {
        Ok((wire, tls, secured)) => {
            link.wire = Some(wire);
            link.set_pace();
            link.incoming.ready.push_back(match (tls, secured) {
                (Some(tls), true) => Input::Secured { link: id, tls },
                (tls, _) => Input::LinkUp { link: id, tls },
            });
        }
        Err(why) => link.lost(why),
    }
}

/// Waits until something is ready and takes all that is, up to a batch. Dropping it loses nothing.
async fn fill(link: &mut Option<Link>) {
    match link {
        Some(link) => link.fill().await,
        None => std::future::pending().await,
    }
}

fn most(hurry: bool) -> usize {
    if hurry { PAGE_BATCH } else { BATCH }
}

fn most_bytes(hurry: bool) -> usize {
    if hurry { PAGE_BATCH_BYTES } else { BATCH_BYTES }
}

/// Behind these a new stream may begin (RFC 6120 §5.4.3.3 and §6.4.6), so that is decided before anything more is read.
fn may_restart(input: &Input) -> bool {
    matches!(input, Input::Element { element, .. } if matches!(element.name(), "proceed" | "success"))
}

/// A page's end, or a request for an acknowledgement, is worth a commit at once.
fn ends_page(inputs: &VecDeque<Input>) -> bool {
    match inputs.back() {
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
    inputs: &mut impl Extend<Input>,
) -> Option<LinkFailure> {
    let mut frames = Vec::new();
    let result = framer.feed(bytes, &mut frames);
    inputs.extend(frames.into_iter().map(|frame| input(id, frame)));
    match result {
        Ok(used) => {
            rest.extend_from_slice(&bytes[used..]);
            None
        }
        Err(error) => {
            let detail = error.to_string();
            Some(match framer.take_broken() {
                Some(broken) => LinkFailure::Choked { stanza: Box::new(known(*broken, &detail)), detail },
                None => LinkFailure::Nonsense(detail),
            })
        }
    }
}

fn input(id: LinkId, frame: Frame) -> Input {
    match frame {
        Frame::Header(header) => Input::Header {
            link: id,
            header: whimbrel_engine::StreamHeader { from: header.from, id: header.id },
        },
        Frame::Element { element, .. } => Input::Element { link: id, element },
        Frame::TooMuch(mut drained) => {
            let why = format!("{:?}", drained.why).to_lowercase();
            if drained.namespace != NS_CLIENT {
                // What is no stanza of ours by its namespace is not counted by its name.
                drained.name.clear();
            }
            Input::TooMuch { link: id, drained: known(*drained, &why) }
        }
        Frame::Footer => Input::Closed { link: id },
    }
}

/// What is known of a stanza that was not built.
fn known(drained: framing::Drained, why: &str) -> Drained {
    Drained {
        name: drained.name,
        from: drained.from,
        to: drained.to,
        id: drained.id,
        kind: drained.kind,
        archived: drained.archive.and_then(|archive| Some((archive.query?, archive.id))),
        stanza_ids: drained.stanza_ids,
        size: drained.size,
        why: why.to_owned(),
        head: drained.head,
    }
}
