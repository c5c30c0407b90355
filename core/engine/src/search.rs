//! Finding messages by their words, newest first.
//!
//! The index (`word`, FTS5) says which word stands where, and no text a second time. Its rows are numbered by the time at
//! which messages reached the server, so that the newest are found first and a page costs no more for a word that everybody
//! uses. With whom, by whom and whether there is a link are words, too, that nobody can type.
//!
//! The index follows in batches, each a step of its own, when nothing is being fetched. It never makes a search miss what is
//! stored: rows above `account.indexed`, and those in `unindexed`, are looked through one by one, by the same rules. Those are
//! in `search/words.rs`. What the user types is never syntax: all that reaches FTS5 are words that were folded there.

mod words;

use std::ops::Range;

use jid::BareJid;
use rusqlite::{Connection, OptionalExtension, Row, params};
use whimbrel_proto::text::{self, Style};

use self::words::{Word, words};
use crate::{
    account::{Account, Cx},
    api::Message,
    error::Result,
    mutants::{self, Mutant},
    timeline,
};

/// Rows that are indexed in one step. What is waiting is looked through with each search, which costs some microseconds a row.
const BATCH: i64 = 500;
/// And bytes of their texts, one too many at most: an extension that a push has woken has little memory.
const BYTES: usize = 1024 * 1024;
/// So many new ones are worth a commit.
const WORTH: i64 = 100;
/// How long nothing is indexed after that has failed, in ms: what is new is looked through.
const AGAIN: u64 = 600_000;
/// Hits of a page, at most.
const PAGE: u32 = 500;
/// Words and phrases of a search, and places that are highlighted in one text, at most.
const MOST: usize = 32;
/// Messages of about a second have so many rows of the index.
const ROOM: u32 = 14;

/// What a message is found by, and where it stands in the index.
const FOUND_BY: &str = "SELECT m.id, m.at, m.conversation, m.mine, m.hidden = 0 AND m.kind <> 1, m.body,
    m.amended OR m.target IS NOT NULL OR m.extra IS NOT NULL, i.place
    FROM message AS m LEFT JOIN indexed AS i ON i.message = m.id";

/// What to look for. All that is given has to be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Words, in any order, each of which may go on from two letters on; what stands in double quotes has to stand so. May be empty
    /// where `from` or `has_link` is given; else nothing is found.
    pub text: String,
    /// In one conversation.
    pub with: Option<BareJid>,
    /// Written by this account's own user, if it is the account's address, or by a contact.
    pub from: Option<BareJid>,
    /// Not before this, ms UTC.
    pub since: Option<i64>,
    /// Before this, ms UTC.
    pub until: Option<i64>,
    /// There is a link in it.
    pub has_link: bool,
}

/// A page of hits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest first.
    pub hits: Vec<Hit>,
    /// Where to go on; `None`: that was all.
    pub next: Option<Cursor>,
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// It.
    pub message: Message,
    /// What in its text to highlight, in bytes of UTF-8, in order.
    pub matches: Vec<Range<usize>>,
    /// Where it stands among all hits.
    pub cursor: Cursor,
}

/// Where a hit stands among all: older ones are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When it reached the server or us, ms UTC.
    pub at: i64,
    /// Its row.
    pub row: i64,
}

/// A page of what there is, behind a cursor.
///
/// # Errors
/// Where the world failed.
pub fn search(connection: &Connection, search: &Search, before: Option<Cursor>, limit: u32) -> Result<Found> {
    let limit = limit.clamp(1, PAGE) as usize;
    let Some(query) = Query::new(connection, search, before)? else { return Ok(Found::default()) };
    let (mut found, mut more) = query.in_index(connection, limit)?;
    found.extend(query.beside_index(connection)?);
    found.sort_unstable_by(|one, other| other.cmp(one));
    more |= found.len() > limit;
    found.truncate(limit);
    let mut hits = Vec::new();
    for cursor in &found {
        let Some((message, _)) = timeline::message(connection, cursor.row)? else { continue };
        let matches = query.matches(&words(&message.text)).unwrap_or_default();
        hits.push(Hit { message, matches, cursor: *cursor });
    }
    Ok(Found { hits, next: found.last().copied().filter(|_| more) })
}

