//! Opening data directories, good and bad.

use std::os::unix::fs::PermissionsExt;

use firelet_store::{Error, Options, Store};

fn options(folder: &tempfile::TempDir) -> Options {
    Options { data_directory: folder.path().join("a/data") }
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(&options(&folder)).unwrap();
    let error = Store::open(&options(&folder)).unwrap_err();
    assert!(matches!(error, Error::InUse { process: Some(id), .. } if id == std::process::id()), "{error}");
    assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    drop(first);
    Store::open(&options(&folder)).unwrap();
}

#[test]
fn only_the_user_can_look_inside() {
    let folder = tempfile::tempdir().unwrap();
    let _store = Store::open(&options(&folder)).unwrap();
    let root = options(&folder).data_directory;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    for file in ["firelet.db", "firelet.db-wal", "firelet.db-shm", "lock"] {
        assert_eq!(mode(&root.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(&options(&folder)).unwrap());
    let path = options(&folder).data_directory.join("firelet.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let error = Store::open(&options(&folder)).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 999, .. }), "{error}");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(&options(&folder).data_directory).unwrap();
    let path = options(&folder).data_directory.join("firelet.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let error = Store::open(&options(&folder)).unwrap_err();
    assert!(matches!(error, Error::ForeignDatabase { .. }), "{error}");
}

#[test]
fn a_file_in_place_of_the_directory_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"").unwrap();
    let error = Store::open(&Options { data_directory: path.join("data") }).unwrap_err();
    assert!(matches!(error, Error::CreateDirectory { .. }), "{error}");
    assert!(error.to_string().contains("file/data"), "{error}");
}

#[test]
fn a_database_that_is_not_one_gives_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(&options(&folder).data_directory).unwrap();
    std::fs::write(options(&folder).data_directory.join("firelet.db"), vec![7; 8192]).unwrap();
    let error = Store::open(&options(&folder)).unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error}");
}

#[test]
fn secrets_stay_the_same_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(&options(&folder)).unwrap().secret("links").unwrap();
    let store = Store::open(&options(&folder)).unwrap();
    assert_eq!(store.secret("links").unwrap(), first);
    assert_ne!(store.secret("other").unwrap(), first);
    let mode = std::fs::metadata(store.root().join("links.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
