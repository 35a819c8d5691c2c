//! Aliases. Recorded in localstack's `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaAlias`.

use serde_json::{Value, json};

use super::harness::{World, check, check_error};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const LATE: &str = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias \
                    API to retrieve the latest Revision Id";

/// A function `echo` with versions 1 and 2.
async fn world() -> World {
    let world = World::new().with_function("echo").await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    world.configure(json!({ "FunctionName": "echo", "Timeout": 9 })).await.unwrap();
    world.control.settle().await.unwrap();
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    world
}

fn alias(name: &str, version: &str) -> Value {
    json!({ "FunctionName": "echo", "Name": name, "FunctionVersion": version })
}

fn weighted(name: &str, version: &str, weights: &Value) -> Value {
    let mut request = alias(name, version);
    request["RoutingConfig"] = json!({ "AdditionalVersionWeights": weights });
    request
}

fn names(list: &Value) -> Vec<&str> {
    list["Aliases"].as_array().unwrap().iter().map(|alias| alias["Name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_alias_reads_back_and_names_its_version() {
    let world = world().await;
    let created = world.create_alias(alias("live", "1")).await.unwrap();
    check(
        &created,
        &json!({
            "AliasArn": format!("{ARN}:live"), "Name": "live", "FunctionVersion": "1", "Description": "",
            "RoutingConfig": null,
        }),
    );
    assert_eq!(world.get_alias("echo", "live").await.unwrap(), created);
    let configuration = world.get("echo", Some("live")).await.unwrap();
    check(&configuration, &json!({ "FunctionArn": format!("{ARN}:live"), "Version": "1", "Timeout": 3 }));
    let restarted = world.restart();
    assert_eq!(restarted.get_alias("echo", "live").await.unwrap(), created);
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let world = world().await;
    let created = world.create_alias(weighted("live", "1", &json!({ "2": 0.25 }))).await.unwrap();
    check(&created, &json!({ "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.25 } } }));
    let described = json!({ "FunctionName": "echo", "Name": "live", "Description": "traffic" });
    let updated = world.update_alias(described).await.unwrap();
    check(
        &updated,
        &json!({ "Description": "traffic", "FunctionVersion": "1", "RoutingConfig": created["RoutingConfig"] }),
    );
    assert_ne!(updated["RevisionId"], created["RevisionId"]);
    let cleared = world.update_alias(weighted("live", "2", &json!({}))).await.unwrap();
    check(&cleared, &json!({ "FunctionVersion": "2", "RoutingConfig": null, "Description": "traffic" }));
    let stale = json!({ "FunctionName": "echo", "Name": "live", "RevisionId": updated["RevisionId"] });
    check_error(world.update_alias(stale).await, "RevisionMismatch", LATE);
    assert_eq!(world.get_alias("echo", "live").await.unwrap(), cleared);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let world = world().await;
    world.create_alias(alias("live", "1")).await.unwrap();
    for (request, variant, text) in [
        (alias("live", "1"), "Conflict(AliasExists", format!("Alias already exists: {ARN}:live")),
        (alias("other", "10"), "NotFound(Function", format!("Function not found: {ARN}:10")),
        (
            weighted("other", "1", &json!({ "2": 0.1, "3": 0.1 })),
            "InvalidParameter(WeightCount",
            "Number of items in AdditionalVersionWeights cannot be greater than 1".to_owned(),
        ),
        (
            weighted("other", "1", &json!({ "1": 0.5 })),
            "InvalidParameter(WeightOfMainVersion",
            "Invalid function version 1. Function version 1 is already included in routing configuration."
                .to_owned(),
        ),
        (
            weighted("other", "$LATEST", &json!({ "1": 0.5 })),
            "LatestWithWeights",
            "$LATEST is not supported for an alias pointing to more than 1 version".to_owned(),
        ),
        (
            weighted("other", "1", &json!({ "12": 0.5 })),
            "NotFound(Function",
            format!("Function not found: {ARN}:12"),
        ),
    ] {
        check_error(world.create_alias(request).await, variant, &text);
    }
    let list = world.list_aliases(json!({ "FunctionName": "echo" })).await.unwrap();
    assert_eq!(names(&list), ["live"], "a refused alias leaves nothing behind");
}

#[tokio::test]
async fn what_is_missing_is_named_in_the_words_of_its_operation() {
    let world = world().await;
    let nothing = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nothing";
    check_error(
        world.get_alias("echo", "x").await,
        "NotFound(Alias",
        &format!("Cannot find alias arn: {ARN}:x"),
    );
    check_error(
        world.update_alias(json!({ "FunctionName": "echo", "Name": "x" })).await,
        "NotFound(ChangedAlias",
        &format!("Alias not found: {ARN}:x"),
    );
    world.delete_alias("echo", "x").await.unwrap();
    check_error(world.get_alias("nothing", "x").await, "NotFound(Function", nothing);
    check_error(world.delete_alias("nothing", "x").await, "NotFound(Function", nothing);
    check_error(world.list_aliases(json!({ "FunctionName": "nothing" })).await, "NotFound(Function", nothing);
}

#[tokio::test]
async fn aliases_are_listed_by_name_and_by_version() {
    let world = world().await;
    for (name, version) in [("c", "1"), ("a", "2"), ("b", "1"), ("d", "$LATEST")] {
        world.create_alias(alias(name, version)).await.unwrap();
    }
    let all = world.list_aliases(json!({ "FunctionName": "echo" })).await.unwrap();
    assert_eq!(names(&all), ["a", "b", "c", "d"]);
    let of_one = json!({ "FunctionName": "echo", "FunctionVersion": "1" });
    assert_eq!(names(&world.list_aliases(of_one).await.unwrap()), ["b", "c"]);
    let first = world.list_aliases(json!({ "FunctionName": "echo", "MaxItems": 3 })).await.unwrap();
    assert_eq!(names(&first), ["a", "b", "c"]);
    world.delete_alias("echo", "c").await.unwrap();
    let marker = &first["NextMarker"];
    let rest = world.list_aliases(json!({ "FunctionName": "echo", "Marker": marker })).await.unwrap();
    assert_eq!(names(&rest), ["d"]);
    let other = json!({ "FunctionName": "echo", "FunctionVersion": "1", "Marker": marker });
    check_error(world.list_aliases(other).await, "InvalidParameter(Marker", "Invalid Marker");
}

#[tokio::test]
async fn a_version_that_aliases_name_stays() {
    let world = world().await;
    world.create_alias(weighted("live", "1", &json!({ "2": 0.5 }))).await.unwrap();
    world.create_alias(alias("stable", "2")).await.unwrap();
    check_error(
        world.delete("echo", Some("2")).await,
        "Conflict(VersionInUse",
        "Unable to delete version because the following aliases reference it: [live, stable]",
    );
    world.update_alias(weighted("live", "1", &json!({}))).await.unwrap();
    world.delete_alias("echo", "stable").await.unwrap();
    world.delete("echo", Some("2")).await.unwrap();
    world.delete("echo", None).await.unwrap();
    world.create(json!({ "FunctionName": "echo" })).await.unwrap();
    check_error(
        world.get_alias("echo", "live").await,
        "NotFound(Alias",
        &format!("Cannot find alias arn: {ARN}:live"),
    );
}

#[tokio::test]
async fn an_event_source_can_be_mapped_to_an_alias() {
    let world = world().await;
    world.create_alias(alias("live", "1")).await.unwrap();
    let map = |function: &str| {
        let queue = "arn:aws:sqs:us-east-1:000000000000:queue";
        let request = json!({ "FunctionName": function, "EventSourceArn": queue });
        world.control.create_event_source_mapping(&world.scope, super::harness::request(request))
    };
    let mapped = map("echo:live").await.unwrap();
    assert_eq!(mapped.function_arn.unwrap(), format!("{ARN}:live"));
    check_error(map("echo:none").await, "Mapping(InvalidParameter", "Function does not exist");
}
