//! How we are there, as others see it: how much, and what we say of it (RFC 6121 §4.7.2).
//!
//! The user decides. It is one setting of the account on this device, and stays in its file. Every new session says it with the
//! presence that it begins with; one that is resumed knows it. A change is said once: at once, with the next connection, or in the
//! place of a presence that waits to be said.
//!
//! Since when nobody looks (XEP-0319) is shown of contacts and never said of us: everybody would learn how long we hold our phone,
//! and a phone would wake all of theirs whenever it is put away.

use rusqlite::{Connection, params};
use whimbrel_proto::write::{Tag, is_allowed};

use crate::{
    account::{Account, Cx},
    api::{Error, Presence, Reply, Show},
    error::Result,
    mutants::{self, Mutant},
};

/// Longest text that we say of it, in bytes: it goes to every contact, and leads each new session.
const MAX_TEXT: usize = 1_024;
/// How much somebody is there, each as it is said; kept is its place here. What is not known means that they are (§4.7.2.1).
const SHOWS: [(Show, &str); 5] = [
    (Show::Chat, "chat"),
    (Show::Available, ""),
    (Show::Away, "away"),
    (Show::ExtendedAway, "xa"),
    (Show::DoNotDisturb, "dnd"),
];
const AVAILABLE: usize = 1;

impl Account {
    pub(crate) fn set_presence(
        &mut self,
        cx: &mut Cx<'_>,
        show: Show,
        text: Option<&str>,
    ) -> Result<std::result::Result<Reply, Error>> {
        let text = text.filter(|text| !text.is_empty());
        if text.is_some_and(|text| !can_be_said(text)) {
            let what = format!("a text of at most {MAX_TEXT} bytes without control characters is needed");
            return Ok(Err(Error::InvalidInput { what }));
        }
        let changed = cx.tx.execute(
            "UPDATE account SET show = ?1, status = ?2 WHERE (show, status) IS NOT (?1, ?2)",
            params![code(show), text],
        )?;
        let forgotten = self.online().is_none() && mutants::on(Mutant::ShownOfflineNotSaid);
        if changed > 0 && !forgotten {
            self.announce_anew(cx)?;
        }
        Ok(Ok(Reply::Done))
    }
}

/// How we are there, as the user has decided; also where nobody sees it.
///
/// # Errors
/// Where the world failed.
pub fn own(connection: &Connection) -> Result<Presence> {
    Ok(connection
        .prepare_cached("SELECT show, status FROM account")?
        .query_row([], |row| Ok(Presence { show: show(row.get(0)?), text: row.get(1)?, idle_since: None }))?)
}

/// The same as it is said, without what else a presence has.
pub(crate) fn tag(presence: &Presence) -> Tag {
    let show = SHOWS.iter().find(|(show, said)| *show == presence.show && !said.is_empty());
    Tag::new("presence")
        .child_opt(show.map(|(_, said)| Tag::new("show").text(said)))
        .child_opt(presence.text.as_ref().map(|text| Tag::new("status").text(text)))
}

pub(crate) fn can_be_said(text: &str) -> bool {
    text.len() <= MAX_TEXT && text.chars().all(|c| is_allowed(c) && !c.is_control())
}

/// What a presence says, as it is kept.
pub(crate) fn read(said: &str) -> i64 {
    SHOWS.iter().position(|(_, known)| *known == said).unwrap_or(AVAILABLE) as i64
}

pub(crate) fn show(code: i64) -> Show {
    usize::try_from(code).ok().and_then(|code| SHOWS.get(code)).unwrap_or(&SHOWS[AVAILABLE]).0
}

fn code(show: Show) -> i64 {
    SHOWS.iter().position(|(known, _)| *known == show).unwrap_or(AVAILABLE) as i64
}
