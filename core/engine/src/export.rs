//! An account as a file, to be taken away and brought back (XEP-0227), read from one state of the database.
//!
//! Messages are an archive in the form of XEP-0313, in our order, with corrections, retractions and reactions as the messages
//! that they are, so that other software can read them; what XEP-0227 has no word for stands in elements of [`NS`]: where
//! a message stands and how far it came, what was deleted here, drafts, pins, what was read, which part of the server's archive
//! is here and was compared. Never in it: passwords, tokens, keys, addresses of app servers. `import.rs` reads it; docs are in `core/EXPORT.md`.
//!
//! Memory does not grow with the archive: conversations are read side by side, one message of each at a time.

use std::{cmp::Reverse, collections::BinaryHeap};

use rusqlite::{Connection, Row, params};
use whimbrel_proto::{ns, stamp, write::Tag};

use crate::{
    amendments::{self, Kind},
    api,
    deletions::{self, DELETED},
    error::{Error, Result},
};

/// What XEP-0227 has no word for.
pub const NS: &str = "https://whimbrel.im/ns/export:0";
/// XEP-0227.
pub const PIE: &str = "urn:xmpp:pie:0";
/// XEP-0227 §4.13.
pub const PIE_MAM: &str = "urn:xmpp:pie:0#mam";

/// Takes what is written; an error ends it.
pub type Out<'a> = dyn FnMut(&str) -> std::result::Result<(), api::Error> + 'a;

/// Writes the account that a file holds. `id` names this export, `at` is now (ms UTC). Gives back how many messages there were.
///
/// # Errors
/// What `out` says, or where the world failed.
pub fn write(connection: &Connection, id: &str, at: i64, out: &mut Out<'_>) -> Result<u64> {
    // One state of the world for all of it.
    let tx = connection.unchecked_transaction()?;
    let own: String = tx.query_row("SELECT jid FROM account", [], |row| row.get(0))?;
    let (name, host) = own.split_once('@').unwrap_or((&own, ""));
    let open = |tag: Tag| tag.finish().trim_end_matches("/>").to_owned() + ">\n";
    let mut say = |text: &str| out(text).map_err(|what| Error::World { what, source: None });
    say("<?xml version='1.0' encoding='UTF-8'?>\n")?;
    say(&open(Tag::with_ns("server-data", PIE)))?;
    say(&open(Tag::new("host").attr("jid", host)))?;
    say(&open(Tag::new("user").attr("name", name)))?;
    let export = Tag::with_ns("export", NS).attr("version", "1").attr("id", id).attr("at", stamp::format(at));
    say(&(export.finish() + "\n"))?;
    settings(&tx, &mut say)?;
    say(&open(Tag::with_ns("query", ns::ROSTER)))?;
    contacts(&tx, &mut say)?;
    say("</query>\n")?;
    requests(&tx, &mut say)?;
    say(&open(Tag::with_ns("archive", PIE_MAM)))?;
    let count = messages(&tx, &own, &mut say)?;
    say("</archive>\n")?;
    say(&open(Tag::with_ns("conversations", NS)))?;
    conversations(&tx, &mut say)?;
    say("</conversations>\n")?;
    coverage(&tx, &mut say)?;
    say("</user>\n</host>\n</server-data>\n")?;
    Ok(count)
}

type Say<'a> = dyn FnMut(&str) -> Result<()> + 'a;

