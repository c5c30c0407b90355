//! Cards: what people say of themselves at length (XEP-0292, XEP-0054).
//!
//! A card is read when the app asks for it, of whoever it may be: the new one, or else the old one. What was read is kept with its time, so
//! that it can be shown offline; of many the newest.
//!
//! Our own is changed on the server and not replaced: what is there is asked first, and what we do not know of it stays. For
//! contacts only, it is published in a node that only they see. For everybody it is also where old software looks, which is for all
//! to see; but a server that shows the one as the other (Prosody does) is not told twice. Each step waits in the queue for
//! a session that takes it, and the next one is decided with its answer.

use jid::BareJid;
use minidom::Element;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use whimbrel_proto::{ns, pubsub, vcard::Card, write::Tag};

use crate::{
    account::{Account, Cx},
    api::{Audience, Error, KnownCard, NodeOptions, Reply, RequestId},
    error::Result,
    iq::{self, Pending, refused},
    outbox::Kind,
    pubsub::{Publish, Reason},
};

/// Cards that are kept, beside our own.
const MAX: i64 = 500;
/// The only item of a node of cards.
const ITEM: &str = "current";

/// What was asked about a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Somebody's, for the app.
    Theirs { of: String },
    /// Likewise, where old software has it.
    TheirsBefore { of: String },
    /// Our own, which is to be changed.
    Ours { audience: Audience },
    /// Likewise, where old software has it.
    OursBefore,
    /// To have this there.
    Write,
}

impl Question {
    pub(crate) fn is_about_ours(&self) -> bool {
        !matches!(self, Self::Theirs { .. } | Self::TheirsBefore { .. })
    }
}

/// What servers say of a card that nobody has made (XEP-0054 §3.1, XEP-0060 §6.5.9), or of a kind that they do not have.
const NONE: [&str; 3] = ["item-not-found", "service-unavailable", "feature-not-implemented"];

impl Account {
    /// The app wants to see somebody's card. It waits for the answer.
    pub(crate) fn card(&mut self, cx: &mut Cx<'_>, request: RequestId, of: &BareJid) -> Result<()> {
        if self.online().is_none() {
            cx.reply(request, Err(Error::Offline));
            return Ok(());
        }
        let question = Question::Theirs { of: of.to_string() };
        let asked = self.ask(cx, &Pending::Card(question), "get", Some(of.as_str()), newest())?;
        self.waiting.asked.insert(asked, request);
        Ok(())
    }

    /// Our own card is to be this.
    pub(crate) fn set_card(
        &mut self,
        cx: &mut Cx<'_>,
        card: &Card,
        audience: Audience,
    ) -> Result<std::result::Result<Reply, Error>> {
        if let Err(what) = card.check() {
            return Ok(Err(Error::InvalidInput { what: what.into() }));
        }
        let own = self.jid.clone();
        keep(cx, &own, card)?;
        self.forget_other_card(cx)?;
        self.ask_ours(cx, Question::Ours { audience })?;
        Ok(Ok(Reply::Done))
    }

