//! What the app says: messages, and what it does to messages that are there (corrections, retractions, reactions).
//!
//! All of it is durable when it is answered, whether there is a connection or not, and idempotent: each has an id that the
//! caller made. What has not left yet is changed where it waits, so that nobody else ever sees what it was: an edit writes
//! another text into the stanza, a retraction takes it out of the queue. Behind one that is under way a stanza of its own waits
//! in the same queue, and fails with it.

use jid::BareJid;
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;
use whimbrel_proto::{
    content::{self, Content, Mention, Reply as Answer},
    ns, text,
    write::Tag,
};

use crate::{
    account::{Account, Cx},
    amendments::{self, Kind, Said},
    api::{Error, ItemId, Outgoing, Reply, SendState},
    conversation,
    error::Result,
    messages,
    mutants::{self, Mutant},
    outbox, payloads, search, timeline,
};

/// Longest text, in bytes. The server's limit counts besides.
pub(crate) const MAX_TEXT: usize = 200 * 1024;
/// So much of what is answered is repeated for clients that do not know answers, in code points.
const QUOTED: usize = 300;

pub(crate) type Answered = Result<std::result::Result<Reply, Error>>;

pub(crate) fn invalid(what: &str) -> Error {
    Error::InvalidInput { what: what.to_owned() }
}

/// A message that the app means.
struct Meant {
    row: i64,
    conversation: i64,
    with: BareJid,
    mine: bool,
    kind: Kind,
    state: i64,
    hidden: bool,
    /// Its origin-id, or else its id.
    name: Option<String>,
    /// Its id attribute.
    stanza_id: Option<String>,
    text: String,
    content: Content,
    target: Option<String>,
}

impl Meant {
    /// What others know it by. A correction of ours that stands alone is called by what it corrects, which they may have without it.
    fn called(&self) -> Option<&String> {
        if self.stands_in() { self.target.as_ref() } else { self.name.as_ref() }
    }

    /// Likewise, in a correction: XEP-0308 goes by the id attribute.
    fn called_by_attribute(&self) -> Option<&String> {
        self.stanza_id.as_ref().filter(|_| !self.stands_in()).or(self.called())
    }

    fn stands_in(&self) -> bool {
        self.mine && self.kind == Kind::Correction
    }
}

/// A stanza to be.
pub(crate) struct Draft<'a> {
    pub(crate) id: &'a ItemId,
    pub(crate) to: &'a BareJid,
    pub(crate) said: Said<'a>,
    pub(crate) not_after: Option<i64>,
}

impl Account {
    pub(crate) fn send(&mut self, cx: &mut Cx<'_>, id: &ItemId, to: &BareJid, what: &Outgoing) -> Answered {
        let id = match identity(id) {
            Ok(id) => id,
            Err(error) => return Ok(Err(error)),
        };
        let id = if mutants::on(Mutant::SendNotDeduplicated) { ItemId(cx.id()) } else { id };
        if let Err(error) = check_text(&what.text) {
            return Ok(Err(error));
        }
        if is_known(cx, &id)? {
            // The caller was cut off before it had the answer, and asks again.
            return Ok(Ok(Reply::Sent { id }));
        }
        let mentions = match mentions(what) {
            Ok(mentions) => mentions,
            Err(error) => return Ok(Err(error)),
        };
        let mut content = Content {
            spoiler: what.spoiler.clone(),
            thread: what.thread.clone(),
            links: what.links.clone(),
            previews: what.previews.clone(),
            mentions,
            ..Content::default()
        };
        let mut text = what.text.clone();
        if let Some(answered) = &what.reply_to {
            let Some(answered) = meant(cx, answered)?.filter(|answered| answered.with == *to) else {
                return Ok(Err(Error::NotFound));
            };
            let Some(name) = answered.called() else { return Ok(Err(invalid("what it answers has no id"))) };
            let author = if answered.mine { &self.jid } else { to };
            content.reply = Some(Answer { to: Some(author.to_string()), id: name.clone() });
            text = quote(cx, answered.row, &mut content, &text)?;
        }
        let target = content.reply.as_ref().map(|reply| reply.id.clone());
        let said = Said {
            kind: Kind::Text,
            target: target.as_deref(),
            body: text.as_str().into(),
            content: Some(&content),
        };
        let answer = self.say(cx, &Draft { id: &id, to, said, not_after: what.not_after })?;
        if answer.is_ok() {
            conversation::sent(cx, to, &what.text)?;
        }
        Ok(answer)
    }

