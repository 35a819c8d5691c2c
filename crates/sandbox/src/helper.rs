//! The helper process: one thread that makes sandboxes for the server and cleans up after them.
//!
//! It answers the control socket, watches its sandboxes, and prepares spare parts while idle. It waits for no guest: a
//! launch is answered when the guest's program runs, and meanwhile the next one is taken.

mod ground;
mod spare;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::net::RecvFlags;
use rustix::pipe::PipeFlags;

use crate::cgroup::{Group, Limits};
use crate::error::{At, Failure, Step};
use crate::helper::ground::Ground;
use crate::helper::spare::Spare;
use crate::init::{self, FAILURE_LENGTH, Pipes, Plan};
use crate::namespace;
use crate::protocol::{self, Launch, Launched, MESSAGE_LIMIT};
use crate::sandbox::{End, ExitStatus, GaugeKind};
use crate::spec::Network;
use crate::sys::{self, Child, Forked};

/// Spare parts kept ready, so that a burst of this many launches waits for none to be made.
const SPARES: usize = 4;
/// How often cgroups are tried again whose last process is still on its way out.
const CLEANUP_INTERVAL: Duration = Duration::from_millis(10);
/// Between what the server waits for and what a burst of launches may take.
const EVENTS_AT_A_TIME: usize = 64;

const CONTROL: u64 = 0;

/// Runs the helper until the server is gone. To be called first thing in `main`, when `argv[0]` is
/// [`HELPER_NAME`](crate::HELPER_NAME).
#[must_use]
pub fn run_helper() -> ExitCode {
    match ground::start() {
        Ok((control, ground)) => {
            Helper::new(control, ground).map_or(ExitCode::FAILURE, |helper| helper.run())
        }
        Err(()) => ExitCode::FAILURE,
    }
}

/// What woke the helper: one of the descriptors of one sandbox.
#[derive(Clone, Copy)]
enum Source {
    Execution,
    Report,
    Process,
}

impl Source {
    fn token(self, number: u64) -> u64 {
        (number << 2) | (self as u64 + 1)
    }

    fn parse(token: u64) -> Option<(u64, Self)> {
        let source = match token & 3 {
            1 => Self::Execution,
            2 => Self::Report,
            3 => Self::Process,
            _ => return None,
        };
        Some((token >> 2, source))
    }
}

/// A sandbox whose first process lives.
struct Running {
    slot: u32,
    memory_bytes: u64,
    group: Group,
    process: Child,
    execution: Option<OwnedFd>,
    report: OwnedFd,
    exit: Option<OwnedFd>,
    answer: Option<Answer>,
}

/// What is owed to the server until the guest's program runs.
struct Answer {
    socket: OwnedFd,
    listener: Option<OwnedFd>,
    gauge: Option<(GaugeKind, Vec<OwnedFd>)>,
    freezer: Option<OwnedFd>,
    mounts: String,
}

/// A first process, with the pipes for its failure and for its report.
type Started = (Child, OwnedFd, OwnedFd);

struct Helper {
    ground: Ground,
    control: OwnedFd,
    epoll: OwnedFd,
    life: OwnedFd,
    /// Never written: its closing tells every first process that the helper is gone.
    _alive: OwnedFd,
    spares: VecDeque<Spare>,
    spares_fail: bool,
    running: HashMap<u64, Running>,
    /// Launches that are not answered yet.
    pending: usize,
    next_number: u64,
    ended: Vec<(u32, Group)>,
    buffer: Vec<u8>,
}

