//! What a message looks like, as an app gets it.

use whimbrel_proto::text::Style;

use super::amendments::new_id;
use super::*;
use crate::api::{Error, Mention, Message, Outgoing};

/// The newest message, as it is shown and as it was told of.
fn newest(world: &mut World) -> Message {
    let items = world.items_with(JULIET);
    let Some(Item::Message(shown)) = items.last().cloned() else { panic!("{items:?}") };
    let told = world.events.iter().rev().find_map(|event| match event {
        Event::Message { message, .. } => Some(message),
        _ => None,
    });
    let told = told.expect("it was told of");
    assert_eq!((&told.spans, told.is_action), (&shown.spans, shown.is_action));
    shown
}

#[test]
fn message_is_shown_with_its_styles_and_links() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>see *this*: https://capulet.lit/tomb.</body>"));
    let message = newest(&mut world);
    let spans: Vec<_> =
        message.spans.iter().map(|span| (&message.text[span.range.clone()], &span.style)).collect();
    let link = Style::Link { url: "https://capulet.lit/tomb".into() };
    assert_eq!(
        spans,
        [
            ("*this*", &Style::Strong),
            ("*", &Style::Directive),
            ("*", &Style::Directive),
            ("https://capulet.lit/tomb", &link)
        ]
    );
    world.says("/me _waves_");
    let message = newest(&mut world);
    assert!(message.mine && message.is_action && !message.emoji_only);
    assert_eq!(message.spans[0].style, Style::Emphasis);
    world.gets(&from_juliet("id='j2'", "<body>\u{1f339} \u{1f44b}\u{1f3fd}</body>"));
    assert!(newest(&mut world).emoji_only);
}

#[test]
fn placeholder_has_no_styles() {
    let mut world = World::online();
    POISONED.set(true);
    world.gets(&from_juliet("id='poison'", "<body>*one* https://capulet.lit</body>"));
    POISONED.set(false);
    let items = world.items_with(JULIET);
    let Some(Item::Message(message)) = items.last() else { panic!("{items:?}") };
    assert!(message.placeholder && message.spans.is_empty(), "{message:?}");
}

#[test]
fn whoever_is_named_is_mentioned_behind_what_is_repeated() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>l\u{ec}ght</body>"));
    let asked = newest(&mut world).id;
    let text = "\u{1f426}, Juliet and nurse";
    let at = |name: &str| text.find(name).map(|at| at..at + name.len()).unwrap();
    let mention = |range, whom: &str| Mention { range, whom: whom.parse().unwrap() };
    let named = vec![mention(at("nurse"), "nurse@capulet.lit"), mention(at("Juliet"), JULIET)];
    let what = Outgoing { reply_to: Some(asked), mentions: named, ..text.into() };
    world.does(Command::Send { id: new_id(1), to: juliet(), what });
    let sent = world.next("message");
    let body: Vec<char> = body(&sent).unwrap().chars().collect();
    let references = sent.children().filter(|child| child.is("reference", ns::REFERENCE));
    let references: Vec<(String, &str)> = references
        .map(|reference| {
            let [begin, end] = ["begin", "end"].map(|bound| reference.attr(bound).unwrap().parse::<usize>());
            (body[begin.unwrap()..end.unwrap()].iter().collect(), reference.attr("uri").unwrap())
        })
        .collect();
    let names = [("Juliet", "xmpp:juliet@capulet.lit"), ("nurse", "xmpp:nurse@capulet.lit")];
    assert_eq!(references, names.map(|(name, uri)| (name.to_owned(), uri)));
    let shown = newest(&mut world);
    let shown: Vec<_> = shown.spans.iter().map(|span| &shown.text[span.range.clone()]).collect();
    assert_eq!(shown, ["Juliet", "nurse"]);
}

#[test]
fn mention_of_what_is_not_in_the_text_is_refused() {
    let mut world = World::online();
    let text = "\u{1f426}, Juliet";
    let wrong: [&[(usize, usize)]; 5] =
        [&[(6, 13)], &[(1, 4)], &[(6, 6)], &[(6, 9), (8, 12)], &[(usize::MAX - 1, usize::MAX)]];
    for (number, parts) in wrong.iter().copied().chain([&[(6, 12); 33][..]]).enumerate() {
        let mention =
            |(start, end): &(usize, usize)| Mention { range: *start..*end, whom: JULIET.parse().unwrap() };
        let what = Outgoing { mentions: parts.iter().map(mention).collect(), ..text.into() };
        let answer = world.does(Command::Send { id: new_id(number as u32), to: juliet(), what });
        assert!(matches!(answer, Some(Err(Error::InvalidInput { .. }))), "{parts:?}: {answer:?}");
    }
    assert!(world.items_with(JULIET).is_empty());
}
