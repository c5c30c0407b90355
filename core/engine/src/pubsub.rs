//! Nodes of an account or a service, whatever they are for (XEP-0060, 0163, 0222, 0223): asked, and heard of.
//!
//! Who is believed: an event counts only from the address that owns the node, which is our own account, a contact whose
//! presence we see, or a service whose node we have subscribed to; and only for nodes that somebody here wants to hear of. Nothing
//! of an event is kept here, and no event is a message to anybody, however it comes.
//!
//! We subscribe with our account's address, and once to a node: where a service lets an address subscribe several times (XEP-0060
//! §6.1.6) nothing here tells them apart. A subscription that waits for the node's owner is one already: whoever owns the node is
//! believed about what becomes of it.
//!
//! What is published under conditions is published under them or not at all: a service that does not say that it heeds them is
//! not trusted to (CVE-2018-6591). One that says that the node is otherwise is asked to change it, once.

use std::sync::Arc;

use jid::{BareJid, Jid};
use minidom::Element;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use whimbrel_proto::{
    address,
    message::{Kind, MessageView},
    ns,
    pubsub::{self, Change, NodeSubscription, SubscriptionState, Told},
    write::Tag,
};

use crate::{
    account::{Account, Cx, Nodes},
    api::{
        Affiliation, Audience, Command, Error, Event, NodeAction, NodeItem, NodeOptions, Reply, RequestId,
    },
    commands::one_element,
    error::Result,
    iq::{Pending, odd, refused},
    mutants::{self, Mutant},
    outbox,
    own_nodes::OwnNode,
};

/// Nodes that we want to hear of ourselves.
const OURS: [&str; 4] = [ns::AVATAR_METADATA, ns::DISPLAYED, ns::NICK, ns::SETTINGS];
/// Items of one event that are looked at.
const MOST: usize = 500;
/// Names that an app may follow, and how long one may be, in bytes.
const MAX_FOLLOWED: i64 = 100;
const MAX_NAME: usize = 1_024;

/// What was asked of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Whether its owner heeds conditions. If so, this is to be published.
    Offered(Publish),
    /// To publish this; `again`: the node was configured for it.
    Publish {
        publish: Publish,
        again: bool,
    },
    /// To be as it must be for this.
    Configure(Publish),
    Items,
    Item,
    Configuration,
    Affiliations,
    Subscribers {
        node: String,
    },
    SubscriptionOptions,
    Subscribe {
        owner: String,
        node: String,
    },
    Unsubscribe {
        owner: String,
        node: String,
    },
    /// What a node says that our devices tell each other by.
    Own {
        node: OwnNode,
        page: u32,
    },
    /// A picture that has this hash (XEP-0084).
    Avatar {
        hash: String,
        kind: String,
    },
    /// Which picture somebody's node names. Their presence shows the one that has this hash, or none.
    Named {
        of: String,
        photo: Option<String>,
    },
    /// The newest entries of a feed (XEP-0277).
    Feed {
        of: String,
        /// Once more, since the session ended before it was answered.
        again: bool,
    },
    /// To take an entry of a feed back.
    Unpublish {
        of: String,
        item: String,
    },
    /// The answer says nothing but yes or no.
    Other,
}

impl Question {
    /// What is to be published by it.
    fn published(&self) -> Option<&Publish> {
        match self {
            Self::Offered(publish) | Self::Publish { publish, .. } | Self::Configure(publish) => {
                Some(publish)
            }
            _ => None,
        }
    }

    /// Who is to see our card, if it is about that.
    pub(crate) fn of_our_card(&self) -> Option<Audience> {
        match self.published()?.reason {
            Reason::Card(audience) => Some(audience),
            _ => None,
        }
    }

    /// What we show of ourselves by it.
    pub(crate) const fn shown(&self) -> Option<&Publish> {
        match self {
            Self::Publish { publish, .. } if matches!(publish.reason, Reason::Shown) => Some(publish),
            _ => None,
        }
    }
}

/// Something to be published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Publish {
    pub(crate) owner: Option<String>,
    pub(crate) node: String,
    pub(crate) id: Option<String>,
    pub(crate) payload: String,
    pub(crate) options: NodeOptions,
    pub(crate) reason: Reason,
}

