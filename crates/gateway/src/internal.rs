//! What is firelet's own and not AWS's, below `/_firelet/`: health, code downloads, logs, environments.

use bytes::{Bytes, BytesMut};
use firelet_api::model::GetFunctionConfigurationRequest;
use firelet_control::CodeLinkError;
use firelet_telemetry::{Follow, LogGroup, LogLine};
use firelet_types::Scope;
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::body::{self, Answer};
use crate::environments;
use crate::server::{Services, text};

const PREFIX: &str = "/_firelet/";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Lines of a log that are sent when the reader does not say how many.
const LINES: usize = 1_000;
/// The most lines of a log that are sent at once.
const MOST_LINES: usize = 100_000;

pub(crate) fn is_internal(path: &str) -> bool {
    path.starts_with(PREFIX)
}

pub(crate) async fn answer(
    services: &Services,
    request: Request<Incoming>,
    stop: CancellationToken,
) -> Response<Answer> {
    let path = request.uri().path();
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n");
    }
    match path {
        "/_firelet/health" => text(StatusCode::OK, JSON, r#"{"status":"ok"}"#),
        "/_firelet/environments" => {
            let inventory = services.invoker.inventory().await;
            text(StatusCode::OK, JSON, environments::describe(&inventory).to_string())
        }
        "/_firelet/logs" => logs(services, &request, stop).await,
        _ if path.starts_with(firelet_control::code_link::PATH) => code(services, &request).await,
        _ => text(StatusCode::NOT_FOUND, TEXT, "there is nothing here\n"),
    }
}

/// The package behind a link of GetFunction.
async fn code(services: &Services, request: &Request<Incoming>) -> Response<Answer> {
    let query = request.uri().query().unwrap_or_default();
    let download = match services.control.open_code_link(request.uri().path(), query).await {
        Ok(download) => download,
        Err(firelet_control::Error::CodeLink(error @ CodeLinkError::Gone)) => {
            return text(StatusCode::NOT_FOUND, TEXT, error.to_string());
        }
        Err(firelet_control::Error::CodeLink(error)) => {
            return text(StatusCode::FORBIDDEN, TEXT, error.to_string());
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot read code for a download");
            return text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the code cannot be read\n");
        }
    };
    // A disk that fails midway ends the body early, which the client sees by its length.
    let pieces = download
        .pieces
        .take_while(|piece| std::future::ready(piece.is_ok()))
        .filter_map(|piece| async { piece.ok() });
    let mut response = stream_of(pieces, "application/zip");
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(download.size_bytes));
    response
}

/// The log of a function: `?function=NAME` or `?group=NAME`, and `&lines=N`, `&follow=true`. Each line starts with
/// its time. The account and Region are those of the signature.
async fn logs(services: &Services, request: &Request<Incoming>, stop: CancellationToken) -> Response<Answer> {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    let scope = match firelet_auth::caller(request.headers(), None) {
        Ok(caller) => caller.scope,
        Err(error) => return text(StatusCode::FORBIDDEN, TEXT, error.to_string()),
    };
    let function = match parameter("function") {
        Some(name) => Some(log_group(services, &scope, name).await),
        None => None,
    };
    let Some(name) = parameter("group").or(function) else {
        return text(StatusCode::BAD_REQUEST, TEXT, "name a function: /_firelet/logs?function=NAME\n");
    };
    let lines = parameter("lines").and_then(|lines| lines.parse().ok()).unwrap_or(LINES).min(MOST_LINES);
    if name.is_empty() {
        return text(StatusCode::BAD_REQUEST, TEXT, "the name of the group is empty\n");
    }
    let group = LogGroup { scope, name };
    let answer = if parameter("follow").is_some_and(|follow| follow == "true") {
        services.logs.follow(group, lines).await.map(|Follow { history, live }| {
            stream_of(
                stream::iter(history)
                    .map(|line| encode(&line))
                    .chain(follow(live).take_until(stop.cancelled_owned())),
                TEXT,
            )
        })
    } else {
        let history = services.logs.read(group, lines).await;
        history.map(|history| stream_of(stream::iter(history).map(|line| encode(&line)), TEXT))
    };
    answer.unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot read logs");
        text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the log cannot be read\n")
    })
}

/// The log group of a function; for one that is no longer there, the group that it had unless it was told otherwise.
async fn log_group(services: &Services, scope: &Scope, name: String) -> String {
    let usual = format!("/aws/lambda/{name}");
    let request = GetFunctionConfigurationRequest { function_name: name, qualifier: None };
    let configuration = services.control.get_function_configuration(scope, request).await;
    let logging = configuration.ok().and_then(|configuration| configuration.logging_config);
    logging.and_then(|logging| logging.log_group).unwrap_or(usual)
}

fn follow(live: broadcast::Receiver<LogLine>) -> impl Stream<Item = Bytes> {
    stream::unfold(live, |mut live| async move {
        match live.recv().await {
            Ok(line) => Some((encode(&line), live)),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                Some((Bytes::from(format!("({missed} lines were too fast for this reader)\n")), live))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    })
}

fn encode(line: &LogLine) -> Bytes {
    let mut text = BytesMut::with_capacity(line.text.len() + 32);
    text.extend_from_slice(line.time.iso8601().as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(&line.text);
    text.extend_from_slice(b"\n");
    text.freeze()
}

fn stream_of(
    pieces: impl Stream<Item = Bytes> + Send + 'static,
    content_type: &'static str,
) -> Response<Answer> {
    let mut response = Response::new(body::pieces(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
