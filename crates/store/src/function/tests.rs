use std::time::Duration;

use firelet_types::{AccountId, CodeSha256, Ids, Qualifier, Region};

use super::*;
use crate::definition::{
    Architecture, Code, Environment, ImageOverrides, LogFormat, Logging, PackageType, SnapStart, Tenancy,
    Tracing,
};
use crate::{Options, Store};

pub(crate) fn scope() -> Scope {
    Scope { account: AccountId::local(), region: Region::local() }
}

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&Options { data_directory: folder.path().join("data") }).unwrap()
}

pub(crate) fn record(name: &str, version: Version, code_bytes: u64) -> FunctionVersion {
    FunctionVersion {
        scope: scope(),
        name: name.parse().unwrap(),
        version,
        revision: RevisionId::new(&Ids::system()),
        definition: Definition {
            runtime: Some("python3.11".into()),
            handler: Some("app.handler".into()),
            role: "arn:aws:iam::000000000000:role/r".into(),
            description: String::new(),
            memory_megabytes: 128,
            timeout: Duration::from_secs(3),
            ephemeral_storage_megabytes: 512,
            environment: Some(Environment([("KEY".to_owned(), "hidden".to_owned())].into())),
            architecture: Architecture::X86_64,
            package_type: PackageType::Zip,
            code: Code { sha256: CodeSha256::from_bytes([7; 32]), size_bytes: code_bytes, unzipped_bytes: 0 },
            logging: Logging { format: LogFormat::Text, group: None },
            tracing: Tracing::PassThrough,
            layers: Vec::new(),
            network: None,
            dead_letter_target: None,
            kms_key: None,
            package_kms_key: None,
            snap_start: SnapStart::None,
            capacity: None,
            tenancy: Tenancy::Shared,
            durability: None,
            image: None,
            image_overrides: ImageOverrides::default(),
            code_object: None,
            file_systems: Vec::new(),
            custom_runtime: None,
            accelerator_gigabytes: None,
        },
        state: State::Active,
        last_update: Some(LastUpdate::Successful),
        last_modified: Timestamp::from_millis(1_700_000_000_123),
    }
}

async fn put(store: &Store, record: &FunctionVersion) {
    let stored = record.clone();
    let result = store.functions().update(&record.scope, &record.name, move |entry| entry.put(&stored)).await;
    result.unwrap();
}

fn pending() -> State {
    State::Pending(Reason { code: "Creating".into(), text: "The function is being created.".into() })
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = record("echo", Version::Latest, 10);
    {
        let store = open(&folder);
        put(&store, &first).await;
    }
    let found = open(&folder).functions().get(&first.scope, &first.name, Version::Latest).unwrap().unwrap();
    assert_eq!(*found, first);
}

#[tokio::test]
async fn a_refused_change_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = record("echo", Version::Latest, 10);
    let (scope, name) = (first.scope.clone(), first.name.clone());
    let before = store.changes().generation();
    let result: Result<(), Error> = store
        .functions()
        .update(&scope, &name, move |entry| {
            entry.put(&first)?;
            Err(Error::Closed)
        })
        .await;
    assert!(matches!(result, Err(Error::Closed)));
    assert_eq!(store.functions().get(&scope, &name, Version::Latest).unwrap(), None);
    assert_eq!(store.functions().usage(&scope).unwrap(), Usage::default());
    assert_eq!(store.changes().generation(), before);
}

#[tokio::test]
async fn a_panic_in_one_change_does_not_end_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = record("echo", Version::Latest, 10);
    let result: Result<(), Error> =
        store.functions().update(&first.scope, &first.name, |_| panic!("a fault in a rule")).await;
    assert!(matches!(result, Err(Error::Closed)));
    put(&store, &first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_changes_run_one_after_the_other() {
    const CHANGES: u32 = 400;
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder));
    let first = record("counter", Version::Latest, 10);
    put(&store, &first).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CHANGES {
        let (store, scope, name) = (Arc::clone(&store), first.scope.clone(), first.name.clone());
        tasks.spawn(async move {
            let add = |entry: &mut Entry<'_>| -> Result<(), Error> {
                let mut record = entry.version(Version::Latest)?.unwrap();
                record.definition.memory_megabytes += 1;
                entry.put(&record)
            };
            store.functions().update(&scope, &name, add).await.unwrap();
        });
    }
    tasks.join_all().await;
    let found = store.functions().get(&first.scope, &first.name, Version::Latest).unwrap().unwrap();
    assert_eq!(found.definition.memory_megabytes, 128 + CHANGES);
}

