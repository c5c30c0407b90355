//! What [`crate::export`] has written, brought back; and archives that others have written in the form of XEP-0227.
//!
//! A batch is a command, and so a step: what was answered is in the file, and what was not can be repeated, since nothing is taken
//! twice. A message is known by the archive's ids, by the id that our own API gave it, by its origin-id, as every message that
//! comes (STREAM 20).
//!
//! Into an account that was never online everything goes where it was: positions, what was read, which part of the server's archive
//! is here. So the first session asks for what has come since, as after a backup that was put back. Into any other account
//! a message goes behind the one before it in the file, and what the account knows better stays: settings, gaps, what is
//! covered. Where the archive names it later it finds its place there.
//!
//! A file is from outside. What cannot be is left out and counted, and a number that was made up moves nothing out of reach.

use std::collections::BTreeMap;

use std::ops::RangeInclusive;

use jid::BareJid;
use minidom::Element;
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;
use whimbrel_proto::{
    address,
    message::{Kind as Sort, MessageView},
    ns, stamp,
};

use crate::{
    account::{Account, Cx, Unchecked},
    amendments::{self, Kind, Reference, Said},
    api::{Draft, Error, Event, Imported, Reply},
    catch_up::HIGHEST,
    deletions::DELETED,
    error::Result,
    export::NS,
    messages::{self, STEP},
    presence, read_position,
};

/// Room below what is there, for what stands before it.
const BELOW: i64 = 1 << 40;
/// Of a run of new messages between two known ones, each takes at most this part of the room.
const PART: i64 = 1_024;
/// Places that a file may give: everything that comes later has room above them.
const PLACES: RangeInclusive<i64> = -HIGHEST / 2..=HIGHEST / 2;
/// Times that a file may give, ms UTC: to the end of the year 9999, as everything that is written (XEP-0082).
const TIMES: RangeInclusive<i64> = 0..=253_402_300_799_999;
/// Longest id, in bytes.
const LONG: usize = 1_024;
/// Requests that are kept.
const MAX_REQUESTS: i64 = 1_000;

/// Where the last message of a file stands, in each conversation and in all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    file: String,
    conversations: BTreeMap<i64, i64>,
    last: Option<i64>,
}

/// What a message of a file is beside what it says.
#[derive(Default)]
struct Place<'a> {
    deleted: Option<&'a str>,
    /// For what it stood, then.
    stood_for: Option<&'a str>,
    placeholder: bool,
    payload: Option<&'a str>,
    position: Option<i64>,
    at: Option<i64>,
    written: Option<i64>,
    local: Option<&'a str>,
    state: i64,
    reason: Option<&'a str>,
    resent: bool,
    own_failure: bool,
    /// The archive's ids, and where they have their places.
    archived: Vec<(&'a str, i64)>,
}

impl Account {
    /// A part of a file, which is named.
    pub(crate) fn import(
        &mut self,
        cx: &mut Cx<'_>,
        file: &str,
        elements: &[Element],
    ) -> Result<std::result::Result<Reply, Error>> {
        if self.importing.file != file {
            self.importing = Cursor { file: file.to_owned(), ..Cursor::default() };
        }
        let restores = self.restores(cx, file)?;
        let told = cx.out.len();
        let mut done = Imported::default();
        let mut touched = BTreeMap::new();
        for element in elements {
            let taken = match element.name() {
                "result" if element.has_ns(ns::MAM) => {
                    self.import_message(cx, element, restores, &mut touched)?
                }
                "item" if element.has_ns(ns::ROSTER) => self.import_contact(cx, element)?,
                "presence" if element.has_ns(ns::JABBER_CLIENT) => import_request(cx, element)?,
                "conversation" if element.has_ns(NS) => {
                    self.import_conversation(cx, element, restores, &mut touched)?
                }
                "settings" if element.has_ns(NS) => restores && import_settings(cx, element)?,
                "gap" if element.has_ns(NS) => restores && self.import_gap(cx, element)?,
                "covered" if element.has_ns(NS) => restores && self.import_covered(cx, element)?,
                "unchecked" if element.has_ns(NS) => restores && self.import_unchecked(element),
                _ => {
                    done.skipped += 1;
                    continue;
                }
            };
            if element.name() != "result" {
                continue;
            }
            match taken {
                true => done.added += 1,
                false => done.known += 1,
            }
        }
        for (conversation, peer) in touched {
            messages::relist(cx, conversation)?;
            messages::touch(cx, &peer, i64::MIN);
        }
        (cx.touched.conversations, cx.touched.contacts) = (true, true);
        // Nothing of it has happened now.
        let is_news = |effect: &crate::Effect| matches!(effect, crate::Effect::Event(event) if matches!(**event, Event::Message { .. } | Event::Changed(_)));
        let of_file = cx.out.split_off(told);
        cx.out.extend(of_file.into_iter().filter(|effect| !is_news(effect)));
        Ok(Ok(Reply::Imported(done)))
    }

