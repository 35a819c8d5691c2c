//! A process, written down, and made again in another sandbox.
//!
//! [`capture`] stops the main process of a sandbox and writes its memory, threads, descriptors and files into two sealed
//! `memfd`s; [`restore`] has a waiting guest of another sandbox become that process. Both are the work of a *tracer*, a
//! short-lived child of the helper (`helper/tracer.rs`), so that the helper never waits for a guest. Whatever the process had
//! from the kernel, it gets by system calls that the new guest makes itself, under its own filter, user and namespaces: the
//! tracer gives it nothing but what to call, and the content of its own memory. What cannot be made again is refused when
//! it is captured, with its name.

mod capture;
mod description;
mod machine;
mod maps;
mod restore;
mod trace;
mod tracee;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use thiserror::Error;

use crate::error::{Error, Failure};

pub(crate) use crate::snapshot::capture::{Captured, Subject, capture};
pub(crate) use crate::snapshot::restore::{Patient, restore};
pub(crate) use crate::snapshot::trace::end_in;

/// A captured process. Cheap to clone; it lives in this server's memory.
#[derive(Clone, Debug)]
pub struct Snapshot(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    /// Pages, and the content of files: sealed.
    image: OwnedFd,
    /// All else: sealed.
    description: OwnedFd,
    size: u64,
}

impl Snapshot {
    pub(crate) fn new(image: OwnedFd, description: OwnedFd, size: u64) -> Self {
        Self(Arc::new(Kept { image, description, size }))
    }

    /// What it keeps in memory, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    pub(crate) fn descriptors(&self) -> [&OwnedFd; 2] {
        [&self.0.image, &self.0.description]
    }
}

/// Why there is no snapshot.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The process has, or the kernel lacks, something without which it cannot be made again.
    #[error("the process cannot be captured: {reason}")]
    Unsupported {
        /// What it is, in a few words.
        reason: String,
    },
    /// A step failed, or the sandbox has ended.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// The same in the tracer.
#[derive(Debug)]
pub(crate) enum Trouble {
    Unsupported(String),
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Trouble {
    fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }
}
