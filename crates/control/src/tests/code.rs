//! Where code comes from and what it may be. Texts as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json` (`TestLambdaSizeLimits`, `TestLambdaFunction`), and, for
//! empty archives and two sources, in public issue reports.

use serde_json::{Value, json};

use super::harness::{World, check, check_error, encoded, package};
use crate::Quotas;

/// Checks that CreateFunction and UpdateFunctionCode refuse `code` in these words.
async fn check_refused(world: World, code: Value, variant: &str, text: &str) {
    let world = world.with_function("there").await;
    check_error(world.create(json!({ "FunctionName": "new", "Code": code })).await, variant, text);
    let mut update = code;
    update["FunctionName"] = json!("there");
    check_error(world.update_code(update).await, variant, text);
}

#[tokio::test]
async fn the_digest_is_that_of_the_zip() {
    use base64::Engine;
    use sha2::{Digest, Sha256};

    let world = World::new();
    let zip = package("app.py", b"x");
    let code =
        json!({ "ZipFile": encoded(&zip), "SourceKMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k" });
    let created = world.create(json!({ "FunctionName": "echo", "Code": code })).await.unwrap();
    let digest = base64::prelude::BASE64_STANDARD.encode(Sha256::digest(&zip));
    check(&created, &json!({ "CodeSha256": digest, "CodeSize": zip.len() }));
    let found = world.get_function("echo").await.unwrap();
    assert_eq!(found["Code"]["SourceKMSKeyArn"], code["SourceKMSKeyArn"]);
}

#[tokio::test]
async fn what_is_no_zip_is_refused() {
    let broken = "Could not unzip uploaded file. Please check your file, then try to upload again.";
    let escaping = package("../../etc/passwd", b"x");
    for zip in [b"not a zip".as_slice(), &escaping] {
        check_refused(World::new(), json!({ "ZipFile": encoded(zip) }), "InvalidParameter", broken).await;
    }
    let empty = zip::ZipWriter::new(std::io::Cursor::new(Vec::new())).finish().unwrap().into_inner();
    for zip in [b"".as_slice(), &empty] {
        let text = "Uploaded file must be a non-empty zip";
        check_refused(World::new(), json!({ "ZipFile": encoded(zip) }), "InvalidParameter", text).await;
    }
}

#[tokio::test]
async fn packages_are_bounded_zipped_and_unzipped() {
    let limits = || Quotas { zipped_bytes: 1_000, unzipped_bytes: 2_000, ..Quotas::default() };
    let noise: Vec<u8> =
        (0..1_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let text = "Zipped size must be smaller than 1000 bytes";
    let zip = json!({ "ZipFile": encoded(&package("noise", &noise)) });
    check_refused(World::with_quotas(limits()), zip, "ZippedSize", text).await;

    let text = "Unzipped size must be smaller than 2000 bytes";
    let zip = json!({ "ZipFile": encoded(&package("zeros", &[0; 2_000])) });
    check_refused(World::with_quotas(limits()), zip, "InvalidParameter", text).await;
    let world = World::with_quotas(limits());
    let zip = encoded(&package("zeros", &[0; 1_999]));
    world.create(json!({ "FunctionName": "echo", "Code": { "ZipFile": zip } })).await.unwrap();
}

#[tokio::test]
async fn storage_is_bounded_and_what_was_refused_takes_none() {
    let size = package("app.py", b"1").len() as u64;
    let world = World::with_quotas(Quotas { code_storage_bytes: size * 2, ..Quotas::default() });
    world.create(json!({ "FunctionName": "a" })).await.unwrap();
    let text = "Code storage limit exceeded.";
    let result = world.create(json!({ "FunctionName": "b", "Publish": true })).await;
    check_error(result, "CodeStorageExceeded", text);
    world.create(json!({ "FunctionName": "b" })).await.unwrap();
    check_error(world.create(json!({ "FunctionName": "c" })).await, "CodeStorageExceeded", text);
    check(&world.usage().await, &json!({ "FunctionCount": 2, "TotalCodeSize": size * 2 }));
}

#[tokio::test]
async fn code_comes_from_one_place() {
    let zip = encoded(&package("app.py", b"1"));
    let text = "Please do not provide other FunctionCode parameters when providing a ZipFile.";
    let code = json!({ "ZipFile": zip, "S3Bucket": "bucket", "S3Key": "key" });
    check_refused(World::new(), code, "InvalidParameter", text).await;
    check_refused(World::new(), json!({}), "InvalidParameter", "Please provide a source for function code.")
        .await;
    let world = World::new().with_function("echo").await;
    let text = "Please don't provide ImageUri when updating a function with packageType Zip.";
    let result = world.update_code(json!({ "FunctionName": "echo", "ImageUri": "image" })).await;
    check_error(result, "InvalidParameter", text);
}

#[tokio::test]
async fn code_for_a_missing_function_is_not_even_read() {
    let world = World::new();
    let result = world.update_code(json!({ "FunctionName": "none", "ZipFile": encoded(b"not a zip") })).await;
    let text = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:none";
    check_error(result, "NotFound", text);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let world = World::new().with_function("echo").await;
    let before = world.get("echo", None).await.unwrap();
    let zip = package("app.py", b"a longer one than before");
    let dry = json!({ "FunctionName": "echo", "ZipFile": encoded(&zip), "DryRun": true, "Architectures": ["arm64"] });
    let answer = world.update_code(dry).await.unwrap();
    check(
        &answer,
        &json!({ "CodeSize": zip.len(), "Architectures": ["arm64"], "LastUpdateStatus": "Successful" }),
    );
    assert_eq!(world.get("echo", None).await.unwrap(), before);
    let broken = json!({ "FunctionName": "echo", "ZipFile": encoded(b"x"), "DryRun": true });
    let text = "Could not unzip uploaded file. Please check your file, then try to upload again.";
    check_error(world.update_code(broken).await, "InvalidParameter", text);
}
