//! Refusals about runtime management.

/// Why a runtime management configuration is not taken: `InvalidParameterValueException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeManagementError {
    /// `Manual` needs to know at which version the runtime is to stay.
    #[error(
        "1 validation error detected: Value null at 'runtimeVersionArn' failed to satisfy constraint: Member must not \
         be null."
    )]
    VersionRequired,
    /// The runtime of the function has no such version.
    #[error("Runtime version {arn} does not exist.")]
    VersionMissing {
        /// The ARN that the caller gave.
        arn: String,
    },
}
