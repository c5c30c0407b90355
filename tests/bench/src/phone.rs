//! What a phone does, on the public API, in a process of its own.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use tracing::{Metadata, Subscriber, span};
use whimbrel::{
    Account, Address, Client, Connection, Event, FileVault, Item, ItemId, Options, Role, Search, Server,
    Status,
};

use crate::{Result, archive, children, clocks};

/// Nothing here takes longer, or it is broken.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Args)]
pub(crate) struct Arguments {
    /// The directory that outlives the process
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    account: String,
    #[command(subcommand)]
    does: Does,
}

#[derive(Subcommand)]
enum Does {
    /// Signs in for the first time, catches up, and goes
    SignIn {
        #[arg(long)]
        password: String,
        /// Direct TLS, on loopback
        #[arg(long)]
        port: u16,
        #[arg(long)]
        ca: PathBuf,
    },
    /// Waits for a word, then comes online and fetches what was missed
    CatchUp {
        /// Show the conversation list meanwhile
        #[arg(long)]
        shown: bool,
    },
    /// Comes online and shows a conversation, until this text is in it
    Show {
        #[arg(long)]
        with: String,
        #[arg(long)]
        text: String,
    },
    /// Was started by a push: says what it has brought, and is suspended
    WakeUp,
    /// Comes online, and tells each time that it did
    Stay,
    /// Waits for a word, then opens conversations, each named by a line
    Open,
    /// Without a server: sends so many messages, twice, and tells how long each took from its commit to who listens
    Listen {
        #[arg(long)]
        samples: usize,
    },
    /// Waits for a word, then shows the list of conversations, again and again, and messages in it
    List {
        #[arg(long)]
        samples: usize,
    },
    /// Looks for what each line says
    Search,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(live(arguments))
}

async fn live(arguments: &Arguments) -> Result<()> {
    std::fs::create_dir_all(&arguments.data)?;
    let vault = Arc::new(FileVault::new(&arguments.data));
    let role = if matches!(arguments.does, Does::WakeUp) { Role::Extension } else { Role::App };
    let client = Client::open(&arguments.data, vault, Options { role, ..Options::default() }).await?;
    let jid: Address = arguments.account.parse()?;
    let account = match &arguments.does {
        Does::SignIn { password, port, ca } => {
            let connection = Connection {
                server: Some(Server { host: "127.0.0.1".into(), port: *port, direct_tls: true }),
                certificates: Some(std::fs::read_to_string(ca)?),
                ..Connection::default()
            };
            let account = client.add_account(jid, connection).await?;
            account.sign_in(password).await?;
            account.sync(PATIENCE).await?;
            account
        }
        Does::Listen { .. } => client.add_account(jid, Connection::default()).await?,
        _ => client.account(&jid).ok_or("the phone was not signed in")?,
    };
    match &arguments.does {
        Does::SignIn { .. } => {}
        Does::CatchUp { shown } => catch_up(&account, *shown).await?,
        Does::Show { with, text } => show(&account, &with.parse()?, text).await?,
        Does::WakeUp => wake_up(&client, &account).await?,
        Does::Stay => stay(&account).await?,
        Does::Open => open(&account)?,
        Does::Listen { samples } => listen(&account, *samples).await?,
        Does::List { samples } => list(&account, *samples).await?,
        Does::Search => search(&account)?,
    }
    client.suspend(PATIENCE).await;
    Ok(())
}

async fn catch_up(account: &Account, shown: bool) -> Result<()> {
    let commits = Arc::new(Commits::default());
    tracing::subscriber::set_global_default(CommitTimes(Arc::clone(&commits)))?;
    children::say(&serde_json::json!({ "ready": true }));
    children::wait_for_word()?;
    if shown {
        let list = account.conversations().subscribe();
        tokio::spawn(async move {
            let mut seq = 0;
            while let Ok(update) = list.next(seq).await {
                seq = update.seq;
            }
        });
    }
    let connecting = Instant::now();
    let mut status = account.status();
    account.connect().await?;
    // From the first query, which leaves with the commit that says so, to the commit that closed the gap.
    let mut began: Option<(Instant, f64)> = None;
    loop {
        match &status {
            Status::CatchingUp { .. } if began.is_none() => {
                began = Some((Instant::now(), clocks::process()));
                commits.reset();
            }
            Status::Online if began.is_some() => break,
            Status::Offline { reason: Some(reason), .. } => return Err(reason.to_string().into()),
            _ => {}
        }
        status = tokio::time::timeout(PATIENCE, account.status_after(&status)).await??;
    }
    let (began, cpu) = began.ok_or("caught up before it began")?;
    let (wall, cpu) = (began.elapsed(), clocks::process() - cpu);
    let (count, micros) = commits.so_far();
    let done = serde_json::json!({
        "ms": wall.as_secs_f64() * 1e3, "cpu_us": cpu, "login_ms": (began - connecting).as_secs_f64() * 1e3,
        "commits": count, "commit_ms": micros / 1e3,
    });
    children::say(&serde_json::json!({ "done": done }));
    children::wait_for_word()?;
    children::say(&serde_json::json!({ "in_order": in_order(account)? }));
    children::wait_for_word()
}

