//! Links that make friends (XEP-0379, 0401): one shows a token, and is accepted without anybody being asked.
//!
//! A server that makes such links (`urn:xmpp:invite#invite`) makes ours, since it answers while we are away and may let whoever
//! is invited register with it. Otherwise we make one: a token of 122 random bits that counts once, until it has run out. Whoever
//! shows a token that is not ours, or not any more, is a stranger who asks. Who invited us is accepted in turn; a server that can
//! be told so beforehand is told (RFC 6121 §3.4), and we remember it besides.

use jid::BareJid;
use minidom::Element;
use rusqlite::params;
use serde::{Deserialize, Serialize};
use whimbrel_proto::{
    adhoc::{self, CommandAction},
    form, ns, stamp,
    uri::{Query, Uri},
    write::Tag,
};

use crate::{
    account::{Account, Cx},
    api::{Error, Invitation, Reply, RequestId},
    error::Result,
    iq::{Pending, refused},
    outbox::Kind,
};

/// Tokens of ours that count, and people who invited us. The one that runs out first goes first.
const MANY: i64 = 200;
/// How long who invited us is accepted, in ms.
const EXPECTED: i64 = 30 * 86_400_000;
/// Longest token, in bytes.
const LONG: usize = 1_024;

/// What was asked of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Asked {
    /// To make a contact. Where it does not know how, we do.
    Contact { name: Option<String>, until: i64 },
    /// To make an account, for somebody of this name.
    Account { username: Option<String>, filled_in: bool },
}

impl Asked {
    fn node(&self) -> &'static str {
        match self {
            Self::Contact { .. } => "urn:xmpp:invite#invite",
            Self::Account { .. } => "urn:xmpp:invite#create-account",
        }
    }
}

impl Account {
    /// A link for a new contact. `valid_for` is in ms.
    pub(crate) fn invite(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        name: Option<&str>,
        valid_for: u64,
    ) -> Result<()> {
        let until = cx.now.wall.saturating_add_unsigned(valid_for);
        let asked = Asked::Contact { name: name.map(str::to_owned), until };
        if self.online().is_some() {
            return self.ask_for_invitation(cx, Some(request), asked, None);
        }
        let invitation = self.own_invitation(cx, name, until)?;
        cx.reply(request, Ok(Reply::Invitation(invitation)));
        Ok(())
    }

    /// A link for a new account on our server.
    pub(crate) fn invite_to_server(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        username: Option<&str>,
    ) -> Result<()> {
        if self.online().is_none() {
            cx.reply(request, Err(Error::Offline));
            return Ok(());
        }
        let asked = Asked::Account { username: username.map(str::to_owned), filled_in: false };
        self.ask_for_invitation(cx, Some(request), asked, None)
    }

    /// XEP-0050. `form`: the session, and what is filled in.
    fn ask_for_invitation(
        &mut self,
        cx: &mut Cx<'_>,
        request: Option<RequestId>,
        asked: Asked,
        form: Option<(Option<&str>, Tag)>,
    ) -> Result<()> {
        let command = match form {
            Some((session, form)) => {
                adhoc::command(asked.node(), CommandAction::Complete, session, Some(form))
            }
            None => adhoc::command(asked.node(), CommandAction::Execute, None, None),
        };
        let server = self.jid.domain().to_string();
        let id = self.ask(cx, &Pending::Invitation(asked), "set", Some(&server), command)?;
        request.map(|request| self.waiting.asked.insert(id, request));
        Ok(())
    }

    pub(crate) fn invitation_told(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        asked: Asked,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let request = self.waiting.asked.remove(id);
        let command = answer.ok().and_then(|iq| iq.get_child("command", ns::COMMANDS));
        let made = command.and_then(read);
        let reply = match (made, asked) {
            (Some(invitation), asked) => {
                if let (Asked::Contact { until, .. }, Some(token)) = (&asked, token(&invitation.uri)) {
                    // A server that only makes them leaves accepting to us.
                    self.keep_token(cx, &token, invitation.expires.unwrap_or(*until))?;
                }
                Ok(Reply::Invitation(invitation))
            }
            (None, Asked::Contact { name, until }) => {
                Ok(Reply::Invitation(self.own_invitation(cx, name.as_deref(), until)?))
            }
            (None, Asked::Account { username, filled_in: false })
                if command.is_some_and(|command| command.attr("status") == Some("executing")) =>
            {
                let command = command.expect("it is executing");
                let asked = Asked::Account { username: username.clone(), filled_in: true };
                let kind = form::fields(command).find(|(var, _)| *var == "FORM_TYPE").map(|(_, kind)| kind);
                let fields = form::fields(command).filter(|(var, _)| *var != "FORM_TYPE");
                let filled = fields.map(|(var, value)| match var {
                    "username" => (var, username.clone().unwrap_or(value)),
                    "roster-subscription" => (var, "true".to_owned()),
                    var => (var, value),
                });
                let form = form::submit(kind.as_deref().unwrap_or(asked.node()), filled);
                return self.ask_for_invitation(cx, request, asked, Some((command.attr("sessionid"), form)));
            }
            (None, Asked::Account { .. }) => Err(match answer {
                Err(condition) => refused(cx, condition),
                Ok(_) => Error::ServerRefused { condition: "nonsense".into(), text: None },
            }),
        };
        if let Some(request) = request {
            cx.reply(request, reply);
        }
        Ok(())
    }

