//! Nodes (XEP-0060): a place under a name where items are published, of an account or of a service.

use whimbrel_engine::api::{Command, NodeAction, Reply};

use crate::{
    Account, Address, Affiliation, Error, Form, FullAddress, NodeItem, NodeOptions, NodeSubscription,
    SubscriptionState, account::unexpected,
};

/// A node of our own account, of somebody else's, or of a publish-subscribe service. Whatever is asked of it needs a connection, and
/// waits for its answer: [`Error::Offline`], [`Error::TimedOut`], [`Error::ServerRefused`].
#[derive(Clone, Debug)]
pub struct Node {
    account: Account,
    owner: Option<FullAddress>,
    name: String,
}

/// Some items of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePage {
    /// In the node's own order.
    pub items: Vec<NodeItem>,
    /// Behind what to ask for others, where the service tells that there are any.
    pub next: Option<String>,
}

impl Node {
    pub(crate) fn new(account: Account, owner: Option<FullAddress>, name: &str) -> Self {
        Self { account, owner, name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Publishes an element under this id, in place of what has it; without one the service makes it. Returns the id.
    ///
    /// With `options` the node is as they say, or nothing is published: it is made so or changed once, and a service that does not
    /// heed them is not given anything.
    ///
    /// # Errors
    /// As above; [`Error::InvalidInput`] where the payload is not one well-formed element, or larger than the server takes.
    pub async fn publish(
        &self,
        id: Option<&str>,
        payload: &str,
        options: NodeOptions,
    ) -> Result<String, Error> {
        let (id, payload) = (id.map(str::to_owned), payload.to_owned());
        match self.ask(NodeAction::Publish { id, payload, options }).await? {
            Reply::Published { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Up to `limit` items, those behind `after`, which a page before has as its `next`. A service without pages gives all that it has, or the newest.
    ///
    /// # Errors
    /// As above.
    pub async fn items(&self, limit: u32, after: Option<&str>) -> Result<NodePage, Error> {
        match self.ask(NodeAction::Items { limit, after: after.map(str::to_owned) }).await? {
            Reply::Items { items, next } => Ok(NodePage { items, next }),
            other => Err(unexpected(&other)),
        }
    }

    /// The item of this id, if there is one.
    ///
    /// # Errors
    /// As above.
    pub async fn item(&self, id: &str) -> Result<Option<NodeItem>, Error> {
        match self.ask(NodeAction::Item { id: id.to_owned() }).await? {
            Reply::Items { items, .. } => Ok(items.into_iter().find(|item| item.id == id)),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes an item back.
    ///
    /// # Errors
    /// As above.
    pub async fn retract(&self, id: &str) -> Result<(), Error> {
        self.done(NodeAction::Retract { id: id.to_owned() }).await
    }

    /// Takes all items back.
    ///
    /// # Errors
    /// As above.
    pub async fn purge(&self) -> Result<(), Error> {
        self.done(NodeAction::Purge).await
    }

    /// Makes it.
    ///
    /// # Errors
    /// As above.
    pub async fn create(&self, options: NodeOptions) -> Result<(), Error> {
        self.done(NodeAction::Create { options }).await
    }

    /// Deletes it, with its items.
    ///
    /// # Errors
    /// As above.
    pub async fn delete(&self) -> Result<(), Error> {
        self.done(NodeAction::Delete).await
    }

    /// Changes how it is; what is not named stays.
    ///
    /// # Errors
    /// As above.
    pub async fn configure(&self, options: NodeOptions) -> Result<(), Error> {
        self.done(NodeAction::Configure { options }).await
    }

    /// How it is.
    ///
    /// # Errors
    /// As above.
    pub async fn configuration(&self) -> Result<NodeOptions, Error> {
        match self.ask(NodeAction::Configuration).await? {
            Reply::Configuration(options) => Ok(options),
            other => Err(unexpected(&other)),
        }
    }

    /// Tells of it from now on, as [`crate::Event::Published`] and [`crate::Event::Retracted`] (XEP-0060 §6.1). Returns how far that
    /// is: [`SubscriptionState::Pending`] where its owner has to approve it first, and what comes of that is told by
    /// [`crate::Event::Subscription`]; [`SubscriptionState::Unconfigured`] where it waits for [`Node::configure_subscription`].
    ///
    /// # Errors
    /// As above.
    pub async fn subscribe(&self) -> Result<SubscriptionState, Error> {
        match self.ask(NodeAction::Subscribe).await? {
            Reply::Subscription(state) => Ok(state),
            other => Err(unexpected(&other)),
        }
    }

    /// Tells no longer; it is done as well where that has ended already.
    ///
    /// # Errors
    /// As above.
    pub async fn unsubscribe(&self) -> Result<(), Error> {
        self.done(NodeAction::Unsubscribe).await
    }

    /// How our subscription to it is set, as a form (XEP-0060 §6.3).
    ///
    /// # Errors
    /// As above.
    pub async fn subscription_options(&self) -> Result<Form, Error> {
        match self.ask(NodeAction::SubscriptionOptions).await? {
            Reply::SubscriptionOptions(form) => Ok(form),
            other => Err(unexpected(&other)),
        }
    }

    /// Sets our subscription to it: `form` is that of [`Node::subscription_options`], filled in.
    ///
    /// # Errors
    /// As above; [`Error::InvalidInput`] where a field that is required says nothing, or it is larger than the server takes.
    pub async fn configure_subscription(&self, form: Form) -> Result<(), Error> {
        self.done(NodeAction::ConfigureSubscription { form }).await
    }

    /// Who has subscribed to it, or wants to (XEP-0060 §8.8.1); asked by its owner. Some services leave out who waits to be approved.
    ///
    /// # Errors
    /// As above.
    pub async fn subscribers(&self) -> Result<Vec<NodeSubscription>, Error> {
        match self.ask(NodeAction::Subscribers).await? {
            Reply::Subscriptions(subscriptions) => Ok(subscriptions),
            other => Err(unexpected(&other)),
        }
    }

    /// Approves or ends somebody's subscription to it, or subscribes them (XEP-0060 §8.8.2); asked by its owner.
    ///
    /// # Errors
    /// As above.
    pub async fn set_subscriber(&self, jid: &FullAddress, state: SubscriptionState) -> Result<(), Error> {
        self.done(NodeAction::SetSubscriber { jid: jid.clone(), state }).await
    }

    /// Who may do what with it; asked by its owner.
    ///
    /// # Errors
    /// As above.
    pub async fn affiliations(&self) -> Result<Vec<(Address, Affiliation)>, Error> {
        match self.ask(NodeAction::Affiliations).await? {
            Reply::Affiliations(affiliations) => Ok(affiliations),
            other => Err(unexpected(&other)),
        }
    }

    /// Lets somebody do this with it.
    ///
    /// # Errors
    /// As above.
    pub async fn affiliate(&self, jid: &Address, affiliation: Affiliation) -> Result<(), Error> {
        self.done(NodeAction::Affiliate { jid: jid.clone(), affiliation }).await
    }

    async fn done(&self, action: NodeAction) -> Result<(), Error> {
        self.ask(action).await.map(|_| ())
    }

    async fn ask(&self, action: NodeAction) -> Result<Reply, Error> {
        let (owner, node) = (self.owner.clone(), self.name.clone());
        self.account.ask(Command::Node { owner, node, action }).await
    }
}
