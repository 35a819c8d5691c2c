//! `firelet invoke`.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::client;
use crate::commands::Endpoint;

/// What `firelet invoke` takes.
#[derive(Debug, Args)]
pub(crate) struct InvokeArguments {
    /// The function's name or ARN, with a qualifier if you like: hello, hello:3.
    function: String,
    /// The event as JSON; `-` reads it from standard input.
    #[arg(long, short, value_name = "JSON", conflicts_with = "payload_file")]
    payload: Option<String>,
    /// A file with the event.
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// Print the end of the log as well.
    #[arg(long, short)]
    log: bool,
    /// Whom the function shall work for, if it keeps tenants apart.
    #[arg(long, value_name = "ID")]
    tenant_id: Option<String>,
    /// Queue the invocation and print its request id, rather than wait for the answer.
    #[arg(long, conflicts_with = "log")]
    r#async: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

pub(crate) fn run(arguments: &InvokeArguments) -> anyhow::Result<ExitCode> {
    client::block_on(invoke(arguments))
}

async fn invoke(arguments: &InvokeArguments) -> anyhow::Result<ExitCode> {
    let function = utf8_percent_encode(&arguments.function, NON_ALPHANUMERIC);
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let mut headers = HeaderMap::new();
    if arguments.log {
        headers.insert("x-amz-log-type", HeaderValue::from_static("Tail"));
    }
    if arguments.r#async {
        headers.insert("x-amz-invocation-type", HeaderValue::from_static("Event"));
    }
    if let Some(tenant) = &arguments.tenant_id {
        headers.insert("x-amz-tenant-id", tenant.parse().context("--tenant-id")?);
    }
    let response =
        client::send(&arguments.endpoint, Method::POST, &path, headers, payload(arguments)?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = client::read(response).await?;
    if !status.is_success() {
        return Err(client::refusal(status, &headers, &body));
    }
    if let Some(log) = headers.get("x-amz-log-result").and_then(|log| BASE64_STANDARD.decode(log).ok()) {
        std::io::stderr().write_all(&log)?;
    }
    let mut output = std::io::stdout().lock();
    output.write_all(if arguments.r#async { request_id(&headers) } else { &body })?;
    output.write_all(b"\n")?;
    let has_failed = headers.contains_key("x-amz-function-error");
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn request_id(headers: &HeaderMap) -> &[u8] {
    headers.get("x-amzn-requestid").map_or(b"", HeaderValue::as_bytes)
}

fn payload(arguments: &InvokeArguments) -> anyhow::Result<Bytes> {
    match (&arguments.payload, &arguments.payload_file) {
        (Some(text), _) if text == "-" => {
            let mut event = Vec::new();
            std::io::stdin().read_to_end(&mut event).context("cannot read the event from standard input")?;
            Ok(event.into())
        }
        (Some(text), _) => Ok(text.clone().into()),
        (None, Some(path)) => {
            let event = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(event.into())
        }
        (None, None) => Ok(Bytes::new()),
    }
}
