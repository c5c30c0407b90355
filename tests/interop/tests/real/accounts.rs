//! The account itself over real servers: another password, a new account with an invitation and without, and its end.

use interop::{Console, Error, Kind};
use serde_json::{Value, json};

use crate::support::{JULIET, PATIENCE, ROMEO, Stage, id, synced, texts};

/// What the console was refused with: its error, and the server's condition in words.
fn refused(result: interop::Result<Value>) -> (String, String) {
    match result {
        Err(Error::Refused { kind, text, .. }) => (kind, text),
        other => panic!("not refused: {other:?}"),
    }
}

fn password_is_changed_and_the_next_login_is_by_it_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    romeo.request("change_password", json!({ "password": "quill & ink" }), PATIENCE).unwrap();
    let told = romeo.wait_event("password", PATIENCE, |event| event.name() == "password").unwrap();
    assert_eq!(told.str("password"), "done");
    synced(&romeo);
    // As it was signed in before, a token or not.
    romeo.request("disconnect", json!({}), PATIENCE).unwrap();
    romeo.request("connect", json!({}), PATIENCE).unwrap();
    synced(&romeo);
    drop(romeo);
    // On another device only the new one counts.
    let mut tablet = stage.phone(ROMEO.0, ROMEO.1);
    tablet.data = stage.dir.path().join("tablet");
    let tablet = Console::start(&tablet).unwrap();
    tablet
        .wait_event("offline", PATIENCE, |event| {
            event.name() == "offline" && event.str("reason") == "wrong_password"
        })
        .unwrap();
    tablet.request("sign_in", json!({ "password": "quill & ink" }), PATIENCE).unwrap();
}

#[test]
fn password_is_changed_and_the_next_login_is_by_it_over_prosody_13() {
    password_is_changed_and_the_next_login_is_by_it_over(Kind::Prosody13);
}

#[test]
fn password_is_changed_and_the_next_login_is_by_it_over_prosody_0_12() {
    password_is_changed_and_the_next_login_is_by_it_over(Kind::Prosody012);
}

#[test]
fn password_is_changed_and_the_next_login_is_by_it_over_ejabberd() {
    password_is_changed_and_the_next_login_is_by_it_over(Kind::Ejabberd);
}

fn account_is_registered_and_deleted_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let console = Console::start(&stage.phone("nobody@a.test", "none")).unwrap();
    let form = console.request("register", json!({ "server": "a.test" }), PATIENCE).unwrap();
    let fields = form["form"]["fields"].as_array().unwrap();
    for name in ["username", "password"] {
        assert!(fields.iter().any(|field| field["name"] == name), "{form}");
    }
    let answers = |name: &str| json!({ "answers": { "username": name, "password": "balcony" } });
    // The name is taken: another one, on the same stream.
    let (kind, text) = refused(console.request("register", answers("alice"), PATIENCE));
    assert_eq!(kind, "server_refused");
    assert!(text.contains("conflict"), "{text}");
    let made = console.request("register", answers("tybalt"), PATIENCE).unwrap();
    assert_eq!(made["account"], "tybalt@a.test");
    synced(&console);
    console.request("delete_account", json!({}), PATIENCE).unwrap();
    // It is gone there, and its name free again.
    let again = Console::start(&stage.phone("tybalt@a.test", "balcony")).unwrap();
    again
        .wait_event("offline", PATIENCE, |event| {
            event.name() == "offline" && event.str("reason") == "wrong_password"
        })
        .unwrap();
}

#[test]
fn account_is_registered_and_deleted_over_prosody_13() {
    account_is_registered_and_deleted_over(Kind::Prosody13);
}

#[test]
fn account_is_registered_and_deleted_over_prosody_0_12() {
    account_is_registered_and_deleted_over(Kind::Prosody012);
}

#[test]
fn account_is_registered_and_deleted_over_ejabberd() {
    account_is_registered_and_deleted_over(Kind::Ejabberd);
}

