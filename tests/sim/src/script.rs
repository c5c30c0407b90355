//! What happens in a world: who lives there, how its server behaves, and what is done when.
//!
//! A script is made from a seed, and is data: it can be written to a file, cut down to the shortest one that still fails,
//! and kept as a test. Everything random behind it (latencies, ids, what a power cut keeps) follows from its seed, too.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde::{Deserialize, Serialize};

/// A world and all that happens in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Of everything that is random and not written down here.
    pub seed: u64,
    /// How many devices each account has.
    pub devices: Vec<usize>,
    /// How the server behaves.
    pub manners: Manners,
    /// One-way latency of a good link, in ms.
    pub latency: u64,
    /// Whether the files are encrypted. The cipher is what costs most and what breaks least.
    pub encrypted: bool,
    /// Pages of the file that an engine keeps in memory, where these are so few that it writes, and a disk fails, in the middle of
    /// its statements and not only at its commits.
    #[serde(default)]
    pub cache: Option<i64>,
    /// A device that its user has only later, and when.
    #[serde(default)]
    pub late: Option<(usize, u64)>,
    /// What is done, in the order of time.
    pub acts: Vec<Act>,
}

/// How a server behaves when nothing is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manners {
    /// XEP-0388 and XEP-0386; else RFC 6120.
    pub sasl2: bool,
    /// XEP-0198.
    pub sm: bool,
    /// The largest page of an archive (XEP-0313).
    pub page: usize,
    /// How long a session waits for its resumption, in ms.
    pub hibernation: u64,
    /// Stanzas that it keeps for a client that is away.
    pub queue: usize,
    /// What happens to the next one.
    pub overflow: Overflow,
    /// `<failed/>` says how much was handled.
    pub failed_says_h: bool,
    /// It asks for an ack behind every so many stanzas.
    pub asks_every: u32,
    /// A message to the bare address goes to all devices; else to one, and the others get carbons.
    pub to_all: bool,
    /// Offline messages are not replayed to a session that has asked its archive before (Prosody 13).
    pub archive_or_offline: bool,
    /// What a session that dies has not acknowledged goes to the offline store.
    pub rescues: bool,
    /// Carbons of sent messages name the archive's id (ejabberd).
    pub carbon_ids: bool,
    /// Its clock is ahead of the true time, in ms.
    pub clock: i64,
    /// How long it takes over a page of the archive, in ms: what the session has sent behind the question waits.
    #[serde(default)]
    pub page_takes: u64,
    /// What it ends the stream over it has archived and handed on before.
    #[serde(default)]
    pub hates_late: bool,
    /// Nobody is in anybody's roster: no presence goes to others, and no receipts.
    #[serde(default)]
    pub strangers: bool,
    /// Accounts have nodes, so that devices can tell each other what was read (XEP-0163, XEP-0490).
    #[serde(default)]
    pub nodes: bool,
    /// And how conversations are set.
    #[serde(default)]
    pub settings: bool,
    /// It holds back who is not to be heard of (XEP-0191).
    #[serde(default)]
    pub blocking: bool,
    /// Accounts have cards (XEP-0054), and nodes for them where they have nodes (XEP-0292).
    #[serde(default)]
    pub cards: bool,
    /// And nodes for feeds (XEP-0277).
    #[serde(default)]
    pub feeds: bool,
    /// And nodes for a picture and a name (XEP-0084, XEP-0172), of which it tells whoever wants to hear of them (XEP-0115).
    #[serde(default)]
    pub pictures: bool,
    /// And those of apps, likewise.
    #[serde(default)]
    pub apps: bool,
    /// Of an id that its archive does not have, or that is of another conversation, it says that nothing follows (Prosody 13).
    #[serde(default)]
    pub vague: bool,
}

/// When a session's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overflow {
    /// The session is destroyed (ejabberd).
    Destroy,
    /// The oldest is forgotten without a word.
    Forget,
}

/// Something that is done at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// In ms from the beginning.
    pub at: u64,
    /// To which device, counted through all accounts.
    pub device: usize,
    /// What.
    pub deed: Deed,
}

