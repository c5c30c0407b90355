//! What a script does.

use std::collections::BTreeSet;

use rand::{Rng, seq::IndexedRandom};
use rusqlite::Connection;
use whimbrel_engine::{
    Input,
    api::{
        self as api, Audience, Card, ChatState, Command, Delete, FeedAction, Item, ItemId, Mute, Network,
        Notify, SendState, Setting,
    },
    payloads,
};

use super::{Happening, World};
use crate::{
    device::{Asked, Decided, Draft, User, Wish, jid},
    judge,
    script::{Deed, DiskFailure, When},
    server::{self, EDITED, HATED, PLAY, SHOWS, element},
    world::lines::TOO_LARGE,
};

use fault_vfs::Fault;

/// Ten of them, in ms: longer than any world lasts, however its clocks jump.
const YEARS: i64 = 10 * 365 * 24 * 3_600_000;

impl World {
    pub(super) fn act(&mut self, number: usize) {
        let act = self.script.acts[number].clone();
        let device = act.device;
        if self.devices[device].asleep_until > self.now && is_by_the_user(&act.deed) {
            return self.at(self.devices[device].asleep_until, Happening::Act(number));
        }
        self.note(|_| format!("{} {:?}", self_name(device), act.deed));
        match act.deed {
            Deed::Send { to } => self.writes(device, to, "", |_| {}),
            Deed::SendHated { to } => self.writes(device, to, &HATED.to_string(), |_| {}),
            Deed::SendBy { to, within } => {
                let not_after = self.devices[device].now(self.now).wall + within;
                self.writes(device, to, "", |draft| draft.not_after = Some(not_after));
            }
            Deed::Reply { with } => self.answers(device, with),
            Deed::Cancel { with } => self.cancels(device, with),
            Deed::Bot { from } => {
                self.server.bot_writes(self.now, from, self.devices[device].account);
                self.carry();
            }
            Deed::Poison { from } => {
                let poison = format!(
                    "<message from='{}/x'><poison xmlns='urn:whimbrel:poison'/></message>",
                    jid(from)
                );
                self.server.pushes(self.now, device, &element(&poison));
                self.server.bot_writes(self.now, from, self.devices[device].account);
                self.carry();
            }
            Deed::TooLarge => {
                let stanza = format!("<presence from='{}'>{TOO_LARGE}</presence>", self.devices[device].name);
                self.server.pushes(self.now, device, &element(&stanza));
                self.carry();
            }
            Deed::Overtaken { back } => self.overtaken(device, back),
            Deed::MarkRead { with } => self.mark_read(device, with),
            Deed::Edit { with } | Deed::Retract { with } | Deed::React { with } => {
                self.amends(device, with, &act.deed);
            }
            Deed::Delete { with } => self.deletes(device, with),
            Deed::Clear { with } => self.clears(device, with),
            Deed::ClearOld { ago } => self.clears_old(device, ago),
            Deed::Search { with } => self.searches(device, with),
            Deed::Play { with } => self.plays(device, with),
            Deed::Set { with } => self.decides(device, with),
            Deed::SetMore { with } => self.decides_more(device, with),
            Deed::Draft { with } => self.begins(device, with),
            Deed::Block { with } => self.blocks(device, with),
            Deed::Retry { with } => self.tries_anew(device, with),
            Deed::Rename { with } => self.renames(device, with),
            Deed::AddContact { with } => self.adds(device, with),
            Deed::RemoveContact { with } => self.removes(device, with),
            Deed::Accept { with } => {
                self.asks(device, Asked::Other, Command::Accept { jid: jid(with) });
            }
            Deed::Decline { with } => {
                self.asks(device, Asked::Other, Command::Decline { jid: jid(with) });
            }
            Deed::Present { show, says } => self.presents(device, show, says),
            Deed::Card => self.has_another_card(device),
            Deed::Post => self.posts(device),
            Deed::Picture { bytes } => self.shows_another_picture(device, bytes),
            Deed::Nickname => self.is_called_otherwise(device),
            Deed::Follow { on } => self.follows(device, on),
            Deed::Publish => self.publishes(device),
            Deed::Type { with } => {
                self.asks(
                    device,
                    Asked::Other,
                    Command::SetChatState { with: jid(with), state: ChatState::Composing },
                );
            }
            Deed::Foreground(on) => self.turn(device, vec![Input::Foreground(on)]),
            Deed::Suspend { back } => self.suspend(device, back),
            Deed::Cut { keep_up, keep_down, client, server, late } => {
                self.cut(device, (keep_up, keep_down), client, Some(server), late);
            }
            Deed::NoNetwork { back, told } => {
                self.devices[device].no_network_until = self.now + back;
                self.cut(device, (0, 0), None, Some(back), 0);
                if told {
                    self.network(device, false);
                    let end = self.now + back;
                    self.at(end, Happening::Network(device));
                }
            }
            Deed::OtherNetwork => {
                self.cut(device, (0, 0), None, Some(600_000), 0);
                self.network(device, true);
            }
            Deed::Kill { when, back } => self.doom(device, when, false, back),
            Deed::PowerLoss { when, back } => self.doom(device, when, true, back),
            Deed::Disk { failure, operation, back } => {
                let fault = match failure {
                    DiskFailure::Full => Fault::Full,
                    DiskFailure::Broken => Fault::IoError,
                    DiskFailure::Once => Fault::IoErrorOnce,
                };
                if self.devices[device].doomed.is_none() {
                    self.devices[device].disk().fail(operation, fault);
                    let end = self.now + back;
                    self.at(end, Happening::Heal(device));
                }
            }
            Deed::Clock { by } => self.devices[device].wall_offset += by,
            Deed::Sleep { back } => self.sleep(device, back),
            Deed::Restart { back, keeps } => {
                self.server.restart(self.now, keeps);
                self.server_down_until = self.now + back;
                self.carry();
                let end = self.server_down_until;
                self.at(end, Happening::ServerUp);
            }
            Deed::Forget => {
                self.server.forget(self.now, device);
                self.carry();
            }
            Deed::StaleH { less } => self.server.lies.entry(device).or_default().stale = Some(less),
            Deed::WildH { more } => self.server.lies.entry(device).or_default().wild = Some(more),
            Deed::ForeignH { h } => self.server.lies.entry(device).or_default().foreign = Some(h),
            Deed::ReplayTwice => self.server.lies.entry(device).or_default().twice = true,
            Deed::Reorder => {
                self.server.lies.entry(device).or_default().reorder = true;
                self.server.dropped += 1;
            }
            // What its archive has lost as well nobody can know of.
            Deed::DropQueued { .. } if self.has_expired(device) => {}
            Deed::DropQueued { count } => self.server.drop_queued(device, count),
            // What it has mixed up or lost can be told only from its archive.
            Deed::ForgetIds | Deed::Expire { .. } if self.server.dropped > 0 => {}
            Deed::Expire { count } => self.keeps_less(self.devices[device].account, count),
            Deed::Older => {
                self.asks(device, Asked::Other, Command::Older);
            }
            Deed::ForgetIds => {
                let account = self.devices[device].account;
                let held: Vec<_> = self
                    .devices
                    .iter()
                    .filter(|other| other.account == account)
                    .map(|other| other.acknowledged.clone())
                    .collect();
                self.server.forget_ids(account, |message| {
                    // Of what changes another nobody says who has it.
                    let known =
                        |text: String| held.iter().all(|held| held.iter().any(|(_, known)| *known == text));
                    !server::amends(message)
                        && server::play(message).is_none()
                        && server::text(message).is_none_or(known)
                });
            }
            Deed::Mute { back } => {
                self.server.accounts[self.devices[device].account].mute_until = self.now + back;
            }
            Deed::Silence { back } => {
                self.server.accounts[self.devices[device].account].silent_until = self.now + back;
            }
            Deed::RefusePages { back } => {
                self.server.accounts[self.devices[device].account].refuses_until = self.now + back;
            }
            Deed::ShortPages { back } => {
                self.server.accounts[self.devices[device].account].short_until = self.now + back;
            }
        }
    }

