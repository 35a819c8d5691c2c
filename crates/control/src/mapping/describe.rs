//! From a stored mapping to the `EventSourceMappingConfiguration` of the API.

use std::collections::BTreeMap;

use firelet_api::model;
use firelet_store::MappingState;
use firelet_store::mapping::source::{
    Access, Documents, Pollers, Retry, SchemaRegistry, Start, Subscription,
};
use firelet_store::mapping::{EventSource, Mapping, Rest, Settings};

use super::kind::Kind;
use super::{arn, state};

/// How much of a mapping an operation shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Everything.
    Full,
    /// What lists show: no filters that a key encrypts.
    Listed,
}

/// What is said of mappings that would poll, in the form of Lambda's own troubles.
const NOTHING_POLLS: &str = "PROBLEM: firelet does not poll event sources yet.";
const NOTHING_PROCESSED: &str = "No records processed";
const FOREVER: i32 = -1;

pub(super) fn describe(mapping: &Mapping, detail: Detail) -> model::EventSourceMappingConfiguration {
    let kind = Kind::of(&mapping.source);
    let is_hidden = detail == Detail::Listed && mapping.settings.kms_key.is_some();
    let described = model::EventSourceMappingConfiguration {
        uuid: Some(mapping.id.to_string()),
        event_source_mapping_arn: Some(arn(&mapping.scope, mapping.id)),
        function_arn: Some(mapping.function_arn().to_string()),
        last_modified: Some(mapping.last_modified.into()),
        state: Some(state::text(mapping.state).to_owned()),
        state_transition_reason: Some(reason(kind).to_owned()),
        last_processing_result: result(mapping.state, kind).map(str::to_owned),
        ..settings(&mapping.settings)
    };
    let described = with_source(described, mapping);
    if is_hidden {
        model::EventSourceMappingConfiguration { filter_criteria: None, ..described }
    } else {
        described
    }
}

/// Who made the last change; it is always the caller.
const fn reason(kind: Kind) -> &'static str {
    if kind.is_stream() { "User action" } else { "USER_INITIATED" }
}

fn result(state: MappingState, kind: Kind) -> Option<&'static str> {
    match state {
        MappingState::Settled(Rest::Enabled) => Some(NOTHING_POLLS),
        _ => (kind.is_stream() || kind.is_kafka()).then_some(NOTHING_PROCESSED),
    }
}

fn with_source(
    described: model::EventSourceMappingConfiguration,
    mapping: &Mapping,
) -> model::EventSourceMappingConfiguration {
    let registry = mapping.settings.schema_registry.as_ref().map(schema_registry);
    let described = model::EventSourceMappingConfiguration {
        event_source_arn: mapping.source.arn().map(str::to_owned),
        ..described
    };
    match &mapping.source {
        EventSource::Queue { .. } => described,
        EventSource::Kinesis { start, .. }
        | EventSource::DynamoDb { start, .. }
        | EventSource::DocumentDb { start, .. } => with_start(described, *start),
        EventSource::Broker { queue, .. } => {
            model::EventSourceMappingConfiguration { queues: Some(vec![queue.clone()]), ..described }
        }
        EventSource::ManagedKafka { subscription, .. } => model::EventSourceMappingConfiguration {
            amazon_managed_kafka_event_source_config: Some(model::AmazonManagedKafkaEventSourceConfig {
                consumer_group_id: Some(subscription.consumer_group.clone()),
                schema_registry_config: registry,
            }),
            ..with_subscription(described, subscription)
        },
        EventSource::SelfManagedKafka { servers, subscription } => model::EventSourceMappingConfiguration {
            self_managed_kafka_event_source_config: Some(model::SelfManagedKafkaEventSourceConfig {
                consumer_group_id: Some(subscription.consumer_group.clone()),
                schema_registry_config: registry,
                consumption_mode: None,
            }),
            self_managed_event_source: Some(model::SelfManagedEventSource {
                endpoints: Some(BTreeMap::from([("KAFKA_BOOTSTRAP_SERVERS".to_owned(), servers.clone())])),
            }),
            ..with_subscription(described, subscription)
        },
    }
}

fn with_subscription(
    described: model::EventSourceMappingConfiguration,
    subscription: &Subscription,
) -> model::EventSourceMappingConfiguration {
    model::EventSourceMappingConfiguration {
        topics: Some(vec![subscription.topic.clone()]),
        ..with_start(described, subscription.start)
    }
}

