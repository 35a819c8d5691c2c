//! Provisioned concurrency. Texts as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaProvisionedConcurrency`; others name their
//! source where they are declared.

use firelet_api::model;
use firelet_store::function::{Allocation, AllocationStatus, Entry};
use firelet_types::Qualifier;
use serde_json::{Value, json};

use super::harness::{World, answer, check, check_error, request};
use crate::{Error, Quotas};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const UNPUBLISHED: &str =
    "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
const OF_UNPUBLISHED: &str = "The function resource provided must be an alias or a published version.";
const MISSING: &str = "No Provisioned Concurrency Config found for this function";
const VERSION_PROVISIONED: &str =
    "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version";
const ALIAS_PROVISIONED: &str = "Version is pointed by a Provisioned Concurrency alias";
const ABOVE_RESERVATION: &str = "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function";
const WEIGHTS: &str = "Alias with weights can not be used with Provisioned Concurrency";

impl World {
    async fn provision(&self, qualifier: &str, executions: i32) -> Result<Value, Error> {
        self.provision_of("echo", qualifier, executions).await
    }

    async fn provision_of(&self, name: &str, qualifier: &str, executions: i32) -> Result<Value, Error> {
        let request = request(json!({
            "FunctionName": name, "Qualifier": qualifier, "ProvisionedConcurrentExecutions": executions,
        }));
        self.control.put_provisioned_concurrency_config(&self.scope, request).await.map(answer)
    }

    async fn provisioned(&self, name: &str, qualifier: &str) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name, "Qualifier": qualifier }));
        self.control.get_provisioned_concurrency_config(&self.scope, request).await.map(answer)
    }

    async fn unprovision(&self, name: &str, qualifier: &str) -> Result<(), Error> {
        let request = request(json!({ "FunctionName": name, "Qualifier": qualifier }));
        self.control.delete_provisioned_concurrency_config(&self.scope, request).await
    }

    async fn list_provisioned(&self, members: Value) -> Result<Value, Error> {
        self.control.list_provisioned_concurrency_configs(&self.scope, request(members)).await.map(answer)
    }

    async fn reserve_for_echo(&self, executions: i32) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": "echo", "ReservedConcurrentExecutions": executions }));
        self.control.put_function_concurrency(&self.scope, request).await.map(answer)
    }

    async fn left(&self) -> Value {
        let request = model::GetAccountSettingsRequest {};
        let settings = answer(self.control.get_account_settings(&self.scope, request).await.unwrap());
        settings["AccountLimit"]["UnreservedConcurrentExecutions"].clone()
    }

    /// Says what the server would: how far it is.
    async fn report(&self, qualifier: &str, allocation: Allocation) {
        let qualifier = Qualifier::from(qualifier);
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            let mut record = entry.provisioned_concurrency(&qualifier)?.unwrap();
            record.allocation = allocation;
            Ok(entry.put_provisioned_concurrency(&record)?)
        };
        self.control.store.functions().update(&self.scope, &"echo".parse().unwrap(), decide).await.unwrap();
    }
}

/// A function `echo` with versions 1 and 2, and aliases `live` of 1 and `newest` of `$LATEST`.
async fn world() -> World {
    with_versions(World::new()).await
}

async fn with_versions(world: World) -> World {
    let world = world.with_function("echo").await;
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    world.configure(json!({ "FunctionName": "echo", "Timeout": 9 })).await.unwrap();
    world.control.settle().await.unwrap();
    world.publish(json!({ "FunctionName": "echo" })).await.unwrap();
    for (name, version) in [("live", "1"), ("newest", "$LATEST")] {
        let alias = json!({ "FunctionName": "echo", "Name": name, "FunctionVersion": version });
        world.create_alias(alias).await.unwrap();
    }
    world
}

fn move_alias(name: &str, version: &str, weights: &Value) -> Value {
    json!({
        "FunctionName": "echo", "Name": name, "FunctionVersion": version,
        "RoutingConfig": { "AdditionalVersionWeights": weights },
    })
}

