//! Connections, and the way of one request through the gateway.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use firelet_api::{ApiError, EncodedResponse, ErrorKind, Operation, route};
use firelet_control::Control;
use firelet_invoke::{Invoker, Queue};
use firelet_telemetry::Logs;
use firelet_types::{Clock, Ids, RequestId};
use http::header::{CONNECTION, HOST};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::audience::Audience;
use crate::body::{self, Answer, Kind};
use crate::dispatch::Call;
use crate::error::from_auth;
use crate::{dispatch, internal, invocation};

/// How long a client may take to send the head of a request, the time between two requests included: longer than clients
/// commonly keep idle connections, so that hardly any is closed at the moment of its use.
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// How long answers under way may take when the server stops.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a request's head, as documented for Lambda: 1 MB with line and headers.
const HEAD_BYTES: usize = 1 << 20;
/// What a failed accept, most likely for want of descriptors, waits before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Connections open at a time; more wait to be accepted. Leaves most descriptors to sandboxes.
const CONNECTIONS: usize = 4_096;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What requests are answered with.
pub struct Services {
    /// The control plane.
    pub control: Arc<Control>,
    /// The invocations.
    pub invoker: Arc<Invoker>,
    /// The asynchronous ones.
    pub queue: Queue,
    /// The functions' logs.
    pub logs: Logs,
    /// Where request ids come from.
    pub ids: Arc<Ids>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// The HTTP server.
pub struct Gateway {
    listener: TcpListener,
    services: Arc<Services>,
    audience: Audience,
}

impl Gateway {
    /// A server on `listener`.
    #[must_use]
    pub fn new(listener: TcpListener, services: Services) -> Self {
        let is_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let audience = if is_loopback { Audience::Loopback } else { Audience::Everyone };
        Self { listener, services: Arc::new(services), audience }
    }

    /// Serves until `shutdown`, then lets answers under way finish.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let services = Arc::clone(&self.services);
                    connections.spawn(serve(stream, services, self.audience, shutdown.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, finished).await.is_err() {
            tracing::warn!("requests were still under way when the server stopped");
        }
    }
}

async fn serve(stream: TcpStream, services: Arc<Services>, audience: Audience, shutdown: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off delays on a connection");
    }
    let stop = shutdown.clone();
    let service = service_fn(move |request| {
        let (services, stop) = (Arc::clone(&services), stop.clone());
        async move { Ok::<_, Infallible>(services.answer(audience, request, stop).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

impl Services {
    async fn answer(
        &self,
        audience: Audience,
        request: Request<Incoming>,
        stop: CancellationToken,
    ) -> Response<Answer> {
        if let Err(stranger) = audience.check(request.headers()) {
            return encode(ApiError::new(ErrorKind::AccessDeniedException, stranger.to_string()).encode());
        }
        let request_id = RequestId::new(&self.ids);
        if internal::is_internal(request.uri().path()) {
            return internal::answer(self, request, stop).await;
        }
        let (parts, mut body) = request.into_parts();
        let answered = self.api(request_id, parts, &mut body).await;
        let mut response = answered.unwrap_or_else(|error| refuse(&error, body.is_end_stream()));
        if let Ok(id) = HeaderValue::try_from(request_id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    async fn api(
        &self,
        request_id: RequestId,
        parts: Parts,
        body: &mut Incoming,
    ) -> Result<Response<Answer>, ApiError> {
        let caller =
            firelet_auth::caller(&parts.headers, parts.uri.query()).map_err(|error| from_auth(&error))?;
        let routed = route(&parts.method, parts.uri.path(), parts.uri.query())?;
        let operation = routed.operation;
        if !operation.implemented() {
            return Err(ApiError::not_implemented(operation));
        }
        let body = body::read(Kind::of(operation, &parts.headers), body).await?;
        let base_url = base_url(&parts);
        let call = Call {
            request_id,
            scope: &caller.scope,
            routed: &routed,
            headers: &parts.headers,
            body,
            base_url,
        };
        match operation {
            Operation::Invoke => invocation::invoke(self, call).await.map(encode),
            Operation::InvokeAsync => invocation::invoke_async(self, call).await.map(encode),
            Operation::InvokeWithResponseStream => invocation::stream(self, call).await,
            _ => dispatch::call(&self.control, call).await.map(encode),
        }
    }
}

/// The address by which the client reached this server, for links to come back by.
fn base_url(parts: &Parts) -> String {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:4566");
    format!("http://{host}")
}

/// Answers with an error. A body that was too large to be read whole ends its connection, which its client has to hear.
fn refuse(error: &ApiError, is_read: bool) -> Response<Answer> {
    let mut response = encode(error.encode());
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE && !is_read {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

pub(crate) fn encode(encoded: EncodedResponse) -> Response<Answer> {
    let mut response = Response::new(body::whole(encoded.body));
    *response.status_mut() =
        StatusCode::from_u16(encoded.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().extend(encoded.headers);
    response
}

/// An answer that is text.
pub(crate) fn text(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<Answer> {
    let mut response = Response::new(body::whole(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
