//! The Telemetry API (2022-07-01) and the Logs API (2020-08-15) of one execution environment, over HTTP.
//!
//! The body is bounded while it arrives. Who may subscribe when is decided by [`crate::telemetry`].
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html>. Refusals are worded as in AWS's open
//! Runtime Interface Emulator (`lambda/rapi/handler/runtimelogs.go`), where it has them.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::answer::{Answer, error, json, not_found, pass_over, truncated};
use crate::extensions_api::{identifier, unknown};
use crate::guest_api::Shared;
use crate::platform_log::event::{Event, Subscription};
use crate::telemetry::{Api, Refusal, Request, Stream};

/// Bytes of a subscription, which names few things.
const SUBSCRIPTION_BYTES: usize = 16 << 10;

/// The API that is found at `path`.
pub(crate) fn at(path: &str) -> Option<Api> {
    match path {
        "/2022-07-01/telemetry" => Some(Api::Telemetry),
        "/2020-08-15/logs" => Some(Api::Logs),
        _ => None,
    }
}

/// Answers a request for `api`.
pub(crate) async fn answer(shared: &Shared, api: Api, parts: &Parts, body: Incoming) -> Answer {
    if parts.method != Method::PUT {
        return not_found();
    }
    let id = match identifier(&parts.headers) {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    let name = shared.state.lock().extension_name(id).map(Arc::from);
    let Some(name) = name else { return unknown(&format!("Unknown extension {id}")) };
    match read(api, body).await {
        Ok(request) => subscribe(shared, &name, api, request),
        Err(answer) => answer,
    }
}

async fn read(api: Api, mut body: Incoming) -> Result<Request, Answer> {
    let bytes = match Limited::new(&mut body, SUBSCRIPTION_BYTES).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            pass_over(&mut body).await;
            return Err(invalid(api, "Failed to read request body: http: request body too large"));
        }
        Err(_) => return Err(truncated()),
    };
    Request::parse(api, &bytes).map_err(|refusal| invalid(api, &refusal.to_string()))
}

fn subscribe(shared: &Shared, name: &Arc<str>, api: Api, request: Request) -> Answer {
    let types = request.streams.iter().copied().map(Stream::name).collect();
    let is_repeated = match shared.output.telemetry().subscribe(name, api, request) {
        Ok(is_repeated) => is_repeated,
        Err(refusal) => return refused(api, refusal),
    };
    let is_of_logs_api = api == Api::Logs;
    let subscription = Subscription { name: Arc::clone(name), is_of_logs_api, is_repeated, types };
    shared.output.platform(&[Event::Subscription(subscription)]);
    json(StatusCode::OK, Bytes::from_static(b"\"OK\""))
}

fn refused(api: Api, refusal: Refusal) -> Answer {
    match (refusal, api) {
        (Refusal::Closed, Api::Telemetry) => {
            let message = "Telemetry API subscription is closed already";
            error(StatusCode::FORBIDDEN, "Telemetry.SubscriptionClosed", message)
        }
        (Refusal::Closed, Api::Logs) => {
            let message = "Logs API subscription is closed already";
            error(StatusCode::FORBIDDEN, "Logs.SubscriptionClosed", message)
        }
        (Refusal::OtherApi, Api::Telemetry) => {
            invalid(api, "the extension has subscribed by the Logs API already")
        }
        (Refusal::OtherApi, Api::Logs) => {
            invalid(api, "the extension has subscribed by the Telemetry API already")
        }
    }
}

fn invalid(api: Api, message: &str) -> Answer {
    let error_type = match api {
        Api::Telemetry => "ValidationError",
        Api::Logs => "Logs.ValidationError",
    };
    error(StatusCode::BAD_REQUEST, error_type, message)
}
