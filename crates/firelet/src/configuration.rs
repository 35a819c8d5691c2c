//! Settings of the server, from the command line and the environment.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use firelet_control::code_source::{CodeSource, CodeSourceOptions, Credentials};
use firelet_control::{Quota, Quotas};
use firelet_pool::MemoryReserve;
use firelet_runtime::{AllowedHost, Destinations};

/// What `firelet serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The folder for functions, their code and their logs; made if it is missing.
    #[arg(long, value_name = "DIR", env = "FIRELET_DATA_DIR", default_value = "./firelet-data")]
    pub(crate) data_dir: PathBuf,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", env = "FIRELET_LISTEN", default_value = "127.0.0.1:4566")]
    pub(crate) listen: SocketAddr,
    /// Listen beyond loopback although signatures are not verified yet: whoever reaches the port can run code here.
    #[arg(long)]
    pub(crate) insecure_listen_beyond_loopback: bool,
    /// The network of functions.
    #[arg(long, value_enum, env = "FIRELET_NETWORK", default_value_t = NetworkArgument::Isolated)]
    pub(crate) network: NetworkArgument,
    /// What functions with a network of their own may connect to although they would not: HOST:PORT, such as
    /// `127.0.0.1:5432` for a database of this machine, which functions then find at that very address. With the network
    /// `nat` a network and `*` are possible too: `10.1.0.0/16:*`. May be given several times, or several with commas between.
    #[arg(long, value_name = "HOST:PORT", env = "FIRELET_ALLOW_HOST", value_delimiter = ',')]
    pub(crate) allow_host: Vec<AllowedHost>,
    /// The program that serves a runtime, in place of the one firelet finds. May be given several times.
    #[arg(long, value_name = "RUNTIME=PROGRAM", value_parser = runtime)]
    pub(crate) runtime: Vec<(String, PathBuf)>,
    /// What each account may use in a Region, in place of what AWS allows: `concurrent-executions=50`,
    /// `functions=1000`, `code-storage-bytes=unlimited` and others. May be given several times, or several with commas
    /// between.
    #[arg(long, value_name = "NAME=VALUE", env = "FIRELET_QUOTAS", value_delimiter = ',')]
    pub(crate) quota: Vec<Quota>,
    /// Seconds before an asynchronous invocation whose function failed is tried again; the second time it is twice as
    /// long.
    #[arg(long, value_name = "SECONDS", env = "FIRELET_ASYNC_RETRY_SECONDS", default_value_t = 60)]
    pub(crate) async_retry_seconds: u32,
    /// Seconds after which an execution environment without work is ended.
    #[arg(long, value_name = "SECONDS", env = "FIRELET_IDLE_SECONDS", default_value_t = 300)]
    pub(crate) idle_seconds: u64,
    /// Execution environments kept without work; beyond that those idle longest are ended.
    #[arg(long, value_name = "COUNT", env = "FIRELET_IDLE_ENVIRONMENTS", default_value_t = 256)]
    pub(crate) idle_environments: usize,
    /// Memory that is kept free, in MB or as a part of all (`5%`): when there is less, or everything stands still for want of it,
    /// execution environments without work are ended, those idle longest first, and then snapshots are dropped; 0 turns that off.
    #[arg(long, value_name = "AMOUNT", env = "FIRELET_MEMORY_RESERVE", default_value = "5%", value_parser = memory_reserve)]
    pub(crate) memory_reserve: MemoryReserve,
    /// Interpreters of each runtime in use that are started ahead and wait for a function, so that cold starts take
    /// milliseconds; 0 saves their memory.
    #[arg(long, value_name = "COUNT", env = "FIRELET_PREPARED_INTERPRETERS", default_value_t = 2)]
    pub(crate) prepared_interpreters: usize,
    /// Threads that serve requests; as many as half the processors, unless given. Functions need the others.
    #[arg(long, value_name = "COUNT", env = "FIRELET_THREADS")]
    pub(crate) threads: Option<NonZero<usize>>,
    /// Microseconds that a thread stays awake for what an invocation brings next, which makes warm invocations a third
    /// faster; 0 saves the processor time. 150, unless given, where there is more than one processor.
    #[arg(long, value_name = "MICROSECONDS", env = "FIRELET_BUSY_POLL")]
    pub(crate) busy_poll: Option<u32>,
    /// Milliseconds without work after which the processes of an environment stand still until its next invocation, as on
    /// AWS; 0 stops them within 10 milliseconds.
    #[arg(long, value_name = "MILLISECONDS", env = "FIRELET_FREEZE_AFTER", default_value_t = 100)]
    pub(crate) freeze_after: u64,
    /// Memory for the snapshots that versions with SnapStart start from, in MB: beyond that those used longest ago are
    /// dropped, and made again when they are needed.
    #[arg(long, value_name = "MB", env = "FIRELET_SNAPSHOT_MEMORY", default_value_t = 512)]
    pub(crate) snapshot_memory: u32,
    #[command(flatten)]
    pub(crate) s3: S3Arguments,
}

