//! One connection through a link: two pumps, each moving the bytes of one direction, and how they end together.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::{sleep_until, timeout},
};

use super::{Connection, Cut, How, Shared, Then, Way};
use crate::flights::Wire;

/// As much of one direction is kept while it is under way.
const UNDER_WAY: usize = 1 << 20;
/// The same on a slow link: what a base station keeps for a phone.
const UNDER_WAY_SLOWLY: usize = 16 << 10;
/// On a slow link bytes travel in pieces of this size.
const PIECE: usize = 512;

pub(super) async fn carry(client: TcpStream, shared: Arc<Shared>, mut cut: watch::Receiver<Cut>) {
    let Ok(server) = connect(&shared).await else {
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
        state.silent.push([false; 2]);
        state.connections.len() - 1
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let broken = watch::Sender::new(None);
    let pump = |from, to, way| Pump {
        from,
        to,
        way,
        number,
        shared: &shared,
        orders: Orders { cut: cut.clone(), broken: broken.subscribe(), breaks: &broken },
        queue: VecDeque::new(),
        queued: 0,
        free_at: Instant::now(),
    };
    let (up, down) = (pump(from_client, to_server, Way::Up), pump(from_server, to_client, Way::Down));
    // Both halves of a socket must be gone before a reset is sent, so neither pump lets go before the other has stopped.
    let (up, down) = tokio::join!(up.run(), down.run());
    if let Some(connection) = shared.lock().connections.get_mut(number) {
        connection.closed = Some(Instant::now());
    }
    let vanished = up.vanished || down.vanished;
    // Dropped, a writing half would end its stream in good order, and there would be no reset.
    down.to.forget();
    if !vanished {
        return up.to.forget();
    }
    let _ = SockRef::from(up.from.as_ref()).set_linger(Some(Duration::ZERO));
    drop(up.from);
    // The server is not told: to it the connection lives, until it ends it or the link is gone.
    let (mut from_server, to_server) = (down.from, up.to);
    let mut buffer = vec![0; 4096];
    while !cut.borrow_and_update().over {
        tokio::select! {
            changed = cut.changed() => if changed.is_err() { break },
            read = from_server.read(&mut buffer) => if !read.is_ok_and(|read| read > 0) { break },
        }
    }
    to_server.forget();
}

/// To the server, from wherever the phone is now.
async fn connect(shared: &Shared) -> io::Result<TcpStream> {
    let from = shared.lock().from;
    let Some(from) = from else { return TcpStream::connect(shared.server).await };
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.bind((from, 0).into())?;
    socket.connect(shared.server).await
}

/// What can end a connection from outside of one direction: an order, or that the other direction broke.
struct Orders<'a> {
    cut: watch::Receiver<Cut>,
    broken: watch::Receiver<Option<How>>,
    breaks: &'a watch::Sender<Option<How>>,
}

impl Orders<'_> {
    async fn end(&mut self) -> End {
        tokio::select! {
            biased;
            changed = self.cut.changed() => {
                End::Cut(if changed.is_ok() { self.cut.borrow().how } else { How::Dropped })
            }
            _ = self.broken.changed() => End::Cut(self.broken.borrow().unwrap_or(How::Dropped)),
        }
    }

    /// One side has ended the connection in a way that the other direction must follow.
    fn broke(&self, how: How) -> End {
        self.breaks.send_replace(Some(how));
        End::Cut(how)
    }
}

/// One direction of one connection.
struct Pump<'a> {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    way: Way,
    number: usize,
    shared: &'a Shared,
    orders: Orders<'a>,
    queue: VecDeque<(tokio::time::Instant, Vec<u8>)>,
    queued: usize,
    /// When a slow link has room for the next byte.
    free_at: Instant,
}

/// What is left of a pump that has stopped.
struct Ended {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    vanished: bool,
}

/// Why a pump stopped.
enum End {
    /// The sender has finished, and everything was handed on.
    Finished,
    /// An order, or an error of one side.
    Cut(How),
}

