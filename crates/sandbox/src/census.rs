//! Counts the memory of all processes of a sandbox from `/proc`. Decides nothing.
//!
//! Runs in the sandbox's first process, whose `/proc` for this shows every process, whatever it makes of itself. What a
//! process and its copies hold together is counted once where the kernel tells, which takes it a walk over all pages: only
//! when the cheap count, which is never lower, is too high.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, MemfdFlags, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::looks::Count;
use crate::sys;

/// The number of this process, which is the first of its namespace.
const OWN: i32 = 1;
/// Descriptors that one count looks behind; they are the most that it costs.
const MOST_DESCRIPTORS: usize = 16_384;
/// A process that looks like its parent for longer than this is no part of it.
const YOUTH: Duration = Duration::from_secs(1);
/// No file that is read here is as long as this.
const MOST_TEXT: usize = 1 << 20;
/// The kernel counts blocks of files in units of this many bytes.
const BLOCK: u64 = 512;

/// What it takes to count.
pub(crate) struct Census {
    proc: OwnedFd,
    tmp: Option<OwnedFd>,
    /// The device of files without names.
    nameless: Option<u64>,
}

/// A process as the cheap count found it.
struct Subject {
    number: i32,
    parent: i32,
    size: u64,
    anonymous: u64,
    shared: u64,
}

impl Census {
    /// Opens a `/proc` that hides nothing and is mounted nowhere. The caller may still mount, and sees that of the host.
    pub(crate) fn proc() -> Option<OwnedFd> {
        let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC).ok()?;
        rustix::mount::fsconfig_create(context.as_fd()).ok()?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount =
            rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).ok()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&mount, c".", flags, Mode::empty()).ok()
    }

    /// The rest, in the sandbox. `proc` is what [`proc`](Self::proc) gave.
    pub(crate) fn new(proc: OwnedFd) -> Self {
        let tmp = rustix::fs::open(c"/tmp", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        let probe = rustix::fs::memfd_create(c"probe", MemfdFlags::CLOEXEC);
        let nameless = probe.and_then(rustix::fs::fstat).ok().map(|status| status.st_dev);
        Self { proc, tmp, nameless }
    }

    /// The numbers of all processes but this one.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let Ok(entries) = Dir::read_from(&self.proc) else { return Vec::new() };
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok());
        numbers.filter(|number| *number != OWN).collect()
    }

    /// Counts: exactly if the cheap count is more than `limit`.
    pub(crate) fn count(&self, processes: &[i32], memories: &Memories, limit: u64) -> Count {
        let subjects: Vec<Subject> = processes.iter().filter_map(|process| self.subject(*process)).collect();
        let rough = Count {
            anonymous: subjects.iter().map(|subject| subject.anonymous).sum(),
            mapped: subjects.iter().map(|subject| subject.shared).sum(),
            nameless: self.segments() + self.files_without_names(processes),
            tmp: self.bytes_in_tmp(),
        };
        if rough.is_more_than(limit) { self.exact(&subjects, memories, rough) } else { rough }
    }

    fn subject(&self, number: i32) -> Option<Subject> {
        let text = self.read(&format!("{number}/status"))?;
        let kilobytes = |name: &str| kilobytes(&text, name).unwrap_or(0);
        Some(Subject {
            number,
            parent: value(&text, "PPid:")?.parse().ok()?,
            size: kilobytes("VmSize:"),
            anonymous: kilobytes("RssAnon:") + kilobytes("VmSwap:"),
            shared: kilobytes("RssShmem:"),
        })
    }

    /// As `rough`, with what processes hold together counted once.
    fn exact(&self, subjects: &[Subject], memories: &Memories, rough: Count) -> Count {
        let now = Instant::now();
        let mut count = Count { anonymous: 0, mapped: 0, ..rough };
        for subject in subjects {
            let is_young = memories.is_young(subject.number, now);
            if is_borrower(subject, subjects, is_young) {
                continue;
            }
            let (anonymous, shared) = self.share(subject).unwrap_or((subject.anonymous, subject.shared));
            count.anonymous += anonymous;
            count.mapped += shared;
        }
        count
    }

    /// The memory of a process with every page divided by how many have it; none where the kernel does not tell, as of one
    /// that lets nobody look.
    fn share(&self, subject: &Subject) -> Option<(u64, u64)> {
        let text = self.read(&format!("{}/smaps_rollup", subject.number))?;
        let anonymous = kilobytes(&text, "Pss_Anon:")? + kilobytes(&text, "SwapPss:").unwrap_or(0);
        Some((anonymous, kilobytes(&text, "Pss_Shmem:")?))
    }

    /// System V shared memory of this namespace.
    fn segments(&self) -> u64 {
        self.read("sysvipc/shm").map_or(0, |text| segments(&text))
    }

    /// Files in memory that have no name, behind descriptors of the processes.
    fn files_without_names(&self, processes: &[i32]) -> u64 {
        let Some(device) = self.nameless else { return 0 };
        let mut files = BTreeMap::new();
        let mut left = MOST_DESCRIPTORS;
        for process in processes {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let Ok(directory) = rustix::fs::openat(&self.proc, format!("{process}/fd"), flags, Mode::empty())
            else {
                continue;
            };
            let Ok(entries) = Dir::read_from(&directory) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                if left == 0 {
                    break;
                }
                if name.to_bytes().starts_with(b".") {
                    continue;
                }
                left -= 1;
                if let Ok(status) = rustix::fs::statat(&directory, name, AtFlags::empty())
                    && status.st_dev == device
                {
                    files.insert(status.st_ino, u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK);
                }
            }
        }
        files.values().sum()
    }

    fn bytes_in_tmp(&self) -> u64 {
        self.tmp.as_ref().map_or(0, bytes_in)
    }

    /// A file of `/proc`; bytes in names that processes gave themselves may be any.
    fn read(&self, path: &str) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.proc, path, flags, Mode::empty()).ok()?;
        let mut bytes = Vec::with_capacity(4096);
        while bytes.len() < MOST_TEXT {
            bytes.reserve(4096);
            if rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)).ok()? == 0 {
                break;
            }
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Whether a process lives in the memory of its parent, as between `vfork` and `exec`.
fn is_borrower(subject: &Subject, subjects: &[Subject], is_young: bool) -> bool {
    let parent = subjects.iter().find(|parent| parent.number == subject.parent);
    parent.is_some_and(|parent| match sys::has_same_memory(subject.number, parent.number) {
        Ok(is_same) => is_same,
        // Not ours to ask: then by what they look like, as long as that may be.
        Err(_) => {
            is_young
                && subject.size == parent.size
                && subject.anonymous == parent.anonymous
                && subject.shared == parent.shared
        }
    })
}

