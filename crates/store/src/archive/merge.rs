//! Lays unpacked trees over one another, as layers are in `/opt`.
//!
//! Follows no link: a link is a leaf, which takes its place or none. Files are shared with the trees that they come
//! from, which nobody changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ArchiveError;
use super::tree::{create_directory, write_error};

/// Writes the union of `trees` to `root`, which must not be there yet. Where two have the same place, the later one's
/// stands; only folders go together.
pub(super) fn write(trees: &[PathBuf], root: &Path) -> Result<(), ArchiveError> {
    create_directory(root)?;
    for tree in trees.iter().rev() {
        add(tree, root)?;
    }
    Ok(())
}

/// Adds what `tree` has and `root` has not.
fn add(tree: &Path, root: &Path) -> Result<(), ArchiveError> {
    let mut folders = vec![(tree.to_owned(), root.to_owned())];
    while let Some((from, to)) = folders.pop() {
        for entry in fs::read_dir(&from).map_err(write_error(&from))? {
            let entry = entry.map_err(write_error(&from))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let is_directory = entry.file_type().map_err(write_error(&source))?.is_dir();
            match (is_directory, fs::symlink_metadata(&target)) {
                (true, Ok(taken)) if taken.is_dir() => folders.push((source, target)),
                (_, Ok(_)) => {}
                (true, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                    create_directory(&target)?;
                    folders.push((source, target));
                }
                (false, Err(error)) if error.kind() == io::ErrorKind::NotFound => place(&source, &target)?,
                (_, Err(error)) => return Err(write_error(&target)(error)),
            }
        }
    }
    Ok(())
}

/// Gives a file or a link a second name, or copies it where that cannot be: a file system may bound the names of a
/// file, or know only one.
fn place(source: &Path, target: &Path) -> Result<(), ArchiveError> {
    if fs::hard_link(source, target).is_ok() {
        return Ok(());
    }
    let copy = || {
        if fs::symlink_metadata(source)?.is_symlink() {
            return std::os::unix::fs::symlink(fs::read_link(source)?, target);
        }
        fs::copy(source, target).map(|_| ())
    };
    copy().map_err(write_error(target))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::super::merge;
    use super::*;

    /// Makes a tree: a name that ends with a slash is a folder, a content that starts with `->` a link.
    fn tree(folder: &tempfile::TempDir, name: &str, items: &[(&str, &str)]) -> PathBuf {
        let root = folder.path().join(name);
        fs::create_dir(&root).unwrap();
        for (path, content) in items {
            let place = root.join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            match content.strip_prefix("->") {
                _ if path.ends_with('/') => fs::create_dir_all(place).unwrap(),
                Some(target) => symlink(target, place).unwrap(),
                None => fs::write(place, content).unwrap(),
            }
        }
        root
    }

    fn show(root: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().display().to_string();
                let metadata = fs::symlink_metadata(&path).unwrap();
                if metadata.is_dir() {
                    found.insert(format!("{name}/"), String::new());
                    folders.push(path);
                } else if metadata.is_symlink() {
                    found.insert(name, format!("->{}", fs::read_link(path).unwrap().display()));
                } else {
                    found.insert(name, fs::read_to_string(path).unwrap());
                }
            }
        }
        found
    }

    #[track_caller]
    fn check(layers: &[&[(&str, &str)]], expected: &[(&str, &str)]) {
        let folder = tempfile::tempdir().unwrap();
        let trees: Vec<PathBuf> = layers
            .iter()
            .enumerate()
            .map(|(index, items)| tree(&folder, &index.to_string(), items))
            .collect();
        let before: Vec<_> = trees.iter().map(|tree| show(tree)).collect();
        let merged = folder.path().join("merged");
        merge(&trees, &merged).unwrap();
        let expected = expected.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned()));
        assert_eq!(show(&merged), expected.collect());
        let after: Vec<_> = trees.iter().map(|tree| show(tree)).collect();
        assert_eq!(after, before);
        let mode = fs::metadata(&merged).unwrap().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn later_files_win_and_folders_go_together() {
        check(
            &[&[("a/x", "1"), ("a/y", "1"), ("b", "1")], &[("a/y", "2"), ("a/z", "2")], &[("a/z", "3")]],
            &[("a/", ""), ("a/x", "1"), ("a/y", "2"), ("a/z", "3"), ("b", "1")],
        );
    }

    #[test]
    fn of_different_kinds_the_later_stands_alone() {
        check(&[&[("a/x", "1")], &[("a", "2")]], &[("a", "2")]);
        check(&[&[("a", "1")], &[("a/x", "2")]], &[("a/", ""), ("a/x", "2")]);
        check(&[&[("a/x", "1")], &[("a/", "")], &[("a/", "")]], &[("a/", ""), ("a/x", "1")]);
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let (folder, link) = (&[("a/x", "new")][..], &[("a", "->b"), ("b/y", "old")][..]);
        check(&[folder, link], &[("a", "->b"), ("b/", ""), ("b/y", "old")]);
        check(&[link, folder], &[("a/", ""), ("a/x", "new"), ("b/", ""), ("b/y", "old")]);
    }

    #[test]
    fn an_unfinished_tree_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let there = tree(&folder, "there", &[("a", "1")]);
        let merged = folder.path().join("merged");
        merge(&[folder.path().join("missing"), there], &merged).unwrap_err();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["there"]);
    }
}