/// What the user decided in general.
fn settings(tx: &Connection, say: &mut Say<'_>) -> Result<()> {
    let (signals, strangers, show, status): (i64, bool, i64, Option<String>) =
        tx.query_row("SELECT signals, strangers, show, status FROM account", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let settings = Tag::with_ns("settings", NS)
        .attr("signals", signals.to_string())
        .attr("strangers", i64::from(strangers).to_string())
        .attr("show", show.to_string())
        .attr_opt("status", status);
    say(&(settings.finish() + "\n"))
}

fn contacts(tx: &Connection, say: &mut Say<'_>) -> Result<()> {
    let mut statement =
        tx.prepare("SELECT jid, name, subscription, asked, approved, groups FROM contact ORDER BY jid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let subscription = ["none", "to", "from", "both"][row.get::<_, usize>(2)?.min(3)];
        let flag = |on: bool, value: &'static str| on.then_some(value);
        let item = Tag::new("item")
            .attr("jid", row.get::<_, String>(0)?)
            .attr_opt("name", row.get::<_, Option<String>>(1)?)
            .attr("subscription", subscription)
            .attr_opt("ask", flag(row.get(3)?, "subscribe"))
            .attr_opt("approved", flag(row.get(4)?, "true"));
        let groups: Vec<String> = serde_json::from_str(&row.get::<_, String>(5)?)?;
        let item = groups.iter().fold(item, |item, group| item.child(Tag::new("group").text(group)));
        say(&(item.finish() + "\n"))?;
    }
    Ok(())
}

fn requests(tx: &Connection, say: &mut Say<'_>) -> Result<()> {
    let mut statement = tx.prepare("SELECT jid FROM subscription_request ORDER BY jid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let from: String = row.get(0)?;
        let presence =
            Tag::with_ns("presence", ns::JABBER_CLIENT).attr("type", "subscribe").attr("from", from);
        say(&(presence.finish() + "\n"))?;
    }
    Ok(())
}

/// In the order of their positions, over all conversations.
fn messages(tx: &Connection, own: &str, say: &mut Say<'_>) -> Result<u64> {
    let mut next = tx.prepare(
        "SELECT position, id FROM message WHERE conversation = ?1 AND (position, id) > (?2, ?3) ORDER BY position, id LIMIT 1",
    )?;
    let mut behind =
        |conversation: i64, position: i64, id: i64| -> Result<Option<Reverse<(i64, i64, i64)>>> {
            let mut rows = next.query(params![conversation, position, id])?;
            rows.next()?.map(|row| Ok(Reverse((row.get(0)?, row.get(1)?, conversation)))).transpose()
        };
    let mut heads = BinaryHeap::new();
    let all: Vec<i64> = tx
        .prepare("SELECT id FROM conversation")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for conversation in all {
        heads.extend(behind(conversation, i64::MIN, i64::MIN)?);
    }
    // What is still to be deleted is written as what is left of it will be.
    let going = deletions::is_going();
    let mut find = tx.prepare(&format!(
        "SELECT m.id, m.position, m.mine, iif(going, {DELETED}, m.kind), iif(going, iif(m.mine, ?2, c.jid), m.sender), m.body, m.extra,
                iif(going AND (m.kind <> 2 OR m.root IS NOT NULL), NULL, m.target), m.at, iif(going, NULL, m.written_at), m.name, m.stanza_id,
                m.has_origin, m.local_id, m.state, iif(going, NULL, m.reason), m.resent, m.own_failure, iif(going, 0, m.asks), c.jid,
                m.namespace, iif(going, m.kind, NULL)
         FROM (SELECT *, {going} AS going FROM message AS m WHERE m.id = ?1) AS m JOIN conversation AS c ON c.id = m.conversation",
    ))?;
    let mut count = 0;
    while let Some(Reverse((position, id, conversation))) = heads.pop() {
        let mut rows = find.query(params![id, own])?;
        if let Some(row) = rows.next()? {
            let result = message(tx, own, row)?;
            say(&(result.finish() + "\n"))?;
            count += 1;
        }
        heads.extend(behind(conversation, position, id)?);
    }
    Ok(count)
}

fn message(tx: &Connection, own: &str, row: &Row<'_>) -> Result<Tag> {
    let id: i64 = row.get(0)?;
    let (mine, kind): (bool, i64) = (row.get(2)?, row.get(3)?);
    let (sender, body): (String, String) = (row.get(4)?, row.get(5)?);
    let body = match row.get(21)? {
        Some(was) => deletions::digest(was, &body),
        None => body,
    };
    let (target, at): (Option<String>, i64) = (row.get(7)?, row.get(8)?);
    let (name, stanza_id): (Option<String>, Option<String>) = (row.get(10)?, row.get(11)?);
    let (has_origin, with): (bool, String) = (row.get(12)?, row.get(19)?);
    let asks: i64 = row.get(18)?;
    let mut known = tx.prepare_cached("SELECT id, place FROM archived WHERE message = ?1 ORDER BY place")?;
    let archived: Vec<(String, i64)> = known
        .query_map(params![id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;

    // What never left stays with the device that it was written on, and can be tried again.
    let unsent = "it was not sent before it was exported";
    let (state, reason): (i64, Option<String>) = match row.get(14)? {
        1 => (5, Some(unsent.to_owned())),
        state => (state, row.get(15)?),
    };
    let own_failure = row.get(17)? || row.get::<_, i64>(14)? == 1;
    let number = |value: i64| (value != 0).then(|| value.to_string());
    let mut place = Tag::with_ns("row", NS)
        .attr("with", &with)
        .attr("position", row.get::<_, i64>(1)?.to_string())
        .attr("at", at.to_string())
        .attr_opt("written", row.get::<_, Option<i64>>(9)?.map(|at| at.to_string()))
        .attr_opt("local", row.get::<_, Option<String>>(13)?)
        .attr_opt("state", number(state))
        .attr_opt("reason", reason)
        .attr_opt("resent", number(row.get(16)?))
        .attr_opt("own-failure", number(i64::from(own_failure)));
    for (id, at) in &archived {
        place = place.child(Tag::new("archived").attr("id", id).attr("place", at.to_string()));
    }

    let to = if mine { with.as_str() } else { own };
    let mut tag = Tag::with_ns("message", ns::JABBER_CLIENT)
        .attr("type", "chat")
        .attr("from", &sender)
        .attr("to", to)
        .attr_opt("id", stanza_id.as_ref().or(name.as_ref()));
    let content = amendments::content(row.get::<_, Option<String>>(6)?.as_deref());
    if kind == DELETED {
        place = place.attr("kind", "deleted").attr("digest", &body).attr_opt("target", target);
    } else {
        let target = target.unwrap_or_default();
        tag = match Kind::of(kind) {
            Kind::Text => content.write(tag.child(Tag::new("body").text(&body))),
            Kind::Placeholder => {
                place = place.attr("kind", "placeholder");
                tag.child(Tag::new("body").text(&body))
            }
            Kind::Correction => content
                .write(tag.child(Tag::new("body").text(&body)))
                .child(Tag::with_ns("replace", ns::CORRECT).attr("id", target)),
            Kind::Retraction => tag.child(Tag::with_ns("retract", ns::RETRACT).attr("id", target)),
            Kind::Payload => {
                let namespace: Option<String> = row.get(20)?;
                place = place.attr("kind", "payload").attr_opt("namespace", namespace);
                tag.xml(&body)
            }
            Kind::Reactions => {
                let texts: Vec<String> = serde_json::from_str(&body).unwrap_or_default();
                let reactions = Tag::with_ns("reactions", ns::REACTIONS).attr("id", target);
                let add = |tag: Tag, text: &String| tag.child(Tag::new("reaction").text(text));
                tag.child(texts.iter().fold(reactions, add))
            }
        };
    }
    if let Some(name) = name.filter(|_| has_origin) {
        tag = tag.child(Tag::with_ns("origin-id", ns::SID).attr("id", name));
    }
    if asks & 1 != 0 {
        tag = tag.child(Tag::with_ns("request", ns::RECEIPTS));
    }
    if asks & 2 != 0 {
        tag = tag.child(Tag::with_ns("markable", ns::CHAT_MARKERS));
    }
    let delay = Tag::with_ns("delay", ns::DELAY).attr("stamp", stamp::format(at));
    let id = archived.first().map_or_else(|| format!("row-{id}"), |(id, _)| id.clone());
    Ok(Tag::with_ns("result", ns::MAM)
        .attr("id", id)
        .child(Tag::with_ns("forwarded", ns::FORWARD).child(delay).child(tag))
        .child(place))
}

fn conversations(tx: &Connection, say: &mut Say<'_>) -> Result<()> {
    let mut statement = tx.prepare(
        "SELECT jid, read_position, cleared, draft, pinned, muted_until, archived, notify, takes_states, set_at, ours, signals,
                (SELECT a.id FROM message AS m JOIN archived AS a ON a.message = m.id
                 WHERE m.conversation = c.id AND m.position <= c.read_position ORDER BY m.position DESC LIMIT 1)
         FROM conversation AS c ORDER BY jid",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number = |value: i64| (value != 0).then(|| value.to_string());
        let some = |index: usize| -> Result<Option<String>> {
            Ok(row.get::<_, Option<i64>>(index)?.map(|value| value.to_string()))
        };
        let read: i64 = row.get(1)?;
        let mut tag = Tag::new("conversation")
            .attr("with", row.get::<_, String>(0)?)
            .attr_opt("read", (read != i64::MIN).then(|| read.to_string()))
            .attr_opt("read-id", row.get::<_, Option<String>>(12)?)
            .attr_opt("cleared", some(2)?)
            .attr_opt("pinned", number(row.get(4)?))
            .attr_opt("muted-until", some(5)?)
            .attr_opt("archived", number(row.get(6)?))
            .attr_opt("notify", number(row.get(7)?))
            .attr_opt("states", number(row.get(8)?))
            .attr_opt("set-at", number(row.get(9)?))
            .attr_opt("ours", number(row.get(10)?))
            .attr_opt("signals", some(11)?);
        if let Some(draft) = row.get::<_, Option<String>>(3)? {
            let draft: api::Draft = serde_json::from_str(&draft)?;
            let answered = draft.reply_to.map(|id| id.0);
            tag = tag.child(Tag::new("draft").attr_opt("reply-to", answered).text(draft.text));
        }
        say(&(tag.finish() + "\n"))?;
    }
    Ok(())
}

/// Which part of the server's archive is here, and what of it is still to be compared.
fn coverage(tx: &Connection, say: &mut Say<'_>) -> Result<()> {
    let mut statement = tx.prepare(
        "SELECT kind, after_id, before_id, since, low_position, high_position, covered_position, reached_position, by_time, dense, brought_position FROM gap ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number = |index: usize| -> Result<Option<String>> {
            Ok(row.get::<_, Option<i64>>(index)?.map(|value| value.to_string()))
        };
        let gap = Tag::with_ns("gap", NS)
            .attr_opt("kind", number(0)?)
            .attr_opt("after", row.get::<_, Option<String>>(1)?)
            .attr_opt("before", row.get::<_, Option<String>>(2)?)
            .attr_opt("since", number(3)?)
            .attr_opt("low", number(4)?)
            .attr_opt("high", number(5)?)
            .attr_opt("covered", number(6)?)
            .attr_opt("reached", number(7)?)
            .attr_opt("by-time", number(8)?)
            .attr_opt("dense", number(9)?)
            .attr_opt("brought", number(10)?);
        say(&(gap.finish() + "\n"))?;
    }
    let mut statement = tx.prepare("SELECT last_id, position, last_at FROM coverage")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let covered = Tag::with_ns("covered", NS)
            .attr_opt("id", row.get::<_, Option<String>>(0)?)
            .attr("position", row.get::<_, i64>(1)?.to_string())
            .attr("at", row.get::<_, i64>(2)?.to_string());
        say(&(covered.finish() + "\n"))?;
    }
    let mut statement = tx.prepare(
        "SELECT check_after, check_position, check_edge, check_at FROM session WHERE check_position IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let unchecked = Tag::with_ns("unchecked", NS)
            .attr_opt("after", row.get::<_, Option<String>>(0)?)
            .attr("position", row.get::<_, i64>(1)?.to_string())
            .attr_opt("edge", row.get::<_, Option<i64>>(2)?.map(|edge| edge.to_string()))
            .attr("at", row.get::<_, i64>(3)?.to_string());
        say(&(unchecked.finish() + "\n"))?;
    }
    Ok(())
}
