//! `cargo xtask`: what one does to this repository, as commands that need nothing but Rust, and root for the servers.
//!
//! Each module is one command. They install what they miss from the distribution's own packages and say so; where they
//! cannot, they say what to do. What a command measures it also prints as JSON (`--json`).

mod bench;
mod bindings;
mod cargo;
mod demo;
mod devices;
mod fuzz;
mod host;
mod hostile;
mod licences;
mod mutants;
mod package;
mod phones;
mod servers;
mod size;
mod soak;
mod stage;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An error of a command is a sentence for whoever typed it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and shows Whimbrel")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything, against real servers too; prints the minutes of each phase
    Test(test::Arguments),
    /// Two phones talk over links that are cut every few seconds, and one of them is killed; prints what was lost
    Demo(demo::Arguments),
    /// The servers that the tests use
    Servers(servers::Arguments),
    /// Builds and tests the bindings
    Bindings(bindings::Arguments),
    /// Packages for apps in Kotlin: a Maven repository in target/packages, and a program that has nothing else
    Package(package::Arguments),
    /// Measures what a user waits for: catch_up, cold_start, conversations, open_conversation, resume, search; what arrives:
    /// broken_link; what it costs when nothing does: idle_hour, and when a push comes: wake_up; what the boundary to Kotlin and Swift
    /// costs: ffi
    Bench(bench::Arguments),
    /// Makes the engine's deliberate mistakes one by one, and looks whether the simulated world notices
    Mutants(mutants::Arguments),
    /// Whether the library compiles for Android and iOS, as far as that can be said here
    Phones,
    /// What the library weighs, what of, and how much it has grown
    Size(size::Arguments),
    /// Simulated worlds that try to break the engine, as many as there is time for; or devices of one account over real servers
    Soak(soak::Arguments),
    /// Searches for inputs that break something, with libFuzzer
    Fuzz(fuzz::Arguments),
    /// The documentation of the workspace, without a warning
    Doc,
    /// Writes bindings/THIRD_PARTY.md: whose code the library has in it, and under which licences
    Licences,
    /// Licences and sources of all dependencies; installs cargo-deny if need be, which takes minutes
    Deny,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Servers(arguments) => servers::run(&arguments),
        Command::Bindings(arguments) => bindings::run(&arguments),
        Command::Package(arguments) => package::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::Phones => phones::run(),
        Command::Size(arguments) => size::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Doc => cargo::doc(),
        Command::Licences => licences::run(),
        Command::Deny => cargo::deny(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
