//! What somebody between us and the server can do before TLS and while it begins, certificates that are nobody's, and links
//! that die in the middle of a stanza.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

use rand::{SeedableRng, rngs::StdRng};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData as _, date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use whimbrel_engine::{
    Config, Effect, Engine, Input, LinkFailure, LinkId, Now, Tls,
    api::{Command, RequestId},
    store::{self, Secret},
    timeline,
};

use crate::{
    Connection,
    driver::feed,
    net::framing::Framer,
    tests::{server::Peer, *},
};

/// A server's certificate, and what a client must know to trust it.
struct Certificate {
    config: Arc<ServerConfig>,
    authority: String,
    key: String,
}

impl Certificate {
    fn new(name: &str, years: (i32, i32)) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let pair = KeyPair::generate().unwrap();
        let signed = params.signed_by(&pair, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], key)
            .unwrap();
        let digest = Sha256::digest(pair.subject_public_key_info());
        let key = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { config: Arc::new(config), authority: authority.pem(), key }
    }
}

impl Stage {
    /// Signs in, and plays the server's part with the TCP connection.
    async fn signs_in<T>(
        &self,
        connection: Connection,
        play: impl FnOnce(TcpStream) -> T,
    ) -> (Account, Result<(), Error>, T) {
        let client = self.client().await;
        let account = client.add_account(romeo(), connection).await.unwrap();
        let signing_in = signing_in(&account).await;
        let played = play(self.server.accept_plain());
        (account, soon(signing_in).await.unwrap(), played)
    }

    /// Signing in ends at the certificate: said so, once, and nothing was told to whoever it was.
    async fn refuses(&self, certificate: &Certificate, connection: Connection, because: &str) {
        let play = |tcp| Peer::secure_with(tcp, &certificate.config).hear_out();
        let (account, result, heard) = self.signs_in(connection, play).await;
        assert_eq!(heard, b"");
        assert!(
            matches!(&result, Err(Error::Untrusted { what }) if what.contains(because)),
            "{result:?}, and not: {because}"
        );
        assert_gives_up(&account).await;
        account.close().await;
    }

    async fn accepts(&self, certificate: &Certificate, connection: Connection) {
        let play = |tcp| {
            let mut peer = Peer::secure_with(tcp, &certificate.config);
            peer.log_in();
            peer
        };
        let (account, result, peer) = self.signs_in(connection, play).await;
        result.unwrap();
        account.close().await;
        drop(peer);
    }

    fn trusting(&self, certificate: &Certificate) -> Connection {
        Connection { certificates: Some(certificate.authority.clone()), ..self.server.connection() }
    }
}

/// It will not try again by itself.
async fn assert_gives_up(account: &Account) {
    let status = status_becomes(account, |status| matches!(status, Status::Offline { .. })).await;
    assert!(
        matches!(status, Status::Offline { reason: Some(Error::Untrusted { .. }), next_attempt: None, .. }),
        "{status:?}"
    );
}

#[tokio::test]
async fn certificate_wrong_name() {
    for name in ["capulet.lit", "www.montague.lit", "*.montague.lit", "montague.lit.capulet.lit", "127.0.0.1"]
    {
        let certificate = Certificate::new(name, (2020, 2100));
        let stage = Stage::new();
        stage.refuses(&certificate, stage.trusting(&certificate), "certificate").await;
    }
    let certificate = Certificate::new("montague.lit", (2020, 2100));
    let stage = Stage::new();
    stage.accepts(&certificate, stage.trusting(&certificate)).await;
}

#[tokio::test]
async fn certificate_expired() {
    for years in [(2020, 2021), (2090, 2100)] {
        let certificate = Certificate::new("montague.lit", years);
        let stage = Stage::new();
        stage.refuses(&certificate, stage.trusting(&certificate), "certificate").await;
    }
}

