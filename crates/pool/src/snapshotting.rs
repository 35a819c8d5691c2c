//! Has the snapshots made that published versions wait for, and tells the store what came of each.
//!
//! Looks at the store after each change and with each tick, so that a lost signal costs a second at most. Snapshots that an
//! active version has lost are none of this: whoever invokes it has them made again.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use firelet_runtime::InitFailure;
use firelet_runtime::failure::{Crash, Process};
use firelet_store::function::{Entry, Reason};
use firelet_store::{FunctionVersion, Store};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::code_cache::CodeError;
use crate::lease::LeaseError;
use crate::service::{Driver, Key, Maker, Pool};

use plan::{Effect, Plan};

/// What callers read of a version whose Init phase failed: as many have met it in deployments, such as
/// <https://github.com/docwho2/java-connect-lex-chatgpt/issues/36>.
const INIT_FAILURE: &str = "An error occurred during function initialization.";
/// The words of invocations; those of versions are not recorded.
const NOT_UNZIPPED: &str = "Lambda could not unzip the deployment package.";

pub(crate) struct Snapshotting {
    pool: Pool,
    maker: Arc<Maker>,
    store: Arc<Store>,
    drivers: mpsc::UnboundedSender<Driver>,
    plan: Plan,
    making: JoinSet<(Key, Result<(), Fault>)>,
    handles: HashMap<Key, AbortHandle>,
}

/// It was not the function's doing that there is no snapshot: it is tried again.
struct Fault;

impl Snapshotting {
    pub(crate) fn new(
        pool: Pool,
        maker: Arc<Maker>,
        store: Arc<Store>,
        drivers: mpsc::UnboundedSender<Driver>,
    ) -> Self {
        let (plan, making, handles) = (Plan::default(), JoinSet::new(), HashMap::new());
        Self { pool, maker, store, drivers, plan, making, handles }
    }

    /// Waits until something ends that was begun here; for ever if nothing was. May be broken off.
    pub(crate) async fn progress(&mut self) {
        match self.making.join_next().await {
            Some(Ok((key, result))) => {
                self.handles.remove(&key);
                if result.is_err() {
                    self.plan.failed(&key, Instant::now());
                }
                self.follow();
            }
            // Abandoned.
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }

    /// Makes one step to what the store wants.
    pub(crate) fn follow(&mut self) {
        let awaiting = match self.store.functions().awaiting_snapshots() {
            Ok(awaiting) => awaiting,
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "cannot tell which versions wait for a snapshot");
                return;
            }
        };
        for effect in self.plan.step(awaiting, Instant::now()) {
            match effect {
                Effect::Make(function) => self.make(function),
                Effect::Abandon(key) => {
                    if let Some(handle) = self.handles.remove(&key) {
                        handle.abort();
                    }
                }
            }
        }
    }

    fn make(&mut self, function: Arc<FunctionVersion>) {
        let key = Key::of(&function, None);
        let group = self.pool.group(&function);
        let (maker, store, drivers) =
            (Arc::clone(&self.maker), Arc::clone(&self.store), self.drivers.clone());
        let handle = self.making.spawn({
            let key = key.clone();
            async move {
                let made = maker.snapshot(&group, &drivers).await;
                let result = match made.as_ref().map_or_else(|error| verdict(&function, error), |_| Ok(None))
                {
                    Ok(failure) => settle(&store, &maker, &function, failure).await,
                    Err(fault) => Err(fault),
                };
                (key, result)
            }
        });
        self.handles.insert(key, handle);
    }
}

/// Tells the store how the wait of a version ended.
async fn settle(
    store: &Store,
    maker: &Maker,
    function: &Arc<FunctionVersion>,
    failure: Option<Reason>,
) -> Result<(), Fault> {
    let (revision, seen) = (maker.new_revision(), Arc::clone(function));
    let decide = move |entry: &mut Entry<'_>| entry.settle_snapshot(&seen, failure, revision);
    let FunctionVersion { scope, name, .. } = &**function;
    store.functions().update(scope, name, decide).await.map_err(|error: firelet_store::Error| {
        let cause = &error as &dyn std::error::Error;
        tracing::warn!(function = %name, error = cause, "cannot report what came of a snapshot");
        Fault
    })
}

/// What it means for a version that there is no snapshot of it: why it failed; or nothing, since this host runs no such
/// function, and says so when it is invoked; or that it is tried again.
fn verdict(function: &FunctionVersion, error: &LeaseError) -> Result<Option<Reason>, Fault> {
    let (name, version, cause) = (&function.name, function.version, error as &dyn std::error::Error);
    match error {
        LeaseError::Snapshot(error) => verdict(function, error),
        LeaseError::Init(failed) => {
            Ok(Some(Reason { code: code(&failed.failure).to_owned(), text: INIT_FAILURE.to_owned() }))
        }
        LeaseError::Code(CodeError::Unpack(..)) => {
            Ok(Some(Reason { code: "InvalidZipFileException".to_owned(), text: NOT_UNZIPPED.to_owned() }))
        }
        LeaseError::Image | LeaseError::Runtime(_) => {
            tracing::warn!(function = %name, %version, error = cause, "a version becomes active without a snapshot");
            Ok(None)
        }
        LeaseError::Stopped => Err(Fault),
        LeaseError::Code(_) | LeaseError::Start(_) | LeaseError::Restore(_) | LeaseError::Overloaded => {
            tracing::warn!(
                function = %name, %version, error = cause,
                "cannot make the snapshot of a version; it is tried again"
            );
            Err(Fault)
        }
    }
}

/// The code of the API for an Init phase that failed. `FunctionError` is recorded for a runtime that reports an error
/// (<https://github.com/hashicorp/terraform-provider-aws/issues/49904>); the others are the words that the model has for
/// their cause.
fn code(failure: &InitFailure) -> &'static str {
    match failure {
        InitFailure::Failed(_) => "FunctionError",
        InitFailure::TimedOut => "FunctionError.InitTimeout",
        InitFailure::Crashed(Crash { told: Some(_), .. } | Crash { process: Process::Extension, .. }) => {
            "FunctionError.ExtensionInitError"
        }
        InitFailure::Crashed(crash) => match crash.error_type() {
            "Runtime.OutOfMemory" => "FunctionError.InitResourceExhausted",
            _ => "FunctionError",
        },
        InitFailure::Unlaunched(unlaunched) => match unlaunched.error_type {
            "Runtime.InvalidEntrypoint" => "FunctionError.InvalidEntryPoint",
            _ => "FunctionError.ExtensionInitError",
        },
    }
}

#[cfg(test)]
mod tests;
