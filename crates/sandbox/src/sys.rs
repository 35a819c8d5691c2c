//! Thin safe wrappers of the system calls that neither `std` nor `rustix` offers safely. All `unsafe` code is here.
//!
//! Every caller is the single-threaded helper, or a process forked from it; [`fork`] refuses to run otherwise.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::thread::UnshareFlags;

use crate::seccomp::Instruction;

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
const MOUNT_ATTR_READ_ONLY: u64 = 0x1;
const MOUNT_ATTR_NO_SETUID: u64 = 0x2;
const MOUNT_ATTR_NO_DEVICES: u64 = 0x4;
const MOUNT_ATTR_NO_EXECUTION: u64 = 0x8;

/// The C structure `sock_fprog`.
#[repr(C)]
struct FilterProgram {
    length: libc::c_ushort,
    filter: *const Instruction,
}

/// The highest signal of the kernel.
const LAST_SIGNAL: i32 = 64;

/// The kernel's `sigaction`; architectures without a restorer have the mask in its place, which is zero too.
#[repr(C)]
struct SignalAction {
    disposition: libc::sighandler_t,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// `IFF_UP | IFF_RUNNING`, in the width that `ifreq` has.
const UP_AND_RUNNING: libc::c_short = 0x41;

/// Which side of a [`fork`] this is.
pub(crate) enum Forked {
    Child,
    Parent(Child),
}

/// A process made by [`fork`].
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// The C structure `clone_args`.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The C structure `mount_attr`.
#[repr(C, align(8))]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// The C structure `ifreq` as far as `SIOCSIFFLAGS` reads it.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; 16],
    flags: libc::c_short,
    padding: [u8; 22],
}

/// Proof that this process has one thread, which [`fork`] needs: its child could find a lock taken for ever.
///
/// The helper proves it once, before anything else; this crate starts no thread in the helper or in its children.
#[derive(Clone, Copy)]
pub(crate) struct SingleThread(());

impl SingleThread {
    pub(crate) fn prove() -> io::Result<Self> {
        let threads = std::fs::read_dir("/proc/self/task")?.count();
        if threads == 1 { Ok(Self(())) } else { Err(io::Error::from_raw_os_error(libc::EBUSY)) }
    }
}

/// Forks like `fork`, with `clone` flags on top and, on cgroup v2, straight into `cgroup`.
pub(crate) fn fork(_proof: SingleThread, flags: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    let into = cgroup.map_or(0, |_| CLONE_INTO_CGROUP);
    let arguments = CloneArguments {
        flags: u64::from((flags | libc::CLONE_PIDFD).cast_unsigned()) | into,
        pidfd: (&raw mut pidfd).addr() as u64,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        cgroup: cgroup.map_or(0, |descriptor| u64::from(descriptor.as_raw_fd().cast_unsigned())),
        ..CloneArguments::default()
    };
    // SAFETY: `arguments` and `pidfd` outlive the call and have the layout that the kernel reads and writes; without
    // CLONE_VM and a stack of its own the child runs on a copy of this memory, like after fork; there is no other
    // thread (`_proof`), so that no lock is held by a thread that the child lacks.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>()) };
    match i32::try_from(result) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) if pid > 0 => Ok(Forked::Parent(Child { pid, pidfd: own(pidfd) })),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes over a descriptor that a system call has just returned.
fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the caller got `descriptor` from the kernel a moment ago and gives it to nobody else.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Opens by number a descriptor that a child sharing this descriptor table has left behind.
pub(crate) fn adopt(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads no memory of ours and changes nothing.
    let result = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
    check(result)?;
    Ok(own(descriptor))
}

/// Leaves the process at once, without destructors: what a forked child has to do.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes no pointer and does not return.
    unsafe { libc::_exit(code) }
}

/// Enters new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: unsafe only with FILES, which no caller gives: descriptors stay visible to the one thread there is.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Replaces the program. Returns only on failure.
pub(crate) fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: `program` ends with NUL; both arrays end with a null pointer and hold pointers to strings that end with
    // NUL and are borrowed by the caller for the whole call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Closes every descriptor above standard error but `keep`.
