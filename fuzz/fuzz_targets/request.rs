//! Any request of the Lambda API: routed, decoded and checked, or refused.
//!
//! The input is written as on the wire, `METHOD PATH?QUERY`, header lines, an empty line, the body; what no HTTP
//! server would let through ends the run.

#![no_main]

use bytes::Bytes;
use firelet_api::{ApiError, Request, check, route};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((method, uri, headers, body)) = read(input) else { return };
    let routed = match route(&method, uri.path(), uri.query()) {
        Ok(routed) => routed,
        Err(error) => return check_refusal(error.into()),
    };
    assert!(routed.labels.iter().all(|(_, label)| !label.is_empty()));
    let request = Request { labels: &routed.labels, query: &routed.query, headers: &headers, body };
    if let Err(error) = check(routed.operation, &request) {
        check_refusal(error.into());
    }
});

fn check_refusal(error: ApiError) {
    let encoded = error.encode();
    assert!((400..500).contains(&encoded.status), "{}", encoded.status);
    assert!(std::str::from_utf8(&encoded.body).is_ok_and(|body| body.starts_with('{')));
}

fn read(input: &[u8]) -> Option<(Method, Uri, HeaderMap, Bytes)> {
    let (first, mut rest) = line(input)?;
    let (method, target) = first.split_at(first.iter().position(|byte| *byte == b' ')?);
    let method = Method::from_bytes(method).ok()?;
    let uri = Uri::try_from(target.get(1..)?).ok()?;
    let mut headers = HeaderMap::new();
    while let Some((header, after)) = line(rest) {
        rest = after;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_at(header.iter().position(|byte| *byte == b':')?);
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        headers.append(HeaderName::from_bytes(name).ok()?, value);
    }
    Some((method, uri, headers, Bytes::copy_from_slice(rest)))
}

fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}
