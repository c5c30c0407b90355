//! Feeds (XEP-0277): what people publish for whoever reads it.

use std::sync::Arc;

use crate::{Account, WhimbrelError, counted::Counted, error::address, guard};

/// What is to be published in a feed.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Post {
    /// Its title, or all that there is of it.
    pub title: String,
    /// Its content.
    #[uniffi(default = None)]
    pub text: Option<String>,
    /// What we are called in it; nothing: the local part of our address.
    #[uniffi(default = None)]
    pub author: Option<String>,
    /// When it was first published, ms UTC, where it is published again; nothing: now.
    #[uniffi(default = None)]
    pub published: Option<i64>,
    /// What it leads to.
    #[uniffi(default = [])]
    pub links: Vec<EntryLink>,
}

/// An entry of a feed.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FeedEntry {
    /// Its id in the feed.
    pub id: String,
    /// When it was published, as it says itself, or when it came here; never in the future. ms UTC.
    pub at: i64,
    /// How its author calls it wherever it appears.
    pub atom_id: Option<String>,
    /// Its title, or all that there is of it.
    pub title: String,
    /// Its content, or else its summary, as text.
    pub text: Option<String>,
    /// What its author is called.
    pub author: Option<String>,
    /// Where its author is found: `xmpp:`, most often. Whoever publishes writes what they want.
    pub author_uri: Option<String>,
    /// When it was published, as it says itself, ms UTC.
    pub published: Option<i64>,
    /// When it was last changed, as it says itself, ms UTC.
    pub updated: Option<i64>,
    /// What it leads to.
    pub links: Vec<EntryLink>,
}

/// A link of an entry (RFC 4287 §4.2.7).
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct EntryLink {
    /// What it is to the entry: `alternate`, `enclosure`, `replies`, …
    pub rel: String,
    /// Where it leads.
    pub href: String,
    /// The media type of what is there.
    pub kind: Option<String>,
    /// What it is called, for a person.
    pub title: Option<String>,
}

/// The feed of an account, our own or somebody else's. What has come of it is kept, up to a hundred entries, and read without a
/// connection; whatever else is asked of it needs one, and fails with `Offline`, `TimedOut` or `ServerRefused`. That something in it
/// has changed is told as `FeedChanged`.
#[derive(Debug, uniffi::Object)]
pub struct Feed {
    feed: Counted<whimbrel::Feed>,
}

#[uniffi::export(async_runtime = "tokio")]
impl Account {
    /// The feed of an account (XEP-0277), which may be our own. It need not be there yet.
    pub fn feed(&self, of: String) -> Result<Arc<Feed>, WhimbrelError> {
        guard::sync(|| Ok(Arc::new(Feed { feed: Counted::new(self.account.feed(&address(&of)?)) })))
    }

    /// Whether what contacts and our other devices publish in their feeds is kept as it comes. Returns when it is durable.
    pub async fn follow_feeds(&self, on: bool) -> Result<(), WhimbrelError> {
        let account = self.account.clone();
        guard::task(async move { Ok(account.follow_feeds(on).await?) }).await
    }
}

#[uniffi::export(async_runtime = "tokio")]
impl Feed {
    /// Entries that are here, the newest first, up to `limit` of them; older ones than `before`. Fails with `NotFound` where there
    /// is none of that id.
    pub async fn entries(&self, limit: u32, before: Option<String>) -> Result<Vec<FeedEntry>, WhimbrelError> {
        let feed = self.feed.clone();
        guard::task(async move {
            Ok(feed.entries(limit, before.as_deref())?.into_iter().map(Into::into).collect())
        })
        .await
    }

    /// Fetches the newest fifty entries: what was published while nobody followed it, or nobody was online.
    pub async fn refresh(&self) -> Result<(), WhimbrelError> {
        let feed = self.feed.clone();
        guard::task(async move { Ok(feed.refresh().await?) }).await
    }

    /// Publishes an entry, in place of what has its id, a UUID made by the caller: so that it can be repeated, and changed. Returns
    /// when the server has it. Fails also with `InvalidInput`.
    pub async fn publish(&self, id: String, post: Post) -> Result<String, WhimbrelError> {
        let feed = self.feed.clone();
        guard::task(async move { Ok(feed.publish(whimbrel::ItemId(id), whimbrel::Post::from(post)).await?) })
            .await
    }

    /// Takes an entry back.
    pub async fn retract(&self, id: String) -> Result<(), WhimbrelError> {
        let feed = self.feed.clone();
        guard::task(async move { Ok(feed.retract(&id).await?) }).await
    }
}

impl From<Post> for whimbrel::Post {
    fn from(Post { title, text, author, published, links }: Post) -> Self {
        let links = links.into_iter().map(Into::into).collect();
        Self { title, text, author, published, links }
    }
}

impl From<whimbrel::FeedEntry> for FeedEntry {
    fn from(whimbrel::FeedEntry { id, at, entry }: whimbrel::FeedEntry) -> Self {
        let whimbrel::Entry { atom_id, title, text, author, author_uri, published, updated, links } = entry;
        let links = links.into_iter().map(Into::into).collect();
        Self { id, at, atom_id, title, text, author, author_uri, published, updated, links }
    }
}

impl From<whimbrel::EntryLink> for EntryLink {
    fn from(whimbrel::EntryLink { rel, href, kind, title }: whimbrel::EntryLink) -> Self {
        Self { rel, href, kind, title }
    }
}

impl From<EntryLink> for whimbrel::EntryLink {
    fn from(EntryLink { rel, href, kind, title }: EntryLink) -> Self {
        Self { rel, href, kind, title }
    }
}
