//! The name of a capacity provider and its ARN.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::name::is_name_byte;
use crate::scope::Scope;

/// A text that names no capacity provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapacityProviderError {
    /// A name is 1 to 64 of `[a-zA-Z0-9-_]`.
    #[error("capacity provider name {0:?} is not 1 to 64 letters, digits, dashes or underscores")]
    Name(String),
    /// Not the ARN of a capacity provider.
    #[error("{0:?} is not the ARN of a capacity provider")]
    Arn(String),
}

/// The bare name of a capacity provider: 1 to 64 of `[a-zA-Z0-9-_]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CapacityProviderName(Arc<str>);

impl CapacityProviderName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CapacityProviderName {
    type Err = CapacityProviderError;

    fn from_str(text: &str) -> Result<Self, CapacityProviderError> {
        let length_fits = (1..=limits::CAPACITY_PROVIDER_NAME_CHARACTERS).contains(&text.len());
        if length_fits && text.bytes().all(is_name_byte) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(CapacityProviderError::Name(text.to_owned()))
        }
    }
}

impl TryFrom<String> for CapacityProviderName {
    type Error = CapacityProviderError;

    fn try_from(text: String) -> Result<Self, CapacityProviderError> {
        text.parse()
    }
}

impl From<CapacityProviderName> for String {
    fn from(name: CapacityProviderName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for CapacityProviderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for CapacityProviderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The ARN of a capacity provider.
///
/// See <https://docs.aws.amazon.com/lambda/latest/api/API_CapacityProvider.html>, `CapacityProviderArn`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CapacityProviderArn {
    /// The account and Region of the provider.
    pub scope: Scope,
    /// The name of the provider.
    pub name: CapacityProviderName,
}

impl fmt::Display for CapacityProviderArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scope { account, region } = &self.scope;
        write!(
            formatter,
            "arn:{}:lambda:{region}:{account}:capacity-provider:{}",
            region.partition(),
            self.name
        )
    }
}

impl FromStr for CapacityProviderArn {
    type Err = CapacityProviderError;

    fn from_str(text: &str) -> Result<Self, CapacityProviderError> {
        parse(text).ok_or_else(|| CapacityProviderError::Arn(text.to_owned()))
    }
}

impl TryFrom<String> for CapacityProviderArn {
    type Error = CapacityProviderError;

    fn try_from(text: String) -> Result<Self, CapacityProviderError> {
        text.parse()
    }
}

impl From<CapacityProviderArn> for String {
    fn from(arn: CapacityProviderArn) -> String {
        arn.to_string()
    }
}

fn parse(text: &str) -> Option<CapacityProviderArn> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "lambda", region, account, "capacity-provider", name]
            if partition.starts_with("aws") =>
        {
            let scope = Scope { account: account.parse().ok()?, region: region.parse().ok()? };
            Some(CapacityProviderArn { scope, name: name.parse().ok()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AccountId, Region};

    #[test]
    fn names_are_as_long_as_a_tag_can_name() {
        for (name, expected) in [
            ("pool", true),
            ("P_o-1", true),
            ("", false),
            ("a.b", false),
            ("a:b", false),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
        ] {
            assert_eq!(name.parse::<CapacityProviderName>().is_ok(), expected, "{name}");
        }
    }

    #[test]
    fn other_arns_are_refused() {
        for text in [
            "pool",
            "arn:aws:lambda:us-east-1:000000000000:function:pool",
            "arn:aws:lambda:us-east-1:000000000000:capacity-provider:",
            "arn:aws:lambda:us-east-1:000000000000:capacity-provider:pool:1",
            "arn:aws:lambda:us-east-1:0:capacity-provider:pool",
            "arn:aws:ecs:us-east-1:000000000000:capacity-provider:pool",
        ] {
            assert!(text.parse::<CapacityProviderArn>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arn_text_reads_back(name in "[a-zA-Z0-9_-]{1,64}") {
            let scope = Scope { account: AccountId::local(), region: Region::local() };
            let arn = CapacityProviderArn { scope, name: name.parse().unwrap() };
            prop_assert_eq!(arn.to_string().parse::<CapacityProviderArn>().unwrap(), arn);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            let _ = text.parse::<CapacityProviderArn>();
        }
    }
}
