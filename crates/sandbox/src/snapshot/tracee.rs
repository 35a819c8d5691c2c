//! A stopped process that makes system calls for its tracer, by its own rights: all of them pass its own filter.
//!
//! Nothing of the program runs meanwhile: only one instruction of the kernel's own page, and [`BATCH_CODE`] on a stage that is
//! mapped for it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::{At, Failure, Step};
use crate::snapshot::description::Layout;
use crate::snapshot::machine::{self, BATCH_CODE, CALL_SIZE, Registers};
use crate::snapshot::maps::PAGE;
use crate::snapshot::trace::{self, Onward, Stop};

/// The size of a stage; only what is used of it takes memory.
pub(super) const STAGE_SIZE: u64 = 64 << 20;
/// Where a stage has the table of calls, and what calls point to.
const TABLE: u64 = PAGE;
const DATA: u64 = 16 << 20;

/// `PR_SET_MM` with `PR_SET_MM_MAP`, and how that is told to keep the program's file.
const SET_LAYOUT: [u64; 2] = [35, 14];
const NO_FILE: u64 = 0xffff_ffff_0000_0000;

/// A system call, as a tracee is to make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    number: u64,
    arguments: [u64; 6],
}

/// Calls to make in one go, and what they point to.
#[derive(Debug)]
pub(super) struct Script {
    stage: u64,
    calls: Vec<Call>,
    data: Vec<u8>,
}

impl Script {
    /// Adds a call, and answers its place among the results.
    pub(super) fn call<const COUNT: usize>(&mut self, number: libc::c_long, given: [u64; COUNT]) -> usize {
        let mut arguments = [0; 6];
        for (argument, value) in arguments.iter_mut().zip(given) {
            *argument = value;
        }
        self.calls.push(Call { number: number.cast_unsigned(), arguments });
        self.calls.len() - 1
    }

    /// Adds bytes that calls may point to, and answers where they will be.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> u64 {
        let place = self.stage + DATA + self.data.len() as u64;
        self.data.extend_from_slice(bytes);
        let aligned = self.data.len().next_multiple_of(16);
        self.data.resize(aligned, 0);
        place
    }

    /// The same for a string, with a NUL.
    pub(super) fn text(&mut self, text: &[u8]) -> u64 {
        self.bytes(&[text, &[0]].concat())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Tells the kernel where everything is, by the C structure `prctl_mm_map`.
    pub(super) fn set_layout(&mut self, layout: &Layout) {
        let auxiliary = self.bytes(&layout.auxiliary);
        let length_and_file = layout.auxiliary.len() as u64 | NO_FILE;
        let words = layout.numbers.iter().chain([&auxiliary, &length_and_file]);
        let map: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        let place = self.bytes(&map);
        self.call(libc::SYS_prctl, [SET_LAYOUT[0], SET_LAYOUT[1], place, map.len() as u64, 0]);
    }

    fn table(&self) -> Vec<u8> {
        let words = self.calls.iter().flat_map(|call| {
            let [a, b, c, d, e, f] = call.arguments;
            [call.number, a, b, c, d, e, f, 0]
        });
        words.flat_map(u64::to_le_bytes).collect()
    }

    fn fits(&self) -> bool {
        self.calls.len() as u64 * CALL_SIZE <= DATA - TABLE && self.data.len() as u64 <= STAGE_SIZE - DATA
    }
}

/// What a script has answered: all of it, for a call that fails ends the script.
pub(super) struct Answers {
    results: Vec<i64>,
    data: Vec<u8>,
    start: u64,
}

impl Answers {
    /// What a call answered.
    pub(super) fn result(&self, place: usize) -> i64 {
        self.results.get(place).copied().unwrap_or(-1)
    }

