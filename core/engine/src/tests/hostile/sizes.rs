//! Sizes and shapes.

use super::*;

#[test]
fn deep_nesting() {
    let mut world = World::online();
    let handled = world.count("SELECT json_extract(sm, '$.handled') FROM session");
    let link = world.link.unwrap();
    let drained = crate::Drained {
        name: "message".into(),
        from: Some(format!("{JULIET}/balcony")),
        to: Some(OWN.into()),
        id: Some("deep".into()),
        kind: Some("chat".into()),
        archived: None,
        stanza_ids: Vec::new(),
        size: 90_000,
        why: "deep".into(),
        head: vec![b'<'; 16_384],
    };
    for _ in 0..600 {
        world.turn(vec![Input::TooMuch { link, drained: drained.clone() }]);
    }
    world.gets(&live(1));
    assert_eq!(world.count("SELECT json_extract(sm, '$.handled') FROM session"), handled + 601);
    assert_eq!(world.sees().len(), 601);
    assert!(world.count("SELECT count(*) FROM quarantine") <= 500, "bounded");
}

#[test]
fn iq_flood() {
    let mut world = World::online();
    world.server.hears = false;
    for n in 0..1_000 {
        world.gets(&format!("<iq type='get' id='p{n}' from='{JULIET}/x'><ping xmlns='urn:xmpp:ping'/></iq>"));
    }
    assert!(world.count("SELECT count(*) FROM outbox") <= 600);
    assert!(!world.hung_up);
}

#[test]
fn sql_in_everything() {
    let mut world = World::online();
    for text in ["'; DROP TABLE message; --", "%_*\"", "a\u{1f}b' OR '1'='1"] {
        let text: String = text.chars().filter(|c| whimbrel_proto::write::is_allowed(*c)).collect();
        let mut escaped = String::new();
        whimbrel_proto::write::escape_into(&mut escaped, &text);
        world.gets(&from_juliet(
            &format!("id='{escaped}'"),
            &format!("<body>{escaped}</body><origin-id xmlns='urn:xmpp:sid:0' id='{escaped}'/>"),
        ));
        assert_eq!(world.sees().last(), Some(&text));
        world.gets(&receipt(JULIET, &escaped));
    }
    assert_eq!(world.sees().len(), 3);
}