/// How many messages there are; an error if one of them stands in the wrong place.
fn in_order(account: &Account) -> Result<u64> {
    let mut count = 0;
    for conversation in account.conversations().items()? {
        let mut last: Option<u64> = None;
        for item in account.timeline(&conversation.with, 1_000_000)?.items()? {
            let Item::Message(message) = item else { continue };
            let number = archive::number(&message.text).ok_or("a message without number")?;
            // The texts from before the first sign-in are numbered by themselves.
            if last.is_some_and(|last| number <= last && number >= 10) {
                return Err(format!("{number} stands behind {last:?}").into());
            }
            last = Some(number);
            count += 1;
        }
    }
    Ok(count)
}

async fn show(account: &Account, with: &Address, text: &str) -> Result<()> {
    let mut events = account.events();
    let updates = account.timeline(with, 50)?.subscribe();
    account.connect().await?;
    let (mut items, mut seq, mut resumed) = (Vec::new(), 0, false);
    loop {
        tokio::select! {
            biased;
            Some(event) = events.next() => {
                if let Event::Online { resumed: online, .. } = event {
                    resumed = online;
                }
            }
            update = updates.next(seq) => {
                let update = update?;
                seq = update.seq;
                whimbrel::apply(&mut items, &update.splices);
                let is_it = |item: &Item| matches!(item, Item::Message(message) if message.text == text);
                if items.iter().rev().any(is_it) {
                    children::say(&serde_json::json!({ "shown": { "resumed": resumed } }));
                    return children::wait_for_word();
                }
            }
        }
    }
}

async fn wake_up(client: &Client, account: &Account) -> Result<()> {
    let mut events = account.events();
    let woken = client.wake_up(account.jid(), PATIENCE).await?;
    let mut resumed = None;
    while resumed.is_none() {
        match events.next().await {
            Some(Event::Online { resumed: online, .. }) => resumed = Some(online),
            Some(_) => {}
            None => break,
        }
    }
    let notify: Vec<String> = woken.notify.into_iter().map(|message| message.text).collect();
    children::say(
        &serde_json::json!({ "woken": { "resumed": resumed, "complete": woken.complete, "notify": notify } }),
    );
    children::wait_for_word()
}

async fn stay(account: &Account) -> Result<()> {
    let mut events = account.events();
    account.connect().await?;
    while let Some(event) = events.next().await {
        match event {
            Event::Online { resumed, .. } => {
                children::say(&serde_json::json!({ "online": { "resumed": resumed } }));
            }
            Event::CaughtUp => children::say(&serde_json::json!({ "caught_up": true })),
            _ => {}
        }
    }
    Ok(())
}

/// For each line, opens that conversation and tells how long its first screen took.
fn open(account: &Account) -> Result<()> {
    children::say(&serde_json::json!({ "ready": true }));
    for line in std::io::stdin().lines() {
        let with: Address = line?.trim().parse()?;
        let began = Instant::now();
        let items = account.timeline(&with, 50)?.items()?;
        let took = began.elapsed();
        children::say(
            &serde_json::json!({ "opened": { "ms": took.as_secs_f64() * 1e3, "items": items.len() } }),
        );
    }
    Ok(())
}

/// What `ffi` measures, without a boundary.
async fn listen(account: &Account, samples: usize) -> Result<()> {
    let commits = Arc::new(Commits::default());
    tracing::subscriber::set_global_default(CommitTimes(Arc::clone(&commits)))?;
    let juliet: Address = "juliet@capulet.lit".parse()?;
    let updates = account.timeline(&juliet, 50)?.subscribe();
    let mut seq = updates.next(0).await?.seq;
    let mut micros = Vec::new();
    for _ in 0..2 * samples {
        // As in the other languages, where the listener is a task of its own.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let (before, _) = commits.so_far();
        let sent = account.send(ItemId::new(), &juliet, "But soft, what light through yonder window breaks?");
        let arrived = async { updates.next(seq).await.map(|update| (update.seq, Instant::now())) };
        let (sent, arrived) = tokio::join!(sent, arrived);
        let (next, at) = arrived?;
        sent?;
        seq = next;
        let (count, _) = commits.so_far();
        // Now and then the search index follows, in a commit of its own.
        if let Some(committed) = commits.last().filter(|_| count == before + 1) {
            micros.push((at - committed).as_secs_f64() * 1e6);
        }
    }
    children::say(&serde_json::json!({ "events": micros[micros.len() / 2..] }));

    let newest = account.timeline(&juliet, 1)?.subscribe();
    newest.next(0).await?;
    let (count, size) = (20, 500);
    let mut micros = Vec::new();
    for _ in 0..2 * count {
        let began = Instant::now();
        for _ in 0..size {
            // The first update again and again, as if it had been lost.
            newest.next(0).await?;
        }
        micros.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(size));
    }
    children::say(&serde_json::json!({ "updates": micros[count..] }));
    Ok(())
}

