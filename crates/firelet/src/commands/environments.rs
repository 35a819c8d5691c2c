//! `firelet environments`.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, Method};
use serde::Deserialize;

use crate::client;
use crate::commands::Endpoint;

const PATH: &str = "/_firelet/environments";
const HEADINGS: [&str; 7] = ["ACCOUNT", "REGION", "FUNCTION", "VERSION", "STATE", "PROCESS", "PEAK MEMORY"];

/// What `firelet environments` takes.
#[derive(Debug, Args)]
pub(crate) struct EnvironmentsArguments {
    /// Print JSON, for scripts.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inventory {
    environments: Vec<Environment>,
    prepared: Vec<Prepared>,
    snapshots: Snapshots,
    helper: Helper,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Environment {
    account: String,
    region: String,
    function: String,
    version: String,
    tenant: Option<String>,
    state: String,
    process_id: Option<u32>,
    peak_memory_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prepared {
    runtime: String,
    wanted: usize,
    waiting: usize,
    memory_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshots {
    count: usize,
    memory_bytes: u64,
    memory_limit_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Helper {
    process_id: u32,
}

pub(crate) fn run(arguments: &EnvironmentsArguments) -> anyhow::Result<ExitCode> {
    client::block_on(print(arguments))
}

async fn print(arguments: &EnvironmentsArguments) -> anyhow::Result<ExitCode> {
    let response =
        client::send(&arguments.endpoint, Method::GET, PATH, HeaderMap::new(), Bytes::new()).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = client::read(response).await?;
    if !status.is_success() {
        return Err(client::refusal(status, &headers, &body));
    }
    let unreadable = "cannot read what the server says; is it of another version?";
    if arguments.json {
        let inventory: serde_json::Value = serde_json::from_slice(&body).context(unreadable)?;
        anstream::println!("{}", serde_json::to_string_pretty(&inventory)?);
    } else {
        let inventory: Inventory = serde_json::from_slice(&body).context(unreadable)?;
        anstream::print!("{}", describe(&inventory));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(inventory: &Inventory) -> String {
    let mut text = match inventory.environments.as_slice() {
        [] => "No function has an execution environment.\n".to_owned(),
        environments => table(&environments.iter().map(row).collect::<Vec<_>>()),
    };
    text.push('\n');
    for Prepared { runtime, wanted, waiting, memory_bytes } in &inventory.prepared {
        let memory = megabytes(*memory_bytes);
        // To write to text cannot fail.
        let _ = writeln!(text, "{runtime}: {waiting} of {wanted} interpreters wait, with {memory}");
    }
    let Snapshots { count, memory_bytes, memory_limit_bytes } = inventory.snapshots;
    let (memory, limit) = (megabytes(memory_bytes), megabytes(memory_limit_bytes));
    let _ = writeln!(text, "snapshots: {count}, with {memory} of {limit}");
    let _ = writeln!(text, "sandbox helper: process {}", inventory.helper.process_id);
    text
}

fn row(environment: &Environment) -> [String; HEADINGS.len()] {
    let Environment { account, region, function, version, tenant, state, process_id, peak_memory_bytes } =
        environment;
    let function = match tenant {
        Some(tenant) => format!("{function} for {tenant}"),
        None => function.clone(),
    };
    [
        account.clone(),
        region.clone(),
        function,
        version.clone(),
        state.clone(),
        process_id.map_or_else(|| "-".to_owned(), |process_id| process_id.to_string()),
        megabytes(*peak_memory_bytes),
    ]
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1 << 20))
}

fn table(rows: &[[String; HEADINGS.len()]]) -> String {
    let headings = HEADINGS.map(str::to_owned);
    let lines: Vec<_> = std::iter::once(&headings).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(inventory: &str, expected: &str) {
        assert_eq!(describe(&serde_json::from_str(inventory).unwrap()), expected);
    }

    #[test]
    fn nothing_is_told_in_words() {
        check(
            r#"{"environments": [], "prepared": [], "helper": {"processId": 7},
                "snapshots": {"count": 0, "memoryBytes": 0, "memoryLimitBytes": 536870912}}"#,
            "No function has an execution environment.\n\nsnapshots: 0, with 0 MB of 512 MB\n\
             sandbox helper: process 7\n",
        );
    }

    #[test]
    fn each_environment_has_a_line() {
        check(
            r#"{
                "environments": [
                    {"id": "x", "account": "000000000000", "region": "us-east-1", "function": "hello",
                     "version": "$LATEST", "state": "frozen", "processId": 4711, "peakMemoryBytes": 20000000,
                     "initializationType": "on-demand"},
                    {"id": "y", "account": "000000000000", "region": "us-east-1", "function": "by-tenant",
                     "version": "12", "tenant": "blue", "state": "busy", "peakMemoryBytes": 0,
                     "initializationType": "on-demand"}
                ],
                "prepared": [{"runtime": "python3.13", "wanted": 2, "waiting": 1, "memoryBytes": 9000000}],
                "snapshots": {"count": 2, "memoryBytes": 30000000, "memoryLimitBytes": 536870912},
                "helper": {"processId": 4700}
            }"#,
            "ACCOUNT       REGION     FUNCTION            VERSION  STATE   PROCESS  PEAK MEMORY\n\
             000000000000  us-east-1  hello               $LATEST  frozen  4711     20 MB\n\
             000000000000  us-east-1  by-tenant for blue  12       busy    -        0 MB\n\
             \n\
             python3.13: 1 of 2 interpreters wait, with 9 MB\n\
             snapshots: 2, with 29 MB of 512 MB\n\
             sandbox helper: process 4700\n",
        );
    }
}
