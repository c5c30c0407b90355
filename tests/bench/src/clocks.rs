//! Processor time of this process or thread, in microseconds.

use rustix::time::{ClockId, clock_gettime};

fn micros(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// All threads of this process, the kernel's work for them included.
pub(crate) fn process() -> f64 {
    micros(ClockId::ProcessCPUTime)
}

/// This thread.
pub(crate) fn thread() -> f64 {
    micros(ClockId::ThreadCPUTime)
}
