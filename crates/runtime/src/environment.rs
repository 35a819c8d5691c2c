//! One execution environment: a sandbox, the runtime in it, and the invocations it takes one after another.

mod family;
mod guest;
mod init;
mod launch;
mod log;
mod observer;
mod plan;
mod restore;
mod shutdown;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use firelet_sandbox::Network;
use firelet_telemetry::Logs;
use firelet_types::{Clock, EnvironmentId, FunctionName, Ids, RequestId, Scope};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

use self::guest::{Cage, Order};
pub use self::init::{InitFailed, InitFailure, InitPhase, Starting};
pub use self::launch::{StartError, restore, start, start_for_snapshot};
use self::log::{Finished, Log};
pub use self::observer::{Activity, Observation, Observer};
pub use self::restore::{Capturing, RestoreFailed, RestoreFailure, Restoring};
use crate::bootstrap::Bootstraps;
use crate::catalogue::Interpreter;
use crate::extensions::Kinds;
use crate::failure::Failure;
use crate::outside::Outside;
use crate::platform_log::event::{Restore, Status, Tracing};
use crate::prepared::PreparedInterpreters;
use crate::sandboxes::Sandboxes;
pub use crate::state::Readiness;
use crate::state::{Awaited, Completion, Ending, Invocation, KILLED, News, State, Undelivered};
use crate::stream::AnswerStream;

/// An invocation that takes longer has its output read while it runs.
const SHORT: Duration = Duration::from_millis(2);

/// What all environments of a node share.
#[derive(Debug, Clone)]
pub struct Options {
    /// Makes the sandboxes.
    pub sandboxes: Arc<Sandboxes>,
    /// The guest-side programs.
    pub bootstraps: Arc<Bootstraps>,
    /// The interpreters that are started ahead.
    pub prepared: Arc<PreparedInterpreters>,
    /// Where functions' output goes.
    pub logs: Logs,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Where environment ids come from.
    pub ids: Arc<Ids>,
    /// Which network functions have.
    pub network: Network,
    /// The ways out of their own networks.
    pub outside: Arc<Outside>,
}

/// What an environment runs: one version of a function, with its code on disk.
#[derive(Debug, Clone)]
pub struct Function {
    /// Account and Region.
    pub scope: Scope,
    /// The function's name.
    pub name: FunctionName,
    /// `$LATEST` or a number.
    pub version: String,
    /// The handler as configured; empty where a runtime needs none.
    pub handler: String,
    /// The program that serves its runtime.
    pub interpreter: Arc<Interpreter>,
    /// The folder with the unpacked code.
    pub code: PathBuf,
    /// The folder with the unpacked layers, laid over one another; none for a function without layers.
    pub layers: Option<PathBuf>,
    /// Memory in MB.
    pub memory_megabytes: u32,
    /// Size of `/tmp` in MB.
    pub ephemeral_storage_megabytes: u32,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// The environment variables that the user set.
    pub variables: BTreeMap<String, String>,
    /// The log group's name.
    pub log_group: String,
    /// What is logged, where logs are written as JSON.
    pub json_logging: Option<JsonLogging>,
    /// Why its environment is made.
    pub initialization: InitializationType,
}

/// Why an environment is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitializationType {
    /// An invocation waits for it.
    OnDemand,
    /// It is kept for invocations to come.
    ProvisionedConcurrency,
    /// Its state is kept for other environments to start from, or it starts from such a state itself.
    SnapStart,
}

impl InitializationType {
    /// The value of `AWS_LAMBDA_INITIALIZATION_TYPE`, and the name in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::ProvisionedConcurrency => "provisioned-concurrency",
            Self::SnapStart => "snap-start",
        }
    }
}

/// What is logged of a function whose logs are written as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonLogging {
    /// The least level of the function's own lines: `INFO`.
    pub application_level: String,
    /// The least level of the platform's lines about the function: `INFO`.
    pub system_level: String,
}

/// The answer to one invocation.
#[derive(Debug)]
pub struct Outcome {
    /// The function's result, or the description of its error. Nothing, where the result came in pieces.
    pub payload: Bytes,
    /// What the runtime says that the result is.
    pub content_type: Option<String>,
    /// The type of the error, if there is one.
    pub error_type: Option<String>,
    /// The end of the invocation's log, at most 4 KB, if the caller wanted it.
    pub log_tail: Option<Bytes>,
    /// How long the function worked.
    pub duration: Duration,
}

