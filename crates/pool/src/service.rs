//! The task that owns every execution environment of the node: makes them, drives them, and ends them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firelet_runtime::{
    Catalogue, Environment, Function, InitPhase, InitializationType, JsonLogging, Readiness, Sandboxes,
    Snapshot, StartError, restore, start, start_for_snapshot,
};
use firelet_store::definition::LogFormat;
use firelet_store::{FunctionVersion, Store, Version};
use firelet_types::{FunctionName, RevisionId, Scope, TenantId, limits};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::busy_poll::BusyPoll;
use crate::code_cache::CodeCache;
use crate::freezing::Freezing;
use crate::group::Group;
use crate::inventory::{self, Inventory, Resident};
use crate::lease::{LeaseError, Orphan};
use crate::memory::{MemoryReserve, MemoryWatch};
use crate::preparation::Preparation;
use crate::provisioning::{Occasion, Provisioning};
use crate::saturation::Saturation;
use crate::snapshot::{Snapshots, charge};
use crate::snapshotting::Snapshotting;

/// Requests that may wait for the service; beyond that callers are told that the pool is overloaded.
const TASKS: usize = 4_096;
/// How long environments may take to end when the server stops: a shutdown phase with extensions, and a little.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(2_500);
/// How often idle environments are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How environments are kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an environment stays without work before it is ended.
    pub idle_lifetime: Duration,
    /// Idle environments on the node; beyond that those idle longest are ended.
    pub idle_environments: usize,
    /// Memory that is kept free: when the host has less, those idle longest are ended.
    pub memory_reserve: MemoryReserve,
    /// How long the server's thread stays awake after an invocation began, was answered, or its environment came back;
    /// see the module `busy_poll`. Zero turns that off.
    pub busy_poll: Duration,
    /// How long an environment is idle before its processes are made to stand still.
    pub freeze_after: Duration,
    /// Bytes of memory that snapshots may hold together; beyond that those used longest ago are dropped.
    pub snapshot_memory: u64,
    /// Processors of the host.
    pub processors: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            idle_lifetime: Duration::from_secs(300),
            idle_environments: 256,
            memory_reserve: MemoryReserve::Percent(5),
            busy_poll: Duration::from_micros(150),
            freeze_after: Duration::from_millis(100),
            snapshot_memory: 512 << 20,
            processors: 1,
        }
    }
}

/// What the service is asked to do.
pub(crate) enum Task {
    /// Make an environment for this group.
    Create(Arc<Group>),
    /// See an invocation to its end whose caller went away.
    Finish(Orphan),
    /// See whether environments that are kept are missing.
    Provision,
    /// Do what a caller may not be there for.
    Run(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// One version of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) scope: Scope,
    pub(crate) name: FunctionName,
    pub(crate) version: Version,
    /// Whose environments they are, where a function's are kept apart for each tenant.
    pub(crate) tenant: Option<TenantId>,
}

impl Key {
    pub(crate) fn of(function: &FunctionVersion, tenant: Option<&TenantId>) -> Self {
        let FunctionVersion { scope, name, version, .. } = function;
        Self { scope: scope.clone(), name: name.clone(), version: *version, tenant: tenant.cloned() }
    }
}

/// The way to the environments of this node; cheap to clone.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    /// The groups that serve the versions as they are configured now.
    groups: RwLock<HashMap<Key, Arc<Group>>>,
    /// Groups whose last environments have still to end.
    retired: Mutex<Vec<Arc<Group>>>,
    tasks: mpsc::Sender<Task>,
    polling: Arc<BusyPoll>,
    freezing: Arc<Freezing>,
    sandboxes: Arc<Sandboxes>,
    snapshots: Arc<Snapshots<Snapshot>>,
    saturation: Arc<Saturation>,
}

/// What makes environments; runs until the server stops.
pub struct PoolService {
    options: Options,
    maker: Arc<Maker>,
    shared: Arc<Shared>,
    store: Arc<Store>,
    tasks: mpsc::Receiver<Task>,
}

/// All that it takes to make an environment.
pub(crate) struct Maker {
    runtime: firelet_runtime::Options,
    catalogue: Catalogue,
    code: CodeCache,
    snapshots: Arc<Snapshots<Snapshot>>,
}

