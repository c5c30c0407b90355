//! `cargo xtask soak --minutes N`: worlds that try to break the engine, from a seed that nobody has had before.
//!
//! Built with the profile `sim`, whose minutes pay for themselves here. `cargo xtask test` lets the same program run as it was
//! built for the tests: a fixed set of seeds, which a change breaks or does not, and then fresh ones.

use std::{
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;

use crate::{Result, cargo, devices, host};

/// The seeds that `cargo xtask test` always runs: from 1 to this.
const FIXED: u64 = 600;
/// What the simulation may take of `cargo xtask test`, the fixed seeds and the fresh ones together.
const SHORT: Duration = Duration::from_secs(120);
/// Fresh seeds for so long at least, however slow this machine is.
const AT_LEAST: Duration = Duration::from_secs(20);

/// Two accounts at least have two devices each. (The fixed seeds are older, and mean other worlds.)
const TWO_EACH: [&str; 2] = ["--devices", "2"];

#[derive(Args)]
pub(crate) struct Arguments {
    /// For how long
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// The first seed; a fresh one if not said
    #[arg(long)]
    seed: Option<u64>,
    /// Three devices of one account over real servers instead: two of ours, and slixmpp
    #[arg(long)]
    devices: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    host::need(&host::BUILD, "150 MB, half a minute")?;
    if arguments.devices {
        return devices::soak(arguments.minutes, arguments.seed.unwrap_or_else(fresh));
    }
    let (seed, minutes) = (arguments.seed.unwrap_or_else(fresh), arguments.minutes.to_string());
    cargo::run(&mut sim(
        &["--profile", "sim"],
        &[&TWO_EACH[..], &["--seed", &seed.to_string(), "--minutes", &minutes]].concat(),
    ))
}

/// About two minutes of it. The fixed seeds are what a change breaks or does not; a fresh seed that fails is a finding, and no
/// reason to fail whoever happened to draw it.
pub(crate) fn short() -> Result<()> {
    let started = Instant::now();
    cargo::run(&mut sim(&[], &["--seed", "1", "--worlds", &FIXED.to_string()]))?;
    let minutes = SHORT.saturating_sub(started.elapsed()).max(AT_LEAST).as_secs_f64() / 60.0;
    let (seed, minutes) = (fresh().to_string(), format!("{minutes:.2}"));
    // Cut down it is by whoever looks at it: that takes minutes as the tests are built.
    let worlds = [&TWO_EACH[..], &["--seed", &seed, "--minutes", &minutes, "--no-shrink"]].concat();
    match sim(&[], &worlds).status()?.code() {
        Some(0) => Ok(()),
        Some(1) => {
            println!(
                "a finding: `cargo xtask soak --seed` with that seed prints what belongs into tests/sim/found"
            );
            Ok(())
        }
        _ => Err("the worlds ended in a way of their own".into()),
    }
}

fn sim(profile: &[&str], arguments: &[&str]) -> Command {
    // With the mistakes that can be switched on comes the poison that the engine fails on.
    let mut command =
        cargo::command(&["run", "--quiet", "-p", "sim", "--bin", "sim", "--features", "mutants"]);
    command.args(profile).arg("--").args(arguments);
    command
}

/// Seeds behind this one were not run before, nor are they by whoever starts a minute later.
fn fresh() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
