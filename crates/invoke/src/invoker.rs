//! One run of a function: the synchronous invocation, and each try of an asynchronous one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use firelet_pool::{
    Begun, Group, Inventory, Invocation, Lease, LeaseError, Outcome, Pool, RestoreFailure, Undelivered,
    catalogue,
};
use firelet_store::{FunctionVersion, State, Store, Version};
use firelet_types::{
    Chance, Clock, FunctionArn, FunctionName, Qualifier, RequestId, Scope, TenantId, limits,
};
use tokio::sync::oneshot;

use crate::concurrency::{Concurrency, Exceeded, Slot};
use crate::lineage::Mark;
use crate::routing::{Route, Routing};
use crate::scaling::{Scaling, ScalingLimit, ScalingOptions};
use crate::stream::{StreamedResponse, Way};
use crate::{admission, lineage, payload, trace};

/// How long an invocation waits for a function that is still being created.
const PENDING_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a payload that takes milliseconds to check, away from the thread that serves others.
const LARGE_PAYLOAD: usize = 1 << 20;
/// Environments tried when one after the other ends before it takes the invocation.
const ATTEMPTS: usize = 4;

/// What bounds invocations.
#[derive(Debug, Clone)]
pub struct Options {
    /// Invocations at one time in an account and Region.
    pub concurrent_executions: u32,
    /// Environments that may be made in a time.
    pub scaling: ScalingOptions,
}

/// A call of a function.
#[derive(Debug, Clone)]
pub struct Request {
    /// The id of the request, which is the invocation's as well.
    pub request_id: RequestId,
    /// The account and Region that the function is in.
    pub scope: Scope,
    /// The function's name.
    pub name: FunctionName,
    /// The version or alias, where the caller named one.
    pub qualifier: Option<Qualifier>,
    /// The event.
    pub payload: Bytes,
    /// The client context as JSON.
    pub client_context: Option<String>,
    /// Whom the function is to work for, where the caller named a tenant.
    pub tenant: Option<TenantId>,
    /// The value of `X-Amzn-Trace-Id`.
    pub trace_id: Option<String>,
    /// Whether the caller wants the end of the log.
    pub wants_log_tail: bool,
}

/// How a caller invokes a function: what the largest payload is, and how a refusal of a larger one names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvocationType {
    /// The caller waits for the answer.
    RequestResponse,
    /// The event is queued.
    Event,
}

impl InvocationType {
    /// Bytes of the largest payload.
    #[must_use]
    pub const fn payload_bytes(self) -> usize {
        match self {
            Self::RequestResponse => limits::REQUEST_PAYLOAD_BYTES,
            Self::Event => limits::EVENT_PAYLOAD_BYTES,
        }
    }
}

impl std::fmt::Display for InvocationType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::RequestResponse => "RequestResponse",
            Self::Event => "Event",
        })
    }
}

/// What the function answered.
#[derive(Debug)]
pub struct Response {
    /// The result, or the description of the error.
    pub payload: Bytes,
    /// Whether the function failed.
    pub is_error: bool,
    /// `$LATEST` or the number of the version that ran.
    pub executed_version: String,
    /// The end of the invocation's log, if the caller wanted it.
    pub log_tail: Option<Bytes>,
    /// The trace header that the function was given.
    pub trace_id: String,
}

