//! Rows of `tests/hostile.txt` that bite where sockets, threads and files are.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::Event;

/// A server that writes this for ever, and an app that goes on with what it does.
async fn flood(stanza: &str) {
    let stage = Stage::new();
    let (client, account, mut peer) = stage.online().await;
    let many = stanza.repeat(100);
    let over = Arc::new(AtomicBool::new(false));
    let flood = std::thread::spawn({
        let over = Arc::clone(&over);
        move || while !over.load(Ordering::Relaxed) && peer.try_say(&many).is_ok() {}
    });
    for number in 0..20 {
        let text = format!("message {number}");
        soon(account.send(ItemId::new(), &juliet(), &text)).await.unwrap();
        assert_eq!(account.conversations().items().unwrap().len(), 1);
        soon(account.mark_read(&juliet())).await.unwrap();
    }
    assert!(!matches!(account.status(), Status::Offline { .. }));
    // And it ends when it is told to.
    soon(client.suspend(PATIENCE)).await;
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    assert_eq!(stage.open_files(), Vec::<String>::new());
}

#[tokio::test]
async fn typing_flood() {
    flood("<message from='juliet@capulet.lit/balcony'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>").await;
}

#[tokio::test]
async fn presence_flood() {
    flood("<presence from='juliet@capulet.lit/balcony'/><presence type='unavailable' from='juliet@capulet.lit/balcony'/>").await;
}

#[tokio::test]
async fn message_flood() {
    flood(&message("again")).await;
}

#[tokio::test]
async fn iq_flood() {
    flood("<iq type='get' id='p' from='juliet@capulet.lit/balcony'><ping xmlns='urn:xmpp:ping'/></iq>").await;
}

#[tokio::test]
async fn path_in_name() {
    let stage = Stage::new();
    let client = stage.client().await;
    let names = [
        "..@x.lit",
        "con@x.lit",
        "a%2e%2e%2f@x.lit",
        "nul.txt@x.lit",
        "a\\b@x.lit",
        "~root@x.lit",
        "-rf@x.lit",
        "$home@x.lit",
    ];
    for name in names {
        let Ok(jid) = name.parse::<Address>() else { continue };
        client.add_account(jid, stage.server.connection()).await.unwrap();
    }
    for name in ["../x@y.lit", "/etc/passwd@y.lit", "a@../../y", "a@/y", "a\0b@y.lit"] {
        assert!(name.parse::<Address>().is_err(), "{name}");
    }
    // Nothing of an address is in a path, and no secret is stored under anything of it.
    let accounts = fs::read_dir(stage.dir.path().join("accounts")).unwrap();
    let mut homes: Vec<String> =
        accounts.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(homes.len() >= 6, "{homes:?}");
    homes.extend(stage.keychain.entries.lock().unwrap().keys().map(|name| match name.split_once('-') {
        Some((_, home)) => home.to_owned(),
        None => name.clone(),
    }));
    for home in homes {
        assert!(home.len() == 32 && home.bytes().all(|byte| byte.is_ascii_hexdigit()), "{home}");
    }
    let outside: Vec<_> =
        fs::read_dir(stage.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["accounts"]);
    // A file that names another account on its door is not that account's.
    let client_again = stage.client().await;
    assert_eq!(client_again.accounts().len(), client.accounts().len());
}

/// The value of an attribute in the last tag `<iq` before a needle.
fn attribute(text: &str, needle: &str, name: &str) -> String {
    let before = &text[..text.find(needle).unwrap_or_else(|| panic!("no {needle} in {text}"))];
    let tag = &before[before.rfind("<iq").unwrap()..];
    let value = &tag[tag.find(&format!(" {name}=")).unwrap() + name.len() + 2..];
    let quote = value.chars().next().unwrap();
    value[1..].split(quote).next().unwrap().to_owned()
}

fn answer(id: &str, payload: &str) -> String {
    format!("<iq type='result' id='{id}' from='romeo@montague.lit'>{payload}</iq>")
}

