//! What comes next for an event that was tried: a pure decision.
//!
//! Knows no store and no function. See <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
//! and <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html>.

use std::time::Duration;

use firelet_store::event::Progress;
use firelet_store::function::EventInvokeConfig;
use firelet_types::{Timestamp, limits};

/// The wait after the first setback; each further one doubles it.
const FIRST_SETBACK: Duration = Duration::from_secs(1);
/// The longest wait after a setback.
const LONGEST_SETBACK: Duration = Duration::from_secs(300);
/// The part of a wait that chance may add, so that events that failed together do not come back together.
const SPREAD: f64 = 0.1;

/// How a try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The function answered.
    Success,
    /// The function ran and failed.
    FunctionError,
    /// The function could not be run: no room, or a fault that is not its own.
    Setback,
    /// The function is kept from running: no executions are reserved for it.
    ZeroReservedConcurrency,
    /// The function is kept from running: it is part of a loop.
    Recursion,
}

/// What the caller configured, or the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// How often the function may run again.
    retries: u32,
    /// How old the event may become.
    age: Duration,
}

/// Why an event ended, as records name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
    ZeroReservedConcurrency,
    /// Documented to be told like other failures; the name is not recorded.
    RecursiveInvocation,
}

/// What to do with the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try it again.
    Retry {
        /// What came of it so far.
        progress: Progress,
        /// When to try it.
        due: Timestamp,
    },
    /// It has ended.
    End {
        /// Why.
        condition: Condition,
        /// How often the function ran for it.
        invocations: u32,
    },
}

impl Bounds {
    pub(crate) fn of(config: Option<&EventInvokeConfig>) -> Self {
        let retries = config.and_then(|config| config.maximum_retry_attempts);
        let age = config.and_then(|config| config.maximum_event_age_seconds);
        Self {
            retries: retries.unwrap_or(limits::EVENT_RETRIES),
            age: age.map_or(limits::EVENT_AGE, |seconds| Duration::from_secs(seconds.into())),
        }
    }

    /// The last moment at which an event may be tried.
    fn expiry(self, accepted: Timestamp) -> Timestamp {
        accepted.plus(self.age)
    }
}

impl Condition {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::ZeroReservedConcurrency => "ZeroReservedConcurrency",
            Self::RecursiveInvocation => "RecursiveInvocation",
        }
    }

    pub(crate) const fn is_success(self) -> bool {
        matches!(self, Self::Success)
    }
}

/// An event on its way, and what its future depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// When it was accepted.
    pub(crate) accepted: Timestamp,
    /// What came of it so far.
    pub(crate) progress: Progress,
    /// What is configured.
    pub(crate) bounds: Bounds,
    /// The wait after the function has failed once; it doubles with each further time.
    pub(crate) first_retry: Duration,
}

impl Case {
    /// The end of an event that has waited for too long, whose turn comes at `now`.
    pub(crate) fn overdue(&self, now: Timestamp) -> Option<Next> {
        let invocations = self.progress.invocations;
        (now > self.bounds.expiry(self.accepted))
            .then_some(Next::End { condition: Condition::EventAgeExceeded, invocations })
    }

    /// What comes after a try that ended at `now`. `fraction` is chance, from 0 up to 1.
    pub(crate) fn next(&self, outcome: Outcome, now: Timestamp, fraction: f64) -> Next {
        let Progress { invocations, setbacks } = self.progress;
        match outcome {
            Outcome::Success => Next::End { condition: Condition::Success, invocations: invocations + 1 },
            Outcome::ZeroReservedConcurrency => {
                Next::End { condition: Condition::ZeroReservedConcurrency, invocations }
            }
            Outcome::Recursion => Next::End { condition: Condition::RecursiveInvocation, invocations },
            Outcome::FunctionError if invocations >= self.bounds.retries => {
                Next::End { condition: Condition::RetriesExhausted, invocations: invocations + 1 }
            }
            Outcome::FunctionError => {
                let wait = doubled(self.first_retry, invocations, Duration::MAX);
                let progress = Progress { invocations: invocations + 1, setbacks: 0 };
                self.retry(progress, spread(wait, fraction), now)
            }
            Outcome::Setback => {
                let wait = spread(setback(setbacks), fraction).min(LONGEST_SETBACK);
                self.retry(Progress { invocations, setbacks: setbacks.saturating_add(1) }, wait, now)
            }
        }
    }

    /// A retry, unless the event would be too old by then.
    fn retry(&self, progress: Progress, wait: Duration, now: Timestamp) -> Next {
        let due = now.plus(wait);
        if due > self.bounds.expiry(self.accepted) {
            let invocations = progress.invocations;
            return Next::End { condition: Condition::EventAgeExceeded, invocations };
        }
        Next::Retry { progress, due }
    }
}

