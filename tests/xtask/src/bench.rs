//! `cargo xtask bench NAME [--json]`: builds the benchmarks as a phone gets the library, and runs one.

use std::ffi::OsString;

use clap::Args;

use crate::{Result, cargo};

#[derive(Args)]
pub(crate) struct Arguments {
    /// NAME and its own options; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
    /// Leaves out link-time optimization: quicker to build, and not the figures of a phone
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let profile = if arguments.quick { "release" } else { "phone" };
    let shared = ["--quiet", "--profile", profile, "-p", "bench", "--features", "peers"];
    // Peers are programs of their own beside the benchmark, which `run` alone would not build.
    cargo::run(cargo::command(&["build"]).args(shared).arg("--bins"))?;
    if arguments.arguments.iter().any(|argument| argument == "idle_hour") {
        let console = ["--quiet", "--profile", profile, "-p", "whimbrel", "--example", "console"];
        cargo::run(cargo::command(&["build"]).args(console))?;
    }
    cargo::run(
        cargo::command(&["run"]).args(shared).args(["--bin", "bench", "--"]).args(&arguments.arguments),
    )
}
