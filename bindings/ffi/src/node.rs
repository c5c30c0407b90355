//! Nodes (XEP-0060): a place under a name where items are published, of an account or of a service.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Account, WhimbrelError,
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

    /// Tells of it from now on, as `Published` and `Retracted`.
    pub async fn subscribe(&self) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.subscribe().await?) }).await
    }

    /// Tells no longer.
    pub async fn unsubscribe(&self) -> Result<(), WhimbrelError> {
        let node = self.node.clone();
        guard::task(async move { Ok(node.unsubscribe().await?) }).await
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
