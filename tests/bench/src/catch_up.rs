//! Ten thousand missed messages, fetched from the archive: durable, encrypted at rest, in order.
//!
//! The account signed in before and was away for so long that its session is gone. Beside it a bare XML parser reads the
//! same pages from the same server, in turn with it, and each finds the server's data as the other did. The time runs from
//! the first query to the end of the last page, for the phone to the commit that closed the gap; logging in is apart.
//!
//! The server's data is in memory, or else the server's disk would be measured; the phone's is on a real disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::Value;

use crate::{
    Result,
    archive::{self, ACCOUNT, ArchiveServer, PASSWORD},
    children::{Child, Memory},
    figures::{Report, median},
    replay,
};

/// Prosody's own default, and what a generous server grants.
const PAGES: [(u32, &str); 2] = [(50, "page50"), (500, "page_max")];

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many were missed
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// How many for the second look at memory; 0 leaves it out
    #[arg(long, default_value_t = 40_000)]
    more: u64,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    samples: usize,
    /// Largest page, for `serve`
    #[arg(long, default_value_t = 500, hide = true)]
    page: u32,
    /// Leaves out telling the work apart
    #[arg(long)]
    no_layers: bool,
}

/// One run of one client.
struct Sample {
    ms: f64,
    cpu_us: f64,
    done: Value,
    memory: Memory,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("catch_up");
    let phones = crate::data_dir("catch_up")?;
    for (page, name) in PAGES {
        eprintln!("catch_up: pages of {page}");
        let mut bench = Bench::prepare(page, &phones, arguments.messages)?;
        let (mut bare, mut managed, mut phone) = (Vec::new(), Vec::new(), Vec::new());
        let record = phones.join(format!("recorded-{page}.json"));
        for number in 0..arguments.samples {
            let to = (number == 0).then_some(record.as_path());
            bare.push(bench.bare(to, false)?);
            managed.push(bench.bare(None, true)?);
            phone.push(bench.phone(false)?);
            eprintln!(
                "  {}: bare parser {:.0} ms, {:.1} µs; whimbrel {:.0} ms, {:.1} µs",
                number + 1,
                bare[number].ms,
                bare[number].cpu_us / arguments.messages as f64,
                phone[number].ms,
                phone[number].cpu_us / arguments.messages as f64,
            );
        }
        figures(report, name, arguments.messages, &bare, &phone);
        // Prosody copies each stanza into the session's queue: what the phone waits for that is in neither's power.
        let ratio = median(managed.iter().zip(&phone).map(|(managed, phone)| phone.ms / managed.ms));
        report.figure(format!("ratio_to_bare_parser_with_stream_management_{name}"), ratio, "x");
        if page == 500 {
            let shown = bench.phone(true)?;
            report.figure(format!("ms_{name}_with_list_shown"), shown.ms, "ms");
            if !arguments.no_layers {
                let cpu = (median(phone.iter().map(|s| s.cpu_us)), median(bare.iter().map(|s| s.cpu_us)));
                replay::layers(report, &record, &phones, cpu)?;
            }
            if arguments.more > 0 {
                drop(bench);
                eprintln!("catch_up: {} messages", arguments.more);
                let mut bench = Bench::prepare(page, &phones, arguments.more)?;
                let (bare, more) = (bench.bare(None, false)?, bench.phone(false)?);
                report.aimed("memory_more_above_idle", more.memory.above_idle, "MB", 12.0);
                report.figure("memory_more_high_water", more.memory.high_water, "MB");
                report.aimed("ratio_to_bare_parser_more", more.ms / bare.ms, "x", 1.3);
                report.figure("cpu_per_message_more", more.cpu_us / arguments.more as f64, "us");
            }
        }
    }
    Ok(())
}

/// Sets the stage and plays nothing.
pub(crate) fn serve(arguments: &Arguments) -> Result<()> {
    let mut bench = Bench::prepare(arguments.page, &crate::data_dir("serve")?, arguments.messages)?;
    bench.server.restore()?;
    eprintln!("phone in {}, server in {}", bench.kept.display(), bench.server.server.dir().display());
    eprintln!("direct TLS {}, after {}", bench.server.server.direct_tls_port(), ArchiveServer::last_before());
    std::io::stdin().lines().count();
    Ok(())
}

/// The replays alone.
pub(crate) fn replayed(report: &mut Report) -> Result<()> {
    report.begin("catch_up");
    let phones = crate::data_dir("catch_up")?;
    replay::layers(report, &phones.join("recorded-500.json"), &phones, (f64::NAN, f64::NAN))
}

