//! Permissions. Recorded in localstack's `tests/aws/services/lambda_/test_lambda_api.snapshot.json`,
//! `TestLambdaPermissions`; the limit's text in <https://github.com/adobe/helix-deploy/issues/24>.

use serde_json::{Value, json};

use super::harness::{World, check, check_error};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const NOTHING: &str = "arn:aws:lambda:us-east-1:000000000000:function:nothing";

/// A function `echo` with version 1 and the alias `live`.
async fn world() -> World {
    let world = World::new().with_function("echo").await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    world
        .create_alias(json!({ "FunctionName": "echo", "Name": "live", "FunctionVersion": "1" }))
        .await
        .unwrap();
    world
}

fn permission(id: &str, qualifier: Option<&str>) -> Value {
    json!({
        "FunctionName": "echo", "StatementId": id, "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com", "Qualifier": qualifier,
    })
}

fn document(policy: &Value) -> Value {
    serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn statements_say_who_may_and_when() {
    let world = world().await;
    let url = json!({ "StringEquals": { "lambda:FunctionUrlAuthType": "NONE" } });
    for (number, (members, principal, condition)) in [
        (json!({}), json!({ "Service": "s3.amazonaws.com" }), Value::Null),
        (json!({ "Principal": "*" }), json!("*"), Value::Null),
        (
            json!({ "Principal": "123456789012" }),
            json!({ "AWS": "arn:aws:iam::123456789012:root" }),
            Value::Null,
        ),
        (
            json!({ "Principal": "arn:aws:iam::123456789012:user/u" }),
            json!({ "AWS": "arn:aws:iam::123456789012:user/u" }),
            Value::Null,
        ),
        (
            json!({ "Principal": "alexa-appkit.amazon.com" }),
            json!({ "Service": "alexa-appkit.amazon.com" }),
            Value::Null,
        ),
        (
            json!({ "SourceArn": "arn:aws:s3:::bucket", "SourceAccount": "123456789012" }),
            json!({ "Service": "s3.amazonaws.com" }),
            json!({
                "StringEquals": { "AWS:SourceAccount": "123456789012" },
                "ArnLike": { "AWS:SourceArn": "arn:aws:s3:::bucket" },
            }),
        ),
        (
            json!({ "Principal": "*", "PrincipalOrgID": "o-1234567890" }),
            json!("*"),
            json!({ "StringEquals": { "aws:PrincipalOrgID": "o-1234567890" } }),
        ),
        (
            json!({ "EventSourceToken": "token" }),
            json!({ "Service": "s3.amazonaws.com" }),
            json!({ "StringEquals": { "lambda:EventSourceToken": "token" } }),
        ),
        (
            json!({ "Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE" }),
            json!("*"),
            url,
        ),
        (
            json!({ "Principal": "*", "InvokedViaFunctionUrl": true }),
            json!("*"),
            json!({ "Bool": { "lambda:InvokedViaFunctionUrl": "true" } }),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = permission(&format!("s{number}"), None);
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let action = request["Action"].clone();
        let statement = world.permit(request).await.unwrap();
        check(
            &statement,
            &json!({
                "Sid": format!("s{number}"), "Effect": "Allow", "Principal": principal,
                "Action": action, "Resource": ARN, "Condition": condition,
            }),
        );
    }
    let policy = document(&world.policy("echo", None).await.unwrap());
    check(&policy, &json!({ "Version": "2012-10-17", "Id": "default" }));
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn members_stand_in_the_order_of_aws() {
    let world = world().await;
    world.permit(permission("s3", None)).await.unwrap();
    let policy = world.policy("echo", None).await.unwrap();
    let expected = format!(
        r#"{{"Version":"2012-10-17","Id":"default","Statement":[{{"Sid":"s3","Effect":"Allow","Principal":{{"Service":"s3.amazonaws.com"}},"Action":"lambda:InvokeFunction","Resource":"{ARN}"}}]}}"#
    );
    assert_eq!(policy["Policy"], expected);
}

#[tokio::test]
async fn each_qualifier_has_a_policy_of_its_own() {
    let world = world().await;
    for (qualifier, arn) in
        [(None, ARN.to_owned()), (Some("1"), format!("{ARN}:1")), (Some("live"), format!("{ARN}:live"))]
    {
        let before = world.get("echo", qualifier).await.unwrap();
        let statement = world.permit(permission("same", qualifier)).await.unwrap();
        assert_eq!(statement["Resource"], arn);
        let policy = world.policy("echo", qualifier).await.unwrap();
        assert_eq!(document(&policy)["Statement"].as_array().unwrap().len(), 1);
        if qualifier == Some("live") {
            let alias = world.get_alias("echo", "live").await.unwrap();
            assert_eq!(policy["RevisionId"], alias["RevisionId"]);
        } else {
            let after = world.get("echo", qualifier).await.unwrap();
            assert_eq!(policy["RevisionId"], after["RevisionId"]);
            assert_ne!(before["RevisionId"], after["RevisionId"]);
            assert_eq!(before["LastModified"], after["LastModified"]);
        }
    }
    world.delete_alias("echo", "live").await.unwrap();
    world
        .create_alias(json!({ "FunctionName": "echo", "Name": "live", "FunctionVersion": "1" }))
        .await
        .unwrap();
    let gone = world.policy("echo", Some("live")).await;
    check_error(gone, "NotFound(Resource", "The resource you requested does not exist.");
    let world = world.restart();
    assert!(world.policy("echo", Some("1")).await.is_ok());
}

#[tokio::test]
async fn the_last_statement_takes_the_policy_with_it() {
    let world = world().await;
    world.permit(permission("one", None)).await.unwrap();
    world.permit(permission("two", None)).await.unwrap();
    let forbid = |id: &str| world.forbid(json!({ "FunctionName": "echo", "StatementId": id }));
    forbid("one").await.unwrap();
    let left = document(&world.policy("echo", None).await.unwrap());
    assert_eq!(left["Statement"][0]["Sid"], "two");
    let again = forbid("one").await;
    check_error(again, "NotFound(Statement", "Statement one is not found in resource policy.");
    forbid("two").await.unwrap();
    let none = "The resource you requested does not exist.";
    check_error(world.policy("echo", None).await, "NotFound(Resource", none);
    let none = "No policy is associated with the given resource.";
    check_error(forbid("two").await, "NotFound(NoPolicy", none);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let world = world().await;
    world.permit(permission("s3", None)).await.unwrap();
    let stranger = json!({
        "FunctionName": "echo", "StatementId": "x", "Action": "lambda:InvokeFunction", "Principal": "invalid",
    });
    let nobody = json!({
        "FunctionName": "nothing", "StatementId": "x", "Action": "lambda:InvokeFunction", "Principal": "*",
    });
    let mut other_action = permission("x", None);
    other_action["FunctionUrlAuthType"] = json!("NONE");
    let mut late = permission("late", None);
    late["RevisionId"] = json!("stale");
    let mut later = permission("late", Some("live"));
    later["RevisionId"] = json!("stale");
    let mismatch = "The Revision Id provided does not match the latest Revision Id. Call the ";
    for (request, variant, text) in [
        (
            permission("s3", None),
            "Policy(StatementExists",
            "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing \
             statement."
                .to_owned(),
        ),
        (
            permission("x", Some("$LATEST")),
            "Policy(Latest",
            "We currently do not support adding policies for $LATEST.".to_owned(),
        ),
        (
            stranger,
            "Policy(Principal",
            "The provided principal was invalid. Please check the principal and try again.".to_owned(),
        ),
        (
            other_action,
            "Policy(UrlAuthTypeAction",
            "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action".to_owned(),
        ),
        (nobody, "NotFound(Function", format!("Function not found: {NOTHING}")),
        (permission("x", Some("9")), "NotFound(Function", format!("Function not found: {ARN}:9")),
        (permission("x", Some("none")), "NotFound(Alias", format!("Cannot find alias arn: {ARN}:none")),
        (
            late,
            "PolicyRevisionMismatch",
            format!("{mismatch}GetPolicy API to retrieve the latest Revision Id"),
        ),
        (
            later,
            "RevisionMismatch",
            format!("{mismatch}GetFunction/GetAlias API to retrieve the latest Revision Id"),
        ),
    ] {
        check_error(world.permit(request).await, variant, &text);
    }
    let removal = json!({ "FunctionName": "nothing", "StatementId": "x" });
    check_error(world.forbid(removal).await, "NotFound(Policy", &format!("No policy found for: {NOTHING}"));
    let none = "The resource you requested does not exist.";
    check_error(world.policy("nothing", None).await, "NotFound(Resource", none);
    let statements = document(&world.policy("echo", None).await.unwrap());
    assert_eq!(statements["Statement"].as_array().unwrap().len(), 1, "a refused permission leaves nothing");
}

#[tokio::test]
async fn a_policy_has_a_limit() {
    let world = world().await;
    let mut added = 0;
    let error = loop {
        let mut request = permission(&format!("s{added}"), None);
        request["SourceArn"] = json!(format!("arn:aws:s3:::{}", "b".repeat(1_000)));
        match world.permit(request).await {
            Ok(_) => added += 1,
            Err(error) => break error,
        }
    };
    let size = world.policy("echo", None).await.unwrap()["Policy"].as_str().unwrap().len();
    assert!((10..20).contains(&added) && size <= 20_480, "{added} {size}");
    let text = error.to_string();
    assert!(text.starts_with("The final policy size (2"), "{text}");
    assert!(text.ends_with(") is bigger than the limit (20480)."), "{text}");
}