impl Helper {
    fn new(control: OwnedFd, ground: Ground) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &control, epoll::EventData::new_u64(CONTROL), epoll::EventFlags::IN)?;
        let (life, alive) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Self {
            ground,
            control,
            epoll,
            life,
            _alive: alive,
            spares: VecDeque::new(),
            spares_fail: false,
            running: HashMap::new(),
            pending: 0,
            next_number: 1,
            ended: Vec::new(),
            buffer: vec![0; MESSAGE_LIMIT],
        })
    }

    fn run(mut self) -> ExitCode {
        loop {
            let tokens = self.wait();
            if tokens.is_empty() {
                self.use_idle_time();
            }
            for token in tokens {
                match Source::parse(token) {
                    Some((number, source)) => self.on_sandbox(number, source),
                    None => {
                        if !self.on_control() {
                            return self.close();
                        }
                    }
                }
            }
        }
    }

    /// Waits only as long as there is nothing to do in idle time.
    fn wait(&self) -> Vec<u64> {
        let timeout = if self.lacks_spares() {
            Some(Duration::ZERO)
        } else if self.ended.is_empty() {
            None
        } else {
            Some(CLEANUP_INTERVAL)
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut events = Vec::with_capacity(EVENTS_AT_A_TIME);
        // An interrupted wait is an empty one.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref());
        events.iter().map(|event| event.data.u64()).collect()
    }

    /// Spares are made only while no launch is on its way: making them takes the same kernel locks.
    fn lacks_spares(&self) -> bool {
        self.spares.len() < SPARES && self.pending == 0 && !self.spares_fail && self.ground.slots.is_free()
    }

    fn use_idle_time(&mut self) {
        self.clean_up();
        if self.lacks_spares() {
            match Spare::make(&mut self.ground) {
                Ok(spare) => self.spares.push_back(spare),
                // Tried again, and reported, by the next launch.
                Err(_) => self.spares_fail = true,
            }
        }
    }

    fn clean_up(&mut self) {
        let slots = &mut self.ground.slots;
        self.ended.retain(|(slot, group)| {
            let removed = group.remove();
            if removed {
                slots.give_back(*slot);
            }
            !removed
        });
    }

    /// Takes one message; false when the server is gone.
    fn on_control(&mut self) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let received = protocol::receive(&self.control, &mut buffer, RecvFlags::DONTWAIT);
        let open = match received {
            Ok(Some((length, descriptors))) => {
                self.on_request(&mut buffer[..length], descriptors);
                true
            }
            Ok(None) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.buffer = buffer;
        open
    }

    fn on_request(&mut self, message: &mut [u8], descriptors: Vec<OwnedFd>) {
        let launch = protocol::decode_launch(message);
        sys::wipe(message);
        let Ok([socket, output, exit]) = <[OwnedFd; 3]>::try_from(descriptors) else { return };
        let unreadable = || Failure { step: Step::ReadRequest, errno: libc::EBADMSG, detail: String::new() };
        let started = launch
            .ok_or_else(unreadable)
            .and_then(|mut launch| self.launch(&mut launch, &socket, &output, exit));
        if let Err(failure) = started {
            let _ = protocol::send(&socket, &protocol::encode_failure(&failure), &[]);
        }
    }

    fn launch(
        &mut self,
        launch: &mut Launch,
        socket: &OwnedFd,
        output: &OwnedFd,
        exit: OwnedFd,
    ) -> Result<(), Failure> {
        self.spares_fail = false;
        let spare = self.spares.pop_front().map_or_else(|| Spare::make(&mut self.ground), Ok)?;
        let slot = spare.slot;
        match self.begin(launch, &spare, socket, output) {
            Ok((answer, (process, execution, report))) => self.watch(Running {
                slot,
                memory_bytes: launch.memory_bytes,
                group: spare.group,
                process,
                execution: Some(execution),
                report,
                exit: Some(exit),
                answer: Some(answer),
            }),
            Err(failure) => {
                self.ended.push((slot, spare.group));
                Err(failure)
            }
        }
    }

    /// Forks last, so that nothing can fail once there is a process.
    fn begin(
        &self,
        launch: &mut Launch,
        spare: &Spare,
        socket: &OwnedFd,
        output: &OwnedFd,
    ) -> Result<(Answer, Started), Failure> {
        let answer = self.owe(launch, socket, spare)?;
        self.start(launch, spare, output).map(|started| (answer, started))
    }

    fn owe(&self, launch: &Launch, socket: &OwnedFd, spare: &Spare) -> Result<Answer, Failure> {
        let listener = match launch.network {
            Network::Isolated => Some(spare.network.listener.try_clone().at(Step::Listen, "")?),
            Network::Host => None,
        };
        let mounts = launch.mounts.iter().map(|mount| mount.source.display().to_string()).collect::<Vec<_>>();
        Ok(Answer {
            socket: socket.try_clone().at(Step::ReadRequest, "")?,
            listener,
            gauge: spare.group.gauge_files()?.map(|(kind, files)| (kind, Vec::from(files))),
            freezer: spare.group.freezer()?,
            mounts: mounts.join(", "),
        })
    }

    fn start(&self, launch: &mut Launch, spare: &Spare, output: &OwnedFd) -> Result<Started, Failure> {
        spare.group.limit(Limits {
            memory_bytes: launch.memory_bytes,
            tmp_bytes: launch.tmp_bytes,
            cpu: launch.cpu,
            processes: launch.processes,
        })?;
        let entrance = spare.group.entrance()?;
        let memory = spare.group.memory_files(launch.memory_bytes)?;
        let (execution, execution_end) = pipe()?;
        let (report, report_end) = pipe()?;
        let isolated = launch.network == Network::Isolated;
        let flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        match sys::fork(self.ground.proof, flags, None).at(Step::CreateNamespaces, "")? {
            Forked::Child => init::run(Plan {
                proof: self.ground.proof,
                root: &self.ground.root,
                filter: &self.ground.filter,
                writes: self.ground.writes,
                users: self.ground.users,
                guest: self.ground.users.guest(spare.slot),
                proc: self.ground.proc,
                niceness: self.ground.guest_niceness,
                launch,
                user_namespace: spare.user_namespace.as_ref().map(AsFd::as_fd),
                network: isolated.then(|| spare.network.namespace.as_fd()),
                entrance: &entrance,
                memory: memory.as_ref(),
                pipes: Pipes {
                    output: output.as_fd(),
                    execution: execution_end.as_fd(),
                    report: report_end.as_fd(),
                    life: self.life.as_fd(),
                },
            }),
            Forked::Parent(process) => Ok((process, execution, report)),
        }
    }

    fn watch(&mut self, running: Running) -> Result<(), Failure> {
        let number = self.next_number;
        self.next_number += 1;
        let add = |descriptor: &OwnedFd, source: Source| {
            let data = epoll::EventData::new_u64(source.token(number));
            epoll::add(&self.epoll, descriptor, data, epoll::EventFlags::IN)
        };
        let added = running
            .execution
            .as_ref()
            .map_or(Ok(()), |execution| add(execution, Source::Execution))
            .and_then(|()| add(&running.report, Source::Report))
            .and_then(|()| add(&running.process.pidfd, Source::Process));
        self.running.insert(number, running);
        self.pending += 1;
        added.at(Step::Watch, "").inspect_err(|_| self.finish(number))
    }

    fn on_sandbox(&mut self, number: u64, source: Source) {
        match source {
            Source::Execution => self.on_execution(number),
            Source::Report => self.on_report(number),
            Source::Process => self.finish(number),
        }
    }

    /// The guest's program runs, or a step before it failed.
    fn on_execution(&mut self, number: u64) {
        let Some(running) = self.running.get_mut(&number) else { return };
        let (Some(execution), Some(mut answer)) = (running.execution.take(), running.answer.take()) else {
            return;
        };
        self.pending -= 1;
        let failure = read_failure(&execution, &answer);
        // The server may be gone, or may have given up waiting; then end of file on the control socket follows.
        match &failure {
            Some(failure) => {
                let _ = protocol::send(&answer.socket, &protocol::encode_failure(failure), &[]);
            }
            None => {
                answer.gauge = answer.gauge.take().or_else(|| main_process_gauge(&running.process));
                if send_launched(&answer, &running.process).is_err() {
                    namespace::end(&running.process);
                }
            }
        }
        if failure.is_some() {
            let _ = rustix::process::pidfd_send_signal(&running.process.pidfd, rustix::process::Signal::KILL);
        }
    }

    /// The guest's main process ended, or the first process ended without a report.
    fn on_report(&mut self, number: u64) {
        let Some(running) = self.running.get_mut(&number) else { return };
        let _ = epoll::delete(&self.epoll, &running.report);
        let mut report = [0; 64];
        let count = rustix::io::read(&running.report, &mut report).unwrap_or(0);
        let by_kernel = running.group.was_out_of_memory();
        let status = match ExitStatus::parse(&report[..count]) {
            Some(status) => Some(ExitStatus { out_of_memory: status.out_of_memory || by_kernel, ..status }),
            None if by_kernel => Some(ExitStatus {
                end: End::Signaled(libc::SIGKILL),
                out_of_memory: true,
                peak_memory_bytes: running.memory_bytes,
            }),
            None => None,
        };
        if let (Some(exit), Some(status)) = (running.exit.take(), status) {
            let _ = rustix::io::write(&exit, &status.report());
        }
    }

    /// The first process is gone, and with it every other of the sandbox.
    fn finish(&mut self, number: u64) {
        self.on_execution(number);
        self.on_report(number);
        let Some(running) = self.running.remove(&number) else { return };
        namespace::end(&running.process);
        self.ended.push((running.slot, running.group));
        self.clean_up();
    }

    /// The server is gone: nothing may stay.
    fn close(mut self) -> ExitCode {
        for running in self.running.values() {
            let _ = rustix::process::pidfd_send_signal(&running.process.pidfd, rustix::process::Signal::KILL);
        }
        for (_, running) in std::mem::take(&mut self.running) {
            namespace::end(&running.process);
            self.ended.push((running.slot, running.group));
        }
        for spare in std::mem::take(&mut self.spares) {
            self.ended.push((spare.slot, spare.group));
        }
        self.clean_up();
        self.ground.cgroups.close();
        ExitCode::SUCCESS
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).at(Step::Watch, "pipe")
}

