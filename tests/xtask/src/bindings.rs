//! `cargo xtask bindings`: the libraries for Kotlin and Swift, built and tested.

use clap::{Args, ValueEnum};
use interop::Root;

use crate::{
    Result, cargo, host,
    test::Outcome::{self, Skipped},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Both if not said
    language: Option<Language>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Kotlin,
    Swift,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.language != Some(Language::Swift) {
        told(kotlin()?)?;
    }
    if arguments.language != Some(Language::Kotlin) {
        let root = Root::ensure(interop::Release::Trixie, &host::say)?;
        told(swift(&root)?)?;
    }
    Ok(())
}

fn told(outcome: Outcome) -> Result<()> {
    match outcome {
        Skipped(why) => Err(why.into()),
        Outcome::Passed => Ok(()),
    }
}

/// Generates the Kotlin, and runs its JUnit tests.
pub(crate) fn kotlin() -> Result<Outcome> {
    absent("bindings/kotlin/pom.xml")
}

/// Generates the Swift, and runs its tests in the Debian tree that has the compiler.
pub(crate) fn swift(_root: &Root) -> Result<Outcome> {
    absent("bindings/swift/Package.swift")
}

fn absent(file: &str) -> Result<Outcome> {
    if cargo::workspace().join(file).exists() {
        return Err(format!("{file} is there, and this command does not know yet how to build it").into());
    }
    Ok(Skipped(format!("{file} is not there yet")))
}
