//! `firelet serve`: opens what the server needs, in order, and runs its services.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use firelet_control::{Control, Quotas};
use firelet_gateway::{Gateway, Services};
use firelet_invoke::{Invoker, Queue};
use firelet_pool::{CodeCache, Pool};
use firelet_runtime::{Bootstraps, Catalogue, Destinations, Outside, PreparedInterpreters, Sandboxes};
use firelet_sandbox::{EnforcementStatus, item};
use firelet_store::Store;
use firelet_telemetry::{LogWriter, Logs};
use firelet_types::{Chance, Clock, Ids, SystemClock};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::configuration::NetworkArgument;
pub(crate) use crate::configuration::ServeArguments;
use crate::services::{self, Service};

/// Functions' users are host user ids from here on, far above those of people and of other containers.
pub(crate) const FIRST_USER_ID: u32 = 0x7000_0000;
/// User ids of one data directory, and so about how many environments it can have at a time.
const USER_IDS: u32 = 1 << 14;
/// Ranges of user ids that data directories are spread over, so that two servers rarely share one.
const USER_RANGES: u32 = 1 << 12;
/// When all services have done what they do first.
const SETTLED: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &ServeArguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    log_to_standard_error();
    check_listen(arguments)?;
    let destinations = arguments.destinations()?;
    let descriptors = firelet_sandbox::raise_descriptor_limit();
    let store_options = firelet_store::Options { data_directory: arguments.data_dir.clone() };
    let store = Arc::new(Store::open(&store_options).context("cannot open the data directory")?);
    let root = store.root().to_owned();
    let sandboxes = Arc::new(start_sandboxes(&root, destinations.outside())?);
    report_enforcement(&sandboxes);
    check_network(arguments, &sandboxes)?;
    report_network(arguments);
    let (logs, writer) = Logs::open(firelet_telemetry::Options::in_directory(root.join("logs")))?;
    let writing = write_logs(writer)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.threads())
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let network = network_threads(&destinations)?;
    let threads = network.as_ref().unwrap_or(&runtime).handle().clone();
    let outside = Arc::new(Outside::new(destinations, descriptors / 2, threads));
    let result = runtime.block_on(serve(arguments, started, store, sandboxes, outside, logs.clone()));
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(network) = network {
        network.shutdown_background();
    }
    logs.stop();
    if writing.join().is_err() {
        tracing::error!("the log writer failed");
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// A thread for what functions send and receive, if they may: however much it is, requests have theirs.
fn network_threads(destinations: &Destinations) -> anyhow::Result<Option<Runtime>> {
    if !destinations.are_any() {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("network")
        .on_thread_start(firelet_sandbox::give_way)
        .enable_all()
        .build();
    runtime.context("cannot start threads").map(Some)
}

async fn serve(
    arguments: &ServeArguments,
    started: Instant,
    store: Arc<Store>,
    sandboxes: Arc<Sandboxes>,
    outside: Arc<Outside>,
    logs: Logs,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!("cannot listen on {}; name another address with --listen", arguments.listen)
    })?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Arc::new(Ids::system());
    let root = store.root().to_owned();

    let quotas = arguments.quotas();
    let invocations = invocations(&quotas);
    let options = firelet_control::Options {
        clock: Arc::clone(&clock),
        ids: Arc::clone(&ids),
        quotas,
        code_source: arguments.s3.code_source()?,
    };
    let control =
        Arc::new(Control::new(Arc::clone(&store), options).context("cannot start the control plane")?);

    let runtime = firelet_runtime::Options {
        sandboxes,
        bootstraps: Arc::new(Bootstraps::in_directory(root.join("bootstraps"))),
        prepared: Arc::new(PreparedInterpreters::new(arguments.prepared_interpreters)),
        logs: logs.clone(),
        clock: Arc::clone(&clock),
        ids: Arc::clone(&ids),
        network: arguments.network.into(),
        outside,
    };
    let code = CodeCache::new(root.join("code"), Arc::clone(&store));
    let catalogue = catalogue(arguments);
    let (pool, pool_service) = Pool::new(arguments.pool(), runtime, catalogue, code, Arc::clone(&store));

    let invoker =
        Arc::new(Invoker::new(&invocations, Arc::clone(&store), pool, Arc::clone(&clock), Chance::system()));
    let (queue, queue_service) = Queue::new(
        &arguments.queue(),
        Arc::clone(&invoker),
        store,
        Arc::clone(&clock),
        Arc::clone(&ids),
        Chance::system(),
    );
    let gateway =
        Gateway::new(listener, Services { control: Arc::clone(&control), invoker, queue, logs, ids, clock });

    // In the order in which they stop: first what takes requests, last what serves it.
    let services = vec![
        Service::new("HTTP server", Duration::from_secs(6), |stop| gateway.run(stop)),
        Service::new("queue", Duration::from_secs(6), |stop| queue_service.run(stop)),
        Service::new("environment pool", Duration::from_secs(4), |stop| pool_service.run(stop)),
        Service::new("reconciler", Duration::from_secs(1), |stop| async move { control.run(stop).await }),
        Service::new("release of code", Duration::from_secs(1), release_code),
    ];
    announce(address, &root, started);
    services::run(services, stop_signal()?).await
}

