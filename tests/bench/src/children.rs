//! This same program as a child, or a peer: spoken to in lines of JSON, its memory watched from outside.
//!
//! RssAnon is what the process allocated and touched; the program's own text and the file cache are not in it. A child's
//! `ru_maxrss` would include its parent's memory at the fork, so `/proc` is read instead.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use interop::{Release, Root};
use serde_json::Value;

use crate::Result;

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(5);

/// A child process. Killed when dropped.
pub(crate) struct Child {
    process: Process,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// When it was started.
    pub(crate) started: Instant,
    name: String,
}

impl Child {
    /// This program, called with `child` and these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Result<Child> {
        let mut command = interop::leashed(std::env::current_exe()?);
        command.arg("child").args(arguments);
        Child::spawn(command, arguments.first().unwrap_or(&""))
    }

    /// Another program; its command must have been made by [`interop::leashed`].
    pub(crate) fn spawn(mut command: Command, name: &str) -> Result<Child> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = Instant::now();
        let mut process = interop::spawn(command)?;
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().ok_or("a child without output")?);
        Ok(Child { process, stdin, stdout, started, name: name.to_owned() })
    }

    /// Writes one line.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().ok_or("a child without input")?;
        stdin.write_all(format!("{line}\n").as_bytes())?;
        Ok(stdin.flush()?)
    }

    /// Waits for a line that has `field`, and gives it back with the moment when it came.
    pub(crate) fn hear(&mut self, field: &str) -> Result<(Instant, Value)> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.stdout.read_line(&mut line)? == 0 {
                return Err(format!("{} ended before it said {field:?}", self.name).into());
            }
            let at = Instant::now();
            let mut said: Value = serde_json::from_str(&line)?;
            if let Some(error) = said.get("error") {
                return Err(format!("{}: {error}", self.name).into());
            }
            if let Some(value) = said.get_mut(field) {
                return Ok((at, value.take()));
            }
        }
    }

    /// Watches its memory from now on.
    pub(crate) fn watch(&self) -> Watch {
        let status = format!("/proc/{}/status", self.process.id());
        let idle = field(&status, "RssAnon");
        let (over, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(idle)));
        let (stop, highest, path) = (Arc::clone(&over), Arc::clone(&peak), status.clone());
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                highest.fetch_max(field(&path, "RssAnon"), Ordering::Relaxed);
                thread::sleep(EVERY);
            }
        });
        Watch { status, idle, over, peak, thread }
    }

    /// Waits until it has ended by itself.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.stdin.take());
        let status = self.process.wait()?;
        if status.success() { Ok(()) } else { Err(format!("{} failed ({status})", self.name).into()) }
    }

    /// SIGKILL: the socket goes, the session on the server stays.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The programs in Swift.
#[derive(Args)]
pub(crate) struct Swift {
    /// Where `cargo xtask bench` has built them, in a directory that the Debian tree sees
    #[arg(long = "swift", hide = true)]
    dir: PathBuf,
}

impl Swift {
    /// For data that they see, too.
    pub(crate) fn data_dir(&self, bench: &str) -> Result<PathBuf> {
        let dir = self.dir.join("bench-data").join(bench);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// One of them, in the tree. To enter that takes longer than some of what is measured: the time begins when the process
    /// becomes the program.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Result<Child> {
        let root = Root::ensure(Release::Trixie, &|line| eprintln!("{line}"))?;
        let path = self.dir.join("bench/release").join(program).display().to_string();
        let variables = [("LD_LIBRARY_PATH", self.dir.join("lib").display().to_string())];
        let script = r#"echo '{"entered":true}' && read -r && exec "$@""#;
        let enter = ["bash", "-c", script, "bash", &path];
        let mut child =
            Child::spawn(root.command(&self.dir, &variables, &[&enter[..], arguments].concat())?, program)?;
        child.hear("entered")?;
        child.started = Instant::now();
        child.say("")?;
        Ok(child)
    }
}

/// Memory being watched.
pub(crate) struct Watch {
    status: String,
    idle: u64,
    over: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

/// In MB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// RssAnon when the watch began.
    pub(crate) idle: f64,
    /// The highest RssAnon, above idle.
    pub(crate) above_idle: f64,
    /// VmHWM: everything, shared pages of the program too.
    pub(crate) high_water: f64,
}

impl Watch {
    /// Ends the watch. The process must still be there.
    pub(crate) fn end(self) -> Memory {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        let mb = |kb: u64| kb as f64 / 1024.0;
        let peak = self.peak.load(Ordering::Relaxed);
        Memory {
            idle: mb(self.idle),
            above_idle: mb(peak - self.idle),
            high_water: mb(field(&self.status, "VmHWM")),
        }
    }
}

/// A line of `/proc/PID/status`, in kB.
fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// One line of a child's own.
pub(crate) fn say(object: &Value) {
    use std::io::stdout;
    let mut out = stdout().lock();
    let _ = writeln!(out, "{object}");
    let _ = out.flush();
}

/// Waits for one line from the parent.
pub(crate) fn wait_for_word() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(())
}
