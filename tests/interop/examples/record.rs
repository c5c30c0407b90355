//! Records what real servers say to a phone, for the corpus of the fuzz targets (`tests/fuzz/README.md`).
//!
//! `WHIMBREL_RECORD=DIR cargo run -p interop --example record` has a console with the feature `internals` play a conversation
//! with each server: a first login, friends, messages both ways, a carbon, a bounce, a resumption after a cut, a new session
//! with pages of the archive. DIR gets a file for each direction of each connection, named by server and scene.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use interop::{Console, InFlight, Kind, Link, Options, Phone, Scratch, Server};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(60);
const ROMEO: (&str, &str) = ("alice@a.test", "secret-a");
const JULIET: (&str, &str) = ("bob@b.test", "secret-b");

fn main() -> Result<()> {
    let dir = PathBuf::from(env::var_os("WHIMBREL_RECORD").ok_or("WHIMBREL_RECORD names no directory")?);
    fs::create_dir_all(&dir)?;
    for kind in Kind::ALL {
        let romeo = play(kind)?;
        name(&dir, kind, romeo)?;
    }
    Ok(())
}

/// Returns the process whose connections are worth keeping.
fn play(kind: Kind) -> Result<u32> {
    let server = Server::start(kind, Options::default())?;
    let scratch = Scratch::new("record")?;
    let link = Link::to(server.direct_tls_port())?;
    let phone = |name: &str, (account, password): (&str, &str)| {
        Phone::new(scratch.path().join(name), account, password).at(server.port()).trusting(server.ca())
    };
    let juliet = Console::start(&phone("juliet", JULIET))?;
    let tablet = Console::start(&phone("tablet", ROMEO))?;
    let romeo = Console::start(&phone("phone", ROMEO).at(link.port()).with_direct_tls())?;
    for console in [&juliet, &tablet, &romeo] {
        console.wait_online(PATIENCE)?;
    }
    romeo.request("add", json!({ "jid": JULIET.0, "name": "Juliet" }), PATIENCE)?;
    juliet.request("add", json!({ "jid": ROMEO.0 }), PATIENCE)?;
    while !(accepts(&romeo, JULIET.0)? & accepts(&juliet, ROMEO.0)?) {}
    say(&juliet, ROMEO.0, &romeo, "O Romeo, Romeo! wherefore art thou Romeo?")?;
    say(&romeo, JULIET.0, &juliet, "Shall I hear more, or shall I speak at this?")?;
    // A carbon, a chat state, a marker, a bounce, an answer that is an error.
    say(&tablet, JULIET.0, &juliet, "Call me but love, and I'll be new baptized")?;
    juliet.request("chat_state", json!({ "with": ROMEO.0, "state": "composing" }), PATIENCE)?;
    juliet.request("mark_read", json!({ "with": ROMEO.0 }), PATIENCE)?;
    romeo.request("send", json!({ "to": "nobody@a.test", "text": "Is anybody there?" }), PATIENCE)?;
    let ask = "<iq type='get' id='nobody' to='nowhere.a.test'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    romeo.request("raw", json!({ "xml": ask }), PATIENCE)?;
    sync(&romeo)?;
    // Cut, and resumed with something missed.
    link.refuse(true);
    link.cut(InFlight::Dropped);
    send(&juliet, ROMEO.0, "What's in a name?")?;
    send(&romeo, JULIET.0, "I take thee at thy word")?;
    sync(&juliet)?;
    link.refuse(false);
    romeo.wait_online(PATIENCE)?;
    romeo.wait_message("What's in a name?", PATIENCE)?;
    sync(&romeo)?;
    // Away, and back in a new session.
    romeo.request("disconnect", Value::Null, PATIENCE)?;
    for number in 0..12 {
        send(&juliet, ROMEO.0, &format!("Good night, good night! {number}"))?;
    }
    sync(&juliet)?;
    romeo.request("connect", Value::Null, PATIENCE)?;
    romeo.wait_message("Good night, good night! 11", PATIENCE)?;
    sync(&romeo)?;
    let pid = romeo.pid();
    for console in [romeo, tablet, juliet] {
        console.quit(PATIENCE)?;
    }
    Ok(pid)
}

fn accepts(console: &Console, friend: &str) -> Result<bool> {
    std::thread::sleep(Duration::from_millis(50));
    let roster = console.request("roster", json!({}), PATIENCE)?;
    let contacts = roster["contacts"].as_array().cloned().unwrap_or_default();
    let Some(contact) = contacts.iter().find(|contact| contact["jid"] == friend) else { return Ok(false) };
    if contact["asks"] == true {
        console.request("accept", json!({ "jid": friend }), PATIENCE)?;
    }
    Ok(contact["subscription"] == "both")
}

fn send(from: &Console, to: &str, text: &str) -> Result<()> {
    from.request("send", json!({ "to": to, "text": text }), PATIENCE)?;
    Ok(())
}

fn say(from: &Console, to: &str, hears: &Console, text: &str) -> Result<()> {
    send(from, to, text)?;
    hears.wait_message(text, PATIENCE)?;
    Ok(())
}

fn sync(console: &Console) -> Result<()> {
    console.request("sync", json!({ "timeout_ms": 50_000 }), PATIENCE)?;
    Ok(())
}

/// Keeps what one process recorded, under the server's name; the others' goes.
fn name(dir: &Path, kind: Kind, pid: u32) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((process, rest)) = file.split_once('-') else { continue };
        match process.parse::<u32>() {
            Ok(process) if process == pid => fs::rename(&path, dir.join(format!("{}-{rest}", kind.name())))?,
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
    }
    Ok(())
}
