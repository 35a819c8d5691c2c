//! The ways to name a function: bare name, partial ARN, full ARN, each with or without a qualifier.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::name::{FunctionName, Qualifier, is_name_byte};
use crate::scope::{AccountId, Region, Scope};

/// A text that none of the accepted forms of a function identifier matches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a function name nor a function ARN")]
pub struct IdentifierError(String);

/// A function as a caller names it: `name`, `function:name`, `ACCOUNT:function:name` or a full ARN, each with an
/// optional `:qualifier`.
///
/// The name is kept as written: it may be longer than any function's name can be, or hold a dot, which the API
/// answers with "not found" and not with a validation error.
///
/// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>, `FunctionName`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionIdentifier {
    /// The Region of a full ARN.
    pub region: Option<Region>,
    /// The account of a full or partial ARN.
    pub account: Option<AccountId>,
    /// The name as written.
    pub name: String,
    /// The qualifier that the text carried.
    pub qualifier: Option<Qualifier>,
}

impl FromStr for FunctionIdentifier {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        parse(text).ok_or_else(|| IdentifierError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<FunctionIdentifier> {
    let (region, rest) = match text.strip_prefix("arn:") {
        Some(rest) => {
            let mut parts = rest.splitn(4, ':');
            let partition = parts.next()?;
            let service = parts.next()?;
            if !partition.starts_with("aws") || service != "lambda" {
                return None;
            }
            (Some(parts.next()?.parse().ok()?), parts.next()?)
        }
        None => (None, text),
    };
    let parts: Vec<&str> = rest.split(':').collect();
    let (account, name_and_qualifier) = match parts.as_slice() {
        [account, "function", rest @ ..] if account.len() == 12 => (Some(account.parse().ok()?), rest),
        _ if region.is_some() => return None,
        ["function", rest @ ..] if !rest.is_empty() => (None, rest),
        rest => (None, rest),
    };
    let (name, qualifier) = match name_and_qualifier {
        [name] => (*name, None),
        [name, qualifier] if !qualifier.is_empty() => (*name, Some(Qualifier::from(*qualifier))),
        _ => return None,
    };
    let is_allowed = |byte| is_name_byte(byte) || byte == b'.';
    if name.is_empty() || !name.bytes().all(is_allowed) {
        return None;
    }
    Some(FunctionIdentifier { region, account, name: name.to_owned(), qualifier })
}

/// The full ARN of a function, unqualified or qualified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionArn {
    /// The account and Region of the function.
    pub scope: Scope,
    /// The name of the function.
    pub name: FunctionName,
    /// The version or alias, where the ARN names one.
    pub qualifier: Option<Qualifier>,
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scope { account, region } = &self.scope;
        write!(formatter, "arn:{}:lambda:{region}:{account}:function:{}", region.partition(), self.name)?;
        match &self.qualifier {
            Some(qualifier) => write!(formatter, ":{qualifier}"),
            None => Ok(()),
        }
    }
}

/// The ARN of the runtime version behind a runtime identifier: the same for the same identifier, since firelet has
/// one version of each.
#[must_use]
pub fn runtime_version_arn(region: &Region, runtime: &str) -> String {
    let digest = Sha256::digest(runtime);
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("arn:{}:lambda:{region}::runtime:{hash}", region.partition())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Region, account, name, qualifier.
    type Parts<'a> = (Option<&'a str>, Option<&'a str>, &'a str, Option<&'a str>);

    fn check(text: &str, expected: Option<Parts<'_>>) {
        let expected = expected.map(|(region, account, name, qualifier)| FunctionIdentifier {
            region: region.map(|region| region.parse().unwrap()),
            account: account.map(|account| account.parse().unwrap()),
            name: name.to_owned(),
            qualifier: qualifier.map(Qualifier::from),
        });
        assert_eq!(text.parse::<FunctionIdentifier>().ok(), expected, "{text}");
    }

    #[test]
    fn every_accepted_form_is_read() {
        let (region, account) = (Some("eu-west-1"), Some("123456789012"));
        check("echo", Some((None, None, "echo", None)));
        check("echo:live", Some((None, None, "echo", Some("live"))));
        check("echo:$LATEST", Some((None, None, "echo", Some("$LATEST"))));
        check("function:echo", Some((None, None, "echo", None)));
        check("function:echo:1", Some((None, None, "echo", Some("1"))));
        check("123456789012:function:echo", Some((None, account, "echo", None)));
        check("123456789012:function:echo:2", Some((None, account, "echo", Some("2"))));
        check("arn:aws:lambda:eu-west-1:123456789012:function:echo", Some((region, account, "echo", None)));
        check(
            "arn:aws-cn:lambda:eu-west-1:123456789012:function:echo:x",
            Some((region, account, "echo", Some("x"))),
        );
        check("name.with.dots", Some((None, None, "name.with.dots", None)));
        check("function", Some((None, None, "function", None)));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            ":",
            "a:",
            ":a",
            "a:b:c",
            "../etc/passwd",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:eu-west-1:echo",
            "arn:aws:lambda:eu-west-1:123:function:echo",
            "arn:aws:lambda:EU:123456789012:function:echo",
            "12345678901x:function:echo",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn arn_text_reads_back(name in "[a-zA-Z0-9_-]{1,64}", qualifier in proptest::option::of("[a-zA-Z0-9_-]{1,12}")) {
            let scope = Scope { account: AccountId::local(), region: Region::local() };
            let arn = FunctionArn {
                scope: scope.clone(),
                name: name.parse().unwrap(),
                qualifier: qualifier.as_deref().map(Qualifier::from),
            };
            let read: FunctionIdentifier = arn.to_string().parse().unwrap();
            prop_assert_eq!(read.name, name);
            prop_assert_eq!(read.qualifier, arn.qualifier);
            prop_assert_eq!(read.account, Some(scope.account));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            let _ = text.parse::<FunctionIdentifier>();
        }
    }
}
