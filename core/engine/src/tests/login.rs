//! The first way in: SASL2, Bind2 and a token, in one flight behind the stream header (STREAM 2 to 6).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha256};

use super::*;

pub(super) const FEATURES: &str = "<features xmlns='http://etherx.jabber.org/streams'><authentication xmlns='urn:xmpp:sasl:2'>
    <mechanism>PLAIN</mechanism><inline><sm xmlns='urn:xmpp:sm:3'/>
    <fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism></fast>
    <bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:carbons:2'/><feature var='urn:xmpp:sm:3'/></inline></bind>
    </inline></authentication></features>";

impl World {
    /// Connected, with TLS that can be bound to.
    pub(super) fn dial(&mut self) {
        self.wrote.clear();
        if !self.wanted {
            self.wanted = true;
            self.does(Command::Connect);
        }
        while self.link.is_none() {
            self.pass(100);
        }
        let link = self.link.unwrap();
        let tls = Tls { exporter: Some(b"exporter".to_vec()), end_point: None };
        self.server.counts = false;
        self.turn(vec![Input::LinkUp { link, tls: Some(tls) }]);
    }

    fn flights(&self) -> (u32, bool, String) {
        let online = self.events.iter().rev().find_map(|event| match event {
            Event::Online { round_trips, resumed, mechanism, .. } => {
                Some((*round_trips, *resumed, mechanism.clone()))
            }
            _ => None,
        });
        online.expect("online")
    }

    /// The first login: by password, the classic way to bind, with a token asked for.
    pub(super) fn first_login(&mut self, token: &str) {
        self.dial();
        self.gets(FEATURES);
        let authenticate = self.next("authenticate");
        assert_eq!(authenticate.attr("mechanism"), Some("PLAIN"));
        assert!(authenticate.get_child("request-token", ns::FAST).is_some());
        // STREAM 5: Bind2 throws away what the server kept, and nobody knows yet whether the archive has it.
        assert!(authenticate.get_child("bind", ns::BIND2).is_none());
        self.gets(&format!(
            "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>{OWN}</authorization-identifier><token xmlns='urn:xmpp:fast:0' token='{token}' expiry='2030-01-01T00:00:00Z'/></success>"
        ));
        self.gets("<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></features>");
        let bind = self.next("iq");
        self.gets(&format!(
            "<iq type='result' id='{}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{OWN}/phone</jid></bind></iq>",
            bind.attr("id").unwrap()
        ));
        self.next("enable");
        self.gets("<enabled xmlns='urn:xmpp:sm:3' id='one' resume='true'/>");
        self.serve();
        self.acknowledge();
        self.wrote.clear();
    }
}

/// What a server that knows the token answers (XEP-0484 §5).
fn proof(token: &str) -> String {
    let mut key = [0u8; 64];
    key[..token.len()].copy_from_slice(token.as_bytes());
    let inner =
        Sha256::new().chain_update(key.map(|b| b ^ 0x36)).chain_update(b"Responderexporter").finalize();
    BASE64.encode(Sha256::new().chain_update(key.map(|b| b ^ 0x5c)).chain_update(inner).finalize())
}

pub(super) fn success(token: &str, content: &str) -> String {
    let proof = proof(token);
    format!(
        "<success xmlns='urn:xmpp:sasl:2'><additional-data>{proof}</additional-data><authorization-identifier>{OWN}/phone</authorization-identifier>{content}</success>"
    )
}

#[test]
fn resumption_by_token_is_one_flight_and_the_missed_messages_come_in_it() {
    let mut world = World::new();
    world.first_login("secret");
    let id = world.says("unheard");
    world.server.h -= 1;
    world.kill();
    world.dial();
    let authenticate = world.next("authenticate");
    assert_eq!(authenticate.attr("mechanism"), Some("HT-SHA-256-EXPR"));
    assert_eq!(authenticate.get_child("resume", ns::SM).unwrap().attr("previd"), Some("one"));
    assert!(authenticate.get_child("bind", ns::BIND2).is_some(), "in case it does not resume");
    assert!(authenticate.get_child("fast", ns::FAST).unwrap().attr("count").is_none(), "no 0-RTT");
    assert!(world.wrote.is_empty(), "nothing else before success");
    let h = world.server.h;
    world.gets_all(&[
        FEATURES,
        &success("secret", &format!("<resumed xmlns='urn:xmpp:sm:3' previd='one' h='{h}'/>")),
        &live(1),
    ]);
    assert_eq!(world.flights(), (1, true, "HT-SHA-256-EXPR".into()));
    assert_eq!(world.sees(), ["> unheard", "1"]);
    assert_eq!(world.next("message").attr("id"), Some(id.0.as_str()));
}

