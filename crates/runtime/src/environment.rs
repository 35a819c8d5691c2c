//! One execution environment: a sandbox, the runtime in it, and the invocations it takes one after another.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use firelet_sandbox::{Cpu, End, ExitStatus, Mount, Network, Sandbox, Spec};
use firelet_telemetry::{LogGroup, Logs};
use firelet_types::{Clock, EnvironmentId, FunctionName, Ids, RequestId, Scope};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use crate::bootstrap::{self, Bootstraps};
use crate::catalogue::Interpreter;
use crate::failure::{ExitReason, Failure};
use crate::output::Output;
use crate::platform_log::{self, Report, Status};
use crate::runtime_api::Connections;
use crate::sandboxes::Sandboxes;
pub use crate::state::Readiness;
use crate::state::{Completion, InitEnd, Invocation, State, Undelivered};
use crate::variables;

/// How long what a dead process had still sent is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Where a guest in a network namespace of its own finds the Runtime API.
const RUNTIME_API: &str = "127.0.0.1:9001";

/// What all environments of a node share.
#[derive(Debug, Clone)]
pub struct Options {
    /// Makes the sandboxes.
    pub sandboxes: Arc<Sandboxes>,
    /// The guest-side programs.
    pub bootstraps: Arc<Bootstraps>,
    /// Where functions' output goes.
    pub logs: Logs,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Where environment ids come from.
    pub ids: Arc<Ids>,
    /// Which network functions have.
    pub network: Network,
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
    /// The application log level, where logs are written as JSON.
    pub json_log_level: Option<String>,
}

/// Why an environment could not be started. The function has no part in it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The sandbox could not be made.
    #[error("cannot launch the sandbox of function {function}")]
    Launch {
        /// The function's name.
        function: FunctionName,
        /// What failed.
        #[source]
        source: firelet_sandbox::Error,
    },
    /// The guest-side program could not be made ready.
    #[error("cannot prepare the bootstrap of the runtime {runtime}")]
    Bootstrap {
        /// The runtime identifier.
        runtime: String,
        /// What failed.
        #[source]
        source: bootstrap::Error,
    },
    /// A descriptor of the sandbox could not be used.
    #[error("cannot {step} of function {function}")]
    Wire {
        /// What was attempted.
        step: &'static str,
        /// The function's name.
        function: FunctionName,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The function's own program cannot be executed; the caller gets its answer.
    #[error("the function's entry point cannot be executed")]
    Entrypoint(InitFailed),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Stopped,
}

/// Why the Init phase did not succeed.
#[derive(Debug)]
pub enum InitFailure {
    /// The runtime reported an error.
    Failed(Failure),
    /// The runtime ended.
    Exited(ExitReason),
    /// There is no program to start, for this reason.
    Entrypoint(String),
    /// It took longer than it may.
    TimedOut,
}

/// The answer to one invocation.
#[derive(Debug)]
pub struct Outcome {
    /// The function's result, or the description of its error.
    pub payload: Bytes,
    /// Whether `payload` describes an error.
    pub is_error: bool,
    /// The end of the invocation's log, at most 4 KB.
    pub log_tail: Bytes,
    /// How long the function worked.
    pub duration: Duration,
}

/// An execution environment whose runtime has started.
pub struct Environment {
    id: EnvironmentId,
    state: Arc<Mutex<State>>,
    sandbox: Sandbox,
    /// The peak memory in bytes that the end of the process came with; zero before.
    last_peak: Arc<AtomicU64>,
    log: Log,
    timeout: Duration,
    /// How long Init took, until the first invocation reports it.
    init: Mutex<Option<Duration>>,
}

/// An environment whose Init phase is going on.
pub struct Starting {
    environment: Environment,
    end: oneshot::Receiver<InitEnd>,
    started: Instant,
}

