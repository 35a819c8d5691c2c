//! What tells two states of a folder apart.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A short text that changes with any file below `folder`.
pub(crate) fn of(folder: &Path) -> anyhow::Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in files_below(folder)? {
        path.hash(&mut hasher);
        fs::read(&path).with_context(|| format!("read {}", path.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// All files below `folder`, sorted; links and what hides behind them are left out.
pub(crate) fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory).with_context(|| format!("list {}", directory.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list {}", directory.display()))?;
            let kind = entry.file_type().with_context(|| format!("inspect {}", entry.path().display()))?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_changes_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "one").unwrap();
        let before = of(folder.path()).unwrap();
        assert_eq!(of(folder.path()).unwrap(), before);
        fs::write(folder.path().join("a"), "two").unwrap();
        assert_ne!(of(folder.path()).unwrap(), before);
    }
}
