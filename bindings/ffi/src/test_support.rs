//! Functions that panic, for the tests in each language which prove that a panic arrives as `Bug`.

use crate::{WhimbrelError, guard};

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