#[tokio::test]
async fn pages_follow_one_another_in_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for name in ["c", "a", "b"] {
        put(&store, &record(name, Version::Latest, 1)).await;
        put(&store, &record(name, Version::Published(1), 1)).await;
    }
    let mut foreign = record("a0", Version::Latest, 1);
    foreign.scope.account = "123456789012".parse().unwrap();
    put(&store, &foreign).await;

    let walk = |listing, limit| {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.functions().list(&scope(), listing, after.as_ref(), limit).unwrap();
            let Some(last) = page.last() else { break seen.join(" ") };
            after = Some(Position { name: last.name.clone(), version: last.version });
            seen.extend(page.iter().map(|record| format!("{}:{}", record.name, record.version)));
        }
    };
    for limit in 1..5 {
        assert_eq!(walk(Listing::Latest, limit), "a:$LATEST b:$LATEST c:$LATEST");
        assert_eq!(walk(Listing::All, limit), "a:$LATEST a:1 b:$LATEST b:1 c:$LATEST c:1");
    }
}

#[tokio::test]
async fn totals_follow_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let check = |functions, code_bytes| {
        let expected = Usage { functions, code_bytes, ..Usage::default() };
        assert_eq!(store.functions().usage(&scope()).unwrap(), expected);
    };
    check(0, 0);
    put(&store, &record("a", Version::Latest, 10)).await;
    put(&store, &record("a", Version::Published(1), 10)).await;
    put(&store, &record("b", Version::Latest, 5)).await;
    check(2, 25);
    put(&store, &record("a", Version::Latest, 100)).await;
    check(2, 115);
    let name = "a".parse().unwrap();
    store
        .functions()
        .update(&scope(), &name, |entry| entry.delete_version(Version::Published(1)))
        .await
        .unwrap();
    check(2, 105);
    store.functions().update(&scope(), &name, |entry| entry.delete()).await.unwrap();
    check(1, 5);
}

#[tokio::test]
async fn numbers_of_versions_are_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    put(&store, &record("a", Version::Latest, 10)).await;
    put(&store, &record("a", Version::Published(1), 10)).await;
    let name = "a".parse().unwrap();
    let last = |entry: &mut Entry<'_>| -> Result<_, Error> {
        entry.delete_version(Version::Published(1))?;
        Ok(entry.last_published())
    };
    assert_eq!(store.functions().update(&scope(), &name, last).await.unwrap(), 1);
}

#[tokio::test]
async fn tags_go_with_their_function() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = record("a", Version::Latest, 10);
    let tags = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
    assert_eq!(store.functions().tags(&scope(), &first.name).unwrap(), None);
    put(&store, &first).await;
    let set = tags.clone();
    store.functions().update(&scope(), &first.name, move |entry| entry.set_tags(&set)).await.unwrap();
    assert_eq!(store.functions().tags(&scope(), &first.name).unwrap(), Some(tags));
    store.functions().update(&scope(), &first.name, |entry| entry.delete()).await.unwrap();
    put(&store, &first).await;
    assert_eq!(store.functions().tags(&scope(), &first.name).unwrap(), Some(BTreeMap::new()));
}

#[tokio::test]
async fn reservations_follow_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let check = |store: &Store, name: &str, of_function, in_account| {
        let found = store.functions().reservations(&scope(), &name.parse().unwrap()).unwrap();
        assert_eq!(found, Some(Reservations { of_function, provisioned: 0, in_account }));
        assert_eq!(store.functions().usage(&scope()).unwrap().reserved_concurrency, in_account);
    };
    assert_eq!(store.functions().reservations(&scope(), &"a".parse().unwrap()).unwrap(), None);
    for name in ["a", "b"] {
        put(&store, &record(name, Version::Latest, 1)).await;
        check(&store, name, None, 0);
    }
    for (name, reserved, of_function, in_account) in [
        ("a", Some(5), Some(5), 5),
        ("b", Some(0), Some(0), 5),
        ("b", Some(7), Some(7), 12),
        ("a", Some(2), Some(2), 9),
        ("a", None, None, 7),
    ] {
        let set = move |entry: &mut Entry<'_>| -> Result<(), Error> { entry.set_reservation(reserved) };
        store.functions().update(&scope(), &name.parse().unwrap(), set).await.unwrap();
        check(&store, name, of_function, in_account);
    }
    drop(store);
    let store = open(&folder);
    check(&store, "b", Some(7), 7);
    put(&store, &record("b", Version::Latest, 2)).await;
    check(&store, "b", Some(7), 7);
    store.functions().update(&scope(), &"b".parse().unwrap(), |entry| entry.delete()).await.unwrap();
    check(&store, "a", None, 0);
}