    pub(crate) fn edit(&mut self, cx: &mut Cx<'_>, id: &ItemId, message: &ItemId, text: &str) -> Answered {
        let (id, meant) = match changes(cx, id, message)? {
            Ok(both) => both,
            Err(answer) => return Ok(answer),
        };
        if let Err(error) = check_text(text) {
            return Ok(Err(error));
        }
        if !meant.mine {
            return Ok(Err(invalid("only one's own messages can be edited")));
        }
        let Some((shown, _)) = timeline::message(cx.tx, meant.row)? else { return Ok(Err(Error::NotFound)) };
        if shown.retracted {
            return Ok(Err(invalid("it was retracted")));
        }
        if shown.text == text && shown.change.is_none() {
            return Ok(Ok(Reply::Sent { id }));
        }
        // What stood for links and names in the old text says nothing of the new one.
        let mut content = Content {
            links: Vec::new(),
            previews: Vec::new(),
            mentions: Vec::new(),
            ..meant.content.clone()
        };
        let prefix = meant.text.len() - meant.content.without_quote(&meant.text).len();
        let text = match content.quoted {
            Some((0, _)) if prefix > 0 => format!("{}{text}", &meant.text[..prefix]),
            _ => {
                content.quoted = None;
                text.to_owned()
            }
        };
        if meant.state == 5 {
            return self.replace(cx, &meant, &id, &text, &content);
        }
        if waits(cx, meant.row)? {
            return self.rewrite(cx, meant.row, &id, &text, &content);
        }
        let earlier = waiting(cx, meant.row, Kind::Correction)?;
        if let Some(earlier) = earlier {
            return self.rewrite(cx, earlier, &id, &text, &content);
        }
        let Some(target) = meant.called_by_attribute() else {
            return Ok(Err(invalid("it has no id")));
        };
        let said =
            Said { kind: Kind::Correction, target: Some(target), body: text.into(), content: Some(&content) };
        self.say(cx, &Draft { id: &id, to: &meant.with, said, not_after: None })
    }

    pub(crate) fn retract(&mut self, cx: &mut Cx<'_>, id: &ItemId, message: &ItemId) -> Answered {
        let (id, meant) = match changes(cx, id, message)? {
            Ok(both) => both,
            // What never left is gone, and so is who asks for it a second time.
            Err(Err(Error::NotFound)) if Uuid::parse_str(&message.0).is_ok() => return Ok(Ok(Reply::Done)),
            Err(answer) => return Ok(answer),
        };
        if !meant.mine {
            return Ok(Err(invalid("only one's own messages can be retracted")));
        }
        if waits(cx, meant.row)? || meant.state == 5 {
            self.forget(cx, &meant)?;
            return Ok(Ok(Reply::Done));
        }
        let Some(target) = meant.called() else { return Ok(Err(invalid("it has no id"))) };
        if timeline::message(cx.tx, meant.row)?.is_some_and(|(shown, _)| shown.retracted) {
            return Ok(Ok(Reply::Sent { id }));
        }
        // Nobody needs to hear any more what was to be said about it.
        self.withdraw_what_is_about(cx, meant.row)?;
        let said = Said { kind: Kind::Retraction, target: Some(target), body: "".into(), content: None };
        self.say(cx, &Draft { id: &id, to: &meant.with, said, not_after: None })
    }

    pub(crate) fn react(
        &mut self,
        cx: &mut Cx<'_>,
        id: &ItemId,
        message: &ItemId,
        reactions: &[String],
    ) -> Answered {
        let (id, meant) = match changes(cx, id, message)? {
            Ok(both) => both,
            Err(answer) => return Ok(answer),
        };
        let wanted = content::reactions(reactions.iter().cloned());
        if wanted.len() != reactions.len() {
            return Ok(Err(invalid("a reaction is empty, too long, there twice, or one of too many")));
        }
        let Some(target) = meant.called() else { return Ok(Err(invalid("it has no id"))) };
        let Some((shown, _)) = timeline::message(cx.tx, meant.row)? else { return Ok(Err(Error::NotFound)) };
        if shown.retracted {
            return Ok(Err(invalid("it was retracted")));
        }
        if meant.mine && meant.state == 5 {
            return Ok(Err(invalid("it was not sent")));
        }
        let body = amendments::list(&wanted);
        if let Some(earlier) = waiting(cx, meant.row, Kind::Reactions)? {
            return self.rewrite(cx, earlier, &id, &body, &Content::default());
        }
        let said = Said { kind: Kind::Reactions, target: Some(target), body: body.into(), content: None };
        self.say(cx, &Draft { id: &id, to: &meant.with, said, not_after: None })
    }

