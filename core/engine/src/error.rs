//! The three kinds of failure, never mixed.
//!
//! *The peer sent nonsense* is no error at all: it is answered or ignored where it is read. What is left is *the
//! world failed*, which rolls back, stops the account and is tried again when the cause is gone, and *we are wrong*,
//! which rolls back and is tried again one input at a time (see `turn`).

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
