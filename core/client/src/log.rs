//! What the core says for a log, handed to the app.
//!
//! The core speaks by `tracing`, and an app in Rust may listen as it likes. One in another language gives a [`LogSink`], the only
//! one of its process, which gets the core's own events and none of its libraries', which say addresses at any level. What stands in
//! an event is decided where it is written: no content and no credentials, addresses at debug only.
//!
//! An event may come from within a transaction, and an app's code must not: a thread of its own calls the sink. What is more than
//! the sink can take is left out, and how much that was is said.

use std::{
    fmt::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
};

use crate::{Error, bundle::Ring};

/// Lines that may wait for the sink.
const WAITING: usize = 1024;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Takes what is said for a log.
pub trait LogSink: Send + Sync {
    /// One line. Called on a thread that has nothing else to do, one line at a time: it may block, and call the library.
    ///
    /// `target` is the part of the library that says it, such as `whimbrel_engine::turn`.
    fn log(&self, level: LogLevel, target: &str, text: &str);
}

struct Log {
    lines: SyncSender<Line>,
    /// Left out since the last line that was taken.
    left_out: AtomicU64,
    to: Mutex<(Option<Arc<dyn LogSink>>, LogLevel)>,
    /// For [`crate::Client::log_bundle`].
    kept: Mutex<Ring>,
}

struct Line {
    level: LogLevel,
    target: &'static str,
    text: String,
    left_out: u64,
}

static LOG: OnceLock<Arc<Log>> = OnceLock::new();

/// Hands what the library says for a log to this sink, up to this level, in place of the one before it.
///
/// # Errors
/// [`Error::InvalidInput`] where the process has a subscriber of `tracing`, which hears it all already.
pub fn log_to(sink: Arc<dyn LogSink>, most: LogLevel) -> Result<(), Error> {
    listen(Some((sink, most)))
}

/// Keeps the last lines that the library says for a log, at info and above, for [`crate::Client::log_bundle`]. [`log_to`] does that as
/// well.
///
/// # Errors
/// As [`log_to`].
pub fn keep_log() -> Result<(), Error> {
    listen(None)
}

/// What was kept.
pub(crate) fn kept() -> Vec<String> {
    LOG.get().map(|log| log.kept().lines().map(str::to_owned).collect()).unwrap_or_default()
}

fn listen(to: Option<(Arc<dyn LogSink>, LogLevel)>) -> Result<(), Error> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(log) = LOG.get() {
        if let Some((sink, most)) = to {
            *log.to() = (Some(sink), most);
        }
    } else {
        let (lines, said) = sync_channel(WAITING);
        let to = to.map_or((None, LogLevel::Info), |(sink, most)| (Some(sink), most));
        let (to, kept) = (Mutex::new(to), Mutex::default());
        let log = Arc::new(Log { lines, left_out: AtomicU64::new(0), to, kept });
        tracing::subscriber::set_global_default(Said(Arc::clone(&log)))
            .map_err(|error| Error::InvalidInput { what: error.to_string() })?;
        let telling = Arc::clone(&log);
        thread::Builder::new()
            .name("whimbrel-log".into())
            .spawn(move || telling.tell(&said))
            .map_err(|error| Error::Bug { report: error.to_string() })?;
        let _ = LOG.set(log);
    }
    // What was not asked for costs nothing, and that is remembered at each place.
    tracing::callsite::rebuild_interest_cache();
    Ok(())
}

impl Log {
    fn to(&self) -> MutexGuard<'_, (Option<Arc<dyn LogSink>>, LogLevel)> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Ring> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is listened to: what is kept, at least.
    fn most(&self) -> LogLevel {
        self.to().1.max(LogLevel::Info)
    }

    fn say(&self, level: LogLevel, target: &'static str, text: String) {
        self.kept().keep(level, target, &text);
        let wanted = {
            let (sink, most) = &*self.to();
            sink.is_some() && level <= *most
        };
        if !wanted {
            return;
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if self.lines.try_send(Line { level, target, text, left_out }).is_err() {
            self.left_out.fetch_add(left_out + 1, Ordering::Relaxed);
        }
    }

    fn tell(&self, said: &Receiver<Line>) {
        for Line { level, target, mut text, left_out } in said {
            let (sink, most) = self.to().clone();
            if left_out > 0 {
                let _ = write!(text, " ({left_out} lines before this were left out)");
            }
            if let (Some(sink), true) = (sink, level <= most) {
                // A sink that panics has lost a line, and nobody else has.
                let _ = catch_unwind(AssertUnwindSafe(|| sink.log(level, target, &text)));
            }
        }
    }
}

/// Hears the events of our own crates. There are no spans at these levels.
struct Said(Arc<Log>);

impl Subscriber for Said {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("whimbrel")
            && level(*metadata.level()).is_some_and(|level| level <= self.0.most())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.0.most() {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        })
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(level) = level(*event.metadata().level()) {
            let mut text = Text::default();
            event.record(&mut text);
            self.0.say(level, event.metadata().target(), text.message + &text.fields);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn level(level: Level) -> Option<LogLevel> {
    match level {
        Level::ERROR => Some(LogLevel::Error),
        Level::WARN => Some(LogLevel::Warn),
        Level::INFO => Some(LogLevel::Info),
        Level::DEBUG => Some(LogLevel::Debug),
        _ => None,
    }
}

/// An event as a line: what it says, then ` name=value` for each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
