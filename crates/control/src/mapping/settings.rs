//! What a caller configures about a mapping, judged: the defaults of a new one and the changes of an update.

use firelet_api::model;
use firelet_store::mapping::Settings;
use firelet_store::mapping::source::{Access, Documents, Pollers, Retry, SchemaRegistry, Shard};
use firelet_types::limits;

use crate::error::Error;

use super::error::MappingParameter;
use super::kind::Kind;
use super::pattern;

const QUEUE_BATCH: u32 = 10;
const BATCH: u32 = 100;
/// The largest batch of a queue that need not be waited for, and of a FIFO queue at all.
const SMALL_BATCH: u32 = 10;
/// The least age at which records can be given up.
const LEAST_RECORD_AGE_SECONDS: u32 = 60;
const MOST_POLLERS: u32 = 200;
/// The most pollers that a Kafka mapping can ask for.
const KAFKA_POLLERS: u32 = 2_000;
const EVENT_COUNT: &str = "EventCount";
const FULL_DOCUMENT: &str = "Default";
const VIRTUAL_HOST: &str = "VIRTUAL_HOST";

/// What CreateEventSourceMapping and UpdateEventSourceMapping have in common. A member that is none changes nothing.
pub(super) struct Changes {
    batch_size: Option<i32>,
    batching_window: Option<i32>,
    filters: Option<model::FilterCriteria>,
    kms_key: Option<String>,
    metrics: Option<model::EventSourceMappingMetricsConfig>,
    logging: Option<model::EventSourceMappingLoggingConfig>,
    scaling: Option<model::ScalingConfig>,
    parallelization_factor: Option<i32>,
    tumbling_window: Option<i32>,
    destination: Option<model::DestinationConfig>,
    maximum_record_age: Option<i32>,
    maximum_retry_attempts: Option<i32>,
    bisects: Option<bool>,
    access: Option<Vec<model::SourceAccessConfiguration>>,
    response_types: Option<Vec<model::FunctionResponseType>>,
    managed_kafka: Option<model::AmazonManagedKafkaEventSourceConfig>,
    self_managed_kafka: Option<model::SelfManagedKafkaEventSourceConfig>,
    documents: Option<model::DocumentDBEventSourceConfig>,
    pollers: Option<model::ProvisionedPollerConfig>,
}

/// The members of both requests have the same names and types.
macro_rules! changes_of {
    ($request:expr) => {
        Changes {
            batch_size: $request.batch_size,
            batching_window: $request.maximum_batching_window_in_seconds,
            filters: $request.filter_criteria.clone(),
            kms_key: $request.kms_key_arn.clone(),
            metrics: $request.metrics_config.clone(),
            logging: $request.logging_config.clone(),
            scaling: $request.scaling_config.clone(),
            parallelization_factor: $request.parallelization_factor,
            tumbling_window: $request.tumbling_window_in_seconds,
            destination: $request.destination_config.clone(),
            maximum_record_age: $request.maximum_record_age_in_seconds,
            maximum_retry_attempts: $request.maximum_retry_attempts,
            bisects: $request.bisect_batch_on_function_error,
            access: $request.source_access_configurations.clone(),
            response_types: $request.function_response_types.clone(),
            managed_kafka: $request.amazon_managed_kafka_event_source_config.clone(),
            self_managed_kafka: $request.self_managed_kafka_event_source_config.clone(),
            documents: $request.document_db_event_source_config.clone(),
            pollers: $request.provisioned_poller_config.clone(),
        }
    };
}

impl Changes {
    pub(super) fn of_creation(request: &model::CreateEventSourceMappingRequest) -> Self {
        changes_of!(request)
    }

    pub(super) fn of_update(request: &model::UpdateEventSourceMappingRequest) -> Self {
        changes_of!(request)
    }

    /// The settings of a new mapping.
    pub(super) fn create(self, kind: Kind) -> Result<Settings, Error> {
        if kind.requires_access() && !present(self.access.as_deref()) {
            return Err(required("sourceAccessConfigurations"));
        }
        if kind == Kind::DocumentDb && self.documents.is_none() {
            return Err(required("documentDBEventSourceConfig"));
        }
        self.apply(kind, blank(kind))
    }

    /// The settings of a mapping that is there; `group` is the consumer group of a Kafka mapping, which stays.
    pub(super) fn update(self, kind: Kind, group: Option<&str>, before: Settings) -> Result<Settings, Error> {
        let asked = self.consumer_group();
        if asked.is_some() && asked != group {
            return Err(unsupported("consumerGroupId"));
        }
        let hosts = |access: &Access| (access.kind == VIRTUAL_HOST).then(|| access.clone());
        let host = before.access.iter().find_map(hosts);
        if let Some(access) = &self.access {
            if kind.requires_access() && access.is_empty() {
                return Err(required("sourceAccessConfigurations"));
            }
            if access.iter().any(|one| one.r#type == Some(model::SourceAccessType::VirtualHost)) {
                return Err(unsupported("sourceAccessConfigurations"));
            }
        }
        let replaces_access = self.access.is_some();
        let mut after = self.apply(kind, before)?;
        if replaces_access {
            after.access.extend(host);
        }
        Ok(after)
    }

