//! From a function to a running guest: its log, its state, its sandbox, and why it may not start.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use firelet_sandbox::{Network, Sandbox, Spec};
use firelet_telemetry::{LogGroup, LogStream};
use firelet_types::{CredentialsToken, EnvironmentId, FunctionName, Timestamp};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::guest::{Cage, Guest, Life};
use super::init::{InitFailed, InitFailure, InitPhase, Starting};
use super::log::Log;
use super::plan::Plan;
use super::restore::{Capturing, RestoreFailed, RestoreFailure, Restoring};
use super::{Environment, Function, InitializationType, Options};
use crate::application_log::Filter;
use crate::bootstrap;
use crate::credentials_api::Credentials;
use crate::extensions_api::Registrant;
use crate::failure::Unlaunched;
use crate::guest_api::Shared;
use crate::output::{Destination, Output};
use crate::platform_log::event::Extension;
use crate::platform_log::{Format, Level};
use crate::sandboxes::Sandboxes;
use crate::snapshot::Snapshot;
use crate::state::{Beginning, State};
use crate::telemetry::Telemetry;
use crate::variables::{self, Place};

/// Where a guest in a network namespace of its own finds the Runtime API.
const RUNTIME_API: &str = "127.0.0.1:9001";

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
    /// A program of the function's cannot be executed; the caller gets its answer.
    #[error("a program of the function cannot be executed")]
    Unlaunched(InitFailed),
    /// A program of the function's cannot be executed where it would start from a snapshot.
    #[error("a program of the function cannot be executed")]
    Unrestored(RestoreFailed),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Stopped,
}

/// Launches a sandbox for `function` and starts its runtime; `phase` says where in its life.
///
/// The future that comes with it drives the guest for as long as the environment is there, and has to be polled all the
/// while.
///
/// # Errors
///
/// When the sandbox cannot be made; see [`StartError`].
pub async fn start(
    options: &Options,
    function: &Function,
    phase: InitPhase,
) -> Result<(Starting, impl Future<Output = ()> + Send + use<>), StartError> {
    launch(options, function, &Start::Init(phase)).await
}

/// The same for an environment whose state is to be kept, for others to start from.
///
/// # Errors
///
/// As [`start`].
pub async fn start_for_snapshot(
    options: &Options,
    function: &Function,
) -> Result<(Capturing, impl Future<Output = ()> + Send + use<>), StartError> {
    let function = function.with_snapshots();
    let token = CredentialsToken::new(&options.ids);
    let (starting, driver) = launch(options, &function, &Start::ForSnapshot(token)).await?;
    // Each environment finds its Runtime API at another port then.
    let obstacle = (options.network == Network::Host).then_some("it has the host's network");
    Ok((Capturing { starting, token, obstacle }, driver))
}

/// The same for an environment that starts from `snapshot`, which was made of the very same function.
///
/// # Errors
///
/// When the sandbox cannot be made; see [`StartError`].
pub async fn restore(
    options: &Options,
    function: &Function,
    snapshot: &Snapshot,
) -> Result<(Restoring, impl Future<Output = ()> + Send + use<>), StartError> {
    let function = function.with_snapshots();
    let (starting, driver) = launch(options, &function, &Start::From(snapshot)).await?;
    Ok((Restoring(starting), driver))
}

impl Function {
    fn with_snapshots(&self) -> Self {
        Self { initialization: InitializationType::SnapStart, ..self.clone() }
    }
}

/// How an environment starts.
enum Start<'a> {
    Init(InitPhase),
    /// With what its function and those that start from its state ask for credentials with.
    ForSnapshot(CredentialsToken),
    From(&'a Snapshot),
}

