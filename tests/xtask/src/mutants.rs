//! `cargo xtask mutants`: makes the engine's deliberate mistakes one by one; the simulated world must notice each.

use std::ffi::OsString;

use clap::Args;

use crate::{Result, cargo};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Names of mistakes, and the options of the program that makes them; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = cargo::command(&[
        "run",
        "--quiet",
        "--profile",
        "sim",
        "-p",
        "sim",
        "--features",
        "mutants",
        "--bin",
        "mutants",
    ]);
    cargo::run(command.arg("--").args(&arguments.arguments))
}
