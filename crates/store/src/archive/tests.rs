use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use proptest::prelude::*;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

/// One entry of a test archive: name, unix mode with kind, content.
type Item<'a> = (&'a str, u32, &'a [u8]);

const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;
const FOLDER: u32 = 0o040_755;

fn archive(items: &[Item<'_>]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in items {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(*name, options.unix_permissions(0o644)).unwrap();
        writer.write_all(content).unwrap();
        let _ = mode;
    }
    set_modes(writer.finish().unwrap().into_inner(), items)
}

/// Writes the modes into the central directory, where the writer would not let some of them stand.
fn set_modes(mut zip: Vec<u8>, items: &[Item<'_>]) -> Vec<u8> {
    const SYSTEM: usize = 5;
    const ATTRIBUTES: usize = 38;
    let headers: Vec<usize> = memchr::memmem::find_iter(&zip, b"PK\x01\x02").collect();
    assert_eq!(headers.len(), items.len());
    for (header, (_, mode, _)) in headers.into_iter().zip(items) {
        zip[header + SYSTEM] = 3;
        zip[header + ATTRIBUTES..header + ATTRIBUTES + 4].copy_from_slice(&(mode << 16).to_le_bytes());
    }
    zip
}

/// The tree below `root`: path, mode and content or target.
fn tree(root: &Path) -> BTreeSet<(String, u32, String)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if metadata.is_dir() {
                folders.push(path.clone());
                String::new()
            } else {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert((name, metadata.permissions().mode(), content));
        }
    }
    found
}