/// Gives back the code that only a start runs, once that is over.
async fn release_code(stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        () = tokio::time::sleep(SETTLED) => firelet_sandbox::release_code(),
    }
    stop.cancelled().await;
}

/// What bounds invocations.
const fn invocations(quotas: &Quotas) -> firelet_invoke::Options {
    firelet_invoke::Options {
        concurrent_executions: quotas.concurrent_executions,
        scaling: firelet_invoke::ScalingOptions {
            function: quotas.function_scaling,
            account_burst: quotas.account_scaling_burst,
            account_minute: quotas.account_scaling_minute,
        },
    }
}

/// The one line on standard output: where the server is, for people and for scripts that wait for it.
fn announce(address: std::net::SocketAddr, root: &Path, started: Instant) {
    let took = started.elapsed().as_millis();
    anstream::println!("firelet serves http://{address} from {} (ready in {took} ms)", root.display());
}

pub(crate) fn catalogue(arguments: &ServeArguments) -> Catalogue {
    let home = std::env::var_os("HOME").map(Into::into);
    Catalogue::new(arguments.runtimes(), std::env::var_os("PATH").unwrap_or_default(), home)
}

fn log_to_standard_error() {
    let filter = EnvFilter::try_from_env("FIRELET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
}

/// Says what the host's network means for functions.
fn report_network(arguments: &ServeArguments) {
    if arguments.network == NetworkArgument::Host {
        tracing::warn!(
            "functions share the host's network: they reach what the host reaches, this server and each other; for \
             development only"
        );
    }
}

fn check_listen(arguments: &ServeArguments) -> anyhow::Result<()> {
    let address = arguments.listen;
    if !address.ip().is_loopback() {
        if !arguments.insecure_listen_beyond_loopback {
            bail!(
                "{address} can be reached from other machines, and signatures are not verified yet; listen on \
                 127.0.0.1, or add --insecure-listen-beyond-loopback if everyone who reaches the port may run code here"
            );
        }
        tracing::warn!(%address, "insecure: everyone who reaches this port can run code on this machine");
    }
    Ok(())
}

/// Starts the sandbox helper for the data directory, which this process holds the lock of.
fn start_sandboxes(root: &Path, outside: firelet_sandbox::Outside) -> anyhow::Result<Sandboxes> {
    let scratch = root.join("sandbox");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let instance: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let range = u32::from(u16::from_be_bytes([digest[0], digest[1]])) % USER_RANGES;
    let options = firelet_sandbox::Options {
        instance,
        scratch,
        first_user_id: FIRST_USER_ID + range * USER_IDS,
        user_id_count: USER_IDS,
        outside,
    };
    Sandboxes::start(options).map_err(|error| {
        let remedy = error.remedy();
        let error = anyhow::Error::new(error).context("cannot make sandboxes on this host");
        match remedy {
            Some(remedy) => error.context(remedy),
            None => error,
        }
    })
}

/// Does not start a server whose functions would lack the network that they were to have.
fn check_network(arguments: &ServeArguments, sandboxes: &Sandboxes) -> anyhow::Result<()> {
    let enforcement = sandboxes.enforcement();
    let Some(EnforcementStatus::NotEnforced { why, remedy }) = enforcement.status(item::OUTSIDE) else {
        return Ok(());
    };
    let what = if arguments.network == NetworkArgument::Nat { "--network nat" } else { "--allow-host" };
    bail!("{what} is not possible here: {why}; {remedy}")
}

/// Says at start-up what is not enforced here, a line each.
fn report_enforcement(sandboxes: &Sandboxes) {
    for item in &sandboxes.enforcement().items {
        match &item.status {
            EnforcementStatus::Enforced => {}
            EnforcementStatus::Limited(why) => tracing::warn!("sandbox: {} is limited: {why}", item.name),
            EnforcementStatus::NotEnforced { why, remedy } => {
                tracing::warn!("sandbox: {} is not enforced: {why}; {remedy}", item.name);
            }
        }
    }
}

fn write_logs(writer: LogWriter) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("log-writer".to_owned());
    thread.spawn(move || writer.run()).context("cannot start the log writer")
}

/// Done when the operator or the terminal asks the server to stop.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
    })
}
