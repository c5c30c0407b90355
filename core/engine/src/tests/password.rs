//! Another password (XEP-0077 §3.3): whenever the process dies, one of the two lets its user in. And the account's end.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{login::FEATURES, *};
use crate::api::PasswordChange;

const REFUSED: &str =
    "<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>";

impl World {
    fn changes_password(&mut self, password: &str) -> Option<Result<Reply, Error>> {
        self.does(Command::ChangePassword { password: password.into() })
    }

    /// The id of the question for another password, and which.
    fn password_question(&mut self) -> (String, String) {
        let at = self.wrote.iter().position(|iq| iq.get_child("query", ns::REGISTER).is_some());
        let iq = self.wrote.remove(at.expect("a question")).unwrap();
        assert_eq!((iq.attr("type"), iq.attr("to")), (Some("set"), Some("montague.lit")));
        let query = iq.get_child("query", ns::REGISTER).unwrap();
        assert_eq!(query.get_child("username", ns::REGISTER).unwrap().text(), "romeo");
        let password = query.get_child("password", ns::REGISTER).unwrap().text();
        (iq.attr("id").unwrap().to_owned(), password)
    }

    fn takes_password(&mut self, id: &str) {
        self.gets(&format!("<iq type='result' id='{id}' from='montague.lit'/>"));
    }

    /// Connects, and says by which password.
    fn tries(&mut self) -> String {
        self.dial();
        self.gets(FEATURES);
        let response = self.next("authenticate").get_child("initial-response", ns::SASL2).unwrap().text();
        let plain = String::from_utf8(BASE64.decode(response).unwrap()).unwrap();
        plain.rsplit('\0').next().unwrap().to_owned()
    }

    /// A new session, with a token if there is one to give.
    fn is_let_in(&mut self, token: &str) {
        self.gets(&format!(
            "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>{OWN}</authorization-identifier>{token}</success>"
        ));
        self.is_bound();
    }

    fn is_bound(&mut self) {
        self.gets("<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></features>");
        let bind = self.next("iq");
        self.gets(&format!(
            "<iq type='result' id='{}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{OWN}/phone</jid></bind></iq>",
            bind.attr("id").unwrap()
        ));
    }

    fn password(&self) -> String {
        self.file().query_row("SELECT password FROM account", [], |row| row.get(0)).unwrap()
    }

    fn is_settled(&self) -> bool {
        self.count("SELECT new_password IS NULL FROM account") == 1
    }

    fn outcomes(&self) -> Vec<&PasswordChange> {
        let told = self.events.iter().filter_map(|event| match event {
            Event::Password(change) => Some(change),
            _ => None,
        });
        told.collect()
    }
}

#[test]
fn new_password_counts_once_the_server_has_taken_it() {
    let mut world = World::online();
    assert_eq!(world.changes_password("quill"), None);
    let (id, password) = world.password_question();
    assert_eq!((password.as_str(), world.password().as_str()), ("quill", "pencil"));
    world.takes_password(&id);
    assert_eq!(world.replies.last().unwrap().1, Ok(Reply::Done));
    assert_eq!(world.outcomes(), [&PasswordChange::Done]);
    assert!(world.is_settled());
    world.kill();
    assert_eq!(world.tries(), "quill");
}

#[test]
fn kill_between_the_servers_answer_and_our_commit_locks_nobody_out() {
    let mut world = World::online();
    world.changes_password("quill");
    world.kill();
    assert_eq!(world.tries(), "quill");
    world.is_let_in("");
    assert_eq!(
        (world.password().as_str(), world.outcomes().as_slice()),
        ("quill", [&PasswordChange::Done].as_slice())
    );
    assert!(world.is_settled());
}

#[test]
fn password_that_the_server_was_not_told_is_asked_for_again_and_the_old_one_lets_in() {
    let mut world = World::online();
    world.server.hears = false;
    world.changes_password("quill");
    world.server.hears = true;
    world.kill();
    assert_eq!(world.tries(), "quill");
    world.gets(REFUSED);
    // At once, and nobody is told that a password was wrong.
    assert!(world.link.is_some());
    assert!(!matches!(world.status, Some(Status::Offline { reason: Some(_), .. })), "{:?}", world.status);
    assert_eq!(world.tries(), "pencil");
    world.is_let_in("");
    let (id, password) = world.password_question();
    assert_eq!(password, "quill");
    world.takes_password(&id);
    assert_eq!(world.password(), "quill");
    assert!(world.is_settled());
}

/// It may have been changed elsewhere since.
#[test]
fn what_was_answered_and_not_acknowledged_is_not_said_by_another_session() {
    for refused in [false, true] {
        let mut world = World::online();
        world.changes_password("quill");
        let (id, _) = world.password_question();
        if refused {
            world.gets(&format!("<iq type='error' id='{id}' from='montague.lit'><error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"));
        } else {
            world.takes_password(&id);
        }
        world.cut();
        world.reconnect(Resume::Refuse);
        assert!(!world.wrote.iter().any(|iq| iq.get_child("query", ns::REGISTER).is_some()));
        world.serve();
        world.acknowledge();
        assert_eq!(world.count("SELECT count(*) FROM outbox"), 0);
    }
}

