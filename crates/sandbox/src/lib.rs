//! An isolated process: namespaces, cgroups, seccomp and resource limits.
//!
//! A [`Launcher`] starts one helper process, this same program under the name [`HELPER_NAME`], which has one thread and
//! makes a [`Sandbox`] for each [`Spec`]. Everything here is synchronous. What a function is, what speaks inside a
//! sandbox and who may start one are not known here.
//!
//! The life of a sandbox: while nobody wants one, the helper makes a user, a network and cgroups, forks the first process,
//! which builds the root around itself and drops all privileges, and forks a guest into it, which drops its own and waits.
//! [`Launcher::launch`] sends the specification and a channel; the helper sets the limits, mounts the code, and tells the
//! guest its program; when that runs, the helper answers. A [`Template`] is a program that is started before that, and is
//! told only its environment. Over the channel the server asks for more of the same sandbox; its end ends the sandbox.
//!
//! A [`Snapshot`] is the main process of a sandbox, written down; a launch from it goes on where that stood.

mod enforcement;
mod error;
mod launcher;
mod sandbox;
mod spec;

mod census;
mod cgroup;
mod guest;
mod helper;
mod host_memory;
mod init;
mod landlock;
mod limits;
mod looks;
mod memory;
mod namespace;
pub mod network;
mod protocol;
mod resident;
mod root;
mod seccomp;
mod snapshot;
mod sys;
mod watch;

pub use enforcement::{Enforcement, EnforcementItem, EnforcementStatus, item};
pub use error::{Error, Step};
pub use helper::run_helper;
pub use host_memory::{HostMemory, MemoryGauge};
pub use launcher::{HELPER_NAME, Launcher};
pub use limits::{give_way, raise_descriptor_limit};
pub use resident::release_code;
pub use sandbox::{End, ExitStatus, Process, Sandbox, Usage, read_exit};
pub use snapshot::{Snapshot, SnapshotError};
pub use spec::{Cpu, MEGABYTES_PER_VCPU, Mount, Network, Options, Outside, Program, Spec, Stock, Template};
