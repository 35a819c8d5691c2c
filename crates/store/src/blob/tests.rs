use firelet_types::CodeSha256;
use sha2::{Digest, Sha256};

use super::*;
use crate::function::Entry;
use crate::function::tests::{record, scope};
use crate::{Error, Options, Store, Version};

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&Options { data_directory: folder.path().join("data") }).unwrap()
}

#[tokio::test]
async fn a_package_reads_back_by_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Bytes::from_static(b"zip");
    let digest = CodeSha256::from_bytes(Sha256::digest(&bytes).into());
    {
        let store = open(&folder);
        assert_eq!(store.blobs().get(&digest).await.unwrap(), None);
        let blob = store.blobs().put(bytes.clone()).await.unwrap();
        assert_eq!((blob.sha256, blob.size_bytes), (digest, 3));
        store.blobs().put(bytes.clone()).await.unwrap();
    }
    let store = open(&folder);
    assert_eq!(store.blobs().get(&digest).await.unwrap(), Some(bytes.clone()));
    assert_eq!(std::fs::read(store.blobs().local_path(&digest).unwrap()).unwrap(), bytes);
    let (size, pieces) = store.blobs().stream(&digest).await.unwrap().unwrap();
    assert_eq!(size, 3);
    assert_eq!(pieces.try_collect::<Vec<_>>().await.unwrap().concat(), bytes);
}

#[tokio::test]
async fn garbage_is_removed_in_the_second_round_and_what_is_held_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let held = store.blobs().put(Bytes::from_static(b"held")).await.unwrap();
    let dropped = store.blobs().put(Bytes::from_static(b"dropped")).await.unwrap().sha256;
    let mut garbage = Garbage::default();
    assert_eq!(store.blobs().collect_garbage(&mut garbage).await.unwrap(), 0);
    assert!(store.blobs().get(&dropped).await.unwrap().is_some());
    assert_eq!(store.blobs().collect_garbage(&mut garbage).await.unwrap(), 1);
    assert!(store.blobs().get(&dropped).await.unwrap().is_none());
    assert!(store.blobs().get(&held.sha256).await.unwrap().is_some());
}

#[tokio::test]
async fn storing_waits_for_a_removal_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let bytes = Bytes::from_static(b"again");
    let digest = store.blobs().put(bytes.clone()).await.unwrap().sha256;
    let removal = store.blobs().pins.begin_removal(digest).unwrap();
    let mut put = Box::pin(store.blobs().put(bytes));
    tokio::select! {
        biased;
        _ = &mut put => panic!("stored during the removal"),
        () = tokio::task::yield_now() => {}
    }
    drop(removal);
    assert_eq!(put.await.unwrap().sha256, digest);
    assert!(store.blobs().pins.begin_removal(digest).is_some(), "the package is held by nobody any more");
}

#[tokio::test]
async fn uploads_that_never_ended_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let staged = {
        let store = open(&folder);
        let digest = store.blobs().put(Bytes::from_static(b"x")).await.unwrap().sha256;
        let path = store.blobs().local_path(&digest).unwrap();
        let staged = path.with_file_name(format!("{}#1", digest.hex()));
        std::fs::write(&staged, b"half").unwrap();
        staged
    };
    let _store = open(&folder);
    assert!(!staged.exists());
}

#[tokio::test]
async fn a_package_arrives_when_its_record_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    drop(store.blobs().put(Bytes::from_static(b"refused")).await.unwrap());
    let blob = store.blobs().put(Bytes::from_static(b"kept")).await.unwrap();
    let digest = blob.sha256;
    let mut arrival = Box::pin(store.blobs().arrival());
    tokio::select! {
        biased;
        _ = &mut arrival => panic!("arrived before there is a record of it"),
        () = tokio::task::yield_now() => {}
    }
    let mut function = record("echo", Version::Latest, 4);
    function.definition.code.sha256 = digest;
    let (scope, name) = (scope(), function.name.clone());
    let put = move |entry: &mut Entry<'_>| -> Result<(), Error> { entry.put(&function) };
    store.functions().update(&scope, &name, put).await.unwrap();
    drop(blob);
    assert_eq!(arrival.await.unwrap(), digest);
}
