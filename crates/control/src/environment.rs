//! Which environment variables a function may have.

use std::collections::BTreeMap;

use firelet_store::definition::Environment;
use firelet_types::limits::ENVIRONMENT_BYTES;

use crate::error::{Error, InvalidParameter};

/// Keys that Lambda sets itself.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>.
const RESERVED: &[&str] = &[
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
];

pub(crate) fn parse(variables: BTreeMap<String, String>) -> Result<Environment, Error> {
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|key| RESERVED.contains(key)).collect();
    if !reserved.is_empty() {
        return Err(InvalidParameter::ReservedVariables { keys: reserved.join(", ") }.into());
    }
    let measured = serde_json::to_string(&variables).unwrap_or_default();
    if measured.len() > ENVIRONMENT_BYTES {
        return Err(InvalidParameter::EnvironmentSize { measured }.into());
    }
    Ok(Environment(variables))
}
