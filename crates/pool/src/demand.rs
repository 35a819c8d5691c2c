//! When another environment is made: pure decisions.

use std::time::Duration;

/// What a group of environments looks like when somebody waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Callers that wait.
    pub(crate) waiting: usize,
    /// Environments on their way.
    pub(crate) creating: usize,
    /// Environments whose runtime has answered and is about to ask for its next event.
    pub(crate) finishing: usize,
}

/// What to do for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supply {
    /// Enough is on its way.
    Enough,
    /// Environments about to be free are worth a short wait.
    AwaitFinishing,
    /// Make one more.
    Create,
}

impl Demand {
    pub(crate) const fn supply(self, finishing_counts: bool) -> Supply {
        if self.waiting <= self.creating {
            Supply::Enough
        } else if finishing_counts && self.waiting <= self.creating + self.finishing {
            Supply::AwaitFinishing
        } else {
            Supply::Create
        }
    }
}

/// How long an environment that has answered is waited for at least: its runtime asks for the next event within
/// microseconds, unless the function still works.
const SHORTEST_GRACE: Duration = Duration::from_millis(2);
/// However long a new one takes, a caller whose wait is in vain shall hardly notice.
const LONGEST_GRACE: Duration = Duration::from_millis(50);
/// The share of what was known before in what is known after one more: seven eighths.
const MEMORY: u32 = 8;

/// What making an environment took lately, and what environments took from their answer to their next poll.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    creation: Duration,
    finishing: Duration,
}

impl Pace {
    /// An environment came `took` after it was wanted.
    pub(crate) fn created(&mut self, took: Duration) {
        self.creation = took;
    }

    /// An environment asked for its next event `took` after its answer.
    pub(crate) fn finished(&mut self, took: Duration) {
        self.finishing = (self.finishing * (MEMORY - 1) + took) / MEMORY;
    }

    /// How long an environment that has answered is waited for before another one is made: as long as that would take, so
    /// that no caller waits more than twice as long as it must; hardly at all where it would most likely be in vain.
    pub(crate) fn grace(&self) -> Duration {
        if self.finishing >= self.creation {
            return SHORTEST_GRACE;
        }
        self.creation.clamp(SHORTEST_GRACE, LONGEST_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_environment_is_made_for_each_who_waits_in_vain() {
        for (waiting, creating, finishing, expected) in [
            (1, 0, 0, Supply::Create),
            (1, 1, 0, Supply::Enough),
            (2, 1, 0, Supply::Create),
            (1, 0, 1, Supply::AwaitFinishing),
            (2, 0, 1, Supply::Create),
            (2, 1, 1, Supply::AwaitFinishing),
            (0, 0, 0, Supply::Enough),
        ] {
            let demand = Demand { waiting, creating, finishing };
            assert_eq!(demand.supply(true), expected, "{demand:?}");
        }
    }

    #[test]
    fn after_the_short_wait_a_finishing_environment_no_longer_counts() {
        let demand = Demand { waiting: 1, creating: 0, finishing: 1 };
        assert_eq!(demand.supply(false), Supply::Create);
    }

    #[test]
    fn what_is_about_to_be_free_is_waited_for_as_long_as_a_new_one_takes() {
        let milliseconds = Duration::from_millis;
        for (creation, finishing, expected) in [
            (0, 0, SHORTEST_GRACE),
            (1, 0, SHORTEST_GRACE),
            (20, 1, milliseconds(20)),
            (20, 19, milliseconds(20)),
            (20, 20, SHORTEST_GRACE),
            (20, 500, SHORTEST_GRACE),
            (3_000, 1, LONGEST_GRACE),
        ] {
            let pace = Pace { creation: milliseconds(creation), finishing: milliseconds(finishing) };
            assert_eq!(pace.grace(), expected, "{pace:?}");
        }
    }

    #[test]
    fn functions_that_work_after_their_answer_are_soon_known() {
        let mut pace = Pace::default();
        pace.created(Duration::from_millis(20));
        let slow = Duration::from_millis(100);
        let count = (1..).find(|_| {
            pace.finished(slow);
            pace.grace() == SHORTEST_GRACE
        });
        assert_eq!(count, Some(2));
        let count = (1..).find(|_| {
            pace.finished(Duration::ZERO);
            pace.grace() > SHORTEST_GRACE
        });
        assert!(count < Some(10), "{count:?}");
    }
}
