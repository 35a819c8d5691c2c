//! Any signature, in the header or in the query: a caller with a valid scope, or a refusal.
//!
//! The first line is the query, the second the `Authorization` header, the third `X-Amz-Date`; an empty or missing
//! line leaves the part out.

#![no_main]

use firelet_auth::caller;
use firelet_types::{AccountId, Region};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |byte| *byte == b'\n').map(|line| (!line.is_empty()).then_some(line));
    let query = lines.next().flatten().and_then(|line| std::str::from_utf8(line).ok());
    let mut headers = HeaderMap::new();
    for name in [AUTHORIZATION, http::HeaderName::from_static("x-amz-date")] {
        if let Some(value) = lines.next().flatten().and_then(|line| HeaderValue::from_bytes(line).ok()) {
            headers.insert(name, value);
        }
    }
    match caller(&headers, query) {
        Ok(caller) => {
            let account = caller.scope.account.as_str();
            let region = caller.scope.region.as_str();
            assert!(account.parse::<AccountId>().is_ok_and(|read| read == caller.scope.account));
            assert!(region.parse::<Region>().is_ok_and(|read| read == caller.scope.region));
            // Both become names of folders.
            assert!(![account, region].iter().any(|name| name.is_empty() || name.contains(['/', '.', '\0'])));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