impl Start<'_> {
    const fn beginning(&self) -> Beginning {
        match self {
            Self::Init(_) => Beginning::Init,
            Self::ForSnapshot(_) => Beginning::Snapshot,
            Self::From(_) => Beginning::Restore,
        }
    }

    const fn phase(&self) -> InitPhase {
        match self {
            Self::Init(phase) => *phase,
            Self::ForSnapshot(_) | Self::From(_) => InitPhase::Init,
        }
    }

    fn token(&self) -> Option<CredentialsToken> {
        match self {
            Self::Init(_) => None,
            Self::ForSnapshot(token) => Some(*token),
            Self::From(snapshot) => Some(snapshot.token()),
        }
    }

    fn snapshot(&self) -> Option<Snapshot> {
        match self {
            Self::Init(_) | Self::ForSnapshot(_) => None,
            Self::From(snapshot) => Some((*snapshot).clone()),
        }
    }

    /// Whether an interpreter that was started ahead will do. One that was forked cannot be kept.
    const fn takes_prepared(&self) -> bool {
        !matches!(self, Self::ForSnapshot(_))
    }

    /// Tells the log that it starts.
    fn tell(&self, log: &Log) {
        match self {
            Self::Init(_) | Self::ForSnapshot(_) => log.init_start(self.phase()),
            Self::From(_) => log.restore_start(),
        }
    }

    /// Tells the log that it cannot, because of `problem`.
    fn unlaunched(
        &self,
        problem: Unlaunched,
        duration: Duration,
        log: &Arc<Log>,
        extensions: Vec<Extension>,
    ) -> StartError {
        self.tell(log);
        let failure = InitFailure::Unlaunched(problem);
        match self {
            Self::Init(_) | Self::ForSnapshot(_) => {
                let log = Arc::clone(log);
                StartError::Unlaunched(InitFailed::new(failure, duration, self.phase(), log, extensions))
            }
            Self::From(_) => {
                StartError::Unrestored(RestoreFailed::new(RestoreFailure::Init(failure), duration, log))
            }
        }
    }
}

async fn launch(
    options: &Options,
    function: &Function,
    start: &Start<'_>,
) -> Result<(Starting, impl Future<Output = ()> + Send + use<>), StartError> {
    let Draft { id, host_listener, plan, log } = Draft::new(options, function, start).await?;
    let started = Instant::now();
    let (end_sender, end) = oneshot::channel();
    let state = Arc::new(Mutex::new(State::new(start.beginning(), end_sender)));
    let unlaunched = |problem: Unlaunched| {
        let extensions = state.lock().extensions();
        start.unlaunched(problem, started.elapsed(), &log, extensions)
    };
    let expected = plan.expect_extensions(&mut state.lock());
    expected.map_err(&unlaunched)?;
    let (sandboxes, spec, snapshot) = (Arc::clone(&options.sandboxes), plan.spec(), start.snapshot());
    let launched = tokio::task::spawn_blocking(move || make(&sandboxes, &spec, snapshot.as_ref())).await;
    let sandbox = match launched.map_err(|_| StartError::Stopped)? {
        Ok(sandbox) => sandbox,
        Err(firelet_sandbox::Error::Execute { program, source }) => {
            let problem = plan.unlaunched(&plan.first(), &program, &source, &mut state.lock());
            return Err(unlaunched(problem));
        }
        Err(source) => return Err(StartError::Launch { function: function.name.clone(), source }),
    };
    start.tell(&log);
    let shared = Shared {
        state: Arc::clone(&state),
        registrant: registrant(function),
        ids: Arc::clone(&options.ids),
        output: Arc::clone(&log.output),
        credentials: start.token().map(|token| credentials(options, function, token)),
    };
    let (life, sandbox) = Life::new(sandbox, plan.first()).map_err(|(step, source)| StartError::Wire {
        step,
        function: function.name.clone(),
        source,
    })?;
    let cage = Arc::new(Mutex::new(Cage { sandbox, is_frozen: false }));
    let (orders, received) = mpsc::unbounded_channel();
    let last_peak = Arc::new(AtomicU64::new(0));
    let guest = Guest {
        function: function.name.clone(),
        shared: Arc::new(shared),
        cage: Arc::clone(&cage),
        host_listener,
        outside: Arc::clone(&options.outside),
        clock: Arc::clone(&options.clock),
        last_peak: Arc::clone(&last_peak),
        plan: Arc::new(plan),
        orders: received,
    };
    let environment = Environment {
        id,
        state,
        cage,
        orders,
        last_peak,
        log,
        timeout: function.timeout,
        initialization: function.initialization,
        has_extensions: AtomicBool::new(false),
        ledger: Mutex::default(),
    };
    let starting = Starting { environment: Arc::new(environment), end, started, phase: start.phase() };
    Ok((starting, guest.drive(life)))
}

