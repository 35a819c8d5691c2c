//! Tracers: short-lived children of the helper that capture a process, or have a guest become a captured one.
//!
//! A tracer has the helper's rights for as long as it takes to reach the process, which runs nothing of a tenant's then or stands
//! still; after that those of the guest, and the right to trace it. It ends by itself when its time is over, and with it ends
//! whatever it traces.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::RecvFlags;
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType};

use crate::error::{At, Failure, Step};
use crate::guest;
use crate::helper::ground::Ground;
use crate::helper::member;
use crate::helper::parts::Parts;
use crate::namespace::{self, GUEST_GROUP, GUEST_USER};
use crate::protocol;
use crate::sandbox;
use crate::snapshot::{self, Captured, Patient, Subject, Trouble};
use crate::sys::{self, Child, Forked};

/// How long a capture or a restore may take, in seconds: less than the server waits for an answer.
const PATIENCE: u32 = 8;
/// A word is a result, or the reason of a refusal.
const WORD_LIMIT: usize = 4096;
/// The most letters of a reason.
const REASON_LIMIT: usize = 300;

/// What a tracer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Capture,
    Restore,
}

/// A tracer at work.
pub(super) struct Tracer {
    process: Child,
    word: OwnedFd,
    purpose: Purpose,
}

/// How the work of a tracer went.
pub(super) struct Word {
    pub(super) purpose: Purpose,
    /// What the server is told of a capture, and what comes with it.
    pub(super) answer: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
    /// Why a restore did not work.
    pub(super) failure: Option<Failure>,
}

/// The rights that a tracer is to have.
struct Rights<'a> {
    user_namespace: Option<BorrowedFd<'a>>,
    user: u32,
    group: u32,
}

impl<'a> Rights<'a> {
    fn of_guest(ground: &Ground, parts: &'a Parts) -> Self {
        let user_namespace = parts.user_namespace.as_ref().map(AsFd::as_fd);
        let (user, group) = match user_namespace {
            Some(_) => (GUEST_USER, GUEST_GROUP),
            None => (ground.users.guest(parts.slot), ground.users.guest(parts.slot)),
        };
        Self { user_namespace, user, group }
    }

    /// Becomes the guest's user, with the one right to trace it.
    fn take(&self) -> Result<(), Failure> {
        if let Some(namespace) = self.user_namespace {
            rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::User))
                .at(Step::EnterUserNamespace, "tracer")?;
        }
        rustix::thread::set_keep_capabilities(true).at(Step::DropCapabilities, "tracer")?;
        guest::change_user(self.user, self.group)?;
        let traces = CapabilitySet::SYS_PTRACE;
        let sets =
            CapabilitySets { effective: traces, permitted: traces, inheritable: CapabilitySet::empty() };
        rustix::thread::set_capabilities(None, sets).at(Step::DropCapabilities, "tracer")?;
        rustix::thread::set_no_new_privs(true).at(Step::ForbidPrivileges, "tracer")?;
        tie_to_helper()
    }
}

/// Undumpable, so that no process of the guest's user ever looks into this copy of the helper; and never left behind.
fn tie_to_helper() -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .at(Step::DropCapabilities, "dumpable")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at(Step::WatchHelper, "tracer")
}

/// The processes of a sandbox, as the helper has them.
pub(super) struct Processes<'a> {
    pub(super) first: &'a OwnedFd,
    pub(super) main: &'a OwnedFd,
    pub(super) orders: &'a OwnedFd,
    /// The inode of the pipe that takes the main process's output.
    pub(super) output: u64,
}

/// A captured process, as it came from the server.
pub(super) struct Given<'a> {
    pub(super) image: &'a OwnedFd,
    pub(super) description: &'a OwnedFd,
    pub(super) processes: u32,
}

impl Tracer {
    /// Has the main process captured. The answer to the server comes as a word.
    pub(super) fn capture(
        ground: &Ground,
        parts: &Parts,
        processes: &Processes<'_>,
    ) -> Result<Self, Failure> {
        let rights = Rights::of_guest(ground, parts);
        let kept = [processes.main.as_fd()];
        let (process, first) = (number(processes.main)?, number(processes.first)?);
        Self::fork(ground, Purpose::Capture, &rights, &kept, |rights| {
            let subject = Subject {
                process,
                first,
                pidfd: processes.main.try_clone().at(Step::Capture, "pidfd")?,
                output: processes.output,
            };
            snapshot::capture(&subject, || rights.take()).map(Some)
        })
    }