/// What is looked for, in the file's own terms.
struct Query {
    phrases: Vec<Phrase>,
    conversation: Option<i64>,
    mine: Option<bool>,
    has_link: bool,
    since: i64,
    /// Not included.
    until: i64,
    before: Cursor,
}

/// Words that have to stand one behind the other.
#[derive(Debug, PartialEq, Eq)]
struct Phrase {
    words: Vec<String>,
    /// The last may go on.
    open: bool,
}

impl Query {
    /// `None`: nothing fits, or nothing is asked.
    fn new(connection: &Connection, search: &Search, before: Option<Cursor>) -> Result<Option<Self>> {
        let phrases = phrases(&search.text);
        if phrases.is_empty()
            && !(search.text.trim().is_empty() && (search.has_link || search.from.is_some()))
        {
            return Ok(None);
        }
        let (mut with, mut mine) = (search.with.as_ref(), None);
        if let Some(from) = &search.from {
            let own: String = connection.query_row("SELECT jid FROM account", [], |row| row.get(0))?;
            mine = Some(from.as_str() == own);
            if mine == Some(false) {
                if with.is_some_and(|with| with != from) {
                    return Ok(None);
                }
                with = Some(from);
            }
        }
        let conversation = match with {
            Some(with) => {
                let known = connection
                    .prepare_cached("SELECT id FROM conversation WHERE jid = ?1")?
                    .query_row(params![with.as_str()], |row| row.get(0))
                    .optional()?;
                let Some(known) = known else { return Ok(None) };
                Some(known)
            }
            None => None,
        };
        Ok(Some(Self {
            phrases,
            conversation,
            mine,
            has_link: search.has_link,
            since: search.since.unwrap_or(i64::MIN),
            until: search.until.unwrap_or(i64::MAX),
            before: before.unwrap_or(Cursor { at: i64::MAX, row: i64::MAX }),
        }))
    }

    /// At least as many hits as wanted, if there are so many, and whether there may be more. Which of those of one second is
    /// newer the index does not know: all of the last second are among them.
    fn in_index(&self, connection: &Connection, wanted: usize) -> Result<(Vec<Cursor>, bool)> {
        let mut statement = connection.prepare_cached(
            "SELECT i.place, m.at, m.id FROM word AS w CROSS JOIN indexed AS i ON i.place = w.rowid
             CROSS JOIN message AS m ON m.id = i.message
             WHERE w.word MATCH ?1 AND w.rowid BETWEEN ?2 AND ?3
             AND NOT EXISTS (SELECT 1 FROM unindexed AS u WHERE u.message = i.message) ORDER BY w.rowid DESC",
        )?;
        let newest = self.until.saturating_sub(1).min(self.before.at);
        let mut rows =
            statement.query(params![self.expression(), places(self.since).start, places(newest).end - 1])?;
        let mut found = Vec::new();
        let mut last = i64::MIN;
        while let Some(row) = rows.next()? {
            let (place, cursor) = (row.get::<_, i64>(0)?, Cursor { at: row.get(1)?, row: row.get(2)? });
            if place < last {
                return Ok((found, true));
            }
            if self.is_in_time(cursor) {
                found.push(cursor);
                if found.len() == wanted {
                    last = places(cursor.at).start;
                }
            }
        }
        Ok((found, false))
    }

