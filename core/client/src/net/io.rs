//! An open connection with its buffers, driven by one task.
//!
//! Writing never waits: bytes go into a buffer, and whoever waits for something to read also drives the writing. What was
//! put there between two waits leaves together, in TLS records that hold whole stanzas. A link that is cut then leaves no
//! half of a stanza at the server: Prosody 13.0 reads a resumed stream with the parser of the one that was cut, and half a
//! stanza there makes it refuse or swallow everything that follows.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::tcp::Tcp;

const READ: usize = 64 * 1024;
/// The most that is put into one TLS record, but for a single larger stanza. A record may hold four times that; Prosody reads
/// 4 KiB of one at a time and may forget the rest, when the session is resumed on another connection meanwhile.
const RECORD: usize = 4 * 1024;
/// The most that one TLS record can hold.
const LARGEST_RECORD: usize = 16 * 1024;
/// What the kernel may hold of ours, in bytes. Little, so that writing goes on only when the peer has taken something, and a
/// slow link can be told from a dead one.
const SEND_BUFFER: usize = 16 * 1024;
/// How long a peer may take nothing while something has to wait (STREAM 14).
const STUCK: Duration = Duration::from_secs(30);
/// The most that may wait to be written, beside one stanza. The engine keeps 256 KB of stanzas in flight; acks come on top.
const MAX_QUEUED: usize = 4 << 20;
/// Bytes of an element that is not whole yet count as progress from so many on: one byte a second is none.
const STIRRED: usize = 512;

/// A connection, encrypted or not yet.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => &tcp.0,
            Self::Tls(tls) => &tls.get_ref().0.0,
        }
    }

    fn write_half(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp),
            Self::Tls(tls) => Pin::new(tls.as_mut()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write_half().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_half().poll_write_vectored(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_half().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_half().poll_shutdown(cx)
    }
}