#[test]
fn binding_by_token_is_one_flight_and_the_archive_is_asked_in_the_next() {
    let mut world = World::new();
    world.first_login("secret");
    world.gets(&live(0));
    world.server.archive = archived(0..4);
    world.kill();
    world.dial();
    world.next("authenticate");
    let failed = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    let bound =
        "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='two' resume='true'/></bound>";
    world.gets_all(&[FEATURES, &success("secret", &format!("{failed}{bound}"))]);
    assert_eq!(world.flights(), (1, false, "HT-SHA-256-EXPR".into()));
    let asked =
        |world: &World, ns: &str| world.wrote.iter().filter(|e| e.children().any(|c| c.has_ns(ns))).count();
    assert_eq!(asked(&world, ns::CARBONS), 0, "inline");
    assert_eq!(asked(&world, ns::MAM), 1);
    world.serve();
    assert_eq!(world.sees(), ["0", "1", "2", "3"]);
}

#[test]
fn token_is_stored_with_the_success_that_brought_it() {
    let mut world = World::new();
    world.first_login("secret");
    world.kill();
    world.dial();
    world.next("authenticate");
    let h = world.server.h;
    let next = "<token xmlns='urn:xmpp:fast:0' token='newer' expiry='2030-01-01T00:00:00Z'/>";
    world.gets_all(&[
        FEATURES,
        &success("secret", &format!("{next}<resumed xmlns='urn:xmpp:sm:3' previd='one' h='{h}'/>")),
    ]);
    world.kill();
    world.dial();
    world.next("authenticate");
    world.gets_all(&[
        FEATURES,
        &success("newer", &format!("<resumed xmlns='urn:xmpp:sm:3' previd='one' h='{h}'/>")),
    ]);
    assert_eq!(world.flights().0, 1);
}

#[test]
fn wrong_password_stops_and_asks() {
    let mut world = World::new();
    let reply = world.does(Command::SignIn { password: Some("penicl".into()) });
    assert_eq!(reply, None);
    world.wanted = true;
    world.dial();
    world.gets(FEATURES);
    world.gets("<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>");
    assert_eq!(world.replies.last().unwrap().1, Err(Error::WrongPassword));
    world.pass(3_600_000);
    assert!(world.link.is_none(), "no retry");
}

#[test]
fn another_password_is_tried_and_not_answered_by_what_is_said_of_the_first() {
    let mut world = World::new();
    world.does(Command::SignIn { password: Some("penicl".into()) });
    world.wanted = true;
    world.dial();
    world.gets(FEATURES);
    world.next("authenticate");
    assert_eq!(world.does(Command::SignIn { password: Some("pencil".into()) }), None);
    world.dial();
    world.gets(FEATURES);
    let said = world.next("authenticate").get_child("initial-response", ns::SASL2).unwrap().text();
    assert!(String::from_utf8(BASE64.decode(said).unwrap()).unwrap().ends_with("\0pencil"));
}

#[test]
fn unreadable_at_the_same_place_twice_binds_anew() {
    let mut world = World::online();
    let chokes = |world: &mut World| {
        let link = world.link.take().unwrap();
        world.turn(vec![Input::LinkLost { link, why: LinkFailure::Nonsense("a token of 2 MiB".into()) }]);
        world.count("SELECT sm IS NULL FROM session") == 1
    };
    assert!(!chokes(&mut world), "the first time it may have been the network");
    world.reconnect(Resume::Accept);
    world.gets(&live(1));
    assert!(!chokes(&mut world), "at another place");
    world.reconnect(Resume::Accept);
    assert!(chokes(&mut world));
}

#[test]
fn token_is_invalidated_by_one_more_login_that_goes_no_further() {
    let mut world = World::new();
    world.first_login("secret");
    assert_eq!(world.does(Command::Leave), None);
    world.dial();
    let authenticate = world.next("authenticate");
    assert_eq!(authenticate.get_child("fast", ns::FAST).unwrap().attr("invalidate"), Some("true"));
    assert!(
        authenticate.get_child("resume", ns::SM).is_none()
            && authenticate.get_child("bind", ns::BIND2).is_none()
    );
    world.gets_all(&[FEATURES, &success("secret", "")]);
    assert_eq!(world.replies.last().unwrap().1, Ok(Reply::Done));
    assert!(world.hung_up && world.link.is_none());
    world.pass(3_600_000);
    assert!(world.link.is_none());
    // Without a connection, or where nothing comes of it, nobody waits.
    assert_eq!(world.does(Command::Leave), Some(Ok(Reply::Done)));
    let mut world = World::new();
    world.first_login("secret");
    world.does(Command::Leave);
    world.cut();
    assert_eq!(world.replies.last().unwrap().1, Ok(Reply::Done));
}
