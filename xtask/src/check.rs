//! `cargo xtask check`: what a change must pass before its tests.

use std::path::Path;

use anyhow::Context;

use crate::commands::{cargo, run};
use crate::{codegen, tidy};

pub(crate) fn run_all(root: &Path) -> anyhow::Result<()> {
    heading("format");
    run(cargo(root).args(["fmt", "--all", "--check"])).context("run `cargo fmt --all`")?;
    for example in ["rust-hello", "rust-stream"] {
        run(cargo(&root.join("examples").join(example)).args(["fmt", "--check"]))
            .with_context(|| format!("run `cargo fmt` in examples/{example}"))?;
    }
    heading("clippy");
    run(cargo(root).args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    heading("tidy");
    tidy::run(root)?;
    heading("generated code");
    codegen::run(root, &codegen::Options { check: true })
}

fn heading(name: &str) {
    println!("check: {name}");
}