    fn has_expired(&self, device: usize) -> bool {
        !self.server.accounts[self.devices[device].account].expired.is_empty()
    }

    /// An archive loses its oldest. Whoever has read it before, and to its beginning, knows that something was there.
    fn keeps_less(&mut self, account: usize, count: usize) {
        let texts = self.server.keep_less(account, count);
        for phone in self.devices.iter_mut().filter(|phone| phone.account == account) {
            let has_read = phone.reader().is_ok_and(|reader| {
                reader
                    .query_row(
                        "SELECT EXISTS (SELECT 1 FROM coverage WHERE last_id IS NOT NULL AND last_at > 0) AND NOT EXISTS (SELECT 1 FROM gap WHERE kind = 1)",
                        [],
                        |row| row.get(0),
                    )
                    .unwrap_or(false)
            });
            if has_read {
                phone.user.holes.extend(texts.iter().cloned());
            }
        }
    }

    /// The newest messages on the screen with what they were when they were written; not a bot's, which all have one name.
    fn newest(&mut self, device: usize, with: usize, only_own: bool) -> Vec<(ItemId, String)> {
        self.look(device);
        let phone = &self.devices[device];
        let Some(screen) = phone.user.screens.get(&with).filter(|_| phone.engine.is_some()) else {
            return Vec::new();
        };
        let messages = screen.lines.iter().rev().filter_map(|(_, item)| match item {
            Item::Message(message) if message.mine || !only_own => Some(message),
            _ => None,
        });
        messages
            .filter(|message| !message.retracted && !message.text.contains(HATED))
            .filter(|message| message.from.resource().is_none_or(|name| name.as_str() != "bot"))
            .take(5)
            .map(|message| (message.id.clone(), screen.texts.get(&message.id).cloned().unwrap_or_default()))
            .collect()
    }

