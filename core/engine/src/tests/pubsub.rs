//! Nodes: what is asked of them and what they tell (XEP-0060, 0163).

use super::*;
use crate::api::{
    Affiliation, Ask, FieldKind, Form, NodeAction, NodeItem, NodeOptions, NodeSubscription, SubscriptionState,
};

const NODE: &str = "urn:x:play";
const SERVICE: &str = "news.capulet.lit";
const NURSE: &str = "nurse@capulet.lit";

impl World {
    /// Online with a server that has nodes, and heeds conditions.
    pub(super) fn with_nodes() -> Self {
        let mut world = Self::new();
        world.server.nodes = "<identity category='pubsub' type='pep'/><feature var='http://jabber.org/protocol/pubsub#publish-options'/>";
        world.connect();
        world.serve();
        world.acknowledge();
        world.wrote.clear();
        world.events.clear();
        world
    }

    fn asks(&mut self, action: NodeAction) -> RequestId {
        self.asks_of(None, action)
    }

    fn asks_of(&mut self, owner: Option<&str>, action: NodeAction) -> RequestId {
        let owner = owner.map(|owner| owner.parse().unwrap());
        self.does(Command::Node { owner, node: NODE.into(), action });
        RequestId(self.request)
    }

    /// Wants to hear of a node of the service; its answer.
    fn subscribes(&mut self, answer: &str) -> Option<Result<Reply, Error>> {
        let request = self.asks_of(Some(SERVICE), NodeAction::Subscribe);
        self.answers(answer);
        self.answer_to(request)
    }

    /// Asks the service about our own; its answer.
    fn asks_of_ours(&mut self, what: Ask, answer: &str) -> (Element, Option<Result<Reply, Error>>) {
        self.does(Command::Ask { of: SERVICE.parse().unwrap(), what });
        let request = RequestId(self.request);
        let iq = self.answers(answer);
        (iq, self.answer_to(request))
    }

    /// The server answers the oldest question.
    pub(super) fn answers(&mut self, content: &str) -> Element {
        self.acknowledge();
        let iq = self.next("iq");
        let (id, from) = (iq.attr("id").unwrap().to_owned(), from(&iq));
        self.gets(&format!("<iq type='result' id='{id}' {from}>{content}</iq>"));
        iq
    }

