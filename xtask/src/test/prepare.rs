//! The AWS clients that tests use, installed under cargo's target directory once for each list of versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::commands::{PYTHON, run_quietly, target_directory};

/// A virtual environment with what `tests/requirements.txt` names.
pub(super) fn python(root: &Path) -> anyhow::Result<PathBuf> {
    let place = target_directory(root).join("tests/python");
    let requirements = root.join("tests/requirements.txt");
    once(&place, &[&requirements], || {
        run_quietly(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&place))
            .context("make a virtual environment (is python3-venv installed?)")?;
        let mut pip = Command::new(place.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run_quietly(pip.arg(&requirements)).context("install the tests' Python packages")
    })?;
    Ok(place)
}

/// A folder with what `tests/conformance/node/package.json` names.
pub(super) fn node(root: &Path) -> anyhow::Result<PathBuf> {
    let place = target_directory(root).join("tests/node");
    let source = root.join("tests/conformance/node");
    let [manifest, lock] = ["package.json", "package-lock.json"].map(|name| source.join(name));
    once(&place, &[&manifest, &lock], || {
        fs::create_dir_all(&place).context("make the folder for npm packages")?;
        fs::copy(&manifest, place.join("package.json")).context("copy package.json")?;
        fs::copy(&lock, place.join("package-lock.json")).context("copy package-lock.json")?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--no-update-notifier"]);
        run_quietly(npm.current_dir(&place)).context("install the tests' npm packages")
    })?;
    Ok(place)
}

/// Runs `install` unless it succeeded before for these very `inputs`.
fn once(
    place: &Path,
    inputs: &[&Path],
    install: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let stamp = place.join("installed-for");
    let mut wanted = String::new();
    for input in inputs {
        wanted += &fs::read_to_string(input).with_context(|| format!("read {}", input.display()))?;
    }
    if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}
