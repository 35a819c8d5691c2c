//! The operations that invoke functions: from the request to the function and back.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use firelet_api::model::{
    InvocationRequest, InvocationResponse, InvocationType, InvokeAsyncRequest, InvokeAsyncResponse,
    InvokeWithResponseStreamCompleteEvent, InvokeWithResponseStreamRequest, InvokeWithResponseStreamResponse,
    LogType, ResponseStreamingInvocationType,
};
use firelet_api::{ApiError, DecodeRequest, EncodeResponse, EncodedResponse, ErrorKind, Operation};
use firelet_control::name::{self, Target};
use firelet_invoke::{Piece, Request, Response, StreamEnd, StreamedResponse};
use futures_util::stream::{self, Stream};
use http::{HeaderName, HeaderValue};

use crate::body::{self, Answer};
use crate::dispatch::Call;
use crate::error::{from_control, from_invoke};
use crate::event_stream::event;
use crate::server::{self, Services};

const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

pub(crate) async fn invoke(services: &Services, call: Call<'_>) -> Result<EncodedResponse, ApiError> {
    let input = InvocationRequest::decode(&call.request())?;
    let invocation_type = input.invocation_type.unwrap_or(InvocationType::RequestResponse);
    let target = name::resolve(call.scope, &input.function_name, input.qualifier.as_deref())
        .map_err(|error| from_control(&error))?;
    let request = request(&call, input.into(), &target)?;
    match invocation_type {
        InvocationType::RequestResponse => {
            let response = services.invoker.invoke(request).await.map_err(|error| from_invoke(&error))?;
            Ok(answer(response))
        }
        InvocationType::DryRun => {
            services.invoker.check(request).await.map_err(|error| from_invoke(&error))?;
            let output = InvocationResponse { status_code: Some(204), ..InvocationResponse::default() };
            Ok(output.encode(Operation::Invoke))
        }
        InvocationType::Event => {
            let accepted = services.queue.accept(request).await.map_err(|error| from_invoke(&error))?;
            let output = InvocationResponse { status_code: Some(202), ..InvocationResponse::default() };
            Ok(traced(output.encode(Operation::Invoke), accepted.trace_id))
        }
    }
}

/// The caller reads the answer while the function still writes it.
pub(crate) async fn stream(services: &Services, call: Call<'_>) -> Result<http::Response<Answer>, ApiError> {
    let input = InvokeWithResponseStreamRequest::decode(&call.request())?;
    let invocation_type = input.invocation_type;
    let target = name::resolve(call.scope, &input.function_name, input.qualifier.as_deref())
        .map_err(|error| from_control(&error))?;
    let request = request(&call, input.into(), &target)?;
    let operation = Operation::InvokeWithResponseStream;
    if invocation_type == Some(ResponseStreamingInvocationType::DryRun) {
        services.invoker.check(request).await.map_err(|error| from_invoke(&error))?;
        // Documented: the status of a dry run is 204.
        let response = EncodedResponse { status: 204, ..EncodedResponse::empty(operation) };
        return Ok(server::encode(response));
    }
    let response = services.invoker.stream(request).await.map_err(|error| from_invoke(&error))?;
    let output = InvokeWithResponseStreamResponse {
        status_code: Some(200),
        executed_version: Some(response.executed_version.clone()),
        response_stream_content_type: response.content_type().map(str::to_owned),
        event_stream: None,
    };
    let head = traced(output.encode(operation), response.trace_id.clone());
    Ok(server::encode(head).map(|_| body::pieces(events(response))))
}

fn events(response: StreamedResponse) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(response, |mut response| async move {
        let event = match response.next().await? {
            Piece::Payload(payload) => event("PayloadChunk", "application/octet-stream", &payload),
            Piece::End(end) => event("InvokeComplete", "application/json", &complete(end)),
        };
        Some((event, response))
    })
}

