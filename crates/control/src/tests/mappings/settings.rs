//! What a mapping is made with: what each kind of source has by default, that every setting reads back, where reading
//! starts, and how a function is named. Which other settings are refused is in `refusals.rs`.

use serde_json::json;

use super::super::harness::{World, check, check_error};
use super::{
    BROKER, DOCUMENTS, DYNAMODB, FIFO, FUNCTION, KINESIS, MSK, QUEUE, SECRET, broker, documents, dynamodb,
    kinesis, msk, of, self_managed, uuid, with,
};

#[tokio::test]
async fn defaults_are_those_of_the_kind_of_source() {
    let world = World::new().with_function("echo").await;
    let nothing = "No records processed";
    for (members, expected) in [
        (
            of(QUEUE),
            json!({
                "EventSourceArn": QUEUE, "FunctionArn": FUNCTION, "BatchSize": 10,
                "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": [], "State": "Creating",
                "StateTransitionReason": "USER_INITIATED", "LastModified": 1_700_000_000.123,
                "BisectBatchOnFunctionError": null, "MaximumRecordAgeInSeconds": null, "DestinationConfig": null,
                "MaximumRetryAttempts": null, "ParallelizationFactor": null, "TumblingWindowInSeconds": null,
                "StartingPosition": null, "LastProcessingResult": null, "FilterCriteria": null,
                "ScalingConfig": null,
            }),
        ),
        (
            kinesis(),
            json!({
                "EventSourceArn": KINESIS, "BatchSize": 100, "MaximumBatchingWindowInSeconds": 0,
                "BisectBatchOnFunctionError": false, "MaximumRecordAgeInSeconds": -1, "MaximumRetryAttempts": -1,
                "ParallelizationFactor": 1, "TumblingWindowInSeconds": 0, "FunctionResponseTypes": [],
                "DestinationConfig": { "OnFailure": {} }, "StartingPosition": "LATEST", "State": "Creating",
                "StateTransitionReason": "User action", "LastProcessingResult": nothing,
            }),
        ),
        (
            dynamodb(),
            json!({
                "EventSourceArn": DYNAMODB, "BatchSize": 100, "StartingPosition": "TRIM_HORIZON",
                "StateTransitionReason": "User action", "LastProcessingResult": nothing,
            }),
        ),
        (
            msk(),
            json!({
                "EventSourceArn": MSK, "Topics": ["topic"], "BatchSize": 100, "StartingPosition": "LATEST",
                "MaximumBatchingWindowInSeconds": null, "StateTransitionReason": "USER_INITIATED",
                "LastProcessingResult": nothing, "SelfManagedKafkaEventSourceConfig": null,
            }),
        ),
        (
            self_managed(),
            json!({
                "EventSourceArn": null, "Topics": ["topic"], "StartingPosition": "TRIM_HORIZON",
                "SelfManagedEventSource": self_managed()["SelfManagedEventSource"],
                "SourceAccessConfigurations": self_managed()["SourceAccessConfigurations"],
                "AmazonManagedKafkaEventSourceConfig": null,
            }),
        ),
        (
            broker(),
            json!({
                "EventSourceArn": BROKER, "Queues": ["orders"], "BatchSize": 100, "StartingPosition": null,
                "SourceAccessConfigurations": broker()["SourceAccessConfigurations"],
                "FunctionResponseTypes": null, "LastProcessingResult": null,
            }),
        ),
        (
            documents(),
            json!({
                "EventSourceArn": DOCUMENTS, "StartingPosition": "LATEST", "FunctionResponseTypes": null,
                "DocumentDBEventSourceConfig": { "DatabaseName": "shop", "FullDocument": "Default" },
            }),
        ),
    ] {
        let created = world.map(members).await.unwrap();
        check(&created, &expected);
        let id = uuid(&created);
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{id}");
        check(&created, &json!({ "EventSourceMappingArn": arn }));
    }
}

/// The group is documented as the id of the mapping where the caller names none.
#[tokio::test]
async fn a_kafka_mapping_has_a_consumer_group() {
    let world = World::new().with_function("echo").await;
    for (members, config) in [
        (msk(), "AmazonManagedKafkaEventSourceConfig"),
        (self_managed(), "SelfManagedKafkaEventSourceConfig"),
    ] {
        let created = world.map(members.clone()).await.unwrap();
        assert_eq!(created[config], json!({ "ConsumerGroupId": uuid(&created) }));
        let named = with(&members, json!({ "Topics": ["other"], config: { "ConsumerGroupId": "mine" } }));
        let id = world.mapped(named).await;
        assert_eq!(world.mapping(&id).await.unwrap()[config], json!({ "ConsumerGroupId": "mine" }));
        let registry = json!({
            "SchemaRegistryURI": "https://registry", "EventRecordFormat": "JSON",
            "AccessConfigs": [{ "Type": "BASIC_AUTH", "URI": SECRET }],
            "SchemaValidationConfigs": [{ "Attribute": "KEY" }, { "Attribute": "VALUE" }],
        });
        let change = json!({ config: { "ConsumerGroupId": "mine", "SchemaRegistryConfig": registry } });
        let updated = world.remap(&id, change.clone()).await.unwrap();
        assert_eq!(updated[config], change[config]);
        world.control.settle().await.unwrap();
        let text = "Unsupported 'consumerGroupId' parameter for given event source mapping type.";
        check_error(
            world.remap(&id, json!({ config: { "ConsumerGroupId": "other" } })).await,
            "Mapping",
            text,
        );
    }
}

