//! What to launch, as plain data. Nothing here touches the system.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::snapshot::Snapshot;

/// How a [`Launcher`](crate::Launcher) works.
#[derive(Clone, Debug)]
pub struct Options {
    /// A short id of the data directory, of letters, digits, `-` and `_`. It names the cgroups, so that a restart
    /// reaps the leftovers of the same data directory and of no other.
    pub instance: String,
    /// An existing empty directory to mount the sandboxes' root on (in a mount namespace that nobody else sees).
    pub scratch: PathBuf,
    /// The first host user id of the range that sandboxes get their users from. Used as root only.
    pub first_user_id: u32,
    /// How many user ids the range has: one for the owner of system files, and one for each sandbox at a time.
    pub user_id_count: u32,
    /// What sandboxes with a network of their own reach of the outside.
    pub outside: Outside,
}

/// What sandboxes with a network of their own reach of the outside, through [`Ways`](crate::network::Ways).
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Whether there may be sandboxes with [`Network::Nat`].
    pub nat: bool,
    /// Where the server listens inside, in the place of whoever has this address outside; at most
    /// [`HOSTS`](crate::network::HOSTS).
    pub hosts: Vec<SocketAddr>,
}

/// One isolated process.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The environment's id, of letters, digits, `-`, `_` and `.`: it appears in errors.
    pub id: String,
    /// The program (an absolute path inside the sandbox), and its arguments.
    pub argv: Vec<OsString>,
    /// The whole environment of the program.
    pub environment: Vec<(String, String)>,
    /// Where the program starts, inside the sandbox.
    pub working_directory: PathBuf,
    /// What the program sees besides the system's own directories.
    pub mounts: Vec<Mount>,
    /// The most memory that the processes may have together. Files in `/tmp` do not count.
    pub memory_bytes: u64,
    /// The size of `/tmp`.
    pub tmp_bytes: u64,
    /// The share of the processor.
    pub cpu: Cpu,
    /// The most processes and threads at a time.
    pub processes: u32,
    /// The network that the program sees.
    pub network: Network,
    /// The [`Template`] of which a sandbox will do that was prepared ahead, if one is there. Its program is told
    /// [`environment`](Self::environment); arguments and working directory are its own.
    pub template: Option<String>,
    /// The captured process to go on with, in place of a program: then `argv`, `environment`, `working_directory` and
    /// `template` mean nothing. The mounts must be those of the sandbox that it was captured in. A sandbox that is made anew does
    /// not take one.
    pub snapshot: Option<Snapshot>,
}

/// Another program for a sandbox that is there.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program (an absolute path inside the sandbox), and its arguments.
    pub argv: Vec<OsString>,
    /// The whole environment of the program.
    pub environment: Vec<(String, String)>,
    /// Where the program starts, inside the sandbox.
    pub working_directory: PathBuf,
}

/// A program that waits in sandboxes of its own until a launch has use for it.
///
/// Its standard input is a `SOCK_SEQPACKET` socket. Once it is ready it writes one byte there; then it waits for one
/// packet: the environment of the launch, each variable as `NAME=value` and a NUL. End of file says that nobody will use
/// it. By then the launch's mounts are there and its limits hold.
#[derive(Clone, Debug)]
pub struct Template {
    /// What launches name it by.
    pub name: String,
    /// The program and how it starts.
    pub program: Program,
    /// A program that forks what [`program`](Self::program) would become, in place of starting that.
    ///
    /// It has the rights of the helper itself, so no byte of a tenant may ever get there. On standard input it writes one
    /// byte once it is ready, and is told what to fork into which sandbox; see `runtimes/python/firelet_runtime/zygote.py`.
    pub zygote: Option<Program>,
    /// What it needs of the host; part of what launches mount.
    pub mounts: Vec<Mount>,
    /// How many to keep waiting.
    pub count: usize,
}

/// How many programs of a [`Template`] wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    /// The template's name.
    pub name: String,
    /// How many shall wait.
    pub wanted: usize,
    /// How many do.
    pub waiting: usize,
    /// What those hold together, in bytes; zero where the host does not count it.
    pub memory_bytes: u64,
}

/// A directory or file of the host, shown inside the sandbox, read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The absolute path on the host.
    pub source: PathBuf,
    /// The absolute path inside: one of `/var/task`, `/opt`, `/var/runtime`, `/var/lang`, `/mnt`, or below a mount
    /// that stands earlier in the list. It must exist there.
    pub target: PathBuf,
}

/// The share of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Weight against the other sandboxes; 1,769 stands for one vCPU, as megabytes of memory do on Lambda.
    pub share: u32,
    /// The most processor time, in thousandths of one vCPU.
    pub cap_milli: u32,
}

/// Memory, in megabytes, that buys one vCPU.
pub const MEGABYTES_PER_VCPU: u32 = 1769;

impl Cpu {
    /// The share that a function of this memory size has: weight in proportion, and at least one vCPU to burst to.
    #[must_use]
    pub fn for_memory(megabytes: u32) -> Self {
        let milli = u64::from(megabytes) * 1000 / u64::from(MEGABYTES_PER_VCPU);
        Self { share: megabytes.max(1), cap_milli: u32::try_from(milli.max(1000)).unwrap_or(u32::MAX) }
    }
}

/// The network that a sandboxed program sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Its own, with nothing but loopback.
    Isolated,
    /// Its own, from which the server makes connections for it.
    Nat,
    /// The host's.
    Host,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_function_may_burst_to_one_vcpu_and_a_large_one_has_more() {
        assert_eq!(Cpu::for_memory(128), Cpu { share: 128, cap_milli: 1000 });
        assert_eq!(Cpu::for_memory(3538), Cpu { share: 3538, cap_milli: 2000 });
        assert_eq!(Cpu::for_memory(10_240).cap_milli, 5788);
    }
}
