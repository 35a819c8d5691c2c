//! Policy documents: how a statement is built, added and removed. Statements keep the text that they were given.

use firelet_api::model;
use firelet_types::{AccountId, FunctionArn, limits};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// Why a policy cannot be what the caller wants.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// `InvalidParameterValueException`.
    #[error("We currently do not support adding policies for $LATEST.")]
    Latest,
    /// `InvalidParameterValueException`.
    #[error("The provided principal was invalid. Please check the principal and try again.")]
    Principal,
    /// `InvalidParameterValueException`, as in <https://github.com/RJPearson94/terraform-aws-open-next/issues/73>.
    #[error("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")]
    UrlAuthTypeAction,
    /// `ResourceConflictException`.
    #[error(
        "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the existing \
         statement."
    )]
    StatementExists {
        /// The id.
        id: String,
    },
    /// `PolicyLengthExceededException`, as in <https://github.com/adobe/helix-deploy/issues/24>.
    #[error("The final policy size ({size}) is bigger than the limit ({limit}).")]
    Length {
        /// Bytes that the policy would have.
        size: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// `ServiceException`: a stored policy cannot be read.
    #[error("An error occurred and the request cannot be processed.")]
    Corrupt(#[source] serde_json::Error),
}

/// A policy with its statements as texts.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    version: String,
    id: String,
    statement: Vec<Box<RawValue>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { version: "2012-10-17".to_owned(), id: "default".to_owned(), statement: Vec::new() }
    }
}

impl Policy {
    pub(super) fn parse(document: &str) -> Result<Self, PolicyError> {
        serde_json::from_str(document).map_err(PolicyError::Corrupt)
    }

    /// Adds `statement`, unless there is one of this id.
    pub(super) fn add(&mut self, id: &str, statement: String) -> Result<(), PolicyError> {
        if self.position(id)?.is_some() {
            return Err(PolicyError::StatementExists { id: id.to_owned() });
        }
        self.statement.push(RawValue::from_string(statement).map_err(PolicyError::Corrupt)?);
        Ok(())
    }

    /// Removes the statement of this id; false if there is none.
    pub(super) fn remove(&mut self, id: &str) -> Result<bool, PolicyError> {
        let position = self.position(id)?;
        if let Some(position) = position {
            self.statement.remove(position);
        }
        Ok(position.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.statement.is_empty()
    }

    /// The policy as JSON.
    pub(super) fn document(&self) -> Result<String, PolicyError> {
        let document = serde_json::to_string(self).map_err(PolicyError::Corrupt)?;
        let (size, limit) = (document.len(), limits::POLICY_BYTES);
        if size > limit { Err(PolicyError::Length { size, limit }) } else { Ok(document) }
    }

    fn position(&self, id: &str) -> Result<Option<usize>, PolicyError> {
        for (position, statement) in self.statement.iter().enumerate() {
            let Identified { sid } = serde_json::from_str(statement.get()).map_err(PolicyError::Corrupt)?;
            if sid.as_deref() == Some(id) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identified {
    sid: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    sid: &'a str,
    effect: &'static str,
    principal: Value,
    action: &'a str,
    resource: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    condition: Map<String, Value>,
}

/// The statement that a request asks for, as JSON with its members in AWS's order.
pub(super) fn statement(
    request: &model::AddPermissionRequest,
    resource: &FunctionArn,
) -> Result<String, PolicyError> {
    if request.function_url_auth_type.is_some() && request.action != "lambda:InvokeFunctionUrl" {
        return Err(PolicyError::UrlAuthTypeAction);
    }
    let statement = Statement {
        sid: &request.statement_id,
        effect: "Allow",
        principal: principal(&request.principal, resource)?,
        action: &request.action,
        resource: resource.to_string(),
        condition: condition(request),
    };
    to_raw_value(&statement).map(|raw| raw.get().to_owned()).map_err(PolicyError::Corrupt)
}

/// What the names of services end with; Alexa's is `alexa-appkit.amazon.com`.
const SERVICES: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"];

/// An account stands for its root, a service is one by its name, and a star is everybody.
fn principal(text: &str, resource: &FunctionArn) -> Result<Value, PolicyError> {
    let named = |kind: &str, name: String| Value::from_iter([(kind.to_owned(), Value::from(name))]);
    if text == "*" {
        Ok(Value::from(text))
    } else if SERVICES.iter().any(|domain| text.ends_with(domain)) {
        Ok(named("Service", text.to_owned()))
    } else if text.parse::<AccountId>().is_ok() {
        let partition = resource.scope.region.partition();
        Ok(named("AWS", format!("arn:{partition}:iam::{text}:root")))
    } else if text.starts_with("arn:") {
        Ok(named("AWS", text.to_owned()))
    } else {
        Err(PolicyError::Principal)
    }
}

fn condition(request: &model::AddPermissionRequest) -> Map<String, Value> {
    let auth_type = request.function_url_auth_type.as_ref().map(|kind| kind.as_str().to_owned());
    let via_url = request.invoked_via_function_url.map(|via| via.to_string());
    let tests = [
        ("StringEquals", "AWS:SourceAccount", request.source_account.clone()),
        ("StringEquals", "aws:PrincipalOrgID", request.principal_org_id.clone()),
        ("StringEquals", "lambda:EventSourceToken", request.event_source_token.clone()),
        ("StringEquals", "lambda:FunctionUrlAuthType", auth_type),
        ("Bool", "lambda:InvokedViaFunctionUrl", via_url),
        ("ArnLike", "AWS:SourceArn", request.source_arn.clone()),
    ];
    let mut condition = Map::new();
    for (operator, key, value) in tests {
        let Some(value) = value else { continue };
        let keys = condition.entry(operator).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(keys) = keys {
            keys.insert(key.to_owned(), Value::from(value));
        }
    }
    condition
}
