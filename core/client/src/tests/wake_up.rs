//! A push has come.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn push_finds_a_stalled_server_and_the_account_is_suspended_as_before() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    drop(peer);
    soon(client.suspend(PATIENCE)).await;
    for _ in 0..2 {
        let waking = pushed(&client, Duration::from_secs(1)).await;
        let silent = stage.server.accept_plain();
        assert_eq!(soon(waking).await.unwrap(), Ok(WakeUp::default()));
        stage.has_closed().await;
        assert_eq!(account.send(ItemId::new(), &juliet(), "But soft").await, Err(Error::Suspended));
        drop(silent);
    }
    soon(client.resume()).await.unwrap();
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_the_app_wants_meanwhile_goes_on_and_one_that_nobody_wants_does_not() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    drop(peer);
    for meanwhile in ["resumed", "connected", ""] {
        soon(client.suspend(PATIENCE)).await;
        let waking = pushed(&client, PATIENCE).await;
        let connected = stage.server.accept_plain();
        match meanwhile {
            "resumed" => soon(client.resume()).await.unwrap(),
            "connected" => soon(account.connect()).await.unwrap(),
            _ => {}
        }
        // The system has lost patience.
        waking.abort();
        assert!(waking.await.unwrap_err().is_cancelled());
        let sent = account.send(ItemId::new(), &juliet(), "But soft").await;
        assert_eq!(sent.is_ok(), !meanwhile.is_empty(), "{meanwhile}: {sent:?}");
        drop(connected);
    }
}

#[tokio::test]
async fn account_that_the_app_has_disconnected_runs_on_and_stays_offline() {
    let stage = Stage::new();
    let (client, account, _peer) = stage.online().await;
    account.disconnect().await.unwrap();
    assert_eq!(soon(client.wake_up(&romeo(), PATIENCE)).await, Ok(WakeUp::default()));
    account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
    assert!(matches!(account.status(), Status::Offline { reason: None, next_attempt: None, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn process_that_a_push_has_started_leaves_nothing_open() {
    let stage = Stage::new();
    let (client, _, peer) = stage.online().await;
    client.close().await;
    drop(peer);
    let client = stage.extension().await;
    let waking = pushed(&client, Duration::from_secs(1)).await;
    let _silent = stage.server.accept_plain();
    assert_eq!(soon(waking).await.unwrap(), Ok(WakeUp::default()));
    stage.has_closed().await;
    assert_eq!(client.wake_up(&juliet(), PATIENCE).await, Err(Error::NotFound));
    client.close().await;
    assert_eq!(client.wake_up(&romeo(), PATIENCE).await, Err(Error::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_the_app_has_disconnected_and_suspended_stays_offline() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    account.disconnect().await.unwrap();
    drop(peer);
    soon(client.suspend(PATIENCE)).await;
    assert_eq!(soon(client.wake_up(&romeo(), Duration::from_secs(2))).await, Ok(WakeUp::default()));
    assert!(stage.server.try_accept().is_none());
    assert_eq!(account.send(ItemId::new(), &juliet(), "But soft").await, Err(Error::Suspended));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_push_that_was_broken_off_has_brought_is_told_by_the_next() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    drop(peer);
    soon(client.suspend(PATIENCE)).await;
    let broken_off = pushed(&client, PATIENCE).await;
    let mut peer = stage.server.accept_login();
    peer.say(&message("It is the east"));
    let conversations = account.conversations();
    while !conversations.items().is_ok_and(|all| all.iter().any(|one| one.unread > 0)) {
        tokio::task::yield_now().await;
    }
    soon(client.suspend(PATIENCE)).await;
    assert_eq!(soon(broken_off).await.unwrap(), Err(Error::Suspended));
    drop(peer);
    let next = pushed(&client, Duration::from_secs(1)).await;
    let _silent = stage.server.accept_plain();
    let told = soon(next).await.unwrap().unwrap();
    let told: Vec<&str> = told.notify.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(told, ["It is the east"]);
}

/// The engine takes it for told once it was asked: whoever breaks it off while it hangs up has not heard it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_push_has_brought_is_told_by_the_next_where_it_was_broken_off_at_its_very_end() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    drop(peer);
    soon(client.suspend(PATIENCE)).await;
    let broken_off = pushed(&client, Duration::from_secs(3)).await;
    let mut peer = stage.server.accept_login();
    peer.say(&message("It is the east"));
    // It has asked for what is new, and waits for a peer that does not hang up.
    while account.send(ItemId::new(), &juliet(), "But soft").await != Err(Error::Suspended) {
        tokio::task::yield_now().await;
    }
    broken_off.abort();
    let first = broken_off.await.ok().and_then(Result::ok);
    // As the system says once more that the time is over.
    soon(client.suspend(PATIENCE)).await;
    drop(peer);
    let next = pushed(&client, Duration::from_secs(1)).await;
    let _silent = stage.server.accept_plain();
    let told = first.into_iter().chain(soon(next).await.unwrap());
    let told: Vec<String> = told.flat_map(|woken| woken.notify).map(|message| message.text).collect();
    assert_eq!(told, ["It is the east"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_was_disconnected_in_an_earlier_process_stays_offline() {
    let stage = Stage::new();
    let (client, account, peer) = stage.online().await;
    account.disconnect().await.unwrap();
    client.close().await;
    drop(peer);
    for is_app in [false, true] {
        let client = if is_app { stage.client().await } else { stage.extension().await };
        assert_eq!(soon(client.wake_up(&romeo(), Duration::from_secs(2))).await, Ok(WakeUp::default()));
        assert!(stage.server.try_accept().is_none());
        soon(client.close()).await;
    }
    // Until its user wants it again.
    let client = stage.client().await;
    client.account(&romeo()).unwrap().connect().await.unwrap();
    let _peer = stage.server.accept_plain();
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_the_app_shows_is_not_suspended_though_nobody_has_connected_it() {
    let stage = Stage::new();
    let (client, _, peer) = stage.online().await;
    client.close().await;
    drop(peer);
    let client = stage.client().await;
    soon(client.resume()).await.unwrap();
    let waking = pushed(&client, Duration::from_secs(1)).await;
    let _silent = stage.server.accept_plain();
    soon(waking).await.unwrap().unwrap();
    client.account(&romeo()).unwrap().send(ItemId::new(), &juliet(), "But soft").await.unwrap();
}

/// The system ends a process that is suspended with a file of a shared container open.
#[tokio::test(flavor = "multi_thread")]
async fn file_is_closed_before_a_peer_has_hung_up_that_is_gone() {
    let stage = Stage::new();
    let (client, _, peer) = stage.online().await;
    drop(peer);
    soon(client.suspend(PATIENCE)).await;
    let waking = pushed(&client, Duration::from_secs(2)).await;
    let _silent = stage.server.accept_login();
    soon(waking).await.unwrap().unwrap();
    assert_eq!(stage.open_files(), Vec::<String>::new());
}
