//! How long an environment has to end: a pure decision.

use std::time::Duration;

use crate::extensions::Kinds;

/// The time of one shutdown phase.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// The runtime's part, which comes first.
    pub(super) runtime: Duration,
    /// After that what is left is killed.
    pub(super) total: Duration,
}

impl Allowance {
    pub(super) const fn of(kinds: Kinds) -> Self {
        let (runtime, total) = match kinds {
            Kinds { internal: false, external: false } => (0, 0),
            Kinds { internal: true, external: false } => (500, 500),
            Kinds { internal: false, external: true } => (300, 2_000),
            Kinds { internal: true, external: true } => (500, 2_000),
        };
        Self { runtime: Duration::from_millis(runtime), total: Duration::from_millis(total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_goes_first_and_extensions_have_the_rest() {
        for (internal, external, runtime, total) in [
            (false, false, 0, 0),
            (true, false, 500, 500),
            (false, true, 300, 2_000),
            (true, true, 500, 2_000),
        ] {
            let allowance = Allowance::of(Kinds { internal, external });
            let milliseconds = (allowance.runtime.as_millis(), allowance.total.as_millis());
            assert_eq!(milliseconds, (runtime, total), "internal {internal}, external {external}");
        }
    }
}
