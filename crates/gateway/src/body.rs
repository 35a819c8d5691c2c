//! Bodies: requests read within bounds, answers whole or as a stream.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use firelet_api::{ApiError, ErrorKind, Operation};
use firelet_types::limits;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};

/// Bytes of the body of a request that carries no code and no payload.
const CONTROL_BYTES: usize = 1 << 20;
/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(120);

/// The body of an answer.
pub(crate) type Answer = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// A whole answer.
pub(crate) fn whole(body: Bytes) -> Answer {
    Either::Left(Full::new(body))
}

/// The most bytes that the body of a request for `operation` may have.
fn limit(operation: Operation) -> usize {
    match operation {
        Operation::CreateFunction | Operation::UpdateFunctionCode | Operation::PublishLayerVersion => {
            limits::CODE_REQUEST_BYTES
        }
        Operation::Invoke | Operation::InvokeAsync | Operation::InvokeWithResponseStream => {
            limits::REQUEST_PAYLOAD_BYTES
        }
        _ => CONTROL_BYTES,
    }
}

/// Reads the body of a request for `operation`.
pub(crate) async fn read(operation: Operation, body: Incoming) -> Result<Bytes, ApiError> {
    let limit = limit(operation);
    let announced = body.size_hint().exact();
    if announced.is_some_and(|size| size > limit as u64) {
        return Err(too_large(operation, announced, limit));
    }
    match tokio::time::timeout(PATIENCE, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(operation, announced, limit)),
        Ok(Err(_)) | Err(_) => Err(ApiError::new(
            ErrorKind::SerializationException,
            "The request body ended before it was complete.",
        )),
    }
}

/// AWS names the size of a payload, and of other requests the limit and the operation, whose name for Invoke is the
/// one in its policies.
fn too_large(operation: Operation, size: Option<u64>, limit: usize) -> ApiError {
    match (operation, size) {
        (Operation::Invoke, Some(size)) => ApiError::new(
            ErrorKind::RequestTooLargeException,
            format!(
                "{size} byte payload is too large for the RequestResponse invocation type (limit {limit} bytes)"
            ),
        ),
        (Operation::Invoke, None) => ApiError::new(
            ErrorKind::RequestTooLargeException,
            format!("Request must be smaller than {limit} bytes for the InvokeFunction operation"),
        ),
        _ => ApiError::new(
            ErrorKind::RequestEntityTooLargeException,
            format!("Request must be smaller than {limit} bytes for the {} operation", operation.name()),
        ),
    }
}
