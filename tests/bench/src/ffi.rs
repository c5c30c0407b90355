//! What the boundary costs: one change of a timeline, from the engine's commit to who listens on the hand-written face, in Kotlin
//! on HotSpot and in Swift; and in Rust, where there is no boundary.
//!
//! - *event*: a message of our own is sent without a connection, one every few milliseconds, while somebody waits for the next of
//!   `timeline.updates`: a coroutine on the main thread, a task on the main actor. From the end of the commit on the account's
//!   thread until the listener has the update. Two threads are woken and what changed is read from the encrypted file meanwhile,
//!   and the answer to `send` comes over the boundary at the same time. Each was one commit, and one update.
//! - *updates a second*: what a listener can take. It is given the same update (one message) again whenever it asks, as if it had been
//!   lost: each is read, compared, handed over and unpacked as any other, and nothing waits for a commit or merges.
//! - *call*: the bytes of that update copied into the caller's array by one plain call, JNA's direct mapping and C. Nothing of the
//!   boundary's can be below; the ratios say how far above it is.
//!
//! Both clocks are CLOCK_MONOTONIC. Half of all that is done only warms up.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::{
    Result,
    children::{Child, Swift},
    figures::{Report, median, percentile},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many messages are sent, after as many to warm up
    #[arg(long, default_value_t = 5_000)]
    samples: usize,
    #[command(flatten)]
    swift: Swift,
    /// The programs in Kotlin
    #[arg(long, hide = true)]
    class_path: String,
    /// The library that they load
    #[arg(long, hide = true)]
    library: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("ffi");
    let samples = arguments.samples.to_string();
    for name in ["rust", "kotlin", "swift"] {
        eprintln!("ffi: {name}");
        let data = arguments.swift.data_dir("ffi")?.join(name);
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        let data = data.display().to_string();
        let (mut child, call) = match name {
            "rust" => {
                let phone = ["phone", "--data", &data, "--account", "romeo@montague.lit"];
                (Child::start(&[&phone[..], &["listen", "--samples", &samples]].concat())?, None)
            }
            "kotlin" => {
                let mut java = interop::leashed("java");
                let directory = arguments.library.parent().ok_or("a library without directory")?;
                java.arg(format!("-Djna.library.path={}", directory.display()));
                java.args(["-Xmx64m", "-cp", &arguments.class_path, "im.whimbrel.ListenKt", &data, &samples]);
                (Child::spawn(java, name)?, Some("jna"))
            }
            _ => (arguments.swift.start("Listen", &[&data, &samples])?, Some("c")),
        };
        let events = micros(&mut child, "events")?;
        let event = median(events.iter().copied());
        report.figure(format!("{name}_event_p50"), event, "µs");
        report.figure(format!("{name}_event_p99"), percentile(events, 0.99), "µs");
        let update = median(micros(&mut child, "updates")?);
        report.figure(format!("{name}_updates_per_second"), 1e6 / update, "");
        if let Some(call_by) = call {
            let call = median(micros(&mut child, "calls")?);
            report.figure(format!("{name}_{call_by}_call"), call, "µs");
            report.figure(format!("{name}_ratio_to_{call_by}"), event / call, "x");
            report.figure(format!("{name}_update_ratio_to_{call_by}"), update / call, "x");
            let (_, bytes) = child.hear("bytes")?;
            report.figure(format!("{name}_payload"), bytes.as_f64().ok_or("no payload")?, "B");
        }
        child.end()?;
    }
    Ok(())
}

/// Samples that a child tells.
fn micros(child: &mut Child, what: &str) -> Result<Vec<f64>> {
    let (_, told) = child.hear(what)?;
    let samples: Option<Vec<f64>> = told.as_array().map(|all| all.iter().filter_map(Value::as_f64).collect());
    Ok(samples.filter(|samples| !samples.is_empty()).ok_or_else(|| format!("no {what}: {told}"))?)
}
