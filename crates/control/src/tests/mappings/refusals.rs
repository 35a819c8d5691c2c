//! Which settings are refused, of which source, and in which words. Refusals that depend on what is there, or on its
//! state, are in `lifecycle.rs`.

use serde_json::{Value, json};

use super::super::harness::{World, check_error};
use super::{FIFO, FUNCTION, MSK, QUEUE, SECRET, broker, documents, kinesis, msk, of, self_managed, with};

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
