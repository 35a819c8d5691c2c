//! Reads the host's memory for the decision how many idle environments to end, and tells the operator once that it is short.

use std::time::{Duration, Instant};

use firelet_runtime::{HostMemory, MemoryGauge};

use super::{MemoryReserve, Reading};

/// What was seen of the host's memory so far.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    reserve: MemoryReserve,
    gauge: MemoryGauge,
    /// When everything had stood still for how long.
    last: Option<(Instant, Duration)>,
    /// Whether the operator knows that it is short.
    is_told: bool,
}

impl MemoryWatch {
    pub(crate) fn new(reserve: MemoryReserve) -> Self {
        Self { reserve, gauge: MemoryGauge::new(), last: None, is_told: false }
    }

    /// How many of `idle` environments to end now.
    pub(crate) fn surplus(&mut self, idle: usize, now: Instant) -> usize {
        if !self.reserve.is_any() || idle == 0 {
            self.last = None;
            return 0;
        }
        match self.gauge.read() {
            Ok(memory) => self.judge(memory, idle, now),
            Err(error) => {
                tracing::warn!(%error, "cannot tell how much memory there is; idle environments stay until their time is over");
                self.reserve = MemoryReserve::Bytes(0);
                0
            }
        }
    }

    fn judge(&mut self, memory: HostMemory, idle: usize, now: Instant) -> usize {
        let HostMemory { available, total, stalled } = memory;
        let before = std::mem::replace(&mut self.last, stalled.map(|stalled| (now, stalled)));
        let (stalled, elapsed) = match (before, stalled) {
            (Some((then, before)), Some(stalled)) => (stalled.saturating_sub(before), now - then),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        let surplus = self.reserve.surplus(Reading { available, total, stalled, elapsed }, idle);
        if surplus > 0 && !self.is_told {
            let (available, total) = (megabytes(available), megabytes(total));
            tracing::warn!(
                available,
                total,
                idle,
                "memory in MB is short: idle execution environments are ended, and then snapshots dropped"
            );
        }
        self.is_told = surplus > 0;
        surplus
    }
}

const fn megabytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_still_between_two_looks_counts() {
        let mut watch = MemoryWatch::new(MemoryReserve::Percent(5));
        let start = Instant::now();
        let mut look = |seconds: u64, stalled: Option<u64>| {
            let stalled = stalled.map(Duration::from_millis);
            let memory = HostMemory { available: 900, total: 1_000, stalled };
            watch.judge(memory, 8, start + Duration::from_secs(seconds))
        };
        for (seconds, stalled, expected) in [
            // What was before the first look is nobody's.
            (0, Some(60_000), 0),
            (1, Some(60_500), 1),
            (2, Some(60_500), 0),
            (12, Some(61_300), 0),
            (13, None, 0),
            (14, Some(70_000), 0),
            (15, Some(71_000), 1),
        ] {
            assert_eq!(look(seconds, stalled), expected, "after {seconds} s");
        }
    }
}
