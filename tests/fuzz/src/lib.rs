//! Fuzz targets: what is searched for a panic, an abort, a hang, or a broken promise.
//!
//! A target is a plain function of bytes, so that the committed corpus and every input that ever broke something is a test on
//! the stable toolchain (`tests/corpus.rs`), and the same function is what libFuzzer calls (`cargo xtask fuzz`). A target
//! panics when something does not hold.

mod database;
mod elements;
mod framing;
mod import;
pub mod mutate;
mod negotiation;
mod payloads;
mod registration;
mod text;
mod world;

pub use import::adds;
pub use negotiation::gets_in;

/// A target by its name, which is its folder in `corpus`, too.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As `cargo xtask fuzz` calls it.
    pub name: &'static str,
    /// What is searched.
    pub run: fn(&[u8]),
    /// Whether its inputs are XML, to be mutated as such.
    pub is_xml: bool,
    /// Longest input that is tried, in bytes.
    pub longest: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "framing", run: framing::run, is_xml: true, longest: 16 << 10 },
    Target { name: "negotiation", run: negotiation::run, is_xml: true, longest: 16 << 10 },
    Target { name: "elements", run: elements::run, is_xml: true, longest: 32 << 10 },
    Target { name: "import", run: import::run, is_xml: true, longest: 16 << 10 },
    Target { name: "text", run: text::run, is_xml: false, longest: 4 << 10 },
    Target { name: "uri", run: text::uri, is_xml: false, longest: 4 << 10 },
    Target { name: "looks", run: text::looks, is_xml: false, longest: 4 << 10 },
    Target { name: "database", run: database::run, is_xml: false, longest: 1 << 10 },
];

/// A number that belongs to these bytes, for what a target decides by itself.
pub(crate) fn hash(data: &[u8]) -> u64 {
    data.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