fn figures(requested: i32, allocated: u32, available: u32, status: &str) -> Value {
    json!({
        "RequestedProvisionedConcurrentExecutions": requested,
        "AllocatedProvisionedConcurrentExecutions": allocated,
        "AvailableProvisionedConcurrentExecutions": available,
        "Status": status, "StatusReason": null, "LastModified": "2023-11-14T22:13:20+0000",
    })
}

#[tokio::test]
async fn it_begins_in_progress_and_shows_what_the_server_reports() {
    let world = world().await;
    let begun = figures(3, 0, 0, "IN_PROGRESS");
    check(&world.provision("1", 3).await.unwrap(), &begun);
    check(&world.provisioned(ARN, "1").await.unwrap(), &begun);
    world.report("1", Allocation { allocated: 3, available: 2, status: AllocationStatus::Ready }).await;
    check(&world.provisioned("echo", "1").await.unwrap(), &figures(3, 3, 2, "READY"));
    check(&world.provision("1", 5).await.unwrap(), &figures(5, 3, 2, "IN_PROGRESS"));
    let reason = "FUNCTION_ERROR_INIT_FAILURE".to_owned();
    let status = AllocationStatus::Failed { reason };
    world.report("1", Allocation { allocated: 3, available: 3, status }).await;
    let failed = json!({ "Status": "FAILED", "StatusReason": "FUNCTION_ERROR_INIT_FAILURE" });
    check(&world.provisioned("echo", "1").await.unwrap(), &failed);
    check(&world.provision("1", 2).await.unwrap(), &figures(2, 2, 3, "IN_PROGRESS"));
    let world = world.restart();
    check(&world.provisioned("echo", "1").await.unwrap(), &figures(2, 0, 0, "IN_PROGRESS"));
    world.unprovision("echo", "1").await.unwrap();
    world.unprovision("echo", "1").await.unwrap();
    check_error(world.provisioned("echo", "1").await, "ProvisionedConcurrency(Missing", MISSING);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let world = world().await;
    let none = "arn:aws:lambda:us-east-1:000000000000:function:none";
    for (name, qualifier, text) in [
        ("none", "alias", format!("Cannot find alias arn: {none}:alias")),
        ("none", "1", format!("Function not found: {none}:1")),
        ("echo", "alias", format!("Cannot find alias arn: {ARN}:alias")),
        ("echo", "10", format!("Function not found: {ARN}:10")),
    ] {
        check_error(world.provision_of(name, qualifier, 1).await, "NotFound", &text);
        check_error(world.provisioned(name, qualifier).await, "NotFound", &text);
        check_error(world.unprovision(name, qualifier).await, "NotFound", &text);
    }
    let list = world.list_provisioned(json!({ "FunctionName": "none" })).await;
    check_error(list, "NotFound", &format!("Function not found: {none}"));
    for qualifier in ["1", "live", "newest"] {
        let get = world.provisioned("echo", qualifier).await;
        check_error(get, "ProvisionedConcurrency(Missing", MISSING);
        world.unprovision("echo", qualifier).await.unwrap();
    }
}

#[tokio::test]
async fn latest_has_none() {
    let world = world().await;
    for qualifier in ["$LATEST", "newest"] {
        let put = world.provision(qualifier, 1).await;
        check_error(put, "ProvisionedConcurrency(Unpublished", UNPUBLISHED);
    }
    let get = world.provisioned("echo", "$LATEST").await;
    check_error(get, "ProvisionedConcurrency(OfUnpublished", OF_UNPUBLISHED);
    let delete = world.unprovision("echo", "$LATEST").await;
    check_error(delete, "ProvisionedConcurrency(OfUnpublished", OF_UNPUBLISHED);
    world.provision("live", 1).await.unwrap();
    let moved = world.update_alias(move_alias("live", "$LATEST", &json!({}))).await;
    check_error(moved, "ProvisionedConcurrency(Unpublished", UNPUBLISHED);
}

