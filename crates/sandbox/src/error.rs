//! What can go wrong, each with the step that failed and, where the operator can help, how.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a sandbox, or the helper that makes them, could not be had.
#[derive(Debug, Error)]
pub enum Error {
    /// The helper process could not be started.
    #[error("start the sandbox helper from {path}")]
    StartHelper {
        /// The program, which is this one.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The control socket to the helper failed.
    #[error("{action} the sandbox helper")]
    Control {
        /// What was attempted.
        action: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The helper process has ended; a new [`Launcher`](crate::Launcher) is needed, and all sandboxes are gone.
    #[error("the sandbox helper has ended, and all sandboxes with it")]
    HelperEnded,
    /// The helper did not answer in time.
    #[error("the sandbox helper did not answer within {seconds} s")]
    HelperSilent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The helper answered what is no answer.
    #[error("the sandbox helper gave an answer that cannot be read")]
    Protocol,
    /// The specification asks for something impossible.
    #[error("sandbox specification: {problem}")]
    Specification {
        /// What is wrong, with the field's name.
        problem: String,
    },
    /// The program itself could not be started: it is missing, not executable, or for another machine.
    #[error("execute {program} in the sandbox")]
    Execute {
        /// The program's path inside the sandbox.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A port inside a sandbox cannot be connected to.
    #[error("connect to port {port} in the sandbox")]
    Connect {
        /// The port.
        port: u16,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A step of the isolation failed.
    #[error("{step} ({call}){}", describe(detail))]
    Isolate {
        /// The step.
        step: Step,
        /// The system call behind it.
        call: &'static str,
        /// The path or name that it was about; may be empty.
        detail: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

fn describe(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

impl Error {
    /// What an operator can do about it, in a sentence, where there is something.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Isolate { step, .. } => step.remedy(),
            Self::HelperEnded | Self::HelperSilent { .. } => {
                Some("look for an out-of-memory kill of firelet-sandbox-helper in the kernel log")
            }
            Self::StartHelper { .. }
            | Self::Control { .. }
            | Self::Protocol
            | Self::Specification { .. }
            | Self::Connect { .. }
            | Self::Execute { .. } => None,
        }
    }

    pub(crate) fn control(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Control { action, source }
    }
}

/// What a process of ours could not do, in a form that travels over a pipe.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: i32,
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(step: Step, detail: impl Into<String>, source: &io::Error) -> Self {
        Self { step, errno: source.raw_os_error().unwrap_or(libc::EIO), detail: detail.into() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let source = io::Error::from_raw_os_error(failure.errno);
        match failure.step {
            Step::Execute => Self::Execute { program: failure.detail, source },
            step => Self::Isolate { step, call: step.call(), detail: failure.detail, source },
        }
    }
}

/// Names the step of a failed call, and what it was about.
pub(crate) trait At<T> {
    fn at(self, step: Step, detail: &str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: Step, detail: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step, detail, &error.into()))
    }
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident: $text:literal, $call:literal;)*) => {
        /// A step on the way into a sandbox.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Step { $(#[doc = $text] $name,)* }

        impl Step {
            const ALL: &[Self] = &[$(Self::$name,)*];

            fn text(self) -> &'static str { match self { $(Self::$name => $text,)* } }

            fn call(self) -> &'static str { match self { $(Self::$name => $call,)* } }
        }
    };
}

steps! {
    LockScratch: "lock the scratch directory", "flock";
    CreateUserNamespace: "create a user namespace", "clone CLONE_NEWUSER";
    MapUsers: "map the sandbox's users", "write uid_map";
    CreateMountNamespace: "create a mount namespace", "unshare CLONE_NEWNS";
    CreateNamespaces: "create the sandbox's namespaces", "clone";
    CreateNetwork: "create a network namespace", "clone CLONE_NEWNET";
    RaiseLoopback: "bring up loopback", "ioctl SIOCSIFFLAGS";
    Listen: "listen on 127.0.0.1:9001 in the sandbox's network", "listen";
    StartFirstProcess: "start the sandbox's first process", "recvmsg";
    EnterSandbox: "enter the sandbox's namespaces", "setns";
    LeaveSandbox: "leave the sandbox's namespaces", "setns";
    RouteOutside: "make every address reach the sandbox's loopback", "rtnetlink";
    ListenOutside: "listen in the sandbox's network for what goes outside", "listen";
    FilterOutside: "install the rules of the sandbox's network", "nf_tables";
    QueueOutside: "queue the packets of the sandbox's network", "nfnetlink_queue";
    EnterNetwork: "enter the sandbox's network namespace", "setns CLONE_NEWNET";
    SetHostName: "set the host name", "sethostname";
    BuildRoot: "build the sandbox's root", "mount";
    OpenMountSource: "open the directory to mount", "open_tree";
    RestrictMount: "make the mount read-only", "mount_setattr";
    Mount: "mount into the sandbox", "move_mount";
    MountTmp: "mount /tmp", "mount tmpfs";
    MountProc: "mount /proc", "mount proc";
    MaskProc: "mask a file of /proc", "move_mount";
    PivotRoot: "make the sandbox's root the root", "pivot_root";
    DetachHost: "detach the host's root", "umount2";
    CreateCgroup: "create a cgroup", "mkdir";
    LimitCgroup: "set a cgroup limit", "write";
    JoinCgroup: "join the cgroup", "write tasks";
    CreateCgroupNamespace: "create a cgroup namespace", "unshare CLONE_NEWCGROUP";
    Fork: "start the sandbox's program", "clone";
    CloseDescriptors: "close inherited descriptors", "close_range";
    Redirect: "redirect standard output", "dup2";
    StartSession: "start a session", "setsid";
    EnterUserNamespace: "enter the sandbox's user namespace", "setns CLONE_NEWUSER";
    ChangeUser: "become the sandbox's user", "setresuid";
    SetResourceLimit: "set a resource limit", "setrlimit";
    DropCapabilities: "drop all capabilities", "capset";
    ForbidPrivileges: "forbid new privileges", "prctl PR_SET_NO_NEW_PRIVS";
    CompileFilter: "compile the system call filter", "policy/seccomp.txt";
    RestrictWrites: "restrict where the sandbox writes", "landlock_restrict_self";
    InstallFilter: "install the system call filter", "seccomp";
    ResetSignals: "reset signals", "sigprocmask";
    WatchHelper: "tie the sandbox's life to the helper's", "prctl PR_SET_PDEATHSIG";
    EnterDirectory: "enter the working directory", "chdir";
    Execute: "execute the program", "execve";
    TakeUser: "take a free user id: every one of the range is in use", "user id range";
    Watch: "watch the sandbox", "epoll_ctl";
    ReadRequest: "read the request", "recvmsg";
    OpenSocket: "open a socket in the sandbox's network", "socket";
    Tell: "tell the sandbox what to do", "sendmsg";
    Capture: "capture the sandbox's main process", "ptrace";
    Restore: "restore a captured process", "ptrace";
}

impl Step {
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    fn remedy(self) -> Option<&'static str> {
        match self {
            Self::CreateUserNamespace | Self::MapUsers => Some(
                "allow unprivileged user namespaces (sysctl user.max_user_namespaces above 0; \
                 kernel.unprivileged_userns_clone=1 on Debian; kernel.apparmor_restrict_unprivileged_userns=0 on \
                 Ubuntu), or run firelet as root",
            ),
            Self::RestrictMount => Some("firelet needs Linux 5.12 or newer for mount_setattr"),
            Self::LockScratch => Some("another firelet serves the same data directory; stop it first"),
            Self::TakeUser => {
                Some("give firelet a larger range of user ids, or lower the number of environments")
            }
            Self::CreateMountNamespace | Self::CreateNamespaces | Self::CreateNetwork => Some(
                "run firelet as root, or allow unprivileged user namespaces; in a container, allow unshare and mount",
            ),
            Self::FilterOutside | Self::QueueOutside => Some(
                "load what the network mode nat needs of the kernel: `modprobe -a nf_tables nft_tproxy nft_queue \
                 nfnetlink_queue`; or use another mode",
            ),
            Self::Capture | Self::Restore => {
                Some("allow tracing: sysctl kernel.yama.ptrace_scope below 3; in a container, allow ptrace")
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_survives_the_pipe() {
        for step in Step::ALL {
            assert_eq!(Step::from_code(step.code()), Some(*step));
        }
        assert_eq!(Step::from_code(u8::MAX), None);
    }

    #[test]
    fn an_error_names_step_call_and_path() {
        let source = io::Error::from_raw_os_error(libc::ENOENT);
        let error = Error::from(Failure::new(Step::OpenMountSource, "/nowhere", &source));
        assert_eq!(error.to_string(), "open the directory to mount (open_tree): /nowhere");
    }
}