/// What can be done to a device, or by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each deed says what its numbers are")]
pub enum Deed {
    /// Its user writes to another account.
    Send {
        to: usize,
    },
    /// Its user answers one of the newest messages.
    Reply {
        with: usize,
    },
    /// Its user writes what is not to leave later than so many ms from now.
    SendBy {
        to: usize,
        within: i64,
    },
    /// Its user does not want to send after all what has not left, or has failed.
    Cancel {
        with: usize,
    },
    /// Its user reads a conversation to the end.
    MarkRead {
        with: usize,
    },
    /// Its user gives one of the newest messages of their own another text.
    Edit {
        with: usize,
    },
    /// Its user takes one of the newest messages of their own back.
    Retract {
        with: usize,
    },
    /// Its user feels something about one of the newest messages.
    React {
        with: usize,
    },
    /// Its user deletes one of the newest messages, on this device.
    Delete {
        with: usize,
    },
    /// Its user deletes a conversation, on this device.
    Clear {
        with: usize,
    },
    /// Its user deletes everything older than so many ms, on this device.
    ClearOld {
        ago: i64,
    },
    /// Its user looks for one of the messages on the screen.
    Search {
        with: usize,
    },
    /// Its app says something that only the other's app understands.
    Play {
        with: usize,
    },
    /// Its user pins a conversation, mutes it or decides of what in it to be notified, or takes that back.
    Set {
        with: usize,
    },
    /// Its user archives a conversation or takes it back, or mutes it for some years.
    SetMore {
        with: usize,
    },
    /// Its user begins a text and does not send it, or leaves it.
    Draft {
        with: usize,
    },
    /// Its user wants to hear no more of somebody, or again.
    Block {
        with: usize,
    },
    /// Its user tries again what somebody did not want to hear.
    Retry {
        with: usize,
    },
    /// Its user calls somebody otherwise.
    Rename {
        with: usize,
    },
    /// Its user wants somebody as a contact, or no more.
    AddContact {
        with: usize,
    },
    RemoveContact {
        with: usize,
    },
    /// Its user lets somebody see when they are there, or does not.
    Accept {
        with: usize,
    },
    Decline {
        with: usize,
    },
    /// Its user is there otherwise: how much, and whether something is said of it.
    Present {
        show: usize,
        says: bool,
    },
    /// Its user has another card.
    Card,
    /// Its user publishes something, changes it or takes it back.
    Post,
    /// Its user shows another picture, of so many bytes; 0: none.
    Picture {
        bytes: usize,
    },
    /// Its user is called otherwise.
    Nickname,
    /// Its app wants to hear of the nodes of its kind, or no more.
    Follow {
        on: bool,
    },
    /// Its app publishes something in its node, changes it or takes it back.
    Publish,
    /// Its user types.
    Type {
        with: usize,
    },
    /// The app comes to the front, or goes.
    Foreground(bool),
    /// The app goes to sleep in good order, and comes back after so many ms.
    Suspend {
        back: u64,
    },
    /// The link is cut. So many elements under way arrive all the same, those to the server so many ms late; each end hears of it
    /// after so many ms, or never.
    Cut {
        keep_up: usize,
        keep_down: usize,
        client: Option<u64>,
        server: u64,
        #[serde(default)]
        late: u64,
    },
    /// No network for so many ms. The platform says so, or not.
    NoNetwork {
        back: u64,
        told: bool,
    },
    /// Another network: the platform says so, and the old link is dead without knowing.
    OtherNetwork,
    /// The process is killed and started again after so many ms.
    Kill {
        when: When,
        back: u64,
    },
    /// The same by a power cut: what was not synced may be lost or torn.
    PowerLoss {
        when: When,
        back: u64,
    },
    /// At the n-th operation from now the disk fails, for so many ms.
    Disk {
        failure: DiskFailure,
        operation: u64,
        back: u64,
    },
    /// The wall clock jumps by so many ms.
    Clock {
        by: i64,
    },
    /// The whole device sleeps: its monotonic clock stands still.
    Sleep {
        back: u64,
    },
    /// The server is restarted; sessions are kept or not.
    Restart {
        back: u64,
        keeps: bool,
    },
    /// The server forgets the device's session.
    Forget,
    /// With the next resumption the server claims to have handled so many stanzas less than it has.
    StaleH {
        less: u32,
    },
    /// With the next resumption the server claims to have handled what nobody sent.
    WildH {
        more: u32,
    },
    /// With the next resumption comes the `h` of another session.
    ForeignH {
        h: u32,
    },
    /// With the next resumption everything is replayed twice.
    ReplayTwice,
    /// With the next resumption what is replayed comes in another order.
    Reorder,
    /// So many stanzas of the session's queue are lost in the server.
    DropQueued {
        count: usize,
    },
    /// The account's archive forgets the ids of what everybody has.
    ForgetIds,
    /// The account's archive forgets its oldest messages, so many, whoever has them.
    Expire {
        count: usize,
    },
    /// Its user scrolls to what is older.
    Older,
    /// Questions of the account are not answered for so many ms.
    Mute {
        back: u64,
    },
    /// What the account asks is done, and the answers are lost, for so many ms.
    Silence {
        back: u64,
    },
    /// Pages of the account's archive are refused for so many ms.
    RefusePages {
        back: u64,
    },
    /// Pages of the account's archive are shorter than asked for, and it says that there is no more, for so many ms.
    ShortPages {
        back: u64,
    },
    /// The user writes what the server ends the stream over, each time.
    SendHated {
        to: usize,
    },
    /// A bot of another account writes to this one, under an id that it has used before.
    Bot {
        from: usize,
    },
    /// A stanza comes that the engine itself fails on, where it has such a bug, and another one right behind it.
    Poison {
        from: usize,
    },
    /// A stanza comes that is too large to be built.
    TooLarge,
    /// Another process opens the file and takes the lease; the old one may not write any more, and is started again after
    /// so many ms.
    Overtaken {
        back: u64,
    },
}

