//! The ways to name a layer and a version of one: bare name, layer ARN, layer version ARN.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::name::{VersionNumber, is_name_byte};
use crate::scope::Scope;

/// A text that names no layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// A layer name is 1 to 140 of `[a-zA-Z0-9-_]`.
    #[error("layer name {0:?} is not 1 to 140 letters, digits, dashes or underscores")]
    Name(String),
    /// Neither a name nor the ARN of a layer.
    #[error("{0:?} is neither a layer name nor a layer ARN")]
    Identifier(String),
    /// Not the ARN of a layer version.
    #[error("{0:?} is not the ARN of a layer version")]
    VersionArn(String),
}

/// The bare name of a layer: 1 to 140 of `[a-zA-Z0-9-_]`, so it is safe in paths and ARNs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerName(Arc<str>);

impl LayerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LayerName {
    type Err = LayerError;

    fn from_str(text: &str) -> Result<Self, LayerError> {
        let length_fits = (1..=limits::LAYER_NAME_CHARACTERS).contains(&text.len());
        if length_fits && text.bytes().all(is_name_byte) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(LayerError::Name(text.to_owned()))
        }
    }
}

impl TryFrom<String> for LayerName {
    type Error = LayerError;

    fn try_from(text: String) -> Result<Self, LayerError> {
        text.parse()
    }
}

impl From<LayerName> for String {
    fn from(name: LayerName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for LayerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The ARN of a layer, whichever its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LayerArn {
    /// The account and Region of the layer.
    pub scope: Scope,
    /// The name of the layer.
    pub name: LayerName,
}

impl LayerArn {
    /// The layer that `text`, a name or an ARN, means in a request of `scope`.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html>, `LayerName`.
    ///
    /// # Errors
    /// When the text is neither a name nor the ARN of a layer.
    pub fn resolve(scope: &Scope, text: &str) -> Result<Self, LayerError> {
        if text.starts_with("arn:") {
            return text.parse();
        }
        let name = text.parse().map_err(|_| LayerError::Identifier(text.to_owned()))?;
        Ok(Self { scope: scope.clone(), name })
    }

    /// One version of this layer.
    #[must_use]
    pub fn version(self, number: VersionNumber) -> LayerVersionArn {
        LayerVersionArn { layer: self, number }
    }
}

impl fmt::Display for LayerArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scope { account, region } = &self.scope;
        write!(formatter, "arn:{}:lambda:{region}:{account}:layer:{}", region.partition(), self.name)
    }
}

impl FromStr for LayerArn {
    type Err = LayerError;

    fn from_str(text: &str) -> Result<Self, LayerError> {
        let parts: Vec<&str> = text.split(':').collect();
        layer(&parts).ok_or_else(|| LayerError::Identifier(text.to_owned()))
    }
}

/// The ARN of one version of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerVersionArn {
    /// The layer.
    pub layer: LayerArn,
    /// The number of the version.
    pub number: VersionNumber,
}

impl fmt::Display for LayerVersionArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.layer, self.number)
    }
}

impl FromStr for LayerVersionArn {
    type Err = LayerError;

    fn from_str(text: &str) -> Result<Self, LayerError> {
        let parse = || {
            let (layer_text, number) = text.rsplit_once(':')?;
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            let number = number.parse().ok().filter(|_| digits)?;
            Some(Self { layer: layer_text.parse().ok()?, number })
        };
        parse().ok_or_else(|| LayerError::VersionArn(text.to_owned()))
    }
}

impl TryFrom<String> for LayerVersionArn {
    type Error = LayerError;

    fn try_from(text: String) -> Result<Self, LayerError> {
        text.parse()
    }
}

impl From<LayerVersionArn> for String {
    fn from(arn: LayerVersionArn) -> String {
        arn.to_string()
    }
}

fn layer(parts: &[&str]) -> Option<LayerArn> {
    match parts {
        ["arn", partition, "lambda", region, account, "layer", name]
            if partition.is_empty() || partition.starts_with("aws") =>
        {
            let scope = Scope { account: account.parse().ok()?, region: region.parse().ok()? };
            Some(LayerArn { scope, name: name.parse().ok()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AccountId, Region};

    fn scope() -> Scope {
        Scope { account: AccountId::local(), region: Region::local() }
    }

    #[test]
    fn layers_are_named_by_name_or_arn() {
        let check = |text: &str, expected: Option<&str>| {
            let found = LayerArn::resolve(&scope(), text).ok().map(|arn| arn.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        let own = "arn:aws:lambda:us-east-1:000000000000:layer:numpy";
        check("numpy", Some(own));
        check(own, Some(own));
        let theirs = "arn:aws:lambda:eu-west-1:123456789012:layer:numpy";
        check(theirs, Some(theirs));
        for wrong in
            ["", "a.b", "../x", "arn:aws:lambda:us-east-1:0:layer:x", "arn:aws:s3:::x", &format!("{own}:1")]
        {
            check(wrong, None);
        }
        check(&"x".repeat(140), Some(&format!("{}{}", &own[..own.len() - 5], "x".repeat(140))));
        check(&"x".repeat(141), None);
    }

    #[test]
    fn versions_are_named_by_arn_alone() {
        for wrong in [
            "numpy:1",
            "arn:aws:lambda:us-east-1:000000000000:layer:numpy",
            "arn:aws:lambda:us-east-1:000000000000:layer:numpy:",
            "arn:aws:lambda:us-east-1:000000000000:layer:numpy:+1",
            "arn:aws:lambda:us-east-1:000000000000:layer:numpy:99999999999999999999999",
            "arn:aws:lambda:::awslayer:AmazonLinux1803",
        ] {
            assert!(wrong.parse::<LayerVersionArn>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn version_arn_text_reads_back(name in "[a-zA-Z0-9_-]{1,140}", number: u64) {
            let arn = LayerArn { scope: scope(), name: name.parse().unwrap() }.version(number);
            prop_assert_eq!(arn.to_string().parse::<LayerVersionArn>().unwrap(), arn);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            let _ = LayerArn::resolve(&scope(), &text);
            let _ = text.parse::<LayerVersionArn>();
        }
    }
}
