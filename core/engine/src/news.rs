//! Of what to notify the user: of which messages as they come, and what is new since the app was last told.
//!
//! Both are one decision ([`CONVERSATION`], [`MESSAGE`], [`Account::is_wanted`]). A message is told of if it came from somebody else, was not
//! read here or on another device, was not taken back, and its conversation is neither blocked, muted nor archived and its user wants
//! to be notified of such messages. Whether another device is in its user's hand at this moment nobody tells us: what was not read
//! there is notified of here, too.
//!
//! What is new is for an app that a push has woken and that nobody looks at. What is told once is not told again; what an app saw
//! before it was suspended it knows from its lists.

use std::sync::LazyLock;

use jid::BareJid;
use rusqlite::{OptionalExtension, Row, params};
use whimbrel_proto::text::Style;

use crate::{
    account::{Account, Cx},
    api::{Event, ItemId, Message, News},
    blocking::is_blocked,
    effect::Effect,
    error::Result,
    signals::IS_STRANGER,
    timeline,
};

/// Messages to show at once, and notifications to take back: the newest of them. Nobody looks at more.
const MOST: i64 = 200;
/// Of each, so many bytes of its text: nobody shows more, and an extension that a push has woken has little memory.
const SHOWN: usize = 4 * 1024;

/// With the beginning of its text, and of what it repeats, if these are long, and with no more than its first link.
fn shortened(mut message: Message) -> Message {
    let shorten = |text: &mut String| {
        let is_long = text.len() > SHOWN;
        if is_long {
            let beginning = text[..text.floor_char_boundary(SHOWN)].to_owned();
            *text = beginning + "…";
        }
        is_long
    };
    if shorten(&mut message.text) {
        message.spans.retain(|span| span.range.end <= message.text.len() - '…'.len_utf8());
    }
    for text in [message.reply.as_mut().and_then(|reply| reply.quote.as_mut()), message.spoiler.as_mut()] {
        text.map(shorten);
    }
    message.spans.shrink_to_fit();
    message.links.truncate(1);
    message.links.shrink_to_fit();
    message.previews = Vec::new();
    message
}

