//! The errors, as in API.md: each is one decision of a user interface.
//!
//! Converted both ways, since a vault or an observed status carries them back. No field is called `message`: Throwable has
//! one. The core's enum is `non_exhaustive`, so the compiler wants a last arm here; what lands in it is a bug of ours, and
//! says so.

/// Why something did not happen. Each is one decision of a user interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display, Eq)]
pub enum WhimbrelError {
    /// There is no connection; the account goes on trying.
    #[error("offline")]
    Offline,
    /// No answer within the time given.
    #[error("timed out")]
    TimedOut,
    /// The server does not accept this password: ask for it.
    #[error("wrong password")]
    WrongPassword,
    /// The server said no.
    #[error("refused by the server: {condition}")]
    ServerRefused {
        /// The defined condition of RFC 6120 §4.9.3, §6.5 or §8.3.3.
        condition: String,
        /// The server's own words.
        text: Option<String>,
    },
    /// The connection is not safe: wrong certificate, no TLS, or weaker than it was.
    #[error("not trusted: {what}")]
    Untrusted {
        /// What is wrong, for a person.
        what: String,
    },
    /// No such host, account, contact or message.
    #[error("not found")]
    NotFound,
    /// The caller's own mistake.
    #[error("invalid input: {what}")]
    InvalidInput {
        /// Which.
        what: String,
    },
    /// The disk is full. Goes on by itself once there is room.
    #[error("the storage is full")]
    StorageFull,
    /// The file cannot be used. It is never deleted.
    #[error("the database cannot be used: {why:?}")]
    DatabaseUnusable {
        /// Why.
        why: Unusable,
    },
    /// The file is there and its key is not.
    #[error("the key of the database is lost")]
    KeyLost,
    /// The device is locked and the key cannot be had yet.
    #[error("the device is locked")]
    Locked,
    /// The account or the client was closed.
    #[error("closed")]
    Closed,
    /// Suspended: call `resume` first.
    #[error("suspended")]
    Suspended,
    /// Another process has this account: the app, or an extension of it. Leave it to that one, or take it with `resume`.
    #[error("in use by another process")]
    InUse,
    /// A mistake of ours. The account goes on; please report it.
    #[error("a bug: {report}")]
    Bug {
        /// What happened, without content.
        report: String,
    },
}

/// Why a database file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Unusable {
    /// Written by a newer version of this library.
    Newer,
    /// The key does not fit, or it is not a database at all.
    WrongKey,
    /// Damaged.
    Corrupt,
    /// No permission to write.
    ReadOnly,
}

impl From<whimbrel::Error> for WhimbrelError {
    fn from(error: whimbrel::Error) -> Self {
        use whimbrel::Error as Core;
        match error {
            Core::Offline => Self::Offline,
            Core::TimedOut => Self::TimedOut,
            Core::WrongPassword => Self::WrongPassword,
            Core::ServerRefused { condition, text } => Self::ServerRefused { condition, text },
            Core::Untrusted { what } => Self::Untrusted { what },
            Core::NotFound => Self::NotFound,
            Core::InvalidInput { what } => Self::InvalidInput { what },
            Core::StorageFull => Self::StorageFull,
            Core::DatabaseUnusable { why } => Self::DatabaseUnusable { why: why.into() },
            Core::KeyLost => Self::KeyLost,
            Core::Locked => Self::Locked,
            Core::Closed => Self::Closed,
            Core::Suspended => Self::Suspended,
            Core::InUse => Self::InUse,
            Core::Bug { report } => Self::Bug { report },
        }
    }
}

impl From<WhimbrelError> for whimbrel::Error {
    fn from(error: WhimbrelError) -> Self {
        use WhimbrelError as Ffi;
        match error {
            Ffi::Offline => Self::Offline,
            Ffi::TimedOut => Self::TimedOut,
            Ffi::WrongPassword => Self::WrongPassword,
            Ffi::ServerRefused { condition, text } => Self::ServerRefused { condition, text },
            Ffi::Untrusted { what } => Self::Untrusted { what },
            Ffi::NotFound => Self::NotFound,
            Ffi::InvalidInput { what } => Self::InvalidInput { what },
            Ffi::StorageFull => Self::StorageFull,
            Ffi::DatabaseUnusable { why } => Self::DatabaseUnusable { why: why.into() },
            Ffi::KeyLost => Self::KeyLost,
            Ffi::Locked => Self::Locked,
            Ffi::Closed => Self::Closed,
            Ffi::Suspended => Self::Suspended,
            Ffi::InUse => Self::InUse,
            Ffi::Bug { report } => Self::Bug { report },
        }
    }
}

impl From<whimbrel::Unusable> for Unusable {
    fn from(why: whimbrel::Unusable) -> Self {
        match why {
            whimbrel::Unusable::Newer => Self::Newer,
            whimbrel::Unusable::WrongKey => Self::WrongKey,
            whimbrel::Unusable::Corrupt => Self::Corrupt,
            whimbrel::Unusable::ReadOnly => Self::ReadOnly,
        }
    }
}

impl From<Unusable> for whimbrel::Unusable {
    fn from(why: Unusable) -> Self {
        match why {
            Unusable::Newer => Self::Newer,
            Unusable::WrongKey => Self::WrongKey,
            Unusable::Corrupt => Self::Corrupt,
            Unusable::ReadOnly => Self::ReadOnly,
        }
    }
}

/// A foreign vault threw what it did not declare: the app's mistake, but nobody else will tell it.
impl From<uniffi::UnexpectedUniFFICallbackError> for WhimbrelError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Bug { report: format!("the app's own code failed: {}", error.reason) }
    }
}

/// Text from outside, as an address.
pub(crate) fn address(text: &str) -> Result<whimbrel::Address, WhimbrelError> {
    text.parse().map_err(|error| WhimbrelError::InvalidInput { what: format!("not an address: {error}") })
}

/// The same where it may be a device's.
pub(crate) fn full_address(text: &str) -> Result<whimbrel::FullAddress, WhimbrelError> {
    text.parse().map_err(|error| WhimbrelError::InvalidInput { what: format!("not an address: {error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_comes_back_as_it_went() {
        let text = || "text".to_owned();
        let all = [
            WhimbrelError::Offline,
            WhimbrelError::TimedOut,
            WhimbrelError::WrongPassword,
            WhimbrelError::ServerRefused { condition: text(), text: Some(text()) },
            WhimbrelError::Untrusted { what: text() },
            WhimbrelError::NotFound,
            WhimbrelError::InvalidInput { what: text() },
            WhimbrelError::StorageFull,
            WhimbrelError::DatabaseUnusable { why: Unusable::Newer },
            WhimbrelError::DatabaseUnusable { why: Unusable::WrongKey },
            WhimbrelError::DatabaseUnusable { why: Unusable::Corrupt },
            WhimbrelError::DatabaseUnusable { why: Unusable::ReadOnly },
            WhimbrelError::KeyLost,
            WhimbrelError::Locked,
            WhimbrelError::Closed,
            WhimbrelError::Suspended,
            WhimbrelError::InUse,
            WhimbrelError::Bug { report: text() },
        ];
        for error in all {
            assert_eq!(WhimbrelError::from(whimbrel::Error::from(error.clone())), error);
        }
    }
}
