//! Settings of functions that are kept, shown and judged, and of which little is acted on. Recorded texts: file systems
//! in <https://github.com/aws-cloudformation/cfn-lint/pull/4408> and <https://github.com/aws/chalice/issues/1453>;
//! snapshots of images in public deployment logs. No texts were found for runtimes of the account, and for snapshots with
//! file systems, a large `/tmp` or tenants: they follow those for runtimes.

use serde_json::{Value, json};

use super::harness::{World, check, check_error};

const EFS: &str = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-00000000000000000";
const S3_FILES: &str = "arn:aws:s3files:us-east-1:000000000000:file-system/fs-00000000000000000/access-point/fsap-00000000000000000";
const RUNTIME: &str = "arn:aws:lambda:us-east-1:000000000000:runtime/mine";

fn network() -> Value {
    json!({ "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] })
}

fn merged(mut members: Value, name: &str) -> Value {
    members["FunctionName"] = json!(name);
    members
}

/// Checks that a creation and an update with `members` both read back as `expected`, by every operation that shows it.
async fn check_kept(members: Value, expected: Value) {
    let world = World::new().with_function("updated").await;
    check(&world.create(merged(members.clone(), "created")).await.unwrap(), &expected);
    check(&world.configure(merged(members, "updated")).await.unwrap(), &expected);
    world.control.settle().await.unwrap();
    let world = world.restart();
    for name in ["created", "updated"] {
        check(&world.get(name, None).await.unwrap(), &expected);
        check(&world.get_function(name).await.unwrap()["Configuration"], &expected);
        check(&world.publish(json!({ "FunctionName": name })).await.unwrap(), &expected);
        check(&world.list_versions(json!({ "FunctionName": name })).await.unwrap()["Versions"][1], &expected);
        check(&world.configure(merged(json!({ "Timeout": 9 }), name)).await.unwrap(), &expected);
    }
    for listed in world.list(json!({})).await.unwrap()["Functions"].as_array().unwrap() {
        check(listed, &expected);
    }
}

/// Checks that both CreateFunction and UpdateFunctionConfiguration refuse `members` in these words.
async fn check_refused(members: Value, variant: &str, text: &str) {
    let world = World::new().with_function("there").await;
    check_error(world.create(merged(members.clone(), "new")).await, variant, text);
    check_error(world.configure(merged(members, "there")).await, variant, text);
}

#[tokio::test]
async fn file_systems_are_kept() {
    let efs = json!([{ "Arn": EFS, "LocalMountPath": "/mnt/data" }]);
    check_kept(
        json!({ "FileSystemConfigs": efs, "VpcConfig": network() }),
        json!({ "FileSystemConfigs": efs }),
    )
    .await;
    for direct in ["ENABLED", "DISABLED", "AUTO"] {
        let configs = json!([{
            "Arn": S3_FILES, "LocalMountPath": "/mnt/data", "S3FilesConfig": { "DirectS3Read": direct },
        }]);
        let members = json!({ "FileSystemConfigs": configs });
        check_kept(members.clone(), members).await;
    }
}

#[tokio::test]
async fn efs_is_reached_by_a_network() {
    let efs = json!({ "FileSystemConfigs": [{ "Arn": EFS, "LocalMountPath": "/mnt/data" }] });
    let text = format!("Function must be configured to execute in a VPC to reference access point {EFS}.");
    check_refused(efs.clone(), "Configuration(FileSystemWithoutNetwork", &text).await;

    let world = World::new().with_function("echo").await;
    let mut members = efs;
    members["VpcConfig"] = network();
    world.configure(merged(members, "echo")).await.unwrap();
    world.control.settle().await.unwrap();
    let leave = json!({ "FunctionName": "echo", "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [] } });
    let text = format!("Function VPC configuration cannot be removed with access point {EFS} referenced.");
    check_error(world.configure(leave.clone()).await, "Configuration(NetworkOfFileSystem", &text);
    let mut both = leave;
    both["FileSystemConfigs"] = json!([]);
    check(&world.configure(both).await.unwrap(), &json!({ "FileSystemConfigs": null }));
}

#[tokio::test]
async fn a_runtime_of_the_account_is_kept_while_it_is_used() {
    let config = json!({ "RuntimeArn": RUNTIME, "RuntimeAlias": "live" });
    let members = json!({ "Runtime": "custom", "RuntimeConfig": config });
    let mut expected = members.clone();
    expected["RuntimeVersionConfig"] = json!(null);
    check_kept(members.clone(), expected).await;

    let world = World::new();
    world.create(merged(members, "echo")).await.unwrap();
    world.control.settle().await.unwrap();
    let update = json!({ "FunctionName": "echo", "Runtime": "python3.13" });
    check(
        &world.configure(update).await.unwrap(),
        &json!({ "RuntimeConfig": null, "Runtime": "python3.13" }),
    );

    let text = "RuntimeConfig is a mandatory parameter for functions with the custom runtime.";
    check_refused(json!({ "Runtime": "custom" }), "Configuration(RuntimeConfigRequired", text).await;
    let text = "Please don't provide RuntimeConfig when the function runtime is not custom.";
    let members = json!({ "RuntimeConfig": config });
    check_refused(members, "Configuration(RuntimeConfigUnexpected", text).await;
}

#[tokio::test]
async fn accelerators_have_memory_and_come_with_more_storage() {
    let accelerator = json!({ "AcceleratorMemorySize": 24 });
    let members = json!({ "AcceleratorConfig": accelerator, "EphemeralStorage": { "Size": 32_768 } });
    check_kept(members.clone(), members).await;
    for size in [0, -1] {
        let text = format!(
            "1 validation error detected: Value '{size}' at 'acceleratorConfig.acceleratorMemorySize' failed to satisfy \
             constraint: Member must have value greater than or equal to 1"
        );
        let members = json!({ "AcceleratorConfig": { "AcceleratorMemorySize": size } });
        check_refused(members, "Validation", &text).await;
    }
}

#[tokio::test]
async fn snapshots_stand_against_other_settings() {
    let efs = json!([{ "Arn": EFS, "LocalMountPath": "/mnt/data" }]);
    for (members, what) in [
        (json!({ "Runtime": "nodejs20.x" }), "nodejs20.x"),
        (json!({ "FileSystemConfigs": efs, "VpcConfig": network() }), "EFS"),
        (json!({ "EphemeralStorage": { "Size": 513 } }), "EphemeralStorage larger than 512 MB"),
    ] {
        let mut members = members;
        members["SnapStart"] = json!({ "ApplyOn": "PublishedVersions" });
        let text = format!("{what} is not supported for SnapStart enabled functions.");
        check_refused(members, "Configuration(SnapStart", &text).await;
    }
    for (members, what) in [
        (
            json!({
                "PackageType": "Image", "Runtime": null, "Handler": null, "Code": { "ImageUri": "image" },
            }),
            "ContainerImage",
        ),
        (json!({ "TenancyConfig": { "TenantIsolationMode": "PER_TENANT" } }), "TenancyConfig"),
    ] {
        let mut members = members;
        members["SnapStart"] = json!({ "ApplyOn": "PublishedVersions" });
        let text = format!("{what} is not supported for SnapStart enabled functions.");
        let result = World::new().create(merged(members, "echo")).await;
        check_error(result, "Configuration(SnapStart", &text);
    }
}
