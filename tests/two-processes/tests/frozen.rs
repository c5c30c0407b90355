//! A process that is frozen in the middle of a transaction, or beside one, as an app and its extension see it that come over
//! the public API (HOSTILE, "The device").

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use two_processes::{
    JULIET, ROMEO,
    actor::{Actor, Fate},
    secret,
};
use whimbrel::{Address, Client, Connection, Error, ItemId, KeyVault, Options, Role, Scope, Status};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
/// For what would hang for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has the secret that the actor has.
#[derive(Debug)]
struct Vault;

impl KeyVault for Vault {
    fn load(&self, _: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(Some(secret().0.to_vec()))
    }

    fn store(&self, _: &str, _: &[u8], _: Scope) -> Result<(), Error> {
        Ok(())
    }

    fn delete(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// A phone with one account, which nobody has open.
struct Phone {
    dir: TempDir,
    lives: u64,
}

impl Phone {
    async fn new() -> Self {
        let phone = Self { dir: tempfile::tempdir().unwrap(), lives: 0 };
        let client = phone.client(Role::App).await;
        client.add_account(romeo(), Connection::default()).await.unwrap();
        client.close().await;
        phone
    }

    async fn client(&self, role: Role) -> Client {
        let options = Options { role, ..Options::default() };
        Client::open(self.dir.path(), Arc::new(Vault), options).await.unwrap()
    }

    fn home(&self) -> PathBuf {
        std::fs::read_dir(self.dir.path().join("accounts")).unwrap().next().unwrap().unwrap().path()
    }

    /// Another process, which is stopped when it sends, at a statement that `fits`.
    fn frozen(&mut self, fits: impl Fn(&str, bool) -> bool) -> Actor {
        for at in 1.. {
            self.lives += 1;
            let mut actor = Actor::start(ACTOR, &self.home(), self.lives, Some((Fate::Stopped, at)));
            let told = [open(), send(self.lives)];
            let mut caught = None;
            for line in &told {
                if let Err(there) = actor.ask(line) {
                    caught = Some((line, there));
                    break;
                }
            }
            let (line, caught) = caught.expect("it is caught somewhere");
            if line == &told[1] && fits(&caught.statement, caught.writing) {
                return actor;
            }
            actor.go_on();
        }
        unreachable!("it ends with what does not fit");
    }
}

fn open() -> Value {
    json!({ "open": "app" })
}

fn send(number: u64) -> Value {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let input = json!({ "in": "send", "request": 1, "id": id, "text": "by the frozen one" });
    json!({ "turn": [input], "now": 0 })
}

fn romeo() -> Address {
    ROMEO.parse().unwrap()
}

fn juliet() -> Address {
    JULIET.parse().unwrap()
}

fn in_use(client: &Client) -> bool {
    let status = client.account(&romeo()).unwrap().status();
    matches!(status, Status::Offline { reason: Some(Error::InUse), .. })
}

/// Whether it was sent, as the process says that sent it.
fn is_durable(answer: &Value) -> bool {
    answer["did"].as_array().unwrap().iter().any(|did| did["reply"] == 1 && did["error"].is_null())
}

fn on_tokio(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("it hangs") });
}

mod hostile {
    use super::*;

    #[test]
    fn suspended_mid_transaction() {
        on_tokio(async {
            let mut phone = Phone::new().await;
            let mut frozen = phone.frozen(|statement, writing| writing && statement.starts_with("INSERT"));
            // Whoever comes is told in time, and leaves no trace.
            for role in [Role::Extension, Role::App] {
                let client = phone.client(role).await;
                let account = client.account(&romeo()).unwrap();
                assert_eq!(account.send(ItemId::new(), &juliet(), "nothing").await, Err(Error::InUse));
                assert!(in_use(&client), "{role:?}");
                client.close().await;
            }
            // A day later it goes on as if nothing had been, and is suspended.
            let answer = frozen.go_on();
            assert!(is_durable(&answer), "{answer}");
            frozen.ask(&json!({ "close": true })).unwrap();
            let client = phone.client(Role::Extension).await;
            let account = client.account(&romeo()).unwrap();
            account.send(ItemId::new(), &juliet(), "by the extension").await.unwrap();
            client.suspend(PATIENCE).await;
            // No lock is held, in whatever way: the whole file is to be had at once.
            let file = whimbrel_engine::store::open(&phone.home().join("account.db"), &secret()).unwrap();
            file.busy_timeout(Duration::ZERO).unwrap();
            file.execute_batch("BEGIN EXCLUSIVE; COMMIT").unwrap();
            let last: String = file
                .query_row("SELECT body FROM message ORDER BY position DESC, id DESC", [], |row| row.get(0))
                .unwrap();
            assert_eq!(last, "by the extension");
        });
    }
}

#[test]
fn extension_goes_on_beside_a_process_that_was_frozen_between_transactions() {
    on_tokio(async {
        let mut phone = Phone::new().await;
        let mut frozen = phone.frozen(|statement, writing| !writing && statement.starts_with("BEGIN"));
        let client = phone.client(Role::Extension).await;
        let account = client.account(&romeo()).unwrap();
        account.send(ItemId::new(), &juliet(), "by the extension").await.unwrap();
        let before = account.timeline(&juliet(), 100).unwrap().items().unwrap();
        let answer = frozen.go_on();
        assert!(!is_durable(&answer), "{answer}");
        assert_eq!(answer["lost"], true);
        assert_eq!(account.timeline(&juliet(), 100).unwrap().items().unwrap(), before);
        account.send(ItemId::new(), &juliet(), "and again").await.unwrap();
    });
}