#[test]
fn refused_password_leaves_the_old_one_and_says_why() {
    let mut world = World::online();
    world.changes_password("q");
    let (id, _) = world.password_question();
    world.gets(&format!("<iq type='error' id='{id}' from='montague.lit'><error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Too short.</text></error></iq>"));
    let refused =
        Error::ServerRefused { condition: "not-acceptable".into(), text: Some("Too short.".into()) };
    assert_eq!(world.replies.last().unwrap().1, Err(refused));
    assert_eq!(world.outcomes(), [&PasswordChange::Refused { condition: "not-acceptable".into() }]);
    assert!(world.is_settled());
    world.kill();
    assert_eq!(world.tries(), "pencil");
}

#[test]
fn who_asks_for_the_same_password_without_a_connection_is_answered() {
    let mut world = World::online();
    world.changes_password("another");
    world.cut();
    assert_eq!(world.replies.last().unwrap().1, Err(Error::Offline));
    assert_eq!(world.changes_password("another"), Some(Err(Error::Offline)));
    assert_eq!(
        world.changes_password("a third").map(|reply| matches!(reply, Err(Error::InvalidInput { .. }))),
        Some(true)
    );
}

#[test]
fn token_says_nothing_about_a_password_so_the_server_is_asked() {
    let mut world = World::new();
    world.first_login("secret");
    world.changes_password("quill");
    world.acknowledge();
    // The answer goes with the session.
    world.kill();
    world.dial();
    assert_eq!(world.next("authenticate").attr("mechanism"), Some("HT-SHA-256-EXPR"));
    let bound =
        "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='two' resume='true'/></bound>";
    world.gets_all(&[FEATURES, &super::login::success("secret", bound)]);
    assert!(!world.is_settled());
    let (id, _) = world.password_question();
    world.takes_password(&id);
    assert_eq!(world.password(), "quill");
}

#[test]
fn token_that_went_with_the_old_password_is_got_anew() {
    let mut world = World::new();
    world.first_login("secret");
    world.changes_password("quill");
    let (id, _) = world.password_question();
    world.takes_password(&id);
    world.kill();
    world.dial();
    world.next("authenticate");
    world.gets_all(&[FEATURES, REFUSED]);
    let authenticate = world.next("authenticate");
    assert_eq!(authenticate.attr("mechanism"), Some("PLAIN"));
    assert!(authenticate.get_child("request-token", ns::FAST).is_some());
    world.is_let_in("<token xmlns='urn:xmpp:fast:0' token='newer' expiry='2030-01-01T00:00:00Z'/>");
    assert_eq!(world.count("SELECT token LIKE '%newer%' FROM login"), 1);
}

#[test]
fn one_change_at_a_time_and_the_same_one_again_waits_for_it() {
    let mut world = World::new();
    assert_eq!(world.changes_password("quill"), Some(Err(Error::Offline)));
    assert!(world.is_settled());
    let mut world = World::online();
    for bad in ["", "nul\0", &"x".repeat(2_000)] {
        assert!(matches!(world.changes_password(bad), Some(Err(Error::InvalidInput { .. }))), "{bad:?}");
    }
    world.changes_password("quill");
    assert!(matches!(world.changes_password("ink"), Some(Err(Error::InvalidInput { .. }))));
    assert_eq!(world.changes_password("quill"), None);
    let (id, _) = world.password_question();
    world.takes_password(&id);
    assert_eq!(
        world.replies.iter().filter(|(_, reply)| *reply == Ok(Reply::Done)).count(),
        3,
        "connect and both"
    );
    // Cut while it is under way: not known yet, and told later.
    world.changes_password("ink");
    let (id, _) = world.password_question();
    world.cut();
    assert_eq!(world.replies.last().unwrap().1, Err(Error::Offline));
    world.reconnect(Resume::Accept);
    world.takes_password(&id);
    assert_eq!(world.outcomes().len(), 2);
    assert_eq!(world.password(), "ink");
}

#[test]
fn where_neither_password_counts_its_user_is_asked_and_is_right() {
    let mut world = World::online();
    world.changes_password("quill");
    world.kill();
    world.wanted = true;
    world.does(Command::SignIn { password: None });
    assert_eq!(world.tries(), "quill");
    world.gets(REFUSED);
    assert_eq!(world.tries(), "pencil");
    world.gets(REFUSED);
    assert_eq!(world.replies.last().unwrap().1, Err(Error::WrongPassword));
    assert!(world.link.is_none());
    world.does(Command::SignIn { password: Some("feather".into()) });
    assert_eq!(world.tries(), "feather");
    world.is_let_in("");
    assert_eq!(world.password(), "feather");
    assert!(world.is_settled());
    assert!(!world.wrote.iter().any(|iq| iq.get_child("query", ns::REGISTER).is_some()));
}

#[test]
fn deleted_account_is_not_connected_again() {
    let mut world = World::online();
    assert_eq!(world.does(Command::Unregister), None);
    let iq = world.next("iq");
    let query = iq.get_child("query", ns::REGISTER).unwrap();
    assert!(query.get_child("remove", ns::REGISTER).is_some());
    world.gets(&format!("<iq type='result' id='{}'/>", iq.attr("id").unwrap()));
    assert_eq!(world.replies.last().unwrap().1, Ok(Reply::Done));
    world.pass(86_400_000);
    assert!(world.link.is_none());
}

mod hostile {
    use super::*;

    #[test]
    fn forged_iq_result_for_a_password() {
        let mut world = World::online();
        world.changes_password("quill");
        let (id, _) = world.password_question();
        for from in [JULIET, "capulet.lit", "montague.lit/x"] {
            world.gets(&format!("<iq type='result' id='{id}' from='{from}'/>"));
        }
        assert_eq!(world.password(), "pencil");
        assert!(!world.is_settled());
    }
}
