//! Function URLs. Recorded in localstack's `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaUrl`;
//! what an update leaves in <https://github.com/go-to-k/cdkd/pull/1261>, the form of times in AWS's answers to
//! `aws lambda get-function-url-config`.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{World, check, check_error};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const NO_CONFIG: &str = "The resource you requested does not exist.";
const NO_FUNCTION: &str = "Function does not exist";

/// A function `echo` with version 1 and the alias `live`.
async fn world() -> World {
    let world = World::new().with_function("echo").await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    create_alias(&world).await;
    world
}

async fn create_alias(world: &World) {
    let alias = json!({ "FunctionName": "echo", "Name": "live", "FunctionVersion": "1" });
    world.create_alias(alias).await.unwrap();
}

fn create(name: &str, qualifier: Option<&str>) -> Value {
    json!({ "FunctionName": name, "Qualifier": qualifier, "AuthType": "NONE" })
}

fn named(name: &str, qualifier: Option<&str>) -> Value {
    json!({ "FunctionName": name, "Qualifier": qualifier })
}

fn cors(cors: &Value) -> Value {
    json!({ "FunctionName": "echo", "AuthType": "NONE", "Cors": cors })
}

#[tokio::test]
async fn a_url_is_shown_as_it_was_made() {
    let world = world().await;
    let created = world.create_url(create("echo", None)).await.unwrap();
    let url = created["FunctionUrl"].as_str().unwrap().to_owned();
    let id = url.strip_prefix("https://").unwrap().strip_suffix(".lambda-url.us-east-1.on.aws/").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    let mut expected = json!({
        "FunctionUrl": url, "FunctionArn": ARN, "AuthType": "NONE",
        "CreationTime": "2023-11-14T22:13:20.123Z",
    });
    assert_eq!(created, expected);
    let world = world.restart();
    expected["InvokeMode"] = json!("BUFFERED");
    expected["LastModifiedTime"] = json!("2023-11-14T22:13:20.123Z");
    assert_eq!(world.get_url(named("echo", None)).await.unwrap(), expected);
    let listed = world.list_urls(json!({ "FunctionName": "echo" })).await.unwrap();
    assert_eq!(listed, json!({ "FunctionUrlConfigs": [expected] }));
}

#[tokio::test]
async fn an_alias_has_a_url_of_its_own_that_outlives_it() {
    let world = world().await;
    world.create_url(create("echo", None)).await.unwrap();
    let mut request = create("echo:live", None);
    request["InvokeMode"] = json!("RESPONSE_STREAM");
    let created = world.create_url(request).await.unwrap();
    let arn = format!("{ARN}:live");
    check(
        &created,
        &json!({ "FunctionArn": arn, "InvokeMode": "RESPONSE_STREAM", "LastModifiedTime": null }),
    );
    world.delete_alias("echo", "live").await.unwrap();
    let kept = world.get_url(named("echo", Some("live"))).await.unwrap();
    check(&kept, &json!({ "FunctionArn": arn, "FunctionUrl": created["FunctionUrl"] }));
    let update = world.update_url(named("echo", Some("live"))).await;
    check_error(update, "FunctionUrl(FunctionMissing", NO_FUNCTION);
    create_alias(&world).await;
    let again = world.create_url(create("echo", Some("live"))).await;
    let text = format!(
        "Failed to create function url config for [functionArn = {arn}]. Error message:  FunctionUrlConfig exists for \
         this Lambda function"
    );
    check_error(again, "FunctionUrl(Exists", &text);
    world.delete_url(named("echo", Some("live"))).await.unwrap();
    check_error(world.delete_url(named("echo", Some("live"))).await, "NotFound(Resource", NO_CONFIG);
    assert!(world.get_url(named("echo", None)).await.is_ok());
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let world = world().await;
    let sent = json!({ "AllowOrigins": ["https://a.example"], "AllowMethods": [], "MaxAge": 0 });
    let created = world.create_url(cors(&sent)).await.unwrap();
    assert_eq!(created["Cors"], sent);
    world.clock.advance(Duration::from_secs(1));
    let mut expected = json!({
        "FunctionUrl": created["FunctionUrl"], "CreationTime": created["CreationTime"],
        "LastModifiedTime": "2023-11-14T22:13:21.123Z",
        "AuthType": "NONE", "InvokeMode": "BUFFERED", "Cors": sent,
    });
    let origins = json!({ "AllowOrigins": ["*"], "AllowCredentials": true });
    for (change, member, value) in [
        (json!({}), "AuthType", json!("NONE")),
        (json!({ "AuthType": "AWS_IAM" }), "AuthType", json!("AWS_IAM")),
        (json!({ "InvokeMode": "RESPONSE_STREAM" }), "InvokeMode", json!("RESPONSE_STREAM")),
        (json!({ "Cors": origins }), "Cors", origins.clone()),
        (json!({ "Cors": {} }), "Cors", Value::Null),
    ] {
        let mut request = named("echo", None);
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        expected[member] = value;
        check(&world.update_url(request).await.unwrap(), &expected);
        check(&world.get_url(named("echo", None)).await.unwrap(), &expected);
    }
}

