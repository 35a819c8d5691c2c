//! Cgroups of sandboxes: found, made, limited, watched, removed. Version 1, version 2, and hosts with some of each.
//!
//! Made and removed by the helper off the launch path; a launch only writes limits. The guest never sees any of it.

mod mounts;
mod v1;
mod v2;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cgroup::mounts::Candidate;
use crate::error::{At, Failure, Step};
use crate::sandbox::GaugeKind;
use crate::spec::{Cpu, MEGABYTES_PER_VCPU};

/// How long killed processes of an earlier run may take to disappear.
const REAP_PATIENCE: Duration = Duration::from_secs(2);

/// What a cgroup can limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Processes,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Processes];

    fn kernel_name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Processes => "pids",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// A directory under which this instance makes its cgroups.
#[derive(Debug)]
struct Place {
    version: Version,
    base: PathBuf,
    controllers: Vec<Controller>,
}

/// All places of this instance.
#[derive(Debug)]
pub(crate) struct Cgroups {
    places: Vec<Place>,
    refusals: Vec<String>,
}

/// The cgroups that may bound the memory of this process and its sandboxes.
pub(crate) fn memory_directories() -> Vec<(Version, PathBuf)> {
    let candidates = mounts::candidates().unwrap_or_default();
    let of_memory = candidates.into_iter().filter(|one| one.controllers.contains(&Controller::Memory));
    of_memory.map(|one| (one.version, one.directory)).collect()
}

/// The limits of one sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    pub(crate) tmp_bytes: u64,
    pub(crate) cpu: Cpu,
    pub(crate) processes: u32,
}

impl Limits {
    fn hard_memory(self) -> u64 {
        self.memory_bytes.saturating_add(self.tmp_bytes)
    }
}

impl Cgroups {
    /// Finds where cgroups can be made, and reaps what an earlier run of the same instance left.
    pub(crate) fn open(instance: &str) -> Self {
        let mut cgroups = Self { places: Vec::new(), refusals: Vec::new() };
        let candidates = mounts::candidates().unwrap_or_default();
        let name = format!("firelet-{instance}");
        for candidate in &candidates {
            reap(&candidate.directory.join(&name));
        }
        for candidate in &candidates {
            cgroups.claim(candidate, &name);
        }
        cgroups
    }

    fn claim(&mut self, candidate: &Candidate, name: &str) {
        let wanted: Vec<Controller> =
            candidate.controllers.iter().copied().filter(|controller| !self.limits(*controller)).collect();
        // A cgroup of version 2 can be frozen even if it limits nothing.
        let may_freeze = candidate.version == Version::V2 && !self.freezes();
        if wanted.is_empty() && !may_freeze {
            return;
        }
        let base = candidate.directory.join(name);
        let claimed = match candidate.version {
            Version::V1 => make_directory(&base).map(|()| wanted),
            Version::V2 => v2::claim(&candidate.directory, &base, &wanted),
        };
        match claimed {
            Ok(controllers) if controllers.is_empty() && !may_freeze => {
                let _ = fs::remove_dir(&base);
            }
            Ok(controllers) => self.places.push(Place { version: candidate.version, base, controllers }),
            Err(error) => self.refusals.push(format!("{}: {error}", base.display())),
        }
    }

    /// Whether this controller limits sandboxes here.
    pub(crate) fn limits(&self, controller: Controller) -> bool {
        self.places.iter().any(|place| place.controllers.contains(&controller))
    }

    /// Whether sandboxes can be frozen here. Only version 2 lets frozen processes be killed, so nothing else is asked.
    pub(crate) fn freezes(&self) -> bool {
        self.places.iter().any(|place| place.version == Version::V2)
    }

    /// Why cgroups could not be made, for people.
    pub(crate) fn refusal(&self) -> String {
        if self.refusals.is_empty() {
            "no cgroup hierarchy with this controller is mounted".into()
        } else {
            self.refusals.join("; ")
        }
    }

    /// Makes the cgroups of one sandbox, without limits yet.
    pub(crate) fn create(&self, name: &str) -> Result<Group, Failure> {
        let mut group = Group { members: Vec::new() };
        for place in &self.places {
            let path = place.base.join(name);
            make_directory(&path).at(Step::CreateCgroup, &path.to_string_lossy())?;
            group.members.push(Member {
                version: place.version,
                controllers: place.controllers.clone(),
                path,
            });
        }
        Ok(group)
    }

