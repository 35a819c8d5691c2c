//! ListEventSourceMappings, page by page.

use firelet_api::model;
use firelet_store::Version;
use firelet_store::mapping::Selection;
use firelet_types::{Scope, limits};

use crate::control::Control;
use crate::error::Error;
use crate::marker::{Markers, cut, page_size};
use crate::name::{self, Target};

use super::describe::{Detail, describe};

impl Control {
    /// One page of the event source mappings of the account in this Region: all, or those of a function, of an
    /// event source, or of both.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html>.
    ///
    /// # Errors
    /// When the marker is not one of this list, or the function is neither there nor has left mappings.
    pub async fn list_event_source_mappings(
        &self,
        scope: &Scope,
        request: model::ListEventSourceMappingsRequest,
    ) -> Result<model::ListEventSourceMappingsResponse, Error> {
        let target =
            request.function_name.as_deref().map(|name| name::resolve(scope, name, None)).transpose()?;
        let function = match &target {
            Some(target) => Some((target.function()?, target.qualifier.clone())),
            None => None,
        };
        let selection = Selection { function, source_arn: request.event_source_arn };
        let markers = Markers::new(&self.sealer, scope, format!("mappings/{selection:?}"));
        let after = request.marker.map(|marker| markers.parse(&marker)).transpose()?;
        let limit = page_size(request.max_items, limits::MAPPINGS_PER_PAGE);
        let mut mappings = self.store.mappings().list(scope, &selection, after, limit + 1)?;
        if let Some(target) = target.filter(|_| mappings.is_empty()) {
            self.check_function(&target)?;
        }
        let next_marker = cut(&mut mappings, limit).map(|last| markers.write(&last.id.to_string()));
        Ok(model::ListEventSourceMappingsResponse {
            next_marker,
            event_source_mappings: Some(
                mappings.iter().map(|mapping| describe(mapping, Detail::Listed)).collect(),
            ),
        })
    }

    /// Refuses a function that is not there. One that is gone and has left mappings is not asked about.
    fn check_function(&self, target: &Target) -> Result<(), Error> {
        match self.store.functions().get(&target.scope, &target.function()?, Version::Latest)? {
            Some(_) => Ok(()),
            None => Err(target.not_found()),
        }
    }
}