    /// The user does something to one of the newest messages. What is refused is forgotten.
    fn amends(&mut self, device: usize, with: usize, deed: &Deed) {
        let shown = self.newest(device, with, !matches!(deed, Deed::React { .. }));
        let phone = &mut self.devices[device];
        let Some((message, text)) = shown.choose(&mut phone.rng).cloned() else { return };
        if matches!(deed, Deed::Edit { .. }) && phone.user.has_failed(with, &message) {
            return self.replaces(device, with, message, text);
        }
        let id = User::names(&mut phone.rng);
        let number = phone.user.changes();
        let name = &phone.name;
        if let Deed::Retract { .. } = deed {
            phone.user.taken_back.insert(text.clone());
            if let Some(screen) = phone.user.screens.get_mut(&with) {
                screen.retracted.insert(message.clone());
            }
        }
        let command = match deed {
            Deed::Retract { .. } => Command::Retract { id, message },
            Deed::Edit { .. } => {
                Command::Edit { id, message, text: format!("{text}{EDITED}{name}.{number}") }
            }
            _ => Command::React { id, message, reactions: vec![format!("{name}.{number}")] },
        };
        self.asks(device, Asked::Other, command);
    }

    /// Another text for what has failed is another message, which has failed as well.
    fn replaces(&mut self, device: usize, with: usize, message: ItemId, text: String) {
        let phone = &mut self.devices[device];
        let mut draft = phone.user.writes(&phone.name, with, "", &mut phone.rng);
        draft.replaces = true;
        phone.user.taken_back.insert(text);
        if let Some(screen) = phone.user.screens.get_mut(&with) {
            screen.retracted.insert(message.clone());
        }
        let command = Command::Edit { id: draft.id.clone(), message, text: draft.text.clone() };
        self.asks(device, Asked::Send(draft), command);
    }

