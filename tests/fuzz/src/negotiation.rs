//! The negotiation: a server that says anything in any order, with and without knowing the secrets.
//!
//! The input is what the server writes. `<account xmlns='f'/>` in front says what the account knows (see [`account`]),
//! `<secured xmlns='f'/>` that TLS is up. A `#proof` where SASL carries data is what a server that knows the password or the
//! token would say there; without one, nobody gets in but by PLAIN, and that only where the user allowed it.
//! `<register xmlns='f'/>` in front makes a new account of it ([`crate::registration`]).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac};
use jid::{BareJid, FullJid};
use minidom::Element;
use rand::{SeedableRng, rngs::StdRng};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use whimbrel::internals::Framing;
use whimbrel_engine::{Input, LinkId};
use whimbrel_proto::{
    features::Features,
    negotiation::{
        Bound, Event, FastToken, Login, Negotiation, Out, Pins, Progress, Resume, Session, Step,
        StreamHeader, Tls,
    },
    ns,
};

use crate::{
    registration,
    world::{ACTIONS, OWN},
};

const PASSWORD: &str = "pencil";
const TOKEN: &str = "secret-token";
const SALT: &[u8] = b"salt";
const ITERATIONS: u32 = 4_096;
const EXPORTER: [u8; 32] = [1; 32];
const END_POINT: [u8; 32] = [2; 32];

pub(crate) fn run(data: &[u8]) {
    gets_in(data);
}

/// Whether what the server says ends in a usable session, or in the account that was asked for.
pub fn gets_in(data: &[u8]) -> bool {
    let mut framing = Framing::default();
    let mut inputs = Vec::new();
    let header = format!("<stream:stream xmlns='{}' xmlns:stream='{}'>", ns::JABBER_CLIENT, ns::STREAM);
    framing.feed(LinkId(0), header.as_bytes(), &mut inputs).expect("a good header");
    // What was whole before the stream broke has come.
    let _ = framing.feed(LinkId(0), data, &mut inputs);
    let mut inputs = inputs.into_iter().skip(1).peekable();
    if let Some(Input::Element { element: how, .. }) = inputs
        .next_if(|input| matches!(input, Input::Element { element, .. } if element.is("register", ACTIONS)))
    {
        return registration::play(&how, inputs);
    }
    let knows = inputs
        .next_if(|input| matches!(input, Input::Element { element, .. } if element.is("account", ACTIONS)));
    let empty = Element::bare("account", ACTIONS);
    let knows = match &knows {
        Some(Input::Element { element, .. }) => element,
        _ => &empty,
    };
    let (login, tls) = account(knows);
    let direct = knows.attr("starttls").is_none();
    let mut session = Play::new(login.clone(), direct);
    let mut step = Negotiation::start(login, direct.then(|| tls.clone()));
    let mut rng = StdRng::seed_from_u64(1597);
    let mut events = 0;
    loop {
        session.reads(&step);
        let negotiation = match step.progress {
            Progress::Going(negotiation) => negotiation,
            Progress::Online(negotiated) => {
                session.ends(&negotiated);
                return true;
            }
            Progress::Failed(failure) => {
                drop(failure.to_string());
                return false;
            }
        };
        let header = StreamHeader { from: Some("montague.lit".into()), id: None };
        let mut element;
        let event = match inputs.next() {
            Some(Input::Element { element, .. }) if element.is("secured", ACTIONS) => {
                // Only the driver says this, and only when it was told to.
                if !session.starting_tls {
                    step = Step { outs: Vec::new(), progress: Progress::Going(negotiation) };
                    continue;
                }
                session.secured();
                Event::Secured(tls.clone())
            }
            Some(Input::Element { element: read, .. }) => {
                element = read;
                session.proves(&mut element);
                Event::Element(&element)
            }
            Some(Input::Header { .. }) => Event::Header(&header),
            Some(_) => {
                step = Step { outs: Vec::new(), progress: Progress::Going(negotiation) };
                continue;
            }
            None => return false,
        };
        events += 1;
        assert!(events <= 25, "a login without end");
        step = negotiation.handle(event, &mut rng);
    }
}

