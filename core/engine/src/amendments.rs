//! Corrections (XEP-0308), retractions (XEP-0424), reactions (XEP-0444), and what answers what (XEP-0461).
//!
//! An amendment is a row of `message` that is not shown by itself: so it is deduplicated, placed, sent, sent again and looked
//! for in the archive as every message is. It calls another message by a name; the one of that name, or the one that that one
//! corrects in turn, is its *root*. Roots are found whenever either comes, so the order in which they come decides nothing: the
//! last correction by position is the text, a retraction is for good, of each side the last reactions count.
//!
//! Who may: the sender of a message, and nobody else, corrects and retracts it; both sides react to it and answer it. Where the
//! message is not here (an archive may have lost it), the first correction of its name stands for it and is shown as a message,
//! so that nothing said is lost; a retraction or reactions without either change nothing.

use std::borrow::Cow;

use jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};
use whimbrel_proto::{
    content::{About, Content},
    message::MessageView,
};

use crate::{
    account::{Account, Cx},
    api::{Change, ChangeKind, Event, ItemId, Message, Reaction, ReplyTo, SendState},
    error::{Error, Result},
    messages::{self, NAMESAKES},
    mutants::{self, Mutant},
    read_position, search, timeline,
};

/// A correction of a correction of a correction: so deep.
const DEPTH: usize = 8;
/// So many that came before the message that they are about are looked at. More are nobody's who means well.
const MOST: u32 = 256;

/// What kind of row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Placeholder,
    Correction,
    Retraction,
    Reactions,
    /// What only the app understands.
    Payload = 6,
}

impl Kind {
    pub(crate) fn code(self) -> i64 {
        self as i64
    }

    pub(crate) fn of(code: i64) -> Self {
        match code {
            0 => Self::Text,
            2 => Self::Correction,
            3 => Self::Retraction,
            4 => Self::Reactions,
            6 => Self::Payload,
            _ => Self::Placeholder,
        }
    }

    /// Whether it changes another message.
    pub(crate) fn amends(self) -> bool {
        matches!(self, Self::Correction | Self::Retraction | Self::Reactions)
    }

    /// Whether it is shown by itself: a correction is, where nobody knows what it corrects.
    pub(crate) fn is_hidden(self, has_root: bool) -> bool {
        match self {
            Self::Text | Self::Placeholder => false,
            Self::Correction => has_root,
            Self::Retraction | Self::Reactions | Self::Payload => true,
        }
    }
}

/// What a message says.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) kind: Kind,
    /// How it calls the message that it is about, or that it answers; of what is the app's the namespace.
    pub(crate) target: Option<&'a str>,
    pub(crate) body: Cow<'a, str>,
    pub(crate) content: Option<&'a Content>,
}

impl<'a> Said<'a> {
    /// `None`: nothing that is kept.
    pub(crate) fn read(view: &'a MessageView<'a>) -> Option<Self> {
        let content = Some(&view.content).filter(|content| !content.is_empty());
        let body = || view.body.as_deref().map(Cow::Borrowed);
        // What stands in the text of a retraction or of reactions is for those who do not know them.
        let (kind, target, body, content) = match &view.about {
            Some(About::Retracts(target)) => (Kind::Retraction, Some(*target), Cow::Borrowed(""), None),
            Some(About::ReactsTo(target, reactions)) => {
                (Kind::Reactions, Some(*target), Cow::Owned(list(reactions)), None)
            }
            Some(About::Corrects(target)) => (Kind::Correction, Some(*target), body()?, content),
            None => {
                let answers = view.content.reply.as_ref().map(|reply| reply.id.as_str());
                let answers = answers.filter(|_| !mutants::on(Mutant::AnswerForgotten));
                (Kind::Text, answers, body()?, content)
            }
        };
        Some(Self { kind, target, body, content })
    }

    /// What it calls a message by, and what namespace it is in.
    pub(crate) fn names(&self) -> (Option<&'a str>, Option<&'a str>) {
        if self.kind == Kind::Payload { (None, self.target) } else { (self.target, None) }
    }
}

/// Reactions as they are kept.
pub(crate) fn list(reactions: &[String]) -> String {
    serde_json::to_string(reactions).unwrap_or_default()
}

