//! Feeds: what people publish for whoever reads it (XEP-0277, with the base profile of XEP-0472), kept to be read offline.
//!
//! A feed is a node of an account, and an entry an item of it, known by its id: what comes twice is there once, and what is
//! published again takes its place. Who is believed is decided where nodes are heard of. What an author says of the time orders a feed,
//! but nothing stands in the future. Of each feed the newest are kept, and an entry is text of bounded length.

use jid::BareJid;
use minidom::Element;
use rusqlite::{Connection, OptionalExtension, Row, params};
use whimbrel_proto::{
    atom::Entry,
    ns,
    pubsub::{self, Change},
    write::Tag,
};

use crate::{
    account::{Account, Cx},
    api::{Error, Event, FeedAction, FeedEntry, NodeOptions, Post},
    error::Result,
    iq::Pending,
    mutants::{self, Mutant},
    pubsub::{Publish, Question, Reason, can_be_asked, read_page},
    send,
};

/// Entries that are kept of a feed, and asked for at once.
const MOST: u32 = 100;
/// Feeds that are asked for at a time, where what is new in them was told without its content.
const MAX_ASKED: i64 = 10;

impl Account {
    /// What the app wants of a feed.
    pub(crate) fn ask_feed(
        &mut self,
        cx: &mut Cx<'_>,
        of: &BareJid,
        action: &FeedAction,
    ) -> Result<std::result::Result<String, Error>> {
        let owner = Some(of.to_string()).filter(|_| *of != self.jid);
        match action {
            FeedAction::Refresh => self.refresh_feed(cx, of, false).map(Ok),
            FeedAction::Publish { id, post } => {
                let id = match send::identity(id) {
                    Ok(id) => id.0,
                    Err(error) => return Ok(Err(error)),
                };
                if post.title.trim().is_empty() {
                    return Ok(Err(send::invalid("an entry needs a title")));
                }
                let payload = self.entry(cx, &id, post).finish();
                // XEP-0472 §Base profile.
                let options = NodeOptions::default()
                    .with("type", ns::MICROBLOG)
                    .with("persist_items", "true")
                    .with("max_items", "max")
                    .with("notify_retract", "true")
                    .with("send_last_published_item", "never");
                let (node, id, reason) = (ns::MICROBLOG.to_owned(), Some(id), Reason::App);
                self.publish(cx, Publish { owner, node, id, payload, options, reason })
            }
            FeedAction::Retract { id } => {
                let question = Question::Unpublish { of: of.to_string(), item: id.clone() };
                let payload = pubsub::retract(ns::MICROBLOG, id);
                self.ask(cx, &Pending::Node(question), "set", owner.as_deref(), payload).map(Ok)
            }
        }
    }

    fn entry(&self, cx: &Cx<'_>, id: &str, post: &Post) -> Tag {
        let entry = Entry {
            title: post.title.clone(),
            text: post.text.clone(),
            author: post.author.clone().or_else(|| self.jid.node().map(|node| node.to_string())),
            author_uri: Some(format!("xmpp:{}", self.jid)),
            published: post.published,
            links: post.links.clone(),
            ..Entry::default()
        };
        entry.write(&format!("urn:uuid:{id}"), cx.now.wall)
    }

    fn refresh_feed(&mut self, cx: &mut Cx<'_>, of: &BareJid, again: bool) -> Result<String> {
        let owner = Some(of.as_str()).filter(|_| *of != self.jid);
        let pending = Pending::Node(Question::Feed { of: of.to_string(), again });
        self.ask(cx, &pending, "get", owner, pubsub::newest(ns::MICROBLOG, MOST))
    }

    /// A session has ended in which it was asked: there may be something in it that was told without its content. It is asked again
    /// once: the answer may have been what ended it.
    pub(crate) fn feed_question_lost(&mut self, cx: &mut Cx<'_>, of: &str) -> Result<()> {
        BareJid::new(of).map_or(Ok(()), |of| self.refresh_feed(cx, &of, true).map(drop))
    }

    /// Whoever owns a feed tells what happened to it, and somebody here wants to know.
    pub(crate) fn feed_told(&mut self, cx: &mut Cx<'_>, of: &BareJid, change: &Change<'_>) -> Result<()> {
        let mut changed = false;
        match change {
            Change::Emptied => changed = empty(cx, of)?,
            Change::Subscription(_) => {}
            Change::Items { published, retracted } => {
                for item in published {
                    match item.payload {
                        Some(payload) => changed |= keep(cx, of, item.id, payload)?,
                        // Who wants its content asks for it (XEP-0472): once, whatever else is new.
                        None if can_be_asked(cx, "Feed", of, MAX_ASKED)? => {
                            drop(self.refresh_feed(cx, of, false)?)
                        }
                        None => {}
                    }
                }
                for item in retracted {
                    changed |= forget(cx, of, item)?;
                }
            }
        }
        tell(cx, of, changed)
    }

