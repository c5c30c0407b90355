//! Feeds (XEP-0277): what people publish for whoever reads it.

use whimbrel_engine::api::{Command, FeedAction, Reply};

use crate::{Account, Address, Error, FeedEntry, ItemId, Post, account::unexpected};

/// The feed of an account, our own or somebody else's. What has come of it is kept, up to a hundred entries, and read without a
/// connection; whatever else is asked of it needs one, and waits for its answer: [`Error::Offline`], [`Error::TimedOut`],
/// [`Error::ServerRefused`]. That something in it has changed is told as [`crate::Event::Feed`].
#[derive(Clone, Debug)]
pub struct Feed {
    account: Account,
    of: Address,
}

impl Feed {
    pub(crate) fn new(account: Account, of: &Address) -> Self {
        Self { account, of: of.clone() }
    }

    /// Whose it is.
    pub fn of(&self) -> &Address {
        &self.of
    }

    /// Entries that are here, the newest first, up to `limit` of them; `before`: older ones than this.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of that id; where the file cannot be read.
    pub fn entries(&self, limit: u32, before: Option<&str>) -> Result<Vec<FeedEntry>, Error> {
        self.account.feed_entries(&self.of, limit, before)
    }

    /// Fetches the newest fifty entries: what was published while nobody followed it, or nobody was online.
    ///
    /// # Errors
    /// As above.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.ask(FeedAction::Refresh).await.map(|_| ())
    }

    /// Publishes an entry, in place of what has its id: so that it can be repeated, and changed. Returns when the server has it.
    ///
    /// # Errors
    /// As above; [`Error::InvalidInput`] where the id is no UUID, there is no title, or it is larger than the server takes.
    pub async fn publish(&self, id: ItemId, post: impl Into<Post>) -> Result<String, Error> {
        match self.ask(FeedAction::Publish { id, post: post.into() }).await? {
            Reply::Published { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes an entry back.
    ///
    /// # Errors
    /// As above.
    pub async fn retract(&self, id: &str) -> Result<(), Error> {
        self.ask(FeedAction::Retract { id: id.to_owned() }).await.map(|_| ())
    }

    async fn ask(&self, action: FeedAction) -> Result<Reply, Error> {
        self.account.ask(Command::Feed { of: self.of.clone(), action }).await
    }
}