    /// Has the main guest become a captured process.
    pub(super) fn restore(
        ground: &Ground,
        parts: &Parts,
        processes: &Processes<'_>,
        given: &Given<'_>,
    ) -> Result<Self, Failure> {
        let rights = Rights::of_guest(ground, parts);
        let kept = [
            processes.main.as_fd(),
            processes.orders.as_fd(),
            given.image.as_fd(),
            given.description.as_fd(),
        ];
        Self::fork(ground, Purpose::Restore, &rights, &kept, |rights| {
            let patient = Patient {
                process: number(processes.main)?,
                orders: processes.orders,
                image: given.image.as_fd(),
                description: given.description.as_fd(),
                processes: given.processes,
            };
            snapshot::restore(&patient, || rights.take())?;
            Ok(None)
        })
    }

    fn fork(
        ground: &Ground,
        purpose: Purpose,
        rights: &Rights<'_>,
        kept: &[BorrowedFd<'_>],
        work: impl FnOnce(&Rights<'_>) -> Result<Option<Captured>, Trouble>,
    ) -> Result<Self, Failure> {
        let (word, tracers_end) = member::socket_pair(Step::Fork)?;
        match sys::fork(ground.proof, 0, None).at(Step::Fork, "tracer")? {
            Forked::Child => {
                snapshot::end_in(PATIENCE);
                let mut keep: Vec<i32> = kept.iter().map(AsRawFd::as_raw_fd).collect();
                keep.push(tracers_end.as_raw_fd());
                keep.extend(rights.user_namespace.map(|namespace| namespace.as_raw_fd()));
                let begun = sys::close_all_but(&keep)
                    .at(Step::CloseDescriptors, "")
                    .and_then(|()| sys::let_all_signals_in().at(Step::ResetSignals, ""))
                    .and_then(|()| tie_to_helper());
                answer(&tracers_end, begun.map_err(Trouble::from).and_then(|()| work(rights)));
                sys::exit(0)
            }
            Forked::Parent(process) => Ok(Self { process, word, purpose }),
        }
    }

    /// What it speaks on; ends with it.
    pub(super) fn word(&self) -> &OwnedFd {
        &self.word
    }

    /// Hears how it went.
    pub(super) fn hear(&self) -> Word {
        let mut message = vec![0; WORD_LIMIT];
        let received = protocol::receive(&self.word, &mut message, RecvFlags::DONTWAIT).ok().flatten();
        let Some((length, descriptors)) = received else {
            let failure = self.silence();
            let answer = protocol::encode_failure(&failure);
            return Word { purpose: self.purpose, answer, descriptors: Vec::new(), failure: Some(failure) };
        };
        message.truncate(length);
        let failure = match protocol::decode_done(&message) {
            Some(Ok(())) => None,
            Some(Err(failure)) => Some(failure),
            None => Some(self.silence()),
        };
        Word { purpose: self.purpose, answer: message, descriptors, failure }
    }

    /// It has ended without a word: its time was over.
    fn silence(&self) -> Failure {
        let step = match self.purpose {
            Purpose::Capture => Step::Capture,
            Purpose::Restore => Step::Restore,
        };
        Failure { step, errno: libc::ETIMEDOUT, detail: String::new() }
    }

    /// Kills it, and with it what it traces.
    pub(super) fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.process.pidfd, Signal::KILL);
    }

    /// Kills it and waits for it.
    pub(super) fn end(&self) {
        namespace::end(&self.process);
    }
}

/// The number of a process in the helper's own `/proc`.
fn number(process: &OwnedFd) -> Result<i32, Failure> {
    let gone = || Failure { step: Step::Capture, errno: libc::ESRCH, detail: "it has ended".into() };
    sandbox::process_id(process).and_then(|number| i32::try_from(number).ok()).ok_or_else(gone)
}

fn answer(word: &OwnedFd, result: Result<Option<Captured>, Trouble>) {
    // A helper that is gone takes this process along.
    let _ = match result {
        Ok(None) => protocol::send(word, &protocol::encode_done(), &[]),
        Ok(Some(captured)) => {
            let descriptors = [captured.image.as_fd(), captured.description.as_fd()];
            protocol::send(word, &protocol::encode_captured(captured.size), &descriptors)
        }
        Err(Trouble::Failed(failure)) => protocol::send(word, &protocol::encode_failure(&failure), &[]),
        Err(Trouble::Unsupported(reason)) => {
            protocol::send(word, &protocol::encode_refusal(&plain(&reason)), &[])
        }
    };
}

/// A reason may have names in it that a tenant has given.
fn plain(reason: &str) -> String {
    reason.chars().map(|letter| if letter.is_control() { '?' } else { letter }).take(REASON_LIMIT).collect()
}

/// The inode of a pipe, by which an end of it is known again.
pub(super) fn inode(pipe: &OwnedFd) -> u64 {
    rustix::fs::fstat(pipe).map_or(0, |status| status.st_ino)
}
