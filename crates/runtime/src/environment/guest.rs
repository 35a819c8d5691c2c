//! Serving a guest while its process lives.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use firelet_sandbox::{End, ExitStatus};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;

use crate::failure::{ExitReason, Process};
use crate::guest_api::{Connections, Shared};
use crate::output::Output;
use crate::telemetry::{self, Connector};

/// How long what a dead process had still sent is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the server shares with one guest.
pub(super) struct Guest {
    pub(super) shared: Arc<Shared>,
    pub(super) output: Arc<Output>,
    /// The way to its subscribers of telemetry.
    pub(super) connector: Connector,
    /// The peak memory in bytes that the end of the process came with.
    pub(super) last_peak: Arc<AtomicU64>,
}

impl Guest {
    /// Serves the guest until its process ends, then lets what it had still sent arrive, and tells its owner.
    pub(super) async fn drive(self, listener: TcpListener, exit: pipe::Receiver) {
        let mut connections = Connections::new(Arc::clone(&self.shared));
        let status = {
            let mut reading = pin!(self.output.pump());
            let mut exiting = pin!(exit_status(&exit));
            let telemetry = Arc::clone(self.output.telemetry());
            let mut delivering = pin!(telemetry::deliver(telemetry, self.connector));
            let mut open = true;
            loop {
                tokio::select! {
                    status = &mut exiting => break status,
                    read = &mut reading, if open => {
                        open = false;
                        if let Err(error) = read {
                            tracing::warn!(%error, "cannot read a guest's output while it runs");
                        }
                    }
                    () = connections.accept(&listener) => {}
                    never = &mut delivering => match never {},
                }
            }
        };
        // A process that is gone sends no more, so this ends as soon as what it had sent is read: at once, unless a caller
        // takes an answer in pieces, and then before its invocation is over.
        while tokio::time::timeout(LAST_WORDS, connections.finish()).await.is_err() {
            if !self.shared.state.lock().is_streaming() {
                tracing::warn!("a guest's connection outlived its process");
                break;
            }
        }
        // Likewise for its output; a disk that is slower than that loses the rest.
        let _ = tokio::time::timeout(LAST_WORDS, self.output.pump_to_end()).await;
        self.output.finish();
        self.last_peak.store(status.map_or(0, |status| status.peak_memory_bytes), Ordering::Relaxed);
        let reason = status.map_or(ExitReason::Signaled(9), ExitReason::from);
        let due = self.shared.state.lock().process_ended(Process::Runtime, reason);
        if let Some(due) = due {
            due.call();
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_for_memory_is_told_from_other_kills() {
        let killed = |out_of_memory| {
            ExitReason::from(ExitStatus { end: End::Signaled(9), out_of_memory, peak_memory_bytes: 0 })
        };
        assert_eq!(killed(true), ExitReason::OutOfMemory);
        assert_eq!(killed(false), ExitReason::Signaled(9));
    }
}
