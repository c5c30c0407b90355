//! Messages coming in: live, as carbons, and from the archive. Who said so, is it new, where does it stand.
//!
//! Duplicates are known by several names (STREAM 20): the archive's id; our origin-id when the sender is we ourselves; the
//! sender's full address, conversation and origin-id; a bare id with the same content joins only a row that no archive
//! knows yet. The phone's clock orders nothing (STREAM 19).

use jid::{BareJid, Jid};
use minidom::Element;
use rusqlite::{OptionalExtension, params};
use whimbrel_proto::{
    address,
    content::Content,
    message::{Kind, MessageView},
    ns, stamp,
    write::Tag,
};

use crate::{
    account::{Account, Archive, Cx, Found},
    amendments::{self, Kind as Row, Reference, Said},
    api::{self, ChatState, Event, ItemId, SendState},
    deletions,
    error::{Error, Result},
    input::Drained,
    mutants::{self, Mutant},
    outbox, payloads, read_position, signals, timeline,
};

/// Distance between neighbours, so that something can be put between them later.
pub(crate) const STEP: i64 = 1 << 16;

/// Longest text that is kept of one message, in bytes.
const MAX_BODY: usize = 512 * 1024;
/// Bots repeat their ids, and whoever wants to keep a phone busy does: so many of one name are looked at, newest first.
pub(crate) const NAMESAKES: u32 = 32;
/// How far our clock and the server's may be apart, in ms.
const SLACK: i64 = 3_600_000;

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// Over the stream, to this device.
    Live,
    /// A copy of what another device of ours sent or received.
    Carbon { at: Option<i64> },
    /// From our archive, at this position if it is new.
    Archive { id: &'a str, at: i64, position: i64 },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Nothing to show.
    Nothing,
    New(i64),
    Known(Known),
}

/// A message that was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) message: i64,
    pub(crate) position: i64,
    /// Where the id has its place by which it came now, if it came by that before.
    pub(crate) place: Option<i64>,
    /// Whether our archive has named it before, by whatever id.
    pub(crate) is_named: bool,
}

impl Account {
    pub(crate) fn message(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        let view = MessageView::read(element);
        let from_own = self.is_own_account(view.from);
        if let Some(result) = &view.result {
            // Only our own archive, and only what was asked: the rest is somebody's forgery.
            return if from_own { self.archived(cx, result) } else { Ok(()) };
        }
        if let Some(carbon) = &view.carbon {
            // CVE-2017-5589 and a dozen others: only our own account sends carbons.
            if !from_own || view.from.is_none() {
                return Ok(());
            }
            if mutants::on(Mutant::CarbonsDropped) {
                return Ok(());
            }
            let inner = MessageView::read(carbon.message);
            let ours = self.is_from_us(&inner);
            if carbon.sent != ours || matches!(inner.kind, Kind::Groupchat | Kind::Error) {
                return Ok(());
            }
            let at = carbon.stamp.and_then(stamp::parse);
            self.take(cx, &inner, Source::Carbon { at })?;
            return Ok(());
        }
        if view.event.is_some() {
            return self.told_of_node(cx, &view);
        }
        self.take(cx, &view, Source::Live)?;
        Ok(())
    }

    /// Whether a stanza's `from` means our own account: absent, or our bare address.
    pub(crate) fn is_own_account(&self, from: Option<&str>) -> bool {
        from.is_none_or(|from| {
            from == self.jid.as_str()
                || address::parse(from)
                    .is_some_and(|from| from.is_bare() && from.as_str() == self.jid.as_str())
        })
    }

