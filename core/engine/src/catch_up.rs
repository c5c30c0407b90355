//! What was missed, from the archive (XEP-0313; STREAM 16 to 18). Gaps are rows.
//!
//! A fresh bind opens a gap in its own transaction. It is filled forward, page by page; results are stored as they arrive,
//! and the gap's edge moves only with the page's `<fin/>`. Live messages stand above the gap and never move its edge. What
//! was before the first sign-in is an unfetched region, filled backwards when somebody looks.
//!
//! Where a result stands among what is known is decided in [`order`].
//!
//! After a resumption that may have lost something the archive is compared with what arrived ([`Aim::Check`], STREAM 11).
//! Most often nothing is missing, and nothing is shown; what is missing is stored in its place.

mod order;

use std::collections::{BTreeMap, BTreeSet};

use jid::Jid;
use minidom::Element;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use whimbrel_proto::{
    address,
    message::{Archived, MessageView},
    ns, stamp,
    write::Tag,
};

use crate::{
    account::{Account, Archive, CatchingUp, Cx, Link, Unchecked},
    api::{self, Event, Reply},
    effect::Effect,
    error::{Error, Result},
    input::{Drained, Now},
    iq::{NO_ANSWER, Pending, refused},
    messages::{self, STEP, Source, Stored},
    mutants::{self, Mutant},
};

/// Room for positions in one gap: sixteen million messages, and half a million gaps.
const ROOM: i64 = 1 << 44;
/// Where nothing of ours stands any more, nor below its negative.
pub(crate) const HIGHEST: i64 = 1 << 62;
/// Messages to ask for at once, at most.
const PAGE: i64 = 500;
/// How often a page is halved because links or sessions are lost in the middle of it.
const HALVINGS: u32 = 3;
/// Overlap when an id is forgotten and time must do, in ms.
const OVERLAP: i64 = 3_600_000;
/// Pages of one gap that may lead nowhere before it has a pause. The gap stays visible.
const IDLE_PAGES: u32 = 3;
/// Pages that are asked for in one go. An archive that never ends has a pause after so many, each longer than the last; the gap
/// stays visible.
pub(crate) const PAGES: u32 = 1_000;
/// A message that waited longer in the archive is not worth a receipt any more, in ms.
const RECEIPT: i64 = 7 * 86_400_000;
const DAY: i64 = 86_400_000;
/// How soon after the last comparison one follows that a resumption is a reason for, in ms.
const SOON: u64 = 60_000;
/// How often a doubt is asked about again when the archive does not answer.
const DOUBT_TRIES: u32 = 2;

/// A query under way, as it is kept in `pending`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Query {
    #[serde(skip)]
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) dirty: bool,
    /// Known ids that this page has named: one that comes again moves nothing.
    #[serde(skip)]
    named: BTreeSet<String>,
    /// The archive has forgotten where the region ends that is read backwards, and this was its stamp: what is newer stands above.
    #[serde(default)]
    from_above: Option<i64>,
    /// What it has named so far that is newer and stands in the region, as ids, messages and places.
    #[serde(default)]
    low: Vec<(String, i64, i64)>,
    aim: Aim,
    /// Above what anything new stands.
    start: i64,
    /// Where the last result has its place; before the first one, [`Self::begin`].
    cursor: i64,
    /// Where what it is asked behind has its place.
    begin: i64,
    /// Nobody knows yet where the first result has its place: it is asked by time, or from the archive's beginning.
    floating: bool,
    /// Of what is read backwards: where the first that is known behind it stands. Else where the last stands that was known
    /// before it.
    edge: Option<i64>,
    /// The id that the next gap begins behind, until it was seen; then the rest is that gap's.
    until: Option<String>,
    reached: bool,
    /// Where the first message of this page stands, if it has any.
    first_position: Option<i64>,
    /// First and last id seen on this page.
    first: Option<String>,
    last: Option<String>,
    /// The archive's stamps of both.
    #[serde(default)]
    first_at: Option<i64>,
    last_at: Option<i64>,
    added: u32,
    seen: u32,
    /// Of those seen, how many were in this archive already.
    known: u32,
    /// Where the last stands that an earlier page brought from the same place, and whose end did not come.
    #[serde(default)]
    brought: Option<i64>,
    /// Which page of its question it is, from 0.
    page: u32,
    /// How often it was asked before and not answered.
    tries: u32,
    /// How often pages had been halved when it was asked.
    smaller: u32,
    /// The first message that it has named and that came before what is asked, or did not.
    unsure: Option<i64>,
    /// Its link was lost before it was answered: what is replayed of the answer can be mixed up.
    cut: bool,
    /// Receipts that are due when the page is over: to whom, for which id.
    receipts: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Aim {
    /// Fill this gap forward.
    Fill { gap: i64 },
    /// The newest page, at the first sign-in.
    Newest,
    /// Only look what the archive ends with, since it has said that nothing follows where this begins; nothing is stored.
    End { of: Box<Aim> },
    /// The page before an unfetched region's edge.
    Before { gap: i64 },
    /// Only look whether ours are there; nothing is stored (STREAM 12). Behind neither an id nor a time: from the newest backwards.
    Doubt { peer: String, after: Option<String>, since: Option<i64>, before: Option<String> },
    /// What follows the last id that was covered before a resumption.
    Check {
        after: Option<String>,
        /// Where the server has forgotten that id: about when it was.
        since: Option<i64>,
    },
}

impl Query {
    fn new(aim: Aim, cursor: i64) -> Self {
        Self {
            id: String::new(),
            dirty: false,
            named: BTreeSet::new(),
            from_above: None,
            low: Vec::new(),
            aim,
            start: cursor,
            cursor,
            begin: cursor,
            floating: false,
            edge: None,
            until: None,
            reached: false,
            first_position: None,
            first: None,
            last: None,
            first_at: None,
            last_at: None,
            added: 0,
            seen: 0,
            known: 0,
            brought: None,
            page: 0,
            tries: 0,
            smaller: 0,
            unsure: None,
            cut: false,
            receipts: Vec::new(),
        }
    }

    /// The same question behind this place.
    fn behind(self, begin: i64) -> Self {
        Self { begin, cursor: begin, ..self }
    }

    /// What is left to check when this page has been.
    fn left_to_check(&self, after: Option<String>) -> Unchecked {
        Unchecked { after, position: self.cursor, edge: self.edge, at: self.last_at.unwrap_or(0) }
    }

    /// It has named this message, which may stand elsewhere in the archive as well.
    fn is_unsure_of(&mut self, message: i64) {
        self.unsure = Some(self.unsure.map_or(message, |other| other.min(message)));
    }

    /// Where the last stands that it has brought, or another one from the same place.
    fn has_brought(&self) -> Option<i64> {
        self.first_position.map(|_| self.cursor).max(self.brought)
    }

    /// The same question, of which nothing was answered yet.
    fn afresh(&self) -> Self {
        let Self { from_above, start, begin, floating, edge, last_at, page, tries, unsure, added, .. } =
            *self;
        let until = self.until.clone();
        let same = Self::new(self.aim.clone(), start);
        let brought = self.has_brought();
        // What it has brought is here by now, and was missing all the same.
        Self { from_above, floating, edge, until, last_at, page, tries, unsure, added, brought, ..same }
            .behind(begin)
    }

    /// Whether these are numbers that we can have written, and that can be counted on.
    fn is_ours(&self) -> bool {
        let counters = [self.added, self.seen, self.known, self.page, self.tries];
        let places = [self.start, self.begin, self.cursor, self.brought.unwrap_or(0)];
        places.iter().all(|place| (-HIGHEST..=HIGHEST).contains(place))
            && counters.into_iter().all(|count| count <= u32::MAX / 2)
    }

    fn fills(&self) -> bool {
        match &self.aim {
            Aim::End { of } => matches!(**of, Aim::Fill { .. }),
            aim => matches!(aim, Aim::Fill { .. } | Aim::Newest),
        }
    }

    fn checks(&self) -> bool {
        match &self.aim {
            Aim::End { of } => matches!(**of, Aim::Check { .. }),
            aim => matches!(aim, Aim::Check { .. }),
        }
    }

