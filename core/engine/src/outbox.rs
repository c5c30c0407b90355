//! Every counted stanza of ours, from the command to the server's acknowledgement (STREAM 10 to 15).
//!
//! A stanza is a row with its bytes before it is bytes on a socket. Waiting rows have no number; a number is given in the
//! transaction that lets the bytes go. A resend sends the same bytes. After a fresh bind what was in flight is in doubt:
//! before a message goes out again, the archive is asked whether it is there.

use rusqlite::params;
use whimbrel_proto::{ns, sm, stamp, write::Tag};

use crate::{
    account::{Account, Cx, Link},
    api::{Event, ItemId, SendState},
    catch_up::Query,
    effect::Effect,
    error::Result,
    messages,
};

/// Never more than this of ours in flight (STREAM 10).
const IN_FLIGHT: u64 = 100;
const IN_FLIGHT_BYTES: u64 = 256 * 1024;

/// What kind of stanza a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message with a row in the archive.
    Message(i64),
    /// A receipt, a marker, a chat state: worth sending once.
    Note,
    Iq,
    Presence,
}

impl Kind {
    fn code(self) -> i64 {
        match self {
            Self::Message(_) => 0,
            Self::Note => 1,
            Self::Iq => 2,
            Self::Presence => 3,
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

    /// Asks something and remembers what the answer is for.
    pub(crate) fn ask(
        &mut self,
        cx: &mut Cx<'_>,
        pending: &crate::iq::Pending,
        kind: &str,
        to: Option<&str>,
        payload: Tag,
    ) -> Result<String> {
        let id = cx.id();
        let iq = Tag::new("iq").attr("type", kind).attr("id", &id).attr_opt("to", to).child(payload);
        cx.tx
            .prepare_cached("INSERT INTO pending (iq, peer, what, asked_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id, to, serde_json::to_string(pending)?, cx.now.wall])?;
        self.enqueue(cx, Kind::Iq, to.unwrap_or_default(), Some(&id), &iq.into_bytes())?;
        Ok(id)
    }

    /// Lets go of what may go. Called at the end of every step.
    pub(crate) fn flush(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let Some(link) = self.online().map(|online| online.link) else { return Ok(()) };
        self.ask_about_doubts(cx)?;
        let (mut count, mut size): (u64, u64) = cx
            .tx
            .prepare_cached(
                "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM outbox WHERE number IS NOT NULL",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if self.session.sm.is_none() {
            (count, size) = (0, 0);
        }
        let mut sent = false;
        while count < IN_FLIGHT && size < IN_FLIGHT_BYTES {
            // One conversation's doubt holds back what comes behind it in that conversation only.
            let next = cx
                .tx
                .prepare_cached(
                    "SELECT seq, bytes FROM outbox AS o WHERE number IS NULL AND doubt = 0 AND NOT EXISTS
                     (SELECT 1 FROM outbox AS d WHERE d.doubt = 1 AND d.peer = o.peer AND d.seq < o.seq AND o.kind = 0)
                     ORDER BY seq LIMIT 1",
                )?
                .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
            let (seq, bytes) = match next {
                Ok(next) => next,
                Err(rusqlite::Error::QueryReturnedNoRows) => break,
                Err(error) => return Err(error.into()),
            };
            if bytes.len() as u64 > self.login.max_stanza.unwrap_or(256 * 1024) {
                self.fail_row(cx, seq, "policy-violation")?;
                continue;
            }
            count += 1;
            size += bytes.len() as u64;
            sent = true;
            match &mut self.session.sm {
                Some(sm) => {
                    let number = sm.number_next() as i64;
                    self.session.dirty = true;
                    cx.tx
                        .prepare_cached(
                            "UPDATE outbox SET number = ?2, first_sent = coalesce(first_sent, ?3),
                             covered = CASE WHEN first_sent IS NULL THEN (SELECT last_id FROM coverage WHERE archive = ?4) ELSE covered END
                             WHERE seq = ?1",
                        )?
                        .execute(params![seq, number, cx.now.wall, self.jid.as_str()])?;
                }
                None => self.taken_over(cx, seq)?,
            }
            if self.config.raw {
                cx.event(Event::Raw { outgoing: true, xml: String::from_utf8_lossy(&bytes).into_owned() });
            }
            cx.out.push(Effect::Send { link, bytes });
        }
        let has_sm = self.session.sm.is_some();
        let mut expecting = false;
        if let Link::Online(online) = &mut self.link
            && (sent || online.ask)
            && has_sm
        {
            online.ask = false;
            expecting = true;
            cx.out.push(Effect::Send { link, bytes: sm::REQUEST.as_bytes().to_vec() });
        }
        if expecting {
            self.now_expecting(cx.now);
        }
        Ok(())
    }

    /// The server's `h`. `false`: nobody could send that.
    pub(crate) fn handle_ack(&mut self, cx: &mut Cx<'_>, h: u32) -> Result<bool> {
        let Some(sm) = &mut self.session.sm else { return Ok(true) };
        let before = sm.acknowledged();
        let Ok(number) = sm.handle_ack(h) else {
            tracing::warn!(h, "the server acknowledged what was never sent");
            return Ok(false);
        };
        if number == before {
            return Ok(true);
        }
        self.session.dirty = true;
        let seqs: Vec<i64> = cx
            .tx
            .prepare_cached("SELECT seq FROM outbox WHERE number <= ?1 ORDER BY number")?
            .query_map(params![number as i64], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for seq in seqs {
            self.taken_over(cx, seq)?;
        }
        Ok(true)
    }

    /// The server has this one now.
    fn taken_over(&mut self, cx: &mut Cx<'_>, seq: i64) -> Result<()> {
        let message: Option<i64> = cx
            .tx
            .prepare_cached("DELETE FROM outbox WHERE seq = ?1 RETURNING message")?
            .query_row(params![seq], |row| row.get(0))?;
        if let Some(message) = message {
            self.settle_position(cx, message)?;
            messages::advance(cx, message, &SendState::Sent)?;
        }
        Ok(())
    }

    /// An own message stands where its ack arrived (STREAM 19).
    fn settle_position(&mut self, cx: &mut Cx<'_>, message: i64) -> Result<()> {
        let (conversation, position): (i64, i64) = cx
            .tx
            .prepare_cached("SELECT conversation, position FROM message WHERE id = ?1")?
            .query_row(params![message], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let overtaken: bool = cx
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ?1 AND position > ?2 AND NOT (mine = 1 AND state = 1))",
            )?
            .query_row(params![conversation, position], |row| row.get(0))?;
        if overtaken {
            let position = self.next_position();
            messages::move_to(cx, message, conversation, position)?;
        }
        Ok(())
    }

    /// After `<resumed/>`: what `h` does not cover, the same bytes, in order (STREAM 11).
    pub(crate) fn resend(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let Some(link) = self.current_link() else { return Ok(()) };
        let mut statement =
            cx.tx.prepare_cached("SELECT bytes FROM outbox WHERE number IS NOT NULL ORDER BY number")?;
        let rows =
            statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        for bytes in rows {
            cx.out.push(Effect::Send { link, bytes });
        }
        Ok(())
    }

    /// After a fresh bind: messages go out again once the archive was asked, the rest is made anew (STREAM 12).
    pub(crate) fn requeue(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        cx.tx.execute("DELETE FROM outbox WHERE kind IN (2, 3) OR (kind = 1 AND number IS NOT NULL)", [])?;
        cx.tx.execute("DELETE FROM pending", [])?;
        for (_, request) in std::mem::take(&mut self.waiting.older) {
            cx.reply(request, Err(crate::api::Error::Offline));
        }
        self.queries.clear();
        let mut statement =
            cx.tx.prepare_cached("SELECT seq, bytes, queued_at FROM outbox WHERE number IS NOT NULL")?;
        let rows = statement
            .query_map([], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let doubt = self.login.archive != crate::account::Archive::Unknown;
        for (seq, bytes, at) in rows {
            cx.tx.execute(
                "UPDATE outbox SET number = NULL, bytes = ?2, doubt = ?3 WHERE seq = ?1",
                params![seq, stamped(bytes, at), doubt],
            )?;
        }
        // A doubt that an earlier session raised and nobody settled is raised again.
        cx.tx.execute("UPDATE outbox SET doubt = 1 WHERE doubt = 2", [])?;
        Ok(())
    }

    /// Asks the archive, peer by peer, for what may have arrived although nobody said so.
    fn ask_about_doubts(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let mut statement = cx.tx.prepare_cached(
            "SELECT peer, covered, min(first_sent) FROM outbox WHERE doubt = 1 GROUP BY peer HAVING min(seq)",
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
            self.query(cx, Query::about(peer, covered, first_sent))?;
        }
        Ok(())
    }

    /// The archive has it, under whatever id: it was sent.
    pub(crate) fn found_in_archive(&mut self, cx: &mut Cx<'_>, name: &str) -> Result<()> {
        let seq = cx
            .tx
            .prepare_cached(
                "SELECT seq FROM outbox WHERE name = ?1 AND kind = 0 AND number IS NULL AND doubt = 1",
            )?
            .query_row(params![name], |row| row.get::<_, i64>(0));
        match seq {
            Ok(seq) => self.taken_over(cx, seq),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What is left of a peer's doubts goes out.
    pub(crate) fn doubts_settled(&mut self, cx: &mut Cx<'_>, peer: &str) -> Result<()> {
        cx.tx.execute("UPDATE outbox SET doubt = 0 WHERE peer = ?1 AND doubt = 1", params![peer])?;
        Ok(())
    }

    /// The stream ended with an error: if one row was alone in flight, it is suspected (STREAM 13).
    pub(crate) fn stream_error(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let mut statement =
            cx.tx.prepare_cached("SELECT seq, blamed FROM outbox WHERE number IS NOT NULL LIMIT 2")?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        match rows[..] {
            [(seq, blamed)] if blamed >= 1 => self.fail_row(cx, seq, "policy-violation"),
            [(seq, _)] => {
                cx.tx.execute("UPDATE outbox SET blamed = blamed + 1 WHERE seq = ?1", params![seq])?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fail_row(&mut self, cx: &mut Cx<'_>, seq: i64, reason: &str) -> Result<()> {
        let (message, number): (Option<i64>, Option<i64>) = cx
            .tx
            .prepare_cached("SELECT message, number FROM outbox WHERE seq = ?1")?
            .query_row(params![seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if number.is_some() {
            // Its number is taken: something must go in its place, or every later one would be counted wrong.
            cx.tx.execute(
                "UPDATE outbox SET kind = 1, message = NULL, name = NULL, bytes = ?2 WHERE seq = ?1",
                params![seq, b"<iq type='result' id='void'/>"],
            )?;
        } else {
            cx.tx.execute("DELETE FROM outbox WHERE seq = ?1", params![seq])?;
        }
        if let Some(message) = message {
            messages::advance(cx, message, &SendState::Failed { reason: reason.to_owned() })?;
        }
        Ok(())
    }

    /// The position of the next live message.
    pub(crate) fn next_position(&mut self) -> i64 {
        let position = self.session.next_position;
        self.session.next_position += messages::STEP;
        self.session.dirty = true;
        position
    }
}

/// A text as a stanza: its id is the stanza's id and its origin-id, so that a resend is known for what it is.
pub(crate) fn text_stanza(id: &ItemId, to: &str, text: &str) -> Vec<u8> {
    Tag::new("message")
        .attr("type", "chat")
        .attr("to", to)
        .attr("id", &id.0)
        .child(Tag::new("body").text(text))
        .child(Tag::with_ns("origin-id", ns::SID).attr("id", &id.0))
        .child(Tag::with_ns("request", ns::RECEIPTS))
        .child(Tag::with_ns("markable", ns::CHAT_MARKERS))
        .child(Tag::with_ns("active", ns::CHAT_STATES))
        .into_bytes()
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