pub(crate) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|raw| u32::try_from(*raw).ok()).collect();
    keep.sort_unstable();
    let mut first = 3;
    for descriptor in keep {
        if descriptor > first {
            close_range(first, descriptor - 1, 0)?;
        }
        first = first.max(descriptor + 1);
    }
    close_range(first, u32::MAX, 0)
}

/// Marks every descriptor above standard error to be closed by `execve`.
pub(crate) fn close_on_execute() -> io::Result<()> {
    close_range(3, u32::MAX, CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: takes numbers only. Owners of the closed descriptors are values that the calling child never drops or
    // uses again, since it ends by `exit` or `execute`.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    check_long(result)
}

/// Puts `descriptor` in the place of standard input, output or error (0, 1, 2), kept over `execve`.
pub(crate) fn redirect(descriptor: impl AsFd, number: RawFd) -> io::Result<()> {
    debug_assert!((0..=2).contains(&number));
    // SAFETY: takes numbers only; 0, 1 and 2 are owned by no value of this crate.
    let result = unsafe { libc::dup2(descriptor.as_fd().as_raw_fd(), number) };
    check(result)
}

/// Gives every signal its default disposition and lets all of them in.
pub(crate) fn reset_signals() -> io::Result<()> {
    for signal in 1..=LAST_SIGNAL {
        set_disposition(signal, libc::SIG_DFL);
    }
    let_all_signals_in()
}

/// Ignores SIGPIPE, or takes its default again.
pub(crate) fn ignore_broken_pipes(ignore: bool) {
    set_disposition(libc::SIGPIPE, if ignore { libc::SIG_IGN } else { libc::SIG_DFL });
}

/// Goes past libc, which does not let its own two signals be reset when a parent has ignored them.
fn set_disposition(signal: i32, disposition: libc::sighandler_t) {
    let action = SignalAction { disposition, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: `action` has the layout that the kernel reads, and outlives the call; both dispositions that callers give
    // are constants, not functions; the old action is not asked for. SIGKILL and SIGSTOP answer an error that changes
    // nothing.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            &raw const action,
            std::ptr::null_mut::<SignalAction>(),
            size_of::<u64>(),
        )
    };
}

/// A signal mask with nothing in it.
pub(crate) fn let_all_signals_in() -> io::Result<()> {
    set_signal_mask(&empty_signal_set())
}

/// Blocks SIGCHLD and opens a descriptor that becomes readable when a child ended.
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    let mut set = empty_signal_set();
    // SAFETY: `set` was initialised by sigemptyset and SIGCHLD is a valid signal.
    let added = unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    check(added)?;
    set_signal_mask(&set)?;
    // SAFETY: `set` is initialised; -1 asks for a new descriptor.
    let descriptor = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(descriptor)?;
    Ok(own(descriptor))
}

fn empty_signal_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset only writes to the memory that it is given, which is large enough.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset has initialised all of it.
    unsafe { set.assume_init() }
}

fn set_signal_mask(set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `set` is initialised; the old mask is not asked for.
    let result = unsafe { libc::sigprocmask(libc::SIG_SETMASK, set, std::ptr::null_mut()) };
    check(result)
}

/// Which restrictions a mount gets.
#[derive(Clone, Copy)]
pub(crate) struct MountRestrictions {
    pub(crate) read_only: bool,
    pub(crate) no_devices: bool,
    pub(crate) no_execution: bool,
}

/// Restricts the detached mount tree `mount` (always nosuid), and shows its owners through `owners`, a user namespace.
pub(crate) fn restrict_mount(
    mount: impl AsFd,
    restrictions: MountRestrictions,
    owners: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let set = MOUNT_ATTR_NO_SETUID
        | if restrictions.read_only { MOUNT_ATTR_READ_ONLY } else { 0 }
        | if restrictions.no_devices { MOUNT_ATTR_NO_DEVICES } else { 0 }
        | if restrictions.no_execution { MOUNT_ATTR_NO_EXECUTION } else { 0 }
        | if owners.is_some() { MOUNT_ATTR_IDMAP } else { 0 };
    let attributes = MountAttributes {
        set,
        clear: 0,
        propagation: libc::MS_PRIVATE,
        user_namespace: owners.map_or(0, |owners| u64::from(owners.as_raw_fd().cast_unsigned())),
    };
    // SAFETY: the path is an empty string that ends with NUL, and `attributes` has the layout and size that are given;
    // both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    check_long(result)
}

