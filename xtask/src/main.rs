//! The project's own commands: `cargo xtask --help` lists them. One module a command.

mod bench;
mod check;
mod codegen;
mod commands;
mod demo;
mod examples;
mod lambda;
mod progress;
mod server;
mod test;
mod tidy;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate the Lambda wire crate and the coverage page from the service model in `api/`.
    Codegen(codegen::Options),
    /// Check format, lints, the shape of the project and that generated code is fresh.
    Check,
    /// Check the levels of the crates and the shape of files.
    Tidy,
    /// Build the example functions into zips.
    Examples,
    /// Build firelet, deploy and invoke the examples, and stay up for more.
    Demo(demo::Options),
    /// Run all tests, and install what they need under the target directory.
    Test(test::Options),
    /// Measure firelet beside what this machine can do at best.
    Bench(bench::Options),
    /// Serve as the floor of a benchmark.
    #[command(name = bench::FLOOR_COMMAND, hide = true)]
    BenchFloor {
        /// Where to run.
        place: bench::Place,
    },
    /// Serve as the bare loop around a function.
    #[command(name = bench::LOOP_COMMAND, hide = true)]
    BenchLoop {
        /// The function's program.
        function: PathBuf,
        /// How many of it.
        count: usize,
    },
    /// Serve as one of the two processes of the floor of large payloads.
    #[command(name = bench::SOCKETS_COMMAND, hide = true)]
    BenchSockets {
        /// Where to pass on what comes; without it, answer.
        peer: Option<SocketAddr>,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let root = workspace_root()?;
    match Arguments::parse().command {
        Command::Codegen(options) => codegen::run(&root, &options),
        Command::Check => check::run_all(&root),
        Command::Tidy => tidy::run(&root),
        Command::Examples => examples::run(&root),
        Command::Demo(options) => demo::run(&root, &options),
        Command::Test(options) => test::run(&root, &options),
        Command::Bench(options) => bench::run(&root, &options),
        Command::BenchFloor { place } => bench::serve_floor(place),
        Command::BenchLoop { function, count } => bench::serve_loop(&function, count),
        Command::BenchSockets { peer } => bench::serve_sockets(peer),
    }
}

fn workspace_root() -> anyhow::Result<PathBuf> {
    // Cargo says it at run time too, which holds even when clones share a target directory.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let manifest = PathBuf::from(manifest);
    manifest.parent().map(PathBuf::from).context("xtask stands in a folder of the workspace")
}
