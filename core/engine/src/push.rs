//! Waking a phone that hangs up (XEP-0357): which app server our server is to tell that something came.
//!
//! A registration is a row until the server was told to forget it. What was said in this session is a column: a resumption says
//! nothing, a fresh bind says it again (STREAM 11), and what nobody answers is said again in a while. Another address or node
//! replaces the old one, which is withdrawn in any session to come; another secret is said under the same name. Nothing is said to a
//! server that does not offer it.

use jid::Jid;
use rusqlite::{Connection, OptionalExtension as _, params};
use whimbrel_proto::{form, ns, write::Tag};

use crate::{
    account::{Account, Cx},
    api::{Event, Push, PushState},
    effect::Effect,
    error::{Error, Result},
    iq::Pending,
};

/// A registration that the server has, or is to have, or is to forget.
struct Registration {
    push: Push,
    wanted: bool,
}

impl Account {
    /// What the app wants from now on.
    pub(crate) fn set_push(&mut self, cx: &mut Cx<'_>, push: Option<&Push>) -> Result<()> {
        let wanted = wanted(cx.tx)?;
        if wanted.as_ref() == push {
            // What was refused or not answered is said again.
            let again = cx.tx.execute(
                "UPDATE push SET said = 0, refused = NULL WHERE wanted = 1 AND (refused IS NOT NULL OR said = 1
                 AND NOT EXISTS (SELECT 1 FROM pending WHERE json_extract(what, '$.Push.node') = node))",
                [],
            )?;
            if again == 0 {
                return Ok(());
            }
        } else {
            cx.tx.execute("DELETE FROM push WHERE told = 0", [])?;
            cx.tx.execute("UPDATE push SET wanted = 0, said = 0 WHERE wanted = 1", [])?;
            if let Some(push) = push {
                cx.tx.execute(
                    "INSERT INTO push (service, node, secret, wanted) VALUES (?1, ?2, ?3, 1)
                     ON CONFLICT (service, node) DO UPDATE SET secret = ?3, wanted = 1, said = 0, refused = NULL",
                    params![push.service.as_str(), push.node, push.secret],
                )?;
            }
        }
        self.say_push(cx)?;
        let state = state(cx.tx, self.login.push)?;
        cx.event(Event::Push(state));
        Ok(())
    }

    /// Tells the server what it was not told in this session.
    pub(crate) fn say_push(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.online().is_none() || self.login.push != Some(true) {
            return Ok(());
        }
        for registration in rows(cx.tx, "said = 0 ORDER BY wanted")? {
            let Registration { push, wanted } = registration;
            let (service, node) = (push.service.to_string(), push.node.clone());
            let pending = Pending::Push { service, node, on: wanted };
            let payload = if wanted { enable(&push) } else { disable(&push) };
            self.ask(cx, &pending, "set", None, payload)?;
            cx.tx.execute(
                "UPDATE push SET said = 1, told = 1 WHERE service = ?1 AND node = ?2",
                params![push.service.as_str(), push.node],
            )?;
        }
        Ok(())
    }

    /// Nobody has answered this, and it is time to say it again.
    pub(crate) fn say_push_again(&mut self, cx: &mut Cx<'_>, service: &str, node: &str) -> Result<()> {
        // The app may have said it again by itself.
        cx.tx.execute(
            "UPDATE push SET said = 0 WHERE service = ?1 AND node = ?2 AND said = 1
             AND NOT EXISTS (SELECT 1 FROM pending WHERE json_extract(what, '$.Push.node') = node)",
            params![service, node],
        )?;
        self.say_push(cx)
    }

    /// The server was asked what the account can do.
    pub(crate) fn push_is_offered(&mut self, cx: &mut Cx<'_>, offered: bool) -> Result<()> {
        if self.login.push != Some(offered) {
            self.login.push = Some(offered);
            self.save_login(cx)?;
        }
        if offered {
            return self.say_push(cx);
        }
        // Whoever does not know of it has forgotten what it knew.
        cx.tx.execute("DELETE FROM push WHERE wanted = 0", [])?;
        if wanted(cx.tx)?.is_some() {
            cx.event(Event::Push(PushState::Unsupported));
        }
        Ok(())
    }

    /// The server's answer. `condition`: why not.
    pub(crate) fn push_answered(
        &mut self,
        cx: &mut Cx<'_>,
        (service, node, on): (&str, &str, bool),
        condition: Option<&str>,
    ) -> Result<()> {
        // Something else may be wanted by now, and under way; then nothing is found here.
        let row = "service = ?1 AND node = ?2 AND wanted = ?3 AND said = 1";
        let changed = match (on, condition) {
            (true, condition) => cx.tx.execute(
                &format!("UPDATE push SET said = 2, refused = ?4 WHERE {row}"),
                params![service, node, on, condition],
            )?,
            (false, _) => {
                cx.tx.execute(&format!("DELETE FROM push WHERE {row}"), params![service, node, on])?;
                usize::from(wanted(cx.tx)?.is_none())
            }
        };
        if changed == 0 {
            return Ok(());
        }
        let state = state(cx.tx, self.login.push)?;
        cx.event(Event::Push(state));
        Ok(())
    }

    /// A new session: nothing was said in it.
    pub(crate) fn push_begins_anew(&self, cx: &Cx<'_>) -> Result<()> {
        cx.tx.execute("UPDATE push SET said = 0, refused = NULL WHERE said > 0", [])?;
        Ok(())
    }

    /// Signing out: the last words on the stream, or the honest news that nobody hears them. What is wanted stays: whoever
    /// connects again is registered again.
    pub(crate) fn withdraw_push(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let link = self.online().map(|online| online.link);
        for Registration { push, .. } in rows(cx.tx, "told = 1")? {
            match link {
                Some(link) => {
                    let id = cx.id();
                    let iq = Tag::new("iq").attr("type", "set").attr("id", id).child(disable(&push));
                    let bytes = iq.into_bytes();
                    if self.config.raw {
                        let xml = String::from_utf8_lossy(&bytes).into_owned();
                        cx.event(Event::Raw { outgoing: true, xml });
                    }
                    cx.out.push(Effect::Send { link, bytes });
                }
                None => cx.event(Event::Push(PushState::LeftBehind(push))),
            }
        }
        if link.is_some() {
            // Nobody answers that any more. If it was lost, a session to come says it again.
            cx.tx.execute("UPDATE push SET told = 2, said = 0, refused = NULL WHERE told = 1", [])?;
        }
        Ok(())
    }
}

