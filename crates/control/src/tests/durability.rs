//! Durable functions: their settings, and what follows from them. That a function becomes durable only when it is created
//! is in <https://docs.aws.amazon.com/lambda/latest/dg/durable-configuration.html>; the text for a missing timeout is in
//! <https://github.com/aws/aws-extensions-for-dotnet-cli/pull/450>; other texts and defaults are those of floci-io/floci,
//! `LambdaDurableConfigIntegrationTest`.

use serde_json::{Value, json};

use super::harness::{World, check, check_error};

const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/k";

async fn create(world: &World, config: Value) -> Value {
    let created = world.create(json!({ "FunctionName": "echo", "DurableConfig": config })).await.unwrap();
    world.control.settle().await.unwrap();
    created
}

#[tokio::test]
async fn a_durable_function_starts_from_values_of_its_own() {
    for (execution_timeout, timeout) in [(60, 60), (900, 900), (31_622_400, 900)] {
        let created = create(&World::new(), json!({ "ExecutionTimeout": execution_timeout })).await;
        check(
            &created,
            &json!({
                "DurableConfig": { "ExecutionTimeout": execution_timeout, "RetentionPeriodInDays": 14 },
                "Timeout": timeout,
                "LoggingConfig": {
                    "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO",
                    "LogGroup": "/aws/lambda/echo",
                },
            }),
        );
    }
    let world = World::new().with_function("plain").await;
    check(&world.get("plain", None).await.unwrap(), &json!({ "DurableConfig": null, "Timeout": 3 }));
}

#[tokio::test]
async fn durable_settings_are_merged_and_published() {
    let world = World::new();
    create(&world, json!({ "ExecutionTimeout": 60, "RetentionPeriodInDays": 7, "KMSKeyArn": KEY })).await;
    let before = json!({ "ExecutionTimeout": 60, "RetentionPeriodInDays": 7, "KMSKeyArn": KEY });
    check(
        &world.publish(json!({ "FunctionName": "echo" })).await.unwrap(),
        &json!({ "DurableConfig": before }),
    );
    for (change, expected) in [
        (json!({}), before.clone()),
        (
            json!({ "RetentionPeriodInDays": 90 }),
            json!({ "ExecutionTimeout": 60, "RetentionPeriodInDays": 90, "KMSKeyArn": KEY }),
        ),
        (
            json!({ "ExecutionTimeout": 5, "KMSKeyArn": "" }),
            json!({ "ExecutionTimeout": 5, "RetentionPeriodInDays": 90 }),
        ),
    ] {
        let update = json!({ "FunctionName": "echo", "DurableConfig": change });
        check(&world.configure(update).await.unwrap(), &json!({ "DurableConfig": expected }));
        world.control.settle().await.unwrap();
    }
    let world = world.restart();
    check(&world.get("echo", Some("1")).await.unwrap(), &json!({ "DurableConfig": before }));
}

#[tokio::test]
async fn a_function_is_durable_from_the_start_and_for_some_time() {
    let world = World::new().with_function("plain").await;
    let text = "You cannot create a function with a durable configuration without an executionTimeout";
    for config in [json!({}), json!({ "RetentionPeriodInDays": 7 })] {
        let result = world.create(json!({ "FunctionName": "echo", "DurableConfig": config })).await;
        check_error(result, "Configuration(DurableWithoutTimeout", text);
    }
    let text = "You cannot add a durable configuration to a function that was originally created with no durable \
                configuration";
    let update = json!({ "FunctionName": "plain", "DurableConfig": { "ExecutionTimeout": 60 } });
    check_error(world.configure(update).await, "Configuration(DurableTooLate", text);
}

#[tokio::test]
async fn durable_functions_log_json() {
    let world = World::new();
    let durable = json!({ "ExecutionTimeout": 60 });
    let text = "You cannot use plain text logs with a durable function. Only JSON format logs are supported";
    let logging = json!({ "LogFormat": "Text" });
    let creation = json!({ "FunctionName": "echo", "DurableConfig": durable, "LoggingConfig": logging });
    check_error(world.create(creation).await, "Configuration(DurableTextLogs", text);
    create(&world, durable).await;
    let update = json!({ "FunctionName": "echo", "LoggingConfig": logging });
    check_error(world.configure(update).await, "Configuration(DurableTextLogs", text);
}