#[tokio::test]
async fn settings_are_kept_by_function_and_by_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let name: FunctionName = "a".parse().unwrap();
    let (latest, first) = (Version::Latest, Version::Published(1));
    let manual = RuntimeUpdate::Manual { version_arn: "arn:1".to_owned() };
    assert_eq!(store.functions().allows_recursion(&scope(), &name).unwrap(), None);
    assert_eq!(store.functions().runtime_update(&scope(), &name, latest).unwrap(), None);
    put(&store, &record("a", latest, 1)).await;
    put(&store, &record("a", first, 1)).await;
    assert_eq!(store.functions().allows_recursion(&scope(), &name).unwrap(), Some(false));
    assert_eq!(store.functions().runtime_update(&scope(), &name, first).unwrap(), Some(RuntimeUpdate::Auto));
    let update = manual.clone();
    let set = move |entry: &mut Entry<'_>| -> Result<(), Error> {
        entry.set_allows_recursion(true)?;
        entry.set_runtime_update(Version::Latest, &update)?;
        entry.set_runtime_update(Version::Published(1), &RuntimeUpdate::FunctionUpdate)
    };
    store.functions().update(&scope(), &name, set).await.unwrap();
    drop(store);
    let store = open(&folder);
    put(&store, &record("a", latest, 2)).await;
    assert_eq!(store.functions().allows_recursion(&scope(), &name).unwrap(), Some(true));
    assert_eq!(store.functions().runtime_update(&scope(), &name, latest).unwrap(), Some(manual));
    let found = store.functions().runtime_update(&scope(), &name, first).unwrap();
    assert_eq!(found, Some(RuntimeUpdate::FunctionUpdate));
    store
        .functions()
        .update(&scope(), &name, |entry| entry.delete_version(Version::Published(1)))
        .await
        .unwrap();
    assert_eq!(store.functions().runtime_update(&scope(), &name, first).unwrap(), None);
}

#[tokio::test]
async fn unfinished_work_is_found_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(&folder);
        put(&store, &record("settled", Version::Latest, 1)).await;
        put(
            &store,
            &FunctionVersion { state: pending(), last_update: None, ..record("new", Version::Latest, 1) },
        )
        .await;
    }
    let unsettled = open(&folder).functions().unsettled().unwrap();
    assert_eq!(unsettled.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), ["new"]);
}

/// A version that waits for its snapshot.
fn awaiting(name: &str) -> FunctionVersion {
    let blank = record(name, Version::Published(1), 1);
    let definition = Definition { snap_start: SnapStart::PublishedVersions, ..blank.definition };
    FunctionVersion { definition, state: pending(), last_update: None, ..blank }
}

async fn settle(store: &Store, seen: &FunctionVersion, failure: Option<Reason>) -> FunctionVersion {
    let (scope, name, version) = (seen.scope.clone(), seen.name.clone(), seen.version);
    let seen = seen.clone();
    let revision = RevisionId::new(&Ids::system());
    let settle = move |entry: &mut Entry<'_>| entry.settle_snapshot(&seen, failure, revision);
    store.functions().update::<_, Error, _>(&scope, &name, settle).await.unwrap();
    FunctionVersion::clone(&store.functions().get(&scope, &name, version).unwrap().unwrap())
}

#[tokio::test]
async fn versions_that_wait_for_a_snapshot_are_found_apart_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(&folder);
        put(&store, &FunctionVersion { version: Version::Latest, ..awaiting("echo") }).await;
        put(&store, &awaiting("echo")).await;
        put(&store, &FunctionVersion { state: State::Active, ..awaiting("other") }).await;
    }
    let store = open(&folder);
    let names = |records: Vec<FunctionVersion>| {
        records.iter().map(|record| (record.name.to_string(), record.version)).collect::<Vec<_>>()
    };
    assert_eq!(names(store.functions().unsettled().unwrap()), [("echo".into(), Version::Latest)]);
    let awaiting = store.functions().awaiting_snapshots().unwrap();
    let [version] = awaiting.as_slice() else { panic!("{awaiting:?}") };
    assert_eq!((version.name.as_str(), version.version), ("echo", Version::Published(1)));
    settle(&store, version, None).await;
    assert!(store.functions().awaiting_snapshots().unwrap().is_empty());
}

