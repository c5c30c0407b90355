//! A long conversation between real processes over real servers and two links that break: what is lost, doubled, out of order,
//! how many sessions were resumed, what it cost.
//!
//! `interop`'s `conversation` says what is counted and `trouble` what happens; each client of each column draws it from the
//! same seed, so the links break at the same moments and after as many bytes for everybody. Who is compared talks one after the
//! other, each on a new server: the two columns of one client keep Prosody busy enough. The columns: cuts alone; cuts with kills
//! and freezes; for ours also a server that is restarted properly in the middle, and one that is killed.
//!
//! Each has a time limit. Whoever is still at it then is said to be, and what is not there has not arrived, but is not called lost.
//!
//! Beside what the receivers show, the server's archives are read at the end: what stands in the receiver's twice was sent twice,
//! and the server took it for two; what is lost and stands in the sender's and not in the receiver's was lost by the server:
//! between its two users if it was stopped meanwhile.
//!
//! Each client as its documentation says (`peers`): connecting again and resuming are on, nothing is said twice that it took.
//! A peer keeps no state over a kill, and is not meant to: its second column tells what keeping it is worth.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::{Args, ValueEnum};
use interop::{
    Amount, End, Kind, Link, Options, Outcome, Phone, Plan, Scratch, Script, Server, Talker, converse, number,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{Result, bare::Wire, figures::Report, peers};

const SLIXMPP: &str = include_str!("peers/slixmpp_talks.py");
const PASSWORD: &str = "sun-and-moon";
/// Of a hundred sessions, so many should be the ones from before.
const RESUMED: f64 = 95.0;
/// What a conversation may take longer than planned.
const PATIENCE: Duration = Duration::from_secs(240);
/// The same where three clients follow each other.
const PATIENCE_OF_THREE: Duration = Duration::from_secs(90);

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Prosody,
    Ejabberd,
    Both,
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// slixmpp and tokio-xmpp beside ours, one after the other, in the first two columns
    #[arg(long)]
    peers: bool,
    /// A tenth of it
    #[arg(long)]
    quick: bool,
    /// Over which server; both if not said, and with peers Prosody, since a server's run takes half an hour
    #[arg(long, value_enum)]
    server: Option<Which>,
    /// Makes the same cuts and kills again
    #[arg(long)]
    seed: Option<u32>,
    /// Keeps everybody's data, logs and raw streams, and the servers' data, in this directory. In memory, if the servers are to be
    /// as quick as without: on a disk that takes 55 commits a second ejabberd falls minutes behind
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Cuts,
    CutsAndKills,
    ServerRestarted,
    ServerKilled,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Column::Cuts => "cuts",
            Column::CutsAndKills => "cuts and kills",
            Column::ServerRestarted => "server restarted",
            Column::ServerKilled => "server killed",
        }
    }

    /// How much of it; the servers' runs are a quarter, so that the whole fits into the first one's time.
    fn amount(self, kind: Kind, quick: bool) -> (usize, Amount) {
        let (messages, seconds, cuts, kills) =
            if quick { (1_000, 75, 10, 3) } else { (10_000, 660, 100, 25) };
        let (part, kills) = match self {
            Column::Cuts => (1, 0),
            Column::CutsAndKills => (1, kills),
            Column::ServerRestarted | Column::ServerKilled => (if quick { 1 } else { 4 }, 0),
        };
        let amount = Amount {
            over: Duration::from_secs(seconds / part as u64),
            cuts: cuts / part,
            kills,
            bytes: 12_000,
            // Prosody waits 30 s for an ack, ejabberd 60. Prosody keeps 500 stanzas for whoever is away, and drops the session
            // with the next one: half a minute at this pace.
            longest_freeze: Duration::from_secs(match kind {
                _ if quick => 12,
                Kind::Ejabberd => 65,
                Kind::Prosody13 | Kind::Prosody012 => 31,
            }),
            silence: Duration::from_secs(35),
        };
        (messages / part, amount)
    }
}

