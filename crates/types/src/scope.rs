//! Whose resource and where: account, Region, and both together.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that is not an account id or not a Region name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// An account id is twelve decimal digits.
    #[error("account id {0:?} is not 12 decimal digits")]
    Account(String),
    /// A Region name is lower-case letters, digits and dashes.
    #[error("Region {0:?} is not a Region name such as us-east-1")]
    Region(String),
}

/// The twelve digits that name an AWS account.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// The account of callers whose access key names none.
    #[must_use]
    pub fn local() -> Self {
        Self(Arc::from("000000000000"))
    }

    /// The twelve digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(ScopeError::Account(text.to_owned()))
        }
    }
}

/// A Region name: lower-case letters, digits and dashes, at most 32 characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(Arc<str>);

impl Region {
    /// The Region of callers who name none.
    #[must_use]
    pub fn local() -> Self {
        Self(Arc::from("us-east-1"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that ARNs of this Region start with, as in `arn:aws-cn:`.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        if self.0.starts_with("cn-") {
            "aws-cn"
        } else if self.0.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }
}

impl FromStr for Region {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if starts_well && text.len() <= 32 && text.bytes().all(allowed) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(ScopeError::Region(text.to_owned()))
        }
    }
}

macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ScopeError;

            fn try_from(text: String) -> Result<Self, ScopeError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.as_ref().to_owned()
            }
        }
    };
}

text_form!(AccountId);
text_form!(Region);

/// The account and Region that a request acts in; resources of one scope are invisible in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    /// The account that owns the resources.
    pub account: AccountId,
    /// The Region that holds them.
    pub region: Region,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_twelve_digits_name_an_account() {
        for (text, expected) in [
            ("123456789012", true),
            ("12345678901", false),
            ("1234567890123", false),
            ("12345678901x", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<AccountId>().is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn region_names_cannot_carry_paths() {
        for (text, expected) in [
            ("us-east-1", true),
            ("local", true),
            ("../etc", false),
            ("US-EAST-1", false),
            ("-x", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Region>().is_ok(), expected, "{text}");
        }
    }
}