/// Launches a sandbox for `function` and starts its runtime.
///
/// The future that comes with it serves the guest until its process ends, and has to be polled all the while.
///
/// # Errors
///
/// When the sandbox cannot be made; see [`StartError`].
pub async fn start(
    options: &Options,
    function: &Function,
) -> Result<(Starting, impl Future<Output = ()> + Send + use<>), StartError> {
    let id = EnvironmentId::new(&options.ids);
    let stream_name = format!("{}/[{}]{}", options.clock.now().date_path(), function.version, id.simple());
    let host_listener = host_listener(options, function).await?;
    let address = match &host_listener {
        Some((_, address)) => address.to_string(),
        None => RUNTIME_API.to_owned(),
    };
    let variables = variables::variables(function, &stream_name, &address);
    let spec = spec(options, function, id, variables).await?;
    let sandboxes = Arc::clone(&options.sandboxes);
    let group = LogGroup { scope: function.scope.clone(), name: function.log_group.clone() };
    let stream = options.logs.stream(group, stream_name);
    let started = Instant::now();
    let launched = tokio::task::spawn_blocking(move || sandboxes.launch(&spec)).await;
    let mut sandbox = match launched.map_err(|_| StartError::Stopped)? {
        Ok(sandbox) => sandbox,
        Err(firelet_sandbox::Error::Execute { program, source }) => {
            let output = Output::without_guest(stream, Arc::clone(&options.clock));
            let log = Log::new(output, function);
            log.init_start(function);
            let failure = InitFailure::Entrypoint(entrypoint_problem(function, &program, &source));
            return Err(StartError::Entrypoint(InitFailed::new(
                failure,
                started.elapsed(),
                InitPhase::Init,
                log,
                0,
            )));
        }
        Err(source) => return Err(StartError::Launch { function: function.name.clone(), source }),
    };

    let wire = |step: &'static str| {
        let function = function.name.clone();
        move |source| StartError::Wire { step, function, source }
    };
    let listener = match host_listener {
        Some((listener, _)) => listener,
        None => sandbox
            .take_listener()
            .ok_or_else(|| io::Error::other("the sandbox has none"))
            .and_then(TcpListener::from_std)
            .map_err(wire("listen on the Runtime API"))?,
    };
    let output = Output::new(sandbox.take_output(), stream, Arc::clone(&options.clock))
        .map_err(wire("read the output"))?;
    let exit = pipe::Receiver::from_owned_fd(sandbox.take_exit()).map_err(wire("watch the process"))?;

    let (end_sender, end) = oneshot::channel();
    let state = Arc::new(Mutex::new(State::new(end_sender)));
    let log = Log::new(output, function);
    log.init_start(function);
    let last_peak = Arc::new(AtomicU64::new(0));
    let guest = Guest {
        state: Arc::clone(&state),
        output: Arc::clone(&log.output),
        last_peak: Arc::clone(&last_peak),
    };
    let driver = guest.drive(listener, exit);
    let environment =
        Environment { id, state, sandbox, last_peak, log, timeout: function.timeout, init: Mutex::new(None) };
    Ok((Starting { environment, end, started }, driver))
}

/// With the host's network there is no namespace to hold port 9001: each environment gets a port of its own.
async fn host_listener(
    options: &Options,
    function: &Function,
) -> Result<Option<(TcpListener, SocketAddr)>, StartError> {
    if options.network == Network::Isolated {
        return Ok(None);
    }
    let listen = async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        Ok(Some((listener, address)))
    };
    let step = "listen on the Runtime API";
    listen.await.map_err(|source| StartError::Wire { step, function: function.name.clone(), source })
}

async fn spec(
    options: &Options,
    function: &Function,
    id: EnvironmentId,
    environment: Vec<(String, String)>,
) -> Result<Spec, StartError> {
    let interpreter = &function.interpreter;
    let bootstrap = options
        .bootstraps
        .prepare(interpreter)
        .await
        .map_err(|source| StartError::Bootstrap { runtime: interpreter.runtime.clone(), source })?;
    let mount = |source: &PathBuf, target: &str| Mount { source: source.clone(), target: target.into() };
    let mut mounts = vec![mount(&function.code, "/var/task")];
    mounts.extend(interpreter.prefix.iter().map(|prefix| mount(prefix, "/var/lang")));
    mounts.extend(bootstrap.directory.iter().map(|directory| mount(directory, "/var/runtime")));
    Ok(Spec {
        id: id.simple(),
        argv: bootstrap.argv.iter().map(Into::into).collect(),
        environment,
        working_directory: "/var/task".into(),
        mounts,
        memory_bytes: u64::from(function.memory_megabytes) << 20,
        tmp_bytes: u64::from(function.ephemeral_storage_megabytes) << 20,
        cpu: Cpu::for_memory(function.memory_megabytes),
        processes: PROCESSES,
        network: options.network,
    })
}

