//! The system call filter: `policy/seccomp.txt`, parsed and compiled once in the helper. Decides nothing by itself.

mod numbers;
mod program;

use std::collections::BTreeMap;

use crate::error::{At, Failure, Step};
use crate::seccomp::numbers::{Number, number};
use crate::seccomp::program::{Answer, Condition, Decision};
use crate::sys;

pub(crate) use crate::seccomp::program::Instruction;

const POLICY: &str = include_str!("../../../policy/seccomp.txt");

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCHITECTURE: u32 = 0xc000_00b7;

/// The first number of the x32 table; no other table has calls that high.
const X32: u32 = 0x4000_0000;
const ARGUMENTS: u8 = 6;

/// The filter, ready to install.
pub(crate) struct Filter(Vec<Instruction>);

impl Filter {
    pub(crate) fn compile() -> Result<Self, Failure> {
        let calls = parse(POLICY).map_err(|problem| Failure {
            step: Step::CompileFilter,
            errno: libc::EINVAL,
            detail: problem,
        })?;
        Ok(Self(program::assemble(AUDIT_ARCHITECTURE, X32, &calls)))
    }

    /// The program as the kernel takes it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bytes = |instruction: &Instruction| {
            let [a, b] = instruction.code.to_ne_bytes();
            let [c, d, e, f] = instruction.value.to_ne_bytes();
            [a, b, instruction.if_true, instruction.if_false, c, d, e, f]
        };
        self.0.iter().flat_map(bytes).collect()
    }

    /// Installs it on this thread, for good.
    pub(crate) fn install(&self) -> Result<(), Failure> {
        sys::install_filter(&self.0).at(Step::InstallFilter, "")
    }
}

/// How each call that the policy names is decided.
fn parse(policy: &str) -> Result<BTreeMap<u32, Decision>, String> {
    let mut calls = BTreeMap::new();
    for line in policy.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let rule = parse_line(line).ok_or_else(|| format!("not understood: {line}"))?;
        let known = number(rule.call).ok_or_else(|| format!("unknown call: {line}"))?;
        let Number::Is(call) = known else { continue };
        let call = u32::try_from(call).map_err(|error| format!("{error}: {line}"))?;
        add(&mut calls, call, rule).ok_or_else(|| format!("contradicts an earlier line: {line}"))?;
    }
    Ok(calls)
}

fn add(calls: &mut BTreeMap<u32, Decision>, call: u32, rule: Rule<'_>) -> Option<()> {
    match (calls.get_mut(&call), rule.effect) {
        (None, Effect::Always(answer)) => {
            calls.insert(call, Decision::Always(answer));
        }
        (None, Effect::When(conditions)) => {
            calls.insert(call, Decision::When(vec![conditions]));
        }
        (Some(Decision::When(alternatives)), Effect::When(conditions)) => alternatives.push(conditions),
        (Some(_), _) => return None,
    }
    Some(())
}

struct Rule<'a> {
    call: &'a str,
    effect: Effect,
}

enum Effect {
    Always(Answer),
    When(Vec<Condition>),
}

fn parse_line(line: &str) -> Option<Rule<'_>> {
    let (rule, reason) = line.split_once(" : ")?;
    if reason.trim().is_empty() {
        return None;
    }
    if let Some(call) = rule.strip_suffix(" = ENOSYS") {
        return Some(Rule { call, effect: Effect::Always(Answer::Refuse(libc::ENOSYS)) });
    }
    let Some((call, conditions)) = rule.split_once(" [") else {
        return Some(Rule { call: rule, effect: Effect::Always(Answer::Allow) });
    };
    let conditions: Option<Vec<_>> = conditions.strip_suffix(']')?.split(", ").map(parse_condition).collect();
    Some(Rule { call, effect: Effect::When(conditions?) })
}

fn parse_condition(text: &str) -> Option<Condition> {
    let words: Vec<&str> = text.split(' ').collect();
    let argument = words[0].strip_prefix("arg")?.parse().ok().filter(|argument| *argument < ARGUMENTS)?;
    let half = u64::from(u32::MAX);
    let (mask, is_equal, value) = match words[1..] {
        ["==", value] => (u64::MAX, true, parse_number(value)?),
        ["==32", value] => (half, true, parse_number(value)?),
        ["!=32", value] => (half, false, parse_number(value)?),
        ["&", mask, "==", value] => (parse_number(mask)?, true, parse_number(value)?),
        _ => return None,
    };
    (value & !mask == 0).then_some(Condition { argument, mask, is_equal, value })
}

fn parse_number(text: &str) -> Option<u64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests;
