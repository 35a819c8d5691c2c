//! Policy documents, as IAM spells them: what they may say, how a statement is written, and how statements come and go.
//! Statements keep the text that they were given.
//!
//! Whom a document lets in is not decided here.

pub(crate) mod grammar;

use std::collections::BTreeMap;

use firelet_types::{Region, limits};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// A document would be longer than a policy may be; see <https://github.com/adobe/helix-deploy/issues/24>.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The final policy size ({size}) is bigger than the limit ({limit}).", limit = limits::POLICY_BYTES)]
pub struct PolicyLength {
    /// Bytes that it would have.
    pub size: usize,
}

/// A policy with its statements as texts.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(deserialize_with = "one_or_many")]
    statement: Vec<Box<RawValue>>,
}

impl Document {
    /// A document of these statements.
    pub(crate) fn new(statement: Vec<Box<RawValue>>) -> Self {
        Self { version: Some("2012-10-17".to_owned()), id: Some("default".to_owned()), statement }
    }

    /// Reads a document down to its statements, of which it needs not be known what they say.
    pub(crate) fn parse(document: &str) -> Result<Self, serde_json::Error> {
        object(document)
    }

    /// The statements.
    pub(crate) fn statements(&self) -> &[Box<RawValue>] {
        &self.statement
    }

    /// Where the statement of this id stands, if there is one.
    pub(crate) fn position(&self, id: &str) -> Result<Option<usize>, serde_json::Error> {
        for (position, statement) in self.statement.iter().enumerate() {
            let Identified { sid } = serde_json::from_str(statement.get())?;
            if sid.as_deref() == Some(id) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Adds a statement after the others.
    pub(crate) fn push(&mut self, statement: Box<RawValue>) {
        self.statement.push(statement);
    }

    /// Removes the statement at `position`, which [`Document::position`] told.
    pub(crate) fn remove(&mut self, position: usize) {
        self.statement.remove(position);
    }

    /// The document as JSON, if it is not too long.
    pub(crate) fn json(&self) -> Result<String, PolicyLength> {
        bounded(serde_json::to_string(self).expect("texts in structures are JSON"))
    }
}

/// The text of a document, if it is not too long.
pub(crate) fn bounded(document: String) -> Result<String, PolicyLength> {
    let size = document.len();
    if size > limits::POLICY_BYTES { Err(PolicyLength { size }) } else { Ok(document) }
}

/// Reads an object. A list of the values of its members, which serde takes as well, is none.
fn object<T: DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    if json.trim_start().starts_with('[') {
        return Err(serde_json::Error::custom("a list where an object is expected"));
    }
    serde_json::from_str(json)
}

/// The statements of a document: a list, or one alone.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    let statements = Box::<RawValue>::deserialize(deserializer)?;
    if statements.get().starts_with('[') {
        return serde_json::from_str(statements.get()).map_err(D::Error::custom);
    }
    Ok(vec![statements])
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identified {
    sid: Option<String>,
}

/// Keys and their values, by the operator that compares them.
type Conditions<'a> = BTreeMap<&'static str, BTreeMap<&'static str, &'a str>>;

/// A statement that allows one action on one resource, its members in AWS's order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Statement<'a> {
    sid: &'a str,
    effect: &'static str,
    principal: Principal<'a>,
    action: &'a str,
    resource: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: Conditions<'a>,
}

/// Whom a statement is about.
#[derive(Serialize)]
pub(crate) enum Principal<'a> {
    #[serde(rename = "*")]
    Everybody,
    #[serde(rename = "AWS")]
    Arn(String),
    Service(&'a str),
}

impl Principal<'_> {
    /// An account as a whole.
    pub(crate) fn account(region: &Region, account: &str) -> Self {
        Self::Arn(format!("arn:{}:iam::{account}:root", region.partition()))
    }
}

impl<'a> Statement<'a> {
    pub(crate) fn allow(sid: &'a str, principal: Principal<'a>, action: &'a str, resource: String) -> Self {
        Self { sid, effect: "Allow", principal, action, resource, condition: Conditions::new() }
    }

    /// The same, only where `operator` holds between the value of `key` and this one; without a value, in any case.
    pub(crate) fn only_if(
        mut self,
        operator: &'static str,
        key: &'static str,
        value: Option<&'a str>,
    ) -> Self {
        if let Some(value) = value {
            self.condition.entry(operator).or_default().insert(key, value);
        }
        self
    }

    pub(crate) fn json(&self) -> Box<RawValue> {
        to_raw_value(self).expect("texts in structures are JSON")
    }
}
