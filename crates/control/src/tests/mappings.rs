//! Event source mappings. Answers and texts as recorded in localstack's
//! `tests/aws/services/lambda_/test_lambda_api.snapshot.json`, `TestLambdaEventSourceMappings`, and
//! `tests/aws/services/lambda_/event_source_mapping/test_api.snapshot.json`, unless a comment names another source.

use firelet_types::clock::ManualClock;
use serde_json::{Value, json};

use super::harness::{World, answer, check, check_error, request};
use crate::Error;

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:queue";
const FIFO: &str = "arn:aws:sqs:us-east-1:000000000000:queue.fifo";
const KINESIS: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/events";
const DYNAMODB: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2025-02-17T16:33:01.784";
const MSK: &str = "arn:aws:kafka:us-east-1:000000000000:cluster/c/11111111-2222-3333-4444-555555555555-1";
const BROKER: &str = "arn:aws:mq:us-east-1:000000000000:broker:b:b-11111111-2222-3333-4444-555555555555";
const DOCUMENTS: &str = "arn:aws:rds:us-east-1:000000000000:cluster:documents";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:s";
const MISSING: &str = "00000000-0000-4000-8000-000000000000";

impl World {
    async fn map(&self, members: Value) -> Result<Value, Error> {
        let mut all = json!({ "FunctionName": "echo" });
        for (key, value) in members.as_object().unwrap() {
            all[key] = value.clone();
        }
        self.control.create_event_source_mapping(&self.scope, request(all)).await.map(answer)
    }

    /// Makes a mapping, waits until it is at rest, and gives its id.
    async fn mapped(&self, members: Value) -> String {
        let id = uuid(&self.map(members).await.unwrap());
        self.control.settle().await.unwrap();
        id
    }

    async fn mapping(&self, id: &str) -> Result<Value, Error> {
        let request = request(json!({ "UUID": id }));
        self.control.get_event_source_mapping(&self.scope, request).await.map(answer)
    }

    async fn remap(&self, id: &str, members: Value) -> Result<Value, Error> {
        let mut all = members;
        all["UUID"] = json!(id);
        self.control.update_event_source_mapping(&self.scope, request(all)).await.map(answer)
    }

    async fn unmap(&self, id: &str) -> Result<Value, Error> {
        let request = request(json!({ "UUID": id }));
        self.control.delete_event_source_mapping(&self.scope, request).await.map(answer)
    }

    async fn mappings(&self, members: Value) -> Result<Value, Error> {
        self.control.list_event_source_mappings(&self.scope, request(members)).await.map(answer)
    }
}

