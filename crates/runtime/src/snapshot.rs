//! What the environments of one version start from.
//!
//! Knows neither when snapshots are made nor how long they are kept.

use std::sync::Arc;

use firelet_types::CredentialsToken;

/// The state that a function had after its Init phase. Cheap to clone.
///
/// Where a process could not be kept, an environment that starts from it runs Init anew.
#[derive(Debug, Clone)]
pub struct Snapshot(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    /// What the function was told to ask for its credentials with, and keeps in mind.
    token: CredentialsToken,
    /// Its process; none where Init is run anew.
    process: Option<firelet_sandbox::Snapshot>,
}

impl Snapshot {
    pub(crate) fn new(token: CredentialsToken, process: Option<firelet_sandbox::Snapshot>) -> Self {
        Self(Arc::new(Kept { token, process }))
    }

    pub(crate) fn token(&self) -> CredentialsToken {
        self.0.token
    }

    pub(crate) fn process(&self) -> Option<firelet_sandbox::Snapshot> {
        self.0.process.clone()
    }

    /// The memory that it holds, in bytes; zero where Init is run anew.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.process.as_ref().map_or(0, firelet_sandbox::Snapshot::size)
    }

    /// Whether it holds a process.
    #[must_use]
    pub fn is_of_process(&self) -> bool {
        self.0.process.is_some()
    }
}
