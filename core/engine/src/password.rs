//! Another password (XEP-0077 §3.3), and the account's end on its server (§3.2).
//!
//! A kill between the server's answer and our commit must lock nobody out. So the new password is in the file before the server
//! is told of it, and the old one stays until it is known which of them counts: a login tries the new one, and then the old
//! one. The question is kept until it is answered, over sessions and kills; asked twice, it is answered the same. A token
//! (XEP-0484) says nothing about either; one that the server drops with the old password is got anew by the next login.

use rusqlite::params;
use whimbrel_proto::{ns, write::Tag};

use crate::{
    account::{Account, Cx},
    api::{Error, Event, PasswordChange, Reply, RequestId},
    effect::Effect,
    error::Result,
    iq::{NO_ANSWER, Pending, refused},
    outbox::Kind,
    session::Again,
};

/// Longest password, in bytes.
const MAX: usize = 1_024;

impl Account {
    pub(crate) fn change_password(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        password: &str,
    ) -> Result<()> {
        let invalid = |what: &str| Err(Error::InvalidInput { what: what.into() });
        let refusal = match &self.new_password {
            _ if password.is_empty() => invalid("the password is empty"),
            _ if password.len() > MAX => invalid("the password is too long"),
            _ if !password.chars().all(whimbrel_proto::write::is_allowed) => {
                invalid("the password has a character that cannot be sent")
            }
            Some(new) if new != password => invalid("another change of the password is under way"),
            _ if self.online().is_none() => Err(Error::Offline),
            known => Ok(known.is_some()),
        };
        match refusal {
            Err(error) => {
                cx.reply(request, Err(error));
                return Ok(());
            }
            // The caller was cut off before it had the answer, and asks again.
            Ok(true) => {}
            Ok(false) => {
                self.keep_new_password(cx, Some(password))?;
                self.say_password(cx, password)?;
            }
        }
        self.waiting.password.push(request);
        Ok(())
    }

    fn say_password(&mut self, cx: &mut Cx<'_>, password: &str) -> Result<()> {
        let name = self.jid.node().map(|node| node.to_string()).unwrap_or_default();
        let query = Tag::with_ns("query", ns::REGISTER)
            .child(Tag::new("username").text(name))
            .child(Tag::new("password").text(password));
        let server = self.jid.domain().to_string();
        let pending = Pending::Password { password: password.to_owned() };
        self.ask_as(cx, Kind::Note, &pending, "set", Some(&server), query).map(drop)
    }

    fn keep_new_password(&mut self, cx: &Cx<'_>, password: Option<&str>) -> Result<()> {
        self.new_password = password.map(str::to_owned);
        cx.tx.execute("UPDATE account SET new_password = ?1", params![password])?;
        Ok(())
    }

    pub(crate) fn password_answered(
        &mut self,
        cx: &mut Cx<'_>,
        password: &str,
        answer: std::result::Result<(), &str>,
    ) -> Result<()> {
        if self.new_password.as_deref() != Some(password) {
            // It was known before, or is not wanted any more.
            return Ok(());
        }
        match answer {
            Ok(()) => self.password_is_new(cx, password),
            Err(NO_ANSWER) => {
                self.reply_password(cx, &Err(Error::TimedOut));
                self.say_password(cx, password)
            }
            Err(condition) => {
                self.keep_new_password(cx, None)?;
                let error = refused(cx, condition);
                cx.event(Event::Password(PasswordChange::Refused { condition: condition.to_owned() }));
                self.reply_password(cx, &Err(error));
                Ok(())
            }
        }
    }

    fn password_is_new(&mut self, cx: &mut Cx<'_>, new: &str) -> Result<()> {
        self.keep_password(cx, new)?;
        self.keep_new_password(cx, None)?;
        self.withdraw_question(cx)?;
        cx.event(Event::Password(PasswordChange::Done));
        self.reply_password(cx, &Ok(Reply::Done));
        Ok(())
    }

    /// Its user says which one counts. A change that was under way is over, and so is the session that may still ask for it.
    pub(crate) fn password_was_given(&mut self, cx: &mut Cx<'_>, password: &str) -> Result<()> {
        if self.new_password.is_some() && self.online().is_none() {
            self.keep_new_password(cx, None)?;
            self.forget_session();
        }
        self.keep_password(cx, password)
    }

    fn keep_password(&mut self, cx: &Cx<'_>, password: &str) -> Result<()> {
        self.password = Some(password.to_owned());
        cx.tx.execute("UPDATE account SET password = ?1", params![password])?;
        Ok(())
    }

    /// What has a number is counted, and cannot be.
    fn withdraw_question(&self, cx: &Cx<'_>) -> Result<()> {
        cx.tx.execute(
            "DELETE FROM outbox WHERE number IS NULL AND name IN (SELECT iq FROM pending WHERE json_type(what, '$.Password') IS NOT NULL)",
            [],
        )?;
        Ok(())
    }

    fn reply_password(&mut self, cx: &mut Cx<'_>, answer: &std::result::Result<Reply, Error>) {
        for request in std::mem::take(&mut self.waiting.password) {
            cx.reply(request, answer.clone());
        }
    }

    /// What to log in with.
    pub(crate) fn password_to_try(&self) -> Option<String> {
        self.new_password.clone().filter(|_| !self.try_old_password).or_else(|| self.password.clone())
    }

    /// A login has failed for its password. Whether the other one is tried at once.
    pub(crate) fn tries_old_password(&mut self) -> bool {
        self.try_old_password = self.new_password.is_some() && !self.try_old_password;
        self.try_old_password
    }

    /// A login went well; `by_token`: without any password.
    pub(crate) fn logged_in_with(&mut self, cx: &mut Cx<'_>, by_token: bool) -> Result<()> {
        let was_old = std::mem::take(&mut self.try_old_password);
        let Some(new) = self.new_password.clone() else { return self.withdraw_question(cx) };
        if !by_token && !was_old {
            return self.password_is_new(cx, &new);
        }
        // The server was not told yet, or its answer went with the session that it was for.
        let asked: bool = cx.tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM pending WHERE json_type(what, '$.Password') IS NOT NULL)",
            [],
            |row| row.get(0),
        )?;
        if asked { Ok(()) } else { self.say_password(cx, &new) }
    }

    pub(crate) fn unregister(&mut self, cx: &mut Cx<'_>, request: RequestId) -> Result<()> {
        if self.online().is_none() {
            cx.reply(request, Err(Error::Offline));
            return Ok(());
        }
        let query = Tag::with_ns("query", ns::REGISTER).child(Tag::new("remove"));
        let id = self.ask(cx, &Pending::Unregister, "set", None, query)?;
        self.waiting.asked.insert(id, request);
        Ok(())
    }

    pub(crate) fn unregistered(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        answer: std::result::Result<(), &str>,
    ) -> Result<()> {
        let request = self.waiting.asked.remove(id);
        let answer = match answer {
            Ok(()) => {
                // There is nothing to come back to.
                (self.wanted, self.barred) = (false, false);
                self.forget_session();
                if let Some(link) = self.current_link() {
                    cx.out.push(Effect::Close { link });
                    self.went_offline(cx, None, "the account was deleted".into(), Again::Never);
                }
                Ok(Reply::Done)
            }
            Err(condition) => Err(refused(cx, condition)),
        };
        if let Some(request) = request {
            cx.reply(request, answer);
        }
        Ok(())
    }
}
