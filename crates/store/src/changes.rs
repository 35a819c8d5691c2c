//! The number of commits so far: a cheap way to see that something changed, and a signal that wakes whoever waits.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts commits. The count moves before the change that it counts is answered, so a caller that was answered
/// and then asks for the count sees a value that no earlier look-up could have seen.
#[derive(Debug)]
pub struct Changes {
    generation: AtomicU64,
    signal: watch::Sender<u64>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self { generation: AtomicU64::new(0), signal: watch::Sender::new(0) }
    }

    /// How many transactions have been committed since the store was opened.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A receiver that wakes after each commit; it carries the count and nothing else.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.signal.subscribe()
    }

    pub(crate) fn committed(&self) {
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        self.signal.send_replace(generation);
    }
}
