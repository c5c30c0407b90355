//! A client that says whatever we want: TLS, a password, a resource, and then raw XML.
//!
//! It stands for the foreign clients that a phone of ours has to get on with, the malicious ones among them. It parses
//! nothing: a test looks for words in what came.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use interop::{Kind, Server};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use super::PATIENCE;

pub(crate) struct Peer {
    stream: StreamOwned<ClientConnection, TcpStream>,
    heard: String,
}

impl Peer {
    /// Signs in over direct TLS, binds `resource`, and is available.
    pub(crate) fn sign_in(server: &Server, (account, password): (&str, &str), resource: &str) -> Peer {
        let (user, host) = account.split_once('@').expect("an account has a host");
        let mut peer = Peer { stream: connect(server, host), heard: String::new() };
        let features = peer.open(host);
        assert!(features.contains("<mechanism>PLAIN</mechanism>"), "{features}");
        let secret = STANDARD.encode(format!("\0{user}\0{password}"));
        peer.say(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
        ));
        peer.hear("<success");
        peer.open(host);
        peer.say(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        ));
        peer.hear("<jid>");
        peer.say("<presence/>");
        peer
    }

    /// Opens a stream; gives back what came up to the end of its features.
    fn open(&mut self, host: &str) -> String {
        self.say(&format!(
            "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ));
        self.hear("</stream:features>")
    }

    /// What the server offers over TLS, before anybody has signed in. Prosody offers some of it only to those who say who
    /// they are.
    pub(crate) fn features(server: &Server, account: &str) -> String {
        let (_, host) = account.split_once('@').expect("an account has a host");
        let mut peer = Peer { stream: connect(server, host), heard: String::new() };
        peer.say(&format!(
            "<?xml version='1.0'?><stream:stream to='{host}' from='{account}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ));
        peer.hear("</stream:features>")
    }

    /// Writes it as it is.
    pub(crate) fn say(&mut self, xml: &str) {
        self.stream.write_all(xml.as_bytes()).and_then(|()| self.stream.flush()).expect("the server listens");
    }

    /// Says something huge, and makes sure that the server has it. Expat puts off parsing what was not complete at first until
    /// there is twice as much of it (2.6: "reparse deferral"), which for Prosody 13 means: until more is said. White space
    /// between stanzas is a keepalive (RFC 6120 §4.6.1), but where it counts as part of a stanza's size there must not be too
    /// much of it.
    pub(crate) fn say_huge(&mut self, server: &Server, xml: &str) {
        self.say(xml);
        if server.kind() == Kind::Prosody13 {
            self.say(&" ".repeat(xml.len()));
        }
    }

    /// Reads until `words` came; gives back all that came since the last time.
    pub(crate) fn hear(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while !self.heard.contains(words) {
            assert!(Instant::now() < deadline, "{words} did not come, but: {}", shortened(&self.heard));
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("the server hung up after: {}", shortened(&self.heard)),
                Ok(read) => self.heard.push_str(&String::from_utf8_lossy(&buffer[..read])),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error} after: {}", shortened(&self.heard)),
            }
        }
        std::mem::take(&mut self.heard)
    }

    /// Waits until the server has taken everything said so far.
    pub(crate) fn settle(&mut self) {
        self.say("<iq type='get' id='settled'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.hear("settled");
    }
}

fn shortened(text: &str) -> String {
    text.chars().rev().take(1500).collect::<Vec<_>>().into_iter().rev().collect()
}

fn connect(server: &Server, host: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(server.ca()).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", server.direct_tls_port())).unwrap();
    // The first write shakes hands, which reads.
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
}
