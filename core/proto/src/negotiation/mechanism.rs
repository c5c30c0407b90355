//! Which mechanism to log in with (RFC 6120 §6.3.3): the strongest that is offered, never weaker than the last one.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Bound, Failure, FastToken, Login, Pins, Tls};
use crate::scram::{Binding, Finished, Hash, Offered, Scram};

/// XEP-0484, strongest first. HT-SHA-256-UNIQ does not exist over TLS 1.3.
const FAST: [(&str, Bound); 3] = [
    ("HT-SHA-256-EXPR", Bound::Exporter),
    ("HT-SHA-256-ENDP", Bound::EndPoint),
    ("HT-SHA-256-NONE", Bound::Not),
];

/// An exchange under way, with its next message.
#[derive(Clone, Debug)]
pub(super) enum Exchange {
    Token { responder: Vec<u8> },
    Challenge(Scram),
    Signature(Finished),
    Plain,
    Proven,
}

/// What was chosen.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) mechanism: String,
    pub(super) pins: Pins,
    pub(super) exchange: Exchange,
    pub(super) initial: Vec<u8>,
    /// It says that the server offers no binding, which the server knows better (RFC 5802 §6).
    pub(super) says_unbound: bool,
}

/// Chooses by password.
pub(super) fn by_password(
    login: &Login,
    tls: &Tls,
    offered: &[String],
    types: Option<&[String]>,
    rng: &mut dyn RngCore,
) -> Result<Choice, Failure> {
    let password = login.password.as_deref().ok_or(Failure::NoPassword)?;
    let user = login.jid.node().map(|node| node.as_str()).unwrap_or_default();
    let binding = usable_binding(tls, types);
    let server_binds = offered.iter().any(|name| name.ends_with("-PLUS"));
    let usable = offered.iter().filter_map(|name| {
        let (base, plus) = name.strip_suffix("-PLUS").map_or((name.as_str(), false), |base| (base, true));
        let bound = if plus { binding.as_ref()?.0 } else { Bound::Not };
        Some((bound, Hash::of_mechanism(base)?))
    });
    let pins = login.pins;
    // STREAM 3: weaker than what an earlier login proved to be possible is not looked at.
    let earned = |&(bound, hash): &(Bound, Hash)| {
        bound >= pins.bound && pins.scram.is_none_or(|rank| rank <= hash as u8)
    };
    match usable.clone().filter(earned).max() {
        Some((bound, hash)) => {
            let kind = match &binding {
                Some((_, name, data)) if bound > Bound::Not => Binding::Bound(name, data.clone()),
                // `y` promises that we could and that nothing was offered: a server that offered it would refuse.
                Some(_) if !server_binds => Binding::ServerCannot,
                _ => Binding::ClientCannot,
            };
            let says_unbound = kind == Binding::ServerCannot;
            let (scram, initial) = Scram::start(hash, kind, user, password, rng)
                .map_err(|error| Failure::Untrusted(error.to_string()))?;
            let base = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"][hash as usize];
            Ok(Choice {
                mechanism: if bound > Bound::Not { format!("{base}-PLUS") } else { base.to_owned() },
                pins: Pins { bound, scram: Some(hash as u8) },
                exchange: Exchange::Challenge(scram),
                initial,
                says_unbound,
            })
        }
        None if usable.clone().next().is_some() => {
            let bound = usable.map(|(bound, _)| bound).max();
            Err(Failure::Untrusted(match bound < Some(pins.bound) {
                true => "the server no longer offers a login bound to the encrypted channel as before".into(),
                false => "the server offers only weaker logins than before".into(),
            }))
        }
        None if login.allow_plain && pins.scram.is_none() && offered.iter().any(|name| name == "PLAIN") => {
            Ok(Choice {
                mechanism: "PLAIN".to_owned(),
                pins,
                exchange: Exchange::Plain,
                initial: format!("\0{user}\0{password}").into_bytes(),
                says_unbound: false,
            })
        }
        None => Err(Failure::Untrusted(format!(
            "the server offers no safe way to log in ({})",
            super::words(&offered.join(", "))
        ))),
    }
}

