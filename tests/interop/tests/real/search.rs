//! What came from the archive is found, opened where it stands, and gone when it was deleted.

use std::time::Duration;

use interop::{Console, Kind, Options};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, peer::Peer, synced, texts};

/// More than is indexed in one go.
const MISSED: usize = 260;

fn search(console: &Console, wanted: Value) -> Value {
    console.request("search", wanted, PATIENCE).unwrap()
}

fn found(console: &Console, text: &str) -> Vec<String> {
    texts(search(console, json!({ "text": text }))["hits"].as_array().unwrap())
}

fn caught_up(console: &Console) {
    synced(console);
}

fn hit_is_opened_in_its_context_and_what_is_deleted_stays_away(kind: Kind) {
    let options = Options { hibernation: Some(Duration::from_secs(1)), ..Options::default() };
    let Some(stage) = Stage::with(kind, options) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    romeo.quit(PATIENCE).unwrap();
    // The server must have given the session up; nothing outside of it shows when it has.
    std::thread::sleep(Duration::from_secs(5));
    let mut juliet = Peer::sign_in(&stage.server, JULIET, "nest");
    for number in 0..MISSED {
        let (id, to) = (id(&format!("missed {number}")), ROMEO.0);
        juliet.say(&format!(
            "<message type='chat' to='{to}' id='{id}'><body>Nightingale number {number}: 東京 https://verona.it/{number}</body>
             <origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
        ));
    }
    juliet.settle();
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    caught_up(&romeo);
    // Killed while the index is on its way, or before, or after: each search is the same.
    let all = |romeo: &Console| {
        let (mut all, mut before) = (Vec::new(), Value::Null);
        loop {
            let wanted = json!({ "text": "\"nightingale number\" 東京", "has_link": true, "limit": 70, "before": before });
            let page = search(romeo, wanted);
            all.extend(texts(page["hits"].as_array().unwrap()));
            before = page["next"].clone();
            if before.is_null() {
                return all;
            }
        }
    };
    assert_eq!(all(&romeo).len(), MISSED);
    romeo.kill();
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    assert_eq!(all(&romeo).len(), MISSED);
    assert_eq!(found(&romeo, "number 123").len(), 1);
    assert_eq!(found(&romeo, "\"number 12\"").len(), 1);

    let hit = search(&romeo, json!({ "text": "\"number 100\"", "with": JULIET.0 }))["hits"][0].clone();
    let marked = &hit["matches"][0];
    let text = hit["text"].as_str().unwrap();
    assert_eq!(
        &text[marked[0].as_u64().unwrap() as usize..marked[1].as_u64().unwrap() as usize],
        "number 100"
    );
    let opened = json!({ "with": JULIET.0, "at": hit["id"], "limit": 5 });
    let opened = romeo.request("timeline", opened, PATIENCE).unwrap();
    let numbers = |items: &Value| -> Vec<usize> {
        let number =
            |text: &String| text.split(['r', ':']).nth(1).and_then(|number| number.trim().parse().ok());
        texts(items.as_array().unwrap()).iter().filter_map(number).collect()
    };
    assert_eq!(numbers(&opened["items"]), [98, 99, 100, 101, 102]);
    let more = romeo.request("newer", json!({ "with": JULIET.0, "limit": 3 }), PATIENCE).unwrap();
    assert_eq!(more["more"], true);
    let shows = |number: usize| {
        let text = format!("number {number}:");
        romeo
            .wait_event("an update", PATIENCE, |event| {
                event.name() == "update" && event.body.to_string().contains(&text)
            })
            .unwrap();
    };
    shows(105);
    romeo.request("older", json!({ "with": JULIET.0, "limit": 3 }), PATIENCE).unwrap();
    shows(95);

    romeo.request("delete", json!({ "message": hit["id"] }), PATIENCE).unwrap();
    assert_eq!(found(&romeo, "\"number 100\""), [""; 0]);
    assert_eq!(all(&romeo).len(), MISSED - 1);
    romeo.request("delete", json!({ "with": JULIET.0 }), PATIENCE).unwrap();
    let list = romeo.request("conversations", json!({}), PATIENCE).unwrap();
    assert_eq!(list["conversations"], json!([]));
    romeo.kill();
    std::thread::sleep(Duration::from_secs(5));
    let again = Console::start(&phone).unwrap();
    again.wait_online(PATIENCE).unwrap();
    juliet.say(&format!("<message type='chat' to='{}' id='after'><body>after</body></message>", ROMEO.0));
    again.wait_message("after", PATIENCE).unwrap();
    caught_up(&again);
    assert_eq!(texts(&again.timeline(JULIET.0, 1000, PATIENCE).unwrap()), ["after"]);
    assert_eq!(found(&again, "nightingale"), [""; 0]);
}

#[test]
fn hit_is_opened_in_its_context_and_what_is_deleted_stays_away_on_prosody_13() {
    hit_is_opened_in_its_context_and_what_is_deleted_stays_away(Kind::Prosody13);
}

#[test]
fn hit_is_opened_in_its_context_and_what_is_deleted_stays_away_on_ejabberd() {
    hit_is_opened_in_its_context_and_what_is_deleted_stays_away(Kind::Ejabberd);
}