/// Somebody's client.
#[derive(Clone)]
struct Client {
    name: &'static str,
    program: PathBuf,
    /// It knows a message again that is handed over twice, over kills too.
    keeps: bool,
}

/// One client in one column.
struct Row {
    client: &'static str,
    keeps: bool,
    column: Column,
    outcome: Outcome,
    /// Messages that stand in the receiver's archive once more than they should.
    archived_twice: usize,
    /// What should have been said, by both.
    planned: usize,
    /// What is missing and in the sender's archive, but not in the receiver's: the server has not handed on what it took.
    not_handed_on: usize,
    /// What is missing and in the receiver's archive.
    in_archive: usize,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("broken_link");
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    eprintln!("broken_link: seed {seed}");
    let clients = clients(arguments.peers)?;
    let mut unmet = Vec::new();
    let server = arguments.server.unwrap_or(if arguments.peers { Which::Prosody } else { Which::Both });
    for kind in [Kind::Prosody13, Kind::Ejabberd] {
        let wanted = match server {
            Which::Both => true,
            Which::Prosody => kind == Kind::Prosody13,
            Which::Ejabberd => kind == Kind::Ejabberd,
        };
        if wanted {
            let mut rows = Vec::new();
            for row in over(kind, arguments, seed, &clients)? {
                match row {
                    Ok(row) => rows.push(row),
                    // The others have run all the same.
                    Err(error) => unmet.push(format!("over {}: {error}", kind.name())),
                }
            }
            show(kind, &rows, report);
            unmet.extend(rows.iter().filter_map(|row| row.unmet(kind)));
        }
    }
    if unmet.is_empty() { Ok(()) } else { Err(format!("{} (seed {seed})", unmet.join("; ")).into()) }
}

/// Who takes part; who cannot is named with the reason.
fn clients(with_peers: bool) -> Result<Vec<Client>> {
    let mut clients = vec![Client { name: "whimbrel", program: interop::console_binary()?, keeps: true }];
    if !with_peers {
        return Ok(clients);
    }
    let slixmpp = || -> Result<PathBuf> {
        let python = peers::python_with_slixmpp()?;
        let dir = crate::data_dir("broken_link")?;
        std::fs::write(dir.join("slixmpp_talks.py"), SLIXMPP)?;
        let command = format!("{} {}", python.display(), dir.join("slixmpp_talks.py").display());
        Ok(interop::program(&dir.join("slixmpp_talks"), &command)?)
    };
    for (name, program) in
        [("slixmpp", slixmpp()), ("tokio_xmpp", peers::tokio_xmpp("bench-tokio-xmpp-talks"))]
    {
        match program {
            Ok(program) => clients.push(Client { name, program, keeps: false }),
            Err(error) => eprintln!("broken_link: without {name}: {error}"),
        }
    }
    Ok(clients)
}

/// One client after the other. What happens to one happens at the same time: to the links on one server, to the servers on others.
fn over(kind: Kind, arguments: &Arguments, seed: u32, clients: &[Client]) -> Result<Vec<Result<Row>>> {
    eprintln!("broken_link: over {}", kind.name());
    let scratch = Scratch::new("broken-link")?;
    let dir = arguments.keep.as_deref().unwrap_or(scratch.path()).join(kind.name());
    let mut rows = Vec::new();
    for client in clients {
        let conversations = Conversations { kind, arguments, seed, client, dir: &dir };
        match conversations.hold() {
            Ok(held) => rows.extend(held),
            // The others' half an hour is worth something.
            Err(error) => rows.push(Err(format!("{}: {error}", client.name).into())),
        }
    }
    Ok(rows)
}

/// What one client says over one kind of server.
struct Conversations<'a> {
    kind: Kind,
    arguments: &'a Arguments,
    seed: u32,
    client: &'a Client,
    dir: &'a Path,
}