/// Why something is published: whom the outcome is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// The app wants it, and waits.
    App,
    /// Our other devices are to know.
    Own { node: OwnNode, with: String },
    /// It is our card.
    Card(Audience),
    /// We show it of ourselves. It is said even if it takes another session.
    Shown,
}

impl Account {
    /// What the app wants of a node. It waits for the answer. What is published under conditions may take several questions, and what
    /// is wanted of its node behind it must not overtake it.
    pub(crate) fn of_node(&mut self, cx: &mut Cx<'_>, request: RequestId, command: &Command) -> Result<()> {
        if self.online().is_none() {
            cx.reply(request, Err(Error::Offline));
            return Ok(());
        }
        let (owner, node) = self.node_of(command);
        if is_being_published(cx, owner.as_deref(), node)? {
            self.waiting.behind.push((request, Arc::new(command.clone())));
            return Ok(());
        }
        let asked = match command {
            Command::Node { node, action, .. } => self.ask_node(cx, owner, node, action)?,
            Command::Feed { of, action } => self.ask_feed(cx, of, action)?,
            _ => return Ok(()),
        };
        self.wait_for(cx, request, asked);
        Ok(())
    }

    /// Of whose node, where it is not our own account's, something is wanted, and what it is called.
    fn node_of<'a>(&self, command: &'a Command) -> (Option<String>, &'a str) {
        let (owner, node) = match command {
            Command::Node { owner, node, .. } => (owner.clone(), node.as_str()),
            Command::Feed { of, .. } => (Some(Jid::from(of.clone())), ns::MICROBLOG),
            _ => (None, ""),
        };
        (owner.filter(|owner| *owner != self.jid).map(|owner| owner.to_string()), node)
    }

    /// What waited for something to be published in this node.
    fn ask_what_waits_for(&mut self, cx: &mut Cx<'_>, owner: Option<&str>, node: &str) -> Result<()> {
        while !is_being_published(cx, owner, node)?
            && let Some(next) = self.waiting.behind.iter().position(|(_, command)| {
                let (of, its) = self.node_of(command);
                of.as_deref() == owner && its == node
            })
        {
            let (request, command) = self.waiting.behind.remove(next);
            self.of_node(cx, request, &command)?;
        }
        Ok(())
    }

    fn ask_node(
        &mut self,
        cx: &mut Cx<'_>,
        owner: Option<String>,
        node: &str,
        action: &NodeAction,
    ) -> Result<std::result::Result<String, Error>> {
        let own = self.jid.to_string();
        let whose = owner.clone().unwrap_or_else(|| own.clone());
        let about = |name| pubsub::about(name, node);
        let (kind, question, payload) = match action {
            NodeAction::Publish { id, payload, options } => {
                let payload = match one_element(payload) {
                    Ok(element) => String::from(&element),
                    Err(what) => return Ok(Err(Error::InvalidInput { what })),
                };
                let (node, id) = (node.to_owned(), id.clone());
                let (options, reason) = (options.clone(), Reason::App);
                let publish = Publish { owner, node, id, payload, options, reason };
                return self.publish(cx, publish);
            }
            NodeAction::Items { limit, after } => {
                let after = after.as_deref();
                ("get", Question::Items, pubsub::page(node, *limit, after))
            }
            NodeAction::Item { id } => ("get", Question::Item, pubsub::item(node, id)),
            NodeAction::Retract { id } => ("set", Question::Other, pubsub::retract(node, id)),
            NodeAction::Purge => ("set", Question::Other, pubsub::owner(about("purge"))),
            NodeAction::Create { options } => ("set", Question::Other, pubsub::create(node, &options.0)),
            NodeAction::Delete => ("set", Question::Other, pubsub::owner(about("delete"))),
            NodeAction::Configure { options } => {
                ("set", Question::Other, pubsub::configure(node, &options.0))
            }
            NodeAction::Configuration => ("get", Question::Configuration, pubsub::owner(about("configure"))),
            NodeAction::Subscribe => {
                let question = Question::Subscribe { owner: whose, node: node.to_owned() };
                ("set", question, pubsub::pubsub(about("subscribe").attr("jid", own)))
            }
            NodeAction::Unsubscribe => {
                let question = Question::Unsubscribe { owner: whose, node: node.to_owned() };
                ("set", question, pubsub::pubsub(about("unsubscribe").attr("jid", own)))
            }
            NodeAction::SubscriptionOptions => {
                ("get", Question::SubscriptionOptions, pubsub::subscription_options(node, &own, None))
            }
            NodeAction::ConfigureSubscription { form } => {
                let form = match form.answer() {
                    Ok(form) => form,
                    Err(error) => return Ok(Err(error.into())),
                };
                let payload = pubsub::subscription_options(node, &own, Some(form)).finish();
                if payload.len() as u64 + MAX_NAME as u64 > self.max_stanza() {
                    return Ok(Err(too_large()));
                }
                let pending = Pending::Node(Question::Other);
                let (kind, owner) = (outbox::Kind::Iq, owner.as_deref());
                return self.ask_xml(cx, kind, &pending, "set", owner, &payload).map(Ok);
            }
            NodeAction::Subscribers => {
                let question = Question::Subscribers { node: node.to_owned() };
                ("get", question, pubsub::owner(about("subscriptions")))
            }
            NodeAction::SetSubscriber { jid, state } => {
                ("set", Question::Other, pubsub::subscriber(node, jid, *state))
            }
            NodeAction::Affiliations => ("get", Question::Affiliations, pubsub::owner(about("affiliations"))),
            NodeAction::Affiliate { jid, affiliation } => {
                let one = Tag::new("affiliation")
                    .attr("jid", jid.as_str())
                    .attr("affiliation", affiliation_name(*affiliation)?);
                ("set", Question::Other, pubsub::owner(about("affiliations").child(one)))
            }
        };
        self.ask(cx, &Pending::Node(question), kind, owner.as_deref(), payload).map(Ok)
    }

    /// Publishes, or first asks whether the conditions are heeded. The id of the question, or why it is none.
    pub(crate) fn publish(
        &mut self,
        cx: &mut Cx<'_>,
        publish: Publish,
    ) -> Result<std::result::Result<String, Error>> {
        let node = publish_tag(&publish);
        if node.finish().len() as u64 + MAX_NAME as u64 > self.max_stanza() {
            return Ok(Err(too_large()));
        }
        let heeded = match (&publish.owner, self.login.nodes) {
            _ if publish.options.0.is_empty() => true,
            (None, Some(nodes)) => nodes == Nodes::WithConditions,
            (Some(_), _) | (None, None) => {
                let owner = publish.owner.clone().unwrap_or_else(|| self.jid.to_string());
                let payload = Tag::with_ns("query", ns::DISCO_INFO);
                let kind = kind_of(&publish);
                let pending = Pending::Node(Question::Offered(publish));
                return self.ask_as(cx, kind, &pending, "get", Some(&owner), payload).map(Ok);
            }
        };
        if heeded { self.publish_now(cx, publish, false).map(Ok) } else { Ok(Err(not_heeded())) }
    }

    pub(crate) fn publish_now(&mut self, cx: &mut Cx<'_>, publish: Publish, again: bool) -> Result<String> {
        let (owner, payload) = (publish.owner.clone(), publish_tag(&publish));
        let kind = kind_of(&publish);
        let pending = Pending::Node(Question::Publish { publish, again });
        self.ask_as(cx, kind, &pending, "set", owner.as_deref(), payload)
    }

    /// An answer about a node, or the condition of its refusal.
    pub(crate) fn node_answered(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        question: Question,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let published = question.published().filter(|publish| matches!(publish.reason, Reason::App));
        let published = published.map(|publish| (publish.owner.clone(), publish.node.clone()));
        self.answered_about_node(cx, id, question, answer)?;
        published.map_or(Ok(()), |(owner, node)| self.ask_what_waits_for(cx, owner.as_deref(), &node))
    }

    fn answered_about_node(
        &mut self,
        cx: &mut Cx<'_>,
        id: &str,
        question: Question,
        answer: std::result::Result<&Element, &str>,
    ) -> Result<()> {
        let request = self.waiting.asked.remove(id);
        let goes_on = match (&question, answer) {
            (Question::Offered(publish), Ok(element)) => {
                let offered = element.get_child("query", ns::DISCO_INFO).map(offered);
                if offered == Some(Nodes::WithConditions) {
                    Some(Ok(self.publish_now(cx, publish.clone(), false)?))
                } else if let Reason::Card(audience) = publish.reason {
                    return self.card_was_published(cx, audience);
                } else {
                    Some(Err(not_heeded()))
                }
            }
            // XEP-0060 §7.1.5: the node is there and is otherwise.
            (Question::Publish { publish, again: false }, Err("conflict"))
                if !publish.options.0.is_empty() =>
            {
                let payload = pubsub::configure(&publish.node, &publish.options.0);
                let pending = Pending::Node(Question::Configure(publish.clone()));
                let owner = publish.owner.as_deref();
                Some(Ok(self.ask_as(cx, kind_of(publish), &pending, "set", owner, payload)?))
            }
            (Question::Configure(publish), Ok(_)) => Some(Ok(self.publish_now(cx, publish.clone(), true)?)),
            _ => None,
        };
        if let Some(asked) = goes_on {
            if let Some(request) = request {
                self.wait_for(cx, request, asked);
            }
            return Ok(());
        }
        if let Some(publish) = question.published() {
            match &publish.reason {
                Reason::Own { node, with } => return self.were_told(cx, *node, with, answer.err()),
                Reason::Card(audience) => return self.card_was_published(cx, *audience),
                Reason::App | Reason::Shown => {}
            }
        }
        if let Question::Avatar { hash, kind } = &question {
            answer.map_or(Ok(()), |element| self.avatar_came(cx, hash, kind, element))?;
            return self.fetch_next(cx);
        }
        if let Question::Named { of, photo } = question {
            return self.avatar_was_named(cx, &of, photo, answer);
        }
        if let Question::Own { node, page } = question {
            return self.own_node_answered(cx, node, page, answer.ok());
        }
        self.feed_answered(cx, &question, answer)?;
        let reply = match (&question, answer) {
            (_, Ok(element)) => read_answer(cx, &question, element)?,
            // XEP-0060 §6.1.3.7: it waits already.
            (Question::Subscribe { owner, node }, Err(_)) if refused_with(cx, "pending-subscription") => {
                Ok(subscription(cx, owner, node, SubscriptionState::Pending)?)
            }
            // XEP-0060 §6.2.3: it has ended already, and nobody has said so.
            (Question::Unsubscribe { owner, node }, Err(_)) if refused_with(cx, "not-subscribed") => {
                forget_subscription(cx, owner, node)?;
                Ok(Reply::Done)
            }
            // It is taken back already.
            (Question::Unpublish { .. }, Err("item-not-found")) => Ok(Reply::Done),
            // Nothing of that id: XEP-0060 leaves open whether that is an error.
            (Question::Item, Err("item-not-found")) => Ok(Reply::Items { items: Vec::new(), next: None }),
            (_, Err(condition)) => Err(refused(cx, condition)),
        };
        if let Some(request) = request {
            cx.reply(request, reply);
        }
        Ok(())
    }

    pub(crate) fn wait_for(
        &mut self,
        cx: &mut Cx<'_>,
        request: RequestId,
        asked: std::result::Result<String, Error>,
    ) {
        match asked {
            Ok(id) => drop(self.waiting.asked.insert(id, request)),
            Err(error) => cx.reply(request, Err(error)),
        }
    }

    /// The app wants to hear of nodes of this name, or no longer. Who publishes has to know (XEP-0115).
    pub(crate) fn follow(
        &mut self,
        cx: &mut Cx<'_>,
        node: &str,
        on: bool,
    ) -> Result<std::result::Result<Reply, Error>> {
        if node.is_empty() || node.len() > MAX_NAME {
            return Ok(Err(Error::InvalidInput { what: "this cannot be the name of a node".into() }));
        }
        let changed = if on {
            let count: i64 = cx.tx.query_row("SELECT count(*) FROM followed", [], |row| row.get(0))?;
            if count >= MAX_FOLLOWED {
                return Ok(Err(Error::InvalidInput { what: "too many nodes are followed".into() }));
            }
            cx.tx.execute("INSERT OR IGNORE INTO followed (node) VALUES (?1)", params![node])?
        } else {
            cx.tx.execute("DELETE FROM followed WHERE node = ?1", params![node])?
        };
        if changed > 0 && !mutants::on(Mutant::FollowedNotSaid) {
            self.announce_anew(cx)?;
        }
        Ok(Ok(Reply::Done))
    }

    /// Somebody tells what happened to a node.
    pub(crate) fn told_of_node(&mut self, cx: &mut Cx<'_>, view: &MessageView<'_>) -> Result<()> {
        if matches!(view.kind, Kind::Error | Kind::Groupchat) {
            return Ok(());
        }
        let from = match view.from {
            None => Some(self.jid.clone()),
            // A device owns no node: what one tells as if it did is made up.
            Some(from) => address::parse(from).filter(Jid::is_bare).map(Jid::into_bare),
        };
        let (Some(from), Some(told)) = (from, view.event.and_then(|event| Told::read(event, MOST))) else {
            return Ok(());
        };
        if told.node.len() > MAX_NAME {
            return Ok(());
        }
        let is_own = from == self.jid;
        if let Change::Items { published, .. } = &told.change
            && let Some(node) = OwnNode::named(told.node).filter(|_| is_own)
        {
            self.told_elsewhere(cx, node, published)?;
        }
        match told.node {
            ns::AVATAR_METADATA if is_own || is_seen(cx, &from)? => {
                self.told_of_avatar(cx, &from, &told.change)?;
            }
            ns::NICK if is_own || is_seen(cx, &from)? => self.told_of_name(cx, &from, &told.change)?,
            _ => {}
        }
        if !self.wants_to_hear(cx, &from, told.node)? && !mutants::on(Mutant::ToldUnasked) {
            return Ok(());
        }
        if told.node == ns::MICROBLOG {
            self.feed_told(cx, &from, &told.change)?;
        }
        let node = told.node.to_owned();
        match told.change {
            Change::Items { published, retracted } => {
                if !published.is_empty() {
                    let items = published.into_iter().map(item).collect();
                    cx.event(Event::Published { from: from.clone(), node: node.clone(), items });
                }
                if !retracted.is_empty() && !mutants::on(Mutant::RetractionNotTold) {
                    let ids = retracted.into_iter().map(str::to_owned).collect();
                    cx.event(Event::Retracted { from, node, ids });
                }
            }
            Change::Emptied => cx.event(Event::Retracted { from, node, ids: Vec::new() }),
            Change::Subscription(subscription) => self.told_of_subscription(cx, from, subscription)?,
        }
        Ok(())
    }

    /// A subscription is another. Others' are none of our business, be it another device's.
    fn told_of_subscription(
        &self,
        cx: &mut Cx<'_>,
        from: BareJid,
        NodeSubscription { node, jid, state }: NodeSubscription,
    ) -> Result<()> {
        let known = if jid.as_str() != self.jid.as_str() {
            false
        } else if state == SubscriptionState::None {
            forget_subscription(cx, from.as_str(), &node)?
        } else {
            is_subscribed(cx, from.as_str(), &node)?
        };
        if known {
            cx.event(Event::Subscription { from, node, state });
        }
        Ok(())
    }

    /// Whether this node is its to tell of, and somebody wants to know. While the roster has not come yet it is anybody's: an event comes
    /// once. Of feeds something is kept.
    fn wants_to_hear(&self, cx: &Cx<'_>, from: &BareJid, node: &str) -> Result<bool> {
        let is_theirs =
            *from == self.jid || is_seen(cx, from)? || (node != ns::MICROBLOG && self.awaits_roster(cx)?);
        Ok(cx
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM subscribed WHERE owner = ?1 AND node = ?2)
                 OR (?3 AND EXISTS (SELECT 1 FROM followed WHERE node = ?2))",
            )?
            .query_row(params![from.as_str(), node, is_theirs], |row| row.get(0))?)
    }
}

