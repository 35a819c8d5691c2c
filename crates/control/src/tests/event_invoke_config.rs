//! Configurations of asynchronous invocations. Recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaEventInvokeConfig`.

use serde_json::{Value, json};

use super::harness::{World, check, check_error};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:queue";

/// A function `echo` with version 1 and the alias `live`, and a function `other`.
async fn world() -> World {
    let world = World::new().with_function("echo").await.with_function("other").await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    world
        .create_alias(json!({ "FunctionName": "echo", "Name": "live", "FunctionVersion": "1" }))
        .await
        .unwrap();
    world
}

fn echo(members: &Value) -> Value {
    let mut request = json!({ "FunctionName": "echo" });
    request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    request
}

#[tokio::test]
async fn a_put_replaces_and_an_update_merges() {
    let world = world().await;
    let put = world
        .put_event_invoke_config(echo(&json!({
            "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60,
            "DestinationConfig": { "OnFailure": { "Destination": QUEUE } },
        })))
        .await
        .unwrap();
    let destinations = json!({ "OnSuccess": {}, "OnFailure": { "Destination": QUEUE } });
    check(
        &put,
        &json!({
            "FunctionArn": format!("{ARN}:$LATEST"), "LastModified": 1_700_000_000.123,
            "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60, "DestinationConfig": destinations,
        }),
    );
    let updated =
        world.update_event_invoke_config(echo(&json!({ "MaximumRetryAttempts": 1 }))).await.unwrap();
    check(
        &updated,
        &json!({ "MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60, "DestinationConfig": destinations }),
    );
    let put = world.put_event_invoke_config(echo(&json!({ "MaximumRetryAttempts": 2 }))).await.unwrap();
    check(
        &put,
        &json!({
            "MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": null,
            "DestinationConfig": { "OnSuccess": {}, "OnFailure": {} },
        }),
    );
    let world = world.restart();
    assert_eq!(world.get_event_invoke_config(echo(&json!({}))).await.unwrap(), put);
}

#[tokio::test]
async fn each_qualifier_has_its_own() {
    let world = world().await;
    for (qualifier, attempts) in [(None, 0), (Some("1"), 1), (Some("live"), 2)] {
        let request = echo(&json!({ "Qualifier": qualifier, "MaximumRetryAttempts": attempts }));
        world.put_event_invoke_config(request).await.unwrap();
    }
    let list = world.list_event_invoke_configs(echo(&json!({ "MaxItems": 2 }))).await.unwrap();
    let arns = |list: &Value| -> Vec<String> {
        let configs = list["FunctionEventInvokeConfigs"].as_array().unwrap();
        configs.iter().map(|config| config["FunctionArn"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(arns(&list), [format!("{ARN}:$LATEST"), format!("{ARN}:1")]);
    let rest = echo(&json!({ "Marker": list["NextMarker"] }));
    assert_eq!(arns(&world.list_event_invoke_configs(rest).await.unwrap()), [format!("{ARN}:live")]);
    world.delete_alias("echo", "live").await.unwrap();
    world.delete_event_invoke_config(echo(&json!({}))).await.unwrap();
    let left = world.list_event_invoke_configs(echo(&json!({}))).await.unwrap();
    assert_eq!(arns(&left), [format!("{ARN}:1")]);
}

#[tokio::test]
async fn what_is_not_there_is_named_in_the_words_of_its_operation() {
    let world = world().await;
    let none = |qualifier: &str| format!("The function {ARN}:{qualifier} doesn't have an EventInvokeConfig");
    let attempts =
        |qualifier: Option<&str>| echo(&json!({ "Qualifier": qualifier, "MaximumRetryAttempts": 1 }));
    let absent = "The function doesn't exist.";
    let nothing = json!({ "FunctionName": "nothing", "MaximumRetryAttempts": 1 });
    check_error(world.put_event_invoke_config(nothing.clone()).await, "NotFound(ConfiguredFunction", absent);
    check_error(world.update_event_invoke_config(nothing).await, "NotFound(ConfiguredFunction", absent);
    for qualifier in ["9", "none"] {
        let put = world.put_event_invoke_config(attempts(Some(qualifier))).await;
        check_error(put, "NotFound(ConfiguredFunction", absent);
    }
    let update = world.update_event_invoke_config(attempts(None)).await;
    check_error(update, "NotFound(EventInvokeConfig", &none("$LATEST"));
    let get = world.get_event_invoke_config(echo(&json!({ "Qualifier": "live" }))).await;
    check_error(get, "NotFound(EventInvokeConfig", &none("live"));
    let delete = world.delete_event_invoke_config(echo(&json!({}))).await;
    check_error(delete, "NotFound(EventInvokeConfig", &none("$LATEST"));
    let list = world.list_event_invoke_configs(json!({ "FunctionName": "nothing" })).await;
    check_error(list, "NotFound(ConfiguredFunction", absent);
}

#[tokio::test]
async fn destinations_must_be_able_to_take_results() {
    let world = world().await;
    let other = "arn:aws:lambda:us-east-1:000000000000:function:other";
    let bucket = "arn:aws:s3:::bucket";
    let wrong = "arn:aws:iam::000000000000:role/r";
    for (success, failure, expected) in [
        (Some(other), Some(QUEUE), Ok(())),
        (None, Some(bucket), Ok(())),
        (
            Some(ARN),
            None,
            Err((
                "DestinationOfItself",
                "You can't specify the function as a destination for itself.".to_owned(),
            )),
        ),
        (
            Some("arn:aws:lambda:us-east-1:000000000000:function:gone"),
            None,
            Err((
                "DestinationArn",
                "The destination ARN arn:aws:lambda:us-east-1:000000000000:function:gone is invalid."
                    .to_owned(),
            )),
        ),
        (
            Some(wrong),
            None,
            Err((
                "DestinationConfig",
                format!(
                    "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination={wrong}), \
                     onFailure=null) is invalid."
                ),
            )),
        ),
        (
            Some(QUEUE),
            Some(wrong),
            Err((
                "DestinationConfig",
                format!(
                    "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination={QUEUE}), \
                     onFailure=OnFailure(destination={wrong})) is invalid."
                ),
            )),
        ),
    ] {
        let config =
            json!({ "OnSuccess": { "Destination": success }, "OnFailure": { "Destination": failure } });
        let put = world.put_event_invoke_config(echo(&json!({ "DestinationConfig": config }))).await;
        match expected {
            Ok(()) => {
                let put = put.unwrap();
                assert_eq!(put["DestinationConfig"]["OnFailure"]["Destination"], json!(failure));
            }
            Err((variant, text)) => check_error(put, &format!("InvalidParameter({variant}"), &text),
        }
    }
    let nothing = world.put_event_invoke_config(echo(&json!({}))).await;
    let text = "You must specify at least one of error handling or destination setting.";
    check_error(nothing, "InvalidParameter(NothingConfigured", text);
}
