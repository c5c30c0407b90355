//! Pictures, names, and how somebody is there (XEP-0084, 0153, 0172, 0319).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sha1::{Digest as _, Sha1};

use super::{
    pubsub::{event, path},
    *,
};
use crate::{
    api::{Contact, Picture, Presence, Show},
    person, roster,
};

fn sha1(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn metadata(from: &str, hash: &str) -> String {
    event(from, ns::AVATAR_METADATA, &naming(hash))
}

fn naming(hash: &str) -> String {
    let info = format!("<info id='{hash}' bytes='5' type='image/png'/>");
    format!("<item id='{hash}'><metadata xmlns='urn:xmpp:avatar:metadata'>{info}</metadata></item>")
}

/// The same, as an answer.
fn named(hash: &str) -> String {
    format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:metadata'>{}</items></pubsub>",
        naming(hash)
    )
}

fn data(hash: &str, bytes: &[u8]) -> String {
    let data = BASE64.encode(bytes);
    format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'><item id='{hash}'><data xmlns='urn:xmpp:avatar:data'>{data}</data></item></items></pubsub>"
    )
}

fn there(device: &str, content: &str) -> String {
    format!("<presence from='{JULIET}/{device}'>{content}</presence>")
}

impl World {
    fn juliet(&self) -> Contact {
        roster::contacts(&self.file()).unwrap().into_iter().find(|contact| contact.jid == juliet()).unwrap()
    }

    fn picture(&self, hash: &str) -> Option<Picture> {
        person::avatar(&self.file(), hash).unwrap()
    }
}

#[test]
fn picture_is_fetched_when_it_is_named_and_kept_by_its_hash() {
    let mut world = World::with_nodes();
    let hash = sha1(b"photo");
    world.gets(&metadata(JULIET, &hash));
    world.gets(&metadata(JULIET, &hash));
    // Nothing is to be shown yet.
    assert_eq!((world.juliet().avatar, world.picture(&hash)), (None, None));
    let iq = world.answers(&data(&hash, b"photo"));
    assert_eq!((path(&iq).as_str(), iq.attr("to")), ("get pubsub items item", Some(JULIET)));
    let picture = Picture { kind: "image/png".into(), bytes: b"photo".to_vec() };
    assert_eq!((world.juliet().avatar.as_ref(), world.picture(&hash)), (Some(&hash), Some(picture)));
    // It is here: nobody is asked again, also not for somebody else who has the same.
    world.gets(&metadata(JULIET, &hash));
    world.gets(&metadata(OWN, &hash));
    assert!(world.all("iq").is_empty());
    world.gets(&event(
        JULIET,
        ns::AVATAR_METADATA,
        "<item id='x'><metadata xmlns='urn:xmpp:avatar:metadata'/></item>",
    ));
    assert_eq!(world.juliet().avatar, None);
}

#[test]
fn picture_that_was_named_without_room_is_fetched_when_there_is() {
    for killed in [false, true] {
        let mut world = World::with_nodes();
        for n in 0..25 {
            world.gets(&metadata(JULIET, &sha1(&[n])));
        }
        assert_eq!(world.count("SELECT count(*) FROM pending"), 20);
        let last = sha1(&[24]);
        let is_asked = |world: &World| world.wrote.iter().any(|iq| String::from(iq).contains(&last));
        assert!(!is_asked(&world));
        if killed {
            world.acknowledge();
            let asked = std::mem::take(&mut world.wrote);
            world.kill();
            world.reconnect(Resume::Accept);
            world.wrote = asked;
        }
        world.refuses("item-not-found");
        assert!(is_asked(&world));
        for _ in 0..20 {
            world.refuses("item-not-found");
        }
        world.acknowledge();
        assert!(world.all("iq").is_empty(), "once in a session");
    }
}

