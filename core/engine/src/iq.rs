//! Questions and answers (RFC 6120 §8.2.3): what we asked is a row, what we are asked is answered.
//!
//! An answer counts only from whom the question went to; with a guessed id from anybody else, the question still waits.
//! Requests that we do not know get `service-unavailable`, as RFC 6120 §8.4 demands.

use jid::BareJid;
use minidom::Element;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use whimbrel_proto::{address, deadlines::Deadlines, ns, write::Tag};

use crate::{
    account::{Account, Archive, Cx},
    api::{self, ClaimKind, Event, ServerInfo},
    card,
    catch_up::Query,
    claims,
    error::Result,
    input::{Drained, Now},
    invitation::Asked,
    mutants::{self, Mutant},
    outbox::Kind,
    presence,
    pubsub::{self, Publish, Question},
    roster, services,
};

/// What an answer is for. Never a closure: it survives the process.
#[allow(clippy::large_enum_variant, reason = "it lives between a row and a call")]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Pending {
    Roster,
    /// All of it once more, whatever version we have.
    RosterAgain,
    /// Somebody is to be in it, called this and in these groups, or not to be.
    Contact {
        jid: String,
        to_be: Option<(Option<String>, Vec<String>)>,
    },
    AccountInfo,
    ArchivePrefs,
    /// Whom we do not want to hear of.
    Blocklist,
    /// Somebody was put there, or taken from there.
    Block {
        jid: String,
        on: bool,
    },
    /// XEP-0280.
    Carbons,
    /// Who has access to the account.
    Clients,
    Page(Query),
    /// A link to be given to somebody.
    Invitation(Asked),
    /// Something was asked of a node.
    Node(Question),
    /// Something about a card.
    Card(card::Question),
    /// Something was asked of a service.
    Service(services::Question),
    /// Another password.
    Password {
        password: String,
    },
    /// A vCard that is to have this picture.
    Portrait {
        #[serde(default)]
        of: String,
        hash: String,
    },
    /// A registration for push notifications, or the end of one.
    Push {
        service: String,
        node: String,
        on: bool,
    },
    /// Somebody's access was to be taken away.
    Revoke,
    /// What our server is; and then by which software it runs.
    ServerInfo {
        info: Option<Box<ServerInfo>>,
    },
    /// The account is to be deleted on its server.
    Unregister,
    /// The server has read what was written up to this number (STREAM 8).
    Probe {
        number: u64,
    },
    /// What the server may have dropped besides messages: contacts, who is blocked, what our own nodes say.
    Lists,
    /// Nobody has answered this in time: it is asked again in a while. An answer that comes after all counts.
    Later(Box<Self>),
    /// The answer tells nothing that is needed.
    Nothing,
}

impl Pending {
    /// Whether it is a step of showing our own card. The next one follows from its answer.
    pub(crate) fn is_about_our_card(&self) -> bool {
        match self {
            Self::Card(question) => question.is_about_ours(),
            Self::Node(question) => question.of_our_card().is_some(),
            Self::Later(what) => what.is_about_our_card(),
            _ => false,
        }
    }

    /// What is said by it that we show of ourselves.
    pub(crate) fn shown(&self) -> Option<&Publish> {
        match self {
            Self::Node(question) => question.shown(),
            Self::Later(what) => what.shown(),
            _ => None,
        }
    }

    /// What this device would not learn or say otherwise, and need not at once.
    fn can_be_later(&self) -> bool {
        matches!(self, Self::Blocklist | Self::Block { .. } | Self::RosterAgain | Self::Push { .. })
            || self.is_about_an_own_node()
            || self.is_about_our_card()
            || (self.shown().is_some() && !mutants::on(Mutant::ShownNotSaidAgain))
    }

    /// Whether it asks what one of our own nodes says.
    pub(crate) const fn is_about_an_own_node(&self) -> bool {
        matches!(self, Self::Node(Question::Own { .. }))
    }
}

/// When what nobody has answered is asked again: after ten minutes, then ever more seldom while nobody answers. What that is, is in
/// the file: a process that comes after this one asks it as well.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Again {
    /// Mono ms.
    pub(crate) due: Option<u64>,
    /// Nothing waits for that but what was refused.
    seldom: bool,
    /// When it was last asked again, and how often in a row.
    asked: Option<u64>,
    rounds: u32,
}

