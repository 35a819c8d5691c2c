//! When idle environments are ended, or snapshots dropped, because the host runs out of memory: a pure decision, made once a
//! second.
//!
//! Knows no host and no environment; ends nothing.

mod watch;

use std::time::Duration;

pub(crate) use watch::MemoryWatch;

/// Of the time between two looks, how much everything may have stood still for want of memory.
const STALL: f64 = 0.1;
/// Which part of the idle environments goes when it was more.
const STALL_PART: usize = 8;

/// What of the host's memory is kept free of idle environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryReserve {
    /// So many bytes; none for no reserve.
    Bytes(u64),
    /// So many hundredths of it.
    Percent(u8),
}

/// The host's memory at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Bytes that can be had.
    pub(crate) available: u64,
    /// Bytes in all.
    pub(crate) total: u64,
    /// How long everything stood still for want of memory in the time before.
    pub(crate) stalled: Duration,
    /// That time.
    pub(crate) elapsed: Duration,
}

impl MemoryReserve {
    /// How many of `idle` environments to end now. Where memory is short of the reserve, it is as large a part of them as is
    /// missing of it, and one at least; the next look sees what came of that.
    pub(crate) fn surplus(self, reading: Reading, idle: usize) -> usize {
        let reserve = self.bytes(reading.total);
        if reserve == 0 || idle == 0 {
            return 0;
        }
        let missing = reserve.saturating_sub(reading.available);
        let part = (idle as u128 * u128::from(missing)).div_ceil(u128::from(reserve));
        let short = usize::try_from(part).unwrap_or(idle);
        let stalled = if reading.is_stalling() { idle.div_ceil(STALL_PART) } else { 0 };
        short.max(stalled)
    }

    /// Whether there is a reserve at all.
    pub(crate) const fn is_any(self) -> bool {
        !matches!(self, Self::Bytes(0) | Self::Percent(0))
    }

    fn bytes(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => total / 100 * u64::from(percent),
        }
    }
}

impl Reading {
    fn is_stalling(self) -> bool {
        self.stalled > self.elapsed.mul_f64(STALL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: u64 = 16_000;

    #[test]
    fn idle_environments_go_as_memory_becomes_short() {
        use MemoryReserve::{Bytes, Percent};
        // What is available of 16,000 bytes, milliseconds stalled of the last second, how many are idle and how many go.
        for (reserve, available, stalled, idle, expected) in [
            // Enough, just enough, and less.
            (Percent(5), 9_000, 0, 100, 0),
            (Percent(5), 800, 0, 100, 0),
            (Percent(5), 799, 0, 100, 1),
            (Percent(5), 600, 0, 100, 25),
            (Percent(5), 0, 0, 100, 100),
            (Percent(5), 799, 0, 1, 1),
            (Percent(5), 0, 0, 0, 0),
            (Bytes(1_000), 750, 0, 8, 2),
            // More than there is: all go in the end, one at least each time.
            (Bytes(32_000), 16_000, 0, 10, 5),
            (Bytes(32_000), 16_000, 0, 1, 1),
            (Percent(100), 15_999, 0, 3, 1),
            (Bytes(u64::MAX), 16_000, 0, usize::MAX, usize::MAX - 16_000),
            // Everything stands still although there seems to be enough.
            (Percent(5), 9_000, 100, 100, 0),
            (Percent(5), 9_000, 101, 100, 13),
            (Percent(5), 9_000, 1_000, 1, 1),
            (Percent(5), 400, 1_000, 100, 50),
            // Turned off.
            (Bytes(0), 0, 1_000, 100, 0),
            (Percent(0), 0, 1_000, 100, 0),
        ] {
            let stalled = Duration::from_millis(stalled);
            let reading = Reading { available, total: TOTAL, stalled, elapsed: Duration::from_secs(1) };
            assert_eq!(reserve.surplus(reading, idle), expected, "{reserve:?} {reading:?} {idle}");
        }
    }
}
