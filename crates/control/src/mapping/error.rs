//! Refusals about event source mappings, with the text that the caller reads.
//!
//! A variant is one kind of error of the API; which status and shape it has on the wire is not decided here.

use firelet_types::{FunctionArn, FunctionName, MappingId};

/// Why a request about an event source mapping was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// `InvalidParameterValueException`.
    #[error(transparent)]
    InvalidParameter(#[from] MappingParameter),
    /// `ResourceNotFoundException`: no mapping has this id.
    #[error("The resource you requested does not exist.")]
    NotFound,
    /// `ResourceConflictException`.
    #[error(transparent)]
    Duplicate(#[from] DuplicateMapping),
    /// `ResourceInUseException`: the change before has not ended.
    #[error("Cannot {action} the event source mapping because it is in use.")]
    InUse {
        /// What was tried: `update` or `delete`.
        action: &'static str,
    },
}

/// `InvalidParameterValueException`: what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingParameter {
    /// There is no such function, or no such version or alias of it.
    #[error("Function does not exist")]
    FunctionMissing,
    /// No source at all, or one that Lambda does not poll.
    #[error("Unrecognized event source.")]
    UnknownSource,
    /// A stream without a place to start at.
    #[error(
        "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not \
         be null."
    )]
    StartingPositionMissing,
    /// A queue has no place to start at.
    #[error("StartingPosition is not valid for SQS event sources.")]
    StartingPositionOfQueue,
    /// The stream cannot be read from a moment on.
    #[error("Unsupported starting position for arn type: {arn}")]
    StartingPosition {
        /// The ARN of the stream.
        arn: String,
    },
    /// A moment, but another place to start at.
    #[error("Timestamp only valid with StartingPosition AT_TIMESTAMP")]
    TimestampUnexpected,
    /// To start at a moment, without the moment.
    #[error("Need to specify a timestamp")]
    TimestampMissing,
    /// A moment before the epoch.
    #[error(
        "Received Exception while reading from provided stream. class java.lang.Long can not be converted to a \
         Timestamp"
    )]
    TimestampNegative,
    /// A setting that this kind of source does not have.
    #[error("Unsupported '{parameter}' parameter for given event source mapping type.")]
    Unsupported {
        /// The setting, in lower camel case.
        parameter: &'static str,
    },
    /// A destination for what succeeded, or for a source that has none.
    #[error("Unsupported DestinationConfig parameter for given event source mapping type.")]
    DestinationUnsupported,
    /// A destination of a service that takes no records.
    #[error(
        "The provided destination config DestinationConfig(onSuccess=null, \
         onFailure=OnFailure(destination={destination})) is invalid."
    )]
    Destination {
        /// The destination that the caller gave.
        destination: String,
    },
    /// A setting that this kind of source must have.
    #[error("Required '{parameter}' parameter is missing.")]
    Required {
        /// The setting, in lower camel case.
        parameter: &'static str,
    },
    /// A large batch of a queue that is not waited for.
    #[error(
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    )]
    BatchingWindow,
    /// Too large a batch of a FIFO queue.
    #[error("Maximum batch size must be between 1 and 10 inclusive")]
    FifoBatchSize,
    /// Gathering messages of a FIFO queue.
    #[error("Batching window is not supported for FIFO queues")]
    FifoBatchingWindow,
    /// An age that the model allows and Lambda does not.
    #[error("MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)")]
    RecordAge,
    /// Not the grammar of event patterns.
    #[error("Invalid filter pattern definition.")]
    FilterPattern,
    /// More filters than the account may have.
    #[error("Number of filters exceeds event source mapping filter limit.")]
    FilterCount,
}

/// `ResourceConflictException`: the mapping that is already there. The words depend on the kind of source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DuplicateMapping {
    /// Of an SQS queue.
    #[error(
        "An event source mapping with SQS arn (\" {arn} \") and function (\" {function} \") already exists. Please \
         update or delete the existing mapping with UUID {id}"
    )]
    Queue {
        /// The ARN of the queue.
        arn: String,
        /// The name of the function.
        function: FunctionName,
        /// The mapping that is there.
        id: MappingId,
    },
    /// Of a stream, a broker or a DocumentDB cluster.
    #[error(
        "The event source arn (\" {arn} \") and function (\" {function} \") provided mapping already exists. Please \
         update or delete the existing mapping with UUID {id}"
    )]
    Source {
        /// The ARN of the source.
        arn: String,
        /// The name of the function.
        function: FunctionName,
        /// The mapping that is there.
        id: MappingId,
    },
    /// Of a topic of a Kafka cluster.
    #[error(
        "An event source mapping with event source (\"{source_text}\"), function (\"{function}\"), topics \
         (\"{topic}\") already exists. Please update or delete the existing mapping with UUID {id}"
    )]
    Topic {
        /// The ARN or the servers of the cluster, joined by commas.
        source_text: String,
        /// The function.
        function: FunctionArn,
        /// The topic.
        topic: String,
        /// The mapping that is there.
        id: MappingId,
    },
}
