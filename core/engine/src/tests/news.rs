//! What a push has woken the device for.

use super::*;

/// Another device of ours has sent this to Juliet.
fn sent_by_tablet(content: &str) -> String {
    let inner =
        format!("<message xmlns='jabber:client' from='{OWN}/tablet' to='{JULIET}'>{content}</message>");
    carbon(OWN, "sent", &inner)
}

fn news(world: &mut World) -> (Vec<String>, Vec<ItemId>, u64) {
    match world.does(Command::News) {
        Some(Ok(Reply::News(news))) => {
            (news.notify.into_iter().map(|message| message.text).collect(), news.withdraw, news.unread)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn news_is_told_once_and_taken_back_when_it_was_read_elsewhere() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>seen in the app</body>"));
    world.does(Command::Suspend { seen: true });
    world.kill();
    world.reconnect(Resume::Accept);
    assert_eq!(news(&mut world), (vec![], vec![], 1));
    world.gets(&from_juliet("id='j2'", "<body>two</body>"));
    world.gets(&from_juliet("id='j3'", "<body>three</body>"));
    assert_eq!(news(&mut world), (vec!["two".to_owned(), "three".to_owned()], vec![], 3));
    world.kill();
    world.reconnect(Resume::Accept);
    assert_eq!(news(&mut world), (vec![], vec![], 3), "told before the kill");
    // The tablet has seen the first two, and a fourth comes.
    world.gets(&sent_by_tablet("<displayed xmlns='urn:xmpp:chat-markers:0' id='j2'/>"));
    world.gets(&from_juliet("id='j4'", "<body>four</body>"));
    let file = world.file();
    let mut statement = file.prepare("SELECT CAST(id AS TEXT) FROM message ORDER BY id").unwrap();
    let ids = statement.query_map([], |row| row.get(0).map(ItemId)).unwrap();
    let ids: Vec<ItemId> = ids.collect::<rusqlite::Result<_>>().unwrap();
    assert_eq!(news(&mut world), (vec!["four".to_owned()], vec![ids[1].clone(), ids[0].clone()], 2));
    // What is read before anybody was told of it is nothing to notify of, and nothing to take back.
    world.gets(&from_juliet("id='j5'", "<body>five</body>"));
    world.gets(&sent_by_tablet("<displayed xmlns='urn:xmpp:chat-markers:0' id='j5'/>"));
    assert_eq!(news(&mut world), (vec![], vec![ids[3].clone(), ids[2].clone()], 0));
}

#[test]
fn of_a_long_text_the_beginning_is_told() {
    let mut world = World::online();
    let text = format!("*But* soft {} *light*", "\u{1f339}".repeat(10_000));
    world.gets(&from_juliet("id='j1'", &format!("<body>{text}</body>")));
    let Some(Ok(Reply::News(news))) = world.does(Command::News) else { panic!("no news") };
    let told = &news.notify[0];
    assert!(
        told.text.len() < 4_200 && told.text.starts_with("*But* soft \u{1f339}") && told.text.ends_with('…')
    );
    assert!(!told.spans.is_empty() && told.spans.iter().all(|span| span.range.end < told.text.len()));
}

#[test]
fn of_a_long_quotation_the_beginning_is_told_and_of_links_the_first() {
    let mut world = World::online();
    let quoted = format!("&gt; {}\n", "x".repeat(50_000));
    let links = "<x xmlns='jabber:x:oob'><url>https://capulet.lit/</url></x>".repeat(3);
    world.gets(&from_juliet(
        "id='j1'",
        &format!(
            "<body>{quoted}yes</body>{links}<reply xmlns='urn:xmpp:reply:0' id='j0' to='{OWN}'/>
             <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='50003'/></fallback>"
        ),
    ));
    let Some(Ok(Reply::News(news))) = world.does(Command::News) else { panic!("no news") };
    let told = &news.notify[0];
    assert_eq!((told.text.as_str(), told.links.len()), ("yes", 1));
    assert!(told.reply.as_ref().unwrap().quote.as_ref().unwrap().len() < 4_200);
}

#[test]
fn what_came_behind_the_news_of_a_wake_up_is_told_by_the_next_one() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>one</body>"));
    assert_eq!(news(&mut world), (vec!["one".to_owned()], vec![], 1));
    world.gets(&from_juliet("id='j2'", "<body>two</body>"));
    world.does(Command::Suspend { seen: false });
    world.kill();
    assert_eq!(news(&mut world), (vec!["two".to_owned()], vec![], 2));
}

#[test]
fn what_was_written_long_before_the_account_was_here_is_no_news() {
    let mut world = World::online();
    // By a clock that was ahead then: what comes now is news all the same.
    let ahead = "UPDATE account SET created_at = 4000000000000";
    world.engine.as_ref().unwrap().connection().execute(ahead, []).unwrap();
    let years_old = "<body>old</body><delay xmlns='urn:xmpp:delay' from='romeo@montague.lit' stamp='2016-01-01T00:00:00Z'/>";
    world.gets(&from_juliet("id='j1'", years_old));
    let notifies = world.events.iter().any(|event| matches!(event, Event::Message { notify: true, .. }));
    assert!(!notifies && !world.sees().is_empty());
    assert_eq!(news(&mut world), (vec![], vec![], 1));
    world.gets(&from_juliet("id='j2'", "<body>new</body>"));
    assert_eq!(news(&mut world), (vec!["new".to_owned()], vec![], 2));
}

#[test]
fn what_is_read_in_the_app_is_not_told_to_be_taken_back() {
    let mut world = World::online();
    world.gets(&from_juliet("id='j1'", "<body>one</body>"));
    world.does(Command::MarkRead { with: juliet() });
    world.does(Command::Suspend { seen: true });
    world.kill();
    assert_eq!(news(&mut world), (vec![], vec![], 0));
}
