//! How many environments are kept ahead of invocations, and what is reported of them: pure decisions.
//!
//! Starts nothing, reads no store and knows no clock: it compares what is wanted with what is there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use firelet_store::Version;
use firelet_store::function::{Allocation, AllocationStatus, ProvisionedConcurrency};
use firelet_types::{FunctionName, Qualifier, Scope};

use crate::group::Stock;
use crate::service::Key;

/// Environments of one version or alias that are on their way at once.
const PARALLEL: usize = 8;
/// What is reported of environments that end by themselves before all are there.
const LOST: &str = "FUNCTION_ERROR_INIT_FAILURE";
/// How long after the first failure another environment is tried; doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest time between two tries.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// The version or alias that environments are kept for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) scope: Scope,
    pub(crate) name: FunctionName,
    pub(crate) qualifier: Qualifier,
}

/// What the store has of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) holder: Holder,
    pub(crate) record: ProvisionedConcurrency,
}

/// When the plan is looked at: counts that only fluctuate are reported less often than what was achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    Change,
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Keep up to `count` environments of a version, and end those beyond.
    Keep { version: Key, count: usize },
    /// Make environments of a version.
    Make { holder: Holder, version: Key, count: usize },
    /// Have the store say how far this is, unless something else is wanted meanwhile.
    Report { holder: Holder, wanted: ProvisionedConcurrency, allocation: Allocation },
}

/// What is being done for each version or alias.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    progress: HashMap<Holder, Progress>,
    /// Environments that each version was told to keep.
    kept: HashMap<Key, usize>,
}

/// How far one of them is.
#[derive(Debug)]
struct Progress {
    /// What it is about: another record begins anew.
    record: ProvisionedConcurrency,
    version: Key,
    /// Whether as many as wanted have been there.
    was_ready: bool,
    failure: Option<Failure>,
    /// Environments of the version that have ended idle, as far as that was noticed; the most before the first look.
    lost: usize,
    /// When those that ended by themselves may be replaced, so that a function that cannot stay is not started without
    /// end.
    replace_at: Option<Instant>,
    /// Versions that it was about before, which keep their environments until the new ones are there.
    before: Vec<(Key, usize)>,
    /// The status that was reported last, or that it began with.
    reported: AllocationStatus,
}

/// Environments could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    reason: String,
    attempts: u32,
    retry_at: Instant,
}

impl Plan {
    /// One step from what is there to what is wanted. `stock` tells what there is of a version.
    pub(crate) fn step(
        &mut self,
        wanted: &[Wanted],
        stock: impl Fn(&Key) -> Stock,
        now: Instant,
        occasion: Occasion,
    ) -> Vec<Effect> {
        self.follow(wanted);
        let mut effects = Vec::new();
        for wanted in wanted {
            let Some(progress) = self.progress.get_mut(&wanted.holder) else { continue };
            let stock = stock(&progress.version);
            progress.observe(stock, now);
            effects.extend(progress.make(&wanted.holder, stock, now));
            effects.extend(progress.report(wanted, stock, occasion));
        }
        effects.splice(0..0, self.keep());
        effects
    }

    /// Takes note of an environment of `version` that was made for `holder`, or why there is none.
    pub(crate) fn made(&mut self, holder: &Holder, version: &Key, result: Result<(), String>, now: Instant) {
        let Some(progress) = self.progress.get_mut(holder).filter(|progress| progress.version == *version)
        else {
            return;
        };
        match (result, &mut progress.failure) {
            (Ok(()), None) => {}
            // The next one may be tried at once, but until all are there the failure stands.
            (Ok(()), Some(failure)) => failure.retry_at = now,
            (Err(reason), _) => progress.fail(reason, now),
        }
    }

    /// Begins with what is new or wanted otherwise, and forgets what is no longer wanted.
    fn follow(&mut self, wanted: &[Wanted]) {
        let mut before = std::mem::take(&mut self.progress);
        for Wanted { holder, record } in wanted {
            let progress = before.remove(holder);
            let progress = match progress {
                Some(progress) if is_same(&progress.record, record) => progress,
                progress => Progress::new(holder, record, progress),
            };
            self.progress.insert(holder.clone(), progress);
        }
    }

