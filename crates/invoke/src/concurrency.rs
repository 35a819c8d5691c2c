//! How many invocations may run at once in an account and Region.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use firelet_types::Scope;
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long an invocation waits for room: an environment is counted until its runtime asks for the next event, which
/// is a little after its caller was answered and may have sent the next invocation.
const PATIENCE: Duration = Duration::from_millis(20);

/// Counts running invocations against the account's limit.
#[derive(Debug)]
pub(crate) struct Concurrency {
    limit: usize,
    room: RwLock<HashMap<Scope, Arc<Semaphore>>>,
}

/// Room for one invocation, until it is dropped.
pub(crate) type Slot = OwnedSemaphorePermit;

impl Concurrency {
    pub(crate) fn new(limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { limit, room: RwLock::default() }
    }

    /// Room for one more invocation, if the account has any left.
    pub(crate) async fn slot(&self, scope: &Scope) -> Option<Slot> {
        let room = self.room_in(scope);
        match Arc::clone(&room).try_acquire_owned() {
            Ok(slot) => Some(slot),
            Err(_) => tokio::time::timeout(PATIENCE, room.acquire_owned()).await.ok()?.ok(),
        }
    }

    fn room_in(&self, scope: &Scope) -> Arc<Semaphore> {
        if let Some(room) = self.room.read().get(scope) {
            return Arc::clone(room);
        }
        let mut rooms = self.room.write();
        Arc::clone(rooms.entry(scope.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.limit))))
    }
}

#[cfg(test)]
mod tests {
    use firelet_types::{AccountId, Region};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slots_run_out_and_come_back_and_belong_to_one_account() {
        let scope = |account: &str| Scope { account: account.parse().unwrap(), region: Region::local() };
        let concurrency = Concurrency::new(2);
        let first = concurrency.slot(&scope("111111111111")).await;
        let second = concurrency.slot(&scope("111111111111")).await;
        assert!(first.is_some() && second.is_some());
        assert!(concurrency.slot(&scope("111111111111")).await.is_none());
        let other = Scope { account: AccountId::local(), region: Region::local() };
        assert!(concurrency.slot(&other).await.is_some());
        drop(first);
        assert!(concurrency.slot(&scope("111111111111")).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_frees_in_a_moment_is_waited_for() {
        let scope = Scope { account: AccountId::local(), region: Region::local() };
        let concurrency = Concurrency::new(1);
        let taken = concurrency.slot(&scope).await;
        let free = async {
            tokio::task::yield_now().await;
            drop(taken);
        };
        let (next, ()) = tokio::join!(concurrency.slot(&scope), free);
        assert!(next.is_some());
    }
}