/// How long the list took to show for the first time, then for each listener that came later, and each message to be in it, without
/// its commit.
async fn list(account: &Account, samples: usize) -> Result<()> {
    let commits = Arc::new(Commits::default());
    tracing::subscriber::set_global_default(CommitTimes(Arc::clone(&commits)))?;
    children::say(&serde_json::json!({ "ready": true }));
    children::wait_for_word()?;
    let ms = |began: Instant| began.elapsed().as_secs_f64() * 1e3;
    let (mut first, mut again, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    let followed = account.conversations().subscribe();
    let began = Instant::now();
    let update = followed.next(0).await?;
    first.push(ms(began));
    let (mut list, mut seq) = (Vec::new(), update.seq);
    whimbrel::apply(&mut list, &update.splices);
    for _ in 0..samples {
        let began = Instant::now();
        account.conversations().subscribe().next(0).await?;
        again.push(ms(began));
    }
    for number in 0..samples {
        // Somebody far below most often, as nobody has written to them for long.
        let with: Address = list[(number * 7_919) % list.len()].with.clone();
        let text = format!("message {number}");
        commits.reset();
        let began = Instant::now();
        let (sent, update) =
            tokio::join!(account.send(ItemId::new(), &with, text.as_str()), followed.next(seq));
        let took = ms(began);
        sent?;
        let update = update?;
        seq = update.seq;
        whimbrel::apply(&mut list, &update.splices);
        match &list[0].last {
            Some(last) if last.text == text => shown.push(took - commits.so_far().1 / 1e3),
            _ => return Err(format!("{text} is not in the first line").into()),
        }
    }
    let lines = list.len();
    children::say(&serde_json::json!({
        "listed": { "first": first, "again": again, "shown": shown, "lines": lines }
    }));
    children::wait_for_word()
}

/// For each line, looks for the first page of it and tells how long that took.
fn search(account: &Account) -> Result<()> {
    children::say(&serde_json::json!({ "ready": true }));
    for line in std::io::stdin().lines() {
        let wanted: serde_json::Value = serde_json::from_str(&line?)?;
        let wanted = Search {
            text: wanted["text"].as_str().unwrap_or_default().to_owned(),
            with: wanted["with"].as_str().map(str::parse).transpose()?,
            ..Search::default()
        };
        let began = Instant::now();
        let found = account.search(&wanted, None, 20)?;
        let took = began.elapsed();
        children::say(
            &serde_json::json!({ "found": { "ms": took.as_secs_f64() * 1e3, "hits": found.hits.len() } }),
        );
    }
    Ok(())
}

/// The engine's commits, counted by their spans.
#[derive(Default)]
struct Commits {
    count: AtomicU64,
    nanos: AtomicU64,
    began: std::sync::Mutex<Option<Instant>>,
    ended: std::sync::Mutex<Option<Instant>>,
}

impl Commits {
    fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.nanos.store(0, Ordering::Relaxed);
    }

    fn so_far(&self) -> (u64, f64) {
        (self.count.load(Ordering::Relaxed), self.nanos.load(Ordering::Relaxed) as f64 / 1e3)
    }

    fn last(&self) -> Option<Instant> {
        *self.ended.lock().ok()?
    }
}

/// Wants to hear of commits and of nothing else.
struct CommitTimes(Arc<Commits>);

impl Subscriber for CommitTimes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "commit"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn enter(&self, _: &span::Id) {
        if let Ok(mut began) = self.0.began.lock() {
            *began = Some(Instant::now());
        }
    }

    fn exit(&self, _: &span::Id) {
        let now = Instant::now();
        if let (Ok(began), Ok(mut ended)) = (self.0.began.lock(), self.0.ended.lock())
            && let Some(began) = *began
        {
            *ended = Some(now);
            self.0.count.fetch_add(1, Ordering::Relaxed);
            self.0.nanos.fetch_add((now - began).as_nanos() as u64, Ordering::Relaxed);
        }
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
}