/// At which instant a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// Between two steps.
    Idle,
    /// At the n-th operation of the disk.
    Operation(u64),
    /// Behind a commit, with n effects performed.
    Effects(usize),
}

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFailure {
    /// No room.
    Full,
    /// Every operation fails.
    Broken,
    /// One operation fails.
    Once,
}

/// How much happens in a world.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Messages, at least.
    pub messages: usize,
    /// Faults, at least.
    pub faults: usize,
    /// Devices of each of two accounts, at least: 1 or 2.
    pub devices: usize,
}

/// What is done to messages follows from the seed, and not from what else does; and so does what they are looked for.
const CHANGES: u64 = 0x0308_0424_0444;
const LATER: u64 = 0x0490_0490;
/// And so does what apps say to each other.
const PLAYS: u64 = 0x0334;
/// And so is what they decide about conversations.
const DECISIONS: u64 = 0x0469_0492;
/// And so is whom they block, and what they show of themselves.
const PEOPLE: u64 = 0x0191_0292_0472;
/// And so is what they answer, take back in time, delete at large and leave undone.
const MORE: u64 = 0x0461_0428;
/// And so is how they are there.
const PRESENCE: u64 = 0x6121;
/// And so is what they take back of a feed while its readers are away.
const FEEDS: u64 = 0x0277;
/// And so are their pictures and names, and what their apps publish.
const SHOWN: u64 = 0x0084_0172_0060;
/// And so is what they scroll to, on which device that came later, and what the archive does not keep.
const OLDER: u64 = 0x0313;