/// Drops all supplementary groups.
pub(crate) fn drop_groups() -> io::Result<()> {
    // SAFETY: a count of zero makes the kernel read no memory.
    let result = unsafe { libc::setgroups(0, std::ptr::null()) };
    check(result)
}

/// Brings up the loopback interface of this network namespace, through any socket in it.
pub(crate) fn raise_loopback(socket: impl AsFd) -> io::Result<()> {
    let mut request = InterfaceFlags { name: [0; 16], flags: 0, padding: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    request.flags = UP_AND_RUNNING;
    // SAFETY: `request` has the size and layout of `ifreq`, of which SIOCSIFFLAGS reads name and flags.
    let result = unsafe {
        libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request)
    };
    check(result)
}

/// Installs a seccomp filter; `no_new_privs` must be set already.
pub(crate) fn install_filter(filter: &[Instruction]) -> io::Result<()> {
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = FilterProgram { length, filter: filter.as_ptr() };
    // SAFETY: `program` has the layout of `sock_fprog` and its pointer is good for `length` instructions, which have the
    // layout of `sock_filter`; the kernel copies both before the call ends.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0 as libc::c_ulong,
            &raw const program,
        )
    };
    check_long(result)
}

/// Lets a socket take connections and datagrams to addresses that are not its own.
pub(crate) fn set_transparent(socket: impl AsFd, is_v6: bool) -> io::Result<()> {
    let (level, name) =
        if is_v6 { (libc::SOL_IPV6, libc::IPV6_TRANSPARENT) } else { (libc::SOL_IP, libc::IP_TRANSPARENT) };
    set_socket_option(socket, level, name)
}

/// Has a netlink socket lose messages without a word when its buffer is full.
pub(crate) fn never_report_overruns(socket: impl AsFd) -> io::Result<()> {
    set_socket_option(socket, libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS)
}

fn set_socket_option(socket: impl AsFd, level: libc::c_int, name: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(io::Error::other)?;
    // SAFETY: `on` is a number of the length that is given, and outlives the call.
    let result =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const on).cast(), length) };
    check(result)
}

/// The C structure `landlock_ruleset_attr` as its first version has it.
#[repr(C)]
struct LandlockRuleset {
    handled_access_fs: u64,
}

/// The C structure `landlock_path_beneath_attr`.
#[repr(C, packed)]
struct LandlockPathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

const LANDLOCK_CREATE_RULESET_VERSION: libc::c_uint = 1;
const LANDLOCK_RULE_PATH_BENEATH: libc::c_int = 1;

/// The version of Landlock that the kernel speaks.
pub(crate) fn landlock_version() -> io::Result<u32> {
    // SAFETY: with this flag the kernel reads no memory and makes nothing.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<LandlockRuleset>(),
            0_usize,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    };
    check_long(version)?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

/// Rules that forbid every access in `handled` that none of them allows.
pub(crate) fn landlock_rules(handled: u64) -> io::Result<OwnedFd> {
    let attributes = LandlockRuleset { handled_access_fs: handled };
    // SAFETY: `attributes` has the layout and size that are given, and outlives the call.
    let rules = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<LandlockRuleset>(),
            0 as libc::c_uint,
        )
    };
    check_long(rules)?;
    RawFd::try_from(rules).map(own).map_err(io::Error::other)
}

/// Allows `rights` at `place` and below it.
pub(crate) fn landlock_allow(rules: &OwnedFd, place: &OwnedFd, rights: u64) -> io::Result<()> {
    let rule = LandlockPathBeneath { allowed_access: rights, parent_fd: place.as_raw_fd() };
    // SAFETY: `rule` has the layout that the kernel reads for this type of rule, and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            rules.as_raw_fd(),
            LANDLOCK_RULE_PATH_BENEATH,
            &raw const rule,
            0 as libc::c_uint,
        )
    };
    check_long(result)
}