/// Processes and threads of one environment, as documented for Lambda.
const PROCESSES: u32 = 1_024;

/// What the server shares with one guest.
struct Guest {
    state: Arc<Mutex<State>>,
    output: Arc<Output>,
    last_peak: Arc<AtomicU64>,
}

impl Guest {
    /// Serves the guest until its process ends, then lets what it had still sent arrive, and tells its owner.
    async fn drive(self, listener: TcpListener, exit: pipe::Receiver) {
        let mut connections = Connections::new(Arc::clone(&self.state));
        let status = {
            let mut reading = pin!(self.output.pump());
            let mut exiting = pin!(exit_status(&exit));
            let mut open = true;
            loop {
                tokio::select! {
                    status = &mut exiting => break status,
                    () = &mut reading, if open => open = false,
                    () = connections.accept(&listener) => {}
                }
            }
        };
        // A process that is gone sends no more, so this ends as soon as what it had sent is read.
        if tokio::time::timeout(LAST_WORDS, connections.finish()).await.is_err() {
            tracing::warn!("a guest's connection outlived its process");
        }
        self.output.finish();
        self.last_peak.store(status.map_or(0, |status| status.peak_memory_bytes), Ordering::Relaxed);
        let callback = self.state.lock().end(status.map_or(KILLED, ExitReason::from));
        if let Some(callback) = callback {
            callback(Readiness::Ended);
        }
    }
}

/// How a sandbox that was killed from outside has ended.
const KILLED: ExitReason = ExitReason::Signaled(9);

/// How the guest's process ended; none when the whole sandbox was killed.
async fn exit_status(exit: &pipe::Receiver) -> Option<ExitStatus> {
    let mut report = [0; 64];
    while exit.readable().await.is_ok() {
        match exit.try_read(&mut report) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(count) => return ExitStatus::parse(&report[..count]),
            Err(_) => return None,
        }
    }
    None
}

impl From<ExitStatus> for ExitReason {
    fn from(status: ExitStatus) -> Self {
        match status.end {
            _ if status.out_of_memory => Self::OutOfMemory,
            End::Exited(code) => Self::Exited(code),
            End::Signaled(signal) => Self::Signaled(signal),
        }
    }
}

impl Starting {
    /// Waits for the end of Init, for at most `limit`. An environment that failed is gone; its log is told.
    ///
    /// # Errors
    ///
    /// When Init fails or takes longer.
    pub async fn initialise(self, limit: Duration, phase: InitPhase) -> Result<Environment, InitFailed> {
        let end = tokio::time::timeout(limit, self.end).await;
        let duration = self.started.elapsed().min(limit);
        let failure = match end {
            Ok(Ok(InitEnd::Ready)) => {
                *self.environment.init.lock() = Some(duration);
                return Ok(self.environment);
            }
            Ok(Ok(InitEnd::Error { error_type, payload })) => {
                InitFailure::Failed(Failure { error_type, payload })
            }
            Ok(Ok(InitEnd::Exited(reason))) => InitFailure::Exited(reason),
            // The driver was dropped: the server is shutting down and the process with it.
            Ok(Err(_)) => InitFailure::Exited(KILLED),
            Err(_) => InitFailure::TimedOut,
        };
        let peak_memory_bytes = self.environment.peak_memory_bytes();
        Err(InitFailed::new(failure, duration, phase, self.environment.log, peak_memory_bytes))
    }
}

/// Where in the life of an environment Init runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitPhase {
    /// Ahead of the first invocation.
    Init,
    /// Again, inside the first invocation, after it had failed or taken too long.
    Invoke,
}

