//! What libFuzzer calls: the target that `FUZZ_TARGET` names, and the mutations that fit it.

#![no_main]

use std::sync::OnceLock;

use fuzz::{TARGETS, Target, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rand::{SeedableRng, rngs::StdRng};

fn target() -> &'static Target {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| {
            panic!("FUZZ_TARGET={name}: run `cargo xtask fuzz`, which says which there are")
        })
    })
}

fuzz_target!(|data: &[u8]| (target().run)(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let max_size = max_size.min(target().longest);
    if !target().is_xml || size == 0 {
        return fuzzer_mutate(data, size.min(max_size), max_size);
    }
    let mutated = mutate::xml(&data[..size.min(max_size)], &mut StdRng::seed_from_u64(seed.into()));
    let length = mutated.len().min(max_size);
    data[..length].copy_from_slice(&mutated[..length]);
    length
});
