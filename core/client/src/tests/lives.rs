//! Opening, suspending, resuming, closing, starting over, in every order that an app may come up with.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn account_works_again_however_suspend_and_resume_are_mixed() {
    let stage = Stage::new();
    let (client, account, _peer) = stage.online().await;
    for _ in 0..5 {
        // Not waited for: what it began goes on by itself.
        drop(client.suspend(Duration::ZERO));
        let _ = tokio::time::timeout(Duration::ZERO, client.suspend(PATIENCE)).await;
        soon(client.resume()).await.unwrap();
        account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
        assert!(!account.timeline(&juliet(), 10).unwrap().items().unwrap().is_empty());
    }
    assert_eq!(account.timeline(&juliet(), 10).unwrap().items().unwrap().len(), 5);
}

#[tokio::test]
async fn suspending_does_not_wait_for_what_was_resumed_meanwhile() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let day = Duration::from_secs(86_400);
    let ((), resumed) = soon(async { tokio::join!(client.suspend(day), client.resume()) }).await;
    resumed.unwrap();
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
}

#[tokio::test]
async fn suspending_wins_over_a_start_that_is_under_way() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    soon(client.suspend(PATIENCE)).await;
    let resuming = tokio::spawn({
        let client = client.clone();
        async move { client.resume().await }
    });
    tokio::task::yield_now().await;
    soon(client.suspend(PATIENCE)).await;
    assert_eq!(soon(resuming).await.unwrap(), Err(Error::Suspended));
    assert_eq!(stage.open_files(), Vec::<String>::new());
    assert_eq!(account.send(ItemId::new(), &juliet(), "But soft").await, Err(Error::Suspended));
}

#[tokio::test]
async fn suspended_behind_a_peer_that_reads_nothing_everything_is_closed() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    let long = "A rose by any other name ".repeat(4_000);
    for _ in 0..8 {
        account.send(ItemId::new(), &juliet(), &long).await.unwrap();
    }
    let timeline = account.timeline(&juliet(), 10).unwrap();
    let _updates = soon(timeline.subscribe().next(0)).await.unwrap();
    assert!(!stage.open_files().is_empty());
    soon(client.suspend(PATIENCE)).await;
    assert_eq!(stage.open_files(), Vec::<String>::new());
    assert_eq!(timeline.items(), Err(Error::Suspended));
    drop(peer);
    soon(client.resume()).await.unwrap();
    assert_eq!(timeline.items().unwrap().len(), 8);
}

#[tokio::test]
async fn suspended_while_connecting_or_logging_in_the_connection_is_given_up() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let connecting = tokio::spawn(async move { account.sign_in("secret").await });
    tokio::task::yield_now().await;
    let mut tcp = stage.server.accept_plain();
    soon(client.suspend(PATIENCE)).await;
    assert_eq!(soon(connecting).await.unwrap(), Err(Error::Offline));
    assert_eq!(stage.open_files(), Vec::<String>::new());
    // Its end is seen by the server: nothing of it lives on.
    let mut heard = Vec::new();
    let _ = std::io::Read::read_to_end(&mut tcp, &mut heard);
}

#[tokio::test]
async fn call_that_is_under_way_says_whether_the_account_was_suspended_or_closed() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    for why in [Error::Suspended, Error::Closed] {
        let syncing = tokio::spawn({
            let account = account.clone();
            async move { account.sync(PATIENCE).await }
        });
        tokio::task::yield_now().await;
        if why == Error::Closed {
            soon(client.close()).await;
        } else {
            soon(client.suspend(PATIENCE)).await;
            soon(client.resume()).await.unwrap();
        }
        assert_eq!(soon(syncing).await.unwrap(), Err(why));
    }
}

