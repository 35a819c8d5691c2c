//! `cargo xtask examples`: builds the functions under `examples/` into zips, each only when it changed.

mod archive;
mod fingerprint;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::commands::{PYTHON, cargo, require_node, require_python, run_quietly, target_directory};
use crate::progress;

/// A function that `examples/` holds.
#[derive(Clone, Copy)]
pub(crate) struct Example {
    pub(crate) name: &'static str,
    pub(crate) runtime: &'static str,
    pub(crate) handler: &'static str,
    /// What to invoke it with.
    pub(crate) event: &'static str,
    language: Language,
}

#[derive(Clone, Copy)]
enum Language {
    Python,
    Node,
    Rust,
}

/// The examples that the demo shows, in this order.
pub(crate) const EXAMPLES: [Example; 4] = [
    Example {
        name: "python-hello",
        runtime: "python3.11",
        handler: "app.handler",
        event: r#"{"name": "Ada"}"#,
        language: Language::Python,
    },
    Example {
        name: "python-powertools",
        runtime: "python3.11",
        handler: "app.handler",
        event: r#"{"name": "Grace"}"#,
        language: Language::Python,
    },
    Example {
        name: "node-hello",
        runtime: "nodejs20.x",
        handler: "index.handler",
        event: r#"{"span": "3 hours"}"#,
        language: Language::Node,
    },
    Example {
        name: "rust-hello",
        runtime: "provided.al2023",
        handler: "bootstrap",
        event: r#"{"name": "Ferris"}"#,
        language: Language::Rust,
    },
];

/// An example that the demo leaves out: its answer is one for callers who read streams.
const STREAM: Example = Example {
    name: "rust-stream",
    runtime: "provided.al2023",
    handler: "bootstrap",
    event: r#"{"words": ["one", "two"]}"#,
    language: Language::Rust,
};

/// All examples.
pub(crate) fn all() -> impl Iterator<Item = Example> {
    EXAMPLES.into_iter().chain([STREAM])
}

/// Builds all examples and says so.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    for example in all() {
        progress::step(&format!("build {}", example.name), || build(root, example)).0?;
    }
    println!("  {}", directory(root).display());
    Ok(())
}

/// Where the zips are: `NAME.zip` for each example.
pub(crate) fn directory(root: &Path) -> PathBuf {
    target_directory(root).join("examples")
}

/// The zip of `example`, built if it is not up to date.
pub(crate) fn build(root: &Path, example: Example) -> anyhow::Result<PathBuf> {
    let place = Place {
        source: root.join("examples").join(example.name),
        package: directory(root).join(example.name),
        zip: directory(root).join(format!("{}.zip", example.name)),
    };
    match example.language {
        Language::Python => place.build_once(python)?,
        Language::Node => place.build_once(node)?,
        Language::Rust => rust(root, &place)?,
    }
    Ok(place.zip)
}

struct Place {
    source: PathBuf,
    package: PathBuf,
    zip: PathBuf,
}

impl Place {
    /// Fills a fresh package folder with `fill` and packs it, unless the same source was packed already.
    fn build_once(&self, fill: fn(&Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let stamp = self.zip.with_extension("fingerprint");
        let fingerprint = fingerprint::of(&self.source)?;
        if self.zip.exists() && fs::read_to_string(&stamp).is_ok_and(|earlier| earlier == fingerprint) {
            return Ok(());
        }
        if self.package.exists() {
            fs::remove_dir_all(&self.package).with_context(|| format!("clear {}", self.package.display()))?;
        }
        fs::create_dir_all(&self.package).with_context(|| format!("create {}", self.package.display()))?;
        fill(self)?;
        archive::pack(&self.package, &self.zip)?;
        fs::write(&stamp, fingerprint).with_context(|| format!("write {}", stamp.display()))
    }

    fn take(&self, names: &[&str]) -> anyhow::Result<()> {
        for name in names {
            fs::copy(self.source.join(name), self.package.join(name))
                .with_context(|| format!("copy {name} of {}", self.source.display()))?;
        }
        Ok(())
    }
}

fn python(place: &Place) -> anyhow::Result<()> {
    require_python()?;
    let requirements = place.source.join("requirements.txt");
    if requirements.exists() {
        let mut pip = Command::new(PYTHON);
        pip.args(["-m", "pip", "install", "--quiet", "--no-compile", "--target"]);
        pip.arg(&place.package).arg("--requirement").arg(requirements);
        run_quietly(&mut pip).context("install the packages of the example (is python3-pip installed?)")?;
    }
    place.take(&["app.py"])
}

fn node(place: &Place) -> anyhow::Result<()> {
    require_node()?;
    place.take(&["index.mjs", "package.json", "package-lock.json"])?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier"]);
    run_quietly(npm.current_dir(&place.package)).context("install the packages of the example")?;
    Ok(())
}

fn rust(root: &Path, place: &Place) -> anyhow::Result<()> {
    let target = directory(root).join("rust");
    let mut build = cargo(&place.source);
    build.args(["build", "--release", "--locked", "--target-dir"]).arg(&target);
    run_quietly(&mut build)?;
    fs::create_dir_all(&place.package).with_context(|| format!("create {}", place.package.display()))?;
    let binary = target.join("release/bootstrap");
    fs::copy(&binary, place.package.join("bootstrap"))
        .with_context(|| format!("copy {}", binary.display()))?;
    archive::pack(&place.package, &place.zip)
}