    /// A stanza-id is the archive's only if it names our own archive; a server that has `urn:xmpp:mam:2` strips what others claim
    /// (XEP-0313 §5.1.3), another one may not.
    fn archive_id<'a, T: AsRef<str>>(&self, claimed: &'a [(T, T)]) -> Option<&'a str> {
        let own = self.jid.as_str();
        let mut claimed = claimed.iter().filter(|_| self.login.archive != Archive::Unknown);
        claimed.find(|(by, _)| by.as_ref() == own).map(|(_, id)| id.as_ref())
    }

    /// Whether one of our own devices wrote it.
    pub(crate) fn is_from_us(&self, view: &MessageView<'_>) -> bool {
        view.from.and_then(address::sender).is_some_and(|from| from.to_bare() == self.jid)
    }

    /// Everything that a one-to-one message can do.
    pub(crate) fn take(
        &mut self,
        cx: &mut Cx<'_>,
        view: &MessageView<'_>,
        source: Source<'_>,
    ) -> Result<Stored> {
        let from = match view.from {
            Some(from) => address::sender(from),
            None => Some(self.jid.clone().into()),
        };
        // An address that cannot be normalised is nobody's: nothing happens.
        let Some(from) = from else { return Ok(Stored::Nothing) };
        let mine = from.to_bare() == self.jid;
        let peer = if mine && view.to.is_some() {
            view.to.and_then(address::sender).map(Jid::into_bare)
        } else {
            Some(from.to_bare())
        };
        let Some(peer) = peer else { return Ok(Stored::Nothing) };
        match view.kind {
            Kind::Error => {
                if !mine && let (Source::Live, Some(id)) = (source, view.id) {
                    self.bounced(cx, &peer, id, view.error.unwrap_or("undefined-condition"))?;
                }
                return Ok(Stored::Nothing);
            }
            Kind::Groupchat | Kind::Headline => return Ok(Stored::Nothing),
            // What another device or the archive was told of a node is nothing to say.
            Kind::Chat | Kind::Normal if view.event.is_some() => return Ok(Stored::Nothing),
            Kind::Chat | Kind::Normal => {}
        }
        if !mine {
            if let Some(id) = view.received {
                self.confirmed(cx, &peer, id, &SendState::Delivered)?;
            }
            if let Some(id) = view.displayed {
                self.confirmed(cx, &peer, id, &SendState::Displayed)?;
            }
            if matches!(source, Source::Live)
                && let Some(state) = view.chat_state
            {
                self.peer_chat_state(cx, &peer, state)?;
            }
        } else if let (Some(id), false) = (view.displayed, matches!(source, Source::Live)) {
            self.read_elsewhere(cx, &peer, id)?;
        }
        let stored = match Said::read(view) {
            Some(said) => self.store(cx, view, source, &from, &peer, mine, &said)?,
            None => self.take_payload(cx, view, source, &from, &peer, mine)?,
        };
        if mine || !matches!(source, Source::Live) {
            return Ok(stored);
        }
        if view.body.is_some() || view.chat_state.is_some() {
            note_chat_states(cx, &peer, view.chat_state.is_some())?;
        }
        // XEP-0184 §8: a receipt to a stranger would tell that we are here.
        if let (Stored::New(_), true, Some(id)) = (stored, view.wants_receipt, view.id)
            && self.sends_receipts_to(cx, &peer)?
        {
            self.send_receipt(cx, from.as_str(), id)?;
        }
        Ok(stored)
    }

    /// XEP-0184: it has arrived.
    pub(crate) fn send_receipt(&mut self, cx: &mut Cx<'_>, to: &str, id: &str) -> Result<()> {
        let receipt = Tag::new("message")
            .attr("type", "chat")
            .attr("to", to)
            .attr("id", cx.id())
            .child(Tag::with_ns("received", ns::RECEIPTS).attr("id", id))
            .child(Tag::with_ns("store", ns::HINTS));
        let peer = address::parse(to).map(|to| to.to_bare().to_string()).unwrap_or_default();
        self.enqueue(cx, outbox::Kind::Note, &peer, None, &receipt.into_bytes())
    }

    #[allow(clippy::too_many_arguments, reason = "one message has many sides")]
    pub(crate) fn store(
        &mut self,
        cx: &mut Cx<'_>,
        view: &MessageView<'_>,
        source: Source<'_>,
        from: &Jid,
        peer: &BareJid,
        mine: bool,
        said: &Said<'_>,
    ) -> Result<Stored> {
        let own = self.jid.as_str();
        let archive_id = match source {
            Source::Archive { id, .. } => Some(id),
            _ => self.archive_id(&view.stanza_ids),
        };
        if let Some(id) = archive_id
            && let Some(known) = known_as(cx, own, id)?
        {
            return Ok(Stored::Known(known));
        }
        let conversation = conversation(cx, peer)?;
        let name = view.origin_id.or(view.id);
        // What is cut off is no XML any more.
        let body = if said.kind == Row::Payload { &said.body } else { cut(&said.body) };
        // What was kept somewhere on its way may have come before; what comes for the first time has not.
        let kept = archive_id.is_some() || view.delay.is_some();
        if let Some(name) = name
            && let Some(known) = known_by_name(
                cx,
                conversation,
                name,
                view.origin_id.is_some(),
                mine,
                kept,
                (said.kind, body),
            )?
        {
            let is_named = in_archive(cx, known)?;
            if let Some(id) = archive_id {
                let place = match source {
                    Source::Archive { position, .. } => position,
                    _ if mine && !is_named => self.place_named_live(cx, conversation, known)?,
                    _ => self.next_position(),
                };
                self.join_archive(cx, known, id, place)?;
            }
            if mine {
                self.found_in_archive(cx, name)?;
                corrected_by_archive(cx, known, matches!(source, Source::Archive { .. }))?;
            }
            // It may have moved just now.
            let position = position_of(cx, known)?;
            return Ok(Stored::Known(Known { message: known, position, place: None, is_named }));
        }
        let (position, at) = match source {
            Source::Archive { position, at, .. } => (position, at),
            Source::Carbon { at } => (self.next_position(), at.unwrap_or(cx.now.wall)),
            Source::Live => {
                let server = view
                    .delay
                    .filter(|(by, _)| by.is_some_and(|by| by == own || by == self.jid.domain().as_str()));
                // A contact can write our server's name, too: nothing was kept for us from before we were last here.
                let since = self.online().map_or(0, |online| online.heard_before.saturating_sub(SLACK));
                let at = server
                    .and_then(|(_, text)| stamp::parse(text))
                    .filter(|at| *at >= since)
                    .map_or(cx.now.wall, |at| at.min(cx.now.wall));
                let position = self.next_position();
                (if mutants::on(Mutant::OrderedByClock) { cx.now.wall } else { position }, at)
            }
        };
        let written_at = view.delay.and_then(|(_, text)| stamp::parse(text)).filter(|written| *written < at);
        let from_archive = matches!(source, Source::Archive { .. });
        let stanza_id = view.id.filter(|id| Some(*id) != name);
        let corrects = said.target.filter(|_| said.kind == Row::Correction);
        if (from_archive && deletions::is_cleared(cx, position))
            || deletions::is_what_was_corrected(cx, conversation, mine, [name, stanza_id, corrects])?
        {
            let message =
                deletions::insert(cx, conversation, position, mine, peer, at, name, (said.kind, body))?;
            self.is_archived_as(cx, message, archive_id, position, from_archive)?;
            if matches!(said.kind, Row::Text | Row::Correction) {
                // What stood for it until now is about it, and as little shown.
                amendments::gather(cx, peer, conversation, [name, None, None])?;
            }
            return Ok(Stored::New(message));
        }
        let asks = i64::from(view.wants_receipt) | i64::from(view.markable) << 1;
        let (target, namespace) = said.names();
        let root = match target {
            Some(target) => {
                amendments::root(cx.tx, Reference { conversation, kind: said.kind, mine, position, target })?
            }
            None => None,
        };
        let hidden = said.kind.is_hidden(root.is_some());
        cx.tx
            .prepare_cached(
                "INSERT INTO message (conversation, position, mine, kind, sender, body, at, written_at, name, stanza_id, has_origin, state, asks,
                 extra, target, root, hidden, namespace)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            )?
            .execute(params![
                conversation,
                position,
                mine,
                said.kind,
                from.as_str(),
                body,
                at,
                written_at,
                name,
                stanza_id,
                view.origin_id.is_some(),
                if mine { state_code(&SendState::Sent) } else { 0 },
                asks,
                amendments::kept(said.content)?,
                target,
                root,
                hidden,
                namespace,
            ])?;
        let message = cx.tx.last_insert_rowid();
        self.is_archived_as(cx, message, archive_id, position, from_archive)?;
        // Nobody answers, corrects or retracts reactions or a retraction.
        let stands_for = corrects.filter(|_| root.is_none());
        let gathered = matches!(said.kind, Row::Text | Row::Correction)
            && amendments::gather(cx, peer, conversation, [name, stanza_id, stands_for])?;
        if hidden {
            if let Some(root) = root {
                amendments::amended(cx, root)?;
            }
            if said.kind == Row::Payload {
                payloads::told(cx, message)?;
            } else if !from_archive {
                self.compare_rivals(cx, message)?;
            }
            return Ok(Stored::New(message));
        }
        if gathered || said.kind != Row::Text || said.content.is_some() {
            self.arrived(cx, peer, conversation, message, position, mine)?;
            return Ok(Stored::New(message));
        }
        listed(cx, peer, conversation, message, position, mine)?;
        // What the row says, without reading it back: a catch-up has thousands of these.
        let id = ItemId(message.to_string());
        let mut view = api::Message {
            mine,
            at,
            written_at,
            state: mine.then_some(SendState::Sent),
            ..api::Message::text(id, peer.clone(), from.clone(), body.to_owned())
        };
        view.show(&Content::default());
        // A damaged file may say anything, but our own tests' files may not.
        #[cfg(test)]
        assert_eq!(
            timeline::message(cx.tx, message)?.map(|(view, _)| view).as_ref(),
            Some(&view),
            "the row says the same"
        );
        cx.event(Event::Message { message: view, notify: false });
        Ok(Stored::New(message))
    }

    /// A new message's name in the archive, if it is known.
    fn is_archived_as(
        &mut self,
        cx: &mut Cx<'_>,
        message: i64,
        id: Option<&str>,
        position: i64,
        from_archive: bool,
    ) -> Result<()> {
        let Some(id) = id else { return Ok(()) };
        self.join_archive(cx, message, id, position)?;
        if !from_archive {
            self.look_again_if_late(cx, id)?;
            self.covered(cx, id, position, None)?;
            mutants::live(cx.tx, id)?;
        }
        Ok(())
    }

    /// The archive has it under this id, which has its place there.
    pub(crate) fn join_archive(&self, cx: &mut Cx<'_>, message: i64, id: &str, place: i64) -> Result<()> {
        cx.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO archived (id, archive, message, place) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id, self.jid.as_str(), message, place])?;
        read_position::came(cx, id)
    }

    /// A message is new here: list, unread count, event.
    pub(crate) fn arrived(
        &mut self,
        cx: &mut Cx<'_>,
        peer: &BareJid,
        conversation: i64,
        message: i64,
        position: i64,
        mine: bool,
    ) -> Result<()> {
        listed(cx, peer, conversation, message, position, mine)?;
        if let Some((view, _)) = timeline::message(cx.tx, message)? {
            cx.event(Event::Message { message: view, notify: false });
        }
        Ok(())
    }

    /// A receipt or marker from the peer that the message went to; of anybody else's it is nothing.
    fn confirmed(&self, cx: &mut Cx<'_>, peer: &BareJid, id: &str, state: &SendState) -> Result<()> {
        let Some((message, conversation)) = named(cx, peer, id, true)? else { return Ok(()) };
        advance(cx, message, state)?;
        if *state == SendState::Displayed {
            // XEP-0333 §4.1: a marker is about everything before it, too; and one of a correction about what that corrects.
            let mut statement = cx.tx.prepare_cached(
                "SELECT id FROM message WHERE conversation = ?1 AND position <= ?2 AND mine = 1 AND state IN (2, 3) ORDER BY position DESC LIMIT 500",
            )?;
            let earlier = statement
                .query_map(params![conversation, shown_at(cx, message)?], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            for message in earlier {
                advance(cx, message, state)?;
            }
        }
        Ok(())
    }

    fn bounced(&self, cx: &mut Cx<'_>, peer: &BareJid, id: &str, condition: &str) -> Result<()> {
        let found: Option<i64> = cx
            .tx
            .prepare_cached(
                "SELECT id FROM message WHERE name = ?1 AND conversation = (SELECT id FROM conversation WHERE jid = ?2)
                 AND mine = 1 AND state < 3",
            )?
            .query_row(params![id, peer.as_str()], |row| row.get(0))
            .optional()?;
        let Some(message) = found else { return Ok(()) };
        // Whoever has bounced it has read it. It counts until that is acknowledged, and is not sent by another session,
        // nor by this one if it is in doubt.
        cx.tx
            .prepare_cached(
                "UPDATE outbox SET kind = ?2, message = NULL WHERE message = ?1 AND number IS NOT NULL",
            )?
            .execute(params![message, outbox::Kind::Fleeting.code()])?;
        cx.tx
            .prepare_cached(
                "DELETE FROM outbox WHERE message = ?1 AND number IS NULL AND first_sent IS NOT NULL",
            )?
            .execute(params![message])?;
        advance(cx, message, &SendState::Failed { reason: condition.to_owned() })
    }

    fn peer_chat_state(&self, cx: &mut Cx<'_>, peer: &BareJid, state: &str) -> Result<()> {
        if chat_state(state).is_some() {
            let changed = cx
                .tx
                .prepare_cached(
                    "UPDATE conversation SET chat_state = ?2 WHERE jid = ?1 AND chat_state IS NOT ?2",
                )?
                .execute(params![peer.as_str(), state])?;
            if changed > 0 {
                touch_line(cx, peer);
            }
        }
        Ok(())
    }

    /// We saw it on another device (a sent marker, by carbon or archive).
    fn read_elsewhere(&self, cx: &mut Cx<'_>, peer: &BareJid, id: &str) -> Result<()> {
        match named(cx, peer, id, false)? {
            Some((message, _)) => read_position::read_up_to(cx, peer, shown_at(cx, message)?),
            None => Ok(()),
        }
    }

    pub(crate) fn sees_our_presence(&self, cx: &Cx<'_>, peer: &BareJid) -> Result<bool> {
        let subscription: Option<i64> = cx
            .tx
            .prepare_cached("SELECT subscription FROM contact WHERE jid = ?1")?
            .query_row(params![peer.as_str()], |row| row.get(0))
            .optional()?;
        Ok(*peer == self.jid || subscription.is_some_and(|subscription| subscription >= 2))
    }

    /// Whether this peer is told what has arrived. A catch-up asks thousands of times.
    pub(crate) fn sends_receipts_to(&self, cx: &mut Cx<'_>, peer: &BareJid) -> Result<bool> {
        if let Some((last, sends)) = &cx.receipts_to
            && last == peer
        {
            return Ok(*sends);
        }
        let sends = self.sees_our_presence(cx, peer)? && signals::with(cx, peer)?.delivered;
        cx.receipts_to = Some((peer.clone(), sends));
        Ok(sends)
    }

    /// What was too deep or too large leaves a visible placeholder (STREAM 21).
    pub(crate) fn drained(&mut self, cx: &mut Cx<'_>, drained: &Drained) -> Result<()> {
        let Drained { why, name, from, to, id, kind, archived, size, .. } = drained;
        let why = format!(
            "{why}: {name} of {size} bytes, id {id:?}, from {from:?} to {to:?}, archived {archived:?}"
        );
        cx.tx.execute(
            "INSERT INTO quarantine (at, why, input) VALUES (?1, ?2, ?3)",
            params![cx.now.wall, why, drained.head],
        )?;
        bound_quarantine(cx.tx)?;
        if name == "iq" {
            return self.drained_iq(cx, drained);
        }
        if name != "message" || matches!(kind.as_deref(), Some("error" | "groupchat" | "headline")) {
            return Ok(());
        }
        let text = format!("{} bytes ({})", drained.size, drained.why);
        match &drained.archived {
            Some((query, id)) if self.is_own_account(drained.from.as_deref()) => {
                self.archived_placeholder(cx, query, id, &text)
            }
            Some(_) => Ok(()),
            None => {
                let archived = self.archive_id(&drained.stanza_ids);
                self.placeholder(cx, drained.from.as_deref(), archived, &text)
            }
        }
    }

    /// The same for what was built and then put into quarantine.
    pub(crate) fn placeholder_for(&mut self, cx: &mut Cx<'_>, element: &Element, why: &str) -> Result<()> {
        if element.name() != "message" {
            return Ok(());
        }
        let view = MessageView::read(element);
        match view.result {
            Some(result) if self.is_own_account(view.from) => {
                self.archived_placeholder(cx, result.query.unwrap_or_default(), result.id, why)
            }
            _ if view.carbon.is_some() => {
                let inner =
                    view.carbon.filter(|_| self.is_own_account(view.from)).map(|carbon| carbon.message);
                let received = view.carbon.is_some_and(|carbon| !carbon.sent);
                let peer = inner.and_then(|inner| inner.attr(if received { "from" } else { "to" }));
                self.placeholder(cx, peer, None, why)
            }
            _ if view.body.is_some() => {
                let archived = self.archive_id(&view.stanza_ids);
                self.placeholder(cx, view.from, archived, why)
            }
            _ => Ok(()),
        }
    }

    fn placeholder(
        &mut self,
        cx: &mut Cx<'_>,
        from: Option<&str>,
        archived: Option<&str>,
        text: &str,
    ) -> Result<()> {
        let Some(from) = from.and_then(address::sender) else { return Ok(()) };
        if let Some(id) = archived
            && known_as(cx, self.jid.as_str(), id)?.is_some()
        {
            return Ok(());
        }
        let position = self.next_position();
        let at = cx.now.wall;
        let message = self.insert_placeholder(cx, &from, text, position, at)?;
        if let Some(id) = archived {
            // The archive will not show it a second time.
            self.join_archive(cx, message, id, position)?;
            self.covered(cx, id, position, None)?;
        }
        Ok(())
    }

    pub(crate) fn insert_placeholder(
        &mut self,
        cx: &mut Cx<'_>,
        from: &Jid,
        text: &str,
        position: i64,
        at: i64,
    ) -> Result<i64> {
        let peer = from.to_bare();
        let conversation = conversation(cx, &peer)?;
        cx.tx.execute(
            "INSERT INTO message (conversation, position, mine, kind, sender, body, at) VALUES (?1, ?2, 0, 1, ?3, ?4, ?5)",
            params![conversation, position, from.as_str(), text, at],
        )?;
        let message = cx.tx.last_insert_rowid();
        self.arrived(cx, &peer, conversation, message, position, false)?;
        Ok(message)
    }
}