/// What names another message: a row, or what is to become one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference<'a> {
    pub(crate) conversation: i64,
    pub(crate) kind: Kind,
    pub(crate) mine: bool,
    pub(crate) position: i64,
    pub(crate) target: &'a str,
}

struct Named {
    id: i64,
    kind: Kind,
    mine: bool,
    position: i64,
    target: Option<String>,
}

/// The message that this is about, if it is here and its sender may say so.
pub(crate) fn root(tx: &Connection, reference: Reference<'_>) -> Result<Option<i64>> {
    let Some(mut at) = named(tx, reference)? else { return stand_in(tx, reference) };
    for _ in 0..DEPTH {
        let Some(target) = at.target.take().filter(|_| at.kind == Kind::Correction) else { break };
        let above = Reference {
            conversation: reference.conversation,
            kind: Kind::Correction,
            mine: at.mine,
            position: at.position,
            target: &target,
        };
        match named(tx, above)?.filter(|above| above.id != at.id) {
            Some(above) => at = above,
            None => return Ok(stand_in(tx, above)?.or(Some(at.id))),
        }
    }
    // Who corrects in a circle corrects nothing.
    Ok(Some(at.id).filter(|_| at.kind != Kind::Correction))
}

/// Stands for a message that is not here: the first of its corrections, for those behind it and for what else is about it.
fn stand_in(tx: &Connection, reference: Reference<'_>) -> Result<Option<i64>> {
    let Reference { conversation, kind, mine, position, target } = reference;
    let either = !kind.amends() || kind == Kind::Reactions;
    let first: Option<(i64, i64)> = tx
        .prepare_cached(
            "SELECT id, position FROM (SELECT * FROM message WHERE target = ?1 AND conversation = ?2 ORDER BY id DESC LIMIT ?3)
             WHERE kind = 2 AND (mine = ?4 OR ?5) ORDER BY mine = ?4, position, id LIMIT 1",
        )?
        .query_row(params![target, conversation, MOST, mine, either], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(first.filter(|(_, first)| kind != Kind::Correction || *first <= position).map(|(id, _)| id))
}

/// The message of a name. Of several the last before the reference: bots repeat their ids.
fn named(tx: &Connection, reference: Reference<'_>) -> Result<Option<Named>> {
    let Reference { conversation, kind, mine, position, target } = reference;
    let mut statement = tx.prepare_cached(
        "SELECT id, kind, mine, position, target FROM (SELECT * FROM message WHERE name = ?1 AND conversation = ?2 ORDER BY id DESC LIMIT ?3)
         WHERE kind IN (0, 1, 2, 5) UNION ALL
         SELECT id, kind, mine, position, target FROM (SELECT * FROM message WHERE stanza_id = ?1 AND conversation = ?2 ORDER BY id DESC LIMIT ?3)
         WHERE kind IN (0, 1, 2, 5)",
    )?;
    let mut rows = statement.query(params![target, conversation, NAMESAKES])?;
    let mut best: Option<Named> = None;
    while let Some(row) = rows.next()? {
        let found = Named {
            id: row.get(0)?,
            kind: Kind::of(row.get(1)?),
            mine: row.get(2)?,
            position: row.get(3)?,
            target: row.get(4)?,
        };
        if kind.amends() && kind != Kind::Reactions && found.mine != mine {
            continue;
        }
        // Of two of one name, what one reacts to or answers is more likely the other's; and then the last before it.
        let rank = |named: &Named| {
            let before = named.position < position;
            (named.mine != mine, before, if before { named.position } else { -named.position })
        };
        if best.as_ref().is_none_or(|best| rank(best) < rank(&found)) {
            best = Some(found);
        }
    }
    Ok(best)
}

/// A message is new here: what came before it and calls it by one of its names, or by that of what it stands for, is about it.
/// Whether anything is.
pub(crate) fn gather(
    cx: &mut Cx<'_>,
    peer: &BareJid,
    conversation: i64,
    names: [Option<&str>; 3],
) -> Result<bool> {
    let mut any = false;
    if mutants::on(Mutant::EarlierAmendmentMissed) {
        return Ok(any);
    }
    for name in names.into_iter().flatten() {
        let waiting = cx
            .tx
            .prepare_cached(
                "SELECT id, kind, mine, position, root, hidden FROM message WHERE target = ?1 AND conversation = ?2 ORDER BY id DESC LIMIT ?3",
            )?
            .query_map(params![name, conversation, MOST], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    Kind::of(row.get(1)?),
                    row.get::<_, bool>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, Option<i64>>(4)?,
                    row.get::<_, bool>(5)?,
                ))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (id, kind, mine, position, before, hidden) in waiting {
            let reference = Reference { conversation, kind, mine, position, target: name };
            let root = root(cx.tx, reference)?.filter(|root| *root != id);
            if root == before {
                continue;
            }
            any = true;
            let Some(root) = root else { continue };
            cx.tx
                .prepare_cached("UPDATE message SET root = ?2, hidden = max(hidden, ?3) WHERE id = ?1")?
                .execute(params![id, root, kind.amends()])?;
            search::changed(cx, id)?;
            messages::touch(cx, peer, position);
            if kind == Kind::Correction {
                if !hidden {
                    messages::unlisted(cx, peer, conversation, id, position, mine)?;
                    read_position::joined(cx, peer, conversation, position, root)?;
                }
                inherit(cx, peer, id, root)?;
            }
            if kind.amends() {
                amended(cx, root)?;
            }
        }
    }
    Ok(any)
}

