//! Zygotes: interpreters without a function that fork themselves into sandboxes.
//!
//! A zygote is a program of firelet with the helper's own rights, in mounts like those of a sandbox, without a network. No
//! byte of a tenant ever gets there. Its children shut themselves in as guests do; see `runtimes/python/firelet_runtime/zygote.py`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::RecvFlags;
use rustix::process::Signal;

use crate::cgroup::Entrance;
use crate::error::{At, Failure, Step};
use crate::helper::ground::Ground;
use crate::helper::parts::Parts;
use crate::init::{self, Namespaces};
use crate::limits;
use crate::namespace::{self, GUEST_GROUP, GUEST_USER, Users};
use crate::protocol::{self, Program};
use crate::root::{self, Base, Tmp, Tree};
use crate::sys::{self, Child, Forked};

const TMP_BYTES: u64 = 1 << 20;
const HAS_NETWORK: u32 = 1;
const HAS_USER_NAMESPACE: u32 = 2;
const HAS_HOME: u32 = 4;
const IS_AWAITED: u32 = 8;

/// An interpreter that forks.
pub(super) struct Zygote {
    process: Child,
    orders: OwnedFd,
    /// Whether it has said that it may be told to fork.
    pub(super) is_ready: bool,
}

/// A guest that a zygote is to fork.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// How many processes it may have.
    pub(super) processes: u32,
    /// Whether a launch waits for it, so that it shall not rehearse.
    pub(super) is_awaited: bool,
}

/// The ends of a guest that a zygote is to fork, on its side.
pub(super) struct GuestsEnds<'a> {
    pub(super) reply: BorrowedFd<'a>,
    pub(super) orders: BorrowedFd<'a>,
    pub(super) output: BorrowedFd<'a>,
}

impl Zygote {
    /// Starts one; it says later that it is ready.
    pub(super) fn start(ground: &Ground, program: &Program, trees: &[Tree]) -> Result<Self, Failure> {
        let (orders, orders_end) = super::member::socket_pair(Step::Fork)?;
        let flags = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        match sys::fork(ground.proof, flags, None).at(Step::CreateNamespaces, "")? {
            Forked::Child => {
                let failure = become_zygote(ground, program, trees, &orders_end);
                eprintln!("firelet-sandbox-helper: cannot {} for a zygote: {}", failure.step, failure.detail);
                sys::exit(1)
            }
            Forked::Parent(process) => Ok(Self { process, orders, is_ready: false }),
        }
    }

    /// What it speaks on; ends with it.
    pub(super) fn orders(&self) -> &OwnedFd {
        &self.orders
    }

    /// Hears that it is ready; false when it has ended.
    pub(super) fn hear(&mut self) -> bool {
        self.is_ready = rustix::io::read(&self.orders, &mut [0; 1]) == Ok(1);
        self.is_ready
    }

    /// Has it fork a guest into a sandbox. It answers on the guest's `reply`.
    pub(super) fn fork_into(
        &self,
        ground: &Ground,
        parts: &Parts,
        namespaces: &Namespaces,
        network: Option<BorrowedFd<'_>>,
        ends: &GuestsEnds<'_>,
        wanted: Wanted,
    ) -> Result<(), Failure> {
        let Entrance { files, .. } = parts.group.entrance()?;
        let late = parts.group.late_entrance()?;
        let cgroups: Vec<BorrowedFd<'_>> = files.iter().chain(&late).map(AsFd::as_fd).collect();
        let home = matches!(ground.users, Users::Range { .. }).then(|| ground.home.processes.as_fd());
        let (user, group) = match (&parts.user_namespace, ground.users.guest(parts.slot)) {
            (Some(_), _) => (GUEST_USER, GUEST_GROUP),
            (None, user) => (user, user),
        };
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = flag(network.is_some(), HAS_NETWORK)
            | flag(parts.user_namespace.is_some(), HAS_USER_NAMESPACE)
            | flag(home.is_some(), HAS_HOME)
            | flag(wanted.is_awaited, IS_AWAITED);
        let numbers = [user, group, flags, u32::try_from(cgroups.len()).unwrap_or(0), wanted.processes];
        let mut order: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let (restricted, of_files) = ground.writes.map_or((0, 0), |writes| writes.rights());
        let instructions = ground.filter.bytes();
        order.extend(restricted.to_le_bytes());
        order.extend(of_files.to_le_bytes());
        order.extend(u32::try_from(instructions.len() / 8).unwrap_or(0).to_le_bytes());
        order.extend(instructions);
        let mut descriptors = vec![ends.reply, ends.orders, ends.output];
        descriptors.extend(namespaces.descriptors());
        descriptors.extend(network);
        descriptors.extend(parts.user_namespace.as_ref().map(AsFd::as_fd));
        descriptors.extend(home);
        descriptors.extend(cgroups);
        protocol::send(&self.orders, &order, &descriptors).at(Step::Tell, "zygote")
    }

    pub(super) fn end(&self) {
        namespace::end(&self.process);
    }
}

/// What a zygote says of a child that it has forked: its number in the sandbox, and its pidfd.
pub(super) fn read_reply(reply: &OwnedFd) -> Result<(i32, OwnedFd), Failure> {
    let none = || Failure { step: Step::Fork, errno: libc::ESRCH, detail: "zygote".into() };
    let mut message = [0; 4];
    let received = protocol::receive(reply, &mut message, RecvFlags::DONTWAIT).at(Step::Fork, "zygote")?;
    let (length, descriptors) = received.ok_or_else(none)?;
    let [process] = <[OwnedFd; 1]>::try_from(descriptors).map_err(|_| none())?;
    if length == message.len() { Ok((i32::from_le_bytes(message), process)) } else { Err(none()) }
}

/// Never returns well: the zygote's program takes over.
fn become_zygote(ground: &Ground, program: &Program, trees: &[Tree], orders: &OwnedFd) -> Failure {
    let prepared = || -> Result<(), Failure> {
        let mut keep = vec![orders.as_raw_fd()];
        keep.extend(trees.iter().map(|tree| tree.descriptor().as_raw_fd()));
        keep.extend(ground.root.owners().map(|owners| owners.as_raw_fd()));
        sys::close_all_but(&keep).at(Step::CloseDescriptors, "")?;
        init::offer_to_the_host();
        root::enter(
            &ground.root,
            &Base { tmp: Tmp::New(TMP_BYTES), owner: ground.users.owner(), proc: false },
        )?;
        root::attach_trees(trees)?;
        limits::apply()?;
        limits::stop_haste(ground.guest_niceness)?;
        sys::redirect(orders, 0).at(Step::Redirect, "")?;
        sys::close_on_execute().at(Step::CloseDescriptors, "")?;
        sys::ignore_broken_pipes(false);
        sys::let_all_signals_in().at(Step::ResetSignals, "")?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at(Step::WatchHelper, "")
    };
    if let Err(failure) = prepared() {
        return failure;
    }
    match program.arguments.first() {
        Some(path) => {
            let error = sys::execute(path, &program.arguments, &program.environment);
            Failure::new(Step::Execute, path.to_string_lossy(), &error)
        }
        None => Failure { step: Step::Execute, errno: libc::EINVAL, detail: String::new() },
    }
}