impl Pool {
    /// A pool and the service that does its work.
    #[must_use]
    pub fn new(
        options: Options,
        runtime: firelet_runtime::Options,
        catalogue: Catalogue,
        code: CodeCache,
        store: Arc<Store>,
    ) -> (Self, PoolService) {
        let (sender, tasks) = mpsc::channel(TASKS);
        let snapshots =
            Arc::new(Snapshots::new(options.snapshot_memory, |snapshot: &Snapshot| charge(snapshot.size())));
        let shared = Arc::new(Shared {
            groups: RwLock::default(),
            retired: Mutex::default(),
            tasks: sender,
            polling: Arc::new(BusyPoll::new(options.busy_poll)),
            freezing: Arc::new(Freezing::new(options.freeze_after)),
            sandboxes: Arc::clone(&runtime.sandboxes),
            snapshots: Arc::clone(&snapshots),
            saturation: Arc::new(Saturation::new(options.processors)),
        });
        let maker = Arc::new(Maker { runtime, catalogue, code, snapshots });
        let service = PoolService { options, maker, shared: Arc::clone(&shared), store, tasks };
        (Self { shared }, service)
    }

    /// The environments of `function` as it is configured now; those of an earlier configuration are retired.
    #[must_use]
    pub fn group(&self, function: &Arc<FunctionVersion>) -> Arc<Group> {
        self.group_of(Key::of(function, None), function)
    }

    /// The environments of `function` that work for `tenant` and nobody else.
    #[must_use]
    pub fn group_of_tenant(&self, function: &Arc<FunctionVersion>, tenant: &TenantId) -> Arc<Group> {
        self.group_of(Key::of(function, Some(tenant)), function)
    }

    fn group_of(&self, key: Key, function: &Arc<FunctionVersion>) -> Arc<Group> {
        if let Some(group) = self.shared.groups.read().get(&key)
            && is_same_configuration(group.function(), function)
        {
            return Arc::clone(group);
        }
        let mut groups = self.shared.groups.write();
        if let Some(group) = groups.get(&key)
            && (is_same_configuration(group.function(), function)
                || group.function().last_modified > function.last_modified)
        {
            // The one that is there may be of a later configuration than its caller has read.
            return Arc::clone(group);
        }
        let Shared { tasks, polling, freezing, .. } = &*self.shared;
        let (tasks, polling, freezing) = (tasks.clone(), Arc::clone(polling), Arc::clone(freezing));
        let (function, saturation) = (Arc::clone(function), Arc::clone(&self.shared.saturation));
        let group = Arc::new(Group::new(key.clone(), function, tasks, polling, freezing, saturation));
        let replaced = groups.insert(key, Arc::clone(&group));
        drop(groups);
        if let Some(replaced) = replaced {
            self.shared.retire(replaced);
        }
        group
    }

    /// The environments of a version, if there are any; of `function` as it is configured now, where that is known.
    pub(crate) fn existing_group(
        &self,
        version: &Key,
        function: Option<&Arc<FunctionVersion>>,
    ) -> Option<Arc<Group>> {
        let groups = self.shared.groups.read();
        let group = groups.get(version)?;
        let is_current = function.is_none_or(|function| is_same_configuration(group.function(), function));
        is_current.then(|| Arc::clone(group))
    }

    /// What there is on this node.
    pub async fn inventory(&self) -> Inventory {
        let environments = inventory::in_order(self.shared.residents());
        let sandboxes = Arc::clone(&self.shared.sandboxes);
        let helper_id = sandboxes.helper_id();
        let asked = tokio::task::spawn_blocking(move || inventory::stock(&sandboxes));
        // Only a server that stops does not answer.
        let prepared = asked.await.unwrap_or_default();
        Inventory { environments, prepared, snapshots: self.shared.snapshots.stock(), helper_id }
    }

