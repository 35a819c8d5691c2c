//! The filter program: a binary search over call numbers, with the conditions of a call at its leaf.
//!
//! The kernel runs a new filter once for every call number, so its length and depth are part of every cold start: this
//! shape installs in a fifth of the time of a list. Knows no policy.

use std::collections::BTreeMap;

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    Refuse(i32),
    Kill,
}

impl Answer {
    fn value(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Refuse(errno) => libc::SECCOMP_RET_ERRNO | errno.cast_unsigned(),
            Self::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// A condition on an argument: the masked bits have this value, or, of one half of it, do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u8,
    pub(super) mask: u64,
    pub(super) is_equal: bool,
    pub(super) value: u64,
}

/// How a call is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Always(Answer),
    /// Allowed when all conditions of one alternative hold.
    When(Vec<Vec<Condition>>),
}

/// An instruction of classic BPF.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) if_true: u8,
    pub(crate) if_false: u8,
    pub(crate) value: u32,
}

pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
pub(super) const JUMP_IF_AT_LEAST: u16 = 0x35;
pub(super) const RETURN: u16 = 0x06;

/// Where `struct seccomp_data` has the call's number, the architecture and the arguments.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const DEFAULT: Answer = Answer::Refuse(libc::EPERM);

/// Calls from `start` up to the next segment are decided alike.
#[derive(Debug)]
struct Segment<'a> {
    start: u32,
    decision: &'a Decision,
}

/// Assembles the program. Calls of other architectures, and those numbered from `ceiling`, kill.
pub(super) fn assemble(architecture: u32, ceiling: u32, calls: &BTreeMap<u32, Decision>) -> Vec<Instruction> {
    let (refuse, kill) = (Decision::Always(DEFAULT), Decision::Always(Answer::Kill));
    let mut segments = Vec::new();
    let mut next = 0;
    for (&call, decision) in calls.range(..ceiling) {
        if call > next {
            push(&mut segments, next, &refuse);
        }
        push(&mut segments, call, decision);
        next = call + 1;
    }
    push(&mut segments, next, &refuse);
    push(&mut segments, ceiling, &kill);
    let mut program = vec![
        plain(LOAD, ARCHITECTURE),
        Instruction { code: JUMP_IF_EQUAL, if_true: 1, if_false: 0, value: architecture },
        plain(RETURN, Answer::Kill.value()),
        plain(LOAD, NUMBER),
    ];
    program.extend(search(&segments));
    program
}

fn push<'a>(segments: &mut Vec<Segment<'a>>, start: u32, decision: &'a Decision) {
    if segments.last().is_none_or(|last| last.decision != decision) {
        segments.push(Segment { start, decision });
    }
}

fn plain(code: u16, value: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, value }
}

fn search(segments: &[Segment<'_>]) -> Vec<Instruction> {
    let (low, high) = segments.split_at(segments.len() / 2);
    let Some(first_high) = high.first() else { return Vec::new() };
    if low.is_empty() {
        return leaf(first_high.decision);
    }
    let (below, above) = (search(low), search(high));
    let start = first_high.start;
    let mut program = match u8::try_from(below.len()) {
        Ok(distance) => {
            vec![Instruction { code: JUMP_IF_AT_LEAST, if_true: distance, if_false: 0, value: start }]
        }
        Err(_) => vec![
            Instruction { code: JUMP_IF_AT_LEAST, if_true: 0, if_false: 1, value: start },
            plain(JUMP, u32::try_from(below.len()).unwrap_or(u32::MAX)),
        ],
    };
    program.extend(below);
    program.extend(above);
    program
}

fn leaf(decision: &Decision) -> Vec<Instruction> {
    match decision {
        Decision::Always(answer) => vec![plain(RETURN, answer.value())],
        Decision::When(alternatives) => {
            let mut program: Vec<_> =
                alternatives.iter().flat_map(|conditions| alternative(conditions)).collect();
            program.push(plain(RETURN, DEFAULT.value()));
            program
        }
    }
}

/// Stands for the end of an alternative until that is known.
const END: u8 = u8::MAX;

/// Allows when every condition holds, and goes on behind itself otherwise.
fn alternative(conditions: &[Condition]) -> Vec<Instruction> {
    let mut program: Vec<_> = conditions.iter().flat_map(|condition| compare(*condition)).collect();
    program.push(plain(RETURN, Answer::Allow.value()));
    let length = program.len();
    for (place, instruction) in program.iter_mut().enumerate() {
        let distance = u8::try_from(length - place - 1).unwrap_or(u8::MAX);
        if instruction.code == JUMP_IF_EQUAL {
            for way in [&mut instruction.if_true, &mut instruction.if_false] {
                *way = if *way == END { distance } else { *way };
            }
        }
    }
    program
}

/// Both halves of the argument, for the machine compares 32 bits.
fn compare(condition: Condition) -> Vec<Instruction> {
    let low = ARGUMENTS + u32::from(condition.argument) * 8;
    let halves = [(low, 0), (low + 4, 32)];
    let mut program = Vec::new();
    for (offset, shift) in halves {
        let [mask, value] = [condition.mask, condition.value].map(|number| half(number, shift));
        if mask == 0 {
            continue;
        }
        program.push(plain(LOAD, offset));
        if mask != u32::MAX {
            program.push(plain(AND, mask));
        }
        let (if_true, if_false) = if condition.is_equal { (0, END) } else { (END, 0) };
        program.push(Instruction { code: JUMP_IF_EQUAL, if_true, if_false, value });
    }
    program
}

fn half(number: u64, shift: u32) -> u32 {
    u32::try_from((number >> shift) & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}
