//! One phone: the console example as a child process, spoken to in lines of JSON (API.md, "The console").
//!
//! A thread reads what it says and stamps each line with the moment it came, so that an event can be held against what the
//! link saw on the wire. Events are kept until somebody waits for them: [`Console::wait_event`] takes the first that fits and
//! leaves the others, so a test does not depend on how events of different kinds interleave.

use std::{
    env,
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Map, Value};

use crate::{Error, Result, leashed, process, spawn};

/// How a console is started: what would be on its command line. Keep it to start the same phone again after a kill.
#[derive(Debug, Clone)]
pub struct Phone {
    /// `--data`: the directory that outlives the process.
    pub data: PathBuf,
    /// `--account`: a bare JID.
    pub account: String,
    /// Handed over in the environment.
    pub password: String,
    /// `--server`: HOST:PORT.
    pub server: Option<String>,
    /// `--direct-tls`.
    pub direct_tls: bool,
    /// `--ca`: an authority to trust beside the platform's.
    pub ca: Option<PathBuf>,
    /// `--resource`.
    pub resource: Option<String>,
    /// `--extension`: a process beside the app, over the same data.
    pub extension: bool,
    /// `--raw`: every stanza as an event.
    pub raw: bool,
    /// The console itself; [`console_binary`] if `None`.
    pub binary: Option<PathBuf>,
}

impl Phone {
    /// A phone of `account` with its data in `data`, that looks up its server by itself.
    pub fn new(data: impl Into<PathBuf>, account: &str, password: &str) -> Phone {
        Phone {
            data: data.into(),
            account: account.into(),
            password: password.into(),
            server: None,
            direct_tls: false,
            ca: None,
            resource: None,
            extension: false,
            raw: false,
            binary: None,
        }
    }

    /// Connects to a loopback port, with STARTTLS.
    pub fn at(mut self, port: u16) -> Phone {
        self.server = Some(format!("127.0.0.1:{port}"));
        self
    }

    /// Speaks TLS from the first byte.
    pub fn with_direct_tls(mut self) -> Phone {
        self.direct_tls = true;
        self
    }

    /// Trusts this authority.
    pub fn trusting(mut self, ca: impl Into<PathBuf>) -> Phone {
        self.ca = Some(ca.into());
        self
    }

    /// The notification extension of the app on this phone.
    pub fn extension(mut self) -> Phone {
        self.extension = true;
        self
    }

    /// Shows every stanza as an event.
    pub fn showing_stanzas(mut self) -> Phone {
        self.raw = true;
        self
    }

    /// Runs this console, and not the one beside the program.
    pub fn running(mut self, binary: impl Into<PathBuf>) -> Phone {
        self.binary = Some(binary.into());
        self
    }

    /// Its stderr, one file for all its lives.
    pub fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }
}

/// Something that the console said by itself.
#[derive(Debug, Clone)]
pub struct Event {
    /// When we read it.
    pub at: Instant,
    /// The line.
    pub body: Value,
}

impl Event {
    /// `"online"`, `"message"`, …
    pub fn name(&self) -> &str {
        self.str("event")
    }

    /// A field as text, empty if it is not there.
    pub fn str(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }

    /// A field as truth, false if it is not there.
    pub fn flag(&self, field: &str) -> bool {
        self.body[field].as_bool().unwrap_or_default()
    }
}

#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    replies: Vec<Value>,
    ended: bool,
}

#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    news: Condvar,
}

impl Ear {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("nothing panics while it holds the lock")
    }

    fn listen(&self, stdout: ChildStdout) {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            let at = Instant::now();
            let mut heard = self.lock();
            match serde_json::from_str::<Value>(&line) {
                Ok(body) if body.get("event").is_some() => heard.events.push(Event { at, body }),
                Ok(body) if body.get("reply").is_some() => heard.replies.push(body),
                _ => eprintln!("the console said what is no line of its protocol: {line}"),
            }
            self.news.notify_all();
        }
        self.lock().ended = true;
        self.news.notify_all();
    }

    /// Tries `take` on what was heard, again after each line, until it gives something or `limit` has passed.
    fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut take: impl FnMut(&mut Heard) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut heard = self.lock();
        loop {
            if let Some(taken) = take(&mut heard) {
                return Ok(taken);
            }
            if heard.ended {
                return Err(Error::Gone);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut(format!(
                    "{what}; events not asked for: {}",
                    summary(&heard.events)
                )));
            }
            heard = self.news.wait_timeout(heard, left).expect("nothing panics while it holds the lock").0;
        }
    }
}

