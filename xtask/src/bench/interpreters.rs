//! The interpreters that firelet uses on this host, so that the floor is measured with the very same ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use serde::Deserialize;

/// A managed runtime and its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Lambda's identifier.
    pub(crate) runtime: String,
    pub(crate) program: PathBuf,
}

#[derive(Deserialize)]
struct Report {
    runtimes: Vec<Runtime>,
}

#[derive(Deserialize)]
struct Runtime {
    runtime: String,
    prefix: Option<PathBuf>,
}

/// Asks `firelet doctor`: the newest Python and the newest Node.js, where the host has them.
pub(crate) fn find(binary: &Path) -> anyhow::Result<[Option<Interpreter>; 2]> {
    // Its exit status tells of the sandbox, which is not the question here.
    let output = Command::new(binary)
        .args(["doctor", "--json"])
        .stdin(Stdio::null())
        .output()
        .context("run `firelet doctor`")?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("read `firelet doctor`: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(["python", "nodejs"].map(|family| newest(&report.runtimes, family)))
}

fn newest(runtimes: &[Runtime], family: &str) -> Option<Interpreter> {
    runtimes.iter().rev().filter(|runtime| runtime.runtime.starts_with(family)).find_map(|runtime| {
        let folder = runtime.prefix.as_ref()?.join("bin");
        let names = [runtime.runtime.as_str(), if family == "python" { "python3" } else { "node" }];
        let program = names.map(|name| folder.join(name)).into_iter().find(|program| program.is_file())?;
        Some(Interpreter { runtime: runtime.runtime.clone(), program })
    })
}
