//! The functions that are measured, one a language: each greets whoever the event names and prints a line.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::bare;
use super::interpreters::Interpreter;

/// The event of every invocation.
pub(crate) const EVENT: &[u8] = br#"{"name":"firelet"}"#;

const PYTHON: &str = r#"
def handler(event, context):
    name = event.get("name", "world")
    print(f"greeting {name}")
    return {"message": f"Hello, {name}!", "request": context.aws_request_id}
"#;

const SLEEPER: &str = r#"
import time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
"#;

/// Takes as long as its event says, as well, and imports what many functions do.
const IMPORTER: &str = r#"
import asyncio
import decimal
import email
import http.client
import json
import logging
import time
import urllib.request

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return json.dumps(event)
"#;

const NODE: &str = r"
exports.handler = async (event, context) => {
  const name = event.name ?? 'world';
  console.log(`greeting ${name}`);
  return { message: `Hello, ${name}!`, request: context.awsRequestId };
};
";

/// A language, with its function.
pub(crate) struct Language {
    pub(crate) name: &'static str,
    pub(crate) runtime: String,
    pub(crate) handler: &'static str,
    /// What of it starts from snapshots, in Lambda's words.
    pub(crate) snap_start: &'static str,
    program: Program,
    file: &'static str,
    content: Vec<u8>,
}

/// What runs the function.
enum Program {
    /// The package's own file.
    Bootstrap(PathBuf),
    /// The host's interpreter.
    Interpreter {
        program: PathBuf,
        /// Makes it start and end at once.
        idle: &'static [&'static str],
    },
}

impl Language {
    /// The program at `bootstrap`, which is a runtime of its own.
    pub(crate) fn bootstrap(name: &'static str, bootstrap: &Path) -> anyhow::Result<Self> {
        let content = fs::read(bootstrap).with_context(|| format!("read {}", bootstrap.display()))?;
        Ok(Self {
            name,
            runtime: "provided.al2023".to_owned(),
            handler: "bootstrap",
            snap_start: "None",
            program: Program::Bootstrap(bootstrap.to_owned()),
            file: "bootstrap",
            content,
        })
    }

    pub(crate) fn python(interpreter: Interpreter) -> Self {
        Self {
            name: "Python",
            runtime: interpreter.runtime,
            handler: "app.handler",
            snap_start: "None",
            program: Program::Interpreter { program: interpreter.program, idle: &["-c", "pass"] },
            file: "app.py",
            content: PYTHON.as_bytes().to_vec(),
        }
    }

    /// The same language with a function that takes as long as its event says, in seconds.
    pub(crate) fn sleeping(interpreter: Interpreter) -> Self {
        Self { content: SLEEPER.as_bytes().to_vec(), ..Self::python(interpreter) }
    }

    /// The same with imports, of which snapshots save the time; its published versions start from one.
    pub(crate) fn importing(interpreter: Interpreter) -> Self {
        Self {
            content: IMPORTER.as_bytes().to_vec(),
            snap_start: "PublishedVersions",
            ..Self::python(interpreter)
        }
    }

    pub(crate) fn node(interpreter: Interpreter) -> Self {
        Self {
            name: "Node",
            runtime: interpreter.runtime,
            handler: "index.handler",
            snap_start: "None",
            program: Program::Interpreter { program: interpreter.program, idle: &["-e", "0"] },
            file: "index.js",
            content: NODE.as_bytes().to_vec(),
        }
    }

    /// Starts the bare program and waits until it has ended; a Lambda runtime, which does not end, until it asks for
    /// its first event.
    pub(crate) fn start_bare(&self) -> anyhow::Result<Duration> {
        match &self.program {
            Program::Bootstrap(program) => {
                bare::until_it_asks(bare::quiet(program).env("_HANDLER", self.handler))
            }
            Program::Interpreter { program, idle } => bare::until_end(bare::quiet(program).args(*idle)),
        }
    }

    /// The deployment package; no two numbers give the same.
    pub(crate) fn package(&self, number: usize) -> anyhow::Result<Vec<u8>> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let number = number.to_string();
        for (name, content) in [(self.file, self.content.as_slice()), ("number", number.as_bytes())] {
            let options = SimpleFileOptions::default().unix_permissions(0o755);
            writer.start_file(name, options).with_context(|| format!("add {name} to a package"))?;
            writer.write_all(content).with_context(|| format!("write {name} of a package"))?;
        }
        let package = writer.finish().context("finish a package")?.into_inner();
        ensure!(package.len() < 50 << 20, "the package of {} is larger than Lambda takes", self.name);
        Ok(package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_packages_are_alike() {
        let interpreter = Interpreter { runtime: "python3.11".into(), program: "/usr/bin/python3".into() };
        let python = Language::python(interpreter);
        assert_eq!(python.package(1).unwrap(), python.package(1).unwrap());
        assert_ne!(python.package(1).unwrap(), python.package(2).unwrap());
    }
}
