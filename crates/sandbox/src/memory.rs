//! The decision whether a sandbox has used up its memory. Pure: knows no file and no cgroup version.
//!
//! Cgroups count files in `/tmp` as memory; Lambda does not. So the kernel's hard limit is memory plus `/tmp`, and
//! below it this decides, each time that the kernel says usage passed the level asked for, and now and then where files
//! make room for more than the limit.

use std::time::Duration;

/// The least distance to the next level, so that a sandbox at its limit does not wake us for every page.
const STEP: u64 = 1024 * 1024;
/// How much less usage is worth a look, where files make room for more than the limit: their room goes with them.
const DROP: u64 = 16 * STEP;
/// Time between two looks that nothing signals, while things change, and when nothing has for long.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(8);

/// What the kernel counts for one sandbox, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Everything charged.
    pub(crate) usage: u64,
    /// Cached files, those of `/tmp` and shared memory included.
    pub(crate) files: u64,
    /// Files of `/tmp` and shared memory.
    pub(crate) shared: u64,
    /// What `/tmp` itself says that it holds.
    pub(crate) tmp: u64,
}

impl Reading {
    /// What is known from counters that cannot be read at one moment: `usage` and `tmp` are read before and after `files`
    /// and `shared`. Files that come or go meanwhile are taken for memory of processes in neither case.
    pub(crate) fn between(usage: [u64; 2], (files, shared): (u64, u64), tmp: [u64; 2]) -> Self {
        let ([first, second], [before, after]) = (usage, tmp);
        Self { usage: first.min(second), files, shared, tmp: before.max(after) }
    }

    /// Memory of processes: what is neither cached from disk, for the kernel can drop that, nor a file in `/tmp`.
    /// Shared memory that is not in `/tmp` counts.
    fn of_processes(self) -> u64 {
        let droppable = self.files.saturating_sub(self.shared);
        self.usage.saturating_sub(droppable).saturating_sub(self.shared.min(self.tmp))
    }
}

/// What to do about a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The processes hold more than they may: end the sandbox.
    OutOfMemory,
    /// Ask to be told when usage leaves these levels. By the time that they are in force much can have happened which
    /// nothing tells, so look again then.
    Ask(Levels),
    /// What was asked for last still tells everything in time, or all but what a look now and then shows.
    Wait {
        /// Whether such looks are needed.
        now_and_then: bool,
    },
}

/// Usage between which little can have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// The processes may hold too much from here on.
    pub(crate) above: u64,
    /// From here down, files are gone that `above` makes room for; none if it makes no such room.
    pub(crate) below: Option<u64>,
}

impl Levels {
    /// Where the kernel has to tell of usage.
    fn around(limit: u64, reading: Reading) -> Self {
        let room = limit.saturating_sub(reading.of_processes());
        let above = reading.usage.saturating_add(room.max(STEP));
        let below = (above > limit.saturating_add(DROP)).then(|| reading.usage.saturating_sub(DROP));
        Self { above, below }
    }

    fn contain(self, usage: u64) -> bool {
        usage < self.above && self.below.is_none_or(|below| usage > below)
    }

    /// Whether these, in force when usage was as in a later reading, do for it: `wanted` are the levels around that one.
    fn do_for(self, usage: u64, wanted: Self) -> bool {
        self.contain(usage) && self.above <= wanted.above.saturating_add(DROP)
    }
}

/// Judges a reading against the memory that the processes may have. `asked` are the levels in force, if none of them was
/// passed.
pub(crate) fn judge(limit: u64, reading: Reading, asked: Option<Levels>) -> Verdict {
    if reading.of_processes() > limit {
        return Verdict::OutOfMemory;
    }
    let wanted = Levels::around(limit, reading);
    match asked {
        // Where files make room, they can go while memory takes their place, and usage stays what it is.
        Some(levels) if levels.do_for(reading.usage, wanted) => {
            Verdict::Wait { now_and_then: levels.below.is_some() }
        }
        _ => Verdict::Ask(wanted),
    }
}

/// The time until the next look, where such are needed: longer and longer while nothing changes.
pub(crate) fn patience(last: Option<Duration>, is_changed: bool) -> Duration {
    match last {
        Some(last) if !is_changed => (last * 2).clamp(LEAST_PATIENCE, MOST_PATIENCE),
        _ => LEAST_PATIENCE,
    }
}