/// Logs in by token (XEP-0484), if its own mechanism is possible over this channel.
pub(super) fn by_token(login: &Login, token: &FastToken, tls: &Tls) -> Option<Choice> {
    let (_, bound) = FAST.into_iter().find(|(name, _)| *name == token.mechanism)?;
    // STREAM 3: weaker than what an earlier login proved to be possible.
    if bound < login.pins.bound {
        return None;
    }
    let data = match bound {
        Bound::Exporter => tls.exporter.clone()?,
        Bound::EndPoint => tls.end_point.clone()?,
        Bound::Not => Vec::new(),
    };
    let mut initial = login.jid.node()?.as_str().as_bytes().to_vec();
    initial.push(0);
    initial.extend_from_slice(&keyed(&token.token, b"Initiator", &data));
    Some(Choice {
        mechanism: token.mechanism.clone(),
        pins: login.pins,
        exchange: Exchange::Token { responder: keyed(&token.token, b"Responder", &data) },
        initial,
        says_unbound: false,
    })
}

/// The mechanism that a new token should be for: the strongest that both sides can do.
pub(super) fn for_new_token(offered: &[String], tls: &Tls, pins: Pins) -> Option<&'static str> {
    let possible = |bound| match bound {
        Bound::Exporter => tls.exporter.is_some(),
        Bound::EndPoint => tls.end_point.is_some(),
        Bound::Not => true,
    };
    let usable = |&(name, bound): &(&str, Bound)| {
        bound >= pins.bound && possible(bound) && offered.iter().any(|offer| offer == name)
    };
    FAST.into_iter().find(usable).map(|(name, _)| name)
}

impl Exchange {
    /// The answer to a challenge.
    pub(super) fn challenged(
        self,
        data: &[u8],
        offered: &[String],
        types: Option<&[String]>,
    ) -> Result<(Self, Vec<u8>), Failure> {
        match self {
            Self::Challenge(scram) => {
                let offer = Offered {
                    mechanisms: offered.iter().map(String::as_str).collect(),
                    bindings: types.unwrap_or_default().iter().map(String::as_str).collect(),
                };
                let (finished, answer) =
                    scram.answer(data, &offer).map_err(|error| Failure::Untrusted(error.to_string()))?;
                Ok((Self::Signature(finished), answer))
            }
            // RFC 6120 §6.4.4: the signature may come as a challenge of its own, to be answered with nothing.
            Self::Signature(finished) => {
                finished.verify(data).map_err(|error| Failure::Untrusted(error.to_string()))?;
                Ok((Self::Proven, Vec::new()))
            }
            Self::Token { .. } | Self::Plain | Self::Proven => {
                Err(Failure::Nonsense("a challenge too many".into()))
            }
        }
    }

    /// The server says that it went well: does it prove it?
    pub(super) fn succeeded(&self, data: Option<&[u8]>) -> Result<(), Failure> {
        match self {
            Self::Plain | Self::Proven => Ok(()),
            Self::Signature(finished) => finished
                .verify(data.unwrap_or_default())
                .map_err(|error| Failure::Untrusted(error.to_string())),
            Self::Token { responder } if bool::from(responder.as_slice().ct_eq(data.unwrap_or_default())) => {
                Ok(())
            }
            Self::Token { .. } => {
                Err(Failure::Untrusted("the server could not prove that it knows the token".into()))
            }
            Self::Challenge(_) => {
                Err(Failure::Untrusted("the server declared success before it was asked anything".into()))
            }
        }
    }
}

/// Decodes what SASL carries. `=` is an empty message (RFC 6120 §6.4.2).
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    match text.trim() {
        "=" => Some(Vec::new()),
        text => BASE64.decode(text).ok(),
    }
}

/// Encodes what SASL carries.
pub(super) fn encode(data: &[u8]) -> String {
    if data.is_empty() { "=".to_owned() } else { BASE64.encode(data) }
}

fn usable_binding(tls: &Tls, types: Option<&[String]>) -> Option<(Bound, &'static str, Vec<u8>)> {
    // XEP-0440: where the server does not say, the exporter is what TLS 1.3 defines (RFC 9266).
    let offered =
        |name: &str| types.map_or(name == "tls-exporter", |types| types.iter().any(|offer| offer == name));
    if let Some(data) = tls.exporter.clone().filter(|_| offered("tls-exporter")) {
        return Some((Bound::Exporter, "tls-exporter", data));
    }
    tls.end_point
        .clone()
        .filter(|_| offered("tls-server-end-point"))
        .map(|data| (Bound::EndPoint, "tls-server-end-point", data))
}

fn keyed(token: &str, who: &[u8], binding: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(who);
    mac.update(binding);
    mac.finalize().into_bytes().to_vec()
}