    /// Whether the archive ends where this begins is asked first.
    fn of_the_end(&self) -> Self {
        Self { aim: Aim::End { of: Box::new(self.aim.clone()) }, ..self.afresh() }
    }

    pub(crate) fn about(peer: String, after: Option<String>, since: Option<i64>) -> Self {
        Self::new(Aim::Doubt { peer, after, since, before: None }, 0)
    }

    pub(crate) fn doubts(&self, peer: &str) -> bool {
        matches!(&self.aim, Aim::Doubt { peer: doubted, .. } if doubted == peer)
    }

    pub(crate) fn save(&mut self, tx: &rusqlite::Transaction<'_>) -> Result<()> {
        self.dirty = false;
        tx.prepare_cached("UPDATE pending SET what = ?2 WHERE iq = ?1")?
            .execute(params![self.id, serde_json::to_string(&Pending::Page(self.clone()))?])?;
        Ok(())
    }
}

/// The queries that were under way.
pub(crate) fn load(connection: &Connection) -> Result<BTreeMap<String, Query>> {
    let mut statement = connection.prepare("SELECT iq, what FROM pending")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut queries = BTreeMap::new();
    for row in rows {
        let (id, what) = row?;
        if let Pending::Page(mut query) = serde_json::from_str(&what)? {
            if !query.is_ours() {
                return Err(Error::bug("a query's counters"));
            }
            query.id.clone_from(&id);
            queries.insert(id, query);
        }
    }
    Ok(queries)
}

/// Messages fetched and the server's guess of all, while a gap is open.
pub(crate) fn progress(tx: &Connection) -> Result<Option<(u64, Option<u64>)>> {
    Ok(tx
        .prepare_cached("SELECT done, total FROM gap WHERE kind = 0 ORDER BY id LIMIT 1")?
        .query_row([], |row| {
            let (done, total): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            // A guess that is below what has come already was none.
            Ok((done as u64, total.filter(|total| *total >= done).map(|total| total as u64)))
        })
        .optional()?)
}

impl CatchingUp {
    /// Of a process that goes on with these: pages are as small as they were.
    pub(crate) fn with(queries: &BTreeMap<String, Query>) -> Self {
        let smaller = queries.values().map(|query| query.smaller).max().unwrap_or(0);
        Self { smaller: smaller.min(HALVINGS), ..Self::default() }
    }

    /// The next page is half as large.
    fn halve(&mut self) {
        self.smaller = (self.smaller + 1).min(HALVINGS);
    }
}

impl Account {
    /// In the transaction of a fresh bind: what comes from now on stands above what may have been missed (STREAM 17).
    pub(crate) fn bound_anew(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if mutants::on(Mutant::GapNotOpened) {
            return Ok(());
        }
        let own = self.jid.as_str();
        // What an earlier resumption may have lost lies below the gap: it is looked for on its own.
        let edge: Option<(Option<String>, i64, i64)> = cx
            .tx
            .query_row(
                "SELECT last_id, last_at, position FROM coverage WHERE archive = ?1",
                params![own],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let low = self.session.next_position;
        match edge {
            Some((last_id, last_at, covered)) => {
                // What a resumption may have mixed up is not known to be older.
                let covered =
                    self.session.unchecked.as_ref().map_or(covered, |from| from.begins().min(covered));
                self.open_gap(cx, low, last_id.as_deref(), last_at, covered)?
            }
            // What came live before the archive was ever read stands below what is read first, until it is named there.
            None if self.login.archive != Archive::Unknown => self.session.next_position = low + 2 * ROOM,
            None => return Ok(()),
        }
        self.session.dirty = true;
        // What was never sent goes out in this session, above the gap. What is in doubt stays where it stands: if it arrived,
        // then below.
        self.moves_up(cx, "doubt = 0", "")
    }

    /// The account has an archive now. What it has is newer than what came without it, unless it names that.
    pub(crate) fn archive_found(&mut self, cx: &Cx<'_>) -> Result<()> {
        if self.coverage(cx)?.is_none() {
            self.session.next_position += 2 * ROOM;
            self.session.dirty = true;
        }
        Ok(())
    }

    fn open_gap(
        &mut self,
        cx: &mut Cx<'_>,
        low: i64,
        last_id: Option<&str>,
        last_at: i64,
        covered: i64,
    ) -> Result<()> {
        let own = self.jid.as_str();
        // Nothing of the archive was seen since the last gap was opened: it is still the same gap.
        let same: Option<i64> = cx
            .tx
            .query_row(
                "SELECT id FROM gap WHERE archive = ?1 AND kind = 0 AND after_id IS ?2",
                params![own, last_id],
                |row| row.get(0),
            )
            .optional()?;
        self.session.next_position = low + ROOM;
        match same {
            Some(gap) => {
                cx.tx.execute("UPDATE gap SET high_position = ?2 WHERE id = ?1", params![gap, low + ROOM])?;
                cx.room = None;
            }
            None => {
                cx.tx.execute(
                    "INSERT INTO gap (archive, kind, after_id, since, low_position, high_position, covered_position) VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6)",
                    params![own, last_id, last_at, low, low + ROOM, covered],
                )?;
                let heard = self.online().map_or(0, |online| online.heard_before);
                self.catching_up.opened = Some((cx.tx.last_insert_rowid(), heard));
            }
        }
        cx.touched.all_timelines = true;
        Ok(())
    }

    /// Messages of the outbox, in its order, stand above all others from now on.
    pub(crate) fn moves_up(&mut self, cx: &mut Cx<'_>, which: &str, peer: &str) -> Result<()> {
        let waiting = cx
            .tx
            .prepare_cached(&format!(
                "SELECT m.id, m.conversation FROM outbox AS o JOIN message AS m ON m.id = o.message
                 WHERE {which} AND ?1 IN ('', o.peer) ORDER BY o.seq"
            ))?
            .query_map(params![peer], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
        for (message, conversation) in waiting {
            let position = self.next_position();
            messages::move_to(cx, message, conversation, position)?;
        }
        Ok(())
    }

    /// Asks for what is missing, if anything is and nobody asked yet. After the initial presence (STREAM 17).
    pub(crate) fn catch_up(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.login.archive == Archive::Unknown
            || self.online().is_none()
            || self.catching_up.again.is_some()
        {
            return Ok(());
        }
        if self.queries.values().any(Query::fills) {
            return Ok(());
        }
        let known: bool = cx.tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM coverage WHERE archive = ?1)",
            params![self.jid.as_str()],
            |row| row.get(0),
        )?;
        if !known {
            let cursor = self.session.next_position - ROOM;
            return self.query(cx, Query::new(Aim::Newest, cursor));
        }
        // From below. A gap that no id begins comes last: only the one above it can tell where it ends.
        let gaps = cx
            .tx
            .prepare_cached(
                "SELECT id, low_position, covered_position, by_time, after_id,
                 coalesce(reached_position, covered_position, low_position), brought_position,
                 (SELECT after_id FROM gap AS above WHERE above.kind = 0 AND above.archive = gap.archive
                  AND above.low_position >= gap.high_position ORDER BY above.low_position LIMIT 1)
                 FROM gap WHERE kind = 0 ORDER BY by_time = 1 OR after_id IS NULL, low_position",
            )?
            .query_map([], |row| {
                let query = Query {
                    edge: row.get(2)?,
                    floating: row.get(3)?,
                    brought: row.get(6)?,
                    until: row.get(7)?,
                    ..Query::new(Aim::Fill { gap: row.get(0)? }, row.get(1)?)
                };
                Ok((query, row.get(4)?, row.get(5)?))
            })?
            .collect::<rusqlite::Result<Vec<(Query, Option<String>, i64)>>>()?;
        let some_left = !gaps.is_empty();
        let idle = &self.catching_up.idle;
        let next = gaps.into_iter().find(|(query, ..)| match query.aim {
            Aim::Fill { gap } => idle.get(&gap).is_none_or(|pages| *pages < IDLE_PAGES),
            _ => true,
        });
        if let Some(link) = self.current_link() {
            cx.out.push(Effect::Hurry { link, on: next.is_some() });
        }
        match next {
            Some((query, after, reached)) => {
                // What came live since then stands below the gap, and stays where it is unless something was missed before it.
                let begin = self.place_of(cx, after.as_deref(), reached)?;
                self.query(cx, query.behind(begin))
            }
            None => {
                if some_left {
                    // All of them lead nowhere now. An archive may go on another time.
                    self.pause(cx);
                }
                Ok(())
            }
        }
    }

