//! The helper's start: shed what came from the server, find out what this host allows, build the root.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::net::RecvFlags;
use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::cgroup::{Cgroups, Controller};
use crate::enforcement::{Enforcement, EnforcementItem, EnforcementStatus, item};
use crate::error::{At, Error, Failure, Step};
use crate::guest::FAILURE_LENGTH;
use crate::helper::home::Home;
use crate::helper::parts::Slots;
use crate::landlock::Writes;
use crate::limits;
use crate::looks;
use crate::namespace::{self, Users};
use crate::network::Outlets;
use crate::protocol::{self, MESSAGE_LIMIT};
use crate::root::{self, Root};
use crate::seccomp::Filter;
use crate::spec::Options;
use crate::sys::{self, Forked, SingleThread};

/// How long a helper before us may take to clean up.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(5);

/// What all sandboxes stand on.
pub(super) struct Ground {
    pub(super) proof: SingleThread,
    pub(super) home: Home,
    pub(super) users: Users,
    pub(super) user_namespaces: bool,
    pub(super) proc: bool,
    pub(super) guest_niceness: i32,
    pub(super) root: Root,
    pub(super) filter: Filter,
    pub(super) writes: Option<Writes>,
    pub(super) outlets: Outlets,
    pub(super) cgroups: Cgroups,
    pub(super) slots: Slots,
    /// Locked as long as the helper lives.
    _scratch: OwnedFd,
}

/// Starts, and tells the server how it went.
pub(super) fn start() -> Result<(OwnedFd, Ground), ()> {
    let control = shed_inheritance().map_err(|_| ())?;
    match receive_options(&control).and_then(|options| prepare(&options)) {
        Ok((ground, enforcement)) => {
            protocol::send(&control, &protocol::encode_enforcement(&enforcement), &[]).map_err(|_| ())?;
            Ok((control, ground))
        }
        Err(failure) => {
            let _ = protocol::send(&control, &protocol::encode_failure(&failure), &[]);
            Err(())
        }
    }
}

/// The control socket comes as standard input. Nothing else of the server is kept but standard error.
fn shed_inheritance() -> io::Result<OwnedFd> {
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    sys::close_all_but(&[control.as_raw_fd()])?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    sys::redirect(&null, 0)?;
    sys::redirect(&null, 1)?;
    sys::reset_signals()?;
    sys::ignore_broken_pipes(true);
    // A terminal's interrupt is for the server, which then closes the control socket.
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let _ = limits::raise_descriptor_limit();
    Ok(control)
}

fn receive_options(control: &OwnedFd) -> Result<Options, Failure> {
    let mut buffer = vec![0; MESSAGE_LIMIT];
    let received =
        protocol::receive(control, &mut buffer, RecvFlags::empty()).at(Step::ReadRequest, "options")?;
    let length = received.map_or(0, |(length, _)| length);
    let malformed = || Failure { step: Step::ReadRequest, errno: libc::EBADMSG, detail: "options".into() };
    protocol::decode_options(&buffer[..length]).ok_or_else(malformed)
}

fn prepare(options: &Options) -> Result<(Ground, Enforcement), Failure> {
    let proof = SingleThread::prove().at(Step::Fork, "the helper has more than one thread")?;
    let scratch = lock(options)?;
    let filter = Filter::compile()?;
    let users = users(options);
    match users {
        Users::Range { .. } => sys::drop_groups().at(Step::ChangeUser, "groups")?,
        Users::Own => namespace::enter_own_user_namespace()?,
    }
    let groups_left = rustix::process::getgroups().map_or(0, |groups| groups.len());
    let owners = match users {
        Users::Range { first, .. } => namespace::create_for_owners(proof, first),
        Users::Own => {
            Err(Failure { step: Step::CreateUserNamespace, errno: libc::EPERM, detail: String::new() })
        }
    };
    let user_namespaces = matches!(users, Users::Own) || owners.is_ok();
    sys::unshare(UnshareFlags::NEWNS).at(Step::CreateMountNamespace, "")?;
    let root = Root::build(&options.scratch, users.owner(), owners.ok())?;
    let home = Home::here()?;
    let proc = probe_proc(proof, &root);
    let (outlets, outside) = namespace::probe_outside(proof, &options.outside);
    // Last, so that a start that fails has made none.
    let cgroups = Cgroups::open(&options.instance);
    let mut enforcement = describe(users, user_namespaces, &root, &cgroups, proc.as_ref().err(), groups_left);
    if options.outside.nat || outside.is_err() {
        enforcement.items.push(outside_item(outside.err()));
    }
    let ground = Ground {
        proof,
        home,
        users,
        user_namespaces,
        proc: proc.is_ok(),
        guest_niceness: limits::hasten(),
        root,
        filter,
        writes: Writes::find().ok(),
        outlets,
        cgroups,
        slots: Slots::new(users.slots()),
        _scratch: scratch,
    };
    Ok((ground, enforcement))
}

