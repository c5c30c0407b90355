//! One process of an account: the engine on a real file, told in lines of JSON what happens, telling what it would do.
//!
//! `actor DIRECTORY LIFE [kill|stop N]`: LIFE is a number that no other process over the same file has; with the rest, a signal
//! to itself at its N-th statement (`two_processes::trap`). It has no clock and no socket: the test has both.
//!
//! In: `{"ask":true}`, `{"open":"app"|"extension"}` (which has asked before), `{"turn":[…],"now":MS}`, `{"close":true}`. Out: one line for each.

use std::{
    io::{BufRead as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rand::{SeedableRng as _, rngs::StdRng};
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};
use two_processes::{JULIET, ROMEO, START, secret, trap};
use uuid::Uuid;
use whimbrel_engine::{
    Config, Effect, Engine, Input, LinkFailure, LinkId, Now, Tls,
    api::{Command, ItemId, RequestId, Status},
    lease::Claim,
    store,
};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("a directory"));
    let life: u64 = arguments.next().and_then(|life| life.parse().ok()).expect("the number of a life");
    match (arguments.next().as_deref(), arguments.next().and_then(|at| at.parse().ok())) {
        (Some("kill"), Some(at)) => trap::set(at, Signal::KILL),
        (Some("stop"), Some(at)) => trap::set(at, Signal::STOP),
        _ => trap::count(),
    }
    let mut rng = StdRng::seed_from_u64(life);
    let path = dir.join("account.db");
    let (mut asked, mut engine) = (None, None);
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        if line["ask"] == true {
            say(&match asking(&path) {
                Ok(asking) => {
                    asked = Some(asking);
                    json!({ "asked": true })
                }
                Err(error) => failure(&error),
            });
        } else if line["open"].is_string() {
            say(&match taking(&path, asked.take()) {
                Ok(taken) => {
                    engine = Some(taken);
                    json!({ "opened": true })
                }
                Err(error) => failure(&error),
            });
        } else if let Some(inputs) = line["turn"].as_array() {
            let engine = engine.as_mut().expect("it is open");
            let mono = line["now"].as_u64().expect("a time");
            let inputs = inputs.iter().map(input).collect();
            let effects = engine.turn(inputs, Now { mono, wall: START + mono as i64 }, &mut rng);
            let did: Vec<Value> = effects.iter().filter_map(effect).collect();
            say(&json!({ "did": did, "wake": engine.next_wake(), "lost": engine.lost_lease() }));
        } else {
            if let Some(engine) = engine.take() {
                engine.close().expect("it closes");
            }
            return say(&json!({ "closed": trap::begun() }));
        }
    }
}

fn open(path: &Path) -> whimbrel_engine::Result<Connection> {
    let file = store::open(path, &secret())?;
    // Time is moved: whoever has a lock is stopped and has it for as long as we wait.
    file.busy_timeout(Duration::ZERO)?;
    Ok(file)
}

/// As an extension.
fn asking(path: &Path) -> whimbrel_engine::Result<(Connection, Claim)> {
    let mut file = open(path)?;
    let claim = Claim::Extension(Engine::ask(&mut file)?);
    Ok((file, claim))
}

/// With what was asked for, or as the app.
fn taking(path: &Path, asked: Option<(Connection, Claim)>) -> whimbrel_engine::Result<Engine> {
    let (file, claim) = match asked {
        Some(asked) => asked,
        None => (open(path)?, Claim::App),
    };
    let jid = ROMEO.parse().expect("an address");
    Engine::take(file, Config::default(), claim, |tx| {
        if store::account(tx)?.is_none() {
            store::create_account(tx, &jid, Uuid::nil(), START)?;
            store::configure(
                tx,
                &store::Settings { resource: Some("phone"), allow_plain: true, connection: "{}" },
            )?;
        }
        Ok(())
    })
}

fn failure(error: &whimbrel_engine::Error) -> Value {
    json!({ "error": error.to_api().kind() })
}

fn input(value: &Value) -> Input {
    let command =
        |command| Input::Command { request: RequestId(value["request"].as_u64().unwrap_or(0)), command };
    let link = LinkId(value["link"].as_u64().unwrap_or(0));
    let text = |field: &str| value[field].as_str().expect("a text").to_owned();
    match value["in"].as_str().expect("a kind of input") {
        "sign_in" => command(Command::SignIn { password: Some("pencil".into()) }),
        "send" => {
            let to = JULIET.parse().expect("an address");
            command(Command::Send { id: ItemId(text("id")), to, what: text("text").into() })
        }
        "suspend" => command(Command::Suspend { seen: true }),
        "up" => Input::LinkUp { link, tls: Some(Tls::default()) },
        "lost" => Input::LinkLost { link, why: LinkFailure::Network("cut".into()) },
        "element" => Input::Element { link, element: two_processes::element(&text("xml")) },
        _ => Input::Tick,
    }
}

fn effect(effect: &Effect) -> Option<Value> {
    match effect {
        Effect::Connect { link, .. } => Some(json!({ "connect": link.0 })),
        Effect::Send { link, bytes } => {
            Some(json!({ "send": String::from_utf8_lossy(bytes), "link": link.0 }))
        }
        Effect::Hangup { link } | Effect::Close { link } => Some(json!({ "hangup": link.0 })),
        Effect::Reply { request, result } => {
            Some(json!({ "reply": request.0, "error": result.as_ref().err().map(|error| error.kind()) }))
        }
        Effect::Status(Status::Offline { reason, .. }) => {
            Some(json!({ "offline": reason.as_ref().map(|reason| reason.kind()) }))
        }
        _ => None,
    }
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    // The test is over if nobody listens.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
