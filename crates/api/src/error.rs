//! The error answer: name, status, text, and the members that go with it.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::decode::DecodeError;
use crate::encode::{EncodedResponse, header_value};
use crate::generated::errors::ErrorKind;
use crate::generated::model::ThrottleReason;
use crate::generated::operations::Operation;
use crate::routes::RouteError;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const FIRST_SERVER_STATUS: u16 = 500;

/// A refusal in the form of the Lambda API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", kind.name(), message.as_deref().unwrap_or("null"))]
pub struct ApiError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The text for the caller; `None` is a JSON null.
    pub message: Option<String>,
    /// Whether the body carries `Type`.
    pub type_member: bool,
    /// Which limit throttled the caller.
    pub reason: Option<ThrottleReason>,
    /// After how many seconds the caller may try again.
    pub retry_after: Option<u32>,
}

impl ApiError {
    /// An error with the members that its kind usually has.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: Some(message.into()),
            type_member: kind.has_type(),
            reason: None,
            retry_after: None,
        }
    }

    /// An error whose text is null.
    #[must_use]
    pub fn without_message(kind: ErrorKind) -> Self {
        Self { message: None, ..Self::new(kind, String::new()) }
    }

    /// The answer for an operation that firelet does not have yet.
    #[must_use]
    pub fn not_implemented(operation: Operation) -> Self {
        Self::new(ErrorKind::NotImplemented, format!("firelet does not implement {} yet.", operation.name()))
    }

    /// Too many requests, and which limit it was.
    pub fn throttled(reason: ThrottleReason, message: impl Into<String>) -> Self {
        Self { reason: Some(reason), ..Self::new(ErrorKind::TooManyRequestsException, message) }
    }

    /// The same error without `Type`, as some late checks of Lambda answer.
    #[must_use]
    pub fn without_type(self) -> Self {
        Self { type_member: false, ..self }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The answer.
    #[must_use]
    pub fn encode(&self) -> EncodedResponse {
        let mut body = Map::new();
        if let Some(reason) = self.reason {
            body.insert("Reason".to_owned(), Value::from(reason.as_str()));
        }
        if self.type_member {
            let fault = if self.status() < FIRST_SERVER_STATUS { "User" } else { "Service" };
            body.insert("Type".to_owned(), Value::from(fault));
        }
        body.insert(self.kind.message_member().to_owned(), Value::from(self.message.clone()));
        let mut response = EncodedResponse::error(self.status(), &body);
        response.headers.push((ERROR_TYPE, HeaderValue::from_static(self.kind.name())));
        if let Some(seconds) = self.retry_after {
            response.headers.push((http::header::RETRY_AFTER, header_value(&seconds.to_string())));
        }
        response
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Validation(violations) => {
                Self::new(ErrorKind::ValidationException, violations.to_string())
            }
            DecodeError::Serialization(message) => Self::new(ErrorKind::SerializationException, message),
        }
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        let kind = match &error {
            RouteError::UnknownPath { .. } | RouteError::WrongMethod { .. } => {
                ErrorKind::UnknownOperationException
            }
            RouteError::BadEncoding { .. } => ErrorKind::SerializationException,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: &ApiError, status: u16, error_type: &'static str, body: &str) {
        let response = error.encode();
        assert_eq!((response.status, std::str::from_utf8(&response.body).unwrap()), (status, body));
        assert!(response.headers.contains(&(ERROR_TYPE, HeaderValue::from_static(error_type))));
        let json = (http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(response.headers.contains(&json));
    }

    #[test]
    fn the_message_is_spelled_as_the_shape_says() {
        check(
            &ApiError::new(ErrorKind::ResourceNotFoundException, "Function not found: x"),
            404,
            "ResourceNotFoundException",
            r#"{"Message":"Function not found: x","Type":"User"}"#,
        );
        check(
            &ApiError::new(ErrorKind::InvalidParameterValueException, "no"),
            400,
            "InvalidParameterValueException",
            r#"{"Type":"User","message":"no"}"#,
        );
        check(
            &ApiError::new(ErrorKind::KMSNotFoundException, "no"),
            502,
            "KMSNotFoundException",
            r#"{"Message":"no","Type":"Service"}"#,
        );
    }

    #[test]
    fn undeclared_errors_have_no_type() {
        check(
            &ApiError::new(ErrorKind::RequestEntityTooLargeException, "big"),
            413,
            "RequestEntityTooLargeException",
            r#"{"message":"big"}"#,
        );
        check(
            &ApiError::without_message(ErrorKind::AccessDeniedException),
            403,
            "AccessDeniedException",
            r#"{"Message":null}"#,
        );
    }

    #[test]
    fn late_checks_may_leave_the_type_out() {
        let error = ApiError::new(ErrorKind::InvalidParameterValueException, "no").without_type();
        check(&error, 400, "InvalidParameterValueException", r#"{"message":"no"}"#);
    }

    #[test]
    fn throttling_names_the_limit_and_when_to_retry() {
        let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
        let error = ApiError { retry_after: Some(1), ..ApiError::throttled(reason, "Rate Exceeded.") };
        check(
            &error,
            429,
            "TooManyRequestsException",
            r#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}"#,
        );
        let retry = (http::header::RETRY_AFTER, HeaderValue::from_static("1"));
        assert!(error.encode().headers.contains(&retry));
    }

    #[test]
    fn missing_operations_are_named() {
        check(
            &ApiError::not_implemented(Operation::CreateAlias),
            501,
            "NotImplemented",
            r#"{"Message":"firelet does not implement CreateAlias yet.","Type":"Service"}"#,
        );
    }

    #[test]
    fn every_kind_has_an_error_status() {
        for kind in ErrorKind::ALL {
            assert!((400..600).contains(&kind.status()), "{}", kind.name());
        }
    }

    #[test]
    fn requests_that_name_no_operation_are_unknown_operations() {
        let error = crate::route(&http::Method::GET, "/nothing", None).unwrap_err();
        let body = r#"{"message":"no operation has the path /nothing"}"#;
        check(&ApiError::from(error), 404, "UnknownOperationException", body);
    }
}
