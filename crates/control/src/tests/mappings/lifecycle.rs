//! How a mapping goes from state to state: it is made once, changed at rest, deleted, and outlives its function and a
//! restart. How several are read together is in `list.rs`.

use firelet_types::clock::ManualClock;
use serde_json::{Value, json};

use super::super::harness::{World, check, check_error};
use super::{
    BROKER, DOCUMENTS, DYNAMODB, FIFO, FUNCTION, KINESIS, MSK, QUEUE, broker, documents, dynamodb, ids,
    kinesis, msk, of, self_managed, uuid, with,
};

const MISSING: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn states_follow_one_another() {
    let world = World::new().with_function("echo").await;
    let disabled = |base: Value| with(&base, json!({ "Enabled": false }));
    for (members, made, settled) in [
        (of(QUEUE), "Creating", "Enabled"),
        (disabled(of(FIFO)), "Disabled", "Disabled"),
        (kinesis(), "Creating", "Enabled"),
        (disabled(dynamodb()), "Creating", "Disabled"),
    ] {
        let created = world.map(members).await.unwrap();
        check(&created, &json!({ "State": made }));
        world.control.settle().await.unwrap();
        check(&world.mapping(&uuid(&created)).await.unwrap(), &json!({ "State": settled }));
    }
    let id = world.mapped(msk()).await;
    for (change, through, settled) in [
        (json!({ "Enabled": false }), "Disabling", "Disabled"),
        (json!({ "BatchSize": 5 }), "Updating", "Disabled"),
        (json!({ "Enabled": true, "BatchSize": 6 }), "Enabling", "Enabled"),
        (json!({ "Enabled": true }), "Updating", "Enabled"),
    ] {
        check(&world.remap(&id, change).await.unwrap(), &json!({ "State": through }));
        check(&world.mapping(&id).await.unwrap(), &json!({ "State": through }));
        world.control.settle().await.unwrap();
        check(&world.mapping(&id).await.unwrap(), &json!({ "State": settled, "Topics": ["topic"] }));
    }
    check(&world.mapping(&id).await.unwrap(), &json!({ "BatchSize": 6 }));
    check(&world.unmap(&id).await.unwrap(), &json!({ "State": "Deleting", "UUID": id }));
    check(&world.mapping(&id).await.unwrap(), &json!({ "State": "Deleting" }));
    world.control.settle().await.unwrap();
    check_error(world.mapping(&id).await, "Mapping", "The resource you requested does not exist.");
}

#[tokio::test]
async fn a_mapping_that_would_poll_says_that_nothing_does() {
    let world = World::new().with_function("echo").await;
    let text = "PROBLEM: firelet does not poll event sources yet.";
    for members in [of(QUEUE), kinesis(), self_managed()] {
        let id = world.mapped(members).await;
        check(
            &world.mapping(&id).await.unwrap(),
            &json!({ "State": "Enabled", "LastProcessingResult": text }),
        );
    }
}

/// Texts as clients report them, for example https://github.com/foremast/foremast/pull/476.
#[tokio::test]
async fn a_mapping_that_is_being_changed_is_in_use() {
    let world = World::new().with_function("echo").await;
    let update = "Cannot update the event source mapping because it is in use.";
    let delete = "Cannot delete the event source mapping because it is in use.";
    let id = uuid(&world.map(of(QUEUE)).await.unwrap());
    let refused = async || {
        check_error(world.remap(&id, json!({ "BatchSize": 1 })).await, "Mapping(InUse", update);
        check_error(world.unmap(&id).await, "Mapping(InUse", delete);
    };
    refused().await;
    world.control.settle().await.unwrap();
    world.remap(&id, json!({})).await.unwrap();
    refused().await;
    world.control.settle().await.unwrap();
    world.unmap(&id).await.unwrap();
    refused().await;
}

