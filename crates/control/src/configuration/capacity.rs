//! Functions on capacity providers: what they are configured with, and what else they may be configured with then.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances.html>.

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::capacity_provider::CapacityProviderState;
use firelet_store::definition::{Capacity, LogFormat, SnapStart};
use firelet_store::function::Entry;
use firelet_types::limits::MANAGED_MEMORY_MINIMUM_MEGABYTES;
use firelet_types::{CapacityProviderArn, Scope};

use crate::capacity_provider::{self, CapacityProviderError};
use crate::error::Error;
use crate::runtime;

use super::network;

/// Memory that goes with one virtual CPU, in GiB, if the caller does not say.
const DEFAULT_GIBIBYTES_PER_CPU: f64 = 2.0;
const MEGABYTES_PER_GIBIBYTE: f64 = 1_024.0;

pub(super) fn merge(
    change: Option<model::CapacityProviderConfig>,
    before: Option<Capacity>,
    scope: &Scope,
) -> Result<Option<Capacity>, Error> {
    let Some(change) = change else { return Ok(before) };
    let change = change.lambda_managed_instances_capacity_provider_config;
    let name = capacity_provider::name(scope, &change.capacity_provider_arn)?;
    let before = before.as_ref();
    Ok(Some(Capacity {
        provider: CapacityProviderArn { scope: scope.clone(), name },
        concurrency: change
            .per_execution_environment_max_concurrency
            .or_else(|| before.and_then(|before| before.concurrency)),
        gibibytes_per_cpu: change
            .execution_environment_memory_gi_b_per_v_cpu
            .or_else(|| before.and_then(|before| before.gibibytes_per_cpu)),
    }))
}

/// Refuses what a function on a capacity provider cannot have.
pub(super) fn check(definition: &Definition) -> Result<(), CapacityProviderError> {
    if definition.capacity.is_none() {
        return Ok(());
    }
    if network::is_joined(definition.network.as_ref()) {
        return Err(CapacityProviderError::Network);
    }
    if definition.memory_megabytes < MANAGED_MEMORY_MINIMUM_MEGABYTES {
        return Err(CapacityProviderError::MemoryMinimum);
    }
    if definition.logging.format == LogFormat::Text {
        return Err(CapacityProviderError::LogText);
    }
    if let Some(runtime) = definition.runtime.as_deref().filter(|of| !runtime::runs_on_capacity_provider(of))
    {
        return Err(CapacityProviderError::Runtime { runtime: runtime.to_owned() });
    }
    match definition.snap_start {
        SnapStart::None => Ok(()),
        SnapStart::PublishedVersions => Err(CapacityProviderError::SnapStart),
    }
}

/// Refuses to put a function on a capacity provider that was made without one: it stays what it is.
pub(crate) fn check_kept(before: &Definition, after: &Definition) -> Result<(), CapacityProviderError> {
    match (&before.capacity, &after.capacity) {
        (None, Some(_)) => Err(CapacityProviderError::DefaultFunction),
        _ => Ok(()),
    }
}

/// Refuses a capacity provider that is not there, or no longer.
pub(crate) fn attach(entry: &Entry<'_>, definition: &Definition) -> Result<(), Error> {
    let Some(Capacity { provider, .. }) = &definition.capacity else { return Ok(()) };
    match entry.capacity_provider(&provider.name)? {
        Some(found) if found.state != CapacityProviderState::Deleting => Ok(()),
        _ => Err(capacity_provider::not_found(&provider.scope, &provider.name)),
    }
}

/// The configuration as callers read it, with the defaults that hold for this function.
pub(crate) fn describe(definition: &Definition) -> Option<model::CapacityProviderConfig> {
    let capacity = definition.capacity.as_ref()?;
    let gibibytes_per_cpu = capacity.gibibytes_per_cpu.unwrap_or(DEFAULT_GIBIBYTES_PER_CPU);
    let concurrency = capacity.concurrency.unwrap_or_else(|| {
        let cpus = f64::from(definition.memory_megabytes) / MEGABYTES_PER_GIBIBYTE / gibibytes_per_cpu;
        default_concurrency(definition.runtime.as_deref().unwrap_or_default(), cpus)
    });
    Some(model::CapacityProviderConfig {
        lambda_managed_instances_capacity_provider_config:
            model::LambdaManagedInstancesCapacityProviderConfig {
                capacity_provider_arn: capacity.provider.to_string(),
                per_execution_environment_max_concurrency: Some(concurrency),
                execution_environment_memory_gi_b_per_v_cpu: Some(gibibytes_per_cpu),
            },
    })
}

/// Executions at one time in an environment with so many virtual CPUs.
fn default_concurrency(runtime: &str, cpus: f64) -> i32 {
    let per_cpu = runtime::concurrency_per_cpu(runtime);
    let cpus = (1..=16).rev().find(|whole| f64::from(*whole) <= cpus).unwrap_or(1);
    per_cpu * cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_grows_with_whole_cpus() {
        for (runtime, cpus, expected) in [
            ("python3.13", 1.0, 16),
            ("nodejs22.x", 1.0, 64),
            ("java21", 1.0, 32),
            ("dotnet8", 1.0, 32),
            ("provided.al2023", 1.0, 8),
            ("provided.al2023", 2.9, 16),
            ("python3.13", 0.25, 16),
            ("python3.13", 16.0, 256),
        ] {
            assert_eq!(default_concurrency(runtime, cpus), expected, "{runtime} {cpus}");
        }
    }
}
