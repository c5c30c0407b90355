//! Coming online, staying there, and losing the link (STREAM 1 to 9 and 14).
//!
//! What a login brings is stored in the transaction that believes it: pins, token, the address, the counters, what is to be
//! sent again and the gap that a fresh bind opens. Resumption is the normal path; every `<failed/>` means to bind anew.
//!
//! How soon it is tried again depends on what was said (RFC 6120 §4.9.3): after a cut at once, after a shutdown when others
//! have had their turn, after a refusal late. A server may send us elsewhere a few times, under the same certificate rules.

use minidom::Element;
use rusqlite::{OptionalExtension, params};
use whimbrel_proto::{
    features::Features,
    negotiation::{self, Failure, Login, Negotiated, Negotiation, Out, Progress, Resume, Tls},
    ns,
    place::Place,
    sm,
    sm::{Acks, StreamManagement},
};

use crate::{
    account::{Account, Archive, CatchingUp, Cx, Link, Online, Unchecked},
    api::{self, Event, Reply, Status},
    effect::Effect,
    error::Result,
    input::{Destination, Drained, LinkFailure, LinkId},
    mutants::{self, Mutant},
    outbox::{FIRST_WINDOW, sent_again},
    pulse::Pulse,
};

/// After a longer absence, or when more was replayed, the archive is asked what the server has dropped (STREAM 11).
const LONG_ABSENCE: u64 = 60_000;
const LONG_REPLAY: u32 = 50;
/// Time for one exchange of a login, in ms.
pub(crate) const LOGIN: u64 = 30_000;
/// Logins in a row that came to nothing, after which nothing is sent before it is offered.
const OPEN_EYES: u32 = 2;
/// A session that lasted this long was a good one, in ms.
const SETTLED: u64 = 20_000;
/// A connection that was usable this long may be tried again at once after a cut, in ms.
const USABLE: u64 = 1_000;
/// A session that lasted this long shows that the server wants us after all, in ms.
const WELCOME: u64 = 600_000;
/// A server that went down is left alone for between so many ms, so that not everybody is back at once.
const SHUTDOWN: (u64, u64) = (5_000, 30_000);
/// How often a server may send us elsewhere before it has let us stay.
const HOPS: u32 = 4;
/// Resumptions in a row that nobody acknowledged, after which the session is given up.
const DEAF: u32 = 2;
/// An idle link that comes into somebody's view is asked after so many ms.
const STALE: u64 = 10_000;

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Not by itself.
    Never,
    /// At once after a cut, else later each time.
    Usual,
    /// At once: the server told us where to go.
    AtOnce,
    /// Not before so many ms have passed.
    After(u64),
    /// The server does not want us.
    Late,
}

/// Where the next attempt leads, if not to where the domain says. Forgotten by a kill.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    next: Option<Place>,
    hops: u32,
    /// The attempt under way leads elsewhere.
    elsewhere: bool,
    /// The place where the session was to be resumed did not work.
    no_location: bool,
}

impl Account {
    pub(crate) fn connect(&mut self, cx: &mut Cx<'_>) {
        let link = self.new_link();
        self.retry = None;
        self.link = Link::Opening { link };
        let location = self.session.sm.as_ref().and_then(StreamManagement::location);
        let at = self.way.next.take().or_else(|| location.filter(|_| !self.way.no_location).cloned());
        self.way.elsewhere = at.is_some();
        cx.out.push(Effect::Connect { link, destination: Destination { account: self.jid.clone(), at } });
    }

    pub(crate) fn link_up(&mut self, cx: &mut Cx<'_>, link: LinkId, tls: Option<Tls>) -> Result<()> {
        if !matches!(&self.link, Link::Opening { link: current } if *current == link) {
            return Ok(());
        }
        let resume = self.session.sm.as_ref().and_then(|sm| {
            let h = sm.handled() + u32::from(mutants::on(Mutant::ResumedWithOneTooMany));
            Some(Resume { previd: sm.id()?.to_owned(), h, jid: self.session.jid.clone()? })
        });
        let login = Login {
            jid: self.jid.clone(),
            resource: self.resource.clone(),
            password: self.password_to_try(),
            token: self.login.token.clone(),
            user_agent: self.user_agent,
            software: self.config.software.clone(),
            resume,
            use_bind2: self.login.archive == Archive::Always,
            pins: self.login.pins,
            allow_plain: self.allow_plain,
            offer: self.login.offer.clone(),
            invalidate: self.waiting.leaving.is_some(),
        };
        let login = if login.invalidate {
            Login { password: None, resume: None, use_bind2: false, ..login }
        } else {
            login
        };
        let step = Negotiation::start(login, tls);
        self.negotiated_step(cx, link, step, cx.now.mono)
    }

