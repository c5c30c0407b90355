//! Coming online, staying there, and losing the link (STREAM 1 to 9 and 14).
//!
//! What a login brings is stored in the transaction that believes it: pins, token, the address, the counters, what is to be
//! sent again and the gap that a fresh bind opens. Resumption is the normal path; every `<failed/>` means to bind anew.

use minidom::Element;
use rusqlite::{OptionalExtension, params};
use whimbrel_proto::{
    features::Features,
    negotiation::{self, Failure, Login, Negotiated, Negotiation, Out, Progress, Resume, Tls},
    ns, sm,
    sm::{Acks, StreamManagement},
};

use crate::{
    account::{Account, Archive, CatchingUp, Cx, Link, Online, Unchecked},
    api::{self, Event, Reply, Status},
    effect::Effect,
    error::Result,
    input::{Destination, LinkFailure, LinkId, Now},
    mutants::{self, Mutant},
};

/// After a longer absence, or when more was replayed, the archive is asked what the server has dropped (STREAM 11).
const LONG_ABSENCE: u64 = 60_000;
const LONG_REPLAY: u32 = 50;
/// Time for one exchange of a login, in ms.
const LOGIN: u64 = 30_000;
/// A session that lasted this long was a good one, in ms.
const SETTLED: u64 = 20_000;
/// A connection that was usable this long may be tried again at once after a cut, in ms.
const USABLE: u64 = 1_000;

