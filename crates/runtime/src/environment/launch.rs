//! From a function to a running guest: its log, its state, its sandbox, and why it may not start.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use firelet_sandbox::Network;
use firelet_telemetry::{LogGroup, LogStream};
use firelet_types::{EnvironmentId, FunctionName, Timestamp};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::guest::{Cage, Guest, Life};
use super::init::{InitFailed, InitFailure, InitPhase, Starting};
use super::log::Log;
use super::plan::Plan;
use super::{Environment, Function, Options};
use crate::application_log::Filter;
use crate::bootstrap;
use crate::extensions_api::Registrant;
use crate::failure::Unlaunched;
use crate::guest_api::Shared;
use crate::output::{Destination, Output};
use crate::platform_log::{Format, Level};
use crate::state::State;
use crate::telemetry::Telemetry;
use crate::variables;

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
    let id = EnvironmentId::new(&options.ids);
    let stream_name = stream_name(function, id, options.clock.now());
    let host_listener = host_listener(options, function).await?;
    let address = match &host_listener {
        Some((_, address)) => address.to_string(),
        None => RUNTIME_API.to_owned(),
    };
    let bootstrap = options
        .bootstraps
        .prepare(&function.interpreter)
        .await
        .map_err(|source| StartError::Bootstrap { runtime: function.interpreter.runtime.clone(), source })?;
    let variables = variables::variables(function, &stream_name, &address);
    let template = options.prepared.template_for(&function.interpreter, &variables);
    let plan =
        Plan::new(function, id.simple(), &bootstrap, variables, options.network).with_template(template);
    let group = LogGroup { scope: function.scope.clone(), name: function.log_group.clone() };
    let destination = log_destination(options, function, options.logs.stream(group, stream_name));
    let log = Arc::new(Log::new(Output::new(destination), Arc::clone(&options.clock), function));
    let started = Instant::now();
    let (end_sender, end) = oneshot::channel();
    let state = Arc::new(Mutex::new(State::new(end_sender)));
    let unlaunched = |problem: Unlaunched| {
        let extensions = state.lock().extensions();
        log.init_start(phase);
        let failure = InitFailure::Unlaunched(problem);
        let failed = InitFailed::new(failure, started.elapsed(), phase, Arc::clone(&log), extensions);
        StartError::Unlaunched(failed)
    };
    let expected = plan.expect_extensions(&mut state.lock());
    expected.map_err(&unlaunched)?;
    let (sandboxes, spec) = (Arc::clone(&options.sandboxes), plan.spec());
    let launched = tokio::task::spawn_blocking(move || sandboxes.launch(&spec)).await;
    let sandbox = match launched.map_err(|_| StartError::Stopped)? {
        Ok(sandbox) => sandbox,
        Err(firelet_sandbox::Error::Execute { program, source }) => {
            let problem = plan.unlaunched(&plan.first(), &program, &source, &mut state.lock());
            return Err(unlaunched(problem));
        }
        Err(source) => return Err(StartError::Launch { function: function.name.clone(), source }),
    };
    log.init_start(phase);
    let shared = Shared {
        state: Arc::clone(&state),
        registrant: registrant(function),
        ids: Arc::clone(&options.ids),
        output: Arc::clone(&log.output),
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
        host_listener: host_listener.map(|(listener, _)| listener),
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
    let starting = Starting { environment: Arc::new(environment), end, started, phase };
    Ok((starting, guest.drive(life)))
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