    /// The server refuses the oldest question.
    pub(super) fn refuses(&mut self, condition: &str) -> Element {
        self.acknowledge();
        let iq = self.next("iq");
        let (id, from) = (iq.attr("id").unwrap().to_owned(), from(&iq));
        self.gets(&format!(
            "<iq type='error' id='{id}' {from}><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        ));
        iq
    }

    fn follows(&mut self, node: &str) {
        assert_eq!(self.does(Command::Follow { node: node.into(), on: true }), Some(Ok(Reply::Done)));
    }

    /// What the app was told of nodes since it looked.
    fn told(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.events).into_iter();
        events
            .filter_map(|event| match event {
                Event::Published { from, node, items } => {
                    let items: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
                    Some(format!("{from} {node} +{}", items.join(",")))
                }
                Event::Retracted { from, node, ids } => Some(format!("{from} {node} -{}", ids.join(","))),
                Event::Subscription { from, node, state } => Some(format!("{from} {node} {}", state.name())),
                _ => None,
            })
            .collect()
    }
}

fn from(iq: &Element) -> String {
    iq.attr("to").map(|to| format!("from='{to}'")).unwrap_or_default()
}

fn publish(options: NodeOptions) -> NodeAction {
    NodeAction::Publish { id: Some("i1".into()), payload: "<act xmlns='urn:x:play'/>".into(), options }
}

/// The payload of a question, and its path of names.
pub(super) fn path(iq: &Element) -> String {
    let mut names = vec![iq.attr("type").unwrap_or_default().to_owned()];
    let mut at = iq.children().next();
    while let Some(element) = at {
        names.push(element.name().to_owned());
        at = element.children().next();
    }
    names.join(" ")
}

/// The values of a form somewhere inside.
fn form(element: &Element) -> Vec<(String, String)> {
    let fields: Vec<_> =
        whimbrel_proto::form::fields(element).map(|(var, value)| (var.to_owned(), value)).collect();
    if fields.is_empty() { element.children().flat_map(form).collect() } else { fields }
}

/// XEP-0115 §5.1 of an answer that has one identity.
pub(super) fn hash_of(disco: &Element) -> String {
    use base64::Engine as _;
    use sha1::Digest as _;
    let query = disco.get_child("query", ns::DISCO_INFO).unwrap();
    let identity = query.children().find(|child| child.name() == "identity").unwrap();
    let get = |name: &str| identity.attr(name).unwrap_or_default().to_owned();
    let mut text = format!("{}/{}//{}<", get("category"), get("type"), get("name"));
    let features = query.children().filter(|child| child.name() == "feature");
    let mut features: Vec<&str> = features.filter_map(|feature| feature.attr("var")).collect();
    features.sort_unstable();
    features.iter().for_each(|feature| text += &format!("{feature}<"));
    base64::engine::general_purpose::STANDARD.encode(sha1::Sha1::digest(text))
}

pub(super) fn event(from: &str, node: &str, items: &str) -> String {
    format!(
        "<message from='{from}' to='{OWN}/phone.1' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'>{items}</items></event></message>"
    )
}

/// How a service answers who wants to subscribe.
fn subscribed(state: &str) -> String {
    pubsub(&format!("<subscription node='{NODE}' jid='{OWN}' subid='1' subscription='{state}'/>"))
}

fn pubsub(content: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{content}</pubsub>")
}

fn pubsub_owner(content: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{content}</pubsub>")
}

/// XEP-0060 §12.11.
fn subscription_event(from: &str, jid: &str, state: &str) -> String {
    format!(
        "<message from='{from}' to='{OWN}'><event xmlns='http://jabber.org/protocol/pubsub#event'><subscription node='{NODE}' jid='{jid}' subscription='{state}'/></event></message>"
    )
}

fn subscription(jid: &str, state: SubscriptionState) -> NodeSubscription {
    NodeSubscription { node: NODE.into(), jid: jid.parse().unwrap(), state }
}

/// What a service is told that has answered something else.
fn odd() -> Option<Result<Reply, Error>> {
    Some(Err(Error::ServerRefused { condition: "bad-format".into(), text: None }))
}

#[test]
fn until_the_roster_has_come_an_app_hears_of_everybodys_nodes() {
    let item = "<item id='i'><act xmlns='urn:x:play'/></item>";
    let mut world = World::new();
    world.follows(NODE);
    world.follows(ns::MICROBLOG);
    world.connect();
    world.gets(&event(JULIET, NODE, item));
    world.gets(&event(JULIET, ns::MICROBLOG, item));
    assert_eq!(world.told(), [format!("{JULIET} {NODE} +i")]);
    world.serve();
    world.acknowledge();
    world.serve();
    world.events.clear();
    world.gets(&event("nurse@capulet.lit", NODE, item));
    assert_eq!(world.told(), [""; 0]);
}

#[test]
fn what_is_published_is_replied_to_with_the_server_s_answer() {
    let mut world = World::with_nodes();
    let request = world.asks(publish(NodeOptions::default()));
    assert_eq!(world.answer_to(request), None);
    let iq = world.answers("");
    assert_eq!((path(&iq).as_str(), iq.attr("to")), ("set pubsub publish item act", None));
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Published { id: "i1".into() })));
    // The service's own id.
    let request = world.asks(NodeAction::Publish {
        id: None,
        payload: "<a xmlns='urn:x'/>".into(),
        options: NodeOptions::default(),
    });
    world.answers("<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:x:play'><item id='theirs'/></publish></pubsub>");
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Published { id: "theirs".into() })));
    let request = world.asks(publish(NodeOptions::default()));
    world.refuses("forbidden");
    let refused = Error::ServerRefused { condition: "forbidden".into(), text: None };
    assert_eq!(world.answer_to(request), Some(Err(refused)));
    // Nobody answers; and what was never asked.
    let request = world.asks(publish(NodeOptions::default()));
    world.acknowledge();
    world.pass(59_000);
    assert_eq!(world.answer_to(request), None);
    let id = world.next("iq").attr("id").unwrap().to_owned();
    world.gets(&format!("<iq type='result' id='{id}' from='{JULIET}'/>"));
    assert_eq!(world.answer_to(request), None);
    // What came may have stood before the answer.
    world.pass(2_000);
    assert_eq!(world.answer_to(request), None);
    world.pass(8_000);
    assert_eq!(world.answer_to(request), Some(Err(Error::TimedOut)));
    world.cut();
    let request = world.asks(publish(NodeOptions::default()));
    assert_eq!(world.answer_to(request), Some(Err(Error::Offline)));
}

#[test]
fn payload_is_one_well_formed_element() {
    let mut world = World::with_nodes();
    for payload in ["", "text", "<a/><b/>", "<a>", "<a/>text", "<!DOCTYPE a><a/>"] {
        let action =
            NodeAction::Publish { id: None, payload: payload.into(), options: NodeOptions::default() };
        let request = world.asks(action);
        assert!(matches!(world.answer_to(request), Some(Err(Error::InvalidInput { .. }))), "{payload}");
    }
    let payload = format!("<a>{}</a>", "x".repeat(262_144));
    let request = world.asks(NodeAction::Publish { id: None, payload, options: NodeOptions::default() });
    assert!(matches!(world.answer_to(request), Some(Err(Error::InvalidInput { .. }))));
    assert!(world.all("iq").is_empty());
}

