//! Signature Version 4, in the `Authorization` header or the query of a presigned request.
//!
//! See <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html>. The texts of
//! refusals are those that AWS services answer for malformed signatures.

use firelet_types::{AccountId, Region, Scope};
use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE};
use percent_encoding::percent_decode_str;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What the query of a presigned request carries.
const PRESIGNED: [&str; 5] =
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"];
const TERMINATOR: &str = "aws4_request";

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account, from an access key id of twelve digits, and the Region, from the signature's scope.
    pub scope: Scope,
    /// The access key id, where the request is signed.
    pub access_key_id: Option<String>,
}

/// Why a signature cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Parts of the signature are missing or malformed; the text is for the caller.
    #[error("{0}")]
    Incomplete(String),
    /// The signature is not one that any key could make.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

/// The caller of a request with these headers and query. A request without a signature is anonymous.
///
/// # Errors
///
/// When there is a signature and it is malformed.
pub fn caller(headers: &HeaderMap, query: Option<&str>) -> Result<Caller, Error> {
    match headers.get(AUTHORIZATION) {
        Some(value) => {
            let text =
                value.to_str().map_err(|_| Error::Incomplete("Authorization header is not text.".into()))?;
            from_header(text, headers)
        }
        None => from_query(query.unwrap_or_default()),
    }
}

fn from_header(text: &str, headers: &HeaderMap) -> Result<Caller, Error> {
    let Some(parameters) = text.strip_prefix(ALGORITHM) else {
        let first = text.split([' ', ',']).next().unwrap_or_default();
        return Err(Error::Incomplete(format!(
            "'{first}' not a valid key=value pair (missing equal-sign) in Authorization header: '{text}'."
        )));
    };
    let parameter = |name: &str| {
        let mut parts = parameters.split(',').filter_map(|part| part.trim().split_once('='));
        parts.find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value)
    };
    let mut missing = String::new();
    for name in ["Credential", "Signature", "SignedHeaders"] {
        if parameter(name).is_none() {
            missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
        }
    }
    if !headers.contains_key("x-amz-date") && !headers.contains_key(DATE) {
        missing.push_str(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        );
    }
    match (parameter("Credential"), parameter("Signature")) {
        (Some(credential), Some(signature)) if missing.is_empty() => {
            let caller = from_credential(credential)?;
            if is_signature(signature) { Ok(caller) } else { Err(Error::Mismatch) }
        }
        _ => Err(Error::Incomplete(format!("{missing}Authorization={text}"))),
    }
}

/// A signature is an HMAC-SHA256 in lower-case hexadecimal digits.
fn is_signature(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn from_query(query: &str) -> Result<Caller, Error> {
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, value)| *key == name && !value.is_empty())?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    let names = PRESIGNED.map(|name| (name, parameter(name)));
    if names.iter().all(|(_, value)| value.is_none()) {
        return Ok(Caller { scope: scope("", None)?, access_key_id: None });
    }
    let missing: Vec<&str> =
        names.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    let [(_, algorithm), (_, credential), _, _, (_, signature)] = names;
    match (algorithm, credential, signature) {
        (Some(algorithm), Some(credential), Some(signature)) if missing.is_empty() => {
            let caller = from_credential(&credential)?;
            if algorithm == ALGORITHM && is_signature(&signature) { Ok(caller) } else { Err(Error::Mismatch) }
        }
        _ => Err(Error::Incomplete(format!(
            "AWS query-string parameters must include {}. Re-examine the query-string parameters.",
            missing.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn from_credential(credential: &str) -> Result<Caller, Error> {
    let elements: Vec<&str> = credential.split('/').collect();
    let [access_key_id, date, region, _service, terminator] = elements[..] else {
        return Err(Error::Incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
             '{credential}'"
        )));
    };
    if terminator != TERMINATOR {
        return Err(Error::Incomplete(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'."
        )));
    }
    if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Incomplete(format!(
            "Date in Credential scope is not of the form YYYYMMDD: '{date}'."
        )));
    }
    Ok(Caller { scope: scope(access_key_id, Some(region))?, access_key_id: Some(access_key_id.to_owned()) })
}

