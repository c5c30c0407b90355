mod hostile;

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
        invalidate: false,
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
