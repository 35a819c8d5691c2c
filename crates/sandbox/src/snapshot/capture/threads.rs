//! The threads of a process: stopping them, and what each has of the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;

use crate::error::{At, Failure, Step};
use crate::snapshot::Trouble;
use crate::snapshot::capture::{MAIN_NUMBER, Subject, field, read};
use crate::snapshot::description::ThreadState;
use crate::snapshot::machine::{self, Registers};
use crate::snapshot::trace::{self, Onward, Stop};
use crate::snapshot::tracee::Tracee;

/// The most threads that are captured.
const LIMIT: usize = 512;
/// How far apart the numbers of the first and the last thread may be: what lies between has to be made and ended when they are
/// restored.
const SPAN_LIMIT: u64 = 4000;
/// `PR_GET_TID_ADDRESS`.
const GET_CLEAR_ADDRESS: u64 = 40;
/// `SS_DISABLE`, for a thread that has no stack for handlers.
const NO_STACK: u64 = 2;
/// Where the C structure `rseq` has what it is in the middle of.
const SEQUENCE: u64 = 8;

/// Stops all threads; answers their numbers in `/proc`, in the order of those that they have in the sandbox.
pub(super) fn stop(process: i32) -> Result<Vec<i32>, Trouble> {
    let mut stopped = BTreeSet::new();
    loop {
        let running: Vec<i32> =
            threads_of(process)?.into_iter().filter(|thread| !stopped.contains(thread)).collect();
        if running.is_empty() {
            break;
        }
        for thread in running {
            if stop_one(thread)? {
                stopped.insert(thread);
            } else if thread == process {
                return Err(gone().into());
            }
        }
        if stopped.len() > LIMIT {
            return Err(Trouble::unsupported(format!("it has more than {LIMIT} threads")));
        }
    }
    let numbered: Result<Vec<_>, _> = stopped
        .into_iter()
        .map(|thread| Ok::<_, Trouble>((number_inside(process, thread)?, thread)))
        .collect();
    let mut numbered = numbered?;
    // The host's own may have begun anew between them.
    numbered.sort_unstable();
    Ok(numbered.into_iter().map(|(_, thread)| thread).collect())
}

pub(super) fn gone() -> Failure {
    Failure { step: Step::Capture, errno: libc::ESRCH, detail: "it has ended".into() }
}

fn threads_of(process: i32) -> Result<Vec<i32>, Failure> {
    let path = format!("/proc/{process}/task");
    let entries = fs::read_dir(&path).at(Step::Capture, &path)?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.collect())
}

/// False where it has ended meanwhile.
fn stop_one(thread: i32) -> Result<bool, Failure> {
    let is_traced = match trace::seize(thread) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
        // The thread of one that was traced already is so from its first moment, and stops by itself; nobody else traces.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => true,
        seized => seized.map(|()| false).at(Step::Capture, "seize")?,
    };
    if !is_traced {
        trace::interrupt(thread).at(Step::Capture, "interrupt")?;
    }
    loop {
        let stop = match trace::wait(thread) {
            // The kernel refuses threads that are on their end in the same words as those that somebody else traces.
            Err(_) if is_traced && has_ended(thread) => return Ok(false),
            Err(_) if is_traced => Err(std::io::Error::from_raw_os_error(libc::EPERM)),
            stop => stop,
        };
        let signal = match stop.at(Step::Capture, "seize")? {
            Stop::Interrupted => return Ok(true),
            Stop::Ended => return Ok(false),
            Stop::Signaled(signal) => signal,
            Stop::Trapped => libc::SIGTRAP,
            Stop::Executed | Stop::Cloned => 0,
        };
        trace::resume(thread, Onward::Run, signal).at(Step::Capture, "go on")?;
    }
}

/// Whether a thread runs no more, though its number may still be taken.
fn has_ended(thread: i32) -> bool {
    let Ok(status) = read(thread, "status") else { return true };
    field(&status, "State:").is_some_and(|state| state.starts_with(['Z', 'X']))
}

/// The process has to be all that runs in its sandbox, with the number that it will have again.
pub(super) fn check_alone(subject: &Subject, threads: &[i32]) -> Result<(), Trouble> {
    let number = number_inside(subject.process, subject.process)?;
    if number != MAIN_NUMBER {
        return Err(Trouble::unsupported(format!(
            "its process number in the sandbox is {number} and not {MAIN_NUMBER}, as of one that was started ahead"
        )));
    }
    let children = |process: i32, thread: i32| -> Result<String, Trouble> {
        let text = read(process, &format!("task/{thread}/children"));
        text.map_err(|_| Trouble::unsupported("the kernel does not tell its children"))
    };
    let of_first = children(subject.first, subject.first)?;
    let mut is_alone = of_first.trim() == subject.process.to_string();
    for thread in threads {
        is_alone &= children(subject.process, *thread)?.trim().is_empty();
    }
    if is_alone { Ok(()) } else { Err(Trouble::unsupported("more than one process")) }
}