/// An environment that has no sandbox yet.
struct Draft {
    id: EnvironmentId,
    host_listener: Option<TcpListener>,
    plan: Plan,
    log: Arc<Log>,
}

impl Draft {
    async fn new(options: &Options, function: &Function, start: &Start<'_>) -> Result<Self, StartError> {
        let id = EnvironmentId::new(&options.ids);
        let stream_name = stream_name(function, id, options.clock.now());
        let (host_listener, address) = match host_listener(options, function).await? {
            Some((listener, address)) => (Some(listener), address.to_string()),
            None => (None, RUNTIME_API.to_owned()),
        };
        let bootstrap = options.bootstraps.prepare(&function.interpreter).await.map_err(|source| {
            StartError::Bootstrap { runtime: function.interpreter.runtime.clone(), source }
        })?;
        let place = Place { log_stream: &stream_name, runtime_api: &address, token: start.token() };
        let variables = variables::variables(function, &place);
        let template = options.prepared.template_for(&function.interpreter, &variables);
        let template = template.filter(|_| start.takes_prepared());
        let plan =
            Plan::new(function, id.simple(), &bootstrap, variables, options.network).with_template(template);
        let group = LogGroup { scope: function.scope.clone(), name: function.log_group.clone() };
        let destination = log_destination(options, function, options.logs.stream(group, stream_name));
        let log = Arc::new(Log::new(Output::new(destination), Arc::clone(&options.clock), function));
        Ok(Self { id, host_listener, plan, log })
    }
}

/// Makes a sandbox for the process of `snapshot`, if it has one that can go on there; or else for the program of `spec`. Blocks.
fn make(
    sandboxes: &Sandboxes,
    spec: &Spec,
    snapshot: Option<&Snapshot>,
) -> Result<Sandbox, firelet_sandbox::Error> {
    if let Some(snapshot) = snapshot
        && let Some(process) = snapshot.process()
    {
        let spec = Spec { snapshot: Some(process), template: None, ..spec.clone() };
        match sandboxes.launch(&spec) {
            Ok(sandbox) => {
                snapshot.tried(true);
                return Ok(sandbox);
            }
            Err(error) => {
                let is_given_up = snapshot.tried(false);
                tracing::warn!(
                    id = spec.id, %error, is_given_up,
                    "the process of a snapshot cannot go on; Init is run anew"
                );
            }
        }
    }
    sandboxes.launch(spec)
}

fn credentials(options: &Options, function: &Function, token: CredentialsToken) -> Credentials {
    let (account, clock) = (function.scope.account.clone(), Arc::clone(&options.clock));
    Credentials { token, account, clock }
}

fn log_destination(options: &Options, function: &Function, stream: LogStream) -> Destination {
    let json = function.json_logging.as_ref();
    let level = json.map(|json| Level::of_configuration(&json.system_level));
    Destination {
        stream,
        clock: Arc::clone(&options.clock),
        format: level.map_or(Format::Text, Format::Json),
        telemetry: Arc::new(Telemetry::new(Arc::clone(&options.clock), level.is_some())),
        filter: json.and_then(|json| Filter::of_configuration(&json.application_level)),
    }
}

fn registrant(function: &Function) -> Registrant {
    Registrant {
        account: function.scope.account.clone(),
        function: function.name.to_string(),
        version: function.version.clone(),
        handler: function.handler.clone(),
    }
}

/// `2026/11/23/[$LATEST]ID`; in a log group that is not the function's own, with the function's name.
fn stream_name(function: &Function, id: EnvironmentId, now: Timestamp) -> String {
    let is_own_group = function.log_group.strip_prefix("/aws/lambda/") == Some(function.name.as_str());
    let name = if is_own_group { "" } else { function.name.as_str() };
    format!("{}/{name}[{}]{}", now.date_path(), function.version, id.simple())
}

/// With the host's network there is no namespace to hold port 9001: each environment gets a port of its own.
async fn host_listener(
    options: &Options,
    function: &Function,
) -> Result<Option<(TcpListener, SocketAddr)>, StartError> {
    if options.network != Network::Host {
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
