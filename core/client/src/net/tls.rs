//! TLS by rustls with ring: whom to trust, and what a channel can be bound to. The only module that knows rustls.
//!
//! Trusted are the platform's roots and the certificates that the app adds. The name that must be in the certificate is the
//! account's domain, never the host that SRV led to (RFC 6120 §13.7.2). Or else the app names the keys that the server may
//! have, and nothing but these is trusted. Versions 1.3 and 1.2, with rustls' safe suites.

use std::{io, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::{TlsConnector, client::TlsStream};
use whimbrel_engine::{LinkFailure, Tls};

use super::tcp::Tcp;

/// RFC 7590 §3.4 and XEP-0368: tells the server that XMPP is meant, on ports shared with HTTPS.
const ALPN: &[u8] = b"xmpp-client";

/// How to encrypt. Cheap to clone; keeps session tickets in memory.
#[derive(Clone)]
pub(crate) struct Tls13 {
    direct: Arc<ClientConfig>,
    starttls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Tls13 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls13")
    }
}

impl Tls13 {
    /// Trusts the platform's roots and these; or these keys and nothing else, where there are any.
    pub(crate) fn new(extra: &[CertificateDer<'static>], keys: Vec<Key>) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match &keys[..] {
            [] => verifier(extra, &provider)?,
            _ => Arc::new(Pinned { keys, provider: Arc::clone(&provider) }),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let mut direct = config.clone();
        direct.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { direct: Arc::new(direct), starttls: Arc::new(config) })
    }

    /// Encrypts a connection and tells what it can be bound to.
    pub(crate) async fn secure(
        &self,
        tcp: Tcp,
        domain: &str,
        direct: bool,
    ) -> Result<(TlsStream<Tcp>, Tls), LinkFailure> {
        let name = ServerName::try_from(domain.to_owned()).map_err(|_| {
            LinkFailure::NotFound(format!("{domain} is not a name that a certificate can have"))
        })?;
        let config = if direct { &self.direct } else { &self.starttls };
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(failure)?;
        let (_, connection) = stream.get_ref();
        // TLS 1.2 without extended master secret must not be bound to (RFC 9266 §4.2), and rustls does not tell.
        let exporter = (connection.protocol_version() == Some(ProtocolVersion::TLSv1_3))
            .then(|| {
                connection.export_keying_material([0u8; 32], b"EXPORTER-Channel-Binding", Some(&[])).ok()
            })
            .flatten()
            .map(|key| key.to_vec());
        let end_point = connection.peer_certificates().and_then(<[_]>::first).and_then(end_point);
        let facts = Tls { exporter, end_point };
        Ok((stream, facts))
    }
}

/// Reads certificates from PEM.
pub(crate) fn read_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    if certificates.is_empty() { Err("there are none".into()) } else { Ok(certificates) }
}

/// SHA-256 of a public key, as it stands in a certificate (RFC 5280, SubjectPublicKeyInfo).
pub(crate) type Key = [u8; 32];

/// Reads a key from hexadecimal digits.
pub(crate) fn read_key(text: &str) -> Option<Key> {
    let mut key = Key::default();
    if text.len() != 2 * key.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Trusts the holders of these keys. That the server holds one is shown by its signature in the handshake; what its
/// certificate says beside the key is nobody's word.
#[derive(Debug)]
struct Pinned {
    keys: Vec<Key>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|_| rustls::Error::from(CertificateError::BadEncoding))?;
        let key = Key::from(Sha256::digest(parsed.public_key().raw));
        match self.keys.contains(&key) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn verifier(
    extra: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    #[cfg(not(target_os = "android"))]
    let platform =
        rustls_platform_verifier::Verifier::new_with_extra_roots(extra.iter().cloned(), Arc::clone(provider));
    #[cfg(target_os = "android")]
    let platform = rustls_platform_verifier::Verifier::new(Arc::clone(provider));
    match platform {
        Ok(verifier) => Ok(Arc::new(verifier)),
        // A machine without any roots of its own can still trust what the app brings.
        Err(_) if !extra.is_empty() => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(extra.iter().cloned());
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
            verifier
                .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
                .map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// RFC 5929 §4.1: the certificate, by the hash of its own signature, and SHA-256 in place of what is too weak.
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
    Some(match algorithm.as_str() {
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(certificate).to_vec(),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(certificate).to_vec(),
        // Ed25519 and RSA-PSS name no hash of their own here: RFC 5929 leaves them open.
        "1.3.101.112" | "1.2.840.113549.1.1.10" => return None,
        _ => Sha256::digest(certificate).to_vec(),
    })
}

fn failure(error: io::Error) -> LinkFailure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            LinkFailure::Untrusted("the server's key is none of those that it may have".into())
        }
        Some(rustls::Error::InvalidCertificate(why)) => {
            LinkFailure::Untrusted(format!("the server's certificate: {why}"))
        }
        Some(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            LinkFailure::Untrusted("the server has no certificate for this domain".into())
        }
        Some(rustls::Error::AlertReceived(
            why @ (AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity),
        )) => LinkFailure::Untrusted(format!("the server cannot encrypt safely: {why:?}")),
        Some(rustls::Error::PeerIncompatible(why)) => {
            LinkFailure::Untrusted(format!("the server cannot encrypt safely: {why:?}"))
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            LinkFailure::Untrusted("the server does not speak TLS".into())
        }
        _ => LinkFailure::Network(error.to_string()),
    }
}
