//! What can be configured, and in which words it is refused. Texts as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json` (`test_create_lambda_exceptions`,
//! `TestLambdaEnvironment`, `TestLambdaSizeLimits`), and, for reserved variables and memory, in public issue reports.

use serde_json::{Value, json};

use super::harness::{World, check, check_error};

const RUNTIMES: &str = "[nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java17, nodejs16.x, java25, dotnet8, python3.10, java11, python3.11, dotnet6, java21, nodejs18.x, provided.al2, ruby3.3, ruby3.4, java8.al2, ruby3.2, python3.8, python3.9]";

/// Checks that both CreateFunction and UpdateFunctionConfiguration refuse `member` in these words.
async fn check_refused(member: Value, variant: &str, text: &str) {
    let world = World::new().with_function("there").await;
    let mut creation = member.clone();
    creation["FunctionName"] = json!("new");
    check_error(world.create(creation).await, variant, text);
    let mut update = member;
    update["FunctionName"] = json!("there");
    check_error(world.configure(update).await, variant, text);
}

/// Applies updates one after the other and checks what the last one left.
async fn check_updates(updates: &[Value], expected: &Value) {
    let world = World::new().with_function("echo").await;
    for update in updates {
        let mut update = update.clone();
        update["FunctionName"] = json!("echo");
        world.configure(update).await.unwrap();
        world.control.settle().await.unwrap();
    }
    check(&world.get("echo", None).await.unwrap(), expected);
}

#[tokio::test]
async fn runtimes_are_known_and_current() {
    let text = format!(
        "Value non-existent-runtime at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \
         {RUNTIMES} or be a valid ARN"
    );
    check_refused(json!({ "Runtime": "non-existent-runtime" }), "InvalidParameter", &text).await;
    let text = "The runtime parameter of nodejs14.x is no longer supported for creating or updating AWS Lambda \
                functions. We recommend you use a supported runtime while creating or updating functions.";
    check_refused(json!({ "Runtime": "nodejs14.x" }), "InvalidParameter", text).await;
}

#[tokio::test]
async fn a_zip_needs_a_runtime_and_a_handler() {
    let text = "Runtime and Handler are mandatory parameters for functions created with deployment packages.";
    let world = World::new();
    for member in ["Runtime", "Handler"] {
        let result = world.create(json!({ "FunctionName": "echo", member: null })).await;
        check_error(result, "InvalidParameter", text);
    }
}

#[tokio::test]
async fn the_environment_is_small_and_not_reserved() {
    let text = "Lambda was unable to configure your environment variables because the environment variables you have \
                provided contains reserved keys that are currently not supported for modification. Reserved keys \
                used in this request: AWS_REGION, AWS_SESSION_TOKEN";
    let variables = json!({ "AWS_SESSION_TOKEN": "x", "KEY": "x", "AWS_REGION": "x" });
    check_refused(json!({ "Environment": { "Variables": variables } }), "InvalidParameter", text).await;

    let world = World::new();
    // {"LARGE":"..."} is 12 bytes and the value.
    for (length, fits) in [(4_096 - 12, true), (4_096 - 11, false)] {
        let value = "x".repeat(length);
        let environment = json!({ "Variables": { "LARGE": value } });
        let result = world.create(json!({ "FunctionName": "echo", "Environment": environment })).await;
        if fits {
            result.unwrap();
        } else {
            let text = format!(
                "Lambda was unable to configure your environment variables because the environment variables you \
                 have provided exceeded the 4KB limit. String measured: {{\"LARGE\":\"{value}\"}}"
            );
            check_error(result, "InvalidParameter", &text);
        }
    }
}

#[tokio::test]
async fn bounds_are_those_of_ordinary_functions() {
    let text =
        "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240";
    check_refused(json!({ "MemorySize": 10_241 }), "InvalidParameter", text).await;
    let text = "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have \
                value less than or equal to 900";
    check_refused(json!({ "Timeout": 901 }), "Validation", text).await;
    let text = "1 validation error detected: Value '10241' at 'ephemeralStorage.size' failed to satisfy constraint: \
                Member must have value less than or equal to 10240";
    check_refused(json!({ "EphemeralStorage": { "Size": 10_241 } }), "Validation", text).await;
}

#[tokio::test]
async fn snapshots_need_a_runtime_that_has_them() {
    let text = "nodejs20.x is not supported for SnapStart enabled functions.";
    let member = json!({ "Runtime": "nodejs20.x", "SnapStart": { "ApplyOn": "PublishedVersions" } });
    check_refused(member, "Configuration(SnapStart", text).await;
}

