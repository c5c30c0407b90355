//! Whom a user does not want to hear of, how contacts are called and how they are there, what they show of themselves, and feeds: as
//! was wanted last, on the server, and on each device.

use std::collections::BTreeSet;

use minidom::Element;
use rusqlite::Connection;
use whimbrel_engine::{
    api::{Audience, Contact, ItemId},
    blocking, card, feed, roster,
};
use whimbrel_proto::{atom::Entry, ns, vcard::Card};

use super::Failure;
use crate::{
    device::{User, Wish, jid},
    script::{Act, Deed},
    server::{self, SHOWS},
    world::World,
};

/// Whoever says nothing is simply there.
const AVAILABLE: usize = 1;

/// At rest.
pub(super) fn judge(world: &World, device: usize, reader: &Connection) -> Result<(), Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::Unusable { device, error: error.to_string() };
    blocked(world, device, reader).map_err(|error| unusable(&error))??;
    contacts(world, device, reader).map_err(|error| unusable(&error))??;
    present(world, device, reader).map_err(|error| unusable(&error))??;
    carded(world, device, reader).map_err(|error| unusable(&error))??;
    published(world, device, reader).map_err(|error| unusable(&error))?
}

pub(super) type Judged = whimbrel_engine::Result<Result<(), Failure>>;

/// What may be after this, where at first it is that. Of what nobody has answered nobody knows.
pub(crate) fn wanted<What: Clone + Ord>(
    first: What,
    wishes: impl Iterator<Item = Wish<What>>,
) -> BTreeSet<What> {
    wishes.fold(BTreeSet::from([first]), |mut known, wish| {
        if wish.done {
            known.clear();
        }
        known.insert(wish.what);
        known
    })
}

/// Whether nobody else of the account has wanted anything: who was later then, the clocks would have to say.
pub(super) fn alone(world: &World, device: usize, wants: impl Fn(&User) -> bool) -> bool {
    let own = world.devices()[device].account;
    let others = world.devices().iter().enumerate().filter(|(other, _)| *other != device);
    others.filter(|(_, phone)| phone.account == own).all(|(_, phone)| !wants(&phone.user))
}

fn blocked(world: &World, device: usize, reader: &Connection) -> Judged {
    let phone = &world.devices()[device];
    let account = &world.server().accounts[phone.account];
    let here: Vec<String> = blocking::blocked(reader)?.iter().map(ToString::to_string).collect();
    let mut servers: Vec<String> = account.blocked.iter().map(|other| server::address(*other)).collect();
    servers.sort();
    if here != servers {
        return Ok(Err(Failure::BlockedOtherwise { device, blocked: here, servers }));
    }
    let open: i64 = reader
        .query_row("SELECT count(*) FROM blocked WHERE wanted IS NOT NULL", [], |row| row.get(0))
        .unwrap_or(-1);
    if open != 0 {
        let (what, servers) = ("decisions without an answer".to_owned(), open.to_string());
        return Ok(Err(Failure::NotAsWanted { device, what, wanted: vec!["0".to_owned()], servers }));
    }
    if !world.script().manners.blocking {
        return Ok(Ok(()));
    }
    for with in 0..world.script().devices.len() {
        if !alone(world, device, |user| user.blocks.iter().any(|wish| wish.what.0 == with)) {
            continue;
        }
        let wishes = phone.user.blocks.iter().filter(|wish| wish.what.0 == with);
        let wanted = wanted(false, wishes.map(|wish| Wish { what: wish.what.1, done: wish.done }));
        let is = account.blocked.contains(&with);
        if !wanted.contains(&is) {
            let wanted = wanted.iter().map(|on| format!("{on}")).collect();
            let what = format!("{} is blocked", server::address(with));
            return Ok(Err(Failure::NotAsWanted { device, what, wanted, servers: is.to_string() }));
        }
    }
    Ok(Ok(()))
}

