//! Refusals about provisioned concurrency, in AWS's words.
//!
//! Recorded in localstack's `tests/aws/services/lambda_/test_lambda_api.snapshot.json`,
//! `TestLambdaProvisionedConcurrency`, but for those that name another source.

/// Why concurrency cannot be provisioned, or is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionedConcurrencyError {
    /// `InvalidParameterValueException`: for `$LATEST`, or an alias of it.
    #[error("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")]
    Unpublished,
    /// `InvalidParameterValueException`: of `$LATEST`, which has none.
    #[error("The function resource provided must be an alias or a published version.")]
    OfUnpublished,
    /// `ProvisionedConcurrencyConfigNotFoundException`.
    #[error("No Provisioned Concurrency Config found for this function")]
    Missing,
    /// `ResourceConflictException`: for an alias of a version that has its own, or has it by another alias.
    #[error(
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
    )]
    VersionProvisioned,
    /// `ResourceConflictException`: for a version that has it by an alias.
    #[error("Version is pointed by a Provisioned Concurrency alias")]
    AliasProvisioned,
    /// `InvalidParameterValueException`: for an alias that leads to two versions, as reported in
    /// <https://github.com/hashicorp/terraform/issues/24957>.
    #[error("Alias with weights can not be used with Provisioned Concurrency")]
    AliasWithWeights,
    /// `InvalidParameterValueException`: an alias with provisioned concurrency goes to another version while it leads to
    /// two, as reported in <https://github.com/gradientedge/cdk-utils/pull/1110>.
    #[error("Invalid alias configuration for Provisioned Concurrency")]
    AliasMovesWithWeights,
    /// `InvalidParameterValueException`: for a version that starts from a snapshot. Documented as impossible; no recording
    /// of the text.
    #[error("Provisioned Concurrency is not supported for SnapStart enabled functions.")]
    SnapStart,
    /// `InvalidParameterValueException`: for a function that keeps tenants apart. Documented as impossible; no recording
    /// of the text.
    #[error("Provisioned Concurrency is not supported for functions enabled with tenancy configuration.")]
    Tenancy,
    /// `InvalidParameterValueException`: more than the function reserves.
    #[error(
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    )]
    AboveReservation,
    /// `InvalidParameterValueException` without a `Type`: more than the account has.
    #[error(
        "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{unreserved}]."
    )]
    AboveAccount {
        /// What the account has for functions that reserve nothing.
        unreserved: u64,
    },
    /// `InvalidParameterValueException` without a `Type`: others would be left with too little, as reported in
    /// <https://github.com/anomalyco/sst/issues/5829>.
    #[error(
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its \
         minimum value of [{minimum}]."
    )]
    UnreservedMinimum {
        /// What must be left.
        minimum: u32,
    },
}
