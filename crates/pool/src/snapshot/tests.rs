use std::cell::Cell;
use std::time::Duration;

use firelet_store::definition::{
    Architecture, Code, ImageOverrides, LogFormat, Logging, PackageType, SnapStart, Tenancy, Tracing,
};
use firelet_store::function::Reason;
use firelet_store::{Definition, State, Version};
use firelet_types::{AccountId, CodeSha256, Ids, Region, RevisionId, Scope, Timestamp};

use super::*;

/// A version that starts from a snapshot and waits for it, of an account whose id is twelve times `account`.
pub(crate) fn version(account: u8, name: &str, number: u64) -> Arc<FunctionVersion> {
    let account: AccountId = account.to_string().repeat(12).parse().unwrap();
    Arc::new(FunctionVersion {
        scope: Scope { account, region: Region::local() },
        name: name.parse().unwrap(),
        version: Version::Published(number),
        revision: RevisionId::new(&Ids::seeded(1)),
        definition: definition(),
        state: State::Pending(Reason { code: "Creating".into(), text: "not yet".into() }),
        last_update: None,
        last_modified: Timestamp::from_millis(1),
    })
}

/// The same version of another function, which has the name now.
pub(crate) fn anew(function: &FunctionVersion) -> Arc<FunctionVersion> {
    Arc::new(FunctionVersion { last_modified: Timestamp::from_millis(2), ..function.clone() })
}

fn definition() -> Definition {
    Definition {
        runtime: Some("python3.13".into()),
        handler: Some("app.handler".into()),
        role: "arn:aws:iam::000000000000:role/r".into(),
        description: String::new(),
        memory_megabytes: 128,
        timeout: Duration::from_secs(3),
        ephemeral_storage_megabytes: 512,
        environment: None,
        architecture: Architecture::X86_64,
        package_type: PackageType::Zip,
        code: Code { sha256: CodeSha256::from_bytes([7; 32]), size_bytes: 1, unzipped_bytes: 1 },
        logging: Logging { format: LogFormat::Text, group: None },
        tracing: Tracing::PassThrough,
        layers: Vec::new(),
        network: None,
        dead_letter_target: None,
        kms_key: None,
        package_kms_key: None,
        snap_start: SnapStart::PublishedVersions,
        tenancy: Tenancy::Shared,
        durability: None,
        image: None,
        image_overrides: ImageOverrides::default(),
        code_object: None,
        file_systems: Vec::new(),
        custom_runtime: None,
        accelerator_gigabytes: None,
        capacity: None,
    }
}

/// A snapshot is a number, and holds as many bytes.
fn snapshots(room: u64) -> Snapshots<u64> {
    Snapshots::new(room, |bytes| *bytes)
}

async fn take(snapshots: &Snapshots<u64>, name: &str, bytes: u64) -> u64 {
    snapshots.obtain(&version(1, name, 1), async { Ok(bytes) }).await.unwrap()
}

#[tokio::test]
async fn a_snapshot_is_made_once_and_kept() {
    let snapshots = snapshots(10);
    assert_eq!(take(&snapshots, "one", 3).await, 3);
    assert_eq!(take(&snapshots, "one", 4).await, 3);
    assert_eq!(take(&snapshots, "two", 4).await, 4);
    assert_eq!(snapshots.stock(), SnapshotStock { count: 2, memory_bytes: 7, memory_limit_bytes: 10 });
}

#[tokio::test]
async fn without_room_those_go_that_were_used_longest_ago() {
    let snapshots = snapshots(10);
    for (name, bytes) in [("one", 3), ("two", 3), ("three", 3)] {
        take(&snapshots, name, bytes).await;
    }
    take(&snapshots, "one", 99).await;
    // Two go for it.
    take(&snapshots, "four", 6).await;
    assert_eq!(snapshots.stock().memory_bytes, 9);
    assert_eq!(take(&snapshots, "one", 1).await, 3, "used lately");
    assert_eq!(take(&snapshots, "two", 1).await, 1, "made again");
    // More than all the room is not kept, and nothing goes for it.
    assert_eq!(take(&snapshots, "large", 11).await, 11);
    assert_eq!(take(&snapshots, "large", 12).await, 12);
    assert_eq!(snapshots.stock().count, 3);
}

#[tokio::test]
async fn what_holds_no_memory_gives_none_back() {
    let snapshots = snapshots(10);
    for (name, bytes) in [("one", 0), ("two", 3), ("three", 3), ("four", 3)] {
        take(&snapshots, name, bytes).await;
    }
    take(&snapshots, "two", 99).await;
    assert_eq!(snapshots.holding(), 3);
    snapshots.drop_oldest(2);
    assert_eq!((snapshots.holding(), snapshots.stock().count), (1, 2));
    assert_eq!(take(&snapshots, "two", 1).await, 3, "used lately");
    snapshots.drop_oldest(9);
    assert_eq!((snapshots.holding(), snapshots.stock().count), (0, 1));
}

#[tokio::test]
async fn a_function_that_has_the_name_now_gets_a_snapshot_of_its_own() {
    let snapshots = snapshots(10);
    let before = version(1, "one", 1);
    let after = anew(&before);
    take(&snapshots, "one", 3).await;
    assert_eq!(snapshots.obtain(&after, async { Ok(4) }).await.unwrap(), 4);
    assert_eq!(snapshots.stock().count, 1);
    assert_eq!(snapshots.obtain(&after, async { Ok(5) }).await.unwrap(), 4);
}

#[tokio::test]
async fn all_who_wait_hear_what_came_of_one_try() {
    for result in [Some(7), None] {
        let snapshots = snapshots(10);
        let function = version(1, "one", 1);
        let tries = Cell::new(0);
        let (begin, begun) = tokio::sync::oneshot::channel::<()>();
        let first = snapshots.obtain(&function, async {
            tries.set(tries.get() + 1);
            begun.await.unwrap();
            result.ok_or(LeaseError::Overloaded)
        });
        let other = || {
            snapshots.obtain(&function, async {
                tries.set(tries.get() + 1);
                Ok(8)
            })
        };
        let begin = async { begin.send(()).unwrap() };
        let (first, second, third, ()) = tokio::join!(first, other(), other(), begin);
        for obtained in [first, second, third] {
            match (obtained, result) {
                (Ok(obtained), Some(result)) => assert_eq!(obtained, result),
                (Err(LeaseError::Snapshot(cause)), None) => {
                    assert!(matches!(*cause, LeaseError::Overloaded), "{cause:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(tries.get(), 1);
        // What failed is tried again by whoever comes later.
        assert_eq!(other().await.unwrap(), result.unwrap_or(8));
    }
}

#[tokio::test]
async fn where_the_maker_is_broken_off_another_takes_its_turn() {
    let snapshots = snapshots(10);
    let function = version(1, "one", 1);
    let mut first = Box::pin(snapshots.obtain(&function, std::future::pending()));
    assert!(at_once(&mut first).await.is_none());
    let mut second = Box::pin(snapshots.obtain(&function, async { Ok(8) }));
    assert!(at_once(&mut second).await.is_none());
    drop(first);
    assert_eq!(second.await.unwrap(), 8);
}

/// What a future gives at once.
async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

#[test]
fn small_snapshots_are_bounded_in_number_too() {
    assert_eq!(
        [0, 1, LEAST_BYTES, LEAST_BYTES + 1].map(charge),
        [0, LEAST_BYTES, LEAST_BYTES, LEAST_BYTES + 1]
    );
}
