//! One try of one event: reads it, runs the function, and stores what comes of it.
//!
//! Whatever happens, the event stays in the store until what follows from its end is there as well.

use std::sync::Arc;
use std::time::Duration;

use firelet_pool::LeaseError;
use firelet_store::event::{Event, EventId, FollowUp, NewEvent};
use firelet_store::function::EventInvokeConfig;
use firelet_store::{Store, Version};
use firelet_types::{Chance, Clock, Ids, Qualifier, RequestId};

use super::lanes::Tried;
use super::policy::{Bounds, Case, Condition, Next, Outcome};
use super::record::Ended;
use super::target::Target;
use crate::invoker::{Error, Invoker, Request, Response};

/// Time before a change that the store refused is tried again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What a try takes.
pub(crate) struct Delivery {
    pub(crate) invoker: Arc<Invoker>,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) chance: Chance,
    /// The wait after a function has failed once.
    pub(crate) first_retry: Duration,
}

/// A look at the store that failed.
struct Unread(firelet_store::Error);

impl From<firelet_store::Error> for Unread {
    fn from(error: firelet_store::Error) -> Self {
        Self(error)
    }
}

impl Delivery {
    /// Tries an event.
    pub(crate) async fn attempt(&self, id: EventId) -> Tried {
        match self.attempt_stored(id).await {
            Ok(tried) => tried,
            Err(Unread(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "an asynchronous invocation cannot be read; it is tried again");
                Tried::InVain
            }
        }
    }

    async fn attempt_stored(&self, id: EventId) -> Result<Tried, Unread> {
        // An event that is gone went with its function.
        let Some(event) = self.store.events().get(id)? else { return Ok(Tried::Ran) };
        if let Some(next) = self.case(&event)?.overdue(self.clock.now()) {
            self.settle(id, &event, next, None).await?;
            return Ok(Tried::Ran);
        }
        let result = self.invoker.deliver(request(&event.accepted)).await;
        let outcome = match &result {
            Ok(response) if response.is_error => Outcome::FunctionError,
            Ok(_) => Outcome::Success,
            // What runs functions is gone, and this server with it; the next one tries it.
            Err(Error::Environment { source: LeaseError::Stopped, .. }) => return Ok(Tried::InVain),
            Err(error) => self.refused(&event.accepted, error)?,
        };
        // Read again: the function may have run for long.
        let next = self.case(&event)?.next(outcome, self.clock.now(), self.chance.fraction());
        self.settle(id, &event, next, result.ok().as_ref()).await?;
        Ok(if outcome == Outcome::Setback { Tried::InVain } else { Tried::Ran })
    }

    fn case(&self, event: &Event) -> Result<Case, Unread> {
        Ok(Case {
            accepted: event.accepted.accepted,
            progress: event.progress,
            bounds: Bounds::of(self.config(&event.accepted)?.as_ref()),
            first_retry: self.first_retry,
        })
    }

    fn config(&self, event: &NewEvent) -> Result<Option<EventInvokeConfig>, Unread> {
        let qualifier = event.qualifier.as_ref().unwrap_or(&Qualifier::Latest);
        Ok(self.store.functions().event_invoke_config(&event.scope, &event.function, qualifier)?)
    }

    /// What it means that a function was not run.
    fn refused(&self, event: &NewEvent, error: &Error) -> Result<Outcome, Unread> {
        match error {
            Error::ReservedConcurrencyExceeded => {
                let reservations = self.store.functions().reservations(&event.scope, &event.function)?;
                let reserved = reservations.and_then(|reservations| reservations.of_function);
                Ok(if reserved == Some(0) { Outcome::ZeroReservedConcurrency } else { Outcome::Setback })
            }
            Error::Recursive => Ok(Outcome::Recursion),
            // The function's own doing, as an Init phase that fails.
            Error::SnapshotLost | Error::RestoreFailed | Error::RestoreTimedOut => Ok(Outcome::FunctionError),
            // An alias or a version that is gone may come back while the event lives.
            Error::ConcurrencyExceeded
            | Error::ScalingExceeded(_)
            | Error::Environment { source: LeaseError::Overloaded, .. }
            | Error::NotFound(_)
            | Error::SnapshotNotReady
            | Error::NotActive(_) => Ok(Outcome::Setback),
            Error::InvalidPayload(_)
            | Error::Unpublished
            | Error::NoPublishedVersion
            | Error::TenantMissing
            | Error::TenantUnexpected
            | Error::DurableUnqualified
            | Error::Unsupported { .. }
            | Error::PayloadTooLarge { .. }
            | Error::Runtime(_)
            | Error::Environment { .. }
            | Error::Undelivered(_)
            | Error::Queue { .. }
            | Error::Store { .. } => {
                let error = error as &dyn std::error::Error;
                let function = &event.function;
                tracing::warn!(%function, request_id = %event.request_id, error, "an asynchronous invocation failed");
                Ok(Outcome::Setback)
            }
        }
    }