/// The number that a thread has in its sandbox: the last of all namespaces that it is in.
fn number_inside(process: i32, thread: i32) -> Result<u64, Trouble> {
    let status = read(process, &format!("task/{thread}/status"))?;
    let numbers = field(&status, "NSpid:").unwrap_or_default();
    let number = numbers.split_whitespace().last().and_then(|number| number.parse().ok());
    number.ok_or_else(|| Trouble::unsupported("the kernel does not tell numbers of threads"))
}

/// What can be read of each thread, in the order of their numbers in the sandbox.
pub(super) fn states(tracee: &Tracee, threads: &[i32]) -> Result<Vec<ThreadState>, Trouble> {
    let states: Vec<_> = threads.iter().map(|thread| state(tracee, *thread)).collect::<Result<_, _>>()?;
    let numbers: Vec<u64> = states.iter().map(|state| state.number).collect();
    let is_ordered = numbers.first() == Some(&MAIN_NUMBER) && numbers.is_sorted_by(|one, next| one < next);
    let is_far = numbers.last().is_some_and(|last| *last > MAIN_NUMBER + SPAN_LIMIT);
    if !is_ordered || is_far {
        Err(Trouble::unsupported("numbers of threads too far apart"))
    } else {
        Ok(states)
    }
}

fn state(tracee: &Tracee, thread: i32) -> Result<ThreadState, Trouble> {
    let process = tracee.process;
    let mut registers = Registers::read(thread).at(Step::Capture, "registers")?;
    registers.restart_call();
    let sequences = trace::restartable_sequences(thread)
        .map_err(|_| Trouble::unsupported("the kernel does not tell of restartable sequences"))?;
    if sequences.address != 0 {
        let mut current = [0; 8];
        let place = sequences.address + SEQUENCE;
        tracee.memory().read_exact_at(&mut current, place).at(Step::Capture, "restartable sequence")?;
        if current != [0; 8] {
            return Err(Trouble::unsupported("a thread is in a restartable sequence"));
        }
    }
    let name = read(process, &format!("task/{thread}/comm"))?;
    Ok(ThreadState {
        number: number_inside(process, thread)?,
        name: name.trim_end_matches('\n').as_bytes().to_vec(),
        registers: registers.bytes(),
        others: machine::other_registers(thread).at(Step::Capture, "registers")?,
        signal_mask: trace::signal_mask(thread).at(Step::Capture, "signal mask")?,
        robust_list: trace::robust_list(thread).at(Step::Capture, "robust list")?,
        sequences: (sequences.address, sequences.size.into(), sequences.signature.into()),
        ..ThreadState::default()
    })
}

/// Nothing may disturb the threads while they tell about themselves.
pub(super) fn block_signals(threads: &[i32]) -> Result<(), Failure> {
    threads
        .iter()
        .try_for_each(|thread| trace::set_signal_mask(*thread, u64::MAX).at(Step::Capture, "signal mask"))
}

/// A kernel that does not answer what only those who capture processes ask was built without `CONFIG_CHECKPOINT_RESTORE`.
pub(super) fn lacks_questions(failure: Failure) -> Trouble {
    match failure.errno {
        libc::EINVAL => Trouble::unsupported("the kernel has no CONFIG_CHECKPOINT_RESTORE"),
        _ => Trouble::Failed(failure),
    }
}

/// Has each thread tell what cannot be read.
pub(super) fn ask(tracee: &Tracee, threads: &[i32], states: &mut [ThreadState]) -> Result<(), Trouble> {
    for (thread, state) in threads.iter().zip(states) {
        let mut script = tracee.script();
        let stack = script.bytes(&[0; 24]);
        script.call(libc::SYS_sigaltstack, [0, stack]);
        let address = script.bytes(&[0; 8]);
        script.call(libc::SYS_prctl, [GET_CLEAR_ADDRESS, address]);
        let answers = tracee.perform(*thread, &script).map_err(lacks_questions)?;
        let [start, flags, size] = answers.words(stack);
        // The upper half is padding, and whether it is in use follows from where it is.
        let flags = flags & u64::from(u32::MAX) & !1;
        state.alternate_stack = if flags & NO_STACK == 0 { [start, flags, size] } else { [0, NO_STACK, 0] };
        let [clear_address] = answers.words(address);
        state.clear_address = clear_address;
    }
    Ok(())
}