#[tokio::test]
async fn locked_device_that_is_unlocked_needs_no_new_client() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    client.close().await;
    stage.keychain.fail_with(Some(Error::Locked));
    let client = stage.client().await;
    let account = client.account(&romeo()).unwrap();
    assert!(matches!(account.status(), Status::Offline { reason: Some(Error::Locked), .. }));
    assert_eq!(account.send(ItemId::new(), &juliet(), "what light").await, Err(Error::Locked));
    assert_eq!(account.timeline(&juliet(), 10).unwrap_err(), Error::Locked);
    // Whoever waits for the conversations goes on waiting.
    let conversations = account.conversations().subscribe();
    let waiting = tokio::spawn(async move { conversations.next(0).await });
    tokio::task::yield_now().await;
    stage.keychain.fail_with(None);
    account.send(ItemId::new(), &juliet(), "what light").await.unwrap();
    assert!(matches!(account.status(), Status::Offline { reason: None, .. }));
    assert_eq!(soon(waiting).await.unwrap().unwrap().splices[0].items.len(), 1);
    assert_eq!(texts(&account.timeline(&juliet(), 10).unwrap().items().unwrap()), ["But soft", "what light"]);
}

#[tokio::test]
async fn one_broken_account_says_why_and_the_other_works() {
    let stage = Stage::new();
    let (client, _) = stage.account().await;
    let other = client.add_account(juliet(), stage.server.connection()).await.unwrap();
    let lost = stage.keychain.entries.lock().unwrap().keys().next().unwrap().clone();
    client.close().await;
    assert_eq!(other.timeline(&romeo(), 1).unwrap_err(), Error::Closed);
    stage.keychain.entries.lock().unwrap().remove(&lost);
    let client = stage.client().await;
    let mut broken = 0;
    for account in client.accounts() {
        match account.send(ItemId::new(), &"nurse@capulet.lit".parse().unwrap(), "O").await {
            Ok(_) => {}
            Err(error) => {
                broken += 1;
                assert_eq!(error, Error::KeyLost);
                assert_eq!(account.conversations().items(), Err(Error::KeyLost));
                assert_eq!(account.contacts().items(), Err(Error::KeyLost));
            }
        }
    }
    assert_eq!((client.accounts().len(), broken), (2, 1));
}

#[tokio::test]
async fn starting_over_sets_the_file_aside_and_keeps_the_way_to_the_server() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    client.close().await;
    stage.keychain.entries.lock().unwrap().clear();
    let client = stage.client().await;
    assert_eq!(client.add_account(romeo(), stage.server.connection()).await.unwrap_err(), Error::KeyLost);
    let old = client.account(&romeo()).unwrap();
    let updates = old.conversations().subscribe();
    let mut events = old.events();
    let account = soon(client.start_over(&romeo())).await.unwrap();
    assert_eq!(soon(updates.next(0)).await, Err(Error::Closed));
    assert_eq!(soon(events.next()).await, None);
    assert_eq!(old.send(ItemId::new(), &juliet(), "what light").await, Err(Error::Closed));
    assert!(account.conversations().items().unwrap().is_empty());
    let signing_in = tokio::spawn(async move { account.sign_in("secret").await });
    tokio::task::yield_now().await;
    let _peer = stage.server.accept_login();
    soon(signing_in).await.unwrap().unwrap();
    let beside = fs::read_dir(stage.database().parent().unwrap()).unwrap();
    let aside = beside.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
        name.starts_with("set-aside-") && name.ends_with("-account.db")
    });
    assert_eq!(aside.count(), 1);
}

#[tokio::test]
async fn journal_of_a_file_that_was_set_aside_is_not_replayed_into_the_new_one() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    let database = stage.database();
    let journal = database.with_file_name("account.db-wal");
    let bytes = fs::read(&journal).unwrap();
    client.close().await;
    // Killed between the two renames.
    fs::remove_file(&database).unwrap();
    fs::write(&journal, bytes).unwrap();
    let (_client, account) = stage.account().await;
    assert!(account.conversations().items().unwrap().is_empty());
    account.send(ItemId::new(), &juliet(), "what light").await.unwrap();
}

