//! Whether the host's processors have more to do than they can. Looks at most once in a while, for whoever asks.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// See `Documentation/filesystems/proc.rst` of Linux: its fourth field is how many processes could run, of how many.
const LOAD: &str = "/proc/loadavg";
/// How long a look holds.
const LOOK: Duration = Duration::from_millis(1);
/// After so long without a look, those before say nothing of now.
const MEMORY: Duration = Duration::from_millis(100);
/// The share of those before in what is thought after one more: seven eighths.
const LOOKS: f64 = 8.0;
/// More than so many for each processor that could run are more than it can.
const TOO_MANY: f64 = 1.5;

#[derive(Debug)]
pub(crate) struct Saturation {
    processors: usize,
    latest: Mutex<Option<Look>>,
}

/// What was seen last.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    /// How many processes could run, in the mean of the latest looks.
    runnable: f64,
}

impl Saturation {
    /// Of a host with so many processors.
    pub(crate) fn new(processors: usize) -> Self {
        Self { processors, latest: Mutex::new(None) }
    }

    pub(crate) fn processors(&self) -> usize {
        self.processors
    }

    /// Reads a file of the kernel, but for those who ask soon after another. Where the file cannot be read it never is.
    pub(crate) fn is_there(&self) -> bool {
        let mut latest = self.latest.lock();
        let look = Look::after(*latest, Instant::now(), || {
            std::fs::read_to_string(LOAD).ok().and_then(|load| runnable_in(&load)).unwrap_or_default()
        });
        *latest = Some(look);
        look.runnable > f64::from(u32::try_from(self.processors).unwrap_or(u32::MAX)) * TOO_MANY
    }
}

impl Look {
    fn after(before: Option<Self>, now: Instant, runnable: impl FnOnce() -> u32) -> Self {
        let age = before.map(|before| now.duration_since(before.at));
        match (before, age) {
            (Some(before), Some(age)) if age < LOOK => before,
            (Some(before), Some(age)) if age < MEMORY => {
                let runnable = before.runnable + (f64::from(runnable()) - before.runnable) / LOOKS;
                Self { at: now, runnable }
            }
            _ => Self { at: now, runnable: f64::from(runnable()) },
        }
    }
}

fn runnable_in(load: &str) -> Option<u32> {
    load.split(' ').nth(3)?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_how_many_could_run() {
        assert_eq!(runnable_in("19.23 14.50 9.91 7/179 28244\n"), Some(7));
        assert_eq!(runnable_in(""), None);
        let own = std::fs::read_to_string(LOAD).unwrap();
        assert!(runnable_in(&own) >= Some(1), "whoever reads it runs: {own}");
    }

    #[test]
    fn one_look_does_not_change_what_many_have_shown() {
        let start = Instant::now();
        let mut look = Look::after(None, start, || 9);
        for (milliseconds, runnable, expected) in
            [(0, 1, 9.0), (1, 1, 8.0), (2, 0, 7.0), (3, 7, 7.0), (102, 15, 8.0), (202, 2, 2.0)]
        {
            look = Look::after(Some(look), start + Duration::from_millis(milliseconds), || runnable);
            assert!((look.runnable - expected).abs() < 1e-9, "{look:?} after {milliseconds} ms");
        }
    }

    #[test]
    fn a_host_without_processors_is_saturated_by_who_asks() {
        assert!(Saturation::new(0).is_there());
        assert!(!Saturation::new(1 << 30).is_there());
    }
}
