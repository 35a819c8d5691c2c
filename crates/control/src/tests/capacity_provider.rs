//! Capacity providers. The text about scaling policies in the mode `Auto` as quoted from AWS in
//! <https://github.com/nsb413/kiro-lambda-managed-instance>, `LESSONS_LEARNED.md`; a new provider as shown there and in
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-capacity-providers.html>. The other texts
//! follow those of functions, aliases and versions; none was found.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{World, answer, check, check_error, request};
use crate::{Error, Quotas};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:capacity-provider:";
const OPERATOR: &str = "arn:aws:iam::000000000000:role/operator";

impl World {
    pub(super) async fn create_provider(&self, members: Value) -> Result<Value, Error> {
        let mut whole = json!({
            "CapacityProviderName": "pool",
            "VpcConfig": { "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] },
            "PermissionsConfig": { "CapacityProviderOperatorRoleArn": OPERATOR },
        });
        whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let created = self.control.create_capacity_provider(&self.scope, request(whole)).await?;
        Ok(answer(created.capacity_provider))
    }

    async fn get_provider(&self, name: &str) -> Result<Value, Error> {
        let request = request(json!({ "CapacityProviderName": name }));
        let found = self.control.get_capacity_provider(&self.scope, request).await?;
        Ok(answer(found.capacity_provider))
    }

    async fn update_provider(&self, name: &str, mut members: Value) -> Result<Value, Error> {
        members["CapacityProviderName"] = json!(name);
        let updated = self.control.update_capacity_provider(&self.scope, request(members)).await?;
        Ok(answer(updated.capacity_provider))
    }

    pub(super) async fn delete_provider(&self, name: &str) -> Result<Value, Error> {
        let request = request(json!({ "CapacityProviderName": name }));
        let deleted = self.control.delete_capacity_provider(&self.scope, request).await?;
        Ok(answer(deleted.capacity_provider))
    }

    async fn list_providers(&self, members: Value) -> Result<Value, Error> {
        self.control.list_capacity_providers(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn list_provided(&self, name: &str, mut members: Value) -> Result<Value, Error> {
        members["CapacityProviderName"] = json!(name);
        let request = request(members);
        self.control.list_function_versions_by_capacity_provider(&self.scope, request).await.map(answer)
    }

    /// The keys of the tags of a resource.
    async fn tag_keys(&self, arn: &str) -> Vec<String> {
        let listed = self.control.list_tags(&self.scope, request(json!({ "Resource": arn }))).await.unwrap();
        listed.tags.unwrap_or_default().into_keys().collect()
    }
}

fn manual(target: f64) -> Value {
    let metric = "LambdaCapacityProviderAverageCPUUtilization";
    json!({
        "ScalingMode": "Manual",
        "ScalingPolicies": [{ "PredefinedMetricType": metric, "TargetValue": target }],
    })
}

#[tokio::test]
async fn a_new_provider_is_pending_and_then_active() {
    let world = World::new();
    let created = world.create_provider(json!({})).await.unwrap();
    let expected = json!({
        "CapacityProviderArn": format!("{ARN}pool"),
        "State": "Pending",
        "VpcConfig": { "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] },
        "PermissionsConfig": { "CapacityProviderOperatorRoleArn": OPERATOR },
        "CapacityProviderScalingConfig": { "ScalingMode": "Auto" },
        "LastModified": "2023-11-14T22:13:20.123+0000",
    });
    assert_eq!(created, expected);
    assert_eq!(world.get_provider("pool").await.unwrap(), created);
    world.control.settle().await.unwrap();
    check(&world.get_provider(&format!("{ARN}pool")).await.unwrap(), &json!({ "State": "Active" }));
}

#[tokio::test]
async fn everything_that_was_configured_is_shown_after_a_restart() {
    let world = World::new();
    let mut configured = json!({
        "InstanceRequirements": {
            "Architectures": ["arm64"], "AllowedInstanceTypes": ["m7g.*"], "ExcludedInstanceTypes": ["m7g.metal"],
        },
        "CapacityProviderScalingConfig": manual(62.5),
        "KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "PropagateTags": { "Mode": "Explicit", "ExplicitTags": { "team": "blue" } },
        "TelemetryConfig": { "LoggingConfig": { "SystemLogLevel": "WARN", "LogGroup": "/ours" } },
    });
    configured["CapacityProviderScalingConfig"]["MaxVCpuCount"] = json!(30);
    world.create_provider(configured.clone()).await.unwrap();
    check(&world.restart().get_provider("pool").await.unwrap(), &configured);
}

#[tokio::test]
async fn a_provider_of_the_same_name_or_too_many_are_refused() {
    let world = World::with_quotas(Quotas { capacity_providers: 1, ..Quotas::default() });
    world.create_provider(json!({ "CapacityProviderName": format!("{ARN}pool") })).await.unwrap();
    let exists = format!("Capacity provider already exists: {ARN}pool");
    check_error(world.create_provider(json!({})).await, "CapacityProvider(Exists", &exists);
    let other = world.create_provider(json!({ "CapacityProviderName": "other" })).await;
    check_error(other, "CapacityProvider(Limit", "Capacity provider limit exceeded.");
    let long = "x".repeat(65);
    let text = format!(
        "1 validation error detected: Value '{long}' at 'capacityProviderName' failed to satisfy constraint: Member \
         must have length less than or equal to 64"
    );
    check_error(world.create_provider(json!({ "CapacityProviderName": long })).await, "Validation", &text);
}

#[tokio::test]
async fn scaling_follows_the_mode() {
    let auto = "A scaling policy can't be specified when the scalingMode is set to Auto";
    let missing = "A scaling policy must be specified when the scalingMode is set to Manual";
    let policies = manual(50.0)["ScalingPolicies"].clone();
    for (config, variant, text) in [
        (
            json!({ "ScalingMode": "Auto", "ScalingPolicies": policies }),
            "CapacityProvider(PolicyOfAuto",
            auto,
        ),
        (json!({ "ScalingPolicies": policies }), "CapacityProvider(PolicyOfAuto", auto),
        (json!({ "ScalingMode": "Manual" }), "CapacityProvider(PolicyMissing", missing),
    ] {
        let members = json!({ "CapacityProviderScalingConfig": config });
        check_error(World::new().create_provider(members).await, variant, text);
    }
    let world = World::new();
    world.create_provider(json!({})).await.unwrap();
    for (change, expected) in [
        (json!({ "MaxVCpuCount": 4 }), json!({ "MaxVCpuCount": 4, "ScalingMode": "Auto" })),
        (manual(50.0), json!({ "MaxVCpuCount": 4, "ScalingMode": "Manual", "ScalingPolicies": policies })),
        (
            json!({ "MaxVCpuCount": 8 }),
            json!({ "MaxVCpuCount": 8, "ScalingMode": "Manual", "ScalingPolicies": policies }),
        ),
        (
            json!({ "ScalingPolicies": manual(75.0)["ScalingPolicies"] }),
            json!({
                "MaxVCpuCount": 8, "ScalingMode": "Manual", "ScalingPolicies": manual(75.0)["ScalingPolicies"],
            }),
        ),
        (json!({ "ScalingMode": "Auto" }), json!({ "MaxVCpuCount": 8, "ScalingMode": "Auto" })),
    ] {
        let members = json!({ "CapacityProviderScalingConfig": change });
        let updated = world.update_provider("pool", members).await.unwrap();
        assert_eq!(updated["CapacityProviderScalingConfig"], expected, "{change}");
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_settles() {
    let world = World::new();
    world.create_provider(json!({ "PropagateTags": { "Mode": "None" } })).await.unwrap();
    world.control.settle().await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let telemetry = json!({ "LoggingConfig": { "SystemLogLevel": "DEBUG" } });
    let updated = world.update_provider("pool", json!({ "TelemetryConfig": telemetry })).await.unwrap();
    let expected = json!({
        "State": "Pending",
        "LastModified": "2023-11-14T22:13:21.123+0000",
        "PropagateTags": { "Mode": "None" },
        "TelemetryConfig": telemetry,
    });
    check(&updated, &expected);
    world.control.settle().await.unwrap();
    check(
        &world.get_provider("pool").await.unwrap(),
        &json!({ "State": "Active", "TelemetryConfig": telemetry }),
    );
    let cleared = world.update_provider("pool", json!({ "TelemetryConfig": {} })).await.unwrap();
    check(&cleared, &json!({ "TelemetryConfig": null, "PropagateTags": { "Mode": "None" } }));
}

#[tokio::test]
async fn a_deleted_provider_goes_and_cannot_be_changed_meanwhile() {
    let world = World::new();
    world.create_provider(json!({})).await.unwrap();
    for _ in 0..2 {
        check(&world.delete_provider("pool").await.unwrap(), &json!({ "State": "Deleting" }));
    }
    let refused = world.update_provider("pool", json!({})).await;
    let text = "The operation cannot be performed at this time. The capacity provider is currently in the following \
                state: Deleting";
    check_error(refused, "CapacityProvider(Deleting", text);
    world.control.settle().await.unwrap();
    let text = format!("Capacity provider not found: {ARN}pool");
    check_error(world.get_provider("pool").await, "NotFound(CapacityProvider", &text);
    world.create_provider(json!({})).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_cannot_be_here_is_not_found() {
    let world = World::new();
    let elsewhere = "arn:aws:lambda:eu-west-1:000000000000:capacity-provider:pool";
    let long = "x".repeat(65);
    for (name, arn) in
        [("none", format!("{ARN}none")), (elsewhere, elsewhere.to_owned()), (&long, format!("{ARN}{long}"))]
    {
        let text = format!("Capacity provider not found: {arn}");
        for found in [
            world.get_provider(name).await,
            world.update_provider(name, json!({})).await,
            world.delete_provider(name).await,
            world.list_provided(name, json!({})).await,
        ] {
            check_error(found, "NotFound(CapacityProvider", &text);
        }
    }
    let theirs = "arn:aws:lambda:us-east-1:123456789012:capacity-provider:pool";
    check_error(world.get_provider(theirs).await, "OtherAccount", "null");
}

#[tokio::test]
async fn pages_of_providers_follow_one_another() {
    let world = World::new();
    for name in ["c", "a", "b"] {
        world.create_provider(json!({ "CapacityProviderName": name })).await.unwrap();
        world.control.settle().await.unwrap();
    }
    world.delete_provider("b").await.unwrap();
    let names = |page: &Value| -> Vec<String> {
        let providers = page["CapacityProviders"].as_array().unwrap().iter();
        providers.map(|of| of["CapacityProviderArn"].as_str().unwrap()[ARN.len()..].to_owned()).collect()
    };
    let first = world.list_providers(json!({ "MaxItems": 2 })).await.unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    let second = world.list_providers(json!({ "Marker": first["NextMarker"] })).await.unwrap();
    assert_eq!((names(&second), &second["NextMarker"]), (vec!["c".to_owned()], &Value::Null));
    for (state, expected) in
        [("Active", &["a", "c"][..]), ("Deleting", &["b"]), ("Pending", &[]), ("Failed", &[])]
    {
        assert_eq!(
            names(&world.list_providers(json!({ "State": state })).await.unwrap()),
            expected,
            "{state}"
        );
    }
    let other = world.list_providers(json!({ "State": "Active", "Marker": first["NextMarker"] })).await;
    check_error(other, "InvalidParameter(Marker", "Invalid Marker");
}

#[tokio::test]
async fn providers_have_tags() {
    let world = World::new();
    world.create_provider(json!({ "Tags": { "team": "blue" } })).await.unwrap();
    let arn = format!("{ARN}pool");
    let tag = |tags: Value| request(json!({ "Resource": arn, "Tags": tags }));
    world.control.tag_resource(&world.scope, tag(json!({ "stage": "test" }))).await.unwrap();
    assert_eq!(world.tag_keys(&arn).await, ["stage", "team"]);
    let untag = request(json!({ "Resource": arn, "TagKeys": ["team", "none"] }));
    world.control.untag_resource(&world.scope, untag).await.unwrap();
    assert_eq!(world.tag_keys(&arn).await, ["stage"]);
    let many: Value =
        (0..51).map(|index| (format!("key{index}"), json!(""))).collect::<serde_json::Map<_, _>>().into();
    let text = "Number of tags exceeds resource tag limit.";
    check_error(
        world.control.tag_resource(&world.scope, tag(many.clone())).await,
        "InvalidParameter(TagCount",
        text,
    );
    let created = world.create_provider(json!({ "CapacityProviderName": "other", "Tags": many })).await;
    check_error(created, "InvalidParameter(TagCount", text);
}
