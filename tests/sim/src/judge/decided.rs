//! How conversations are set: as their user has decided, and the same on all devices of an account.

use rusqlite::{Connection, OptionalExtension};
use whimbrel_engine::api::{Notify, Setting};

use super::{Failure, people};
use crate::{
    device::{Wish, jid},
    world::World,
};

/// Pinned, muted, of what to be notified. Which are archived the newest message of a conversation decides, too, by clocks that
/// are wrong here.
type Set = (bool, bool, u8);

/// At rest.
pub(super) fn judge(world: &World, device: usize, reader: &Connection) -> Result<(), Failure> {
    let own = world.devices()[device].account;
    let manners = &world.script().manners;
    let siblings = || {
        world.devices().iter().enumerate().filter(|(other, phone)| phone.account == own && *other != device)
    };
    let unusable = |error: rusqlite::Error| Failure::Unusable { device, error: error.to_string() };
    for with in (0..world.script().devices.len()).filter(|with| *with != own) {
        let here = set(reader, with).map_err(unusable)?;
        let otherwise =
            |decided: String| Err(Failure::SetOtherwise { device, with, set: format!("{here:?}"), decided });
        if manners.nodes && manners.settings {
            for (other, phone) in siblings() {
                let there = phone.reader().and_then(|reader| set(&reader, with)).map_err(unusable)?;
                if here != there {
                    return otherwise(format!("{there:?} on device {other}"));
                }
            }
        }
        drafted(world, device, with, reader).map_err(unusable)??;
        let decides =
            |phone: &crate::device::Device| phone.user.decided.iter().any(|decided| decided.with == with);
        if siblings().any(|(_, phone)| decides(phone)) {
            // Which of them was later the clocks of both have to say.
            continue;
        }
        let decided = world.devices()[device].user.decided.iter().filter(|decided| decided.with == with);
        let mut wanted: Vec<Set> = vec![Set::default()];
        for decided in decided {
            let changed = wanted.iter().map(|set| changed(*set, &decided.setting));
            // What nobody has answered may be so or not.
            wanted = if decided.done { changed.collect() } else { changed.chain(wanted.clone()).collect() };
        }
        if !wanted.contains(&here) {
            return otherwise(format!("{wanted:?}"));
        }
    }
    Ok(())
}

/// What was begun and not sent is on no other device.
fn drafted(
    world: &World,
    device: usize,
    with: usize,
    reader: &Connection,
) -> rusqlite::Result<Result<(), Failure>> {
    let wishes = world.devices()[device].user.drafts.iter().filter(|wish| wish.what.0 == with);
    let wanted = people::wanted(None, wishes.map(|wish| Wish { what: wish.what.1.clone(), done: wish.done }));
    let is = reader
        .prepare_cached("SELECT json_extract(draft, '$.text') FROM conversation WHERE jid = ?1")?
        .query_row([jid(with).as_str()], |row| row.get::<_, Option<String>>(0))
        .optional()?
        .flatten();
    if wanted.contains(&is) {
        return Ok(Ok(()));
    }
    let (what, wanted) = (format!("the draft to {with}"), format!("{wanted:?}"));
    Ok(Err(Failure::SetOtherwise {
        device,
        with,
        set: format!("{is:?}"),
        decided: format!("{what}: {wanted}"),
    }))
}

fn set(reader: &Connection, with: usize) -> rusqlite::Result<Set> {
    let set = reader
        .prepare_cached("SELECT pinned, muted_until IS NOT NULL, notify FROM conversation WHERE jid = ?1")?
        .query_row([jid(with).as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(set.unwrap_or_default())
}

fn changed((pinned, muted, notify): Set, setting: &Setting) -> Set {
    match setting {
        Setting::Pinned(pinned) => (*pinned, muted, notify),
        Setting::Muted(mute) => (pinned, mute.is_some(), notify),
        Setting::Notify(Notify::Always) => (pinned, muted, 0),
        Setting::Notify(Notify::OnMention) => (pinned, muted, 1),
        Setting::Notify(Notify::Never) => (pinned, muted, 2),
        Setting::Draft(_) | Setting::Archived(_) => (pinned, muted, notify),
    }
}