#[tokio::test]
async fn origins_are_needed_where_anything_is_said_of_them() {
    let world = world().await;
    let missing = "You can't leave AllowOrigins as empty when Cors is enabled.";
    for refused in [
        json!({ "AllowCredentials": false }),
        json!({ "AllowMethods": ["GET"] }),
        json!({ "AllowOrigins": [] }),
    ] {
        check_error(world.create_url(cors(&refused)).await, "FunctionUrl(NoOrigins", missing);
    }
    let created = world.create_url(cors(&json!({}))).await.unwrap();
    assert_eq!(created.get("Cors"), None);
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_words_of_each_operation() {
    let world = world().await;
    let mismatch = "The derived qualifier from the function name does not match the specified qualifier.";
    for (name, qualifier, of_functions, of_configs) in [
        ("nothing", None, ("FunctionUrl(FunctionMissing", NO_FUNCTION), ("NotFound(Resource", NO_CONFIG)),
        (
            "echo",
            Some("none"),
            ("FunctionUrl(FunctionMissing", NO_FUNCTION),
            ("NotFound(Resource", NO_CONFIG),
        ),
        (
            "echo:live",
            Some("none"),
            ("InvalidParameter(QualifierMismatch", mismatch),
            ("InvalidParameter(QualifierMismatch", mismatch),
        ),
    ] {
        let request = || named(name, qualifier);
        check_error(world.create_url(create(name, qualifier)).await, of_functions.0, of_functions.1);
        check_error(world.update_url(request()).await, of_functions.0, of_functions.1);
        check_error(world.get_url(request()).await, of_configs.0, of_configs.1);
        check_error(world.delete_url(request()).await, of_configs.0, of_configs.1);
    }
    check_error(world.update_url(named("echo", None)).await, "NotFound(Resource", NO_CONFIG);
    let list = world.list_urls(json!({ "FunctionName": "nothing" })).await;
    check_error(list, "FunctionUrl(FunctionMissing", NO_FUNCTION);
    let none = world.list_urls(json!({ "FunctionName": "echo" })).await.unwrap();
    assert_eq!(none, json!({ "FunctionUrlConfigs": [] }));
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended() {
    let world = world().await;
    for name in ["a", "b", "c"] {
        let alias = json!({ "FunctionName": "echo", "Name": name, "FunctionVersion": "1" });
        world.create_alias(alias).await.unwrap();
    }
    for qualifier in [Some("c"), Some("a"), None, Some("b")] {
        world.create_url(create("echo", qualifier)).await.unwrap();
    }
    let mut arns = Vec::new();
    let mut marker = Value::Null;
    loop {
        let request = json!({ "FunctionName": "echo", "MaxItems": 1, "Marker": marker });
        let page = world.list_urls(request).await.unwrap();
        let configs = page["FunctionUrlConfigs"].as_array().unwrap().iter();
        arns.extend(configs.map(|config| config["FunctionArn"].as_str().unwrap().to_owned()));
        marker = page["NextMarker"].clone();
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(arns, [ARN.to_owned(), format!("{ARN}:a"), format!("{ARN}:b"), format!("{ARN}:c")]);
    let foreign = world.list_urls(json!({ "FunctionName": "echo", "Marker": "any" })).await;
    check_error(foreign, "InvalidParameter(Marker", "Invalid Marker");
}

#[tokio::test]
async fn urls_go_with_their_function() {
    let world = world().await;
    let created = world.create_url(create("echo", None)).await.unwrap();
    world.create_url(create("echo", Some("live"))).await.unwrap();
    world.delete("echo", None).await.unwrap();
    check_error(world.get_url(named("echo", None)).await, "NotFound(Resource", NO_CONFIG);
    let world = world.with_function("echo").await;
    check_error(world.get_url(named("echo", Some("live"))).await, "NotFound(Resource", NO_CONFIG);
    let again = world.create_url(create("echo", None)).await.unwrap();
    assert_ne!(again["FunctionUrl"], created["FunctionUrl"]);
}
