use firelet_types::Region;

use super::definition::{PropagatedTags, Propagation, Scaling, ScalingMode, Target};
use super::*;
use crate::definition::Capacity;
use crate::function::tests::{record, scope};
use crate::{FunctionVersion, Options, Store};

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&Options { data_directory: folder.path().join("data") }).unwrap()
}

pub(crate) fn provider(name: &str, state: CapacityProviderState) -> CapacityProvider {
    CapacityProvider {
        scope: scope(),
        name: name.parse().unwrap(),
        state,
        last_modified: Timestamp::from_millis(7),
        definition: Definition {
            subnets: vec!["subnet-1".to_owned()],
            security_groups: vec!["sg-1".to_owned()],
            operator_role: "arn:aws:iam::000000000000:role/r".to_owned(),
            instances: None,
            scaling: Scaling {
                maximum_cpus: Some(30),
                mode: ScalingMode::Manual(vec![Target { metric: "cpu".to_owned(), value: 62.5 }]),
            },
            kms_key: None,
            propagated_tags: Some(PropagatedTags { mode: Some(Propagation::Explicit), tags: None }),
            logging: None,
            tags: [("team".to_owned(), "blue".to_owned())].into(),
        },
    }
}

async fn put(store: &Store, provider: &CapacityProvider) {
    let (scope, provider) = (provider.scope.clone(), provider.clone());
    let put = move |editor: &mut CapacityProviderEditor<'_>| -> Result<(), Error> { editor.put(&provider) };
    store.capacity_providers().update(&scope, put).await.unwrap();
}

#[tokio::test]
async fn a_provider_is_there_after_a_restart_and_only_in_its_scope() {
    let folder = tempfile::tempdir().unwrap();
    put(&open(&folder), &provider("pool", CapacityProviderState::Pending)).await;
    let store = open(&folder);
    let after = provider("pool", CapacityProviderState::Active);
    put(&store, &after).await;
    assert_eq!(store.capacity_providers().get(&scope(), &after.name).unwrap(), Some(after.clone()));
    let elsewhere = Scope { region: "eu-west-1".parse::<Region>().unwrap(), ..scope() };
    assert_eq!(store.capacity_providers().get(&elsewhere, &after.name).unwrap(), None);
    let name = after.name.clone();
    store.capacity_providers().update(&scope(), move |editor| editor.delete(&name)).await.unwrap();
    assert_eq!(store.capacity_providers().get(&scope(), &after.name).unwrap(), None);
}

#[tokio::test]
async fn lists_are_in_order_of_names_and_by_state() {
    use CapacityProviderState::{Active, Deleting, Pending};
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for (name, state) in [("c", Active), ("a", Active), ("d", Deleting), ("b", Pending)] {
        put(&store, &provider(name, state)).await;
    }
    for (state, after, limit, expected) in [
        (None, None, 10, &["a", "b", "c", "d"][..]),
        (None, None, 2, &["a", "b"]),
        (None, Some("b"), 10, &["c", "d"]),
        (Some(Active), None, 10, &["a", "c"]),
        (Some(Active), Some("a"), 10, &["c"]),
        (Some(Pending), None, 10, &["b"]),
        (Some(Deleting), Some("d"), 10, &[]),
    ] {
        let after = after.map(|after: &str| after.parse().unwrap());
        let found = store.capacity_providers().list(&scope(), state, after.as_ref(), limit).unwrap();
        let names: Vec<&str> = found.iter().map(|provider| provider.name.as_str()).collect();
        assert_eq!(names, expected, "{state:?} {after:?} {limit}");
    }
    let unsettled = store.capacity_providers().unsettled().unwrap();
    let names: Vec<&str> = unsettled.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["b", "d"]);
    let count = store.capacity_providers().update(&scope(), |editor| editor.count()).await.unwrap();
    assert_eq!(count, 4);
}

/// Stores a version of a function on a provider.
async fn put_version(store: &Store, name: &str, version: Version, provider: &str) {
    let mut record = record(name, version, 1);
    let provider = CapacityProviderArn { scope: scope(), name: provider.parse().unwrap() };
    record.definition.capacity =
        Some(Capacity { provider, concurrency: Some(4), gibibytes_per_cpu: Some(2.5) });
    let (scope, name) = (record.scope.clone(), record.name.clone());
    let stored: FunctionVersion = record.clone();
    let put = move |entry: &mut Entry<'_>| -> Result<(), Error> { entry.put(&stored) };
    store.functions().update(&scope, &name, put).await.unwrap();
    assert_eq!(store.functions().get(&scope, &name, version).unwrap().as_deref(), Some(&record));
}

#[tokio::test]
async fn published_versions_are_counted_and_listed_by_provider() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let pool = provider("pool", CapacityProviderState::Active);
    put_version(&store, "b", Version::Latest, "pool").await;
    put_version(&store, "b", Version::Published(1), "pool").await;
    put_version(&store, "b", Version::Published(2), "other").await;
    put_version(&store, "a", Version::Published(1), "pool").await;
    put_version(&store, "a", Version::LatestPublished, "pool").await;
    let list = |after, limit| {
        let found = store.capacity_providers().versions(&pool.arn(), after, limit).unwrap();
        let names = found.iter().map(|found| found.arn(&scope()).to_string()[47..].to_owned()).collect();
        (names, found.last().map(|last| last.place.to_string().parse().unwrap()))
    };
    let (first, place): (Vec<String>, Option<ProvidedPlace>) = list(None, 2);
    assert_eq!(first, ["b:1", "a:$LATEST.PUBLISHED"]);
    assert_eq!(list(place, 2).0, ["a:1"]);
    let arn = pool.arn();
    let count = move |entry: &mut Entry<'_>| entry.versions_on(&arn);
    assert_eq!(
        store.functions().update::<_, Error, _>(&scope(), &"a".parse().unwrap(), count).await.unwrap(),
        3
    );
    let name = pool.name.clone();
    let all = move |editor: &mut CapacityProviderEditor<'_>| editor.versions(&name, 10);
    assert_eq!(store.capacity_providers().update::<_, Error, _>(&scope(), all).await.unwrap().len(), 4);
}

#[test]
fn places_read_back() {
    for (text, is_place) in [("1:0", true), ("7:-1", true), ("7", false), ("a:1", false), ("1:", false)] {
        let found = text.parse::<ProvidedPlace>().ok().map(|place| place.to_string());
        assert_eq!(found.as_deref(), is_place.then_some(text));
    }
}
