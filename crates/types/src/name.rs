//! Names that callers choose, and the qualifiers that pick a version of a function.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits;

/// A text that cannot name what it was meant to name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A function name is 1 to 64 of `[a-zA-Z0-9-_]`.
    #[error("function name {0:?} is not 1 to 64 letters, digits, dashes or underscores")]
    Function(String),
    /// A tenant id is 1 to 256 of `[a-zA-Z0-9._:/=+-@ ]`.
    #[error("tenant id {0:?} is not 1 to 256 letters, digits, spaces or any of ._:/=+-@")]
    Tenant(String),
}

/// The bare name of a function: 1 to 64 of `[a-zA-Z0-9-_]`, so it is safe in paths and ARNs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(Arc<str>);

impl FunctionName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

impl FromStr for FunctionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let length_fits = (1..=limits::FUNCTION_NAME_CHARACTERS).contains(&text.len());
        if length_fits && text.bytes().all(is_name_byte) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(NameError::Function(text.to_owned()))
        }
    }
}

impl TryFrom<String> for FunctionName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<FunctionName> for String {
    fn from(name: FunctionName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whom a caller invokes a function for: 1 to 256 of `[a-zA-Z0-9._:/=+-@ ]`, so it is safe in headers.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TenantId(Arc<str>);

impl FromStr for TenantId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/=+-@ ".contains(&byte);
        let length_fits = (1..=limits::TENANT_ID_CHARACTERS).contains(&text.len());
        if length_fits && text.bytes().all(is_allowed) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(NameError::Tenant(text.to_owned()))
        }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The number of a published version, from 1 upwards.
pub type VersionNumber = u64;

/// What follows the name of a function: a version, or the name of an alias.
///
/// Case matters: `$latest` is the name of no version, as on AWS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Qualifier {
    /// `$LATEST`, the version that updates change.
    Latest,
    /// `$LATEST.PUBLISHED`, the published version of a function of Lambda Managed Instances that has no number.
    LatestPublished,
    /// A published version.
    Version(VersionNumber),
    /// Any other text, which may or may not be the name of an alias.
    Name(String),
}

impl From<&str> for Qualifier {
    fn from(text: &str) -> Self {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && !text.starts_with('0') => Self::Version(number),
            _ if text == "$LATEST" => Self::Latest,
            _ if text == "$LATEST.PUBLISHED" => Self::LatestPublished,
            _ => Self::Name(text.to_owned()),
        }
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => formatter.write_str("$LATEST"),
            Self::LatestPublished => formatter.write_str("$LATEST.PUBLISHED"),
            Self::Version(number) => write!(formatter, "{number}"),
            Self::Name(name) => formatter.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn function_names_are_bounded() {
        let longest = "a".repeat(64);
        let too_long = "a".repeat(65);
        for (text, expected) in [
            ("a", true),
            ("A-b_9", true),
            (&*longest, true),
            (&*too_long, false),
            ("", false),
            ("a/b", false),
            ("a.b", false),
        ] {
            assert_eq!(text.parse::<FunctionName>().is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn tenant_ids_are_bounded() {
        let longest = "a".repeat(256);
        let too_long = "a".repeat(257);
        for (text, expected) in [
            ("blue", true),
            ("a b.c_d:e/f=g+h-i@j", true),
            (&*longest, true),
            (&*too_long, false),
            ("", false),
            ("a\nb", false),
            ("gr\u{fc}n", false),
        ] {
            assert_eq!(text.parse::<TenantId>().is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn qualifiers_are_told_apart() {
        for (text, expected) in [
            ("$LATEST", Qualifier::Latest),
            ("$LATEST.PUBLISHED", Qualifier::LatestPublished),
            ("7", Qualifier::Version(7)),
            ("live", Qualifier::Name("live".into())),
            ("$latest", Qualifier::Name("$latest".into())),
            ("007", Qualifier::Name("007".into())),
            ("99999999999999999999999", Qualifier::Name("99999999999999999999999".into())),
        ] {
            assert_eq!(Qualifier::from(text), expected);
        }
    }

    proptest! {
        #[test]
        fn qualifier_text_form_is_kept(text in "[a-zA-Z0-9$_-]{1,20}") {
            prop_assert_eq!(Qualifier::from(text.as_str()).to_string(), text);
        }
    }
}
