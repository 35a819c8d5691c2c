//! The threads of a captured process, and what all of them share with the kernel.

use crate::error::Failure;
use crate::snapshot::description::{Description, ThreadState};
use crate::snapshot::machine::{self, Registers};
use crate::snapshot::trace;
use crate::snapshot::tracee::{Script, Tracee};

/// `PR_SET_NAME`, and the length that the kernel keeps of one.
const SET_NAME: u64 = 15;
const NAME_LENGTH: usize = 15;
/// The size of a `sigset_t` of the kernel.
const MASK_SIZE: u64 = 8;
/// The signals that nobody handles: SIGKILL, SIGSTOP.
const UNHANDLED: [u64; 2] = [9, 19];
/// The parts of `membarrier`: a registration for each of these commands, and how it is asked for.
const BARRIERS: [u64; 4] = [1 << 2, 1 << 4, 1 << 6, 1 << 8];

/// Makes all threads, which stand still; answers their numbers in `/proc`.
///
/// Numbers go up by one for each thread in a sandbox that has nothing else, so those that lie between are made and ended.
/// Where a number cannot be met all the same, the restore fails: locks in memory name their owners by it.
pub(super) fn restore(tracee: &Tracee, description: &Description) -> Result<Vec<i32>, Failure> {
    let mut threads = vec![tracee.process];
    for state in description.threads.iter().skip(1) {
        threads.push(add(tracee, state.number)?);
    }
    let main = tracee.process;
    let mut script = tracee.script();
    share(&mut script, description);
    tracee.perform(main, &script)?;
    for (thread, state) in threads.iter().zip(&description.threads) {
        let mut script = tracee.script();
        tell(&mut script, state);
        tracee.perform(*thread, &script)?;
    }
    Ok(threads)
}

fn add(tracee: &Tracee, wanted: u64) -> Result<i32, Failure> {
    loop {
        let (thread, number) = tracee.add_thread()?;
        if number == wanted {
            return Ok(thread);
        }
        tracee.end_thread(thread)?;
        if number > wanted {
            return Err(tracee.failure(libc::EEXIST, format!("thread {wanted}: its number is taken")));
        }
    }
}

/// What all threads share.
fn share(script: &mut Script, description: &Description) {
    let process = &description.process;
    script.call(libc::SYS_umask, [process.mask]);
    for (signal, action) in (1..).zip(&process.actions) {
        // Those that a fresh program has already.
        if UNHANDLED.contains(&signal) || action.iter().all(|word| *word == 0) {
            continue;
        }
        let action: Vec<u8> = action.iter().flat_map(|word| word.to_le_bytes()).collect();
        let place = script.bytes(&action);
        script.call(libc::SYS_rt_sigaction, [signal, place, 0, MASK_SIZE]);
    }
    for command in BARRIERS {
        if process.barriers & command != 0 {
            script.call(libc::SYS_membarrier, [command, 0, 0]);
        }
    }
    for (timer, times) in (0..).zip(&process.timers) {
        if times[2..] != [0, 0] {
            let times: Vec<u8> = times.iter().flat_map(|word| word.to_le_bytes()).collect();
            let place = script.bytes(&times);
            script.call(libc::SYS_setitimer, [timer, place, 0]);
        }
    }
}

/// What the kernel knows of one thread.
fn tell(script: &mut Script, state: &ThreadState) {
    let mut name = state.name.clone();
    name.truncate(NAME_LENGTH);
    let name = script.text(&name);
    script.call(libc::SYS_prctl, [SET_NAME, name]);
    script.call(libc::SYS_set_tid_address, [state.clear_address]);
    let (list, length) = state.robust_list;
    if list != 0 {
        script.call(libc::SYS_set_robust_list, [list, length]);
    }
    let (sequences, size, signature) = state.sequences;
    if sequences != 0 {
        script.call(libc::SYS_rseq, [sequences, size, 0, signature]);
    }
    let [start, flags, size] = state.alternate_stack;
    let stack = [start, flags, size].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let stack = script.bytes(&stack);
    script.call(libc::SYS_sigaltstack, [stack, 0]);
}

/// Gives all threads their registers, and lets them go on. From then on nobody traces them.
pub(super) fn go_on(tracee: &Tracee, threads: &[i32], states: &[ThreadState]) -> Result<(), Failure> {
    for (thread, state) in threads.iter().zip(states) {
        let registers =
            Registers::parse(&state.registers).ok_or_else(|| tracee.failure(libc::EBADMSG, "registers"))?;
        tracee.at(machine::set_other_registers(*thread, &state.others), "registers")?;
        tracee.at(registers.write(*thread), "registers")?;
        tracee.at(trace::set_signal_mask(*thread, state.signal_mask), "signal mask")?;
    }
    threads.iter().try_for_each(|thread| tracee.at(trace::detach(*thread), "detach"))
}
