//! A firelet server as a child process: started, awaited, ended.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::lambda::Client;

const START_PATIENCE: Duration = Duration::from_secs(20);
const STOP_PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(2);

/// How to start a server.
pub(crate) struct Options<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) data_directory: &'a Path,
    /// Address and port.
    pub(crate) listen: &'a str,
    /// Where its log goes.
    pub(crate) log: PathBuf,
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pid: Pid,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) fn start(options: &Options<'_>) -> anyhow::Result<Self> {
        let log = File::create(&options.log).with_context(|| format!("create {}", options.log.display()))?;
        let mut command = Command::new(options.binary);
        command.args(["serve", "--listen", options.listen, "--data-dir"]).arg(options.data_directory);
        command.stdin(Stdio::null()).stdout(log.try_clone().context("share the log")?).stderr(log);
        isolate_from_terminal(&mut command);
        let child = command.spawn().with_context(|| format!("start {}", options.binary.display()))?;
        let pid = Pid::from_child(&child);
        let mut server = Self { child, pid };
        server.await_health(options)?;
        Ok(server)
    }

    fn await_health(&mut self, options: &Options<'_>) -> anyhow::Result<()> {
        let client = Client::new(options.listen);
        let started = Instant::now();
        while started.elapsed() < START_PATIENCE {
            if let Some(status) = self.child.try_wait().context("look after firelet")? {
                bail!("firelet ended at once ({status}):\n{}", tail(&options.log));
            }
            if client.is_healthy() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!("firelet did not answer within {START_PATIENCE:?}:\n{}", tail(&options.log));
    }

    /// Asks the server to end, as Ctrl-C would.
    pub(crate) fn stopper(&self) -> impl Fn() + Send + 'static {
        let pid = self.pid;
        // It fails only when the server is gone, which is what was asked for.
        move || _ = kill_process(pid, Signal::TERM)
    }

    /// Waits for the server to end by itself or by its stopper.
    pub(crate) fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.wait().context("wait for firelet")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopper()();
        let asked = Instant::now();
        while asked.elapsed() < STOP_PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A Ctrl-C on the terminal reaches this program, which then ends the server once and in order.
fn isolate_from_terminal(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().map(|line| format!("    {line}\n")).collect()
}
