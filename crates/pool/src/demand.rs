//! When another environment is made, and how many work at a time: pure decisions.

use std::time::Duration;

/// What a group of environments looks like when somebody waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Callers that wait.
    pub(crate) waiting: usize,
    /// Environments on their way.
    pub(crate) creating: usize,
    /// Environments that work on an invocation.
    pub(crate) leased: usize,
    /// Environments whose runtime has answered and is about to ask for its next event.
    pub(crate) finishing: usize,
}

/// What to do for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supply {
    /// Enough is on its way.
    Enough,
    /// Environments about to be free are worth a wait of so long.
    Await(Duration),
    /// Make one more.
    Create,
}

impl Demand {
    /// Whether the one who came last had best wait for an environment in use, even where another one is idle: those in use have
    /// all that the processors can do, and what they compute with in the caches.
    pub(crate) fn is_served_in_turn(self, pace: &Pace, is_saturated: impl FnOnce() -> bool) -> bool {
        pace.turn(self).is_some() && is_saturated()
    }

    /// What to do for the one who came last where no environment is idle.
    pub(crate) fn supply(self, pace: &Pace, is_saturated: impl FnOnce() -> bool) -> Supply {
        if self.waiting <= self.creating {
            Supply::Enough
        } else if let Some(turn) = pace.turn(self)
            && is_saturated()
        {
            Supply::Await((turn * TURN_PATIENCE).clamp(SHORTEST_TURN_GRACE, LONGEST_TURN_GRACE))
        } else if self.waiting <= self.creating + self.finishing {
            Supply::Await(pace.grace())
        } else if self.creating >= pace.processors * AT_ONCE_PER_PROCESSOR {
            Supply::Await(BUSY_GRACE)
        } else {
            Supply::Create
        }
    }

    /// The same for one who has waited in vain: neither environments in use nor what the host has to do counts.
    pub(crate) fn supply_after_wait(self) -> Supply {
        if self.waiting <= self.creating { Supply::Enough } else { Supply::Create }
    }
}

/// How long an environment that has answered is waited for at least: its runtime asks for the next event within
/// microseconds, unless the function still works.
const SHORTEST_GRACE: Duration = Duration::from_millis(2);
/// However long a new one takes, a caller whose wait is in vain shall hardly notice.
const LONGEST_GRACE: Duration = Duration::from_millis(50);
/// How long the host is given where it has enough to do: more environments would have those on their way come later, and take
/// from those at work what they compute with.
const BUSY_GRACE: Duration = Duration::from_millis(200);
/// A function whose environments come back within this time is quick.
const QUICK: Duration = Duration::from_millis(20);
/// How long a caller of a quick function may have to wait for its turn, as far as is known: as many as an account has running
/// at a time wait about so long where the processors do a few thousand invocations a second, with however many environments.
const LONGEST_TURN: Duration = Duration::from_millis(250);
/// So many times as long it waits where that turns out to be wrong, within bounds.
const TURN_PATIENCE: u32 = 8;
const SHORTEST_TURN_GRACE: Duration = Duration::from_millis(100);
const LONGEST_TURN_GRACE: Duration = Duration::from_millis(500);
/// So many environments of one function for each processor are put to work however much the host has to do.
const ENOUGH_PER_PROCESSOR: usize = 4;
/// So many for each processor are made at a time: more would only come later, all of them.
const AT_ONCE_PER_PROCESSOR: usize = 4;
/// The share of what was known before in what is known after one more: seven eighths.
const MEMORY: u32 = 8;

/// What making an environment took lately, and what environments took from their answer to their next poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Of the host.
    processors: usize,
    creation: Duration,
    finishing: Duration,
    /// From the beginning of an invocation until its environment is free; none before the first.
    turnaround: Option<Duration>,
}

impl Pace {
    /// Of nothing so far, on a host with so many processors.
    pub(crate) const fn new(processors: usize) -> Self {
        Self { processors, creation: Duration::ZERO, finishing: Duration::ZERO, turnaround: None }
    }

    /// An environment came `took` after it was wanted.
    pub(crate) fn created(&mut self, took: Duration) {
        self.creation = took;
    }

    /// An environment asked for its next event, so long after its answer, and so long after its invocation began.
    pub(crate) fn finished(&mut self, finishing: Duration, turnaround: Duration) {
        self.finishing = smooth(self.finishing, finishing);
        self.turnaround = Some(self.turnaround.map_or(turnaround, |before| smooth(before, turnaround)));
    }

