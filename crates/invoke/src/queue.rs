//! Asynchronous invocations: accepted to disk, tried until they succeed or have failed for good.
//!
//! What was accepted is delivered at least once, whatever ends the server. Events wait in the store and nowhere else;
//! of what is in memory nothing is missed after a crash. Knows no HTTP, and no service but functions.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html>.

mod delivery;
mod lanes;
mod policy;
mod record;
mod service;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use firelet_store::Store;
use firelet_store::event::NewEvent;
use firelet_types::{Chance, Clock, FunctionArn, Ids, Qualifier};

use crate::invoker::{Error, InvocationType, Invoker, Request};
use crate::trace;

use delivery::Delivery;
pub use service::QueueService;

/// How asynchronous invocations are retried.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The wait after a function has failed; the next one is twice as long.
    pub first_retry: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { first_retry: Duration::from_secs(60) }
    }
}

/// An event that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The trace header that the function will be given.
    pub trace_id: String,
}

/// The way into the queue.
#[derive(Clone)]
pub struct Queue {
    invoker: Arc<Invoker>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl Queue {
    /// The queue of `store`, and the service that has its events run by `invoker`.
    #[must_use]
    pub fn new(
        options: &QueueOptions,
        invoker: Arc<Invoker>,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
        chance: Chance,
    ) -> (Self, QueueService) {
        let queue = Self { invoker, store, clock };
        let service = QueueService::new(Delivery {
            invoker: Arc::clone(&queue.invoker),
            store: Arc::clone(&queue.store),
            clock: Arc::clone(&queue.clock),
            ids,
            chance,
            first_retry: options.first_retry,
        });
        (queue, service)
    }

    /// Accepts an event: when this answers, it is on disk.
    ///
    /// # Errors
    /// When there is no such function, the payload is wrong, or the event could not be stored.
    pub async fn accept(&self, request: Request) -> Result<Accepted, Error> {
        let arn = FunctionArn { scope: request.scope, name: request.name, qualifier: request.qualifier };
        self.invoker.check_known(&arn, request.tenant.as_ref())?;
        let payload = Invoker::check_payload(request.payload, InvocationType::Event)?;
        let accepted = self.clock.now();
        let trace_id = trace::trace_header(request.trace_id.as_deref(), request.request_id, accepted);
        let event = NewEvent {
            scope: arn.scope.clone(),
            function: arn.name.clone(),
            qualifier: arn.qualifier.clone(),
            request_id: request.request_id,
            accepted,
            tenant: request.tenant,
            trace_header: Some(trace_id.clone()),
            payload,
        };
        match self.store.events().put(event).await {
            Ok(true) => Ok(Accepted { trace_id }),
            // Deleted since it was found.
            Ok(false) => {
                let qualifier = arn.qualifier.clone().or(Some(Qualifier::Latest));
                Err(Error::NotFound(FunctionArn { qualifier, ..arn }))
            }
            Err(source) => Err(Error::Queue { function: arn.name, source }),
        }
    }
}