    pub(crate) fn retry(&mut self, cx: &mut Cx<'_>, message: &ItemId) -> Answered {
        let Some(meant) = meant(cx, message)?.filter(|meant| meant.mine) else {
            return Ok(Err(Error::NotFound));
        };
        if meant.state != 5 {
            return Ok(Err(invalid("it has not failed")));
        }
        if amendments::is_overtaken(cx.tx, meant.row)? {
            return Ok(Err(invalid("something else was said since")));
        }
        let Some(name) = meant.name.clone() else { return Ok(Err(invalid("it has no id"))) };
        let id = ItemId(name);
        let said = Said {
            kind: meant.kind,
            target: meant.target.as_deref(),
            body: meant.text.as_str().into(),
            content: Some(&meant.content),
        };
        let bytes = stanza(&id, &meant.with, &said, messages::takes_states(cx, &meant.with)?);
        if bytes.len() as u64 > self.max_stanza() {
            return Ok(Err(invalid("it is larger than the server takes")));
        }
        // If it has left it may have arrived all the same: then the archive has it twice.
        cx.tx.execute(
            "UPDATE message SET own_failure = 0, resent = max(resent, own_failure <> 2) WHERE id = ?1",
            params![meant.row],
        )?;
        let position = self.next_position();
        messages::move_to(cx, meant.row, meant.conversation, position)?;
        messages::set_state(cx, meant.row, &SendState::Queued)?;
        self.enqueue(cx, outbox::Kind::Message(meant.row), meant.with.as_str(), Some(&id.0), &bytes)?;
        Ok(Ok(Reply::Done))
    }

    pub(crate) fn cancel(&mut self, cx: &mut Cx<'_>, message: &ItemId) -> Answered {
        let Some(meant) = meant(cx, message)?.filter(|meant| meant.mine) else {
            return Ok(Err(Error::NotFound));
        };
        if !is_queued(cx, meant.row)? && meant.state != 5 {
            return Ok(Err(invalid("it is under way: it can be retracted")));
        }
        self.forget(cx, &meant)?;
        Ok(Ok(Reply::Done))
    }

