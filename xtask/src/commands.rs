//! Other programs: how they are found, run and shown.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

/// The Python that tests and examples are made for.
pub(crate) const PYTHON: &str = "python3.11";
const NODE_MAJOR: &str = "20";

/// Where cargo puts what it builds.
pub(crate) fn target_directory(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The cargo that runs this program.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs `command` with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("start {}", describe(command)))?;
    ensure!(status.success(), "{} failed ({status})", describe(command));
    Ok(())
}

/// Runs `command` silently; a failure carries what it wrote.
pub(crate) fn run_quietly(command: &mut Command) -> anyhow::Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("start {}", describe(command)))?;
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({})\n{written}{errors}", describe(command), output.status);
    }
    Ok(written)
}

/// Fails with what to do when Python is missing.
pub(crate) fn require_python() -> anyhow::Result<()> {
    match version_of(PYTHON) {
        Some(_) => Ok(()),
        None => bail!("{PYTHON} is not on the PATH; install Python 3.11"),
    }
}

/// Fails with what to do when Node.js 20 or npm are missing.
pub(crate) fn require_node() -> anyhow::Result<()> {
    let Some(version) = version_of("node") else {
        bail!("node is not on the PATH; install Node.js {NODE_MAJOR}");
    };
    let major = version.trim().trim_start_matches('v').split('.').next().unwrap_or_default();
    ensure!(
        major == NODE_MAJOR,
        "node on the PATH is {}; install Node.js {NODE_MAJOR}, which runtime nodejs20.x asks for",
        version.trim()
    );
    ensure!(version_of("npm").is_some(), "npm is not on the PATH; it comes with Node.js {NODE_MAJOR}");
    Ok(())
}

/// Fails with what to do when `program` is missing.
pub(crate) fn require(program: &str) -> anyhow::Result<()> {
    ensure!(version_of(program).is_some(), "{program} is not on the PATH; install it");
    Ok(())
}

fn version_of(program: &str) -> Option<String> {
    run_quietly(Command::new(program).arg("--version")).ok()
}

fn describe(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    let words: Vec<_> = std::iter::once(command.get_program().to_string_lossy()).chain(arguments).collect();
    format!("`{}`", words.join(" "))
}
