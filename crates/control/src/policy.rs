//! Policy documents, as IAM spells them: how a statement is written, and how statements come and go. Statements keep the
//! text that they were given.
//!
//! Whom a document lets in is not decided here.

use std::collections::BTreeMap;

use firelet_types::{Region, limits};
use serde::{Deserialize, Serialize};
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
#[serde(rename_all = "PascalCase")]
pub(crate) struct Document {
    version: String,
    id: String,
    statement: Vec<Box<RawValue>>,
}

impl Document {
    /// A document of these statements.
    pub(crate) fn new(statement: Vec<Box<RawValue>>) -> Self {
        Self { version: "2012-10-17".to_owned(), id: "default".to_owned(), statement }
    }

    /// Reads a stored document.
    pub(crate) fn parse(document: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(document)
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
        let json = serde_json::to_string(self).expect("texts in structures are JSON");
        let size = json.len();
        if size > limits::POLICY_BYTES { Err(PolicyLength { size }) } else { Ok(json) }
    }
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