#[test]
fn node_that_is_otherwise_is_configured_once() {
    let mut world = World::with_nodes();
    let request = world.asks(publish(NodeOptions::private()));
    let iq = world.refuses("conflict");
    let access = ("pubsub#access_model".to_owned(), "whitelist".to_owned());
    assert!(form(&iq).contains(&access));
    let iq = world.answers("");
    assert_eq!(path(&iq), "set pubsub configure x field value");
    assert!(form(&iq).contains(&access));
    assert_eq!(world.answer_to(request), None);
    assert_eq!(path(&world.refuses("conflict")), "set pubsub publish item act");
    let refused = Error::ServerRefused { condition: "conflict".into(), text: None };
    assert_eq!(world.answer_to(request), Some(Err(refused)));
    assert!(world.all("iq").is_empty());
    // And with success.
    let request = world.asks(publish(NodeOptions::private()));
    world.refuses("conflict");
    world.answers("");
    world.answers("");
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Published { id: "i1".into() })));
    // Somebody else's node.
    let request = world.asks(publish(NodeOptions::private()));
    world.refuses("conflict");
    world.refuses("forbidden");
    let refused = Error::ServerRefused { condition: "forbidden".into(), text: None };
    assert_eq!(world.answer_to(request), Some(Err(refused)));
    assert!(world.all("iq").is_empty());
}

/// An app that does not wait for its answers, as one does that is told how something goes on. The world 600004882 found it.
#[test]
fn what_is_wanted_of_a_node_does_not_overtake_what_is_published_in_it() {
    let mut world = World::with_nodes();
    // The node is there and is otherwise: two questions more, and what comes meanwhile waits.
    let first = world.asks(publish(NodeOptions::private()));
    let second = world.asks(publish(NodeOptions::private()));
    let third = world.asks(NodeAction::Retract { id: "i1".into() });
    let elsewhere = world.asks_of(Some(SERVICE), NodeAction::Purge);
    world.refuses("conflict");
    // Another node waits for nothing.
    assert_eq!(path(&world.answers("")), "set pubsub purge");
    assert_eq!(world.answer_to(elsewhere), Some(Ok(Reply::Done)));
    assert_eq!(path(&world.answers("")), "set pubsub configure x field value");
    let fourth = world.asks(NodeAction::Purge);
    assert_eq!(path(&world.answers("")), "set pubsub publish item act");
    let published = Some(Ok(Reply::Published { id: "i1".into() }));
    assert_eq!((world.answer_to(first), world.answer_to(second)), (published.clone(), None));
    assert_eq!(path(&world.refuses("forbidden")), "set pubsub publish item act");
    let refused = Error::ServerRefused { condition: "forbidden".into(), text: None };
    assert_eq!((world.answer_to(second), world.answer_to(third)), (Some(Err(refused)), None));
    // What takes one question each is not waited for.
    assert_eq!(path(&world.answers("")), "set pubsub retract item");
    assert_eq!(path(&world.answers("")), "set pubsub purge");
    assert_eq!(
        (world.answer_to(third), world.answer_to(fourth)),
        (Some(Ok(Reply::Done)), Some(Ok(Reply::Done)))
    );
    // A service has to be asked first, and may not heed any conditions.
    let theirs = |world: &mut World, action| world.asks_of(Some(SERVICE), action);
    let first = theirs(&mut world, publish(NodeOptions::private()));
    let second = theirs(&mut world, NodeAction::Purge);
    assert_eq!(path(&world.answers("<query xmlns='http://jabber.org/protocol/disco#info'/>")), "get query");
    assert!(matches!(world.answer_to(first), Some(Err(Error::ServerRefused { .. }))));
    assert_eq!(path(&world.answers("")), "set pubsub purge");
    assert_eq!(world.answer_to(second), Some(Ok(Reply::Done)));
    // Nobody answers: that is an answer as well.
    let first = world.asks(publish(NodeOptions::private()));
    let second = world.asks(NodeAction::Purge);
    world.acknowledge();
    world.pass(61_000);
    assert_eq!((world.answer_to(first), world.answer_to(second)), (Some(Err(Error::TimedOut)), None));
    world.next("iq");
    assert_eq!(path(&world.answers("")), "set pubsub purge");
    assert_eq!(world.answer_to(second), Some(Ok(Reply::Done)));
    // Whoever waits is told that the link is gone.
    let first = world.asks(publish(NodeOptions::private()));
    let second = world.asks(NodeAction::Purge);
    world.cut();
    let gone = Some(Err(Error::Offline));
    assert_eq!((world.answer_to(first), world.answer_to(second)), (gone.clone(), gone));
}

