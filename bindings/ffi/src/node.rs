//! Nodes (XEP-0060): a place under a name where items are published, of an account or of a service.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Account, Form, WhimbrelError,
    counted::Counted,
    error::{address, full_address},
    guard,
    services::mirrored,
};

/// A node of our own account, of somebody else's, or of a publish-subscribe service. Whatever is asked of it needs a connection, and
/// waits for its answer: it fails with `Offline`, `TimedOut` or `ServerRefused`.
#[derive(Debug, uniffi::Object)]
pub struct Node {
    node: Counted<whimbrel::Node>,
}

/// Some items of a node.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct NodePage {
    /// In the node's own order.
    pub items: Vec<NodeItem>,
    /// Behind what to ask for others, where the service tells that there are any.
    pub next: Option<String>,
}

/// An item of a node.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct NodeItem {
    /// Unique within the node.
    pub id: String,
    /// An element with its namespace, where the node's notifications have it.
    pub payload: Option<String>,
}

/// What somebody may do with a node.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct NodeAffiliation {
    /// The address of who.
    pub jid: String,
    /// What.
    pub affiliation: Affiliation,
}

/// Somebody's subscription to a node.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct NodeSubscription {
    /// The node's name.
    pub node: String,
    /// The address of whose it is: an account, or one of its devices.
    pub jid: String,
    /// How far it is.
    pub state: SubscriptionState,
}

mirrored! {
    /// How far a subscription to a node is (XEP-0060 §4.2).
    SubscriptionState {
        /// There is none.
        None,
        /// The node's owner has to approve it first.
        Pending,
        /// Its options have to be set first (XEP-0060 §6.3).
        Unconfigured,
        /// What happens to the node is told.
        Subscribed,
    }
}

mirrored! {
    /// What somebody may do with a node (XEP-0060 §4.1).
    Affiliation {
        /// Everything.
        Owner,
        /// Publish and read.
        Publisher,
        /// Publish and not read.
        PublishOnly,
        /// Read where not everybody may.
        Member,
        /// Nothing special.
        None,
        /// Nothing.
        Outcast,
    }
}

/// How a node is that is for one's own devices only, and kept (XEP-0223): names without `pubsub#`, and values (XEP-0060 §16.4.4).
#[uniffi::export]
pub fn private_node() -> Result<HashMap<String, String>, WhimbrelError> {
    guard::sync(|| Ok(map(whimbrel::NodeOptions::private())))
}

/// The same of one that is for everybody, and kept (XEP-0222).
#[uniffi::export]
pub fn public_node() -> Result<HashMap<String, String>, WhimbrelError> {
    guard::sync(|| Ok(map(whimbrel::NodeOptions::public())))
}

#[uniffi::export(async_runtime = "tokio")]
impl Account {
    /// A node of this address, which is an account's or a publish-subscribe service's; nothing: our own (XEP-0163). It need not be
    /// there yet.
    pub fn node(&self, name: String, of: Option<String>) -> Result<Arc<Node>, WhimbrelError> {
        guard::sync(|| {
            let node = match of {
                Some(of) => self.account.node_of(&full_address(&of)?, &name),
                None => self.account.node(&name),
            };
            Ok(Arc::new(Node { node: Counted::new(node) }))
        })
    }