/// What the account knows: `token`, `plain`, `resume`, `bind2`, `bound` and `scram` (pins), `nopassword`, `offer`; and what TLS
/// gives: `noexporter`, `noendpoint`.
fn account(knows: &Element) -> (Login, Tls) {
    let has = |name: &str| knows.attr(name).is_some();
    let offer = knows.get_child("features", ns::STREAM).map(Features::read);
    let login = Login {
        jid: BareJid::new(OWN).expect("an address"),
        resource: Some("phone".into()),
        password: (!has("nopassword")).then(|| PASSWORD.into()),
        token: knows
            .attr("token")
            .map(|mechanism| FastToken { mechanism: mechanism.into(), token: TOKEN.into() }),
        user_agent: "00000000-0000-4000-8000-000000001597".parse().expect("a UUID"),
        software: "Whimbrel".into(),
        resume: has("resume").then(|| Resume {
            previd: "session-1".into(),
            h: 7,
            jid: FullJid::new(&format!("{OWN}/phone.1")).expect("an address"),
        }),
        use_bind2: has("bind2"),
        pins: Pins {
            bound: match () {
                () if has("bound") => Bound::Exporter,
                () if has("certificate") => Bound::EndPoint,
                () => Bound::Not,
            },
            scram: knows.attr("scram").and_then(|rank| rank.parse().ok()).filter(|rank| *rank < 3),
        },
        allow_plain: has("plain"),
        offer,
        invalidate: false,
    };
    let tls = Tls {
        exporter: (!has("noexporter")).then(|| EXPORTER.to_vec()),
        end_point: (!has("noendpoint")).then(|| END_POINT.to_vec()),
    };
    (login, tls)
}

/// What was said so far, and what may be believed of it.
struct Play {
    login: Login,
    encrypted: bool,
    starting_tls: bool,
    mechanism: String,
    /// What the client said in this exchange, decoded.
    said: Vec<Vec<u8>>,
    challenge: Option<String>,
    /// The server has proven itself in this exchange.
    proven: bool,
}

impl Play {
    fn new(login: Login, encrypted: bool) -> Self {
        let (mechanism, said) = (String::new(), Vec::new());
        Self { login, encrypted, starting_tls: false, mechanism, said, challenge: None, proven: false }
    }

    fn secured(&mut self) {
        self.encrypted = true;
        self.starting_tls = false;
    }

    fn reads(&mut self, step: &Step) {
        for out in &step.outs {
            match out {
                Out::StartTls => self.starting_tls = true,
                Out::Restart => {}
                Out::Write(bytes) => self.reads_bytes(bytes),
            }
        }
    }

    fn reads_bytes(&mut self, bytes: &[u8]) {
        for element in written(bytes).children() {
            assert!(self.encrypted || element.is("starttls", ns::TLS), "before TLS nothing is said but that");
            let data = match element.name() {
                "auth" | "response" => element.text(),
                "authenticate" => {
                    element.get_child("initial-response", ns::SASL2).map(Element::text).unwrap_or_default()
                }
                _ => continue,
            };
            if let Some(mechanism) = element.attr("mechanism") {
                self.begins(mechanism);
            }
            // A single `=` is nothing (RFC 6120 §6.4.2).
            self.said.push(if data == "=" { Vec::new() } else { BASE64.decode(data).expect("base64") });
        }
    }

    fn begins(&mut self, mechanism: &str) {
        self.mechanism = mechanism.to_owned();
        self.said.clear();
        self.challenge = None;
        self.proven = false;
        let login = &self.login;
        match mechanism {
            "PLAIN" => assert!(
                login.allow_plain && login.pins.scram.is_none(),
                "the password itself, allowed by nobody"
            ),
            "HT-SHA-256-NONE" => assert_eq!(login.pins.bound, Bound::Not, "weaker than before"),
            name if name.starts_with("HT-") => {
                assert_eq!(
                    login.token.as_ref().map(|token| token.mechanism.as_str()),
                    Some(name),
                    "of another mechanism"
                );
            }
            name => assert!(
                name.starts_with("SCRAM-SHA-") && (name.ends_with("-PLUS") || login.pins.bound == Bound::Not),
                "{name}"
            ),
        }
    }

