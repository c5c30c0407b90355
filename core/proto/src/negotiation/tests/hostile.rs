//! A server, or somebody between it and us, who wants in: every way to end a login that must not end well.

use sha2::Digest;

use super::*;

/// Features before a login the way of RFC 6120, with these mechanisms.
fn sasl1(mechanisms: &[&str]) -> String {
    let list: String = mechanisms.iter().map(|name| format!("<mechanism>{name}</mechanism>")).collect();
    format!(
        "<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{list}</mechanisms></features>"
    )
}

/// The same with what the server says that channels can be bound to (XEP-0440).
fn sasl1_with_types(mechanisms: &[&str], types: &[&str]) -> String {
    let list: String = types.iter().map(|name| format!("<channel-binding type='{name}'/>")).collect();
    let types = format!("<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>{list}</sasl-channel-binding>");
    sasl1(mechanisms).replace("</features>", &format!("{types}</features>"))
}

fn tls(exporter: bool, end_point: bool) -> Tls {
    Tls {
        exporter: exporter.then(|| b"exporter".to_vec()),
        end_point: end_point.then(|| b"end point".to_vec()),
    }
}

impl Client {
    fn over(login: Login, tls: Tls) -> Self {
        let rng = StdRng::seed_from_u64(1);
        let step = Negotiation::start(login, Some(tls));
        let mut client = Self { rng, wrote: String::new(), progress: None };
        client.take(step);
        client
    }

    fn is_untrusted(&self) -> bool {
        matches!(self.progress, Some(Progress::Failed(Failure::Untrusted(_))))
    }

    fn is_going(&self) -> bool {
        matches!(self.progress, Some(Progress::Going(_)))
    }

    /// What it sent as SASL in this step.
    fn sasl(&self) -> Vec<u8> {
        let text = self.wrote.rsplit_once("</").unwrap().0;
        let end = text.find("</initial-response>").unwrap_or(text.len());
        let text = &text[..end];
        BASE64.decode(&text[text.rfind('>').unwrap() + 1..]).unwrap()
    }
}

/// The server's half of SCRAM-SHA-256, with the right password.
struct Scram {
    first: String,
    challenge: String,
}

const SALT: &[u8] = b"salt of the earth";

impl Scram {
    /// Answers the client's first message, with `more` behind it.
    fn answer(client: &Client, nonce: impl Fn(&str) -> String, iterations: &str, more: &str) -> Self {
        let message = String::from_utf8(client.sasl()).unwrap();
        let first = message[message.find("n=romeo").unwrap()..].to_owned();
        let nonce = nonce(first.split_once("r=").unwrap().1);
        let challenge = format!("r={nonce},s={},i={iterations}{more}", BASE64.encode(SALT));
        Self { first, challenge }
    }

    fn honest(client: &Client, more: &str) -> Self {
        Self::answer(client, |nonce| format!("{nonce}server"), "4096", more)
    }

    fn challenge(&self) -> String {
        format!(
            "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</challenge>",
            BASE64.encode(&self.challenge)
        )
    }

    /// The signature over what the client answered.
    fn signature(&self, client: &Client) -> String {
        fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(data);
            mac.finalize().into_bytes().to_vec()
        }
        let answer = String::from_utf8(client.sasl()).unwrap();
        let without_proof = answer.split_once(",p=").unwrap().0;
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(b"pencil", SALT, 4096);
        let signed = format!("{},{},{without_proof}", self.first, self.challenge);
        format!("v={}", BASE64.encode(mac(&mac(&salted, b"Server Key"), signed.as_bytes())))
    }
}

/// What XEP-0474 hashes, by versions 0.3 and 0.4.
fn offer_hash(version: &str, mechanisms: &[&str], types: &[&str]) -> String {
    let (within, between) = if version == "d" { (",", "|") } else { ("\u{1e}", "\u{1f}") };
    let join = |list: &[&str]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.join(within)
    };
    let mut text = join(mechanisms);
    if !types.is_empty() {
        text = format!("{text}{between}{}", join(types));
    }
    format!(",{version}={}", BASE64.encode(Sha256::digest(text)))
}

fn failed(condition: &str) -> String {
    format!(
        "<failure xmlns='urn:xmpp:sasl:2'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>"
    )
}

