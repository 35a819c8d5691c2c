//! Functions on capacity providers, `$LATEST.PUBLISHED` and scaling. Texts as quoted from AWS: about the network in
//! <https://github.com/neosun100/my-mkdocs-template> ("Lambda S3 Files", step 7); about memory and about functions made
//! without a provider in <https://github.com/nsb413/kiro-lambda-managed-instance>, `LESSONS_LEARNED.md`; about log levels
//! and states as in localstack's `localstack/services/lambda_/provider.py`. What is shown of a new function as in
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-version-publishing.html>. The texts about
//! runtimes, SnapStart, scaling bounds, limits and `PublishTo` follow those of their neighbours; none was found.

use serde_json::{Value, json};

use super::harness::{World, answer, check, check_error, encoded, package, request};
use crate::Error;

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:capacity-provider:";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:";

impl World {
    async fn with_provider() -> Self {
        let world = Self::new();
        world.create_provider(json!({})).await.unwrap();
        world.control.settle().await.unwrap();
        world
    }

    /// A function on the provider `pool`.
    async fn create_managed(&self, members: Value) -> Result<Value, Error> {
        let mut whole = json!({ "FunctionName": "managed", "Runtime": "python3.13", "CapacityProviderConfig": on("pool") });
        whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let created = self.create(whole).await;
        self.control.settle().await?;
        created
    }

    async fn scale(&self, name: &str, qualifier: &str, config: Value) -> Result<Value, Error> {
        let mut members = json!({ "FunctionName": name, "Qualifier": qualifier });
        if !config.is_null() {
            members["FunctionScalingConfig"] = config;
        }
        self.control.put_function_scaling_config(&self.scope, request(members)).await.map(answer)
    }

    async fn scaling(&self, name: &str, qualifier: &str) -> Result<Value, Error> {
        let members = json!({ "FunctionName": name, "Qualifier": qualifier });
        self.control.get_function_scaling_config(&self.scope, request(members)).await.map(answer)
    }
}

fn on(provider: &str) -> Value {
    on_with(json!({ "CapacityProviderArn": format!("{ARN}{provider}") }))
}

fn on_with(config: impl Into<Value>) -> Value {
    let config: Value = config.into();
    json!({ "LambdaManagedInstancesCapacityProviderConfig": config })
}

fn shown(concurrency: i32, memory: f64) -> Value {
    on_with(json!({
        "CapacityProviderArn": format!("{ARN}pool"),
        "PerExecutionEnvironmentMaxConcurrency": concurrency,
        "ExecutionEnvironmentMemoryGiBPerVCpu": memory,
    }))
}

#[tokio::test]
async fn a_function_on_a_provider_has_defaults_of_its_own_and_is_not_invocable() {
    let world = World::with_provider().await;
    let created = world.create_managed(json!({})).await.unwrap();
    let logging = json!({
        "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO",
        "LogGroup": "/aws/lambda/managed",
    });
    let expected = json!({
        "State": "Pending", "MemorySize": 2048, "SnapStart": null, "LoggingConfig": logging,
        "CapacityProviderConfig": shown(16, 2.0),
    });
    check(&created, &expected);
    let expected =
        json!({ "State": "ActiveNonInvocable", "LastUpdateStatus": "Successful", "StateReason": null });
    check(&world.get("managed", None).await.unwrap(), &expected);
}

#[tokio::test]
async fn concurrency_and_memory_follow_the_request_or_the_runtime() {
    let config = |concurrency: Value, memory: Value| {
        let mut config = json!({ "CapacityProviderArn": format!("{ARN}pool") });
        for (member, value) in [
            ("PerExecutionEnvironmentMaxConcurrency", concurrency),
            ("ExecutionEnvironmentMemoryGiBPerVCpu", memory),
        ] {
            if !value.is_null() {
                config[member] = value;
            }
        }
        on_with(config)
    };
    for (runtime, memory, config, expected) in [
        ("nodejs22.x", 2048, config(json!(null), json!(null)), shown(64, 2.0)),
        ("provided.al2023", 8192, config(json!(null), json!(null)), shown(32, 2.0)),
        ("provided.al2023", 8192, config(json!(null), json!(4.0)), shown(16, 4.0)),
        ("python3.14", 2048, config(json!(1), json!(3.5)), shown(1, 3.5)),
    ] {
        let world = World::with_provider().await;
        let members = json!({ "Runtime": runtime, "MemorySize": memory, "CapacityProviderConfig": config });
        let created = world.create_managed(members).await.unwrap();
        assert_eq!(created["CapacityProviderConfig"], expected, "{runtime} {memory}");
    }
}

