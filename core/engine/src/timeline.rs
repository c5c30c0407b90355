//! What is shown: the window of a timeline and the conversation list, straight from the database.
//!
//! Read by connections of their own. An update is the difference between two of these reads (see `splice`), so that a
//! folded list always equals a fresh query.

use std::cmp::Reverse;

use jid::{BareJid, Jid};
use rusqlite::{Connection, OptionalExtension, Row, params, types::ValueRef};

use crate::{
    amendments,
    api::{Conversation, Gap, GapKind, Item, ItemId, Message, SendState},
    blocking::is_blocked,
    conversation,
    error::{Error, Result},
    messages::chat_state,
    person, signals,
};

const COLUMNS: &str = "m.id, m.local_id, c.jid, m.sender, m.mine, m.body, m.kind, m.at, m.written_at, m.state, m.reason, m.position, m.extra, m.target IS NOT NULL, m.root, m.amended";
/// A run of messages by one sender is one group while neighbours are less than this apart, in ms.
const GROUP: i64 = 300_000;
const DAY: i64 = 86_400_000;

/// Where a window begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start(i64);

/// What of a conversation a window shows: everything from its start to the newest, or to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: Start,
    /// Where it ends; `None`: with the newest, whatever comes.
    pub end: Option<End>,
}

/// Where a window ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End(i64);

impl From<Start> for Span {
    fn from(start: Start) -> Self {
        Self { start, end: None }
    }
}

/// One message by its row, and where it stands.
pub(crate) fn message(connection: &Connection, id: i64) -> Result<Option<(Message, i64)>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message AS m JOIN conversation AS c ON c.id = m.conversation WHERE m.id = ?1 AND m.hidden = 0"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id])?;
    rows.next()?.map(|row| read(connection, row, with(row)?)).transpose()
}

/// Where a window of this many messages begins.
///
/// # Errors
/// Where the world failed.
pub fn start(connection: &Connection, with: &BareJid, limit: u32) -> Result<Start> {
    let position = connection
        .prepare_cached(
            "SELECT position FROM message WHERE conversation = (SELECT id FROM conversation WHERE jid = ?1) AND hidden = 0
             ORDER BY position DESC, id DESC LIMIT 1 OFFSET ?2",
        )?
        .query_row(params![with.as_str(), limit.saturating_sub(1)], |row| row.get(0))
        .optional()?;
    Ok(Start(position.unwrap_or(i64::MIN)))
}

/// A window that begins this many messages earlier, as far as there are any.
///
/// # Errors
/// Where the world failed.
pub fn earlier(connection: &Connection, with: &BareJid, from: Start, limit: u32) -> Result<Start> {
    let position = connection
        .prepare_cached(
            "SELECT position FROM message WHERE conversation = (SELECT id FROM conversation WHERE jid = ?1) AND position < ?2 AND hidden = 0
             ORDER BY position DESC, id DESC LIMIT 1 OFFSET ?3",
        )?
        .query_row(params![with.as_str(), from.0, limit.saturating_sub(1)], |row| row.get(0))
        .optional()?;
    Ok(Start(position.unwrap_or(i64::MIN)))
}

/// A window of this many messages around one of them; `None`: it is not there. Half of the others are older.
///
/// # Errors
/// Where the world failed.
pub fn around(connection: &Connection, with: &BareJid, item: &ItemId, limit: u32) -> Result<Option<Span>> {
    let row = amendments::row(connection, item)?;
    let position = connection
        .prepare_cached(
            "SELECT position FROM message WHERE id = ?2 AND conversation = (SELECT id FROM conversation WHERE jid = ?1) AND hidden = 0",
        )?
        .query_row(params![with.as_str(), row], |row| row.get(0))
        .optional()?;
    let Some(position) = position else { return Ok(None) };
    let older = limit.saturating_sub(1) / 2;
    let start = if older == 0 { Start(position) } else { earlier(connection, with, Start(position), older)? };
    let end = later(connection, with, End(position), limit.saturating_sub(1) - older)?;
    Ok(Some(Span { start, end }))
}

/// Where a window ends that shows this many messages more; `None`: with the newest, as there are no more.
///
/// # Errors
/// Where the world failed.
pub fn later(connection: &Connection, with: &BareJid, from: End, limit: u32) -> Result<Option<End>> {
    let above = |position: i64, skip: u32| {
        connection
            .prepare_cached(
                "SELECT position FROM message WHERE conversation = (SELECT id FROM conversation WHERE jid = ?1) AND position > ?2
                 AND hidden = 0 ORDER BY position, id LIMIT 1 OFFSET ?3",
            )?
            .query_row(params![with.as_str(), position, skip], |row| row.get::<_, i64>(0))
            .optional()
    };
    let end = match limit {
        0 => Some(from.0),
        _ => above(from.0, limit - 1)?,
    };
    match end {
        Some(end) => Ok(above(end, 0)?.map(|_| End(end))),
        None => Ok(None),
    }
}

