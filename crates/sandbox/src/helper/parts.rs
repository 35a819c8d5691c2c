//! What a sandbox stands on before it has a process: a user, a network and cgroups. Nothing here is ever used for another.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use crate::cgroup::Group;
use crate::error::{Failure, Step};
use crate::helper::ground::Ground;
use crate::namespace::{self, PreparedNetwork};

/// The parts of one sandbox.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) slot: u32,
    pub(super) user_namespace: Option<OwnedFd>,
    pub(super) network: PreparedNetwork,
    pub(super) group: Group,
}

impl Parts {
    pub(super) fn make(ground: &mut Ground) -> Result<Self, Failure> {
        let slot = ground.slots.take().ok_or_else(|| Failure {
            step: Step::TakeUser,
            errno: libc::EAGAIN,
            detail: String::new(),
        })?;
        Self::fill(ground, slot).inspect_err(|_| ground.slots.give_back(slot))
    }

    fn fill(ground: &Ground, slot: u32) -> Result<Self, Failure> {
        let user_namespace = ground
            .user_namespaces
            .then(|| namespace::create_for_guest(ground.proof, ground.users, slot))
            .transpose()?;
        let network = namespace::create_network(ground.proof, &ground.outlets)?;
        let group = ground.cgroups.create(&slot.to_string())?;
        Ok(Self { slot, user_namespace, network, group })
    }
}

/// Numbers that tell living sandboxes apart: each stands for a host user. Given out again as late as possible.
#[derive(Debug)]
pub(super) struct Slots {
    returned: VecDeque<u32>,
    next: u32,
    count: u32,
}

impl Slots {
    /// Slots 1 to `count`; slot 0 is the owner of system files.
    pub(super) fn new(count: u32) -> Self {
        Self { returned: VecDeque::new(), next: 1, count }
    }

    pub(super) fn is_free(&self) -> bool {
        self.next <= self.count || !self.returned.is_empty()
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        if self.next <= self.count {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.returned.pop_front()
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        self.returned.push_back(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_only_after_all_others() {
        let mut slots = Slots::new(2);
        assert_eq!(slots.take(), Some(1));
        slots.give_back(1);
        assert_eq!(slots.take(), Some(2));
        assert_eq!(slots.take(), Some(1));
        assert_eq!(slots.take(), None);
        assert!(!slots.is_free());
    }
}
