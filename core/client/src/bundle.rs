//! What to hand to a developer when something is wrong: versions, states, counts, and the last of the log.
//!
//! No content, no keys, no addresses, of anybody: accounts are numbered, states are named and not explained (explanations name
//! hosts), and of the log only what is said at info and above is kept, which has no addresses. Should a line have one all the
//! same, in a system's own words about an error, it is taken out: whatever looks like an address, a host, a path or a secret.

use std::{collections::VecDeque, fmt::Write as _, net::IpAddr};

use whimbrel_engine::census;
use whimbrel_proto::stamp;

use crate::{Client, Error, LogLevel, Status, log, shared::wall_clock};

/// Lines that are kept, and bytes of each.
const LINES: usize = 1_000;
const LONG: usize = 400;
/// What has so many letters and digits in a row may let somebody in.
const SECRET: usize = 20;

/// The last lines of the log.
#[derive(Debug, Default)]
pub(crate) struct Ring(VecDeque<String>);

impl Ring {
    pub(crate) fn keep(&mut self, level: LogLevel, target: &str, text: &str) {
        if level > LogLevel::Info {
            return;
        }
        let at = stamp::format(wall_clock());
        let mut line = format!("{at} {} {target}: {}", format!("{level:?}").to_lowercase(), clean(text));
        let end = line.floor_char_boundary(LONG);
        line.truncate(end);
        if self.0.len() >= LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Client {
    /// A text for a developer: versions, states and counts of all accounts, and the last lines of the log, if [`crate::keep_log`] or
    /// [`crate::log_to`] was called. It has no content, no keys and no addresses, so that it can be sent to whoever asks for it;
    /// how many messages and contacts there are it does say.
    pub fn log_bundle(&self) -> String {
        let mut text = String::new();
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(text, "Whimbrel {version}, {}", stamp::format(wall_clock()));
        let _ = writeln!(text, "{} {}", std::env::consts::OS, std::env::consts::ARCH);
        for (number, account) in self.accounts().iter().enumerate() {
            let _ = writeln!(text, "account {}: {}", number + 1, state(&account.status()));
            match account.read(census::census) {
                Ok(census) => text.push_str(&census),
                Err(error) => drop(writeln!(text, "  cannot be read: {}", why(&error))),
            }
            if let Ok(used) = account.disk_use() {
                let _ = writeln!(
                    text,
                    "  bytes on the disk: {}, set aside {}, index {}, pictures {}",
                    used.total, used.set_aside, used.index, used.pictures
                );
            }
            if let Ok(push) = account.push() {
                let push = format!("{push:?}");
                let name: String = push.chars().take_while(char::is_ascii_alphabetic).collect();
                let _ = writeln!(text, "  push: {name}");
            }
        }
        let lines = log::kept();
        let _ = writeln!(text, "log: {} lines", lines.len());
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

fn state(status: &Status) -> String {
    match status {
        Status::Offline { reason, next_attempt, .. } => {
            let reason = reason.as_ref().map_or("no reason".to_owned(), why);
            let again = next_attempt.map_or("not by itself".to_owned(), |at| {
                format!("again in {} s", at.saturating_sub(wall_clock()).max(0) / 1_000)
            });
            format!("offline ({reason}), {again}")
        }
        Status::Connecting => "connecting".into(),
        Status::CatchingUp { done, total } => match total {
            Some(total) => format!("catching up, {done} of {total}"),
            None => format!("catching up, {done}"),
        },
        Status::Online => "online".into(),
    }
}

/// Which error it is, and of what it says only what standards name.
fn why(error: &Error) -> String {
    match error {
        Error::ServerRefused { condition, .. } => format!("server_refused, {}", clean(condition)),
        Error::DatabaseUnusable { why } => format!("database_unusable, {why:?}"),
        Error::Bug { report } => format!("bug, {}", clean(report)),
        other => other.kind().to_owned(),
    }
}

/// Takes out what may say who, where, or how to get in.
fn clean(text: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || ".@-_:/+%=~\\".contains(c);
    let mut clean = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if is_part(c) {
            word.push(c);
            continue;
        }
        if is_private(&word) {
            clean.push('\u{2026}');
        } else {
            clean.push_str(&word);
        }
        word.clear();
        clean.push(if c == '\n' { ' ' } else { c });
    }
    clean.truncate(clean.trim_end().len());
    clean
}

fn is_private(word: &str) -> bool {
    // What stands before `=` is our own name of a field.
    let word = word.rsplit('=').next().unwrap_or_default().trim_matches(['.', ':']);
    let host = word.split(':').next().unwrap_or_default();
    let is_number = |part: &str| part.parse::<u32>().is_ok();
    let is_host =
        host.contains('.') && host.split('.').all(|part| !part.is_empty()) && !host.split('.').all(is_number);
    let is_ip = host.parse::<IpAddr>().is_ok() || word.parse::<IpAddr>().is_ok();
    let mut run = 0;
    let is_secret = word.chars().any(|c| {
        run = if c.is_alphanumeric() { run + 1 } else { 0 };
        run >= SECRET
    });
    word.contains(['@', '/', '\\', '%']) || is_host || is_ip || is_secret || !word.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_where_and_how_to_get_in_is_taken_out_of_a_line() {
        for (line, cleaned) in [
            ("online", "online"),
            ("the account stops error=disk I/O error", "the account stops error=disk \u{2026} error"),
            ("no route to xmpp.montague.lit:5222", "no route to \u{2026}"),
            ("from romeo@montague.lit/orchard, again", "from \u{2026}, again"),
            ("192.0.2.7:5222 and 2001:db8::7 refused", "\u{2026} and \u{2026} refused"),
            ("version 13.0.1 at 12:30", "version 13.0.1 at 12:30"),
            ("token=aGVsbG9oZWxsb2hlbGxvaGVsbG8 left", "\u{2026} left"),
            ("cannot open /home/romeo/data", "cannot open \u{2026}"),
            ("panic: no such contact (..)", "panic: no such contact (..)"),
            ("dort b\u{fc}cher-burg steht", "dort \u{2026} steht"),
        ] {
            assert_eq!(clean(line), cleaned);
        }
    }

    #[test]
    fn ring_is_bounded_and_has_nothing_from_debug() {
        let mut ring = Ring::default();
        for number in 0..LINES + 7 {
            ring.keep(LogLevel::Info, "whimbrel", &format!("line {number} {}", "x ".repeat(1_000)));
        }
        ring.keep(LogLevel::Debug, "whimbrel", "nobody's");
        assert_eq!(ring.lines().count(), LINES);
        assert!(ring.lines().next().unwrap().contains("line 7 "));
        assert!(ring.lines().all(|line| line.len() <= LONG && !line.contains("nobody")));
    }
}