/// Waits until the helper of an earlier run is done, and keeps others out.
fn lock(options: &Options) -> Result<OwnedFd, Failure> {
    let detail = options.scratch.to_string_lossy();
    let scratch = File::open(&options.scratch).at(Step::LockScratch, &detail)?;
    let deadline = Instant::now() + PREDECESSOR_PATIENCE;
    loop {
        match rustix::fs::flock(&scratch, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(scratch.into()),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error).at(Step::LockScratch, &detail),
        }
    }
}

fn users(options: &Options) -> Users {
    let needed =
        CapabilitySet::SYS_ADMIN | CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::CHOWN;
    let held = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let (first, count) = (options.first_user_id, options.user_id_count);
    let has_range = |file| std::fs::read_to_string(file).is_ok_and(|map| holds_range(&map, first, count));
    if held.contains(needed)
        && count > 1
        && has_range("/proc/self/uid_map")
        && has_range("/proc/self/gid_map")
    {
        Users::Range { first, count }
    } else {
        Users::Own
    }
}

/// Whether a user namespace has all these ids: the root of a rootless container has only few.
fn holds_range(map: &str, first: u32, count: u32) -> bool {
    let end = u64::from(first) + u64::from(count);
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        let (start, length) = (numbers.next().unwrap_or(0), numbers.nth(1).unwrap_or(0));
        start <= u64::from(first) && end <= start.saturating_add(length)
    })
}

/// Mounts `/proc` as a sandbox would, in a child that then ends. Also proves that the namespaces can be had at all.
fn probe_proc(proof: SingleThread, root: &Root) -> Result<(), Failure> {
    let flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::CreateNamespaces, "pipe")?;
    match sys::fork(proof, flags, None).at(Step::CreateNamespaces, "")? {
        Forked::Child => {
            if let Err(failure) = root::try_proc(root) {
                let [a, b, c, d] = failure.errno.to_le_bytes();
                let _ = rustix::io::write(&writer, &[failure.step.code(), a, b, c, d]);
            }
            sys::exit(0)
        }
        Forked::Parent(child) => {
            drop(writer);
            let mut record = [0; FAILURE_LENGTH];
            let count = rustix::io::read(&reader, &mut record).at(Step::MountProc, "")?;
            namespace::end(&child);
            let [step, errno @ ..] = record;
            match Step::from_code(step) {
                Some(step) if count == FAILURE_LENGTH => {
                    Err(Failure { step, errno: i32::from_le_bytes(errno), detail: String::new() })
                }
                _ => Ok(()),
            }
        }
    }
}

fn describe(
    users: Users,
    user_namespaces: bool,
    root: &Root,
    cgroups: &Cgroups,
    proc: Option<&Failure>,
    groups_left: usize,
) -> Enforcement {
    use EnforcementStatus::{Enforced, Limited};
    let is_root = matches!(users, Users::Range { .. });
    let when = |enforced: bool, otherwise: &str| if enforced { Enforced } else { Limited(otherwise.into()) };
    let items = vec![
        (item::USER_NAMESPACE, user_namespace_status(user_namespaces)),
        (item::MOUNT_NAMESPACE, Enforced),
        (item::PROCESS_NAMESPACE, Enforced),
        (item::NETWORK_NAMESPACE, Enforced),
        (item::IPC_NAMESPACE, Enforced),
        (item::HOST_NAME_NAMESPACE, Enforced),
        (item::CGROUP_NAMESPACE, Enforced),
        (item::OWN_USERS, own_users_status(is_root)),
        (item::GROUPS, when(groups_left == 0 || is_root, "an ordinary user cannot drop its groups")),
        (item::FILE_OWNERS, when(root.shows_owners, "owners of system files show as nobody")),
        (item::PROC, proc_status(proc)),
        (item::CAPABILITIES, Enforced),
        (item::NO_NEW_PRIVILEGES, Enforced),
        (item::SYSTEM_CALLS, Enforced),
        (item::WRITES, writes_status()),
        (item::MEMORY, memory_status(cgroups, proc)),
        (item::CPU, controller_status(cgroups, Controller::Cpu)),
        (item::PROCESSES, processes_status(cgroups)),
        (item::FREEZER, freezer_status(cgroups)),
        (item::TMP, Enforced),
        (item::DESCRIPTORS, Enforced),
    ];
    let item = |(name, status): (&str, EnforcementStatus)| EnforcementItem { name: name.into(), status };
    Enforcement { items: items.into_iter().map(item).collect() }
}

