//! The decision whether a sandbox has used up its memory. Pure: knows no file and no cgroup version.
//!
//! Cgroups count files in `/tmp` as memory; Lambda does not. So the kernel's hard limit is memory plus `/tmp`, and
//! below it this decides, each time that the kernel says usage passed the level asked for.

/// The least distance to the next level, so that a sandbox at its limit does not wake us for every page.
const STEP: u64 = 1024 * 1024;
/// How much less usage is worth a look, where files make room for more than the limit: their room goes with them.
const DROP: u64 = 16 * STEP;

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
    /// Nothing yet; look again when usage leaves these levels.
    LookAgain(Levels),
}

/// Usage between which nothing can have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// The processes may hold too much from here on.
    pub(crate) above: u64,
    /// From here down, files are gone that `above` makes room for; none if it makes no such room.
    pub(crate) below: Option<u64>,
}

impl Levels {
    pub(crate) fn contain(self, usage: u64) -> bool {
        usage < self.above && self.below.is_none_or(|below| usage > below)
    }
}

/// Judges a reading against the memory that the processes may have.
pub(crate) fn judge(limit: u64, reading: Reading) -> Verdict {
    let processes = reading.of_processes();
    if processes > limit {
        return Verdict::OutOfMemory;
    }
    let above = reading.usage.saturating_add((limit - processes).max(STEP));
    let below = (above > limit.saturating_add(DROP)).then(|| reading.usage.saturating_sub(DROP));
    Verdict::LookAgain(Levels { above, below })
}

/// The level to ask for before anything was read.
pub(crate) fn first_level(limit: u64) -> u64 {
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1024 * 1024;

    fn check(usage: u64, files: u64, shared: u64, tmp: u64, expected: Verdict) {
        let reading = Reading { usage: usage * MB, files: files * MB, shared: shared * MB, tmp: tmp * MB };
        assert_eq!(judge(128 * MB, reading), expected);
    }

    fn between(above: u64, below: Option<u64>) -> Verdict {
        Verdict::LookAgain(Levels { above: above * MB, below: below.map(|below| below * MB) })
    }

    #[test]
    fn room_that_files_make_goes_with_them() {
        let reading = Reading { usage: 500 * MB, files: 400 * MB, shared: 400 * MB, tmp: 400 * MB };
        let Verdict::LookAgain(levels) = judge(128 * MB, reading) else { panic!("{reading:?}") };
        assert!(levels.contain(500 * MB));
        // All files but those of 10 MB removed: at 128 MB more it would be too much, far below 528 MB.
        assert!(!levels.contain(110 * MB));
    }

    #[test]
    fn process_memory_above_the_limit_is_out_of_memory() {
        check(129, 0, 0, 0, Verdict::OutOfMemory);
        check(128, 0, 0, 0, between(129, None));
        check(1, 0, 0, 0, between(128, None));
    }

    #[test]
    fn files_in_tmp_do_not_count() {
        check(500, 400, 400, 400, between(528, Some(484)));
        check(540, 400, 400, 400, Verdict::OutOfMemory);
    }

    #[test]
    fn files_cached_from_disk_do_not_count() {
        check(500, 400, 0, 0, between(528, Some(484)));
    }

    #[test]
    fn shared_memory_outside_tmp_counts() {
        check(300, 200, 200, 0, Verdict::OutOfMemory);
    }
}
