//! A process that a push has started: it resumes, says what to notify of, and is suspended again. iOS ends an extension that has
//! 24 MB or takes too long, so memory and time are both short.
//!
//! In Rust, and in Swift as an extension would be; Swift's own libraries, which iOS shares between all processes, are here part of
//! this one's memory.
//!
//! The phone was signed in and is suspended; then ten messages came. The time runs from the start of the process to the
//! answer, with the session hung up and the file closed; bytes are TCP's payload, TLS included. Round trips are counted on the
//! link, outside of the client: TLS' own, and the flights of ours that had to be answered.

use std::time::{Duration, Instant};

use clap::Args;
use interop::{Connection, Kind, Link, Options, Server};

use crate::{
    Result,
    bare::Wire,
    children::{Child, Swift},
    figures::{Report, median},
};

const ALICE: &str = "alice@a.test";
/// How many messages the push is about.
const NEW: usize = 10;
/// Round-trip times in ms.
const ROUND_TRIPS: [u64; 3] = [0, 100, 400];
/// TLS' own, before the first flight of ours. The link answers TCP's at once.
const BEFORE: usize = 1;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How often each is measured
    #[arg(long, default_value_t = 7)]
    samples: usize,
    #[command(flatten)]
    swift: Swift,
}

/// What wakes up.
#[derive(Clone, Copy)]
enum Process<'a> {
    Rust,
    Swift(&'a Swift),
}

impl Process<'_> {
    fn name(self) -> &'static str {
        match self {
            Process::Rust => "rust",
            Process::Swift(_) => "swift",
        }
    }

    fn start(self, data: &str) -> Result<Child> {
        match self {
            Process::Rust => Child::start(&["phone", "--data", data, "--account", ALICE, "wake-up"]),
            Process::Swift(swift) => swift.start("WakeUp", &[data, ALICE]),
        }
    }
}

struct Sample {
    ms: f64,
    trips: f64,
    memory: f64,
    up: f64,
    down: f64,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("wake_up");
    let server = Server::start(Kind::Prosody13, Options::default())?;
    let link = Link::to(server.direct_tls_port())?;
    let data = arguments.swift.data_dir("wake_up")?.join("phone");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let (data, port, ca) =
        (data.display().to_string(), link.port().to_string(), server.ca().display().to_string());
    let sign_in = ["phone", "--data", &data, "--account", ALICE, "sign-in"];
    Child::start(&[&sign_in[..], &["--password", "secret-a", "--port", &port, "--ca", &ca]].concat())?
        .end()?;
    let mut number = 0;
    for process in [Process::Rust, Process::Swift(&arguments.swift)] {
        let name = process.name();
        for round_trip in ROUND_TRIPS {
            eprintln!("wake_up: {name}, round trips of {round_trip} ms");
            let mut samples = Vec::new();
            for _ in 0..arguments.samples {
                number += 1;
                link.delay(Duration::ZERO);
                samples.push(sample(&server, &link, process, &data, round_trip, number)?);
            }
            let middle = |which: fn(&Sample) -> f64| median(samples.iter().map(which));
            report.figure(format!("{name}_ms_at_{round_trip}ms"), middle(|s| s.ms), "ms");
            // Without delay nobody can tell what waited for an answer.
            if round_trip > 0 {
                let above: Vec<f64> = samples.iter().map(|s| s.ms - s.trips * round_trip as f64).collect();
                report.figure(format!("{name}_round_trips_at_{round_trip}ms"), middle(|s| s.trips), "");
                report.figure(format!("{name}_ms_above_round_trips_at_{round_trip}ms"), median(above), "ms");
            }
            if round_trip == 100 {
                let memory = samples.iter().map(|s| s.memory).fold(0.0, f64::max);
                report.aimed(format!("{name}_peak_memory"), memory, "MB", 16.0);
                report.figure(format!("{name}_bytes_up"), middle(|s| s.up), "B");
                report.figure(format!("{name}_bytes_down"), middle(|s| s.down), "B");
            }
        }
    }
    Ok(())
}

fn sample(
    server: &Server,
    link: &Link,
    process: Process<'_>,
    data: &str,
    round_trip: u64,
    number: usize,
) -> Result<Sample> {
    let texts: Vec<String> = (0..NEW).map(|at| format!("{number}.{at} are you there?")).collect();
    Wire::log_in(server.direct_tls_port(), &server.ca(), "bob@a.test", "secret-b")?
        .send_messages(ALICE, &texts)?;
    link.delay(Duration::from_micros(round_trip * 500));
    let mut child = process.start(data)?;
    let watch = child.watch();
    let (at, woken) = child.hear("woken")?;
    let memory = watch.end();
    let expected = serde_json::json!({ "resumed": true, "complete": true, "notify": texts });
    if woken != expected {
        return Err(format!("it was woken to {woken} and not to {expected}").into());
    }
    let connection = link.connection_at(Instant::now()).or_else(|| link.connections().pop());
    let connection = connection.ok_or("it did not come over the link")?;
    let trips = BEFORE + trips(&connection, at, Duration::from_millis(round_trip));
    let ms = (at - child.started).as_secs_f64() * 1e3;
    child.say("")?;
    child.end()?;
    Ok(Sample {
        ms,
        trips: trips as f64,
        memory: memory.idle + memory.above_idle,
        up: connection.up as f64,
        down: connection.down as f64,
    })
}

/// How many answers were waited for one after the other: a flight that left before the one before it can have been answered
/// waited for nothing.
fn trips(connection: &Connection, end: Instant, round_trip: Duration) -> usize {
    let (mut count, mut answered) = (0, connection.opened);
    for flight in connection.flights().iter().filter(|flight| flight.at + round_trip <= end) {
        if flight.at >= answered {
            count += 1;
            answered = flight.at + round_trip;
        }
    }
    count
}
