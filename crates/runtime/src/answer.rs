//! The forms that answers to a guest have, whichever of its APIs it asked: worded as in AWS's open Runtime Interface
//! Emulator.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Serialize;

pub(crate) type Answer = Response<Full<Bytes>>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    error_message: &'a str,
    error_type: &'a str,
}

pub(crate) fn error(status: StatusCode, error_type: &str, error_message: &str) -> Answer {
    let body = serde_json::to_vec(&ErrorBody { error_message, error_type }).unwrap_or_default();
    json(status, Bytes::from(body))
}

/// A body has more than `limit` bytes.
pub(crate) fn too_large(limit: usize) -> Answer {
    let message = format!("Exceeded maximum allowed payload size ({limit} bytes).");
    error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

pub(crate) fn truncated() -> Answer {
    error(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", "HTTP request detected as truncated")
}

pub(crate) fn accepted() -> Answer {
    json(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n"))
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

pub(crate) fn not_found() -> Answer {
    text(StatusCode::NOT_FOUND, Bytes::from_static(b"404 page not found\n"))
}

pub(crate) fn json(status: StatusCode, body: Bytes) -> Answer {
    typed(status, body, "application/json")
}

pub(crate) fn text(status: StatusCode, body: Bytes) -> Answer {
    typed(status, body, "text/plain; charset=utf-8")
}

fn typed(status: StatusCode, body: Bytes, content_type: &'static str) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Reads what is left of a body and keeps none of it, so that the guest can send it all and go on.
pub(crate) async fn pass_over(body: &mut Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}
