//! What this host lets us enforce, item by item, for `firelet doctor` and the start-up log.

/// Everything that a sandbox should enforce, and whether it does here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// One line each, in the order to print them.
    pub items: Vec<EnforcementItem>,
}

/// One thing that a sandbox should enforce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnforcementItem {
    /// What it is, in a few words.
    pub name: String,
    /// Whether it is enforced.
    pub status: EnforcementStatus,
}

/// Whether something is enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnforcementStatus {
    /// Fully.
    Enforced,
    /// Less than it should be, for this reason.
    Limited(String),
    /// Not at all.
    NotEnforced {
        /// The reason.
        why: String,
        /// What the operator can do.
        remedy: String,
    },
}

impl Enforcement {
    /// Whether every item is fully enforced.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.items.iter().all(|item| item.status == EnforcementStatus::Enforced)
    }

    /// The status of the item with this name.
    #[must_use]
    pub fn status(&self, name: &str) -> Option<&EnforcementStatus> {
        self.items.iter().find(|item| item.name == name).map(|item| &item.status)
    }
}

/// The names of the items.
pub mod item {
    /// Its own user namespace: no identity of the host inside.
    pub const USER_NAMESPACE: &str = "user namespace";
    /// Its own mounts, pivoted into a minimal read-only root.
    pub const MOUNT_NAMESPACE: &str = "mount namespace";
    /// Its own process numbers; nothing outlives the sandbox.
    pub const PROCESS_NAMESPACE: &str = "pid namespace";
    /// Its own network.
    pub const NETWORK_NAMESPACE: &str = "network namespace";
    /// The ways out of its own network; only where they were asked for.
    pub const OUTSIDE: &str = "ways outside of its network";
    /// Its own System V and POSIX IPC.
    pub const IPC_NAMESPACE: &str = "ipc namespace";
    /// Its own host name.
    pub const HOST_NAME_NAMESPACE: &str = "uts namespace";
    /// Its own view of cgroups.
    pub const CGROUP_NAMESPACE: &str = "cgroup namespace";
    /// A host user of its own for every sandbox.
    pub const OWN_USERS: &str = "own user id for each sandbox";
    /// No supplementary groups.
    pub const GROUPS: &str = "no supplementary groups";
    /// Owners of system files shown as root.
    pub const FILE_OWNERS: &str = "file owners shown as root";
    /// A `/proc` of its own, with host secrets masked.
    pub const PROC: &str = "own /proc";
    /// Empty capability sets.
    pub const CAPABILITIES: &str = "no capabilities";
    /// No privileges from setuid programs.
    pub const NO_NEW_PRIVILEGES: &str = "no new privileges";
    /// The allow-list of system calls.
    pub const SYSTEM_CALLS: &str = "system call allow-list";
    /// Landlock: writes in `/tmp` only, whatever the mounts say.
    pub const WRITES: &str = "writes restricted by landlock";
    /// The memory limit.
    pub const MEMORY: &str = "memory limit";
    /// The processor share and cap.
    pub const CPU: &str = "cpu limit";
    /// The limit on processes.
    pub const PROCESSES: &str = "process limit";
    /// Processes can be stopped as a whole, and go on.
    pub const FREEZER: &str = "freezing while idle";
    /// The size of `/tmp`.
    pub const TMP: &str = "/tmp size";
    /// No inherited descriptors, and at most 1,024 of them.
    pub const DESCRIPTORS: &str = "descriptor limit";
}