#[tokio::test]
async fn whoever_waits_is_told_when_the_account_is_removed() {
    let stage = Stage::new();
    let (client, account, mut peer) = stage.online().await;
    let status = status_becomes(&account, |status| {
        *status == Status::Online || matches!(status, Status::CatchingUp { .. })
    })
    .await;
    drop(status);
    let timeline = account.timeline(&juliet(), 10).unwrap();
    let updates = timeline.subscribe();
    let first = soon(updates.next(0)).await.unwrap();
    let waiting = tokio::spawn(async move { updates.next(first.seq).await });
    let mut events = account.events();
    let listening = tokio::spawn(async move { while events.next().await.is_some() {} });
    let watching = tokio::spawn({
        let account = account.clone();
        async move {
            let mut status = account.status();
            while let Ok(next) = account.status_after(&status).await {
                status = next;
            }
        }
    });
    tokio::task::yield_now().await;
    soon(client.remove_account(&romeo())).await.unwrap();
    peer.hear("</stream:stream>");
    assert_eq!(soon(waiting).await.unwrap(), Err(Error::Closed));
    soon(listening).await.unwrap();
    soon(watching).await.unwrap();
    assert_eq!(client.remove_account(&romeo()).await, Err(Error::NotFound));
    assert_eq!(stage.open_files(), Vec::<String>::new());
    assert_eq!(fs::read_dir(stage.dir.path().join("accounts")).unwrap().count(), 0);
    assert!(stage.keychain.entries.lock().unwrap().is_empty());
    // And it can come back.
    stage.account().await.1.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
}

#[tokio::test]
async fn removing_that_was_cancelled_can_be_done_again() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let romeo = romeo();
    {
        let mut removing = std::pin::pin!(client.remove_account(&romeo));
        std::future::poll_fn(|cx| std::task::Poll::Ready(removing.as_mut().poll(cx).is_pending())).await;
    }
    soon(client.remove_account(&romeo)).await.unwrap();
    assert_eq!(account.send(ItemId::new(), &juliet(), "But soft").await, Err(Error::Closed));
}

#[tokio::test]
async fn account_that_a_call_opens_again_is_connected_as_it_was() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    soon(client.suspend(PATIENCE)).await;
    drop(peer);
    stage.keychain.fail_with(Some(Error::Locked));
    assert_eq!(soon(client.resume()).await, Err(Error::Locked));
    stage.keychain.fail_with(None);
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    status_becomes(&account, |status| *status == Status::Connecting).await;
    drop(stage.server.accept_login());
    // And where it is to connect in another way.
    let connection = crate::Connection { resource: Some("balcony".into()), ..stage.server.connection() };
    client.add_account(romeo(), connection).await.unwrap();
    status_becomes(&account, |status| *status == Status::Connecting).await;
    stage.server.accept().hear("<stream:stream");
}