/// Why a function was not invoked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such function or version.
    #[error("Function not found: {0}")]
    NotFound(FunctionArn),
    /// The payload is not JSON; the text is Jackson's.
    #[error("Could not parse request body into json: Could not parse payload into json: {0}")]
    InvalidPayload(String),
    /// The payload is too large.
    #[error(
        "{size} byte payload is too large for the {invocation_type} invocation type (limit {} bytes)",
        invocation_type.payload_bytes()
    )]
    PayloadTooLarge {
        /// Bytes of the payload.
        size: u64,
        /// How the function was invoked.
        invocation_type: InvocationType,
    },
    /// The function keeps tenants apart, and the caller named none.
    #[error(
        "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try \
         again."
    )]
    TenantMissing,
    /// The function keeps no tenants apart, and the caller named one.
    #[error(
        "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and \
         try again."
    )]
    TenantUnexpected,
    /// The function is invoked again and again in a chain that it takes part in. The words are those of the model.
    #[error(
        "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources \
         and stopped your function's invocation."
    )]
    Recursive,
    /// An execution of a durable function belongs to a version, and the caller named none.
    #[error("You cannot invoke a durable function using an unqualified ARN.")]
    DurableUnqualified,
    /// Nothing here runs such a function.
    #[error("firelet does not run {feature} yet.")]
    Unsupported {
        /// What the function is, or needs.
        feature: &'static str,
    },
    /// The account runs as many invocations of functions without reserved concurrency as it may.
    #[error("Rate Exceeded.")]
    ConcurrencyExceeded,
    /// The function runs as many invocations as are reserved for it.
    #[error("Rate Exceeded.")]
    ReservedConcurrencyExceeded,
    /// The function has no environment to spare, and as many were made lately as may be.
    #[error("Rate Exceeded.")]
    ScalingExceeded(ScalingLimit),
    /// The function cannot be invoked in the state it is in.
    #[error(
        "The operation cannot be performed at this time. The function is currently in the following state: {0}"
    )]
    NotActive(&'static str),
    /// The version waits for its snapshot. The words are those of
    /// <https://docs.aws.amazon.com/lambda/latest/dg/snapstart-troubleshooting.html>.
    #[error(
        "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE."
    )]
    SnapshotNotReady,
    /// The version has lost its snapshot, and its Init phase failed this time. The words are those of the model.
    #[error("Lambda couldn't regenerate the SnapStart snapshot for the function.")]
    SnapshotLost,
    /// The function failed as it was restored from its snapshot. The words are those of the model.
    #[error(
        "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs."
    )]
    RestoreFailed,
    /// That took too long. The words are those of
    /// <https://docs.aws.amazon.com/lambda/latest/dg/snapstart-troubleshooting.html>.
    #[error("Lambda couldn't restore the snapshot within the timeout limit.")]
    RestoreTimedOut,
    /// Nothing on this host runs the function's runtime.
    #[error(transparent)]
    Runtime(catalogue::Error),
    /// No execution environment could be had.
    #[error("no execution environment for function {function}")]
    Environment {
        /// The function.
        function: FunctionName,
        /// What failed.
        #[source]
        source: LeaseError,
    },
    /// `$LATEST` of a function on a capacity provider, which has a published version to run in its place.
    #[error(
        "Functions configured with capacity provider configuration can't be invoked with $LATEST qualifier. To invoke \
         this function, specify a published version qualifier or $LATEST.PUBLISHED."
    )]
    Unpublished,
    /// The same of a function that has no `$LATEST.PUBLISHED`.
    #[error(
        "The function can't be invoked because no published version exists. For functions with capacity provider \
         configuration, either publish a version to $LATEST.PUBLISHED, or specify a published version qualifier."
    )]
    NoPublishedVersion,
    /// Environments ended one after the other before they took the invocation.
    #[error("execution environments of function {0} end before they take an invocation")]
    Undelivered(FunctionName),
    /// An asynchronous invocation could not be stored.
    #[error("cannot queue an invocation of function {function}")]
    Queue {
        /// The function.
        function: FunctionName,
        /// What failed.
        #[source]
        source: firelet_store::Error,
    },
    /// The store could not be read.
    #[error("cannot look up function {function}")]
    Store {
        /// The function.
        function: FunctionName,
        /// What failed.
        #[source]
        source: firelet_store::Error,
    },
}

impl From<Exceeded> for Error {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Account => Self::ConcurrencyExceeded,
            Exceeded::Function => Self::ReservedConcurrencyExceeded,
        }
    }
}