    /// The user deletes one of the newest messages, whoever wrote it.
    fn deletes(&mut self, device: usize, with: usize) {
        self.look(device);
        let phone = &mut self.devices[device];
        let Some(screen) = phone.user.screens.get(&with).filter(|_| phone.engine.is_some()) else { return };
        let shown: Vec<_> = screen
            .lines
            .iter()
            .rev()
            .filter_map(|(_, item)| match item {
                Item::Message(message) => Some(message),
                Item::Gap(_) => None,
            })
            .filter_map(|message| Some((message, screen.texts.get(&message.id)?)))
            .take(5)
            .collect();
        let Some((message, text)) = shown.choose(&mut phone.rng).copied() else { return };
        let (id, text) = (message.id.clone(), text.clone());
        if matches!(message.state, Some(SendState::Queued | SendState::Failed { .. })) {
            // What was not sent is not sent.
            phone.user.taken_back.insert(text.clone());
        }
        phone.user.perhaps_deleted.insert(text.clone());
        if self.asks_now(device, Asked::Other, Command::Delete(Delete::Message { id })) {
            self.devices[device].user.deleted.insert(text);
        }
    }

    fn searches(&mut self, device: usize, with: usize) {
        self.look(device);
        if self.can_look(device)
            && let Err(failure) = judge::found(self, device, with, 1)
        {
            self.judged(failure);
        }
    }

    /// An app says something that is shown to nobody. Whether the core has it is known if it says so at once.
    fn plays(&mut self, device: usize, with: usize) {
        let phone = &mut self.devices[device];
        let (id, number) = (User::names(&mut phone.rng), phone.user.changes());
        let text = format!("{}.play{number}", phone.name);
        let draft = Draft { id: id.clone(), to: with, text, answers: None, not_after: None, replaces: false };
        let xml = format!("<play xmlns='{PLAY}' text='{}'/>", draft.text);
        if self.asks(device, Asked::Other, Command::SendPayload { id, to: jid(with), xml }) == Some(true) {
            self.devices[device].user.played.push(draft);
        }
    }

    /// The user decides something about a conversation. What a core has that dies over its answer is known to nobody.
    fn decides(&mut self, device: usize, with: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let rng = &mut phone.rng;
        let setting = match rng.random_range(0..3) {
            0 => Setting::Pinned(rng.random()),
            1 => Setting::Muted(rng.random::<bool>().then_some(Mute::ForEver)),
            _ => {
                let all = [Notify::Always, Notify::OnMention, Notify::Never];
                Setting::Notify(all.choose(rng).copied().unwrap_or_default())
            }
        };
        self.sets(device, with, setting);
    }

    fn decides_more(&mut self, device: usize, with: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let setting = match phone.rng.random_range(0..3) {
            0 => Setting::Archived(false),
            1 => Setting::Archived(true),
            _ => Setting::Muted(Some(Mute::Until(crate::START + YEARS))),
        };
        self.sets(device, with, setting);
    }

    fn sets(&mut self, device: usize, with: usize, setting: Setting) {
        let command = Command::Set { with: jid(with), setting: setting.clone() };
        let done = self.asks_now(device, Asked::Other, command);
        self.devices[device].user.decided.push(Decided { with, setting, done });
    }

    /// The user begins a text, or leaves it.
    fn begins(&mut self, device: usize, with: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let text = format!("{}.draft{}", phone.name, phone.user.changes());
        let text = phone.rng.random_ratio(2, 3).then_some(text);
        let draft = text.clone().map(|text| api::Draft { text, reply_to: None });
        let command = Command::Set { with: jid(with), setting: Setting::Draft(draft) };
        let done = self.asks_now(device, Asked::Other, command);
        self.devices[device].user.drafts.push(Wish { what: (with, text), done });
    }

    /// The user wants to hear no more of somebody, or again.
    fn blocks(&mut self, device: usize, with: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let (on, jid) = (phone.rng.random(), jid(with).into());
        let command = if on { Command::Block { jid, report: None } } else { Command::Unblock { jid } };
        let done = self.asks_now(device, Asked::Other, command);
        self.devices[device].user.blocks.push(Wish { what: (with, on), done });
    }