impl Conversations<'_> {
    fn hold(&self) -> Result<Vec<Result<Row>>> {
        eprintln!("broken_link: {}", self.client.name);
        let server = self.server("server")?;
        let server = &server;
        thread::scope(|scope| {
            let mut rows = Vec::new();
            for column in [Column::Cuts, Column::CutsAndKills] {
                rows.push(scope.spawn(move || self.on(server, column)));
            }
            if !self.arguments.peers {
                for column in [Column::ServerRestarted, Column::ServerKilled] {
                    rows.push(scope.spawn(move || self.on_a_server_that_ends(column)));
                }
            }
            let joined = rows.into_iter().map(|row| match row.join() {
                Ok(row) => row,
                Err(_) => Err("a conversation has panicked".into()),
            });
            Ok(joined.collect())
        })
    }

    fn server(&self, what: &str) -> Result<Server> {
        let what = if self.client.keeps { what.to_owned() } else { format!("{what}-{}", self.client.name) };
        let data = self.arguments.keep.is_some().then(|| self.dir.join(what));
        Ok(Server::start(self.kind, Options { sql_archive: true, data, ..Options::default() })?)
    }

    fn on(&self, server: &Server, column: Column) -> Result<Row> {
        let pair = self.pair(server, column)?;
        let outcome = converse([&pair[0], &pair[1]], self.script(column, None));
        let outcome = outcome.map_err(|error| format!("{}, {}: {error}", self.client.name, column.name()))?;
        self.row(&pair, server, column, outcome)
    }

    fn on_a_server_that_ends(&self, column: Column) -> Result<Row> {
        let mut server = self.server(&column.name().replace(' ', "-"))?;
        let pair = self.pair(&server, column)?;
        let ends = Box::new(|| {
            if column == Column::ServerKilled {
                server.kill();
            }
            server.restart()
        });
        let outcome = converse([&pair[0], &pair[1]], self.script(column, Some(ends)))?;
        self.row(&pair, &server, column, outcome)
    }

    fn script<'a>(
        &self,
        column: Column,
        halfway: Option<Box<dyn FnOnce() -> interop::Result<()> + 'a>>,
    ) -> Script<'a> {
        let (messages, amount) = column.amount(self.kind, self.arguments.quick);
        let mut dice = StdRng::seed_from_u64(u64::from(self.seed));
        let plans = [Plan::draw(&mut dice, &amount), Plan::draw(&mut dice, &amount)];
        let limit = amount.over + if self.arguments.peers { PATIENCE_OF_THREE } else { PATIENCE };
        Script { messages, over: amount.over, limit, seed: self.seed, plans, halfway }
    }

    fn pair(&self, server: &Server, column: Column) -> Result<[Talker; 2]> {
        let client = self.client;
        let user = |who: &str| format!("{who}-{}-{}", client.name, column.name().replace(' ', "-"));
        let (romeo, juliet) = (user("romeo"), user("juliet"));
        server.add_users([(romeo.as_str(), "a.test", PASSWORD), (juliet.as_str(), "b.test", PASSWORD)])?;
        let talker = |names, account: &str, peer: &str| -> Result<Talker> {
            let link = Link::to(server.direct_tls_port())?;
            let ca = server.ca();
            let mut phone = Phone::new(self.dir.join(account), account, PASSWORD)
                .at(link.port())
                .with_direct_tls()
                .trusting(&ca)
                .running(&client.program)
                .with_variable("SSL_CERT_FILE", &ca.display().to_string());
            // The others have no option for it.
            phone.raw = self.arguments.keep.is_some() && client.keeps;
            Ok(Talker::new(names, peer, client.keeps, link, phone))
        };
        let (romeo, juliet) = (format!("{romeo}@a.test"), format!("{juliet}@b.test"));
        Ok([talker(["Romeo", "Juliet"], &romeo, &juliet)?, talker(["Juliet", "Romeo"], &juliet, &romeo)?])
    }

    /// What the archives add to an outcome.
    fn row(&self, pair: &[Talker; 2], server: &Server, column: Column, outcome: Outcome) -> Result<Row> {
        keep_raw(pair)?;
        let archives = pair
            .iter()
            .map(|talker| {
                let account = &talker.phone().account;
                Wire::log_in(server.direct_tls_port(), &server.ca(), account, PASSWORD)?.archived_bodies(50)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut row = Row {
            client: self.client.name,
            keeps: self.client.keeps,
            column,
            outcome,
            planned: 2 * column.amount(self.kind, self.arguments.quick).0,
            archived_twice: 0,
            not_handed_on: 0,
            in_archive: 0,
        };
        for at in [0, 1] {
            let name = pair[at].name;
            let numbers = |archive: usize| -> BTreeSet<u32> {
                archives[archive].iter().filter_map(|body| number(name, body)).collect()
            };
            let (own, theirs) = (numbers(at), numbers(1 - at));
            row.archived_twice +=
                archives[1 - at].iter().filter(|body| number(name, body).is_some()).count() - theirs.len();
            let missing = row.outcome.missing.iter();
            let missing = missing.filter_map(|missing| missing.strip_prefix(name)?.trim().parse().ok());
            for number in missing {
                row.in_archive += usize::from(theirs.contains(&number));
                row.not_handed_on += usize::from(own.contains(&number) && !theirs.contains(&number));
            }
        }
        Ok(row)
    }
}

/// What the phones saw and said, for whoever looks for a message.
fn keep_raw(pair: &[Talker; 2]) -> Result<()> {
    for talker in pair {
        let raw = std::mem::take(&mut talker.seen().raw);
        let Some(began) = raw.first().map(|(at, _)| *at) else { continue };
        let lines: String =
            raw.iter().map(|(at, line)| format!("{} {line}\n", (*at - began).as_millis())).collect();
        std::fs::write(talker.phone().data.join("raw"), lines)?;
    }
    Ok(())
}

impl Row {
    fn resumed(&self) -> f64 {
        self.outcome.resumed as f64 * 100.0 / self.outcome.sessions.max(1) as f64
    }

    /// Lost, and not arrived in the time that there was.
    fn missing(&self) -> [usize; 2] {
        let missing = self.outcome.shown.lost.len();
        if self.outcome.end == End::TimeUp { [0, missing] } else { [missing, 0] }
    }

    /// What ours has to reach, if it has not.
    fn unmet(&self, kind: Kind) -> Option<String> {
        let lost = self.outcome.shown.lost.len();
        // What a server that was stopped had taken over and has not handed on is its loss.
        let stopped = matches!(self.column, Column::ServerKilled | Column::ServerRestarted);
        let lost = if stopped { lost - self.not_handed_on } else { lost };
        let wrong = self.outcome.shown.out_of_order + self.outcome.own_wrong;
        let clean = lost + self.outcome.shown.doubled + wrong == 0;
        let missed =
            !clean || self.outcome.end != End::Settled || self.resumed() < RESUMED || self.outcome.died > 0;
        (self.keeps && missed).then(|| format!("{} over {} missed its aims", self.column.name(), kind.name()))
    }
}

fn show(kind: Kind, rows: &[Row], report: &mut Report) {
    let server = match kind {
        Kind::Ejabberd => "ejabberd",
        Kind::Prosody13 | Kind::Prosody012 => "prosody",
    };
    for row in rows {
        let it = &row.outcome;
        let name = |metric: &str| {
            format!("{server}_{}_{}_{metric}", row.client, row.column.name().replace(' ', "_"))
        };
        let mut count = |metric: &str, value: usize| report.count(name(metric), value);
        count("sent", it.shown.sent);
        let [lost, not_arrived] = row.missing();
        count("lost", lost);
        count("not_arrived", not_arrived);
        count("doubled", it.shown.doubled);
        count("out_of_order", it.shown.out_of_order);
        count("sessions", it.sessions);
        count("resumed", it.resumed);
        count("archived_twice", row.archived_twice);
        count("lost_by_the_server", row.not_handed_on);
        count("bytes_up", it.bytes.0 as usize);
        count("bytes_down", it.bytes.1 as usize);
        count("seconds", it.took.as_secs() as usize);
    }
    report.say(|| table(kind, rows));
}

fn table(kind: Kind, rows: &[Row]) -> String {
    let mut lines = vec![
        [
            "client",
            "what happens",
            "sent",
            "lost",
            "not arrived",
            "doubled",
            "out of order",
            "sessions",
            "resumed",
            "cuts",
            "kills",
            "archived twice",
            "kB up",
            "kB down",
            "s",
        ]
        .map(str::to_owned),
    ];
    let mut notes = Vec::new();
    for row in rows {
        let it = &row.outcome;
        let [lost, not_arrived] = row.missing();
        lines.push([
            row.client.to_owned(),
            row.column.name().to_owned(),
            it.shown.sent.to_string(),
            lost.to_string(),
            not_arrived.to_string(),
            it.shown.doubled.to_string(),
            it.shown.out_of_order.to_string(),
            it.sessions.to_string(),
            format!("{:.0} %", row.resumed()),
            it.cuts().to_string(),
            it.times("kill").to_string(),
            row.archived_twice.to_string(),
            (it.bytes.0 / 1000).to_string(),
            (it.bytes.1 / 1000).to_string(),
            it.took.as_secs().to_string(),
        ]);
        notes.extend(row.notes());
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = format!("\nOver {}:\n", kind.name());
    for line in lines {
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &if at < 2 { format!("{cell:width$}  ") } else { format!("{cell:>width$}  ") };
        }
        text = text.trim_end().to_owned() + "\n";
    }
    text + &notes.into_iter().map(|note| format!("  {note}\n")).collect::<String>()
}

impl Row {
    /// What the table has no column for.
    fn notes(&self) -> Vec<String> {
        let (it, who) = (&self.outcome, format!("{}, {}:", self.client, self.column.name()));
        let mut notes = Vec::new();
        if !self.keeps && self.column == Column::CutsAndKills {
            notes.push(format!("{who} keeps nothing over a kill"));
        }
        let what: Vec<String> = it.troubles.iter().map(|(name, times)| format!("{times} × {name}")).collect();
        notes.push(format!("{who} {}", what.join(", ")));
        for (why, times) in &it.refused {
            notes.push(format!("{who} {times} × not resumed: {why}"));
        }
        if it.apart > 0 {
            notes.push(format!("{who} {} sessions behind the server's restart are not counted", it.apart));
        }
        if self.not_handed_on > 0 {
            notes.push(format!(
                "{who} of what is lost, {} are in the sender's archive and not in the receiver's",
                self.not_handed_on
            ));
        }
        if !it.shown.late.is_empty() && self.keeps {
            notes.push(format!("{who} overtaken: {:?}", &it.shown.late[..it.shown.late.len().min(12)]));
        }
        let told = &it.told;
        if self.keeps && (told.doubled, told.out_of_order) != (0, 0) {
            notes.push(format!("{who} told {} twice, {} out of order", told.doubled, told.out_of_order));
        }
        if it.own_wrong > 0 {
            notes.push(format!("{who} {} own messages do not stand where they should", it.own_wrong));
        }
        if it.died > 0 {
            notes.push(format!("{who} {} times the process ended by itself", it.died));
        }
        if it.end == End::TimeUp {
            notes.push(format!("{who} the time was up before all had arrived"));
        }
        if it.shown.sent < self.planned {
            notes.push(format!("{who} {} of {} were not taken", self.planned - it.shown.sent, self.planned));
        }
        if self.in_archive > 0 {
            notes
                .push(format!("{who} of what is missing, {} are in the receiver's archive", self.in_archive));
        }
        if !it.missing.is_empty() {
            let some: Vec<&str> = it.missing.iter().take(12).map(String::as_str).collect();
            notes.push(format!(
                "{who} missing: {}{}",
                some.join(", "),
                if it.missing.len() > 12 { " …" } else { "" }
            ));
        }
        notes
    }
}
