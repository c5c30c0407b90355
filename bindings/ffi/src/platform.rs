//! What else the platform gives: a log, and look-ups of its own. Synchronous, for the reason that vaults are.

use std::sync::Arc;

use crate::{WhimbrelError, guard};

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// A mistake of ours, which we want to hear about.
    Error,
    /// Something that should not be, of the device or a server.
    Warn,
    /// What happens: online, offline.
    Info,
    /// Whose account, which server, and why. Addresses are said here and nowhere else.
    Debug,
}

/// Takes what is said for a log. No content and no credentials at any level.
#[uniffi::export(rust, foreign)]
pub trait LogSink: Send + Sync {
    /// One line, of this part of the library. Called on a thread that has nothing else to do, one line at a time. What it throws is
    /// nobody's.
    fn log(&self, level: LogLevel, target: String, text: String) -> Result<(), WhimbrelError>;
}

/// Hands what the library says for a log to this sink, up to this level, in place of the one before it. There is one for the process.
#[uniffi::export]
pub fn log_to(sink: Arc<dyn LogSink>, most: LogLevel) -> Result<(), WhimbrelError> {
    guard::sync(|| Ok(whimbrel::log_to(Arc::new(Log(sink)), most.into())?))
}

/// Keeps the last lines that the library says for a log, for `log_bundle`. `log_to` does that as well.
#[uniffi::export]
pub fn keep_log() -> Result<(), WhimbrelError> {
    guard::sync(|| Ok(whimbrel::keep_log()?))
}

struct Log(Arc<dyn LogSink>);

impl whimbrel::LogSink for Log {
    fn log(&self, level: whimbrel::LogLevel, target: &str, text: &str) {
        let _ = self.0.log(level.into(), target.to_owned(), text.to_owned());
    }
}

impl From<LogLevel> for whimbrel::LogLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
        }
    }
}

impl From<whimbrel::LogLevel> for LogLevel {
    fn from(level: whimbrel::LogLevel) -> Self {
        match level {
            whimbrel::LogLevel::Error => Self::Error,
            whimbrel::LogLevel::Warn => Self::Warn,
            whimbrel::LogLevel::Info => Self::Info,
            whimbrel::LogLevel::Debug => Self::Debug,
        }
    }
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Srv {
    /// Lower ones come first.
    pub priority: u16,
    /// Among equals, how often one is the first.
    pub weight: u16,
    /// TCP port.
    pub port: u16,
    /// The host; "." says that there is no such service.
    pub target: String,
}

/// Looks up SRV records by the platform's own means.
#[uniffi::export(rust, foreign)]
pub trait Resolver: Send + Sync {
    /// The SRV records of a name such as `_xmpp-client._tcp.example.org`, in any order; none where there are none. What fails is no
    /// proof that there are none: what was found before is tried, or else the domain itself. Called on threads that may block, and waited for five seconds at most.
    fn srv(&self, name: String) -> Result<Vec<Srv>, WhimbrelError>;
}

/// What the core is given: the app's resolver behind the core's trait.
pub(crate) struct Names(pub(crate) Arc<dyn Resolver>);

impl whimbrel::Resolver for Names {
    fn srv(&self, name: &str) -> Result<Vec<whimbrel::Srv>, whimbrel::Error> {
        let found = self.0.srv(name.to_owned())?;
        let records = found.into_iter().map(|Srv { priority, weight, port, target }| whimbrel::Srv {
            priority,
            weight,
            port,
            target,
        });
        Ok(records.collect())
    }
}