#[tokio::test]
async fn certificate_unknown() {
    let (theirs, ours) =
        (Certificate::new("montague.lit", (2020, 2100)), Certificate::new("montague.lit", (2020, 2100)));
    let stage = Stage::new();
    stage.refuses(&theirs, stage.trusting(&ours), "certificate").await;
    stage
        .refuses(&theirs, Connection { certificates: None, ..stage.server.connection() }, "certificate")
        .await;
}

#[tokio::test]
async fn certificate_revoked_pin() {
    let stage = Stage::new();
    let pinned = |keys: &[&Certificate], trusted: Option<&Certificate>| Connection {
        keys: keys.iter().map(|certificate| certificate.key.clone()).collect(),
        certificates: trusted.map(|certificate| certificate.authority.clone()),
        ..stage.server.connection()
    };
    // The key is all that counts: no authority, no name, no date.
    let old = Certificate::new("capulet.lit", (2020, 2021));
    stage.accepts(&old, pinned(&[&old], None)).await;
    // Another key is refused, even under a certificate that would do without pins.
    let new = Certificate::new("montague.lit", (2020, 2100));
    stage.refuses(&new, pinned(&[&old], Some(&new)), "key").await;
    // Both for a while, then the old one is withdrawn.
    stage.accepts(&new, pinned(&[&old, &new], None)).await;
    stage.accepts(&old, pinned(&[&old, &new], None)).await;
    stage.refuses(&old, pinned(&[&new], Some(&old)), "key").await;
    stage.accepts(&new, pinned(&[&new], None)).await;
    // A key that cannot be read is none, and no reason to trust everybody.
    let client = stage.client().await;
    for key in
        ["", "00", &new.key[1..], &format!("{}00", new.key), &format!("+{}", &new.key[1..]), &"zz".repeat(32)]
    {
        let connection = Connection { keys: vec![key.to_owned()], ..stage.server.connection() };
        let added = client.add_account(juliet(), connection).await;
        assert!(matches!(added, Err(Error::InvalidInput { .. })), "{key}");
    }
}

#[tokio::test]
async fn certificate_revoked_pin_is_not_replaced_by_a_copy_of_its_certificate() {
    // The certificate is public. Whoever shows it has to sign with its key.
    let stage = Stage::new();
    let real = Certificate::new("montague.lit", (2020, 2100));
    let other = KeyPair::generate().unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(other.serialize_der()));
    let provider = rustls::crypto::ring::default_provider();
    let shown = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let config = Arc::clone(&real.config);
        let serving = std::thread::spawn(move || Peer::secure_with(theirs, &config).hear_out());
        let chain = shown_by(tcp);
        serving.join().unwrap();
        chain
    };
    let stolen = rustls::sign::CertifiedKey::new(shown, provider.key_provider.load_private_key(key).unwrap());
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(stolen)));
    let stolen =
        Certificate { config: Arc::new(config), authority: real.authority.clone(), key: real.key.clone() };
    let connection = Connection { keys: vec![real.key.clone()], ..stage.server.connection() };
    stage.refuses(&stolen, connection, "certificate").await;
}

/// The certificates that a server shows to everybody.
fn shown_by(mut tcp: TcpStream) -> Vec<rustls_pki_types::CertificateDer<'static>> {
    #[derive(Debug)]
    struct Anybody;
    impl rustls::client::danger::ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &rustls_pki_types::CertificateDer<'_>,
            _: &[rustls_pki_types::CertificateDer<'_>],
            _: &rustls_pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls_pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls_pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls_pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
    let name = "montague.lit".try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).unwrap();
    }
    tls.peer_certificates().unwrap().iter().map(|certificate| certificate.clone().into_owned()).collect()
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='montague.lit' id='1' version='1.0'>";
const STARTTLS: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const PLAIN: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/// Reads until it has come.
fn hear(tcp: &mut TcpStream, needle: &str) -> String {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(needle.as_bytes()) {
        assert_eq!(tcp.read(&mut byte).unwrap(), 1, "no {needle} in {}", String::from_utf8_lossy(&heard));
        heard.push(byte[0]);
    }
    String::from_utf8(heard).unwrap()
}