#[tokio::test]
async fn a_version_has_it_once() {
    let world = world().await;
    let other = json!({ "FunctionName": "echo", "Name": "other", "FunctionVersion": "1" });
    world.create_alias(other).await.unwrap();
    world.provision("1", 1).await.unwrap();
    let put = world.provision("live", 1).await;
    check_error(put, "ProvisionedConcurrency(VersionProvisioned", VERSION_PROVISIONED);
    world.unprovision("echo", "1").await.unwrap();
    world.provision("live", 1).await.unwrap();
    world.provision("live", 2).await.unwrap();
    let put = world.provision("1", 1).await;
    check_error(put, "ProvisionedConcurrency(AliasProvisioned", ALIAS_PROVISIONED);
    let put = world.provision("other", 1).await;
    check_error(put, "ProvisionedConcurrency(VersionProvisioned", VERSION_PROVISIONED);
    world.provision("2", 1).await.unwrap();
    let moved = world.update_alias(move_alias("live", "2", &json!({}))).await;
    check_error(moved, "ProvisionedConcurrency(VersionProvisioned", VERSION_PROVISIONED);
    world.update_alias(move_alias("other", "2", &json!({}))).await.unwrap();
}

#[tokio::test]
async fn versions_that_cannot_start_ahead_have_none() {
    let world = World::new();
    for (name, setting, variant, text) in [
        (
            "snapped",
            json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } }),
            "ProvisionedConcurrency(SnapStart",
            "Provisioned Concurrency is not supported for SnapStart enabled functions.",
        ),
        (
            "tenanted",
            json!({ "TenancyConfig": { "TenantIsolationMode": "PER_TENANT" } }),
            "ProvisionedConcurrency(Tenancy",
            "Provisioned Concurrency is not supported for functions enabled with tenancy configuration.",
        ),
    ] {
        let mut function = json!({ "FunctionName": name, "Publish": true });
        function.as_object_mut().unwrap().extend(setting.as_object().unwrap().clone());
        world.create(function).await.unwrap();
        check_error(world.provision_of(name, "1", 1).await, variant, text);
    }
}

#[tokio::test]
async fn it_moves_with_its_alias_and_begins_anew() {
    let world = world().await;
    world.provision("live", 2).await.unwrap();
    let ready = Allocation { allocated: 2, available: 2, status: AllocationStatus::Ready };
    world.report("live", ready.clone()).await;
    let described = json!({ "FunctionName": "echo", "Name": "live", "Description": "traffic" });
    world.update_alias(described).await.unwrap();
    check(&world.provisioned("echo", "live").await.unwrap(), &figures(2, 2, 2, "READY"));
    world.update_alias(move_alias("live", "2", &json!({}))).await.unwrap();
    check(&world.provisioned("echo", "live").await.unwrap(), &figures(2, 0, 0, "IN_PROGRESS"));
    world.provision("1", 1).await.unwrap();
    let put = world.provision("2", 1).await;
    check_error(put, "ProvisionedConcurrency(AliasProvisioned", ALIAS_PROVISIONED);
}

#[tokio::test]
async fn an_alias_with_weights_keeps_what_it_has() {
    let world = world().await;
    world.provision("live", 2).await.unwrap();
    world.update_alias(move_alias("live", "1", &json!({ "2": 0.5 }))).await.unwrap();
    let put = world.provision("live", 1).await;
    check_error(put, "ProvisionedConcurrency(AliasWithWeights", WEIGHTS);
    let delete = world.unprovision("echo", "live").await;
    check_error(delete, "ProvisionedConcurrency(AliasWithWeights", WEIGHTS);
    let moved = world.update_alias(move_alias("live", "2", &json!({ "1": 0.5 }))).await;
    let text = "Invalid alias configuration for Provisioned Concurrency";
    check_error(moved, "ProvisionedConcurrency(AliasMovesWithWeights", text);
    world.update_alias(move_alias("live", "2", &json!({}))).await.unwrap();
    world.unprovision("echo", "live").await.unwrap();
}

