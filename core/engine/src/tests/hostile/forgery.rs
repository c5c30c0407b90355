//! Who says so? Each row of HOSTILE.md by its name: nothing happens, the stanza counts as handled, the stream goes on.

use super::*;

impl World {
    /// Nothing happens: what is shown and kept stays as it was, one more is handled, and the next message arrives.
    fn nothing_happens(&mut self, xml: &str) {
        let state = |world: &World| {
            let tables = [
                "message",
                "conversation",
                "contact",
                "pending",
                "archived",
                "coverage",
                "gap",
                "presence",
                "login",
            ];
            tables
                .iter()
                .map(|table| {
                    let file = world.file();
                    let mut statement = file.prepare(&format!("SELECT * FROM {table}")).unwrap();
                    let columns = statement.column_count();
                    let mut rows = statement.query([]).unwrap();
                    let mut out = String::new();
                    while let Some(row) = rows.next().unwrap() {
                        for column in 0..columns {
                            out.push_str(&format!("{:?}|", row.get_ref(column).unwrap()));
                        }
                    }
                    out
                })
                .collect::<Vec<_>>()
        };
        let handled = |world: &World| world.count("SELECT json_extract(sm, '$.handled') FROM session");
        let (before, count) = (state(self), handled(self));
        self.gets(xml);
        assert_eq!(state(self), before, "{xml}");
        assert_eq!(handled(self), count + 1, "{xml}");
        assert!(!self.hung_up);
    }
}

fn wrapped(from: &str, direction: &str, inner: &str) -> String {
    let from = if from.is_empty() { String::new() } else { format!("from='{from}'") };
    format!(
        "<message {from} to='{OWN}/phone'><{direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></{direction}></message>"
    )
}

fn said(from: &str, body: &str) -> String {
    format!(
        "<message xmlns='jabber:client' type='chat' from='{from}' to='{OWN}' id='f'><body>{body}</body></message>"
    )
}

#[test]
fn forged_carbon() {
    let mut world = World::online();
    let inner = said("nurse@capulet.lit/x", "meet me");
    for from in [
        JULIET,
        "juliet@capulet.lit/balcony",
        "montague.lit",
        "romeo@montague.lit/tablet",
        "romeo@capulet.lit",
        "",
    ] {
        world.nothing_happens(&wrapped(from, "received", &inner));
    }
    let ours = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/tablet' to='{JULIET}' id='f'><body>adieu</body></message>"
    );
    world.nothing_happens(&wrapped(JULIET, "sent", &ours));
    // Said to be sent by us, and is not.
    world.nothing_happens(&wrapped(OWN, "sent", &inner));
}

#[test]
fn forged_groupchat_carbon() {
    let mut world = World::online();
    for kind in ["groupchat", "error", "headline"] {
        let inner = said("nurse@capulet.lit/x", "meet me").replace("'chat'", &format!("'{kind}'"));
        world.nothing_happens(&wrapped(OWN, "received", &inner));
    }
}

#[test]
fn forged_forward() {
    let mut world = World::online();
    let inner = wrapped(OWN, "received", &said("nurse@capulet.lit/x", "meet me"));
    world.nothing_happens(&wrapped(
        OWN,
        "received",
        &inner.replacen("<message", "<message xmlns='jabber:client'", 1),
    ));
    // bare_forwarded
    let forward = format!(
        "<message type='chat' from='{JULIET}/balcony' to='{OWN}' id='b'><forwarded xmlns='urn:xmpp:forward:0'>{}</forwarded></message>",
        said("nurse@capulet.lit/x", "meet me")
    );
    world.nothing_happens(&forward);
    world.gets(&forward.replace("</forwarded>", "</forwarded><body>see this</body>"));
    assert_eq!(world.sees(), ["see this"]);
}

#[test]
fn forged_archive_result() {
    let mut world = World::online();
    world.gets(&live(0));
    world.cut();
    world.reconnect(Resume::Refuse);
    let query = world.wrote.iter().find_map(|e| e.get_child("query", ns::MAM)).unwrap();
    let name = query.attr("queryid").unwrap().to_owned();
    let entry = &archived(7..8)[0];
    let asked = result(&name, entry);
    for from in [JULIET, "montague.lit", "romeo@capulet.lit", "romeo@montague.lit/phone.2"] {
        world.nothing_happens(&asked.replace(&format!("from='{OWN}'"), &format!("from='{from}'")));
    }
    world.nothing_happens(&result("never-sent", entry));
    world.gets(&asked);
    assert_eq!(world.sees(), ["0", "7", "--"]);
}

#[test]
fn forged_roster_push() {
    let mut world = World::online();
    let push = |from: &str| {
        format!(
            "<iq type='set' id='push' from='{from}'><query xmlns='jabber:iq:roster' ver='9'><item jid='tybalt@capulet.lit' subscription='both'/></query></iq>"
        )
    };
    for from in [JULIET, "juliet@capulet.lit/balcony", "montague.lit", "romeo@capulet.lit"] {
        world.nothing_happens(&push(from));
        assert_eq!(world.next("iq").attr("type"), Some("error"));
    }
    world.gets(&push(OWN));
    assert_eq!(world.next("iq").attr("type"), Some("result"));
    assert_eq!(world.count("SELECT count(*) FROM contact"), 2);
}

