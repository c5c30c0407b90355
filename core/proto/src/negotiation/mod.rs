//! From a fresh connection to a usable session: STARTTLS, SASL, binding, resumption (RFC 6120 §5–7; XEP-0388, 0386, 0198,
//! 0484, 0440).
//!
//! A value that takes what the server sent and gives what to write; it owns no socket and stores nothing. Two ways lead
//! through it. With SASL2, login, resumption and binding are one exchange, and with a token (FAST) everything leaves in one
//! flight behind the stream header. The old way authenticates, restarts the stream, then resumes or binds and enables.
//!
//! Invariants: no credential leaves before TLS; what `<success/>` claims is checked before any of it is believed; between
//! `<authenticate/>` and `<success/>` nothing is sent but what belongs to them; every path ends, since each state takes
//! each kind of element at most a bounded number of times.

mod mechanism;
pub mod registration;

use jid::{BareJid, FullJid};
use minidom::Element;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::mechanism::Choice;
use crate::{
    address,
    features::Features,
    ns,
    place::Place,
    write::{Tag, escape_into},
};

/// Elements that one login may take. The longest honest one needs nine.
const PATIENCE: u32 = 24;

/// Who logs in, and how.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account.
    pub jid: BareJid,
    /// What the user calls this device: Bind2's tag, or the resource that is asked for.
    pub resource: Option<String>,
    /// The password, if one is known.
    pub password: Option<String>,
    /// A token from an earlier login (XEP-0484).
    pub token: Option<FastToken>,
    /// One per installation (XEP-0388 §2.3).
    pub user_agent: Uuid,
    /// The name of the software.
    pub software: String,
    /// The session to go back to.
    pub resume: Option<Resume>,
    /// Whether the archive makes it safe to bind by XEP-0386, which discards offline messages.
    pub use_bind2: bool,
    /// What the last login earned.
    pub pins: Pins,
    /// Whether the user allowed to send the password itself, over verified TLS.
    pub allow_plain: bool,
    /// What this server offered last time, and so what may be sent before it offers it again.
    pub offer: Option<Features>,
    /// Its token is to be of no more use to anybody (XEP-0484 §3.5).
    pub invalidate: bool,
}

/// The session to go back to (XEP-0198 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The server's name for it.
    pub previd: String,
    /// How many of the server's stanzas were handled.
    pub h: u32,
    /// The address it is bound to.
    pub jid: FullJid,
}

/// A token instead of the password (XEP-0484).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FastToken {
    /// The only mechanism that it may be used with.
    pub mechanism: String,
    /// The secret.
    pub token: String,
}

/// What logins have proven to be possible. Weaker is refused from then on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pins {
    /// How the login was bound to the TLS channel. A man in the middle who has the server's certificate can keep up with the
    /// weaker way, and would be found out by the stronger one.
    pub bound: Bound,
    /// SCRAM and its hash, 0 to 2 from weak to strong.
    pub scram: Option<u8>,
}

/// How a login is bound to the TLS channel, weakest first (XEP-0440).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Bound {
    /// Not at all.
    #[default]
    Not,
    /// To the server's certificate: `tls-server-end-point`.
    EndPoint,
    /// To this very connection: `tls-exporter`.
    Exporter,
}

/// What TLS gives to bind to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// RFC 9266; `None` where the version cannot give it safely.
    pub exporter: Option<Vec<u8>>,
    /// RFC 5929: hash of the server's certificate.
    pub end_point: Option<Vec<u8>>,
}

/// RFC 6120 §4.7.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHeader {
    /// Who the server says it is.
    pub from: Option<String>,
    /// The stream's id.
    pub id: Option<String>,
}

/// What happened on the connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// TLS is up.
    Secured(Tls),
    /// The server's stream header.
    Header(&'a StreamHeader),
    /// An element.
    Element(&'a Element),
}

/// What to do on the connection, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Write these bytes.
    Write(Vec<u8>),
    /// Begin TLS; answer with [`Event::Secured`].
    StartTls,
    /// Read a new stream from here on.
    Restart,
}

