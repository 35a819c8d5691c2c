//! Code signing. Texts of what is missing as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestCodeSigningConfig`; the text about untrusted code
//! as quoted from AWS in <https://github.com/aws/aws-cdk/issues/29474>. No text for a configuration in use was found:
//! it follows the one for a version that aliases reference, quoted from AWS in
//! <https://github.com/karl-cardenas-coding/go-lambda-cleanup/issues/45>.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{World, answer, check, check_error, encoded, package, request};
use crate::Error;

const PROFILE: &str = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/0123456789";
const OTHER_PROFILE: &str = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/q/0123456789";
const MISSING: &str = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:";

impl World {
    /// Makes a configuration with this policy, and gives its ARN.
    async fn signing(&self, policy: &str) -> String {
        let policies = json!({ "UntrustedArtifactOnDeployment": policy });
        let created = self.create_signing(json!({ "CodeSigningPolicies": policies })).await.unwrap();
        created["CodeSigningConfigArn"].as_str().unwrap().to_owned()
    }

    async fn create_signing(&self, mut members: Value) -> Result<Value, Error> {
        members["AllowedPublishers"] = json!({ "SigningProfileVersionArns": [PROFILE] });
        let created = self.control.create_code_signing_config(&self.scope, request(members)).await?;
        Ok(answer(created.code_signing_config))
    }

    async fn get_signing(&self, arn: &str) -> Result<Value, Error> {
        let request = request(json!({ "CodeSigningConfigArn": arn }));
        let found = self.control.get_code_signing_config(&self.scope, request).await?;
        Ok(answer(found.code_signing_config))
    }

    async fn update_signing(&self, arn: &str, mut members: Value) -> Result<Value, Error> {
        members["CodeSigningConfigArn"] = json!(arn);
        let updated = self.control.update_code_signing_config(&self.scope, request(members)).await?;
        Ok(answer(updated.code_signing_config))
    }

    async fn delete_signing(&self, arn: &str) -> Result<Value, Error> {
        let request = request(json!({ "CodeSigningConfigArn": arn }));
        self.control.delete_code_signing_config(&self.scope, request).await.map(answer)
    }

    async fn list_signing(&self, members: Value) -> Result<Value, Error> {
        self.control.list_code_signing_configs(&self.scope, request(members)).await.map(answer)
    }

    async fn list_under(&self, arn: &str, mut members: Value) -> Result<Value, Error> {
        members["CodeSigningConfigArn"] = json!(arn);
        self.control.list_functions_by_code_signing_config(&self.scope, request(members)).await.map(answer)
    }

    async fn attach(&self, name: &str, arn: &str) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name, "CodeSigningConfigArn": arn }));
        self.control.put_function_code_signing_config(&self.scope, request).await.map(answer)
    }

    async fn attached(&self, name: &str) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name }));
        self.control.get_function_code_signing_config(&self.scope, request).await.map(answer)
    }

    async fn detach(&self, name: &str) -> Result<(), Error> {
        let request = request(json!({ "FunctionName": name }));
        self.control.delete_function_code_signing_config(&self.scope, request).await
    }
}

fn config_not_found(arn: &str) -> String {
    format!("The Lambda code signing configuration {arn} can not be found.")
}

fn config_missing(arn: &str) -> String {
    format!(
        "The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
    )
}

fn untrusted(subject: &str) -> String {
    format!(
        "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client \
         is not configured to accept. Check the provided signature for {subject}."
    )
}

fn new_code() -> Value {
    json!(encoded(&package("app.py", b"2")))
}