    fn consumer_group(&self) -> Option<&str> {
        let managed = self.managed_kafka.as_ref().and_then(|config| config.consumer_group_id.as_deref());
        let config = self.self_managed_kafka.as_ref();
        managed.or_else(|| config.and_then(|config| config.consumer_group_id.as_deref()))
    }

    fn apply(self, kind: Kind, before: Settings) -> Result<Settings, Error> {
        self.check_supported(kind)?;
        let registry_change = self.registry_change();
        let changed = Settings {
            retry: self.retry(kind, before.retry)?,
            shard: self.shard(before.shard),
            batch_size: whole(self.batch_size).unwrap_or(before.batch_size),
            batching_window_seconds: whole(self.batching_window).or(before.batching_window_seconds),
            filters: filters(self.filters, before.filters)?,
            kms_key: crate::configuration::clearable(self.kms_key, before.kms_key),
            metrics: metrics(self.metrics, before.metrics),
            log_level: match self.logging {
                Some(logging) => logging.system_log_level.map(|level| level.to_string()),
                None => before.log_level,
            },
            reports_failures: match self.response_types {
                Some(types) if kind.has_retry() || kind.is_queue() => Some(!types.is_empty()),
                _ => before.reports_failures,
            },
            maximum_concurrency: match self.scaling {
                Some(scaling) => whole(scaling.maximum_concurrency),
                None => before.maximum_concurrency,
            },
            pollers: pollers(self.pollers, before.pollers, kind)?,
            access: access(self.access, before.access, kind)?,
            schema_registry: schema_registry(registry_change, before.schema_registry)?,
            documents: documents(self.documents, before.documents)?,
        };
        check(&changed, kind)?;
        Ok(changed)
    }

    /// Refuses what this kind of source does not have.
    fn check_supported(&self, kind: Kind) -> Result<(), Error> {
        let consumption = self.self_managed_kafka.as_ref().and_then(|config| config.consumption_mode);
        let only_counts = self
            .metrics
            .as_ref()
            .and_then(|config| config.metrics.as_deref())
            .is_none_or(|metrics| metrics.iter().all(|metric| metric.as_str() == EVENT_COUNT));
        let rules = [
            ("scalingConfig", self.scaling.is_some(), kind.is_queue()),
            ("parallelizationFactor", self.parallelization_factor.is_some(), kind.is_stream()),
            ("tumblingWindowInSeconds", self.tumbling_window.is_some(), kind.is_stream()),
            ("maximumRecordAgeInSeconds", self.maximum_record_age.is_some(), kind.has_retry()),
            ("maximumRetryAttempts", self.maximum_retry_attempts.is_some(), kind.has_retry()),
            ("bisectBatchOnFunctionError", self.bisects.is_some(), kind.has_retry()),
            (
                "functionResponseTypes",
                present(self.response_types.as_deref()),
                kind.has_retry() || kind.is_queue(),
            ),
            (
                "sourceAccessConfigurations",
                present(self.access.as_deref()),
                kind.is_kafka() || kind.requires_access(),
            ),
            ("amazonManagedKafkaEventSourceConfig", self.managed_kafka.is_some(), kind == Kind::ManagedKafka),
            (
                "selfManagedKafkaEventSourceConfig",
                self.self_managed_kafka.is_some(),
                kind == Kind::SelfManagedKafka,
            ),
            // Refused for every cluster, as AWS does.
            ("ConsumptionMode", consumption.is_some(), false),
            ("documentDBEventSourceConfig", self.documents.is_some(), kind == Kind::DocumentDb),
            ("loggingConfig", self.logging.is_some(), kind.is_kafka()),
            ("provisionedPollerConfig", self.pollers.is_some(), kind.is_kafka() || kind.is_queue()),
            ("metricsConfig", !only_counts, kind.is_kafka()),
        ];
        if let Some(destination) = &self.destination
            && (destination.on_success.is_some() || !kind.has_retry())
        {
            return Err(MappingParameter::DestinationUnsupported.into());
        }
        match rules.into_iter().find(|(_, is_given, is_supported)| *is_given && !is_supported) {
            Some((parameter, ..)) => Err(unsupported(parameter)),
            None => Ok(()),
        }
    }