#[tokio::test]
async fn it_ends_with_its_alias_version_and_function() {
    let world = world().await;
    let list = json!({ "FunctionName": "echo" });
    world.provision("live", 1).await.unwrap();
    world.provision("2", 1).await.unwrap();
    world.delete_alias("echo", "live").await.unwrap();
    let alias_gone = world.provisioned("echo", "live").await;
    check_error(alias_gone, "NotFound(Alias", &format!("Cannot find alias arn: {ARN}:live"));
    world.delete("echo", Some("2")).await.unwrap();
    let left = world.list_provisioned(list.clone()).await.unwrap();
    assert_eq!(left, json!({ "ProvisionedConcurrencyConfigs": [] }));
    world.provision("1", 7).await.unwrap();
    assert_eq!(world.left().await, json!(993));
    world.delete("echo", None).await.unwrap();
    assert_eq!(world.left().await, json!(1_000));
    let world = with_versions(world).await;
    assert_eq!(world.list_provisioned(list).await.unwrap(), json!({ "ProvisionedConcurrencyConfigs": [] }));
}

#[tokio::test]
async fn a_list_has_pages() {
    let world = world().await;
    for qualifier in ["live", "2"] {
        world.provision(qualifier, 1).await.unwrap();
    }
    let first = world.list_provisioned(json!({ "FunctionName": "echo", "MaxItems": 1 })).await.unwrap();
    let rest = json!({ "FunctionName": "echo", "Marker": first["NextMarker"] });
    let rest = world.list_provisioned(rest).await.unwrap();
    assert_eq!(rest.get("NextMarker"), None);
    for (page, qualifier) in [(first, "2"), (rest, "live")] {
        let item = &page["ProvisionedConcurrencyConfigs"][0];
        check(item, &figures(1, 0, 0, "IN_PROGRESS"));
        assert_eq!(item["FunctionArn"], json!(format!("{ARN}:{qualifier}")));
    }
    let foreign = world.list_provisioned(json!({ "FunctionName": "echo", "Marker": "x" })).await;
    check_error(foreign, "InvalidParameter(Marker", "Invalid Marker");
}

#[tokio::test]
async fn no_more_is_provisioned_than_is_reserved_nor_less_reserved_than_provisioned() {
    let world = world().await;
    world.reserve_for_echo(5).await.unwrap();
    world.provision("1", 3).await.unwrap();
    world.provision("2", 2).await.unwrap();
    assert_eq!(world.left().await, json!(995));
    for (qualifier, executions) in [("1", 4), ("2", 3), ("2", i32::MAX)] {
        let put = world.provision(qualifier, executions).await;
        check_error(put, "ProvisionedConcurrency(AboveReservation", ABOVE_RESERVATION);
    }
    let text = " ReservedConcurrentExecutions  4 should not be lower than function's total provisioned concurrency [5].";
    check_error(world.reserve_for_echo(4).await, "Concurrency(BelowProvisioned", text);
    world.reserve_for_echo(6).await.unwrap();
    world.provision("2", 3).await.unwrap();
}

#[tokio::test]
async fn without_a_reservation_it_is_taken_from_the_account() {
    let world = World::with_quotas(Quotas { concurrent_executions: 110, ..Quotas::default() });
    let world = with_versions(world).await;
    let minimum = "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
                   below its minimum value of [100].";
    let above = |left: i32| {
        format!(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{left}]."
        )
    };
    world.provision("1", 6).await.unwrap();
    assert_eq!(world.left().await, json!(104));
    check_error(world.provision("2", 5).await, "ProvisionedConcurrency(UnreservedMinimum", minimum);
    check_error(world.provision("2", 105).await, "ProvisionedConcurrency(AboveAccount", &above(104));
    check_error(world.provision("1", 111).await, "ProvisionedConcurrency(AboveAccount", &above(110));
    world.provision("2", 4).await.unwrap();
    check_error(world.provision("1", 7).await, "ProvisionedConcurrency(UnreservedMinimum", minimum);
    assert_eq!(world.left().await, json!(100));
    // A reservation takes the place of what was provisioned, and is judged by what it adds.
    world.reserve_for_echo(10).await.unwrap();
    assert_eq!(world.left().await, json!(100));
    let text = "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
                below its minimum value of [100].";
    check_error(world.reserve_for_echo(11).await, "Concurrency(UnreservedMinimum", text);
}
