//! What our server says of itself (XEP-0157, 0455, 0092), and of who has access to the account (XEP-0494).

use super::*;
use crate::api::{ClientAccess, ContactAddress, Permission, ServerInfo};

const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im' name='Montague'/>
    <x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>
    <field var='abuse-addresses'><value>mailto:abuse@montague.lit</value><value>xmpp:abuse@montague.lit</value></field>
    <field var='support-addresses'><value>https://montague.lit/help</value><value/></field></x>
    <x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:sos:0</value></field>
    <field var='external-status-addresses'><value>https://status.example/montague.json</value><value>http://plain.example/x</value></field></x></query>";

impl World {
    /// Waits for an answer to this: the id of what was asked, and its payload's name.
    fn asks_server(&mut self, command: Command) -> (String, Element) {
        self.all("iq");
        assert_eq!(self.does(command), None);
        let iq = self.next("iq");
        (iq.attr("id").unwrap().to_owned(), iq.children().next().unwrap().clone())
    }

    fn is_answered(&mut self, id: &str, from: &str, content: &str) {
        self.gets(&format!("<iq type='result' id='{id}' from='{from}'>{content}</iq>"));
    }

    fn last_reply(&self) -> Result<Reply, Error> {
        self.replies.last().unwrap().1.clone()
    }

    fn says_who_it_is(&mut self) -> ServerInfo {
        let (id, query) = self.asks_server(Command::ServerInfo);
        assert!(query.is("query", ns::DISCO_INFO));
        self.is_answered(&id, "montague.lit", INFO);
        let iq = self.next("iq");
        assert!(iq.get_child("query", ns::VERSION).is_some());
        let version =
            "<query xmlns='jabber:iq:version'><name>Prosody</name><version>13.0.1</version></query>";
        self.is_answered(iq.attr("id").unwrap(), "montague.lit", version);
        match self.last_reply() {
            Ok(Reply::Server(info)) => *info,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn server_says_whom_to_turn_to_and_where_outages_are_told() {
    let mut world = World::online();
    let info = world.says_who_it_is();
    assert_eq!(info.name.as_deref(), Some("Montague"));
    assert_eq!((info.software.as_deref(), info.version.as_deref()), (Some("Prosody"), Some("13.0.1")));
    let contact = |kind: &str, uri: &str| ContactAddress { kind: kind.into(), uri: uri.into() };
    let contacts = [
        contact("abuse", "mailto:abuse@montague.lit"),
        contact("abuse", "xmpp:abuse@montague.lit"),
        contact("support", "https://montague.lit/help"),
    ];
    assert_eq!(info.contacts, contacts);
    assert_eq!(info.outages, ["https://status.example/montague.json"], "by https only");
    // On the day of the outage nobody can be asked, after a kill as well.
    world.kill();
    assert_eq!(world.does(Command::ServerInfo), Some(Ok(Reply::Server(Box::new(info)))));
}

#[test]
fn server_is_asked_again_after_a_week_and_not_in_each_session() {
    let mut world = World::online();
    let at = |world: &World| world.count("SELECT json_extract(server, '$.at') FROM login");
    let session = |world: &mut World| {
        world.acknowledge();
        world.away_and_back();
        world.serve();
        at(world)
    };
    let first = at(&world);
    assert!(first >= START);
    assert_eq!(session(&mut world), first);
    world.now.wall += 8 * 86_400_000;
    let later = session(&mut world);
    assert!(later >= first + 8 * 86_400_000, "{later}");
    assert_eq!(session(&mut world), later);
}

#[test]
fn without_a_connection_and_a_word_before_nothing_is_known() {
    let mut world = World::new();
    assert_eq!(world.does(Command::ServerInfo), Some(Err(Error::Offline)));
    assert_eq!(world.does(Command::Clients), Some(Err(Error::Offline)));
}

#[test]
fn clients_are_listed_and_one_is_sent_away() {
    let mut world = World::online();
    let (id, list) = world.asks_server(Command::Clients);
    assert!(list.is("list", ns::CLIENT_ACCESS));
    world.is_answered(&id, OWN, "<clients xmlns='urn:xmpp:cam:0'><client connected='true' id='zeiP' type='session'>
        <first-seen>2023-04-06T14:26:08Z</first-seen><last-seen>2023-04-06T14:37:25Z</last-seen><auth><password/><fast/></auth>
        <permission status='unrestricted'/><user-agent><software>Gajim</software><uri>https://gajim.org/</uri><device>Juliet's laptop</device></user-agent></client>
        <client connected='false' id='Hj' type='access'><auth><grant/></auth><permission status='normal'/></client><client connected='true'/></clients>");
    let Ok(Reply::Clients(clients)) = world.last_reply() else { panic!("no clients") };
    let laptop = ClientAccess {
        id: "zeiP".into(),
        connected: true,
        has_session: true,
        first_seen: stamp::parse("2023-04-06T14:26:08Z"),
        last_seen: stamp::parse("2023-04-06T14:37:25Z"),
        software: Some("Gajim".into()),
        uri: Some("https://gajim.org/".into()),
        device: Some("Juliet's laptop".into()),
        by_password: true,
        by_token: true,
        by_grant: false,
        permission: Permission::Unrestricted,
    };
    assert_eq!(clients.len(), 2, "one without an id could not be named");
    assert_eq!(clients[0], laptop);
    assert_eq!(
        (clients[1].by_grant, clients[1].permission, clients[1].connected),
        (true, Permission::Normal, false)
    );

    let (id, revoke) = world.asks_server(Command::Revoke { client: "Hj".into() });
    assert_eq!((revoke.name(), revoke.attr("id")), ("revoke", Some("Hj")));
    world.is_answered(&id, OWN, "");
    assert_eq!(world.last_reply(), Ok(Reply::Done));
    let (id, _) = world.asks_server(Command::Revoke { client: "zeiP".into() });
    world.gets(&format!("<iq type='error' id='{id}'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><password-reset-required xmlns='urn:xmpp:cam:0'/></error></iq>"));
    assert_eq!(
        world.last_reply(),
        Err(Error::ServerRefused { condition: "password-reset-required".into(), text: None })
    );
}

mod hostile {
    use super::*;

    #[test]
    fn forged_iq_result_about_our_server() {
        let mut world = World::online();
        let (id, _) = world.asks_server(Command::ServerInfo);
        for from in [JULIET, "capulet.lit"] {
            world.is_answered(&id, from, INFO);
        }
        assert!(world.all("iq").is_empty());
        let many: String = (0..10_000).map(|n| format!("<value>mailto:{n}@montague.lit</value>")).collect();
        let info = INFO
            .replace("<value>mailto:abuse@montague.lit</value>", &many)
            .replace("name='Montague'", &format!("name='{}'", "x".repeat(5_000)));
        world.is_answered(&id, "montague.lit", &info);
        let iq = world.next("iq");
        world.is_answered(iq.attr("id").unwrap(), "montague.lit", "");
        let Ok(Reply::Server(info)) = world.last_reply() else { panic!("no server") };
        assert_eq!((info.contacts.len(), info.name.unwrap().len()), (64, 1_024));
    }
}

#[test]
fn session_that_goes_on_for_weeks_hears_what_the_server_says_by_then() {
    let mut world = World::online();
    world.now.wall += 8 * 86_400_000;
    world.turn(vec![Input::Tick]);
    let asked = world.all("iq");
    let info = asked.iter().find(|iq| iq.attr("to") == Some("montague.lit")).expect("it is asked");
    assert!(info.has_child("query", ns::DISCO_INFO));
}