    /// What calls have left in the bytes that were at `place`.
    pub(super) fn words<const COUNT: usize>(&self, place: u64) -> [u64; COUNT] {
        let start = usize::try_from(place.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let mut words = [0; COUNT];
        let bytes = self.data.get(start..).unwrap_or_default();
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
    }
}

/// A traced process whose threads all stand still.
#[derive(Debug)]
pub(super) struct Tracee {
    /// The number of the process, and of its main thread, in the tracer's `/proc`.
    pub(super) process: i32,
    memory: File,
    /// Where the instruction is with which it makes a call.
    pub(super) call_place: u64,
    stage: u64,
    step: Step,
}

impl Tracee {
    /// Opens a process that has its program already; `page` is where the kernel's own code is in it.
    pub(super) fn open(process: i32, page: (u64, u64), step: Step) -> Result<Self, Failure> {
        let path = format!("/proc/{process}/mem");
        let memory = File::options().read(true).write(true).open(&path).at(step, &path)?;
        let call_place = call_place(&memory, page).at(step, "vdso")?;
        Ok(Self { process, memory, call_place, stage: 0, step })
    }

    pub(super) fn memory(&self) -> &File {
        &self.memory
    }

    pub(super) fn failure(&self, errno: i32, detail: impl Into<String>) -> Failure {
        Failure { step: self.step, errno, detail: detail.into() }
    }

    pub(super) fn at<T>(&self, result: io::Result<T>, detail: &str) -> Result<T, Failure> {
        result.at(self.step, detail)
    }

    /// Has a thread make one call.
    pub(super) fn call(
        &self,
        thread: i32,
        number: libc::c_long,
        arguments: [u64; 6],
    ) -> Result<i64, Failure> {
        let mut registers = self.at(Registers::read(thread), "registers")?;
        registers.prepare_call(self.call_place, number.cast_unsigned(), arguments);
        self.at(registers.write(thread), "registers")?;
        self.run(thread, Onward::Step)?;
        let result = self.at(Registers::read(thread), "registers")?.result();
        check_result(result).map_err(|errno| self.failure(errno, format!("call {number}")))
    }

    /// Maps a stage at an address where nothing is.
    pub(super) fn set_stage(&mut self, stage: u64) -> Result<(), Failure> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE;
        let protection = flag(libc::PROT_READ | libc::PROT_WRITE);
        let arguments = [stage, STAGE_SIZE, protection, flag(flags), u64::MAX, 0];
        let place = self.call(self.process, libc::SYS_mmap, arguments)?;
        if place.cast_unsigned() != stage {
            return Err(self.failure(libc::EEXIST, "stage"));
        }
        self.at(self.memory.write_all_at(BATCH_CODE, stage), "stage")?;
        let executable = flag(libc::PROT_READ | libc::PROT_EXEC);
        self.call(self.process, libc::SYS_mprotect, [stage, PAGE, executable, 0, 0, 0])?;
        self.stage = stage;
        Ok(())
    }

    /// Unmaps the stage.
    pub(super) fn clear_stage(&self) -> Result<(), Failure> {
        self.call(self.process, libc::SYS_munmap, [self.stage, STAGE_SIZE, 0, 0, 0, 0]).map(drop)
    }

    /// The arguments of a call that advises on a page of the stage.
    pub(super) fn stage_page(&self, advice: u64) -> [u64; 6] {
        [self.stage + TABLE, PAGE, advice, 0, 0, 0]
    }

    pub(super) fn script(&self) -> Script {
        Script { stage: self.stage, calls: Vec::new(), data: Vec::new() }
    }

    /// Has a thread make the calls of a script, up to the first that fails.
    pub(super) fn perform(&self, thread: i32, script: &Script) -> Result<Answers, Failure> {
        let (table, data) = (self.stage + TABLE, self.stage + DATA);
        if !script.fits() {
            return Err(self.failure(libc::E2BIG, "script"));
        }
        if script.is_empty() {
            return Ok(Answers { results: Vec::new(), data: script.data.clone(), start: data });
        }
        let mut bytes = script.table();
        self.at(self.memory.write_all_at(&bytes, table), "table")?;
        self.at(self.memory.write_all_at(&script.data, data), "data")?;
        let mut registers = self.at(Registers::read(thread), "registers")?;
        registers.prepare_batch(self.stage, table, table + bytes.len() as u64);
        self.at(registers.write(thread), "registers")?;
        self.run(thread, Onward::Run)?;
        let last = self.at(Registers::read(thread), "registers")?.last_of_batch();
        self.at(self.memory.read_exact_at(&mut bytes, table), "table")?;
        let (words, _) = bytes.as_chunks::<8>();
        let results: Vec<i64> = words.iter().skip(7).step_by(8).copied().map(i64::from_le_bytes).collect();
        if last != table + bytes.len() as u64 {
            return Err(self.refused(script, last - table, &results));
        }
        let mut data_now = vec![0; script.data.len()];
        self.at(self.memory.read_exact_at(&mut data_now, data), "data")?;
        Ok(Answers { results, data: data_now, start: data })
    }