#[tokio::test]
async fn a_configuration_is_made_changed_and_deleted() {
    let world = World::new();
    let created = world.create_signing(json!({ "Description": "first" })).await.unwrap();
    let arn = created["CodeSigningConfigArn"].as_str().unwrap();
    let id = created["CodeSigningConfigId"].as_str().unwrap();
    assert!(id.starts_with("csc-") && id.len() == 21, "{id}");
    assert_eq!(arn, format!("arn:aws:lambda:us-east-1:000000000000:code-signing-config:{id}"));
    check(
        &created,
        &json!({
            "Description": "first",
            "AllowedPublishers": { "SigningProfileVersionArns": [PROFILE] },
            "CodeSigningPolicies": { "UntrustedArtifactOnDeployment": "Warn" },
            "LastModified": "2023-11-14T22:13:20.123+0000",
        }),
    );
    assert_eq!(world.get_signing(arn).await.unwrap(), created);

    world.clock.advance(Duration::from_secs(1));
    let policies = json!({ "UntrustedArtifactOnDeployment": "Enforce" });
    let publishers = json!({ "SigningProfileVersionArns": [OTHER_PROFILE] });
    world.update_signing(arn, json!({ "CodeSigningPolicies": policies })).await.unwrap();
    world.update_signing(arn, json!({ "AllowedPublishers": publishers })).await.unwrap();
    let updated = world.update_signing(arn, json!({ "Description": "second" })).await.unwrap();
    let expected = json!({
        "CodeSigningConfigId": id,
        "Description": "second",
        "AllowedPublishers": publishers,
        "CodeSigningPolicies": policies,
        "LastModified": "2023-11-14T22:13:21.123+0000",
    });
    check(&updated, &expected);
    let world = world.restart();
    check(&world.get_signing(arn).await.unwrap(), &expected);

    world.delete_signing(arn).await.unwrap();
    check_error(world.get_signing(arn).await, "NotFound", &config_not_found(arn));
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let mut world = World::new().with_function("echo").await;
    let other_account = MISSING.replace("000000000000:", "111111111111:");
    let other_region = MISSING.replace("us-east-1", "eu-west-1");
    for arn in [MISSING, &other_account, &other_region] {
        let text = config_not_found(arn);
        check_error(world.get_signing(arn).await, "NotFound", &text);
        check_error(world.update_signing(arn, json!({})).await, "NotFound", &text);
        check_error(world.delete_signing(arn).await, "NotFound", &text);
        check_error(world.list_under(arn, json!({})).await, "NotFound", &text);
        let text = config_missing(arn);
        check_error(world.attach("echo", arn).await, "CodeSigning(ConfigMissing", &text);
        check_error(world.attach("none", arn).await, "CodeSigning(ConfigMissing", &text);
    }
    let arn = world.signing("Warn").await;
    let text = format!("Function not found: {FUNCTION}none");
    check_error(world.attach("none", &arn).await, "NotFound", &text);
    check_error(world.attached("none").await, "NotFound", &text);
    check_error(world.detach("none").await, "NotFound", &text);
    world.scope.account = "111111111111".parse().unwrap();
    check_error(world.get_signing(&arn).await, "NotFound", &config_not_found(&arn));
}

#[tokio::test]
async fn a_function_is_put_under_a_configuration_and_removed_from_it() {
    let world = World::new().with_function("echo").await;
    let (first, second) = (world.signing("Warn").await, world.signing("Enforce").await);
    assert_eq!(world.attached("echo").await.unwrap(), Value::Null);
    for (arn, name) in [(&first, "echo"), (&second, &*format!("{FUNCTION}echo"))] {
        let expected = json!({ "CodeSigningConfigArn": arn, "FunctionName": "echo" });
        assert_eq!(world.attach(name, arn).await.unwrap(), expected);
        assert_eq!(world.attached("echo").await.unwrap(), expected);
    }
    let under = json!({ "FunctionArns": [format!("{FUNCTION}echo")] });
    assert_eq!(world.list_under(&second, json!({})).await.unwrap(), under);
    assert_eq!(world.list_under(&first, json!({})).await.unwrap(), json!({ "FunctionArns": [] }));
    let text =
        "Unable to delete code signing configuration because the following functions reference it: [echo]";
    check_error(world.delete_signing(&second).await, "CodeSigning(InUse", text);
    world.delete_signing(&first).await.unwrap();
    world.detach("echo").await.unwrap();
    world.detach("echo").await.unwrap();
    assert_eq!(world.attached("echo").await.unwrap(), Value::Null);
    world.delete_signing(&second).await.unwrap();
}

#[tokio::test]
async fn a_configuration_is_free_when_its_functions_are_gone() {
    let world = World::new();
    let arn = world.signing("Warn").await;
    world.create(json!({ "FunctionName": "echo", "CodeSigningConfigArn": arn })).await.unwrap();
    let expected = json!({ "CodeSigningConfigArn": arn, "FunctionName": "echo" });
    assert_eq!(world.attached("echo").await.unwrap(), expected);
    world.delete("echo", None).await.unwrap();
    world.delete_signing(&arn).await.unwrap();
}

#[tokio::test]
async fn unsigned_code_is_refused_where_only_signed_code_may_come() {
    let world = World::new();
    let enforced = world.signing("Enforce").await;
    for name in ["echo", &*format!("{FUNCTION}echo")] {
        let result = world.create(json!({ "FunctionName": name, "CodeSigningConfigArn": enforced })).await;
        check_error(result, "CodeSigning(Untrusted", &untrusted(name));
    }
    let world = world.with_function("echo").await;
    let before = world.get("echo", None).await.unwrap();
    world.attach("echo", &enforced).await.unwrap();
    for dry_run in [false, true] {
        let update = json!({ "FunctionName": "echo", "ZipFile": new_code(), "DryRun": dry_run });
        check_error(world.update_code(update).await, "CodeSigning(Untrusted", &untrusted("echo"));
    }
    assert_eq!(world.get("echo", None).await.unwrap(), before);
    world.configure(json!({ "FunctionName": "echo", "Description": "no code in it" })).await.unwrap();
    world.control.settle().await.unwrap();
    let policies = json!({ "UntrustedArtifactOnDeployment": "Warn" });
    world.update_signing(&enforced, json!({ "CodeSigningPolicies": policies })).await.unwrap();
    world.update_code(json!({ "FunctionName": "echo", "ZipFile": new_code() })).await.unwrap();
}

