//! From method and raw path to an operation and its labels, through a tree of path segments.
//!
//! The raw path is split before it is decoded, so that a label may hold an encoded `/`. Nothing here looks at
//! headers or bodies.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::generated::operations::{Operation, ROOT};

/// A place in the tree of paths. Literals are sorted.
pub(crate) struct Node {
    pub(crate) literals: &'static [(&'static str, &'static Node)],
    pub(crate) label: Option<(&'static str, &'static Node)>,
    pub(crate) targets: &'static [Target],
}

/// An operation at the end of a path. Those with a query pair stand before those without.
pub(crate) struct Target {
    pub(crate) method: &'static str,
    pub(crate) query: Option<(&'static str, &'static str)>,
    pub(crate) operation: Operation,
}

/// A request that names an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The operation.
    pub operation: Operation,
    /// The labels of the path in the order of the path, decoded.
    pub labels: Vec<(&'static str, String)>,
    /// The query parameters in the order of the query, decoded.
    pub query: Vec<(String, String)>,
}

/// Why a request names no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No operation has this path.
    #[error("no operation has the path {path}")]
    UnknownPath {
        /// The raw path.
        path: String,
    },
    /// Operations have this path, with other methods.
    #[error("no operation has the method {method} on the path {path}")]
    WrongMethod {
        /// The method.
        method: Method,
        /// The raw path.
        path: String,
    },
    /// A part of the path or query is no percent-encoded UTF-8.
    #[error("{part} is no percent-encoded UTF-8")]
    BadEncoding {
        /// The raw label, name or value.
        part: String,
    },
}

/// Finds the operation of a request. `path` and `query` are as they came, still encoded.
///
/// # Errors
/// See [`RouteError`].
pub fn route(method: &Method, path: &str, query: Option<&str>) -> Result<Routed, RouteError> {
    let mut node = &ROOT;
    let mut raw_labels = [("", ""); MAX_LABELS];
    let mut label_count = 0;
    let unknown = || RouteError::UnknownPath { path: path.to_owned() };
    let trimmed = path.strip_prefix('/').ok_or_else(unknown)?.trim_end_matches('/');
    for segment in trimmed.split('/') {
        if let Ok(index) = node.literals.binary_search_by(|(literal, _)| (*literal).cmp(segment)) {
            node = node.literals[index].1;
            continue;
        }
        let (name, next) = node.label.filter(|_| !segment.is_empty()).ok_or_else(unknown)?;
        *raw_labels.get_mut(label_count).ok_or_else(unknown)? = (name, segment);
        label_count += 1;
        node = next;
    }
    if node.targets.is_empty() {
        return Err(unknown());
    }
    let query = query.map_or_else(|| Ok(Vec::new()), decode_query)?;
    let target = node.targets.iter().find(|target| target.accepts(method, &query));
    let operation = target
        .ok_or_else(|| RouteError::WrongMethod { method: method.clone(), path: path.to_owned() })?
        .operation;
    let labels = raw_labels[..label_count]
        .iter()
        .map(|&(name, raw)| Ok((name, decode(raw)?)))
        .collect::<Result<_, RouteError>>()?;
    Ok(Routed { operation, labels, query })
}

/// No path of the model has more labels than this; a test holds it against the tree.
const MAX_LABELS: usize = 4;

impl Target {
    fn accepts(&self, method: &Method, query: &[(String, String)]) -> bool {
        self.method == method.as_str()
            && self
                .query
                .is_none_or(|(key, value)| query.iter().any(|(name, text)| name == key && text == value))
    }
}

fn decode_query(query: &str) -> Result<Vec<(String, String)>, RouteError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode_form(name)?, decode_form(value)?))
        })
        .collect()
}

fn decode_form(raw: &str) -> Result<String, RouteError> {
    if raw.contains('+') { decode(&raw.replace('+', " ")) } else { decode(raw) }
}

fn decode(raw: &str) -> Result<String, RouteError> {
    let bad = || RouteError::BadEncoding { part: raw.to_owned() };
    if !raw.contains('%') {
        return Ok(raw.to_owned());
    }
    if !percents_are_escapes(raw.as_bytes()) {
        return Err(bad());
    }
    percent_decode_str(raw).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| bad())
}

fn percents_are_escapes(raw: &[u8]) -> bool {
    raw.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(index, _)| {
        let digits = raw.get(index + 1..index + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests;
