//! From a function to a running guest: the sandbox's specification, its descriptors, and why it may not start.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use firelet_sandbox::{Cpu, Mount, Network, Spec};
use firelet_telemetry::{LogGroup, LogStream};
use firelet_types::{EnvironmentId, FunctionName, Timestamp};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::guest::Guest;
use super::init::{InitFailed, InitFailure, InitPhase, Starting};
use super::log::Log;
use super::{Environment, Function, Options};
use crate::application_log::Filter;
use crate::bootstrap;
use crate::extensions_api::Registrant;
use crate::guest_api::Shared;
use crate::output::{Destination, Output};
use crate::outside;
use crate::platform_log::{Format, Level};
use crate::prepared;
use crate::sandboxes::PROCESSES;
use crate::state::State;
use crate::telemetry::{Connector, Telemetry};
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
    /// The function's own program cannot be executed; the caller gets its answer.
    #[error("the function's entry point cannot be executed")]
    Entrypoint(InitFailed),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Stopped,
}

/// Launches a sandbox for `function` and starts its runtime; `phase` says where in its life.
///
/// The future that comes with it serves the guest until its process ends, and has to be polled all the while.
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
    let variables = variables::variables(function, &stream_name, &address);
    let spec = spec(options, function, id, variables).await?;
    let sandboxes = Arc::clone(&options.sandboxes);
    let group = LogGroup { scope: function.scope.clone(), name: function.log_group.clone() };
    let log = log_destination(options, function, options.logs.stream(group, stream_name));
    let started = Instant::now();
    let launched = tokio::task::spawn_blocking(move || sandboxes.launch(&spec)).await;
    let mut sandbox = match launched.map_err(|_| StartError::Stopped)? {
        Ok(sandbox) => sandbox,
        Err(firelet_sandbox::Error::Execute { program, source }) => {
            let log = Log::new(Output::without_guest(log), Arc::clone(&options.clock), function);
            log.init_start(function, phase);
            let failure = InitFailure::Entrypoint(entrypoint_problem(function, &program, &source));
            return Err(StartError::Entrypoint(InitFailed::new(
                failure,
                started.elapsed(),
                phase,
                log,
                0,
                Vec::new(),
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
    let output = Output::new(sandbox.take_output(), log);
    let exit = pipe::Receiver::from_owned_fd(sandbox.take_exit()).map_err(wire("watch the process"))?;

    let (end_sender, end) = oneshot::channel();
    let state = Arc::new(Mutex::new(State::new(end_sender)));
    let ways = sandbox.take_ways();
    let sandbox = Arc::new(sandbox);
    let log = Log::new(output, Arc::clone(&options.clock), function);
    log.init_start(function, phase);
    let last_peak = Arc::new(AtomicU64::new(0));
    let shared = Shared {
        state: Arc::clone(&state),
        registrant: registrant(function),
        ids: Arc::clone(&options.ids),
        output: Arc::clone(&log.output),
    };
    let connector = match options.network {
        Network::Host => Connector::Host,
        Network::Isolated | Network::Nat => Connector::Sandbox(Arc::downgrade(&sandbox)),
    };
    let guest = Guest {
        shared: Arc::new(shared),
        output: Arc::clone(&log.output),
        connector,
        last_peak: Arc::clone(&last_peak),
    };
    let driver = outside::serve_during(ways, Arc::clone(&options.outside), guest.drive(listener, exit));
    let environment = Environment {
        id,
        state,
        sandbox,
        last_peak,
        log,
        timeout: function.timeout,
        initialization: function.initialization,
        has_extensions: false,
        init: Mutex::new(None),
        spent: Mutex::default(),
        finished: Mutex::new(None),
        frozen: Arc::default(),
    };
    Ok((Starting { environment, end, started, phase }, driver))
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
    mounts.extend(function.layers.iter().map(|layers| mount(layers, "/opt")));
    mounts.extend(prepared::mounts(interpreter, &bootstrap));
    let template = options.prepared.template_for(interpreter, &environment);
    Ok(Spec {
        id: id.simple(),
        argv: arguments(function, &bootstrap.argv),
        environment,
        working_directory: "/var/task".into(),
        mounts,
        memory_bytes: u64::from(function.memory_megabytes) << 20,
        tmp_bytes: u64::from(function.ephemeral_storage_megabytes) << 20,
        cpu: Cpu::for_memory(function.memory_megabytes),
        processes: PROCESSES,
        network: options.network,
        template,
    })
}

/// The program and its arguments. A custom runtime may come with the layers instead of the function.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>.
fn arguments(function: &Function, bootstrap: &[String]) -> Vec<OsString> {
    let has_own = function.code.join("bootstrap").exists();
    let of_layers = function.layers.as_ref().is_some_and(|layers| layers.join("bootstrap").exists());
    match bootstrap {
        [program, rest @ ..] if program == BOOTSTRAP && !has_own && of_layers => {
            std::iter::once(LAYER_BOOTSTRAP).chain(rest.iter().map(String::as_str)).map(Into::into).collect()
        }
        other => other.iter().map(Into::into).collect(),
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
/// The entry point of a custom runtime that comes with the layers.
const LAYER_BOOTSTRAP: &str = "/opt/bootstrap";
/// Linux's error number for a file that is no program of this machine.
const ENOEXEC: i32 = 8;
