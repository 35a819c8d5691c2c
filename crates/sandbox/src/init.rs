//! The first process of a sandbox: builds the isolation around itself, starts the guest, then reaps, watches memory and
//! reports the guest's end. When it ends, the kernel ends everything in the sandbox.
//!
//! It runs as a fork of the helper, so it closes and wipes what is not its sandbox's before the guest starts, and has no
//! capability while the guest runs. It never speaks with the guest.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, LinkNameSpaceType, Uid, UnshareFlags};

use crate::cgroup::{Entrance, MemoryFiles};
use crate::error::{At, Failure, Step};
use crate::landlock::Writes;
use crate::limits;
use crate::memory::{self, Levels, Reading, Verdict};
use crate::namespace::{GUEST_GROUP, GUEST_USER, Users};
use crate::protocol::Launch;
use crate::root::{self, Additions, Root};
use crate::sandbox::{End, ExitStatus, GaugeKind, estimate_peak};
use crate::seccomp::Filter;
use crate::spec::Network;
use crate::sys::{self, Forked, SingleThread};

const HOST_NAME: &[u8] = b"sandbox.localdomain";
/// When the host itself runs out of memory, its kernel shall take guests before anything else of firelet.
const HOST_OOM_SCORE: &str = "500";
const LAST_CAPABILITY: u32 = 40;
/// Time between two looks at memory where nothing signals what they look for.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Everything that a sandbox needs, prepared by the helper.
pub(crate) struct Plan<'a> {
    pub(crate) proof: SingleThread,
    pub(crate) root: &'a Root,
    pub(crate) filter: &'a Filter,
    pub(crate) writes: Option<Writes>,
    pub(crate) users: Users,
    pub(crate) guest: u32,
    pub(crate) proc: bool,
    pub(crate) niceness: i32,
    pub(crate) launch: &'a mut Launch,
    pub(crate) user_namespace: Option<BorrowedFd<'a>>,
    pub(crate) network: Option<BorrowedFd<'a>>,
    pub(crate) entrance: &'a Entrance,
    pub(crate) memory: Option<&'a MemoryFiles>,
    pub(crate) pipes: Pipes<'a>,
}

/// The ends that the first process keeps.
pub(crate) struct Pipes<'a> {
    /// Standard output and error of the guest.
    pub(crate) output: BorrowedFd<'a>,
    /// Takes a failure; closed by a successful `execve`.
    pub(crate) execution: BorrowedFd<'a>,
    /// Takes the exit report.
    pub(crate) report: BorrowedFd<'a>,
    /// Reads end of file when the helper is gone.
    pub(crate) life: BorrowedFd<'a>,
}

/// The length of a failure on the execution pipe: step, and errno.
pub(crate) const FAILURE_LENGTH: usize = 5;

/// Runs the first process to its end.
pub(crate) fn run(mut plan: Plan<'_>) -> ! {
    let failure = match isolate(&plan).and_then(|()| start_guest(&plan)) {
        Ok((guest, children)) => match give_up_everything(&mut plan) {
            Ok(()) => watch(&plan, guest, &children),
            Err(failure) => failure,
        },
        Err(failure) => failure,
    };
    report_failure(&plan, &failure)
}

fn report_failure(plan: &Plan<'_>, failure: &Failure) -> ! {
    let [a, b, c, d] = failure.errno.to_le_bytes();
    let mut record = vec![failure.step.code(), a, b, c, d];
    record.extend_from_slice(failure.detail.as_bytes());
    let _ = rustix::io::write(plan.pipes.execution, &record);
    sys::exit(1)
}

fn isolate(plan: &Plan<'_>) -> Result<(), Failure> {
    sys::close_all_but(&needed(plan)).at(Step::CloseDescriptors, "")?;
    let _ = std::fs::write("/proc/self/oom_score_adj", HOST_OOM_SCORE);
    if let Some(network) = plan.network {
        rustix::thread::move_into_link_name_space(network, Some(LinkNameSpaceType::Network))
            .at(Step::EnterNetwork, "")?;
    }
    rustix::system::sethostname(HOST_NAME).at(Step::SetHostName, "")?;
    let additions = Additions {
        mounts: &plan.launch.mounts,
        tmp_bytes: plan.launch.tmp_bytes,
        owner: plan.users.owner(),
        host_network: plan.launch.network == Network::Host,
        proc: plan.proc,
    };
    root::enter(plan.root, &additions)
}

fn needed(plan: &Plan<'_>) -> Vec<i32> {
    let pipes = &plan.pipes;
    let mut keep = vec![pipes.output, pipes.execution, pipes.report, pipes.life];
    keep.extend(plan.user_namespace);
    keep.extend(plan.network);
    keep.extend(plan.root.owners());
    keep.extend(plan.entrance.files.iter().map(AsFd::as_fd));
    keep.extend(plan.entrance.directory.iter().map(AsFd::as_fd));
    if let Some(memory) = plan.memory {
        keep.extend(memory.descriptors());
    }
    keep.iter().map(AsRawFd::as_raw_fd).collect()
}

