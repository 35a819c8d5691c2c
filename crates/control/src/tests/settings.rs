//! Recursion and runtime management. That only `Manual` shows the version of the runtime is in the documentation of
//! GetRuntimeManagementConfig; the form of the answer in
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html>. No texts were found for `Manual` without or
//! with an unknown version: they follow those for a missing starting position and a missing layer.

use serde_json::{Value, json};

use super::harness::{World, answer, check_error, request};
use crate::Error;

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";

impl World {
    async fn set_recursion(&self, name: &str, setting: &str) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name, "RecursiveLoop": setting }));
        self.control.put_function_recursion_config(&self.scope, request).await.map(answer)
    }

    async fn recursion(&self, name: &str) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name }));
        self.control.get_function_recursion_config(&self.scope, request).await.map(answer)
    }

    async fn set_runtime(&self, members: Value) -> Result<Value, Error> {
        self.control.put_runtime_management_config(&self.scope, request(members)).await.map(answer)
    }

    async fn runtime(&self, name: &str, qualifier: Option<&str>) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name, "Qualifier": qualifier }));
        self.control.get_runtime_management_config(&self.scope, request).await.map(answer)
    }
}

#[tokio::test]
async fn recursion_is_stopped_unless_it_is_allowed() {
    let mut world = World::new().with_function("echo").await;
    assert_eq!(world.recursion("echo").await.unwrap(), json!({ "RecursiveLoop": "Terminate" }));
    let before = world.get("echo", None).await.unwrap();
    for setting in ["Allow", "Terminate", "Allow"] {
        let expected = json!({ "RecursiveLoop": setting });
        assert_eq!(world.set_recursion(ARN, setting).await.unwrap(), expected);
        assert_eq!(world.recursion("echo").await.unwrap(), expected);
    }
    assert_eq!(world.get("echo", None).await.unwrap(), before);
    world = world.restart();
    assert_eq!(world.recursion(ARN).await.unwrap(), json!({ "RecursiveLoop": "Allow" }));
    let text = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:none";
    check_error(world.set_recursion("none", "Allow").await, "NotFound", text);
    check_error(world.recursion("none").await, "NotFound", text);
    world.scope.account = "111111111111".parse().unwrap();
    let text = "Function not found: arn:aws:lambda:us-east-1:111111111111:function:echo";
    check_error(world.recursion("echo").await, "NotFound", text);
}

#[tokio::test]
async fn each_version_has_its_own_runtime_management() {
    let world = World::new();
    let created = world.create(json!({ "FunctionName": "echo", "Publish": true })).await.unwrap();
    let runtime_version = created["RuntimeVersionConfig"]["RuntimeVersionArn"].clone();
    let check = async |world: &World, qualifier, arn: &str, mode: &str, version: Option<&Value>| {
        let mut expected = json!({ "FunctionArn": arn, "UpdateRuntimeOn": mode });
        if let Some(version) = version {
            expected["RuntimeVersionArn"] = version.clone();
        }
        assert_eq!(world.runtime("echo", qualifier).await.unwrap(), expected);
        expected
    };
    let (latest, first) = (format!("{ARN}:$LATEST"), format!("{ARN}:1"));
    check(&world, None, ARN, "Auto", None).await;
    check(&world, Some("1"), &first, "Auto", None).await;

    let put = json!({ "FunctionName": "echo", "UpdateRuntimeOn": "FunctionUpdate" });
    let answer = world.set_runtime(put).await.unwrap();
    assert_eq!(check(&world, None, ARN, "FunctionUpdate", None).await, answer);
    let put = json!({
        "FunctionName": "echo", "Qualifier": "1", "UpdateRuntimeOn": "Manual",
        "RuntimeVersionArn": runtime_version,
    });
    let answer = world.set_runtime(put).await.unwrap();
    let world = world.restart();
    assert_eq!(check(&world, Some("1"), &first, "Manual", Some(&runtime_version)).await, answer);
    check(&world, Some("$LATEST"), &latest, "FunctionUpdate", None).await;
    world.set_runtime(json!({ "FunctionName": "echo:1", "UpdateRuntimeOn": "Auto" })).await.unwrap();
    check(&world, Some("1"), &first, "Auto", None).await;
}

#[tokio::test]
async fn a_runtime_stays_only_at_a_version_that_there_is() {
    let world = World::new().with_function("echo").await;
    let put = json!({ "FunctionName": "echo", "UpdateRuntimeOn": "Manual" });
    let text = "1 validation error detected: Value null at 'runtimeVersionArn' failed to satisfy constraint: Member \
                must not be null.";
    check_error(world.set_runtime(put.clone()).await, "RuntimeManagement(VersionRequired", text);
    let mut put = put;
    put["RuntimeVersionArn"] = json!("arn:aws:lambda:us-east-1::runtime:0000");
    let text = "Runtime version arn:aws:lambda:us-east-1::runtime:0000 does not exist.";
    check_error(world.set_runtime(put).await, "RuntimeManagement(VersionMissing", text);
    let expected = json!({ "FunctionArn": ARN, "UpdateRuntimeOn": "Auto" });
    assert_eq!(world.runtime("echo", None).await.unwrap(), expected);
}

#[tokio::test]
async fn what_is_not_there_has_no_runtime_management() {
    let world = World::new().with_function("echo").await;
    for (name, qualifier, missing) in
        [("none", None, "none"), ("echo", Some("7"), "echo:7"), ("echo", Some("live"), "echo:live")]
    {
        let text = format!("Function not found: arn:aws:lambda:us-east-1:000000000000:function:{missing}");
        check_error(world.runtime(name, qualifier).await, "NotFound", &text);
        let put = json!({ "FunctionName": name, "Qualifier": qualifier, "UpdateRuntimeOn": "Auto" });
        check_error(world.set_runtime(put).await, "NotFound", &text);
    }
}
