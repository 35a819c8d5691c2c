//! What a change left to be done: functions become active, updates come into effect, mappings and capacity
//! providers come to rest or go, code that nothing names goes. Versions that wait for a snapshot are left to those who
//! run functions.
//!
//! The loop looks at what is stored and takes no input, so that after a restart it goes on with what was left.

use std::time::Duration;

use firelet_store::blob::Garbage;
use firelet_store::function::Entry;
use firelet_store::{FunctionVersion, LastUpdate, State, Version};
use firelet_types::limits::CODE_LINK_LIFETIME;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::error::Error;

/// Time between two looks for code that nothing names. Code goes in the second look that finds it so, when every
/// link to it has ended.
const COLLECTION_PERIOD: Duration = CODE_LINK_LIFETIME;
/// Time before a step that failed is tried again.
const RETRY_PERIOD: Duration = Duration::from_secs(1);

impl Control {
    /// Reconciles after each change until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.settle_always() => {}
            () = self.collect_always() => {}
        }
    }

    async fn settle_always(&self) {
        let mut changes = self.store.changes().subscribe();
        loop {
            changes.borrow_and_update();
            if let Err(error) = self.settle().await {
                tracing::error!(error = &error as &dyn std::error::Error, "updates could not be finished");
                tokio::time::sleep(RETRY_PERIOD).await;
                continue;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn collect_always(&self) {
        let mut garbage = Garbage::default();
        loop {
            match self.store.blobs().collect_garbage(&mut garbage).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed code that nothing uses"),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "unused code could not be removed"
                    );
                }
            }
            tokio::time::sleep(COLLECTION_PERIOD).await;
        }
    }

    /// Finishes every creation and update that is stored as begun.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn settle(&self) -> Result<(), Error> {
        let unsettled = self.store.functions().unsettled()?;
        let steps = unsettled.into_iter().map(|record| self.settle_one(record));
        let functions: Result<(), Error> = join_all(steps).await.into_iter().collect();
        functions.and(self.settle_mappings().await).and(self.settle_capacity_providers().await)
    }

    async fn settle_one(&self, seen: FunctionVersion) -> Result<(), Error> {
        let revision = self.new_revision();
        let (scope, name, version) = (seen.scope, seen.name, seen.version);
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            let Some(record) = entry.version(version)?.filter(FunctionVersion::is_unsettled) else {
                return Ok(());
            };
            let last_update = Some(LastUpdate::Successful);
            let state = settled(&record);
            Ok(entry.put(&FunctionVersion { revision, state, last_update, ..record })?)
        };
        self.store.functions().update(&scope, &name, decide).await
    }
}

/// The state that a version comes to rest in.
fn settled(record: &FunctionVersion) -> State {
    match record.state {
        State::Deactivating | State::Deactivated => State::Deactivated,
        _ if record.version == Version::Latest && record.definition.capacity.is_some() => {
            State::ActiveNonInvocable
        }
        _ => State::Active,
    }
}
