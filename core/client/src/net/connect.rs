//! From a domain to an open connection (STREAM 1).
//!
//! Explicit host and port, or else SRV (`_xmpps-client` and `_xmpp-client`, RFC 6120 §3.2 and XEP-0368), or else the domain
//! itself on 5223 and 5222. The addresses of one host race each other (RFC 8305, XEP-0495). Behind a SOCKS5 proxy nothing
//! is resolved here.

use std::{net::SocketAddr, time::Duration};

use hickory_resolver::{Resolver, proto::rr::rdata::SRV};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, task::JoinSet, time};
use whimbrel_engine::{LinkFailure, Tls};

use super::{
    io::{Stream, Wire},
    tls::{self, Tls13},
};
use crate::Error;

/// Head start of one address before the next is tried (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);
/// Time for one host, TLS included.
const ATTEMPT: Duration = Duration::from_secs(20);

/// How an account connects. The default finds everything by the account's domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// A server given by hand, for intranets and tests: nothing is looked up.
    pub server: Option<Server>,
    /// `host:port` of a SOCKS5 proxy. Names are resolved by the proxy.
    pub proxy: Option<String>,
    /// Certificates to trust besides the platform's, as PEM.
    pub certificates: Option<String>,
    /// What the user calls this device; part of the full address.
    pub resource: Option<String>,
    /// Allows a server that knows nothing better to see the password itself, over verified TLS (RFC 4616).
    pub allow_plain: bool,
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

/// How to get there.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    server: Option<Server>,
    proxy: Option<String>,
    tls: Tls13,
}

impl Route {
    pub(crate) fn new(connection: &Connection) -> Result<Self, Error> {
        let invalid =
            |what: String| Error::InvalidInput { what: format!("the certificates to trust: {what}") };
        let extra = connection.certificates.as_deref().map(tls::read_pem).transpose().map_err(invalid)?;
        let tls = Tls13::new(&extra.unwrap_or_default()).map_err(|what| Error::Untrusted { what })?;
        Ok(Self { server: connection.server.clone(), proxy: connection.proxy.clone(), tls })
    }

    /// Tries one candidate after the other. A certificate that is not to be trusted ends it only if nothing else works.
    pub(crate) async fn connect(self, domain: String) -> Result<(Wire, Option<Tls>), LinkFailure> {
        let candidates = match &self.server {
            Some(server) => vec![server.clone()],
            None if self.proxy.is_some() => fallback(&domain),
            None => candidates(&domain).await?,
        };
        let mut failures = Vec::new();
        for candidate in candidates {
            let attempt = self.attempt(&candidate, &domain);
            match time::timeout(ATTEMPT, attempt).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(failure)) => failures.push(failure),
                Err(_) => failures.push(LinkFailure::Network(format!("{} does not answer", candidate.host))),
            }
        }
        let untrusted = failures.iter().position(|failure| matches!(failure, LinkFailure::Untrusted(_)));
        let network = failures.iter().position(|failure| matches!(failure, LinkFailure::Network(_)));
        let worst = untrusted.or(network).unwrap_or(0);
        Err(failures
            .into_iter()
            .nth(worst)
            .unwrap_or_else(|| LinkFailure::NotFound(format!("{domain} offers no XMPP"))))
    }

    async fn attempt(&self, server: &Server, domain: &str) -> Result<(Wire, Option<Tls>), LinkFailure> {
        let tcp = match &self.proxy {
            Some(proxy) => {
                tokio_socks::tcp::Socks5Stream::connect(proxy.as_str(), (server.host.as_str(), server.port))
                    .await
                    .map_err(|error| LinkFailure::Network(format!("the proxy: {error}")))?
                    .into_inner()
            }
            None => open(server).await?,
        };
        tcp.set_nodelay(true).map_err(network)?;
        if server.direct_tls {
            let (stream, facts) = self.tls.secure(tcp, domain, true).await?;
            Ok((Wire::new(Stream::Tls(Box::new(stream))), Some(facts)))
        } else {
            Ok((Wire::new(Stream::Plain(tcp)), None))
        }
    }

    /// After `<proceed/>`.
    pub(crate) async fn upgrade(self, wire: Wire, domain: String) -> Result<(Wire, Tls), LinkFailure> {
        let Stream::Plain(tcp) = wire.stream else {
            return Err(LinkFailure::Nonsense("TLS inside of TLS".into()));
        };
        match time::timeout(ATTEMPT, self.tls.secure(tcp, &domain, false)).await {
            Ok(result) => result.map(|(stream, facts)| (Wire::new(Stream::Tls(Box::new(stream))), facts)),
            Err(_) => Err(LinkFailure::Network("the server does not go on with TLS".into())),
        }
    }
}