impl Script {
    /// The world of this seed.
    pub fn new(seed: u64, size: Size) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let devices = match rng.random_range(0..3) {
            0 => vec![2, 2, 1],
            1 => vec![size.devices.clamp(1, 2); 2],
            _ => vec![2, 2],
        };
        // Of its own, so that a seed means what it meant before there were any.
        let later = &mut StdRng::seed_from_u64(seed ^ LATER);
        let nodes = later.random_ratio(2, 3);
        let people = &mut StdRng::seed_from_u64(seed ^ PEOPLE);
        let [blocking, cards, feeds] = [(); 3].map(|()| people.random_ratio(1, 2));
        let shown = &mut StdRng::seed_from_u64(seed ^ SHOWN);
        let [pictures, apps] = [(); 2].map(|()| shown.random_ratio(2, 3) && nodes);
        let scrolls = &mut StdRng::seed_from_u64(seed ^ OLDER);
        let vague = scrolls.random();
        let manners = Manners {
            nodes,
            settings: nodes,
            blocking,
            cards,
            feeds,
            pictures,
            apps,
            vague,
            ..Manners::new(&mut rng)
        };
        let latency = *[2, 20, 100, 600].choose(&mut rng).unwrap_or(&20);
        let encrypted = seed.is_multiple_of(16);
        let cache = (seed % 4 == 1).then_some(10);
        let all: usize = devices.iter().sum();
        // Bursts and pauses: everything within a minute or two, or over hours.
        let length = *[30_000, 120_000, 600_000, 14_400_000].choose(&mut rng).unwrap_or(&120_000);
        // Most worlds come up undisturbed; in some the first login is disturbed, too.
        let begin = if rng.random_ratio(1, 6) { 0 } else { 10_000 };
        let mut acts = Vec::new();
        // Trouble comes at once: half of what happens does so within a few seconds of one of these moments.
        let moments: Vec<u64> = (0..3).map(|_| rng.random_range(0..length)).collect();
        let at = |rng: &mut StdRng| {
            begin
                + match moments.choose(rng) {
                    Some(moment) if rng.random() => moment + rng.random_range(0..5_000),
                    _ => rng.random_range(0..length),
                }
        };
        let mut left = size.messages;
        while left > 0 {
            let (device, burst) = (rng.random_range(0..all), rng.random_range(1..=8).min(left));
            let to = other_account(&devices, device, &mut rng);
            let mut when = at(&mut rng);
            for _ in 0..burst {
                acts.push(Act { at: when, device, deed: Deed::Send { to } });
                when += *[0, 0, 3, 40, 500].choose(&mut rng).unwrap_or(&0);
            }
            left -= burst;
        }
        for _ in 0..rng.random_range(4..20) {
            let device = rng.random_range(0..all);
            let with = other_account(&devices, device, &mut rng);
            let deed = match rng.random_range(0..4) {
                0 | 1 => Deed::MarkRead { with },
                2 => Deed::Type { with },
                _ => Deed::Foreground(rng.random()),
            };
            acts.push(Act { at: at(&mut rng), device, deed });
        }
        let changes = &mut StdRng::seed_from_u64(seed ^ CHANGES);
        for _ in 0..changes.random_range(0..16) {
            let device = changes.random_range(0..all);
            let with = other_account(&devices, device, changes);
            let mut when = at(changes);
            for _ in 0..changes.random_range(1..3) {
                let deed = match changes.random_range(0..5) {
                    0..2 => Deed::Edit { with },
                    2..4 => Deed::React { with },
                    _ => Deed::Retract { with },
                };
                acts.push(Act { at: when, device, deed });
                when += *[0, 3, 500].choose(changes).unwrap_or(&0);
            }
        }
        for _ in 0..later.random_range(0..6) {
            let device = later.random_range(0..all);
            let with = other_account(&devices, device, later);
            let deed = if later.random() { Deed::Delete { with } } else { Deed::Search { with } };
            acts.push(Act { at: at(later), device, deed });
        }
        let decisions = &mut StdRng::seed_from_u64(seed ^ DECISIONS);
        for _ in 0..decisions.random_range(0..6) {
            let device = decisions.random_range(0..all);
            let with = other_account(&devices, device, decisions);
            acts.push(Act { at: at(decisions), device, deed: Deed::Set { with } });
        }
        let plays = &mut StdRng::seed_from_u64(seed ^ PLAYS);
        for _ in 0..plays.random_range(0..8) {
            let device = plays.random_range(0..all);
            let with = other_account(&devices, device, plays);
            let mut when = at(plays);
            for _ in 0..plays.random_range(1..5) {
                acts.push(Act { at: when, device, deed: Deed::Play { with } });
                when += *[0, 3, 500].choose(plays).unwrap_or(&0);
            }
        }
        for _ in 0..people.random_range(0..8) {
            let device = people.random_range(0..all);
            let (with, when) = (other_account(&devices, device, people), at(people));
            let deed = match people.random_range(0..4) {
                0 => Deed::Block { with },
                1 => Deed::Rename { with },
                2 => Deed::Card,
                _ => Deed::Post,
            };
            let mut act = |at: u64, device, deed: Deed| acts.push(Act { at, device, deed });
            let before = when.saturating_sub(1_000);
            match (&deed, people.random_range(0..3)) {
                (Deed::Block { .. } | Deed::Rename { .. }, 0) => {
                    // What the other device would have been told while it was away is lost.
                    let sibling = sibling_of(&devices, device);
                    act(before, sibling, Deed::NoNetwork { back: 5_000, told: true });
                    act(when + 2_000, sibling, Deed::DropQueued { count: 9 });
                }
                (Deed::Block { .. } | Deed::Rename { .. } | Deed::Card, 1) => {
                    // It is taken over, and its session ends before the answer.
                    let back = 3_000;
                    let deaf = people.random();
                    act(before, device, if deaf { Deed::Mute { back } } else { Deed::Silence { back } });
                    act(when + 1_500, device, Deed::Forget);
                }
                (Deed::Block { .. }, 2) => {
                    let with = account_of(&devices, device);
                    let theirs = (0..all).filter(|other| account_of(&devices, *other) != with);
                    for other in theirs {
                        act(when + people.random_range(0..60_000), other, Deed::Retry { with });
                    }
                }
                _ => {}
            }
            acts.push(Act { at: when, device, deed });
        }
        let more = &mut StdRng::seed_from_u64(seed ^ MORE);
        for _ in 0..more.random_range(0..10) {
            let device = more.random_range(0..all);
            let (with, when) = (other_account(&devices, device, more), at(more));
            let deed = match more.random_range(0..16) {
                0..4 => Deed::Reply { with },
                4 | 5 => {
                    let within = *[0, 1_000, 3_000, 60_000].choose(more).unwrap_or(&0);
                    Deed::SendBy { to: with, within }
                }
                6 => Deed::Cancel { with },
                7 => Deed::Clear { with },
                8 => Deed::ClearOld { ago: *[0, 5_000, 60_000, 3_600_000].choose(more).unwrap_or(&0) },
                9 => Deed::SetMore { with },
                10 | 11 => Deed::Draft { with },
                12 | 13 => Deed::AddContact { with },
                14 => Deed::RemoveContact { with },
                _ if more.random() => Deed::Accept { with },
                _ => Deed::Decline { with },
            };
            if more.random() && matches!(deed, Deed::AddContact { .. } | Deed::RemoveContact { .. }) {
                let own = account_of(&devices, device);
                let theirs =
                    (0..all).filter(|other| account_of(&devices, *other) == with).collect::<Vec<_>>();
                let their = theirs.choose(more).copied().unwrap_or(device);
                let (again, accepted) = (more.random_range(0..20_000), more.random_range(0..20_000));
                acts.push(Act { at: when + again, device, deed: Deed::AddContact { with } });
                acts.push(Act {
                    at: when + again + accepted,
                    device: their,
                    deed: Deed::Accept { with: own },
                });
            }
            let mut act = |at: u64, deed: Deed| acts.push(Act { at, device, deed });
            if more.random() && matches!(deed, Deed::SendBy { .. } | Deed::Cancel { .. } | Deed::Clear { .. })
            {
                // What has not left yet waits for something.
                act(when.saturating_sub(1_000), Deed::NoNetwork { back: 4_000, told: more.random() });
                act(when.saturating_sub(500), Deed::Send { to: with });
            }
            act(when, deed);
        }
        let presence = &mut StdRng::seed_from_u64(seed ^ PRESENCE);
        for _ in 0..presence.random_range(0..6) {
            let (device, when) = (presence.random_range(0..all), at(presence));
            let mut act = |at: u64, deed: Deed| acts.push(Act { at, device, deed });
            match presence.random_range(0..4) {
                // It is decided where nobody can be told.
                0 => {
                    act(when.saturating_sub(1_000), Deed::NoNetwork { back: 4_000, told: presence.random() })
                }
                // It is for the next session to say.
                1 => act(when + presence.random_range(0..3_000), Deed::Forget),
                _ => {}
            }
            let (show, says) = (presence.random_range(0..5), presence.random_ratio(2, 3));
            act(when, Deed::Present { show, says });
        }
        let feed = &mut StdRng::seed_from_u64(seed ^ FEEDS);
        if feeds && nodes && feed.random_ratio(1, 4) {
            let (device, reader, when) = (feed.random_range(0..all), feed.random_range(0..all), at(feed));
            let mut act = |at: u64, device, deed: Deed| acts.push(Act { at, device, deed });
            act(when + 1_000, reader, Deed::NoNetwork { back: 30_000, told: feed.random() });
            act(when + 1_500, reader, Deed::Forget);
            for number in 0..6 {
                act(when + 500 * number, device, Deed::Post);
            }
        }
        if manners.pictures {
            show(&mut acts, &devices, at, shown);
        }
        if manners.apps {
            publish(&mut acts, &devices, at, shown);
        }
        let late = scroll(&mut acts, &devices, at, scrolls);
        // No server's pages are so small that the first one that a device reads is of receipts only.
        let manners = Manners { page: if late.is_some() { 50 } else { manners.page }, ..manners };
        let faults = size.faults + rng.random_range(0..=size.faults);
        for _ in 0..faults {
            let device = rng.random_range(0..all);
            let when = at(&mut rng);
            let other = other_account(&devices, device, &mut rng);
            fault(&mut acts, when, (device, sibling_of(&devices, device)), other, &mut rng);
        }
        acts.sort_by_key(|act| act.at);
        Self { seed, devices, manners, latency, encrypted, cache, late, acts }
    }

    /// Of which account a device is.
    pub fn account_of(&self, device: usize) -> usize {
        account_of(&self.devices, device)
    }
}

