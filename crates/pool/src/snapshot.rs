//! The snapshots that environments start from: kept in memory, each made once however many wait for it.
//!
//! Decides neither which versions have one nor when it is made: whoever needs one brings the way to make it. Nothing of this
//! outlives the server; what is lost is made again.

mod shelf;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use firelet_store::{FunctionVersion, Store};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::lease::LeaseError;
use crate::service::{Key, is_same_configuration};

use shelf::Shelf;

/// What a snapshot of a process counts at least, in bytes: it holds descriptors too, of which there are fewer than small snapshots
/// would find room.
const LEAST_BYTES: u64 = 1 << 20;

/// What came of making a snapshot, for all who wait for it.
type Made<T> = Result<T, Arc<LeaseError>>;

/// What there is of snapshots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotStock {
    /// How many are kept.
    pub count: usize,
    /// The memory that they hold, in bytes.
    pub memory_bytes: u64,
    /// The memory that they may hold, in bytes.
    pub memory_limit_bytes: u64,
}

/// The snapshots of this node.
pub(crate) struct Snapshots<T> {
    inner: Mutex<Inner<T>>,
    /// Bytes of memory that one holds.
    size: fn(&T) -> u64,
    /// Whether one was kept since the store was last asked whether their versions are still there.
    has_news: AtomicBool,
}

struct Inner<T> {
    shelf: Shelf<T>,
    making: HashMap<Key, Making<T>>,
}

struct Making<T> {
    function: Arc<FunctionVersion>,
    made: watch::Receiver<Option<Made<T>>>,
}

/// What whoever needs a snapshot has to do for it.
enum Turn<'a, T: Clone> {
    Take(T),
    Wait(watch::Receiver<Option<Made<T>>>),
    Make(Flight<'a, T>),
}

impl<T: Clone> Snapshots<T> {
    /// None yet; all together may hold `memory_bytes`, of which each holds `size`.
    pub(crate) fn new(memory_bytes: u64, size: fn(&T) -> u64) -> Self {
        let inner = Inner { shelf: Shelf::new(memory_bytes), making: HashMap::new() };
        Self { inner: Mutex::new(inner), size, has_news: AtomicBool::new(false) }
    }

    /// The snapshot of `function`: the one that is kept, or the one that somebody else is making, or else what `make` gives.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Snapshot`], with what `make` answered to whoever had it run.
    pub(crate) async fn obtain(
        &self,
        function: &Arc<FunctionVersion>,
        make: impl Future<Output = Result<T, LeaseError>>,
    ) -> Result<T, LeaseError> {
        loop {
            match self.turn(function) {
                Turn::Take(snapshot) => return Ok(snapshot),
                Turn::Wait(mut made) => {
                    // Where whoever made it was broken off, it is somebody else's turn.
                    if let Ok(made) = made.wait_for(Option::is_some).await
                        && let Some(made) = made.clone()
                    {
                        return made.map_err(LeaseError::Snapshot);
                    }
                }
                Turn::Make(flight) => return flight.land(make.await).map_err(LeaseError::Snapshot),
            }
        }
    }

    fn turn(&self, function: &Arc<FunctionVersion>) -> Turn<'_, T> {
        let mut inner = self.inner.lock();
        if let Some(snapshot) = inner.shelf.get(function) {
            return Turn::Take(snapshot);
        }
        let key = Key::of(function, None);
        if let Some(making) = inner.making.get(&key)
            && is_same_configuration(&making.function, function)
        {
            return Turn::Wait(making.made.clone());
        }
        let (sender, made) = watch::channel(None);
        inner.making.insert(key, Making { function: Arc::clone(function), made });
        Turn::Make(Flight { snapshots: self, function: Arc::clone(function), made: sender })
    }

    /// Lets those go whose version the store no longer has, if it `has_changed` or any came since this was last asked.
    pub(crate) fn tend(&self, store: &Store, has_changed: bool) {
        if !self.has_news.swap(false, Ordering::Relaxed) && !has_changed {
            return;
        }
        let versions = self.inner.lock().shelf.versions();
        for known in versions {
            match store.functions().get(&known.scope, &known.name, known.version) {
                Ok(Some(current)) if is_same_configuration(&known, &current) => {}
                Ok(_) => {
                    let gone = self.inner.lock().shelf.remove(&known);
                    // Gives its memory back; outside the lock.
                    drop(gone);
                }
                Err(error) => {
                    tracing::warn!(function = %known.name, %error, "cannot tell whether a snapshot is still of use");
                }
            }
        }
    }

    /// How many hold memory.
    pub(crate) fn holding(&self) -> usize {
        self.inner.lock().shelf.holding()
    }

    /// Drops up to `count` of those that hold memory, those used longest ago first.
    pub(crate) fn drop_oldest(&self, count: usize) {
        let gone: Vec<T> = {
            let mut inner = self.inner.lock();
            std::iter::from_fn(|| inner.shelf.take_oldest()).take(count).collect()
        };
        // Gives their memory back; outside the lock.
        drop(gone);
    }

    /// What there is.
    pub(crate) fn stock(&self) -> SnapshotStock {
        let Inner { shelf, .. } = &*self.inner.lock();
        SnapshotStock { count: shelf.count(), memory_bytes: shelf.bytes(), memory_limit_bytes: shelf.room() }
    }
}

/// What a snapshot of so many bytes takes of the room: nothing where there is no process.
pub(crate) fn charge(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { bytes.max(LEAST_BYTES) }
}

/// A snapshot that is being made. Those who wait for it hear of its end, however it ends.
struct Flight<'a, T: Clone> {
    snapshots: &'a Snapshots<T>,
    function: Arc<FunctionVersion>,
    made: watch::Sender<Option<Made<T>>>,
}

impl<T: Clone> Flight<'_, T> {
    fn land(self, result: Result<T, LeaseError>) -> Made<T> {
        let made = result.map_err(Arc::new);
        if let Ok(snapshot) = &made {
            let function = Arc::clone(&self.function);
            let bytes = (self.snapshots.size)(snapshot);
            let gone = self.snapshots.inner.lock().shelf.put(function, snapshot.clone(), bytes);
            self.snapshots.has_news.store(true, Ordering::Relaxed);
            if !gone.is_empty() {
                let (function, version) = (&self.function.name, &self.function.version);
                let dropped = gone.len();
                tracing::info!(
                    %function, %version, dropped,
                    "snapshots are dropped for want of room and made again when needed; --snapshot-memory gives them more"
                );
            }
        }
        self.made.send_replace(Some(made.clone()));
        made
    }
}

impl<T: Clone> Drop for Flight<'_, T> {
    fn drop(&mut self) {
        let mut inner = self.snapshots.inner.lock();
        let key = Key::of(&self.function, None);
        // A later configuration of the version may be under way in its place.
        let is_own = |making: &Making<T>| Arc::ptr_eq(&making.function, &self.function);
        if inner.making.get(&key).is_some_and(is_own) {
            inner.making.remove(&key);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