    /// Puts in what only one who knows the secret can say.
    fn proves(&mut self, element: &mut Element) {
        if matches!(element.name(), "challenge" | "success" | "additional-data") && element.text() == "#proof"
        {
            let proof = self.proof().unwrap_or_default();
            let mut proven = Element::bare(element.name(), element.ns());
            proven.append_text(BASE64.encode(proof));
            *element = proven;
        }
        for child in element.children_mut() {
            self.proves(child);
        }
    }

    fn proof(&mut self) -> Option<Vec<u8>> {
        if self.mechanism.starts_with("HT-") {
            let binding: &[u8] = match self.mechanism.as_str() {
                "HT-SHA-256-EXPR" => &EXPORTER,
                "HT-SHA-256-ENDP" => &END_POINT,
                _ => &[],
            };
            self.proven = true;
            return Some(mac::<Hmac<Sha256>>(TOKEN.as_bytes(), &[b"Responder", binding].concat()));
        }
        let said: Vec<&str> =
            self.said.iter().map(|said| std::str::from_utf8(said).unwrap_or_default()).collect();
        let bare = said.first()?.splitn(3, ',').nth(2)?;
        if said.len() < 2 {
            let nonce = bare.split_once("r=")?.1;
            let challenge = format!("r={nonce}server,s={},i={ITERATIONS}", BASE64.encode(SALT));
            self.challenge = Some(challenge.clone());
            return Some(challenge.into_bytes());
        }
        let without_proof = said[1].rsplit_once(",p=")?.0;
        let signed = format!("{bare},{},{without_proof}", self.challenge.as_ref()?);
        let signature = match self.mechanism.trim_end_matches("-PLUS") {
            "SCRAM-SHA-1" => {
                let salted = pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(PASSWORD.as_bytes(), SALT, ITERATIONS);
                mac::<Hmac<Sha1>>(&mac::<Hmac<Sha1>>(&salted, b"Server Key"), signed.as_bytes())
            }
            "SCRAM-SHA-256" => {
                let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(PASSWORD.as_bytes(), SALT, ITERATIONS);
                mac::<Hmac<Sha256>>(&mac::<Hmac<Sha256>>(&salted, b"Server Key"), signed.as_bytes())
            }
            _ => {
                let salted = pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(PASSWORD.as_bytes(), SALT, ITERATIONS);
                mac::<Hmac<Sha512>>(&mac::<Hmac<Sha512>>(&salted, b"Server Key"), signed.as_bytes())
            }
        };
        self.proven = true;
        Some(format!("v={}", BASE64.encode(signature)).into_bytes())
    }

    /// Online: who let us in, and what was believed?
    fn ends(&self, negotiated: &whimbrel_proto::negotiation::Negotiated) {
        assert!(self.encrypted);
        assert_eq!(negotiated.jid.to_bare(), self.login.jid, "nobody else's address");
        assert_eq!(negotiated.mechanism, self.mechanism);
        assert!(self.proven || self.mechanism == "PLAIN", "{} without proof", self.mechanism);
        let pins = self.login.pins;
        assert!(
            negotiated.pins.bound >= pins.bound && negotiated.pins.scram >= pins.scram,
            "weaker than before"
        );
        if let Session::Resumed { .. } = negotiated.session {
            assert_eq!(Some(&negotiated.jid), self.login.resume.as_ref().map(|resume| &resume.jid));
        }
        if let Some(token) = &negotiated.token {
            assert!(token.mechanism.starts_with("HT-SHA-256-"), "{}", token.mechanism);
        }
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// What we have written, in an element around it; without the stream's header.
pub(crate) fn written(bytes: &[u8]) -> Element {
    let text = std::str::from_utf8(bytes).expect("we write UTF-8");
    let text = match text.find("<stream:stream") {
        Some(at) => &text[at + text[at..].find('>').map_or(0, |end| end + 1)..],
        None => text,
    };
    format!("<x xmlns='jabber:client'>{text}</x>").parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}