#[tokio::test]
async fn a_missing_code_signing_configuration_is_named() {
    let world = World::new();
    let arn = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000";
    let text = format!(
        "The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
    );
    let result = world.create(json!({ "FunctionName": "echo", "CodeSigningConfigArn": arn })).await;
    check_error(result, "CodeSigning(ConfigMissing", &text);
}

#[tokio::test]
async fn the_environment_tells_never_set_from_empty() {
    check_updates(&[], &json!({ "Environment": null })).await;
    check_updates(
        &[json!({ "Environment": { "Variables": {} } })],
        &json!({ "Environment": { "Variables": {} } }),
    )
    .await;
    check_updates(
        &[json!({ "Environment": { "Variables": { "KEY": "v" } } }), json!({ "Timeout": 4 })],
        &json!({ "Environment": { "Variables": { "KEY": "v" } }, "Timeout": 4 }),
    )
    .await;
}

#[tokio::test]
async fn levels_do_not_go_with_text() {
    let text = "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or change \
                the LogFormat to \"Json\" and try again.";
    for logging in [
        json!({ "LogFormat": "Text", "ApplicationLogLevel": "INFO" }),
        json!({ "LogFormat": "Text", "SystemLogLevel": "WARN" }),
        json!({ "SystemLogLevel": "WARN" }),
    ] {
        check_refused(json!({ "LoggingConfig": logging }), "Configuration(LogLevelOfText", text).await;
    }
}

#[tokio::test]
async fn logging_is_merged_and_levels_go_with_json() {
    let json_logging = json!({ "LoggingConfig": { "LogFormat": "JSON" } });
    check_updates(
        std::slice::from_ref(&json_logging),
        &json!({ "LoggingConfig": {
            "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO",
            "LogGroup": "/aws/lambda/echo",
        } }),
    )
    .await;
    check_updates(
        &[
            json_logging.clone(),
            json!({ "LoggingConfig": { "ApplicationLogLevel": "TRACE" } }),
            json!({ "LoggingConfig": { "LogGroup": "mine" } }),
        ],
        &json!({ "LoggingConfig": {
            "LogFormat": "JSON", "ApplicationLogLevel": "TRACE", "SystemLogLevel": "INFO", "LogGroup": "mine",
        } }),
    )
    .await;
    check_updates(
        &[json_logging, json!({ "LoggingConfig": { "LogFormat": "Text" } })],
        &json!({ "LoggingConfig": { "LogFormat": "Text", "LogGroup": "/aws/lambda/echo" } }),
    )
    .await;
}

#[tokio::test]
async fn other_settings_read_back_as_they_were_set() {
    let network = json!({ "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] });
    check_updates(
        &[json!({
            "Description": "words",
            "Handler": "other.handler",
            "Role": "arn:aws:iam::000000000000:role/other",
            "Runtime": "python3.13",
            "MemorySize": 10_240,
            "Timeout": 900,
            "EphemeralStorage": { "Size": 10_240 },
            "TracingConfig": { "Mode": "Active" },
            "DeadLetterConfig": { "TargetArn": "arn:aws:sqs:us-east-1:000000000000:q" },
            "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
            "VpcConfig": network,
        })],
        &json!({
            "Description": "words",
            "Handler": "other.handler",
            "Role": "arn:aws:iam::000000000000:role/other",
            "Runtime": "python3.13",
            "MemorySize": 10_240,
            "Timeout": 900,
            "EphemeralStorage": { "Size": 10_240 },
            "TracingConfig": { "Mode": "Active" },
            "DeadLetterConfig": { "TargetArn": "arn:aws:sqs:us-east-1:000000000000:q" },
            "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
            "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
            "VpcConfig": {
                "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"], "VpcId": "", "Ipv6AllowedForDualStack": false,
            },
        }),
    )
    .await;
}

#[tokio::test]
async fn empty_texts_and_lists_clear() {
    let set = json!({
        "DeadLetterConfig": { "TargetArn": "arn:aws:sqs:us-east-1:000000000000:q" },
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "VpcConfig": { "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] },
        "Description": "words",
    });
    let clear = json!({
        "DeadLetterConfig": { "TargetArn": "" },
        "KMSKeyArn": "",
        "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [] },
        "Description": "",
        "Layers": [],
    });
    check_updates(
        &[set, clear],
        &json!({
            "DeadLetterConfig": null,
            "KMSKeyArn": null,
            "VpcConfig": {
                "SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": false,
            },
            "Description": "",
        }),
    )
    .await;
}
