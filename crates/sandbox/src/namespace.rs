//! User and network namespaces, made ahead of a launch by short-lived children of the helper.
//!
//! The other namespaces come with the fork of a sandbox's first process; see [`crate::init`].

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Signal, WaitIdOptions};

use crate::error::{At, Failure, Step};
use crate::network::{self, Ends, HOSTS, Outlets};
use crate::spec::Outside;
use crate::sys::{self, Child, Forked, SingleThread};

/// The Runtime API's port inside every sandbox.
const RUNTIME_API_PORT: u16 = 9001;
/// Connections that may wait for the Runtime API: a runtime and ten extensions, with room.
const LISTEN_BACKLOG: i32 = 128;

/// The user inside a sandbox, as on Lambda.
pub(crate) const GUEST_USER: u32 = 993;
/// The group inside a sandbox, as on Lambda.
pub(crate) const GUEST_GROUP: u32 = 990;

/// Which users of the host stand behind those of the sandboxes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Users {
    /// Root has a range: the first owns system files and runs first processes, each further one is one guest.
    Range { first: u32, count: u32 },
    /// An ordinary user has only itself, seen as 0 in the helper's own user namespace.
    Own,
}

impl Users {
    /// Whom system files made for sandboxes belong to, as the helper sees it.
    pub(crate) fn owner(self) -> u32 {
        match self {
            Self::Range { first, .. } => first,
            Self::Own => 0,
        }
    }

    /// The user of the guest in `slot`, as the helper sees it.
    pub(crate) fn guest(self, slot: u32) -> u32 {
        match self {
            Self::Range { first, .. } => first.saturating_add(slot),
            Self::Own => 0,
        }
    }

    /// How many guests can be told apart.
    pub(crate) fn slots(self) -> u32 {
        match self {
            Self::Range { count, .. } => count.saturating_sub(1),
            Self::Own => u32::MAX - 1,
        }
    }

    fn maps(self, slot: u32) -> [String; 2] {
        [GUEST_USER, GUEST_GROUP].map(|inside| match self {
            Self::Range { first, .. } => format!("0 {first} 1\n{inside} {} 1\n", self.guest(slot)),
            Self::Own => format!("{inside} 0 1\n"),
        })
    }
}

/// Makes the user namespace of one sandbox.
pub(crate) fn create_for_guest(proof: SingleThread, users: Users, slot: u32) -> Result<OwnedFd, Failure> {
    let [user_map, group_map] = users.maps(slot);
    create_user_namespace(proof, &user_map, &group_map, matches!(users, Users::Own))
}

/// Makes the user namespace through which mounts show files of the host's root as files of the sandboxes' root.
pub(crate) fn create_for_owners(proof: SingleThread, owner: u32) -> Result<OwnedFd, Failure> {
    let map = format!("0 {owner} 1\n");
    create_user_namespace(proof, &map, &map, false)
}

fn create_user_namespace(
    proof: SingleThread,
    user_map: &str,
    group_map: &str,
    deny_groups: bool,
) -> Result<OwnedFd, Failure> {
    let (end_of_helper, held) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::CreateUserNamespace, "pipe")?;
    match sys::fork(proof, libc::CLONE_NEWUSER, None).at(Step::CreateUserNamespace, "")? {
        Forked::Child => hold_namespace(&end_of_helper),
        Forked::Parent(child) => {
            let namespace = map_users(child.pid, user_map, group_map, deny_groups);
            end(&child);
            drop(held);
            namespace
        }
    }
}

/// Keeps a new user namespace until the helper has opened it, or is gone, which ends the pipe. Everything else is
/// closed, the scratch directory's lock above all: whenever the helper is killed, its successor must not find it held.
fn hold_namespace(end_of_helper: &OwnedFd) -> ! {
    if sys::close_all_but(&[end_of_helper.as_raw_fd()]).is_ok() {
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(end_of_helper, &mut [0; 1]));
    }
    sys::exit(0)
}

fn map_users(pid: i32, user_map: &str, group_map: &str, deny_groups: bool) -> Result<OwnedFd, Failure> {
    if deny_groups {
        write_map(&format!("/proc/{pid}/setgroups"), "deny")?;
    }
    write_map(&format!("/proc/{pid}/uid_map"), user_map)?;
    write_map(&format!("/proc/{pid}/gid_map"), group_map)?;
    let path = format!("/proc/{pid}/ns/user");
    File::open(&path).map(OwnedFd::from).at(Step::CreateUserNamespace, &path)
}

fn write_map(path: &str, map: &str) -> Result<(), Failure> {
    fs::write(path, map).at(Step::MapUsers, path)
}

/// Puts the helper of an ordinary user into a user namespace where it may make all others.
pub(crate) fn enter_own_user_namespace() -> Result<(), Failure> {
    let user = rustix::process::getuid().as_raw();
    let group = rustix::process::getgid().as_raw();
    sys::unshare(rustix::thread::UnshareFlags::NEWUSER).at(Step::CreateUserNamespace, "")?;
    write_map("/proc/self/setgroups", "deny")?;
    write_map("/proc/self/uid_map", &format!("0 {user} 1\n"))?;
    write_map("/proc/self/gid_map", &format!("0 {group} 1\n"))
}

/// A network namespace with loopback up, and in it the Runtime API's listener and the ways outside.
#[derive(Debug)]
pub(crate) struct PreparedNetwork {
    pub(crate) namespace: OwnedFd,
    pub(crate) listener: OwnedFd,
    pub(crate) outside: Ends,
}