impl Account {
    pub(crate) fn connect(&mut self, cx: &mut Cx<'_>) {
        let link = self.new_link();
        self.retry = None;
        self.link = Link::Opening { link };
        cx.out.push(Effect::Connect { link, destination: Destination { account: self.jid.clone() } });
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
            password: self.password.clone(),
            token: self.login.token.clone(),
            user_agent: self.user_agent,
            software: self.config.software.clone(),
            resume,
            use_bind2: self.login.archive == Archive::Always,
            pins: self.login.pins,
            allow_plain: self.allow_plain,
            offer: self.login.offer.clone(),
        };
        let step = Negotiation::start(login, tls);
        self.negotiated_step(cx, link, step)
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
        let Link::Negotiating { negotiation, .. } = std::mem::replace(&mut self.link, Link::Down) else {
            return Ok(());
        };
        let step = negotiation.handle(event, cx.rng);
        self.negotiated_step(cx, link, step)
    }

    fn negotiated_step(&mut self, cx: &mut Cx<'_>, link: LinkId, step: negotiation::Step) -> Result<()> {
        for out in step.outs {
            cx.out.push(match out {
                Out::Write(bytes) => Effect::Send { link, bytes },
                Out::StartTls => Effect::StartTls { link },
                Out::Restart => Effect::RestartStream { link },
            });
        }
        match step.progress {
            Progress::Going(negotiation) => {
                self.link = Link::Negotiating { link, negotiation, deadline: cx.now.mono + LOGIN };
                Ok(())
            }
            Progress::Online(negotiated) => self.came_online(cx, link, *negotiated),
            Progress::Failed(failure) => {
                cx.out.push(Effect::Hangup { link });
                self.login_failed(cx, failure)
            }
        }
    }

    fn login_failed(&mut self, cx: &mut Cx<'_>, failure: Failure) -> Result<()> {
        // What was pipelined may have been what went wrong: begin with open eyes next time.
        if self.login.offer.take().is_some() {
            self.save_login(cx)?;
        }
        let detail = failure.to_string();
        let (error, retry) = match failure {
            Failure::WrongPassword | Failure::NoPassword => (api::Error::WrongPassword, false),
            Failure::Untrusted(what) => (api::Error::Untrusted { what }, false),
            Failure::Refused { condition, text } => (api::Error::ServerRefused { condition, text }, true),
            Failure::Nonsense(what) => {
                (api::Error::ServerRefused { condition: "nonsense".into(), text: Some(what) }, true)
            }
            Failure::OtherSession(what) => {
                self.session.sm = None;
                self.session.dirty = true;
                (api::Error::ServerRefused { condition: "other-session".into(), text: Some(what) }, true)
            }
        };
        self.went_offline(cx, Some(error), detail, retry);
        Ok(())
    }

    fn came_online(&mut self, cx: &mut Cx<'_>, link: LinkId, negotiated: Negotiated) -> Result<()> {
        self.link = Link::Online(Online {
            link,
            since: cx.now.mono,
            heard_before: self.session.seen_at,
            heard: cx.now.mono,
            moved: cx.now.mono,
            expecting: None,
            unacknowledged: 0,
            ask: false,
            answer: false,
            written: 0,
            replayed: None,
        });
        self.deadlines = None;
        self.catching_up = CatchingUp::default();
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
                if !self.handle_ack(cx, h)? {
                    return self.lost_count(cx, link);
                }
                let acknowledged = self.session.sm.as_ref().map_or(0, StreamManagement::acknowledged);
                if let Link::Online(online) = &mut self.link {
                    // What is above goes out again at the end of this step, the same bytes (STREAM 11).
                    online.written = acknowledged;
                    online.replayed = Some(0);
                }
                self.mark_unchecked(cx)?;
                self.catch_up(cx)?;
                (true, None)
            }
            negotiation::Session::Bound { sm, refused } => {
                let condition = refused.as_ref().map(|refused| refused.condition.clone());
                if let Some(h) = refused.as_ref().and_then(|refused| refused.h) {
                    self.handle_ack(cx, h)?;
                }
                self.requeue(cx)?;
                self.session.jid = Some(negotiated.jid);
                self.session.sm = Some(match sm {
                    Some(enabled) => StreamManagement::new(enabled.id),
                    None => StreamManagement::pinged(),
                });
                // The catch-up of a new session is a check of its own, but for what an earlier one left unchecked.
                self.session.checked_at = if self.session.unchecked.is_some() { 0 } else { cx.now.wall };
                self.session.choked_at = None;
                cx.tx.execute("DELETE FROM presence", [])?;
                if !mutants::on(Mutant::GapOpenedLater) {
                    self.bound_anew(cx)?;
                }
                self.greet(cx, negotiated.carbons)?;
                (false, condition)
            }
        };
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
        self.session.sm = None;
        self.session.dirty = true;
        cx.out.push(Effect::Close { link });
        let error = api::Error::ServerRefused { condition: "impossible-ack".into(), text: None };
        self.went_offline(cx, Some(error), "the server acknowledged what was never sent".into(), true);
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
                "SELECT last_id, position FROM coverage WHERE archive = ?1",
                params![self.jid.as_str()],
                |row| Ok(Unchecked { after: row.get(0)?, position: row.get(1)? }),
            )
            .optional()?)
    }

    /// The first ack behind a resumption: everything that the server had kept has come.
    fn replay_ended(&mut self, cx: &mut Cx<'_>) -> Result<()> {
        let Link::Online(online) = &mut self.link else { return Ok(()) };
        let Some(replayed) = online.replayed.take() else { return Ok(()) };
        online.expecting = None;
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
            if let Failure::Refused { condition, text } = failure {
                self.stream_error(cx, &condition)?;
                if let Some(link) = self.current_link() {
                    cx.out.push(Effect::Hangup { link });
                }
                self.went_offline(cx, Some(api::Error::ServerRefused { condition, text }), detail, true);
            }
        }
        Ok(())
    }

    pub(crate) fn link_lost(&mut self, cx: &mut Cx<'_>, link: LinkId, why: &LinkFailure) -> Result<()> {
        if self.current_link() != Some(link) {
            return Ok(());
        }
        match why {
            LinkFailure::Network(detail) => self.went_offline(cx, None, detail.clone(), true),
            LinkFailure::NotFound(detail) => {
                self.went_offline(cx, Some(api::Error::NotFound), detail.clone(), true)
            }
            LinkFailure::Untrusted(what) => {
                self.went_offline(
                    cx,
                    Some(api::Error::Untrusted { what: what.clone() }),
                    what.clone(),
                    false,
                );
            }
            LinkFailure::Nonsense(detail) => {
                // STREAM 21: the second time behind the same stanza it would come again with every resumption.
                let handled = self.session.sm.as_ref().map(StreamManagement::handled_in_all);
                if self.online().is_some() && handled.is_some() {
                    if self.session.choked_at == handled {
                        self.session.sm = None;
                    }
                    self.session.choked_at = handled;
                    self.session.dirty = true;
                }
                let error = api::Error::ServerRefused {
                    condition: "not-well-formed".into(),
                    text: Some(detail.clone()),
                };
                self.went_offline(cx, Some(error), detail.clone(), true);
            }
        }
        Ok(())
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
            self.went_offline(cx, None, why.to_owned(), true);
        }
    }

    pub(crate) fn went_offline(
        &mut self,
        cx: &mut Cx<'_>,
        error: Option<api::Error>,
        detail: String,
        retry: bool,
    ) {
        let lasted = self.online().map(|online| cx.now.mono.saturating_sub(online.since));
        if lasted.is_some() {
            self.session.seen_at = cx.now.wall;
            self.session.dirty = true;
        }
        self.link = Link::Down;
        self.deadlines = None;
        let next_attempt = (retry && self.wanted).then(|| {
            let cut = error.is_none() && lasted.is_some_and(|lasted| lasted >= USABLE);
            if cut || lasted.is_some_and(|lasted| lasted >= SETTLED) {
                self.back_off.reset();
            }
            // After a cut, try at once: cuts are the normal case. A server that throws us out each time is no cut.
            let wait =
                if cut || mutants::on(Mutant::NoBackOff) { 0 } else { self.back_off.next_wait(cx.rng) };
            self.retry = Some(cx.now.mono + wait);
            cx.now.wall + wait as i64
        });
        if next_attempt.is_none() {
            self.barred = self.wanted && matches!(error, Some(api::Error::Untrusted { .. }));
            self.wanted = false;
            self.retry = None;
        }
        let reason = error.as_ref().map_or("network", |error| error.kind()).to_owned();
        // A sign-in waits for what only the user can change; the network may come back by itself.
        let answer = error.clone().unwrap_or(api::Error::Offline);
        for request in std::mem::take(&mut self.waiting.sign_in) {
            cx.reply(request, Err(answer.clone()));
        }
        for request in std::mem::take(&mut self.waiting.older).into_values() {
            cx.reply(request, Err(api::Error::Offline));
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

    pub(crate) fn network(&mut self, cx: &mut Cx<'_>, available: bool) -> Result<()> {
        match (&self.link, available) {
            // What was not to be trusted may have been the network's own portal: another network is worth one attempt.
            (Link::Down, true) if self.wanted || self.barred => self.go_online(cx),
            // An attempt on the old network would only find out later.
            (Link::Opening { .. } | Link::Negotiating { .. }, true) => {
                self.give_up_link(cx, "another network");
                self.go_online(cx);
            }
            // Another network: the old connection may be dead without knowing. Probe it; silence ends it.
            (Link::Online(_), true) => {
                if let Link::Online(online) = &mut self.link {
                    online.ask = true;
                }
            }
            (Link::Down, _) => {}
            (_, false) => self.give_up_link(cx, "no network"),
        }
        Ok(())
    }

    pub(crate) fn set_foreground(&mut self, cx: &mut Cx<'_>, foreground: bool) -> Result<()> {
        if self.foreground != foreground {
            self.foreground = foreground;
            self.send_csi(cx);
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
            self.went_offline(cx, None, "suspended".into(), false);
        }
    }

    pub(crate) fn compute_status(&self, cx: &Cx<'_>) -> Result<Status> {
        Ok(match &self.link {
            Link::Down => match &self.status {
                status @ Status::Offline { .. } => status.clone(),
                _ => Status::Offline { reason: None, detail: String::new(), next_attempt: None },
            },
            Link::Opening { .. } | Link::Negotiating { .. } => Status::Connecting,
            Link::Online(_) => match crate::catch_up::progress(cx.tx)? {
                Some((done, total)) => Status::CatchingUp { done, total },
                None => Status::Online,
            },
        })
    }

    pub(crate) fn now_expecting(&mut self, now: Now) {
        if let Link::Online(online) = &mut self.link {
            online.expecting.get_or_insert(now.mono);
        }
    }
}
