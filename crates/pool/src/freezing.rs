//! When idle environments are made to stand still: a short while after their last invocation, so that those in use never
//! wait for being woken.
//!
//! Nothing looks while nothing is idle and awake: the first environment that comes back starts it, and it stops when all
//! stand still.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The least time between two looks.
const LEAST_PERIOD: Duration = Duration::from_millis(10);

/// Whether there is anything to stop, and when.
pub(crate) struct Freezing {
    grace: Duration,
    /// Whether an environment may be idle and awake.
    is_due: AtomicBool,
    started: Notify,
}

impl Freezing {
    /// Environments are stopped when they have been idle for `grace`.
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, is_due: AtomicBool::new(false), started: Notify::new() }
    }

    /// An environment is idle from now on.
    pub(crate) fn environment_is_idle(&self) {
        // A look before the write, which other processors would have to hear of, on the way of every invocation.
        if !self.is_due.load(Ordering::Relaxed) && !self.is_due.swap(true, Ordering::Relaxed) {
            self.started.notify_one();
        }
    }

    /// Waits until an environment may be idle and awake.
    pub(crate) async fn due(&self) {
        while !self.is_due.load(Ordering::Relaxed) {
            self.started.notified().await;
        }
    }

    /// How long to wait between two looks.
    pub(crate) fn period(&self) -> Duration {
        self.grace.max(LEAST_PERIOD)
    }

    /// Stops what is due, as `stop` does with everything that is idle since before the time it gets; it says whether
    /// all that is idle stands still.
    pub(crate) fn look(&self, now: Instant, stop: impl FnOnce(Instant) -> bool) {
        // First: what becomes idle meanwhile is for the next look.
        self.is_due.store(false, Ordering::Relaxed);
        let all_stand_still = now.checked_sub(self.grace).is_some_and(stop);
        if !all_stand_still {
            self.environment_is_idle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_millis(100);

    fn is_due(freezing: &Freezing) -> bool {
        freezing.is_due.load(Ordering::Relaxed)
    }

    #[test]
    fn it_looks_from_the_first_idle_environment_until_all_stand_still() {
        let freezing = Freezing::new(GRACE);
        assert!(!is_due(&freezing));
        freezing.environment_is_idle();
        let now = Instant::now() + GRACE;
        freezing.look(now, |cutoff| {
            assert_eq!(cutoff, now - GRACE);
            false
        });
        assert!(is_due(&freezing));
        freezing.look(now, |_| true);
        assert!(!is_due(&freezing));
    }

    #[test]
    fn what_becomes_idle_while_it_looks_is_for_the_next_look() {
        let freezing = Freezing::new(GRACE);
        freezing.look(Instant::now() + GRACE, |_| {
            freezing.environment_is_idle();
            true
        });
        assert!(is_due(&freezing));
    }

    #[tokio::test]
    async fn the_first_idle_environment_wakes_who_waits() {
        let freezing = Freezing::new(GRACE);
        freezing.environment_is_idle();
        freezing.due().await;
    }
}