    pub(crate) fn negotiate(
        &mut self,
        cx: &mut Cx<'_>,
        link: LinkId,
        event: negotiation::Event<'_>,
    ) -> Result<()> {
        if !matches!(&self.link, Link::Negotiating { link: current, .. } if *current == link) {
            return Ok(());
        }
        let Link::Negotiating { negotiation, began, .. } = std::mem::replace(&mut self.link, Link::Down)
        else {
            return Ok(());
        };
        let step = negotiation.handle(event, cx.rng);
        self.negotiated_step(cx, link, step, began)
    }

    fn negotiated_step(
        &mut self,
        cx: &mut Cx<'_>,
        link: LinkId,
        step: negotiation::Step,
        began: u64,
    ) -> Result<()> {
        for out in step.outs {
            cx.out.push(match out {
                Out::Write(bytes) => Effect::Send { link, bytes },
                Out::StartTls => Effect::StartTls { link },
                Out::Restart => Effect::RestartStream { link },
            });
        }
        let is_let_in = match &step.progress {
            Progress::Going(negotiation) => negotiation.is_logged_in(),
            Progress::Online(_) => true,
            Progress::Failed(_) => false,
        };
        if is_let_in && self.waiting.leaving.is_some() {
            // By that the server has forgotten the token.
            cx.out.push(Effect::Close { link });
            self.went_offline(cx, None, "signed out".into(), Again::Never);
            return Ok(());
        }
        match step.progress {
            Progress::Going(negotiation) => {
                self.link = Link::Negotiating { link, negotiation, began, deadline: cx.now.mono + LOGIN };
                Ok(())
            }
            Progress::Online(negotiated) => {
                let took = cx.now.mono.saturating_sub(began);
                let round_trip = took / u64::from(negotiated.flights.max(1));
                self.came_online(cx, link, *negotiated, round_trip)
            }
            Progress::Failed(failure) => {
                cx.out.push(Effect::Hangup { link });
                self.login_failed(cx, failure)
            }
        }
    }

    fn login_failed(&mut self, cx: &mut Cx<'_>, failure: Failure) -> Result<()> {
        if let Failure::Elsewhere(place) = failure {
            self.sent_elsewhere(cx, place);
            return Ok(());
        }
        // What was pipelined may have been what went wrong: begin with open eyes next time.
        if self.login.offer.take().is_some() {
            self.save_login(cx)?;
        }
        if matches!(failure, Failure::WrongPassword) && self.tries_old_password() {
            // Nobody who waits hears of it.
            self.connect(cx);
            return Ok(());
        }
        let detail = failure.to_string();
        let refused = |condition: &str, text| api::Error::ServerRefused { condition: condition.into(), text };
        let (error, again) = match failure {
            Failure::WrongPassword | Failure::NoPassword => (api::Error::WrongPassword, Again::Never),
            Failure::Untrusted(what) => (api::Error::Untrusted { what }, self.distrust()),
            Failure::Refused { condition, text } => {
                let again = after(&condition, cx);
                (api::Error::ServerRefused { condition, text }, again)
            }
            Failure::Nonsense(what) => (refused("nonsense", Some(what)), Again::Usual),
            Failure::OtherSession(what) => {
                self.forget_session();
                (refused("other-session", Some(what)), Again::Usual)
            }
            Failure::Elsewhere(place) => (refused("see-other-host", Some(place.host)), Again::Usual),
        };
        self.went_offline(cx, Some(error), detail, again);
        Ok(())
    }