#[tokio::test]
async fn a_wait_for_a_snapshot_ends_once() {
    let reason = || Reason { code: "FunctionError".into(), text: "no".into() };
    for (failure, state, last_update) in
        [(None, State::Active, Some(LastUpdate::Successful)), (Some(reason()), State::Failed(reason()), None)]
    {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let seen = awaiting("echo");
        put(&store, &seen).await;
        let ended = settle(&store, &seen, failure).await;
        assert_eq!((&ended.state, &ended.last_update), (&state, &last_update));
        assert_ne!(ended.revision, seen.revision);
        assert_eq!(settle(&store, &seen, Some(reason())).await, ended);
    }
}

#[tokio::test]
async fn only_the_version_that_was_seen_gets_what_came_of_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let seen = awaiting("echo");
    // Deleted meanwhile, and created anew with other code.
    let code = Code { sha256: CodeSha256::from_bytes([8; 32]), ..seen.definition.code };
    let other =
        FunctionVersion { definition: Definition { code, ..seen.definition.clone() }, ..seen.clone() };
    put(&store, &other).await;
    assert_eq!(settle(&store, &seen, None).await, other);
    let later = FunctionVersion { last_modified: Timestamp::from_millis(9), ..seen.clone() };
    put(&store, &later).await;
    assert_eq!(settle(&store, &seen, None).await, later);
}

#[tokio::test]
async fn whoever_waits_for_changes_is_woken_after_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let mut changes = store.changes().subscribe();
    let before = store.changes().generation();
    put(&store, &record("a", Version::Latest, 1)).await;
    assert!(store.changes().generation() > before);
    changes.changed().await.unwrap();
    assert_eq!(*changes.borrow(), store.changes().generation());
}

#[test]
fn values_of_the_environment_are_not_printed() {
    let printed = format!("{:?}", record("a", Version::Latest, 1));
    assert!(printed.contains("KEY"));
    assert!(!printed.contains("hidden"));
}

#[tokio::test]
async fn a_url_keeps_its_id_and_shares_it_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = record("echo", Version::Latest, 10);
    put(&store, &first).await;
    let config = |alias: Option<&str>, id: &str, millis: i64| FunctionUrlConfig {
        alias: alias.map(str::to_owned),
        id: id.repeat(32).parse().unwrap(),
        created: Timestamp::from_millis(millis),
        last_modified: Timestamp::from_millis(millis),
        definition: FunctionUrlDefinition {
            authentication: UrlAuthentication::AwsIam,
            invoke_mode: InvokeMode::Buffered,
            cors: None,
        },
    };
    let add = async |config: FunctionUrlConfig| {
        let change = move |entry: &mut Entry<'_>| entry.put_function_url_config(&config);
        store.functions().update(&first.scope, &first.name, change).await
    };
    add(config(None, "a", 1)).await.unwrap();
    add(config(None, "b", 2)).await.unwrap();
    let found = store.functions().function_url_config(&first.scope, &first.name, None).unwrap();
    let last_modified = Timestamp::from_millis(2);
    assert_eq!(found, Some(FunctionUrlConfig { last_modified, ..config(None, "a", 1) }));
    assert!(add(config(Some("live"), "a", 3)).await.is_err(), "two records of one id");
    add(config(Some("live"), "c", 3)).await.unwrap();
}

fn provisioned(qualifier: &str, version: u64, requested: u32) -> ProvisionedConcurrency {
    ProvisionedConcurrency {
        qualifier: Qualifier::from(qualifier),
        version,
        requested,
        last_modified: Timestamp::from_millis(1_700_000_000_123),
        allocation: Allocation { allocated: requested, available: 1, status: AllocationStatus::Ready },
    }
}