/// Makes a network namespace. The child that makes it shares the helper's descriptors and leaves some behind.
pub(crate) fn create_network(proof: SingleThread, outlets: &Outlets) -> Result<PreparedNetwork, Failure> {
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::CreateNetwork, "")?;
    let flags = libc::CLONE_NEWNET | libc::CLONE_FILES;
    match sys::fork(proof, flags, None).at(Step::CreateNetwork, "")? {
        Forked::Child => {
            let _ = rustix::io::write(&writer, &encode_network(prepare_network(outlets)));
            sys::exit(0)
        }
        Forked::Parent(child) => {
            wait(&child);
            drop(writer);
            let mut answer = [0; ANSWER_LENGTH];
            let length = rustix::io::read(&reader, &mut answer).at(Step::CreateNetwork, "")?;
            decode_network(&answer[..length])
        }
    }
}

fn prepare_network(outlets: &Outlets) -> Result<PreparedNetwork, Failure> {
    let listener = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .at(Step::Listen, "")?;
    sys::raise_loopback(&listener).at(Step::RaiseLoopback, "")?;
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, RUNTIME_API_PORT);
    rustix::net::bind(&listener, &address).at(Step::Listen, "")?;
    rustix::net::listen(&listener, LISTEN_BACKLOG).at(Step::Listen, "")?;
    let outside = network::open(outlets)?;
    let namespace =
        File::open("/proc/thread-self/ns/net").at(Step::CreateNetwork, "/proc/thread-self/ns/net")?;
    Ok(PreparedNetwork { namespace: namespace.into(), listener, outside })
}

/// Numbers in an answer: whether it failed, how many packet ends there are, and descriptors; or step and error number.
const ANSWER_NUMBERS: usize = 9 + HOSTS;
const ANSWER_LENGTH: usize = ANSWER_NUMBERS * size_of::<i32>();

fn encode_network(result: Result<PreparedNetwork, Failure>) -> Vec<u8> {
    let numbers = match result {
        Ok(PreparedNetwork { namespace, listener, outside }) => {
            let packets = i32::try_from(outside.packets.len()).unwrap_or(0);
            let ends = outside.packets.into_iter().chain(outside.listeners);
            let descriptors = [namespace, listener].into_iter().chain(ends).map(IntoRawFd::into_raw_fd);
            [0, packets].into_iter().chain(descriptors).collect()
        }
        Err(failure) => vec![1, failure.step.code().into(), failure.errno],
    };
    numbers.into_iter().flat_map(i32::to_le_bytes).collect()
}

fn decode_network(bytes: &[u8]) -> Result<PreparedNetwork, Failure> {
    let broken = || Failure { step: Step::CreateNetwork, errno: libc::EBADMSG, detail: String::new() };
    let (numbers, _) = bytes.as_chunks();
    let mut numbers = numbers.iter().copied().map(i32::from_le_bytes);
    let mut next = || numbers.next().ok_or_else(broken);
    if next()? != 0 {
        let step = u8::try_from(next()?).ok().and_then(Step::from_code).unwrap_or(Step::CreateNetwork);
        return Err(Failure { step, errno: next()?, detail: String::new() });
    }
    let packets = u8::try_from(next()?).map_err(|_| broken())?;
    let mut descriptors =
        numbers.map(sys::adopt).collect::<Result<Vec<_>, _>>().at(Step::CreateNetwork, "")?;
    if descriptors.len() < 2 {
        return Err(broken());
    }
    let ends = descriptors.split_off(2);
    let [namespace, listener] = <[OwnedFd; 2]>::try_from(descriptors).map_err(|_| broken())?;
    Ok(PreparedNetwork { namespace, listener, outside: Ends::from_descriptors(ends, packets) })
}

/// Finds out which way outside this host allows, by making one. Without one that it allows, sandboxes have none.
pub(crate) fn probe_outside(proof: SingleThread, outside: &Outside) -> (Outlets, Result<(), Failure>) {
    if !outside.nat && outside.hosts.is_empty() {
        return (Outlets::default(), Ok(()));
    }
    let mut result = Ok(());
    for outlets in Outlets::candidates(outside) {
        match create_network(proof, &outlets) {
            Ok(_) => return (outlets, Ok(())),
            Err(failure) => result = Err(failure),
        }
    }
    (Outlets::default(), result)
}

/// The listener as the server uses it.
pub(crate) fn listener(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let listener = TcpListener::from(descriptor);
    debug_assert!(listener.as_raw_fd() >= 0);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Kills a child and waits for it.
pub(crate) fn end(child: &Child) {
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
    wait(child);
}

/// Waits for the end of a child.
pub(crate) fn wait(child: &Child) {
    use std::os::fd::AsFd;
    let target = rustix::process::WaitId::PidFd(child.pidfd.as_fd());
    let _ = rustix::io::retry_on_intr(|| rustix::process::waitid(target.clone(), WaitIdOptions::EXITED));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_has_a_host_user_of_its_own() {
        let users = Users::Range { first: 100_000, count: 10 };
        assert_eq!(users.maps(1)[0], "0 100000 1\n993 100001 1\n");
        assert_eq!(users.maps(2)[1], "0 100000 1\n990 100002 1\n");
        assert_eq!(users.slots(), 9);
    }

    #[test]
    fn an_ordinary_user_is_the_guest() {
        assert_eq!(Users::Own.maps(7), ["993 0 1\n", "990 0 1\n"]);
    }
}
