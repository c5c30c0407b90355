//! What a message of a foreign client looks like, and what a user decides about a conversation: over kills.

use interop::{Console, Kind};
use minidom::Element;
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, peer::Peer};

/// The line of a conversation in the list.
fn line(console: &Console, with: &str) -> Option<Value> {
    let list = console.request("conversations", json!({}), PATIENCE).unwrap();
    let lines = list["conversations"].as_array().cloned().unwrap_or_default();
    lines.into_iter().find(|line| line["with"] == with)
}

fn foreign_message_is_shown_with_its_styles_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "nest");
    let (to, text) = (ROMEO.0, "\u{1f339} Romeo, *see* https://b.test/tomb!");
    juliet.say(&format!(
        "<message type='chat' to='{to}' id='m1'><body>{text}</body>\
         <reference xmlns='urn:xmpp:reference:0' type='mention' begin='2' end='7' uri='xmpp:{to}'/></message>"
    ));
    romeo.wait_message(text, PATIENCE).unwrap();
    juliet.say(&format!(
        "<message type='chat' to='{to}' id='m2'><body>*no*</body><unstyled xmlns='urn:xmpp:styling:0'/></message>"
    ));
    romeo.wait_message("*no*", PATIENCE).unwrap();
    for text in ["/me waits at geo:45.4419,10.9987", "\u{1f339}\u{1f5e1}\u{fe0f}"] {
        juliet.say(&format!("<message type='chat' to='{to}'><body>{text}</body></message>"));
        romeo.wait_message(text, PATIENCE).unwrap();
    }
    // From the file, as it comes after a kill.
    romeo.kill();
    let romeo = Console::start(&phone).unwrap();
    let items = romeo.timeline(JULIET.0, 10, PATIENCE).unwrap();
    let (action, place) = (&items[2], &items[2]["spans"][0]);
    assert_eq!((&action["action"], &place["style"]), (&json!(true), &json!("location")), "{action}");
    assert_eq!(place["place"]["latitude"], json!(45.4419));
    assert_eq!((&items[3]["emoji_only"], &items[0]["emoji_only"]), (&json!(true), &Value::Null));
    let spans = items[0]["spans"].as_array().cloned().unwrap_or_default();
    let shown: Vec<_> = spans
        .iter()
        .map(|span| {
            let at = |field: &str| span[field].as_u64().unwrap() as usize;
            (&text[at("start")..at("end")], span["style"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("Romeo", "mention"),
            ("*see*", "strong"),
            ("*", "directive"),
            ("*", "directive"),
            ("https://b.test/tomb", "link")
        ]
    );
    assert_eq!((&spans[0]["whom"], &spans[4]["url"]), (&json!(to), &json!("https://b.test/tomb")));
    assert_eq!((&items[1]["text"], &items[1]["spans"]), (&json!("*no*"), &Value::Null));
    romeo.quit(PATIENCE).unwrap();
}

fn decisions_about_a_conversation_are_kept_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "nest");
    let says = |text: &str| {
        format!("<message type='chat' to='{}' id='{text}'><body>{text}</body></message>", ROMEO.0)
    };
    juliet.say(&says("one"));
    romeo.wait_message("one", PATIENCE).unwrap();
    let decide = |what: &str, fields: Value| {
        let mut fields = fields;
        fields["with"] = JULIET.0.into();
        romeo.request(what, fields, PATIENCE).unwrap();
    };
    decide("draft", json!({ "text": "two", "reply_to": "1" }));
    decide("pin", json!({}));
    decide("mute", json!({}));
    decide("archive", json!({}));
    decide("notify", json!({ "of": "on_mention" }));
    romeo.kill();

    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let kept = line(&romeo, JULIET.0).unwrap();
    assert_eq!(kept["draft"], json!({ "text": "two", "reply_to": "1" }));
    assert_eq!((&kept["pinned"], &kept["muted"]), (&json!(true), &json!(true)));
    assert_eq!((&kept["archived"], &kept["notify"]), (&json!(true), &json!("on_mention")));
    // Muted it stays archived; then a message brings it back. What is sent is no draft any more.
    juliet.say(&says("three"));
    romeo.wait_message("three", PATIENCE).unwrap();
    assert_eq!(line(&romeo, JULIET.0).unwrap()["archived"], true);
    romeo.request("mute", json!({ "with": JULIET.0, "on": false }), PATIENCE).unwrap();
    juliet.say(&says("four"));
    romeo.wait_message("four", PATIENCE).unwrap();
    romeo.send_message(JULIET.0, &id("two"), "two", PATIENCE).unwrap();
    let back = line(&romeo, JULIET.0).unwrap();
    assert_eq!(
        (&back["archived"], &back["muted"], &back["draft"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    romeo.quit(PATIENCE).unwrap();
}

/// Spoilers, threads, data that lies elsewhere, and what links lead to, from a foreign client and to it.
fn what_a_message_carries_goes_both_ways_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "nest");
    let url = "https://b.test/tomb?a=1&b=2";
    let text = format!("See {url}");
    let escaped = url.replace('&', "&amp;");
    // As the examples of XEP-0382, XEP-0201, XEP-0066 and XEP-0511 have it.
    juliet.say(&format!(
        "<message type='chat' to='{}' id='m1'><body>See {escaped}</body><spoiler xmlns='urn:xmpp:spoiler:0'>the &lt;end&gt;</spoiler>\
         <thread parent='act-1'>act-5</thread><x xmlns='jabber:x:oob'><url>{escaped}</url><desc>A tomb</desc></x>\
         <rdf:Description xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:og='https://ogp.me/ns#' rdf:about='{escaped}'>\
         <og:title>Tomb</og:title><og:description>of the Capulets</og:description><og:url>{escaped}</og:url><og:image>https://b.test/t.png</og:image>\
         <og:site_name>Verona</og:site_name></rdf:Description></message>",
        ROMEO.0
    ));
    let came = romeo.wait_message(&text, PATIENCE).unwrap().body;
    let links = json!([{ "url": url, "description": "A tomb" }]);
    let previews = json!([{
        "url": url, "title": "Tomb", "description": "of the Capulets", "site": "Verona", "images": ["https://b.test/t.png"],
    }]);
    assert_eq!(
        (&came["spoiler"], &came["thread"]),
        (&json!("the <end>"), &json!({ "id": "act-5", "parent": "act-1" }))
    );
    assert_eq!((&came["links"], &came["previews"]), (&links, &previews));

    let said = json!({
        "to": JULIET.0, "text": text, "spoiler": "the <end>", "thread": came["thread"], "links": links, "previews": previews,
        "mentions": [{ "start": 0, "end": 3, "whom": JULIET.0 }],
    });
    romeo.request("send", said, PATIENCE).unwrap();
    let heard = juliet.hear("</message>");
    let heard = heard[heard.find("<message").unwrap()..].split_inclusive("</message>").next().unwrap();
    // A server may write quotes, prefixes and the order of attributes as it likes.
    let element: Element = format!("<x xmlns='jabber:client'>{heard}</x>").parse().unwrap();
    let message = element.children().next().unwrap();
    let child =
        |name: &str, ns: &str| message.get_child(name, ns).unwrap_or_else(|| panic!("no {name} in {heard}"));
    assert_eq!(child("body", "jabber:client").text(), text);
    assert_eq!(child("spoiler", "urn:xmpp:spoiler:0").text(), "the <end>");
    let thread = child("thread", "jabber:client");
    assert_eq!((thread.text().as_str(), thread.attr("parent")), ("act-5", Some("act-1")));
    let named = child("reference", "urn:xmpp:reference:0");
    let named = ["type", "begin", "end", "uri"].map(|part| named.attr(part).unwrap_or_default());
    assert_eq!(named, ["mention", "0", "3", &format!("xmpp:{}", JULIET.0)]);
    let data = child("x", "jabber:x:oob");
    let part = |name| data.get_child(name, "jabber:x:oob").unwrap().text();
    assert_eq!((part("url").as_str(), part("desc").as_str()), (url, "A tomb"));
    let about = child("Description", "http://www.w3.org/1999/02/22-rdf-syntax-ns#");
    let part = |name| about.get_child(name, "https://ogp.me/ns#").unwrap().text();
    assert_eq!((part("title").as_str(), part("site_name").as_str()), ("Tomb", "Verona"));
    assert!(
        about.attrs().iter().any(|((_, name), value)| name.as_str() == "about" && value == url),
        "{heard}"
    );
    romeo.quit(PATIENCE).unwrap();
}

#[test]
fn foreign_message_is_shown_with_its_styles_over_prosody_13() {
    foreign_message_is_shown_with_its_styles_over(Kind::Prosody13);
}

#[test]
fn foreign_message_is_shown_with_its_styles_over_ejabberd() {
    foreign_message_is_shown_with_its_styles_over(Kind::Ejabberd);
}

#[test]
fn decisions_about_a_conversation_are_kept_over_prosody_13() {
    decisions_about_a_conversation_are_kept_over(Kind::Prosody13);
}

#[test]
fn decisions_about_a_conversation_are_kept_over_ejabberd() {
    decisions_about_a_conversation_are_kept_over(Kind::Ejabberd);
}

#[test]
fn what_a_message_carries_goes_both_ways_over_prosody_13() {
    what_a_message_carries_goes_both_ways_over(Kind::Prosody13);
}

#[test]
fn what_a_message_carries_goes_both_ways_over_ejabberd() {
    what_a_message_carries_goes_both_ways_over(Kind::Ejabberd);
}
