//! What must hold, whatever happened.
//!
//! While a world lives: what was acknowledged is in the file, updates folded equal a fresh query, and what a user has seen
//! never goes back. When it has come to rest: nothing is lost, doubled or out of order, on any device, and nothing is
//! left to do.

mod decided;
mod holes;
mod lists;
mod people;
mod plays;
mod shown;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use rusqlite::{Connection, OptionalExtension};
use whimbrel_engine::{
    api::{Command, GapKind, Item, ItemId, SendState},
    search::{self, Search},
    timeline,
};
use whimbrel_proto::ns;

pub(crate) use lists::Lists;
pub(crate) use people::wanted;

use crate::{
    device::{Asked, Device, jid},
    script::Overflow,
    server,
    world::World,
};

/// The invariant that does not hold.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each says what it is")]
pub enum Failure {
    /// A text that the core took is nowhere on a device that should have it.
    Lost { device: usize, text: String },
    /// A text is there twice.
    Doubled { device: usize, text: String },
    /// Two texts of one sender stand the other way than they were sent.
    OutOfOrder { device: usize, texts: [String; 2], shown: Vec<String> },
    /// A device shows another order than the archive has.
    NotAsArchived { device: usize, shown: Vec<String>, archived: Vec<String> },
    /// It was acknowledged, and is not in the file.
    AcknowledgedTooEarly { device: usize, text: String },
    /// It was shown, and is not any more.
    Disappeared { device: usize, text: String },
    /// A message of ours came further, and went back.
    WentBack { device: usize, text: String, from: u8, to: u8 },
    /// What was read counts as unread again.
    ReadMarkWentBack { device: usize, with: usize },
    /// Updates folded are not what a fresh query shows.
    FoldedOtherwise { device: usize, with: usize, shown: String, fresh: String },
    /// The list of conversations or of contacts, brought up by what was said to have changed, is not what a fresh query shows.
    ListedOtherwise { device: usize, shown: String, fresh: String },
    /// A text that the core took was neither sent nor reported as failed.
    NeitherSentNorFailed { device: usize, text: String, state: String },
    /// A text was in its sender's archive, who could have known, and was sent again.
    SentAgain { device: usize, text: String },
    /// A text is in its sender's archive, and the sender was told that it failed.
    SaidToHaveFailed { device: usize, text: String },
    /// A message was said to have failed that nobody had anything against.
    FailedForNothing { device: usize, text: String },
    /// An answer does not say what it answers.
    AnswersOtherwise { device: usize, text: String, answers: Option<ItemId>, meant: String },
    /// It had not left and was taken back, and was sent all the same.
    SentThoughCancelled { device: usize, text: String },
    /// The core refused what it should take.
    Refused { device: usize, text: String, error: String },
    /// The file cannot be opened, and the disk is well.
    Unusable { device: usize, error: String },
    /// The file is damaged.
    Damaged { device: usize, what: String },
    /// A step wrote more rows than a step should.
    StepTooLarge { device: usize, rows: u64 },
    /// It connects more often than its back-off allows.
    ReconnectLoop { device: usize },
    /// It did not come to rest.
    Restless(String),
    /// Turns without end.
    LiveLock,
    /// What was sent and not acknowledged has gone, so that a resumption cannot send it again.
    NotKept { device: usize, unacknowledged: i64, kept: i64 },
    /// The two ends have not counted the same.
    Miscounted { device: usize, ours: (u32, u32), servers: (u32, u32) },
    /// It wrote although another process has the lease.
    WroteWithoutLease { device: usize },
    /// Between two messages the archive had another one that cannot be had any more, and no hole is shown.
    NoHole { device: usize, text: String, shown: Vec<String> },
    /// A device shows something else done to a message than its archive has.
    AmendedOtherwise { device: usize, text: String, shown: String, archived: String },
    /// It was deleted on this device, and is there again.
    CameBack { device: usize, text: String },
    /// A search finds something else than what is shown.
    FoundOtherwise { device: usize, text: String, found: Vec<String>, shown: Vec<String> },
    /// A device has not heard how far another one of its account has read.
    ReadElsewhere { device: usize, with: usize, told: String, unread: i64, newer: Vec<String> },
    /// What nobody has read, and stands behind all that anybody has, counts as read.
    ReadByNobody { device: usize, with: usize, unread: i64, least: i64 },
    /// A device has not told the others of its account how far it has read.
    ReadNotTold { device: usize, with: usize, read: String, told: Option<String> },
    /// A conversation is not set as its user has decided, or on one device otherwise than on another one.
    SetOtherwise { device: usize, with: usize, set: String, decided: String },
    /// A device believes otherwise than the server, or than its user has decided, who is not to be heard of.
    BlockedOtherwise { device: usize, blocked: Vec<String>, servers: Vec<String> },
    /// A device knows its contacts otherwise than the server does.
    ContactsOtherwise { device: usize, shown: Vec<String>, servers: Vec<String> },
    /// A device shows somebody otherwise than they say they are there.
    PresentOtherwise { device: usize, of: usize, shown: String, said: String },
    /// A device shows another picture or name of somebody than they show of themselves.
    ShownOtherwise { device: usize, of: usize, what: String, shown: String, servers: String },
    /// A picture was named before anybody could have it.
    NamedTooEarly { device: usize, hash: String },
    /// An app heard something else of a node than was published there, or than it was told last.
    HeardOtherwise { device: usize, of: usize, id: String, heard: String, told: String },
    /// An app is told of nodes that it does not want to hear of.
    ToldUnasked { device: usize, what: String },
    /// What was wanted last of somebody is not what the server has.
    NotAsWanted { device: usize, what: String, wanted: Vec<String>, servers: String },
    /// A feed is not what the server has of it.
    FeedOtherwise { device: usize, of: usize, shown: Vec<String>, published: Vec<String> },
    /// Something panicked outside of a step.
    Panicked(String),
    /// A mistake of ours was noticed by ourselves.
    Quarantined { device: usize, why: String },
}