fn summary(events: &[Event]) -> String {
    let lines: Vec<String> = events.iter().rev().take(12).rev().map(|event| event.body.to_string()).collect();
    if lines.is_empty() { "none".into() } else { lines.join("\n  ") }
}

/// A running console. Dropped, it is killed.
pub struct Console {
    child: Mutex<Child>,
    pid: u32,
    stdin: Mutex<Option<ChildStdin>>,
    ear: Arc<Ear>,
    next_id: Mutex<u64>,
}

impl Console {
    /// Starts the process. Where it is online is another matter: wait for `"online"`.
    pub fn start(phone: &Phone) -> Result<Console> {
        let binary = phone.binary.clone().map_or_else(console_binary, Ok)?;
        std::fs::create_dir_all(&phone.data)
            .map_err(Error::io(format!("making {}", phone.data.display())))?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(phone.log())
            .map_err(Error::io(format!("opening {}", phone.log().display())))?;
        let mut command = leashed(binary);
        command.arg("--data").arg(&phone.data).arg("--account").arg(&phone.account);
        if let Some(server) = &phone.server {
            command.arg("--server").arg(server);
        }
        if phone.direct_tls {
            command.arg("--direct-tls");
        }
        if let Some(ca) = &phone.ca {
            command.arg("--ca").arg(ca);
        }
        if let Some(resource) = &phone.resource {
            command.arg("--resource").arg(resource);
        }
        if phone.extension {
            command.arg("--extension");
        }
        if phone.raw {
            command.arg("--raw");
        }
        command.env("WHIMBREL_PASSWORD", &phone.password);
        if env::var_os("WHIMBREL_LOG").is_none() {
            command.env("WHIMBREL_LOG", "info");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = spawn(command).map_err(Error::io("starting the console"))?;
        let stdout = child.stdout.take().expect("it was asked for");
        let stdin = Mutex::new(child.stdin.take());
        let ear = Arc::new(Ear::default());
        let listening = Arc::clone(&ear);
        thread::spawn(move || listening.listen(stdout));
        Ok(Console { pid: child.id(), child: Mutex::new(child), stdin, ear, next_id: Mutex::new(1) })
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().expect("nothing panics while it holds the lock")
    }

    /// Writes one line as it is. [`Error::Gone`] if nobody reads it.
    pub fn send_line(&self, line: &str) -> Result<()> {
        let mut stdin = self.stdin.lock().expect("nothing panics while it holds the lock");
        let stdin = stdin.as_mut().ok_or(Error::Gone)?;
        stdin.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdin.flush()).map_err(|_| Error::Gone)
    }

    /// Writes one object as a line.
    pub fn send_json(&self, object: &Value) -> Result<()> {
        self.send_line(&object.to_string())
    }

    /// Asks for something without waiting; gives back the id to wait for with [`Console::reply`].
    pub fn ask(&self, what: &str, fields: Value) -> Result<u64> {
        let id = {
            let mut next = self.next_id.lock().expect("nothing panics while it holds the lock");
            *next += 1;
            *next - 1
        };
        let mut object: Map<String, Value> = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        object.insert("id".into(), id.into());
        object.insert("do".into(), what.into());
        self.send_json(&Value::Object(object))?;
        Ok(id)
    }

    /// Waits for the reply to `id`; an error reply becomes [`Error::Refused`].
    pub fn reply(&self, id: u64, limit: Duration) -> Result<Value> {
        let reply = self.ear.wait(&format!("the reply to {id}"), limit, |heard| {
            let at = heard.replies.iter().position(|reply| reply["reply"] == id)?;
            Some(heard.replies.remove(at))
        })?;
        refused(reply)
    }

    /// Asks and waits.
    pub fn request(&self, what: &str, fields: Value, limit: Duration) -> Result<Value> {
        let id = self.ask(what, fields)?;
        self.reply(id, limit)
    }

    /// The reply to a line that was so bad that no id could be read from it.
    pub fn reply_to_nonsense(&self, limit: Duration) -> Result<Value> {
        self.ear.wait("the reply to nonsense", limit, |heard| {
            let at = heard.replies.iter().position(|reply| reply["reply"].is_null())?;
            Some(heard.replies.remove(at))
        })
    }

    /// Sends a message under an id of our choosing; returns when it is on the phone's disk.
    pub fn send_message(&self, to: &str, id: &str, text: &str, limit: Duration) -> Result<()> {
        self.request("send", serde_json::json!({ "to": to, "message": id, "text": text }), limit).map(|_| ())
    }

