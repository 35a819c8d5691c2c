//! The environments of one version of a function, as it was configured at one time.
//!
//! Locks are held for a few lines; nothing here waits or starts anything but by telling the pool's service.

mod members;

use std::sync::Arc;
use std::time::{Duration, Instant};

use firelet_runtime::{Environment, Observer, Readiness};
use firelet_store::FunctionVersion;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::busy_poll::BusyPoll;
use crate::demand::Supply;
use crate::freezing::Freezing;
use crate::inventory::Resident;
use crate::lease::{Lease, LeaseError};
use crate::saturation::Saturation;
use crate::service::{Key, Task};

pub(crate) use members::Stock;
use members::{Finishing, Members, expire, is_provisioned};

/// How long an environment whose processes are being ended is waited for before another one is made: where no extension
/// has to be told, that is sooner.
const RESET_GRACE: Duration = Duration::from_millis(50);

/// What a caller wants kept until the environment of its invocation is free.
pub(crate) type Hold = Box<dyn Send>;

type Waiting = oneshot::Receiver<Result<Arc<Environment>, LeaseError>>;

/// The environments of one version of a function.
pub struct Group {
    key: Key,
    function: Arc<FunctionVersion>,
    tasks: mpsc::Sender<Task>,
    polling: Arc<BusyPoll>,
    freezing: Arc<Freezing>,
    saturation: Arc<Saturation>,
    members: Mutex<Members>,
    /// Told when the processes of an environment have ended.
    settled: Notify,
    /// One for each environment, from its start to some time after its end.
    observers: Mutex<Vec<Observer>>,
}

impl Group {
    pub(crate) fn new(
        key: Key,
        function: Arc<FunctionVersion>,
        tasks: mpsc::Sender<Task>,
        polling: Arc<BusyPoll>,
        freezing: Arc<Freezing>,
        saturation: Arc<Saturation>,
    ) -> Self {
        let members = Mutex::new(Members::new(saturation.processors()));
        let observers = Mutex::default();
        let settled = Notify::new();
        Self { key, function, tasks, polling, freezing, saturation, members, settled, observers }
    }

    /// An environment of this group was started.
    pub(crate) fn started(&self, observer: Observer) {
        let mut observers = self.observers.lock();
        observers.retain(Observer::is_of_use);
        observers.push(observer);
    }

    /// The environments that have not ended, those that are not initialised yet among them.
    pub(crate) fn residents(&self) -> Vec<Resident> {
        let observers = self.observers.lock().clone();
        let seen = observers.iter().filter_map(Observer::observe);
        seen.map(|seen| Resident::new(&self.key, seen)).collect()
    }

    /// The version that its environments run.
    #[must_use]
    pub fn function(&self) -> &Arc<FunctionVersion> {
        &self.function
    }

    pub(crate) fn polling(&self) -> &BusyPoll {
        &self.polling
    }

