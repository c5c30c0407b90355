//! Cards over real servers (XEP-0292, XEP-0054).

use std::{
    thread,
    time::{Duration, Instant},
};

use interop::{Console, Kind};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, befriend, peer::Peer, synced};

/// Waits until somebody's card is read so.
fn until_read(console: &Console, of: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = console.request("card", json!({ "jid": of }), PATIENCE).unwrap();
        if is_so(&answer["card"]) {
            return answer["card"].clone();
        }
        assert!(Instant::now() < deadline, "{answer}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn cards_are_read_and_written_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    let set = |audience: &str, card: Value| {
        juliet.request("set_card", json!({ "card": card, "audience": audience }), PATIENCE).unwrap();
        synced(&juliet);
    };
    let line = |value: &str| json!([{ "value": value, "kinds": ["work"], "preferred": false }]);
    let name = "Juliet <Capulet>";
    set("contacts", json!({ "full_name": name, "telephones": line("+39-045-1"), "birthday": "1580-07-31" }));
    // To a stranger she says nothing.
    assert_eq!(until_read(&romeo, JULIET.0, |_| true)["full_name"], Value::Null);
    befriend(&romeo, &juliet);
    let card = until_read(&romeo, JULIET.0, |card| card["full_name"] == name);
    assert_eq!((&card["telephones"], &card["birthday"]), (&line("+39-045-1"), &json!("1580-07-31")));

    // Then to everybody, and to old software, too; what it had put there stays.
    let mut old = Peer::sign_in(&stage.server, JULIET, "nest");
    set("everybody", json!({ "full_name": name, "note": "by any other name", "emails": line("j@b.test") }));
    old.say("<iq type='get' id='v1'><vCard xmlns='vcard-temp'/></iq>");
    let answer = old.hear("</vCard>");
    assert!(
        answer.contains("<FN>Juliet &lt;Capulet&gt;</FN>") && answer.contains("by any other name"),
        "{answer}"
    );
    let card = until_read(&romeo, JULIET.0, |card| card["note"] == "by any other name");
    assert_eq!((&card["emails"], &card["telephones"]), (&line("j@b.test"), &json!([])));

    // Kept, for whoever is offline.
    romeo.request("disconnect", json!({}), PATIENCE).unwrap();
    assert!(romeo.request("card", json!({ "jid": JULIET.0 }), PATIENCE).is_err());
    let kept = romeo.request("known_card", json!({ "jid": JULIET.0 }), PATIENCE).unwrap();
    assert_eq!(kept["card"], card);
}

#[test]
fn cards_are_read_and_written_over_prosody_13() {
    cards_are_read_and_written_over(Kind::Prosody13);
}

#[test]
fn cards_are_read_and_written_over_ejabberd() {
    cards_are_read_and_written_over(Kind::Ejabberd);
}