    /// Takes the first event that `fits`, of those that came and were not taken yet, or of those to come.
    pub fn wait_event(
        &self,
        what: &str,
        limit: Duration,
        mut fits: impl FnMut(&Event) -> bool,
    ) -> Result<Event> {
        self.ear.wait(what, limit, |heard| {
            let at = heard.events.iter().position(&mut fits)?;
            Some(heard.events.remove(at))
        })
    }

    /// Takes the next `"online"`.
    pub fn wait_online(&self, limit: Duration) -> Result<Event> {
        self.wait_event("online", limit, |event| event.name() == "online")
    }

    /// Takes the next `"message"` with this text.
    pub fn wait_message(&self, text: &str, limit: Duration) -> Result<Event> {
        self.wait_event(&format!("the message {text:?}"), limit, |event| {
            event.name() == "message" && event.str("text") == text
        })
    }

    /// Takes the first `"state"` of a message that is this one.
    pub fn wait_state(&self, id: &str, state: &str, limit: Duration) -> Result<Event> {
        self.wait_event(&format!("{id} to be {state}"), limit, |event| {
            event.name() == "state" && event.str("id") == id && event.str("state").eq_ignore_ascii_case(state)
        })
    }

    /// The messages of a conversation as its timeline has them, oldest first; at most `limit`.
    pub fn timeline(&self, with: &str, limit: usize, patience: Duration) -> Result<Vec<Value>> {
        let reply =
            self.request("timeline", serde_json::json!({ "with": with, "limit": limit }), patience)?;
        Ok(reply["items"].as_array().cloned().unwrap_or_default())
    }

    /// Takes everything that came and was not taken yet.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.ear.lock().events)
    }

    /// The process id, for whoever wants to look at it from outside.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// SIGKILL, and waits until it is dead. What it had said before is still there to be taken.
    pub fn kill(&self) {
        process::kill_group(&mut self.child());
        // Whatever was in the pipe belongs to its life before.
        let _ = self
            .ear
            .wait("the end of its output", Duration::from_secs(10), |heard| heard.ended.then_some(()));
    }

    /// SIGSTOP: the system freezes the app. It keeps its sockets, and the kernel answers for them.
    pub fn freeze(&self) {
        process::signal_group(&self.child(), Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        process::signal_group(&self.child(), Signal::CONT);
    }

    /// `"quit"`, and waits for the end; killed if it does not come.
    pub fn quit(&self, limit: Duration) -> Result<()> {
        let _ = self.ask("quit", Value::Null);
        self.end_input();
        if process::ended_within(&mut self.child(), limit) {
            return Ok(());
        }
        self.kill();
        Err(Error::TimedOut("the console to quit".into()))
    }

    /// Closes its stdin, which means the same as `"quit"`.
    pub fn end_input(&self) {
        self.stdin.lock().expect("nothing panics while it holds the lock").take();
    }

    /// Whether the process ended by itself within `limit`.
    pub fn ends_within(&self, limit: Duration) -> bool {
        process::ended_within(&mut self.child(), limit)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        process::kill_group(&mut self.child());
    }
}

fn refused(reply: Value) -> Result<Value> {
    match reply["error"].as_str() {
        None => Ok(reply),
        Some(kind) => {
            let text = reply["text"].as_str().unwrap_or_default().to_owned();
            Err(Error::Refused { kind: kind.to_owned(), text, reply })
        }
    }
}

/// Where the console is: `$WHIMBREL_CONSOLE`, else beside the program that asks, as cargo lays them out.
pub fn console_binary() -> Result<PathBuf> {
    if let Some(set) = env::var_os("WHIMBREL_CONSOLE") {
        return Ok(set.into());
    }
    let exe = env::current_exe().map_err(Error::io("finding this program"))?;
    // target/debug/xtask, or target/debug/deps/real-0123456789abcdef
    let profile_dir = exe.ancestors().skip(1).find(|dir| !dir.ends_with("deps")).unwrap_or(Path::new("."));
    let others = ["debug", "release"].map(|profile| profile_dir.with_file_name(profile));
    let mut candidates =
        [profile_dir.to_owned()].into_iter().chain(others).map(|dir| dir.join("examples/console"));
    candidates.find(|candidate| candidate.is_file()).ok_or_else(|| {
        Error::Unavailable(
            "the console is not built: run `cargo build -p whimbrel --example console`, or set WHIMBREL_CONSOLE".into(),
        )
    })
}