/// Where code in S3 comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Code from S3")]
pub(crate) struct S3Arguments {
    /// The S3-compatible service that S3Bucket and S3Key of a request name objects in.
    #[arg(long, value_name = "URL", env = "FIRELET_S3_ENDPOINT")]
    pub(crate) s3_endpoint: Option<String>,
    /// The Region that requests to it are signed for.
    #[arg(long, value_name = "REGION", env = "FIRELET_S3_REGION", default_value = "us-east-1")]
    pub(crate) s3_region: String,
    /// The access key id for it; requests are not signed without one.
    #[arg(long, value_name = "ID", env = "FIRELET_S3_ACCESS_KEY_ID", hide_env_values = true)]
    pub(crate) s3_access_key_id: Option<String>,
    /// The secret access key; best given through the environment.
    #[arg(long, value_name = "SECRET", env = "FIRELET_S3_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub(crate) s3_secret_access_key: Option<String>,
}

/// The network of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkArgument {
    /// Loopback only, a network of its own for each execution environment.
    Isolated,
    /// Outbound through the host: connections to public addresses, and the host's name servers. Not to the host itself, its
    /// private networks, other functions, or metadata services.
    Nat,
    /// The host's network. For development: functions reach whatever the host reaches.
    Host,
}

/// A little more than a small function takes for an event.
const BUSY_POLL_MICROSECONDS: u32 = 150;

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn runtime(text: &str) -> Result<(String, PathBuf), String> {
    let (runtime, program) = text.split_once('=').ok_or("write it as RUNTIME=PROGRAM")?;
    let program = PathBuf::from(program);
    if !program.is_file() {
        return Err(format!("there is no program {}", program.display()));
    }
    Ok((runtime.to_owned(), program))
}

fn memory_reserve(text: &str) -> Result<MemoryReserve, &'static str> {
    let reserve = match text.strip_suffix('%') {
        Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(MemoryReserve::Percent),
        None => text
            .parse()
            .ok()
            .and_then(|megabytes: u64| megabytes.checked_mul(1 << 20))
            .map(MemoryReserve::Bytes),
    };
    reserve.ok_or("give it in MB, or as a percentage such as 5%")
}

impl ServeArguments {
    pub(crate) fn pool(&self) -> firelet_pool::Options {
        firelet_pool::Options {
            idle_lifetime: Duration::from_secs(self.idle_seconds),
            idle_environments: self.idle_environments,
            memory_reserve: self.memory_reserve,
            busy_poll: Duration::from_micros(self.busy_poll().into()),
            freeze_after: Duration::from_millis(self.freeze_after),
            snapshot_memory: u64::from(self.snapshot_memory) << 20,
            processors: processors(),
        }
    }

    pub(crate) fn queue(&self) -> firelet_invoke::QueueOptions {
        firelet_invoke::QueueOptions { first_retry: Duration::from_secs(self.async_retry_seconds.into()) }
    }

    /// A second thread on two processors costs more in waking than it brings: measured with `cargo xtask bench`.
    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or((processors() / 2).max(1), NonZero::get)
    }

    /// On a single processor, what is waited for cannot come while the server has it.
    fn busy_poll(&self) -> u32 {
        self.busy_poll.unwrap_or(if processors() > 1 { BUSY_POLL_MICROSECONDS } else { 0 })
    }

    pub(crate) fn quotas(&self) -> Quotas {
        let mut quotas = Quotas::default();
        for quota in &self.quota {
            quotas.set(*quota);
        }
        quotas
    }

    /// Where functions may connect to.
    pub(crate) fn destinations(&self) -> anyhow::Result<Destinations> {
        Destinations::new(self.network.into(), self.allow_host.clone()).context("--allow-host")
    }

    pub(crate) fn runtimes(&self) -> HashMap<String, PathBuf> {
        self.runtime.iter().cloned().collect()
    }
}

impl S3Arguments {
    /// The store that code may come from, if one is configured.
    pub(crate) fn code_source(&self) -> anyhow::Result<Option<CodeSource>> {
        let Some(endpoint) = self.s3_endpoint.clone() else { return Ok(None) };
        let credentials = match (&self.s3_access_key_id, &self.s3_secret_access_key) {
            (Some(access_key_id), Some(secret_access_key)) => Some(Credentials {
                access_key_id: access_key_id.clone(),
                secret_access_key: secret_access_key.clone(),
                session_token: None,
            }),
            (None, None) => None,
            _ => bail!("--s3-access-key-id and --s3-secret-access-key go together; give both or neither"),
        };
        let region = self.s3_region.parse().context("--s3-region")?;
        let options = CodeSourceOptions { endpoint, region, credentials };
        Ok(Some(CodeSource::new(options).context("--s3-endpoint")?))
    }
}

impl From<NetworkArgument> for firelet_sandbox::Network {
    fn from(argument: NetworkArgument) -> Self {
        match argument {
            NetworkArgument::Isolated => Self::Isolated,
            NetworkArgument::Nat => Self::Nat,
            NetworkArgument::Host => Self::Host,
        }
    }
}
