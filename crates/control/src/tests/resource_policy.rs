//! Policies as whole documents, beside the permissions that they are made of; see
//! <https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html>.

use serde_json::{Value, json};

use super::harness::{World, check, check_error};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const UUID: &str = "11111111-2222-3333-4444-555555555555";
const NONE: &str = "The resource you requested does not exist.";

/// A function `echo` with version 1 and the alias `live`.
async fn world() -> World {
    let world = World::new().with_function("echo").await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    let alias = json!({ "FunctionName": "echo", "Name": "live", "FunctionVersion": "1" });
    world.create_alias(alias).await.unwrap();
    world
}

/// A policy that no permissions could be: statements that deny, in the caller's order and with the caller's blanks.
fn document(sid: &str) -> String {
    format!(
        r#"{{ "Statement": {{ "Effect": "Deny", "Sid": "{sid}", "Principal": {{ "AWS": "*" }},
             "Action": ["lambda:InvokeFunction"], "Resource": ["{ARN}", "{ARN}:*"] }}, "Version": "2012-10-17" }}"#
    )
}

fn put(arn: &str, policy: &str) -> Value {
    json!({ "ResourceArn": arn, "Policy": policy })
}

fn permission(id: &str) -> Value {
    json!({
        "FunctionName": "echo", "StatementId": id, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
    })
}

