//! Other people's clients, beside ours: where they are and how they get here.

use std::path::PathBuf;

use crate::Result;

/// An environment of Python's own with slixmpp in it, made the first time.
pub(crate) fn python_with_slixmpp() -> Result<PathBuf> {
    Ok(interop::python_with_slixmpp(&crate::data_dir("slixmpp")?.join("venv"))?)
}

/// tokio-xmpp in a program of ours, if it was built.
pub(crate) fn tokio_xmpp(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    if program.is_file() { Ok(program) } else { Err("it is built with `--features peers`".into()) }
}