    /// RFC 6120 §4.9.3.19. What is expected there is what is expected anywhere: encryption, and our domain's certificate.
    fn sent_elsewhere(&mut self, cx: &mut Cx<'_>, place: Place) {
        let error =
            api::Error::ServerRefused { condition: "see-other-host".into(), text: Some(place.host.clone()) };
        let again = if self.way.hops < HOPS {
            self.way.hops += 1;
            self.way.next = Some(place);
            Again::AtOnce
        } else {
            self.way = Way::default();
            Again::Late
        };
        self.went_offline(cx, Some(error), "the server sends us elsewhere".into(), again);
    }

    /// What is not to be trusted is not tried again by itself; but where somebody else's word led there, the own way is.
    fn distrust(&self) -> Again {
        if self.way.elsewhere { Again::Late } else { Again::Never }
    }

    pub(crate) fn forget_session(&mut self) {
        self.session.sm = None;
        self.session.deaf = 0;
        self.session.dirty = true;
    }

    fn came_online(
        &mut self,
        cx: &mut Cx<'_>,
        link: LinkId,
        negotiated: Negotiated,
        round_trip: u64,
    ) -> Result<()> {
        let mut pulse = Pulse::new(cx.now.mono, round_trip);
        pulse.matters(cx.now.mono);
        self.way = Way { hops: self.way.hops, ..Way::default() };
        self.link = Link::Online(Online {
            link,
            since: cx.now.mono,
            heard_before: self.session.seen_at,
            heard: cx.now.wall,
            pulse,
            unacknowledged: 0,
            ask: false,
            answer: false,
            written: 0,
            window: FIRST_WINDOW,
            replayed: None,
        });
        self.deadlines = None;
        let CatchingUp { checked, compared, smaller, opened, .. } = self.catching_up;
        let checked = checked.or(Some(cx.now.mono));
        self.catching_up = CatchingUp { checked, compared, smaller, opened, ..CatchingUp::default() };
        self.told = None;
        self.session.dirty = true;
        self.login.pins = negotiated.pins;
        self.login.offer = Some(negotiated.offer);
        if negotiated.token_refused {
            self.login.token = None;
        }
        if let Some(token) = negotiated.token {
            self.login.token = Some(token);
        }
        if let Some(features) = &negotiated.features {
            self.learn(features);
        }
        self.save_login(cx)?;
        let (resumed, refused) = match negotiated.session {
            negotiation::Session::Resumed { h } => {
                let h = match &self.session.sm {
                    Some(sm) if mutants::on(Mutant::DroppedOnResumption) => sm.sent() as u32,
                    _ => h,
                };
                let before = self.acknowledged();
                if !self.handle_ack(cx, h)? {
                    return self.lost_count(cx, link);
                }
                let acknowledged = self.acknowledged();
                if acknowledged > before {
                    // What the last connection wrote was read, even if it ended before the answer came.
                    self.session.deaf = 0;
                }
                self.void_what_is_late(cx)?;
                sent_again(cx)?;
                if let Link::Online(online) = &mut self.link {
                    // What is above goes out again at the end of this step, the same bytes (STREAM 11).
                    online.written = acknowledged;
                    // What the last connection took says nothing about this one.
                    online.window = FIRST_WINDOW;
                    online.replayed = Some(0);
                }
                self.mark_unchecked(cx)?;
                self.catching_up.resumed = true;
                self.queries_were_cut();
                self.catch_up(cx)?;
                self.say_push(cx)?;
                self.tell_soon(cx);
                self.ask_what_waited(cx)?;
                (true, None)
            }
            negotiation::Session::Bound { sm, refused } => {
                let condition = refused.as_ref().map(|refused| refused.condition.clone());
                if let Some(h) = refused.as_ref().and_then(|refused| refused.h) {
                    self.handle_ack(cx, h)?;
                }
                self.requeue(cx)?;
                self.session.jid = Some(negotiated.jid);
                self.session.deaf = 0;
                self.session.sm = Some(match sm {
                    Some(enabled) => StreamManagement::new(enabled.id).located(enabled.location),
                    None => StreamManagement::pinged(),
                });
                // The catch-up of a new session is a check of its own, but for what an earlier one left unchecked.
                self.session.checked_at = if self.session.unchecked.is_some() { 0 } else { cx.now.wall };
                if self.login.roster_ver.is_none() {
                    // Else a server says only what has changed by its own count.
                    self.everything_is_compared(cx.now);
                }
                self.session.choked_at = None;
                cx.tx.execute("DELETE FROM presence", [])?;
                // Who asks is said to every session anew (RFC 6121 §3.1.3), and who does not any more was perhaps answered elsewhere.
                cx.touched.contacts |= cx.tx.execute("DELETE FROM subscription_request", [])? > 0;
                let typed = "UPDATE conversation SET chat_state = NULL WHERE chat_state IS NOT NULL";
                cx.touched.conversations |= cx.tx.execute(typed, [])? > 0;
                self.push_begins_anew(cx)?;
                if !mutants::on(Mutant::GapOpenedLater) {
                    self.bound_anew(cx)?;
                }
                self.greet(cx, negotiated.carbons)?;
                (false, condition)
            }
        };
        let by_token = negotiated.mechanism.starts_with("HT-");
        self.logged_in_with(cx, by_token)?;
        // A new session is taken for active; a resumed one is told in any case, since servers differ (XEP-0352 §5).
        if resumed || !self.foreground {
            self.send_csi(cx);
        }
        if let Link::Online(online) = &mut self.link {
            online.ask = true;
        }
        let after_start = std::mem::replace(&mut self.after_start, false);
        cx.event(Event::Online {
            resumed,
            after_start,
            round_trips: negotiated.flights,
            mechanism: negotiated.mechanism,
            refused,
        });
        for request in std::mem::take(&mut self.waiting.sign_in) {
            cx.reply(request, Ok(Reply::Done));
        }
        cx.touched.contacts = true;
        Ok(())
    }

