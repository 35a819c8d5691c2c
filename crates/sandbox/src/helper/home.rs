//! The helper's own namespaces, and its trips to those of sandboxes.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::thread::LinkNameSpaceType;

use crate::error::{At, Failure, Step};
use crate::namespace;
use crate::sys::{self, Child, Forked, SingleThread};

/// Where the helper comes back to.
pub(super) struct Home {
    mounts: OwnedFd,
    pub(super) processes: OwnedFd,
    root: OwnedFd,
}

impl Home {
    /// Here and now is home.
    pub(super) fn here() -> Result<Self, Failure> {
        let open = |path: &str| File::open(path).map(OwnedFd::from).at(Step::LeaveSandbox, path);
        Ok(Self {
            mounts: open("/proc/self/ns/mnt")?,
            processes: open("/proc/self/ns/pid")?,
            root: open("/")?,
        })
    }

    /// Works in a sandbox's mount namespace.
    pub(super) fn in_mounts<T>(
        &self,
        mounts: &OwnedFd,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        enter(mounts.as_fd(), LinkNameSpaceType::Mount).at(Step::EnterSandbox, "")?;
        let result = work();
        // A new mount namespace brings its own root, which is not the helper's where that was changed by `chroot`.
        or_end(enter(self.mounts.as_fd(), LinkNameSpaceType::Mount));
        or_end(rustix::process::fchdir(&self.root));
        or_end(rustix::process::chroot(c"."));
        result
    }

    /// Forks a process into a sandbox's process namespace and, on cgroup v2, into its cgroup. Its parent is the sandbox's
    /// first process.
    ///
    /// There is no way back from a process namespace to that of the host but for root, so a short-lived child goes there. It
    /// forks another in the sandbox, which forks the process and ends, so that the first process inherits it: nobody else
    /// would reap it if the helper were killed.
    pub(super) fn fork_into(
        proof: SingleThread,
        processes: &OwnedFd,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Forked, Failure> {
        let errand = match Errand::begin(proof)? {
            Errand::Away(errand) => errand,
            home @ Errand::Home { .. } => {
                let pidfd = home.descriptor()?;
                return Ok(Forked::Parent(Child { pid: process_of(&pidfd)?, pidfd }));
            }
        };
        let inside = enter(processes.as_fd(), LinkNameSpaceType::ProcessID)
            .at(Step::EnterSandbox, "")
            .and_then(|()| sys::fork(proof, libc::CLONE_FILES, None).at(Step::Fork, ""));
        match inside {
            Ok(Forked::Child) => match sys::fork(proof, 0, cgroup).at(Step::Fork, "") {
                Ok(Forked::Child) => Ok(Forked::Child),
                Ok(Forked::Parent(child)) => errand.end(Ok(child.pidfd)),
                Err(failure) => errand.end(Err(failure)),
            },
            Ok(Forked::Parent(child)) => {
                namespace::wait(&child);
                sys::exit(0)
            }
            Err(failure) => errand.end(Err(failure)),
        }
    }

    /// A TCP socket of a sandbox's network: nonblocking, not connected.
    pub(super) fn socket_in(proof: SingleThread, network: &OwnedFd) -> Result<OwnedFd, Failure> {
        match Errand::begin(proof)? {
            Errand::Away(errand) => {
                let entered = enter(network.as_fd(), LinkNameSpaceType::Network).at(Step::EnterNetwork, "");
                errand.end(entered.and_then(|()| socket_here()))
            }
            errand => errand.descriptor(),
        }
    }
}

/// A TCP socket of the network that the caller is in: nonblocking, not connected.
pub(super) fn socket_here() -> Result<OwnedFd, Failure> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).at(Step::OpenSocket, "")
}

/// A way to a namespace and not back: a child that shares the helper's descriptors, leaves one there, and ends.
enum Errand {
    Away(Away),
    Home { answer: OwnedFd },
}

/// The child's side.
struct Away {
    answer: OwnedFd,
}

impl Errand {
    fn begin(proof: SingleThread) -> Result<Self, Failure> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).at(Step::EnterSandbox, "pipe")?;
        match sys::fork(proof, libc::CLONE_FILES, None).at(Step::EnterSandbox, "")? {
            Forked::Child => {
                // The number stays good as long as the helper waits; the reading end is the helper's to close.
                std::mem::forget(reader);
                Ok(Self::Away(Away { answer: writer }))
            }
            Forked::Parent(child) => {
                namespace::wait(&child);
                drop(writer);
                Ok(Self::Home { answer: reader })
            }
        }
    }

    /// What the child left.
    fn descriptor(self) -> Result<OwnedFd, Failure> {
        let Self::Home { answer } = self else { return Err(lost()) };
        let mut record = [0; 9];
        if rustix::io::read(&answer, &mut record) != Ok(record.len()) {
            return Err(lost());
        }
        let [step, a, b, c, d, e, f, g, h] = record;
        let (errno, descriptor) = (i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]));
        if errno != 0 {
            let step = Step::from_code(step).unwrap_or(Step::EnterSandbox);
            return Err(Failure { step, errno, detail: String::new() });
        }
        sys::adopt(descriptor).at(Step::EnterSandbox, "")
    }
}

impl Away {
    fn end(self, result: Result<OwnedFd, Failure>) -> ! {
        let (step, errno, descriptor) = match result {
            Ok(descriptor) => (0, 0, descriptor.into_raw_fd()),
            Err(failure) => (failure.step.code(), failure.errno, -1),
        };
        let record = [&[step][..], &errno.to_le_bytes(), &descriptor.to_le_bytes()].concat();
        let _ = rustix::io::write(&self.answer, &record);
        sys::exit(0)
    }
}

fn lost() -> Failure {
    Failure { step: Step::EnterSandbox, errno: libc::ESRCH, detail: String::new() }
}

/// The process id behind a pidfd as it is in the sandbox's process namespace.
fn process_of(pidfd: &OwnedFd) -> Result<i32, Failure> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(&path).at(Step::Fork, &path)?;
    let numbers = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.and_then(|line| line.split_whitespace().last()?.parse().ok()).ok_or_else(lost)
}

fn enter(namespace: BorrowedFd<'_>, kind: LinkNameSpaceType) -> Result<(), rustix::io::Errno> {
    rustix::thread::move_into_link_name_space(namespace, Some(kind))
}

/// A helper that cannot come home would make sandboxes inside of one: it ends, and the server starts another.
fn or_end(result: Result<(), rustix::io::Errno>) {
    if result.is_err() {
        sys::exit(1);
    }
}
