//! The files of cgroup version 1.

use std::os::fd::OwnedFd;

use crate::cgroup::{Controller, Limits, Member, MemoryFiles, quota, weight};
use crate::error::Failure;
use crate::sandbox::GaugeKind;

/// What a new cgroup has, in microseconds.
const PERIOD: u64 = 100_000;

pub(super) fn limit(member: &Member, controller: Controller, limits: Limits) -> Result<(), Failure> {
    match controller {
        Controller::Memory => {
            let bytes = limits.hard_memory().to_string();
            member.write("memory.limit_in_bytes", &bytes)?;
            // Socket buffers are counted apart, and not at all without a limit.
            member.write_if_there("memory.kmem.tcp.limit_in_bytes", &limits.memory_bytes.to_string())?;
            member.write_if_there("memory.memsw.limit_in_bytes", &bytes)
        }
        Controller::Cpu => {
            member.write("cpu.shares", &weight(limits.cpu, 1024, 2, 262_144).to_string())?;
            member.write_if_there("cpu.cfs_quota_us", &quota(limits.cpu, PERIOD).to_string())
        }
        Controller::Processes => member.write("pids.max", &limits.processes.to_string()),
    }
}

pub(super) fn memory_files(member: &Member) -> Result<MemoryFiles, Failure> {
    let [peak, current, statistics] = gauge_files(member)?;
    let level = member.open("cgroup.event_control", true)?;
    Ok(MemoryFiles { kind: GaugeKind::V1, peak, current, statistics, level, events: None })
}

pub(super) fn gauge_files(member: &Member) -> Result<[OwnedFd; 3], Failure> {
    Ok([
        member.open("memory.max_usage_in_bytes", false)?,
        member.open("memory.usage_in_bytes", false)?,
        member.open("memory.stat", false)?,
    ])
}
