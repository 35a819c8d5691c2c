//! The first process of a sandbox: builds the isolation around itself, forks the guest that will be the main program, then
//! reaps, reports ends and watches memory. When it ends, the kernel ends everything in the sandbox.
//!
//! It runs as a fork of the helper, so it closes what is not its sandbox's, and has no capability once a program of a
//! tenant can be there. It never speaks with a guest: with the helper it has one socket, over which it says that the
//! sandbox stands, that a guest has ended or that memory is used up, and is told the limit and whose end is of interest.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::net::RecvFlags;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::LinkNameSpaceType;

use crate::cgroup::MemoryFiles;
use crate::error::{At, Failure, Step};
use crate::guest::{self, Entry, change_user, drop_capabilities};
use crate::memory::{self, Levels, Reading, Verdict};
use crate::namespace::{GUEST_GROUP, GUEST_USER, Users};
use crate::protocol::{self, Duty, Order};
use crate::root::{self, Base, Root};
use crate::sandbox::{End, GaugeKind};
use crate::sys::{self, Child, Forked, SingleThread};

const HOST_NAME: &[u8] = b"sandbox.localdomain";
/// When the host itself runs out of memory, its kernel shall take guests before anything else of firelet.
const HOST_OOM_SCORE: &str = "500";

/// Everything that a first process needs, prepared by the helper.
pub(crate) struct Plan<'a> {
    pub(crate) proof: SingleThread,
    pub(crate) root: &'a Root,
    pub(crate) base: Base<'a>,
    pub(crate) users: Users,
    /// None stays in the host's.
    pub(crate) network: Option<BorrowedFd<'a>>,
    pub(crate) guest: Entry<'a>,
    pub(crate) memory: Option<&'a MemoryFiles>,
    /// The socket that it shares with the helper. Its end is the end of the sandbox.
    pub(crate) duty: BorrowedFd<'a>,
}

/// The namespaces of a sandbox, for those who enter it; all but users and network.
#[derive(Debug)]
pub(crate) struct Namespaces {
    pub(crate) mounts: OwnedFd,
    pub(crate) processes: OwnedFd,
    pub(crate) messages: OwnedFd,
    pub(crate) host_name: OwnedFd,
}

impl Namespaces {
    const FILES: [&str; 4] =
        ["/proc/self/ns/mnt", "/proc/self/ns/pid", "/proc/self/ns/ipc", "/proc/self/ns/uts"];

    /// Those of this process.
    pub(crate) fn own() -> Result<Self, Failure> {
        let open = |path: &str| std::fs::File::open(path).map(OwnedFd::from).at(Step::CreateNamespaces, path);
        let [mounts, processes, messages, host_name] = Self::FILES;
        Ok(Self {
            mounts: open(mounts)?,
            processes: open(processes)?,
            messages: open(messages)?,
            host_name: open(host_name)?,
        })
    }

    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 4] {
        [self.mounts.as_fd(), self.processes.as_fd(), self.messages.as_fd(), self.host_name.as_fd()]
    }

    /// Takes them as they come over a socket, in the order of [`descriptors`](Self::descriptors).
    pub(crate) fn received(descriptors: Vec<OwnedFd>) -> Option<Self> {
        let [mounts, processes, messages, host_name] = descriptors.try_into().ok()?;
        Some(Self { mounts, processes, messages, host_name })
    }
}

/// Runs the first process to its end.
pub(crate) fn run(plan: &Plan<'_>) -> ! {
    match prepare(plan) {
        Ok((namespaces, guest, children)) => {
            let [mounts, processes, messages, host_name] = namespaces.descriptors();
            let descriptors = [mounts, processes, messages, host_name, guest.pidfd.as_fd()];
            let ready = protocol::send(plan.duty, &Duty::Ready.encode(), &descriptors);
            if ready.is_ok() {
                watch(plan, &children, guest.pid);
            }
        }
        Err(failure) => {
            let _ = protocol::send(plan.duty, &Duty::Failed(failure).encode(), &[]);
        }
    }
    sys::exit(1)
}

fn prepare(plan: &Plan<'_>) -> Result<(Namespaces, Child, OwnedFd), Failure> {
    let namespaces = isolate(plan)?;
    let children = sys::child_signals().at(Step::ResetSignals, "")?;
    let cgroup = plan.guest.entrance.directory.as_ref().map(AsFd::as_fd);
    match sys::fork(plan.proof, 0, cgroup).at(Step::Fork, "")? {
        Forked::Child => guest::run(&plan.guest),
        Forked::Parent(guest) => {
            give_up_everything(plan)?;
            Ok((namespaces, guest, children))
        }
    }
}