    fn registry_change(&self) -> Option<model::KafkaSchemaRegistryConfig> {
        let managed = self.managed_kafka.as_ref().and_then(|config| config.schema_registry_config.clone());
        let config = self.self_managed_kafka.as_ref();
        managed.or_else(|| config.and_then(|config| config.schema_registry_config.clone()))
    }

    fn retry(&self, kind: Kind, before: Option<Retry>) -> Result<Option<Retry>, Error> {
        let is_changed = self.maximum_record_age.is_some()
            || self.maximum_retry_attempts.is_some()
            || self.bisects.is_some()
            || self.destination.is_some();
        if !is_changed {
            return Ok(before);
        }
        let mut retry = before.unwrap_or_default();
        if let Some(age) = self.maximum_record_age {
            retry.maximum_age_seconds = record_age(age)?;
        }
        if let Some(attempts) = self.maximum_retry_attempts {
            retry.maximum_attempts = u32::try_from(attempts).ok();
        }
        if let Some(destination) = &self.destination {
            let destination = destination.on_failure.as_ref().and_then(|target| target.destination.clone());
            retry.on_failure = destination.filter(|destination| !destination.is_empty());
            check_destination(retry.on_failure.as_deref(), kind)?;
        }
        retry.bisects = self.bisects.unwrap_or(retry.bisects);
        Ok(Some(retry))
    }

    fn shard(&self, before: Option<Shard>) -> Option<Shard> {
        before.map(|shard| Shard {
            parallelization_factor: whole(self.parallelization_factor)
                .unwrap_or(shard.parallelization_factor),
            tumbling_window_seconds: whole(self.tumbling_window).unwrap_or(shard.tumbling_window_seconds),
        })
    }
}

/// The settings of a mapping whose caller names none.
fn blank(kind: Kind) -> Settings {
    let is_immediate = kind.is_queue() || kind.is_stream();
    Settings {
        batch_size: if kind.is_queue() { QUEUE_BATCH } else { BATCH },
        batching_window_seconds: is_immediate.then_some(0),
        reports_failures: is_immediate.then_some(false),
        retry: kind.is_stream().then(Retry::default),
        shard: kind.is_stream().then_some(Shard { parallelization_factor: 1, tumbling_window_seconds: 0 }),
        ..Settings::default()
    }
}

/// Refuses settings that do not go together.
fn check(settings: &Settings, kind: Kind) -> Result<(), Error> {
    let window = settings.batching_window_seconds.unwrap_or_default();
    if let Kind::Queue { is_fifo } = kind {
        if is_fifo && settings.batch_size > SMALL_BATCH {
            return Err(MappingParameter::FifoBatchSize.into());
        }
        if is_fifo && window > 0 {
            return Err(MappingParameter::FifoBatchingWindow.into());
        }
        if settings.batch_size > SMALL_BATCH && window == 0 {
            return Err(MappingParameter::BatchingWindow.into());
        }
        if settings.pollers.is_some() && settings.maximum_concurrency.is_some() {
            return Err(unsupported("scalingConfig"));
        }
    }
    Ok(())
}

fn unsupported(parameter: &'static str) -> Error {
    MappingParameter::Unsupported { parameter }.into()
}

fn required(parameter: &'static str) -> Error {
    MappingParameter::Required { parameter }.into()
}

/// Whether a list is given and holds something.
pub(super) fn present<T>(items: Option<&[T]>) -> bool {
    items.is_some_and(|items| !items.is_empty())
}

/// A number that the model has already bounded from below.
fn whole(value: Option<i32>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok())
}

fn record_age(seconds: i32) -> Result<Option<u32>, Error> {
    match u32::try_from(seconds) {
        Ok(seconds) if seconds >= LEAST_RECORD_AGE_SECONDS => Ok(Some(seconds)),
        Ok(_) => Err(MappingParameter::RecordAge.into()),
        Err(_) => Ok(None),
    }
}

fn check_destination(destination: Option<&str>, kind: Kind) -> Result<(), Error> {
    let Some(destination) = destination else { return Ok(()) };
    let service = destination.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(1));
    let is_topic = kind.is_kafka() && destination.starts_with("kafka://");
    if is_topic || matches!(service, Some("sqs" | "sns" | "s3")) {
        return Ok(());
    }
    Err(MappingParameter::Destination { destination: destination.to_owned() }.into())
}

fn filters(change: Option<model::FilterCriteria>, before: Vec<String>) -> Result<Vec<String>, Error> {
    let Some(change) = change else { return Ok(before) };
    let filters = change.filters.unwrap_or_default();
    if filters.len() > limits::FILTERS_PER_MAPPING {
        return Err(MappingParameter::FilterCount.into());
    }
    let parse = |filter: model::Filter| match filter.pattern {
        Some(text) if pattern::is_valid(&text) => Ok(text),
        _ => Err(MappingParameter::FilterPattern.into()),
    };
    filters.into_iter().map(parse).collect()
}