/// The answer to one invocation, or its beginning.
#[derive(Debug)]
pub enum Begun {
    /// It came as a whole.
    Whole(Outcome),
    /// It comes in pieces, and its outcome after them.
    Stream(AnswerStream),
}

/// An execution environment whose runtime has started.
pub struct Environment {
    id: EnvironmentId,
    state: Arc<Mutex<State>>,
    /// Locked from thawing the guest until it has its event, so that it is not stopped between.
    cage: Arc<Mutex<Cage>>,
    /// What the driver is to do. Its end has it end everything.
    orders: mpsc::UnboundedSender<Order>,
    /// The peak memory in bytes that the end of a process came with; zero before.
    last_peak: Arc<AtomicU64>,
    log: Arc<Log>,
    timeout: Duration,
    initialization: InitializationType,
    /// Whether extensions have registered. Known when Init is over.
    has_extensions: AtomicBool,
    ledger: Mutex<Ledger>,
}

/// What the log is to be told later.
#[derive(Default)]
struct Ledger {
    /// How long Init took, until the first invocation reports it.
    init: Option<Duration>,
    /// How long the Restore phase took, likewise.
    restore: Option<Restore>,
    /// How much of the next invocation's time an Init phase inside it took.
    spent: Duration,
    /// The invocation that was answered last, until the log tells of its end. Unless its caller waits for the log,
    /// that is after the answer.
    finished: Option<Finished>,
}

impl Environment {
    /// The environment's id.
    #[must_use]
    pub fn id(&self) -> EnvironmentId {
        self.id
    }

    /// Why it was made.
    #[must_use]
    pub const fn initialization(&self) -> InitializationType {
        self.initialization
    }

    /// Whether it has extensions, which may work on after an invocation was answered, for as long as the invocation may take.
    #[must_use]
    pub fn has_extensions(&self) -> bool {
        self.has_extensions.load(Ordering::Relaxed)
    }

