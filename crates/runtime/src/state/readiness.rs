//! What becomes of an environment that was busy, and who learns of it.

use std::time::Instant;

use crate::failure::{Crash, ExitReason, Process};

/// What an owner learns of a runtime that was busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It waits for an event.
    Ready,
    /// Its processes are gone, and it can be started anew with what is in its `/tmp`.
    Dormant,
    /// It is gone.
    Ended,
}

/// What became of an environment that was busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// It waits for an event. With the time since when it waited for extensions only, if it did.
    Ready { extensions_since: Option<Instant> },
    /// Its processes are gone: when and why they began to go.
    Ended { why: Ending, at: Instant },
}

/// Why an environment came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// One of its processes ended by itself.
    Crashed(Crash),
    /// Its Init phase failed.
    Failed,
    /// The time of its invocation, or of its Init phase, was over.
    TimedOut,
    /// Nobody wants it any more.
    Unwanted,
}

impl News {
    /// What the owner learns of it.
    pub(crate) const fn readiness(self) -> Readiness {
        match self {
            Self::Ready { .. } => Readiness::Ready,
            Self::Ended { why: Ending::Unwanted, .. } => Readiness::Ended,
            Self::Ended { .. } => Readiness::Dormant,
        }
    }
}

/// Called once, as soon as a busy environment is ready or gone.
pub(crate) type ReadyCallback = Box<dyn FnOnce(News) + Send>;

/// A callback that is due. To be called once the state is unlocked.
#[must_use]
pub(crate) struct Due {
    pub(super) callback: ReadyCallback,
    pub(super) news: News,
}

impl Due {
    pub(crate) fn call(self) {
        (self.callback)(self.news);
    }
}

/// What those learn who wait for an environment that firelet ends.
pub(crate) const KILLED: Crash =
    Crash { process: Process::Runtime, reason: ExitReason::Signaled(9), told: None };
