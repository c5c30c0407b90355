//! A disk that is full in the middle of a catch-up: said, nothing lost, and it goes on by itself once there is room.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use interop::{Console, Kind, Options};
use serde_json::json;

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, peer::Peer, synced, texts};

/// A disk of this many MiB, in memory. Only root can have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: PathBuf, size: u32) -> Option<SmallDisk> {
        fs::create_dir_all(&at).unwrap();
        let options = format!("size={size}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(at)),
            _ if std::env::var("CI").as_deref() == Ok("true") => {
                panic!("cannot mount a small disk: {mounted:?}")
            }
            _ => {
                eprintln!("skipped: only root can mount a small disk");
                None
            }
        }
    }

    /// Leaves this many bytes.
    fn fill(&self, left: usize) {
        let filler = self.0.join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        let mut size = 0;
        while file.write_all(&[0; 4096]).is_ok() {
            size += 4096;
        }
        file.set_len(u64::try_from(size - left).unwrap()).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg::<&Path>(&self.0).status();
    }
}

#[test]
fn catch_up_that_fills_the_disk_goes_on_by_itself_once_there_is_room() {
    let options = Options { hibernation: Some(Duration::from_secs(1)), ..Options::default() };
    let Some(stage) = Stage::with(Kind::Prosody13, options) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let Some(disk) = SmallDisk::new(phone.data.clone(), 16) else { return };
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "nest");
    juliet.say(&message("before"));
    romeo.wait_message("before", PATIENCE).unwrap();
    synced(&romeo);
    romeo.quit(PATIENCE).unwrap();
    // The server must have given the session up; nothing outside of it shows when it has.
    std::thread::sleep(Duration::from_secs(5));
    let said: Vec<String> =
        (0..300).map(|number| format!("missed {number} {}", "so late so soon ".repeat(250))).collect();
    for text in &said {
        juliet.say(&message(text));
    }
    juliet.settle();

    disk.fill(700_000);
    let romeo = Console::start(&phone).unwrap();
    let full = |event: &interop::Event| event.name() == "offline" && event.str("reason") == "storage_full";
    romeo.wait_event("that the disk is full", PATIENCE, full).unwrap();
    // The event comes a moment before the status that it is about, and while there is no room it tries now and then.
    let ask = || romeo.request("status", json!({}), PATIENCE).unwrap();
    let waits = Instant::now() + PATIENCE;
    let mut status = ask();
    while status["reason"].is_null() && Instant::now() < waits {
        std::thread::sleep(Duration::from_millis(50));
        status = ask();
    }
    assert!(
        ["storage_full", "database_unusable"].contains(&status["reason"].as_str().unwrap_or("?")),
        "{status}"
    );
    assert!(!status["next_attempt"].is_null(), "it does not go on by itself: {status}");
    // What is there can be read.
    let so_far = texts(&romeo.timeline(JULIET.0, 1000, PATIENCE).unwrap());
    assert_eq!(so_far.first().map(String::as_str), Some("before"));
    disk.free();
    let last = said.last().unwrap();
    romeo.wait_message(last, 4 * PATIENCE).unwrap();
    synced(&romeo);
    let mut expected = vec!["before".to_owned()];
    expected.extend(said);
    assert_eq!(texts(&romeo.timeline(JULIET.0, 1000, PATIENCE).unwrap()), expected);
    romeo.quit(PATIENCE).unwrap();
}

fn message(text: &str) -> String {
    format!("<message type='chat' to='{}' id='{}'><body>{text}</body></message>", ROMEO.0, id(text))
}
