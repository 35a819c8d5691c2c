//! What differs between processors: registers, how a system call is made, and the code that makes many.

use std::io;

use crate::snapshot::trace;

/// `NT_PRSTATUS`: the general registers.
const GENERAL: u32 = 1;
/// The size of a [`Call`](crate::snapshot::tracee::Call) in the memory of a tracee: number, six arguments, result.
pub(super) const CALL_SIZE: u64 = 64;

#[cfg(target_arch = "x86_64")]
mod registers {
    /// The order of `user_regs_struct`.
    pub(super) const R12: usize = 3;
    pub(super) const RBX: usize = 5;
    pub(super) const RAX: usize = 10;
    pub(super) const CALL: usize = 15;
    pub(super) const PLACE: usize = 16;
    pub(super) const FLAGS: usize = 18;
    pub(super) const COUNT: usize = 27;

    pub(super) const CALL_NUMBER: usize = RAX;
    /// rdi, rsi, rdx, r10, r8, r9.
    pub(super) const ARGUMENTS: [usize; 6] = [14, 13, 12, 7, 9, 8];
    pub(super) const RESULT: usize = RAX;
    pub(super) const BATCH: usize = RBX;
    pub(super) const BATCH_END: usize = R12;
    /// The trap flag.
    pub(super) const STEPPING: u64 = 0x100;

    /// `syscall`.
    pub(super) const INSTRUCTION: &[u8] = &[0x0f, 0x05];
    pub(super) const ALIGNMENT: usize = 1;
    /// `NT_X86_XSTATE`: all vector state.
    pub(super) const OTHERS: &[u32] = &[0x202];
    pub(super) const BATCH_CODE: &[u8] = &[
        0x48, 0x8b, 0x03, // mov rax, [rbx]
        0x48, 0x8b, 0x7b, 0x08, // mov rdi, [rbx+8]
        0x48, 0x8b, 0x73, 0x10, // mov rsi, [rbx+16]
        0x48, 0x8b, 0x53, 0x18, // mov rdx, [rbx+24]
        0x4c, 0x8b, 0x53, 0x20, // mov r10, [rbx+32]
        0x4c, 0x8b, 0x43, 0x28, // mov r8, [rbx+40]
        0x4c, 0x8b, 0x4b, 0x30, // mov r9, [rbx+48]
        0x0f, 0x05, // syscall
        0x48, 0x89, 0x43, 0x38, // mov [rbx+56], rax
        0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, // cmp rax, -4095
        0x73, 0x09, // jae to the last
        0x48, 0x83, 0xc3, 0x40, // add rbx, 64
        0x4c, 0x39, 0xe3, // cmp rbx, r12
        0x72, 0xce, // jb to the first
        0xcc, // int3
    ];
}

#[cfg(target_arch = "aarch64")]
mod registers {
    /// The order of `user_pt_regs`: x0 to x30, sp, pc, pstate.
    pub(super) const PLACE: usize = 32;
    pub(super) const COUNT: usize = 34;

    pub(super) const CALL_NUMBER: usize = 8;
    pub(super) const ARGUMENTS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    pub(super) const RESULT: usize = 0;
    pub(super) const BATCH: usize = 19;
    pub(super) const BATCH_END: usize = 20;

    /// `svc #0`.
    pub(super) const INSTRUCTION: &[u8] = &[0x01, 0x00, 0x00, 0xd4];
    pub(super) const ALIGNMENT: usize = 4;
    /// `NT_PRFPREG`, `NT_ARM_TLS`, `NT_ARM_SVE`, and, since return addresses on stacks are signed with them,
    /// `NT_ARM_PACA_KEYS`, `NT_ARM_PACG_KEYS` and `NT_ARM_PAC_ENABLED_KEYS`.
    pub(super) const OTHERS: &[u32] = &[2, 0x401, 0x405, 0x407, 0x408, 0x40a];
    pub(super) const BATCH_CODE: &[u8] = &[
        0x68, 0x02, 0x40, 0xa9, // ldp x8, x0, [x19]
        0x61, 0x0a, 0x41, 0xa9, // ldp x1, x2, [x19, 16]
        0x63, 0x12, 0x42, 0xa9, // ldp x3, x4, [x19, 32]
        0x65, 0x1a, 0x40, 0xf9, // ldr x5, [x19, 48]
        0x01, 0x00, 0x00, 0xd4, // svc 0
        0x60, 0x1e, 0x00, 0xf9, // str x0, [x19, 56]
        0x1f, 0xfc, 0x3f, 0xb1, // cmn x0, 4095
        0x82, 0x00, 0x00, 0x54, // b.hs to the last
        0x73, 0x02, 0x01, 0x91, // add x19, x19, 64
        0x7f, 0x02, 0x14, 0xeb, // cmp x19, x20
        0xc3, 0xfe, 0xff, 0x54, // b.lo to the first
        0x00, 0x00, 0x20, 0xd4, // brk 0
    ];
}

/// Code that makes the calls of a table until one fails, then traps.
pub(super) const BATCH_CODE: &[u8] = registers::BATCH_CODE;

/// Where code has an instruction that makes a system call.
pub(super) fn find_call_instruction(code: &[u8]) -> Option<usize> {
    let instruction = registers::INSTRUCTION;
    let mut places = (0..code.len()).step_by(registers::ALIGNMENT);
    places.find(|place| code[*place..].starts_with(instruction))
}

