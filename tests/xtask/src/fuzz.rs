//! `cargo xtask fuzz [TARGET …] --minutes N`: searches for inputs that break something, with libFuzzer.
//!
//! It needs no nightly: what libFuzzer wants of a binary is counters at its branches, which the stable compiler's LLVM can put
//! there, and the targets are safe Rust, so there is nothing for a sanitizer to see. The corpus that grows stays under
//! `target`, so that the next search goes on from there; what was found is made small and put into `tests/fuzz/corpus`, where
//! it is a test from then on.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use clap::Args;

use crate::{Result, cargo, host};

/// Coverage counters, as cargo-fuzz asks for them, but for its sanitizer.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
const CPP: [host::Need; 1] = [("c++", "g++")];
/// One input that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Whoever needs more memory has let a peer fill it, in MB.
const MEMORY: u32 = 2_000;
/// For making smaller what was found.
const SMALLER: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Which; all of them if none is named
    targets: Vec<String>,
    /// For how long, all targets together
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let corpus = cargo::workspace().join("tests/fuzz/corpus");
    let all = names(&corpus)?;
    if let Some(unknown) = arguments.targets.iter().find(|name| !all.contains(name)) {
        return Err(format!("no target is called {unknown}. There are: {}", all.join(", ")).into());
    }
    let targets = if arguments.targets.is_empty() { all } else { arguments.targets.clone() };
    host::need(&host::BUILD, "150 MB, half a minute")?;
    host::need(&CPP, "60 MB, half a minute")?;
    let binary = build()?;
    let each = Duration::from_secs_f64(arguments.minutes.max(0.1) * 60.0 / targets.len() as f64);
    let mut found = Vec::new();
    for target in &targets {
        found.extend(search(&binary, target, &corpus.join(target), each)?);
    }
    if found.is_empty() {
        println!("Nothing was found.");
        return Ok(());
    }
    for path in &found {
        println!("{}", path.display());
    }
    Err(format!("{} inputs break something. They are in the corpus now: `cargo test -p fuzz`", found.len())
        .into())
}

/// The folders of the corpus are the targets; a test holds that.
fn names(corpus: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(corpus)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds for this machine, but as if for another one, so that build scripts and macros are not instrumented.
fn build() -> Result<PathBuf> {
    let compiler =
        Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").output()?;
    let said = String::from_utf8_lossy(&compiler.stdout).into_owned();
    let host = said
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("rustc does not say what it runs on")?;
    let arguments =
        ["build", "--quiet", "-p", "fuzz", "--features", "libfuzzer", "--profile", "fuzz", "--target", host];
    cargo::run(cargo::command(&arguments).env("RUSTFLAGS", INSTRUMENTED))?;
    Ok(target_dir().join(host).join("fuzz/fuzz"))
}

fn target_dir() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    cargo::workspace().join(target)
}

/// Searches one target until the time is over or something was found. Returns what was put into its corpus.
fn search(binary: &Path, target: &str, seeds: &Path, time: Duration) -> Result<Option<PathBuf>> {
    let grown = target_dir().join("fuzz-corpus").join(target);
    let artifacts = target_dir().join("fuzz-found").join(target);
    fs::create_dir_all(&grown)?;
    // What an earlier search has found was told then.
    let _ = fs::remove_dir_all(&artifacts);
    fs::create_dir_all(&artifacts)?;
    println!("\n── {target}, {:.1} minutes", time.as_secs_f64() / 60.0);
    let mut fuzzer = fuzzer(binary, target, &artifacts, time);
    let status = fuzzer
        .args(["-max_len=32768", "-len_control=100", "-print_final_stats=1"])
        .arg(&grown)
        .arg(seeds)
        .status()?;
    let Some(found) = fs::read_dir(&artifacts)?.next().transpose()? else {
        return if status.success() { Ok(None) } else { Err(format!("the fuzzer failed ({status})").into()) };
    };
    let small = artifacts.join("small");
    let mut smaller = self::fuzzer(binary, target, &artifacts, SMALLER);
    smaller
        .arg("-minimize_crash=1")
        .arg(format!("-exact_artifact_path={}", small.display()))
        .arg(found.path());
    // It fails where nothing can be made smaller.
    let _: ExitStatus = smaller.output()?.status;
    let small = if small.is_file() { small } else { found.path() };
    let kept = seeds.join(found.file_name());
    fs::copy(small, &kept)?;
    Ok(Some(kept))
}

fn fuzzer(binary: &Path, target: &str, artifacts: &Path, time: Duration) -> Command {
    let mut fuzzer = Command::new(binary);
    fuzzer
        .env("FUZZ_TARGET", target)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={}", time.as_secs().max(1)))
        .arg(format!("-timeout={}", PATIENCE.as_secs()))
        .arg(format!("-rss_limit_mb={MEMORY}"));
    fuzzer
}