impl Manners {
    fn new(rng: &mut StdRng) -> Self {
        Self {
            sasl2: rng.random_ratio(1, 2),
            sm: rng.random_ratio(9, 10),
            page: *[3, 10, 50].choose(rng).unwrap_or(&50),
            hibernation: *[20_000, 300_000, 86_400_000].choose(rng).unwrap_or(&300_000),
            queue: *[8, 100, 500, 100_000].choose(rng).unwrap_or(&500),
            overflow: if rng.random() { Overflow::Destroy } else { Overflow::Forget },
            failed_says_h: rng.random(),
            asks_every: *[1, 5, 1_000].choose(rng).unwrap_or(&5),
            to_all: rng.random(),
            archive_or_offline: rng.random(),
            rescues: rng.random(),
            carbon_ids: rng.random(),
            clock: *[0, 0, 2_000, -90_000, 7_200_000].choose(rng).unwrap_or(&0),
            page_takes: *[0, 100, 2_000, 2_000].choose(rng).unwrap_or(&0),
            hates_late: rng.random_ratio(2, 3),
            strangers: rng.random_ratio(1, 3),
            nodes: false,
            settings: false,
            blocking: false,
            cards: false,
            feeds: false,
            pictures: false,
            apps: false,
            vague: false,
        }
    }
}