fn contacts(world: &World, device: usize, reader: &Connection) -> Judged {
    let phone = &world.devices()[device];
    let known = &world.server().accounts[phone.account].contacts;
    let in_words = |jid: &str, name: &str, subscription: &str, asked: bool| {
        format!("{jid} {name} {subscription}{}", if asked { ", asked" } else { "" })
    };
    let mut servers: Vec<String> = known
        .iter()
        .map(|(other, contact)| {
            in_words(&server::address(*other), &contact.name, contact.subscription(), contact.asked)
        })
        .collect();
    servers.sort();
    let is_known = |contact: &Contact| {
        server::account_of(contact.jid.as_str()).is_some_and(|account| known.contains_key(&account))
    };
    let shown: Vec<String> = roster::contacts(reader)?
        .iter()
        // Who only asks is no contact.
        .filter(|contact| !contact.asks || is_known(contact))
        .map(|contact| {
            let subscription = format!("{:?}", contact.subscription).to_lowercase();
            let name = contact.name.as_deref().unwrap_or_default();
            in_words(contact.jid.as_str(), name, &subscription, contact.asked)
        })
        .collect();
    if shown != servers {
        return Ok(Err(Failure::ContactsOtherwise { device, shown, servers }));
    }
    // What the server has taken over and not done is not said again in another session: another device may have decided since.
    let of_account = |device| world.script().account_of(device) == phone.account;
    if world.script().acts.iter().any(|act| of_account(act.device) && matches!(act.deed, Deed::Mute { .. })) {
        return Ok(Ok(()));
    }
    for with in (0..world.script().devices.len()).filter(|with| *with != phone.account) {
        if !alone(world, device, |user| user.names.iter().any(|wish| wish.what.0 == with)) {
            continue;
        }
        let wishes = phone.user.names.iter().filter(|wish| wish.what.0 == with);
        let wishes = wishes.map(|wish| Wish { what: wish.what.1.clone(), done: wish.done });
        let first = (!world.script().manners.strangers).then(String::new);
        let (wanted, is) = (wanted(first, wishes), known.get(&with).map(|contact| contact.name.clone()));
        // Whoever is let see is a contact, too.
        let accepts = |act: &Act| {
            of_account(act.device) && matches!(act.deed, Deed::Accept { with: who } if who == with)
        };
        let accepted = is.as_deref() == Some("") && world.script().acts.iter().any(accepts);
        if !wanted.contains(&is) && !accepted {
            let what = format!("the name of {}", server::address(with));
            let wanted = wanted.iter().map(|name| format!("{name:?}")).collect();
            return Ok(Err(Failure::NotAsWanted { device, what, wanted, servers: format!("{is:?}") }));
        }
    }
    Ok(Ok(()))
}

/// How a user is there, as the server has it; and how contacts are, as they let this one see it.
fn present(world: &World, device: usize, reader: &Connection) -> Judged {
    let phone = &world.devices()[device];
    let server = world.server();
    let wanted = wanted((AVAILABLE, None), phone.user.presences.iter().cloned());
    let said = server.said_by(device);
    if !said.as_ref().is_some_and(|said| wanted.contains(said)) {
        let wanted = wanted.iter().map(|said| format!("{said:?}")).collect();
        let what = "how its user is there".to_owned();
        return Ok(Err(Failure::NotAsWanted { device, what, wanted, servers: format!("{said:?}") }));
    }
    // Presence that comes while the contacts are not known is nobody's.
    let is_unheard = world.script().acts.iter().any(|act| {
        let of_account = world.script().account_of(act.device) == phone.account;
        of_account && matches!(act.deed, Deed::Mute { .. } | Deed::Silence { .. })
    });
    if is_unheard || !server.has_told_all(device) {
        return Ok(Ok(()));
    }
    for contact in roster::contacts(reader)? {
        let known = &server.accounts[phone.account].contacts;
        let of = server::account_of(contact.jid.as_str()).filter(|of| known.contains_key(of));
        // Whoever is heard of again is not shown anew to who did not want to hear of them.
        let Some(of) = of.filter(|of| !may_have_blocked(world, phone.account, *of)) else { continue };
        let place = |show| SHOWS.iter().position(|(known, _)| *known == show).unwrap_or(AVAILABLE);
        let shown = contact.presence.map(|presence| (place(presence.show), presence.text));
        let said = server.seen(of, phone.account);
        if shown != said {
            let (shown, said) = (format!("{shown:?}"), format!("{said:?}"));
            return Ok(Err(Failure::PresentOtherwise { device, of, shown, said }));
        }
    }
    Ok(Ok(()))
}

/// Whether one of two may have wanted to hear no more of the other for a while.
pub(super) fn may_have_blocked(world: &World, own: usize, other: usize) -> bool {
    let script = world.script();
    script.acts.iter().any(|act| match act.deed {
        Deed::Block { with } => [(own, other), (other, own)].contains(&(script.account_of(act.device), with)),
        _ => false,
    })
}

