//! The first hits in an archive of a million messages, and what the index of words costs.
//!
//! Words are as frequent as in a language (Zipf), of which a few are in every third message and most in a handful. Half of
//! what is looked for is taken as it was written, so that frequent words are looked for often, and half from the dictionary.
//! One process asks for one first page after the other, on the public API.

use std::{fs, path::Path, time::Instant};

use clap::Args;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rusqlite::params;
use serde_json::{Value, json};
use whimbrel_engine::store;

use crate::{
    Result, archive,
    children::Child,
    clocks,
    figures::{Report, percentile},
    open_conversation::{self, ACCOUNT},
};

/// Words of the language.
const DICTIONARY: usize = 60_000;
/// Messages that are indexed to see what that costs.
const MORE: u64 = 10_000;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many messages there are
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// How often each kind of thing is looked for
    #[arg(long, default_value_t = 1_000)]
    samples: usize,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.begin("search");
    let language = Language::new();
    let phone = crate::data_dir("search")?.join(format!("phone-{}", arguments.messages));
    let text = |number| language.text(number);
    let file =
        open_conversation::ensure(&phone, arguments.messages, open_conversation::CONVERSATIONS, &text)?;

    let data = phone.display().to_string();
    let mut child = Child::start(&["phone", "--data", &data, "--account", ACCOUNT, "search"])?;
    child.hear("ready")?;
    let mut rng = StdRng::seed_from_u64(1_597);
    let asker = Asker { language: &language, messages: arguments.messages };
    let contact =
        |rng: &mut StdRng| open_conversation::contact(rng.random_range(0..open_conversation::CONVERSATIONS));
    for _ in 0..50 {
        // The first ones open the file and fill its cache.
        ask(&mut child, &json!({ "text": asker.word(&mut rng) }))?;
    }
    for kind in ["word", "prefix", "phrase"] {
        for (place, narrow) in [("", false), ("_in_conversation", true)] {
            let mut took = Vec::new();
            for _ in 0..arguments.samples {
                let mut wanted = json!({ "text": asker.asks(kind, &mut rng) });
                if narrow {
                    wanted["with"] = contact(&mut rng).into();
                }
                took.push(ask(&mut child, &wanted)?);
            }
            let p50 = percentile(took.iter().copied(), 0.5);
            report.figure(format!("{kind}{place}_p50"), p50, "ms");
            report.aimed(format!("{kind}{place}_p99"), percentile(took, 0.99), "ms", 10.0);
        }
    }
    let worst = |text: String, child: &mut Child| -> Result<f64> {
        let took = (0..20).map(|_| ask(child, &json!({ "text": text }))).collect::<Result<Vec<_>>>()?;
        Ok(percentile(took, 0.5))
    };
    report.figure("most_frequent_word", worst(format!("\"{}\"", language.words[0]), &mut child)?, "ms");
    let two = format!("\"{} {}\"", language.words[1], language.words[0]);
    report.figure("most_frequent_phrase", worst(two, &mut child)?, "ms");
    child.end()?;
    report.figure("file_size", fs::metadata(&file)?.len() as f64 / (1 << 20) as f64, "MB");
    report.figure("index_size", index_size(&phone, &file)?, "MB");
    index_cost(&phone, arguments.messages, &language, report)
}

fn ask(child: &mut Child, wanted: &Value) -> Result<f64> {
    child.say(&wanted.to_string())?;
    let (_, found) = child.hear("found")?;
    Ok(found["ms"].as_f64().ok_or("no time was told")?)
}

/// How much of the file the index is.
fn index_size(phone: &Path, file: &Path) -> Result<f64> {
    let connection = store::open_reader(file, &open_conversation::secret(phone)?)?;
    let pages = |table: &str| -> Result<i64> {
        // Without dbstat: what the rows of its tables hold.
        let sql = format!("SELECT coalesce(sum(length(block)), 0) FROM {table}");
        Ok(connection.query_row(&sql, [], |row| row.get(0))?)
    };
    Ok(pages("word_data")? as f64 / f64::from(1 << 20))
}

