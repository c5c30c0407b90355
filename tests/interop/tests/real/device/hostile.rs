//! A device whose disk, key or file is not what it was, and what its log would tell a thief.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use interop::{Console, InFlight, Kind, Phone, Scratch};
use serde_json::json;

use crate::{
    bad_input::{after_meddling_with_the_key, phone_at},
    support::{JULIET, PATIENCE, ROMEO, Stage, befriend, id, texts},
};

#[test]
fn wrong_key() {
    after_meddling_with_the_key(|key| fs::write(key, [0x17; 48]).unwrap(), "database_unusable");
}

/// A phone's database, opened with its key.
fn database(data: &Path) -> rusqlite::Connection {
    let key: String = hex(&fs::read(data.join("key")).unwrap());
    let home = fs::read_dir(data.join("accounts")).unwrap().next().unwrap().unwrap().path();
    let database = rusqlite::Connection::open(home.join("account.db")).unwrap();
    database.pragma_update(None, "key", format!("x'{key}'")).unwrap();
    database.pragma_update(None, "cipher_plaintext_header_size", 32).unwrap();
    database.pragma_update(None, "cipher_hmac_algorithm", "HMAC_SHA256").unwrap();
    database
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn database_from_the_future() {
    let dir = Scratch::new("phones").unwrap();
    let phone = phone_at(&dir, 1);
    let console = Console::start(&phone).unwrap();
    console.send_message("juliet@capulet.test", &id("m1"), "Art thou there?", PATIENCE).unwrap();
    console.quit(PATIENCE).unwrap();
    for version in [2, 99, i32::MAX] {
        database(&phone.data).pragma_update(None, "user_version", version).unwrap();
        let console = Console::start(&phone).unwrap();
        let reply = console.reply_to_nonsense(PATIENCE).unwrap();
        assert_eq!(reply["error"], "database_unusable", "{reply}");
        assert!(reply["text"].as_str().is_some_and(|text| text.contains("newer")), "{reply}");
        console.kill();
    }
    database(&phone.data).pragma_update(None, "user_version", 1).unwrap();
    let console = Console::start(&phone).unwrap();
    assert_eq!(texts(&console.timeline("juliet@capulet.test", 10, PATIENCE).unwrap()), ["Art thou there?"]);
}

/// A file system of its own, which can be made read-only. Only root can have one.
struct Disk(PathBuf);

impl Disk {
    fn new(at: PathBuf) -> Option<Disk> {
        fs::create_dir_all(&at).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Disk(at)),
            _ if std::env::var("CI").as_deref() == Ok("true") => panic!("cannot mount a disk: {mounted:?}"),
            _ => {
                eprintln!("skipped: only root can mount a disk");
                None
            }
        }
    }

    fn become_writable(&self, writable: bool) {
        let option = if writable { "remount,rw" } else { "remount,ro" };
        let done = Command::new("mount").args(["-o", option]).arg(&self.0).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn read_only() {
    let dir = Scratch::new("phones").unwrap();
    let phone = phone_at(&dir, 1);
    let Some(disk) = Disk::new(phone.data.clone()) else { return };
    let console = Console::start(&phone).unwrap();
    console.send_message("juliet@capulet.test", &id("m1"), "Art thou there?", PATIENCE).unwrap();
    console.quit(PATIENCE).unwrap();
    disk.become_writable(false);
    let console = Console::start(&phone).unwrap();
    let reply = console.reply_to_nonsense(PATIENCE).unwrap();
    assert_eq!(reply["error"], "database_unusable", "{reply}");
    assert!(reply["text"].as_str().is_some_and(|text| text.contains("written")), "{reply}");
    let refused =
        console.send_message("juliet@capulet.test", &id("m2"), "nobody will know", PATIENCE).unwrap_err();
    assert_eq!(refused.kind(), Some("database_unusable"), "{refused}");
    console.kill();
    disk.become_writable(true);
    let console = Console::start(&phone).unwrap();
    assert_eq!(texts(&console.timeline("juliet@capulet.test", 10, PATIENCE).unwrap()), ["Art thou there?"]);
    console.send_message("juliet@capulet.test", &id("m3"), "O speak again", PATIENCE).unwrap();
    drop(console);
}

/// The same phone, telling its log everything at this level.
fn logging_at(phone: Phone, level: &str, dir: &Path) -> Phone {
    let console = interop::console_binary().unwrap();
    let script = dir.join(format!("console-{level}"));
    fs::write(&script, format!("#!/bin/sh\nWHIMBREL_LOG={level} exec '{}' \"$@\"\n", console.display()))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    phone.running(script)
}

/// A conversation with everything that one has: logins by password and by token, cuts, kills, a wrong password, a key that
/// does not fit. Gives what the logs say, and what must not be in them.
fn conversation(stage: &Stage, level: &str) -> (String, Vec<String>) {
    let link = stage.link();
    let romeo = logging_at(stage.phone_behind(&link, ROMEO.0, ROMEO.1), level, stage.dir.path());
    let juliet = logging_at(stage.phone(JULIET.0, JULIET.1), level, stage.dir.path());
    let says = ["But soft, what light", "It is the east", "and Juliet is the sun", "O speak again"];
    let [his, hers] = [&romeo, &juliet].map(|phone| Console::start(phone).unwrap());
    for console in [&his, &hers] {
        console.wait_online(PATIENCE).unwrap();
    }
    befriend(&his, &hers);
    his.send_message(JULIET.0, &id(says[0]), says[0], PATIENCE).unwrap();
    hers.wait_message(says[0], PATIENCE).unwrap();
    link.cut(InFlight::Dropped);
    his.wait_online(PATIENCE).unwrap();
    hers.send_message(ROMEO.0, &id(says[1]), says[1], PATIENCE).unwrap();
    his.wait_message(says[1], PATIENCE).unwrap();
    his.request("mark_read", json!({ "with": JULIET.0 }), PATIENCE).unwrap();
    his.kill();
    hers.send_message(ROMEO.0, &id(says[2]), says[2], PATIENCE).unwrap();
    let his = Console::start(&romeo).unwrap();
    his.wait_message(says[2], PATIENCE).unwrap();
    his.request("suspend", json!({}), PATIENCE).unwrap();
    his.request("resume", json!({}), PATIENCE).unwrap();
    his.wait_online(PATIENCE).unwrap();
    his.request(
        "raw",
        json!({ "xml": format!("<message to='{}'><body>{}</body></message>", JULIET.0, says[3]) }),
        PATIENCE,
    )
    .unwrap();
    hers.wait_message(says[3], PATIENCE).unwrap();
    his.quit(PATIENCE).unwrap();
    hers.quit(PATIENCE).unwrap();
    let mut secrets: Vec<String> = says.iter().map(|text| (*text).to_owned()).collect();
    for (phone, (account, password)) in [(&romeo, ROMEO), (&juliet, JULIET)] {
        let user = account.split_once('@').unwrap().0;
        secrets.push(password.to_owned());
        secrets.push(STANDARD.encode(password));
        secrets.push(STANDARD.encode(format!("\0{user}\0{password}")));
        let key = fs::read(phone.data.join("key")).unwrap();
        secrets.push(hex(&key));
        secrets.push(hex(&key[..16]));
        secrets.push(STANDARD.encode(&key));
        let token: Option<String> = database(&phone.data)
            .query_row("SELECT token ->> 'token' FROM login", [], |row| row.get(0))
            .unwrap();
        secrets.push(token.expect("Prosody gives tokens"));
    }
    // A password that is wrong, and a key that does not fit.
    let wrong = Phone {
        data: romeo.data.with_file_name("another"),
        password: "but not this one".into(),
        ..romeo.clone()
    };
    let console = Console::start(&wrong).unwrap();
    let refused = console.wait_event("offline", PATIENCE, |event| event.str("reason") == "wrong_password");
    refused.unwrap();
    console.kill();
    secrets.push(wrong.password.clone());
    fs::write(romeo.data.join("key"), [0x17; 48]).unwrap();
    secrets.push(hex(&[0x17; 48]));
    let console = Console::start(&romeo).unwrap();
    console.reply_to_nonsense(PATIENCE).unwrap();
    console.kill();
    let logs = [&romeo, &juliet, &wrong].map(|phone| fs::read_to_string(phone.log()).unwrap());
    (logs.concat(), secrets)
}

fn assert_silent(log: &str, secrets: &[String], level: &str) {
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "at {level} the log tells {secret}: {line:?}");
    }
}

#[test]
fn logs_leak() {
    let Some(stage) = Stage::on(Kind::Prosody13) else { return };
    let (log, secrets) = conversation(&stage, "trace");
    assert!(log.contains("TRACE"), "nothing was logged: {log}");
    assert_silent(&log, &secrets, "trace");
    // What is not for debugging does not even say who it is.
    let Some(stage) = Stage::on(Kind::Prosody13) else { return };
    let (log, mut secrets) = conversation(&stage, "info");
    secrets.extend([ROMEO.0, JULIET.0, "alice@", "bob@"].map(str::to_owned));
    assert_silent(&log, &secrets, "info");
}