impl InitPhase {
    const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Invoke => "invoke",
        }
    }
}

/// An Init phase that did not succeed, and the log of its environment, which is gone.
pub struct InitFailed {
    /// What went wrong.
    pub failure: InitFailure,
    /// How long it took.
    pub duration: Duration,
    log: Log,
    peak_memory_bytes: u64,
}

impl fmt::Debug for InitFailed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InitFailed").field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl InitFailed {
    fn new(
        failure: InitFailure,
        duration: Duration,
        phase: InitPhase,
        log: Log,
        peak_memory_bytes: u64,
    ) -> Self {
        log.output.end(platform_log::init_report(duration, phase.name(), &failure.status()));
        Self { failure, duration, log, peak_memory_bytes }
    }

    /// The answer to the invocation that waited for this environment, with START, END and REPORT in the log.
    #[must_use]
    pub fn outcome(self, request: RequestId) -> Outcome {
        let status = self.failure.status();
        self.log.start(request);
        let log_tail = self.log.report(request, self.duration, None, self.peak_memory_bytes, &status);
        let failure = match self.failure {
            InitFailure::Failed(failure) => failure,
            InitFailure::Exited(reason) => Failure::exit(request, reason),
            InitFailure::Entrypoint(problem) => Failure::invalid_entrypoint(request, &problem),
            InitFailure::TimedOut => Failure::timeout(request, self.log.timeout),
        };
        Outcome { payload: failure.payload, is_error: true, log_tail, duration: self.duration }
    }
}

impl InitFailure {
    fn status(&self) -> Status {
        match self {
            Self::Failed(failure) => Status::Error(failure.error_type.clone()),
            Self::Exited(reason) => Status::Error(reason.error_type().to_owned()),
            Self::Entrypoint(_) => Status::Error("Runtime.InvalidEntrypoint".to_owned()),
            Self::TimedOut => Status::Timeout,
        }
    }
}

/// Why `program` cannot be executed, in the words of AWS's supervisor, which is written in Go.
fn entrypoint_problem(function: &Function, program: &str, source: &io::Error) -> String {
    if program == BOOTSTRAP && !function.code.join("bootstrap").exists() {
        return "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".to_owned();
    }
    let problem = match source.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ if source.raw_os_error() == Some(ENOEXEC) => "exec format error".to_owned(),
        _ => source.to_string(),
    };
    format!("fork/exec {program}: {problem}")
}

/// The entry point of a custom runtime.
const BOOTSTRAP: &str = "/var/task/bootstrap";
/// Linux's error number for a file that is no program of this machine.
const ENOEXEC: i32 = 8;

/// The log of one environment, and what its reports say besides.
struct Log {
    output: Arc<Output>,
    version: String,
    memory_megabytes: u32,
    timeout: Duration,
}

impl Log {
    fn new(output: Output, function: &Function) -> Self {
        Self {
            output: Arc::new(output),
            version: function.version.clone(),
            memory_megabytes: function.memory_megabytes,
            timeout: function.timeout,
        }
    }

    fn init_start(&self, function: &Function) {
        let Interpreter { runtime, version, .. } = &*function.interpreter;
        let arn = firelet_types::runtime_version_arn(&function.scope.region, runtime);
        self.output.platform(platform_log::init_start(version, &arn));
    }

    fn start(&self, request: RequestId) {
        self.output.start(platform_log::start(request, &self.version));
    }

    /// Writes END and REPORT, and gives the end of the invocation's log.
    fn report(
        &self,
        request: RequestId,
        duration: Duration,
        init: Option<Duration>,
        peak_memory_bytes: u64,
        status: &Status,
    ) -> Bytes {
        let memory_megabytes = self.memory_megabytes;
        let report = Report { duration, init, memory_megabytes, peak_memory_bytes, status };
        self.output.end(platform_log::end_and_report(request, &report))
    }
}

impl Environment {
    /// The environment's id.
    #[must_use]
    pub fn id(&self) -> EnvironmentId {
        self.id
    }

