//! The wire between a phone and its server, as bad as we want it.
//!
//! A TCP proxy on a loopback port of its own. It knows nothing of XMPP: it moves bytes, late and slowly if so ordered, and
//! breaks when told: with what was on its way handed over or lost, at a byte, in one direction first, or without a word to
//! either side. It reads the headers of TLS records as they pass, so it can tell how many round trips a login took
//! ([`crate::flights`]).
//!
//! Bytes count as the client sees them: its own when they leave it, the server's when they reach it.

mod pump;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, sync::watch};

use crate::{
    Error, Result,
    flights::{Flight, Wire},
};

/// What becomes of bytes that were on their way when the link was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlight {
    /// Handed over, then the connection is finished in good order: the server knows at once.
    Kept,
    /// Lost, and both sides get a reset, which also takes what they had not read yet.
    Dropped,
}

/// A direction, as the phone sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up,
    /// To the phone.
    Down,
}

/// What happens behind the last byte that an ordered break lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The link is cut, and what is on its way is lost.
    Cut,
    /// That direction of that connection swallows everything, and the other one goes on: half of the link is dead, and nobody
    /// is told. End it with a [`Link::cut`].
    FallSilent,
}

/// A break at a byte, wherever that is: in a TLS record, in a stanza, in a login.
#[derive(Debug, Clone, Copy)]
pub struct Break {
    /// Which direction's bytes count and are broken off; both together if `None`.
    pub way: Option<Way>,
    /// So many bytes pass before.
    pub after: u64,
    /// And then?
    pub then: Then,
}

/// Bytes a second.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// To the server.
    pub up: u32,
    /// To the phone.
    pub down: u32,
}

impl Rate {
    fn of(self, way: Way) -> u32 {
        match way {
            Way::Up => self.up,
            Way::Down => self.down,
        }
    }
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

/// How a connection ends that neither side has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Kept,
    Dropped,
    /// The phone's side gets a reset, the server's side hears nothing.
    Vanished,
}

#[derive(Debug, Clone, Copy)]
struct Cut {
    number: u64,
    how: How,
    over: bool,
}

#[derive(Debug, Default)]
struct State {
    refuse: bool,
    stall: bool,
    delay: Duration,
    rate: Option<Rate>,
    order: Option<Break>,
    from: Option<Ipv4Addr>,
    connections: Vec<Connection>,
    /// Of each connection, the directions that swallow what they should carry: up, down.
    silent: Vec<[bool; 2]>,
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

    fn cut(&self, how: How) {
        self.cut.send_modify(|cut| {
            cut.number += 1;
            cut.how = how;
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
            cut: watch::Sender::new(Cut { number: 0, how: How::Dropped, over: false }),
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
        self.shared.cut(match in_flight {
            InFlight::Kept => How::Kept,
            InFlight::Dropped => How::Dropped,
        });
    }

    /// Breaks once, at a byte. A newer order replaces one that was not carried out.
    pub fn break_at(&self, order: Break) {
        self.shared.lock().order = Some(order);
    }

    /// Whether an ordered break has not come yet.
    pub fn is_to_break(&self) -> bool {
        self.shared.lock().order.is_some()
    }

    /// Takes an ordered break back; false if it has come already.
    pub fn forget_break(&self) -> bool {
        self.shared.lock().order.take().is_some()
    }

    /// The phone changes its address: what is open breaks on the phone's side, the server hears nothing of it and keeps its
    /// end, and the next connections come from this loopback address.
    pub fn move_to(&self, address: Ipv4Addr) {
        self.shared.lock().from = Some(address);
        self.shared.cut(How::Vanished);
    }

    /// The connections that are open now go silent, in both directions and for good; new ones are let through. What the phone
    /// does to them then, closing included, the server does not hear.
    pub fn fall_silent(&self) {
        self.shared.lock().silent.fill([true; 2]);
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

    /// No more than this gets through; as much as there is if `None`.
    pub fn throttle(&self, rate: Option<Rate>) {
        self.shared.lock().rate = rate;
    }

    /// What all its connections carried, up and down, in bytes of TCP's payload.
    pub fn bytes(&self) -> (u64, u64) {
        let state = self.shared.lock();
        state.connections.iter().fold((0, 0), |(up, down), it| (up + it.up, down + it.down))
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
            cut.how = How::Dropped;
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
                        pump::reset(&client);
                    } else {
                        // Subscribed here, not in the task: a cut that comes before the task first runs is meant for it too.
                        tokio::spawn(pump::carry(client, Arc::clone(&shared), shared.cut.subscribe()));
                    }
                }
            }
        }
    }
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
    fn break_lets_through_exactly_so_much() {
        let (link, mut phone, mut server) = connected();
        link.break_at(Break { way: None, after: 5, then: Then::Cut });
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
    fn break_of_one_direction_leaves_the_other_alone() {
        let (link, mut phone, mut server) = connected();
        link.break_at(Break { way: Some(Way::Up), after: 3, then: Then::FallSilent });
        server.write_all(b"not counted").unwrap();
        phone.write_all(b"farewell").unwrap();
        let mut there = [0; 3];
        server.read_exact(&mut there).unwrap();
        assert!(!link.is_to_break());
        phone.write_all(b"is anybody there?").unwrap();
        server.write_all(b", I hear you").unwrap();
        let mut heard = [0; 23];
        phone.read_exact(&mut heard).unwrap();
        assert_eq!((&there, &heard), (b"far", b"not counted, I hear you"));
        link.cut(InFlight::Dropped);
        assert_eq!(rest(server), (Vec::new(), false));
    }

    #[test]
    fn phone_that_moves_is_missed_by_nobody_and_comes_from_elsewhere() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let link = Link::to(listener.local_addr().unwrap().port()).unwrap();
        let phone = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        let (server, _) = listener.accept().unwrap();
        link.move_to(Ipv4Addr::new(127, 0, 0, 9));
        assert_eq!(rest(phone), (Vec::new(), false));
        let _again = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, 9));
        server.set_nonblocking(true).unwrap();
        let unheard = (&server).read(&mut [0]).unwrap_err();
        assert_eq!(unheard.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn silent_connection_stays_silent_when_the_phone_gives_it_up_and_the_next_is_heard() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let link = Link::to(listener.local_addr().unwrap().port()).unwrap();
        let mut phone = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        let (server, _) = listener.accept().unwrap();
        phone.write_all(b"x").unwrap();
        wait_until_under_way(&link, 1);
        link.fall_silent();
        phone.write_all(b"lost").unwrap();
        drop(phone);
        let mut phone = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        let (mut again, _) = listener.accept().unwrap();
        phone.write_all(b"heard").unwrap();
        let mut there = [0; 5];
        again.read_exact(&mut there).unwrap();
        assert_eq!(&there, b"heard");
        server.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        let unheard = (&server).read_to_end(&mut all).unwrap_err();
        assert_eq!(unheard.kind(), std::io::ErrorKind::WouldBlock, "{all:?}");
        assert!(all == b"x" || all.is_empty());
    }

    #[test]
    fn throttled_link_takes_the_time_that_its_rate_means() {
        let (link, mut phone, mut server) = connected();
        link.throttle(Some(Rate { up: 20_000, down: 1_000_000 }));
        let began = Instant::now();
        phone.write_all(&[b' '; 4_000]).unwrap();
        server.read_exact(&mut [0; 4_000]).unwrap();
        // Never sooner; later is the machine's business.
        assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
    }

    #[test]
    fn end_of_one_side_reaches_the_other() {
        let (_link, phone, server) = connected();
        drop(phone);
        assert_eq!(rest(server), (Vec::new(), true));
    }
}