/// The level to ask for before anything was read.
pub(crate) fn first_level(limit: u64) -> u64 {
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1024 * 1024;
    const LIMIT: u64 = 128 * MB;
    const WAIT: Verdict = Verdict::Wait { now_and_then: false };
    const WAIT_AND_LOOK: Verdict = Verdict::Wait { now_and_then: true };

    fn reading(usage: u64, files: u64, shared: u64, tmp: u64) -> Reading {
        Reading { usage: usage * MB, files: files * MB, shared: shared * MB, tmp: tmp * MB }
    }

    fn levels(above: u64, below: Option<u64>) -> Levels {
        Levels { above: above * MB, below: below.map(|below| below * MB) }
    }

    fn check(reading: Reading, expected: Verdict) {
        assert_eq!(judge(LIMIT, reading, None), expected);
    }

    #[test]
    fn process_memory_above_the_limit_is_out_of_memory() {
        check(reading(129, 0, 0, 0), Verdict::OutOfMemory);
        check(reading(128, 0, 0, 0), Verdict::Ask(levels(129, None)));
        check(reading(1, 0, 0, 0), Verdict::Ask(levels(128, None)));
    }

    #[test]
    fn files_in_tmp_do_not_count() {
        check(reading(500, 400, 400, 400), Verdict::Ask(levels(528, Some(484))));
        check(reading(540, 400, 400, 400), Verdict::OutOfMemory);
    }

    #[test]
    fn files_cached_from_disk_do_not_count() {
        check(reading(500, 400, 0, 0), Verdict::Ask(levels(528, Some(484))));
    }

    #[test]
    fn shared_memory_outside_tmp_counts() {
        check(reading(300, 200, 200, 0), Verdict::OutOfMemory);
    }

    #[test]
    fn levels_do_until_usage_passes_one_or_room_is_gone() {
        let table = [
            (levels(128, None), reading(100, 0, 0, 0), WAIT),
            (levels(528, Some(484)), reading(500, 400, 400, 400), WAIT_AND_LOOK),
            // As much usage as before, but of files that have been replaced by memory.
            (levels(528, Some(484)), reading(500, 376, 376, 376), Verdict::Ask(levels(504, Some(484)))),
            // Passed either way while they were asked for.
            (levels(528, Some(484)), reading(530, 420, 420, 420), Verdict::Ask(levels(548, Some(514)))),
            (levels(528, Some(484)), reading(484, 400, 400, 400), Verdict::Ask(levels(528, Some(468)))),
            // More files than there were are told of when usage passes the level.
            (levels(128, None), reading(110, 100, 100, 100), WAIT),
        ];
        for (asked, reading, expected) in table {
            assert_eq!(judge(LIMIT, reading, Some(asked)), expected, "{asked:?} {reading:?}");
        }
    }

    /// Seen on a busy machine: a file of 400 MB was removed, and while the kernel took 40 ms to note levels for the last
    /// 33 MB of it, usage fell to 4 MB and rose again, past neither of them.
    #[test]
    fn usage_that_falls_and_rises_while_levels_are_asked_for_is_not_believed() {
        let Verdict::Ask(asked) = judge(LIMIT, reading(37, 33, 33, 400), None) else { panic!() };
        assert_eq!(asked, levels(161, Some(21)));
        assert_eq!(judge(LIMIT, reading(32, 0, 0, 0), Some(asked)), Verdict::Ask(levels(128, None)));
    }

    #[test]
    fn files_that_come_or_go_during_a_reading_are_no_memory() {
        let table = [
            // Written meanwhile, before or after the statistics were read.
            ([10, 200], (0, 0), [0, 190]),
            ([10, 200], (190, 190), [0, 190]),
            // Removed meanwhile.
            ([400, 10], (390, 390), [390, 0]),
            ([400, 10], (0, 0), [390, 0]),
        ];
        for (usage, (files, shared), tmp) in table {
            let bytes = |pair: [u64; 2]| pair.map(|number| number * MB);
            let reading = Reading::between(bytes(usage), (files * MB, shared * MB), bytes(tmp));
            assert_ne!(judge(LIMIT, reading, None), Verdict::OutOfMemory, "{reading:?}");
        }
    }

    #[test]
    fn looks_become_rare_while_nothing_changes() {
        let mut last = None;
        let waits: Vec<u64> = [true, true, false, false, false, false, true]
            .map(|is_changed| *last.insert(patience(last, is_changed)))
            .map(|wait| wait.as_secs())
            .into();
        assert_eq!(waits, [1, 1, 2, 4, 8, 8, 1]);
        assert_eq!(patience(Some(Duration::ZERO), false), LEAST_PATIENCE);
    }
}