/// Prosody's own invitations; ejabberd 24.12 has none.
fn invitation_makes_one_account_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let link = stage.server.invitation("a.test").unwrap();
    let console = Console::start(&stage.phone("nobody@a.test", "none")).unwrap();
    let read = console.request("uri", json!({ "uri": link }), PATIENCE).unwrap();
    let link = &read["uri"];
    assert_eq!((&link["address"], &link["action"]), (&json!("a.test"), &json!("register")), "{read}");
    let token = link["token"].as_str().unwrap();
    let (kind, _) = refused(console.request("uri", json!({ "uri": "xmpp:" }), PATIENCE));
    assert_eq!(kind, "invalid_input");
    let ask =
        |token: &str| console.request("register", json!({ "server": "a.test", "token": token }), PATIENCE);
    let (_, text) = refused(ask("made-up"));
    assert!(text.contains("invalid or expired"), "{text}");
    ask(token).unwrap();
    let answers = json!({ "answers": { "username": "rosaline", "password": "vow" } });
    let made = console.request("register", answers, PATIENCE).unwrap();
    assert_eq!(made["account"], "rosaline@a.test");
    // Used up.
    let (_, text) = refused(ask(token));
    assert!(text.contains("invalid or expired"), "{text}");
}

#[test]
fn invitation_makes_one_account_over_prosody_13() {
    invitation_makes_one_account_over(Kind::Prosody13);
}

