//! What a message looks like, as an app gets it.

use whimbrel_proto::text::Style;

use super::*;
use crate::api::Message;

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
