//! The firelet binary: reads the command line and the environment, and starts what they ask for.
//!
//! The only crate that reads configuration. Under another name the same program is the sandbox helper.

mod client;
mod commands;
mod configuration;
mod serve;
mod services;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crate::commands::Command;

/// The C library's allocator takes 6% of the server's time where many invocations are in flight.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// AWS Lambda on your own machines.
///
/// Start a server, then use any AWS client with it:
///
///   firelet serve --data-dir ./data
///   export AWS_ENDPOINT_URL=http://127.0.0.1:4566
///   aws lambda create-function --function-name hello ...
///   firelet invoke hello --payload '{"name": "you"}'
#[derive(Debug, Parser)]
#[command(name = "firelet", version, max_term_width = 100, verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // The helper must come first: it is a fork from a program that has done nothing yet.
    if std::env::args_os().next().is_some_and(|name| name == firelet_sandbox::HELPER_NAME) {
        return firelet_sandbox::run_helper();
    }
    match Arguments::parse().command.run() {
        Ok(code) => code,
        // Whoever read the output, such as `head`, has enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("firelet: {}", describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error and its causes in one line.
fn describe(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}
