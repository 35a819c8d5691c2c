//! What the environments of one version start from.
//!
//! Knows neither when snapshots are made nor how long they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use firelet_types::CredentialsToken;

/// After so many attempts in vain, one after the other, nobody tries any more whether the process can go on.
const ATTEMPTS: u32 = 3;

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
    /// How often it could not go on since it last could.
    failures: AtomicU32,
}

impl Snapshot {
    pub(crate) fn new(token: CredentialsToken, process: Option<firelet_sandbox::Snapshot>) -> Self {
        Self(Arc::new(Kept { token, process, failures: AtomicU32::new(0) }))
    }

    pub(crate) fn token(&self) -> CredentialsToken {
        self.0.token
    }

    /// The process to go on from; none where there is none, or where it has shown that it cannot.
    pub(crate) fn process(&self) -> Option<firelet_sandbox::Snapshot> {
        let is_of_use = self.0.failures.load(Ordering::Relaxed) < ATTEMPTS;
        self.0.process.clone().filter(|_| is_of_use)
    }

    /// The process went on, or could not. Says whether it is not tried any more.
    pub(crate) fn tried(&self, went_on: bool) -> bool {
        if went_on {
            self.0.failures.store(0, Ordering::Relaxed);
            return false;
        }
        self.0.failures.fetch_add(1, Ordering::Relaxed) + 1 >= ATTEMPTS
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

#[cfg(test)]
mod tests {
    use firelet_types::Ids;

    use super::*;

    #[test]
    fn a_process_that_cannot_go_on_is_given_up_but_not_for_one_bad_moment() {
        let snapshot = Snapshot::new(CredentialsToken::new(&Ids::seeded(1)), None);
        let given_up = [false, false, true, false, false, false].map(|went_on| snapshot.tried(went_on));
        assert_eq!(given_up, [false, false, false, false, false, true]);
    }
}