    /// After how long the one who came last has its turn at the environments in use, where that is soon. Where the processors are
    /// busy, one more would only take from the others what they compute with.
    fn turn(&self, demand: Demand) -> Option<Duration> {
        let busy = demand.leased + demand.finishing;
        if busy < self.processors * ENOUGH_PER_PROCESSOR {
            return None;
        }
        let turnaround = self.turnaround.filter(|turnaround| *turnaround <= QUICK)?;
        let turns = u32::try_from(demand.waiting.div_ceil(busy.max(1))).unwrap_or(u32::MAX);
        Some(turnaround.saturating_mul(turns)).filter(|turn| *turn <= LONGEST_TURN)
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

fn smooth(before: Duration, now: Duration) -> Duration {
    (before * (MEMORY - 1) + now) / MEMORY
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_PROCESSOR: Pace = Pace::new(1);

    #[test]
    fn one_environment_is_made_for_each_who_waits_in_vain() {
        let grace = Supply::Await(SHORTEST_GRACE);
        for (waiting, creating, finishing, expected) in [
            (1, 0, 0, Supply::Create),
            (1, 1, 0, Supply::Enough),
            (2, 1, 0, Supply::Create),
            (1, 0, 1, grace),
            (2, 0, 1, Supply::Create),
            (2, 1, 1, grace),
            (0, 0, 0, Supply::Enough),
        ] {
            let demand = Demand { waiting, creating, leased: 9, finishing };
            assert_eq!(demand.supply(&ONE_PROCESSOR, || true), expected, "{demand:?}");
        }
    }

    #[test]
    fn after_the_wait_environments_in_use_no_longer_count() {
        let demand = Demand { waiting: 1, creating: 0, leased: 9, finishing: 1 };
        assert_eq!(demand.supply_after_wait(), Supply::Create);
    }

    #[test]
    fn no_more_than_the_host_keeps_up_with_are_made_at_once() {
        let demand = |creating| Demand { waiting: 50, creating, leased: 0, finishing: 0 };
        let supply = |creating| demand(creating).supply(&ONE_PROCESSOR, || false);
        assert_eq!(supply(3), Supply::Create);
        assert_eq!(supply(4), Supply::Await(BUSY_GRACE));
        assert_eq!(demand(4).supply_after_wait(), Supply::Create, "but all who still wait then");
    }

    #[test]
    fn callers_of_a_quick_function_take_turns_when_the_processors_are_busy() {
        for (turnaround_milliseconds, waiting, leased, is_saturated, is_awaited) in [
            (1, 1, 3, true, false),
            (1, 1, 4, true, true),
            (1, 1, 4, false, false),
            (1, 1_000, 4, true, true),
            (1, 1_001, 4, true, false),
            (20, 48, 4, true, true),
            (20, 49, 4, true, false),
            (21, 1, 100, true, false),
        ] {
            let mut pace = ONE_PROCESSOR;
            pace.finished(Duration::ZERO, Duration::from_millis(turnaround_milliseconds));
            let demand = Demand { waiting, creating: 0, leased, finishing: 0 };
            let supply = demand.supply(&pace, || is_saturated);
            assert_eq!(demand.is_served_in_turn(&pace, || is_saturated), is_awaited, "{demand:?} {pace:?}");
            assert_eq!(supply != Supply::Create, is_awaited, "{demand:?} {pace:?}");
        }
    }

    #[test]
    fn a_turn_is_waited_for_some_times_as_long_as_it_is_away() {
        let mut pace = ONE_PROCESSOR;
        pace.finished(Duration::ZERO, Duration::from_millis(10));
        for (waiting, expected) in
            [(1, SHORTEST_TURN_GRACE), (8, Duration::from_millis(160)), (100, LONGEST_TURN_GRACE)]
        {
            let demand = Demand { waiting, creating: 0, leased: 3, finishing: 1 };
            assert_eq!(demand.supply(&pace, || true), Supply::Await(expected), "{demand:?}");
        }
    }

    #[test]
    fn one_slow_invocation_ends_the_taking_of_turns() {
        let mut pace = ONE_PROCESSOR;
        let demand = Demand { waiting: 1, creating: 0, leased: 8, finishing: 0 };
        let mut is_awaited = |milliseconds| {
            pace.finished(Duration::ZERO, Duration::from_millis(milliseconds));
            demand.supply(&pace, || true) != Supply::Create
        };
        assert!(is_awaited(0));
        assert!(!is_awaited(1_000));
        assert!((0..30).any(|_| is_awaited(0)), "nor for ever");
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
            let (creation, finishing) = (milliseconds(creation), milliseconds(finishing));
            let pace = Pace { creation, finishing, ..ONE_PROCESSOR };
            assert_eq!(pace.grace(), expected, "{pace:?}");
        }
    }

    #[test]
    fn functions_that_work_after_their_answer_are_soon_known() {
        let mut pace = ONE_PROCESSOR;
        pace.created(Duration::from_millis(20));
        let slow = Duration::from_millis(100);
        let count = (1..).find(|_| {
            pace.finished(slow, slow);
            pace.grace() == SHORTEST_GRACE
        });
        assert_eq!(count, Some(2));
        let count = (1..).find(|_| {
            pace.finished(Duration::ZERO, Duration::ZERO);
            pace.grace() > SHORTEST_GRACE
        });
        assert!(count < Some(10), "{count:?}");
    }
}