#[test]
fn picture_of_a_vcard_counts_where_there_is_no_node() {
    let mut world = World::with_nodes();
    let (old, new) = (sha1(b"old"), sha1(b"new"));
    let photo = |hash: &str| format!("<x xmlns='vcard-temp:x:update'><photo>{hash}</photo></x>");
    // Software that has just logged in says who is there, and only then that there is a picture.
    world.gets(&there("balcony", "<x xmlns='vcard-temp:x:update'/>"));
    world.gets(&there("balcony", &photo(&old)));
    let vcard = format!(
        "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/jpeg</TYPE><BINVAL>{}\n</BINVAL></PHOTO></vCard>",
        BASE64.encode("old")
    );
    assert_eq!(path(&world.answers(&vcard)), "get vCard");
    assert_eq!(world.picture(&old).unwrap().kind, "image/jpeg");
    assert_eq!(world.juliet().avatar, Some(old.clone()));
    world.gets(&metadata(JULIET, &new));
    world.answers(&data(&new, b"new"));
    // Her node is asked whether it still says so, and not again.
    world.gets(&there("balcony", &format!("<show>away</show>{}", photo(&old))));
    assert_eq!(path(&world.answers(&named(&new))), "get pubsub items");
    world.gets(&there("balcony", &photo(&old)));
    assert_eq!(world.juliet().avatar, Some(new));
    assert!(world.all("iq").is_empty());
}

/// Conversations deletes both nodes, and other software takes the item back.
#[test]
fn picture_and_name_are_gone_with_their_nodes() {
    for gone in ["delete", "purge", "retract"] {
        let mut world = World::with_nodes();
        let hash = sha1(b"photo");
        world.gets(&metadata(OWN, &hash));
        world.answers(&data(&hash, b"photo"));
        world.gets(&metadata(JULIET, &hash));
        let own = |world: &World| {
            world.count("SELECT count(*) FROM person WHERE jid = 'romeo@montague.lit' AND avatar IS NOT NULL")
        };
        assert_eq!((world.juliet().avatar.as_ref(), own(&world)), (Some(&hash), 1));
        let tells = |from: &str, node: &str| {
            if gone == "retract" {
                return event(from, node, &format!("<retract id='{hash}'/>"));
            }
            event(from, node, "").replace("items", gone)
        };
        world.gets(&tells("stranger@verona.lit", ns::AVATAR_METADATA));
        world.gets(&event(JULIET, ns::AVATAR_METADATA, "<retract id='another'/>"));
        assert_eq!(world.juliet().avatar, Some(hash.clone()));
        world.gets(&tells(JULIET, ns::AVATAR_METADATA));
        world.gets(&tells(OWN, ns::AVATAR_METADATA));
        assert_eq!((world.juliet().avatar, own(&world)), (None, 0), "{gone}");
        // What her presence says counts again.
        world.gets(&there("balcony", &format!("<x xmlns='vcard-temp:x:update'><photo>{hash}</photo></x>")));
        assert_eq!(world.juliet().avatar, Some(hash.clone()), "{gone}");
        world.gets(&tells(JULIET, ns::AVATAR_METADATA));
        assert_eq!(world.juliet().avatar, Some(hash.clone()), "her node says nothing of that");
        world.gets(&event(
            JULIET,
            ns::NICK,
            "<item id='1'><nick xmlns='http://jabber.org/protocol/nick'>Julia</nick></item>",
        ));
        world.gets(&event(JULIET, ns::NICK, "").replace("items", "delete"));
        assert_eq!(world.juliet().nickname, None);
    }
}

