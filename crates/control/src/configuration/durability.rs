//! Which functions are durable, and for how long. A function is born durable or never becomes so.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/durable-configuration.html>. Texts, defaults and what follows for
//! timeout and logs as public tests record them: floci-io/floci, `LambdaDurableConfigIntegrationTest`.

use std::time::Duration;

use firelet_api::model;
use firelet_store::Definition;
use firelet_store::definition::{Durability, LogFormat};

use super::error::ConfigurationError;
use super::{clearable, logging};

/// Days that histories stay unless the caller says otherwise.
const DEFAULT_RETENTION_DAYS: u32 = 14;
/// The timeout of a durable function whose executions may take longer than that.
const LONGEST_DEFAULT_TIMEOUT: Duration = Duration::from_secs(900);

/// Makes a new function durable: its timeout and its logs start from other values then.
pub(super) fn begin(
    config: Option<&model::DurableConfig>,
    definition: Definition,
) -> Result<Definition, ConfigurationError> {
    let Some(config) = config else { return Ok(definition) };
    let execution_timeout = config.execution_timeout.ok_or(ConfigurationError::DurableWithoutTimeout)?;
    let blank = Durability {
        execution_timeout: seconds(execution_timeout),
        retention_days: DEFAULT_RETENTION_DAYS,
        kms_key: None,
    };
    Ok(Definition {
        timeout: blank.execution_timeout.min(LONGEST_DEFAULT_TIMEOUT),
        logging: logging::json(),
        durability: Some(merge(config.clone(), blank)),
        ..definition
    })
}

/// Applies an update to what was.
pub(super) fn update(
    change: Option<model::DurableConfig>,
    before: Option<Durability>,
) -> Result<Option<Durability>, ConfigurationError> {
    match (change, before) {
        (None, before) => Ok(before),
        (Some(change), Some(before)) => Ok(Some(merge(change, before))),
        (Some(_), None) => Err(ConfigurationError::DurableTooLate),
    }
}

/// Refuses a durable function whose logs could not tell executions apart.
pub(super) fn check(definition: &Definition) -> Result<(), ConfigurationError> {
    if definition.durability.is_some() && definition.logging.format == LogFormat::Text {
        return Err(ConfigurationError::DurableTextLogs);
    }
    Ok(())
}

fn merge(change: model::DurableConfig, before: Durability) -> Durability {
    let days = change.retention_period_in_days.and_then(|days| u32::try_from(days).ok());
    Durability {
        execution_timeout: change.execution_timeout.map_or(before.execution_timeout, seconds),
        retention_days: days.unwrap_or(before.retention_days),
        kms_key: clearable(change.kms_key_arn, before.kms_key),
    }
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(value.unsigned_abs().into())
}