    /// Hits among the rows that the index does not have, or not as they are.
    fn beside_index(&self, connection: &Connection) -> Result<Vec<Cursor>> {
        let mut found = Vec::new();
        if mutants::on(Mutant::UnindexedNotSearched) {
            return Ok(found);
        }
        for which in ["m.id > (SELECT indexed FROM account)", "m.id IN (SELECT message FROM unindexed)"] {
            let mut statement = connection.prepare_cached(&format!("{FOUND_BY} WHERE {which}"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let row = FoundBy::read(connection, row)?;
                let cursor = Cursor { at: row.at, row: row.message };
                if self.is_in_time(cursor) && self.fits(&row) {
                    found.push(cursor);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn is_in_time(&self, cursor: Cursor) -> bool {
        cursor < self.before && (self.since..self.until).contains(&cursor.at)
    }

    fn fits(&self, row: &FoundBy) -> bool {
        let Some(text) = &row.text else { return false };
        self.conversation.is_none_or(|conversation| conversation == row.conversation)
            && self.mine.is_none_or(|mine| mine == row.mine)
            && (!self.has_link || row.has_link(text))
            && self.matches(&words(text)).is_some()
    }

    /// What of a text is to be highlighted; `None` where something that is looked for is not in it.
    fn matches(&self, words: &[Word]) -> Option<Vec<Range<usize>>> {
        let mut all: Vec<Range<usize>> = Vec::new();
        for phrase in &self.phrases {
            let before = all.len();
            all.extend(
                words.windows(phrase.words.len()).filter_map(|words| phrase.stands_in(words)).take(MOST),
            );
            if all.len() == before {
                return None;
            }
        }
        all.sort_unstable_by_key(|range| (range.start, range.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in all {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        Some(merged)
    }

    /// The same for FTS5. Between its quotes stand folded words, and no sign that means anything there.
    fn expression(&self) -> String {
        let mut terms = Vec::new();
        terms.extend(self.conversation.map(|conversation| format!("\"{}\"", with(conversation))));
        terms.extend(self.mine.map(|mine| format!("\"{}\"", by(mine))));
        terms.extend(self.has_link.then(|| format!("\"{LINK}\"")));
        for Phrase { words, open } in &self.phrases {
            terms.push(format!("\"{}\"{}", words.join(" "), if *open { " *" } else { "" }));
        }
        terms.join(" AND ")
    }
}

impl Phrase {
    /// `None`: there is no word in it.
    fn new(text: &str, open: bool) -> Option<Self> {
        let mut words = words(text);
        let last = words.last()?;
        let mut open = open && last.text.chars().nth(1).is_some();
        if last.first.is_some_and(|(first, _)| first == last.text.len()) {
            // A sign at the end stands alone here, and may be followed by others where it is found.
            let end = last.end;
            open = words.len() < 2 || words[words.len() - 2].end != end;
            if !open {
                words.pop();
            }
        }
        Some(Self { words: words.into_iter().map(|word| word.text).collect(), open })
    }

    /// Where, if it does. There are as many words as it has.
    fn stands_in(&self, words: &[Word]) -> Option<Range<usize>> {
        let (last, wanted) = (words.last()?, self.words.last()?);
        let others = words.iter().zip(&self.words).take(words.len() - 1);
        let fits = if self.open { last.text.starts_with(wanted) } else { last.text == *wanted };
        if !fits || !others.into_iter().all(|(word, wanted)| word.text == *wanted) {
            return None;
        }
        let end = match last.first {
            Some((first, end)) if first == wanted.len() => end,
            _ => last.end,
        };
        Some(words.first()?.start..end)
    }
}

/// What is typed, in words and phrases.
fn phrases(text: &str) -> Vec<Phrase> {
    let mut phrases = Vec::new();
    for (part, text) in text.split(['"', '“', '”', '„']).enumerate() {
        if part % 2 == 1 {
            phrases.extend(Phrase::new(text, false));
        } else {
            phrases.extend(text.split_whitespace().filter_map(|word| Phrase::new(word, true)));
        }
    }
    phrases.truncate(MOST);
    phrases
}

// Words that nobody can type: there is no such sign in a folded one.
const LINK: &str = "#link";

fn with(conversation: i64) -> String {
    format!("#{conversation}")
}

fn by(mine: bool) -> &'static str {
    if mine { "#ours" } else { "#theirs" }
}

fn has_link(text: &str) -> bool {
    // Reading all that is in a text costs more than the rest, and every link has one of these.
    text.contains([':', '.'])
        && text::read(text, false, &[]).spans.iter().any(|span| matches!(span.style, Style::Link { .. }))
}

/// The rows of the index for messages of this time.
fn places(at: i64) -> Range<i64> {
    let second = at.clamp(0, 1 << 45) >> 10;
    second << ROOM..(second + 1) << ROOM
}

/// A row, as far as it is found by it.
struct FoundBy {
    message: i64,
    at: i64,
    conversation: i64,
    mine: bool,
    /// `None`: nothing is shown of it, or no text.
    text: Option<String>,
    /// Beside what is in the text.
    has_link: bool,
    /// Where it stands in the index.
    place: Option<i64>,
}

impl FoundBy {
    fn read(connection: &Connection, row: &Row<'_>) -> Result<Self> {
        let (message, is_shown, is_dressed): (i64, bool, bool) = (row.get(0)?, row.get(4)?, row.get(6)?);
        let (text, has_link) = match (is_shown, is_dressed) {
            (false, _) => (None, false),
            (true, false) => (row.get(5)?, false),
            (true, true) => match timeline::message(connection, message)? {
                Some((message, _)) => (Some(message.text), !message.links.is_empty()),
                None => (None, false),
            },
        };
        Ok(Self {
            message,
            at: row.get(1)?,
            conversation: row.get(2)?,
            mine: row.get(3)?,
            text,
            has_link,
            place: row.get(7)?,
        })
    }

    fn has_link(&self, text: &str) -> bool {
        self.has_link || has_link(text)
    }

    /// Its words, as FTS5 takes them.
    fn words(&self, text: &str) -> String {
        let mut all = vec![with(self.conversation), by(self.mine).to_owned()];
        if self.has_link(text) {
            all.push(LINK.to_owned());
        }
        all.extend(words(text).into_iter().map(|word| word.text));
        all.join(" ")
    }
}

/// What of the index is nowhere but in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Indexing {
    /// When a batch is due, mono ms.
    pub(crate) at: Option<u64>,
    /// When it could not be written, mono ms.
    pub(crate) failed: Option<u64>,
}

/// The text that is shown of a message is another, or nothing of it is shown any more. The index follows later.
pub(crate) fn changed(cx: &Cx<'_>, message: i64) -> Result<()> {
    cx.tx
        .prepare_cached(
            "INSERT INTO unindexed (message) SELECT ?1 FROM account WHERE ?1 <= indexed
             ON CONFLICT (message) DO UPDATE SET no_room = 0",
        )?
        .execute(params![message])?;
    Ok(())
}

/// A row is to go, and with it what is in the index: its place may be another's then.
pub(crate) fn removed(cx: &Cx<'_>, message: i64) -> Result<()> {
    cx.tx
        .prepare_cached("DELETE FROM word WHERE rowid = (SELECT place FROM indexed WHERE message = ?1)")?
        .execute(params![message])?;
    for table in ["indexed", "unindexed"] {
        cx.tx
            .prepare_cached(&format!("DELETE FROM {table} WHERE message = ?1"))?
            .execute(params![message])?;
    }
    Ok(())
}

impl Account {
    /// Whether the index is to follow in the next step, which is its own then. At the end of each step.
    pub(crate) fn plan_indexing(&mut self, cx: &Cx<'_>) -> Result<()> {
        let is_fetching = self.online().is_some() && !self.queries.is_empty();
        let due = !is_fetching
            && self.indexing.failed.is_none_or(|failed| cx.now.mono >= failed + AGAIN)
            && cx
                .tx
                .prepare_cached(
                    "SELECT coalesce((SELECT max(id) FROM message), 0) - indexed >= ?1
                     OR EXISTS (SELECT 1 FROM unindexed WHERE no_room = 0) FROM account",
                )?
                .query_row(params![WORTH], |row| row.get(0))?;
        self.indexing.at = due.then_some(cx.now.mono);
        Ok(())
    }

    /// Indexes a batch, if one is due.
    pub(crate) fn follow_with_index(&mut self, cx: &Cx<'_>) -> Result<()> {
        if self.indexing.at.take().is_none() {
            return Ok(());
        }
        // A failure rolls back all but this: the step that is tried again does without.
        self.indexing.failed = Some(cx.now.mono);
        self.index(cx)?;
        self.indexing.failed = None;
        Ok(())
    }

    fn index(&self, cx: &Cx<'_>) -> Result<()> {
        let mut room = BYTES;
        let changed = "m.id IN (SELECT message FROM unindexed WHERE no_room = 0 LIMIT ?1)";
        let mut batch = rows(cx, changed, BATCH, &mut room)?;
        let left = BATCH - batch.len() as i64;
        let new = rows(cx, "m.id > (SELECT indexed FROM account) ORDER BY m.id LIMIT ?1", left, &mut room)?;
        if let Some(last) = new.last() {
            cx.tx.prepare_cached("UPDATE account SET indexed = ?1")?.execute(params![last.message])?;
        }
        batch.extend(new);
        // FTS5 writes out what it has gathered whenever a row comes before the last one.
        batch.sort_unstable_by_key(|row| (row.at, row.message));
        for row in &batch {
            cx.tx
                .prepare_cached("DELETE FROM unindexed WHERE message = ?1")?
                .execute(params![row.message])?;
            if let Some(place) = row.place {
                cx.tx.prepare_cached("DELETE FROM word WHERE rowid = ?1")?.execute(params![place])?;
            }
            let place = match (&row.text, row.place) {
                (Some(_), None) => free_place(cx, row)?,
                (_, known) => known,
            };
            match (&row.text, place) {
                (Some(text), Some(place)) => {
                    cx.tx
                        .prepare_cached("INSERT INTO word (rowid, text) VALUES (?1, ?2)")?
                        .execute(params![place, row.words(text)])?;
                }
                (Some(_), None) => {
                    cx.tx
                        .prepare_cached("INSERT INTO unindexed (message, no_room) VALUES (?1, 1)")?
                        .execute(params![row.message])?;
                }
                (None, _) => {
                    cx.tx
                        .prepare_cached("DELETE FROM indexed WHERE message = ?1")?
                        .execute(params![row.message])?;
                }
            }
        }
        Ok(())
    }
}

/// So many, as long as there is room for their texts.
fn rows(cx: &Cx<'_>, which: &str, limit: i64, room: &mut usize) -> Result<Vec<FoundBy>> {
    let mut statement = cx.tx.prepare_cached(&format!("{FOUND_BY} WHERE {which}"))?;
    let mut rows = statement.query(params![limit])?;
    let mut found = Vec::new();
    while *room > 0
        && let Some(row) = rows.next()?
    {
        let row = FoundBy::read(cx.tx, row)?;
        *room = room.saturating_sub(row.text.as_ref().map_or(0, String::len));
        found.push(row);
    }
    Ok(found)
}

/// A row of the index for a message, unless the messages of that second have all of them: an archive may say of a million
/// that they came at once. Those are looked through one by one.
fn free_place(cx: &Cx<'_>, row: &FoundBy) -> Result<Option<i64>> {
    let places = places(row.at);
    let last: Option<i64> = cx
        .tx
        .prepare_cached(
            "SELECT place FROM indexed WHERE place >= ?1 AND place < ?2 ORDER BY place DESC LIMIT 1",
        )?
        .query_row(params![places.start, places.end], |row| row.get(0))
        .optional()?;
    let place = last.map_or(places.start, |last| last + 1);
    if !places.contains(&place) {
        return Ok(None);
    }
    cx.tx
        .prepare_cached("INSERT INTO indexed (place, message) VALUES (?1, ?2)")?
        .execute(params![place, row.message])?;
    Ok(Some(place))
}