/// What was about a correction that stood alone is about what that corrects.
fn inherit(cx: &mut Cx<'_>, peer: &BareJid, from: i64, to: i64) -> Result<()> {
    let moved = cx
        .tx
        .prepare_cached(
            "UPDATE message SET root = ?2 WHERE id IN (SELECT id FROM message WHERE root = ?1 LIMIT ?3) RETURNING position",
        )?
        .query_map(params![from, to, MOST], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    if let Some(lowest) = moved.into_iter().min() {
        messages::touch(cx, peer, lowest);
    }
    Ok(())
}

/// A message is shown otherwise from now on.
pub(crate) fn amended(cx: &mut Cx<'_>, root: i64) -> Result<()> {
    cx.tx
        .prepare_cached("UPDATE message SET amended = 1 WHERE id = ?1 AND amended = 0")?
        .execute(params![root])?;
    changed(cx, root)
}

/// What a message shows is not what it showed.
pub(crate) fn changed(cx: &mut Cx<'_>, message: i64) -> Result<()> {
    search::changed(cx, message)?;
    if let Some((message, position)) = timeline::message(cx.tx, message)? {
        messages::touch(cx, &message.with, position);
        cx.event(Event::Changed(message));
    }
    Ok(())
}

/// Where the lowest answer to a message stands, which shows what it answers: below it where that was tried again.
pub(crate) fn lowest_answer(cx: &Cx<'_>, message: i64) -> Result<Option<i64>> {
    Ok(cx
        .tx
        .prepare_cached("SELECT min(position) FROM message WHERE root = ?1 AND kind < 2")?
        .query_row(params![message], |row| row.get(0))?)
}

/// The same where the row is an amendment and has a root; of others nothing.
pub(crate) fn amends_anew(cx: &mut Cx<'_>, message: i64) -> Result<()> {
    let root: Option<i64> = cx
        .tx
        .prepare_cached("SELECT root FROM message WHERE id = ?1 AND kind >= 2")?
        .query_row(params![message], |row| row.get(0))
        .optional()?
        .flatten();
    match root {
        Some(root) => amended(cx, root),
        None => Ok(()),
    }
}

impl Account {
    /// Two of our devices said the same kind of thing about one message, and the last in the archive's order counts. The other's
    /// carbon and our acknowledgement can come in either order: a resumption acknowledges first and replays then, and a server
    /// may hold carbons back (XEP-0352). So the archive is looked at, once: then it has named ours.
    pub(crate) fn compare_rivals(&mut self, cx: &mut Cx<'_>, amendment: i64) -> Result<()> {
        let ours: Option<i64> = cx
            .tx
            .prepare_cached(
                "SELECT min(o.id) FROM message AS m
                 JOIN message AS o ON o.root = m.root AND o.kind = m.kind AND o.mine = 1 AND o.local_id IS NOT NULL AND o.state NOT IN (1, 5)
                 JOIN message AS r ON r.root = m.root AND r.kind = m.kind AND r.mine = 1 AND r.local_id IS NULL AND r.id > o.id
                 WHERE m.id = ?1 AND m.kind IN (2, 4) AND m.mine = 1 AND NOT EXISTS (SELECT 1 FROM archived WHERE message = o.id)",
            )?
            .query_row(params![amendment], |row| row.get(0))?;
        match ours {
            Some(ours) => self.look_behind(cx, ours),
            None => Ok(()),
        }
    }
}

/// What a row says beside its text, as far as showing it needs to know.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) kind: i64,
    pub(crate) extra: Option<String>,
    pub(crate) target: bool,
    pub(crate) root: Option<i64>,
    pub(crate) amended: bool,
}

