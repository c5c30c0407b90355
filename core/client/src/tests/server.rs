//! A server that does what a test tells it: direct TLS under a certificate of its own, PLAIN, and then whatever is said.
//!
//! It blocks, on the test's own thread: the account under test has a thread of its own.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{Connection, net::connect};

/// A hang is a failure, and nothing that works waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    listener: TcpListener,
}

struct Certificate {
    authority: String,
    config: Arc<ServerConfig>,
}

fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let names = ["montague.lit", "xn--bcher-kva.lit"].map(str::to_owned);
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], key)
            .unwrap();
        Certificate { authority: authority.pem(), config: Arc::new(config) }
    })
}

impl Server {
    pub(crate) fn new() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).unwrap() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// How to get here.
    pub(crate) fn connection(&self) -> Connection {
        Connection {
            server: Some(connect::Server { host: "127.0.0.1".into(), port: self.port(), direct_tls: true }),
            certificates: Some(certificate().authority.clone()),
            allow_plain: true,
            ..Connection::default()
        }
    }

    /// The next connection, before a word was said.
    pub(crate) fn accept_plain(&self) -> TcpStream {
        let until = Instant::now() + PATIENCE;
        let tcp = loop {
            match self.try_accept() {
                Some(tcp) => break tcp,
                None => assert!(Instant::now() < until, "nobody connects"),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        tcp.set_nonblocking(false).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp
    }

    /// Whoever has connected already.
    pub(crate) fn try_accept(&self) -> Option<TcpStream> {
        self.listener.set_nonblocking(true).unwrap();
        match self.listener.accept() {
            Ok((tcp, _)) => Some(tcp),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn accept(&self) -> Peer {
        Peer::secure(self.accept_plain())
    }

    /// The next connection, logged in: a new session, whatever it asked for.
    pub(crate) fn accept_login(&self) -> Peer {
        let mut peer = self.accept();
        peer.log_in();
        peer
    }
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='montague.lit' id='1' version='1.0'>";

/// Who has connected.
pub(crate) struct Peer {
    stream: StreamOwned<ServerConnection, TcpStream>,
    heard: String,
    /// Says one byte at a time, each in a record of its own.
    pub(crate) drips: bool,
    /// It wanted to go on with a session.
    pub(crate) resumes: bool,
}

impl Peer {
    pub(crate) fn secure(tcp: TcpStream) -> Self {
        Self::secure_with(tcp, &certificate().config)
    }

    pub(crate) fn secure_with(tcp: TcpStream, config: &Arc<ServerConfig>) -> Self {
        let tls = ServerConnection::new(Arc::clone(config)).unwrap();
        Self { stream: StreamOwned::new(tls, tcp), heard: String::new(), drips: false, resumes: false }
    }

    pub(crate) fn say(&mut self, xml: &str) {
        for piece in xml.as_bytes().chunks(if self.drips { 1 } else { xml.len() }) {
            self.stream.write_all(piece).unwrap();
            self.stream.flush().unwrap();
        }
    }

    pub(crate) fn try_say(&mut self, xml: &str) -> std::io::Result<()> {
        self.stream.write_all(xml.as_bytes())?;
        self.stream.flush()
    }

    /// Everything that comes until the other side hangs up, or TLS fails.
    pub(crate) fn hear_out(mut self) -> Vec<u8> {
        let mut heard = self.heard.into_bytes();
        let _ = self.stream.read_to_end(&mut heard);
        heard
    }

    /// Reads until it has come, and forgets all up to there.
    pub(crate) fn hear(&mut self, needle: &str) -> String {
        loop {
            if let Some(at) = self.heard.find(needle) {
                let rest = self.heard.split_off(at + needle.len());
                return std::mem::replace(&mut self.heard, rest);
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("no {needle:?} before the end of: {}", self.heard),
                Ok(count) => self.heard.push_str(&String::from_utf8_lossy(&buffer[..count])),
                Err(error) => panic!("{error} before {needle:?}, after: {}", self.heard),
            }
        }
    }

    fn hear_password(&mut self) {
        self.hear("<stream:stream");
        self.say(HEADER);
        self.say("<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>");
        self.hear("</auth>");
    }

    /// It is not that of the account.
    pub(crate) fn refuse_password(&mut self) {
        self.hear_password();
        self.say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>");
    }

    /// A new session, whatever it asked for. What was said in it before the presence.
    pub(crate) fn log_in(&mut self) -> String {
        self.hear_password();
        self.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        self.hear("<stream:stream");
        self.say(HEADER);
        self.say("<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/><csi xmlns='urn:xmpp:csi:0'/></stream:features>");
        self.resumes = self.hear(">").contains("<resume") || self.hear(">").contains("<resume");
        if self.resumes {
            self.say("<failed xmlns='urn:xmpp:sm:3'/>");
        }
        if !self.heard.contains("</iq>") {
            self.hear("</iq>");
        }
        self.say("<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@montague.lit/orchard</jid></bind></iq>");
        self.hear("<enable");
        self.say("<enabled xmlns='urn:xmpp:sm:3' id='session' resume='true'/>");
        self.hear("<presence")
    }
}

/// A message that nobody has seen before.
pub(crate) fn message(text: &str) -> String {
    format!(
        "<message from='juliet@capulet.lit/balcony' to='romeo@montague.lit' type='chat' id='{text}'><body>{text}</body></message>"
    )
}