#[tokio::test]
async fn a_refused_creation_leaves_nothing_behind() {
    let world = World::new();
    let result = world.create(json!({ "FunctionName": "echo", "CodeSigningConfigArn": MISSING })).await;
    check_error(result, "CodeSigning(ConfigMissing", &config_missing(MISSING));
    check_error(world.get("echo", None).await, "NotFound", &format!("Function not found: {FUNCTION}echo"));
}

#[tokio::test]
async fn lists_go_on_where_their_page_ended() {
    let world = World::new();
    let mut arns = Vec::new();
    for _ in 0..5 {
        arns.push(world.signing("Warn").await);
    }
    for name in ["c", "a", "b"] {
        world.create(json!({ "FunctionName": name, "CodeSigningConfigArn": arns[0] })).await.unwrap();
    }
    let first = arns[0].clone();
    arns.sort();
    for size in [1, 2, 5, 50] {
        let (mut seen, mut marker) = (Vec::new(), Value::Null);
        loop {
            let page = world.list_signing(json!({ "MaxItems": size, "Marker": marker })).await.unwrap();
            let configs = page["CodeSigningConfigs"].as_array().unwrap();
            assert!(configs.len() <= size);
            seen.extend(configs.iter().map(|config| config["CodeSigningConfigArn"].clone()));
            marker = page["NextMarker"].clone();
            if marker.is_null() {
                break;
            }
        }
        assert_eq!(seen, arns);
        let (mut seen, mut marker) = (Vec::new(), Value::Null);
        loop {
            let page = world.list_under(&first, json!({ "MaxItems": size, "Marker": marker })).await.unwrap();
            seen.extend(page["FunctionArns"].as_array().unwrap().clone());
            marker = page["NextMarker"].clone();
            if marker.is_null() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "c"].map(|name| json!(format!("{FUNCTION}{name}"))));
    }
    let page = world.list_under(&first, json!({ "MaxItems": 1 })).await.unwrap();
    let other = arns.iter().find(|arn| **arn != first).unwrap();
    for marker in [&page["NextMarker"], &json!("made up")] {
        let result = world.list_signing(json!({ "Marker": marker })).await;
        check_error(result, "InvalidParameter", "Invalid Marker");
        let result = world.list_under(other, json!({ "Marker": marker })).await;
        check_error(result, "InvalidParameter", "Invalid Marker");
    }
}

#[tokio::test]
async fn configurations_have_tags() {
    let world = World::new();
    let created = world.create_signing(json!({ "Tags": { "a": "1" } })).await.unwrap();
    let arn = created["CodeSigningConfigArn"].as_str().unwrap();
    assert_eq!(world.tags(arn).await.unwrap(), json!({ "a": "1" }));
    world.tag(arn, json!({ "a": "2", "b": "3" })).await.unwrap();
    world.untag(arn, &["a", "unknown"]).await.unwrap();
    let world = world.restart();
    assert_eq!(world.tags(arn).await.unwrap(), json!({ "b": "3" }));
    assert_eq!(world.get_signing(arn).await.unwrap(), created);
    let many: serde_json::Map<_, _> = (0..51).map(|number| (format!("key{number}"), json!("v"))).collect();
    let text = "Number of tags exceeds resource tag limit.";
    check_error(world.tag(arn, many.clone().into()).await, "InvalidParameter", text);
    check_error(world.create_signing(json!({ "Tags": many })).await, "InvalidParameter", text);
    let text = "An error occurred and the request cannot be processed.";
    check_error(world.tag(arn, json!({})).await, "InvalidParameter", text);
    let text = config_not_found(MISSING);
    check_error(world.tags(MISSING).await, "NotFound", &text);
    check_error(world.tag(MISSING, json!({ "a": "1" })).await, "NotFound", &text);
    check_error(world.untag(MISSING, &["a"]).await, "NotFound", &text);
}

#[tokio::test]
async fn enforcement_refuses_layers_that_are_new_and_no_others() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.publish_layer(json!({ "LayerName": name })).await.unwrap();
    }
    let layer = |name: &str| format!("arn:aws:lambda:us-east-1:000000000000:layer:{name}:1");
    let function = json!({ "FunctionName": "echo", "Layers": [layer("a"), layer("b")] });
    world.create(function).await.unwrap();
    world.control.settle().await.unwrap();
    let enforce = world.signing("Enforce").await;
    world.attach("echo", &enforce).await.unwrap();
    let added = json!({ "FunctionName": "echo", "Layers": [layer("a"), layer("c")] });
    let text = format!(
        "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client \
         is not configured to accept. Check the provided signature for {}.",
        layer("c"),
    );
    check_error(world.configure(added.clone()).await, "CodeSigning(Untrusted", &text);
    for left in [json!([layer("a"), layer("b")]), json!([layer("a")]), json!([])] {
        let change = json!({ "FunctionName": "echo", "Layers": left });
        world.configure(change).await.unwrap();
        world.control.settle().await.unwrap();
    }
    world.detach("echo").await.unwrap();
    world.configure(added).await.unwrap();
}