    /// The user sends again what has come back, as it was.
    fn tries_anew(&mut self, device: usize, with: usize) {
        self.look(device);
        let phone = &mut self.devices[device];
        let Some(screen) = phone.user.screens.get(&with).filter(|_| phone.engine.is_some()) else { return };
        let replaced = phone.user.sent.iter().filter(|draft| draft.replaces).map(|draft| &draft.text);
        let tried: BTreeSet<&String> = self.server.bounced.iter().chain(replaced).collect();
        let failed = screen.lines.iter().find_map(|(_, item)| match item {
            Item::Message(message) if matches!(message.state, Some(SendState::Failed { .. })) => {
                let text = screen.texts.get(&message.id)?;
                (*text == message.text && tried.contains(text)).then(|| message.id.clone())
            }
            _ => None,
        });
        let Some(message) = failed else { return };
        if let Some(screen) = phone.user.screens.get_mut(&with) {
            screen.tried_anew.insert(message.clone());
        }
        self.asks(device, Asked::Other, Command::Retry { message });
    }

    /// The user calls somebody otherwise.
    fn renames(&mut self, device: usize, with: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let name = format!("{}.name{}", phone.name, phone.user.changes());
        let command = Command::EditContact { jid: jid(with), name: Some(name.clone()), groups: Vec::new() };
        let done = self.asks_now(device, Asked::Other, command);
        self.devices[device].user.names.push(Wish { what: (with, Some(name)), done });
    }

    /// The user wants somebody as a contact.
    fn adds(&mut self, device: usize, with: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let name = format!("{}.name{}", phone.name, phone.user.changes());
        let command = Command::AddContact { jid: jid(with), name: Some(name.clone()) };
        let done = self.asks_now(device, Asked::Other, command);
        self.devices[device].user.names.push(Wish { what: (with, Some(name)), done });
    }

    /// The user does not want somebody as a contact any more.
    fn removes(&mut self, device: usize, with: usize) {
        if self.devices[device].engine.is_none() {
            return;
        }
        let done = self.asks_now(device, Asked::Other, Command::RemoveContact { jid: jid(with) });
        self.devices[device].user.names.push(Wish { what: (with, None), done });
    }

