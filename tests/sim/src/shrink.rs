//! The shortest script that still fails for the same reason.
//!
//! Takes away runs of acts, longer ones first, for as long as the rest still fails (Zeller's delta debugging).

use crate::{script::Script, world::World};

/// Cuts a failing script down. Returns it with how it fails; `None` if it does not fail.
pub fn shrink(script: &Script) -> Option<(Script, crate::Failure)> {
    let mut failure = World::run(script).err()?;
    let kind = failure.kind();
    let mut script = script.clone();
    let mut run = script.acts.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        let mut shorter = false;
        while from < script.acts.len() {
            let mut candidate = script.clone();
            candidate.acts.drain(from..(from + run).min(script.acts.len()));
            match World::run(&candidate) {
                Err(same) if same.kind() == kind => {
                    (script, failure, shorter) = (candidate, same, true);
                }
                _ => from += run,
            }
        }
        if run > 1 {
            run = run.div_ceil(2);
        } else if !shorter {
            return Some((script, failure));
        }
    }
}