/// A message is new in the list of conversations and in its timeline.
fn listed(
    cx: &mut Cx<'_>,
    peer: &BareJid,
    conversation: i64,
    message: i64,
    position: i64,
    mine: bool,
) -> Result<()> {
    cx.tx
        .prepare_cached(
            "UPDATE conversation SET
               unread = unread + (?4 = 0 AND ?3 > read_position),
               ours = max(ours, ?4),
               -- What was written before is no reason to bring it back; a time ahead of ours is of another clock.
               archived = CASE WHEN archived THEN NOT (
                 (last_message IS NULL OR ?3 > last_position) AND coalesce(muted_until, 0) <= ?5
                 AND (set_at > ?5 OR (SELECT at FROM message WHERE id = ?2) >= set_at)) ELSE 0 END,
               last_message = CASE WHEN last_message IS NULL OR ?3 > last_position THEN ?2 ELSE last_message END,
               last_position = CASE WHEN last_message IS NULL OR ?3 > last_position THEN ?3 ELSE last_position END
             WHERE id = ?1",
        )?
        .execute(params![conversation, message, position, mine, cx.now.wall])?;
    touch(cx, peer, position);
    Ok(())
}

/// The message that a receipt or a marker names, by its origin-id or its id: row, conversation.
fn named(cx: &Cx<'_>, peer: &BareJid, name: &str, mine: bool) -> Result<Option<(i64, i64)>> {
    Ok(cx
        .tx
        .prepare_cached(
            "WITH c AS (SELECT id FROM conversation WHERE jid = ?2)
             SELECT id, conversation FROM message WHERE name = ?1 AND conversation = (SELECT id FROM c) AND mine = ?3
             UNION ALL
             SELECT id, conversation FROM message WHERE stanza_id = ?1 AND conversation = (SELECT id FROM c) AND mine = ?3
             LIMIT 1",
        )?
        .query_row(params![name, peer.as_str(), mine], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Where a message is shown. A correction stood by itself on the screen of who has read it, and here stands in what it corrects: what
/// lies between the two they may not have seen.
fn shown_at(cx: &Cx<'_>, message: i64) -> Result<i64> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT coalesce((SELECT position FROM message WHERE id = m.root), position) FROM message AS m WHERE id = ?1 AND kind = 2
             UNION ALL SELECT position FROM message WHERE id = ?1 LIMIT 1",
        )?
        .query_row(params![message], |row| row.get(0))?)
}

/// Looks for a message by its name, in the whole conversation (STREAM 20). `kept`: it may have come before.
pub(crate) fn known_by_name(
    cx: &Cx<'_>,
    conversation: i64,
    name: &str,
    is_origin: bool,
    mine: bool,
    kept: bool,
    (kind, body): (Row, &str),
) -> Result<Option<i64>> {
    let mut statement = cx.tx.prepare_cached(
        "SELECT id, has_origin, body, local_id, kind FROM message WHERE name = ?1 AND conversation = ?2 AND mine = ?3 ORDER BY id DESC LIMIT ?4",
    )?;
    let mut rows = statement.query(params![name, conversation, mine, NAMESAKES])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let (has_origin, is): (bool, i64) = (row.get(1)?, row.get(4)?);
        let same_text = mutants::on(Mutant::ReusedIdSwallowed)
            || row.get_ref(2)?.as_str().is_ok_and(|kept| deletions::is_text((is, kept), (kind, body)));
        let local = row.get_ref(3)? != rusqlite::types::ValueRef::Null;
        let same = if mine && (local || (is_origin && has_origin)) {
            true
        } else if is_origin && has_origin {
            // A contact that resends after a fresh bind does so from another resource: one account is one sender here. With
            // another text it has written two messages.
            same_text
        } else {
            same_text && kept && !in_archive(cx, id)?
        };
        if same && !(mutants::on(Mutant::DuplicateByOtherId) && kept && in_archive(cx, id)?) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Whether the peer is to be sent chat states: it knows them, or did not show yet that it does not (XEP-0085 §5.1), and our user
/// wants to.
pub(crate) fn takes_states(cx: &Cx<'_>, peer: &BareJid) -> Result<bool> {
    let known: Option<i64> = cx
        .tx
        .prepare_cached("SELECT takes_states FROM conversation WHERE jid = ?1")?
        .query_row(params![peer.as_str()], |row| row.get(0))
        .optional()?;
    Ok(known != Some(2) && signals::with(cx, peer)?.typing)
}

fn note_chat_states(cx: &Cx<'_>, peer: &BareJid, has_state: bool) -> Result<()> {
    cx.tx
        .prepare_cached("UPDATE conversation SET takes_states = ?2 WHERE jid = ?1 AND takes_states <> ?2")?
        .execute(params![peer.as_str(), if has_state { 1 } else { 2 }])?;
    Ok(())
}

/// Whoever sends what must be quarantined does not fill the disk with it.
pub(crate) fn bound_quarantine(tx: &rusqlite::Connection) -> Result<()> {
    tx.execute("DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - 500", [])?;
    Ok(())
}

/// Reads an element name of XEP-0085.
pub(crate) fn chat_state(name: &str) -> Option<ChatState> {
    Some(match name {
        "active" => ChatState::Active,
        "composing" => ChatState::Composing,
        "paused" => ChatState::Paused,
        "inactive" => ChatState::Inactive,
        "gone" => ChatState::Gone,
        _ => return None,
    })
}

/// The row of a conversation, made if it is the first message.
pub(crate) fn conversation(cx: &mut Cx<'_>, peer: &BareJid) -> Result<i64> {
    // People write several messages in a row.
    if let Some(found) = &cx.conversation
        && found.with == *peer
    {
        return Ok(found.id);
    }
    let found = cx
        .tx
        .prepare_cached("SELECT id, cleared FROM conversation WHERE jid = ?1")?
        .query_row(params![peer.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (id, cleared) = match found {
        Some(found) => found,
        None => {
            cx.tx
                .prepare_cached("INSERT INTO conversation (jid) VALUES (?1)")?
                .execute(params![peer.as_str()])?;
            (cx.tx.last_insert_rowid(), None)
        }
    };
    cx.conversation = Some(Found { with: peer.clone(), id, cleared });
    Ok(id)
}

/// The message that an archive's id names, if it came by that id before.
pub(crate) fn known_as(cx: &Cx<'_>, archive: &str, id: &str) -> Result<Option<Known>> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT m.id, m.position, a.place FROM archived AS a JOIN message AS m ON m.id = a.message WHERE a.id = ?1 AND a.archive = ?2",
        )?
        .query_row(params![id, archive], |row| {
            Ok(Known { message: row.get(0)?, position: row.get(1)?, place: row.get(2)?, is_named: true })
        })
        .optional()?)
}

fn in_archive(cx: &Cx<'_>, message: i64) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM archived WHERE message = ?1)")?
        .query_row(params![message], |row| row.get(0))?)
}

/// An archive hit corrects only a failure of our own making (STREAM 15).
fn corrected_by_archive(cx: &mut Cx<'_>, message: i64, archived: bool) -> Result<()> {
    if archived && !mutants::on(Mutant::FailureNotCorrected) {
        let failed_here: bool = cx
            .tx
            .prepare_cached("SELECT state = 5 AND own_failure = 1 FROM message WHERE id = ?1")?
            .query_row(params![message], |row| row.get(0))?;
        if failed_here {
            return set_state(cx, message, &SendState::Sent);
        }
    }
    Ok(())
}

/// A message of ours came further. It never goes back, but for a bounce; a receipt corrects a bounce.
pub(crate) fn advance(cx: &mut Cx<'_>, message: i64, state: &SendState) -> Result<()> {
    let current: i64 = cx
        .tx
        .prepare_cached("SELECT state FROM message WHERE id = ?1")?
        .query_row(params![message], |row| row.get(0))?;
    let next = state_code(state);
    let forward = match (current, next) {
        (5, 3 | 4) => true,
        (5, _) => false,
        (1 | 2, 5) => true,
        _ => next > current && next != 5,
    };
    if forward { set_state(cx, message, state) } else { Ok(()) }
}

/// A receipt or a marker that was seen elsewhere, as the code of what it says.
pub(crate) fn confirm(cx: &mut Cx<'_>, message: i64, code: i64) -> Result<()> {
    match code {
        3 => advance(cx, message, &SendState::Delivered),
        4 => advance(cx, message, &SendState::Displayed),
        _ => Ok(()),
    }
}

pub(crate) fn set_state(cx: &mut Cx<'_>, message: i64, state: &SendState) -> Result<()> {
    let reason = match state {
        SendState::Failed { reason } => Some(reason.as_str()),
        _ => None,
    };
    cx.tx.prepare_cached("UPDATE message SET state = ?2, reason = ?3 WHERE id = ?1")?.execute(params![
        message,
        state_code(state),
        reason
    ])?;
    if let Some((view, position)) = timeline::message(cx.tx, message)? {
        touch(cx, &view.with, position);
        cx.event(Event::State { id: view.id, with: view.with, state: state.clone() });
    } else {
        payloads::came_further(cx, message, state)?;
    }
    if matches!(state, SendState::Failed { .. }) {
        outbox::fail_what_is_about(cx, message)?;
    }
    amendments::amends_anew(cx, message)
}

/// Where a message stands.
pub(crate) fn position_of(cx: &Cx<'_>, message: i64) -> Result<i64> {
    Ok(cx
        .tx
        .prepare_cached("SELECT position FROM message WHERE id = ?1")?
        .query_row(params![message], |row| row.get(0))?)
}

/// Moves a message to another position.
pub(crate) fn move_to(cx: &mut Cx<'_>, message: i64, conversation: i64, position: i64) -> Result<()> {
    let (peer, before): (String, i64) = cx
        .tx
        .prepare_cached(
            "SELECT c.jid, m.position FROM message AS m JOIN conversation AS c ON c.id = m.conversation WHERE m.id = ?1",
        )?
        .query_row(params![message], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let peer = BareJid::new(&peer).map_err(|_| Error::bug("a conversation's address"))?;
    cx.tx
        .prepare_cached("UPDATE message SET position = ?2 WHERE id = ?1")?
        .execute(params![message, position])?;
    relist(cx, conversation)?;
    read_position::moved(cx, &peer, message, before)?;
    touch(cx, &peer, position.min(before));
    amendments::amends_anew(cx, message)
}

/// A message that was shown is not shown any more: it was a correction of another one, or is gone.
pub(crate) fn unlisted(
    cx: &mut Cx<'_>,
    peer: &BareJid,
    conversation: i64,
    message: i64,
    position: i64,
    mine: bool,
) -> Result<()> {
    cx.tx
        .prepare_cached(
            "UPDATE conversation SET unread = max(0, unread - (?4 = 0 AND ?3 > read_position AND ?2 > read_here)) WHERE id = ?1",
        )?
        .execute(params![conversation, message, position, mine])?;
    relist(cx, conversation)?;
    touch(cx, peer, position);
    Ok(())
}

/// Which message of a conversation is the newest.
pub(crate) fn relist(cx: &Cx<'_>, conversation: i64) -> Result<()> {
    cx.tx
        .prepare_cached(
            "WITH newest AS (SELECT id, position FROM message WHERE conversation = ?1 AND hidden = 0 ORDER BY position DESC, id DESC LIMIT 1)
             UPDATE conversation SET last_message = (SELECT id FROM newest), last_position = coalesce((SELECT position FROM newest), 0)
             WHERE id = ?1",
        )?
        .execute(params![conversation])?;
    Ok(())
}

pub(crate) fn touch(cx: &mut Cx<'_>, peer: &BareJid, position: i64) {
    match cx.touched.timelines.get_mut(peer) {
        Some(lowest) => *lowest = position.min(*lowest),
        None => drop(cx.touched.timelines.insert(peer.clone(), position)),
    }
}

/// A conversation's line in the list changed, and nothing of its timeline.
pub(crate) fn touch_line(cx: &mut Cx<'_>, peer: &BareJid) {
    touch(cx, peer, i64::MAX);
}

pub(crate) fn cut(body: &str) -> &str {
    &body[..body.floor_char_boundary(MAX_BODY)]
}

pub(crate) fn state_code(state: &SendState) -> i64 {
    match state {
        SendState::Queued => 1,
        SendState::Sent => 2,
        SendState::Delivered => 3,
        SendState::Displayed => 4,
        SendState::Failed { .. } => 5,
    }
}

/// A row of ours, made by the app.
pub(crate) fn insert_own(
    cx: &mut Cx<'_>,
    conversation: i64,
    position: i64,
    from: &str,
    id: &ItemId,
    said: &Said<'_>,
) -> Result<i64> {
    let (target, namespace) = said.names();
    let root = match target {
        Some(target) => {
            let reference = Reference { conversation, kind: said.kind, mine: true, position, target };
            amendments::root(cx.tx, reference)?
        }
        None => None,
    };
    cx.tx
        .prepare_cached(
            "INSERT INTO message (conversation, position, mine, kind, sender, body, at, name, has_origin, local_id, state, extra, target, root, hidden, namespace)
             VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, 1, ?7, 1, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            conversation,
            position,
            said.kind,
            from,
            said.body,
            cx.now.wall,
            id.0,
            amendments::kept(said.content)?,
            target,
            root,
            said.kind.is_hidden(root.is_some()),
            namespace,
        ])?;
    Ok(cx.tx.last_insert_rowid())
}
