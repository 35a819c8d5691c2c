//! The decision whether processes have used up a sandbox's memory where no cgroup counts it, and when to count again. Pure.
//!
//! Nothing tells that memory is taken, so it is counted again and again: often while processes work, rarely while they do
//! not. What it costs is bounded, and what processes hold together counts once.

use std::time::Duration;

/// Time between two counts while processes work, and while they do not.
pub(crate) const SHORT: Duration = Duration::from_millis(10);
pub(crate) const LONG: Duration = Duration::from_secs(1);
/// A count takes at most one part in this many of the time, until the time between two is [`LONG`].
const COST: u32 = 20;
/// Processes work that use more than one part in this many of the time.
const WORK: u32 = 100;
/// Time between a count that is too high and the one that confirms it.
const DOUBT: Duration = Duration::from_millis(2);

/// What the processes of a sandbox hold, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Memory that belongs to no file, in memory and swapped out.
    pub(crate) anonymous: u64,
    /// Mapped shared memory: files without names, segments, and files of `/tmp`.
    pub(crate) mapped: u64,
    /// Files without names behind descriptors, and segments: mapped or not.
    pub(crate) nameless: u64,
    /// What `/tmp` says that it holds.
    pub(crate) tmp: u64,
}

impl Count {
    /// Memory of processes. Where it cannot be told whether memory is counted twice, it counts once: a function may hold
    /// more than it should for that, and is never ended for less.
    fn held(self) -> u64 {
        let shared = self.mapped.saturating_sub(self.tmp).max(self.nameless);
        self.anonymous.saturating_add(shared)
    }

    pub(crate) fn is_more_than(self, limit: u64) -> bool {
        self.held() > limit
    }
}

/// What to do about a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// Count again right away. Processes are read one after the other: what one gave back and another took meanwhile
    /// counted twice.
    Doubt,
    /// End the sandbox.
    OutOfMemory,
}

/// Judges a count against the memory that the processes may have.
pub(crate) fn judge(limit: u64, count: Count, last: Verdict) -> Verdict {
    match last {
        _ if !count.is_more_than(limit) => Verdict::Fine,
        Verdict::Fine => Verdict::Doubt,
        Verdict::Doubt | Verdict::OutOfMemory => Verdict::OutOfMemory,
    }
}

/// What has been since the last count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// The time that passed.
    pub(crate) passed: Duration,
    /// The processor time that the processes used.
    pub(crate) used: Duration,
    /// What it took to count.
    pub(crate) cost: Duration,
}

impl Work {
    /// Whether the processes work.
    pub(crate) fn is_going_on(self) -> bool {
        self.used * WORK >= self.passed
    }
}

/// The time until the next count, after `last`.
pub(crate) fn rest(last: Duration, verdict: Verdict, work: Work) -> Duration {
    if verdict == Verdict::Doubt {
        return DOUBT;
    }
    let least = (work.cost * COST).clamp(SHORT, LONG);
    if work.is_going_on() { least } else { (last * 2).clamp(least, LONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1024 * 1024;
    const LIMIT: u64 = 128 * MB;

    fn count(anonymous: u64, mapped: u64, nameless: u64, tmp: u64) -> Count {
        Count { anonymous: anonymous * MB, mapped: mapped * MB, nameless: nameless * MB, tmp: tmp * MB }
    }

    #[test]
    fn what_is_held_in_any_way_counts_once() {
        let table = [
            (count(128, 0, 0, 0), false),
            (count(129, 0, 0, 0), true),
            (count(0, 129, 0, 0), true),
            (count(0, 0, 129, 0), true),
            (count(60, 60, 60, 0), false),
            (count(60, 60, 70, 0), true),
            // Mapped files of `/tmp` are not memory; what is not mapped is in no `/tmp`.
            (count(60, 400, 0, 400), false),
            (count(60, 470, 0, 400), true),
            (count(60, 0, 70, 400), true),
        ];
        for (count, is_too_much) in table {
            assert_eq!(count.is_more_than(LIMIT), is_too_much, "{count:?}");
        }
    }

    #[test]
    fn only_a_confirmed_count_ends_a_sandbox() {
        let (little, much) = (count(1, 0, 0, 0), count(200, 0, 0, 0));
        assert_eq!(judge(LIMIT, little, Verdict::Fine), Verdict::Fine);
        assert_eq!(judge(LIMIT, much, Verdict::Fine), Verdict::Doubt);
        assert_eq!(judge(LIMIT, little, Verdict::Doubt), Verdict::Fine);
        assert_eq!(judge(LIMIT, much, Verdict::Doubt), Verdict::OutOfMemory);
    }

    #[test]
    fn counts_are_close_while_processes_work_and_rare_while_they_do_not() {
        let milliseconds = Duration::from_millis;
        let check = |last: u64, used: u64, cost: Duration, expected: u64| {
            let work = Work { passed: milliseconds(last), used: Duration::from_micros(used), cost };
            assert_eq!(rest(milliseconds(last), Verdict::Fine, work), milliseconds(expected), "{work:?}");
        };
        let cheap = Duration::from_micros(100);
        // At work, for a while and just now.
        check(10, 5_000, cheap, 10);
        check(1000, 10_000, cheap, 10);
        // Not at work.
        check(10, 50, cheap, 20);
        check(20, 0, cheap, 40);
        check(800, 0, cheap, 1000);
        // Counting is dear: 5 % of the time, but where that would be too rare.
        check(10, 10_000, milliseconds(2), 40);
        check(10, 10_000, milliseconds(500), 1000);
    }

    #[test]
    fn a_doubt_does_not_last() {
        let work = Work { passed: LONG, used: Duration::ZERO, cost: LONG };
        assert_eq!(rest(LONG, Verdict::Doubt, work), DOUBT);
    }
}