fn server_says_what_it_is_and_links_make_friends_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    let said = romeo.request("server_info", json!({}), PATIENCE).unwrap();
    let software = if kind == Kind::Ejabberd { "ejabberd" } else { "Prosody" };
    assert_eq!(said["server"]["software"], software, "{said}");
    assert!(said["server"]["version"].is_string());
    let contacts = said["server"]["contacts"].as_array().unwrap();
    assert!(contacts.iter().any(|at| at["kind"] == "abuse" && at["uri"] == "mailto:abuse@a.test"), "{said}");
    let used = romeo.request("disk_use", json!({}), PATIENCE).unwrap();
    assert!(used["total"].as_u64() > Some(4_096), "{used}");

    // Her link, opened by him: nobody is asked.
    let made = juliet.request("invite", json!({ "name": "Juliet" }), PATIENCE).unwrap();
    let uri = made["invitation"]["uri"].as_str().unwrap();
    assert!(uri.starts_with("xmpp:bob@b.test?roster;preauth="), "{uri}");
    let read = romeo.request("uri", json!({ "uri": uri }), PATIENCE).unwrap();
    let link = &read["uri"];
    assert_eq!((&link["address"], &link["action"]), (&json!(JULIET.0), &json!("roster")), "{read}");
    let add = json!({ "jid": JULIET.0, "name": "Juliet", "token": link["token"] });
    romeo.request("add_inviter", add, PATIENCE).unwrap();
    for (console, friend) in [(&romeo, JULIET.0), (&juliet, ROMEO.0)] {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let roster = console.request("roster", json!({}), PATIENCE).unwrap();
            let contacts = roster["contacts"].as_array().cloned().unwrap_or_default();
            if contacts.iter().any(|contact| contact["jid"] == friend && contact["subscription"] == "both") {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{roster}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

#[test]
fn server_says_what_it_is_and_links_make_friends_over_prosody_13() {
    server_says_what_it_is_and_links_make_friends_over(Kind::Prosody13);
}

#[test]
fn server_says_what_it_is_and_links_make_friends_over_ejabberd() {
    server_says_what_it_is_and_links_make_friends_over(Kind::Ejabberd);
}

fn removed_account_leaves_nothing_behind_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let phone = stage.phone(ROMEO.0, ROMEO.1);
    let romeo = Console::start(&phone).unwrap();
    romeo.wait_online(PATIENCE).unwrap();
    let id = id("what is not to stay");
    romeo.send_message(JULIET.0, &id, "what is not to stay", PATIENCE).unwrap();
    synced(&romeo);
    romeo.request("remove_account", json!({}), PATIENCE).unwrap();
    assert_eq!(std::fs::read_dir(phone.data.join("accounts")).unwrap().count(), 0);
    // What a keychain would keep of it is gone as well.
    let left: Vec<_> = std::fs::read_dir(&phone.data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("installation-") || name.starts_with("database-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn removed_account_leaves_nothing_behind_over_prosody_13() {
    removed_account_leaves_nothing_behind_over(Kind::Prosody13);
}

#[test]
fn removed_account_leaves_nothing_behind_over_ejabberd() {
    removed_account_leaves_nothing_behind_over(Kind::Ejabberd);
}

fn account_is_taken_to_another_device_over(kind: Kind) {
    let Some(stage) = Stage::on(kind) else { return };
    let romeo = Console::start(&stage.phone(ROMEO.0, ROMEO.1)).unwrap();
    let juliet = Console::start(&stage.phone(JULIET.0, JULIET.1)).unwrap();
    for console in [&romeo, &juliet] {
        console.wait_online(PATIENCE).unwrap();
    }
    for number in 0..30 {
        let (from, to) = if number % 2 == 0 { (&romeo, JULIET.0) } else { (&juliet, ROMEO.0) };
        let text = format!("line {number}");
        from.send_message(to, &id(&text), &text, PATIENCE).unwrap();
        synced(from);
    }
    romeo.wait_message("line 29", PATIENCE).unwrap();
    romeo.request("edit", json!({ "message": id("line 0"), "text": "the first line" }), PATIENCE).unwrap();
    romeo.request("draft", json!({ "with": JULIET.0, "text": "not yet said" }), PATIENCE).unwrap();
    synced(&romeo);
    let file = stage.dir.path().join("romeo.xml").display().to_string();
    let held = romeo.request("export", json!({ "file": file }), PATIENCE).unwrap();
    assert_eq!(held["messages"], 31);
    // Said after the export.
    juliet.send_message(ROMEO.0, &id("since then"), "since then", PATIENCE).unwrap();
    romeo.wait_message("since then", PATIENCE).unwrap();
    let shown = |console: &Console| {
        let opened = json!({ "with": JULIET.0, "limit": 200 });
        texts(console.request("timeline", opened, PATIENCE).unwrap()["items"].as_array().unwrap())
    };

    // Another device, never online before.
    let mut tablet = stage.phone(ROMEO.0, "not the password");
    tablet.data = stage.dir.path().join("tablet");
    let tablet = Console::start(&tablet).unwrap();
    tablet.wait_event("offline", PATIENCE, |event| event.str("reason") == "wrong_password").unwrap();
    let taken = tablet.request("import", json!({ "file": file }), PATIENCE).unwrap();
    assert_eq!((&taken["imported"]["added"], &taken["imported"]["known"]), (&json!(31), &json!(0)));
    tablet.request("sign_in", json!({ "password": ROMEO.1 }), PATIENCE).unwrap();
    synced(&tablet);
    assert_eq!(shown(&tablet), shown(&romeo));
    assert_eq!(shown(&tablet)[0], "the first line");
    let again = tablet.request("import", json!({ "file": file }), PATIENCE).unwrap();
    assert_eq!(again["imported"]["added"], 0);
    assert_eq!(shown(&tablet), shown(&romeo));
    let (kind, _) = refused(juliet.request("import", json!({ "file": file }), PATIENCE));
    assert_eq!(kind, "invalid_input", "it is his");

    // A third one, that gets half of the file first.
    let half = stage.dir.path().join("half.xml").display().to_string();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let mut watch = stage.phone(ROMEO.0, "not the password");
    watch.data = stage.dir.path().join("watch");
    let watch = Console::start(&watch).unwrap();
    watch.wait_event("offline", PATIENCE, |event| event.str("reason") == "wrong_password").unwrap();
    let (kind, why) = refused(watch.request("import", json!({ "file": half }), PATIENCE));
    assert_eq!(kind, "invalid_input", "{why}");
    let rest = &watch.request("import", json!({ "file": file }), PATIENCE).unwrap()["imported"];
    let (added, known) = (rest["added"].as_u64().unwrap(), rest["known"].as_u64().unwrap());
    assert!(added + known == 31 && added > 0 && known > 0, "{rest}");
    watch.request("sign_in", json!({ "password": ROMEO.1 }), PATIENCE).unwrap();
    synced(&watch);
    assert_eq!(shown(&watch), shown(&romeo));
}

#[test]
fn account_is_taken_to_another_device_over_prosody_13() {
    account_is_taken_to_another_device_over(Kind::Prosody13);
}

#[test]
fn account_is_taken_to_another_device_over_ejabberd() {
    account_is_taken_to_another_device_over(Kind::Ejabberd);
}
