//! Lists of capacity providers and of the versions on one, page by page.

use firelet_api::model;
use firelet_store::capacity_provider::{CapacityProviderState, ProvidedVersion};
use firelet_types::{Scope, limits};

use crate::control::Control;
use crate::describe::state;
use crate::error::Error;
use crate::marker::{Markers, cut, page_size};

use super::describe::describe;

impl Control {
    /// One page of the capacity providers of the account in this Region, by name; only those in one state, if the
    /// caller names one.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListCapacityProviders.html>.
    ///
    /// # Errors
    /// When the marker is not one of this list, or the store cannot be read.
    pub async fn list_capacity_providers(
        &self,
        scope: &Scope,
        request: model::ListCapacityProvidersRequest,
    ) -> Result<model::ListCapacityProvidersResponse, Error> {
        let markers = Markers::new(&self.sealer, scope, format!("capacity-providers/{:?}", request.state));
        let after = request.marker.map(|marker| markers.parse(&marker)).transpose()?;
        let state = match request.state {
            None => None,
            Some(model::CapacityProviderState::Pending) => Some(CapacityProviderState::Pending),
            Some(model::CapacityProviderState::Active) => Some(CapacityProviderState::Active),
            Some(model::CapacityProviderState::Deleting) => Some(CapacityProviderState::Deleting),
            // Nothing is started here that could fail.
            Some(model::CapacityProviderState::Failed) => {
                return Ok(model::ListCapacityProvidersResponse {
                    capacity_providers: Vec::new(),
                    next_marker: None,
                });
            }
        };
        let limit = page_size(request.max_items, limits::CAPACITY_PROVIDERS_PER_PAGE);
        let mut page = self.store.capacity_providers().list(scope, state, after.as_ref(), limit + 1)?;
        let next_marker = cut(&mut page, limit).map(|last| markers.write(last.name.as_str()));
        Ok(model::ListCapacityProvidersResponse {
            capacity_providers: page.iter().map(describe).collect(),
            next_marker,
        })
    }

    /// One page of the published versions on a capacity provider.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionVersionsByCapacityProvider.html>.
    ///
    /// # Errors
    /// When there is no such provider, or the marker is not one of this list.
    pub async fn list_function_versions_by_capacity_provider(
        &self,
        scope: &Scope,
        request: model::ListFunctionVersionsByCapacityProviderRequest,
    ) -> Result<model::ListFunctionVersionsByCapacityProviderResponse, Error> {
        let provider = self.find_capacity_provider(scope, &request.capacity_provider_name)?;
        let arn = provider.arn();
        let markers = Markers::new(&self.sealer, scope, format!("{arn}/versions"));
        let after = request.marker.map(|marker| markers.parse(&marker)).transpose()?;
        let limit = page_size(request.max_items, limits::CAPACITY_PROVIDERS_PER_PAGE);
        let mut page = self.store.capacity_providers().versions(&arn, after, limit + 1)?;
        let next_marker = cut(&mut page, limit).map(|last| markers.write(&last.place.to_string()));
        Ok(model::ListFunctionVersionsByCapacityProviderResponse {
            capacity_provider_arn: arn.to_string(),
            function_versions: page.iter().map(|version| item(scope, version)).collect(),
            next_marker,
        })
    }
}

fn item(scope: &Scope, version: &ProvidedVersion) -> model::FunctionVersionsByCapacityProviderListItem {
    model::FunctionVersionsByCapacityProviderListItem {
        function_arn: version.arn(scope).to_string(),
        state: state(&version.state),
    }
}