#[tokio::test]
async fn more_memory_and_time_come_only_with_a_provider() {
    let world = World::with_provider().await;
    let most = json!({ "MemorySize": 32_768, "Timeout": 5_400 });
    check(&world.create_managed(most.clone()).await.unwrap(), &most);
    for (members, variant, text) in [
        (
            json!({ "MemorySize": 10_241 }),
            "InvalidParameter(MemorySize",
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
        ),
        (
            json!({ "Timeout": 901 }),
            "Validation",
            "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have \
             value less than or equal to 900",
        ),
    ] {
        let mut members = members.clone();
        members["FunctionName"] = json!("plain");
        check_error(world.create(members).await, variant, text);
    }
}

#[tokio::test]
async fn what_cannot_be_on_a_provider_is_refused() {
    let world = World::with_provider().await;
    let missing = format!("Capacity provider not found: {ARN}none");
    let text = "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or change \
                the LogFormat to \"JSON\" and try again.";
    for (members, variant, text) in [
        (
            json!({ "VpcConfig": { "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] } }),
            "CapacityProvider(Network",
            "You can't use Lambda Managed Instance functions with VPC configurations.",
        ),
        (
            json!({ "MemorySize": 2047 }),
            "CapacityProvider(MemoryMinimum",
            "Lambda Managed Instance functions must have memory size greater than or equal to 2048",
        ),
        (json!({ "LoggingConfig": { "LogFormat": "Text" } }), "CapacityProvider(LogText", text),
        (
            json!({ "Runtime": "python3.12" }),
            "CapacityProvider(Runtime",
            "python3.12 is not supported for Lambda Managed Instance functions.",
        ),
        (
            json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } }),
            "CapacityProvider(SnapStart",
            "SnapStart is not supported for Lambda Managed Instance functions.",
        ),
        (json!({ "CapacityProviderConfig": on("none") }), "NotFound(CapacityProvider", &missing),
        (
            json!({ "CapacityProviderConfig": on_with(json!({
                "CapacityProviderArn": "arn:aws:lambda:us-east-1:123456789012:capacity-provider:pool",
            })) }),
            "OtherAccount",
            "null",
        ),
    ] {
        check_error(world.create_managed(members).await, variant, text);
    }
}

#[tokio::test]
async fn a_function_stays_on_providers_or_off_them() {
    let world = World::with_provider().await;
    world.create_provider(json!({ "CapacityProviderName": "other" })).await.unwrap();
    world.create(json!({ "FunctionName": "plain" })).await.unwrap();
    world.create_managed(json!({})).await.unwrap();
    let moved = world
        .configure(json!({ "FunctionName": "plain", "CapacityProviderConfig": on("pool"),
        "MemorySize": 2048, "Runtime": "python3.13", "LoggingConfig": { "LogFormat": "JSON" } }))
        .await;
    let text = "CapacityProviderConfig isn't supported for Lambda Default functions.";
    check_error(moved, "CapacityProvider(DefaultFunction", text);
    let change = on_with(json!({ "CapacityProviderArn": format!("{ARN}other"),
        "PerExecutionEnvironmentMaxConcurrency": 5 }));
    let moved = world
        .configure(json!({ "FunctionName": "managed", "CapacityProviderConfig": change }))
        .await
        .unwrap();
    check(&moved, &json!({ "State": "ActiveNonInvocable", "LastUpdateStatus": "InProgress" }));
    let config = &moved["CapacityProviderConfig"]["LambdaManagedInstancesCapacityProviderConfig"];
    check(
        config,
        &json!({ "CapacityProviderArn": format!("{ARN}other"), "PerExecutionEnvironmentMaxConcurrency": 5 }),
    );
    world.control.settle().await.unwrap();
    check(&world.get("managed", None).await.unwrap(), &json!({ "State": "ActiveNonInvocable" }));
    world.delete_provider("pool").await.unwrap();
}