    /// A step was not answered: what is there is asked anew, since nobody knows whether it arrived.
    pub(crate) fn card_step_again(&mut self, cx: &mut Cx<'_>, step: Pending) -> Result<()> {
        match step {
            Pending::Later(step) => self.card_step_again(cx, *step),
            Pending::Card(Question::Write | Question::OursBefore) => self.ask_ours(cx, Question::OursBefore),
            Pending::Card(question) => self.ask_ours(cx, question),
            Pending::Node(question) => match question.of_our_card() {
                Some(audience) => self.ask_ours(cx, Question::Ours { audience }),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// There is another one now, perhaps for fewer people: nothing follows from what is answered about the one before.
    fn forget_other_card(&self, cx: &Cx<'_>) -> Result<()> {
        steps(cx)?.iter().try_for_each(|iq| iq::withdraw(cx, iq))
    }

    fn ask_ours(&mut self, cx: &mut Cx<'_>, question: Question) -> Result<()> {
        let payload = match question {
            Question::OursBefore => Tag::with_ns("vCard", ns::VCARD),
            _ => newest(),
        };
        self.ask_as(cx, Kind::Note, &Pending::Card(question), "get", None, payload).map(drop)
    }

    pub(crate) fn card_answered(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        question: Question,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let request = self.waiting.asked.remove(id);
        match question {
            Question::Theirs { of } => {
                let found = answer.ok().and_then(|answer| new(answer).and_then(Card::read));
                let Some(card) = found else {
                    // There is none, or they do not show it to us.
                    let payload = Tag::with_ns("vCard", ns::VCARD);
                    let question = Question::TheirsBefore { of: of.clone() };
                    let asked = self.ask(cx, &Pending::Card(question), "get", Some(&of), payload)?;
                    self.waiting.asked.extend(request.map(|request| (asked, request)));
                    return Ok(());
                };
                came(cx, request, &of, card)
            }
            Question::TheirsBefore { of } => match answer {
                Ok(answer) => came(cx, request, &of, old(answer).and_then(Card::read).unwrap_or_default()),
                // XEP-0054 §3.1: of whoever has none.
                Err("item-not-found" | "service-unavailable") => came(cx, request, &of, Card::default()),
                Err(condition) => {
                    if let Some(request) = request {
                        let error = refused(cx, condition);
                        cx.reply(request, Err(error));
                    }
                    Ok(())
                }
            },
            // Too large to be changed and to lose nothing of it: that was told.
            Question::Ours { .. } | Question::OursBefore if answer == Err("resource-constraint") => Ok(()),
            // Nor behind any other error than what servers say of a card that is not there. It stays here, and is said with the next.
            Question::Ours { .. } | Question::OursBefore
                if answer.is_err_and(|condition| !NONE.contains(&condition)) =>
            {
                Ok(())
            }
            Question::Ours { audience } => {
                let Some(KnownCard { card, .. }) = known(cx.tx, &self.jid)? else { return Ok(()) };
                let access = match audience {
                    Audience::Contacts => "presence",
                    Audience::Everybody => "open",
                };
                let publish = Publish {
                    owner: None,
                    node: ns::VCARD4_NODE.to_owned(),
                    id: Some(ITEM.to_owned()),
                    payload: card.write(answer.ok().and_then(new)).finish(),
                    options: NodeOptions::default()
                        .with("access_model", access)
                        .with("persist_items", "true"),
                    reason: Reason::Card(audience),
                };
                match self.publish(cx, publish)? {
                    Ok(_) => Ok(()),
                    Err(_) => self.card_was_published(cx, audience),
                }
            }
            Question::OursBefore => {
                let Some(KnownCard { card, .. }) = known(cx.tx, &self.jid)? else { return Ok(()) };
                let before = answer.ok().and_then(old);
                if before.and_then(Card::read).unwrap_or_default().says_the_same(&card) {
                    return Ok(());
                }
                let payload = card.write_before(before);
                self.ask_as(cx, Kind::Note, &Pending::Card(Question::Write), "set", None, payload).map(drop)
            }
            Question::Write => Ok(()),
        }
    }

    /// The server has it in its node, or has no such node for us.
    pub(crate) fn card_was_published(&mut self, cx: &mut Cx<'_>, audience: Audience) -> Result<()> {
        match audience {
            Audience::Everybody => self.ask_ours(cx, Question::OursBefore),
            Audience::Contacts => Ok(()),
        }
    }
}

/// The questions by which our own card is on its way.
fn steps(cx: &Cx<'_>) -> Result<Vec<String>> {
    let mut statement = cx.tx.prepare_cached("SELECT iq, what FROM pending")?;
    let mut rows = statement.query([])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        if serde_json::from_str::<Pending>(&row.get::<_, String>(1)?)?.is_about_our_card() {
            steps.push(row.get(0)?);
        }
    }
    Ok(steps)
}

fn newest() -> Tag {
    pubsub::pubsub(pubsub::about("items", ns::VCARD4_NODE).attr("max_items", "1"))
}

fn new(answer: &Element) -> Option<&Element> {
    let items = answer.get_child("pubsub", ns::PUBSUB)?.get_child("items", ns::PUBSUB)?;
    items.children().last()?.get_child("vcard", ns::VCARD4)
}

fn old(answer: &Element) -> Option<&Element> {
    answer.get_child("vCard", ns::VCARD)
}

fn came(cx: &mut Cx<'_>, request: Option<RequestId>, of: &str, card: Card) -> Result<()> {
    if let Some(of) = crate::iq::bare(Some(of)) {
        // What its user has set since is on its way, and newer.
        let own: String = cx.tx.query_row("SELECT jid FROM account", [], |row| row.get(0))?;
        let is_set = of.as_str() == own && !steps(cx)?.is_empty();
        if !is_set {
            keep(cx, &of, &card)?;
        }
    }
    if let Some(request) = request {
        cx.reply(request, Ok(Reply::Card(Box::new(card))));
    }
    Ok(())
}

fn keep(cx: &Cx<'_>, of: &BareJid, card: &Card) -> Result<()> {
    cx.tx.execute(
        "INSERT OR REPLACE INTO card (jid, card, read_at) VALUES (?1, ?2, ?3)",
        params![of.as_str(), serde_json::to_string(card)?, cx.now.wall],
    )?;
    cx.tx.execute(
        "DELETE FROM card WHERE jid IN (SELECT jid FROM card WHERE jid <> (SELECT jid FROM account) ORDER BY read_at DESC, jid = ?1 DESC LIMIT -1 OFFSET ?2)",
        params![of.as_str(), MAX],
    )?;
    Ok(())
}

/// Somebody's card as it was when it was last read, or our own as it was last set.
///
/// # Errors
/// Where the world failed.
pub fn known(connection: &Connection, of: &BareJid) -> Result<Option<KnownCard>> {
    let found: Option<(String, i64)> = connection
        .prepare_cached("SELECT card, read_at FROM card WHERE jid = ?1")?
        .query_row(params![of.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    // A damaged file may say anything.
    Ok(found.and_then(|(card, read_at)| Some(KnownCard { card: serde_json::from_str(&card).ok()?, read_at })))
}
