//! The processes of one sandbox while it lives: their connections, what they write, and their ends.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use firelet_sandbox::{ExitStatus, Process, Sandbox};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::guest::exit_status;
use super::plan::Who;
use crate::guest_api::{Connections, Shared};
use crate::output::Output;

/// A process that was just started.
pub(super) struct Member {
    pub(super) who: Who,
    pub(super) handle: Handle,
    pub(super) output: OwnedFd,
    pub(super) exit: pipe::Receiver,
}

/// The way to a process.
pub(super) enum Handle {
    /// The one that its sandbox was started with.
    First(Arc<Sandbox>),
    Further(Process),
}

/// The processes that were started in one sandbox and have not ended.
pub(super) struct Family {
    output: Arc<Output>,
    connections: Connections,
    alive: Vec<(Who, Handle)>,
    exits: JoinSet<(Who, Option<ExitStatus>)>,
    /// What passes on their output.
    outputs: JoinSet<io::Result<()>>,
}

impl Family {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            output: Arc::clone(&shared.output),
            connections: Connections::new(Arc::clone(shared)),
            alive: Vec::new(),
            exits: JoinSet::new(),
            outputs: JoinSet::new(),
        }
    }

    pub(super) fn take_in(&mut self, member: Member) {
        let Member { who, handle, output: pipe, exit } = member;
        let output = Arc::clone(&self.output);
        match &who {
            Who::Runtime => {
                output.attach(pipe);
                self.outputs.spawn(async move { output.pump().await });
            }
            Who::Extension(_) => {
                self.outputs.spawn(async move { output.pump_extension(pipe).await });
            }
        }
        let whose = who.clone();
        self.exits.spawn(async move { (whose, exit_status(exit).await) });
        self.alive.push((who, handle));
    }

    /// Whether all have ended.
    pub(super) fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    pub(super) fn has(&self, who: &Who) -> bool {
        self.alive.iter().any(|(member, _)| member == who)
    }

    /// Whether an extension is left that is none of `others`.
    pub(super) fn has_extension_besides(&self, others: &[Who]) -> bool {
        self.alive.iter().any(|(who, _)| *who != Who::Runtime && !others.contains(who))
    }

    /// Asks a process to end.
    pub(super) fn terminate(&self, who: &Who) {
        match self.handle(who) {
            Some(Handle::First(sandbox)) => sandbox.terminate(),
            Some(Handle::Further(process)) => process.terminate(),
            None => {}
        }
    }

    /// Kills a process, but not what it has started.
    pub(super) fn kill(&self, who: &Who) {
        match self.handle(who) {
            Some(Handle::First(sandbox)) => sandbox.kill_main(),
            Some(Handle::Further(process)) => process.kill(),
            None => {}
        }
    }

    fn handle(&self, who: &Who) -> Option<&Handle> {
        self.alive.iter().find(|(member, _)| member == who).map(|(_, handle)| handle)
    }

    /// Serves them until one ends. Loses nothing when it is dropped while it waits.
    pub(super) async fn next_exit(&mut self, listener: &TcpListener) -> (Who, Option<ExitStatus>) {
        loop {
            tokio::select! {
                Some(Ok((who, status))) = self.exits.join_next() => {
                    self.alive.retain(|(member, _)| *member != who);
                    return (who, status);
                }
                Some(Ok(Err(error))) = self.outputs.join_next() => {
                    tracing::warn!(%error, "cannot read a guest's output while it runs");
                }
                () = self.connections.accept(listener) => {}
            }
        }
    }

    /// Serves them for `duration`.
    pub(super) async fn serve_for(&mut self, listener: &TcpListener, duration: Duration) {
        self.serve_until(listener, Instant::now() + duration, |_| false).await;
    }

    /// Serves them until `is_over`, or `deadline`.
    pub(super) async fn serve_until(
        &mut self,
        listener: &TcpListener,
        deadline: Instant,
        is_over: impl Fn(&Self) -> bool,
    ) {
        while !is_over(self) {
            if tokio::time::timeout_at(deadline, self.next_exit(listener)).await.is_err() {
                return;
            }
        }
    }

    /// Waits until all connections have ended by themselves.
    pub(super) async fn finish_connections(&mut self) {
        self.connections.finish().await;
    }

    /// Passes on what processes have written, which are gone.
    pub(super) async fn finish_outputs(&mut self) {
        while self.outputs.join_next().await.is_some() {}
    }
}
