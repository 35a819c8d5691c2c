//! Refusals about reserved concurrency, in AWS's words.

/// Why concurrency cannot be reserved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConcurrencyError {
    /// Functions without reservation would be left with too little.
    #[error(
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below \
         its minimum value of [{minimum}]."
    )]
    UnreservedMinimum {
        /// What must be left.
        minimum: u32,
    },
    /// Less than what is provisioned for the function's versions.
    #[error(
        " ReservedConcurrentExecutions  {reserved} should not be lower than function's total provisioned concurrency \
         [{provisioned}]."
    )]
    BelowProvisioned {
        /// What the caller wants to reserve.
        reserved: u32,
        /// What is provisioned.
        provisioned: u32,
    },
}
