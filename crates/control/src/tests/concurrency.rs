//! Reserved concurrency. Texts as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaReservedConcurrency`.

use firelet_api::model;
use firelet_types::Region;
use serde_json::{Value, json};

use super::harness::{World, answer, check, check_error, request};
use crate::{Error, Quotas};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const QUALIFIED: &str = "This operation is permitted on Lambda functions only. Aliases and versions do not support \
                         this operation. Please specify either a function name or an unqualified function ARN.";

impl World {
    async fn reserve(&self, name: &str, executions: i32) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name, "ReservedConcurrentExecutions": executions }));
        self.control.put_function_concurrency(&self.scope, request).await.map(answer)
    }

    async fn reserved(&self, name: &str) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name }));
        self.control.get_function_concurrency(&self.scope, request).await.map(answer)
    }

    async fn release(&self, name: &str) -> Result<(), Error> {
        let request = request(json!({ "FunctionName": name }));
        self.control.delete_function_concurrency(&self.scope, request).await
    }

    async fn unreserved(&self) -> Value {
        let request = model::GetAccountSettingsRequest {};
        let settings = answer(self.control.get_account_settings(&self.scope, request).await.unwrap());
        settings["AccountLimit"]["UnreservedConcurrentExecutions"].clone()
    }
}

#[tokio::test]
async fn a_reservation_is_kept_replaced_and_removed() {
    let world = World::new().with_function("echo").await;
    assert_eq!(world.reserved("echo").await.unwrap(), json!({}));
    check(&world.get_function("echo").await.unwrap(), &json!({ "Concurrency": null }));
    for executions in [10, 0, 900] {
        let expected = json!({ "ReservedConcurrentExecutions": executions });
        assert_eq!(world.reserve(ARN, executions).await.unwrap(), expected);
        assert_eq!(world.reserved("echo").await.unwrap(), expected);
        check(&world.get_function("echo").await.unwrap(), &json!({ "Concurrency": expected }));
        assert_eq!(world.unreserved().await, json!(1_000 - executions));
    }
    let world = world.restart();
    assert_eq!(world.unreserved().await, json!(100));
    world.release("echo").await.unwrap();
    world.release("echo").await.unwrap();
    assert_eq!(world.reserved(ARN).await.unwrap(), json!({}));
    assert_eq!(world.unreserved().await, json!(1_000));
}

#[tokio::test]
async fn something_is_left_for_functions_without_reservation() {
    for (limit, first, too_much, enough, minimum) in
        [(1_000, 400, 501, 500, 100), (101, 1, 1, 0, 100), (10, 0, 1, 0, 10)]
    {
        let world = World::with_quotas(Quotas { concurrent_executions: limit, ..Quotas::default() });
        let world = world.with_function("echo").await.with_function("other").await;
        world.reserve("echo", first).await.unwrap();
        let text = format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
             below its minimum value of [{minimum}]."
        );
        check_error(world.reserve("other", too_much).await, "Concurrency", &text);
        assert_eq!(world.reserved("other").await.unwrap(), json!({}));
        world.reserve("other", enough).await.unwrap();
        world.reserve("echo", first).await.unwrap();
    }
}

#[tokio::test]
async fn a_deleted_function_gives_its_reservation_back() {
    let world = World::new().with_function("echo").await;
    world.reserve("echo", 900).await.unwrap();
    world.delete("echo", None).await.unwrap();
    assert_eq!(world.unreserved().await, json!(1_000));
    let world = world.with_function("echo").await;
    assert_eq!(world.reserved("echo").await.unwrap(), json!({}));
}

#[tokio::test]
async fn only_whole_functions_have_reservations() {
    let world = World::new().with_function("echo").await;
    for qualified in ["echo:1", "echo:live", "echo:$LATEST", "none:1"] {
        check_error(world.reserve(qualified, 1).await, "InvalidParameter", QUALIFIED);
        check_error(world.reserved(qualified).await, "InvalidParameter", QUALIFIED);
        check_error(world.release(qualified).await, "InvalidParameter", QUALIFIED);
    }
}

#[tokio::test]
async fn a_missing_function_is_reported_with_latest() {
    let mut world = World::new().with_function("echo").await;
    let check_missing = async |world: &World, name: &str, arn: &str| {
        let text = format!("Function not found: {arn}:$LATEST");
        check_error(world.reserve(name, 1).await, "NotFound", &text);
        check_error(world.reserved(name).await, "NotFound", &text);
        check_error(world.release(name).await, "NotFound", &text);
    };
    let long = "a".repeat(65);
    for name in ["none", &long] {
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{name}");
        check_missing(&world, name, &arn).await;
    }
    world.scope.account = "111111111111".parse().unwrap();
    check_missing(&world, "echo", "arn:aws:lambda:us-east-1:111111111111:function:echo").await;
    world.scope.region = "eu-west-1".parse::<Region>().unwrap();
    check_missing(&world, "echo", "arn:aws:lambda:eu-west-1:111111111111:function:echo").await;
}
