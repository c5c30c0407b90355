//! Links that make friends (XEP-0379, 0401).

use whimbrel_proto::uri::Uri;

use super::*;
use crate::{api::Invitation, roster};

const NURSE: &str = "nurse@capulet.lit";
const DAY: u64 = 86_400_000;

impl World {
    fn invites(&mut self) -> Option<Result<Reply, Error>> {
        self.does(Command::Invite { name: Some("Romeo & co".into()), valid_for: DAY })
    }

    fn invitation_from(&self, reply: Option<Result<Reply, Error>>) -> Invitation {
        match reply.unwrap_or_else(|| self.replies.last().unwrap().1.clone()) {
            Ok(Reply::Invitation(invitation)) => invitation,
            other => panic!("{other:?}"),
        }
    }

    fn shows(&mut self, who: &str, token: &str) {
        self.gets(&format!("<presence from='{who}' type='subscribe'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"));
    }

    /// What it said to somebody about presence.
    fn said_to(&mut self, who: &str) -> Vec<String> {
        self.acknowledge();
        let presences = self.all("presence");
        let said = presences.iter().filter(|presence| presence.attr("to") == Some(who));
        said.map(|presence| presence.attr("type").unwrap_or_default().to_owned()).collect()
    }

    fn who_ask(&self) -> Vec<String> {
        let contacts = roster::contacts(&self.file()).unwrap();
        contacts.iter().filter(|contact| contact.asks).map(|contact| contact.jid.to_string()).collect()
    }

    fn server_answers(&mut self, content: &str) {
        let iq = self.next("iq");
        let id = iq.attr("id").unwrap();
        self.gets(&format!("<iq type='result' id='{id}' from='montague.lit'>{content}</iq>"));
    }

    fn server_knows_no_invitations(&mut self) {
        let iq = self.next("iq");
        let id = iq.attr("id").unwrap();
        self.gets(&format!("<iq type='error' id='{id}' from='montague.lit'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"));
    }
}

fn token(invitation: &Invitation) -> String {
    let uri: Uri = invitation.uri.parse().unwrap();
    uri.query.unwrap().parameter("preauth").unwrap().to_owned()
}

#[test]
fn whoever_shows_a_token_of_ours_is_accepted_once() {
    let mut world = World::online();
    world.cut();
    let reply = world.invites();
    let invitation = world.invitation_from(reply);
    let uri: Uri = invitation.uri.parse().unwrap();
    assert_eq!(uri.address.unwrap().as_str(), OWN);
    assert_eq!(uri.query.unwrap().parameter("name"), Some("Romeo & co"));
    assert_eq!(invitation.expires, Some(world.now.wall + DAY as i64));
    let token = token(&invitation);
    world.reconnect(Resume::Accept);
    world.shows(NURSE, &token);
    assert_eq!(world.said_to(NURSE), ["subscribed", "subscribe"]);
    assert!(world.who_ask().is_empty());
    // Somebody else has the link, too.
    world.shows("tybalt@capulet.lit", &token);
    assert!(world.said_to("tybalt@capulet.lit").is_empty());
    assert_eq!(world.who_ask(), ["tybalt@capulet.lit"]);
}

#[test]
fn token_that_has_run_out_is_a_strangers_question() {
    let mut world = World::online();
    world.invites();
    world.server_knows_no_invitations();
    let token = token(&world.invitation_from(None));
    world.now.wall += DAY as i64 + 1;
    world.shows(NURSE, &token);
    assert!(world.said_to(NURSE).is_empty());
    assert_eq!(world.who_ask(), [NURSE]);
}