    /// Where an id of our archive has its place. What leaves no row, such as a receipt, has none: then `or`.
    fn place_of(&self, cx: &Cx<'_>, id: Option<&str>, or: i64) -> Result<i64> {
        let known = id.map(|id| messages::known_as(cx, self.jid.as_str(), id)).transpose()?.flatten();
        Ok(known.and_then(|known| known.place).unwrap_or(or))
    }

    /// Asks in the background what the server has dropped without a word (STREAM 11).
    pub(crate) fn check_for_dropped(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.session.checked_at = cx.now.wall;
        self.catching_up.checked = Some(cx.now.mono);
        self.catching_up.resumed = false;
        self.session.dirty = true;
        if self.login.archive == Archive::Unknown
            || self.queries.values().any(Query::checks)
            || mutants::on(Mutant::DroppedNotLookedFor)
        {
            return Ok(());
        }
        if self.session.unchecked.is_none() {
            self.session.unchecked = self.coverage(cx)?;
        }
        match self.session.unchecked.clone() {
            Some(unchecked) => self.check_behind(cx, &unchecked, None),
            None => Ok(()),
        }
    }

    /// Begins to compare with what follows an id, or with all since a time.
    fn check_behind(&mut self, cx: &mut Cx<'_>, unchecked: &Unchecked, since: Option<i64>) -> Result<()> {
        let gap = self.lowest_gap(cx)?;
        let begins_there = |begin: &Option<String>| since.is_none() && *begin == unchecked.after;
        if gap.as_ref().is_some_and(|begin| begin.is_none() || begins_there(begin)) {
            // Where it would begin a gap begins, or below it nothing is left: the catch-up has the word.
            return self.drop_checks(cx);
        }
        let until = gap.flatten();
        let after = unchecked.after.clone().filter(|_| since.is_none());
        let floating = after.is_none();
        let start = match &after {
            Some(after) => self.place_of(cx, Some(after), unchecked.position)?,
            // What is found before anything that is known stands there.
            None => unchecked.position,
        };
        let edge = unchecked.edge.filter(|_| !floating);
        let query = Query::new(Aim::Check { after, since }, start);
        self.query(cx, Query { floating, edge, until, last_at: Some(unchecked.at), ..query })
    }

    /// A live message that is older than the one before it. ejabberd 24.12 hands the messages that were on their way to a session
    /// when it was resumed elsewhere to the new connection behind later ones. Its ids count, so an id that counts backwards is
    /// worth a question; the ids are opaque all the same, and only the archive's answer moves anything (STREAM 19).
    pub(crate) fn look_again_if_late(&mut self, cx: &mut Cx<'_>, id: &str) -> Result<()> {
        if self.session.unchecked.is_none() {
            return Ok(());
        }
        let is_number = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let newest: Option<String> = cx
            .tx
            .prepare_cached("SELECT last_id FROM coverage WHERE archive = ?1")?
            .query_row(params![self.jid.as_str()], |row| row.get(0))
            .optional()?
            .flatten();
        match newest {
            Some(newest)
                if newest.len() == id.len() && is_number(&newest) && is_number(id) && *id < *newest =>
            {
                self.check_for_dropped(cx)
            }
            // The first since the archive was empty. Later it may have forgotten its beginning, and nothing would tell what follows
            // that from what stands before all that is known.
            None => self.check_for_dropped(cx),
            _ => Ok(()),
        }
    }

    /// At least once a day, whatever happened (STREAM 11), and while the user looks soon after a resumption: ejabberd copies nothing to
    /// a session while that is resumed. A clock that jumps costs one question: one of the two knows that the time has passed.
    pub(crate) fn check_now_and_then(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let replaying = self.online().is_none_or(|online| online.replayed.is_some());
        if replaying || self.catching_up.check_again {
            return Ok(());
        }
        let now = cx.now;
        let since = |wall: i64, mono: Option<u64>| {
            now.wall.abs_diff(wall).max(now.mono.saturating_sub(mono.unwrap_or(now.mono)))
        };
        let passed = since(self.session.checked_at, self.catching_up.checked);
        // Who comes back several times a day asks the archive each time, and that says nothing of the rest.
        let compared = since(self.session.compared_at, self.catching_up.compared);
        if passed.max(compared) >= DAY as u64 {
            self.everything_is_compared(now);
            self.follow_server_info(cx)?;
            self.ask_lists_after_check(cx)?;
            self.check_for_dropped(cx)?;
            if self.queries.values().any(Query::checks) {
                return Ok(());
            }
            self.ask_after_check(cx)
        } else if passed >= SOON && self.compares_soon() {
            self.check_for_dropped(cx)
        } else {
            Ok(())
        }
    }

    fn compares_soon(&self) -> bool {
        let is_over = self.online().is_some_and(|online| online.replayed.is_none());
        is_over && self.foreground && self.catching_up.resumed && !self.catching_up.check_again
    }

    /// When that is at the latest, mono ms: whoever looks is not to wait until something else happens.
    pub(crate) fn compares_at(&self) -> Option<u64> {
        self.catching_up.checked.filter(|_| self.compares_soon()).map(|checked| checked + SOON)
    }

    /// What the server tells besides messages is asked for now.
    pub(crate) fn everything_is_compared(&mut self, now: Now) {
        (self.session.compared_at, self.catching_up.compared) = (now.wall, Some(now.mono));
        self.session.dirty = true;
    }