impl Again {
    /// Something was not answered in time.
    fn later(&mut self, now: u64) {
        if self.due.is_none() || self.seldom {
            let in_vain = self.asked.is_some_and(|asked| now < asked + 2 * PATIENCE);
            self.rounds = if in_vain { self.rounds + 1 } else { 0 };
            self.due = Some(now + (AGAIN << self.rounds.min(DOUBLINGS)));
            self.seldom = false;
        }
    }

    /// Something was refused, and may not be another time.
    fn seldom(&mut self, now: u64) {
        if self.due.is_none() {
            (self.due, self.seldom) = (Some(now + (AGAIN << DOUBLINGS)), true);
        }
    }
}

/// What we can do (XEP-0030), beside the nodes that we want to hear of ([`Account::features`]).
pub(crate) const FEATURES: [&str; 16] = [
    ns::CAPS,
    ns::CHAT_STATES,
    ns::DISCO_INFO,
    ns::VERSION,
    ns::OOB,
    ns::CARBONS,
    ns::CHAT_MARKERS,
    ns::FALLBACK,
    ns::CORRECT,
    ns::RETRACT,
    ns::PING,
    ns::REACTIONS,
    ns::RECEIPTS,
    ns::REPLY,
    ns::SID,
    ns::SPOILER,
];

/// How long a question may go unanswered while we are online and nothing else comes, in ms.
const PATIENCE: u64 = 60_000;
/// The same of what our own server had read before a resumption: its answer is replayed before anything else, and phones are woken
/// for less than a minute.
const REPLAYED: u64 = 15_000;
/// How long after nobody has answered something is asked again, in ms, and how often that doubles: to three hours.
pub(crate) const AGAIN: u64 = 600_000;
pub(crate) const DOUBLINGS: u32 = 4;
/// What an unanswered question is answered with, by ourselves. No condition of XMPP: a server that says `remote-server-timeout` has
/// answered.
pub(crate) const NO_ANSWER: &str = "no answer";
/// Answers that wait to be sent. Who asks more is not answered.
pub(crate) const MAX_ANSWERS: i64 = 500;
/// What is longer of a question is not echoed, in bytes.
const MAX_ECHO: usize = 1_024;
/// Characters of a server's own words about a failure that are told.
const MAX_WORDS: usize = 500;

