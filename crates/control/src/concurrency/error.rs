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
}