    /// Whether it was replaced by a newer configuration of its version, or the version is gone.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.members.lock().is_retired
    }

    /// Keeps up to `wanted` environments whether or not anything is invoked: those beyond are ended once they are idle.
    pub(crate) fn keep(&self, wanted: usize) {
        let ended = {
            let mut members = self.members.lock();
            members.provisioned.wanted = if members.is_retired { 0 } else { wanted };
            members.provisioned.trim()
        };
        // Ends the guests; outside the lock.
        drop(ended);
    }

    /// What there is of environments that are kept.
    pub(crate) fn stock(&self) -> Stock {
        self.members.lock().provisioned.stock()
    }

    /// Counts an environment as on its way that will be kept; [`Group::provisioned`] has to follow.
    pub(crate) fn provision(&self) {
        self.members.lock().provisioned.creating += 1;
    }

    /// Takes in an environment that will be kept, or that there is none.
    pub(crate) fn provisioned(&self, environment: Option<Arc<Environment>>) {
        let mut members = self.members.lock();
        members.provisioned.creating -= 1;
        if let Some(environment) = environment {
            members.give(environment);
            self.freezing.environment_is_idle();
        }
    }

    /// An environment that is idle, the one used last first, or will be in a moment; none if all are busy.
    pub async fn lease_warm(self: &Arc<Self>) -> Option<Lease> {
        let (mut expectation, grace) = {
            let mut members = self.members.lock();
            let is_saturated = || self.saturation.is_there();
            let demand = members.demand_with_one_more();
            if !demand.is_served_in_turn(&members.pace, is_saturated)
                && let Some(environment) = members.lend_idle()
            {
                drop(members);
                return Some(Lease::new(environment, Arc::clone(self)));
            }
            let Supply::Await(grace) = demand.supply(&members.pace, is_saturated) else { return None };
            let (sender, waiting) = oneshot::channel();
            members.waiting.push_back(sender);
            (Expectation { group: Arc::clone(self), waiting }, grace)
        };
        let environment = tokio::time::timeout(grace, &mut expectation.waiting).await;
        self.leased(environment.ok()?).ok()
    }

    /// An environment for one invocation: an idle one, or whichever is free first of those in use and a new one, or one that
    /// is started anew. `admit` says whether there may be a new one, where it takes that.
    ///
    /// # Errors
    ///
    /// When none can be made, its Init phase fails, or `admit` refuses one.
    pub async fn lease<E: From<LeaseError>>(
        self: &Arc<Self>,
        admit: impl FnOnce() -> Result<(), E>,
    ) -> Result<Lease, E> {
        let (waiter, supply, is_growth) = {
            let mut members = self.members.lock();
            if let Some(environment) = members.lend_idle() {
                drop(members);
                return Ok(Lease::new(environment, Arc::clone(self)));
            }
            let (sender, waiter) = oneshot::channel();
            members.waiting.push_back(sender);
            (waiter, members.demand().supply_after_wait(), members.is_growth())
        };
        if supply == Supply::Create {
            let admitted = if is_growth { admit() } else { Ok(()) };
            if let Err(error) = admitted.and_then(|()| Ok(self.create()?)) {
                return self.last_chance(waiter, error);
            }
        }
        let leased = waiter.await;
        Ok(self.leased(leased)?)
    }

    /// Gives up waiting because of `error`, unless an environment has come meanwhile.
    fn last_chance<E: From<LeaseError>>(self: &Arc<Self>, mut waiter: Waiting, error: E) -> Result<Lease, E> {
        waiter.close();
        match waiter.try_recv() {
            Ok(leased) => Ok(self.leased(Ok(leased))?),
            Err(_) => Err(error),
        }
    }

    fn leased(
        self: &Arc<Self>,
        leased: Result<Result<Arc<Environment>, LeaseError>, oneshot::error::RecvError>,
    ) -> Result<Lease, LeaseError> {
        let environment = leased.map_err(|_| LeaseError::Stopped)??;
        Ok(Lease::new(environment, Arc::clone(self)))
    }

    fn create(self: &Arc<Self>) -> Result<(), LeaseError> {
        self.members.lock().creating += 1;
        let task = Task::Create(Arc::clone(self));
        self.tasks.try_send(task).map_err(|error| {
            self.members.lock().creating -= 1;
            match error {
                mpsc::error::TrySendError::Full(_) => LeaseError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => LeaseError::Stopped,
            }
        })
    }

    /// Takes in what came of making an environment, after `took`.
    pub(crate) fn created(self: &Arc<Self>, result: Result<Arc<Environment>, LeaseError>, took: Duration) {
        let mut members = self.members.lock();
        members.creating -= 1;
        match result {
            Ok(environment) => {
                members.pace.created(took);
                members.give(environment);
                self.freezing.environment_is_idle();
            }
            Err(mut error) => {
                if let LeaseError::Init(failed) = &mut error
                    && let Some(environment) = failed.environment.take()
                {
                    drop(members);
                    self.await_dormant(&environment);
                    members = self.members.lock();
                }
                // Callers who gave up are passed over; if all have, nobody is left to tell.
                let mut error = Err(error);
                while let Some(waiter) = members.waiting.pop_front() {
                    match waiter.send(error) {
                        Ok(()) => return,
                        Err(unsent) => error = unsent,
                    }
                }
            }
        }
    }

    /// Keeps an environment whose Init phase failed, once its processes have ended.
    fn await_dormant(self: &Arc<Self>, environment: &Arc<Environment>) {
        let group = Arc::clone(self);
        let failed = Arc::clone(environment);
        self.members.lock().failed += 1;
        environment.when_ready(move |readiness| {
            {
                let mut members = group.members.lock();
                members.failed -= 1;
                if readiness == Readiness::Dormant {
                    members.keep_dormant(failed);
                }
            }
            group.settled.notify_waiters();
        });
    }

    /// An environment in which nothing runs, to be started anew; the one used last first. One whose processes are about to end
    /// is waited for a moment.
    pub(crate) async fn take_dormant(&self) -> Option<Arc<Environment>> {
        let deadline = tokio::time::Instant::now() + RESET_GRACE;
        loop {
            let settled = self.settled.notified();
            let is_resetting = {
                let mut members = self.members.lock();
                if let Some(idle) = members.dormant.pop() {
                    return Some(idle.environment);
                }
                members.failed > 0 || members.finishing.iter().any(|one| one.environment.is_ending())
            };
            if !is_resetting || tokio::time::timeout_at(deadline, settled).await.is_err() {
                return None;
            }
        }
    }

    /// Takes an environment back that was leased at `leased`, and whose invocation was answered. It is free once its runtime asks for the next event;
    /// until then `hold` is kept. A runtime that has not asked at `deadline` is ended.
    pub(crate) fn give_back(
        self: &Arc<Self>,
        environment: &Arc<Environment>,
        leased: Instant,
        deadline: Instant,
        hold: Option<Hold>,
    ) {
        {
            let mut members = self.members.lock();
            members.leased -= 1;
            let watched = environment.has_extensions().then(|| self.watch(deadline)).flatten();
            let environment = Arc::clone(environment);
            let answered = Instant::now();
            members.finishing.push(Finishing { environment, leased, answered, deadline, _watched: watched });
        }
        let group = Arc::clone(self);
        let returned = Arc::clone(environment);
        environment.when_ready(move |readiness| {
            drop(hold);
            group.finished(returned, readiness);
        });
    }

    /// Has the environments ended that have not finished at `deadline`, to the moment; what is returned breaks that off by
    /// its end. Without room in the queue, a tick after the deadline is what notices.
    fn watch(self: &Arc<Self>, deadline: Instant) -> Option<oneshot::Sender<()>> {
        let (watched, finished) = oneshot::channel::<()>();
        let group = Arc::clone(self);
        let watch = async move {
            if tokio::time::timeout_at(deadline.into(), finished).await.is_err() {
                group.end_overdue(Instant::now());
            }
        };
        self.hand_over(Task::Run(Box::pin(watch))).then_some(watched)
    }

    fn finished(self: &Arc<Self>, environment: Arc<Environment>, readiness: Readiness) {
        self.polling.runtime_is_ready();
        let mut members = self.members.lock();
        members.leave_finishing(&environment);
        let is_provisioned = is_provisioned(&environment);
        if is_provisioned {
            members.provisioned.busy -= 1;
        }
        match readiness {
            Readiness::Ready => {
                self.give(&mut members, environment);
                self.freezing.environment_is_idle();
            }
            // Without room in the queue, the next tick is what notices.
            Readiness::Dormant | Readiness::Ended if is_provisioned => {
                self.hand_over(Task::Provision);
            }
            Readiness::Dormant => members.keep_dormant(environment),
            Readiness::Ended => {}
        }
        if readiness != Readiness::Ready {
            self.settled.notify_waiters();
        }
        if self.supply_waiting(&mut members) == Supply::Create {
            drop(members);
            if let Err(error) = self.create() {
                tracing::warn!(%error, "cannot replace an execution environment that ended");
            }
        }
    }

    /// Gives an environment that is free again to whoever waits for one; unless they are served in turn, and enough others work.
    fn give(&self, members: &mut Members, environment: Arc<Environment>) {
        let demand = members.demand();
        if demand.waiting > 0 && demand.is_served_in_turn(&members.pace, || self.saturation.is_there()) {
            members.keep(environment);
        } else {
            members.give(environment);
        }
    }

    /// Says what to do for those who wait, once there is nothing idle that the first of them may have.
    fn supply_waiting(&self, members: &mut Members) -> Supply {
        let is_saturated = || self.saturation.is_there();
        let demand = members.demand();
        if demand.waiting > 0
            && !demand.is_served_in_turn(&members.pace, is_saturated)
            && let Some(idle) = members.pop_idle()
        {
            members.give(idle);
            return Supply::Enough;
        }
        demand.supply(&members.pace, is_saturated)
    }

    /// Ends those that have not finished.
    pub(crate) fn end_finishing(&self) {
        let finishing = {
            let members = self.members.lock();
            members.finishing.iter().map(|one| Arc::clone(&one.environment)).collect::<Vec<_>>()
        };
        for environment in finishing {
            environment.end();
        }
    }

    /// Hands work to the pool's service; false when it has none to spare.
    pub(crate) fn hand_over(&self, task: Task) -> bool {
        self.tasks.try_send(task).is_ok()
    }

    /// Ends idle environments, and has the others ended when they come back.
    pub(crate) fn retire(&self) {
        let idle = {
            let mut members = self.members.lock();
            members.is_retired = true;
            members.provisioned.wanted = 0;
            let dormant = std::mem::take(&mut members.dormant);
            (std::mem::take(&mut members.idle), std::mem::take(&mut members.provisioned.idle), dormant)
        };
        // Ends the guests; outside the lock.
        drop(idle);
    }

    /// Ends environments idle since before `cutoff`, and those that should have finished before `now`. Says how many
    /// are idle after that, and whether the group is in use at all. Those that are kept do not count as idle.
    pub(crate) fn expire(&self, cutoff: Option<Instant>, now: Instant) -> (usize, bool) {
        let (expired, left, is_used) = {
            let mut members = self.members.lock();
            let mut expired = expire(&mut members.idle, cutoff);
            expired.extend(expire(&mut members.dormant, cutoff));
            (expired, members.idle.len() + members.dormant.len(), members.is_used())
        };
        drop(expired);
        self.end_overdue(now);
        (left, is_used)
    }

    /// Ends those that should have finished before `now`, and all that nobody wants any more.
    fn end_overdue(&self, now: Instant) {
        let (overdue, unwanted): (Vec<_>, Vec<_>) = {
            let members = self.members.lock();
            let ending = members.finishing.iter().filter(|one| members.is_retired || one.deadline <= now);
            let ending = ending.map(|one| (Arc::clone(&one.environment), one.deadline));
            ending.partition(|(_, deadline)| *deadline <= now)
        };
        // Their ends are what takes them off the list.
        for (environment, _) in overdue {
            environment.time_out_unless_ready();
        }
        for (environment, _) in unwanted {
            environment.end_unless_ready();
        }
    }

    /// Stops environments that have been idle since before `cutoff`. Says whether all that are idle stand still.
    pub(crate) fn freeze(&self, cutoff: Instant) -> bool {
        let (due, is_all) = self.members.lock().due_to_freeze(cutoff);
        for environment in due {
            if let Err(error) = environment.freeze() {
                let function = &self.function.name;
                tracing::warn!(%function, %error, "an idle execution environment cannot be stopped, and goes on");
            }
        }
        is_all
    }

    /// When the environment that has been idle longest became so.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let members = self.members.lock();
        members.idle.first().into_iter().chain(members.dormant.first()).map(|idle| idle.since).min()
    }

    /// Ends an environment that is idle: one in which nothing runs, or else the one that has been so longest.
    pub(crate) fn evict(&self) {
        let evicted = {
            let mut members = self.members.lock();
            let Members { idle, dormant, .. } = &mut *members;
            let from = if dormant.is_empty() { idle } else { dormant };
            if from.is_empty() { None } else { Some(from.remove(0)) }
        };
        drop(evicted);
    }
}

/// A caller's wait for an environment. What comes when the caller is gone goes back to the group.
struct Expectation {
    group: Arc<Group>,
    waiting: Waiting,
}

impl Drop for Expectation {
    fn drop(&mut self) {
        self.waiting.close();
        if let Ok(Ok(environment)) = self.waiting.try_recv() {
            drop(Lease::new(environment, Arc::clone(&self.group)));
        }
    }
}
