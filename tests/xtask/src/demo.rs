//! `cargo xtask demo`: two phones hold a conversation over links that are cut every few seconds, and one of them is killed.
//!
//! What it shows is not that a message can be sent, but that none is lost, doubled or put out of order by anything that a
//! phone lives through. The phones are processes; we are the app on each of them, and we do what an app has to: give every
//! message an id before it is sent, and send it again under that id if the answer never came. Everything is counted from
//! outside: messages by what the receiver's timeline shows at the end, round trips by the link.
//!
//! The figures' definitions are API.md's: *lost* is what the sender's phone had accepted and the receiver's timeline lacks,
//! *doubled* what stands there more than once, *out of order* a pair that stands the other way than it was sent.

mod chat;
mod figures;
mod phone;
mod screen;
mod trouble;

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use figures::Figures;
use interop::{Kind, Options, Scratch, Server};
use phone::Handset;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{Result, cargo, host};

#[derive(Args, Default)]
pub(crate) struct Arguments {
    /// How many messages each of the two sends
    #[arg(long, default_value_t = 300)]
    messages: usize,
    /// Restarts the server properly in the middle
    #[arg(long)]
    restart_server: bool,
    /// Prints nothing but the figures, as JSON
    #[arg(long)]
    json: bool,
    /// Makes the same cuts, kills and pauses again
    #[arg(long)]
    seed: Option<u64>,
    /// Chats from this account on a real server instead, interactively
    #[arg(long, value_name = "JID")]
    account: Option<String>,
    /// That server, if it is not to be looked up
    #[arg(long, value_name = "HOST:PORT", requires = "account")]
    server: Option<String>,
    /// TLS from the first byte on that port
    #[arg(long, requires = "server")]
    direct_tls: bool,
    /// An authority to trust beside the platform's, PEM
    #[arg(long, value_name = "FILE", requires = "account")]
    ca: Option<PathBuf>,
    /// Where that account's data is kept; deleted afterwards if not given
    #[arg(long, value_name = "DIR", requires = "account")]
    data: Option<PathBuf>,
    /// Builds the console as a phone would get it, which takes longer
    #[arg(long)]
    release: bool,
    /// Keeps logs and databases of both phones in this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// How long each way takes: a good mobile network's. It also makes "in flight" mean something.
const DELAY: Duration = Duration::from_millis(40);

/// After the last message was sent and the links stay up.
const SETTLING: Duration = Duration::from_secs(90);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    host::need(&host::BUILD, "150 MB, half a minute")?;
    let console = cargo::console(arguments.release)?;
    match &arguments.account {
        Some(account) => chat::run(arguments, account, &console),
        None => conversation(arguments, console),
    }
}

/// For `cargo xtask test`: that it works at all.
pub(crate) fn short() -> Result<()> {
    run(&Arguments { messages: 60, ..Arguments::default() })
}

fn conversation(arguments: &Arguments, console: PathBuf) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let mut server = Server::start(Kind::Prosody13, Options::default())?;
    server.add_users([("romeo", "a.test", "moon"), ("juliet", "b.test", "sun")])?;
    if !arguments.json {
        println!(
            "Romeo and Juliet, {} messages each over {}, seed {seed}. Both links are cut every 2 to 4 seconds, \
             Juliet's phone is killed now and then.",
            arguments.messages,
            server.kind().name()
        );
    }
    let scratch = Scratch::new("demo")?;
    let dir = arguments.keep.as_deref().unwrap_or(scratch.path());
    fs::create_dir_all(dir)?;
    let romeo = Handset::new("Romeo", dir, "romeo@a.test", "moon", "juliet@b.test", &server, &console)?;
    let juliet = Handset::new("Juliet", dir, "juliet@b.test", "sun", "romeo@a.test", &server, &console)?;
    let figures = play(arguments, seed, &mut server, &romeo, &juliet)?;
    let verdict = figures.verdict(arguments.restart_server);
    if !arguments.json {
        figures.print(&[&romeo, &juliet]);
    }
    println!("{}", figures.json());
    verdict.map_err(|why| match arguments.keep {
        Some(_) => why.into(),
        None => format!("{why} (seed {seed}; --keep DIR keeps the phones' logs)").into(),
    })
}

/// The run itself: everybody in a thread of their own, until all was said and nobody is behind.
fn play(
    arguments: &Arguments,
    seed: u64,
    server: &mut Server,
    romeo: &Arc<Handset>,
    juliet: &Arc<Handset>,
) -> Result<Figures> {
    let started = Instant::now();
    let mut dice = StdRng::seed_from_u64(seed);
    let mut dice = || StdRng::seed_from_u64(dice.random());
    // A generous minute beyond what the pauses and cuts add up to; a run that hangs must end, and say so.
    let limit = Duration::from_secs(180) + Duration::from_millis(1500) * u32::try_from(arguments.messages)?;
    let over = AtomicBool::new(false);
    let calm = AtomicBool::new(false);
    let screen = screen::Screen::new(!arguments.json);
    thread::scope(|scope| -> Result<Figures> {
        // Whatever happens below, the threads must end, or this scope does not.
        let _ends = SetWhenDropped(&over);
        for phone in [romeo, juliet] {
            phone.start()?;
            scope.spawn(|| phone.listen(&over));
        }
        for phone in [romeo, juliet] {
            phone.wait_first_online(Duration::from_secs(60))?;
        }
        phone::befriend(&[romeo, juliet], Duration::from_secs(60))?;
        scope.spawn(|| screen.show(&[romeo, juliet], arguments.messages, &over));
        let (cuts, more_cuts, kills) = (dice(), dice(), dice());
        let troubles = [
            scope.spawn(|| trouble::cut_now_and_then(romeo, cuts, &calm)),
            scope.spawn(|| trouble::cut_now_and_then(juliet, more_cuts, &calm)),
            scope.spawn(|| trouble::kill_now_and_then(juliet, kills, &calm)),
        ];
        let (pauses, more_pauses) = (dice(), dice());
        let authors = [
            scope.spawn(|| romeo.talk(arguments.messages, pauses, &over)),
            scope.spawn(|| juliet.talk(arguments.messages, more_pauses, &over)),
        ];
        let mut restarted = !arguments.restart_server;
        while !authors.iter().all(thread::ScopedJoinHandle::is_finished) {
            if started.elapsed() > limit {
                return Err(format!("not everything was said within {} s", limit.as_secs()).into());
            }
            if !restarted && romeo.accepted() + juliet.accepted() >= arguments.messages {
                restarted = true;
                server.restart()?;
            }
            thread::sleep(Duration::from_millis(50));
        }
        calm.store(true, Ordering::Release);
        for author in authors {
            author.join().map_err(|_| "an author has panicked")??;
        }
        for trouble in troubles {
            trouble.join().map_err(|_| "what makes trouble has panicked")??;
        }
        // Twice: what one has sent last is what the other has to get.
        for phone in [romeo, juliet, romeo, juliet] {
            phone.settle(SETTLING)?;
        }
        let (took, deadline) = (started.elapsed(), Instant::now() + SETTLING);
        loop {
            // It may still be on its way.
            let figures = Figures::take(&[romeo, juliet], took)?;
            if figures.is_complete() || Instant::now() > deadline {
                return Ok(figures);
            }
            thread::sleep(Duration::from_millis(500));
        }
    })
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
