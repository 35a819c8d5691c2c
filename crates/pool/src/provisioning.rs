//! Environments that are kept ahead of invocations: reads what is wanted, has [`plan`] decide, and does it.
//!
//! Looks again after each change and with each tick, so that a lost signal costs a second at most.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use firelet_runtime::Environment;
use firelet_store::function::{Allocation, Entry, ProvisionedConcurrency, ProvisionedVersion};
use firelet_store::{FunctionVersion, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::group::{Group, Stock};
use crate::lease::LeaseError;
use crate::service::{Driver, Key, Maker, Pool};

use plan::{Effect, Holder, Plan, Wanted, is_same};

pub(crate) use plan::Occasion;

/// What callers read when an Init phase fails.
const INIT_FAILURE: &str = "FUNCTION_ERROR_INIT_FAILURE";
/// What callers read when this server fails; its log tells why.
const SERVER_FAILURE: &str = "INTERNAL_ERROR";

/// Keeps environments for the versions and aliases that the store names.
pub(crate) struct Provisioning {
    pool: Pool,
    maker: Arc<Maker>,
    store: Arc<Store>,
    drivers: mpsc::UnboundedSender<Driver>,
    plan: Plan,
    wanted: Vec<Wanted>,
    /// The versions that this is about.
    functions: HashMap<Key, Arc<FunctionVersion>>,
    /// The revision of what is provisioned at which both were read; none before that.
    revision: Option<u64>,
    making: JoinSet<Made>,
    reporting: JoinSet<()>,
}

/// What came of making one environment.
struct Made {
    holder: Holder,
    version: Key,
    result: Result<(), LeaseError>,
}

impl Provisioning {
    pub(crate) fn new(
        pool: Pool,
        maker: Arc<Maker>,
        store: Arc<Store>,
        drivers: mpsc::UnboundedSender<Driver>,
    ) -> Self {
        Self {
            pool,
            maker,
            store,
            drivers,
            plan: Plan::default(),
            wanted: Vec::new(),
            functions: HashMap::new(),
            revision: None,
            making: JoinSet::new(),
            reporting: JoinSet::new(),
        }
    }

    /// Waits until something ends that was begun here; for ever, if nothing was.
    pub(crate) async fn progress(&mut self) {
        let made = tokio::select! {
            Some(made) = self.making.join_next() => made,
            Some(_) = self.reporting.join_next() => return,
            else => std::future::pending().await,
        };
        // One that panicked is missed at the next step.
        let Ok(Made { holder, version, result }) = made else { return };
        if matches!(result, Err(LeaseError::Stopped)) {
            return;
        }
        let result = result.map_err(|error| {
            let (function, cause) = (&holder.name, &error as &dyn std::error::Error);
            tracing::warn!(%function, error = cause, "cannot make an execution environment ahead");
            reason(&error)
        });
        self.plan.made(&holder, &version, result, Instant::now());
    }

    /// Makes a step if the store wants something else than before.
    pub(crate) fn follow(&mut self) {
        if self.read() {
            self.step(Occasion::Change);
        }
    }

    /// Makes one step from what is there to what is wanted.
    pub(crate) fn step(&mut self, occasion: Occasion) {
        self.read();
        let Self { pool, functions, plan, wanted, .. } = self;
        let stock = |version: &Key| {
            let group = pool.existing_group(version, functions.get(version));
            group.map_or(Stock::default(), |group| group.stock())
        };
        for effect in plan.step(wanted, stock, Instant::now(), occasion) {
            match effect {
                Effect::Keep { version, count } => self.keep(&version, count),
                Effect::Make { holder, version, count } => self.make(&holder, &version, count),
                Effect::Report { holder, wanted, allocation } => self.report(holder, wanted, allocation),
            }
        }
    }

    /// Reads what is wanted, if that has changed; says whether it has.
    fn read(&mut self) -> bool {
        match self.read_changed() {
            Ok(has_changed) => has_changed,
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "cannot tell which execution environments are to be kept");
                false
            }
        }
    }

    fn read_changed(&mut self) -> Result<bool, firelet_store::Error> {
        // Read before the rest, which may be newer: then it is read once more.
        let revision = Some(self.store.functions().provisioned_revision()?);
        if self.revision == revision {
            return Ok(false);
        }
        let versions = self.store.functions().provisioned_versions()?;
        self.revision = revision;
        self.wanted.clear();
        self.functions.clear();
        for ProvisionedVersion { function, concurrency } in versions {
            let (scope, name) = (function.scope.clone(), function.name.clone());
            let holder = Holder { scope, name, qualifier: concurrency.qualifier.clone() };
            self.wanted.push(Wanted { holder, record: concurrency });
            self.functions.insert(Key::of(&function, None), Arc::new(function));
        }
        Ok(true)
    }

    /// The environments of a version as it is now, if there are any.
    fn group(&self, version: &Key) -> Option<Arc<Group>> {
        self.pool.existing_group(version, self.functions.get(version))
    }

    fn keep(&self, version: &Key, count: usize) {
        let group = match self.functions.get(version) {
            Some(function) if count > 0 => Some(self.pool.group(function)),
            _ => self.group(version),
        };
        if let Some(group) = group {
            group.keep(count);
        }
    }

    fn make(&mut self, holder: &Holder, version: &Key, count: usize) {
        let Some(function) = self.functions.get(version) else { return };
        let group = self.pool.group(function);
        for _ in 0..count {
            group.provision();
            let mut creation = Creation { group: Arc::clone(&group), environment: None };
            let (maker, drivers) = (Arc::clone(&self.maker), self.drivers.clone());
            let (holder, version) = (holder.clone(), version.clone());
            self.making.spawn(async move {
                let made = maker.make_ahead(&creation.group, &drivers).await;
                let result = made.map(|environment| creation.environment = Some(environment));
                drop(creation);
                Made { holder, version, result }
            });
        }
    }

    /// Stores how far this is, unless something else is wanted meanwhile.
    fn report(&mut self, holder: Holder, wanted: ProvisionedConcurrency, allocation: Allocation) {
        let store = Arc::clone(&self.store);
        let Holder { scope, name, qualifier } = holder;
        let decide = move |entry: &mut Entry<'_>| -> Result<(), firelet_store::Error> {
            match entry.provisioned_concurrency(&qualifier)? {
                Some(record) if is_same(&record, &wanted) => {
                    entry.put_provisioned_concurrency(&ProvisionedConcurrency { allocation, ..record })
                }
                _ => Ok(()),
            }
        };
        self.reporting.spawn(async move {
            // The next tick reports again what could not be stored.
            if let Err(error) = store.functions().update(&scope, &name, decide).await {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(function = %name, error = cause, "cannot report what is provisioned");
            }
        });
    }
}

/// An environment that is being made. However that ends, its group hears of it.
struct Creation {
    group: Arc<Group>,
    environment: Option<Arc<Environment>>,
}

impl Drop for Creation {
    fn drop(&mut self) {
        self.group.provisioned(self.environment.take());
    }
}

/// What callers read of a failure.
fn reason(error: &LeaseError) -> String {
    match error {
        LeaseError::Init(_) => INIT_FAILURE.to_owned(),
        LeaseError::Image => error.to_string(),
        LeaseError::Runtime(error) => error.to_string(),
        // Versions that start from snapshots are refused provisioned concurrency.
        LeaseError::Snapshot(_)
        | LeaseError::Restore(_)
        | LeaseError::Code(_)
        | LeaseError::Start(_)
        | LeaseError::Overloaded
        | LeaseError::Stopped => SERVER_FAILURE.to_owned(),
    }
}