/// Whether the app publishes something in this node that may take another question.
fn is_being_published(cx: &Cx<'_>, owner: Option<&str>, node: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (
        SELECT 1 FROM (
            SELECT what -> ('$.Node.' || column1) AS publish
            FROM pending, (VALUES ('Offered'), ('Configure'), ('Publish.publish'))
        )
        WHERE publish ->> 'reason' = 'App' AND publish ->> 'owner' IS ?1 AND publish ->> 'node' = ?2
        AND publish ->> 'options' <> '{}')";
    Ok(cx.tx.prepare_cached(sql)?.query_row(params![owner, node], |row| row.get(0))?)
}

/// What is said even if it takes another session, and what is not.
fn kind_of(publish: &Publish) -> outbox::Kind {
    match publish.reason {
        Reason::Card(_) | Reason::Shown => outbox::Kind::Note,
        Reason::App | Reason::Own { .. } => outbox::Kind::Iq,
    }
}

/// Whether somebody is not asked this already, and not so many are.
pub(crate) fn can_be_asked(cx: &Cx<'_>, question: &str, of: &BareJid, most: i64) -> Result<bool> {
    let of_whom = format!("json_extract(what, '$.Node.{question}.of')");
    let sql =
        format!("SELECT count(*), coalesce(sum({of_whom} = ?1), 0) FROM pending WHERE {of_whom} IS NOT NULL");
    let (all, this): (i64, i64) =
        cx.tx.prepare_cached(&sql)?.query_row(params![of.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(this == 0 && all < most)
}

/// Whether it is a contact whose presence we see, who may tell us of their own nodes.
fn is_seen(cx: &Cx<'_>, jid: &BareJid) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM contact WHERE jid = ?1 AND subscription & 1 = 1)")?
        .query_row(params![jid.as_str()], |row| row.get(0))?)
}

/// Names of nodes that are to be told of: what we follow ourselves, and what the app follows.
pub(crate) fn followed(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT node FROM followed")?;
    let mut nodes: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    nodes.extend(OURS.map(str::to_owned));
    Ok(nodes)
}

/// The items of an answer, and behind what to ask for others, for services that have pages. XEP-0059 §2.2 lets a service name what a
/// page ends with as it likes: Prosody says the item's id, ejabberd when it was made.
pub(crate) fn read_page(answer: &Element) -> (Vec<pubsub::Item<'_>>, Option<String>) {
    let Some(pubsub) = answer.get_child("pubsub", ns::PUBSUB) else { return (Vec::new(), None) };
    let items: Vec<_> = pubsub.get_child("items", ns::PUBSUB).into_iter().flat_map(pubsub::items).collect();
    let set = pubsub.get_child("set", ns::RSM);
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let count = set.and_then(|set| set.get_child("count", ns::RSM)).and_then(|count| number(&count.text()));
    let first = set.and_then(|set| set.get_child("first", ns::RSM));
    let index = first.and_then(|first| first.attr("index").and_then(number)).unwrap_or(0);
    let more = !items.is_empty() && count.is_some_and(|count| index + items.len() < count);
    let last = set.and_then(|set| set.get_child("last", ns::RSM)).map(Element::text);
    (items, last.filter(|_| more))
}

/// What somebody's service discovery says of nodes.
pub(crate) fn offered(query: &Element) -> Nodes {
    let is = |child: &Element| child.name() == "identity" && child.attr("category") == Some("pubsub");
    let heeds = |child: &Element| child.attr("var") == Some(ns::PUBLISH_OPTIONS);
    if query.children().any(heeds) {
        Nodes::WithConditions
    } else if query.children().any(is) {
        Nodes::There
    } else {
        Nodes::None
    }
}

/// What an answer says, or that it says something else.
fn read_answer(
    cx: &Cx<'_>,
    question: &Question,
    element: &Element,
) -> Result<std::result::Result<Reply, Error>> {
    let read = match question {
        Question::Publish { publish, .. } => {
            let id = element
                .get_child("pubsub", ns::PUBSUB)
                .and_then(|pubsub| pubsub.get_child("publish", ns::PUBSUB))
                .and_then(|publish| publish.get_child("item", ns::PUBSUB))
                .and_then(|item| item.attr("id"));
            Some(Reply::Published { id: id.or(publish.id.as_deref()).unwrap_or_default().to_owned() })
        }
        Question::Items | Question::Item => {
            let (items, next) = read_page(element);
            Some(Reply::Items { items: items.into_iter().map(item).collect(), next })
        }
        Question::Configuration => Some(Reply::Configuration(NodeOptions(pubsub::configuration(element)))),
        Question::Affiliations => {
            let all = element
                .get_child("pubsub", ns::PUBSUB_OWNER)
                .and_then(|pubsub| pubsub.get_child("affiliations", ns::PUBSUB_OWNER));
            let all = all.into_iter().flat_map(Element::children);
            Some(Reply::Affiliations(all.filter_map(affiliation).collect()))
        }
        Question::Subscribers { node } => {
            pubsub::subscriptions(element, ns::PUBSUB_OWNER, Some(node)).map(Reply::Subscriptions)
        }
        Question::SubscriptionOptions => pubsub::subscription_form(element).map(Reply::SubscriptionOptions),
        Question::Subscribe { owner, node } => {
            pubsub::subscribed(element).map(|state| subscription(cx, owner, node, state)).transpose()?
        }
        Question::Unsubscribe { owner, node } => {
            forget_subscription(cx, owner, node)?;
            Some(Reply::Done)
        }
        Question::Offered(_)
        | Question::Configure(_)
        | Question::Avatar { .. }
        | Question::Named { .. }
        | Question::Own { .. }
        | Question::Feed { .. }
        | Question::Unpublish { .. }
        | Question::Other => Some(Reply::Done),
    };
    Ok(read.ok_or_else(odd))
}

/// How far our subscription is. Unless there is none, whoever owns the node is believed from now on.
fn subscription(cx: &Cx<'_>, owner: &str, node: &str, state: SubscriptionState) -> Result<Reply> {
    if state == SubscriptionState::None {
        forget_subscription(cx, owner, node)?;
    } else {
        let sql = "INSERT OR IGNORE INTO subscribed (owner, node) VALUES (?1, ?2)";
        cx.tx.execute(sql, params![owner, node])?;
    }
    Ok(Reply::Subscription(state))
}

fn is_subscribed(cx: &Cx<'_>, owner: &str, node: &str) -> Result<bool> {
    Ok(cx
        .tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM subscribed WHERE owner = ?1 AND node = ?2)")?
        .query_row(params![owner, node], |row| row.get(0))?)
}