/// What one event led to.
#[derive(Debug)]
pub struct Step {
    /// What to do.
    pub outs: Vec<Out>,
    /// Where it stands.
    pub progress: Progress,
}

/// Where a negotiation stands.
#[derive(Debug)]
pub enum Progress {
    /// It goes on.
    Going(Box<Negotiation>),
    /// The session is usable.
    Online(Box<Negotiated>),
    /// It failed; the connection is of no more use.
    Failed(Failure),
}

/// A usable session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Our full address.
    pub jid: FullJid,
    /// Resumed or new.
    pub session: Session,
    /// A new token, to be stored with what else success brings.
    pub token: Option<FastToken>,
    /// The server did not take the token that we had.
    pub token_refused: bool,
    /// By which mechanism.
    pub mechanism: String,
    /// What this login earned.
    pub pins: Pins,
    /// What the server offered before authentication, to be sent at once next time.
    pub offer: Features,
    /// What it offered after, where it has said so already.
    pub features: Option<Features>,
    /// Carbons are on (XEP-0280), by Bind2.
    pub carbons: bool,
    /// Flights of ours after TLS that had to be answered.
    pub flights: u32,
}

/// Resumed or new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    /// The server took us back and has handled `h` of our stanzas.
    Resumed {
        /// Modulo 2^32.
        h: u32,
    },
    /// A new session.
    Bound {
        /// Stream management, if the server has it; the id is absent where it cannot be resumed.
        sm: Option<Enabled>,
        /// Why the old session was not resumed, if there was one.
        refused: Option<Refused>,
    },
}

/// `<enabled/>` (XEP-0198 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled {
    /// What to resume with.
    pub id: Option<String>,
    /// Where the server would like to be asked to resume.
    pub location: Option<Place>,
}

/// `<failed/>` in answer to `<resume/>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the server handled before it forgot the session, if it still knows. An ack.
    pub h: Option<u32>,
    /// The condition.
    pub condition: String,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server knows better.
    #[error("wrong password")]
    WrongPassword,
    /// The token was refused or there is none, and no password is known.
    #[error("no password")]
    NoPassword,
    /// Not safe, or weaker than before.
    #[error("{0}")]
    Untrusted(String),
    /// The server said no.
    #[error("{condition}")]
    Refused {
        /// The defined condition.
        condition: String,
        /// The server's words.
        text: Option<String>,
    },
    /// The server sends us elsewhere (RFC 6120 §4.9.3.19).
    #[error("see-other-host")]
    Elsewhere(Place),
    /// Not what the standards say.
    #[error("nonsense: {0}")]
    Nonsense(String),
    /// The server went back into a session that is not the one we asked for: forget it and bind anew.
    #[error("resumed another session: {0}")]
    OtherSession(String),
}

/// A negotiation under way.
#[derive(Clone, Debug)]
pub struct Negotiation {
    context: Context,
    state: State,
}

/// What all states share.
#[derive(Clone, Debug)]
struct Context {
    login: Login,
    tls: Tls,
    encrypted: bool,
    /// Whether this stream has said yet what it offers. It says so once: an offer that changes while a login is under way
    /// would be checked against something else than it was chosen from.
    offered: bool,
    offer: Features,
    events: u32,
    flights: u32,
    token_refused: bool,
    outs: Vec<Out>,
}

#[derive(Clone, Debug)]
enum State {
    /// Not encrypted yet: waiting for `<starttls/>` to be offered.
    Plain,
    /// Waiting for `<proceed/>`.
    StartingTls,
    /// Waiting for TLS. What comes in plaintext now is not looked at.
    Securing,
    /// Encrypted: waiting for what the server offers.
    Greeting,
    /// In a SASL exchange, of XEP-0388 or of RFC 6120.
    Authenticating(Attempt),
    /// Logged in: waiting for what can be done now.
    LoggedIn(LoggedIn),
    /// Asked to go back.
    Resuming(LoggedIn, Features),
    /// Asked for an address.
    Binding(LoggedIn, Features, Option<Refused>),
    /// Asked for stream management.
    Enabling(LoggedIn, Features, Option<Refused>, FullJid),
}

