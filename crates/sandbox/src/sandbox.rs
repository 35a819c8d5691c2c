//! A running sandbox, as the server holds it: descriptors only. Never blocks.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;

use crate::error::Error;
use crate::launcher::Channel;
use crate::network::Ways;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::spec::{Program, Spec};

/// One isolated process and all that it started. Dropping it kills it.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) id: String,
    pub(crate) channel: Arc<Channel>,
    /// How many processes it may have.
    pub(crate) processes: u32,
    pub(crate) listener: Option<TcpListener>,
    pub(crate) output: Option<OwnedFd>,
    pub(crate) exit: Option<OwnedFd>,
    pub(crate) first_process: OwnedFd,
    pub(crate) main_process: OwnedFd,
    pub(crate) gauge: Option<Gauge>,
    pub(crate) freezer: Option<OwnedFd>,
    pub(crate) ways: Option<Ways>,
}

/// A further program in a sandbox; it goes with the sandbox, not with this.
#[derive(Debug)]
pub struct Process {
    pub(crate) process: OwnedFd,
    pub(crate) output: Option<OwnedFd>,
    pub(crate) exit: Option<OwnedFd>,
}

impl Process {
    /// The read end of standard output and standard error: nonblocking, once.
    ///
    /// # Panics
    ///
    /// When taken twice.
    pub fn take_output(&mut self) -> OwnedFd {
        self.output.take().expect("the output is taken once, by the one that reads it")
    }

    /// The read end of the exit report: nonblocking, readable when the process ended, once. Read it with [`read_exit`].
    ///
    /// # Panics
    ///
    /// When taken twice.
    pub fn take_exit(&mut self) -> OwnedFd {
        self.exit.take().expect("the exit report is taken once, by the one that reads it")
    }

    /// Asks the process to end (SIGTERM).
    pub fn terminate(&self) {
        signal(&self.process, Signal::TERM);
    }

    /// Kills the process, but not what it has started.
    pub fn kill(&self) {
        signal(&self.process, Signal::KILL);
    }
}

/// The only failure is that it has ended already, which is what was wanted.
fn signal(process: &OwnedFd, signal: Signal) {
    let _ = rustix::process::pidfd_send_signal(process, signal);
}

/// How a process of a sandbox ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus {
    /// Its end.
    pub end: End,
    /// Whether the sandbox ran out of memory, so that it or one of its processes was killed.
    pub out_of_memory: bool,
    /// The peak of [`Usage`], which cannot be asked for any more. Zero where the host does not count it.
    pub peak_memory_bytes: u64,
}

/// Exit or signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// What a sandbox has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory that its processes held at a time, without the files of `/tmp` and without what the kernel
    /// only caches; at most the limit. Zero where the host does not count it.
    pub peak_memory_bytes: u64,
}

impl Sandbox {
    /// The environment id that it was launched with.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The listener on 127.0.0.1:9001 inside the sandbox's own network: nonblocking, once; `None` on the host network.
    pub fn take_listener(&mut self) -> Option<TcpListener> {
        self.listener.take()
    }

    /// The ways out of the sandbox's own network, which somebody has to serve, once; `None` where it has none.
    pub fn take_ways(&mut self) -> Option<Ways> {
        self.ways.take()
    }

    /// The read end of standard output and standard error: nonblocking, once.
    ///
    /// # Panics
    ///
    /// When taken twice.
    pub fn take_output(&mut self) -> OwnedFd {
        self.output.take().expect("the output is taken once, by the one that reads it")
    }

    /// The read end of the exit report: nonblocking, readable when the main process ended, once. Read it with
    /// [`read_exit`].
    ///
    /// # Panics
    ///
    /// When taken twice.
    pub fn take_exit(&mut self) -> OwnedFd {
        self.exit.take().expect("the exit report is taken once, by the one that reads it")
    }

    /// Kills every process of the sandbox. Killing again does nothing.
    pub fn kill(&self) {
        signal(&self.first_process, Signal::KILL);
    }

    /// Asks the main process to end (SIGTERM).
    pub fn terminate(&self) {
        signal(&self.main_process, Signal::TERM);
    }

    /// Kills the main process, but not what it has started. With it everything ends, unless there are further programs.
    pub fn kill_main(&self) {
        signal(&self.main_process, Signal::KILL);
    }