#[test]
fn items_are_read_page_by_page() {
    let mut world = World::with_nodes();
    let request = world.asks_of(Some(JULIET), NodeAction::Items { limit: 2, after: None });
    let page = |index, ids: [&str; 2], count: &str| {
        let items: String =
            ids.iter().map(|id| format!("<item id='{id}'><act xmlns='urn:x:play'/></item>")).collect();
        format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{NODE}'>{items}</items><set xmlns='http://jabber.org/protocol/rsm'><first index='{index}'>made {}</first><last>made {}</last>{count}</set></pubsub>",
            ids[0], ids[1]
        )
    };
    let iq = world.answers(&page(0, ["a", "b"], "<count>4</count>"));
    assert_eq!(iq.attr("to"), Some(JULIET));
    let item = |id: &str| NodeItem { id: id.into(), payload: Some("<act xmlns='urn:x:play'/>".to_owned()) };
    let reply = Reply::Items { items: vec![item("a"), item("b")], next: Some("made b".into()) };
    assert_eq!(normal(world.answer_to(request)), Some(Ok(reply)));
    let request = world.asks_of(Some(JULIET), NodeAction::Items { limit: 2, after: Some("made b".into()) });
    let iq = world.answers(&page(2, ["c", "d"], "<count>4</count>"));
    let pubsub = iq.children().next().unwrap();
    let set = pubsub.get_child("set", ns::RSM).unwrap();
    assert_eq!(set.get_child("after", ns::RSM).unwrap().text(), "made b");
    let reply = Reply::Items { items: vec![item("c"), item("d")], next: None };
    assert_eq!(normal(world.answer_to(request)), Some(Ok(reply)));
    let request = world.asks(NodeAction::Item { id: "none".into() });
    world.refuses("item-not-found");
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Items { items: Vec::new(), next: None })));
}

/// Quotes as this file writes them.
fn normal(reply: Option<Result<Reply, Error>>) -> Option<Result<Reply, Error>> {
    reply.map(|reply| {
        reply.map(|reply| match reply {
            Reply::Items { items, next } => {
                let quoted =
                    |payload: String| String::from(&payload.parse::<Element>().unwrap()).replace('"', "'");
                let items =
                    items.into_iter().map(|item| NodeItem { id: item.id, payload: item.payload.map(quoted) });
                Reply::Items { items: items.collect(), next }
            }
            other => other,
        })
    })
}

#[test]
fn node_is_made_changed_and_taken_away() {
    let mut world = World::with_nodes();
    let options = NodeOptions::public().with("title", "Plays");
    for (action, expected) in [
        (NodeAction::Create { options: options.clone() }, "set pubsub create"),
        (NodeAction::Configure { options: options.clone() }, "set pubsub configure x field value"),
        (NodeAction::Retract { id: "i1".into() }, "set pubsub retract item"),
        (NodeAction::Purge, "set pubsub purge"),
        (
            NodeAction::Affiliate { jid: juliet(), affiliation: Affiliation::PublishOnly },
            "set pubsub affiliations affiliation",
        ),
        (NodeAction::Delete, "set pubsub delete"),
    ] {
        let request = world.asks(action);
        assert_eq!(path(&world.answers("")), expected);
        assert_eq!(world.answer_to(request), Some(Ok(Reply::Done)), "{expected}");
    }
    let request = world.asks(NodeAction::Configuration);
    world.answers("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:x:play'><x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field><field var='pubsub#title'><value>Plays</value></field></x></configure></pubsub>");
    let configuration = Reply::Configuration(NodeOptions::default().with("title", "Plays"));
    assert_eq!(world.answer_to(request), Some(Ok(configuration)));
    let request = world.asks(NodeAction::Affiliations);
    world.answers("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='urn:x:play'><affiliation jid='juliet@capulet.lit' affiliation='publish-only'/><affiliation jid='@' affiliation='owner'/><affiliation jid='tybalt@capulet.lit' affiliation='king'/></affiliations></pubsub>");
    assert_eq!(
        world.answer_to(request),
        Some(Ok(Reply::Affiliations(vec![(juliet(), Affiliation::PublishOnly)])))
    );
}

