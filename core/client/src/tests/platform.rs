//! What the platform gives beside a vault: a log, a resolver, and the word that memory is short.

use super::*;
use crate::{LogLevel, LogSink, Resolver, Srv, log_to};

#[derive(Default)]
struct Lines(Mutex<Vec<(LogLevel, String)>>);

impl Lines {
    fn all(&self) -> Vec<(LogLevel, String)> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Waits for a line. Others, of the tests that run beside this one, may come before it.
    fn wait_for(&self, wanted: impl Fn(LogLevel, &str) -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !self.all().iter().any(|(level, text)| wanted(*level, text)) {
            assert!(std::time::Instant::now() < deadline, "{:?}", self.all());
            std::thread::yield_now();
        }
    }
}

impl LogSink for Lines {
    fn log(&self, level: LogLevel, target: &str, text: &str) {
        assert!(target.starts_with("whimbrel"), "{target}");
        let mut lines = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.push((level, text.to_owned()));
        // It is no more than a lost line for anybody else.
        assert!(lines.len() > 1, "the log is not ready");
    }
}

#[tokio::test]
async fn log_has_addresses_at_debug_only_and_neither_passwords_nor_messages() {
    let lines = Arc::new(Lines::default());
    log_to(lines.clone(), LogLevel::Debug).unwrap();
    let stage = Stage::new();
    let (_client, account, mut peer) = stage.online().await;
    account.send(ItemId::new(), &juliet(), "But soft, what light?").await.unwrap();
    peer.say(&message("It is the east"));
    lines.wait_for(|level, text| level == LogLevel::Info && text == "online");
    lines.wait_for(|level, text| level == LogLevel::Debug && text == format!("online account={}", romeo()));
    drop(peer);
    lines.wait_for(|level, text| level == LogLevel::Debug && text.starts_with("offline account="));
    for (level, text) in lines.all() {
        assert!(level == LogLevel::Debug || !text.contains(".lit"), "{text}");
        for private in ["secret", "But soft", "the east"] {
            assert!(!text.contains(private), "{text}");
        }
    }

    // Another takes its place, and wants less.
    let next = Arc::new(Lines::default());
    log_to(next.clone(), LogLevel::Info).unwrap();
    let (_client, account, peer) = Stage::new().online().await;
    next.wait_for(|_, text| text == "online");
    drop((account, peer));
    assert!(next.all().iter().all(|(level, _)| *level <= LogLevel::Info));
}

#[tokio::test]
async fn log_bundle_has_nothing_of_what_a_busy_account_has() {
    crate::keep_log().unwrap();
    let stage = Stage::new();
    let (client, account, mut peer) = stage.online().await;
    account.send(ItemId::new(), &juliet(), "But soft, what light?").await.unwrap();
    account.set_draft(&juliet(), Some(crate::Draft { text: "unsaid".into(), reply_to: None })).await.unwrap();
    account.add_contact(&juliet(), Some("Julia")).await.unwrap();
    let push = crate::Push {
        service: "push.example".parse().unwrap(),
        node: "n0de".into(),
        secret: Some("s3cret".into()),
    };
    account.set_push(Some(push)).await.unwrap();
    let changing = tokio::spawn({
        let account = account.clone();
        async move { account.change_password("quill and ink").await }
    });
    while !client.log_bundle().contains("another password under way: yes") {
        tokio::task::yield_now().await;
    }
    peer.say(&message("It is the east"));
    peer.say("<message from='juliet@capulet.lit/balcony' to='romeo@montague.lit' id='deep'><body>too</body>");
    peer.say(&("<deep>".repeat(200) + &"</deep>".repeat(200) + "</message>"));
    while !account.conversations().items().unwrap().iter().any(|conversation| conversation.unread > 1) {
        tokio::task::yield_now().await;
    }
    let text = client.log_bundle();
    assert!(text.contains("messages: 3") && text.contains("account 1: online"), "{text}");
    assert!(text.contains("in quarantine: 1") && text.contains(" info whimbrel::shared: online"), "{text}");
    drop(peer);
    assert_eq!(soon(changing).await.unwrap(), Err(Error::Offline));
    status_becomes(&account, |status| !matches!(status, Status::Online)).await;
    let keys: Vec<String> = {
        let entries = stage.keychain.entries.lock().unwrap();
        let hex = |bytes: &Vec<u8>| bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        entries.values().map(hex).chain(entries.keys().cloned()).collect()
    };
    let private = [
        "romeo",
        "montague",
        "juliet",
        "capulet",
        "Julia",
        "balcony",
        "orchard",
        ".lit",
        "127.0.0.1",
        "But soft",
        "east",
        "unsaid",
        "s3cret",
        "n0de",
        "push.example",
        "quill",
        "secret",
        &stage.dir.path().display().to_string(),
    ];
    let text = text + &client.log_bundle();
    for private in private.into_iter().map(str::to_owned).chain(keys) {
        assert!(!text.contains(&private), "{private} in {text}");
    }
}

