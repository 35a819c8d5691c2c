//! Whether the host's processors have more to do than they can. Looks at most once in a while, for whoever asks.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// See `Documentation/filesystems/proc.rst` of Linux: its fourth field is how many processes could run, of how many.
const LOAD: &str = "/proc/loadavg";
/// The same: its second field is how many seconds all processors together have been idle.
const UPTIME: &str = "/proc/uptime";
/// How long a look at what could run holds.
const LOOK: Duration = Duration::from_millis(1);
/// After so long without a look, those before say nothing of now.
const MEMORY: Duration = Duration::from_millis(100);
/// The share of those before in what is thought after one more: seven eighths.
const LOOKS: f64 = 8.0;
/// More than so many for each processor that could run are more than it can.
const TOO_MANY: f64 = 1.5;
/// How long idle time is counted before it says anything: the kernel tells it in hundredths of a second.
const SPAN: Duration = Duration::from_millis(100);
/// After so long without a look, the time since then says nothing of now.
const IDLE_MEMORY: Duration = Duration::from_millis(500);
/// The share of the spans before in what is thought after one more: three quarters.
const SPANS: f64 = 4.0;
/// With less idle time than this share, the processors have all that they can do: some of it is there however much waits for
/// one thread.
const HARDLY_IDLE: f64 = 0.15;

#[derive(Debug)]
pub(crate) struct Saturation {
    processors: usize,
    latest: Mutex<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    look: Option<Look>,
    idleness: Option<Idleness>,
}

/// What was seen last of what could run: more than the processors can says at once that they are busy.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    /// How many processes could run, in the mean of the latest looks.
    runnable: f64,
}

/// What was seen last of idle time: processors may be busy with few who could run, who wait for each other.
#[derive(Debug, Clone, Copy)]
struct Idleness {
    at: Instant,
    /// Seconds so far, of all processors.
    seconds: f64,
    /// Of their time, in the mean of the latest spans; none before the first is over.
    share: Option<f64>,
}

impl Saturation {
    /// Of a host with so many processors.
    pub(crate) fn new(processors: usize) -> Self {
        Self { processors, latest: Mutex::default() }
    }

    pub(crate) fn processors(&self) -> usize {
        self.processors
    }

    /// Reads files of the kernel, but for those who ask soon after another. Where they cannot be read it never is.
    pub(crate) fn is_there(&self) -> bool {
        let processors = f64::from(u32::try_from(self.processors).unwrap_or(u32::MAX));
        let mut latest = self.latest.lock();
        let now = Instant::now();
        let look = Look::after(latest.look, now, || {
            told(LOAD).and_then(|text| runnable_in(&text)).unwrap_or_default()
        });
        let idleness = Idleness::after(latest.idleness, now, processors, || idle_in(&told(UPTIME)?));
        *latest = Latest { look: Some(look), idleness };
        look.runnable > processors * TOO_MANY || idleness.is_some_and(Idleness::is_hardly_there)
    }
}

fn told(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
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

impl Idleness {
    fn after(
        before: Option<Self>,
        now: Instant,
        processors: f64,
        seconds: impl FnOnce() -> Option<f64>,
    ) -> Option<Self> {
        let age = before.map(|before| now.duration_since(before.at));
        match (before, age) {
            (Some(before), Some(age)) if age < SPAN => Some(before),
            (Some(before), Some(age)) if age < IDLE_MEMORY => {
                let seconds = seconds()?;
                let latest = (seconds - before.seconds) / (age.as_secs_f64() * processors);
                let share = before.share.map_or(latest, |share| share + (latest - share) / SPANS);
                Some(Self { at: now, seconds, share: Some(share) })
            }
            _ => Some(Self { at: now, seconds: seconds()?, share: None }),
        }
    }

    fn is_hardly_there(self) -> bool {
        self.share.is_some_and(|share| share < HARDLY_IDLE)
    }
}

fn runnable_in(load: &str) -> Option<u32> {
    load.split(' ').nth(3)?.split('/').next()?.parse().ok()
}

fn idle_in(uptime: &str) -> Option<f64> {
    uptime.split_whitespace().nth(1)?.parse().ok()
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
    fn the_kernel_tells_how_long_processors_were_idle() {
        assert_eq!(idle_in("1594.25 2873.02\n"), Some(2873.02));
        assert_eq!(idle_in("1594.25\n"), None);
        assert!(told(UPTIME).and_then(|text| idle_in(&text)).is_some());
    }

    #[test]
    fn processors_that_are_hardly_idle_are_busy() {
        let start = Instant::now();
        let mut idleness = None;
        for (milliseconds, seconds, expected, is_busy) in [
            (0, 100.0, None, false),
            (99, 100.1, None, false),
            (100, 100.02, Some(0.1), true),
            (150, 100.1, Some(0.1), true),
            (200, 100.2, Some(0.3), false),
            (300, 100.2, Some(0.225), false),
            (700, 100.2, Some(0.168_75), false),
            (800, 100.2, Some(0.126_562_5), true),
            (1_300, 100.2, None, false),
        ] {
            idleness =
                Idleness::after(idleness, start + Duration::from_millis(milliseconds), 2.0, || Some(seconds));
            let seen = idleness.unwrap();
            let is_as_expected = match (seen.share, expected) {
                (Some(share), Some(expected)) => f64::abs(share - expected) < 1e-9,
                (share, expected) => share == expected,
            };
            assert!(is_as_expected, "{seen:?} after {milliseconds} ms");
            assert_eq!(seen.is_hardly_there(), is_busy, "{seen:?} after {milliseconds} ms");
        }
        assert!(Idleness::after(idleness, start + Duration::from_secs(2), 2.0, || None).is_none());
    }

    #[test]
    fn a_host_without_processors_is_saturated_by_who_asks() {
        assert!(Saturation::new(0).is_there());
        assert!(!Saturation::new(1 << 30).is_there());
    }
}
