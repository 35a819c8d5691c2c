//! The first process of a sandbox: builds the isolation around itself, forks the guest that will be the main program, then
//! reaps, reports ends and watches memory. When it ends, the kernel ends everything in the sandbox.
//!
//! It runs as a fork of the helper, so it closes what is not its sandbox's, and has no capability once a program of a
//! tenant can be there. It never speaks with a guest: with the helper it has one socket, over which it says that the
//! sandbox stands, that a guest has ended or that memory is used up, and is told the limit and whose end is of interest.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::LinkNameSpaceType;

use crate::census::Census;
use crate::cgroup::MemoryFiles;
use crate::error::{At, Failure, Step};
use crate::guest::{self, Entry, change_user, drop_capabilities};
use crate::namespace::{GUEST_GROUP, GUEST_USER, Users};
use crate::protocol::{self, Duty, Order};
use crate::root::{self, Base, Root};
use crate::sandbox::End;
use crate::sys::{self, Child, Forked, SingleThread};
use crate::watch::{Source, Watch};

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
        let open = |path: &str| File::open(path).map(OwnedFd::from).at(Step::CreateNamespaces, path);
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
        Ok(Prepared { namespaces, guest, children, memory }) => {
            let [mounts, processes, messages, host_name] = namespaces.descriptors();
            let descriptors = [mounts, processes, messages, host_name, guest.pidfd.as_fd()];
            let ready = protocol::send(plan.duty, &Duty::Ready.encode(), &descriptors);
            if ready.is_ok() {
                watch(plan, &children, guest.pid, memory.as_ref());
            }
        }
        Err(failure) => {
            let _ = protocol::send(plan.duty, &Duty::Failed(failure).encode(), &[]);
        }
    }
    sys::exit(1)
}

struct Prepared<'a> {
    namespaces: Namespaces,
    guest: Child,
    children: OwnedFd,
    memory: Option<Source<'a>>,
}

fn prepare<'a>(plan: &'a Plan<'_>) -> Result<Prepared<'a>, Failure> {
    let (namespaces, memory) = isolate(plan)?;
    let children = sys::child_signals().at(Step::ResetSignals, "")?;
    let cgroup = plan.guest.entrance.directory.as_ref().map(AsFd::as_fd);
    match sys::fork(plan.proof, 0, cgroup).at(Step::Fork, "")? {
        Forked::Child => guest::run(&plan.guest),
        Forked::Parent(guest) => {
            give_up_everything(plan, matches!(memory, Some(Source::Processes(_))))?;
            Ok(Prepared { namespaces, guest, children, memory })
        }
    }
}

/// Has this process, and those that it starts, be taken first when the host runs out of memory. Hosts may forbid it.
pub(crate) fn offer_to_the_host() {
    let _ = std::fs::write("/proc/self/oom_score_adj", HOST_OOM_SCORE);
}

fn isolate<'a>(plan: &'a Plan<'_>) -> Result<(Namespaces, Option<Source<'a>>), Failure> {
    sys::close_all_but(&needed(plan)).at(Step::CloseDescriptors, "")?;
    offer_to_the_host();
    let namespaces = Namespaces::own()?;
    if let Some(network) = plan.network {
        rustix::thread::move_into_link_name_space(network, Some(LinkNameSpaceType::Network))
            .at(Step::EnterNetwork, "")?;
    }
    rustix::system::sethostname(HOST_NAME).at(Step::SetHostName, "")?;
    let counts = plan.memory.is_none() && plan.base.proc;
    let proc = counts.then(Census::proc).flatten();
    root::enter(plan.root, &plan.base)?;
    // The `/proc` of guests hides those of them that let nobody look, and shows all others.
    let proc = proc.or_else(|| counts.then(|| File::open("/proc").ok()).flatten().map(OwnedFd::from));
    let memory = plan.memory.map(Source::Cgroup).or_else(|| proc.map(Source::Processes));
    Ok((namespaces, memory))
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

/// From here on it needs nothing but to wait: no privilege and no descriptor. Where it counts what guests hold, it is the
/// guest's user to files, which is whom the kernel tells.
fn give_up_everything(plan: &Plan<'_>, counts: bool) -> Result<(), Failure> {
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
    if counts {
        match user_namespace {
            Some(_) => sys::be_to_files(GUEST_USER, GUEST_GROUP),
            None => sys::be_to_files(plan.guest.user, plan.guest.user),
        }
    }
    drop_capabilities()?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .at(Step::DropCapabilities, "dumpable")?;
    // Only now: a change of user clears it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at(Step::WatchHelper, "")
}

fn watch(plan: &Plan<'_>, children: &OwnedFd, guest: i32, source: Option<&Source<'_>>) -> ! {
    let mut keep = vec![plan.duty.as_raw_fd(), children.as_raw_fd()];
    keep.extend(
        source.iter().flat_map(|source| source.descriptors()).map(|descriptor| descriptor.as_raw_fd()),
    );
    let _ = sys::close_all_but(&keep);
    let mut of_interest = vec![guest];
    let mut memory: Option<Watch<'_>> = None;
    loop {
        let others = reap(plan, &mut of_interest);
        while let Some(order) = pending_order(plan) {
            match order {
                Order::Limit(limit) => {
                    memory = source.and_then(|source| Watch::new(source, limit));
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

/// Judges memory, and ends the sandbox if it is used up.
fn look_at_memory(plan: &Plan<'_>, memory: Option<&mut Watch<'_>>) {
    if memory.is_some_and(Watch::look) {
        let _ = protocol::send(plan.duty, &Duty::OutOfMemory.encode(), &[]);
        sys::exit(0);
    }
}

/// Blocks until a child has ended, there is an order of the helper, or memory is worth a look; answers whether that is so.
fn wait_for_news(plan: &Plan<'_>, children: &OwnedFd, memory: Option<&mut Watch<'_>>) -> bool {
    let mut descriptors =
        vec![PollFd::new(children, PollFlags::IN), PollFd::from_borrowed_fd(plan.duty, PollFlags::IN)];
    descriptors.extend(memory.as_ref().and_then(|memory| memory.signal()));
    // A time to come, not a time from now: a guest can have this awake at any time.
    let deadline = memory.as_ref().and_then(|memory| memory.deadline());
    let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
    let _ = rustix::event::poll(&mut descriptors, rest.as_ref());
    let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
    let is_ready = |place: usize| descriptors.get(place).is_some_and(|polled| !polled.revents().is_empty());
    let (is_of_child, is_signalled) = (is_ready(0), is_ready(2));
    let mut discarded = [0; 1024];
    let _ = rustix::io::read(children, &mut discarded);
    let is_told = memory.is_some_and(|memory| memory.hear(is_signalled, is_of_child));
    is_over || is_told
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