fn metrics(
    change: Option<model::EventSourceMappingMetricsConfig>,
    before: Option<Vec<String>>,
) -> Option<Vec<String>> {
    match change {
        Some(change) => Some(change.metrics.unwrap_or_default().iter().map(ToString::to_string).collect()),
        None => before,
    }
}

/// Pollers of a request; one that names nothing of them ends them.
fn pollers(
    change: Option<model::ProvisionedPollerConfig>,
    before: Option<Pollers>,
    kind: Kind,
) -> Result<Option<Pollers>, Error> {
    let Some(change) = change else { return Ok(before) };
    if change == model::ProvisionedPollerConfig::default() {
        return Ok(None);
    }
    let group = change.poller_group_name.filter(|name| !name.is_empty());
    if group.is_some() && !kind.is_kafka() {
        return Err(unsupported("pollerGroupName"));
    }
    let least = if kind.is_queue() { 2 } else { 1 };
    let minimum = match (whole(change.minimum_pollers), &before) {
        (Some(minimum), _) => at_least(minimum, least, "provisionedPollerConfig.minimumPollers")?,
        (None, Some(before)) => before.minimum,
        (None, None) => least,
    };
    let maximum = match (whole(change.maximum_pollers), &before) {
        (Some(maximum), _) => maximum,
        (None, Some(before)) => before.maximum,
        (None, None) => MOST_POLLERS,
    };
    let maximum = at_least(maximum, minimum, "provisionedPollerConfig.maximumPollers")?;
    if kind.is_kafka() && maximum > KAFKA_POLLERS {
        return Err(Error::Validation {
            value: maximum.to_string(),
            path: "provisionedPollerConfig.maximumPollers",
            constraint: format!("Member must have value less than or equal to {KAFKA_POLLERS}"),
        });
    }
    Ok(Some(Pollers { minimum, maximum, group: group.or(before.and_then(|before| before.group)) }))
}

fn at_least(value: u32, least: u32, path: &'static str) -> Result<u32, Error> {
    if value < least {
        let constraint = format!("Member must have value greater than or equal to {least}");
        return Err(Error::Validation { value: value.to_string(), path, constraint });
    }
    Ok(value)
}

fn access(
    change: Option<Vec<model::SourceAccessConfiguration>>,
    before: Vec<Access>,
    kind: Kind,
) -> Result<Vec<Access>, Error> {
    let Some(change) = change else { return Ok(before) };
    let parse = |one: model::SourceAccessConfiguration| {
        let kind_text = one.r#type.ok_or_else(|| required("type"))?.to_string();
        if !kind.takes_access(&kind_text) {
            return Err(unsupported("sourceAccessConfigurations"));
        }
        Ok(Access { kind: kind_text, uri: one.uri.ok_or_else(|| required("uri"))? })
    };
    change.into_iter().map(parse).collect()
}

/// A schema registry of a request; one that names nothing of it ends it.
fn schema_registry(
    change: Option<model::KafkaSchemaRegistryConfig>,
    before: Option<SchemaRegistry>,
) -> Result<Option<SchemaRegistry>, Error> {
    let Some(change) = change else { return Ok(before) };
    if change == model::KafkaSchemaRegistryConfig::default() {
        return Ok(None);
    }
    let parse = |one: model::KafkaSchemaRegistryAccessConfig| {
        let kind = one.r#type.ok_or_else(|| required("type"))?.to_string();
        Ok(Access { kind, uri: one.uri.ok_or_else(|| required("uri"))? })
    };
    let attributes = change.schema_validation_configs.unwrap_or_default();
    Ok(Some(SchemaRegistry {
        uri: change.schema_registry_uri.ok_or_else(|| required("schemaRegistryURI"))?,
        record_format: change.event_record_format.map(|format| format.to_string()),
        access: change
            .access_configs
            .unwrap_or_default()
            .into_iter()
            .map(parse)
            .collect::<Result<_, Error>>()?,
        validated: attributes.iter().filter_map(|one| one.attribute).map(|one| one.to_string()).collect(),
    }))
}

fn documents(
    change: Option<model::DocumentDBEventSourceConfig>,
    before: Option<Documents>,
) -> Result<Option<Documents>, Error> {
    let Some(change) = change else { return Ok(before) };
    let (database, collection, full_document) = match before {
        Some(before) => (Some(before.database), before.collection, before.full_document),
        None => (None, None, FULL_DOCUMENT.to_owned()),
    };
    Ok(Some(Documents {
        database: change.database_name.or(database).ok_or_else(|| required("databaseName"))?,
        collection: change.collection_name.or(collection),
        full_document: change.full_document.map_or(full_document, |form| form.to_string()),
    }))
}
