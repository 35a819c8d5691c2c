//! The task that has events tried when their time has come. It decides nothing: [`Lanes`] says what to do.
//!
//! It looks at the store when events have arrived, and otherwise sleeps until the next is due.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use firelet_store::Store;
use firelet_store::event::{EventId, Lane};
use firelet_types::{Clock, Timestamp};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::lanes::{Lanes, Step, Tried};

/// Events under way at a time, of all functions together. Each holds its payload in memory, a megabyte at most.
const PLACES: usize = 256;
/// The longest sleep, so that a clock that was set, or a machine that was suspended, is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Time before a look at the store that failed is repeated.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long functions that run may take when the server stops; those that take longer are tried again by the next
/// server.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// Tries events until the server stops.
pub struct QueueService {
    delivery: Arc<Delivery>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    lanes: Lanes,
    /// The last event that this service has heard of.
    seen: Option<EventId>,
    running: JoinSet<Tried>,
    started: HashMap<Id, (Lane, EventId)>,
}

impl QueueService {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self {
            store: Arc::clone(&delivery.store),
            clock: Arc::clone(&delivery.clock),
            delivery: Arc::new(delivery),
            lanes: Lanes::new(PLACES),
            seen: None,
            running: JoinSet::new(),
            started: HashMap::new(),
        }
    }

    /// Tries events until `shutdown`, those left from an earlier server first.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut arrivals = self.store.events().changes().subscribe();
        let mut settings = self.store.changes().subscribe();
        loop {
            arrivals.borrow_and_update();
            settings.borrow_and_update();
            let rest = self.work().unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the queue of asynchronous invocations cannot be read");
                Some(STORE_PAUSE)
            });
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                Ok(()) = arrivals.changed() => {}
                Ok(()) = settings.changed(), if self.lanes.are_held() => self.lanes.release(),
                () = sleep(rest) => {}
            }
        }
        self.finish().await;
    }

    /// Starts what is due; answers how long to rest.
    fn work(&mut self) -> Result<Option<Duration>, firelet_store::Error> {
        let (seen, lanes) = match self.seen {
            Some(seen) => self.store.events().arrivals(seen)?,
            None => self.store.events().lanes()?,
        };
        self.seen = Some(seen);
        self.lanes.arrived(lanes);
        loop {
            let now = self.clock.now();
            match self.lanes.step(now) {
                Step::Read(lane, limit) => {
                    let waiting = self.store.events().waiting(lane, limit)?;
                    self.lanes.read(lane, waiting, limit);
                }
                Step::Start(lane, event) => self.start(lane, event),
                Step::Rest(until) => return Ok(until.map(|until| between(now, until))),
            }
        }
    }

    fn start(&mut self, lane: Lane, event: EventId) {
        let delivery = Arc::clone(&self.delivery);
        let task = self.running.spawn(async move { delivery.attempt(event).await });
        self.started.insert(task.id(), (lane, event));
    }

    fn ended(&mut self, ended: Result<(Id, Tried), JoinError>) {
        let (task, tried) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "an asynchronous invocation broke off");
                (error.id(), Tried::InVain)
            }
        };
        if let Some((lane, event)) = self.started.remove(&task) {
            self.lanes.ended(lane, event, tried, self.clock.now());
        }
    }

    /// Lets functions that run finish. The others are tried again when a server starts here.
    async fn finish(mut self) {
        let finished = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, finished).await.is_err() {
            let events = self.running.len();
            tracing::warn!(
                events,
                "asynchronous invocations were under way when the server stopped; they run again"
            );
        }
    }
}

fn between(now: Timestamp, until: Timestamp) -> Duration {
    let milliseconds = until.as_millis().saturating_sub(now.as_millis());
    Duration::from_millis(milliseconds.max(0).unsigned_abs())
}

async fn sleep(rest: Option<Duration>) {
    match rest {
        Some(rest) => tokio::time::sleep(rest.min(LONGEST_SLEEP)).await,
        None => pending().await,
    }
}
