//! The source of a new mapping, judged: what it is, where reading starts.

use std::time::Duration;

use firelet_api::{EpochSeconds, model};
use firelet_store::mapping::EventSource;
use firelet_store::mapping::source::{Start, Subscription};
use firelet_types::{MappingId, Timestamp};

use super::error::MappingParameter;
use super::kind::Kind;
use super::settings::present;

/// The key of a Kafka cluster's servers.
const SERVERS: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// The kind of source that a request names.
pub(super) fn kind(request: &model::CreateEventSourceMappingRequest) -> Result<Kind, MappingParameter> {
    match (&request.event_source_arn, &request.self_managed_event_source) {
        (Some(_), Some(_)) => Err(MappingParameter::Unsupported { parameter: "selfManagedEventSource" }),
        (Some(arn), None) => Kind::of_arn(arn),
        (None, Some(_)) => Ok(Kind::SelfManagedKafka),
        (None, None) => Err(MappingParameter::UnknownSource),
    }
}

/// The source that a request names; `id` is that of the mapping, after which a consumer group is named.
pub(super) fn parse(
    request: &model::CreateEventSourceMappingRequest,
    kind: Kind,
    id: MappingId,
) -> Result<EventSource, MappingParameter> {
    let unsupported = |parameter| Err(MappingParameter::Unsupported { parameter });
    if present(request.topics.as_deref()) && !kind.is_kafka() {
        return unsupported("topics");
    }
    if present(request.queues.as_deref()) && kind != Kind::Broker {
        return unsupported("queues");
    }
    let arn = request.event_source_arn.clone().unwrap_or_default();
    let start = start(request, kind, &arn)?;
    match kind {
        Kind::Queue { .. } => Ok(EventSource::Queue { arn }),
        Kind::Kinesis => Ok(EventSource::Kinesis { arn, start }),
        Kind::DynamoDb => Ok(EventSource::DynamoDb { arn, start }),
        Kind::ManagedKafka => {
            let config = request.amazon_managed_kafka_event_source_config.as_ref();
            let group = config.and_then(|config| config.consumer_group_id.clone());
            Ok(EventSource::ManagedKafka { arn, subscription: subscription(request, group, start, id)? })
        }
        Kind::SelfManagedKafka => {
            let config = request.self_managed_kafka_event_source_config.as_ref();
            let group = config.and_then(|config| config.consumer_group_id.clone());
            let subscription = subscription(request, group, start, id)?;
            Ok(EventSource::SelfManagedKafka { servers: servers(request)?, subscription })
        }
        Kind::Broker => {
            let queue = first(request.queues.as_deref());
            Ok(EventSource::Broker { arn, queue: queue.ok_or(required("queues"))? })
        }
        Kind::DocumentDb => Ok(EventSource::DocumentDb { arn, start }),
    }
}

fn required(parameter: &'static str) -> MappingParameter {
    MappingParameter::Required { parameter }
}

fn first(items: Option<&[String]>) -> Option<String> {
    items?.first().cloned()
}

fn servers(request: &model::CreateEventSourceMappingRequest) -> Result<Vec<String>, MappingParameter> {
    let endpoints = request.self_managed_event_source.as_ref().and_then(|source| source.endpoints.as_ref());
    endpoints.and_then(|endpoints| endpoints.get(SERVERS).cloned()).ok_or(MappingParameter::UnknownSource)
}

fn subscription(
    request: &model::CreateEventSourceMappingRequest,
    group: Option<String>,
    start: Start,
    id: MappingId,
) -> Result<Subscription, MappingParameter> {
    let topic = first(request.topics.as_deref()).ok_or(required("topics"))?;
    Ok(Subscription { topic, consumer_group: group.unwrap_or_else(|| id.to_string()), start })
}

fn start(
    request: &model::CreateEventSourceMappingRequest,
    kind: Kind,
    arn: &str,
) -> Result<Start, MappingParameter> {
    let timestamp = request.starting_position_timestamp;
    match (kind, request.starting_position) {
        (Kind::Queue { .. }, Some(_)) => Err(MappingParameter::StartingPositionOfQueue),
        (Kind::Broker, Some(_)) => Err(MappingParameter::Unsupported { parameter: "startingPosition" }),
        (Kind::Kinesis | Kind::DynamoDb, None) => Err(MappingParameter::StartingPositionMissing),
        (_, Some(position)) if position != model::EventSourcePosition::AtTimestamp && timestamp.is_some() => {
            Err(MappingParameter::TimestampUnexpected)
        }
        (_, None) if timestamp.is_some() => Err(MappingParameter::TimestampUnexpected),
        (Kind::DynamoDb, Some(model::EventSourcePosition::AtTimestamp)) => {
            Err(MappingParameter::StartingPosition { arn: arn.to_owned() })
        }
        (_, Some(model::EventSourcePosition::AtTimestamp)) => match timestamp {
            Some(timestamp) => Ok(Start::At(moment(timestamp)?)),
            None => Err(MappingParameter::TimestampMissing),
        },
        (_, Some(model::EventSourcePosition::Latest)) => Ok(Start::Latest),
        (_, Some(model::EventSourcePosition::TrimHorizon) | None) => Ok(Start::TrimHorizon),
    }
}

fn moment(timestamp: EpochSeconds) -> Result<Timestamp, MappingParameter> {
    let since = Duration::try_from_secs_f64(timestamp.0).map_err(|_| MappingParameter::TimestampNegative)?;
    let milliseconds = i64::try_from(since.as_millis()).map_err(|_| MappingParameter::TimestampNegative)?;
    Ok(Timestamp::from_millis(milliseconds))
}