#[test]
fn starttls_stripped() {
    let starttls = "<features xmlns='http://etherx.jabber.org/streams'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></features>";
    let other_namespace = starttls.replace("xmpp-tls", "xmpp-tlz");
    let refused = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let plain = sasl1(&["PLAIN", "SCRAM-SHA-256"]);
    let success = success("<bound xmlns='urn:xmpp:bind:0'/>");
    for script in [
        vec![FEATURES_2],
        vec![&plain],
        vec![&other_namespace],
        vec!["<features xmlns='http://etherx.jabber.org/streams'/>"],
        vec![starttls, refused],
        // Nobody asked, so nothing of it counts.
        vec![&success, &plain],
        vec![starttls, FEATURES_2, &success, refused],
    ] {
        let mut rng = StdRng::seed_from_u64(1);
        // Even with a token and a known offer: nothing is pipelined into plaintext.
        let mut step = Negotiation::start(Login { allow_plain: true, ..with_token() }, None);
        let mut wrote = String::new();
        for xml in script.iter().chain([&"<x xmlns='end'/>"]) {
            for out in &step.outs {
                match out {
                    Out::Write(bytes) => wrote.push_str(std::str::from_utf8(bytes).unwrap()),
                    other => panic!("{other:?} in plaintext after {script:?}"),
                }
            }
            let Progress::Going(negotiation) = step.progress else { break };
            step = negotiation.handle(Event::Element(&xml.parse().unwrap()), &mut rng);
        }
        assert!(matches!(step.progress, Progress::Failed(Failure::Untrusted(_))), "{script:?}");
        assert!(!wrote.contains("auth") && !wrote.contains("romeo"), "{wrote}");
    }
}

#[test]
fn pipelined_plaintext_after_starttls() {
    let starttls = "<features xmlns='http://etherx.jabber.org/streams'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></features>";
    let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let mut rng = StdRng::seed_from_u64(1);
    let mut progress = Negotiation::start(login(), None).progress;
    let injected = sasl1(&["PLAIN"]);
    for (index, xml) in [starttls, proceed, &injected, proceed, FEATURES_2].into_iter().enumerate() {
        let Progress::Going(negotiation) = progress else { panic!() };
        let step = negotiation.handle(Event::Element(&xml.parse().unwrap()), &mut rng);
        assert_eq!(step.outs.is_empty(), index > 1);
        progress = step.progress;
    }
    // TLS is up: what was said before is forgotten, and the offer comes anew.
    let Progress::Going(negotiation) = progress else { panic!() };
    let step = negotiation.handle(Event::Secured(tls(true, false)), &mut rng);
    assert!(
        matches!(&step.outs[..], [Out::Restart, Out::Write(bytes)] if !bytes.windows(4).any(|w| w == b"auth"))
    );
    let Progress::Going(negotiation) = step.progress else { panic!() };
    let step = negotiation.handle(Event::Secured(tls(true, false)), &mut rng);
    assert!(matches!(step.progress, Progress::Failed(Failure::Nonsense(_))), "TLS twice");
}