/// All addresses of a host, v6 and v4 in turn, each with a head start before the next.
async fn open(server: &Server) -> Result<TcpStream, LinkFailure> {
    let found = tokio::net::lookup_host((server.host.as_str(), server.port))
        .await
        .map_err(|_| LinkFailure::NotFound(format!("there is no host {}", server.host)))?;
    let (six, four): (Vec<SocketAddr>, Vec<SocketAddr>) = found.partition(SocketAddr::is_ipv6);
    let mut addresses = Vec::new();
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    loop {
        match (six.next(), four.next()) {
            (None, None) => break,
            (a, b) => addresses.extend(a.into_iter().chain(b)),
        }
    }
    let mut racing = JoinSet::new();
    let mut waiting = addresses.into_iter();
    let mut last = LinkFailure::NotFound(format!("{} has no address", server.host));
    if let Some(first) = waiting.next() {
        racing.spawn(TcpStream::connect(first));
    }
    while !racing.is_empty() {
        tokio::select! {
            Some(finished) = racing.join_next() => match finished {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => {
                    last = network(error);
                    if let Some(next) = waiting.next() {
                        racing.spawn(TcpStream::connect(next));
                    }
                }
                Err(_) => {}
            },
            () = time::sleep(STAGGER), if waiting.len() > 0 => {
                if let Some(next) = waiting.next() {
                    racing.spawn(TcpStream::connect(next));
                }
            }
        }
    }
    Err(last)
}

async fn candidates(domain: &str) -> Result<Vec<Server>, LinkFailure> {
    // A phone has no resolv.conf; without one the domain itself is tried, by the platform's own means.
    let Ok(builder) = Resolver::builder_tokio() else { return Ok(fallback(domain)) };
    let resolver = builder.build();
    let (direct_name, starttls_name) =
        (format!("_xmpps-client._tcp.{domain}."), format!("_xmpp-client._tcp.{domain}."));
    let both = async { tokio::join!(resolver.srv_lookup(direct_name), resolver.srv_lookup(starttls_name)) };
    let Ok((direct, starttls)) = time::timeout(Duration::from_secs(5), both).await else {
        return Ok(fallback(domain));
    };
    let mut found: Vec<(bool, SRV)> = Vec::new();
    let (direct_found, starttls_found) = (direct.is_ok(), starttls.is_ok());
    found.extend(
        direct
            .into_iter()
            .flat_map(|lookup| lookup.iter().cloned().collect::<Vec<_>>())
            .map(|srv| (true, srv)),
    );
    found.extend(
        starttls
            .into_iter()
            .flat_map(|lookup| lookup.iter().cloned().collect::<Vec<_>>())
            .map(|srv| (false, srv)),
    );
    // RFC 2782: a target of "." says that there is no such service.
    found.retain(|(_, srv)| !srv.target().is_root());
    if found.is_empty() {
        return if direct_found || starttls_found {
            Err(LinkFailure::NotFound(format!("{domain} says that it has no XMPP")))
        } else {
            Ok(fallback(domain))
        };
    }
    Ok(in_order(found))
}

/// By priority, within one by weight as RFC 2782 draws it; direct TLS first where both are equal (XEP-0368 §4).
fn in_order(mut found: Vec<(bool, SRV)>) -> Vec<Server> {
    let mut rng = rand::rng();
    let mut servers = Vec::new();
    while let Some(priority) = found.iter().map(|(_, srv)| srv.priority()).min() {
        let total: u32 = found
            .iter()
            .filter(|(_, srv)| srv.priority() == priority)
            .map(|(_, srv)| u32::from(srv.weight()) + 1)
            .sum();
        let mut draw = rng.random_range(0..total);
        let chosen = found.iter().position(|(_, srv)| {
            srv.priority() == priority && {
                let weight = u32::from(srv.weight()) + 1;
                let hit = draw < weight;
                draw = draw.saturating_sub(weight);
                hit
            }
        });
        let Some(chosen) = chosen else { break };
        let (direct_tls, srv) = found.remove(chosen);
        let host = srv.target().to_utf8().trim_end_matches('.').to_owned();
        servers.push(Server { host, port: srv.port(), direct_tls });
    }
    servers
}

fn fallback(domain: &str) -> Vec<Server> {
    let server = |port, direct_tls| Server { host: domain.to_owned(), port, direct_tls };
    vec![server(5223, true), server(5222, false)]
}

fn network(error: std::io::Error) -> LinkFailure {
    LinkFailure::Network(error.to_string())
}
