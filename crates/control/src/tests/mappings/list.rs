//! Mappings read together: which are listed, in pages, and to whom. What each says of itself is in `settings.rs`.

use serde_json::{Value, json};

use super::super::harness::{World, check, check_error};
use super::{FUNCTION, QUEUE, ids, of, with};

#[tokio::test]
async fn lists_are_chosen_and_come_in_pages() {
    let world = World::new().with_function("echo").await;
    world.create(json!({ "FunctionName": "other" })).await.unwrap();
    for index in 0..5 {
        world.mapped(of(&format!("{QUEUE}-{index}"))).await;
    }
    let other = world.mapped(with(&of(&format!("{QUEUE}-0")), json!({ "FunctionName": "other" }))).await;
    let all = ids(&world.mappings(json!({})).await.unwrap());
    assert_eq!(all.len(), 6);
    let mut seen = Vec::new();
    let mut marker = Value::Null;
    loop {
        let page = world.mappings(json!({ "MaxItems": 4, "Marker": marker })).await.unwrap();
        seen.extend(ids(&page));
        match page.get("NextMarker") {
            Some(next) => marker = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen, all);
    assert_eq!(ids(&world.mappings(json!({ "FunctionName": "other" })).await.unwrap()), [&*other]);
    assert_eq!(ids(&world.mappings(json!({ "FunctionName": FUNCTION })).await.unwrap()).len(), 5);
    let shared = world.mappings(json!({ "EventSourceArn": format!("{QUEUE}-0") })).await.unwrap();
    assert_eq!(ids(&shared).len(), 2);
    let both = json!({ "EventSourceArn": format!("{QUEUE}-0"), "FunctionName": "other" });
    assert_eq!(ids(&world.mappings(both).await.unwrap()), [other]);
    let none = world.mappings(json!({ "FunctionName": "echo:$LATEST" })).await.unwrap();
    assert_eq!(none, json!({ "EventSourceMappings": [] }));
    let marker = world.mappings(json!({ "MaxItems": 1 })).await.unwrap()["NextMarker"].clone();
    for foreign in [
        json!({ "Marker": "x" }),
        json!({ "Marker": "" }),
        json!({ "Marker": marker, "FunctionName": "echo" }),
        json!({ "Marker": marker, "EventSourceArn": QUEUE }),
    ] {
        check_error(world.mappings(foreign).await, "InvalidParameter", "Invalid Marker");
    }
}

#[tokio::test]
async fn no_page_has_more_than_100_mappings() {
    let world = World::new().with_function("echo").await;
    for index in 0..101 {
        world.map(of(&format!("{QUEUE}-{index}"))).await.unwrap();
    }
    let first = world.mappings(json!({ "MaxItems": 10_000 })).await.unwrap();
    assert_eq!(ids(&first).len(), 100);
    let rest = world.mappings(json!({ "Marker": first["NextMarker"] })).await.unwrap();
    assert_eq!((ids(&rest).len(), rest.get("NextMarker")), (1, None));
}

#[tokio::test]
async fn filters_that_a_key_encrypts_are_not_listed() {
    let world = World::new().with_function("echo").await;
    let filters = json!({ "Filters": [{ "Pattern": "{\"a\":[1]}" }] });
    let key = "arn:aws:kms:us-east-1:000000000000:key/k";
    let id = world.mapped(with(&of(QUEUE), json!({ "FilterCriteria": filters, "KMSKeyArn": key }))).await;
    let listed = async || world.mappings(json!({})).await.unwrap()["EventSourceMappings"][0].clone();
    check(&listed().await, &json!({ "FilterCriteria": null, "KMSKeyArn": key }));
    check(&world.mapping(&id).await.unwrap(), &json!({ "FilterCriteria": filters }));
    world.remap(&id, json!({ "KMSKeyArn": "" })).await.unwrap();
    check(&listed().await, &json!({ "FilterCriteria": filters, "KMSKeyArn": null }));
}

#[tokio::test]
async fn accounts_and_regions_do_not_see_one_another() {
    let mut world = World::new().with_function("echo").await;
    let id = world.mapped(of(QUEUE)).await;
    let text = "The resource you requested does not exist.";
    let home = world.scope.clone();
    for scope in [
        firelet_types::Scope { region: "eu-west-1".parse().unwrap(), ..home.clone() },
        firelet_types::Scope { account: "123456789012".parse().unwrap(), ..home },
    ] {
        world.scope = scope;
        check_error(world.mapping(&id).await, "Mapping(NotFound", text);
        check_error(world.unmap(&id).await, "Mapping(NotFound", text);
        assert_eq!(world.mappings(json!({})).await.unwrap(), json!({ "EventSourceMappings": [] }));
        check_error(world.map(of(QUEUE)).await, "Mapping", "Function does not exist");
    }
}
