//! From a domain to an open connection (STREAM 1).
//!
//! Explicit host and port, or else SRV (`_xmpps-client` and `_xmpp-client`, RFC 6120 §3.2 and XEP-0368), or else the domain
//! itself on 5223 and 5222. Candidates race each other with a head start for the better one, and so do the addresses of one
//! host (RFC 8305, XEP-0495): a network that swallows a port costs seconds, and only once, as the last good candidate goes
//! first. Behind a SOCKS5 proxy nothing is resolved here. Names are turned to ASCII before anybody is asked (RFC 5891).

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    ResolveError, TokioResolver,
    config::{NameServerConfigGroup, ResolverConfig},
    name_server::TokioConnectionProvider,
    proto::{ProtoError, ProtoErrorKind, op::ResponseCode, rr::rdata::SRV},
};
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpStream,
    task::{JoinError, JoinSet},
    time,
};
use tokio_socks::tcp::Socks5Stream;
use whimbrel_engine::{LinkFailure, Place, Tls, panic_report};

use super::{
    io::{Stream, Wire},
    tcp::Tcp,
    tls::{self, Tls13},
};
use crate::Error;

/// Head start of one address before the next is tried (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);
/// Head start of one candidate before the next is tried. Much longer, as TLS is part of it.
const HEAD_START: Duration = Duration::from_secs(4);
/// Time for one host, TLS included.
const ATTEMPT: Duration = Duration::from_secs(20);
/// Time for one look-up of SRV records.
const LOOK_UP: Duration = Duration::from_secs(5);
/// It is asked once more beside that, since a datagram may be lost.
const ASKED_AGAIN: Duration = Duration::from_millis(1_500);
/// Servers for names that are asked at once.
const MAX_SERVERS: usize = 8;
/// A domain may name any number of hosts.
const MAX_CANDIDATES: usize = 16;
/// Logins in a row that may fail on a candidate before another one is tried.
const CHANCES: u32 = 2;

/// How an account connects. The default finds everything by the account's domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// A server given by hand, for intranets and tests: nothing is looked up.
    pub server: Option<Server>,
    /// `host:port` of a SOCKS5 proxy. Names are resolved by the proxy.
    pub proxy: Option<String>,
    /// Certificates to trust besides the platform's, as PEM. Not looked at on Android.
    pub certificates: Option<String>,
    /// The only keys that the server may have, as SHA-256 of the public key in its certificate (SubjectPublicKeyInfo) in
    /// hexadecimal. Where there are any, they are what is trusted, and no authority, name or date in a certificate is looked
    /// at. A key that is withdrawn is taken out of the list.
    pub keys: Vec<String>,
    /// What the user calls this device; part of the full address.
    pub resource: Option<String>,
    /// Allows a server that knows nothing better to see the password itself, over verified TLS (RFC 4616).
    pub allow_plain: bool,
}

impl Connection {
    /// What is wrong with it, before it is kept. What a file has is tried as it is.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.proxy.as_deref().filter(|proxy| !is_place(proxy)) {
            Some(proxy) => Err(Error::InvalidInput { what: format!("{proxy} is not host:port") }),
            None => Route::new(self).map(drop),
        }
    }
}

/// A server given by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS from the first byte (XEP-0368), and not by STARTTLS.
    pub direct_tls: bool,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones come first.
    pub priority: u16,
    /// Among equals, how often one is the first.
    pub weight: u16,
    /// TCP port.
    pub port: u16,
    /// The host, in ASCII; "." says that there is no such service.
    pub target: String,
}

impl Srv {
    fn is_none(&self) -> bool {
        self.host().is_empty()
    }

    fn host(&self) -> &str {
        self.target.trim_end_matches('.')
    }
}

/// Looks up SRV records by the platform's own means, which may know more of names than the network's servers do: a VPN's, private
/// DNS.
pub trait Resolver: Send + Sync {
    /// The records of a name such as `_xmpp-client._tcp.example.org`, in any order; none where there are none. Called on threads
    /// that may block, and waited for five seconds at most.
    ///
    /// # Errors
    /// Any, which is no proof that there are none: what was found before is tried, or else the domain itself.
    fn srv(&self, name: &str) -> Result<Vec<Srv>, Error>;
}

impl std::fmt::Debug for dyn Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

/// How to get there.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    server: Option<Server>,
    proxy: Option<String>,
    tls: Tls13,
    names: Names,
    /// Somebody has answered what the domain names, or it was not asked.
    is_sure: bool,
    order: Arc<Mutex<Order>>,
}

/// Whom to ask for SRV records.
#[derive(Clone, Debug)]
enum Names {
    Platform(Arc<dyn Resolver>),
    /// The network's servers for names; none: the system's own.
    Servers(Vec<IpAddr>),
}