    /// Removes the places themselves, once their groups are gone.
    pub(crate) fn close(&self) {
        for place in &self.places {
            reap(&place.base);
        }
    }
}

/// The cgroups of one sandbox, one for each place.
#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    version: Version,
    controllers: Vec<Controller>,
    path: PathBuf,
}

impl Member {
    fn write(&self, file: &str, value: &str) -> Result<(), Failure> {
        let path = self.path.join(file);
        write_file(&path, value).at(Step::LimitCgroup, &path.to_string_lossy())
    }

    /// Writes where the kernel may lack the file.
    fn write_if_there(&self, file: &str, value: &str) -> Result<(), Failure> {
        match self.write(file, value) {
            Err(failure) if failure.errno == libc::ENOENT => Ok(()),
            other => other,
        }
    }

    fn open(&self, file: &str, write: bool) -> Result<OwnedFd, Failure> {
        let path = self.path.join(file);
        let file = OpenOptions::new().read(!write).write(write).open(&path);
        file.map(OwnedFd::from).at(Step::LimitCgroup, &path.to_string_lossy())
    }
}

/// How a forked process gets into the cgroups of its sandbox.
pub(crate) struct Entrance {
    /// Version 1: files to write `0` to.
    pub(crate) files: Vec<OwnedFd>,
    /// Version 2: the directory to clone into.
    pub(crate) directory: Option<OwnedFd>,
}

/// The open files that judge a sandbox's memory.
pub(crate) struct MemoryFiles {
    pub(crate) kind: GaugeKind,
    pub(crate) peak: OwnedFd,
    pub(crate) current: OwnedFd,
    pub(crate) statistics: OwnedFd,
    /// Version 1: `cgroup.event_control`; version 2: `memory.high`.
    pub(crate) level: OwnedFd,
    /// Version 2: `memory.events`.
    pub(crate) events: Option<OwnedFd>,
}

impl MemoryFiles {
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.peak, &self.current, &self.statistics, &self.level]
            .into_iter()
            .chain(&self.events)
            .map(AsFd::as_fd)
    }
}

impl Group {
    /// Writes the limits.
    pub(crate) fn limit(&self, limits: Limits) -> Result<(), Failure> {
        for member in &self.members {
            for controller in &member.controllers {
                match member.version {
                    Version::V1 => v1::limit(member, *controller, limits)?,
                    Version::V2 => v2::limit(member, *controller, limits)?,
                }
            }
        }
        Ok(())
    }

    /// How to get in.
    pub(crate) fn entrance(&self) -> Result<Entrance, Failure> {
        let mut entrance = Entrance { files: Vec::new(), directory: None };
        for member in &self.members {
            match member.version {
                Version::V1 => entrance.files.push(member.open("tasks", true)?),
                Version::V2 => {
                    let directory = File::open(&member.path).map(OwnedFd::from);
                    entrance.directory =
                        Some(directory.at(Step::JoinCgroup, &member.path.to_string_lossy())?);
                }
            }
        }
        Ok(entrance)
    }

    /// How a process gets in that was not cloned into its cgroup of version 2: a file to write `0` to.
    pub(crate) fn late_entrance(&self) -> Result<Option<OwnedFd>, Failure> {
        let member = self.members.iter().find(|member| member.version == Version::V2);
        member.map(|member| member.open("cgroup.procs", true)).transpose()
    }

    /// The files that judge memory, if it is limited.
    pub(crate) fn memory_files(&self) -> Result<Option<MemoryFiles>, Failure> {
        self.memory_member()
            .map(|member| match member.version {
                Version::V1 => v1::memory_files(member),
                Version::V2 => v2::memory_files(member),
            })
            .transpose()
    }

    /// Peak, current and statistics, for the server to read.
    pub(crate) fn gauge_files(&self) -> Result<Option<(GaugeKind, [OwnedFd; 3])>, Failure> {
        self.memory_member()
            .map(|member| {
                Ok(match member.version {
                    Version::V1 => (GaugeKind::V1, v1::gauge_files(member)?),
                    Version::V2 => (GaugeKind::V2, v2::gauge_files(member)?),
                })
            })
            .transpose()
    }

    /// The file that freezes and thaws, if the host has one.
    pub(crate) fn freezer(&self) -> Result<Option<OwnedFd>, Failure> {
        let member = self.members.iter().find(|member| member.version == Version::V2);
        member.map(|member| member.open("cgroup.freeze", true)).transpose()
    }

