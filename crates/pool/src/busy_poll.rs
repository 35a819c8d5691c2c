//! Busy polling: the server's thread stays awake for a moment after something happened.
//!
//! What comes next (a runtime's answer, its next poll, the caller's next request) often comes within microseconds, and to
//! wake a processor that sleeps costs the waker and the woken more than that. While it polls, the thread offers its
//! processor to whoever else wants it. It does not poll for functions that take longer, nor without invocations.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How long nothing must have happened before other processes are let in first: a thread with work to do would come last.
const BUSY: Duration = Duration::from_micros(5);
/// Invocations that are not polled for after one for which it was in vain; twice as many after the next, and so on.
const FIRST_PAUSE: u32 = 8;
const LONGEST_PAUSE: u32 = 1_024;

/// When something happened last, and for how long that keeps the thread awake.
#[derive(Debug)]
pub(crate) struct BusyPoll {
    budget: Duration,
    started: Instant,
    /// Nanoseconds from `started` to what happened last.
    last: AtomicU64,
    is_asleep: AtomicBool,
    wake: Notify,
    trend: Mutex<Trend>,
}

impl BusyPoll {
    /// Keeps the thread awake for `budget` after what happens; not at all when that is zero.
    pub(crate) fn new(budget: Duration) -> Self {
        Self {
            budget,
            started: Instant::now(),
            last: AtomicU64::new(0),
            is_asleep: AtomicBool::new(true),
            wake: Notify::new(),
            trend: Mutex::default(),
        }
    }

    /// An invocation begins. Says whether it is polled for.
    pub(crate) fn invocation_begins(&self) -> bool {
        let is_polled = !self.budget.is_zero() && self.trend.lock().next();
        if is_polled {
            self.touch();
        }
        is_polled
    }

    /// An invocation, polled for or not, was answered after `took`.
    pub(crate) fn invocation_ends(&self, is_polled: bool, took: Duration) {
        if is_polled && self.trend.lock().polled(took <= self.budget) {
            self.touch();
        }
    }

    /// A runtime asked for its next event.
    pub(crate) fn runtime_is_ready(&self) {
        // Not for the first of many, but as long as there is something going on.
        if !self.is_asleep.load(Ordering::Relaxed) {
            self.touch();
        }
    }

    fn touch(&self) {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    /// Polls; to be run as a task of its own, and ends never.
    pub(crate) async fn run(&self) {
        loop {
            while let quiet = self.quiet()
                && quiet < self.budget
            {
                if quiet > BUSY {
                    std::thread::yield_now();
                }
                // Has the thread look for events without waiting.
                tokio::task::yield_now().await;
            }
            self.is_asleep.store(true, Ordering::SeqCst);
            // What happened since the last look has found nobody asleep.
            if self.quiet() >= self.budget {
                self.wake.notified().await;
            }
        }
    }

    /// How long nothing has happened.
    fn quiet(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_nanos(self.last.load(Ordering::Relaxed)))
    }
}

/// Whether polling is worth its while: a pure decision.
///
/// It is in vain for functions that take long. It does harm where the kernel has put the function on the very processor
/// that polls; that shows the same way, and passes when the thread sleeps for a while.
#[derive(Debug, Default)]
struct Trend {
    /// Invocations that are still not polled for.
    left: u32,
    /// How many that were, the last time.
    pause: u32,
}

impl Trend {
    /// Whether the next invocation is polled for.
    fn next(&mut self) -> bool {
        let is_polled = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_polled
    }

    /// Learns whether the answer came while it was polled for, and says so.
    fn polled(&mut self, in_time: bool) -> bool {
        self.pause = if in_time { 0 } else { (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE) };
        self.left = self.pause;
        in_time
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn it_sleeps_until_something_happens_and_again_after_a_while() {
        let polling = Arc::new(BusyPoll::new(Duration::from_millis(2)));
        let is_asleep = || polling.is_asleep.load(Ordering::SeqCst);
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let polling = Arc::clone(&polling);
            async move { polling.run().await }
        });
        for _ in 0..3 {
            assert!(polling.invocation_begins());
            assert!(!is_asleep());
            while !is_asleep() {
                tokio::task::yield_now().await;
            }
            assert!(polling.quiet() >= polling.budget);
        }
    }

    #[tokio::test]
    async fn without_a_budget_it_never_wakes() {
        let polling = BusyPoll::new(Duration::ZERO);
        assert!(!polling.invocation_begins());
        polling.invocation_ends(false, Duration::ZERO);
        polling.runtime_is_ready();
        assert!(polling.is_asleep.load(Ordering::SeqCst));
        assert!(tokio::time::timeout(Duration::from_millis(5), polling.run()).await.is_err());
    }

    #[test]
    fn what_was_in_vain_is_tried_again_ever_more_rarely() {
        let mut trend = Trend::default();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let pause = (0..).take_while(|_| !trend.next()).count();
            pauses.push(pause);
            assert!(!trend.polled(false));
        }
        assert_eq!(pauses, [0, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_024]);
    }

    #[test]
    fn a_success_ends_the_pauses() {
        let mut trend = Trend::default();
        trend.polled(false);
        trend.polled(false);
        assert!(trend.polled(true));
        assert!(trend.next() && trend.next());
    }
}