fn sids(policy: &Value) -> Vec<String> {
    let document: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    let statements = document["Statement"].as_array().unwrap().iter();
    statements.map(|statement| statement["Sid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_document_reads_back_as_it_was_put() {
    let world = world().await;
    for (qualifier, arn) in
        [(None, ARN.to_owned()), (Some("1"), format!("{ARN}:1")), (Some("live"), format!("{ARN}:live"))]
    {
        let policy = document(qualifier.unwrap_or("whole"));
        let put = world.put_resource_policy(put(&arn, &policy)).await.unwrap();
        assert_eq!(put["Policy"], policy);
        assert_eq!(world.resource_policy(&arn).await.unwrap(), put);
        assert_eq!(world.policy("echo", qualifier).await.unwrap(), put);
        let revision = match qualifier {
            Some("live") => world.get_alias("echo", "live").await.unwrap()["RevisionId"].clone(),
            _ => world.get("echo", qualifier).await.unwrap()["RevisionId"].clone(),
        };
        assert_eq!(put["RevisionId"], revision);
    }
    let world = world.restart();
    assert_eq!(world.resource_policy(ARN).await.unwrap()["Policy"], document("whole"));
}

#[tokio::test]
async fn documents_and_permissions_are_one_policy() {
    let world = world().await;
    world.permit(permission("first")).await.unwrap();
    assert_eq!(sids(&world.resource_policy(ARN).await.unwrap()), ["first"]);
    world.put_resource_policy(put(ARN, &document("whole"))).await.unwrap();
    let again = world.permit(permission("whole")).await;
    let text = "The statement id (whole) provided already exists. Please provide a new statement id, or remove the \
                existing statement.";
    check_error(again, "Policy(StatementExists", text);
    world.permit(permission("second")).await.unwrap();
    let both = world.resource_policy(ARN).await.unwrap();
    assert_eq!(sids(&both), ["whole", "second"]);
    assert!(
        both["Policy"].as_str().unwrap().starts_with(r#"{"Version":"2012-10-17","Statement":[{ "Effect""#)
    );
    for sid in ["whole", "second"] {
        world.forbid(json!({ "FunctionName": "echo", "StatementId": sid })).await.unwrap();
    }
    check_error(world.resource_policy(ARN).await, "NotFound(Resource", NONE);
}

#[tokio::test]
async fn a_deleted_policy_is_gone_with_its_permissions() {
    let world = world().await;
    world.permit(permission("first")).await.unwrap();
    let before = world.get("echo", None).await.unwrap();
    world.delete_resource_policy(json!({ "ResourceArn": ARN })).await.unwrap();
    let after = world.get("echo", None).await.unwrap();
    assert_ne!(before["RevisionId"], after["RevisionId"]);
    check_error(world.policy("echo", None).await, "NotFound(Resource", NONE);
    let again = world.delete_resource_policy(json!({ "ResourceArn": ARN })).await;
    check_error(again, "NotFound(NoPolicy", "No policy is associated with the given resource.");
}

#[tokio::test]
async fn a_revision_that_has_passed_changes_nothing() {
    let world = world().await;
    let at = |revision: &Value| {
        let mut request = put(ARN, &document("whole"));
        request["RevisionId"] = revision.clone();
        request
    };
    let mismatch = "The Revision Id provided does not match the latest Revision Id. Call the ";
    let stale = world.put_resource_policy(at(&json!(UUID))).await;
    let text = format!("{mismatch}GetFunction/GetAlias API to retrieve the latest Revision Id");
    check_error(stale, "RevisionMismatch", &text);
    let function = world.get("echo", None).await.unwrap();
    let put = world.put_resource_policy(at(&function["RevisionId"])).await.unwrap();
    let text = format!("{mismatch}GetPolicy API to retrieve the latest Revision Id");
    check_error(world.put_resource_policy(at(&json!(UUID))).await, "PolicyRevisionMismatch", &text);
    let delete = |revision: &Value| {
        world.delete_resource_policy(json!({ "ResourceArn": ARN, "RevisionId": revision }))
    };
    check_error(delete(&json!(UUID)).await, "PolicyRevisionMismatch", &text);
    check(&world.resource_policy(ARN).await.unwrap(), &put);
    delete(&put["RevisionId"]).await.unwrap();
}

#[tokio::test]
async fn resources_that_are_not_there_have_no_policy() {
    let world = world().await;
    let nobody = "arn:aws:lambda:us-east-1:000000000000:function:nothing";
    let runtime = "arn:aws:lambda:us-east-1:000000000000:runtime/mine";
    let latest = "We currently do not support adding policies for $LATEST.";
    let missing = |arn: &str| format!("Function not found: {arn}");
    let foreign = "arn:aws:lambda:us-east-1:123456789012:function:echo";
    for (arn, changed, read) in [
        (nobody.to_owned(), ("NotFound(Function", missing(nobody)), ("NotFound(Resource", NONE.to_owned())),
        (
            format!("{ARN}:9"),
            ("NotFound(Function", missing(&format!("{ARN}:9"))),
            ("NotFound(Function", missing(&format!("{ARN}:9"))),
        ),
        (
            format!("{ARN}:none"),
            ("NotFound(Alias", format!("Cannot find alias arn: {ARN}:none")),
            ("NotFound(Alias", format!("Cannot find alias arn: {ARN}:none")),
        ),
        (
            format!("{ARN}:$LATEST"),
            ("Policy(Latest", latest.to_owned()),
            ("Policy(Latest", latest.to_owned()),
        ),
        (runtime.to_owned(), ("NotFound(Resource", NONE.to_owned()), ("NotFound(Resource", NONE.to_owned())),
        (foreign.to_owned(), ("OtherAccount", "null".to_owned()), ("OtherAccount", "null".to_owned())),
    ] {
        check_error(world.put_resource_policy(put(&arn, &document("x"))).await, changed.0, &changed.1);
        check_error(world.delete_resource_policy(json!({ "ResourceArn": arn })).await, changed.0, &changed.1);
        check_error(world.resource_policy(&arn).await, read.0, &read.1);
    }
    check_error(world.resource_policy(ARN).await, "NotFound(Resource", NONE);
}

#[tokio::test]
async fn what_is_no_policy_is_refused() {
    let world = world().await;
    world.put_resource_policy(put(ARN, &document("whole"))).await.unwrap();
    let long = document(&"é".repeat(10_200));
    let size = format!("The final policy size ({}) is bigger than the limit (20480).", long.len());
    for (policy, variant, text) in [
        ("{}", "Policy(Grammar(Syntax", "Syntax errors in policy."),
        (&document("x").replace("Action", "Act"), "Policy(Grammar(Syntax", "Syntax errors in policy."),
        (
            &document("x").replace(r#"["lambda:InvokeFunction"]"#, "[]"),
            "Policy(Grammar(NoAction",
            "Policy statement must contain actions.",
        ),
        (&long, "Policy(Length", &size),
    ] {
        check_error(world.put_resource_policy(put(ARN, policy)).await, variant, text);
    }
    assert_eq!(world.resource_policy(ARN).await.unwrap()["Policy"], document("whole"));
}
