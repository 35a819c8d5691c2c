//! Bounds of numbers that are narrower than those of the model.

use std::time::Duration;

use firelet_api::model;

use crate::error::{Error, InvalidParameter};
use crate::quota::Quotas;

pub(super) fn memory(change: Option<i32>, before: u32, quotas: &Quotas) -> Result<u32, Error> {
    let limit = quotas.memory_megabytes;
    match change.map(|change| u32::try_from(change).unwrap_or(0)) {
        None => Ok(before),
        Some(memory) if memory > limit => Err(InvalidParameter::MemorySize { limit }.into()),
        Some(memory) => Ok(memory),
    }
}

pub(super) fn timeout(change: Option<i32>, before: Duration, quotas: &Quotas) -> Result<Duration, Error> {
    let Some(change) = change else { return Ok(before) };
    let seconds = at_most(change, quotas.timeout_seconds, "timeout")?;
    Ok(Duration::from_secs(seconds.into()))
}

pub(super) fn ephemeral_storage(
    change: Option<&model::EphemeralStorage>,
    before: u32,
    quotas: &Quotas,
) -> Result<u32, Error> {
    let Some(change) = change else { return Ok(before) };
    at_most(change.size, quotas.ephemeral_storage_megabytes, "ephemeralStorage.size")
}

fn at_most(value: i32, limit: u32, path: &'static str) -> Result<u32, Error> {
    let number = u32::try_from(value).unwrap_or(0);
    if number > limit {
        let constraint = format!("Member must have value less than or equal to {limit}");
        return Err(Error::Validation { value: value.to_string(), path, constraint });
    }
    Ok(number)
}
