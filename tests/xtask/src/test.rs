//! `cargo xtask test`: everything, in one order, with the minutes of each phase at the end.
//!
//! From a clean checkout with Rust and root it installs what it needs. The Debian trees take as long as the first build and
//! want the network where the build wants the processor, so they are made beside it. The first phase that fails ends it; a
//! phase that cannot run here is skipped with its reason, which with `CI=true` is a failure.

use std::{
    path::PathBuf,
    process::{self, Command},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use interop::{Release, Root};

use crate::{Result, bindings, cargo, demo, devices, host, hostile, soak};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many of the tests against real servers run at a time
    #[arg(long, default_value_t = 2)]
    servers_at_a_time: usize,
    /// Only what hostile contacts, servers, networks and devices do: every row of tests/hostile.txt in one table
    #[arg(long)]
    hostile: bool,
}

/// A phase that takes longer hangs: whoever waits for it is told which.
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// How a phase ended that did not fail.
pub(crate) enum Outcome {
    Passed,
    /// Why it did not run.
    Skipped(String),
}

use Outcome::{Passed, Skipped};

struct Report {
    name: &'static str,
    took: Duration,
    ended: Result<Outcome>,
}

/// The phases so far; once one has failed the others do not run.
#[derive(Default)]
struct Run {
    reports: Vec<Report>,
    failed: bool,
}

impl Run {
    fn phase(&mut self, name: &'static str, phase: impl FnOnce() -> Result<Outcome>) {
        if self.failed {
            return;
        }
        println!("\n── {name}");
        let started = Instant::now();
        let (over, waits) = mpsc::channel::<()>();
        thread::spawn(move || {
            if waits.recv_timeout(LONGEST) == Err(mpsc::RecvTimeoutError::Timeout) {
                println!("── {name} failed: it hangs, after {} minutes", minutes(LONGEST));
                process::exit(1);
            }
        });
        let ended = phase();
        drop(over);
        self.report(Report { name, took: started.elapsed(), ended });
    }

    fn cargo(&mut self, name: &'static str, command: &mut Command) {
        self.phase(name, || cargo::run(command).map(|()| Passed));
    }

    fn tests(&mut self, name: &'static str, command: &mut Command) {
        self.phase(name, || cargo::test(command).map(|()| Passed));
    }

    fn report(&mut self, report: Report) {
        match &report.ended {
            Err(error) => println!("── {} failed: {error}", report.name),
            Ok(Skipped(why)) => println!("── {} skipped: {why}", report.name),
            Ok(Passed) => {}
        }
        self.failed |= match report.ended {
            Err(_) => true,
            Ok(Skipped(_)) => host::is_ci(),
            Ok(Passed) => false,
        };
        self.reports.push(report);
    }

    fn table(&self, total: Duration) {
        println!("\n  minutes  phase");
        for report in &self.reports {
            let ended = match &report.ended {
                Ok(Passed) => String::new(),
                Ok(Skipped(why)) if host::is_ci() => {
                    format!(": FAILED with CI=true, since it was skipped: {why}")
                }
                Ok(Skipped(why)) => format!(": skipped, {why}"),
                Err(error) => format!(": FAILED, {}", error.to_string().lines().next().unwrap_or_default()),
            };
            println!("  {:>7.1}  {}{ended}", minutes(report.took), report.name);
        }
        println!("  {:>7.1}  in all", minutes(total));
    }
}

fn minutes(duration: Duration) -> f64 {
    duration.as_secs_f64() / 60.0
}

/// What is made beside the build.
struct Installed {
    took: Duration,
    kotlin: Result<()>,
    trees: Result<Root>,
}

fn install() -> Installed {
    let started = Instant::now();
    let trees = (|| {
        Root::ensure(Release::Bookworm, &host::say)?;
        Ok(Root::ensure(Release::Trixie, &host::say)?)
    })();
    // Last: it is apt's, and the trees may have needed apt for mmdebstrap.
    let kotlin = host::need(&host::KOTLIN, "300 MB, a minute");
    Installed { took: started.elapsed(), kotlin, trees }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.hostile {
        return hostile::run(arguments.servers_at_a_time);
    }
    let started = Instant::now();
    let mut run = Run::default();
    run.phase("what compiling needs", || host::need(&host::BUILD, "150 MB, half a minute").map(|()| Passed));
    let installing = thread::spawn(install);

    run.cargo("formatting", &mut cargo::command(&["fmt", "--all", "--check"]));
    run.cargo(
        "clippy",
        &mut cargo::command(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-Dwarnings"]),
    );
    run.cargo("build", &mut cargo::command(&["build", "--workspace", "--all-targets", "--quiet"]));
    // Those named `hostile` have a phase of their own.
    let others = ["--", "--skip", "hostile::"];
    run.tests(
        "tests",
        cargo::command(&["test", "--workspace", "--exclude", "interop", "--quiet"]).args(others),
    );
    run.phase("simulation", || soak::short().map(|()| Passed));
    run.cargo(
        "documentation",
        cargo::command(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-Dwarnings"),
    );

    if !run.failed {
        println!("\n── servers and compilers (made beside the phases before)");
    }
    let installed = installing.join().map_err(|_| "the thread that installs has panicked")?;
    let (ended, root) = match installed.trees {
        Ok(root) => (Ok(Passed), Some(root)),
        Err(error) => (Err(error), None),
    };
    run.report(Report { name: "servers and compilers, beside the others", took: installed.took, ended });

    let mut console = PathBuf::new();
    run.phase("console", || {
        console = cargo::console(false)?;
        Ok(Passed)
    });
    let threads = format!("--test-threads={}", arguments.servers_at_a_time);
    run.tests(
        "tests against real servers",
        cargo::command(&["test", "-p", "interop"])
            .args(others)
            .arg(&threads)
            .env("WHIMBREL_CONSOLE", &console),
    );
    run.phase("hostile rows", || hostile::table(arguments.servers_at_a_time, &console).map(|()| Passed));
    run.phase("devices of one account", || devices::short().map(|()| Passed));
    run.phase("demo, a short one", || demo::short().map(|()| Passed));
    run.phase("Kotlin", || {
        installed.kotlin?;
        bindings::kotlin()
    });
    if let Some(root) = root {
        run.phase("Swift", || bindings::swift(&root));
    }
    run.table(started.elapsed());
    if run.failed { Err("not everything passed".into()) } else { Ok(()) }
}
