//! Child processes that cannot outlive us.
//!
//! A test that is killed runs no destructor, and a server that it left behind would hold its ports and two hundred
//! megabytes until somebody noticed. So every child is started by `setpriv --pdeathsig KILL`, which asks the kernel to kill
//! it when its parent dies, and then becomes the program itself: the process id is the program's own.
//!
//! The trap: the kernel means the parent *thread* (prctl(2), PR_SET_PDEATHSIG), and each test runs on a thread of its own.
//! A child started from one test and used by the next would die in between. Hence one thread that does all the starting
//! and never ends.
//!
//! Each child leads a process group, so that what it started in turn is reached by one signal, by number and never by name.

use std::{
    ffi::OsStr,
    io,
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Error, Result};

/// A command whose process dies with ours, at the head of a process group of its own. Start it with [`spawn`].
pub fn leashed(program: impl AsRef<OsStr>) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = if cfg!(target_os = "linux") {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--pdeathsig", "KILL", "--"]).arg(program);
        setpriv
    } else {
        Command::new(program)
    };
    command.process_group(0);
    command
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts `command` from the thread that lives as long as this process does.
pub fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        thread::Builder::new()
            .name("starter".into())
            .spawn(move || {
                for (mut command, answer) in taken {
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a process that cannot have one more thread cannot test anything");
        orders
    });
    let (answer, started) = mpsc::channel();
    starter.send((command, answer)).expect("the starter ends only with the process");
    started.recv().expect("the starter answers every order")
}

/// Runs a leashed command to its end and gives back what it said. An error if it failed.
pub fn run_to_end(mut command: Command, what: &str) -> Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(command).map_err(Error::io(format!("starting {what}")))?;
    let output = child.wait_with_output().map_err(Error::io(format!("waiting for {what}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = format!(
        "{}{}({})",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status
    );
    Err(Error::Failed { what: what.into(), said })
}

/// Sends `signal` to the whole group that `child` leads. A group that is gone already is fine.
pub(crate) fn signal_group(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}

/// Kills the group and waits for its leader, so that its process id is not somebody else's the next time we look.
pub(crate) fn kill_group(child: &mut Child) {
    signal_group(child, Signal::KILL);
    let _ = child.wait();
}

/// Waits until `child` has ended by itself; false if it has not within `limit`.
pub(crate) fn ended_within(child: &mut Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(_)) | Err(_) => return true,
            Ok(None) if Instant::now() > deadline => return false,
            Ok(None) => thread::sleep(Duration::from_millis(10)),
        }
    }
}