/// ejabberd tells nobody of a node that was deleted, but for the presence.
#[test]
fn picture_that_a_presence_does_not_show_is_looked_for_in_its_node_once_a_session() {
    let (old, new) = (sha1(b"old"), sha1(b"new"));
    let shows =
        |hash: &str| there("balcony", &format!("<x xmlns='vcard-temp:x:update'><photo>{hash}</photo></x>"));
    let with_old = || {
        let mut world = World::with_nodes();
        world.gets(&metadata(JULIET, &old));
        world.answers(&data(&old, b"old"));
        world.gets(&shows(&old));
        assert!(world.all("iq").is_empty(), "both say the same");
        world
    };
    let mut world = with_old();
    world.gets(&shows(""));
    world.gets(&shows(""));
    let asked = world.refuses("item-not-found");
    assert_eq!((path(&asked).as_str(), asked.attr("to")), ("get pubsub items", Some(JULIET)));
    assert_eq!(world.juliet().avatar, None);
    // There it is another one by now; or it is nowhere but in the presence.
    let mut world = with_old();
    world.gets(&shows(&new));
    world.answers(&named(&new));
    assert_eq!(path(&world.answers(&data(&new, b"new"))), "get pubsub items item");
    assert_eq!(world.juliet().avatar, Some(new.clone()));
    let mut world = with_old();
    world.gets(&shows(&new));
    world.answers(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:metadata'/></pubsub>",
    );
    assert_eq!(path(&world.next("iq")), "get vCard");
    // Who does not let us see it is asked once, and keeps what they had.
    let mut world = with_old();
    world.gets(&shows(&new));
    world.refuses("forbidden");
    world.gets(&shows(""));
    assert!(world.all("iq").is_empty());
    assert_eq!(world.juliet().avatar, Some(old.clone()));
    world.away_and_back();
    world.serve();
    world.gets(&shows(""));
    assert_eq!(path(&world.refuses("item-not-found")), "get pubsub items");
    assert_eq!(world.juliet().avatar, None);
}

#[test]
fn picture_that_a_vcard_does_not_have_is_fetched_once_in_a_session() {
    let hash = sha1(b"photo");
    let shows = there("balcony", &format!("<x xmlns='vcard-temp:x:update'><photo>{hash}</photo></x>"));
    let other =
        "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>eA==</BINVAL></PHOTO></vCard>";
    let refusals = ["item-not-found", "not-allowed", "resource-constraint"];
    let answers = [other, "<vCard xmlns='vcard-temp'/>"].map(Ok).into_iter().chain(refusals.map(Err));
    for answer in answers {
        let mut world = World::with_nodes();
        for _ in 0..3 {
            world.gets(&shows);
        }
        match answer {
            Ok(vcard) => assert_eq!(path(&world.answers(vcard)), "get vCard"),
            Err(condition) => assert_eq!(path(&world.refuses(condition)), "get vCard"),
        }
        world.gets(&shows);
        assert!(world.all("iq").is_empty(), "{answer:?}");
        // Another one, of hers; and the same of somebody else, who may have it.
        world.gets(&shows.replace(&hash, &sha1(b"new")));
        assert_eq!(path(&world.refuses("item-not-found")), "get vCard");
        world.gets("<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='nurse@capulet.lit' subscription='both'/></query></iq>");
        world.all("iq");
        world.acknowledge();
        world.gets(&shows.replace(JULIET, "nurse@capulet.lit"));
        assert_eq!(path(&world.refuses("item-not-found")), "get vCard");
        world.away_and_back();
        world.serve();
        world.gets(&shows);
        assert_eq!(path(&world.next("iq")), "get vCard", "the next session tries again");
    }
}

#[test]
fn picture_of_who_cannot_be_reached_is_asked_for_when_they_show_it_again() {
    let shows =
        there("balcony", &format!("<x xmlns='vcard-temp:x:update'><photo>{}</photo></x>", sha1(b"photo")));
    let mut world = World::with_nodes();
    for _ in 0..3 {
        world.gets(&shows);
        assert_eq!(path(&world.refuses("remote-server-timeout")), "get vCard");
    }
}

