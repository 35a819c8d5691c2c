//! How many invocations may run at once: of a version that has executions provisioned, of a function that has some
//! reserved, and of all others together.
//!
//! Rooms count; how many fit in comes with each [`Share`], so that a change of a limit does not disturb what runs.
//! Knows no database. See <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use firelet_store::Version;
use firelet_store::function::Reservations;
use firelet_types::{FunctionName, Scope};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How long an invocation waits for room: an environment is counted until its runtime asks for the next event, which
/// is a little after its caller was answered and may have sent the next invocation.
const PATIENCE: Duration = Duration::from_millis(20);
/// Rooms kept at once; beyond that, those go that nobody is in and no route leads to.
const ROOMS: usize = 65_536;

/// The rooms of this node, and the limit of each account.
#[derive(Debug)]
pub(crate) struct Concurrency {
    limit: usize,
    accounts: Mutex<HashMap<Scope, Arc<Room>>>,
    functions: Mutex<HashMap<(Scope, FunctionName), Arc<Room>>>,
    versions: Mutex<HashMap<(Scope, FunctionName, Version), Arc<Room>>>,
}

/// What bounds the invocations of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// What is set aside for its function and for others.
    pub(crate) reservations: Reservations,
    /// Executions that are kept initialised for the version.
    pub(crate) allocated: u32,
}

/// Counts running invocations.
#[derive(Debug, Default)]
struct Room {
    running: AtomicUsize,
    freed: Notify,
}

/// The part of an account's concurrency that a version of a function may use.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    /// What is kept initialised for it, which is used first.
    provisioned: Option<Place>,
    /// What it shares with other versions, or other functions.
    rest: Place,
    exceeded: Exceeded,
}

/// A room with how many fit in.
#[derive(Debug, Clone)]
struct Place {
    room: Arc<Room>,
    limit: usize,
}

/// Which limit leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// What functions without reservation share.
    Account,
    /// The function's own reservation.
    Function,
}

/// Room for one invocation, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Room>);

impl Concurrency {
    pub(crate) fn new(limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, accounts: Mutex::default(), functions: Mutex::default(), versions: Mutex::default() }
    }

    /// The share of a version. A function with a reservation has its own, however busy the others are; the others share
    /// what is set aside for none. What is provisioned for a version is part of the one or the other, and no other version
    /// may use it.
    ///
    /// Invocations that run while a reservation is made or removed stay counted where they began.
    pub(crate) fn share(
        &self,
        scope: &Scope,
        name: &FunctionName,
        version: Version,
        Bounds { reservations, allocated }: Bounds,
    ) -> Share {
        let provisioned = (allocated > 0).then(|| Place {
            room: room(&self.versions, (scope.clone(), name.clone(), version)),
            limit: count(allocated),
        });
        match reservations.of_function {
            Some(reserved) => Share {
                provisioned,
                rest: Place {
                    room: room(&self.functions, (scope.clone(), name.clone())),
                    limit: count(reserved.saturating_sub(reservations.provisioned)),
                },
                exceeded: Exceeded::Function,
            },
            None => Share {
                provisioned,
                rest: Place {
                    room: room(&self.accounts, scope.clone()),
                    limit: self.limit.saturating_sub(count(reservations.in_account)),
                },
                exceeded: Exceeded::Account,
            },
        }
    }
}

fn count(executions: impl TryInto<usize>) -> usize {
    executions.try_into().unwrap_or(usize::MAX)
}

fn room<K: Eq + Hash>(rooms: &Mutex<HashMap<K, Arc<Room>>>, key: K) -> Arc<Room> {
    let mut rooms = rooms.lock();
    if rooms.len() >= ROOMS {
        rooms.retain(|_, room| Arc::strong_count(room) > 1);
    }
    Arc::clone(rooms.entry(key).or_default())
}

impl Share {
    /// Whether the function has executions reserved.
    pub(crate) fn is_reserved(&self) -> bool {
        self.exceeded == Exceeded::Function
    }