    /// `h` that nobody could send: the session cannot be trusted to lose nothing, so it is given up and bound anew.
    fn lost_count(&mut self, cx: &mut Cx<'_>, link: LinkId) -> Result<()> {
        self.forget_session();
        cx.out.push(Effect::Close { link });
        let error = api::Error::ServerRefused { condition: "impossible-ack".into(), text: None };
        let detail = "the server acknowledged what was never sent".into();
        self.went_offline(cx, Some(error), detail, Again::Usual);
        Ok(())
    }

    /// The old session stays unchecked from where it was first resumed, until the archive was asked (STREAM 11).
    fn mark_unchecked(&mut self, cx: &Cx<'_>) -> Result<()> {
        if self.session.unchecked.is_none() || mutants::on(Mutant::UncheckedForgotten) {
            self.session.unchecked = self.coverage(cx)?;
        }
        Ok(())
    }

    pub(crate) fn coverage(&self, cx: &Cx<'_>) -> Result<Option<Unchecked>> {
        Ok(cx
            .tx
            .query_row(
                "SELECT last_id, position, last_at FROM coverage WHERE archive = ?1",
                params![self.jid.as_str()],
                |row| {
                    let position = row.get(1)?;
                    Ok(Unchecked { after: row.get(0)?, position, edge: Some(position), at: row.get(2)? })
                },
            )
            .optional()?)
    }

    /// The first ack behind a resumption: everything that the server had kept has come.
    fn replay_ended(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let Link::Online(online) = &mut self.link else { return Ok(()) };
        let Some(replayed) = online.replayed.take() else { return Ok(()) };
        if std::mem::take(&mut self.session.deaf) > 0 {
            self.session.dirty = true;
        }
        let away = cx.now.wall.abs_diff(online.heard_before);
        if replayed >= LONG_REPLAY || away >= LONG_ABSENCE {
            self.check_for_dropped(cx)?;
        }
        Ok(())
    }

    /// What is offered behind a login.
    fn learn(&mut self, features: &Features) {
        self.login.max_stanza = features.max_bytes;
        self.login.csi = features.csi;
        self.login.pre_approval = features.pre_approval;
    }