    /// Whether the account has nothing but what came from this file.
    fn restores(&self, cx: &Cx<'_>, file: &str) -> Result<bool> {
        let was_online: bool = self.session.sm.is_some()
            || self.session.jid.is_some()
            || cx.tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM coverage) AND (SELECT imported FROM account) IS NOT ?1",
                params![file],
                |row| row.get(0),
            )?;
        let is_ours: bool = cx.tx.query_row(
            "SELECT imported IS ?1 OR NOT EXISTS (SELECT 1 FROM message) FROM account",
            params![file],
            |row| row.get(0),
        )?;
        if was_online || !is_ours {
            return Ok(false);
        }
        cx.tx.execute("UPDATE account SET imported = ?1", params![file])?;
        Ok(true)
    }

    /// Whether it is new.
    fn import_message(
        &mut self,
        cx: &mut Cx<'_>,
        result: &Element,
        restores: bool,
        touched: &mut BTreeMap<i64, BareJid>,
    ) -> Result<bool> {
        let Some(forwarded) = result.get_child("forwarded", ns::FORWARD) else { return Ok(false) };
        let Some(message) = forwarded.get_child("message", ns::JABBER_CLIENT) else { return Ok(false) };
        let delay = forwarded.get_child("delay", ns::DELAY).and_then(|delay| delay.attr("stamp"));
        let place = place(result);
        let view = MessageView::read(message);
        // As messages come: neither an error nor a room says anything to anybody.
        if !matches!(view.kind, Sort::Chat | Sort::Normal) {
            return Ok(false);
        }
        let Some(from) = view.from.and_then(address::sender) else { return Ok(false) };
        let mine = from.to_bare() == self.jid;
        let peer = if mine {
            view.to.and_then(address::sender).map(jid::Jid::into_bare)
        } else {
            Some(from.to_bare())
        };
        let Some(peer) = peer else { return Ok(false) };
        let said = match place.payload {
            Some(namespace) => message.children().find(|child| child.ns() == namespace).map(|payload| Said {
                kind: Kind::Payload,
                target: Some(namespace),
                body: String::from(payload).into(),
                content: None,
            }),
            None => Said::read(&view),
        };
        let (kind, body) = match (&said, &place) {
            (_, Place { deleted: Some(digest), .. }) => (DELETED, (*digest).to_owned()),
            (Some(said), place) => {
                let kind = if place.placeholder { Kind::Placeholder } else { said.kind };
                let body = if place.payload.is_some() { &said.body } else { messages::cut(&said.body) };
                (kind.code(), body.to_owned())
            }
            (None, _) => return Ok(false),
        };
        let Some(at) = place.at.or_else(|| delay.and_then(stamp::parse)) else { return Ok(false) };
        let conversation = messages::conversation(cx, &peer)?;
        let name = view.origin_id.or(view.id);
        let known = self.find_known(cx, conversation, &place, &view, mine, (kind, &body), at)?;
        if let Some((message, position)) = known {
            for (id, _) in &place.archived {
                self.join_archive(cx, message, id, position)?;
            }
            if mine && place.state >= 3 {
                messages::confirm(cx, message, place.state)?;
            }
            self.importing.conversations.insert(conversation, position);
            self.importing.last = Some(position);
            return Ok(false);
        }
        let position = match place.position.filter(|_| restores) {
            Some(position) => position,
            None => self.position_for_import(cx, conversation)?,
        };
        self.importing.conversations.insert(conversation, position);
        self.importing.last = Some(position);
        if restores && self.session.next_position <= position {
            self.session.next_position = position + STEP;
            self.session.dirty = true;
        }
        let said = said.filter(|_| kind != DELETED);
        let (target, namespace) = match &said {
            Some(said) => said.names(),
            None => (place.stood_for, None),
        };
        let root = match (&said, target) {
            (Some(said), Some(target)) => {
                amendments::root(cx.tx, Reference { conversation, kind: said.kind, mine, position, target })?
            }
            _ => None,
        };
        let hidden = kind == DELETED || said.as_ref().is_some_and(|said| said.kind.is_hidden(root.is_some()));
        let stanza_id = view.id.filter(|id| Some(*id) != name);
        let state = if mine { place.state.max(2) } else { 0 };
        let extra = said.as_ref().map(|said| amendments::kept(said.content)).transpose()?.flatten();
        // The name of a message of ours in another conversation is not the name of this one.
        let is_free = |local: &&str| -> Result<bool> {
            let sql = "SELECT NOT EXISTS (SELECT 1 FROM message WHERE local_id = ?1)";
            Ok(cx.tx.prepare_cached(sql)?.query_row(params![local], |row| row.get(0))?)
        };
        let local = match place.local.filter(|_| mine) {
            Some(local) if is_free(&local)? => Some(local),
            _ => None,
        };
        cx.tx
            .prepare_cached(
                "INSERT INTO message (conversation, position, mine, kind, sender, body, at, written_at, name, stanza_id, has_origin,
                 local_id, state, reason, resent, own_failure, asks, extra, target, root, hidden, namespace)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
            )?
            .execute(params![
                conversation,
                position,
                mine,
                kind,
                from.as_str(),
                body,
                at,
                place.written.filter(|written| *written < at),
                name,
                stanza_id,
                view.origin_id.is_some(),
                local,
                state,
                place.reason.filter(|_| state == 5),
                place.resent,
                place.own_failure,
                i64::from(view.wants_receipt) | i64::from(view.markable) << 1,
                extra,
                target,
                root,
                hidden,
                namespace,
            ])?;
        let message = cx.tx.last_insert_rowid();
        if mine && kind == Kind::Text.code() {
            cx.tx
                .prepare_cached("UPDATE conversation SET ours = 1 WHERE id = ?1 AND ours = 0")?
                .execute(params![conversation])?;
        }
        for (id, at) in &place.archived {
            self.join_archive(cx, message, id, if restores { *at } else { position })?;
        }
        if matches!(kind, 0 | 2) {
            let stands_for = target.filter(|_| kind == Kind::Correction.code() && root.is_none());
            amendments::gather(cx, &peer, conversation, [name, stanza_id, stands_for])?;
        }
        if !mine && !hidden {
            cx.tx
                .prepare_cached(
                    "UPDATE conversation SET unread = unread + 1 WHERE id = ?1 AND read_position < ?2",
                )?
                .execute(params![conversation, position])?;
        }
        if let (Some(root), true) = (root, hidden) {
            amendments::amended(cx, root)?;
        }
        touched.insert(conversation, peer);
        Ok(true)
    }

    #[allow(clippy::too_many_arguments, reason = "a message is known by many names")]
    fn find_known(
        &self,
        cx: &Cx<'_>,
        conversation: i64,
        place: &Place<'_>,
        view: &MessageView<'_>,
        mine: bool,
        (kind, body): (i64, &str),
        at: i64,
    ) -> Result<Option<(i64, i64)>> {
        for (id, _) in &place.archived {
            if let Some(known) = messages::known_as(cx, self.jid.as_str(), id)? {
                return Ok(Some((known.message, known.position)));
            }
        }
        let stands = |id: i64| -> Result<(i64, i64)> { Ok((id, messages::position_of(cx, id)?)) };
        if let Some(local) = place.local.filter(|_| mine) {
            let known: Option<(i64, i64)> = cx
                .tx
                .prepare_cached("SELECT id, conversation FROM message WHERE local_id = ?1")?
                .query_row(params![local], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match known {
                Some((id, its)) if its == conversation => return stands(id).map(Some),
                _ => {}
            }
        }
        let name = view.origin_id.or(view.id);
        if let Some(name) = name.filter(|_| kind != DELETED) {
            let said = (Kind::of(kind), body);
            let is_origin = view.origin_id.is_some();
            if let Some(id) = messages::known_by_name(cx, conversation, name, is_origin, mine, true, said)? {
                return stands(id).map(Some);
            }
        }
        // What has no name at all, or was taken from this file before it was cut.
        let same = cx
            .tx
            .prepare_cached(
                "SELECT id, position FROM message WHERE conversation = ?1 AND position = ?2 AND kind = ?3 AND mine = ?4 AND at = ?5 AND body = ?6",
            )?
            .query_row(params![conversation, place.position, kind, mine, at, body], |row| {
                Ok((row.get(0)?, row.get(1)?))
            });
        Ok(same.optional()?)
    }

    /// Behind the message before it, and before what stands behind that.
    fn position_for_import(&mut self, cx: &Cx<'_>, conversation: i64) -> Result<i64> {
        let cursor = match self.importing.conversations.get(&conversation).copied().or(self.importing.last) {
            Some(cursor) => cursor,
            None => {
                let lowest: Option<i64> = cx.tx.query_row(
                    "SELECT min((SELECT min(position) FROM message WHERE conversation = c.id)) FROM conversation AS c",
                    [],
                    |row| row.get(0),
                )?;
                match lowest {
                    Some(lowest) => (lowest - BELOW).max(-HIGHEST / 2),
                    None => return Ok(self.next_position()),
                }
            }
        };
        let next: Option<i64> = cx
            .tx
            .prepare_cached("SELECT min(position) FROM message WHERE conversation = ?1 AND position > ?2")?
            .query_row(params![conversation, cursor], |row| row.get(0))?;
        // What comes live stands above all of it.
        let next = next.unwrap_or(self.session.next_position).max(cursor);
        Ok(cursor + ((next - cursor) / PART).clamp(i64::from(next - cursor > 1), STEP))
    }

    fn import_contact(&mut self, cx: &mut Cx<'_>, item: &Element) -> Result<bool> {
        // Who is one's contact the server says, once it was asked.
        if self.login.roster_ver.is_some() || self.session.jid.is_some() {
            return Ok(false);
        }
        crate::roster::import(cx, item)
    }

    fn import_conversation(
        &mut self,
        cx: &mut Cx<'_>,
        tag: &Element,
        restores: bool,
        touched: &mut BTreeMap<i64, BareJid>,
    ) -> Result<bool> {
        let Some(peer) = crate::iq::bare(tag.attr("with")) else { return Ok(false) };
        let conversation = messages::conversation(cx, &peer)?;
        touched.insert(conversation, peer.clone());
        let draft = tag.get_child("draft", NS).map(|draft| Draft {
            text: messages::cut(&draft.text()).to_owned(),
            reply_to: draft
                .attr("reply-to")
                .filter(|id| id.len() <= LONG)
                .map(|id| crate::api::ItemId(id.to_owned())),
        });
        let draft = draft.as_ref().map(serde_json::to_string).transpose()?;
        // What was decided here since counts more.
        (cx.conversation, cx.receipts_to) = (None, None);
        cx.tx.execute(
            "UPDATE conversation SET draft = coalesce(draft, ?2), pinned = max(pinned, ?3), muted_until = coalesce(muted_until, ?4),
             archived = max(archived, ?5), notify = max(notify, ?6), takes_states = max(takes_states, ?7), ours = max(ours, ?11), signals = coalesce(signals, ?12),
             cleared = CASE WHEN ?8 THEN coalesce(cleared, ?9) ELSE cleared END,
             set_at = CASE WHEN ?8 THEN max(set_at, ?10) ELSE set_at END WHERE id = ?1",
            params![
                conversation,
                draft,
                number(tag, "pinned", 0..=1).unwrap_or(0),
                number(tag, "muted-until", 0..=i64::MAX),
                number(tag, "archived", 0..=1).unwrap_or(0),
                number(tag, "notify", 0..=2).unwrap_or(0),
                number(tag, "states", 0..=2).unwrap_or(0),
                restores,
                number(tag, "cleared", PLACES),
                number(tag, "set-at", TIMES).unwrap_or(0),
                number(tag, "ours", 0..=1).unwrap_or(0),
                number(tag, "signals", 0..=7),
            ],
        )?;
        let read = match number(tag, "read", PLACES).filter(|_| restores) {
            Some(read) => Some(read),
            None => match tag.attr("read-id") {
                Some(id) => messages::known_as(cx, self.jid.as_str(), id)?.map(|known| known.position),
                None => None,
            },
        };
        if let Some(read) = read {
            read_position::read_up_to(cx, &peer, read)?;
        }
        self.unmute_at = crate::conversation::next_end(cx.tx)?;
        Ok(true)
    }

    fn import_gap(&mut self, cx: &mut Cx<'_>, tag: &Element) -> Result<bool> {
        let place = |name: &str| number(tag, name, PLACES);
        let (Some(low), Some(high)) = (place("low"), place("high")) else { return Ok(false) };
        cx.tx.execute(
            "INSERT INTO gap (archive, kind, after_id, before_id, since, low_position, high_position, covered_position, reached_position, by_time, dense, brought_position)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
             WHERE NOT EXISTS (SELECT 1 FROM gap WHERE archive = ?1 AND low_position = ?6 AND high_position = ?7)",
            params![
                self.jid.as_str(),
                number(tag, "kind", 0..=2).unwrap_or(0),
                short(tag, "after"),
                short(tag, "before"),
                number(tag, "since", TIMES),
                low,
                high,
                place("covered"),
                place("reached"),
                number(tag, "by-time", 0..=2).unwrap_or(0),
                number(tag, "dense", 0..=1).unwrap_or(0),
                place("brought"),
            ],
        )?;
        cx.touched.all_timelines = true;
        self.stands_above(high);
        Ok(true)
    }

    fn import_covered(&mut self, cx: &mut Cx<'_>, tag: &Element) -> Result<bool> {
        let Some(position) = number(tag, "position", PLACES) else { return Ok(false) };
        cx.tx.execute(
            "INSERT OR IGNORE INTO coverage (archive, last_id, position, last_at) VALUES (?1, ?2, ?3, ?4)",
            params![self.jid.as_str(), short(tag, "id"), position, number(tag, "at", TIMES).unwrap_or(0),],
        )?;
        self.stands_above(position);
        Ok(true)
    }

    /// What a resumption may have lost there is looked for by the first session here.
    fn import_unchecked(&mut self, tag: &Element) -> bool {
        let after = short(tag, "after").map(str::to_owned);
        let position = match number(tag, "position", PLACES) {
            Some(position) => position,
            // It is below everything.
            None if after.is_none() => -HIGHEST,
            None => return false,
        };
        let (edge, at) = (number(tag, "edge", PLACES), number(tag, "at", TIMES).unwrap_or(0));
        self.session.unchecked.get_or_insert(Unchecked { after, position, edge, at });
        self.stands_above(position);
        true
    }

    fn stands_above(&mut self, position: i64) {
        self.session.next_position = self.session.next_position.max(position + STEP);
        self.session.dirty = true;
    }
}