/// Puts this process under `rules`; `no_new_privs` must be set already.
pub(crate) fn landlock_restrict(rules: &OwnedFd) -> io::Result<()> {
    // SAFETY: takes numbers only.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0 as libc::c_uint) };
    check_long(result)
}

/// Unmaps the pages between two addresses, which are those of a mapping of this program's code.
pub(crate) fn forget_code(start: usize, end: usize) -> io::Result<()> {
    let address = std::ptr::without_provenance_mut::<libc::c_void>(start);
    // SAFETY: the addresses are those of a private, executable mapping of this program's file, which the kernel has told a
    // moment ago and which lasts as long as the program. Such pages were never written to (the program is position
    // independent, and its relocations are elsewhere), so that the kernel reads the same bytes when they are needed.
    let result = unsafe { libc::madvise(address, end.saturating_sub(start), libc::MADV_DONTNEED) };
    check(result)
}

/// Overwrites secrets in a way that the compiler may not leave out.
pub(crate) fn wipe(bytes: &mut [u8]) {
    for byte in bytes {
        // SAFETY: `byte` is a valid, aligned, exclusive reference.
        unsafe { std::ptr::write_volatile(byte, 0) };
    }
}

/// The number that [`processor_time`] takes for this process.
pub(crate) const OWN: i32 = 0;

/// The processor time that a process has used, with all its threads; none when it has ended.
pub(crate) fn processor_time(process: i32) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable and outlives the call.
    let result = unsafe { libc::clock_gettime(processor_clock(process), &raw mut time) };
    check(result).ok()?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// The kernel's number for the clock of a process's processor time.
fn processor_clock(process: i32) -> libc::clockid_t {
    const SCHEDULED: libc::clockid_t = 2;
    (!process << 3) | SCHEDULED
}

/// A timer that goes off once, by SIGCHLD to this process, when another process has worked for a time.
pub(crate) struct ProcessorTimer(libc::timer_t);

impl ProcessorTimer {
    pub(crate) fn start(process: i32, time: Duration) -> io::Result<Self> {
        // SAFETY: all of it are numbers and pointers, for which zero is a value.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGCHLD;
        let mut timer = std::ptr::null_mut();
        // SAFETY: `event` and `timer` are valid and outlive the call.
        let created = unsafe { libc::timer_create(processor_clock(process), &raw mut event, &raw mut timer) };
        check(created)?;
        let timer = Self(timer);
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let once = libc::timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        let times = libc::itimerspec { it_interval: never, it_value: once };
        // SAFETY: the timer was made above, `times` outlives the call, and the old ones are not asked for.
        let set = unsafe { libc::timer_settime(timer.0, 0, &raw const times, std::ptr::null_mut()) };
        check(set)?;
        Ok(timer)
    }
}

impl Drop for ProcessorTimer {
    fn drop(&mut self) {
        // SAFETY: the timer was made by timer_create, and is deleted once.
        let _ = unsafe { libc::timer_delete(self.0) };
    }
}

/// Whether two processes live in the same memory.
pub(crate) fn has_same_memory(one: i32, other: i32) -> io::Result<bool> {
    const MEMORY: libc::c_int = 1;
    // SAFETY: takes numbers only.
    let order =
        unsafe { libc::syscall(libc::SYS_kcmp, one, other, MEMORY, 0 as libc::c_ulong, 0 as libc::c_ulong) };
    check_long(order)?;
    Ok(order == 0)
}

/// Has this process be another user and group to files, as far as it may, and to nothing else.
pub(crate) fn be_to_files(user: u32, group: u32) {
    // SAFETY: takes a number only.
    let _ = unsafe { libc::setfsgid(group) };
    // SAFETY: takes a number only.
    let _ = unsafe { libc::setfsuid(user) };
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn check_long(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
