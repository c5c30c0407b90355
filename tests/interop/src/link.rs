//! The wire between a phone and its server, as bad as we want it.
//!
//! A TCP proxy on a loopback port of its own. It knows nothing of XMPP: it moves bytes, late if so ordered, and cuts when
//! told, with what was on its way handed over or lost. It reads the headers of TLS records as they pass, so it can tell how
//! many round trips a login took ([`crate::flights`]).
//!
//! Bytes count as the client sees them: its own when they leave it, the server's when they reach it.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::{sleep_until, timeout},
};

use crate::{
    Error, Result,
    flights::{Flight, Wire},
};

/// As much of one direction is kept while it is under way.
const UNDER_WAY: usize = 1 << 20;

/// What becomes of bytes that were on their way when the link was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlight {
    /// Handed over, then the connection is finished in good order: the server knows at once.
    Kept,
    /// Lost, and both sides get a reset, which also takes what they had not read yet.
    Dropped,
}

/// One connection that went through a link, as seen so far.
#[derive(Debug, Clone)]
pub struct Connection {
    /// When the client connected.
    pub opened: Instant,
    /// When it ended, if it has.
    pub closed: Option<Instant>,
    /// Bytes from the client.
    pub up: u64,
    /// Bytes handed to the client.
    pub down: u64,
    /// What the records told.
    pub wire: Wire,
}

impl Connection {
    /// The client's flights after TLS.
    pub fn flights(&self) -> &[Flight] {
        self.wire.flights()
    }

    /// How many round trips led to something that was seen at `event`, when a round trip takes at least `round_trip`: the
    /// flights that had left early enough to have had an answer by then. What the client sends *because* of the event, a
    /// moment before it is seen, is not among them.
    pub fn round_trips(&self, event: Instant, round_trip: Duration) -> usize {
        self.flights().iter().filter(|flight| flight.at + round_trip <= event).count()
    }
}

#[derive(Debug, Clone, Copy)]
struct Cut {
    number: u64,
    in_flight: InFlight,
    over: bool,
}

#[derive(Debug, Default)]
struct State {
    refuse: bool,
    stall: bool,
    delay: Duration,
    budget: Option<u64>,
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    cut: watch::Sender<Cut>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn cut(&self, in_flight: InFlight) {
        self.cut.send_modify(|cut| {
            cut.number += 1;
            cut.in_flight = in_flight;
        });
    }
}

/// A proxy in front of a server's port; its connections end with it.
#[derive(Debug)]
pub struct Link {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Opens a link to a loopback port.
    pub fn to(server_port: u16) -> Result<Link> {
        let what = "opening a link";
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io(what))?;
        listener.set_nonblocking(true).map_err(Error::io(what))?;
        let port = listener.local_addr().map_err(Error::io(what))?.port();
        let shared = Arc::new(Shared {
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, server_port)),
            state: Mutex::default(),
            cut: watch::Sender::new(Cut { number: 0, in_flight: InFlight::Dropped, over: false }),
        });
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::io(what))?;
        let sharing = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("link-{port}"))
            .spawn(move || runtime.block_on(accept(listener, sharing)))
            .map_err(Error::io(what))?;
        Ok(Link { port, shared, thread: Some(thread) })
    }

    /// Where the phone connects to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection that is open now. The next one is let through.
    pub fn cut(&self, in_flight: InFlight) {
        self.shared.cut(in_flight);
    }

    /// Lets this many more bytes pass, both directions together, hands over the last of them, and then cuts, once.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.lock().budget = Some(bytes);
    }

    /// A dead zone: new connections are reset. Open ones live on.
    pub fn refuse(&self, refuse: bool) {
        self.shared.lock().refuse = refuse;
    }

    /// Swallows all that both sides send while it is on; they notice nothing, as in a tunnel. What was swallowed stays lost, so
    /// end it with a [`Link::cut`].
    pub fn stall(&self, stall: bool) {
        self.shared.lock().stall = stall;
    }

    /// Each way takes this long, for bytes sent from now on. A round trip is twice that.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Every connection there was, oldest first.
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.lock().connections.clone()
    }

    /// How many there were; cheaper.
    pub fn connection_count(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// The connection that the client opened last, before `event`.
    pub fn connection_at(&self, event: Instant) -> Option<Connection> {
        self.shared.lock().connections.iter().rev().find(|connection| connection.opened <= event).cloned()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.cut.send_modify(|cut| {
            cut.number += 1;
            cut.in_flight = InFlight::Dropped;
            cut.over = true;
        });
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("it is a listening socket in non-blocking mode");
    let mut cut = shared.cut.subscribe();
    // Looked at before it is waited for: a link may be dropped before this first runs.
    while !cut.borrow_and_update().over {
        tokio::select! {
            changed = cut.changed() => if changed.is_err() {
                return;
            },
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    if shared.lock().refuse {
                        reset(&client);
                    } else {
                        // Subscribed here, not in the task: a cut that comes before the task first runs is meant for it too.
                        tokio::spawn(carry(client, Arc::clone(&shared), shared.cut.subscribe()));
                    }
                }
            }
        }
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>, cut: watch::Receiver<Cut>) {
    let Ok(server) = TcpStream::connect(shared.server).await else {
        return reset(&client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let number = {
        let mut state = shared.lock();
        state.connections.push(Connection {
            opened: Instant::now(),
            closed: None,
            up: 0,
            down: 0,
            wire: Wire::default(),
        });
        state.connections.len() - 1
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let broken = watch::Sender::new(false);
    let pump = |from, to, is_up| Pump {
        from,
        to,
        is_up,
        number,
        shared: &shared,
        orders: Orders { cut: cut.clone(), broken: broken.subscribe(), breaks: &broken },
        queue: VecDeque::new(),
        queued: 0,
    };
    let (up, down) = (pump(from_client, to_server, true), pump(from_server, to_client, false));
    // Both halves of a socket must be gone before a reset is sent, so neither pump lets go before the other has stopped.
    let _ = tokio::join!(up.run(), down.run());
    if let Some(connection) = shared.lock().connections.get_mut(number) {
        connection.closed = Some(Instant::now());
    }
}

/// What can end a connection from outside of one direction: an order, or that the other direction broke.
struct Orders<'a> {
    cut: watch::Receiver<Cut>,
    broken: watch::Receiver<bool>,
    breaks: &'a watch::Sender<bool>,
}

impl Orders<'_> {
    async fn end(&mut self) -> End {
        tokio::select! {
            biased;
            changed = self.cut.changed() => {
                End::Cut(if changed.is_ok() { self.cut.borrow().in_flight } else { InFlight::Dropped })
            }
            _ = self.broken.changed() => End::Cut(InFlight::Dropped),
        }
    }

    /// One side has reset the connection: so do we with the other.
    fn broke(&self) -> End {
        self.breaks.send_replace(true);
        End::Cut(InFlight::Dropped)
    }
}

/// One direction of one connection.
struct Pump<'a> {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    is_up: bool,
    number: usize,
    shared: &'a Shared,
    orders: Orders<'a>,
    queue: VecDeque<(tokio::time::Instant, Vec<u8>)>,
    queued: usize,
}

