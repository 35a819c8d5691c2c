//! An environment on loan for one invocation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use firelet_runtime::{
    AnswerStream, Environment, InitFailed, Invocation, Outcome, RestoreFailed, Running, StartError,
    Undelivered, catalogue,
};

use crate::code_cache::CodeError;
use crate::group::{Group, Hold};
use crate::service::Task;

/// Why no environment could be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The function's own Init phase failed; the caller gets its answer.
    #[error("the Init phase failed")]
    Init(InitFailed),
    /// The function's version has lost its snapshot, and there is no other for this reason, which all hear who wait for it.
    #[error("cannot make the snapshot of the version anew")]
    Snapshot(#[source] Arc<LeaseError>),
    /// The environment could not start from the snapshot of its version.
    #[error("the Restore phase failed: {}", .0.failure.error_type())]
    Restore(RestoreFailed),
    /// The code could not be made ready.
    #[error("cannot make the code ready")]
    Code(#[source] CodeError),
    /// The function is a container image.
    #[error("firelet does not run functions from container images yet.")]
    Image,
    /// No program on this host serves the function's runtime.
    #[error(transparent)]
    Runtime(catalogue::Error),
    /// The sandbox could not be started.
    #[error("cannot start an execution environment")]
    Start(#[source] StartError),
    /// More environments are being made than the pool can keep up with.
    #[error("too many execution environments are being started at once")]
    Overloaded,
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Stopped,
}

/// An environment that nobody else uses. It goes back to its group when the lease is dropped.
pub struct Lease {
    environment: Arc<Environment>,
    group: Arc<Group>,
    since: Instant,
    /// When the time of the invocation is over.
    deadline: Instant,
    hold: Option<Hold>,
}

/// How long a runtime may take at least to ask for its next event, however late it answered.
const FINISHING_PATIENCE: Duration = Duration::from_secs(1);

impl Lease {
    pub(crate) fn new(environment: Arc<Environment>, group: Arc<Group>) -> Self {
        let since = Instant::now();
        let deadline = since + group.function().definition.timeout;
        Self { environment, group, since, deadline, hold: None }
    }

    /// Keeps `hold` until the environment is free again, which may be after its answer.
    pub fn hold(&mut self, hold: impl Send + 'static) {
        self.hold = Some(Box::new(hold));
    }

    /// Has the function work on `invocation`. If the caller goes away meanwhile, the function works on all the same,
    /// as on AWS.
    ///
    /// # Errors
    ///
    /// When the environment ended before it took the invocation, so that another may.
    pub async fn invoke(self, invocation: Invocation) -> Result<Outcome, Undelivered> {
        Ok(self.attend(invocation)?.finish().await)
    }

    /// The same for an answer that may come in pieces: ends when it is there as a whole, or begins to come.
    ///
    /// # Errors
    ///
    /// As [`Lease::invoke`].
    pub async fn begin(self, invocation: Invocation) -> Result<Begun, Undelivered> {
        let mut unfinished = self.attend(invocation)?;
        // Taken only by the end and by drop, so it is there.
        let Some(orphan) = &mut unfinished.attended.0 else { return Err(Undelivered) };
        Ok(match orphan.running.begin().await {
            firelet_runtime::Begun::Whole(outcome) => {
                unfinished.end(&outcome);
                Begun::Whole(outcome)
            }
            firelet_runtime::Begun::Stream(stream) => Begun::Stream(stream, unfinished),
        })
    }

    fn attend(self, invocation: Invocation) -> Result<Unfinished, Undelivered> {
        let running = self.environment.invoke(invocation)?;
        let is_polled = self.group.polling().invocation_begins();
        Ok(Unfinished { attended: Attended(Some(Orphan { running, lease: self })), is_polled })
    }
}

/// The answer to one invocation, or its beginning.
pub enum Begun {
    /// It came as a whole.
    Whole(Outcome),
    /// It comes in pieces.
    Stream(AnswerStream, Unfinished),
}

/// An invocation that the function works on, and its lease.
pub struct Unfinished {
    attended: Attended,
    is_polled: bool,
}

impl Unfinished {
    /// The outcome, once the function has given its whole answer or its time is over.
    pub async fn finish(mut self) -> Outcome {
        let orphan = self.attended.0.as_mut().expect("only its end, which consumes it, takes it");
        let outcome = orphan.running.outcome().await;
        self.end(&outcome);
        outcome
    }

    fn end(mut self, outcome: &Outcome) {
        if let Some(orphan) = self.attended.0.take() {
            orphan.lease.group.polling().invocation_ends(self.is_polled, outcome.duration);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Extensions have the time of the invocation, and no more.
        let patience = if self.environment.has_extensions() { Duration::ZERO } else { FINISHING_PATIENCE };
        let deadline = self.deadline.max(Instant::now() + patience);
        self.group.give_back(&self.environment, self.since, deadline, self.hold.take());
    }
}

/// An invocation whose caller may go away.
struct Attended(Option<Orphan>);

impl Drop for Attended {
    fn drop(&mut self) {
        if let Some(orphan) = self.0.take() {
            let group = Arc::clone(&orphan.lease.group);
            let environment = Arc::clone(&orphan.lease.environment);
            if !group.hand_over(Task::Finish(orphan)) {
                // Nobody is left to hold it to its timeout.
                environment.end();
            }
        }
    }
}

/// An invocation without a caller, whose outcome only the log will tell.
pub(crate) struct Orphan {
    running: Running,
    lease: Lease,
}

impl Orphan {
    /// Sees the invocation to its end.
    pub(crate) async fn finish(mut self) {
        self.running.outcome().await;
        drop(self.lease);
    }
}
