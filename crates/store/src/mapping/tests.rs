use firelet_types::{AccountId, Ids, Region};

use super::*;
use crate::{Options, Store};

fn scope() -> Scope {
    Scope { account: AccountId::local(), region: Region::local() }
}

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&Options { data_directory: folder.path().join("data") }).unwrap()
}

fn mapping(function: &str, qualifier: Option<&str>, arn: &str) -> Mapping {
    Mapping {
        scope: scope(),
        id: MappingId::new(&Ids::system()),
        function: function.parse().unwrap(),
        qualifier: qualifier.map(Qualifier::from),
        source: EventSource::Queue { arn: arn.to_owned() },
        settings: Settings { batch_size: 10, ..Settings::default() },
        state: MappingState::Settled(Rest::Enabled),
        last_modified: Timestamp::from_millis(1_700_000_000_123),
    }
}

async fn put(store: &Store, mapping: &Mapping) {
    let stored = mapping.clone();
    let result: Result<(), Error> =
        store.mappings().update(&mapping.scope, move |editor| editor.put(&stored)).await;
    result.unwrap();
}

fn ids(mappings: &[Mapping]) -> Vec<MappingId> {
    mappings.iter().map(|mapping| mapping.id).collect()
}

fn sorted(mappings: &[&Mapping]) -> Vec<MappingId> {
    let mut ids: Vec<_> = mappings.iter().map(|mapping| mapping.id).collect();
    ids.sort_by_key(ToString::to_string);
    ids
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = mapping("echo", Some("live"), "arn:a");
    {
        let store = open(&folder);
        put(&store, &first).await;
    }
    assert_eq!(open(&folder).mappings().get(&first.scope, first.id).unwrap(), Some(first));
}

#[tokio::test]
async fn every_kind_of_source_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let arn = || "arn:x".to_owned();
    let start = source::Start::At(Timestamp::from_millis(5));
    let subscription = || source::Subscription {
        topic: "t".into(),
        consumer_group: "g".into(),
        start: source::Start::Latest,
    };
    for kind in [
        EventSource::Queue { arn: arn() },
        EventSource::Kinesis { arn: arn(), start },
        EventSource::DynamoDb { arn: arn(), start: source::Start::TrimHorizon },
        EventSource::ManagedKafka { arn: arn(), subscription: subscription() },
        EventSource::SelfManagedKafka { servers: vec!["a:1".into()], subscription: subscription() },
        EventSource::Broker { arn: arn(), queue: "q".into() },
        EventSource::DocumentDb { arn: arn(), start },
    ] {
        let stored = Mapping { source: kind, ..mapping("echo", None, "") };
        put(&store, &stored).await;
        assert_eq!(store.mappings().get(&stored.scope, stored.id).unwrap(), Some(stored));
    }
}

#[tokio::test]
async fn lists_are_by_function_by_qualifier_and_by_source() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let plain = mapping("echo", None, "arn:a");
    let live = mapping("echo", Some("live"), "arn:a");
    let other = mapping("other", None, "arn:b");
    for one in [&plain, &live, &other] {
        put(&store, one).await;
    }
    let check = |function: Option<(&str, Option<&str>)>, source_arn: Option<&str>, expected: &[&Mapping]| {
        let selection = Selection {
            function: function
                .map(|(name, qualifier)| (name.parse().unwrap(), qualifier.map(Qualifier::from))),
            source_arn: source_arn.map(str::to_owned),
        };
        let found = store.mappings().list(&scope(), &selection, None, 10).unwrap();
        assert_eq!(ids(&found), sorted(expected), "{selection:?}");
    };
    check(None, None, &[&plain, &live, &other]);
    check(Some(("echo", None)), None, &[&plain]);
    check(Some(("echo", Some("live"))), None, &[&live]);
    check(None, Some("arn:a"), &[&plain, &live]);
    check(Some(("echo", None)), Some("arn:b"), &[]);
    check(Some(("other", None)), Some("arn:b"), &[&other]);
}

#[tokio::test]
async fn a_list_goes_on_after_an_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let all = [mapping("a", None, "x"), mapping("b", None, "x"), mapping("c", None, "x")];
    for one in &all {
        put(&store, one).await;
    }
    let expected = sorted(&all.iter().collect::<Vec<_>>());
    let selection = Selection::default();
    let first = store.mappings().list(&scope(), &selection, None, 2).unwrap();
    assert_eq!(ids(&first), expected[..2]);
    let rest = store.mappings().list(&scope(), &selection, Some(expected[1]), 2).unwrap();
    assert_eq!(ids(&rest), expected[2..]);
}

#[tokio::test]
async fn scopes_do_not_see_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = mapping("echo", None, "arn:a");
    put(&store, &first).await;
    let elsewhere = Scope { region: "eu-west-1".parse().unwrap(), ..scope() };
    assert_eq!(store.mappings().get(&elsewhere, first.id).unwrap(), None);
    assert_eq!(store.mappings().tags(&elsewhere, first.id).unwrap(), None);
    assert_eq!(store.mappings().list(&elsewhere, &Selection::default(), None, 10).unwrap(), []);
}

#[tokio::test]
async fn tags_live_and_go_with_their_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = mapping("echo", None, "arn:a");
    assert_eq!(store.mappings().tags(&first.scope, first.id).unwrap(), None);
    put(&store, &first).await;
    let tags = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let (id, set) = (first.id, tags.clone());
    let result: Result<(), Error> =
        store.mappings().update(&first.scope, move |editor| editor.set_tags(id, &set)).await;
    result.unwrap();
    put(&store, &Mapping { state: MappingState::Deleting, ..first.clone() }).await;
    assert_eq!(store.mappings().tags(&first.scope, id).unwrap(), Some(tags));
    let result: Result<_, Error> = store
        .mappings()
        .update(&first.scope, move |editor| {
            editor.delete(id)?;
            editor.tags(id)
        })
        .await;
    assert_eq!(result.unwrap(), BTreeMap::new());
    assert_eq!(store.mappings().tags(&first.scope, id).unwrap(), None);
}

#[tokio::test]
async fn only_what_is_under_way_is_unsettled() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = mapping("echo", None, "arn:a");
    for (state, expected) in [
        (MappingState::Creating(Rest::Disabled), 1),
        (MappingState::Settled(Rest::Disabled), 0),
        (MappingState::Enabling, 1),
        (MappingState::Disabling, 1),
        (MappingState::Updating(Rest::Enabled), 1),
        (MappingState::Settled(Rest::Enabled), 0),
        (MappingState::Deleting, 1),
    ] {
        put(&store, &Mapping { state, ..first.clone() }).await;
        assert_eq!(store.mappings().unsettled().unwrap().len(), expected, "{state:?}");
    }
}