/// A server that waits for TCP's acknowledgement before it writes on (Nagle) would wait 40 ms for ours, where the client
/// behind us may have acknowledged at once. The kernel forgets it, so it is said after each read and write.
fn acknowledge_at_once(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(socket).set_tcp_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// Why a pump stopped.
enum End {
    /// The sender has finished, and everything was handed on.
    Finished,
    /// An order, or an error of one side.
    Cut(InFlight),
}

impl Pump<'_> {
    /// Moves bytes until the end; gives the reading half back, since dropping it closes.
    async fn run(mut self) -> OwnedReadHalf {
        match self.carry().await {
            End::Finished => {
                let _ = self.to.shutdown().await;
            }
            End::Cut(InFlight::Kept) => {
                while let Ok(read) = self.try_read()
                    && read > 0
                {}
                let hand_over = async {
                    while let Some((_, bytes)) = self.queue.pop_front() {
                        let (allowed, _) = self.allowance(&bytes);
                        self.to.write_all(allowed).await?;
                    }
                    self.to.shutdown().await
                };
                let _ = timeout(Duration::from_secs(1), hand_over).await;
            }
            End::Cut(InFlight::Dropped) => {
                let _ = SockRef::from(self.from.as_ref()).set_linger(Some(Duration::ZERO));
                let _ = SockRef::from(self.to.as_ref()).set_linger(Some(Duration::ZERO));
            }
        }
        // Dropped, a writing half would end its stream in good order, and there would be no reset.
        self.to.forget();
        self.from
    }

    async fn carry(&mut self) -> End {
        let mut buffer = vec![0; 64 * 1024];
        let mut finished = false;
        loop {
            let due = self.queue.front().map(|(due, _)| *due);
            tokio::select! {
                biased;
                end = self.orders.end() => return end,
                () = sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {
                    if let Some((_, bytes)) = self.queue.pop_front() {
                        self.queued -= bytes.len();
                        match self.write_unless_ended(&bytes).await {
                            Ok(None) => {}
                            Ok(Some(end)) => return end,
                            Err(_) => return self.orders.broke(),
                        }
                    }
                }
                read = self.from.read(&mut buffer), if !finished && self.queued < UNDER_WAY => match read {
                    Ok(0) => finished = true,
                    Ok(read) => {
                        acknowledge_at_once(self.from.as_ref());
                        self.take(&buffer[..read]);
                    }
                    Err(_) => return self.orders.broke(),
                },
            }
            if finished && self.queue.is_empty() {
                return End::Finished;
            }
        }
    }

    fn try_read(&mut self) -> io::Result<usize> {
        let mut buffer = vec![0; 64 * 1024];
        let read = self.from.try_read(&mut buffer)?;
        self.take(&buffer[..read]);
        Ok(read)
    }

    /// Bytes that were read: counted, and queued for when they are due.
    fn take(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        if self.is_up
            && let Some(connection) = state.connections.get_mut(self.number)
        {
            connection.up += bytes.len() as u64;
            connection.wire.client(bytes, now);
        }
        if state.stall {
            return;
        }
        let due = tokio::time::Instant::from_std(now + state.delay);
        drop(state);
        self.queued += bytes.len();
        self.queue.push_back((due, bytes.to_vec()));
    }

    /// A peer that does not read must not keep us from hearing an order.
    async fn write_unless_ended(&mut self, bytes: &[u8]) -> io::Result<Option<End>> {
        let (allowed, spent) = self.allowance(bytes);
        tokio::select! {
            biased;
            end = self.orders.end() => return Ok(Some(end)),
            written = self.to.write_all(allowed) => written?,
        }
        acknowledge_at_once(self.to.as_ref());
        if spent {
            self.shared.cut(InFlight::Dropped);
        }
        Ok(None)
    }

    /// How much of it [`Link::cut_after`] lets through, and whether that was the last.
    fn allowance<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], bool) {
        let mut state = self.shared.lock();
        let (allowed, spent) = match state.budget {
            Some(budget) if budget <= bytes.len() as u64 => {
                state.budget = None;
                (&bytes[..usize::try_from(budget).unwrap_or(bytes.len())], true)
            }
            Some(budget) => {
                state.budget = Some(budget - bytes.len() as u64);
                (bytes, false)
            }
            None => (bytes, false),
        };
        if !self.is_up
            && let Some(connection) = state.connections.get_mut(self.number)
        {
            connection.down += allowed.len() as u64;
            connection.wire.server(allowed, Instant::now());
        }
        (allowed, spent)
    }
}

