//! Permissions: AddPermission, RemovePermission, GetPolicy. Each function, version and alias has a policy of its own.
//!
//! Who is let in by a policy is not decided here.

mod error;
mod statement;

use firelet_api::model;
use firelet_store::function::{Entry, PolicyResource};
use firelet_store::{Alias, FunctionVersion, Version};
use firelet_types::{FunctionArn, FunctionName, Qualifier, RevisionId, Scope};

use crate::control::Control;
use crate::error::{Error, NotFound};
use crate::name::{Target, resolve};
use crate::policy::Document;

pub use self::error::PolicyError;
use self::statement::statement;

impl Control {
    /// Adds a statement to the policy of a function, a version or an alias.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html>.
    ///
    /// # Errors
    /// When there is no such function, version or alias, it is of another revision than the caller saw, there is a
    /// statement of this id, or the policy would be too long.
    pub async fn add_permission(
        &self,
        scope: &Scope,
        request: model::AddPermissionRequest,
    ) -> Result<model::AddPermissionResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let function = target.function()?;
        let resource = resource(&target)?;
        let arn = arn(scope, &function, &resource);
        let statement = statement(&request, &arn)?;
        let added = statement.clone();
        let revision = self.new_revision();
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            if !entry.exists() {
                return Err(target.function_not_found());
            }
            let owner = Owner::find(entry, &resource, &arn)?;
            let before = entry.policy(&resource)?;
            check_revision(owner.revision(), request.revision_id.as_deref(), before.is_some())?;
            let mut policy = before.map_or_else(|| Ok(Document::new(Vec::new())), |json| parse(&json))?;
            if policy.position(&request.statement_id).map_err(PolicyError::Corrupt)?.is_some() {
                return Err(PolicyError::StatementExists { id: request.statement_id }.into());
            }
            policy.push(added);
            entry.set_policy(&resource, Some(&policy.json().map_err(PolicyError::Length)?))?;
            owner.revise(entry, revision)
        };
        self.store.functions().update(scope, &function, decide).await?;
        Ok(model::AddPermissionResponse { statement: Some(statement.get().to_owned()) })
    }

    /// Removes a statement from the policy of a function, a version or an alias; with its last one the policy goes.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html>.
    ///
    /// # Errors
    /// When there is no such function, version, alias, policy or statement, or it is of another revision than the
    /// caller saw.
    pub async fn remove_permission(
        &self,
        scope: &Scope,
        request: model::RemovePermissionRequest,
    ) -> Result<(), Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let function = target.function()?;
        let resource = resource(&target)?;
        let arn = arn(scope, &function, &resource);
        let revision = self.new_revision();
        let decide = move |entry: &mut Entry<'_>| -> Result<(), Error> {
            if !entry.exists() {
                let arn = FunctionArn { qualifier: None, ..arn };
                return Err(NotFound::Policy { arn }.into());
            }
            let owner = Owner::find(entry, &resource, &arn)?;
            let document = entry.policy(&resource)?.ok_or(NotFound::NoPolicy)?;
            let mut policy = parse(&document)?;
            let position = policy.position(&request.statement_id).map_err(PolicyError::Corrupt)?;
            let position = position.ok_or(NotFound::Statement { id: request.statement_id })?;
            check_revision(owner.revision(), request.revision_id.as_deref(), true)?;
            policy.remove(position);
            let left = (!policy.statements().is_empty()).then(|| policy.json());
            entry.set_policy(&resource, left.transpose().map_err(PolicyError::Length)?.as_deref())?;
            owner.revise(entry, revision)
        };
        self.store.functions().update(scope, &function, decide).await
    }

    /// The policy of a function, a version or an alias.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html>.
    ///
    /// # Errors
    /// When there is no such function, version, alias or policy.
    pub async fn get_policy(
        &self,
        scope: &Scope,
        request: model::GetPolicyRequest,
    ) -> Result<model::GetPolicyResponse, Error> {
        let target = resolve(scope, &request.function_name, request.qualifier.as_deref())?;
        let (document, revision) = self.attached_policy(&target)?;
        Ok(model::GetPolicyResponse { policy: Some(document), revision_id: Some(revision.to_string()) })
    }

    /// The policy of a function, a version or an alias, and its revision.
    pub(crate) fn attached_policy(&self, target: &Target) -> Result<(String, RevisionId), Error> {
        let function = target.function().map_err(|_| NotFound::Resource)?;
        let resource = resource(target)?;
        let scope = &target.scope;
        let functions = self.store.functions();
        let latest = functions.get(scope, &function, Version::Latest)?.ok_or(NotFound::Resource)?;
        let arn = arn(scope, &function, &resource);
        let revision = match &resource {
            PolicyResource::Function => latest.revision,
            PolicyResource::LatestPublished => {
                let version = functions.get(scope, &function, Version::LatestPublished)?;
                version.ok_or_else(|| NotFound::Function { arn: arn.to_string() })?.revision
            }
            PolicyResource::Version(number) => {
                let version = functions.get(scope, &function, Version::Published(*number))?;
                version.ok_or_else(|| NotFound::Function { arn: arn.to_string() })?.revision
            }
            PolicyResource::Alias(name) => {
                functions.alias(scope, &function, name)?.ok_or(NotFound::Alias { arn })?.revision
            }
        };
        let document = functions.policy(scope, &function, &resource)?.ok_or(NotFound::Resource)?;
        Ok((document, revision))
    }
}

