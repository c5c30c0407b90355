//! A man in the middle: he has a certificate that the phone trusts (the server's own, stolen), reads everything and changes
//! what he likes. Towards the phone he is the server, towards the server he is a client.
//!
//! With direct TLS on both sides; or in plaintext until TLS begins, which he then passes on as it is.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use interop::Server;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};

use super::PATIENCE;

/// How long he listens to one side before he turns to the other.
const A_MOMENT: Duration = Duration::from_millis(5);

/// What he makes of what the server says: a whole `<stream:features/>` or whatever else came at once.
pub(crate) type Change = dyn Fn(String) -> String + Send + Sync;

pub(crate) struct Middle {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<String>>,
    over: Arc<AtomicBool>,
}

impl Middle {
    /// In front of the server's port for direct TLS, with the server's own certificate and key.
    pub(crate) fn with_stolen_certificate(
        server: &Server,
        change: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Middle {
        let config = Arc::new(stolen(server));
        let towards = Arc::new(trusting(server));
        let port = server.direct_tls_port();
        Middle::new(port, change, move |phone, server, change, heard| {
            let name = ServerName::try_from("a.test").unwrap();
            let mut as_server = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut as_client = ClientConnection::new(Arc::clone(&towards), name).unwrap();
            let (mut phone, mut server) = (phone, server);
            while as_server.is_handshaking() {
                if as_server.complete_io(&mut phone).is_err() {
                    return;
                }
            }
            while as_client.is_handshaking() {
                if as_client.complete_io(&mut server).is_err() {
                    return;
                }
            }
            for stream in [&phone, &server] {
                stream.set_read_timeout(Some(A_MOMENT)).unwrap();
            }
            let (phone, server) = (StreamOwned::new(as_server, phone), StreamOwned::new(as_client, server));
            turn_by_turn(phone, server, change, heard);
        })
    }

    /// In front of the server's port for STARTTLS.
    pub(crate) fn in_plaintext(
        server: &Server,
        change: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Middle {
        Middle::new(server.port(), change, |phone, server, change, heard| {
            for stream in [&phone, &server] {
                stream.set_read_timeout(Some(A_MOMENT)).unwrap();
            }
            turn_by_turn(phone, server, change, heard);
        })
    }

    fn new(
        server: u16,
        change: impl Fn(String) -> String + Send + Sync + 'static,
        play: impl Fn(TcpStream, TcpStream, &Change, &Mutex<String>) + Send + Sync + 'static,
    ) -> Middle {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let middle =
            Middle { port, connections: Arc::default(), heard: Arc::default(), over: Arc::default() };
        let (counting, heard, ending) =
            (Arc::clone(&middle.connections), Arc::clone(&middle.heard), Arc::clone(&middle.over));
        let (change, play): (Arc<Change>, _) = (Arc::new(change), Arc::new(play));
        thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                let Ok((phone, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                };
                counting.fetch_add(1, Ordering::Relaxed);
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                for stream in [&phone, &server] {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                }
                let (play, change, heard) = (Arc::clone(&play), Arc::clone(&change), Arc::clone(&heard));
                thread::spawn(move || play(phone, server, &*change, &heard));
            }
        });
        middle
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Everything that phones have said so far, as far as it was text to him.
    pub(crate) fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Passes on what each side says until one of them ends.
fn turn_by_turn(
    mut phone: impl Read + Write,
    mut server: impl Read + Write,
    change: &Change,
    heard: &Mutex<String>,
) {
    let mut from_server = Vec::new();
    loop {
        let Some(said) = read_now(&mut phone) else { return };
        heard.lock().unwrap().push_str(&String::from_utf8_lossy(&said));
        if !said.is_empty() && server.write_all(&said).and_then(|()| server.flush()).is_err() {
            return;
        }
        let Some(said) = read_now(&mut server) else { return };
        from_server.extend_from_slice(&said);
        if from_server.is_empty() || is_half(&from_server) {
            continue;
        }
        let said = std::mem::take(&mut from_server);
        let said =
            String::from_utf8(said).map_or_else(|raw| raw.into_bytes(), |text| change(text).into_bytes());
        if phone.write_all(&said).and_then(|()| phone.flush()).is_err() {
            return;
        }
    }
}

/// An offer that is not whole yet.
fn is_half(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains("<stream:features")
        && !text.contains("</stream:features>")
        && !text.contains("<stream:features/>")
}

/// What is there; `None` at the end.
fn read_now(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) => None,
        Ok(read) => Some(buffer[..read].to_vec()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Some(Vec::new()),
        Err(_) => None,
    }
}

fn stolen(server: &Server) -> ServerConfig {
    let both = server.dir().join("certs/all.pem");
    let chain = CertificateDer::pem_file_iter(&both).unwrap().map(Result::unwrap).collect();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&both).unwrap())
        .unwrap()
}

fn trusting(server: &Server) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(server.ca()).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
