use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac};
use rand::{SeedableRng, rngs::StdRng};
use sha2::Sha256;

use super::*;

const FEATURES_2: &str = "<features xmlns='http://etherx.jabber.org/streams'>
    <authentication xmlns='urn:xmpp:sasl:2'>
        <mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-256-PLUS</mechanism>
        <inline>
            <sm xmlns='urn:xmpp:sm:3'/>
            <fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast>
            <bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:carbons:2'/><feature var='urn:xmpp:sm:3'/></inline></bind>
        </inline>
    </authentication>
    <sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>
</features>";

fn login() -> Login {
    Login {
        jid: "romeo@montague.lit".parse().unwrap(),
        resource: Some("phone".into()),
        password: Some("pencil".into()),
        token: None,
        user_agent: Uuid::nil(),
        software: "Whimbrel".into(),
        resume: None,
        use_bind2: true,
        pins: Pins::default(),
        allow_plain: false,
        offer: None,
    }
}

fn with_token() -> Login {
    let offer = Features::read(&FEATURES_2.parse().unwrap());
    let token = FastToken { mechanism: "HT-SHA-256-EXPR".into(), token: "secret".into() };
    let resume =
        Resume { previd: "wherefore".into(), h: 7, jid: "romeo@montague.lit/phone".parse().unwrap() };
    Login { token: Some(token), offer: Some(offer), resume: Some(resume), ..login() }
}

fn proof() -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(b"Responderexporter");
    BASE64.encode(mac.finalize().into_bytes())
}

/// The client's half, step by step.
struct Client {
    rng: StdRng,
    wrote: String,
    progress: Option<Progress>,
}

impl Client {
    fn start(login: Login) -> Self {
        let rng = StdRng::seed_from_u64(1);
        let tls = Tls { exporter: Some(b"exporter".to_vec()), end_point: None };
        let step = Negotiation::start(login, Some(tls));
        let mut client = Self { rng, wrote: String::new(), progress: None };
        client.take(step);
        client
    }