/// Everything until the other side hangs up. Its own words that are still under way are read, so that nothing is reset.
fn hear_out(mut tcp: TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = tcp.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn starttls_stripped() {
    for said in [
        PLAIN,
        "<stream:features/>",
        SUCCESS,
        &format!("{SUCCESS}{PLAIN}"),
        &STARTTLS.replace("xmpp-tls", "xmpp-tlz"),
    ] {
        let stage = Stage::new();
        let mut connection = stage.server.connection();
        connection.server.as_mut().unwrap().direct_tls = false;
        let play = |mut tcp: TcpStream| {
            let mut heard = hear(&mut tcp, "<stream:stream");
            write!(tcp, "{HEADER}{said}").unwrap();
            if said == SUCCESS {
                // It waits for features; these are not what it waits for.
                write!(tcp, "{PLAIN}").unwrap();
            }
            heard.push_str(&hear_out(tcp));
            heard
        };
        let (account, result, heard) = stage.signs_in(connection, play).await;
        assert!(matches!(result, Err(Error::Untrusted { .. })), "{said}: {result:?}");
        assert!(!heard.contains("auth") && !heard.contains("romeo"), "{heard}");
        assert_gives_up(&account).await;
    }
}

#[tokio::test]
async fn pipelined_plaintext_after_starttls() {
    let injected = format!("{HEADER}{PLAIN}");
    for (behind, later) in [
        (injected.as_str(), ""),
        ("<", ""),
        (" ", ""),
        ("\u{0}", ""),
        ("<message from='juliet@capulet.lit' to='romeo@montague.lit'><body>forged</body></message>", ""),
        // In a segment of its own it may be read with the first, or by TLS, which ends there.
        ("", injected.as_str()),
        ("", SUCCESS),
    ] {
        let stage = Stage::new();
        let mut connection = stage.server.connection();
        connection.server.as_mut().unwrap().direct_tls = false;
        let play = |mut tcp: TcpStream| {
            hear(&mut tcp, "<stream:stream");
            write!(tcp, "{HEADER}{STARTTLS}").unwrap();
            hear(&mut tcp, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            tcp.write_all(format!("{PROCEED}{behind}").as_bytes()).unwrap();
            if !later.is_empty() {
                let _ = tcp.write_all(later.as_bytes());
            }
            hear_out(tcp)
        };
        let (account, result, heard) = stage.signs_in(connection, play).await;
        assert!(matches!(result, Err(Error::Untrusted { .. })), "{behind:?} {later:?}: {result:?}");
        assert!(!heard.contains("auth") && !heard.contains("c2VjcmV0"), "{heard}");
        assert!(later.is_empty() == heard.is_empty() || heard.is_empty(), "TLS was begun: {heard:?}");
        assert!(account.timeline(&juliet(), 10).unwrap().items().unwrap().is_empty());
        assert_gives_up(&account).await;
    }
}

#[tokio::test]
async fn pipelined_plaintext_before_starttls_is_forgotten() {
    // All that was said in plaintext is another stream's: what is offered behind TLS counts, and nothing else.
    let stage = Stage::new();
    let mut connection = stage.server.connection();
    connection.server.as_mut().unwrap().direct_tls = false;
    let play = |mut tcp: TcpStream| {
        hear(&mut tcp, "<stream:stream");
        let forged =
            "<message from='juliet@capulet.lit' to='romeo@montague.lit'><body>forged</body></message>";
        write!(tcp, "{HEADER}{STARTTLS}{forged}{PLAIN}{SUCCESS}").unwrap();
        hear(&mut tcp, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        write!(tcp, "{PROCEED}").unwrap();
        let mut peer = Peer::secure(tcp);
        peer.log_in();
        peer
    };
    let (account, result, _peer) = stage.signs_in(connection, play).await;
    result.unwrap();
    assert!(account.timeline(&juliet(), 10).unwrap().items().unwrap().is_empty());
}

#[tokio::test]
async fn slow_drip() {
    // Byte by byte is slow, and no reason to give up: TLS, a login, a message.
    let stage = Stage::new();
    let play = |tcp| {
        let mut peer = Peer::secure(tcp);
        peer.drips = true;
        peer.log_in();
        peer.say(&message("slowly"));
        peer
    };
    let (account, result, _peer) = stage.signs_in(stage.server.connection(), play).await;
    result.unwrap();
    let timeline = account.timeline(&juliet(), 10).unwrap().subscribe();
    let (mut items, mut seq) = (Vec::new(), 0);
    while texts(&items) != ["slowly"] {
        let update = soon(timeline.next(seq)).await.unwrap();
        seq = update.seq;
        crate::apply(&mut items, &update.splices);
    }
}

/// An account on real framing, without a socket: bytes in, and what is in the file afterwards.
struct Line {
    engine: Engine,
    rng: StdRng,
    now: Now,
    link: Option<LinkId>,
    framer: Framer,
    /// The `h` of its last `<resume/>`.
    resumed_from: usize,
    wrote: String,
}

impl Line {
    fn turn(&mut self, inputs: Vec<Input>) {
        for effect in self.engine.turn(inputs, self.now, &mut self.rng) {
            match effect {
                Effect::Connect { link, .. } => self.link = Some(link),
                Effect::RestartStream { .. } => self.framer.restart(),
                Effect::Send { bytes, .. } => self.wrote.push_str(std::str::from_utf8(&bytes).unwrap()),
                Effect::Hangup { .. } | Effect::Close { .. } => self.link = None,
                _ => {}
            }
        }
    }

    /// The server's bytes, in pieces of this length, as the driver would feed them.
    fn comes(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece) {
            let mut rest = piece.to_vec();
            while !rest.is_empty() {
                let (mut inputs, bytes) = (Vec::new(), std::mem::take(&mut rest));
                let wrong = feed(self.link.unwrap(), &mut self.framer, &bytes, &mut rest, &mut inputs);
                assert!(wrong.is_none(), "{wrong:?}");
                if !inputs.is_empty() {
                    self.turn(inputs);
                }
            }
        }
    }

    fn says(&mut self, xml: &str) {
        self.comes(xml.as_bytes(), xml.len());
    }

    /// Connects, logs in and resumes, or binds where there is nothing to resume.
    fn connect(&mut self) {
        while self.link.is_none() {
            self.now.mono += 1_000;
            self.now.wall += 1_000;
            self.turn(vec![Input::Tick]);
        }
        self.framer = Framer::new();
        self.wrote.clear();
        self.turn(vec![Input::LinkUp { link: self.link.unwrap(), tls: Some(Tls::default()) }]);
        self.says(&format!("{HEADER}{PLAIN}"));
        self.says(SUCCESS);
        self.wrote.clear();
        self.says(&format!("{HEADER}<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>"));
        if let Some(at) = self.wrote.find("<resume xmlns='urn:xmpp:sm:3' h='") {
            let h = &self.wrote[at + "<resume xmlns='urn:xmpp:sm:3' h='".len()..];
            self.resumed_from = h[..h.find('\'').unwrap()].parse().unwrap();
            self.says("<resumed xmlns='urn:xmpp:sm:3' previd='session' h='0'/>");
        } else {
            self.says("<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@montague.lit/orchard</jid></bind></iq>");
            self.says("<enabled xmlns='urn:xmpp:sm:3' id='session' resume='true'/>");
        }
    }

    fn cut(&mut self) {
        let link = self.link.take().unwrap();
        self.turn(vec![Input::LinkLost { link, why: LinkFailure::Network("cut".into()) }]);
    }
}

#[test]
fn cut_mid_stanza() {
    let dir = tempfile::tempdir().unwrap();
    let (path, secret) = (dir.path().join("account.db"), Secret([7; 48]));
    let file = store::open(&path, &secret).unwrap();
    store::create_account(&file, &romeo(), uuid::Uuid::nil(), 0).unwrap();
    let settings = store::Settings { resource: None, allow_plain: true, connection: "{}" };
    store::configure(&file, &settings).unwrap();
    let mut line = Line {
        engine: Engine::load(file, Config::default()).unwrap(),
        rng: StdRng::seed_from_u64(1597),
        now: Now { mono: 0, wall: 1_795_000_000_000 },
        link: None,
        framer: Framer::new(),
        resumed_from: 0,
        wrote: String::new(),
    };
    let password = Some("secret".to_owned());
    line.turn(vec![Input::Command { request: RequestId(1), command: Command::SignIn { password } }]);
    line.connect();

    // Every kind of thing that comes over a stream, with every kind of byte. Each number is a round of its own.
    let recorded = |round: usize| -> Vec<String> {
        let from = "from='juliet@capulet.lit/balcony' to='romeo@montague.lit'";
        vec![
            format!(
                "<message {from} type='chat' id='a{round}'><body>caf\u{e9} &amp; \u{1f339} {round}</body></message>"
            ),
            "<r xmlns='urn:xmpp:sm:3'/>\n".to_owned(),
            format!("<presence {from}><show>away</show></presence>"),
            format!("<iq type='result' id='nobody asked {round}'/>"),
            format!(
                "<message {from} type='chat' id='b{round}'><x:y xmlns:x='urn:x' z=\"&gt;&#x2f;'\"><![CDATA[<body>no</body>]]></x:y><body>b {round}</body></message>"
            ),
        ]
    };
    let counts = |xml: &String| !xml.starts_with("<r ");
    let length = recorded(1_000).concat().len();
    // What the server has sent in this session and is not sure of.
    let mut queue: Vec<String> = Vec::new();
    let mut sent = 0;
    let mut shown: Vec<String> = Vec::new();
    for at in 0..=length {
        let round = 1_000 + at;
        let new = recorded(round);
        queue.extend(new.iter().filter(|xml| counts(xml)).cloned());
        for number in [format!("caf\u{e9} & \u{1f339} {round}"), format!("b {round}")] {
            shown.push(number);
        }
        let bytes = new.concat().into_bytes();
        line.comes(&bytes[..at], [usize::MAX, 1_000, 7][at % 3]);
        let whole = {
            let mut end = 0;
            let ends = new.iter().filter(|xml| {
                end += xml.trim_end().len();
                let is_whole = end <= at;
                end += xml.len() - xml.trim_end().len();
                is_whole && counts(xml)
            });
            ends.count()
        };
        line.cut();
        line.connect();
        assert_eq!(line.resumed_from, sent + whole, "cut at {at}: whole or not at all");
        // The rest is sent again, as a server would.
        sent += whole;
        queue.drain(..whole);
        for xml in std::mem::take(&mut queue) {
            line.says(&xml);
            sent += 1;
        }
    }
    drop(line);
    let file = store::open_reader(&path, &secret).unwrap();
    let start = timeline::start(&file, &juliet(), 1_000_000).unwrap();
    let items = timeline::window(&file, &juliet(), start, 0).unwrap();
    assert!(texts(&items) == shown, "{} of {}", items.len(), shown.len());
}

#[test]
fn what_is_too_much_and_no_stanza_by_its_namespace_is_not_counted() {
    let huge = "x".repeat(2 << 20);
    for (namespace, name) in [("jabber:client", "message"), ("jabber:server", ""), ("urn:x", "")] {
        let (mut framer, mut rest, mut inputs) = (Framer::new(), Vec::new(), Vec::new());
        let xml = format!("{HEADER}<message xmlns='{namespace}'><body>{huge}</body></message>");
        let wrong = feed(LinkId(1), &mut framer, xml.as_bytes(), &mut rest, &mut inputs);
        assert!(wrong.is_none(), "{wrong:?}");
        assert!(
            matches!(inputs.last(), Some(Input::TooMuch { drained, .. }) if drained.name == name),
            "{namespace}"
        );
    }
}