/// How many messages there are before a start, counted up to a limit.
///
/// # Errors
/// Where the world failed.
pub fn count_before(connection: &Connection, with: &BareJid, from: Start, limit: u32) -> Result<u32> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM message WHERE conversation = (SELECT id FROM conversation WHERE jid = ?1)
             AND position < ?2 AND hidden = 0 LIMIT ?3)",
        )?
        .query_row(params![with.as_str(), from.0, limit], |row| row.get(0))?)
}

/// Where the oldest message stands.
///
/// # Errors
/// Where the world failed.
pub fn oldest(connection: &Connection, with: &BareJid) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached(
            "SELECT position FROM message WHERE conversation = (SELECT id FROM conversation WHERE jid = ?1) AND hidden = 0
             ORDER BY position LIMIT 1",
        )?
        .query_row(params![with.as_str()], |row| row.get(0))
        .optional()?)
}

/// Everything that a window shows, oldest first, with the holes in between. `offset` is the local time's, in ms.
///
/// # Errors
/// Where the world failed.
pub fn window(
    connection: &Connection,
    with: &BareJid,
    span: impl Into<Span>,
    offset: i64,
) -> Result<Vec<Item>> {
    let items = window_from(connection, with, span, offset, i64::MIN, None)?;
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

/// The part of a window that stands at a position and above, each item with its position; `below` is the item that stands
/// before it.
///
/// # Errors
/// Where the world failed.
pub fn window_from(
    connection: &Connection,
    with: &BareJid,
    span: impl Into<Span>,
    offset: i64,
    position: i64,
    below: Option<&Item>,
) -> Result<Vec<(i64, Item)>> {
    let Span { start, end } = span.into();
    let (from, end) = (Start(start.0.max(position)), end.unwrap_or(End(i64::MAX)));
    let sql = format!(
        "SELECT {COLUMNS} FROM message AS m JOIN conversation AS c ON c.id = m.conversation
         WHERE m.conversation = (SELECT id FROM conversation WHERE jid = ?1) AND m.position BETWEEN ?2 AND ?3 AND m.hidden = 0
         ORDER BY m.position, m.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![with.as_str(), from.0, end.0])?;
    let mut gaps = gaps(connection, from, end)?.into_iter().peekable();
    let mut items = Vec::new();
    let mut previous = match below {
        Some(Item::Message(message)) => Some((message.mine, message.at)),
        Some(Item::Gap(_)) | None => None,
    };
    while let Some(row) = rows.next()? {
        let (mut message, position) = read(connection, row, with.clone())?;
        while let Some((at, gap)) = gaps.next_if(|(at, _)| *at <= position) {
            items.push((at, Item::Gap(gap)));
            previous = None;
        }
        let day = |at: i64| at.saturating_add(offset).div_euclid(DAY);
        message.starts_day = previous.is_none_or(|(_, at)| day(at) != day(message.at));
        message.starts_group = message.starts_day
            || previous
                .is_none_or(|(mine, at)| mine != message.mine || message.at.saturating_sub(at) > GROUP);
        previous = Some((message.mine, message.at));
        items.push((position, Item::Message(message)));
    }
    items.extend(gaps.map(|(at, gap)| (at, Item::Gap(gap))));
    Ok(items)
}

/// The holes between two positions, with the position that each stands before.
fn gaps(connection: &Connection, from: Start, end: End) -> Result<Vec<(i64, Gap)>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, high_position FROM gap WHERE high_position BETWEEN ?1 AND ?2 ORDER BY high_position",
    )?;
    let rows = statement.query_map(params![from.0, end.0], |row| {
        let kind = match row.get::<_, i64>(1)? {
            0 => GapKind::Missing,
            1 => GapKind::Unfetched,
            _ => GapKind::NoLongerOnServer,
        };
        Ok((row.get(2)?, Gap { id: row.get(0)?, kind }))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The conversations: those with people whom we know, then strangers, then the archived ones; among each the pinned ones first, and
/// then those with the newest messages.
///
/// # Errors
/// Where the world failed.
pub fn conversations(connection: &Connection) -> Result<Vec<Conversation>> {
    Ok(lines(connection, None)?.into_iter().map(|(_, line)| line).collect())
}

/// Where a conversation stands among all: smaller ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    archived: bool,
    stranger: bool,
    pinned: Reverse<bool>,
    newest: Reverse<i64>,
    id: i64,
}

/// The lines of all conversations, in their order, or of one, if it is shown.
///
/// # Errors
/// Where the world failed.
pub fn lines(connection: &Connection, only: Option<&BareJid>) -> Result<Vec<(Rank, Conversation)>> {
    let one = if only.is_some() { "AND c.jid = ?1" } else { "" };
    let sql = format!(
        "SELECT {COLUMNS}, c.unread, c.chat_state, coalesce((SELECT name FROM contact WHERE jid = c.jid), s.nick),
           c.draft, c.pinned, c.muted_until, c.archived, c.notify, c.last_position, c.id, {}, {}, {}, c.signals
         FROM conversation AS c LEFT JOIN message AS m ON m.id = c.last_message LEFT JOIN person AS s ON s.jid = c.jid
         WHERE (c.last_message IS NOT NULL OR c.draft IS NOT NULL OR c.pinned = 1) {one}
         ORDER BY c.archived, {}, c.pinned DESC, c.last_position DESC, c.id",
        is_blocked("c.jid"),
        person::AVATAR,
        signals::IS_STRANGER,
        signals::IS_STRANGER,
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(only.map(|with| with.as_str())))?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let with = with(row)?;
        // One that was only begun has none yet.
        let is_empty = row.get_ref(0)? == ValueRef::Null;
        let last = if is_empty { None } else { Some(read(connection, row, with.clone())?.0) };
        let name: Option<String> = row.get(18)?;
        let (draft, pinned, muted, archived, notify) = conversation::read(row, 19)?;
        let rank = Rank {
            archived,
            stranger: row.get(28)?,
            pinned: Reverse(pinned),
            newest: Reverse(row.get(24)?),
            id: row.get(25)?,
        };
        let line = Conversation {
            name: name.unwrap_or_else(|| {
                with.node().map_or_else(|| with.to_string(), |node| node.as_str().to_owned())
            }),
            unread: row.get::<_, i64>(16)?.max(0) as u64,
            chat_state: row.get::<_, Option<String>>(17)?.as_deref().and_then(chat_state),
            last,
            blocked: row.get(26)?,
            avatar: row.get(27)?,
            is_stranger: rank.stranger,
            signals: row.get::<_, Option<i64>>(29)?.map(signals::read),
            draft,
            pinned,
            muted,
            archived,
            notify,
            with,
        };
        lines.push((rank, line));
    }
    Ok(lines)
}

