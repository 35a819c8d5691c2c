//! Thin safe wrappers of `ptrace` and its relatives. All `unsafe` code of snapshots is here.
//!
//! The tracer is a child of the helper with one thread; see [`crate::helper`]. None of these calls takes an address of the
//! tracer's memory from a tracee.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `PTRACE_O_TRACECLONE`, `PTRACE_O_TRACEEXEC` and `PTRACE_O_EXITKILL`: threads and a new program stop for the tracer, and
/// everything traced ends with it.
const OPTIONS: usize = 0x8 | 0x10 | 0x10_0000;
/// `PTRACE_EVENT_STOP`, `PTRACE_EVENT_EXEC` and `PTRACE_EVENT_CLONE`.
const EVENT_STOP: i32 = 128;
const EVENT_EXECUTE: i32 = 4;
const EVENT_CLONE: i32 = 3;
/// Requests, from `linux/ptrace.h`: C libraries differ in what they call them and of which type they are.
const CONTINUE: i32 = 7;
const SINGLE_STEP: i32 = 9;
const DETACH: i32 = 17;
const GET_EVENT_MESSAGE: i32 = 0x4201;
const GET_REGISTER_SET: i32 = 0x4204;
const SET_REGISTER_SET: i32 = 0x4205;
const SEIZE: i32 = 0x4206;
const INTERRUPT: i32 = 0x4207;
const GET_SIGNAL_MASK: i32 = 0x420a;
const SET_SIGNAL_MASK: i32 = 0x420b;
const GET_RSEQ_CONFIGURATION: i32 = 0x420f;
/// Larger than any register set of the kernel: vector state with matrix tiles has 11 KiB.
const REGISTER_SET_LIMIT: usize = 64 * 1024;
/// `KCMP_FILE`.
const COMPARE_FILES: libc::c_int = 0;

/// What a traced thread did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was interrupted, or is a new thread.
    Interrupted,
    /// It has executed a program.
    Executed,
    /// It has made a thread.
    Cloned,
    /// It made a step, or met a breakpoint.
    Trapped,
    /// This signal is on its way to it.
    Signaled(i32),
    /// It has ended.
    Ended,
}

/// How a stopped thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Onward {
    Run,
    Step,
}

/// Begins to trace a thread, without stopping it.
pub(super) fn seize(thread: i32) -> io::Result<()> {
    request(SEIZE, thread, 0, OPTIONS)
}

/// Has a traced thread stop.
pub(super) fn interrupt(thread: i32) -> io::Result<()> {
    request(INTERRUPT, thread, 0, 0)
}

/// Lets a stopped thread go on, with a signal or 0.
pub(super) fn resume(thread: i32, onward: Onward, signal: i32) -> io::Result<()> {
    let what = match onward {
        Onward::Run => CONTINUE,
        Onward::Step => SINGLE_STEP,
    };
    request(what, thread, 0, usize::try_from(signal).unwrap_or(0))
}

/// Ends the tracing of a stopped thread, which goes on.
pub(super) fn detach(thread: i32) -> io::Result<()> {
    request(DETACH, thread, 0, 0)
}

/// Waits until a traced thread stops or ends; for as long as the tracer's alarm lets it.
pub(super) fn wait(thread: i32) -> io::Result<Stop> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a number that outlives the call.
        let result = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
        match check(result) {
            Ok(()) => return Ok(stop_of(status)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn stop_of(status: i32) -> Stop {
    if !libc::WIFSTOPPED(status) {
        return Stop::Ended;
    }
    match (status >> 16, libc::WSTOPSIG(status)) {
        (EVENT_STOP, _) => Stop::Interrupted,
        (EVENT_EXECUTE, _) => Stop::Executed,
        (EVENT_CLONE, _) => Stop::Cloned,
        (_, libc::SIGTRAP) => Stop::Trapped,
        (_, signal) => Stop::Signaled(signal),
    }
}

/// The thread that a stopped one has just made, as the tracer's `/proc` numbers it.
pub(super) fn new_thread(thread: i32) -> io::Result<i32> {
    let mut number: libc::c_ulong = 0;
    request(GET_EVENT_MESSAGE, thread, 0, (&raw mut number).addr())?;
    i32::try_from(number).map_err(io::Error::other)
}

/// Reads a set of registers.
pub(super) fn registers(thread: i32, set: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; REGISTER_SET_LIMIT];
    let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // `vector` describes `bytes`, and the kernel writes at most its length.
    request(GET_REGISTER_SET, thread, set as usize, (&raw mut vector).addr())?;
    bytes.truncate(vector.iov_len);
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Writes a set of registers, which the kernel checks.
pub(super) fn set_registers(thread: i32, set: u32, bytes: &[u8]) -> io::Result<()> {
    let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    request(SET_REGISTER_SET, thread, set as usize, (&raw mut vector).addr())
}

/// The signals that a thread blocks.
pub(super) fn signal_mask(thread: i32) -> io::Result<u64> {
    let mut mask = 0_u64;
    request(GET_SIGNAL_MASK, thread, size_of::<u64>(), (&raw mut mask).addr())?;
    Ok(mask)
}

/// Sets the signals that a thread blocks.
pub(super) fn set_signal_mask(thread: i32, mask: u64) -> io::Result<()> {
    request(SET_SIGNAL_MASK, thread, size_of::<u64>(), (&raw const mask).addr())
}

/// The C structure `ptrace_rseq_configuration`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RestartableSequences {
    pub(super) address: u64,
    pub(super) size: u32,
    pub(super) signature: u32,
    flags: u32,
    padding: u32,
}

/// Where a thread has told the kernel about its restartable sequences; an address of 0 where it has not.
pub(super) fn restartable_sequences(thread: i32) -> io::Result<RestartableSequences> {
    let mut configuration = RestartableSequences::default();
    let size = size_of::<RestartableSequences>();
    request(GET_RSEQ_CONFIGURATION, thread, size, (&raw mut configuration).addr())?;
    Ok(configuration)
}

fn request(what: i32, thread: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: every caller gives, as `data`, either a plain number or the address of a value of its own that has the layout
    // and size which the kernel expects for the request, and that outlives the call; the request changes no other memory of
    // this process.
    let result = unsafe {
        libc::syscall(libc::SYS_ptrace, libc::c_long::from(what), libc::c_long::from(thread), address, data)
    };
    check_long(result)
}

/// The list of a thread's robust locks: its address and length.
pub(super) fn robust_list(thread: i32) -> io::Result<(u64, u64)> {
    let (mut head, mut length) = (0_u64, 0_u64);
    // SAFETY: both are numbers of the width that the kernel writes, and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_get_robust_list, thread, &raw mut head, &raw mut length) };
    check_long(result)?;
    Ok((head, length))
}

/// Whether two descriptors of a process are one open file.
pub(super) fn is_same_file(process: i32, one: u32, other: u32) -> bool {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_kcmp, process, process, COMPARE_FILES, one, other) };
    result == 0
}

/// A descriptor of another process, as one of this.
pub(super) fn descriptor_of(process: impl AsFd, number: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_getfd, process.as_fd().as_raw_fd(), number, 0 as libc::c_uint)
    };
    check_long(result)?;
    let descriptor = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Has the kernel end this process after so many seconds.
pub(crate) fn end_in(seconds: u32) {
    // SAFETY: takes a number only; the signal has its default disposition in the helper and its children.
    unsafe { libc::alarm(seconds) };
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn check_long(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