impl Pump<'_> {
    /// Moves bytes until the end; gives the socket's halves back, since dropping them closes.
    async fn run(mut self) -> Ended {
        let end = self.carry().await;
        match end {
            End::Finished => {
                let _ = self.to.shutdown().await;
            }
            End::Cut(How::Kept) => {
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
            End::Cut(How::Dropped) => {
                let _ = SockRef::from(self.from.as_ref()).set_linger(Some(Duration::ZERO));
                let _ = SockRef::from(self.to.as_ref()).set_linger(Some(Duration::ZERO));
            }
            End::Cut(How::Vanished) => {}
        }
        Ended { from: self.from, to: self.to, vanished: matches!(end, End::Cut(How::Vanished)) }
    }

    async fn carry(&mut self) -> End {
        let mut buffer = vec![0; 64 * 1024];
        let mut finished = false;
        loop {
            let due = self.queue.front().map(|(due, _)| *due);
            let (piece, under_way) = match self.shared.lock().rate {
                Some(_) => (PIECE, UNDER_WAY_SLOWLY),
                None => (buffer.len(), UNDER_WAY),
            };
            tokio::select! {
                biased;
                end = self.orders.end() => return end,
                () = sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {
                    if let Some((_, bytes)) = self.queue.pop_front() {
                        self.queued -= bytes.len();
                        match self.write_unless_ended(&bytes).await {
                            Ok(None) => {}
                            Ok(Some(end)) => return end,
                            Err(_) => return self.orders.broke(How::Dropped),
                        }
                    }
                }
                read = self.from.read(&mut buffer[..piece]), if !finished && self.queued < under_way => match read {
                    Ok(read) if read > 0 => {
                        acknowledge_at_once(self.from.as_ref());
                        self.take(&buffer[..read]);
                    }
                    _ if self.is_silent() => match self.way {
                        // The end of a phone that nobody hears is not heard either.
                        Way::Up => return self.orders.broke(How::Vanished),
                        Way::Down => return self.orders.end().await,
                    },
                    Ok(_) => finished = true,
                    Err(_) => return self.orders.broke(How::Dropped),
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

    fn is_silent(&self) -> bool {
        let state = self.shared.lock();
        state.stall || state.silent.get(self.number).is_some_and(|silent| silent[self.way as usize])
    }

    /// Bytes that were read: counted, and queued for when they are due.
    fn take(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let silent = self.is_silent();
        let mut state = self.shared.lock();
        if self.way == Way::Up
            && let Some(connection) = state.connections.get_mut(self.number)
        {
            connection.up += bytes.len() as u64;
            connection.wire.client(bytes, now);
        }
        if silent {
            return;
        }
        self.free_at = self.free_at.max(now);
        if let Some(rate) = state.rate {
            self.free_at += Duration::from_secs_f64(bytes.len() as f64 / f64::from(rate.of(self.way)));
        }
        let due = tokio::time::Instant::from_std(self.free_at + state.delay);
        drop(state);
        self.queued += bytes.len();
        self.queue.push_back((due, bytes.to_vec()));
    }

    /// A peer that does not read must not keep us from hearing an order.
    async fn write_unless_ended(&mut self, bytes: &[u8]) -> io::Result<Option<End>> {
        if self.is_silent() {
            return Ok(None);
        }
        let (allowed, spent) = self.allowance(bytes);
        tokio::select! {
            biased;
            end = self.orders.end() => return Ok(Some(end)),
            written = self.to.write_all(allowed) => written?,
        }
        acknowledge_at_once(self.to.as_ref());
        if spent {
            self.shared.cut(How::Dropped);
        }
        Ok(None)
    }

    /// How much of it an ordered break lets through, and whether the link is to be cut behind it.
    fn allowance<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], bool) {
        let mut state = self.shared.lock();
        let mut passes = (bytes, false);
        if let Some(order) = state.order.take_if(|order| order.way.is_none_or(|way| way == self.way)) {
            match (bytes.len() as u64).cmp(&order.after) {
                std::cmp::Ordering::Less => {
                    state.order = Some(super::Break { after: order.after - bytes.len() as u64, ..order });
                }
                _ => {
                    let allowed = &bytes[..usize::try_from(order.after).unwrap_or(bytes.len())];
                    passes = (allowed, order.then == Then::Cut);
                    if order.then == Then::FallSilent {
                        state.silent[self.number][self.way as usize] = true;
                    }
                }
            }
        }
        if self.way == Way::Down
            && let Some(connection) = state.connections.get_mut(self.number)
        {
            connection.down += passes.0.len() as u64;
            connection.wire.server(passes.0, Instant::now());
        }
        passes
    }
}

/// A server that waits for TCP's acknowledgement before it writes on (Nagle) would wait 40 ms for ours, where the client
/// behind us may have acknowledged at once. The kernel forgets it, so it is said after each read and write.
fn acknowledge_at_once(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(socket).set_tcp_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// Closes with a reset.
pub(super) fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
