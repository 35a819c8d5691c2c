use bytes::Bytes;
use firelet_types::{CodeSha256, Ids};

use super::*;
use crate::blob::Garbage;
use crate::definition::Layer;
use crate::function::Entry;
use crate::function::tests::{record, scope};
use crate::{FunctionVersion, Options, Store, Version};

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&Options { data_directory: folder.path().join("data") }).unwrap()
}

fn layer(name: &str) -> LayerArn {
    LayerArn { scope: scope(), name: name.parse().unwrap() }
}

fn definition(runtimes: &[&str], size_bytes: u64) -> LayerDefinition {
    LayerDefinition {
        description: "words".into(),
        license: Some("MIT".into()),
        runtimes: Some(runtimes.iter().map(ToString::to_string).collect()),
        architectures: Some(vec![Architecture::Arm64]),
        code: Code { sha256: CodeSha256::from_bytes([9; 32]), size_bytes, unzipped_bytes: 2 * size_bytes },
        code_object: None,
    }
}

async fn publish(store: &Store, name: &str, definition: LayerDefinition) -> LayerVersion {
    let created = Timestamp::from_millis(1_700_000_000_123);
    let decide = move |entry: &mut LayerEntry<'_>| entry.publish(definition, created);
    store.layers().update::<_, Error, _>(&layer(name), decide).await.unwrap()
}

async fn delete(store: &Store, name: &str, number: VersionNumber) {
    let decide = move |entry: &mut LayerEntry<'_>| entry.delete_version(number);
    store.layers().update::<_, Error, _>(&layer(name), decide).await.unwrap();
}

fn numbers(versions: &[LayerVersion]) -> Vec<String> {
    versions.iter().map(|version| format!("{}:{}", version.arn.layer.name, version.arn.number)).collect()
}

#[tokio::test]
async fn what_was_published_is_there_after_a_restart_and_no_number_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let first = publish(&open(&folder), "l", definition(&["python3.11"], 10)).await;
    let store = open(&folder);
    assert_eq!(store.layers().get(&first.arn).unwrap(), Some(first.clone()));
    let policy = LayerPolicy {
        revision: Some(RevisionId::new(&Ids::system())),
        statements: vec![LayerStatement {
            id: "s".into(),
            action: "lambda:GetLayerVersion".into(),
            principal: "*".into(),
            organization: None,
        }],
    };
    let stored = policy.clone();
    let decide = move |entry: &mut LayerEntry<'_>| entry.set_policy(1, &stored);
    store.layers().update::<_, Error, _>(&layer("l"), decide).await.unwrap();
    assert_eq!(store.layers().get(&first.arn).unwrap().unwrap().policy, policy);
    for number in [1, 1, 7] {
        delete(&store, "l", number).await;
    }
    assert_eq!(store.layers().get(&first.arn).unwrap(), None);
    assert_eq!(publish(&store, "l", definition(&[], 1)).await.arn.number, 2);
}

#[tokio::test]
async fn lists_show_the_newest_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for (name, runtime) in [("b", "x"), ("b", "y"), ("a", "x"), ("b", "y"), ("c", "y")] {
        publish(&store, name, definition(&[runtime], 1)).await;
    }
    let filter = |runtime: &str| LayerFilter { runtime: Some(runtime.into()), architecture: None };
    let list = |filter: &LayerFilter, after: Option<&str>, limit| {
        numbers(&store.layers().list(&scope(), filter, after, limit).unwrap())
    };
    assert_eq!(list(&LayerFilter::default(), None, 9), ["a:1", "b:3", "c:1"]);
    assert_eq!(list(&LayerFilter::default(), Some("a"), 1), ["b:3"]);
    assert_eq!(list(&filter("x"), None, 9), ["a:1", "b:1"]);
    let x86 = LayerFilter { runtime: None, architecture: Some(Architecture::X86_64) };
    assert_eq!(list(&x86, None, 9), [""; 0]);
    let versions = |filter: &LayerFilter, before, limit| {
        numbers(&store.layers().versions(&layer("b"), filter, before, limit).unwrap())
    };
    assert_eq!(versions(&LayerFilter::default(), None, 9), ["b:3", "b:2", "b:1"]);
    assert_eq!(versions(&LayerFilter::default(), Some(3), 1), ["b:2"]);
    assert_eq!(versions(&filter("y"), None, 9), ["b:3", "b:2"]);
}