    /// Something new of ours: its row, its stanza, and what is shown of it.
    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, draft: &Draft<'_>) -> Answered {
        let Draft { id, to, said, not_after } = draft;
        let bytes = match self.written(cx, id, to, said)? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        let conversation = messages::conversation(cx, to)?;
        let position = self.next_position();
        let message = messages::insert_own(cx, conversation, position, &self.own_name(), id, said)?;
        if self.online().is_some() || !mutants::on(Mutant::SendNotQueued) {
            self.enqueue(cx, outbox::Kind::Message(message), to.as_str(), Some(&id.0), &bytes)?;
            if not_after.is_some() {
                cx.tx.execute(
                    "UPDATE outbox SET not_after = ?2 WHERE message = ?1",
                    params![message, not_after],
                )?;
            }
        }
        if said.kind.amends() {
            amendments::amends_anew(cx, message)?;
        } else if said.kind == Kind::Payload {
            payloads::told(cx, message)?;
        } else {
            self.arrived(cx, to, conversation, message, position, true)?;
        }
        Ok(Ok(Reply::Sent { id: (*id).clone() }))
    }

    /// Another text for a row that was never sent.
    fn rewrite(&mut self, cx: &mut Cx<'_>, row: i64, id: &ItemId, text: &str, content: &Content) -> Answered {
        let Some(meant) = meant_row(cx, row)? else { return Ok(Err(Error::NotFound)) };
        let name = ItemId(meant.name.clone().unwrap_or_default());
        let said = Said {
            kind: meant.kind,
            target: meant.target.as_deref(),
            body: text.into(),
            content: Some(content),
        };
        let bytes = match self.written(cx, &name, &meant.with, &said)? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        cx.tx.execute(
            "UPDATE message SET body = ?2, extra = ?3 WHERE id = ?1",
            params![row, text, amendments::kept(Some(content))?],
        )?;
        cx.tx.execute(
            "UPDATE outbox SET bytes = ?2 WHERE message = ?1 AND first_sent IS NULL",
            params![row, bytes],
        )?;
        if meant.kind.amends() {
            amendments::amends_anew(cx, row)?;
        } else {
            amendments::changed(cx, row)?;
        }
        Ok(Ok(Reply::Sent { id: id.clone() }))
    }

    /// What has failed may be in an archive as it was, and two texts of one id are one message to whoever reads that: another text
    /// is another message, in its place and not sent either.
    fn replace(
        &mut self,
        cx: &mut Cx<'_>,
        meant: &Meant,
        id: &ItemId,
        text: &str,
        content: &Content,
    ) -> Answered {
        let said = Said {
            kind: meant.kind,
            target: meant.target.as_deref(),
            body: text.into(),
            content: Some(content),
        };
        if let Err(error) = self.written(cx, id, &meant.with, &said)? {
            return Ok(Err(error));
        }
        let position = self.next_position();
        let row = messages::insert_own(cx, meant.conversation, position, &self.own_name(), id, &said)?;
        cx.tx.execute(
            "UPDATE message SET state = 5, own_failure = 2, reason = (SELECT reason FROM message WHERE id = ?2) WHERE id = ?1",
            params![row, meant.row],
        )?;
        self.arrived(cx, &meant.with, meant.conversation, row, position, true)?;
        self.forget(cx, meant)?;
        Ok(Ok(Reply::Sent { id: id.clone() }))
    }

    /// Its stanza, if the server takes one of that size.
    fn written(
        &self,
        cx: &Cx<'_>,
        id: &ItemId,
        to: &BareJid,
        said: &Said<'_>,
    ) -> Result<std::result::Result<Vec<u8>, Error>> {
        let bytes = stanza(id, to, said, messages::takes_states(cx, to)?);
        let is_too_large = bytes.len() as u64 > self.max_stanza();
        Ok(if is_too_large { Err(invalid("the text is larger than the server takes")) } else { Ok(bytes) })
    }

    /// Who writes what is written here.
    fn own_name(&self) -> String {
        self.session.jid.as_ref().map_or_else(|| self.jid.to_string(), ToString::to_string)
    }

    /// What waits to be said about a message is not said. What is tried again may be in an archive: what is left of it keeps that away.
    fn withdraw_what_is_about(&self, cx: &mut Cx<'_>, message: i64) -> Result<()> {
        for row in outbox::withdraw_what_is_about(cx, message)? {
            if is_resent(cx, row)? {
                self.delete_rows(cx, &[row])?;
            } else {
                remove(cx, row)?;
            }
        }
        Ok(())
    }

    /// What never left is gone, and what waits is not said, nor what waits to be said about it. What has left may be in an archive: what
    /// is left of it keeps that away.
    fn forget(&mut self, cx: &mut Cx<'_>, meant: &Meant) -> Result<()> {
        let (position, root): (i64, Option<i64>) = cx.tx.query_row(
            "SELECT position, root FROM message WHERE id = ?1",
            params![meant.row],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let waits = waits(cx, meant.row)?;
        if is_queued(cx, meant.row)? {
            self.withdraw_what_is_about(cx, meant.row)?;
            let withdrawn = "DELETE FROM outbox WHERE message = ?1 AND first_sent IS NULL";
            let kept = "UPDATE outbox SET message = NULL, kind = 1 WHERE message = ?1";
            let is_kept = mutants::on(Mutant::CancelledIsSent);
            cx.tx.execute(if is_kept { kept } else { withdrawn }, params![meant.row])?;
        }
        if waits {
            if let Some(answer) = amendments::lowest_answer(cx, meant.row)? {
                messages::touch(cx, &meant.with, answer);
            }
            remove(cx, meant.row)?;
            cx.tx.execute("UPDATE message SET root = NULL WHERE root = ?1", params![meant.row])?;
        } else {
            self.delete_with_all_about_it(cx, meant.row)?;
        }
        match root.filter(|_| meant.kind.amends()) {
            Some(root) => amendments::changed(cx, root),
            None if meant.hidden || !waits => Ok(()),
            None => messages::unlisted(cx, &meant.with, meant.conversation, meant.row, position, meant.mine),
        }
    }
}

