//! For the tests in each language: functions that panic, which has to arrive as `Bug`, and how many objects are held.

use crate::{WhimbrelError, counted, guard};

/// Panics.
#[uniffi::export]
pub fn panic_sync() -> Result<(), WhimbrelError> {
    guard::sync(|| panic!("on purpose"))
}

/// Panics, after it has waited.
#[uniffi::export(async_runtime = "tokio")]
pub async fn panic_async() -> Result<(), WhimbrelError> {
    guard::task(async {
        tokio::task::yield_now().await;
        panic!("on purpose, later")
    })
    .await
}

/// How many objects of this library the other language holds.
#[uniffi::export]
pub fn held_objects() -> Result<i64, WhimbrelError> {
    guard::sync(|| Ok(counted::held()))
}
