use std::io::{Cursor, Write};

use bytes::Bytes;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

struct World {
    directory: tempfile::TempDir,
    store: Arc<Store>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = firelet_store::Options { data_directory: directory.path().join("data") };
        Self { store: Arc::new(Store::open(&options).unwrap()), directory }
    }

    fn cache(&self) -> CodeCache {
        CodeCache::new(self.directory.path().join("code"), Arc::clone(&self.store))
    }
}

fn package(text: &str) -> Bytes {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("app.py", SimpleFileOptions::default()).unwrap();
    zip.write_all(text.as_bytes()).unwrap();
    Bytes::from(zip.finish().unwrap().into_inner())
}

#[tokio::test]
async fn a_package_is_unpacked_once_for_all_who_ask() {
    let world = World::new();
    let blob = world.store.blobs().put(package("one")).await.unwrap();
    let cache = world.cache();
    let (first, second) = tokio::join!(cache.directory(&blob.sha256), cache.directory(&blob.sha256));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first, second);
    assert_eq!(std::fs::read_to_string(first.join("app.py")).unwrap(), "one");
}

#[tokio::test]
async fn a_package_that_is_not_stored_is_an_error() {
    let error = World::new().cache().directory(&CodeSha256::from_bytes([7; 32])).await.unwrap_err();
    assert!(matches!(error, CodeError::Missing(_)), "{error}");
}

#[tokio::test]
async fn sweeping_keeps_what_the_store_has() {
    let world = World::new();
    let blob = world.store.blobs().put(package("one")).await.unwrap();
    let cache = world.cache();
    let kept = cache.directory(&blob.sha256).await.unwrap();
    let stray = world.directory.path().join("code").join(CodeSha256::from_bytes([7; 32]).hex());
    std::fs::create_dir(&stray).unwrap();
    cache.sweep().await;
    assert!(kept.exists() && !stray.exists());
}
