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
    file("app.py", text)
}

fn file(name: &str, text: &str) -> Bytes {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
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

#[tokio::test]
async fn packages_are_laid_over_one_another_once_in_their_order() {
    let world = World::new();
    let mut blobs = Vec::new();
    for (name, text) in [("app.py", "one"), ("app.py", "two"), ("lib.py", "three")] {
        blobs.push(world.store.blobs().put(file(name, text)).await.unwrap());
    }
    let cache = world.cache();
    let [one, two, three] = [0, 1, 2].map(|index| blobs[index].sha256);
    assert_eq!(cache.merged(&[]).await.unwrap(), None);
    assert_eq!(cache.merged(&[one]).await.unwrap(), Some(cache.directory(&one).await.unwrap()));
    for (list, expected) in [([one, two, three], "two"), ([two, one, three], "one")] {
        let (first, second) = tokio::join!(cache.merged(&list), cache.merged(&list));
        let (first, second) = (first.unwrap().unwrap(), second.unwrap().unwrap());
        assert_eq!(first, second);
        assert_eq!(std::fs::read_to_string(first.join("app.py")).unwrap(), expected);
        assert_eq!(std::fs::read_to_string(first.join("lib.py")).unwrap(), "three");
    }
}

#[tokio::test]
async fn sweeping_removes_merged_packages_that_no_function_has() {
    let world = World::new();
    let one = world.store.blobs().put(file("app.py", "one")).await.unwrap();
    let two = world.store.blobs().put(file("app.py", "two")).await.unwrap();
    let cache = world.cache();
    let merged = cache.merged(&[one.sha256, two.sha256]).await.unwrap().unwrap();
    cache.sweep().await;
    assert!(!merged.exists() && cache.root.join(one.sha256.hex()).exists());
}

#[tokio::test]
async fn a_package_that_is_unpacked_ahead_is_unpacked_once() {
    let world = World::new();
    let blob = world.store.blobs().put(package("one")).await.unwrap();
    let cache = world.cache();
    let (ahead, needed) = tokio::join!(cache.unpack_ahead(&blob.sha256), cache.directory(&blob.sha256));
    ahead.unwrap();
    let directory = needed.unwrap();
    assert_eq!(std::fs::read_to_string(directory.join("app.py")).unwrap(), "one");
    let unfinished = std::fs::read_dir(&cache.root).unwrap().count();
    assert_eq!(unfinished, 1, "there is nothing beside the package");
}

#[tokio::test]
async fn a_package_that_cannot_be_unpacked_ahead_leaves_nothing() {
    let world = World::new();
    let blob = world.store.blobs().put(Bytes::from_static(b"no zip")).await.unwrap();
    let cache = world.cache();
    let error = cache.unpack_ahead(&blob.sha256).await.unwrap_err();
    assert!(matches!(error, CodeError::Unpack(..)), "{error}");
    assert_eq!(std::fs::read_dir(&cache.root).unwrap().count(), 0);
}

#[tokio::test]
async fn what_nobody_needed_makes_room_and_is_unpacked_again_when_needed() {
    let world = World::new();
    let cache = world.cache();
    let mut packages = Vec::new();
    for text in ["one", "two", "three"] {
        let blob = world.store.blobs().put(package(text)).await.unwrap();
        cache.unpack_ahead(&blob.sha256).await.unwrap();
        packages.push(cache.root.join(blob.sha256.hex()));
        if text == "one" {
            cache.directory(&blob.sha256).await.unwrap();
        }
        if text == "three" {
            let huge = Summary { entries: 1, unzipped_bytes: u64::MAX };
            cache.make_room(&blob.sha256, huge).await;
            assert_eq!(
                packages.iter().map(|package| package.exists()).collect::<Vec<_>>(),
                [true, false, false]
            );
            assert!(cache.directory(&blob.sha256).await.unwrap().join("app.py").exists());
        }
    }
}
