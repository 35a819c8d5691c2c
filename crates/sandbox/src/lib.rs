//! An isolated process: namespaces, cgroups, seccomp and resource limits.
//!
//! A [`Launcher`] starts one helper process, this same program under the name [`HELPER_NAME`], which has one thread and
//! makes a [`Sandbox`] for each [`Spec`]. Everything here is synchronous. What a function is, what speaks inside a
//! sandbox and who may start one are not known here.
//!
//! The life of a launch: [`Launcher::launch`] sends the specification and three descriptors; the helper takes spare
//! namespaces and cgroups, forks the sandbox's first process, which builds the root around itself, drops all privileges
//! and forks the guest; when the guest's program runs, the helper answers.

mod enforcement;
mod error;
mod launcher;
mod sandbox;
mod spec;

mod cgroup;
mod helper;
mod init;
mod landlock;
mod limits;
mod memory;
mod namespace;
mod protocol;
mod root;
mod seccomp;
mod sys;

pub use enforcement::{Enforcement, EnforcementItem, EnforcementStatus, item};
pub use error::{Error, Step};
pub use helper::run_helper;
pub use launcher::{HELPER_NAME, Launcher};
pub use limits::raise_descriptor_limit;
pub use sandbox::{End, ExitStatus, Sandbox, Usage, read_exit};
pub use spec::{Cpu, MEGABYTES_PER_VCPU, Mount, Network, Options, Spec};
