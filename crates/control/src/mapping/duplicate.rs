//! Two mappings of the same source for the same function: which ones those are, and how the refusal is worded.
//!
//! Pure. Two mappings of a function by different qualifiers are different mappings.

use firelet_store::mapping::source::Subscription;
use firelet_store::mapping::{EventSource, Mapping};

use super::error::DuplicateMapping;

/// Refuses `new` if one of the mappings of its function reads the same.
pub(super) fn check(existing: &[Mapping], new: &Mapping) -> Result<(), DuplicateMapping> {
    let others = existing.iter().filter(|mapping| mapping.id != new.id);
    let mut same_function =
        others.filter(|mapping| mapping.function == new.function && mapping.qualifier == new.qualifier);
    match same_function.find(|mapping| is_same(mapping, new)) {
        Some(mapping) => Err(refusal(mapping, new)),
        None => Ok(()),
    }
}

fn is_same(one: &Mapping, other: &Mapping) -> bool {
    match (&one.source, &other.source) {
        (
            EventSource::SelfManagedKafka { servers, subscription },
            EventSource::SelfManagedKafka { servers: theirs, subscription: other },
        ) => subscription.topic == other.topic && servers.iter().any(|server| theirs.contains(server)),
        (
            EventSource::ManagedKafka { arn, subscription },
            EventSource::ManagedKafka { arn: theirs, subscription: other },
        ) => arn == theirs && subscription.topic == other.topic,
        (EventSource::Broker { arn, queue }, EventSource::Broker { arn: theirs, queue: other }) => {
            arn == theirs && queue == other
        }
        (EventSource::DocumentDb { arn, .. }, EventSource::DocumentDb { arn: theirs, .. }) => {
            let read = |mapping: &Mapping| {
                let documents = mapping.settings.documents.as_ref();
                documents.map(|documents| (documents.database.clone(), documents.collection.clone()))
            };
            arn == theirs && read(one) == read(other)
        }
        (one, other) => one.arn().is_some() && one.arn() == other.arn(),
    }
}

fn refusal(mapping: &Mapping, new: &Mapping) -> DuplicateMapping {
    let (function, id) = (mapping.function.clone(), mapping.id);
    let topic = |source_text: String, subscription: &Subscription| DuplicateMapping::Topic {
        source_text,
        function: new.function_arn(),
        topic: subscription.topic.clone(),
        id,
    };
    match &new.source {
        EventSource::Queue { arn } => DuplicateMapping::Queue { arn: arn.clone(), function, id },
        EventSource::Kinesis { arn, .. }
        | EventSource::DynamoDb { arn, .. }
        | EventSource::Broker { arn, .. }
        | EventSource::DocumentDb { arn, .. } => DuplicateMapping::Source { arn: arn.clone(), function, id },
        EventSource::ManagedKafka { arn, subscription } => topic(arn.clone(), subscription),
        EventSource::SelfManagedKafka { servers, subscription } => topic(servers.join(","), subscription),
    }
}