/// Closes with a reset.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;

    /// Both ends of one connection through a link.
    fn connected() -> (Link, TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let link = Link::to(listener.local_addr().unwrap().port()).unwrap();
        let phone = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        let (server, _) = listener.accept().unwrap();
        for end in [&phone, &server] {
            end.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        }
        (link, phone, server)
    }

    fn wait_until_under_way(link: &Link, bytes: u64) {
        while link.connections().first().is_none_or(|connection| connection.up < bytes) {
            thread::yield_now();
        }
    }

    /// What arrives before the end, and whether that was a tidy one.
    fn rest(mut end: TcpStream) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        let tidy = end.read_to_end(&mut all).is_ok();
        (all, tidy)
    }

    #[test]
    fn what_is_kept_arrives_before_a_tidy_end() {
        let (link, mut phone, server) = connected();
        link.delay(Duration::from_secs(30));
        phone.write_all(b"farewell").unwrap();
        wait_until_under_way(&link, 8);
        link.cut(InFlight::Kept);
        assert_eq!(rest(server), (b"farewell".to_vec(), true));
    }

    #[test]
    fn what_is_dropped_does_not_arrive_and_both_sides_get_a_reset() {
        let (link, mut phone, server) = connected();
        link.delay(Duration::from_secs(30));
        phone.write_all(b"farewell").unwrap();
        wait_until_under_way(&link, 8);
        link.cut(InFlight::Dropped);
        assert_eq!(rest(server), (Vec::new(), false));
        assert_eq!(rest(phone), (Vec::new(), false));
    }

    #[test]
    fn cut_after_lets_through_exactly_so_much() {
        let (link, mut phone, mut server) = connected();
        link.cut_after(5);
        phone.write_all(b"farewell").unwrap();
        let mut there = [0; 5];
        server.read_exact(&mut there).unwrap();
        assert_eq!((&there, rest(server)), (b"farew", (Vec::new(), false)));
    }

    #[test]
    fn stalled_link_swallows_and_a_refusing_one_resets() {
        let (link, mut phone, mut server) = connected();
        link.stall(true);
        phone.write_all(b"lost").unwrap();
        wait_until_under_way(&link, 4);
        link.stall(false);
        phone.write_all(b"heard").unwrap();
        let mut there = [0; 5];
        server.read_exact(&mut there).unwrap();
        assert_eq!(&there, b"heard");
        link.refuse(true);
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        assert_eq!(rest(refused), (Vec::new(), false));
    }

    #[test]
    fn end_of_one_side_reaches_the_other() {
        let (_link, phone, server) = connected();
        drop(phone);
        assert_eq!(rest(server), (Vec::new(), true));
    }
}