/// A connection and what waits to be written.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    out: BytesMut,
    /// The lengths of what was queued, which add up to `out`.
    lengths: VecDeque<usize>,
    unflushed: bool,
    /// Since when something has to wait, with nothing taken since.
    blocked: Option<Instant>,
    /// Whether something was taken after it had to wait, and how much came, since somebody asked.
    went_on: bool,
    came: usize,
    hurry: bool,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        let _ = socket2::SockRef::from(stream.tcp()).set_send_buffer_size(SEND_BUFFER);
        Self {
            stream,
            out: BytesMut::new(),
            lengths: VecDeque::new(),
            unflushed: false,
            blocked: None,
            went_on: false,
            came: 0,
            hurry: false,
            buffer: vec![0; READ],
        }
    }

    /// Puts whole stanzas, or a stream header, into the write buffer.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.lengths.push_back(bytes.len());
    }

    /// Writes what the kernel takes now. What is wrong with the connection is told by the next reading.
    pub(crate) async fn write_now(&mut self) {
        poll_fn(|cx| {
            let _ = self.poll_write(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// When this connection is lost, if the peer takes nothing until then; now, if more waits than ever should.
    pub(crate) fn stuck_at(&self) -> Option<Instant> {
        let blocked = self.blocked?;
        let most = self.lengths.iter().max().map_or(0, |longest| longest + MAX_QUEUED);
        Some(if self.out.len() > most { Instant::now() } else { blocked + STUCK })
    }

    /// Whether anything moved since the last call, other than whole elements that came.
    pub(crate) fn progress(&mut self) -> bool {
        let came = std::mem::take(&mut self.came) >= STIRRED;
        std::mem::take(&mut self.went_on) || came
    }

    /// Acknowledge TCP segments at once: page by page, a delayed ACK costs more than the page.
    pub(crate) fn hurry(&mut self, on: bool) {
        self.hurry = on;
        self.quickack();
    }

    fn quickack(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.hurry {
            // The kernel forgets it again, so it is said each time.
            let _ = socket2::SockRef::from(self.stream.tcp()).set_tcp_quickack(true);
        }
    }

    /// Writes what is queued and waits until something can be read. An empty slice is the end of the stream. Safe to drop.
    pub(crate) async fn read(&mut self) -> io::Result<&[u8]> {
        let count = poll_fn(|cx| self.poll(cx)).await?;
        Ok(&self.buffer[..count])
    }

    /// Likewise, but does not wait.
    pub(crate) async fn read_now(&mut self) -> Option<io::Result<&[u8]>> {
        let polled = poll_fn(|cx| {
            Poll::Ready(match self.poll(cx) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        });
        let count = polled.await?;
        Some(count.map(|count| &self.buffer[..count]))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_write(cx)?;
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let count = buffer.filled().len();
        self.came += count;
        // A TLS session ticket is read without anything to show for it, and what follows it waits for this all the same.
        self.quickack();
        ready!(polled)?;
        Poll::Ready(Ok(count))
    }

    /// Writes what is queued, as far as it goes.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let before = (self.out.len(), self.unflushed);
        let result = self.poll_write_on(cx);
        let after = (self.out.len(), self.unflushed);
        let waits = after != (0, false);
        if self.blocked.is_some() && before != after {
            // The kernel made room, because the peer took something.
            self.went_on = true;
            self.blocked = None;
        }
        if waits {
            self.blocked.get_or_insert_with(Instant::now);
        }
        result
    }

    fn poll_write_on(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            if self.unflushed {
                match Pin::new(&mut self.stream).poll_flush(cx) {
                    Poll::Ready(result) => result?,
                    Poll::Pending => return Ok(()),
                }
                self.unflushed = false;
            }
            let record = self.next_record();
            if record == 0 {
                return Ok(());
            }
            match Pin::new(&mut self.stream).poll_write(cx, &self.out[..record]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.written(written?),
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// The length of what fits whole into one TLS record.
    fn next_record(&self) -> usize {
        let mut size = 0;
        for length in &self.lengths {
            if size > 0 && size + length > RECORD {
                break;
            }
            size += length;
        }
        size.min(LARGEST_RECORD)
    }

    fn written(&mut self, count: usize) {
        self.out.advance(count);
        self.unflushed = true;
        let mut left = count;
        while left > 0 {
            let Some(length) = self.lengths.front_mut() else { return };
            if *length > left {
                *length -= left;
                return;
            }
            left -= *length;
            self.lengths.pop_front();
        }
    }

    /// Writes what is queued and closes TCP. What the server still sends is read and dropped, or else the kernel would reset
    /// the connection and our last bytes with it.
    pub(crate) async fn hang_up(mut self) {
        let work = async {
            poll_fn(|cx| match self.poll_write(cx) {
                Ok(()) if self.out.is_empty() && !self.unflushed => Poll::Ready(Ok(())),
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            })
            .await?;
            socket2::SockRef::from(self.stream.tcp()).shutdown(std::net::Shutdown::Write)?;
            while self.stream.read(&mut self.buffer).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), work).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn peer_that_takes_something_is_slow_and_one_that_takes_nothing_is_stuck() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        let mut wire = Wire::new(Stream::Plain(Tcp(ours)));
        wire.queue(b"<presence/>");
        wire.write_now().await;
        assert!(wire.stuck_at().is_none() && !wire.progress(), "what the kernel takes at once shows nothing");
        for _ in 0..MAX_QUEUED / 100_000 {
            wire.queue(&[b' '; 100_000]);
        }
        wire.write_now().await;
        let stuck = wire.stuck_at().unwrap();
        wire.queue(b"<presence/>");
        wire.write_now().await;
        assert_eq!(wire.stuck_at(), Some(stuck), "more of ours is no sign of life");
        assert!(!wire.progress());
        let (mut reading, mut writing) = theirs.split();
        let mut buffer = vec![0; 64 * 1024];
        while wire.stuck_at().is_some() {
            tokio::select! {
                read = reading.read(&mut buffer) => assert!(read.unwrap() > 0),
                () = tokio::task::yield_now() => wire.write_now().await,
            }
        }
        assert!(wire.progress());
        // One byte a second is no progress, half a kilobyte is.
        writing.write_all(b"<message").await.unwrap();
        wire.read().await.unwrap();
        assert!(!wire.progress());
        writing.write_all(&[b' '; STIRRED]).await.unwrap();
        while !wire.progress() {
            wire.read().await.unwrap();
        }
    }

    #[tokio::test]
    async fn more_than_should_ever_wait_ends_the_connection() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_theirs, _) = listener.accept().await.unwrap();
        let mut wire = Wire::new(Stream::Plain(Tcp(ours)));
        let one = vec![b' '; 4 * MAX_QUEUED];
        wire.queue(&one);
        wire.write_now().await;
        assert!(wire.stuck_at().unwrap() > Instant::now(), "one large stanza may wait");
        while wire.out.len() <= one.len() + MAX_QUEUED {
            wire.queue(&[b' '; 100_000]);
        }
        wire.write_now().await;
        assert!(wire.stuck_at().unwrap() <= Instant::now());
    }
}
