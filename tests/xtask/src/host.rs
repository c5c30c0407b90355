//! What the host must have, and how it gets it: from its own packages, saying so.
//!
//! A command asks for programs, not for packages. Where one is missing and apt and root are there, its package is installed;
//! elsewhere the answer is a sentence that says what to install.

use std::{env, process::Command, time::Instant};

use interop::{APT_PATIENCE, found};

use crate::{Result, cargo};

/// A line about what we do to the machine: on stderr, since stdout may be for figures.
pub(crate) fn say(line: &str) {
    eprintln!("• {line}");
}

/// A program and the Debian package that has it.
pub(crate) type Need = (&'static str, &'static str);

/// For SQLCipher and its OpenSSL, which are compiled from source.
pub(crate) const BUILD: [Need; 3] = [("cc", "gcc libc6-dev"), ("make", "make"), ("perl", "perl")];

/// For what a library is made of, and for one that is linked with the system's OpenSSL.
pub(crate) const SIZE: [Need; 3] =
    [("nm", "binutils"), ("gzip", "gzip"), ("openssl", "openssl libssl-dev pkg-config")];

/// For the Kotlin bindings.
pub(crate) const KOTLIN: [Need; 2] = [("javac", "default-jdk-headless"), ("mvn", "maven")];

/// For slixmpp, which pip installs.
pub(crate) const PYTHON: [Need; 1] = [("python3", "python3 python3-venv")];

/// Whether a program is here, and can do what it is needed for: Debian's Python makes no environments without a package more.
fn is_there(program: &str) -> bool {
    let makes_environments = || {
        let asked = Command::new(program).args(["-c", "import ensurepip, venv"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    found(program) && (program != "python3" || makes_environments())
}

/// Installs what is missing of `needs`; `cost` is for the sentence about it.
pub(crate) fn need(needs: &[Need], cost: &str) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|(program, _)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|(_, packages)| packages.split(' ')).collect();
    let list = packages.join(" ");
    if !found("apt-get") {
        let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
        return Err(format!(
            "missing here: {}. Install them (on Debian: {list}) and try again",
            programs.join(", ")
        )
        .into());
    }
    if !is_root() {
        return Err(format!("missing here. As root: apt-get install {list}").into());
    }
    say(&format!("Installing with apt: {list} ({cost}). They go with: apt-get purge --autoremove {list}"));
    let started = Instant::now();
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-qy").args(APT_PATIENCE).args(arguments);
        cargo::run(&mut apt)
    };
    apt(&["update"])?;
    apt(&[&["install", "--no-install-recommends"], &packages[..]].concat())?;
    say(&format!("Installed in {} s.", started.elapsed().as_secs()));
    Ok(())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether a skip is a failure.
pub(crate) fn is_ci() -> bool {
    env::var("CI").as_deref() == Ok("true")
}
