//! What can be seen of an environment from outside. To look keeps it neither alive nor from anything it does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use firelet_types::EnvironmentId;
use parking_lot::Mutex;

use super::guest::Cage;
use super::{Environment, InitializationType, Starting};
use crate::state::State;

/// What an environment is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Its runtime or an extension has not asked for the first event yet.
    Initializing,
    /// It waits for an event.
    Idle,
    /// It waits for an event and stands still.
    Frozen,
    /// It works on an event, or has not asked for the next one.
    Busy,
    /// Its processes are being ended.
    Ending,
}

/// What was seen of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The environment's id.
    pub id: EnvironmentId,
    /// What it is doing.
    pub activity: Activity,
    /// Its main process, as this host numbers it; none when it is ending.
    pub process_id: Option<u32>,
    /// Why it was made.
    pub initialization: InitializationType,
    /// The most memory that it has held at a time; zero where the host does not count it.
    pub peak_memory_bytes: u64,
}

/// Looks at one environment for as long as there is one.
#[derive(Debug, Clone)]
pub struct Observer {
    id: EnvironmentId,
    initialization: InitializationType,
    state: Weak<Mutex<State>>,
    cage: Weak<Mutex<Cage>>,
    last_peak: Weak<AtomicU64>,
}

impl Observer {
    /// Whether there may be something to see.
    #[must_use]
    pub fn is_of_use(&self) -> bool {
        self.cage.strong_count() > 0
    }

    /// What the environment is doing; none once it has ended. Reads a few files of the kernel.
    #[must_use]
    pub fn observe(&self) -> Option<Observation> {
        let (sandbox, is_frozen) = {
            let cage = self.cage.upgrade()?;
            let cage = cage.lock();
            (Arc::clone(&cage.sandbox), cage.is_frozen)
        };
        let activity = self.state.upgrade()?.lock().activity()?;
        let last_peak = self.last_peak.upgrade()?.load(Ordering::Relaxed);
        Some(Observation {
            id: self.id,
            activity: if is_frozen && activity == Activity::Idle { Activity::Frozen } else { activity },
            process_id: sandbox.process_id(),
            initialization: self.initialization,
            peak_memory_bytes: sandbox.usage().peak_memory_bytes.max(last_peak),
        })
    }
}

impl Starting {
    /// Looks at the environment from now on.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let Environment { id, initialization, state, cage, last_peak, .. } = &*self.environment;
        Observer {
            id: *id,
            initialization: *initialization,
            state: Arc::downgrade(state),
            cage: Arc::downgrade(cage),
            last_peak: Arc::downgrade(last_peak),
        }
    }
}
