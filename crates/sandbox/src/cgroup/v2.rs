//! The files of cgroup version 2.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::cgroup::{Controller, Limits, Member, MemoryFiles, make_directory, quota, weight, write_file};
use crate::error::Failure;
use crate::memory;
use crate::sandbox::GaugeKind;

const PERIOD: u64 = 100_000;

/// Makes the base directory and hands down to it the wanted controllers that are offered; answers those.
pub(super) fn claim(parent: &Path, base: &Path, wanted: &[Controller]) -> io::Result<Vec<Controller>> {
    let offered = fs::read_to_string(parent.join("cgroup.controllers"))?;
    let offered: Vec<Controller> = wanted
        .iter()
        .copied()
        .filter(|controller| offered.split_whitespace().any(|name| name == controller.kernel_name()))
        .collect();
    if offered.is_empty() {
        make_directory(base)?;
        return Ok(offered);
    }
    let enable = offered
        .iter()
        .map(|controller| format!("+{}", controller.kernel_name()))
        .collect::<Vec<_>>()
        .join(" ");
    hand_down(parent, &enable)?;
    make_directory(base)?;
    write_file(&base.join("cgroup.subtree_control"), &enable)?;
    Ok(offered)
}

/// A cgroup with processes in it cannot hand controllers down. If they are all firelet's own, they move aside first.
fn hand_down(parent: &Path, enable: &str) -> io::Result<()> {
    let control = parent.join("cgroup.subtree_control");
    match write_file(&control, enable) {
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) && is_all_ours(parent)? => {
            let aside = parent.join("firelet-server");
            make_directory(&aside)?;
            for process in members(parent)? {
                write_file(&aside.join("cgroup.procs"), &process.to_string())?;
            }
            write_file(&control, enable)
        }
        other => other,
    }
}

fn is_all_ours(directory: &Path) -> io::Result<bool> {
    let ours = [std::process::id(), std::os::unix::process::parent_id()];
    Ok(members(directory)?.iter().all(|process| ours.contains(process)))
}

fn members(directory: &Path) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(directory.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

pub(super) fn limit(member: &Member, controller: Controller, limits: Limits) -> Result<(), Failure> {
    match controller {
        Controller::Memory => {
            member.write("memory.max", &limits.hard_memory().to_string())?;
            member.write("memory.high", &memory::first_level(limits.memory_bytes).to_string())?;
            member.write_if_there("memory.oom.group", "1")?;
            member.write_if_there("memory.swap.max", "0")
        }
        Controller::Cpu => {
            member.write("cpu.weight", &weight(limits.cpu, 100, 1, 10_000).to_string())?;
            member.write_if_there("cpu.max", &format!("{} {PERIOD}", quota(limits.cpu, PERIOD)))
        }
        Controller::Processes => member.write("pids.max", &limits.processes.to_string()),
    }
}

pub(super) fn memory_files(member: &Member) -> Result<MemoryFiles, Failure> {
    let [peak, current, statistics] = gauge_files(member)?;
    let level = member.open("memory.high", true)?;
    let events = Some(member.open("memory.events", false)?);
    Ok(MemoryFiles { kind: GaugeKind::V2, peak, current, statistics, level, events })
}

/// `memory.peak` came with Linux 5.19; before it the current value is all there is.
pub(super) fn gauge_files(member: &Member) -> Result<[OwnedFd; 3], Failure> {
    let peak = if member.path.join("memory.peak").exists() { "memory.peak" } else { "memory.current" };
    Ok([member.open(peak, false)?, member.open("memory.current", false)?, member.open("memory.stat", false)?])
}
