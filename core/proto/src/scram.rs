//! SCRAM (RFC 5802, RFC 7677) with SHA-1, SHA-256 and SHA-512, and the -PLUS forms bound to the TLS channel (RFC 5929,
//! RFC 9266), with the check that the offer was not tampered with (XEP-0474).
//!
//! The client's half only, as three values: [`Scram::start`] gives the first message, [`Scram::answer`] takes the
//! server's challenge, [`Finished::verify`] takes its signature. Nothing of a success is to be believed before the last.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac};
use rand::RngCore;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Work that a server may ask for. Below, a stolen exchange is too cheap to search (RFC 5802 §5.1 says 4096; SHA-1
/// accounts of the oldest servers have that). Above, the server is wasting a phone's battery.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=1_000_000;

/// The hash that a mechanism is built on, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl Hash {
    /// Reads the name of a mechanism without its `-PLUS`.
    pub fn of_mechanism(name: &str) -> Option<Self> {
        match name {
            "SCRAM-SHA-1" => Some(Self::Sha1),
            "SCRAM-SHA-256" => Some(Self::Sha256),
            "SCRAM-SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
            let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
            mac.update(data);
            mac.finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, data),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, data),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, data),
        }
    }

    fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password, salt, iterations).to_vec(),
            Self::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec(),
            Self::Sha512 => pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec(),
        }
    }
}

/// How the exchange is tied to the TLS channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// We could, and the server did not offer it; a server that did will notice (`y`).
    ServerCannot,
    /// We cannot (`n`).
    ClientCannot,
    /// Bound: the type's name and its data (`p`).
    Bound(&'static str, Vec<u8>),
}

/// Why the exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// Not what RFC 5802 §7 says.
    #[error("the challenge cannot be read")]
    Malformed,
    /// The nonce does not begin with ours.
    #[error("the server's nonce does not extend ours")]
    Nonce,
    /// Outside of what we are willing to do.
    #[error("{0} iterations")]
    Iterations(u32),
    /// Only the holder of the password could have made the right one.
    #[error("the server could not prove that it knows the password")]
    Signature,
    /// XEP-0474: what the server offered is not what we saw.
    #[error("the server's offer was changed on its way")]
    Downgraded,
    /// SASLprep (RFC 4013) forbids a character in it.
    #[error("the password has a forbidden character")]
    Password,
}

/// An exchange that was begun.
#[derive(Clone, Debug)]
pub struct Scram {
    hash: Hash,
    gs2: String,
    binding: Vec<u8>,
    nonce: String,
    bare: String,
    password: String,
}

/// An exchange that waits for the server's signature.
#[derive(Clone, Debug)]
pub struct Finished {
    signature: Vec<u8>,
}

impl Scram {
    /// Begins, and gives the client's first message.
    ///
    /// # Errors
    /// [`ScramError::Password`].
    pub fn start(
        hash: Hash,
        binding: Binding,
        user: &str,
        password: &str,
        rng: &mut dyn RngCore,
    ) -> Result<(Self, Vec<u8>), ScramError> {
        let mut random = [0; 24];
        rng.fill_bytes(&mut random);
        Self::with_nonce(hash, binding, user, password, BASE64.encode(random))
    }

    fn with_nonce(
        hash: Hash,
        binding: Binding,
        user: &str,
        password: &str,
        nonce: String,
    ) -> Result<(Self, Vec<u8>), ScramError> {
        let password = stringprep::saslprep(password).map_err(|_| ScramError::Password)?.into_owned();
        let (gs2, binding) = match binding {
            Binding::ServerCannot => ("y,,".to_owned(), Vec::new()),
            Binding::ClientCannot => ("n,,".to_owned(), Vec::new()),
            Binding::Bound(name, data) => (format!("p={name},,"), data),
        };
        let bare = format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C"));
        let first = format!("{gs2}{bare}").into_bytes();
        Ok((Self { hash, gs2, binding, nonce, bare, password }, first))
    }

