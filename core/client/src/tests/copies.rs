//! A file that was copied is not the one that the server's session belongs to (DESIGN, "A copy is not the original").

use super::*;

/// What of a phone travels: the files, and of the keychain what is no secret of the device.
struct Backup {
    database: Vec<u8>,
    secret: (String, Vec<u8>),
}

impl Stage {
    /// Of a phone that is suspended.
    fn back_up(&self) -> Backup {
        let entries = self.keychain.entries.lock().unwrap();
        let mut secrets = entries.iter().filter(|(name, _)| name.starts_with("database-"));
        let (name, bytes) = secrets.next().unwrap();
        Backup { database: fs::read(self.database()).unwrap(), secret: (name.clone(), bytes.clone()) }
    }

    /// How the app finds it, and whether it asked its server to go on with the session in it.
    async fn returns(&self, before: &str) -> (Account, bool) {
        let (client, account) = self.account().await;
        account.send(ItemId::new(), &juliet(), before).await.unwrap();
        account.connect().await.unwrap();
        let mut peer = self.server.accept();
        peer.log_in();
        let resumes = peer.resumes;
        // Kept from being closed before it was looked at.
        drop((client, peer));
        (account, resumes)
    }

    fn user_agent(&self) -> String {
        let entries = self.keychain.entries.lock().unwrap();
        let secret = entries.iter().find(|(name, _)| name.starts_with("database-")).unwrap().1.clone();
        let secret = whimbrel_engine::store::Secret(secret.try_into().unwrap());
        let file = whimbrel_engine::store::open_reader(&self.database(), &secret).unwrap();
        file.query_row("SELECT user_agent_id FROM account", [], |row| row.get(0)).unwrap()
    }
}

#[tokio::test]
async fn original_goes_on_with_its_session_however_often_it_was_opened() {
    let stage = Stage::new();
    let (client, _, _peer) = stage.online().await;
    let agent = stage.user_agent();
    soon(client.suspend(PATIENCE)).await;
    for _ in 0..3 {
        let client = stage.client().await;
        soon(client.close()).await;
    }
    assert!(stage.returns("But soft").await.1);
    assert_eq!(stage.user_agent(), agent);
}

#[tokio::test]
async fn killed_between_the_file_and_the_vault_it_is_still_the_original() {
    let stage = Stage::new();
    let (client, _, _peer) = stage.online().await;
    soon(client.suspend(PATIENCE)).await;
    let before = stage.keychain.entries.lock().unwrap().clone();
    let client = stage.client().await;
    soon(client.close()).await;
    // The vault has not heard of that opening.
    *stage.keychain.entries.lock().unwrap() = before;
    assert!(stage.returns("But soft").await.1);
}

mod hostile {
    use super::*;

    #[tokio::test]
    async fn restored_backup() {
        let stage = Stage::new();
        let (client, account, peer) = stage.online().await;
        let agent = stage.user_agent();
        soon(client.suspend(PATIENCE)).await;
        drop(peer);
        let backup = stage.back_up();
        soon(client.resume()).await.unwrap();
        let mut peer = stage.server.accept();
        peer.log_in();
        assert!(peer.resumes);
        account.send(ItemId::new(), &juliet(), "But soft").await.unwrap();
        soon(client.close()).await;
        drop(peer);
        fs::write(stage.database(), &backup.database).unwrap();
        let (account, resumes) = stage.returns("what light").await;
        assert!(!resumes, "a session that is older than the server's");
        assert_ne!(stage.user_agent(), agent);
        // What is in it is there, and it works.
        assert_eq!(texts(&account.timeline(&juliet(), 10).unwrap().items().unwrap()), ["what light"]);
    }

    #[tokio::test]
    async fn cloned_phone() {
        let stage = Stage::new();
        let (client, _, peer) = stage.online().await;
        soon(client.suspend(PATIENCE)).await;
        drop(peer);
        let backup = stage.back_up();
        let clone = Stage::new();
        clone.account().await.0.close().await;
        fs::write(clone.database(), &backup.database).unwrap();
        clone.keychain.entries.lock().unwrap().clear();
        clone.keychain.entries.lock().unwrap().insert(backup.secret.0, backup.secret.1);
        assert!(!clone.returns("what light").await.1, "another phone's session");
        assert_ne!(clone.user_agent(), stage.user_agent());
        // Once it is at home there, it is an original of its own.
        let client = clone.client().await;
        soon(client.close()).await;
        // And the first one still is what it was.
        assert!(stage.returns("But soft").await.1);
    }
}