fn other_account(devices: &[usize], device: usize, rng: &mut StdRng) -> usize {
    let own = account_of(devices, device);
    let others: Vec<usize> = (0..devices.len()).filter(|account| *account != own).collect();
    *others.choose(rng).unwrap_or(&own)
}

/// Another device of the same account, if there is one.
fn sibling_of(devices: &[usize], device: usize) -> usize {
    let of_account = |sibling: &usize| account_of(devices, *sibling) == account_of(devices, device);
    (0..devices.iter().sum()).filter(of_account).find(|sibling| *sibling != device).unwrap_or(device)
}

fn account_of(devices: &[usize], device: usize) -> usize {
    let mut first = 0;
    devices
        .iter()
        .position(|count| {
            first += count;
            device < first
        })
        .unwrap_or(0)
}

/// How long something lasts: an instant, seconds, minutes, hours.
fn a_while(rng: &mut StdRng) -> u64 {
    let most = *[10, 3_000, 40_000, 400_000, 10_000_000].choose(rng).unwrap_or(&3_000);
    rng.random_range(0..=most)
}

fn cut(rng: &mut StdRng) -> Deed {
    Deed::Cut {
        keep_up: rng.random_range(0..6),
        keep_down: rng.random_range(0..6),
        client: if rng.random_ratio(1, 4) { None } else { Some(rng.random_range(0..2_000)) },
        server: a_while(rng),
        late: if rng.random_ratio(1, 4) { a_while(rng) } else { 0 },
    }
}

fn death(rng: &mut StdRng) -> Deed {
    let when = match rng.random_range(0..3) {
        0 => When::Idle,
        1 => When::Operation(rng.random_range(1..40)),
        _ => When::Effects(rng.random_range(0..6)),
    };
    let back = a_while(rng);
    if rng.random_ratio(1, 3) { Deed::PowerLoss { when, back } } else { Deed::Kill { when, back } }
}