#[tokio::test]
async fn layers_count_to_the_code_of_their_account_until_they_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    publish(&store, "l", definition(&[], 10)).await;
    publish(&store, "l", definition(&[], 5)).await;
    assert_eq!(store.functions().usage(&scope()).unwrap().code_bytes, 15);
    delete(&store, "l", 1).await;
    delete(&store, "l", 1).await;
    assert_eq!(store.functions().usage(&scope()).unwrap().code_bytes, 5);
}

#[tokio::test]
async fn the_package_of_a_deleted_layer_stays_while_a_function_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let blob = store.blobs().put(Bytes::from_static(b"layer")).await.unwrap();
    let code = Code { sha256: blob.sha256, ..definition(&[], 5).code };
    let published = publish(&store, "l", LayerDefinition { code, ..definition(&[], 5) }).await;
    drop(blob);
    let is_kept = async || {
        let mut garbage = Garbage::default();
        for _ in 0..2 {
            store.blobs().collect_garbage(&mut garbage).await.unwrap();
        }
        store.blobs().get(&code.sha256).await.unwrap().is_some()
    };
    assert!(is_kept().await, "a layer version names it");
    let mut user = record("echo", Version::Latest, 1);
    user.definition.layers = vec![Layer { arn: published.arn.clone(), code }; 2];
    let (function_scope, name) = (user.scope.clone(), user.name.clone());
    let put = async |user: FunctionVersion| {
        store.functions().update(&function_scope, &name, move |entry| entry.put(&user)).await.unwrap();
    };
    put(user.clone()).await;
    delete(&store, "l", 1).await;
    assert!(is_kept().await, "a function has it as a layer");
    assert_eq!(store.functions().layer_lists().unwrap(), [vec![code.sha256; 2]].into());
    let found = store.functions().get(&function_scope, &name, Version::Latest).unwrap().unwrap();
    assert_eq!(*found, user);
    user.definition.layers.clear();
    put(user).await;
    assert!(!is_kept().await, "nothing names it any more");
}

/// The definition of a function as it was written before there were layers.
const OLD_DEFINITION: &str = r#"{"runtime":"python3.11","handler":"app.handler","role":"r","description":"",
    "memory_megabytes":128,"timeout_seconds":3,"ephemeral_storage_megabytes":512,"environment":null,
    "architecture":"x86_64","package_type":"zip",
    "code":{"sha256":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=","size_bytes":5},
    "logging":{"format":"text","group":null},"tracing":"pass_through","layers":[]}"#;

#[tokio::test]
async fn a_data_directory_from_before_layers_is_brought_along() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let old = rusqlite::Connection::open(data.join("firelet.db")).unwrap();
    old.execute_batch(include_str!("../../migrations/0001_functions.sql")).unwrap();
    old.pragma_update(None, "application_id", 0x666c_6574).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let account =
        "INSERT INTO function (id, account, region, name) VALUES (1, '000000000000', 'us-east-1', 'echo')";
    old.execute(account, []).unwrap();
    old.execute(
        "INSERT INTO version VALUES (1, 0, ?1, 0, '{\"state\":\"active\",\"last_update\":null}', 0, ?2, '', 5)",
        params![RevisionId::new(&Ids::system()).to_string(), OLD_DEFINITION],
    )
    .unwrap();
    drop(old);
    let store = open(&folder);
    let name = "echo".parse().unwrap();
    let mut found = (*store.functions().get(&scope(), &name, Version::Latest).unwrap().unwrap()).clone();
    assert_eq!((found.definition.code.size_bytes, found.definition.code.unzipped_bytes), (5, 0));
    let published = publish(&store, "l", definition(&[], 10)).await;
    found.definition.layers = vec![Layer { arn: published.arn, code: published.definition.code }];
    let stored = found.clone();
    let decide = move |entry: &mut Entry<'_>| entry.put(&stored);
    store.functions().update::<_, Error, _>(&scope(), &name, decide).await.unwrap();
    assert_eq!(*store.functions().get(&scope(), &name, Version::Latest).unwrap().unwrap(), found);
    assert_eq!(store.functions().usage(&scope()).unwrap().code_bytes, 15);
}