/// Puts on a message all that was said about it.
pub(crate) fn dress(connection: &Connection, row: Row, message: &mut Message) -> Result<()> {
    let kind = Kind::of(row.kind);
    message.edited = kind == Kind::Correction;
    if row.extra.is_none() && !row.amended && !row.target {
        message.show(&Content::default());
        return Ok(());
    }
    let mut content = content(row.extra.as_deref());
    if row.target && kind == Kind::Text {
        message.reply = Some(ReplyTo {
            id: row.root.map(|root| item(connection, root)).transpose()?.flatten(),
            quote: content.quote(&message.text),
        });
    }
    if let Some(answer) = content.reply.as_ref().filter(|_| kind == Kind::Correction) {
        // Of what it stands for nobody knows more than it says.
        message.reply = Some(ReplyTo {
            id: answered(connection, row.id, &answer.id)?,
            quote: content.quote(&message.text),
        });
    }
    if row.amended {
        let retracted = last(connection, row.id, Kind::Retraction, message.mine)?.is_some();
        if let Some((text, extra)) = last(connection, row.id, Kind::Correction, message.mine)? {
            message.edited = true;
            message.text = text;
            content = self::content(extra.as_deref());
        }
        message.reactions = reactions(connection, row.id)?;
        message.change = change(connection, row.id)?;
        if retracted {
            *message = Message {
                text: String::new(),
                retracted: true,
                edited: false,
                reactions: Vec::new(),
                reply: None,
                ..message.clone()
            };
            return Ok(());
        }
    }
    message.show(&content);
    message.spoiler = content.spoiler;
    message.thread = content.thread;
    message.links = content.links;
    message.previews = content.previews;
    Ok(())
}

