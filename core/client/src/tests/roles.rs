//! An app and its extension over one directory. Here they are two clients of one process, which is the same to the file and to
//! the pipe; with processes that are stopped and killed: `tests/two-processes` and `tests/interop`.

use super::*;

#[tokio::test]
async fn extension_leaves_an_app_alone_that_is_in_charge() {
    let stage = Stage::new();
    let (_app, account, mut peer) = stage.online().await;
    let extension = stage.extension().await;
    let other = extension.account(&romeo()).unwrap();
    assert_eq!(other.send(ItemId::new(), &juliet(), "nothing").await, Err(Error::InUse));
    assert!(matches!(other.status(), Status::Offline { reason: Some(Error::InUse), .. }));
    assert_eq!(other.timeline(&juliet(), 10).unwrap_err(), Error::InUse);
    assert_eq!(extension.resume().await, Err(Error::InUse));
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    peer.hear("But soft");
    assert!(!matches!(account.status(), Status::Offline { .. }));
}

#[tokio::test]
async fn extension_opens_the_account_that_is_wanted_and_no_other() {
    let stage = Stage::new();
    let (app, _) = stage.account().await;
    app.add_account(juliet(), stage.server.connection()).await.unwrap();
    soon(app.close()).await;
    let extension = stage.extension().await;
    assert_eq!(extension.accounts().len(), 2);
    assert_eq!(stage.open_files(), Vec::<String>::new());
    extension.account(&romeo()).unwrap().send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    let other = extension.account(&juliet()).unwrap();
    let home = other.home().dir.display().to_string();
    assert!(stage.open_files().iter().all(|file| !file.starts_with(&home)));
}

#[tokio::test]
async fn extension_takes_what_the_app_has_suspended_and_the_app_takes_it_back() {
    let stage = Stage::new();
    let (app, account, peer) = stage.online().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    soon(app.suspend(PATIENCE)).await;
    assert_eq!(stage.open_files(), Vec::<String>::new());
    drop(peer);
    let extension = stage.extension().await;
    let other = extension.account(&romeo()).unwrap();
    other.send(ItemId::new(), &juliet(), "what light").await.unwrap();
    // The app does not ask.
    soon(app.resume()).await.unwrap();
    account.send(ItemId::new(), &juliet(), "through yonder").await.unwrap();
    assert_eq!(other.send(ItemId::new(), &juliet(), "nothing").await, Err(Error::InUse));
    assert!(matches!(other.status(), Status::Offline { reason: Some(Error::InUse), .. }));
    // It still reads what the other writes.
    let read = texts(&other.timeline(&juliet(), 10).unwrap().items().unwrap()).join(", ");
    assert_eq!(read, "But soft, what light, through yonder");
    soon(app.suspend(PATIENCE)).await;
    soon(extension.suspend(PATIENCE)).await;
    assert_eq!(stage.open_files(), Vec::<String>::new());
}

#[tokio::test]
async fn app_that_was_frozen_takes_the_account_back_before_it_has_noticed_anything() {
    let stage = Stage::new();
    let (app, account) = stage.account().await;
    // It does nothing meanwhile, as a frozen one.
    let other = stage.client().await;
    soon(app.resume()).await.unwrap();
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    let lost = other.account(&romeo()).unwrap().send(ItemId::new(), &juliet(), "nothing").await;
    assert_eq!(lost, Err(Error::InUse));
}

