//! The project's own commands: `cargo xtask --help` lists them. One module a command.

mod codegen;

use std::path::PathBuf;

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
}

fn main() -> anyhow::Result<()> {
    let root = workspace_root()?;
    match Arguments::parse().command {
        Command::Codegen(options) => codegen::run(&root, &options),
    }
}

fn workspace_root() -> anyhow::Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).context("xtask stands in a folder of the workspace")
}