fn with_start(
    described: model::EventSourceMappingConfiguration,
    start: Start,
) -> model::EventSourceMappingConfiguration {
    let (position, timestamp) = match start {
        Start::TrimHorizon => (model::EventSourcePosition::TrimHorizon, None),
        Start::Latest => (model::EventSourcePosition::Latest, None),
        Start::At(moment) => (model::EventSourcePosition::AtTimestamp, Some(moment.into())),
    };
    model::EventSourceMappingConfiguration {
        starting_position: Some(position),
        starting_position_timestamp: timestamp,
        ..described
    }
}

fn settings(settings: &Settings) -> model::EventSourceMappingConfiguration {
    let retry = settings.retry.as_ref();
    let response_types = |reports: bool| {
        if reports { vec![model::FunctionResponseType::ReportBatchItemFailures] } else { Vec::new() }
    };
    model::EventSourceMappingConfiguration {
        batch_size: Some(integer(settings.batch_size)),
        maximum_batching_window_in_seconds: settings.batching_window_seconds.map(integer),
        filter_criteria: filters(&settings.filters),
        kms_key_arn: settings.kms_key.clone(),
        metrics_config: settings.metrics.as_deref().map(metrics),
        logging_config: settings
            .log_level
            .as_deref()
            .map(|level| model::EventSourceMappingLoggingConfig { system_log_level: level.parse().ok() }),
        scaling_config: settings
            .maximum_concurrency
            .map(|maximum| model::ScalingConfig { maximum_concurrency: Some(integer(maximum)) }),
        provisioned_poller_config: settings.pollers.as_ref().map(pollers),
        parallelization_factor: settings.shard.map(|shard| integer(shard.parallelization_factor)),
        tumbling_window_in_seconds: settings.shard.map(|shard| integer(shard.tumbling_window_seconds)),
        maximum_record_age_in_seconds: retry.map(|retry| retry.maximum_age_seconds.map_or(FOREVER, integer)),
        maximum_retry_attempts: retry.map(|retry| retry.maximum_attempts.map_or(FOREVER, integer)),
        bisect_batch_on_function_error: retry.map(|retry| retry.bisects),
        destination_config: retry.map(destination),
        function_response_types: settings.reports_failures.map(response_types),
        source_access_configurations: (!settings.access.is_empty())
            .then(|| settings.access.iter().map(access).collect()),
        document_db_event_source_config: settings.documents.as_ref().map(documents),
        ..model::EventSourceMappingConfiguration::default()
    }
}

fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn filters(patterns: &[String]) -> Option<model::FilterCriteria> {
    let filters = patterns.iter().map(|pattern| model::Filter { pattern: Some(pattern.clone()) });
    (!patterns.is_empty()).then(|| model::FilterCriteria { filters: Some(filters.collect()) })
}

fn metrics(names: &[String]) -> model::EventSourceMappingMetricsConfig {
    let metrics = names.iter().filter_map(|name| name.parse().ok()).collect();
    model::EventSourceMappingMetricsConfig { metrics: Some(metrics) }
}

fn pollers(pollers: &Pollers) -> model::ProvisionedPollerConfig {
    model::ProvisionedPollerConfig {
        minimum_pollers: Some(integer(pollers.minimum)),
        maximum_pollers: Some(integer(pollers.maximum)),
        poller_group_name: pollers.group.clone(),
    }
}

fn destination(retry: &Retry) -> model::DestinationConfig {
    model::DestinationConfig {
        on_success: None,
        on_failure: Some(model::OnFailure { destination: retry.on_failure.clone() }),
    }
}

fn access(access: &Access) -> model::SourceAccessConfiguration {
    model::SourceAccessConfiguration { r#type: access.kind.parse().ok(), uri: Some(access.uri.clone()) }
}

fn documents(documents: &Documents) -> model::DocumentDBEventSourceConfig {
    model::DocumentDBEventSourceConfig {
        database_name: Some(documents.database.clone()),
        collection_name: documents.collection.clone(),
        full_document: documents.full_document.parse().ok(),
    }
}

fn schema_registry(registry: &SchemaRegistry) -> model::KafkaSchemaRegistryConfig {
    let validated = registry
        .validated
        .iter()
        .map(|attribute| model::KafkaSchemaValidationConfig { attribute: attribute.parse().ok() });
    let access = registry.access.iter().map(|access| model::KafkaSchemaRegistryAccessConfig {
        r#type: access.kind.parse().ok(),
        uri: Some(access.uri.clone()),
    });
    model::KafkaSchemaRegistryConfig {
        schema_registry_uri: Some(registry.uri.clone()),
        event_record_format: registry.record_format.as_deref().and_then(|format| format.parse().ok()),
        access_configs: (!registry.access.is_empty()).then(|| access.collect()),
        schema_validation_configs: (!registry.validated.is_empty()).then(|| validated.collect()),
    }
}
