//! A firelet server under measurement: started, deployed to, asked for its memory, stopped.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{self, Connection};
use super::functions::Language;
use super::machine::{field, kilobytes};

/// A full virtual CPU, so that a function's share of the CPU is not what is measured.
const MEMORY_MEGABYTES: u32 = 1_769;
const TIMEOUT_SECONDS: u32 = 30;
const FUNCTIONS: &str = "/2015-03-31/functions";
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(1);
/// Seldom, for the helper makes sandboxes ahead while it is left alone.
const STOCK_POLL: Duration = Duration::from_millis(20);
/// Far below the start-up times that are told apart.
const HEALTH_POLL: Duration = Duration::from_micros(200);

/// A running server on a data directory of its own; dropping it ends the server.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
    /// From just before the spawn until the server answered that it is healthy.
    pub(crate) start_up: Duration,
}

/// What a server and its helper processes hold in memory.
pub(crate) struct Memory {
    pub(crate) server_kilobytes: u64,
    pub(crate) helpers_kilobytes: u64,
}

impl Server {
    /// Starts `binary` on an empty data directory.
    pub(crate) fn start(binary: &Path) -> anyhow::Result<Self> {
        Self::start_with(binary, &[])
    }

    /// The same with further arguments of `firelet serve`.
    pub(crate) fn start_with(binary: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("firelet-bench-").tempdir().context("make a data directory")?;
        let log = File::create(directory.path().join("server.log")).context("create the server's log")?;
        let address = free_address()?;
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", &address.to_string(), "--data-dir"]);
        command.arg(directory.path().join("data")).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("start {}", binary.display()))?;
        let mut server = Self { child, address, directory, start_up: Duration::ZERO };
        while !is_healthy(address)? {
            ensure!(started.elapsed() < PATIENCE, "firelet did not answer in {PATIENCE:?}\n{}", server.log());
            if let Some(status) = server.child.try_wait().context("look after firelet")? {
                bail!("firelet ended with {status}\n{}", server.log());
            }
            thread::sleep(HEALTH_POLL);
        }
        server.start_up = started.elapsed();
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Creates a function and waits until it is active. `number` makes its code unlike that of all others.
    pub(crate) async fn deploy(&self, name: &str, language: &Language, number: usize) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.address).await?;
        let create = creation(name, language, number)?;
        connection.exchange(&create).await?.check().with_context(|| format!("create {name}"))?;
        self.await_active(name).await
    }

    /// Publishes a version of a function and waits until it is active, which those that start from a snapshot are when
    /// that has been made. Gives the name that it is invoked by.
    pub(crate) async fn publish(&self, name: &str) -> anyhow::Result<String> {
        let mut connection = Connection::open(self.address).await?;
        let publish = client::request("POST", &format!("{FUNCTIONS}/{name}/versions"), &[], b"{}");
        let answer = connection.exchange(&publish).await?;
        answer.check().with_context(|| format!("publish {name}"))?;
        let version: Value = serde_json::from_slice(answer.body).context("read PublishVersion")?;
        let version = version["Version"].as_str().context("the version has no number")?;
        let qualified = format!("{name}:{version}");
        self.await_active(&qualified).await?;
        Ok(qualified)
    }

    /// Waits until a function, or a version of one, can be invoked.
    pub(crate) async fn await_active(&self, name: &str) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.address).await?;
        let get = client::request("GET", &format!("{FUNCTIONS}/{name}"), &[], b"");
        let started = Instant::now();
        loop {
            let answer = connection.exchange(&get).await?;
            answer.check().with_context(|| format!("get {name}"))?;
            let function: Value = serde_json::from_slice(answer.body).context("read GetFunction")?;
            match function["Configuration"]["State"].as_str() {
                Some("Active") => return Ok(()),
                state => ensure!(started.elapsed() < PATIENCE, "{name} stayed {state:?}"),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until as many interpreters wait as shall.
    pub(crate) async fn await_stock(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let inventory = self.inventory().await?;
            let stocks = inventory["prepared"].as_array().context("no interpreters are told of")?;
            if stocks.iter().all(|stock| stock["waiting"].as_u64() >= stock["wanted"].as_u64()) {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "not all interpreters wait: {inventory}");
            tokio::time::sleep(STOCK_POLL).await;
        }
    }

    /// What holds the snapshots, in bytes.
    pub(crate) async fn snapshot_bytes(&self) -> anyhow::Result<u64> {
        let inventory = self.inventory().await?;
        inventory["snapshots"]["memoryBytes"].as_u64().context("no snapshots are told of")
    }

    /// How many environments there are.
    pub(crate) async fn environments(&self) -> anyhow::Result<usize> {
        let inventory = self.inventory().await?;
        inventory["environments"].as_array().map(Vec::len).context("no environments are told of")
    }

    /// What the server says of its environments, interpreters and snapshots.
    async fn inventory(&self) -> anyhow::Result<Value> {
        let request = client::request("GET", "/_firelet/environments", &[], b"");
        let mut connection = Connection::open(self.address).await?;
        let answer = connection.exchange(&request).await?;
        answer.check().context("ask what the server has")?;
        serde_json::from_slice(answer.body).context("read what the server has")
    }

    /// Processor time that the server itself has used so far; not its helper or functions.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let path = format!("/proc/{}/task", self.child.id());
        let tasks = fs::read_dir(&path).with_context(|| format!("list {path}"))?;
        let nanoseconds = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Ok(Duration::from_nanos(nanoseconds.sum()))
    }

    /// What the server and its helpers hold in memory now.
    pub(crate) fn memory(&self) -> Memory {
        let pid = self.child.id();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children: Vec<String> =
            tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
        let helpers = children.iter().flat_map(|line| line.split_ascii_whitespace());
        Memory {
            server_kilobytes: resident(&pid.to_string()),
            helpers_kilobytes: helpers.map(resident).sum(),
        }
    }

    /// The most that the server alone has held in memory.
    pub(crate) fn peak_kilobytes(&self) -> u64 {
        kilobytes(&field(&format!("/proc/{}/status", self.child.id()), "VmHWM"))
    }

    /// Adds the server's last words to an error.
    pub(crate) fn explain<Measured>(&self, measured: anyhow::Result<Measured>) -> anyhow::Result<Measured> {
        measured.with_context(|| format!("the server's last words:\n{}\n", self.log()))
    }

    /// The end of what the server logged.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails only when the server is gone, which is what was asked for.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > PATIENCE {
                drop(self.child.kill());
                drop(self.child.wait());
                return;
            }
            thread::sleep(POLL);
        }
    }
}

