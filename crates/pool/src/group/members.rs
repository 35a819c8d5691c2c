//! The environments that a group has, and the callers who wait for one: what the group's lock holds. Nothing here waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use firelet_runtime::{Environment, InitializationType};
use tokio::sync::oneshot;

use crate::demand::{Demand, Pace};
use crate::lease::LeaseError;

type Waiter = oneshot::Sender<Result<Arc<Environment>, LeaseError>>;

pub(super) struct Members {
    /// Made for invocations that are over; least recently used first.
    pub(super) idle: Vec<Idle>,
    /// The same, but their processes have ended, after a failure; they can be started anew.
    pub(super) dormant: Vec<Idle>,
    /// Environments whose Init phase failed, and whose processes are being ended.
    pub(super) failed: usize,
    pub(super) provisioned: Provisioned,
    pub(super) waiting: VecDeque<Waiter>,
    pub(super) creating: usize,
    pub(super) pace: Pace,
    /// Environments on loan.
    pub(super) leased: usize,
    /// Environments whose runtime has answered and has not asked for its next event.
    pub(super) finishing: Vec<Finishing>,
    /// Replaced by a newer configuration, or deleted: what comes back is ended.
    pub(super) is_retired: bool,
}

/// Environments that are kept whether or not anything is invoked.
#[derive(Default)]
pub(super) struct Provisioned {
    /// How many are wanted; what comes back beyond that is ended.
    pub(super) wanted: usize,
    /// Least recently used first.
    pub(super) idle: Vec<Idle>,
    /// On loan, or about to ask for their next event.
    pub(super) busy: usize,
    pub(super) creating: usize,
    /// How many have ended while they were idle.
    pub(super) lost: usize,
}

/// What there is of environments that are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stock {
    /// Initialised and alive, whether idle or not.
    pub(crate) alive: usize,
    /// On their way.
    pub(crate) creating: usize,
    /// How many have ended so far while nobody had them work.
    pub(crate) lost: usize,
}

pub(super) struct Idle {
    pub(super) environment: Arc<Environment>,
    pub(super) since: Instant,
    /// Whether it was told to stand still.
    pub(super) is_frozen: bool,
}

pub(super) struct Finishing {
    pub(super) environment: Arc<Environment>,
    /// When it was leased.
    pub(super) leased: Instant,
    /// When it answered.
    pub(super) answered: Instant,
    /// When the time of its invocation is over.
    pub(super) deadline: Instant,
    /// Tells by its end whoever watches the deadline that it has finished.
    pub(super) _watched: Option<oneshot::Sender<()>>,
}

impl Members {
    pub(super) fn new(processors: usize) -> Self {
        Self {
            idle: Vec::new(),
            dormant: Vec::new(),
            failed: 0,
            provisioned: Provisioned::default(),
            waiting: VecDeque::new(),
            creating: 0,
            pace: Pace::new(processors),
            leased: 0,
            finishing: Vec::new(),
            is_retired: false,
        }
    }

    pub(super) fn demand(&mut self) -> Demand {
        self.waiting.retain(|waiter| !waiter.is_closed());
        let Self { waiting, creating, leased, finishing, .. } = self;
        Demand { waiting: waiting.len(), creating: *creating, leased: *leased, finishing: finishing.len() }
    }

    /// Takes an environment off the list of those that have not asked for their next event.
    pub(super) fn leave_finishing(&mut self, environment: &Arc<Environment>) {
        let place = self.finishing.iter().position(|one| Arc::ptr_eq(&one.environment, environment));
        if let Some(place) = place {
            let Finishing { leased, answered, .. } = self.finishing.swap_remove(place);
            self.pace.finished(answered.elapsed(), leased.elapsed());
        }
    }

    pub(super) fn is_used(&mut self) -> bool {
        let Demand { waiting, creating, leased, finishing } = self.demand();
        let kept = self.provisioned.wanted + self.provisioned.idle.len() + self.provisioned.creating;
        let is_idle = !self.idle.is_empty() || !self.dormant.is_empty();
        is_idle || leased + waiting + creating + finishing + kept > 0
    }