#[tokio::test]
async fn list_that_an_extension_follows_waits_until_it_gets_the_account() {
    let stage = Stage::new();
    let (app, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    let extension = stage.extension().await;
    let updates = extension.account(&romeo()).unwrap().conversations().subscribe();
    let waiting = tokio::spawn(async move { updates.next(0).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    soon(app.suspend(PATIENCE)).await;
    soon(extension.resume()).await.unwrap();
    assert_eq!(soon(waiting).await.unwrap().unwrap().splices[0].items.len(), 1);
}

#[tokio::test]
async fn app_that_died_without_a_word_is_not_waited_for() {
    let stage = Stage::new();
    let (app, account) = stage.account().await;
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    // The file as a kill leaves it: the lease is held, and nobody has the pipe open.
    let (database, journal) = (stage.database(), stage.database().with_file_name("account.db-wal"));
    let left = (fs::read(&database).unwrap(), fs::read(&journal).unwrap());
    soon(app.close()).await;
    fs::write(&database, left.0).unwrap();
    fs::write(&journal, left.1).unwrap();
    let extension = stage.extension().await;
    let other = extension.account(&romeo()).unwrap();
    other.send(ItemId::new(), &juliet(), "what light").await.unwrap();
    assert_eq!(texts(&other.timeline(&juliet(), 10).unwrap().items().unwrap()), ["But soft", "what light"]);
}

#[tokio::test]
async fn suspending_wins_over_taking_back_what_another_has() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    // It has not noticed, as if frozen.
    soon(stage.client().await.close()).await;
    let (resumed, ()) = soon(async { tokio::join!(client.resume(), client.suspend(PATIENCE)) }).await;
    assert_eq!(resumed, Err(Error::Suspended));
    assert_eq!(account.send(ItemId::new(), &juliet(), "nothing").await, Err(Error::Suspended));
    assert_eq!(stage.open_files(), Vec::<String>::new());
}

/// An extension may be kept by the system for many pushes.
#[tokio::test(flavor = "multi_thread")]
async fn extension_that_lives_on_connects_as_the_app_has_said_meanwhile() {
    let stage = Stage::new();
    let (app, account, peer) = stage.online().await;
    soon(app.suspend(PATIENCE)).await;
    drop(peer);
    let extension = stage.extension().await;
    let other = extension.account(&romeo()).unwrap();
    other.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    soon(extension.suspend(PATIENCE)).await;
    soon(app.resume()).await.unwrap();
    drop(stage.server.accept_plain());
    let connection = Connection { resource: Some("lute".into()), ..stage.server.connection() };
    app.add_account(romeo(), connection).await.unwrap();
    soon(app.suspend(PATIENCE)).await;
    soon(extension.resume()).await.unwrap();
    other.send(ItemId::new(), &juliet(), "what light").await.unwrap();
    soon(extension.close()).await;
    soon(app.close()).await;
    let app = stage.client().await;
    let account_again = app.account(&romeo()).unwrap();
    assert!(!account_again.is_same(&account));
    account_again.send(ItemId::new(), &juliet(), "through yonder").await.unwrap();
    assert_eq!(
        account_again.connection().and_then(|connection| connection.resource).as_deref(),
        Some("lute")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn extension_that_lives_on_tries_again_what_the_server_took_from_the_app_meanwhile() {
    let stage = Stage::new();
    let (app, account, peer) = stage.online().await;
    soon(app.suspend(PATIENCE)).await;
    drop(peer);
    let extension = stage.extension().await;
    let waking = pushed(&extension, Duration::from_secs(5)).await;
    stage.server.accept().refuse_password();
    assert!(!soon(waking).await.unwrap().unwrap().complete);
    soon(app.resume()).await.unwrap();
    let peer = stage.server.accept_login();
    status_becomes(&account, |status| matches!(status, Status::Online)).await;
    soon(app.suspend(PATIENCE)).await;
    drop(peer);
    let waking = pushed(&extension, Duration::from_secs(5)).await;
    drop(stage.server.accept_plain());
    drop(soon(waking).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn extension_that_lives_on_finds_the_account_that_the_app_has_added() {
    let stage = Stage::new();
    let (app, _) = stage.account().await;
    let extension = stage.extension().await;
    app.add_account(juliet(), stage.server.connection()).await.unwrap();
    soon(app.suspend(PATIENCE)).await;
    let woken = soon(extension.wake_up(&juliet(), Duration::from_secs(1))).await;
    assert!(woken.is_ok(), "{woken:?}");
}
