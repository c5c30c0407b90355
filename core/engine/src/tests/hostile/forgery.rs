//! Who says so?

use super::*;
use crate::tests::amendments::{reactions, replace, retract};

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
fn forged_timeout() {
    // A server that says so itself has answered: nothing is asked again behind it, or that would go on for ever.
    let mut world = World::online();
    world.away_and_back();
    let mut asked = Vec::new();
    while world.wrote.iter().any(|stanza| stanza.name() == "iq") {
        asked.push(world.refuses("remote-server-timeout").children().next().unwrap().name().to_owned());
        assert!(asked.len() < 20, "{asked:?}");
    }
    assert!(
        asked.iter().any(|what| what == "enable") && asked.iter().any(|what| what == "blocklist"),
        "{asked:?}"
    );
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

/// Whoever is not our own account.
const OTHERS: [&str; 9] = [
    JULIET,
    "juliet@capulet.lit/balcony",
    "montague.lit",
    "romeo@montague.lit/tablet",
    "romeo@montague.lit/phone.1",
    "romeo@montague.lit/🐦",
    "romeo@capulet.lit",
    "romeo@montague.lit.capulet.lit",
    "romeo\u{200b}@montague.lit",
];

#[test]
fn forged_carbon() {
    let mut world = World::online();
    let theirs = said("nurse@capulet.lit/x", "meet me");
    let ours = format!(
        "<message xmlns='jabber:client' type='chat' from='{OWN}/tablet' to='{JULIET}' id='f'><body>adieu</body></message>"
    );
    for from in OTHERS.into_iter().chain([""]) {
        world.nothing_happens(&wrapped(from, "received", &theirs));
        world.nothing_happens(&wrapped(from, "sent", &ours));
        // Another kind of message, or something that is shown beside it.
        world.nothing_happens(&wrapped(from, "received", &theirs).replacen(
            "<message",
            "<message type='chat' id='x'",
            1,
        ));
        world.nothing_happens(&wrapped(from, "sent", &ours).replacen(
            "</message></forwarded>",
            "</message></forwarded><x xmlns='urn:x'/>",
            1,
        ));
    }
    // Said to be sent by us and is not, or to be received and is ours.
    world.nothing_happens(&wrapped(OWN, "sent", &theirs));
    world.nothing_happens(&wrapped(OWN, "received", &ours));
    world.nothing_happens(&wrapped(OWN, "received", ""));
    // Of two, neither may speak for the other.
    let two = wrapped(OWN, "sent", &ours).replace(
        "</message></forwarded></sent>",
        &format!("</message></forwarded></sent><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{ours}</forwarded></received>"),
    );
    world.nothing_happens(&two);
    world.gets(&wrapped(OWN, "sent", &ours));
    assert_eq!(world.sees(), ["> adieu"]);
}

#[test]
fn forged_groupchat_carbon() {
    let mut world = World::online();
    for kind in ["groupchat", "error", "headline"] {
        let inner = said("nurse@capulet.lit/x", "meet me").replace("'chat'", &format!("'{kind}'"));
        world.nothing_happens(&wrapped(OWN, "received", &inner));
        let inner = said("romeo@montague.lit/tablet", "adieu").replace("'chat'", &format!("'{kind}'"));
        world.nothing_happens(&wrapped(OWN, "sent", &inner));
    }
}

#[test]
fn forged_forward() {
    let mut world = World::online();
    let inner = said("nurse@capulet.lit/x", "meet me");
    let with_ns = |xml: String| xml.replacen("<message", "<message xmlns='jabber:client'", 1);
    // A carbon in a carbon, a result in a carbon, a carbon in a result that nobody asked for, a forward in a forward.
    world.nothing_happens(&wrapped(OWN, "received", &with_ns(wrapped(OWN, "received", &inner))));
    world.nothing_happens(&wrapped(OWN, "received", &with_ns(wrapped(OWN, "sent", &inner))));
    let entry = Archived { id: "x".into(), at: START, message: inner.clone() };
    world.nothing_happens(&wrapped(OWN, "received", &with_ns(result("q", &entry))));
    let entry = Archived { message: with_ns(wrapped(OWN, "received", &inner)), ..entry };
    world.nothing_happens(&result("q", &entry));
    let twice = format!("<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>");
    world.nothing_happens(&wrapped(OWN, "received", &twice));
    // And in one that was asked for.
    world.gets(&live(0));
    world.server.archive = archived(0..2);
    world.server.archive[1].message = with_ns(wrapped(OWN, "received", &inner));
    world.away_and_back();
    world.serve();
    assert_eq!(world.sees(), ["0"]);
    assert_eq!(world.count("SELECT count(*) FROM message"), 1);
}

#[test]
fn bare_forwarded() {
    let mut world = World::online();
    let forwarded = format!(
        "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>{}</forwarded>",
        said("nurse@capulet.lit/x", "meet me")
    );
    let forward = |inside: &str| {
        format!("<message type='chat' from='{JULIET}/balcony' to='{OWN}' id='b'>{inside}</message>")
    };
    world.nothing_happens(&forward(&forwarded));
    world.nothing_happens(&forward(&format!("<x xmlns='urn:other'>{forwarded}</x>")));
    world.nothing_happens(&forward(&format!("<sent xmlns='urn:xmpp:carbons:1'>{forwarded}</sent>")));
    world.nothing_happens(&forward(&format!("<result xmlns='urn:xmpp:mam:1' id='x'>{forwarded}</result>")));
    world.gets(&forward(&format!("{forwarded}<body>see this</body>")));
    assert_eq!(world.sees(), ["see this"]);
    assert_eq!(world.count("SELECT count(*) FROM message WHERE written_at IS NOT NULL"), 0);
}

/// Who could claim something about what was sent to Juliet.
const NOT_JULIET: [&str; 6] = [
    "tybalt@capulet.lit/x",
    "capulet.lit",
    "montague.lit",
    "juliet@montague.lit",
    "juliet@capulet.lit.x",
    "juli\u{200b}et@capulet.lit",
];

#[test]
fn forged_receipt() {
    let mut world = World::online();
    let id = world.says("one");
    world.acknowledge();
    world.gets(&live(1));
    for from in NOT_JULIET {
        world.nothing_happens(&receipt(from, &id.0));
        // A bounce, too, is believed only of the peer.
        world.nothing_happens(&format!("<message type='error' from='{from}' id='{}'/>", id.0));
    }
    // For a message that was hers, that nobody wrote, by an error, from a room.
    world.nothing_happens(&receipt(JULIET, "j1"));
    world.nothing_happens(&receipt(JULIET, "nobodys"));
    world.nothing_happens(&receipt(JULIET, ""));
    for kind in ["error", "groupchat", "headline"] {
        let by = receipt(JULIET, &id.0).replacen("<message", &format!("<message type='{kind}'"), 1);
        world.nothing_happens(&by);
    }
    world.gets(&receipt("juliet@capulet.lit/balcony", &id.0));
    assert_eq!(world.state(&id), SendState::Delivered);
    // A receipt takes back no marker, and a bounce no receipt.
    world.gets(&marker(JULIET, &id.0));
    world.nothing_happens(&receipt(JULIET, &id.0));
    world.nothing_happens(&format!("<message type='error' from='{JULIET}' id='{}'/>", id.0));
}

#[test]
fn forged_marker() {
    let mut world = World::online();
    let nurse: BareJid = "nurse@capulet.lit".parse().unwrap();
    let id = world.says("one");
    let other = ItemId("00000000-0000-4000-8000-0000000000ff".into());
    world.does(Command::Send { id: other.clone(), to: nurse.clone(), what: "to the nurse".into() });
    world.acknowledge();
    world.gets(&live(1));
    for from in NOT_JULIET {
        world.nothing_happens(&marker(from, &id.0));
    }
    // For what went to somebody else: neither that nor what stands before it.
    world.nothing_happens(&marker(JULIET, &other.0));
    world.nothing_happens(&marker("nurse@capulet.lit/x", &id.0));
    world.nothing_happens(&marker(JULIET, "j1"));
    world.gets(&marker(JULIET, &id.0));
    assert_eq!(world.state(&id), SendState::Displayed);
    assert_eq!(world.count("SELECT count(*) FROM message WHERE state = 4"), 1);
}

#[test]
fn forged_read_position() {
    let mut world = World::online();
    world.gets(&live(1));
    world.gets(&live(2));
    let displayed = |from: &str, to: &str, id: &str| {
        format!(
            "<message xmlns='jabber:client' from='{from}' to='{to}' id='t'><displayed xmlns='urn:xmpp:chat-markers:0' id='{id}'/></message>"
        )
    };
    let tablet = "romeo@montague.lit/tablet";
    let ours = displayed(tablet, JULIET, "j1");
    for from in OTHERS {
        world.nothing_happens(&wrapped(from, "sent", &ours));
    }
    // Direct, by whomever; about somebody else's message; by her, of her own.
    world.nothing_happens(&displayed(JULIET, OWN, "j1"));
    world.nothing_happens(&displayed("romeo@capulet.lit/tablet", OWN, "j1"));
    world.nothing_happens(&wrapped(OWN, "sent", &displayed(tablet, "nurse@capulet.lit", "j1")));
    world.nothing_happens(&wrapped(OWN, "received", &displayed(JULIET, OWN, "j1")));
    assert_eq!(world.count("SELECT unread FROM conversation"), 2);
    world.gets(&wrapped(OWN, "sent", &displayed(tablet, JULIET, "j2")));
    assert_eq!(world.count("SELECT unread FROM conversation"), 0);
    // It does not go back.
    world.nothing_happens(&wrapped(OWN, "sent", &ours));
}

#[test]
fn forged_delay() {
    let delayed = |by: &str, stamp: &str, n: u32| {
        let by = if by.is_empty() { String::new() } else { format!("from='{by}'") };
        from_juliet(
            &format!("id='d{n}'"),
            &format!("<body>{n}</body><delay xmlns='urn:xmpp:delay' {by} stamp='{stamp}'/>"),
        )
    };
    let mut world = World::online();
    world.cut();
    world.pass(60_000);
    world.reconnect(Resume::Accept);
    let before = world.now.wall - 60_000;
    world.gets(&live(0));
    let (years_ago, years_ahead) = ("1999-12-31T23:59:59Z", "2199-01-01T00:00:00Z");
    let mut n = 0;
    // By a contact, by our server's name written by a contact, by our own address.
    for by in ["", JULIET, "juliet@capulet.lit/balcony", "capulet.lit", "montague.lit", OWN] {
        for stamp in [years_ago, years_ahead, "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "yesterday"] {
            n += 1;
            world.gets(&delayed(by, stamp, n));
            let (at, written, last): (i64, Option<i64>, bool) = world
                .file()
                .query_row(
                    "SELECT at, written_at, position = (SELECT max(position) FROM message) FROM message WHERE name = ?1",
                    [format!("d{n}")],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .unwrap();
            assert!(last, "it orders nothing: {by} {stamp}");
            assert!((before - 3_600_000..=world.now.wall).contains(&at), "{by} {stamp}: {at}");
            assert!(written.is_none_or(|written| written < at), "{by} {stamp}: {written:?}");
        }
    }
    // What the server kept for us while we were away is believed of it.
    let kept = world.now.wall - 30_000;
    world.gets(&delayed("montague.lit", &stamp::format(kept), 1_000));
    assert_eq!(world.count("SELECT at FROM message WHERE name = 'd1000'"), kept);
    assert_eq!(world.sees().len(), n as usize + 2);
}

#[test]
fn remote_command() {
    let mut world = World::online();
    for from in OTHERS.into_iter().chain([OWN, "nurse@capulet.lit/x"]) {
        for kind in ["set", "get"] {
            for node in
                ["http://jabber.org/protocol/rc#set-status", "http://jabber.org/protocol/rc#forward", ""]
            {
                world.nothing_happens(&format!(
                    "<iq type='{kind}' id='c' from='{from}'><command xmlns='http://jabber.org/protocol/commands' node='{node}' action='execute'/></iq>"
                ));
                assert_eq!(world.next("iq").attr("type"), Some("error"), "{from}");
                world.acknowledge();
            }
        }
    }
}

#[test]
fn receipt_presence_leak() {
    let mut world = World::new();
    for (name, subscription) in [("from", "from"), ("both", "both"), ("to", "to"), ("none", "none")] {
        world.server.roster.push((format!("{name}@verona.lit"), subscription));
    }
    world.connect();
    world.serve();
    world.acknowledge();
    world.wrote.clear();
    let peers = [("from", true), ("both", true), ("to", false), ("none", false), ("stranger", false)];
    for (peer, told) in peers {
        let from = format!("{peer}@verona.lit/x");
        world.gets(&format!(
            "<message type='chat' from='{from}' id='r'><body>are you there?</body><request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/></message>"
        ));
        world.does(Command::MarkRead { with: format!("{peer}@verona.lit").parse().unwrap() });
        assert_eq!(world.all("message").len(), if told { 2 } else { 0 }, "{peer}: a receipt and a marker");
        // What a server says for a device that is not there is what we say.
        for ask in [
            "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<iq type='get'><query xmlns='jabber:iq:version'/></iq>",
            "<iq type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
            "<iq type='get'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
            "<iq type='get'/>",
            "<iq type='set'><query xmlns='jabber:iq:roster'/></iq>",
            "<iq type='set'><x xmlns='urn:x'/></iq>",
        ] {
            world.gets(&ask.replacen("<iq", &format!("<iq id='q' from='{from}'"), 1));
            let answer = world.next("iq");
            let absent = answer.get_child("error", ns::JABBER_CLIENT).is_some_and(|error| {
                error.attr("type") == Some("cancel")
                    && error.children().all(|c| c.name() == "service-unavailable")
            });
            assert!(told || absent, "{peer}: {answer:?}");
        }
        world.acknowledge();
    }
    // Our server and our other devices may ask.
    for from in ["montague.lit", OWN, "romeo@montague.lit/tablet"] {
        world.gets(&format!("<iq type='get' id='p' from='{from}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        assert_eq!(world.next("iq").attr("type"), Some("result"), "{from}");
    }
}

#[test]
fn invisible_address() {
    let mut world = World::online();
    world.gets(&said(JULIET, "hers"));
    for lookalike in [
        "juli\u{200b}et@capulet.lit",
        "juliet@capulet\u{ad}.lit",
        "\u{202e}juliet@capulet.lit",
        "juliet\u{fe0f}@capulet.lit/balcony",
        "juliet@capulet.lit\u{2060}/balcony",
        "juliet@capulet.lit/\u{200d}",
    ] {
        // The last is hers: what is invisible in the device's name says nothing about whose it is.
        let hers = lookalike.contains("/\u{200d}");
        let before = world.sees();
        let message = said(lookalike, "not hers").replace("id='f'", "id='l'");
        if hers {
            world.gets(&message)
        } else {
            world.nothing_happens(&message)
        }
        assert_eq!(world.sees().len(), before.len() + usize::from(hers), "{lookalike}");
        world.nothing_happens(&wrapped(OWN, "sent", &said(lookalike, "x")));
    }
    world.gets(&said("Juliet@Capulet.LIT", "hers, in capitals").replace("id='f'", "id='g'"));
    assert_eq!(world.sees(), ["hers", "not hers", "hers, in capitals"]);
    for nobody in ["@", "a@b@c/", "", "/x", "juliet@", "🐦@capulet.lit"] {
        world.nothing_happens(&said(nobody, "nobody's"));
        world.nothing_happens(&format!("<presence from='{nobody}'/>"));
        world.nothing_happens(&format!("<presence type='subscribe' from='{nobody}'/>"));
    }
    // Cyrillic е, and a full-width letter that is another spelling of the same: the first is a stranger, the second is hers.
    world.gets(&said("juli\u{435}t@capulet.lit", "a stranger's"));
    assert_eq!(world.sees_with("juli\u{435}t@capulet.lit"), ["a stranger's"]);
    world.gets(&said("\u{ff4a}uliet@capulet.lit", "hers, wide").replace("id='f'", "id='h'"));
    assert_eq!(world.sees().last().unwrap(), "hers, wide");
    // Our own address with something invisible in it is not ours.
    for own in ["romeo\u{200b}@montague.lit", "romeo@montague.lit/\u{200d}", "rom\u{435}o@montague.lit"] {
        world.nothing_happens(&wrapped(own, "received", &said("nurse@capulet.lit", "meet me")));
    }
}

const NURSE: &str = "nurse@capulet.lit";

/// A message of ours to Juliet, and one of hers, `j1`.
fn with_two_messages() -> (World, String) {
    let mut world = World::online();
    let id = world.says("mine").0;
    world.gets(&from_juliet("id='j1'", "<body>hers</body>"));
    (world, id)
}

#[test]
fn forged_correction() {
    let (mut world, id) = with_two_messages();
    world.gets(&from_juliet("id='j2'", &replace(&id, "forged")));
    world.gets(&from_juliet("id='n1'", &replace("j1", "forged")).replace(JULIET, NURSE));
    assert_eq!(world.reads(), ["> mine", "hers", "forged (edited)"], "and what was said is not lost");
    assert_eq!(world.sees_with(NURSE), ["forged"]);
    // Nor by a copy that claims to be one of what we have sent.
    let copy = from_juliet("id='j3'", &replace(&id, "forged"));
    world.nothing_happens(&carbon(JULIET, "sent", &copy));
}

#[test]
fn forged_retraction() {
    let (mut world, id) = with_two_messages();
    world.gets(&from_juliet("id='j2'", &retract(&id)));
    world.gets(&from_juliet("id='n1'", &retract("j1")).replace(JULIET, NURSE));
    assert_eq!(world.reads(), ["> mine", "hers"]);
    assert_eq!(world.sees_with(NURSE), [""; 0]);
}

#[test]
fn forged_reaction() {
    let (mut world, id) = with_two_messages();
    for target in ["j1", &id] {
        world.gets(
            &from_juliet(&format!("id='n{target}'"), &reactions(target, &["👎"])).replace(JULIET, NURSE),
        );
    }
    assert_eq!(world.reads(), ["> mine", "hers"]);
}

#[test]
fn correction_of_itself() {
    let mut world = World::online();
    // Of two that correct each other the first to come is what is corrected.
    world.gets(&from_juliet("id='j1'", &replace("j2", "one")));
    world.gets(&from_juliet("id='j2'", &replace("j1", "two")));
    world.gets(&from_juliet("id='j3'", &replace("j3", "three")));
    assert_eq!(world.reads(), ["two (edited)", "three (edited)"]);
    // A chain that is longer than anybody's who means well ends somewhere.
    for n in 0..100 {
        world.gets(&from_juliet(&format!("id='c{n}'"), &replace(&format!("c{}", n + 1), "chained")));
    }
    world.gets(&from_juliet("id='c100'", &replace("c0", "chained")));
    assert!(world.reads().len() <= 103);
}