    /// The user is there otherwise.
    fn presents(&mut self, device: usize, show: usize, says: bool) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let number = phone.user.changes();
        let text = says.then(|| format!("{}.status{number}", phone.name));
        let command = Command::SetPresence { show: SHOWS[show].0, text: text.clone() };
        let done = self.asks_now(device, Asked::Other, command);
        self.devices[device].user.presences.push(Wish { what: (show, text), done });
    }

    /// The user has another card, for contacts or for everybody.
    fn has_another_card(&mut self, device: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let name = format!("{}.card{}", phone.name, phone.user.changes());
        let audience = if phone.rng.random() { Audience::Everybody } else { Audience::Contacts };
        let card = Card { full_name: Some(name.clone()), ..Card::default() };
        let done = self.asks_now(device, Asked::Other, Command::SetCard { card: Box::new(card), audience });
        self.devices[device].user.cards.push(Wish { what: (name, audience), done });
    }

    /// The user reads a feed that is asked for.
    pub(super) fn reads_feed(&mut self, device: usize, of: usize) {
        self.asks(device, Asked::Other, Command::Feed { of: jid(of), action: FeedAction::Refresh });
    }

    /// The user publishes something, or something else in its place, or takes it back.
    fn posts(&mut self, device: usize) {
        let phone = &mut self.devices[device];
        if phone.engine.is_none() {
            return;
        }
        let title = format!("{}.post{}", phone.name, phone.user.changes());
        let posted: Vec<ItemId> = phone.user.posts.iter().map(|post| post.what.0.clone()).collect();
        let (id, title) = match posted.choose(&mut phone.rng).filter(|_| phone.rng.random()) {
            Some(id) => (id.clone(), phone.rng.random::<bool>().then_some(title)),
            None => (User::names(&mut phone.rng), Some(title)),
        };
        let action = match &title {
            Some(title) => FeedAction::Publish { id: id.clone(), post: title.as_str().into() },
            None => FeedAction::Retract { id: id.0.clone() },
        };
        let number = phone.user.posts.len();
        phone.user.posts.push(Wish { what: (id, title), done: false });
        let of = jid(phone.account);
        self.asks(device, Asked::Post(number), Command::Feed { of, action });
    }

    /// The user answers one of the newest messages.
    fn answers(&mut self, device: usize, with: usize) {
        let shown = self.newest(device, with, false);
        let phone = &mut self.devices[device];
        let Some(answered) = shown.choose(&mut phone.rng).cloned() else { return };
        self.writes(device, with, "", |draft| draft.answers = Some(answered));
    }

    /// The user does not want to send after all what has not left, or has failed.
    fn cancels(&mut self, device: usize, with: usize) {
        self.look(device);
        let phone = &mut self.devices[device];
        let Some(screen) = phone.user.screens.get_mut(&with).filter(|_| phone.engine.is_some()) else {
            return;
        };
        let waits = screen.lines.iter().rev().find_map(|(_, item)| match item {
            Item::Message(message) => {
                let queued = message.state == Some(SendState::Queued);
                (queued || matches!(message.state, Some(SendState::Failed { .. })))
                    .then(|| (message.id.clone(), queued))
            }
            Item::Gap(_) => None,
        });
        let Some((message, queued)) = waits else { return };
        let Some(text) = screen.texts.get(&message).cloned() else { return };
        screen.retracted.insert(message.clone());
        let is_new = phone.user.taken_back.insert(text.clone());
        match self.asks(device, Asked::Other, Command::Cancel { message }) {
            Some(true) if queued => {
                self.devices[device].user.cancelled.insert(text);
            }
            Some(false) if is_new => {
                self.devices[device].user.taken_back.remove(&text);
            }
            _ => {}
        }
    }

    /// The user deletes a conversation.
    fn clears(&mut self, device: usize, with: usize) {
        if self.devices[device].engine.is_none() {
            return;
        }
        let all = Delete::Conversation { with: jid(with) };
        let done = self.clears_all(device, all, |other, _| other == with);
        let phone = &self.devices[device];
        let cleared: Option<i64> = phone.reader().ok().and_then(|reader| {
            let sql = "SELECT cleared FROM conversation WHERE jid = ?1";
            reader.query_row(sql, [jid(with).as_str()], |row| row.get(0)).ok().flatten()
        });
        let is_known = self.can_look(device);
        if cleared.is_some() || !is_known || !done {
            // What was before the first sign-in and comes later is not shown either.
            let archive = &self.server.accounts[self.devices[device].account].archive;
            let older = archive.iter().filter(|entry| entry.with == with).map(|entry| &entry.message);
            let older: Vec<String> = older
                .flat_map(|message| server::text(message).into_iter().chain(server::play(message)))
                .collect();
            self.devices[device].user.perhaps_deleted.extend(older);
        }
        let user = &mut self.devices[device].user;
        user.drafts.push(Wish { what: (with, None), done });
        user.decided.push(Decided { with, setting: Setting::Pinned(false), done });
    }

    /// The user deletes everything older than this.
    fn clears_old(&mut self, device: usize, ago: i64) {
        let before = self.devices[device].now(self.now).wall - ago;
        self.clears_all(device, Delete::Before { at: before }, |_, at| at < before);
    }

    /// The user deletes what is meant of all that is here. What was not sent is not sent.
    fn clears_all(&mut self, device: usize, what: Delete, is_meant: impl Fn(usize, i64) -> bool) -> bool {
        self.look(device);
        let phone = &mut self.devices[device];
        let Some(reader) = phone.reader().ok().filter(|_| phone.engine.is_some()) else { return false };
        let (mut texts, mut unsent) = (Vec::new(), Vec::new());
        for (with, screen) in &phone.user.screens {
            let said = screen.lines.iter().filter_map(|(_, item)| match item {
                Item::Message(message) => {
                    let text = screen.texts.get(&message.id)?.clone();
                    Some((text, message.at, message.state.clone()))
                }
                Item::Gap(_) => None,
            });
            let played = payloads::payloads(&reader, &jid(*with), PLAY, None, 500);
            let played = played.ok().and_then(Result::ok).unwrap_or_default();
            let played = played
                .into_iter()
                .filter_map(|payload| Some((server::played(&payload.xml)?, payload.at, payload.state)));
            for (text, at, state) in said.chain(played) {
                if is_meant(*with, at) {
                    if matches!(state, Some(SendState::Queued | SendState::Failed { .. })) {
                        unsent.push(text.clone());
                    }
                    texts.push(text);
                }
            }
        }
        phone.user.orphaned.extend(orphaned(&reader).unwrap_or_default());
        phone.user.taken_back.extend(unsent);
        phone.user.perhaps_deleted.extend(texts.iter().cloned());
        let done = self.asks_now(device, Asked::Other, Command::Delete(what));
        if done {
            self.devices[device].user.deleted.extend(texts);
        }
        done
    }

    fn writes(&mut self, device: usize, to: usize, end: &str, with: impl FnOnce(&mut Draft)) {
        let phone = &mut self.devices[device];
        let mut draft = phone.user.writes(&phone.name, to, end, &mut phone.rng);
        with(&mut draft);
        phone.user.unsent.push_back(draft);
        self.try_again(device);
    }

    /// The platform says whether there is a network.
    pub(super) fn network(&mut self, device: usize, there: bool) {
        self.devices[device].attempts.clear();
        self.turn(device, vec![available(there)]);
    }

    /// A device sleeps: it does nothing and hears nothing, and its monotonic clock stands still.
    pub(super) fn sleep(&mut self, device: usize, back: u64) {
        let sleeper = &mut self.devices[device];
        sleeper.asleep_until = sleeper.asleep_until.max(self.now) + back;
        sleeper.slept += back;
        let (end, token) = (sleeper.asleep_until, sleeper.wake_token);
        self.at(end, Happening::Wake { device, token });
    }

    fn doom(&mut self, device: usize, when: When, power: bool, back: u64) {
        if self.devices[device].engine.is_none() || self.devices[device].doomed.is_some() {
            return;
        }
        match when {
            When::Idle => return self.dies(device, power, back),
            When::Operation(operation) => self.devices[device].disk().fail(operation, Fault::Die),
            When::Effects(_) => {}
        }
        self.devices[device].doomed = Some((when, power, back));
    }
}