/// Has this process, and those that it starts, be taken first when the host runs out of memory. Hosts may forbid it.
pub(crate) fn offer_to_the_host() {
    let _ = std::fs::write("/proc/self/oom_score_adj", HOST_OOM_SCORE);
}

fn isolate(plan: &Plan<'_>) -> Result<Namespaces, Failure> {
    sys::close_all_but(&needed(plan)).at(Step::CloseDescriptors, "")?;
    offer_to_the_host();
    let namespaces = Namespaces::own()?;
    if let Some(network) = plan.network {
        rustix::thread::move_into_link_name_space(network, Some(LinkNameSpaceType::Network))
            .at(Step::EnterNetwork, "")?;
    }
    rustix::system::sethostname(HOST_NAME).at(Step::SetHostName, "")?;
    root::enter(plan.root, &plan.base)?;
    Ok(namespaces)
}

fn needed(plan: &Plan<'_>) -> Vec<i32> {
    let mut keep = plan.guest.descriptors();
    keep.push(plan.duty);
    keep.extend(plan.network);
    keep.extend(plan.root.owners());
    keep.extend(plan.base.tmp.descriptor());
    if let Some(memory) = plan.memory {
        keep.extend(memory.descriptors());
    }
    keep.iter().map(AsRawFd::as_raw_fd).collect()
}

/// From here on it needs nothing but to wait: no privilege and no descriptor.
fn give_up_everything(plan: &Plan<'_>) -> Result<(), Failure> {
    let user_namespace = plan.guest.user_namespace;
    if let Some(namespace) = user_namespace {
        rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::User))
            .at(Step::EnterUserNamespace, "")?;
    }
    match plan.users {
        Users::Range { first, .. } if user_namespace.is_none() => change_user(first, first)?,
        Users::Range { .. } => change_user(0, 0)?,
        Users::Own => change_user(GUEST_USER, GUEST_GROUP)?,
    }
    drop_capabilities()?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .at(Step::DropCapabilities, "dumpable")?;
    // Only now: a change of user clears it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at(Step::WatchHelper, "")
}

/// The memory of the sandbox, with what signals that it should be looked at.
struct MemoryWatch<'a> {
    files: &'a MemoryFiles,
    limit: u64,
    tmp: Option<OwnedFd>,
    /// What tells that usage leaves these levels; none before they are asked for, or when that failed.
    asked: Option<(Levels, OwnedFd)>,
    /// How long to wait before a look that nothing signals, and when that is over; none waits for a signal.
    patience: Option<(Duration, Instant)>,
    last: Option<Reading>,
}

fn watch(plan: &Plan<'_>, children: &OwnedFd, guest: i32) -> ! {
    let mut keep = vec![plan.duty.as_raw_fd(), children.as_raw_fd()];
    keep.extend(
        plan.memory.iter().flat_map(|memory| memory.descriptors()).map(|descriptor| descriptor.as_raw_fd()),
    );
    let _ = sys::close_all_but(&keep);
    let mut of_interest = vec![guest];
    let mut memory: Option<MemoryWatch<'_>> = None;
    loop {
        let others = reap(plan, &mut of_interest);
        while let Some(order) = pending_order(plan) {
            match order {
                Order::Limit(limit) => {
                    memory = plan.memory.map(|files| MemoryWatch::new(files, limit));
                    look_at_memory(plan, memory.as_mut());
                }
                Order::Report(process) => begin_to_report(plan, process, &others, &mut of_interest),
            }
        }
        if wait_for_news(plan, children, memory.as_mut()) {
            look_at_memory(plan, memory.as_mut());
        }
    }
}

/// A program runs only after its end was said to be of interest: if it has ended already, it is among the `others` that
/// were taken just now.
fn begin_to_report(plan: &Plan<'_>, process: i32, others: &[(i32, End)], of_interest: &mut Vec<i32>) {
    if let Some((_, end)) = others.iter().find(|(other, _)| *other == process) {
        tell_end(plan, process, *end);
    } else if exists(process) {
        of_interest.push(process);
    } else {
        // It never became a program, and nobody knows any more how it ended.
        tell_end(plan, process, End::Signaled(libc::SIGKILL));
    }
}