const DELEGATE: &str = "run firelet as root, as a systemd service with Delegate=yes, or by `systemd-run --user --scope -p \
                        Delegate=yes firelet serve`";

fn user_namespace_status(available: bool) -> EnforcementStatus {
    if available {
        return EnforcementStatus::Enforced;
    }
    EnforcementStatus::NotEnforced {
        why: "the kernel refuses to create user namespaces; sandboxes run as plain host users".into(),
        remedy: "raise the sysctl user.max_user_namespaces".into(),
    }
}

fn own_users_status(is_root: bool) -> EnforcementStatus {
    if is_root {
        return EnforcementStatus::Enforced;
    }
    EnforcementStatus::NotEnforced {
        why: "an ordinary user has no other user ids to give: all sandboxes run as it".into(),
        remedy: "run firelet as root to keep tenants apart".into(),
    }
}

fn proc_status(failure: Option<&Failure>) -> EnforcementStatus {
    failure.map_or(EnforcementStatus::Enforced, |failure| {
        let cause = io::Error::from_raw_os_error(failure.errno);
        EnforcementStatus::Limited(format!("sandboxes have an empty /proc: {}: {cause}", failure.step))
    })
}

fn outside_item(failure: Option<Failure>) -> EnforcementItem {
    let status = failure.map_or(EnforcementStatus::Enforced, |failure| {
        let error = Error::from(failure);
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        EnforcementStatus::NotEnforced {
            why: format!("{error}: {cause}"),
            remedy: error.remedy().unwrap_or("use another network mode, without --allow-host").into(),
        }
    });
    EnforcementItem { name: item::OUTSIDE.into(), status }
}

fn writes_status() -> EnforcementStatus {
    let Err(error) = Writes::find() else { return EnforcementStatus::Enforced };
    EnforcementStatus::NotEnforced {
        why: format!("the kernel has no landlock that lets files be moved within /tmp: {error}"),
        remedy: "run Linux 5.19 or newer with `landlock` among the names of its option `lsm=`".into(),
    }
}

fn controller_status(cgroups: &Cgroups, controller: Controller) -> EnforcementStatus {
    if cgroups.limits(controller) {
        return EnforcementStatus::Enforced;
    }
    EnforcementStatus::NotEnforced { why: cgroups.refusal(), remedy: DELEGATE.into() }
}

/// Without a controller the processes are counted, which takes a `/proc`.
fn memory_status(cgroups: &Cgroups, proc: Option<&Failure>) -> EnforcementStatus {
    match controller_status(cgroups, Controller::Memory) {
        EnforcementStatus::NotEnforced { why, remedy } if proc.is_none() => {
            EnforcementStatus::Limited(format!(
                "what processes hold is counted, every {} ms while they work and every {} ms while they do not, and a function \
             may be over its memory for so long; shared memory that no process maps or has open is not seen; to have the \
             kernel count, {remedy} ({why})",
                looks::SHORT.as_millis(),
                looks::LONG.as_millis(),
            ))
        }
        status => status,
    }
}

fn freezer_status(cgroups: &Cgroups) -> EnforcementStatus {
    if cgroups.freezes() {
        return EnforcementStatus::Enforced;
    }
    EnforcementStatus::NotEnforced {
        why: "no cgroup of version 2 can be made, so idle functions go on using the processor".into(),
        remedy: DELEGATE.into(),
    }
}

/// The limit of the user's own namespace holds even without cgroups.
fn processes_status(cgroups: &Cgroups) -> EnforcementStatus {
    if cgroups.limits(Controller::Processes) {
        return EnforcementStatus::Enforced;
    }
    EnforcementStatus::Limited("by a resource limit of each sandbox's user namespace, not by a cgroup".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootless_container_has_no_range_to_give() {
        assert!(holds_range("         0          0 4294967295\n", 1_000_000, 65_536));
        assert!(!holds_range("0 1000 1\n1 100000 65536\n", 1_000_000, 65_536));
        assert!(holds_range("0 1000 1\n1 100000 65536\n", 1, 65_536));
        assert!(!holds_range("", 1, 2));
    }
}