#[derive(Clone, Debug)]
struct Attempt {
    choice: Choice,
    sasl2: bool,
    by_token: bool,
    requested: Option<&'static str>,
    /// What went into Bind2, if it was asked for.
    bind: Option<Inline>,
    resume: bool,
}

/// What was asked for inside of `<bind/>` (XEP-0386).
#[derive(Clone, Copy, Debug)]
struct Inline {
    carbons: bool,
    sm: bool,
}

#[derive(Clone, Debug)]
struct LoggedIn {
    mechanism: String,
    pins: Pins,
    token: Option<FastToken>,
    refused: Option<Refused>,
}

#[allow(clippy::large_enum_variant, reason = "it lives for one call")]
enum Next {
    State(State),
    Online(Box<Negotiated>),
}

const BIND_ID: &str = "bind";
/// Characters of a server's own words about a failure that are kept.
const MAX_WORDS: usize = 500;

impl Negotiation {
    /// Begins on a connection that has just been opened. With direct TLS, `tls` is there already.
    pub fn start(login: Login, tls: Option<Tls>) -> Step {
        let mut context = Context {
            login,
            tls: Tls::default(),
            encrypted: false,
            offered: false,
            offer: Features::default(),
            events: 0,
            flights: 0,
            token_refused: false,
            outs: Vec::new(),
        };
        let next = match tls {
            Some(tls) => context.greet(tls),
            None => {
                let open = context.open();
                context.outs.push(Out::Write(open));
                Ok(Next::State(State::Plain))
            }
        };
        finish(context, next)
    }

    /// Whether the server has let us in, and no session is there yet.
    pub fn is_logged_in(&self) -> bool {
        matches!(self.state, State::LoggedIn(_))
    }

    /// Takes what happened.
    pub fn handle(self, event: Event<'_>, rng: &mut dyn RngCore) -> Step {
        let Self { mut context, state } = self;
        context.events += 1;
        let next = if context.events > PATIENCE {
            Err(Failure::Nonsense("a login without end".into()))
        } else {
            context.handle(state, event, rng)
        };
        finish(context, next)
    }
}

fn finish(mut context: Context, next: Result<Next, Failure>) -> Step {
    let outs = std::mem::take(&mut context.outs);
    let progress = match next {
        Ok(Next::State(state)) => Progress::Going(Box::new(Negotiation { context, state })),
        Ok(Next::Online(negotiated)) => Progress::Online(negotiated),
        Err(failure) => Progress::Failed(failure),
    };
    Step { outs, progress }
}

impl Context {
    fn handle(&mut self, state: State, event: Event<'_>, rng: &mut dyn RngCore) -> Result<Next, Failure> {
        let element = match event {
            Event::Header(_) => return Ok(Next::State(state)),
            Event::Secured(tls) => {
                return match state {
                    State::Securing => self.greet(tls),
                    _ => Err(Failure::Nonsense("TLS twice".into())),
                };
            }
            Event::Element(element) => element,
        };
        if element.is("error", ns::STREAM) {
            return Err(stream_error(element));
        }
        let is_features = element.is("features", ns::STREAM);
        match state {
            State::Plain if is_features => {
                if !Features::read(element).starttls {
                    return Err(Failure::Untrusted("the server offers no encryption".into()));
                }
                self.outs.push(Out::Write(Tag::with_ns("starttls", ns::TLS).into_bytes()));
                Ok(Next::State(State::StartingTls))
            }
            State::StartingTls if element.is("proceed", ns::TLS) => {
                self.outs.push(Out::StartTls);
                Ok(Next::State(State::Securing))
            }
            State::StartingTls if element.is("failure", ns::TLS) => {
                Err(Failure::Untrusted("the server refused to begin encryption".into()))
            }
            State::Greeting if is_features => {
                self.offered = true;
                self.offer = Features::read(element);
                self.authenticate(rng)
            }
            // Sent before it was offered: the offer comes now, and an answer to what was sent comes behind it.
            State::Authenticating(attempt) if is_features && !self.offered => {
                self.offered = true;
                self.offer = Features::read(element);
                Ok(Next::State(State::Authenticating(attempt)))
            }
            State::Authenticating(attempt) => self.authenticating(attempt, element, rng),
            State::LoggedIn(logged_in) if is_features => {
                self.logged_in(logged_in, Features::read(element), rng)
            }
            State::Resuming(logged_in, features) => self.resuming(logged_in, features, element, rng),
            State::Binding(logged_in, features, refused) => {
                self.binding(logged_in, features, refused, element)
            }
            State::Enabling(logged_in, features, refused, jid) => {
                let sm = if element.is("enabled", ns::SM) {
                    Some(enabled(element))
                } else if element.is("failed", ns::SM) {
                    None
                } else {
                    return Ok(Next::State(State::Enabling(logged_in, features, refused, jid)));
                };
                Ok(self.online(logged_in, jid, Session::Bound { sm, refused }, Some(features), false))
            }
            // Nothing else is expected, and nothing else is believed.
            state => Ok(Next::State(state)),
        }
    }

