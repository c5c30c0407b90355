//! A new account on a server (XEP-0077), with an invitation or without (XEP-0445).
//!
//! There is no account yet, so there is no file either, and nothing to be kept: the server is asked on a stream of its own,
//! which ends with the account that it has made, or with this object. What the stream says is decided in
//! `whimbrel_proto::negotiation::registration`.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

use tokio::time;
use whimbrel_engine::{Input, LinkFailure, LinkId, Tls};
use whimbrel_proto::negotiation::{
    Event, Failure, Out, StreamHeader,
    registration::{Form, Progress, Registration as Machine, Step},
};

use crate::{
    Account, Address, Client, Connection, Error,
    driver::feed,
    net::{connect::Route, framing::Framer, io::Wire},
};

/// Time for each answer of the server's.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that was asked for an account and wants to know something. Dropping it ends the stream; nothing is left of it.
pub struct Registration {
    client: Client,
    connection: Connection,
    address: Address,
    form: Form,
    open: Option<Open>,
}

/// As long as the stream lives.
struct Open {
    stream: Stream,
    machine: Box<Machine>,
}

struct Stream {
    route: Route,
    domain: String,
    /// `None`: TLS failed.
    wire: Option<Wire>,
    framer: Framer,
    rest: Vec<u8>,
    ready: VecDeque<Input>,
}

/// What a server has said.
enum Said {
    Asked(Box<Machine>, Form),
    Done,
    Refused(Box<Machine>, Error),
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("form", &self.form).finish_non_exhaustive()
    }
}

impl Registration {
    pub(crate) async fn begin(
        client: Client,
        address: Address,
        token: Option<&str>,
        connection: Connection,
    ) -> Result<Self, Error> {
        let domain = address.domain().to_string();
        connection.check()?;
        let route = client.route(&connection)?;
        let mut is_first = true;
        loop {
            let (mut stream, tls) = Stream::open(route.clone(), domain.clone()).await?;
            let step = Machine::start(&domain, token.map(str::to_owned), tls);
            return match stream.follow(step).await {
                Ok(Said::Asked(machine, form)) => {
                    Ok(Self { client, connection, address, form, open: Some(Open { stream, machine }) })
                }
                Err(Error::Offline) if is_first && stream.wire.is_none() => {
                    // It did not encrypt. Another host of the domain may, and is the first one now.
                    is_first = false;
                    continue;
                }
                Ok(Said::Refused(_, error)) | Err(error) => Err(error),
                Ok(Said::Done) => Err(nonsense("an account for nothing")),
            };
        }
    }

    /// What the server wants to know. The field `username` is what stands before the `@`.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Answers, by the names of the fields, and signs in with the account that the server makes of it. Where it refuses, another
    /// answer can be given on the same form. Pictures are answered once: where they have to be looked at again, the
    /// server is to be asked anew.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where something is missing, or the invitation is for another name; [`Error::ServerRefused`] as
    /// the server says: `conflict` where the name is taken, `not-acceptable` for a wrong answer or a weak password;
    /// [`Error::Offline`] and [`Error::TimedOut`] where the stream has ended: the server may have made the account all the same, and
    /// signing in tells. Else the server has made it: as [`Client::add_account`], and [`Error::Suspended`] where the client is by
    /// then; it is to be added and signed in to. As [`Account::sign_in`] where it does not go on trying.
    pub async fn submit(&mut self, answers: &BTreeMap<String, String>) -> Result<Account, Error> {
        let invalid = |what: String| Error::InvalidInput { what };
        let answer = |name: &str| {
            let field = self.form.fields.iter().find(|field| field.name == name);
            answers.get(name).cloned().or_else(|| field.and_then(|field| field.value.clone()))
        };
        if let Some(name) = self.form.missing(answers).next() {
            return Err(invalid(format!("\"{name}\" is missing")));
        }
        let (Some(name), Some(password)) = (answer("username"), answer("password")) else {
            return Err(invalid("a name and a password are needed".into()));
        };
        let address: Address = format!("{name}@{}", self.address.domain())
            .parse()
            .map_err(|error| invalid(format!("not a name: {error}")))?;
        if address.node().is_none_or(|node| self.address.node().is_some_and(|meant| meant != node)) {
            return Err(invalid(format!("the invitation is for {}", self.address)));
        }
        let Open { mut stream, machine } = self.open.take().ok_or(Error::Offline)?;
        match stream.follow(machine.submit(&self.form, answers)).await? {
            Said::Done => {}
            Said::Refused(machine, error) => {
                self.open = Some(Open { stream, machine });
                return Err(error);
            }
            Said::Asked(..) => return Err(nonsense("a question for an answer")),
        }
        drop(stream);
        let account = self.client.add_account(address, self.connection.clone()).await?;
        match account.sign_in(&password).await {
            // It goes on trying, and its status tells how.
            Ok(()) | Err(Error::Offline | Error::NotFound | Error::ServerRefused { .. }) => Ok(account),
            Err(error) => Err(error),
        }
    }
}

