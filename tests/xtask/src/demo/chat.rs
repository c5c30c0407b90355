//! `cargo xtask demo --account`: one phone on any real server, with a person at the keyboard.

use std::{
    env,
    io::{self, BufRead as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use interop::{Console, Error, Event, Phone, Scratch};
use serde_json::json;

use super::Arguments;
use crate::Result;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(arguments: &Arguments, account: &str, console: &Path) -> Result<()> {
    let scratch = Scratch::new("chat")?;
    let data = arguments.data.clone().unwrap_or_else(|| scratch.path().join("phone"));
    let password = env::var("WHIMBREL_PASSWORD").map_or_else(|_| ask_password(account), Ok)?;
    let mut phone = Phone::new(data, account, &password).running(console);
    phone.server.clone_from(&arguments.server);
    phone.direct_tls = arguments.direct_tls;
    phone.ca.clone_from(&arguments.ca);
    let console = Console::start(&phone)?;
    println!("/to JID chooses whom you talk to, /who shows your conversations, /quit or Ctrl-D ends.");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| show_events(&console, &over));
        let talked = talk(&console);
        over.store(true, Ordering::Release);
        talked
    })?;
    console.quit(Duration::from_secs(10))?;
    Ok(())
}

fn ask_password(account: &str) -> io::Result<String> {
    let echo = |setting| Command::new("stty").arg(setting).stdin(Stdio::inherit()).status();
    eprint!("Password of {account}: ");
    io::stderr().flush()?;
    let hidden = echo("-echo").is_ok();
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    if hidden {
        let _ = echo("echo");
        eprintln!();
    }
    read.map(|_| line.trim_end_matches(['\r', '\n']).to_owned())
}

fn show_events(console: &Console, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        match console.wait_event("anything", Duration::from_millis(200), |_| true) {
            Ok(event) => show(&event),
            Err(Error::Gone) => return println!("The phone has ended."),
            Err(_) => {}
        }
    }
}

fn show(event: &Event) {
    match event.name() {
        "online" => {
            let how = if event.flag("resumed") { ", resumed" } else { "" };
            println!("· online ({}{how})", event.str("mechanism"));
        }
        "offline" => println!("· offline: {} {}", event.str("reason"), event.str("detail")),
        "message" if !event.flag("mine") => println!("{}: {}", event.str("with"), event.str("text")),
        "state" => println!("· {} {}", event.str("state"), event.str("reason")),
        _ => {}
    }
}

fn talk(console: &Console) -> Result<()> {
    let mut to: Option<String> = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        match (line.trim(), &to) {
            ("", _) => {}
            ("/quit", _) => break,
            ("/who", _) => tell(console.request("conversations", json!({}), PATIENCE), |reply| {
                for conversation in reply["conversations"].as_array().into_iter().flatten() {
                    println!("  {}", conversation["with"].as_str().unwrap_or_default());
                }
            })?,
            (command, _) if command.starts_with("/to ") => {
                let jid = command[4..].trim().to_owned();
                tell(console.timeline(&jid, 20, PATIENCE), |items| {
                    for item in items {
                        let who = if item["mine"].as_bool().unwrap_or_default() { "you" } else { &jid };
                        println!("{who}: {}", item["text"].as_str().unwrap_or("…"));
                    }
                })?;
                to = Some(jid);
            }
            (text, Some(to)) => {
                tell(console.request("send", json!({ "to": to, "text": text }), PATIENCE), |_| ())?;
            }
            (_, None) => println!("To whom? /to JID"),
        }
    }
    Ok(())
}

/// What the phone refuses is told, and the conversation goes on.
fn tell<T>(answer: interop::Result<T>, show: impl FnOnce(&T)) -> Result<()> {
    match answer {
        Ok(answer) => show(&answer),
        Err(Error::Gone) => return Err("the phone has ended".into()),
        Err(error) => println!("· {error}"),
    }
    Ok(())
}
