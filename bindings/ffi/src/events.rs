//! What happens to an account, in order.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::{
    Message, NodeItem, Payload, PushState, RequestKind, SendState, SubscriptionState, WhimbrelError,
    counted::Counted, guard,
};

/// What happened, for logs and for notifications of an app that is running. Lists follow their own updates instead, and how the
/// account is doing is its status.
#[allow(clippy::large_enum_variant, reason = "UniFFI has no boxes, and one is looked at at a time")]
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Event {
    /// The session is usable.
    Online {
        /// Whether the server took us back into the last session.
        resumed: bool,
        /// Whether it is the first since the process started or was resumed.
        after_start: bool,
    },
    /// The session is gone or could not be had.
    Offline {
        /// What happened, for a person.
        detail: String,
    },
    /// A message is new here.
    NewMessage {
        /// Which.
        message: Message,
        /// Whether to notify of it, if nobody looks at its conversation: it was not read here or on another device, and its user
        /// wants to be notified of such messages. Whether another device is in use at this moment is not known.
        notify: bool,
    },
    /// A message was corrected, retracted or reacted to: so it is shown now.
    Changed {
        /// It.
        message: Message,
    },
    /// A message of ours came further.
    State {
        /// Which.
        id: String,
        /// The address of whom the conversation is with.
        with: String,
        /// How far.
        state: SendState,
    },
    /// We are asked something in a namespace that the app has claimed, by somebody who may see us. It is to be answered within a
    /// minute.
    Asked {
        /// To be named in the answer.
        asked: i64,
        /// The full address of who asks; nothing: our server.
        from: Option<String>,
        /// How.
        kind: RequestKind,
        /// One element.
        xml: String,
    },
    /// Something in a message that only the app understands is new here.
    NewPayload {
        /// It.
        payload: Payload,
    },
    /// Something in a feed is new, changed or gone.
    FeedChanged {
        /// The address of whose it is.
        of: String,
    },
    /// Items were published to a node that is followed or subscribed to.
    Published {
        /// The address of whose node it is: an account's or a service's.
        of: String,
        /// Its name.
        node: String,
        /// They; of very many the first.
        items: Vec<NodeItem>,
    },
    /// Items of such a node were taken back.
    Retracted {
        /// The address of whose node it is.
        of: String,
        /// Its name.
        node: String,
        /// They; none: all that there were.
        ids: Vec<String>,
    },
    /// Our subscription to a node is another: its owner has approved it, declined it or ended it (XEP-0060 §12.11).
    SubscriptionChanged {
        /// The address of whose node it is.
        of: String,
        /// Its name.
        node: String,
        /// How far it is now.
        state: SubscriptionState,
    },
    /// A change of the password has come to its end.
    Password {
        /// The new one counts; otherwise the old one.
        done: bool,
        /// Why the server did not take it.
        condition: Option<String>,
    },
    /// The registration for push notifications came further.
    Push {
        /// How far.
        state: PushState,
    },
    /// Nothing is missing any more.
    CaughtUp,
    /// The server's answer was larger than can be read: what it was about stays as it was.
    TooLarge {
        /// `roster`, `account`, `archive` or `answer`.
        what: String,
        /// In bytes.
        size: u64,
    },
}

/// A listener. One that falls too far behind misses some; lists never do.
#[derive(Debug, uniffi::Object)]
pub struct Events {
    events: Counted<Arc<Mutex<whimbrel::Events>>>,
    ended: watch::Sender<bool>,
}

impl Events {
    pub(crate) fn new(events: whimbrel::Events) -> Arc<Self> {
        let ended = watch::Sender::new(false);
        Arc::new(Self { events: Counted::new(Arc::new(Mutex::new(events))), ended })
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl Events {
    /// The next one, or nothing when the account is gone.
    pub async fn next(&self) -> Result<Option<Event>, WhimbrelError> {
        let events = self.events.clone();
        let mut ended = self.ended.subscribe();
        guard::task(async move {
            let mut events = events.lock().await;
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    _ = ended.wait_for(|ended| *ended) => return Ok(None),
                };
                match event {
                    None => return Ok(None),
                    Some(event) => {
                        if let Some(event) = told(event) {
                            return Ok(Some(event));
                        }
                    }
                }
            }
        })
        .await
    }

    /// Nobody listens any more: what waits in `next` gets nothing. Where dropping the future does it (Kotlin) nobody has to say so.
    pub fn end(&self) -> Result<(), WhimbrelError> {
        guard::sync(|| {
            self.ended.send_replace(true);
            Ok(())
        })
    }
}

/// Progress is in the status, and raw stanzas are for consoles.
fn told(event: whimbrel::Event) -> Option<Event> {
    Some(match event {
        whimbrel::Event::Online { resumed, after_start, .. } => Event::Online { resumed, after_start },
        whimbrel::Event::Offline { detail, .. } => Event::Offline { detail },
        whimbrel::Event::Message { message, notify } => Event::NewMessage { message: message.into(), notify },
        whimbrel::Event::Changed(message) => Event::Changed { message: message.into() },
        whimbrel::Event::State { id, with, state } => {
            Event::State { id: id.0, with: with.to_string(), state: state.into() }
        }
        whimbrel::Event::Asked { id, from, kind, payload } => Event::Asked {
            asked: id.0,
            from: from.map(|from| from.to_string()),
            kind: kind.into(),
            xml: payload,
        },
        whimbrel::Event::Payload(payload) => Event::NewPayload { payload: payload.into() },
        whimbrel::Event::Feed { of } => Event::FeedChanged { of: of.to_string() },
        whimbrel::Event::Password(whimbrel::PasswordChange::Done) => {
            Event::Password { done: true, condition: None }
        }
        whimbrel::Event::Password(whimbrel::PasswordChange::Refused { condition }) => {
            Event::Password { done: false, condition: Some(condition) }
        }
        whimbrel::Event::Push(state) => Event::Push { state: state.into() },
        whimbrel::Event::CaughtUp => Event::CaughtUp,
        whimbrel::Event::TooLarge { what, size } => Event::TooLarge { what, size },
        whimbrel::Event::Published { from, node, items } => Event::Published {
            of: from.to_string(),
            node,
            items: items.into_iter().map(Into::into).collect(),
        },
        whimbrel::Event::Retracted { from, node, ids } => {
            Event::Retracted { of: from.to_string(), node, ids }
        }
        whimbrel::Event::Subscription { from, node, state } => {
            Event::SubscriptionChanged { of: from.to_string(), node, state: state.into() }
        }
        whimbrel::Event::Progress { .. } | whimbrel::Event::Raw { .. } => return None,
    })
}