impl Stream {
    async fn open(route: Route, domain: String) -> Result<(Self, Option<Tls>), Error> {
        let (wire, tls) = route.clone().connect(domain.clone(), None).await.map_err(lost)?;
        let (framer, rest, ready) = (Framer::new(), Vec::new(), VecDeque::new());
        Ok((Self { route, domain, wire: Some(wire), framer, rest, ready }, tls))
    }

    /// Until the server has said something that a person has to know.
    async fn follow(&mut self, mut step: Step) -> Result<Said, Error> {
        loop {
            let mut is_to_secure = false;
            for out in step.outs {
                match out {
                    Out::Write(bytes) => {
                        if let Some(wire) = &mut self.wire {
                            wire.queue(&bytes);
                        }
                    }
                    Out::Restart => self.framer.restart(),
                    Out::StartTls => is_to_secure = true,
                }
            }
            let machine = match step.progress {
                Progress::Going(machine) => machine,
                Progress::Asked(machine, form) => return Ok(Said::Asked(machine, form)),
                Progress::Done => return Ok(Said::Done),
                Progress::Refused(machine, refusal) => {
                    let error = Error::ServerRefused { condition: refusal.condition, text: refusal.text };
                    return Ok(Said::Refused(machine, error));
                }
                Progress::Failed(failure) => return Err(failed(failure)),
            };
            step = match is_to_secure {
                true => machine.handle(Event::Secured(self.secure().await?)),
                false => match time::timeout(PATIENCE, self.next()).await.map_err(|_| Error::TimedOut)?? {
                    Input::Header { .. } => machine.handle(Event::Header(&StreamHeader::default())),
                    Input::Element { element, .. } => machine.handle(Event::Element(&element)),
                    Input::TooMuch { .. } => return Err(nonsense("more than can be read")),
                    _ => return Err(Error::Offline),
                },
            };
        }
    }

    async fn secure(&mut self) -> Result<Tls, Error> {
        if !self.rest.is_empty() || !self.ready.is_empty() {
            return Err(Error::Untrusted { what: "plaintext behind the beginning of encryption".into() });
        }
        let wire = self.wire.take().ok_or(Error::Offline)?;
        let (wire, tls) = self.route.clone().upgrade(wire, self.domain.clone()).await.map_err(lost)?;
        self.wire = Some(wire);
        Ok(tls)
    }

    async fn next(&mut self) -> Result<Input, Error> {
        loop {
            if let Some(input) = self.ready.pop_front() {
                return Ok(input);
            }
            let link = LinkId(0);
            let bytes = match std::mem::take(&mut self.rest) {
                rest if !rest.is_empty() => rest,
                _ => match self.wire.as_mut().ok_or(Error::Offline)?.read().await {
                    Ok([]) | Err(_) => return Err(Error::Offline),
                    Ok(bytes) => bytes.to_vec(),
                },
            };
            if let Some(why) = feed(link, &mut self.framer, &bytes, &mut self.rest, &mut self.ready)
                && self.ready.is_empty()
            {
                return Err(lost(why));
            }
        }
    }
}

fn lost(why: LinkFailure) -> Error {
    match why {
        LinkFailure::Network(_) => Error::Offline,
        LinkFailure::NotFound(_) => Error::NotFound,
        LinkFailure::Untrusted(what) => Error::Untrusted { what },
        LinkFailure::Nonsense(detail) | LinkFailure::Choked { detail, .. } => {
            Error::ServerRefused { condition: "not-well-formed".into(), text: Some(detail) }
        }
    }
}

fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Untrusted(what) => Error::Untrusted { what },
        Failure::Refused { condition, text } => Error::ServerRefused { condition, text },
        Failure::Elsewhere(place) => {
            Error::ServerRefused { condition: "see-other-host".into(), text: Some(place.host) }
        }
        other => nonsense(&other.to_string()),
    }
}

fn nonsense(what: &str) -> Error {
    Error::ServerRefused { condition: "nonsense".into(), text: Some(what.into()) }
}
