//! `firelet logs`.

use std::io::Write;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::client;
use crate::commands::Endpoint;

/// What `firelet logs` takes.
#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// The function's name.
    function: String,
    /// Go on printing as the function logs, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// The last lines to start with.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 1_000)]
    lines: usize,
    #[command(flatten)]
    endpoint: Endpoint,
}

pub(crate) fn run(arguments: &LogsArguments) -> anyhow::Result<ExitCode> {
    client::block_on(print(arguments))
}

async fn print(arguments: &LogsArguments) -> anyhow::Result<ExitCode> {
    let function = utf8_percent_encode(&arguments.function, NON_ALPHANUMERIC);
    let LogsArguments { lines, follow, .. } = arguments;
    let path = format!("/_firelet/logs?function={function}&lines={lines}&follow={follow}");
    let response =
        client::send(&arguments.endpoint, Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
    if !response.status().is_success() {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = client::read(response).await?;
        return Err(client::refusal(status, &headers, &body));
    }
    let mut body = response.into_body();
    let mut output = std::io::stdout().lock();
    let mut is_empty = true;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            is_empty = false;
            output.write_all(&data)?;
            output.flush()?;
        }
    }
    if is_empty {
        anstream::eprintln!("firelet: {} has not logged anything yet", arguments.function);
    }
    Ok(ExitCode::SUCCESS)
}
