//! `cargo xtask test`: all tests of the project, and what they need, in one command.

mod count;
mod prepare;

use std::env;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use self::count::{Count, Format};
use crate::commands::{self, PYTHON, cargo, require, require_node, require_python, target_directory};
use crate::examples;
use crate::progress::step;

/// Options of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only these tests.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Run the end-to-end tests against the release binary.
    #[arg(long)]
    release: bool,
    /// Run only tests whose name contains this.
    filter: Option<String>,
    /// More for pytest, after `--`.
    #[arg(last = true)]
    pytest: Vec<String>,
}

/// A part of the tests.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Tests of the crates and of the bootstraps.
    Unit,
    /// Tests of the real binary through AWS clients.
    E2e,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    require_python()?;
    require_node()?;
    // Functions with a runtime of their own call the Runtime API with it.
    require("curl")?;
    let mut total = Count::default();
    if options.only != Some(Part::E2e) {
        total += unit(root, options)?;
    }
    if options.only != Some(Part::Unit) {
        total += end_to_end(root, options)?;
    }
    println!("\n{} passed, {} failed", total.passed(), total.failed);
    if total.failed > 0 {
        bail!("tests failed");
    }
    Ok(())
}

fn unit(root: &Path, options: &Options) -> anyhow::Result<Count> {
    println!("Tests of the crates");
    let mut crates = cargo(root);
    crates.args(["test", "--workspace", "--no-fail-fast"]).args(&options.filter);
    let mut count = run_counted(&mut crates, Format::Cargo)?;
    println!("\nTests of the bootstraps");
    let mut bootstraps = Command::new(PYTHON);
    bootstraps.current_dir(root).arg("runtimes/tests/run.py");
    if let Some(filter) = &options.filter {
        bootstraps.args(["-k", filter]);
    }
    count += run_counted(&mut bootstraps, Format::Unittest)?;
    Ok(count)
}

fn end_to_end(root: &Path, options: &Options) -> anyhow::Result<Count> {
    println!("\nTests of the binary through AWS clients");
    let binary = build_firelet(root, options.release)?;
    for example in examples::all() {
        step(&format!("build {}", example.name), || examples::build(root, example)).0?;
    }
    let python = step("boto3, awscli, pytest", || prepare::python(root)).0?;
    let node = step("@aws-sdk/client-lambda", || prepare::node(root)).0?;
    let mut pytest = Command::new(python.join("bin/python"));
    pytest.current_dir(root.join("tests")).args(["-m", "pytest"]).args(&options.pytest);
    if let Some(filter) = &options.filter {
        pytest.args(["-k", filter]);
    }
    let path = env::var("PATH").unwrap_or_default();
    pytest.env("PATH", format!("{}:{path}", python.join("bin").display()));
    pytest.env("FIRELET_BIN", binary);
    pytest.env("FIRELET_EXAMPLES", examples::directory(root));
    pytest.env("FIRELET_NODE_MODULES", node.join("node_modules"));
    run_counted(&mut pytest, Format::Pytest)
}

fn build_firelet(root: &Path, release: bool) -> anyhow::Result<PathBuf> {
    let mut build = cargo(root);
    build.args(["build", "--package", "firelet"]);
    if release {
        build.arg("--release");
    }
    commands::run(&mut build)?;
    let profile = if release { "release" } else { "debug" };
    Ok(target_directory(root).join(profile).join("firelet"))
}

/// Runs a test command, shows its output as it comes, and counts what it reports. A command that fails without
/// a failed test counts as one failure.
fn run_counted(command: &mut Command, format: Format) -> anyhow::Result<Count> {
    // Unittest reports on the error stream; cargo and pytest report on the other.
    let both = matches!(format, Format::Unittest);
    command.stdin(Stdio::null());
    if both {
        command.stderr(Stdio::piped());
    } else {
        command.stdout(Stdio::piped());
    }
    let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
    let mut count = Count::default();
    if let Some(output) = child.stdout.take() {
        count += tee(BufReader::new(output), format)?;
    }
    if let Some(output) = child.stderr.take() {
        count += tee(BufReader::new(output), format)?;
    }
    let status = child.wait().with_context(|| format!("wait for {command:?}"))?;
    if !status.success() && count.failed == 0 && !format.found_nothing(status) {
        count += Count { ran: 1, failed: 1, skipped: 0 };
    }
    Ok(count)
}

fn tee(mut output: impl BufRead, format: Format) -> anyhow::Result<Count> {
    let mut count = Count::default();
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).context("read the tests' output")? > 0 {
        stdout().write_all(&line).context("show the tests' output")?;
        count += format.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(count)
}
