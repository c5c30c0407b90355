//! A push starts a process that may have 24 MB, and whoever writes may write as much as a server relays: what it takes then.
//!
//! The process is this program again, told by its environment to be the phone. What counts is what it has allocated and
//! touched (RssAnon); the program's own text is no part of the system's limit.

use std::{fs, path::Path, process::Stdio, sync::Arc, thread, time::Duration};

use interop::{Kind, Options};
use serde_json::{Value, json};
use whimbrel::{Client, Connection, FileVault, Item, Mute, Role, Server};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, peer::Peer};

/// What the process is to do, as JSON.
const PART: &str = "WHIMBREL_WAKE_UP";
/// One message, in bytes.
const HUGE: usize = 5 << 20;
/// Of iOS's 24 MB.
const LIMIT_KB: u64 = 24 << 10;

/// The phone: signs in, is woken, or looks at what is there. What it has to say lies in a file.
fn be_the_phone(part: &Value) {
    let text = |name: &str| part[name].as_str().unwrap().to_owned();
    let live = async {
        let data = text("data");
        fs::create_dir_all(&data).unwrap();
        let role = if part["does"] == "wake up" { Role::Extension } else { Role::App };
        let options = whimbrel::Options { role, ..whimbrel::Options::default() };
        let client = Client::open(&data, Arc::new(FileVault::new(&data)), options).await.unwrap();
        let jid = ROMEO.0.parse().unwrap();
        let said = match part["does"].as_str().unwrap() {
            "sign in" => {
                let port = part["port"].as_u64().unwrap() as u16;
                let connection = Connection {
                    server: Some(Server { host: "127.0.0.1".into(), port, direct_tls: true }),
                    certificates: Some(fs::read_to_string(text("ca")).unwrap()),
                    ..Connection::default()
                };
                let account = client.add_account(jid, connection).await.unwrap();
                account.sign_in(ROMEO.1).await.unwrap();
                account.sync(PATIENCE).await.unwrap();
                if part["muted"] == true {
                    account.set_muted(&JULIET.0.parse().unwrap(), Some(Mute::ForEver)).await.unwrap();
                    account.sync(PATIENCE).await.unwrap();
                }
                json!({})
            }
            "wake up" => {
                let woken = client.wake_up(&jid, PATIENCE).await.unwrap();
                let last = woken.notify.last().map(|message| message.text.clone());
                json!({ "complete": woken.complete, "notify": woken.notify.len(), "last": last })
            }
            _ => {
                // Of what an archive holds and was too large to be read, nobody knows who wrote it.
                let account = client.account(&jid).unwrap();
                let all = account.conversations().items().unwrap();
                let items: Vec<Item> = all
                    .iter()
                    .flat_map(|conversation| {
                        account.timeline(&conversation.with, 1_000).unwrap().items().unwrap()
                    })
                    .collect();
                let put_off =
                    items.iter().filter(|item| matches!(item, Item::Message(message) if message.placeholder));
                json!({ "there": items.len(), "put_off": put_off.count() })
            }
        };
        client.suspend(PATIENCE).await;
        fs::write(text("says"), said.to_string()).unwrap();
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live);
}