impl Account {
    pub(crate) fn news(&mut self, cx: &mut Cx<'_>) -> Result<News> {
        self.unmute(cx)?;
        was_here_by_now(cx)?;
        let which = format!(
            "SELECT m.id FROM message AS m JOIN conversation AS c ON c.id = m.conversation
             WHERE m.id > (SELECT told FROM account) AND {MESSAGE} AND {} ORDER BY m.position DESC, m.id DESC LIMIT ?1",
            conversation(),
        );
        let rows: Vec<i64> = cx
            .tx
            .prepare_cached(&which)?
            .query_map(params![MOST], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut notify = Vec::new();
        // One at a time: of two hundred whole texts there may be a hundred megabytes.
        for row in rows.into_iter().rev() {
            let Some((message, _)) = timeline::message(cx.tx, row)? else { continue };
            if let Some(of) = notifies_of(cx, &message.with)?
                && self.is_wanted(cx, of, &message)?
            {
                notify.push(shortened(message));
            }
        }
        let id = |row: &Row<'_>| Ok(ItemId(row.get::<_, i64>(0)?.to_string()));
        let withdraw = cx
            .tx
            .prepare_cached(
                "SELECT m.id FROM conversation AS c JOIN message AS m ON m.conversation = c.id
                 WHERE c.told_read < c.read_position AND m.position > c.told_read AND m.position <= c.read_position
                 AND m.mine = 0 AND m.id <= (SELECT told FROM account)
                 UNION
                 SELECT m.id FROM message AS r JOIN message AS m ON m.id = r.root WHERE r.id > (SELECT told FROM account) AND r.kind = 3
                 AND r.mine = 0 AND m.mine = 0 AND m.id <= (SELECT told FROM account) ORDER BY m.id DESC LIMIT ?1",
            )?
            .query_map(params![MOST], id)?
            .collect::<rusqlite::Result<_>>()?;
        let unread: i64 =
            cx.tx.query_row("SELECT coalesce(sum(unread), 0) FROM conversation", [], |row| row.get(0))?;
        self.told(cx)?;
        Ok(News { notify, withdraw, unread: unread.max(0) as u64 })
    }

    /// Which of the messages that came in this step are to be notified of, now that it is known what was read elsewhere.
    pub(crate) fn decide_what_to_notify_of(&self, cx: &mut Cx<'_>) -> Result<()> {
        let mut out = std::mem::take(&mut cx.out);
        let events = out.iter_mut().filter_map(|effect| match effect {
            Effect::Event(event) => Some(event.as_mut()),
            _ => None,
        });
        // People write several messages in a row, and a catch-up has thousands of these.
        let mut last: Option<(BareJid, Option<Of>)> = None;
        for event in events {
            let Event::Message { message, notify } = event else { continue };
            if message.mine {
                continue;
            }
            let notifies = match &last {
                Some((with, notifies)) if *with == message.with => *notifies,
                _ => {
                    was_here_by_now(cx)?;
                    let notifies = notifies_of(cx, &message.with)?;
                    last = Some((message.with.clone(), notifies));
                    notifies
                }
            };
            *notify = match notifies {
                Some(of) => is_candidate(cx, message)? && self.is_wanted(cx, of, message)?,
                None => false,
            };
        }
        cx.out = out;
        Ok(())
    }

    /// Whether a candidate is what its user wants to be notified of.
    fn is_wanted(&self, cx: &Cx<'_>, of: Of, message: &Message) -> Result<bool> {
        match of {
            // What was taken back before anybody saw it is no news.
            _ if message.retracted => Ok(false),
            Of::All => Ok(true),
            Of::Mentions => self.is_about_us(cx, message),
        }
    }

    /// Whether it mentions us, by our address (XEP-0372) or our name, or answers us (XEP-0461).
    fn is_about_us(&self, cx: &Cx<'_>, message: &Message) -> Result<bool> {
        let is_mention =
            |style: &Style| matches!(style, Style::Mention { whom } if whom.to_bare() == self.jid);
        if message.spans.iter().any(|span| is_mention(&span.style)) {
            return Ok(true);
        }
        let answers: Option<bool> = cx
            .tx
            .prepare_cached("SELECT a.mine FROM message AS m JOIN message AS a ON a.id = m.root WHERE m.id = CAST(?1 AS INTEGER)")?
            .query_row(params![message.id.0], |row| row.get(0))
            .optional()?;
        if answers == Some(true) {
            return Ok(true);
        }
        let nick: Option<Option<String>> = cx
            .tx
            .prepare_cached("SELECT nick FROM person WHERE jid = ?1")?
            .query_row(params![self.jid.as_str()], |row| row.get(0))
            .optional()?;
        let name = nick.flatten().or_else(|| self.jid.node().map(|node| node.as_str().to_owned()));
        Ok(name.is_some_and(|name| has_word(&message.text, &name)))
    }

    /// The app knows everything that there is by now.
    pub(crate) fn told(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        cx.tx.execute("UPDATE account SET told = (SELECT coalesce(max(id), 0) FROM message)", [])?;
        cx.tx.execute(
            "UPDATE conversation SET told_read = read_position WHERE told_read < read_position",
            [],
        )?;
        Ok(())
    }
}

/// The clock may have been ahead when the account was made.
fn was_here_by_now(cx: &Cx<'_>) -> Result<()> {
    cx.tx
        .prepare_cached("UPDATE account SET created_at = ?1 WHERE created_at > ?1")?
        .execute(params![cx.now.wall])?;
    Ok(())
}

/// What a message must be like to be notified of, so far as its row says.
/// What was written long before the account was here is history, by whatever way it comes; a day is left to clocks.
const MESSAGE: &str = "m.mine = 0 AND m.hidden = 0 AND m.position > c.read_position AND m.id > c.read_here
     AND m.at > (SELECT created_at FROM account) - 86400000";
/// And its conversation, with [`conversation`].
const CONVERSATION: &str = "c.unread > 0 AND c.muted_until IS NULL AND c.archived = 0 AND c.notify < 2";

fn conversation() -> String {
    format!(
        "{CONVERSATION} AND NOT {} AND NOT ({IS_STRANGER} AND (SELECT strangers FROM account) = 0)",
        is_blocked("c.jid")
    )
}

/// Of what a conversation notifies.
#[derive(Clone, Copy)]
enum Of {
    All,
    Mentions,
}

/// Of which messages this conversation notifies, if of any.
fn notifies_of(cx: &Cx<'_>, with: &BareJid) -> Result<Option<Of>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT c.notify = 1 FROM conversation AS c WHERE c.jid = ?1 AND {}", conversation())
    });
    let on_mention: Option<bool> =
        cx.tx.prepare_cached(&SQL)?.query_row(params![with.as_str()], |row| row.get(0)).optional()?;
    Ok(on_mention.map(|on_mention| if on_mention { Of::Mentions } else { Of::All }))
}

/// Whether this one may be.
fn is_candidate(cx: &Cx<'_>, message: &Message) -> Result<bool> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT EXISTS (SELECT 1 FROM message AS m JOIN conversation AS c ON c.id = m.conversation
             WHERE m.id = CAST(?1 AS INTEGER) AND {MESSAGE})"
        )
    });
    Ok(cx.tx.prepare_cached(&SQL)?.query_row(params![message.id.0], |row| row.get(0))?)
}

/// Whether a name stands in a text, in whatever letters, and not inside of a word.
fn has_word(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !name.is_empty()
        && text.match_indices(&name).any(|(at, found)| {
            !is_part(text[..at].chars().next_back()) && !is_part(text[at + found.len()..].chars().next())
        })
}
