//! The small HTTP client of the commands that talk to a server.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::commands::Endpoint;

/// Sends one request, signed in form only: it names the account and the Region.
pub(crate) async fn send(
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> anyhow::Result<http::Response<Incoming>> {
    let base: Uri =
        endpoint.endpoint.parse().with_context(|| format!("{} is not a URL", endpoint.endpoint))?;
    if base.scheme_str() != Some("http") {
        bail!("{} does not start with http://", endpoint.endpoint);
    }
    let host = base.authority().ok_or_else(|| anyhow!("{} names no host", endpoint.endpoint))?;
    let address = (host.host().trim_matches(['[', ']']), host.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.with_context(|| {
        format!(
            "no server at {}; start one with `firelet serve` or name another with --endpoint",
            endpoint.endpoint
        )
    })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("cannot speak HTTP")?;
    let mut request = Request::builder().method(method).uri(path).body(Full::new(body))?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(HOST, host.as_str().parse()?);
    request.headers_mut().insert(AUTHORIZATION, authorization(endpoint)?.parse()?);
    request.headers_mut().insert("x-amz-date", "19700101T000000Z".parse()?);
    let response = sender.send_request(request);
    tokio::spawn(connection);
    response.await.with_context(|| format!("{} did not answer", endpoint.endpoint))
}

fn authorization(endpoint: &Endpoint) -> anyhow::Result<String> {
    let region = endpoint.region();
    let account = endpoint.account.as_deref().filter(|account| !account.is_empty()).unwrap_or("firelet");
    Ok(format!(
        "AWS4-HMAC-SHA256 Credential={account}/19700101/{region}/lambda/aws4_request, SignedHeaders=host, \
         Signature={}",
        "0".repeat(64)
    ))
}

/// Reads an answer to its end.
pub(crate) async fn read(response: http::Response<Incoming>) -> anyhow::Result<Bytes> {
    Ok(response.into_body().collect().await.context("the answer ended before it was complete")?.to_bytes())
}

/// What an error answer says: its type and its message.
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> anyhow::Error {
    let error_type = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).unwrap_or("error");
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message =
        parsed.get("message").or_else(|| parsed.get("Message")).and_then(|message| message.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    anyhow!("{error_type} ({status}): {text}", status = status.as_u16())
}

/// Runs one command to its end.
pub(crate) fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?.block_on(work)
}
