//! `mutants`: makes the engine's deliberate mistakes one by one and looks whether the worlds notice. Called by
//! `cargo xtask mutants`.
//!
//! A mistake is caught by a world that fails with it and is well without it. How many worlds that takes says how sharp the
//! search is where the mistake bites.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use clap::Parser;
use sim::{Script, Size, World};
use whimbrel_engine::mutants::{self, Mutant};

#[derive(Parser)]
#[command(about = "Does the search find what is to be found?")]
struct Arguments {
    /// Only these mistakes, by name
    names: Vec<String>,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Worlds for each mistake, at most
    #[arg(long, default_value_t = 1500)]
    worlds: u64,
    /// Messages of a world
    #[arg(long, default_value_t = 50)]
    messages: usize,
    /// Faults of a world, at least
    #[arg(long, default_value_t = 5)]
    faults: usize,
    /// Worlds at a time
    #[arg(long, default_value_t = thread::available_parallelism().map_or(1, usize::from))]
    jobs: usize,
    /// Lists the mistakes and makes none
    #[arg(long)]
    list: bool,
}

/// The first world that noticed, and how.
struct Caught {
    seed: u64,
    how: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |mutant: &Mutant| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| name == mutant.name())
    };
    let chosen: Vec<Mutant> = mutants::ALL.iter().copied().filter(wanted).collect();
    if let Some(unknown) =
        arguments.names.iter().find(|name| !chosen.iter().any(|m| m.name() == name.as_str()))
    {
        eprintln!("error: there is no mistake called {unknown}; --list names them");
        return ExitCode::FAILURE;
    }
    if arguments.list {
        for mutant in chosen {
            println!("{:<24} {:<9} {}", mutant.name(), mutant.place(), mutant.mistake());
        }
        return ExitCode::SUCCESS;
    }
    // What a mistake makes panic is caught, and need not be read.
    std::panic::set_hook(Box::new(|_| {}));
    println!("{:<24} {:<9} {:>7}  how it was noticed", "mistake", "in", "worlds");
    let mut survivors = 0;
    let started = Instant::now();
    for mutant in &chosen {
        match hunt(&arguments, *mutant) {
            Some(Caught { seed, how }) => {
                let worlds = seed - arguments.seed + 1;
                println!("{:<24} {:<9} {worlds:>7}  {how}", mutant.name(), mutant.place());
            }
            None => {
                survivors += 1;
                println!(
                    "{:<24} {:<9} {:>7}  SURVIVED: {}",
                    mutant.name(),
                    mutant.place(),
                    "-",
                    mutant.mistake()
                );
            }
        }
    }
    println!(
        "{} of {} deliberate mistakes caught, in {:.0} s",
        chosen.len() - survivors,
        chosen.len(),
        started.elapsed().as_secs_f64()
    );
    if survivors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hunt(arguments: &Arguments, mutant: Mutant) -> Option<Caught> {
    let end = arguments.seed + arguments.worlds;
    let mut from = arguments.seed;
    while from < end {
        mutants::switch_on(Some(mutant));
        let failing = first_failing(arguments, from, end);
        mutants::switch_on(None);
        let seed = failing?;
        // What fails without the mistake, too, is another one's business.
        if world(arguments, seed).is_none() {
            mutants::switch_on(Some(mutant));
            let how = world(arguments, seed);
            mutants::switch_on(None);
            return Some(Caught { seed, how: how.unwrap_or_else(|| "not twice".to_owned()) });
        }
        from = seed + 1;
    }
    None
}

/// The lowest seed, as far as the threads can tell, whose world fails.
fn first_failing(arguments: &Arguments, from: u64, end: u64) -> Option<u64> {
    let (next, lowest) = (AtomicU64::new(from), AtomicU64::new(end));
    thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= lowest.load(Ordering::Relaxed) {
                        return;
                    }
                    if world(arguments, seed).is_some() {
                        lowest.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Some(lowest.into_inner()).filter(|seed| *seed < end)
}

/// How a world fails, if it does.
fn world(arguments: &Arguments, seed: u64) -> Option<String> {
    let script =
        Script::new(seed, Size { messages: arguments.messages, faults: arguments.faults, devices: 1 });
    World::run(&script).err().map(|failure| failure.kind())
}
