//! Function URLs: the id that names one, and the address that it stands in.

use std::fmt;
use std::str::FromStr;

use crate::id::Ids;
use crate::scope::Region;

/// A text that is not the id of a function URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not 32 lower-case letters or digits")]
pub struct FunctionUrlIdError(String);

/// One function URL: 32 lower-case letters or digits, the first label of its host.
///
/// See <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html>.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionUrlId(String);

impl FunctionUrlId {
    const CHARACTERS: usize = 32;

    /// An id from `ids`.
    #[must_use]
    pub fn new(ids: &Ids) -> Self {
        Self(ids.uuid().simple().to_string())
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, as AWS spells it for a function of `region`.
    #[must_use]
    pub fn url(&self, region: &Region) -> String {
        format!("https://{self}.lambda-url.{region}.on.aws/")
    }
}

impl fmt::Display for FunctionUrlId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for FunctionUrlId {
    type Err = FunctionUrlIdError;

    fn from_str(text: &str) -> Result<Self, FunctionUrlIdError> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if text.len() == Self::CHARACTERS && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(FunctionUrlIdError(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        let id = FunctionUrlId::new(&Ids::system());
        assert_eq!(id.as_str().parse(), Ok(id));
        let (short, long, upper) = ("a".repeat(31), "a".repeat(33), format!("A{}", "a".repeat(31)));
        for wrong in ["", &short, &long, &upper, "0123456789abcdef0123456789abcde."] {
            assert!(wrong.parse::<FunctionUrlId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_names_the_id_and_the_region() {
        let id: FunctionUrlId = "33pz7pombdqwu3bdlxp4lqxyra0bsriy".parse().unwrap();
        let url = id.url(&Region::local());
        assert_eq!(url, "https://33pz7pombdqwu3bdlxp4lqxyra0bsriy.lambda-url.us-east-1.on.aws/");
    }
}