    /// Those that have been idle since before `cutoff` and are not told to stand still, which they will be now; and whether
    /// they were the last.
    pub(super) fn due_to_freeze(&mut self, cutoff: Instant) -> (Vec<Arc<Environment>>, bool) {
        let mut due = Vec::new();
        let mut is_all = true;
        for idle in self.idle.iter_mut().chain(&mut self.provisioned.idle).filter(|idle| !idle.is_frozen) {
            if idle.since <= cutoff {
                idle.is_frozen = true;
                due.push(Arc::clone(&idle.environment));
            } else {
                is_all = false;
            }
        }
        (due, is_all)
    }

    /// The same with one caller more, who waits.
    pub(super) fn demand_with_one_more(&mut self) -> Demand {
        let demand = self.demand();
        Demand { waiting: demand.waiting + 1, ..demand }
    }

    /// Counts an environment as on loan.
    pub(super) fn lend(&mut self, environment: &Environment) {
        self.leased += 1;
        self.provisioned.busy += usize::from(is_provisioned(environment));
    }

    /// Lends the environment used last that is alive.
    pub(super) fn lend_idle(&mut self) -> Option<Arc<Environment>> {
        let environment = self.pop_idle()?;
        self.lend(&environment);
        Some(environment)
    }

    /// The environment used last that is alive: of those that are kept, if one of them is idle.
    pub(super) fn pop_idle(&mut self) -> Option<Arc<Environment>> {
        while let Some(idle) = self.provisioned.idle.pop() {
            if idle.environment.is_ready() {
                return Some(idle.environment);
            }
            self.provisioned.lost += 1;
        }
        while let Some(idle) = self.idle.pop() {
            if idle.environment.is_ready() {
                return Some(idle.environment);
            }
        }
        None
    }

    /// Whether another environment on its way would be a new one: none is left in which nothing runs, or is about to be.
    pub(super) fn is_growth(&self) -> bool {
        let ending = self.finishing.iter().filter(|one| one.environment.is_ending()).count();
        self.dormant.len() + self.failed + ending <= self.creating
    }

    /// Keeps an environment in which nothing runs any more.
    pub(super) fn keep_dormant(&mut self, environment: Arc<Environment>) {
        if !self.is_retired {
            self.dormant.push(Idle::from_now(environment));
        }
    }

    /// Gives an environment to the caller who has waited longest, or keeps it.
    pub(super) fn give(&mut self, environment: Arc<Environment>) {
        let given = Arc::clone(&environment);
        let mut environment = Ok(environment);
        while let Some(waiter) = self.waiting.pop_front() {
            match waiter.send(environment) {
                Ok(()) => {
                    self.lend(&given);
                    return;
                }
                Err(unsent) => environment = unsent,
            }
        }
        if let Ok(environment) = environment {
            self.keep(environment);
        }
    }

    /// Keeps an environment that nobody uses; unless nobody will.
    pub(super) fn keep(&mut self, environment: Arc<Environment>) {
        if self.is_retired {
            return;
        }
        if !is_provisioned(&environment) {
            self.idle.push(Idle::from_now(environment));
        } else if self.provisioned.idle.len() + self.provisioned.busy < self.provisioned.wanted {
            self.provisioned.idle.push(Idle::from_now(environment));
        }
    }
}

/// Takes out those that have been idle since before `cutoff`.
pub(super) fn expire(idle: &mut Vec<Idle>, cutoff: Option<Instant>) -> Vec<Idle> {
    let count = cutoff.map_or(0, |cutoff| idle.partition_point(|idle| idle.since <= cutoff));
    idle.drain(..count).collect()
}

impl Idle {
    pub(super) fn from_now(environment: Arc<Environment>) -> Self {
        Self { environment, since: Instant::now(), is_frozen: false }
    }
}

impl Provisioned {
    /// Takes out those idle that are too many, and those that have ended.
    pub(super) fn trim(&mut self) -> Vec<Idle> {
        let (mut alive, mut ended): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.idle).into_iter().partition(|idle| idle.environment.is_ready());
        self.lost += ended.len();
        let surplus = (alive.len() + self.busy).saturating_sub(self.wanted).min(alive.len());
        ended.extend(alive.drain(..surplus));
        self.idle = alive;
        ended
    }

    pub(super) fn stock(&self) -> Stock {
        let idle = self.idle.iter().filter(|idle| idle.environment.is_ready()).count();
        let lost = self.lost + self.idle.len() - idle;
        Stock { alive: idle + self.busy, creating: self.creating, lost }
    }
}

pub(super) fn is_provisioned(environment: &Environment) -> bool {
    environment.initialization() == InitializationType::ProvisionedConcurrency
}
