//! A TCP connection that never raises `SIGPIPE`.
//!
//! Whoever writes to a peer that has gone gets this signal, which ends the process unless it is ignored. Only the runtime of a
//! program in Rust sees to that: a library in Rust may be part of a program in Swift or C. On Linux std's `send` says
//! `MSG_NOSIGNAL`, but its vectored writing has no flags, and that is how rustls writes. On Apple mio has said it of the whole
//! socket (`SO_NOSIGPIPE`).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

#[derive(Debug)]
pub(crate) struct Tcp(pub(crate) TcpStream);

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        use nix::libc::MSG_NOSIGNAL;
        use tokio::io::Interest;

        let tcp = &self.0;
        loop {
            std::task::ready!(tcp.poll_write_ready(cx))?;
            let send = || socket2::SockRef::from(tcp).send_vectored_with_flags(bytes, MSG_NOSIGNAL);
            match tcp.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        process::{Command, ExitStatus},
    };

    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;
    use crate::bell::{Bell, Rope};

    const BREAKS: &str = "WHIMBREL_TEST_BREAKS";

    /// Runs one test of this program again, alone in a process that a broken pipe ends, as any that is not written in Rust.
    fn in_a_process_without_our_runtime(test: &str, breaks: &str) -> ExitStatus {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", test, "--include-ignored", "--test-threads", "1"]).env(BREAKS, breaks);
        child.status().unwrap()
    }

    #[test]
    fn peer_that_has_gone_ends_no_process() {
        for breaks in ["plain", "vectored", "bell"] {
            let status = in_a_process_without_our_runtime("net::tcp::tests::writes_to_nobody", breaks);
            assert!(status.success(), "{breaks}: {status}");
        }
    }

    #[test]
    fn and_without_this_module_it_would() {
        use std::os::unix::process::ExitStatusExt as _;
        let status = in_a_process_without_our_runtime("net::tcp::tests::writes_to_nobody", "by std");
        assert_eq!(status.signal(), Some(nix::libc::SIGPIPE), "{status}");
    }

    #[tokio::test]
    #[ignore = "ends its process: others call it"]
    async fn writes_to_nobody() {
        let Ok(breaks) = env::var(BREAKS) else { return };
        sigpipe::reset();
        if breaks == "bell" {
            let dir = tempfile::tempdir().unwrap();
            let bell = Bell::hang(dir.path()).unwrap();
            let rope = Rope::take(dir.path()).unwrap();
            drop(bell);
            return rope.pull();
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut ours = Tcp(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let (theirs, _) = listener.accept().await.unwrap();
        theirs.set_zero_linger().unwrap();
        drop(theirs);
        let parts = [IoSlice::new(b"<presence/>"), IoSlice::new(b"<r/>")];
        // The first failure says that there was a reset, and only the next that nobody is there.
        for _ in 0..2 {
            let failed = loop {
                let written = match breaks.as_str() {
                    "plain" => ours.write(b"<presence/>").await,
                    "vectored" => ours.write_vectored(&parts).await,
                    _ => ours.0.write_vectored(&parts).await,
                };
                if let Err(error) = written {
                    break error;
                }
            };
            let kind = failed.kind();
            assert!(matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{failed}");
        }
    }
}