fn carded(world: &World, device: usize, reader: &Connection) -> Judged {
    let phone = &world.devices()[device];
    let wishes = &phone.user.cards;
    if wishes.is_empty() || !alone(world, device, |user| !user.cards.is_empty()) {
        return Ok(Ok(()));
    }
    let first = (String::new(), Audience::Contacts);
    let wanted: BTreeSet<(String, bool)> = wanted(
        (first.0, false),
        wishes.iter().map(|wish| Wish {
            what: (wish.what.0.clone(), wish.what.1 == Audience::Everybody),
            done: wish.done,
        }),
    );
    let names: Vec<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
    let differs = |what: &str, name: Option<String>| {
        let name = name.unwrap_or_default();
        (!names.contains(&name)).then(|| Failure::NotAsWanted {
            device,
            what: what.to_owned(),
            wanted: names.clone(),
            servers: name,
        })
    };
    let name = |card: Option<Card>| card.and_then(|card| card.full_name);
    let here = card::known(reader, &jid(phone.account))?.map(|known| known.card);
    let account = &world.server().accounts[phone.account];
    let newest = account.items(ns::VCARD4_NODE).last().map(|item| &item.payload);
    let manners = &world.script().manners;
    let mut failure = differs("the card here", name(here));
    if manners.cards && manners.nodes {
        failure = failure.or_else(|| differs("the card", name(newest.and_then(Card::read))));
    }
    if manners.cards && wanted.iter().all(|(_, everybody)| *everybody) {
        let before = name(account.card_before.as_ref().and_then(Card::read));
        failure = failure.or_else(|| differs("the card where old software looks", before));
    }
    // What is for contacts nobody else is shown.
    let for_all =
        |name: &String| wishes.iter().any(|wish| wish.what.0 == *name && wish.what.1 == Audience::Everybody);
    if let Some(shown) = name(account.card_before.as_ref().and_then(Card::read)).filter(|name| !for_all(name))
    {
        failure = failure.or(Some(shown_to_all(device, shown)));
    }
    if let Some(shown) = name(newest.and_then(Card::read)).filter(|name| !for_all(name))
        && account.card_access.as_deref() != Some("presence")
    {
        failure = failure.or(Some(shown_to_all(device, shown)));
    }
    Ok(failure.map_or(Ok(()), Err))
}

fn shown_to_all(device: usize, name: String) -> Failure {
    let (what, wanted) = ("a card that is for contacts".to_owned(), Vec::new());
    Failure::NotAsWanted { device, what, wanted, servers: name }
}

fn published(world: &World, device: usize, reader: &Connection) -> Judged {
    let manners = &world.script().manners;
    if !manners.feeds || !manners.nodes {
        return Ok(Ok(()));
    }
    let phone = &world.devices()[device];
    let title = |payload: &Element| Entry::read(payload).map(|entry| entry.title).unwrap_or_default();
    for of in 0..world.script().devices.len() {
        let account = &world.server().accounts[of];
        let mut published: Vec<String> = account
            .items(ns::MICROBLOG)
            .map(|item| format!("{} {}", item.id, title(&item.payload)))
            .collect();
        let entries = feed::entries(reader, &jid(of), None, 1_000)?.unwrap_or_default();
        let mut shown: Vec<String> =
            entries.iter().map(|entry| format!("{} {}", entry.id, entry.entry.title)).collect();
        published.sort();
        shown.sort();
        if shown != published {
            return Ok(Err(Failure::FeedOtherwise { device, of, shown, published }));
        }
    }
    let account = &world.server().accounts[phone.account];
    let ids: BTreeSet<&ItemId> = phone.user.posts.iter().map(|wish| &wish.what.0).collect();
    for id in ids {
        let wishes = phone.user.posts.iter().filter(|wish| wish.what.0 == *id);
        let wanted = wanted(None, wishes.map(|wish| Wish { what: wish.what.1.clone(), done: wish.done }));
        let is = account.items(ns::MICROBLOG).find(|item| item.id == id.0).map(|item| title(&item.payload));
        if !wanted.contains(&is) {
            let wanted = wanted.iter().map(|title| format!("{title:?}")).collect();
            let what = format!("the entry {}", id.0);
            return Ok(Err(Failure::NotAsWanted { device, what, wanted, servers: format!("{is:?}") }));
        }
    }
    Ok(Ok(()))
}