#[test]
fn forged_iq_result() {
    let mut world = World::new();
    world.connect();
    let roster = world.wrote.iter().find(|e| e.children().any(|c| c.is("query", ns::ROSTER))).unwrap();
    let id = roster.attr("id").unwrap().to_owned();
    let answer = |from: &str| {
        format!(
            "<iq type='result' id='{id}' from='{from}'><query xmlns='jabber:iq:roster'><item jid='tybalt@capulet.lit' subscription='both'/></query></iq>"
        )
    };
    for from in [JULIET, "juliet@capulet.lit/balcony", "capulet.lit", "romeo@capulet.lit"] {
        world.nothing_happens(&answer(from));
    }
    world.gets(&answer(OWN));
    assert_eq!(world.count("SELECT count(*) FROM contact"), 1);
}

#[test]
fn forged_stanza_id() {
    // By another archive, or by ours on a server that does not strip what others claim.
    for (mam, by) in [(true, JULIET), (true, "capulet.lit"), (false, OWN)] {
        let mut world = World::new();
        world.server.mam = mam;
        world.connect();
        world.serve();
        for body in ["one", "two"] {
            world.gets(&said(JULIET, body).replace(
                "</body>",
                &format!("</body><stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='same'/>"),
            ));
        }
        assert_eq!(world.sees(), ["one", "two"]);
        assert_eq!(world.count("SELECT count(*) FROM archived"), 0);
    }
}

#[test]
fn forged_origin_id() {
    let mut world = World::online();
    let with_origin = |from: &str, body: &str| {
        said(from, body).replace("</body>", "</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/>")
    };
    world.gets(&with_origin(JULIET, "one"));
    world.gets(&with_origin("nurse@capulet.lit", "one"));
    world.gets(&with_origin(JULIET, "two"));
    assert_eq!(world.sees(), ["one", "two"]);
    assert_eq!(world.sees_with("nurse@capulet.lit"), ["one"]);
    // Ours, reused by the peer.
    let id = world.says("mine");
    world.gets(
        &said(JULIET, "mine")
            .replace("</body>", &format!("</body><origin-id xmlns='urn:xmpp:sid:0' id='{}'/>", id.0)),
    );
    assert_eq!(world.sees(), ["one", "two", "> mine", "mine"]);
}

#[test]
fn forged_receipt() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    world.gets(&live(1));
    for from in ["tybalt@capulet.lit/x", "capulet.lit", "juliet@montague.lit"] {
        world.nothing_happens(&format!(
            "<message from='{from}'><received xmlns='urn:xmpp:receipts' id='{}'/></message>",
            id.0
        ));
        // forged_marker
        world.nothing_happens(&format!(
            "<message from='{from}'><displayed xmlns='urn:xmpp:chat-markers:0' id='{}'/></message>",
            id.0
        ));
        // A bounce, too, is believed only of the peer.
        world.nothing_happens(&format!("<message type='error' from='{from}' id='{}'/>", id.0));
    }
    // For a message that was hers.
    world.nothing_happens(&format!(
        "<message from='{JULIET}'><received xmlns='urn:xmpp:receipts' id='j1'/></message>"
    ));
}

#[test]
fn forged_read_position() {
    let mut world = World::online();
    world.gets(&live(1));
    let displayed = format!(
        "<message xmlns='jabber:client' from='{OWN}/tablet' to='{JULIET}' id='t'><displayed xmlns='urn:xmpp:chat-markers:0' id='j1'/></message>"
    );
    world.nothing_happens(&wrapped(JULIET, "sent", &displayed));
    assert_eq!(world.count("SELECT unread FROM conversation"), 1);
}

#[test]
fn remote_command() {
    let mut world = World::online();
    world.nothing_happens(&format!(
        "<iq type='set' id='c' from='{JULIET}/x'><command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/rc#set-status' action='execute'/></iq>"
    ));
    assert_eq!(world.next("iq").attr("type"), Some("error"));
}

#[test]
fn invisible_address() {
    let mut world = World::online();
    world.gets(&said(JULIET, "hers"));
    for lookalike in ["juli\u{200b}et@capulet.lit", "juliet@capulet\u{ad}.lit", "\u{202e}juliet@capulet.lit"]
    {
        world.nothing_happens(&said(lookalike, "not hers"));
    }
    world.gets(&said("Juliet@Capulet.LIT", "hers, in capitals").replace("id='f'", "id='g'"));
    assert_eq!(world.sees(), ["hers", "hers, in capitals"]);
    world.nothing_happens(&said("@", "nobody's"));
    world.nothing_happens(&said("a@b@c/", "nobody's"));
    // Our own address with something invisible in it is not ours.
    world.nothing_happens(&wrapped(
        "romeo\u{200b}@montague.lit",
        "received",
        &said("nurse@capulet.lit", "meet me"),
    ));
}