#[test]
fn own_picture_and_name_are_shown_once_there_is_a_session() {
    let mut world = World::with_nodes();
    world.cut();
    let picture = Picture { kind: "image/png".into(), bytes: b"mine".to_vec() };
    assert_eq!(world.does(Command::SetAvatar { picture: Some(picture.clone()) }), Some(Ok(Reply::Done)));
    assert_eq!(world.does(Command::SetNickname { name: "Montague".into() }), Some(Ok(Reply::Done)));
    world.kill();
    world.reconnect(Resume::Refuse);
    let published: Vec<Element> =
        world.all("iq").into_iter().filter(|iq| path(iq).starts_with("set pubsub publish")).collect();
    let paths: Vec<String> = published.iter().map(path).collect();
    assert_eq!(
        paths,
        [
            "set pubsub publish item data",
            "set pubsub publish item metadata info",
            "set pubsub publish item nick"
        ]
    );
    assert_eq!(world.picture(&sha1(b"mine")), Some(picture.clone()));
    for bad in [
        Picture { bytes: Vec::new(), ..picture.clone() },
        Picture { kind: "text/html".into(), ..picture.clone() },
        Picture { bytes: vec![0; 300_000], ..picture },
    ] {
        assert!(matches!(
            world.does(Command::SetAvatar { picture: Some(bad) }),
            Some(Err(Error::InvalidInput { .. }))
        ));
    }
}

/// What is published in these nodes, by where, as it was written last.
fn shown(world: &World) -> Vec<String> {
    let published = world.wrote.iter().filter(|stanza| path(stanza).starts_with("set pubsub publish item "));
    published.map(path).collect()
}

#[test]
fn name_that_nobody_answered_is_said_again() {
    let mut world = World::with_nodes();
    world.does(Command::SetNickname { name: "Romeo".into() });
    assert_eq!(path(&world.next("iq")), "set pubsub publish item nick");
    world.pass_online(70_000);
    assert!(shown(&world).is_empty(), "not before ten minutes are over");
    world.pass_online(600_000);
    assert_eq!(shown(&world), ["set pubsub publish item nick"]);
    world.wrote.clear();
    // The server has read it, and its answer goes with the session.
    world.acknowledge();
    world.away_and_back();
    while let Some(iq) = world.serve_one() {
        if path(&iq).starts_with("set pubsub publish item nick") {
            return;
        }
    }
    panic!("it is said again");
}

#[test]
fn name_that_nobody_answered_is_not_said_again_behind_another_one() {
    let mut world = World::with_nodes();
    world.does(Command::SetNickname { name: "Romeo".into() });
    world.next("iq");
    world.pass_online(70_000);
    world.does(Command::SetNickname { name: "Montague".into() });
    let iq = world.answers("");
    assert!(String::from(&iq).contains("Montague"));
    world.pass_online(1_300_000);
    assert!(shown(&world).is_empty());
}

#[test]
fn picture_of_which_nobody_answered_the_data_is_named_again_behind_it() {
    let mut world = World::with_nodes();
    let picture = Picture { kind: "image/png".into(), bytes: b"mine".to_vec() };
    world.does(Command::SetAvatar { picture: Some(picture) });
    assert_eq!(path(&world.next("iq")), "set pubsub publish item data");
    assert_eq!(path(&world.answers("")), "set pubsub publish item metadata info");
    world.pass_online(70_000);
    world.pass_online(600_000);
    let both = ["set pubsub publish item data", "set pubsub publish item metadata info"];
    assert_eq!(shown(&world), both);
}

#[test]
fn picture_that_was_taken_back_stays_so_whatever_was_not_answered_before() {
    let mut world = World::with_nodes();
    let picture = Picture { kind: "image/png".into(), bytes: b"mine".to_vec() };
    world.does(Command::SetAvatar { picture: Some(picture) });
    world.cut();
    world.does(Command::SetAvatar { picture: None });
    world.kill();
    world.reconnect(Resume::Refuse);
    assert_eq!(shown(&world), ["set pubsub publish item metadata"]);
}

#[test]
fn name_that_somebody_has_is_shown_where_the_user_gave_none() {
    let mut world = World::with_nodes();
    world.gets(&live(1));
    let nick = |name: &str| {
        event(
            JULIET,
            ns::NICK,
            &format!("<item id='1'><nick xmlns='http://jabber.org/protocol/nick'>{name}</nick></item>"),
        )
    };
    let shown = |world: &World| timeline::conversations(&world.file()).unwrap()[0].name.clone();
    assert_eq!(shown(&world), "juliet");
    world.gets(&nick(" Ju\u{202e}lia\n "));
    assert_eq!((shown(&world), world.juliet().nickname), ("Julia".into(), Some("Julia".into())));
    world.gets(&format!("<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='{JULIET}' name='Mine' subscription='both'/></query></iq>"));
    assert_eq!(shown(&world), "Mine");
    world.gets(&nick("\u{200b}"));
    assert_eq!(world.juliet().nickname, None);
}