    /// Stores what comes next.
    async fn settle(
        &self,
        id: EventId,
        event: &Event,
        next: Next,
        response: Option<&Response>,
    ) -> Result<(), Unread> {
        match next {
            Next::Retry { progress, due } => {
                self.insist(|| self.store.events().postpone(id, progress, due)).await?;
            }
            Next::End { condition, invocations } => {
                let event = &event.accepted;
                let now = self.clock.now();
                let ended = Ended { event, condition, invocations, response, now };
                let follow_up = self.follow_up(&ended)?;
                let stored = self.insist(|| self.store.events().end(id, follow_up.clone())).await?;
                if let (FollowUp::FunctionMissing, Some(follow_up)) = (stored, follow_up) {
                    untold(event, condition, follow_up.function.as_str(), "there is no such function");
                }
            }
        }
        Ok(())
    }

    /// The event that tells another function of the end; whom firelet cannot tell is named in the log.
    fn follow_up(&self, ended: &Ended<'_>) -> Result<Option<NewEvent>, Unread> {
        let Ended { event, condition, response, .. } = *ended;
        let config = self.config(event)?;
        let destination = config
            .and_then(|config| if condition.is_success() { config.on_success } else { config.on_failure });
        if !condition.is_success() {
            let dead_letter_target = self.dead_letter_target(event)?;
            match (&dead_letter_target, &destination) {
                (Some(target), _) => untold(event, condition, target, NO_CLIENT),
                (None, None) => discarded(event, condition),
                (None, Some(_)) => {}
            }
        }
        let Some(destination) = destination else { return Ok(None) };
        match Target::of(&event.scope, &destination) {
            Target::Function(function, qualifier) => Ok(Some(NewEvent {
                scope: event.scope.clone(),
                function,
                qualifier,
                request_id: RequestId::new(&self.ids),
                accepted: ended.now,
                tenant: None,
                // With the function counted that ran, so that a loop through destinations is seen.
                trace_header: response
                    .map(|response| response.trace_id.clone())
                    .or_else(|| event.trace_header.clone()),
                payload: ended.record(),
            })),
            Target::Elsewhere => {
                untold(event, condition, &destination, NO_CLIENT);
                Ok(None)
            }
        }
    }

    /// The dead-letter queue of the version that was to run.
    fn dead_letter_target(&self, event: &NewEvent) -> Result<Option<String>, Unread> {
        let (scope, function) = (&event.scope, &event.function);
        let version = match &event.qualifier {
            None | Some(Qualifier::Latest) => Version::Latest,
            Some(Qualifier::LatestPublished) => Version::LatestPublished,
            Some(Qualifier::Version(number)) => Version::Published(*number),
            Some(Qualifier::Name(alias)) => match self.store.functions().alias(scope, function, alias)? {
                Some(alias) => alias.version,
                None => return Ok(None),
            },
        };
        let found = self.store.functions().get(scope, function, version)?;
        Ok(found.and_then(|found| found.definition.dead_letter_target.clone()))
    }

    /// Stores a change, however often it takes: a function that ran is not to run again because the disk was full.
    async fn insist<T, F>(&self, change: impl Fn() -> F) -> Result<T, Unread>
    where
        F: Future<Output = Result<T, firelet_store::Error>>,
    {
        loop {
            match change().await {
                Err(firelet_store::Error::Closed) => return Err(Unread(firelet_store::Error::Closed)),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "what came of an asynchronous invocation cannot be stored yet"
                    );
                    tokio::time::sleep(STORE_PAUSE).await;
                }
                Ok(stored) => return Ok(stored),
            }
        }
    }
}

/// The same request id and trace on each try; the code is that of now.
fn request(event: &NewEvent) -> Request {
    Request {
        request_id: event.request_id,
        scope: event.scope.clone(),
        name: event.function.clone(),
        qualifier: event.qualifier.clone(),
        payload: event.payload.clone(),
        client_context: None,
        tenant: event.tenant.clone(),
        trace_id: event.trace_header.clone(),
        wants_log_tail: false,
    }
}

const NO_CLIENT: &str = "firelet does not deliver to this service yet";

/// Says who should have heard of the end of an event and did not.
fn untold(event: &NewEvent, condition: Condition, target: &str, why: &str) {
    let (function, request_id, condition) = (&event.function, event.request_id, condition.name());
    tracing::warn!(%function, %request_id, condition, target, "a record of an asynchronous invocation is lost: {why}");
}

/// Says that an event ended in failure and nobody is to hear of it.
fn discarded(event: &NewEvent, condition: Condition) {
    let (function, request_id, condition) = (&event.function, event.request_id, condition.name());
    tracing::info!(%function, %request_id, condition, "an asynchronous invocation is discarded");
}