fn with(row: &Row<'_>) -> Result<BareJid> {
    let address = || Error::bug("a conversation's address");
    BareJid::new(row.get_ref(2)?.as_str().map_err(|_| address())?).map_err(|_| address())
}

/// With whom it is, is given: to prepare an address costs as much as the rest.
fn read(connection: &Connection, row: &Row<'_>, with: BareJid) -> Result<(Message, i64)> {
    let mine: bool = row.get(4)?;
    let number: i64 = row.get(0)?;
    let id = match row.get::<_, Option<String>>(1)? {
        Some(local) => ItemId(local),
        None => ItemId(number.to_string()),
    };
    let (kind, position): (i64, i64) = (row.get(6)?, row.get(11)?);
    let address = |_| Error::bug("an address in the archive");
    let from =
        Jid::new(row.get_ref(3)?.as_str().map_err(|_| Error::bug("a sender's address"))?).map_err(address)?;
    let mut message = Message {
        mine,
        placeholder: kind == 1,
        at: row.get(7)?,
        written_at: row.get(8)?,
        state: state(row.get(9)?, row.get(10)?).filter(|_| mine),
        ..Message::text(id, with, from, row.get(5)?)
    };
    let row = amendments::Row {
        id: number,
        kind,
        extra: row.get(12)?,
        target: row.get(13)?,
        root: row.get(14)?,
        amended: row.get(15)?,
    };
    amendments::dress(connection, row, &mut message)?;
    Ok((message, position))
}

pub(crate) fn state(code: i64, reason: Option<String>) -> Option<SendState> {
    Some(match code {
        1 => SendState::Queued,
        2 => SendState::Sent,
        3 => SendState::Delivered,
        4 => SendState::Displayed,
        5 => SendState::Failed { reason: reason.unwrap_or_default() },
        _ => return None,
    })
}
