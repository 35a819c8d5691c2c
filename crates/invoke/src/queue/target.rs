//! Who hears of the end of an asynchronous invocation.
//!
//! Functions are told by an event of their own. Queues, topics, buses and buckets are named to the operator and not
//! told: firelet has no clients for them.

use firelet_types::{FunctionIdentifier, FunctionName, Qualifier, Scope};

/// A destination, as far as firelet knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A function of the same account and Region.
    Function(FunctionName, Option<Qualifier>),
    /// Anything else.
    Elsewhere,
}

impl Target {
    /// The target that `arn` names for a function in `scope`.
    pub(crate) fn of(scope: &Scope, arn: &str) -> Self {
        let Ok(named) = arn.parse::<FunctionIdentifier>() else { return Self::Elsewhere };
        let is_here = named.account.as_ref().is_none_or(|account| *account == scope.account)
            && named.region.as_ref().is_none_or(|region| *region == scope.region);
        match named.name.parse() {
            Ok(name) if is_here => Self::Function(name, named.qualifier),
            _ => Self::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use firelet_types::{AccountId, Region};

    use super::*;

    #[test]
    fn only_functions_of_the_same_account_and_region_are_told() {
        let scope = Scope { account: AccountId::local(), region: Region::local() };
        let function = |qualifier: Option<&str>| {
            Target::Function("next".parse().unwrap(), qualifier.map(Qualifier::from))
        };
        for (arn, expected) in [
            ("arn:aws:lambda:us-east-1:000000000000:function:next", function(None)),
            ("arn:aws:lambda:us-east-1:000000000000:function:next:live", function(Some("live"))),
            ("arn:aws:lambda:us-east-1:111111111111:function:next", Target::Elsewhere),
            ("arn:aws:lambda:eu-west-1:000000000000:function:next", Target::Elsewhere),
            ("arn:aws:sqs:us-east-1:000000000000:queue", Target::Elsewhere),
            ("arn:aws:events:us-east-1:000000000000:event-bus/default", Target::Elsewhere),
            ("arn:aws:s3:::bucket", Target::Elsewhere),
        ] {
            assert_eq!(Target::of(&scope, arn), expected, "{arn}");
        }
    }
}
