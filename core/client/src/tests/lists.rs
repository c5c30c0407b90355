//! Folding updates gives what a query gives, whatever happens between two of them.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{Address, Connection, Delete, Draft, Search, Subscription, Timeline, apply};

/// A listener as an app has one: its list, and the last update that it applied.
struct Listener {
    updates: Subscription<Item>,
    seq: u64,
    list: Vec<Item>,
}

impl Listener {
    fn new(timeline: &Timeline) -> Self {
        Self { updates: timeline.subscribe(), seq: 0, list: Vec::new() }
    }

    async fn pull(&mut self) {
        let update = soon(self.updates.next(self.seq)).await.unwrap();
        self.seq = update.seq;
        apply(&mut self.list, &update.splices);
    }

    /// An update that was made and never arrived.
    async fn lose_one(&self) {
        soon(self.updates.next(self.seq)).await.unwrap();
    }
}

async fn waits(mut next: Pin<&mut impl Future>) -> bool {
    poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending())).await
}

async fn say(account: &Account, text: &str) {
    account.send(ItemId::new(), &juliet(), text).await.unwrap();
}

#[tokio::test]
async fn update_that_was_lost_comes_again_whatever_happens_meanwhile() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let timeline = account.timeline(&juliet(), 50).unwrap();
    let mut listener = Listener::new(&timeline);
    listener.pull().await;
    for round in 0..6 {
        say(&account, "But soft").await;
        listener.lose_one().await;
        if round % 2 == 0 {
            // Asked for again while there is nothing to read from.
            soon(client.suspend(PATIENCE)).await;
            for _ in 0..2 {
                let mut next = pin!(listener.updates.next(listener.seq));
                assert!(waits(next.as_mut()).await);
            }
            soon(client.resume()).await.unwrap();
        }
        if round % 3 == 0 {
            say(&account, "what light").await;
            listener.lose_one().await;
        }
        listener.pull().await;
        assert_eq!(listener.list, timeline.items().unwrap(), "round {round}");
    }
}

#[tokio::test]
async fn call_that_a_cancelled_listener_left_behind_takes_no_change_away() {
    let stage = Stage::new();
    let (_client, account) = stage.account().await;
    let timeline = account.timeline(&juliet(), 50).unwrap();
    let updates = timeline.subscribe();
    let first = soon(updates.next(0)).await.unwrap();
    let mut list = Vec::new();
    apply(&mut list, &first.splices);
    let (mut left_behind, mut next) = (pin!(updates.next(first.seq)), pin!(updates.next(first.seq)));
    assert!(waits(left_behind.as_mut()).await && waits(next.as_mut()).await);
    say(&account, "But soft").await;
    let had = soon(next).await.unwrap();
    apply(&mut list, &had.splices);
    say(&account, "what light").await;
    let left_behind = soon(left_behind).await;
    apply(&mut list, &soon(updates.next(had.seq)).await.unwrap().splices);
    assert_eq!(list, timeline.items().unwrap());
    assert_eq!(left_behind, Err(Error::Closed), "nobody is there to have it");
}

#[tokio::test]
async fn listener_may_start_over_and_another_one_does_not_mind() {
    let stage = Stage::new();
    let (_client, account) = stage.account().await;
    let timeline = account.timeline(&juliet(), 50).unwrap();
    let (mut one, mut other) = (Listener::new(&timeline), Listener::new(&timeline));
    for _ in 0..3 {
        say(&account, "But soft").await;
        one.pull().await;
        other.pull().await;
    }
    let had = one.seq;
    (one.seq, one.list) = (0, Vec::new());
    one.pull().await;
    assert_eq!(one.list, timeline.items().unwrap());
    assert!(matches!(one.updates.next(had).await, Err(Error::InvalidInput { .. })), "that list is gone");
    say(&account, "what light").await;
    one.pull().await;
    other.pull().await;
    assert_eq!((one.list, other.list), (timeline.items().unwrap(), timeline.items().unwrap()));
}

