//! The Extensions API (2020-01-01) of one execution environment, over HTTP.
//!
//! Sizes are bounded while they arrive. Which calls are allowed when is decided by [`crate::extensions`].
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>; refusals are worded as in AWS's open
//! Runtime Interface Emulator (`lambda/rapi/handler`).

use bytes::Bytes;
use firelet_types::{AccountId, ExtensionEventId, ExtensionId, limits};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::answer::{Answer, accepted, error, json, not_found, pass_over, truncated};
use crate::extensions::{Event, InvokeEvent, Refusal, ShutdownEvent};
use crate::guest_api::Shared;

/// What the paths of this API begin with.
pub(crate) const PREFIX: &str = "/2020-01-01/extension/";

/// Bytes of a registration, which names few events.
const REGISTRATION_BYTES: usize = 16 << 10;
/// Bytes of the type of an error; what goes beyond is left out of the log.
const ERROR_TYPE_BYTES: usize = 256;

const NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-identifier");
const EVENT_IDENTIFIER: HeaderName = HeaderName::from_static("lambda-extension-event-identifier");
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-extension-function-error-type");
const FEATURES: HeaderName = HeaderName::from_static("lambda-extension-accept-feature");

/// What extensions are told of the function when they register.
#[derive(Debug)]
pub(crate) struct Registrant {
    pub(crate) account: AccountId,
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) handler: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default)]
    configuration_keys: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    function_name: &'a str,
    function_version: &'a str,
    handler: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvokeBody<'a> {
    event_type: &'static str,
    deadline_ms: i64,
    request_id: String,
    invoked_function_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<Tracing<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShutdownBody {
    event_type: &'static str,
    deadline_ms: i64,
    shutdown_reason: &'static str,
}

#[derive(Serialize)]
struct Tracing<'a> {
    r#type: &'static str,
    value: &'a str,
}

/// Answers a request for `path`, which follows [`PREFIX`].
pub(crate) async fn answer(shared: &Shared, path: &str, parts: &Parts, mut body: Incoming) -> Answer {
    match (&parts.method, path) {
        (&Method::POST, "register") => register(shared, &parts.headers, body).await,
        (&Method::GET, "event/next") => match identifier(&parts.headers) {
            Ok(id) => next(shared, id).await,
            Err(answer) => answer,
        },
        (&Method::POST, "init/error" | "exit/error") => {
            // What is in it is for nobody.
            pass_over(&mut body).await;
            fail(shared, path, &parts.headers)
        }
        _ => not_found(),
    }
}

async fn register(shared: &Shared, headers: &HeaderMap, body: Incoming) -> Answer {
    let name = header(headers, &NAME);
    if name.is_empty() {
        return refused(&Refusal::EmptyName, "");
    }
    let registration = match read(body).await {
        Ok(registration) => registration,
        Err(answer) => return answer,
    };
    if registration.configuration_keys.is_some_and(|keys| !keys.is_empty()) {
        return invalid_format("configurationKeys are deprecated; use environment variables instead");
    }
    let id = ExtensionId::new(&shared.ids);
    let events = registration.events.unwrap_or_default();
    let registered = shared.state.lock().register(id, name, &events);
    match registered {
        Ok(()) => welcome(&shared.registrant, id, headers),
        Err(refusal) => refused(&refusal, name),
    }
}

async fn read(mut body: Incoming) -> Result<Registration, Answer> {
    let bytes = match Limited::new(&mut body, REGISTRATION_BYTES).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            pass_over(&mut body).await;
            return Err(invalid_format("http: request body too large"));
        }
        Err(_) => return Err(truncated()),
    };
    // An object, as no list may stand for it.
    let object = serde_json::from_slice(&bytes).map(Value::Object);
    object.and_then(serde_json::from_value).map_err(|error| {
        // Go's words for the usual mistake.
        let message =
            if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() };
        invalid_format(&message)
    })
}

fn welcome(registrant: &Registrant, id: ExtensionId, headers: &HeaderMap) -> Answer {
    let wants_account = header(headers, &FEATURES).split(',').any(|feature| feature.trim() == "accountId");
    let registered = Registered {
        account_id: wants_account.then(|| registrant.account.as_str()),
        function_name: &registrant.function,
        function_version: &registrant.version,
        handler: &registrant.handler,
    };
    let mut answer = json(StatusCode::OK, rendered(&registered));
    set(&mut answer, IDENTIFIER, id.to_string());
    answer
}

async fn next(shared: &Shared, id: ExtensionId) -> Answer {
    let (poller, polled) = oneshot::channel();
    let taken = shared.state.lock().extension_next(id, poller);
    match taken {
        Ok(Some(due)) => due.call(),
        Ok(None) => {}
        Err(Refusal::Unknown) => return unknown(&format!("Unknown extension {id}")),
        Err(refusal) => return refused(&refusal, &id.to_string()),
    }
    match polled.await {
        Ok(event) => told(shared, &event),
        // The environment is ending.
        Err(_) => refused(&Refusal::Transition { from: "Ready", to: "Ready" }, &id.to_string()),
    }
}