/// Takes every child that has ended, and tells of those that are of interest; answers the others.
fn reap(plan: &Plan<'_>, of_interest: &mut Vec<i32>) -> Vec<(i32, End)> {
    let mut others = Vec::new();
    while let Ok(Some((process, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        let process = process.as_raw_nonzero().get();
        match of_interest.iter().position(|candidate| *candidate == process) {
            Some(place) => {
                of_interest.swap_remove(place);
                tell_end(plan, process, end_of(status));
            }
            None => others.push((process, end_of(status))),
        }
    }
    others
}

fn end_of(status: WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => End::Exited(code),
        (None, Some(signal)) => End::Signaled(signal),
        (None, None) => End::Signaled(libc::SIGKILL),
    }
}

/// Whether there is such a process, dead or alive. It becomes a child, if it is none yet, when whoever forked it ends.
fn exists(process: i32) -> bool {
    let process = Pid::from_raw(process);
    process.is_some_and(|process| rustix::process::test_kill_process(process) != Err(rustix::io::Errno::SRCH))
}

fn tell_end(plan: &Plan<'_>, process: i32, end: End) {
    // A helper that is gone takes the sandbox along.
    let _ = protocol::send(plan.duty, &Duty::Ended { process, end }.encode(), &[]);
}

/// Blocks until a child has ended, there is an order of the helper, or memory is worth a look; answers whether that is so.
fn wait_for_news(plan: &Plan<'_>, children: &OwnedFd, memory: Option<&mut MemoryWatch<'_>>) -> bool {
    let mut descriptors =
        vec![PollFd::new(children, PollFlags::IN), PollFd::from_borrowed_fd(plan.duty, PollFlags::IN)];
    descriptors.extend(memory.as_ref().and_then(|memory| memory.signal()));
    // A time to come, not a time from now: a guest can have this awake at any time.
    let deadline = memory.as_ref().and_then(|memory| memory.patience).map(|(_, deadline)| deadline);
    let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
    let _ = rustix::event::poll(&mut descriptors, rest.as_ref());
    let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
    let is_signalled = descriptors.get(2).is_some_and(|polled| !polled.revents().is_empty());
    let mut discarded = [0; 1024];
    let _ = rustix::io::read(children, &mut discarded);
    if let Some(memory) = memory.filter(|_| is_signalled) {
        memory.asked = None;
    }
    is_over || is_signalled
}

/// The next order, if there is one. Ends when the helper is gone, or has the sandbox end.
fn pending_order(plan: &Plan<'_>) -> Option<Order> {
    let mut message = [0; 16];
    match protocol::receive(plan.duty, &mut message, RecvFlags::DONTWAIT) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Ok(Some((length, _))) => match Order::decode(&message[..length]) {
            Some(order) => Some(order),
            None => sys::exit(1),
        },
        Ok(None) | Err(_) => sys::exit(0),
    }
}

impl<'a> MemoryWatch<'a> {
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
        self.tmp.as_ref().and_then(|tmp| rustix::fs::fstatfs(tmp).ok()).map_or(0, |tmp| {
            let blocks = tmp.f_blocks.saturating_sub(tmp.f_bfree);
            blocks.saturating_mul(u64::try_from(tmp.f_bsize).unwrap_or(0))
        })
    }
}

/// Judges memory, ends the sandbox if it is used up, and sees to the next look.
fn look_at_memory(plan: &Plan<'_>, memory: Option<&mut MemoryWatch<'_>>) {
    let Some(memory) = memory else { return };
    let reading = memory.read();
    let is_changed = reading.is_none() || reading != memory.last;
    memory.last = reading;
    let levels = memory.asked.as_ref().map(|(levels, _)| *levels);
    let patience = memory::patience(memory.patience.map(|(patience, _)| patience), is_changed);
    let patience = match reading.map(|reading| memory::judge(memory.limit, reading, levels)) {
        Some(Verdict::OutOfMemory) => {
            let _ = protocol::send(plan.duty, &Duty::OutOfMemory.encode(), &[]);
            sys::exit(0);
        }
        Some(Verdict::Ask(levels)) => {
            memory.asked = ask(memory.files, levels).ok().map(|signal| (levels, signal));
            Some(if memory.asked.is_some() { Duration::ZERO } else { patience })
        }
        Some(Verdict::Wait { now_and_then }) => now_and_then.then_some(patience),
        None => Some(patience),
    };
    memory.patience = patience.map(|patience| (patience, Instant::now() + patience));
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