/// Swift writes a UUID in capitals, Kotlin does not: one id in two spellings is one message.
pub(crate) fn identity(id: &ItemId) -> std::result::Result<ItemId, Error> {
    Uuid::parse_str(&id.0)
        .map(|id| ItemId(id.to_string()))
        .map_err(|_| invalid("the message's id is not a UUID"))
}

fn check_text(text: &str) -> std::result::Result<(), Error> {
    match text.len() {
        0 => Err(invalid("the text is empty")),
        length if length > MAX_TEXT => Err(invalid("the text is too long")),
        _ => Ok(()),
    }
}

/// Who is named in it, as it is written.
fn mentions(what: &Outgoing) -> std::result::Result<Vec<Mention>, Error> {
    if what.mentions.len() > content::MAX_PARTS {
        return Err(invalid("it has too many mentions"));
    }
    let parts: Vec<_> =
        what.mentions.iter().map(|mention| (mention.range.clone(), mention.whom.clone())).collect();
    text::mention(&what.text, &parts).ok_or_else(|| invalid("a mention is not a part of the text, or of two"))
}

pub(crate) fn is_known(cx: &Cx<'_>, id: &ItemId) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE local_id = ?1)")?
        .query_row(params![id.0], |row| row.get(0))?)
}

/// The id of a change and the message that is to be changed; or the answer, if it is clear by now.
fn changes(
    cx: &Cx<'_>,
    id: &ItemId,
    message: &ItemId,
) -> Result<std::result::Result<(ItemId, Meant), std::result::Result<Reply, Error>>> {
    let id = match identity(id) {
        Ok(id) => id,
        Err(error) => return Ok(Err(Err(error))),
    };
    if is_known(cx, &id)? {
        return Ok(Err(Ok(Reply::Sent { id })));
    }
    Ok(match meant(cx, message)? {
        Some(meant) if meant.hidden => Err(Err(Error::NotFound)),
        Some(meant) if meant.kind == Kind::Placeholder => Err(Err(invalid("it is a placeholder"))),
        Some(meant) => Ok((id, meant)),
        None => Err(Err(Error::NotFound)),
    })
}

fn meant(cx: &Cx<'_>, item: &ItemId) -> Result<Option<Meant>> {
    let item = identity(item).unwrap_or_else(|_| item.clone());
    match amendments::row(cx.tx, &item)? {
        Some(row) => meant_row(cx, row),
        None => Ok(None),
    }
}

fn meant_row(cx: &Cx<'_>, row: i64) -> Result<Option<Meant>> {
    let found = cx
        .tx
        .prepare_cached(
            "SELECT m.conversation, c.jid, m.mine, m.kind, m.state, m.hidden, m.name, m.stanza_id, m.body, m.extra, m.target
             FROM message AS m JOIN conversation AS c ON c.id = m.conversation WHERE m.id = ?1 AND m.kind <> 5",
        )?
        .query_row(params![row], |found| {
            let with: String = found.get(1)?;
            Ok(BareJid::new(&with).ok().map(|with| Meant {
                row,
                conversation: found.get(0).unwrap_or_default(),
                with,
                mine: found.get(2).unwrap_or_default(),
                kind: Kind::of(found.get(3).unwrap_or_default()),
                state: found.get(4).unwrap_or_default(),
                hidden: found.get(5).unwrap_or_default(),
                name: found.get(6).unwrap_or_default(),
                stanza_id: found.get(7).unwrap_or_default(),
                text: found.get(8).unwrap_or_default(),
                content: amendments::content(found.get::<_, Option<String>>(9).unwrap_or_default().as_deref()),
                target: found.get(10).unwrap_or_default(),
            }))
        })
        .optional()?;
    Ok(found.flatten())
}

/// Whether it has never left. What is tried again has, and may be anywhere as it was (STREAM 15).
fn waits(cx: &Cx<'_>, message: i64) -> Result<bool> {
    Ok(is_queued(cx, message)? && !is_resent(cx, message)?)
}

