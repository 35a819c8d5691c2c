//! The system call filters: `policy/seccomp.txt` parsed and compiled once in the helper. Decides nothing by itself.

mod numbers;

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use crate::error::{At, Failure, Step};
use crate::seccomp::numbers::{Number, number};
use crate::sys;

const POLICY: &str = include_str!("../../../policy/seccomp.txt");

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCHITECTURE: u32 = 0xc000_00b7;

/// The first number of the x32 table; aarch64 has no calls that high.
const X32: u32 = 0x4000_0000;

/// Both filters, ready to install.
pub(crate) struct Filters {
    gate: BpfProgram,
    allowed: BpfProgram,
}

impl Filters {
    pub(crate) fn compile() -> Result<Self, Failure> {
        let allowed = compile(POLICY).map_err(|problem| Failure {
            step: Step::CompileFilter,
            errno: libc::EINVAL,
            detail: problem,
        })?;
        Ok(Self { gate: gate(), allowed })
    }

    /// Installs both on this thread, for good.
    pub(crate) fn install(&self) -> Result<(), Failure> {
        // The allow-list permits no further seccomp, so it comes last; the kernel asks both and takes the stricter.
        self.try_install().at(Step::InstallFilter, "")
    }

    fn try_install(&self) -> io::Result<()> {
        sys::install_filter(&self.gate)?;
        sys::install_filter(&self.allowed)
    }
}

/// Kills what comes from another architecture or the x32 table, and says that there is no clone3.
fn gate() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX);
    let enosys = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        instruction(LOAD, 0, 0, 4),
        instruction(JUMP_IF_EQUAL, 0, 3, AUDIT_ARCHITECTURE),
        instruction(LOAD, 0, 0, 0),
        instruction(JUMP_IF_AT_LEAST, 1, 0, X32),
        instruction(JUMP_IF_EQUAL, 1, 2, clone3),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(RETURN, 0, 0, enosys),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn compile(policy: &str) -> Result<BpfProgram, String> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules(policy)?, refuse, SeccompAction::Allow, architecture);
    filter.and_then(TryInto::try_into).map_err(|error| error.to_string())
}

/// For each call the rules of which one must hold; none means always.
fn rules(policy: &str) -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for line in policy.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (call, conditions) = parse_line(line).ok_or_else(|| format!("not understood: {line}"))?;
        let Number::Is(call) = number(call).ok_or_else(|| format!("unknown call: {line}"))? else { continue };
        let rules = rules.entry(call).or_default();
        if !conditions.is_empty() {
            rules.push(SeccompRule::new(conditions).map_err(|error| format!("{error}: {line}"))?);
        }
    }
    Ok(rules)
}

fn parse_line(line: &str) -> Option<(&str, Vec<SeccompCondition>)> {
    let (rule, reason) = line.split_once(" : ")?;
    if reason.trim().is_empty() {
        return None;
    }
    let Some((call, conditions)) = rule.split_once(" [") else { return Some((rule, Vec::new())) };
    let conditions: Option<Vec<_>> = conditions.strip_suffix(']')?.split(", ").map(parse_condition).collect();
    Some((call, conditions?))
}

fn parse_condition(text: &str) -> Option<SeccompCondition> {
    use SeccompCmpArgLen::{Dword, Qword};
    let words: Vec<&str> = text.split(' ').collect();
    let (length, operator, value) = match words[1..] {
        ["==", value] => (Qword, SeccompCmpOp::Eq, parse_number(value)?),
        ["==32", value] => (Dword, SeccompCmpOp::Eq, parse_number(value)?),
        ["&", mask, "==", value] => {
            (Qword, SeccompCmpOp::MaskedEq(parse_number(mask)?), parse_number(value)?)
        }
        _ => return None,
    };
    let argument = words[0].strip_prefix("arg")?.parse().ok()?;
    SeccompCondition::new(argument, length, operator, value).ok()
}

fn parse_number(text: &str) -> Option<u64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_compiles_within_the_kernels_limit() {
        let program = compile(POLICY).unwrap();
        assert!(program.len() < 4096, "{}", program.len());
    }

    #[test]
    fn the_policy_names_nothing_that_escapes() {
        let rules = rules(POLICY).unwrap();
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
            assert!(!rules.contains_key(&call), "{call}");
        }
        for guarded in
            [libc::SYS_clone, libc::SYS_ioctl, libc::SYS_socket, libc::SYS_prctl, libc::SYS_personality]
        {
            assert!(!rules[&guarded].is_empty(), "{guarded}");
        }
    }

    #[test]
    fn a_line_without_a_reason_or_with_an_unknown_call_is_refused() {
        assert!(rules("read : ").is_err());
        assert!(rules("read").is_err());
        assert!(rules("no_such_call : because").is_err());
        assert!(rules("read [arg9 == 1] : because").is_err());
    }
}
