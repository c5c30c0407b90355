//! A conversation, and how to follow it.

use std::sync::Arc;

use crate::{Item, Update, WhimbrelError, guard};

/// A window of a conversation that reaches from some message to the newest.
#[derive(Debug, uniffi::Object)]
pub struct Timeline {
    timeline: whimbrel::Timeline,
}

impl Timeline {
    pub(crate) fn new(timeline: whimbrel::Timeline) -> Arc<Self> {
        Arc::new(Self { timeline })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl Timeline {
    /// What is shown now, oldest first. To follow it, subscribe: the first update is this list.
    pub async fn items(&self) -> Result<Vec<Item>, WhimbrelError> {
        let timeline = self.timeline.clone();
        guard::task(async move { Ok(timeline.items()?.into_iter().map(Into::into).collect()) }).await
    }

    /// Follows what is shown.
    pub fn subscribe(&self) -> Result<Arc<Subscription>, WhimbrelError> {
        guard::sync(|| Ok(Arc::new(Subscription { subscription: Arc::new(self.timeline.subscribe()) })))
    }

    /// Shows up to `limit` older messages: from the file, and where it has fewer, from the server's archive. Returns
    /// whether there may be more. Fails with `Offline` where the file has no more and the archive cannot be asked, or
    /// `ServerRefused`.
    pub async fn older(&self, limit: u32) -> Result<bool, WhimbrelError> {
        let timeline = self.timeline.clone();
        guard::task(async move { Ok(timeline.older(limit).await?) }).await
    }
}

/// One listener's view of a timeline. The listener pulls: nothing is kept for one that does not ask.
#[derive(Debug, uniffi::Object)]
pub struct Subscription {
    subscription: Arc<whimbrel::Subscription<whimbrel::Item>>,
}

#[uniffi::export(async_runtime = "tokio")]
impl Subscription {
    /// Waits until the list is another than the one that the update `after` led to, and says how. 0 is the empty list
    /// before the first update, which comes at once. Safe to cancel, and to call again with the same `after`.
    ///
    /// Fails with `InvalidInput` for an `after` that is neither the last update's nor the one's before, and with `Closed`.
    /// While the account is suspended it waits.
    pub async fn next(&self, after: u64) -> Result<Update, WhimbrelError> {
        let subscription = Arc::clone(&self.subscription);
        guard::task(async move { Ok(subscription.next(after).await?.into()) }).await
    }
}
