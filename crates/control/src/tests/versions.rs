//! Published versions. Recorded in localstack's `tests/aws/services/lambda_/test_lambda_api.snapshot.json`,
//! `TestLambdaVersions`.

use serde_json::{Value, json};

use super::harness::{World, check, check_error, encoded, package};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";

fn numbers(list: &Value) -> Vec<String> {
    let versions = list["Versions"].as_array().unwrap();
    versions.iter().map(|version| version["Version"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_version_is_latest_as_it_was() {
    let world = World::new().with_function("echo").await;
    let before = world.get("echo", None).await.unwrap();
    let published = world.publish(json!({ "FunctionName": "echo", "Description": "first" })).await.unwrap();
    check(
        &published,
        &json!({
            "FunctionArn": format!("{ARN}:1"),
            "Version": "1",
            "Description": "first",
            "State": "Pending",
            "StateReasonCode": "Creating",
            "LastUpdateStatus": null,
            "CodeSha256": before["CodeSha256"],
        }),
    );
    check(
        &world.get("echo", Some("1")).await.unwrap(),
        &json!({ "State": "Active", "LastUpdateStatus": "Successful" }),
    );
    let latest = world.get("echo", None).await.unwrap();
    check(
        &latest,
        &json!({ "Version": "$LATEST", "Description": "", "LastModified": before["LastModified"] }),
    );
    assert_ne!(latest["RevisionId"], before["RevisionId"], "publishing changes the revision of $LATEST");
}

#[tokio::test]
async fn nothing_new_is_no_new_version() {
    let world = World::new().with_function("echo").await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    let first = world.get("echo", Some("1")).await.unwrap();
    let latest = world.get("echo", None).await.unwrap();
    let again = world.publish(json!({ "FunctionName": "echo", "Description": "other" })).await.unwrap();
    check(&again, &json!({ "Version": "1", "RevisionId": first["RevisionId"], "Description": "" }));
    assert_eq!(world.get("echo", None).await.unwrap()["RevisionId"], latest["RevisionId"]);
    world.configure(json!({ "FunctionName": "echo", "Timeout": 9 })).await.unwrap();
    world.control.settle().await.unwrap();
    let second = world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    check(&second, &json!({ "Version": "2", "Timeout": 9 }));
    check(&world.get("echo", Some("1")).await.unwrap(), &json!({ "Timeout": 3 }));
}

#[tokio::test]
async fn a_publication_names_what_it_publishes() {
    let world = World::new().with_function("echo").await;
    let latest = world.get("echo", None).await.unwrap();
    let digest = latest["CodeSha256"].as_str().unwrap();
    let text = format!(
        "CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({digest}). Please try again with the \
         CodeSHA256 in $LATEST."
    );
    let publish = |members: Value| world.publish(members);
    let other = publish(json!({ "FunctionName": "echo", "CodeSha256": "other" })).await;
    check_error(other, "InvalidParameter(CodeMismatch", &text);
    let stale = publish(json!({ "FunctionName": "echo", "RevisionId": "stale" })).await;
    check_error(
        stale,
        "RevisionMismatch",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
         retrieve the latest Revision Id",
    );
    let missing = publish(json!({ "FunctionName": "nothing" })).await;
    check_error(
        missing,
        "NotFound",
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nothing",
    );
    let exact = json!({ "FunctionName": "echo", "CodeSha256": digest, "RevisionId": latest["RevisionId"] });
    check(&publish(exact).await.unwrap(), &json!({ "Version": "1" }));
}

#[tokio::test]
async fn a_function_that_is_being_changed_is_not_published() {
    let world = World::new().with_function("echo").await;
    let zip = encoded(&package("app.py", b"2"));
    world.update_code(json!({ "FunctionName": "echo", "ZipFile": zip })).await.unwrap();
    let request = serde_json::from_value(json!({ "FunctionName": "echo" })).unwrap();
    check_error(
        world.control.publish_version(&world.scope, request).await,
        "Conflict(UpdateInProgress",
        &format!(
            "The operation cannot be performed at this time. An update is in progress for resource: {ARN}"
        ),
    );
}

#[tokio::test]
async fn versions_are_listed_in_order_and_page_by_page() {
    let world = World::new().with_function("echo").await;
    for timeout in 4..8 {
        world.configure(json!({ "FunctionName": "echo", "Timeout": timeout })).await.unwrap();
        world.control.settle().await.unwrap();
        world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    }
    world.delete("echo", Some("2")).await.unwrap();
    let all = world.list_versions(json!({ "FunctionName": "echo" })).await.unwrap();
    assert_eq!(numbers(&all), ["$LATEST", "1", "3", "4"]);
    check(&all["Versions"][0], &json!({ "FunctionArn": format!("{ARN}:$LATEST"), "State": null }));
    check(&all["Versions"][1], &json!({ "FunctionArn": format!("{ARN}:1"), "LastUpdateStatus": null }));
    let first = world.list_versions(json!({ "FunctionName": "echo", "MaxItems": 2 })).await.unwrap();
    assert_eq!(numbers(&first), ["$LATEST", "1"]);
    let marker = &first["NextMarker"];
    let rest = world.list_versions(json!({ "FunctionName": "echo", "Marker": marker })).await.unwrap();
    assert_eq!(numbers(&rest), ["3", "4"]);
    assert!(rest.get("NextMarker").is_none());
    world.create(json!({ "FunctionName": "other" })).await.unwrap();
    let foreign = world.list_versions(json!({ "FunctionName": "other", "Marker": marker })).await;
    check_error(foreign, "InvalidParameter(Marker", "Invalid Marker");
    let missing = world.list_versions(json!({ "FunctionName": "nothing" })).await;
    check_error(
        missing,
        "NotFound",
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nothing",
    );
}