#[tokio::test]
async fn latest_published_is_published_again_in_its_place() {
    let world = World::with_provider().await;
    world.create_managed(json!({})).await.unwrap();
    let to_latest = json!({ "FunctionName": "managed", "PublishTo": "LATEST_PUBLISHED" });
    let first = world.publish(to_latest.clone()).await.unwrap();
    let expected = json!({
        "FunctionArn": format!("{FUNCTION}managed:$LATEST.PUBLISHED"), "Version": "$LATEST.PUBLISHED",
        "State": "Pending", "StateReasonCode": "Creating", "LastUpdateStatus": "InProgress",
    });
    check(&first, &expected);
    let found = world.get("managed", Some("$LATEST.PUBLISHED")).await.unwrap();
    check(&found, &json!({ "State": "Active", "LastUpdateStatus": "Successful", "Description": "" }));
    world.configure(json!({ "FunctionName": "managed", "Description": "second" })).await.unwrap();
    world.control.settle().await.unwrap();
    let again = world.publish(to_latest).await.unwrap();
    let expected = json!({
        "State": "Active", "LastUpdateStatus": "InProgress", "Description": "second",
        "LastUpdateStatusReason": "The function is being updated.",
    });
    check(&again, &expected);
    world.publish(json!({ "FunctionName": "managed" })).await.unwrap();
    let listed = world.list_versions(json!({ "FunctionName": "managed" })).await.unwrap();
    let versions: Vec<&Value> =
        listed["Versions"].as_array().unwrap().iter().map(|of| &of["Version"]).collect();
    assert_eq!(versions, ["$LATEST.PUBLISHED", "$LATEST", "1"]);
    world.delete("managed", Some("$LATEST.PUBLISHED")).await.unwrap();
    let text = format!("Function not found: {FUNCTION}managed:$LATEST.PUBLISHED");
    check_error(world.get("managed", Some("$LATEST.PUBLISHED")).await, "NotFound(Function", &text);
}

#[tokio::test]
async fn creation_and_new_code_publish_where_they_are_asked_to() {
    let world = World::with_provider().await;
    let to_latest = json!({ "Publish": true, "PublishTo": "LATEST_PUBLISHED" });
    let created = world.create_managed(to_latest.clone()).await.unwrap();
    check(&created, &json!({ "FunctionArn": format!("{FUNCTION}managed"), "Version": "$LATEST.PUBLISHED" }));
    let mut update = json!({ "FunctionName": "managed", "ZipFile": encoded(&package("app.py", b"2")) });
    update.as_object_mut().unwrap().extend(to_latest.as_object().unwrap().clone());
    let updated = world.update_code(update).await.unwrap();
    check(
        &updated,
        &json!({ "FunctionArn": format!("{FUNCTION}managed:$LATEST.PUBLISHED"), "State": "Active" }),
    );
    world.control.settle().await.unwrap();
    let text = "LATEST_PUBLISHED isn't a valid value for this field.";
    let mut plain = to_latest;
    plain["FunctionName"] = json!("plain");
    check_error(world.create(plain).await, "CapacityProvider(PublishTo", text);
}

#[tokio::test]
async fn a_provider_with_versions_is_listed_and_not_deleted() {
    let world = World::with_provider().await;
    world.create_managed(json!({ "Publish": true })).await.unwrap();
    let in_use = |versions: &str| {
        format!(
            "Unable to delete capacity provider because the following function versions reference it: [{versions}]"
        )
    };
    let text = in_use(&format!("{FUNCTION}managed:$LATEST, {FUNCTION}managed:1"));
    check_error(world.delete_provider("pool").await, "CapacityProvider(InUse", &text);
    world.publish(json!({ "FunctionName": "managed", "PublishTo": "LATEST_PUBLISHED" })).await.unwrap();
    let first = world.list_provided("pool", json!({ "MaxItems": 1 })).await.unwrap();
    let item = |qualifier: &str| json!({ "FunctionArn": format!("{FUNCTION}managed:{qualifier}"), "State": "Active" });
    assert_eq!(first["FunctionVersions"], json!([item("$LATEST.PUBLISHED")]));
    let rest = world.list_provided("pool", json!({ "Marker": first["NextMarker"] })).await.unwrap();
    assert_eq!((&rest["FunctionVersions"], &rest["NextMarker"]), (&json!([item("1")]), &Value::Null));
    world.delete("managed", None).await.unwrap();
    world.delete_provider("pool").await.unwrap();
}

