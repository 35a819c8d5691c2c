//! A guest: a process that enters a sandbox, gives up every right, waits for the program it is to be, and becomes it.
//!
//! Guests are forked by the sandbox's first process or by the helper, most of them before anybody has asked for one, so that a launch finds its isolation
//! made. Until it is told its program, a guest runs nothing but this module.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::Mode;
use rustix::net::RecvFlags;
use rustix::process::DumpableBehavior;
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, LinkNameSpaceType, Uid, UnshareFlags};

use crate::cgroup::Entrance;
use crate::error::{At, Failure, Step};
use crate::init::Namespaces;
use crate::landlock::Writes;
use crate::limits;
use crate::namespace::{GUEST_GROUP, GUEST_USER};
use crate::protocol::{self, MESSAGE_LIMIT, Program};
use crate::seccomp::Filter;
use crate::sys;

const LAST_CAPABILITY: u32 = 40;
/// The length of a failure on the execution pipe, without its detail: step, and errno.
pub(crate) const FAILURE_LENGTH: usize = 5;

/// How a guest gets in, and what it keeps. It was forked into the sandbox's process namespace and, on cgroup v2, into
/// its cgroup; by the first process, into the others as well.
pub(crate) struct Entry<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) writes: Option<Writes>,
    /// The user that the guest becomes where there is no user namespace.
    pub(crate) user: u32,
    pub(crate) niceness: i32,
    pub(crate) user_namespace: Option<BorrowedFd<'a>>,
    /// Where it was not forked into them already.
    pub(crate) namespaces: Option<&'a Namespaces>,
    /// Likewise; none with the host's network too.
    pub(crate) network: Option<BorrowedFd<'a>>,
    pub(crate) entrance: &'a Entrance,
    /// Standard output and error.
    pub(crate) output: BorrowedFd<'a>,
    /// Takes a failure; closed by a successful `execve`.
    pub(crate) execution: BorrowedFd<'a>,
    /// Brings the program. Ends when nobody will have one.
    pub(crate) orders: BorrowedFd<'a>,
}

/// Runs the guest until its program takes over.
pub(crate) fn run(entry: &Entry<'_>) -> ! {
    let failure =
        enter(entry).and_then(|()| obey(entry)).map_or_else(|failure| failure, |never| match never {});
    let _ = rustix::io::write(entry.execution, &encode(&failure));
    sys::exit(1)
}

/// A failure as it travels over a pipe.
pub(crate) fn encode(failure: &Failure) -> Vec<u8> {
    let [a, b, c, d] = failure.errno.to_le_bytes();
    let mut record = vec![failure.step.code(), a, b, c, d];
    record.extend_from_slice(failure.detail.as_bytes());
    record
}

/// Reads what [`encode`] wrote; none where there is nothing.
pub(crate) fn decode(record: &[u8]) -> Option<Failure> {
    let (head, detail) = record.split_at_checked(FAILURE_LENGTH)?;
    let step = Step::from_code(head[0])?;
    let errno = i32::from_le_bytes(head[1..].try_into().ok()?);
    Some(Failure { step, errno, detail: String::from_utf8_lossy(detail).into_owned() })
}

fn enter(entry: &Entry<'_>) -> Result<(), Failure> {
    sys::close_all_but(&needed(entry)).at(Step::CloseDescriptors, "")?;
    // A program of the same user may run in the sandbox already, and must not look into this copy of the helper.
    undumpable()?;
    for tasks in &entry.entrance.files {
        rustix::io::write(tasks, b"0").at(Step::JoinCgroup, "")?;
    }
    sys::unshare(UnshareFlags::NEWCGROUP).at(Step::CreateCgroupNamespace, "")?;
    enter_namespaces(entry)?;
    rustix::process::setsid().at(Step::StartSession, "")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    sys::redirect(entry.output, 1).at(Step::Redirect, "")?;
    sys::redirect(entry.output, 2).at(Step::Redirect, "")?;
    limits::apply()?;
    limits::stop_haste(entry.niceness)?;
    drop_bounding_set()?;
    let (user, group) = match entry.user_namespace {
        Some(_) => (GUEST_USER, GUEST_GROUP),
        None => (entry.user, entry.user),
    };
    change_user(user, group)?;
    drop_capabilities()?;
    undumpable()?;
    let kept = [entry.execution.as_raw_fd(), entry.orders.as_raw_fd()];
    sys::close_all_but(&kept).at(Step::CloseDescriptors, "")?;
    sys::ignore_broken_pipes(false);
    sys::let_all_signals_in().at(Step::ResetSignals, "")?;
    entry.writes.map_or(Ok(()), Writes::restrict)?;
    entry.filter.install()
}

fn needed(entry: &Entry<'_>) -> Vec<i32> {
    entry.descriptors().iter().map(AsRawFd::as_raw_fd).collect()
}

impl<'a> Entry<'a> {
    /// All that it takes to get in.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'a>> {
        let mut all = vec![self.output, self.execution, self.orders];
        all.extend(self.user_namespace);
        all.extend(self.network);
        all.extend(self.namespaces.iter().flat_map(|namespaces| namespaces.descriptors()));
        all.extend(self.entrance.files.iter().map(AsFd::as_fd));
        all.extend(self.entrance.directory.iter().map(AsFd::as_fd));
        all
    }
}