#[derive(Debug)]
enum Expected<'a> {
    Tree(&'a [(&'a str, u32, &'a str)]),
    Refused(&'a str),
}

fn check_bytes(zip: &[u8], limits: &Limits, expected: &Expected<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("code");
    let checked = check(zip, limits);
    let unpacked = unpack(zip, &target, limits);
    match expected {
        Expected::Tree(items) => {
            let expected =
                items.iter().map(|(name, mode, content)| ((*name).into(), *mode, (*content).into()));
            assert_eq!(checked.unwrap(), unpacked.unwrap());
            assert_eq!(tree(&target), expected.collect());
        }
        Expected::Refused(text) => {
            assert_eq!(checked.unwrap_err().to_string(), *text);
            assert_eq!(unpacked.unwrap_err().to_string(), *text);
            assert!(tree(folder.path()).is_empty(), "something was left: {:?}", tree(folder.path()));
        }
    }
}

fn check_items(items: &[Item<'_>], expected: &Expected<'_>) {
    check_bytes(&archive(items), &Limits::default(), expected);
}

fn check_refused(items: &[Item<'_>], text: &str) {
    check_items(items, &Expected::Refused(text));
}

#[test]
fn a_package_is_unpacked_readable_for_all_and_writable_for_none() {
    check_items(
        &[
            ("app.py", 0o100_600, b"print()"),
            ("bin/run", 0o100_755, b"#!"),
            ("bin/set-uid", 0o106_755, b"#!"),
            ("lib/", FOLDER, b""),
            ("lib/link", LINK, b"../app.py"),
        ],
        &Expected::Tree(&[
            ("app.py", 0o100_444, "print()"),
            ("bin", 0o040_755, ""),
            ("bin/run", 0o100_555, "#!"),
            ("bin/set-uid", 0o100_555, "#!"),
            ("lib", 0o040_755, ""),
            ("lib/link", 0o120_777, "../app.py"),
        ]),
    );
}

#[test]
fn the_last_of_two_entries_for_one_place_counts() {
    check_items(
        &[("a", FILE, b"first"), ("./a", FILE, b"second"), ("d/", FOLDER, b""), ("d//", FOLDER, b"")],
        &Expected::Tree(&[("a", 0o100_444, "second"), ("d", 0o040_755, "")]),
    );
}

#[test]
fn paths_out_of_the_tree_are_refused() {
    check_refused(&[("/etc/x", FILE, b"")], "the package's entry \"/etc/x\" has an absolute path");
    check_refused(&[("../x", FILE, b"")], "the package's entry \"../x\" has a path with ..");
    check_refused(
        &[("a\\..\\x", FILE, b"")],
        "the package's entry \"a\\\\..\\\\x\" has a name with a backslash",
    );
    check_refused(&[("C:/x", FILE, b"")], "the package's entry \"C:/x\" has a path with a drive letter");
    check_refused(&[("a\0b", FILE, b"")], "the package's entry \"a\\0b\" has a name with a zero byte");
}

#[test]
fn links_out_of_the_tree_are_refused() {
    check_refused(&[("l", LINK, b"/etc/passwd")], "the package's entry \"l\" is a link to an absolute path");
    check_refused(&[("l", LINK, b"../x")], "the package's entry \"l\" is a link out of the package");
    check_refused(
        &[("l", LINK, b"a/../../x")],
        "the package's entry \"l\" is a link with .. inside its path",
    );
    check_refused(
        &[("l", LINK, &[b'x'; 2_000])],
        "the package's entry \"l\" is a link with too long a target",
    );
    check_refused(&[("l", LINK, b"\xff")], "the package's entry \"l\" is a link to a name that is not UTF-8");
}

#[test]
fn nothing_is_written_through_a_link() {
    let text = "the package's entry \"l/x\" lies inside what is not a folder";
    check_refused(&[("l", LINK, b"d"), ("l/x", FILE, b"")], text);
    check_refused(
        &[("l/x", FILE, b""), ("l", LINK, b"d")],
        "the package's entry \"l\" is there twice, as two different kinds",
    );
    check_refused(&[("l", FILE, b"d"), ("l/x", FILE, b"")], text);
}

#[test]
fn special_files_are_refused() {
    for kind in [0o010_644, 0o020_644, 0o060_644, 0o140_644] {
        check_refused(
            &[("x", kind, b"")],
            "the package's entry \"x\" is neither a file, a folder nor a link",
        );
    }
    check_refused(&[("x/", LINK, b"y")], "the package's entry \"x/\" has the name of a folder and is none");
}

#[test]
fn the_number_of_entries_is_bounded_before_they_are_read() {
    let limits = Limits { entries: 3, ..Limits::default() };
    let text = "the package holds more than 3 entries";
    check_bytes(&archive(&[("a/b/c/d", FILE, b"")]), &limits, &Expected::Refused(text));
    let mut zip = b"PK\x06\x06".to_vec();
    zip.resize(24, 0);
    zip.extend(1_000_000_u64.to_le_bytes());
    zip.extend(1_000_000_u64.to_le_bytes());
    check_bytes(&zip, &limits, &Expected::Refused(text));
}

#[test]
fn a_bomb_is_refused() {
    let zeros = vec![0; 2_000_000];
    let limits = Limits { unzipped_bytes: 1_000_000, ..Limits::default() };
    let text = "the package unpacks to more than 1000000 bytes";
    check_bytes(&archive(&[("zeros", FILE, &zeros)]), &limits, &Expected::Refused(text));
}

#[test]
fn a_bomb_that_lies_about_its_size_is_refused() {
    const SIZE: usize = 24;
    let zeros = vec![0; 2_000_000];
    for (declared, text) in [
        (10_u32, "the package's entry \"zeros\" cannot be read"),
        (2_000_001, "the package's entry \"zeros\" is smaller than it declares"),
    ] {
        let mut zip = archive(&[("zeros", FILE, &zeros)]);
        let header = memchr::memmem::find(&zip, b"PK\x01\x02").unwrap();
        zip[header + SIZE..header + SIZE + 4].copy_from_slice(&declared.to_le_bytes());
        check_bytes(&zip, &Limits::default(), &Expected::Refused(text));
    }
}

#[test]
fn entries_that_share_their_data_are_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a", SimpleFileOptions::default()).unwrap();
    writer.write_all(b"shared").unwrap();
    writer.shallow_copy_file("a", "b").unwrap();
    let zip = writer.finish().unwrap().into_inner();
    check_bytes(&zip, &Limits::default(), &Expected::Refused("entries of the package overlap"));
}

#[test]
fn encrypted_entries_and_other_methods_are_refused() {
    const FLAGS: usize = 8;
    const METHOD: usize = 10;
    for (offset, value, text) in [
        (FLAGS, 1, "the package's entry \"x\" is encrypted"),
        (METHOD, 12, "the package's entry \"x\" is compressed with a method other than deflate"),
    ] {
        let mut zip = archive(&[("x", FILE, b"x")]);
        let header = memchr::memmem::find(&zip, b"PK\x01\x02").unwrap();
        zip[header + offset] = value;
        check_bytes(&zip, &Limits::default(), &Expected::Refused(text));
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let text = "the package is not a readable zip archive";
    check_bytes(b"", &Limits::default(), &Expected::Refused(text));
    check_bytes(b"not a zip", &Limits::default(), &Expected::Refused(text));
    check_refused(&[], "the package is an empty zip archive");
    let mut corrupt = archive(&[("x", FILE, b"some content to compress")]);
    corrupt[40] ^= 0xff;
    assert!(check(&corrupt, &Limits::default()).unwrap_err().is_in_archive());
}

#[test]
fn a_folder_that_is_there_already_stays() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("code");
    let limits = Limits::default();
    unpack(&archive(&[("a", FILE, b"1")]), &target, &limits).unwrap();
    let inode = fs::metadata(&target).unwrap().ino();
    unpack(&archive(&[("a", FILE, b"1")]), &target, &limits).unwrap();
    assert_eq!(fs::metadata(&target).unwrap().ino(), inode);
    assert_eq!(tree(folder.path()).len(), 2);
}

#[test]
fn left_overs_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join(".unpacking-1/a")).unwrap();
    fs::create_dir(folder.path().join("code")).unwrap();
    sweep(folder.path()).unwrap();
    assert_eq!(tree(folder.path()).len(), 1);
}

