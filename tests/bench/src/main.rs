//! Benchmarks, named by what a user does: `broken_link`, `catch_up`, `cold_start`, `conversations`, `idle_hour`,
//! `open_conversation`, `resume`, `search`, `wake_up`; and `ffi`, by what it crosses.
//!
//! Called by `cargo xtask bench NAME [--json]`, which builds this with the profile that a phone gets. What is measured runs
//! in a child process of its own (this same program, called with `child`), so that memory and processor time are its own;
//! this process starts servers, restores their data, watches and computes.
//!
//! Figures are printed as API.md, "Figures", says; their names are stable. Without `--json` they are a table with the aim
//! beside each value that has one. What goes on meanwhile is told on stderr.

mod archive;
mod bare;
mod broken_link;
mod catch_up;
mod children;
mod clocks;
mod cold_start;
mod conversations;
mod ffi;
mod figures;
mod idle_hour;
mod namespace;
mod open_conversation;
mod peers;
mod phone;
mod replay;
mod resume;
mod search;
mod wake_up;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::figures::Report;

/// An error is a sentence for whoever typed the command.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(name = "bench", about = "Measures what a user waits for")]
struct Arguments {
    /// One object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A long conversation over links that break: what is lost, doubled, out of order, resumed; beside other clients
    #[command(name = "broken_link")]
    BrokenLink(broken_link::Arguments),
    /// Ten thousand missed messages from the archive, beside a bare XML parser
    #[command(name = "catch_up")]
    CatchUp(catch_up::Arguments),
    /// From the start of the process to missed messages on the screen, beside other clients
    #[command(name = "cold_start")]
    ColdStart(cold_start::Arguments),
    /// One change of a timeline from the commit to who listens, in Rust, Kotlin and Swift
    Ffi(ffi::Arguments),
    /// The list of a thousand conversations: its first splice, and a message to the splice that shows it
    #[command(name = "conversations")]
    Conversations(conversations::Arguments),
    /// What a phone pays for staying reachable, beside a client that pings every minute
    #[command(name = "idle_hour")]
    IdleHour(idle_hour::Arguments),
    /// The first screen of a conversation in an archive of a million messages
    #[command(name = "open_conversation")]
    OpenConversation(open_conversation::Arguments),
    /// Back online after a cut
    #[command(name = "resume")]
    Resume(resume::Arguments),
    /// The first hits in an archive of a million messages, and what the index of words costs
    #[command(name = "search")]
    Search(search::Arguments),
    /// A process that a push has started, until it is suspended again
    #[command(name = "wake_up")]
    WakeUp(wake_up::Arguments),
    /// The server and the phone of `catch_up`, left alone until the end of input, for a profiler
    #[command(hide = true)]
    Serve(catch_up::Arguments),
    /// The replays of `catch_up` alone, of what it recorded the last time
    #[command(hide = true)]
    Replay,
    /// What is measured, in a process of its own
    #[command(hide = true)]
    Child {
        #[command(subcommand)]
        which: Child,
    },
}

#[derive(Subcommand)]
enum Child {
    Bare(bare::Arguments),
    Say(bare::Say),
    Phone(phone::Arguments),
}

/// A directory beside this program, on whatever disk the build is: kept between runs, and gone with `cargo clean`.
fn data_dir(bench: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let dir = program.parent().ok_or("a program without directory")?.join("bench-data").join(bench);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::new(arguments.json);
    let done = match &arguments.what {
        What::BrokenLink(arguments) => broken_link::run(arguments, &mut report),
        What::CatchUp(arguments) => catch_up::run(arguments, &mut report),
        What::ColdStart(arguments) => cold_start::run(arguments, &mut report),
        What::Ffi(arguments) => ffi::run(arguments, &mut report),
        What::Conversations(arguments) => conversations::run(arguments, &mut report),
        What::IdleHour(arguments) => idle_hour::run(arguments, &mut report),
        What::OpenConversation(arguments) => open_conversation::run(arguments, &mut report),
        What::Resume(arguments) => resume::run(arguments, &mut report),
        What::Search(arguments) => search::run(arguments, &mut report),
        What::WakeUp(arguments) => wake_up::run(arguments, &mut report),
        What::Serve(arguments) => catch_up::serve(arguments),
        What::Replay => catch_up::replayed(&mut report),
        What::Child { which: Child::Bare(arguments) } => bare::run(arguments),
        What::Child { which: Child::Say(arguments) } => bare::say(arguments),
        What::Child { which: Child::Phone(arguments) } => phone::run(arguments),
    };
    report.finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