    /// Room for one more invocation, if there is any or a place frees in a moment.
    pub(crate) async fn slot(&self) -> Result<Slot, Exceeded> {
        if let Some(slot) = self.enter() {
            return Ok(slot);
        }
        if self.provisioned.is_none() && self.rest.limit == 0 {
            return Err(self.exceeded);
        }
        tokio::time::timeout(PATIENCE, self.wait()).await.map_err(|_| self.exceeded)
    }

    fn enter(&self) -> Option<Slot> {
        self.provisioned.as_ref().and_then(Place::enter).or_else(|| self.rest.enter())
    }

    async fn wait(&self) -> Slot {
        let Some(provisioned) = &self.provisioned else { return self.rest.wait().await };
        tokio::select! {
            slot = provisioned.wait() => slot,
            slot = self.rest.wait() => slot,
        }
    }
}

impl Place {
    fn enter(&self) -> Option<Slot> {
        let one_more = |running| (running < self.limit).then_some(running + 1);
        let entered = self.room.running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        entered.is_ok().then(|| Slot(Arc::clone(&self.room)))
    }

    async fn wait(&self) -> Slot {
        loop {
            let mut freed = pin!(self.room.freed.notified());
            // In line before the look, so that a place that frees after it is not missed.
            freed.as_mut().enable();
            if let Some(slot) = self.enter() {
                return slot;
            }
            freed.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use firelet_types::{AccountId, Region};

    use super::*;

    fn scope(account: &str) -> Scope {
        Scope { account: account.parse().unwrap(), region: Region::local() }
    }

    fn local() -> Scope {
        Scope { account: AccountId::local(), region: Region::local() }
    }

    fn share(
        concurrency: &Concurrency,
        scope: &Scope,
        name: &str,
        of_function: Option<u32>,
        in_account: u64,
    ) -> Share {
        let reservations = Reservations { of_function, provisioned: 0, in_account };
        let bounds = Bounds { reservations, allocated: 0 };
        concurrency.share(scope, &name.parse().unwrap(), Version::Latest, bounds)
    }

    /// The share of a version of a function `a`, of which 3 executions are provisioned for version 1, of 10 in all.
    fn provisioned_share(concurrency: &Concurrency, version: Version, of_function: Option<u32>) -> Share {
        let in_account = u64::from(of_function.unwrap_or(3));
        let reservations = Reservations { of_function, provisioned: 3, in_account };
        let allocated = if version == Version::Published(1) { 3 } else { 0 };
        let bounds = Bounds { reservations, allocated };
        concurrency.share(&local(), &"a".parse().unwrap(), version, bounds)
    }

    /// Takes slots until there are none: how many there were, and which limit ended it.
    async fn fill(share: &Share) -> (Vec<Slot>, Exceeded) {
        let mut slots = Vec::new();
        loop {
            match share.slot().await {
                Ok(slot) => slots.push(slot),
                Err(exceeded) => break (slots, exceeded),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slots_run_out_and_come_back_and_belong_to_one_account() {
        let concurrency = Concurrency::new(2);
        let first = share(&concurrency, &scope("111111111111"), "a", None, 0);
        let (mut slots, exceeded) = fill(&first).await;
        assert_eq!((slots.len(), exceeded), (2, Exceeded::Account));
        assert!(share(&concurrency, &scope("111111111111"), "b", None, 0).slot().await.is_err());
        assert!(share(&concurrency, &local(), "a", None, 0).slot().await.is_ok());
        slots.pop();
        assert!(first.slot().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_is_kept_for_its_function_and_bounds_it() {
        let concurrency = Concurrency::new(10);
        let reserved = share(&concurrency, &local(), "reserved", Some(3), 4);
        let other = share(&concurrency, &local(), "other", Some(1), 4);
        let rest = share(&concurrency, &local(), "rest", None, 4);
        let (rest_slots, exceeded) = fill(&rest).await;
        assert_eq!((rest_slots.len(), exceeded), (6, Exceeded::Account));
        let (reserved_slots, exceeded) = fill(&reserved).await;
        assert_eq!((reserved_slots.len(), exceeded), (3, Exceeded::Function));
        let (other_slots, exceeded) = fill(&other).await;
        assert_eq!((other_slots.len(), exceeded), (1, Exceeded::Function));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_of_none_throttles_at_once() {
        let before = tokio::time::Instant::now();
        let (slots, exceeded) = fill(&share(&Concurrency::new(10), &local(), "off", Some(0), 0)).await;
        assert_eq!((slots.len(), exceeded), (0, Exceeded::Function));
        assert_eq!(tokio::time::Instant::now(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_provisioned_for_a_version_is_used_first_and_by_no_other() {
        for (of_function, rest, exceeded) in
            [(None, 7, Exceeded::Account), (Some(5), 2, Exceeded::Function), (Some(3), 0, Exceeded::Function)]
        {
            let concurrency = Concurrency::new(10);
            let provisioned = provisioned_share(&concurrency, Version::Published(1), of_function);
            let latest = provisioned_share(&concurrency, Version::Latest, of_function);
            let (of_latest, why) = fill(&latest).await;
            assert_eq!((of_latest.len(), why), (rest, exceeded), "{of_function:?}");
            let (of_version, why) = fill(&provisioned).await;
            assert_eq!((of_version.len(), why), (3, exceeded), "{of_function:?}");
            drop(of_latest);
            let (spilled, why) = fill(&provisioned).await;
            assert_eq!((spilled.len(), why), (rest, exceeded), "{of_function:?}");
            drop(of_version);
            assert_eq!(fill(&latest).await.0.len(), 0, "{of_function:?}");
            assert_eq!(fill(&provisioned).await.0.len(), 3, "{of_function:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_frees_on_either_side_is_taken() {
        for frees_provisioned in [true, false] {
            let share = provisioned_share(&Concurrency::new(10), Version::Published(1), Some(4));
            let mut taken = fill(&share).await.0;
            assert_eq!(taken.len(), 4);
            let one = if frees_provisioned { taken.remove(0) } else { taken.remove(3) };
            let free = async {
                tokio::task::yield_now().await;
                drop(one);
            };
            let (slot, ()) = tokio::join!(share.slot(), free);
            assert!(slot.is_ok(), "{frees_provisioned}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_limit_counts_what_runs_already() {
        let concurrency = Concurrency::new(10);
        let (_running, _) = fill(&share(&concurrency, &local(), "a", Some(3), 3)).await;
        let (more, _) = fill(&share(&concurrency, &local(), "a", Some(5), 5)).await;
        assert_eq!(more.len(), 2);
        assert!(share(&concurrency, &local(), "a", Some(1), 1).slot().await.is_err());
        let (unreserved, _) = fill(&share(&concurrency, &local(), "a", None, 0)).await;
        assert_eq!(unreserved.len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_that_free_in_a_moment_are_waited_for() {
        let share = share(&Concurrency::new(2), &local(), "a", None, 0);
        let taken = fill(&share).await;
        let free = async {
            tokio::task::yield_now().await;
            drop(taken);
        };
        let (first, second, ()) = tokio::join!(share.slot(), share.slot(), free);
        assert!(first.is_ok() && second.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_limit_holds_when_many_come_and_go() {
        const LIMIT: usize = 3;
        let share = share(&Concurrency::new(3), &local(), "a", None, 0);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let share = share.clone();
            tasks.spawn(async move {
                for _ in 0..500 {
                    if let Ok(slot) = share.slot().await {
                        assert!(share.rest.room.running.load(Ordering::SeqCst) <= LIMIT);
                        tokio::task::yield_now().await;
                        drop(slot);
                    }
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(share.rest.room.running.load(Ordering::SeqCst), 0);
        assert_eq!(fill(&share).await.0.len(), LIMIT);
    }
}