    /// Sends a query and keeps it.
    pub(crate) fn query(&mut self, cx: &mut Cx<'_>, mut query: Query) -> Result<()> {
        let name = cx.id();
        let mut form = Tag::with_ns("x", ns::DATA_FORMS).attr("type", "submit").child(
            Tag::new("field")
                .attr("var", "FORM_TYPE")
                .attr("type", "hidden")
                .child(Tag::new("value").text(ns::MAM)),
        );
        let mut field = |name: &str, value: &str| {
            let tag = Tag::new("field").attr("var", name).child(Tag::new("value").text(value));
            form = form.clone().child(tag);
        };
        let max = match query.aim {
            Aim::End { .. } => 1,
            _ => (self.config.page.clamp(1, PAGE as u32) >> self.catching_up.smaller).max(1),
        };
        let mut page = Tag::with_ns("set", ns::RSM).child(Tag::new("max").text(max.to_string()));
        match &query.aim {
            Aim::Fill { gap } => {
                let (after, since, by_time): (Option<String>, Option<i64>, bool) = cx.tx.query_row(
                    "SELECT after_id, since, by_time FROM gap WHERE id = ?1",
                    params![gap],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )?;
                match (after, since) {
                    (Some(after), _) if !by_time => page = page.child(Tag::new("after").text(after)),
                    (_, Some(since)) if by_time => {
                        field("start", &stamp::format(since.saturating_sub(OVERLAP)))
                    }
                    _ => {}
                }
            }
            Aim::Newest | Aim::End { .. } => page = page.child(Tag::new("before")),
            Aim::Before { gap } => {
                let (before, by_time, at): (Option<String>, bool, Option<i64>) = cx.tx.query_row(
                    "SELECT before_id, by_time = 1, coalesce(since, (SELECT m.at FROM archived AS a JOIN message AS m ON m.id = a.message
                     WHERE a.id = before_id AND a.archive = gap.archive)) FROM gap WHERE id = ?1",
                    params![gap],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )?;
                match at.filter(|_| by_time) {
                    Some(at) => {
                        field("end", &stamp::format(at + OVERLAP));
                        page = page.child(Tag::new("before"));
                    }
                    None => page = page.child(Tag::new("before").text(before.unwrap_or_default())),
                }
            }
            Aim::Check { after, since } => match (after, since) {
                (Some(after), _) => page = page.child(Tag::new("after").text(after)),
                (None, Some(since)) => field("start", &stamp::format(since.saturating_sub(OVERLAP))),
                _ => {}
            },
            Aim::Doubt { peer, after, since, before } => {
                field("with", peer);
                match (after, since) {
                    (Some(after), _) => page = page.child(Tag::new("after").text(after)),
                    (None, Some(since)) => field("start", &stamp::format(since.saturating_sub(OVERLAP))),
                    _ => {
                        page = page.child(Tag::new("before").text(before.as_deref().unwrap_or_default()));
                    }
                }
            }
        }
        let payload = Tag::with_ns("query", ns::MAM).attr("queryid", &name).child(form).child(page);
        // The query id is the name under which results are believed; it must not be guessable, as the iq's own is not.
        query.id = name.clone();
        query.smaller = self.catching_up.smaller;
        let iq = Tag::new("iq").attr("type", "set").attr("id", &name).child(payload);
        cx.tx
            .prepare_cached("INSERT INTO pending (iq, what) VALUES (?1, ?2)")?
            .execute(params![name, serde_json::to_string(&Pending::Page(query.clone()))?])?;
        self.enqueue(cx, crate::outbox::Kind::Iq, "", Some(&name), &iq.into_bytes())?;
        self.queries.insert(name, query);
        Ok(())
    }

    /// One result of a page.
    pub(crate) fn archived(&mut self, cx: &mut Cx<'_>, result: &Archived<'_>) -> Result<()> {
        let Some(name) = result.query else { return Ok(()) };
        let Some(mut query) = self.queries.remove(name) else { return Ok(()) };
        let done = self.take_result(cx, &mut query, result);
        self.queries.insert(name.to_owned(), query);
        done
    }

    fn take_result(&mut self, cx: &mut Cx<'_>, query: &mut Query, result: &Archived<'_>) -> Result<()> {
        query.dirty = true;
        query.seen += 1;
        if matches!(query.aim, Aim::End { .. }) {
            query.last = Some(result.id.to_owned());
            return Ok(());
        }
        let at = result.stamp.and_then(stamp::parse);
        if query.first.is_none() {
            (query.first, query.first_at) = (Some(result.id.to_owned()), at);
        }
        query.last = Some(result.id.to_owned());
        query.reached |= query.until.as_deref() == Some(result.id);
        query.last_at = at.or(query.last_at);
        let Some(message) = result.message else { return Ok(()) };
        let view = MessageView::read(message);
        if let Aim::Doubt { .. } = query.aim {
            if let (true, Some(id)) = (self.is_from_us(&view), view.origin_id.or(view.id))
                && let Some(message) = self.found_in_archive(cx, id)?
            {
                // Another device may have said something that came here later and is before it there, where all is covered by now.
                query.is_unsure_of(message);
            }
            return Ok(());
        }
        let position = self.place(cx, query)?;
        let unnamed = self.place_unnamed(cx, query, position)?;
        let at = at.unwrap_or(cx.now.wall);
        let stored = match self.take(cx, &view, Source::Archive { id: result.id, at, position: unnamed })? {
            // What nobody here wants to hear of any more was kept when it came.
            Stored::Nothing => {
                messages::known_as(cx, self.jid.as_str(), result.id)?.map_or(Stored::Nothing, Stored::Known)
            }
            stored => stored,
        };
        let message = match &stored {
            Stored::Nothing => None,
            Stored::New(message) => Some(*message),
            Stored::Known(known) => Some(known.message),
        };
        match stored {
            Stored::Nothing => {}
            Stored::New(_) => {
                query.cursor = unnamed;
                query.added += 1;
                if let (Aim::Fill { .. } | Aim::Check { .. }, true, Some(id)) =
                    (&query.aim, view.wants_receipt, view.id)
                    && cx.now.wall.saturating_sub(at) <= RECEIPT
                    && let Some(from) = view.from.and_then(address::sender)
                    && from.to_bare() != self.jid
                    && self.sends_receipts_to(cx, &from.to_bare())?
                {
                    query.receipts.push((from.to_string(), id.to_owned()));
                }
            }
            Stored::Known(known) => {
                query.known += 1;
                if query.named.insert(result.id.to_owned()) {
                    let position = if known.place.is_some() { position } else { unnamed };
                    query.cursor = self.place_known(cx, query, result.id, &known, position)?;
                }
            }
        }
        if let Some(message) = message {
            query.first_position.get_or_insert(query.cursor);
            self.is_named_from_above(cx, query, result.id, message)?;
        }
        if query.cursor >= self.session.next_position {
            // What comes live from now on stands above it.
            self.session.next_position = query.cursor.min(HIGHEST) + STEP;
            self.session.dirty = true;
        }
        if let Some(id) = view.received.filter(|_| !query.receipts.is_empty())
            && self.is_from_us(&view)
        {
            // Another device of ours has answered for us.
            query.receipts.retain(|(_, due)| due != id);
        }
        Ok(())
    }

    /// A result that could not be built or handled.
    pub(crate) fn archived_placeholder(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        id: &str,
        text: &str,
    ) -> Result<()> {
        let Some(mut query) = self.queries.remove(name) else { return Ok(()) };
        query.dirty = true;
        query.seen += 1;
        query.first.get_or_insert_with(|| id.to_owned());
        query.last = Some(id.to_owned());
        query.reached |= query.until.as_deref() == Some(id);
        if matches!(query.aim, Aim::Doubt { .. } | Aim::End { .. }) {
            self.queries.insert(name.to_owned(), query);
            return Ok(());
        }
        let position = self.place(cx, &query)?;
        let message = if let Some(known) = messages::known_as(cx, self.jid.as_str(), id)? {
            query.known += 1;
            if query.named.insert(id.to_owned()) {
                query.cursor = self.place_known(cx, &mut query, id, &known, position)?;
            }
            known.message
        } else {
            // Whom it was from is inside of what was not read: it stands in the conversation with ourselves.
            let from = Jid::from(self.jid.clone());
            let at = query.last_at.unwrap_or(cx.now.wall);
            let position = self.place_unnamed(cx, &mut query, position)?;
            let message = self.insert_placeholder(cx, &from, text, position, at)?;
            self.join_archive(cx, message, id, position)?;
            query.cursor = position;
            query.added += 1;
            message
        };
        query.first_position.get_or_insert(query.cursor);
        self.is_named_from_above(cx, &mut query, id, message)?;
        self.queries.insert(name.to_owned(), query);
        Ok(())
    }

    /// What ended the stream is a result that we asked for. The first time it may have been the link's fault. The second time
    /// nobody will ever read it: it leaves a placeholder, and what was asked goes on behind it, in a session anew (STREAM 21).
    ///
    /// The edge moves to it although the page has no `<fin/>`: results come in order, and those before it are stored.
    pub(crate) fn choked_on_a_result(&mut self, cx: &mut Cx<'_>, stanza: &Drained) -> Result<()> {
        let Some((name, id)) = &stanza.archived else { return Ok(()) };
        if !self.is_own_account(stanza.from.as_deref()) || !self.queries.contains_key(name) {
            return Ok(());
        }
        self.session.dirty = true;
        if self.session.choked_on.as_ref() != Some(id) {
            self.session.choked_on = Some(id.clone());
            return Ok(());
        }
        self.forget_session();
        self.drained(cx, stanza)?;
        let Some(mut query) = self.queries.remove(name) else { return Ok(()) };
        cx.tx.execute("DELETE FROM pending WHERE iq = ?1", params![name])?;
        let done = match &query.aim {
            Aim::Fill { gap } => self.fill_done(cx, &query, *gap, false, None),
            Aim::Newest => self.newest_done(cx, &query, false),
            Aim::End { of } => self.end_seen(cx, &query, of),
            Aim::Check { .. } => {
                self.session.unchecked = Some(query.left_to_check(query.last.clone()));
                Ok(())
            }
            Aim::Before { gap } => {
                // What stands between it and what was known already is a hole of its own.
                cx.tx.execute(
                    "INSERT INTO gap (archive, kind, after_id, since, low_position, high_position, covered_position, reached_position)
                     SELECT archive, 0, ?2, ?3, ?4, max(high_position, ?4 + 1), ?4, ?4 FROM gap WHERE id = ?1",
                    params![gap, query.last, query.last_at, query.cursor],
                )?;
                self.before_done(cx, &query, *gap, false)
            }
            Aim::Doubt { peer, .. } => {
                cx.tx.execute(
                    "UPDATE outbox SET covered = ?2 WHERE peer = ?1 AND doubt = 1",
                    params![peer, query.last],
                )?;
                Ok(())
            }
        };
        done?;
        if matches!(query.aim, Aim::Before { .. }) {
            // The next page ends where this one begins.
            (query.first_position, query.brought) = (None, None);
        }
        self.let_go(cx, &query)
    }

    /// Nobody will answer this page. What it has brought is here, and a second reading would take it for known: what is due for it,
    /// and what it has left open, is not lost with it.
    fn let_go(&mut self, cx: &mut Cx<'_>, query: &Query) -> Result<()> {
        self.send_due_receipts(cx, query)?;
        self.leave_open(cx, query)
    }

    /// To whom they may go by now.
    fn send_due_receipts(&mut self, cx: &mut Cx<'_>, query: &Query) -> Result<()> {
        for (to, id) in &query.receipts {
            let whom = Jid::new(to).map_err(|_| Error::bug("to whom a receipt goes"))?;
            if self.sends_receipts_to(cx, &whom.to_bare())? {
                self.send_receipt(cx, to, id)?;
            }
        }
        Ok(())
    }

    /// What it has named and what may have been before what was asked is compared another time.
    fn leave_open(&mut self, cx: &mut Cx<'_>, query: &Query) -> Result<()> {
        if let (Aim::Fill { gap } | Aim::Before { gap }, Some(brought)) = (&query.aim, query.has_brought()) {
            cx.tx.execute(
                "UPDATE gap SET brought_position = max(coalesce(brought_position, ?2), ?2) WHERE id = ?1",
                params![gap, brought],
            )?;
        }
        query.unsure.map_or(Ok(()), |message| self.mark_behind(cx, message).map(drop))
    }

    /// The session was resumed. What is under way may be answered in two halves, the second of which can be mixed up or come
    /// behind its end (ejabberd 24.12 hands over late what was on its way when the link was lost). Then it is asked again.
    pub(crate) fn queries_were_cut(&mut self) {
        for query in self.queries.values_mut() {
            query.cut = true;
            query.dirty = true;
        }
    }

    /// The session is over. Pages may have been what ended it: a server keeps only so much that was not acknowledged, and answers two
    /// of them before it reads what we say of the first. They are asked for again, and are smaller.
    pub(crate) fn queries_were_lost(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let lost = std::mem::take(&mut self.queries);
        if !lost.is_empty() {
            self.catching_up.halve();
        }
        lost.values().try_for_each(|query| self.let_go(cx, query))
    }

    /// A page is over: the edge moves, in the transaction that holds what was still in its batch.
    pub(crate) fn page_done(
        &mut self,
        cx: &mut Cx<'_>,
        query: &Query,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        self.queries.remove(&query.id);
        self.send_due_receipts(cx, query)?;
        if let Link::Online(online) = &mut self.link {
            online.answer = true;
        }
        let fin = match answer {
            Ok(iq) => iq.get_child("fin", ns::MAM),
            Err(condition) => return self.page_failed(cx, query, condition),
        };
        if query.cut {
            self.catching_up.halve();
            // No edge moves by what can be mixed up. A smaller page may fit between two cuts.
            return self.query(cx, query.afresh());
        }
        self.catching_up.smaller = self.catching_up.smaller.saturating_sub(1);
        // What was read may have its name now, or be another message.
        self.tell_what_is_due(cx)?;
        // What is still changing (XEP-0313 §4.2.3, `stable`) is not complete, whatever it says.
        let stable = !fin.is_some_and(|fin| matches!(fin.attr("stable"), Some("false" | "0")));
        let complete = stable && fin.is_some_and(|fin| matches!(fin.attr("complete"), Some("true" | "1")));
        let set = fin.and_then(|fin| fin.get_child("set", ns::RSM));
        let count = set
            .and_then(|set| set.get_child("count", ns::RSM))
            .and_then(|count| count.text().trim().parse::<i64>().ok().filter(|count| *count >= 0));
        // Prosody 13 says so of an id, too, that it has forgotten, or that is not of the peer who is asked about.
        let ends_at_once = complete && query.seen == 0 && query.page == 0;
        match &query.aim {
            // But of what it choked on nothing else is asked (STREAM 21).
            Aim::Doubt { after: Some(after), .. }
                if ends_at_once && self.session.choked_on.as_ref() != Some(after) =>
            {
                self.page_failed(cx, query, "item-not-found")
            }
            Aim::Doubt { peer, after, since, before } => {
                let backwards = after.is_none() && since.is_none();
                let (edge, last_edge) = if backwards { (&query.first, before) } else { (&query.last, after) };
                let goes_on = self.doubt_goes_on(edge.as_deref(), last_edge.as_deref(), query.page);
                if let Some(message) = query.unsure {
                    self.look_behind(cx, message)?;
                }
                if complete || !goes_on {
                    self.doubts_settled(cx, peer)
                } else {
                    let (after, before) = if backwards { (None, edge.clone()) } else { (edge.clone(), None) };
                    let next = Aim::Doubt { peer: peer.clone(), after, since: None, before };
                    self.query(cx, Query { page: query.page + 1, ..Query::new(next, 0) })
                }
            }
            Aim::Newest => {
                self.newest_done(cx, query, complete)?;
                cx.event(Event::CaughtUp);
                self.tell_soon(cx);
                Ok(())
            }
            Aim::Before { .. } if ends_at_once => self.page_failed(cx, query, "item-not-found"),
            Aim::Before { gap } => self.before_done(cx, query, *gap, complete),
            Aim::End { of } => self.end_seen(cx, query, of),
            Aim::Fill { gap } if !stable => {
                // It leads somewhere once the archive has settled.
                self.pause(cx);
                self.fill_done(cx, query, *gap, false, count)?;
                self.catching_up.idle.remove(gap);
                Ok(())
            }
            Aim::Fill { .. } | Aim::Check { .. } if complete && query.seen == 0 && query.page > 0 => {
                // Nor is what it ends with now behind that.
                self.page_failed(cx, query, "item-not-found")
            }
            Aim::Fill { gap } if ends_at_once && self.begins_behind_expired(cx, *gap)? => {
                self.query(cx, query.of_the_end())
            }
            Aim::Fill { gap } => self.fill_done(cx, query, *gap, complete, count),
            Aim::Check { after: Some(after), since: None }
                if ends_at_once && self.may_have_expired(cx, after)? =>
            {
                self.query(cx, query.of_the_end())
            }
            Aim::Check { after, .. } => self.check_done(cx, query, after.as_deref(), complete),
        }
    }

    fn fill_done(
        &mut self,
        cx: &mut Cx<'_>,
        query: &Query,
        gap: i64,
        complete: bool,
        count: Option<i64>,
    ) -> Result<()> {
        let own = self.jid.as_str().to_owned();
        let edges: Option<(i64, i64, Option<String>, Option<i64>, bool)> = cx
            .tx
            .query_row(
                "SELECT low_position, high_position, after_id, since, by_time FROM gap WHERE id = ?1",
                params![gap],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
            )
            .optional()?;
        let Some((low, high, after, since, by_time)) = edges else { return self.catch_up(cx) };
        // Another gap above means that this one has an upper edge: it closes where that one begins, and not before, since what
        // came live in between may have holes (no carbons yet, or dropped by the server).
        let above: bool = cx.tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM gap WHERE kind = 0 AND archive = ?2 AND low_position >= ?3 AND id <> ?1)",
            params![gap, own, high],
            |row| row.get(0),
        )?;
        let reached = query.reached && self.next_gap_begins(cx, query)?;
        let closed = complete || reached || mutants::closes(query.seen, count);
        cx.tx.execute(
            "UPDATE gap SET after_id = coalesce(?2, after_id), since = coalesce(?3, since), by_time = CASE WHEN ?2 IS NULL THEN by_time ELSE 0 END,
             covered_position = CASE WHEN by_time = 1 AND ?2 IS NOT NULL THEN NULL ELSE covered_position END, reached_position = ?4, low_position = max(low_position, ?4), high_position = max(high_position, ?4 + 1), done = done + ?5, total = coalesce(total, ?6) WHERE id = ?1",
            params![gap, query.last.as_ref().filter(|_| !mutants::on(Mutant::GapEditSkipped)), query.last_at, query.cursor, query.seen, count],
        )?;
        if query.cursor >= high {
            // What was known already stands below the gap now, which is shown elsewhere.
            cx.touched.all_timelines = true;
        }
        if let Some(message) = query.unsure {
            self.look_behind(cx, message)?;
        }
        if let (Some(last), false) = (&query.last, above) {
            self.covered(cx, last, query.cursor, query.last_at)?;
        }
        if let Some((caught_up, total)) = progress(cx.tx)? {
            cx.event(Event::Progress { caught_up, total });
        }
        let reaches_back = query.first_position.is_some_and(|first| first <= query.edge.unwrap_or(low))
            || since.is_some_and(|since| query.first_at.is_some_and(|at| at <= since));
        if by_time && complete && query.seen == 0 {
            // Whatever comes next is where the archive begins.
            cx.tx.execute(
                "UPDATE coverage SET last_id = NULL WHERE archive = ?1 AND last_id IS ?2",
                params![own, after],
            )?;
        }
        // What came since the server was last heard is too young to have expired.
        let was_here = self.catching_up.opened.is_some_and(|(opened, heard)| {
            opened == gap && cx.now.wall.abs_diff(heard) < self.config.kept_for as u64
        });
        if by_time && since.is_some() && !reaches_back && !was_here {
            // Nothing of the overlap is there any more: what followed the lower edge is no longer on the server. Before what was found.
            let first = query.first_position.map_or(low + 1, |first| first.min(low + 1));
            cx.tx.execute(
                "INSERT INTO gap (archive, kind, low_position, high_position) VALUES (?1, 2, ?2, ?3)",
                params![own, low, first],
            )?;
            cx.touched.all_timelines = true;
        }
        if closed {
            cx.tx.execute("DELETE FROM gap WHERE id = ?1", params![gap])?;
            // Another gap may have its number one day.
            self.catching_up.idle.remove(&gap);
            self.catching_up.ends.retain(|(of, _)| *of != gap);
            self.catching_up.opened = self.catching_up.opened.filter(|(opened, _)| *opened != gap);
            self.catching_up.back_off.reset();
            self.catching_up.pages = 0;
            cx.touched.all_timelines = true;
            self.look_again_with_carbons(cx)?;
            if progress(cx.tx)?.is_none() {
                cx.event(Event::CaughtUp);
                self.tell_soon(cx);
                self.ask_after_check(cx)?;
            }
        } else {
            // It never closes by guess. A page that leads nowhere: empty, the same again, or back to what was read before.
            let dead = query.seen == 0 || (query.last == after && !by_time);
            // Receipts leave no row. Whether a page of them leads on shows only in where it ends.
            let new_end = query.last.clone().is_some_and(|last| self.catching_up.ends.insert((gap, last)));
            let moved = query.added > 0 || new_end;
            let idle = self.catching_up.idle.entry(gap).or_default();
            *idle = if dead {
                IDLE_PAGES
            } else if moved {
                0
            } else {
                *idle + 1
            };
            if *idle >= IDLE_PAGES {
                tracing::warn!("the archive does not go on");
            }
            if self.is_enough() {
                self.pause(cx);
            }
        }
        self.catch_up(cx)
    }

    /// Whether an id may not be in our archive any more.
    fn may_have_expired(&self, cx: &Cx<'_>, id: &str) -> Result<bool> {
        let at: Option<i64> = cx
            .tx
            .prepare_cached(
                "SELECT m.at FROM archived AS a JOIN message AS m ON m.id = a.message WHERE a.id = ?1 AND a.archive = ?2",
            )?
            .query_row(params![id, self.jid.as_str()], |row| row.get(0))
            .optional()?;
        Ok(at.is_none_or(|at| cx.now.wall.abs_diff(at) >= self.config.kept_for as u64))
    }

    fn begins_behind_expired(&self, cx: &Cx<'_>, gap: i64) -> Result<bool> {
        let after: Option<String> = cx
            .tx
            .prepare_cached("SELECT CASE by_time WHEN 0 THEN after_id END FROM gap WHERE id = ?1")?
            .query_row(params![gap], |row| row.get(0))
            .optional()?
            .flatten();
        after.map_or(Ok(false), |after| self.may_have_expired(cx, &after))
    }

    /// The archive has said that nothing follows an id. If it ends with something else that does not stand before that, and has not come
    /// meanwhile, it has forgotten the id: time must do (STREAM 18).
    fn end_seen(&mut self, cx: &mut Cx<'_>, query: &Query, of: &Aim) -> Result<()> {
        let after: Option<String> = match of {
            Aim::Fill { gap } => cx
                .tx
                .query_row("SELECT after_id FROM gap WHERE id = ?1", params![gap], |row| row.get(0))
                .optional()?
                .flatten(),
            Aim::Check { after, .. } => after.clone(),
            _ => None,
        };
        let stands_before = match &query.last {
            Some(last) => messages::known_as(cx, self.jid.as_str(), last)?
                .and_then(|known| known.place)
                .is_some_and(|place| place <= query.begin),
            None => false,
        };
        let is_there = query.last == after || stands_before;
        let query = Query { aim: of.clone(), ..query.afresh() };
        match of {
            Aim::Fill { gap } if is_there => self.fill_done(cx, &query, *gap, true, None),
            _ if is_there => self.check_done(cx, &query, after.as_deref(), true),
            _ => self.query(cx, Query { page: query.page + 1, ..query }),
        }
    }

    /// One page more, and whether that was enough for one go.
    fn is_enough(&mut self) -> bool {
        self.catching_up.pages += 1;
        self.catching_up.pages.is_multiple_of(PAGES)
    }

    /// The archive is asked again after a while.
    fn pause(&mut self, cx: &mut Cx<'_>) {
        self.catching_up.ends.clear();
        self.catching_up.idle.clear();
        let wait = self.catching_up.back_off.next_wait(cx.rng);
        self.catching_up.again = (!mutants::on(Mutant::FailedPageNotAskedAgain)).then(|| cx.now.mono + wait);
        if let Some(link) = self.current_link() {
            cx.out.push(Effect::Hurry { link, on: false });
        }
    }

    fn check_done(
        &mut self,
        cx: &mut Cx<'_>,
        query: &Query,
        after: Option<&str>,
        complete: bool,
    ) -> Result<()> {
        self.session.dirty = true;
        // What has moved up on this page was covered before, and what is covered stands behind it. Where nothing was, the archive is
        // read from its beginning another time, and what it names first must find its place again.
        cx.tx
            .prepare_cached(
                "UPDATE coverage SET position = max(position, ?2) WHERE archive = ?1 AND last_id IS NOT NULL",
            )?
            .execute(params![self.jid.as_str(), query.cursor])?;
        if query.added > 0 {
            self.ask_lists_after_check(cx)?;
        }
        // Where a gap begins the catch-up has the word, unless it has begun already.
        let reached = query.reached && self.next_gap_begins(cx, query)?;
        if complete || reached || mutants::on(Mutant::CheckedOnePageOnly) {
            // It was asked before what is still being replayed, which may come in another order yet, or not at all.
            let replaying = self.online().is_some_and(|online| online.replayed.is_some());
            let last = query.last.clone().or_else(|| after.map(str::to_owned));
            self.session.unchecked = (replaying && !reached).then(|| query.left_to_check(last));
            if let Some(message) = query.unsure {
                self.look_behind(cx, message)?;
            }
            if let (Some(last), false) = (&query.last, reached) {
                self.covered(cx, last, query.cursor, query.last_at)?;
            }
            self.look_again_with_carbons(cx)?;
            return self.ask_after_check(cx);
        }
        if query.seen == 0 || query.last.as_deref() == after {
            // It leads nowhere; what is unchecked is asked about another day.
            return self.leave_open(cx, query);
        }
        let position = query.cursor;
        if query.added > 0 {
            // More than a page is missing: that is a hole, and is shown as one.
            let top: i64 = cx.tx.query_row(
                "SELECT coalesce(min(low_position), ?2) FROM gap WHERE kind = 0 AND low_position > ?1",
                params![position, self.session.next_position],
                |row| row.get(0),
            )?;
            cx.tx.execute(
                "INSERT INTO gap (archive, kind, after_id, since, low_position, high_position, dense, covered_position, reached_position)
                 VALUES (?1, 0, ?2, ?3, ?4, ?5, 1, ?6, ?4)",
                params![self.jid.as_str(), query.last, query.last_at, position, top, query.edge],
            )?;
            self.session.unchecked = None;
            self.leave_open(cx, query)?;
            cx.touched.all_timelines = true;
            return self.catch_up(cx);
        }
        if !query.is_floating() {
            self.session.unchecked = Some(query.left_to_check(query.last.clone()));
        }
        if self.is_enough() {
            // Another day.
            return self.leave_open(cx, query);
        }
        let since = match query.aim {
            Aim::Check { since, .. } => since,
            _ => None,
        };
        let gap = self.lowest_gap(cx)?;
        if gap == Some(None) {
            return self.drop_checks(cx);
        }
        let next = Query::new(Aim::Check { after: query.last.clone(), since }, position);
        let (floating, until) = (query.is_floating(), gap.flatten());
        self.query(
            cx,
            Query { floating, edge: query.edge, until, last_at: query.last_at, unsure: query.unsure, ..next },
        )
    }

    /// The lowest gap, if there is one: the id that it begins behind, or none if it begins where the archive does.
    fn lowest_gap(&self, cx: &Cx<'_>) -> Result<Option<Option<String>>> {
        Ok(cx
            .tx
            .prepare_cached(
                "SELECT CASE by_time WHEN 0 THEN after_id END FROM gap WHERE kind = 0 ORDER BY low_position LIMIT 1",
            )?
            .query_row([], |row| row.get(0))
            .optional()?)
    }

    /// There is nothing to compare with.
    fn drop_checks(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.abandon_checks(cx)?;
        self.session.unchecked = None;
        self.session.dirty = true;
        Ok(())
    }

    fn abandon_checks(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let checks: Vec<_> = self.queries.extract_if(.., |_, query| query.checks()).collect();
        for (id, query) in checks {
            cx.tx.execute("DELETE FROM pending WHERE iq = ?1", params![id])?;
            self.let_go(cx, &query)?;
            if query.added > 0 {
                self.ask_lists_after_check(cx)?;
            }
        }
        Ok(())
    }

    /// The gap above begins where this question ends, and not below. Whether it still begins there: it may be filled by now.
    fn next_gap_begins(&self, cx: &mut Cx<'_>, query: &Query) -> Result<bool> {
        let begins = cx.tx.execute(
            "UPDATE gap SET low_position = max(low_position, ?2), high_position = max(high_position, ?2 + 1)
             WHERE kind = 0 AND after_id = ?1",
            params![query.until, query.cursor],
        )?;
        cx.room = None;
        cx.touched.all_timelines |= begins > 0;
        Ok(begins > 0)
    }

    fn newest_done(&mut self, cx: &mut Cx<'_>, query: &Query, complete: bool) -> Result<()> {
        cx.tx.execute(
            "INSERT OR IGNORE INTO coverage (archive, last_id, position, last_at) VALUES (?1, ?2, ?3, ?4)",
            params![
                self.jid.as_str(),
                query.last,
                // What came live in this session before the page was there is not behind its end.
                query.cursor.max(self.session.next_position - STEP),
                query.last_at.unwrap_or(0)
            ],
        )?;
        self.look_again_with_carbons(cx)?;
        if !complete {
            let start = self.session.next_position.min(query.cursor) - 2 * ROOM;
            let first = query.first_position.unwrap_or(query.start);
            cx.tx.execute(
                "INSERT INTO gap (archive, kind, before_id, low_position, high_position, covered_position, since) VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    self.jid.as_str(),
                    query.first,
                    start,
                    first.min(query.start).saturating_sub(ROOM / 4),
                    // Of a page of receipts nobody knows what stands behind its head: what came live meanwhile may be older.
                    query.first_position,
                    query.first_at
                ],
            )?;
        }
        cx.touched.all_timelines = true;
        Ok(())
    }

    /// The archive was read. What other devices send until there are carbons is looked for behind this.
    fn look_again_with_carbons(&mut self, cx: &Cx<'_>) -> Result<()> {
        let later = || self.is_asked(cx, &Pending::Later(Box::new(Pending::Carbons)));
        if self.session.unchecked.is_none() && (self.is_asked(cx, &Pending::Carbons)? || later()?) {
            self.session.unchecked = self.coverage(cx)?;
            self.session.dirty = true;
        }
        Ok(())
    }

    fn before_done(&mut self, cx: &mut Cx<'_>, query: &Query, gap: i64, complete: bool) -> Result<()> {
        let mut query = query.clone();
        self.raise_to_end(cx, &mut query)?;
        if complete {
            // There was more, or there would be no such region. Asked for by time, and nothing came but what was known, from the edge on, or
            // what is newer: it is no longer there.
            let ends_there =
                query.added == 0 && query.from_above.is_some() && query.first_at == query.from_above;
            cx.tx.execute(
                "UPDATE gap SET kind = 2 WHERE id = ?1 AND (?3 OR by_time = 1 AND ?2 = 0)",
                params![gap, query.added, ends_there || query.is_from_above(query.first_at)],
            )?;
            cx.tx.execute("DELETE FROM gap WHERE id = ?1 AND kind = 1", params![gap])?;
        } else if query.first.is_some() {
            cx.tx.execute(
                "UPDATE gap SET before_id = ?2, brought_position = NULL, by_time = iif(?6, 2, 0), since = iif(?6, since, coalesce(?7, since)),
                 covered_position = coalesce(?5, covered_position), high_position = high_position - (?3 + 2) * ?4 WHERE id = ?1",
                params![
                    gap,
                    query.first,
                    i64::from(query.seen.max(self.config.page)),
                    STEP,
                    query.first_position,
                    query.is_from_above(query.first_at),
                    query.first_at
                ],
            )?;
            cx.room = None;
        }
        cx.touched.all_timelines = true;
        for request in std::mem::take(&mut self.waiting.older) {
            cx.reply(request, Ok(Reply::Older { added: query.added, complete }));
        }
        Ok(())
    }

    fn page_failed(&mut self, cx: &mut Cx<'_>, query: &Query, condition: &str) -> Result<()> {
        self.leave_open(cx, query)?;
        match &query.aim {
            Aim::Before { gap } if condition == "item-not-found" => {
                return self.edge_forgotten(cx, query, *gap);
            }
            Aim::End { of } => {
                let asked = Query { aim: (**of).clone(), ..query.afresh() };
                return self.page_failed(cx, &asked, condition);
            }
            _ => {}
        }
        if condition == NO_ANSWER && query.seen > 0 {
            // It came, and took too long.
            self.catching_up.halve();
        }
        match &query.aim {
            // A second copy is worse than a minute's delay, but a dead archive must not hold a message back for ever.
            Aim::Doubt { .. } if condition == NO_ANSWER && query.tries < DOUBT_TRIES => {
                let next = Query::new(query.aim.clone(), 0);
                // Behind a resumption it had less than its whole time.
                let tries = query.tries + u32::from(!query.cut);
                self.query(cx, Query { page: query.page, tries, ..next })
            }
            // The server has forgotten where it was (STREAM 18), and not what came since.
            Aim::Doubt { peer, after: Some(_), since: Some(since), .. } if condition == "item-not-found" => {
                self.query(cx, Query::about(peer.clone(), None, Some(*since)))
            }
            Aim::Doubt { peer, .. } => self.doubts_settled(cx, peer),
            Aim::Fill { gap } if condition == "item-not-found" => {
                let by_time: Option<bool> = cx
                    .tx
                    .query_row("SELECT by_time FROM gap WHERE id = ?1", params![gap], |row| row.get(0))
                    .optional()?;
                let idle = self.catching_up.idle.entry(*gap).or_default();
                *idle += 1;
                if by_time == Some(true) || mutants::on(Mutant::GapClosedByForgottenId) {
                    cx.tx.execute("UPDATE gap SET kind = 2 WHERE id = ?1", params![gap])?;
                    cx.touched.all_timelines = true;
                } else {
                    // The server has forgotten the id: time must do, with an overlap (STREAM 18). It has forgotten what was
                    // before it, too.
                    cx.tx.execute(
                        "UPDATE gap SET kind = 2 WHERE kind = 0 AND (by_time = 1 OR after_id IS NULL)
                         AND low_position < (SELECT low_position FROM gap WHERE id = ?1)",
                        params![gap],
                    )?;
                    // What an unfinished page has brought by the id stands below: what is missing followed it.
                    cx.tx.execute(
                        "UPDATE gap SET by_time = 1, low_position = max(low_position, coalesce(brought_position, low_position)) WHERE id = ?1",
                        params![gap],
                    )?;
                    self.drop_checks(cx)?;
                    cx.touched.all_timelines = true;
                }
                self.catch_up(cx)
            }
            Aim::Fill { .. } | Aim::End { .. } | Aim::Newest => {
                // A dead question must not keep what is missing from being asked for for ever.
                self.pause(cx);
                Ok(())
            }
            Aim::Check { after: Some(_), .. } if condition == "item-not-found" => {
                // The server has forgotten where it was: time must do, with an overlap (STREAM 18).
                let unchecked = query.left_to_check(None);
                self.check_behind(cx, &unchecked, Some(unchecked.at))
            }
            Aim::Check { .. } if condition == "item-not-found" => {
                // The server has forgotten where it was: that cannot be checked any more.
                self.drop_checks(cx)
            }
            Aim::Check { .. } => {
                // Half of it is in order, and half is not: it is asked again behind the next resumption, or else in a while.
                self.session.checked_at = 0;
                self.session.dirty = true;
                self.catching_up.check_again = true;
                self.pause(cx);
                Ok(())
            }
            Aim::Before { .. } => {
                let error = refused(cx, condition);
                for request in std::mem::take(&mut self.waiting.older) {
                    cx.reply(request, Err(error.clone()));
                }
                Ok(())
            }
        }
    }

    /// What failed is asked for again, if its time has come.
    pub(crate) fn pause_is_over(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.catching_up.again.is_none_or(|again| cx.now.mono < again) {
            return Ok(());
        }
        self.catching_up.again = None;
        if std::mem::take(&mut self.catching_up.check_again) {
            self.check_for_dropped(cx)?;
        }
        self.catch_up(cx)
    }

    /// The server has forgotten the id that an unfetched region ends at: time must do (STREAM 18). Where that fails as well,
    /// what was there is no longer on the server.
    fn edge_forgotten(&mut self, cx: &mut Cx<'_>, query: &Query, gap: i64) -> Result<()> {
        // With an overlap it does not end before what is known behind it.
        let first = cx.tx.execute(
            "UPDATE gap SET by_time = 1, covered_position = NULL WHERE id = ?1 AND by_time <> 1",
            params![gap],
        )? > 0;
        if !first {
            cx.tx.execute("UPDATE gap SET kind = 2 WHERE id = ?1", params![gap])?;
            cx.touched.all_timelines = true;
            for request in std::mem::take(&mut self.waiting.older) {
                cx.reply(request, Ok(Reply::Older { added: 0, complete: true }));
            }
            return Ok(());
        }
        let from_above: Option<i64> =
            cx.tx.query_row("SELECT since FROM gap WHERE id = ?1", params![gap], |row| row.get(0))?;
        let brought = query.has_brought();
        self.query(cx, Query { from_above, brought, ..Query::new(query.aim.clone(), query.start) })
    }

    /// Someone scrolls to where the unfetched region begins.
    pub(crate) fn older(&mut self, cx: &mut Cx<'_>, request: api::RequestId) -> Result<()> {
        if self.online().is_none() {
            cx.reply(request, Err(api::Error::Offline));
            return Ok(());
        }
        let gap: Option<(i64, i64, Option<i64>, Option<String>, Option<i64>, Option<i64>)> = cx
            .tx
            .query_row(
                "SELECT id, high_position, covered_position, before_id, iif(by_time = 0, NULL, since), brought_position FROM gap WHERE kind = 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
            )
            .optional()?;
        let Some((gap, high, covered, before, from_above, brought)) = gap else {
            cx.reply(request, Ok(Reply::Older { added: 0, complete: true }));
            return Ok(());
        };
        self.waiting.older.push(request);
        if self.queries.values().any(|query| matches!(query.aim, Aim::Before { .. })) {
            return Ok(());
        }
        let start = high.saturating_sub((i64::from(self.config.page) + 1) * STEP);
        let edge = covered.map(|covered| self.place_of(cx, before.as_deref(), covered)).transpose()?;
        let query = Query { edge, from_above, brought, ..Query::new(Aim::Before { gap }, start) };
        self.query(cx, query)
    }

    /// An id of our archive is the newest that is covered, if it stands above the one that was. Our own order decides: the
    /// phone's clock may say anything, and a server's stamp may be from another clock. `at` is the archive's stamp, if it is known:
    /// of a live message it is not, and then what was covered before is a lower bound.
    pub(crate) fn covered(&self, cx: &mut Cx<'_>, id: &str, position: i64, at: Option<i64>) -> Result<()> {
        cx.tx
            .prepare_cached(
                "UPDATE coverage SET last_id = ?2, position = ?3, last_at = coalesce(?4, last_at) WHERE archive = ?1 AND position <= ?3",
            )?
            .execute(params![self.jid.as_str(), id, position, at])?;
        Ok(())
    }

    /// What came live since this message is compared with the archive: from the last before it that the archive had named.
    pub(crate) fn look_behind(&mut self, cx: &mut Cx<'_>, message: i64) -> Result<()> {
        if self.mark_behind(cx, message)? { self.check_for_dropped(cx) } else { Ok(()) }
    }

    /// The same, when there is time. Whether it can be compared.
    pub(crate) fn mark_behind(&mut self, cx: &mut Cx<'_>, message: i64) -> Result<bool> {
        let own = self.jid.as_str();
        let from: Option<(String, i64)> = cx
            .tx
            .query_row(
                "SELECT id, place FROM (SELECT id, place FROM archived WHERE archive = ?1 AND message < ?2 ORDER BY message DESC LIMIT 50)
                 WHERE place < (SELECT position FROM message WHERE id = ?2)
                 -- What was only looked up in doubt may stand where the archive was not read.
                 AND place >= (SELECT coalesce(max(high_position), ?3) FROM gap WHERE kind = 1) LIMIT 1",
                params![own, message, -HIGHEST],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let unfetched: bool =
            cx.tx.query_row("SELECT EXISTS (SELECT 1 FROM gap WHERE kind = 1)", [], |row| row.get(0))?;
        let at: Option<i64> = cx
            .tx
            .query_row("SELECT last_at FROM coverage WHERE archive = ?1", params![own], |row| row.get(0))
            .optional()?;
        // The archive was never read: the first page will name what it has.
        let Some(at) = at else { return Ok(false) };
        let from = match from {
            Some((id, place)) => Unchecked { after: Some(id), position: place, edge: Some(place), at },
            // Nothing was named before, so all that the archive has came since.
            None if !unfetched => Unchecked { after: None, position: -HIGHEST, edge: None, at: 0 },
            None => return Ok(false),
        };
        if self.session.unchecked.as_ref().is_none_or(|unchecked| unchecked.begins() > from.position) {
            // A check that is under way begins above it.
            self.session.unchecked = Some(from);
            self.session.dirty = true;
            self.abandon_checks(cx)?;
        }
        Ok(true)
    }
}
