//! What an archive did not keep until everybody had it is a hole between what it had before and behind it.

use std::collections::{BTreeMap, BTreeSet};

use whimbrel_engine::api::Item;

use super::Failure;
use crate::{server, world::World};

/// At rest.
pub(super) fn judge(world: &World, device: usize, with: usize) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let Some(screen) = phone.user.screens.get(&with).filter(|_| !phone.user.holes.is_empty()) else {
        return Ok(());
    };
    let (mut messages, mut gaps) = (BTreeMap::new(), BTreeSet::new());
    let mut amended = BTreeSet::new();
    for (place, (_, item)) in screen.lines.iter().enumerate() {
        let message = match item {
            Item::Message(message) => message,
            Item::Gap(_) => {
                gaps.insert(place);
                continue;
            }
        };
        let Some(text) = screen.texts.get(&message.id) else { continue };
        messages.insert(text, place);
        // What stands for a message that is not here says nothing of where that was.
        if message.retracted || message.text.contains(server::EDITED) {
            amended.insert(text);
        }
    }
    let users = || world.devices().iter().map(|device| &device.user);
    let taken_back: BTreeSet<&String> = users().flat_map(|user| &user.taken_back).collect();
    let own: BTreeSet<&String> = phone.user.sent.iter().map(|draft| &draft.text).collect();
    let account = &world.server().accounts[phone.account];
    let archive = account.gone.iter().chain(&account.archive).filter(|entry| entry.with == with);
    let mut seen = BTreeSet::new();
    let archived: Vec<String> = archive
        .filter_map(|entry| server::text(&entry.message))
        .filter(|text| !own.contains(text) && seen.insert(text.clone()))
        .collect();
    let place = |text: &String| messages.get(text).copied().filter(|_| !amended.contains(text));
    for (number, text) in archived.iter().enumerate() {
        let is_missing = phone.user.holes.contains(text)
            && !messages.contains_key(text)
            && !taken_back.contains(text)
            && !phone.user.may_have_deleted(text);
        let before = archived[..number].iter().rev().find_map(place);
        let behind = archived[number..].iter().find_map(place);
        if let (true, Some(before), Some(behind)) = (is_missing, before, behind)
            && gaps.range(before.min(behind)..behind).next().is_none()
        {
            let shown = screen.lines.iter().map(|(_, item)| match item {
                Item::Message(message) => message.text.clone(),
                Item::Gap(_) => "--".to_owned(),
            });
            return Err(Failure::NoHole { device, text: text.clone(), shown: shown.collect() });
        }
    }
    Ok(())
}