/// Something else was decided of somebody: what was asked before is not said any more, and if it was, its answer tells nothing.
pub(crate) fn supersede(cx: &Cx<'_>, what: &str, jid: &str) -> Result<()> {
    let asked = cx
        .tx
        .prepare_cached(&format!(
            "SELECT iq FROM pending WHERE ?1 IN (json_extract(what, '$.{what}.jid'), json_extract(what, '$.Later.{what}.jid'))"
        ))?
        .query_map(params![jid], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    asked.iter().try_for_each(|iq| withdraw(cx, iq))
}

/// This question is not asked any more, and if it was, its answer tells nothing.
pub(crate) fn withdraw(cx: &Cx<'_>, iq: &str) -> Result<()> {
    let waits = "DELETE FROM outbox WHERE name = ?1 AND number IS NULL";
    if cx.tx.prepare_cached(waits)?.execute(params![iq])? > 0 {
        cx.tx.prepare_cached("DELETE FROM pending WHERE iq = ?1")?.execute(params![iq])?;
    } else {
        cx.tx
            .prepare_cached("UPDATE pending SET what = ?2 WHERE iq = ?1")?
            .execute(params![iq, serde_json::to_string(&Pending::Nothing)?])?;
    }
    Ok(())
}

fn keep_for_later(cx: &Cx<'_>, id: &str, what: Pending) -> Result<()> {
    cx.tx
        .prepare_cached("INSERT INTO pending (iq, what) VALUES (?1, ?2)")?
        .execute(params![id, serde_json::to_string(&Pending::Later(Box::new(what)))?])?;
    Ok(())
}

/// Takes out of what is asked again later all of this kind.
pub(crate) fn take_later(cx: &Cx<'_>, kind: impl Fn(&Pending) -> bool) -> Result<Vec<Pending>> {
    let all = cx
        .tx
        .prepare_cached(
            "SELECT iq, what -> '$.Later' FROM pending WHERE json_type(what, '$.Later') IS NOT NULL",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    let mut taken = Vec::new();
    for (iq, what) in all {
        let what = serde_json::from_str(&what)?;
        if kind(&what) {
            cx.tx.prepare_cached("DELETE FROM pending WHERE iq = ?1")?.execute(params![iq])?;
            taken.push(what);
        }
    }
    Ok(taken)
}

impl Account {
    /// A question was sent: its time begins.
    pub(crate) fn expect_answer(&mut self, id: &str, now: Now) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.ask(id, now.mono);
        }
    }

    /// Something came: what is asked may be answered behind it.
    pub(crate) fn answers_may_come(&mut self, now: Now) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.heard(now.mono);
        }
    }

    /// What was not answered in time is answered by ourselves, by the path of every error.
    pub(crate) fn give_up_unanswered(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let now = cx.now.mono;
        let Some(deadlines) = &mut self.deadlines else {
            // A new connection, or a reload: what was sent before, and perhaps not read, has its whole time again.
            let mut deadlines = Deadlines::new(PATIENCE);
            let mut statement = cx.tx.prepare(
                "SELECT iq, coalesce(peer, ?1) = ?1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE name = iq) FROM pending
                 WHERE json_type(what, '$.Later') IS NULL AND NOT EXISTS (SELECT 1 FROM outbox WHERE name = iq AND number IS NULL)",
            )?;
            let mut rows = statement.query(params![self.jid.as_str()])?;
            while let Some(row) = rows.next()? {
                let patience = if row.get(1)? { REPLAYED } else { PATIENCE };
                deadlines.ask_within(&row.get::<_, String>(0)?, now, patience);
            }
            deadlines.heard(now);
            self.deadlines = Some(deadlines);
            return Ok(());
        };
        for id in deadlines.take_overdue(now) {
            self.unanswered(cx, &id, NO_ANSWER)?;
        }
        Ok(())
    }

    /// Whether this is asked, and not answered yet.
    pub(crate) fn is_asked(&self, cx: &Cx<'_>, what: &Pending) -> Result<bool> {
        Ok(cx
            .tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM pending WHERE what = ?1)")?
            .query_row(params![serde_json::to_string(what)?], |row| row.get(0))?)
    }

    /// Asks what nobody has answered, if it is time to.
    pub(crate) fn ask_what_was_not_answered(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.again.due.is_some_and(|due| cx.now.mono >= due) { self.ask_now(cx) } else { Ok(()) }
    }

    /// A session goes on, perhaps with another process, which does not know when it was to be asked. Not at once: one that a push has
    /// woken is there for messages.
    pub(crate) fn ask_what_waited(&mut self, cx: &Cx<'_>) -> Result<()> {
        let any = "SELECT EXISTS (SELECT 1 FROM pending WHERE json_type(what, '$.Later') IS NOT NULL)";
        if self.again.due.is_none() && cx.tx.prepare_cached(any)?.query_row([], |row| row.get(0))? {
            self.again.due = Some(cx.now.mono + PATIENCE);
        }
        Ok(())
    }

    /// This is asked in a while, under this name.
    fn ask_later(&mut self, cx: &Cx<'_>, id: &str, what: Pending) -> Result<()> {
        keep_for_later(cx, id, what)?;
        self.again.later(cx.now.mono);
        Ok(())
    }

    /// The archive is being compared, and the rest is to be behind it: by whichever process sees the end of that, and in a while all
    /// the same.
    pub(crate) fn ask_lists_after_check(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.forget_roster_version(cx)?;
        self.ask_behind(cx, Pending::Lists)
    }

    /// This is to be asked behind what is under way, and in a while all the same.
    pub(crate) fn ask_behind(&mut self, cx: &mut Cx<'_>, what: Pending) -> Result<()> {
        if self.is_asked(cx, &Pending::Later(Box::new(what.clone())))? {
            return Ok(());
        }
        let id = cx.id();
        self.ask_later(cx, &id, what)
    }

    fn ask_now(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        (self.again.due, self.again.seldom) = (None, false);
        let waited = take_later(cx, |_| true)?;
        if !waited.is_empty() {
            self.again.asked = Some(cx.now.mono);
        }
        if waited.iter().any(|what| matches!(what, Pending::Lists)) {
            self.ask_lists(cx)?;
        } else if waited.iter().any(Pending::is_about_an_own_node) {
            self.ask_own_nodes(cx)?;
        }
        self.show_again(cx, &waited)?;
        for what in waited {
            match what {
                Pending::Blocklist | Pending::Block { .. } => self.ask_blocklist(cx)?,
                Pending::RosterAgain => self.read_roster_again(cx)?,
                Pending::Push { service, node, .. } => self.say_push_again(cx, &service, &node)?,
                Pending::Roster | Pending::Carbons | Pending::AccountInfo => self.ask_again(cx, &what)?,
                step if step.is_about_our_card() => self.card_step_again(cx, step)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Nobody will answer this question.
    pub(crate) fn unanswered(&mut self, cx: &mut Cx<'_>, id: &str, condition: &str) -> Result<()> {
        let what: Option<String> = cx
            .tx
            .prepare_cached("DELETE FROM pending WHERE iq = ?1 RETURNING what")?
            .query_row(params![id], |row| row.get(0))
            .optional()?;
        match what {
            Some(what) => self.settle(cx, id, serde_json::from_str(&what)?, Err(condition)),
            None => Ok(()),
        }
    }

    /// The first words of a new session: what it must know, then presence, then what was missed.
    pub(crate) fn greet(&mut self, cx: &mut Cx<'_>, carbons: bool) -> Result<()> {
        // Before the presence: whether to believe a stanza-id (XEP-0359) must be known before the first message comes.
        self.ask_again(cx, &Pending::AccountInfo)?;
        if !carbons {
            self.catching_up.before_carbons = self.coverage(cx)?;
            self.ask_again(cx, &Pending::Carbons)?;
        }
        self.ask_again(cx, &Pending::Roster)?;
        if mutants::on(Mutant::AskedBeforePresence) {
            self.catch_up(cx)?;
        }
        self.again = Again::default();
        self.asked_avatars.clear();
        // Whoever has a picture says so again.
        cx.tx.execute("UPDATE person SET waiting = NULL WHERE waiting IS NOT NULL", [])?;
        self.ask_again(cx, &Pending::Blocklist)?;
        self.announce(cx)?;
        // What the archive has is asked for in the same flight, if there was an archive the last time.
        self.catch_up(cx)?;
        self.own_nodes_begin_anew(cx)
    }

    /// What we can do, or how we are there, has changed. A session that is resumed has to hear of it, too; a new one is told anyway.
    pub(crate) fn announce_anew(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        if self.session.sm.is_none() {
            return Ok(());
        }
        self.announce_again(cx)
    }

    /// That we are there, how, and what we can do.
    pub(crate) fn announce(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let forgotten = mutants::on(Mutant::ShowForgottenByBind);
        let how = if forgotten { Tag::new("presence") } else { presence::tag(&presence::own(cx.tx)?) };
        let presence = self.with_caps(cx, how)?;
        self.enqueue(cx, Kind::Presence, "", None, &presence)
    }

    /// The same, in place of what waits to be said: what is asked of the archive may stand behind that (STREAM 17).
    pub(crate) fn announce_again(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let presence = self.with_caps(cx, presence::tag(&presence::own(cx.tx)?))?;
        let waits = cx.tx.execute(
            "UPDATE outbox SET bytes = ?2 WHERE kind = ?1 AND number IS NULL",
            params![Kind::Presence.code(), presence],
        )?;
        if waits > 0 { Ok(()) } else { self.enqueue(cx, Kind::Presence, "", None, &presence) }
    }

    fn with_caps(&self, cx: &Cx<'_>, presence: Tag) -> Result<Vec<u8>> {
        Ok(presence.child(roster::caps_tag(&self.features(cx.tx)?)).into_bytes())
    }

    /// What we can do, in the order that XEP-0115 hashes.
    fn features(&self, connection: &Connection) -> Result<Vec<String>> {
        let mut features: Vec<String> = pubsub::followed(connection)?;
        features.iter_mut().for_each(|node| node.push_str("+notify"));
        features.extend(claims::namespaces(connection)?);
        features.extend(FEATURES.map(str::to_owned));
        features.sort_unstable();
        features.dedup();
        Ok(features)
    }

    /// What a session must know. Asked when it begins, and again for as long as nobody answers.
    pub(crate) fn ask_again(&mut self, cx: &mut Cx<'_>, what: &Pending) -> Result<()> {
        let own = self.jid.to_string();
        let (kind, to, payload) = match what {
            Pending::AccountInfo => ("get", Some(own.as_str()), Tag::with_ns("query", ns::DISCO_INFO)),
            Pending::ArchivePrefs => ("get", None, Tag::with_ns("prefs", ns::MAM)),
            Pending::Blocklist => ("get", None, Tag::with_ns("blocklist", ns::BLOCKING)),
            Pending::Carbons => ("set", None, Tag::with_ns("enable", ns::CARBONS)),
            Pending::Roster => {
                let known = self.login.roster_ver.clone().unwrap_or_default();
                ("get", None, Tag::with_ns("query", ns::ROSTER).attr("ver", known))
            }
            Pending::RosterAgain => ("get", None, Tag::with_ns("query", ns::ROSTER).attr("ver", "")),
            Pending::Page(_)
            | Pending::Block { .. }
            | Pending::Clients
            | Pending::Contact { .. }
            | Pending::Invitation(_)
            | Pending::Node(_)
            | Pending::Card(_)
            | Pending::Service(_)
            | Pending::Password { .. }
            | Pending::Portrait { .. }
            | Pending::Push { .. }
            | Pending::Revoke
            | Pending::ServerInfo { .. }
            | Pending::Unregister
            | Pending::Probe { .. }
            | Pending::Lists
            | Pending::Later(_)
            | Pending::Nothing => {
                return Ok(());
            }
        };
        self.ask(cx, what, kind, to, payload).map(drop)
    }

    /// The same, unless that question waits for its answer already.
    pub(crate) fn ask_unless_asked(&mut self, cx: &mut Cx<'_>, what: &Pending) -> Result<()> {
        if self.is_asked(cx, what)? { Ok(()) } else { self.ask_again(cx, what) }
    }

    pub(crate) fn iq(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        match element.attr("type") {
            Some("result" | "error") => self.answered(cx, element),
            Some("get" | "set") => self.asked(cx, element),
            _ => Ok(()),
        }
    }

    fn answered(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        let Some(id) = element.attr("id") else { return Ok(()) };
        let Some(pending) = self.question(cx, id, element.attr("from"))? else { return Ok(()) };
        let failed = element.attr("type") == Some("error");
        let answer = if failed { Err(condition(element)) } else { Ok(element) };
        cx.refusal = element.get_child("error", ns::JABBER_CLIENT).filter(|_| failed).cloned();
        let done = self.settle(cx, id, pending, answer);
        cx.refusal = None;
        done
    }

    /// An answer or a question that was too large to be built (STREAM 21). It is an answer nevertheless: nobody waits longer, and
    /// what it was about stays as it was.
    pub(crate) fn drained_iq(&mut self, cx: &mut Cx<'_>, drained: &Drained) -> Result<()> {
        let id = drained.id.as_deref().unwrap_or_default();
        let from = drained.from.as_deref();
        match drained.kind.as_deref() {
            Some("result" | "error") => {
                let Some(pending) = self.question(cx, id, from)? else { return Ok(()) };
                let what = match &pending {
                    Pending::Roster | Pending::RosterAgain => "roster",
                    Pending::AccountInfo => "account",
                    Pending::ArchivePrefs | Pending::Page(_) => "archive",
                    Pending::Carbons
                    | Pending::Block { .. }
                    | Pending::Blocklist
                    | Pending::Clients
                    | Pending::Contact { .. }
                    | Pending::Invitation(_)
                    | Pending::Node(_)
                    | Pending::Card(_)
                    | Pending::Service(_)
                    | Pending::Password { .. }
                    | Pending::Portrait { .. }
                    | Pending::Push { .. }
                    | Pending::Revoke
                    | Pending::ServerInfo { .. }
                    | Pending::Unregister
                    | Pending::Probe { .. }
                    | Pending::Lists
                    | Pending::Later(_)
                    | Pending::Nothing => "answer",
                };
                cx.event(Event::TooLarge { what: what.into(), size: drained.size });
                // A roster that was too large would be as large the next time.
                if what == "roster" {
                    Ok(())
                } else {
                    self.settle(cx, id, pending, Err("resource-constraint"))
                }
            }
            Some("get" | "set") => self.refuse(cx, from, id, "modify", "policy-violation"),
            _ => Ok(()),
        }
    }

    /// What this was the question of, if the answer is from whom it went to; then it waits no longer.
    fn question(&mut self, cx: &mut Cx<'_>, id: &str, from: Option<&str>) -> Result<Option<Pending>> {
        let found: Option<(Option<String>, String)> = cx
            .tx
            .prepare_cached("SELECT peer, what FROM pending WHERE iq = ?1")?
            .query_row(params![id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((peer, what)) = found else { return Ok(None) };
        let right = match &peer {
            None => self.is_own_account(from) || from == self.session.jid.as_ref().map(|jid| jid.as_str()),
            Some(peer) => {
                from == Some(peer.as_str()) || (*peer == self.jid.as_str() && self.is_own_account(from))
            }
        };
        if !right {
            return Ok(None);
        }
        cx.tx.prepare_cached("DELETE FROM pending WHERE iq = ?1")?.execute(params![id])?;
        // Whoever has answered it has read it. It counts until that is acknowledged, and is not said by another session.
        cx.tx
            .prepare_cached(
                "UPDATE outbox SET kind = ?2 WHERE name = ?1 AND kind = 1 AND number IS NOT NULL",
            )?
            .execute(params![id, Kind::Fleeting.code()])?;
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.answered(id);
        }
        Ok(Some(serde_json::from_str(&what)?))
    }

    pub(crate) fn settle(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        pending: Pending,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let pending = match pending {
            Pending::Later(what) => *what,
            pending => pending,
        };
        if answer == Err(NO_ANSWER) && pending.can_be_later() {
            return self.ask_later(cx, id, pending);
        }
        match (pending, answer) {
            (Pending::Roster | Pending::RosterAgain, Ok(element)) => self.roster_result(cx, element),
            (Pending::AccountInfo, Ok(element)) => self.account_info(cx, element),
            (Pending::ArchivePrefs, Ok(element)) => {
                let default = element.get_child("prefs", ns::MAM).and_then(|prefs| prefs.attr("default"));
                self.login.archive = if default == Some("always") { Archive::Always } else { Archive::There };
                self.save_login(cx)
            }
            (Pending::Page(stored), answer) => {
                // The copy in memory is ahead of the one in the row, which is written at the end of a step.
                let query = self.queries.get(id).cloned().unwrap_or(stored);
                self.page_done(cx, &query, answer)
            }
            (Pending::Blocklist, answer) => self.blocklist(cx, answer),
            (Pending::Block { jid, on }, answer) => self.block_answered(cx, &jid, on, answer.err()),
            (Pending::Card(question), answer) => self.card_answered(cx, id, question, answer),
            (Pending::Password { password }, answer) => {
                self.password_answered(cx, &password, answer.map(drop))
            }
            (Pending::Invitation(asked), answer) => self.invitation_told(cx, id, asked, answer),
            (Pending::Clients | Pending::Revoke, answer) => self.access_told(cx, id, answer),
            (Pending::ServerInfo { info }, answer) => {
                self.server_told(cx, id, info.map(|info| *info), answer)
            }
            (Pending::Unregister, answer) => self.unregistered(cx, id, answer.map(drop)),
            (Pending::Portrait { of, hash }, answer) => {
                self.portrait_came(cx, of, hash, answer)?;
                self.fetch_next(cx)
            }
            (Pending::Node(question), answer) => self.node_answered(cx, id, question, answer),
            (Pending::Service(question), answer) => {
                self.service_answered(cx, id, question, answer);
                Ok(())
            }
            (Pending::Push { service, node, on }, answer) => {
                self.push_answered(cx, (&service, &node, on), answer.err())
            }
            // A session that does not know these misses messages: patience is the only pace.
            (
                what @ (Pending::Roster | Pending::AccountInfo | Pending::ArchivePrefs | Pending::Carbons),
                Err(NO_ANSWER),
            ) => {
                self.is_without_carbons(&what);
                self.ask_again(cx, &what)
            }
            // It may be another time. Without carbons only the archive has what other devices send, and without this there is no archive,
            // or are no contacts. What ends a stream each time is not (STREAM 13).
            (what @ (Pending::Roster | Pending::Carbons | Pending::AccountInfo), Err(condition))
                if condition != "policy-violation" =>
            {
                self.is_without_carbons(&what);
                keep_for_later(cx, id, what)?;
                self.again.seldom(cx.now.mono);
                Ok(())
            }
            (Pending::Carbons, Ok(_)) if self.session.unchecked.is_some() => self.check_for_dropped(cx),
            // Even a server that does not know the question has read it.
            (Pending::Probe { number }, answer) if answer != Err(NO_ANSWER) => {
                self.handle_ack(cx, number as u32)?;
                self.answered_by(cx, number)
            }
            _ => Ok(()),
        }
    }

    /// What other devices have sent since this session began is looked for.
    fn is_without_carbons(&mut self, what: &Pending) {
        if matches!(what, Pending::Carbons) && self.session.unchecked.is_none() {
            self.session.unchecked = self.catching_up.before_carbons.take();
            self.session.dirty = true;
        }
    }

    fn account_info(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        let Some(query) = element.get_child("query", ns::DISCO_INFO) else { return Ok(()) };
        let has = |feature: &str| {
            query.children().any(|child| child.name() == "feature" && child.attr("var") == Some(feature))
        };
        let before = self.login.nodes.replace(pubsub::offered(query));
        self.save_login(cx)?;
        if before != self.login.nodes {
            self.ask_own_nodes(cx)?;
        }
        self.push_is_offered(cx, has(ns::PUSH))?;
        self.follow_server_info(cx)?;
        if !has(ns::MAM) {
            self.login.archive = Archive::Unknown;
            self.all_doubts_settled(cx)?;
            return self.save_login(cx);
        }
        if self.login.archive == Archive::Unknown {
            self.login.archive = Archive::There;
            self.save_login(cx)?;
            self.archive_found(cx)?;
        }
        if mutants::on(Mutant::GapOpenedLater) {
            self.bound_anew(cx)?;
        }
        self.ask_again(cx, &Pending::ArchivePrefs)?;
        self.catch_up(cx)
    }

    fn asked(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        let from = element.attr("from");
        let id = element.attr("id").unwrap_or_default();
        if id.len() > MAX_ECHO {
            return Ok(());
        }
        let is_get = element.attr("type") == Some("get");
        let Some(payload) = element.children().next() else {
            return self.refuse(cx, from, id, "modify", "bad-request");
        };
        let is_list = payload.is("query", ns::ROSTER);
        if (is_list || payload.has_ns(ns::BLOCKING) && matches!(payload.name(), "block" | "unblock"))
            && !is_get
        {
            // CVE-2015-8688: only our own account pushes our roster, or whom we do not want to hear of.
            if !self.is_own_account(from) {
                return self.refuse(cx, from, id, "cancel", "service-unavailable");
            }
            if is_list {
                self.roster_push(cx, payload)?
            } else {
                self.blocklist_push(cx, payload)?
            }
            return self.answer_iq(cx, from, id, None);
        }
        // Any answer but the one that the server gives for a device that is not there would tell a stranger that it is.
        if !self.may_know_us(cx, from)? {
            return self.refuse(cx, from, id, "cancel", "service-unavailable");
        }
        if is_get && payload.is("ping", ns::PING) {
            return self.answer_iq(cx, from, id, None);
        }
        if is_get && payload.is("query", ns::DISCO_INFO) {
            let node = payload.attr("node");
            if node.is_some_and(|node| node.len() > MAX_ECHO) {
                return self.refuse(cx, from, id, "cancel", "item-not-found");
            }
            let mut query = Tag::with_ns("query", ns::DISCO_INFO).attr_opt("node", node);
            query = query.child(roster::identity_tag());
            for feature in self.features(cx.tx)? {
                query = query.child(Tag::new("feature").attr("var", feature));
            }
            return self.answer_iq(cx, from, id, Some(query));
        }
        if is_get && payload.is("query", ns::DISCO_ITEMS) {
            return self.answer_iq(cx, from, id, Some(Tag::with_ns("query", ns::DISCO_ITEMS)));
        }
        if is_get && payload.is("query", ns::VERSION) {
            // Which version would help an attacker more than a friend; the name is in the caps anyway.
            let query =
                Tag::with_ns("query", ns::VERSION).child(Tag::new("name").text(&self.config.software));
            return self.answer_iq(cx, from, id, Some(query));
        }
        if claims::is_claimed(cx, &payload.ns(), ClaimKind::Requests)? {
            return self.ask_app(cx, from, id, is_get, payload);
        }
        self.refuse(cx, from, id, "cancel", "service-unavailable")
    }

    /// Our server, our own devices, and whoever sees our presence.
    fn may_know_us(&self, cx: &Cx<'_>, from: Option<&str>) -> Result<bool> {
        match from.map(address::sender) {
            None => Ok(true),
            Some(Some(from)) if from.is_bare() && from.as_str() == self.jid.domain().as_str() => Ok(true),
            Some(Some(from)) => self.sees_our_presence(cx, &from.into_bare()),
            Some(None) => Ok(false),
        }
    }

    fn answer_iq(&mut self, cx: &mut Cx<'_>, to: Option<&str>, id: &str, payload: Option<Tag>) -> Result<()> {
        let iq = Tag::new("iq").attr("type", "result").attr("id", id).attr_opt("to", to).child_opt(payload);
        self.reply_to(cx, to, &iq.into_bytes())
    }

    fn reply_to(&mut self, cx: &mut Cx<'_>, to: Option<&str>, bytes: &[u8]) -> Result<()> {
        if answers_waiting(cx)? >= MAX_ANSWERS {
            return Ok(());
        }
        self.enqueue(cx, Kind::Iq, to.unwrap_or_default(), None, bytes)
    }

    pub(crate) fn refuse(
        &mut self,
        cx: &mut Cx<'_>,
        to: Option<&str>,
        id: &str,
        kind: &str,
        condition: &'static str,
    ) -> Result<()> {
        let (kind, condition) =
            if self.may_know_us(cx, to)? { (kind, condition) } else { ("cancel", "service-unavailable") };
        let error = Tag::new("error").attr("type", kind).child(Tag::with_ns(condition, ns::STANZA_ERRORS));
        let iq = Tag::new("iq").attr("type", "error").attr("id", id).attr_opt("to", to).child(error);
        self.reply_to(cx, to, &iq.into_bytes())
    }
}

/// Answers of ours that have not left.
pub(crate) fn answers_waiting(cx: &Cx<'_>) -> Result<i64> {
    Ok(cx
        .tx
        .prepare_cached("SELECT count(*) FROM outbox WHERE kind = 2 AND name IS NULL AND number IS NULL")?
        .query_row([], |row| row.get(0))?)
}

fn condition(element: &Element) -> &str {
    element
        .get_child("error", ns::JABBER_CLIENT)
        .into_iter()
        .flat_map(Element::children)
        .find(|child| child.has_ns(ns::STANZA_ERRORS) && child.name() != "text")
        .map_or("undefined-condition", Element::name)
}

/// What an app is told of an error: its condition, and what else the server said.
pub(crate) fn refused(cx: &Cx<'_>, condition: &str) -> api::Error {
    if condition == NO_ANSWER {
        return api::Error::TimedOut;
    }
    let said = cx.refusal.as_ref().and_then(|error| error.get_child("text", ns::STANZA_ERRORS));
    let text = said.map(|text| text.text().chars().take(MAX_WORDS).collect());
    api::Error::ServerRefused { condition: condition.to_owned(), text }
}

/// What answers something else says nothing.
pub(crate) fn odd() -> api::Error {
    api::Error::ServerRefused { condition: "bad-format".into(), text: None }
}

/// Reads an address, or nothing.
pub(crate) fn bare(text: Option<&str>) -> Option<BareJid> {
    text.and_then(whimbrel_proto::address::parse).map(jid::Jid::into_bare)
}
