//! Capacity providers: what functions of Lambda Managed Instances run on.
//!
//! firelet starts no instances: a provider is kept, shown and counted, and functions that are configured with it run
//! where all others do. No subnet, role, key or instance type is asked whether it exists. See
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-capacity-providers.html>.

mod definition;
mod describe;
mod error;
mod list;
mod settle;

use firelet_api::model;
use firelet_store::capacity_provider::{CapacityProvider, CapacityProviderEditor, CapacityProviderState};
use firelet_types::{CapacityProviderArn, CapacityProviderName, Scope, limits};

use crate::control::Control;
use crate::error::{Error, NotFound};
use crate::tag;

pub use error::CapacityProviderError;

use describe::describe;

/// The resource of the ARN of a capacity provider.
pub(crate) const RESOURCE: &str = "capacity-provider";
/// Versions that the refusal to delete a provider names.
const NAMED_VERSIONS: usize = 10;

impl Control {
    /// Creates a capacity provider.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateCapacityProvider.html>.
    ///
    /// # Errors
    /// What is wrong with the request, that there is a provider of this name, or that there are too many.
    pub async fn create_capacity_provider(
        &self,
        scope: &Scope,
        request: model::CreateCapacityProviderRequest,
    ) -> Result<model::CreateCapacityProviderResponse, Error> {
        let name = new_name(scope, &request.capacity_provider_name)?;
        let provider = CapacityProvider {
            scope: scope.clone(),
            name,
            state: CapacityProviderState::Pending,
            last_modified: self.clock.now(),
            definition: definition::of_creation(request)?,
        };
        tag::check(&provider.definition.tags)?;
        let created = describe(&provider);
        let limit = self.quotas.capacity_providers;
        let decide = move |editor: &mut CapacityProviderEditor<'_>| -> Result<(), Error> {
            if editor.get(&provider.name)?.is_some() {
                return Err(CapacityProviderError::Exists { arn: provider.arn() }.into());
            }
            if editor.count()? >= limit {
                return Err(CapacityProviderError::Limit.into());
            }
            Ok(editor.put(&provider)?)
        };
        self.store.capacity_providers().update(scope, decide).await?;
        Ok(model::CreateCapacityProviderResponse { capacity_provider: created })
    }

    /// A capacity provider.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetCapacityProvider.html>.
    ///
    /// # Errors
    /// When there is no such provider.
    pub async fn get_capacity_provider(
        &self,
        scope: &Scope,
        request: model::GetCapacityProviderRequest,
    ) -> Result<model::GetCapacityProviderResponse, Error> {
        let provider = self.find_capacity_provider(scope, &request.capacity_provider_name)?;
        Ok(model::GetCapacityProviderResponse { capacity_provider: describe(&provider) })
    }

    /// Changes how a capacity provider scales, which tags it passes on and what it logs.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateCapacityProvider.html>.
    ///
    /// # Errors
    /// When there is no such provider, it is being deleted, or the change is not possible.
    pub async fn update_capacity_provider(
        &self,
        scope: &Scope,
        request: model::UpdateCapacityProviderRequest,
    ) -> Result<model::UpdateCapacityProviderResponse, Error> {
        let name = name(scope, &request.capacity_provider_name)?;
        let (scope_of, now) = (scope.clone(), self.clock.now());
        let decide = move |editor: &mut CapacityProviderEditor<'_>| -> Result<CapacityProvider, Error> {
            let before = editor.get(&name)?.ok_or_else(|| not_found(&scope_of, &name))?;
            if before.state == CapacityProviderState::Deleting {
                return Err(CapacityProviderError::Deleting.into());
            }
            let after = CapacityProvider {
                state: CapacityProviderState::Pending,
                last_modified: now,
                definition: definition::updated(before.definition, request)?,
                ..before
            };
            editor.put(&after)?;
            Ok(after)
        };
        let updated = self.store.capacity_providers().update(scope, decide).await?;
        Ok(model::UpdateCapacityProviderResponse { capacity_provider: describe(&updated) })
    }

    /// Deletes a capacity provider that no function is configured with; again without effect while it goes.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteCapacityProvider.html>.
    ///
    /// # Errors
    /// When there is no such provider, or a version of a function is configured with it.
    pub async fn delete_capacity_provider(
        &self,
        scope: &Scope,
        request: model::DeleteCapacityProviderRequest,
    ) -> Result<model::DeleteCapacityProviderResponse, Error> {
        let name = name(scope, &request.capacity_provider_name)?;
        let scope_of = scope.clone();
        let decide = move |editor: &mut CapacityProviderEditor<'_>| -> Result<CapacityProvider, Error> {
            let before = editor.get(&name)?.ok_or_else(|| not_found(&scope_of, &name))?;
            let versions = editor.versions(&name, NAMED_VERSIONS)?;
            if !versions.is_empty() {
                return Err(CapacityProviderError::in_use(&scope_of, &versions).into());
            }
            let after = CapacityProvider { state: CapacityProviderState::Deleting, ..before };
            editor.put(&after)?;
            Ok(after)
        };
        let deleted = self.store.capacity_providers().update(scope, decide).await?;
        Ok(model::DeleteCapacityProviderResponse { capacity_provider: describe(&deleted) })
    }

    /// The capacity provider of this name or ARN.
    pub(crate) fn find_capacity_provider(
        &self,
        scope: &Scope,
        text: &str,
    ) -> Result<CapacityProvider, Error> {
        let name = name(scope, text)?;
        self.store.capacity_providers().get(scope, &name)?.ok_or_else(|| not_found(scope, &name))
    }
}

/// The name that a caller means, by the name itself or by the ARN in this account and Region.
///
/// # Errors
/// When the ARN is of another account, or no provider here can be meant.
pub(crate) fn name(scope: &Scope, text: &str) -> Result<CapacityProviderName, Error> {
    if !text.starts_with("arn:") {
        return text.parse().map_err(|_| missing(format!("{}{text}", arn_prefix(scope))));
    }
    let arn: CapacityProviderArn = text.parse().map_err(|_| missing(text.to_owned()))?;
    if arn.scope.account != scope.account {
        return Err(Error::OtherAccount);
    }
    if arn.scope.region == scope.region { Ok(arn.name) } else { Err(missing(text.to_owned())) }
}

/// The error that there is no provider of this name.
pub(crate) fn not_found(scope: &Scope, name: &CapacityProviderName) -> Error {
    missing(format!("{}{name}", arn_prefix(scope)))
}

fn missing(arn: String) -> Error {
    NotFound::CapacityProvider { arn }.into()
}

fn arn_prefix(Scope { account, region }: &Scope) -> String {
    format!("arn:{}:lambda:{region}:{account}:{RESOURCE}:", region.partition())
}

/// The name of a provider that is to be made.
fn new_name(scope: &Scope, text: &str) -> Result<CapacityProviderName, Error> {
    let limit = limits::CAPACITY_PROVIDER_NAME_CHARACTERS;
    if text.rsplit(':').next().is_some_and(|name| name.len() > limit) {
        let constraint = format!("Member must have length less than or equal to {limit}");
        return Err(Error::Validation { value: text.to_owned(), path: "capacityProviderName", constraint });
    }
    name(scope, text)
}
