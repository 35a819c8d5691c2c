//! From an output to status, headers and body.

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

/// An answer, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
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
