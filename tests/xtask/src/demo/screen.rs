//! Both screens, side by side, as they fill. On a terminal they are drawn again and again in place; anywhere else there is a
//! line every few seconds.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::phone::Handset;

const ROWS: usize = 16;

pub(crate) struct Screen {
    shown: bool,
    terminal: bool,
    width: usize,
}

impl Screen {
    pub(crate) fn new(shown: bool) -> Screen {
        let terminal = io::stdout().is_terminal() && env::var("TERM").is_ok_and(|term| term != "dumb");
        let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100_usize);
        Screen { shown, terminal, width: (columns.clamp(60, 160) - 3) / 2 }
    }

    /// Until it is over.
    pub(crate) fn show(&self, phones: &[&Arc<Handset>; 2], messages: usize, over: &AtomicBool) {
        let started = Instant::now();
        let pause = if self.terminal { Duration::from_millis(200) } else { Duration::from_secs(5) };
        let mut drawn = false;
        while self.shown && !over.load(Ordering::Acquire) {
            if self.terminal {
                self.draw(phones, messages, drawn);
                drawn = true;
            } else {
                let [left, right] = phones.map(|phone| header(phone, messages));
                println!("{:>4} s   {left}   |   {right}", started.elapsed().as_secs());
            }
            let next = Instant::now() + pause;
            while Instant::now() < next && !over.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(50));
            }
        }
        if self.shown && self.terminal {
            self.draw(phones, messages, drawn);
        }
    }

    fn draw(&self, phones: &[&Arc<Handset>; 2], messages: usize, again: bool) {
        let columns = phones.map(|phone| self.column(phone, messages));
        let mut picture = if again { format!("\x1b[{}A", ROWS + 1) } else { String::new() };
        for row in 0..=ROWS {
            let cell = |column: usize| columns[column].get(row).map_or("", String::as_str);
            picture.push_str(&format!(
                "\x1b[2K{} │ {}\n",
                fitted(cell(0), self.width),
                fitted(cell(1), self.width)
            ));
        }
        let mut out = io::stdout().lock();
        let _ = out.write_all(picture.as_bytes()).and_then(|()| out.flush());
    }

    fn column(&self, phone: &Handset, messages: usize) -> Vec<String> {
        let header = header(phone, messages);
        let seen = phone.seen();
        let last = &seen.lines[seen.lines.len().saturating_sub(ROWS)..];
        [header].into_iter().chain(last.iter().map(|(mark, text)| format!("{mark:<2} {text}"))).collect()
    }
}

fn header(phone: &Handset, messages: usize) -> String {
    let seen = phone.seen();
    let own = seen.accepted.len();
    let received = seen.lines.iter().filter(|(mark, _)| mark == " ").count();
    let (state, sessions) = (if seen.online { "online " } else { "offline" }, seen.sessions.len());
    format!(
        "{:<6} {state} {own:>3}/{messages} sent, {received:>3} got, {sessions:>2} sessions, {} kills",
        phone.name, seen.kills
    )
}

/// Exactly `width` characters.
fn fitted(text: &str, width: usize) -> String {
    let cut: String = text.chars().take(width).collect();
    format!("{cut:<width$}")
}
