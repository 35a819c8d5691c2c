//! Resource limits of the guest, as on Lambda (`setrlimit`). What cgroups bound stays unlimited here.

use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit};

use crate::error::{At, Failure, Step};

/// Descriptors that a function may have open, as on Lambda.
const DESCRIPTORS: u64 = 1024;
/// Memory that a function may lock, as on Lambda.
const LOCKED_MEMORY: u64 = 65_536;
/// Bytes in POSIX message queues: none are mounted.
const MESSAGE_QUEUES: u64 = 0;
/// Signals that may be queued.
const PENDING_SIGNALS: u64 = 4096;

/// Sets the guest's limits, but for [`bound_processes`].
pub(crate) fn apply() -> Result<(), Failure> {
    let fixed = [
        (Resource::Nofile, DESCRIPTORS),
        (Resource::Memlock, LOCKED_MEMORY),
        (Resource::Msgqueue, MESSAGE_QUEUES),
        (Resource::Sigpending, PENDING_SIGNALS),
        (Resource::Core, 0),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    for (resource, value) in fixed {
        lower(resource, value)?;
    }
    Ok(())
}

/// Sets how many processes and threads the guest's user may have.
pub(crate) fn bound_processes(processes: u32) -> Result<(), Failure> {
    lower(Resource::Nproc, processes.into())
}

/// How much before others the helper and first processes run: they work for microseconds, and busy guests would make
/// every launch, and every memory verdict, wait in between.
const HASTE: i32 = 10;

/// How much after others a thread works that has others' work to do.
const LEISURE: i32 = 5;

/// Lets the helper run before guests, if the host allows; answers the niceness that guests shall have.
pub(crate) fn hasten() -> i32 {
    let niceness = getpriority_process(None).unwrap_or(0);
    let _ = setpriority_process(None, niceness - HASTE);
    // Where the kernel groups processes by session, which the helper has of its own, niceness counts within it only.
    let _ = std::fs::write("/proc/self/autogroup", (niceness - HASTE).to_string());
    niceness
}

/// Gives the guest its niceness, before it could run a program.
pub(crate) fn stop_haste(niceness: i32) -> Result<(), Failure> {
    setpriority_process(None, niceness).at(Step::SetResourceLimit, "niceness")
}

/// Has this thread give way to the others of the process, and to functions.
pub fn give_way() {
    let niceness = getpriority_process(None).unwrap_or(0);
    // A refusal leaves it as it was, which only costs others some time.
    let _ = setpriority_process(None, niceness + LEISURE);
}

/// Sets a limit, or keeps the hard limit that is lower already.
fn lower(resource: Resource, value: u64) -> Result<(), Failure> {
    let value = getrlimit(resource).maximum.map_or(value, |maximum| maximum.min(value));
    let limit = Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(resource, limit).at(Step::SetResourceLimit, &format!("{resource:?}"))
}

/// Lets this process hold as many descriptors as the host allows, and says how many: helper and server have a few for
/// each sandbox.
pub fn raise_descriptor_limit() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // A refusal leaves the limit as it was, and launches beyond it fail with their own error.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