/// What its user decided in general.
fn import_settings(cx: &Cx<'_>, settings: &Element) -> Result<bool> {
    let number = |name: &str, most: i64| {
        let number = settings.attr(name).and_then(|number| number.parse::<i64>().ok());
        number.filter(|number| (0..=most).contains(number))
    };
    let status = settings.attr("status").filter(|text| !text.is_empty() && presence::can_be_said(text));
    cx.tx.execute(
        "UPDATE account SET signals = coalesce(?1, signals), strangers = coalesce(?2, strangers),
           show = coalesce(?3, show), status = coalesce(?4, status)",
        params![number("signals", 7), number("strangers", 1), number("show", 4), status],
    )?;
    Ok(true)
}

fn import_request(cx: &Cx<'_>, presence: &Element) -> Result<bool> {
    let from = crate::iq::bare(presence.attr("from")).filter(|_| presence.attr("type") == Some("subscribe"));
    let Some(from) = from else { return Ok(false) };
    let added = cx.tx.execute(
        "INSERT OR IGNORE INTO subscription_request (jid, at) SELECT ?1, ?2
         WHERE (SELECT count(*) FROM subscription_request) < ?3 AND NOT EXISTS (SELECT 1 FROM contact WHERE jid = ?1 AND subscription >= 2)",
        params![from.as_str(), cx.now.wall, MAX_REQUESTS],
    )?;
    Ok(added > 0)
}