    /// TLS is up: open the stream, and where it is known what will be offered, log in behind it.
    fn greet(&mut self, tls: Tls) -> Result<Next, Failure> {
        self.tls = tls;
        self.encrypted = true;
        self.outs.push(Out::Restart);
        let mut flight = self.open();
        let pipelined = self.login.offer.clone().and_then(|offer| {
            let token = self.login.token.clone()?;
            offer.sasl2.as_ref()?.fast.contains(&token.mechanism).then_some(())?;
            self.offer = offer;
            self.token_attempt(&token)
        });
        let state = match pipelined {
            Some((attempt, bytes)) => {
                flight.extend_from_slice(&bytes);
                State::Authenticating(attempt)
            }
            None => State::Greeting,
        };
        self.flight(flight);
        Ok(Next::State(state))
    }

    fn authenticate(&mut self, rng: &mut dyn RngCore) -> Result<Next, Failure> {
        if let Some(token) = self.login.token.clone().filter(|_| !self.token_refused)
            && self.offer.sasl2.as_ref().is_some_and(|sasl2| sasl2.fast.contains(&token.mechanism))
            && let Some((attempt, bytes)) = self.token_attempt(&token)
        {
            self.flight(bytes);
            return Ok(Next::State(State::Authenticating(attempt)));
        }
        let offer = self.offer.clone();
        let (mechanisms, sasl2) = match &offer.sasl2 {
            Some(sasl2) => (&sasl2.mechanisms, true),
            None if !offer.mechanisms.is_empty() => (&offer.mechanisms, false),
            None => return Err(Failure::Untrusted("the server offers no way to log in".into())),
        };
        let choice =
            mechanism::by_password(&self.login, &self.tls, mechanisms, offer.bindings.as_deref(), rng)?;
        let (attempt, bytes) = self.attempt(choice, sasl2, false);
        self.flight(bytes);
        Ok(Next::State(State::Authenticating(attempt)))
    }

    fn token_attempt(&self, token: &FastToken) -> Option<(Attempt, Vec<u8>)> {
        let choice = mechanism::by_token(&self.login, token, &self.tls)?;
        Some(self.attempt(choice, true, true))
    }

