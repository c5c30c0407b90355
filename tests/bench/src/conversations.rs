//! The list of a thousand conversations: its first splice, and a message to the splice that shows it, in archives of ten thousand,
//! a hundred thousand and a million messages. The cost is to be the same.
//!
//! The message is one of ours, sent without a connection: its way from the commit to the list is the one of what comes, and
//! the time of the commit itself is told apart. So is the first one of a process.

use clap::Args;

use crate::{
    Result, archive,
    children::Child,
    figures::{Report, percentile},
    open_conversation::{self, ACCOUNT},
};

const CONVERSATIONS: u64 = 1_000;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many messages there are; may be given more than once
    #[arg(long, default_values_t = [10_000, 100_000, 1_000_000])]
    messages: Vec<u64>,
    /// Processes that show the list for the first time
    #[arg(long, default_value_t = 20)]
    processes: usize,
    /// Messages, and lists that are opened in a process that has shown it before, in all
    #[arg(long, default_value_t = 1_000)]
    samples: usize,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("conversations");
    for messages in &arguments.messages {
        let phone = crate::data_dir("conversations")?.join(format!("phone-{messages}"));
        open_conversation::ensure(&phone, *messages, CONVERSATIONS, &archive::text)?;
        let copied = phone.with_extension("copy");
        let (mut first, mut again, mut shown, mut shown_first) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..arguments.processes {
            if copied.exists() {
                std::fs::remove_dir_all(&copied)?;
            }
            archive::copy(&phone, &copied)?;
            let (data, samples) = (copied.display().to_string(), arguments.samples / arguments.processes);
            let arguments =
                ["phone", "--data", &data, "--account", ACCOUNT, "list", "--samples", &samples.to_string()];
            let mut child = Child::start(&arguments)?;
            child.hear("ready")?;
            child.say("go")?;
            let (_, listed) = child.hear("listed")?;
            let times = |field: &str| -> Vec<f64> {
                listed[field].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
            };
            if listed["lines"].as_u64() != Some(CONVERSATIONS) {
                return Err(format!("the list has {} lines", listed["lines"]).into());
            }
            first.extend(times("first"));
            again.extend(times("again"));
            // The first message of a process plans its statements.
            let mut times = times("shown").into_iter();
            shown_first.extend(times.next());
            shown.extend(times);
            child.end()?;
        }
        std::fs::remove_dir_all(&copied)?;
        report.figure(
            format!("first_splice_of_process_p50_{messages}"),
            percentile(first.iter().copied(), 0.5),
            "ms",
        );
        report.figure(format!("first_splice_of_process_p99_{messages}"), percentile(first, 0.99), "ms");
        report.figure(format!("first_splice_p50_{messages}"), percentile(again.iter().copied(), 0.5), "ms");
        report.aimed(format!("first_splice_p99_{messages}"), percentile(again, 0.99), "ms", 2.0);
        report.figure(
            format!("message_to_splice_of_process_p50_{messages}"),
            percentile(shown_first.iter().copied(), 0.5),
            "ms",
        );
        report.figure(
            format!("message_to_splice_of_process_p99_{messages}"),
            percentile(shown_first, 0.99),
            "ms",
        );
        report.figure(
            format!("message_to_splice_p50_{messages}"),
            percentile(shown.iter().copied(), 0.5),
            "ms",
        );
        report.aimed(format!("message_to_splice_p99_{messages}"), percentile(shown, 0.99), "ms", 1.0);
    }
    Ok(())
}