/// Invokes functions.
pub struct Invoker {
    routing: Routing,
    scaling: Arc<Scaling>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl Invoker {
    /// An invoker of the functions in `store`, run by `pool`.
    #[must_use]
    pub fn new(
        options: &Options,
        store: Arc<Store>,
        pool: Pool,
        clock: Arc<dyn Clock>,
        chance: Chance,
    ) -> Self {
        let concurrency = Concurrency::new(options.concurrent_executions);
        let routing = Routing::new(Arc::clone(&store), pool, concurrency, chance);
        let scaling = Arc::new(Scaling::new(options.scaling));
        Self { routing, scaling, store, clock }
    }

    /// What there is of environments on this node.
    pub async fn inventory(&self) -> Inventory {
        self.routing.pool().inventory().await
    }

    /// Runs the function and waits for its answer.
    ///
    /// # Errors
    ///
    /// When the function was not run; an error of the function itself is a [`Response`].
    pub async fn invoke(&self, mut request: Request) -> Result<Response, Error> {
        let (arn, route) = self.route(&request).await?;
        request.payload = Self::check_payload(request.payload, InvocationType::RequestResponse)?;
        request.trace_id = Some(self.trace(&request)?);
        let slot = route.share.slot().await?;
        self.run(route, request, arn, slot).await
    }

    /// Runs the function for a caller who reads the answer while the function still writes it. Ends when the answer is there
    /// or begins to come. A caller that goes away does not end the invocation.
    ///
    /// # Errors
    ///
    /// When the function was not run; an error of the function itself comes with the answer.
    pub async fn stream(&self, mut request: Request) -> Result<StreamedResponse, Error> {
        let (arn, route) = self.route(&request).await?;
        request.payload = Self::check_payload(request.payload, InvocationType::RequestResponse)?;
        request.trace_id = Some(self.trace(&request)?);
        let slot = route.share.slot().await?;
        let mut attempt = self.attempt(route, request, &arn, slot);
        attempt.invocation.takes_stream = true;
        let (sender, response) = oneshot::channel();
        let unavailable = |source| Error::Environment { function: arn.name.clone(), source };
        let work = attempt.stream(Arc::clone(&self.scaling), sender);
        self.routing.pool().start(work).map_err(unavailable)?;
        response.await.map_err(|_| unavailable(LeaseError::Stopped))?
    }

    /// Runs the function for an event that was accepted, whose payload was checked then.
    pub(crate) async fn deliver(&self, mut request: Request) -> Result<Response, Error> {
        let (arn, route) = self.route(&request).await?;
        request.trace_id = Some(self.trace(&request)?);
        let slot = route.share.slot().await?;
        self.run(route, request, arn, slot).await
    }

    /// Everything but running the function: the `DryRun` invocation type.
    ///
    /// # Errors
    ///
    /// When the function would not be run.
    pub async fn check(&self, request: Request) -> Result<(), Error> {
        let arn = FunctionArn { scope: request.scope, name: request.name, qualifier: request.qualifier };
        let route = self.invocable(&arn).await?;
        admission::check(&route.function.definition, &arn, request.tenant.as_ref())?;
        Self::check_payload(request.payload, InvocationType::RequestResponse).map(drop)
    }

    /// Whether an event for `arn` can be accepted: there is such a version, and it may be invoked so. Its state is looked
    /// at when the event is delivered.
    pub(crate) fn check_known(&self, arn: &FunctionArn, tenant: Option<&TenantId>) -> Result<(), Error> {
        admission::check(&self.find(arn)?.function.definition, arn, tenant)
    }

    /// The environments that serve a request, those of its tenant if it names one.
    async fn route(&self, request: &Request) -> Result<(FunctionArn, Route), Error> {
        let arn = FunctionArn {
            scope: request.scope.clone(),
            name: request.name.clone(),
            qualifier: request.qualifier.clone(),
        };
        let mut route = self.invocable(&arn).await?;
        admission::check(&route.function.definition, &arn, request.tenant.as_ref())?;
        if let Some(tenant) = &request.tenant {
            route.group = self.routing.pool().group_of_tenant(&route.function, tenant);
        }
        Ok((arn, route))
    }

    /// The event that a function gets for `payload`.
    pub(crate) fn check_payload(payload: Bytes, invocation_type: InvocationType) -> Result<Bytes, Error> {
        if payload.len() > invocation_type.payload_bytes() {
            return Err(Error::PayloadTooLarge { size: payload.len() as u64, invocation_type });
        }
        let event = if payload.len() > LARGE_PAYLOAD {
            tokio::task::block_in_place(|| payload::event(payload))
        } else {
            payload::event(payload)
        };
        event.map_err(Error::InvalidPayload)
    }

    /// The environments of a version that can be invoked. One that is still being created is waited for, since
    /// that takes milliseconds here; unless it waits for its snapshot, which takes as long as its Init phase.
    async fn invocable(&self, arn: &FunctionArn) -> Result<Route, Error> {
        let route = self.find(arn)?;
        if route.function.awaits_snapshot() {
            return Err(Error::SnapshotNotReady);
        }
        if !matches!(route.function.state, State::Pending(_)) {
            return check_state(route);
        }
        let mut changes = self.store.changes().subscribe();
        let settled = async {
            loop {
                let route = self.find(arn)?;
                if !matches!(route.function.state, State::Pending(_)) || changes.changed().await.is_err() {
                    return Ok::<_, Error>(route);
                }
            }
        };
        match tokio::time::timeout(PENDING_PATIENCE, settled).await {
            Ok(route) => check_state(route?),
            Err(_) => Err(Error::NotActive("Pending")),
        }
    }

    fn find(&self, arn: &FunctionArn) -> Result<Route, Error> {
        let qualifier = arn.qualifier.as_ref().unwrap_or(&Qualifier::Latest);
        let found = self.routing.find(&arn.scope, &arn.name, qualifier);
        let found = found.map_err(|source| Error::Store { function: arn.name.clone(), source })?;
        // A missing function is reported with the version that would have run, recorded from AWS.
        let route = found.ok_or_else(|| {
            Error::NotFound(FunctionArn { qualifier: Some(qualifier.clone()), ..arn.clone() })
        })?;
        let is_managed = route.function.definition.capacity.is_some();
        if is_managed && route.function.version == Version::Latest { self.published(arn) } else { Ok(route) }
    }

    /// What runs of a function on a capacity provider when the caller means its `$LATEST`: `$LATEST.PUBLISHED`, unless
    /// the caller said so.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-version-publishing.html>.
    fn published(&self, arn: &FunctionArn) -> Result<Route, Error> {
        let found = self.routing.find(&arn.scope, &arn.name, &Qualifier::LatestPublished);
        match found.map_err(|source| Error::Store { function: arn.name.clone(), source })? {
            Some(route) if arn.qualifier.is_none() => Ok(route),
            Some(_) => Err(Error::Unpublished),
            None => Err(Error::NoPublishedVersion),
        }
    }

    /// The trace header that the function is given, which counts this invocation of it.
    fn trace(&self, request: &Request) -> Result<String, Error> {
        let Request { scope, name, .. } = request;
        let header = trace::trace_header(request.trace_id.as_deref(), request.request_id, self.clock.now());
        let entered = lineage::enter(&header, Mark::of(scope, name));
        if entered.is_loop() {
            let allows = self.store.functions().allows_recursion(scope, name);
            if allows.map_err(|source| Error::Store { function: name.clone(), source })? == Some(false) {
                return Err(Error::Recursive);
            }
        }
        Ok(entered.header)
    }

    async fn run(
        &self,
        route: Route,
        request: Request,
        arn: FunctionArn,
        slot: Slot,
    ) -> Result<Response, Error> {
        let attempt = self.attempt(route, request, &arn, slot);
        if let Some(lease) = attempt.group.lease_warm().await
            && let Ok(outcome) = attempt.with(lease).await
        {
            return Ok(attempt.answer(outcome));
        }
        // Without a warm environment it takes a while, and a caller that goes away meanwhile does not undo the
        // invocation.
        let function = arn.name;
        let ran = self.routing.pool().run(attempt.anywhere(Arc::clone(&self.scaling))).await;
        ran.map_err(|source| Error::Environment { function, source })?
    }

    fn attempt(&self, route: Route, request: Request, arn: &FunctionArn, slot: Slot) -> Attempt {
        Attempt {
            function: route.function,
            group: route.group,
            is_reserved: route.share.is_reserved(),
            clock: Arc::clone(&self.clock),
            slot: Arc::new(slot),
            invocation: Invocation {
                request_id: request.request_id,
                deadline: self.clock.now(),
                function_arn: arn.to_string(),
                trace_id: request.trace_id,
                client_context: request.client_context,
                tenant: request.tenant,
                payload: request.payload,
                wants_log_tail: request.wants_log_tail,
                takes_stream: false,
            },
        }
    }
}

/// An invocation that looks for an environment.
struct Attempt {
    function: Arc<FunctionVersion>,
    group: Arc<Group>,
    /// Whether the function has executions reserved.
    is_reserved: bool,
    clock: Arc<dyn Clock>,
    /// An environment is busy, and counts, until its runtime asks for the next event.
    slot: Arc<Slot>,
    invocation: Invocation,
}

impl Attempt {
    async fn with(&self, lease: Lease) -> Result<Outcome, Undelivered> {
        let (lease, invocation) = self.prepare(lease);
        lease.invoke(invocation).await
    }

