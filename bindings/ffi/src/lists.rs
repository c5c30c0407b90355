//! Lists that an app follows: a timeline, the conversations, the contacts.
//!
//! UniFFI has no generics: each list has its own update, splice and subscription, all of one shape.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{Contact, Conversation, Item, WhimbrelError, counted::Counted, guard};

/// Writes out what follows a list of one kind of line.
macro_rules! followed {
    ($line:ident, $update:ident, $splice:ident, $subscription:ident) => {
        /// Remove `removed` lines at `at`, then insert `items` there.
        #[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
        pub struct $splice {
            /// Where, after the splices before this one.
            pub at: u32,
            /// How many lines go.
            pub removed: u32,
            /// What comes in their place.
            pub items: Vec<$line>,
        }

        /// A change of a list. Its splices are applied in order, as one.
        #[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
        pub struct $update {
            /// To be given to the next call of `next`.
            pub seq: u64,
            /// What to do.
            pub splices: Vec<$splice>,
        }

        /// One listener's view of a list. The listener pulls: nothing is kept for one that does not ask.
        #[derive(Debug, uniffi::Object)]
        pub struct $subscription {
            subscription: Counted<Arc<whimbrel::Subscription<whimbrel::$line>>>,
            ended: watch::Sender<bool>,
        }

        impl $subscription {
            fn new(subscription: whimbrel::Subscription<whimbrel::$line>) -> Arc<Self> {
                let ended = watch::Sender::new(false);
                Arc::new(Self { subscription: Counted::new(Arc::new(subscription)), ended })
            }
        }

        #[uniffi::export(async_runtime = "tokio")]
        impl $subscription {
            /// Waits until the list is another than the one that the update `after` led to, and says how. 0 is the empty list
            /// before the first update, which comes at once. Safe to cancel, and to call again with the same `after`. Only the
            /// newest call is answered.
            ///
            /// Fails with `InvalidInput` for an `after` that is neither the last update's nor the one's before, and with
            /// `Closed`, also where the listener has called again meanwhile. While the account is suspended, or its file cannot be
            /// opened for whatever reason its status tells, it waits.
            pub async fn next(&self, after: u64) -> Result<$update, WhimbrelError> {
                let subscription = self.subscription.clone();
                let mut ended = self.ended.subscribe();
                #[cfg(feature = "test-support")]
                let after = crate::test_support::again(after);
                guard::task(async move {
                    let whimbrel::Update { seq, splices } = tokio::select! {
                        update = subscription.next(after) => update?,
                        _ = ended.wait_for(|ended| *ended) => return Err(WhimbrelError::Closed),
                    };
                    let splices = splices.into_iter().map(|whimbrel::Splice { at, removed, items }| {
                        $splice { at, removed, items: items.into_iter().map(Into::into).collect() }
                    });
                    Ok($update { seq, splices: splices.collect() })
                })
                .await
            }

            /// Nobody listens any more: what waits in `next` fails with `Closed`. Where dropping the future does it (Kotlin) nobody
            /// has to say so.
            pub fn end(&self) -> Result<(), WhimbrelError> {
                guard::sync(|| {
                    self.ended.send_replace(true);
                    Ok(())
                })
            }
        }
    };
}

followed!(Item, TimelineUpdate, TimelineSplice, TimelineSubscription);
followed!(Conversation, ConversationUpdate, ConversationSplice, ConversationSubscription);
followed!(Contact, ContactUpdate, ContactSplice, ContactSubscription);

/// A window of a conversation. It reaches from some message to the newest, or, where it was opened at a message, to another.
#[derive(Debug, uniffi::Object)]
pub struct Timeline {
    timeline: Counted<whimbrel::Timeline>,
}

impl Timeline {
    pub(crate) fn new(timeline: whimbrel::Timeline) -> Arc<Self> {
        Arc::new(Self { timeline: Counted::new(timeline) })
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
    pub fn subscribe(&self) -> Result<Arc<TimelineSubscription>, WhimbrelError> {
        guard::sync(|| Ok(TimelineSubscription::new(self.timeline.subscribe())))
    }

    /// The local time's offset from UTC in minutes, for day separators. 0 until told.
    pub fn set_utc_offset(&self, minutes: i32) -> Result<(), WhimbrelError> {
        guard::sync(|| {
            self.timeline.set_utc_offset(minutes);
            Ok(())
        })
    }

    /// Shows up to `limit` older messages: from the file, and where it has fewer, from the server's archive. Returns
    /// whether there may be more. Fails where the file has no more and the archive cannot be asked: with `Offline`, `TimedOut` or
    /// `ServerRefused`.
    pub async fn older(&self, limit: u32) -> Result<bool, WhimbrelError> {
        let timeline = self.timeline.clone();
        guard::task(async move { Ok(timeline.older(limit).await?) }).await
    }

    /// Shows up to `limit` newer messages, where it does not reach to the newest, as it was opened at a message. Returns whether
    /// there are more; once there are none it shows whatever comes.
    pub async fn newer(&self, limit: u32) -> Result<bool, WhimbrelError> {
        let timeline = self.timeline.clone();
        guard::task(async move { Ok(timeline.newer(limit)?) }).await
    }
}

/// All conversations of an account: the pinned ones first, the archived ones last, among each the newest first.
#[derive(Debug, uniffi::Object)]
pub struct ConversationList {
    list: Counted<whimbrel::ConversationList>,
}

impl ConversationList {
    pub(crate) fn new(list: whimbrel::ConversationList) -> Arc<Self> {
        Arc::new(Self { list: Counted::new(list) })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl ConversationList {
    /// What is shown now.
    pub async fn items(&self) -> Result<Vec<Conversation>, WhimbrelError> {
        let list = self.list.clone();
        guard::task(async move { Ok(list.items()?.into_iter().map(Into::into).collect()) }).await
    }

    /// Follows what is shown.
    pub fn subscribe(&self) -> Result<Arc<ConversationSubscription>, WhimbrelError> {
        guard::sync(|| Ok(ConversationSubscription::new(self.list.subscribe())))
    }
}

/// The roster of an account (RFC 6121 §2) and who asks to be in it, by address.
#[derive(Debug, uniffi::Object)]
pub struct ContactList {
    list: Counted<whimbrel::ContactList>,
}

impl ContactList {
    pub(crate) fn new(list: whimbrel::ContactList) -> Arc<Self> {
        Arc::new(Self { list: Counted::new(list) })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl ContactList {
    /// What is shown now.
    pub async fn items(&self) -> Result<Vec<Contact>, WhimbrelError> {
        let list = self.list.clone();
        guard::task(async move { Ok(list.items()?.into_iter().map(Into::into).collect()) }).await
    }

    /// Follows what is shown.
    pub fn subscribe(&self) -> Result<Arc<ContactSubscription>, WhimbrelError> {
        guard::sync(|| Ok(ContactSubscription::new(self.list.subscribe())))
    }
}
