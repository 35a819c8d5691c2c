//! Policies of layer versions: AddLayerVersionPermission, GetLayerVersionPolicy, RemoveLayerVersionPermission.

use firelet_api::model;
use firelet_store::layer::{LayerEntry, LayerPolicy, LayerStatement, LayerVersion};
use firelet_types::{LayerVersionArn, RevisionId, Scope};
use serde_json::value::RawValue;

use crate::control::Control;
use crate::error::Error;
use crate::policy::{Document, Principal, Statement};

use super::{LayerError, access, own_version};

impl Control {
    /// Lets others use a version of a layer.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_AddLayerVersionPermission.html>.
    ///
    /// # Errors
    /// When there is no such version, the policy has such a statement, is of another revision, or would be too long.
    pub async fn add_layer_version_permission(
        &self,
        scope: &Scope,
        request: model::AddLayerVersionPermissionRequest,
    ) -> Result<model::AddLayerVersionPermissionResponse, Error> {
        let action = "AddLayerVersionPermission";
        let arn = own_version(scope, &request.layer_name, request.version_number, action)?;
        let statement = LayerStatement {
            id: request.statement_id,
            action: request.action,
            principal: request.principal,
            organization: request.organization_id,
        };
        let shown = spelled(&statement, &arn).get().to_owned();
        let (revision, seen) = (self.new_revision(), request.revision_id);
        let layer = arn.layer.clone();
        let decide = move |entry: &mut LayerEntry<'_>| -> Result<(), Error> {
            let mut policy = existing(entry, &arn)?.policy;
            if policy.statements.iter().any(|other| other.id == statement.id) {
                return Err(LayerError::StatementExists { id: statement.id }.into());
            }
            check_revision(&policy, seen.as_deref())?;
            policy.statements.push(statement);
            document(&policy, &arn)?;
            policy.revision = Some(revision);
            Ok(entry.set_policy(arn.number, &policy)?)
        };
        self.store.layers().update(&layer, decide).await?;
        Ok(model::AddLayerVersionPermissionResponse {
            statement: Some(shown),
            revision_id: Some(revision.to_string()),
        })
    }

    /// Who may use a version of a layer.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionPolicy.html>.
    ///
    /// # Errors
    /// When there is no such version, or it has no policy.
    pub async fn get_layer_version_policy(
        &self,
        scope: &Scope,
        request: model::GetLayerVersionPolicyRequest,
    ) -> Result<model::GetLayerVersionPolicyResponse, Error> {
        let action = "GetLayerVersionPolicy";
        let arn = own_version(scope, &request.layer_name, request.version_number, action)?;
        let policy = self.store.layers().get(&arn)?.ok_or_else(|| missing(&arn))?.policy;
        if policy.statements.is_empty() {
            return Err(LayerError::NoPolicy.into());
        }
        Ok(model::GetLayerVersionPolicyResponse {
            policy: Some(document(&policy, &arn)?),
            revision_id: policy.revision.as_ref().map(RevisionId::to_string),
        })
    }

    /// Takes a permission back. Functions that use the version go on.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_RemoveLayerVersionPermission.html>.
    ///
    /// # Errors
    /// When there is no such version or statement, or the policy is of another revision.
    pub async fn remove_layer_version_permission(
        &self,
        scope: &Scope,
        request: model::RemoveLayerVersionPermissionRequest,
    ) -> Result<(), Error> {
        let action = "RemoveLayerVersionPermission";
        let arn = own_version(scope, &request.layer_name, request.version_number, action)?;
        let (revision, seen, id) = (self.new_revision(), request.revision_id, request.statement_id);
        let layer = arn.layer.clone();
        let decide = move |entry: &mut LayerEntry<'_>| -> Result<(), Error> {
            let mut policy = existing(entry, &arn)?.policy;
            if policy.statements.is_empty() {
                return Err(LayerError::NoPolicy.into());
            }
            check_revision(&policy, seen.as_deref())?;
            let before = policy.statements.len();
            policy.statements.retain(|statement| statement.id != id);
            if policy.statements.len() == before {
                return Err(LayerError::StatementMissing { id }.into());
            }
            policy.revision = Some(revision);
            Ok(entry.set_policy(arn.number, &policy)?)
        };
        self.store.layers().update(&layer, decide).await
    }
}

fn existing(entry: &LayerEntry<'_>, arn: &LayerVersionArn) -> Result<LayerVersion, Error> {
    Ok(entry.version(arn.number)?.ok_or_else(|| missing(arn))?)
}

fn missing(arn: &LayerVersionArn) -> LayerError {
    LayerError::VersionMissing { arn: arn.to_string() }
}

fn check_revision(policy: &LayerPolicy, seen: Option<&str>) -> Result<(), LayerError> {
    match seen {
        Some(seen) if policy.revision.is_none_or(|revision| revision.to_string() != seen) => {
            Err(LayerError::PolicyRevision)
        }
        _ => Ok(()),
    }
}

/// A permission as IAM spells it.
fn spelled(statement: &LayerStatement, arn: &LayerVersionArn) -> Box<RawValue> {
    let principal = match access::account_of(&statement.principal) {
        "*" => Principal::Everybody,
        account => Principal::account(&arn.layer.scope.region, account),
    };
    Statement::allow(&statement.id, principal, &statement.action, arn.to_string())
        .only_if("StringEquals", "aws:PrincipalOrgID", statement.organization.as_deref())
        .json()
}

fn document(policy: &LayerPolicy, arn: &LayerVersionArn) -> Result<String, LayerError> {
    let statements = policy.statements.iter().map(|statement| spelled(statement, arn)).collect();
    Ok(Document::new(statements).json()?)
}
