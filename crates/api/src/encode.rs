//! From an output to status, headers and body.

use std::fmt;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use serde::Serialize;

use crate::generated::operations::Operation;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.amazon.eventstream");
const NO_CONTENT: u16 = 204;

/// An output that can be answered.
pub trait EncodeResponse {
    /// The answer of `operation`, which decides the status.
    fn encode(&self, operation: Operation) -> EncodedResponse;
}

/// An answer, ready to be written. `Debug` shows how long the body is, not what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to the answer itself.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The whole body.
    pub body: Bytes,
}

impl EncodedResponse {
    /// The answer of an operation without output.
    #[must_use]
    pub fn empty(operation: Operation) -> Self {
        Self { status: operation.success_status(), headers: Vec::new(), body: Bytes::new() }
    }

    /// The answer of an operation none of whose output's members is there, not even those that the model requires.
    #[must_use]
    pub fn without_members(operation: Operation) -> Self {
        Self::json(operation, &serde_json::Map::new())
    }

    /// The answer of an operation whose output is all body.
    pub(crate) fn json(operation: Operation, output: &impl Serialize) -> Self {
        let mut response = Self::empty(operation);
        if response.status != NO_CONTENT {
            response.body = to_json(output);
            response.headers.push((CONTENT_TYPE, JSON));
        }
        response
    }

    /// An error answer.
    pub(crate) fn error(status: u16, body: &impl Serialize) -> Self {
        Self { status, headers: vec![(CONTENT_TYPE, JSON)], body: to_json(body) }
    }

    pub(crate) fn set_status(&mut self, status: Option<i32>) {
        if let Some(status) = status.and_then(|status| u16::try_from(status).ok()) {
            self.status = status;
        }
    }

    pub(crate) fn set_header(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.headers.push((HeaderName::from_static(name), header_value(value)));
        }
    }

    pub(crate) fn set_event_stream(&mut self) {
        self.headers.push((CONTENT_TYPE, EVENT_STREAM));
    }

    pub(crate) fn set_payload(&mut self, payload: Option<&Bytes>) {
        if let Some(payload) = payload {
            self.headers.push((CONTENT_TYPE, JSON));
            self.body = payload.clone();
        }
    }
}

impl fmt::Debug for EncodedResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EncodedResponse")
            .field("status", &self.status)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Bytes that a header cannot hold become `?`.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let printable = |byte: u8| if byte == b'\t' || (byte >= b' ' && byte != 0x7F) { byte } else { b'?' };
        let bytes: Vec<u8> = text.bytes().map(printable).collect();
        HeaderValue::from_bytes(&bytes).unwrap_or(const { HeaderValue::from_static("?") })
    })
}

fn to_json(output: &impl Serialize) -> Bytes {
    serde_json::to_vec(output)
        .expect("shapes of the model have text keys and no serializer that fails")
        .into()
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::EpochSeconds;
    use crate::model;

    fn header(response: &EncodedResponse, name: &str) -> Option<String> {
        let found = response.headers.iter().find(|(header, _)| header.as_str() == name);
        found.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    #[test]
    fn absent_members_are_left_out() {
        let output = model::FunctionConfiguration {
            function_name: Some("f".to_owned()),
            memory_size: Some(128),
            kms_key_arn: Some("k".to_owned()),
            code_sha256: Some("s".to_owned()),
            state: Some(model::State::Pending),
            ..Default::default()
        };
        let response = output.encode(Operation::CreateFunction);
        assert_eq!(response.status, 201);
        assert_eq!(header(&response, "content-type").as_deref(), Some("application/json"));
        assert_eq!(
            std::str::from_utf8(&response.body).unwrap(),
            r#"{"FunctionName":"f","MemorySize":128,"CodeSha256":"s","KMSKeyArn":"k","State":"Pending"}"#
        );
        assert_eq!(output.encode(Operation::UpdateFunctionCode).status, 200);
    }

    #[test]
    fn invoke_answers_in_headers_and_keeps_the_payload() {
        let output = model::InvocationResponse {
            status_code: Some(202),
            function_error: Some("Unhandled".to_owned()),
            executed_version: Some("$LATEST".to_owned()),
            payload: Some(Bytes::from_static(b"\"x\"")),
            ..Default::default()
        };
        let response = output.encode(Operation::Invoke);
        assert_eq!((response.status, &response.body[..]), (202, &b"\"x\""[..]));
        assert_eq!(header(&response, "x-amz-function-error").as_deref(), Some("Unhandled"));
        assert_eq!(header(&response, "x-amz-executed-version").as_deref(), Some("$LATEST"));
        assert_eq!(header(&response, "x-amz-log-result"), None);
    }

    #[test]
    fn text_that_no_header_can_hold_is_replaced() {
        let output =
            model::InvocationResponse { function_error: Some("a\r\nb: c".to_owned()), ..Default::default() };
        let response = output.encode(Operation::Invoke);
        assert_eq!(header(&response, "x-amz-function-error").as_deref(), Some("a??b: c"));
    }

    #[test]
    fn answers_without_content_have_no_body() {
        let deleted =
            model::DeleteFunctionResponse { status_code: Some(204) }.encode(Operation::DeleteFunction);
        assert_eq!((deleted.status, deleted.body.len()), (204, 0));
        let config =
            model::DeleteCodeSigningConfigResponse::default().encode(Operation::DeleteCodeSigningConfig);
        assert_eq!((config.status, config.body.len(), config.headers.len()), (204, 0, 0));
        let policy = model::SendDurableExecutionCallbackHeartbeatResponse::default();
        assert_eq!(policy.encode(Operation::SendDurableExecutionCallbackHeartbeat).body, "{}");
        assert_eq!(EncodedResponse::empty(Operation::TagResource).status, 204);
        let none = EncodedResponse::without_members(Operation::GetFunctionCodeSigningConfig);
        assert_eq!((none.status, &*none.body), (200, b"{}".as_slice()));
    }

    #[test]
    fn an_event_stream_remaps_the_content_type() {
        let output = model::InvokeWithResponseStreamResponse {
            response_stream_content_type: Some("text/html".to_owned()),
            ..Default::default()
        };
        let response = output.encode(Operation::InvokeWithResponseStream);
        assert_eq!(header(&response, "content-type").as_deref(), Some("application/vnd.amazon.eventstream"));
        assert_eq!(header(&response, "x-amzn-remapped-content-type").as_deref(), Some("text/html"));
    }

    #[test]
    fn outputs_come_back_as_they_were() {
        fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(output: &T) {
            let text = serde_json::to_string(output).unwrap();
            assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), output, "{text}");
        }
        check(&model::FunctionCode { zip_file: Some(Bytes::from_static(b"\xff\x00")), ..Default::default() });
        check(&model::FunctionCode::default());
        check(&model::EventSourceMappingConfiguration {
            uuid: Some("u".to_owned()),
            starting_position: Some(model::EventSourcePosition::TrimHorizon),
            last_modified: Some(EpochSeconds(1_767_323_045.125)),
            ..Default::default()
        });
        check(&model::LayerVersionsListItem {
            compatible_runtimes: Some(vec![
                model::Runtime::Nodejs4_3Edge,
                model::Runtime::Other("new".to_owned()),
            ]),
            ..Default::default()
        });
    }
}