fn is_resent(cx: &Cx<'_>, message: i64) -> Result<bool> {
    let resent = "SELECT resent FROM message WHERE id = ?1";
    Ok(cx.tx.prepare_cached(resent)?.query_row(params![message], |row| row.get(0))?)
}

/// Whether it is still to leave, or to leave again.
fn is_queued(cx: &Cx<'_>, message: i64) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE message = ?1 AND first_sent IS NULL)")?
        .query_row(params![message], |row| row.get(0))?)
}

/// Our amendment of this kind to a message that has never left.
fn waiting(cx: &Cx<'_>, root: i64, kind: Kind) -> Result<Option<i64>> {
    Ok(cx
        .tx
        .prepare_cached(
            "SELECT m.id FROM message AS m JOIN outbox AS o ON o.message = m.id
             WHERE m.root = ?1 AND m.kind = ?2 AND m.mine = 1 AND m.resent = 0 AND o.first_sent IS NULL ORDER BY o.seq DESC LIMIT 1",
        )?
        .query_row(params![root, kind], |row| row.get(0))
        .optional()?)
}

/// A row that never left, with its place in the queue.
fn remove(cx: &Cx<'_>, row: i64) -> Result<()> {
    search::removed(cx, row)?;
    cx.tx.execute("DELETE FROM message WHERE id = ?1", params![row])?;
    Ok(())
}

/// Repeats what is answered, for clients that do not know answers (XEP-0461 §3.1).
fn quote(cx: &Cx<'_>, answered: i64, content: &mut Content, text: &str) -> Result<String> {
    let shown = timeline::message(cx.tx, answered)?.map(|(shown, _)| shown.text).unwrap_or_default();
    if shown.is_empty() {
        return Ok(text.to_owned());
    }
    let mut excerpt: String = shown.chars().take(QUOTED).collect();
    if excerpt.len() < shown.len() {
        excerpt.push('…');
    }
    let quoted: String = excerpt.lines().map(|line| format!("> {line}\n")).collect();
    let length = quoted.chars().count() as u32;
    content.quoted = Some((0, length));
    for mention in &mut content.mentions {
        mention.begin += length;
        mention.end += length;
    }
    Ok(quoted + text)
}

/// What goes over the wire. Its id is the stanza's id and its origin-id, so that a resend is known for what it is.
fn stanza(id: &ItemId, to: &BareJid, said: &Said<'_>, takes_states: bool) -> Vec<u8> {
    let message = Tag::new("message").attr("type", "chat").attr("to", to.as_str()).attr("id", &id.0);
    let origin = Tag::with_ns("origin-id", ns::SID).attr("id", &id.0);
    let target = said.target.unwrap_or_default();
    let text = |message: Tag| {
        let message = message
            .child(Tag::new("body").text(&said.body))
            .child(origin.clone())
            .child(Tag::with_ns("request", ns::RECEIPTS))
            .child(Tag::with_ns("markable", ns::CHAT_MARKERS));
        match said.content {
            Some(content) => content.write(message),
            None => message,
        }
    };
    let message = match said.kind {
        Kind::Text | Kind::Placeholder => text(message),
        Kind::Correction => text(message).child(Tag::with_ns("replace", ns::CORRECT).attr("id", target)),
        Kind::Retraction => message
            .child(
                Tag::new("body").text("/me has retracted a message, which your app does not know how to do."),
            )
            .child(Tag::with_ns("fallback", ns::FALLBACK).attr("for", ns::RETRACT))
            .child(Tag::with_ns("retract", ns::RETRACT).attr("id", target))
            .child(origin)
            .child(Tag::with_ns("store", ns::HINTS)),
        Kind::Reactions => {
            let mut reactions = Tag::with_ns("reactions", ns::REACTIONS).attr("id", target);
            for reaction in serde_json::from_str::<Vec<String>>(&said.body).unwrap_or_default() {
                reactions = reactions.child(Tag::new("reaction").text(reaction));
            }
            message.child(reactions).child(origin).child(Tag::with_ns("store", ns::HINTS))
        }
        Kind::Payload => message.xml(&said.body).child(origin).child(Tag::with_ns("store", ns::HINTS)),
    };
    let active = (takes_states && said.kind == Kind::Text).then(|| Tag::with_ns("active", ns::CHAT_STATES));
    message.child_opt(active).into_bytes()
}
