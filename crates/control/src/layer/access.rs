//! Who may use a layer: its own account, and those whom its policy lets in.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/permissions-layer-cross-account.html>.

use std::fmt;

use firelet_store::layer::{LayerPolicy, LayerVersion};
use firelet_types::{AccountId, LayerVersionArn, Scope};

use super::LayerError;

/// The one action that a policy can allow.
pub(super) const GET: &str = "GetLayerVersion";

/// The version, if there is one that the caller may use: the caller's own, or one of the same Region whose policy says
/// so. Of another account's layers nobody learns whether they exist.
pub(super) fn usable(
    scope: &Scope,
    arn: &LayerVersionArn,
    found: Option<LayerVersion>,
) -> Result<Option<LayerVersion>, LayerError> {
    let found = found.filter(|_| arn.layer.scope.region == scope.region);
    if arn.layer.scope.account == scope.account {
        return Ok(found);
    }
    match found {
        Some(version) if allows(&version.policy, &scope.account) => Ok(Some(version)),
        _ => Err(denied(scope, GET, arn)),
    }
}

/// The error that the caller may not do this with a layer.
pub(super) fn denied(scope: &Scope, action: &'static str, resource: &impl fmt::Display) -> LayerError {
    let caller = format!("arn:{}:iam::{}:root", scope.region.partition(), scope.account);
    LayerError::Denied { caller, action, resource: resource.to_string() }
}

/// Accounts here belong to no organization, so a statement for one lets nobody in.
fn allows(policy: &LayerPolicy, account: &AccountId) -> bool {
    let for_all = policy.statements.iter().filter(|statement| statement.organization.is_none());
    for_all.map(|statement| account_of(&statement.principal)).any(|who| who == "*" || who == account.as_str())
}

/// The account of a principal, or `*`.
pub(super) fn account_of(principal: &str) -> &str {
    principal.split(':').nth(4).unwrap_or(principal)
}
