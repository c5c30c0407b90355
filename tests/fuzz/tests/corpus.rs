//! Every input that was recorded, and every one that ever broke something, through its target; and what a mutator makes of
//! them with a fixed seed, so that each run on the stable toolchain searches a little, the same each time.

use std::{fs, path::Path};

use fuzz::{TARGETS, Target, mutate};
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// Mutated inputs for each XML target: some seconds.
const MUTATED: usize = 250;

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of this name")
}

/// The inputs of a target with their names, in a fixed order.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("a folder that can be read");
            let input = fs::read(entry.path()).expect("a file that can be read");
            (entry.file_name().to_string_lossy().into_owned(), input)
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} has a corpus", target.name);
    inputs
}

fn holds_for_its_corpus(name: &str) {
    let target = target(name);
    for (name, input) in corpus(target) {
        run(target, &name, &input);
    }
}

/// Says on stderr which input it was, if it breaks.
fn run(target: &Target, name: &str, input: &[u8]) {
    struct Said<'a>(&'a str, &'a [u8]);
    impl Drop for Said<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("{}:\n{}", self.0, self.1.escape_ascii());
            }
        }
    }
    let said = Said(name, input);
    (target.run)(input);
    drop(said);
}

fn holds_for_mutations(name: &str) {
    let target = target(name);
    let corpus = corpus(target);
    let mut rng = StdRng::seed_from_u64(1597);
    for number in 0..MUTATED {
        let (name, input) = corpus.choose(&mut rng).expect("it is not empty");
        let mut input = mutate::xml(input, &mut rng);
        input.truncate(target.longest);
        run(target, &format!("mutation {number} of {name}"), &input);
    }
}

#[test]
fn framing_holds_for_its_corpus() {
    holds_for_its_corpus("framing");
}

#[test]
fn framing_holds_for_mutations() {
    holds_for_mutations("framing");
}

#[test]
fn elements_hold_for_their_corpus() {
    holds_for_its_corpus("elements");
}

#[test]
fn hostile_server_never_makes_an_error_of_ours() {
    holds_for_mutations("elements");
}

#[test]
fn files_hold_for_their_corpus() {
    holds_for_its_corpus("import");
}

#[test]
fn hostile_file_never_makes_an_error_of_ours() {
    holds_for_mutations("import");
}

#[test]
fn negotiation_holds_for_its_corpus() {
    holds_for_its_corpus("negotiation");
}

#[test]
fn files_are_what_the_target_understands() {
    let added: Vec<_> =
        corpus(target("import")).iter().map(|(name, input)| (name.clone(), fuzz::adds(input))).collect();
    for (name, messages) in
        [("our_own.xml", 7), ("of_another_server.xml", 3), ("killed_and_signed_in.xml", 3)]
    {
        assert!(added.contains(&(name.to_owned(), messages)), "{name}: {added:?}");
    }
}

#[test]
fn recorded_logins_get_in() {
    for (name, input) in corpus(target("negotiation")) {
        let recorded = ["prosody", "ejabberd", "registered.", "registered_with"]
            .iter()
            .any(|first| name.starts_with(first));
        assert!(!recorded || fuzz::gets_in(&input), "{name} is not what the target understands");
    }
}

#[test]
fn negotiation_holds_for_mutations() {
    holds_for_mutations("negotiation");
}

#[test]
fn texts_hold_for_their_corpus() {
    holds_for_its_corpus("text");
}

#[test]
fn links_hold_for_their_corpus() {
    holds_for_its_corpus("uri");
}

#[test]
fn looks_hold_for_their_corpus() {
    holds_for_its_corpus("looks");
}

#[test]
fn database_holds_for_its_corpus() {
    holds_for_its_corpus("database");
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(dir).unwrap() {
        target(&entry.unwrap().file_name().to_string_lossy());
    }
}

mod hostile {
    use whimbrel::internals::Framing;
    use whimbrel_engine::LinkId;

    use super::*;

    /// What three servers have said to a phone, cut behind every byte.
    #[test]
    fn cut_mid_stanza_of_recorded_streams() {
        let recorded = |name: &str| name.starts_with("prosody") || name.starts_with("ejabberd");
        let streams: Vec<_> =
            corpus(target("framing")).into_iter().filter(|(name, _)| recorded(name)).collect();
        assert_eq!(streams.len(), 9);
        for (name, stream) in streams {
            let mut whole = Vec::new();
            Framing::default().feed(LinkId(1), &stream, &mut whole).expect("it was a good stream");
            // Behind each byte what has come so far is all that would ever have come, had the link died there.
            let (mut framing, mut came, mut before) = (Framing::default(), Vec::new(), 0);
            for (at, byte) in stream.iter().enumerate() {
                framing.feed(LinkId(1), &[*byte], &mut came).expect("it was a good stream");
                let new = before..came.len();
                assert!(new.is_empty() || *byte == b'>', "{name}, cut at {at}: whole or not at all");
                for index in new {
                    let (cut, whole) = (format!("{:?}", came[index]), format!("{:?}", whole[index]));
                    assert_eq!(cut, whole, "{name}, cut at {at}");
                }
                before = came.len();
            }
            assert_eq!(came.len(), whole.len(), "{name}");
        }
    }
}
