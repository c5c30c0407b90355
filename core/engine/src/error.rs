//! The three kinds of failure, never mixed.
//!
//! *The peer sent nonsense* is no error at all: it is answered or ignored where it is read. What is left is *the
//! world failed*, which rolls back, stops the account and is tried again when the cause is gone, and *we are wrong*,
//! which rolls back and is tried again one input at a time (see `turn`).

use std::any::Any;

use rusqlite::ErrorCode;

use crate::api::{self, Unusable};

/// Why a step did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The world failed: disk full, I/O, busy, corrupt. `h` does not move, the link is hung up.
    #[error("{what}")]
    World {
        /// What an app should be told.
        what: api::Error,
        /// SQLite's own words.
        source: Option<rusqlite::Error>,
    },
    /// Somebody else raised the lease: this account may only read now.
    #[error("another process took over this account")]
    LeaseLost,
    /// Somebody else has the lease, and there are no grounds to take it.
    #[error("another process has this account")]
    LeaseHeld,
    /// We are wrong.
    #[error("bug: {report}")]
    Bug {
        /// Without content.
        report: String,
    },
}

/// A step's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A mistake of ours.
    pub fn bug(report: impl Into<String>) -> Self {
        Self::Bug { report: report.into() }
    }

    /// The file says what we never write.
    pub(crate) fn damaged() -> Self {
        Self::World { what: api::Error::DatabaseUnusable { why: Unusable::Corrupt }, source: None }
    }

    /// What an app is told.
    pub fn to_api(&self) -> api::Error {
        match self {
            Self::World { what, .. } => what.clone(),
            Self::LeaseLost | Self::LeaseHeld => api::Error::InUse,
            Self::Bug { report } => api::Error::Bug { report: report.clone() },
        }
    }
}

/// What a panic says, without content: a mistake is met while somebody's words are read, and they are easily formatted into
/// its message. The program's own words are kept, and of a message that was formatted what stands before anything quoted.
pub fn panic_report(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        return format!("panic: {text}");
    }
    let text = payload.downcast_ref::<String>().map_or("", String::as_str);
    let own = text.split(['`', '"', '\'', ':']).next().unwrap_or_default();
    format!("panic: {} (..)", own.trim_end())
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        let code = source.sqlite_error_code();
        let what = match code {
            Some(ErrorCode::DiskFull) => api::Error::StorageFull,
            // Another process was stopped within a transaction, or takes too long over one.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => api::Error::InUse,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
                | ErrorCode::OperationInterrupted,
            ) => api::Error::DatabaseUnusable { why: Unusable::ReadOnly },
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::AuthorizationForStatementDenied,
            ) => api::Error::DatabaseUnusable { why: Unusable::ReadOnly },
            Some(ErrorCode::DatabaseCorrupt) => api::Error::DatabaseUnusable { why: Unusable::Corrupt },
            Some(ErrorCode::NotADatabase) => api::Error::DatabaseUnusable { why: Unusable::WrongKey },
            _ => return Self::Bug { report: source.to_string() },
        };
        Self::World { what, source: Some(source) }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::bug(format!("serialised state: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(panics: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let payload = std::panic::catch_unwind(panics).unwrap_err();
        std::panic::set_hook(hook);
        panic_report(&*payload)
    }

    #[test]
    fn panic_tells_what_the_program_says_and_nothing_that_anybody_wrote() {
        let body = String::from("\u{1f339} But soft");
        let parsed = || "\u{1f339} But soft".parse::<jid::BareJid>().map_err(|_| "\u{1f339} But soft");
        let of_three = |at: usize| [0; 3][at];
        let cases: [(&str, Box<dyn FnOnce() + std::panic::UnwindSafe>); 5] = [
            ("panic: an archive without a beginning", Box::new(|| panic!("an archive without a beginning"))),
            ("panic: index out of bounds (..)", Box::new(move || assert_eq!(of_three(7), 0))),
            ("panic: no such contact (..)", {
                let body = body.clone();
                Box::new(move || panic!("no such contact: {body}"))
            }),
            ("panic: of a kind (..)", Box::new(move || drop(parsed().expect("of a kind")))),
            ("panic: ", Box::new(move || assert_eq!(&body[..2], "x"))),
        ];
        for (expected, panics) in cases {
            let report = report(panics);
            assert!(report.starts_with(expected), "{report}");
            assert!(!report.contains("soft") && !report.contains('\u{1f339}'), "{report}");
        }
    }
}
