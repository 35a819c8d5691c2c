//! What memory there is for sandboxes: the host's, or less where a cgroup around this process bounds it. Reads files of the
//! kernel and decides nothing.
//!
//! See `Documentation/filesystems/proc.rst` and `Documentation/accounting/psi.rst` of Linux.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cgroup::{self, Version};

const MEMORY: &str = "/proc/meminfo";
const PRESSURE: &str = "/proc/pressure/memory";

/// Memory of the host, or of the cgroup that bounds this process more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMemory {
    /// Bytes that can be had without swapping.
    pub available: u64,
    /// Bytes in all.
    pub total: u64,
    /// How long everything has stood still for want of memory since the host started; none where the kernel does not tell.
    pub stalled: Option<Duration>,
}

/// Where [`HostMemory`] is read.
#[derive(Debug)]
pub struct MemoryGauge {
    bounds: Vec<Bound>,
}

/// A cgroup that may have a limit.
#[derive(Debug)]
struct Bound {
    directory: PathBuf,
    files: Files,
}

/// What the files of a cgroup are called.
#[derive(Debug, Clone, Copy)]
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` with cached files that can be dropped at once.
    droppable: &'static str,
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    droppable: "total_inactive_file",
};
const V2: Files = Files { limit: "memory.max", usage: "memory.current", droppable: "inactive_file" };

impl MemoryGauge {
    /// Finds the cgroups that this process and its sandboxes are in.
    #[must_use]
    pub fn new() -> Self {
        let bound = |(version, directory)| Bound {
            directory,
            files: match version {
                Version::V1 => V1,
                Version::V2 => V2,
            },
        };
        Self { bounds: cgroup::memory_directories().into_iter().map(bound).collect() }
    }

    /// What there is now.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell of the host's memory.
    pub fn read(&self) -> io::Result<HostMemory> {
        let text = fs::read_to_string(MEMORY)?;
        let host = meminfo(&text).ok_or(io::ErrorKind::InvalidData)?;
        let host = HostMemory { stalled: stalled_in(Path::new(PRESSURE)), ..host };
        let least = |least: HostMemory, bound: &Bound| match bound.read(host.total) {
            Some(bounded) if bounded.available < least.available => {
                HostMemory { stalled: bounded.stalled.or(least.stalled), ..bounded }
            }
            _ => least,
        };
        Ok(self.bounds.iter().fold(host, least))
    }
}

impl Default for MemoryGauge {
    fn default() -> Self {
        Self::new()
    }
}

impl Bound {
    /// What its limit leaves, if it has one below what the host has.
    fn read(&self, host: u64) -> Option<HostMemory> {
        let read = |name: &str| fs::read_to_string(self.directory.join(name)).ok();
        let total: u64 = read(self.files.limit)?.trim().parse().ok().filter(|limit| *limit < host)?;
        let usage: u64 = read(self.files.usage)?.trim().parse().ok()?;
        let droppable = statistic(&read("memory.stat")?, self.files.droppable).unwrap_or(0);
        Some(HostMemory {
            available: total.saturating_sub(usage.saturating_sub(droppable)),
            total,
            stalled: stalled_in(&self.directory.join("memory.pressure")),
        })
    }
}

/// `MemTotal:       24684084 kB` and such lines.
fn meminfo(text: &str) -> Option<HostMemory> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(HostMemory { available: bytes("MemAvailable")?, total: bytes("MemTotal")?, stalled: None })
}

fn statistic(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn stalled_in(path: &Path) -> Option<Duration> {
    stalled(&fs::read_to_string(path).ok()?)
}

/// `full avg10=0.00 avg60=0.00 avg300=0.00 total=0`, the total in microseconds.
fn stalled(text: &str) -> Option<Duration> {
    let line = text.lines().find(|line| line.starts_with("full "))?;
    let total = line.split(' ').find_map(|field| field.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    #[test]
    fn the_kernels_lines_are_read() {
        let text = "MemTotal:       24684084 kB\nMemFree:        19456084 kB\nMemAvailable:   24007860 kB\n";
        let expected = HostMemory { available: 24_007_860 * KIB, total: 24_684_084 * KIB, stalled: None };
        assert_eq!(meminfo(text), Some(expected));
        assert_eq!(meminfo("MemTotal:       24684084 kB\nMemFree: 1 kB\n"), None);
        let pressure = "some avg10=1.00 avg60=0.00 avg300=0.00 total=9000000\n\
                        full avg10=0.50 avg60=0.00 avg300=0.00 total=1500000\n";
        assert_eq!(stalled(pressure), Some(Duration::from_millis(1_500)));
        assert_eq!(stalled("some avg10=1.00 avg60=0.00 avg300=0.00 total=9\n"), None);
    }

    #[test]
    fn a_cgroup_counts_where_it_leaves_less_than_the_host() {
        for (limit, usage, droppable, expected) in [
            ("1000\n", "700\n", 200, Some(500)),
            ("1000\n", "1300\n", 200, Some(0)),
            ("max\n", "700\n", 200, None),
            ("10000\n", "700\n", 200, None),
            ("9223372036854771712\n", "700\n", 200, None),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
            write(V2.limit, limit);
            write(V2.usage, usage);
            write("memory.stat", &format!("file 9\ninactive_file {droppable}\n"));
            let bound = Bound { directory: directory.path().to_owned(), files: V2 };
            let seen = bound.read(10_000);
            assert_eq!(seen.map(|seen| (seen.available, seen.total)), expected.map(|bytes| (bytes, 1_000)));
        }
    }

    #[test]
    fn this_host_tells() {
        let seen = MemoryGauge::new().read().unwrap();
        assert!(seen.available > 0 && seen.available <= seen.total, "{seen:?}");
    }
}