/// The bytes that the files of a file system take.
pub(crate) fn bytes_in(place: &OwnedFd) -> u64 {
    rustix::fs::fstatfs(place).map_or(0, |state| {
        let blocks = state.f_blocks.saturating_sub(state.f_bfree);
        blocks.saturating_mul(u64::try_from(state.f_bsize).unwrap_or(0))
    })
}

/// What is remembered of each process from one count to the next.
#[derive(Default)]
pub(crate) struct Memories(BTreeMap<i32, Seen>);

#[derive(Clone, Copy)]
struct Seen {
    first: Instant,
    /// The processor time that it had used.
    worked: Duration,
}

impl Memories {
    /// Takes note of these processes, and answers what they have used of processors since the last time. One that has ended
    /// takes its time along.
    pub(crate) fn note(&mut self, processes: &[i32], now: Instant) -> Duration {
        let earlier = std::mem::take(&mut self.0);
        let mut used = Duration::ZERO;
        for process in processes {
            let Some(worked) = sys::processor_time(*process) else { continue };
            let seen = earlier.get(process).copied().unwrap_or(Seen { first: now, worked: Duration::ZERO });
            used += worked.saturating_sub(seen.worked);
            self.0.insert(*process, Seen { worked, ..seen });
        }
        used
    }

    /// Whether a process may be on its way from `fork` to `exec`.
    fn is_young(&self, process: i32, now: Instant) -> bool {
        self.0.get(&process).is_none_or(|seen| now.saturating_duration_since(seen.first) < YOUTH)
    }
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    value(text, name)?.strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Sums the columns `rss` and `swap` of `/proc/sysvipc/shm`.
fn segments(text: &str) -> u64 {
    let mut lines = text.lines();
    let columns: BTreeSet<usize> = lines.next().map_or(BTreeSet::new(), |heading| {
        let names = heading.split_whitespace().enumerate();
        names.filter(|(_, name)| matches!(*name, "rss" | "swap")).map(|(place, _)| place).collect()
    });
    let numbers = lines.flat_map(|line| line.split_whitespace().enumerate());
    numbers
        .filter(|(place, _)| columns.contains(place))
        .filter_map(|(_, number)| number.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let text = "Name:\tRssAnon: 1 kB\nPPid:\t7\nRssAnon:\t    2048 kB\nRssShmem:\t       4 kB\n";
        assert_eq!(kilobytes(text, "RssAnon:"), Some(2048 * 1024));
        assert_eq!(kilobytes(text, "RssShmem:"), Some(4096));
        assert_eq!(kilobytes(text, "VmSwap:"), None);
        assert_eq!(value(text, "PPid:"), Some("7"));
    }

    #[test]
    fn segments_are_summed() {
        let heading = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      \
                       dtime      ctime                   rss                  swap\n";
        let line = "         0          5  1600             335544320   123   123      1   993   990   993   990 1764424800          \
                    0 1764424800             335544320                  4096\n";
        assert_eq!(segments(&format!("{heading}{line}{line}")), 2 * (335_544_320 + 4096));
        assert_eq!(segments(heading), 0);
        assert_eq!(segments(""), 0);
    }

    #[test]
    fn this_process_can_be_counted() {
        let proc = std::fs::File::open("/proc").unwrap();
        let census = Census::new(proc.into());
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(census.processes().contains(&own));
        let mut memories = Memories::default();
        assert!(memories.note(&[own], Instant::now()) > Duration::ZERO);
        let before = census.count(&[own], &memories, u64::MAX);
        let kept = vec![1_u8; 32 << 20];
        let file = rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC).unwrap();
        let written = rustix::io::write(&file, &kept).unwrap() as u64;
        for limit in [u64::MAX, 0] {
            let after = census.count(&[own], &memories, limit);
            assert!(after.anonymous >= before.anonymous + (30 << 20), "{before:?} {after:?}");
            assert!(after.nameless >= before.nameless + written, "{before:?} {after:?}");
        }
    }
}