    /// Runs `work` to its end, whether or not its caller stays.
    ///
    /// # Errors
    ///
    /// When the pool has too much to do, or has stopped.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, LeaseError> {
        let (sender, receiver) = oneshot::channel();
        let work = async move {
            // A caller that went away hears nothing.
            let _ = sender.send(work.await);
        };
        self.start(work)?;
        receiver.await.map_err(|_| LeaseError::Stopped)
    }

    /// Has `work` run to its end, unless the server stops before.
    ///
    /// # Errors
    ///
    /// When the pool has too much to do, or has stopped.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), LeaseError> {
        self.shared.tasks.try_send(Task::Run(Box::pin(work))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LeaseError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => LeaseError::Stopped,
        })
    }
}

impl Shared {
    /// Waits until it is time to look for environments that shall stand still. May be broken off and begun anew.
    async fn freeze_due(&self, period: &mut Interval) {
        self.freezing.due().await;
        period.tick().await;
    }

    fn freeze(&self) {
        self.freezing.look(Instant::now(), |cutoff| {
            let groups: Vec<Arc<Group>> = self.groups.read().values().cloned().collect();
            let awake = groups.iter().filter(|group| !group.freeze(cutoff)).count();
            awake == 0
        });
    }

    fn residents(&self) -> Vec<Resident> {
        let current: Vec<Arc<Group>> = self.groups.read().values().cloned().collect();
        let retired = self.retired.lock().clone();
        current.iter().chain(&retired).flat_map(|group| group.residents()).collect()
    }

    fn retire(&self, group: Arc<Group>) {
        group.retire();
        self.retired.lock().push(group);
    }
}

/// Whether environments of `old` may serve `new`.
pub(crate) fn is_same_configuration(old: &FunctionVersion, new: &FunctionVersion) -> bool {
    old.last_modified == new.last_modified && old.definition == new.definition
}

