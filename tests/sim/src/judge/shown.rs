//! Pictures and names, and what apps publish: what was wanted last is on the server, and whoever may see it shows it.
//!
//! The engine promises less of an app's node than of what it knows itself. Something is published if the answer says so, and not said
//! again otherwise; an event is kept nowhere. So what an app heard is compared with what the server has told the session that it is in,
//! and not with the node. Nor is our own picture shown to ourselves: what the file has of it nobody reads.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rusqlite::Connection;
use whimbrel_engine::{api::ItemId, person, roster};

use super::{
    Failure,
    people::{Judged, alone, may_have_blocked, wanted},
};
use crate::{
    device::{User, Wish},
    script::Deed,
    server,
    world::World,
};

/// At rest.
pub(super) fn judge(world: &World, device: usize, reader: &Connection) -> Result<(), Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::Unusable { device, error: error.to_string() };
    if world.script().manners.pictures {
        shown(world, device)?;
        seen(world, device, reader).map_err(|error| unusable(&error))??;
    }
    if world.script().manners.apps {
        published(world, device)?;
        followed(world, device)?;
        heard(world, device)?;
    }
    Ok(())
}

/// The picture and the name of an account are those that its user wanted last.
fn shown(world: &World, device: usize) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let account = &world.server().accounts[phone.account];
    let judged = |what: &str, wishes: fn(&User) -> &Vec<Wish<String>>, servers: String| {
        if !alone(world, device, |user| !wishes(user).is_empty()) {
            return Ok(());
        }
        let wanted = wanted(String::new(), wishes(&phone.user).iter().cloned());
        if wanted.contains(&servers) {
            return Ok(());
        }
        let (what, wanted) = (what.to_owned(), wanted.into_iter().collect());
        Err(Failure::NotAsWanted { device, what, wanted, servers })
    };
    let picture = match account.picture() {
        None => String::new(),
        Some((_, Some(data))) => first_line(&bytes(&data)),
        Some((hash, None)) => format!("{hash}, and no data"),
    };
    judged("its user's picture", |user| &user.pictures, picture)?;
    judged("its user's name", |user| &user.nicknames, account.nickname())
}

/// The picture and the name of each contact are those that they show, as far as they show them here.
fn seen(world: &World, device: usize, reader: &Connection) -> Judged {
    let phone = &world.devices()[device];
    let server = world.server();
    // A picture that was asked for and did not come is asked for when it is named again, which the next session begins with.
    if !server.has_told_and_answered_all(device) {
        return Ok(Ok(()));
    }
    for contact in roster::contacts(reader)? {
        let of = server::account_of(contact.jid.as_str());
        // Who does not let somebody see them is not told of their nodes (XEP-0163 §4.3). Whoever is heard of again is not shown anew to
        // who did not want to hear of them.
        let of = of.filter(|of| server.may_hear(phone.account, *of));
        let Some(of) = of.filter(|of| !may_have_blocked(world, phone.account, *of)) else { continue };
        let otherwise = |what: &str, shown: String, servers: String| {
            Ok(Err(Failure::ShownOtherwise { device, of, what: what.to_owned(), shown, servers }))
        };
        let name = contact.nickname.unwrap_or_default();
        if name != server.accounts[of].nickname() {
            return otherwise("name", name, server.accounts[of].nickname());
        }
        let shown = contact.avatar.as_deref();
        let (named, data) = match server.accounts[of].picture() {
            None => (None, None),
            Some((hash, data)) => (Some(hash), data),
        };
        // Two devices that show a picture at once may leave the name of one and the data of the other: then it cannot be had.
        let is_right = shown == named || (shown.is_none() && data.is_none());
        let here = shown.map(|hash| person::avatar(reader, hash)).transpose()?.flatten();
        let is_it = here.is_none_or(|here| data.is_none_or(|data| here.bytes == bytes(&data)));
        if !is_right || !is_it {
            return otherwise("picture", format!("{shown:?}"), format!("{named:?}"));
        }
    }
    Ok(Ok(()))
}

/// What was said to be published by an app is there, and what was said to be taken back is not.
fn published(world: &World, device: usize) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let ids: BTreeSet<&ItemId> = phone.user.scenes.iter().map(|wish| &wish.what.0).collect();
    for id in ids {
        let wishes = phone.user.scenes.iter().filter(|wish| wish.what.0 == *id);
        let mut wanted =
            wanted(None, wishes.clone().map(|wish| Wish { what: wish.what.1.clone(), done: wish.done }));
        let account = &world.server().accounts[phone.account];
        if account.overtaken.contains(&id.0) {
            wanted.extend(wishes.filter(|wish| !wish.done).map(|wish| wish.what.1.clone()));
        }
        let is = account.scene(&id.0);
        if !wanted.contains(&is) {
            let wanted = wanted.iter().map(|text| format!("{text:?}")).collect();
            let what = format!("the app's item {}", id.0);
            return Err(Failure::NotAsWanted { device, what, wanted, servers: format!("{is:?}") });
        }
    }
    Ok(())
}

/// The server knows whether an app wants to hear of nodes, unless its question about that was lost.
fn followed(world: &World, device: usize) -> Result<(), Failure> {
    let wanted = wanted(false, world.devices()[device].user.follows.iter().cloned());
    let is = world.server().knows_that_it_follows(device);
    if !world.server().has_told_all(device) || is.is_some_and(|is| wanted.contains(&is)) {
        return Ok(());
    }
    let (what, wanted) = ("what its app follows".to_owned(), wanted.iter().map(bool::to_string).collect());
    Err(Failure::NotAsWanted { device, what, wanted, servers: format!("{is:?}") })
}

/// What a device was told in its session its app has heard.
fn heard(world: &World, device: usize) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let server = world.server();
    let follows = wanted(false, phone.user.follows.iter().cloned());
    if follows != [true].into() || !server.has_told_all(device) {
        return Ok(());
    }
    for (key, (told, at)) in server.has_told_of(device) {
        let (of, id) = key;
        // What came while it did not want to hear of it is not told when it does again, nor what came of somebody while they were no
        // contact; and what a process has died over is told by none.
        let is_excused = *at <= phone.user.followed_since
            || phone.user.unheard.contains(key)
            || may_have_been_strangers(world, phone.account, *of);
        let heard = phone.user.heard.get(key);
        if !is_excused && heard != Some(told) {
            let (heard, told) = (format!("{heard:?}"), format!("{told:?}"));
            return Err(Failure::HeardOtherwise { device, of: *of, id: id.clone(), heard, told });
        }
    }
    Ok(())
}

/// Whether one of two may not have seen the other for a while, and did before.
fn may_have_been_strangers(world: &World, own: usize, other: usize) -> bool {
    let script = world.script();
    let parted = script.acts.iter().any(|act| match act.deed {
        Deed::RemoveContact { with } | Deed::Decline { with } => {
            [(own, other), (other, own)].contains(&(script.account_of(act.device), with))
        }
        _ => false,
    });
    parted || may_have_blocked(world, own, other)
}

fn bytes(data: &str) -> Vec<u8> {
    BASE64.decode(data).unwrap_or_default()
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned()
}
