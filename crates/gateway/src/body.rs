//! Bodies: requests read within bounds, answers whole or as a stream.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use firelet_api::{ApiError, ErrorKind, Operation};
use firelet_invoke::InvocationType;
use firelet_types::{Gathered, TooLarge, limits};
use futures_util::StreamExt;
use futures_util::stream::Stream;
use http::{HeaderMap, HeaderName};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};

use crate::error::from_invoke;

/// Bytes of the body of a request that carries no code and no payload.
const CONTROL_BYTES: usize = 1 << 20;
/// Where a request says how a function is to be invoked.
const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
/// How long a client whose body is refused may go on sending it.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(2);
/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(120);

/// The body of an answer.
pub(crate) type Answer = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// A whole answer.
pub(crate) fn whole(body: Bytes) -> Answer {
    Either::Left(Full::new(body))
}

/// A request, by what its body may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// The payload of an invocation.
    Invoke(InvocationType),
    /// Anything else.
    Other(Operation),
}

impl Kind {
    pub(crate) fn of(operation: Operation, headers: &HeaderMap) -> Self {
        let is_event = || headers.get(INVOCATION_TYPE).is_some_and(|value| value == "Event");
        match operation {
            Operation::Invoke if is_event() => Self::Invoke(InvocationType::Event),
            Operation::Invoke | Operation::InvokeWithResponseStream => {
                Self::Invoke(InvocationType::RequestResponse)
            }
            operation => Self::Other(operation),
        }
    }

    /// The most bytes that the body may have.
    fn limit(self) -> usize {
        match self {
            Self::Invoke(invocation_type) => invocation_type.payload_bytes(),
            Self::Other(
                Operation::CreateFunction | Operation::UpdateFunctionCode | Operation::PublishLayerVersion,
            ) => limits::CODE_REQUEST_BYTES,
            Self::Other(Operation::InvokeAsync) => limits::INVOKE_ASYNC_PAYLOAD_BYTES,
            Self::Other(_) => CONTROL_BYTES,
        }
    }
}

/// An answer that is sent as its pieces come.
pub(crate) fn pieces(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Answer {
    let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    Either::Right(UnsyncBoxBody::new(StreamBody::new(frames).boxed_unsync()))
}

/// Reads the body of a request.
pub(crate) async fn read(kind: Kind, body: &mut Incoming) -> Result<Bytes, ApiError> {
    let limit = kind.limit();
    let announced = body.size_hint().exact();
    if announced.is_some_and(|size| size > limit as u64) {
        pass_over(body, limit).await;
        return Err(too_large(kind, announced));
    }
    match tokio::time::timeout(PATIENCE, gather(body, limit)).await {
        Ok(Ok(Ok(whole))) => Ok(whole),
        Ok(Ok(Err(TooLarge(_)))) => {
            pass_over(body, limit).await;
            Err(too_large(kind, announced))
        }
        Ok(Err(_)) | Err(_) => Err(ApiError::new(
            ErrorKind::SerializationException,
            "The request body ended before it was complete.",
        )),
    }
}

/// Reads what a client still sends of a body that is refused, about `limit` bytes of it and for a while, so that a client that
/// reads only when it has sent all can read why.
async fn pass_over(body: &mut Incoming, limit: usize) {
    let mut left = limit;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await
            && left > 0
        {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // However that ends, the answer is the same.
    let _ = tokio::time::timeout(REFUSAL_PATIENCE, reading).await;
}

async fn gather(body: &mut Incoming, limit: usize) -> hyper::Result<Result<Bytes, TooLarge>> {
    let mut gathered = Gathered::new(limit, body.size_hint().exact());
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data()
            && let Err(error) = gathered.add(piece)
        {
            return Ok(Err(error));
        }
    }
    Ok(Ok(gathered.finish()))
}

/// AWS names the size of a payload, and of other requests the limit and the operation, whose name for Invoke is the
/// one in its policies.
fn too_large(kind: Kind, size: Option<u64>) -> ApiError {
    let limit = kind.limit();
    match (kind, size) {
        (Kind::Invoke(invocation_type), Some(size)) => {
            from_invoke(&firelet_invoke::Error::PayloadTooLarge { size, invocation_type })
        }
        (Kind::Invoke(_), None) => ApiError::new(
            ErrorKind::RequestTooLargeException,
            format!("Request must be smaller than {limit} bytes for the InvokeFunction operation"),
        ),
        (Kind::Other(operation), _) => ApiError::new(
            ErrorKind::RequestEntityTooLargeException,
            format!("Request must be smaller than {limit} bytes for the {} operation", operation.name()),
        ),
    }
}