/// What a row answers that names it so, if that is here.
fn answered(connection: &Connection, row: i64, target: &str) -> Result<Option<ItemId>> {
    let (conversation, mine, position) = connection
        .prepare_cached("SELECT conversation, mine, position FROM message WHERE id = ?1")?
        .query_row(params![row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let reference = Reference { conversation, kind: Kind::Text, mine, position, target };
    Ok(root(connection, reference)?.map(|root| item(connection, root)).transpose()?.flatten())
}

pub(crate) fn content(extra: Option<&str>) -> Content {
    // A damaged file may say anything.
    extra.and_then(|extra| serde_json::from_str(extra).ok()).unwrap_or_default()
}

/// The last amendment of a kind by one side that did not fail: its text, and what it carries. A correction that stands for what
/// it corrects is one of them.
fn last(
    connection: &Connection,
    root: i64,
    kind: Kind,
    mine: bool,
) -> Result<Option<(String, Option<String>)>> {
    Ok(connection
        .prepare_cached(&mutants::sql(
            Mutant::FirstCorrectionWins,
            "SELECT body, extra FROM (SELECT * FROM (
                 SELECT body, extra, position, id FROM message WHERE root = ?1 AND kind = ?2 AND mine = ?3 AND state <> 5
                 ORDER BY position DESC, id DESC LIMIT 1)
             UNION ALL SELECT body, extra, position, id FROM message WHERE id = ?1 AND kind = ?2 AND state <> 5
             ORDER BY position DESC, id DESC LIMIT 1)",
            "position DESC, id DESC",
            "position, id",
        ))?
        .query_row(params![root, kind.code(), mine], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

fn reactions(connection: &Connection, root: i64) -> Result<Vec<Reaction>> {
    let mut reactions: Vec<Reaction> = Vec::new();
    for mine in [false, true] {
        let of_side = last(connection, root, Kind::Reactions, mine)?;
        let texts: Vec<String> =
            of_side.and_then(|(texts, _)| serde_json::from_str(&texts).ok()).unwrap_or_default();
        for text in texts {
            match reactions.iter_mut().find(|known| known.text == text) {
                Some(known) => {
                    known.count += 1;
                    known.mine |= mine;
                }
                None => reactions.push(Reaction { text, count: 1, mine }),
            }
        }
    }
    Ok(reactions)
}

/// Whether a change of ours that failed is over: a later one of its kind did not, or the message was taken back.
const IS_OVERTAKEN: &str = "(m.state = 5 AND m.kind IN (2, 3, 4) AND EXISTS (SELECT 1 FROM message AS l WHERE l.root = m.root AND l.mine = 1
     AND l.state <> 5 AND (l.kind = 3 OR l.kind = m.kind AND (l.position, l.id) > (m.position, m.id))))";

/// Whether what failed is not to be tried again, since it would stand over what was said later.
pub(crate) fn is_overtaken(connection: &Connection, message: i64) -> Result<bool> {
    let sql = format!("SELECT {IS_OVERTAKEN} FROM message AS m WHERE m.id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row(params![message], |row| row.get(0))?)
}

/// What we did to it and has not left, or failed and was not said otherwise since: the newest.
fn change(connection: &Connection, root: i64) -> Result<Option<Change>> {
    let found: Option<(String, i64, i64, Option<String>)> = connection
        .prepare_cached(&format!(
            "SELECT local_id, kind, state, reason FROM message AS m WHERE root = ?1 AND kind IN (2, 3, 4) AND mine = 1 AND state IN (1, 5)
             AND local_id IS NOT NULL AND NOT {IS_OVERTAKEN} ORDER BY position DESC, id DESC LIMIT 1"
        ))?
        .query_row(params![root], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    Ok(found.map(|(id, kind, state, reason)| Change {
        id: ItemId(id),
        kind: match Kind::of(kind) {
            Kind::Retraction => ChangeKind::Retraction,
            Kind::Reactions => ChangeKind::Reactions,
            _ => ChangeKind::Correction,
        },
        state: if state == 5 {
            SendState::Failed { reason: reason.unwrap_or_default() }
        } else {
            SendState::Queued
        },
    }))
}

/// How the app calls a row that is shown.
pub(crate) fn item(connection: &Connection, message: i64) -> Result<Option<ItemId>> {
    Ok(connection
        .prepare_cached(
            "SELECT coalesce(local_id, CAST(id AS TEXT)) FROM message WHERE id = ?1 AND kind <> 5",
        )?
        .query_row(params![message], |row| row.get(0).map(ItemId))
        .optional()?)
}

/// The row that the app calls so.
pub(crate) fn row(connection: &Connection, item: &ItemId) -> Result<Option<i64>> {
    let local: Option<i64> = connection
        .prepare_cached("SELECT id FROM message WHERE local_id = ?1")?
        .query_row(params![item.0], |row| row.get(0))
        .optional()?;
    let number = || item.0.parse::<i64>().ok();
    match (local, number()) {
        (Some(local), _) => Ok(Some(local)),
        (None, Some(number)) => Ok(connection
            .prepare_cached("SELECT id FROM message WHERE id = ?1 AND local_id IS NULL")?
            .query_row(params![number], |row| row.get(0))
            .optional()?),
        (None, None) => Ok(None),
    }
}

impl rusqlite::types::ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(self.code().into())
    }
}

/// A content as it is kept.
pub(crate) fn kept(content: Option<&Content>) -> Result<Option<String>> {
    content
        .filter(|content| !content.is_empty())
        .map(|content| serde_json::to_string(content).map_err(Error::from))
        .transpose()
}