#[test]
fn what_contacts_publish_is_told_to_whoever_follows_it() {
    let mut world = World::with_nodes();
    let before = world.count("SELECT count(*) FROM message");
    world.gets(&event(JULIET, NODE, "<item id='1'/>"));
    assert!(world.told().is_empty());
    world.follows(NODE);
    let told = world.next("presence").get_child("c", ns::CAPS).unwrap().attr("ver").unwrap().to_owned();
    // What is hashed is what is answered.
    world.gets(&format!("<iq type='get' from='{JULIET}/balcony' id='d'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"));
    assert_eq!(hash_of(&world.next("iq")), told);
    world.gets(&event(JULIET, NODE, "<item id='1'/><item id='2'/><retract id='3'/>"));
    world.gets(&event(OWN, NODE, "<item id='4'/>"));
    world.gets(&event(JULIET, "urn:x:other", "<item id='5'/>"));
    world.gets(&format!("<message from='{JULIET}'><event xmlns='http://jabber.org/protocol/pubsub#event'><purge node='{NODE}'/></event></message>"));
    assert_eq!(
        world.told(),
        [
            format!("{JULIET} {NODE} +1,2"),
            format!("{JULIET} {NODE} -3"),
            format!("{OWN} {NODE} +4"),
            format!("{JULIET} {NODE} -"),
        ]
    );
    assert_eq!(world.count("SELECT count(*) FROM message"), before);
    // After a kill and in a new session it is the same; a resumption does not say it again.
    world.acknowledge();
    world.kill();
    world.reconnect(Resume::Accept);
    assert!(world.all("presence").is_empty());
    world.away_and_back();
    let again = world.next("presence");
    assert_eq!(again.get_child("c", ns::CAPS).unwrap().attr("ver"), Some(told.as_str()));
    world.gets(&event(JULIET, NODE, "<item id='6'/>"));
    assert_eq!(world.told().len(), 1);
    assert_eq!(world.does(Command::Follow { node: NODE.into(), on: false }), Some(Ok(Reply::Done)));
    assert_ne!(world.next("presence").get_child("c", ns::CAPS).unwrap().attr("ver"), Some(told.as_str()));
    world.gets(&event(JULIET, NODE, "<item id='7'/>"));
    assert!(world.told().is_empty());
}

#[test]
fn what_is_followed_while_offline_is_said_when_the_session_is_resumed() {
    let mut world = World::with_nodes();
    world.cut();
    world.follows(NODE);
    world.follows("urn:x:second");
    world.reconnect(Resume::Accept);
    assert_eq!(world.all("presence").len(), 1);
}

#[test]
fn service_is_believed_about_what_was_subscribed_to() {
    let mut world = World::with_nodes();
    world.gets(&event(SERVICE, NODE, "<item id='1'/>"));
    let request = world.asks_of(Some(SERVICE), NodeAction::Subscribe);
    world.gets(&event(SERVICE, NODE, "<item id='1'/>"));
    assert!(world.told().is_empty());
    let iq = world.answers(&subscribed("subscribed"));
    assert_eq!(iq.children().next().unwrap().children().next().unwrap().attr("jid"), Some(OWN));
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Subscription(SubscriptionState::Subscribed))));
    world.kill();
    world.reconnect(Resume::Accept);
    world.gets(&event(SERVICE, NODE, "<item id='2'/>"));
    world.gets(&event(SERVICE, "urn:x:other", "<item id='3'/>"));
    world.gets(&event("news.montague.lit", NODE, "<item id='4'/>"));
    assert_eq!(world.told(), [format!("{SERVICE} {NODE} +2")]);
    world.asks_of(Some(SERVICE), NodeAction::Unsubscribe);
    world.answers("");
    world.gets(&event(SERVICE, NODE, "<item id='5'/>"));
    assert!(world.told().is_empty());
}

#[test]
fn subscription_that_waits_for_the_owner_is_told_of_once_it_is_decided() {
    let mut world = World::with_nodes();
    let reply = |state| Some(Ok(Reply::Subscription(state)));
    assert_eq!(world.subscribes(&subscribed("pending")), reply(SubscriptionState::Pending));
    // Whoever wants it again is refused (XEP-0060 §6.1.3.7), and it waits all the same.
    let request = world.asks_of(Some(SERVICE), NodeAction::Subscribe);
    world.acknowledge();
    let id = world.next("iq").attr("id").unwrap().to_owned();
    world.gets(&format!(
        "<iq type='error' id='{id}' from='{SERVICE}'><error type='auth'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><pending-subscription xmlns='http://jabber.org/protocol/pubsub#errors'/></error></iq>"
    ));
    assert_eq!(world.answer_to(request), reply(SubscriptionState::Pending));
    // It is decided while another process is there.
    world.kill();
    world.reconnect(Resume::Accept);
    world.gets(&subscription_event(SERVICE, OWN, "subscribed"));
    world.gets(&event(SERVICE, NODE, "<item id='1'/>"));
    world.gets(&subscription_event(SERVICE, OWN, "none"));
    world.gets(&event(SERVICE, NODE, "<item id='2'/>"));
    world.gets(&subscription_event(SERVICE, OWN, "subscribed"));
    assert_eq!(
        world.told(),
        [
            format!("{SERVICE} {NODE} subscribed"),
            format!("{SERVICE} {NODE} +1"),
            format!("{SERVICE} {NODE} none"),
        ]
    );
    // It waits to be configured; there is none; and a service that says no more than the schema wants.
    assert_eq!(world.subscribes(&subscribed("unconfigured")), reply(SubscriptionState::Unconfigured));
    assert_eq!(world.count("SELECT count(*) FROM subscribed"), 1);
    assert_eq!(world.subscribes(&subscribed("none")), reply(SubscriptionState::None));
    assert_eq!(world.count("SELECT count(*) FROM subscribed"), 0);
    let terse = pubsub(&format!("<subscription jid='{OWN}'/>"));
    assert_eq!(world.subscribes(&terse), reply(SubscriptionState::Subscribed));
}

