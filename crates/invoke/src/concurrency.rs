//! How many invocations may run at once in an account and Region.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use firelet_types::Scope;
use parking_lot::RwLock;

/// Counts running invocations against the account's limit.
#[derive(Debug)]
pub(crate) struct Concurrency {
    limit: u32,
    running: RwLock<HashMap<Scope, Arc<AtomicU32>>>,
}

/// Room for one invocation, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicU32>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Concurrency {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, running: RwLock::default() }
    }

    /// Room for one more invocation, if the account has any left.
    pub(crate) fn slot(&self, scope: &Scope) -> Option<Slot> {
        let running = self.running_in(scope);
        let more = |count| (count < self.limit).then_some(count + 1);
        running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Slot(running))
    }

    fn running_in(&self, scope: &Scope) -> Arc<AtomicU32> {
        if let Some(running) = self.running.read().get(scope) {
            return Arc::clone(running);
        }
        Arc::clone(self.running.write().entry(scope.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use firelet_types::{AccountId, Region};

    use super::*;

    #[test]
    fn slots_run_out_and_come_back_and_belong_to_one_account() {
        let scope = |account: &str| Scope { account: account.parse().unwrap(), region: Region::local() };
        let concurrency = Concurrency::new(2);
        let first = concurrency.slot(&scope("111111111111"));
        let second = concurrency.slot(&scope("111111111111"));
        assert!(first.is_some() && second.is_some());
        assert!(concurrency.slot(&scope("111111111111")).is_none());
        assert!(concurrency.slot(&Scope { account: AccountId::local(), region: Region::local() }).is_some());
        drop(first);
        assert!(concurrency.slot(&scope("111111111111")).is_some());
    }
}