fn told(shared: &Shared, event: &Event) -> Answer {
    match event {
        Event::Invoke(invoke) => {
            let mut answer = json(StatusCode::OK, invoke_body(invoke));
            set(&mut answer, EVENT_IDENTIFIER, ExtensionEventId::new(&shared.ids).to_string());
            answer
        }
        Event::Shutdown(ShutdownEvent { reason, deadline }) => {
            let deadline_ms = deadline.as_millis();
            let body = ShutdownBody { event_type: "SHUTDOWN", deadline_ms, shutdown_reason: reason };
            json(StatusCode::OK, rendered(&body))
        }
    }
}

fn invoke_body(event: &InvokeEvent) -> Bytes {
    let tracing = |value| Tracing { r#type: "X-Amzn-Trace-Id", value };
    rendered(&InvokeBody {
        event_type: "INVOKE",
        deadline_ms: event.deadline.as_millis(),
        request_id: event.request_id.to_string(),
        invoked_function_arn: &event.function_arn,
        tracing: event.trace_id.as_deref().map(tracing),
    })
}

fn fail(shared: &Shared, path: &str, headers: &HeaderMap) -> Answer {
    let id = match identifier(headers) {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    let error_type = header(headers, &ERROR_TYPE);
    if error_type.is_empty() {
        let message = "Lambda-Extension-Function-Error-Type not found";
        return error(StatusCode::FORBIDDEN, "Extension.MissingHeader", message);
    }
    let error_type = &error_type[..error_type.floor_char_boundary(ERROR_TYPE_BYTES)];
    let mut state = shared.state.lock();
    let failed = match path {
        "init/error" => state.extension_fail_init(id, error_type),
        _ => state.extension_fail_exit(id, error_type),
    };
    drop(state);
    match failed {
        Ok(()) => accepted(),
        Err(Refusal::Unknown) => unknown("Unknown Lambda-Extension-Identifier"),
        Err(refusal) => refused(&refusal, &id.to_string()),
    }
}

/// Who asks.
pub(crate) fn identifier(headers: &HeaderMap) -> Result<ExtensionId, Answer> {
    let identifier = headers.get(IDENTIFIER).filter(|identifier| !identifier.is_empty());
    let Some(identifier) = identifier else {
        let message = "Missing Lambda-Extension-Identifier header";
        return Err(error(StatusCode::FORBIDDEN, "Extension.MissingExtensionIdentifier", message));
    };
    identifier.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let message = "Invalid Lambda-Extension-Identifier";
        error(StatusCode::FORBIDDEN, "Extension.InvalidExtensionIdentifier", message)
    })
}

/// The value of a header; empty where there is none, or one that is no text.
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).unwrap_or_default()
}

fn set(answer: &mut Answer, name: HeaderName, value: String) {
    let value = HeaderValue::try_from(value).expect("an id is of hexadecimal digits and dashes");
    answer.headers_mut().insert(name, value);
}

fn rendered(body: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(body).expect("bodies have text keys and no serializer that fails"))
}

fn invalid_format(message: &str) -> Answer {
    error(StatusCode::FORBIDDEN, "InvalidRequestFormat", message)
}

pub(crate) fn unknown(message: &str) -> Answer {
    error(StatusCode::FORBIDDEN, "Extension.UnknownExtensionIdentifier", message)
}

/// Why a call of `extension`, its name or its identifier, is refused.
fn refused(refusal: &Refusal, extension: &str) -> Answer {
    let (error_type, message) = match refusal {
        Refusal::EmptyName => ("Extension.InvalidExtensionName", "Empty extension name".to_owned()),
        Refusal::LongName => ("Extension.InvalidExtensionName", "Invalid extension name".to_owned()),
        Refusal::RegistrationClosed => {
            ("Extension.RegistrationClosed", "Extension registration closed already".to_owned())
        }
        Refusal::NameTaken => {
            ("Extension.InvalidExtensionState", "Extension with this name already registered".to_owned())
        }
        Refusal::TooMany => {
            ("Extension.TooManyExtensions", format!("Extension limit ({}) reached", limits::EXTENSIONS))
        }
        Refusal::InvalidEvent(event) => {
            ("Extension.InvalidEventType", format!("{event}: ErrorInvalidEventType"))
        }
        Refusal::Unknown => return unknown("Unknown Lambda-Extension-Identifier"),
        Refusal::Transition { from, to } => (
            "Extension.InvalidExtensionState",
            format!(
                "State transition from {from} to {to} failed for extension {extension}. Error: State transition is \
                 not allowed"
            ),
        ),
    };
    error(StatusCode::FORBIDDEN, error_type, &message)
}
