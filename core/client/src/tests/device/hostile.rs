//! Files that are not what they should be: refused, said so, and left where they are.

use crate::tests::*;

/// Another account's file, and what lies beside it, in the place of the first one's.
fn swap(homes: &[std::path::PathBuf; 2]) {
    let [first, second] = homes;
    for ending in ["account.db", "account.db-wal", "account.db-shm"] {
        let _ = fs::remove_file(first.join(ending));
        let _ = fs::copy(second.join(ending), first.join(ending));
    }
}

#[tokio::test]
async fn database_swapped() {
    let stage = Stage::new();
    let client = stage.client().await;
    let nurse: Address = "nurse@capulet.lit".parse().unwrap();
    let mut homes = Vec::new();
    for (account, text) in [(romeo(), "his"), (juliet(), "hers")] {
        let account = client.add_account(account, stage.server.connection()).await.unwrap();
        account.send(ItemId::new(), &nurse, text).await.unwrap();
        homes.push(account.home().dir.clone());
    }
    client.close().await;
    let homes: [_; 2] = homes.try_into().unwrap();
    let his = fs::read(homes[0].join("account.db")).unwrap();
    swap(&homes);
    let hers = fs::read(homes[0].join("account.db")).unwrap();
    // Each under its own key: it does not fit.
    let client = stage.client().await;
    let account = client.account(&romeo()).unwrap();
    assert!(matches!(
        account.timeline(&nurse, 10).unwrap_err(),
        Error::DatabaseUnusable { why: Unusable::WrongKey }
    ));
    client.close().await;
    // Under one key for all: it opens, and is seen to be another's.
    {
        let mut entries = stage.keychain.entries.lock().unwrap();
        let name = |home: &Path| format!("database-{}", home.file_name().unwrap().to_string_lossy());
        let key = entries[&name(&homes[1])].clone();
        entries.insert(name(&homes[0]), key);
    }
    let client = stage.client().await;
    let account = client.account(&romeo()).unwrap();
    let refused = Error::DatabaseUnusable { why: Unusable::Corrupt };
    assert_eq!(account.timeline(&nurse, 10).unwrap_err(), refused);
    assert_eq!(account.send(ItemId::new(), &nurse, "mine").await, Err(refused.clone()));
    assert_eq!(client.add_account(romeo(), stage.server.connection()).await.map(drop), Err(refused));
    // The other account is not disturbed, and nothing was written over.
    let other = client.account(&juliet()).unwrap();
    assert_eq!(texts(&other.timeline(&nurse, 10).unwrap().items().unwrap()), ["hers"]);
    assert!(fs::read(homes[0].join("account.db")).unwrap() == hers);
    // Starting over sets it aside.
    let account = client.start_over(&romeo()).await.unwrap();
    assert!(account.timeline(&nurse, 10).unwrap().items().unwrap().is_empty());
    let aside = fs::read_dir(&homes[0]).unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        entry.file_name().to_string_lossy().ends_with("-account.db").then(|| fs::read(entry.path()).unwrap())
    });
    assert!(aside.collect::<Vec<_>>() == [hers]);
    assert!(!his.is_empty());
}