#[tokio::test]
async fn huge_roster() {
    let stage = Stage::new();
    let (_client, account) = stage.account().await;
    let mut events = account.events();
    let signing_in = signing_in(&account).await;
    let mut peer = stage.server.accept();
    let said = peer.log_in();
    soon(signing_in).await.unwrap().unwrap();
    let roster = attribute(&said, "jabber:iq:roster", "id");
    // A hundred thousand: more than is built of one stanza. It is said, and all else goes on.
    let items: String =
        (0..100_000).map(|n| format!("<item jid='c{n}@capulet.lit' subscription='both'/>")).collect();
    peer.say(&answer(&roster, &format!("<query xmlns='jabber:iq:roster' ver='1'>{items}</query>")));
    peer.say(&message("behind it"));
    let (mut said_so, mut arrived) = (false, false);
    while !(said_so && arrived) {
        match soon(events.next()).await.unwrap() {
            Event::TooLarge { what, size } => said_so = what == "roster" && size > 4_000_000,
            Event::Message { message, .. } => arrived = message.text == "behind it",
            Event::Offline { detail, .. } => panic!("{detail}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn bad_xml_in_archive() {
    let stage = Stage::new();
    let (_client, account) = stage.account().await;
    let mut events = account.events();
    let signing_in = signing_in(&account).await;
    // An attribute larger than can be skipped stands in the archive: the stream ends at it, each time.
    let result = |query: &str, id: &str, content: &str| {
        format!(
            "<message from='romeo@montague.lit' to='romeo@montague.lit/orchard'><result xmlns='urn:xmpp:mam:2' queryid='{query}' id='{id}'>\
             <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>\
             <message xmlns='jabber:client' type='chat' from='juliet@capulet.lit/balcony' id='{id}'><body>{id}</body>{content}</message></forwarded></result></message>"
        )
    };
    let poison = format!("<x a='{}'/>", "v".repeat(3 << 20));
    let mut ends = 0;
    // Whoever is forgotten resets the connection, and then nobody has read what ends the stream.
    let mut peers = Vec::new();
    loop {
        peers.push(stage.server.accept());
        let peer = peers.last_mut().unwrap();
        let said = peer.log_in();
        // The archive is asked before the presence if it is known, else when it is.
        let info = attribute(&said, "disco#info", "id");
        peer.say(&answer(
            &info,
            "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query>",
        ));
        let said = peer.hear("</query></iq>");
        let query = attribute(&said, "queryid", "id");
        let after = said.split("<after>").nth(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        let fin = |peer: &mut server::Peer, last: &str| {
            peer.say(&answer(&query, &format!("<fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'><first>{last}</first><last>{last}</last></set></fin>")));
        };
        match after.as_deref() {
            None => {
                ends += 1;
                assert!(ends <= 2, "it does not step past");
                peer.say(&result(&query, "first", ""));
                let _ = peer.try_say(&result(&query, "second", &poison));
                let _ = peer.try_say(&result(&query, "third", ""));
            }
            Some("second") => {
                peer.say(&result(&query, "third", ""));
                fin(peer, "third");
                peer.say(&message("live"));
                let live = async {
                    while !matches!(events.next().await, Some(Event::Message { message, .. }) if message.text == "live")
                    {
                    }
                };
                soon(live).await;
                let items = account.timeline(&juliet(), 100).unwrap().items().unwrap();
                let shown = texts(&items);
                assert_eq!(shown, ["first", "third", "live"]);
                break;
            }
            other => panic!("asked for what follows {other:?}"),
        }
    }
    assert_eq!(ends, 2);
    soon(signing_in).await.unwrap().unwrap();
}

#[tokio::test]
async fn server_that_is_not_trusted_is_tried_again_behind_a_suspension() {
    let stage = Stage::new();
    let client = stage.client().await;
    let connection = crate::Connection { certificates: None, ..stage.server.connection() };
    let account = client.add_account(romeo(), connection).await.unwrap();
    let signing_in = signing_in(&account).await;
    stage.server.accept().hear_out();
    assert!(matches!(soon(signing_in).await.unwrap(), Err(Error::Untrusted { .. })));
    soon(client.suspend(PATIENCE)).await;
    soon(client.resume()).await.unwrap();
    status_becomes(&account, |status| *status == Status::Connecting).await;
    stage.server.accept().hear_out();
    // Once, and no more.
    status_becomes(&account, |status| {
        matches!(status, Status::Offline { reason: Some(Error::Untrusted { .. }), next_attempt: None, .. })
    })
    .await;
}