    fn attempt(&self, choice: Choice, sasl2: bool, by_token: bool) -> (Attempt, Vec<u8>) {
        let initial = mechanism::encode(&choice.initial);
        let Some(offer) = self.offer.sasl2.as_ref().filter(|_| sasl2) else {
            let auth = Tag::with_ns("auth", ns::SASL).attr("mechanism", &choice.mechanism).text(initial);
            let attempt =
                Attempt { choice, sasl2: false, by_token, requested: None, bind: None, resume: false };
            return (attempt, auth.into_bytes());
        };
        let mut agent = Tag::new("user-agent").attr("id", self.login.user_agent.to_string());
        agent = agent.child(Tag::new("software").text(&self.login.software));
        if let Some(device) = &self.login.resource {
            agent = agent.child(Tag::new("device").text(device));
        }
        let mut authenticate = Tag::with_ns("authenticate", ns::SASL2)
            .attr("mechanism", &choice.mechanism)
            .child(Tag::new("initial-response").text(initial))
            .child(agent);
        let resume = self.login.resume.as_ref().filter(|_| offer.sm);
        if let Some(resume) = resume {
            authenticate = authenticate.child(resume_tag(resume));
        }
        let mut inline_bind = None;
        if let Some(inline) = offer.bind2.as_ref().filter(|_| self.login.use_bind2) {
            let mut bind = Tag::with_ns("bind", ns::BIND2)
                .child(Tag::new("tag").text(self.login.resource.as_deref().unwrap_or("Whimbrel")));
            let asked = Inline {
                carbons: inline.iter().any(|var| var == ns::CARBONS),
                sm: inline.iter().any(|var| var == ns::SM),
            };
            if asked.carbons {
                bind = bind.child(Tag::with_ns("enable", ns::CARBONS));
            }
            if asked.sm {
                bind = bind.child(Tag::with_ns("enable", ns::SM).attr("resume", "true"));
            }
            authenticate = authenticate.child(bind);
            inline_bind = Some(asked);
        }
        let mut requested = None;
        if by_token {
            let invalidate = self.login.invalidate.then_some("true");
            authenticate =
                authenticate.child(Tag::with_ns("fast", ns::FAST).attr_opt("invalidate", invalidate));
        } else if let Some(name) = mechanism::for_new_token(&offer.fast, &self.tls, choice.pins) {
            authenticate =
                authenticate.child(Tag::with_ns("request-token", ns::FAST).attr("mechanism", name));
            requested = Some(name);
        }
        let resume = resume.is_some();
        let attempt = Attempt { choice, sasl2: true, by_token, requested, bind: inline_bind, resume };
        (attempt, authenticate.into_bytes())
    }

    fn authenticating(
        &mut self,
        mut attempt: Attempt,
        element: &Element,
        rng: &mut dyn RngCore,
    ) -> Result<Next, Failure> {
        let namespace = if attempt.sasl2 { ns::SASL2 } else { ns::SASL };
        if !element.has_ns(namespace) {
            return Ok(Next::State(State::Authenticating(attempt)));
        }
        match element.name() {
            "challenge" => {
                let data = mechanism::decode(&element.text())
                    .ok_or_else(|| Failure::Nonsense("challenge".into()))?;
                let offer = self.offer.clone();
                let offered = offer
                    .sasl2
                    .as_ref()
                    .filter(|_| attempt.sasl2)
                    .map_or(&offer.mechanisms, |sasl2| &sasl2.mechanisms);
                let (exchange, answer) =
                    attempt.choice.exchange.challenged(&data, offered, offer.bindings.as_deref())?;
                attempt.choice.exchange = exchange;
                let text = if answer.is_empty() { String::new() } else { mechanism::encode(&answer) };
                self.flight(Tag::with_ns("response", namespace).text(text).into_bytes());
                Ok(Next::State(State::Authenticating(attempt)))
            }
            "success" if attempt.sasl2 => self.success(attempt, element),
            "success" => {
                let data = Some(element.text())
                    .filter(|text| !text.is_empty())
                    .and_then(|text| mechanism::decode(&text));
                attempt.choice.exchange.succeeded(data.as_deref())?;
                self.outs.push(Out::Restart);
                let open = self.open();
                self.flight(open);
                let Choice { mechanism, pins, .. } = attempt.choice;
                Ok(Next::State(State::LoggedIn(LoggedIn { mechanism, pins, token: None, refused: None })))
            }
            "continue" => Err(Failure::Refused {
                condition: "continue".into(),
                text: Some("the server wants more than a password".into()),
            }),
            "failure" => self.failure(&attempt, element, rng),
            _ => Ok(Next::State(State::Authenticating(attempt))),
        }
    }