fn start_guest(plan: &Plan<'_>) -> Result<(Pid, OwnedFd), Failure> {
    let children = sys::child_signals().at(Step::ResetSignals, "")?;
    let cgroup = plan.entrance.directory.as_ref().map(AsFd::as_fd);
    match sys::fork(plan.proof, 0, cgroup).at(Step::Fork, "")? {
        Forked::Child => {
            let failure = become_guest(plan).map_or_else(|failure| failure, |never| match never {});
            report_failure(plan, &failure)
        }
        Forked::Parent(child) => {
            let guest = Pid::from_raw(child.pid).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH));
            Ok((guest.at(Step::Fork, "")?, children))
        }
    }
}

/// Never returns well: the guest's program takes over.
fn become_guest(plan: &Plan<'_>) -> Result<std::convert::Infallible, Failure> {
    for tasks in &plan.entrance.files {
        rustix::io::write(tasks, b"0").at(Step::JoinCgroup, "")?;
    }
    sys::unshare(UnshareFlags::NEWCGROUP).at(Step::CreateCgroupNamespace, "")?;
    rustix::process::setsid().at(Step::StartSession, "")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    sys::redirect(plan.pipes.output, 1).at(Step::Redirect, "")?;
    sys::redirect(plan.pipes.output, 2).at(Step::Redirect, "")?;
    enter_user_namespace(plan)?;
    limits::apply(plan.launch.processes)?;
    limits::stop_haste(plan.niceness)?;
    drop_bounding_set()?;
    let (user, group) =
        if plan.user_namespace.is_some() { (GUEST_USER, GUEST_GROUP) } else { (plan.guest, plan.guest) };
    change_user(user, group)?;
    drop_capabilities()?;
    let directory = &plan.launch.working_directory;
    rustix::process::chdir(directory).at(Step::EnterDirectory, &directory.to_string_lossy())?;
    sys::close_on_execute().at(Step::CloseDescriptors, "")?;
    sys::ignore_broken_pipes(false);
    sys::let_all_signals_in().at(Step::ResetSignals, "")?;
    plan.writes.map_or(Ok(()), Writes::restrict)?;
    plan.filter.install()?;
    execute(&plan.launch.arguments, &plan.launch.environment)
}

fn execute(arguments: &[CString], environment: &[CString]) -> Result<std::convert::Infallible, Failure> {
    let missing = || Failure { step: Step::Execute, errno: libc::EINVAL, detail: String::new() };
    let program = arguments.first().ok_or_else(missing)?;
    let error = sys::execute(program, arguments, environment);
    Err(Failure::new(Step::Execute, program.to_string_lossy(), &error))
}

fn enter_user_namespace(plan: &Plan<'_>) -> Result<(), Failure> {
    plan.user_namespace.map_or(Ok(()), |namespace| {
        rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::User))
            .at(Step::EnterUserNamespace, "")
    })
}

fn change_user(user: u32, group: u32) -> Result<(), Failure> {
    let group = Gid::from_raw(group);
    rustix::thread::set_thread_res_gid(group, group, group).at(Step::ChangeUser, "group")?;
    let user = Uid::from_raw(user);
    rustix::thread::set_thread_res_uid(user, user, user).at(Step::ChangeUser, "user")
}

fn drop_bounding_set() -> Result<(), Failure> {
    for capability in 0..=LAST_CAPABILITY {
        let capability = CapabilitySet::from_bits_retain(1 << capability);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A kernel older than the capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).at(Step::DropCapabilities, "bounding set"),
        }
    }
    Ok(())
}

fn drop_capabilities() -> Result<(), Failure> {
    let none = CapabilitySet::empty();
    rustix::thread::clear_ambient_capability_set().at(Step::DropCapabilities, "ambient set")?;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )
    .at(Step::DropCapabilities, "")?;
    rustix::thread::set_no_new_privs(true).at(Step::ForbidPrivileges, "")
}

