//! How a function's logs are written: updates are merged, and levels go with JSON.

use firelet_api::model;
use firelet_store::definition::{LogFormat, Logging};

use super::error::ConfigurationError;

const DEFAULT_LOG_LEVEL: &str = "INFO";

/// JSON of the usual levels, in the group named after the function.
pub(super) fn json() -> Logging {
    let level = || DEFAULT_LOG_LEVEL.to_owned();
    Logging { format: LogFormat::Json { application_level: level(), system_level: level() }, group: None }
}

/// Applies a change. The text for levels of texts as recorded in <https://github.com/aws/aws-cdk/pull/28045>.
pub(super) fn merge(
    change: Option<model::LoggingConfig>,
    before: Logging,
) -> Result<Logging, ConfigurationError> {
    let Some(change) = change else { return Ok(before) };
    let has_level = change.application_log_level.is_some() || change.system_log_level.is_some();
    let (application, system) = match before.format.clone() {
        LogFormat::Json { application_level, system_level } => (application_level, system_level),
        LogFormat::Text => (DEFAULT_LOG_LEVEL.to_owned(), DEFAULT_LOG_LEVEL.to_owned()),
    };
    let is_json = match change.log_format {
        Some(format) => format == model::LogFormat::Json,
        None => before.format != LogFormat::Text,
    };
    if has_level && !is_json {
        return Err(ConfigurationError::LogLevelOfText);
    }
    let format = if is_json {
        LogFormat::Json {
            application_level: change.application_log_level.map_or(application, |level| level.to_string()),
            system_level: change.system_log_level.map_or(system, |level| level.to_string()),
        }
    } else {
        LogFormat::Text
    };
    Ok(Logging { format, group: change.log_group.or(before.group) })
}