#[test]
fn a_missing_parent_is_an_error_of_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("missing/code");
    let error = unpack(&archive(&[("a", FILE, b"1")]), &target, &Limits::default()).unwrap_err();
    assert!(!error.is_in_archive(), "{error}");
}

/// Unpacks into a folder beside a witness; whatever happens, only the folder may change.
fn unpack_beside_witness(zip: &[u8]) {
    let limits = Limits { entries: 100, unzipped_bytes: 100_000, depth: 10 };
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().join("parent");
    fs::create_dir(&parent).unwrap();
    fs::write(folder.path().join("witness"), b"same").unwrap();
    let checked = check(zip, &limits);
    let unpacked = unpack(zip, &parent.join("code"), &limits);
    assert_eq!(checked.is_ok(), unpacked.is_ok());
    let root = fs::canonicalize(&parent).unwrap();
    for (name, mode, _) in tree(&parent) {
        let is_link = mode & 0o170_000 == 0o120_000;
        assert!(is_link || mode & 0o7022 == 0, "{name} has mode {mode:o}");
        if let Ok(real) = fs::canonicalize(parent.join(&name)) {
            assert!(real.starts_with(&root), "{name} leads to {}", real.display());
        }
    }
    let outside: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside.len(), 2);
    assert_eq!(fs::read(folder.path().join("witness")).unwrap(), b"same");
}

fn item() -> impl Strategy<Value = (String, u32, Vec<u8>)> {
    let part = prop_oneof![Just(".."), Just("."), Just("a"), Just("b"), Just("c"), Just(""), Just("l")];
    let path = proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"));
    let content = prop_oneof![
        path.clone().prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    (path, prop_oneof![Just(FILE), Just(LINK), Just(FOLDER), any::<u16>().prop_map(u32::from)], content)
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(zip in proptest::collection::vec(any::<u8>(), 0..400)) {
        unpack_beside_witness(&zip);
    }

    #[test]
    fn arbitrary_entries_never_lead_outside(items in proptest::collection::vec(item(), 0..6)) {
        let mut seen = BTreeSet::new();
        let items: Vec<Item<'_>> = items
            .iter()
            .filter(|(name, ..)| seen.insert(name.clone()))
            .map(|(name, mode, content)| (name.as_str(), *mode, content.as_slice()))
            .collect();
        unpack_beside_witness(&archive(&items));
    }

    #[test]
    fn damaged_archives_never_lead_outside(
        items in proptest::collection::vec(item(), 1..4),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut seen = BTreeSet::new();
        let items: Vec<Item<'_>> = items
            .iter()
            .filter(|(name, ..)| seen.insert(name.clone()))
            .map(|(name, mode, content)| (name.as_str(), *mode, content.as_slice()))
            .collect();
        let mut zip = archive(&items);
        for (index, value) in damage {
            let position = index.index(zip.len());
            zip[position] = value;
        }
        unpack_beside_witness(&zip);
    }
}