impl PoolService {
    /// Works until `shutdown`; then every environment is ended, those with extensions after their shutdown phase.
    pub async fn run(mut self, shutdown: CancellationToken) {
        self.maker.code.sweep().await;
        let mut work = JoinSet::new();
        let mut drivers = JoinSet::new();
        let mut polling = JoinSet::new();
        polling.spawn({
            let polling = Arc::clone(&self.shared.polling);
            async move { polling.run().await }
        });
        let mut unpacking = JoinSet::new();
        unpacking.spawn({
            let maker = Arc::clone(&self.maker);
            async move { maker.code.follow().await }
        });
        let mut tick = tokio::time::interval(TICK);
        let mut memory = MemoryWatch::new(self.options.memory_reserve);
        let mut freeze = tokio::time::interval(self.shared.freezing.period());
        freeze.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut generation = 0;
        let mut changes = self.store.changes().subscribe();
        let (driver_sender, mut new_drivers) = mpsc::unbounded_channel();
        let mut provisioning = Provisioning::new(
            Pool { shared: Arc::clone(&self.shared) },
            Arc::clone(&self.maker),
            Arc::clone(&self.store),
            driver_sender.clone(),
        );
        let mut snapshotting = Snapshotting::new(
            Pool { shared: Arc::clone(&self.shared) },
            Arc::clone(&self.maker),
            Arc::clone(&self.store),
            driver_sender.clone(),
        );
        let mut preparation = Preparation::new(Arc::clone(&self.maker), Arc::clone(&self.store));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(task) = self.tasks.recv() => match task {
                    Task::Create(group) => {
                        let (maker, drivers) = (Arc::clone(&self.maker), driver_sender.clone());
                        work.spawn(async move {
                            let (since, result) = (Instant::now(), Err(LeaseError::Stopped));
                            let mut creation = Creation { group, since, result };
                            creation.result = maker.make_on_demand(&creation.group, &drivers).await;
                        });
                    }
                    Task::Finish(orphan) => {
                        work.spawn(orphan.finish());
                    }
                    Task::Provision => provisioning.step(Occasion::Change),
                    Task::Run(future) => {
                        work.spawn(future);
                    }
                },
                Ok(()) = changes.changed() => {
                    provisioning.follow();
                    snapshotting.follow();
                    preparation.follow();
                }
                () = preparation.progress() => {}
                () = snapshotting.progress() => {}
                () = provisioning.progress() => provisioning.step(Occasion::Change),
                Some(driver) = new_drivers.recv() => {
                    drivers.spawn(driver);
                }
                () = self.shared.freeze_due(&mut freeze) => self.shared.freeze(),
                _ = tick.tick() => {
                    self.tend(&mut generation, &mut memory);
                    provisioning.step(Occasion::Tick);
                    snapshotting.follow();
                    preparation.follow();
                }
                Some(_) = work.join_next(), if !work.is_empty() => {}
                Some(_) = drivers.join_next(), if !drivers.is_empty() => {}
            }
        }
        // What was still to be done ends first: it holds environments.
        self.tasks.close();
        while self.tasks.try_recv().is_ok() {}
        drop(work);
        self.end_all();
        let ended = async { while drivers.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, ended).await.is_err() {
            tracing::warn!("execution environments did not end in time, and are killed");
        }
    }

    /// Ends every environment, whatever it is doing.
    fn end_all(&self) {
        let groups: Vec<Arc<Group>> = self.shared.groups.write().drain().map(|(_, group)| group).collect();
        let retired = std::mem::take(&mut *self.shared.retired.lock());
        for group in groups.into_iter().chain(retired) {
            group.retire();
            group.end_finishing();
        }
    }

    /// Ends what has been idle too long, what is too much or more than there is memory for, and what the store no longer has.
    fn tend(&self, generation: &mut u64, memory: &mut MemoryWatch) {
        let now = self.store.changes().generation();
        let has_changed = *generation != now;
        if has_changed {
            *generation = now;
            self.retire_replaced();
        }
        self.shared.snapshots.tend(&self.store, has_changed);
        let mut idle = 0;
        let now = Instant::now();
        let cutoff = now.checked_sub(self.options.idle_lifetime);
        let mut unused = Vec::new();
        self.shared.groups.write().retain(|_, group| {
            let (left, is_used) = group.expire(cutoff, now);
            idle += left;
            if !is_used {
                unused.push(Arc::clone(group));
            }
            is_used
        });
        for group in unused {
            self.shared.retire(group);
        }
        // Somebody who looked a group up before it was retired may still lease from it.
        let is_needed = |group: &Arc<Group>| group.expire(cutoff, now).1 || Arc::strong_count(group) > 1;
        self.shared.retired.lock().retain(is_needed);
        idle -= self.end_idle(idle.saturating_sub(self.options.idle_environments), now);
        // What is in use now and then is left: it would only be made again.
        if let Some(cutoff) = now.checked_sub(TICK) {
            self.make_room(memory, idle, now, cutoff);
        }
    }

    /// Where memory is short, ends idle environments, or drops snapshots once none is left that has been idle since before
    /// `cutoff`.
    fn make_room(&self, memory: &mut MemoryWatch, idle: usize, now: Instant, cutoff: Instant) {
        let surplus = memory.surplus(idle + self.shared.snapshots.holding(), now);
        let ended = self.end_idle(surplus, cutoff);
        if ended == 0 {
            self.shared.snapshots.drop_oldest(surplus);
        }
    }

    /// Ends `count` environments that have been idle since before `cutoff`, those idle longest first, and says how many there
    /// were.
    fn end_idle(&self, count: usize, cutoff: Instant) -> usize {
        for ended in 0..count {
            let groups = self.shared.groups.read();
            let oldest = groups.values().filter_map(|group| Some((group.idle_since()?, group)));
            match oldest.min_by_key(|(since, _)| *since) {
                Some((since, group)) if since <= cutoff => group.evict(),
                _ => return ended,
            }
        }
        count
    }

    /// Retires the groups of versions that were deleted or configured anew.
    fn retire_replaced(&self) {
        let groups = self.shared.groups.read().clone();
        for (key, group) in groups {
            let known = group.function();
            let current = match self.store.functions().get(&known.scope, &known.name, known.version) {
                Ok(current) => current,
                Err(error) => {
                    tracing::warn!(function = %known.name, %error, "cannot tell whether a function has changed");
                    continue;
                }
            };
            if !current.is_some_and(|current| is_same_configuration(known, &current)) {
                let mut groups = self.shared.groups.write();
                if groups.get(&key).is_some_and(|current| Arc::ptr_eq(current, &group)) {
                    groups.remove(&key);
                }
                drop(groups);
                self.shared.retire(group);
            }
        }
    }
}