    /// Starts a further program, and returns when it runs: a round trip to the helper, for which this blocks. The main
    /// process may have started already; the sandbox must not have ended.
    ///
    /// # Errors
    ///
    /// When the program cannot be executed, or the sandbox has ended.
    pub fn start(&self, program: &Program) -> Result<Process, Error> {
        self.channel.start(program, self.processes)
    }

    /// Begins to connect to a port on the sandbox's own loopback: the stream is nonblocking, and writable once it is
    /// connected. Blocks for a round trip to the helper.
    ///
    /// # Errors
    ///
    /// When the socket cannot be had. That nobody listens shows when the stream is used.
    pub fn connect(&self, port: u16) -> Result<TcpStream, Error> {
        let socket = self.channel.socket()?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
            Err(error) => Err(Error::Connect { port, source: error.into() }),
        }
    }

    /// Ends all that runs in the sandbox and starts it anew from `spec`, with the same user and network, and with what is in
    /// `/tmp`. Returns when the program runs, as [`Launcher::launch`](crate::Launcher::launch) does. This value is of no
    /// more use then; to drop it does not end the other.
    ///
    /// # Errors
    ///
    /// As for a launch; then nothing is left of the sandbox.
    pub fn reset(&self, spec: &Spec) -> Result<Self, Error> {
        Channel::reset(&self.channel, spec)
    }

    /// Writes the main process down and ends the sandbox, whether that works or not. Blocks until it is done, for as long as its
    /// memory takes to be copied, and no longer than some seconds.
    ///
    /// # Errors
    ///
    /// When the process has something that could not be made again: [`SnapshotError::Unsupported`]. When a step fails, or
    /// the sandbox has ended.
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        let snapshot = self.channel.snapshot();
        self.kill();
        snapshot
    }

    /// Stops every process of the sandbox until [`thaw`](Self::thaw): they use no processor, and can still be killed.
    /// Takes effect a moment later. Does nothing where the host cannot; see [`item::FREEZER`](crate::item::FREEZER).
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn freeze(&self) -> io::Result<()> {
        self.set_frozen(b"1")
    }

    /// Lets the processes go on. A sandbox that is not frozen stays as it is.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn thaw(&self) -> io::Result<()> {
        self.set_frozen(b"0")
    }

    fn set_frozen(&self, value: &[u8]) -> io::Result<()> {
        let Some(freezer) = &self.freezer else { return Ok(()) };
        match rustix::io::pwrite(freezer, value, 0) {
            // The cgroup is gone, and with it the processes.
            Ok(_) | Err(rustix::io::Errno::NODEV) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The process id of the main process, as this process's `/proc` numbers it; none when it has ended. Reads a file of
    /// the kernel.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        process_id(&self.main_process)
    }

    /// What it has used so far: two reads of a kernel file, nothing when nothing changed.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let peak_memory_bytes = self.gauge.as_ref().map_or(0, Gauge::peak);
        Usage { peak_memory_bytes }
    }
}

/// The process id behind a pidfd; none when the process has ended, or is not in this `/proc`.
pub(crate) fn process_id(process: &OwnedFd) -> Option<u32> {
    let information = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
    process_id_in(&information)
}

/// The kernel writes -1 for a process that has ended, and 0 for one that cannot be seen from here.
fn process_id_in(information: &str) -> Option<u32> {
    let number = information.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    number.trim().parse().ok().filter(|number| *number > 0)
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The length of an exit report.
const REPORT_LENGTH: usize = 14;

/// Reads the exit report of a sandbox.
///
/// `Ok(None)` is a sandbox that was killed from outside. `WouldBlock` says that it still runs.
///
/// # Errors
///
/// What reading the pipe answers.
pub fn read_exit(exit: impl AsFd) -> io::Result<Option<ExitStatus>> {
    let mut report = [0; REPORT_LENGTH];
    let count = rustix::io::retry_on_intr(|| rustix::io::read(exit.as_fd(), &mut report))?;
    Ok(ExitStatus::parse(&report[..count]))
}

impl ExitStatus {
    /// Parses the bytes of the exit report; `None` when they are none.
    #[must_use]
    pub fn parse(report: &[u8]) -> Option<Self> {
        let report: &[u8; REPORT_LENGTH] = report.try_into().ok()?;
        let [kind, a, b, c, d, out_of_memory, peak @ ..] = *report;
        let value = i32::from_le_bytes([a, b, c, d]);
        let end = if kind == 0 { End::Exited(value) } else { End::Signaled(value) };
        let peak_memory_bytes = u64::from_le_bytes(peak);
        Some(Self { end, out_of_memory: out_of_memory == 1, peak_memory_bytes })
    }

    pub(crate) fn report(self) -> [u8; REPORT_LENGTH] {
        let (kind, value) = match self.end {
            End::Exited(code) => (0, code),
            End::Signaled(signal) => (1, signal),
        };
        let mut report = [0; REPORT_LENGTH];
        report[0] = kind;
        report[1..5].copy_from_slice(&value.to_le_bytes());
        report[5] = u8::from(self.out_of_memory);
        report[6..].copy_from_slice(&self.peak_memory_bytes.to_le_bytes());
        report
    }
}

/// What counts the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaugeKind {
    V1,
    V2,
    /// No cgroup: the kernel's own peak of the main process.
    Process,
}