    /// XEP-0388 §2.6: what success claims is checked before any of it is believed.
    fn success(&mut self, attempt: Attempt, element: &Element) -> Result<Next, Failure> {
        let data =
            element.get_child("additional-data", ns::SASL2).and_then(|data| mechanism::decode(&data.text()));
        attempt.choice.exchange.succeeded(data.as_deref())?;
        let claimed =
            element.get_child("authorization-identifier", ns::SASL2).map(Element::text).unwrap_or_default();
        let claimed = address::parse(claimed.trim())
            .ok_or_else(|| Failure::Nonsense("success without an address".into()))?;
        if claimed.to_bare() != self.login.jid {
            return Err(Failure::Untrusted("the server logged us in as somebody else".into()));
        }
        let token = element.get_child("token", ns::FAST).and_then(|token| {
            Some(FastToken {
                mechanism: attempt
                    .requested
                    .map(str::to_owned)
                    .or_else(|| attempt.by_token.then(|| attempt.choice.mechanism.clone()))?,
                // Everybody knows the empty one.
                token: token.attr("token").filter(|token| !token.is_empty())?.to_owned(),
            })
        });
        let Choice { mechanism, pins, .. } = attempt.choice;
        let mut logged_in = LoggedIn { mechanism, pins, token, refused: None };
        if let Some(resumed) = element.get_child("resumed", ns::SM) {
            if !attempt.resume {
                return Err(Failure::Nonsense("resumed a session that nobody asked for".into()));
            }
            if let (Ok(claimed), Some(resume)) = (claimed.try_into_full(), &self.login.resume)
                && claimed != resume.jid
            {
                return Err(Failure::OtherSession("it is bound to another address".into()));
            }
            return self.resumed(logged_in, resumed, None);
        }
        let bound = element.get_child("bound", ns::BIND2);
        if bound.is_some() && attempt.bind.is_none() {
            return Err(Failure::Nonsense("bound although nobody asked for it".into()));
        }
        let failed = element
            .get_child("failed", ns::SM)
            .or_else(|| bound.and_then(|bound| bound.get_child("failed", ns::SM)));
        logged_in.refused = failed.filter(|_| self.login.resume.is_some()).map(refused);
        match (bound, claimed.try_into_full()) {
            (Some(bound), Ok(jid)) => {
                let asked_for_sm = attempt.bind.is_some_and(|asked| asked.sm);
                let sm = bound.get_child("enabled", ns::SM).filter(|_| asked_for_sm).map(enabled);
                let refused = logged_in.refused.take();
                // ejabberd 24.12 turns carbons on and does not say so: having asked must do.
                let carbons = attempt.bind.is_some_and(|asked| asked.carbons);
                Ok(self.online(logged_in, jid, Session::Bound { sm, refused }, None, carbons))
            }
            (Some(_), Err(_)) => Err(Failure::Nonsense("bound without an address".into())),
            // The stream is not restarted; what it offers now comes by itself (XEP-0388 §2.6.3).
            _ => Ok(Next::State(State::LoggedIn(logged_in))),
        }
    }

    fn failure(
        &mut self,
        attempt: &Attempt,
        element: &Element,
        rng: &mut dyn RngCore,
    ) -> Result<Next, Failure> {
        let condition = element
            .children()
            .find(|child| child.has_ns(ns::SASL))
            .map_or("undefined-condition", Element::name);
        let text = element.children().find(|child| child.name() == "text").map(|text| words(&text.text()));
        // RFC 6120 §6.5: these say something about the account or the server, and nothing about the token.
        let passing = matches!(condition, "temporary-auth-failure" | "account-disabled" | "aborted");
        if attempt.by_token && !passing {
            // STREAM 4: a refused token is no wrong password. XEP-0388 allows another attempt on the same stream.
            self.token_refused = true;
            return self.authenticate(rng);
        }
        let about_binding = text.as_deref().is_some_and(|text| text.to_ascii_lowercase().contains("channel"));
        Err(match condition {
            // Prosody 13.0 says no more than this to a client that was shown less than there is.
            "malformed-request" if attempt.choice.says_unbound => Failure::Untrusted(
                "the server refuses a login that is not bound to the channel, and offers no other: its offer was changed".into(),
            ),
            // Prosody 13.0 says malformed-request, others not-authorized.
            _ if about_binding => Failure::Untrusted(text.unwrap_or_default()),
            "not-authorized" | "credentials-expired" => Failure::WrongPassword,
            condition => Failure::Refused { condition: words(condition), text },
        })
    }