/// An environment that is being made. However that ends, its group hears of it.
struct Creation {
    group: Arc<Group>,
    since: Instant,
    result: Result<Arc<Environment>, LeaseError>,
}

impl Drop for Creation {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Err(LeaseError::Stopped));
        self.group.created(result, self.since.elapsed());
    }
}

/// Drives one environment's guest.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Maker {
    /// Whether interpreters of `runtime` are started ahead, or shall not be.
    pub(crate) fn is_prepared(&self, runtime: &str) -> bool {
        self.runtime.prepared.covers(runtime)
    }

    /// Has interpreters of `runtime` started ahead; false where that cannot be. Functions are told why they cannot be run
    /// when they are invoked; here it is enough to know.
    pub(crate) async fn prepare(&self, runtime: &str) -> bool {
        let Ok(interpreter) = self.catalogue.interpreter(runtime).await else { return false };
        let firelet_runtime::Options { prepared, bootstraps, sandboxes, .. } = &self.runtime;
        prepared.prepare(&interpreter, bootstraps, sandboxes).await.unwrap_or_else(|error| {
            tracing::warn!(runtime, %error, "cannot start interpreters ahead; cold starts take longer");
            false
        })
    }

    /// Makes an environment for an invocation that waits for it, or starts one anew in which nothing runs. Where its Init phase
    /// fails it is repeated, with the function's own timeout, as part of that invocation.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>; AWS's open emulator repeats Init after
    /// errors as well as when it takes too long.
    async fn make_on_demand(
        &self,
        group: &Group,
        drivers: &mpsc::UnboundedSender<Driver>,
    ) -> Result<Arc<Environment>, LeaseError> {
        if group.function().starts_from_snapshot() {
            return self.make_from_snapshot(group, drivers).await;
        }
        let timeout = group.function().definition.timeout;
        if let Some(dormant) = group.take_dormant().await
            && let Some(result) = revive(&dormant, timeout).await
        {
            return result;
        }
        let function = self.function(group.function(), InitializationType::OnDemand).await?;
        let failed =
            match self.attempt(group, &function, limits::INIT_TIMEOUT, InitPhase::Init, drivers).await {
                Err(LeaseError::Init(failed)) => failed,
                result => return result,
            };
        if let Some(environment) = &failed.environment
            && let Some(result) = revive(environment, timeout).await
        {
            return result;
        }
        self.attempt(group, &function, timeout, InitPhase::Invoke, drivers).await
    }

    /// Makes an environment for an invocation that waits for it, from the snapshot of its version, which is made first if it
    /// was lost. Init is not repeated where it fails: the version has been initialised before.
    async fn make_from_snapshot(
        &self,
        group: &Group,
        drivers: &mpsc::UnboundedSender<Driver>,
    ) -> Result<Arc<Environment>, LeaseError> {
        let function = self.function(group.function(), InitializationType::SnapStart).await?;
        let snapshot = self.snapshot_of(group, &function, drivers).await?;
        let (restoring, driver) =
            restore(&self.runtime, &function, &snapshot).await.map_err(|error| match error {
                StartError::Unrestored(failed) => LeaseError::Restore(failed),
                error => LeaseError::Start(error),
            })?;
        group.started(restoring.observer());
        drivers.send(Box::pin(driver)).map_err(|_| LeaseError::Stopped)?;
        restoring.finish().await.map_err(LeaseError::Restore)
    }

    /// The snapshot of a version, made if there is none.
    pub(crate) async fn snapshot(
        &self,
        group: &Group,
        drivers: &mpsc::UnboundedSender<Driver>,
    ) -> Result<Snapshot, LeaseError> {
        let function = self.function(group.function(), InitializationType::SnapStart).await?;
        self.snapshot_of(group, &function, drivers).await
    }

    async fn snapshot_of(
        &self,
        group: &Group,
        function: &Function,
        drivers: &mpsc::UnboundedSender<Driver>,
    ) -> Result<Snapshot, LeaseError> {
        let make = async {
            let (capturing, driver) = start_for_snapshot(&self.runtime, function).await.map_err(of_start)?;
            group.started(capturing.observer());
            drivers.send(Box::pin(driver)).map_err(|_| LeaseError::Stopped)?;
            capturing.capture().await.map_err(|mut failed| {
                // Those who hear of the failure have no use for where it happened.
                failed.environment = None;
                LeaseError::Init(failed)
            })
        };
        self.snapshots.obtain(group.function(), make).await
    }

    /// The revision of a version whose state changes.
    pub(crate) fn new_revision(&self) -> RevisionId {
        RevisionId::new(&self.runtime.ids)
    }

    /// Makes an environment ahead of invocations.
    pub(crate) async fn make_ahead(
        &self,
        group: &Group,
        drivers: &mpsc::UnboundedSender<Driver>,
    ) -> Result<Arc<Environment>, LeaseError> {
        let function = self.function(group.function(), InitializationType::ProvisionedConcurrency).await?;
        let limit = limits::PROVISIONED_INIT_TIMEOUT.max(function.timeout);
        self.attempt(group, &function, limit, InitPhase::Init, drivers).await
    }

    async fn attempt(
        &self,
        group: &Group,
        function: &Function,
        limit: Duration,
        phase: InitPhase,
        drivers: &mpsc::UnboundedSender<Driver>,
    ) -> Result<Arc<Environment>, LeaseError> {
        let (starting, driver) = start(&self.runtime, function, phase).await.map_err(of_start)?;
        group.started(starting.observer());
        drivers.send(Box::pin(driver)).map_err(|_| LeaseError::Stopped)?;
        starting.initialise(limit).await.map_err(LeaseError::Init)
    }

    async fn function(
        &self,
        version: &FunctionVersion,
        initialization: InitializationType,
    ) -> Result<Function, LeaseError> {
        let definition = &version.definition;
        if definition.image.is_some() {
            return Err(LeaseError::Image);
        }
        let runtime = definition.runtime.as_deref().unwrap_or_default();
        let interpreter = self.catalogue.interpreter(runtime).await.map_err(LeaseError::Runtime)?;
        let code = self.code.directory(&definition.code.sha256).await.map_err(LeaseError::Code)?;
        let layers: Vec<_> = definition.layers.iter().map(|layer| layer.code.sha256).collect();
        let layers = self.code.merged(&layers).await.map_err(LeaseError::Code)?;
        let json_logging = match definition.logging.format.clone() {
            LogFormat::Text => None,
            LogFormat::Json { application_level, system_level } => {
                Some(JsonLogging { application_level, system_level })
            }
        };
        Ok(Function {
            scope: version.scope.clone(),
            name: version.name.clone(),
            version: version.version.to_string(),
            handler: definition.handler.clone().unwrap_or_default(),
            interpreter,
            code,
            layers,
            memory_megabytes: definition.memory_megabytes,
            ephemeral_storage_megabytes: definition.ephemeral_storage_megabytes,
            timeout: definition.timeout,
            variables: definition.environment.clone().map(|environment| environment.0).unwrap_or_default(),
            log_group: definition
                .logging
                .group
                .clone()
                .unwrap_or_else(|| format!("/aws/lambda/{}", version.name)),
            json_logging,
            initialization,
        })
    }
}

fn of_start(error: StartError) -> LeaseError {
    match error {
        StartError::Unlaunched(failed) => LeaseError::Init(failed),
        error => LeaseError::Start(error),
    }
}

/// Starts an environment anew once nothing runs in it; none when that cannot be.
async fn revive(
    environment: &Arc<Environment>,
    limit: Duration,
) -> Option<Result<Arc<Environment>, LeaseError>> {
    let (sender, ended) = oneshot::channel();
    environment.when_ready(move |readiness| {
        // Whoever waits may have gone.
        let _ = sender.send(readiness);
    });
    if ended.await != Ok(Readiness::Dormant) {
        return None;
    }
    let starting = environment.revive()?;
    Some(starting.initialise(limit).await.map_err(LeaseError::Init))
}
