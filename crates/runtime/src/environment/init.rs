//! The Init phase, and what the caller reads when it fails.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use firelet_types::RequestId;
use tokio::sync::oneshot;

use super::log::{Finished, Log};
use super::{Environment, InitializationType, Outcome};
use crate::failure::{Crash, Failure, Unlaunched};
use crate::platform_log::event::{Extension, RuntimeDone, Status};
use crate::state::{Ending, InitEnd, KILLED};

/// Why the Init phase did not succeed.
#[derive(Debug)]
pub enum InitFailure {
    /// The runtime reported an error.
    Failed(Failure),
    /// The runtime or an extension ended.
    Crashed(Crash),
    /// A program could not be started.
    Unlaunched(Unlaunched),
    /// It took longer than it may.
    TimedOut,
}

/// An environment whose Init phase is going on.
pub struct Starting {
    pub(super) environment: Arc<Environment>,
    pub(super) end: oneshot::Receiver<InitEnd>,
    pub(super) started: Instant,
    pub(super) phase: InitPhase,
}

impl Starting {
    /// Waits for the end of Init, for at most `limit`. After a failure the processes are being ended, and the log is told.
    ///
    /// # Errors
    ///
    /// When Init fails or takes longer.
    pub async fn initialise(mut self, limit: Duration) -> Result<Arc<Environment>, InitFailed> {
        let (end, duration) = self.end(limit).await;
        let Self { environment, phase, .. } = self;
        let Some(failure) = InitFailure::of(end) else {
            environment.initialised(duration, phase);
            return Ok(environment);
        };
        let extensions = environment.state.lock().extensions();
        match failure {
            InitFailure::TimedOut => environment.end_because(Ending::TimedOut),
            _ => environment.end_processes(),
        }
        let (log, peak_memory_bytes) = (Arc::clone(&environment.log), environment.peak_memory_bytes());
        let mut failed = InitFailed::new(failure, duration, phase, log, extensions);
        failed.peak_memory_bytes = peak_memory_bytes;
        failed.environment = Some(environment);
        Err(failed)
    }

    /// How it ended, for which it has `limit`, and how long it took; no end when the time is over.
    pub(super) async fn end(&mut self, limit: Duration) -> (Option<InitEnd>, Duration) {
        let end = tokio::time::timeout(limit, &mut self.end).await;
        let duration = self.started.elapsed().min(limit);
        // Where the driver was dropped, the server is shutting down and the process with it.
        (end.ok().map(|end| end.unwrap_or(InitEnd::Crashed(KILLED))), duration)
    }
}

impl Environment {
    /// Takes down which extensions there are, now that no other can come; gives how far they came.
    pub(super) fn begun(&self) -> Vec<Extension> {
        let extensions = self.state.lock().extensions();
        self.has_extensions.store(!extensions.is_empty(), Ordering::Relaxed);
        extensions
    }

    /// Takes down how long Init took. Its first invocation reports that, unless it is made ahead of them.
    fn initialised(&self, duration: Duration, phase: InitPhase) {
        let extensions = self.begun();
        self.log.init_done(duration, phase, extensions);
        self.log.output.telemetry().close();
        match (self.initialization, phase) {
            (InitializationType::ProvisionedConcurrency | InitializationType::SnapStart, _) => {}
            (InitializationType::OnDemand, InitPhase::Init) => self.ledger.lock().init = Some(duration),
            (InitializationType::OnDemand, InitPhase::Invoke) => self.ledger.lock().spent = duration,
        }
    }
}

/// Where in the life of an environment Init runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitPhase {
    /// Ahead of the first invocation.
    Init,
    /// Again, inside the first invocation and its time, after it had taken too long.
    Invoke,
}

impl InitPhase {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Invoke => "invoke",
        }
    }
}

/// An Init phase that did not succeed, and the log of its environment.
pub struct InitFailed {
    /// What went wrong.
    pub failure: InitFailure,
    /// How long it took.
    pub duration: Duration,
    /// Where it failed; it can be started anew once its processes are gone. None where there never were any.
    pub environment: Option<Arc<Environment>>,
    log: Arc<Log>,
    peak_memory_bytes: u64,
}

impl fmt::Debug for InitFailed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InitFailed").field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl InitFailed {
    pub(super) fn new(
        failure: InitFailure,
        duration: Duration,
        phase: InitPhase,
        log: Arc<Log>,
        extensions: Vec<Extension>,
    ) -> Self {
        log.init_failed(duration, phase, failure.status(), extensions);
        Self { failure, duration, environment: None, log, peak_memory_bytes: 0 }
    }

    /// The answer to the invocation that waited for this environment, with START, END and REPORT in the log.
    #[must_use]
    pub fn outcome(self, request: RequestId) -> Outcome {
        let status = self.failure.status();
        self.log.start(request, None);
        let now = Instant::now();
        let started = now.checked_sub(self.duration).unwrap_or(now);
        let finished = Finished::new(request, started, self.duration, status);
        let duration = self.duration;
        let runtime = |status| Some(RuntimeDone::without_runtime(request, status, duration));
        let log_tail = self.log.report(finished, self.peak_memory_bytes, runtime);
        let failure = match self.failure {
            InitFailure::Failed(failure) => failure,
            InitFailure::Crashed(crash) => Failure::crash(request, crash),
            InitFailure::Unlaunched(problem) => Failure::unlaunched(request, &problem),
            InitFailure::TimedOut => Failure::timeout(request, self.log.timeout),
        };
        Outcome {
            payload: failure.payload,
            content_type: None,
            error_type: Some(failure.error_type),
            log_tail: Some(log_tail),
            duration: self.duration,
        }
    }
}

impl InitFailure {
    /// None if it succeeded; no end is that its time was over.
    pub(super) fn of(end: Option<InitEnd>) -> Option<Self> {
        match end {
            Some(InitEnd::Ready) => None,
            Some(InitEnd::Error { error_type, payload } | InitEnd::RestoreError { error_type, payload }) => {
                Some(Self::Failed(Failure { error_type, payload }))
            }
            Some(InitEnd::Crashed(crash)) => Some(Self::Crashed(crash)),
            Some(InitEnd::Unlaunched(problem)) => Some(Self::Unlaunched(problem)),
            None => Some(Self::TimedOut),
        }
    }

    /// Such as `Runtime.ExitError`; none where it took too long.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        match self {
            Self::Failed(failure) => Some(&failure.error_type),
            Self::Crashed(crash) => Some(crash.error_type()),
            Self::Unlaunched(problem) => Some(problem.error_type),
            Self::TimedOut => None,
        }
    }

    pub(super) fn status(&self) -> Status {
        self.error_type().map_or(Status::Timeout, |error_type| Status::Error(error_type.to_owned()))
    }
}
