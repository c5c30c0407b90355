//! What the tests share.

pub(crate) mod middle;
pub(crate) mod peer;
pub(crate) mod scripted;

use std::{
    thread,
    time::{Duration, Instant},
};

use interop::{Console, Error, Event, Kind, Link, Options, Phone, Scratch, Server};
use serde_json::{Value, json};

/// Long enough for two cores that have other things to do; nothing waits for it that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server, or `None` with a word on stderr where it cannot be had; where `CI=true` that is a failure.
pub(crate) fn server(kind: Kind, options: Options) -> Option<Server> {
    match Server::start(kind, options) {
        Ok(server) => Some(server),
        Err(Error::Unavailable(why)) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("skipped: {why}");
            None
        }
        Err(error) => panic!("{} did not start: {error}", kind.name()),
    }
}

/// A stage for a play: one server, and a directory for the phones.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) dir: Scratch,
}

impl Stage {
    pub(crate) fn on(kind: Kind) -> Option<Stage> {
        Stage::with(kind, Options::default())
    }

    pub(crate) fn with(kind: Kind, options: Options) -> Option<Stage> {
        let server = server(kind, options)?;
        Some(Stage { server, dir: Scratch::new("phones").unwrap() })
    }

    /// A phone of `account` that goes straight to the server, with STARTTLS.
    pub(crate) fn phone(&self, account: &str, password: &str) -> Phone {
        Phone::new(self.dir.path().join(account), account, password)
            .at(self.server.port())
            .trusting(self.server.ca())
    }

    /// A phone behind a link of its own, with direct TLS.
    pub(crate) fn phone_behind(&self, link: &Link, account: &str, password: &str) -> Phone {
        self.phone(account, password).at(link.port()).with_direct_tls()
    }

    pub(crate) fn link(&self) -> Link {
        Link::to(self.server.direct_tls_port()).unwrap()
    }
}

/// Romeo's and Juliet's accounts: address, password.
pub(crate) const ROMEO: (&str, &str) = ("alice@a.test", "secret-a");
pub(crate) const JULIET: (&str, &str) = ("bob@b.test", "secret-b");

/// Waits until it has everything and has sent everything.
pub(crate) fn synced(phone: &Console) {
    phone.request("sync", json!({ "timeout_ms": 50_000 }), PATIENCE).unwrap();
}

/// Does this until somebody has heard of it. Whom to tell of a node a server knows once it has asked what a presence is interested
/// in (XEP-0115), and ejabberd acknowledges that presence before it asks.
pub(crate) fn until_heard(
    phone: &Console,
    what: &str,
    fits: impl Fn(&Event) -> bool,
    act: impl Fn(),
) -> Event {
    let deadline = Instant::now() + PATIENCE;
    loop {
        act();
        match phone.wait_event(what, Duration::from_secs(1), &fits) {
            Err(Error::TimedOut(_)) if Instant::now() < deadline => {}
            heard => return heard.unwrap(),
        }
    }
}

/// Each has the other in the roster, and sees whether the other is there. Receipts are for friends only.
pub(crate) fn befriend(romeo: &Console, juliet: &Console) {
    for (console, friend) in [(romeo, JULIET.0), (juliet, ROMEO.0)] {
        console.request("add", json!({ "jid": friend }), PATIENCE).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while !(are_friends(romeo, JULIET.0) & are_friends(juliet, ROMEO.0)) {
        assert!(
            Instant::now() < deadline,
            "they do not become friends: {} and {}",
            romeo.request("roster", json!({}), PATIENCE).unwrap(),
            juliet.request("roster", json!({}), PATIENCE).unwrap(),
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Accepts `friend` if asked.
fn are_friends(console: &Console, friend: &str) -> bool {
    let roster = console.request("roster", json!({}), PATIENCE).unwrap();
    let contacts = roster["contacts"].as_array().cloned().unwrap_or_default();
    let Some(contact) = contacts.iter().find(|contact| contact["jid"] == friend) else { return false };
    if contact["asks"] == true {
        console.request("accept", json!({ "jid": friend }), PATIENCE).unwrap();
    }
    contact["subscription"] == "both"
}

/// The texts of a conversation's messages as the timeline has them.
pub(crate) fn texts(items: &[Value]) -> Vec<String> {
    items.iter().filter_map(|item| item["text"].as_str()).map(str::to_owned).collect()
}

/// A message's id has to be a UUID: one that belongs to this name, the same each time.
pub(crate) fn id(name: &str) -> String {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let (high, low) = (hash >> 32, hash & 0xFFFF_FFFF);
    format!("{high:08x}-0000-4000-8000-0000{low:08x}")
}