#[tokio::test]
async fn ten_thousand_messages_while_the_listener_sleeps_are_one_update() {
    let stage = Stage::new();
    let (_client, account) = stage.account().await;
    say(&account, "the first").await;
    let timeline = account.timeline(&juliet(), 50).unwrap();
    let mut listener = Listener::new(&timeline);
    listener.pull().await;
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..10_000 {
        let account = account.clone();
        sending.spawn(async move { say(&account, &format!("message {number}")).await });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
    let before = listener.seq;
    listener.pull().await;
    assert_eq!(listener.seq, before + 1);
    assert_eq!(listener.list.len(), 10_001);
    assert_eq!(listener.list, timeline.items().unwrap());
    // And one more is one small splice, for which nothing else is read again.
    say(&account, "the last").await;
    let update = soon(listener.updates.next(listener.seq)).await.unwrap();
    assert_eq!(update.splices.iter().map(|splice| splice.items.len()).collect::<Vec<_>>(), [1]);
    apply(&mut listener.list, &update.splices);
    assert_eq!(listener.list, timeline.items().unwrap());
}

#[tokio::test]
async fn folded_list_equals_a_query_while_messages_come_change_and_move() {
    let stage = Stage::new();
    let (_client, account, mut peer) = stage.online().await;
    let timeline = account.timeline(&juliet(), 10).unwrap();
    let mut listener = Listener::new(&timeline);
    let mut acknowledged = 3;
    for round in 0..40 {
        match round % 4 {
            0 => say(&account, &format!("mine {round}")).await,
            1 => peer.say(&message(&format!("hers {round}"))),
            2 => {
                // It moves behind what came in the meantime.
                acknowledged += 1;
                peer.say(&format!("<a xmlns='urn:xmpp:sm:3' h='{acknowledged}'/>"));
            }
            _ => drop(timeline.older(3).await),
        }
        if round % 3 == 0 && round > 0 {
            listener.lose_one().await;
        }
        if timeline.items().unwrap() != listener.list {
            listener.pull().await;
        }
    }
    say(&account, "the end").await;
    while !texts(&listener.list).contains(&"the end") {
        listener.pull().await;
    }
    // The server's last words may still be on their way: what is folded is compared when nothing more comes.
    peer.say(&message("now"));
    while !texts(&listener.list).contains(&"now") {
        listener.pull().await;
    }
    assert_eq!(listener.list, timeline.items().unwrap());
}

#[tokio::test]
async fn older_messages_at_the_edges() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let empty = account.timeline(&"nurse@capulet.lit".parse().unwrap(), 10).unwrap();
    assert_eq!(empty.older(10).await, Err(Error::Offline));
    for number in 0..10 {
        say(&account, &format!("message {number}")).await;
    }
    let timeline = account.timeline(&juliet(), 2).unwrap();
    assert_eq!(timeline.items().unwrap().len(), 2);
    assert!(timeline.older(0).await.unwrap());
    assert_eq!(timeline.items().unwrap().len(), 3, "nothing is asked for by nobody");
    let (few, many) = tokio::join!(timeline.older(1), timeline.older(5));
    assert!(few.unwrap() && many.unwrap());
    assert_eq!(timeline.items().unwrap().len(), 9);
    // Fewer than asked for, and nobody to ask for more.
    assert!(timeline.older(5).await.unwrap());
    assert_eq!(timeline.items().unwrap().len(), 10);
    assert_eq!(timeline.older(5).await, Err(Error::Offline));
    soon(client.suspend(PATIENCE)).await;
    assert_eq!(timeline.older(5).await, Err(Error::Suspended));
}