#[tokio::test]
async fn what_is_not_there_cannot_be_read_changed_or_deleted() {
    let world = World::new().with_function("echo").await;
    let text = "The resource you requested does not exist.";
    let present = world.mapped(of(QUEUE)).await;
    for id in [MISSING, "x".repeat(36).as_str(), &present.to_uppercase()] {
        check_error(world.mapping(id).await, "Mapping(NotFound", text);
        check_error(world.remap(id, json!({})).await, "Mapping(NotFound", text);
        check_error(world.unmap(id).await, "Mapping(NotFound", text);
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let world = World::new().with_function("echo").await;
    world.create(json!({ "FunctionName": "other" })).await.unwrap();
    let filters = json!({ "Filters": [{ "Pattern": "{\"a\":[1]}" }] });
    let id = world
        .mapped(with(
            &of(QUEUE),
            json!({
                "BatchSize": 5, "FilterCriteria": filters, "ScalingConfig": { "MaximumConcurrency": 3 },
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            }),
        ))
        .await;
    let kept =
        json!({ "BatchSize": 5, "FilterCriteria": filters, "ScalingConfig": { "MaximumConcurrency": 3 } });
    let other = "arn:aws:lambda:us-east-1:000000000000:function:other";
    for (change, expected) in [
        (json!({ "FunctionName": "other" }), with(&kept, json!({ "FunctionArn": other }))),
        (json!({ "BatchSize": 7 }), with(&kept, json!({ "BatchSize": 7, "FunctionArn": other }))),
        (json!({ "FilterCriteria": {} }), json!({ "FilterCriteria": null, "BatchSize": 7 })),
        (json!({ "ScalingConfig": {} }), json!({ "ScalingConfig": null })),
        (json!({ "FunctionResponseTypes": [] }), json!({ "FunctionResponseTypes": [] })),
        (
            json!({ "ProvisionedPollerConfig": { "MinimumPollers": 3 } }),
            json!({ "ProvisionedPollerConfig": { "MinimumPollers": 3, "MaximumPollers": 200 } }),
        ),
        (json!({ "ProvisionedPollerConfig": {} }), json!({ "ProvisionedPollerConfig": null })),
    ] {
        check(&world.remap(&id, change).await.unwrap(), &expected);
        world.control.settle().await.unwrap();
    }
    check_error(
        world.remap(&id, json!({ "FunctionName": "none" })).await,
        "Mapping",
        "Function does not exist",
    );
    check_error(
        world.remap(&id, json!({ "BatchSize": 11 })).await,
        "Mapping",
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
    );
    check(&world.mapping(&id).await.unwrap(), &json!({ "State": "Enabled", "BatchSize": 7 }));
}

#[tokio::test]
async fn an_update_clears_a_destination_and_keeps_the_virtual_host() {
    let world = World::new().with_function("echo").await;
    let target = json!({ "OnFailure": { "Destination": "arn:aws:sqs:us-east-1:000000000000:failed" } });
    let id = world
        .mapped(with(&kinesis(), json!({ "DestinationConfig": target, "MaximumRetryAttempts": 5 })))
        .await;
    let cleared = world.remap(&id, json!({ "DestinationConfig": { "OnFailure": {} } })).await.unwrap();
    check(&cleared, &json!({ "DestinationConfig": { "OnFailure": {} }, "MaximumRetryAttempts": 5 }));
    let id = world.mapped(broker()).await;
    let access = |kind: &str| json!({ "SourceAccessConfigurations": [{ "Type": kind, "URI": "other" }] });
    let updated = world.remap(&id, access("BASIC_AUTH")).await.unwrap();
    let expected = json!([{ "Type": "BASIC_AUTH", "URI": "other" }, { "Type": "VIRTUAL_HOST", "URI": "/" }]);
    assert_eq!(updated["SourceAccessConfigurations"], expected);
    world.control.settle().await.unwrap();
    let text = "Unsupported 'sourceAccessConfigurations' parameter for given event source mapping type.";
    check_error(world.remap(&id, access("VIRTUAL_HOST")).await, "Mapping", text);
}

#[tokio::test]
async fn the_same_mapping_cannot_be_made_twice() {
    let world = World::new();
    world.create(json!({ "FunctionName": "echo", "Publish": true })).await.unwrap();
    world.control.settle().await.unwrap();
    let again = |id: &str| format!("Please update or delete the existing mapping with UUID {id}");
    let source = |arn: &str, id: &str| {
        format!(
            "The event source arn (\" {arn} \") and function (\" echo \") provided mapping already exists. {}",
            again(id)
        )
    };
    let id = world.mapped(of(QUEUE)).await;
    let text = format!(
        "An event source mapping with SQS arn (\" {QUEUE} \") and function (\" echo \") already exists. {}",
        again(&id)
    );
    check_error(world.map(of(QUEUE)).await, "Mapping(Duplicate", &text);
    check_error(world.map(with(&of(QUEUE), json!({ "FunctionName": FUNCTION }))).await, "Mapping", &text);
    for (members, arn) in
        [(kinesis(), KINESIS), (dynamodb(), DYNAMODB), (broker(), BROKER), (documents(), DOCUMENTS)]
    {
        let id = world.mapped(members.clone()).await;
        check_error(world.map(members).await, "Mapping(Duplicate", &source(arn, &id));
    }
    for (members, sources) in [(msk(), MSK), (self_managed(), "kafka:1000,kafka:2000")] {
        let id = world.mapped(members.clone()).await;
        let text = format!(
            "An event source mapping with event source (\"{sources}\"), function (\"{FUNCTION}\"), topics \
             (\"topic\") already exists. {}",
            again(&id)
        );
        check_error(world.map(members.clone()).await, "Mapping(Duplicate", &text);
        world.mapped(with(&members, json!({ "Topics": ["another"] }))).await;
    }
    world.mapped(with(&broker(), json!({ "Queues": ["another"] }))).await;
    let by_version = world.mapped(with(&of(QUEUE), json!({ "FunctionName": "echo:1" }))).await;
    let found = world.mapping(&by_version).await.unwrap();
    check(&found, &json!({ "FunctionArn": format!("{FUNCTION}:1") }));
    let moved = world.remap(&by_version, json!({ "FunctionName": "echo" })).await;
    check_error(moved, "Mapping(Duplicate", &text);
    world.unmap(&id).await.unwrap();
    world.control.settle().await.unwrap();
    world.map(of(QUEUE)).await.unwrap();
}

#[tokio::test]
async fn a_deleted_function_leaves_its_mappings() {
    let world = World::new().with_function("echo").await;
    let id = world.mapped(of(QUEUE)).await;
    world.delete("echo", None).await.unwrap();
    let world = world.restart();
    check(&world.mapping(&id).await.unwrap(), &json!({ "State": "Enabled", "FunctionArn": FUNCTION }));
    let page = world.mappings(json!({ "FunctionName": "echo" })).await.unwrap();
    assert_eq!(ids(&page), [&*id]);
    world.unmap(&id).await.unwrap();
    world.control.settle().await.unwrap();
    let text = format!("Function not found: {FUNCTION}");
    check_error(world.mappings(json!({ "FunctionName": "echo" })).await, "NotFound", &text);
}

#[tokio::test]
async fn what_was_begun_is_finished_after_a_restart() {
    let world = World::new().with_function("echo").await;
    let made = uuid(&world.map(of(QUEUE)).await.unwrap());
    let deleted = world.mapped(kinesis()).await;
    world.unmap(&deleted).await.unwrap();
    let world = world.restart();
    check(&world.mapping(&deleted).await.unwrap(), &json!({ "State": "Deleting" }));
    world.control.settle().await.unwrap();
    check(&world.mapping(&made).await.unwrap(), &json!({ "State": "Enabled" }));
    check_error(
        world.mapping(&deleted).await,
        "Mapping(NotFound",
        "The resource you requested does not exist.",
    );
}

#[tokio::test]
async fn a_change_of_state_is_a_modification() {
    let world = World::new().with_function("echo").await;
    let advance = |clock: &ManualClock| clock.advance(std::time::Duration::from_secs(1));
    let id = uuid(&world.map(of(QUEUE)).await.unwrap());
    advance(&world.clock);
    world.control.settle().await.unwrap();
    check(&world.mapping(&id).await.unwrap(), &json!({ "LastModified": 1_700_000_001.123 }));
    advance(&world.clock);
    world.control.settle().await.unwrap();
    check(&world.mapping(&id).await.unwrap(), &json!({ "LastModified": 1_700_000_001.123 }));
}