    fn logged_in(
        &mut self,
        mut logged_in: LoggedIn,
        features: Features,
        rng: &mut dyn RngCore,
    ) -> Result<Next, Failure> {
        match self.login.resume.clone() {
            Some(resume) if features.sm && logged_in.refused.is_none() => {
                self.flight(resume_tag(&resume).into_bytes());
                Ok(Next::State(State::Resuming(logged_in, features)))
            }
            _ => {
                let refused = logged_in.refused.take();
                self.bind(logged_in, features, refused, rng)
            }
        }
    }

    fn resuming(
        &mut self,
        logged_in: LoggedIn,
        features: Features,
        element: &Element,
        rng: &mut dyn RngCore,
    ) -> Result<Next, Failure> {
        if element.is("resumed", ns::SM) {
            self.resumed(logged_in, element, Some(features))
        } else if element.is("failed", ns::SM) {
            self.bind(logged_in, features, Some(refused(element)), rng)
        } else {
            Ok(Next::State(State::Resuming(logged_in, features)))
        }
    }

    fn resumed(
        &mut self,
        logged_in: LoggedIn,
        element: &Element,
        features: Option<Features>,
    ) -> Result<Next, Failure> {
        let resume = self
            .login
            .resume
            .clone()
            .ok_or_else(|| Failure::Nonsense("resumed a session that nobody asked for".into()))?;
        if element.attr("previd") != Some(resume.previd.as_str()) {
            return Err(Failure::OtherSession("it has another name".into()));
        }
        // Asked again it would say the same again, so it counts as another session.
        let h = number(element.attr("h"))
            .ok_or_else(|| Failure::OtherSession("it does not say how far it came".into()))?;
        Ok(self.online(logged_in, resume.jid, Session::Resumed { h }, features, false))
    }

    fn bind(
        &mut self,
        logged_in: LoggedIn,
        features: Features,
        refused: Option<Refused>,
        rng: &mut dyn RngCore,
    ) -> Result<Next, Failure> {
        if !features.bind {
            return Err(Failure::Nonsense("the server offers no address".into()));
        }
        // RFC 6120 §7.7: a resource that nobody can guess, under the name that the user gave.
        let resource = self.login.resource.as_ref().map(|name| format!("{name}.{:08x}", rng.next_u32()));
        let bind =
            Tag::with_ns("bind", ns::BIND).child_opt(resource.map(|name| Tag::new("resource").text(name)));
        self.flight(Tag::new("iq").attr("type", "set").attr("id", BIND_ID).child(bind).into_bytes());
        Ok(Next::State(State::Binding(logged_in, features, refused)))
    }