#[test]
fn mechanism_downgrade() {
    let pins = Pins { bound: Bound::Exporter, scram: Some(1) };
    let offer = |mechanisms: &[&str]| {
        let mut client = Client::start(Login { pins, allow_plain: true, ..login() });
        client.gets(&sasl1(mechanisms));
        assert!(client.is_going() || client.wrote.is_empty(), "nothing is sent");
        client
    };
    for weaker in [
        &["SCRAM-SHA-256"][..],
        &["SCRAM-SHA-1-PLUS"],
        &["SCRAM-SHA-1-PLUS", "SCRAM-SHA-512", "PLAIN"],
        &["PLAIN"],
        &["DIGEST-MD5", "ANONYMOUS", "EXTERNAL", "OAUTHBEARER", "LOGIN"],
        &["scram-sha-256-plus", "SCRAM-SHA-256-PLUS-PLUS", "SCRAM-SHA-256-PLUS "],
        &[],
    ] {
        let client = offer(weaker);
        // What is only spaced out is what it says.
        assert_eq!(client.is_untrusted(), !weaker.contains(&"SCRAM-SHA-256-PLUS "), "{weaker:?}");
    }
    // The weaker ones beside it tempt nobody, wherever they stand.
    for good in [
        ["PLAIN", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512"],
        ["SCRAM-SHA-512", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"],
    ] {
        assert!(offer(&good).wrote.contains("'SCRAM-SHA-256-PLUS'"));
    }
    // A pin on the hash alone is kept even if something weaker is bound.
    let pins = Pins { bound: Bound::Not, scram: Some(2) };
    let mut client = Client::start(Login { pins, ..login() });
    client.gets(&sasl1(&["SCRAM-SHA-1-PLUS", "SCRAM-SHA-512"]));
    assert!(client.wrote.contains("'SCRAM-SHA-512'"), "{}", client.wrote);
    // What a login earns is kept by the next, and never less than before.
    let mut client = Client::start(login());
    client.gets(&sasl1(&["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"]));
    let scram = Scram::honest(&client, "");
    client.gets(&scram.challenge());
    let signature = BASE64.encode(scram.signature(&client));
    client.gets(&format!("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{signature}</success>"));
    client.gets("<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></features>");
    client.gets("<iq xmlns='jabber:client' type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@montague.lit/x</jid></bind></iq>");
    assert_eq!(client.online().pins, Pins { bound: Bound::Exporter, scram: Some(1) });
}

#[test]
fn mechanism_downgrade_is_found_by_what_the_server_signs() {
    // XEP-0474: the man in the middle shows less than the server offers, on the very first login.
    let real = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
    for (shown, types_shown) in [
        (&["SCRAM-SHA-256"][..], &["tls-exporter"][..]),
        (&["SCRAM-SHA-256", "SCRAM-SHA-1"], &["tls-exporter"]),
        (&real, &["tls-unique"]),
        (&real, &[]),
        (&["SCRAM-SHA-256", "PLAIN"], &["tls-exporter"]),
    ] {
        for version in ["d", "h"] {
            let mut client = Client::start(login());
            client.gets(&sasl1_with_types(shown, types_shown));
            let scram = Scram::honest(&client, &offer_hash(version, &real, &["tls-exporter"]));
            client.gets(&scram.challenge());
            assert!(client.is_untrusted(), "{shown:?} {types_shown:?} {version}");
            assert!(client.wrote.is_empty(), "no proof is sent");
        }
    }
}

#[test]
fn mechanism_downgrade_cannot_be_made_good_by_a_second_offer() {
    // Less is shown to choose from, and all of it once that is chosen, so that the hash fits (XEP-0474).
    let real = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
    let types = ["tls-exporter"];
    let mut client = Client::start(login());
    client.gets(&sasl1_with_types(&["SCRAM-SHA-256", "SCRAM-SHA-1"], &types));
    let scram = Scram::honest(&client, &offer_hash("h", &real, &types));
    client.gets(&sasl1_with_types(&real, &types));
    client.gets(&scram.challenge());
    assert!(client.is_untrusted());
    // Likewise behind a token that was refused.
    let mut client = Client::start(with_token());
    client.gets(FEATURES_2).gets(&failed("not-authorized"));
    assert!(client.wrote.contains("SCRAM-SHA-256-PLUS"));
    let scram = Scram::honest(&client, &offer_hash("h", &["PLAIN"], &["tls-exporter"]));
    client.gets(&FEATURES_2.replace("SCRAM-SHA-256-PLUS", "PLAIN"));
    client.gets(&scram.challenge().replace("ietf:params:xml:ns:xmpp-sasl", "xmpp:sasl:2"));
    assert!(client.is_untrusted());
}

#[test]
fn password_is_never_sent_as_it_is_unless_allowed() {
    let plain = sasl1(&["PLAIN"]);
    assert!(matches!(Client::start(login()).gets(&plain).failure(), Failure::Untrusted(_)));
    let mut client = Client::start(Login { allow_plain: true, ..login() });
    assert!(client.gets(&plain).wrote.contains("mechanism='PLAIN'"));
    // Allowed or not: not where SCRAM was possible once, and not beside it.
    let pins = Pins { bound: Bound::Not, scram: Some(0) };
    assert!(Client::start(Login { allow_plain: true, pins, ..login() }).gets(&plain).is_untrusted());
    let mut client = Client::start(Login { allow_plain: true, ..login() });
    assert!(client.gets(&sasl1(&["PLAIN", "SCRAM-SHA-1"])).wrote.contains("'SCRAM-SHA-1'"));
}

#[test]
fn channel_binding_stripped() {
    let all = ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"];
    let try_with = |bound, types: Option<&[&str]>, channel: Tls| {
        let mut client = Client::over(Login { pins: Pins { bound, scram: Some(1) }, ..login() }, channel);
        client.gets(&types.map_or_else(|| sasl1(&all), |types| sasl1_with_types(&all, types)));
        client
    };
    // Bound to the connection once; whoever has the server's certificate could keep up with less.
    let exporter = Bound::Exporter;
    for (types, channel) in [
        (Some(&[][..]), tls(true, true)),
        (Some(&["tls-unique"][..]), tls(true, true)),
        (Some(&["tls-server-end-point"][..]), tls(true, true)),
        // TLS 1.2, which has no exporter that is safe.
        (None, tls(false, true)),
        (Some(&["tls-exporter", "tls-server-end-point"][..]), tls(false, true)),
    ] {
        let client = try_with(exporter, types, channel.clone());
        assert!(client.is_untrusted() && client.wrote.is_empty(), "{types:?} {channel:?}");
    }
    // Bound to the certificate: this or better.
    assert!(try_with(Bound::EndPoint, Some(&[]), tls(true, true)).is_untrusted());
    for types in [&["tls-server-end-point"][..], &["tls-exporter"]] {
        let client = try_with(Bound::EndPoint, Some(types), tls(true, true));
        assert!(client.wrote.contains("SCRAM-SHA-256-PLUS"), "{types:?}");
        assert!(String::from_utf8(client.sasl()).unwrap().starts_with(&format!("p={},", types[0])));
    }
    // Bound, and the server says that it does not fit: somebody is between us, and the password is not wrong.
    for condition in ["not-authorized", "malformed-request", "temporary-auth-failure"] {
        let mut client = Client::start(login());
        client.gets(&sasl1_with_types(&all, &["tls-exporter"]));
        client.gets(&Scram::honest(&client, "").challenge());
        client.gets(&format!(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/><text>Invalid channel binding value.</text></failure>"
        ));
        assert!(client.is_untrusted(), "{condition}");
    }
    // Never bound: the server learns from `y` that somebody took its offer away.
    let mut client = Client::start(login());
    client.gets(&sasl1_with_types(&["SCRAM-SHA-256"], &["tls-exporter"]));
    assert!(client.sasl().starts_with(b"y,,"));
    client.gets(&failed("malformed-request").replace("urn:xmpp:sasl:2", "urn:ietf:params:xml:ns:xmpp-sasl"));
    assert!(client.is_untrusted(), "and we learn it from the server");
}

#[test]
fn channel_binding_stripped_from_a_token() {
    let fast = |names: &str| {
        FEATURES_2
            .replace("<mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-NONE</mechanism>", names)
    };
    let (endp, none) = ("<mechanism>HT-SHA-256-ENDP</mechanism>", "<mechanism>HT-SHA-256-NONE</mechanism>");
    let pins = Pins { bound: Bound::Exporter, scram: Some(1) };
    // A weaker token is not asked for ...
    for names in [endp, none] {
        let mut client = Client::over(Login { pins, ..login() }, tls(true, true));
        client.gets(&fast(names));
        assert!(
            client.wrote.contains("SCRAM-SHA-256-PLUS") && !client.wrote.contains("request-token"),
            "{names}"
        );
    }
    // ... and one from before is not used.
    for mechanism in ["HT-SHA-256-ENDP", "HT-SHA-256-NONE", "HT-SHA-256-UNIQ", "HT-SHA-1-EXPR", ""] {
        let token = Some(FastToken { mechanism: mechanism.into(), token: "secret".into() });
        let offer = fast(&format!("<mechanism>{mechanism}</mechanism>"));
        let offered = Some(Features::read(&offer.parse().unwrap()));
        let mut client = Client::over(Login { pins, token, offer: offered, ..with_token() }, tls(true, true));
        assert!(!client.wrote.contains("authenticate"), "{mechanism}");
        client.gets(&offer);
        assert!(client.wrote.contains("mechanism='SCRAM-SHA-256-PLUS'"), "{}", client.wrote);
    }
}

#[test]
fn scram_iterations() {
    let challenged = |iterations: &str, nonce: &dyn Fn(&str) -> String, more: &str| {
        let mut client = Client::start(login());
        client.gets(&sasl1(&["SCRAM-SHA-256"]));
        let scram = Scram::answer(&client, nonce, iterations, more);
        client.gets(&scram.challenge());
        client
    };
    let honest: &dyn Fn(&str) -> String = &|nonce| format!("{nonce}server");
    for iterations in [
        "0",
        "1",
        "4095",
        "1000001",
        "2147483648",
        "4294967295",
        "4294967296",
        "-1",
        "",
        "4e3",
        "0x1000",
        "4096.0",
    ] {
        let client = challenged(iterations, honest, "");
        assert!(client.is_untrusted() && client.wrote.is_empty(), "{iterations}");
    }
    let short: &dyn Fn(&str) -> String = &|nonce| nonce[..nonce.len() - 1].to_owned();
    let same: &dyn Fn(&str) -> String = &|nonce| nonce.to_owned();
    let other: &dyn Fn(&str) -> String = &|nonce| format!("x{nonce}");
    for nonce in [short, same, other, &|_: &str| String::new()] {
        let client = challenged("4096", nonce, "");
        assert!(client.is_untrusted() && client.wrote.is_empty());
    }
    for more in [",m=must know", ",d=AAAA", ",h=", ",nonsense"] {
        let client = challenged("4096", honest, more);
        assert!(client.is_untrusted() && client.wrote.is_empty(), "{more}");
    }
    assert!(challenged("4096", honest, ",x=unknown and optional").is_going());
    // The exchange may be read by nobody, may be no base64, may be empty.
    for challenge in ["", "=", "!!!!", "/w==", "cj0="] {
        let mut client = Client::start(login());
        client.gets(&sasl1(&["SCRAM-SHA-256"]));
        client.gets(&format!("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{challenge}</challenge>"));
        assert!(matches!(client.progress, Some(Progress::Failed(_))), "{challenge}");
    }
}

#[test]
fn success_without_proof() {
    // By token: nothing, noise, what we sent ourselves, and what was right on another connection.
    let reflected = {
        let client = Client::start(with_token());
        BASE64.encode(&client.sasl()["romeo\0".len()..])
    };
    let elsewhere = {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(b"Responder another exporter");
        BASE64.encode(mac.finalize().into_bytes())
    };
    for data in ["", "AAAA", "=", &reflected, &elsewhere, &proof()[..8], "not base64"] {
        let mut client = Client::start(with_token());
        client.gets(&success("").replace(&proof(), data));
        assert!(client.is_untrusted(), "{data}");
    }
    // By password: before anything was asked, and by the proof of a token that was not used.
    let mut client = Client::start(login());
    client.gets(FEATURES_2).gets(&success(""));
    assert!(client.is_untrusted());
    let mut client = Client::start(login());
    client.gets(&sasl1(&["SCRAM-SHA-1"]));
    client.gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(client.is_untrusted());
    // Behind the challenge, without the signature or with another one.
    for replace in ["", "v=", "v=AAAA", "e=other-error"] {
        for tag in ["success", "challenge"] {
            let mut client = Client::start(login());
            client.gets(&sasl1(&["SCRAM-SHA-256"]));
            let scram = Scram::honest(&client, "");
            client.gets(&scram.challenge());
            let data = BASE64.encode(replace);
            client.gets(&format!("<{tag} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{data}</{tag}>"));
            assert!(client.is_untrusted(), "{tag} {replace}");
        }
    }
    // The right one, in the success or in a challenge before it.
    for in_challenge in [false, true] {
        let mut client = Client::start(login());
        client.gets(&sasl1(&["SCRAM-SHA-256"]));
        let scram = Scram::honest(&client, "");
        client.gets(&scram.challenge());
        let data = BASE64.encode(scram.signature(&client));
        if in_challenge {
            client.gets(&format!("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{data}</challenge>"));
            client.gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        } else {
            client.gets(&format!("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{data}</success>"));
        }
        assert!(client.is_going() && client.wrote.contains("<stream:stream"));
    }
    // A success of the other profile is none.
    let mut client = Client::start(with_token());
    client.gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(client.is_going() && client.wrote.is_empty());
}

#[test]
fn fast_token_replay() {
    // The proof is bound to this connection: what was recorded on another one is worth nothing here.
    let sent = |channel: &[u8]| {
        let channel = Tls { exporter: Some(channel.to_vec()), end_point: None };
        Client::over(with_token(), channel).sasl()
    };
    assert_ne!(sent(b"one"), sent(b"another"));
    // A token that everybody knows is none; a new one is for the mechanism that was asked for.
    let mut client = Client::start(with_token());
    client.gets(&success("<token xmlns='urn:xmpp:fast:0' token=''/><bound xmlns='urn:xmpp:bind:0'/>"));
    assert_eq!(client.online().token, None);
    let mut client = Client::start(with_token());
    client.gets(&success("<token xmlns='urn:xmpp:fast:0' token='new' mechanism='HT-SHA-256-NONE'/><bound xmlns='urn:xmpp:bind:0'/>"));
    let token = FastToken { mechanism: "HT-SHA-256-EXPR".into(), token: "new".into() };
    assert_eq!(client.online().token, Some(token));
    // And one that nobody asked for is not taken at all.
    let mut client = Client::start(Login { allow_plain: true, ..login() });
    let offer = FEATURES_2.replace("SCRAM-SHA-256-PLUS", "PLAIN").replace("SCRAM-SHA-256", "PLAIN");
    client.gets(&offer.replace("HT-SHA-256-", "HT-MD5-"));
    client.gets(&success("<token xmlns='urn:xmpp:fast:0' token='new'/><bound xmlns='urn:xmpp:bind:0'/>"));
    assert_eq!(client.online().token, None);
}

#[test]
fn fast_token_refused() {
    for condition in ["not-authorized", "credentials-expired", "invalid-mechanism", "malformed-request", "x"]
    {
        let mut client = Client::start(with_token());
        client.gets(FEATURES_2).gets(&failed(condition));
        assert!(client.wrote.contains("mechanism='SCRAM-SHA-256-PLUS'"), "{}", client.wrote);
        assert!(
            client.wrote.contains("<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>")
        );
        assert!(client.wrote.contains("<resume ") && !client.wrote.contains("<fast "));
        // It is the password that decides whether the password is wrong.
        client.gets(&failed("not-authorized"));
        assert_eq!(client.failure(), &Failure::WrongPassword);
    }
    // Nothing to fall back on: the user is asked.
    let mut client = Client::start(Login { password: None, ..with_token() });
    client.gets(FEATURES_2).gets(&failed("not-authorized"));
    assert_eq!(client.failure(), &Failure::NoPassword);
    // The fall-back is bound by the pins like any other.
    let pins = Pins { bound: Bound::Exporter, scram: Some(1) };
    let mut client = Client::start(Login { pins, allow_plain: true, ..with_token() });
    client.gets(&FEATURES_2.replace("SCRAM-SHA-256-PLUS", "PLAIN")).gets(&failed("not-authorized"));
    assert!(client.is_untrusted());
    // What passes says nothing about the token.
    for condition in ["temporary-auth-failure", "account-disabled", "aborted"] {
        let mut client = Client::start(with_token());
        client.gets(FEATURES_2).gets(&failed(condition));
        assert!(matches!(client.failure(), Failure::Refused { condition: said, .. } if said == condition));
    }
}

#[test]
fn foreign_bind() {
    for other in [
        "mallory@montague.lit/phone",
        "romeo@capulet.lit/phone",
        "montague.lit/phone",
        "rom\u{435}o@montague.lit/phone",
        "romeo@montague.lit.capulet.lit/phone",
    ] {
        let mut client = Client::start(with_token());
        let content = "<bound xmlns='urn:xmpp:bind:0'/>";
        client.gets(&success(content).replace("romeo@montague.lit/phone", other));
        assert!(client.is_untrusted(), "{other}");
        // The same by RFC 6120.
        let mut client = Client::start(Login { allow_plain: true, ..login() });
        client.gets(&sasl1(&["PLAIN"])).gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        client.gets("<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></features>");
        client.gets(&format!("<iq xmlns='jabber:client' type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{other}</jid></bind></iq>"));
        assert!(client.is_untrusted(), "{other}");
    }
    // No address, or none that is whole.
    for missing in ["", "romeo@montague.lit", "@/", "romeo@@montague.lit/x"] {
        let mut client = Client::start(with_token());
        let content = "<bound xmlns='urn:xmpp:bind:0'/>";
        client.gets(&success(content).replace("romeo@montague.lit/phone", missing));
        assert!(matches!(client.failure(), Failure::Nonsense(_)), "{missing}");
    }
    // Bound although nobody asked for it: what the server keeps for us would be gone.
    let mut client = Client::start(Login { use_bind2: false, ..with_token() });
    client.gets(&success("<bound xmlns='urn:xmpp:bind:0'/>"));
    assert!(matches!(client.failure(), Failure::Nonsense(_)));
}

#[test]
fn resume_of_a_stranger() {
    for content in [
        "<resumed xmlns='urn:xmpp:sm:3' h='3' previd='another'/>",
        "<resumed xmlns='urn:xmpp:sm:3' h='3' previd=''/>",
        "<resumed xmlns='urn:xmpp:sm:3' h='3'/>",
        // The right name, and no word about what it has.
        "<resumed xmlns='urn:xmpp:sm:3' previd='wherefore'/>",
        "<resumed xmlns='urn:xmpp:sm:3' h='4294967296' previd='wherefore'/>",
        "<resumed xmlns='urn:xmpp:sm:3' h='-1' previd='wherefore'/>",
    ] {
        let mut client = Client::start(with_token());
        client.gets(&success(content));
        assert!(matches!(client.failure(), Failure::OtherSession(_)), "{content}");
    }
    let resumed = success("<resumed xmlns='urn:xmpp:sm:3' h='3' previd='wherefore'/>");
    let mut client = Client::start(with_token());
    client.gets(&resumed.replace("montague.lit/phone", "montague.lit/tablet"));
    assert!(matches!(client.failure(), Failure::OtherSession(_)));
    let mut client = Client::start(Login { resume: None, ..with_token() });
    client.gets(&resumed);
    assert!(matches!(client.failure(), Failure::Nonsense(_)));
    // Both at once: what was resumed counts, and its name is checked all the same.
    let mut client = Client::start(with_token());
    client.gets(&success(
        "<bound xmlns='urn:xmpp:bind:0'/><resumed xmlns='urn:xmpp:sm:3' h='3' previd='another'/>",
    ));
    assert!(matches!(client.failure(), Failure::OtherSession(_)));
}

#[test]
fn bind_before_resume() {
    let early = [
        "<iq xmlns='jabber:client' type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>romeo@montague.lit/x</jid></bind></iq>",
        "<resumed xmlns='urn:xmpp:sm:3' h='3' previd='wherefore'/>",
        "<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>",
        "<failed xmlns='urn:xmpp:sm:3'/>",
    ];
    // Before success nothing of it is believed, nor answered.
    for login in [with_token(), login()] {
        let mut client = Client::start(login);
        for xml in early {
            client.gets(xml);
            assert!(client.is_going() && client.wrote.is_empty(), "{xml}");
        }
    }
    // Behind it each has its turn, and no other counts.
    let mut client = Client::start(Login { allow_plain: true, token: None, ..with_token() });
    client.gets(&sasl1(&["PLAIN"])).gets("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    client.gets(early[0]).gets(early[1]);
    assert!(client.is_going());
    client.gets("<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></features>");
    assert!(client.wrote.contains("<resume "));
    client.gets(early[0]).gets(early[2]);
    assert!(client.is_going() && client.wrote.is_empty(), "bound while a resumption was asked for");
    client.gets(early[3]);
    assert!(client.wrote.contains("<iq "), "bound anew");
    client.gets(early[1]).gets(early[2]);
    assert!(client.is_going() && client.wrote.is_empty(), "resumed while an address was asked for");
}

#[test]
fn compression_offered() {
    let offer = "<compression xmlns='http://jabber.org/features/compress'><method>zlib</method><method>lzw</method></compression>";
    let compressed = "<compressed xmlns='http://jabber.org/protocol/compress'/>";
    let with = |features: &str| features.replace("</features>", &format!("{offer}</features>"));
    let mut rng = StdRng::seed_from_u64(1);
    let mut wrote = String::new();
    let starttls = "<features xmlns='http://etherx.jabber.org/streams'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></features>";
    let bind = "<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></features>";
    let mut step = Negotiation::start(Login { allow_plain: true, ..login() }, None);
    // Offered and even declared, before TLS, after it, and after the login.
    let script = [
        compressed.to_owned(),
        with(starttls),
        compressed.to_owned(),
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".into(),
        "TLS".into(),
        compressed.to_owned(),
        with(&sasl1(&["PLAIN"])),
        compressed.to_owned(),
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".into(),
        compressed.to_owned(),
        with(bind),
        compressed.to_owned(),
    ];
    for xml in script {
        let Progress::Going(negotiation) = step.progress else { panic!("{xml}: {:?}", step.progress) };
        step = match xml.as_str() {
            "TLS" => negotiation.handle(Event::Secured(tls(true, false)), &mut rng),
            xml => negotiation.handle(Event::Element(&xml.parse().unwrap()), &mut rng),
        };
        for out in &step.outs {
            if let Out::Write(bytes) = out {
                wrote.push_str(std::str::from_utf8(bytes).unwrap());
            }
            assert!(!(xml == compressed && matches!(out, Out::Restart)), "no new stream begins there");
        }
    }
    assert!(wrote.contains("<auth ") && wrote.contains("<iq ") && !wrote.contains("compress"), "{wrote}");
}

#[test]
fn sasl_loops() {
    let challenge = "<challenge xmlns='urn:xmpp:sasl:2'>cj1h</challenge>";
    let header = StreamHeader::default();
    for xml in [FEATURES_2, challenge, "<x xmlns='y'/>", &failed("not-authorized"), &sasl1(&[]), ""] {
        for login in [with_token(), login(), Login { allow_plain: true, ..login() }] {
            let mut client = Client::start(login);
            let mut steps = 0;
            while client.is_going() {
                if xml.is_empty() {
                    let Some(Progress::Going(negotiation)) = client.progress.take() else { panic!() };
                    let step = negotiation.handle(Event::Header(&header), &mut client.rng);
                    client.take(step);
                } else {
                    client.gets(xml);
                }
                steps += 1;
            }
            assert!(steps <= PATIENCE + 1, "{xml}");
            assert!(!matches!(client.progress, Some(Progress::Online(_))), "{xml}");
        }
    }
    // Signature upon signature: a challenge too many.
    let mut client = Client::start(login());
    client.gets(&sasl1(&["SCRAM-SHA-256"]));
    let scram = Scram::honest(&client, "");
    client.gets(&scram.challenge());
    let data = BASE64.encode(scram.signature(&client));
    let again = format!("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{data}</challenge>");
    client.gets(&again).gets(&again);
    assert!(matches!(client.failure(), Failure::Nonsense(_)));
}

#[test]
fn features_forever() {
    // In each state of a login that can be reached without proof.
    let bind = "<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></features>";
    let plain = sasl1(&["PLAIN"]);
    let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    for reached in [&[][..], &[plain.as_str()], &[&plain, success], &[&plain, success, bind]] {
        let mut client = Client::start(Login { allow_plain: true, ..login() });
        for xml in reached {
            client.gets(xml);
        }
        let mut wrote = 0;
        let mut steps = 0;
        while client.is_going() {
            client.gets(if reached.len() < 2 { &plain } else { bind });
            wrote += usize::from(!client.wrote.is_empty());
            steps += 1;
        }
        assert!(matches!(client.failure(), Failure::Nonsense(_)));
        assert!(steps <= PATIENCE + 1 && wrote <= 1, "asked once, and not again with each offer");
    }
    // What an offer names is kept from login to login: within bounds.
    let names: Vec<String> = (0..10_000).map(|n| format!("X-{n}-{}", "y".repeat(n % 500))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let features = Features::read(&sasl1_with_types(&names, &names).parse().unwrap());
    let kept: usize =
        features.mechanisms.iter().chain(features.bindings.iter().flatten()).map(String::len).sum();
    assert!(kept > 0 && kept < 64 * 1024, "{kept}");
}

#[test]
fn stream_error_loop() {
    // On every connect, in every state; what the server says is kept within bounds.
    let long = "x".repeat(100_000);
    for condition in ["conflict", "policy-violation", "host-unknown", &long[..900]] {
        let error = format!(
            "<error xmlns='http://etherx.jabber.org/streams'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{long}</text></error>"
        );
        for before in [&[][..], &[FEATURES_2]] {
            let mut client = Client::start(login());
            for xml in before {
                client.gets(xml);
            }
            client.gets(&error);
            let Failure::Refused { condition: said, text } = client.failure() else { panic!() };
            assert!(condition.starts_with(said.as_str()) && said.len() <= MAX_WORDS);
            assert_eq!(text.as_ref().map(String::len), Some(MAX_WORDS));
        }
    }
}
