//! Bounds of numbers that are narrower than those of the model.

use std::time::Duration;

use firelet_api::model;
use firelet_types::limits;

use crate::error::{Error, InvalidParameter};
use crate::quota::Quotas;

/// The largest `/tmp` of a function with an accelerator, in MB.
const ACCELERATED_EPHEMERAL_STORAGE_MEGABYTES: u32 = 32_768;

/// `is_managed` says whether the function is on a capacity provider, which gives more than AWS's own instances.
pub(super) fn memory(
    change: Option<i32>,
    before: u32,
    quotas: &Quotas,
    is_managed: bool,
) -> Result<u32, Error> {
    let limit = quotas.memory_megabytes.max(if is_managed { limits::MANAGED_MEMORY_MEGABYTES } else { 0 });
    match change.map(|change| u32::try_from(change).unwrap_or(0)) {
        None => Ok(before),
        Some(memory) if memory > limit => Err(InvalidParameter::MemorySize { limit }.into()),
        Some(memory) => Ok(memory),
    }
}

pub(super) fn timeout(
    change: Option<i32>,
    before: Duration,
    quotas: &Quotas,
    is_managed: bool,
) -> Result<Duration, Error> {
    let Some(change) = change else { return Ok(before) };
    let limit = quotas.timeout_seconds.max(if is_managed { limits::MANAGED_TIMEOUT_SECONDS } else { 0 });
    let seconds = at_most(change, limit, "timeout")?;
    Ok(Duration::from_secs(seconds.into()))
}

pub(super) fn ephemeral_storage(
    change: Option<&model::EphemeralStorage>,
    before: u32,
    has_accelerator: bool,
    quotas: &Quotas,
) -> Result<u32, Error> {
    let Some(change) = change else { return Ok(before) };
    let limit = quotas.ephemeral_storage_megabytes;
    let limit = if has_accelerator { limit.max(ACCELERATED_EPHEMERAL_STORAGE_MEGABYTES) } else { limit };
    at_most(change.size, limit, "ephemeralStorage.size")
}

/// Memory of an accelerator, in GB. The model bounds it not at all.
pub(super) fn accelerator(
    change: Option<&model::AcceleratorConfig>,
    before: Option<u32>,
) -> Result<Option<u32>, Error> {
    let Some(change) = change else { return Ok(before) };
    match u32::try_from(change.accelerator_memory_size) {
        Ok(gigabytes) if gigabytes > 0 => Ok(Some(gigabytes)),
        _ => Err(Error::Validation {
            value: change.accelerator_memory_size.to_string(),
            path: "acceleratorConfig.acceleratorMemorySize",
            constraint: "Member must have value greater than or equal to 1".to_owned(),
        }),
    }
}

fn at_most(value: i32, limit: u32, path: &'static str) -> Result<u32, Error> {
    let number = u32::try_from(value).unwrap_or(0);
    if number > limit {
        let constraint = format!("Member must have value less than or equal to {limit}");
        return Err(Error::Validation { value: value.to_string(), path, constraint });
    }
    Ok(number)
}
