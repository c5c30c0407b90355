//! Other people's clients, beside ours: where they are and how they get here.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::Result;

/// An environment of Python's own with slixmpp in it, made the first time.
pub(crate) fn python_with_slixmpp() -> Result<PathBuf> {
    let dir = crate::data_dir("slixmpp")?.join("venv");
    let python = dir.join("bin/python");
    let run = |command: &mut Command, what: &str| -> Result<()> {
        let output = command.output().map_err(|error| format!("{what}: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{what} failed: {}", said.lines().next_back().unwrap_or_default()).into())
    };
    let has_it = |python: &Path| {
        Command::new(python).args(["-c", "import slixmpp"]).output().is_ok_and(|it| it.status.success())
    };
    if !has_it(&python) {
        eprintln!("installing slixmpp into {}", dir.display());
        run(Command::new("python3").args(["-m", "venv"]).arg(&dir), "python3 -m venv")?;
        let install = ["-m", "pip", "install", "--quiet", "slixmpp"];
        run(Command::new(&python).args(install), "pip install slixmpp")?;
    }
    Ok(python)
}

/// tokio-xmpp in a program of ours, if it was built.
pub(crate) fn tokio_xmpp(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    if program.is_file() { Ok(program) } else { Err("it is built with `--features peers`".into()) }
}

/// Makes a program of a command line, since a phone is started as one.
pub(crate) fn program(path: &Path, command: &str) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\nexec {command} \"$@\"\n"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path.to_owned())
}
