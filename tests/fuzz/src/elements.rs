//! What a server, and whoever it relays for, can say to a session: bytes in pieces, framing, a step of the engine for each
//! batch, over links that break and a process that dies (see [`crate::world`]).

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{hash, world::World};

pub(crate) fn run(data: &[u8]) {
    let mut rng = StdRng::seed_from_u64(hash(data));
    let batch = if rng.random_ratio(1, 2) { 1 } else { 8 };
    let longest = if rng.random_ratio(1, 2) { 4_096 } else { 64 };
    let mut lengths = std::iter::from_fn(|| Some(rng.random_range(1..=longest)));
    World::online().gets(data, batch, &mut lengths);
}