#[tokio::test]
async fn every_setting_reads_back() {
    let world = World::new().with_function("echo").await;
    let filters =
        json!({ "Filters": [{ "Pattern": "{\"body\":{\"a\":[1]}}" }, { "Pattern": "{\"b\":[\"x\"]}" }] });
    let target = "arn:aws:sqs:us-east-1:000000000000:failed";
    for (base, settings) in [
        (
            of(QUEUE),
            json!({
                "BatchSize": 10_000, "MaximumBatchingWindowInSeconds": 300, "FilterCriteria": filters,
                "FunctionResponseTypes": ["ReportBatchItemFailures"], "ScalingConfig": { "MaximumConcurrency": 2 },
                "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
                "MetricsConfig": { "Metrics": ["EventCount"] },
            }),
        ),
        (
            of(FIFO),
            json!({
                "BatchSize": 1,
                "ProvisionedPollerConfig": { "MinimumPollers": 2, "MaximumPollers": 10_000 },
            }),
        ),
        (
            kinesis(),
            json!({
                "BatchSize": 1, "MaximumBatchingWindowInSeconds": 1, "ParallelizationFactor": 10,
                "TumblingWindowInSeconds": 900, "MaximumRecordAgeInSeconds": 60, "MaximumRetryAttempts": 0,
                "BisectBatchOnFunctionError": true,
                "DestinationConfig": { "OnFailure": { "Destination": target } },
                "FunctionResponseTypes": ["ReportBatchItemFailures"], "FilterCriteria": filters,
            }),
        ),
        (
            msk(),
            json!({
                "MaximumBatchingWindowInSeconds": 5, "MaximumRetryAttempts": 3,
                "DestinationConfig": { "OnFailure": { "Destination": "kafka://failed" } },
                "LoggingConfig": { "SystemLogLevel": "DEBUG" },
                "MetricsConfig": { "Metrics": ["EventCount", "ErrorCount", "KafkaMetrics"] },
                "ProvisionedPollerConfig": { "MinimumPollers": 1, "MaximumPollers": 5, "PollerGroupName": "g" },
                "SourceAccessConfigurations": [{ "Type": "SASL_SCRAM_512_AUTH", "URI": SECRET }],
            }),
        ),
        (
            documents(),
            json!({
                "DocumentDBEventSourceConfig": {
                    "DatabaseName": "shop", "CollectionName": "orders", "FullDocument": "UpdateLookup",
                },
            }),
        ),
    ] {
        let created = world.map(with(&base, settings.clone())).await.unwrap();
        check(&created, &settings);
        world.control.settle().await.unwrap();
        check(&world.mapping(&uuid(&created)).await.unwrap(), &settings);
    }
}

#[tokio::test]
async fn where_reading_starts_depends_on_the_source() {
    let world = World::new().with_function("echo").await;
    let at = |arn: &str, position: Option<&str>, timestamp: Option<f64>| json!({ "EventSourceArn": arn, "StartingPosition": position, "StartingPositionTimestamp": timestamp });
    let queue = "StartingPosition is not valid for SQS event sources.";
    let timestamp = "Timestamp only valid with StartingPosition AT_TIMESTAMP";
    let missing = "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member \
                   must not be null.";
    let negative = "Received Exception while reading from provided stream. class java.lang.Long can not be converted \
                    to a Timestamp";
    let unsupported = format!("Unsupported starting position for arn type: {DYNAMODB}");
    for (arn, position, moment, text) in [
        (QUEUE, Some("LATEST"), Some(1.0), queue),
        (QUEUE, Some("AT_TIMESTAMP"), Some(-1.0), queue),
        (KINESIS, None, None, missing),
        (DYNAMODB, None, None, missing),
        (KINESIS, Some("LATEST"), Some(1.0), timestamp),
        (DYNAMODB, Some("LATEST"), Some(1.0), timestamp),
        (KINESIS, Some("AT_TIMESTAMP"), Some(-1.0), negative),
        (DYNAMODB, Some("AT_TIMESTAMP"), Some(-1.0), &*unsupported),
        // https://github.com/awsdocs/aws-cloudformation-user-guide/pull/334
        (KINESIS, Some("AT_TIMESTAMP"), None, "Need to specify a timestamp"),
    ] {
        check_error(world.map(at(arn, position, moment)).await, "Mapping", text);
    }
    let created = world.map(at(KINESIS, Some("AT_TIMESTAMP"), Some(1_700_000_000.5))).await.unwrap();
    check(
        &created,
        &json!({ "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1_700_000_000.5 }),
    );
}

#[tokio::test]
async fn every_form_of_a_function_name_is_taken() {
    let world = World::new();
    world.create(json!({ "FunctionName": "echo", "Publish": true })).await.unwrap();
    let version = format!("{FUNCTION}:1");
    for (index, (name, expected)) in [
        ("echo", FUNCTION),
        ("function:echo", FUNCTION),
        ("000000000000:function:echo", FUNCTION),
        (FUNCTION, FUNCTION),
        ("echo:1", &*version),
        (&*version, &*version),
        ("echo:$LATEST", &*format!("{FUNCTION}:$LATEST")),
    ]
    .into_iter()
    .enumerate()
    {
        let members = json!({ "EventSourceArn": format!("{QUEUE}-{index}"), "FunctionName": name });
        check(&world.map(members).await.unwrap(), &json!({ "FunctionArn": expected }));
    }
    let other = with(&of(QUEUE), json!({ "FunctionName": "123456789012:function:echo" }));
    check_error(world.map(other).await, "OtherAccount", "null");
    let text = "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')";
    let other = "arn:aws:lambda:eu-west-1:000000000000:function:echo";
    check_error(world.map(with(&of(QUEUE), json!({ "FunctionName": other }))).await, "NotFound", text);
}
