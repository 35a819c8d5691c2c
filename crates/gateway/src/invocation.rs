//! Invoke: from the request to the function and back.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use firelet_api::model::{
    InvocationRequest, InvocationResponse, InvocationType, InvokeAsyncRequest, InvokeAsyncResponse, LogType,
};
use firelet_api::{ApiError, DecodeRequest, EncodeResponse, EncodedResponse, ErrorKind, Operation};
use firelet_control::name::{self, Target};
use firelet_invoke::{Request, Response};
use http::{HeaderName, HeaderValue};

use crate::dispatch::Call;
use crate::error::{from_control, from_invoke};
use crate::server::Services;

const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

pub(crate) async fn invoke(services: &Services, call: Call<'_>) -> Result<EncodedResponse, ApiError> {
    let input = InvocationRequest::decode(&call.request())?;
    let invocation_type = input.invocation_type.unwrap_or(InvocationType::RequestResponse);
    let target = name::resolve(call.scope, &input.function_name, input.qualifier.as_deref())
        .map_err(|error| from_control(&error))?;
    let request = request(&call, input, &target)?;
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

fn request(call: &Call<'_>, input: InvocationRequest, target: &Target) -> Result<Request, ApiError> {
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
