//! Tags. Texts as recorded in localstack's `tests/aws/services/lambda_/test_lambda_api.snapshot.json`,
//! `TestLambdaTags`.

use serde_json::{Value, json};

use super::harness::{World, answer, check_error, request};
use crate::Error;

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";

impl World {
    pub(super) async fn tag(&self, resource: &str, tags: Value) -> Result<(), Error> {
        let request = request(json!({ "Resource": resource, "Tags": tags }));
        self.control.tag_resource(&self.scope, request).await
    }

    pub(super) async fn untag(&self, resource: &str, keys: &[&str]) -> Result<(), Error> {
        let request = request(json!({ "Resource": resource, "TagKeys": keys }));
        self.control.untag_resource(&self.scope, request).await
    }

    pub(super) async fn tags(&self, resource: &str) -> Result<Value, Error> {
        let request = request(json!({ "Resource": resource }));
        self.control.list_tags(&self.scope, request).await.map(|response| answer(response)["Tags"].clone())
    }

    async fn revision(&self) -> Value {
        self.get("echo", None).await.unwrap()["RevisionId"].clone()
    }
}

#[tokio::test]
async fn tags_are_added_replaced_and_removed() {
    let world = World::new();
    world.create(json!({ "FunctionName": "echo", "Tags": { "a": "1" } })).await.unwrap();
    assert_eq!(world.tags(ARN).await.unwrap(), json!({ "a": "1" }));
    world.tag(ARN, json!({ "a": "2", "b": "3" })).await.unwrap();
    assert_eq!(world.get_function("echo").await.unwrap()["Tags"], json!({ "a": "2", "b": "3" }));
    world.untag(ARN, &["a", "unknown"]).await.unwrap();
    assert_eq!(world.tags(ARN).await.unwrap(), json!({ "b": "3" }));
    let world = world.restart();
    assert_eq!(world.tags(ARN).await.unwrap(), json!({ "b": "3" }));
}

#[tokio::test]
async fn each_change_of_tags_is_a_new_revision() {
    let world = World::new().with_function("echo").await;
    let first = world.revision().await;
    world.tag(ARN, json!({ "a": "1" })).await.unwrap();
    let second = world.revision().await;
    world.tags(ARN).await.unwrap();
    assert_eq!(world.revision().await, second);
    world.untag(ARN, &["a"]).await.unwrap();
    let third = world.revision().await;
    assert!(first != second && second != third && first != third);
}

#[tokio::test]
async fn a_resource_has_50_tags_at_most() {
    let world = World::new();
    let tags = |count: usize| -> Value {
        (0..count)
            .map(|number| (format!("key{number}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let text = "Number of tags exceeds resource tag limit.";
    let result = world.create(json!({ "FunctionName": "echo", "Tags": tags(51) })).await;
    check_error(result, "InvalidParameter", text);
    world.create(json!({ "FunctionName": "echo", "Tags": tags(50) })).await.unwrap();
    check_error(world.tag(ARN, json!({ "one": "more" })).await, "InvalidParameter", text);
    world.tag(ARN, json!({ "key0": "other" })).await.unwrap();
}

#[tokio::test]
async fn only_functions_have_tags() {
    let world = World::new().with_function("echo").await;
    let qualified = format!("{ARN}:1");
    let text = "Tags on function aliases and versions are not supported. Please specify a function ARN.";
    check_error(world.tags(&qualified).await, "InvalidParameter", text);
    check_error(world.tag(&qualified, json!({ "a": "1" })).await, "InvalidParameter", text);
    check_error(world.untag(&qualified, &["a"]).await, "InvalidParameter", text);
    let text = "An error occurred and the request cannot be processed.";
    check_error(world.tag(ARN, json!({})).await, "InvalidParameter", text);
}

#[tokio::test]
async fn event_source_mappings_have_tags() {
    let world = World::new().with_function("echo").await;
    let members = json!({
        "FunctionName": "echo", "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q", "Tags": { "a": "1" },
    });
    let created = world.control.create_event_source_mapping(&world.scope, request(members)).await.unwrap();
    let arn = created.event_source_mapping_arn.unwrap();
    assert_eq!(world.tags(&arn).await.unwrap(), json!({ "a": "1" }));
    world.tag(&arn, json!({ "a": "2", "b": "3" })).await.unwrap();
    world.untag(&arn, &["a", "unknown"]).await.unwrap();
    let many: serde_json::Map<_, _> = (0..50).map(|number| (format!("k{number}"), json!("v"))).collect();
    let text = "Number of tags exceeds resource tag limit.";
    check_error(world.tag(&arn, many.into()).await, "InvalidParameter", text);
    let world = world.restart();
    assert_eq!(world.tags(&arn).await.unwrap(), json!({ "b": "3" }));
    let elsewhere = arn.replace("us-east-1", "eu-west-1");
    let text = format!("Event source mapping not found: {elsewhere}");
    check_error(world.tags(&elsewhere).await, "NotFound", &text);
}

#[tokio::test]
async fn what_is_not_there_has_no_tags() {
    let world = World::new();
    let check = async |resource: &str, text: &str| {
        let text = format!("{text}: {resource}");
        check_error(world.tags(resource).await, "NotFound", &text);
        check_error(world.tag(resource, json!({ "a": "1" })).await, "NotFound", &text);
        check_error(world.untag(resource, &["a"]).await, "NotFound", &text);
    };
    check(ARN, "Function not found").await;
    let mapping =
        "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:00000000-0000-0000-0000-000000000000";
    check(mapping, "Event source mapping not found").await;
    check("arn:aws:lambda:us-east-1:000000000000:capacity-provider:x", "Capacity provider not found").await;
}
