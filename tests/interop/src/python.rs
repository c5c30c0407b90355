//! slixmpp: somebody else's client library, in an environment of Python's own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, Result};

/// The version that is tested against.
const SLIXMPP: &str = "slixmpp==1.17.0";

/// Python with slixmpp, in an environment that is made in `dir` the first time.
pub fn python_with_slixmpp(dir: &Path) -> Result<PathBuf> {
    let python = dir.join("bin/python");
    let has_it = |python: &Path| {
        Command::new(python).args(["-c", "import slixmpp"]).output().is_ok_and(|it| it.status.success())
    };
    if !has_it(&python) {
        eprintln!("installing slixmpp into {}", dir.display());
        run(Command::new("python3").args(["-m", "venv"]).arg(dir), "python3 -m venv")?;
        let install = ["-m", "pip", "install", "--quiet", SLIXMPP];
        run(Command::new(&python).args(install), "pip install slixmpp")?;
    }
    Ok(python)
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let output = command.output().map_err(Error::io(what))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Unavailable(format!("{what} failed: {}", said.lines().next_back().unwrap_or_default())))
}

/// Makes a program of a command line, since a phone is started as one.
pub fn program(path: &Path, command: &str) -> Result<PathBuf> {
    let what = || format!("making {}", path.display());
    fs::write(path, format!("#!/bin/sh\nexec {command} \"$@\"\n")).map_err(Error::io(what()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(Error::io(what()))?;
    Ok(path.to_owned())
}
