//! `cargo xtask bench NAME [--json]`: builds the benchmarks as a phone gets the library, and runs one.
//!
//! Two of them start programs in Kotlin and Swift as well, which are built here over the library of the same profile.

use std::ffi::OsString;

use clap::Args;

use crate::{Result, bindings, cargo, host};

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
    let is = |name: &str| arguments.arguments.iter().any(|argument| argument == name);
    // What breaks is no faster for being smaller.
    let profile = if arguments.quick || is("broken_link") { "release" } else { "phone" };
    if is("broken_link") {
        cargo::console(true)?;
    }
    // Symbols are never loaded; the library's are read, and what is built once need not be built twice.
    let cargo = |command: &str| {
        let mut cargo = cargo::command(&[command, "--quiet", "--profile", profile]);
        cargo.env(format!("CARGO_PROFILE_{}_STRIP", profile.to_uppercase()), "false");
        cargo
    };
    let shared = ["-p", "bench", "--features", "peers"];
    // Peers are programs of their own beside the benchmark, which `run` alone would not build.
    cargo::run(cargo("build").args(shared).arg("--bins"))?;
    if is("idle_hour") {
        cargo::run(cargo("build").args(["-p", "whimbrel", "--example", "console"]))?;
    }
    let mut programs: Vec<OsString> = Vec::new();
    if is("ffi") || is("wake_up") {
        host::need(&host::BUILD, "150 MB, half a minute")?;
        let library = bindings::library(profile, &bindings::TESTED)?;
        programs.extend(["--swift".into(), bindings::swift_programs(&library)?.into()]);
        if is("ffi") {
            programs.extend(["--class-path".into(), bindings::kotlin_programs(&library)?]);
            programs.extend(["--library".into(), library.into()]);
        }
    }
    let run = ["--bin", "bench", "--"];
    cargo::run(cargo("run").args(shared).args(run).args(&arguments.arguments).args(programs))
}