fn undumpable() -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .at(Step::DropCapabilities, "dumpable")
}

/// The mounts last but for the user, whose rights the others need.
fn enter_namespaces(entry: &Entry<'_>) -> Result<(), Failure> {
    let of_sandbox = |pick: fn(&Namespaces) -> BorrowedFd<'_>| entry.namespaces.map(pick);
    let others = [
        (entry.network, LinkNameSpaceType::Network, Step::EnterNetwork),
        (
            of_sandbox(|all| all.messages.as_fd()),
            LinkNameSpaceType::InterProcessCommunication,
            Step::EnterSandbox,
        ),
        (
            of_sandbox(|all| all.host_name.as_fd()),
            LinkNameSpaceType::HostNameAndNISDomainName,
            Step::EnterSandbox,
        ),
        (of_sandbox(|all| all.mounts.as_fd()), LinkNameSpaceType::Mount, Step::EnterSandbox),
        (entry.user_namespace, LinkNameSpaceType::User, Step::EnterUserNamespace),
    ];
    for (namespace, kind, step) in others {
        if let Some(namespace) = namespace {
            rustix::thread::move_into_link_name_space(namespace, Some(kind)).at(step, "")?;
        }
    }
    Ok(())
}

/// Waits for the program, and becomes it.
fn obey(entry: &Entry<'_>) -> Result<Infallible, Failure> {
    let mut buffer = vec![0; MESSAGE_LIMIT];
    let received =
        protocol::receive(entry.orders, &mut buffer, RecvFlags::empty()).at(Step::ReadRequest, "program")?;
    let Some((length, descriptors)) = received else { sys::exit(0) };
    let unreadable = || Failure { step: Step::ReadRequest, errno: libc::EBADMSG, detail: "program".into() };
    let program = protocol::decode_program(&buffer[..length]).ok_or_else(unreadable)?;
    limits::bound_processes(program.processes)?;
    if program.keeps_orders {
        sys::redirect(entry.orders, 0).at(Step::Redirect, "")?;
    }
    if let Some(image) = descriptors.first() {
        sys::redirect(image, 0).at(Step::Redirect, "")?;
        wait_for_tracer(entry)?;
    }
    let directory = &program.working_directory;
    rustix::process::chdir(directory).at(Step::EnterDirectory, &directory.to_string_lossy())?;
    sys::close_on_execute().at(Step::CloseDescriptors, "")?;
    execute(&program)
}

/// Lets itself be traced, and waits until it is: it is to become a captured process, whose image it has as standard input.
/// No program of a tenant is in the sandbox then that could look into this copy of the helper.
fn wait_for_tracer(entry: &Entry<'_>) -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
        .at(Step::DropCapabilities, "dumpable")?;
    protocol::send(entry.orders, &[0], &[]).at(Step::Tell, "tracer")?;
    protocol::receive(entry.orders, &mut [0; 1], RecvFlags::empty()).at(Step::ReadRequest, "tracer")?;
    Ok(())
}

fn execute(program: &Program) -> Result<Infallible, Failure> {
    let missing = || Failure { step: Step::Execute, errno: libc::EINVAL, detail: String::new() };
    let path = program.arguments.first().ok_or_else(missing)?;
    let error = sys::execute(path, &program.arguments, &program.environment);
    Err(Failure::new(Step::Execute, path.to_string_lossy(), &error))
}

/// Becomes another user and group for good.
pub(crate) fn change_user(user: u32, group: u32) -> Result<(), Failure> {
    let group = Gid::from_raw(group);
    rustix::thread::set_thread_res_gid(group, group, group).at(Step::ChangeUser, "group")?;
    let user = Uid::from_raw(user);
    rustix::thread::set_thread_res_uid(user, user, user).at(Step::ChangeUser, "user")
}

fn drop_bounding_set() -> Result<(), Failure> {
    for capability in 0..=LAST_CAPABILITY {
        let capability = CapabilitySet::from_bits_retain(1 << capability);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A kernel older than the capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).at(Step::DropCapabilities, "bounding set"),
        }
    }
    Ok(())
}

/// Gives up every capability, and the way to new ones.
pub(crate) fn drop_capabilities() -> Result<(), Failure> {
    let none = CapabilitySet::empty();
    rustix::thread::clear_ambient_capability_set().at(Step::DropCapabilities, "ambient set")?;
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).at(Step::DropCapabilities, "")?;
    rustix::thread::set_no_new_privs(true).at(Step::ForbidPrivileges, "")
}

/// The execution pipe's word on how becoming a program went: none at its end, which a successful `execve` brings.
pub(crate) fn read_failure(execution: impl AsFd) -> io::Result<Option<Failure>> {
    let mut record = [0; 4096];
    let count = rustix::io::read(execution.as_fd(), &mut record)?;
    Ok(decode(&record[..count]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_pipe() {
        let failure = Failure { step: Step::Execute, errno: libc::ENOENT, detail: "/bin/x".into() };
        let decoded = decode(&encode(&failure)).unwrap();
        assert_eq!(
            (decoded.step, decoded.errno, decoded.detail.as_str()),
            (Step::Execute, libc::ENOENT, "/bin/x")
        );
        assert!(decode(&[]).is_none());
    }
}
