//! From a routed request to the checked input of its operation.
//!
//! Three steps: gather the members from labels, query, headers and body, each of the right type; check the
//! constraints of the model; build the struct. What depends on state is not decided here.

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::constraint::{self, Violations};
use crate::read;
use crate::shape::{Location, Member, Shape, Structure};

/// What a request carries, after routing. It has no `Debug`: bodies and headers hold secrets.
#[derive(Clone)]
pub struct Request<'a> {
    /// The labels of the path, decoded.
    pub labels: &'a [(&'static str, String)],
    /// The query parameters, decoded.
    pub query: &'a [(String, String)],
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Request<'_> {
    /// The body of an operation that takes it unchanged; an empty one is none.
    pub(crate) fn payload(&self) -> Option<Bytes> {
        (!self.body.is_empty()).then(|| self.body.clone())
    }
}

/// An input that can be read from a request.
pub trait DecodeRequest: Sized {
    /// Reads and checks the input.
    ///
    /// # Errors
    /// See [`DecodeError`].
    fn decode(request: &Request<'_>) -> Result<Self, DecodeError>;
}

/// Why a request is no input of its operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Members break constraints of the model: `ValidationException`.
    #[error("{0}")]
    Validation(Violations),
    /// The body is no JSON, or a value has the wrong type: `SerializationException`.
    #[error("{0}")]
    Serialization(String),
}

/// Gathers, checks and builds; a blob payload is left for the caller.
pub(crate) fn structure<T: DeserializeOwned>(
    table: &'static Structure,
    request: &Request<'_>,
) -> Result<T, DecodeError> {
    let members = gather(table, request)?;
    let violations = constraint::check(table, &members, request.body.len());
    if !violations.is_empty() {
        return Err(DecodeError::Validation(violations));
    }
    serde_json::from_value(Value::Object(members))
        .map_err(|error| DecodeError::Serialization(error.to_string()))
}

fn gather(table: &'static Structure, request: &Request<'_>) -> Result<Map<String, Value>, DecodeError> {
    let has_body = table.members.iter().any(|member| member.location == Location::Body);
    let mut members =
        if has_body && !request.body.is_empty() { read::body(table, &request.body)? } else { Map::new() };
    for member in table.members {
        if let Some(value) = outside_body(member, request)? {
            members.insert(member.name.to_owned(), value);
        }
    }
    Ok(members)
}

fn outside_body(member: &Member, request: &Request<'_>) -> Result<Option<Value>, DecodeError> {
    match member.location {
        Location::Body => Ok(None),
        Location::Label(name) => {
            let label = request.labels.iter().find(|(label, _)| *label == name);
            label.map_or(Ok(None), |(_, text)| read::text(member.shape, text))
        }
        Location::Query(name) => from_query(member.shape, name, request.query),
        Location::Header(name) => {
            let header = request.headers.get(name);
            let text = header.map(|value| String::from_utf8_lossy(value.as_bytes()));
            text.map_or(Ok(None), |text| read::text(member.shape, &text))
        }
        Location::Payload if matches!(member.shape, Shape::Blob { .. }) || request.body.is_empty() => {
            Ok(None)
        }
        Location::Payload => read::parse(member.shape, &request.body).map(Some),
    }
}

fn from_query(shape: &Shape, name: &str, query: &[(String, String)]) -> Result<Option<Value>, DecodeError> {
    let mut values = query.iter().filter(|(parameter, _)| parameter == name).map(|(_, value)| value);
    let Shape::List { item, .. } = shape else {
        return values.next().map_or(Ok(None), |value| read::text(shape, value));
    };
    let mut list = Vec::new();
    for value in values {
        list.extend(read::text(item, value)?);
    }
    Ok((!list.is_empty()).then_some(Value::Array(list)))
}

#[cfg(test)]
mod tests;
