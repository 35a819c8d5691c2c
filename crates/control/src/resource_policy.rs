//! Policies as whole documents: PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy. They are the same policies that
//! permissions are added to.
//!
//! Who is let in by a policy is not decided here. Nor is a policy refused for letting everybody in: nothing in this API
//! says of a function that it must not be public.

use firelet_api::model;
use firelet_store::function::Entry;
use firelet_types::{FunctionIdentifier, Scope};

use crate::control::Control;
use crate::error::{Error, NotFound};
use crate::name::{Target, resolve};
use crate::permission::{Owner, PolicyError, arn, check_revision, resource};
use crate::policy::{bounded, grammar};

impl Control {
    /// Sets the policy of a function, a version or an alias, in place of the one that it has.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_PutResourcePolicy.html>.
    ///
    /// # Errors
    /// When there is no such function, version or alias, it is of another revision than the caller saw, or the document
    /// is no policy or too long.
    pub async fn put_resource_policy(
        &self,
        scope: &Scope,
        request: model::PutResourcePolicyRequest,
    ) -> Result<model::PutResourcePolicyResponse, Error> {
        let target = target(scope, &request.resource_arn)?;
        let function = target.function()?;
        let resource = resource(&target)?;
        let arn = arn(scope, &function, &resource);
        let policy = bounded(request.policy).map_err(PolicyError::Length)?;
        grammar::check(&policy).map_err(PolicyError::Grammar)?;
        let document = policy.clone();
        let revision = self.new_revision();
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            if !entry.exists() {
                return Err(target.function_not_found());
            }
            let owner = Owner::find(entry, &resource, &arn)?;
            let has_policy = entry.policy(&resource)?.is_some();
            check_revision(owner.revision(), request.revision_id.as_deref(), has_policy)?;
            entry.set_policy(&resource, Some(&document))?;
            owner.revise(entry, revision)
        };
        self.store.functions().update(scope, &function, decide).await?;
        Ok(model::PutResourcePolicyResponse { policy: Some(policy), revision_id: Some(revision.to_string()) })
    }

    /// The policy of a function, a version or an alias.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetResourcePolicy.html>.
    ///
    /// # Errors
    /// When there is no such function, version, alias or policy.
    pub async fn get_resource_policy(
        &self,
        scope: &Scope,
        request: model::GetResourcePolicyRequest,
    ) -> Result<model::GetResourcePolicyResponse, Error> {
        let (document, revision) = self.attached_policy(&target(scope, &request.resource_arn)?)?;
        Ok(model::GetResourcePolicyResponse {
            policy: Some(document),
            revision_id: Some(revision.to_string()),
        })
    }

    /// Takes the policy of a function, a version or an alias away, with all permissions in it.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteResourcePolicy.html>.
    ///
    /// # Errors
    /// When there is no such function, version, alias or policy, or it is of another revision than the caller saw.
    pub async fn delete_resource_policy(
        &self,
        scope: &Scope,
        request: model::DeleteResourcePolicyRequest,
    ) -> Result<(), Error> {
        let target = target(scope, &request.resource_arn)?;
        let function = target.function()?;
        let resource = resource(&target)?;
        let arn = arn(scope, &function, &resource);
        let revision = self.new_revision();
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            if !entry.exists() {
                return Err(target.function_not_found());
            }
            let owner = Owner::find(entry, &resource, &arn)?;
            if entry.policy(&resource)?.is_none() {
                return Err(NotFound::NoPolicy.into());
            }
            check_revision(owner.revision(), request.revision_id.as_deref(), true)?;
            entry.set_policy(&resource, None)?;
            owner.revise(entry, revision)
        };
        self.store.functions().update(scope, &function, decide).await
    }
}

/// The function, version or alias of an ARN. The other resources that may be named, runtimes of customers, do not exist.
fn target(scope: &Scope, arn: &str) -> Result<Target, Error> {
    if arn.parse::<FunctionIdentifier>().is_err() {
        return Err(NotFound::Resource.into());
    }
    resolve(scope, arn, None)
}