#[tokio::test]
async fn a_provider_takes_a_hundred_published_versions() {
    let world = World::with_provider().await;
    world.create_managed(json!({})).await.unwrap();
    for number in 1..=101 {
        let description = number.to_string();
        let change = json!({ "FunctionName": "managed", "Timeout": number, "Description": description });
        world.configure(change).await.unwrap();
        world.control.settle().await.unwrap();
        let published = world.publish(json!({ "FunctionName": "managed" })).await;
        if number <= 100 {
            assert_eq!(published.unwrap()["Version"], json!(description));
        } else {
            let text = "Function versions per capacity provider limit exceeded.";
            check_error(published, "CapacityProvider(VersionLimit", text);
        }
    }
    world.delete("managed", Some("1")).await.unwrap();
    world.publish(json!({ "FunctionName": "managed" })).await.unwrap();
}

#[tokio::test]
async fn scaling_is_kept_with_its_version() {
    let world = World::with_provider().await;
    world.create_managed(json!({ "Publish": true })).await.unwrap();
    let unset = json!({
        "FunctionArn": format!("{FUNCTION}managed:1"),
        "AppliedFunctionScalingConfig": { "MinExecutionEnvironments": 3 },
    });
    assert_eq!(world.scaling("managed", "1").await.unwrap(), unset);
    for (config, expected) in [
        (json!({ "MinExecutionEnvironments": 5 }), json!({ "MinExecutionEnvironments": 5 })),
        (
            json!({ "MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 1 }),
            json!({ "MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 1 }),
        ),
    ] {
        assert_eq!(world.scale("managed", "1", config).await.unwrap(), json!({ "FunctionState": "Active" }));
        let found = world.scaling("managed", "1").await.unwrap();
        check(
            &found,
            &json!({ "RequestedFunctionScalingConfig": expected, "AppliedFunctionScalingConfig": expected }),
        );
    }
    world.scale("managed", "1", json!(null)).await.unwrap();
    assert_eq!(world.scaling("managed", "1").await.unwrap(), unset);
}

#[tokio::test]
async fn a_version_without_environments_is_out_of_service() {
    let world = World::with_provider().await;
    world.create_managed(json!({ "Publish": true })).await.unwrap();
    let none = json!({ "MinExecutionEnvironments": 0, "MaxExecutionEnvironments": 0 });
    let some = json!({ "MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 2 });
    for (config, through, rest) in [
        (none.clone(), "Deactivating", "Deactivated"),
        (none, "Deactivated", "Deactivated"),
        (some, "Pending", "Active"),
    ] {
        let put = world.scale("managed", "1", config).await.unwrap();
        assert_eq!(put, json!({ "FunctionState": through }));
        world.control.settle().await.unwrap();
        check(
            &world.get("managed", Some("1")).await.unwrap(),
            &json!({ "State": rest, "StateReason": null }),
        );
    }
}

#[tokio::test]
async fn scaling_that_cannot_be_is_refused() {
    let world = World::with_provider().await.with_function("plain").await;
    world.publish(json!({ "FunctionName": "plain" })).await.unwrap();
    world.create_managed(json!({ "Publish": true })).await.unwrap();
    let missing = |name: &str, qualifier: &str| format!("Function not found: {FUNCTION}{name}:{qualifier}");
    let plain = "FunctionScalingConfig isn't supported for Lambda Default functions.";
    for (name, qualifier, variant, text) in [
        ("plain", "1", "CapacityProvider(DefaultFunctionScaling", plain.to_owned()),
        ("managed", "2", "NotFound(Function", missing("managed", "2")),
        ("managed", "$LATEST.PUBLISHED", "NotFound(Function", missing("managed", "$LATEST.PUBLISHED")),
        ("none", "1", "NotFound(Function", missing("none", "1")),
    ] {
        check_error(world.scaling(name, qualifier).await, variant, &text);
        check_error(world.scale(name, qualifier, json!({})).await, variant, &text);
    }
    let bounds = json!({ "MinExecutionEnvironments": 2, "MaxExecutionEnvironments": 1 });
    let text = "MinExecutionEnvironments cannot be greater than MaxExecutionEnvironments.";
    check_error(world.scale("managed", "1", bounds).await, "CapacityProvider(ScalingBounds", text);
}
