//! Functions that keep tenants apart. That this is settled when a function is created is in
//! <https://docs.aws.amazon.com/lambda/latest/api/API_TenancyConfig.html>.

use serde_json::json;

use super::harness::{World, check, encoded, package};

#[tokio::test]
async fn tenancy_is_settled_by_the_creation() {
    let tenancy = json!({ "TenantIsolationMode": "PER_TENANT" });
    let world = World::new().with_function("shared").await;
    let created = world.create(json!({ "FunctionName": "echo", "TenancyConfig": tenancy })).await.unwrap();
    let expected = json!({ "TenancyConfig": tenancy });
    check(&created, &expected);
    world.control.settle().await.unwrap();
    check(&world.configure(json!({ "FunctionName": "echo", "Timeout": 9 })).await.unwrap(), &expected);
    world.control.settle().await.unwrap();
    let zip = encoded(&package("app.py", b"2"));
    check(&world.update_code(json!({ "FunctionName": "echo", "ZipFile": zip })).await.unwrap(), &expected);
    world.control.settle().await.unwrap();
    check(&world.publish(json!({ "FunctionName": "echo" })).await.unwrap(), &expected);
    let world = world.restart();
    check(&world.get("echo", None).await.unwrap(), &expected);
    check(&world.list(json!({})).await.unwrap()["Functions"][0], &expected);
    check(&world.get("shared", None).await.unwrap(), &json!({ "TenancyConfig": null }));
}
