//! The Runtime API (2018-06-01) of one execution environment, over HTTP.
//!
//! Sizes are bounded while they arrive. Which calls are allowed when is decided by [`crate::state`].
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>; refusals are worded as in AWS's open
//! Runtime Interface Emulator. One thing is firelet's own: an outcome with the header `Firelet-Runtime-Next` is answered
//! like the `GET /next` that would follow it, with the next event in place of a 202. It saves firelet's bootstraps a
//! round trip for each invocation.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use firelet_types::{Gathered, TooLarge, limits};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::answer::{Answer, accepted, empty, error, json, not_found, pass_over, too_large, truncated};
use crate::failure::{Failure, recorded_error_type};
use crate::guest_api::{Kept, Shared};
use crate::platform_log::event::Status;
use crate::state::{Completion, Invocation, RESTORE_ERROR, Refusal, Report, State};
use crate::stream::{Over, Writer};

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
/// In the trailers of an answer in pieces: the description of its error as base64.
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");
/// With an outcome: the runtime wants the next event for an answer.
const NEXT: HeaderName = HeaderName::from_static("firelet-runtime-next");

/// Answers a request for `path`, which follows [`PREFIX`].
pub(crate) async fn answer(
    shared: &Shared,
    kept: &Kept,
    path: &str,
    parts: &Parts,
    body: Incoming,
) -> Answer {
    let state = &shared.state;
    match (&parts.method, path.split('/').collect::<Vec<_>>().as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(shared).await,
        (&Method::POST, ["invocation", id, "response"]) => {
            let answer = respond(state, kept, id, &parts.headers, body).await;
            next_after(answer, shared, &parts.headers).await
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            let answer = fail(state, id, &parts.headers, body).await;
            next_after(answer, shared, &parts.headers).await
        }
        (&Method::POST, ["init", "error"]) => fail_init(state, &parts.headers, body).await,
        (&Method::GET, ["restore", "next"]) if state.lock().has_snapshots() => restore_next(state).await,
        (&Method::POST, ["restore", "error"]) if state.lock().has_snapshots() => {
            fail_restore(state, &parts.headers, body).await
        }
        _ => not_found(),
    }
}

/// The answer to an outcome: the next event, if that is what the runtime wants and the outcome was taken.
async fn next_after(answer: Answer, shared: &Shared, headers: &HeaderMap) -> Answer {
    // Whoever waits for the outcome comes before the runtime.
    tokio::task::yield_now().await;
    if answer.status() == StatusCode::ACCEPTED && headers.contains_key(NEXT) {
        next(shared).await
    } else {
        answer
    }
}