    fn own_invitation(&mut self, cx: &mut Cx<'_>, name: Option<&str>, until: i64) -> Result<Invitation> {
        let token = cx.id().replace('-', "");
        self.keep_token(cx, &token, until)?;
        let mut parameters = vec![("preauth".to_owned(), token)];
        parameters.extend(name.map(|name| ("name".to_owned(), name.to_owned())));
        let query = Some(Query { name: "roster".into(), parameters });
        let uri = Uri { query, ..Uri::to(self.jid.clone()) }.to_string();
        Ok(Invitation { uri, landing_page: None, expires: Some(until), registers: false })
    }

    fn keep_token(&self, cx: &Cx<'_>, token: &str, until: i64) -> Result<()> {
        forget_what_ran_out(cx)?;
        cx.tx.execute(
            "INSERT OR REPLACE INTO invitation (token, until) VALUES (?1, ?2)",
            params![token, until],
        )?;
        cx.tx.execute(
            "DELETE FROM invitation WHERE token IN (SELECT token FROM invitation ORDER BY until DESC LIMIT -1 OFFSET ?1)",
            params![MANY],
        )?;
        Ok(())
    }

    /// Somebody has invited us: adds them, shows their token, and expects that they ask in turn.
    pub(crate) fn add_inviter(
        &mut self,
        cx: &mut Cx<'_>,
        jid: &BareJid,
        name: Option<&str>,
        token: &str,
    ) -> Result<std::result::Result<Reply, Error>> {
        if token.is_empty() || token.len() > LONG {
            return Ok(Err(Error::InvalidInput { what: "this cannot be a token".into() }));
        }
        forget_what_ran_out(cx)?;
        cx.tx.execute(
            "INSERT INTO expected (jid, until) SELECT ?1, ?2 WHERE (SELECT count(*) FROM expected) < ?3
             ON CONFLICT (jid) DO UPDATE SET until = ?2",
            params![jid.as_str(), cx.now.wall.saturating_add(EXPECTED), MANY],
        )?;
        let (known, groups) = self.name_and_groups(cx, jid)?;
        self.edit_contact(cx, jid, name.or(known.as_deref()), &groups)?;
        let preauth = Tag::with_ns("preauth", ns::PREAUTH).attr("token", token);
        let subscribe =
            Tag::new("presence").attr("to", jid.as_str()).attr("type", "subscribe").child(preauth);
        self.enqueue(cx, Kind::Note, jid.as_str(), None, &subscribe.into_bytes())?;
        if self.login.pre_approval {
            self.answer_subscription(cx, jid, "subscribed")?;
        }
        Ok(Ok(Reply::Done))
    }

    /// Somebody asks to see our presence. Whether they need not be asked about: then they are accepted, and asked in turn.
    pub(crate) fn accepts_invited(
        &mut self,
        cx: &mut Cx<'_>,
        from: &BareJid,
        presence: &Element,
    ) -> Result<bool> {
        let token = presence.get_child("preauth", ns::PREAUTH).and_then(|preauth| preauth.attr("token"));
        forget_what_ran_out(cx)?;
        let expected = cx.tx.execute("DELETE FROM expected WHERE jid = ?1", params![from.as_str()])?;
        let shown = match token {
            Some(token) => cx.tx.execute("DELETE FROM invitation WHERE token = ?1", params![token])?,
            None => 0,
        };
        if expected + shown == 0 {
            return Ok(false);
        }
        self.answer_subscription(cx, from, "subscribed")?;
        if shown > 0 {
            let (name, _) = self.name_and_groups(cx, from)?;
            self.add_contact(cx, from, name.as_deref())?;
        }
        Ok(true)
    }
}

fn forget_what_ran_out(cx: &Cx<'_>) -> Result<()> {
    cx.tx.execute("DELETE FROM invitation WHERE until < ?1", params![cx.now.wall])?;
    cx.tx.execute("DELETE FROM expected WHERE until < ?1", params![cx.now.wall])?;
    Ok(())
}

/// What a server has made.
fn read(command: &Element) -> Option<Invitation> {
    let field = |name: &str| {
        let value =
            form::fields(command).find(|(var, _)| *var == name).map(|(_, value)| value.trim().to_owned());
        value.filter(|value| !value.is_empty())
    };
    let uri = field("uri")?;
    let registers = match uri.parse::<Uri>().ok()?.action() {
        Some(whimbrel_proto::uri::Action::Roster { registers, .. }) => registers,
        Some(whimbrel_proto::uri::Action::Register { .. }) => true,
        _ => false,
    };
    let landing_page = field("landing-url").filter(|url| url.starts_with("https://"));
    Some(Invitation {
        uri,
        landing_page,
        expires: field("expire").as_deref().and_then(stamp::parse),
        registers,
    })
}

fn token(uri: &str) -> Option<String> {
    let uri: Uri = uri.parse().ok()?;
    uri.query?.parameter("preauth").filter(|token| token.len() <= LONG).map(str::to_owned)
}