impl Failure {
    /// Its kind, so that a shorter script fails for the same reason.
    pub fn kind(&self) -> String {
        let text = format!("{self:?}");
        text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Behind a start: everything that was acknowledged before it is in the file.
pub(crate) fn acknowledged_is_there(world: &mut World, device: usize) {
    let phone = &world.devices()[device];
    let Some(texts) = texts_in_file(phone) else { return };
    // What came back and was taken back is nowhere.
    let user = &phone.user;
    let is_there =
        |text: &String| texts.contains(text) || user.taken_back.contains(text) || user.may_have_deleted(text);
    let missing = phone.acknowledged.iter().find(|(_, text)| !is_there(text));
    if let Some((_, text)) = missing {
        let text = text.clone();
        world.judged(Failure::AcknowledgedTooEarly { device, text });
    }
}

fn texts_in_file(device: &Device) -> Option<BTreeSet<String>> {
    let reader = device.reader().ok()?;
    let mut statement = reader.prepare("SELECT body FROM message").ok()?;
    let rows = statement.query_map([], |row| Ok(server::first(&row.get::<_, String>(0)?).to_owned())).ok()?;
    rows.collect::<rusqlite::Result<_>>().ok()
}

/// The user looks at every conversation: folds what has changed, and compares.
pub(crate) fn look(world: &mut World, device: usize) {
    if let Err(failure) = kept(&world.devices()[device], device) {
        return world.judged(failure);
    }
    if let Err(failure) = look_at_lists(world, device) {
        return world.judged(failure);
    }
    let accounts = world.script().devices.len();
    let own = world.devices()[device].account;
    for with in (0..accounts).filter(|with| *with != own) {
        if let Err(failure) = look_at(world, device, with) {
            return world.judged(failure);
        }
        world.note(|world| {
            let lines = &world.devices()[device].user.screens[&with].lines;
            let lines = lines.iter().map(|(position, item)| match item {
                Item::Message(message) => format!("{position} {}", message.text),
                Item::Gap(gap) => format!("{position} -- {:?}", gap.kind),
            });
            format!("device {device}: sees {:?}", lines.collect::<Vec<_>>())
        });
    }
}

fn look_at_lists(world: &mut World, device: usize) -> Result<(), Failure> {
    let unusable = |error: &dyn fmt::Display| Failure::Unusable { device, error: error.to_string() };
    let phone = world.device_mut(device);
    let reader = phone.reader().map_err(|error| unusable(&error))?;
    phone.user.lists.look(device, &reader).map_err(|error| unusable(&error))?
}

fn look_at(world: &mut World, device: usize, with: usize) -> Result<(), Failure> {
    let unusable = |error: &dyn fmt::Display| Failure::Unusable { device, error: error.to_string() };
    let phone = world.device_mut(device);
    let reader = phone.reader().map_err(|error| unusable(&error))?;
    let user = &mut phone.user;
    let screen = user.screens.entry(with).or_default();
    let (deleted, perhaps) = (&user.deleted, &user.perhaps_deleted);
    let peer = jid(with);
    let start = timeline::start(&reader, &peer, 1_000_000).map_err(|error| unusable(&error))?;
    if let Some(stale) = screen.stale.take() {
        screen.lines.retain(|(position, _)| *position < stale);
        let below = screen.lines.last().map(|(_, item)| item.clone());
        let changed = timeline::window_from(&reader, &peer, start, 0, stale, below.as_ref())
            .map_err(|error| unusable(&error))?;
        screen.lines.extend(changed);
    }
    let fresh =
        timeline::window_from(&reader, &peer, start, 0, i64::MIN, None).map_err(|error| unusable(&error))?;
    if fresh != screen.lines {
        let at = fresh.iter().zip(&screen.lines).take_while(|(fresh, shown)| fresh == shown).count();
        let line = |lines: &[(i64, Item)]| format!("{at} of {}: {:?}", lines.len(), lines.get(at));
        let (shown, fresh) = (line(&screen.lines), line(&fresh));
        return Err(Failure::FoldedOtherwise { device, with, shown, fresh });
    }
    screen.texts = texts(&reader).map_err(|error| unusable(&error))?;
    let mut there = BTreeMap::new();
    for (_, item) in &fresh {
        if let Item::Message(message) = item {
            let text = screen.texts.get(&message.id).cloned().unwrap_or_default();
            there.insert(message.id.clone(), (text, message.state.as_ref().map_or(0, rank)));
        }
    }
    let still: BTreeSet<&String> = there.values().map(|(text, _)| text).collect();
    for (id, (text, before)) in &screen.seen {
        match there.get(id) {
            Some((now, after)) if now == text => {
                let corrected = *before == FAILED && (*after >= 2 || screen.tried_anew.contains(id));
                if after < before && !corrected {
                    return Err(Failure::WentBack { device, text: text.clone(), from: *before, to: *after });
                }
            }
            // A correction was shown by itself, and is one with what it corrects by now; or what never left was taken back.
            None if still.contains(text) || screen.retracted.contains(id) => {}
            None if deleted.contains(text) || perhaps.contains(text) => {}
            _ => return Err(Failure::Disappeared { device, text: text.clone() }),
        }
    }
    if let Some(text) = still.into_iter().find(|text| deleted.contains(*text)) {
        return Err(Failure::CameBack { device, text: text.clone() });
    }
    screen.seen = there;
    let unread = timeline::conversations(&reader)
        .map_err(|error| unusable(&error))?
        .into_iter()
        .find(|conversation| conversation.with == peer)
        .map_or(0, |conversation| conversation.unread);
    let new = fresh
        .iter()
        .filter(|(_, item)| matches!(item, Item::Message(message) if !message.mine))
        .filter(|(_, item)| !screen.read.contains(&item.id()))
        .count();
    if unread > new as u64 {
        return Err(Failure::ReadMarkWentBack { device, with });
    }
    Ok(())
}

/// What each message that is shown was when it was written.
fn texts(reader: &Connection) -> rusqlite::Result<BTreeMap<ItemId, String>> {
    let mut statement = reader
        .prepare_cached("SELECT coalesce(local_id, CAST(id AS TEXT)), body FROM message WHERE hidden = 0")?;
    let rows = statement.query_map([], |row| {
        Ok((ItemId(row.get(0)?), server::first(&row.get::<_, String>(1)?).to_owned()))
    })?;
    rows.collect()
}

/// Every stanza that may have to be sent again is in the file (XEP-0198 §5).
fn kept(phone: &Device, device: usize) -> Result<(), Failure> {
    let counted = phone.reader().and_then(|reader| {
        reader.query_row(
            "SELECT json_extract(sm, '$.sent') - json_extract(sm, '$.acknowledged'), (SELECT count(*) FROM outbox WHERE number > 0)
             FROM session WHERE sm IS NOT NULL",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    });
    match counted {
        Ok((unacknowledged, kept)) if unacknowledged != kept => {
            Err(Failure::NotKept { device, unacknowledged, kept })
        }
        Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
        Err(error) => Err(Failure::Unusable { device, error: error.to_string() }),
    }
}

const FAILED: u8 = 5;

fn rank(state: &SendState) -> u8 {
    match state {
        SendState::Queued => 1,
        SendState::Sent => 2,
        SendState::Delivered => 3,
        SendState::Displayed => 4,
        SendState::Failed { .. } => FAILED,
    }
}

impl World {
    /// Whether every device is online and has nothing left to do.
    pub(crate) fn is_at_rest(&mut self) -> bool {
        (0..self.devices().len()).all(|device| {
            self.devices()[device].online
                && self.is_connected_both_ways(device)
                && self.devices()[device].user.unsent.is_empty()
                && self.asks_now(device, Asked::Sync, Command::Sync { timeout: 0 })
                && !self.fetches_older(device)
        })
    }

    /// What is not at rest, in words.
    pub(crate) fn unrest(&mut self) -> String {
        let mut words = Vec::new();
        for device in 0..self.devices().len() {
            let phone = &self.devices()[device];
            let online = phone.online;
            let rows = phone.reader().ok().and_then(|reader| {
                reader
                    .query_row(
                        "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM gap), (SELECT group_concat(what) FROM pending)",
                        [],
                        |row| Ok(format!("{} to send, {} gaps, waits for {:?}", row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<String>>(2)?)),
                    )
                    .ok()
            });
            words.push(format!("device {device}: online {online}, {}", rows.unwrap_or_default()));
        }
        words.join("; ")
    }

    /// Whether the devices of each account agree how far they have read, how conversations are set, and what is known of people.
    pub(crate) fn agree(&self) -> Result<(), Failure> {
        self.devices().iter().enumerate().try_for_each(|(device, phone)| {
            let reader =
                phone.reader().map_err(|error| Failure::Unusable { device, error: error.to_string() })?;
            phone.user.screens.keys().try_for_each(|with| as_read(self, device, *with, &reader))?;
            decided::judge(self, device, &reader)?;
            people::judge(self, device, &reader)?;
            shown::judge(self, device, &reader)
        })
    }

    /// What was before the first sign-in comes when somebody scrolls there.
    fn fetches_older(&mut self, device: usize) -> bool {
        let own = self.devices()[device].account;
        let with = jid(usize::from(own == 0));
        let unfetched = self.devices()[device].reader().ok().and_then(|reader| {
            let start = timeline::start(&reader, &with, 1_000_000).ok()?;
            let items = timeline::window(&reader, &with, start, 0).ok()?;
            Some(items.iter().any(|item| matches!(item, Item::Gap(gap) if gap.kind == GapKind::Unfetched)))
        });
        if unfetched == Some(true) {
            self.asks_now(device, Asked::Other, Command::Older);
            return true;
        }
        false
    }
}

/// A world has come to rest.
pub(crate) fn judge(world: &mut World) {
    for device in 0..world.devices().len() {
        acknowledged_is_there(world, device);
        look(world, device);
    }
    for device in 0..world.devices().len() {
        if let Err(failure) = judge_device(world, device) {
            return world.judged(failure);
        }
    }
    let mut resends = 0;
    for account in &world.server().accounts {
        let texts: Vec<String> =
            account.archive.iter().filter_map(|entry| server::text(&entry.message)).collect();
        resends += texts.len() - texts.iter().collect::<BTreeSet<_>>().len();
    }
    world.report_mut().resends = resends as u64 / 2;
}

fn judge_device(world: &World, device: usize) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let reader = phone.reader().map_err(|error| Failure::Unusable { device, error: error.to_string() })?;
    let quarantined: Option<String> = reader.query_row(QUARANTINED, [], |row| row.get(0)).ok();
    if let Some(why) = quarantined {
        return Err(Failure::Quarantined { device, why });
    }
    counted(world, device, &reader)?;
    if world.script().encrypted {
        let what: String =
            reader.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap_or_default();
        if what != "ok" {
            return Err(Failure::Damaged { device, what });
        }
    }
    let failed = failed(world);
    // What was taken back before it left is nowhere.
    let taken_back = world.devices().iter().flat_map(|device| device.user.taken_back.iter().cloned());
    let bounced = &world.server().bounced;
    let expired = &world.server().accounts[phone.account].expired;
    let nowhere = bounced.iter().chain(expired).cloned().chain(taken_back);
    let excused: BTreeSet<String> = failed.iter().cloned().chain(nowhere).collect();
    for (with, screen) in &phone.user.screens {
        let shown: Vec<(&ItemId, &str)> = screen
            .lines
            .iter()
            .filter_map(|(_, item)| match item {
                Item::Message(message) => {
                    screen.texts.get(&message.id).map(|text| (&message.id, text.as_str()))
                }
                Item::Gap(_) => None,
            })
            .collect();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, (_, text)) in shown.iter().enumerate() {
            if places.insert(text, place).is_some() {
                return Err(Failure::Doubled { device, text: (*text).to_owned() });
            }
        }
        for sender in world.devices() {
            let here = [(sender.account, phone.account, *with), (sender.account, *with, phone.account)];
            let mut last: Option<(usize, &str)> = None;
            for draft in &sender.user.sent {
                let of_this = here.iter().any(|(from, this, that)| from == this && draft.to == *that);
                if !of_this {
                    continue;
                }
                match places.get(draft.text.as_str()) {
                    // It stands where it was tried again.
                    Some(_) if draft.replaces => {}
                    Some(place) => {
                        if let Some((before, text)) = last
                            && before > *place
                            && !excused.contains(text)
                            && !excused.contains(&draft.text)
                        {
                            return Err(Failure::OutOfOrder {
                                device,
                                texts: [text.to_owned(), draft.text.clone()],
                                shown: shown.iter().map(|(_, text)| (*text).to_owned()).collect(),
                            });
                        }
                        last = Some((*place, &draft.text));
                    }
                    None if excused.contains(&draft.text) || phone.user.may_have_deleted(&draft.text) => {}
                    None => return Err(Failure::Lost { device, text: draft.text.clone() }),
                }
            }
        }
        as_archived(world, device, *with, &shown)?;
        holes::judge(world, device, *with)?;
        found(world, device, *with, SEARCHES)?;
    }
    as_amended(world, device)?;
    as_answered(world, device)?;
    plays::judge(world, device, &reader)?;
    let archive = &world.server().accounts[phone.account].archive;
    let archived: BTreeSet<String> =
        archive.iter().filter_map(|entry| server::text(&entry.message)).collect();
    if let Some(text) = phone.user.cancelled.intersection(&archived).find(|text| !bounced.contains(*text)) {
        return Err(Failure::SentThoughCancelled { device, text: text.clone() });
    }
    for draft in &phone.user.sent {
        let item = phone.user.screens.get(&draft.to).and_then(|screen| {
            screen.lines.iter().find_map(|(_, item)| match item {
                Item::Message(message) if message.id == draft.id => Some(message.state.clone()),
                _ => None,
            })
        });
        let user = &phone.user;
        if item.is_none() && (user.taken_back.contains(&draft.text) || user.may_have_deleted(&draft.text)) {
            continue;
        }
        if !matches!(
            item.clone().flatten(),
            Some(SendState::Sent | SendState::Delivered | SendState::Displayed | SendState::Failed { .. })
        ) {
            return Err(Failure::NeitherSentNorFailed {
                device,
                text: draft.text.clone(),
                state: format!("{item:?}"),
            });
        }
        let is_bounced = bounced.contains(&draft.text);
        // Who ends a session over what waits in it, as it does over what it hates, leaves it open which of the two it was.
        let is_suspect = is_bounced
            || draft.replaces
            || draft.text.contains(server::HATED)
            || draft.not_after.is_some()
            || world.script().manners.overflow == Overflow::Destroy;
        if failed.contains(&draft.text) && !is_suspect {
            return Err(Failure::FailedForNothing { device, text: draft.text.clone() });
        }
        if failed.contains(&draft.text) && archived.contains(&draft.text) && !is_bounced {
            return Err(Failure::SaidToHaveFailed { device, text: draft.text.clone() });
        }
    }
    Ok(())
}

/// Messages of a conversation that are looked for when a world is at rest.
const SEARCHES: usize = 3;

/// Some of what is shown is looked for by its text: all that has it is found, and nothing else.
pub(crate) fn found(world: &World, device: usize, with: usize, searches: usize) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let Some(screen) = phone.user.screens.get(&with) else { return Ok(()) };
    let unusable = |error: &dyn fmt::Display| Failure::Unusable { device, error: error.to_string() };
    let reader = phone.reader().map_err(|error| unusable(&error))?;
    let texts: Vec<&String> = screen
        .lines
        .iter()
        .filter_map(|(_, item)| match item {
            Item::Message(message) if !message.retracted => Some(&message.text),
            _ => None,
        })
        .collect();
    for text in texts.iter().rev().step_by(texts.len().div_ceil(searches).max(1)) {
        let search = Search { text: format!("\"{text}\""), with: Some(jid(with)), ..Search::default() };
        let hits = search::search(&reader, &search, None, 500).map_err(|error| unusable(&error))?.hits;
        let mut found: Vec<String> = hits.into_iter().map(|hit| hit.message.text).collect();
        let mut shown: Vec<String> =
            texts.iter().filter(|shown| has(shown, text)).map(ToString::to_string).collect();
        found.sort();
        shown.sort();
        if found != shown {
            return Err(Failure::FoundOtherwise { device, text: (*text).clone(), found, shown });
        }
    }
    Ok(())
}

/// Whether a text has these words, in their order.
fn has(text: &str, words: &str) -> bool {
    let split = |text: &str| -> Vec<String> {
        let words = text.split(|sign: char| !sign.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let (text, words) = (split(text), split(words));
    text.windows(words.len()).any(|window| window == words)
}

/// At rest the devices of an account have read equally far, as far as its archive can say so (XEP-0490).
fn as_read(world: &World, device: usize, with: usize, reader: &Connection) -> Result<(), Failure> {
    if !world.script().manners.nodes {
        return Ok(());
    }
    let account = &world.server().accounts[world.devices()[device].account];
    let told = account.displayed(with);
    let place = |id: &str| account.archive.iter().position(|entry| entry.id == id);
    let unusable = |error: rusqlite::Error| Failure::Unusable { device, error: error.to_string() };
    let unread: i64 = reader
        .query_row("SELECT unread FROM conversation WHERE jid = ?1", [jid(with).as_str()], |row| row.get(0))
        .optional()
        .map_err(unusable)?
        .unwrap_or(0);
    let theirs = reader
        .prepare_cached(
            "SELECT body FROM message WHERE conversation = (SELECT id FROM conversation WHERE jid = ?1) AND mine = 0 AND hidden = 0",
        )
        .and_then(|mut statement| {
            let texts = statement.query_map([jid(with).as_str()], |row| row.get::<_, String>(0))?;
            texts.collect::<rusqlite::Result<Vec<_>>>()
        })
        .map_err(unusable)?;
    if let Some(behind) = told.and_then(place) {
        // What has moved up since it was read is read. So they are counted.
        let known = account.archive[..=behind].iter().filter_map(|entry| server::text(&entry.message));
        let older: BTreeSet<String> = known.chain(account.forgotten.iter().cloned()).collect();
        // What stands for a message that is not here came when that was corrected; and what the archive has lost before it was handed on
        // came when it did.
        let came_late =
            |text: &str| text.contains(server::EDITED) || account.expired.contains(server::first(text));
        let newer = theirs.iter().filter(|text| !older.contains(server::first(text)) || came_late(text));
        let newer: Vec<String> = newer.cloned().collect();
        if unread > newer.len() as i64 {
            let told = told.unwrap_or_default().to_owned();
            return Err(Failure::ReadElsewhere { device, with, told, unread, newer });
        }
    }
    read_by_somebody(world, device, with, unread, &theirs)?;
    // By the first of its ids: a resend gives a message another one.
    let read = reader
        .prepare_cached(
            "SELECT id FROM archived WHERE message =
             (SELECT m.id FROM message AS m JOIN conversation AS c ON c.id = m.conversation WHERE c.jid = ?1 AND m.position <= c.read_position
              AND m.mine = 0 AND (m.hidden = 0 OR m.kind = 5) ORDER BY m.position DESC, m.id DESC LIMIT 1)",
        )
        .and_then(|mut statement| {
            let ids = statement.query_map([jid(with).as_str()], |row| row.get::<_, String>(0))?;
            ids.collect::<rusqlite::Result<Vec<_>>>()
        })
        .map_err(unusable)?
        .into_iter()
        .filter_map(|id| place(&id))
        .min();
    let Some(read) = read else { return Ok(()) };
    match told {
        Some(told) if place(told).is_none_or(|told| read <= told) => Ok(()),
        _ => {
            let (read, told) = (account.archive[read].id.clone(), told.map(str::to_owned));
            Err(Failure::ReadNotTold { device, with, read, told })
        }
    }
}

/// What stands in the archive behind all that was on a screen of this account when it was read is not read.
fn read_by_somebody(
    world: &World,
    device: usize,
    with: usize,
    unread: i64,
    theirs: &[String],
) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let siblings = || world.devices().iter().filter(|other| other.account == phone.account);
    let mut read: BTreeSet<&String> = siblings()
        .filter_map(|other| other.user.screens.get(&with))
        .flat_map(|screen| screen.perhaps_read.iter())
        .collect();
    // Whoever has deleted a message has seen it.
    read.extend(siblings().flat_map(|other| other.user.deleted.iter().chain(&other.user.perhaps_deleted)));
    let archive = &world.server().accounts[phone.account].archive;
    let said =
        |entry: &server::Entry| server::body(&entry.message).map(|body| server::first(&body).to_owned());
    let end = archive.iter().rposition(|entry| said(entry).is_some_and(|text| read.contains(&text)));
    let behind = end.map_or(0, |end| end + 1);
    let before: BTreeSet<String> = archive[..behind].iter().filter_map(said).collect();
    let newer: BTreeSet<String> = archive[behind..]
        .iter()
        .filter_map(|entry| server::text(&entry.message))
        .filter(|text| !before.contains(text))
        .collect();
    let least = theirs.iter().filter(|text| newer.contains(server::first(text))).count() as i64;
    if unread < least { Err(Failure::ReadByNobody { device, with, unread, least }) } else { Ok(()) }
}

/// What was put aside though the world did not ask for it.
const QUARANTINED: &str = "SELECT why FROM quarantine WHERE why <> 'poison' AND why NOT LIKE 'too large%'";

/// At rest, each end has handled what the other has sent (XEP-0198), and our file says so.
fn counted(world: &World, device: usize, reader: &Connection) -> Result<(), Failure> {
    let Some((_, Some(conn))) = world.devices()[device].line else { return Ok(()) };
    let Some(servers) = world.server().counts(conn) else { return Ok(()) };
    let ours = reader
        .query_row(
            "SELECT json_extract(sm, '$.sent'), json_extract(sm, '$.handled') FROM session",
            [],
            |row| Ok((row.get::<_, i64>(0)? as u32, row.get::<_, i64>(1)? as u32)),
        )
        .map_err(|error| Failure::Unusable { device, error: error.to_string() })?;
    if ours == servers { Ok(()) } else { Err(Failure::Miscounted { device, ours, servers }) }
}

/// Texts that their sender was told will not arrive.
fn failed(world: &World) -> BTreeSet<String> {
    let screens = world.devices().iter().flat_map(|device| device.user.screens.values());
    let items = screens.flat_map(|screen| screen.lines.iter().map(move |(_, item)| (screen, item)));
    items
        .filter_map(|(screen, item)| match item {
            Item::Message(message) if matches!(message.state, Some(SendState::Failed { .. })) => {
                screen.texts.get(&message.id).cloned()
            }
            _ => None,
        })
        .collect()
}

/// A message with what was done to it: its text, whether it was retracted, and what is felt.
type Content = (String, bool, BTreeMap<String, u32>);

/// Whoever shows a message shows what its archive says was done to it.
fn as_amended(world: &World, device: usize) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let archived = amended(world, phone.account);
    let screens = phone.user.screens.iter().filter(|(with, _)| !phone.user.orphaned.contains(with));
    for (_, screen) in screens {
        for (_, item) in &screen.lines {
            let Item::Message(message) = item else { continue };
            let Some(text) = screen.texts.get(&message.id) else { continue };
            if let Some(change) = &message.change {
                if change.state == SendState::Queued {
                    let state = format!("{change:?}");
                    return Err(Failure::NeitherSentNorFailed { device, text: text.clone(), state });
                }
                continue;
            }
            let felt = message.reactions.iter().map(|felt| (felt.text.clone(), felt.count)).collect();
            let shown: Content = (message.text.clone(), message.retracted, felt);
            let Some(expected) = archived.get(text) else { continue };
            if shown != *expected {
                return Err(Failure::AmendedOtherwise {
                    device,
                    text: text.clone(),
                    shown: format!("{shown:?}"),
                    archived: format!("{expected:?}"),
                });
            }
        }
    }
    Ok(())
}

/// Whoever shows an answer knows what it answers, if that is shown.
fn as_answered(world: &World, device: usize) -> Result<(), Failure> {
    let drafts = world.devices().iter().flat_map(|sender| &sender.user.sent);
    let meant: BTreeMap<&str, &str> =
        drafts.filter_map(|draft| Some((draft.text.as_str(), draft.answers.as_ref()?.1.as_str()))).collect();
    for screen in world.devices()[device].user.screens.values() {
        let messages = || {
            screen.lines.iter().filter_map(|(_, item)| match item {
                Item::Message(message) => Some((message, screen.texts.get(&message.id)?.as_str())),
                Item::Gap(_) => None,
            })
        };
        let ids: BTreeMap<&str, &ItemId> = messages().map(|(message, text)| (text, &message.id)).collect();
        for (message, text) in messages().filter(|(message, _)| !message.retracted) {
            let Some(meant) = meant.get(text) else { continue };
            let answers = message.reply.as_ref().and_then(|reply| reply.id.clone());
            let is = message.reply.is_some()
                && (!ids.contains_key(meant) || answers.as_ref() == ids.get(meant).copied());
            if !is {
                let (text, meant) = (text.to_owned(), (*meant).to_owned());
                return Err(Failure::AnswersOtherwise { device, text, answers, meant });
            }
        }
    }
    Ok(())
}

/// What an archive says was done to each text in it. What was archived twice counts where it was first. Where something was sent back
/// nobody says what counts.
fn amended(world: &World, account: usize) -> BTreeMap<String, Content> {
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut contents: BTreeMap<String, Content> = BTreeMap::new();
    let mut felt: BTreeMap<(String, usize), Vec<String>> = BTreeMap::new();
    let archive = world.server().accounts[account].archive.iter().map(|entry| &entry.message);
    // What was sent again is in the archive behind what others made of it, if that has forgotten where it was first.
    let (roots, amendments): (Vec<_>, Vec<_>) = archive.partition(|message| server::text(message).is_some());
    for message in roots.into_iter().chain(amendments) {
        let (Some(name), Some(from)) =
            (message.attr("id"), message.attr("from").and_then(server::account_of))
        else {
            continue;
        };
        // A bot says something else under the same name.
        if names.get(name).is_some_and(|known| server::text(message).is_none_or(|text| text == *known)) {
            continue;
        }
        let target = |child: &str, ns| message.get_child(child, ns)?.attr("id");
        if let Some(text) = server::text(message) {
            names.insert(name, text.clone());
            let body = server::body(message).unwrap_or_default();
            contents.insert(text, (body, false, BTreeMap::new()));
        } else if let Some(text) = target("replace", ns::CORRECT).and_then(|id| names.get(id)).cloned() {
            names.insert(name, text.clone());
            if let Some((shown, false, _)) = contents.get_mut(&text) {
                *shown = server::body(message).unwrap_or_default();
            }
        } else if let Some(text) = target("retract", ns::RETRACT).and_then(|id| names.get(id)).cloned() {
            names.insert(name, text.clone());
            contents.insert(text, (String::new(), true, BTreeMap::new()));
        } else if let Some(reactions) = message.get_child("reactions", ns::REACTIONS)
            && let Some(text) = reactions.attr("id").and_then(|id| names.get(id)).cloned()
        {
            names.insert(name, text.clone());
            felt.insert((text, from), reactions.children().map(minidom::Element::text).collect());
        }
    }
    for (_, name) in world.server().contested.iter().filter(|(sender, _)| *sender == account) {
        names.get(name.as_str()).map(|text| contents.remove(text));
    }
    for ((text, _), reactions) in felt {
        if let Some((_, false, counts)) = contents.get_mut(&text) {
            for reaction in reactions {
                *counts.entry(reaction).or_default() += 1;
            }
        }
    }
    contents
}

/// What others wrote stands in the archive's order; a message of this device itself stands where its ack arrived.
fn as_archived(world: &World, device: usize, with: usize, shown: &[(&ItemId, &str)]) -> Result<(), Failure> {
    let phone = &world.devices()[device];
    let own: BTreeSet<&str> = phone.user.sent.iter().map(|draft| draft.text.as_str()).collect();
    let mut seen = BTreeSet::new();
    let account = &world.server().accounts[phone.account];
    let archived: Vec<String> = account
        .archive
        .iter()
        .filter(|entry| entry.with == with)
        .filter_map(|entry| server::text(&entry.message))
        .filter(|text| !own.contains(text.as_str()) && !account.forgotten.contains(text))
        .filter(|text| !phone.user.may_have_deleted(text))
        .filter(|text| seen.insert(text.clone()))
        .collect();
    let shown: Vec<String> =
        shown.iter().map(|(_, text)| (*text).to_owned()).filter(|text| seen.contains(text)).collect();
    if shown == archived { Ok(()) } else { Err(Failure::NotAsArchived { device, shown, archived }) }
}
