//! What can go wrong around a test, named by cause.

use std::io;

use serde_json::Value;

/// Why a server, a link or a console did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine cannot run it. The text is a sentence that says what to do about it.
    #[error("{0}")]
    Unavailable(String),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's own words.
        source: io::Error,
    },
    /// A program ended, or failed, where it should have gone on.
    #[error("{what} failed; the end of what it said:\n{said}")]
    Failed {
        /// The program.
        what: String,
        /// The end of its log or output.
        said: String,
    },
    /// Something that should have happened did not, within the time allowed.
    #[error("timed out waiting for {0}")]
    TimedOut(String),
    /// The console answered with an error.
    #[error("the console refused: {kind}: {text}")]
    Refused {
        /// The error's name in snake_case, as API.md lists them.
        kind: String,
        /// Its text.
        text: String,
        /// The whole reply.
        reply: Value,
    },
    /// The console's process is gone, or went while it was asked.
    #[error("the console is gone")]
    Gone,
}

impl Error {
    /// For `map_err`: keeps what was being done beside the system's error.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// The console's own error name, if this is its refusal.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Error::Refused { kind, .. } => Some(kind),
            _ => None,
        }
    }
}
