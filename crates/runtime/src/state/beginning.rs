//! How a runtime comes to its first event, or does not.

use bytes::Bytes;

use crate::failure::{Crash, Unlaunched};

/// What comes before a runtime's first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Init.
    Init,
    /// Init as far as its state can be kept.
    Snapshot,
    /// What comes after that; and before that Init, where its state could not be kept.
    Restore,
}

/// How the Init phase ended, or the Restore phase.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InitEnd {
    /// The runtime and all extensions asked for their first event, or the runtime for its restoring.
    Ready,
    /// The runtime reported an error.
    Error { error_type: String, payload: Bytes },
    /// It reported one after it was restored.
    RestoreError { error_type: String, payload: Bytes },
    /// The environment ended.
    Crashed(Crash),
    /// A program could not be started.
    Unlaunched(Unlaunched),
}