    async fn begin_with(&self, lease: Lease) -> Result<Begun, Undelivered> {
        let (lease, invocation) = self.prepare(lease);
        lease.begin(invocation).await
    }

    fn prepare(&self, mut lease: Lease) -> (Lease, Invocation) {
        lease.hold(Arc::clone(&self.slot));
        let deadline = self.clock.now().plus(self.function.definition.timeout);
        (lease, Invocation { deadline, ..self.invocation.clone() })
    }

    /// An environment, which may be a new one if there may be one more.
    async fn lease(&self, scaling: &Scaling) -> Result<Lease, Unavailable> {
        let FunctionVersion { scope, name, .. } = &*self.function;
        let admit = || {
            scaling.admit(scope, name, self.clock.now()).map_err(|limit| match limit {
                ScalingLimit::Function if self.is_reserved => ScalingLimit::ReservedFunction,
                limit => limit,
            })
        };
        self.group.lease(|| admit().map_err(Unavailable::Scaling)).await
    }

    async fn anywhere(self, scaling: Arc<Scaling>) -> Result<Response, Error> {
        for _ in 0..ATTEMPTS {
            match self.lease(&scaling).await {
                Ok(lease) => {
                    if let Ok(outcome) = self.with(lease).await {
                        return Ok(self.answer(outcome));
                    }
                }
                Err(error) => return self.without_environment(error).map(|outcome| self.answer(outcome)),
            }
        }
        Err(Error::Undelivered(self.function.name.clone()))
    }

