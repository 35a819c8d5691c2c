//! The record of an asynchronous invocation that has ended, as destinations get it.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>.

use bytes::Bytes;
use firelet_store::event::NewEvent;
use firelet_types::{FunctionArn, Qualifier, Timestamp, limits};
use serde::Serialize;
use serde_json::value::RawValue;

use super::policy::Condition;
use crate::invoker::Response;

/// The status of an answer, whether or not the function failed.
const ANSWERED: u16 = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Payload<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: String,
    function_arn: String,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'a> {
    status_code: u16,
    executed_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

/// A payload as it stands in a record: JSON as it is, anything else as a string.
#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Json(&'a RawValue),
    Text(String),
}

impl<'a> Payload<'a> {
    fn new(payload: &'a Bytes) -> Self {
        match serde_json::from_slice(payload) {
            Ok(json) => Self::Json(json),
            Err(_) => Self::Text(String::from_utf8_lossy(payload).into_owned()),
        }
    }
}

/// How an event ended.
pub(crate) struct Ended<'a> {
    pub(crate) event: &'a NewEvent,
    pub(crate) condition: Condition,
    /// How often the function ran for it.
    pub(crate) invocations: u32,
    /// What the function answered last, if it ran at last.
    pub(crate) response: Option<&'a Response>,
    pub(crate) now: Timestamp,
}

impl Ended<'_> {
    /// The record as JSON. One that would be larger than an event may be goes without payloads, as documented of
    /// records that are too large for their destination.
    pub(crate) fn record(&self) -> Bytes {
        let request = Payload::new(&self.event.payload);
        let response = self.response.map(|response| Payload::new(&response.payload));
        let whole = self.write(Some(request), response);
        if whole.len() <= limits::EVENT_PAYLOAD_BYTES { whole } else { self.write(None, None) }
    }

    fn write(&self, request_payload: Option<Payload<'_>>, response_payload: Option<Payload<'_>>) -> Bytes {
        let record = Record {
            version: "1.0",
            timestamp: self.now.iso8601(),
            request_context: RequestContext {
                request_id: self.event.request_id.to_string(),
                function_arn: self.function_arn(),
                condition: self.condition.name(),
                approximate_invoke_count: self.invocations,
            },
            request_payload,
            response_context: self.response.map(|response| ResponseContext {
                status_code: ANSWERED,
                executed_version: &response.executed_version,
                function_error: response.is_error.then_some("Unhandled"),
            }),
            response_payload,
        };
        Bytes::from(serde_json::to_vec(&record).expect("records have text keys and no serializer that fails"))
    }

    /// Always with a qualifier.
    fn function_arn(&self) -> String {
        let event = self.event;
        let qualifier = Some(event.qualifier.clone().unwrap_or(Qualifier::Latest));
        FunctionArn { scope: event.scope.clone(), name: event.function.clone(), qualifier }.to_string()
    }
}

#[cfg(test)]
mod tests {
    use firelet_types::{AccountId, Region, Scope};

    use super::*;

    fn event(payload: &'static [u8]) -> NewEvent {
        NewEvent {
            scope: Scope { account: AccountId::local(), region: Region::local() },
            function: "echo".parse().unwrap(),
            qualifier: None,
            request_id: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
            accepted: Timestamp::from_millis(0),
            tenant: None,
            trace_header: None,
            payload: Bytes::from_static(payload),
        }
    }

    fn response(payload: impl Into<Bytes>, is_error: bool) -> Response {
        Response {
            payload: payload.into(),
            is_error,
            executed_version: "$LATEST".to_owned(),
            log_tail: None,
            trace_id: String::new(),
        }
    }

    #[track_caller]
    fn check(ended: &Ended<'_>, context: &str, rest: &str) {
        let context = format!(
            r#"{{"requestId":"11111111-2222-4333-8444-555555555555","functionArn":"{}",{context}}}"#,
            ended.function_arn()
        );
        let expected = format!(
            r#"{{"version":"1.0","timestamp":"2026-11-23T10:11:12.045Z","requestContext":{context}{rest}}}"#
        );
        assert_eq!(std::str::from_utf8(&ended.record()).unwrap(), expected);
    }

    #[test]
    fn records_are_as_recorded() {
        let now = Timestamp::from_millis(1_795_428_672_045);
        let event = event(br#"{"a": 1}"#);
        assert_eq!(
            Ended { event: &event, condition: Condition::Success, invocations: 1, response: None, now }
                .function_arn(),
            "arn:aws:lambda:us-east-1:000000000000:function:echo:$LATEST"
        );
        check(
            &Ended {
                event: &event,
                condition: Condition::Success,
                invocations: 1,
                response: Some(&response("null", false)),
                now,
            },
            r#""condition":"Success","approximateInvokeCount":1"#,
            r#","requestPayload":{"a": 1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":null"#,
        );
        check(
            &Ended {
                event: &event,
                condition: Condition::RetriesExhausted,
                invocations: 3,
                response: Some(&response(r#"{"errorMessage":"no"}"#, true)),
                now,
            },
            r#""condition":"RetriesExhausted","approximateInvokeCount":3"#,
            r#","requestPayload":{"a": 1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorMessage":"no"}"#,
        );
        let aliased = NewEvent { qualifier: Some(Qualifier::from("live")), ..event };
        check(
            &Ended {
                event: &aliased,
                condition: Condition::ZeroReservedConcurrency,
                invocations: 0,
                response: None,
                now,
            },
            r#""condition":"ZeroReservedConcurrency","approximateInvokeCount":0"#,
            r#","requestPayload":{"a": 1}"#,
        );
    }

    #[test]
    fn an_answer_that_is_not_json_is_a_string() {
        let response = response("not \"json\"", false);
        let ended = Ended {
            event: &event(b"1"),
            condition: Condition::Success,
            invocations: 1,
            response: Some(&response),
            now: Timestamp::from_millis(0),
        };
        let record: serde_json::Value = serde_json::from_slice(&ended.record()).unwrap();
        assert_eq!(record["responsePayload"], "not \"json\"");
    }

    #[test]
    fn a_record_that_is_too_large_goes_without_payloads() {
        let large = format!("\"{}\"", "x".repeat(limits::EVENT_PAYLOAD_BYTES));
        let response = response(large, false);
        let ended = Ended {
            event: &event(b"1"),
            condition: Condition::Success,
            invocations: 1,
            response: Some(&response),
            now: Timestamp::from_millis(0),
        };
        let record: serde_json::Value = serde_json::from_slice(&ended.record()).unwrap();
        assert_eq!(record["responseContext"]["executedVersion"], "$LATEST");
        assert!(record.get("requestPayload").is_none() && record.get("responsePayload").is_none());
    }
}