/// Knows one server, by what it was asked.
struct Names {
    port: u16,
    asked: Mutex<Vec<String>>,
}

impl Resolver for Names {
    fn srv(&self, name: &str) -> Result<Vec<Srv>, Error> {
        self.asked.lock().unwrap().push(name.to_owned());
        match name.strip_prefix("_xmpps-client._tcp.") {
            Some(_) => Ok(vec![Srv { priority: 1, weight: 1, port: self.port, target: "127.0.0.1".into() }]),
            // As if there were none.
            None => Err(Error::Offline),
        }
    }
}

#[tokio::test]
async fn servers_are_looked_up_by_the_platform_if_it_wants_to() {
    let stage = Stage::new();
    let names = Arc::new(Names { port: stage.server.port(), asked: Mutex::default() });
    let options = Options { resolver: Some(names.clone()), ..Options::default() };
    let client = Client::open(stage.dir.path(), stage.keychain.clone(), options).await.unwrap();
    // Servers for names that the network tells are not asked.
    let dns = vec![[192, 0, 2, 1].into()];
    client.network_changed(&crate::Network { dns, ..crate::Network::default() });
    let connection = crate::Connection { server: None, ..stage.server.connection() };
    let account = client.add_account(romeo(), connection).await.unwrap();
    let signing_in = tokio::spawn(async move { account.sign_in("secret").await });
    tokio::task::yield_now().await;
    let _peer = stage.server.accept_login();
    soon(signing_in).await.unwrap().unwrap();
    let mut asked = names.asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, ["_xmpp-client._tcp.montague.lit", "_xmpps-client._tcp.montague.lit"]);
}

/// A server of the platform's answer that takes connections and says nothing, and behind it the one that works.
struct SilentFirst(u16, u16);

impl Resolver for SilentFirst {
    fn srv(&self, name: &str) -> Result<Vec<Srv>, Error> {
        let Some(_) = name.strip_prefix("_xmpps-client._tcp.") else { return Ok(Vec::new()) };
        let server = |priority, port| Srv { priority, weight: 1, port, target: "127.0.0.1".into() };
        Ok(vec![server(1, self.0), server(2, self.1)])
    }
}

#[tokio::test]
async fn server_that_answered_is_the_first_to_be_tried_however_often_the_account_is_suspended() {
    let stage = Stage::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let names = SilentFirst(silent.local_addr().unwrap().port(), stage.server.port());
    let options = Options { resolver: Some(Arc::new(names)), ..Options::default() };
    let client = Client::open(stage.dir.path(), stage.keychain.clone(), options).await.unwrap();
    let connection = crate::Connection { server: None, ..stage.server.connection() };
    let account = client.add_account(romeo(), connection).await.unwrap();
    let _signing_in = signing_in(&account).await;
    let first = tokio::task::spawn_blocking({
        let silent = silent.try_clone().unwrap();
        move || silent.accept().unwrap()
    });
    let _silence = soon(first).await.unwrap();
    for _ in 0..2 {
        let _peer = stage.server.accept_login();
        status_becomes(&account, |status| matches!(status, Status::Online)).await;
        soon(client.suspend(PATIENCE)).await;
        soon(client.resume()).await.unwrap();
    }
    let _peer = stage.server.accept_login();
    silent.set_nonblocking(true).unwrap();
    assert_eq!(silent.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// Knows these servers, by their ports, as long as it answers.
struct Answering {
    ports: Vec<u16>,
    answers: std::sync::atomic::AtomicBool,
}

impl Resolver for Answering {
    fn srv(&self, name: &str) -> Result<Vec<Srv>, Error> {
        if !self.answers.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::Offline);
        }
        let Some(_) = name.strip_prefix("_xmpps-client._tcp.") else { return Ok(Vec::new()) };
        let ports = self.ports.iter().zip(1..);
        let server = |(port, priority): (&u16, u16)| Srv {
            priority,
            weight: 1,
            port: *port,
            target: "127.0.0.1".into(),
        };
        Ok(ports.map(server).collect())
    }
}