fn figures(report: &mut Report, name: &str, messages: u64, bare: &[Sample], phone: &[Sample]) {
    let per_message = |samples: &[Sample]| median(samples.iter().map(|s| s.cpu_us / messages as f64));
    let field = |name: &str| median(phone.iter().map(|s| s.done[name].as_f64().unwrap_or(f64::NAN)));
    // Neighbours in time are compared with each other: whatever else the machine does meets both.
    let ratio = median(bare.iter().zip(phone).map(|(bare, phone)| phone.ms / bare.ms));
    report.aimed(format!("ratio_to_bare_parser_{name}"), ratio, "x", 1.3);
    report.figure(format!("ms_{name}"), median(phone.iter().map(|s| s.ms)), "ms");
    report.figure(format!("bare_parser_ms_{name}"), median(bare.iter().map(|s| s.ms)), "ms");
    report.figure(format!("login_ms_{name}"), field("login_ms"), "ms");
    report.figure(format!("cpu_per_message_{name}"), per_message(phone), "us");
    report.figure(format!("bare_parser_cpu_per_message_{name}"), per_message(bare), "us");
    report.aimed(
        format!("cpu_per_message_above_bare_parser_{name}"),
        per_message(phone) - per_message(bare),
        "us",
        25.0,
    );
    report.figure(format!("commits_{name}"), field("commits"), "");
    report.figure(format!("commit_ms_{name}"), field("commit_ms"), "ms");
    let memory = |which: fn(&Memory) -> f64| median(phone.iter().map(|s| which(&s.memory)));
    report.aimed(format!("memory_above_idle_{name}"), memory(|m| m.above_idle), "MB", 12.0);
    report.figure(format!("memory_idle_{name}"), memory(|m| m.idle), "MB");
    report.figure(format!("memory_high_water_{name}"), memory(|m| m.high_water), "MB");
}

/// A server with a full archive, and a phone that was away.
struct Bench {
    server: ArchiveServer,
    page: u32,
    messages: u64,
    kept: PathBuf,
    used: PathBuf,
}

impl Bench {
    fn prepare(page: u32, phones: &Path, messages: u64) -> Result<Self> {
        let mut server = ArchiveServer::start(Some(page))?;
        let (kept, used) = (phones.join("kept"), phones.join("used"));
        for dir in [&kept, &used] {
            if dir.exists() {
                fs::remove_dir_all(dir)?;
            }
        }
        archive::sign_in(&server.server, &kept)?;
        server.fill(messages)?;
        server.keep()?;
        let mut bench = Self { server, page, messages, kept, used };
        // The first reader makes the index of the archive, which is then there for all.
        bench.bare(None, false)?;
        bench.server.server.stop();
        bench.server.keep()?;
        Ok(bench)
    }

    fn bare(&mut self, record: Option<&Path>, managed: bool) -> Result<Sample> {
        self.server.restore()?;
        let port = self.server.server.direct_tls_port().to_string();
        let (ca, page) = (self.server.server.ca().display().to_string(), self.page.to_string());
        let after = ArchiveServer::last_before();
        let mut arguments = vec!["bare", "--port", &port, "--ca", &ca, "--account", ACCOUNT];
        arguments.extend(["--password", PASSWORD, "--after", &after, "--page", &page]);
        let record = record.map(|path| path.display().to_string());
        if let Some(record) = &record {
            arguments.extend(["--record", record]);
        }
        if managed {
            arguments.push("--managed");
        }
        let mut child = Child::start(&arguments)?;
        let sample = measure(&mut child)?;
        child.say("")?;
        child.end()?;
        let read = sample.done["messages"].as_u64();
        if read == Some(self.messages) {
            Ok(sample)
        } else {
            Err(format!("the bare parser read {read:?}").into())
        }
    }

    fn phone(&mut self, shown: bool) -> Result<Sample> {
        self.server.restore()?;
        if self.used.exists() {
            fs::remove_dir_all(&self.used)?;
        }
        archive::copy(&self.kept, &self.used)?;
        let dir = self.used.display().to_string();
        let mut arguments = vec!["phone", "--data", &dir, "--account", ACCOUNT, "catch-up"];
        if shown {
            arguments.push("--shown");
        }
        let mut child = Child::start(&arguments)?;
        let sample = measure(&mut child)?;
        child.say("")?;
        let (_, count) = child.hear("in_order")?;
        child.say("")?;
        child.end()?;
        match count.as_u64() {
            Some(count) if count >= self.messages => Ok(sample),
            count => Err(format!("the phone has {count:?} of {} messages", self.messages).into()),
        }
    }
}

fn measure(child: &mut Child) -> Result<Sample> {
    child.hear("ready")?;
    let watch = child.watch();
    child.say("")?;
    let (_, done) = child.hear("done")?;
    let memory = watch.end();
    let number = |name: &str| done[name].as_f64().ok_or_else(|| format!("no {name}"));
    Ok(Sample { ms: number("ms")?, cpu_us: number("cpu_us")?, memory, done })
}
