//! Any bytes as a deployment package: what `check` accepts `unpack` unpacks, and nothing outside the folder changes.

#![no_main]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use firelet_store::archive::{ArchiveError, Limits, Summary, check, unpack};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const LIMITS: Limits = Limits { entries: 64, unzipped_bytes: 1 << 20, depth: 8 };
const WITNESS: &[u8] = b"untouched";

/// What the folder around the unpacked tree holds before and after.
const AROUND: [&str; 2] = ["inner", "witness"];

fuzz_target!(|zip: &[u8]| {
    let outer = TempDir::new().expect("a folder for one run");
    let inner = outer.path().join("inner");
    let witness = outer.path().join("witness");
    fs::create_dir(&inner).expect("the folder that archives are unpacked in");
    fs::write(&witness, WITNESS).expect("the witness");
    let before = fs::symlink_metadata(&witness).expect("the witness's facts");

    let checked = check(zip, &LIMITS);
    let unpacked = unpack(zip, &inner.join("tree"), &LIMITS);

    compare(&checked, &unpacked);
    assert_eq!(names(outer.path()), AROUND);
    assert_eq!(fs::read(&witness).expect("the witness is there"), WITNESS);
    let after = fs::symlink_metadata(&witness).expect("the witness's facts");
    assert_eq!((before.mode(), before.ino(), before.nlink()), (after.mode(), after.ino(), after.nlink()));
    match unpacked {
        Ok(summary) => {
            assert_eq!(names(&inner), ["tree"]);
            inspect(&inner.join("tree"), &summary);
        }
        Err(_) => assert!(names(&inner).is_empty(), "a refused archive left something behind"),
    }
});

fn compare(checked: &Result<Summary, ArchiveError>, unpacked: &Result<Summary, ArchiveError>) {
    match (checked, unpacked) {
        (Ok(checked), Ok(unpacked)) => assert_eq!(checked, unpacked),
        (Err(_), Err(error)) => assert!(error.is_in_archive(), "{error:?}"),
        (checked, unpacked) => panic!("check says {checked:?} and unpack says {unpacked:?}"),
    }
}

/// The tree holds plain files, folders and links that stay inside, as many and as large as the summary says.
fn inspect(tree: &Path, summary: &Summary) {
    let root = tree.canonicalize().expect("the tree is there");
    let mut found = Summary { entries: 0, unzipped_bytes: 0 };
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree") {
            let path = entry.expect("an entry of the tree").path();
            let facts = fs::symlink_metadata(&path).expect("the facts of an entry");
            found.entries += 1;
            if facts.is_dir() {
                assert_eq!(facts.mode() & 0o7777, 0o755, "{path:?}");
                folders.push(path);
            } else if facts.is_symlink() {
                if let Ok(target) = path.canonicalize() {
                    assert!(target.starts_with(&root), "{path:?} leads to {target:?}");
                }
            } else {
                assert!(facts.is_file(), "{path:?}");
                assert_eq!((facts.mode() & 0o7666, facts.nlink()), (0o444, 1), "{path:?}");
                found.unzipped_bytes += facts.len();
            }
        }
    }
    assert_eq!(found, *summary);
    assert!(found.entries <= LIMITS.entries && found.unzipped_bytes <= LIMITS.unzipped_bytes);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
