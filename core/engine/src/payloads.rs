//! What only the app understands, in messages: moves of a game, readings of an instrument.
//!
//! A payload is a row of `message` that is not shown, as an amendment is: so it is deduplicated, placed, sent, sent again and
//! looked for in the archive as every message is. It has no text, and stands in a namespace that the app has claimed; of strangers
//! none is kept, once it is known who they are. Nobody looks into it.
//!
//! An app is told of each once, and can be killed before it has done anything about it: what counts is the log, in the archive's
//! order. What comes late may stand before what was read of it.

use jid::{BareJid, Jid};
use rusqlite::{Connection, Row, params};
use whimbrel_proto::message::MessageView;

use crate::{
    account::{Account, Cx},
    amendments::{self, Kind, Said},
    api::{ClaimKind, Error, Event, ItemId, Payload, SendState},
    claims,
    commands::one_element,
    error::{Error as Failure, Result},
    messages::{Source, Stored},
    send::{self, Answered, Draft, invalid},
    timeline,
};

/// Largest payload of ours, in bytes. The server's limit counts besides.
const MAX_PAYLOAD: usize = 200 * 1_024;
const COLUMNS: &str =
    "m.id, m.local_id, c.jid, m.sender, m.mine, m.namespace, m.body, m.at, m.state, m.reason";

impl Account {
    /// A message that says nothing to a person.
    pub(crate) fn take_payload(
        &mut self,
        cx: &mut Cx<'_>,
        view: &MessageView<'_>,
        source: Source<'_>,
        from: &Jid,
        peer: &BareJid,
        mine: bool,
    ) -> Result<Stored> {
        let (Some(element), None) = (view.element, view.body.as_ref()) else { return Ok(Stored::Nothing) };
        if !claims::is_any_claimed(cx, ClaimKind::Messages)? || !(mine || self.is_heard(cx, peer)?) {
            return Ok(Stored::Nothing);
        }
        for child in element.children() {
            let namespace = child.ns();
            if claims::is_claimed(cx, &namespace, ClaimKind::Messages)? {
                let (target, body) = (Some(namespace.as_str()), String::from(child).into());
                let said = Said { kind: Kind::Payload, target, body, content: None };
                return self.store(cx, view, source, from, peer, mine, &said);
            }
        }
        Ok(Stored::Nothing)
    }

    /// Whoever may see us; and while the roster has not come yet, anybody: what a friend has written would be lost.
    fn is_heard(&self, cx: &Cx<'_>, peer: &BareJid) -> Result<bool> {
        Ok(self.sees_our_presence(cx, peer)? || self.awaits_roster(cx)?)
    }

    pub(crate) fn send_payload(&mut self, cx: &mut Cx<'_>, id: &ItemId, to: &BareJid, xml: &str) -> Answered {
        let id = match send::identity(id) {
            Ok(id) => id,
            Err(error) => return Ok(Err(error)),
        };
        let element = match one_element(xml) {
            Ok(element) => element,
            Err(what) => return Ok(Err(Error::InvalidInput { what })),
        };
        let (namespace, body) = (element.ns(), String::from(&element));
        if body.len() > MAX_PAYLOAD {
            return Ok(Err(invalid("the payload is too large")));
        }
        if !claims::is_claimed(cx, &namespace, ClaimKind::Messages)? {
            return Ok(Err(invalid("its namespace is not claimed")));
        }
        if send::is_known(cx, &id)? {
            return Ok(Ok(crate::api::Reply::Sent { id }));
        }
        let said = Said { kind: Kind::Payload, target: Some(&namespace), body: body.into(), content: None };
        self.say(cx, &Draft { id: &id, to, said, not_after: None })
    }
}

/// Payloads in a namespace that are exchanged with a contact, in the archive's order, up to `limit` of them, 1 to 500; `after`:
/// those that stand behind this one.
///
/// # Errors
/// [`Error::NotFound`] where there is none of this id; where the world failed.
pub fn payloads(
    connection: &Connection,
    with: &BareJid,
    namespace: &str,
    after: Option<&ItemId>,
    limit: u32,
) -> Result<std::result::Result<Vec<Payload>, Error>> {
    let after = match after {
        None => (i64::MIN, i64::MIN),
        Some(after) => {
            let Some(row) = amendments::row(connection, after)? else { return Ok(Err(Error::NotFound)) };
            let sql = "SELECT position FROM message WHERE id = ?1";
            (connection.prepare_cached(sql)?.query_row(params![row], |found| found.get(0))?, row)
        }
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM message AS m JOIN conversation AS c ON c.id = m.conversation
         WHERE m.namespace = ?1 AND m.conversation = (SELECT id FROM conversation WHERE jid = ?2)
         AND (m.position, m.id) > (?3, ?4) ORDER BY m.position, m.id LIMIT ?5"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows =
        statement.query(params![namespace, with.as_str(), after.0, after.1, limit.clamp(1, 500)])?;
    let mut payloads = Vec::new();
    while let Some(row) = rows.next()? {
        payloads.push(read(row)?);
    }
    Ok(Ok(payloads))
}

/// A payload is new here.
pub(crate) fn told(cx: &mut Cx<'_>, message: i64) -> Result<()> {
    if let Some(payload) = one(cx.tx, message)? {
        cx.event(Event::Payload(payload));
    }
    Ok(())
}

/// A row of ours that is not shown came further.
pub(crate) fn came_further(cx: &mut Cx<'_>, message: i64, state: &SendState) -> Result<()> {
    if let Some(Payload { id, with, .. }) = one(cx.tx, message)? {
        cx.event(Event::State { id, with, state: state.clone() });
    }
    Ok(())
}

fn one(connection: &Connection, message: i64) -> Result<Option<Payload>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message AS m JOIN conversation AS c ON c.id = m.conversation
         WHERE m.id = ?1 AND m.namespace IS NOT NULL"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![message])?;
    rows.next()?.map(read).transpose()
}

fn read(row: &Row<'_>) -> Result<Payload> {
    let address = |_| Failure::bug("an address in the archive");
    let (number, mine): (i64, bool) = (row.get(0)?, row.get(4)?);
    Ok(Payload {
        id: ItemId(row.get::<_, Option<String>>(1)?.unwrap_or_else(|| number.to_string())),
        with: BareJid::new(&row.get::<_, String>(2)?).map_err(address)?,
        from: Jid::new(&row.get::<_, String>(3)?).map_err(address)?,
        mine,
        namespace: row.get(5)?,
        xml: row.get(6)?,
        at: row.get(7)?,
        state: timeline::state(row.get(8)?, row.get(9)?).filter(|_| mine),
    })
}