#[test]
fn server_that_makes_invitations_makes_ours() {
    let mut world = World::online();
    assert_eq!(world.invites(), None);
    assert_eq!(
        world.wrote.iter().find_map(|iq| iq.get_child("command", ns::COMMANDS)?.attr("node")),
        Some("urn:xmpp:invite#invite")
    );
    world.server_answers("<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite' status='completed'><x xmlns='jabber:x:data' type='result'>
        <field var='uri'><value>xmpp:romeo@montague.lit?roster;preauth=T;ibr=y</value></field><field var='landing-url'><value>https://montague.lit/i#T</value></field>
        <field var='expire'><value>2030-01-01T00:00:00Z</value></field></x></command>");
    let invitation = world.invitation_from(None);
    assert_eq!(invitation.landing_page.as_deref(), Some("https://montague.lit/i#T"));
    assert_eq!((invitation.registers, invitation.expires), (true, stamp::parse("2030-01-01T00:00:00Z")));
    // It only makes them: we accept.
    world.shows(NURSE, "T");
    assert_eq!(world.said_to(NURSE), ["subscribed", "subscribe"]);
}

#[test]
fn account_is_invited_by_filling_in_what_the_server_asks() {
    let mut world = World::online();
    assert_eq!(world.does(Command::InviteToServer { username: Some("juliet".into()) }), None);
    world.server_answers("<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#create-account' sessionid='s1' status='executing'>
        <x xmlns='jabber:x:data' type='form'><field var='username'/><field var='roster-subscription' type='boolean'/></x></command>");
    let command = world.wrote.iter().find_map(|iq| iq.get_child("command", ns::COMMANDS)).unwrap();
    assert_eq!((command.attr("sessionid"), command.attr("action")), (Some("s1"), Some("complete")));
    let fields: Vec<(&str, String)> = whimbrel_proto::form::fields(command).collect();
    assert!(
        fields.contains(&("username", "juliet".into()))
            && fields.contains(&("roster-subscription", "true".into()))
    );
    world.server_answers("<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#create-account' status='completed'><x xmlns='jabber:x:data' type='result'>
        <field var='uri'><value>xmpp:juliet@montague.lit?register;preauth=T</value></field></x></command>");
    assert!(world.invitation_from(None).registers);
    // Who may not is told why.
    world.does(Command::InviteToServer { username: None });
    let iq = world.next("iq");
    world.gets(&format!("<iq type='error' id='{}' from='montague.lit'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", iq.attr("id").unwrap()));
    let refused = Error::ServerRefused { condition: "forbidden".into(), text: None };
    assert_eq!(world.replies.last().unwrap().1, Err(refused));
}

#[test]
fn who_invited_us_is_asked_with_the_token_and_accepted_in_turn() {
    let mut world = World::online();
    let nurse: BareJid = NURSE.parse().unwrap();
    let reply = world.does(Command::AddInviter { jid: nurse, name: Some("Nurse".into()), token: "T".into() });
    assert_eq!(reply, Some(Ok(Reply::Done)));
    let said = world.all("presence");
    let subscribe = said.iter().find(|presence| presence.attr("type") == Some("subscribe")).unwrap();
    assert_eq!(subscribe.get_child("preauth", ns::PREAUTH).unwrap().attr("token"), Some("T"));
    // A server that cannot be told beforehand hands the question on, perhaps to another life of ours.
    assert!(said.iter().all(|presence| presence.attr("type") != Some("subscribed")));
    world.acknowledge();
    world.kill();
    world.reconnect(Resume::Accept);
    world.all("presence");
    world.gets(&format!("<presence from='{NURSE}' type='subscribe'/>"));
    assert_eq!(world.said_to(NURSE), ["subscribed"]);
    assert!(world.who_ask().is_empty());
}

#[test]
fn who_was_declined_or_removed_is_not_accepted_any_more() {
    let nurse = || -> BareJid { NURSE.parse().unwrap() };
    for thinks_again in [Command::Decline { jid: nurse() }, Command::RemoveContact { jid: nurse() }] {
        let mut world = World::online();
        world.does(Command::AddInviter { jid: nurse(), name: None, token: "T".into() });
        world.does(thinks_again);
        world.all("presence");
        world.gets(&format!("<presence from='{NURSE}' type='subscribe'/>"));
        assert_eq!(world.said_to(NURSE), [""; 0]);
        assert_eq!(world.who_ask(), [NURSE]);
    }
}

#[test]
fn who_was_removed_by_another_device_is_not_let_in_by_this_one() {
    let item = |how: &str| {
        format!(
            "<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='{NURSE}' {how}/></query></iq>"
        )
    };
    for by_push in [true, false] {
        let mut world = World::online();
        world.does(Command::AddInviter { jid: NURSE.parse().unwrap(), name: None, token: "T".into() });
        world.serve();
        world.gets(&item("subscription='none' ask='subscribe'"));
        if by_push {
            world.gets(&item("subscription='remove'"));
        } else {
            world.away_and_back();
            world.serve();
        }
        world.all("presence");
        world.gets(&format!("<presence from='{NURSE}' type='subscribe'/>"));
        assert_eq!(world.said_to(NURSE), [""; 0], "by push: {by_push}");
        assert_eq!(world.who_ask(), [NURSE]);
    }
    // Removed and added again here: that it is removed is told behind that.
    let mut world = World::online();
    world.does(Command::RemoveContact { jid: NURSE.parse().unwrap() });
    world.does(Command::AddInviter { jid: NURSE.parse().unwrap(), name: None, token: "T".into() });
    world.gets(&item("subscription='remove'"));
    world.serve();
    world.said_to(NURSE);
    world.gets(&format!("<presence from='{NURSE}' type='subscribe'/>"));
    assert_eq!(world.said_to(NURSE), ["subscribed"]);
}

mod hostile {
    use super::*;

    #[test]
    fn forged_invitation() {
        let mut world = World::online();
        world.invites();
        world.server_knows_no_invitations();
        let token = token(&world.invitation_from(None));
        for made_up in
            ["", "T", "%", &token[1..], &token.to_uppercase().replace('A', "b"), "&apos; OR 1=1 --"]
        {
            world.shows(NURSE, made_up);
        }
        assert!(world.said_to(NURSE).is_empty());
        assert_eq!(world.who_ask(), [NURSE]);
        // A link from others cannot be made to stand for a server's.
        world.does(Command::InviteToServer { username: None });
        world.server_answers("<command xmlns='http://jabber.org/protocol/commands' status='completed'><x xmlns='jabber:x:data' type='result'><field var='uri'><value>javascript:alert(1)</value></field></x></command>");
        assert!(matches!(world.replies.last().unwrap().1, Err(Error::ServerRefused { .. })));
    }
}
