//! `cargo xtask tidy`: what the compiler and clippy do not hold: the levels of the crates and the shape of files.

mod levels;
mod sources;

use std::path::Path;

use anyhow::bail;

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut faults = levels::check(root)?;
    faults.extend(sources::check(root)?);
    for fault in &faults {
        println!("{fault}");
    }
    match faults.len() {
        0 => Ok(()),
        1 => bail!("tidy found a fault"),
        count => bail!("tidy found {count} faults"),
    }
}