/// Pictures and names, and what may go wrong right then.
fn show(acts: &mut Vec<Act>, devices: &[usize], at: impl Fn(&mut StdRng) -> u64, rng: &mut StdRng) {
    let all: usize = devices.iter().sum();
    for _ in 0..rng.random_range(1..6) {
        let (device, when) = (rng.random_range(0..all), at(rng));
        let deed = match rng.random_range(0..5) {
            // What is large goes alone, and the rest waits until the server has it.
            0..3 => Deed::Picture { bytes: *[0, 20, 20, 5_000].choose(rng).unwrap_or(&20) },
            _ => Deed::Nickname,
        };
        let mut act = |at: u64, device, deed: Deed| acts.push(Act { at, device, deed });
        match rng.random_range(0..6) {
            // It is decided where nobody can be told, and perhaps for another session to say.
            0 => {
                act(when.saturating_sub(1_000), device, Deed::NoNetwork { back: 4_000, told: rng.random() });
                if rng.random() {
                    act(when + 1_000, device, Deed::Forget);
                }
            }
            // Its process dies over it, with some of it said.
            1 => {
                let when_it_dies = When::Effects(rng.random_range(0..4));
                act(when, device, Deed::Kill { when: when_it_dies, back: a_while(rng) });
            }
            // It is taken over, and done or not, and nobody says so; perhaps its session ends over that.
            2 => {
                let back = 3_000;
                let deaf = rng.random();
                let deed = if deaf { Deed::Mute { back } } else { Deed::Silence { back } };
                act(when.saturating_sub(1_000), device, deed);
                if rng.random() {
                    act(when + 1_500, device, Deed::Forget);
                }
            }
            // Whoever is told of it is away meanwhile, and what they would have been told may be lost.
            3 => {
                let other = rng.random_range(0..all);
                act(when.saturating_sub(1_000), other, Deed::NoNetwork { back: 5_000, told: true });
                if rng.random() {
                    act(when + 2_000, other, Deed::DropQueued { count: 9 });
                }
            }
            _ => {}
        }
        act(when, device, deed);
        if rng.random_ratio(1, 4) {
            // Half of it arrives.
            let keep_up = rng.random_range(0..3);
            let cut = Deed::Cut { keep_up, keep_down: 0, client: Some(50), server: a_while(rng), late: 0 };
            acts.push(Act { at: when + rng.random_range(0..3), device, deed: cut });
        }
    }
}

/// What apps publish, and whether others of their kind want to hear of it.
fn publish(acts: &mut Vec<Act>, devices: &[usize], at: impl Fn(&mut StdRng) -> u64, rng: &mut StdRng) {
    let all: usize = devices.iter().sum();
    for device in 0..all {
        if rng.random_ratio(2, 3) {
            acts.push(Act { at: rng.random_range(0..10_000), device, deed: Deed::Follow { on: true } });
        }
    }
    for _ in 0..rng.random_range(1..8) {
        let (device, mut when) = (rng.random_range(0..all), at(rng));
        let mut act = |at: u64, device, deed: Deed| acts.push(Act { at, device, deed });
        if rng.random_ratio(1, 4) {
            if rng.random() {
                // It is for the next link to say.
                act(when.saturating_sub(1_000), device, Deed::NoNetwork { back: 4_000, told: rng.random() });
            }
            act(when, device, Deed::Follow { on: rng.random() });
            // What is published right then may be on its way.
            act(when + rng.random_range(0..500), rng.random_range(0..all), Deed::Publish);
            continue;
        }
        match rng.random_range(0..4) {
            0 => act(when + rng.random_range(0..500), device, Deed::Forget),
            1 => {
                let other = rng.random_range(0..all);
                act(when.saturating_sub(1_000), other, Deed::NoNetwork { back: 5_000, told: true });
            }
            _ => {}
        }
        for _ in 0..rng.random_range(1..5) {
            act(when, device, Deed::Publish);
            when += *[0, 500, 5_000].choose(rng).unwrap_or(&0);
        }
    }
}