/// The last event; members that are not there are left out.
fn complete(end: StreamEnd) -> Vec<u8> {
    let (code, details) = end.error.map(|error| (error.code, error.details)).unzip();
    let output = InvokeWithResponseStreamCompleteEvent {
        error_code: code,
        error_details: details.flatten().map(|details| String::from_utf8_lossy(&details).into_owned()),
        log_result: end.log_tail.map(|tail| BASE64_STANDARD.encode(tail)),
    };
    serde_json::to_vec(&output).expect("three texts make JSON")
}

/// The older way to invoke a function asynchronously.
pub(crate) async fn invoke_async(services: &Services, call: Call<'_>) -> Result<EncodedResponse, ApiError> {
    let input = InvokeAsyncRequest::decode(&call.request())?;
    let target =
        name::resolve(call.scope, &input.function_name, None).map_err(|error| from_control(&error))?;
    let request = Request {
        request_id: call.request_id,
        scope: call.scope.clone(),
        name: target.function().map_err(|_| from_control(&target.latest_not_found()))?,
        qualifier: target.qualifier,
        payload: input.invoke_args,
        client_context: None,
        tenant: None,
        wants_log_tail: false,
        // Documented: "Trace ID is not propagated to the function".
        trace_id: None,
    };
    services.queue.accept(request).await.map_err(|error| from_invoke(&error))?;
    Ok(InvokeAsyncResponse { status: Some(202) }.encode(Operation::InvokeAsync))
}

/// What both synchronous operations take.
struct Input {
    payload: Option<Bytes>,
    client_context: Option<String>,
    tenant_id: Option<String>,
    log_type: Option<LogType>,
}

impl From<InvocationRequest> for Input {
    fn from(input: InvocationRequest) -> Self {
        let InvocationRequest { payload, client_context, tenant_id, log_type, .. } = input;
        Self { payload, client_context, tenant_id, log_type }
    }
}

impl From<InvokeWithResponseStreamRequest> for Input {
    fn from(input: InvokeWithResponseStreamRequest) -> Self {
        let InvokeWithResponseStreamRequest { payload, client_context, tenant_id, log_type, .. } = input;
        Self { payload, client_context, tenant_id, log_type }
    }
}

fn request(call: &Call<'_>, input: Input, target: &Target) -> Result<Request, ApiError> {
    let function = target.function().map_err(|_| from_control(&target.latest_not_found()))?;
    Ok(Request {
        request_id: call.request_id,
        scope: call.scope.clone(),
        name: function,
        qualifier: target.qualifier.clone(),
        payload: input.payload.unwrap_or_default(),
        client_context: input.client_context.as_deref().map(client_context).transpose()?,
        // The constraints of the model let no other through.
        tenant: input.tenant_id.as_deref().and_then(|tenant| tenant.parse().ok()),
        wants_log_tail: input.log_type == Some(LogType::Tail),
        trace_id: call.headers.get(TRACE_ID).and_then(|value| value.to_str().ok()).map(str::to_owned),
    })
}

/// The client context travels as base64 and reaches the function as JSON.
fn client_context(encoded: &str) -> Result<String, ApiError> {
    let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let object = decoded.filter(|text| serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok());
    // It goes on in a header. Line ends in JSON are white space: in a string they are escaped.
    object.map(|text| text.replace(['\r', '\n'], " ")).ok_or_else(|| {
        ApiError::new(
            ErrorKind::InvalidRequestContentException,
            "Client context must be a valid Base64-encoded JSON object.",
        )
    })
}

fn answer(response: Response) -> EncodedResponse {
    let output = InvocationResponse {
        status_code: Some(200),
        function_error: response.is_error.then(|| "Unhandled".to_owned()),
        log_result: response.log_tail.map(|tail| BASE64_STANDARD.encode(tail)),
        payload: Some(response.payload).filter(|payload: &Bytes| !payload.is_empty()),
        executed_version: Some(response.executed_version),
        durable_execution_arn: None,
    };
    traced(output.encode(Operation::Invoke), response.trace_id)
}

fn traced(mut encoded: EncodedResponse, trace_id: String) -> EncodedResponse {
    if let Ok(trace_id) = HeaderValue::try_from(trace_id) {
        encoded.headers.push((TRACE_ID, trace_id));
    }
    encoded
}
