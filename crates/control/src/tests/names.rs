//! Names, ARNs and qualifiers. Texts as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaFunction`.

use serde_json::json;

use super::harness::{World, check, check_error};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";

#[tokio::test]
async fn every_form_of_a_name_finds_the_function() {
    let world = World::new().with_function("echo").await;
    for (name, qualifier, arn) in [
        ("echo", None, ARN.to_owned()),
        ("function:echo", None, ARN.to_owned()),
        ("000000000000:function:echo", None, ARN.to_owned()),
        (ARN, None, ARN.to_owned()),
        ("echo", Some("$LATEST"), format!("{ARN}:$LATEST")),
        ("echo:$LATEST", None, format!("{ARN}:$LATEST")),
        ("echo:$LATEST", Some("$LATEST"), format!("{ARN}:$LATEST")),
    ] {
        let found = world.get(name, qualifier).await.unwrap();
        check(&found, &json!({ "FunctionName": "echo", "FunctionArn": arn, "Version": "$LATEST" }));
    }
}

#[tokio::test]
async fn what_is_not_there_is_named_as_it_was_asked_for() {
    let world = World::new().with_function("echo").await;
    let long = "a".repeat(65);
    for (name, qualifier, text) in [
        ("none", None, "none"),
        ("none", Some("1"), "none:1"),
        ("echo", Some("10"), "echo:10"),
        ("echo:10", None, "echo:10"),
        ("echo", Some("live"), "echo:live"),
        ("echo", Some("$latest"), "echo:$latest"),
        (&long, None, &long),
        ("with.dot", None, "with.dot"),
    ] {
        let text = format!("Function not found: arn:aws:lambda:us-east-1:000000000000:function:{text}");
        check_error(world.get(name, qualifier).await, "NotFound", &text);
    }
}

#[tokio::test]
async fn other_accounts_and_regions_are_out_of_reach() {
    let world = World::new().with_function("echo").await;
    let other_account = "arn:aws:lambda:us-east-1:123456789012:function:echo";
    let other_region = "arn:aws:lambda:ap-southeast-1:000000000000:function:echo";
    let text = "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')";
    check_error(world.get(other_account, None).await, "OtherAccount", "null");
    check_error(world.get("123456789012:function:echo", None).await, "OtherAccount", "null");
    check_error(world.get(other_region, None).await, "NotFound", text);
    check_error(world.delete(other_account, None).await, "OtherAccount", "null");
    check_error(world.delete(other_region, None).await, "NotFound", text);
    check_error(world.create(json!({ "FunctionName": other_account })).await, "OtherAccount", "null");
    check_error(world.create(json!({ "FunctionName": other_region })).await, "NotFound", text);
    check_error(world.configure(json!({ "FunctionName": other_region })).await, "NotFound", text);
    check_error(world.update_code(json!({ "FunctionName": other_account })).await, "OtherAccount", "null");
}

#[tokio::test]
async fn two_qualifiers_must_agree() {
    let world = World::new().with_function("echo").await;
    let text = "The derived qualifier from the function name does not match the specified qualifier.";
    check_error(world.get("echo:1", Some("$LATEST")).await, "InvalidParameter", text);
    check_error(world.delete(&format!("{ARN}:1"), Some("2")).await, "InvalidParameter", text);
}

#[tokio::test]
async fn a_new_name_may_be_an_arn_and_is_64_long_at_most() {
    let world = World::new();
    let created = world.create(json!({ "FunctionName": ARN })).await.unwrap();
    check(&created, &json!({ "FunctionName": "echo", "FunctionArn": ARN }));
    check_error(
        world.create(json!({ "FunctionName": "echo" })).await,
        "Conflict",
        "Function already exist: echo",
    );
    let long = "a".repeat(65);
    let text = format!(
        "1 validation error detected: Value '{long}' at 'functionName' failed to satisfy constraint: Member must \
         have length less than or equal to 64"
    );
    check_error(world.create(json!({ "FunctionName": long })).await, "InvalidParameter", &text);
}

#[tokio::test]
async fn deletion_takes_functions_and_versions_and_nothing_else() {
    let world = World::new();
    world.create(json!({ "FunctionName": "echo", "Publish": true })).await.unwrap();
    let invalid = "InvalidParameter";
    let text = "$LATEST version cannot be deleted without deleting the function.";
    check_error(world.delete("echo", Some("$LATEST")).await, invalid, text);
    let text = "Deletion of aliases is not currently supported.";
    check_error(world.delete("echo", Some("live")).await, invalid, text);
    let text = format!("Function not found: {ARN}");
    check_error(world.delete("echo", Some("$latest")).await, "NotFound", &text);
    let gone = json!({ "StatusCode": 204 });
    assert_eq!(world.delete("echo", Some("7")).await.unwrap(), gone);
    assert_eq!(world.delete("echo", Some("1")).await.unwrap(), gone);
    check_error(world.get("echo", Some("1")).await, "NotFound", &format!("{text}:1"));
    assert_eq!(world.delete("echo", None).await.unwrap(), gone);
    check_error(world.delete("echo", None).await, "NotFound", &text);
    check(&world.usage().await, &json!({ "FunctionCount": 0, "TotalCodeSize": 0 }));
}

#[tokio::test]
async fn versions_cannot_be_updated() {
    let world = World::new().with_function("echo").await;
    let text = "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
                operation. Please specify either a function name or an unqualified function ARN.";
    check_error(world.configure(json!({ "FunctionName": "echo:1" })).await, "InvalidParameter", text);
    check_error(world.update_code(json!({ "FunctionName": "echo:live" })).await, "InvalidParameter", text);
    world.configure(json!({ "FunctionName": "echo:$LATEST", "Timeout": 4 })).await.unwrap();
}
