//! Environments that start from a snapshot: making it, and the Restore phase of those that come after.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firelet_sandbox::SnapshotError;
use firelet_types::{CredentialsToken, limits};

use super::init::{InitFailed, InitFailure, Starting};
use super::log::Log;
use super::{Environment, Observer};
use crate::failure::Failure;
use crate::platform_log::event::{Restore, Status};
use crate::snapshot::Snapshot;
use crate::state::{Ending, InitEnd};

/// An environment whose state is to be kept once its Init phase is over.
pub struct Capturing {
    pub(super) starting: Starting,
    pub(super) token: CredentialsToken,
    /// Where the environment is, if its state is of no use elsewhere.
    pub(super) obstacle: Option<&'static str>,
}

impl Capturing {
    /// Looks at the environment from now on.
    #[must_use]
    pub fn observer(&self) -> Observer {
        self.starting.observer()
    }

    /// Waits for the end of Init and of the hooks that come before a snapshot, keeps the state, and ends the environment.
    ///
    /// # Errors
    ///
    /// When Init fails, a hook does, or they take longer than they may together.
    pub async fn capture(self) -> Result<Snapshot, InitFailed> {
        let Self { starting, token, obstacle } = self;
        let limit = limits::PROVISIONED_INIT_TIMEOUT.max(starting.environment.timeout);
        let environment = starting.initialise(limit).await?;
        let obstacle = obstacle.or_else(|| environment.obstacle());
        // What becomes of its processes from here on is nobody's fault. The runtime's question stays without an answer.
        environment.state.lock().end(Ending::Unwanted, Instant::now());
        let process = match obstacle {
            None => environment.keep_process().await,
            Some(obstacle) => Err(obstacle.to_owned()),
        };
        environment.end_processes();
        let process = process.map_err(|reason| environment.log.tell_operator_of_repeated_init(&reason)).ok();
        Ok(Snapshot::new(token, process))
    }
}

impl Environment {
    /// Why the state of its runtime cannot be kept, as far as that is known here.
    fn obstacle(&self) -> Option<&'static str> {
        if self.has_extensions() {
            return Some("it has extensions");
        }
        (!self.state.lock().waits_for_restore()).then_some("its runtime does not ask to be restored")
    }

    /// The runtime's process, which is ended for it; or why there is none, for the operator.
    async fn keep_process(&self) -> Result<firelet_sandbox::Snapshot, String> {
        let sandbox = Arc::clone(&self.cage.lock().sandbox);
        let kept = tokio::task::spawn_blocking(move || sandbox.snapshot()).await;
        match kept {
            Ok(Ok(process)) => Ok(process),
            Ok(Err(SnapshotError::Unsupported { reason })) => Err(reason),
            Ok(Err(SnapshotError::Failed(error))) => Err(error.to_string()),
            Err(_) => Err("the server is shutting down".to_owned()),
        }
    }
}

/// An environment whose Restore phase is going on.
pub struct Restoring(pub(super) Starting);

impl Restoring {
    /// Looks at the environment from now on.
    #[must_use]
    pub fn observer(&self) -> Observer {
        self.0.observer()
    }

    /// Waits for the end of the Restore phase. After a failure the processes are being ended, and the log is told.
    ///
    /// # Errors
    ///
    /// When a hook fails, the runtime ends, or it takes longer than it may.
    pub async fn finish(mut self) -> Result<Arc<Environment>, RestoreFailed> {
        let (end, duration) = self.0.end(limits::RESTORE_TIMEOUT).await;
        let environment = self.0.environment;
        match RestoreFailure::of(end) {
            None => {
                environment.restored(duration);
                Ok(environment)
            }
            Some(failure) => {
                match failure {
                    RestoreFailure::TimedOut => environment.end_because(Ending::TimedOut),
                    _ => environment.end_processes(),
                }
                Err(RestoreFailed::new(failure, duration, &environment.log))
            }
        }
    }
}

impl Environment {
    /// Takes down how long the Restore phase took, which its first invocation reports.
    fn restored(&self, total: Duration) {
        let runtime = self.state.lock().since_restored(Instant::now()).min(total);
        self.begun();
        self.log.restore_end(total, Status::Success);
        self.log.output.telemetry().close();
        self.ledger.lock().restore = Some(Restore { total, runtime });
    }
}

/// Why an environment could not start from a snapshot.
#[derive(Debug)]
pub enum RestoreFailure {
    /// A hook that follows failed, as the runtime reported.
    Hook(Failure),
    /// The runtime ended, or could not be started; or Init failed, where it was run anew.
    Init(InitFailure),
    /// It took longer than it may.
    TimedOut,
}

impl RestoreFailure {
    /// None if it succeeded.
    fn of(end: Option<InitEnd>) -> Option<Self> {
        match end {
            Some(InitEnd::RestoreError { error_type, payload }) => {
                Some(Self::Hook(Failure { error_type, payload }))
            }
            end => match InitFailure::of(end)? {
                InitFailure::TimedOut => Some(Self::TimedOut),
                failure => Some(Self::Init(failure)),
            },
        }
    }

    /// Such as `Runtime.AfterRestoreError`. That of a restore which took too long is the emulator's
    /// (`lambda/interop/model.go`).
    #[must_use]
    pub fn error_type(&self) -> &str {
        match self {
            Self::Hook(failure) => &failure.error_type,
            Self::Init(failure) => failure.error_type().unwrap_or(TIMED_OUT),
            Self::TimedOut => TIMED_OUT,
        }
    }

    /// For the log. A runtime whose hook failed exits, and that is what the log tells of: as documented at
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-restore>.
    fn status(&self) -> Status {
        match self {
            Self::Hook(_) => Status::Error("Runtime.ExitError".to_owned()),
            Self::Init(failure) => failure.status(),
            Self::TimedOut => Status::Timeout,
        }
    }
}

const TIMED_OUT: &str = "Runtime.RestoreHookUserTimeout";

/// A Restore phase that did not succeed. The invocation that waited for it has not begun.
pub struct RestoreFailed {
    /// What went wrong.
    pub failure: RestoreFailure,
    /// How long it took.
    pub duration: Duration,
}

impl fmt::Debug for RestoreFailed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RestoreFailed").field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl RestoreFailed {
    pub(super) fn new(failure: RestoreFailure, duration: Duration, log: &Log) -> Self {
        log.restore_end(duration, failure.status());
        Self { failure, duration }
    }
}
