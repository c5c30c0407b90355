//! `cargo xtask size`: what the library weighs as a phone gets it, what of, and how much it has grown.
//!
//! The library of this machine's own processor: those of phones cannot be linked without the NDK or Xcode. What is compared
//! with is `tests/bench/size.json`, in the repository.

use std::{
    collections::BTreeMap,
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;
use serde_json::{Value, json};

use crate::{Result, bindings, cargo, host};

/// Everything, encrypted database included, compressed, in bytes.
const AIM: u64 = 5 << 20;
/// Parts that are worth a line.
const PARTS: usize = 16;

#[derive(Args)]
pub(crate) struct Arguments {
    /// One object a line
    #[arg(long)]
    json: bool,
    /// What is measured is what later sizes are compared with
    #[arg(long)]
    keep: bool,
}

/// Name, arguments for cargo, and what it is.
const VARIANTS: [(&str, &[&str], &str); 2] = [
    ("everything", &[], "the cipher's OpenSSL compiled in"),
    ("system_openssl", &["--no-default-features"], "the system's OpenSSL, or Apple's CommonCrypto"),
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    host::need(&host::BUILD, "150 MB, half a minute")?;
    host::need(&host::SIZE, "40 MB, seconds")?;
    let kept = cargo::workspace().join("tests/bench/size.json");
    let before: Value =
        fs::read_to_string(&kept).ok().map_or(Ok(Value::Null), |text| serde_json::from_str(&text))?;
    let mut sizes = serde_json::Map::new();
    let mut parts = BTreeMap::new();
    for (name, features, what) in VARIANTS {
        let library = bindings::library("phone", features)?;
        if parts.is_empty() {
            parts = made_of(&library)?;
        }
        let raw = stripped(&library)?;
        let compressed = compressed(&raw)?;
        let raw = fs::metadata(&raw)?.len();
        for (metric, bytes) in [("raw", raw), ("compressed", compressed)] {
            let old = before[name][metric].as_u64();
            if arguments.json {
                let metric = format!("{name}_{metric}");
                println!("{}", json!({ "bench": "size", "metric": metric, "value": bytes, "unit": "B" }));
            } else {
                let growth = old.map_or_else(String::new, |old| {
                    format!("{:+.1} %", (bytes as f64 / old as f64 - 1.0) * 100.0)
                });
                println!("{name:16} {metric:12} {:>10} KiB  {growth:>8}  {what}", bytes / 1024);
            }
        }
        if name == "everything" && !arguments.json {
            let met = if compressed < AIM { "met" } else { "missed" };
            println!("{name:16} aim: compressed below {} KiB: {met}", AIM / 1024);
        }
        sizes.insert(name.into(), json!({ "raw": raw, "compressed": compressed }));
    }
    let mut parts: Vec<(String, u64)> = parts.into_iter().collect();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    for (part, bytes) in parts.into_iter().take(PARTS) {
        if arguments.json {
            println!(
                "{}",
                json!({ "bench": "size", "metric": format!("of_{part}"), "value": bytes, "unit": "B" })
            );
        } else {
            println!("of it {part:24} {:>8} KiB", bytes / 1024);
        }
    }
    if !arguments.json {
        println!("For {ARCH}; symbols that the compiler shares or drops belong to nobody.");
    }
    if arguments.keep {
        sizes.insert("arch".into(), ARCH.into());
        fs::write(kept, format!("{:#}\n", Value::Object(sizes)))?;
    }
    Ok(())
}

fn stripped(library: &Path) -> Result<PathBuf> {
    let stripped = library.with_extension("stripped");
    cargo::run(Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(library))?;
    Ok(stripped)
}

/// As in a package of Android's, or better.
fn compressed(file: &Path) -> Result<u64> {
    let output = Command::new("gzip").args(["-9", "-c"]).arg(file).stderr(Stdio::inherit()).output()?;
    if output.status.success() { Ok(output.stdout.len() as u64) } else { Err("gzip failed".into()) }
}

/// Bytes of code and data by what they belong to: a crate, or one of the two libraries in C.
fn made_of(library: &Path) -> Result<BTreeMap<String, u64>> {
    let output = Command::new("nm").args(["--print-size", "--demangle"]).arg(library).output()?;
    let mut parts = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut words = line.splitn(4, ' ');
        let (_, size, _, Some(symbol)) = (words.next(), words.next(), words.next(), words.next()) else {
            continue;
        };
        let Some(bytes) = size.and_then(|size| u64::from_str_radix(size, 16).ok()) else { continue };
        *parts.entry(owner(symbol)).or_insert(0) += bytes;
    }
    Ok(parts)
}

fn owner(symbol: &str) -> String {
    // `<a::B as c::D>::e` belongs to `a`.
    let path = symbol.trim_start_matches(['<', '&', '(', '[']);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    let path = path.strip_prefix("mut ").unwrap_or(path);
    match path.split_once("::") {
        Some((krate, _)) if krate.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => krate.to_owned(),
        Some(_) => "shared generics".to_owned(),
        None if path.starts_with("sqlite3") || path.starts_with("sqlcipher") => "SQLCipher".to_owned(),
        None if path.contains("ring_core") => "ring".to_owned(),
        None if path.starts_with("ffi_whimbrel")
            || path.starts_with("uniffi_")
            || path.starts_with("UNIFFI") =>
        {
            "whimbrel_ffi".to_owned()
        }
        None => "C (OpenSSL, and SQLCipher's own)".to_owned(),
    }
}