#[test]
fn owner_reads_and_changes_who_has_subscribed() {
    let mut world = World::with_nodes();
    let request = world.asks(NodeAction::Subscribers);
    let iq = world.answers(&pubsub_owner(&format!(
        "<subscriptions node='{NODE}'><subscription jid='{JULIET}' subscription='pending'/><subscription node='{NODE}' jid='{NURSE}/kitchen' subscription='subscribed' subid='1'/>
         <subscription jid='@' subscription='subscribed'/><subscription jid='{NURSE}' subscription='king'/><subscription jid='{NURSE}'/></subscriptions>"
    )));
    assert_eq!(path(&iq), "get pubsub subscriptions");
    assert_eq!(
        world.answer_to(request),
        Some(Ok(Reply::Subscriptions(vec![
            subscription(JULIET, SubscriptionState::Pending),
            subscription(&format!("{NURSE}/kitchen"), SubscriptionState::Subscribed),
        ])))
    );
    let jid = JULIET.parse().unwrap();
    let request = world.asks(NodeAction::SetSubscriber { jid, state: SubscriptionState::Subscribed });
    let iq = world.answers("");
    assert_eq!(path(&iq), "set pubsub subscriptions subscription");
    let one = iq.children().next().unwrap().children().next().unwrap().children().next().unwrap();
    assert_eq!((one.attr("jid"), one.attr("subscription")), (Some(JULIET), Some("subscribed")));
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Done)));
}

#[test]
fn our_own_subscriptions_and_affiliations_are_read_over_all_nodes_or_one() {
    let mut world = World::with_nodes();
    let (iq, reply) = world.asks_of_ours(
        Ask::Subscriptions { node: None },
        &pubsub(&format!(
            "<subscriptions><subscription node='{NODE}' jid='{OWN}' subscription='unconfigured'/><subscription jid='{OWN}' subscription='subscribed'/></subscriptions>"
        )),
    );
    let asked = |iq: &Element| {
        let asked = iq.children().next().unwrap().children().next().unwrap();
        asked.attr("node").map(str::to_owned)
    };
    assert_eq!((path(&iq).as_str(), iq.attr("to")), ("get pubsub subscriptions", Some(SERVICE)));
    assert_eq!(asked(&iq), None);
    let ours = subscription(OWN, SubscriptionState::Unconfigured);
    assert_eq!(reply, Some(Ok(Reply::Subscriptions(vec![ours]))));
    // Of one node: ejabberd does not say which.
    let (iq, reply) = world.asks_of_ours(
        Ask::Subscriptions { node: Some(NODE.into()) },
        &pubsub(&format!(
            "<subscriptions><subscription jid='{OWN}' subscription='pending'/></subscriptions>"
        )),
    );
    assert_eq!(asked(&iq).as_deref(), Some(NODE));
    let ours = subscription(OWN, SubscriptionState::Pending);
    assert_eq!(reply, Some(Ok(Reply::Subscriptions(vec![ours]))));
    let (iq, reply) = world.asks_of_ours(
        Ask::Affiliations { node: None },
        &pubsub(
            "<affiliations><affiliation node='a' affiliation='owner'/><affiliation node='b' affiliation='king'/><affiliation affiliation='owner'/></affiliations>",
        ),
    );
    assert_eq!(path(&iq), "get pubsub affiliations");
    assert_eq!(reply, Some(Ok(Reply::OwnAffiliations(vec![("a".into(), Affiliation::Owner)]))));
    let (iq, reply) = world.asks_of_ours(
        Ask::Affiliations { node: Some(NODE.into()) },
        &pubsub("<affiliations><affiliation affiliation='member'/></affiliations>"),
    );
    assert_eq!(asked(&iq).as_deref(), Some(NODE));
    assert_eq!(reply, Some(Ok(Reply::OwnAffiliations(vec![(NODE.into(), Affiliation::Member)]))));
}