/// After the fork of the guest the first process needs nothing but to wait: no secret, no privilege, no descriptor.
fn give_up_everything(plan: &mut Plan<'_>) -> Result<(), Failure> {
    plan.launch.wipe();
    enter_user_namespace(plan)?;
    match plan.users {
        Users::Range { first, .. } if plan.user_namespace.is_none() => change_user(first, first)?,
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
    tmp: Option<OwnedFd>,
    signal: Option<OwnedFd>,
    /// When to look although nothing is signalled.
    patience: Option<Timespec>,
}

fn watch(plan: &Plan<'_>, guest: Pid, children: &OwnedFd) -> ! {
    let mut keep = vec![plan.pipes.report.as_raw_fd(), plan.pipes.life.as_raw_fd(), children.as_raw_fd()];
    keep.extend(
        plan.memory.iter().flat_map(|memory| memory.descriptors()).map(|descriptor| descriptor.as_raw_fd()),
    );
    let tmp = rustix::fs::open(c"/tmp", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
    keep.extend(tmp.as_ref().map(AsRawFd::as_raw_fd));
    let _ = sys::close_all_but(&keep);
    let mut memory = plan.memory.map(|files| MemoryWatch { files, tmp, signal: None, patience: None });
    look_at_memory(plan, memory.as_mut());
    loop {
        reap(plan, guest);
        if wait_for_news(plan, children, memory.as_ref()) {
            look_at_memory(plan, memory.as_mut());
        }
    }
}

/// Blocks until a child ended, the helper is gone (then ends), or memory is worth a look (then answers true).
fn wait_for_news(plan: &Plan<'_>, children: &OwnedFd, memory: Option<&MemoryWatch<'_>>) -> bool {
    let mut descriptors =
        vec![PollFd::new(children, PollFlags::IN), PollFd::from_borrowed_fd(plan.pipes.life, PollFlags::IN)];
    if let Some((files, signal)) = memory.and_then(|memory| Some((memory.files, memory.signal.as_ref()?))) {
        let wanted = if files.kind == GaugeKind::V1 { PollFlags::IN } else { PollFlags::PRI };
        descriptors.push(PollFd::new(signal, wanted));
    }
    let patience = memory.and_then(|memory| memory.patience.as_ref());
    let is_over = rustix::event::poll(&mut descriptors, patience) == Ok(0);
    let is_ready = |place: usize| descriptors.get(place).is_some_and(|polled| !polled.revents().is_empty());
    if is_ready(1) {
        sys::exit(0);
    }
    let mut discarded = [0; 1024];
    let _ = rustix::io::read(children, &mut discarded);
    is_over || is_ready(2)
}

/// Takes every child that ended; when the guest's main process is among them, reports it and ends.
fn reap(plan: &Plan<'_>, guest: Pid) {
    while let Ok(Some((process, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if process == guest {
            report(plan, end_of(status), false);
        }
    }
}

fn end_of(status: WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => End::Exited(code),
        (None, Some(signal)) => End::Signaled(signal),
        (None, None) => End::Signaled(libc::SIGKILL),
    }
}

fn report(plan: &Plan<'_>, end: End, out_of_memory: bool) -> ! {
    let peak_memory_bytes = plan.memory.map_or(0, peak);
    let status = ExitStatus { end, out_of_memory, peak_memory_bytes };
    let _ = rustix::io::write(plan.pipes.report, &status.report());
    sys::exit(0)
}

/// Reckoned while `/tmp` is still there: its files go with this process.
fn peak(files: &MemoryFiles) -> u64 {
    let counts = crate::cgroup::read_number(&files.peak).zip(crate::cgroup::read_number(&files.current));
    let cached = crate::cgroup::cached_bytes(files.kind, &files.statistics).unwrap_or(0);
    counts.map_or(0, |(peak, current)| estimate_peak(peak, current, cached)).min(files.limit)
}

/// Judges memory, ends the sandbox if it is used up, and asks the kernel for the next wake-up. Asking takes the kernel
/// milliseconds, so usage may be past the level by then, which nothing would signal: look until it is not.
fn look_at_memory(plan: &Plan<'_>, memory: Option<&mut MemoryWatch<'_>>) {
    let Some(memory) = memory else { return };
    while let Some(reading) = read_memory(memory.files, memory.tmp.as_ref()) {
        let Verdict::LookAgain(levels) = memory::judge(memory.files.limit, reading) else {
            report(plan, End::Signaled(libc::SIGKILL), true);
        };
        memory.signal = ask(memory.files, levels).ok();
        memory.patience = patience(memory.files.kind, levels);
        if crate::cgroup::read_number(&memory.files.current).is_none_or(|usage| levels.contain(usage)) {
            break;
        }
    }
}

fn read_memory(files: &MemoryFiles, tmp: Option<&OwnedFd>) -> Option<Reading> {
    let (cached, shared) = crate::cgroup::read_statistics(files.kind, files.statistics.as_fd())?;
    let usage = crate::cgroup::read_number(&files.current)?;
    let tmp = tmp.and_then(|tmp| rustix::fs::fstatfs(tmp).ok()).map_or(0, |tmp| {
        let blocks = tmp.f_blocks.saturating_sub(tmp.f_bfree);
        blocks.saturating_mul(u64::try_from(tmp.f_bsize).unwrap_or(0))
    });
    Some(Reading { usage, files: cached, shared, tmp })
}

/// Version 2 signals no fall of usage, so where one matters it is looked for.
fn patience(kind: GaugeKind, levels: Levels) -> Option<Timespec> {
    (kind == GaugeKind::V2 && levels.below.is_some()).then_some(PATIENCE)
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