/// Functions `echo`, with version 1 and its alias `live`, and `other`, with what is provisioned for them.
async fn provisioned_store(folder: &tempfile::TempDir) -> Store {
    let store = open(folder);
    for name in ["echo", "other"] {
        put(&store, &record(name, Version::Latest, 10)).await;
        put(&store, &record(name, Version::Published(1), 10)).await;
        put(&store, &record(name, Version::Published(2), 10)).await;
    }
    change(&store, "echo", |entry| {
        entry.put_alias(&alias(1))?;
        entry.put_provisioned_concurrency(&provisioned("live", 1, 5))?;
        entry.put_provisioned_concurrency(&provisioned("2", 2, 7))
    })
    .await;
    change(&store, "other", |entry| entry.put_provisioned_concurrency(&provisioned("1", 1, 11))).await;
    store
}

fn alias(version: u64) -> Alias {
    Alias {
        name: "live".into(),
        version: Version::Published(version),
        revision: RevisionId::new(&Ids::seeded(1)),
        description: String::new(),
        weights: BTreeMap::new(),
    }
}

async fn change(
    store: &Store,
    name: &str,
    change: impl FnOnce(&mut Entry<'_>) -> Result<(), Error> + Send + 'static,
) {
    store.functions().update(&scope(), &name.parse().unwrap(), change).await.unwrap();
}

fn set_aside(store: &Store) -> u64 {
    store.functions().usage(&scope()).unwrap().reserved_concurrency
}

#[tokio::test]
async fn what_is_provisioned_is_set_aside_unless_the_function_reserves() {
    let folder = tempfile::tempdir().unwrap();
    let store = provisioned_store(&folder).await;
    assert_eq!(set_aside(&store), 23);
    let echo = "echo".parse().unwrap();
    let found = store.functions().reservations(&scope(), &echo).unwrap().unwrap();
    assert_eq!(found, Reservations { of_function: None, provisioned: 12, in_account: 23 });
    for (reserved, expected) in [(Some(20), 31), (Some(12), 23), (None, 23)] {
        change(&store, "echo", move |entry| entry.set_reservation(reserved)).await;
        assert_eq!(set_aside(&store), expected);
    }
    change(&store, "echo", |entry| entry.put_provisioned_concurrency(&provisioned("2", 2, 1))).await;
    assert_eq!(set_aside(&store), 17);
    change(&store, "echo", |entry| entry.delete_alias("live")).await;
    assert_eq!(set_aside(&store), 12);
    change(&store, "echo", |entry| entry.delete_version(Version::Published(2))).await;
    assert_eq!(set_aside(&store), 11);
    change(&store, "other", |entry| entry.delete()).await;
    assert_eq!(set_aside(&store), 0);
}

#[tokio::test]
async fn what_is_provisioned_for_an_alias_moves_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = provisioned_store(&folder).await;
    change(&store, "echo", |entry| entry.delete_provisioned_concurrency(&Qualifier::Version(2))).await;
    let (functions, echo) = (store.functions(), "echo".parse().unwrap());
    let allocated =
        |number| functions.allocated_concurrency(&scope(), &echo, Version::Published(number)).unwrap();
    for (version, expected, moves) in [(1, [5, 0], false), (2, [0, 0], true)] {
        let before = functions.provisioned_revision().unwrap();
        change(&store, "echo", move |entry| entry.put_alias(&alias(version))).await;
        assert_eq!(functions.provisioned_revision().unwrap() > before, moves);
        assert_eq!([allocated(1), allocated(2)], expected);
        let versions = functions.provisioned_versions().unwrap();
        let of_echo = versions.iter().find(|provisioned| provisioned.function.name == echo).unwrap();
        assert_eq!(of_echo.function.version, Version::Published(version));
        assert_eq!(of_echo.concurrency.version, version);
        let found = functions.provisioned_concurrency(&scope(), &echo, &Qualifier::Name("live".into()));
        assert_eq!(found.unwrap().unwrap(), of_echo.concurrency);
    }
}

#[tokio::test]
async fn nothing_is_allocated_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    drop(provisioned_store(&folder).await);
    let store = open(&folder);
    let echo = "echo".parse().unwrap();
    let found = store.functions().provisioned_concurrencies(&scope(), &echo, None, 10).unwrap().unwrap();
    let expected =
        [("2", 2, 7), ("live", 1, 5)].map(|(qualifier, version, requested)| ProvisionedConcurrency {
            allocation: Allocation::default(),
            ..provisioned(qualifier, version, requested)
        });
    assert_eq!(found, expected);
    let page = store.functions().provisioned_concurrencies(&scope(), &echo, Some("2"), 1).unwrap().unwrap();
    assert_eq!(page, expected[1..]);
    assert_eq!(set_aside(&store), 23);
}