/// What it costs to index as many messages as a catch-up brings, in the file of a million.
fn index_cost(phone: &Path, messages: u64, language: &Language, report: &mut Report) -> Result<()> {
    let copied = phone.with_extension("copy");
    if copied.exists() {
        fs::remove_dir_all(&copied)?;
    }
    archive::copy(phone, &copied)?;
    let file = open_conversation::database(&copied)?;
    let connection = store::open(&file, &open_conversation::secret(&copied)?)?;
    let tx = connection.unchecked_transaction()?;
    for number in messages..messages + MORE {
        tx.prepare_cached(
            "INSERT INTO message (conversation, position, mine, kind, sender, body, at) VALUES (?1, ?2, 0, 0, ?3, ?4, ?5)",
        )?
        .execute(params![
            number as i64 % 20 + 1,
            number as i64 * 65_536,
            format!("{}/phone", open_conversation::contact(number % 20)),
            language.text(number),
            open_conversation::at(number),
        ])?;
    }
    tx.commit()?;
    let (began, cpu) = (Instant::now(), clocks::process());
    open_conversation::index(connection)?;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), clocks::process() - cpu);
    fs::remove_dir_all(&copied)?;
    report.figure("index_wall_per_message", wall * 1e6 / MORE as f64, "us");
    report.figure("index_cpu_per_message", cpu / MORE as f64, "us");
    Ok(())
}

/// Words, the most frequent first.
struct Language {
    words: Vec<String>,
}

impl Language {
    fn new() -> Self {
        const BEGIN: [&str; 20] = [
            "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "ch", "",
            "sp",
        ];
        const MIDDLE: [&str; 10] = ["a", "e", "i", "o", "u", "ea", "ou", "ai", "ü", "y"];
        const END: [&str; 8] = ["", "", "n", "r", "s", "t", "l", "nd"];
        let mut rng = StdRng::seed_from_u64(60_000);
        let mut known = std::collections::BTreeSet::new();
        let mut words = Vec::new();
        while words.len() < DICTIONARY {
            // Frequent words are short.
            let syllables = rng.random_range(1..=(words.len().max(1).ilog10() as usize).max(1));
            let pick = |rng: &mut StdRng, from: &[&'static str]| {
                from[(rng.random::<f64>().powi(2) * from.len() as f64) as usize]
            };
            let word: String = (0..syllables)
                .flat_map(|_| [pick(&mut rng, &BEGIN), pick(&mut rng, &MIDDLE), pick(&mut rng, &END)])
                .collect();
            if known.insert(word.clone()) {
                words.push(word);
            } else if syllables == 1 {
                // The short ones are used up.
                let longer = format!("{word}{}", words.len());
                known.insert(longer.clone());
                words.push(longer);
            }
        }
        Self { words }
    }

    /// Zipf's law: the second most frequent is half as frequent.
    fn rank(rng: &mut StdRng) -> usize {
        let most = (DICTIONARY as f64).ln();
        ((rng.random::<f64>() * most).exp() as usize - 1).min(DICTIONARY - 1)
    }

    fn text(&self, number: u64) -> String {
        let mut rng = StdRng::seed_from_u64(number);
        let count = 1 + (rng.random::<f64>().powi(2) * 24.0) as usize;
        let words: Vec<&str> = (0..count).map(|_| self.words[Self::rank(&mut rng)].as_str()).collect();
        words.join(" ")
    }
}

/// Makes up what is looked for.
struct Asker<'a> {
    language: &'a Language,
    messages: u64,
}

impl Asker<'_> {
    fn written(&self, rng: &mut StdRng) -> Vec<String> {
        let text = self.language.text(rng.random_range(0..self.messages));
        text.split(' ').map(str::to_owned).collect()
    }

    fn word(&self, rng: &mut StdRng) -> String {
        if rng.random() {
            let words = self.written(rng);
            words[rng.random_range(0..words.len())].clone()
        } else {
            self.language.words[rng.random_range(0..DICTIONARY)].clone()
        }
    }

    fn asks(&self, kind: &str, rng: &mut StdRng) -> String {
        match kind {
            "prefix" => self.prefix(rng),
            "phrase" => self.phrase(rng),
            _ => format!("\"{}\"", self.word(rng)),
        }
    }

    /// As much as one has typed by now.
    fn prefix(&self, rng: &mut StdRng) -> String {
        let word = self.word(rng);
        let most = word.chars().count().max(2);
        word.chars().take(rng.random_range(2..=most)).collect()
    }

    fn phrase(&self, rng: &mut StdRng) -> String {
        loop {
            let words = self.written(rng);
            if words.len() >= 2 {
                let at = rng.random_range(0..words.len() - 1);
                return format!("\"{} {}\"", words[at], words[at + 1]);
            }
        }
    }
}