    /// Runs the function and tells `caller` of its answer as it comes.
    async fn stream(self, scaling: Arc<Scaling>, caller: oneshot::Sender<Result<StreamedResponse, Error>>) {
        let wants_log_tail = self.invocation.wants_log_tail;
        let response = |way| StreamedResponse {
            executed_version: self.function.version.to_string(),
            trace_id: self.invocation.trace_id.clone().unwrap_or_default(),
            way,
        };
        // Wherever nobody hears it, the caller went away.
        match self.begin(&scaling).await {
            Ok(Begun::Whole(outcome)) => {
                let _ = caller.send(Ok(response(Way::whole(outcome, wants_log_tail))));
            }
            Ok(Begun::Stream(stream, unfinished)) => {
                let (sender, end) = oneshot::channel();
                let _ = caller.send(Ok(response(Way::pieces(stream, end))));
                let _ = sender.send(unfinished.finish().await);
            }
            Err(error) => {
                let _ = caller.send(Err(error));
            }
        }
    }

    async fn begin(&self, scaling: &Scaling) -> Result<Begun, Error> {
        if let Some(lease) = self.group.lease_warm().await
            && let Ok(begun) = self.begin_with(lease).await
        {
            return Ok(begun);
        }
        for _ in 0..ATTEMPTS {
            match self.lease(scaling).await {
                Ok(lease) => {
                    if let Ok(begun) = self.begin_with(lease).await {
                        return Ok(begun);
                    }
                }
                Err(error) => return self.without_environment(error).map(Begun::Whole),
            }
        }
        Err(Error::Undelivered(self.function.name.clone()))
    }

    /// What comes of an invocation that no environment could be had for.
    fn without_environment(&self, error: Unavailable) -> Result<Outcome, Error> {
        match error {
            Unavailable::Scaling(limit) => Err(Error::ScalingExceeded(limit)),
            Unavailable::Lease(LeaseError::Init(failed)) => Ok(failed.outcome(self.invocation.request_id)),
            Unavailable::Lease(LeaseError::Runtime(error)) => Err(Error::Runtime(error)),
            Unavailable::Lease(LeaseError::Restore(failed)) => Err(match failed.failure {
                RestoreFailure::Hook(_) | RestoreFailure::Init(_) => Error::RestoreFailed,
                RestoreFailure::TimedOut => Error::RestoreTimedOut,
            }),
            Unavailable::Lease(LeaseError::Snapshot(cause)) if matches!(*cause, LeaseError::Init(_)) => {
                Err(Error::SnapshotLost)
            }
            Unavailable::Lease(source) => {
                Err(Error::Environment { function: self.function.name.clone(), source })
            }
        }
    }

    fn answer(&self, outcome: Outcome) -> Response {
        Response {
            payload: outcome.payload,
            is_error: outcome.error_type.is_some(),
            executed_version: self.function.version.to_string(),
            // That of a failed Init phase comes whether or not it was asked for.
            log_tail: outcome.log_tail.filter(|_| self.invocation.wants_log_tail),
            trace_id: self.invocation.trace_id.clone().unwrap_or_default(),
        }
    }
}

/// Why an invocation has no environment.
enum Unavailable {
    /// It takes a new one, and there may be no more for now.
    Scaling(ScalingLimit),
    /// None could be had.
    Lease(LeaseError),
}

impl From<LeaseError> for Unavailable {
    fn from(error: LeaseError) -> Self {
        Self::Lease(error)
    }
}

fn check_state(route: Route) -> Result<Route, Error> {
    match route.function.state {
        State::Active | State::Inactive(_) => Ok(route),
        State::Pending(_) if route.function.awaits_snapshot() => Err(Error::SnapshotNotReady),
        State::Pending(_) => Err(Error::NotActive("Pending")),
        State::Failed(_) => Err(Error::NotActive("Failed")),
        State::ActiveNonInvocable => Err(Error::NotActive("ActiveNonInvocable")),
        State::Deactivating => Err(Error::NotActive("Deactivating")),
        State::Deactivated => Err(Error::NotActive("Deactivated")),
    }
}