#[test]
fn options_of_a_subscription_are_a_form() {
    let mut world = World::with_nodes();
    let request = world.asks_of(Some(SERVICE), NodeAction::SubscriptionOptions);
    let iq = world.answers(&pubsub(&format!(
        "<options node='{NODE}' jid='{OWN}'><x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#subscribe_options</value></field>
         <field var='pubsub#deliver' type='boolean'><value>1</value></field><field var='pubsub#expire' type='text-single'><required/></field></x></options>"
    )));
    assert_eq!((path(&iq).as_str(), iq.attr("to")), ("get pubsub options", Some(SERVICE)));
    assert_eq!(iq.children().next().unwrap().children().next().unwrap().attr("jid"), Some(OWN));
    let Some(Ok(Reply::SubscriptionOptions(mut form))) = world.answer_to(request) else { panic!("no form") };
    assert_eq!(form.form_type(), Some("http://jabber.org/protocol/pubsub#subscribe_options"));
    assert_eq!(form.field("pubsub#deliver").unwrap().kind, FieldKind::Boolean);
    // What is required is said before the service is asked.
    let configure = |form: &Form| NodeAction::ConfigureSubscription { form: form.clone() };
    let request = world.asks_of(Some(SERVICE), configure(&form));
    assert!(matches!(world.answer_to(request), Some(Err(Error::InvalidInput { .. }))));
    form.set("pubsub#expire", ["x".repeat(262_144)]).unwrap();
    let request = world.asks_of(Some(SERVICE), configure(&form));
    assert!(matches!(world.answer_to(request), Some(Err(Error::InvalidInput { .. }))));
    assert!(world.all("iq").is_empty());
    form.set("pubsub#expire", ["2026-12-31T00:00:00Z"]).unwrap();
    form.set_flag("pubsub#deliver", false).unwrap();
    let request = world.asks_of(Some(SERVICE), configure(&form));
    let iq = world.answers("");
    assert_eq!(path(&iq), "set pubsub options x field value");
    let filled = self::form(&iq);
    for (name, value) in [
        ("FORM_TYPE", "http://jabber.org/protocol/pubsub#subscribe_options"),
        ("pubsub#deliver", "false"),
        ("pubsub#expire", "2026-12-31T00:00:00Z"),
    ] {
        assert!(filled.contains(&(name.into(), value.into())), "{filled:?}");
    }
    assert_eq!(world.answer_to(request), Some(Ok(Reply::Done)));
}

#[test]
fn answer_that_says_something_else_is_an_error() {
    let mut world = World::with_nodes();
    for nonsense in ["", &subscribed("king"), &pubsub("<subscriptions/>"), &pubsub_owner("<subscription/>")] {
        assert_eq!(world.subscribes(nonsense), odd(), "{nonsense}");
    }
    assert_eq!(world.count("SELECT count(*) FROM subscribed"), 0);
    for action in [NodeAction::Subscribers, NodeAction::SubscriptionOptions] {
        for nonsense in
            ["", &pubsub("<subscriptions/>"), &pubsub("<options><x xmlns='jabber:client'/></options>")]
        {
            let request = world.asks(action.clone());
            world.answers(nonsense);
            assert_eq!(world.answer_to(request), odd(), "{action:?} {nonsense}");
        }
    }
    for what in [Ask::Subscriptions { node: None }, Ask::Affiliations { node: None }] {
        for nonsense in ["", "<a xmlns='urn:x'/>", &pubsub_owner("<subscriptions/><affiliations/>")] {
            assert_eq!(world.asks_of_ours(what.clone(), nonsense).1, odd(), "{what:?} {nonsense}");
        }
    }
}

mod hostile {
    use super::*;