fn scope(access_key_id: &str, region: Option<&str>) -> Result<Scope, Error> {
    let account = access_key_id.parse().unwrap_or_else(|_| AccountId::local());
    let region = match region {
        Some(text) => text.parse().map_err(|_| {
            Error::Incomplete(format!("Credential should be scoped to a valid region, not '{text}'."))
        })?,
        None => Region::local(),
    };
    Ok(Scope { account, region })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        headers.insert("x-amz-date", "20261123T000000Z".parse().unwrap());
        headers
    }

    #[track_caller]
    fn check(authorization: &str, expected: Result<(&str, &str), &str>) {
        let caller = caller(&headers(authorization), None);
        let caller = caller.map(|caller| (caller.scope.account.to_string(), caller.scope.region.to_string()));
        let expected = expected
            .map(|(account, region)| (account.to_owned(), region.to_owned()))
            .map_err(|text| Error::Incomplete(text.to_owned()));
        assert_eq!(caller, expected);
    }

    fn signed(credential: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={}",
            "0f".repeat(32)
        )
    }

    #[test]
    fn twelve_digits_name_the_account_and_the_scope_the_region() {
        let (account, other) = ("123456789012", "000000000000");
        check(&signed("123456789012/20261123/eu-west-1/lambda/aws4_request"), Ok((account, "eu-west-1")));
        check(&signed("AKIDEXAMPLE/20261123/us-west-2/lambda/aws4_request"), Ok((other, "us-west-2")));
    }

    #[test]
    fn unsigned_requests_are_anonymous() {
        let caller = caller(&HeaderMap::new(), Some("a=b")).unwrap();
        assert_eq!(
            (caller.scope.account.as_str(), caller.scope.region.as_str()),
            ("000000000000", "us-east-1")
        );
        assert_eq!(caller.access_key_id, None);
    }

    #[test]
    fn presigned_requests_carry_the_credential_in_the_query() {
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=123456789012%2F20261123%2Feu-west-1%2Flambda\
             %2Faws4_request&X-Amz-Date=20261123T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
            "0f".repeat(32)
        );
        let half = query.split("&X-Amz-Signature").next().unwrap();
        assert!(matches!(caller(&HeaderMap::new(), Some(half)), Err(Error::Incomplete(_))));
        let caller = caller(&HeaderMap::new(), Some(&query)).unwrap();
        assert_eq!(
            (caller.scope.account.as_str(), caller.scope.region.as_str()),
            ("123456789012", "eu-west-1")
        );
    }

    #[test]
    fn malformed_signatures_are_refused() {
        check(
            "AWS4-HMAC-SHA256 SignedHeaders=host",
            Err(
                "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' \
                 parameter. Authorization=AWS4-HMAC-SHA256 SignedHeaders=host",
            ),
        );
        check(
            "Bearer token",
            Err(
                "'Bearer' not a valid key=value pair (missing equal-sign) in Authorization header: 'Bearer token'.",
            ),
        );
        check(
            &signed("key/20261123/us-east-1"),
            Err(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
                 'key/20261123/us-east-1'",
            ),
        );
        check(
            &signed("key/20261123/US_EAST/lambda/aws4_request"),
            Err("Credential should be scoped to a valid region, not 'US_EAST'."),
        );
    }

    #[test]
    fn a_signature_that_no_key_makes_does_not_match() {
        for signature in ["abc", &"z".repeat(64), &"F".repeat(64)] {
            let text = format!(
                "AWS4-HMAC-SHA256 Credential=k/20261123/us-east-1/lambda/aws4_request, SignedHeaders=host, \
                 Signature={signature}"
            );
            assert_eq!(caller(&headers(&text), None), Err(Error::Mismatch), "{signature}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered(text in "[ -~]{0,200}") {
            let _ = caller(&headers(&text), None);
            let _ = caller(&headers(&signed(&text)), None);
            let _ = caller(&HeaderMap::new(), Some(&text));
        }
    }
}
