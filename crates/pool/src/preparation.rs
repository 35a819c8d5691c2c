//! Has interpreters of the runtimes in use started ahead of the functions that will need them.
//!
//! Looks at the store after changes, but not after each of many: an interpreter that comes a moment later is a slower
//! first invocation and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use firelet_store::Store;
use tokio::task::JoinSet;

use crate::service::Maker;

/// Between two looks, so that a burst of changes costs a few.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Preparation {
    maker: Arc<Maker>,
    store: Arc<Store>,
    looked_at: Option<Instant>,
    /// Runtimes that bring their own program, or that this host cannot serve.
    without: Vec<String>,
    /// Each answers its runtime if there is nothing to start ahead.
    preparing: JoinSet<Option<String>>,
}

impl Preparation {
    pub(crate) fn new(maker: Arc<Maker>, store: Arc<Store>) -> Self {
        Self { maker, store, looked_at: None, without: Vec::new(), preparing: JoinSet::new() }
    }

    /// Looks at what is in use, unless that was done a moment ago.
    pub(crate) fn follow(&mut self) {
        let now = Instant::now();
        let is_early = self.looked_at.is_some_and(|then| now.duration_since(then) < PAUSE);
        if is_early || !self.preparing.is_empty() {
            return;
        }
        self.looked_at = Some(now);
        let runtimes = match self.store.functions().runtimes() {
            Ok(runtimes) => runtimes,
            Err(error) => {
                tracing::warn!(%error, "cannot tell which runtimes are in use; none is started ahead");
                return;
            }
        };
        for runtime in runtimes {
            if !self.maker.is_prepared(&runtime) && !self.without.contains(&runtime) {
                let maker = Arc::clone(&self.maker);
                self.preparing.spawn(async move { (!maker.prepare(&runtime).await).then_some(runtime) });
            }
        }
    }

    /// Waits until something that was begun is done; for ever if nothing was. May be broken off.
    pub(crate) async fn progress(&mut self) {
        match self.preparing.join_next().await {
            Some(Ok(Some(runtime))) => self.without.push(runtime),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}