/// The general registers of a stopped thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registers([u64; registers::COUNT]);

impl Registers {
    pub(super) fn read(thread: i32) -> io::Result<Self> {
        Self::parse(&trace::registers(thread, GENERAL)?).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks();
        let words: Vec<u64> = words.iter().copied().map(u64::from_le_bytes).collect();
        if rest.is_empty() { words.try_into().ok().map(Self) } else { None }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    pub(super) fn write(&self, thread: i32) -> io::Result<()> {
        trace::set_registers(thread, GENERAL, &self.bytes())
    }

    /// Has the thread make a call next, with the instruction at `place`.
    pub(super) fn prepare_call(&mut self, place: u64, number: u64, arguments: [u64; 6]) {
        self.leave_call();
        self.0[registers::PLACE] = place;
        self.0[registers::CALL_NUMBER] = number;
        for (register, argument) in registers::ARGUMENTS.into_iter().zip(arguments) {
            self.0[register] = argument;
        }
    }

    /// Has the thread make a table of calls next, with [`BATCH_CODE`] at `place`.
    pub(super) fn prepare_batch(&mut self, place: u64, first: u64, end: u64) {
        self.leave_call();
        self.0[registers::PLACE] = place;
        self.0[registers::BATCH] = first;
        self.0[registers::BATCH_END] = end;
    }

    /// What a call answered.
    pub(super) fn result(&self) -> i64 {
        self.0[registers::RESULT].cast_signed()
    }

    /// Which call of a table was the last.
    pub(super) fn last_of_batch(&self) -> u64 {
        self.0[registers::BATCH]
    }

    /// A thread that was interrupted in a system call makes it anew when it goes on: what the kernel remembers of it does not
    /// come along. Whoever waits with a limit waits for all of it again; absolute ones stay. A call that the kernel had restarted once already, after a
    /// freeze, is told EINTR.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn restart_call(&mut self) {
        /// `ERESTARTSYS`, `ERESTARTNOINTR`, `ERESTARTNOHAND`, `ERESTART_RESTARTBLOCK`.
        const RESTARTS: [i64; 4] = [-512, -513, -514, -516];
        let call = self.0[registers::CALL];
        if call.cast_signed() >= 0 && RESTARTS.contains(&self.result()) {
            self.0[registers::RAX] = call;
            self.0[registers::PLACE] =
                self.0[registers::PLACE].wrapping_sub(registers::INSTRUCTION.len() as u64);
        }
        self.leave_call();
        self.0[registers::FLAGS] &= !registers::STEPPING;
    }

    /// This kernel has set back the place, the first argument and the number before the tracer sees the thread stopped.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn restart_call(&mut self) {}

    /// The kernel is not to restart a call by itself.
    #[cfg(target_arch = "x86_64")]
    fn leave_call(&mut self) {
        self.0[registers::CALL] = u64::MAX;
    }

    #[cfg(target_arch = "aarch64")]
    fn leave_call(&mut self) {}
}

/// All other registers of a stopped thread, as sets that this machine has.
pub(super) fn other_registers(thread: i32) -> io::Result<Vec<(u32, Vec<u8>)>> {
    let mut sets = Vec::new();
    for set in registers::OTHERS {
        match trace::registers(thread, *set) {
            Ok(bytes) => sets.push((*set, bytes)),
            // Processors differ in what they have; the kernel says these where one lacks a set.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENODEV | libc::EIO)) => {}
            Err(error) => return Err(error),
        }
    }
    if sets.is_empty() { Err(io::ErrorKind::Unsupported.into()) } else { Ok(sets) }
}

/// Sets what [`other_registers`] read.
pub(super) fn set_other_registers(thread: i32, sets: &[(u32, Vec<u8>)]) -> io::Result<()> {
    let known = sets.iter().filter(|(set, _)| registers::OTHERS.contains(set));
    known.into_iter().try_for_each(|(set, bytes)| trace::set_registers(thread, *set, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_call_is_made_anew() {
        let mut registers = Registers::parse(&[0; registers::COUNT * 8]).unwrap();
        registers.prepare_call(0x1000, 7, [1, 2, 3, 4, 5, 6]);
        assert_eq!(Registers::parse(&registers.bytes()), Some(registers.clone()));
        #[cfg(target_arch = "x86_64")]
        {
            registers.0[registers::CALL] = 7;
            registers.0[registers::RESULT] = (-512_i64).cast_unsigned();
            registers.restart_call();
            assert_eq!((registers.0[registers::PLACE], registers.0[registers::RAX]), (0xffe, 7));
            registers.0[registers::CALL] = 7;
            registers.0[registers::RESULT] = (-4_i64).cast_unsigned();
            registers.restart_call();
            assert_eq!((registers.0[registers::PLACE], registers.result()), (0xffe, -4));
        }
        assert_eq!(Registers::parse(&[0; 8]), None);
    }

    #[test]
    fn the_instruction_is_found_where_it_is() {
        let code = [&[0; 8], registers::INSTRUCTION].concat();
        assert_eq!(find_call_instruction(&code), Some(8));
        assert_eq!(find_call_instruction(&code[..8]), None);
    }
}