/// The wait after a setback that came after `before` others.
pub(crate) fn setback(before: u32) -> Duration {
    doubled(FIRST_SETBACK, before, LONGEST_SETBACK)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

fn spread(wait: Duration, fraction: f64) -> Duration {
    wait.saturating_add(wait.min(LONGEST_SETBACK).mul_f64(SPREAD * fraction))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millis(milliseconds)
    }

    fn case(invocations: u32, setbacks: u32, bounds: Bounds) -> Case {
        let progress = Progress { invocations, setbacks };
        Case { accepted: at(0), progress, bounds, first_retry: Duration::from_secs(60) }
    }

    fn retry(invocations: u32, setbacks: u32, due: i64) -> Next {
        Next::Retry { progress: Progress { invocations, setbacks }, due: at(due) }
    }

    fn end(condition: Condition, invocations: u32) -> Next {
        Next::End { condition, invocations }
    }

    fn bounds(retries: u32, age: u64) -> Bounds {
        Bounds { retries, age: Duration::from_secs(age) }
    }

    #[test]
    fn what_comes_next_follows_from_the_outcome() {
        use Outcome::{FunctionError, Recursion, Setback, Success, ZeroReservedConcurrency};
        let usual = Bounds::of(None);
        for (invocations, setbacks, bounds, outcome, now, expected) in [
            (0, 0, usual, Success, 5, end(Condition::Success, 1)),
            (2, 0, usual, Success, 5, end(Condition::Success, 3)),
            (0, 0, usual, ZeroReservedConcurrency, 5, end(Condition::ZeroReservedConcurrency, 0)),
            (1, 0, usual, ZeroReservedConcurrency, 5, end(Condition::ZeroReservedConcurrency, 1)),
            (0, 3, usual, Recursion, 5, end(Condition::RecursiveInvocation, 0)),
            // About a minute, then about two, then no more.
            (0, 0, usual, FunctionError, 5, retry(1, 0, 60_005)),
            (1, 0, usual, FunctionError, 5, retry(2, 0, 120_005)),
            (2, 0, usual, FunctionError, 5, end(Condition::RetriesExhausted, 3)),
            (0, 0, bounds(0, 60), FunctionError, 5, end(Condition::RetriesExhausted, 1)),
            (0, 0, bounds(1, 600), FunctionError, 5, retry(1, 0, 60_005)),
            (1, 0, bounds(1, 600), FunctionError, 5, end(Condition::RetriesExhausted, 2)),
            // With an age of 60 seconds the first failure is enough: the wait would pass it.
            (0, 0, bounds(2, 60), FunctionError, 5, end(Condition::EventAgeExceeded, 1)),
            (0, 0, bounds(2, 60), FunctionError, 0, retry(1, 0, 60_000)),
            // From one second to five minutes, for six hours.
            (0, 0, usual, Setback, 5, retry(0, 1, 1_005)),
            (0, 1, usual, Setback, 5, retry(0, 2, 2_005)),
            (0, 8, usual, Setback, 5, retry(0, 9, 256_005)),
            (0, 9, usual, Setback, 5, retry(0, 10, 300_005)),
            (0, u32::MAX, usual, Setback, 5, retry(0, u32::MAX, 300_005)),
            (1, 2, usual, Setback, 6 * HOUR - 4_000, retry(1, 3, 6 * HOUR)),
            (1, 2, usual, Setback, 6 * HOUR - 3_999, end(Condition::EventAgeExceeded, 1)),
            // A run ends a series of setbacks.
            (0, 7, usual, FunctionError, 5, retry(1, 0, 60_005)),
        ] {
            let next = case(invocations, setbacks, bounds).next(outcome, at(now), 0.0);
            assert_eq!(next, expected, "{invocations} {setbacks} {bounds:?} {outcome:?} {now}");
        }
    }

    #[test]
    fn chance_makes_waits_up_to_a_tenth_longer() {
        let usual = Bounds::of(None);
        let next = |outcome, setbacks, fraction| case(0, setbacks, usual).next(outcome, at(0), fraction);
        assert_eq!(next(Outcome::FunctionError, 0, 0.5), retry(1, 0, 63_000));
        assert_eq!(next(Outcome::Setback, 1, 0.5), retry(0, 2, 2_100));
        assert_eq!(next(Outcome::Setback, 20, 0.5), retry(0, 21, 300_000));
    }

    #[test]
    fn an_event_that_is_too_old_is_not_tried() {
        let case = case(0, 3, bounds(2, 60));
        assert_eq!(case.overdue(at(60_000)), None);
        assert_eq!(case.overdue(at(60_001)), Some(end(Condition::EventAgeExceeded, 0)));
    }

    #[test]
    fn a_configuration_sets_bounds() {
        let config = EventInvokeConfig {
            qualifier: firelet_types::Qualifier::Latest,
            last_modified: at(0),
            maximum_retry_attempts: Some(0),
            maximum_event_age_seconds: None,
            on_success: None,
            on_failure: None,
        };
        assert_eq!(Bounds::of(Some(&config)), bounds(0, 21_600));
        assert_eq!(Bounds::of(None), bounds(2, 21_600));
    }

    proptest! {
        /// Whatever happens to an event, it ends, and in time.
        #[test]
        fn every_event_ends(
            outcomes in proptest::collection::vec((0..3_u8, 0.0..1.0_f64, 0..900_000_i64), 1..400),
            retries in 0..=2_u32,
            age in 60..=21_600_u64,
            first in 0..=60_u64,
        ) {
            let bounds = bounds(retries, age);
            let first_retry = Duration::from_secs(first);
            let (mut now, mut progress, mut runs) = (at(0), Progress::default(), 0);
            let mut ended = None;
            for (outcome, fraction, took) in outcomes {
                let case = Case { accepted: at(0), progress, bounds, first_retry };
                if let Some(next) = case.overdue(now) {
                    ended = Some(next);
                    break;
                }
                now = now.plus(Duration::from_millis(took.unsigned_abs()));
                let outcome = [Outcome::FunctionError, Outcome::Setback, Outcome::Success][usize::from(outcome)];
                runs += u32::from(outcome != Outcome::Setback);
                match case.next(outcome, now, fraction) {
                    Next::Retry { progress: after, due } => {
                        prop_assert!(due >= now && due <= bounds.expiry(at(0)));
                        (progress, now) = (after, due);
                    }
                    next @ Next::End { .. } => {
                        ended = Some(next);
                        break;
                    }
                }
            }
            if let Some(Next::End { invocations, .. }) = ended {
                prop_assert_eq!(invocations, runs);
            }
            prop_assert!(runs <= retries + 1);
        }
    }
}