impl Stage {
    /// An account that finds its server by this, and signs in.
    async fn found_by(&self, names: Arc<Answering>) -> (Client, Account) {
        let options = Options { resolver: Some(names), ..Options::default() };
        let client = Client::open(self.dir.path(), self.keychain.clone(), options).await.unwrap();
        let connection = crate::Connection { server: None, ..self.server.connection() };
        let account = client.add_account(romeo(), connection).await.unwrap();
        signing_in(&account).await;
        (client, account)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_was_found_is_tried_again_when_nobody_can_be_asked() {
    let stage = Stage::new();
    let names = Arc::new(Answering { ports: vec![stage.server.port()], answers: true.into() });
    let (_client, account) = stage.found_by(names.clone()).await;
    let peer = stage.server.accept_login();
    status_becomes(&account, |status| matches!(status, Status::Online)).await;
    names.answers.store(false, std::sync::atomic::Ordering::Relaxed);
    drop(peer);
    let _peer = stage.server.accept_login();
    status_becomes(&account, |status| matches!(status, Status::Online)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_encrypts_and_lets_nobody_in_is_not_the_first_for_ever() {
    let stage = Stage::new();
    let ill = server::Server::new();
    let names = Arc::new(Answering { ports: vec![ill.port(), stage.server.port()], answers: true.into() });
    let (_client, account) = stage.found_by(names).await;
    for _ in 0..2 {
        ill.accept().hear("<stream:stream");
    }
    let _peer = stage.server.accept_login();
    status_becomes(&account, |status| matches!(status, Status::Online)).await;
}

#[tokio::test]
async fn proxy_that_is_none_is_invalid() {
    let stage = Stage::new();
    let connection = crate::Connection { proxy: Some("127.0.0.1".into()), ..crate::Connection::default() };
    let added = stage.client().await.add_account(romeo(), connection).await;
    assert!(matches!(added, Err(Error::InvalidInput { .. })), "{added:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_of_a_new_account_is_looked_up_by_the_platform_as_well() {
    let stage = Stage::new();
    let names = Arc::new(Names { port: stage.server.port(), asked: Mutex::default() });
    let options = Options { resolver: Some(names.clone()), ..Options::default() };
    let client = Client::open(stage.dir.path(), stage.keychain.clone(), options).await.unwrap();
    let connection = crate::Connection { server: None, ..stage.server.connection() };
    let registering = tokio::spawn(async move { client.register(&romeo(), None, connection).await });
    tokio::task::yield_now().await;
    stage.server.accept().hear("<stream:stream");
    assert_eq!(soon(registering).await.unwrap().unwrap_err(), Error::Offline);
    let mut asked = names.asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, ["_xmpp-client._tcp.montague.lit", "_xmpps-client._tcp.montague.lit"]);
}

#[tokio::test]
async fn what_was_let_go_of_when_memory_was_short_is_read_again() {
    // What this thread, which is where lists are read, has read from files, in bytes.
    let so_far = || -> u64 {
        let counted = fs::read_to_string("/proc/thread-self/io").unwrap();
        counted.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    };
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    let timeline = account.timeline(&juliet(), 10).unwrap();
    let read = || {
        let before = so_far();
        assert_eq!(texts(&timeline.items().unwrap()), ["But soft"]);
        so_far() - before
    };
    read();
    // Looking is counted as well, but is less than a page.
    assert!(read() < 4096);
    client.low_memory();
    assert!(read() >= 4096);
    // And the account goes on.
    account.send(ItemId::new(), &juliet(), "what light?").await.unwrap();
    assert_eq!(texts(&timeline.items().unwrap()), ["But soft", "what light?"]);
}
