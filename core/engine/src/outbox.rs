//! Every counted stanza of ours, from the command to the server's acknowledgement (STREAM 10 to 15).
//!
//! A stanza is a row with its bytes before it is bytes on a socket. Waiting rows have no number; a number is given in the
//! transaction that lets the bytes go. A resend sends the same bytes. After a fresh bind what was in flight is in doubt:
//! before a message goes out again, the archive is asked whether it is there.
//!
//! When a stream ends with an error while something of ours was under way, one of those stanzas may have killed it. Until
//! they are all taken over, one at a time is in flight, so that it is known whom to blame (STREAM 13).

use rusqlite::{OptionalExtension, params};
use whimbrel_proto::{
    ns,
    sm::{self, Acks, StreamManagement},
    stamp,
    write::Tag,
};

use crate::{
    account::{Account, Cx, Link},
    api::{Event, SendState},
    catch_up::Query,
    effect::Effect,
    error::Result,
    input::LinkId,
    iq::Pending,
    messages,
    mutants::{self, Mutant},
    pubsub,
};

/// Never more than this of ours in flight (STREAM 10).
const IN_FLIGHT: u64 = 100;
/// The same in bytes, but for a single larger stanza. Prosody 13.0.1 reads 4 KiB at a time; when its own answer to what it has
/// read finds the link dead, it forgets the rest of what had arrived, and half a stanza stays in its parser for the next
/// resumption, which that ends (core/README). So we begin with no more than it reads at once, with room for `<r/>` and `<a/>`.
pub(crate) const FIRST_WINDOW: u64 = 3 * 1024;
/// A link that takes a backlog gets more of it at once, as in TCP's slow start, up to this (STREAM 10).
const WINDOW: u64 = 256 * 1024;

/// What kind of stanza a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message with a row in the archive.
    Message(i64),
    /// A receipt, a marker, a subscription, a change of the roster, what the app made itself: after a fresh bind the same
    /// bytes go out again.
    Note,
    /// A question of this session, or an answer in it: dropped with it.
    Iq,
    /// Made anew by each session.
    Presence,
    /// A chat state: of no more use once the moment has passed.
    Fleeting,
}

/// Stream errors that say nothing about what we sent (RFC 6120 §4.9.3).
const INNOCENT: [&str; 9] = [
    "conflict",
    "connection-timeout",
    "host-gone",
    "host-unknown",
    "remote-connection-failed",
    "reset",
    "resource-constraint",
    "see-other-host",
    "system-shutdown",
];
/// Why something failed that was to leave in time or not at all.
const TOO_LATE: &str = "it was not to be sent so late";
/// What a server takes that does not say (STREAM 13), in bytes.
const MAX_STANZA: u64 = 256 * 1024;
/// Pages of the archive that are searched for what is in doubt.
const DOUBT_PAGES: u32 = 40;

impl Kind {
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::Message(_) => 0,
            Self::Note => 1,
            Self::Iq => 2,
            Self::Presence => 3,
            Self::Fleeting => 4,
        }
    }
}

impl Account {
    /// Puts a stanza at the end of the queue.
    pub(crate) fn enqueue(
        &mut self,
        cx: &mut Cx<'_>,
        kind: Kind,
        peer: &str,
        name: Option<&str>,
        bytes: &[u8],
    ) -> Result<()> {
        let message = match kind {
            Kind::Message(id) => Some(id),
            _ => None,
        };
        cx.tx
            .prepare_cached("INSERT INTO outbox (kind, message, peer, name, bytes, queued_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![kind.code(), message, peer, name, bytes, cx.now.wall])?;
        Ok(())
    }

    /// What the server takes at most of one stanza, in bytes (XEP-0478).
    pub(crate) fn max_stanza(&self) -> u64 {
        self.login.max_stanza.unwrap_or(MAX_STANZA)
    }

    /// Asks something in this session and remembers what the answer is for.
    pub(crate) fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        pending: &Pending,
        kind: &str,
        to: Option<&str>,
        payload: Tag,
    ) -> Result<String> {
        self.ask_as(cx, Kind::Iq, pending, kind, to, payload)
    }

    /// The same for what must be said even if it takes another session.
    pub(crate) fn ask_as(
        &mut self,
        cx: &mut Cx<'_>,
        outbox: Kind,
        pending: &Pending,
        kind: &str,
        to: Option<&str>,
        payload: Tag,
    ) -> Result<String> {
        self.ask_xml(cx, outbox, pending, kind, to, &payload.finish())
    }

