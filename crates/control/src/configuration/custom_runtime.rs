//! Functions of the runtime `custom`, which a runtime of an account serves. There are no such runtimes here, so none is
//! looked for.
//!
//! No texts were found; they follow the one for functions without a runtime.

use firelet_api::model;
use firelet_store::definition::CustomRuntime;

use super::error::ConfigurationError;

/// The identifier of the runtimes that accounts own.
const CUSTOM: &str = "custom";

/// The runtime of the account that `runtime` needs. What was before goes with the runtime it was for.
pub(super) fn merge(
    change: Option<model::FunctionRuntimeConfig>,
    before: Option<CustomRuntime>,
    runtime: Option<&str>,
) -> Result<Option<CustomRuntime>, ConfigurationError> {
    let named = change.map(|config| CustomRuntime { arn: config.runtime_arn, alias: config.runtime_alias });
    match (runtime == Some(CUSTOM), named, before) {
        (true, Some(named), _) => Ok(Some(named)),
        (true, None, Some(before)) => Ok(Some(before)),
        (true, None, None) => Err(ConfigurationError::RuntimeConfigRequired),
        (false, Some(_), _) => Err(ConfigurationError::RuntimeConfigUnexpected),
        (false, None, _) => Ok(None),
    }
}