/// Conversations in which something is said about a message that is not here.
fn orphaned(reader: &Connection) -> rusqlite::Result<Vec<usize>> {
    let sql = "SELECT DISTINCT c.jid FROM message AS m JOIN conversation AS c ON c.id = m.conversation WHERE m.kind IN (2, 3, 4) AND m.root IS NULL";
    let mut statement = reader.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.filter_map(|jid| jid.map(|jid| server::account_of(&jid)).transpose()).collect()
}

fn available(available: bool) -> Input {
    Input::Network(Network { available, ..Network::default() })
}

fn is_by_the_user(deed: &Deed) -> bool {
    matches!(
        deed,
        Deed::Send { .. }
            | Deed::SendHated { .. }
            | Deed::SendBy { .. }
            | Deed::Reply { .. }
            | Deed::Cancel { .. }
            | Deed::Clear { .. }
            | Deed::ClearOld { .. }
            | Deed::SetMore { .. }
            | Deed::Draft { .. }
            | Deed::MarkRead { .. }
            | Deed::Edit { .. }
            | Deed::Retract { .. }
            | Deed::React { .. }
            | Deed::Play { .. }
            | Deed::Delete { .. }
            | Deed::Search { .. }
            | Deed::Set { .. }
            | Deed::Block { .. }
            | Deed::Retry { .. }
            | Deed::Rename { .. }
            | Deed::AddContact { .. }
            | Deed::RemoveContact { .. }
            | Deed::Accept { .. }
            | Deed::Decline { .. }
            | Deed::Present { .. }
            | Deed::Card
            | Deed::Post
            | Deed::Picture { .. }
            | Deed::Nickname
            | Deed::Follow { .. }
            | Deed::Publish
            | Deed::Type { .. }
            | Deed::Foreground(_)
            | Deed::Suspend { .. }
    )
}

fn self_name(device: usize) -> String {
    format!("device {device}:")
}