    /// Whether the runtime waits for an event.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state.lock().is_ready()
    }

    /// Whether its processes are being ended.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.state.lock().ending().is_some()
    }

    /// Stops the guest and all its processes if it waits for an event; the next invocation has it go on. Says whether it
    /// stands still now.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn freeze(&self) -> io::Result<bool> {
        let mut cage = self.cage.lock();
        if !cage.is_frozen && self.is_ready() {
            cage.sandbox.freeze()?;
            cage.is_frozen = true;
            self.log.output.telemetry().set_frozen(true);
        }
        Ok(cage.is_frozen)
    }

    /// Ends the guest and all its processes, whatever it is doing, with a shutdown phase if it has extensions. It takes no
    /// event after that.
    pub fn end(&self) {
        self.end_because(Ending::Unwanted);
    }

    fn end_because(&self, why: Ending) {
        if self.state.lock().end(why, Instant::now()) {
            self.end_processes();
        }
    }

    /// Ends the guest unless it waits for an event, which it may since it was looked at.
    pub fn end_unless_ready(&self) {
        self.end_unless_ready_because(Ending::Unwanted);
    }

    /// Ends the guest because it takes longer than its invocation may, unless it waits for an event.
    pub fn time_out_unless_ready(&self) {
        self.end_unless_ready_because(Ending::TimedOut);
    }

    fn end_unless_ready_because(&self, why: Ending) {
        let is_ending = {
            let mut state = self.state.lock();
            !state.is_ready() && state.end(why, Instant::now())
        };
        if is_ending {
            self.end_processes();
        }
    }

    /// Has the driver end all processes. Where no extension has to be told, they are killed at once.
    fn end_processes(&self) {
        if self.state.lock().kinds() == Kinds::default() {
            self.cage.lock().sandbox.kill();
        }
        // A driver that is gone has ended them.
        let _ = self.orders.send(Order::End);
    }

    /// Starts the runtime anew, and extensions, as part of an invocation: in the same sandbox, of which `/tmp` is left. None
    /// unless all processes of the environment have ended, and where there is a snapshot to start another one from.
    #[must_use]
    pub fn revive(self: &Arc<Self>) -> Option<Starting> {
        if self.initialization == InitializationType::SnapStart {
            return None;
        }
        let (end_sender, end) = oneshot::channel();
        if !self.state.lock().begin(end_sender) {
            return None;
        }
        let phase = InitPhase::Invoke;
        self.has_extensions.store(false, Ordering::Relaxed);
        self.ledger.lock().init = None;
        self.log.output.telemetry().reopen();
        self.log.init_start(phase);
        let started = Instant::now();
        if self.orders.send(Order::Revive).is_err() {
            // The driver is gone: the server is shutting down.
            self.state.lock().end(Ending::Unwanted, started);
        }
        Some(Starting { environment: Arc::clone(self), end, started, phase })
    }

    /// The most memory that the guest held at a time.
    fn peak_memory_bytes(&self) -> u64 {
        let usage = self.cage.lock().sandbox.usage();
        usage.peak_memory_bytes.max(self.last_peak.load(Ordering::Relaxed))
    }

    /// Has `callback` called once the runtime is free for its next event, or gone; at once where that is so.
    pub fn when_ready(self: &Arc<Self>, callback: impl FnOnce(Readiness) + Send + 'static) {
        let environment = Arc::clone(self);
        let callback = move |news: News| {
            environment.report(Some(news));
            callback(environment.readiness(news));
        };
        let due = self.state.lock().when_ready(Box::new(callback));
        if let Some(due) = due {
            due.call();
        }
    }

    /// One that started from a snapshot is not started anew.
    fn readiness(&self, news: News) -> Readiness {
        match news.readiness() {
            Readiness::Dormant if self.initialization == InitializationType::SnapStart => Readiness::Ended,
            readiness => readiness,
        }
    }

    /// Writes END and REPORT of the last invocation, if that has not been done; gives the end of its log. What became of the
    /// environment after the answer belongs to it.
    fn report(&self, news: Option<News>) -> Option<Bytes> {
        let mut finished = self.ledger.lock().finished.take()?;
        match news {
            None | Some(News::Ready { extensions_since: None }) => {}
            Some(News::Ready { extensions_since: Some(since) }) => {
                finished.extensions = Some(since.elapsed());
                finished.total = finished.started.elapsed();
            }
            Some(News::Ended { why, at }) => finished.end(why, at),
        }
        finished.total = finished.total.min(self.timeout);
        let runtime = |status| self.state.lock().finish_timeline(status, Instant::now());
        Some(self.log.report(finished, self.peak_memory_bytes(), runtime))
    }

    /// Hands `invocation` to the function, which has its whole timeout from now; but for what an Init phase has taken of it that
    /// was repeated inside of the invocation.
    ///
    /// # Errors
    ///
    /// When the runtime did not take the invocation, so that another environment may.
    pub fn invoke(self: &Arc<Self>, mut invocation: Invocation) -> Result<Running, Undelivered> {
        if !self.is_ready() {
            return Err(Undelivered);
        }
        let request = invocation.request_id;
        let is_heard = self.log.output.is_heard();
        let tracing = invocation.trace_id.as_deref().filter(|_| is_heard).and_then(Tracing::of);
        self.log.start(request, tracing.clone());
        let wants_log_tail = invocation.wants_log_tail;
        let spent = std::mem::take(&mut self.ledger.lock().spent);
        invocation.deadline = invocation.deadline.minus(spent);
        let now = Instant::now();
        let started = now.checked_sub(spent).unwrap_or(now);
        let Awaited { completion, stream } = {
            let mut cage = self.cage.lock();
            if std::mem::take(&mut cage.is_frozen) {
                if cage.sandbox.thaw().is_err() {
                    drop(cage);
                    self.end();
                    return Err(Undelivered);
                }
                self.log.output.telemetry().set_frozen(false);
            }
            let mut state = self.state.lock();
            let awaited = state.invoke(invocation)?;
            if is_heard {
                state.measure(self.log.timeline(request, tracing.clone(), now));
            }
            awaited
        };
        let left = self.timeout.saturating_sub(spent);
        let clock = Box::pin(tokio::time::sleep(left.min(SHORT)));
        let deadline = tokio::time::Instant::now() + left;
        Ok(Running {
            environment: Arc::clone(self),
            request,
            started,
            completion,
            stream,
            clock,
            deadline,
            wants_log_tail,
            tracing,
        })
    }
}

impl Drop for Environment {
    /// The driver ends everything because the way to it closes; what needs no shutdown phase ends at once.
    fn drop(&mut self) {
        if !self.has_extensions() {
            self.cage.lock().sandbox.kill();
        }
    }
}

/// An invocation that the function works on.
pub struct Running {
    environment: Arc<Environment>,
    request: RequestId,
    started: Instant,
    completion: oneshot::Receiver<Completion>,
    /// The answer itself, if it comes in pieces and the caller takes them.
    stream: Option<oneshot::Receiver<AnswerStream>>,
    /// Goes off when the invocation is no longer short, and then at the deadline.
    clock: Pin<Box<Sleep>>,
    deadline: tokio::time::Instant,
    wants_log_tail: bool,
    /// How it is traced, where somebody hears of it.
    tracing: Option<Tracing>,
}