    /// What is neither message, presence nor iq.
    pub(crate) fn nonza(&mut self, cx: &mut Cx<'_>, element: &Element) -> Result<()> {
        if element.is("r", ns::SM) {
            if let Link::Online(online) = &mut self.link {
                online.answer = true;
            }
        } else if element.is("a", ns::SM) {
            let h = element.attr("h").and_then(|h| h.trim().parse().ok());
            let counted = self.session.sm.as_ref().is_some_and(|sm| sm.acks() == Acks::Counted);
            if let Some(h) = h.filter(|_| counted)
                && !self.handle_ack(cx, h)?
                && let Some(link) = self.current_link()
            {
                return self.lost_count(cx, link);
            }
            self.answered_by(cx, self.acknowledged())?;
            self.replay_ended(cx)?;
        } else if element.is("features", ns::STREAM) {
            let knew = self.login.csi;
            self.learn(&Features::read(element));
            self.save_login(cx)?;
            if !knew && !self.foreground {
                self.send_csi(cx);
            }
        } else if element.is("error", ns::STREAM) {
            let failure = negotiation::stream_error(element);
            let detail = failure.to_string();
            if let Some(link) = self.current_link() {
                cx.out.push(Effect::Hangup { link });
            }
            match failure {
                Failure::Elsewhere(place) => self.sent_elsewhere(cx, place),
                Failure::Refused { condition, text } => {
                    let suspected = self.stream_error(cx, &condition)?;
                    if condition == "conflict" {
                        // Another device has this session now. It keeps it; we get another, under another resource.
                        self.forget_session();
                    }
                    // What may be the fault of a stanza of ours is told apart by trying.
                    let again = if suspected { Again::Usual } else { after(&condition, cx) };
                    let error = api::Error::ServerRefused { condition, text };
                    self.went_offline(cx, Some(error), detail, again);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The server has read everything up to this number of ours.
    pub(crate) fn answered_by(&mut self, cx: &Cx<'_>, number: u64) -> Result<()> {
        let Link::Online(online) = &mut self.link else { return Ok(()) };
        let idle = online.pulse.answered(number, cx.now.mono);
        self.link_survived(cx, idle)
    }

    /// What was asked was not answered in time.
    pub(crate) fn fell_silent(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        self.ends_unanswered(true);
        self.link_died(cx)?;
        self.give_up_link(cx, "the server fell silent");
        Ok(())
    }

    /// Prosody 13.0 reads a resumed stream with the parser of the one that was cut. Where half a stanza was left in it, no
    /// resumption of this session will ever be answered, and none may live long enough to show it. A link that was silent at
    /// once may just have died, and where one was cut the answer may have been on its way: twice in a row is enough.
    fn ends_unanswered(&mut self, silent: bool) {
        let Some(online) = self.online().filter(|online| online.replayed.is_some()) else { return };
        let is_deaf = online.pulse.is_deaf();
        if silent || (is_deaf && online.written > self.acknowledged()) {
            self.session.deaf += 1;
            self.session.dirty = true;
            if (silent && is_deaf) || self.session.deaf >= DEAF {
                self.forget_session();
            }
        }
    }

    fn acknowledged(&self) -> u64 {
        self.session.sm.as_ref().map_or(0, StreamManagement::acknowledged)
    }

    pub(crate) fn link_lost(&mut self, cx: &mut Cx<'_>, link: LinkId, why: &LinkFailure) -> Result<()> {
        if self.current_link() != Some(link) {
            return Ok(());
        }
        match why {
            LinkFailure::Network(detail) => {
                self.ends_unanswered(false);
                // Some middleboxes answer a probe behind too long a silence by a reset.
                self.link_died(cx)?;
                self.went_offline(cx, None, detail.clone(), Again::Usual);
            }
            LinkFailure::NotFound(detail) => {
                self.went_offline(cx, Some(api::Error::NotFound), detail.clone(), Again::Usual);
            }
            LinkFailure::Untrusted(what) => {
                let error = api::Error::Untrusted { what: what.clone() };
                self.went_offline(cx, Some(error), what.clone(), self.distrust());
            }
            LinkFailure::Nonsense(detail) => self.choked(cx, detail, None)?,
            LinkFailure::Choked { detail, stanza } => self.choked(cx, detail, Some(stanza))?,
        }
        Ok(())
    }

    /// Something that cannot be read would come again with every resumption: the second time behind the same stanza the session is
    /// given up (STREAM 21). If the archive has it, it is stepped past, or the next session would ask for it again.
    fn choked(&mut self, cx: &mut Cx<'_>, detail: &str, stanza: Option<&Drained>) -> Result<()> {
        let online = self.online().is_some();
        if let (true, Some(sm)) = (online, &self.session.sm) {
            let handled = Some(sm.handled_in_all());
            if self.session.choked_at == handled {
                self.forget_session();
            }
            self.session.choked_at = handled;
            self.session.dirty = true;
        }
        let condition = "not-well-formed".into();
        let error = api::Error::ServerRefused { condition, text: Some(detail.to_owned()) };
        self.went_offline(cx, Some(error), detail.to_owned(), Again::Usual);
        match stanza.filter(|_| online) {
            Some(stanza) => self.choked_on_a_result(cx, stanza),
            None => Ok(()),
        }
    }

    /// The server's footer ends the session: it has forgotten it, and says so when we try to resume.
    pub(crate) fn stream_closed(&mut self, cx: &mut Cx<'_>, link: LinkId) -> Result<()> {
        if self.current_link() == Some(link) {
            self.give_up_link(cx, "the server closed the stream");
        }
        Ok(())
    }

    /// Hangs up a connection that nobody else has ended, and tries again as after a cut.
    pub(crate) fn give_up_link(&mut self, cx: &mut Cx<'_>, why: &str) {
        if let Some(link) = self.current_link() {
            cx.out.push(Effect::Hangup { link });
            self.went_offline(cx, None, why.to_owned(), Again::Usual);
        }
    }

    pub(crate) fn went_offline(
        &mut self,
        cx: &mut Cx<'_>,
        error: Option<api::Error>,
        detail: String,
        again: Again,
    ) {
        if matches!(self.link, Link::Negotiating { .. }) && self.back_off.attempts() >= OPEN_EYES {
            // Whoever hangs up without a word may not like what was sent before it was offered.
            self.login.offer = None;
        }
        let lasted = self.online().map(|online| cx.now.mono.saturating_sub(online.since));
        let heard = self.online().filter(|online| online.pulse.is_proven()).map(|online| online.heard);
        let proven = heard.is_some();
        if let Some(heard) = heard {
            self.session.seen_at = heard;
            self.session.dirty = true;
        }
        if lasted.is_none() && self.way.elsewhere && again != Again::AtOnce {
            // It did not work there; nor will it the next time.
            self.way = Way { hops: self.way.hops, no_location: true, ..Way::default() };
        }
        self.link = Link::Down;
        self.deadlines = None;
        self.retry = None;
        if again == Again::Never || !self.wanted {
            self.barred = self.wanted && matches!(error, Some(api::Error::Untrusted { .. }));
            self.way = Way::default();
            self.wanted = false;
        }
        // Without a network the platform says when there is one again; until then every attempt is a wake-up for nothing.
        let there_is_none = self.network.as_ref().is_some_and(|network| !network.available);
        let next_attempt = (self.wanted && !there_is_none).then(|| {
            let wait = self.wait(cx, again, error.is_none(), lasted.filter(|_| proven));
            self.retry = Some(cx.now.mono + wait);
            cx.now.wall + wait as i64
        });
        let reason = error.as_ref().map_or("network", |error| error.kind()).to_owned();
        // A sign-in waits for what only the user can change; the network may come back by itself.
        let answer = error.clone().unwrap_or(api::Error::Offline);
        for request in std::mem::take(&mut self.waiting.sign_in) {
            cx.reply(request, Err(answer.clone()));
        }
        let waiting = &mut self.waiting;
        let asked = waiting.take_asked();
        for request in asked.chain(std::mem::take(&mut waiting.password)) {
            cx.reply(request, Err(api::Error::Offline));
        }
        if let Some(request) = self.waiting.leaving.take() {
            cx.reply(request, Ok(Reply::Done));
        }
        // The same failure on every attempt is told once.
        let told = (reason.clone(), detail.clone());
        if lasted.is_some() || self.told.as_ref() != Some(&told) {
            cx.event(Event::Offline { reason, detail: detail.clone() });
        }
        self.told = Some(told);
        cx.touched.contacts = true;
        self.status = Status::Offline { reason: error, detail, next_attempt };
        cx.out.push(Effect::Status(self.status.clone()));
    }

    /// How long until the next attempt, in ms. `lasted`: the session that ended, if the server was seen to read in it. A link
    /// that lets a login through and nothing behind it is none to come back to at once.
    fn wait(&mut self, cx: &mut Cx<'_>, again: Again, cut: bool, lasted: Option<u64>) -> u64 {
        let lasted = |least: u64| lasted.is_some_and(|lasted| lasted >= least);
        // After a cut, try at once: cuts are the normal case. A server that throws us out each time is no cut.
        let cut = cut && lasted(USABLE);
        if cut || lasted(SETTLED) {
            self.back_off.reset();
        }
        if lasted(SETTLED) && again != Again::AtOnce {
            self.way.hops = 0;
        }
        if lasted(WELCOME) {
            self.refusals.reset();
        }
        match again {
            _ if mutants::on(Mutant::NoBackOff) => 0,
            Again::AtOnce | Again::Never => 0,
            Again::Usual if cut => 0,
            Again::Usual => self.back_off.next_wait(cx.rng),
            Again::After(least) => self.back_off.next_wait(cx.rng).max(least),
            Again::Late => self.refusals.next_wait(cx.rng),
        }
    }

    pub(crate) fn set_foreground(&mut self, cx: &mut Cx<'_>, foreground: bool) -> Result<()> {
        if self.foreground != foreground {
            self.foreground = foreground;
            self.send_csi(cx);
            // Whoever looks at the screen wants to know whether it is true.
            if let Link::Online(online) = &mut self.link
                && foreground
                && cx.now.mono >= online.pulse.last_traffic() + STALE
            {
                online.pulse.matters(cx.now.mono);
                online.ask = true;
            }
        }
        Ok(())
    }

    fn send_csi(&self, cx: &mut Cx<'_>) {
        if let Some(online) = self.online().filter(|_| self.login.csi) {
            let name = if self.foreground { "active" } else { "inactive" };
            let bytes = format!("<{name} xmlns='{}'/>", ns::CSI).into_bytes();
            cx.out.push(Effect::Send { link: online.link, bytes });
        }
    }

    /// Acknowledge what was handled and hang up: the session stays on the server.
    pub(crate) fn suspend(&mut self, cx: &mut Cx<'_>) {
        if let Link::Online(online) = &self.link
            && let Some(sm) = self.session.sm.as_ref().filter(|sm| sm.acks() == Acks::Counted)
        {
            cx.out.push(Effect::Send { link: online.link, bytes: sm::ack(sm.handled()).into_bytes() });
        }
        (self.wanted, self.barred) = (false, false);
        if let Some(link) = self.current_link() {
            cx.out.push(Effect::Hangup { link });
            self.went_offline(cx, None, "suspended".into(), Again::Never);
        }
    }

    pub(crate) fn compute_status(&self, cx: &Cx<'_>) -> Result<Status> {
        Ok(match &self.link {
            Link::Down => match &self.status {
                // Where nobody wants it any more it does not go on by itself.
                Status::Offline { reason, detail, next_attempt } => Status::Offline {
                    reason: reason.clone(),
                    detail: detail.clone(),
                    next_attempt: next_attempt.filter(|_| self.wanted),
                },
                _ => Status::Offline { reason: None, detail: String::new(), next_attempt: None },
            },
            Link::Opening { .. } | Link::Negotiating { .. } => Status::Connecting,
            // Of an archive that is not there nothing is fetched.
            Link::Online(_) if self.login.archive == Archive::Unknown => Status::Online,
            Link::Online(_) => match crate::catch_up::progress(cx.tx)? {
                Some((done, total)) => Status::CatchingUp { done, total },
                None => Status::Online,
            },
        })
    }
}

/// What a stream error or a refusal means for the next attempt (RFC 6120 §4.9.3, §6.5).
fn after(condition: &str, cx: &mut Cx<'_>) -> Again {
    match condition {
        "system-shutdown" | "reset" => {
            let range = SHUTDOWN.1 - SHUTDOWN.0 + 1;
            Again::After(SHUTDOWN.0 + u64::from(cx.rng.next_u32()) % range)
        }
        "account-disabled"
        | "conflict"
        | "host-gone"
        | "host-unknown"
        | "policy-violation"
        | "resource-constraint" => Again::Late,
        _ => Again::Usual,
    }
}
