//! How the holder of an account's file hears that another process wants it (DESIGN, "The lease").
//!
//! A named pipe in the account's directory: whoever holds the lease keeps it open and listens in its loop, so that nothing is
//! polled while nobody asks. Whoever asks writes a byte. Where nobody has the pipe open there is nobody to wait for; a process
//! that is stopped has it open and says nothing, which is what the second is for. (A socket would do as well, but on iOS the
//! path of an app group is longer than an address of one may be.)
//!
//! It is hung up before the lease is taken: an extension that finds the lease taken and nobody listening may believe that. The
//! bell only makes the holder look; what was asked and answered is in the file (`engine/src/lease.rs`). Where there can be no
//! pipe, requests are seen with whatever the holder does next.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{errno::Errno, fcntl::OFlag, sys::stat::Mode, unistd::mkfifo};
use rusqlite::Connection;
use tokio::net::unix::pipe;
use whimbrel_engine::{
    Engine,
    lease::{Answer, Claim, answer},
};

use crate::Error;

/// A process that is alive answers within a step; one that is stopped does not answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often an extension looks for the answer, and rings again: another that has lost the lease may have taken the byte.
const LOOK: Duration = Duration::from_millis(20);

/// Both ends of the pipe. Ours is the last to be closed, so that it never ends and is never ready without a byte.
#[derive(Debug)]
pub(crate) struct Bell {
    listening: fs::File,
    writing: fs::File,
}

impl Bell {
    /// Makes it where it is not there, and opens it.
    pub(crate) fn hang(dir: &Path) -> io::Result<Self> {
        let path = path(dir);
        match mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let listening = open(&path, OpenOptions::new().read(true))?;
        let writing = open(&path, OpenOptions::new().write(true))?;
        Ok(Self { listening, writing })
    }

    /// To be called where tokio runs.
    pub(crate) fn listen(self) -> io::Result<Listening> {
        Ok(Listening { pipe: pipe::Receiver::from_file(self.listening)?, _writing: self.writing })
    }
}

#[derive(Debug)]
pub(crate) struct Listening {
    pipe: pipe::Receiver,
    _writing: fs::File,
}

impl Listening {
    /// Waits until somebody rings. Dropping it loses nothing.
    pub(crate) async fn rung(&self) {
        let mut bytes = [0; 256];
        while self.pipe.readable().await.is_ok() {
            match self.pipe.try_read(&mut bytes) {
                Ok(1..) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => break,
            }
        }
        // A broken bell is a silent one.
        std::future::pending().await
    }
}

/// Asks for the lease, waits for the holder if there is one, and says on what grounds it may be taken. Blocks.
///
/// # Errors
/// [`Error::InUse`] where the holder answered, or keeps a transaction open.
pub(crate) fn ask(dir: &Path, file: &mut Connection) -> Result<Claim, Error> {
    let request = Engine::ask(file).map_err(|error| error.to_api())?;
    let deadline = Instant::now() + PATIENCE;
    while request.is_held() && ring(dir) && Instant::now() < deadline {
        match answer(file, &request).map_err(|error| error.to_api())? {
            Answer::Refused => return Err(Error::InUse),
            Answer::Released => break,
            Answer::None => thread::sleep(LOOK),
        }
    }
    Ok(Claim::Extension(request))
}

/// `false`: nobody is there to hear it.
fn ring(dir: &Path) -> bool {
    match Rope::take(dir) {
        Ok(rope) => {
            rope.pull();
            true
        }
        Err(error) => error.raw_os_error() != Some(Errno::ENXIO as i32),
    }
}

/// A hold on somebody's bell.
pub(crate) struct Rope {
    writing: fs::File,
    /// Whoever listened may leave meanwhile, and to write where nobody listens is a `SIGPIPE`.
    _listening: fs::File,
}

impl Rope {
    pub(crate) fn take(dir: &Path) -> io::Result<Self> {
        let path = path(dir);
        // First this end: it can be had only where somebody listens.
        let writing = open(&path, OpenOptions::new().write(true))?;
        let _listening = open(&path, OpenOptions::new().read(true))?;
        Ok(Self { writing, _listening })
    }

    /// One that is full was rung often enough.
    pub(crate) fn pull(mut self) {
        let _ = self.writing.write(&[0]);
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<fs::File> {
    options.custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

fn path(dir: &Path) -> PathBuf {
    dir.join("bell")
}
