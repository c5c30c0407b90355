//! A process that has the account, as the test holds it: spoken to in lines, and caught by its trap or not.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use interop::{leashed, spawn};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::{Value, json};

/// What the trap does to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// SIGKILL.
    Killed,
    /// SIGSTOP.
    Stopped,
}

/// Where a process was caught.
#[derive(Clone, Debug)]
pub struct Caught {
    /// The statement that it was about to begin.
    pub statement: String,
    /// Whether it holds the file's lock for writing.
    pub writing: bool,
}

/// A running process.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    fate: Option<Fate>,
    /// No other process over this file has it.
    pub life: u64,
    /// Its connection, once it asked for one.
    pub link: Option<u64>,
    /// Whether that one is logged in.
    pub online: bool,
    /// When it wants to be woken, ms.
    pub wake: Option<u64>,
    /// Whether it has noticed that the lease is another's.
    pub lost: bool,
    /// What comes over its link next.
    pub arriving: VecDeque<Vec<Value>>,
    /// It has let go of the file and ended.
    pub closed: bool,
}

impl Actor {
    /// Starts the program, with a trap at the n-th statement if there is to be one.
    pub fn start(program: &str, dir: &Path, life: u64, trap: Option<(Fate, u64)>) -> Self {
        let mut command = leashed(program);
        command.arg(dir).arg(life.to_string());
        if let Some((fate, at)) = trap {
            command.arg(if fate == Fate::Killed { "kill" } else { "stop" }).arg(at.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command).expect("it starts");
        let stdin = child.stdin.take().expect("it was asked for");
        let stdout = BufReader::new(child.stdout.take().expect("it was asked for"));
        let fate = trap.map(|(fate, _)| fate);
        Self {
            child,
            stdin,
            stdout,
            fate,
            life,
            link: None,
            online: false,
            wake: None,
            lost: false,
            arriving: VecDeque::new(),
            closed: false,
        }
    }

    /// Says a line and reads the answer, or where it was caught instead.
    pub fn ask(&mut self, line: &Value) -> Result<Value, Caught> {
        writeln!(self.stdin, "{line}").expect("it listens");
        self.hear()
    }

    /// Lets a stopped process go on, and reads the answer that it owes.
    pub fn go_on(&mut self) -> Value {
        kill_process(self.pid(), Signal::CONT).expect("it is there");
        self.hear().expect("a trap snaps once")
    }

    fn hear(&mut self) -> Result<Value, Caught> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it speaks UTF-8");
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let Some(statement) = line["trapped"].as_str() else { return Ok(line) };
        // It has said so before the signal came; now it has come.
        match self.fate {
            Some(Fate::Stopped) => {
                let options = WaitOptions::UNTRACED;
                let status = waitpid(Some(self.pid()), options).expect("it is ours").expect("it waited").1;
                assert!(status.stopped(), "{status:?}");
            }
            _ => {
                let status = self.child.wait().expect("it is ours");
                assert!(!status.success(), "it was killed");
            }
        }
        Err(Caught { statement: statement.to_owned(), writing: line["writing"] == json!(true) })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("not 0")
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
