//! What apps say to each other holds as texts do, though nobody sees it: it is there once, everywhere, and in order.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use whimbrel_engine::{
    api::{Payload, SendState},
    payloads,
};

use super::Failure;
use crate::{device::jid, script::Deed, server, world::World};

/// At rest. Strangers are not heard, so between them there is nothing to judge.
pub(super) fn judge(world: &World, device: usize, reader: &Connection) -> Result<(), Failure> {
    if world.script().manners.strangers {
        return Ok(());
    }
    let failed = failed(world);
    let own = world.devices()[device].account;
    for with in (0..world.script().devices.len()).filter(|with| *with != own && !estranged(world, own, *with))
    {
        let unusable = |error: &dyn std::fmt::Display| Failure::Unusable { device, error: error.to_string() };
        let log = payloads::payloads(reader, &jid(with), server::PLAY, None, 500)
            .map_err(|error| unusable(&error))?
            .map_err(|error| unusable(&error))?;
        complete(world, device, with, &log, &failed)?;
        as_archived(world, device, with, &log)?;
    }
    Ok(())
}

/// Whether one of two may have been no contact of the other for a while.
fn estranged(world: &World, own: usize, other: usize) -> bool {
    let script = world.script();
    script.acts.iter().any(|act| match act.deed {
        Deed::RemoveContact { with } | Deed::Decline { with } => {
            [(own, other), (other, own)].contains(&(script.account_of(act.device), with))
        }
        _ => false,
    })
}

fn text(payload: &Payload) -> String {
    server::played(&payload.xml).unwrap_or_default()
}

/// What will not arrive: its sender was told, or would have been.
fn failed(world: &World) -> BTreeSet<String> {
    let bounced = world.server().bounced.iter().cloned();
    let of_device = |reader: &Connection| -> rusqlite::Result<Vec<String>> {
        let mut statement = reader
            .prepare("SELECT body FROM message WHERE namespace IS NOT NULL AND mine = 1 AND state = 5")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    };
    let readers = world.devices().iter().filter_map(|device| device.reader().ok());
    readers
        .filter_map(|reader| of_device(&reader).ok())
        .flatten()
        .filter_map(|xml| server::played(&xml))
        .chain(bounced)
        .chain(world.devices().iter().flat_map(|device| device.user.taken_back.iter().cloned()))
        .collect()
}

/// All that was said and did not fail is there once, and what one sender has said in their order. What was said here has left.
fn complete(
    world: &World,
    device: usize,
    with: usize,
    log: &[Payload],
    failed: &BTreeSet<String>,
) -> Result<(), Failure> {
    let own = world.devices()[device].account;
    let shown: Vec<String> = log.iter().map(text).collect();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, text) in shown.iter().enumerate() {
        if places.insert(text, place).is_some() {
            return Err(Failure::Doubled { device, text: text.clone() });
        }
    }
    if let Some(text) = shown.iter().find(|text| world.devices()[device].user.deleted.contains(*text)) {
        return Err(Failure::CameBack { device, text: text.clone() });
    }
    if let Some(waits) = log.iter().find(|payload| payload.state == Some(SendState::Queued)) {
        let state = format!("{:?}", waits.state);
        return Err(Failure::NeitherSentNorFailed { device, text: text(waits), state });
    }
    for sender in world.devices() {
        let said = sender.user.played.iter().filter(|draft| {
            (sender.account, draft.to) == (own, with) || (sender.account, draft.to) == (with, own)
        });
        let mut last: Option<(usize, &str)> = None;
        for draft in said.filter(|draft| !failed.contains(&draft.text)) {
            let Some(place) = places.get(draft.text.as_str()) else {
                if world.devices()[device].user.may_have_deleted(&draft.text) {
                    continue;
                }
                return Err(Failure::Lost { device, text: draft.text.clone() });
            };
            if let Some((before, text)) = last
                && before > *place
            {
                let texts = [text.to_owned(), draft.text.clone()];
                return Err(Failure::OutOfOrder { device, texts, shown });
            }
            last = Some((*place, &draft.text));
        }
    }
    Ok(())
}

/// What others have said stands in the archive's order; what this device itself has said stands where its ack arrived.
fn as_archived(world: &World, device: usize, with: usize, log: &[Payload]) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    // Of some the core has told nobody, as it died over them.
    let own = format!("{}.play", phone.name);
    let mut seen = BTreeSet::new();
    let archive = &world.server().accounts[phone.account].archive;
    let archived: Vec<String> = archive
        .iter()
        .filter(|entry| entry.with == with)
        .filter_map(|entry| server::play(&entry.message))
        .filter(|text| {
            !text.starts_with(&own) && !phone.user.may_have_deleted(text) && seen.insert(text.clone())
        })
        .collect();
    let shown: Vec<String> = log.iter().map(text).filter(|text| seen.contains(text)).collect();
    if shown == archived { Ok(()) } else { Err(Failure::NotAsArchived { device, shown, archived }) }
}