async fn next(shared: &Shared) -> Answer {
    let (poller, polled) = oneshot::channel();
    let (accepted, is_heard) = {
        let mut state = shared.state.lock();
        (state.next(poller, Instant::now), state.has_timeline())
    };
    if is_heard && accepted.is_ok() {
        // Extensions may wait for this before they ask for their next event.
        shared.output.runtime_done(|| shared.state.lock().finish_timeline(Status::Success, Instant::now()));
    }
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

/// Answered where the runtime has been restored, with nothing: AWS's open emulator (`lambda/rapi/handler/restorenext.go`).
async fn restore_next(state: &Mutex<State>) -> Answer {
    let (poller, restored) = oneshot::channel();
    let accepted = state.lock().restore_next(poller, Instant::now());
    if let Err(refusal) = accepted {
        return refused(&refusal);
    }
    match restored.await {
        Ok(()) => empty(StatusCode::OK),
        // The environment is gone, and its process with it.
        Err(_) => refused(&Refusal::Transition { from: "RestoreReady", to: "Ready" }),
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

async fn respond(
    state: &Arc<Mutex<State>>,
    kept: &Kept,
    id: &str,
    headers: &HeaderMap,
    mut body: Incoming,
) -> Answer {
    const TO: &str = "InvocationResponse";
    let reading = match Reading::begin(state, Report::Outcome(id), TO) {
        Ok(reading) => reading,
        Err(refusal) => return refused(&refusal),
    };
    state.lock().response_begins(Instant::now);
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let writer = match headers.get(RESPONSE_MODE).map(HeaderValue::as_bytes) {
        None => None,
        Some(b"streaming") => state.lock().begin_stream(content_type),
        // The emulator ends the invocation as well.
        Some(_) => {
            let completion = Completion::Failed(Failure::invalid_response_mode());
            let answer = complete(state, id, completion, TO, invalid_response_mode());
            pass_over(&mut body).await;
            return answer;
        }
    };
    if let Some(writer) = writer {
        let id = id.to_owned();
        let passing = async move {
            let read = pass_on(&mut body, writer).await;
            settle(&reading.0, &id, read, TO, &mut body).await
        };
        return kept.run(Box::pin(passing)).await;
    }
    let read = reading.read(&mut body).await.map(|(payload, trailers)| {
        let content_type = content_type.map(str::to_owned);
        reported_error(&trailers).unwrap_or(Completion::Response { content_type, payload })
    });
    settle(state, id, read, TO, &mut body).await
}

/// Passes an answer on to a caller who takes it in pieces.
async fn pass_on(body: &mut Incoming, mut writer: Writer) -> Result<Completion, BodyError> {
    let mut left = limits::STREAMED_RESPONSE_BYTES;
    let mut trailers = HeaderMap::new();
    while let Some(frame) = writer.unless_over(body.frame()).await? {
        let frame = frame.map_err(|_| BodyError::BrokeOff(Failure::stream_truncated()))?;
        let mut piece = match frame.into_data() {
            Ok(piece) => piece,
            Err(frame) => {
                trailers = frame.into_trailers().unwrap_or_default();
                continue;
            }
        };
        let is_too_large = piece.len() > left;
        piece.truncate(left);
        left -= piece.len();
        if !piece.is_empty() {
            writer.write(piece).await?;
        }
        if is_too_large {
            return Err(BodyError::TooLarge(Failure::stream_too_large(), limits::STREAMED_RESPONSE_BYTES));
        }
    }
    let produced_bytes = (limits::STREAMED_RESPONSE_BYTES - left) as u64;
    Ok(reported_error(&trailers).unwrap_or(Completion::Streamed { produced_bytes }))
}

/// The error that the trailers of an answer report, if they do.
fn reported_error(trailers: &HeaderMap) -> Option<Completion> {
    let text = |name| trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let error_type = text(ERROR_TYPE).filter(|error_type| !error_type.is_empty())?;
    // As in AWS's open emulator, a description that is not base64 is none.
    let payload = text(ERROR_BODY).and_then(|body| BASE64_STANDARD.decode(body).ok()).unwrap_or_default();
    Some(Completion::Error { error_type, payload: Bytes::from(payload) })
}

async fn fail(state: &Arc<Mutex<State>>, id: &str, headers: &HeaderMap, mut body: Incoming) -> Answer {
    const TO: &str = "InvocationErrorResponse";
    let reading = match Reading::begin(state, Report::Outcome(id), TO) {
        Ok(reading) => reading,
        Err(refusal) => return refused(&refusal),
    };
    let read = reading.read(&mut body).await;
    let read = read.map(|(payload, _)| Completion::Error { error_type: error_type(headers), payload });
    settle(state, id, read, TO, &mut body).await
}

/// Completes the invocation with what was read, and answers. A body that ends early on its connection says nothing of the
/// invocation, unless some of it has reached the caller: the process may be about to end, which says more.
async fn settle(
    state: &Mutex<State>,
    id: &str,
    read: Result<Completion, BodyError>,
    to: &'static str,
    body: &mut Incoming,
) -> Answer {
    let error = match read {
        Ok(completion) => return complete(state, id, completion, to, accepted()),
        Err(error) => error,
    };
    match error {
        BodyError::TooLarge(failure, limit) => {
            let answer = complete(state, id, Completion::Failed(failure), to, too_large(limit));
            pass_over(body).await;
            answer
        }
        BodyError::BrokeOff(failure) => complete(state, id, Completion::Failed(failure), to, truncated()),
        BodyError::Truncated => truncated(),
    }
}

fn complete(
    state: &Mutex<State>,
    id: &str,
    completion: Completion,
    to: &'static str,
    answer: Answer,
) -> Answer {
    match state.lock().complete(id, completion, to, Instant::now) {
        Ok(()) => answer,
        Err(refusal) => refused(&refusal),
    }
}

async fn fail_init(state: &Arc<Mutex<State>>, headers: &HeaderMap, body: Incoming) -> Answer {
    let payload = match read_error(state, Report::InitError, "InitError", body).await {
        Ok(payload) => payload,
        Err(answer) => return answer,
    };
    match state.lock().fail_init(error_type(headers), payload, Instant::now) {
        Ok(()) => accepted(),
        Err(refusal) => refused(&refusal),
    }
}

async fn fail_restore(state: &Arc<Mutex<State>>, headers: &HeaderMap, body: Incoming) -> Answer {
    let payload = match read_error(state, Report::RestoreError, RESTORE_ERROR, body).await {
        Ok(payload) => payload,
        Err(answer) => return answer,
    };
    match state.lock().fail_restore(error_type(headers), payload, Instant::now) {
        Ok(()) => accepted(),
        Err(refusal) => refused(&refusal),
    }
}

/// The description of an error that belongs to no invocation, or the answer where there is none.
async fn read_error(
    state: &Arc<Mutex<State>>,
    report: Report<'_>,
    to: &'static str,
    mut body: Incoming,
) -> Result<Bytes, Answer> {
    let reading = Reading::begin(state, report, to).map_err(|refusal| refused(&refusal))?;
    match reading.read(&mut body).await {
        Ok((payload, _)) => Ok(payload),
        Err(BodyError::TooLarge(_, limit)) => Err(too_large(limit)),
        Err(BodyError::BrokeOff(_) | BodyError::Truncated) => Err(truncated()),
    }
}

fn error_type(headers: &HeaderMap) -> String {
    let given = headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    recorded_error_type(given)
}

/// Why a body was not taken.
enum BodyError {
    /// It is larger than so many bytes; what the caller reads.
    TooLarge(Failure, usize),
    /// It ended early, when some of it had reached the caller; what the caller reads.
    BrokeOff(Failure),
    /// It ended early, or the invocation did.
    Truncated,
}

impl From<TooLarge> for BodyError {
    fn from(TooLarge(limit): TooLarge) -> Self {
        Self::TooLarge(Failure::response_too_large(), limit)
    }
}

impl From<Over> for BodyError {
    fn from(_: Over) -> Self {
        Self::Truncated
    }
}

/// The reading of one answer's body, for as long as its connection lives.
struct Reading(Arc<Mutex<State>>);

impl Reading {
    fn begin(state: &Arc<Mutex<State>>, report: Report<'_>, to: &'static str) -> Result<Self, Refusal> {
        state.lock().begin_reading(report, to)?;
        Ok(Self(Arc::clone(state)))
    }

    /// The whole body, and its trailers.
    async fn read(&self, body: &mut Incoming) -> Result<(Bytes, HeaderMap), BodyError> {
        let mut gathered = Gathered::new(limits::RESPONSE_PAYLOAD_BYTES, body.size_hint().exact());
        let mut trailers = HeaderMap::new();
        while let Some(frame) = body.frame().await {
            match frame.map_err(|_| BodyError::Truncated)?.into_data() {
                Ok(piece) => gathered.add(piece)?,
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        Ok((gathered.finish(), trailers))
    }
}

impl Drop for Reading {
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

fn invalid_response_mode() -> Answer {
    error(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", "Invalid function response mode")
}
