//! Watches the memory of a sandbox for its first process: by what the kernel signals of its cgroup, or, without one, by
//! counting what its processes hold again and again. When to do what is decided in [`memory`] and [`looks`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};

use crate::census::{self, Census, Memories};
use crate::cgroup::MemoryFiles;
use crate::looks::{self, Work};
use crate::memory::{self, Levels, Reading, Verdict};
use crate::sandbox::GaugeKind;
use crate::sys::{self, ProcessorTimer};

/// Rests longer than this end early when idle processes begin to work, which this much processor time shows.
const LONG_REST: Duration = Duration::from_millis(50);
const WORK: Duration = Duration::from_millis(2);
/// So many processes are watched for work: the sandbox's first ones, which start all others.
const WATCHED: usize = 8;

/// The memory of a sandbox, with what tells that it should be looked at.
pub(crate) enum Watch<'a> {
    Cgroup(CgroupWatch<'a>),
    Processes(Box<ProcessWatch>),
}

/// What is counted.
pub(crate) enum Source<'a> {
    Cgroup(&'a MemoryFiles),
    /// A `/proc` that shows all processes of the sandbox.
    Processes(OwnedFd),
}

impl Source<'_> {
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Cgroup(files) => files.descriptors().collect(),
            Self::Processes(proc) => vec![proc.as_fd()],
        }
    }
}

impl<'a> Watch<'a> {
    /// Begins; none where the source is gone. To be followed by a [`look`](Self::look).
    pub(crate) fn new(source: &'a Source<'_>, limit: u64) -> Option<Self> {
        match source {
            Source::Cgroup(files) => Some(Self::Cgroup(CgroupWatch::new(files, limit))),
            Source::Processes(proc) => {
                let proc = proc.try_clone().ok()?;
                Some(Self::Processes(Box::new(ProcessWatch::new(Census::new(proc), limit))))
            }
        }
    }

    /// What becomes ready when memory is worth a look.
    pub(crate) fn signal(&self) -> Option<PollFd<'_>> {
        match self {
            Self::Cgroup(watch) => watch.signal(),
            Self::Processes(_) => None,
        }
    }

    /// When memory is worth a look although nothing tells so.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Cgroup(watch) => watch.patience.map(|(_, deadline)| deadline),
            Self::Processes(watch) => Some(watch.last + watch.rest),
        }
    }

    /// Takes note of the signal, or of one about a child, which may tell that processes work; answers whether that makes
    /// memory worth a look.
    pub(crate) fn hear(&mut self, is_signalled: bool, is_of_child: bool) -> bool {
        match self {
            Self::Cgroup(watch) => {
                if is_signalled {
                    watch.asked = None;
                }
                is_signalled
            }
            Self::Processes(watch) => is_of_child && !watch.timers.is_empty(),
        }
    }

    /// Looks at memory, and sees to the next look; answers whether it is used up.
    pub(crate) fn look(&mut self) -> bool {
        match self {
            Self::Cgroup(watch) => watch.look(),
            Self::Processes(watch) => watch.look(),
        }
    }
}

/// Memory that a cgroup counts.
pub(crate) struct CgroupWatch<'a> {
    files: &'a MemoryFiles,
    limit: u64,
    tmp: Option<OwnedFd>,
    /// What tells that usage leaves these levels; none before they are asked for, or when that failed.
    asked: Option<(Levels, OwnedFd)>,
    /// How long to wait before a look that nothing signals, and when that is over; none waits for a signal.
    patience: Option<(Duration, Instant)>,
    last: Option<Reading>,
}

impl<'a> CgroupWatch<'a> {
    fn new(files: &'a MemoryFiles, limit: u64) -> Self {
        let tmp = rustix::fs::open(c"/tmp", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        Self { files, limit, tmp, asked: None, patience: None, last: None }
    }

    fn signal(&self) -> Option<PollFd<'_>> {
        let wanted = if self.files.kind == GaugeKind::V1 { PollFlags::IN } else { PollFlags::PRI };
        self.asked.as_ref().map(|(_, signal)| PollFd::new(signal, wanted))
    }

