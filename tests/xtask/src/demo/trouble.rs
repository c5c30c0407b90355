//! What happens to a phone: the link goes, with what was on it or without, for a moment or longer; and the system kills the
//! app.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use interop::InFlight;
use rand::{Rng as _, rngs::StdRng};

use super::phone::Handset;
use crate::Result;

/// Cuts the link every two to four seconds until it is calm.
pub(crate) fn cut_now_and_then(phone: &Handset, mut dice: StdRng, calm: &AtomicBool) -> Result<()> {
    while wait(dice.random_range(2000..4000), calm) {
        match dice.random_range(0..4) {
            // A tidy end: what was on its way arrives.
            0 => phone.link.cut(InFlight::Kept),
            // Out of reach: what was on its way is lost.
            1 => phone.link.cut(InFlight::Dropped),
            // A tunnel: for a while both believe that they are heard.
            2 => {
                phone.link.stall(true);
                wait(dice.random_range(50..500), calm);
                phone.link.cut(InFlight::Dropped);
                phone.link.stall(false);
            }
            // A dead zone: no way back for a while.
            _ => {
                phone.link.refuse(true);
                phone.link.cut(InFlight::Dropped);
                wait(dice.random_range(200..1000), calm);
                phone.link.refuse(false);
            }
        }
    }
    Ok(())
}

/// Kills the phone early on and then every eight to fourteen seconds, and starts it again, until it is calm.
pub(crate) fn kill_now_and_then(phone: &Handset, mut dice: StdRng, calm: &AtomicBool) -> Result<()> {
    let mut pause = 3000..5000;
    while wait(dice.random_range(pause), calm) {
        pause = 8000..14_000;
        phone.kill();
        wait(dice.random_range(100..2000), calm);
        phone.start()?;
    }
    Ok(())
}

/// False if it became calm meanwhile.
fn wait(milliseconds: u64, calm: &AtomicBool) -> bool {
    let deadline = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < deadline {
        if calm.load(Ordering::Acquire) {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    !calm.load(Ordering::Acquire)
}