/// Where no cgroup counts memory, the kernel still tells the peak of the main process.
fn main_process_gauge(first_process: &Child) -> Option<(GaugeKind, Vec<OwnedFd>)> {
    let pid = first_process.pid;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let main: u32 = children.split_whitespace().next()?.parse().ok()?;
    let status = std::fs::File::open(format!("/proc/{main}/status")).ok()?;
    Some((GaugeKind::Process, vec![status.into()]))
}

fn send_launched(answer: &Answer, process: &Child) -> io::Result<()> {
    let launched = Launched {
        gauge: answer.gauge.as_ref().map(|(kind, _)| *kind),
        listener: answer.listener.is_some(),
        freezer: answer.freezer.is_some(),
    };
    let mut descriptors = vec![process.pidfd.as_fd()];
    descriptors.extend(answer.gauge.iter().flat_map(|(_, files)| files).map(AsFd::as_fd));
    descriptors.extend(answer.listener.iter().chain(&answer.freezer).map(AsFd::as_fd));
    protocol::send(&answer.socket, &protocol::encode_launched(&launched), &descriptors)
}

/// A failure on the execution pipe; none at its end, which a successful `execve` brings.
fn read_failure(execution: &OwnedFd, answer: &Answer) -> Option<Failure> {
    let mut record = [0; 4096];
    let count = rustix::io::read(execution, &mut record).unwrap_or(0);
    let (head, detail) = record[..count].split_at_checked(FAILURE_LENGTH)?;
    let mut detail = String::from_utf8_lossy(detail).into_owned();
    let step = Step::from_code(head[0])?;
    if detail.is_empty() && step == Step::Mount {
        detail.clone_from(&answer.mounts);
    }
    Some(Failure { step, errno: i32::from_le_bytes(head[1..].try_into().ok()?), detail })
}