/// How far the registration is that the app wants.
///
/// # Errors
/// Where the world failed.
pub fn current(connection: &Connection) -> Result<PushState> {
    let offered = connection.query_row("SELECT push FROM login", [], |row| row.get(0))?;
    state(connection, offered)
}

fn state(connection: &Connection, offered: Option<bool>) -> Result<PushState> {
    let row: Option<(i64, Option<String>)> = connection
        .query_row("SELECT said, refused FROM push WHERE wanted = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match row {
        None => PushState::Off,
        Some(_) if offered == Some(false) => PushState::Unsupported,
        Some((_, Some(condition))) => PushState::Refused { condition },
        Some((2, None)) => PushState::On,
        Some(_) => PushState::Waiting,
    })
}

fn wanted(connection: &Connection) -> Result<Option<Push>> {
    Ok(rows(connection, "wanted = 1")?.pop().map(|registration| registration.push))
}

fn rows(connection: &Connection, which: &str) -> Result<Vec<Registration>> {
    let sql = format!("SELECT service, node, secret, wanted FROM push WHERE {which}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let service: String = row.get(0)?;
        let service = Jid::new(&service).map_err(|_| Error::bug("the app server's address"))?;
        let push = Push { service, node: row.get(1)?, secret: row.get(2)? };
        found.push(Registration { push, wanted: row.get(3)? });
    }
    Ok(found)
}

/// XEP-0357 §5.
fn enable(push: &Push) -> Tag {
    let options = push.secret.as_ref().map(|secret| form::submit(ns::PUBLISH_OPTIONS, [("secret", secret)]));
    named("enable", push).child_opt(options)
}

/// XEP-0357 §6.
fn disable(push: &Push) -> Tag {
    named("disable", push)
}

fn named(name: &'static str, push: &Push) -> Tag {
    Tag::with_ns(name, ns::PUSH).attr("jid", push.service.as_str()).attr("node", &push.node)
}
