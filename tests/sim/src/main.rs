//! `sim`: worlds by the thousand. Called by `cargo xtask soak` and `cargo xtask mutants`.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use sim::{Report, Script, Size, World, shrink};

#[derive(Parser)]
#[command(about = "Worlds that try to break the engine")]
struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many worlds
    #[arg(long, default_value_t = 1_000)]
    worlds: u64,
    /// For so many minutes, however many worlds that is
    #[arg(long)]
    minutes: Option<f64>,
    /// Messages of a world
    #[arg(long, default_value_t = 50)]
    messages: usize,
    /// Faults of a world, at least
    #[arg(long, default_value_t = 5)]
    faults: usize,
    /// Devices of each of two accounts, at least: 1 or 2
    #[arg(long, default_value_t = 1)]
    devices: usize,
    /// Worlds at a time
    #[arg(long, default_value_t = thread::available_parallelism().map_or(1, usize::from))]
    jobs: usize,
    /// Runs one seed and prints what happened in it
    #[arg(long)]
    diary: bool,
    /// A script as it was printed, instead of a seed
    #[arg(long)]
    script: Option<std::path::PathBuf>,
    /// Prints the failing seed and does not cut it down
    #[arg(long)]
    no_shrink: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let size = Size { messages: arguments.messages, faults: arguments.faults, devices: arguments.devices };
    if arguments.diary || arguments.script.is_some() {
        return one(&arguments, size);
    }
    let started = Instant::now();
    let end = arguments.minutes.map(|minutes| started + Duration::from_secs_f64(minutes * 60.0));
    let next = AtomicU64::new(arguments.seed);
    let failed = AtomicBool::new(false);
    let sums = Mutex::new((0u64, Report::default()));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let spawn = |_| {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = match end {
                        Some(end) => Instant::now() >= end,
                        None => seed >= arguments.seed + arguments.worlds,
                    };
                    if over || failed.load(Ordering::Relaxed) {
                        return;
                    }
                    match World::run(&Script::new(seed, size)) {
                        Ok(report) => {
                            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
                            sums.0 += 1;
                            add(&mut sums.1, &report);
                        }
                        Err(failure) => {
                            failed.store(true, Ordering::Relaxed);
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push((seed, failure));
                        }
                    }
                }
            })
        };
        let workers: Vec<_> = (0..arguments.jobs).map(spawn).collect();
        // To the very end of each, with what the libraries keep for a thread: a process that ends meanwhile takes that down as well.
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    let (worlds, report) = *sums.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{worlds} worlds in {seconds:.0} s, {:.0} a minute: {} messages, {} deaths ({} by power cuts), {} times refused by a disk, {} cuts, {} of {} sessions resumed, {} resends, {} steps, the largest {} rows",
        worlds as f64 / seconds * 60.0,
        report.sent,
        report.deaths,
        report.power_cuts,
        report.refused,
        report.cuts,
        report.resumed,
        report.online,
        report.resends,
        report.turns,
        report.largest_step,
    );
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (seed, failure) in &failures {
        println!("seed {seed}: {failure}");
    }
    let Some((seed, _)) = failures.first() else { return ExitCode::SUCCESS };
    if !arguments.no_shrink
        && let Some((script, failure)) = shrink(&Script::new(*seed, size))
    {
        println!("the shortest script that still fails, {} acts: {failure}", script.acts.len());
        println!("{}", serde_json::to_string(&script).unwrap_or_default());
    }
    ExitCode::FAILURE
}

fn one(arguments: &Arguments, size: Size) -> ExitCode {
    let script = match &arguments.script {
        Some(path) => {
            let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
            match read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string())) {
                Ok(script) => script,
                Err(error) => {
                    eprintln!("error: {}: {error}", path.display());
                    return ExitCode::FAILURE;
                }
            }
        }
        None => Script::new(arguments.seed, size),
    };
    let (result, diary) = World::run_with_diary(&script);
    if arguments.diary {
        for line in diary {
            println!("{line}");
        }
    }
    println!("{result:?}");
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn add(sum: &mut Report, report: &Report) {
    sum.sent += report.sent;
    sum.turns += report.turns;
    sum.online += report.online;
    sum.resumed += report.resumed;
    sum.deaths += report.deaths;
    sum.power_cuts += report.power_cuts;
    sum.refused += report.refused;
    sum.cuts += report.cuts;
    sum.resends += report.resends;
    sum.largest_step = sum.largest_step.max(report.largest_step);
}
