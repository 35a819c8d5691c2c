//! States, revisions and what stands where. Recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `test_function_lifecycle`.

use std::collections::HashSet;
use std::sync::Arc;

use firelet_types::limits::CODE_LINK_LIFETIME;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::harness::{World, check, check_error, encoded, package};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";

fn revision(configuration: &Value) -> String {
    configuration["RevisionId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_function_is_pending_and_then_active() {
    let world = World::new();
    let created = world.create(json!({ "FunctionName": "echo" })).await.unwrap();
    check(
        &created,
        &json!({
            "FunctionName": "echo",
            "FunctionArn": ARN,
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Role": "arn:aws:iam::000000000000:role/r",
            "Description": "",
            "MemorySize": 128,
            "Timeout": 3,
            "Version": "$LATEST",
            "PackageType": "Zip",
            "Architectures": ["x86_64"],
            "EphemeralStorage": { "Size": 512 },
            "LoggingConfig": { "LogFormat": "Text", "LogGroup": "/aws/lambda/echo" },
            "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
            "TracingConfig": { "Mode": "PassThrough" },
            "LastModified": "2023-11-14T22:13:20.123+0000",
            "State": "Pending",
            "StateReason": "The function is being created.",
            "StateReasonCode": "Creating",
            "LastUpdateStatus": null,
            "Environment": null,
            "VpcConfig": null,
            "Layers": null,
        }),
    );
    let runtime = created["RuntimeVersionConfig"]["RuntimeVersionArn"].as_str().unwrap();
    assert!(runtime.starts_with("arn:aws:lambda:us-east-1::runtime:"), "{runtime}");

    world.control.settle().await.unwrap();
    let active = world.get("echo", None).await.unwrap();
    let settled = json!({ "State": "Active", "StateReason": null, "StateReasonCode": null, "LastUpdateStatus": "Successful" });
    check(&active, &settled);
    assert_ne!(revision(&active), revision(&created));
}

#[tokio::test]
async fn an_update_is_in_progress_and_then_successful() {
    let world = World::new().with_function("echo").await;
    let before = world.get("echo", None).await.unwrap();
    let zip = encoded(&package("app.py", b"2"));
    let in_progress = json!({
        "FunctionArn": ARN,
        "State": "Active",
        "StateReason": null,
        "LastUpdateStatus": "InProgress",
        "LastUpdateStatusReason": "The function is being created.",
        "LastUpdateStatusReasonCode": "Creating",
    });
    let mut revisions = HashSet::from([revision(&before)]);
    for update in [world.configure(json!({ "FunctionName": "echo", "Timeout": 9 })).await.unwrap(), {
        world.control.settle().await.unwrap();
        world.update_code(json!({ "FunctionName": "echo", "ZipFile": zip })).await.unwrap()
    }] {
        check(&update, &in_progress);
        assert!(revisions.insert(revision(&update)));
    }
    let error = world.configure(json!({ "FunctionName": "echo", "Timeout": 10 })).await;
    let text = format!(
        "The operation cannot be performed at this time. An update is in progress for resource: {ARN}"
    );
    check_error(error, "Conflict", &text);
    world.control.settle().await.unwrap();
    let after = world.get("echo", None).await.unwrap();
    check(&after, &json!({ "Timeout": 9, "LastUpdateStatus": "Successful", "LastUpdateStatusReason": null }));
    assert!(revisions.insert(revision(&after)));
    assert_ne!(after["CodeSha256"], before["CodeSha256"]);
}

#[tokio::test]
async fn a_function_that_is_being_created_cannot_be_updated() {
    let world = World::new();
    world.create(json!({ "FunctionName": "echo" })).await.unwrap();
    let text = "The operation cannot be performed at this time. The function is currently in the following state: Pending";
    check_error(world.configure(json!({ "FunctionName": "echo" })).await, "Conflict", text);
}

#[tokio::test]
async fn only_the_latest_revision_can_be_updated() {
    let world = World::new().with_function("echo").await;
    let text = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
                retrieve the latest Revision Id";
    let zip = encoded(&package("app.py", b"2"));
    let stale = "00000000-0000-4000-8000-000000000000";
    let result = world.configure(json!({ "FunctionName": "echo", "RevisionId": stale })).await;
    check_error(result, "RevisionMismatch", text);
    let result =
        world.update_code(json!({ "FunctionName": "echo", "ZipFile": zip, "RevisionId": stale })).await;
    check_error(result, "RevisionMismatch", text);
    let current = revision(&world.get("echo", None).await.unwrap());
    world.configure(json!({ "FunctionName": "echo", "RevisionId": current })).await.unwrap();
}

#[tokio::test]
async fn reading_changes_no_revision() {
    let world = World::new().with_function("echo").await;
    let first = revision(&world.get("echo", None).await.unwrap());
    world.control.settle().await.unwrap();
    world.list(json!({})).await.unwrap();
    let zip = encoded(&package("app.py", b"2"));
    world.update_code(json!({ "FunctionName": "echo", "ZipFile": zip, "DryRun": true })).await.unwrap();
    assert_eq!(revision(&world.get_function("echo").await.unwrap()["Configuration"]), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_simultaneous_updates_one_is_taken_and_the_others_are_told() {
    const UPDATES: i32 = 16;
    let world = Arc::new(World::new().with_function("echo").await);
    let mut tasks = tokio::task::JoinSet::new();
    for memory in 0..UPDATES {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            world.configure(json!({ "FunctionName": "echo", "MemorySize": 200 + memory })).await
        });
    }
    let (taken, refused): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(taken.len(), 1);
    let text = format!(
        "The operation cannot be performed at this time. An update is in progress for resource: {ARN}"
    );
    for error in refused {
        check_error(error, "Conflict", &text);
    }
    let stored = world.get("echo", None).await.unwrap();
    assert_eq!(stored["MemorySize"], taken[0].as_ref().unwrap()["MemorySize"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_simultaneous_creations_one_is_taken() {
    let world = Arc::new(World::new());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let world = Arc::clone(&world);
        tasks.spawn(async move { world.create(json!({ "FunctionName": "echo" })).await });
    }
    let (taken, refused): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(taken.len(), 1);
    for error in refused {
        check_error(error, "Conflict", "Function already exist: echo");
    }
    check(
        &world.usage().await,
        &json!({ "FunctionCount": 1, "TotalCodeSize": taken[0].as_ref().unwrap()["CodeSize"] }),
    );
}

#[tokio::test]
async fn a_restart_keeps_everything_and_finishes_what_was_begun() {
    let world = World::new().with_function("settled").await;
    world
        .create(json!({ "FunctionName": "begun", "Environment": { "Variables": { "KEY": "v" } } }))
        .await
        .unwrap();
    let before = world.get_function("settled").await.unwrap();
    let world = world.restart();
    let after = world.get_function("settled").await.unwrap();
    assert_eq!(after["Configuration"], before["Configuration"]);
    check(&world.get("begun", None).await.unwrap(), &json!({ "State": "Pending" }));
    let mut changes = world.control.store.changes().subscribe();
    let shutdown = CancellationToken::new();
    let running = {
        let (control, shutdown) = (Arc::clone(&world.control), shutdown.clone());
        tokio::spawn(async move { control.run(shutdown).await })
    };
    changes.changed().await.unwrap();
    let begun = world.get("begun", None).await.unwrap();
    check(&begun, &json!({ "State": "Active", "Environment": { "Variables": { "KEY": "v" } } }));
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn the_reconciler_follows_each_change() {
    let world = World::new();
    let shutdown = CancellationToken::new();
    let running = {
        let (control, shutdown) = (Arc::clone(&world.control), shutdown.clone());
        tokio::spawn(async move { control.run(shutdown).await })
    };
    let mut changes = world.control.store.changes().subscribe();
    world.create(json!({ "FunctionName": "echo" })).await.unwrap();
    while world.get("echo", None).await.unwrap()["State"] != "Active" {
        changes.changed().await.unwrap();
    }
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_published_creation_answers_version_1() {
    let world = World::new();
    let created = world.create(json!({ "FunctionName": "echo", "Publish": true })).await.unwrap();
    check(&created, &json!({ "Version": "1", "FunctionArn": ARN, "State": "Pending" }));
    world.control.settle().await.unwrap();
    let published = world.get("echo", Some("1")).await.unwrap();
    check(&published, &json!({ "Version": "1", "FunctionArn": format!("{ARN}:1"), "State": "Active" }));
    check(&world.get("echo", None).await.unwrap(), &json!({ "Version": "$LATEST", "FunctionArn": ARN }));
    let size = created["CodeSize"].as_u64().unwrap();
    check(&world.usage().await, &json!({ "FunctionCount": 1, "TotalCodeSize": 2 * size }));
}

#[tokio::test]
async fn a_published_update_answers_the_new_version_or_the_unchanged_one() {
    let world = World::new().with_function("echo").await;
    let zip = encoded(&package("app.py", b"2"));
    let update = json!({ "FunctionName": "echo", "ZipFile": zip, "Publish": true });
    let first = world.update_code(update.clone()).await.unwrap();
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:echo:1";
    check(&first, &json!({ "Version": "1", "State": "Pending", "FunctionArn": arn }));
    check(&world.get("echo", None).await.unwrap(), &json!({ "LastUpdateStatus": "InProgress" }));
    world.control.settle().await.unwrap();
    let published = world.get("echo", Some("1")).await.unwrap();
    let again = world.update_code(update).await.unwrap();
    check(&again, &json!({ "Version": "1", "RevisionId": published["RevisionId"] }));
    world.control.settle().await.unwrap();
    world.delete("echo", Some("1")).await.unwrap();
    let zip = encoded(&package("app.py", b"3"));
    let next =
        world.update_code(json!({ "FunctionName": "echo", "ZipFile": zip, "Publish": true })).await.unwrap();
    check(&next, &json!({ "Version": "2" }));
}

#[tokio::test]
async fn links_to_code_are_good_for_ten_minutes() {
    use futures_util::TryStreamExt;

    let world = World::new().with_function("echo").await;
    let found = world.get_function("echo").await.unwrap();
    assert_eq!(found["Code"]["RepositoryType"], "S3");
    assert_eq!(found.get("Tags"), None);
    let link = found["Code"]["Location"].as_str().unwrap();
    let (path, query) = link.strip_prefix("http://127.0.0.1:4566").unwrap().split_once('?').unwrap();

    let download = world.control.open_code_link(path, query).await.unwrap();
    let pieces: Vec<_> = download.pieces.try_collect().await.unwrap();
    assert_eq!(pieces.concat(), package("app.py", b"1"));
    assert_eq!(download.size_bytes, pieces.concat().len() as u64);

    let other = path.replace(&path[path.len() - 4..], "0000");
    for (path, query) in
        [(other.as_str(), query), (path, ""), (path, "expires=9&signature=ab"), ("/x", query)]
    {
        let result = world.control.open_code_link(path, query).await.map(|download| download.size_bytes);
        check_error(result, "CodeLink(Forged", "The link was not made by this server.");
    }
    world.clock.advance(CODE_LINK_LIFETIME);
    let result = world.control.open_code_link(path, query).await.map(|download| download.size_bytes);
    check_error(result, "CodeLink(Expired", "Request has expired");
}