    /// Tells each version how many environments it keeps.
    fn keep(&mut self) -> Vec<Effect> {
        let mut kept: HashMap<Key, usize> = HashMap::new();
        let wanted = self.progress.values().flat_map(|progress| {
            let own = (progress.version.clone(), progress.requested());
            progress.before.iter().cloned().chain([own])
        });
        for (version, count) in wanted {
            let most = kept.entry(version).or_default();
            *most = count.max(*most);
        }
        let left =
            self.kept.drain().map(|(version, _)| version).filter(|version| !kept.contains_key(version));
        let mut effects: Vec<Effect> = left.map(|version| Effect::Keep { version, count: 0 }).collect();
        effects.extend(
            kept.iter().map(|(version, count)| Effect::Keep { version: version.clone(), count: *count }),
        );
        self.kept = kept;
        effects
    }
}

/// Whether nobody has asked for anything else between the two.
pub(super) fn is_same(before: &ProvisionedConcurrency, after: &ProvisionedConcurrency) -> bool {
    before.version == after.version
        && before.requested == after.requested
        && before.last_modified == after.last_modified
}

impl Progress {
    fn new(holder: &Holder, record: &ProvisionedConcurrency, before: Option<Self>) -> Self {
        let version = Key {
            scope: holder.scope.clone(),
            name: holder.name.clone(),
            version: Version::Published(record.version),
            tenant: None,
        };
        let mut versions = Vec::new();
        if let Some(before) = before {
            versions.push((before.version.clone(), before.requested()));
            versions.extend(before.before);
            versions.retain(|(other, _)| *other != version);
        }
        Self {
            record: record.clone(),
            version,
            was_ready: false,
            failure: None,
            lost: usize::MAX,
            replace_at: None,
            before: versions,
            reported: record.allocation.status.clone(),
        }
    }

    fn requested(&self) -> usize {
        usize::try_from(self.record.requested).unwrap_or(usize::MAX)
    }

    fn observe(&mut self, stock: Stock, now: Instant) {
        // Another group of the same version counts from zero.
        if stock.lost > self.lost {
            self.replace_at = Some(now + FIRST_RETRY);
            if !self.was_ready {
                self.fail(LOST.to_owned(), now);
            }
        }
        self.lost = stock.lost;
        if stock.alive >= self.requested() {
            self.was_ready = true;
            self.failure = None;
        }
        if self.was_ready || self.failure.is_some() {
            self.before.clear();
        }
    }

    fn fail(&mut self, reason: String, now: Instant) {
        let attempts = match &self.failure {
            // One of several that were on their way.
            Some(failure) if failure.retry_at > now => return,
            Some(failure) => failure.attempts,
            None => 0,
        };
        let pause = FIRST_RETRY.saturating_mul(1 << attempts.min(16)).min(LAST_RETRY);
        self.failure = Some(Failure { reason, attempts: attempts + 1, retry_at: now + pause });
    }

    fn make(&self, holder: &Holder, stock: Stock, now: Instant) -> Option<Effect> {
        let missing = self.requested().saturating_sub(stock.alive + stock.creating);
        let count = match &self.failure {
            _ if self.replace_at.is_some_and(|replace_at| replace_at > now) => 0,
            None => missing.min(PARALLEL.saturating_sub(stock.creating)),
            Some(failure) if stock.creating == 0 && failure.retry_at <= now => missing.min(1),
            Some(_) => 0,
        };
        let (holder, version) = (holder.clone(), self.version.clone());
        (count > 0).then_some(Effect::Make { holder, version, count })
    }

    fn report(&mut self, wanted: &Wanted, stock: Stock, occasion: Occasion) -> Option<Effect> {
        let allocation = self.allocation(stock);
        let is_due = occasion == Occasion::Tick || self.reported != allocation.status;
        if allocation == wanted.record.allocation || !is_due {
            return None;
        }
        self.reported = allocation.status.clone();
        Some(Effect::Report { holder: wanted.holder.clone(), wanted: wanted.record.clone(), allocation })
    }

    /// What callers are told. What was allocated once stays so while an environment of it is replaced.
    fn allocation(&self, stock: Stock) -> Allocation {
        let available = u32::try_from(stock.alive).unwrap_or(u32::MAX).min(self.record.requested);
        let (allocated, status) = match &self.failure {
            Some(failure) => (available, AllocationStatus::Failed { reason: failure.reason.clone() }),
            None if self.was_ready => (self.record.requested, AllocationStatus::Ready),
            None => (available, AllocationStatus::InProgress),
        };
        Allocation { allocated, available, status }
    }
}

#[cfg(test)]
mod tests;