    /// Lets frozen processes go on.
    pub(crate) fn thaw(&self) {
        if let Ok(Some(freezer)) = self.freezer() {
            let _ = rustix::io::write(&freezer, b"0");
        }
    }

    /// How often the kernel itself has killed for lack of memory.
    pub(crate) fn kills_for_memory(&self) -> u64 {
        self.memory_member().map_or(0, |member| {
            let file = match member.version {
                Version::V1 => "memory.oom_control",
                Version::V2 => "memory.events",
            };
            let text = fs::read_to_string(member.path.join(file)).unwrap_or_default();
            field(&text, "oom_kill").unwrap_or(0)
        })
    }

    /// Removes the cgroups; `false` while a process is still on its way out.
    pub(crate) fn remove(&self) -> bool {
        let mut removed = true;
        for member in &self.members {
            removed &= is_gone(fs::remove_dir(&member.path));
        }
        removed
    }

    fn memory_member(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.controllers.contains(&Controller::Memory))
    }
}

fn is_gone(removal: io::Result<()>) -> bool {
    removal.map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true)
}

/// Processor time within a period, both in microseconds, for a cap in thousandths of a vCPU.
fn quota(cpu: Cpu, period: u64) -> u64 {
    (u64::from(cpu.cap_milli) * period / 1000).max(1000)
}

/// Weight on a scale where one vCPU is `one`.
fn weight(cpu: Cpu, one: u64, least: u64, most: u64) -> u64 {
    (u64::from(cpu.share) * one / u64::from(MEGABYTES_PER_VCPU)).clamp(least, most)
}

/// Kills everything in a cgroup and below, and removes it. Missing is fine.
fn reap(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            reap(&entry.path());
        }
    }
    let deadline = Instant::now() + REAP_PATIENCE;
    while !is_gone(fs::remove_dir(directory)) && Instant::now() < deadline {
        kill_members(directory);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill_members(directory: &Path) {
    let _ = write_file(&directory.join("cgroup.kill"), "1");
    let _ = write_file(&directory.join("freezer.state"), "THAWED");
    let members = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for process in
        members.lines().filter_map(|line| line.parse().ok()).filter_map(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Writes without creating: a missing file of a cgroup is an error, not a new file.
fn write_file(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// Reads the number that a counter file holds.
pub(crate) fn read_number(file: impl AsFd) -> Option<u64> {
    let mut buffer = [0; 32];
    let count = rustix::io::pread(file.as_fd(), &mut buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..count]).ok()?.trim().parse().ok()
}

/// Reads the bytes of all cached files, `/tmp` and shared memory included, from `memory.stat`.
pub(crate) fn cached_bytes(kind: GaugeKind, statistics: impl AsFd) -> Option<u64> {
    read_statistics(kind, statistics.as_fd()).map(|(files, _)| files)
}

/// Reads all cached files, and the shared part of them, from `memory.stat`.
pub(crate) fn read_statistics(kind: GaugeKind, statistics: BorrowedFd<'_>) -> Option<(u64, u64)> {
    let mut buffer = [0; 8192];
    let count = rustix::io::pread(statistics, &mut buffer, 0).ok()?;
    let text = std::str::from_utf8(&buffer[..count]).ok()?;
    match kind {
        GaugeKind::V1 => Some((field(text, "total_cache")?, field(text, "total_shmem")?)),
        GaugeKind::V2 => Some((field(text, "file")?, field(text, "shmem")?)),
        GaugeKind::Process => None,
    }
}

/// Reads the peak of resident memory from `/proc/PID/status`.
pub(crate) fn read_peak_of_process(status: impl AsFd) -> Option<u64> {
    read_bytes_of_process(status, "VmHWM:")
}

/// Reads the resident memory from `/proc/PID/status`.
pub(crate) fn read_memory_of_process(status: impl AsFd) -> Option<u64> {
    read_bytes_of_process(status, "VmRSS:")
}

fn read_bytes_of_process(status: impl AsFd, name: &str) -> Option<u64> {
    let mut buffer = [0; 4096];
    let count = rustix::io::pread(status.as_fd(), &mut buffer, 0).ok()?;
    let text = String::from_utf8_lossy(&buffer[..count]);
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Finds the number of a `name number` line.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests;