    fn refused(&self, script: &Script, offset: u64, results: &[i64]) -> Failure {
        let place = usize::try_from(offset / CALL_SIZE).unwrap_or(usize::MAX);
        let errno = results.get(place).and_then(|result| check_result(*result).err()).unwrap_or(libc::EIO);
        let number = script.calls.get(place).map_or(0, |call| call.number);
        self.failure(errno, format!("call {number}"))
    }

    /// Lets a thread go on until it traps.
    fn run(&self, thread: i32, onward: Onward) -> Result<(), Failure> {
        self.at(trace::resume(thread, onward, 0), "go on")?;
        match self.at(trace::wait(thread), "wait")? {
            Stop::Trapped => Ok(()),
            Stop::Ended => Err(self.failure(libc::ESRCH, "it has ended")),
            other => Err(self.failure(libc::EINTR, format!("{other:?}"))),
        }
    }

    /// Has the main thread make another that shares everything with it and stands still; answers its numbers in the tracer's
    /// `/proc` and in the sandbox.
    pub(super) fn add_thread(&self) -> Result<(i32, u64), Failure> {
        let flags = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SYSVSEM;
        let mut registers = self.at(Registers::read(self.process), "registers")?;
        registers.prepare_call(
            self.call_place,
            libc::SYS_clone.cast_unsigned(),
            [flag(flags), 0, 0, 0, 0, 0],
        );
        self.at(registers.write(self.process), "registers")?;
        self.at(trace::resume(self.process, Onward::Step, 0), "go on")?;
        match self.at(trace::wait(self.process), "wait")? {
            Stop::Cloned => {}
            other => return Err(self.failure(libc::EAGAIN, format!("clone: {other:?}"))),
        }
        let thread = self.at(trace::new_thread(self.process), "clone")?;
        self.run(self.process, Onward::Step)?;
        let number = self.at(Registers::read(self.process), "registers")?.result();
        match self.at(trace::wait(thread), "wait")? {
            Stop::Interrupted => Ok((thread, number.cast_unsigned())),
            other => Err(self.failure(libc::ESRCH, format!("thread: {other:?}"))),
        }
    }

    /// Has a thread end.
    pub(super) fn end_thread(&self, thread: i32) -> Result<(), Failure> {
        let mut registers = self.at(Registers::read(thread), "registers")?;
        registers.prepare_call(self.call_place, libc::SYS_exit.cast_unsigned(), [0; 6]);
        self.at(registers.write(thread), "registers")?;
        self.at(trace::resume(thread, Onward::Run, 0), "go on")?;
        match self.at(trace::wait(thread), "wait")? {
            Stop::Ended => Ok(()),
            other => Err(self.failure(libc::EBUSY, format!("thread: {other:?}"))),
        }
    }
}

/// Constants of calls are small and never negative.
pub(super) fn flag(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

fn check_result(result: i64) -> Result<i64, i32> {
    if (-4095..0).contains(&result) { Err(i32::try_from(-result).unwrap_or(libc::EIO)) } else { Ok(result) }
}

/// Where a process has the instruction with which the tracer has it make calls: in a page that the kernel gives it.
fn call_place(memory: &File, (start, end): (u64, u64)) -> io::Result<u64> {
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0).min(1 << 16);
    let mut code = vec![0; length];
    memory.read_exact_at(&mut code, start)?;
    let place = machine::find_call_instruction(&code).ok_or(io::ErrorKind::Unsupported)?;
    Ok(start + place as u64)
}