/// The request that creates a function, whose published versions start from snapshots where the language's shall.
/// `number` makes its code unlike that of all others.
pub(crate) fn creation(name: &str, language: &Language, number: usize) -> anyhow::Result<Vec<u8>> {
    let body = json!({
        "FunctionName": name,
        "Runtime": language.runtime,
        "Handler": language.handler,
        "Role": "arn:aws:iam::000000000000:role/bench",
        "MemorySize": MEMORY_MEGABYTES,
        "Timeout": TIMEOUT_SECONDS,
        "SnapStart": { "ApplyOn": language.snap_start },
        "Code": { "ZipFile": BASE64_STANDARD.encode(language.package(number)?) },
    });
    Ok(client::request("POST", FUNCTIONS, &[], body.to_string().as_bytes()))
}

/// The path that a function, or a version of one, is invoked by.
pub(crate) fn invocations(function: &str) -> String {
    format!("{FUNCTIONS}/{function}/invocations")
}

/// The resident set of a process.
pub(crate) fn resident(pid: &str) -> u64 {
    kilobytes(&field(&format!("/proc/{pid}/status"), "VmRSS"))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    listener.local_addr().context("find a free port")
}

/// Whether the server answers its health check; false while nobody listens.
fn is_healthy(address: SocketAddr) -> anyhow::Result<bool> {
    let mut stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(false),
        Err(error) => return Err(error).context("connect to firelet"),
    };
    stream.write_all(&client::request("GET", "/_firelet/health", &[], b"")).context("ask for health")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).context("read the answer to the health check")?;
    Ok(answer.ends_with(b" 200"))
}