    /// Our subscriptions to nodes of a publish-subscribe service or of an account (XEP-0060 §5.6): to all of them, or to one. A device
    /// may have one of its own. Fails with `Offline`, `TimedOut`, `ServerRefused`.
    pub async fn subscriptions_at(
        &self,
        service: String,
        node: Option<String>,
    ) -> Result<Vec<NodeSubscription>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            let all = account.subscriptions_at(&full_address(&service)?, node.as_deref()).await?;
            Ok(all.into_iter().map(Into::into).collect())
        })
        .await
    }

    /// What we may do with nodes of a publish-subscribe service or of an account (XEP-0060 §5.7), by their names: with all of them, or
    /// with one. Where it is nothing special most services leave it out. Fails as `subscriptions_at`.
    pub async fn affiliations_at(
        &self,
        service: String,
        node: Option<String>,
    ) -> Result<HashMap<String, Affiliation>, WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move {
            let all = account.affiliations_at(&full_address(&service)?, node.as_deref()).await?;
            Ok(all.into_iter().map(|(node, affiliation)| (node, affiliation.into())).collect())
        })
        .await
    }

    /// From now on tells what contacts and our other devices publish to their nodes of this name (XEP-0163 §4.3), as `Published` and
    /// `Retracted`; or no longer. Returns when it is durable. Fails with `InvalidInput` for a name of no or more than 1024 bytes, or
    /// the hundred-and-first.
    pub async fn follow(&self, node: String, on: bool) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.follow(&node, on).await?) }).await
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl Node {
    /// Publishes an element under this id, in place of what has it; without one the service makes it. Returns the id.
    ///
    /// With `options` the node is as they say, or nothing is published: it is made so or changed once. Fails also with
    /// `InvalidInput` where the payload is not one well-formed element, or larger than the server takes.
    pub async fn publish(
        &self,
        payload: String,
        id: Option<String>,
        options: HashMap<String, String>,
    ) -> Result<String, WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.publish(id.as_deref(), &payload, core(options)).await?) }).await
    }

    /// Up to `limit` items, those behind `after`, which a page before has as its `next`. A service without pages gives all that it
    /// has, or the newest.
    pub async fn items(&self, limit: u32, after: Option<String>) -> Result<NodePage, WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move {
            let whimbrel::NodePage { items, next } = node.items(limit, after.as_deref()).await?;
            Ok(NodePage { items: items.into_iter().map(Into::into).collect(), next })
        })
        .await
    }

    /// The item of this id, if there is one.
    pub async fn item(&self, id: String) -> Result<Option<NodeItem>, WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.item(&id).await?.map(Into::into)) }).await
    }

    /// Takes an item back.
    pub async fn retract(&self, id: String) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.retract(&id).await?) }).await
    }

    /// Takes all items back.
    pub async fn purge(&self) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.purge().await?) }).await
    }

    /// Makes it.
    pub async fn create(&self, options: HashMap<String, String>) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.create(core(options)).await?) }).await
    }

    /// Deletes it, with its items.
    pub async fn delete(&self) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.delete().await?) }).await
    }

    /// Changes how it is; what is not named stays.
    pub async fn configure(&self, options: HashMap<String, String>) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.configure(core(options)).await?) }).await
    }

    /// How it is.
    pub async fn configuration(&self) -> Result<HashMap<String, String>, WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(map(node.configuration().await?)) }).await
    }

    /// Tells of it from now on, as `Published` and `Retracted` (XEP-0060 §6.1). Returns how far that is: pending where its owner has
    /// to approve it first, and what comes of that is told by `SubscriptionChanged`; unconfigured where it waits for
    /// `configure_subscription`.
    pub async fn subscribe(&self) -> Result<SubscriptionState, WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.subscribe().await?.into()) }).await
    }

    /// Tells no longer; it is done as well where that has ended already.
    pub async fn unsubscribe(&self) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.unsubscribe().await?) }).await
    }

    /// How our subscription to it is set, as a form (XEP-0060 §6.3).
    pub async fn subscription_options(&self) -> Result<Form, WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.subscription_options().await?.into()) }).await
    }

    /// Sets our subscription to it: `form` is that of `subscription_options`, filled in. Fails also with `InvalidInput` where a field
    /// that is required says nothing, or it is larger than the server takes.
    pub async fn configure_subscription(&self, form: Form) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.configure_subscription(form.into()).await?) }).await
    }

    /// Who has subscribed to it, or wants to (XEP-0060 §8.8.1); asked by its owner. Some services leave out who waits to be approved.
    pub async fn subscribers(&self) -> Result<Vec<NodeSubscription>, WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.subscribers().await?.into_iter().map(Into::into).collect()) }).await
    }

    /// Approves or ends somebody's subscription to it, or subscribes them (XEP-0060 §8.8.2); asked by its owner.
    pub async fn set_subscriber(&self, jid: String, state: SubscriptionState) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.set_subscriber(&full_address(&jid)?, state.into()).await?) }).await
    }

    /// Who may do what with it; asked by its owner.
    pub async fn affiliations(&self) -> Result<Vec<NodeAffiliation>, WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move {
            let affiliation = |(jid, affiliation): (whimbrel::Address, whimbrel::Affiliation)| {
                NodeAffiliation { jid: jid.to_string(), affiliation: affiliation.into() }
            };
            Ok(node.affiliations().await?.into_iter().map(affiliation).collect())
        })
        .await
    }

    /// Lets somebody do this with it.
    pub async fn affiliate(&self, jid: String, affiliation: Affiliation) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.affiliate(&address(&jid)?, affiliation.into()).await?) }).await
    }
}

fn core(options: HashMap<String, String>) -> whimbrel::NodeOptions {
    whimbrel::NodeOptions(options.into_iter().collect())
}

fn map(whimbrel::NodeOptions(options): whimbrel::NodeOptions) -> HashMap<String, String> {
    options.into_iter().collect()
}

impl From<whimbrel::NodeItem> for NodeItem {
    fn from(whimbrel::NodeItem { id, payload }: whimbrel::NodeItem) -> Self {
        Self { id, payload }
    }
}

impl From<whimbrel::NodeSubscription> for NodeSubscription {
    fn from(whimbrel::NodeSubscription { node, jid, state }: whimbrel::NodeSubscription) -> Self {
        Self { node, jid: jid.to_string(), state: state.into() }
    }
}
