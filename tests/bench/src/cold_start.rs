//! From the start of the process to what was missed on the screen, over links of several round-trip times.
//!
//! The phone was signed in and its process is gone. Meanwhile somebody wrote to it. Its session is still on the server and is
//! resumed, or the server was restarted and it is bound anew. The time runs from the start of the process to the first
//! update of the timeline that holds the newest missed message; bytes are TCP's payload until then, TLS included.
//!
//! Beside it tokio-xmpp's own client and slixmpp, which keep no session across processes: bound anew, they get what was
//! missed as offline messages, show nothing and store nothing.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use clap::Args;
use interop::{Kind, Link, Options, Server};

use crate::{
    Result,
    bare::Wire,
    children::Child,
    figures::{Report, median},
    peers,
};

/// How many messages were missed.
const MISSED: usize = 20;
/// Round-trip times in ms.
const ROUND_TRIPS: [u64; 3] = [0, 100, 400];
const SLIXMPP: &str = include_str!("peers/slixmpp_peer.py");

#[derive(Args)]
pub(crate) struct Arguments {
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    samples: usize,
}

#[derive(Clone, Copy)]
struct Sample {
    ms: f64,
    up: f64,
    down: f64,
}

/// Somebody whose process starts.
struct Runner {
    name: &'static str,
    account: &'static str,
    /// Whether the server forgets its sessions first.
    anew: bool,
    program: Program,
    samples: Vec<Sample>,
}

enum Program {
    Whimbrel { data: PathBuf },
    TokioXmpp(PathBuf),
    Slixmpp { python: PathBuf, script: PathBuf },
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("cold_start");
    let mut server = Server::start(Kind::Prosody13, Options::default())?;
    server.add_users([("tokio", "a.test", "secret-t"), ("slix", "a.test", "secret-s")])?;
    let link = Link::to(server.direct_tls_port())?;
    let mut runners = runners(&server, &link)?;
    let mut number = 0;
    for round_trip in ROUND_TRIPS {
        eprintln!("cold_start: round trips of {round_trip} ms");
        for _ in 0..arguments.samples {
            for runner in &mut runners {
                number += 1;
                link.delay(Duration::ZERO);
                let sample = sample(&mut server, &link, runner, round_trip, number)?;
                runner.samples.push(sample);
            }
        }
        for runner in &mut runners {
            let middle = |which: fn(&Sample) -> f64| median(runner.samples.iter().map(which));
            let name = runner.name;
            report.figure(format!("{name}_ms_at_{round_trip}ms"), middle(|s| s.ms), "ms");
            if round_trip == 100 {
                report.figure(format!("{name}_bytes_up"), middle(|s| s.up), "B");
                report.figure(format!("{name}_bytes_down"), middle(|s| s.down), "B");
            }
            runner.samples.clear();
        }
    }
    Ok(())
}

/// Who takes part; who cannot is named with the reason.
fn runners(server: &Server, link: &Link) -> Result<Vec<Runner>> {
    let dir = crate::data_dir("cold_start")?;
    let data = dir.join("phone");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let (shown, port, ca) =
        (data.display().to_string(), link.port().to_string(), server.ca().display().to_string());
    let arguments = ["phone", "--data", &shown, "--account", "alice@a.test", "sign-in"];
    Child::start(&[&arguments[..], &["--password", "secret-a", "--port", &port, "--ca", &ca]].concat())?
        .end()?;
    let runner = |name, account, anew, program| Runner { name, account, anew, program, samples: Vec::new() };
    let mut runners = vec![
        runner("resumed", "alice@a.test", false, Program::Whimbrel { data: data.clone() }),
        runner("anew", "alice@a.test", true, Program::Whimbrel { data }),
    ];
    match peers::tokio_xmpp("bench-tokio-xmpp") {
        Ok(program) => {
            runners.push(runner("tokio_xmpp", "tokio@a.test", false, Program::TokioXmpp(program)));
        }
        Err(error) => eprintln!("cold_start: without tokio-xmpp: {error}"),
    }
    let script = dir.join("slixmpp_peer.py");
    std::fs::write(&script, SLIXMPP)?;
    match peers::python_with_slixmpp() {
        Ok(python) => {
            let program = Program::Slixmpp { python, script };
            runners.push(runner("slixmpp", "slix@a.test", false, program));
        }
        Err(error) => eprintln!("cold_start: without slixmpp: {error}"),
    }
    Ok(runners)
}

fn sample(
    server: &mut Server,
    link: &Link,
    runner: &Runner,
    round_trip: u64,
    number: usize,
) -> Result<Sample> {
    if runner.anew {
        server.restart()?;
    }
    let texts: Vec<String> = (0..MISSED).map(|at| format!("{number}.{at} are you there?")).collect();
    let mut bob = Wire::log_in(server.direct_tls_port(), &server.ca(), "bob@a.test", "secret-b")?;
    bob.send_messages(runner.account, &texts)?;
    drop(bob);
    link.delay(Duration::from_micros(round_trip * 500));
    let last = texts.last().map(String::as_str).unwrap_or_default();
    let (port, ca) = (link.port().to_string(), server.ca());
    let peer = |mut command: Command| {
        command.arg(runner.account).arg(if runner.account.starts_with("tokio") {
            "secret-t"
        } else {
            "secret-s"
        });
        command.arg(&port).arg(&ca).arg(last);
        command.env("SSL_CERT_FILE", &ca);
        Child::spawn(command, runner.name)
    };
    let mut child = match &runner.program {
        Program::Whimbrel { data } => {
            let data = data.display().to_string();
            let arguments = ["phone", "--data", &data, "--account", runner.account, "show"];
            Child::start(&[&arguments[..], &["--with", "bob@a.test", "--text", last]].concat())?
        }
        Program::TokioXmpp(program) => peer(interop::leashed(program))?,
        Program::Slixmpp { python, script } => {
            let mut command = interop::leashed(python);
            command.arg(script);
            peer(command)?
        }
    };
    let (at, shown) = child.hear("shown")?;
    let connection = link.connection_at(Instant::now()).ok_or("it did not come over the link")?;
    if shown["resumed"] == runner.anew && matches!(runner.program, Program::Whimbrel { .. }) {
        return Err(format!(
            "{}: its session was {}",
            runner.name,
            if runner.anew { "resumed" } else { "not resumed" }
        )
        .into());
    }
    let sample = Sample {
        ms: (at - child.started).as_secs_f64() * 1e3,
        up: connection.up as f64,
        down: connection.down as f64,
    };
    child.say("")?;
    child.end()?;
    Ok(sample)
}
