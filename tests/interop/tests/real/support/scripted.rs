//! Servers that no server software would be: a certificate that nobody should trust, words that are no XMPP.
//!
//! A scripted server runs a function for each connection, on a thread of its own, and counts them: whoever should stop
//! trying after an error is found out.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

pub(crate) struct Scripted {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Scripted {
    /// Listens on a port of its own, and plays `script` to everybody who connects.
    pub(crate) fn new(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counting, ending, script) = (Arc::clone(&connections), Arc::clone(&over), Arc::new(script));
        thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        counting.fetch_add(1, Ordering::Relaxed);
                        let script = Arc::clone(&script);
                        stream.set_nonblocking(false).unwrap();
                        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                        thread::spawn(move || script(stream));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        thread::sleep(Duration::from_millis(5))
                    }
                    Err(_) => return,
                }
            }
        });
        Scripted { port, connections, over }
    }

    /// Direct TLS under a certificate of our making, and nothing after it.
    pub(crate) fn with_certificate(certificate: &TestCertificate) -> Scripted {
        let config = certificate.server_config();
        Scripted::new(move |tcp| {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            read_on(&mut StreamOwned::new(tls, tcp));
        })
    }

    /// Likewise, and these words once something came.
    pub(crate) fn saying(certificate: &TestCertificate, words: String) -> Scripted {
        let config = certificate.server_config();
        Scripted::new(move |tcp| {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            answer(StreamOwned::new(tls, tcp), words.as_bytes());
        })
    }

    /// How often somebody has connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Says `words` once something came, and reads on until the other side ends.
pub(crate) fn answer(mut stream: impl Read + Write, words: &[u8]) {
    let mut buffer = [0; 4096];
    if stream.read(&mut buffer).is_ok() {
        let _ = stream.write_all(words).and_then(|()| stream.flush());
        read_on(&mut stream);
    }
}

fn read_on(stream: &mut impl Read) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

/// A certificate for a server, and the authority that signed it.
pub(crate) struct TestCertificate {
    key: KeyPair,
    certificate: rcgen::Certificate,
    /// PEM of the authority.
    pub(crate) authority: String,
}

impl TestCertificate {
    /// For `name`, valid from and up to a year.
    pub(crate) fn new(name: &str, years: (i32, i32)) -> TestCertificate {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        TestCertificate { key, certificate, authority: authority.pem() }
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}
