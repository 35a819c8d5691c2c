//! The packages that were stored a moment ago, for whoever makes them ready before they are needed.
//!
//! Only a hint: what finds no room, or is under way when the server ends, is forgotten.

use std::collections::VecDeque;

use firelet_types::CodeSha256;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Packages that are remembered; beyond that the oldest are forgotten.
const ROOM: usize = 64;

/// A short queue that is never full.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    waiting: Mutex<VecDeque<CodeSha256>>,
    arrived: Notify,
}

impl Arrivals {
    /// Adds a package at the end, whether or not it is there already.
    pub(super) fn note(&self, sha256: CodeSha256) {
        let mut waiting = self.waiting.lock();
        if waiting.len() == ROOM {
            waiting.pop_front();
        }
        waiting.push_back(sha256);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Waits for the next package. May be broken off.
    pub(super) async fn next(&self) -> CodeSha256 {
        loop {
            if let Some(sha256) = self.waiting.lock().pop_front() {
                return sha256;
            }
            self.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_is_forgotten_for_want_of_room() {
        let arrivals = Arrivals::default();
        let digest = |number: usize| CodeSha256::from_bytes([u8::try_from(number).unwrap(); 32]);
        for number in 0..=ROOM {
            arrivals.note(digest(number));
        }
        for number in 1..=ROOM {
            assert_eq!(arrivals.next().await, digest(number));
        }
        assert!(arrivals.waiting.lock().is_empty());
    }
}
