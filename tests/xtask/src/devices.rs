//! `cargo xtask soak --devices`: two devices of ours and slixmpp, all of one account, and whether they agree.
//!
//! Each seed is a server, four clients and two minutes of their own. What is found is printed with its seed and script; `--seed`
//! does the same again, as far as a real server and two clocks allow it.

use std::time::{Duration, Instant};

use interop::{Kind, devices_agree};

use crate::{Result, cargo, host};

/// One seed's.
const ONE: Duration = Duration::from_secs(120);

pub(crate) fn soak(minutes: f64, first: u64) -> Result<()> {
    let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    prepare()?;
    for seed in first.. {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        one(seed, left.min(ONE))?;
    }
    Ok(())
}

/// A minute over each server.
pub(crate) fn short() -> Result<()> {
    prepare()?;
    (1..=2).try_for_each(|seed| one(seed, ONE / 2))
}

fn prepare() -> Result<()> {
    host::need(&host::BUILD, "150 MB, half a minute")?;
    host::need(&host::PYTHON, "60 MB, half a minute")?;
    cargo::console(false).map(drop)
}

fn one(seed: u64, over: Duration) -> Result<()> {
    let kind = if seed.is_multiple_of(2) { Kind::Prosody13 } else { Kind::Ejabberd };
    let agreed = devices_agree(kind, seed, over, &cargo::target().join("slixmpp"))?;
    println!(
        "seed {seed} over {}: {} deeds, {} troubles, {} messages left; compared {} times, and all agreed within {:.1} s",
        kind.name(),
        agreed.deeds,
        agreed.troubles,
        agreed.messages,
        agreed.rests,
        agreed.slowest.as_secs_f64()
    );
    Ok(())
}