#[tokio::test]
async fn lists_wait_while_the_file_cannot_be_opened_whatever_the_reason() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let timeline = account.timeline(&juliet(), 10).unwrap();
    let updates = Arc::new(timeline.subscribe());
    let mut seq = soon(updates.next(0)).await.unwrap().seq;
    for why in [
        Error::Locked,
        Error::StorageFull,
        Error::KeyLost,
        Error::DatabaseUnusable { why: Unusable::ReadOnly },
        Error::Bug { report: "a vault that panicked".into() },
    ] {
        let waiting = tokio::spawn({
            let updates = Arc::clone(&updates);
            async move { updates.next(seq).await }
        });
        tokio::task::yield_now().await;
        soon(client.suspend(PATIENCE)).await;
        stage.keychain.fail_with(Some(why.clone()));
        assert_eq!(soon(client.resume()).await, Err(why.clone()));
        assert_eq!(timeline.items(), Err(why.clone()));
        tokio::task::yield_now().await;
        stage.keychain.fail_with(None);
        account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
        seq = soon(waiting).await.unwrap().unwrap().seq;
    }
    soon(client.close()).await;
    assert_eq!(soon(updates.next(seq)).await, Err(Error::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_could_not_be_opened_is_opened_as_soon_as_it_can_be() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    drop(peer);
    for why in [Error::Locked, Error::StorageFull] {
        soon(client.suspend(PATIENCE)).await;
        stage.keychain.fail_with(Some(why.clone()));
        assert_eq!(soon(client.resume()).await, Err(why.clone()));
        let Status::Offline { reason, next_attempt, .. } = account.status() else { panic!() };
        assert_eq!((reason, next_attempt.is_some()), (Some(why), true));
        stage.keychain.fail_with(None);
        // Nobody calls anything.
        drop(stage.server.accept_login());
    }
    // Who is suspended tries nothing, and says so.
    soon(client.suspend(PATIENCE)).await;
    stage.keychain.fail_with(Some(Error::Locked));
    assert_eq!(soon(client.resume()).await, Err(Error::Locked));
    soon(client.suspend(PATIENCE)).await;
    assert!(matches!(account.status(), Status::Offline { next_attempt: None, .. }));
    stage.keychain.fail_with(Some(Error::KeyLost));
    assert_eq!(soon(client.resume()).await, Err(Error::KeyLost));
    assert!(matches!(account.status(), Status::Offline { next_attempt: None, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn resuming_that_nobody_waits_for_is_done_all_the_same() {
    let stage = Stage::new();
    let vault = Arc::new(Waiting::default());
    let client = Client::open(stage.dir.path(), vault.clone(), Options::default()).await.unwrap();
    let account = client.add_account(romeo(), stage.server.connection()).await.unwrap();
    let signing_in = signing_in(&account).await;
    drop(stage.server.accept_login());
    soon(signing_in).await.unwrap().unwrap();
    soon(client.suspend(PATIENCE)).await;
    let (asked, is_asked) = std::sync::mpsc::sync_channel(1);
    let (answer, answered) = std::sync::mpsc::channel::<()>();
    *vault.gate.lock().unwrap() = Some((asked, answered));
    let resuming = tokio::spawn({
        let client = client.clone();
        async move { client.resume().await }
    });
    is_asked.recv_timeout(PATIENCE).unwrap();
    resuming.abort();
    assert!(resuming.await.unwrap_err().is_cancelled());
    // Whoever wants something meanwhile waits for the same start.
    let sending = tokio::spawn({
        let account = account.clone();
        async move { account.send(ItemId::new(), &juliet(), "But soft").await }
    });
    tokio::task::yield_now().await;
    drop(answer);
    let _peer = stage.server.accept_login();
    soon(sending).await.unwrap().unwrap();
}

#[tokio::test]
async fn starting_over_twice_at_once_is_done_once() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    let romeo = romeo();
    let (one, other) =
        soon(async { tokio::join!(client.start_over(&romeo), client.start_over(&romeo)) }).await;
    for account in [one.unwrap(), other.unwrap(), client.account(&romeo).unwrap()] {
        soon(account.send(ItemId::new(), &juliet(), "what light?")).await.unwrap();
    }
    let old = fs::read_dir(stage.database().parent().unwrap()).unwrap();
    let old = old.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    let old = old.filter(|name| name.starts_with("set-aside-") && name.ends_with("-account.db"));
    assert_eq!(old.count(), 1);
    soon(client.suspend(PATIENCE)).await;
    assert_eq!(stage.open_files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_while_somebody_reads() {
    let stage = Stage::new();
    let (_client, account) = stage.account().await;
    let (reading, is_reading) = std::sync::mpsc::sync_channel(1);
    let (read, done) = std::sync::mpsc::channel::<()>();
    let reader = tokio::task::spawn_blocking({
        let account = account.clone();
        move || {
            account.read(|_| {
                reading.send(()).unwrap();
                let _ = done.recv();
                Ok(())
            })
        }
    });
    is_reading.recv_timeout(PATIENCE).unwrap();
    let following = tokio::task::spawn_blocking(move || drop(account.events()));
    soon(following).await.unwrap();
    drop(read);
    soon(reader).await.unwrap().unwrap();
}

#[tokio::test]
async fn starting_over_opens_nothing_in_a_client_that_was_suspended_or_closed_meanwhile() {
    for why in [Error::Suspended, Error::Closed] {
        let stage = Stage::new();
        let (client, account) = stage.account().await;
        account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
        let romeo = romeo();
        let over = async {
            match why {
                Error::Closed => client.close().await,
                _ => client.suspend(PATIENCE).await,
            }
        };
        let (new, ()) = soon(async { tokio::join!(client.start_over(&romeo), over) }).await;
        assert_eq!(new.unwrap_err(), why);
        assert_eq!(stage.open_files(), Vec::<String>::new());
        let account = client.account(&romeo).unwrap();
        assert_eq!(account.send(ItemId::new(), &juliet(), "nothing").await, Err(why.clone()));
        assert_eq!(client.resume().await.is_ok(), why == Error::Suspended);
        assert_eq!(account.conversations().items().is_ok(), why == Error::Suspended);
    }
}

#[tokio::test]
async fn removing_that_ended_half_way_is_finished_by_the_next_process() {
    for ended in ["before the vault", "in the vault", "behind it", "among the files"] {
        let stage = Stage::new();
        let (client, account) = stage.account().await;
        account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
        client.close().await;
        fs::write(stage.database().with_file_name("set-aside-1-account.db"), "old").unwrap();
        let client = stage.client().await;
        match ended {
            "before the vault" => {
                stage.keychain.fail_with(Some(Error::Locked));
                assert_eq!(soon(client.remove_account(&romeo())).await, Err(Error::Locked));
                stage.keychain.fail_with(None);
            }
            "in the vault" => {
                stage.keychain.entries.lock().unwrap().retain(|name, _| !name.starts_with("database-"));
            }
            "behind it" => stage.keychain.entries.lock().unwrap().clear(),
            _ => {
                client.close().await;
                stage.keychain.entries.lock().unwrap().clear();
                let home = stage.database().parent().unwrap().to_owned();
                fs::rename(&home, home.with_file_name("removed-romeo")).unwrap();
            }
        }
        client.close().await;
        let client = stage.client().await;
        if ended == "among the files" {
            assert!(client.accounts().is_empty());
        } else {
            soon(client.remove_account(&romeo())).await.unwrap();
        }
        let left = fs::read_dir(stage.dir.path().join("accounts")).unwrap();
        assert_eq!(left.count(), 0, "{ended}");
        assert!(stage.keychain.entries.lock().unwrap().is_empty(), "{ended}");
    }
}

/// A keychain that waits, once it is told to, until the other end is dropped.
#[derive(Default)]
struct Waiting {
    keychain: Keychain,
    gate: Mutex<Option<(std::sync::mpsc::SyncSender<()>, std::sync::mpsc::Receiver<()>)>>,
}

impl KeyVault for Waiting {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let gate = self.gate.lock().unwrap().take();
        if let Some((asked, answer)) = gate {
            asked.send(()).unwrap();
            let _ = answer.recv();
        }
        self.keychain.load(name)
    }

    fn store(&self, name: &str, bytes: &[u8], scope: Scope) -> Result<(), Error> {
        self.keychain.store(name, bytes, scope)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        self.keychain.delete(name)
    }
}

/// An export that waits for the vault.
struct Exporting {
    stage: Stage,
    client: Client,
    account: Account,
    file: std::path::PathBuf,
    task: tokio::task::JoinHandle<Result<u64, Error>>,
    /// Dropped, the vault answers.
    answer: std::sync::mpsc::Sender<()>,
}

impl Exporting {
    async fn begin() -> Self {
        let stage = Stage::new();
        let vault = Arc::new(Waiting::default());
        let client = Client::open(stage.dir.path(), vault.clone(), Options::default()).await.unwrap();
        let account = client.add_account(romeo(), stage.server.connection()).await.unwrap();
        let (asked, is_asked) = std::sync::mpsc::sync_channel(1);
        let (answer, answered) = std::sync::mpsc::channel::<()>();
        *vault.gate.lock().unwrap() = Some((asked, answered));
        let file = stage.dir.path().join("romeo.xml");
        let task = tokio::spawn({
            let (account, file) = (account.clone(), file.clone());
            async move { account.export(&file).await }
        });
        is_asked.recv_timeout(PATIENCE).unwrap();
        Self { stage, client, account, file, task, answer }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_does_not_wait_for_the_vault_that_an_export_asks() {
    let Exporting { stage, client, file, task, answer, .. } = Exporting::begin().await;
    soon(tokio::spawn(async move { client.suspend(PATIENCE).await })).await.unwrap();
    assert_eq!(stage.open_files(), Vec::<String>::new());
    drop(answer);
    assert_eq!(soon(task).await.unwrap(), Err(Error::Suspended));
    assert!(!file.exists());
}

#[tokio::test]
async fn subscription_that_outlives_every_handle_ends() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let updates = account.conversations().subscribe();
    let first = soon(updates.next(0)).await.unwrap();
    drop((client, account));
    assert_eq!(soon(updates.next(first.seq)).await, Err(Error::Closed));
}

#[tokio::test]
async fn closed_client_opens_nothing_any_more() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    soon(client.close()).await;
    assert_eq!(client.add_account(juliet(), stage.server.connection()).await.unwrap_err(), Error::Closed);
    assert_eq!(client.start_over(&romeo()).await.unwrap_err(), Error::Closed);
    assert_eq!(client.resume().await, Err(Error::Closed));
    assert_eq!(account.connect().await, Err(Error::Closed));
    assert_eq!(stage.open_files(), Vec::<String>::new());
}

#[tokio::test]
async fn second_client_takes_over_and_the_first_can_take_it_back() {
    let stage = Stage::new();
    let (first, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    let second = stage.client().await;
    let other = second.account(&romeo()).unwrap();
    other.send(ItemId::new(), &juliet(), "what light").await.unwrap();
    assert_eq!(account.send(ItemId::new(), &juliet(), "nothing").await, Err(Error::InUse));
    assert_eq!(account.timeline(&juliet(), 10).unwrap().items().unwrap().len(), 2);
    soon(first.resume()).await.unwrap();
    account.send(ItemId::new(), &juliet(), "through yonder").await.unwrap();
    assert_eq!(other.send(ItemId::new(), &juliet(), "nothing").await, Err(Error::InUse));
    assert_eq!(
        texts(&account.timeline(&juliet(), 10).unwrap().items().unwrap()),
        ["But soft", "what light", "through yonder"]
    );
}

#[tokio::test]
async fn another_way_to_the_server_is_kept_whatever_is_called_meanwhile() {
    let stage = Stage::new();
    let (client, account, _peer) = stage.online().await;
    let mut connection = stage.server.connection();
    for name in ["phone", "tablet", "watch"] {
        connection.resource = Some(name.into());
        let juliet = juliet();
        let (changed, sent) = tokio::join!(
            client.add_account(romeo(), connection.clone()),
            account.send(ItemId::new(), &juliet, name),
        );
        changed.unwrap();
        sent.unwrap();
    }
    // Nothing was suspended: whoever waits for an answer waits for a connection.
    let syncing = tokio::spawn({
        let account = account.clone();
        async move { account.sync(PATIENCE).await }
    });
    tokio::task::yield_now().await;
    connection.resource = Some("lute".into());
    client.add_account(romeo(), connection.clone()).await.unwrap();
    assert_eq!(soon(syncing).await.unwrap(), Err(Error::Offline));
    connection.certificates = Some("none".into());
    assert!(matches!(client.add_account(romeo(), connection).await, Err(Error::InvalidInput { .. })));
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    client.close().await;
    let client = stage.client().await;
    assert_eq!(client.account(&romeo()).unwrap().connection().unwrap().resource.as_deref(), Some("lute"));
}

#[tokio::test]
async fn way_to_the_server_that_is_given_during_a_start_counts() {
    let stage = Stage::new();
    let (client, _account) = stage.account().await;
    soon(client.suspend(PATIENCE)).await;
    let resuming = tokio::spawn({
        let client = client.clone();
        async move { client.resume().await }
    });
    tokio::task::yield_now().await;
    let mut connection = stage.server.connection();
    connection.resource = Some("lute".into());
    let account = client.add_account(romeo(), connection).await.unwrap();
    soon(resuming).await.unwrap().unwrap();
    assert_eq!(account.connection().unwrap().resource.as_deref(), Some("lute"));
    client.close().await;
    let client = stage.client().await;
    assert_eq!(client.account(&romeo()).unwrap().connection().unwrap().resource.as_deref(), Some("lute"));
}

#[tokio::test]
async fn background_is_remembered_by_an_account_that_was_suspended() {
    let stage = Stage::new();
    let (client, _account, peer) = stage.online().await;
    soon(client.suspend(PATIENCE)).await;
    drop(peer);
    client.set_foreground(false);
    soon(client.resume()).await.unwrap();
    let said = stage.server.accept().log_in();
    assert!(said.contains("<inactive"), "{said}");
}

#[tokio::test]
async fn panic_of_ours_is_told_as_a_bug_and_the_account_comes_back() {
    let stage = Stage::new();
    let (_client, account, peer) = stage.online().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    account.panic();
    status_becomes(&account, |status| {
        matches!(status, Status::Offline { reason: Some(Error::Bug { .. }), .. })
    })
    .await;
    drop(peer);
    let _peer = stage.server.accept_login();
    status_becomes(&account, |status| !matches!(status, Status::Offline { .. } | Status::Connecting)).await;
    assert_eq!(account.timeline(&juliet(), 10).unwrap().items().unwrap().len(), 1);
    account.send(ItemId::new(), &juliet(), "what light").await.unwrap();
}

#[tokio::test]
async fn password_is_stored_nowhere_when_the_keychain_is_full_and_nothing_is_left_half_made() {
    let stage = Stage::new();
    stage.keychain.fail_with(Some(Error::StorageFull));
    let client = stage.client().await;
    let refused = client.add_account(romeo(), stage.server.connection()).await;
    assert_eq!(refused.unwrap_err(), Error::StorageFull);
    assert!(client.accounts().is_empty());
    assert!(!stage.dir.path().join("accounts").join("account.db").exists());
    stage.keychain.fail_with(None);
    client.add_account(romeo(), stage.server.connection()).await.unwrap();
}

#[tokio::test]
async fn secret_that_was_half_written_before_there_was_a_file_is_made_anew() {
    let stage = Stage::new();
    let (client, _) = stage.account().await;
    client.close().await;
    let name = stage.keychain.entries.lock().unwrap().keys().next().unwrap().clone();
    stage.keychain.entries.lock().unwrap().insert(name, vec![7; 20]);
    let client = stage.client().await;
    let account = client.account(&romeo()).unwrap();
    assert_eq!(account.connect().await, Err(Error::KeyLost));
    soon(client.start_over(&romeo())).await.unwrap().connect().await.unwrap();
}

#[tokio::test]
async fn damaged_and_newer_files_are_refused_and_left_alone() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    client.close().await;
    let database = stage.database();
    let whole = fs::read(&database).unwrap();
    let mut damaged = whole.clone();
    damaged[100..2_000].fill(0x17);
    fs::write(&database, &damaged).unwrap();
    let client = stage.client().await;
    let refused = client.account(&romeo()).unwrap().connect().await;
    assert!(matches!(refused, Err(Error::DatabaseUnusable { why: Unusable::WrongKey | Unusable::Corrupt })));
    client.close().await;
    assert_eq!(fs::read(&database).unwrap(), damaged);
    fs::write(&database, &whole).unwrap();
    let secret = stage.keychain.entries.lock().unwrap().values().next().unwrap().clone();
    let secret = whimbrel_engine::store::Secret(secret.try_into().unwrap());
    let file = whimbrel_engine::store::open(&database, &secret).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let newer = fs::read(&database).unwrap();
    let client = stage.client().await;
    let refused = client.account(&romeo()).unwrap().connect().await;
    assert_eq!(refused, Err(Error::DatabaseUnusable { why: Unusable::Newer }));
    client.close().await;
    assert_eq!(fs::read(&database).unwrap(), newer);
    fs::write(&database, whole).unwrap();
    let client = stage.client().await;
    let account = client.account(&romeo()).unwrap();
    assert_eq!(texts(&account.timeline(&juliet(), 10).unwrap().items().unwrap()), ["But soft"]);
}

#[test]
fn vault_of_files_makes_its_directory_and_keeps_others_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let vault = crate::FileVault::new(dir.path().join("keys"));
    assert_eq!(vault.load("a"), Ok(None));
    vault.store("a", b"first", Scope::WithBackups).unwrap();
    vault.store("a", b"second", Scope::WithBackups).unwrap();
    assert_eq!(vault.load("a").unwrap().as_deref(), Some(b"second".as_slice()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // What is no file cannot be read, and no unlocking helps.
    fs::create_dir(dir.path().join("keys/b")).unwrap();
    assert_eq!(vault.load("b"), Err(Error::DatabaseUnusable { why: Unusable::ReadOnly }));
    fs::remove_dir(dir.path().join("keys/b")).unwrap();
    assert_eq!(mode(&dir.path().join("keys")), 0o700);
    assert_eq!(mode(&dir.path().join("keys/a")), 0o600);
    assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 1, "nothing is left of the writing");
}

#[tokio::test(flavor = "multi_thread")]
async fn export_that_nobody_waits_for_leaves_no_file() {
    let Exporting { stage, client: _client, account, file, task, answer } = Exporting::begin().await;
    task.abort();
    task.await.unwrap_err();
    drop(answer);
    // One comes behind the other.
    let other = stage.dir.path().join("once more.xml");
    soon(account.export(&other)).await.unwrap();
    assert_eq!((file.exists(), other.exists()), (false, true));
}

#[tokio::test]
async fn what_lies_beside_the_accounts_is_none_and_takes_none_away() {
    let stage = Stage::new();
    let (client, _) = stage.account().await;
    soon(client.close()).await;
    let accounts = stage.dir.path().join("accounts");
    fs::write(accounts.join(".DS_Store"), "x").unwrap();
    fs::create_dir_all(accounts.join("damaged/address")).unwrap();
    let client = stage.client().await;
    assert_eq!(client.accounts().iter().map(|account| account.jid().clone()).collect::<Vec<_>>(), [romeo()]);
}

/// Another connection than the one that is expected would be the next to be accepted, and say nothing.
#[tokio::test]
async fn same_network_again_does_not_break_off_what_is_under_way() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let network = |id: Option<&str>| crate::Network {
        id: id.map(|id| crate::NetworkId(id.to_owned())),
        kind: crate::NetworkKind::Wifi,
        ..crate::Network::default()
    };
    client.network_changed(&network(None));
    let _signing_in = signing_in(&account).await;
    let first = stage.server.accept_plain();
    for _ in 0..3 {
        client.network_changed(&network(None));
        // It has come as far as the engine.
        account.conversations().items().unwrap();
        account.mark_read(&juliet()).await.unwrap();
    }
    client.network_changed(&network(Some("home")));
    let second = stage.server.accept_plain();
    drop(first);
    server::Peer::secure(second).log_in();
    status_becomes(&account, |status| matches!(status, Status::Online)).await;
}

/// Its user has logged in at the portal within half a minute.
#[tokio::test(flavor = "multi_thread")]
async fn portal_that_lets_through_is_noticed_when_the_same_network_is_said_again() {
    let stage = Stage::new();
    let client = stage.client().await;
    let connection = crate::Connection { certificates: None, ..stage.server.connection() };
    let account = client.add_account(romeo(), connection).await.unwrap();
    let home = crate::Network { id: Some(crate::NetworkId("home".into())), ..crate::Network::default() };
    client.network_changed(&home);
    let signing_in = signing_in(&account).await;
    let _ = stage.server.accept().try_say("a portal's page");
    assert!(matches!(soon(signing_in).await.unwrap(), Err(Error::Untrusted { .. })));
    status_becomes(&account, |status| matches!(status, Status::Offline { next_attempt: None, .. })).await;
    client.network_changed(&home);
    let _ = stage.server.accept().try_say("the same");
}

#[tokio::test]
async fn refused_password_is_not_tried_again_before_somebody_wants_to() {
    let stage = Stage::new();
    let (client, account, mut peer) = stage.online().await;
    drop(peer.try_say("</stream:stream>"));
    let mut peer = stage.server.accept();
    peer.refuse_password();
    status_becomes(&account, |status| {
        matches!(status, Status::Offline { reason: Some(Error::WrongPassword), next_attempt: None, .. })
    })
    .await;
    soon(client.suspend(PATIENCE)).await;
    soon(client.resume()).await.unwrap();
    let found = soon(client.wake_up(&romeo(), PATIENCE)).await.unwrap();
    assert!(!found.complete);
    // The next connection is by the new one.
    let signing_in = tokio::spawn({
        let account = account.clone();
        async move { account.sign_in("another secret").await }
    });
    tokio::task::yield_now().await;
    let _peer = stage.server.accept_login();
    soon(signing_in).await.unwrap().unwrap();
    // It counts again.
    soon(client.suspend(PATIENCE)).await;
    soon(client.resume()).await.unwrap();
    let _peer = stage.server.accept_login();
    status_becomes(&account, |status| matches!(status, Status::Online)).await;
}
