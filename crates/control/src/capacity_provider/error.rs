//! Refusals about capacity providers, in AWS's words where they are known.

use firelet_store::capacity_provider::ProvidedVersion;
use firelet_types::{CapacityProviderArn, Scope};

/// Why a request about a capacity provider was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapacityProviderError {
    /// `InvalidParameterValueException`: targets where Lambda decides.
    #[error("A scaling policy can't be specified when the scalingMode is set to Auto")]
    PolicyOfAuto,
    /// `InvalidParameterValueException`: no targets where the caller decides.
    #[error("A scaling policy must be specified when the scalingMode is set to Manual")]
    PolicyMissing,
    /// `ResourceConflictException`: there is a provider of this name.
    #[error("Capacity provider already exists: {arn}")]
    Exists {
        /// The ARN of the provider.
        arn: CapacityProviderArn,
    },
    /// `ResourceConflictException`: versions are configured with it.
    #[error(
        "Unable to delete capacity provider because the following function versions reference it: [{versions}]"
    )]
    InUse {
        /// The ARNs of the first of them, joined by commas.
        versions: String,
    },
    /// `ResourceConflictException`: it is about to be gone.
    #[error(
        "The operation cannot be performed at this time. The capacity provider is currently in the following state: \
         Deleting"
    )]
    Deleting,
    /// `InvalidParameterValueException`: a function that was made without a capacity provider.
    #[error("CapacityProviderConfig isn't supported for Lambda Default functions.")]
    DefaultFunction,
    /// `InvalidParameterValueException`: the scaling of such a function.
    #[error("FunctionScalingConfig isn't supported for Lambda Default functions.")]
    DefaultFunctionScaling,
    /// `InvalidParameterValueException`: publishing such a function without a number.
    #[error("LATEST_PUBLISHED isn't a valid value for this field.")]
    PublishTo,
    /// `InvalidParameterValueException`: the network is that of the capacity provider.
    #[error("You can't use Lambda Managed Instance functions with VPC configurations.")]
    Network,
    /// `ValidationException`: too little memory.
    #[error("Lambda Managed Instance functions must have memory size greater than or equal to 2048")]
    MemoryMinimum,
    /// `InvalidParameterValueException`: logs of executions at one time cannot be told apart as text.
    #[error(
        "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or change the \
         LogFormat to \"JSON\" and try again."
    )]
    LogText,
    /// `InvalidParameterValueException`: the runtime takes one execution at a time.
    #[error("{runtime} is not supported for Lambda Managed Instance functions.")]
    Runtime {
        /// The runtime of the function.
        runtime: String,
    },
    /// `InvalidParameterValueException`: environments are made ahead, so there is nothing to gain.
    #[error("SnapStart is not supported for Lambda Managed Instance functions.")]
    SnapStart,
    /// `InvalidParameterValueException`: bounds that no number is within.
    #[error("MinExecutionEnvironments cannot be greater than MaxExecutionEnvironments.")]
    ScalingBounds,
    /// `FunctionVersionsPerCapacityProviderLimitExceededException`.
    #[error("Function versions per capacity provider limit exceeded.")]
    VersionLimit,
    /// `CapacityProviderLimitExceededException`.
    #[error("Capacity provider limit exceeded.")]
    Limit,
}

impl CapacityProviderError {
    pub(super) fn in_use(scope: &Scope, versions: &[ProvidedVersion]) -> Self {
        let arns: Vec<String> = versions.iter().map(|version| version.arn(scope).to_string()).collect();
        Self::InUse { versions: arns.join(", ") }
    }
}