fn place(result: &Element) -> Place<'_> {
    let Some(row) = result.get_child("row", NS) else {
        let archived = short(result, "id");
        return Place { archived: archived.map(|id| (id, 0)).into_iter().collect(), ..Place::default() };
    };
    let archived = row.children().filter(|child| child.is("archived", NS)).filter_map(|archived| {
        let id = short(archived, "id")?;
        Some((id, number(archived, "place", PLACES)?))
    });
    Place {
        stood_for: short(row, "target").filter(|_| short(row, "kind") == Some("deleted")),
        deleted: short(row, "digest").filter(|_| short(row, "kind") == Some("deleted")),
        placeholder: short(row, "kind") == Some("placeholder"),
        payload: short(row, "namespace").filter(|_| short(row, "kind") == Some("payload")),
        position: number(row, "position", PLACES),
        at: number(row, "at", TIMES),
        written: number(row, "written", TIMES),
        // A number would be another row's.
        local: short(row, "local").filter(|local| Uuid::parse_str(local).is_ok()),
        state: number(row, "state", 0..=5).unwrap_or(0),
        reason: short(row, "reason"),
        resent: number(row, "resent", 0..=1) == Some(1),
        own_failure: number(row, "own-failure", 0..=1) == Some(1),
        archived: archived.take(64).collect(),
    }
}

fn short<'a>(tag: &'a Element, name: &'static str) -> Option<&'a str> {
    tag.attr(name).filter(|text| (1..=LONG).contains(&text.len()))
}

fn number(tag: &Element, name: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    tag.attr(name)?.parse().ok().filter(|number| range.contains(number))
}