fn uuid(mapping: &Value) -> String {
    mapping["UUID"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<String> {
    page["EventSourceMappings"].as_array().unwrap().iter().map(uuid).collect()
}

fn of(arn: &str) -> Value {
    json!({ "EventSourceArn": arn })
}

fn with(base: &Value, members: Value) -> Value {
    let mut all = base.clone();
    let Value::Object(members) = members else { panic!("{members} are no members") };
    for (key, value) in members {
        all[key] = value;
    }
    all
}

fn kinesis() -> Value {
    json!({ "EventSourceArn": KINESIS, "StartingPosition": "LATEST" })
}

fn dynamodb() -> Value {
    json!({ "EventSourceArn": DYNAMODB, "StartingPosition": "TRIM_HORIZON" })
}

fn msk() -> Value {
    json!({ "EventSourceArn": MSK, "Topics": ["topic"], "StartingPosition": "LATEST" })
}

fn self_managed() -> Value {
    json!({
        "SelfManagedEventSource": { "Endpoints": { "KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000", "kafka:2000"] } },
        "Topics": ["topic"],
        "SourceAccessConfigurations": [{ "Type": "BASIC_AUTH", "URI": SECRET }],
    })
}

fn broker() -> Value {
    json!({
        "EventSourceArn": BROKER,
        "Queues": ["orders"],
        "SourceAccessConfigurations": [
            { "Type": "BASIC_AUTH", "URI": SECRET }, { "Type": "VIRTUAL_HOST", "URI": "/" },
        ],
    })
}

fn documents() -> Value {
    json!({
        "EventSourceArn": DOCUMENTS,
        "StartingPosition": "LATEST",
        "SourceAccessConfigurations": [{ "Type": "BASIC_AUTH", "URI": SECRET }],
        "DocumentDBEventSourceConfig": { "DatabaseName": "shop" },
    })
}

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
async fn what_is_wrong_is_said() {
    let world = World::new().with_function("echo").await;
    let filter = |pattern: &str| json!({ "FilterCriteria": { "Filters": [{ "Pattern": pattern }] } });
    let window =
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10";
    let destination = "Unsupported DestinationConfig parameter for given event source mapping type.";
    let topic = "arn:aws:sns:us-east-1:000000000000:t";
    let six = vec![json!({ "Pattern": "{\"a\":[1]}" }); 6];
    for (members, text) in [
        (json!({}), "Unrecognized event source."),
        (of("arn:aws:s3:::bucket"), "Unrecognized event source."),
        (of("arn:aws:dynamodb:us-east-1:000000000000:table/t"), "Unrecognized event source."),
        (with(&of(QUEUE), json!({ "FunctionName": "none" })), "Function does not exist"),
        (with(&of(QUEUE), json!({ "FunctionName": "echo:10" })), "Function does not exist"),
        (with(&of(QUEUE), json!({ "FunctionName": "echo:live" })), "Function does not exist"),
        (with(&of(QUEUE), json!({ "BatchSize": 11 })), window),
        (with(&of(QUEUE), json!({ "BatchSize": 11, "MaximumBatchingWindowInSeconds": 0 })), window),
        // https://github.com/pulumi/pulumi-aws-serverless/issues/20
        (
            with(&of(FIFO), json!({ "BatchSize": 11 })),
            "Maximum batch size must be between 1 and 10 inclusive",
        ),
        // https://github.com/aws/aws-lambda-dotnet/pull/1758
        (
            with(&of(FIFO), json!({ "MaximumBatchingWindowInSeconds": 1 })),
            "Batching window is not supported for FIFO queues",
        ),
        (with(&of(QUEUE), filter("{")), "Invalid filter pattern definition."),
        (with(&of(QUEUE), filter("{\"a\":\"b\"}")), "Invalid filter pattern definition."),
        (
            with(&of(QUEUE), json!({ "FilterCriteria": { "Filters": [{}] } })),
            "Invalid filter pattern definition.",
        ),
        // No recording; the grammar is that of the error about tags.
        (
            with(&of(QUEUE), json!({ "FilterCriteria": { "Filters": six } })),
            "Number of filters exceeds event source mapping filter limit.",
        ),
        (
            with(&kinesis(), json!({ "DestinationConfig": { "OnSuccess": { "Destination": topic } } })),
            destination,
        ),
        (
            with(&of(QUEUE), json!({ "DestinationConfig": { "OnFailure": { "Destination": topic } } })),
            destination,
        ),
        (
            with(&kinesis(), json!({ "DestinationConfig": { "OnFailure": { "Destination": FUNCTION } } })),
            &format!(
                "The provided destination config DestinationConfig(onSuccess=null, \
                 onFailure=OnFailure(destination={FUNCTION})) is invalid."
            ),
        ),
        // https://github.com/hashicorp/terraform-provider-aws/pull/16113
        (
            with(&kinesis(), json!({ "MaximumRecordAgeInSeconds": 59 })),
            "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)",
        ),
        (
            json!({ "SelfManagedEventSource": self_managed()["SelfManagedEventSource"], "Topics": ["t"] }),
            "Required 'sourceAccessConfigurations' parameter is missing.",
        ),
        (of(MSK), "Required 'topics' parameter is missing."),
        (with(&broker(), json!({ "Queues": null })), "Required 'queues' parameter is missing."),
        (
            with(&broker(), json!({ "SourceAccessConfigurations": [] })),
            "Required 'sourceAccessConfigurations' parameter is missing.",
        ),
        (
            with(&documents(), json!({ "DocumentDBEventSourceConfig": {} })),
            "Required 'databaseName' parameter is missing.",
        ),
        (
            with(&documents(), json!({ "DocumentDBEventSourceConfig": null })),
            "Required 'documentDBEventSourceConfig' parameter is missing.",
        ),
    ] {
        check_error(world.map(members).await, "Mapping", text);
    }
}

/// Grammar: https://github.com/pulumi/pulumi-aws/issues/1418.
#[tokio::test]
async fn settings_of_other_sources_are_refused() {
    let world = World::new().with_function("echo").await;
    let access = |kind: &str| json!({ "SourceAccessConfigurations": [{ "Type": kind, "URI": SECRET }] });
    for (base, settings, parameter) in [
        (of(QUEUE), json!({ "ParallelizationFactor": 1 }), "parallelizationFactor"),
        (of(QUEUE), json!({ "TumblingWindowInSeconds": 1 }), "tumblingWindowInSeconds"),
        (of(QUEUE), json!({ "MaximumRetryAttempts": 1 }), "maximumRetryAttempts"),
        (of(QUEUE), json!({ "MaximumRecordAgeInSeconds": 60 }), "maximumRecordAgeInSeconds"),
        (of(QUEUE), json!({ "BisectBatchOnFunctionError": true }), "bisectBatchOnFunctionError"),
        (of(QUEUE), json!({ "Topics": ["t"] }), "topics"),
        (of(QUEUE), json!({ "Queues": ["q"] }), "queues"),
        (of(QUEUE), access("BASIC_AUTH"), "sourceAccessConfigurations"),
        (of(QUEUE), json!({ "LoggingConfig": { "SystemLogLevel": "INFO" } }), "loggingConfig"),
        (of(QUEUE), json!({ "MetricsConfig": { "Metrics": ["KafkaMetrics"] } }), "metricsConfig"),
        (of(QUEUE), json!({ "ProvisionedPollerConfig": { "PollerGroupName": "g" } }), "pollerGroupName"),
        (
            of(QUEUE),
            json!({
                "ScalingConfig": { "MaximumConcurrency": 2 }, "ProvisionedPollerConfig": { "MinimumPollers": 2 },
            }),
            "scalingConfig",
        ),
        (kinesis(), json!({ "ScalingConfig": { "MaximumConcurrency": 2 } }), "scalingConfig"),
        (kinesis(), json!({ "ProvisionedPollerConfig": { "MinimumPollers": 1 } }), "provisionedPollerConfig"),
        (
            msk(),
            json!({ "SelfManagedKafkaEventSourceConfig": { "ConsumerGroupId": "g" } }),
            "selfManagedKafkaEventSourceConfig",
        ),
        (
            self_managed(),
            json!({ "AmazonManagedKafkaEventSourceConfig": { "ConsumerGroupId": "g" } }),
            "amazonManagedKafkaEventSourceConfig",
        ),
        // Both modes, as cdkd probed on 2026-09-27.
        (
            self_managed(),
            json!({ "SelfManagedKafkaEventSourceConfig": { "ConsumptionMode": "Queue" } }),
            "ConsumptionMode",
        ),
        (self_managed(), access("VIRTUAL_HOST"), "sourceAccessConfigurations"),
        (msk(), access("BASIC_AUTH"), "sourceAccessConfigurations"),
        (msk(), json!({ "ParallelizationFactor": 2 }), "parallelizationFactor"),
        (broker(), json!({ "StartingPosition": "LATEST" }), "startingPosition"),
        (broker(), json!({ "FunctionResponseTypes": ["ReportBatchItemFailures"] }), "functionResponseTypes"),
        (
            documents(),
            json!({ "FunctionResponseTypes": ["ReportBatchItemFailures"] }),
            "functionResponseTypes",
        ),
        (
            of(QUEUE),
            json!({ "DocumentDBEventSourceConfig": { "DatabaseName": "d" } }),
            "documentDBEventSourceConfig",
        ),
    ] {
        let text = format!("Unsupported '{parameter}' parameter for given event source mapping type.");
        check_error(world.map(with(&base, settings)).await, "Mapping", &text);
    }
}

#[tokio::test]
async fn pollers_are_bounded() {
    let world = World::new().with_function("echo").await;
    let check = async |base: Value, pollers: Value, path: &str, value: u32, constraint: &str| {
        let text = format!(
            "1 validation error detected: Value '{value}' at 'provisionedPollerConfig.{path}' failed to satisfy \
             constraint: Member must have value {constraint}"
        );
        let result = world.map(with(&base, json!({ "ProvisionedPollerConfig": pollers }))).await;
        check_error(result, "Validation", &text);
    };
    let queue = of(QUEUE);
    check(queue, json!({ "MinimumPollers": 1 }), "minimumPollers", 1, "greater than or equal to 2").await;
    let turned = json!({ "MinimumPollers": 3, "MaximumPollers": 2 });
    check(msk(), turned, "maximumPollers", 2, "greater than or equal to 3").await;
    check(msk(), json!({ "MaximumPollers": 2001 }), "maximumPollers", 2001, "less than or equal to 2000")
        .await;
    let created =
        world.map(with(&msk(), json!({ "ProvisionedPollerConfig": { "MaximumPollers": 9 } }))).await.unwrap();
    assert_eq!(created["ProvisionedPollerConfig"], json!({ "MinimumPollers": 1, "MaximumPollers": 9 }));
}

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