/// Runs a part of the phone's; gives what it said, and the most that it had, in kB.
fn phone(test: &str, dir: &Path, mut part: Value) -> (Value, u64) {
    let says = dir.join("says");
    part["says"] = says.display().to_string().into();
    part["data"] = dir.join("phone").display().to_string().into();
    let mut command = interop::leashed(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--include-ignored"]).env(PART, part.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = interop::spawn(command).unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        peak = peak.max(allocated(&status));
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    assert!(ended.success(), "{part}: {ended}");
    (serde_json::from_str(&fs::read_to_string(says).unwrap()).unwrap(), peak)
}

fn allocated(status: &str) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What was written while the phone slept, beside one message of 5 MB.
struct Night {
    /// Bodies of 200 kB, as much as both servers relay as they are.
    large: usize,
    small: usize,
    /// Nobody is notified of it.
    muted: bool,
}

fn woken_over(test: &str, kind: Kind, night: &Night) {
    if let Ok(part) = std::env::var(PART) {
        return be_the_phone(&serde_json::from_str(&part).unwrap());
    }
    for resumed in [true, false] {
        let hibernation = (!resumed).then_some(Duration::from_secs(1));
        let options = Options { hibernation, largest: Some(2 * HUGE), ..Options::default() };
        let Some(stage) = Stage::with(kind, options) else { return };
        let dir = stage.dir.path();
        let (port, ca) = (stage.server.direct_tls_port(), stage.server.ca().display().to_string());
        phone(test, dir, json!({ "does": "sign in", "port": port, "ca": ca, "muted": night.muted }));
        if !resumed {
            // The server must have given the session up; nothing outside of it shows when it has.
            thread::sleep(Duration::from_secs(5));
        }
        let mut tybalt = Peer::sign_in(&stage.server, JULIET, "sword");
        let message =
            |body: &str| format!("<message type='chat' to='{}'><body>{body}</body></message>", ROMEO.0);
        let large = message(&"large ".repeat(200_000 / 6));
        (0..night.large).for_each(|_| tybalt.say(&large));
        tybalt.say_huge(&stage.server, &message(&"x".repeat(HUGE)));
        (0..night.small).for_each(|number| tybalt.say(&message(&format!("small {number}"))));
        tybalt.say(&message("the last one"));
        tybalt.settle();

        let (woken, peak) = phone(test, dir, json!({ "does": "wake up" }));
        let how = format!("{}, resumed: {resumed}, {peak} kB at most: {woken}", kind.name());
        eprintln!("{how}");
        assert_eq!(woken["complete"], true, "{how}");
        assert!(night.muted || woken["last"] == "the last one", "{how}");
        assert!(peak < LIMIT_KB, "{how}");
        let (there, _) = phone(test, dir, json!({ "does": "look" }));
        let all = night.large + night.small + 2;
        assert_eq!(
            there,
            json!({ "there": all, "put_off": 1 }),
            "what is too large is put off, nothing else"
        );
    }
}

const ONE: Night = Night { large: 0, small: 100, muted: false };
/// Twelve megabytes in messages that are not too large, each by itself.
const MANY: Night = Night { large: 60, small: 100, muted: false };
const MANY_MUTED: Night = Night { muted: true, ..MANY };

mod hostile {
    use super::*;

    mod memory_limit {
        use super::*;

        fn over(name: &str, kind: Kind, night: &Night) {
            woken_over(&format!("wake_up::hostile::memory_limit::{name}"), kind, night);
        }

        #[test]
        fn with_one_message_of_5_mb_over_prosody_13() {
            over("with_one_message_of_5_mb_over_prosody_13", Kind::Prosody13, &ONE);
        }

        #[test]
        fn with_one_message_of_5_mb_over_ejabberd() {
            over("with_one_message_of_5_mb_over_ejabberd", Kind::Ejabberd, &ONE);
        }

        #[test]
        fn with_many_large_messages_over_prosody_13() {
            over("with_many_large_messages_over_prosody_13", Kind::Prosody13, &MANY);
        }

        #[test]
        fn with_many_large_messages_over_ejabberd() {
            over("with_many_large_messages_over_ejabberd", Kind::Ejabberd, &MANY);
        }

        #[test]
        fn with_many_large_messages_of_who_is_muted_over_prosody_13() {
            over("with_many_large_messages_of_who_is_muted_over_prosody_13", Kind::Prosody13, &MANY_MUTED);
        }

        #[test]
        fn with_many_large_messages_of_who_is_muted_over_ejabberd() {
            over("with_many_large_messages_of_who_is_muted_over_ejabberd", Kind::Ejabberd, &MANY_MUTED);
        }
    }
}