/// Whether there was one.
fn forget_subscription(cx: &Cx<'_>, owner: &str, node: &str) -> Result<bool> {
    let sql = "DELETE FROM subscribed WHERE owner = ?1 AND node = ?2";
    Ok(cx.tx.execute(sql, params![owner, node])? > 0)
}

/// Whether a refusal says this of publish-subscribe (XEP-0060 §17.4).
fn refused_with(cx: &Cx<'_>, condition: &str) -> bool {
    cx.refusal.as_ref().is_some_and(|error| error.has_child(condition, ns::PUBSUB_ERRORS))
}

/// What we may do with nodes of a service (XEP-0060 §5.7), by their names; where only one was asked about, that is what is meant.
pub(crate) fn own_affiliations(answer: &Element, node: Option<&str>) -> Option<Vec<(String, Affiliation)>> {
    let all = answer.get_child("pubsub", ns::PUBSUB)?.get_child("affiliations", ns::PUBSUB)?;
    let one = |element: &Element| {
        let node = element.attr("node").filter(|node| !node.is_empty()).or(node)?;
        Some((node.to_owned(), affiliation_named(element)?))
    };
    Some(all.children().filter_map(one).collect())
}

fn item(item: pubsub::Item<'_>) -> NodeItem {
    NodeItem { id: item.id.to_owned(), payload: item.payload.map(String::from) }
}

fn affiliation(element: &Element) -> Option<(BareJid, Affiliation)> {
    Some((crate::iq::bare(element.attr("jid"))?, affiliation_named(element)?))
}

fn affiliation_named(element: &Element) -> Option<Affiliation> {
    let name = serde_json::Value::from(element.attr("affiliation")?);
    serde_json::from_value(name).ok()
}

fn affiliation_name(affiliation: Affiliation) -> Result<String> {
    Ok(serde_json::to_value(affiliation)?.as_str().unwrap_or_default().to_owned())
}

fn publish_tag(publish: &Publish) -> Tag {
    pubsub::publish(&publish.node, publish.id.as_deref(), &publish.payload, &publish.options.0)
}

fn too_large() -> Error {
    Error::InvalidInput { what: "it is larger than the server takes".into() }
}

fn not_heeded() -> Error {
    let text = "the service does not say that it heeds conditions".to_owned();
    Error::ServerRefused { condition: "feature-not-implemented".into(), text: Some(text) }
}