    fn binding(
        &mut self,
        logged_in: LoggedIn,
        features: Features,
        refused: Option<Refused>,
        element: &Element,
    ) -> Result<Next, Failure> {
        if !element.is("iq", ns::JABBER_CLIENT) || element.attr("id") != Some(BIND_ID) {
            return Ok(Next::State(State::Binding(logged_in, features, refused)));
        }
        if element.attr("type") == Some("error") {
            let error = element.get_child("error", ns::JABBER_CLIENT);
            let condition =
                error.into_iter().flat_map(Element::children).find(|child| child.has_ns(ns::STANZA_ERRORS));
            return Err(Failure::Refused {
                condition: words(condition.map_or("undefined-condition", Element::name)),
                text: None,
            });
        }
        let jid = element
            .get_child("bind", ns::BIND)
            .and_then(|bind| bind.get_child("jid", ns::BIND))
            .map(Element::text);
        let jid = jid
            .and_then(|jid| address::parse(jid.trim())?.try_into_full().ok())
            .ok_or_else(|| Failure::Nonsense("bound without an address".into()))?;
        if jid.to_bare() != self.login.jid {
            return Err(Failure::Untrusted("the server bound us to somebody else's address".into()));
        }
        if features.sm {
            self.flight(Tag::with_ns("enable", ns::SM).attr("resume", "true").into_bytes());
            Ok(Next::State(State::Enabling(logged_in, features, refused, jid)))
        } else {
            Ok(self.online(logged_in, jid, Session::Bound { sm: None, refused }, Some(features), false))
        }
    }

    fn online(
        &self,
        logged_in: LoggedIn,
        jid: FullJid,
        session: Session,
        features: Option<Features>,
        carbons: bool,
    ) -> Next {
        let LoggedIn { mechanism, pins, token, .. } = logged_in;
        Next::Online(Box::new(Negotiated {
            jid,
            session,
            token,
            token_refused: self.token_refused,
            mechanism,
            pins,
            offer: self.offer.clone(),
            features,
            carbons,
            flights: self.flights,
        }))
    }

    fn flight(&mut self, bytes: Vec<u8>) {
        self.flights += 1;
        self.outs.push(Out::Write(bytes));
    }

    /// Once encrypted, the stream says whose it is (RFC 6120 §4.7.1): Prosody offers FAST only to those who do.
    fn open(&self) -> Vec<u8> {
        let from = if self.encrypted {
            format!(" from='{}'", escaped(self.login.jid.as_str()))
        } else {
            String::new()
        };
        format!(
            "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' version='1.0' xml:lang='en' to='{}'{from}>",
            ns::JABBER_CLIENT,
            ns::STREAM,
            escaped(self.login.jid.domain().as_str()),
        )
        .into_bytes()
    }
}

/// Reads a stream error (RFC 6120 §4.9).
pub fn stream_error(element: &Element) -> Failure {
    let mut children = element.children().filter(|child| child.has_ns(ns::STREAM_ERRORS));
    let condition = children.find(|child| child.name() != "text");
    if let Some(place) = condition.filter(|c| c.name() == "see-other-host").map(Element::text)
        && let Some(place) = Place::parse(&place)
    {
        return Failure::Elsewhere(place);
    }
    let condition = words(condition.map_or("undefined-condition", Element::name));
    let text = element.get_child("text", ns::STREAM_ERRORS).map(|text| words(&text.text()));
    Failure::Refused { condition, text }
}

fn resume_tag(resume: &Resume) -> Tag {
    Tag::with_ns("resume", ns::SM).attr("h", resume.h.to_string()).attr("previd", &resume.previd)
}

fn enabled(element: &Element) -> Enabled {
    let resumable = matches!(element.attr("resume"), Some("true" | "1"));
    Enabled {
        id: element.attr("id").filter(|_| resumable).map(str::to_owned),
        location: element.attr("location").filter(|_| resumable).and_then(Place::parse),
    }
}

/// `h` is optional here (XEP-0198 §5), whatever libraries think. Prosody 13.0 wraps the condition into an `<error/>`.
fn refused(element: &Element) -> Refused {
    let condition = element
        .children()
        .flat_map(|child| std::iter::once(child).chain(child.children()))
        .find(|child| child.has_ns(ns::STANZA_ERRORS) && child.name() != "text")
        .map_or("undefined-condition", Element::name);
    Refused { h: number(element.attr("h")), condition: words(condition) }
}

/// What the server says about a failure is shown and kept, and may be a megabyte.
fn words(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape_into(&mut out, text);
    out
}

fn number(text: Option<&str>) -> Option<u32> {
    text.and_then(|text| text.trim().parse().ok())
}

#[cfg(test)]
mod tests;
