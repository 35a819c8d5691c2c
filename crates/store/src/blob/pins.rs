//! Who holds which package, so that collecting garbage cannot race with storing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use firelet_types::CodeSha256;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A package that is held or being removed; all others have no entry.
#[derive(Debug)]
enum Use {
    Held(usize),
    Removing,
}

#[derive(Debug, Default)]
pub(super) struct Pins {
    uses: Mutex<HashMap<CodeSha256, Use>>,
    removed: Notify,
}

/// Keeps one package from being removed.
#[derive(Debug)]
pub(super) struct Pin {
    pins: Arc<Pins>,
    sha256: CodeSha256,
}

/// Keeps one package from being stored while it is removed.
#[derive(Debug)]
pub(super) struct Removal {
    pins: Arc<Pins>,
    sha256: CodeSha256,
}

impl Pins {
    /// Holds a package; waits while it is being removed.
    pub(super) async fn pin(self: &Arc<Self>, sha256: CodeSha256) -> Pin {
        loop {
            // Registered before the look, so that a removal that ends in between is not missed.
            let removed = self.removed.notified();
            if self.try_pin(sha256) {
                return Pin { pins: Arc::clone(self), sha256 };
            }
            removed.await;
        }
    }

    fn try_pin(&self, sha256: CodeSha256) -> bool {
        match self.uses.lock().entry(sha256).or_insert(Use::Held(0)) {
            Use::Held(holders) => {
                *holders += 1;
                true
            }
            Use::Removing => false,
        }
    }

    pub(super) fn is_pinned(&self, sha256: &CodeSha256) -> bool {
        self.uses.lock().contains_key(sha256)
    }

    /// Claims a package for removal, unless somebody holds it.
    pub(super) fn begin_removal(self: &Arc<Self>, sha256: CodeSha256) -> Option<Removal> {
        match self.uses.lock().entry(sha256) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                place.insert(Use::Removing);
                Some(Removal { pins: Arc::clone(self), sha256 })
            }
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut uses = self.pins.uses.lock();
        if let Some(Use::Held(holders)) = uses.get_mut(&self.sha256) {
            *holders -= 1;
            if *holders == 0 {
                uses.remove(&self.sha256);
            }
        }
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        self.pins.uses.lock().remove(&self.sha256);
        self.pins.removed.notify_waiters();
    }
}
