//! Where the records of a mapping come from and how they are polled, as it is stored: a JSON column.
//!
//! Fields added later carry a default, so that rows written before them can be read.

use firelet_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Where records come from. Nothing of it changes while the mapping lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    /// An SQS queue.
    Queue {
        /// The ARN of the queue.
        arn: String,
    },
    /// A Kinesis stream, or a consumer of one.
    Kinesis {
        /// The ARN of the stream or consumer.
        arn: String,
        /// Where reading starts.
        start: Start,
    },
    /// The stream of a DynamoDB table.
    DynamoDb {
        /// The ARN of the stream.
        arn: String,
        /// Where reading starts.
        start: Start,
    },
    /// A topic of an MSK cluster.
    ManagedKafka {
        /// The ARN of the cluster or of its VPC connection.
        arn: String,
        /// The topic and how it is read.
        subscription: Subscription,
    },
    /// A topic of a Kafka cluster that is known by its servers.
    SelfManagedKafka {
        /// Host and port of each bootstrap server.
        servers: Vec<String>,
        /// The topic and how it is read.
        subscription: Subscription,
    },
    /// A queue of an Amazon MQ broker, ActiveMQ or RabbitMQ.
    Broker {
        /// The ARN of the broker.
        arn: String,
        /// The queue.
        queue: String,
    },
    /// The change stream of a DocumentDB cluster.
    DocumentDb {
        /// The ARN of the cluster.
        arn: String,
        /// Where reading starts.
        start: Start,
    },
}

impl EventSource {
    /// The ARN of the source, if it has one.
    #[must_use]
    pub fn arn(&self) -> Option<&str> {
        match self {
            Self::Queue { arn }
            | Self::Kinesis { arn, .. }
            | Self::DynamoDb { arn, .. }
            | Self::ManagedKafka { arn, .. }
            | Self::Broker { arn, .. }
            | Self::DocumentDb { arn, .. } => Some(arn),
            Self::SelfManagedKafka { .. } => None,
        }
    }
}

/// A topic and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The topic.
    pub topic: String,
    /// The consumer group that reads it.
    pub consumer_group: String,
    /// Where reading starts.
    pub start: Start,
}

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the oldest record.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At the first record since a moment.
    At(Timestamp),
}

/// How records are polled and passed on. A setting that the kind of source does not have is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The most records in a batch.
    pub batch_size: u32,
    /// How long records are gathered; none is the source's own half second.
    pub batching_window_seconds: Option<u32>,
    /// Patterns of which a record has to match one; none at all lets every record pass.
    pub filters: Vec<String>,
    /// The ARN of the key that encrypts the filters.
    pub kms_key: Option<String>,
    /// The names of the metrics to be written; none means never set.
    pub metrics: Option<Vec<String>>,
    /// The least level of the poller's own log lines.
    pub log_level: Option<String>,
    /// Whether the function tells which records of a batch failed; none where it cannot.
    pub reports_failures: Option<bool>,
    /// The most invocations at one time.
    pub maximum_concurrency: Option<u32>,
    /// Pollers that are there all the time.
    pub pollers: Option<Pollers>,
    /// How records that cannot be processed are given up; none where the source itself decides.
    pub retry: Option<Retry>,
    /// How a shard is read; only streams have shards.
    pub shard: Option<Shard>,
    /// How to get at the source.
    pub access: Vec<Access>,
    /// Where the schemas of Kafka records are.
    pub schema_registry: Option<SchemaRegistry>,
    /// What of a DocumentDB cluster is read.
    pub documents: Option<Documents>,
}

/// Pollers that are there all the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pollers {
    /// The fewest.
    pub minimum: u32,
    /// The most.
    pub maximum: u32,
    /// The group of mappings that shares them.
    pub group: Option<String>,
}

/// How records that cannot be processed are given up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The age of records that are given up; none means never.
    pub maximum_age_seconds: Option<u32>,
    /// How often a batch is tried again; none means always.
    pub maximum_attempts: Option<u32>,
    /// Whether a batch that failed is tried again in halves.
    pub bisects: bool,
    /// The ARN, or the Kafka topic, that is told of records given up.
    pub on_failure: Option<String>,
}

/// How a shard is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Batches of one shard that are processed at one time.
    pub parallelization_factor: u32,
    /// The length of the windows that state is kept for; 0 means no windows.
    pub tumbling_window_seconds: u32,
}

/// One way to get at a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// What the address is, in the words of the API: `BASIC_AUTH`.
    pub kind: String,
    /// The address.
    pub uri: String,
}

/// Where the schemas of Kafka records are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaRegistry {
    /// The registry.
    pub uri: String,
    /// The form in which the function gets records.
    pub record_format: Option<String>,
    /// How to get at the registry.
    pub access: Vec<Access>,
    /// The parts of records that are validated.
    pub validated: Vec<String>,
}

/// What of a DocumentDB cluster is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Documents {
    /// The database.
    pub database: String,
    /// The collection; none means all.
    pub collection: Option<String>,
    /// Whether updates carry the document, in the words of the API: `UpdateLookup`.
    pub full_document: String,
}
