//! Code from S3, on a server that answers as S3 does. The text for a missing key as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaFunction`.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::harness::{BASE_URL, World, check, check_error, package, request};
use crate::Quotas;
use crate::code_source::{CodeSource, CodeSourceOptions, Credentials};

/// A store of one object, which writes down the requests that it gets.
struct S3 {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl S3 {
    async fn start(path: &'static str, object: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let asked = head.split(' ').nth(1).unwrap().to_owned();
                seen.lock().push(head);
                stream.write_all(&answer(&asked, path, &object)).await.unwrap();
            }
        });
        Self { endpoint, requests }
    }

    fn source(&self) -> CodeSource {
        let credentials = Credentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        };
        let options = CodeSourceOptions {
            endpoint: self.endpoint.clone(),
            region: "eu-west-1".parse().unwrap(),
            credentials: Some(credentials),
        };
        CodeSource::new(options).unwrap()
    }

    fn world(&self, quotas: Quotas) -> World {
        World::with(quotas, Some(self.source()))
    }
}

fn answer(asked: &str, path: &str, object: &[u8]) -> Vec<u8> {
    let (status, body) = if asked == path {
        ("200 OK", object.to_vec())
    } else if asked.starts_with("/bucket/") {
        ("404 Not Found", error("NoSuchKey", "The specified key does not exist."))
    } else {
        ("403 Forbidden", error("AccessDenied", "Access Denied"))
    };
    let last_modified = "Tue, 14 Nov 2023 22:13:20 GMT";
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nlast-modified: {last_modified}\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    answer
}

fn error(code: &str, message: &str) -> Vec<u8> {
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
    format!("{xml}\n<Error><Code>{code}</Code><Message>{message}</Message><Key>k</Key></Error>").into_bytes()
}

fn code(bucket: &str, key: &str, version: Option<&str>) -> Value {
    json!({ "S3Bucket": bucket, "S3Key": key, "S3ObjectVersion": version })
}

#[tokio::test]
async fn an_object_becomes_the_code() {
    let zip = package("app.py", b"from S3");
    let s3 = S3::start("/bucket/a%20folder/app.zip?versionId=7", zip.to_vec()).await;
    let world = s3.world(Quotas::default());
    let code = code("bucket", "a folder/app.zip", Some("7"));
    let created = world.create(json!({ "FunctionName": "echo", "Code": code })).await.unwrap();
    check(&created, &json!({ "CodeSize": zip.len() }));
    let requests = s3.requests.lock().clone();
    assert!(requests[0].contains("Credential=AKID/"), "{requests:?}");
    assert!(requests[0].contains("/eu-west-1/s3/aws4_request"), "{requests:?}");
}

#[tokio::test]
async fn code_that_stays_in_s3_is_shown_where_it_is() {
    let zip = package("app.py", b"from S3");
    let s3 = S3::start("/bucket/app.zip?versionId=7", zip.to_vec()).await;
    let world = s3.world(Quotas::default()).with_function("copied").await;
    let mut code = code("bucket", "app.zip", Some("7"));
    code["S3ObjectStorageMode"] = json!("REFERENCE");
    let (mut update, content) = (code.clone(), code.clone());
    world.create(json!({ "FunctionName": "created", "Code": code })).await.unwrap();
    update["FunctionName"] = json!("copied");
    world.update_code(update.clone()).await.unwrap();
    world.control.settle().await.unwrap();
    let object = json!({ "S3Bucket": "bucket", "S3Key": "app.zip", "S3ObjectVersion": "7" });
    for name in ["created", "copied"] {
        let found = world.get_function(name).await.unwrap();
        check(&found["Code"], &json!({ "RepositoryType": "S3", "ResolvedS3Object": object }));
        check(&found["Configuration"], &json!({ "CodeSize": zip.len() }));
    }
    update["S3ObjectStorageMode"] = json!("COPY");
    world.update_code(update).await.unwrap();
    check(&world.get_function("copied").await.unwrap()["Code"], &json!({ "ResolvedS3Object": null }));
    let layer = json!({ "LayerName": "layer", "Content": content });
    let layer = world.control.publish_layer_version(&world.scope, request(layer), BASE_URL).await;
    let content = serde_json::to_value(layer.unwrap().content).unwrap();
    assert_eq!(content["ResolvedS3Object"], object);
    let with_zip = json!({ "ZipFile": "", "S3ObjectStorageMode": "REFERENCE" });
    let text = "Please do not provide other FunctionCode parameters when providing a ZipFile.";
    let result = world.create(json!({ "FunctionName": "echo", "Code": with_zip })).await;
    check_error(result, "InvalidParameter(TwoCodes", text);
}

#[tokio::test]
async fn what_s3_refuses_is_passed_on_in_its_words() {
    let s3 = S3::start("/bucket/app.zip", b"not a zip".to_vec()).await;
    let world = s3.world(Quotas::default()).with_function("there").await;
    for (code, text) in [
        (
            code("bucket", "other.zip", None),
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not \
             exist.",
        ),
        (
            code("private", "app.zip", None),
            "Error occurred while GetObject. S3 Error Code: AccessDenied. S3 Error Message: Access Denied",
        ),
        (
            code("bucket", "app.zip", None),
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
    ] {
        let created = world.create(json!({ "FunctionName": "new", "Code": code })).await;
        check_error(created, "InvalidParameter", text);
        let mut update = code;
        update["FunctionName"] = json!("there");
        check_error(world.update_code(update).await, "InvalidParameter", text);
    }
}

#[tokio::test]
async fn an_object_that_is_too_large_is_not_read() {
    let s3 = S3::start("/bucket/app.zip", vec![0; 2_001]).await;
    let world = s3.world(Quotas { unzipped_bytes: 2_000, ..Quotas::default() });
    let result =
        world.create(json!({ "FunctionName": "echo", "Code": code("bucket", "app.zip", None) })).await;
    check_error(result, "InvalidParameter", "Unzipped size must be smaller than 2000 bytes");
}

#[tokio::test]
async fn without_an_endpoint_there_is_no_code_from_s3() {
    let world = World::new();
    let result =
        world.create(json!({ "FunctionName": "echo", "Code": code("bucket", "app.zip", None) })).await;
    check_error(result, "Unsupported", "firelet does not support code from S3 without an S3 endpoint yet.");
}

#[test]
fn an_endpoint_is_an_address() {
    for endpoint in ["", "127.0.0.1:9000", "ftp://host", "http://"] {
        let region = "us-east-1".parse().unwrap();
        let options = CodeSourceOptions { endpoint: endpoint.to_owned(), region, credentials: None };
        let error = CodeSource::new(options).unwrap_err().to_string();
        assert!(error.contains("is not an address"), "{error}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let credentials = Credentials {
        access_key_id: "AKID".to_owned(),
        secret_access_key: "hidden".to_owned(),
        session_token: Some("hidden".to_owned()),
    };
    let printed = format!("{credentials:?}");
    assert!(printed.contains("AKID") && !printed.contains("hidden"), "{printed}");
}