/// The open files of what counts the memory.
#[derive(Debug)]
pub(crate) enum Counter {
    Cgroup { kind: GaugeKind, peak: OwnedFd, current: OwnedFd, statistics: OwnedFd },
    Process(OwnedFd),
}

impl Counter {
    pub(crate) fn cgroup(kind: GaugeKind, [peak, current, statistics]: [OwnedFd; 3]) -> Self {
        Self::Cgroup { kind, peak, current, statistics }
    }
}

/// Tells the peak of memory, and remembers it.
#[derive(Debug)]
pub(crate) struct Gauge {
    counter: Counter,
    limit: u64,
    seen: AtomicU64,
    answer: AtomicU64,
}

impl Gauge {
    pub(crate) fn new(counter: Counter, limit: u64) -> Self {
        Self { counter, limit, seen: AtomicU64::new(0), answer: AtomicU64::new(0) }
    }

    fn peak(&self) -> u64 {
        if let Some(estimate) = self.estimate() {
            self.answer.fetch_max(estimate, Ordering::Relaxed);
        }
        self.answer.load(Ordering::Relaxed)
    }

    /// The kernel's peak counts cached files and `/tmp` too. What of those is held now was, most likely, held then.
    fn estimate(&self) -> Option<u64> {
        match &self.counter {
            Counter::Process(status) => crate::cgroup::read_peak_of_process(status),
            Counter::Cgroup { kind, peak, current, statistics } => {
                let peak = crate::cgroup::read_number(peak)?;
                if self.seen.swap(peak, Ordering::Relaxed) == peak {
                    return None;
                }
                let current = crate::cgroup::read_number(current)?;
                let files = crate::cgroup::cached_bytes(*kind, statistics)?;
                Some(estimate_peak(peak, current, files).min(self.limit))
            }
        }
    }
}

/// Peak memory of processes, from the kernel's peak and current count, and the files in the current one.
pub(crate) fn estimate_peak(peak: u64, current: u64, files: u64) -> u64 {
    peak.saturating_sub(files).max(current.saturating_sub(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_report_survives_the_pipe() {
        for end in [End::Exited(0), End::Exited(255), End::Signaled(9)] {
            for out_of_memory in [false, true] {
                let status = ExitStatus { end, out_of_memory, peak_memory_bytes: 1 << 40 };
                assert_eq!(ExitStatus::parse(&status.report()), Some(status));
            }
        }
        assert_eq!(ExitStatus::parse(&[]), None);
    }

    #[test]
    fn a_process_has_an_id_until_it_ends() {
        let information =
            |number: &str| format!("pos:\t0\nflags:\t02000002\nPid:\t{number}\nNSpid:\t{number}\n");
        assert_eq!(process_id_in(&information("4711\t2")), None);
        assert_eq!(process_id_in(&information("4711")), Some(4711));
        assert_eq!(process_id_in(&information("-1")), None);
        assert_eq!(process_id_in(&information("0")), None);
        assert_eq!(process_id_in(""), None);
    }

    #[test]
    fn files_do_not_count_as_memory() {
        assert_eq!(estimate_peak(100, 90, 60), 40);
        assert_eq!(estimate_peak(100, 100, 60), 40);
        assert_eq!(estimate_peak(10, 10, 60), 0);
    }
}