    #[test]
    fn forged_pep() {
        let mut world = World::with_nodes();
        world.follows(NODE);
        let rows = |world: &World| {
            ["message", "conversation", "contact", "pending", "outbox", "subscribed"]
                .map(|table| world.count(&format!("SELECT count(*) FROM {table}")))
        };
        world.acknowledge();
        let before = rows(&world);
        let one = "<item id='1' publisher='juliet@capulet.lit'><act xmlns='urn:x:play' from='juliet@capulet.lit'/></item>";
        // Strangers, devices that own no node, lookalikes, a contact about somebody else's node.
        for from in [
            "tybalt@capulet.lit",
            "capulet.lit",
            "juliet@capulet.lit/balcony",
            "romeo@montague.lit/tablet",
            "juli\u{200b}et@capulet.lit",
            "montague.lit",
            "",
        ] {
            world.gets(&event(from, NODE, one));
        }
        // What we have subscribed to ends for us where its service says so of our account, and nowhere else.
        assert!(world.subscribes(&subscribed("subscribed")).is_some_and(|reply| reply.is_ok()));
        for (from, jid) in [
            ("news.montague.lit", OWN),
            (SERVICE, "romeo@montague.lit/tablet"),
            (SERVICE, JULIET),
            (SERVICE, "romeo@montague.lit\u{200b}"),
            (SERVICE, "@"),
        ] {
            world.gets(&subscription_event(from, jid, "none"));
        }
        world.gets(&subscription_event(SERVICE, OWN, "king"));
        assert_eq!(world.count("SELECT count(*) FROM subscribed"), 1);
        assert!(world.told().is_empty());
        world.gets(&subscription_event(SERVICE, OWN, "none"));
        assert_eq!(world.told(), [format!("{SERVICE} {NODE} none")]);
        world.acknowledge();
        // In a carbon, in the archive, as an error, from a room.
        let inner = event(JULIET, NODE, one).replacen("<message", "<message xmlns='jabber:client'", 1);
        world.gets(&carbon(OWN, "received", &inner));
        world.gets(&carbon(
            OWN,
            "received",
            &inner.replace("headline", "chat").replace("<event", "<body>x</body><event"),
        ));
        for kind in ["error", "groupchat"] {
            world.gets(&event(JULIET, NODE, one).replace("headline", kind));
        }
        // That we have subscribed, by whom we follow and by whom we have never heard of; that somebody else has.
        for (from, jid) in [(JULIET, OWN), (SERVICE, OWN), (JULIET, "romeo@montague.lit/tablet")] {
            for state in ["subscribed", "none"] {
                world.gets(&subscription_event(from, jid, state));
            }
        }
        // Without a node, of nothing that can happen, of a name longer than any.
        world.gets(&event(JULIET, "", one));
        world.gets(&event(JULIET, &"x".repeat(2_000), one));
        world.gets(&event(JULIET, NODE, one).replace("items", "configuration"));
        assert!(world.told().is_empty());
        assert_eq!(rows(&world), before);
        // Ten thousand items: some of them.
        let many: String = (0..10_000).map(|n| format!("<item id='{n}'/>")).collect();
        world.gets(&event(JULIET, NODE, &many));
        assert_eq!(world.told().len(), 1);
        assert_eq!(rows(&world), before);
        let archived = vec![Archived { id: "e1".into(), at: START + 1_000, message: inner }];
        world.server.archive = archived;
        world.away_and_back();
        world.serve();
        assert!(world.told().is_empty());
        assert_eq!(world.count("SELECT count(*) FROM message"), 0);
    }

    #[test]
    fn publish_options_ignored() {
        // A server that has nodes and knows of no conditions would publish to everybody.
        let mut world = World::new();
        world.server.nodes = "<identity category='pubsub' type='pep'/>";
        world.connect();
        world.serve();
        world.wrote.clear();
        let not_heeded = |reply| matches!(reply, Some(Err(Error::ServerRefused { condition, .. })) if condition == "feature-not-implemented");
        let request = world.asks(publish(NodeOptions::private()));
        assert!(not_heeded(world.answer_to(request)));
        assert!(world.all("iq").is_empty());
        // Without conditions it may.
        world.asks(publish(NodeOptions::default()));
        assert_eq!(path(&world.answers("")), "set pubsub publish item act");
        // Not known yet, and other services: asked first.
        let request = world.asks_of(Some(SERVICE), publish(NodeOptions::private()));
        assert_eq!(
            path(&world.answers("<query xmlns='http://jabber.org/protocol/disco#info'/>")),
            "get query"
        );
        assert!(not_heeded(world.answer_to(request)));
        let request = world.asks_of(Some(SERVICE), publish(NodeOptions::private()));
        world.answers("<query xmlns='http://jabber.org/protocol/disco#info'><feature var='http://jabber.org/protocol/pubsub#publish-options'/></query>");
        assert_eq!(path(&world.answers("")), "set pubsub publish item act");
        assert!(matches!(world.answer_to(request), Some(Ok(Reply::Published { .. }))));
        let mut world = World::new();
        world.connect();
        world.wrote.clear();
        let request = world.asks(publish(NodeOptions::private()));
        world.serve();
        assert!(not_heeded(world.answer_to(request)));
    }
}

#[test]
fn subscription_that_has_ended_without_a_word_can_be_ended() {
    let mut world = World::with_nodes();
    world.subscribes(&subscribed("subscribed"));
    assert_eq!(world.count("SELECT count(*) FROM subscribed"), 1);
    let mut refused = |condition: &str| {
        let request = world.asks_of(Some(SERVICE), NodeAction::Unsubscribe);
        world.acknowledge();
        let id = world.next("iq").attr("id").unwrap().to_owned();
        world.gets(&format!(
            "<iq type='error' id='{id}' from='{SERVICE}'><error type='cancel'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{condition}</error></iq>"
        ));
        world.answer_to(request)
    };
    assert!(matches!(refused(""), Some(Err(Error::ServerRefused { .. }))));
    let ended = "<not-subscribed xmlns='http://jabber.org/protocol/pubsub#errors'/>";
    assert_eq!(refused(ended), Some(Ok(Reply::Done)));
    assert_eq!(world.count("SELECT count(*) FROM subscribed"), 0);
}
