//! Which snapshots are made now: a pure decision.
//!
//! Makes nothing and reads no store: it compares the versions that wait with those that are under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firelet_store::FunctionVersion;
use firelet_types::AccountId;

use crate::service::{Key, is_same_configuration};

/// Snapshots that are made at once for one account: others do not wait for functions of it that take long to begin.
const PARALLEL: usize = 4;
/// How long after the first fault of this server it is tried again; doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest time between two tries.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// Make the snapshot of a version, and tell the store.
    Make(Arc<FunctionVersion>),
    /// Break off what was begun for a version: nobody waits for it any more.
    Abandon(Key),
}

/// What is being done for versions that wait.
#[derive(Debug, Default)]
pub(super) struct Plan {
    progress: HashMap<Key, Progress>,
}

#[derive(Debug)]
struct Progress {
    function: Arc<FunctionVersion>,
    attempts: u32,
    /// When it is tried again; none while it is being made.
    retry_at: Option<Instant>,
}

impl Plan {
    /// One step from what is under way to what is wanted.
    pub(super) fn step(&mut self, awaiting: Vec<FunctionVersion>, now: Instant) -> Vec<Effect> {
        let wanted: HashMap<Key, &FunctionVersion> =
            awaiting.iter().map(|function| (Key::of(function, None), function)).collect();
        let mut effects = Vec::new();
        self.progress.retain(|key, progress| {
            let is_wanted =
                wanted.get(key).is_some_and(|wanted| is_same_configuration(&progress.function, wanted));
            if !is_wanted && progress.retry_at.is_none() {
                effects.push(Effect::Abandon(key.clone()));
            }
            is_wanted
        });
        for function in awaiting {
            let key = Key::of(&function, None);
            if !self.has_room(&key.scope.account) {
                continue;
            }
            let attempts = match self.progress.get(&key) {
                Some(progress) if progress.retry_at.is_none_or(|retry_at| retry_at > now) => continue,
                Some(progress) => progress.attempts,
                None => 0,
            };
            let function = Arc::new(function);
            let progress = Progress { function: Arc::clone(&function), attempts, retry_at: None };
            self.progress.insert(key, progress);
            effects.push(Effect::Make(function));
        }
        effects
    }

    /// Takes note of a version that came to nothing for a fault of this server's.
    pub(super) fn failed(&mut self, key: &Key, now: Instant) {
        if let Some(progress) = self.progress.get_mut(key) {
            let pause = FIRST_RETRY.saturating_mul(1 << progress.attempts.min(16)).min(LAST_RETRY);
            progress.attempts += 1;
            progress.retry_at = Some(now + pause);
        }
    }

    /// Whether another snapshot may be made now for `account`.
    fn has_room(&self, account: &AccountId) -> bool {
        let making = self.progress.iter().filter(|(_, progress)| progress.retry_at.is_none());
        making.filter(|(key, _)| key.scope.account == *account).count() < PARALLEL
    }
}

#[cfg(test)]
mod tests;
