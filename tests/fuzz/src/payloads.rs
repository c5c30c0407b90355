//! What `proto` reads of an element into a value of its own: cards, entries, forms, settings, nodes, commands, and what a
//! message carries. Whatever stands in it, what was read is written, read again as the same, and within its bounds.

use minidom::Element;
use whimbrel_proto::{
    adhoc::CommandStage,
    atom::Entry,
    content::{self, About, Content},
    disco::{Entities, Info},
    form::{self, Form, FormKind},
    message::MessageView,
    ns,
    pubsub::{self, Change, NodeSubscription, Told},
    settings::Settings,
    vcard::Card,
    write::Tag,
};

use crate::text;

/// Items of one event that are read.
const MOST: usize = 10;
/// Now, ms UTC.
const NOW: i64 = 1_795_000_000_000;

/// Everything that takes an element, each by itself: who reads one is decided by whoever sends it.
pub(crate) fn look_at(element: &Element) {
    carried(element);
    card(element);
    entry(element);
    form(element);
    node(element);
    if let Some(settings) = Settings::read(element) {
        assert_eq!(Settings::read(&read(settings.write())), Some(settings));
    }
    if let Some(stage) = CommandStage::read(element) {
        assert!(stage.default.is_none_or(|default| stage.actions.contains(&default)), "{stage:?}");
    }
    let info = Info::read(element);
    assert!(info.features.iter().all(|feature| info.has(feature)));
    assert!(info.identities.iter().all(|identity| info.is(&identity.category, &identity.kind)));
    let entities = Entities::read(element);
    assert!(entities.next.is_none() || element.children().next().is_some(), "a page behind nothing");
    for (_, value) in element.attrs() {
        text::uri(value.as_bytes());
    }
    text::uri(element.text().as_bytes());
}

fn read(tag: Tag) -> Element {
    let text = tag.finish();
    text.parse().unwrap_or_else(|error| panic!("we wrote what is not XML: {error}: {text}"))
}

/// What a message does to others and carries beside its text, and what of its text is shown for that.
fn carried(element: &Element) {
    let view = MessageView::read(element);
    match &view.about {
        Some(About::ReactsTo(id, reactions)) => {
            assert!(!id.is_empty() && reactions.len() <= 32, "{reactions:?}");
            assert_eq!(content::reactions(reactions.clone()), *reactions);
        }
        Some(About::Corrects(id) | About::Retracts(id)) => assert!((1..=1_024).contains(&id.len())),
        None => {}
    }
    let message = Tag::with_ns("message", ns::JABBER_CLIENT);
    let again = read(view.content.write(message));
    assert_eq!(MessageView::read(&again).content, view.content);
    let Content { links, mentions, previews, .. } = &view.content;
    assert!(links.len().max(mentions.len()).max(previews.len()) <= 32, "as many as fit");
    if let Some(body) = &view.body {
        assert!(view.content.without_quote(body).len() <= body.len());
        text::shows(body, &view.content);
    }
}

/// A card is what one of ours would be, and what is not known of it stays when it is changed.
fn card(element: &Element) {
    let Some(card) = Card::read(element) else { return };
    assert_eq!(card.check(), Ok(()), "{card:?}");
    let (now, before) = (read(card.write(None)), read(card.write_before(None)));
    assert_eq!(Card::read(&now).as_ref(), Some(&card));
    let of_old = Card::read(&before);
    assert!(of_old.as_ref().is_some_and(|of_old| of_old.says_the_same(&card)), "{of_old:?} of {card:?}");
    let changed =
        if element.has_ns(ns::VCARD4) { card.write(Some(element)) } else { card.write_before(Some(element)) };
    let changed = Card::read(&read(changed));
    assert!(changed.is_some_and(|changed| changed.says_the_same(&card)), "{card:?}");
}

fn entry(element: &Element) {
    let Some(entry) = Entry::read(element) else { return };
    let again = Entry::read(&read(entry.write("tag:whimbrel", NOW)));
    let published = entry.published.unwrap_or(NOW);
    let updated = Some(entry.updated.unwrap_or(published.max(NOW)));
    let atom_id = Some(entry.atom_id.clone().unwrap_or_else(|| "tag:whimbrel".into()));
    // Who has no name is not written.
    let author_uri = entry.author_uri.clone().filter(|_| entry.author.is_some());
    assert_eq!(again, Some(Entry { atom_id, published: Some(published), updated, author_uri, ..entry }));
}

/// A form is filled in with what it says, and submitted.
fn form(element: &Element) {
    let _ = form::fields(element).count();
    let Some(mut form) = Form::read(element) else { return };
    let named: Vec<_> = form.fields.iter().map(|field| (field.name.clone(), field.values.clone())).collect();
    for (name, values) in named {
        // It may be refused, and then it stays.
        let before = form.clone();
        if form.set(&name, values).is_err() {
            assert_eq!(form, before);
        }
        let _ = form.set_flag(&name, true);
        let _ = form.set(&name, Vec::<String>::new());
        form = before;
    }
    let _ = (form.form_type(), form.value("FORM_TYPE"));
    if let Ok(answer) = form.submit() {
        let answer = Form::parse(&answer).expect("we wrote a form");
        assert_eq!(answer.kind, FormKind::Submit);
        for field in &answer.fields {
            let asked =
                form.fields.iter().any(|asked| asked.name == field.name && asked.values == field.values);
            assert!(asked, "{field:?} of {form:?}");
        }
    }
}

/// What is told of a node, what it has, and what it is like.
fn node(element: &Element) {
    if let Some(Told { change: Change::Items { published, retracted }, .. }) = Told::read(element, MOST) {
        assert!(published.len().max(retracted.len()) <= MOST);
    }
    assert!(pubsub::items(element).count() <= element.children().count());
    let options = pubsub::configuration(element);
    let _ = read(pubsub::configure("a node", &options));
    let _ = (pubsub::subscribed(element), pubsub::subscription_form(element));
    for namespace in [ns::PUBSUB, ns::PUBSUB_OWNER] {
        let all = pubsub::subscriptions(element, namespace, Some("a node")).unwrap_or_default();
        for NodeSubscription { node, jid, state } in &all {
            let written = Tag::with_ns("iq", ns::JABBER_CLIENT).child(pubsub::subscriber(node, jid, *state));
            let again = pubsub::subscriptions(&read(written), ns::PUBSUB_OWNER, None).unwrap_or_default();
            // Of a name a line's end does not come back: in an attribute it is a space.
            assert!(matches!(&again[..], [again] if (&again.jid, &again.state) == (jid, state)));
        }
    }
}