/// What is older, and what is not kept. Returns which device comes later.
fn scroll(
    acts: &mut Vec<Act>,
    devices: &[usize],
    at: impl Fn(&mut StdRng) -> u64,
    rng: &mut StdRng,
) -> Option<(usize, u64)> {
    let all: usize = devices.iter().sum();
    let late = rng.random_ratio(1, 4).then(|| (rng.random_range(0..all), at(rng)));
    for _ in 0..rng.random_range(0..6) {
        let device = match late {
            Some((device, _)) if rng.random() => device,
            _ => rng.random_range(0..all),
        };
        let mut when = at(rng);
        if rng.random_ratio(1, 4) {
            acts.push(Act { at: when, device, deed: Deed::Expire { count: rng.random_range(1..12) } });
        }
        for _ in 0..rng.random_range(0..4) {
            acts.push(Act { at: when, device, deed: Deed::Older });
            when += *[0, 100, 3_000].choose(rng).unwrap_or(&0);
        }
    }
    late
}

/// One fault, with what must go before or behind it for it to bite.
fn fault(acts: &mut Vec<Act>, at: u64, (device, sibling): (usize, usize), other: usize, rng: &mut StdRng) {
    let mut act = |at: u64, deed: Deed| acts.push(Act { at, device, deed });
    let back = a_while(rng);
    match rng.random_range(0..31) {
        0..5 => act(at, cut(rng)),
        5..8 => act(at, death(rng)),
        8 | 9 => act(
            at,
            Deed::Disk {
                failure: *[DiskFailure::Full, DiskFailure::Broken, DiskFailure::Once]
                    .choose(rng)
                    .unwrap_or(&DiskFailure::Full),
                operation: rng.random_range(1..60),
                back,
            },
        ),
        10 => act(at, Deed::Clock { by: rng.random_range(-1_000_000_000..1_000_000_000) }),
        11 => act(at, Deed::Sleep { back }),
        12 => act(at, Deed::Restart { back: back.min(60_000), keeps: rng.random() }),
        13 => {
            act(at, Deed::NoNetwork { back: back.max(5_000), told: rng.random() });
            // What is read in a tunnel is old news when the other device hears of it.
            act(at + 1_000, Deed::MarkRead { with: other });
            act(at + 2_000, Deed::Bot { from: other });
            acts.push(Act { at: at + 4_000, device: sibling, deed: Deed::MarkRead { with: other } });
        }
        14 => act(at, Deed::OtherNetwork),
        15 => act(at, Deed::Suspend { back }),
        16 => {
            if rng.random() {
                // The id that what it misses begins behind may be among them.
                act(at, Deed::Forget);
                act(at, Deed::NoNetwork { back, told: true });
            }
            act(at + rng.random_range(0..3_000), Deed::ForgetIds);
        }
        17 => act(at, Deed::Mute { back }),
        18 | 30 => {
            // Who begins anew asks for pages.
            act(at, if rng.random() { Deed::RefusePages { back } } else { Deed::ShortPages { back } });
            act(at + rng.random_range(0..2_000), Deed::Forget);
        }
        19 => act(at, Deed::DropQueued { count: rng.random_range(1..5) }),
        20 => {
            if rng.random_ratio(2, 3) {
                // Nobody says then whether it is in the archive.
                act(at, Deed::RefusePages { back: back.max(5_000) });
            }
            act(at, Deed::SendHated { to: other });
        }
        21 => (0..3).for_each(|_| act(at, Deed::Bot { from: other })),
        22 => act(at, Deed::Poison { from: other }),
        23 => act(at, Deed::TooLarge),
        24 => act(at, Deed::Overtaken { back }),
        _ => {
            // What a server does with a resumption shows only if there is one.
            act(
                at,
                match rng.random_range(0..6) {
                    0 => Deed::Forget,
                    1 => Deed::StaleH { less: rng.random_range(1..10) },
                    2 => Deed::WildH { more: rng.random_range(1..1_000_000) },
                    3 => Deed::ForeignH { h: rng.random_range(0..200) },
                    4 => Deed::ReplayTwice,
                    _ => Deed::Reorder,
                },
            );
            act(at + rng.random_range(0..2_000), if rng.random_ratio(1, 4) { death(rng) } else { cut(rng) });
        }
    }
}
