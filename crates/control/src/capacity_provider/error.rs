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