#[test]
fn devices_of_a_contact_are_one_presence() {
    let mut world = World::online();
    let seen = |world: &World| world.juliet().presence;
    let with = |show, text: Option<&str>, idle_since| {
        Some(Presence { show, text: text.map(str::to_owned), idle_since })
    };
    assert_eq!((seen(&world), world.juliet().available), (None, false));
    world.gets(&there(
        "phone",
        "<show>xa</show><status>asleep</status><idle xmlns='urn:xmpp:idle:1' since='2026-11-01T10:00:00Z'/>",
    ));
    let idle = stamp::parse("2026-11-01T10:00:00Z");
    assert_eq!(seen(&world), with(Show::ExtendedAway, Some("asleep"), idle));
    // Of the same priority, the one that is there more; and somebody looks at it.
    world.gets(&there("desk", "<status>here</status>"));
    assert_eq!(seen(&world), with(Show::Available, Some("here"), None));
    world.gets(&there("phone", "<show>dnd</show><priority>5</priority>"));
    assert_eq!(seen(&world), with(Show::DoNotDisturb, None, None));
    world.gets(&there("phone", "<show>busy</show><priority>1000</priority>"));
    assert_eq!(seen(&world).unwrap().show, Show::Available);
    world.gets(&format!("<presence type='unavailable' from='{JULIET}'/>"));
    assert_eq!(seen(&world), None);
}

mod hostile {
    use super::*;

    #[test]
    fn avatar_bomb() {
        let mut world = World::with_nodes();
        let hash = sha1(b"photo");
        // Another picture than was promised, none, one that cannot be read.
        for content in [
            data(&hash, b"other"),
            data(&hash, b""),
            data(&hash, b"x").replace("</data>", "%</data>"),
            String::new(),
        ] {
            world.gets(&metadata(JULIET, &hash));
            world.answers(&content);
            assert_eq!(world.picture(&hash), None);
        }
        // Too large, of somebody else, no hash, lying elsewhere: nobody is asked.
        for xml in [
            metadata(JULIET, &hash).replace("bytes='5'", "bytes='2000000'"),
            metadata("tybalt@capulet.lit", &hash),
            metadata("juliet@capulet.lit/balcony", &hash),
            metadata(JULIET, "../../etc/passwd"),
            metadata(JULIET, &hash).replace("<info", "<info url='http://capulet.lit/x'"),
        ] {
            world.gets(&xml);
        }
        assert!(world.all("iq").is_empty());
        // As many as she likes: some at a time.
        for n in 0..200 {
            world.gets(&metadata(JULIET, &sha1(format!("{n}").as_bytes())));
        }
        assert!(world.count("SELECT count(*) FROM pending") <= 21);
        assert_eq!(world.count("SELECT count(*) FROM avatar"), 0);
    }

    #[test]
    fn avatar_bomb_of_many_pictures_drives_out_the_oldest_and_ends() {
        let mut world = World::with_nodes();
        // As many as are kept, and one more.
        let kept = "INSERT INTO avatar (hash, kind, bytes, used_at)
            WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 32)
            SELECT value, 'image/png', zeroblob(1048576), value FROM n";
        world.engine.as_ref().unwrap().connection().execute(kept, []).unwrap();
        let hash = sha1(b"photo");
        world.gets(&metadata(JULIET, &hash));
        world.answers(&data(&hash, b"photo"));
        assert_eq!(world.count("SELECT count(*) FROM avatar"), 32);
        assert_eq!(world.count("SELECT min(used_at) FROM avatar"), 2);
        assert!(world.picture(&hash).is_some());
    }
}