/// What a request's policy is attached to. `$LATEST` by its name has none; the function has.
pub(crate) fn resource(target: &Target) -> Result<PolicyResource, PolicyError> {
    match &target.qualifier {
        None => Ok(PolicyResource::Function),
        Some(Qualifier::Latest) => Err(PolicyError::Latest),
        Some(Qualifier::LatestPublished) => Ok(PolicyResource::LatestPublished),
        Some(Qualifier::Version(number)) => Ok(PolicyResource::Version(*number)),
        Some(Qualifier::Name(name)) => Ok(PolicyResource::Alias(name.clone())),
    }
}

fn parse(document: &str) -> Result<Document, PolicyError> {
    Document::parse(document).map_err(PolicyError::Corrupt)
}

pub(crate) fn arn(scope: &Scope, function: &FunctionName, resource: &PolicyResource) -> FunctionArn {
    let qualifier = match resource {
        PolicyResource::Function => None,
        PolicyResource::LatestPublished => Some(Qualifier::LatestPublished),
        PolicyResource::Version(number) => Some(Qualifier::Version(*number)),
        PolicyResource::Alias(name) => Some(Qualifier::Name(name.clone())),
    };
    FunctionArn { scope: scope.clone(), name: function.clone(), qualifier }
}

/// The revision of a policy is that of what it is attached to.
pub(crate) enum Owner {
    Version(Box<FunctionVersion>),
    Alias(Alias),
}

impl Owner {
    pub(crate) fn find(
        entry: &Entry<'_>,
        resource: &PolicyResource,
        arn: &FunctionArn,
    ) -> Result<Self, Error> {
        let missing = || NotFound::Function { arn: arn.to_string() };
        let version = match resource {
            PolicyResource::Function => Version::Latest,
            PolicyResource::LatestPublished => Version::LatestPublished,
            PolicyResource::Version(number) => Version::Published(*number),
            PolicyResource::Alias(name) => {
                let alias = entry.alias(name)?;
                return Ok(Self::Alias(alias.ok_or_else(|| NotFound::Alias { arn: arn.clone() })?));
            }
        };
        Ok(Self::Version(Box::new(entry.version(version)?.ok_or_else(missing)?)))
    }

    pub(crate) fn revision(&self) -> RevisionId {
        match self {
            Self::Version(version) => version.revision,
            Self::Alias(alias) => alias.revision,
        }
    }

    pub(crate) fn revise(self, entry: &mut Entry<'_>, revision: RevisionId) -> Result<(), Error> {
        match self {
            Self::Version(version) => entry.put(&FunctionVersion { revision, ..*version })?,
            Self::Alias(alias) => entry.put_alias(&Alias { revision, ..alias })?,
        }
        Ok(())
    }
}

pub(crate) fn check_revision(current: RevisionId, seen: Option<&str>, has_policy: bool) -> Result<(), Error> {
    match seen {
        Some(seen) if seen != current.to_string() && has_policy => Err(Error::PolicyRevisionMismatch),
        Some(seen) if seen != current.to_string() => Err(Error::RevisionMismatch),
        _ => Ok(()),
    }
}
