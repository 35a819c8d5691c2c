//! The kinds of event sources, and which settings each of them has.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>.

use firelet_store::mapping::EventSource;

use super::error::MappingParameter;

/// A kind of event source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Queue { is_fifo: bool },
    Kinesis,
    DynamoDb,
    ManagedKafka,
    SelfManagedKafka,
    Broker,
    DocumentDb,
}

impl Kind {
    /// The kind of source that an ARN names.
    pub(super) fn of_arn(arn: &str) -> Result<Self, MappingParameter> {
        let mut parts = arn.splitn(6, ':').skip(2);
        let service = parts.next().unwrap_or_default();
        let resource = parts.nth(2).unwrap_or_default();
        match service {
            "sqs" => Ok(Self::Queue { is_fifo: resource.ends_with(".fifo") }),
            "kinesis" if resource.starts_with("stream/") => Ok(Self::Kinesis),
            "dynamodb" if resource.starts_with("table/") && resource.contains("/stream/") => {
                Ok(Self::DynamoDb)
            }
            "kafka" => Ok(Self::ManagedKafka),
            "mq" if resource.starts_with("broker:") => Ok(Self::Broker),
            "rds" if resource.starts_with("cluster:") => Ok(Self::DocumentDb),
            _ => Err(MappingParameter::UnknownSource),
        }
    }

    /// The kind of a source that is stored.
    pub(super) fn of(source: &EventSource) -> Self {
        match source {
            EventSource::Queue { arn } => Self::Queue { is_fifo: arn.ends_with(".fifo") },
            EventSource::Kinesis { .. } => Self::Kinesis,
            EventSource::DynamoDb { .. } => Self::DynamoDb,
            EventSource::ManagedKafka { .. } => Self::ManagedKafka,
            EventSource::SelfManagedKafka { .. } => Self::SelfManagedKafka,
            EventSource::Broker { .. } => Self::Broker,
            EventSource::DocumentDb { .. } => Self::DocumentDb,
        }
    }

    pub(super) const fn is_queue(self) -> bool {
        matches!(self, Self::Queue { .. })
    }

    /// Kinesis and DynamoDB, which have shards.
    pub(super) const fn is_stream(self) -> bool {
        matches!(self, Self::Kinesis | Self::DynamoDb)
    }

    pub(super) const fn is_kafka(self) -> bool {
        matches!(self, Self::ManagedKafka | Self::SelfManagedKafka)
    }

    /// Whether records that cannot be processed can be given up.
    pub(super) const fn has_retry(self) -> bool {
        self.is_stream() || self.is_kafka()
    }

    /// Whether the source must be told how to get at it.
    pub(super) const fn requires_access(self) -> bool {
        matches!(self, Self::SelfManagedKafka | Self::Broker | Self::DocumentDb)
    }

    /// Whether `access`, in the words of the API, is a way to get at the source.
    pub(super) fn takes_access(self, access: &str) -> bool {
        match self {
            Self::Queue { .. } | Self::Kinesis | Self::DynamoDb => false,
            Self::ManagedKafka => matches!(
                access,
                "SASL_SCRAM_512_AUTH" | "CLIENT_CERTIFICATE_TLS_AUTH" | "IAM_AUTH" | "IAM_OAUTHBEARER_AUTH"
            ),
            Self::SelfManagedKafka => access != "VIRTUAL_HOST",
            Self::Broker => matches!(access, "BASIC_AUTH" | "VIRTUAL_HOST"),
            Self::DocumentDb => access == "BASIC_AUTH",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_the_kind() {
        let check = |arn: &str, expected: Option<Kind>| assert_eq!(Kind::of_arn(arn).ok(), expected, "{arn}");
        check("arn:aws:sqs:us-east-1:000000000000:q", Some(Kind::Queue { is_fifo: false }));
        check("arn:aws:sqs:us-east-1:000000000000:q.fifo", Some(Kind::Queue { is_fifo: true }));
        check("arn:aws:kinesis:us-east-1:000000000000:stream/s", Some(Kind::Kinesis));
        check("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1", Some(Kind::Kinesis));
        check(
            "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2024-01-01T00:00:00.000",
            Some(Kind::DynamoDb),
        );
        check("arn:aws:kafka:us-east-1:000000000000:cluster/c/u-1", Some(Kind::ManagedKafka));
        check("arn:aws:mq:us-east-1:000000000000:broker:b:b-1", Some(Kind::Broker));
        check("arn:aws:rds:us-east-1:000000000000:cluster:c", Some(Kind::DocumentDb));
        check("arn:aws:dynamodb:us-east-1:000000000000:table/t", None);
        check("arn:aws:s3:::bucket", None);
        check("arn:aws:rds:us-east-1:000000000000:db:x", None);
        check("", None);
    }
}