impl Running {
    /// What the runtime said, or none when the time is over.
    async fn completion(&mut self) -> Option<Result<Completion, oneshot::error::RecvError>> {
        loop {
            tokio::select! {
                biased;
                completion = &mut self.completion => return Some(completion),
                () = &mut self.clock => {}
            }
            if self.clock.deadline() >= self.deadline {
                return None;
            }
            self.environment.log.output.watch();
            self.clock.as_mut().reset(self.deadline);
        }
    }

    /// The answer, once it is there as a whole or begins to come in pieces; after those, [`Running::outcome`] tells how it
    /// ended. When waiting is broken off, pieces are thrown away.
    pub async fn begin(&mut self) -> Begun {
        let Some(stream) = self.stream.take() else { return Begun::Whole(self.outcome().await) };
        tokio::select! {
            biased;
            Ok(stream) = stream => Begun::Stream(stream),
            outcome = self.outcome() => Begun::Whole(outcome),
        }
    }

    /// The answer, once there is one or the time is over; then the guest is killed. Waiting may be broken off and
    /// taken up again, but not after the answer.
    pub async fn outcome(&mut self) -> Outcome {
        let completion = self.completion().await;
        let environment = &self.environment;
        let duration = self.started.elapsed().min(environment.timeout);
        let (result, status) = match completion {
            // A channel that closed without a word: the server is shutting down, and the process with it.
            Some(completion) => judge(self.request, completion.unwrap_or(Completion::Crashed(KILLED))),
            None => {
                environment.end_because(Ending::TimedOut);
                (Err(Failure::timeout(self.request, environment.timeout)), Status::Timeout)
            }
        };
        let tracing = self.tracing.take();
        let finished = Finished::new(self.request, self.started, duration, status);
        {
            let mut ledger = environment.ledger.lock();
            let (init, restore) = (ledger.init.take(), ledger.restore.take());
            ledger.finished = Some(Finished { init, restore, tracing, ..finished });
        }
        let log_tail = if self.wants_log_tail { environment.report(None) } else { None };
        match result {
            Ok(Answer { content_type, payload }) => {
                Outcome { payload, content_type, error_type: None, log_tail, duration }
            }
            Err(Failure { error_type, payload }) => {
                Outcome { payload, content_type: None, error_type: Some(error_type), log_tail, duration }
            }
        }
    }
}

/// A result.
struct Answer {
    /// What the runtime says that it is.
    content_type: Option<String>,
    /// Nothing, where it came in pieces.
    payload: Bytes,
}

/// What the caller reads, and what REPORT says. An error that the function's own code raised is a successful
/// invocation to the platform.
fn judge(request: RequestId, completion: Completion) -> (Result<Answer, Failure>, Status) {
    match completion {
        Completion::Response { content_type, payload } => {
            (Ok(Answer { content_type, payload }), Status::Success)
        }
        Completion::Streamed { .. } => {
            (Ok(Answer { content_type: None, payload: Bytes::new() }), Status::Success)
        }
        Completion::Error { error_type, payload } => (Err(Failure { error_type, payload }), Status::Success),
        Completion::Failed(failure) => {
            let status = Status::Error(failure.error_type.clone());
            (Err(failure), status)
        }
        Completion::Crashed(crash) => {
            (Err(Failure::crash(request, crash)), Status::Error(crash.error_type().to_owned()))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use firelet_types::{AccountId, Region};

    use super::*;
    use crate::catalogue::Family;

    /// A function of `runtime` with the usual settings and no code.
    pub(crate) fn function(runtime: &str) -> Function {
        let family = match runtime {
            python if python.starts_with("python") => Family::Python,
            node if node.starts_with("nodejs") => Family::Node,
            _ => Family::Custom,
        };
        let interpreter = Interpreter {
            runtime: runtime.into(),
            family,
            prefix: None,
            program: None,
            version: runtime.into(),
        };
        Function {
            scope: Scope { account: AccountId::local(), region: Region::local() },
            name: "f".parse().unwrap(),
            version: "$LATEST".into(),
            handler: "app.handler".into(),
            interpreter: Arc::new(interpreter),
            code: PathBuf::new(),
            layers: None,
            memory_megabytes: 128,
            ephemeral_storage_megabytes: 512,
            timeout: Duration::from_secs(3),
            variables: BTreeMap::new(),
            log_group: "/aws/lambda/f".into(),
            json_logging: None,
            initialization: InitializationType::OnDemand,
        }
    }
}