    fn read(&self) -> Option<Reading> {
        let usage = || crate::cgroup::read_number(&self.files.current);
        let (usage_before, tmp_before) = (usage()?, self.bytes_in_tmp());
        let cached = crate::cgroup::read_statistics(self.files.kind, self.files.statistics.as_fd())?;
        let (tmp_after, usage_after) = (self.bytes_in_tmp(), usage()?);
        Some(Reading::between([usage_before, usage_after], cached, [tmp_before, tmp_after]))
    }

    fn bytes_in_tmp(&self) -> u64 {
        self.tmp.as_ref().map_or(0, census::bytes_in)
    }

    /// Judges memory, and sees to the next look.
    fn look(&mut self) -> bool {
        let reading = self.read();
        let is_changed = reading.is_none() || reading != self.last;
        self.last = reading;
        let levels = self.asked.as_ref().map(|(levels, _)| *levels);
        let patience = memory::patience(self.patience.map(|(patience, _)| patience), is_changed);
        let patience = match reading.map(|reading| memory::judge(self.limit, reading, levels)) {
            Some(Verdict::OutOfMemory) => return true,
            Some(Verdict::Ask(levels)) => {
                self.asked = ask(self.files, levels).ok().map(|signal| (levels, signal));
                Some(if self.asked.is_some() { Duration::ZERO } else { patience })
            }
            Some(Verdict::Wait { now_and_then }) => now_and_then.then_some(patience),
            None => Some(patience),
        };
        self.patience = patience.map(|patience| (patience, Instant::now() + patience));
        false
    }
}

/// Version 1 signals an eventfd when usage passes a level either way; version 2 throttles above `memory.high` and signals
/// its events.
fn ask(files: &MemoryFiles, levels: Levels) -> io::Result<OwnedFd> {
    match files.kind {
        GaugeKind::V1 => {
            let signal = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            for level in std::iter::once(levels.above).chain(levels.below) {
                let request = format!("{} {} {level}", signal.as_raw_fd(), files.current.as_raw_fd());
                rustix::io::write(&files.level, request.as_bytes())?;
            }
            Ok(signal)
        }
        GaugeKind::V2 => {
            rustix::io::write(&files.level, levels.above.to_string().as_bytes())?;
            let events = files.events.as_ref().ok_or(io::ErrorKind::NotFound)?;
            let mut text = [0; 512];
            rustix::io::pread(events, &mut text, 0)?;
            events.try_clone()
        }
        GaugeKind::Process => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Memory that is counted process by process.
pub(crate) struct ProcessWatch {
    census: Census,
    limit: u64,
    verdict: looks::Verdict,
    memories: Memories,
    last: Instant,
    rest: Duration,
    /// They send the signal that tells of children, too.
    timers: Vec<ProcessorTimer>,
}

impl ProcessWatch {
    fn new(census: Census, limit: u64) -> Self {
        Self {
            census,
            limit,
            verdict: looks::Verdict::Fine,
            memories: Memories::default(),
            last: Instant::now(),
            rest: looks::SHORT,
            timers: Vec::new(),
        }
    }

    fn look(&mut self) -> bool {
        let (begin, spent) = (Instant::now(), sys::processor_time(sys::OWN));
        let processes = self.census.processes();
        let used = self.memories.note(&processes, begin);
        let count = self.census.count(&processes, &self.memories, self.limit);
        self.verdict = looks::judge(self.limit, count, self.verdict);
        let cost = sys::processor_time(sys::OWN).zip(spent).map_or(Duration::ZERO, |(now, then)| now - then);
        let work = Work { passed: begin.saturating_duration_since(self.last), used, cost };
        self.rest = looks::rest(self.rest, self.verdict, work);
        self.last = Instant::now();
        self.timers.clear();
        if !work.is_going_on() && self.rest > LONG_REST {
            let timers = processes.iter().take(WATCHED).map(|process| ProcessorTimer::start(*process, WORK));
            self.timers = timers.filter_map(Result::ok).collect();
        }
        self.verdict == looks::Verdict::OutOfMemory
    }
}