    /// The same where the payload is text already, well-formed, and says its own namespace.
    pub(crate) fn ask_xml(
        &mut self,
        cx: &mut Cx<'_>,
        outbox: Kind,
        pending: &Pending,
        kind: &str,
        to: Option<&str>,
        payload: &str,
    ) -> Result<String> {
        let id = cx.id();
        let iq = Tag::new("iq").attr("type", kind).attr("id", &id).attr_opt("to", to).xml(payload);
        cx.tx
            .prepare_cached("INSERT INTO pending (iq, peer, what) VALUES (?1, ?2, ?3)")?
            .execute(params![id, to, serde_json::to_string(pending)?])?;
        self.enqueue(cx, outbox, to.unwrap_or_default(), Some(&id), &iq.into_bytes())?;
        Ok(id)
    }

    /// Lets go of what may go. Called at the end of every step.
    pub(crate) fn flush(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.fail_what_is_late(cx)?;
        let Some((link, window)) = self.online().map(|online| (online.link, online.window)) else {
            return Ok(());
        };
        self.ask_about_doubts(cx)?;
        let (mut sent, all) = self.resend(cx)?;
        let (mut count, mut size): (u64, u64) = cx
            .tx
            .prepare_cached("SELECT count(*), coalesce(sum(length(bytes)), 0) FROM outbox WHERE number > 0")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let most = if self.session.careful { 1 } else { IN_FLIGHT };
        // What has a number already goes first.
        while all && count < most {
            // One conversation's doubt holds back what comes behind it in that conversation only.
            let next = cx
                .tx
                .prepare_cached(&mutants::queue(
                    "SELECT seq, bytes, CASE WHEN kind IN (1, 2) THEN name END FROM outbox AS o WHERE number IS NULL AND doubt = 0 AND NOT EXISTS
                     (SELECT 1 FROM outbox AS d WHERE d.doubt = 1 AND d.peer = o.peer AND d.seq < o.seq AND o.kind = 0)
                     ORDER BY seq LIMIT 1",
                ))?
                .query_row([], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Option<String>>(2)?))
                })
                .optional()?;
            let Some((seq, bytes, question)) = next else { break };
            let limit = self.max_stanza();
            if bytes.len() as u64 > limit {
                self.fail_row(cx, seq, &format!("larger than the {limit} bytes that the server takes"))?;
                continue;
            }
            if size > 0 && size + bytes.len() as u64 > window {
                break;
            }
            let Some(sm) = &mut self.session.sm else { break };
            let number = sm.number_next();
            self.session.dirty = true;
            cx.tx
                .prepare_cached(
                    "UPDATE outbox SET number = ?2, first_sent = coalesce(first_sent, ?3),
                     covered = CASE WHEN first_sent IS NULL THEN (SELECT last_id FROM coverage WHERE archive = ?4) ELSE covered END
                     WHERE seq = ?1",
                )?
                .execute(params![seq, number as i64, cx.now.wall, self.jid.as_str()])?;
            if let Some(question) = question {
                self.expect_answer(&question, cx.now);
            }
            count += 1;
            size += bytes.len() as u64;
            sent = true;
            self.write(cx, link, number, bytes);
        }
        let ask = match &mut self.link {
            Link::Online(online) => {
                if sent {
                    online.pulse.matters(cx.now.mono);
                }
                std::mem::take(&mut online.ask) || sent
            }
            _ => false,
        };
        if ask {
            match self.session.sm.as_ref().map(StreamManagement::acks) {
                Some(Acks::Counted) => {
                    cx.out.push(Effect::Send { link, bytes: sm::REQUEST.as_bytes().to_vec() });
                }
                Some(Acks::Pinged) => self.probe(cx, link)?,
                None => return Ok(()),
            }
            let number = self.session.sm.as_ref().map_or(0, StreamManagement::sent);
            if let Link::Online(online) = &mut self.link {
                online.pulse.asks(number, cx.now.mono);
            }
        }
        Ok(())
    }

    /// What was not to leave later than now, and has not left, or not arrived where it went.
    fn fail_what_is_late(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let next = |cx: &Cx<'_>| -> Result<Option<(i64, i64)>> {
            Ok(cx
                .tx
                .prepare_cached(
                    "SELECT seq, not_after FROM outbox WHERE not_after IS NOT NULL AND number IS NULL AND doubt = 0 ORDER BY not_after LIMIT 1",
                )?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?)
        };
        self.late = None;
        while let Some((seq, not_after)) = next(cx)? {
            if not_after >= cx.now.wall {
                let left = not_after.saturating_sub(cx.now.wall).saturating_add(1) as u64;
                self.late = Some(cx.now.mono.saturating_add(left));
                break;
            }
            self.fail_row(cx, seq, TOO_LATE)?;
        }
        Ok(())
    }

    /// After a resumption: what `h` does not cover never arrived, and does not go out again where it would be too late. Nor does what
    /// has waited, where its moment has passed.
    pub(crate) fn void_what_is_late(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let late = cx
            .tx
            .prepare_cached(
                "SELECT seq, message FROM outbox WHERE number IS NOT NULL AND (not_after < ?1 OR kind = ?2)",
            )?
            .query_map(params![cx.now.wall, Kind::Fleeting.code()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(i64, Option<i64>)>>>()?;
        for (seq, message) in late {
            self.fail_row(cx, seq, TOO_LATE)?;
            // Not every server's `h` is right.
            message.map_or(Ok(false), |message| self.mark_behind(cx, message))?;
        }
        let waits = "DELETE FROM outbox WHERE kind = ?1 AND number IS NULL";
        cx.tx.prepare_cached(waits)?.execute(params![Kind::Fleeting.code()])?;
        Ok(())
    }

    fn write(&mut self, cx: &mut Cx<'_>, link: LinkId, number: u64, bytes: Vec<u8>) {
        if self.config.raw {
            cx.event(Event::Raw { outgoing: true, xml: String::from_utf8_lossy(&bytes).into_owned() });
        }
        if let Link::Online(online) = &mut self.link {
            online.written = number;
            online.pulse.burst(bytes.len());
        }
        cx.out.push(Effect::Send { link, bytes });
    }

    /// After a resumption: what `h` does not cover, the same bytes, in order (STREAM 11), as much as may be in flight; one by one
    /// where care is needed. Whether anything was written, and whether that was all.
    fn resend(&mut self, cx: &mut Cx<'_>) -> Result<(bool, bool)> {
        let Some((link, written, window)) =
            self.online().map(|online| (online.link, online.written, online.window))
        else {
            return Ok((false, false));
        };
        if self.session.sm.as_ref().is_none_or(|sm| sm.sent() <= written) {
            return Ok((false, true));
        }
        let mut under_way: u64 = cx
            .tx
            .prepare_cached(
                "SELECT coalesce(sum(length(bytes)), 0) FROM outbox WHERE number > 0 AND number <= ?1",
            )?
            .query_row(params![written as i64], |row| row.get(0))?;
        let mut statement = cx.tx.prepare_cached(&mutants::resend(
            "SELECT number, bytes FROM outbox WHERE number > ?1 ORDER BY number",
        ))?;
        let mut rows = statement.query(params![written as i64])?;
        let mut any = false;
        while let Some(row) = rows.next()? {
            let (number, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let most = if self.session.careful { 0 } else { window };
            if under_way > 0 && under_way + bytes.len() as u64 > most {
                return Ok((any, false));
            }
            under_way += bytes.len() as u64;
            any = true;
            let (number, bytes) = mutants::resent(cx.tx, &mut self.session.sm, number, bytes)?;
            self.write(cx, link, number as u64, bytes);
        }
        Ok((any, true))
    }

    /// A server that does not count reads in order at least: an answered ping says how far it came (STREAM 8).
    fn probe(&mut self, cx: &mut Cx<'_>, link: LinkId) -> Result<()> {
        let id = cx.id();
        let number = self.session.sm.as_ref().map_or(0, StreamManagement::sent);
        cx.tx
            .prepare_cached("INSERT INTO pending (iq, what) VALUES (?1, ?2)")?
            .execute(params![id, serde_json::to_string(&Pending::Probe { number })?])?;
        self.expect_answer(&id, cx.now);
        let ping = Tag::new("iq").attr("type", "get").attr("id", &id).child(Tag::with_ns("ping", ns::PING));
        cx.out.push(Effect::Send { link, bytes: ping.into_bytes() });
        Ok(())
    }

    /// The server's `h`. `false`: nobody could send that.
    pub(crate) fn handle_ack(&mut self, cx: &mut Cx<'_>, h: u32) -> Result<bool> {
        let Some(sm) = &mut self.session.sm else { return Ok(true) };
        let before = sm.acknowledged();
        let h = mutants::ack(sm, h);
        let Ok(number) = sm.handle_ack(h) else {
            tracing::warn!(h, "the server acknowledged what was never sent");
            return Ok(false);
        };
        if number == before {
            return Ok(true);
        }
        self.session.dirty = true;
        let taken: Vec<(i64, i64)> = cx
            .tx
            .prepare_cached("SELECT seq, length(bytes) FROM outbox WHERE number <= ?1 ORDER BY number")?
            .query_map(params![number as i64 + i64::from(mutants::on(Mutant::AckedOneTooMany))], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut size = 0;
        for (seq, length) in taken {
            self.taken_over(cx, seq)?;
            size += length as u64;
        }
        let backlog: bool =
            cx.tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox)")?.query_row([], |row| row.get(0))?;
        if let Link::Online(online) = &mut self.link {
            online.window = if backlog { (online.window + size).min(WINDOW) } else { FIRST_WINDOW };
        }
        if self.session.careful {
            // All that may have killed a stream has been taken over.
            self.session.careful = cx.tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM outbox WHERE first_sent IS NOT NULL)",
                [],
                |row| row.get(0),
            )?;
        }
        Ok(true)
    }

    /// The server has this one now.
    fn taken_over(&mut self, cx: &mut Cx<'_>, seq: i64) -> Result<()> {
        match self.delivered_to_server(cx, seq)? {
            Some(message) => {
                self.settle_position(cx, message)?;
                self.compare_rivals(cx, message)
            }
            None => Ok(()),
        }
    }

    /// Its row is not needed any more. The message, if it is one.
    fn delivered_to_server(&mut self, cx: &mut Cx<'_>, seq: i64) -> Result<Option<i64>> {
        let message: Option<i64> = cx
            .tx
            .prepare_cached("DELETE FROM outbox WHERE seq = ?1 RETURNING message")?
            .query_row(params![seq], |row| row.get(0))?;
        if let Some(message) = message {
            messages::advance(cx, message, &SendState::Sent)?;
        }
        Ok(message)
    }

    /// An own message stands where its ack arrived, unless the archive has said already where it stands (STREAM 19).
    fn settle_position(&mut self, cx: &mut Cx<'_>, message: i64) -> Result<()> {
        let (conversation, position): (i64, i64) = cx
            .tx
            .prepare_cached("SELECT conversation, position FROM message WHERE id = ?1")?
            .query_row(params![message], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let overtaken: bool = cx
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ?1 AND position > ?2 AND NOT (mine = 1 AND state = 1))
                 AND NOT EXISTS (SELECT 1 FROM archived WHERE message = ?3)",
            )?
            .query_row(params![conversation, position, message], |row| row.get(0))?;
        if overtaken {
            let behind: Vec<i64> = cx
                .tx
                .prepare_cached(
                    "SELECT id FROM message AS m WHERE conversation = ?1 AND position > ?2 AND mine = 1 AND state = 1
                     AND NOT EXISTS (SELECT 1 FROM archived WHERE message = m.id) ORDER BY position, id",
                )?
                .query_map(params![conversation, position], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            // Those that wait behind it stay behind it.
            for message in std::iter::once(message).chain(behind) {
                let position = self.next_position();
                messages::move_to(cx, message, conversation, position)?;
            }
        }
        Ok(())
    }

    /// After a fresh bind: messages go out again once the archive was asked, notes at once, and what belonged to the old
    /// session is forgotten, whether it was sent or not (STREAM 12).
    pub(crate) fn requeue(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        cx.tx.execute("DELETE FROM outbox WHERE kind IN (2, 3, 4)", [])?;
        // What something else was decided about since is not said again.
        cx.tx.execute(
            "DELETE FROM outbox WHERE kind = 1 AND name IN (SELECT iq FROM pending WHERE what = ?1)",
            params![serde_json::to_string(&Pending::Nothing)?],
        )?;
        // Who asked, asked the old session.
        cx.tx.execute("DELETE FROM asked", [])?;
        let forgotten = cx
            .tx
            .prepare_cached(
                "DELETE FROM pending WHERE iq NOT IN (SELECT name FROM outbox WHERE kind = 1 AND name IS NOT NULL) RETURNING what",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        cx.tx.execute("UPDATE outbox SET number = NULL WHERE kind = 1", [])?;
        for request in self.waiting.take_asked() {
            cx.reply(request, Err(crate::api::Error::Offline));
        }
        self.queries_were_lost(cx)?;
        // The server has taken the question, and its answer went with the session.
        let forgotten = forgotten
            .iter()
            .map(|what| serde_json::from_str(what))
            .collect::<std::result::Result<Vec<Pending>, _>>()?;
        self.show_again(cx, &forgotten)?;
        for what in forgotten {
            if what.is_about_our_card() && !mutants::on(Mutant::AnswerLostWithSession) {
                self.card_step_again(cx, what)?;
            } else if let Pending::Node(pubsub::Question::Feed { of, again: false }) = what {
                self.feed_question_lost(cx, &of)?;
            }
        }
        sent_again(cx)?;
        let mut statement = cx.tx.prepare_cached(
            "SELECT seq, bytes, queued_at FROM outbox WHERE kind = 0 AND first_sent IS NOT NULL",
        )?;
        let rows = statement
            .query_map([], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let doubt =
            self.login.archive != crate::account::Archive::Unknown && !mutants::on(Mutant::NotDoubted);
        for (seq, bytes, at) in rows {
            if mutants::on(Mutant::NotRequeued) {
                self.taken_over(cx, seq)?;
                continue;
            }
            cx.tx.execute(
                "UPDATE outbox SET number = NULL, bytes = ?2, doubt = ?3 WHERE seq = ?1",
                params![seq, stamped(bytes, at), doubt],
            )?;
        }
        Ok(())
    }

    /// Asks the archive, peer by peer, for what may have arrived although nobody said so.
    fn ask_about_doubts(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let mut statement = cx.tx.prepare_cached(
            "SELECT peer, covered, first_sent FROM outbox AS o WHERE doubt = 1
             AND seq = (SELECT min(seq) FROM outbox AS first WHERE first.doubt = 1 AND first.peer = o.peer)",
        )?;
        let peers = statement
            .query_map([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, Option<String>>(1)?,
                    row.get::<_, Option<i64>>(2)?,
                ))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (peer, covered, first_sent) in peers {
            if self.queries.values().any(|query| query.doubts(&peer)) {
                continue;
            }
            // The phone's clock alone may say a time that is still to come for the archive. What follows in this session moves what is covered.
            let since = match self.coverage(cx)?.filter(|_| covered.is_some()) {
                Some(by_archive) => first_sent.map(|first| first.min(by_archive.at)),
                None => None,
            };
            self.query(cx, Query::about(peer, covered, since))?;
        }
        Ok(())
    }

    /// The archive has it, under whatever id: it was sent. Which message that is, if this was in doubt.
    pub(crate) fn found_in_archive(&mut self, cx: &mut Cx<'_>, name: &str) -> Result<Option<i64>> {
        let found: Option<(i64, Option<i64>)> = cx
            .tx
            .prepare_cached(&mutants::sql(
                Mutant::NumberedTakenByArchive,
                // Numbered ones are the server's to acknowledge, or every later one would be counted wrong.
                "SELECT seq, message FROM outbox WHERE name = ?1 AND kind = 0 AND number IS NULL AND first_sent IS NOT NULL",
                "AND number IS NULL",
                "",
            ))?
            .query_row(params![name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((seq, message)) = found else { return Ok(None) };
        // It stands where it was sent; the catch-up says better if it was later.
        self.delivered_to_server(cx, seq)?;
        Ok(message)
    }

    /// What is left of a peer's doubts goes out, and so stands above what came since; what waits behind it stays behind it.
    pub(crate) fn doubts_settled(&mut self, cx: &mut Cx<'_>, peer: &str) -> Result<()> {
        let left: bool = cx
            .tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE peer = ?1 AND doubt = 1)")?
            .query_row(params![peer], |row| row.get(0))?;
        if left {
            self.moves_up(cx, "number IS NULL", peer)?;
        }
        cx.tx.execute("UPDATE outbox SET doubt = 0 WHERE peer = ?1 AND doubt = 1", params![peer])?;
        Ok(())
    }

    /// Without an archive nobody can be asked.
    pub(crate) fn all_doubts_settled(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.moves_up(cx, "number IS NULL", "")?;
        cx.tx.execute("UPDATE outbox SET doubt = 0 WHERE doubt = 1", [])?;
        Ok(())
    }

    /// The next page about a peer's doubts, unless the pages lead nowhere.
    pub(crate) fn doubt_goes_on(&self, edge: Option<&str>, last_edge: Option<&str>, page: u32) -> bool {
        edge.is_some() && edge != last_edge && page < DOUBT_PAGES
    }

    /// The stream ended with an error. What was alone in flight is suspected, and fails the second time (STREAM 13).
    /// Whether anything was.
    pub(crate) fn stream_error(&mut self, cx: &mut Cx<'_>, condition: &str) -> Result<bool> {
        let Some(written) = self.online().map(|online| online.written) else { return Ok(false) };
        if INNOCENT.contains(&condition) || mutants::on(Mutant::NobodyBlamed) {
            return Ok(false);
        }
        let mut statement =
            cx.tx.prepare_cached("SELECT seq, blamed FROM outbox WHERE number <= ?1 LIMIT 2")?;
        let rows = statement
            .query_map(params![written as i64], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(false);
        }
        self.session.careful = true;
        self.session.dirty = true;
        match rows[..] {
            [(seq, blamed)] if blamed >= 1 => self.fail_row(cx, seq, condition)?,
            [(seq, _)] => {
                cx.tx.execute("UPDATE outbox SET blamed = blamed + 1 WHERE seq = ?1", params![seq])?;
            }
            _ => {}
        }
        Ok(true)
    }

    fn fail_row(&mut self, cx: &mut Cx<'_>, seq: i64, reason: &str) -> Result<()> {
        let (message, number, name, left): (Option<i64>, Option<i64>, Option<String>, bool) = cx
            .tx
            .prepare_cached(
                "SELECT message, number, name, first_sent IS NOT NULL FROM outbox WHERE seq = ?1",
            )?
            .query_row(params![seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        if number.is_some() {
            // Its number is taken: something must go in its place, or every later one would be counted wrong.
            cx.tx.execute(
                "UPDATE outbox SET kind = ?3, message = NULL, name = NULL, bytes = ?2, blamed = 0 WHERE seq = ?1",
                params![seq, b"<iq type='result' id='void'/>", Kind::Fleeting.code()],
            )?;
        } else {
            cx.tx.execute("DELETE FROM outbox WHERE seq = ?1", params![seq])?;
        }
        match (message, name) {
            (Some(message), _) => {
                // What was tried again has left before.
                cx.tx.execute(
                    "UPDATE message SET own_failure = CASE WHEN ?2 OR resent THEN 1 ELSE 2 END WHERE id = ?1",
                    params![message, left],
                )?;
                messages::advance(cx, message, &SendState::Failed { reason: reason.to_owned() })
            }
            (None, Some(name)) => self.unanswered(cx, &name, "policy-violation"),
            (None, None) => Ok(()),
        }
    }

    /// The position of the next live message.
    pub(crate) fn next_position(&mut self) -> i64 {
        let position = self.session.next_position;
        self.session.next_position += messages::STEP;
        self.session.dirty = true;
        position
    }
}

/// What waits to be said about a message does not leave. Its rows.
pub(crate) fn withdraw_what_is_about(cx: &Cx<'_>, message: i64) -> Result<Vec<i64>> {
    Ok(cx
        .tx
        .prepare_cached(
            "DELETE FROM outbox WHERE first_sent IS NULL AND message IN (SELECT id FROM message WHERE root = ?1 AND kind IN (2, 3, 4) AND mine = 1)
             RETURNING message",
        )?
        .query_map(params![message], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?)
}

/// What was to be said about a message that failed, and has not left, fails with it.
pub(crate) fn fail_what_is_about(cx: &mut Cx<'_>, message: i64) -> Result<()> {
    for about in withdraw_what_is_about(cx, message)? {
        let reason = "what it is about was not sent".to_owned();
        messages::advance(cx, about, &SendState::Failed { reason })?;
    }
    Ok(())
}

/// What the server was sent and has not acknowledged goes out again: its archive may have it twice.
pub(crate) fn sent_again(cx: &Cx<'_>) -> Result<()> {
    cx.tx.execute(
        "UPDATE message SET resent = 1 WHERE id IN (SELECT message FROM outbox WHERE kind = 0 AND first_sent IS NOT NULL)",
        [],
    )?;
    Ok(())
}

/// The same stanza, saying when it was written (XEP-0203). Its content is not touched.
fn stamped(mut bytes: Vec<u8>, at: i64) -> Vec<u8> {
    const END: &[u8] = b"</message>";
    let delay = format!("<delay xmlns='{}'", ns::DELAY);
    let has_delay = bytes.windows(delay.len()).any(|window| window == delay.as_bytes());
    if bytes.ends_with(END) && !has_delay {
        bytes.truncate(bytes.len() - END.len());
        bytes.extend_from_slice(format!("{delay} stamp='{}'/></message>", stamp::format(at)).as_bytes());
    }
    bytes
}