    /// Takes the server's challenge and gives the client's final message. `offer` is what XEP-0474 hashes: the mechanisms
    /// and channel-binding types that we saw.
    ///
    /// # Errors
    /// Whatever is wrong with the challenge.
    pub fn answer(self, challenge: &[u8], offer: &Offered<'_>) -> Result<(Finished, Vec<u8>), ScramError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| ScramError::Malformed)?;
        let (mut nonce, mut salt, mut iterations, mut downgrade) = (None, None, None, None);
        for (index, part) in challenge.split(',').enumerate() {
            let (key, value) = part.split_once('=').ok_or(ScramError::Malformed)?;
            match (index, key) {
                (0, "r") => nonce = Some(value),
                (1, "s") => salt = Some(BASE64.decode(value).map_err(|_| ScramError::Malformed)?),
                (2, "i") => iterations = Some(value.parse::<u32>().map_err(|_| ScramError::Malformed)?),
                (_, "m") => return Err(ScramError::Malformed), // RFC 5802 §5.1: an extension that we must know
                (3.., "d" | "h") => downgrade = Some((key, value)),
                (3.., _) => {}
                _ => return Err(ScramError::Malformed),
            }
        }
        let (Some(nonce), Some(salt), Some(iterations)) = (nonce, salt, iterations) else {
            return Err(ScramError::Malformed);
        };
        if !nonce.starts_with(&self.nonce) || nonce.len() <= self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        if !ITERATIONS.contains(&iterations) {
            return Err(ScramError::Iterations(iterations));
        }
        if let Some((key, seen)) = downgrade {
            let expected = BASE64.encode(self.hash.digest(offer.as_text(key).as_bytes()));
            if expected != seen {
                return Err(ScramError::Downgraded);
            }
        }
        let mut binding = self.gs2.into_bytes();
        binding.extend_from_slice(&self.binding);
        let without_proof = format!("c={},r={nonce}", BASE64.encode(binding));
        let signed = format!("{},{challenge},{without_proof}", self.bare);
        let salted = self.hash.salted_password(self.password.as_bytes(), &salt, iterations);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let client_signature = self.hash.hmac(&self.hash.digest(&client_key), signed.as_bytes());
        let proof: Vec<u8> =
            client_key.iter().zip(&client_signature).map(|(key, signature)| key ^ signature).collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        let signature = self.hash.hmac(&server_key, signed.as_bytes());
        Ok((Finished { signature }, format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes()))
    }
}

impl Finished {
    /// Checks the server's final message.
    ///
    /// # Errors
    /// [`ScramError::Signature`] unless the server knows the password.
    pub fn verify(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let text = std::str::from_utf8(server_final).map_err(|_| ScramError::Signature)?;
        let value =
            text.split(',').next().and_then(|part| part.strip_prefix("v=")).ok_or(ScramError::Signature)?;
        let signature = BASE64.decode(value).map_err(|_| ScramError::Signature)?;
        if bool::from(signature.ct_eq(&self.signature)) { Ok(()) } else { Err(ScramError::Signature) }
    }
}

/// What the server offered, as we saw it, for XEP-0474.
#[derive(Clone, Debug, Default)]
pub struct Offered<'a> {
    /// SASL mechanisms, of the profile in use.
    pub mechanisms: Vec<&'a str>,
    /// Channel-binding types (XEP-0440).
    pub bindings: Vec<&'a str>,
}

impl Offered<'_> {
    /// The text that is hashed. Version 0.3 (`d`) separates with `,` and `|`; 0.4 (`h`) with characters that no name can
    /// hold, since a list that can be forged by a name proves nothing.
    fn as_text(&self, key: &str) -> String {
        let (within, between) = if key == "d" { (",", "|") } else { ("\u{1e}", "\u{1f}") };
        let join = |list: &[&str]| {
            let mut list = list.to_vec();
            list.sort_unstable();
            list.join(within)
        };
        let mut text = join(&self.mechanisms);
        if !self.bindings.is_empty() {
            text.push_str(between);
            text.push_str(&join(&self.bindings));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(hash: Hash, nonce: &str, challenge: &str) -> (Finished, String) {
        let (scram, _) =
            Scram::with_nonce(hash, Binding::ClientCannot, "user", "pencil", nonce.into()).unwrap();
        let (finished, answer) = scram.answer(challenge.as_bytes(), &Offered::default()).unwrap();
        (finished, String::from_utf8(answer).unwrap())
    }

    #[test]
    fn sha1_agrees_with_rfc_5802() {
        let (finished, answer) = exchange(
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        );
        assert_eq!(
            answer,
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
        );
        finished.verify(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap();
        assert_eq!(finished.verify(b"v=AAAApqV8S7suAoZWja4dJRkFsKQ="), Err(ScramError::Signature));
        assert_eq!(finished.verify(b""), Err(ScramError::Signature));
    }

    #[test]
    fn sha256_agrees_with_rfc_7677() {
        let (finished, answer) = exchange(
            Hash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        );
        assert_eq!(
            answer,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        finished.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
    }

    #[test]
    fn challenges_that_cheat_are_refused() {
        let answer = |challenge: &str| {
            let (scram, _) =
                Scram::with_nonce(Hash::Sha1, Binding::ClientCannot, "u", "p", "abc".into()).unwrap();
            scram.answer(challenge.as_bytes(), &Offered::default()).map(|_| ()).unwrap_err()
        };
        assert_eq!(answer("r=abc,s=QSXCR+Q6sek8bf92,i=4096"), ScramError::Nonce);
        assert_eq!(answer("r=xbcd,s=QSXCR+Q6sek8bf92,i=4096"), ScramError::Nonce);
        assert_eq!(answer("r=abcd,s=QSXCR+Q6sek8bf92,i=0"), ScramError::Iterations(0));
        assert_eq!(answer("r=abcd,s=QSXCR+Q6sek8bf92,i=2147483648"), ScramError::Iterations(2_147_483_648));
        assert_eq!(answer("m=x,r=abcd,s=QSXCR+Q6sek8bf92,i=4096"), ScramError::Malformed);
        assert_eq!(answer(""), ScramError::Malformed);
        assert_eq!(answer("r=abcd,s=QSXCR+Q6sek8bf92,i=4096,d=AAAA"), ScramError::Downgraded);
    }
}
