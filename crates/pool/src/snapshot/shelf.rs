//! Which snapshots are kept, and which go for want of room: a pure decision.
//!
//! Knows neither what a snapshot is nor how one is made.

use std::collections::HashMap;
use std::sync::Arc;

use firelet_store::FunctionVersion;

use crate::service::{Key, is_same_configuration};

/// What is kept of versions of functions, each as it was configured at one time.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    /// Bytes that all may have together.
    room: u64,
    items: HashMap<Key, Item<T>>,
    /// Counts uses: the item with the lowest number was used longest ago.
    uses: u64,
}

#[derive(Debug)]
struct Item<T> {
    function: Arc<FunctionVersion>,
    content: T,
    bytes: u64,
    used: u64,
}

impl<T: Clone> Shelf<T> {
    pub(super) fn new(room: u64) -> Self {
        Self { room, items: HashMap::new(), uses: 0 }
    }

    /// What is kept of `function`, which counts as used by that.
    pub(super) fn get(&mut self, function: &FunctionVersion) -> Option<T> {
        self.uses += 1;
        let item = self.items.get_mut(&Key::of(function, None))?;
        if !is_same_configuration(&item.function, function) {
            return None;
        }
        item.used = self.uses;
        Some(item.content.clone())
    }

    /// Keeps `content` in place of what was kept of the same version; gives back what goes for it, those used longest ago
    /// first. That is `content` itself where all the room would not do.
    pub(super) fn put(&mut self, function: Arc<FunctionVersion>, content: T, bytes: u64) -> Vec<T> {
        if bytes > self.room {
            return vec![content];
        }
        self.uses += 1;
        let key = Key::of(&function, None);
        let item = Item { function, content, bytes, used: self.uses };
        let mut gone: Vec<T> = self.items.insert(key, item).map(|item| item.content).into_iter().collect();
        while self.bytes() > self.room {
            let Some(oldest) = self.take_oldest() else { break };
            gone.push(oldest);
        }
        gone
    }

    /// Gives back the content used longest ago, of those that hold memory.
    pub(super) fn take_oldest(&mut self) -> Option<T> {
        let holding = self.items.iter().filter(|(_, item)| item.bytes > 0);
        let oldest = holding.min_by_key(|(_, item)| item.used).map(|(key, _)| key.clone())?;
        self.items.remove(&oldest).map(|item| item.content)
    }

    /// How many hold memory.
    pub(super) fn holding(&self) -> usize {
        self.items.values().filter(|item| item.bytes > 0).count()
    }

    /// The versions of which anything is kept.
    pub(super) fn versions(&self) -> Vec<Arc<FunctionVersion>> {
        self.items.values().map(|item| Arc::clone(&item.function)).collect()
    }

    /// Gives back what is kept of `function`, as it is configured there.
    pub(super) fn remove(&mut self, function: &FunctionVersion) -> Option<T> {
        let key = Key::of(function, None);
        let is_it = self.items.get(&key).is_some_and(|item| is_same_configuration(&item.function, function));
        if is_it { self.items.remove(&key).map(|item| item.content) } else { None }
    }

    pub(super) fn count(&self) -> usize {
        self.items.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.items.values().map(|item| item.bytes).sum()
    }

    pub(super) const fn room(&self) -> u64 {
        self.room
    }
}
