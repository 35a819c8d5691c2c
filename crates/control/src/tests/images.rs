//! Functions from container images. Recorded texts: `ImageUri` of updates in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`; runtime, handler and layers in
//! <https://github.com/pulumi/pulumi-aws/issues/5439>; broken URIs in
//! <https://github.com/ministryofjustice/modernisation-platform/pull/2419>; code of the other kind in
//! <https://github.com/boto/boto3/issues/2705>; code signing in
//! <https://github.com/aws-controllers-k8s/community/issues/1117>. That `ImageConfigResponse` is there and empty is in answers of AWS that
//! their callers made public. No text was found for `ImageConfig` of a zip.

use serde_json::{Value, json};

use super::harness::{World, answer, check, check_error, encoded, package, request};
use crate::Error;

const REPOSITORY: &str = "000000000000.dkr.ecr.us-east-1.amazonaws.com/echo";
const DIGEST: &str = "d0ec757342ba64f8f80c524431989d778c45289bfe312a58fe2dfbc0fa604c4e";

impl World {
    /// Creates a function from an image; members that are null are left out.
    async fn create_from_image(&self, uri: &str, members: Value) -> Result<Value, Error> {
        let mut creation = json!({
            "FunctionName": "echo", "PackageType": "Image", "Code": { "ImageUri": uri }, "Runtime": null, "Handler": null,
        });
        for (key, value) in members.as_object().unwrap() {
            creation[key] = value.clone();
        }
        let created = self.create(creation).await?;
        self.control.settle().await?;
        Ok(created)
    }
}

#[tokio::test]
async fn an_image_is_known_by_its_digest() {
    let exact = format!("{REPOSITORY}:tag@sha256:{DIGEST}");
    let world = World::new();
    let created = world.create_from_image(&exact, json!({})).await.unwrap();
    let expected = json!({
        "PackageType": "Image", "CodeSha256": DIGEST, "CodeSize": 0, "Runtime": null, "Handler": null, "Layers": null,
        "RuntimeVersionConfig": null, "ImageConfigResponse": {}, "Architectures": ["x86_64"],
    });
    check(&created, &expected);
    check(&created, &json!({ "State": "Pending" }));
    let world = world.restart();
    let found = world.get_function("echo").await.unwrap();
    check(&found["Configuration"], &expected);
    check(&found["Configuration"], &json!({ "State": "Active" }));
    let resolved = format!("{REPOSITORY}@sha256:{DIGEST}");
    assert_eq!(
        found["Code"],
        json!({ "RepositoryType": "ECR", "ImageUri": exact, "ResolvedImageUri": resolved })
    );
    check(&world.list(json!({})).await.unwrap()["Functions"][0], &expected);
    check(&world.usage().await, &json!({ "FunctionCount": 1, "TotalCodeSize": 0 }));
}

#[tokio::test]
async fn a_tag_stands_for_an_image_that_is_not_known() {
    let world = World::new();
    let first = world.create_from_image(&format!("{REPOSITORY}:1"), json!({})).await.unwrap();
    assert_eq!(first["CodeSha256"].as_str().unwrap().len(), 64);
    let found = world.get_function("echo").await.unwrap();
    assert_eq!(found["Code"], json!({ "RepositoryType": "ECR", "ImageUri": format!("{REPOSITORY}:1") }));
    let update = |tag: &str| json!({ "FunctionName": "echo", "ImageUri": format!("{REPOSITORY}:{tag}") });
    let second = world.update_code(update("2")).await.unwrap();
    world.control.settle().await.unwrap();
    assert_ne!(second["CodeSha256"], first["CodeSha256"]);
    check(&world.update_code(update("1")).await.unwrap(), &json!({ "CodeSha256": first["CodeSha256"] }));
}

#[tokio::test]
async fn overrides_are_replaced_as_a_whole_and_cleared_by_nothing() {
    let world = World::new();
    let config = json!({ "EntryPoint": ["/bin/sh"], "Command": ["-c", "app"], "WorkingDirectory": "/var" });
    let created = world.create_from_image(REPOSITORY, json!({ "ImageConfig": config })).await.unwrap();
    check(&created, &json!({ "ImageConfigResponse": { "ImageConfig": config } }));
    for (change, expected) in [
        (json!({ "Timeout": 4 }), json!({ "ImageConfig": config })),
        (json!({ "ImageConfig": { "Command": ["x"] } }), json!({ "ImageConfig": { "Command": ["x"] } })),
        (json!({ "ImageConfig": {} }), json!({})),
        (json!({ "ImageConfig": { "Command": [], "WorkingDirectory": "" } }), json!({})),
    ] {
        let mut update = change;
        update["FunctionName"] = json!("echo");
        check(&world.configure(update).await.unwrap(), &json!({ "ImageConfigResponse": expected }));
        world.control.settle().await.unwrap();
    }
}