/// An archive may take a minute, and what is on the disk is there in tunnels as well.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_here_is_shown_before_the_archive_has_answered() {
    let stage = Stage::new();
    let (_client, account) = stage.account().await;
    let signing_in = signing_in(&account).await;
    let mut peer = stage.server.accept();
    let said = peer.log_in();
    soon(signing_in).await.unwrap().unwrap();
    let asked = said.split("disco#info").next().unwrap().rsplit("id='").next().unwrap();
    let asked = asked.split('\'').next().unwrap();
    peer.say(&format!(
        "<iq type='result' id='{asked}' from='romeo@montague.lit'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='urn:xmpp:mam:2'/></query></iq>"
    ));
    let said = peer.hear("<before/>");
    let page = said.rsplit("queryid='").next().unwrap().split('\'').next().unwrap().to_owned();
    peer.say(&format!(
        "<message from='romeo@montague.lit'><result xmlns='urn:xmpp:mam:2' id='a1' queryid='{page}'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-11-18T11:05:24Z'/>{}</forwarded></result></message>",
        message("archived").replace("<message ", "<message xmlns='jabber:client' ")
    ));
    peer.say(&format!(
        "<iq type='result' id='{page}' from='romeo@montague.lit'><fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><first>a1</first><last>a1</last></set></fin></iq>"
    ));
    let timeline = account.timeline(&juliet(), 2).unwrap();
    while !timeline.items().unwrap().iter().any(|item| matches!(item, Item::Gap(_))) {
        tokio::task::yield_now().await;
    }
    for number in 0..10 {
        say(&account, &format!("message {number}")).await;
    }
    let timeline = account.timeline(&juliet(), 2).unwrap();
    let mut older = Box::pin(timeline.older(20));
    tokio::select! {
        biased;
        older = &mut older => panic!("nobody has answered: {older:?}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(texts(&timeline.items().unwrap()).len(), 11);
}

#[tokio::test]
async fn conversation_list_is_what_a_fresh_query_gives_whatever_changes() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let list = account.conversations();
    let updates = list.subscribe();
    let (mut folded, mut seq) = (Vec::new(), 0);
    let mut rng = StdRng::seed_from_u64(1597);
    for round in 0..80 {
        let with: Address = format!("contact{}@capulet.lit", rng.random_range(0..8)).parse().unwrap();
        match rng.random_range(0..8) {
            0..4 => drop(account.send(ItemId::new(), &with, "But soft").await.unwrap()),
            4 => account.set_pinned(&with, rng.random()).await.unwrap(),
            5 => account.set_archived(&with, rng.random()).await.unwrap(),
            6 => account.delete(Delete::Conversation { with: with.clone() }).await.unwrap(),
            _ => {
                let draft = Draft { text: format!("draft {round}"), reply_to: None };
                account.set_draft(&with, rng.random_bool(0.5).then_some(draft)).await.unwrap();
            }
        }
        let now = list.items().unwrap();
        if folded != now {
            let update = soon(updates.next(seq)).await.unwrap();
            seq = update.seq;
            apply(&mut folded, &update.splices);
            assert_eq!(folded, now, "round {round}");
        }
        if round % 10 == 0 {
            // All of it is read anew then.
            soon(client.suspend(PATIENCE)).await;
            soon(client.resume()).await.unwrap();
            assert_eq!(list.items().unwrap(), now, "round {round}");
        }
    }
    assert!(folded.len() > 2);
}

#[tokio::test]
async fn timeline_at_a_message_follows_what_comes_once_it_reaches_the_newest() {
    let stage = Stage::new();
    let (_client, account) = stage.account().await;
    for number in 0..20 {
        say(&account, &format!("number {number}")).await;
    }
    let wanted = Search { text: "\"number 5\"".into(), ..Search::default() };
    let hit = account.search(&wanted, None, 20).unwrap().hits.remove(0);
    let timeline = account.timeline_at(&juliet(), &hit.message.id, 5).unwrap();
    let mut listener = Listener::new(&timeline);
    let shown = |listener: &Listener| -> Vec<String> {
        let text = |item: &Item| match item {
            Item::Message(message) => message.text.replace("number ", ""),
            Item::Gap(_) => "--".into(),
        };
        listener.list.iter().map(text).collect()
    };
    listener.pull().await;
    assert_eq!(shown(&listener), ["3", "4", "5", "6", "7"]);
    // What comes is not shown: it is far below what is.
    say(&account, "number 20").await;
    assert!(timeline.newer(2).unwrap());
    listener.pull().await;
    assert_eq!(shown(&listener).last().unwrap(), "9");
    assert!(!timeline.newer(50).unwrap());
    listener.pull().await;
    say(&account, "number 21").await;
    listener.pull().await;
    assert_eq!(shown(&listener), (3..22).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(listener.list, timeline.items().unwrap());
    assert!(matches!(account.timeline_at(&juliet(), &ItemId::new(), 5), Err(Error::NotFound)));
}

#[tokio::test]
async fn hits_of_all_accounts_are_merged_newest_first_and_paged_without_a_hole() {
    let stage = Stage::new();
    let (client, account) = stage.account().await;
    let other =
        client.add_account("tybalt@capulet.lit".parse().unwrap(), Connection::default()).await.unwrap();
    for number in 0..25 {
        let (account, text) = (if number % 3 == 0 { &other } else { &account }, format!("number {number}"));
        account.send(ItemId::new(), &juliet(), text).await.unwrap();
    }
    let wanted = Search { text: "number".into(), ..Search::default() };
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = client.search(&wanted, before.as_ref().map(|(account, cursor)| (account, *cursor)), 4);
        all.extend(page.iter().map(|found| found.hit.message.text.clone()));
        match page.last() {
            Some(last) => before = Some((last.account.clone(), last.hit.cursor)),
            None => break,
        }
    }
    let mut sorted: Vec<String> = (0..25).map(|number| format!("number {number}")).collect();
    assert_eq!(all.len(), 25);
    all.sort();
    sorted.sort();
    assert_eq!(all, sorted);
    let at: Vec<i64> = client.search(&wanted, None, 50).iter().map(|found| found.hit.cursor.at).collect();
    assert!(at.is_sorted_by(|newer, older| newer >= older));
}
