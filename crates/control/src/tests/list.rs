//! Lists, their pages and their markers.

use serde_json::{Value, json};

use super::harness::{World, check_error};

fn names(page: &Value) -> Vec<String> {
    let functions = page["Functions"].as_array().unwrap();
    let name = |function: &Value| {
        function["FunctionArn"].as_str().unwrap().split_once(":function:").unwrap().1.to_owned()
    };
    functions.iter().map(name).collect()
}

async fn world_of(names: &[&str]) -> World {
    let world = World::new();
    for name in names {
        world.create(json!({ "FunctionName": name })).await.unwrap();
    }
    world
}

#[tokio::test]
async fn items_show_no_states() {
    let world = world_of(&["a"]).await;
    let page = world.list(json!({})).await.unwrap();
    let item = page["Functions"][0].as_object().unwrap();
    for absent in ["State", "StateReason", "StateReasonCode", "LastUpdateStatus", "RuntimeVersionConfig"] {
        assert!(!item.contains_key(absent), "{absent} in {item:?}");
    }
    for present in ["RevisionId", "CodeSha256", "LoggingConfig", "SnapStart", "EphemeralStorage", "Version"] {
        assert!(item.contains_key(present), "{present} not in {item:?}");
    }
}

#[tokio::test]
async fn pages_follow_one_another() {
    let world = world_of(&["e", "d", "c", "b", "a"]).await;
    let mut seen = Vec::new();
    let mut marker = Value::Null;
    loop {
        let page = world.list(json!({ "MaxItems": 2, "Marker": marker })).await.unwrap();
        seen.extend(names(&page));
        match page.get("NextMarker") {
            Some(next) => marker = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    let all = world.list(json!({ "MaxItems": 5 })).await.unwrap();
    assert_eq!(all.get("NextMarker"), None);
}

#[tokio::test]
async fn a_page_goes_on_where_it_was_whatever_changed() {
    let world = world_of(&["a", "c", "e"]).await;
    let first = world.list(json!({ "MaxItems": 2 })).await.unwrap();
    world.delete("c", None).await.unwrap();
    world.create(json!({ "FunctionName": "b" })).await.unwrap();
    world.create(json!({ "FunctionName": "d" })).await.unwrap();
    let second = world.list(json!({ "MaxItems": 2, "Marker": first["NextMarker"] })).await.unwrap();
    assert_eq!(names(&second), ["d", "e"]);
}

#[tokio::test]
async fn no_page_has_more_than_50_items() {
    let every: Vec<String> = (0..51).map(|number| format!("f{number:02}")).collect();
    let world = world_of(&every.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let page = world.list(json!({ "MaxItems": 10_000 })).await.unwrap();
    assert_eq!(names(&page), every[..50]);
    let page = world.list(json!({ "Marker": page["NextMarker"] })).await.unwrap();
    assert_eq!(names(&page), every[50..]);
}

#[tokio::test]
async fn all_versions_are_listed_qualified() {
    let world = World::new();
    world.create(json!({ "FunctionName": "a", "Publish": true })).await.unwrap();
    world.create(json!({ "FunctionName": "b" })).await.unwrap();
    let all = world.list(json!({ "FunctionVersion": "ALL" })).await.unwrap();
    assert_eq!(names(&all), ["a:$LATEST", "a:1", "b:$LATEST"]);
    let first = world.list(json!({ "FunctionVersion": "ALL", "MaxItems": 1 })).await.unwrap();
    let marker = &first["NextMarker"];
    let rest = world.list(json!({ "FunctionVersion": "ALL", "Marker": marker })).await.unwrap();
    assert_eq!(names(&rest), ["a:1", "b:$LATEST"]);
    check_error(world.list(json!({ "Marker": marker })).await, "InvalidParameter", "Invalid Marker");
}

#[tokio::test]
async fn markers_that_no_list_gave_out_are_refused() {
    let world = world_of(&["a", "b"]).await;
    let page = world.list(json!({ "MaxItems": 1 })).await.unwrap();
    let marker = page["NextMarker"].as_str().unwrap();
    let mut changed = marker.to_owned();
    changed.replace_range(..2, "Yz");
    for marker in ["", "x", "YTokTEFURVNU", &changed] {
        check_error(world.list(json!({ "Marker": marker })).await, "InvalidParameter", "Invalid Marker");
    }
    let world = world.restart();
    assert_eq!(names(&world.list(json!({ "Marker": marker })).await.unwrap()), ["b"]);
}

#[tokio::test]
async fn accounts_and_regions_do_not_see_one_another() {
    let mut world = world_of(&["a"]).await;
    world.scope.region = "eu-west-1".parse().unwrap();
    assert_eq!(world.list(json!({})).await.unwrap(), json!({ "Functions": [] }));
    world.create(json!({ "FunctionName": "a" })).await.unwrap();
    world.scope.account = "123456789012".parse().unwrap();
    assert_eq!(world.list(json!({})).await.unwrap(), json!({ "Functions": [] }));
}

#[tokio::test]
async fn there_are_no_replicas_of_masters() {
    let world = world_of(&["a"]).await;
    let replicas = json!({ "MasterRegion": "us-east-1", "FunctionVersion": "ALL" });
    assert_eq!(world.list(replicas).await.unwrap(), json!({ "Functions": [] }));
    let any = json!({ "MasterRegion": "ALL", "FunctionVersion": "ALL" });
    assert_eq!(names(&world.list(any).await.unwrap()), ["a:$LATEST"]);
    let text = "FunctionVersion must be set to ALL when MasterRegion is specified.";
    check_error(world.list(json!({ "MasterRegion": "us-east-1" })).await, "InvalidParameter", text);
}
