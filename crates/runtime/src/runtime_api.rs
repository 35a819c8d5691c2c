//! The Runtime API (2018-06-01) of one execution environment, over HTTP.
//!
//! Sizes are bounded while they arrive. Which calls are allowed when is decided by [`crate::state`].
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>; refusals are worded as in AWS's open
//! Runtime Interface Emulator. One thing is firelet's own: an outcome with the header `Firelet-Runtime-Next` is answered
//! like the `GET /next` that would follow it, with the next event in place of a 202. It saves firelet's bootstraps a
//! round trip for each invocation.

use std::time::Instant;

use bytes::Bytes;
use firelet_types::limits;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::answer::{Answer, accepted, error, json, not_found, pass_over, too_large, truncated};
use crate::failure::recorded_error_type;
use crate::state::{Completion, Invocation, Refusal, State};

/// What the paths of this API begin with.
pub(crate) const PREFIX: &str = "/2018-06-01/runtime/";

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("lambda-runtime-client-context");
const TENANT_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-tenant-id");
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
const RESPONSE_MODE: HeaderName = HeaderName::from_static("lambda-runtime-function-response-mode");
/// With an outcome: the runtime wants the next event for an answer.
const NEXT: HeaderName = HeaderName::from_static("firelet-runtime-next");

/// Answers a request for `path`, which follows [`PREFIX`].
pub(crate) async fn answer(state: &Mutex<State>, path: &str, parts: &Parts, body: Incoming) -> Answer {
    match (&parts.method, path.split('/').collect::<Vec<_>>().as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(state).await,
        (&Method::POST, ["invocation", id, "response"]) => {
            let answer = respond(state, id, &parts.headers, body).await;
            next_after(answer, state, &parts.headers).await
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            let answer = fail(state, id, &parts.headers, body).await;
            next_after(answer, state, &parts.headers).await
        }
        (&Method::POST, ["init", "error"]) => fail_init(state, &parts.headers, body).await,
        _ => not_found(),
    }
}

/// The answer to an outcome: the next event, if that is what the runtime wants and the outcome was taken.
async fn next_after(answer: Answer, state: &Mutex<State>, headers: &HeaderMap) -> Answer {
    // Whoever waits for the outcome comes before the runtime.
    tokio::task::yield_now().await;
    if answer.status() == StatusCode::ACCEPTED && headers.contains_key(NEXT) {
        next(state).await
    } else {
        answer
    }
}

async fn next(state: &Mutex<State>) -> Answer {
    let (poller, polled) = oneshot::channel();
    let accepted = state.lock().next(poller, Instant::now);
    match accepted {
        Ok(Some(due)) => due.call(),
        Ok(None) => {}
        Err(refusal) => return refused(&refusal),
    }
    match polled.await {
        Ok(invocation) => event(invocation),
        // A newer poll took this one's place, or the environment is ending.
        Err(_) => refused(&Refusal::Transition { from: "Ready", to: "Ready" }),
    }
}

fn event(invocation: Invocation) -> Answer {
    let mut response = json(StatusCode::OK, invocation.payload);
    let headers = response.headers_mut();
    let mut set = |name, value: String| {
        // A value that no header can carry came from the caller; the function does without it.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set(REQUEST_ID, invocation.request_id.to_string());
    set(DEADLINE, invocation.deadline.as_millis().to_string());
    set(FUNCTION_ARN, invocation.function_arn);
    if let Some(trace_id) = invocation.trace_id {
        set(TRACE_ID, trace_id);
    }
    if let Some(client_context) = invocation.client_context {
        set(CLIENT_CONTEXT, client_context);
    }
    if let Some(tenant) = invocation.tenant {
        set(TENANT_ID, tenant.to_string());
    }
    response
}

async fn respond(state: &Mutex<State>, id: &str, headers: &HeaderMap, mut body: Incoming) -> Answer {
    const TO: &str = "InvocationResponse";
    let reading = match Reading::begin(state, Some(id), TO) {
        Ok(reading) => reading,
        Err(refusal) => return refused(&refusal),
    };
    if headers.get(RESPONSE_MODE).is_some_and(|mode| mode != "streaming") {
        return error(
            StatusCode::BAD_REQUEST,
            "InvalidFunctionResponseMode",
            "Invalid function response mode",
        );
    }
    let (completion, answer) = match reading.read(&mut body).await {
        Ok(payload) => (Completion::Response(payload), accepted()),
        Err(BodyError::TooLarge) => {
            let answer = complete(state, id, Completion::ResponseTooLarge, TO, too_large());
            pass_over(&mut body).await;
            return answer;
        }
        Err(BodyError::Truncated) => return truncated(),
    };
    complete(state, id, completion, TO, answer)
}

async fn fail(state: &Mutex<State>, id: &str, headers: &HeaderMap, mut body: Incoming) -> Answer {
    const TO: &str = "InvocationErrorResponse";
    let reading = match Reading::begin(state, Some(id), TO) {
        Ok(reading) => reading,
        Err(refusal) => return refused(&refusal),
    };
    let (completion, answer) = match reading.read(&mut body).await {
        Ok(payload) => (Completion::Error { error_type: error_type(headers), payload }, accepted()),
        Err(BodyError::TooLarge) => {
            let answer = complete(state, id, Completion::ResponseTooLarge, TO, too_large());
            pass_over(&mut body).await;
            return answer;
        }
        Err(BodyError::Truncated) => return truncated(),
    };
    complete(state, id, completion, TO, answer)
}

fn complete(
    state: &Mutex<State>,
    id: &str,
    completion: Completion,
    to: &'static str,
    answer: Answer,
) -> Answer {
    match state.lock().complete(id, completion, to) {
        Ok(()) => answer,
        Err(refusal) => refused(&refusal),
    }
}

async fn fail_init(state: &Mutex<State>, headers: &HeaderMap, mut body: Incoming) -> Answer {
    let reading = match Reading::begin(state, None, "InitError") {
        Ok(reading) => reading,
        Err(refusal) => return refused(&refusal),
    };
    let payload = match reading.read(&mut body).await {
        Ok(payload) => payload,
        Err(BodyError::TooLarge) => return too_large(),
        Err(BodyError::Truncated) => return truncated(),
    };
    match state.lock().fail_init(error_type(headers), payload) {
        Ok(()) => accepted(),
        Err(refusal) => refused(&refusal),
    }
}

fn error_type(headers: &HeaderMap) -> String {
    let given = headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    recorded_error_type(given)
}

enum BodyError {
    TooLarge,
    Truncated,
}

/// The reading of one answer's body, for as long as its connection lives.
struct Reading<'a>(&'a Mutex<State>);

impl<'a> Reading<'a> {
    fn begin(state: &'a Mutex<State>, request_id: Option<&str>, to: &'static str) -> Result<Self, Refusal> {
        state.lock().begin_reading(request_id, to)?;
        Ok(Self(state))
    }

    async fn read(&self, body: &mut Incoming) -> Result<Bytes, BodyError> {
        match Limited::new(body, limits::RESPONSE_PAYLOAD_BYTES).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
            Err(_) => Err(BodyError::Truncated),
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.lock().end_reading();
    }
}

fn refused(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::UnknownRequestId => error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Refusal::Transition { from, to } => {
            let message = format!(
                "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
            );
            error(StatusCode::FORBIDDEN, "InvalidStateTransition", &message)
        }
    }
}