    /// Whether the runtime waits for an event.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state.lock().is_ready()
    }

    /// Kills the guest and all its processes.
    pub fn kill(&self) {
        self.sandbox.kill();
    }

    /// The most memory that the guest held at a time.
    fn peak_memory_bytes(&self) -> u64 {
        self.sandbox.usage().peak_memory_bytes.max(self.last_peak.load(Ordering::Relaxed))
    }

    /// Has `callback` called once the runtime is free for its next event, or gone; at once where that is so.
    pub fn when_ready(&self, callback: impl FnOnce(Readiness) + Send + 'static) {
        let due = self.state.lock().when_ready(Box::new(callback));
        if let Some((callback, readiness)) = due {
            callback(readiness);
        }
    }

    /// Hands `invocation` to the function, which has its whole timeout from now.
    ///
    /// # Errors
    ///
    /// When the runtime did not take the invocation, so that another environment may.
    pub fn invoke(self: &Arc<Self>, invocation: Invocation) -> Result<Running, Undelivered> {
        if !self.is_ready() {
            return Err(Undelivered);
        }
        let request = invocation.request_id;
        self.log.start(request);
        let started = Instant::now();
        let completion = self.state.lock().invoke(invocation)?;
        let timeout = Box::pin(tokio::time::sleep(self.timeout));
        Ok(Running { environment: Arc::clone(self), request, started, completion, timeout })
    }
}

/// An invocation that the function works on.
pub struct Running {
    environment: Arc<Environment>,
    request: RequestId,
    started: Instant,
    completion: oneshot::Receiver<Completion>,
    timeout: Pin<Box<Sleep>>,
}

impl Running {
    /// The answer, once there is one or the time is over; then the guest is killed. Waiting may be broken off and
    /// taken up again, but not after the answer.
    pub async fn outcome(&mut self) -> Outcome {
        let completion = tokio::select! {
            biased;
            completion = &mut self.completion => Some(completion),
            () = &mut self.timeout => None,
        };
        let environment = &self.environment;
        let duration = self.started.elapsed().min(environment.timeout);
        let (result, status) = match completion {
            // A channel that closed without a word: the server is shutting down, and the process with it.
            Some(completion) => judge(self.request, completion.unwrap_or(Completion::Exited(KILLED))),
            None => {
                environment.sandbox.kill();
                (Err(Failure::timeout(self.request, environment.timeout)), Status::Timeout)
            }
        };
        let init = environment.init.lock().take();
        let peak = environment.peak_memory_bytes();
        let log_tail = environment.log.report(self.request, duration, init, peak, &status);
        let (payload, is_error) = match result {
            Ok(payload) => (payload, false),
            Err(failure) => (failure.payload, true),
        };
        Outcome { payload, is_error, log_tail, duration }
    }
}

/// What the caller reads, and what REPORT says. An error that the function's own code raised is a successful
/// invocation to the platform.
fn judge(request: RequestId, completion: Completion) -> (Result<Bytes, Failure>, Status) {
    match completion {
        Completion::Response(payload) => (Ok(payload), Status::Success),
        Completion::Error { error_type, payload } => (Err(Failure { error_type, payload }), Status::Success),
        Completion::ResponseTooLarge => {
            let failure = Failure::response_too_large();
            let status = Status::Error(failure.error_type.clone());
            (Err(failure), status)
        }
        Completion::Exited(reason) => {
            (Err(Failure::exit(request, reason)), Status::Error(reason.error_type().to_owned()))
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
            memory_megabytes: 128,
            ephemeral_storage_megabytes: 512,
            timeout: Duration::from_secs(3),
            variables: BTreeMap::new(),
            log_group: "/aws/lambda/f".into(),
            json_log_level: None,
        }
    }

    #[test]
    fn a_kill_for_memory_is_told_from_other_kills() {
        let killed = |out_of_memory| {
            ExitReason::from(ExitStatus { end: End::Signaled(9), out_of_memory, peak_memory_bytes: 0 })
        };
        assert_eq!(killed(true), ExitReason::OutOfMemory);
        assert_eq!(killed(false), ExitReason::Signaled(9));
    }
}