    /// An answer about a feed, or about any other node. What is not found was taken back, or the feed deleted.
    pub(crate) fn feed_answered(
        &mut self,
        cx: &mut Cx<'_>,
        question: &Question,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let address = |of: &str| BareJid::new(of).map_err(|_| crate::Error::bug("a feed's address"));
        match (question, answer) {
            (Question::Feed { of, .. }, Ok(answer)) => {
                let of = address(of)?;
                let (items, next) = read_page(answer);
                let mut changed = false;
                let is_all = next.is_none() || items.len() >= MOST as usize;
                if is_all && !mutants::on(Mutant::TakenBackEntriesStay) {
                    // That is all of it, or all that is kept: what else is here was taken back, or has made room.
                    let there: Vec<&str> = items.iter().map(|item| item.id).collect();
                    let here = items_of(cx, &of)?;
                    for gone in here.iter().filter(|item| !there.contains(&item.as_str())) {
                        changed |= forget(cx, &of, gone)?;
                    }
                }
                for item in &items {
                    if let Some(payload) = item.payload {
                        changed |= keep(cx, &of, item.id, payload)?;
                    }
                }
                tell(cx, &of, changed)
            }
            (Question::Feed { of, .. }, Err("item-not-found")) => {
                let of = address(of)?;
                let changed = empty(cx, &of)?;
                tell(cx, &of, changed)
            }
            (Question::Unpublish { of, item }, Ok(_) | Err("item-not-found")) => {
                let of = address(of)?;
                let changed = forget(cx, &of, item)?;
                tell(cx, &of, changed)
            }
            (
                Question::Publish { publish: Publish { owner, node, id: Some(id), payload, .. }, .. },
                Ok(_),
            ) if node == ns::MICROBLOG => {
                let of = owner.as_deref().map(address).transpose()?.unwrap_or_else(|| self.jid.clone());
                let Ok(payload) = payload.parse() else { return Ok(()) };
                let changed = keep(cx, &of, id, &payload)?;
                tell(cx, &of, changed)
            }
            _ => Ok(()),
        }
    }
}

fn tell(cx: &mut Cx<'_>, of: &BareJid, changed: bool) -> Result<()> {
    if changed {
        cx.tx
            .prepare_cached(
                "DELETE FROM feed_entry WHERE owner = ?1 AND id NOT IN
                 (SELECT id FROM feed_entry WHERE owner = ?1 ORDER BY at DESC, id DESC LIMIT ?2)",
            )?
            .execute(params![of.as_str(), MOST])?;
        cx.event(Event::Feed { of: of.clone() });
    }
    Ok(())
}

/// Whether anything is otherwise than it was, as for all of these.
fn keep(cx: &Cx<'_>, of: &BareJid, item: &str, payload: &Element) -> Result<bool> {
    let Some(entry) = Entry::read(payload).filter(|_| !item.is_empty() && item.len() <= 1_024) else {
        return Ok(false);
    };
    let at = entry.published.or(entry.updated).map_or(cx.now.wall, |at| at.min(cx.now.wall));
    let text = serde_json::to_string(&entry)?;
    // Without a time of its own it stands where it first stood.
    let moves = entry.published.or(entry.updated).is_some();
    let changed = cx
        .tx
        .prepare_cached(
            "INSERT INTO feed_entry (owner, item, at, entry) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (owner, item) DO UPDATE SET at = CASE WHEN ?5 THEN ?3 ELSE at END, entry = ?4 WHERE entry <> ?4",
        )?
        .execute(params![of.as_str(), item, at, text, moves])?;
    Ok(changed > 0)
}

fn forget(cx: &Cx<'_>, of: &BareJid, item: &str) -> Result<bool> {
    let sql = "DELETE FROM feed_entry WHERE owner = ?1 AND item = ?2";
    Ok(cx.tx.prepare_cached(sql)?.execute(params![of.as_str(), item])? > 0)
}

fn empty(cx: &Cx<'_>, of: &BareJid) -> Result<bool> {
    Ok(cx.tx.execute("DELETE FROM feed_entry WHERE owner = ?1", params![of.as_str()])? > 0)
}

fn items_of(cx: &Cx<'_>, of: &BareJid) -> Result<Vec<String>> {
    let mut statement = cx.tx.prepare_cached("SELECT item FROM feed_entry WHERE owner = ?1")?;
    Ok(statement.query_map(params![of.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Entries of a feed that are here, the newest first, up to `limit` of them; `before`: those that stand behind this one, which are
/// older.
///
/// # Errors
/// Where the world failed. `None`: there is none of this id.
pub fn entries(
    connection: &Connection,
    of: &BareJid,
    before: Option<&str>,
    limit: u32,
) -> Result<Option<Vec<FeedEntry>>> {
    let edge = match before {
        None => (i64::MAX, i64::MAX),
        Some(item) => {
            let edge = connection
                .prepare_cached("SELECT at, id FROM feed_entry WHERE owner = ?1 AND item = ?2")?
                .query_row(params![of.as_str(), item], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some(edge) = edge else { return Ok(None) };
            edge
        }
    };
    let mut statement = connection.prepare_cached(
        "SELECT item, at, entry FROM feed_entry WHERE owner = ?1 AND (at, id) < (?2, ?3) ORDER BY at DESC, id DESC LIMIT ?4",
    )?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?));
    let rows = statement.query_map(params![of.as_str(), edge.0, edge.1, limit], read)?;
    let mut entries = Vec::new();
    for row in rows {
        let (id, at, entry) = row?;
        // A damaged file may say anything.
        entries.push(FeedEntry { id, at, entry: serde_json::from_str(&entry).unwrap_or_default() });
    }
    Ok(Some(entries))
}
