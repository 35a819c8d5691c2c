use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::program::{AND, JUMP, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, LOAD, RETURN};
use super::*;

const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | 1;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | 38;

/// Runs a filter as the kernel does.
fn run(program: &[Instruction], call: u32, architecture: u32, arguments: [u64; 6]) -> u32 {
    let mut data = [call.to_le_bytes(), architecture.to_le_bytes(), [0; 4], [0; 4]].concat();
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    let (mut place, mut accumulator) = (0, 0_u32);
    loop {
        let Instruction { code, if_true, if_false, value } = program[place];
        place += 1;
        let skip = |condition| usize::from(if condition { if_true } else { if_false });
        match code {
            LOAD => {
                let offset = value as usize;
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            AND => accumulator &= value,
            JUMP => place += value as usize,
            JUMP_IF_EQUAL => place += skip(accumulator == value),
            JUMP_IF_AT_LEAST => place += skip(accumulator >= value),
            0x25 => place += skip(accumulator > value),
            RETURN => return value,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn decide(call: libc::c_long, arguments: [u64; 6]) -> u32 {
    run(&Filter::compile().unwrap().0, u32::try_from(call).unwrap(), AUDIT_ARCHITECTURE, arguments)
}

/// The same policy through seccompiler, which knows only to allow or to refuse.
fn reference() -> Vec<Instruction> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, decision) in parse(POLICY).unwrap() {
        match decision {
            Decision::Always(Answer::Allow) => drop(rules.insert(call.into(), Vec::new())),
            Decision::Always(_) => {}
            Decision::When(alternatives) => {
                let alternatives = alternatives.iter().map(|conditions| {
                    let condition = |condition: &Condition| {
                        let (length, operator) = if condition.is_equal {
                            (SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(condition.mask))
                        } else {
                            (SeccompCmpArgLen::Dword, SeccompCmpOp::Ne)
                        };
                        SeccompCondition::new(condition.argument, length, operator, condition.value)
                    };
                    SeccompRule::new(conditions.iter().map(|one| condition(one).unwrap()).collect()).unwrap()
                });
                rules.insert(call.into(), alternatives.collect());
            }
        }
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter =
        SeccompFilter::new(rules, SeccompAction::Errno(1), SeccompAction::Allow, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let convert = |instruction: &seccompiler::sock_filter| Instruction {
        code: instruction.code,
        if_true: instruction.jt,
        if_false: instruction.jf,
        value: instruction.k,
    };
    program.iter().map(convert).collect()
}

#[test]
fn every_call_is_decided_as_by_seccompiler() {
    let (ours, reference) = (Filter::compile().unwrap().0, reference());
    let interesting =
        [0, 1, 2, 4, 10, 16, 38, 0x1000, 0x2000, 0x5401, 0x5412, 0x1_0000_5401, 0x1000_0011, u64::MAX];
    for call in 0..600 {
        for first in interesting {
            for second in interesting {
                let arguments = [first, second, 0, 0, 0, 0];
                let expected = run(&reference, call, AUDIT_ARCHITECTURE, arguments);
                let expected = if i64::from(call) == libc::SYS_clone3 { ENOSYS } else { expected };
                assert_eq!(
                    run(&ours, call, AUDIT_ARCHITECTURE, arguments),
                    expected,
                    "{call} {first} {second}"
                );
            }
        }
    }
}

#[test]
fn the_program_is_short() {
    let length = Filter::compile().unwrap().0.len();
    assert!(length < 400, "{length}");
}

#[test]
fn foreign_architectures_and_the_x32_table_kill() {
    let program = Filter::compile().unwrap().0;
    for foreign in [0, 3, 0x4000_0003, 0x4000_0028, 0xc000_0016] {
        assert_eq!(run(&program, 0, foreign, [0; 6]), KILL);
    }
    for call in [X32, X32 + 1, X32 + 511, u32::MAX] {
        assert_eq!(run(&program, call, AUDIT_ARCHITECTURE, [0; 6]), KILL);
    }
    assert_eq!(run(&program, X32 - 1, AUDIT_ARCHITECTURE, [0; 6]), EPERM);
}

#[test]
fn nothing_that_escapes_is_allowed() {
    for call in [
        libc::SYS_ptrace,
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_keyctl,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_io_uring_setup,
        libc::SYS_userfaultfd,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_process_vm_writev,
        libc::SYS_open_by_handle_at,
        libc::SYS_seccomp,
    ] {
        assert_eq!(decide(call, [0; 6]), EPERM, "{call}");
    }
    assert_eq!(decide(libc::SYS_clone3, [0; 6]), ENOSYS);
}

#[test]
fn conditions_see_all_64_bits_where_the_kernel_does() {
    assert_eq!(decide(libc::SYS_ioctl, [0, 0x5401, 0, 0, 0, 0]), ALLOW);
    assert_eq!(decide(libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0]), EPERM);
    assert_eq!(decide(libc::SYS_ioctl, [0, 0x1_0000_5401, 0, 0, 0, 0]), EPERM);
    assert_eq!(decide(libc::SYS_clone, [0x003d_0f00, 0, 0, 0, 0, 0]), ALLOW);
    for flag in [0x20000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x80]
    {
        assert_eq!(decide(libc::SYS_clone, [flag | 17, 0, 0, 0, 0, 0]), EPERM, "{flag:#x}");
    }
    assert_eq!(decide(libc::SYS_socket, [16, 3, 0, 0, 0, 0]), ALLOW);
    assert_eq!(decide(libc::SYS_socket, [16, 3, 9, 0, 0, 0]), EPERM);
}

#[test]
fn the_first_process_is_out_of_reach() {
    let table = [
        (libc::SYS_prlimit64, [0, 7, 0, 0, 0, 0], [1, 7, 0, 0, 0, 0]),
        (libc::SYS_prlimit64, [0, 7, 0, 0, 0, 0], [0x7_0000_0001, 7, 0, 0, 0, 0]),
        (libc::SYS_sched_setscheduler, [2, 5, 0, 0, 0, 0], [1, 5, 0, 0, 0, 0]),
        (libc::SYS_sched_setattr, [2, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]),
        (libc::SYS_setpriority, [0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]),
        (libc::SYS_setpriority, [0, 2, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0]),
    ];
    for (call, allowed, refused) in table {
        assert_eq!((decide(call, allowed), decide(call, refused)), (ALLOW, EPERM), "{call}");
    }
}

#[test]
fn a_line_that_is_not_understood_is_refused() {
    for line in [
        "read : ",
        "read",
        "no_such_call : because",
        "read [arg9 == 1] : because",
        "read [arg0 & 1 == 2] : because",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
    assert!(parse("read : because\nread : again").is_err());
}