    fn take(&mut self, step: Step) {
        self.wrote.clear();
        for out in step.outs {
            if let Out::Write(bytes) = out {
                self.wrote.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        }
        self.progress = Some(step.progress);
    }

    fn gets(&mut self, xml: &str) -> &mut Self {
        let Some(Progress::Going(negotiation)) = self.progress.take() else { panic!("not going on") };
        let step = negotiation.handle(Event::Element(&xml.parse().unwrap()), &mut self.rng);
        self.take(step);
        self
    }

    fn failure(&self) -> &Failure {
        match &self.progress {
            Some(Progress::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    fn online(&self) -> &Negotiated {
        match &self.progress {
            Some(Progress::Online(negotiated)) => negotiated,
            other => panic!("{other:?}"),
        }
    }
}

fn success(content: &str) -> String {
    let proof = proof();
    format!(
        "<success xmlns='urn:xmpp:sasl:2'><additional-data>{proof}</additional-data>
         <authorization-identifier>romeo@montague.lit/phone</authorization-identifier>{content}</success>"
    )
}

#[test]
fn login_with_a_token_is_one_flight_that_resumes_or_binds() {
    let mut client = Client::start(with_token());
    assert!(client.wrote.contains("<stream:stream") && client.wrote.contains("HT-SHA-256-EXPR"));
    assert!(client.wrote.contains("<resume xmlns='urn:xmpp:sm:3' h='7' previd='wherefore'/>"));
    assert!(client.wrote.contains("<bind xmlns='urn:xmpp:bind:0'>"));
    client.gets(FEATURES_2);
    assert_eq!(client.wrote, "");
    client.gets(&success("<resumed xmlns='urn:xmpp:sm:3' h='3' previd='wherefore'/>"));
    assert_eq!(client.online().session, Session::Resumed { h: 3 });
    assert_eq!(client.online().flights, 1);
}

#[test]
fn fast_token_refused() {
    let mut client = Client::start(with_token());
    client.gets(FEATURES_2);
    client.gets(
        "<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>",
    );
    assert!(client.wrote.contains("mechanism='SCRAM-SHA-256-PLUS'"), "{}", client.wrote);
    assert!(client.wrote.contains("<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>"));
}

#[test]
fn passing_failure_is_not_taken_for_a_refused_token() {
    let mut client = Client::start(with_token());
    client.gets(FEATURES_2).gets(
        "<failure xmlns='urn:xmpp:sasl:2'><temporary-auth-failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>",
    );
    assert!(
        matches!(client.failure(), Failure::Refused { condition, .. } if condition == "temporary-auth-failure")
    );
}

#[test]
fn fast_token_weaker_than_the_pins_is_not_used() {
    let mut login = with_token();
    login.token = Some(FastToken { mechanism: "HT-SHA-256-NONE".into(), token: "secret".into() });
    login.pins = Pins { bound: true, scram: Some(1) };
    let mut client = Client::start(login);
    assert!(!client.wrote.contains("authenticate"));
    client.gets(FEATURES_2);
    assert!(client.wrote.contains("mechanism='SCRAM-SHA-256-PLUS'"), "{}", client.wrote);
}

#[test]
fn success_without_proof() {
    for data in ["", "AAAA", "="] {
        let mut client = Client::start(with_token());
        client.gets(&format!(
            "<success xmlns='urn:xmpp:sasl:2'><additional-data>{data}</additional-data>
             <authorization-identifier>romeo@montague.lit/phone</authorization-identifier></success>"
        ));
        assert!(matches!(client.failure(), Failure::Untrusted(_)));
    }
    let mut client = Client::start(login());
    client.gets(FEATURES_2).gets(&success(""));
    assert!(matches!(client.failure(), Failure::Untrusted(_)));
    // The same in the way of RFC 6120.
    let mut client = Client::start(login());
    client.gets(
        "<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>
         <mechanism>SCRAM-SHA-1</mechanism></mechanisms></features>",
    );
    client.gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(matches!(client.failure(), Failure::Untrusted(_)));
}

#[test]
fn foreign_bind() {
    let mut client = Client::start(with_token());
    client.gets(&success("").replace("romeo@montague.lit/phone", "mallory@montague.lit/phone"));
    assert!(matches!(client.failure(), Failure::Untrusted(_)));
    // Bound although nobody asked for it: what the server keeps for us would be gone.
    let mut client = Client::start(Login { use_bind2: false, ..with_token() });
    client.gets(&success("<bound xmlns='urn:xmpp:bind:0'/>"));
    assert!(matches!(client.failure(), Failure::Nonsense(_)));
}

#[test]
fn resume_of_a_stranger() {
    let mut client = Client::start(with_token());
    client.gets(&success("<resumed xmlns='urn:xmpp:sm:3' h='3' previd='another'/>"));
    assert!(matches!(client.failure(), Failure::OtherSession(_)));
    let mut client = Client::start(with_token());
    let resumed = success("<resumed xmlns='urn:xmpp:sm:3' h='3' previd='wherefore'/>");
    client.gets(&resumed.replace("montague.lit/phone", "montague.lit/tablet"));
    assert!(matches!(client.failure(), Failure::OtherSession(_)));
    let mut client = Client::start(Login { resume: None, ..with_token() });
    client.gets(&success("<resumed xmlns='urn:xmpp:sm:3' h='3' previd='wherefore'/>"));
    assert!(matches!(client.failure(), Failure::Nonsense(_)));
}

#[test]
fn bind_before_resume() {
    let mut client = Client::start(with_token());
    client.gets("<iq xmlns='jabber:client' type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@montague.lit/x</jid></bind></iq>");
    client.gets("<resumed xmlns='urn:xmpp:sm:3' h='3' previd='wherefore'/>");
    client.gets("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>");
    assert!(matches!(client.progress, Some(Progress::Going(_))), "nothing of it is believed");
}

#[test]
fn mechanism_downgrade() {
    let offer = |mechanisms: &str| {
        let xml = format!(
            "<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{mechanisms}</mechanisms></features>"
        );
        let pins = Pins { bound: true, scram: Some(1) };
        let mut client = Client::start(Login { pins, allow_plain: true, ..login() });
        client.gets(&xml);
        matches!(client.progress, Some(Progress::Failed(Failure::Untrusted(_))))
    };
    assert!(offer("<mechanism>SCRAM-SHA-256</mechanism>"), "channel_binding_stripped");
    assert!(offer("<mechanism>SCRAM-SHA-1-PLUS</mechanism>"));
    assert!(offer("<mechanism>PLAIN</mechanism>"));
    assert!(offer(""));
    assert!(!offer("<mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>PLAIN</mechanism>"));
}

#[test]
fn password_is_never_sent_as_it_is_unless_allowed() {
    let plain = "<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></features>";
    assert!(matches!(Client::start(login()).gets(plain).failure(), Failure::Untrusted(_)));
    let mut client = Client::start(Login { allow_plain: true, ..login() });
    assert!(client.gets(plain).wrote.contains("mechanism='PLAIN'"));
}

#[test]
fn starttls_stripped() {
    let mut rng = StdRng::seed_from_u64(1);
    let step = Negotiation::start(login(), None);
    let Progress::Going(negotiation) = step.progress else { panic!() };
    let features = FEATURES_2.parse().unwrap();
    let step = negotiation.handle(Event::Element(&features), &mut rng);
    assert!(matches!(step.progress, Progress::Failed(Failure::Untrusted(_))));
}

#[test]
fn plaintext_behind_proceed_is_not_looked_at() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut progress = Negotiation::start(login(), None).progress;
    let starttls = "<features xmlns='http://etherx.jabber.org/streams'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></features>";
    let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    for (index, xml) in [starttls, proceed, FEATURES_2, proceed].into_iter().enumerate() {
        let Progress::Going(negotiation) = progress else { panic!() };
        let step = negotiation.handle(Event::Element(&xml.parse().unwrap()), &mut rng);
        assert_eq!(step.outs.is_empty(), index > 1);
        progress = step.progress;
    }
}

#[test]
fn sasl_loops() {
    for xml in [FEATURES_2, "<challenge xmlns='urn:xmpp:sasl:2'>cj1h</challenge>"] {
        let mut client = Client::start(with_token());
        let mut steps = 0;
        while let Some(Progress::Going(_)) = client.progress {
            client.gets(xml);
            steps += 1;
        }
        assert!(steps <= PATIENCE + 1);
    }
}
