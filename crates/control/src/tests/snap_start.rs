//! Versions that wait for their snapshot. The reason of a failure is recorded in
//! <https://github.com/docwho2/java-connect-lex-chatgpt/issues/36>, its code in
//! <https://github.com/hashicorp/terraform-provider-aws/issues/49904>; that there is no last update meanwhile in
//! <https://github.com/hashicorp/terraform-provider-aws/issues/43395>.

use firelet_store::function::Reason;
use serde_json::{Value, json};

use super::harness::{World, check, encoded, package};

const ON: &str = "On";
const OFF: &str = "Off";

fn snap_start(status: &str) -> Value {
    json!({ "ApplyOn": "PublishedVersions", "OptimizationStatus": status })
}

fn pending() -> Value {
    json!({
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "LastUpdateStatus": null,
        "SnapStart": snap_start(OFF),
    })
}

fn active() -> Value {
    json!({
        "State": "Active",
        "StateReason": null,
        "StateReasonCode": null,
        "LastUpdateStatus": "Successful",
        "SnapStart": snap_start(ON),
    })
}

async fn deployed() -> World {
    let world = World::new();
    let snap_start = json!({ "ApplyOn": "PublishedVersions" });
    world.create(json!({ "FunctionName": "echo", "SnapStart": snap_start })).await.unwrap();
    world.control.settle().await.unwrap();
    world
}

#[tokio::test]
async fn a_version_is_pending_until_it_has_its_snapshot() {
    let world = deployed().await;
    let published = world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    check(&published, &pending());
    // The reconciler leaves it alone, now and after a restart.
    let waiting = world.get("echo", Some("1")).await.unwrap();
    check(&waiting, &pending());
    assert_eq!(waiting["RevisionId"], published["RevisionId"]);
    let world = world.restart();
    world.control.settle().await.unwrap();
    check(&world.get("echo", Some("1")).await.unwrap(), &pending());

    world.settle_snapshots(None).await;
    let version = world.get("echo", Some("1")).await.unwrap();
    check(&version, &active());
    assert_ne!(version["RevisionId"], published["RevisionId"]);
    // $LATEST has none, and is what it was.
    let settled =
        json!({ "State": "Active", "LastUpdateStatus": "Successful", "SnapStart": snap_start(OFF) });
    check(&world.get("echo", None).await.unwrap(), &settled);
}

#[tokio::test]
async fn a_version_whose_init_fails_has_failed() {
    let world = deployed().await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    let reason = Reason {
        code: "FunctionError".to_owned(),
        text: "An error occurred during function initialization.".to_owned(),
    };
    world.settle_snapshots(Some(reason)).await;
    let failed = json!({
        "State": "Failed",
        "StateReason": "An error occurred during function initialization.",
        "StateReasonCode": "FunctionError",
        "LastUpdateStatus": null,
        "SnapStart": snap_start(OFF),
    });
    check(&world.get("echo", Some("1")).await.unwrap(), &failed);
    // It is what was published last, until it is deleted.
    check(&world.publish(json!({ "FunctionName": "echo" })).await.unwrap(), &failed);
    world.delete("echo", Some("1")).await.unwrap();
    let next = world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    check(&next, &json!({ "Version": "2", "State": "Pending" }));
}

#[tokio::test]
async fn versions_that_come_with_a_creation_or_with_code_wait_as_well() {
    let world = World::new();
    let members = json!({
        "FunctionName": "echo", "SnapStart": { "ApplyOn": "PublishedVersions" }, "Publish": true,
    });
    check(&world.create(members).await.unwrap(), &pending());
    world.control.settle().await.unwrap();
    check(&world.get("echo", Some("1")).await.unwrap(), &pending());
    check(&world.get("echo", None).await.unwrap(), &json!({ "State": "Active" }));
    // A version that waits keeps nobody from changing the function.
    let zip = encoded(&package("app.py", b"2"));
    let update = json!({ "FunctionName": "echo", "ZipFile": zip, "Publish": true });
    check(&world.update_code(update).await.unwrap(), &pending());
    world.control.settle().await.unwrap();
    check(&world.get("echo", Some("2")).await.unwrap(), &pending());
    world.settle_snapshots(None).await;
    for version in ["1", "2"] {
        check(&world.get("echo", Some(version)).await.unwrap(), &active());
    }
}

#[tokio::test]
async fn without_snapshots_a_version_waits_for_nothing() {
    let world = deployed().await;
    let off = json!({ "FunctionName": "echo", "SnapStart": { "ApplyOn": "None" } });
    world.configure(off).await.unwrap();
    world.control.settle().await.unwrap();
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    let settled =
        json!({ "State": "Active", "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" } });
    check(&world.get("echo", Some("1")).await.unwrap(), &settled);
}

#[tokio::test]
async fn a_version_that_waits_may_be_permitted_named_and_deleted() {
    let world = deployed().await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    let statement = json!({
        "FunctionName": "echo", "Qualifier": "1", "StatementId": "s", "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
    });
    world.permit(statement).await.unwrap();
    let alias = json!({ "FunctionName": "echo", "Name": "live", "FunctionVersion": "1" });
    world.create_alias(alias).await.unwrap();
    // Its revision has changed meanwhile.
    check(&world.get("echo", Some("1")).await.unwrap(), &pending());
    world.settle_snapshots(None).await;
    check(&world.get("echo", Some("live")).await.unwrap(), &active());
    world.delete_alias("echo", "live").await.unwrap();
    world.delete("echo", Some("1")).await.unwrap();
    assert!(world.control.store.functions().awaiting_snapshots().unwrap().is_empty());
}