#[tokio::test]
async fn new_code_keeps_what_is_overridden() {
    let world = World::new();
    let config = json!({ "Command": ["x"] });
    world.create_from_image(REPOSITORY, json!({ "ImageConfig": config })).await.unwrap();
    let update = json!({ "FunctionName": "echo", "ImageUri": "localhost:5000/other:2", "Publish": true });
    let published = world.update_code(update).await.unwrap();
    check(&published, &json!({ "Version": "1", "ImageConfigResponse": { "ImageConfig": config } }));
    world.control.settle().await.unwrap();
    let latest = world.get("echo", None).await.unwrap();
    let text = format!(
        "CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({}). Please try again with the CodeSHA256 \
         in $LATEST.",
        latest["CodeSha256"].as_str().unwrap()
    );
    let publish = |digest: &Value| json!({ "FunctionName": "echo", "CodeSha256": digest });
    check_error(world.publish(publish(&json!("other"))).await, "InvalidParameter(CodeMismatch", &text);
    check(&world.publish(publish(&latest["CodeSha256"])).await.unwrap(), &json!({ "Version": "1" }));
}

#[tokio::test]
async fn what_is_no_uri_of_an_image_is_refused() {
    let world = World::new();
    world.create_from_image(REPOSITORY, json!({})).await.unwrap();
    for uri in ["", "Repository", "a b", "https://example.com/a", "a@sha256:12"] {
        let text = format!("Source image {uri} is not valid. Provide a valid source image.");
        let creation = json!({ "FunctionName": "other" });
        check_error(world.create_from_image(uri, creation).await, "InvalidParameter(SourceImage", &text);
        let update = json!({ "FunctionName": "echo", "ImageUri": uri });
        check_error(world.update_code(update).await, "InvalidParameter(SourceImage", &text);
    }
}

#[tokio::test]
async fn images_and_zips_are_not_mixed() {
    let world = World::new().with_function("zipped").await;
    world.create_from_image(REPOSITORY, json!({})).await.unwrap();
    let zip = encoded(&package("app.py", b"2"));

    let text = "Please provide ImageUri when updating a function with packageType Image.";
    for code in [
        json!({}),
        json!({ "ZipFile": zip }),
        json!({ "S3Bucket": "bucket", "S3Key": "key" }),
        json!({ "ZipFile": zip, "ImageUri": REPOSITORY }),
    ] {
        let mut update = code;
        update["FunctionName"] = json!("echo");
        check_error(world.update_code(update).await, "InvalidParameter(ZipForImage", text);
    }
    let text = "Please don't provide ImageUri when updating a function with packageType Zip.";
    let update = json!({ "FunctionName": "zipped", "ImageUri": REPOSITORY, "ZipFile": zip });
    check_error(world.update_code(update).await, "InvalidParameter(ImageForZip", text);

    let text = "Please provide a source for function code.";
    let creation = json!({ "FunctionName": "other", "Code": { "ZipFile": zip } });
    check_error(world.create_from_image("", creation).await, "InvalidParameter(NoCode", text);
    let creation = json!({ "FunctionName": "other", "Code": { "ImageUri": REPOSITORY } });
    check_error(world.create(creation).await, "InvalidParameter(NoCode", text);
}

#[tokio::test]
async fn settings_of_the_other_kind_are_refused() {
    let world = World::new().with_function("zipped").await;
    world.create_from_image(REPOSITORY, json!({})).await.unwrap();
    let layer = "arn:aws:lambda:us-east-1:000000000000:layer:none:1";
    let text =
        "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.";
    for member in [
        json!({ "Runtime": "python3.12" }),
        json!({ "Handler": "app.handler" }),
        json!({ "Layers": [layer] }),
    ] {
        let (mut creation, mut update) = (member.clone(), member);
        creation["FunctionName"] = json!("other");
        let created = world.create_from_image(REPOSITORY, creation).await;
        check_error(created, "Configuration(ZipSettingsForImage", text);
        update["FunctionName"] = json!("echo");
        check_error(world.configure(update).await, "Configuration(ZipSettingsForImage", text);
    }
    let text = "Please don't provide ImageConfig when the intended function PackageType is Zip.";
    let member = json!({ "FunctionName": "zipped", "ImageConfig": { "Command": ["x"] } });
    check_error(world.configure(member).await, "Configuration(ImageSettingsForZip", text);
    world.configure(json!({ "FunctionName": "zipped", "ImageConfig": {} })).await.unwrap();
}

#[tokio::test]
async fn images_are_under_no_code_signing_configuration() {
    let world = World::new();
    world.create_from_image(REPOSITORY, json!({})).await.unwrap();
    let (control, scope) = (&world.control, &world.scope);
    let arn = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000";
    let text = "Code signing is not supported for functions created with container images.";
    let named = json!({ "FunctionName": "echo" });
    let found = control.get_function_code_signing_config(scope, request(named.clone())).await;
    check_error(found, "CodeSigning(Image", text);
    let deleted = control.delete_function_code_signing_config(scope, request(named)).await;
    check_error(deleted, "CodeSigning(Image", text);
    let creation = json!({ "FunctionName": "other", "CodeSigningConfigArn": arn });
    check_error(world.create_from_image(REPOSITORY, creation).await, "CodeSigning(Image", text);

    let publishers = json!({ "SigningProfileVersionArns": ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/v"] });
    let config = json!({ "AllowedPublishers": publishers });
    let config = answer(control.create_code_signing_config(scope, request(config)).await.unwrap());
    let arn = &config["CodeSigningConfig"]["CodeSigningConfigArn"];
    let attachment = json!({ "FunctionName": "echo", "CodeSigningConfigArn": arn });
    let attached = control.put_function_code_signing_config(scope, request(attachment)).await;
    check_error(attached, "CodeSigning(Image", text);
}