/// Whether it is `host:port`, an address of IPv6 in brackets.
fn is_place(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', '@', ' ', '[']),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// What earlier attempts have shown.
#[derive(Debug, Default)]
struct Order {
    last_good: Option<Server>,
    /// The candidate of the last connection, until it has let us in; whether that is encrypted.
    unproven: Option<Server>,
    is_encrypted: bool,
    /// Who was encrypted last and did not let us in, and how often in a row.
    missed: Option<(Server, u32)>,
    /// It answered, and then did not go on: it comes last.
    set_back: Vec<Server>,
    /// What the domain has named last.
    named: Vec<Server>,
    /// Candidates of the last connection that it has not seen fail.
    hopes: Vec<Server>,
    /// Its certificate was not to be trusted, after STARTTLS, which is too late to go on with the next one at once.
    distrusted: Vec<Server>,
}

impl Order {
    /// The last candidate never let us in. There is no hurry to find out why: others are tried first. Behind encryption a login may
    /// have died with a bad link, so it has a second chance.
    fn set_back_unproven(&mut self) {
        let Some(server) = self.unproven.take() else { return };
        if std::mem::take(&mut self.is_encrypted) {
            let before = self.missed.take().filter(|(missed, _)| *missed == server);
            let times = before.map_or(1, |(_, times)| times + 1);
            if times < CHANCES {
                self.missed = Some((server, times));
                return;
            }
        }
        if self.last_good.as_ref() == Some(&server) {
            self.last_good = None;
        }
        self.set_back.retain(|other| *other != server);
        self.set_back.push(server);
    }

    fn encrypted(&mut self) {
        self.is_encrypted = true;
        self.distrusted.clear();
    }

    fn let_in(&mut self) {
        self.is_encrypted = false;
        if let Some(server) = self.unproven.take() {
            self.missed = None;
            self.set_back.retain(|other| *other != server);
            self.last_good = Some(server);
        }
    }

    /// What was named before stands in for what nobody has answered now.
    fn named(&mut self, named: Named) -> Vec<Server> {
        let Named { mut servers, by_records, is_sure } = named;
        if !is_sure && !self.named.is_empty() {
            servers.retain(|_| by_records);
            let others = self.named.iter().filter(|other| !servers.contains(other));
            let others: Vec<Server> = others.cloned().collect();
            servers.extend(others);
        }
        if by_records {
            self.named.clone_from(&servers);
        } else if is_sure {
            self.named.clear();
        }
        servers
    }

    fn failed(&mut self, server: &Server) {
        self.hopes.retain(|other| other != server);
    }

    /// Whether nothing else is left to try: then it is said, and all of them have their chance again. One that is distrusted comes
    /// last, so where it has won once more the others had their turn: one that is silent is not seen to fail.
    fn distrust(&mut self, server: &Server) -> bool {
        let is_last =
            self.distrusted.contains(server) || self.hopes.iter().all(|hope| self.distrusted.contains(hope));
        if is_last {
            self.distrusted.clear();
        } else {
            self.distrusted.push(server.clone());
        }
        is_last
    }
}

impl Route {
    pub(crate) fn new(connection: &Connection) -> Result<Self, Error> {
        let invalid =
            |what: String| Error::InvalidInput { what: format!("the certificates to trust: {what}") };
        let extra = connection.certificates.as_deref().map(tls::read_pem).transpose().map_err(invalid)?;
        let keys = connection.keys.iter().map(|key| tls::read_key(key)).collect::<Option<Vec<_>>>();
        let keys = keys.ok_or_else(|| invalid("a key is not 64 hexadecimal digits".into()))?;
        let tls = Tls13::new(&extra.unwrap_or_default(), keys).map_err(|what| Error::Untrusted { what })?;
        Ok(Self {
            server: connection.server.clone(),
            proxy: connection.proxy.clone(),
            tls,
            names: Names::Servers(Vec::new()),
            is_sure: true,
            order: Arc::default(),
        })
    }

    /// SRV records are asked of the platform, and of no servers.
    pub(crate) fn ask_the_platform(&mut self, resolver: Arc<dyn Resolver>) {
        self.names = Names::Platform(resolver);
    }

    /// SRV records are asked of these from now on, or of the system's own servers if there are none.
    pub(crate) fn ask_names_of(&mut self, servers: &[IpAddr]) {
        if let Names::Servers(names) = &mut self.names {
            *names = servers.to_vec();
        }
    }

    /// Tries the candidates. A certificate that is not to be trusted ends it only if nothing else works.
    ///
    /// `at` is where a server of this domain sent us. The certificate that is expected there is the domain's all the same.
    pub(crate) async fn connect(
        mut self,
        domain: String,
        at: Option<Place>,
    ) -> Result<(Wire, Option<Tls>), LinkFailure> {
        let domain = ascii(&domain)?;
        let candidates = match (at, &self.server) {
            (Some(place), _) => self.elsewhere(&place)?,
            (None, Some(server)) => vec![server.clone()],
            (None, None) if self.proxy.is_some() => fallback(&domain),
            (None, None) => {
                let named = candidates(&domain, &self.names).await?;
                self.is_sure = named.is_sure;
                self.order(|order| order.named(named))
            }
        };
        self.connect_to(candidates, &domain).await
    }

    /// Nobody says whether a place wants TLS from the first byte. The usual ports do; others are taken for what they are where
    /// we were sent away. Trying both would hide that a certificate is not to be trusted.
    fn elsewhere(&self, place: &Place) -> Result<Vec<Server>, LinkFailure> {
        let host = ascii(&place.host)?;
        let Some(port) = place.port else { return Ok(fallback(&host)) };
        let direct_tls = match port {
            5222 => false,
            5223 => true,
            _ => {
                let last = |order: &mut Order| order.unproven.clone().or(order.last_good.clone());
                self.server.clone().or_else(|| self.order(last)).is_some_and(|server| server.direct_tls)
            }
        };
        Ok(vec![Server { host, port, direct_tls }])
    }

    async fn connect_to(
        self,
        mut candidates: Vec<Server>,
        domain: &str,
    ) -> Result<(Wire, Option<Tls>), LinkFailure> {
        self.order(|order| {
            order.set_back_unproven();
            let last_good = order.last_good.as_ref();
            // A stable sort: among equals the order is the one that was found.
            candidates.sort_by_key(|candidate| {
                match order.set_back.iter().position(|other| other == candidate) {
                    Some(at) => at + 2,
                    None => usize::from(Some(candidate) != last_good),
                }
            });
        });
        candidates.truncate(MAX_CANDIDATES);
        self.order(|order| order.hopes.clone_from(&candidates));
        let attempt = |server: Server| {
            let (route, domain) = (self.clone(), domain.to_owned());
            async move {
                let attempt = time::timeout(ATTEMPT, route.attempt(&server, &domain)).await;
                let silence = || Err(LinkFailure::Network(format!("{} does not answer", server.host)));
                let attempt = attempt.unwrap_or_else(|_| silence());
                if attempt.is_err() {
                    route.order(|order| order.failed(&server));
                }
                attempt.map(|connected| (server, connected))
            }
        };
        match race(candidates, HEAD_START, attempt).await {
            Ok((server, connected)) => {
                self.order(|order| {
                    (order.unproven, order.is_encrypted) = (Some(server), false);
                    if connected.1.is_some() {
                        order.encrypted();
                    }
                });
                Ok(connected)
            }
            Err(failures) => {
                let untrusted = |failure: &LinkFailure| matches!(failure, LinkFailure::Untrusted(_));
                let network = |failure: &LinkFailure| matches!(failure, LinkFailure::Network(_));
                let worst = failures.iter().position(untrusted).or(failures.iter().position(network));
                let none = || LinkFailure::NotFound(format!("{domain} offers no XMPP"));
                Err(failures.into_iter().nth(worst.unwrap_or(0)).unwrap_or_else(none))
            }
        }
    }

    /// An attempt that is under way ends for a reason that is not the server's.
    pub(crate) fn is_given_up(&self) {
        self.order(|order| (order.unproven, order.is_encrypted) = (None, false));
    }

    /// The server has let us in.
    pub(crate) fn is_let_in(&self) {
        self.order(Order::let_in);
    }

    fn order<T>(&self, work: impl FnOnce(&mut Order) -> T) -> T {
        work(&mut self.order.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn attempt(&self, server: &Server, domain: &str) -> Result<(Wire, Option<Tls>), LinkFailure> {
        let tcp = match &self.proxy {
            Some(proxy) => {
                let tcp = reach(proxy).await?;
                Socks5Stream::connect_with_socket(tcp, (server.host.as_str(), server.port))
                    .await
                    .map_err(|error| LinkFailure::Network(format!("the proxy: {error}")))?
                    .into_inner()
            }
            None => self.open(server).await?,
        };
        tcp.set_nodelay(true).map_err(network)?;
        let tcp = Tcp(tcp);
        if server.direct_tls {
            let (stream, facts) = self.tls.secure(tcp, domain, true).await?;
            Ok((Wire::new(Stream::Tls(Box::new(stream))), Some(facts)))
        } else {
            Ok((Wire::new(Stream::Plain(tcp)), None))
        }
    }

    async fn open(&self, server: &Server) -> Result<TcpStream, LinkFailure> {
        let Server { host, port, .. } = server;
        let Ok(found) = tokio::net::lookup_host((host.as_str(), *port)).await else {
            return Err(if self.does_not_exist(host).await {
                LinkFailure::NotFound(format!("there is no host {host}"))
            } else {
                LinkFailure::Network(format!("{host} cannot be looked up"))
            });
        };
        open_first(in_turn(found)).await.map_err(|failures| {
            let none = || LinkFailure::NotFound(format!("{host} has no address"));
            failures.into_iter().next_back().unwrap_or_else(none)
        })
    }

    /// Whether a host that could not be looked up is shown not to be there. The platform's error does not show it: without a network
    /// Android's and Apple's say what they say of a name that nobody has. Of a domain that may name others a missing address
    /// shows nothing either.
    async fn does_not_exist(&self, host: &str) -> bool {
        match &self.names {
            // It can look up names now.
            Names::Platform(resolver) => {
                self.is_sure && ask(Arc::clone(resolver), format!("_xmpp-client._tcp.{host}")).await.is_some()
            }
            Names::Servers(servers) => {
                let Some(resolver) = resolver(servers) else { return false };
                let ask = || {
                    let (resolver, host) = (resolver.clone(), format!("{host}."));
                    async move {
                        match resolver.lookup_ip(host).await {
                            Ok(_) => Ok(None),
                            Err(error) => no_records(&error).map(Some).ok_or_else(|| unanswered(&error)),
                        }
                    }
                };
                match ask_twice(ask).await.flatten() {
                    Some(ResponseCode::NXDomain) => true,
                    Some(_) => self.is_sure,
                    None => false,
                }
            }
        }
    }

    /// After `<proceed/>`. A certificate that is not to be trusted is a failure of the network as long as another candidate may
    /// do better: the next connection goes there.
    pub(crate) async fn upgrade(self, wire: Wire, domain: String) -> Result<(Wire, Tls), LinkFailure> {
        let Stream::Plain(tcp) = wire.stream else {
            return Err(LinkFailure::Nonsense("TLS inside of TLS".into()));
        };
        let domain = ascii(&domain)?;
        let silence = || Err(LinkFailure::Network("the server does not go on with TLS".into()));
        let result = time::timeout(ATTEMPT, self.tls.secure(tcp, &domain, false)).await;
        let result = result.unwrap_or_else(|_| silence());
        let result = self.order(|order| {
            let Some(server) = order.unproven.clone() else { return result };
            if result.is_ok() {
                order.encrypted();
                return result;
            }
            order.set_back_unproven();
            order.failed(&server);
            match result {
                Err(LinkFailure::Untrusted(what)) if !order.distrust(&server) => {
                    Err(LinkFailure::Network(what))
                }
                other => other,
            }
        });
        result.map(|(stream, facts)| (Wire::new(Stream::Tls(Box::new(stream))), facts))
    }
}

/// The first that works. Each has a head start before the next, which begins at once where one fails.
async fn race<A, T, F>(
    runners: impl IntoIterator<Item = A>,
    head_start: Duration,
    run: impl Fn(A) -> F,
) -> Result<T, Vec<LinkFailure>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, LinkFailure>> + Send + 'static,
{
    let mut waiting = runners.into_iter().peekable();
    let mut racing = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        if let Some(next) = waiting.next() {
            racing.spawn(run(next));
        }
        tokio::select! {
            finished = racing.join_next() => match finished {
                Some(Ok(Ok(won))) => return Ok(won),
                Some(Ok(Err(failure))) => failures.push(failure),
                Some(Err(ended)) => failures.push(panicked(ended)),
                None => return Err(failures),
            },
            () = time::sleep(head_start), if waiting.peek().is_some() => {}
        }
    }
}

/// On a task of its own, which ends with this. A panic is a failure as well: whoever waits for a connection is told.
pub(crate) async fn caught<T: Send + 'static>(
    work: impl Future<Output = Result<T, LinkFailure>> + Send + 'static,
) -> Result<T, LinkFailure> {
    let mut task = JoinSet::new();
    task.spawn(work);
    let ended = task.join_next().await.expect("it was spawned");
    ended.unwrap_or_else(|ended| Err(panicked(ended)))
}

fn panicked(ended: JoinError) -> LinkFailure {
    let report = ended.try_into_panic().map_or("given up".into(), |panic| panic_report(&*panic));
    tracing::error!(%report, "connecting failed");
    LinkFailure::Network(format!("a bug: {report}"))
}

/// Looked up on another thread: this one is all that the account has.
async fn reach(proxy: &str) -> Result<TcpStream, LinkFailure> {
    let failed = |what: &dyn std::fmt::Display| LinkFailure::Network(format!("the proxy {proxy}: {what}"));
    let found = tokio::net::lookup_host(proxy).await.map_err(|error| failed(&error))?;
    open_first(in_turn(found)).await.map_err(|failures| match failures.into_iter().next_back() {
        Some(LinkFailure::Network(what)) => failed(&what),
        Some(other) => other,
        None => failed(&"it has no address"),
    })
}

/// All addresses of a host, v6 and v4 in turn.
fn in_turn(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (six, four): (Vec<SocketAddr>, Vec<SocketAddr>) = found.partition(SocketAddr::is_ipv6);
    let mut addresses = Vec::new();
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    loop {
        match (six.next(), four.next()) {
            (None, None) => return addresses,
            (a, b) => addresses.extend(a.into_iter().chain(b)),
        }
    }
}

async fn open_first(addresses: Vec<SocketAddr>) -> Result<TcpStream, Vec<LinkFailure>> {
    race(addresses, STAGGER, async |address| TcpStream::connect(address).await.map_err(network)).await
}

/// What a domain names.
struct Named {
    servers: Vec<Server>,
    /// By its records; else it is the domain itself.
    by_records: bool,
    /// Somebody has answered both questions.
    is_sure: bool,
}

async fn candidates(domain: &str, names: &Names) -> Result<Named, LinkFailure> {
    if domain.parse::<std::net::IpAddr>().is_ok() {
        return Ok(Named { servers: fallback(domain), by_records: false, is_sure: true });
    }
    let (direct, starttls) = (format!("_xmpps-client._tcp.{domain}"), format!("_xmpp-client._tcp.{domain}"));
    let (direct, starttls) = match names {
        Names::Platform(resolver) => {
            tokio::join!(ask(Arc::clone(resolver), direct), ask(Arc::clone(resolver), starttls))
        }
        Names::Servers(servers) => match resolver(servers) {
            Some(resolver) => tokio::join!(look_up(&resolver, direct), look_up(&resolver, starttls)),
            // A phone has no resolv.conf; without one the domain itself is tried, by the platform's own means.
            None => (None, None),
        },
    };
    let is_sure = direct.is_some() && starttls.is_some();
    let may_be_direct = direct.is_none();
    let (direct, starttls) = (direct.unwrap_or_default(), starttls.unwrap_or_default());
    let by_records = direct.iter().chain(&starttls).any(|srv| !srv.is_none());
    let servers = match choose(domain, direct, starttls, &mut rand::rng()) {
        // Only that it has nothing but that is said.
        Err(_) if may_be_direct => fallback(domain).into_iter().filter(|server| server.direct_tls).collect(),
        chosen => chosen?,
    };
    Ok(Named { servers, by_records, is_sure })
}

fn resolver(servers: &[IpAddr]) -> Option<TokioResolver> {
    let mut builder = if servers.is_empty() {
        hickory_resolver::Resolver::builder_tokio().ok()?
    } else {
        let servers = NameServerConfigGroup::from_ips_clear(servers, 53, true);
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        hickory_resolver::Resolver::builder_with_config(config, TokioConnectionProvider::default())
    };
    // Of several that are silent the others would have their turn too late.
    builder.options_mut().num_concurrent_reqs = MAX_SERVERS;
    Some(builder.build())
}

/// The records; `None` where nobody answers.
async fn look_up(resolver: &TokioResolver, name: String) -> Option<Vec<Srv>> {
    let ask = || {
        let (resolver, name) = (resolver.clone(), format!("{name}."));
        async move {
            match resolver.srv_lookup(name).await {
                Ok(found) => Ok(found.iter().map(record).collect()),
                Err(error) => no_records(&error).map(|_| Vec::new()).ok_or_else(|| unanswered(&error)),
            }
        }
    };
    ask_twice(ask).await
}

/// What the first of two answers to a question is, the second asked a little later; `None` where there is none in time.
async fn ask_twice<T, F>(ask: impl Fn() -> F) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, LinkFailure>> + Send + 'static,
{
    time::timeout(LOOK_UP, race([(), ()], ASKED_AGAIN, |()| ask())).await.ok()?.ok()
}

fn unanswered(error: &ResolveError) -> LinkFailure {
    LinkFailure::Network(error.to_string())
}

/// That somebody says that there are none, and how. One that fails, or refuses, says nothing of a name.
fn no_records(error: &ResolveError) -> Option<ResponseCode> {
    match error.proto().map(ProtoError::kind) {
        Some(ProtoErrorKind::NoRecordsFound {
            response_code: code @ (ResponseCode::NXDomain | ResponseCode::NoError),
            ..
        }) => Some(*code),
        _ => None,
    }
}

fn record(found: &SRV) -> Srv {
    Srv {
        priority: found.priority(),
        weight: found.weight(),
        port: found.port(),
        target: found.target().to_ascii(),
    }
}

/// What the platform answers, if it does. It is left to itself when it takes too long.
async fn ask(resolver: Arc<dyn Resolver>, name: String) -> Option<Vec<Srv>> {
    let asking = tokio::task::spawn_blocking(move || resolver.srv(&name));
    match time::timeout(LOOK_UP, asking).await {
        Ok(Ok(Ok(found))) => Some(found),
        _ => None,
    }
}

fn choose(
    domain: &str,
    direct: Vec<Srv>,
    starttls: Vec<Srv>,
    rng: &mut dyn RngCore,
) -> Result<Vec<Server>, LinkFailure> {
    // RFC 2782: a target of "." says that there is no such service.
    let none = |records: &[Srv]| records.iter().any(Srv::is_none);
    let (no_direct, no_starttls) = (none(&direct), none(&starttls));
    let direct = direct.into_iter().map(|srv| (true, srv));
    let mut found: Vec<(bool, Srv)> = direct.chain(starttls.into_iter().map(|srv| (false, srv))).collect();
    found.retain(|(_, srv)| !srv.is_none());
    if !found.is_empty() {
        return Ok(in_order(found, rng));
    }
    if no_starttls {
        return Err(LinkFailure::NotFound(format!("{domain} says that it has no XMPP")));
    }
    let mut servers = fallback(domain);
    servers.retain(|server| !(server.direct_tls && no_direct));
    Ok(servers)
}

/// By priority, within one by weight as RFC 2782 draws it; both services are one set (XEP-0368).
fn in_order(mut found: Vec<(bool, Srv)>, rng: &mut dyn RngCore) -> Vec<Server> {
    let mut servers = Vec::new();
    while let Some(priority) = found.iter().map(|(_, srv)| srv.priority).min() {
        let weight = |srv: &Srv| u32::from(srv.weight) + 1;
        let equal = found.iter().enumerate().filter(|(_, (_, srv))| srv.priority == priority);
        let mut draw = rng.random_range(0..equal.clone().map(|(_, (_, srv))| weight(srv)).sum());
        let mut chosen = 0;
        for (at, (_, srv)) in equal {
            chosen = at;
            match draw.checked_sub(weight(srv)) {
                Some(left) => draw = left,
                None => break,
            }
        }
        let (direct_tls, srv) = found.remove(chosen);
        servers.push(Server { host: srv.host().to_owned(), port: srv.port, direct_tls });
    }
    servers
}

/// The domain as DNS and certificates have it. An address of IPv6 stands in brackets in a JID (RFC 7622 §3.2).
fn ascii(domain: &str) -> Result<String, LinkFailure> {
    if let Some(address) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Ok(address.to_owned());
    }
    idna::domain_to_ascii(domain).map_err(|_| LinkFailure::NotFound(format!("{domain} is no domain")))
}

fn fallback(domain: &str) -> Vec<Server> {
    let server = |port, direct_tls| Server { host: domain.to_owned(), port, direct_tls };
    vec![server(5223, true), server(5222, false)]
}

fn network(error: std::io::Error) -> LinkFailure {
    LinkFailure::Network(error.to_string())
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};
    use tokio::net::TcpListener;

    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 5222, target: target.to_owned() }
    }

    fn hosts(direct: Vec<Srv>, starttls: Vec<Srv>, rng: &mut StdRng) -> Vec<String> {
        let servers = choose("montague.lit", direct, starttls, rng).unwrap();
        servers.into_iter().map(|server| server.host).collect()
    }

    #[test]
    fn lower_priority_goes_first_and_weight_decides_among_equals() {
        let mut rng = StdRng::seed_from_u64(1597);
        let mut heavy_first = 0;
        for _ in 0..1_000 {
            let direct = vec![srv(20, 0, "backup.lit."), srv(10, 90, "heavy.lit.")];
            let order = hosts(direct, vec![srv(10, 10, "light.lit."), srv(30, 0, "last.lit.")], &mut rng);
            assert_eq!(order[2..], ["backup.lit", "last.lit"]);
            heavy_first += usize::from(order[0] == "heavy.lit");
        }
        assert!((800..980).contains(&heavy_first), "{heavy_first}");
        // Weight 0 has a chance too, and nobody is lost.
        let zero = vec![srv(1, 0, "a.lit."), srv(1, 0, "b.lit."), srv(1, 65_535, "c.lit.")];
        assert_eq!(hosts(zero, Vec::new(), &mut rng).len(), 3);
    }

    #[test]
    fn domain_itself_is_tried_unless_it_says_that_there_is_nothing() {
        let mut rng = StdRng::seed_from_u64(1597);
        let mut choose = |direct, starttls| choose("montague.lit", direct, starttls, &mut rng);
        assert_eq!(choose(Vec::new(), Vec::new()).unwrap(), fallback("montague.lit"));
        assert_eq!(choose(vec![srv(0, 0, ".")], Vec::new()).unwrap(), fallback("montague.lit")[1..]);
        assert!(matches!(choose(Vec::new(), vec![srv(0, 0, ".")]), Err(LinkFailure::NotFound(_))));
        let real = choose(vec![srv(0, 0, ".")], vec![srv(0, 0, "xmpp.montague.lit.")]).unwrap();
        assert_eq!((real.len(), real[0].host.as_str()), (1, "xmpp.montague.lit"));
    }

    #[test]
    fn where_we_are_sent_is_tried_as_it_was_where_we_come_from_and_never_by_the_given_server() {
        let given = Server { host: "192.0.2.1".into(), port: 443, direct_tls: true };
        let route = Route::new(&Connection { server: Some(given), ..Connection::default() }).unwrap();
        let place = |text| Place::parse(text).unwrap();
        let elsewhere = |text| {
            let servers = route.elsewhere(&place(text)).unwrap().into_iter();
            servers.map(|server| (server.host, server.port, server.direct_tls)).collect::<Vec<_>>()
        };
        let east = || "east.montague.lit".to_owned();
        assert_eq!(elsewhere("east.montague.lit:444"), [(east(), 444, true)]);
        assert_eq!(elsewhere("east.montague.lit:5222"), [(east(), 5222, false)]);
        assert_eq!(elsewhere("east.montague.lit"), [(east(), 5223, true), (east(), 5222, false)]);
        assert_eq!(elsewhere("b\u{fc}cher.lit:1")[0].0, "xn--bcher-kva.lit");
    }

    #[test]
    fn names_are_asked_for_in_ascii() {
        assert_eq!(ascii("b\u{fc}cher.lit").unwrap(), "xn--bcher-kva.lit");
        assert_eq!(ascii("[2001:db8::1]").unwrap(), "2001:db8::1");
        assert_eq!(ascii("192.0.2.1").unwrap(), "192.0.2.1");
    }

    struct Platform {
        answers: bool,
    }

    impl Resolver for Platform {
        fn srv(&self, _: &str) -> Result<Vec<Srv>, Error> {
            if self.answers { Ok(Vec::new()) } else { Err(Error::Offline) }
        }
    }

    #[tokio::test]
    async fn name_is_not_there_only_if_somebody_who_answers_says_so() {
        let route = |names| Route { names, ..Route::new(&Connection::default()).unwrap() };
        for answers in [true, false] {
            let names = Names::Platform(Arc::new(Platform { answers }));
            assert_eq!(route(names).does_not_exist("montague.lit").await, answers);
        }
        // RFC 6761 §6.4: nobody need be asked about this one.
        let names = Names::Servers(vec![[192, 0, 2, 1].into()]);
        assert!(route(names).does_not_exist("montague.invalid").await);
    }

    #[test]
    fn what_was_named_before_stands_in_for_what_nobody_answers() {
        let server = |host: &str| Server { host: host.into(), port: 5223, direct_tls: true };
        let servers = |hosts: &[&str]| hosts.iter().map(|host| server(host)).collect::<Vec<_>>();
        let mut order = Order::default();
        let mut named = |hosts: &[&str], by_records, is_sure| {
            let named = order.named(Named { servers: servers(hosts), by_records, is_sure });
            named.into_iter().map(|server| server.host).collect::<Vec<_>>()
        };
        // Nobody has ever answered.
        assert_eq!(named(&["montague.lit"], false, false), ["montague.lit"]);
        assert_eq!(named(&["a.lit", "b.lit"], true, true), ["a.lit", "b.lit"]);
        assert_eq!(named(&["montague.lit"], false, false), ["a.lit", "b.lit"]);
        // Of two questions one was answered.
        assert_eq!(named(&["b.lit", "c.lit"], true, false), ["b.lit", "c.lit", "a.lit"]);
        assert_eq!(named(&["c.lit"], true, true), ["c.lit"]);
        assert_eq!(named(&["montague.lit"], false, true), ["montague.lit"]);
        assert_eq!(named(&["montague.lit"], false, false), ["montague.lit"]);
    }

    #[test]
    fn proxy_is_a_host_and_a_port() {
        for proxy in ["proxy.montague.lit:1080", "127.0.0.1:1080", "[::1]:1080"] {
            assert!(is_place(proxy), "{proxy}");
        }
        for proxy in [
            "",
            "127.0.0.1",
            "::1",
            ":1080",
            "proxy:",
            "proxy:0",
            "proxy:99999",
            "127.0.0.1:0",
            "[::1]:0",
            "socks5://proxy:1080",
        ] {
            assert!(!is_place(proxy), "{proxy}");
        }
    }

    /// An address where nobody ever answers: its backlog is full.
    fn dead() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
        let tcp = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let listener = tcp();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = (0..4).map(|_| {
            let socket = tcp();
            let _ = socket.connect(&address);
            socket
        });
        let waiting = waiting.collect();
        (listener, waiting, address.as_socket().unwrap())
    }

    #[tokio::test]
    async fn address_that_is_dead_does_not_keep_the_next_one_waiting() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let live = listener.local_addr().unwrap();
        let (_listener, _waiting, dead) = dead();
        let tcp = time::timeout(ATTEMPT, open_first(vec![dead, live])).await.unwrap().unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), live);
    }

    #[tokio::test]
    async fn panic_of_ours_is_a_failure_that_is_told() {
        let is_told = |failure: &LinkFailure| matches!(failure, LinkFailure::Network(what) if what.contains("on purpose"));
        let failures = race([()], STAGGER, async |()| -> Result<(), _> { panic!("on purpose") }).await;
        assert!(matches!(&failures.unwrap_err()[..], [failure] if is_told(failure)));
        let failure = caught::<()>(async { panic!("on purpose") }).await;
        assert!(is_told(&failure.unwrap_err()));
    }

    #[tokio::test]
    async fn candidate_that_is_dead_gives_way_and_the_last_good_one_goes_first() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let server = |address: SocketAddr| Server {
            host: address.ip().to_string(),
            port: address.port(),
            direct_tls: false,
        };
        let (_listener, _waiting, dead) = dead();
        let (live, dead) = (server(listener.local_addr().unwrap()), server(dead));
        let route = Route::new(&Connection::default()).unwrap();
        let connecting = route.clone().connect_to(vec![dead.clone(), live.clone()], "montague.lit");
        time::timeout(ATTEMPT, connecting).await.unwrap().unwrap();
        assert_eq!(route.order(|order| order.unproven.clone()), Some(live.clone()));
        route.is_let_in();
        // A third candidate shows the order: it would answer as well.
        let other = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let other = server(other.local_addr().unwrap());
        route.clone().connect_to(vec![other, dead, live.clone()], "montague.lit").await.unwrap();
        assert_eq!(route.order(|order| order.unproven.clone()), Some(live));
    }

    #[tokio::test]
    async fn candidate_that_answers_and_does_not_encrypt_comes_last_the_next_time() {
        let mut servers = Vec::new();
        let mut listeners = Vec::new();
        for _ in 0..3 {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let host = address.ip().to_string();
            servers.push(Server { host, port: address.port(), direct_tls: false });
            listeners.push(listener);
        }
        let route = Route::new(&Connection::default()).unwrap();
        // None of them ever encrypts: each has its turn, and then it is the first one's again.
        for attempt in 0..7 {
            route.clone().connect_to(servers.clone(), "montague.lit").await.unwrap();
            assert_eq!(route.order(|order| order.unproven.clone()), Some(servers[attempt % 3].clone()));
        }
        // One does, and is the first from then on.
        route.is_let_in();
        route.clone().connect_to(servers.clone(), "montague.lit").await.unwrap();
        assert_eq!(route.order(|order| order.unproven.clone()), Some(servers[0].clone()));
    }

    /// A host that takes every connection and encrypts at once, and the authority of its certificate.
    async fn encrypting() -> (Server, String) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["montague.lit".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let _ = acceptor.accept(tcp).await;
            }
        });
        let host = address.ip().to_string();
        (Server { host, port: address.port(), direct_tls: false }, cert.pem())
    }

    #[tokio::test]
    async fn certificate_of_one_host_that_is_not_to_be_trusted_ends_it_only_if_no_other_works() {
        let ((bad, _), (worse, _), (good, authority)) =
            (encrypting().await, encrypting().await, encrypting().await);
        let connection = Connection { certificates: Some(authority), ..Connection::default() };
        let route = || Route::new(&connection).unwrap();
        let reach = async |route: &Route, servers: [&Server; 2]| {
            let servers = servers.map(Server::clone).into();
            let (wire, _) = route.clone().connect_to(servers, "montague.lit").await.unwrap();
            route.clone().upgrade(wire, "montague.lit".into()).await.map(|_| ())
        };
        let is_untrusted = |result| matches!(result, Err(LinkFailure::Untrusted(_)));
        let is_network = |result| matches!(result, Err(LinkFailure::Network(_)));

        let one_is_good = route();
        assert!(is_network(reach(&one_is_good, [&bad, &good]).await));
        reach(&one_is_good, [&bad, &good]).await.unwrap();

        // Both have their chance before it is said, and then they have it again.
        let none_is_good = route();
        for _ in 0..2 {
            assert!(is_network(reach(&none_is_good, [&bad, &worse]).await));
            assert!(is_untrusted(reach(&none_is_good, [&bad, &worse]).await));
        }

        let gone = Server { host: "127.0.0.1".into(), port: 1, direct_tls: false };
        assert!(is_untrusted(reach(&route(), [&gone, &bad]).await));
    }

    #[tokio::test]
    async fn host_that_was_good_and_is_not_to_be_trusted_any_more_gives_way() {
        let ((bad, first), (good, authority)) = (encrypting().await, encrypting().await);
        let route = |certificates| {
            Route::new(&Connection { certificates: Some(certificates), ..Connection::default() }).unwrap()
        };
        let reach = async |route: &Route| {
            let servers = vec![bad.clone(), good.clone()];
            let (wire, _) = route.clone().connect_to(servers, "montague.lit").await.unwrap();
            route.clone().upgrade(wire, "montague.lit".into()).await.map(|_| ())
        };
        let before = route(first);
        reach(&before).await.unwrap();
        before.is_let_in();
        // Its certificate is another one.
        let route = Route { order: Arc::clone(&before.order), ..route(authority) };
        assert!(matches!(reach(&route).await, Err(LinkFailure::Network(_))));
        reach(&route).await.unwrap();
    }

    #[test]
    fn each_host_has_its_own_chances() {
        let server = |host: &str| Server { host: host.into(), port: 5223, direct_tls: true };
        let mut order = Order::default();
        let fails = |order: &mut Order, host: &str| {
            order.unproven = Some(server(host));
            order.encrypted();
            order.set_back_unproven();
        };
        for host in ["good.lit", "ill.lit", "good.lit"] {
            fails(&mut order, host);
        }
        assert_eq!(order.set_back, []);
        fails(&mut order, "good.lit");
        assert_eq!(order.set_back, [server("good.lit")]);
    }

    #[tokio::test]
    async fn certificate_that_is_not_to_be_trusted_is_told_beside_a_host_that_is_silent() {
        let ((bad, _), (_listener, _waiting, dead)) = (encrypting().await, dead());
        let dead = Server { host: dead.ip().to_string(), port: dead.port(), direct_tls: true };
        let route = Route::new(&Connection::default()).unwrap();
        let reach = async || {
            let servers = vec![dead.clone(), bad.clone()];
            let (wire, _) = route.clone().connect_to(servers, "montague.lit").await.unwrap();
            route.clone().upgrade(wire, "montague.lit".into()).await.map(|_| ())
        };
        // The silent one has its turn before the other is asked again.
        assert!(matches!(reach().await, Err(LinkFailure::Network(_))));
        assert!(matches!(reach().await, Err(LinkFailure::Untrusted(_))));
    }
}
