use firelet_types::{Ids, Region};

use super::*;
use crate::function::tests::{record, scope};
use crate::{Options, Store, Version};

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&Options { data_directory: folder.path().join("data") }).unwrap()
}

fn definition(description: &str) -> CodeSigningDefinition {
    CodeSigningDefinition {
        description: Some(description.to_owned()),
        publishers: vec!["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/1".to_owned()],
        untrusted_artifact: UntrustedArtifact::Enforce,
        tags: [("team".to_owned(), "blue".to_owned())].into(),
    }
}

async fn put(store: &Store, scope: &Scope, id: &CodeSigningConfigId, description: &str) {
    let definition = definition(description);
    let put = move |entry: &mut CodeSigningEntry<'_>| -> Result<(), Error> {
        entry.put(Timestamp::from_millis(7), &definition)
    };
    store.code_signing_configs().update(scope, id, put).await.unwrap();
}

async fn function(store: &Store, name: &str, id: Option<&CodeSigningConfigId>) {
    let (record, id) = (record(name, Version::Latest, 1), id.cloned());
    let (scope, name) = (record.scope.clone(), record.name.clone());
    let put = move |entry: &mut Entry<'_>| -> Result<(), Error> {
        entry.put(&record)?;
        entry.set_code_signing(id.as_ref())
    };
    store.functions().update(&scope, &name, put).await.unwrap();
}

#[tokio::test]
async fn a_configuration_is_there_after_a_restart_and_only_in_its_scope() {
    let folder = tempfile::tempdir().unwrap();
    let id = CodeSigningConfigId::new(&Ids::system());
    put(&open(&folder), &scope(), &id, "first").await;
    let store = open(&folder);
    put(&store, &scope(), &id, "second").await;
    let found = store.code_signing_configs().get(&scope(), &id).unwrap().unwrap();
    let last_modified = Timestamp::from_millis(7);
    assert_eq!(found, CodeSigningConfig { id: id.clone(), last_modified, definition: definition("second") });
    let elsewhere = Scope { region: "eu-west-1".parse::<Region>().unwrap(), ..scope() };
    assert_eq!(store.code_signing_configs().get(&elsewhere, &id).unwrap(), None);
    store.code_signing_configs().update(&scope(), &id, |entry| entry.delete()).await.unwrap();
    assert_eq!(store.code_signing_configs().get(&scope(), &id).unwrap(), None);
}

#[tokio::test]
async fn pages_follow_one_another_in_order_of_ids() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let ids = Ids::seeded(7);
    let mut expected: Vec<_> = (0..5).map(|_| CodeSigningConfigId::new(&ids)).collect();
    for id in &expected {
        put(&store, &scope(), id, "x").await;
    }
    expected.sort();
    for limit in 1..7 {
        let mut seen: Vec<CodeSigningConfigId> = Vec::new();
        loop {
            let page = store.code_signing_configs().list(&scope(), seen.last(), limit).unwrap();
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|config| config.id));
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn functions_are_found_by_their_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let ids = Ids::seeded(7);
    let [first, second] = [CodeSigningConfigId::new(&ids), CodeSigningConfigId::new(&ids)];
    put(&store, &scope(), &first, "first").await;
    for (name, id) in [("c", Some(&first)), ("a", Some(&first)), ("b", Some(&second)), ("d", None)] {
        function(&store, name, id).await;
    }
    let check = |id: &CodeSigningConfigId, after: Option<&str>, limit, expected: &[&str]| {
        let after = after.map(|after| after.parse().unwrap());
        let names = store.code_signing_configs().functions(&scope(), id, after.as_ref(), limit).unwrap();
        assert_eq!(names.iter().map(FunctionName::as_str).collect::<Vec<_>>(), expected);
    };
    check(&first, None, 9, &["a", "c"]);
    check(&first, None, 1, &["a"]);
    check(&first, Some("a"), 9, &["c"]);
    check(&second, None, 9, &["b"]);
    let of = |name: &str| store.functions().code_signing(&scope(), &name.parse().unwrap()).unwrap();
    assert_eq!((of("a"), of("d"), of("none")), (Some(Some(first.clone())), Some(None), None));
    let look = |entry: &mut Entry<'_>| -> Result<_, Error> { entry.code_signing() };
    let config = store.functions().update(&scope(), &"a".parse().unwrap(), look).await.unwrap();
    assert_eq!(config.map(|config| config.definition), Some(definition("first")));
    let remove = |entry: &mut Entry<'_>| -> Result<(), Error> { entry.set_code_signing(None) };
    store.functions().update(&scope(), &"a".parse().unwrap(), remove).await.unwrap();
    store.functions().update(&scope(), &"c".parse().unwrap(), |entry| entry.delete()).await.unwrap();
    check(&first, None, 9, &[]);
}
